//! A software model of an operating system's IOMMU driver: it allocates pages,
//! builds directories, page tables and queues, edits them, and issues the
//! commands that make its edits visible. What it does comes out as operations.
//!
//! It keeps a copy of every word it stored, so that tests can change single
//! bits of an entry as a fault injection would. It does not model the IOMMU:
//! [`Driver::lookup`] says what this driver mapped, not what an IOMMU grants.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::op::{ExpectedRecord, Op};
use crate::regs;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// First-stage schemes (section "First-Stage context", with SXL=0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// No first stage.
    Bare,
    /// 39-bit addresses.
    Sv39,
    /// 48-bit addresses.
    Sv48,
    /// 57-bit addresses.
    Sv57,
}

impl Scheme {
    /// Names in test cases, in the order of [`Scheme::ALL`].
    pub const NAMES: [&'static str; 4] = ["Bare", "Sv39", "Sv48", "Sv57"];
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::Bare, Self::Sv39, Self::Sv48, Self::Sv57];

    /// Encoding in `iosatp.MODE`.
    #[must_use]
    pub const fn mode(self) -> u64 {
        match self {
            Self::Bare => 0,
            Self::Sv39 => 8,
            Self::Sv48 => 9,
            Self::Sv57 => 10,
        }
    }

    /// Levels of page tables.
    #[must_use]
    pub const fn levels(self) -> u32 {
        match self {
            Self::Bare => 0,
            Self::Sv39 => 3,
            Self::Sv48 => 4,
            Self::Sv57 => 5,
        }
    }

    /// Whether an address can be translated: the bits above the scheme's repeat its topmost.
    #[must_use]
    pub const fn canonical(self, iova: u64) -> bool {
        let bits = 12 + 9 * self.levels();
        let shift = 64 - bits;
        self.levels() == 0 || ((iova << shift) as i64 >> shift) as u64 == iova
    }
}

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

/// PTE bits (privileged architecture, "Sv39").
pub mod pte {
    /// Valid.
    pub const V: u64 = 1;
    /// Readable.
    pub const R: u64 = 1 << 1;
    /// Writable.
    pub const W: u64 = 1 << 2;
    /// Executable.
    pub const X: u64 = 1 << 3;
    /// User.
    pub const U: u64 = 1 << 4;
    /// Global.
    pub const G: u64 = 1 << 5;
    /// Accessed.
    pub const A: u64 = 1 << 6;
    /// Dirty.
    pub const D: u64 = 1 << 7;
    /// NAPOT.
    pub const N: u64 = 1 << 63;
}

/// Leaf sizes, in the order of their levels; 64 KiB is NAPOT.
pub const LEAF_SIZES: [(&str, u64); 6] = [
    ("4K", 12),
    ("64K", 16),
    ("2M", 21),
    ("1G", 30),
    ("512G", 39),
    ("256T", 48),
];

/// A leaf entry (or the 16 of a NAPOT region) that the driver wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// First address.
    pub iova: u64,
    /// Where it leads.
    pub pa: u64,
    /// log2 of its bytes.
    pub shift: u32,
    /// PTE bits besides the address.
    pub flags: u64,
}

/// An address space.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Scheme of its tables.
    pub scheme: Scheme,
    /// PSCID.
    pub pscid: u32,
    /// Root page.
    pub root: u64,
    leaves: BTreeMap<u64, Leaf>,
}

/// Index of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DomainId(pub usize);

/// A device context, word by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// tc, iohgatp, ta, fsc, msiptp, msi_addr_mask, msi_addr_pattern, reserved.
    pub words: [u64; 8],
}

/// Names of the words of a context.
pub const CONTEXT_WORDS: [&str; 8] = [
    "tc",
    "iohgatp",
    "ta",
    "fsc",
    "msiptp",
    "msi_addr_mask",
    "msi_addr_pattern",
    "reserved",
];

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
    /// Vectors of command queue and fault queue.
    pub vectors: (u8, u8),
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
            vectors: (0, 1),
            messages: 0x2800_0000,
            // Below the data of every test; DMA must not reach a table by accident.
            memory: 0x4000_0000,
        }
    }
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
    words: HashMap<u64, u64>,
    /// Pages that are tables. A test may have spoilt an entry so that it looks like a pointer.
    tables: HashSet<u64>,
    out: Vec<Op>,
    /// Root of the directory.
    pub ddt_root: u64,
    /// Base of the command queue.
    pub cq_base: u64,
    /// Base of the fault queue.
    pub fq_base: u64,
    cq_tail: u32,
    /// Commands up to here have been seen executed.
    cq_head: u32,
    /// `cqt` as written last.
    cq_kicked: u32,
    domains: Vec<Domain>,
    contexts: BTreeMap<u32, u64>,
}

fn ppn(addr: u64) -> u64 {
    addr >> 12 & ((1 << 44) - 1)
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
            cq_tail: 0,
            cq_head: 0,
            cq_kicked: 0,
            domains: Vec::new(),
            contexts: BTreeMap::new(),
        };
        driver.ddt_root = driver.alloc(0);
        let pages = |log2: u32, bytes: u32| (log2 + bytes).saturating_sub(12);
        driver.cq_base = driver.alloc(pages(driver.cfg.cq_log2, 4));
        driver.fq_base = driver.alloc(pages(driver.cfg.fq_log2, 5));
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

    /// Allocates a page for a table and fills it with zeros.
    fn table(&mut self) -> u64 {
        let at = self.alloc(0);
        self.tables.insert(at);
        self.out.push(Op::ZeroPage { addr: at });
        at
    }

    /// The word as the driver stored it last.
    #[must_use]
    pub fn word(&self, addr: u64) -> u64 {
        self.words.get(&addr).copied().unwrap_or(0)
    }

    /// Stores a word.
    pub fn store(&mut self, addr: u64, value: u64) {
        self.words.insert(addr, value);
        self.out.push(Op::Store {
            addr,
            data: value.to_le_bytes().to_vec(),
        });
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
        self.write(regs::FCTL, 4, u64::from(self.cfg.wires) << 1);
        self.write(regs::ICVEC, 8, u64::from(command) | u64::from(fault) << 4);
        if self.cfg.wires {
            return;
        }
        for vector in [command, fault] {
            let entry = regs::MSI_CFG_TBL + 16 * u16::from(vector);
            let addr = self.cfg.messages + 4 * u64::from(vector);
            self.write(entry, 8, addr);
            self.write(entry + 8, 4, 0x100 + u64::from(vector));
            self.write(entry + 12, 4, 0);
        }
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
        // What a cache kept from before is not ours.
        self.invalidate_directory(None);
        self.invalidate_all();
        self.fence(true, true);
        self.set_mode(self.cfg.directory);
    }

    // ---------------------------------------------------------------- commands

    /// Puts a command into the queue; when the queue is full, waits for it to drain.
    pub fn command(&mut self, d0: u64, d1: u64) {
        let mask = (1 << self.cfg.cq_log2) - 1;
        if (self.cq_tail + 1) & mask == self.cq_head {
            self.wait_commands();
        }
        let slot = self.cq_base + 16 * u64::from(self.cq_tail);
        let mut data = d0.to_le_bytes().to_vec();
        data.extend(d1.to_le_bytes());
        self.out.push(Op::Store { addr: slot, data });
        self.cq_tail = (self.cq_tail + 1) & mask;
    }

    /// Tells the IOMMU of new commands.
    pub fn kick(&mut self) {
        if self.cq_kicked != self.cq_tail {
            self.cq_kicked = self.cq_tail;
            self.write(regs::CQT, 4, u64::from(self.cq_tail));
        }
    }

    /// Waits until all commands have been executed.
    pub fn wait_commands(&mut self) {
        self.kick();
        if self.cq_head != self.cq_tail {
            self.cq_head = self.cq_tail;
            self.poll(regs::CQH, 4, 0xffff_ffff, u64::from(self.cq_tail));
        }
    }

    /// Index of the next free slot of the command queue.
    #[must_use]
    pub fn command_tail(&self) -> u32 {
        self.cq_tail
    }

    /// IOTINVAL.VMA for everything of the host.
    pub fn invalidate_all(&mut self) {
        self.command(1, 0);
    }

    /// IOTINVAL.VMA for an address space.
    pub fn invalidate_domain(&mut self, domain: DomainId) {
        let pscid = u64::from(self.domains[domain.0].pscid);
        self.command(1 | pscid << 12 | 1 << 32, 0);
    }

    /// IOTINVAL.VMA for the leaf that holds an address of an address space.
    pub fn invalidate_address(&mut self, domain: DomainId, iova: u64) {
        let pscid = u64::from(self.domains[domain.0].pscid);
        self.command(1 | 1 << 10 | pscid << 12 | 1 << 32, (iova >> 12) << 10);
    }

    /// IODIR.INVAL_DDT for one device, or all.
    pub fn invalidate_directory(&mut self, device: Option<u32>) {
        match device {
            Some(d) => self.command(3 | 1 << 33 | u64::from(d) << 40, 0),
            None => self.command(3, 0),
        }
    }

    /// IOFENCE.C, and waits for it.
    pub fn fence(&mut self, reads: bool, writes: bool) {
        self.command(2 | u64::from(reads) << 12 | u64::from(writes) << 13, 0);
        self.wait_commands();
    }

    // --------------------------------------------------------------- directory

    fn directory_index(&self, device: u32, level: u32) -> u64 {
        let first = if self.cfg.extended { 6 } else { 7 };
        let device = u64::from(device);
        match level {
            0 => device & ((1 << first) - 1),
            n => device >> (first + 9 * (n - 1)) & 0x1ff,
        }
    }

    /// Bytes of a device context.
    #[must_use]
    pub fn context_bytes(&self) -> u64 {
        if self.cfg.extended { 64 } else { 32 }
    }

    /// Whether the directory reaches a device.
    #[must_use]
    pub fn reaches(&self, device: u32) -> bool {
        let first = if self.cfg.extended { 6 } else { 7 };
        match self.cfg.directory.levels() {
            0 => false,
            n => device < 1 << 24 && u64::from(device) >> (first + 9 * (n - 1)).min(24) == 0,
        }
    }

    /// Address of the directory entry of a device at a level; level 0 is its context. Tables on
    /// the way are made.
    ///
    /// # Errors
    /// The directory does not reach the device, or has no such level.
    pub fn directory_entry(&mut self, device: u32, level: u32) -> Result<u64, Refused> {
        if !self.reaches(device) {
            return Err(Refused(format!(
                "device {device:#x} is too wide for this directory"
            )));
        }
        let levels = self.cfg.directory.levels();
        if level >= levels {
            return Err(Refused(format!("the directory has {levels} levels")));
        }
        let mut table = self.ddt_root;
        for n in (level + 1..levels).rev() {
            let at = table + 8 * self.directory_index(device, n);
            if self.word(at) & 1 == 0 {
                let page = self.table();
                self.store(at, ppn(page) << 10 | 1);
            }
            table = (self.word(at) >> 10 & ((1 << 44) - 1)) << 12;
        }
        let bytes = if level == 0 { self.context_bytes() } else { 8 };
        Ok(table + bytes * self.directory_index(device, level))
    }

    /// Writes a device context, its first word (with V) last.
    ///
    /// # Errors
    /// As [`directory_entry`](Self::directory_entry).
    pub fn set_context(&mut self, device: u32, context: &Context) -> Result<u64, Refused> {
        let at = self.directory_entry(device, 0)?;
        let words = (self.context_bytes() / 8) as usize;
        for (n, &word) in context.words[..words].iter().enumerate().skip(1) {
            self.store(at + 8 * n as u64, word);
        }
        self.store(at, context.words[0]);
        self.contexts.insert(device, at);
        Ok(at)
    }

    /// The context that attaches a device to a domain.
    #[must_use]
    pub fn context_of(&self, domain: Option<DomainId>) -> Context {
        let mut context = Context::default();
        context.words[0] = 1;
        if let Some(d) = domain {
            let d = &self.domains[d.0];
            context.words[2] = u64::from(d.pscid) << 12;
            context.words[3] = d.scheme.mode() << 60 | ppn(d.root);
            if d.scheme == Scheme::Bare {
                context.words[3] = 0;
            }
        }
        context
    }

    /// Gives a device its context. Nobody invalidates: an invalid entry is never cached.
    ///
    /// # Errors
    /// As [`directory_entry`](Self::directory_entry).
    pub fn attach(&mut self, device: u32, domain: Option<DomainId>) -> Result<(), Refused> {
        let context = self.context_of(domain);
        self.set_context(device, &context).map(|_| ())
    }

    /// Clears V of a device's context and makes the IOMMU forget it.
    ///
    /// # Errors
    /// As [`directory_entry`](Self::directory_entry).
    pub fn detach(&mut self, device: u32) -> Result<(), Refused> {
        let at = self.directory_entry(device, 0)?;
        let tc = self.word(at);
        self.store(at, tc & !1);
        self.invalidate_directory(Some(device));
        Ok(())
    }

    // ------------------------------------------------------------- page tables

    /// Makes an address space.
    pub fn domain(&mut self, scheme: Scheme, pscid: u32) -> DomainId {
        let root = if scheme == Scheme::Bare {
            0
        } else {
            self.table()
        };
        self.domains.push(Domain {
            scheme,
            pscid,
            root,
            leaves: BTreeMap::new(),
        });
        DomainId(self.domains.len() - 1)
    }

    /// An address space.
    #[must_use]
    pub fn domain_ref(&self, domain: DomainId) -> &Domain {
        &self.domains[domain.0]
    }

    /// Address of the page-table entry of an address at a level (0 is 4 KiB). Tables on the way
    /// are made.
    ///
    /// # Errors
    /// The scheme has no such level or cannot hold the address; a leaf is in the way.
    pub fn table_entry(&mut self, domain: DomainId, iova: u64, level: u32) -> Result<u64, Refused> {
        let d = &self.domains[domain.0];
        let (scheme, mut table) = (d.scheme, d.root);
        if level >= scheme.levels() {
            return Err(Refused(format!(
                "{} has {} levels",
                Scheme::NAMES[scheme as usize],
                scheme.levels()
            )));
        }
        if !scheme.canonical(iova) {
            return Err(Refused(format!(
                "{iova:#x} is no address of {}",
                Scheme::NAMES[scheme as usize]
            )));
        }
        for n in (level + 1..scheme.levels()).rev() {
            let at = table + 8 * (iova >> (12 + 9 * n) & 0x1ff);
            let entry = self.word(at);
            if entry & pte::V != 0 && entry & (pte::R | pte::W | pte::X) != 0 {
                return Err(Refused(format!(
                    "{iova:#x} lies in a larger page that is mapped already"
                )));
            }
            if entry & pte::V == 0 {
                let page = self.table();
                self.store(at, ppn(page) << 10 | pte::V);
            }
            table = (self.word(at) >> 10 & ((1 << 44) - 1)) << 12;
            if !self.tables.contains(&table) {
                return Err(Refused(format!(
                    "the entry above {iova:#x} points to no table of this driver"
                )));
            }
        }
        Ok(table + 8 * (iova >> (12 + 9 * level) & 0x1ff))
    }

    /// Maps one leaf of 2^shift bytes.
    ///
    /// # Errors
    /// The size does not exist, is not aligned, or does not fit what is mapped.
    pub fn map_leaf(
        &mut self,
        domain: DomainId,
        iova: u64,
        pa: u64,
        shift: u32,
        flags: u64,
    ) -> Result<(), Refused> {
        let Some(&(name, _)) = LEAF_SIZES.iter().find(|&&(_, s)| s == u64::from(shift)) else {
            return Err(Refused(format!("there are no pages of 2^{shift} bytes")));
        };
        let mask = (1u64 << shift) - 1;
        if iova & mask != 0 || pa & mask != 0 {
            return Err(Refused(format!(
                "{iova:#x} -> {pa:#x} is not aligned to {name}"
            )));
        }
        let taken = self.domains[domain.0]
            .leaves
            .range(..=iova | mask)
            .next_back()
            .is_some_and(|(_, l)| l.iova | ((1 << l.shift) - 1) >= iova);
        if taken {
            return Err(Refused(format!("{iova:#x} is mapped already")));
        }
        if shift == 16 {
            // Svnapot: PPN[3:0] = 1000 in each of the 16 entries.
            let value = (ppn(pa) | 8) << 10 | flags | pte::N;
            for n in 0..16 {
                let at = self.table_entry(domain, iova + n * PAGE, 0)?;
                self.store(at, value);
            }
        } else {
            let at = self.table_entry(domain, iova, (shift - 12) / 9)?;
            self.store(at, ppn(pa) << 10 | flags);
        }
        self.domains[domain.0].leaves.insert(
            iova,
            Leaf {
                iova,
                pa,
                shift,
                flags,
            },
        );
        Ok(())
    }

    /// Maps a range: with leaves of 2^shift bytes, or the largest that fit.
    ///
    /// # Errors
    /// As [`map_leaf`](Self::map_leaf).
    pub fn map(
        &mut self,
        domain: DomainId,
        iova: u64,
        pa: u64,
        bytes: u64,
        shift: Option<u32>,
        flags: u64,
    ) -> Result<(), Refused> {
        /// Nobody writes a test that needs more entries than that.
        const MAX_LEAVES: u32 = 1 << 20;
        let scheme = self.domains[domain.0].scheme;
        let mut done = 0;
        let mut leaves = 0;
        while done < bytes {
            let (i, p, left) = (iova.wrapping_add(done), pa.wrapping_add(done), bytes - done);
            let fits = |s: u32| {
                let mask = (1u64 << s) - 1;
                (i | p) & mask == 0 && left > mask
            };
            let shift = match shift {
                Some(s) => s,
                None => LEAF_SIZES
                    .iter()
                    .rev()
                    .map(|&(_, s)| s as u32)
                    .filter(|&s| s == 16 || (s - 12) / 9 < scheme.levels())
                    .find(|&s| fits(s))
                    .unwrap_or(12),
            };
            self.map_leaf(domain, i, p, shift, flags)?;
            done = done.saturating_add(1 << shift);
            leaves += 1;
            if leaves > MAX_LEAVES {
                return Err(Refused("that needs more than a million pages".into()));
            }
        }
        Ok(())
    }

    /// Clears the entries of a range; returns the leaves that are gone, for invalidation.
    ///
    /// # Errors
    /// Nothing is mapped there, or only part of a leaf would go.
    pub fn unmap(&mut self, domain: DomainId, iova: u64, bytes: u64) -> Result<Vec<Leaf>, Refused> {
        let end = iova.saturating_add(bytes);
        let gone: Vec<Leaf> = self.domains[domain.0]
            .leaves
            .range(iova..end)
            .map(|(_, &l)| l)
            .collect();
        if gone.is_empty() {
            return Err(Refused(format!("nothing is mapped at {iova:#x}")));
        }
        for leaf in &gone {
            if leaf.iova.saturating_add(1 << leaf.shift) > end {
                return Err(Refused(format!(
                    "the page at {:#x} reaches beyond the range",
                    leaf.iova
                )));
            }
            let entries = if leaf.shift == 16 { 16 } else { 1 };
            let level = if leaf.shift == 16 {
                0
            } else {
                (leaf.shift - 12) / 9
            };
            for n in 0..entries {
                let at = self.table_entry(domain, leaf.iova + n * PAGE, level)?;
                self.store(at, 0);
            }
            self.domains[domain.0].leaves.remove(&leaf.iova);
        }
        Ok(gone)
    }

    /// One IOTINVAL.VMA a leaf; 16 for a NAPOT one, as it has 16 entries.
    pub fn invalidate_leaves(&mut self, domain: DomainId, leaves: &[Leaf]) {
        for leaf in leaves {
            let pages = if leaf.shift == 16 { 16 } else { 1 };
            for n in 0..pages {
                self.invalidate_address(domain, leaf.iova + n * PAGE);
            }
        }
    }

    /// What this driver mapped at an address.
    #[must_use]
    pub fn lookup(&self, domain: DomainId, iova: u64) -> Option<(u64, Leaf)> {
        let d = &self.domains[domain.0];
        let (_, leaf) = d.leaves.range(..=iova).next_back()?;
        let offset = iova - leaf.iova;
        (offset >> leaf.shift == 0).then(|| (leaf.pa + offset, *leaf))
    }

    /// The leaves of an address space.
    pub fn leaves(&self, domain: DomainId) -> impl Iterator<Item = &Leaf> {
        self.domains[domain.0].leaves.values()
    }

    // ------------------------------------------------------------------ faults

    /// Waits until everything has come to rest, and drains the fault queue.
    pub fn drain_faults(&mut self, expect: Option<Vec<ExpectedRecord>>) {
        self.out.push(Op::WaitIdle);
        self.out.push(Op::TakeFaults { expect });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(ops: &[Op]) -> HashMap<u64, u64> {
        let mut out = HashMap::new();
        for op in ops {
            if let Op::Store { addr, data } = op {
                for (n, chunk) in data.chunks_exact(8).enumerate() {
                    out.insert(
                        addr + 8 * n as u64,
                        u64::from_le_bytes(chunk.try_into().unwrap()),
                    );
                }
            }
        }
        out
    }

    /// A walk as the privileged architecture describes it, on what was stored.
    fn walk(mem: &HashMap<u64, u64>, root: u64, levels: u32, iova: u64) -> Option<u64> {
        let mut a = root;
        for level in (0..levels).rev() {
            let e = *mem.get(&(a + 8 * (iova >> (12 + 9 * level) & 0x1ff)))?;
            if e & 1 == 0 {
                return None;
            }
            let mut p = e >> 10 & ((1 << 44) - 1);
            if e & 0xe != 0 {
                let low = (1u64 << (9 * level)) - 1;
                assert_eq!(p & low, 0, "misaligned superpage");
                if e >> 63 != 0 {
                    assert_eq!((level, p & 15), (0, 8));
                    p = p & !15 | iova >> 12 & 15;
                }
                return Some((p | iova >> 12 & low) << 12 | iova & 0xfff);
            }
            a = p << 12;
        }
        None
    }

    const RW: u64 = pte::V | pte::R | pte::W | pte::U | pte::A | pte::D;

    #[test]
    fn tables_of_every_scheme_and_size_translate_as_mapped() {
        for scheme in [Scheme::Sv39, Scheme::Sv48, Scheme::Sv57] {
            let mut d = Driver::new(DriverConfig::default());
            let dom = d.domain(scheme, 5);
            let top = !0u64 << (11 + 9 * scheme.levels());
            for (iova, pa, bytes) in [
                (0x1000, 0x8000_0000, 0x3000),
                (0x1_0000, 0x9001_0000, 0x1_0000),
                (0x20_0000, 0xa000_0000, 0x40_0000),
                (0x4000_0000, 0x40_0000_0000, 0x4000_0000),
                (top, 0x8123_4000, 0x1000),
            ] {
                d.map(dom, iova, pa, bytes, None, RW).unwrap();
            }
            let root = d.domain_ref(dom).root;
            let ops = d.take();
            let mem = words(&ops);
            let stored = ops.iter().filter(|o| matches!(o, Op::Store { .. })).count();
            assert!(stored < 60, "large leaves are used: {stored}");
            for iova in [
                0x1008,
                0x3fff,
                0x1_2345,
                0x20_1234,
                0x5f_ffff,
                0x7fff_ffff,
                top + 9,
            ] {
                let (pa, _) = d.lookup(dom, iova).unwrap();
                assert_eq!(
                    walk(&mem, root, scheme.levels(), iova),
                    Some(pa),
                    "{iova:#x}"
                );
            }
            assert_eq!(d.lookup(dom, 0x4000), None);
            // Unmapped leaves are gone, the rest stays.
            let gone = d.unmap(dom, 0x20_0000, 0x20_0000).unwrap();
            assert_eq!(gone.len(), 1);
            let mut mem = mem;
            mem.extend(words(&d.take()));
            assert_eq!(walk(&mem, root, scheme.levels(), 0x20_0000), None);
            assert!(walk(&mem, root, scheme.levels(), 0x40_0000).is_some());
        }
    }

    #[test]
    fn mistakes_are_refused() {
        let mut d = Driver::new(DriverConfig::default());
        let dom = d.domain(Scheme::Sv39, 1);
        assert!(d.map(dom, 0x1000, 0x1800, 0x1000, None, RW).is_err());
        assert!(d.map(dom, 1 << 39, 0x1000, 0x1000, None, RW).is_err());
        d.map(dom, 0x20_0000, 0, 0x20_0000, None, RW).unwrap();
        assert!(d.map(dom, 0x20_1000, 0x1000, 0x1000, None, RW).is_err());
        assert!(d.unmap(dom, 0x20_0000, 0x1000).is_err());
        assert!(d.unmap(dom, 0, 0x1000).is_err());
        let bare = d.domain(Scheme::Bare, 0);
        assert!(d.map(bare, 0, 0, 0x1000, None, RW).is_err());
    }

    #[test]
    fn directories_of_both_formats() {
        // device_id 0x123456: extended DDI 0x16, 0xd1, 0x24; base DDI 0x56, 0x68, 0x12.
        for (extended, index) in [(true, [0x16, 0xd1, 0x24]), (false, [0x56, 0x68, 0x12])] {
            let mut d = Driver::new(DriverConfig {
                extended,
                ..DriverConfig::default()
            });
            d.attach(0x12_3456, None).unwrap();
            let mem = words(&d.take());
            let next = |at: u64| (mem[&at] >> 10) << 12;
            let a = next(d.ddt_root + 8 * index[2]);
            let a = next(a + 8 * index[1]);
            assert_eq!(mem[&(a + d.context_bytes() * index[0])], 1);
        }
        let mut d = Driver::new(DriverConfig {
            directory: Directory::One,
            ..DriverConfig::default()
        });
        assert!(d.attach(63, None).is_ok());
        assert!(d.attach(64, None).is_err());
    }

    #[test]
    fn the_command_queue_wraps_and_never_overflows() {
        let mut d = Driver::new(DriverConfig {
            cq_log2: 1,
            ..DriverConfig::default()
        });
        for _ in 0..5 {
            d.invalidate_all();
        }
        d.fence(true, true);
        let ops = d.take();
        let mut tail = 0;
        let mut stored = 0;
        for op in &ops {
            match op {
                Op::Store { addr, .. } => {
                    assert!((d.cq_base..d.cq_base + 32).contains(addr));
                    stored += 1;
                }
                Op::RegWrite { value, .. } => {
                    assert_eq!(*value, stored % 2);
                    tail = *value;
                }
                Op::PollReg { value, .. } => assert_eq!(*value, tail),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(stored, 6);
    }

    #[test]
    fn commands_are_those_that_linux_issued() {
        let mut d = Driver::new(DriverConfig::default());
        let dom = d.domain(Scheme::Sv39, 5);
        d.take();
        d.invalidate_directory(Some(0x20));
        d.invalidate_domain(dom);
        d.invalidate_address(dom, 0xfffe_7000);
        d.fence(true, true);
        let data: Vec<Vec<u8>> = d
            .take()
            .into_iter()
            .filter_map(|o| match o {
                Op::Store { data, .. } => Some(data),
                _ => None,
            })
            .collect();
        for (data, want) in data.iter().zip([
            (0x2002_0000_0003_u64, 0u64),
            (0x1_0000_5001, 0),
            (0x1_0000_5401, 0x3fff_9c00),
            (0x3002, 0),
        ]) {
            assert_eq!(data[..8], want.0.to_le_bytes());
            assert_eq!(data[8..], want.1.to_le_bytes());
        }
    }
}
