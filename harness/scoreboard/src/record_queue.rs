//! A queue of records in memory that the block fills: the fault queue (IOMMU 'Fault/Event-Queue
//! (FQ)') and the page-request queue ('Page-Request-Queue (PQ)'), which differ in what a record
//! is and in who is owed one.

use std::collections::VecDeque;

use crate::ports::{MemWrite, beat_address};
use crate::queues::{Control, Index};
use crate::sticky::Sticky;

/// Why a record may be lost.
pub(crate) mod lost {
    /// The queue was off, or not surely on.
    pub(crate) const OFF: u8 = 1;
    /// The overflow or memory-fault bit was possibly set.
    pub(crate) const STOPPED: u8 = 2;
    /// The queue was possibly full.
    pub(crate) const FULL: u8 = 4;
}

/// A record of `N` doublewords being written.
#[derive(Debug)]
pub(crate) struct Slot<const N: usize, T> {
    pub(crate) words: [u64; N],
    /// Bytes that were written, a bit each.
    mask: u32,
    /// Bursts not answered yet.
    bursts: u32,
    /// The content was compared.
    compared: bool,
    /// Whose record it has been found to be.
    pub(crate) of: Option<T>,
}

/// Where the queue lies, as its registers say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) base: u64,
    /// Of indices: entries minus 1.
    pub(crate) mask: u32,
    pub(crate) head: u32,
}

/// Why the block may not begin a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Off,
    Overflow,
    MemoryFault,
    Full,
}

impl Refusal {
    /// For a message: `queue` is its name, `q` what its registers begin with.
    pub(crate) fn text(self, queue: &str, q: &str, head: u32) -> String {
        match self {
            Self::Off => format!("no record: the {queue} is off"),
            Self::Overflow => format!("no record while {q}of is 1"),
            Self::MemoryFault => format!("no record while {q}mf is 1"),
            Self::Full => format!("no record: the {queue} is full ({q}h is {head:#x})"),
        }
    }
}

/// What a write into a queue's memory has turned out to be.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Count of the first record that it is part of, and how many there are.
    pub(crate) first: Option<u64>,
    pub(crate) slots: u32,
    /// Records that it begins and may not: index and reason.
    pub(crate) refused: Vec<(u32, Refusal)>,
    /// An index that is not the next one: it, and that one.
    pub(crate) out_of_turn: Option<(u32, u32)>,
}

/// A queue of records of `N` doublewords; `T` is what can own one.
#[derive(Debug)]
pub(crate) struct RecordQueue<const N: usize, T = ()> {
    pub(crate) control: Control,
    pub(crate) tail: Index,
    /// Records from `tail.hi` on.
    pub(crate) slots: VecDeque<Slot<N, T>>,
    pub(crate) memory_fault: Sticky,
    pub(crate) overflow: Sticky,
    /// Clock when software last began to clear the overflow bit.
    pub(crate) overflow_cleared: u64,
    /// A record may have been lost to a full queue since then.
    pub(crate) overflow_used: bool,
    /// Clock of the last record that became visible.
    pub(crate) last_record: Option<u64>,
    /// Writes of an earlier epoch belong to records that were given up.
    pub(crate) epoch: u32,
    /// It has been enabled since reset: its tail is defined.
    pub(crate) started: bool,
}

impl<const N: usize, T> Default for RecordQueue<N, T> {
    fn default() -> Self {
        Self {
            control: Control::default(),
            tail: Index::default(),
            slots: VecDeque::new(),
            memory_fault: Sticky::default(),
            overflow: Sticky::default(),
            overflow_cleared: 0,
            overflow_used: false,
            last_record: None,
            epoch: 0,
            started: false,
        }
    }
}

impl<const N: usize, T> RecordQueue<N, T> {
    /// Bytes of a record.
    const BYTES: u64 = 8 * N as u64;
    /// All bytes of a record, a bit each.
    const WHOLE: u32 = u32::MAX >> (32 - 8 * N);

    /// Gives up the records that are being written; whose they were.
    pub(crate) fn give_up(&mut self) -> Vec<T> {
        self.epoch += 1;
        self.slots.drain(..).filter_map(|s| s.of).collect()
    }

    /// Why a record that is wanted now may be lost: bits of [`lost`].
    pub(crate) fn may_lose_one(&self) -> u8 {
        let mut why = 0;
        if !self.control.on_lo {
            why |= lost::OFF;
        }
        if self.overflow.hi || self.memory_fault.hi {
            why |= lost::STOPPED;
        }
        why
    }

    /// So many records that may come, besides those being written, do not all fit. `heads` are
    /// the values that the head may have.
    pub(crate) fn too_small(&self, waiting: usize, mask: u32, heads: [u32; 2]) -> bool {
        let tail = self.tail.hi as u32;
        let used = heads.map(|h| tail.wrapping_sub(h) & mask);
        let wanted = u64::from(used[0].max(used[1])) + (self.slots.len() + waiting) as u64;
        wanted > u64::from(mask) && self.control.on_hi && waiting != 0
    }

    /// Part of a record, or several.
    pub(crate) fn write(&mut self, w: &MemWrite, ring: Ring, now: u64) -> Written {
        let mut out = Written::default();
        let mut previous = None;
        for (n, beat) in w.beats.iter().enumerate() {
            let lane = beat_address(&w.axi, n) & !7;
            let Some(offset) = lane.checked_sub(ring.base) else {
                continue;
            };
            let index = (offset / Self::BYTES) as u32 & ring.mask;
            let place = index.wrapping_sub(self.tail.hi as u32) & ring.mask;
            let next = self.slots.len() as u64;
            if u64::from(place) > next {
                let due = (self.tail.hi + next) as u32 & ring.mask;
                out.out_of_turn = Some((index, due));
                return out;
            }
            if u64::from(place) == next
                && let Some(why) = self.open(index, ring, now)
            {
                out.refused.push((index, why));
            }
            let Some(slot) = self.slots.get_mut(place as usize) else {
                continue;
            };
            if previous != Some(place) {
                previous = Some(place);
                out.slots += 1;
                slot.bursts += 1;
                out.first = out.first.or(Some(self.tail.hi + u64::from(place)));
            }
            let word = (offset / 8) as usize % N;
            for lane in (0..8).filter(|l| beat.strb >> l & 1 == 1) {
                let bits = 0xff << (8 * lane);
                slot.words[word] = (slot.words[word] & !bits) | (beat.data & bits);
                slot.mask |= 1 << (8 * word + lane);
            }
        }
        out
    }

    /// The block begins to write a record at the next index: is there room, may it?
    fn open(&mut self, index: u32, ring: Ring, now: u64) -> Option<Refusal> {
        self.overflow.tick(now);
        self.memory_fault.tick(now);
        let why = if !self.control.on_hi {
            Some(Refusal::Off)
        } else if self.overflow.lo {
            Some(Refusal::Overflow)
        } else if self.memory_fault.lo {
            Some(Refusal::MemoryFault)
        } else if index.wrapping_add(1) & ring.mask == ring.head {
            Some(Refusal::Full)
        } else {
            None
        };
        // It writes, so it is on.
        self.control.on_lo |= self.control.enable && self.control.on_hi;
        self.slots.push_back(Slot {
            words: [0; N],
            mask: 0,
            bursts: 0,
            compared: false,
            of: None,
        });
        why
    }

    /// The next record that is whole and has not been compared: its place and content.
    pub(crate) fn take_whole(&mut self) -> Option<(usize, [u64; N])> {
        let whole = |s: &Slot<N, T>| s.mask == Self::WHOLE && !s.compared;
        let n = self.slots.iter().position(whole)?;
        let slot = self.slots.get_mut(n)?;
        slot.compared = true;
        Some((n, slot.words))
    }

    /// Some record was begun and not finished.
    pub(crate) fn has_partial(&self) -> bool {
        self.slots.iter().any(|s| s.mask != Self::WHOLE)
    }

    /// A burst of these records was answered, and well.
    pub(crate) fn answered(&mut self, first: u64, slots: u32) {
        for count in first..first + u64::from(slots) {
            if let Some(n) = count.checked_sub(self.tail.hi)
                && let Some(slot) = self.slots.get_mut(n as usize)
            {
                slot.bursts = slot.bursts.saturating_sub(1);
            }
        }
    }

    /// Takes the record at the front if all its writes have been answered: the tail may pass it.
    pub(crate) fn next_visible(&mut self, now: u64) -> Option<Slot<N, T>> {
        self.slots.front().filter(|s| s.bursts == 0 && s.compared)?;
        let slot = self.slots.pop_front();
        self.tail.advance(now, 0);
        self.last_record = Some(now);
        slot
    }

    /// A write of the queue's csr was accepted; true if it turns the queue on.
    pub(crate) fn begin_csr(&mut self, value: u32, now: u64) -> bool {
        let (enable, ie) = (value & 1 != 0, value & 2 != 0);
        let starts = enable && !self.control.enable;
        self.control.begin(enable, ie, now);
        if starts {
            // "Changing fqen from 0 to 1 sets the fqt register and the fqcsr bits fqof and fqmf
            // to 0"; the same of pqen.
            self.tail.reset();
            self.memory_fault.clear();
            self.overflow.clear();
            self.give_up();
            self.started = true;
        }
        if value & 1 << 8 != 0 {
            self.memory_fault.begin_clear(now);
        }
        if value & 1 << 9 != 0 {
            self.overflow.begin_clear(now);
            self.overflow_cleared = now;
        }
        starts
    }

    /// It was answered. `waiting`: a record that may have found no room may be tried again.
    pub(crate) fn end_csr(&mut self, value: u32, waiting: bool, now: u64, settle: u64) {
        self.control.end(value & 2 != 0, now);
        self.memory_fault.end_clear(settle);
        self.overflow.end_clear(settle);
        if waiting {
            self.overflow.may(now);
        } else if !self.overflow.hi {
            self.overflow_used = false;
        }
    }

    /// Checks what a read of the csr shows besides enable, on and busy; what is wrong.
    pub(crate) fn read_csr(&mut self, value: u32, q: &str, asked: u64) -> Vec<String> {
        let mut wrong = Vec::new();
        for (n, name, bit) in [
            (8, "mf", &mut self.memory_fault),
            (9, "of", &mut self.overflow),
        ] {
            let name = format!("{q}{name}");
            crate::on_reg::check_bit(value >> n & 1 != 0, &name, bit, asked, &mut wrong);
        }
        let zero = value & !(0xf000_0000 | 0x3_0303);
        if zero != 0 {
            wrong.push(format!("bits {zero:#x} zero"));
        }
        wrong
    }

    /// Checks a read of the tail.
    ///
    /// # Errors
    ///
    /// The range that it has to be in.
    pub(crate) fn read_tail(
        &mut self,
        value: u32,
        mask: u32,
        asked: u64,
        settle: u64,
    ) -> Result<(), (u64, u64)> {
        let lo = self.tail.sure(asked, settle);
        let count = self.tail.count_of(value, mask);
        if value > mask || count > self.tail.hi {
            return Err((lo & u64::from(mask), self.tail.hi & u64::from(mask)));
        }
        self.tail.lo = count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::WriteFor;
    use iommu_bus::event::WBeat;

    const RING: Ring = Ring {
        base: 0x1000,
        mask: 3,
        head: 0,
    };

    fn on() -> RecordQueue<2> {
        let mut q = RecordQueue::default();
        assert!(q.begin_csr(1, 1));
        q
    }

    /// A write of one 16-byte record in a burst of two beats.
    fn record(index: u64) -> MemWrite {
        let beat = |last| WBeat {
            data: 0x55,
            strb: 0xff,
            last,
        };
        MemWrite {
            axi: crate::tests::burst(0, 0x1000 + 16 * index, 1),
            at: 0,
            beats: vec![beat(false), beat(true)],
            of: WriteFor::Unknown,
            stored: false,
            old: None,
        }
    }

    #[test]
    fn a_record_is_visible_once_compared_and_answered() {
        let mut q = on();
        let w = q.write(&record(0), RING, 5);
        assert_eq!((w.first, w.slots, w.refused.len()), (Some(0), 1, 0));
        assert!(q.next_visible(6).is_none());
        q.answered(0, 1);
        assert!(q.next_visible(6).is_none(), "not compared yet");
        assert_eq!(q.take_whole(), Some((0, [0x55; 2])));
        assert_eq!(q.take_whole(), None);
        assert!(q.next_visible(7).is_some());
        assert_eq!((q.tail.hi, q.last_record), (1, Some(7)));
    }

    #[test]
    fn half_a_record_is_partial() {
        let mut q = on();
        let mut w = record(0);
        w.beats.pop();
        q.write(&w, RING, 5);
        assert!(q.has_partial() && q.take_whole().is_none());
    }

    #[test]
    fn records_come_in_turn() {
        let mut q = on();
        assert_eq!(q.write(&record(1), RING, 5).out_of_turn, Some((1, 0)));
        assert_eq!(q.write(&record(0), RING, 5).out_of_turn, None);
        assert_eq!(q.write(&record(1), RING, 5).out_of_turn, None);
    }

    #[test]
    fn no_record_begins_in_a_full_stopped_or_disabled_queue() {
        let refused = |q: &mut RecordQueue<2>, n| q.write(&record(n), RING, 50).refused;
        let mut q = on();
        for n in 0..3 {
            assert!(refused(&mut q, n).is_empty());
        }
        assert_eq!(refused(&mut q, 3), [(3, Refusal::Full)]);
        let mut q = on();
        q.overflow.must(1, 0);
        assert_eq!(refused(&mut q, 0), [(0, Refusal::Overflow)]);
        let mut q = on();
        q.memory_fault.must(1, 0);
        assert_eq!(refused(&mut q, 0), [(0, Refusal::MemoryFault)]);
        let mut q = RecordQueue::default();
        assert_eq!(refused(&mut q, 0), [(0, Refusal::Off)]);
    }

    #[test]
    fn records_that_do_not_all_fit_may_be_lost() {
        let q = on();
        assert!(!q.too_small(3, 3, [0, 0]));
        assert!(q.too_small(4, 3, [0, 0]));
        assert!(
            q.too_small(1, 3, [0, 1]),
            "the old head still counts while the new one is on its way"
        );
    }
}
