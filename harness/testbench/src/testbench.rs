//! All agents round one block, clock by clock.

use std::path::Path;
use std::time::{Duration, Instant};

use iommu_bus::ats::{
    AtsInvalidation, AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRequest,
};
use iommu_bus::event::{At, Event};
use iommu_bus::{DevTiming, EventHash, PortTiming, RegTiming, SparseMemory};
use iommu_sim::{Device, PinsIn, PinsOut, SimError};

use crate::ats::{AtsAgent, AtsCompletion, AtsConfig};
use crate::context::{Clock, SharedMemory};
use crate::device::{DevCompletion, DevTicket, DevTransaction, DeviceAgent};
use crate::pins::{self, MemPins, OutPins};
use crate::protocol::{Channel, Port, Rule, Violation};
use crate::register::{RegCompletion, RegOp, RegTicket, RegisterAgent};
use crate::subordinate::Subordinate;

/// What a testbench is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestbenchConfig {
    /// Seed of all random streams.
    pub seed: u64,
    /// `cfg_caps_i`: which capabilities the block may show.
    pub caps_mask: u64,
    /// Memory behind `m_mem`.
    pub mem: PortTiming,
    /// Memory behind `m_dev`.
    pub out: PortTiming,
    /// Devices at `s_dev`.
    pub dev: DevTiming,
    /// Host at `s_reg`.
    pub reg: RegTiming,
    /// ATS channels.
    pub ats: AtsConfig,
}

impl Default for TestbenchConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            caps_mask: u64::MAX,
            mem: PortTiming::default(),
            out: PortTiming::default(),
            dev: DevTiming::default(),
            reg: RegTiming::default(),
            ats: AtsConfig::default(),
        }
    }
}

/// Why a clock failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TbError {
    /// The block broke a protocol rule. Stepping on is possible.
    #[error("{0}")]
    Protocol(Violation),
    /// The model failed.
    #[error(transparent)]
    Sim(#[from] SimError),
}

/// What has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outstanding {
    /// Device transactions submitted and not completed.
    pub dev: usize,
    /// Register operations submitted and not completed.
    pub reg: usize,
    /// Read bursts accepted at `m_mem` and not finished.
    pub mem_reads: usize,
    /// Write bursts accepted at `m_mem` and not finished.
    pub mem_writes: usize,
    /// Read bursts accepted at `m_dev` and not finished.
    pub out_reads: usize,
    /// Write bursts accepted at `m_dev` and not finished.
    pub out_writes: usize,
    /// ATS requests not completed, other ATS messages not taken.
    pub ats: usize,
    /// Beats of write data taken at `m_mem` or `m_dev` that have no address yet.
    pub orphan_beats: usize,
}

impl Outstanding {
    /// Nothing is.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// A block with an agent at every port.
///
/// The order of the events of one clock: `Reset`; stores (visible from this
/// clock on); requests at `s_dev`; `m_mem`; `m_dev`; responses at `s_dev`;
/// `s_reg`; `wsi`; ATS. `MemSampled` follows the `MemAr` it belongs to.
pub struct Testbench {
    device: Box<dyn Device + Send>,
    /// Wall time spent in the device, where somebody wants to know.
    ticking: Option<Duration>,
    pins_in: PinsIn,
    pins_out: PinsOut,
    cycle: u64,
    reset: bool,
    /// The last clock was in reset.
    after_reset: bool,
    shared: SharedMemory,
    dev: DeviceAgent,
    out: Subordinate<OutPins>,
    mem: Subordinate<MemPins>,
    reg: RegisterAgent,
    ats: AtsAgent,
    ats_tick: bool,
    wsi: u16,
    events: Vec<At>,
    reset_events: Vec<At>,
    violations: Vec<Violation>,
    hash: EventHash,
}

impl std::fmt::Debug for Testbench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Testbench")
            .field("cycle", &self.cycle)
            .field("reset", &self.reset)
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}

impl Testbench {
    /// Puts the agents round a block. Call [`reset`](Self::reset) first: nobody did so far.
    #[must_use]
    pub fn new(device: Box<dyn Device + Send>, cfg: TestbenchConfig) -> Self {
        let mut pins_in = PinsIn {
            rst_n: 1,
            cfg_caps: cfg.caps_mask,
            ..PinsIn::default()
        };
        pins::idle(&mut pins_in);
        Self {
            device,
            ticking: None,
            pins_in,
            pins_out: PinsOut::default(),
            cycle: 0,
            reset: false,
            after_reset: false,
            shared: SharedMemory::default(),
            dev: DeviceAgent::new(cfg.seed, cfg.dev),
            out: Subordinate::new(cfg.seed, cfg.out),
            mem: Subordinate::new(cfg.seed, cfg.mem),
            reg: RegisterAgent::new(cfg.seed, cfg.reg),
            ats: AtsAgent::new(cfg.seed, cfg.ats),
            ats_tick: false,
            wsi: 0,
            events: Vec::with_capacity(64),
            reset_events: Vec::new(),
            violations: Vec::new(),
            hash: EventHash::default(),
        }
    }

    /// The one physical memory behind `m_mem` and `m_dev`. What is written
    /// between two steps is there from the next clock on.
    pub fn memory(&mut self) -> &mut SparseMemory {
        &mut self.shared.mem
    }

    /// The memory, to look at.
    #[must_use]
    pub fn memory_ref(&self) -> &SparseMemory {
        &self.shared.mem
    }

    /// Holds `rst_ni` low for this many clocks (at least one); the events of all of them.
    ///
    /// Whatever was submitted and has not ended is returned as aborted. Writes
    /// that memory had taken but not stored are lost, as their B is.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn reset(&mut self, cycles: u32) -> Result<&[At], TbError> {
        self.set_reset(true);
        self.reset_events.clear();
        let mut first = None;
        for _ in 0..cycles.max(1) {
            if let Err(e) = self.clock() {
                first = first.or(Some(e));
            }
            self.reset_events.extend_from_slice(&self.events);
        }
        self.set_reset(false);
        match first {
            Some(e) => Err(e),
            None => Ok(&self.reset_events),
        }
    }

    /// Drives `rst_ni` from the next clock on, for a reset that is stepped by hand.
    pub fn set_reset(&mut self, low: bool) {
        self.reset = low;
    }

    /// One clock; its events.
    ///
    /// # Errors
    /// [`TbError::Protocol`] with the first rule that the block broke in this clock
    /// (all: [`violations`](Self::violations); the events: [`events`](Self::events)),
    /// [`TbError::Sim`] if the model failed. After a broken rule, stepping on works.
    pub fn step(&mut self) -> Result<&[At], TbError> {
        self.clock()?;
        Ok(&self.events)
    }

    fn clock(&mut self) -> Result<(), TbError> {
        self.events.clear();
        self.violations.clear();
        let mut ck = Clock {
            cycle: self.cycle,
            reset: self.reset,
            quiet: self.reset || self.after_reset,
            events: &mut self.events,
            violations: &mut self.violations,
        };
        let pins = &mut self.pins_in;
        pins.rst_n = (!self.reset).into();
        if self.reset {
            ck.event(Event::Reset);
            self.shared.forget_monitors();
        }
        self.mem.prepare(&mut ck, pins, &mut self.shared);
        self.out.prepare(&mut ck, pins, &mut self.shared);
        self.dev.prepare(&ck, pins);
        self.reg.prepare(&ck, pins);
        self.ats.prepare(&ck, pins);
        let ticked = std::mem::take(&mut self.ats_tick) && !self.reset;
        pins.ats_timeout = ticked.into();
        if ticked {
            ck.event(Event::AtsTimeout);
        }

        let begin = self.ticking.map(|_| Instant::now());
        let ticked = self.device.tick(pins, &mut self.pins_out);
        if let (Some(all), Some(begin)) = (&mut self.ticking, begin) {
            *all += begin.elapsed();
        }
        self.cycle += 1;
        self.after_reset = self.reset;
        ticked?;

        let o = &self.pins_out;
        self.dev.observe_requests(&mut ck, o);
        self.mem.observe(&mut ck, o, &mut self.shared, &[]);
        let from = ck.events.len();
        self.out
            .observe(&mut ck, o, &mut self.shared, self.dev.illegal());
        for n in from..ck.events.len() {
            self.dev.track(ck.cycle, &ck.events[n].event);
        }
        self.dev.observe_responses(&mut ck, o);
        self.reg.observe(&mut ck, o);
        if o.wsi != self.wsi {
            self.wsi = o.wsi;
            ck.event(Event::Wsi(o.wsi));
        }
        self.ats.observe(&mut ck, o);
        for at in &self.events {
            self.hash.add(at);
        }
        match self.violations.first() {
            None => Ok(()),
            Some(v) => Err(TbError::Protocol(v.clone())),
        }
    }

    /// Events of the last clock.
    #[must_use]
    pub fn events(&self) -> &[At] {
        &self.events
    }

    /// All rules broken in the last clock.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What only the end of a run can show: what the device finds wrong in its last clock, and
    /// write data that never got an address.
    ///
    /// # Errors
    /// [`TbError::Sim`], [`TbError::Protocol`].
    pub fn finish(&mut self) -> Result<(), TbError> {
        self.device.finish()?;
        for (port, beats) in [
            (Port::Mem, self.mem.orphan_beats()),
            (Port::Out, self.out.orphan_beats()),
        ] {
            if beats > 0 {
                return Err(TbError::Protocol(Violation {
                    cycle: self.cycle,
                    port,
                    channel: Channel::W,
                    rule: Rule::WriteWithoutAddress,
                    detail: format!("{beats} beats at the end of the run"),
                }));
            }
        }
        Ok(())
    }

    /// Clocks so far; the next step makes the clock of this number.
    #[must_use]
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Hash of all events so far; equal for equal runs on every machine.
    #[must_use]
    pub fn event_hash(&self) -> u64 {
        self.hash.value()
    }

    /// Queues a burst for `s_dev`. Reads are driven in the order of submission, and so are writes.
    pub fn submit_dev(&mut self, t: DevTransaction) -> DevTicket {
        self.dev.submit(t, self.cycle)
    }

    /// The next device transaction that ended, in the order of ending.
    pub fn take_dev_done(&mut self) -> Option<DevCompletion> {
        self.dev.take_done()
    }

    /// Queues a register access.
    pub fn submit_reg(&mut self, op: RegOp) -> RegTicket {
        self.reg.submit(op)
    }

    /// The next register access that ended.
    pub fn take_reg_done(&mut self) -> Option<RegCompletion> {
        self.reg.take_done()
    }

    /// Queues an ATS translation request; its completion is an event.
    pub fn submit_ats(&mut self, request: &AtsRequest) {
        self.ats.submit(request);
    }

    /// The next translation completion.
    pub fn take_ats_completion(&mut self) -> Option<AtsCompletion> {
        self.ats.take_completion()
    }

    /// Queues a page request, or a stop marker.
    pub fn submit_page_request(&mut self, request: &AtsPageRequest) {
        self.ats.submit_page(request);
    }

    /// The next page request group response.
    pub fn take_page_response(&mut self) -> Option<AtsPageResponse> {
        self.ats.take_response()
    }

    /// The next invalidation request. With [`AtsConfig::answers`] devices answer it by themselves.
    pub fn take_ats_invalidation(&mut self) -> Option<AtsInvalidation> {
        self.ats.take_invalidation()
    }

    /// Queues an invalidation completion, asked for or not.
    pub fn submit_ats_done(&mut self, done: &AtsInvalidationDone) {
        self.ats.submit_done(done);
    }

    /// Ticks `ats_timeout_i` in the next clock.
    pub fn tick_ats_timer(&mut self) {
        self.ats_tick = true;
    }

    /// What has not ended.
    #[must_use]
    pub fn outstanding(&self) -> Outstanding {
        Outstanding {
            dev: self.dev.unfinished(),
            reg: self.reg.unfinished(),
            mem_reads: self.mem.reads_outstanding(),
            mem_writes: self.mem.writes_outstanding(),
            out_reads: self.out.reads_outstanding(),
            out_writes: self.out.writes_outstanding(),
            ats: self.ats.unfinished(),
            orphan_beats: self.mem.orphan_beats() + self.out.orphan_beats(),
        }
    }

    /// The interrupt wires as last seen.
    #[must_use]
    pub fn wsi(&self) -> u16 {
        self.wsi
    }

    /// Timing of `m_mem`; what is in flight keeps its latency.
    pub fn mem_timing(&mut self) -> &mut PortTiming {
        &mut self.mem.timing
    }

    /// Timing of `m_dev`.
    pub fn out_timing(&mut self) -> &mut PortTiming {
        &mut self.out.timing
    }

    /// Timing of `s_dev`.
    pub fn dev_timing(&mut self) -> &mut DevTiming {
        &mut self.dev.timing
    }

    /// Timing of `s_reg`.
    pub fn reg_timing(&mut self) -> &mut RegTiming {
        &mut self.reg.timing
    }

    /// Behaviour of the ATS agent.
    pub fn ats_config(&mut self) -> &mut AtsConfig {
        &mut self.ats.config
    }

    /// Changes `cfg_caps_i`; the block samples it in reset.
    pub fn set_caps_mask(&mut self, mask: u64) {
        self.pins_in.cfg_caps = mask;
    }

    /// Measures the wall time that the device takes, from here on.
    pub fn measure(&mut self) {
        self.ticking = Some(Duration::ZERO);
    }

    /// Wall time that the device has taken since [`Testbench::measure`].
    #[must_use]
    pub fn measured(&self) -> Duration {
        self.ticking.unwrap_or_default()
    }

    /// Writes the RTL's coverage so far as Verilator's `coverage.dat`.
    ///
    /// # Errors
    /// The device counts none, or the file cannot be written.
    pub fn write_coverage(&mut self, path: &Path) -> Result<(), TbError> {
        Ok(self.device.write_coverage(path)?)
    }

    /// Starts a waveform, where the model can make one.
    ///
    /// # Errors
    /// As the model says.
    pub fn trace_start(&mut self, path: &Path) -> Result<(), TbError> {
        Ok(self.device.trace_start(path)?)
    }

    /// Ends the waveform.
    pub fn trace_stop(&mut self) {
        self.device.trace_stop();
    }
}
