//! `s_dev` and `m_dev`: the data path.

use std::collections::VecDeque;

use iommu_golden::RequestKind;
use iommu_golden::hpm::{EventIds, HpmEvent};
use iommu_sim::{PinsIn, PinsOut};

use crate::bug::Bug;
use crate::job::{Burst, Job, Mrif, Stage, What};
use crate::state::State;

const SLVERR: u8 = 2;
/// Beats of read data that are kept for ids that wait, before `m_dev` has to wait.
const KEPT: usize = 2048;

/// Records that may wait before no request is taken in.
const RECORDS: usize = 16;

/// What the data path keeps beside the jobs.
#[derive(Debug)]
pub(crate) struct Path {
    /// Unanswered requests by direction (reads, writes) and id, oldest first.
    queues: [Vec<VecDeque<usize>>; 2],
    /// Ids with unanswered requests.
    ids: [Vec<u8>; 2],
    counts: [usize; 2],
    /// Writes that wait for data from `s_dev`, in the order of their addresses.
    filling: VecDeque<usize>,
    /// Data that came before its address.
    early: VecDeque<(u64, u8, bool)>,
    /// Granted requests that are not on the pins.
    granted: [Vec<usize>; 2],
    /// On the pins of `m_dev` AR and AW.
    offered: [Option<usize>; 2],
    /// Writes whose address is on `m_dev`, data still to go.
    sending: VecDeque<usize>,
    /// Beats of read data that are kept.
    kept: usize,
    /// On the pins of `s_dev` R: the request.
    r: Option<usize>,
    b: Option<usize>,
    /// Data of the last granted read.
    last: u64,
}

impl Path {
    pub(crate) fn new() -> Self {
        let queues = || (0..256).map(|_| VecDeque::new()).collect();
        Self {
            queues: [queues(), queues()],
            ids: [Vec::new(), Vec::new()],
            counts: [0; 2],
            filling: VecDeque::new(),
            early: VecDeque::new(),
            granted: [Vec::new(), Vec::new()],
            offered: [None; 2],
            sending: VecDeque::new(),
            kept: 0,
            r: None,
            b: None,
            last: 0,
        }
    }

    fn enqueue(&mut self, write: bool, id: u8, job: usize) {
        let w = usize::from(write);
        let queue = &mut self.queues[w][usize::from(id)];
        if queue.is_empty() {
            self.ids[w].push(id);
        }
        queue.push_back(job);
        self.counts[w] += 1;
    }

    fn dequeue(&mut self, write: bool, id: u8) -> Option<usize> {
        let w = usize::from(write);
        let queue = &mut self.queues[w][usize::from(id)];
        let job = queue.pop_front();
        if job.is_some() {
            self.counts[w] -= 1;
        }
        if queue.is_empty() {
            self.ids[w].retain(|n| *n != id);
        }
        job
    }

    /// Takes a granted request back: it is translated again.
    pub(crate) fn withdraw(&mut self, write: bool, job: usize) {
        self.granted[usize::from(write)].retain(|n| *n != job);
    }
}

impl State {
    /// The handshakes of this clock at `s_dev` and `m_dev`.
    pub(crate) fn step_path(&mut self, i: &PinsIn, o: &PinsOut) {
        if i.s_dev_arvalid & o.s_dev_arready != 0 {
            self.accept_read(Burst {
                id: i.s_dev_arid,
                addr: i.s_dev_araddr,
                len: i.s_dev_arlen,
                size: i.s_dev_arsize,
                burst: i.s_dev_arburst,
                lock: i.s_dev_arlock,
                cache: i.s_dev_arcache,
                prot: i.s_dev_arprot,
                qos: i.s_dev_arqos,
                region: i.s_dev_arregion,
                atop: 0,
                device_id: i.s_dev_armmusid & 0xff_ffff,
                process_id: (i.s_dev_armmussidv != 0).then_some(i.s_dev_armmussid & 0xf_ffff),
                translated: i.s_dev_armmuatst != 0,
            });
        }
        if i.s_dev_awvalid & o.s_dev_awready != 0 {
            self.accept_write(Burst {
                id: i.s_dev_awid,
                addr: i.s_dev_awaddr,
                len: i.s_dev_awlen,
                size: i.s_dev_awsize,
                burst: i.s_dev_awburst,
                lock: i.s_dev_awlock,
                cache: i.s_dev_awcache,
                prot: i.s_dev_awprot,
                qos: i.s_dev_awqos,
                region: i.s_dev_awregion,
                atop: i.s_dev_awatop,
                device_id: i.s_dev_awmmusid & 0xff_ffff,
                process_id: (i.s_dev_awmmussidv != 0).then_some(i.s_dev_awmmussid & 0xf_ffff),
                translated: i.s_dev_awmmuatst != 0,
            });
        }
        if i.s_dev_wvalid & o.s_dev_wready != 0 {
            self.path
                .early
                .push_back((i.s_dev_wdata, i.s_dev_wstrb, i.s_dev_wlast != 0));
        }
        self.distribute();
        for (w, taken) in [
            o.m_dev_arvalid & i.m_dev_arready,
            o.m_dev_awvalid & i.m_dev_awready,
        ]
        .into_iter()
        .enumerate()
        {
            if taken != 0
                && let Some(n) = self.path.offered[w].take()
                && let Some(job) = self.jobs.get_mut(n)
            {
                job.stage = Stage::Out;
            }
        }
        if o.m_dev_wvalid & i.m_dev_wready != 0 {
            self.sent_beat();
        }
        if i.m_dev_rvalid & o.m_dev_rready != 0 {
            self.take_back(i.m_dev_rid, i.m_dev_rdata, i.m_dev_rresp, i.m_dev_rlast);
        }
        if i.m_dev_bvalid & o.m_dev_bready != 0 {
            let out = self.path.queues[1][usize::from(i.m_dev_bid)]
                .iter()
                .copied()
                .find(|n| {
                    let job = self.jobs.get(*n);
                    job.is_some_and(|j| matches!(j.stage, Stage::Out) && !j.ended)
                });
            if let Some(job) = out.and_then(|n| self.jobs.get_mut(n)) {
                job.ended = true;
                job.resp = i.m_dev_bresp;
            }
        }
        if o.s_dev_rvalid & i.s_dev_rready != 0
            && let Some(n) = self.path.r.take()
        {
            self.delivered_beat(n);
        }
        if o.s_dev_bvalid & i.s_dev_bready != 0
            && let Some(n) = self.path.b.take()
        {
            let id = self.jobs.get(n).map_or(0, |j| j.burst().id);
            self.path.dequeue(true, id);
            self.jobs.remove(n);
        }
    }

    /// What a burst asks for, as this device takes it.
    fn asked(&self, burst: &Burst, write: bool) -> iommu_golden::Request {
        let mut request = burst.request(write);
        if self.bug == Some(Bug::TranslatedIgnored) {
            request.kind = RequestKind::Untranslated;
        }
        request
    }

    fn accept_read(&mut self, burst: Burst) {
        let n = self.add(What::Read(burst), self.asked(&burst, false));
        self.path.enqueue(false, burst.id, n);
        if burst.refused() {
            self.count_refused(n);
            self.answer(n, SLVERR);
        } else {
            self.todo.push_back(n);
        }
    }

    fn accept_write(&mut self, burst: Burst) {
        let n = self.add(What::Write(burst), self.asked(&burst, true));
        self.path.enqueue(true, burst.id, n);
        self.path.filling.push_back(n);
        if burst.refused() {
            self.count_refused(n);
            self.answer(n, SLVERR);
        } else {
            self.todo.push_back(n);
        }
        // Atomics other than stores return read data too: half of what a compare sends.
        if burst.atop & 0x20 != 0 {
            let len = if burst.atop == 0x31 {
                burst.len / 2
            } else {
                burst.len
            };
            let half = Burst { len, ..burst };
            let n = self.add(What::Read(half), half.request(false));
            self.path.enqueue(false, burst.id, n);
            self.answer(n, SLVERR);
        }
    }

    /// What the bridge refuses is a request all the same.
    fn count_refused(&mut self, n: usize) {
        let Some(request) = self.jobs.get(n).map(|j| j.request) else {
            return;
        };
        let kind = match request.kind {
            RequestKind::Translated => HpmEvent::Translated,
            _ => HpmEvent::Untranslated,
        };
        let ids = EventIds {
            device_id: request.did(),
            process_id: request.process_id,
            ..EventIds::default()
        };
        self.iommu.count_event(kind, &ids, 1);
    }

    /// A request is answered here and not forwarded.
    pub(crate) fn answer(&mut self, n: usize, resp: u8) {
        if let Some(job) = self.jobs.get_mut(n) {
            job.stage = Stage::Answered(resp);
            job.ended = true;
        }
    }

    /// A request goes on to memory.
    pub(crate) fn grant(&mut self, n: usize, spa: u64, user: u32) {
        if let Some(job) = self.jobs.get_mut(n) {
            job.stage = Stage::Granted { spa, user };
            let w = usize::from(job.is_write());
            self.path.granted[w].push(n);
        }
    }

    /// Gives write data to those whose turn it is.
    fn distribute(&mut self) {
        while let Some(&n) = self.path.filling.front() {
            let Some(beat) = self.path.early.pop_front() else {
                return;
            };
            if let Some(job) = self.jobs.get_mut(n) {
                job.data.push((beat.0, beat.1));
                if job.data.len() > usize::from(job.burst().len) || beat.2 {
                    job.full = true;
                    self.path.filling.pop_front();
                    if matches!(job.stage, Stage::Mrif(_, Mrif::Data)) {
                        self.mrif_data(n);
                    }
                }
            } else {
                self.path.filling.pop_front();
            }
        }
    }

    fn sent_beat(&mut self) {
        let Some(&n) = self.path.sending.front() else {
            return;
        };
        let Some(job) = self.jobs.get_mut(n) else {
            return;
        };
        job.sent += 1;
        if job.sent > usize::from(job.burst().len) {
            self.path.sending.pop_front();
        }
    }

    fn take_back(&mut self, id: u8, data: u64, resp: u8, last: u8) {
        let out = self.path.queues[0][usize::from(id)]
            .iter()
            .copied()
            .find(|n| {
                let job = self.jobs.get(*n);
                job.is_some_and(|j| matches!(j.stage, Stage::Out) && !j.ended)
            });
        if let Some(job) = out.and_then(|n| self.jobs.get_mut(n)) {
            let before = job.back.back().map_or(0, |b| b.1);
            let resp = match self.bug {
                Some(Bug::ReadErrorSticks) if before >= 2 => before,
                Some(Bug::ExokayLost) if resp == 1 => 0,
                _ => resp,
            };
            job.back.push_back((data, resp));
            job.ended = last != 0;
            self.path.kept += 1;
            self.path.last = data;
        }
    }

    fn delivered_beat(&mut self, n: usize) {
        let Some(job) = self.jobs.get_mut(n) else {
            return;
        };
        job.delivered += 1;
        if job.back.pop_front().is_some() {
            self.path.kept -= 1;
        }
        if job.delivered > usize::from(job.burst().len) {
            let id = job.burst().id;
            self.path.dequeue(false, id);
            self.jobs.remove(n);
        }
    }

    /// Whether nothing is under way that device traffic began.
    pub(crate) fn path_is_empty(&self) -> bool {
        self.path.counts == [0; 2]
    }

    /// What is on the pins next.
    pub(crate) fn drive_path(&mut self, o: &mut PinsOut) {
        // What is refused has to be recorded: no more is taken in while many records wait.
        let open = !self.draining && self.faults.len() < RECORDS;
        o.s_dev_arready = u8::from(open && self.path.counts[0] < self.habits.depth);
        o.s_dev_awready = u8::from(open && self.path.counts[1] < self.habits.depth);
        // Data before its address is taken too, up to a point.
        o.s_dev_wready = u8::from(self.path.early.len() < 16);
        for w in 0..2 {
            if self.path.offered[w].is_none() && !self.path.granted[w].is_empty() {
                self.offer(w, o);
            }
        }
        o.m_dev_arvalid = u8::from(self.path.offered[0].is_some());
        o.m_dev_awvalid = u8::from(self.path.offered[1].is_some());
        o.m_dev_wvalid = 0;
        if let Some(job) = self.path.sending.front().and_then(|n| self.jobs.get(*n))
            && let Some(&(data, strb)) = job.data.get(job.sent)
        {
            o.m_dev_wvalid = 1;
            o.m_dev_wdata = data;
            o.m_dev_wstrb = strb;
            o.m_dev_wlast = u8::from(job.sent == usize::from(job.burst().len));
        }
        o.m_dev_rready = u8::from(self.path.kept < KEPT);
        o.m_dev_bready = 1;
        self.return_data(o);
        self.return_response(o);
    }

    /// Puts a granted request on the pins of `m_dev`.
    fn offer(&mut self, w: usize, o: &mut PinsOut) {
        let ready = |n: usize| {
            let Some(job) = self.jobs.get(n) else {
                return false;
            };
            if w == 1 && self.habits.data_first && !job.full {
                return false;
            }
            // Those of its id before it have gone, or never will.
            self.path.queues[w][usize::from(job.burst().id)]
                .iter()
                .take_while(|m| **m != n)
                .all(|m| {
                    let job = self.jobs.get(*m);
                    job.is_none_or(|j| matches!(j.stage, Stage::Out | Stage::Answered(_)))
                })
        };
        let fits: Vec<usize> = (0..self.path.granted[w].len())
            .filter(|k| ready(self.path.granted[w][*k]))
            .collect();
        if fits.is_empty() {
            return;
        }
        let k = if self.habits.reorder {
            fits[self.rng.below(fits.len())]
        } else {
            fits[0]
        };
        let n = self.path.granted[w].remove(k);
        let Some(job) = self.jobs.get_mut(n) else {
            return;
        };
        let Stage::Granted { spa, user } = job.stage else {
            return;
        };
        job.stage = Stage::Offered;
        let b = job.burst();
        self.path.offered[w] = Some(n);
        if w == 0 {
            o.m_dev_arid = b.id;
            o.m_dev_araddr = spa;
            o.m_dev_arlen = b.len;
            o.m_dev_arsize = b.size;
            o.m_dev_arburst = b.burst;
            o.m_dev_arlock = b.lock;
            o.m_dev_arcache = b.cache;
            o.m_dev_arprot = b.prot;
            o.m_dev_arqos = b.qos;
            o.m_dev_arregion = b.region;
            o.m_dev_aruser = user;
        } else {
            o.m_dev_awid = b.id;
            o.m_dev_awaddr = spa;
            o.m_dev_awlen = b.len;
            o.m_dev_awsize = b.size;
            o.m_dev_awburst = b.burst;
            o.m_dev_awlock = if self.bug == Some(Bug::WriteLockLost) {
                0
            } else {
                b.lock
            };
            o.m_dev_awcache = b.cache;
            o.m_dev_awprot = b.prot;
            o.m_dev_awqos = b.qos;
            o.m_dev_awregion = b.region;
            o.m_dev_awatop = b.atop;
            o.m_dev_awuser = user;
            self.path.sending.push_back(n);
        }
    }

    fn return_data(&mut self, o: &mut PinsOut) {
        if self.path.r.is_some() {
            return;
        }
        let deliverable = |id: &u8| -> Option<usize> {
            let n = *self.path.queues[0][usize::from(*id)].front()?;
            let job = self.jobs.get(n)?;
            let ready = match job.stage {
                Stage::Answered(_) => true,
                Stage::Out => !job.back.is_empty(),
                _ => false,
            };
            ready.then_some(n)
        };
        let fits: Vec<usize> = self.path.ids[0].iter().filter_map(deliverable).collect();
        if fits.is_empty() {
            o.s_dev_rvalid = 0;
            return;
        }
        let begun = fits
            .iter()
            .copied()
            .find(|n| self.jobs.get(*n).is_some_and(|j| j.delivered > 0));
        let n = match begun {
            Some(n) if !self.habits.interleave => n,
            _ => fits[self.rng.below(fits.len())],
        };
        let Some(job) = self.jobs.get(n) else { return };
        let (data, resp) = match job.stage {
            Stage::Answered(resp) if self.bug == Some(Bug::RefusedDataLeaks) => {
                (self.path.last, resp)
            }
            Stage::Answered(resp) => (0, resp),
            _ => job.back.front().copied().unwrap_or_default(),
        };
        o.s_dev_rvalid = 1;
        o.s_dev_rid = job.burst().id;
        o.s_dev_rdata = data;
        o.s_dev_rresp = resp;
        o.s_dev_rlast = u8::from(job.delivered == usize::from(job.burst().len));
        self.path.r = Some(n);
    }

    fn return_response(&mut self, o: &mut PinsOut) {
        if self.path.b.is_some() {
            return;
        }
        let deliverable = |id: &u8| -> Option<usize> {
            let n = *self.path.queues[1][usize::from(*id)].front()?;
            let job = self.jobs.get(n)?;
            let ready = match job.stage {
                Stage::Answered(_) => job.full,
                Stage::Out => job.ended,
                _ => false,
            };
            ready.then_some(n)
        };
        let fits: Vec<usize> = self.path.ids[1].iter().filter_map(deliverable).collect();
        if fits.is_empty() {
            o.s_dev_bvalid = 0;
            return;
        }
        let n = fits[self.rng.below(fits.len())];
        let Some(job) = self.jobs.get(n) else { return };
        o.s_dev_bvalid = 1;
        o.s_dev_bid = job.burst().id;
        o.s_dev_bresp = match job.stage {
            Stage::Answered(resp) => resp,
            _ => job.resp,
        };
        self.path.b = Some(n);
    }

    /// A new job.
    pub(crate) fn add(&mut self, what: What, request: iommu_golden::Request) -> usize {
        self.serial += 1;
        self.jobs.add(Job::new(
            self.serial,
            what,
            request,
            self.config.clone(),
            self.now,
        ))
    }
}
