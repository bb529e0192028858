//! The translation-request interface (section "Debug support").

use crate::addr::Iova;
use crate::cause::Cause;
use crate::iommu::Iommu;
use crate::memory::Memory;
use crate::observe::{Observer, Rule};
use crate::outcome::{Denial, Outcome};
use crate::record::FaultRecord;
use crate::request::{Access, Request};

impl Iommu {
    /// The request that `tr_req_iova` and `tr_req_ctl` describe: "translate an IOVA as an
    /// Untranslated Request".
    #[must_use]
    pub fn debug_request(&self) -> Request {
        let ctl = self.regs.tr_req_ctl;
        let bit = |n: u32| ctl >> n & 1 == 1;
        Request {
            process_id: bit(32).then_some((ctl >> 12 & 0xf_ffff) as u32),
            // "When PV is 0, this field is ignored and no Privileged Mode access is requested."
            privileged: bit(1),
            access: if bit(2) {
                Access::Execute
            } else if bit(3) {
                // NW: "If set to 1, read permission is requested."
                Access::Read
            } else {
                // "If set to 0, both read and write permissions are requested."
                Access::Write
            },
            ..Request::read((ctl >> 40) as u32, Iova(self.regs.tr_req_iova & !0xfff))
        }
    }

    /// Runs the request that is set up, fills `tr_response` and clears Go/Busy. Returns the
    /// outcome; its record, if any, is to be reported as usual. Does nothing (`None`) while
    /// Go/Busy is 0.
    pub fn run_debug_request<M: Memory, O: Observer>(
        &mut self,
        mem: &mut M,
        obs: &mut O,
    ) -> Option<Outcome> {
        if self.regs.tr_req_ctl & 1 == 0 {
            return None;
        }
        let req = self.debug_request();
        let outcome = match self.translate(mem, &req, obs) {
            // "If the IOVA is determined to be that of a virtual interrupt file and the
            // corresponding MSI PTE is in MRIF mode, then the process stops and reports a
            // Transaction type disallowed (cause = 260) fault."
            Outcome::Mrif(t) => Outcome::Denied(Denial {
                cause: Cause::TypeDisallowed,
                record: (!t.dtf).then(|| FaultRecord::of_request(Cause::TypeDisallowed, &req, 0)),
                rule: Rule::new("Debug support", "MSI PTE in MRIF mode"),
            }),
            other => other,
        };
        self.regs.tr_response = match &outcome {
            Outcome::Granted(t) => {
                let pages = t.range_log2.clamp(12, 12 + 43) - 12;
                let ppn = t.spa.page() & ((1 << 44) - 1);
                // "If the S bit is 1 ... scanning from bit position 0 to bit position 43, the first
                // bit with a value of 0 at position X, then the superpage size is 2^(X+1) * 4 KiB."
                let (s, ppn) = match pages {
                    0 => (0, ppn),
                    n => (1, ppn >> n << n | ((1 << (n - 1)) - 1)),
                };
                u64::from(t.pbmt.code()) << 7 | s << 9 | ppn << 10
            }
            // "If the process to translate the IOVA detects a fault then the fault field is set"
            _ => 1,
        };
        // "The IOMMU indicates completion of the requested translation by clearing this bit"
        self.regs.tr_req_ctl &= !1;
        Some(outcome)
    }
}
