//! Messages from devices: page requests, their queue and their responses.

use iommu_bus::ats::{AtsInvalidationDone, AtsPageRequest, AtsPageResponse};
use iommu_bus::mem::SparseMemory;
use iommu_golden::ats::{PageRequest, PageRequestStep};
use iommu_golden::command::AtsMessage;
use iommu_golden::{Capabilities, FaultRecord, Iommu, Iova, Memory, Observer, Request};

use crate::askers::AskFor;
use crate::hpm::Maker;
use crate::irq::PIP;
use crate::on_ats::same_target;
use crate::oracle::{BOUND, Query, Verdict};
use crate::ports::{MemWrite, WriteFor};
use crate::record_queue::{RecordQueue, Ring, lost};
use crate::{Check, Scoreboard, describe_axi};

/// What a message is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MessageKind {
    /// An invalidation completion.
    Done(AtsInvalidationDone),
    /// A page request or stop marker.
    Page(PageRequest),
}

/// What may become of a message, as far as its device context says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageVerdict {
    /// It is taken. A page request goes into the queue, or is answered so where the queue has
    /// overflowed or is full, is off, has met a memory fault.
    Taken {
        overflow: Option<AtsMessage>,
        off: Option<AtsMessage>,
        fault: Option<AtsMessage>,
    },
    /// It is refused, with this record and this response.
    Refused {
        record: Option<FaultRecord>,
        response: Option<AtsMessage>,
    },
}

impl MessageVerdict {
    pub(crate) fn refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// A message from a device.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) asker: u64,
    pub(crate) kind: MessageKind,
    pub(crate) options: Vec<MessageVerdict>,
}

impl Message {
    /// Whether it may be taken, and whether it may be refused.
    fn may_be(&self) -> (bool, bool) {
        let refused = MessageVerdict::refused;
        let taken = self.options.iter().any(|o| !refused(o));
        (taken, self.options.iter().any(refused))
    }
}

/// A page request that is not settled.
#[derive(Debug)]
pub(crate) struct Job {
    request: PageRequest,
    /// Its place in the list of messages.
    asker: u64,
    since: u64,
    /// Why its record may be lost: bits of [`lost`].
    lost: u8,
    /// Storing its record failed.
    failed: bool,
}

/// The page-request queue.
#[derive(Debug, Default)]
pub(crate) struct PageQueue {
    pub(crate) ring: RecordQueue<2, Job>,
    jobs: Vec<Job>,
}

impl PageQueue {
    fn may_lose(&mut self, why: u8) {
        for j in &mut self.jobs {
            j.lost |= why;
        }
    }

    /// Some record may have found no room.
    fn has_waiting(&self) -> bool {
        self.jobs.iter().any(|j| j.lost & lost::FULL != 0)
    }
}

/// Where the page-request queue lies.
fn page_ring(iommu: &Iommu) -> Ring {
    let pq = iommu.registers().pq;
    Ring {
        base: pq.base_address(),
        mask: pq.index_mask(),
        head: pq.head,
    }
}

fn page_request(r: &AtsPageRequest) -> PageRequest {
    PageRequest {
        device_id: r.device_id,
        process_id: r.process_id,
        privileged: r.privileged,
        execute: r.execute,
        payload: r.payload,
    }
}

/// A response of the IOMMU's own, and a record.
type Discarded = (Option<AtsMessage>, Option<FaultRecord>);

/// The page-request queue as it may be: on, `pqof`, `pqmf`. An empty queue that works tells what the
/// context says; one in trouble, the answers.
const QUEUES: [(bool, bool, bool); 4] = [
    (true, false, false),
    (true, true, false),
    (false, false, false),
    (true, false, true),
];

/// What the model makes of a message with such a queue; `None`: it is taken.
fn put(
    iommu: &Iommu,
    mem: &mut impl Memory,
    obs: &mut impl Observer,
    kind: &MessageKind,
    (on, overflow, fault): (bool, bool, bool),
) -> Option<Discarded> {
    let mut model = iommu.clone();
    match kind {
        MessageKind::Done(d) => model
            .invalidation_completion(mem, obs, d.device_id, d.itags, d.count)
            .err()
            .map(|record| (None, record)),
        MessageKind::Page(r) => {
            let q = &mut model.registers_mut().pq;
            (q.on, q.overflow, q.memory_fault) = (on, overflow, fault);
            (q.head, q.tail) = (0, 0);
            match model.page_request(mem, obs, r, 0) {
                PageRequestStep::Queue(_) => None,
                PageRequestStep::Discarded { response, record } => {
                    Some((response.map(|r| r.1), record))
                }
            }
        }
    }
}

fn message_verdict([works, overflow, off, fault]: [Option<Discarded>; 4]) -> MessageVerdict {
    let answer = |d: Option<Discarded>| d.and_then(|d| d.0);
    match works {
        Some((response, record)) => MessageVerdict::Refused { record, response },
        None => MessageVerdict::Taken {
            overflow: answer(overflow),
            off: answer(off),
            fault: answer(fault),
        },
    }
}

impl Scoreboard {
    /// Adds to a message's options what the tables say now.
    pub(crate) fn ask_message(&mut self, serial: u64, mem: &SparseMemory) {
        let Some(n) = self.messages.iter().position(|m| m.asker == serial) else {
            return;
        };
        let kind = self.messages[n].kind;
        let mut legal = self
            .askers
            .get_mut(serial)
            .map(|a| std::mem::take(&mut a.legal))
            .unwrap_or_default();
        let request = self.askers.get(serial).map(|a| (a.request, a.since));
        let (request, since) = request.unwrap_or((Request::read(0, Iova(0)), self.now));
        let query = Query {
            request,
            accepted: since,
            write: false,
            lax: false,
            ordered: false,
        };
        let mut options = Vec::new();
        let past = self
            .past
            .iter()
            .filter(|old| old.until.is_none_or(|u| u >= since));
        let mut all = true;
        for iommu in std::iter::once(&self.iommu).chain(past.map(|old| &old.iommu)) {
            all &= self.oracle.messages(
                (iommu, mem, &query, self.now),
                &mut legal,
                |n, view, collect| put(iommu, view, collect, &kind, QUEUES[n]),
                |answers| options.push(message_verdict(answers)),
            );
        }
        if !all {
            self.fail(
                Check::OracleBound,
                format!("at most {BOUND} walks for one message"),
                "more: too many edits at once; nothing is known about this message",
                format!("{kind:x?}"),
            );
        }
        for option in options {
            if let MessageVerdict::Refused { record, .. } = option {
                let cause = record.map(|r| r.cause);
                legal.add(Verdict::Deny { record, cause });
            }
            if !self.messages[n].options.contains(&option) {
                self.messages[n].options.push(option);
            }
        }
        let all = &self.messages[n].options;
        let recorded = |o: &MessageVerdict| {
            matches!(
                o,
                MessageVerdict::Refused {
                    record: Some(_),
                    ..
                }
            )
        };
        let (any, certain) = (all.iter().any(recorded), all.iter().all(recorded));
        if let MessageKind::Done(_) = kind {
            let (taken, refused) = self.messages[n].may_be();
            self.ats.answer_is(serial, true, taken, refused);
            self.advance_commands();
        }
        let Some(a) = self.askers.get_mut(serial) else {
            return;
        };
        a.legal = legal;
        if a.recorded {
            return;
        }
        if any && !a.awaits_record {
            a.awaits_record = true;
            self.push_fault_of_asker(serial, certain);
        } else if any {
            self.fault_of_asker(serial, certain);
        }
    }

    pub(crate) fn on_page_request(&mut self, r: AtsPageRequest, mem: &SparseMemory) {
        self.in_reset = false;
        if !self.iommu.capabilities().has(Capabilities::ATS) {
            return;
        }
        self.counters.page_requests += 1;
        let request = page_request(&r);
        let asked = Request {
            process_id: r.process_id,
            ..Request::read(r.device_id, Iova(r.payload & !0xfff))
        };
        let serial = self.askers.insert(AskFor::Message, asked, self.now);
        self.messages.push(Message {
            asker: serial,
            kind: MessageKind::Page(request),
            options: Vec::new(),
        });
        let lost = self.pq.ring.may_lose_one();
        self.pq.jobs.push(Job {
            request,
            asker: serial,
            since: self.now,
            lost,
            failed: false,
        });
        self.hpm_begin(Maker::message(&asked));
        self.ask_asker(serial, mem);
        self.check_page_room();
        let pq = self.iommu.registers().pq;
        if self.pq.ring.control.on_hi
            && !self.reachable(pq.base_address(), 16u64 << pq.log2_entries())
        {
            self.page_queue_error(None);
        }
    }

    /// If the records that may come do not all fit, each of them may be lost.
    pub(crate) fn check_page_room(&mut self) {
        let pq = self.iommu.registers().pq;
        let before = self
            .before
            .as_ref()
            .map_or(pq.head, |b| b.registers().pq.head);
        let waiting = self.pq.jobs.len();
        if self
            .pq
            .ring
            .too_small(waiting, pq.index_mask(), [pq.head, before])
        {
            self.pq.may_lose(lost::FULL);
            self.pq.ring.overflow.may(self.now);
            self.update_levels();
        }
    }

    /// Storing a record failed; `job` is whose.
    fn page_queue_error(&mut self, job: Option<Job>) {
        let (now, settle) = (self.now, self.bounds.settle);
        self.pq.ring.memory_fault.must(now, settle);
        self.pq.may_lose(lost::STOPPED);
        if let Some(mut job) = job {
            job.failed = true;
            job.since = now;
            self.pq.jobs.push(job);
        }
        self.update_levels();
    }

    fn options(&self, job: &Job) -> &[MessageVerdict] {
        self.messages
            .iter()
            .find(|m| m.asker == job.asker)
            .map_or(&[], |m| &m.options)
    }

    /// Part of a page-request record, or several.
    pub(crate) fn page_record_write(&mut self, w: &MemWrite) -> WriteFor {
        let ring = page_ring(&self.iommu);
        let written = self.pq.ring.write(w, ring, self.now);
        for (index, why) in written.refused {
            self.fail(
                Check::PageRecord,
                why.text("page-request queue", "pq", ring.head),
                format!("AW {} for index {index:#x}", describe_axi(&w.axi)),
                String::new(),
            );
        }
        if let Some((index, next)) = written.out_of_turn {
            self.fail(
                Check::PageRecord,
                format!("a record at index {next:#x}"),
                format!("AW {}: index {index:#x}", describe_axi(&w.axi)),
                String::new(),
            );
            return WriteFor::Unknown;
        }
        while let Some((place, words)) = self.pq.ring.take_whole() {
            let job = self.compare_page_record(words);
            if let Some(slot) = self.pq.ring.slots.get_mut(place) {
                slot.of = job;
            }
        }
        written
            .first
            .map_or(WriteFor::Unknown, |first| WriteFor::Page {
                first,
                slots: written.slots,
                epoch: self.pq.ring.epoch,
            })
    }

    /// Takes the job whose record this is.
    fn compare_page_record(&mut self, words: [u64; 2]) -> Option<Job> {
        let be = self.iommu.registers().be;
        let seen = if be {
            words.map(u64::swap_bytes)
        } else {
            words
        };
        // Bits of a record that the specification reserves or leaves to custom use are zero in
        // the model, and in every block that follows it.
        let found = self.pq.jobs.iter().position(|j| {
            j.request.record() == seen && !j.failed && self.options(j).iter().any(|o| !o.refused())
        });
        if let Some(n) = found {
            let job = self.pq.jobs.remove(n);
            if self.options(&job).iter().any(MessageVerdict::refused) {
                self.drop_fault_of_asker(job.asker);
            }
            return Some(job);
        }
        let due: Vec<String> = self
            .pq
            .jobs
            .iter()
            .filter(|j| self.options(j).iter().any(|o| !o.refused()))
            .map(|j| format!("{:x?}", j.request.record()))
            .collect();
        let want = if due.is_empty() {
            "no record: no page request that may be queued is open".into()
        } else {
            due.join(" or ")
        };
        let story = self.page_story();
        self.fail(Check::PageRecord, want, format!("{seen:x?}"), story);
        None
    }

    fn page_story(&self) -> String {
        let lines: Vec<String> = self
            .pq
            .jobs
            .iter()
            .map(|j| {
                format!(
                    "{} {:x?}: {:x?}, lost {:#x}",
                    j.since,
                    j.request,
                    self.options(j),
                    j.lost
                )
            })
            .collect();
        lines.join("\n")
    }

    /// The answer to a write of page-request records.
    pub(crate) fn page_record_answered(&mut self, first: u64, slots: u32, fine: bool) {
        if !fine {
            // "pqmf ... The Page Request message that caused the error and all subsequent ones
            // are discarded": each is answered if it needs to be.
            let jobs = self.pq.ring.give_up();
            if jobs.is_empty() {
                self.page_queue_error(None);
            }
            for job in jobs {
                self.page_queue_error(Some(job));
            }
            return;
        }
        self.pq.ring.answered(first, slots);
        while let Some(slot) = self.pq.ring.next_visible(self.now) {
            if let Some(job) = slot.of {
                self.forget_message(job.asker);
            }
            self.counters.page_records += 1;
            if self.pq.ring.control.ie_hi {
                let sure = self.pq.ring.control.ie_lo;
                self.cause(PIP, sure);
            }
        }
    }

    fn forget_message(&mut self, asker: u64) {
        let found = self.messages.iter().find(|m| m.asker == asker);
        if let Some(m) = found.filter(|m| matches!(m.kind, MessageKind::Done(_))) {
            // Its record tells that it was refused, unless it can be that of another one.
            let mut others = self.messages.iter().filter(|o| o.asker != asker);
            let alone = !others.any(|o| match (&o.kind, &m.kind) {
                (MessageKind::Done(a), MessageKind::Done(b)) => a.device_id == b.device_id,
                _ => false,
            });
            let told = alone && self.askers.get(asker).is_some_and(|a| a.told);
            let (taken, refused) = m.may_be();
            self.ats.answer_is(asker, false, taken && !told, refused);
            self.advance_commands();
        }
        self.messages.retain(|m| m.asker != asker);
        if let Some(a) = self.askers.get_mut(asker) {
            a.open = false;
        }
        self.hpm_stir();
        self.askers.tidy();
    }

    // ---- responses

    /// The responses that a job may get where it stands.
    fn responses(&self, job: &Job) -> Vec<AtsMessage> {
        let mut all = Vec::new();
        for o in self.options(job) {
            match o {
                MessageVerdict::Refused { response, .. } => all.extend(*response),
                MessageVerdict::Taken {
                    overflow,
                    off,
                    fault,
                } => {
                    let stopped = job.lost & lost::STOPPED != 0;
                    if job.lost & lost::FULL != 0 || (stopped && self.pq.ring.overflow.hi) {
                        all.extend(*overflow);
                    }
                    if job.lost & lost::OFF != 0 {
                        all.extend(*off);
                    }
                    if job.failed || (stopped && self.pq.ring.memory_fault.hi) {
                        all.extend(*fault);
                    }
                }
            }
        }
        all
    }

    pub(crate) fn on_page_response(&mut self, r: AtsPageResponse) {
        let payload = u64::from(r.group) << 32 | u64::from(r.code) << 44;
        let fits = |m: &AtsMessage| {
            m.payload & 0xf1ff_0000_0000 == payload
                && m.process_id == r.process_id
                && same_target(m, r.device_id, r.segment_valid)
        };
        let position = |all: &[crate::on_ats::Owed]| {
            let its = |o: &crate::on_ats::Owed| !o.invalidation && fits(&o.message);
            all.iter().position(its)
        };
        let job =
            (0..self.pq.jobs.len()).find(|&n| self.responses(&self.pq.jobs[n]).iter().any(fits));
        let mut owed = position(&self.ats.owed);
        if owed.is_none() && job.is_none() && self.fence_was_complete() {
            owed = position(&self.ats.owed);
        }
        if let Some(n) = owed {
            self.ats.owed.remove(n);
            self.cq.progress = self.now;
            return;
        }
        if let Some(n) = job {
            let job = self.pq.jobs.remove(n);
            self.settle_page(&job);
            self.forget_message(job.asker);
            return;
        }
        let due: Vec<String> = self
            .pq
            .jobs
            .iter()
            .flat_map(|j| self.responses(j))
            .chain(
                self.ats
                    .owed
                    .iter()
                    .filter(|o| !o.invalidation)
                    .map(|o| o.message),
            )
            .map(|m| format!("{m:x?}"))
            .collect();
        let want = if due.is_empty() {
            "no response: no ATS.PRGR and no discarded page request asks for it".into()
        } else {
            due.join(" or ")
        };
        let story = self.page_story();
        self.fail(Check::PageResponse, want, format!("{r:x?}"), story);
    }

    /// A page request was discarded for sure: what follows for the queue's bits.
    fn settle_page(&mut self, job: &Job) {
        let taken = self.options(job).iter().all(|o| !o.refused());
        let full = job.lost == lost::FULL && !job.failed;
        if taken && full && self.pq.ring.overflow_cleared <= job.since {
            let (now, settle) = (self.now, self.bounds.settle);
            self.pq.ring.overflow.must(now, settle);
            self.update_levels();
        }
        self.pq.ring.overflow_used |= job.lost & lost::FULL != 0;
    }

    /// Clocks that the look-up of a message which came then may wait for the walks of others. Walks
    /// wait in one place, which all ports share and which takes them by turns: a look-up waits for
    /// those that were there when it came, and as they end, at most as many that come later may have
    /// their turn before it. There are never more than have been open at once since then, and each
    /// ends within the time of a request that waits for nobody.
    pub(crate) fn walks_limit(&self, since: u64) -> u64 {
        let asked = u64::from(self.askers.most_open(since)) * self.bounds.other * 2;
        self.bounds.drain(&self.dev, since) + asked
    }

    /// Page requests whose record or response does not come.
    pub(crate) fn check_pages(&mut self, all: bool) {
        if self.ats.stopped && !all {
            return;
        }
        let (now, since) = (self.now, self.bounds.since);
        let settled = self.moved.max(since) + self.bounds.quiet < now
            && self.mem.open == 0
            && self.mem.filling.is_empty();
        let limit = if settled {
            self.bounds.quiet
        } else {
            self.bounds.record + self.pq.jobs.len() as u64 * self.bounds.record / 4
        };
        let late = |of: &Self, at: u64| {
            let walks = if settled { 0 } else { of.walks_limit(at) };
            all || at.max(since) + limit + walks < now
        };
        while let Some(n) = self.pq.jobs.iter().position(|j| late(self, j.since)) {
            let job = self.pq.jobs.remove(n);
            let taken = self.options(&job).iter().all(|o| !o.refused());
            let responses = self.responses(&job);
            let story = format!("{:x?}: {:x?}", job.request, self.options(&job));
            // A response is due whatever the reason, if each option that remains asks for one.
            let due = job.request.last() && !job.request.is_stop_marker() && !responses.is_empty();
            if taken && job.lost == 0 && !job.failed {
                self.fail(
                    Check::PageRecord,
                    format!("a record {:x?}", job.request.record()),
                    "none, and the queue is on and has room",
                    story,
                );
            } else if due {
                self.fail(
                    Check::PageResponse,
                    format!("{responses:x?}"),
                    "no response",
                    story,
                );
            } else {
                self.settle_page(&job);
            }
            self.forget_message(job.asker);
        }
        // Completions, and messages without a job: their look-up is over.
        let old: Vec<u64> = self
            .messages
            .iter()
            .filter(|m| !self.pq.jobs.iter().any(|j| j.asker == m.asker))
            .filter(|m| {
                let asker = self.askers.get(m.asker);
                asker.is_none_or(|a| late(self, a.since))
            })
            .map(|m| m.asker)
            .filter(|&a| {
                !self
                    .pq
                    .ring
                    .slots
                    .iter()
                    .any(|s| s.of.as_ref().is_some_and(|j| j.asker == a))
            })
            .collect();
        for asker in old {
            self.forget_message(asker);
        }
    }

    /// Nothing is left to come for page requests.
    pub(crate) fn pages_idle(&self) -> bool {
        self.pq.ring.slots.is_empty()
            && self.pq.jobs.iter().all(|j| {
                let refused = self.options(j).iter().any(MessageVerdict::refused);
                let answer = j.request.last() && !j.request.is_stop_marker();
                (refused || j.lost != 0 || j.failed) && (!answer || self.responses(j).is_empty())
            })
    }

    // ---- registers

    pub(crate) fn begin_page_csr(&mut self, value: u32) {
        let now = self.now;
        self.pq.ring.begin_csr(value, now);
        if !self.pq.ring.control.on_lo {
            self.pq.may_lose(lost::OFF);
        }
        self.enable_interrupt(PIP, value & 2 != 0, self.pq.ring.last_record);
        self.update_levels();
        self.check_page_room();
    }

    pub(crate) fn end_page_csr(&mut self, value: u32) {
        let (now, settle) = (self.now, self.bounds.settle);
        let waiting = self.pq.has_waiting();
        self.pq.ring.end_csr(value, waiting, now, settle);
        self.update_levels();
    }

    pub(crate) fn read_page_csr(&mut self, value: u32, asked: u64) {
        if !self.iommu.capabilities().has(Capabilities::ATS) {
            if value != 0 {
                self.fail(
                    Check::PageStatus,
                    "pqcsr 0: no ATS",
                    format!("{value:#010x}"),
                    String::new(),
                );
            }
            return;
        }
        self.read_control(crate::on_reg::Which::Page, value, asked);
        let wrong = self.pq.ring.read_csr(value, "pq", asked);
        self.update_levels();
        if !wrong.is_empty() {
            let story = self.page_story();
            self.fail(
                Check::PageStatus,
                format!("pqcsr {}", wrong.join(", ")),
                format!("{value:#010x}"),
                story,
            );
        }
    }

    pub(crate) fn read_page_tail(&mut self, value: u32, asked: u64) {
        if !self.pq.ring.started {
            if value != 0 && self.cfg.reset_zero {
                self.fail(
                    Check::ResetValue,
                    "pqt 0",
                    format!("{value:#x}"),
                    String::new(),
                );
            }
            return;
        }
        let pq = self.iommu.registers().pq;
        let (mask, settle) = (pq.index_mask(), self.bounds.settle);
        if let Err((lo, hi)) = self.pq.ring.read_tail(value, mask, asked, settle) {
            self.fail(
                Check::PageTail,
                format!("pqt in {lo:#x}..={hi:#x}"),
                format!("{value:#x}"),
                format!("records being written: {}", self.pq.ring.slots.len()),
            );
        }
    }
}
