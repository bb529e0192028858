//! The memory behind an IOMMU.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use iommu_golden as g;

use crate::device::lock;
use crate::status::{Error, IommuStatus, Result, error, guard, input, object, output, outputs};

/// What an access met. Callbacks return it as `uint32_t`; any other number counts as access fault.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuMemResult {
    /// Done.
    Ok = 0,
    /// Refused by PMA or PMP, or answered with a bus error.
    AccessFault = 1,
    /// The data is marked corrupt (poison). Not for stores.
    Corrupt = 2,
}

/// What the IOMMU accesses.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuWhat {
    /// Non-leaf entry of the device directory. Valid: `level`, `device_id`.
    DdtNonLeaf = 0,
    /// Device context. Valid: `device_id`.
    DeviceContext = 1,
    /// Non-leaf entry of the process directory. Valid: `level`, `device_id`, `process_id`.
    PdtNonLeaf = 2,
    /// Process context. Valid: `device_id`, `process_id`.
    ProcessContext = 3,
    /// First-stage page-table entry. Valid: `level`, `range_log2`, `addr` (IOVA), `pscid`, `gscid` with
    /// `has_gscid`, `global`.
    FirstStage = 4,
    /// Second-stage page-table entry. Valid: `level`, `range_log2`, `addr` (GPA), `gscid`; `device_id` and
    /// `process_id` with `has_ids`, where the walk serves the process directory.
    SecondStage = 5,
    /// MSI page-table entry. Valid: `addr` (GPA), `gscid` with `has_gscid`.
    MsiPte = 6,
    /// Memory-resident interrupt file.
    Mrif = 7,
    /// Notice MSI after an update of an interrupt file.
    Notice = 8,
    /// Command.
    CommandQueue = 9,
    /// Store of `IOFENCE.C`.
    Fence = 10,
    /// Fault record.
    FaultQueue = 11,
    /// Page-request record.
    PageRequestQueue = 12,
    /// Interrupt message of the IOMMU itself.
    Msi = 13,
}

/// What an access is about. Fields that `what` does not name are 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IommuLabel {
    /// What is accessed.
    pub what: IommuWhat,
    /// Level of the walk that the entry belongs to, 0 the last.
    pub level: u32,
    /// 24 bits.
    pub device_id: u32,
    /// 20 bits.
    pub process_id: u32,
    /// 20 bits.
    pub pscid: u32,
    /// 16 bits.
    pub gscid: u16,
    /// log2 of the bytes that an entry of this level covers.
    pub range_log2: u8,
    /// Flag: `gscid` is valid.
    pub has_gscid: u8,
    /// Flag: `device_id` and `process_id` are valid.
    pub has_ids: u8,
    /// Flag: an entry above had G set.
    pub global: u8,
    /// 0.
    pub padding: [u8; 6],
    /// The address being translated.
    pub addr: u64,
}

fn label(l: &g::Label) -> IommuLabel {
    let mut c = IommuLabel {
        what: IommuWhat::Mrif,
        level: 0,
        device_id: 0,
        process_id: 0,
        pscid: 0,
        gscid: 0,
        range_log2: 0,
        has_gscid: 0,
        has_ids: 0,
        global: 0,
        padding: [0; 6],
        addr: 0,
    };
    let set_gscid = |c: &mut IommuLabel, gscid: Option<u16>| {
        c.gscid = gscid.unwrap_or(0);
        c.has_gscid = gscid.is_some().into();
    };
    c.what = match *l {
        g::Label::DdtNonLeaf { device_id, level } => {
            c.device_id = device_id;
            c.level = level.into();
            IommuWhat::DdtNonLeaf
        }
        g::Label::Dc { device_id } => {
            c.device_id = device_id;
            IommuWhat::DeviceContext
        }
        g::Label::PdtNonLeaf {
            device_id,
            process_id,
            level,
        } => {
            c.device_id = device_id;
            c.process_id = process_id;
            c.level = level.into();
            c.has_ids = 1;
            IommuWhat::PdtNonLeaf
        }
        g::Label::Pc {
            device_id,
            process_id,
        } => {
            c.device_id = device_id;
            c.process_id = process_id;
            c.has_ids = 1;
            IommuWhat::ProcessContext
        }
        g::Label::FirstStage {
            gscid,
            pscid,
            iova,
            level,
            range_log2,
            global,
        } => {
            set_gscid(&mut c, gscid);
            c.pscid = pscid;
            c.addr = iova.0;
            c.level = level.into();
            c.range_log2 = range_log2;
            c.global = global.into();
            IommuWhat::FirstStage
        }
        g::Label::SecondStage {
            gscid,
            gpa,
            level,
            range_log2,
            pdt_of,
            holder: _,
        } => {
            set_gscid(&mut c, Some(gscid));
            c.addr = gpa.0;
            c.level = level.into();
            c.range_log2 = range_log2;
            if let Some((device_id, process_id)) = pdt_of {
                c.device_id = device_id;
                c.process_id = process_id;
                c.has_ids = 1;
            }
            IommuWhat::SecondStage
        }
        g::Label::MsiPte { gscid, gpa } => {
            set_gscid(&mut c, gscid);
            c.addr = gpa.0;
            IommuWhat::MsiPte
        }
        g::Label::Mrif => IommuWhat::Mrif,
        g::Label::Notice => IommuWhat::Notice,
        g::Label::CommandQueue => IommuWhat::CommandQueue,
        g::Label::Fence => IommuWhat::Fence,
        g::Label::FaultQueue => IommuWhat::FaultQueue,
        g::Label::PageRequestQueue => IommuWhat::PageRequestQueue,
        g::Label::Msi => IommuWhat::Msi,
    };
    c
}

/// Reads `size` bytes (4 or 8) at `addr`, a multiple of it, into `*value`: the bytes in little-endian
/// order, the upper half 0 for 4. Returns an `IommuMemResult`; `*value` counts only with `OK`.
pub type IommuLoad = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        addr: u64,
        size: u32,
        label: *const IommuLabel,
        value: *mut u64,
    ) -> u32,
>;

/// Writes `size` bytes (4, 16 or 32) at `addr`, a multiple of 4. Returns an `IommuMemResult`.
pub type IommuStore = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        addr: u64,
        size: u32,
        bytes: *const u8,
        label: *const IommuLabel,
    ) -> u32,
>;

/// Atomically: puts what the `size` bytes (4 or 8) at `addr` hold into `*old`, and replaces them by
/// `replacement` if that equals `expected`. Values as in `IommuLoad`. Returns an `IommuMemResult`.
pub type IommuCompareAndSwap = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        addr: u64,
        size: u32,
        expected: u64,
        replacement: u64,
        label: *const IommuLabel,
        old: *mut u64,
    ) -> u32,
>;

/// ORs `set` into the 8 bytes at `addr`, atomically if the flag `atomic` is 1, and puts what they held
/// into `*old`. Values as in `IommuLoad`. Returns an `IommuMemResult`.
pub type IommuFetchOr = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        addr: u64,
        set: u64,
        atomic: u8,
        label: *const IommuLabel,
        old: *mut u64,
    ) -> u32,
>;

/// The caller's memory. Addresses at or above 2^PAS never reach it. The pointers that a callback gets
/// are valid until it returns. It must return: no `longjmp`, no C++ exception. It must not use the
/// objects of the call that it serves (`IOMMU_STATUS_BUSY`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IommuMemoryCallbacks {
    /// Given to every callback; the library never follows it.
    pub user: *mut c_void,
    /// Must not be null.
    pub load: IommuLoad,
    /// Must not be null.
    pub store: IommuStore,
    /// Null: made of `load` and `store`.
    pub compare_and_swap: IommuCompareAndSwap,
    /// Null: made of `load` and `store`.
    pub fetch_or: IommuFetchOr,
}

/// A memory: the library's own sparse one, or the caller's by callbacks. Several IOMMUs may share
/// one.
pub struct IommuMemory(Mutex<Backing>);

// Kept by pointer all along: the variants' sizes do not matter.
pub(crate) enum Backing {
    Sparse(g::SimpleMemory),
    Callbacks(IommuMemoryCallbacks),
}

fn result(code: u32) -> std::result::Result<(), g::MemError> {
    match code {
        0 => Ok(()),
        2 => Err(g::MemError::Corrupt),
        _ => Err(g::MemError::Access),
    }
}

fn low(value: u64, size: u8) -> u64 {
    if size >= 8 {
        value
    } else {
        value & ((1 << (8 * u32::from(size))) - 1)
    }
}

impl IommuMemoryCallbacks {
    fn load(&self, addr: u64, size: u8, l: &IommuLabel) -> std::result::Result<u64, g::MemError> {
        let mut value = 0;
        let Some(f) = self.load else {
            return Err(g::MemError::Access);
        };
        // SAFETY: the caller of iommu_memory_create_callbacks promised such a function; the
        // pointers are to locals.
        result(unsafe { f(self.user, addr, size.into(), l, &mut value) })?;
        Ok(low(value, size))
    }

    fn store(
        &self,
        addr: u64,
        bytes: &[u8],
        l: &IommuLabel,
    ) -> std::result::Result<(), g::MemError> {
        let Some(f) = self.store else {
            return Err(g::MemError::Access);
        };
        let size = u32::try_from(bytes.len()).map_err(|_| g::MemError::Access)?;
        // SAFETY: as in load.
        result(unsafe { f(self.user, addr, size, bytes.as_ptr(), l) })
    }
}

impl g::Memory for Backing {
    fn load(
        &mut self,
        addr: g::Spa,
        size: u8,
        l: &g::Label,
    ) -> std::result::Result<u64, g::MemError> {
        match self {
            Backing::Sparse(m) => m.load(addr, size, l),
            Backing::Callbacks(c) => c.load(addr.0, size, &label(l)),
        }
    }

    fn store(
        &mut self,
        addr: g::Spa,
        bytes: &[u8],
        l: &g::Label,
    ) -> std::result::Result<(), g::MemError> {
        match self {
            Backing::Sparse(m) => m.store(addr, bytes, l),
            Backing::Callbacks(c) => c.store(addr.0, bytes, &label(l)),
        }
    }

    fn compare_and_swap(
        &mut self,
        addr: g::Spa,
        size: u8,
        expected: u64,
        new: u64,
        l: &g::Label,
    ) -> std::result::Result<u64, g::MemError> {
        let c = match self {
            Backing::Sparse(m) => return m.compare_and_swap(addr, size, expected, new, l),
            Backing::Callbacks(c) => c,
        };
        let (addr, l) = (addr.0, label(l));
        if let Some(f) = c.compare_and_swap {
            let mut old = 0;
            // SAFETY: as in load.
            result(unsafe { f(c.user, addr, size.into(), expected, new, &l, &mut old) })?;
            return Ok(low(old, size));
        }
        let old = c.load(addr, size, &l)?;
        if old == expected {
            c.store(addr, &new.to_le_bytes()[..usize::from(size.min(8))], &l)?;
        }
        Ok(old)
    }

    fn fetch_or(
        &mut self,
        addr: g::Spa,
        set: u64,
        atomic: bool,
        l: &g::Label,
    ) -> std::result::Result<u64, g::MemError> {
        let c = match self {
            Backing::Sparse(m) => return m.fetch_or(addr, set, atomic, l),
            Backing::Callbacks(c) => c,
        };
        let (addr, l) = (addr.0, label(l));
        if let Some(f) = c.fetch_or {
            let mut old = 0;
            // SAFETY: as in load.
            result(unsafe { f(c.user, addr, set, atomic.into(), &l, &mut old) })?;
            return Ok(old);
        }
        let old = c.load(addr, 8, &l)?;
        c.store(addr, &(old | set).to_le_bytes(), &l)?;
        Ok(old)
    }
}

/// The memory behind a pointer, locked.
///
/// # Safety
/// `p` is null or came from this library and was not destroyed.
pub(crate) unsafe fn memory<'a>(p: *const IommuMemory) -> Result<MutexGuard<'a, Backing>> {
    // SAFETY: the same contract; inside, only the lock gives access.
    lock(unsafe { &object(p, "memory")?.0 }, "memory")
}

fn new(backing: Backing) -> *mut IommuMemory {
    Box::into_raw(Box::new(IommuMemory(Mutex::new(backing))))
}

/// Makes a sparse memory: 2^64 - 1 bytes that start zero, pages allocated as they are written.
/// `*memory` is to be given to `iommu_memory_destroy` in the end.
///
/// Errors: `NULL`, `ALIGNMENT`.
///
/// # Safety
/// `memory` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_create_sparse(memory: *mut *mut IommuMemory) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let out = unsafe { output(memory, "memory") }?;
        out.put(new(Backing::Sparse(g::SimpleMemory::new())));
        Ok(())
    })
}

/// Makes a memory of callbacks, which are copied.
///
/// Errors: `NULL` (`load` and `store` included), `ALIGNMENT`.
///
/// # Safety
/// `callbacks` is null or readable, its functions are what their types say as long as the memory
/// lives; `memory` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_create_callbacks(
    callbacks: *const IommuMemoryCallbacks,
    memory: *mut *mut IommuMemory,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (c, out) = unsafe { (input(callbacks, "callbacks")?, output(memory, "memory")?) };
        if c.load.is_none() || c.store.is_none() {
            return error(IommuStatus::Null, "`load` or `store` is null");
        }
        out.put(new(Backing::Callbacks(c)));
        Ok(())
    })
}

/// Frees a memory; null is fine.
///
/// Errors: `BUSY` (it lives on), `ALIGNMENT`.
///
/// # Safety
/// `memory` is null or came from this library, is not in use by another thread and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_destroy(memory: *mut IommuMemory) -> IommuStatus {
    guard(|| {
        if memory.is_null() {
            return Ok(());
        }
        // SAFETY: this function's contract.
        let alive = unsafe { object(memory, "memory") }?;
        if let Err(std::sync::TryLockError::WouldBlock) = alive.0.try_lock() {
            return error(IommuStatus::Busy, "`memory` is in use");
        }
        // SAFETY: it came from Box::into_raw, nobody holds its lock, and it is given up.
        drop(unsafe { Box::from_raw(memory) });
        Ok(())
    })
}

fn sparse(m: &mut Backing) -> Result<&mut g::SimpleMemory> {
    match m {
        Backing::Sparse(m) => Ok(m),
        Backing::Callbacks(_) => error(IommuStatus::NotSparse, "the memory has callbacks"),
    }
}

fn range(addr: u64, len: u64) -> Result<Range<u64>> {
    match addr.checked_add(len) {
        Some(end) => Ok(addr..end),
        None => Err(Error(
            IommuStatus::Range,
            format!("{len} bytes at {addr:#x} end above 2^64 - 1"),
        )),
    }
}

/// Copies `size` bytes at `addr` of a sparse memory to `bytes`. Injected faults do not matter.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`; `RANGE` beyond 2^64 - 1.
///
/// # Safety
/// `memory` is null or alive; `bytes` is null or `size` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_read(
    memory: *const IommuMemory,
    addr: u64,
    bytes: *mut u8,
    size: usize,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut m, out) = unsafe { (self::memory(memory)?, outputs(bytes, size, "bytes")?) };
        let m = sparse(&mut m)?;
        range(addr, size as u64)?;
        // Page by page: what the caller's memory holds so far is never read, as it may be anything.
        let mut chunk = [0; 4096];
        for done in (0..size).step_by(chunk.len()) {
            let n = chunk.len().min(size - done);
            m.read(addr + done as u64, &mut chunk[..n]);
            for (i, b) in chunk[..n].iter().enumerate() {
                out.put_at(done + i, *b);
            }
        }
        Ok(())
    })
}

/// Copies `size` bytes to `addr` of a sparse memory. Injected faults do not matter, and stay.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`; `RANGE` beyond 2^64 - 1.
///
/// # Safety
/// `memory` is null or alive; `bytes` is null or `size` bytes are readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_write(
    memory: *mut IommuMemory,
    addr: u64,
    bytes: *const u8,
    size: usize,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract; checks the pointer and the size, and writes nothing.
        let (mut m, _) = unsafe {
            (
                self::memory(memory)?,
                outputs(bytes.cast_mut(), size, "bytes")?,
            )
        };
        let m = sparse(&mut m)?;
        range(addr, size as u64)?;
        if size > 0 {
            // SAFETY: not null, at most isize::MAX bytes (both checked), readable by contract.
            m.write(addr, unsafe { std::slice::from_raw_parts(bytes, size) });
        }
        Ok(())
    })
}

/// Makes every access of the IOMMU that touches `size` bytes at `addr` of a sparse memory fail:
/// `what` is `IOMMU_MEM_RESULT_ACCESS_FAULT` (bus error) or `IOMMU_MEM_RESULT_CORRUPT` (poison, which
/// stores do not notice). Where both apply, the access fault wins. They stay until
/// `iommu_memory_clear_faults`; 0 bytes are no fault.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`, `VALUE`; `RANGE` beyond 2^64 - 1.
///
/// # Safety
/// `memory` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_add_fault(
    memory: *mut IommuMemory,
    addr: u64,
    size: u64,
    what: u32,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut m = unsafe { self::memory(memory) }?;
        let m = sparse(&mut m)?;
        let e = match result(what) {
            Err(e) if what <= 2 => e,
            _ => return crate::status::no_value(what, "what"),
        };
        let r = range(addr, size)?;
        if !r.is_empty() {
            m.add_fault(r, e);
        }
        Ok(())
    })
}

/// Removes all injected faults of a sparse memory.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`, `NOT_SPARSE`.
///
/// # Safety
/// `memory` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_memory_clear_faults(memory: *mut IommuMemory) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut m = unsafe { self::memory(memory) }?;
        sparse(&mut m)?.clear_faults();
        Ok(())
    })
}
