//! Runs one test on one model: executes its operations, feeds the scoreboard,
//! stops at the first clock that is wrong.
//!
//! Everything the block can do (hang, break a protocol, fail an assertion) ends
//! in a [`Failure`] here, never in a panic.

mod devices;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iommu_bus::event::{AxiAddr, Event, Resp, Sideband, WBeat};
use iommu_coverage::Collector;
use iommu_scoreboard::{Check, Scoreboard, ScoreboardConfig, Timing, TransactionRecord};
use iommu_sim::{Device, ModelKind, SimError};
use iommu_testbench::{
    DevCompletion, DevDir, DevTicket, DevTransaction, RegOp, TbError, Testbench, TestbenchConfig,
    axi,
};
use iommu_testcase::ats::Atc;
use iommu_testcase::op::{BoundClass, Shape, match_records, translation_of};
use iommu_testcase::{Case, Dma, Expect, ExpectedRecord, Op, Where};

use crate::dut;
use crate::metrics::{LatencyClass, Metrics};
use crate::report::Failure;
use crate::suite::{Observation, Ticket};

/// Clocks without any event after which a wait is given up. Far above every
/// liveness bound of the scoreboard, which says more.
const QUIET_LIMIT: u64 = 50_000;
/// Clocks that polling (a register, a memory word) may take.
const POLL_LIMIT: u64 = 2_000_000;
/// Clocks before a failure that its waveform shows.
const WAVE_BEFORE: u64 = 2_000;
/// Clocks after it.
const WAVE_AFTER: u64 = 100;
/// Clocks that a message to a device may take once everything else has come to rest.
const SETTLE_MESSAGES: u32 = 2_000;
/// Failures that are told of one run; the first is the one to read.
const FAILURES_TOLD: usize = 4;

/// Register offsets that software needs to take fault records (section
/// "Memory-mapped register interface").
const FCTL: u16 = 8;
const FQB: u16 = 40;
const FQH: u16 = 48;
const FQT: u16 = 52;
/// Result of the debug interface.
const TR_RESPONSE: u16 = 616;

use devices::Devices;

/// A waveform to record.
#[derive(Debug, Clone)]
pub struct Wave {
    /// Where to.
    pub path: PathBuf,
    /// First clock.
    pub from: u64,
}

/// What a run is made from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name of the compiled model.
    pub dut: String,
    /// Seed.
    pub seed: u64,
    /// Seed of the state that reset does not touch; `None` takes `seed`. No result depends on it.
    pub model_seed: Option<u64>,
    /// What is legal for this block, with the capabilities of this run.
    pub scoreboard: ScoreboardConfig,
    /// Only so many operations.
    pub at_most: Option<u64>,
    /// Record a waveform.
    pub wave: Option<Wave>,
    /// The device promises cycles: what a test says about latency and throughput counts.
    pub timed: bool,
    /// What is counted besides.
    pub coverage: Covering,
    /// Measure what takes the time.
    pub measure: bool,
    /// Say more.
    pub verbose: bool,
}

impl Setup {
    /// A whole run of a block that promises cycles: nothing recorded, counted or measured besides.
    #[must_use]
    pub fn new(dut: &str, seed: u64, scoreboard: ScoreboardConfig) -> Self {
        Self {
            dut: dut.to_owned(),
            seed,
            model_seed: None,
            scoreboard,
            at_most: None,
            wave: None,
            timed: true,
            coverage: Covering::default(),
            measure: false,
            verbose: false,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Clocks.
    pub cycles: u64,
    /// Hash of all events.
    pub event_hash: u64,
    /// Figures.
    pub metrics: Metrics,
    /// Those since the test's last `measure`.
    pub measured: Metrics,
    /// What was wrong; empty when nothing was.
    pub failures: Vec<Failure>,
    /// It was stopped from outside.
    pub interrupted: bool,
    /// The test itself could not go on (a file is missing, a line makes no sense).
    pub error: Option<String>,
    /// Wall-clock time of the simulation.
    pub wall: Duration,
    /// What was covered, where it was asked for.
    pub coverage: Option<Seen>,
    /// What took the time, where it was asked for.
    pub spent: Spent,
}

/// Wall time of the parts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// The model.
    pub model: Duration,
    /// The agents and protocol checkers.
    pub agents: Duration,
    /// Scoreboard, golden model and coverage.
    pub checking: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.model += more.model;
        self.agents += more.agents;
        self.checking += more.checking;
    }
}

/// What coverage a run counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Covering {
    /// None.
    #[default]
    Nothing,
    /// Functional coverage.
    Functional,
    /// Functional coverage, and that of the RTL: on the model that counts it.
    Everything,
}

/// What a run has covered.
#[derive(Debug)]
pub struct Seen {
    /// Functional coverage.
    pub functional: Box<Collector>,
    /// Verilator's `coverage.dat`.
    pub rtl: Option<String>,
}

impl Outcome {
    /// A run that could not begin.
    fn error(why: String) -> Self {
        Self {
            cycles: 0,
            event_hash: 0,
            metrics: Metrics::default(),
            measured: Metrics::default(),
            failures: Vec::new(),
            interrupted: false,
            error: Some(why),
            wall: Duration::ZERO,
            coverage: None,
            spent: Spent::default(),
        }
    }
}

/// Why a step of a run cannot go on.
enum Stop {
    /// Failures are in `Runner::failures`.
    Failed,
    Interrupted,
    Error(String),
}

type Go<T = ()> = Result<T, Stop>;

/// Runs a test once, on the device that the setup names.
pub fn run(case: &Case, setup: &Setup, ticket: &Ticket<'_>) -> Outcome {
    let kind = if setup.wave.is_some() {
        ModelKind::Wave
    } else if setup.coverage == Covering::Everything {
        ModelKind::Coverage
    } else {
        ModelKind::Fast
    };
    // The habits of the software device are no state that reset leaves: the test's seed draws them.
    let soft = iommu_softdut::is_soft(&setup.dut);
    let seed = setup.model_seed.filter(|_| !soft).unwrap_or(setup.seed);
    match dut::make(&setup.dut, kind, seed) {
        Ok(device) => run_on(device, case, setup, ticket),
        Err(e) => Outcome::error(e),
    }
}

/// Runs a test once, on anything with pins and a clock.
pub fn run_on(
    device: Box<dyn Device + Send>,
    case: &Case,
    setup: &Setup,
    ticket: &Ticket<'_>,
) -> Outcome {
    let begin = Instant::now();
    match Runner::new(device, case, setup, ticket) {
        Ok(mut r) => {
            let end = r.all(case);
            r.outcome(end, begin)
        }
        Err(why) => Outcome::error(why),
    }
}

/// The waveform window round a failure.
pub fn wave_window(outcome: &Outcome, path: PathBuf) -> Wave {
    let at = outcome
        .failures
        .iter()
        .map(|f| f.cycle)
        .min()
        .unwrap_or(outcome.cycles);
    Wave {
        path,
        from: at.saturating_sub(WAVE_BEFORE),
    }
}

/// Reads `capabilities` of a model under a mask: a block out of reset, one read.
///
/// # Errors
/// The model failed, or no answer came.
pub fn probe_capabilities(name: &str, caps_mask: u64) -> Result<u64, String> {
    let device = dut::make(name, ModelKind::Fast, 1)?;
    let mut tb = Testbench::new(
        device,
        TestbenchConfig {
            seed: 1,
            caps_mask,
            ..TestbenchConfig::default()
        },
    );
    tb.reset(4).map_err(|e| e.to_string())?;
    tb.submit_reg(RegOp::Read { offset: 0, size: 8 });
    for _ in 0..10_000 {
        tb.step().map_err(|e| e.to_string())?;
        if let Some(done) = tb.take_reg_done() {
            return Ok(done.value);
        }
    }
    Err(format!(
        "`{name}` does not answer a read of `capabilities` (s_reg, offset 0) within 10,000 clocks after reset"
    ))
}

struct Pending {
    dma: Dma,
    at: Where,
}

struct Runner<'a> {
    tb: Testbench,
    sb: Scoreboard,
    setup: &'a Setup,
    ticket: &'a Ticket<'a>,
    metrics: Metrics,
    /// Since `Op::Measure`.
    window: Metrics,
    pending: HashMap<DevTicket, Pending>,
    ended: Vec<DevCompletion>,
    records: Vec<TransactionRecord>,
    devices: Devices,
    /// Software wrote fctl.BE: records in memory may be big-endian.
    big_endian: bool,
    /// Accesses under way whose user bits on `m_dev` a test cares about.
    user_wanted: usize,
    /// Bursts that left on `m_dev` while there were any: clock, id, write, user bits.
    left: Vec<(u64, u8, bool, u32)>,
    failures: Vec<Failure>,
    at: Where,
    last_event: u64,
    tracing: bool,
    timing: Timing,
    spent: Spent,
    /// What [`Scoreboard::unspecified`] said when reset ended last.
    unspecified_before_reset: Option<(u64, &'static str)>,
    /// The test says that it is (a register written while busy, which no model knows).
    declared_unspecified: bool,
}

impl<'a> Runner<'a> {
    fn new(
        device: Box<dyn Device + Send>,
        case: &Case,
        setup: &'a Setup,
        ticket: &'a Ticket<'a>,
    ) -> Result<Self, String> {
        let setting = case.setting(setup.seed);
        let timing = Timing {
            mem: setting.timings.mem,
            out: setting.timings.out,
            dev: setting.timings.dev,
            reg: setting.timings.reg,
        };
        let mut tb = Testbench::new(
            device,
            TestbenchConfig {
                seed: setup.seed,
                caps_mask: setting.caps_mask,
                mem: timing.mem.clone(),
                out: timing.out.clone(),
                dev: timing.dev.clone(),
                reg: timing.reg.clone(),
                ..TestbenchConfig::default()
            },
        );
        if setup.measure {
            tb.measure();
        }
        let mut sb = Scoreboard::new(setup.scoreboard.clone()).map_err(|e| e.to_string())?;
        if setup.coverage != Covering::Nothing {
            sb.cover();
        }
        sb.set_timing(timing.clone());
        Ok(Self {
            tb,
            sb,
            setup,
            ticket,
            metrics: Metrics::default(),
            window: Metrics::default(),
            pending: HashMap::new(),
            ended: Vec::new(),
            records: Vec::new(),
            devices: Devices::default(),
            big_endian: false,
            user_wanted: 0,
            left: Vec::new(),
            failures: Vec::new(),
            at: Where {
                text: "reset".into(),
                ..Where::default()
            },
            last_event: 0,
            tracing: false,
            timing,
            spent: Spent::default(),
            unspecified_before_reset: None,
            declared_unspecified: false,
        })
    }

    fn outcome(mut self, end: Go, begin: Instant) -> Outcome {
        if self.tracing {
            // A few clocks more, so that the waveform does not end on the mismatch.
            for _ in 0..WAVE_AFTER {
                if self.tb.step().is_err() {
                    break;
                }
            }
            self.tb.trace_stop();
        }
        let (interrupted, error) = match end {
            Ok(()) | Err(Stop::Failed) => (false, None),
            Err(Stop::Interrupted) => (true, None),
            Err(Stop::Error(e)) => (false, Some(e)),
        };
        let mut error = error;
        let coverage = self.seen().unwrap_or_else(|e| {
            error.get_or_insert(e);
            None
        });
        let model = self.tb.measured();
        let spent = Spent {
            model,
            agents: self.spent.agents.saturating_sub(model),
            ..self.spent
        };
        self.metrics.close();
        self.window.close();
        Outcome {
            coverage,
            spent,
            cycles: self.tb.cycle(),
            event_hash: self.tb.event_hash(),
            metrics: self.metrics,
            measured: self.window,
            failures: self.failures,
            interrupted,
            error,
            wall: begin.elapsed(),
        }
    }

    /// What was covered.
    fn seen(&mut self) -> Result<Option<Seen>, String> {
        let Some(functional) = self.sb.coverage().cloned() else {
            return Ok(None);
        };
        let rtl = if self.setup.coverage == Covering::Everything && self.setup.wave.is_none() {
            // Verilator writes to a file only.
            static RUNS: AtomicU64 = AtomicU64::new(0);
            let n = RUNS.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("iommu-cosim-{}-{n}.dat", std::process::id()));
            self.tb.write_coverage(&path).map_err(|e| e.to_string())?;
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string());
            let _ = std::fs::remove_file(&path);
            Some(text?)
        } else {
            None
        };
        Ok(Some(Seen {
            functional: Box::new(functional),
            rtl,
        }))
    }

    fn all(&mut self, case: &Case) -> Go {
        self.reset(4)?;
        let ops = case
            .ops(self.setup.seed)
            .map_err(|e| Stop::Error(e.to_string()))?;
        let limit = self.setup.at_most.unwrap_or(u64::MAX);
        let mut told = 0;
        let mut done = 0;
        for op in ops {
            if done == limit {
                break;
            }
            let op = op.map_err(|e| Stop::Error(e.to_string()))?;
            self.at = op.at;
            self.execute(op.op)?;
            done += 1;
            if done - told == 64 {
                self.ticket.advance(64, self.metrics.transactions());
                told = done;
            }
        }
        self.at = Where {
            text: "end of the test".into(),
            ..self.at.clone()
        };
        self.wait_idle()?;
        self.sb.finish(self.tb.memory_ref());
        self.take_violations();
        if let Err(e) = self.tb.finish() {
            self.protocol(&e);
        }
        self.check()
    }

    // ------------------------------------------------------------ one clock

    fn check(&self) -> Go {
        if self.failures.is_empty() {
            Ok(())
        } else {
            Err(Stop::Failed)
        }
    }

    fn clock(&mut self) -> Go {
        if let Some(w) = &self.setup.wave
            && !self.tracing
            && self.tb.cycle() >= w.from
        {
            self.tracing = true;
            if let Err(e) = self.tb.trace_start(&w.path) {
                return Err(Stop::Error(e.to_string()));
            }
        }
        let begin = self.setup.measure.then(Instant::now);
        let stepped = self.tb.step().map(|_| ());
        let checking = begin.map(|begin| (begin.elapsed(), Instant::now()));
        self.sb.on_clock(self.tb.events(), self.tb.memory_ref());
        if let Some((stepping, begin)) = checking {
            self.spent.agents += stepping;
            self.spent.checking += begin.elapsed();
        }
        if !self.tb.events().is_empty() {
            self.last_event = self.tb.cycle();
        }
        if self.user_wanted > 0 {
            for e in self.tb.events() {
                match e.event {
                    Event::OutAr(a) => self.left.push((e.cycle, a.id, false, a.user)),
                    Event::OutAw(a) => self.left.push((e.cycle, a.id, true, a.user)),
                    _ => {}
                }
            }
        }
        self.ats_clock();
        for t in self.sb.take_transactions() {
            self.metrics.record(&t);
            self.window.record(&t);
            self.records.push(t);
        }
        while let Some(done) = self.tb.take_dev_done() {
            self.ticket.observe(|| Observation {
                device_id: done.side.device_id,
                number: done.ticket.0,
                resp: done.resp,
                data: done.data.iter().map(|b| (b.data, b.resp)).collect(),
            });
            self.ended.push(done);
        }
        if let Err(e) = stepped {
            self.protocol(&e);
        }
        self.take_violations();
        self.check()?;
        let now = self.tb.cycle();
        if now.is_multiple_of(4096) && self.ticket.stopped() || now > self.ticket.most_cycles() {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }

    fn take_violations(&mut self) {
        if self.sb.violations().is_empty() {
            return;
        }
        let open = self.unspecified();
        for v in self.sb.take_violations() {
            // What the specification leaves open has no right outcome; the rest still has.
            if open && !holds_when_unspecified(v.check) {
                continue;
            }
            if self.failures.len() < FAILURES_TOLD {
                let (check, at) = (v.check.name().to_owned(), self.at.to_string());
                self.failures.push(Failure {
                    story: v.story,
                    ..failure(v.cycle, check, v.spec, v.expected, v.got, at)
                });
            }
        }
        self.failures.sort_by_key(|f| f.cycle);
    }

    /// Since the last reset, a register write had an effect that is UNSPECIFIED.
    fn unspecified(&self) -> bool {
        self.declared_unspecified || self.sb.unspecified() != self.unspecified_before_reset
    }

    fn protocol(&mut self, e: &TbError) {
        let now = self.tb.cycle();
        let (cycle, check, rule, expected, got) = match e {
            TbError::Protocol(v) => (
                v.cycle,
                format!("{}_{} {}", v.port, v.channel.name(), v.rule),
                "AMBA AXI protocol, design 4",
                v.rule.description(),
                v.detail.clone(),
            ),
            TbError::Sim(s) => {
                let (check, expected) = match s {
                    SimError::Assertion { .. } => ("rtl-assertion", "assertions in the RTL hold"),
                    _ => ("rtl-fatal", "the model goes on"),
                };
                let rule = "the RTL's own statement";
                (now, check.to_owned(), rule, expected, s.to_string())
            }
            other => (now, "testbench".to_owned(), "", "", other.to_string()),
        };
        let at = self.at.to_string();
        self.failures
            .push(failure(cycle, check, rule, expected.to_owned(), got, at));
    }

    /// The test's own expectation does not hold.
    fn mismatch(&mut self, check: &str, expected: String, got: String) -> Stop {
        self.mismatch_at(check, expected, got, self.at.clone())
    }

    fn mismatch_at(&mut self, check: &str, expected: String, got: String, at: Where) -> Stop {
        let (cycle, rule) = (self.tb.cycle(), "what the test expects");
        self.failures.push(failure(
            cycle,
            check.to_owned(),
            rule,
            expected,
            got,
            at.to_string(),
        ));
        Stop::Failed
    }

    /// Clocks until `done`; gives up when nothing moves any more.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Go {
        self.last_event = self.tb.cycle();
        while !done(self) {
            self.clock()?;
            if self.tb.cycle() - self.last_event > QUIET_LIMIT {
                let o = self.tb.outstanding();
                let awaited = self.sb.waits_for().unwrap_or("nothing");
                return Err(self.mismatch(
                    "no-progress",
                    format!("{what} within {QUIET_LIMIT} clocks of the last handshake"),
                    format!("nothing moves; the scoreboard awaits {awaited}; outstanding: {o:?}"),
                ));
            }
        }
        Ok(())
    }

    // ------------------------------------------------------------ operations

    fn execute(&mut self, op: Op) -> Go {
        match op {
            Op::Store { addr, data } => self.store(addr, &data),
            Op::ZeroPage { addr } => self.store(addr & !0xfff, &[0; 4096]),
            Op::LoadImage { pages } => {
                for (addr, bytes) in pages.iter() {
                    self.tb.memory().load_image(*addr, bytes);
                }
                self.sb.on_memory_changed();
            }
            Op::MemFault {
                range,
                access,
                fault,
            } => {
                self.tb.memory().add_fault_for(range, access, fault);
                self.sb.on_memory_changed();
            }
            Op::ClearFaults => {
                self.tb.memory().clear_faults();
                self.sb.on_memory_changed();
            }
            Op::ExpectMemory { addr, data } => {
                let mut got = vec![0; data.len()];
                self.tb.memory_ref().read(addr, &mut got);
                if got != data {
                    return Err(self.mismatch(
                        "memory",
                        format!("{} at {addr:#x}", hex(&data)),
                        hex(&got),
                    ));
                }
            }
            Op::PollMem {
                addr,
                size,
                mask,
                value,
            } => {
                let begin = self.tb.cycle();
                loop {
                    let got = if size == 4 {
                        u64::from(self.tb.memory_ref().read_u32(addr))
                    } else {
                        self.tb.memory_ref().read_u64(addr)
                    };
                    if got & mask == value & mask {
                        break;
                    }
                    if self.tb.cycle() - begin > QUIET_LIMIT {
                        return Err(self.mismatch(
                            "memory",
                            format!("{value:#x} (mask {mask:#x}) at {addr:#x} within {QUIET_LIMIT} clocks"),
                            format!("{got:#x}"),
                        ));
                    }
                    self.clock()?;
                }
            }
            Op::RegWrite {
                offset,
                size,
                value,
            } => {
                if offset == FCTL {
                    self.big_endian = value & 1 != 0;
                }
                self.register(RegOp::Write {
                    offset,
                    size,
                    value,
                })?;
            }
            Op::RegWriteRaw { offset, data, strb } => {
                self.register(RegOp::Raw { offset, data, strb })?;
            }
            Op::RegBegin {
                offset,
                size,
                write,
            } => {
                // Whoever waits for the next access passes over its end.
                let _ = self.tb.submit_reg(match write {
                    None => RegOp::Read { offset, size },
                    Some(value) => RegOp::Write {
                        offset,
                        size,
                        value,
                    },
                });
            }
            Op::RegRead {
                offset,
                size,
                expect,
            } => {
                let got = self.register(RegOp::Read { offset, size })?;
                if let Some((value, mask)) = expect
                    && (got ^ value) & mask != 0
                {
                    return Err(self.mismatch(
                        "register-read",
                        format!("{value:#x} (mask {mask:#x}) at offset {offset:#x}"),
                        format!("{got:#x}"),
                    ));
                }
            }
            Op::PollReg {
                offset,
                size,
                mask,
                value,
            } => {
                // A trial of the reducer need not wait as long as a slow block may take.
                let limit = if self.ticket.most_cycles() < u64::MAX {
                    QUIET_LIMIT
                } else {
                    POLL_LIMIT
                };
                let begin = self.tb.cycle();
                loop {
                    let got = self.register(RegOp::Read { offset, size })?;
                    if (got ^ value) & mask == 0 {
                        break;
                    }
                    if self.tb.cycle() - begin > limit {
                        return Err(self.mismatch(
                            "register-poll",
                            format!("{value:#x} (mask {mask:#x}) at offset {offset:#x} within {limit} clocks"),
                            format!("{got:#x}; command queue: {}", self.sb.command_story()),
                        ));
                    }
                }
            }
            Op::Dma(dma) => {
                let dma = if dma.atc == Atc::None {
                    dma
                } else {
                    match self.through_cache(&dma)? {
                        Some(dma) => dma,
                        None => return Ok(()),
                    }
                };
                self.user_wanted += usize::from(dma.user.bits().1 != 0);
                let ticket = self.tb.submit_dev(transaction(&dma));
                let at = self.at.clone();
                self.pending.insert(ticket, Pending { dma, at });
                // Submission takes no time: several in a row overlap as the port allows.
            }
            Op::WaitDma => self.wait_dma()?,
            Op::WaitIdle => self.wait_idle()?,
            Op::Cycles(n) => {
                for _ in 0..n {
                    self.clock()?;
                }
            }
            Op::TakeFaults { expect } => self.take_faults(expect.as_deref())?,
            Op::ExpectRange {
                offset,
                size,
                mask,
                min,
                max,
            } => {
                let got = self.register(RegOp::Read { offset, size })? & mask;
                if !(min..=max).contains(&got) {
                    return Err(self.mismatch(
                        "register-read",
                        format!("{min:#x} to {max:#x} at offset {offset:#x}"),
                        format!("{got:#x}"),
                    ));
                }
            }
            Op::ExpectTranslation { iova, page, pbmt } => {
                let response = self.register(RegOp::Read {
                    offset: TR_RESPONSE,
                    size: 8,
                })?;
                let got = translation_of(response, iova);
                let right = got.map(|(p, _)| p) == page
                    && pbmt.is_none_or(|t| got.is_some_and(|(_, g)| g == t));
                if !right {
                    return Err(self.mismatch(
                        "debug-translation",
                        page.map_or_else(|| "a fault".to_owned(), |p| format!("{p:#x}, {pbmt:?}")),
                        got.map_or_else(
                            || "a fault".to_owned(),
                            |(p, t)| format!("{p:#x}, memory type {t}"),
                        ),
                    ));
                }
            }
            Op::AtsDevices(d) => self.ats_devices(&d),
            Op::AtsRequest(ask) => {
                self.ats_ask(ask);
            }
            Op::WaitAts => self.wait_ats()?,
            Op::PageRequest(p) => self.page_request(&p),
            Op::TakePageRequests { expect } => self.take_page_requests(expect.as_deref())?,
            Op::TakeAtsMessages { expect } => self.take_messages(expect.as_deref())?,
            Op::AnswerInvalidations { from } => self.answer_invalidations(from),
            Op::WaitInvalidations { count } => self.wait_invalidations(count)?,
            Op::AtsTimeout => self.ats_timeout()?,
            Op::ExpectWires { value, mask } => {
                let got = self.tb.wsi();
                if (got ^ value) & mask != 0 {
                    return Err(self.mismatch(
                        "interrupt-wires",
                        format!("{value:#06x} (mask {mask:#06x})"),
                        format!("{got:#06x}"),
                    ));
                }
            }
            Op::MemTiming(t) => {
                self.tb.mem_timing().clone_from(&t);
                self.timing.mem = t;
                self.sb.set_timing(self.timing.clone());
            }
            Op::OutTiming(t) => {
                self.tb.out_timing().clone_from(&t);
                self.timing.out = t;
                self.sb.set_timing(self.timing.clone());
            }
            Op::DevTiming(t) => {
                self.tb.dev_timing().clone_from(&t);
                self.timing.dev = t;
                self.sb.set_timing(self.timing.clone());
            }
            Op::RegTiming(t) => {
                self.tb.reg_timing().clone_from(&t);
                self.timing.reg = t;
                self.sb.set_timing(self.timing.clone());
            }
            Op::Reset { cycles } => self.reset(cycles)?,
            Op::Measure => self.window.clear(),
            Op::ExpectLatency { .. } | Op::ExpectThroughput { .. } if !self.setup.timed => {}
            Op::ExpectLatency { class, max } => {
                let class = match class {
                    BoundClass::Hit => LatencyClass::Hit,
                    BoundClass::Walk => LatencyClass::Walk,
                    BoundClass::ContextMiss => LatencyClass::ContextMiss,
                    BoundClass::Fault => LatencyClass::Fault,
                };
                let got = self.window.latency(class);
                if got.is_none_or(|l| l.max > max) {
                    return Err(self.mismatch(
                        "latency",
                        format!("{} transactions of at most {max} cycles", class.title()),
                        got.map_or_else(|| "none of this class".to_owned(), |l| format!("{l:?}")),
                    ));
                }
            }
            Op::ExpectThroughput { per_1000 } => {
                let (n, cycles) = (self.window.transactions(), self.window.window());
                if cycles == 0 || n * 1000 < per_1000 * cycles {
                    return Err(self.mismatch(
                        "throughput",
                        format!("at least {per_1000} translations in 1000 cycles"),
                        format!("{n} translations in {cycles} cycles"),
                    ));
                }
            }
            Op::Unspecified => {
                self.declared_unspecified = true;
                self.sb.rest_coverage();
            }
            Op::Note(text) => {
                if self.setup.verbose {
                    self.ticket
                        .say(&format!("  cycle {:>9}  {text}", self.tb.cycle()));
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, addr: u64, data: &[u8]) {
        self.sb.on_store(addr, data);
        self.tb.memory().write(addr, data);
    }

    fn reset(&mut self, cycles: u32) -> Go {
        self.tb.set_reset(true);
        for _ in 0..cycles.max(1) {
            self.clock()?;
        }
        self.tb.set_reset(false);
        self.unspecified_before_reset = self.sb.unspecified();
        self.declared_unspecified = false;
        // What was under way has been aborted; nobody answers for it.
        self.pending.clear();
        self.ended.clear();
        self.records.clear();
        self.user_wanted = 0;
        self.left.clear();
        self.devices.reset();
        Ok(())
    }

    fn register(&mut self, op: RegOp) -> Go<u64> {
        let ticket = self.tb.submit_reg(op);
        let mut value = None;
        self.until("an answer at s_reg", |r| {
            while let Some(done) = r.tb.take_reg_done() {
                if done.ticket == ticket {
                    value = Some(done.value);
                }
            }
            value.is_some()
        })?;
        Ok(value.unwrap_or_default())
    }

    fn wait_dma(&mut self) -> Go {
        self.until("the end of all device accesses", |r| {
            r.ended.len() >= r.pending.len()
        })?;
        let ended = std::mem::take(&mut self.ended);
        for done in &ended {
            if let Some(p) = self.pending.remove(&done.ticket) {
                self.expected(&p, done)?;
            }
        }
        self.records.clear();
        self.user_wanted = 0;
        self.left.clear();
        Ok(())
    }

    fn wait_idle(&mut self) -> Go {
        self.wait_dma()?;
        self.wait_ats()?;
        self.until("that nothing is outstanding", |r| {
            r.sb.is_idle() && r.tb.outstanding().is_idle()
        })
    }

    /// Compares the end of an access with what the test itself says.
    fn expected(&mut self, p: &Pending, done: &DevCompletion) -> Go {
        if done.aborted {
            return Ok(());
        }
        let record = self
            .records
            .iter()
            .find(|t| {
                // The answer to an atomic may end with read data after the record's response.
                let same = t.done == done.done
                    || p.dma.atop & 0x20 != 0 && Some(t.accepted) == done.accepted;
                t.id == p.dma.id && t.write == done.write && same
            })
            .copied();
        let Some(record) = record else {
            if self.unspecified() {
                return Ok(());
            }
            return Err(self.mismatch_at(
                "unchecked",
                "each access is checked by the scoreboard".to_owned(),
                format!(
                    "no record of {:#x} from device {:#x}",
                    p.dma.iova, p.dma.device_id
                ),
                p.at.clone(),
            ));
        };
        let got = match (record.spa, record.cause) {
            (Some(pa), _) => format!("granted, {pa:#x}, response {:?}", done.resp),
            (None, Some(c)) if record.recorded => format!("refused, cause {c}, recorded"),
            (None, Some(c)) => format!("refused, cause {c}, not recorded"),
            (None, None) => "refused".to_owned(),
        };
        let (right, wanted) = match p.dma.expect {
            Expect::Any => (true, String::new()),
            Expect::Granted => (record.spa.is_some(), "granted".to_owned()),
            Expect::Refused => (
                record.spa.is_none() && done.resp == Resp::SlvErr,
                "refused".to_owned(),
            ),
            Expect::Ok { pa } => (
                record.spa == Some(pa) && matches!(done.resp, Resp::Okay | Resp::ExOkay),
                format!("granted, {pa:#x}, response Okay"),
            ),
            Expect::Response { pa, resp } => (
                record.spa == Some(pa) && done.resp == resp,
                format!("granted, {pa:#x}, response {resp:?}"),
            ),
            Expect::Mrif => (
                record.mrif && record.cause.is_none() && done.resp == Resp::Okay,
                "stored in a memory-resident interrupt file, response Okay".to_owned(),
            ),
            Expect::Fault { cause, recorded } => (
                record.spa.is_none() && record.cause == Some(cause) && record.recorded == recorded,
                format!(
                    "refused, cause {cause}, {}recorded",
                    if recorded { "" } else { "not " }
                ),
            ),
        };
        if !right {
            return Err(self.mismatch_at("access", wanted, got, p.at.clone()));
        }
        let (value, mask) = p.dma.user.bits();
        if mask != 0 {
            let user = self.left.iter().find_map(|&(cycle, id, write, user)| {
                (Some(cycle) == record.forwarded && id == record.id && write == record.write)
                    .then_some(user)
            });
            if user.is_none_or(|u| (u ^ value) & mask != 0) {
                return Err(self.mismatch_at(
                    "user-bits",
                    format!("{value:#x} (mask {mask:#x}: {{MCID, RCID, PBMT}}) on m_dev"),
                    user.map_or_else(|| "no burst".to_owned(), |u| format!("{u:#x}")),
                    p.at.clone(),
                ));
            }
        }
        if let Some(data) = &p.dma.expect_data {
            let back = done.bytes(data.len());
            if back != *data {
                return Err(self.mismatch_at("read-back", hex(data), hex(&back), p.at.clone()));
            }
        }
        Ok(())
    }

    fn take_faults(&mut self, expect: Option<&[ExpectedRecord]>) -> Go {
        self.wait_idle()?;
        let merges = self.setup.scoreboard.merges_faults;
        let (mut tail, mut records) = self.fault_records()?;
        if let Some(expect) = expect
            && match_records(expect, &records, merges).is_err()
        {
            // A record may be under way inside the block, where nobody sees it.
            for _ in 0..self.setup.scoreboard.settle {
                self.clock()?;
            }
            self.wait_idle()?;
            (tail, records) = self.fault_records()?;
            if let Err(text) = match_records(expect, &records, merges) {
                let wanted: Vec<_> = expect.iter().map(ToString::to_string).collect();
                return Err(self.mismatch("fault-records", wanted.join("\n"), text));
            }
        }
        self.register(RegOp::Write {
            offset: FQH,
            size: 4,
            value: tail,
        })?;
        Ok(())
    }

    /// `fqt`, and the records from `fqh` up to it.
    fn fault_records(&mut self) -> Go<(u64, Vec<[u64; 4]>)> {
        self.queue_records("fault-queue", [FQB, FQH, FQT])
    }

    /// The tail of a queue that the IOMMU fills, and its records of N doublewords from the head
    /// up to it.
    fn queue_records<const N: usize>(
        &mut self,
        name: &str,
        [base, head, tail]: [u16; 3],
    ) -> Go<(u64, Vec<[u64; N]>)> {
        let read = |offset, size| RegOp::Read { offset, size };
        let base = self.register(read(base, 8))?;
        let head = self.register(read(head, 4))?;
        let tail = self.register(read(tail, 4))?;
        // LOG2SZ-1 in bits 4:0, PPN in bits 53:10.
        let entries = 2u64 << (base & 0x1f);
        let at = (base >> 10 & ((1 << 44) - 1)) << 12;
        if head >= entries || tail >= entries {
            return Err(self.mismatch(
                name,
                format!("head and tail below {entries}"),
                format!("head {head}, tail {tail}"),
            ));
        }
        // fctl is WARL: the block may not have taken BE.
        let big = self.big_endian && self.register(read(FCTL, 4))? & 1 != 0;
        let mut records = Vec::new();
        let mut n = head;
        while n != tail {
            let mut r = [0; N];
            for (i, d) in (0u64..).zip(r.iter_mut()) {
                let word = self.tb.memory_ref().read_u64(at + (n * N as u64 + i) * 8);
                *d = if big { word.swap_bytes() } else { word };
            }
            records.push(r);
            n = (n + 1) % entries;
        }
        Ok((tail, records))
    }
}

/// Checks that hold whatever software has done: protocol, liveness, isolation (design 2).
fn holds_when_unspecified(check: Check) -> bool {
    matches!(
        check,
        Check::BurstWithoutRequest
            | Check::FieldChanged
            | Check::WriteData
            | Check::ResponseWithoutRequest
            | Check::ResponseEarly
            | Check::ReadData
            | Check::ReadLast
            | Check::RefusedData
            | Check::BeyondPas
            | Check::RegisterResponse
            | Check::RequestStuck
            | Check::RegisterStuck
    )
}

/// A failure without a story, and without a waveform yet.
fn failure(
    cycle: u64,
    check: String,
    rule: &str,
    expected: String,
    got: String,
    at: String,
) -> Failure {
    Failure {
        cycle,
        check,
        rule: rule.to_owned(),
        expected,
        got,
        story: String::new(),
        at,
        waveform: None,
    }
}

/// The burst that carries an access.
fn transaction(d: &Dma) -> DevTransaction {
    let side = Sideband {
        device_id: d.device_id,
        process_id: d.process_id,
        translated: d.translated,
    };
    let mut t = match &d.write {
        None => DevTransaction::read(side, d.id, d.iova, d.bytes.max(1) as usize),
        Some(data) => DevTransaction::write(side, d.id, d.iova, data),
    };
    // An aligned word is one narrow beat, as an MSI must be.
    let bytes = d.write.as_ref().map_or(d.bytes as usize, Vec::len);
    if bytes == 4 && d.iova.is_multiple_of(4) {
        t.size = 2;
    }
    if let Some(s) = d.shape {
        (t.len, t.size, t.burst) = (s.len, s.size, s.burst);
        if let (DevDir::Write { data: beats }, Some(bytes)) = (&mut t.dir, &d.write) {
            *beats = shaped_beats(d, s, bytes);
        }
    }
    if let (DevDir::Write { data: beats }, Some(strobes)) = (&mut t.dir, &d.strobes) {
        for (beat, &strb) in beats.iter_mut().zip(strobes) {
            beat.strb = strb;
        }
    }
    t.lock = d.lock;
    let nonsecure;
    [t.cache, t.qos, t.region, nonsecure] = d.attributes;
    t.prot = u8::from(d.privileged) | nonsecure << 1 | u8::from(d.execute) << 2;
    t.atop = d.atop;
    t
}

/// Lays bytes into the lanes of a burst's beats, in order, as far as they reach.
fn shaped_beats(d: &Dma, s: Shape, bytes: &[u8]) -> Vec<WBeat> {
    let a = AxiAddr {
        id: d.id,
        addr: d.iova,
        len: s.len,
        size: s.size,
        burst: s.burst,
        lock: d.lock,
        cache: 0,
        prot: 0,
        qos: 0,
        region: 0,
        atop: d.atop,
        user: 0,
    };
    let mut bytes = bytes.iter();
    (0..=u32::from(s.len))
        .map(|n| {
            let mut beat = WBeat {
                data: 0,
                strb: 0,
                last: n == u32::from(s.len),
            };
            let lanes = axi::write_lanes(&a, n);
            for lane in (0..8).filter(|lane| lanes >> lane & 1 != 0) {
                if let Some(&byte) = bytes.next() {
                    beat.data |= u64::from(byte) << (8 * lane);
                    beat.strb |= 1 << lane;
                }
            }
            beat
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let mut s: String = bytes
        .iter()
        .take(SHOWN)
        .map(|b| format!("{b:02x}"))
        .collect();
    if bytes.len() > SHOWN {
        s.push_str("...");
    }
    s
}
