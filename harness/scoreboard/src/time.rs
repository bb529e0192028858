//! What happens when nothing happens: bounds, and what is left over.

use iommu_bus::timing::PortTiming;

use crate::askers::{AskFor, Asker};
use crate::config::{ScoreboardConfig, Timing};
use crate::dev::{Dev, Fate, Ref, bytes};
use crate::queues::Kind;
use crate::{Check, Scoreboard};

/// Clocks within which things must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Something that stays inside the block.
    pub(crate) settle: u64,
    /// One access on `m_mem` among a few.
    pub(crate) memory: u64,
    /// A queue or `ddtp` following a write of its control bits.
    pub(crate) control: u64,
    /// A command that waits for nothing outside.
    pub(crate) command: u64,
    /// A request: this, and this again for each one that was there before it.
    pub(crate) request: u64,
    pub(crate) other: u64,
    /// A fault record: this, and this again for each one outstanding.
    pub(crate) record: u64,
    /// Where nothing has moved on `m_mem` or the ATS channels for so long, nothing is left to do.
    pub(crate) quiet: u64,
    /// A port is stopped: what waits for it is not stuck.
    pub(crate) stalled: bool,
    /// No bound holds before this clock: a stop has just ended.
    pub(crate) since: u64,
}

/// Clocks that an access may take on this port, its slowness counted in.
fn access(p: &PortTiming) -> u64 {
    let share = |percent: u8| u64::from(percent.clamp(1, 100));
    let slow = 100 * 100 / (share(p.ready_percent) * share(100 - p.gap_percent.min(99)));
    (u64::from(*p.latency.end()) + 8) * (slow + 1)
}

impl Bounds {
    pub(crate) fn new(cfg: &ScoreboardConfig, t: &Timing) -> Self {
        let patience = u64::from(cfg.patience);
        let settle = u64::from(cfg.settle);
        let mem = access(&t.mem);
        let out = access(&t.out);
        // 256 beats, each of which may be held back at either end.
        let share = |percent: u8| u64::from(percent.clamp(1, 100));
        let slowest = share(t.out.ready_percent)
            .min(share(100 - t.out.gap_percent.min(99)))
            .min(share(t.dev.b_ready_percent))
            .min(share(t.dev.r_ready_percent))
            .min(share(100 - t.dev.w_gap_percent.min(99)));
        let beats = 256 * (100 / slowest + 1);
        // The longest walk of the slice: 3 directory levels, 5 page-table levels, some spare.
        let other = 12 * mem + out + beats;
        Self {
            settle,
            memory: settle + 8 * mem,
            control: patience + 16 * mem,
            command: patience + 16 * mem,
            request: patience + other,
            other,
            record: patience + 16 * mem,
            // What is offered and not taken does not show; a device takes a message soon.
            quiet: settle + 400 + 2000 / share(t.mem.ready_percent),
            stalled: t.mem.stopped || t.out.stopped || t.dev.stop_responses,
            since: 0,
        }
    }

    /// A fence may wait for every request that was open at some time since.
    pub(crate) fn command_limit(&self, dev: &Dev, since: u64) -> u64 {
        self.command + self.drain(dev, since)
    }

    /// Requests that were open then may have to end first: those that are left say nothing of it.
    pub(crate) fn control_limit(&self, dev: &Dev, since: u64) -> u64 {
        self.control + self.drain(dev, since)
    }

    /// Until all that was open at once since then has ended.
    pub(crate) fn drain(&self, dev: &Dev, since: u64) -> u64 {
        u64::from(dev.most_open(since)) * self.other * 2
    }
}

impl Scoreboard {
    /// The agents' timing has changed.
    pub(crate) fn change_bounds(&mut self, mut bounds: Bounds) {
        let now = self.now;
        bounds.since = now;
        if self.bounds.stalled {
            // What could not happen was not late.
            let clocks = now - self.bounds.since.min(now);
            self.irq.delay(clocks);
            self.cq.head.delay(clocks);
            self.fq.ring.tail.delay(clocks);
            self.pq.ring.tail.delay(clocks);
            for bit in [
                &mut self.cq.memory_fault,
                &mut self.cq.illegal,
                &mut self.cq.timeout,
                &mut self.cq.fence_w_ip,
                &mut self.fq.ring.memory_fault,
                &mut self.fq.ring.overflow,
                &mut self.pq.ring.memory_fault,
                &mut self.pq.ring.overflow,
            ] {
                bit.delay(clocks);
            }
        }
        self.bounds = bounds;
    }

    /// Clocks within which a command completes that could begin at `since`.
    pub(crate) fn command_limit(&self, since: u64) -> u64 {
        self.bounds.command_limit(&self.dev, since)
    }

    /// Clocks within which a control bit is followed that was written at `since`.
    pub(crate) fn control_limit(&self, since: u64) -> u64 {
        self.bounds.control_limit(&self.dev, since)
    }

    /// Every few clocks: is anything stuck?
    pub(crate) fn on_time(&mut self) {
        if self.in_reset {
            return;
        }
        self.refresh(self.now);
        if self.oracle.words.has_past() || !self.past.is_empty() {
            let oldest = self.oldest_window();
            self.oracle.words.prune(oldest);
            self.past.retain(|p| p.until.is_none_or(|u| u >= oldest));
        }
        self.hpm_time();
        self.check_quiet_wires();
        self.check_registers_alive();
        if self.bounds.stalled {
            return;
        }
        self.check_controls();
        self.check_requests();
        self.check_commands();
        self.check_raising();
        self.check_faults();
        self.check_messages();
        self.check_mrif(false);
        self.check_ats(false);
        self.check_pages(false);
    }

    fn check_registers_alive(&mut self) {
        let limit = u64::from(self.cfg.patience);
        let stuck = |at: u64| at.max(self.bounds.since) + limit < self.now;
        let read = self.regs.reads.front().map(|r| (r.at, r.addr, "read"));
        let write = self.regs.writes.front().map(|w| (w.at, w.addr, "write"));
        let stuck = read.filter(|r| stuck(r.0)).or(write.filter(|w| stuck(w.0)));
        if let Some((at, addr, what)) = stuck {
            self.regs.reads.clear();
            self.regs.writes.clear();
            self.fail(
                Check::RegisterStuck,
                format!("an answer to the {what} of {addr:#05x} within {limit} clocks"),
                format!("none since {at}"),
                String::new(),
            );
        }
    }

    /// Queues follow their enable bits in time, whether or not software looks.
    fn check_controls(&mut self) {
        let (bounds, dev) = (&self.bounds, &self.dev);
        for control in [
            &mut self.cq.control,
            &mut self.fq.ring.control,
            &mut self.pq.ring.control,
        ] {
            if let Some((since, Some(done))) = control.changing
                && done.max(bounds.since) + bounds.control_limit(dev, since) < self.now
            {
                control.settled();
            }
        }
        if let Some((_, since, Some(done))) = &self.before_ddtp
            && done.max(&bounds.since) + bounds.control_limit(dev, *since) < self.now
        {
            self.before_ddtp = None;
        }
    }

    fn check_requests(&mut self) {
        let stuck = self.dev.live().find(|(_, q)| {
            let limit = self.bounds.request + u64::from(q.others) * self.bounds.other;
            !q.answered && q.has_data() && q.accepted.max(self.bounds.since) + 2 * limit < self.now
        });
        let Some((_, q)) = stuck else { return };
        let story = q.line();
        let what = match q.fate {
            Fate::Open => "neither forwarded nor refused",
            Fate::Forwarded { .. } if !q.ended_out => "forwarded; m_dev has not ended it",
            Fate::Forwarded { .. } => "forwarded and ended on m_dev, not answered on s_dev",
            Fate::Refused => "refused, not answered on s_dev",
            Fate::Mrif { .. } => "taken by an interrupt file, not answered on s_dev",
        };
        let (accepted, size) = (q.accepted, bytes(&q.axi));
        // Once is enough: everything behind it is stuck too.
        self.bounds.since = self.now;
        self.fail(
            Check::RequestStuck,
            format!("an answer to the request of {accepted} ({size} bytes)"),
            format!("after {} clocks it is {what}", self.now - accepted),
            story,
        );
    }

    /// A request is decided: has an older one waited for too many such?
    pub(crate) fn check_fairness(&mut self, decided: Ref) {
        let Some((r, count)) = self.dev.overtake(decided) else {
            return;
        };
        // Reported when it is passed, once for each.
        if count == self.cfg.overtakes + 1 {
            let line = |r: Ref| self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            let story = format!("{}\novertaken last by:\n{}", line(r), line(decided));
            self.fail(
                Check::RequestStarved,
                format!(
                    "at most {} walks of younger requests done before it",
                    self.cfg.overtakes
                ),
                format!("{count}, and it is neither forwarded nor refused"),
                story,
            );
        }
    }

    fn check_commands(&mut self) {
        if !self.cq.control.on_lo || self.cq.reported_stuck || self.commands_at_rest() {
            return;
        }
        let limit = self.command_limit(self.cq.progress);
        if self.cq.progress.max(self.bounds.since) + limit < self.now {
            self.cq.reported_stuck = true;
            let story = self.command_story();
            self.fail(
                Check::CommandStuck,
                "the command queue to move on",
                format!("no sign of life since {}", self.cq.progress),
                story,
            );
        }
    }

    /// No command is left that could go on.
    fn commands_at_rest(&self) -> bool {
        let caught_up = self.cq.head.hi == self.cq.end;
        let waits = (self.ats.blocks_fence() || self.ats.doubts_fence())
            && self
                .cq
                .cmds
                .front()
                .is_some_and(|c| matches!(c.kind, Kind::Fence(_)));
        !self.cq.control.on_hi
            || caught_up
            || waits
            || self.cq.memory_fault.hi
            || self.cq.illegal.hi
            || self.cq.timeout.hi
    }

    fn check_faults(&mut self) {
        // Where nothing moves, there is no turn to wait for.
        let still = !self.ats.stopped
            && self.moved.max(self.bounds.since) + self.bounds.quiet < self.now
            && self.mem.open == 0
            && self.mem.filling.is_empty();
        let limit = if still {
            self.bounds.quiet
        } else {
            self.bounds.record + self.fq.faults.len() as u64 * self.bounds.record / 4
        };
        // While records come, one that is not there yet waits for its turn: the end of the run tells.
        let turn = self.fq.ring.last_record.unwrap_or(0);
        let late = |f: &crate::queues::Fault, now: u64, since: u64| {
            f.since.max(since).max(turn) + limit < now
        };
        while let Some(n) = self.fq.faults.iter().position(|f| {
            let answered =
                f.of.is_none_or(|r| self.dev.get(r).is_none_or(|q| q.answered))
                    && f.asker.is_none_or(|s| {
                        let waits = |a: &Asker| a.open && a.what != AskFor::Message;
                        // A response that is not taken holds up the messages behind it.
                        !(self.ats.stopped || self.askers.get(s).is_some_and(waits))
                    });
            answered && late(f, self.now, self.bounds.since)
        }) {
            if !self.message_waits(n) {
                self.settle_fault(n);
            }
        }
    }

    fn check_messages(&mut self) {
        let limit = self.bounds.record;
        for n in 0..self.irq.due.len() {
            let Some(at) = self.irq.due[n] else { continue };
            let regs = self.iommu.registers();
            let v = crate::irq::vector(regs, n);
            if at.max(self.bounds.since) + limit >= self.now
                || self.irq.masked_at[usize::from(v)].is_some()
            {
                continue;
            }
            self.irq.due[n] = None;
            let entry = regs.msi_cfg[usize::from(v)];
            self.fail(
                Check::MessageMissing,
                format!(
                    "message {:#010x} to {:#x} (vector {v})",
                    entry.data, entry.addr
                ),
                format!("none since {} went from 0 to 1", crate::irq::NAMES[n]),
                String::new(),
            );
        }
    }

    /// The end of the run.
    pub(crate) fn check_leftovers(&mut self) {
        self.refresh(self.now);
        self.check_quiet_wires();
        let open: Vec<String> = self
            .dev
            .live()
            .filter(|(_, q)| !q.answered)
            .map(|(_, q)| q.line())
            .take(8)
            .collect();
        if !open.is_empty() {
            let got = format!("{} open", self.dev.open());
            self.fail(
                Check::Leftover,
                "every device request answered",
                got,
                open.join("\n"),
            );
        }
        if self.mem.open > 0 {
            let got = format!("{} bursts in flight on m_mem", self.mem.open);
            self.fail(
                Check::Leftover,
                "nothing in flight on m_mem",
                got,
                String::new(),
            );
        }
        if self.cq.control.on_lo && !self.commands_at_rest() {
            let story = self.command_story();
            self.fail(
                Check::Leftover,
                "every command executed",
                "commands are left",
                story,
            );
        }
        if self.fq.ring.has_partial() {
            let got = "bytes of a record are missing";
            self.fail(
                Check::RecordPartial,
                "whole records of 32 bytes",
                got,
                String::new(),
            );
        }
        if self.pq.ring.has_partial() {
            let got = "bytes of a record are missing";
            self.fail(
                Check::PageRecord,
                "whole records of 16 bytes",
                got,
                String::new(),
            );
        }
        self.check_mrif(true);
        self.check_ats(true);
        self.check_pages(true);
        while !self.fq.faults.is_empty() {
            self.settle_fault(0);
        }
        self.bounds.since = 0;
        for due in self.irq.due.iter_mut().flatten() {
            *due = 0;
        }
        let now = self.now;
        self.now = now.max(self.bounds.record + 1);
        self.check_messages();
        self.now = now;
    }

    /// Nothing is outstanding: no request, no record, no message, nothing on `m_mem`, and no
    /// command that could go on.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waits_for().is_none()
    }

    /// What is outstanding, if anything is: the first of it.
    #[must_use]
    pub fn waits_for(&self) -> Option<&'static str> {
        let faults = || {
            self.fq
                .faults
                .iter()
                .all(|f| f.lost != 0 || f.merged || !f.certain)
        };
        let masked = |n: usize| {
            let v = crate::irq::vector(self.iommu.registers(), n);
            self.irq.masked_at[usize::from(v)].is_some()
        };
        let messages = || (0..self.irq.due.len()).all(|n| self.irq.due[n].is_none() || masked(n));
        let debug = || self.debug.as_ref().is_none_or(|d| d.over.is_some());
        let registers = || self.regs.reads.is_empty() && self.regs.writes.is_empty();
        if self.dev.open() > 0 {
            Some("an answer on s_dev")
        } else if self.mem.open > 0 {
            Some("an answer on m_mem")
        } else if !self.fq.ring.slots.is_empty() {
            Some("the rest of a fault record")
        } else if !faults() {
            Some("a fault record")
        } else if !messages() {
            Some("an interrupt message")
        } else if !self.mrif.jobs.is_empty() {
            Some("an interrupt file in memory, or its notice")
        } else if !self.ats.is_idle() {
            Some("a completion or an invalidation of ATS")
        } else if !self.pages_idle() {
            Some("a page-request record or response")
        } else if !(self.messages.is_empty() || self.ats.stopped) {
            Some("the end of a message of a device")
        } else if !debug() {
            Some("the debug interface")
        } else if !registers() {
            Some("an answer on s_reg")
        } else if !self.commands_at_rest() {
            Some("a command")
        } else {
            None
        }
    }
}
