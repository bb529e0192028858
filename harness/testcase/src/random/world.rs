//! What a random run has built so far, and the operations that came of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ats::AtsDevices;
use crate::caps;
use crate::driver::{Directory, Driver, DriverConfig};
use crate::op::{Op, OpAt, Where};
use crate::regs;
use crate::rng::Random;

use super::edits::Stale;
use super::knobs::{Mode, SecondStage};
use super::profile::{Amount, Chance, Profile};
use super::tables::{Leaf, Scheme, Tree, Which};

/// Tables live from here on; data from [`DATA`] on, so that no DMA reaches a table by a leaf.
pub(super) const TABLES: u64 = 0x4000_0000;
/// Data pages.
pub(super) const DATA: u64 = 0x8000_0000;
/// Bytes of data pages for small leaves.
pub(super) const DATA_BYTES: u64 = 0x4000_0000;
/// Where messages of the IOMMU go.
pub(super) const MESSAGES: u64 = 0x2800_0000;

/// The block that the tests are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its `capabilities`, not masked.
    pub caps: u64,
    /// `fctl.GXL` is writable.
    pub gxl: bool,
    /// Directory modes that it has.
    pub levels: Vec<Directory>,
    /// Interrupt vectors.
    pub vectors: u32,
    /// Device atomics are translated.
    pub atomics: bool,
    /// IODIR operands that are too wide are illegal.
    pub wide_illegal: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            caps: u64::MAX,
            gxl: true,
            levels: vec![Directory::One, Directory::Two, Directory::Three],
            vectors: 16,
            atomics: false,
            wide_illegal: true,
        }
    }
}

/// One stream a purpose: drawing more from one changes no other.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pub run: Random,
    pub tables: Random,
    pub traffic: Random,
    pub data: Random,
    pub edits: Random,
    pub timing: Random,
    pub queues: Random,
    pub registers: Random,
    pub memory: Random,
    pub resets: Random,
    pub ats: Random,
    /// Byte order, QoS ids, how registers are reached: what came after the others.
    pub ways: Random,
    /// What is in use when it is edited.
    pub warm: Random,
    /// What is aimed at: one rule, one step of a walk, one place of a queue.
    pub aim: Random,
}

impl Streams {
    /// The streams of a seed, for one of several parties.
    pub fn new(seed: u64, party: &str) -> Self {
        let of = |purpose: &str| Random::new(seed, &format!("{party}{purpose}"));
        Self {
            run: of("run"),
            tables: of("tables"),
            traffic: of("traffic"),
            data: of("data"),
            edits: of("edits"),
            timing: of("timing of rounds"),
            queues: of("queues"),
            registers: of("registers"),
            memory: of("memory"),
            resets: of("resets"),
            ats: of("ats"),
            ways: of("ways"),
            warm: of("warm"),
            aim: of("aim"),
        }
    }
}

/// A virtual machine: second-stage tables.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub tree: Tree,
    pub gscid: u32,
    /// Data that its leaves lead to.
    pub data: (u64, u64),
    /// Next guest page for the guest's own tables.
    pub next_page: u64,
    /// Second-stage leaves of those pages.
    pub backing: Vec<Leaf>,
    pub messages: Option<Messages>,
}

/// An MSI page table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages {
    pub table: u64,
    pub mask: u64,
    pub pattern: u64,
    /// Entries.
    pub count: u64,
}

/// An address space: first-stage tables, if any.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub tree: Option<Tree>,
    pub pscid: u32,
    pub machine: Option<usize>,
    /// An address may lead through another table, or a leaf be reached by several: only
    /// invalidating everything is enough.
    pub tangled: bool,
    /// Data that its leaves lead to.
    pub data: (u64, u64),
}

/// A process of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub id: u32,
    pub domain: usize,
    pub present: bool,
}

/// A process directory.
#[derive(Debug, Clone)]
pub(super) struct Processes {
    /// `pdtp.MODE`: 1 PD8, 2 PD17, 3 PD20.
    pub mode: u32,
    /// Where software finds the root.
    pub root: u64,
    /// Address of the root as the context names it.
    pub pointer: u64,
    /// Pages by the address in a pointer.
    pub pages: HashMap<u64, u64>,
    pub list: Vec<Process>,
    /// `tc.DPE`.
    pub default: bool,
}

/// A device.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub id: u32,
    pub domain: Option<usize>,
    pub machine: Option<usize>,
    pub processes: Option<Processes>,
    pub attached: bool,
    /// Bits of `tc` besides V.
    pub tc: u64,
    /// RCID and MCID.
    pub qos: (u16, u16),
    /// XORed into the words of its context: what spoils it.
    pub spoil: [u64; 8],
}

/// Which devices and domains are in play: all, or those of one machine's owner.
#[derive(Debug, Clone, Default)]
pub(super) struct Cast {
    /// Indices; empty is all.
    pub devices: Vec<usize>,
    pub domains: Vec<usize>,
    /// Nobody is mistaken for another.
    pub strict: bool,
}

/// An index among those in play.
pub(super) fn one_of(r: &mut Random, cast: &[usize], all: usize) -> usize {
    if cast.is_empty() {
        r.below(all as u64) as usize
    } else {
        *r.pick(cast)
    }
}

/// A run on its way.
#[derive(Debug)]
pub(super) struct World {
    pub profile: Arc<Profile>,
    pub target: Target,
    pub seed: u64,
    /// `capabilities` as this run sees them.
    pub caps: u64,
    pub pas: u32,
    pub driver: Driver,
    pub mode: Directory,
    pub gxl: bool,
    pub racing: bool,
    /// 8-byte registers are written by halves.
    pub halves: bool,
    /// There is one address space: its pages may be global.
    pub globals: bool,
    pub schemes: Vec<Scheme>,
    pub r: Streams,
    pub machines: Vec<Machine>,
    pub domains: Vec<Domain>,
    pub devices: Vec<Device>,
    pub cast: Cast,
    /// 4-byte entries (Sv32) as they were stored.
    pub narrow: HashMap<u64, u32>,
    /// Accesses since software took the fault records.
    pub unread: u64,
    /// Devices ask, are told and ask for pages (PCIe ATS).
    pub ats: bool,
    pub ats_devices: AtsDevices,
    pub ats_budget: super::ats::Budget,
    /// Nothing is broken in memory that may refuse the answer to an invalidation.
    pub ats_answers: bool,
    /// Page requests since software took them.
    pub pages_unread: u64,
    /// Devices whose context a spoilt directory does not reach.
    pub cut_off: Vec<u32>,
    /// The IOMMU passes everything through for a while, though there is a directory.
    pub bare: bool,
    /// The access before.
    pub last: Option<crate::op::Dma>,
    /// What was edited last: traffic aims at it until its fence is behind.
    pub focus: Option<Stale>,
    /// The page that its command named.
    pub focus_page: Option<u64>,
    /// What is broken, and who runs into it.
    pub wreck: Option<super::wreck::Wreck>,
    /// Leaves that are gone, the newest last: traffic aims at some of them.
    pub ghosts: Vec<(Which, Leaf)>,
    pub out: Vec<OpAt>,
    pub round: u32,
    file: Arc<str>,
}

impl World {
    pub fn new(profile: Arc<Profile>, target: Target, seed: u64, mask: u64) -> Self {
        let caps = effective(target.caps, mask);
        let pas = (caps >> caps::PAS_SHIFT & 0x3f) as u32;
        let mut r = Streams::new(seed, "");
        let p = &profile;
        let racing = p.chance(Chance::Racing, &mut r.run);
        let mode = p
            .pick_of(&mut r.tables, |m| match m {
                Mode::Off | Mode::Bare => true,
                Mode::One => target.levels.contains(&Directory::One),
                Mode::Two => target.levels.contains(&Directory::Two),
                Mode::Three => target.levels.contains(&Directory::Three),
            })
            .unwrap_or(Mode::Bare);
        let mode = match mode {
            Mode::Off => Directory::Off,
            Mode::Bare => Directory::Bare,
            Mode::One => Directory::One,
            Mode::Two => Directory::Two,
            Mode::Three => Directory::Three,
        };
        let has = |name: &str| caps::feature(name).is_some_and(|b| caps & b != 0);
        // Without a second stage of that width it may be set all the same.
        let narrow = has("Sv32x4") && p.pick::<SecondStage>(&mut r.tables) == SecondStage::Sv32x4
            || !has("Sv32x4") && has("Sv32") && r.aim.percent(50);
        let gxl = target.gxl && narrow;
        let schemes = [
            (Scheme::Sv32, "Sv32"),
            (Scheme::Sv39, "Sv39"),
            (Scheme::Sv48, "Sv48"),
            (Scheme::Sv57, "Sv57"),
        ]
        .into_iter()
        .filter(|&(s, name)| has(name) && if s == Scheme::Sv32 { target.gxl } else { !gxl })
        .map(|(s, _)| s)
        .collect();
        let interrupts = p.chance(Chance::Interrupts, &mut r.queues);
        let wires = p.chance(Chance::Wires, &mut r.queues);
        let wires = match caps >> caps::IGS_SHIFT & 3 {
            0 => false,
            1 => true,
            _ => wires,
        };
        let vector = |r: &mut Random| r.below(u64::from(target.vectors.clamp(1, 4))) as u8;
        let vectors = (vector(&mut r.queues), vector(&mut r.queues));
        let used = [Amount::AtsRequests, Amount::PageRequests];
        let ats = has("ATS") && used.into_iter().any(|a| p.most(a) > 0);
        let page_vector = 1 + r.ats.below(u64::from(target.vectors.clamp(2, 4)) - 1) as u8;
        let page_log2 = p.amount(Amount::PageLog2, &mut r.ats).max(1) as u32;
        let big_endian = p.chance(Chance::BigEndian, &mut r.ways) && has("END");
        let halves = p.chance(Chance::Halves, &mut r.ways);
        let qos = p.chance(Chance::QosIds, &mut r.ways) && has("QOSID");
        let ids = r.ways.bits();
        let counter_vector = r.ways.below(u64::from(target.vectors.clamp(1, 4))) as u8;
        let driver = Driver::new(DriverConfig {
            pq_log2: ats.then_some(page_log2),
            more_vectors: if target.vectors > 1 {
                (counter_vector, page_vector)
            } else {
                (0, 0)
            },
            directory: mode,
            extended: caps & caps::MSI_FLAT != 0,
            cq_log2: p.amount(Amount::CommandLog2, &mut r.queues).max(1) as u32,
            fq_log2: p.amount(Amount::FaultLog2, &mut r.queues).max(1) as u32,
            interrupts,
            wires,
            vectors,
            gxl,
            big_endian,
            qos: qos.then_some((ids as u16 & 0xfff, (ids >> 16) as u16 & 0xfff)),
            // Its tables from TABLES on, messages to MESSAGES: the defaults.
            ..DriverConfig::default()
        });
        Self {
            file: format!("{}, seed {seed}", p.name).into(),
            profile,
            target,
            seed,
            caps,
            pas,
            driver,
            mode,
            gxl,
            racing,
            halves,
            globals: false,
            schemes,
            r,
            machines: Vec::new(),
            domains: Vec::new(),
            devices: Vec::new(),
            cast: Cast::default(),
            narrow: HashMap::new(),
            unread: 0,
            ats,
            ats_devices: AtsDevices::default(),
            ats_budget: super::ats::Budget::default(),
            ats_answers: true,
            pages_unread: 0,
            cut_off: Vec::new(),
            bare: false,
            last: None,
            focus: None,
            focus_page: None,
            wreck: None,
            ghosts: Vec::new(),
            out: Vec::new(),
            round: 0,
        }
    }

    pub fn has(&self, feature: &str) -> bool {
        caps::feature(feature).is_some_and(|b| self.caps & b != 0)
    }

    /// Takes over what the driver did.
    pub fn collect(&mut self, what: &str) {
        let ops = self.driver.take();
        if ops.is_empty() {
            return;
        }
        let at = self.at(what);
        for op in ops {
            self.append(op, &at);
        }
    }

    /// One operation more; 8-byte registers may be written by halves.
    fn append(&mut self, op: Op, at: &Where) {
        let mut put = |op| self.out.push(OpAt { op, at: at.clone() });
        let Op::RegWrite {
            offset,
            size: 8,
            value,
        } = op
        else {
            return put(op);
        };
        // Counters run on between the halves: software stops them first, and so does a directed test.
        let counter = (regs::IOHPMCYCLES..regs::TR_REQ_IOVA).contains(&offset);
        if !self.halves || counter {
            return put(op);
        }
        // The half with enables, sizes and modes last.
        put(Op::RegWrite {
            offset: offset + 4,
            size: 4,
            value: value >> 32,
        });
        if offset == regs::DDTP {
            put(Op::PollReg {
                offset,
                size: 4,
                mask: 1 << 4,
                value: 0,
            });
        }
        put(Op::RegWrite {
            offset,
            size: 4,
            value: value & 0xffff_ffff,
        });
    }

    /// One operation, behind what the driver did.
    pub fn push(&mut self, what: &str, op: Op) {
        self.collect(what);
        let at = self.at(what);
        self.append(op, &at);
    }

    /// Stores a doubleword that the block reads, in its byte order.
    pub fn store_word(&mut self, at: u64, value: u64) {
        let big = self.driver.cfg.big_endian;
        self.driver.store_entry(at, value, 8, big);
    }

    fn at(&self, what: &str) -> Where {
        Where {
            file: self.file.clone(),
            line: self.round,
            text: what.into(),
        }
    }

    pub fn write(&mut self, what: &str, offset: u16, size: u8, value: u64) {
        self.push(
            what,
            Op::RegWrite {
                offset,
                size,
                value,
            },
        );
    }

    /// Brings the IOMMU up, from reset.
    pub fn start(&mut self) {
        self.look_after_reset();
        self.driver.set_up_interrupts();
        if let Some((rcid, mcid)) = self.driver.cfg.qos {
            let value = u64::from(rcid) | u64::from(mcid) << 16;
            self.write("QoS ids", regs::IOMMU_QOSID, 4, value);
        }
        self.collect("start");
        self.driver.start_command_queue();
        self.driver.start_fault_queue();
        self.unread = 0;
        self.start_ats();
        // Reset has emptied every cache: a driver need not do it, and half of them do not.
        if self.r.resets.percent(50) {
            self.driver.invalidate_directory(None);
            self.driver.invalidate_all();
            self.driver.fence(true, true);
        }
        self.driver.set_mode(self.mode);
        self.collect("start");
    }

    /// Waits until everything has come to rest, and takes the fault records.
    pub fn drain(&mut self) {
        self.driver.drain_faults(None);
        self.collect("take the fault records");
        self.unread = 0;
    }

    /// The IOMMU forgets everything.
    pub fn tell_all(&mut self) {
        self.driver.invalidate_directory(None);
        self.invalidate_everything();
        self.driver.fence(true, true);
        self.collect("forget everything");
    }

    /// Every address space, of hosts and guests.
    pub fn invalidate_everything(&mut self) {
        self.driver.invalidate_all();
        // IOTINVAL.GVMA, by each GSCID or with GV=0, and IOTINVAL.VMA with GV.
        let each = !self.racing || self.r.edits.percent(50);
        if !each && !self.machines.is_empty() {
            self.driver.command(1 | 1 << 7, 0);
        }
        for n in 0..self.machines.len() {
            let gscid = u64::from(self.machines[n].gscid);
            if each {
                self.driver.command(1 | 1 << 7 | 1 << 33 | gscid << 44, 0);
            }
            self.driver.command(1 | 1 << 33 | gscid << 44, 0);
        }
    }

    /// Records that the fault queue surely holds, besides those that are in it.
    pub fn room(&self) -> u64 {
        ((1u64 << self.driver.cfg.fq_log2) - 1).saturating_sub(self.unread)
    }
}

/// `capabilities` under a mask, as docs/pins.md defines it.
pub fn effective(own: u64, mask: u64) -> u64 {
    const IGS: u64 = 3 << caps::IGS_SHIFT;
    const PAS: u64 = 0x3f << caps::PAS_SHIFT;
    const VERSION: u64 = 0xff;
    let pas = (own & PAS).min(mask & PAS);
    let igs = match (own & IGS, mask & IGS) {
        (o, 0) if o >> caps::IGS_SHIFT != 1 => 0,
        (o, m) if m >> caps::IGS_SHIFT == 1 && o != 0 => 1 << caps::IGS_SHIFT,
        (o, _) => o,
    };
    own & VERSION | own & mask & !(IGS | PAS | VERSION) | pas | igs
}
