//! `ipsr`, interrupt wires and interrupt messages.

use iommu_golden::Registers;

use crate::sticky::Sticky;

/// Sources of interrupts: bits of `ipsr`.
pub(crate) const SOURCES: usize = 4;
/// `cip`.
pub(crate) const CIP: usize = 0;
/// `fip`.
pub(crate) const FIP: usize = 1;
/// `pmip`.
pub(crate) const PMIP: usize = 2;
/// `pip`.
pub(crate) const PIP: usize = 3;
/// Names of the bits.
pub(crate) const NAMES: [&str; SOURCES] = ["cip", "fip", "pmip", "pip"];

/// Vector of source `n` in `icvec`.
pub(crate) fn vector(regs: &Registers, n: usize) -> u8 {
    (regs.icvec >> (4 * n)) as u8 & 0xf
}

/// What is known about the pending bits, and which messages are owed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Irq {
    /// The pending bits.
    pub(crate) pend: [Sticky; SOURCES],
    /// A lasting condition (error bit, `fence_w_ip`) possibly, and surely, holds.
    level: [(bool, bool); SOURCES],
    /// A cause since the last clearing has been credited with a message.
    raised: [bool; SOURCES],
    /// A message of it has been seen since, or that it failed.
    sent: [bool; SOURCES],
    /// Messages that may be sent.
    pub(crate) credit: [u32; SOURCES],
    /// Clock since when such a message could be sent.
    owed_since: [u64; SOURCES],
    /// A message must have been sent by this clock.
    pub(crate) due: [Option<u64>; SOURCES],
    /// The bit was surely 1 when its clearing began.
    was_one: [bool; SOURCES],
    /// Clock when its clearing began.
    clearing: [u64; SOURCES],
    /// Clock when the last clearing of the bit ended.
    pub(crate) cleared: [u64; SOURCES],
    /// Wires as they are.
    pub(crate) wires: u16,
    /// Clock of the last thing that can move a wire.
    pub(crate) moved: u64,
    /// Wires that were reported: once is enough.
    pub(crate) complained: u16,
    /// Vectors that are masked, and since when.
    pub(crate) masked_at: [Option<u64>; 16],
}

impl Irq {
    /// A cause of source `n`; `messages` tells whether `fctl.WSI` is 0.
    pub(crate) fn event(&mut self, n: usize, sure: bool, messages: bool, now: u64, settle: u64) {
        let was_zero = !self.pend[n].hi;
        self.moved = now;
        if sure {
            self.pend[n].must(now, settle);
        } else {
            self.pend[n].may(now);
        }
        if !self.pend[n].lo && !self.raised[n] {
            self.raised[n] = true;
            if messages {
                self.owe(n, now);
                if sure && was_zero {
                    self.due[n] = Some(now + settle);
                }
            }
        }
    }

    /// One more message of source `n` may be sent.
    pub(crate) fn owe(&mut self, n: usize, now: u64) {
        if self.credit[n] == 0 {
            self.owed_since[n] = now;
        }
        self.credit[n] += 1;
    }

    /// Whether this vector is masked, and has been since before source `n` owed a message: none was
    /// tried then.
    pub(crate) fn waits_masked(&self, n: usize, v: u8) -> bool {
        self.masked_at[usize::from(v)].is_some_and(|at| at < self.owed_since[n])
    }

    /// The lasting condition of source `n` is now possibly `hi`, surely `lo`.
    pub(crate) fn level(
        &mut self,
        n: usize,
        hi: bool,
        lo: bool,
        messages: bool,
        now: u64,
        settle: u64,
    ) {
        let (old_hi, old_lo) = self.level[n];
        self.level[n] = (hi, lo);
        if (hi && !old_hi) || (lo && !old_lo) {
            self.event(n, lo, messages, now, settle);
        }
    }

    /// Software began to clear source `n`.
    pub(crate) fn begin_clear(&mut self, n: usize, messages: bool, now: u64, settle: u64) {
        self.was_one[n] = self.pend[n].lo;
        self.clearing[n] = now;
        self.pend[n].begin_clear(now);
        // A cause that is too young to have taken effect may set the bit again.
        self.raised[n] = self.was_one[n] && self.pend[n].is_young(now, settle);
        self.sent[n] = false;
        if self.raised[n] && messages {
            self.owe(n, now);
        }
        self.moved = now;
        if self.level[n].0 {
            // "If the conditions to set that bit are still present ... transitions again"
            self.event(n, false, messages, now, settle);
        }
    }

    /// The clearing ended.
    pub(crate) fn end_clear(&mut self, n: usize, messages: bool, now: u64, settle: u64) {
        self.pend[n].end_clear(settle);
        self.moved = now;
        self.cleared[n] = now;
        let (hi, lo) = self.level[n];
        if !hi && self.pend[n].event() >= self.clearing[n] {
            // A cause meanwhile may have set the bit, and sent, before it was cleared: then the next
            // one does so again.
            self.raised[n] = false;
        }
        if hi {
            self.event(n, lo, messages, now, settle);
            if lo && messages && self.was_one[n] && self.credit[n] > 0 {
                self.due[n] = Some(now + settle);
            }
        }
    }

    /// No lasting condition can set bit `n` at any time.
    pub(crate) fn is_calm(&self, n: usize) -> bool {
        !self.level[n].0
    }

    /// The enable bit of source `n` fell: what was sure no longer is.
    pub(crate) fn disabled(&mut self, n: usize) {
        self.pend[n].unsure();
        self.due[n] = None;
    }

    /// It is not known that a message of source `n` was sent or failed, but none is awaited.
    pub(crate) fn may_send_yet(&self, n: usize) -> bool {
        !self.pend[n].lo && self.raised[n] && !self.sent[n] && self.credit[n] == 0
    }

    /// One was sent, or has failed.
    pub(crate) fn take_credit(&mut self, n: usize) {
        self.credit[n] = self.credit[n].saturating_sub(1);
        self.sent[n] = true;
        self.due[n] = None;
    }

    /// One that no longer had a credit has failed.
    pub(crate) fn failed(&mut self, n: usize) {
        self.sent[n] = true;
    }

    /// Wires that are surely high, and those that may be.
    pub(crate) fn wires(&self, old: Option<&Registers>, new: &Registers) -> (u16, u16) {
        let (mut lo, mut hi) = (0, 0);
        for (n, pend) in self.pend.iter().enumerate() {
            if !pend.hi {
                continue;
            }
            let v = vector(new, n);
            let was = old.map_or(v, |o| vector(o, n));
            let (wsi, was_wsi) = (new.wsi, old.map_or(new.wsi, |o| o.wsi));
            if wsi {
                hi |= 1 << v;
            }
            if was_wsi {
                hi |= 1 << was;
            }
            if pend.lo && wsi && was_wsi && v == was {
                lo |= 1 << v;
            }
        }
        (lo, hi)
    }

    /// A message of `vector` was written. Takes a credit; false if there is none.
    pub(crate) fn take_message(&mut self, v: u8, old: Option<&Registers>, new: &Registers) -> bool {
        let has = |n: usize| vector(new, n) == v || old.is_some_and(|o| vector(o, n) == v);
        let due = (0..SOURCES).find(|&n| has(n) && self.credit[n] > 0 && self.due[n].is_some());
        let any = due.or_else(|| (0..SOURCES).find(|&n| has(n) && self.credit[n] > 0));
        let Some(n) = any else { return false };
        self.take_credit(n);
        // Sources that share a vector share its message.
        for m in (0..SOURCES).filter(|&m| has(m)) {
            self.due[m] = None;
        }
        true
    }

    /// Nothing could happen for so many clocks.
    pub(crate) fn delay(&mut self, clocks: u64) {
        for p in &mut self.pend {
            p.delay(clocks);
        }
        for d in self.due.iter_mut().flatten() {
            *d += clocks;
        }
        self.moved += clocks;
    }
}

#[cfg(test)]
mod tests {
    use iommu_golden::{Capabilities, Config};

    use super::*;

    #[test]
    fn a_cause_just_before_the_clearing_may_send_again() {
        for (at, again) in [(198, true), (150, false)] {
            let mut irq = Irq::default();
            let registers = Registers::reset(&Config::new(Capabilities::version_1_0()));
            irq.event(FIP, true, true, 100, 10);
            irq.pend[FIP].tick(110);
            assert!(irq.take_message(0, None, &registers));
            irq.event(FIP, true, true, at, 10);
            assert!(!irq.take_message(0, None, &registers));
            irq.begin_clear(FIP, true, 200, 10);
            irq.end_clear(FIP, true, 203, 10);
            assert_eq!(irq.take_message(0, None, &registers), again);
            assert!(!irq.take_message(0, None, &registers));
        }
    }

    #[test]
    fn a_cause_during_a_clearing_may_be_followed_by_another_that_sends() {
        for (at, again) in [(201, true), (150, false)] {
            let mut irq = Irq::default();
            let registers = Registers::reset(&Config::new(Capabilities::version_1_0()));
            irq.begin_clear(FIP, true, 200, 10);
            if at > 200 {
                irq.event(FIP, true, true, at, 10);
            }
            irq.end_clear(FIP, true, 203, 10);
            if at < 200 {
                irq.event(FIP, true, true, 204, 10);
            }
            assert!(irq.take_message(0, None, &registers));
            irq.event(FIP, true, true, 208, 10);
            assert_eq!(irq.take_message(0, None, &registers), again);
            // Not a third time.
            irq.event(FIP, true, true, 209, 10);
            assert!(!irq.take_message(0, None, &registers));
        }
    }
}
