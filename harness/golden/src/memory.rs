//! Memory as the model sees it, and a small one for tests and examples.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::addr::Spa;
use crate::label::Label;

/// Why memory did not give what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MemError {
    /// The access violates a PMA or PMP check, or the bus answered with an error.
    #[error("access fault")]
    Access,
    /// The data came back marked corrupt (poison).
    #[error("data corruption")]
    Corrupt,
}

/// The memory behind the IOMMU.
///
/// Multi-byte values are those of the bytes in little-endian order; the model swaps where
/// `fctl.BE` or `SBE` says so. `size` is 4 or 8 and every address is aligned to it. Addresses
/// at or above 2^PAS never reach the trait: the model answers for them with an access fault.
pub trait Memory {
    /// Reads `size` bytes.
    ///
    /// # Errors
    /// An access fault or data corruption.
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError>;

    /// Reads an entry of several doublewords (device context, process context, MSI PTE,
    /// command). An access fault anywhere wins over corruption anywhere, since the rules
    /// check it first.
    ///
    /// # Errors
    /// An access fault or data corruption.
    fn load_entry(&mut self, addr: Spa, words: &mut [u64], label: &Label) -> Result<(), MemError> {
        let mut corrupt = false;
        for (offset, word) in (0u64..).step_by(8).zip(words.iter_mut()) {
            match self.load(addr.offset_by(offset), 8, label) {
                Ok(v) => *word = v,
                Err(MemError::Access) => return Err(MemError::Access),
                Err(MemError::Corrupt) => corrupt = true,
            }
        }
        if corrupt {
            Err(MemError::Corrupt)
        } else {
            Ok(())
        }
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// An access fault.
    fn store(&mut self, addr: Spa, bytes: &[u8], label: &Label) -> Result<(), MemError>;

    /// Atomically: if the `size` bytes hold `expected`, replaces them by `new`. Returns what
    /// they held.
    ///
    /// # Errors
    /// An access fault or data corruption.
    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        new: u64,
        label: &Label,
    ) -> Result<u64, MemError>;

    /// ORs `bits` into 8 bytes (atomically if `atomic`, that is with `capabilities.AMO_MRIF`).
    /// Returns what they held.
    ///
    /// # Errors
    /// An access fault or data corruption.
    fn fetch_or(
        &mut self,
        addr: Spa,
        bits: u64,
        atomic: bool,
        label: &Label,
    ) -> Result<u64, MemError>;
}

impl<M: Memory + ?Sized> Memory for &mut M {
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError> {
        (**self).load(addr, size, label)
    }
    fn load_entry(&mut self, addr: Spa, words: &mut [u64], label: &Label) -> Result<(), MemError> {
        (**self).load_entry(addr, words, label)
    }
    fn store(&mut self, addr: Spa, bytes: &[u8], label: &Label) -> Result<(), MemError> {
        (**self).store(addr, bytes, label)
    }
    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        new: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        (**self).compare_and_swap(addr, size, expected, new, label)
    }
    fn fetch_or(
        &mut self,
        addr: Spa,
        bits: u64,
        atomic: bool,
        label: &Label,
    ) -> Result<u64, MemError> {
        (**self).fetch_or(addr, bits, atomic, label)
    }
}

/// A sparse memory that starts zero, with faults by address range.
///
/// Meant for examples and tests; a testbench brings its own [`Memory`].
#[derive(Debug, Clone, Default)]
pub struct SimpleMemory {
    pages: BTreeMap<u64, Box<[u8; 4096]>>,
    faults: Vec<(Range<u64>, MemError)>,
}

impl SimpleMemory {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every access that touches `range` fail with `error`.
    pub fn add_fault(&mut self, range: Range<u64>, error: MemError) {
        self.faults.push((range, error));
    }

    /// Removes all faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Copies bytes out, faults ignored.
    pub fn read(&self, addr: u64, bytes: &mut [u8]) {
        for (i, b) in (0u64..).zip(bytes.iter_mut()) {
            let a = addr.wrapping_add(i);
            *b = self
                .pages
                .get(&(a >> 12))
                .map_or(0, |p| p[(a & 0xfff) as usize]);
        }
    }

    /// Copies bytes in, faults ignored.
    pub fn write(&mut self, addr: u64, bytes: &[u8]) {
        for (i, b) in (0u64..).zip(bytes) {
            let a = addr.wrapping_add(i);
            self.pages
                .entry(a >> 12)
                .or_insert_with(|| Box::new([0; 4096]))[(a & 0xfff) as usize] = *b;
        }
    }

    /// Reads a little-endian doubleword, faults ignored.
    #[must_use]
    pub fn read_u64(&self, addr: u64) -> u64 {
        let mut b = [0; 8];
        self.read(addr, &mut b);
        u64::from_le_bytes(b)
    }

    /// Writes a little-endian doubleword, faults ignored.
    pub fn write_u64(&mut self, addr: u64, value: u64) {
        self.write(addr, &value.to_le_bytes());
    }

    fn fault(&self, addr: Spa, len: u64) -> Option<MemError> {
        let hit = |e: MemError| {
            self.faults
                .iter()
                .any(|(r, why)| *why == e && r.start < addr.0.saturating_add(len) && addr.0 < r.end)
        };
        // Access faults first, as the rules check them first.
        if hit(MemError::Access) {
            Some(MemError::Access)
        } else if hit(MemError::Corrupt) {
            Some(MemError::Corrupt)
        } else {
            None
        }
    }

    fn value(&self, addr: Spa, size: u8) -> u64 {
        let mut b = [0; 8];
        let n = usize::from(size.min(8));
        self.read(addr.0, &mut b[..n]);
        u64::from_le_bytes(b)
    }
}

impl Memory for SimpleMemory {
    fn load(&mut self, addr: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        self.fault(addr, size.into())
            .map_or(Ok(self.value(addr, size)), Err)
    }

    fn store(&mut self, addr: Spa, bytes: &[u8], _: &Label) -> Result<(), MemError> {
        match self.fault(addr, bytes.len() as u64) {
            // Writing over poisoned data is no error.
            Some(MemError::Access) => Err(MemError::Access),
            _ => {
                self.write(addr.0, bytes);
                Ok(())
            }
        }
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        new: u64,
        _: &Label,
    ) -> Result<u64, MemError> {
        if let Some(e) = self.fault(addr, size.into()) {
            return Err(e);
        }
        let old = self.value(addr, size);
        if old == expected {
            self.write(addr.0, &new.to_le_bytes()[..usize::from(size.min(8))]);
        }
        Ok(old)
    }

    fn fetch_or(&mut self, addr: Spa, bits: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        if let Some(e) = self.fault(addr, 8) {
            return Err(e);
        }
        let old = self.value(addr, 8);
        self.write(addr.0, &(old | bits).to_le_bytes());
        Ok(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_begin_and_end_with_their_range() {
        let mut m = SimpleMemory::new();
        m.add_fault(0x1008..0x1010, MemError::Corrupt);
        m.add_fault(0x1010..0x1018, MemError::Access);
        let label = Label::Fence;
        let mut load = |a| m.load(Spa(a), 8, &label);
        assert_eq!(
            (load(0x1000), load(0x1008)),
            (Ok(0), Err(MemError::Corrupt))
        );
        assert_eq!((load(0x1010), load(0x1018)), (Err(MemError::Access), Ok(0)));
        // An entry with both: the access fault wins. A store over corrupt data mends it.
        assert_eq!(
            m.load_entry(Spa(0x1008), &mut [0; 2], &label),
            Err(MemError::Access)
        );
        assert_eq!(
            m.load_entry(Spa(0x1000), &mut [0; 2], &label),
            Err(MemError::Corrupt)
        );
        assert_eq!(m.store(Spa(0x1008), &[1; 8], &label), Ok(()));
        assert_eq!(m.read_u64(0x1008), 0x0101_0101_0101_0101);
        // Across a page, and at the end of the address space.
        m.write(0x1fff, &[2, 3]);
        assert_eq!((m.read_u64(0x1ff8) >> 56, m.read_u64(0x2000)), (2, 3));
        m.write(u64::MAX, &[4, 5]);
        assert_eq!(m.read_u64(0), 5);
    }
}
