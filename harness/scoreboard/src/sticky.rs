//! A bit that the block sets in its own time and software clears.

/// What is known about such a bit: surely 1, surely 0, or either.
///
/// A cause first makes 1 possible; after a settling time 1 is sure. While software's clearing
/// write is in flight both are possible; after it 0 is sure, unless a cause is too young to
/// say whether the bit was set before or after the clearing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sticky {
    /// Surely 1.
    pub(crate) lo: bool,
    /// Possibly 1.
    pub(crate) hi: bool,
    /// Clock of the last cause.
    event: u64,
    /// Causes up to this clock were seen to have taken effect.
    seen: Option<u64>,
    /// 1 is sure from this clock on.
    must: Option<u64>,
    /// A clearing write is in flight since this clock.
    clearing: Option<u64>,
}

impl Sticky {
    /// A cause that may set the bit.
    pub(crate) fn may(&mut self, now: u64) {
        self.hi = true;
        self.event = now;
    }

    /// Clock of the last cause.
    pub(crate) fn event(&self) -> u64 {
        self.event
    }

    /// A cause that sets the bit within `settle` clocks. While a clearing is in flight it may do so
    /// just before it is cleared.
    pub(crate) fn must(&mut self, now: u64, settle: u64) {
        self.may(now);
        if !self.lo && self.clearing.is_none() {
            let at = now + settle;
            self.must = Some(self.must.map_or(at, |m| m.min(at)));
        }
    }

    /// The cause is no longer sure to have effect.
    pub(crate) fn unsure(&mut self) {
        self.must = None;
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now: u64) {
        if self.clearing.is_none() && self.must.is_some_and(|m| m <= now) {
            self.lo = true;
            self.must = None;
        }
    }

    /// Postpones what would become sure: nothing could happen for `clocks`.
    pub(crate) fn delay(&mut self, clocks: u64) {
        if let Some(m) = &mut self.must {
            *m += clocks;
        }
    }

    /// Software read the bit, in an access accepted at `asked`.
    pub(crate) fn observe(&mut self, value: bool, asked: u64) {
        if !value || self.clearing.is_some() {
            return;
        }
        self.lo = true;
        self.hi = true;
        self.must = None;
        self.seen = Some(asked);
    }

    /// The cause turned out not to have been one.
    pub(crate) fn disprove(&mut self) {
        if !self.lo && self.clearing.is_none() && self.must.is_none() {
            self.hi = false;
        }
    }

    /// Software read 0 in an access accepted at `asked`: 0 is sure if the last cause was long before.
    pub(crate) fn observe_zero(&mut self, asked: u64, settle: u64) {
        if self.event + settle < asked {
            self.disprove();
        }
    }

    /// The last cause need not have taken effect before now.
    pub(crate) fn is_young(&self, now: u64, settle: u64) -> bool {
        self.event + settle >= now && self.seen.is_none_or(|s| self.event > s)
    }

    /// A clearing write was accepted.
    pub(crate) fn begin_clear(&mut self, now: u64) {
        self.lo = false;
        self.must = None;
        self.clearing = Some(now);
    }

    /// The clearing write was answered.
    pub(crate) fn end_clear(&mut self, settle: u64) {
        let Some(began) = self.clearing.take() else {
            return;
        };
        let seen = self.seen.is_some_and(|s| self.event <= s);
        if seen || self.event + settle < began {
            self.hi = false;
        }
    }

    /// Cleared at once, without a clearing write.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_becomes_sure_and_is_cleared() {
        let mut b = Sticky::default();
        b.must(100, 10);
        assert!(b.hi && !b.lo);
        b.tick(109);
        assert!(!b.lo);
        b.tick(110);
        assert!(b.lo);
        b.begin_clear(200);
        assert!(b.hi && !b.lo);
        b.end_clear(10);
        assert!(!b.hi && !b.lo);
    }

    #[test]
    fn a_young_cause_survives_the_clearing_as_either() {
        let mut b = Sticky::default();
        b.must(195, 10);
        b.begin_clear(200);
        b.tick(300);
        b.end_clear(10);
        assert!(b.hi && !b.lo);
    }

    #[test]
    fn a_cause_during_a_clearing_may_be_cleared_or_not() {
        let mut b = Sticky::default();
        b.begin_clear(200);
        b.must(201, 10);
        b.end_clear(10);
        b.tick(300);
        assert!(b.hi && !b.lo);
        b.must(301, 10);
        b.tick(311);
        assert!(b.lo);
    }

    #[test]
    fn a_cause_that_was_seen_does_not_survive() {
        let mut b = Sticky::default();
        b.must(195, 10);
        b.observe(true, 198);
        assert!(b.lo);
        b.begin_clear(200);
        b.end_clear(10);
        assert!(!b.hi);
        // One during the clearing does.
        b.observe(true, 300);
        b.begin_clear(310);
        b.may(311);
        b.end_clear(10);
        assert!(b.hi && !b.lo);
    }
}
