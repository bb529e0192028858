//! ATS channels, page requests, interrupt files in memory.

use std::collections::VecDeque;

use iommu_golden::ats::{AtsOut, PageRequest, PageRequestStep};
use iommu_golden::command::AtsMessage;
use iommu_golden::mrif::MrifUpdate;
use iommu_golden::{
    Access, AtsCompletion, AtsStatus, Capabilities, Iova, Label, MemError, Push, Queue, Request,
    RequestKind,
};
use iommu_sim::{PinsIn, PinsOut};

use crate::bug::Bug;
use crate::job::{Jobs, What};
use crate::port::{ReadFor, Write, WriteFor, user};
use crate::state::State;

/// Id of the reads of interrupt files.
const MRIF: u8 = 20;
/// Requests that are taken in before the first has ended.
const DEPTH: usize = 16;

/// An update of an interrupt file that is owed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) job: usize,
    pub(crate) serial: u64,
    pub(crate) update: MrifUpdate,
    pub(crate) user: u32,
}

/// What goes out and comes in beside the buses.
#[derive(Debug, Default)]
pub(crate) struct Ats {
    completions: VecDeque<[u32; 3]>,
    invalidations: VecDeque<[u32; 4]>,
    responses: VecDeque<u64>,
    /// Page requests, oldest first; the first is being looked at, or its record written.
    pages: VecDeque<PageRequest>,
    page: Option<usize>,
    writing: Option<PageRequest>,
    /// Updates of interrupt files, one at a time; the first is under way if so.
    pub(crate) updates: VecDeque<Update>,
    pub(crate) updating: bool,
    /// A time-out may have been noted since the last fence.
    pub(crate) may_time_out: bool,
}

/// `width` bits from bit `low` on.
fn field(words: &[u32], low: usize, width: usize) -> u64 {
    (0..width).fold(0, |v, n| {
        let bit = low + n;
        let word = words.get(bit / 32).copied().unwrap_or(0);
        v | u64::from(word >> (bit % 32) & 1) << n
    })
}

/// Puts `width` bits at bit `low`.
fn put(words: &mut [u32], low: usize, width: usize, value: u64) {
    for n in 0..width {
        let bit = low + n;
        if let Some(word) = words.get_mut(bit / 32) {
            *word |= ((value >> n & 1) as u32) << (bit % 32);
        }
    }
}

impl Ats {
    /// Whether a translation is under way.
    pub(crate) fn translating(&self, jobs: &Jobs) -> bool {
        jobs.iter().any(|(_, j)| matches!(j.what, What::Ats { .. }))
    }

    /// Completions that have not left.
    pub(crate) fn completions_left(&self) -> bool {
        !self.completions.is_empty()
    }

    /// A translation request is answered: one range.
    pub(crate) fn complete(&mut self, tag: u16, _length: u8, request: &Request, c: &AtsCompletion) {
        let mut beat = [0; 3];
        let b = u64::from;
        let p = c.permissions;
        let granted = c.status == AtsStatus::Success && p.read;
        // "S": the range is larger than a page, its size in the low bits of the address.
        let mut page = c.address >> 12;
        let size = if granted {
            c.range_log2.clamp(12, 63)
        } else {
            12
        };
        if size > 12 {
            let bits = size - 12;
            page = page >> bits << bits | ((1 << (bits - 1)) - 1);
        }
        if !granted {
            page = 0;
        }
        put(&mut beat, 0, 3, c.ama.into());
        put(&mut beat, 3, 1, b(c.cxl_io.unwrap_or(false)));
        put(&mut beat, 4, 1, b(c.privileged));
        put(&mut beat, 5, 1, b(c.global));
        put(&mut beat, 6, 1, b(c.no_snoop));
        put(&mut beat, 7, 1, b(c.untranslated_only));
        let execute = p.execute && (request.execute_requested || request.access == Access::Execute);
        put(&mut beat, 8, 1, b(execute));
        put(&mut beat, 9, 1, b(p.write));
        put(&mut beat, 10, 1, b(p.read));
        put(&mut beat, 11, 1, b(size > 12));
        put(&mut beat, 12, 52, page);
        put(&mut beat, 64, 1, 1);
        let status = match c.status {
            AtsStatus::Success => 0,
            AtsStatus::UnsupportedRequest => 1,
            AtsStatus::CompleterAbort => 4,
        };
        put(&mut beat, 65, 3, status);
        put(&mut beat, 68, 10, tag.into());
        self.completions.push_back(beat);
    }

    /// Messages that commands and page requests made.
    pub(crate) fn messages(&mut self, all: Vec<AtsOut>) {
        for message in all {
            match message {
                AtsOut::Invalidation { itag, message: m } => {
                    let mut beat = [0; 4];
                    put(&mut beat, 0, 64, m.payload);
                    put(&mut beat, 64, 20, m.process_id.unwrap_or(0).into());
                    put(&mut beat, 84, 1, m.process_id.is_some().into());
                    put(&mut beat, 85, 1, m.segment.is_some().into());
                    let device = u64::from(m.segment.unwrap_or(0)) << 16 | u64::from(m.rid);
                    put(&mut beat, 86, 24, device);
                    put(&mut beat, 110, 5, itag.into());
                    self.invalidations.push_back(beat);
                }
                AtsOut::PageResponse(m) => self.respond(&m),
            }
        }
    }

    fn respond(&mut self, m: &AtsMessage) {
        let mut beat = [0; 2];
        put(&mut beat, 0, 4, m.payload >> 44 & 0xf);
        put(&mut beat, 4, 9, m.payload >> 32 & 0x1ff);
        put(&mut beat, 13, 20, m.process_id.unwrap_or(0).into());
        put(&mut beat, 33, 1, m.process_id.is_some().into());
        put(&mut beat, 34, 1, m.segment.is_some().into());
        let device = u64::from(m.segment.unwrap_or(0)) << 16 | u64::from(m.rid);
        put(&mut beat, 35, 24, device);
        self.responses
            .push_back(u64::from(beat[0]) | u64::from(beat[1]) << 32);
    }
}

impl State {
    pub(crate) fn step_ats(&mut self, i: &PinsIn, o: &PinsOut) {
        if o.m_ats_tc_valid & i.m_ats_tc_ready != 0 {
            self.ats.completions.pop_front();
        }
        if o.m_ats_inv_valid & i.m_ats_inv_ready != 0 {
            self.ats.invalidations.pop_front();
        }
        if o.m_ats_prgr_valid & i.m_ats_prgr_ready != 0 {
            self.ats.responses.pop_front();
        }
        let supported = self.caps().has(Capabilities::ATS);
        if i.s_ats_tr_valid & o.s_ats_tr_ready != 0 {
            self.take_translation(&i.s_ats_tr_data, supported);
        }
        if supported {
            if i.s_ats_ic_valid & o.s_ats_ic_ready != 0 {
                let data = i.s_ats_ic_data;
                let device_id = (data >> 35 & 0xff_ffff) as u32;
                let what = What::Invalidated {
                    device_id,
                    vector: (data >> 3) as u32,
                    count: match self.bug {
                        Some(Bug::CompletionCountIgnored) => 1,
                        _ => (data & 7) as u8,
                    },
                };
                let n = self.add(what, Request::read(device_id, Iova(0)));
                self.todo.push_back(n);
            }
            let lost = self.bug == Some(Bug::PageRequestLost) && self.rng.percent(12);
            if i.s_ats_pr_valid & o.s_ats_pr_ready != 0 && !lost {
                let w = &i.s_ats_pr_data;
                self.ats.pages.push_back(PageRequest {
                    device_id: field(w, 87, 24) as u32,
                    process_id: (field(w, 86, 1) != 0).then(|| field(w, 66, 20) as u32),
                    privileged: field(w, 65, 1) != 0,
                    execute: field(w, 64, 1) != 0,
                    payload: field(w, 0, 64),
                });
            }
            let noticed = self.bug != Some(Bug::TimeoutLost);
            if i.ats_timeout != 0 && self.iommu.itags_in_use() != 0 && noticed {
                self.iommu.ats_time_out();
                self.ats.may_time_out = true;
            }
        }
        self.step_pages();
        self.step_updates();
    }

    fn take_translation(&mut self, w: &[u32], supported: bool) {
        let tag = field(w, 121, 10) as u16;
        let length = field(w, 1, 8) as u8;
        let no_write = field(w, 73, 1) != 0;
        let execute = field(w, 74, 1) != 0;
        let request = Request {
            device_id: field(w, 97, 24) as u32,
            process_id: (field(w, 96, 1) != 0).then(|| field(w, 76, 20) as u32),
            privileged: field(w, 75, 1) != 0,
            kind: RequestKind::AtsTranslation,
            access: match (no_write, execute) {
                (false, _) => Access::Write,
                (true, true) => Access::Execute,
                (true, false) => Access::Read,
            },
            execute_requested: execute,
            cxl: field(w, 0, 1) != 0,
            iova: Iova(field(w, 9, 64)),
            len: 4096,
        };
        if !supported {
            let mut beat = [0; 3];
            put(&mut beat, 64, 1, 1);
            put(&mut beat, 65, 3, 1);
            put(&mut beat, 68, 10, tag.into());
            self.ats.completions.push_back(beat);
            return;
        }
        let n = self.add(What::Ats { tag, length }, request);
        self.todo.push_back(n);
    }

    /// Page requests are looked at one by one, in order.
    fn step_pages(&mut self) {
        if let Some(n) = self.ats.page {
            let page = self.jobs.get(n).map(|j| j.what);
            if matches!(page, Some(What::Page(_))) {
                return;
            }
            self.ats.page = None;
        }
        if self.ats.writing.is_some() || self.regs.is_changing(Queue::PageRequest) {
            return;
        }
        if let Some(request) = self.ats.pages.pop_front() {
            let n = self.add(
                What::Page(request),
                Request::read(request.device_id, Iova(0)),
            );
            self.todo.push_back(n);
            self.ats.page = Some(n);
        }
    }

    /// It is known what becomes of a page request.
    pub(crate) fn page_step(&mut self, request: PageRequest, step: PageRequestStep) {
        self.ats.page = None;
        if self.bug == Some(Bug::PageOverflowLost) {
            self.iommu.registers_mut().pq.overflow = false;
        }
        match step {
            PageRequestStep::Queue(Push::Write {
                addr,
                data,
                reachable,
                ..
            }) => {
                self.ats.writing = Some(request);
                if reachable {
                    let user = user(&self.iommu, &Label::PageRequestQueue, None);
                    let of = WriteFor::PageRecord;
                    self.port.write(Write::words(addr.0, &data, user, of));
                } else {
                    self.page_written(false);
                }
            }
            PageRequestStep::Queue(_) => {}
            PageRequestStep::Discarded { response, record } => {
                if let Some((_, mut message)) = response {
                    match self.bug {
                        Some(Bug::RefusalSucceeds) => message.payload &= !(0xf << 44),
                        // Invalid Request and Response Failure.
                        Some(Bug::RefusalCodeWrong) if message.payload >> 44 & 1 == 1 => {
                            message.payload ^= 0xe << 44;
                        }
                        _ => {}
                    }
                    self.ats.respond(&message);
                } else if self.bug == Some(Bug::RefusalUnasked) && !request.last() {
                    self.ats.respond(&AtsMessage {
                        process_id: request.process_id,
                        rid: request.device_id as u16,
                        segment: Some((request.device_id >> 16) as u8),
                        payload: 1 << 44 | (request.payload >> 3 & 0x1ff) << 32,
                    });
                }
                if let Some(record) = record {
                    self.report(record);
                }
            }
        }
    }

    pub(crate) fn page_written(&mut self, fine: bool) {
        let Some(request) = self.ats.writing.take() else {
            return;
        };
        if fine {
            self.iommu.page_request_written();
        } else if let Some((_, message)) = self.iommu.page_request_write_failed(&request) {
            self.ats.respond(&message);
        }
    }

    /// Updates of interrupt files, one at a time.
    fn step_updates(&mut self) {
        if self.ats.updating {
            return;
        }
        let Some(u) = self.ats.updates.front().copied() else {
            return;
        };
        let (job, serial) = (u.job, u.serial);
        self.ats.updating = true;
        if !self.iommu.reachable(u.update.addr, 8) {
            self.mrif_over(job, serial, Err(MemError::Access));
            return;
        }
        let addr = u.update.addr.0;
        if u.update.atomic {
            let of = WriteFor::Set { job, serial };
            self.port.write(Write::set(addr, u.update.bit, u.user, of));
        } else {
            let of = ReadFor::Mrif { job, serial };
            self.port.read(MRIF, addr, 8, 0, u.user, of);
        }
        if self.bug == Some(Bug::NoticeEarly) {
            self.notice(&u.update);
        }
    }

    /// An interrupt file without atomics: its doubleword as it was.
    pub(crate) fn mrif_read(&mut self, job: usize, serial: u64, old: Result<u64, MemError>) {
        let Some(u) = self.ats.updates.front().copied() else {
            return;
        };
        match old {
            Ok(old) => {
                let bytes = (old | u.update.bit).to_le_bytes();
                let of = WriteFor::Mrif { job, serial };
                self.port
                    .write(Write::words(u.update.addr.0, &bytes, u.user, of));
            }
            Err(e) => self.mrif_over(job, serial, Err(e)),
        }
    }

    pub(crate) fn drive_ats(&self, o: &mut PinsOut) {
        let open = !self.draining && self.jobs.count < 128 + DEPTH;
        o.s_ats_tr_ready = u8::from(open && self.ats.completions.len() < DEPTH);
        o.s_ats_ic_ready = 1;
        o.s_ats_pr_ready = u8::from(self.ats.pages.len() < DEPTH);
        o.m_ats_tc_valid = u8::from(!self.ats.completions.is_empty());
        if let Some(beat) = self.ats.completions.front() {
            o.m_ats_tc_data = *beat;
        }
        o.m_ats_inv_valid = u8::from(!self.ats.invalidations.is_empty());
        if let Some(beat) = self.ats.invalidations.front() {
            o.m_ats_inv_data = *beat;
        }
        o.m_ats_prgr_valid = u8::from(!self.ats.responses.is_empty());
        if let Some(beat) = self.ats.responses.front() {
            o.m_ats_prgr_data = *beat;
        }
    }
}
