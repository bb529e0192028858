//! Device contexts, process contexts and MSI page tables.

use super::{DomainId, Driver, PAGE, Refused, Scheme, VmId, pointer, ppn};

/// A device context, word by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// tc, iohgatp, ta, fsc, msiptp, msi_addr_mask, msi_addr_pattern, reserved.
    pub words: [u64; 8],
}

/// Names of the words of a device context.
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

/// Names of the words of a process context.
pub const PROCESS_WORDS: [&str; 2] = ["ta", "fsc"];

/// Bits of `DC.tc` by name, in the order of their positions (V, PDTV, SBE and SXL follow from
/// what the device is attached to).
pub const CONTROLS: [(&str, u32); 8] = [
    ("en_ats", 1),
    ("en_pri", 2),
    ("t2gpa", 3),
    ("dtf", 4),
    ("prpr", 6),
    ("gade", 7),
    ("sade", 8),
    ("dpe", 9),
];

const TC_V: u64 = 1;
const TC_PDTV: u64 = 1 << 5;
const TC_SBE: u64 = 1 << 10;
const TC_SXL: u64 = 1 << 11;

/// Modes of process directories (`pdtp.MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessMode {
    /// No process context is read: no first stage.
    Bare,
    /// 8 bits of process_id, one level.
    Pd8,
    /// 17 bits, two levels.
    Pd17,
    /// 20 bits, three levels.
    Pd20,
}

impl ProcessMode {
    /// Names in test cases, in the order of [`ProcessMode::ALL`].
    pub const NAMES: [&'static str; 4] = ["Bare", "PD8", "PD17", "PD20"];
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Bare, Self::Pd8, Self::Pd17, Self::Pd20];

    /// Encoding in `pdtp.MODE`, which is also the number of levels.
    #[must_use]
    pub const fn levels(self) -> u32 {
        self as u32
    }

    /// Bits of process_id.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bare => 0,
            Self::Pd8 => 8,
            Self::Pd17 => 17,
            Self::Pd20 => 20,
        }
    }
}

/// Index of a process directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PdtId(pub usize);

/// A process directory.
#[derive(Debug, Clone)]
pub(super) struct ProcessDirectory {
    pub(super) mode: ProcessMode,
    vm: Option<VmId>,
    root: u64,
    big: bool,
}

/// What a process context holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessContext {
    /// Its address space; none is a Bare first stage.
    pub domain: Option<DomainId>,
    /// ENS: supervisor requests are allowed.
    pub ens: bool,
    /// SUM: supervisor requests may access user pages.
    pub sum: bool,
}

/// What a device is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attachment {
    /// First stage, without a process directory.
    pub domain: Option<DomainId>,
    /// Second stage; where absent, that of the domain or of the process directory.
    pub vm: Option<VmId>,
    /// Process directory, instead of a domain.
    pub processes: Option<PdtId>,
    /// Bits of `DC.tc` (see [`CONTROLS`]).
    pub controls: u64,
    /// RCID and MCID.
    pub qos: (u16, u16),
}

/// Where MSIs to a virtual interrupt file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MsiFile {
    /// V=0.
    Absent,
    /// Basic translate mode: the page of a guest interrupt file.
    Basic {
        /// Its address.
        pa: u64,
    },
    /// MRIF mode.
    Mrif {
        /// Memory-resident interrupt file, 512 bytes.
        mrif: u64,
        /// Page that the notice MSI goes to.
        notice: u64,
        /// Its data, 11 bits.
        nid: u16,
    },
}

impl MsiFile {
    /// The two doublewords of its MSI PTE.
    #[must_use]
    pub const fn entry(self) -> [u64; 2] {
        match self {
            Self::Absent => [0, 0],
            Self::Basic { pa } => [ppn(pa) << 10 | 3 << 1 | 1, 0],
            Self::Mrif { mrif, notice, nid } => {
                let nid = nid as u64;
                let second = ppn(notice) << 10 | nid & 0x3ff | (nid >> 10 & 1) << 60;
                // MRIF Address[55:9] stands in bits 53:7.
                [(mrif >> 9 & ((1 << 47) - 1)) << 7 | 1 << 1 | 1, second]
            }
        }
    }
}

/// A machine's MSI page table.
#[derive(Debug, Clone)]
pub(super) struct MsiTable {
    root: u64,
    /// Bits of the guest page number that select the interrupt file.
    mask: u64,
    pattern: u64,
    files: std::collections::BTreeMap<u64, MsiFile>,
}

/// Packs the bits of `x` that `mask` selects ("extract" of the specification).
pub(crate) fn extract(x: u64, mask: u64) -> u64 {
    (0..64)
        .filter(|b| mask >> b & 1 != 0)
        .enumerate()
        .map(|(n, bit)| (x >> bit & 1) << n)
        .sum()
}

/// The reverse of [`extract`].
pub(crate) fn deposit(x: u64, mask: u64) -> u64 {
    (0..64)
        .filter(|b| mask >> b & 1 != 0)
        .enumerate()
        .map(|(n, bit)| (x >> n & 1) << bit)
        .sum()
}

/// Where an access ends, as far as this driver set it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// At this supervisor physical address, with this memory type.
    Memory {
        /// Address.
        pa: u64,
    },
    /// In a memory-resident interrupt file.
    Mrif {
        /// The interrupt file's number.
        file: u64,
    },
}

impl Driver {
    // --------------------------------------------------------- device directory

    fn directory_index(&self, device: u32, level: u32) -> u64 {
        let device = u64::from(device);
        match level {
            0 => device & ((1 << self.directory_shift(1)) - 1),
            n => device >> self.directory_shift(n) & 0x1ff,
        }
    }

    /// log2 of the devices that a non-leaf entry of this level, 1 or above, leads to.
    pub(crate) fn directory_shift(&self, level: u32) -> u32 {
        let first = if self.cfg.extended { 6 } else { 7 };
        first + 9 * level.saturating_sub(1)
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
                let page = self.table_page(None, 0)?;
                self.store_entry(at, ppn(page) << 10 | 1, 8, self.cfg.big_endian);
            }
            table = pointer(self.word(at));
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
        let big = self.cfg.big_endian;
        for (n, &word) in context.words[..words].iter().enumerate().skip(1) {
            self.store_entry(at + 8 * n as u64, word, 8, big);
        }
        self.store_entry(at, context.words[0], 8, big);
        self.contexts.insert(device, at);
        Ok(at)
    }

    /// The context that attaches a device to a domain and nothing else.
    #[must_use]
    pub fn context_of(&self, domain: Option<DomainId>) -> Context {
        self.context_for(&Attachment {
            domain,
            ..Attachment::default()
        })
    }

    /// The second stage that an attachment implies.
    #[must_use]
    pub fn vm_of(&self, a: &Attachment) -> Option<VmId> {
        a.vm.or_else(|| a.domain.and_then(|d| self.domains[d.0].tables.vm))
            .or_else(|| a.processes.and_then(|p| self.pdts[p.0].vm))
    }

    /// The context of a device that is attached so.
    #[must_use]
    pub fn context_for(&self, a: &Attachment) -> Context {
        let mut context = Context::default();
        let w = &mut context.words;
        w[0] = TC_V | a.controls;
        if self.cfg.gxl {
            w[0] |= TC_SXL;
        }
        if let Some(vm) = self.vm_of(a).map(|v| &self.vms[v.0]) {
            w[1] = vm.scheme.mode() << 60 | u64::from(vm.gscid) << 44 | ppn(vm.tables.root);
            if let Some(msi) = &vm.msi {
                w[4] = 1 << 60 | ppn(msi.root);
                w[5] = msi.mask;
                w[6] = msi.pattern;
            }
        }
        w[2] = u64::from(a.qos.0) << 40 | u64::from(a.qos.1) << 52;
        if let Some(p) = a.processes.map(|p| &self.pdts[p.0]) {
            w[0] |= TC_PDTV | if p.big { TC_SBE } else { 0 };
            w[3] = u64::from(p.mode.levels()) << 60 | ppn(p.root);
            if p.mode != ProcessMode::Bare && self.sxl_of(a.processes) {
                w[0] |= TC_SXL;
            }
        } else if let Some(d) = a.domain.map(|d| &self.domains[d.0]) {
            w[0] |= if d.tables.big { TC_SBE } else { 0 };
            if d.scheme == Scheme::Sv32 {
                w[0] |= TC_SXL;
            }
            w[2] |= u64::from(d.pscid) << 12;
            if d.scheme != Scheme::Bare {
                w[3] = d.scheme.mode() << 60 | ppn(d.tables.root);
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
        self.store(at, tc & !TC_V);
        self.invalidate_directory(Some(device));
        Ok(())
    }

    // -------------------------------------------------------- process directory

    /// Makes a process directory; in a guest's memory where `vm` is given. `big`: DC.tc.SBE.
    ///
    /// # Errors
    /// The guest has no room for its pages.
    pub fn process_directory(
        &mut self,
        mode: ProcessMode,
        vm: Option<VmId>,
        big: bool,
    ) -> Result<PdtId, Refused> {
        let root = match mode {
            ProcessMode::Bare => 0,
            _ => self.table_page(vm, 0)?,
        };
        self.pdts.push(ProcessDirectory {
            mode,
            vm,
            root,
            big,
        });
        self.processes.push(std::collections::BTreeMap::new());
        Ok(PdtId(self.pdts.len() - 1))
    }

    /// Whether the processes of a directory use Sv32.
    fn sxl_of(&self, pdt: Option<PdtId>) -> bool {
        pdt.and_then(|p| self.processes.get(p.0)).is_some_and(|p| {
            p.values()
                .filter_map(|c| c.domain)
                .any(|d| self.domains[d.0].scheme == Scheme::Sv32)
        })
    }

    /// Mode of a process directory.
    #[must_use]
    pub fn process_mode(&self, pdt: PdtId) -> ProcessMode {
        self.pdts[pdt.0].mode
    }

    /// The contexts of a process directory, by process_id.
    pub fn processes(&self, pdt: PdtId) -> impl Iterator<Item = (u32, &ProcessContext)> {
        self.processes[pdt.0].iter().map(|(&id, c)| (id, c))
    }

    /// Address of the directory entry of a process at a level; level 0 is its context. Where the
    /// directory is a guest's, this is where the entry lies in the real machine.
    ///
    /// # Errors
    /// The directory does not reach the process, or has no such level.
    pub fn process_entry(&mut self, pdt: PdtId, process: u32, level: u32) -> Result<u64, Refused> {
        let p = &self.pdts[pdt.0];
        let (mode, vm, big) = (p.mode, p.vm, p.big);
        if u64::from(process) >> mode.bits() != 0 {
            return Err(Refused(format!(
                "process {process:#x} is too wide for {}",
                ProcessMode::NAMES[mode as usize]
            )));
        }
        if level >= mode.levels() {
            return Err(Refused(format!(
                "the process directory has {} levels",
                mode.levels()
            )));
        }
        let mut table = self.host(vm, p.root)?;
        let process = u64::from(process);
        let index = |level: u32| process >> (8 + 9 * (level - 1)) & 0x1ff;
        for n in (level + 1..mode.levels()).rev() {
            let at = table + 8 * index(n);
            if self.word(at) & 1 == 0 {
                let page = self.table_page(vm, 0)?;
                self.store_entry(at, ppn(page) << 10 | 1, 8, big);
            }
            let next = pointer(self.word(at));
            table = self.host(vm, next)?;
        }
        Ok(match level {
            0 => table + 16 * (process & 0xff),
            n => table + 8 * index(n),
        })
    }

    /// The two words of a process context.
    #[must_use]
    pub fn process_words(&self, c: &ProcessContext) -> [u64; 2] {
        let mut words = [1 | u64::from(c.ens) << 1 | u64::from(c.sum) << 2, 0];
        if let Some(d) = c.domain.map(|d| &self.domains[d.0]) {
            words[0] |= u64::from(d.pscid) << 12;
            if d.scheme != Scheme::Bare {
                words[1] = d.scheme.mode() << 60 | ppn(d.tables.root);
            }
        }
        words
    }

    /// Writes a process context, its first word (with V) last.
    ///
    /// # Errors
    /// As [`process_entry`](Self::process_entry).
    pub fn set_process(
        &mut self,
        pdt: PdtId,
        process: u32,
        context: &ProcessContext,
    ) -> Result<u64, Refused> {
        let at = self.process_entry(pdt, process, 0)?;
        let [ta, fsc] = self.process_words(context);
        let big = self.pdts[pdt.0].big;
        self.store_entry(at + 8, fsc, 8, big);
        self.store_entry(at, ta, 8, big);
        self.processes[pdt.0].insert(process, *context);
        Ok(at)
    }

    /// Clears V of a process context; nobody invalidates.
    ///
    /// # Errors
    /// As [`process_entry`](Self::process_entry).
    pub fn clear_process(&mut self, pdt: PdtId, process: u32) -> Result<u64, Refused> {
        let at = self.process_entry(pdt, process, 0)?;
        let ta = self.word(at);
        self.store(at, ta & !1);
        self.processes[pdt.0].remove(&process);
        Ok(at)
    }

    // ------------------------------------------------------------ MSI page table

    /// Gives a machine an MSI page table: guest pages that equal `gpa`, except in the bits of
    /// their page number that `mask` has, are virtual interrupt files.
    ///
    /// # Errors
    /// The table would be too large.
    pub fn msi_table(&mut self, vm: VmId, gpa: u64, mask: u64) -> Result<(), Refused> {
        let files = mask.count_ones();
        if files > 16 {
            return Err(Refused("more than 65536 interrupt files".into()));
        }
        // 256 entries fit a page; larger tables are aligned to their size.
        let order = files.saturating_sub(8);
        let root = self.alloc(order);
        for page in 0..1 << order {
            self.out.push(crate::op::Op::ZeroPage {
                addr: root + PAGE * page,
            });
        }
        self.vms[vm.0].msi = Some(MsiTable {
            root,
            mask,
            pattern: gpa >> 12 & !mask,
            files: std::collections::BTreeMap::new(),
        });
        Ok(())
    }

    fn msi_of(&self, vm: VmId) -> Result<&MsiTable, Refused> {
        self.vms[vm.0]
            .msi
            .as_ref()
            .ok_or_else(|| Refused("this machine has no MSI page table".into()))
    }

    /// Address of the MSI PTE of an interrupt file.
    ///
    /// # Errors
    /// There is no such file.
    pub fn msi_entry(&self, vm: VmId, file: u64) -> Result<u64, Refused> {
        let msi = self.msi_of(vm)?;
        if file >> msi.mask.count_ones() != 0 {
            return Err(Refused(format!(
                "there are {} interrupt files",
                1u64 << msi.mask.count_ones()
            )));
        }
        Ok(msi.root + 16 * file)
    }

    /// Guest physical address of the page of an interrupt file.
    ///
    /// # Errors
    /// There is no such file.
    pub fn msi_address(&self, vm: VmId, file: u64) -> Result<u64, Refused> {
        self.msi_entry(vm, file)?;
        let msi = self.msi_of(vm)?;
        Ok((msi.pattern | deposit(file, msi.mask)) << 12)
    }

    /// Number of the interrupt file at a guest physical address, if one is there.
    #[must_use]
    pub fn msi_number(&self, vm: VmId, gpa: u64) -> Option<u64> {
        let msi = self.msi_of(vm).ok()?;
        (gpa >> 12 & !msi.mask == msi.pattern).then(|| extract(gpa >> 12, msi.mask))
    }

    /// What an interrupt file was set to last.
    #[must_use]
    pub fn msi_file(&self, vm: VmId, file: u64) -> Option<MsiFile> {
        self.msi_of(vm).ok()?.files.get(&file).copied()
    }

    /// Writes an MSI PTE, the doubleword with V last; nobody invalidates.
    ///
    /// # Errors
    /// There is no such file.
    pub fn set_msi_file(&mut self, vm: VmId, file: u64, to: MsiFile) -> Result<u64, Refused> {
        let at = self.msi_entry(vm, file)?;
        let [first, second] = to.entry();
        let big = self.cfg.big_endian;
        // A valid entry changes in one step: as software does it that must not tear.
        if self.word(at) & 1 != 0 && self.word(at + 8) != second {
            self.store_entry(at, 0, 8, big);
        }
        self.store_entry(at + 8, second, 8, big);
        self.store_entry(at, first, 8, big);
        if let Some(msi) = &mut self.vms[vm.0].msi {
            msi.files.insert(file, to);
        }
        Ok(at)
    }

    // -------------------------------------------------------------- what it means

    /// Where a guest physical address of a machine leads, as the driver set it up.
    #[must_use]
    pub fn resolve_guest(&self, vm: VmId, gpa: u64) -> Option<Target> {
        if let (Some(file), Ok(msi)) = (self.msi_number(vm, gpa), self.msi_of(vm)) {
            return match msi.files.get(&file)? {
                MsiFile::Absent => None,
                MsiFile::Basic { pa } => Some(Target::Memory {
                    pa: pa & !0xfff | gpa & 0xfff,
                }),
                MsiFile::Mrif { .. } => Some(Target::Mrif { file }),
            };
        }
        self.lookup(vm, gpa).map(|(pa, _)| Target::Memory { pa })
    }

    /// The address space of an access of a device that is attached so; none is a Bare first
    /// stage, or an access that has none.
    #[must_use]
    pub fn domain_for(&self, a: &Attachment, process: Option<u32>) -> Option<DomainId> {
        let Some(pdt) = a.processes else {
            return a.domain.filter(|_| process.is_none());
        };
        let dpe = a.controls >> 9 & 1 != 0;
        let process = process.or(dpe.then_some(0))?;
        self.processes[pdt.0].get(&process)?.domain
    }

    /// What the first stage makes of an address of a device that is attached so.
    #[must_use]
    pub fn resolve_first(&self, a: &Attachment, process: Option<u32>, iova: u64) -> Option<u64> {
        match a.processes {
            None if process.is_some() => return None,
            // Without a process_id and DPE there is no first stage.
            Some(pdt) if process.is_some() || a.controls >> 9 & 1 != 0 => {
                let known = |p: &u32| self.processes[pdt.0].contains_key(p);
                if self.pdts[pdt.0].mode != ProcessMode::Bare && !known(&process.unwrap_or(0)) {
                    return None;
                }
            }
            _ => {}
        }
        match self.domain_for(a, process) {
            Some(d) if self.domains[d.0].scheme != Scheme::Bare => Some(self.lookup(d, iova)?.0),
            _ => Some(iova),
        }
    }

    /// Where an access of a device that is attached so leads, as the driver set it up; nothing is
    /// said of permissions.
    #[must_use]
    pub fn resolve(&self, a: &Attachment, process: Option<u32>, iova: u64) -> Option<Target> {
        let gpa = self.resolve_first(a, process, iova)?;
        match self.vm_of(a) {
            Some(vm) => self.resolve_guest(vm, gpa),
            None => Some(Target::Memory { pa: gpa }),
        }
    }
}
