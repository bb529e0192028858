//! Observes a run: every event at the pins, every translation of the golden model, every command.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use iommu_bus::ats::{AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRange, AtsRequest};
use iommu_bus::event::{At, AxiAddr, Burst, Event, Resp, Sideband};
use iommu_bus::mem::SparseMemory;
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};
use iommu_golden::{
    Access, Capabilities, Cause, Command, CommandError, Iommu, IommuMode, Iova, Request,
    RequestKind,
};

use crate::cover::{AnyCover, Target};
use crate::database::Functional;
use crate::points::Does;
use crate::points::ats::{
    Answer, AtsCoverage, Cycles, Debug, DebugCoverage, Event as HpmEvent, Extent, Filter,
    HpmCoverage, Invalidation, Page, PriCoverage,
};
use crate::points::bus::{
    Agent, Aligned, Attribute, AxiCoverage, Back, Barred, Beats, Class, Clocks, Dir, During,
    EndianCoverage, Ids, InFlight, Order, Port, QosCoverage, ResetCoverage, SameId, Shape, Strobes,
    Structure, TimeCoverage, Width,
};
use crate::points::command::{
    Ats, CommandCoverage, Illegal, Iodir, Kind, Place, Range, Traffic, Which,
};
use crate::points::fault::{CauseBin, Recorded, Who};
use crate::points::queue::{
    Cause as IrqCause, Clear, Fill, Happening, IrqCoverage, Queue, QueueCoverage, Signal, Size,
    Source, Vector,
};
use crate::points::race::{Change, Distance, RaceCoverage, Sync, Table};
use crate::points::register::{Field, How, Odd, Reg, RegisterCoverage};
use crate::points::rule;
use crate::points::walk::{Switch, Tag, TagCoverage};
use crate::trace::{self, Load, Translations};
use crate::{Axis, axis};

/// Requests remembered for what they have in common with the next.
const RECENT: usize = 12;
/// Translations remembered, so that a repeat need not be followed.
const FOLLOWED: usize = 1 << 12;

axis! {
    /// A queue's csr.
    enum Csr: "csr" { Command = "cqcsr", Fault = "fqcsr", Page = "pqcsr" }
}

/// Mixes a word address; the default hasher costs more than the rest.
#[derive(Default, Clone)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(b.into());
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}

/// A word of a table that a walk has read.
#[derive(Debug, Clone, Copy)]
struct Word {
    table: Table,
    value: u64,
    /// When software last stored to it since a walk read it.
    edited: Option<u64>,
}

/// A translation, without what does not change its walk: the offset in the page, the length.
type Repeat = (u64, u64);

/// Registers that a translation depends on.
type Governing = (IommuMode, u64, bool, bool, u32);

/// Translations that were followed since anything changed that they depend on.
#[derive(Debug, Clone, Default)]
struct Followed {
    stamp: u64,
    registers: Option<Governing>,
    seen: HashMap<Repeat, trace::Seen, BuildHasherDefault<Mix>>,
}

impl Followed {
    /// Forgets all if memory or registers are not as they were.
    fn refresh(&mut self, stamp: u64, iommu: &Iommu) {
        let r = iommu.registers();
        let registers = Some((r.mode, r.ddtp_ppn, r.be, r.gxl, r.iommu_qosid));
        if stamp != self.stamp || registers != self.registers || self.seen.len() >= FOLLOWED {
            self.seen.clear();
            self.stamp = stamp;
            self.registers = registers;
        }
    }
}

fn repeat_of(r: &Request) -> Repeat {
    let process = r.process_id.map_or(0, |p| u64::from(p) << 1 | 1);
    let how = r.kind as u64
        | (r.access as u64) << 2
        | u64::from(r.privileged) << 4
        | u64::from(r.execute_requested) << 5
        | u64::from(r.cxl) << 6;
    (
        r.iova.0 >> 12,
        u64::from(r.did()) | process << 24 | how << 48,
    )
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    device: u32,
    process: Option<u32>,
    page: u64,
    gscid: Option<u16>,
    pscid: Option<u32>,
    cause: Option<Cause>,
}

/// Where a queue stands, as the pins show it.
#[derive(Debug, Clone, Copy, Default)]
struct QueueSeen {
    /// Index of the last entry that was fetched or written.
    last: Option<u32>,
    csr: u32,
    used: bool,
}

/// What a burst on `m_mem` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Record,
    PageRecord,
    Message(u8),
    Other,
}

/// The counters of a run, and what is needed to count.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    walks: Translations,
    tag: TagCoverage,
    cmd: CommandCoverage,
    queue: QueueCoverage,
    irq: IrqCoverage,
    reg: RegisterCoverage,
    axi: AxiCoverage,
    time: TimeCoverage,
    reset: ResetCoverage,
    qos: QosCoverage,
    be: EndianCoverage,
    race: RaceCoverage,
    ats: AtsCoverage,
    pri: PriCoverage,
    hpm: HpmCoverage,
    dbg: DebugCoverage,

    now: u64,
    words: HashMap<u64, Word, BuildHasherDefault<Mix>>,
    loads: Vec<Load>,
    followed: Followed,
    recent: VecDeque<Recent>,
    /// Clocks of the last invalidation fetched and the last fence done.
    invalidated: Option<u64>,
    fenced: Option<u64>,
    last_request: Option<u64>,
    /// Ids of device reads and writes in flight.
    reads: Vec<u8>,
    writes: Vec<u8>,
    locked: Vec<(Dir, u8)>,
    /// Write bursts whose data has begun, and whose address has come, since reset.
    addresses: u64,
    data: u64,
    beat_of: bool,
    in_reset: bool,
    untouched: bool,
    queues: [QueueSeen; 3],
    mem_reads: usize,
    mem_writes: VecDeque<(u8, Purpose)>,
    /// Bursts whose data is still to come: purpose and beats seen.
    filling: VecDeque<(Purpose, u8)>,
    /// Data that came before its address: the first beat, and whether all of it is there.
    early: VecDeque<(u64, bool)>,
    registers: usize,
    wires: u16,
    cleared: u32,
    /// Completions of ATS requests under way: tag and who asked.
    ats_tags: Vec<(u16, Who)>,
    ats_invalidations: usize,
    debug: Option<(Does, Who)>,
    ats_asked: Option<Request>,
    /// Page requests that may be queued or answered: group, and whether with PASID.
    pages: Vec<(u16, bool)>,
    same_clock_address: u64,
}

impl Collector {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            untouched: true,
            ..Self::default()
        }
    }

    /// Every cover.
    #[must_use]
    pub fn covers(&self) -> Vec<&dyn AnyCover> {
        let w = &self.walks;
        [
            w.rule.covers(),
            w.fault.covers(),
            w.iova.covers(),
            w.dc.covers(),
            w.pc.covers(),
            w.walk.covers(),
            w.msi.covers(),
            self.tag.covers(),
            self.cmd.covers(),
            self.queue.covers(),
            self.irq.covers(),
            self.reg.covers(),
            self.axi.covers(),
            self.time.covers(),
            self.reset.covers(),
            self.qos.covers(),
            self.be.covers(),
            self.race.covers(),
            self.ats.covers(),
            self.pri.covers(),
            self.hpm.covers(),
            self.dbg.covers(),
        ]
        .concat()
    }

    /// What was counted, with the bins that `target` cannot hit excluded.
    #[must_use]
    pub fn functional(&self, target: &Target) -> Functional {
        Functional::of(&self.covers(), target)
    }

    /// Rules of the golden model that have no bin: this crate is behind it.
    #[must_use]
    pub fn unknown_rules(&self) -> &[String] {
        &self.walks.unknown
    }

    /// How the agents behave from now on.
    pub fn timing(&mut self, mem: &PortTiming, out: &PortTiming, dev: &DevTiming, reg: &RegTiming) {
        for (port, t) in [(Port::Mem, mem), (Port::Out, out)] {
            let fast = t.ready_percent == 100 && t.gap_percent == 0;
            for (agent, so) in [
                (Agent::Fast, fast && !t.stopped),
                (Agent::Slow, !fast),
                (Agent::Reorders, t.out_of_order),
                (Agent::Latency, t.latency.start() != t.latency.end()),
                (Agent::Stopped, t.stopped),
            ] {
                if so {
                    self.time.agent.hit((port, agent));
                }
            }
        }
        let fast = dev.aw_gap_percent == 0
            && dev.w_gap_percent == 0
            && dev.ar_gap_percent == 0
            && dev.b_ready_percent == 100
            && dev.r_ready_percent == 100;
        let stopped = dev.stop_requests || dev.stop_responses;
        for (port, fast, stopped) in [
            (Port::Dev, fast, stopped),
            (
                Port::Reg,
                reg.gap_percent == 0 && reg.ready_percent == 100,
                false,
            ),
        ] {
            let agent = if fast { Agent::Fast } else { Agent::Slow };
            self.time.agent.hit((port, agent));
            if stopped {
                self.time.agent.hit((port, Agent::Stopped));
            }
        }
    }

    // ---- translations

    /// A request was accepted, and is to be translated with these registers and this memory. `stamp`
    /// is another one whenever a word that a walk has read may have changed: a translation that was
    /// followed since then shows nothing new, and is not followed again.
    pub fn request(&mut self, iommu: &Iommu, mem: &SparseMemory, request: &Request, stamp: u64) {
        self.last_request = Some(self.now);
        self.followed.refresh(stamp, iommu);
        let repeat = repeat_of(request);
        let seen = match self.followed.seen.get(&repeat) {
            Some(&seen) => seen,
            None => self.follow(iommu, mem, request, repeat),
        };
        let now = Recent {
            device: request.did(),
            process: request.process_id,
            page: request.iova.0 >> 12,
            gscid: seen.gscid,
            pscid: seen.pscid,
            cause: seen.cause,
        };
        self.compare(&now);
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// A request of the debug interface begins. Its translation is a rule of its own only where an
    /// access would go to an interrupt file in memory.
    pub fn debug(&mut self, iommu: &Iommu, mem: &SparseMemory, request: &Request) {
        if trace::ends_in_mrif(iommu, mem, request) {
            self.walks.rule.taken.hit((rule::id::DBG,));
        }
    }

    /// Translates in the golden model, and counts what that shows.
    fn follow(
        &mut self,
        iommu: &Iommu,
        mem: &SparseMemory,
        request: &Request,
        repeat: Repeat,
    ) -> trace::Seen {
        let seen = trace::follow(&mut self.walks, &mut self.loads, iommu, mem, request);
        let mut settled = !seen.once;
        for n in 0..self.loads.len() {
            let load = self.loads[n];
            self.be.structure.hit((load.structure, load.big));
            settled &= self.reads_word(load.addr, load.bytes, load.table, load.word);
        }
        if settled {
            self.followed.seen.insert(repeat, seen);
        }
        seen
    }

    /// What this request has in common with those before it.
    fn compare(&mut self, now: &Recent) {
        fn one_bit(a: u64, b: u64) -> bool {
            (a ^ b).count_ones() == 1
        }
        let in_flight = self.reads.len() + self.writes.len() > 1;
        for old in &self.recent {
            if in_flight
                && now.cause.is_some()
                && now.cause == old.cause
                && now.device == old.device
            {
                self.time.faults_together.hit((true,));
            }
            let page = now.page == old.page;
            let same = now.device == old.device && now.process == old.process;
            let id = |tag| (tag,);
            if page && now.process == old.process && one_bit(now.device.into(), old.device.into()) {
                self.tag.differ.hit(id(Tag::Device));
            }
            if let (Some(a), Some(b)) = (now.process, old.process)
                && page
                && now.device == old.device
                && one_bit(a.into(), b.into())
            {
                self.tag.differ.hit(id(Tag::Process));
            }
            if let (Some(a), Some(b)) = (now.gscid, old.gscid)
                && page
                && now.pscid == old.pscid
                && one_bit(a.into(), b.into())
            {
                self.tag.differ.hit(id(Tag::Gscid));
            }
            if let (Some(a), Some(b)) = (now.pscid, old.pscid)
                && page
                && now.gscid == old.gscid
                && one_bit(a.into(), b.into())
            {
                self.tag.differ.hit(id(Tag::Pscid));
            }
            if same && one_bit(now.page, old.page) {
                self.tag.differ.hit(id(Tag::Address));
            }
        }
    }

    /// False if the next walk that reads it may show something else of the same edit.
    fn reads_word(&mut self, addr: u64, bytes: u32, table: Table, value: u64) -> bool {
        let mut settled = true;
        for w in (addr >> 3)..=((addr + u64::from(bytes.max(1)) - 1) >> 3) {
            // A context counts as one: its first word has V.
            let first = w == addr >> 3;
            match self.words.get_mut(&w) {
                None => {
                    if self.words.len() < 1 << 16 {
                        self.words.insert(
                            w,
                            Word {
                                table,
                                value,
                                edited: None,
                            },
                        );
                    }
                }
                Some(word) => {
                    if let Some(at) = word.edited.take() {
                        let after = |t: Option<u64>| t.is_some_and(|t| t > at);
                        let sync = if after(self.fenced) && after(self.invalidated) {
                            Sync::Fenced
                        } else if after(self.invalidated) {
                            Sync::Invalidated
                        } else {
                            Sync::None
                        };
                        let distance = Distance::of(self.now.saturating_sub(at));
                        self.race.edit.hit((table, distance, sync));
                        if sync != Sync::Fenced {
                            // More of the same edit may be seen.
                            word.edited = Some(at);
                            settled = false;
                        }
                    }
                    if first && word.value != value {
                        let (old, new) = (word.value, value);
                        let leaf = |w: u64| w & 0b1010 != 0;
                        let change = match (old & 1, new & 1) {
                            (0, 1) => Change::Set,
                            (1, 0) => Change::Cleared,
                            (1, 1) if leaf(old) && !leaf(new) && has_leaves(table) => {
                                Change::ToPointer
                            }
                            (1, 1) if !leaf(old) && leaf(new) && has_leaves(table) => {
                                Change::ToLeaf
                            }
                            _ if (old ^ new) >> 10 != 0 => Change::Moved,
                            _ => Change::Flags,
                        };
                        self.race.change.hit((table, change));
                    }
                    if first {
                        word.value = value;
                    }
                    word.table = table;
                }
            }
        }
        settled
    }

    /// Software stores `bytes` bytes at `addr`.
    pub fn store(&mut self, addr: u64, bytes: u64) {
        if bytes > 4096 {
            return;
        }
        for w in addr >> 3..=(addr + bytes.max(1) - 1) >> 3 {
            if let Some(word) = self.words.get_mut(&w) {
                word.edited = Some(self.now);
            }
        }
    }

    /// A transaction of a device has ended.
    pub fn ended(&mut self, write: bool, class: Class, clocks: u64) {
        let dir = if write { Dir::Write } else { Dir::Read };
        self.time.class.hit((dir, class));
        self.time.latency.hit((class, Clocks::of(clocks)));
    }

    // ---- commands

    /// A command was fetched whole, from this address.
    pub fn command(&mut self, iommu: &Iommu, addr: u64, command: &Result<Command, CommandError>) {
        let kind = Kind::of(command);
        let traffic = match (self.reads.is_empty(), self.writes.is_empty()) {
            (true, true) => Traffic::None,
            (false, true) => Traffic::Reads,
            (true, false) => Traffic::Writes,
            (false, false) => Traffic::Both,
        };
        self.cmd.traffic.hit((kind, traffic));
        let q = &iommu.registers().cq;
        let index = (addr.wrapping_sub(q.base_address()) >> 4) as u32 & q.index_mask();
        let place = match index {
            0 => Place::First,
            i if i == q.index_mask() => Place::Last,
            i if i & 0xff == 0 => Place::Page,
            _ => Place::Other,
        };
        self.cmd.place.hit((kind, place));
        self.moves(Queue::Command, index, q.index_mask());
        self.be
            .structure
            .hit((Structure::Command, iommu.registers().be));
        let undecided = !self.reads.is_empty() || !self.writes.is_empty();
        match command {
            Ok(Command::IotinvalVma(o)) => {
                self.cmd
                    .iotinval
                    .hit((Which::Vma, o.gv, o.av, o.pscv, o.nl, o.s));
                if o.av && o.s {
                    self.cmd.range.hit((Which::Vma, Range::of(o.addr)));
                }
            }
            Ok(Command::IotinvalGvma(o)) => {
                self.cmd
                    .iotinval
                    .hit((Which::Gvma, o.gv, o.av, o.pscv, o.nl, o.s));
                if o.gv && o.av && o.s {
                    self.cmd.range.hit((Which::Gvma, Range::of(o.addr)));
                }
            }
            Ok(Command::Iofence(f)) => self.cmd.fence.hit((f.av, f.wsi, f.pr, f.pw)),
            Ok(Command::InvalDdt { device_id: None }) => self.cmd.iodir.hit((Iodir::All,)),
            Ok(Command::InvalDdt { .. }) => self.cmd.iodir.hit((Iodir::One,)),
            Ok(Command::InvalPdt { .. }) => self.cmd.iodir.hit((Iodir::Pdt,)),
            Ok(Command::AtsInval(m)) => {
                self.cmd
                    .ats
                    .hit((Ats::Inval, m.process_id.is_some(), m.segment.is_some()));
            }
            Ok(Command::AtsPrgr(m)) => {
                self.cmd
                    .ats
                    .hit((Ats::Prgr, m.process_id.is_some(), m.segment.is_some()));
            }
            Err(e) => self.cmd.illegal.hit((Illegal::from(e),)),
        }
        if matches!(kind, Kind::Vma | Kind::Gvma | Kind::Ddt | Kind::Pdt) {
            self.invalidated = Some(self.now);
            if let Some(at) = self.last_request.filter(|_| undecided) {
                let distance = Distance::of(self.now.saturating_sub(at));
                self.race.invalidate.hit((kind, distance));
            }
        }
    }

    /// A fence has visibly completed.
    pub fn fence_done(&mut self) {
        self.fenced = Some(self.now);
    }

    /// The store of a fence failed.
    pub fn fence_store_failed(&mut self) {
        self.queue
            .event
            .hit((Queue::Command, Happening::FenceFailed));
    }

    /// A queue's index is used next.
    fn moves(&mut self, queue: Queue, index: u32, mask: u32) {
        let q = &mut self.queues[queue.index()];
        if q.last == Some(mask) && index == 0 {
            self.queue.wrap.hit((queue,));
        }
        q.last = Some(index);
        q.used = true;
        let entry = if queue == Queue::Fault { 32 } else { 16 };
        let bytes = (u64::from(mask) + 1) * entry;
        self.queue.size.hit((
            queue,
            match (mask, bytes) {
                (1, _) => Size::Two,
                (_, ..=4096) => Size::Page,
                _ => Size::Pages,
            },
        ));
    }

    // ---- events

    /// One event at the pins, with the registers before it.
    pub fn event(&mut self, at: &At, iommu: &Iommu) {
        self.now = at.cycle;
        match at.event {
            Event::Reset => self.on_reset(),
            Event::DevAw(a, s) => self.on_address(Dir::Write, &a, &s),
            Event::DevAr(a, s) => self.on_address(Dir::Read, &a, &s),
            Event::DevW(w) => {
                let lanes = match w.strb {
                    0 => Strobes::None,
                    0xff => Strobes::All,
                    _ => Strobes::Some,
                };
                self.axi.strobe.hit((lanes,));
                if !self.beat_of {
                    self.data += 1;
                    let order = match self.data.cmp(&self.addresses) {
                        std::cmp::Ordering::Greater => Order::Before,
                        _ if self.same_clock_address == at.cycle => Order::With,
                        _ => Order::After,
                    };
                    self.axi.data_first.hit((order,));
                }
                self.beat_of = !w.last;
            }
            Event::DevB(b) => {
                self.axi.dev_response.hit((Dir::Write, b.resp.into()));
                self.answered(Dir::Write, b.id, b.resp);
            }
            Event::DevR(r) => {
                self.axi.dev_response.hit((Dir::Read, r.resp.into()));
                if r.last {
                    self.answered(Dir::Read, r.id, r.resp);
                }
            }
            Event::OutAw(a) | Event::OutAr(a) => {
                let ids = if iommu.registers().mode == IommuMode::Bare {
                    Ids::Bare
                } else {
                    Ids::Device
                };
                if iommu.capabilities().has(Capabilities::QOSID) {
                    self.qos.id.hit((ids, a.user >> 2 != 0));
                }
            }
            Event::OutB(b) => self.axi.out_response.hit((Dir::Write, b.resp.into())),
            Event::OutR(r) => self.axi.out_response.hit((Dir::Read, r.resp.into())),
            Event::MemAr(_) => self.mem_reads += 1,
            Event::MemR(r) => {
                let back = if r.poison { Back::Poison } else { back(r.resp) };
                self.axi.mem_response.hit((Dir::Read, back));
                if r.last {
                    self.mem_reads = self.mem_reads.saturating_sub(1);
                }
            }
            Event::MemAw(a) => self.on_mem_aw(&a, iommu),
            Event::MemW(w) => self.on_mem_w(w.data, w.last, iommu),
            Event::MemB(b) => self.on_mem_b(b.id, b.resp, iommu),
            Event::RegWriteAccepted { addr, data, strb } => {
                self.on_register_write(addr, data, strb, iommu);
            }
            Event::RegReadAccepted { addr } => {
                self.registers += 1;
                let reg = Reg::at(addr);
                let how = if addr & 4 == 0 {
                    How::ReadLow
                } else {
                    How::ReadHigh
                };
                if addr & 3 == 0 {
                    self.reg.access.hit((reg, how));
                } else {
                    self.reg.odd.hit((Odd::ReadUnaligned,));
                }
                if self.untouched {
                    self.reg.reset_read.hit((reg,));
                }
            }
            Event::RegReadDone { addr, data, .. } => {
                self.registers = self.registers.saturating_sub(1);
                self.on_register_value(addr, data, iommu);
            }
            Event::RegWriteDone { .. } => self.registers = self.registers.saturating_sub(1),
            Event::Wsi(wires) => self.on_wires(wires, iommu),
            Event::AtsRequest(w) => self.on_ats_request(&AtsRequest::unpack(&w)),
            Event::AtsCompletion(w) => self.on_ats_completion(&AtsRange::unpack(&w)),
            Event::AtsInvalidation(_) => {
                self.ats_invalidations += 1;
                if self.ats_invalidations > 1 {
                    self.ats.invalidation.hit((Invalidation::Several,));
                }
            }
            Event::AtsPrgResponse(w) => {
                let r = AtsPageResponse::unpack(w);
                let page = match r.code {
                    0 => Page::Success,
                    1 => Page::Invalid,
                    _ => Page::Failure,
                };
                let group = r.group;
                // Those that software sends have no request of ours waiting.
                if let Some(n) = self.pages.iter().position(|p| p.0 == group) {
                    let (_, pasid) = self.pages.swap_remove(n);
                    self.pri.request.hit((page, pasid));
                }
            }
            Event::AtsPageRequest(w) => self.on_page_request(&AtsPageRequest::unpack(&w), iommu),
            Event::AtsInvalidationDone(w) => {
                let done = AtsInvalidationDone::unpack(w);
                let ended = done.itags.count_ones() as usize;
                self.ats_invalidations = self.ats_invalidations.saturating_sub(ended);
                self.ats.invalidation.hit((Invalidation::Completed,));
            }
            Event::AtsTimeout => {}
            Event::OutW(_)
            | Event::OutStored { .. }
            | Event::MemStored { .. }
            | Event::MemSampled { .. } => {}
        }
    }

    fn on_reset(&mut self) {
        if self.in_reset {
            return;
        }
        self.in_reset = true;
        for (during, so) in [
            (
                During::Requests,
                !self.reads.is_empty() || !self.writes.is_empty(),
            ),
            (During::Tables, self.mem_reads > 0),
            (During::Writes, !self.mem_writes.is_empty()),
            (During::Registers, self.registers > 0),
        ] {
            if so {
                self.reset.during.hit((during,));
            }
        }
        if self.reads.is_empty()
            && self.writes.is_empty()
            && self.mem_reads == 0
            && self.mem_writes.is_empty()
        {
            self.reset.during.hit((During::Nothing,));
        }
        self.reads.clear();
        self.writes.clear();
        self.locked.clear();
        self.mem_writes.clear();
        self.filling.clear();
        self.early.clear();
        self.mem_reads = 0;
        self.registers = 0;
        self.queues = [QueueSeen::default(); 3];
        self.addresses = 0;
        self.data = 0;
        self.beat_of = false;
        self.untouched = true;
        self.invalidated = None;
        self.fenced = None;
        self.last_request = None;
        self.recent.clear();
        self.words.clear();
        self.wires = 0;
        self.cleared = 0;
        self.ats_tags.clear();
        self.pages.clear();
        self.ats_invalidations = 0;
        self.debug = None;
    }

    fn on_address(&mut self, dir: Dir, a: &AxiAddr, _: &Sideband) {
        self.in_reset = false;
        let shape = Shape::from(a.burst);
        let width = match a.size {
            0 => Width::B1,
            1 => Width::B2,
            2 => Width::B4,
            _ => Width::B8,
        };
        let aligned = if a.addr & ((1 << a.size.min(3)) - 1) == 0 {
            Aligned::Yes
        } else {
            Aligned::No
        };
        let why = barred(a);
        if let Some(why) = why {
            self.axi.barred.hit((dir, why));
        }
        // What is no legal burst has no shape either.
        if why != Some(Barred::Wrap) {
            self.axi.request.hit((dir, shape, Beats::of(a.len), width));
            self.axi.align.hit((dir, shape, aligned));
        }
        for (attribute, set) in [
            (Attribute::Cache, a.cache != 0),
            (Attribute::Qos, a.qos != 0),
            (Attribute::Region, a.region != 0),
            (Attribute::Privileged, a.prot & 1 != 0),
            (Attribute::NonSecure, a.prot & 2 != 0),
            (Attribute::Instruction, a.prot & 4 != 0),
            (Attribute::Lock, a.lock),
        ] {
            self.axi.attributes.hit((dir, attribute, set));
        }
        let open = match dir {
            Dir::Read => &mut self.reads,
            Dir::Write => &mut self.writes,
        };
        if !open.is_empty() {
            let same = if open.contains(&a.id) {
                SameId::Same
            } else {
                SameId::Other
            };
            self.axi.same_id.hit((dir, same));
        }
        open.push(a.id);
        let n = open.len();
        self.axi.in_flight.hit((dir, InFlight::of(n)));
        if a.lock {
            self.locked.push((dir, a.id));
        }
        if dir == Dir::Write {
            self.addresses += 1;
            self.same_clock_address = self.now;
        }
    }

    fn answered(&mut self, dir: Dir, id: u8, resp: Resp) {
        let open = match dir {
            Dir::Read => &mut self.reads,
            Dir::Write => &mut self.writes,
        };
        if let Some(n) = open.iter().position(|&o| o == id) {
            open.remove(n);
        }
        if let Some(n) = self.locked.iter().position(|&l| l == (dir, id)) {
            self.locked.swap_remove(n);
            self.axi.lock.hit((dir, resp.into()));
        }
    }

    // ---- m_mem writes: records and messages

    fn on_mem_aw(&mut self, a: &AxiAddr, iommu: &Iommu) {
        let r = iommu.registers();
        let within = |base: u64, mask: u32, entry: u64| {
            let end = (u64::from(mask) + 1) * entry;
            a.addr >= base && a.addr - base < end
        };
        let purpose = if r.fq.enable && within(r.fq.base_address(), r.fq.index_mask(), 32) {
            let index = ((a.addr - r.fq.base_address()) >> 5) as u32;
            let mask = r.fq.index_mask();
            if a.addr & 31 == 0 {
                self.moves(Queue::Fault, index, mask);
                let after = index.wrapping_add(1) & mask;
                let filled = after.wrapping_sub(r.fq.head) & mask;
                self.queue.state.hit((
                    Queue::Fault,
                    if filled == mask {
                        Fill::Full
                    } else {
                        Fill::Some
                    },
                ));
            }
            self.be.structure.hit((Structure::Record, r.be));
            Purpose::Record
        } else if r.pq.enable && within(r.pq.base_address(), r.pq.index_mask(), 16) {
            let index = ((a.addr - r.pq.base_address()) >> 4) as u32;
            let mask = r.pq.index_mask();
            if a.addr & 15 == 0 {
                self.moves(Queue::Page, index, mask);
                let filled = index.wrapping_add(1).wrapping_sub(r.pq.head) & mask;
                self.queue.state.hit((
                    Queue::Page,
                    if filled == mask {
                        Fill::Full
                    } else {
                        Fill::Some
                    },
                ));
            }
            Purpose::PageRecord
        } else if let Some(vector) = (0..16u8).find(|&v| {
            !r.wsi
                && r.msi_cfg[usize::from(v)].addr == a.addr
                && (0..4).any(|n| r.vector_of(n) == v)
                && a.addr != 0
        }) {
            self.be.structure.hit((Structure::Message, r.be));
            self.signalled(Signal::Message, vector, iommu);
            Purpose::Message(vector)
        } else {
            Purpose::Other
        };
        if iommu.capabilities().has(Capabilities::QOSID) && purpose != Purpose::Other {
            self.qos.id.hit((Ids::Iommu, a.user != 0));
        }
        self.mem_writes.push_back((a.id, purpose));
        // Data may have come before its address.
        match self.early.pop_front() {
            None => self.filling.push_back((purpose, 0)),
            Some((data, whole)) => {
                self.first_beat(purpose, data, iommu);
                if !whole {
                    self.filling.push_back((purpose, 1));
                }
            }
        }
    }

    /// The first beat of a burst on `m_mem`, whose address is known.
    fn first_beat(&mut self, purpose: Purpose, data: u64, iommu: &Iommu) {
        if purpose != Purpose::Record {
            return;
        }
        let word = if iommu.registers().be {
            data.swap_bytes()
        } else {
            data
        };
        if let Some(cause) = Cause::from_code((word & 0xfff) as u16) {
            self.walks.fault.recorded.hit((CauseBin(cause),));
        }
        if let Some(kind) = Recorded::from_code(word >> 34 & 0x3f) {
            self.walks.fault.recorded_type.hit((kind,));
        }
    }

    fn on_mem_w(&mut self, data: u64, last: bool, iommu: &Iommu) {
        let Some(&(purpose, beats)) = self.filling.front() else {
            match self.early.back_mut() {
                Some((_, whole)) if !*whole => *whole = last,
                _ => self.early.push_back((data, last)),
            }
            return;
        };
        if beats == 0 {
            self.first_beat(purpose, data, iommu);
        }
        if last {
            self.filling.pop_front();
        } else if let Some((_, beats)) = self.filling.front_mut() {
            *beats = beats.saturating_add(1);
        }
    }

    fn on_mem_b(&mut self, id: u8, resp: Resp, iommu: &Iommu) {
        self.axi.mem_response.hit((Dir::Write, back(resp)));
        let Some(n) = self.mem_writes.iter().position(|w| w.0 == id) else {
            return;
        };
        let Some((_, purpose)) = self.mem_writes.remove(n) else {
            return;
        };
        let good = matches!(resp, Resp::Okay | Resp::ExOkay);
        let r = iommu.registers();
        match purpose {
            Purpose::Record if good => self
                .irq
                .cause
                .hit((IrqCause::Record, r.fq.interrupt_enable)),
            Purpose::PageRecord if good => {
                self.irq
                    .cause
                    .hit((IrqCause::PageRequest, r.pq.interrupt_enable));
                if !self.pages.is_empty() {
                    let (_, pasid) = self.pages.remove(0);
                    self.pri.request.hit((Page::Queued, pasid));
                }
            }
            Purpose::Message(_) if !good => self.irq.write_failed.hit((true,)),
            _ => {}
        }
    }

    /// A wire or message of this vector: of which source, if only one has it.
    fn signalled(&mut self, how: Signal, vector: u8, iommu: &Iommu) {
        let r = iommu.registers();
        let mut sources = Source::ALL
            .iter()
            .filter(|&&s| r.vector_of(s as u32) == vector);
        if let (Some(&source), None) = (sources.next(), sources.next()) {
            self.irq.signal.hit((source, how));
            if let Some(v) = Vector::from_index(vector.into()) {
                self.irq.vector.hit((source, v));
            }
        }
    }

    fn on_wires(&mut self, wires: u16, iommu: &Iommu) {
        let risen = wires & !self.wires;
        self.wires = wires;
        for vector in 0..16 {
            if risen >> vector & 1 == 1 {
                self.signalled(Signal::Wire, vector, iommu);
            }
        }
    }

    // ---- registers

    fn on_register_write(&mut self, addr: u16, data: u64, strb: u8, iommu: &Iommu) {
        self.in_reset = false;
        self.untouched = false;
        self.registers += 1;
        let reg = Reg::at(addr);
        match strb {
            0x0f if addr & 7 == 0 => self.reg.access.hit((reg, How::WriteLow)),
            0xf0 if addr & 7 == 4 => {
                self.reg.access.hit((reg, How::WriteHigh));
            }
            0xff if addr & 7 == 0 && reg.eight() => self.reg.access.hit((reg, How::WriteBoth)),
            0xff if addr & 7 == 0 => self.reg.odd.hit((Odd::Spans,)),
            0 => self.reg.odd.hit((Odd::NoStrobes,)),
            0x0f | 0xf0 | 0xff => self.reg.odd.hit((Odd::WriteUnaligned,)),
            _ => self.reg.odd.hit((Odd::Partial,)),
        }
        let legal = matches!((strb, addr & 7), (0x0f, 0) | (0xf0, 4) | (0xff, 0));
        if !legal {
            return;
        }
        let counts = &mut self.reg;
        let caps = iommu.capabilities();
        Field::written(addr, data, strb, caps.0, |f, v| counts.field.hit((f, v)));
        let word = addr & !7;
        let low = strb & 0x0f == 0x0f;
        let high = strb & 0xf0 == 0xf0;
        let r = iommu.registers();
        match word {
            16 if low => self.switch(data, r.mode),
            // cqt is the high half.
            32 if high => {
                let tail = (data >> 32) as u32 & r.cq.index_mask();
                let mask = r.cq.index_mask();
                let next = self.queues[0].last.map_or(0, |l| l.wrapping_add(1)) & mask;
                let filled = tail.wrapping_sub(next) & mask;
                let fill = match filled {
                    0 => Fill::Empty,
                    f if f == mask => Fill::Full,
                    _ => Fill::Some,
                };
                self.queue.state.hit((Queue::Command, fill));
            }
            48 if low => self.head(Queue::Fault, data as u32, r.fq.index_mask()),
            64 if low => self.head(Queue::Page, data as u32, r.pq.index_mask()),
            72 => {
                if low {
                    self.csr_write(Csr::Command, data as u32);
                }
                if high {
                    self.csr_write(Csr::Fault, (data >> 32) as u32);
                }
            }
            80 => {
                if low {
                    self.csr_write(Csr::Page, data as u32);
                }
                if high {
                    self.cleared |= (data >> 32) as u32 & 15;
                }
            }
            352..600 if low => self.hpm_event(data, high),
            608 if low && data & 1 == 1 => {
                let ctl = if high {
                    data
                } else {
                    (data & 0xffff_ffff) | r.tr_req_ctl >> 32 << 32
                };
                let does = match (ctl >> 2 & 1, ctl >> 3 & 1) {
                    (1, _) => Does::Execute,
                    (_, 1) => Does::Read,
                    _ => Does::Write,
                };
                let who = match (ctl >> 32 & 1, ctl >> 1 & 1) {
                    (0, _) => Who::Nobody,
                    (_, 0) => Who::User,
                    _ => Who::Supervisor,
                };
                self.debug = Some((does, who));
            }
            _ => {}
        }
    }

    fn switch(&mut self, data: u64, old: IommuMode) {
        let busy = !self.reads.is_empty() || !self.writes.is_empty();
        let switch = match (old, data & 15) {
            (IommuMode::Levels(_), 0) if busy => Switch::OffBusy,
            (IommuMode::Levels(_), 0) => Switch::OffIdle,
            (IommuMode::Bare, 0) => Switch::BareOff,
            (IommuMode::Off, 2..=4) => Switch::On,
            (IommuMode::Off, 1) => Switch::Bare,
            (IommuMode::Bare, 2..=4) => Switch::FromBare,
            _ => return,
        };
        self.walks.iova.switch.hit((switch,));
    }

    fn head(&mut self, queue: Queue, head: u32, mask: u32) {
        if let Some(last) = self.queues[queue.index()].last
            && last.wrapping_add(1) & mask == head & mask
        {
            self.queue.state.hit((queue, Fill::Empty));
        }
    }

    fn csr_write(&mut self, csr: Csr, value: u32) {
        let queue = Queue::ALL[csr.index()];
        let q = &mut self.queues[csr.index()];
        if q.csr & value & 0x0700 != 0 {
            self.queue.event.hit((queue, Happening::Cleared));
        }
        if q.csr & 1 == 0 && value & 1 == 1 {
            if q.used {
                self.queue.event.hit((queue, Happening::OnAgain));
            }
            q.last = None;
        }
    }

    fn on_register_value(&mut self, addr: u16, data: u64, iommu: &Iommu) {
        let low = data as u32;
        let high = (data >> 32) as u32;
        match addr {
            72 => self.csr_value(Csr::Command, low),
            76 => self.csr_value(Csr::Fault, high),
            80 => self.csr_value(Csr::Page, low),
            84 => self.ipsr(high, iommu),
            96 => {
                let inhibited = iommu.registers().iocountinh & 1 == 1;
                self.hpm.cycles.hit((if data >> 63 == 1 {
                    Cycles::Overflow
                } else if inhibited {
                    Cycles::Inhibited
                } else {
                    Cycles::Counts
                },));
            }
            616 => {
                if let Some((does, who)) = self.debug.take() {
                    let how = if data & 1 == 1 {
                        Debug::Fault
                    } else {
                        Debug::Done
                    };
                    self.dbg.request.hit((does, who, how));
                }
            }
            _ => {}
        }
    }

    fn csr_value(&mut self, csr: Csr, value: u32) {
        let queue = Queue::ALL[csr.index()];
        let old = self.queues[csr.index()].csr;
        self.queues[csr.index()].csr = value;
        let risen = value & !old;
        let bit = |n: u32| risen >> n & 1 == 1;
        let enabled = value >> 1 & 1 == 1;
        if bit(16) {
            self.queue.event.hit((queue, Happening::On));
        }
        if old >> 16 & 1 == 1 && value >> 16 & 1 == 0 {
            self.queue.event.hit((queue, Happening::Off));
        }
        if bit(8) {
            self.queue.event.hit((queue, Happening::Fault));
        }
        if bit(9) && queue != Queue::Command {
            self.queue.event.hit((queue, Happening::Overflow));
        }
        let causes: &[(u32, IrqCause)] = match queue {
            Queue::Command => &[
                (8, IrqCause::Cqmf),
                (9, IrqCause::CmdTo),
                (10, IrqCause::CmdIll),
                (11, IrqCause::FenceWip),
            ],
            Queue::Fault => &[(8, IrqCause::Fqmf), (9, IrqCause::Fqof)],
            Queue::Page => &[(8, IrqCause::Pqmf), (9, IrqCause::Pqof)],
        };
        for &(n, cause) in causes {
            if bit(n) {
                self.irq.cause.hit((cause, enabled));
                if cause == IrqCause::CmdTo {
                    self.ats.invalidation.hit((Invalidation::TimedOut,));
                    self.ats_invalidations = 0;
                }
            }
        }
    }

    fn ipsr(&mut self, value: u32, iommu: &Iommu) {
        let r = iommu.registers();
        for (n, &source) in Source::ALL.iter().enumerate() {
            let set = value >> n & 1 == 1;
            let there = match source {
                Source::Cip | Source::Fip => true,
                Source::Pmip => iommu.capabilities().has(Capabilities::HPM),
                Source::Pip => iommu.capabilities().has(Capabilities::ATS),
            };
            if self.cleared >> n & 1 == 1 && there {
                let after = if set { Clear::Again } else { Clear::Stays };
                self.irq.clear.hit((source, after));
            }
            if set && source == Source::Pmip {
                self.irq.cause.hit((IrqCause::Counter, true));
            }
            let vector = r.vector_of(n as u32);
            if set && !r.wsi && r.msi_cfg[usize::from(vector)].masked {
                self.irq.signal.hit((source, Signal::Masked));
            }
        }
        self.cleared = 0;
    }

    fn hpm_event(&mut self, low: u64, whole: bool) {
        if !whole {
            return;
        }
        let event = match low & 0x7fff {
            0 => HpmEvent::None,
            1 => HpmEvent::Untranslated,
            2 => HpmEvent::Translated,
            3 => HpmEvent::Ats,
            4 => HpmEvent::Miss,
            5 => HpmEvent::Ddt,
            6 => HpmEvent::Pdt,
            7 => HpmEvent::First,
            8 => HpmEvent::Second,
            _ => HpmEvent::Other,
        };
        let filter = match (low >> 62 & 1, low >> 61 & 1, low >> 60 & 1, low >> 15 & 1) {
            (_, 1, _, 1) => Filter::Masked,
            (_, 0, 0, _) => Filter::None,
            (0, 0, 1, _) => Filter::Pid,
            (0, 1, 0, _) => Filter::Did,
            (0, 1, 1, _) => Filter::Both,
            (_, 0, 1, _) => Filter::Pscid,
            (_, 1, 0, _) => Filter::Gscid,
            _ => Filter::BothContexts,
        };
        self.hpm.event.hit((event, filter));
    }

    // ---- ATS

    fn on_ats_request(&mut self, r: &AtsRequest) {
        let who = match (r.process_id, r.privileged) {
            (None, _) => Who::Nobody,
            (Some(_), false) => Who::User,
            (Some(_), true) => Who::Supervisor,
        };
        let does = match (r.execute, r.no_write) {
            (true, _) => Does::Execute,
            (false, true) => Does::Read,
            (false, false) => Does::Write,
        };
        self.ats.request.hit((does, who));
        self.ats_tags.push((r.tag, who));
        self.ats_asked = Some(Request {
            device_id: r.device_id,
            process_id: r.process_id,
            privileged: r.privileged,
            kind: RequestKind::AtsTranslation,
            access: if r.no_write {
                Access::Read
            } else {
                Access::Write
            },
            execute_requested: r.execute,
            cxl: r.cxl,
            iova: Iova(r.addr),
            len: 8,
        });
    }

    /// The ATS translation request of the last event, if it was one: to be given to
    /// [`Collector::request`].
    pub fn take_ats_request(&mut self) -> Option<Request> {
        self.ats_asked.take()
    }

    fn on_ats_completion(&mut self, c: &AtsRange) {
        let Some(n) = self.ats_tags.iter().position(|t| t.0 == c.tag) else {
            return;
        };
        let who = self.ats_tags[n].1;
        if c.last {
            self.ats_tags.swap_remove(n);
        }
        let answer = match c.status {
            0 if c.untranslated => Answer::UntranslatedOnly,
            0 if c.read || c.write || c.execute => Answer::Granted,
            0 => Answer::Denied,
            1 => Answer::Ur,
            _ => Answer::Ca,
        };
        self.ats.completion.hit((answer, who));
        if answer == Answer::Granted {
            let extent = match (c.large, (c.addr >> 12).trailing_ones()) {
                (false, _) => Extent::K4,
                (true, ..=8) => Extent::To2M,
                (true, _) => Extent::More,
            };
            self.ats.range.hit((extent,));
        }
    }

    fn on_page_request(&mut self, r: &AtsPageRequest, iommu: &Iommu) {
        let regs = iommu.registers();
        let pasid = r.process_id.is_some();
        let group = (r.payload >> 3 & 0x1ff) as u16;
        // L, W, R: a stop marker has L alone.
        let (last, stop) = (r.payload >> 2 & 1 == 1, r.payload & 7 == 4 && pasid);
        let lost = !regs.pq.enable
            || self.queues[Queue::Page.index()].csr & 0x300 != 0
            || !matches!(regs.mode, IommuMode::Levels(_));
        if lost && (!last || stop) {
            self.pri.request.hit((Page::Discarded, pasid));
        } else {
            self.pages.push((group, pasid));
        }
    }
}

fn has_leaves(table: Table) -> bool {
    matches!(table, Table::First | Table::Second)
}

fn back(resp: Resp) -> Back {
    match resp {
        Resp::Okay | Resp::ExOkay => Back::Okay,
        Resp::SlvErr => Back::SlvErr,
        Resp::DecErr => Back::DecErr,
    }
}

/// Why the bridge refuses a burst by itself.
fn barred(a: &AxiAddr) -> Option<Barred> {
    if a.atop != 0 {
        return Some(Barred::Atomic);
    }
    let bytes = (u64::from(a.len) + 1) << a.size.min(3);
    match a.burst {
        Burst::Reserved => Some(Barred::Wrap),
        Burst::Wrap
            if !matches!(a.len, 1 | 3 | 7 | 15) || a.addr & ((1 << a.size.min(3)) - 1) != 0 =>
        {
            Some(Barred::Wrap)
        }
        Burst::Fixed if a.len > 15 => Some(Barred::Wrap),
        Burst::Incr => {
            let first = a.addr & !((1 << a.size.min(3)) - 1);
            (first >> 12 != (first.wrapping_add(bytes - 1)) >> 12).then_some(Barred::Crosses)
        }
        _ => None,
    }
}
