//! ATS, page requests, performance monitoring, debug.

use iommu_golden::Capabilities as C;

use super::Does;
use super::fault::Who;
use crate::{axis, covers, first, needs};

axis! {
    /// How an ATS translation request was answered.
    pub enum Answer: "completion" {
        Granted = "granted", Denied = "denied", UntranslatedOnly = "untranslated only", Ur = "UR", Ca = "CA",
    }
}

axis! {
    /// Size of a completion's range.
    pub enum Extent: "range" { K4 = "4K", To2M = "8K to 2M", More = "more than 2M" }
}

axis! {
    /// How an invalidation of a device's cache ended.
    pub enum Invalidation: "invalidation" { Completed = "completed", TimedOut = "timed out", Several = "several outstanding" }
}

axis! {
    /// What became of a page request.
    pub enum Page: "fate" {
        Queued = "queued", Discarded = "discarded", Failure = "failure", Invalid = "invalid", Success = "success",
    }
}

axis! {
    /// Standard events.
    pub enum Event: "event" {
        None = "0", Untranslated = "1", Translated = "2", Ats = "3", Miss = "4", Ddt = "5", Pdt = "6", First = "7",
        Second = "8", Other = "other",
    }
}

axis! {
    /// Filters of an event counter.
    pub enum Filter: "filter" {
        None = "none", Pid = "process_id", Did = "device_id", Both = "device_id and process_id", Pscid = "PSCID",
        Gscid = "GSCID", BothContexts = "GSCID and PSCID", Masked = "DMASK",
    }
}

axis! {
    /// The clock counter.
    pub enum Cycles: "cycles" { Inhibited = "inhibited", Counts = "counts", Overflow = "OF seen" }
}

axis! {
    /// A debug request.
    pub enum Debug: "response" { Done = "translated", Fault = "fault" }
}

covers! {
    /// PCIe ATS.
    pub struct AtsCoverage: "ats" {
        /// What was asked, by whom.
        must "ATS-04" request: [Does, Who] except |_, t| needs(t, "ATS", C::ATS, true);
        /// How it was answered.
        must "ATS-01" completion: [Answer, Who] except |(a, _), t| first([
            needs(t, "ATS", C::ATS, true),
            needs(t, "MSI_MRIF", C::MSI_MRIF, a == Answer::UntranslatedOnly),
        ]);
        /// Range of a granted completion.
        must "ATS-07" range: [Extent] except |_, t| needs(t, "ATS", C::ATS, true);
        /// Invalidation requests.
        must "ATS-11" invalidation: [Invalidation] except |_, t| needs(t, "ATS", C::ATS, true);
    }
}

covers! {
    /// Page requests.
    pub struct PriCoverage: "pri" {
        /// What became of a page request, with or without PASID.
        must "PRI-01" request: [Page, bool] except |_, t| needs(t, "ATS", C::ATS, true);
    }
}

covers! {
    /// Performance monitoring.
    pub struct HpmCoverage: "hpm" {
        /// Events and filters that were programmed.
        must "HPM-02" event: [Event, Filter] except |_, t| needs(t, "HPM", C::HPM, true);
        /// The clock counter.
        must "HPM-01" cycles: [Cycles] except |_, t| needs(t, "HPM", C::HPM, true);
    }
}

covers! {
    /// Debug interface.
    pub struct DebugCoverage: "dbg" {
        /// Who was asked for, and how it ended.
        must "DBG-01" request: [Does, Who, Debug] except |_, t| needs(t, "DBG", C::DBG, true);
    }
}
