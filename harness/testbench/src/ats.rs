//! The ATS channels: translation requests in, completions out; all else is watched.

use std::collections::VecDeque;

use iommu_bus::event::Event;
use iommu_sim::{PinsIn, PinsOut};

use crate::context::Clock;
use crate::pins;
use crate::protocol::{Channel, Hold, Port, Rule};

/// How the ATS agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtsConfig {
    /// The test uses ATS: invalidations and page request responses may come.
    pub in_use: bool,
    /// Nothing that the block sends is taken.
    pub stopped: bool,
}

/// An ATS translation request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AtsRequest {
    /// Comes back with the completion, 10 bits.
    pub tag: u16,
    /// device_id, 24 bits.
    pub device_id: u32,
    /// process_id, when valid.
    pub process_id: Option<u32>,
    /// Privileged mode requested.
    pub privileged: bool,
    /// Execute requested.
    pub execute: bool,
    /// NW.
    pub no_write: bool,
    /// Untranslated address.
    pub addr: u64,
    /// Translations asked for, minus one.
    pub length: u8,
    /// From a CXL type 1 or 2 device.
    pub cxl: bool,
}

impl AtsRequest {
    /// The beat of `s_ats_tr_data`, least significant word first.
    #[must_use]
    pub fn pack(&self) -> [u32; 5] {
        let mut beat = Beat::default();
        beat.put(self.cxl.into(), 1);
        beat.put(self.length.into(), 8);
        beat.put(self.addr, 64);
        beat.put(self.no_write.into(), 1);
        beat.put(self.execute.into(), 1);
        beat.put(self.privileged.into(), 1);
        beat.put(self.process_id.unwrap_or(0).into(), 20);
        beat.put(self.process_id.is_some().into(), 1);
        beat.put(self.device_id.into(), 24);
        beat.put(self.tag.into(), 10);
        beat.words
    }
}

/// Packs fields from bit 0 upwards.
#[derive(Default)]
struct Beat {
    words: [u32; 5],
    bits: usize,
}

impl Beat {
    fn put(&mut self, value: u64, width: usize) {
        for n in 0..width {
            let bit = self.bits + n;
            if let Some(word) = self.words.get_mut(bit / 32) {
                *word |= ((value >> n & 1) as u32) << (bit % 32);
            }
        }
        self.bits += width;
    }
}

/// Tag of a translation completion: its top 10 of 78 bits.
fn completion_tag(words: [u32; 3]) -> u16 {
    (words[2] >> 4 & 0x3ff) as u16
}

/// "Last range of this completion": below tag and status.
fn completion_last(words: [u32; 3]) -> bool {
    words[2] & 1 != 0
}

/// The agent of the ATS channels.
#[derive(Debug, Default)]
pub(crate) struct AtsAgent {
    pub(crate) config: AtsConfig,
    queue: VecDeque<[u32; 5]>,
    valid: bool,
    ready: bool,
    /// Tags of the requests that were accepted and not completed.
    tags: Vec<u16>,
    hold_tc: Hold<[u32; 3]>,
    hold_inv: Hold<[u32; 4]>,
    hold_prgr: Hold<u64>,
}

impl AtsAgent {
    pub(crate) fn new(config: AtsConfig) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    pub(crate) fn submit(&mut self, request: &AtsRequest) {
        self.queue.push_back(request.pack());
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.queue.len() + self.tags.len()
    }

    pub(crate) fn prepare(&mut self, ck: &Clock<'_>, pins: &mut PinsIn) {
        if ck.reset {
            self.queue.clear();
            self.tags.clear();
            self.hold_tc.clear();
            self.hold_inv.clear();
            self.hold_prgr.clear();
        }
        self.valid = !ck.quiet && !self.queue.is_empty();
        self.ready = !ck.reset && !self.config.stopped;
        let words = self.queue.front().filter(|_| self.valid);
        pins::drive_ats_tr(pins, words.copied());
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
        if self.valid
            && o.s_ats_tr_ready != 0
            && let Some(words) = self.queue.pop_front()
        {
            self.tags
                .push((words[3] >> 25 | words[4] << 7) as u16 & 0x3ff);
            ck.event(Event::AtsRequest(words));
        }
        let (taken, rule) = self.hold_tc.check(tc, self.ready);
        if let Some(rule) = rule {
            ck.violation(Port::Ats, Channel::Completion, rule, || {
                format!("now {tc:x?}")
            });
        }
        if let Some(words) = taken {
            ck.event(Event::AtsCompletion(words));
            let tag = completion_tag(words);
            match self.tags.iter().position(|&t| t == tag) {
                Some(n) if completion_last(words) => drop(self.tags.remove(n)),
                Some(_) => {}
                None => ck.violation(Port::Ats, Channel::Completion, Rule::AtsUnexpected, || {
                    format!("completion of tag {tag:#x}, which is not outstanding")
                }),
            }
        }
        let (taken, rule) = self.hold_inv.check(inv, self.ready);
        self.unasked(ck, Channel::Invalidation, rule, taken.is_some());
        if let Some(words) = taken {
            ck.event(Event::AtsInvalidation(words));
        }
        let (taken, rule) = self.hold_prgr.check(prgr, self.ready);
        self.unasked(ck, Channel::PrgResponse, rule, taken.is_some());
        if let Some(word) = taken {
            ck.event(Event::AtsPrgResponse(word));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_fields_stand_where_the_packed_struct_has_them() {
        let bits = |r: &AtsRequest| {
            let w = r.pack();
            (0..160)
                .filter(|n| w[n / 32] >> (n % 32) & 1 != 0)
                .collect::<Vec<_>>()
        };
        let base = AtsRequest::default();
        assert_eq!(bits(&AtsRequest { cxl: true, ..base }), [0]);
        assert_eq!(
            bits(&AtsRequest {
                length: 0x81,
                ..base
            }),
            [1, 8]
        );
        assert_eq!(
            bits(&AtsRequest {
                addr: 1 << 63 | 1,
                ..base
            }),
            [9, 72]
        );
        assert_eq!(
            bits(&AtsRequest {
                no_write: true,
                ..base
            }),
            [73]
        );
        assert_eq!(
            bits(&AtsRequest {
                execute: true,
                ..base
            }),
            [74]
        );
        assert_eq!(
            bits(&AtsRequest {
                privileged: true,
                ..base
            }),
            [75]
        );
        assert_eq!(
            bits(&AtsRequest {
                process_id: Some(1 << 19),
                ..base
            }),
            [95, 96]
        );
        assert_eq!(
            bits(&AtsRequest {
                device_id: 1 << 23 | 1,
                ..base
            }),
            [97, 120]
        );
        assert_eq!(bits(&AtsRequest { tag: 0x201, ..base }), [121, 130]);
    }
}
