//! A software model of an operating system's IOMMU driver: it allocates pages,
//! builds directories, page tables and queues, edits them, and issues the
//! commands that make its edits visible. What it does comes out as operations.
//!
//! It keeps a copy of every word it stored, so that tests can change single
//! bits of an entry as a fault injection would. It does not model the IOMMU:
//! [`Driver::lookup`] says what this driver mapped, not what an IOMMU grants.

mod commands;
mod contexts;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::op::{ExpectedRecord, Op};
use crate::regs;

pub use commands::{Gvma, Vma, range_operand};
pub use contexts::{
    Attachment, CONTEXT_WORDS, CONTROLS, Context, MsiFile, PROCESS_WORDS, PdtId, ProcessContext,
    ProcessMode, Target,
};
use contexts::{MsiTable, ProcessDirectory};
pub(crate) use contexts::{deposit, extract};
use tables::Tables;
pub use tables::{Format, GuestScheme, LEAF_SIZES, Leaf, MEGAPAGE, Scheme, Space, pte};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Directory modes (`ddtp.iommu_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Directory {
    /// No transactions.
    Off,
    /// No translation.
    Bare,
    /// One level.
    One,
    /// Two levels.
    Two,
    /// Three levels.
    Three,
}

impl Directory {
    /// Names in test cases, in the order of [`Directory::ALL`].
    pub const NAMES: [&'static str; 5] = ["Off", "Bare", "1LVL", "2LVL", "3LVL"];
    /// All modes.
    pub const ALL: [Self; 5] = [Self::Off, Self::Bare, Self::One, Self::Two, Self::Three];

    /// Encoding in `ddtp.iommu_mode`.
    #[must_use]
    pub const fn mode(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Bare => 1,
            Self::One => 2,
            Self::Two => 3,
            Self::Three => 4,
        }
    }

    /// Levels of the directory.
    #[must_use]
    pub const fn levels(self) -> u32 {
        match self {
            Self::Off | Self::Bare => 0,
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// An address space of a process or a device: a first stage.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Scheme of its tables.
    pub scheme: Scheme,
    /// PSCID.
    pub pscid: u32,
    tables: Tables,
}

impl Domain {
    /// Address of the root page; a guest physical one when the domain is a guest's.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.tables.root
    }

    /// The machine that it is a guest's of.
    #[must_use]
    pub fn vm(&self) -> Option<VmId> {
        self.tables.vm
    }

    /// Its tables are big-endian (DC.tc.SBE).
    #[must_use]
    pub fn big_endian(&self) -> bool {
        self.tables.big
    }
}

/// Index of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DomainId(pub usize);

/// A virtual machine: a second stage.
#[derive(Debug, Clone)]
pub struct Vm {
    /// Scheme of its tables.
    pub scheme: GuestScheme,
    /// GSCID.
    pub gscid: u16,
    tables: Tables,
    msi: Option<MsiTable>,
    /// Next guest physical page for a guest's own tables.
    next_page: u64,
    /// Where the pages of the guest's own tables lie, by guest physical address.
    backing: HashMap<u64, u64>,
}

impl Vm {
    /// Address of the root of the second stage, 16 KiB.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.tables.root
    }
}

/// Index of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VmId(pub usize);

/// What the driver is to set up.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// Directory mode.
    pub directory: Directory,
    /// 64-byte device contexts (`capabilities.MSI_FLAT`).
    pub extended: bool,
    /// log2 of the entries of the command queue.
    pub cq_log2: u32,
    /// log2 of the entries of the fault queue.
    pub fq_log2: u32,
    /// Interrupts by wire (`fctl.WSI`).
    pub wires: bool,
    /// `cqcsr.cie` and `fqcsr.fie`.
    pub interrupts: bool,
    /// log2 of the entries of the page-request queue; none leaves it off.
    pub pq_log2: Option<u32>,
    /// `fctl.BE`.
    pub big_endian: bool,
    /// `fctl.GXL`: guest physical addresses are those of Sv32x4, every first stage is Sv32.
    pub gxl: bool,
    /// RCID and MCID of `iommu_qosid`; none leaves the register alone.
    pub qos: Option<(u16, u16)>,
    /// Vectors of command queue and fault queue.
    pub vectors: (u8, u8),
    /// Vectors of the performance counters and of the page-request queue, where they are used.
    pub more_vectors: (u8, u8),
    /// Where messages go: address of vector 0's; each vector has 4 bytes, and its number as data.
    pub messages: u64,
    /// First page the driver allocates from.
    pub memory: u64,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            directory: Directory::Three,
            extended: true,
            cq_log2: 6,
            fq_log2: 6,
            wires: false,
            interrupts: true,
            pq_log2: None,
            big_endian: false,
            gxl: false,
            qos: None,
            vectors: (0, 1),
            more_vectors: (0, 0),
            messages: 0x2800_0000,
            // Below the data of every test; DMA must not reach a table by accident.
            memory: 0x4000_0000,
        }
    }
}

/// A word as the driver stored it last.
#[derive(Debug, Clone, Copy)]
struct Word {
    value: u64,
    /// 4 or 8.
    bytes: u8,
    big: bool,
}

/// Why the driver refuses to do something: a mistake in the test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The driver. Take what it did with [`Driver::take`].
#[derive(Debug, Clone)]
pub struct Driver {
    /// What it was asked to set up.
    pub cfg: DriverConfig,
    next_page: u64,
    words: HashMap<u64, Word>,
    /// Pages that are tables. A test may have spoilt an entry so that it looks like a pointer.
    tables: HashSet<u64>,
    out: Vec<Op>,
    /// Root of the directory.
    pub ddt_root: u64,
    /// Base of the command queue.
    pub cq_base: u64,
    /// Base of the fault queue.
    pub fq_base: u64,
    /// Base of the page-request queue, if there is one.
    pub pq_base: u64,
    cq_tail: u32,
    /// Commands up to here have been seen executed.
    cq_head: u32,
    /// `cqt` as written last.
    cq_kicked: u32,
    domains: Vec<Domain>,
    vms: Vec<Vm>,
    pdts: Vec<ProcessDirectory>,
    /// Contexts of each process directory.
    processes: Vec<BTreeMap<u32, ProcessContext>>,
    contexts: BTreeMap<u32, u64>,
}

const fn ppn(addr: u64) -> u64 {
    addr >> 12 & ((1 << 44) - 1)
}

/// The address that the PPN of a directory or page-table entry names.
const fn pointer(entry: u64) -> u64 {
    (entry >> 10 & ((1 << 44) - 1)) << 12
}

impl Driver {
    /// A driver with its pages allocated, and nothing written to any register.
    #[must_use]
    pub fn new(cfg: DriverConfig) -> Self {
        let mut driver = Self {
            next_page: cfg.memory,
            cfg,
            words: HashMap::new(),
            tables: HashSet::new(),
            out: Vec::new(),
            ddt_root: 0,
            cq_base: 0,
            fq_base: 0,
            pq_base: 0,
            cq_tail: 0,
            cq_head: 0,
            cq_kicked: 0,
            domains: Vec::new(),
            vms: Vec::new(),
            pdts: Vec::new(),
            processes: Vec::new(),
            contexts: BTreeMap::new(),
        };
        driver.ddt_root = driver.alloc(0);
        let pages = |log2: u32, bytes: u32| (log2 + bytes).saturating_sub(12);
        driver.cq_base = driver.alloc(pages(driver.cfg.cq_log2, 4));
        driver.fq_base = driver.alloc(pages(driver.cfg.fq_log2, 5));
        if let Some(log2) = driver.cfg.pq_log2 {
            driver.pq_base = driver.alloc(pages(log2, 4));
        }
        driver
    }

    /// What the driver has done since the last call.
    pub fn take(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.out)
    }

    /// Allocates 2^order pages, aligned to their size.
    pub fn alloc(&mut self, order: u32) -> u64 {
        let bytes = PAGE << order;
        let at = self.next_page.next_multiple_of(bytes);
        self.next_page = at + bytes;
        at
    }

    /// The word as the driver stored it last.
    #[must_use]
    pub fn word(&self, addr: u64) -> u64 {
        self.words.get(&addr).map_or(0, |w| w.value)
    }

    /// Stores a word: as wide, and in the byte order, as the driver stored it before; 8 bytes,
    /// little-endian, where it did not.
    pub fn store(&mut self, addr: u64, value: u64) {
        let (bytes, big) = self
            .words
            .get(&addr)
            .map_or((8, false), |w| (w.bytes, w.big));
        self.store_entry(addr, value, bytes, big);
    }

    /// Stores an entry of so many bytes, in this byte order.
    pub fn store_entry(&mut self, addr: u64, value: u64, bytes: u8, big: bool) {
        self.words.insert(addr, Word { value, bytes, big });
        let data = match (bytes, big) {
            (4, false) => (value as u32).to_le_bytes().to_vec(),
            (4, true) => (value as u32).to_be_bytes().to_vec(),
            (_, false) => value.to_le_bytes().to_vec(),
            (_, true) => value.to_be_bytes().to_vec(),
        };
        self.out.push(Op::Store { addr, data });
    }

    /// Bytes of the word that the driver stored at an address.
    #[must_use]
    pub fn word_bytes(&self, addr: u64) -> u64 {
        self.words.get(&addr).map_or(8, |w| u64::from(w.bytes))
    }

    fn write(&mut self, offset: u16, size: u8, value: u64) {
        self.out.push(Op::RegWrite {
            offset,
            size,
            value,
        });
    }

    fn poll(&mut self, offset: u16, size: u8, mask: u64, value: u64) {
        self.out.push(Op::PollReg {
            offset,
            size,
            mask,
            value,
        });
    }

    // ---------------------------------------------------------------- bring-up

    /// Interrupts: `fctl.WSI`, `icvec` and one message an entry.
    pub fn set_up_interrupts(&mut self) {
        let (command, fault) = self.cfg.vectors;
        let (counters, pages) = self.cfg.more_vectors;
        let control = u64::from(self.cfg.big_endian)
            | u64::from(self.cfg.wires) << 1
            | u64::from(self.cfg.gxl) << 2;
        self.write(regs::FCTL, 4, control);
        let vectors = u64::from(command)
            | u64::from(fault) << 4
            | u64::from(counters) << 8
            | u64::from(pages) << 12;
        self.write(regs::ICVEC, 8, vectors);
        if self.cfg.wires {
            return;
        }
        let mut all = vec![command, fault];
        if self.cfg.more_vectors != (0, 0) {
            all.extend([counters, pages]);
        }
        for vector in all {
            let entry = regs::MSI_CFG_TBL + 16 * u16::from(vector);
            let addr = self.cfg.messages + 4 * u64::from(vector);
            self.write(entry, 8, addr);
            self.write(entry + 8, 4, 0x100 + u64::from(vector));
            self.write(entry + 12, 4, 0);
        }
    }

    /// Page-request queue: base, head, enable, wait; nothing without one.
    pub fn start_page_queue(&mut self) {
        let Some(log2) = self.cfg.pq_log2 else {
            return;
        };
        let base = ppn(self.pq_base) << 10 | u64::from(log2 - 1);
        self.write(regs::PQB, 8, base);
        self.write(regs::PQH, 4, 0);
        self.write(regs::PQCSR, 4, 1 | u64::from(self.cfg.interrupts) << 1);
        self.poll(regs::PQCSR, 4, 0x3_0000, 0x1_0000);
    }

    /// Fault queue: base, head, enable, wait.
    pub fn start_fault_queue(&mut self) {
        let base = ppn(self.fq_base) << 10 | u64::from(self.cfg.fq_log2 - 1);
        self.write(regs::FQB, 8, base);
        self.write(regs::FQH, 4, 0);
        self.write(regs::FQCSR, 4, 1 | u64::from(self.cfg.interrupts) << 1);
        self.poll(regs::FQCSR, 4, 0x3_0000, 0x1_0000);
    }

    /// Command queue: base, tail, enable, wait.
    pub fn start_command_queue(&mut self) {
        let base = ppn(self.cq_base) << 10 | u64::from(self.cfg.cq_log2 - 1);
        self.write(regs::CQB, 8, base);
        self.write(regs::CQT, 4, 0);
        self.write(regs::CQCSR, 4, 1 | u64::from(self.cfg.interrupts) << 1);
        self.poll(regs::CQCSR, 4, 0x3_0000, 0x1_0000);
        (self.cq_tail, self.cq_head, self.cq_kicked) = (0, 0, 0);
    }

    /// `ddtp`: write, then wait until not busy. From a directory to `Bare`, or to another
    /// directory, software goes through `Off`; that is the caller's business.
    pub fn set_mode(&mut self, mode: Directory) {
        self.write(regs::DDTP, 8, ppn(self.ddt_root) << 10 | mode.mode());
        self.poll(regs::DDTP, 8, 0x1f, mode.mode());
    }

    /// Everything, in the order in which a driver does it.
    pub fn start(&mut self) {
        self.set_up_interrupts();
        self.start_command_queue();
        self.start_fault_queue();
        self.start_page_queue();
        if let Some((rcid, mcid)) = self.cfg.qos {
            let value = u64::from(rcid) | u64::from(mcid) << 16;
            self.write(regs::IOMMU_QOSID, 4, value);
        }
        // What a cache kept from before is not ours.
        self.invalidate_directory(None);
        self.invalidate_all();
        for vm in self.vms() {
            self.invalidate_vm(vm);
        }
        self.fence(true, true);
        self.set_mode(self.cfg.directory);
    }

    // ----------------------------------------------------------- address spaces

    /// Makes an address space in the memory of the real machine.
    pub fn domain(&mut self, scheme: Scheme, pscid: u32) -> DomainId {
        // Without a machine there is always room for a root.
        self.domain_in(scheme, pscid, None, false)
            .unwrap_or(DomainId(0))
    }

    /// Makes an address space; its tables lie in a guest's memory where `vm` is given, and are
    /// big-endian with `big` (DC.tc.SBE).
    ///
    /// # Errors
    /// The guest has no room for its pages.
    pub fn domain_in(
        &mut self,
        scheme: Scheme,
        pscid: u32,
        vm: Option<VmId>,
        big: bool,
    ) -> Result<DomainId, Refused> {
        let mut tables = Tables::first(scheme, vm, big);
        if scheme != Scheme::Bare {
            tables.root = self.table_page(vm, 0)?;
        }
        self.domains.push(Domain {
            scheme,
            pscid,
            tables,
        });
        Ok(DomainId(self.domains.len() - 1))
    }

    /// An address space.
    #[must_use]
    pub fn domain_ref(&self, domain: DomainId) -> &Domain {
        &self.domains[domain.0]
    }

    /// Makes a virtual machine. The pages of the guest's own tables (first stages, process
    /// directories) are taken from its physical address `tables_at` upwards, and are mapped in
    /// the second stage one by one where the test does not map them.
    pub fn vm(&mut self, scheme: GuestScheme, gscid: u16, tables_at: u64) -> VmId {
        let mut tables = Tables::second(scheme, self.cfg.big_endian);
        tables.root = self.alloc(scheme.format().root_order());
        for page in 0..1 << scheme.format().root_order() {
            let addr = tables.root + PAGE * page;
            self.tables.insert(addr);
            self.out.push(Op::ZeroPage { addr });
        }
        self.vms.push(Vm {
            scheme,
            gscid,
            tables,
            msi: None,
            next_page: tables_at & !0xfff,
            backing: HashMap::new(),
        });
        VmId(self.vms.len() - 1)
    }

    /// A virtual machine.
    #[must_use]
    pub fn vm_ref(&self, vm: VmId) -> &Vm {
        &self.vms[vm.0]
    }

    /// All virtual machines.
    pub fn vms(&self) -> impl Iterator<Item = VmId> + use<> {
        (0..self.vms.len()).map(VmId)
    }

    /// Where a page lies in the real machine: of a guest, only pages of its own tables do.
    fn host(&self, vm: Option<VmId>, addr: u64) -> Result<u64, Refused> {
        let Some(vm) = vm else {
            return Ok(addr);
        };
        self.vms[vm.0]
            .backing
            .get(&(addr & !0xfff))
            .map(|page| page | addr & 0xfff)
            .ok_or_else(|| Refused(format!("guest page {addr:#x} holds no table of the driver")))
    }

    /// Where the page of a guest's own tables lies in the real machine.
    #[must_use]
    pub fn guest_table(&self, vm: VmId, gpa: u64) -> Option<u64> {
        self.host(Some(vm), gpa).ok()
    }

    /// The guest physical address of a word of a guest's own tables.
    #[must_use]
    pub fn guest_page_of(&self, vm: VmId, host: u64) -> Option<u64> {
        self.vms[vm.0]
            .backing
            .iter()
            .find(|&(_, &page)| page == host & !0xfff)
            .map(|(gpa, _)| gpa | host & 0xfff)
    }

    /// Allocates a page for a table, in a machine's memory or in the real one, and fills it with
    /// zeros; its address there.
    fn table_page(&mut self, vm: Option<VmId>, order: u32) -> Result<u64, Refused> {
        let Some(vm) = vm else {
            let at = self.alloc(order);
            self.tables.insert(at);
            self.out.push(Op::ZeroPage { addr: at });
            return Ok(at);
        };
        let gpa = self.vms[vm.0].next_page;
        self.vms[vm.0].next_page += PAGE;
        let host = match self.lookup(vm, gpa) {
            Some((pa, _)) => pa,
            None => {
                let page = self.alloc(0);
                self.map_leaf(vm, gpa, page, 12, pte::TABLE_PAGE)?;
                page
            }
        };
        self.tables.insert(host);
        self.out.push(Op::ZeroPage { addr: host });
        self.vms[vm.0].backing.insert(gpa, host);
        Ok(gpa)
    }

    // ------------------------------------------------------------------ faults

    /// Waits until everything has come to rest, and drains the fault queue.
    pub fn drain_faults(&mut self, expect: Option<Vec<ExpectedRecord>>) {
        self.out.push(Op::WaitIdle);
        self.out.push(Op::TakeFaults { expect });
    }
}
