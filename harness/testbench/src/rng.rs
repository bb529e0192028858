//! Random streams: one for each purpose, so that a draw here moves no draw there.

use std::ops::RangeInclusive;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of draws that depends on nothing but the seed and the purpose.
///
/// Draws are mapped to ranges here and not by a library, whose mapping may change
/// between versions: a seed means the same run for ever.
#[derive(Debug, Clone)]
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut hash = 0xcbf2_9ce4_8422_2325u64; // FNV-1a, once more for each word of the key
        for word in key[8..].chunks_exact_mut(8) {
            for byte in purpose.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
            word.copy_from_slice(&hash.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n` (0 for `n` = 0).
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// True with this chance; 0 and 100 draw nothing.
    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        match percent {
            0 => false,
            100.. => true,
            p => self.below(100) < u32::from(p),
        }
    }

    /// A number of the range; a range of one value (or none) draws nothing.
    pub(crate) fn between(&mut self, range: &RangeInclusive<u32>) -> u32 {
        let (low, high) = (*range.start(), *range.end());
        if high <= low {
            return low;
        }
        let span = u64::from(high - low) + 1;
        low + ((u64::from(self.0.next_u32()) * span) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_apart_and_replay() {
        let words = |seed, purpose| {
            let mut s = Stream::new(seed, purpose);
            [s.word(), s.word(), s.word()]
        };
        assert_eq!(words(1, "a"), words(1, "a"));
        assert_ne!(words(1, "a"), words(2, "a"));
        assert_ne!(words(1, "a"), words(1, "b"));
    }

    #[test]
    fn draws_stay_in_range_and_reach_its_ends() {
        let mut s = Stream::new(3, "range");
        let mut seen = [0u32; 5];
        let mut hits = 0;
        for _ in 0..5000 {
            seen[s.between(&(10..=14)) as usize - 10] += 1;
            hits += u32::from(s.chance(30));
        }
        assert!(seen.iter().all(|&n| n > 800), "{seen:?}");
        assert!((1350..1650).contains(&hits), "{hits}");
        assert_eq!(s.between(&(7..=7)), 7);
        #[expect(clippy::reversed_empty_ranges)]
        let empty = 9..=2;
        assert_eq!(s.between(&empty), 9);
        assert!(s.chance(100) && s.chance(255) && !s.chance(0));
        let _ = s.between(&(0..=u32::MAX));
    }
}
