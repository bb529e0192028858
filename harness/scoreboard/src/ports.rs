//! Bursts in flight on `m_mem`, accesses in flight on `s_reg`.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use iommu_bus::event::{AxiAddr, Burst, WBeat};

use crate::atomics::Updating;
use crate::dev::{ById, Ref};
use crate::oracle::{Update, Wanted};

/// First and last byte that a burst touches, strobes aside.
pub(crate) fn extent(a: &AxiAddr) -> (u64, u64) {
    let size = 1u64 << a.size.min(7);
    let beats = u64::from(a.len) + 1;
    let aligned = a.addr & !(size - 1);
    match a.burst {
        Burst::Fixed => (a.addr, aligned + (size - 1)),
        Burst::Wrap => {
            let total = (size * beats).next_power_of_two();
            let start = a.addr & !(total - 1);
            (start, start + (total - 1))
        }
        Burst::Incr | Burst::Reserved => (a.addr, aligned.saturating_add(size * beats - 1)),
    }
}

/// Address of beat `n`, aligned to its size except for the first.
pub(crate) fn beat_address(a: &AxiAddr, n: usize) -> u64 {
    let size = 1u64 << a.size.min(7);
    let aligned = a.addr & !(size - 1);
    match a.burst {
        Burst::Fixed => a.addr,
        Burst::Wrap => {
            let total = (size * (u64::from(a.len) + 1)).next_power_of_two();
            let start = a.addr & !(total - 1);
            start + (aligned - start + n as u64 * size) % total
        }
        Burst::Incr | Burst::Reserved if n == 0 => a.addr,
        Burst::Incr | Burst::Reserved => aligned.wrapping_add(n as u64 * size),
    }
}

/// What a read on `m_mem` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFor {
    /// A table entry; of a directory, or of a page table. Attributed to this request.
    Walk { of: Ref, directory: bool },
    /// The read of a read-modify-write of an interrupt file.
    Mrif { job: u64 },
    /// A table entry, for an ATS request, a message or the debug interface.
    Asker,
    /// Commands; the count of the first, and its address.
    Commands { first: u64, base: u64, epoch: u32 },
    /// Nothing known.
    Other,
}

/// A read burst in flight.
#[derive(Debug, Clone)]
pub(crate) struct MemRead {
    pub(crate) axi: AxiAddr,
    pub(crate) beat: usize,
    pub(crate) of: ReadFor,
    /// Clock of its AR.
    pub(crate) at: u64,
    /// Clock at which memory sampled its first beat (until then: that of its AR), and the
    /// beats sampled.
    pub(crate) sampled: u64,
    pub(crate) samples: usize,
    /// What it may bring.
    pub(crate) wanted: Vec<Wanted>,
    /// Doublewords that it has brought without an error.
    pub(crate) data: Vec<(u64, u64)>,
}

/// What a write on `m_mem` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteFor {
    /// Part of one or more fault records; count of the first.
    Record { first: u64, slots: u32, epoch: u32 },
    /// Store of the fence with this count.
    Fence { count: u64, epoch: u32 },
    /// Page-request records; count of the first.
    Page { first: u64, slots: u32, epoch: u32 },
    /// Interrupt message.
    Message { vector: u8, addr: u64 },
    /// A/D update of an entry; found in a walk when it was sent.
    Update {
        update: Update,
        explained: bool,
        exclusive: bool,
    },
    /// The update of an interrupt file.
    Mrif { job: u64 },
    /// A notice MSI.
    Notice { job: u64 },
    /// Nothing that explains it.
    Unknown,
}

/// A write burst in flight.
#[derive(Debug)]
pub(crate) struct MemWrite {
    pub(crate) axi: AxiAddr,
    pub(crate) at: u64,
    pub(crate) beats: Vec<WBeat>,
    pub(crate) of: WriteFor,
    /// Memory has stored it.
    pub(crate) stored: bool,
    /// What an atomic found in memory.
    pub(crate) old: Option<u64>,
}

/// Words are counted by a multiplicative hash: addresses are not chosen by an enemy.
#[derive(Debug, Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(b.into());
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }
    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
    fn write_u64(&mut self, n: u64) {
        let x = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = x ^ (x >> 32);
    }
}

/// `m_mem`.
#[derive(Debug)]
pub(crate) struct MemPort {
    pub(crate) reads: ById<MemRead>,
    pub(crate) writes: ById<MemWrite>,
    /// Writes whose data is not all in, in AW order; data that came before its AW.
    pub(crate) filling: VecDeque<MemWrite>,
    pub(crate) early: VecDeque<WBeat>,
    /// Buffers to use again.
    pub(crate) spare: Vec<Vec<WBeat>>,
    /// A/D updates that are not answered, by id: whose walk makes them.
    pub(crate) updating: Vec<Updating>,
    /// Bursts in flight.
    pub(crate) open: u32,
    /// Doublewords (address / 8) that memory returned since reset.
    pub(crate) returned: HashSet<u64, BuildHasherDefault<WordHasher>>,
    /// Fetches of an earlier epoch belong to a queue that was switched off or restarted.
    pub(crate) epoch: u32,
}

impl MemPort {
    pub(crate) fn new() -> Self {
        Self {
            reads: ById::new(),
            writes: ById::new(),
            filling: VecDeque::new(),
            early: VecDeque::new(),
            spare: Vec::new(),
            updating: Vec::new(),
            open: 0,
            returned: HashSet::default(),
            epoch: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.reads.clear();
        self.writes.clear();
        self.filling.clear();
        self.early.clear();
        self.updating.clear();
        self.open = 0;
        self.returned.clear();
        self.epoch += 1;
    }
}

/// A register read in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegRead {
    pub(crate) addr: u16,
    pub(crate) at: u64,
    /// A write was in flight at the same time: either side of it may show.
    pub(crate) overlapped: bool,
}

/// A register write in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RegWrite {
    pub(crate) addr: u16,
    pub(crate) data: u64,
    pub(crate) strb: u8,
    pub(crate) at: u64,
}

/// `s_reg`.
#[derive(Debug, Default)]
pub(crate) struct RegPort {
    pub(crate) reads: VecDeque<RegRead>,
    pub(crate) writes: VecDeque<RegWrite>,
    /// Something was written since reset.
    pub(crate) written: bool,
    /// 4-byte registers whose value is not known: reset left it open, or a base was written.
    pub(crate) unknown: Unknown,
}

/// One flag a 4-byte register.
#[derive(Debug, Clone)]
pub(crate) struct Unknown(pub(crate) [bool; 256]);

impl Default for Unknown {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl Unknown {
    pub(crate) fn set(&mut self, addr: u16, value: bool) {
        if let Some(u) = self.0.get_mut(usize::from(addr) / 4) {
            *u = value;
        }
    }

    pub(crate) fn get(&self, addr: u16) -> bool {
        self.0.get(usize::from(addr) / 4).copied().unwrap_or(false)
    }
}
