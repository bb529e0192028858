//! The scoreboard: everything that happens at the pins of an IOMMU, compared with what the
//! specification's golden model says must happen.
//!
//! A run calls [`Scoreboard::on_clock`] with the events of each clock and the memory behind
//! the block, [`Scoreboard::on_store`] for what the driver stores, and
//! [`Scoreboard::finish`] at the end. What is wrong comes out as [`Violation`] values, never
//! as a panic.
//!
//! # Reading a violation
//!
//! ```text
//! cycle 4711: wrong-address (IOMMU 'Process to translate an IOVA')
//!   expected: AR 0x8020_3040
//!   got:      AR 0x8021_3040
//!   | 4690 device 0x000040 reads 64 bytes at 0x1040, id 3
//!   | 4690 golden: granted, 0x1040 -> 0x80203040; read DC 0x1000, PTE 0x2008
//!   | 4711 m_dev AR id 3
//! ```
//!
//! The first line has the clock of the event that broke the rule, the rule ([`Check`]) and
//! where it is written down; then what would have been right and what was seen; then the
//! story, oldest event first. One defect can break several rules: the violation with the
//! lowest cycle is the one to read.
#![warn(missing_docs)]

mod askers;
mod atomics;
mod check;
mod config;
mod debug;
mod dev;
mod hpm;
mod irq;
mod mrif;
mod on_ats;
mod on_dev;
mod on_mem;
mod on_pq;
mod on_queue;
mod on_reg;
mod oracle;
mod ports;
mod queues;
mod record;
mod record_queue;
mod sticky;
#[cfg(test)]
mod tests;
mod time;

pub use check::{Check, Violation};
pub use config::{ScoreboardConfig, Timing};
pub use oracle::{Legal, Load, Update, Verdict};
pub use record::{Class, Counters, TransactionRecord};

use std::collections::VecDeque;
use std::fmt::Write as _;

use askers::Askers;
use check::Report;
use debug::Debug;
use dev::Dev;
use hpm::Hpm;
use iommu_bus::ats::{
    AtsInvalidation, AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRange, AtsRequest,
};
use iommu_bus::event::{At, AxiAddr, Event};
use iommu_bus::mem::SparseMemory;
use iommu_coverage::Collector;
use iommu_golden::{ConfigError, Iommu};
use irq::Irq;
use mrif::Mrif;
use on_ats::Ats;
use on_pq::{Message, PageQueue};
use oracle::Oracle;
use ports::{MemPort, RegPort};
use queues::{CommandQueue, FaultQueue};
use time::Bounds;

/// Events that a story may show.
const REMEMBERED: usize = 24;

/// Checks every event at the pins. See the crate's documentation.
#[derive(Debug)]
pub struct Scoreboard {
    cfg: ScoreboardConfig,
    /// Registers as written, dynamic fields aside: those are in `cq`, `fq` and `irq`.
    iommu: Iommu,
    /// The same before the register writes that are in flight.
    before: Option<Box<Iommu>>,
    /// The same before a `ddtp` write that may not have taken effect yet; when it was
    /// accepted and answered.
    before_ddtp: Option<(Box<Iommu>, u64, Option<u64>)>,
    oracle: Oracle,
    /// Registers that translation depended on before, and until when they may have counted;
    /// open: they still may.
    past: Vec<Past>,
    /// A fence that orders reads, or writes, has been seen to have completed: what is on its
    /// way must rest on the new tables.
    bound: (bool, bool),
    dev: Dev,
    mem: MemPort,
    regs: RegPort,
    askers: Askers,
    mrif: Mrif,
    ats: Ats,
    messages: Vec<Message>,
    pq: PageQueue,
    hpm: Hpm,
    debug: Option<Debug>,
    qos: Qos,
    cq: CommandQueue,
    fq: FaultQueue,
    irq: Irq,
    report: Report,
    transactions: Vec<TransactionRecord>,
    counters: Counters,
    unspecified: Option<(u64, &'static str)>,
    timing: Timing,
    bounds: Bounds,
    now: u64,
    /// Clock of the last event on `m_mem` or of ATS.
    moved: u64,
    in_reset: bool,
    recent: VecDeque<At>,
    finished: bool,
    /// Counts what is seen, where somebody wants to know.
    coverage: Option<Box<Collector>>,
    /// The same while nothing is counted: what follows is UNSPECIFIED, up to the next reset.
    resting: Option<Box<Collector>>,
}

/// Registers of the past.
#[derive(Debug)]
struct Past {
    iommu: Iommu,
    /// Until this clock they may have counted.
    until: Option<u64>,
    /// A write of `ddtp` ended them: when `busy` is 0 again.
    ddtp: bool,
}

/// Whether it shows that walks, messages or records go on.
fn is_walk_event(event: &Event) -> bool {
    matches!(
        event,
        Event::MemAw(_)
            | Event::MemAr(_)
            | Event::MemW(_)
            | Event::MemB(_)
            | Event::MemR(_)
            | Event::AtsRequest(_)
            | Event::AtsCompletion(_)
            | Event::AtsInvalidation(_)
            | Event::AtsInvalidationDone(_)
            | Event::AtsPageRequest(_)
            | Event::AtsPrgResponse(_)
    )
}

impl Scoreboard {
    /// A scoreboard for a block that is about to be reset.
    ///
    /// # Errors
    /// Capabilities or choices that no IOMMU can have.
    pub fn new(cfg: ScoreboardConfig) -> Result<Self, ConfigError> {
        let iommu = Iommu::new(cfg.golden.clone())?;
        let timing = Timing::default();
        let bounds = Bounds::new(&cfg, &timing);
        let keeps_raw = cfg.speculates || cfg.fetch_granule > 8;
        let oracle = Oracle::new(cfg.golden.capabilities, keeps_raw);
        let mut board = Self {
            cfg,
            iommu,
            before: None,
            before_ddtp: None,
            oracle,
            past: Vec::new(),
            bound: (false, false),
            dev: Dev::new(),
            mem: MemPort::new(),
            regs: RegPort::default(),
            askers: Askers::default(),
            mrif: Mrif::default(),
            ats: Ats::default(),
            messages: Vec::new(),
            pq: PageQueue::default(),
            hpm: Hpm::default(),
            debug: None,
            qos: Qos::default(),
            cq: CommandQueue::default(),
            fq: FaultQueue::default(),
            irq: Irq::default(),
            report: Report::default(),
            transactions: Vec::new(),
            counters: Counters::default(),
            unspecified: None,
            timing,
            bounds,
            now: 0,
            moved: 0,
            in_reset: false,
            recent: VecDeque::with_capacity(REMEMBERED + 1),
            finished: false,
            coverage: None,
            resting: None,
        };
        board.forget();
        Ok(board)
    }

    /// How the agents answer from now on. Nothing counts as stuck that waits for a stopped port.
    pub fn set_timing(&mut self, timing: Timing) {
        let bounds = Bounds::new(&self.cfg, &timing);
        if let Some(c) = &mut self.coverage {
            c.timing(&timing.mem, &timing.out, &timing.dev, &timing.reg);
        }
        self.timing = timing;
        self.change_bounds(bounds);
    }

    /// One clock: what happened, and memory after it. Call it every clock, also without events.
    pub fn on_clock(&mut self, events: &[At], mem: &SparseMemory) {
        self.counters.clocks += 1;
        self.now += 1;
        self.oracle.words.catch_up(mem);
        // Nobody looks at the answers in a clock in which nothing happens.
        if self.dev.any_ask_again && (!events.is_empty() || self.now & 0x3f == 0) {
            self.ask_again(mem);
        }
        if self.bound != (false, false) {
            self.check_bound(mem);
        }
        match events {
            [] => {}
            [one] => {
                self.now = one.cycle;
                self.on_event(*one, mem);
            }
            many => {
                // Inputs of the block before what it may have made of them in the same clock.
                self.now = many[0].cycle;
                for rank in 0..=LAST_RANK {
                    for event in many.iter().filter(|e| rank_of(&e.event) == rank) {
                        self.on_event(*event, mem);
                    }
                }
            }
        }
        if self.now & 0x3f == 0 {
            self.on_time();
        }
    }

    fn on_event(&mut self, at: At, mem: &SparseMemory) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(at);
        if matches!(at.event, Event::Reset) && self.resting.is_some() {
            self.coverage = self.resting.take();
        }
        if let Some(c) = &mut self.coverage {
            c.event(&at, &self.iommu);
        }
        if is_walk_event(&at.event) {
            self.moved = at.cycle;
        }
        match at.event {
            Event::Reset => self.on_reset(),
            Event::DevAw(axi, side) => self.on_dev_request(true, axi, side, mem),
            Event::DevAr(axi, side) => self.on_dev_request(false, axi, side, mem),
            Event::DevW(beat) => self.on_dev_data(beat),
            Event::DevB(b) => {
                self.ask_again_now(mem);
                self.on_dev_b(b);
            }
            Event::DevR(r) => {
                self.ask_again_now(mem);
                self.on_dev_r(r);
            }
            Event::OutAw(axi) => {
                self.ask_again_now(mem);
                self.on_out_request(true, axi, mem);
            }
            Event::OutAr(axi) => {
                self.ask_again_now(mem);
                self.on_out_request(false, axi, mem);
            }
            Event::OutW(beat) => self.on_out_data(beat),
            Event::OutB(b) => self.on_out_b(b),
            Event::OutR(r) => self.on_out_r(r),
            Event::MemAw(axi) => self.on_mem_aw(axi),
            Event::MemAr(axi) => self.on_mem_ar(axi),
            Event::MemW(beat) => self.on_mem_w(beat),
            Event::MemSampled { id, addr, data } => {
                if !self.on_atomic_sampled(id, addr, data) {
                    self.on_mem_sampled(id);
                }
            }
            Event::MemStored { id } => {
                self.on_update_stored(id, mem);
                self.on_mem_stored(id);
            }
            Event::MemB(b) => self.on_mem_b(b, mem),
            Event::MemR(r) => self.on_mem_r(r),
            Event::RegWriteAccepted { addr, data, strb } => {
                self.on_reg_write(addr, data, strb, mem);
            }
            Event::RegWriteDone { addr, resp, .. } => self.on_reg_write_done(addr, resp),
            Event::RegReadAccepted { addr } => self.on_reg_read(addr),
            Event::RegReadDone { addr, data, resp } => {
                self.on_reg_read_done(addr, data, resp, mem);
            }
            Event::Wsi(wires) => self.on_wires(wires),
            Event::OutStored { id } => self.on_out_stored(id),
            Event::AtsRequest(w) => {
                self.on_ats_request(AtsRequest::unpack(&w), mem);
                let request = self.coverage.as_mut().and_then(|c| c.take_ats_request());
                self.cover_request(request, mem);
            }
            Event::AtsCompletion(w) => {
                self.ask_again_now(mem);
                self.on_ats_completion(AtsRange::unpack(&w), mem);
            }
            Event::AtsInvalidation(w) => self.on_ats_invalidation(AtsInvalidation::unpack(&w)),
            Event::AtsInvalidationDone(w) => {
                self.on_ats_done(AtsInvalidationDone::unpack(w), mem);
            }
            Event::AtsPageRequest(w) => self.on_page_request(AtsPageRequest::unpack(&w), mem),
            Event::AtsPrgResponse(w) => self.on_page_response(AtsPageResponse::unpack(w)),
            Event::AtsTimeout => self.on_ats_timeout(),
        }
    }

    /// Counts what a translation shows, once the oracle has looked at what it reads.
    fn cover_request(&mut self, request: Option<iommu_golden::Request>, mem: &SparseMemory) {
        if let (Some(c), Some(request)) = (&mut self.coverage, request) {
            c.request(&self.iommu, mem, &request, self.oracle.words.stamp);
        }
    }

    fn on_reset(&mut self) {
        if !self.in_reset {
            self.in_reset = true;
            self.forget();
        }
        self.hpm_reset();
    }

    /// Everything as after reset.
    fn forget(&mut self) {
        self.iommu.reset();
        self.before = None;
        self.before_ddtp = None;
        self.oracle.reset();
        self.past.clear();
        self.bound = (false, false);
        self.dev.reset();
        self.mem.reset();
        self.regs = RegPort::default();
        self.askers.clear();
        self.mrif = Mrif::default();
        let stopped = self.ats.stopped;
        self.ats = Ats::default();
        self.ats.stopped = stopped;
        self.messages.clear();
        self.pq = PageQueue::default();
        self.hpm_reset();
        self.debug = None;
        self.qos = Qos::default();
        self.cq = CommandQueue::default();
        self.fq = FaultQueue::default();
        let wires = self.irq.wires;
        self.irq = Irq::default();
        self.irq.wires = wires;
        self.irq.moved = self.now;
        if !self.cfg.reset_zero {
            self.mark_unspecified_resets();
        }
    }

    /// Software (or an agent that is not the block) is about to store, or has just stored,
    /// `bytes` at `addr`.
    pub fn on_store(&mut self, addr: u64, bytes: &[u8]) {
        self.oracle.words.store(addr, bytes.len() as u64, self.now);
        if let Some(c) = &mut self.coverage {
            c.store(addr, bytes.len() as u64);
        }
        // What a walk has read is watched.
        if self.oracle.words.behind() && self.anybody_asks() {
            self.mark_users(addr, bytes.len() as u64);
        }
    }

    /// Faults of memory ranges, or whole images, have changed: like a store to everywhere.
    pub fn on_memory_changed(&mut self) {
        self.oracle.words.store(0, u64::MAX, self.now);
        if self.anybody_asks() {
            self.mark_users(0, u64::MAX);
        }
    }

    /// Some walk is not decided.
    pub(crate) fn anybody_asks(&self) -> bool {
        self.dev.undecided > 0 || !self.askers.is_empty()
    }

    /// End of the run: nothing may be left over. Call it when everything has had time to end.
    pub fn finish(&mut self, mem: &SparseMemory) {
        if self.dev.any_ask_again {
            self.ask_again(mem);
        }
        if !self.finished {
            self.finished = true;
            self.check_leftovers();
        }
    }

    /// Counts coverage from here on.
    pub fn cover(&mut self) {
        let mut c = Box::new(Collector::new());
        let t = &self.timing;
        c.timing(&t.mem, &t.out, &t.dev, &t.reg);
        self.coverage = Some(c);
    }

    /// What was covered, if it was counted.
    #[must_use]
    pub fn coverage(&self) -> Option<&Collector> {
        self.coverage.as_deref().or(self.resting.as_deref())
    }

    /// What follows is UNSPECIFIED, up to the next reset: it does not count as covered.
    pub fn rest_coverage(&mut self) {
        if self.coverage.is_some() {
            self.resting = self.coverage.take();
        }
    }

    /// Everything that was wrong so far, in the order of discovery.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// Takes the violations, leaving none.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.report.violations)
    }

    /// Violations beyond those that are kept.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.report.suppressed
    }

    /// Takes the transactions that ended since the last call.
    pub fn take_transactions(&mut self) -> std::vec::Drain<'_, TransactionRecord> {
        self.transactions.drain(..)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The last register write whose effect the specification leaves open, with its clock: a
    /// test that makes one must not count on these checks.
    #[must_use]
    pub fn unspecified(&self) -> Option<(u64, &'static str)> {
        self.unspecified
    }

    /// Reports a broken rule, with the last events as the end of its story.
    fn fail(
        &mut self,
        check: Check,
        expected: impl Into<String>,
        got: impl Into<String>,
        story: String,
    ) {
        let mut story = story;
        if !story.is_empty() && !story.ends_with('\n') {
            story.push('\n');
        }
        story.push_str("last events at the pins:");
        for at in &self.recent {
            let _ = write!(story, "\n  {} {}", at.cycle, describe(&at.event));
        }
        self.report.add(self.now, check, expected, got, story);
    }
}

/// User bits of the IOMMU's own accesses: {MCID, RCID} of `iommu_qosid`.
pub(crate) fn own_user(iommu: &Iommu) -> u32 {
    let (rcid, mcid) = iommu.qos_ids(&iommu_golden::Label::CommandQueue, None);
    u32::from(rcid & 0xfff) | u32::from(mcid & 0xfff) << 12
}

/// User bits of the IOMMU's own accesses, while a change of `iommu_qosid` is young.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Qos {
    /// The value before, and until when it may still show.
    pub(crate) old: u32,
    pub(crate) until: u64,
}

/// The last rank that [`rank_of`] gives.
const LAST_RANK: u8 = 5;

/// Order of events within a clock.
fn rank_of(event: &Event) -> u8 {
    match event {
        Event::Reset => 0,
        Event::DevAw(..)
        | Event::DevAr(..)
        | Event::DevW(_)
        | Event::OutStored { .. }
        | Event::OutB(_)
        | Event::OutR(_)
        | Event::RegWriteAccepted { .. }
        | Event::RegReadAccepted { .. }
        | Event::AtsRequest(_)
        | Event::AtsPageRequest(_)
        | Event::AtsInvalidationDone(_)
        | Event::AtsTimeout => 1,
        Event::MemAw(_) | Event::MemAr(_) | Event::MemW(_) => 2,
        Event::MemStored { .. } | Event::MemSampled { .. } | Event::MemB(_) | Event::MemR(_) => 3,
        Event::OutAw(_) | Event::OutAr(_) | Event::OutW(_) => 4,
        Event::DevB(_)
        | Event::DevR(_)
        | Event::RegWriteDone { .. }
        | Event::RegReadDone { .. }
        | Event::Wsi(_)
        | Event::AtsCompletion(_)
        | Event::AtsInvalidation(_)
        | Event::AtsPrgResponse(_) => LAST_RANK,
    }
}

/// An address beat for people.
fn describe_axi(a: &AxiAddr) -> String {
    format!(
        "id {:#04x} addr {:#x} len {} size {} {:?}",
        a.id, a.addr, a.len, a.size, a.burst
    )
}

/// An event for people.
fn describe(event: &Event) -> String {
    match event {
        Event::Reset => "reset".into(),
        Event::DevAw(a, s) => format!("s_dev AW {} device {:#08x}", describe_axi(a), s.device_id),
        Event::DevAr(a, s) => format!("s_dev AR {} device {:#08x}", describe_axi(a), s.device_id),
        Event::DevW(w) => format!(
            "s_dev W {:#018x} strb {:#04x}{}",
            w.data,
            w.strb,
            last(w.last)
        ),
        Event::DevB(b) => format!("s_dev B id {:#04x} {:?}", b.id, b.resp),
        Event::DevR(r) => {
            format!(
                "s_dev R id {:#04x} {:#018x} {:?}{}",
                r.id,
                r.data,
                r.resp,
                last(r.last)
            )
        }
        Event::OutAw(a) => format!("m_dev AW {}", describe_axi(a)),
        Event::OutAr(a) => format!("m_dev AR {}", describe_axi(a)),
        Event::OutW(w) => format!(
            "m_dev W {:#018x} strb {:#04x}{}",
            w.data,
            w.strb,
            last(w.last)
        ),
        Event::OutStored { id } => format!("m_dev stored id {id:#04x}"),
        Event::OutB(b) => format!("m_dev B id {:#04x} {:?}", b.id, b.resp),
        Event::OutR(r) => {
            format!(
                "m_dev R id {:#04x} {:#018x} {:?}{}",
                r.id,
                r.data,
                r.resp,
                last(r.last)
            )
        }
        Event::MemAw(a) => format!("m_mem AW {}", describe_axi(a)),
        Event::MemAr(a) => format!("m_mem AR {}", describe_axi(a)),
        Event::MemW(w) => format!(
            "m_mem W {:#018x} strb {:#04x}{}",
            w.data,
            w.strb,
            last(w.last)
        ),
        Event::MemStored { id } => format!("m_mem stored id {id:#04x}"),
        Event::MemSampled { id, addr, data } => {
            format!("m_mem sampled id {id:#04x} {addr:#x}: {data:#018x}")
        }
        Event::MemB(b) => format!("m_mem B id {:#04x} {:?}", b.id, b.resp),
        Event::MemR(r) => format!(
            "m_mem R id {:#04x} {:#018x} {:?}{}{}",
            r.id,
            r.data,
            r.resp,
            last(r.last),
            if r.poison { " poison" } else { "" }
        ),
        Event::RegWriteAccepted { addr, data, strb } => {
            format!("s_reg write {addr:#05x} {data:#018x} strb {strb:#04x}")
        }
        Event::RegWriteDone { addr, resp, .. } => format!("s_reg write {addr:#05x} done {resp:?}"),
        Event::RegReadAccepted { addr } => format!("s_reg read {addr:#05x}"),
        Event::RegReadDone { addr, data, resp } => {
            format!("s_reg read {addr:#05x} gives {data:#018x} {resp:?}")
        }
        Event::Wsi(w) => format!("wires {w:#06x}"),
        Event::AtsCompletion(w) => format!("m_ats_tc {:x?}", AtsRange::unpack(w)),
        Event::AtsRequest(w) => format!("s_ats_tr {:x?}", AtsRequest::unpack(w)),
        Event::AtsInvalidation(w) => format!("m_ats_inv {:x?}", AtsInvalidation::unpack(w)),
        Event::AtsPrgResponse(w) => {
            format!("m_ats_prgr {:x?}", AtsPageResponse::unpack(*w))
        }
        Event::AtsPageRequest(w) => format!("s_ats_pr {:x?}", AtsPageRequest::unpack(w)),
        Event::AtsInvalidationDone(w) => {
            format!("s_ats_ic {:x?}", AtsInvalidationDone::unpack(*w))
        }
        Event::AtsTimeout => "ats_timeout".into(),
    }
}

fn last(last: bool) -> &'static str {
    if last { " last" } else { "" }
}
