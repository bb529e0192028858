//! The memory behind `m_dev` and `m_mem`: AXI4 subordinate with AXI5 atomics.
//!
//! * A read is sampled, all beats at once, in the clock of its AR handshake.
//! * A write is stored, all beats at once, in the clock in which its B becomes
//!   valid, before any read of that clock is sampled: as late as AXI allows,
//!   so that a block which does not wait for B shows it.
//! * An atomic reads and writes in that clock too.

use std::collections::VecDeque;
use std::marker::PhantomData;

use iommu_bus::event::{AxiAddr, BBeat, Burst, RBeat, Resp, WBeat};
use iommu_bus::{FaultAccess, MemFault, PortTiming, SparseMemory};
use iommu_sim::{PinsIn, PinsOut};

use crate::axi::{self, Atomic, AtomicOp};
use crate::context::{Clock, SharedMemory};
use crate::pins::{ManagerPins, SubordinateDrive};
use crate::protocol::{Channel, Hold, Rule};
use crate::rng::Stream;

/// Bursts that the agent takes before it drops ready: more than any block has in flight.
const MAX_BURSTS: usize = 1024;
/// How far a response may overtake: looking further costs time and finds nothing new.
const WINDOW: usize = 64;
/// Whole bursts of write data taken ahead of their addresses.
const MAX_DATA_AHEAD: usize = 16;

/// What makes a burst's shape; the device's own mistakes are not the block's.
pub(crate) type Shape = (u8, u8, u8, Burst, bool, u8);

pub(crate) fn shape(a: &AxiAddr) -> Shape {
    (a.id, a.len, a.size, a.burst, a.lock, a.atop)
}

#[derive(Debug)]
struct Read {
    id: u8,
    due: u64,
    beats: Vec<RBeat>,
    next: usize,
}

#[derive(Debug)]
struct Write {
    addr: AxiAddr,
    beats: Vec<WBeat>,
    due: u64,
}

/// What is outstanding for an id.
#[derive(Debug, Clone, Copy, Default)]
struct IdState {
    reads: u16,
    writes: u16,
    atomic: bool,
}

/// The agent of one memory port.
#[derive(Debug)]
pub(crate) struct Subordinate<P> {
    pub(crate) timing: PortTiming,
    drive: SubordinateDrive,
    /// Accepted reads, in the order of acceptance.
    reads: VecDeque<Read>,
    /// The burst of which a beat is driven or was driven last without being the burst's last.
    read_now: Option<usize>,
    aws: VecDeque<AxiAddr>,
    data: VecDeque<Vec<WBeat>>,
    data_now: Vec<WBeat>,
    /// Writes with address and data, in the order of addresses.
    writes: VecDeque<Write>,
    write_now: usize,
    ids: [IdState; 256],
    hold_aw: Hold<AxiAddr>,
    hold_ar: Hold<AxiAddr>,
    hold_w: Hold<WBeat>,
    ready: Stream,
    latency: Stream,
    order: Stream,
    gap: Stream,
    spare_r: Vec<Vec<RBeat>>,
    spare_w: Vec<Vec<WBeat>>,
    pins: PhantomData<P>,
}

impl<P: ManagerPins> Subordinate<P> {
    pub(crate) fn new(seed: u64, timing: PortTiming) -> Self {
        let stream = |purpose: &str| Stream::new(seed, &format!("{}.{purpose}", P::STREAM));
        Self {
            timing,
            drive: SubordinateDrive::default(),
            reads: VecDeque::new(),
            read_now: None,
            aws: VecDeque::new(),
            data: VecDeque::new(),
            data_now: Vec::new(),
            writes: VecDeque::new(),
            write_now: 0,
            ids: [IdState::default(); 256],
            hold_aw: Hold::default(),
            hold_ar: Hold::default(),
            hold_w: Hold::default(),
            ready: stream("ready"),
            latency: stream("latency"),
            order: stream("order"),
            gap: stream("gap"),
            spare_r: Vec::new(),
            spare_w: Vec::new(),
            pins: PhantomData,
        }
    }

    pub(crate) fn reads_outstanding(&self) -> usize {
        self.reads.len()
    }

    pub(crate) fn writes_outstanding(&self) -> usize {
        self.aws.len() + self.writes.len()
    }

    /// Beats of write data that have no address so far.
    pub(crate) fn orphan_beats(&self) -> usize {
        if self.aws.is_empty() {
            self.data.iter().map(Vec::len).sum::<usize>() + self.data_now.len()
        } else {
            0
        }
    }

    fn clear(&mut self) {
        self.drive = SubordinateDrive::default();
        self.reads.clear();
        self.read_now = None;
        self.aws.clear();
        self.data.clear();
        self.data_now.clear();
        self.writes.clear();
        self.ids = [IdState::default(); 256];
        self.hold_aw.clear();
        self.hold_ar.clear();
        self.hold_w.clear();
    }

    /// Chooses what to drive in this clock, from what was seen up to the last one.
    pub(crate) fn prepare(
        &mut self,
        ck: &mut Clock<'_>,
        pins: &mut PinsIn,
        shared: &mut SharedMemory,
    ) {
        if ck.reset {
            self.clear();
            P::drive(pins, &self.drive);
            return;
        }
        let go = !self.timing.stopped;
        let percent = self.timing.ready_percent;
        self.drive.awready =
            go && self.aws.len() + self.writes.len() < MAX_BURSTS && self.ready.chance(percent);
        self.drive.wready = go
            && (!self.aws.is_empty() || self.data.len() < MAX_DATA_AHEAD)
            && self.ready.chance(percent);
        self.drive.arready = go && self.reads.len() < MAX_BURSTS && self.ready.chance(percent);
        if go {
            if self.drive.b.is_none() && !self.writes.is_empty() {
                self.start_b(ck, shared);
            }
            if self.drive.r.is_none() && !self.reads.is_empty() {
                self.start_r(ck.cycle);
            }
        }
        P::drive(pins, &self.drive);
    }

    fn start_b(&mut self, ck: &mut Clock<'_>, shared: &mut SharedMemory) {
        let queue = self.writes.iter().map(|w| (w.addr.id, w.due));
        let Some(n) = pick(queue, ck.cycle, self.timing.out_of_order, &mut self.order) else {
            return;
        };
        if self.gap.chance(self.timing.gap_percent) {
            return;
        }
        let Some(w) = self.writes.get(n) else { return };
        let id = w.addr.id;
        let mut back = self.spare_r.pop().unwrap_or_default();
        let resp = execute::<P>(w, ck, shared, &mut back);
        if back.is_empty() {
            self.spare_r.push(back);
        } else {
            self.reads.push_back(Read {
                id,
                due: ck.cycle,
                beats: back,
                next: 0,
            });
        }
        self.write_now = n;
        self.drive.b = Some(BBeat { id, resp });
    }

    fn start_r(&mut self, cycle: u64) {
        let interleave = self.timing.out_of_order && self.timing.interleave;
        let n = match self.read_now {
            Some(n) if !interleave => Some(n),
            _ => {
                let queue = self.reads.iter().map(|r| (r.id, r.due));
                pick(queue, cycle, self.timing.out_of_order, &mut self.order)
            }
        };
        let Some(n) = n else { return };
        if self.gap.chance(self.timing.gap_percent) {
            return;
        }
        self.read_now = Some(n);
        self.drive.r = self.reads.get(n).and_then(|r| r.beats.get(r.next)).copied();
    }

    /// Takes what happened in this clock. `pardoned`: shapes that the device itself drove illegally.
    pub(crate) fn observe(
        &mut self,
        ck: &mut Clock<'_>,
        o: &PinsOut,
        shared: &mut SharedMemory,
        pardoned: &[Shape],
    ) {
        let (aw, w, ar) = (P::aw(o), P::w(o), P::ar(o));
        if ck.quiet {
            ck.check_quiet(P::PORT, Channel::Aw, aw.is_some());
            ck.check_quiet(P::PORT, Channel::W, w.is_some());
            ck.check_quiet(P::PORT, Channel::Ar, ar.is_some());
            if ck.reset {
                return;
            }
        }
        self.take_aw(ck, aw, pardoned);
        self.take_w(ck, w);
        self.match_writes(ck);
        self.take_ar(ck, ar, shared, pardoned);
        self.give_b(ck, P::bready(o));
        self.give_r(ck, P::rready(o));
    }

    fn check_addr(&self, ck: &mut Clock<'_>, channel: Channel, a: &AxiAddr, pardoned: &[Shape]) {
        if let Some(rule) = axi::shape_rule(a) {
            // A 4 KiB crossing must be refused, whoever made it; all else passes unchanged.
            if rule == Rule::Burst4K || !pardoned.contains(&shape(a)) {
                ck.violation(P::PORT, channel, rule, || format!("{a:x?}"));
            }
        }
        let id = self.ids[usize::from(a.id)];
        if id.atomic || (a.atop != 0 && id.reads + id.writes > 0) {
            ck.violation(P::PORT, channel, Rule::AtomicId, || {
                format!(
                    "id {:#x} with {} reads and {} writes outstanding, {}",
                    a.id,
                    id.reads,
                    id.writes,
                    if id.atomic {
                        "one of them atomic"
                    } else {
                        "and now an atomic"
                    }
                )
            });
        }
    }

    #[inline]
    fn take_aw(&mut self, ck: &mut Clock<'_>, aw: Option<AxiAddr>, pardoned: &[Shape]) {
        let (taken, rule) = self.hold_aw.check(aw, self.drive.awready);
        if let Some(rule) = rule {
            ck.violation(P::PORT, Channel::Aw, rule, || format!("now {aw:x?}"));
        }
        let Some(a) = taken else { return };
        self.check_addr(ck, Channel::Aw, &a, pardoned);
        ck.event(P::ev_aw(a));
        let id = &mut self.ids[usize::from(a.id)];
        id.writes = id.writes.saturating_add(1);
        if a.atop != 0 {
            id.atomic = true;
            if Atomic::read_beats(&a) > 0 {
                id.reads = id.reads.saturating_add(1);
            }
        }
        self.aws.push_back(a);
    }

    #[inline]
    fn take_w(&mut self, ck: &mut Clock<'_>, w: Option<WBeat>) {
        let (taken, rule) = self.hold_w.check(w, self.drive.wready);
        if let Some(rule) = rule {
            ck.violation(P::PORT, Channel::W, rule, || format!("now {w:x?}"));
        }
        let Some(b) = taken else { return };
        ck.event(P::ev_w(b));
        self.data_now.push(b);
        if b.last {
            self.end_data();
        } else if self.data_now.len() >= 256 {
            ck.violation(P::PORT, Channel::W, Rule::WriteTooLong, || {
                "beat 256 without WLAST".into()
            });
            self.end_data();
        }
    }

    fn end_data(&mut self) {
        let spare = self.spare_w.pop().unwrap_or_default();
        self.data
            .push_back(std::mem::replace(&mut self.data_now, spare));
    }

    /// Joins addresses and data, in order.
    #[inline]
    fn match_writes(&mut self, ck: &mut Clock<'_>) {
        while let Some(a) = self.aws.front() {
            let beats = usize::from(a.len) + 1;
            if self.data.is_empty() {
                // The address says where the burst ends, even where WLAST does not.
                if self.data_now.len() < beats {
                    return;
                }
                let id = a.id;
                ck.violation(P::PORT, Channel::W, Rule::WLast, || {
                    format!("burst of id {id:#x} has {beats} beats, the last without WLAST")
                });
                self.end_data();
            }
            let (Some(addr), Some(data)) = (self.aws.pop_front(), self.data.pop_front()) else {
                return;
            };
            if data.len() != beats && data.last().is_some_and(|b| b.last) {
                ck.violation(P::PORT, Channel::W, Rule::WLast, || {
                    format!(
                        "burst of id {:#x} has {beats} beats, WLAST is in beat {}",
                        addr.id,
                        data.len()
                    )
                });
            }
            for (n, b) in data.iter().take(beats).enumerate() {
                let lanes = axi::write_lanes(&addr, n as u32);
                // An atomic needs all of its operand.
                if b.strb & !lanes != 0 || (addr.atop != 0 && b.strb != lanes) {
                    ck.violation(P::PORT, Channel::W, Rule::Strobe, || {
                        format!(
                            "beat {n} of {addr:x?}: strobes {:#010b}, lanes {lanes:#010b}",
                            b.strb
                        )
                    });
                    break;
                }
            }
            let latency = self.latency.between(&self.timing.latency).max(1);
            self.writes.push_back(Write {
                addr,
                beats: data,
                due: ck.cycle + u64::from(latency),
            });
        }
    }

    #[inline]
    fn take_ar(
        &mut self,
        ck: &mut Clock<'_>,
        ar: Option<AxiAddr>,
        shared: &mut SharedMemory,
        pardoned: &[Shape],
    ) {
        let (taken, rule) = self.hold_ar.check(ar, self.drive.arready);
        if let Some(rule) = rule {
            ck.violation(P::PORT, Channel::Ar, rule, || format!("now {ar:x?}"));
        }
        let Some(a) = taken else { return };
        self.check_addr(ck, Channel::Ar, &a, pardoned);
        ck.event(P::ev_ar(a));
        let id = &mut self.ids[usize::from(a.id)];
        id.reads = id.reads.saturating_add(1);
        let mut beats = self.spare_r.pop().unwrap_or_default();
        let mut exclusive = a.lock;
        for n in 0..=u32::from(a.len) {
            let beat = sample::<P>(&shared.mem, &a, n);
            exclusive &= beat.resp == Resp::Okay && !beat.poison;
            let bytes = axi::beat_bytes(a.size);
            let at = axi::beat_addr(&a, n) & !(bytes - 1);
            if let Some(e) = P::ev_sampled(a.id, at, beat.data) {
                ck.event(e);
            }
            beats.push(beat);
        }
        if exclusive {
            let (start, end) = extent(&a);
            shared.watch(P::PORT, a.id, start, end);
            for b in &mut beats {
                b.resp = Resp::ExOkay;
            }
        }
        let latency = self.latency.between(&self.timing.latency).max(1);
        self.reads.push_back(Read {
            id: a.id,
            due: ck.cycle + u64::from(latency),
            beats,
            next: 0,
        });
    }

    fn retire(&mut self, id: u8, write: bool) {
        let id = &mut self.ids[usize::from(id)];
        let count = if write { &mut id.writes } else { &mut id.reads };
        *count = count.saturating_sub(1);
        if id.reads == 0 && id.writes == 0 {
            id.atomic = false;
        }
    }

    #[inline]
    fn give_b(&mut self, ck: &mut Clock<'_>, ready: bool) {
        let Some(b) = self.drive.b.filter(|_| ready) else {
            return;
        };
        ck.event(P::ev_b(b));
        self.drive.b = None;
        if let Some(w) = self.writes.remove(self.write_now) {
            let mut beats = w.beats;
            beats.clear();
            self.spare_w.push(beats);
        }
        self.retire(b.id, true);
    }

    #[inline]
    fn give_r(&mut self, ck: &mut Clock<'_>, ready: bool) {
        let (Some(r), Some(n)) = (self.drive.r.filter(|_| ready), self.read_now) else {
            return;
        };
        ck.event(P::ev_r(r));
        self.drive.r = None;
        if !r.last {
            if let Some(burst) = self.reads.get_mut(n) {
                burst.next += 1;
            }
            return;
        }
        self.read_now = None;
        if let Some(burst) = self.reads.remove(n) {
            let mut beats = burst.beats;
            beats.clear();
            self.spare_r.push(beats);
        }
        self.retire(r.id, false);
    }
}

/// Which of the queued bursts answers now: the oldest, or, out of order, any of
/// the [`WINDOW`] oldest that is due and the oldest of its id.
fn pick(
    queue: impl Iterator<Item = (u8, u64)>,
    cycle: u64,
    out_of_order: bool,
    order: &mut Stream,
) -> Option<usize> {
    let mut queue = queue.take(WINDOW).enumerate();
    if !out_of_order {
        let (n, (_, due)) = queue.next()?;
        return (due <= cycle).then_some(n);
    }
    let mut seen = [0u64; 4];
    let mut eligible = [0; WINDOW];
    let mut count = 0;
    for (n, (id, due)) in queue {
        let (word, bit) = (usize::from(id >> 6), 1u64 << (id & 63));
        if seen[word] & bit == 0 && due <= cycle {
            eligible[count] = n;
            count += 1;
        }
        seen[word] |= bit;
    }
    match count {
        0 => None,
        1 => Some(eligible[0]),
        _ => Some(eligible[order.below(count as u32) as usize]),
    }
}

/// The bytes of a burst, first and behind the last.
fn extent(a: &AxiAddr) -> (u64, u64) {
    let bytes = axi::beat_bytes(a.size);
    let total = bytes * (u64::from(a.len) + 1);
    match a.burst {
        Burst::Fixed => (a.addr, (a.addr & !(bytes - 1)).saturating_add(bytes)),
        Burst::Wrap => {
            let start = a.addr - a.addr % total;
            (start, start.saturating_add(total))
        }
        _ => (a.addr, (a.addr & !(bytes - 1)).saturating_add(total)),
    }
}

/// Reads one beat as memory holds it now. Lanes that do not belong to the beat are zero.
fn sample<P: ManagerPins>(mem: &SparseMemory, a: &AxiAddr, n: u32) -> RBeat {
    let at = axi::beat_addr(a, n);
    let lanes = axi::lanes(at, a.size);
    let word = mem.read_u64(at & !7);
    let data = word & expand(lanes);
    let (resp, poison) = match mem.fault_for(at, u64::from(lanes.count_ones()), FaultAccess::Read) {
        None => (Resp::Okay, false),
        Some(MemFault::SlvErr) => (Resp::SlvErr, false),
        Some(MemFault::DecErr) => (Resp::DecErr, false),
        Some(MemFault::Poison) if P::POISON => (Resp::Okay, true),
        Some(MemFault::Poison) => (Resp::SlvErr, false),
    };
    RBeat {
        id: a.id,
        data,
        resp,
        last: n == u32::from(a.len),
        poison,
    }
}

/// A byte mask from lanes.
fn expand(lanes: u8) -> u64 {
    if lanes == 0xff {
        return u64::MAX;
    }
    (0..8).fold(0, |mask, n| {
        mask | (0xff * u64::from(lanes >> n & 1)) << (8 * n)
    })
}

/// Does a write burst to memory: its response, and the read data of an atomic in `back`.
fn execute<P: ManagerPins>(
    w: &Write,
    ck: &mut Clock<'_>,
    shared: &mut SharedMemory,
    back: &mut Vec<RBeat>,
) -> Resp {
    let a = &w.addr;
    let mut fault = None;
    if a.atop == 0 {
        for n in 0..=u32::from(a.len) {
            let at = axi::beat_addr(a, n);
            let bytes = u64::from(axi::lanes(at, a.size).count_ones());
            fault = shared.mem.fault_for(at, bytes, FaultAccess::Write);
            if fault.is_some_and(|f| f != MemFault::Poison) {
                break;
            }
        }
    } else {
        let bytes = atomic_width(a) as u64;
        fault = shared.mem.fault_for(a.addr, bytes, FaultAccess::Any);
    }
    let refused = match fault {
        Some(MemFault::SlvErr) => Some(Resp::SlvErr),
        Some(MemFault::DecErr) => Some(Resp::DecErr),
        // Plain writes to poisoned memory work; an atomic needs what is there.
        Some(MemFault::Poison) if a.atop != 0 => Some(Resp::SlvErr),
        Some(MemFault::Poison) | None => None,
    };
    if a.atop != 0 {
        return atomic::<P>(
            w,
            ck,
            shared,
            back,
            refused,
            fault == Some(MemFault::Poison),
        );
    }
    if let Some(resp) = refused {
        return resp;
    }
    let (start, end) = extent(a);
    if a.lock && !shared.watched(P::PORT, a.id, start, end) {
        return Resp::Okay; // the exclusive failed: nothing is stored
    }
    shared.disturb(start, end);
    for (n, b) in w.beats.iter().take(usize::from(a.len) + 1).enumerate() {
        let at = axi::beat_addr(a, n as u32);
        shared
            .mem
            .write_lanes(at, b.data, b.strb & axi::lanes(at, a.size));
    }
    ck.event(P::ev_stored(a.id));
    if a.lock { Resp::ExOkay } else { Resp::Okay }
}

/// The bytes of memory that an atomic works on, from its address on: of AtomicCompare, which carries
/// two values, half of its data.
fn atomic_width(a: &AxiAddr) -> usize {
    let total = (axi::beat_bytes(a.size) * (u64::from(a.len) + 1)) as usize;
    match Atomic::decode(a.atop) {
        Some(Some(Atomic::Compare)) => total / 2,
        _ => total,
    }
}

/// An AXI5 atomic. `refused` comes back on B, and on R unless the data is only poisoned.
fn atomic<P: ManagerPins>(
    w: &Write,
    ck: &mut Clock<'_>,
    shared: &mut SharedMemory,
    back: &mut Vec<RBeat>,
    refused: Option<Resp>,
    poisoned: bool,
) -> Resp {
    let a = &w.addr;
    let legal = axi::shape_rule(a).is_none();
    let kind = Atomic::decode(a.atop).flatten().filter(|_| legal);
    let reads = Atomic::read_beats(a);
    let Some(kind) = kind else {
        // The violation was reported when the address came; answer, so that nothing hangs.
        for n in 0..reads {
            back.push(RBeat {
                id: a.id,
                data: 0,
                resp: Resp::SlvErr,
                last: n + 1 == reads,
                poison: false,
            });
        }
        return Resp::SlvErr;
    };
    let total = (axi::beat_bytes(a.size) * (u64::from(a.len) + 1)) as usize;
    let width = atomic_width(a);
    // The operands by address, whatever the order of the beats.
    let base = a.addr & !(total as u64 - 1);
    let mut operand = [0u8; 32];
    for (n, b) in w.beats.iter().take(usize::from(a.len) + 1).enumerate() {
        let at = axi::beat_addr(a, n as u32) & !(axi::beat_bytes(a.size) - 1);
        for k in 0..axi::beat_bytes(a.size) {
            let lane = (at + k) & 7;
            if let Some(slot) = operand.get_mut((at + k - base) as usize) {
                *slot = (b.data >> (8 * lane)) as u8;
            }
        }
    }
    let first = (a.addr - base) as usize;
    let mut old = [0u8; 16];
    let old = &mut old[..width.min(16)];
    shared.mem.read(a.addr, old);
    for n in 0..reads {
        let at = a.addr + 8 * u64::from(n);
        let lanes = axi::lanes(
            at,
            if width >= 8 {
                3
            } else {
                width.trailing_zeros() as u8
            },
        );
        let data = shared.mem.read_u64(at & !7) & expand(lanes);
        if let Some(e) = P::ev_sampled(a.id, at, data) {
            ck.event(e);
        }
        back.push(RBeat {
            id: a.id,
            data,
            resp: match refused {
                Some(resp) if !(poisoned && P::POISON) => resp,
                _ => Resp::Okay,
            },
            last: n + 1 == reads,
            poison: poisoned && P::POISON,
        });
    }
    if let Some(resp) = refused {
        return resp;
    }
    let mut value = [0u8; 16];
    let value = &mut value[..width.min(16)];
    match kind {
        Atomic::Compare => {
            let swap = first ^ width;
            if operand[first..first + width] == *old {
                value.copy_from_slice(&operand[swap..swap + width]);
            } else {
                value.copy_from_slice(old);
            }
        }
        Atomic::Swap => value.copy_from_slice(&operand[first..first + width]),
        Atomic::Store(op) | Atomic::Load(op) => {
            let big = a.atop & 8 != 0; // AWATOP[3]: the operand is big-endian
            let new = operate(
                op,
                number(old, big),
                number(&operand[first..first + width], big),
                width,
            );
            for (n, byte) in value.iter_mut().enumerate() {
                let n = if big { width - 1 - n } else { n };
                *byte = (new >> (8 * n)) as u8;
            }
        }
    }
    shared.disturb(a.addr, a.addr + width as u64);
    shared.mem.write(a.addr, value);
    ck.event(P::ev_stored(a.id));
    Resp::Okay
}

fn number(bytes: &[u8], big: bool) -> u64 {
    let push = |n: u64, &b: &u8| n << 8 | u64::from(b);
    if big {
        bytes.iter().fold(0, push)
    } else {
        bytes.iter().rev().fold(0, push)
    }
}

fn operate(op: AtomicOp, old: u64, operand: u64, width: usize) -> u64 {
    let shift = 64 - 8 * width.clamp(1, 8) as u32;
    let signed = |n: u64| (n << shift) as i64;
    match op {
        AtomicOp::Add => old.wrapping_add(operand),
        AtomicOp::Clr => old & !operand,
        AtomicOp::Eor => old ^ operand,
        AtomicOp::Set => old | operand,
        AtomicOp::Smax if signed(operand) > signed(old) => operand,
        AtomicOp::Smin if signed(operand) < signed(old) => operand,
        AtomicOp::Umax if operand > old => operand,
        AtomicOp::Umin if operand < old => operand,
        _ => old,
    }
}
