//! The translation-request interface (`tr_req_iova`, `tr_req_ctl`, `tr_response`).

use iommu_bus::mem::SparseMemory;
use iommu_golden::{Capabilities, Outcome, RegSize, Request, offset};

use crate::askers::AskFor;
use crate::hpm::Maker;
use crate::on_ats::Plain;
use crate::oracle::Verdict;
use crate::{Check, Scoreboard};

/// A debug request.
#[derive(Debug)]
pub(crate) struct Debug {
    asker: u64,
    request: Request,
    /// Clock of its write.
    begun: u64,
    /// Go/Busy has been seen 0: what was legal, in values and in words.
    pub(crate) over: Option<(Vec<Verdict>, String)>,
    /// Its answer has been compared.
    compared: bool,
}

impl Scoreboard {
    /// Go was written.
    pub(crate) fn begin_debug(&mut self, mem: &SparseMemory) {
        let request = self.iommu.debug_request();
        let serial = self.askers.insert(AskFor::Debug, request, self.now);
        self.debug = Some(Debug {
            asker: serial,
            request,
            begun: self.now,
            over: None,
            compared: false,
        });
        self.hpm_begin(Maker::request(&request));
        self.ask_asker(serial, mem);
        if let Some(c) = &mut self.coverage {
            c.debug(&self.iommu, mem, &request);
        }
    }

    /// A read of one of these registers. True if it is one.
    pub(crate) fn debug_read(
        &mut self,
        addr: u16,
        data: u64,
        asked: u64,
        mem: &SparseMemory,
    ) -> bool {
        let upper = addr % 8 == 4;
        let base = addr & !7;
        if !(offset::TR_REQ_IOVA..offset::TR_RESPONSE + 8).contains(&addr) {
            return false;
        }
        if !self.iommu.capabilities().has(Capabilities::DBG) {
            return false;
        }
        let lanes = if upper { !0u64 << 32 } else { !0 };
        match base {
            offset::TR_REQ_CTL => {
                let want = self.iommu.read_reg(base, RegSize::Eight).unwrap_or(0);
                if (want ^ data) & lanes & !1 != 0 {
                    self.fail(
                        Check::DebugResponse,
                        format!("tr_req_ctl {want:#018x}, busy aside"),
                        format!("{data:#018x}"),
                        String::new(),
                    );
                }
                if !upper {
                    self.debug_busy(data & 1 != 0, asked);
                }
                true
            }
            offset::TR_RESPONSE => {
                if self.debug.as_ref().is_some_and(|d| d.over.is_some()) {
                    if !upper {
                        self.debug_response(data, mem);
                    }
                    true
                } else {
                    // Nothing was asked: reset value. While busy, anything.
                    self.debug.is_some()
                }
            }
            _ => false,
        }
    }

    fn debug_busy(&mut self, busy: bool, asked: u64) {
        let Some(d) = &self.debug else {
            if busy {
                self.wrong_debug("Go/Busy 0: nothing was asked", "1".into(), String::new());
            }
            return;
        };
        let (serial, begun) = (d.asker, d.begun);
        let limit = 2 * self.bounds.request + self.control_limit(begun);
        match (busy, d.over.is_some()) {
            (false, false) => {
                self.iommu.registers_mut().tr_req_ctl &= !1;
                let Some(a) = self.askers.get_mut(serial) else {
                    return;
                };
                a.open = false;
                let (verdicts, story) = (a.legal.verdicts.clone(), a.line());
                let records = verdicts.iter().filter(|v| v.record().is_some()).count();
                if records > 0 {
                    self.fault_of_asker(serial, records == verdicts.len());
                }
                self.hpm_stir();
                if let Some(d) = &mut self.debug {
                    d.over = Some((verdicts, story));
                }
                self.askers.tidy();
            }
            (true, false) if asked > begun.max(self.bounds.since) + limit => {
                let want = format!("Go/Busy 0 by now: written at {begun}");
                self.wrong_debug(&want, "1".into(), String::new());
            }
            (true, true) => {
                self.wrong_debug("Go/Busy 0: the request is over", "1".into(), String::new());
            }
            _ => {}
        }
    }

    fn wrong_debug(&mut self, want: &str, got: String, story: String) {
        self.fail(Check::DebugResponse, want, got, story);
    }

    fn debug_response(&mut self, data: u64, mem: &SparseMemory) {
        let Some(d) = &mut self.debug else { return };
        let Some((verdicts, story)) = &d.over else {
            return;
        };
        if std::mem::replace(&mut d.compared, true) {
            let want = self.iommu.registers().tr_response;
            if want != data {
                let want = format!("tr_response {want:#018x}, as before");
                self.wrong_debug(&want, format!("{data:#018x}"), String::new());
            }
            return;
        }
        // The range over which the translation holds, as the tables say now.
        let most = match self.iommu.translate(&mut Plain(mem), &d.request, &mut ()) {
            Outcome::Granted(t) => Some((t.spa.0, t.range_log2)),
            _ => None,
        };
        let fits = |v: &Verdict| match v {
            // "If the process to translate the IOVA detects a fault then the fault field is set".
            Verdict::Deny { .. } => data & 1 == 1,
            Verdict::Grant { spa, user, .. } => {
                let ppn = data >> 10 & ((1 << 44) - 1);
                let large = data >> 9 & 1 == 1;
                let range = if large { 13 + ppn.trailing_ones() } else { 12 };
                let limit = most.filter(|m| m.0 == *spa).map_or(56, |m| m.1.into());
                data & 0x7f == 0
                    && data >> 54 & 0x3f == 0
                    && data >> 7 & 3 == u64::from(user & 3)
                    && range <= limit
                    && (ppn << 12) >> range == (spa & ((1 << 56) - 1)) >> range
            }
            Verdict::Mrif { .. } | Verdict::Ats { .. } => false,
        };
        let right = verdicts.iter().any(fits);
        let want: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
        let story = story.clone();
        if !right {
            let got = format!("tr_response {data:#018x}");
            self.wrong_debug(&want.join(" or "), got, story);
        }
        self.iommu.registers_mut().tr_response = data;
        self.counters.debug_requests += 1;
    }
}
