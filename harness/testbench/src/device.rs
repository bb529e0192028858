//! The devices in front of `s_dev`: an AXI4 manager with many ids and bursts in flight.

use std::collections::VecDeque;

use iommu_bus::DevTiming;
use iommu_bus::event::{AxiAddr, BBeat, Burst, Event, RBeat, Resp, Sideband, WBeat};
use iommu_sim::{PinsIn, PinsOut};

use crate::axi::{self, Atomic};
use crate::context::Clock;
use crate::pins;
use crate::protocol::{Channel, Hold, Port, Rule};
use crate::rng::Stream;
use crate::subordinate::{Shape, shape};

/// Names a submitted [`DevTransaction`]; counts up from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DevTicket(pub u64);

/// Direction of a device transaction, with what it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevDir {
    /// Read.
    Read,
    /// Write. `last` is set by the agent; strobes outside a beat's lanes are
    /// cleared; missing beats are added with zero strobes, surplus ones dropped.
    Write {
        /// One entry a beat.
        data: Vec<WBeat>,
    },
}

/// A burst for the device agent to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevTransaction {
    /// Read, or write with its data.
    pub dir: DevDir,
    /// Transaction id.
    pub id: u8,
    /// Address of the first byte.
    pub addr: u64,
    /// Beats minus one.
    pub len: u8,
    /// log2 of the bytes of a beat.
    pub size: u8,
    /// Burst type.
    pub burst: Burst,
    /// Exclusive.
    pub lock: bool,
    /// AxCACHE.
    pub cache: u8,
    /// AxPROT.
    pub prot: u8,
    /// AxQOS.
    pub qos: u8,
    /// AxREGION.
    pub region: u8,
    /// AWATOP; ignored on reads.
    pub atop: u8,
    /// Whose transaction it is.
    pub side: Sideband,
}

impl DevTransaction {
    /// An incrementing 64-bit read that covers `bytes` bytes from `addr` on (at most 256 beats).
    #[must_use]
    pub fn read(side: Sideband, id: u8, addr: u64, bytes: usize) -> Self {
        let beats = ((addr & 7) as usize + bytes.max(1))
            .div_ceil(8)
            .clamp(1, 256);
        Self {
            dir: DevDir::Read,
            id,
            addr,
            len: (beats - 1) as u8,
            size: axi::BUS_SIZE,
            burst: Burst::Incr,
            lock: false,
            cache: 0b0011,
            prot: 0b010,
            qos: 0,
            region: 0,
            atop: 0,
            side,
        }
    }

    /// An incrementing 64-bit write of `bytes` at `addr`, strobes on those bytes only.
    #[must_use]
    pub fn write(side: Sideband, id: u8, addr: u64, bytes: &[u8]) -> Self {
        let mut t = Self::read(side, id, addr, bytes.len());
        let mut data = vec![
            WBeat {
                data: 0,
                strb: 0,
                last: false
            };
            usize::from(t.len) + 1
        ];
        for (n, &byte) in bytes.iter().enumerate() {
            let at = (addr & 7) as usize + n;
            if let Some(beat) = data.get_mut(at / 8) {
                beat.data |= u64::from(byte) << (8 * (at % 8));
                beat.strb |= 1 << (at % 8);
            }
        }
        t.dir = DevDir::Write { data };
        t
    }

    fn addr_beat(&self) -> AxiAddr {
        AxiAddr {
            id: self.id,
            addr: self.addr,
            len: self.len,
            size: self.size & 7,
            burst: self.burst,
            lock: self.lock,
            cache: self.cache & 0xf,
            prot: self.prot & 7,
            qos: self.qos & 0xf,
            region: self.region & 0xf,
            atop: match self.dir {
                DevDir::Read => 0,
                DevDir::Write { .. } => self.atop & 0x3f,
            },
            user: 0,
        }
    }
}

/// How a device transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevCompletion {
    /// Which.
    pub ticket: DevTicket,
    /// The address beat as it was driven.
    pub addr: AxiAddr,
    /// Whose it was.
    pub side: Sideband,
    /// It was a write (or an atomic).
    pub write: bool,
    /// The response; of a read or an atomic, the first that is no success.
    pub resp: Resp,
    /// Read data, one entry a beat.
    pub data: Vec<RBeat>,
    /// Clock of the call of `submit_dev`.
    pub submitted: u64,
    /// Clock of the address handshake at `s_dev`.
    pub accepted: Option<u64>,
    /// Clock of the address handshake at `m_dev` of the burst that carried it;
    /// `None` when it was refused. Paired by id, shape and response: with bursts of
    /// one id alike in all of them, the scoreboard's pairing decides.
    pub forwarded: Option<u64>,
    /// Clock of the last response handshake.
    pub done: u64,
    /// Reset ended it; there was no response.
    pub aborted: bool,
}

impl DevCompletion {
    /// The bytes that a read from `addr.addr` on returned, burst type INCR: at most `bytes` of them.
    #[must_use]
    pub fn bytes(&self, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes);
        for (n, beat) in self.data.iter().enumerate() {
            let lanes = axi::lanes(axi::beat_addr(&self.addr, n as u32), self.addr.size);
            for lane in (0..8).filter(|lane| lanes >> lane & 1 != 0) {
                out.push((beat.data >> (8 * lane)) as u8);
            }
        }
        out.truncate(bytes);
        out
    }
}

#[derive(Debug)]
struct Active {
    ticket: DevTicket,
    a: AxiAddr,
    side: Sideband,
    write: bool,
    out: Vec<WBeat>,
    back: Vec<RBeat>,
    reads_due: u32,
    resp: Option<Resp>,
    submitted: u64,
    aw_valid_at: Option<u64>,
    accepted: Option<u64>,
    data_done: bool,
    b_due: bool,
}

/// A burst seen at `m_dev`, for the forward clock of completions.
#[derive(Debug, Clone, Copy)]
struct Forward {
    a: AxiAddr,
    cycle: u64,
    resp: Option<Resp>,
}

fn worse(old: Option<Resp>, new: Resp) -> Resp {
    match old {
        Some(r @ (Resp::SlvErr | Resp::DecErr)) => r,
        _ => new,
    }
}

/// Bursts of one id remembered at most: a block may forward what no device sent.
const MAX_FORWARDS: usize = 512;

/// Bursts of one direction that `m_dev` carried and that no completion has claimed, by id.
#[derive(Debug)]
struct Forwards {
    /// With the number of answered ones, which stand in front: an id is answered in order.
    queues: Vec<(VecDeque<Forward>, usize)>,
}

impl Forwards {
    fn new() -> Self {
        Self {
            queues: vec![(VecDeque::new(), 0); 256],
        }
    }

    fn add(&mut self, a: AxiAddr, cycle: u64) {
        let (queue, answered) = &mut self.queues[usize::from(a.id)];
        if queue.len() >= MAX_FORWARDS {
            queue.pop_front();
            *answered = answered.saturating_sub(1);
        }
        queue.push_back(Forward {
            a,
            cycle,
            resp: None,
        });
    }

    fn answer(&mut self, id: u8, resp: Resp, last: bool) {
        let (queue, answered) = &mut self.queues[usize::from(id)];
        if let Some(f) = queue.get_mut(*answered) {
            f.resp = Some(worse(f.resp, resp));
            *answered += usize::from(last);
        }
    }

    /// The burst that carried `a`: the oldest answered one of the same shape and outcome.
    fn claim(&mut self, a: &AxiAddr, resp: Resp) -> Option<u64> {
        let (queue, answered) = &mut self.queues[usize::from(a.id)];
        let n = queue.iter().take(*answered).position(|f| {
            f.resp == Some(resp) && shape(&f.a) == shape(a) && f.a.addr & 0xfff == a.addr & 0xfff
        })?;
        *answered -= 1;
        queue.remove(n).map(|f| f.cycle)
    }

    fn clear(&mut self) {
        for (queue, answered) in &mut self.queues {
            queue.clear();
            *answered = 0;
        }
    }
}

/// What is in flight for an id.
#[derive(Debug, Default)]
struct IdState {
    reads: VecDeque<u32>,
    writes: VecDeque<u32>,
    atomic: bool,
}

/// The agent of `s_dev`.
#[derive(Debug)]
pub(crate) struct DeviceAgent {
    pub(crate) timing: DevTiming,
    next_ticket: u64,
    slots: Vec<Option<Active>>,
    free: Vec<u32>,
    aw_queue: VecDeque<u32>,
    w_queue: VecDeque<u32>,
    ar_queue: VecDeque<u32>,
    aw_head_since: Option<u64>,
    w_head_since: Option<u64>,
    aw_valid: bool,
    ar_valid: bool,
    w_valid: bool,
    w_beat: usize,
    bready: bool,
    rready: bool,
    ids: Vec<IdState>,
    reads: u32,
    writes: u32,
    done: VecDeque<DevCompletion>,
    hold_b: Hold<BBeat>,
    hold_r: Hold<RBeat>,
    forward_reads: Forwards,
    forward_writes: Forwards,
    illegal: Vec<Shape>,
    gap_aw: Stream,
    gap_w: Stream,
    gap_ar: Stream,
    ready_b: Stream,
    ready_r: Stream,
}

impl DeviceAgent {
    pub(crate) fn new(seed: u64, timing: DevTiming) -> Self {
        Self {
            timing,
            next_ticket: 0,
            slots: Vec::new(),
            free: Vec::new(),
            aw_queue: VecDeque::new(),
            w_queue: VecDeque::new(),
            ar_queue: VecDeque::new(),
            aw_head_since: None,
            w_head_since: None,
            aw_valid: false,
            ar_valid: false,
            w_valid: false,
            w_beat: 0,
            bready: false,
            rready: false,
            ids: (0..256).map(|_| IdState::default()).collect(),
            reads: 0,
            writes: 0,
            done: VecDeque::new(),
            hold_b: Hold::default(),
            hold_r: Hold::default(),
            forward_reads: Forwards::new(),
            forward_writes: Forwards::new(),
            illegal: Vec::new(),
            gap_aw: Stream::new(seed, "s_dev.gap.aw"),
            gap_w: Stream::new(seed, "s_dev.gap.w"),
            gap_ar: Stream::new(seed, "s_dev.gap.ar"),
            ready_b: Stream::new(seed, "s_dev.ready.b"),
            ready_r: Stream::new(seed, "s_dev.ready.r"),
        }
    }

    /// Shapes that AXI forbids and that this agent was told to drive all the same.
    pub(crate) fn illegal(&self) -> &[Shape] {
        &self.illegal
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn submit(&mut self, t: DevTransaction, cycle: u64) -> DevTicket {
        let ticket = DevTicket(self.next_ticket);
        self.next_ticket += 1;
        let a = t.addr_beat();
        if axi::shape_rule(&a).is_some() && !self.illegal.contains(&shape(&a)) {
            self.illegal.push(shape(&a));
        }
        let write = matches!(t.dir, DevDir::Write { .. });
        let out = match t.dir {
            DevDir::Read => Vec::new(),
            DevDir::Write { mut data } => {
                data.resize(
                    usize::from(a.len) + 1,
                    WBeat {
                        data: 0,
                        strb: 0,
                        last: false,
                    },
                );
                for (n, beat) in data.iter_mut().enumerate() {
                    beat.last = n == usize::from(a.len);
                    beat.strb &= axi::write_lanes(&a, n as u32);
                }
                data
            }
        };
        let reads_due = if write {
            Atomic::read_beats(&a)
        } else {
            u32::from(a.len) + 1
        };
        let active = Active {
            ticket,
            a,
            side: t.side,
            write,
            out,
            back: Vec::with_capacity(reads_due as usize),
            reads_due,
            resp: None,
            submitted: cycle,
            aw_valid_at: None,
            accepted: None,
            data_done: !write,
            b_due: write,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(active);
                slot
            }
            None => {
                self.slots.push(Some(active));
                (self.slots.len() - 1) as u32
            }
        };
        if write {
            self.aw_queue.push_back(slot);
            self.w_queue.push_back(slot);
        } else {
            self.ar_queue.push_back(slot);
        }
        ticket
    }

    pub(crate) fn take_done(&mut self) -> Option<DevCompletion> {
        self.done.pop_front()
    }

    fn slot(&self, slot: u32) -> Option<&Active> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Active> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// An atomic's id is used by nothing else outstanding.
    fn id_free(&self, a: &AxiAddr) -> bool {
        let id = &self.ids[usize::from(a.id)];
        !id.atomic && (a.atop == 0 || (id.reads.is_empty() && id.writes.is_empty()))
    }

    /// Chooses what to drive in this clock, from what was seen up to the last one.
    pub(crate) fn prepare(&mut self, ck: &Clock<'_>, pins: &mut PinsIn) {
        if ck.reset {
            self.abort_all(ck.cycle);
        } else if !ck.quiet {
            self.start_aw(ck.cycle);
            self.start_w(ck.cycle);
            self.start_ar();
        }
        let go = !ck.reset && !self.timing.stop_responses;
        self.bready = go && self.ready_b.chance(self.timing.b_ready_percent);
        self.rready = go && self.ready_r.chance(self.timing.r_ready_percent);
        let head = |queue: &VecDeque<u32>, valid| {
            let slot = queue.front().filter(|_| valid)?;
            self.slot(*slot)
        };
        let aw = head(&self.aw_queue, self.aw_valid);
        pins::drive_dev_aw(pins, aw.map(|t| (&t.a, &t.side)));
        let ar = head(&self.ar_queue, self.ar_valid);
        pins::drive_dev_ar(pins, ar.map(|t| (&t.a, &t.side)));
        let w = head(&self.w_queue, self.w_valid);
        pins::drive_dev_w(pins, w.and_then(|t| t.out.get(self.w_beat)).copied());
        pins.s_dev_bready = self.bready.into();
        pins.s_dev_rready = self.rready.into();
    }

    fn start_aw(&mut self, cycle: u64) {
        if self.aw_valid {
            return;
        }
        let Some(&slot) = self.aw_queue.front() else {
            return;
        };
        let since = *self.aw_head_since.get_or_insert(cycle);
        let Some(t) = self.slot(slot) else { return };
        let may = !self.timing.stop_requests
            && self.writes < self.timing.max_writes
            && cycle >= since + u64::from(self.timing.aw_delay)
            && self.id_free(&t.a)
            // An atomic and a read of its id must not become valid together.
            && (t.a.atop == 0 || !self.ar_offers(t.a.id));
        if may && !self.gap_aw.chance(self.timing.aw_gap_percent) {
            self.aw_valid = true;
            if let Some(t) = self.slot_mut(slot) {
                t.aw_valid_at = Some(cycle);
            }
        }
    }

    fn ar_offers(&self, id: u8) -> bool {
        let head = self.ar_queue.front().filter(|_| self.ar_valid);
        head.and_then(|&s| self.slot(s))
            .is_some_and(|t| t.a.id == id)
    }

    fn aw_offers_atomic(&self, id: u8) -> bool {
        let head = self.aw_queue.front().filter(|_| self.aw_valid);
        head.and_then(|&s| self.slot(s))
            .is_some_and(|t| t.a.id == id && t.a.atop != 0)
    }

    fn start_w(&mut self, cycle: u64) {
        if self.w_valid {
            return;
        }
        let Some(&slot) = self.w_queue.front() else {
            return;
        };
        let since = *self.w_head_since.get_or_insert(cycle);
        let Some(t) = self.slot(slot) else { return };
        let from = if self.timing.w_before_aw {
            Some(since)
        } else {
            t.aw_valid_at
        };
        let may = !self.timing.stop_requests
            && (self.w_beat > 0
                || from.is_some_and(|from| cycle >= from + u64::from(self.timing.w_delay)));
        self.w_valid = may && !self.gap_w.chance(self.timing.w_gap_percent);
    }

    fn start_ar(&mut self) {
        if self.ar_valid {
            return;
        }
        let Some(&slot) = self.ar_queue.front() else {
            return;
        };
        let Some(t) = self.slot(slot) else { return };
        let may = !self.timing.stop_requests
            && self.reads < self.timing.max_reads
            && self.id_free(&t.a)
            && !self.aw_offers_atomic(t.a.id);
        self.ar_valid = may && !self.gap_ar.chance(self.timing.ar_gap_percent);
    }

    /// Takes the requests that the block accepted in this clock.
    pub(crate) fn observe_requests(&mut self, ck: &mut Clock<'_>, o: &PinsOut) {
        if ck.reset {
            return;
        }
        if self.aw_valid && o.s_dev_awready != 0 {
            self.aw_valid = false;
            self.aw_head_since = None;
            if let Some(slot) = self.aw_queue.pop_front() {
                self.accept(ck, slot);
            }
        }
        if self.w_valid && o.s_dev_wready != 0 {
            self.w_valid = false;
            self.beat_taken(ck);
        }
        if self.ar_valid && o.s_dev_arready != 0 {
            self.ar_valid = false;
            if let Some(slot) = self.ar_queue.pop_front() {
                self.accept(ck, slot);
            }
        }
    }

    fn accept(&mut self, ck: &mut Clock<'_>, slot: u32) {
        let cycle = ck.cycle;
        let Some(t) = self.slot_mut(slot) else { return };
        t.accepted = Some(cycle);
        let (a, side, write) = (t.a, t.side, t.write);
        ck.event(if write {
            Event::DevAw(a, side)
        } else {
            Event::DevAr(a, side)
        });
        let back = Atomic::read_beats(&a) > 0;
        let id = &mut self.ids[usize::from(a.id)];
        if write {
            id.writes.push_back(slot);
            id.atomic |= a.atop != 0;
            self.writes += 1;
        }
        if !write || back {
            id.reads.push_back(slot);
        }
        if !write {
            self.reads += 1;
        }
    }

    fn beat_taken(&mut self, ck: &mut Clock<'_>) {
        let Some(&slot) = self.w_queue.front() else {
            return;
        };
        let n = self.w_beat;
        let Some(t) = self.slot_mut(slot) else { return };
        let Some(&beat) = t.out.get(n) else { return };
        ck.event(Event::DevW(beat));
        self.w_beat += 1;
        if beat.last {
            if let Some(t) = self.slot_mut(slot) {
                t.data_done = true;
            }
            self.w_beat = 0;
            self.w_head_since = None;
            self.w_queue.pop_front();
        }
    }

    /// Follows what passes `m_dev`, for the forward clock of completions.
    pub(crate) fn track(&mut self, cycle: u64, event: &Event) {
        match event {
            Event::OutAr(a) => self.forward_reads.add(*a, cycle),
            Event::OutAw(a) => self.forward_writes.add(*a, cycle),
            Event::OutR(r) => self.forward_reads.answer(r.id, r.resp, r.last),
            Event::OutB(b) => self.forward_writes.answer(b.id, b.resp, true),
            _ => {}
        }
    }

    /// Takes the responses of this clock.
    pub(crate) fn observe_responses(&mut self, ck: &mut Clock<'_>, o: &PinsOut) {
        let (b, r) = (pins::dev_b(o), pins::dev_r(o));
        ck.check_quiet(Port::Dev, Channel::B, b.is_some());
        ck.check_quiet(Port::Dev, Channel::R, r.is_some());
        if ck.reset {
            return;
        }
        let (taken, rule) = self.hold_b.check(b, self.bready);
        if let Some(rule) = rule {
            ck.violation(Port::Dev, Channel::B, rule, || format!("now {b:x?}"));
        }
        if let Some(b) = taken {
            self.take_b(ck, b);
        }
        let (taken, rule) = self.hold_r.check(r, self.rready);
        if let Some(rule) = rule {
            ck.violation(Port::Dev, Channel::R, rule, || format!("now {r:x?}"));
        }
        if let Some(r) = taken {
            self.take_r(ck, r);
        }
    }

    fn take_b(&mut self, ck: &mut Clock<'_>, b: BBeat) {
        ck.event(Event::DevB(b));
        let waiting = self.ids[usize::from(b.id)].writes.front().copied();
        let Some((slot, t)) = waiting.and_then(|s| Some((s, self.slot_mut(s)?))) else {
            ck.violation(Port::Dev, Channel::B, Rule::ResponseId, || {
                format!("{b:x?} with no write of this id outstanding")
            });
            return;
        };
        if !t.data_done {
            // Left waiting: its data must still be taken, and its own B may follow.
            ck.violation(Port::Dev, Channel::B, Rule::ResponseEarly, || {
                format!("{b:x?} before the last data of {:x?}", t.a)
            });
            return;
        }
        if b.resp == Resp::ExOkay && !t.a.lock {
            ck.violation(Port::Dev, Channel::B, Rule::ResponseCode, || {
                format!("EXOKAY to {:x?}", t.a)
            });
        }
        t.resp = Some(worse(t.resp, b.resp));
        t.b_due = false;
        self.ids[usize::from(b.id)].writes.pop_front();
        self.writes = self.writes.saturating_sub(1);
        self.finish_if_done(slot, ck.cycle);
    }

    fn take_r(&mut self, ck: &mut Clock<'_>, r: RBeat) {
        ck.event(Event::DevR(r));
        let waiting = self.ids[usize::from(r.id)].reads.front().copied();
        let Some((slot, t)) = waiting.and_then(|s| Some((s, self.slot_mut(s)?))) else {
            ck.violation(Port::Dev, Channel::R, Rule::ResponseId, || {
                format!("{r:x?} with no read of this id outstanding")
            });
            return;
        };
        if r.resp == Resp::ExOkay && !t.a.lock {
            ck.violation(Port::Dev, Channel::R, Rule::ResponseCode, || {
                format!("EXOKAY to {:x?}", t.a)
            });
        }
        t.back.push(r);
        t.resp = Some(worse(t.resp, r.resp));
        let (have, due) = (t.back.len() as u32, t.reads_due);
        if r.last != (have == due) {
            ck.violation(Port::Dev, Channel::R, Rule::RLast, || {
                format!(
                    "beat {have} of {due} of {:x?} has RLAST={}",
                    t.a,
                    u8::from(r.last)
                )
            });
        }
        // An early RLAST ends the burst, so that a wrong block cannot hang the run.
        if r.last || have >= due {
            t.reads_due = have;
            let write = t.write;
            self.ids[usize::from(r.id)].reads.pop_front();
            if !write {
                self.reads = self.reads.saturating_sub(1);
            }
            self.finish_if_done(slot, ck.cycle);
        }
    }

    fn finish_if_done(&mut self, slot: u32, cycle: u64) {
        let Some(t) = self.slot(slot) else { return };
        if t.b_due || (t.back.len() as u32) < t.reads_due {
            return;
        }
        let Some(t) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        if t.a.atop != 0 {
            self.ids[usize::from(t.a.id)].atomic = false;
        }
        let resp = t.resp.unwrap_or(Resp::Okay);
        let forwards = if t.write {
            &mut self.forward_writes
        } else {
            &mut self.forward_reads
        };
        let forwarded = forwards.claim(&t.a, resp);
        self.done
            .push_back(completion(t, resp, forwarded, cycle, false));
    }

    /// Reset: whatever was submitted and has not ended comes back as aborted, oldest first.
    fn abort_all(&mut self, cycle: u64) {
        self.hold_b.clear();
        self.hold_r.clear();
        self.aw_valid = false;
        self.w_valid = false;
        self.ar_valid = false;
        if self.slots.is_empty() {
            return;
        }
        let mut aborted: Vec<Active> = self.slots.drain(..).flatten().collect();
        aborted.sort_by_key(|t| t.ticket);
        for t in aborted {
            self.done
                .push_back(completion(t, Resp::SlvErr, None, cycle, true));
        }
        self.free.clear();
        self.aw_queue.clear();
        self.w_queue.clear();
        self.ar_queue.clear();
        self.aw_head_since = None;
        self.w_head_since = None;
        self.w_beat = 0;
        for id in &mut self.ids {
            id.reads.clear();
            id.writes.clear();
            id.atomic = false;
        }
        self.reads = 0;
        self.writes = 0;
        self.forward_reads.clear();
        self.forward_writes.clear();
    }
}

fn completion(
    t: Active,
    resp: Resp,
    forwarded: Option<u64>,
    done: u64,
    aborted: bool,
) -> DevCompletion {
    DevCompletion {
        ticket: t.ticket,
        addr: t.a,
        side: t.side,
        write: t.write,
        resp,
        data: t.back,
        submitted: t.submitted,
        accepted: t.accepted,
        forwarded,
        done,
        aborted,
    }
}
