//! The physical memory behind the block: sparse, 56 bits, starts as zeros.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// Bytes in a page of [`SparseMemory`].
pub const PAGE_BYTES: usize = 4096;
/// Physical address bits; what lies above is nobody's.
pub const ADDR_BITS: u32 = 56;

const PAGE_SHIFT: u32 = 12;
const OFFSET_MASK: u64 = PAGE_BYTES as u64 - 1;
/// No page has this number (page numbers have 44 bits).
const NO_PAGE: u64 = u64::MAX;

/// How memory answers an access to a range that is marked faulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemFault {
    /// SLVERR: the memory refuses.
    SlvErr,
    /// DECERR: nothing is there.
    DecErr,
    /// The data is corrupt: reads return it with poison (SLVERR on a port
    /// without poison wires), writes work and do not heal it.
    Poison,
}

/// Which accesses a marked range refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FaultAccess {
    /// Reads and writes; an atomic is both.
    #[default]
    Any,
    /// Reads only.
    Read,
    /// Writes only.
    Write,
}

/// A range of [`SparseMemory`] that answers with a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRange {
    /// Bytes that fault.
    pub range: Range<u64>,
    /// What is refused.
    pub access: FaultAccess,
    /// How it is refused.
    pub fault: MemFault,
}

/// Page numbers are small integers: one multiplication spreads them well enough.
#[derive(Debug, Clone, Copy, Default)]
struct PageHasher(u64);

impl Hasher for PageHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(u64::from(b));
        }
    }
    fn write_u64(&mut self, n: u64) {
        // The table takes its tag from the top bits and its slot from the low ones.
        let x = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = x ^ (x >> 32);
    }
}

type PageMap = HashMap<u64, u32, BuildHasherDefault<PageHasher>>;

/// Sparse memory of 2^56 bytes. Pages that nobody wrote read as zeros and take no room.
///
/// Faults are a property of the bus, not of the bytes: [`read`](Self::read) and
/// [`write`](Self::write) always work, the agents ask [`fault_for`](Self::fault_for).
/// At and above 2^56, reads give zeros, writes are lost, and the bus answers DECERR.
///
/// ```
/// use iommu_bus::mem::SparseMemory;
/// let mut m = SparseMemory::new();
/// m.write_u64(0x1ffc, 0x1122_3344_5566_7788); // straddles two pages
/// assert_eq!(m.read_u32(0x2000), 0x1122_3344);
/// assert_eq!(m.read_u64(0x9000), 0);
/// ```
#[derive(Debug, Clone)]
pub struct SparseMemory {
    index: PageMap,
    pages: Vec<Box<[u8; PAGE_BYTES]>>,
    /// Page number and index of the last page found: accesses come in runs.
    last: Cell<(u64, u32)>,
    faults: Vec<FaultRange>,
}

impl Default for SparseMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl SparseMemory {
    /// Memory full of zeros, without faults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            index: PageMap::default(),
            pages: Vec::new(),
            last: Cell::new((NO_PAGE, 0)),
            faults: Vec::new(),
        }
    }

    fn find(&self, page: u64) -> Option<usize> {
        let (number, index) = self.last.get();
        if number == page {
            return Some(index as usize);
        }
        let index = *self.index.get(&page)?;
        self.last.set((page, index));
        Some(index as usize)
    }

    /// The page's bytes, made if absent; none above 2^56.
    fn page_mut(&mut self, page: u64) -> Option<&mut [u8; PAGE_BYTES]> {
        if page >> (ADDR_BITS - PAGE_SHIFT) != 0 {
            return None;
        }
        let index = match self.find(page) {
            Some(index) => index,
            None => {
                let index = self.pages.len();
                let short = u32::try_from(index).ok()?; // 16 TiB: the host is out of memory before
                self.pages.push(Box::new([0; PAGE_BYTES]));
                self.index.insert(page, short);
                self.last.set((page, short));
                index
            }
        };
        self.pages.get_mut(index).map(|p| &mut **p)
    }

    /// Reads `out.len()` bytes from `addr` on.
    pub fn read(&self, addr: u64, out: &mut [u8]) {
        let mut addr = addr;
        let mut out = out;
        while !out.is_empty() {
            let offset = (addr & OFFSET_MASK) as usize;
            let n = out.len().min(PAGE_BYTES - offset);
            let (head, tail) = out.split_at_mut(n);
            match self.find(addr >> PAGE_SHIFT).map(|i| &self.pages[i]) {
                Some(page) => head.copy_from_slice(&page[offset..offset + n]),
                None => head.fill(0),
            }
            addr = addr.wrapping_add(n as u64);
            out = tail;
        }
    }

    /// Writes `data` from `addr` on.
    pub fn write(&mut self, addr: u64, data: &[u8]) {
        let mut addr = addr;
        let mut data = data;
        while !data.is_empty() {
            let offset = (addr & OFFSET_MASK) as usize;
            let n = data.len().min(PAGE_BYTES - offset);
            if let Some(page) = self.page_mut(addr >> PAGE_SHIFT) {
                page[offset..offset + n].copy_from_slice(&data[..n]);
            }
            addr = addr.wrapping_add(n as u64);
            data = &data[n..];
        }
    }

    /// Little-endian 64-bit value at `addr`, which need not be aligned.
    #[must_use]
    pub fn read_u64(&self, addr: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(addr, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Little-endian 32-bit value at `addr`, which need not be aligned.
    #[must_use]
    pub fn read_u32(&self, addr: u64) -> u32 {
        let mut bytes = [0; 4];
        self.read(addr, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Stores a little-endian 64-bit value.
    pub fn write_u64(&mut self, addr: u64, value: u64) {
        self.write(addr, &value.to_le_bytes());
    }

    /// Stores a little-endian 32-bit value.
    pub fn write_u32(&mut self, addr: u64, value: u32) {
        self.write(addr, &value.to_le_bytes());
    }

    /// Writes those bytes of a 64-bit bus beat whose strobe is set; `addr` is rounded down to 8.
    pub fn write_lanes(&mut self, addr: u64, data: u64, strb: u8) {
        let addr = addr & !7;
        if strb == 0xff {
            self.write_u64(addr, data);
            return;
        }
        let bytes = data.to_le_bytes();
        for lane in 0..8u8 {
            if strb >> lane & 1 != 0 {
                let n = usize::from(lane);
                self.write(addr + u64::from(lane), &bytes[n..=n]);
            }
        }
    }

    /// Fills the 4 KiB page that holds `addr` with zeros.
    pub fn zero_page(&mut self, addr: u64) {
        if let Some(index) = self.find(addr >> PAGE_SHIFT) {
            self.pages[index].fill(0);
        }
    }

    /// Copies an image to `addr`; pages of zeros that do not exist yet are not made.
    pub fn load_image(&mut self, addr: u64, image: &[u8]) {
        let first = (PAGE_BYTES as u64 - (addr & OFFSET_MASK)) as usize;
        let (head, tail) = image.split_at(first.min(image.len()));
        let mut addr = addr;
        for part in std::iter::once(head).chain(tail.chunks(PAGE_BYTES)) {
            if part.iter().any(|&b| b != 0) || self.find(addr >> PAGE_SHIFT).is_some() {
                self.write(addr, part);
            }
            addr = addr.wrapping_add(part.len() as u64);
        }
    }

    /// The pages that were ever written, in the order of their addresses.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &[u8; PAGE_BYTES])> {
        let mut numbers: Vec<(u64, u32)> = self.index.iter().map(|(&n, &i)| (n, i)).collect();
        numbers.sort_unstable();
        numbers
            .into_iter()
            .map(|(number, index)| (number << PAGE_SHIFT, &*self.pages[index as usize]))
    }

    /// Makes accesses to `range` answer with `fault`; the range added last wins.
    pub fn add_fault(&mut self, range: Range<u64>, fault: MemFault) {
        self.add_fault_for(range, FaultAccess::Any, fault);
    }

    /// The same for one kind of access only.
    pub fn add_fault_for(&mut self, range: Range<u64>, access: FaultAccess, fault: MemFault) {
        self.faults.push(FaultRange {
            range,
            access,
            fault,
        });
    }

    /// Removes all faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The faults as they were added.
    #[must_use]
    pub fn faults(&self) -> &[FaultRange] {
        &self.faults
    }

    /// How an access to these bytes is refused, whatever its direction.
    ///
    /// A range that refuses one direction only counts here too; who knows the
    /// direction asks [`fault_for`](Self::fault_for).
    #[must_use]
    pub fn fault_at(&self, addr: u64, len: u64) -> Option<MemFault> {
        self.lookup(addr, len, |_| true)
    }

    /// How a read (or write, or with `Any` an atomic) of these bytes is refused.
    #[must_use]
    pub fn fault_for(&self, addr: u64, len: u64, access: FaultAccess) -> Option<MemFault> {
        self.lookup(addr, len, |f| {
            f == FaultAccess::Any || access == FaultAccess::Any || f == access
        })
    }

    fn lookup(
        &self,
        addr: u64,
        len: u64,
        wanted: impl Fn(FaultAccess) -> bool,
    ) -> Option<MemFault> {
        let last = addr.saturating_add(len.max(1) - 1);
        if last >> ADDR_BITS != 0 {
            return Some(MemFault::DecErr);
        }
        self.faults
            .iter()
            .rev()
            .find(|f| wanted(f.access) && f.range.start <= last && addr < f.range.end)
            .map(|f| f.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritten_memory_reads_as_zeros_and_takes_no_pages() {
        let m = SparseMemory::new();
        let mut buf = [0xaa; 9000];
        m.read(0x12_3456_7890, &mut buf);
        assert!(buf.iter().all(|&b| b == 0));
        assert_eq!(m.pages().count(), 0);
    }

    #[test]
    fn writes_straddle_pages_and_stay_apart() {
        let mut m = SparseMemory::new();
        let data: Vec<u8> = (0..9000u32).map(|n| n as u8 | 1).collect();
        m.write(0x0f_ffff_f123, &data);
        let mut back = vec![0; 9002];
        m.read(0x0f_ffff_f122, &mut back);
        assert_eq!(back[0], 0);
        assert_eq!(back[9001], 0);
        assert_eq!(&back[1..9001], &data[..]);
        assert_eq!(m.pages().count(), 3);
        // Many pages, visited out of order: the last-page cache must never answer for another.
        for n in 0..1000u64 {
            m.write_u64((n * 7919 % 1000) << 12, n);
        }
        for n in 0..1000u64 {
            assert_eq!(m.read_u64((n * 7919 % 1000) << 12), n);
        }
        let addresses: Vec<u64> = m.pages().map(|(a, _)| a).collect();
        assert!(addresses.is_sorted());
    }

    #[test]
    fn the_top_of_memory_is_a_border() {
        let mut m = SparseMemory::new();
        let top = (1 << ADDR_BITS) - 4;
        m.write_u64(top, u64::MAX);
        assert_eq!(m.read_u64(top), 0xffff_ffff);
        assert_eq!(m.read_u64(1 << ADDR_BITS), 0);
        m.write(u64::MAX - 3, &[1; 8]); // wraps: must not panic
        assert_eq!(m.read_u32(0), 0x0101_0101);
        assert_eq!(m.fault_at(top, 4), None);
        assert_eq!(m.fault_at(top, 5), Some(MemFault::DecErr));
        assert_eq!(m.fault_at(u64::MAX, 8), Some(MemFault::DecErr));
    }

    #[test]
    fn lanes_follow_strobes() {
        let mut m = SparseMemory::new();
        m.write_u64(0x100, u64::MAX);
        m.write_lanes(0x104, 0x0807_0605_0403_0201, 0b1010_0001);
        assert_eq!(m.read_u64(0x100), 0x08ff_06ff_ffff_ff01);
    }

    #[test]
    fn images_skip_zero_pages_but_overwrite() {
        let mut m = SparseMemory::new();
        m.write_u64(0x3008, 7);
        let mut image = vec![0; 0x3000];
        image[0x10] = 1;
        m.load_image(0x1ff0, &image);
        assert_eq!(m.read_u64(0x2000), 1);
        assert_eq!(m.read_u64(0x3008), 0);
        assert_eq!(m.pages().count(), 2);
        m.zero_page(0x2fff);
        assert_eq!(m.read_u64(0x2000), 0);
        m.load_image(0x5000, &[]);
    }

    #[test]
    fn faults_by_range_direction_and_age() {
        let mut m = SparseMemory::new();
        m.add_fault(0x1000..0x2000, MemFault::SlvErr);
        m.add_fault_for(0x1800..0x1808, FaultAccess::Read, MemFault::Poison);
        assert_eq!(m.fault_at(0xff8, 8), None);
        assert_eq!(m.fault_at(0xff8, 9), Some(MemFault::SlvErr));
        assert_eq!(m.fault_at(0x2000, 8), None);
        assert_eq!(
            m.fault_for(0x1800, 8, FaultAccess::Read),
            Some(MemFault::Poison)
        );
        assert_eq!(
            m.fault_for(0x1800, 8, FaultAccess::Write),
            Some(MemFault::SlvErr)
        );
        m.clear_faults();
        assert_eq!(m.fault_at(0x1800, 8), None);
    }
}
