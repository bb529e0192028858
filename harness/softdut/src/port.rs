//! `m_mem`: what goes out, and who waits for what comes back.

use std::collections::VecDeque;

use iommu_golden::Iommu;
use iommu_golden::{DeviceContext, Label, MemError};
use iommu_sim::{PinsIn, PinsOut};

use crate::replay::Need;

/// Ids of walks; each other purpose has one of its own.
pub(crate) const WALKS: u8 = 16;
pub(crate) const COMMANDS: u8 = 16;
const IDS: usize = 64;

/// AWATOP of AtomicLoad SET and AtomicCompare. An AtomicStore sets as well, but brings nothing back
/// that could be poisoned.
const LOAD_SET: u8 = 0b10_0011;
const COMPARE: u8 = 0b11_0001;

/// A walk that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) job: usize,
    pub(crate) serial: u64,
    pub(crate) start: u32,
    pub(crate) need: Need,
}

/// What a read is for.
#[derive(Debug, Clone)]
pub(crate) enum ReadFor {
    /// Walks: the first asked, the others joined.
    Walks(Vec<Waiter>),
    /// So many commands, of this life of the queue.
    Commands { count: u32, epoch: u32 },
    /// An MRIF doubleword, to be changed and written back.
    Mrif { job: usize, serial: u64 },
}

/// A read under way.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) addr: u64,
    pub(crate) bytes: u8,
    pub(crate) len: u8,
    pub(crate) size: u8,
    pub(crate) user: u32,
    pub(crate) of: ReadFor,
    /// Clock at which the address was taken.
    pub(crate) at: Option<u64>,
    /// Commands that had been executed by then.
    pub(crate) seq: u64,
    pub(crate) words: Vec<(u64, Result<(), MemError>)>,
}

/// What a write is for.
#[derive(Debug, Clone)]
pub(crate) enum WriteFor {
    Record,
    PageRecord,
    Fence,
    Message {
        addr: u64,
    },
    Mrif {
        job: usize,
        serial: u64,
    },
    /// The same by an atomic, which brings back what was there.
    Set {
        job: usize,
        serial: u64,
    },
    Notice {
        addr: u64,
    },
    Swap(Waiter),
}

impl WriteFor {
    /// Its id; atomics get theirs from [`Port::swap`].
    fn id(&self) -> u8 {
        match self {
            WriteFor::Fence => 17,
            WriteFor::Record => 18,
            WriteFor::Message { .. } => 19,
            WriteFor::Mrif { .. } | WriteFor::Set { .. } => 20,
            WriteFor::Notice { .. } => 21,
            WriteFor::PageRecord => 22,
            WriteFor::Swap(_) => 32,
        }
    }
}

/// A write to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) addr: u64,
    pub(crate) beats: Vec<(u64, u8)>,
    pub(crate) size: u8,
    pub(crate) wrap: bool,
    pub(crate) atop: u8,
    pub(crate) cacheable: bool,
    pub(crate) user: u32,
    pub(crate) of: WriteFor,
}

impl Write {
    /// A 4-byte store.
    pub(crate) fn small(addr: u64, bytes: [u8; 4], user: u32, of: WriteFor) -> Self {
        let value = u64::from(u32::from_le_bytes(bytes));
        let beat = if addr & 4 == 0 {
            (value, 0x0f)
        } else {
            (value << 32, 0xf0)
        };
        Self {
            addr,
            beats: vec![beat],
            size: 2,
            wrap: false,
            atop: 0,
            cacheable: false,
            user,
            of,
        }
    }

    /// Whole doublewords.
    pub(crate) fn words(addr: u64, bytes: &[u8], user: u32, of: WriteFor) -> Self {
        let beats = bytes
            .chunks_exact(8)
            .map(|c| (c.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)), 0xff))
            .collect();
        Self {
            addr,
            beats,
            size: 3,
            wrap: false,
            atop: 0,
            cacheable: true,
            user,
            of,
        }
    }

    /// AtomicLoad SET of bits in a doubleword.
    pub(crate) fn set(addr: u64, bits: u64, user: u32, of: WriteFor) -> Self {
        Self {
            atop: LOAD_SET,
            ..Self::words(addr, &bits.to_le_bytes(), user, of)
        }
    }

    /// AtomicCompare of a page-table entry.
    fn compare(addr: u64, bytes: u8, expected: u64, new: u64, user: u32, of: WriteFor) -> Self {
        let (beats, wrap) = if bytes == 4 {
            let wrap = addr & 4 != 0;
            let (low, high) = if wrap {
                (new, expected)
            } else {
                (expected, new)
            };
            (vec![(low & 0xffff_ffff | high << 32, 0xff)], wrap)
        } else {
            (vec![(expected, 0xff), (new, 0xff)], addr & 8 != 0)
        };
        Self {
            addr,
            beats,
            size: 3,
            wrap,
            atop: COMPARE,
            cacheable: true,
            user,
            of,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Read(Read),
    /// A write ended; false with an error.
    Written(WriteFor, bool),
    /// An atomic ended: what memory held.
    Atomic(WriteFor, Result<u64, MemError>),
}

/// The port.
#[derive(Debug)]
pub(crate) struct Port {
    reads: Vec<Option<Read>>,
    /// Ids of reads whose address is still to be sent; the first is on the pins.
    to_read: VecDeque<u8>,
    /// The first is on the pins, this far.
    to_write: VecDeque<(u8, Write)>,
    address_sent: bool,
    beats_sent: usize,
    /// Writes that were sent, by id; of an atomic, what R brought back, and how B answered.
    writes: Vec<Option<WriteFor>>,
    old: Vec<Option<Result<u64, MemError>>>,
    done: Vec<Option<bool>>,
    /// Walks' reads under way.
    pub(crate) walking: usize,
}

impl Port {
    pub(crate) fn new() -> Self {
        Self {
            reads: vec![None; IDS],
            to_read: VecDeque::new(),
            to_write: VecDeque::new(),
            address_sent: false,
            beats_sent: 0,
            writes: vec![None; IDS],
            old: vec![None; IDS],
            done: vec![None; IDS],
            walking: 0,
        }
    }

    /// A free id for a walk.
    fn free(&self) -> Option<u8> {
        (0..WALKS).find(|id| self.reads[usize::from(*id)].is_none())
    }

    /// Reads an entry for a walk; false if nothing is free.
    pub(crate) fn walk(&mut self, waiter: Waiter, user: u32) -> bool {
        let Need::Read { addr, bytes, .. } = waiter.need else {
            return false;
        };
        let Some(id) = self.free() else { return false };
        self.walking += 1;
        self.read(
            id,
            addr,
            bytes,
            bytes.div_ceil(8) - 1,
            user,
            ReadFor::Walks(vec![waiter]),
        );
        true
    }

    /// Joins a read of the same entry that is under way.
    pub(crate) fn join(&mut self, waiter: Waiter) -> bool {
        let Need::Read { addr, bytes, .. } = waiter.need else {
            return false;
        };
        let same = self
            .reads
            .iter_mut()
            .flatten()
            .find(|r| r.addr == addr && r.bytes == bytes);
        match same.map(|r| &mut r.of) {
            Some(ReadFor::Walks(all)) => {
                all.push(waiter);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn read(&mut self, id: u8, addr: u64, bytes: u8, len: u8, user: u32, of: ReadFor) {
        self.reads[usize::from(id)] = Some(Read {
            addr,
            bytes,
            len,
            size: if bytes == 4 { 2 } else { 3 },
            user,
            of,
            at: None,
            seq: 0,
            words: Vec::new(),
        });
        self.to_read.push_back(id);
    }

    /// Whether a read for this job is on the pins: it cannot be taken back.
    pub(crate) fn offers(&self, job: usize, serial: u64) -> bool {
        let front = self.to_read.front().map(|id| &self.reads[usize::from(*id)]);
        matches!(front, Some(Some(Read { of: ReadFor::Walks(all), .. }))
            if all.iter().any(|w| (w.job, w.serial) == (job, serial)))
    }

    /// This job asks for nothing any more: a read for it alone that is not on the pins is not sent.
    pub(crate) fn withdraw(&mut self, job: usize, serial: u64) {
        let (reads, walking) = (&mut self.reads, &mut self.walking);
        let mut front = true;
        self.to_read.retain(|id| {
            let slot = &mut reads[usize::from(*id)];
            if std::mem::take(&mut front) {
                return true;
            }
            let Some(Read {
                of: ReadFor::Walks(all),
                ..
            }) = slot
            else {
                return true;
            };
            all.retain(|w| (w.job, w.serial) != (job, serial));
            if all.is_empty() {
                *slot = None;
                *walking -= 1;
                return false;
            }
            true
        });
    }

    /// Whether a read with this id is under way.
    pub(crate) fn reading(&self, id: u8) -> bool {
        self.reads[usize::from(id)].is_some()
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.to_write.push_back((write.of.id(), write));
    }

    /// Whether a write of this kind is to be sent or under way.
    pub(crate) fn writing(&self, of: &WriteFor) -> bool {
        let id = of.id();
        self.writes[usize::from(id)].is_some() || self.to_write.iter().any(|(n, _)| *n == id)
    }

    /// Swaps an entry; false if nothing is free.
    pub(crate) fn swap(&mut self, waiter: Waiter, user: u32, plain: bool) -> bool {
        let Need::Swap {
            addr,
            bytes,
            expected,
            new,
            ..
        } = waiter.need
        else {
            return false;
        };
        let free = (32..48u8).find(|id| {
            self.writes[usize::from(*id)].is_none() && !self.to_write.iter().any(|w| w.0 == *id)
        });
        let Some(id) = free else { return false };
        let of = WriteFor::Swap(waiter);
        let write = if plain {
            self.old[usize::from(id)] = Some(Ok(expected));
            if bytes == 4 {
                Write::small(addr, (new as u32).to_le_bytes(), user, of)
            } else {
                Write::words(addr, &new.to_le_bytes(), user, of)
            }
        } else {
            Write::compare(addr, bytes, expected, new, user, of)
        };
        self.to_write.push_back((id, write));
        true
    }

    /// The oldest command count that a read under way began with.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.reads
            .iter()
            .flatten()
            .map(|r| if r.at.is_some() { r.seq } else { u64::MAX })
            .min()
    }

    /// The handshakes of this clock.
    pub(crate) fn step(
        &mut self,
        i: &PinsIn,
        o: &PinsOut,
        now: u64,
        seq: u64,
        to: &mut Vec<Answer>,
    ) {
        if o.m_mem_arvalid & i.m_mem_arready != 0
            && let Some(id) = self.to_read.pop_front()
            && let Some(read) = &mut self.reads[usize::from(id)]
        {
            read.at = Some(now);
            read.seq = seq;
        }
        let aw = o.m_mem_awvalid & i.m_mem_awready != 0;
        self.address_sent |= aw;
        if o.m_mem_wvalid & i.m_mem_wready != 0 {
            self.beats_sent += 1;
        }
        if let Some((id, write)) = self.to_write.front()
            && self.address_sent
            && self.beats_sent == write.beats.len()
        {
            let (id, write) = (*id, write.clone());
            self.to_write.pop_front();
            (self.address_sent, self.beats_sent) = (false, 0);
            self.writes[usize::from(id)] = Some(write.of);
        }
        if i.m_mem_rvalid & o.m_mem_rready != 0 {
            self.take_read(i, to);
        }
        if i.m_mem_bvalid & o.m_mem_bready != 0 {
            let id = usize::from(i.m_mem_bid & 63);
            let fine = i.m_mem_bresp & 2 == 0;
            match self.writes[id].take() {
                Some(of @ (WriteFor::Swap(_) | WriteFor::Set { .. })) => {
                    self.writes[id] = Some(of);
                    self.done[id] = Some(fine);
                    self.end_atomic(id, to);
                }
                Some(of) => to.push(Answer::Written(of, fine)),
                None => {}
            }
        }
    }

    fn take_read(&mut self, i: &PinsIn, to: &mut Vec<Answer>) {
        let id = usize::from(i.m_mem_rid & 63);
        let result = if i.m_mem_rresp & 2 != 0 {
            Err(MemError::Access)
        } else if i.m_mem_rpoison != 0 {
            Err(MemError::Corrupt)
        } else {
            Ok(())
        };
        if let Some(read) = &mut self.reads[id] {
            read.words.push((i.m_mem_rdata, result));
            if i.m_mem_rlast != 0
                && let Some(read) = self.reads[id].take()
            {
                if matches!(read.of, ReadFor::Walks(_)) {
                    self.walking -= 1;
                }
                to.push(Answer::Read(read));
            }
            return;
        }
        // The old value of an atomic.
        let waiter = self.writes[id].as_ref().or_else(|| {
            // Its data may come back before its own last beat has left.
            self.to_write
                .front()
                .filter(|w| usize::from(w.0) == id)
                .map(|w| &w.1.of)
        });
        let (addr, bytes) = match waiter {
            Some(WriteFor::Swap(Waiter {
                need: Need::Swap { addr, bytes, .. },
                ..
            })) => (*addr, *bytes),
            Some(WriteFor::Set { .. }) => (0, 8),
            _ => return,
        };
        let value = match (bytes, addr & 4) {
            (4, 0) => i.m_mem_rdata & 0xffff_ffff,
            (4, _) => i.m_mem_rdata >> 32,
            _ => i.m_mem_rdata,
        };
        self.old[id] = Some(result.map(|()| value));
        self.end_atomic(id, to);
    }

    /// An atomic is over when both its answers are there; an error of either channel is one of the
    /// access, and R tells which.
    fn end_atomic(&mut self, id: usize, to: &mut Vec<Answer>) {
        if let (Some(old), Some(fine)) = (self.old[id], self.done[id])
            && let Some(of) = self.writes[id].take()
        {
            self.done[id] = None;
            self.old[id] = None;
            let refused = |_| if fine { old } else { Err(MemError::Access) };
            to.push(Answer::Atomic(of, old.and_then(refused)));
        }
    }

    /// What is on the pins next.
    pub(crate) fn drive(&self, o: &mut PinsOut) {
        o.m_mem_rready = 1;
        o.m_mem_bready = 1;
        o.m_mem_arvalid = 0;
        o.m_mem_awvalid = 0;
        o.m_mem_wvalid = 0;
        if let Some(id) = self.to_read.front()
            && let Some(r) = &self.reads[usize::from(*id)]
        {
            o.m_mem_arvalid = 1;
            o.m_mem_arid = *id;
            o.m_mem_araddr = r.addr;
            o.m_mem_arlen = r.len;
            o.m_mem_arsize = r.size;
            o.m_mem_arburst = 1;
            o.m_mem_arcache = 0xf;
            o.m_mem_arprot = 3;
            o.m_mem_aruser = r.user;
        }
        let Some((id, w)) = self.to_write.front() else {
            return;
        };
        // One burst of an id at a time.
        if self.writes[usize::from(*id)].is_some() {
            return;
        }
        if !self.address_sent {
            o.m_mem_awvalid = 1;
            o.m_mem_awid = *id;
            o.m_mem_awaddr = w.addr;
            o.m_mem_awlen = (w.beats.len().max(1) - 1) as u8;
            o.m_mem_awsize = w.size;
            o.m_mem_awburst = if w.wrap { 2 } else { 1 };
            o.m_mem_awatop = w.atop;
            o.m_mem_awcache = if w.cacheable { 0xf } else { 0 };
            o.m_mem_awprot = 3;
            o.m_mem_awuser = w.user;
        }
        if let Some((data, strb)) = w.beats.get(self.beats_sent) {
            o.m_mem_wvalid = 1;
            o.m_mem_wdata = *data;
            o.m_mem_wstrb = *strb;
            o.m_mem_wlast = u8::from(self.beats_sent + 1 == w.beats.len());
        }
    }
}

/// User bits of an access of the IOMMU itself.
pub(crate) fn user(iommu: &Iommu, label: &Label, dc: Option<&DeviceContext>) -> u32 {
    let (rcid, mcid) = iommu.qos_ids(label, dc);
    u32::from(rcid) | u32::from(mcid) << 12
}
