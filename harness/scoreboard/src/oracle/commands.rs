//! The invalidations that the block has fetched, and which of them have visibly completed.

use std::collections::VecDeque;

use iommu_golden::Command;
use iommu_golden::invalidate::{Entry, covers};

/// An invalidation that was fetched.
#[derive(Debug, Clone)]
pub(crate) struct Inval {
    pub(crate) command: Command,
    /// Clock at which memory sampled it.
    pub(crate) fetched: u64,
    /// Clock at which a fence behind it was seen to have completed; the same for one that
    /// orders reads, or writes.
    pub(crate) done: Option<u64>,
    pub(crate) reads: Option<u64>,
    pub(crate) writes: Option<u64>,
    /// Never executed, for all that is known: fetched again, or its queue was switched off.
    dead: bool,
}

impl Inval {
    /// When it bound reads (or writes) that were accepted before.
    pub(crate) fn ordered(&self, write: bool) -> Option<u64> {
        if write { self.writes } else { self.reads }
    }
}

#[derive(Debug, Clone, Copy)]
enum Pending {
    Inval(usize),
    Fence { reads: bool, writes: bool },
}

/// What a fence that was seen to have completed newly binds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Requests to come.
    pub(crate) later: bool,
    /// Reads that are open.
    pub(crate) reads: bool,
    /// Writes that are open.
    pub(crate) writes: bool,
}

/// All of them since reset, in the order of the fetches.
#[derive(Debug, Default)]
pub(crate) struct Log {
    invals: Vec<Inval>,
    /// Commands that are not known to have completed, by count.
    pending: VecDeque<(u64, Pending)>,
    /// Those below have been executed; are done; have ordered reads, writes.
    executed: usize,
    done: usize,
    reads: usize,
    writes: usize,
}

impl Log {
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The command with this count is in, as memory held it at clock `sampled`.
    pub(crate) fn fetched(&mut self, count: u64, sampled: u64, command: &Command) {
        // Fetched again: what follows it will be too.
        while self.pending.back().is_some_and(|(c, _)| *c >= count) {
            if let Some((_, Pending::Inval(n))) = self.pending.pop_back() {
                self.invals[n].dead = true;
            }
        }
        match command {
            Command::Iofence(f) => {
                let fence = Pending::Fence {
                    reads: f.pr,
                    writes: f.pw,
                };
                self.pending.push_back((count, fence));
            }
            Command::AtsInval(_) | Command::AtsPrgr(_) => {}
            Command::InvalDdt { .. }
            | Command::InvalPdt { .. }
            | Command::IotinvalVma(_)
            | Command::IotinvalGvma(_) => {
                self.pending
                    .push_back((count, Pending::Inval(self.invals.len())));
                // A prefetch may have sampled commands out of their order: the numbers only rise.
                for i in self.invals.iter_mut().rev() {
                    if i.fetched <= sampled {
                        break;
                    }
                    i.fetched = sampled;
                }
                self.invals.push(Inval {
                    command: *command,
                    fetched: sampled,
                    done: None,
                    reads: None,
                    writes: None,
                    dead: false,
                });
            }
        }
    }

    /// The queue was switched off or on: nobody can tell what became of the rest.
    pub(crate) fn restart(&mut self) {
        while let Some((_, p)) = self.pending.pop_front() {
            if let Pending::Inval(n) = p {
                self.invals[n].dead = true;
            }
        }
    }

    /// The commands with a lower count have been seen to have completed.
    pub(crate) fn visible(&mut self, count: u64, now: u64) -> Bound {
        let mut bound = Bound::default();
        while let Some(&(c, p)) = self.pending.front() {
            if c >= count {
                break;
            }
            self.pending.pop_front();
            match p {
                Pending::Inval(n) => self.executed = n + 1,
                Pending::Fence { reads, writes } => {
                    let end = self.executed;
                    for i in &mut self.invals[self.done..end] {
                        i.done = Some(now);
                        bound.later = true;
                    }
                    self.done = end;
                    if reads {
                        for i in &mut self.invals[self.reads..end] {
                            i.reads = Some(now);
                            bound.reads = true;
                        }
                        self.reads = end;
                    }
                    if writes {
                        for i in &mut self.invals[self.writes..end] {
                            i.writes = Some(now);
                            bound.writes = true;
                        }
                        self.writes = end;
                    }
                }
            }
        }
        bound
    }

    /// The first completed invalidation that reaches what was sampled at `sampled`, from
    /// number `from` on: its number. Also how far it has looked.
    pub(crate) fn reaching(
        &self,
        entry: &Entry,
        sampled: u64,
        from: usize,
    ) -> (Option<usize>, usize) {
        let first = if from > 0 {
            from
        } else {
            self.invals.partition_point(|i| i.fetched <= sampled)
        };
        let end = self.done;
        let found = (first..end).find(|&n| {
            let i = &self.invals[n];
            !i.dead && covers(&i.command, entry)
        });
        (found, found.unwrap_or(end.max(first)))
    }

    pub(crate) fn get(&self, n: usize) -> Option<&Inval> {
        self.invals.get(n)
    }

    /// An invalidation, fetched after clock `until` and before a completed fence that orders
    /// reads (or writes), that reaches what was seen until then: its number.
    pub(crate) fn ordered_after(&self, entry: &Entry, until: u64, write: bool) -> Option<usize> {
        let end = if write { self.writes } else { self.reads };
        (0..end)
            .rev()
            .take_while(|&n| self.invals[n].fetched > until)
            .find(|&n| !self.invals[n].dead && covers(&self.invals[n].command, entry))
    }

    /// Whether [`Log::ordered_after`] could find anything.
    pub(crate) fn ordered_any(&self, until: u64, write: bool) -> bool {
        let end = if write { self.writes } else { self.reads };
        end > 0 && self.invals[end - 1].fetched > until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iommu_golden::Spa;
    use iommu_golden::command::Iofence;

    const ALL: Command = Command::InvalDdt { device_id: None };

    fn fence(pr: bool, pw: bool) -> Command {
        Command::Iofence(Iofence {
            av: false,
            wsi: false,
            pr,
            pw,
            data: 0,
            addr: Spa(0),
        })
    }

    #[test]
    fn only_a_fence_behind_it_completes_an_invalidation() {
        let mut log = Log::default();
        let reached = |log: &Log, sampled| log.reaching(&Entry::DdtNonLeaf, sampled, 0).0;
        log.fetched(0, 10, &ALL);
        assert_eq!(log.visible(1, 20), Bound::default());
        assert_eq!(reached(&log, 5), None);
        log.fetched(1, 30, &fence(false, false));
        assert_eq!(log.visible(1, 40), Bound::default());
        let later = Bound {
            later: true,
            ..Bound::default()
        };
        assert_eq!(log.visible(2, 50), later);
        assert_eq!(reached(&log, 9), Some(0));
        assert_eq!(log.get(0).and_then(|i| i.done), Some(50));
        // Sampled with the command or after it: not reached.
        assert_eq!(reached(&log, 10), None);
        // Neither reads nor writes were ordered; a later fence may do that.
        assert!(!log.ordered_any(5, false) && !log.ordered_any(5, true));
        log.fetched(2, 60, &fence(true, false));
        let reads = Bound {
            reads: true,
            ..Bound::default()
        };
        assert_eq!(log.visible(3, 70), reads);
        assert!(log.ordered_after(&Entry::DdtNonLeaf, 9, false).is_some());
        assert!(log.ordered_after(&Entry::DdtNonLeaf, 10, false).is_none());
        assert!(log.ordered_after(&Entry::DdtNonLeaf, 9, true).is_none());
    }

    #[test]
    fn what_was_dropped_or_fetched_again_does_not_count() {
        let mut log = Log::default();
        log.fetched(0, 10, &ALL);
        log.fetched(1, 11, &fence(true, true));
        // Fetched again, later: only from then on.
        log.fetched(0, 20, &ALL);
        log.fetched(1, 21, &fence(true, true));
        log.visible(2, 30);
        assert_eq!(log.reaching(&Entry::DdtNonLeaf, 15, 0).0, Some(1));
        assert_eq!(log.reaching(&Entry::DdtNonLeaf, 20, 0).0, None);
        log.fetched(2, 40, &ALL);
        log.restart();
        log.fetched(0, 50, &fence(false, false));
        assert_eq!(log.visible(1, 60), Bound::default());
        assert_eq!(log.reaching(&Entry::DdtNonLeaf, 35, 0).0, None);
    }
}
