//! Command queue and fault queue as the pins allow to follow them.

use std::collections::VecDeque;

use iommu_golden::FaultRecord;
use iommu_golden::command::{AtsMessage, Iofence};

use crate::dev::Ref;
use crate::record_queue::{RecordQueue, lost};
use crate::sticky::Sticky;

/// The enable side of a queue: `cqen`/`cqon`/`busy` and the like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Control {
    /// As last written.
    pub(crate) enable: bool,
    /// Surely on; possibly on.
    pub(crate) on_lo: bool,
    pub(crate) on_hi: bool,
    /// Interrupt enable surely, possibly.
    pub(crate) ie_lo: bool,
    pub(crate) ie_hi: bool,
    /// A csr write that has not been seen to have settled: begun, answered.
    pub(crate) changing: Option<(u64, Option<u64>)>,
}

impl Control {
    /// A write was accepted.
    pub(crate) fn begin(&mut self, enable: bool, ie: bool, now: u64) {
        self.ie_lo &= ie;
        self.ie_hi |= ie;
        if enable {
            self.on_hi = true;
            self.on_lo &= self.enable;
        } else {
            self.on_lo = false;
        }
        self.enable = enable;
        self.changing = Some((now, None));
    }

    /// It was answered.
    pub(crate) fn end(&mut self, ie: bool, now: u64) {
        self.ie_lo = ie;
        self.ie_hi = ie;
        if let Some((_, done)) = &mut self.changing {
            *done = Some(now);
        }
    }

    /// It has settled: the queue follows its enable bit.
    pub(crate) fn settled(&mut self) {
        self.on_lo = self.enable;
        self.on_hi = self.enable;
        self.changing = None;
    }
}

/// An index that only advances, counted from when its queue was enabled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    /// Surely reached.
    pub(crate) lo: u64,
    /// Possibly reached.
    pub(crate) hi: u64,
    /// Values of `hi`, when they became possible, and the clocks that each may take at least: for
    /// making them sure.
    steps: VecDeque<(u64, u64, u64)>,
}

impl Index {
    /// One more is possible; with what is under way now it may take so many clocks.
    pub(crate) fn advance(&mut self, now: u64, within: u64) {
        self.hi += 1;
        if let Some((value, ..)) = self.steps.back_mut().filter(|s| s.1 == now) {
            *value = self.hi;
        } else {
            self.steps.push_back((self.hi, now, within));
        }
        if self.steps.len() > 1024 {
            // Long unread: the oldest only make the lower bound coarser.
            self.steps.pop_front();
        }
    }

    /// Since when the next value is possible that is not sure yet.
    pub(crate) fn waits_since(&self) -> Option<u64> {
        self.steps.front().map(|s| s.1)
    }

    /// What must have been reached by `asked`, if each step takes at most `within`.
    pub(crate) fn sure(&mut self, asked: u64, within: u64) -> u64 {
        while let Some(&(value, at, least)) = self.steps.front() {
            if at + within.max(least) > asked {
                break;
            }
            self.lo = self.lo.max(value);
            self.steps.pop_front();
        }
        self.lo
    }

    /// The count that index register value `index` stands for: the first at or above `lo`.
    pub(crate) fn count_of(&self, index: u32, mask: u32) -> u64 {
        self.lo + u64::from(index.wrapping_sub(self.lo as u32) & mask)
    }

    /// Nothing could happen for so many clocks.
    pub(crate) fn delay(&mut self, clocks: u64) {
        for (_, at, _) in &mut self.steps {
            *at += clocks;
        }
    }

    pub(crate) fn reset(&mut self) {
        self.lo = 0;
        self.hi = 0;
        self.steps.clear();
    }
}

/// What a fetched command turned out to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Not all of it has been returned by memory.
    Fetching,
    /// Legal, and done whenever the block says so.
    Plain,
    /// A fence.
    Fence(Iofence),
    /// It sends a message: an invalidation request, or a page request group response.
    Ats(AtsMessage, bool),
    /// Illegal or unsupported.
    Illegal,
    /// Memory answered the fetch with an error.
    Faulty,
}

/// Where a fence's store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// Not seen.
    No,
    /// On its way.
    Going,
    /// Visible.
    Done,
    /// Answered with an error.
    Failed,
}

/// A command between `cqh` and `cqt`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cmd {
    pub(crate) words: [u64; 2],
    /// Which of its 16 bytes are in.
    pub(crate) got: u16,
    pub(crate) error: bool,
    pub(crate) kind: Kind,
    /// Clock of the data, and bursts forwarded on `m_dev` until then.
    pub(crate) fetched: u64,
    pub(crate) forwards: u64,
    pub(crate) store: Store,
    /// What it does to `cqcsr` has been noted.
    pub(crate) noted: bool,
    /// It may have met a time-out; then it has stopped there.
    pub(crate) may_have_met: bool,
    /// A fence of which only the block knows whether it has completed.
    pub(crate) doubtful: bool,
}

impl Cmd {
    pub(crate) const fn new() -> Self {
        Self {
            words: [0; 2],
            got: 0,
            error: false,
            kind: Kind::Fetching,
            fetched: 0,
            forwards: 0,
            store: Store::No,
            noted: false,
            may_have_met: false,
            doubtful: false,
        }
    }
}

/// The command queue.
#[derive(Debug, Default)]
pub(crate) struct CommandQueue {
    pub(crate) control: Control,
    pub(crate) head: Index,
    /// Commands from `head.hi` on.
    pub(crate) cmds: VecDeque<Cmd>,
    /// Those that were fetched when the queue was turned off: the block may end the first of them.
    pub(crate) leaving: VecDeque<Cmd>,
    pub(crate) memory_fault: Sticky,
    pub(crate) illegal: Sticky,
    pub(crate) fence_w_ip: Sticky,
    /// `cmd_to`.
    pub(crate) timeout: Sticky,
    /// Count that `cqt` stands for: software only ever moves it on.
    pub(crate) end: u64,
    /// Fences with WSI that could complete: count, and since when.
    pub(crate) raising: VecDeque<(u64, u64)>,
    /// Fences with WSI that may have set `fence_w_ip` since software last cleared it.
    pub(crate) wsi: VecDeque<u64>,
    /// Commands before this count have been seen to have completed.
    pub(crate) seen: u64,
    /// Clock when software last began to clear `fence_w_ip`.
    pub(crate) raise_cleared: u64,
    /// Clock of the last sign of life.
    pub(crate) progress: u64,
    pub(crate) reported_stuck: bool,
    /// It has been enabled since reset: `cqh` is defined.
    pub(crate) started: bool,
}

/// A fault that has, or may have, a record coming.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The refused request: its verdicts say what is to be recorded.
    pub(crate) of: Option<Ref>,
    /// Another walk that may be refused.
    pub(crate) asker: Option<u64>,
    /// What is to be recorded where no request is behind it.
    pub(crate) own: Option<FaultRecord>,
    /// A record must come; else it only may.
    pub(crate) certain: bool,
    /// Clock since when it has been outstanding.
    pub(crate) born: u64,
    /// Clock since when it could be written, and must be on its way.
    pub(crate) since: u64,
    /// Why it may be lost: bits of [`lost`].
    pub(crate) lost: u8,
    /// An identical one was recorded, and the block merges those.
    pub(crate) merged: bool,
}

/// A record that was written, and whose it has been taken to be. Requests that ask for equal
/// records can be mistaken for each other, until one of them turns out to be granted.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) of: Option<Ref>,
    /// Clock of the record.
    pub(crate) at: u64,
    pub(crate) words: [u64; 4],
    /// Every record that this fault could have.
    pub(crate) options: Vec<[u64; 4]>,
    /// Since when that could be written, and why it might have been lost: bits of [`lost`].
    pub(crate) since: u64,
    pub(crate) lost: u8,
    /// It is decided, and need not have had one.
    pub(crate) optional: bool,
}

/// The fault queue.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue {
    pub(crate) ring: RecordQueue<4>,
    pub(crate) faults: VecDeque<Fault>,
    /// The last records and their owners.
    pub(crate) taken: VecDeque<Taken>,
    /// The last records, to tell a repeated one from an invented one.
    pub(crate) recent: VecDeque<[u64; 4]>,
}

impl FaultQueue {
    /// Every outstanding record may now be lost, for this reason.
    pub(crate) fn may_lose(&mut self, why: u8) {
        for f in &mut self.faults {
            f.lost |= why;
        }
    }

    /// Some record may have found no room.
    pub(crate) fn has_waiting(&self) -> bool {
        self.faults.iter().any(|f| f.lost & lost::FULL != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_becomes_sure_with_time() {
        let mut i = Index::default();
        i.advance(10, 0);
        i.advance(20, 0);
        assert_eq!((i.sure(29, 20), i.hi), (0, 2));
        assert_eq!(i.sure(30, 20), 1);
        assert_eq!(i.sure(40, 20), 2);
        // Much was under way when it became possible, though it is not any more.
        i.advance(50, 100);
        assert_eq!(i.sure(149, 20), 2);
        assert_eq!(i.sure(150, 20), 3);
        assert_eq!(i.count_of(0, 3), 4);
        assert_eq!(i.count_of(3, 3), 3);
        i.reset();
        assert_eq!(i.count_of(3, 3), 3);
    }

    #[test]
    fn a_queue_is_surely_on_only_once_settled() {
        let mut c = Control::default();
        c.begin(true, true, 5);
        assert!(c.on_hi && !c.on_lo && c.ie_hi && !c.ie_lo);
        c.end(true, 6);
        assert!(c.ie_lo);
        c.settled();
        assert!(c.on_lo);
        c.begin(false, true, 9);
        assert!(c.on_hi && !c.on_lo);
        c.end(true, 10);
        c.settled();
        assert!(!c.on_hi);
    }
}
