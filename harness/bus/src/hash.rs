//! A running hash of what happened at the pins, equal on every machine.

use crate::event::{At, AxiAddr, BBeat, Burst, Event, RBeat, Resp, Sideband, WBeat};

/// Hash of a run: two runs with equal hashes did the same in the same clocks.
///
/// Built from explicit words, not from `derive(Hash)`: layout, pointer width and
/// byte order of the machine, and the order of enum variants, must not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHash(u64);

impl Default for EventHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

fn burst(b: Burst) -> u64 {
    match b {
        Burst::Fixed => 0,
        Burst::Incr => 1,
        Burst::Wrap => 2,
        Burst::Reserved => 3,
    }
}

fn resp(r: Resp) -> u64 {
    match r {
        Resp::Okay => 0,
        Resp::ExOkay => 1,
        Resp::SlvErr => 2,
        Resp::DecErr => 3,
    }
}

impl EventHash {
    /// The hash so far.
    #[must_use]
    pub fn value(self) -> u64 {
        // Final avalanche: the last word must reach all bits.
        let x = self.0;
        let x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^ (x >> 33)
    }

    #[inline]
    fn word(&mut self, w: u64) {
        self.0 = (self.0.rotate_left(29) ^ w).wrapping_mul(0x9e37_79b1_85eb_ca87);
    }

    fn addr(&mut self, a: &AxiAddr) {
        self.word(a.addr);
        self.word(
            u64::from(a.id)
                | u64::from(a.len) << 8
                | u64::from(a.size) << 16
                | burst(a.burst) << 24
                | u64::from(a.lock) << 28
                | u64::from(a.cache) << 32
                | u64::from(a.prot) << 36
                | u64::from(a.qos) << 40
                | u64::from(a.region) << 44
                | u64::from(a.atop) << 48,
        );
        self.word(u64::from(a.user));
    }

    fn sideband(&mut self, s: &Sideband) {
        self.word(u64::from(s.device_id) | u64::from(s.translated) << 32);
        self.word(s.process_id.map_or(u64::MAX, u64::from));
    }

    fn w(&mut self, b: &WBeat) {
        self.word(b.data);
        self.word(u64::from(b.strb) | u64::from(b.last) << 8);
    }

    fn r(&mut self, b: &RBeat) {
        self.word(b.data);
        self.word(
            u64::from(b.id)
                | resp(b.resp) << 8
                | u64::from(b.last) << 16
                | u64::from(b.poison) << 17,
        );
    }

    fn b(&mut self, b: &BBeat) {
        self.word(u64::from(b.id) | resp(b.resp) << 8);
    }

    /// Takes in one event.
    pub fn add(&mut self, at: &At) {
        self.word(at.cycle);
        match &at.event {
            Event::Reset => self.word(1),
            Event::DevAw(a, s) => {
                self.word(2);
                self.addr(a);
                self.sideband(s);
            }
            Event::DevAr(a, s) => {
                self.word(3);
                self.addr(a);
                self.sideband(s);
            }
            Event::DevW(b) => {
                self.word(4);
                self.w(b);
            }
            Event::DevB(b) => {
                self.word(5);
                self.b(b);
            }
            Event::DevR(b) => {
                self.word(6);
                self.r(b);
            }
            Event::OutAw(a) => {
                self.word(7);
                self.addr(a);
            }
            Event::OutAr(a) => {
                self.word(8);
                self.addr(a);
            }
            Event::OutW(b) => {
                self.word(9);
                self.w(b);
            }
            Event::OutB(b) => {
                self.word(10);
                self.b(b);
            }
            Event::OutR(b) => {
                self.word(11);
                self.r(b);
            }
            Event::MemAw(a) => {
                self.word(12);
                self.addr(a);
            }
            Event::MemAr(a) => {
                self.word(13);
                self.addr(a);
            }
            Event::MemW(b) => {
                self.word(14);
                self.w(b);
            }
            Event::MemStored { id } => self.word(15 | u64::from(*id) << 8),
            Event::MemSampled { id, addr, data } => {
                self.word(16 | u64::from(*id) << 8);
                self.word(*addr);
                self.word(*data);
            }
            Event::MemB(b) => {
                self.word(17);
                self.b(b);
            }
            Event::MemR(b) => {
                self.word(18);
                self.r(b);
            }
            Event::RegWriteAccepted { addr, data, strb } => {
                self.word(19 | u64::from(*addr) << 8 | u64::from(*strb) << 32);
                self.word(*data);
            }
            Event::RegWriteDone {
                addr,
                data,
                strb,
                resp: r,
            } => {
                self.word(20 | u64::from(*addr) << 8 | u64::from(*strb) << 32 | resp(*r) << 40);
                self.word(*data);
            }
            Event::RegReadAccepted { addr } => self.word(21 | u64::from(*addr) << 8),
            Event::RegReadDone {
                addr,
                data,
                resp: r,
            } => {
                self.word(22 | u64::from(*addr) << 8 | resp(*r) << 40);
                self.word(*data);
            }
            Event::Wsi(w) => self.word(23 | u64::from(*w) << 8),
            Event::AtsCompletion(words) => self.words(24, words),
            Event::AtsRequest(words) => self.words(25, words),
            Event::OutStored { id } => self.word(26 | u64::from(*id) << 8),
            Event::AtsInvalidation(words) => self.words(27, words),
            Event::AtsPrgResponse(w) => {
                self.word(28);
                self.word(*w);
            }
            Event::AtsPageRequest(words) => self.words(29, words),
            Event::AtsInvalidationDone(w) => {
                self.word(30);
                self.word(*w);
            }
            Event::AtsTimeout => self.word(31),
        }
    }

    fn words(&mut self, tag: u64, words: &[u32]) {
        self.word(tag);
        for &w in words {
            self.word(u64::from(w));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(events: &[(u64, Event)]) -> u64 {
        let mut h = EventHash::default();
        for &(cycle, event) in events {
            h.add(&At { cycle, event });
        }
        h.value()
    }

    #[test]
    fn cycle_order_and_content_count() {
        let b = |id| {
            Event::DevB(BBeat {
                id,
                resp: Resp::Okay,
            })
        };
        let base = hash(&[(1, b(1)), (2, b(2))]);
        assert_eq!(base, hash(&[(1, b(1)), (2, b(2))]));
        assert_ne!(base, hash(&[(1, b(1)), (3, b(2))]));
        assert_ne!(base, hash(&[(1, b(2)), (2, b(1))]));
        assert_ne!(base, hash(&[(1, b(1))]));
        assert_ne!(hash(&[(0, Event::Reset)]), hash(&[]));
    }

    #[test]
    fn the_value_is_a_constant_of_the_project() {
        // A change here changes every hash that anybody wrote down: say so in the changelog.
        assert_eq!(
            hash(&[(7, Event::Wsi(0x8001)), (9, Event::MemStored { id: 3 })]),
            PINNED
        );
    }
    const PINNED: u64 = 12_257_771_301_663_068_600;
}
