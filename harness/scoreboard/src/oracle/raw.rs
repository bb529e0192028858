//! Words that the block has read and nobody knows as what: speculation, and what a fetch granule
//! brings besides the entry. They may be held as whatever they are.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::held::{ENTRY_WORDS, EntryWords};
use crate::ports::WordHasher;

/// Reads of a word that are remembered.
const KEPT: usize = 8;

/// By address / 8: clock of the sample, and the word.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    words: HashMap<u64, Vec<(u64, u64)>, BuildHasherDefault<WordHasher>>,
}

impl Raw {
    pub(crate) fn reset(&mut self) {
        self.words.clear();
    }

    pub(crate) fn add(&mut self, word: u64, value: u64, sampled: u64) {
        let list = self.words.entry(word).or_default();
        if list.len() >= KEPT {
            list.remove(0);
        }
        list.push((sampled, value));
    }

    /// Entries of `count` words at `addr` that were read at once, with the clock.
    pub(crate) fn at(&self, addr: u64, count: usize, size: u8) -> Vec<(EntryWords, u64)> {
        let mut found = Vec::new();
        if self.words.is_empty() {
            return found;
        }
        let list = |n: usize| {
            let word = (addr >> 3) + n as u64;
            self.words.get(&word).map_or(&[][..], Vec::as_slice)
        };
        'entries: for &(sampled, value) in list(0) {
            let mut words: EntryWords = [0; ENTRY_WORDS];
            words[0] = match (size, addr & 4) {
                (4, 0) => value & 0xffff_ffff,
                (4, _) => value >> 32,
                _ => value,
            };
            for (n, word) in words.iter_mut().enumerate().take(count).skip(1) {
                match list(n).iter().find(|(at, _)| *at == sampled) {
                    Some((_, v)) => *word = *v,
                    None => continue 'entries,
                }
            }
            found.push((words, sampled));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_was_read_at_once() {
        let mut raw = Raw::default();
        raw.add(4, 1, 10);
        raw.add(5, 2, 10);
        raw.add(4, 3, 20);
        let words = |addr, count, size| -> Vec<(u64, u64, u64)> {
            let all = raw.at(addr, count, size);
            all.iter().map(|(w, at)| (w[0], w[1], *at)).collect()
        };
        assert_eq!(words(32, 2, 8), [(1, 2, 10)]);
        assert_eq!(words(32, 1, 8), [(1, 0, 10), (3, 0, 20)]);
        assert_eq!(words(44, 1, 4), [(0, 0, 10)]);
        assert!(words(64, 1, 8).is_empty());
    }
}
