//! The ATS channels: what devices send, what they get, and how they answer invalidations.

use std::collections::VecDeque;

use iommu_bus::ats::{
    AtsInvalidation, AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRange, AtsRequest,
};
use iommu_bus::event::Event;
use iommu_sim::{PinsIn, PinsOut};

use crate::context::Clock;
use crate::pins;
use crate::protocol::{Channel, Hold, Port, Rule};

/// How the ATS agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtsConfig {
    /// The test uses ATS: invalidations and page request responses may come.
    pub in_use: bool,
    /// Nothing that the block sends is taken.
    pub stopped: bool,
    /// Devices answer invalidations by themselves; else only what the test submits is sent.
    pub answers: bool,
    /// Clocks from an invalidation request to its first completion.
    pub answer_delay: u32,
    /// Completions that make up an answer, 1 to 8.
    pub answer_count: u8,
    /// Chance that a device is ready in a clock.
    pub ready_percent: u8,
}

impl Default for AtsConfig {
    fn default() -> Self {
        Self {
            in_use: false,
            stopped: false,
            answers: true,
            answer_delay: 8,
            answer_count: 1,
            ready_percent: 100,
        }
    }
}

/// A translation completion, all its ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtsCompletion {
    /// What was asked.
    pub request: AtsRequest,
    /// The ranges, in order.
    pub ranges: Vec<AtsRange>,
    /// Clock of the last one.
    pub done: u64,
}

/// A request that waits for its completion.
#[derive(Debug)]
struct Open {
    request: AtsRequest,
    ranges: Vec<AtsRange>,
}

/// Messages from devices on one channel: a beat stays until it is taken.
#[derive(Debug)]
struct Sender<T> {
    queue: VecDeque<T>,
    valid: bool,
}

impl<T> Default for Sender<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            valid: false,
        }
    }
}

impl<T: Copy> Sender<T> {
    /// What to drive.
    fn offer(&mut self, quiet: bool) -> Option<T> {
        self.valid = !quiet && !self.queue.is_empty();
        self.queue.front().copied().filter(|_| self.valid)
    }

    fn taken(&mut self, ready: bool) -> Option<T> {
        if self.valid && ready {
            self.queue.pop_front()
        } else {
            None
        }
    }
}

/// The agent of the ATS channels.
#[derive(Debug)]
pub(crate) struct AtsAgent {
    pub(crate) config: AtsConfig,
    /// Requests whose tag may be in use still.
    waiting: VecDeque<AtsRequest>,
    requests: Sender<AtsRequest>,
    pages: Sender<AtsPageRequest>,
    answers: Sender<AtsInvalidationDone>,
    /// Answers to be sent from these clocks on.
    due: VecDeque<(u64, AtsInvalidationDone)>,
    ready: bool,
    open: Vec<Open>,
    completions: VecDeque<AtsCompletion>,
    invalidations: VecDeque<AtsInvalidation>,
    responses: VecDeque<AtsPageResponse>,
    hold_tc: Hold<[u32; 3]>,
    hold_inv: Hold<[u32; 4]>,
    hold_prgr: Hold<u64>,
    stream: crate::rng::Stream,
}

impl AtsAgent {
    pub(crate) fn new(seed: u64, config: AtsConfig) -> Self {
        Self {
            config,
            waiting: VecDeque::new(),
            requests: Sender::default(),
            pages: Sender::default(),
            answers: Sender::default(),
            due: VecDeque::new(),
            ready: false,
            open: Vec::new(),
            completions: VecDeque::new(),
            invalidations: VecDeque::new(),
            responses: VecDeque::new(),
            hold_tc: Hold::default(),
            hold_inv: Hold::default(),
            hold_prgr: Hold::default(),
            stream: crate::rng::Stream::new(seed, "ats.ready"),
        }
    }

    pub(crate) fn submit(&mut self, request: &AtsRequest) {
        self.waiting.push_back(*request);
    }

    pub(crate) fn submit_page(&mut self, request: &AtsPageRequest) {
        self.pages.queue.push_back(*request);
    }

    pub(crate) fn submit_done(&mut self, done: &AtsInvalidationDone) {
        self.answers.queue.push_back(*done);
    }

    pub(crate) fn take_completion(&mut self) -> Option<AtsCompletion> {
        self.completions.pop_front()
    }

    pub(crate) fn take_invalidation(&mut self) -> Option<AtsInvalidation> {
        self.invalidations.pop_front()
    }

    pub(crate) fn take_response(&mut self) -> Option<AtsPageResponse> {
        self.responses.pop_front()
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.waiting.len()
            + self.requests.queue.len()
            + self.open.len()
            + self.pages.queue.len()
            + self.answers.queue.len()
            + self.due.len()
    }

    pub(crate) fn prepare(&mut self, ck: &Clock<'_>, pins: &mut PinsIn) {
        if ck.reset {
            self.waiting.clear();
            self.requests.queue.clear();
            self.pages.queue.clear();
            self.answers.queue.clear();
            self.due.clear();
            self.open.clear();
            self.hold_tc.clear();
            self.hold_inv.clear();
            self.hold_prgr.clear();
        }
        while let Some(r) = self.waiting.front() {
            let used = self.open.iter().any(|o| o.request.tag == r.tag)
                || self.requests.queue.iter().any(|q| q.tag == r.tag);
            if used {
                break;
            }
            self.requests.queue.extend(self.waiting.pop_front());
        }
        while self.due.front().is_some_and(|d| d.0 <= ck.cycle) {
            self.answers.queue.extend(self.due.pop_front().map(|d| d.1));
        }
        let request = self.requests.offer(ck.quiet);
        pins::drive_ats_tr(pins, request.map(|r| r.pack()));
        let page = self.pages.offer(ck.quiet);
        pins::drive_ats_pr(pins, page.map(|p| p.pack()));
        let answer = self.answers.offer(ck.quiet);
        pins::drive_ats_ic(pins, answer.map(|a| a.pack()));
        self.ready = !ck.reset
            && !self.config.stopped
            && (self.config.ready_percent >= 100 || self.stream.chance(self.config.ready_percent));
        pins.m_ats_tc_ready = self.ready.into();
        pins.m_ats_inv_ready = self.ready.into();
        pins.m_ats_prgr_ready = self.ready.into();
    }

    pub(crate) fn observe(&mut self, ck: &mut Clock<'_>, o: &PinsOut) {
        let tc = (o.m_ats_tc_valid != 0).then_some(o.m_ats_tc_data);
        let inv = (o.m_ats_inv_valid != 0).then_some(o.m_ats_inv_data);
        let prgr = (o.m_ats_prgr_valid != 0).then_some(o.m_ats_prgr_data);
        ck.check_quiet(Port::Ats, Channel::Completion, tc.is_some());
        ck.check_quiet(Port::Ats, Channel::Invalidation, inv.is_some());
        ck.check_quiet(Port::Ats, Channel::PrgResponse, prgr.is_some());
        if ck.reset {
            return;
        }
        if let Some(request) = self.requests.taken(o.s_ats_tr_ready != 0) {
            ck.event(Event::AtsRequest(request.pack()));
            self.open.push(Open {
                request,
                ranges: Vec::new(),
            });
        }
        if let Some(page) = self.pages.taken(o.s_ats_pr_ready != 0) {
            ck.event(Event::AtsPageRequest(page.pack()));
        }
        if let Some(answer) = self.answers.taken(o.s_ats_ic_ready != 0) {
            ck.event(Event::AtsInvalidationDone(answer.pack()));
        }
        let (taken, rule) = self.hold_tc.check(tc, self.ready);
        if let Some(rule) = rule {
            ck.violation(Port::Ats, Channel::Completion, rule, || {
                format!("now {tc:x?}")
            });
        }
        if let Some(words) = taken {
            ck.event(Event::AtsCompletion(words));
            self.complete(ck, AtsRange::unpack(&words));
        }
        let (taken, rule) = self.hold_inv.check(inv, self.ready);
        self.unasked(ck, Channel::Invalidation, rule, taken.is_some());
        if let Some(words) = taken {
            ck.event(Event::AtsInvalidation(words));
            self.invalidate(ck.cycle, AtsInvalidation::unpack(&words));
        }
        let (taken, rule) = self.hold_prgr.check(prgr, self.ready);
        self.unasked(ck, Channel::PrgResponse, rule, taken.is_some());
        if let Some(word) = taken {
            ck.event(Event::AtsPrgResponse(word));
            self.responses.push_back(AtsPageResponse::unpack(word));
        }
    }

    fn complete(&mut self, ck: &mut Clock<'_>, range: AtsRange) {
        let tag = range.tag;
        let Some(n) = self.open.iter().position(|o| o.request.tag == tag) else {
            ck.violation(Port::Ats, Channel::Completion, Rule::AtsUnexpected, || {
                format!("completion of tag {tag:#x}, which is not outstanding")
            });
            return;
        };
        self.open[n].ranges.push(range);
        if range.last {
            let open = self.open.remove(n);
            self.completions.push_back(AtsCompletion {
                request: open.request,
                ranges: open.ranges,
                done: ck.cycle,
            });
        }
    }

    fn invalidate(&mut self, cycle: u64, message: AtsInvalidation) {
        self.invalidations.push_back(message);
        if !self.config.answers {
            return;
        }
        // Without a segment, the only one there is.
        let segment = if message.segment_valid {
            0xff_ffff
        } else {
            0xffff
        };
        let count = self.config.answer_count.clamp(1, 8);
        for n in 0..u64::from(count) {
            self.due.push_back((
                cycle + u64::from(self.config.answer_delay) + n,
                AtsInvalidationDone {
                    device_id: message.device_id & segment,
                    itags: 1 << message.itag,
                    count: count & 7,
                },
            ));
        }
    }

    fn unasked(&self, ck: &mut Clock<'_>, channel: Channel, rule: Option<Rule>, taken: bool) {
        if let Some(rule) = rule {
            ck.violation(Port::Ats, channel, rule, || {
                "message changed while it waited".into()
            });
        }
        if taken && !self.config.in_use {
            ck.violation(Port::Ats, channel, Rule::AtsUnexpected, || {
                "message in a test that does not use ATS".into()
            });
        }
    }
}
