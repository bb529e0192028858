//! Device requests, from `s_dev` to `m_dev` and back.

use std::collections::VecDeque;

use iommu_bus::event::{AxiAddr, Burst, RBeat, Resp, Sideband, WBeat};
use iommu_golden::{Access, Iova, Request, RequestKind};

use crate::oracle::{Legal, Query};

/// A request's place, and its serial number: a place is used again, a serial never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ref {
    pub(crate) slot: u32,
    pub(crate) serial: u64,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fate {
    /// Not known yet.
    #[default]
    Open,
    /// Forwarded on `m_dev` at that clock, as the n-th forwarded burst, to that address.
    Forwarded { cycle: u64, order: u64, spa: u64 },
    /// Refused.
    Refused,
    /// Taken by a page in MRIF mode; it could not be stored, or is not one that can.
    Mrif { failed: bool },
}

/// A request of a device.
#[derive(Debug)]
pub(crate) struct Req {
    pub(crate) serial: u64,
    pub(crate) live: bool,
    pub(crate) accepted: u64,
    pub(crate) write: bool,
    pub(crate) axi: AxiAddr,
    pub(crate) side: Sideband,
    pub(crate) others: u32,
    /// Must be refused whatever the tables say (crosses a page, atomic): nobody asks the oracle.
    pub(crate) barred: Option<&'static str>,
    /// Not a request, but the read data of an atomic.
    pub(crate) companion: bool,
    pub(crate) legal: Legal,
    pub(crate) fate: Fate,
    pub(crate) bare: bool,
    /// A store hit a word that it uses: ask the oracle again.
    pub(crate) ask_again: bool,
    /// Write data as accepted, and how much of it was forwarded.
    pub(crate) data: Vec<WBeat>,
    pub(crate) data_out: usize,
    /// Read data as returned by `m_dev`, and how many beats were delivered.
    pub(crate) back: Vec<RBeat>,
    pub(crate) delivered: usize,
    /// Response that `m_dev` returned for a write.
    pub(crate) resp: Option<Resp>,
    /// `m_dev` has returned everything.
    pub(crate) ended_out: bool,
    /// A later one of its id was forwarded: it will not be.
    pub(crate) passed: bool,
    /// Translation went to Off behind it, and was seen to have: it will not be forwarded.
    pub(crate) off: bool,
    /// Answered on `s_dev`.
    pub(crate) answered: bool,
    /// A fault record for it may still come: the place must be kept.
    pub(crate) awaits_record: bool,
    /// A fault record for it was written.
    pub(crate) recorded: bool,
    /// Why an interrupt file could not take it, and whether that is to be recorded.
    pub(crate) mrif_cause: Option<(u16, bool)>,
    pub(crate) reads: u8,
    pub(crate) directory_reads: u8,
    /// Another request's read brought what it needs while it was open.
    pub(crate) shares: bool,
    /// Younger requests that read tables and were decided while this one was not.
    pub(crate) overtaken: u32,
}

impl Req {
    fn empty() -> Self {
        Self {
            serial: 0,
            live: false,
            accepted: 0,
            write: false,
            axi: AxiAddr {
                id: 0,
                addr: 0,
                len: 0,
                size: 0,
                burst: Burst::Incr,
                lock: false,
                cache: 0,
                prot: 0,
                qos: 0,
                region: 0,
                atop: 0,
                user: 0,
            },
            side: Sideband {
                device_id: 0,
                process_id: None,
                translated: false,
            },
            others: 0,
            barred: None,
            companion: false,
            legal: Legal::default(),
            fate: Fate::Open,
            bare: false,
            ask_again: false,
            data: Vec::new(),
            data_out: 0,
            back: Vec::new(),
            delivered: 0,
            resp: None,
            ended_out: false,
            passed: false,
            off: false,
            answered: false,
            awaits_record: false,
            recorded: false,
            mrif_cause: None,
            reads: 0,
            directory_reads: 0,
            shares: false,
            overtaken: 0,
        }
    }

    /// Beats of the burst.
    pub(crate) fn beats(&self) -> usize {
        usize::from(self.axi.len) + 1
    }

    /// All write data has been accepted (nothing to wait for on a read).
    pub(crate) fn has_data(&self) -> bool {
        !self.write || self.data.len() >= self.beats()
    }

    pub(crate) fn forwarded(&self) -> bool {
        matches!(self.fate, Fate::Forwarded { .. })
    }

    /// What the oracle is asked.
    pub(crate) fn query(&self) -> Query {
        Query {
            request: self.request(),
            accepted: self.accepted,
            write: self.write,
            lax: false,
            ordered: false,
        }
    }

    /// What the golden model is asked.
    pub(crate) fn request(&self) -> Request {
        Request {
            device_id: self.side.device_id,
            process_id: self.side.process_id,
            privileged: self.axi.prot & 1 != 0,
            kind: if self.side.translated {
                RequestKind::Translated
            } else {
                RequestKind::Untranslated
            },
            access: if self.write {
                Access::Write
            } else if self.axi.prot & 4 != 0 {
                Access::Execute
            } else {
                Access::Read
            },
            execute_requested: false,
            cxl: false,
            iova: Iova(self.axi.addr),
            len: bytes(&self.axi),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let s = &self.side;
        let mut text = format!(
            "{} device {:#08x}{}{}{} {} {} bytes at {:#x} (id {:#04x}, len {}, size {}, {:?})",
            self.accepted,
            s.device_id,
            s.process_id
                .map_or(String::new(), |p| format!(" process {p:#07x}")),
            if s.process_id.is_some() && self.axi.prot & 1 != 0 {
                " privileged"
            } else {
                ""
            },
            if s.translated { " translated" } else { "" },
            match (self.write, self.axi.prot & 4 != 0) {
                (true, _) => "writes",
                (false, true) => "reads for execute",
                (false, false) => "reads",
            },
            bytes(&self.axi),
            self.axi.addr,
            self.axi.id,
            self.axi.len,
            self.axi.size,
            self.axi.burst,
        );
        if let Some(why) = self.barred {
            text.push_str(&format!("\n  must be refused: {why}"));
        }
        for v in &self.legal.verdicts {
            text.push_str(&format!("\n  golden: {v}"));
        }
        if !self.legal.loads.is_empty() {
            let loads: Vec<_> = self
                .legal
                .loads
                .iter()
                .map(|l| format!("{:#x}{}", l.addr, if l.done { " (read)" } else { "" }))
                .collect();
            text.push_str(&format!("\n  tables used: {}", loads.join(", ")));
        }
        if let Fate::Forwarded { cycle, .. } = self.fate {
            text.push_str(&format!("\n  {cycle} forwarded on m_dev"));
        }
        text
    }
}

/// Bytes a burst names (the container's, for an unaligned start).
pub(crate) fn bytes(a: &AxiAddr) -> u32 {
    (u32::from(a.len) + 1) << a.size.min(7)
}

/// Whether an INCR burst leaves its 4 KiB page. The others stay in their container.
pub(crate) fn crosses_page(a: &AxiAddr) -> bool {
    if a.burst != Burst::Incr {
        return false;
    }
    let size = 1u64 << a.size.min(7);
    let end = (a.addr & !(size - 1)).wrapping_add((u64::from(a.len) + 1) * size - 1);
    a.addr >> 12 != end >> 12
}

/// Why this is no AXI4 burst on a 64-bit bus, if it is none.
pub(crate) fn no_burst(a: &AxiAddr) -> Option<&'static str> {
    match a.burst {
        _ if a.size > 3 => Some("the beats are wider than the bus"),
        Burst::Reserved => Some("the burst type is reserved"),
        Burst::Wrap if !matches!(a.len, 1 | 3 | 7 | 15) => Some("WRAP has 2, 4, 8 or 16 beats"),
        Burst::Wrap if a.addr & ((1 << a.size) - 1) != 0 => Some("WRAP starts aligned"),
        Burst::Fixed if a.len > 15 => Some("FIXED has at most 16 beats"),
        _ => None,
    }
}

/// A burst on its way on `m_dev`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutBurst {
    /// The request, unless the burst belongs to none.
    pub(crate) of: Option<Ref>,
    pub(crate) beats: usize,
    /// W beats seen.
    pub(crate) sent: usize,
    /// First and last byte.
    pub(crate) extent: (u64, u64),
    /// Memory has stored it.
    pub(crate) stored: bool,
}

/// Queues by AXI id.
#[derive(Debug)]
pub(crate) struct ById<T>(Vec<VecDeque<T>>);

impl<T> ById<T> {
    pub(crate) fn new() -> Self {
        Self((0..256).map(|_| VecDeque::new()).collect())
    }

    pub(crate) fn peek(&self, id: u8) -> &VecDeque<T> {
        &self.0[usize::from(id)]
    }

    pub(crate) fn of(&mut self, id: u8) -> &mut VecDeque<T> {
        &mut self.0[usize::from(id)]
    }

    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(VecDeque::clear);
    }
}

/// All requests and where they stand.
#[derive(Debug)]
pub(crate) struct Dev {
    slots: Vec<Req>,
    free: Vec<u32>,
    /// Live requests in the order of acceptance (some may have died).
    pub(crate) order: VecDeque<Ref>,
    next_serial: u64,
    /// Requests accepted and not answered.
    open: u32,
    /// Earlier values of it, falling, each with the last clock at which it held: those that were
    /// not exceeded since.
    peaks: VecDeque<(u64, u32)>,
    /// Requests whose fate is not known.
    pub(crate) undecided: u32,
    pub(crate) reads: ById<Ref>,
    pub(crate) writes: ById<Ref>,
    /// Writes whose data is not all in, in AW order; data that came before its AW.
    pub(crate) filling: VecDeque<Ref>,
    pub(crate) early_data: VecDeque<WBeat>,
    /// The same on `m_dev`.
    pub(crate) sending: VecDeque<OutBurst>,
    pub(crate) early_sent: VecDeque<WBeat>,
    pub(crate) out_reads: ById<OutBurst>,
    pub(crate) out_writes: ById<OutBurst>,
    pub(crate) forwards: u64,
    pub(crate) any_ask_again: bool,
    /// By direction and id: until when a burst that was no hit held up those behind it.
    slow_until: Vec<u64>,
}

impl Dev {
    /// A request is decided: it holds up those of its id behind it until now.
    pub(crate) fn was_slow(&mut self, write: bool, id: u8, now: u64) {
        self.slow_until[usize::from(write) << 8 | usize::from(id)] = now;
    }

    /// Whether a request accepted then stood behind one that was no hit.
    pub(crate) fn stood_behind(&self, write: bool, id: u8, accepted: u64) -> bool {
        self.slow_until[usize::from(write) << 8 | usize::from(id)] > accepted
    }

    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            next_serial: 0,
            open: 0,
            peaks: VecDeque::new(),
            undecided: 0,
            reads: ById::new(),
            writes: ById::new(),
            filling: VecDeque::new(),
            early_data: VecDeque::new(),
            sending: VecDeque::new(),
            early_sent: VecDeque::new(),
            out_reads: ById::new(),
            out_writes: ById::new(),
            forwards: 0,
            slow_until: vec![0; 512],
            any_ask_again: false,
        }
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        while let Some(r) = self.order.pop_front() {
            self.release(r);
        }
        self.open = 0;
        self.peaks.clear();
        self.undecided = 0;
        self.reads.clear();
        self.writes.clear();
        self.filling.clear();
        self.early_data.clear();
        self.sending.clear();
        self.early_sent.clear();
        self.out_reads.clear();
        self.out_writes.clear();
        self.any_ask_again = false;
    }

    /// Requests accepted and not answered.
    pub(crate) fn open(&self) -> u32 {
        self.open
    }

    /// The most of them at once since a clock.
    pub(crate) fn most_open(&self, since: u64) -> u32 {
        let earlier = self.peaks.iter().find(|p| p.0 >= since);
        earlier.map_or(self.open, |p| p.1.max(self.open))
    }

    fn set_open(&mut self, now: u64, open: u32) {
        while self.peaks.back().is_some_and(|p| p.1 <= self.open) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((now, self.open));
        self.open = open;
    }

    /// A request is answered.
    pub(crate) fn one_less(&mut self, now: u64) {
        self.set_open(now, self.open.saturating_sub(1));
    }

    pub(crate) fn get(&self, r: Ref) -> Option<&Req> {
        self.slots
            .get(r.slot as usize)
            .filter(|q| q.live && q.serial == r.serial)
    }

    pub(crate) fn get_mut(&mut self, r: Ref) -> Option<&mut Req> {
        self.slots
            .get_mut(r.slot as usize)
            .filter(|q| q.live && q.serial == r.serial)
    }

    /// Takes a new request in.
    pub(crate) fn insert(&mut self, now: u64, write: bool, axi: AxiAddr, side: Sideband) -> Ref {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Req::empty());
            (self.slots.len() - 1) as u32
        });
        self.next_serial += 1;
        let others = self.open;
        let q = &mut self.slots[slot as usize];
        // Buffers keep their room: no allocation once every place has been used.
        q.legal.clear();
        q.data.clear();
        q.back.clear();
        *q = Req {
            serial: self.next_serial,
            live: true,
            accepted: now,
            write,
            axi,
            side,
            others,
            legal: std::mem::take(&mut q.legal),
            data: std::mem::take(&mut q.data),
            back: std::mem::take(&mut q.back),
            ..Req::empty()
        };
        let r = Ref {
            slot,
            serial: self.next_serial,
        };
        self.order.push_back(r);
        self.set_open(now, self.open + 1);
        self.undecided += 1;
        r
    }

    /// Frees a place, if it holds this request.
    pub(crate) fn release(&mut self, r: Ref) {
        if let Some(q) = self.get_mut(r) {
            q.live = false;
            self.free.push(r.slot);
        }
    }

    /// Frees a place once the request is answered and no record can come for it.
    pub(crate) fn release_if_over(&mut self, r: Ref) {
        if self.get(r).is_some_and(|q| q.answered && !q.awaits_record) {
            self.release(r);
        }
        while self.order.front().is_some_and(|&r| self.get(r).is_none()) {
            self.order.pop_front();
        }
    }

    /// Changes every live request, oldest first.
    pub(crate) fn each_live(&mut self, mut change: impl FnMut(&mut Req)) {
        for n in 0..self.order.len() {
            let r = self.order[n];
            if let Some(q) = self.get_mut(r) {
                change(q);
            }
        }
    }

    /// Live requests, oldest first.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Ref, &Req)> {
        self.order
            .iter()
            .filter_map(|&r| self.get(r).map(|q| (r, q)))
    }

    /// A request that read tables is decided: every older one that could have been is overtaken. The
    /// one that has been overtaken most, and how often.
    ///
    /// Counted are requests that are the first of their id and have all their data: what the others
    /// wait for is not the block. Hits are not counted: how many of them pass a walk depends on memory.
    pub(crate) fn overtake(&mut self, by: Ref) -> Option<(Ref, u32)> {
        let accepted = self.get(by).filter(|q| q.reads > 0)?.accepted;
        let mut most: Option<(Ref, u32)> = None;
        for n in 0..self.order.len() {
            let r = self.order[n];
            let Some(q) = self.get(r) else { continue };
            if q.accepted >= accepted {
                break;
            }
            let of_id = if q.write { &self.writes } else { &self.reads };
            let first = of_id.peek(q.axi.id).front() == Some(&r);
            if q.fate != Fate::Open || q.companion || !q.has_data() || !first {
                continue;
            }
            let Some(q) = self.get_mut(r) else { continue };
            q.overtaken += 1;
            let count = q.overtaken;
            if most.is_none_or(|(_, m)| count > m) {
                most = Some((r, count));
            }
        }
        most
    }

    /// Whether a read (or write) that was forwarded as number `upto` or before has not ended on `m_dev`.
    pub(crate) fn unfinished(&self, write: bool, upto: u64) -> Option<&Req> {
        self.live().map(|(_, q)| q).find(|q| {
            q.write == write
                && !q.ended_out
                && matches!(q.fate, Fate::Forwarded { order, .. } if order <= upto)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incr(addr: u64, len: u8, size: u8) -> AxiAddr {
        AxiAddr {
            addr,
            len,
            size,
            ..Req::empty().axi
        }
    }

    #[test]
    fn page_crossing_counts_real_bytes() {
        assert!(!crosses_page(&incr(0x0ff8, 0, 3)));
        assert!(crosses_page(&incr(0x0ff8, 1, 3)));
        // An unaligned first beat is short: the burst ends at its container's end.
        assert!(!crosses_page(&incr(0x0ffd, 0, 3)));
        assert!(!crosses_page(&incr(0x0001, 255, 3)));
        assert!(!crosses_page(&AxiAddr {
            burst: Burst::Wrap,
            ..incr(0x0ff8, 3, 3)
        }));
        assert!(crosses_page(&incr(u64::MAX - 7, 1, 3)));
    }
}
