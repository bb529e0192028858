//! What memory held, and until when: the words that walks read, and their values inside the
//! windows of open requests.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::MemError;

use crate::ports::WordHasher;

type Hashed = BuildHasherDefault<WordHasher>;

/// A doubleword as memory would answer for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) value: u64,
    /// How a read of the lower and of the upper half is answered.
    fault: [Option<MemError>; 2],
}

impl Content {
    pub(crate) fn of(mem: &SparseMemory, word: u64) -> Self {
        let addr = word << 3;
        let fault = if mem.faults().is_empty() && addr >> iommu_bus::mem::ADDR_BITS == 0 {
            [None; 2]
        } else {
            [addr, addr + 4].map(|a| match mem.fault_for(a, 4, FaultAccess::Read) {
                None => None,
                Some(MemFault::Poison) => Some(MemError::Corrupt),
                Some(MemFault::SlvErr | MemFault::DecErr) => Some(MemError::Access),
            })
        };
        Self {
            value: mem.read_u64(addr),
            fault,
        }
    }

    /// What a read of `size` (4 or 8) bytes at `addr`, inside of it, gives.
    pub(crate) fn get(&self, addr: u64, size: u8) -> Result<u64, MemError> {
        let (half, whole) = (usize::from(addr & 4 != 0), size > 4);
        let met = |e| self.fault[half] == Some(e) || (whole && self.fault[1] == Some(e));
        // "An access fault anywhere wins": the rules check it first.
        if met(MemError::Access) {
            return Err(MemError::Access);
        }
        if met(MemError::Corrupt) {
            return Err(MemError::Corrupt);
        }
        Ok(match (whole, half) {
            (true, _) => self.value,
            (false, 0) => self.value & 0xffff_ffff,
            (false, _) => self.value >> 32,
        })
    }
}

/// The last time that a word changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edit {
    /// Memory held `before` until this clock.
    pub(crate) until: u64,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// What a word held before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    pub(crate) content: Content,
    /// Memory held it until this clock.
    pub(crate) until: u64,
    /// The block itself has set A or D bits in it.
    pub(crate) updated: bool,
}

#[derive(Debug)]
struct Word {
    content: Content,
    edit: Option<Edit>,
}

/// The words that walks of requests have read since reset, with what they held before.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// By address / 8.
    words: HashMap<u64, Word, Hashed>,
    /// 4 KiB pages that hold one.
    pages: HashSet<u64, Hashed>,
    /// What a word held before; the latest last.
    old: HashMap<u64, Vec<Past>, Hashed>,
    order: VecDeque<(u64, u64)>,
    /// Stores whose effect has not been looked at: first and last byte, and the last clock
    /// before them.
    touched: Vec<(u64, u64, u64)>,
    /// Another number whenever a watched word may have changed.
    pub(crate) stamp: u64,
}

impl Words {
    pub(crate) fn reset(&mut self) {
        self.words.clear();
        self.pages.clear();
        self.old.clear();
        self.order.clear();
        self.touched.clear();
        self.stamp += 1;
    }

    /// What memory holds now. The word is watched from here on.
    pub(crate) fn now(&mut self, mem: &SparseMemory, word: u64, clock: u64) -> Content {
        let content = Content::of(mem, word);
        match self.words.get_mut(&word) {
            Some(w) if w.content == content => {}
            // Nobody announced this store; it was after the last look at the latest.
            Some(_) => self.change(word, content, clock),
            None => {
                self.pages.insert(word >> 9);
                self.words.insert(
                    word,
                    Word {
                        content,
                        edit: None,
                    },
                );
            }
        }
        content
    }

    fn change(&mut self, word: u64, content: Content, until: u64) {
        let Some(w) = self.words.get_mut(&word) else {
            return;
        };
        self.stamp += 1;
        let before = std::mem::replace(&mut w.content, content);
        w.edit = Some(Edit {
            until,
            before: before.value,
            after: content.value,
        });
        self.remember(word, before, until, false);
    }

    fn remember(&mut self, word: u64, content: Content, until: u64, updated: bool) {
        self.old.entry(word).or_default().push(Past {
            content,
            until,
            updated,
        });
        self.order.push_back((until, word));
    }

    /// The block has set A or D bits of a word, after this clock.
    pub(crate) fn update(&mut self, word: u64, mem: &SparseMemory, until: u64) {
        if let Some(w) = self.words.get_mut(&word) {
            let before = std::mem::replace(&mut w.content, Content::of(mem, word));
            self.remember(word, before, until, true);
            self.stamp += 1;
        }
    }

    /// These bytes have been, or are about to be, stored; `until` is the last clock at whose
    /// end they still were what they were.
    pub(crate) fn store(&mut self, addr: u64, len: u64, until: u64) {
        let last = addr.saturating_add(len.max(1) - 1);
        let watched =
            len > 1 << 16 || (addr >> 12..=last >> 12).any(|page| self.pages.contains(&page));
        if watched {
            self.stamp += 1;
            self.touched.push((addr, last, until));
        }
    }

    /// Whether [`Words::catch_up`] has anything to do.
    pub(crate) fn behind(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Looks at what the stores since the last time have changed, if there were any.
    pub(crate) fn catch_up(&mut self, mem: &SparseMemory) {
        let touched = std::mem::take(&mut self.touched);
        for &(first, last, until) in &touched {
            let words: Vec<u64> = if last - first > 1 << 16 {
                let inside = |w: &u64| (first >> 3..=last >> 3).contains(w);
                self.words.keys().copied().filter(inside).collect()
            } else {
                (first >> 3..=last >> 3)
                    .filter(|w| self.words.contains_key(w))
                    .collect()
            };
            for word in words {
                let content = Content::of(mem, word);
                if self.words.get(&word).is_some_and(|w| w.content != content) {
                    self.change(word, content, until);
                }
            }
        }
    }

    /// What a watched word held when it was last looked at.
    pub(crate) fn known(&self, word: u64) -> Option<Content> {
        self.words.get(&word).map(|w| w.content)
    }

    /// Whether memory holds this value at an address that is watched, as far as is known.
    pub(crate) fn holds(&self, addr: u64, size: u8, value: u64) -> bool {
        let word = self.words.get(&(addr >> 3));
        word.is_none_or(|w| w.content.get(addr, size).is_ok_and(|v| v == value))
    }

    /// Whether a word that is watched is still what it was at clock `at`, and has been all the time.
    pub(crate) fn steady(&self, mem: &SparseMemory, word: u64, was: Content, at: u64) -> bool {
        Content::of(mem, word) == was && self.past(word, at).next().is_none()
    }

    /// Whether any word has a value of the past.
    pub(crate) fn has_past(&self) -> bool {
        !self.order.is_empty()
    }

    /// What a word held before, where some of it was at or after clock `from`.
    pub(crate) fn past(&self, word: u64, from: u64) -> impl Iterator<Item = Past> {
        let old = if self.order.is_empty() {
            None
        } else {
            self.old.get(&word)
        };
        let old = old.map_or(&[][..], Vec::as_slice).iter().copied();
        old.filter(move |p| p.until >= from)
    }

    /// The last time that a watched word changed.
    pub(crate) fn edit(&self, word: u64) -> Option<Edit> {
        self.words.get(&word).and_then(|w| w.edit)
    }

    /// No open request was accepted before `oldest`.
    pub(crate) fn prune(&mut self, oldest: u64) {
        while let Some(&(until, word)) = self.order.front() {
            if until >= oldest {
                break;
            }
            self.order.pop_front();
            if let Some(list) = self.old.get_mut(&word) {
                list.retain(|p| p.until >= oldest);
                if list.is_empty() {
                    self.old.remove(&word);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shows_what_memory_held_in_it() {
        let mut mem = SparseMemory::new();
        let mut words = Words::default();
        let value = |c: Content, size| c.get(0x104, size);
        mem.write_u64(0x100, 1 << 32 | 2);
        assert_eq!(value(words.now(&mem, 0x20, 5), 4), Ok(1));
        // Stored after clock 10, and again after clock 20.
        for (n, until) in [(3u64, 10), (4, 20)] {
            words.store(0x104, 4, until);
            mem.write_u32(0x104, n as u32);
            words.catch_up(&mem);
        }
        let seen = |words: &Words, from| -> Vec<u64> {
            let old = words.past(0x20, from);
            old.map(|p| p.content.value >> 32).collect()
        };
        assert_eq!(seen(&words, 10), [1, 3]);
        assert_eq!(seen(&words, 11), [3]);
        assert_eq!(seen(&words, 21), [0u64; 0]);
        assert_eq!(words.edit(0x20).map(|e| e.until), Some(20));
        // A fault is a value too; a store elsewhere is none.
        words.store(0, u64::MAX, 30);
        mem.add_fault(0x104..0x108, MemFault::Poison);
        words.catch_up(&mem);
        words.store(0x108, 8, 31);
        words.catch_up(&mem);
        assert_eq!(seen(&words, 21), [4]);
        let now = words.now(&mem, 0x20, 32);
        assert_eq!(value(now, 4), Err(MemError::Corrupt));
        assert_eq!(now.get(0x100, 8), Err(MemError::Corrupt));
        assert_eq!(now.get(0x100, 4), Ok(2));
        words.prune(21);
        assert_eq!(seen(&words, 0), [4]);
        words.prune(31);
        assert!(!words.has_past());
    }

    #[test]
    fn a_store_that_nobody_announced_is_noticed() {
        let mut mem = SparseMemory::new();
        let mut words = Words::default();
        words.now(&mem, 1, 5);
        mem.write_u64(8, 9);
        assert_eq!(words.now(&mem, 1, 7).value, 9);
        assert_eq!(words.past(1, 7).count(), 1);
        assert_eq!(words.past(1, 8).count(), 0);
    }
}
