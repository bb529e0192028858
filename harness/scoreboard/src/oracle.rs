//! What may become of a request: the one place that knows what the block may have cached.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasherDefault;

use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::{
    AtsCompletion, AtsStatus, Command, FaultRecord, Iommu, Label, MemError, Memory, MrifTarget,
    Observer, Outcome, Request, Spa, WalkEvent,
};

use crate::ports::WordHasher;

/// One legal outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forwarded to this address.
    Grant {
        /// Address on `m_dev`.
        spa: u64,
        /// User bits on `m_dev`: {MCID, RCID, PBMT}.
        user: u32,
        /// `ddtp` is in Bare mode: nothing was looked up.
        bare: bool,
        /// The table entry that decided: address and bytes. Memory must have returned some
        /// of it to the block since reset.
        evidence: Option<(u64, u32)>,
        /// The walk sets A or D bits first ([`Legal::updates`]): not before that is done.
        after_update: bool,
    },
    /// Not forwarded: a page in MRIF mode takes the access.
    Mrif {
        /// The interrupt file, and where the notice goes.
        target: MrifTarget,
        /// As for a grant.
        after_update: bool,
    },
    /// The completion of an ATS translation request.
    Ats {
        /// What it says.
        completion: AtsCompletion,
        /// As for a grant.
        after_update: bool,
    },
    /// Refused, with this record or none.
    Deny {
        /// The record to report.
        record: Option<FaultRecord>,
        /// Its cause, for people.
        cause: Option<u16>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Grant {
                spa, bare: true, ..
            } => write!(f, "passed untranslated to {spa:#x}"),
            Verdict::Grant {
                spa, after_update, ..
            } => write!(f, "granted, goes to {spa:#x}{}", after(*after_update)),
            Verdict::Mrif {
                target,
                after_update,
            } => write!(
                f,
                "for the interrupt file at {:#x}, notice {} to {:#x}{}",
                target.mrif.0,
                target.nid,
                target.notice.0,
                after(*after_update)
            ),
            Verdict::Ats {
                completion: c,
                after_update,
            } => match c.status {
                AtsStatus::Success => write!(
                    f,
                    "completed: {:#x}, 2^{} bytes, {:?}{}",
                    c.address,
                    c.range_log2,
                    c.permissions,
                    after(*after_update)
                ),
                status => write!(f, "completed: {status:?}, cause {:?}", c.cause),
            },
            Verdict::Deny { cause, record } => {
                match cause {
                    Some(c) => write!(f, "refused, cause {c}")?,
                    None => write!(f, "refused")?,
                }
                f.write_str(if record.is_some() {
                    ", recorded"
                } else {
                    ", not recorded"
                })
            }
        }
    }
}

fn after(update: bool) -> &'static str {
    if update { ", after its A/D update" } else { "" }
}

impl Verdict {
    /// The record that it asks for.
    #[must_use]
    pub fn record(&self) -> Option<&FaultRecord> {
        match self {
            Verdict::Deny { record, .. } => record.as_ref(),
            Verdict::Ats { completion, .. } => completion.record.as_ref(),
            Verdict::Grant { .. } | Verdict::Mrif { .. } => None,
        }
    }
}

/// Setting A or D bits in a page-table entry, on behalf of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Address.
    pub addr: u64,
    /// 4 or 8 bytes.
    pub size: u8,
    /// The entry before and after, as in memory (read as little-endian).
    pub change: (u64, u64),
    /// User bits on `m_mem`: {MCID, RCID}.
    pub user: u32,
}

/// A table entry that a request's walk reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Of a device or process directory (else of a page table).
    pub directory: bool,
    /// User bits on `m_mem`: {MCID, RCID}.
    pub user: u32,
    /// A read of the block has been attributed to it.
    pub done: bool,
}

/// Everything that may become of a request, and what may be read for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Legal {
    /// The outcomes; one unless tables or registers change meanwhile.
    pub verdicts: Vec<Verdict>,
    /// The entries that the walks of these outcomes read.
    pub loads: Vec<Load>,
    /// The A/D updates that these walks make.
    pub updates: Vec<Update>,
}

impl Legal {
    /// Empties it, keeping its room.
    pub fn clear(&mut self) {
        self.verdicts.clear();
        self.loads.clear();
        self.updates.clear();
    }

    /// Adds an outcome if it is new.
    pub fn add(&mut self, verdict: Verdict) {
        if !self.verdicts.contains(&verdict) {
            self.verdicts.push(verdict);
        }
    }

    /// Adds an entry that may be read, if it is new.
    pub fn add_load(&mut self, addr: u64, len: u32, directory: bool, user: u32) {
        let same = |l: &Load| l.addr == addr && l.len == len && l.user == user;
        if !self.loads.iter().any(same) {
            self.loads.push(Load {
                addr,
                len,
                directory,
                user,
                done: false,
            });
        }
    }

    /// Adds an A/D update if it is new.
    pub fn add_update(&mut self, update: Update) {
        if !self.updates.contains(&update) {
            self.updates.push(update);
        }
    }

    /// Whether it may be answered without having been forwarded.
    #[must_use]
    pub fn may_deny(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| !matches!(v, Verdict::Grant { .. }))
    }

    /// Whether it may be forwarded.
    #[must_use]
    pub fn may_grant(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| matches!(v, Verdict::Grant { .. }))
    }
}

/// Listens to a walk: what it reads and updates goes into a [`Legal`], and so does its outcome.
#[derive(Debug)]
pub struct Collect<'a> {
    iommu: &'a Iommu,
    out: &'a mut Legal,
    /// User bits of accesses that the device context decides, once it is known, and whether
    /// its first stage is of 32 bits.
    user: u32,
    sxl: bool,
    /// The last entry that was read: the one that decided.
    evidence: Option<(u64, u32)>,
    updated: bool,
}

/// {MCID, RCID} as on the user bits of `m_mem`.
fn mem_user((rcid, mcid): (u16, u16)) -> u32 {
    u32::from(rcid & 0xfff) | u32::from(mcid & 0xfff) << 12
}

impl<'a> Collect<'a> {
    /// For a walk of this IOMMU.
    pub fn new(iommu: &'a Iommu, out: &'a mut Legal) -> Self {
        Self {
            iommu,
            out,
            user: 0,
            sxl: false,
            evidence: None,
            updated: false,
        }
    }

    /// An entry of 4 bytes.
    fn is_half(&self, label: &Label) -> bool {
        match label {
            Label::FirstStage { .. } => self.sxl,
            Label::SecondStage { .. } => self.iommu.registers().gxl,
            _ => false,
        }
    }

    fn user_of(&self, label: &Label) -> u32 {
        match label {
            Label::DdtNonLeaf { .. } | Label::Dc { .. } => {
                mem_user(self.iommu.qos_ids(label, None))
            }
            _ => self.user,
        }
    }

    /// The walk is over: adds what became of it.
    pub fn finish(self, outcome: Outcome) {
        let after_update = self.updated;
        self.out.add(match outcome {
            Outcome::Granted(t) => Verdict::Grant {
                spa: t.spa.0,
                user: u32::from(t.pbmt.code())
                    | u32::from(t.rcid & 0xfff) << 2
                    | u32::from(t.mcid & 0xfff) << 14,
                bare: self.evidence.is_none(),
                evidence: self.evidence,
                after_update,
            },
            Outcome::Denied(d) => Verdict::Deny {
                record: d.record,
                cause: Some(d.cause.code()),
            },
            Outcome::Mrif(target) => Verdict::Mrif {
                target,
                after_update,
            },
            Outcome::Ats(completion) => Verdict::Ats {
                completion,
                after_update,
            },
        });
    }
}

impl Observer for Collect<'_> {
    fn on(&mut self, event: &WalkEvent<'_>) {
        match event {
            WalkEvent::Context(dc) => {
                self.user = mem_user(self.iommu.qos_ids(&Label::Mrif, Some(dc)));
                self.sxl = dc.sxl();
            }
            WalkEvent::Load { addr, label, value } => {
                let dc_size = self.iommu.config().capabilities.dc_size() as u32;
                let (len, directory) = entry(label, dc_size);
                let len = if self.is_half(label) { 4 } else { len };
                let user = self.user_of(label);
                self.out.add_load(addr.0, len, directory, user);
                let napot = matches!(label, Label::FirstStage { .. } | Label::SecondStage { .. })
                    && value.is_ok_and(|words| words.first().is_some_and(|w| w >> 63 & 1 == 1));
                // Any of the 16 equal entries of a NAPOT range will do.
                self.evidence = Some(if napot {
                    (addr.0 & !127, 128)
                } else {
                    (addr.0, len)
                });
            }
            WalkEvent::Update {
                addr,
                label,
                change,
                done,
            } => {
                self.updated |= matches!(done, Ok(true));
                let update = Update {
                    addr: addr.0,
                    size: if self.is_half(label) { 4 } else { 8 },
                    change: *change,
                    user: self.user_of(label),
                };
                self.out.add_update(update);
            }
            WalkEvent::Begin(_) | WalkEvent::Rule(_) => {}
        }
    }
}

/// Says what is legal for a request.
///
/// The scoreboard asks when a request is accepted, and again whenever registers or table
/// words that it uses change before it is decided; the answers accumulate. It also tells what
/// memory returned to the block and which invalidations were fetched, which is what an oracle
/// that models stale cache entries needs; [`Tables`] makes little use of it.
pub trait Oracle: fmt::Debug + Send {
    /// Adds to `out` what is legal for `request` with these registers and this memory.
    fn legal(&mut self, iommu: &Iommu, mem: &SparseMemory, request: &Request, out: &mut Legal);

    /// Memory returned a doubleword to the block.
    fn returned(&mut self, cycle: u64, addr: u64, data: u64) {
        let _ = (cycle, addr, data);
    }

    /// The block fetched a command.
    fn fetched(&mut self, cycle: u64, command: &Command) {
        let _ = (cycle, command);
    }

    /// A fence that was fetched at `fetched` has visibly completed.
    fn fenced(&mut self, cycle: u64, fetched: u64) {
        let _ = (cycle, fetched);
    }

    /// The block was reset.
    fn reset(&mut self) {}
}

/// The tables as they stand decide. Right for tests that are quiet, or have invalidated and
/// fenced, before they depend on an edit.
///
/// One liberty is kept: where memory has *become* faulty or poisoned under an entry that it
/// returned before, the block may still hold that entry. An invalidation of everything of its
/// kind ends that, once a later fence has completed; narrower ones are not followed here.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Doublewords (address / 8) that memory returned, and when last.
    returned: HashMap<u64, u64, BuildHasherDefault<WordHasher>>,
    /// Invalidations of everything that were fetched, oldest first: directory or page tables.
    invalidations: VecDeque<(u64, bool)>,
    /// Directory entries, and page-table entries, returned before these clocks are gone.
    directory_from: u64,
    tables_from: u64,
}

impl Tables {
    /// What becomes of the request if the block still holds the first `held` faulty entries of
    /// its walk that it can hold. Returns how many it went through.
    fn walk(
        &self,
        iommu: &Iommu,
        mem: &SparseMemory,
        request: &Request,
        held: usize,
        out: &mut Legal,
    ) -> usize {
        let mut view = View {
            mem,
            tables: self,
            held,
            used: 0,
        };
        let mut collect = Collect::new(iommu, out);
        let outcome = iommu.translate(&mut view, request, &mut collect);
        collect.finish(outcome);
        view.used
    }

    /// The block may hold the entry at this address, whose doubleword is `word`.
    fn holds(&self, addr: u64, word: u64, label: &Label) -> bool {
        let directory = entry(label, 0).1;
        let from = if directory {
            self.directory_from
        } else {
            self.tables_from
        };
        // A NAPOT range was learnt from any of its 16 equal entries.
        let (first, count) = if !directory && word >> 63 & 1 == 1 {
            (addr >> 7 << 4, 16)
        } else {
            (addr >> 3, 1)
        };
        (first..first + count).any(|w| self.returned.get(&w).is_some_and(|&at| at >= from))
    }
}

impl Oracle for Tables {
    fn legal(&mut self, iommu: &Iommu, mem: &SparseMemory, request: &Request, out: &mut Legal) {
        let mut held = 0;
        while self.walk(iommu, mem, request, held, out) > held {
            held += 1;
        }
    }

    fn returned(&mut self, cycle: u64, addr: u64, _: u64) {
        self.returned.insert(addr >> 3, cycle);
    }

    fn fetched(&mut self, cycle: u64, command: &Command) {
        let directory = match command {
            Command::InvalDdt { device_id: None } => true,
            // Everything of the host's; second stages have a command of their own.
            Command::IotinvalVma(o) if !o.gv && !o.av && !o.pscv => false,
            _ => return,
        };
        self.invalidations.push_back((cycle, directory));
    }

    fn fenced(&mut self, _: u64, fetched: u64) {
        while let Some(&(at, directory)) = self.invalidations.front() {
            if at > fetched {
                break;
            }
            self.invalidations.pop_front();
            let from = if directory {
                &mut self.directory_from
            } else {
                &mut self.tables_from
            };
            *from = (*from).max(at);
        }
    }

    fn reset(&mut self) {
        self.returned.clear();
        self.invalidations.clear();
    }
}

/// Bytes of an entry, and whether it belongs to a directory.
fn entry(label: &Label, dc_size: u32) -> (u32, bool) {
    match label {
        Label::Dc { .. } => (dc_size, true),
        Label::DdtNonLeaf { .. } | Label::PdtNonLeaf { .. } => (8, true),
        Label::Pc { .. } => (16, true),
        Label::MsiPte { .. } => (16, false),
        _ => (8, false),
    }
}

/// The sparse memory as the golden model wants it, read-only.
struct View<'a> {
    mem: &'a SparseMemory,
    tables: &'a Tables,
    /// So many faulty doublewords that the block may hold are passed over.
    held: usize,
    /// So many faulty doublewords that the block may hold were met, one beyond `held` at most.
    used: usize,
}

impl View<'_> {
    fn fault(&mut self, addr: Spa, len: u64, label: &Label) -> Result<(), MemError> {
        let Some(fault) = self.mem.fault_for(addr.0, len, FaultAccess::Read) else {
            return Ok(());
        };
        if self
            .tables
            .holds(addr.0, self.mem.read_u64(addr.0 & !7), label)
        {
            if self.used < self.held {
                self.used += 1;
                return Ok(());
            }
            self.used = self.held + 1;
        }
        Err(match fault {
            MemFault::Poison => MemError::Corrupt,
            MemFault::SlvErr | MemFault::DecErr => MemError::Access,
        })
    }
}

impl Memory for View<'_> {
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError> {
        self.fault(addr, size.into(), label)?;
        Ok(if size == 4 {
            self.mem.read_u32(addr.0).into()
        } else {
            self.mem.read_u64(addr.0)
        })
    }

    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        Err(MemError::Access)
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        _: u64,
        _: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        // The swap itself is the block's to do: here only what it would find.
        match self.mem.fault_for(addr.0, size.into(), FaultAccess::Any) {
            Some(MemFault::SlvErr | MemFault::DecErr) => Err(MemError::Access),
            Some(MemFault::Poison) => Err(MemError::Corrupt),
            None => self.load(addr, size, label),
        }
    }

    fn fetch_or(&mut self, addr: Spa, _: u64, _: bool, label: &Label) -> Result<u64, MemError> {
        self.load(addr, 8, label)
    }
}
