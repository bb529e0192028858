//! The fault queue.

use iommu_golden as g;

use crate::device::{Device, IommuGolden, device};
use crate::memory::{IommuMemory, memory};
use crate::status::{IommuStatus, Result, error, guard, input, optional, output};

/// What becomes of a record.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuPushKind {
    /// The queue is off: nothing is written, no bit set.
    Off = 0,
    /// An error bit stops the queue: the record is dropped.
    Stopped = 1,
    /// The queue is full: the overflow bit is now set, the record dropped.
    Overflow = 2,
    /// The record has been stored, and the tail moved on.
    Written = 3,
    /// The store failed: the memory-fault bit is now set, the record dropped.
    WriteFailed = 4,
    /// The record is to be stored by the caller.
    Store = 5,
}

/// Where a record goes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuPush {
    /// What becomes of it. The other fields are valid with `WRITTEN`, `WRITE_FAILED` and `STORE`, else 0.
    pub kind: IommuPushKind,
    /// Index in the queue.
    pub index: u32,
    /// Address of the record.
    pub addr: u64,
    /// The bytes at that address, in the order that `fctl.BE` gives.
    pub data: [u8; 32],
    /// Flag: the address is below 2^PAS; if not, the store fails without an access.
    pub reachable: u8,
    /// 0.
    pub padding: [u8; 7],
}

impl IommuPush {
    fn of(push: &g::Push<32>, kind: IommuPushKind) -> Self {
        let mut p = IommuPush {
            kind,
            index: 0,
            addr: 0,
            data: [0; 32],
            reachable: 0,
            padding: [0; 7],
        };
        match push {
            g::Push::Off => p.kind = IommuPushKind::Off,
            g::Push::Stopped => p.kind = IommuPushKind::Stopped,
            g::Push::Overflow => p.kind = IommuPushKind::Overflow,
            g::Push::Write {
                index,
                addr,
                data,
                reachable,
            } => {
                p.index = *index;
                p.addr = addr.0;
                p.data = *data;
                p.reachable = (*reachable).into();
            }
        }
        p
    }
}

/// Reports a fault in one go: stores the record at the tail of the fault queue, unless the queue is off,
/// stopped or full, and moves the tail. `record` is as `iommu_translate` gives it. `push` may be null.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `record` is null or 4 doublewords are readable there; `push` is
/// null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_report_fault(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    record: *const u64,
    push: *mut IommuPush,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, words, out) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                input(record.cast::<[u64; 4]>(), "record")?,
                optional(push, "push")?,
            )
        };
        let push = d.model.report(&mut *m, &g::FaultRecord::from_words(&words));
        // The bit was 0 before, or there would have been nothing to store.
        let kind = if d.model.registers().fq.memory_fault {
            IommuPushKind::WriteFailed
        } else {
            IommuPushKind::Written
        };
        out.put(IommuPush::of(&push, kind));
        Ok(())
    })
}

/// Where a record goes, for a testbench that sees the store on a bus: store it, then call
/// `iommu_fault_written` or `iommu_fault_write_failed`. `ahead` counts records that have a place already but
/// are not written yet. A full queue sets the overflow bit.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `record` is null or 4 doublewords are readable there; `push` is null or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_fault_slot(
    iommu: *mut IommuGolden,
    record: *const u64,
    ahead: u32,
    push: *mut IommuPush,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, words, out) = unsafe {
            (
                device(iommu)?,
                input(record.cast::<[u64; 4]>(), "record")?,
                output(push, "push")?,
            )
        };
        let push = d
            .model
            .fault_slot(&g::FaultRecord::from_words(&words), ahead);
        out.put(IommuPush::of(&push, IommuPushKind::Store));
        Ok(())
    })
}

fn queue_on(d: &Device) -> Result<()> {
    if d.model.registers().fq.on {
        Ok(())
    } else {
        error(IommuStatus::State, "the fault queue is off")
    }
}

/// The record at the tail of the fault queue has been stored: the tail moves on, `fip` follows.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `STATE` if the queue is off.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_fault_written(iommu: *mut IommuGolden) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut d = unsafe { device(iommu) }?;
        queue_on(&d)?;
        d.model.fault_written();
        Ok(())
    })
}

/// Storing the record at the tail of the fault queue failed: `fqmf`, and `fip` follows.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `STATE` if the queue is off.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_fault_write_failed(iommu: *mut IommuGolden) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut d = unsafe { device(iommu) }?;
        queue_on(&d)?;
        d.model.fault_write_failed();
        Ok(())
    })
}
