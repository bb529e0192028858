//! The runner's part of devices with PCIe ATS: what they ask, what they keep in a translation
//! cache of their own, and what the IOMMU tells them.

use std::collections::{HashMap, VecDeque};

use iommu_bus::ats::{
    AtsInvalidation, AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRange, AtsRequest,
};
use iommu_testbench::{AtsCompletion, RegOp};
use iommu_testcase::ats::{Atc, AtsAsk, AtsDevices, AtsExpect, AtsGot, AtsMessage, PageAsk};
use iommu_testcase::{Dma, Expect, Where};

use super::{Go, Runner, SETTLE_MESSAGES};

/// Tags of translation requests have 10 bits.
const TAGS: u16 = 1 << 10;
/// Registers of the page-request queue.
const PQB: u16 = 56;
const PQH: u16 = 64;
const PQT: u16 = 68;

/// A translation in a device's own cache.
#[derive(Debug, Clone, Copy)]
struct Cached {
    from: u64,
    log2: u8,
    to: u64,
    read: bool,
    write: bool,
    execute: bool,
}

/// What the runner knows of devices with ATS.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// They answer invalidations by themselves.
    answers: bool,
    completions: u8,
    next_tag: u16,
    asked: HashMap<u16, (AtsAsk, Where)>,
    completed: VecDeque<AtsCompletion>,
    /// By device and process.
    cache: HashMap<(u32, Option<u32>), Vec<Cached>>,
    messages: Vec<AtsMessage>,
    unanswered: Vec<AtsInvalidation>,
    /// Invalidations that have timed out, which they may answer all the same.
    late: Vec<AtsInvalidation>,
}

impl Devices {
    pub(super) fn reset(&mut self) {
        let (answers, completions) = (self.answers, self.completions);
        *self = Self {
            answers,
            completions,
            next_tag: self.next_tag,
            ..Self::default()
        };
    }

    fn response(&mut self, m: &AtsPageResponse) {
        self.messages.push(AtsMessage::Response {
            device_id: target(m.device_id, m.segment_valid),
            process_id: m.process_id,
            group: m.group,
            code: m.code,
        });
    }

    /// A device obeys an invalidation request: what overlaps its range goes.
    fn invalidate(&mut self, m: &AtsInvalidation) {
        let device_id = target(m.device_id, m.segment_valid);
        let log2 = if m.payload >> 11 & 1 == 0 {
            12
        } else {
            13 + (m.payload >> 12).trailing_ones()
        };
        let global = m.payload & 1 == 1;
        for (_, entries) in self
            .cache
            .iter_mut()
            .filter(|((d, p), _)| *d == device_id && (global || *p == m.process_id))
        {
            entries.retain(|c| {
                let wide = log2.max(u32::from(c.log2));
                wide < 64 && c.from >> wide != m.payload >> wide
            });
        }
        if !self.answers {
            self.unanswered.push(*m);
        }
        self.messages.push(AtsMessage::Invalidation {
            device_id,
            process_id: m.process_id,
            payload: m.payload,
        });
    }

    fn find(&self, d: &Dma) -> Option<Cached> {
        self.cache
            .get(&(d.device_id, d.process_id))?
            .iter()
            .find(|c| d.iova >> c.log2 == c.from >> c.log2)
            .copied()
    }

    fn keep(&mut self, d: &Dma, got: &AtsGot) {
        if got.status != 0 || got.untranslated || !(got.read || got.write) {
            return;
        }
        let mask = 1u64
            .checked_shl(got.log2.into())
            .unwrap_or(0)
            .wrapping_sub(1);
        self.cache
            .entry((d.device_id, d.process_id))
            .or_default()
            .push(Cached {
                from: d.iova & !mask,
                log2: got.log2.min(63),
                to: got.page & !mask,
                read: got.read,
                write: got.write,
                execute: got.execute,
            });
    }
}

/// The device that a message is for; without a segment, the only one there is.
fn target(device_id: u32, segment_valid: bool) -> u32 {
    if segment_valid {
        device_id
    } else {
        device_id & 0xffff
    }
}

/// The first range of a completion, as far as tests compare it.
fn got_of(range: &AtsRange, addr: u64) -> AtsGot {
    let log2 = range.range_log2().min(63);
    let low = (1u64 << log2) - 1;
    AtsGot {
        status: range.status,
        page: range.base() | addr & low & !0xfff,
        log2,
        read: range.read,
        write: range.write,
        execute: range.execute,
        untranslated: range.untranslated,
        global: range.global,
        privileged: range.privileged,
    }
}

impl Runner<'_> {
    /// What came from the IOMMU in this clock.
    pub(super) fn ats_clock(&mut self) {
        while let Some(m) = self.tb.take_ats_invalidation() {
            self.devices.invalidate(&m);
        }
        while let Some(m) = self.tb.take_page_response() {
            self.devices.response(&m);
        }
        while let Some(c) = self.tb.take_ats_completion() {
            self.devices.completed.push_back(c);
        }
    }

    pub(super) fn ats_devices(&mut self, d: &AtsDevices) {
        let config = self.tb.ats_config();
        config.in_use = true;
        config.stopped = d.stopped;
        config.answers = d.answers;
        config.answer_delay = d.delay;
        config.answer_count = d.completions;
        config.ready_percent = d.ready;
        self.sb.set_ats_stopped(d.stopped);
        self.devices.answers = d.answers;
        self.devices.completions = d.completions;
    }

    /// Submits a translation request; its tag.
    pub(super) fn ats_ask(&mut self, ask: AtsAsk) -> u16 {
        let tag = self.devices.next_tag;
        self.devices.next_tag = (tag + 1) % TAGS;
        self.tb.submit_ats(&AtsRequest {
            tag,
            device_id: ask.device_id,
            process_id: ask.process_id,
            privileged: ask.privileged,
            execute: ask.execute,
            no_write: ask.no_write,
            addr: ask.addr,
            length: (ask.count - 1).min(255) as u8,
            cxl: ask.cxl,
        });
        self.devices.asked.insert(tag, (ask, self.at.clone()));
        tag
    }

    pub(super) fn wait_ats(&mut self) -> Go {
        self.until("the end of all translation requests", |r| {
            r.devices.completed.len() >= r.devices.asked.len()
        })?;
        while let Some(c) = self.devices.completed.pop_front() {
            self.completed(&c)?;
        }
        Ok(())
    }

    /// Compares a completion with what the test expects.
    fn completed(&mut self, c: &AtsCompletion) -> Go<AtsGot> {
        let got = c
            .ranges
            .first()
            .map(|r| got_of(r, c.request.addr))
            .unwrap_or_default();
        if let Some((ask, at)) = self.devices.asked.remove(&c.request.tag)
            && !ask.expect.fits(&got)
        {
            return Err(self.mismatch_at(
                "ats-completion",
                format!("{:x?}", ask.expect),
                format!("{got:x?}"),
                at,
            ));
        }
        Ok(got)
    }

    /// An access of a device that looks into its own cache first: as it leaves the device, or
    /// nothing where that cache refuses.
    pub(super) fn through_cache(&mut self, d: &Dma) -> Go<Option<Dma>> {
        let known = self.devices.find(d);
        let wanted = match (d.atc, known) {
            (Atc::Hit, None) => Some(("a translation in the device's cache", "none")),
            (Atc::Miss, Some(_)) => Some(("no translation in the device's cache", "one")),
            _ => None,
        };
        if let Some((wanted, got)) = wanted {
            return Err(self.mismatch("device-cache", wanted.to_owned(), got.to_owned()));
        }
        if known.is_none() {
            // Its own requests come one after the other: this one is the last to complete.
            self.wait_ats()?;
            let tag = self.ats_ask(AtsAsk {
                device_id: d.device_id,
                process_id: d.process_id,
                privileged: d.privileged,
                execute: d.execute,
                no_write: d.write.is_none(),
                addr: d.iova & !0xfff,
                count: 1,
                cxl: false,
                expect: AtsExpect::default(),
            });
            self.until("the completion of a translation request", |r| {
                r.devices.completed.iter().any(|c| c.request.tag == tag)
            })?;
            if let Some(c) = self.devices.completed.pop_front() {
                let got = self.completed(&c)?;
                self.devices.keep(d, &got);
            }
        }
        let found = self
            .devices
            .find(d)
            .filter(|c| match (&d.write, d.execute) {
                (Some(_), _) => c.write,
                (None, true) => c.execute,
                (None, false) => c.read,
            });
        let Some(c) = found else {
            return match d.expect {
                Expect::Any | Expect::Refused => Ok(None),
                other => Err(self.mismatch(
                    "device-cache",
                    format!("{other:x?}"),
                    "no permission for the device's own cache".to_owned(),
                )),
            };
        };
        let mut dma = d.clone();
        dma.iova = c.to | d.iova & ((1 << c.log2) - 1);
        dma.translated = true;
        Ok(Some(dma))
    }

    pub(super) fn page_request(&mut self, p: &PageAsk) {
        self.tb.submit_page_request(&AtsPageRequest {
            device_id: p.device_id,
            process_id: p.process_id,
            privileged: p.privileged,
            execute: p.execute,
            payload: p.payload,
        });
    }

    /// Devices answer what they did not answer yet; an answer of `from`, who was not asked,
    /// leaves the others to be answered.
    pub(super) fn answer_invalidations(&mut self, from: Option<u32>) {
        let asked = match from {
            None => {
                let mut asked = std::mem::take(&mut self.devices.late);
                asked.append(&mut self.devices.unanswered);
                asked
            }
            Some(_) => self.devices.unanswered.clone(),
        };
        let count = self.devices.completions.clamp(1, 8);
        for m in asked {
            for _ in 0..count {
                self.tb.submit_ats_done(&AtsInvalidationDone {
                    device_id: from.unwrap_or_else(|| target(m.device_id, m.segment_valid)),
                    itags: 1 << m.itag,
                    count: count & 7,
                });
            }
        }
    }

    pub(super) fn wait_invalidations(&mut self, count: u32) -> Go {
        self.until("invalidations for devices to answer", |r| {
            r.devices.unanswered.len() >= count as usize
        })
    }

    pub(super) fn ats_timeout(&mut self) -> Go {
        // None is later than by one time-out.
        self.devices.late = std::mem::take(&mut self.devices.unanswered);
        self.tb.tick_ats_timer();
        self.clock()
    }

    /// Software takes the records of the page-request queue.
    pub(super) fn take_page_requests(&mut self, expect: Option<&[[u64; 2]]>) -> Go {
        let sorted = |mut all: Vec<[u64; 2]>| {
            all.sort_unstable();
            all
        };
        let (mut tail, mut got) = self.queue_records::<2>("page-request-queue", [PQB, PQH, PQT])?;
        if let Some(expect) = expect {
            let wanted = sorted(expect.to_vec());
            if sorted(got.clone()) != wanted {
                // A record may be under way inside the block, where nobody sees it.
                for _ in 0..self.setup.scoreboard.settle {
                    self.clock()?;
                }
                self.wait_idle()?;
                (tail, got) = self.queue_records::<2>("page-request-queue", [PQB, PQH, PQT])?;
                let got = sorted(got);
                if got != wanted {
                    return Err(self.mismatch(
                        "page-requests",
                        format!("{wanted:#x?}"),
                        format!("{got:#x?}"),
                    ));
                }
            }
        }
        self.register(RegOp::Write {
            offset: PQH,
            size: 4,
            value: tail,
        })?;
        Ok(())
    }

    /// What the IOMMU sent to devices since the last time.
    pub(super) fn take_messages(&mut self, expect: Option<&[AtsMessage]>) -> Go {
        if let Some(expect) = expect {
            let sorted = |all: &[AtsMessage]| {
                let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
                all.sort_unstable();
                all
            };
            let wanted = sorted(expect);
            for _ in 0..SETTLE_MESSAGES {
                if sorted(&self.devices.messages) == wanted {
                    break;
                }
                self.clock()?;
            }
            let got = sorted(&self.devices.messages);
            if got != wanted {
                return Err(self.mismatch("ats-messages", wanted.join("\n"), got.join("\n")));
            }
        }
        self.devices.messages.clear();
        Ok(())
    }
}
