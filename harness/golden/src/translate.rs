//! The process to translate an IOVA (section "Process to translate an IOVA").

use crate::cause::Cause;
use crate::iommu::Iommu;
use crate::memory::Memory;
use crate::observe::{Observer, Rule};
use crate::outcome::{Denial, Outcome};
use crate::record::FaultRecord;
use crate::request::Request;

impl Iommu {
    /// Translates one request: a pure function of registers, memory and request (memory
    /// changes only by A/D updates).
    ///
    /// Under construction: every request is refused with cause 272.
    pub fn translate<M: Memory, O: Observer>(
        &self,
        _mem: &mut M,
        req: &Request,
        _obs: &mut O,
    ) -> Outcome {
        let cause = Cause::InternalDataPathError;
        Outcome::Denied(Denial {
            cause,
            record: Some(FaultRecord::of_request(cause, req, 0)),
            rule: Rule::new("none", "under construction"),
        })
    }
}
