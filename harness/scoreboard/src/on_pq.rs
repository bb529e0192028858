//! Messages from devices: page requests, their queue and their responses.

use std::collections::VecDeque;

use iommu_bus::ats::{AtsInvalidationDone, AtsPageRequest, AtsPageResponse};
use iommu_bus::mem::SparseMemory;
use iommu_golden::ats::{PageRequest, PageRequestStep};
use iommu_golden::command::AtsMessage;
use iommu_golden::{Capabilities, FaultRecord, Iommu, Iova, Request, WalkEvent};

use crate::askers::AskFor;
use crate::irq::PIP;
use crate::on_ats::{Plain, add_loads, same_target};
use crate::oracle::{Legal, Verdict};
use crate::ports::{MemWrite, WriteFor, beat_address};
use crate::queues::{Control, Index, lost};
use crate::sticky::Sticky;
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

/// A page request that is not settled.
#[derive(Debug)]
struct Job {
    request: PageRequest,
    /// Its place in the list of messages.
    asker: u64,
    since: u64,
    /// Why its record may be lost: bits of [`lost`].
    lost: u8,
    /// Storing its record failed.
    failed: bool,
}

/// A record being written.
#[derive(Debug)]
struct Slot {
    words: [u64; 2],
    mask: u16,
    bursts: u32,
    /// The job that it was, once compared.
    job: Option<Job>,
    compared: bool,
}

/// The page-request queue.
#[derive(Debug, Default)]
pub(crate) struct PageQueue {
    pub(crate) control: Control,
    pub(crate) tail: Index,
    slots: VecDeque<Slot>,
    pub(crate) memory_fault: Sticky,
    pub(crate) overflow: Sticky,
    jobs: Vec<Job>,
    /// Page requests may have been lost to a full queue since `pqof` was last cleared.
    overflow_used: bool,
    overflow_cleared: u64,
    pub(crate) epoch: u32,
    pub(crate) started: bool,
    last_record: Option<u64>,
}

impl PageQueue {
    fn may_lose(&mut self, why: u8) {
        for j in &mut self.jobs {
            j.lost |= why;
        }
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

/// What the model says about a message with these registers.
fn message_verdict(
    iommu: &Iommu,
    mem: &SparseMemory,
    kind: &MessageKind,
    out: &mut Legal,
) -> MessageVerdict {
    let mut obs = |e: &WalkEvent<'_>| add_loads(iommu, e, out);
    let mut mem = Plain(mem);
    match kind {
        MessageKind::Done(d) => {
            let mut model = iommu.clone();
            match model.invalidation_completion(&mut mem, &mut obs, d.device_id, d.itags, d.count) {
                Ok(()) => MessageVerdict::Taken {
                    overflow: None,
                    off: None,
                    fault: None,
                },
                Err(record) => MessageVerdict::Refused {
                    record,
                    response: None,
                },
            }
        }
        MessageKind::Page(r) => {
            // An empty queue that works tells what the context says; one in trouble, the answers.
            let mut with = |on: bool, overflow: bool, fault: bool| {
                let mut model = iommu.clone();
                let q = &mut model.registers_mut().pq;
                (q.on, q.overflow, q.memory_fault) = (on, overflow, fault);
                (q.head, q.tail) = (0, 0);
                match model.page_request(&mut mem, &mut obs, r, 0) {
                    PageRequestStep::Queue(_) => None,
                    PageRequestStep::Discarded { response, record } => {
                        Some((response.map(|r| r.1), record))
                    }
                }
            };
            match with(true, false, false) {
                Some((response, record)) => MessageVerdict::Refused { record, response },
                None => MessageVerdict::Taken {
                    overflow: with(true, true, false).and_then(|d| d.0),
                    off: with(false, false, false).and_then(|d| d.0),
                    fault: with(true, false, true).and_then(|d| d.0),
                },
            }
        }
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
        let mut options = vec![message_verdict(&self.iommu, mem, &kind, &mut legal)];
        let since = self.askers.get(serial).map_or(0, |a| a.since);
        for old in &self.past {
            if old.until.is_none_or(|u| u >= since) {
                options.push(message_verdict(&old.iommu, mem, &kind, &mut legal));
            }
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
        let Some(a) = self.askers.get_mut(serial) else {
            return;
        };
        a.legal = legal;
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
        let mut why = 0;
        if !self.pq.control.on_lo {
            why |= lost::OFF;
        }
        if self.pq.overflow.hi || self.pq.memory_fault.hi {
            why |= lost::STOPPED;
        }
        self.pq.jobs.push(Job {
            request,
            asker: serial,
            since: self.now,
            lost: why,
            failed: false,
        });
        self.ask_asker(serial, mem);
        self.check_page_room();
        let pq = self.iommu.registers().pq;
        if self.pq.control.on_hi && !self.reachable(pq.base_address(), 16u64 << pq.log2_entries()) {
            self.page_queue_error(None);
        }
    }

    /// If the records that may come do not all fit, each of them may be lost.
    pub(crate) fn check_page_room(&mut self) {
        let pq = self.iommu.registers().pq;
        let mask = pq.index_mask();
        let tail = self.pq.tail.hi as u32;
        let used = tail.wrapping_sub(pq.head) & mask;
        let before = self
            .before
            .as_ref()
            .map_or(used, |b| tail.wrapping_sub(b.registers().pq.head) & mask);
        let wanted =
            u64::from(used.max(before)) + self.pq.slots.len() as u64 + self.pq.jobs.len() as u64;
        if wanted > u64::from(mask) && self.pq.control.on_hi && !self.pq.jobs.is_empty() {
            self.pq.may_lose(lost::FULL);
            self.pq.overflow.may(self.now);
            self.update_levels();
        }
    }

    /// Storing a record failed; `job` is whose.
    fn page_queue_error(&mut self, job: Option<Job>) {
        let (now, settle) = (self.now, self.bounds.settle);
        self.pq.memory_fault.must(now, settle);
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
        let pq = self.iommu.registers().pq;
        let (base, mask) = (pq.base_address(), pq.index_mask());
        let mut first = None;
        let mut touched = 0u32;
        let mut previous = None;
        for (n, beat) in w.beats.iter().enumerate() {
            let lane = beat_address(&w.axi, n) & !7;
            let Some(offset) = lane.checked_sub(base) else {
                continue;
            };
            let index = (offset / 16) as u32 & mask;
            let place = u64::from(index.wrapping_sub(self.pq.tail.hi as u32) & mask);
            let next = self.pq.slots.len() as u64;
            if place > next {
                let at = (self.pq.tail.hi + next) & u64::from(mask);
                self.fail(
                    Check::PageRecord,
                    format!("a record at index {at:#x}"),
                    format!("AW {}: index {index:#x}", describe_axi(&w.axi)),
                    String::new(),
                );
                return WriteFor::Unknown;
            }
            if place == next {
                self.open_page_slot(index, mask, w);
            }
            let Some(slot) = self.pq.slots.get_mut(place as usize) else {
                continue;
            };
            if previous != Some(place) {
                previous = Some(place);
                touched += 1;
                slot.bursts += 1;
                first = first.or(Some(self.pq.tail.hi + place));
            }
            let word = (offset / 8 % 2) as usize;
            for lane in (0..8).filter(|l| beat.strb >> l & 1 == 1) {
                let bits = 0xff << (8 * lane);
                slot.words[word] = (slot.words[word] & !bits) | (beat.data & bits);
                slot.mask |= 1 << (8 * word + lane);
            }
        }
        for place in 0..self.pq.slots.len() {
            let slot = &mut self.pq.slots[place];
            if slot.mask == u16::MAX && !slot.compared {
                slot.compared = true;
                let words = slot.words;
                let job = self.compare_page_record(words);
                if let Some(slot) = self.pq.slots.get_mut(place) {
                    slot.job = job;
                }
            }
        }
        match first {
            Some(first) => WriteFor::Page {
                first,
                slots: touched,
                epoch: self.pq.epoch,
            },
            None => WriteFor::Unknown,
        }
    }

    fn open_page_slot(&mut self, index: u32, mask: u32, w: &MemWrite) {
        self.pq.overflow.tick(self.now);
        self.pq.memory_fault.tick(self.now);
        let head = self.iommu.registers().pq.head;
        let why = if !self.pq.control.on_hi {
            Some("the page-request queue is off")
        } else if self.pq.overflow.lo {
            Some("pqof is 1")
        } else if self.pq.memory_fault.lo {
            Some("pqmf is 1")
        } else if index.wrapping_add(1) & mask == head {
            Some("the queue is full")
        } else {
            None
        };
        if let Some(why) = why {
            self.fail(
                Check::PageRecord,
                format!("no record: {why}"),
                format!("AW {} for index {index:#x}", describe_axi(&w.axi)),
                String::new(),
            );
        }
        self.pq.control.on_lo |= self.pq.control.enable && self.pq.control.on_hi;
        self.pq.slots.push_back(Slot {
            words: [0; 2],
            mask: 0,
            bursts: 0,
            job: None,
            compared: false,
        });
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
            self.pq.epoch += 1;
            let jobs: Vec<Job> = self.pq.slots.drain(..).filter_map(|s| s.job).collect();
            if jobs.is_empty() {
                self.page_queue_error(None);
            }
            for job in jobs {
                self.page_queue_error(Some(job));
            }
            return;
        }
        for count in first..first + u64::from(slots) {
            if let Some(n) = count.checked_sub(self.pq.tail.hi)
                && let Some(slot) = self.pq.slots.get_mut(n as usize)
            {
                slot.bursts = slot.bursts.saturating_sub(1);
            }
        }
        while self
            .pq
            .slots
            .front()
            .is_some_and(|s| s.bursts == 0 && s.compared)
        {
            let slot = self.pq.slots.pop_front();
            if let Some(job) = slot.and_then(|s| s.job) {
                self.forget_message(job.asker);
            }
            self.pq.tail.advance(self.now);
            self.pq.last_record = Some(self.now);
            self.counters.page_records += 1;
            if self.pq.control.ie_hi {
                let sure = self.pq.control.ie_lo;
                self.cause(PIP, sure);
            }
        }
    }

    fn forget_message(&mut self, asker: u64) {
        self.messages.retain(|m| m.asker != asker);
        if let Some(a) = self.askers.get_mut(asker) {
            a.open = false;
        }
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
                    if job.lost & lost::FULL != 0 || (stopped && self.pq.overflow.hi) {
                        all.extend(*overflow);
                    }
                    if job.lost & lost::OFF != 0 {
                        all.extend(*off);
                    }
                    if job.failed || (stopped && self.pq.memory_fault.hi) {
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
        if let Some(n) = self
            .ats
            .owed
            .iter()
            .position(|o| !o.invalidation && fits(&o.message))
        {
            self.ats.owed.remove(n);
            self.cq.progress = self.now;
            return;
        }
        if let Some(n) =
            (0..self.pq.jobs.len()).find(|&n| self.responses(&self.pq.jobs[n]).iter().any(fits))
        {
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
        if taken && job.lost == lost::FULL && self.pq.overflow_cleared <= job.since {
            let (now, settle) = (self.now, self.bounds.settle);
            self.pq.overflow.must(now, settle);
            self.update_levels();
        }
        self.pq.overflow_used |= job.lost & lost::FULL != 0;
    }

    /// Page requests whose record or response does not come.
    pub(crate) fn check_pages(&mut self, all: bool) {
        if self.ats.stopped && !all {
            return;
        }
        let limit = self.bounds.record + self.pq.jobs.len() as u64 * self.bounds.record / 4;
        let (now, since) = (self.now, self.bounds.since);
        while let Some(n) = self
            .pq
            .jobs
            .iter()
            .position(|j| all || j.since.max(since) + limit < now)
        {
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
            .map(|m| m.asker)
            .filter(|&a| {
                self.askers
                    .get(a)
                    .is_none_or(|a| all || a.since.max(since) + limit < now)
            })
            .filter(|&a| {
                !self
                    .pq
                    .slots
                    .iter()
                    .any(|s| s.job.as_ref().is_some_and(|j| j.asker == a))
            })
            .collect();
        for asker in old {
            self.forget_message(asker);
        }
    }

    /// Nothing is left to come for page requests.
    pub(crate) fn pages_idle(&self) -> bool {
        self.pq.slots.is_empty()
            && self.pq.jobs.iter().all(|j| {
                let refused = self.options(j).iter().any(MessageVerdict::refused);
                let answer = j.request.last() && !j.request.is_stop_marker();
                (refused || j.lost != 0 || j.failed) && (!answer || self.responses(j).is_empty())
            })
    }

    // ---- registers

    pub(crate) fn begin_page_csr(&mut self, value: u32) {
        let now = self.now;
        let (enable, ie) = (value & 1 != 0, value & 2 != 0);
        let starts = enable && !self.pq.control.enable;
        self.pq.control.begin(enable, ie, now);
        if starts {
            // "Changing pqen from 0 to 1 sets the pqt register and the pqcsr bits pqmf and pqof
            // to 0."
            self.pq.tail.reset();
            self.pq.memory_fault.clear();
            self.pq.overflow.clear();
            self.pq.slots.clear();
            self.pq.epoch += 1;
            self.pq.started = true;
        }
        if !self.pq.control.on_lo {
            self.pq.may_lose(lost::OFF);
        }
        if value & 1 << 8 != 0 {
            self.pq.memory_fault.begin_clear(now);
        }
        if value & 1 << 9 != 0 {
            self.pq.overflow.begin_clear(now);
            self.pq.overflow_cleared = now;
        }
        if !ie {
            self.irq.disabled(PIP);
        } else if self
            .pq
            .last_record
            .is_some_and(|at| at + self.bounds.settle >= now)
        {
            self.cause(PIP, false);
        }
        self.update_levels();
        self.check_page_room();
    }

    pub(crate) fn end_page_csr(&mut self, value: u32) {
        let (now, settle) = (self.now, self.bounds.settle);
        self.pq.control.end(value & 2 != 0, now);
        self.pq.memory_fault.end_clear(settle);
        self.pq.overflow.end_clear(settle);
        if self.pq.jobs.iter().any(|j| j.lost & lost::FULL != 0) {
            self.pq.overflow.may(now);
        } else if !self.pq.overflow.hi {
            self.pq.overflow_used = false;
        }
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
        let mut wrong = Vec::new();
        for (n, name, bit) in [
            (8, "pqmf", &mut self.pq.memory_fault),
            (9, "pqof", &mut self.pq.overflow),
        ] {
            crate::on_reg::check_bit(value >> n & 1 != 0, name, bit, asked, &mut wrong);
        }
        let zero = value & !(0xf000_0000 | 0x3_0303);
        if zero != 0 {
            wrong.push(format!("bits {zero:#x} zero"));
        }
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
        if !self.pq.started {
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
        let lo = self.pq.tail.sure(asked, self.bounds.settle);
        let mask = pq.index_mask();
        let count = self.pq.tail.count_of(value, mask);
        if value > mask || count > self.pq.tail.hi {
            let (lo, hi) = (lo & u64::from(mask), self.pq.tail.hi & u64::from(mask));
            self.fail(
                Check::PageTail,
                format!("pqt in {lo:#x}..={hi:#x}"),
                format!("{value:#x}"),
                format!("records being written: {}", self.pq.slots.len()),
            );
        } else {
            self.pq.tail.lo = count;
        }
    }
}
