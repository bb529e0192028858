//! The performance monitor: exact where the specification defines what is counted, bounded where
//! caches decide (walks, TLB misses).

use std::collections::VecDeque;

use iommu_golden::hpm::{EventIds, HpmEvent, matches};
use iommu_golden::{Capabilities, Registers, Request, RequestKind, offset};

use crate::askers::AskFor;
use crate::irq::PMIP;
use crate::{Check, Scoreboard};

/// A counter: the value is surely at least `lo`, at most `hi`, wraps not taken off.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    lo: u128,
    hi: u128,
    /// Requests accepted before do not surely count.
    since: u64,
    /// It has wrapped since its OF bit was written: surely, possibly.
    wrapped: (bool, bool),
    /// Clock since when it may have.
    maybe_at: u64,
}

impl Counter {
    /// Notes whether it has wrapped. What that means for `pmip`, if anything: true if it must be
    /// set now, false if it may, which each further event says again: `pmip` may have been read
    /// as 0 since. `cleared` is the clock of its last clearing: a wrap that may have come before
    /// says nothing of what `pmip` is after it.
    fn wraps(&mut self, limit: u128, now: u64, cleared: u64) -> Option<bool> {
        let old = self.wrapped;
        self.wrapped.0 |= self.lo >= limit;
        self.wrapped.1 |= self.hi >= limit;
        if self.wrapped.1 && !old.1 {
            self.maybe_at = now;
        }
        if self.wrapped.0 && !old.0 {
            Some(self.maybe_at > cleared || cleared == 0)
        } else {
            (self.wrapped == (false, true)).then_some(false)
        }
    }

    /// Whether it had surely wrapped when it had counted `fewer` less than now.
    fn wrapped_before(&self, fewer: u128, limit: u128) -> bool {
        self.wrapped.0 && (self.lo < limit || self.lo.saturating_sub(fewer) >= limit)
    }
}

/// A write of `iohpmcycles`: it takes effect at some clock before its answer.
#[derive(Debug, Clone, Copy)]
struct Writing {
    /// The least value if it takes effect as it is answered, but for a low half that goes on.
    lo: u128,
    /// Of one half alone: the high one, with OF, or the low one.
    half: Option<bool>,
    /// How far it may have counted before, and when; and OF was 0.
    before: u128,
    since: u64,
    clear: bool,
}

const HALF: u128 = 0xffff_ffff;

/// A counter from `lo` to `hi` of which one half has been written: the other goes on from where it
/// is. `value` is the register as the model has it, right in the half at `at`.
fn half_written(at: u16, (lo, hi): (u128, u128), limit: u128, value: u128) -> (u128, u128) {
    let (lo, hi) = (lo % limit, lo % limit + (hi - lo));
    if at & 4 == 0 {
        return (lo & !HALF | value & HALF, hi & !HALF | value & HALF);
    }
    let high = value & !HALF;
    if lo >> 32 == hi >> 32 {
        (high | lo & HALF, high | hi & HALF)
    } else {
        (high, high | HALF)
    }
}

/// What is known about the counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hpm {
    counters: [Counter; 31],
    cycles: Counter,
    /// Clock up to which `cycles` was advanced, and whether it counts: surely, possibly.
    at: u64,
    running: (bool, bool),
    /// Last clock that it surely counted.
    ran: u64,
    /// A write of it that is under way.
    writing: Option<Writing>,
    /// Events that were surely counted while a register read was in flight: clock and counter.
    counted: VecDeque<(u64, usize)>,
    /// Clock at which the last of those that make events came or went.
    stirred: u64,
}

/// Who makes events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker {
    request: Request,
    /// A message from a device: only its context is looked up.
    message: bool,
    /// Ranges that are walked for: of an ATS request, several.
    ranges: u128,
}

impl Maker {
    pub(crate) fn request(request: &Request) -> Self {
        Self {
            request: *request,
            message: false,
            ranges: 1,
        }
    }

    pub(crate) fn message(request: &Request) -> Self {
        Self {
            message: true,
            ..Self::request(request)
        }
    }

    pub(crate) fn ats(request: &Request, ranges: u16) -> Self {
        Self {
            ranges: ranges.into(),
            ..Self::request(request)
        }
    }

    /// How many events that this selector counts it may make.
    pub(crate) fn at_most(&self, selector: u64) -> u128 {
        // GSCID and PSCID are not known here: a filter on them may let it through.
        let by_context = selector >> 62 & 1 == 1;
        let open = selector & !(3 << 60);
        let s = if by_context { open } else { selector };
        let of = |e: HpmEvent| matches(s, e, &ids(&self.request));
        if self.message {
            let walks = of(HpmEvent::DeviceDirectoryWalk);
            return if walks { 2 } else { 0 };
        }
        if of(kind_of(&self.request)) {
            return 1;
        }
        let of_walk = AT_MOST.iter().find(|(e, _)| of(*e));
        of_walk.map_or(0, |(_, n)| n * self.ranges)
    }
}

/// Events that a request may make, and how many of each at most. A walk may be made twice where
/// an A/D update fails; a second stage serves every level of the first and of the directory.
const AT_MOST: [(HpmEvent, u128); 5] = [
    (HpmEvent::TlbMiss, 2),
    (HpmEvent::DeviceDirectoryWalk, 2),
    (HpmEvent::ProcessDirectoryWalk, 2),
    (HpmEvent::FirstStageWalk, 2),
    (HpmEvent::SecondStageWalk, 24),
];

fn kind_of(r: &Request) -> HpmEvent {
    match r.kind {
        RequestKind::Untranslated => HpmEvent::Untranslated,
        RequestKind::Translated => HpmEvent::Translated,
        RequestKind::AtsTranslation => HpmEvent::AtsTranslation,
    }
}

fn ids(r: &Request) -> EventIds {
    EventIds {
        device_id: r.did(),
        process_id: r.process_id.map(|p| p & 0xf_ffff),
        ..EventIds::default()
    }
}

impl Scoreboard {
    fn hpm_counters(&self) -> usize {
        if self.iommu.capabilities().has(Capabilities::HPM) {
            usize::from(self.cfg.golden.choices.hpm_counters.min(31))
        } else {
            0
        }
    }

    fn counts(&self, n: usize) -> bool {
        let now = self.iommu.registers().iocountinh >> (n + 1) & 1 == 0;
        let old = self
            .before
            .as_ref()
            .is_some_and(|b| b.registers().iocountinh >> (n + 1) & 1 == 0);
        now || old
    }

    /// Who may make events now.
    fn makers(&self) -> impl Iterator<Item = Maker> {
        let live = self.dev.live().filter(|(_, q)| !q.answered);
        let requests = live.map(|(_, q)| Maker::request(&q.request()));
        requests.chain(self.askers.open().map(|a| match a.what {
            AskFor::Message => Maker::message(&a.request),
            AskFor::Debug => Maker::request(&a.request),
            AskFor::Ats => Maker::ats(&a.request, self.ats_ranges(a.serial)),
        }))
    }

    /// No event could be counted since a while before clock `asked`.
    fn hpm_quiet(&self, asked: u64) -> bool {
        self.hpm.stirred + self.bounds.settle < asked && self.makers().next().is_none()
    }

    /// A request was accepted, or a message came.
    pub(crate) fn hpm_begin(&mut self, who: Maker) {
        self.hpm.stirred = self.now;
        for n in 0..self.hpm_counters() {
            let selector = self.iommu.registers().iohpmevt[n];
            let old = self.before.as_ref().map(|b| b.registers().iohpmevt[n]);
            let most = who.at_most(selector).max(old.map_or(0, |s| who.at_most(s)));
            if most > 0 && self.counts(n) {
                self.hpm.counters[n].hi += most;
                self.hpm_wraps(n);
            }
        }
    }

    /// Who made events is done with.
    pub(crate) fn hpm_stir(&mut self) {
        self.hpm.stirred = self.now;
    }

    /// A request was answered: events of its kind have been counted.
    pub(crate) fn hpm_end(&mut self, r: &Request, accepted: u64) {
        for n in 0..self.hpm_counters() {
            let c = &mut self.hpm.counters[n];
            let regs = self.iommu.registers();
            let sure = accepted >= c.since
                && regs.iocountinh >> (n + 1) & 1 == 0
                && matches(regs.iohpmevt[n], kind_of(r), &ids(r));
            if sure && c.lo < c.hi {
                c.lo += 1;
                if self.regs.reads.is_empty() {
                    self.hpm.counted.clear();
                } else {
                    self.hpm.counted.push_back((self.now, n));
                }
                self.hpm_wraps(n);
            }
        }
    }

    /// Overflow: OF, and an interrupt if OF was 0.
    fn hpm_wraps(&mut self, n: usize) {
        let limit = self.counter_limit();
        let cleared = self.irq.cleared[PMIP];
        let cause = self.hpm.counters[n].wraps(limit, self.now, cleared);
        if let Some(sure) = cause
            && self.iommu.registers().iohpmevt[n] >> 63 == 0
        {
            self.cause(PMIP, sure);
        }
    }

    /// Lets `iohpmcycles` count up to `now`.
    fn hpm_cycles(&mut self, now: u64) {
        let passed = u128::from(now.saturating_sub(self.hpm.at));
        self.hpm.at = self.hpm.at.max(now);
        let limit = self.cycle_limit();
        let c = &mut self.hpm.cycles;
        if self.hpm.running.0 {
            c.lo += passed;
            self.hpm.ran = self.hpm.at;
        }
        if self.hpm.running.1 {
            c.hi += passed;
        }
        let open = c.wrapped.1;
        let cause = c.wraps(limit, self.hpm.at, self.irq.cleared[PMIP]);
        if let Some(sure) = cause
            && (sure || !open)
            && self.iommu.registers().iohpmcycles >> 63 == 0
        {
            self.cause(PMIP, sure);
        }
    }

    /// `pmip` was cleared: what may have wrapped before may as well do so only now.
    pub(crate) fn hpm_may_wrap_yet(&mut self) {
        let regs = self.iommu.registers();
        let open = |c: &Counter, register: u64| c.wrapped == (false, true) && register >> 63 == 0;
        let mut counters = self.hpm.counters.iter().zip(&regs.iohpmevt);
        if open(&self.hpm.cycles, regs.iohpmcycles) || counters.any(|(c, &r)| open(c, r)) {
            self.cause(PMIP, false);
        }
    }

    /// Whether a counter may have overflowed that need not have when a read was accepted at `asked`:
    /// a `pmip` of 0 then does not say that it is 0 still.
    pub(crate) fn hpm_may_wrap_since(&self, asked: u64) -> bool {
        let regs = self.iommu.registers();
        let open = |c: &Counter, register: u64| c.wrapped == (false, true) && register >> 63 == 0;
        let mut counters = self.hpm.counters.iter().zip(&regs.iohpmevt);
        (self.hpm.running.1 && open(&self.hpm.cycles, regs.iohpmcycles))
            || (counters.any(|(c, &r)| open(c, r)) && !self.hpm_quiet(asked))
    }

    /// How many events (or clocks) have surely been counted after clock `asked`: a read that was
    /// accepted then need not show them.
    fn counted_since(&self, counter: usize, asked: u64) -> u128 {
        let events = self.hpm.counted.iter();
        events
            .filter(|(at, n)| *at >= asked && *n == counter)
            .count() as u128
    }

    /// Time passes.
    pub(crate) fn hpm_time(&mut self) {
        if self.hpm_counters() > 0 && !self.in_reset {
            self.hpm_cycles(self.now);
        }
    }

    fn cycles_written(&mut self, w: Writing) {
        let (now, limit) = (self.now, self.cycle_limit());
        let c = &mut self.hpm.cycles;
        if w.half != Some(true) {
            c.lo = w.lo;
        } else if c.lo >> 32 != w.lo >> 32 {
            c.lo = w.lo & !HALF; // the low half may have wrapped before
        }
        // So may all of it.
        let passed = u128::from(now.saturating_sub(w.since));
        if w.clear && self.hpm.running.1 && w.before + passed >= limit {
            c.wrapped.1 |= w.half == Some(false);
            self.cause(PMIP, false);
        }
    }

    /// A write of one of these registers was accepted: of all of it, or of the half at `at`.
    pub(crate) fn hpm_write(&mut self, at: u16, whole: bool, old: &Registers) {
        if self.hpm_counters() == 0 {
            return;
        }
        let now = self.now;
        self.hpm_cycles(now);
        let regs = self.iommu.registers().clone();
        let open: Vec<Maker> = self.makers().collect();
        let in_flight = |selector| open.iter().map(|m| m.at_most(selector)).sum::<u128>();
        if at == offset::IOCOUNTINH {
            let runs = |r: &Registers| r.iocountinh & 1 == 0;
            self.hpm.running = (
                runs(old) && runs(&regs),
                runs(old) || runs(&regs) || self.hpm.running.1,
            );
            for n in 0..self.hpm_counters() {
                self.hpm.counters[n].since = u64::MAX;
                self.hpm.counters[n].hi += in_flight(regs.iohpmevt[n]);
            }
        } else if (offset::IOHPMCYCLES..offset::IOHPMCTR1).contains(&at) {
            let value = u128::from(regs.iohpmcycles & !(1 << 63));
            let limit = self.cycle_limit();
            let c = &mut self.hpm.cycles;
            let high = at & 4 != 0;
            let (before, clear) = match self.hpm.writing {
                // Of a write of both halves, the second.
                Some(w) if whole && high => (w.before, w.clear),
                _ => (c.hi, !c.wrapped.1 && old.iohpmcycles >> 63 == 0),
            };
            if whole {
                (c.lo, c.hi, c.wrapped) = (value, value, (false, false));
            } else {
                (c.lo, c.hi) = half_written(at, (c.lo, c.hi), limit, value);
                if high {
                    c.wrapped = (false, false); // OF is in this half
                }
            }
            self.hpm.writing = Some(Writing {
                lo: c.lo,
                half: (!whole).then_some(high),
                before,
                since: now,
                clear,
            });
        } else if (offset::IOHPMCTR1..offset::IOHPMEVT1).contains(&at) {
            let n = usize::from((at - offset::IOHPMCTR1) / 8);
            if n < self.hpm_counters() {
                let value = u128::from(regs.iohpmctr[n]);
                let flight = in_flight(regs.iohpmevt[n]);
                let limit = self.counter_limit();
                let c = &mut self.hpm.counters[n];
                let (lo, hi) = match whole {
                    true => (value, value),
                    false => half_written(at, (c.lo, c.hi), limit, value),
                };
                *c = Counter {
                    lo,
                    hi: hi + flight,
                    since: u64::MAX,
                    ..*c
                };
                self.hpm_wraps(n);
            }
        } else if (offset::IOHPMEVT1..offset::TR_REQ_IOVA).contains(&at) {
            let n = usize::from((at - offset::IOHPMEVT1) / 8);
            if n < self.hpm_counters() {
                let flight = in_flight(regs.iohpmevt[n]);
                let limit = self.counter_limit();
                let c = &mut self.hpm.counters[n];
                c.since = u64::MAX;
                c.hi += flight;
                // What wrapped before is in the bit that was written over.
                let (lo, hi) = (c.lo % limit, c.hi - c.lo + c.lo % limit);
                // If it may have wrapped already, it may be anywhere from 0 on, with OF written over.
                let lo = if hi >= limit { 0 } else { lo };
                (c.lo, c.hi, c.wrapped) = (lo, hi, (false, false));
                self.hpm_wraps(n);
            }
        }
    }

    /// The write was answered.
    pub(crate) fn hpm_written(&mut self, at: u16) {
        if self.hpm_counters() == 0 {
            return;
        }
        let now = self.now;
        self.hpm_cycles(now);
        if at == offset::IOCOUNTINH {
            let runs = self.iommu.registers().iocountinh & 1 == 0;
            self.hpm.running = (runs, runs);
        } else if (offset::IOHPMCYCLES..offset::IOHPMCTR1).contains(&at) {
            // The write took effect at some clock between its acceptance and now.
            if let Some(w) = self.hpm.writing {
                self.cycles_written(w);
            }
        }
        for c in &mut self.hpm.counters {
            if c.since == u64::MAX {
                c.since = now;
            }
        }
    }

    /// Compares a read of a register of the monitor. True if it is one.
    pub(crate) fn hpm_read(&mut self, addr: u16, data: u64, asked: u64) -> bool {
        let of_counter = |a: u16| usize::from(a / 8);
        let cycles = offset::IOHPMCYCLES..offset::IOHPMCTR1;
        let values = offset::IOHPMCTR1..offset::IOHPMEVT1;
        let events = offset::IOHPMEVT1..offset::TR_REQ_IOVA;
        if !(cycles.contains(&addr)
            || values.contains(&addr)
            || events.contains(&addr)
            || addr == offset::IOCOUNTOVF)
        {
            return false;
        }
        let number = self.hpm_counters();
        let upper = addr % 8 == 4;
        let unknown = |b: &Self, a: u16| b.regs.unknown.get(a) || b.regs.unknown.get(a ^ 4);
        if number == 0 || (addr != offset::IOCOUNTOVF && unknown(self, addr)) {
            return number != 0;
        }
        let choices = &self.cfg.golden.choices;
        let (count_bits, cycle_bits) = (choices.hpm_counter_bits, choices.hpm_cycle_bits);
        let mut want = None;
        if addr == offset::IOCOUNTOVF {
            self.hpm_cycles(self.now);
            let (lo, hi) = self.overflow_bits(asked);
            let value = data as u32;
            // The upper half of this doubleword is iocountinh.
            if value & !hi != 0 || lo & !value != 0 {
                want = Some(format!("{lo:#010x}, with any of {:#010x}", hi & !lo));
            }
        } else if cycles.contains(&addr) {
            self.hpm_cycles(self.now);
            let c = self.hpm.cycles;
            let fewer = self.cycles_since(asked);
            let lo = c.lo.saturating_sub(fewer);
            if !within(lo, c.hi, cycle_bits, data & !(1 << 63), upper) {
                want = Some(format!("{lo:#x} to {:#x}", c.hi));
            }
            let of = self.iommu.registers().iohpmcycles >> 63 == 1;
            let limit = self.cycle_limit();
            let (sure, maybe) = (of || c.wrapped_before(fewer, limit), of || c.wrapped.1);
            let seen = data >> 63 == 1;
            if (sure && !seen) || (seen && !maybe) {
                want = Some(format!("OF {}", u8::from(sure)));
            }
        } else if values.contains(&addr) {
            let n = of_counter(addr - offset::IOHPMCTR1);
            if n >= number {
                want = (data != 0).then(|| "0: there is no such counter".into());
            } else {
                let c = self.hpm.counters[n];
                let lo = c.lo.saturating_sub(self.counted_since(n, asked));
                if within(lo, c.hi, count_bits, data, upper) {
                    if !upper {
                        let limit = self.counter_limit();
                        let ahead = (u128::from(data) + limit - lo % limit) % limit;
                        if lo + ahead > c.lo {
                            // Who is open may be counted in it.
                            let since = c.since.max(self.now);
                            let c = &mut self.hpm.counters[n];
                            (c.lo, c.since) = (lo + ahead, since);
                        }
                    }
                } else {
                    want = Some(format!("{lo:#x} to {:#x}", c.hi));
                }
            }
        } else {
            let n = of_counter(addr - offset::IOHPMEVT1);
            let written = if n < number {
                self.iommu.registers().iohpmevt[n]
            } else {
                0
            };
            let lanes = if upper { !0 << 32 } else { !0 };
            let c = self.hpm.counters.get(n).copied().unwrap_or_default();
            let of = written >> 63 == 1;
            let seen = data >> 63 == 1;
            let limit = self.counter_limit();
            let sure = c.wrapped_before(self.counted_since(n, asked), limit);
            let fine = (data ^ written) & lanes & !(1 << 63) == 0
                && (seen || !(of || sure))
                && (!seen || of || c.wrapped.1);
            if !fine {
                want = Some(format!("{written:#018x}, OF aside"));
            }
        }
        if let Some(want) = want {
            let check = if self.regs.written {
                Check::HpmCounter
            } else {
                Check::ResetValue
            };
            self.fail(
                check,
                format!("register {addr:#05x}: {want}"),
                format!("{data:#018x}"),
                format!("iocountinh {:#x}", self.iommu.registers().iocountinh),
            );
        }
        true
    }

    /// Where an event counter wraps.
    fn counter_limit(&self) -> u128 {
        1 << self.cfg.golden.choices.hpm_counter_bits.min(64)
    }

    /// Where `iohpmcycles` wraps.
    fn cycle_limit(&self) -> u128 {
        1 << self.cfg.golden.choices.hpm_cycle_bits.min(63)
    }

    /// Clocks that `iohpmcycles` has surely counted after clock `asked`.
    fn cycles_since(&self, asked: u64) -> u128 {
        self.hpm.ran.saturating_sub(asked).into()
    }

    /// `iocountovf`: surely when a read was accepted at `asked`, possibly.
    fn overflow_bits(&self, asked: u64) -> (u32, u32) {
        let regs = self.iommu.registers();
        let bit = |of: bool, n: usize| u32::from(of) << n;
        let c = &self.hpm.cycles;
        let of = regs.iohpmcycles >> 63 == 1;
        let (cycle_limit, limit) = (self.cycle_limit(), self.counter_limit());
        let sure = c.wrapped_before(self.cycles_since(asked), cycle_limit);
        let (mut lo, mut hi) = (bit(of || sure, 0), bit(of || c.wrapped.1, 0));
        for n in 0..self.hpm_counters() {
            let c = &self.hpm.counters[n];
            let of = regs.iohpmevt[n] >> 63 == 1;
            let sure = c.wrapped_before(self.counted_since(n, asked), limit);
            lo |= bit(of || sure, n + 1);
            hi |= bit(of || c.wrapped.1, n + 1);
        }
        (lo, hi)
    }

    /// After reset everything counts from zero.
    pub(crate) fn hpm_reset(&mut self) {
        self.hpm = Hpm {
            at: self.now,
            running: (true, true),
            ..Hpm::default()
        };
    }
}

/// Whether a value read lies in a range, wraps taken off; only its upper half counts if `upper`.
fn within(lo: u128, hi: u128, bits: u8, data: u64, upper: bool) -> bool {
    let limit = 1u128 << bits.min(64);
    if hi - lo >= limit {
        return true;
    }
    if upper {
        let half = |v: u128| (v % limit) >> 32;
        let seen = u128::from(data >> 32);
        let (from, to) = (half(lo), half(hi));
        return if from <= to {
            (from..=to).contains(&seen)
        } else {
            seen >= from || seen <= to
        };
    }
    (u128::from(data) + limit - lo % limit) % limit <= hi - lo && u128::from(data) < limit
}
