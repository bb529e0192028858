//! What can be wrong, and how it is told.

use std::fmt;

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $spec:literal;)*) => {
        /// A rule that the scoreboard holds the block to.
        ///
        /// [`Check::name`] is what reports print and tests filter by; [`Check::spec`]
        /// names the sentence behind it: a section of the specification, or a
        /// section of the project's design ("design 6") where the specification
        /// leaves the bus to us.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// Every check, in the order of the documentation.
            pub const ALL: &'static [Check] = &[$(Check::$name,)*];

            /// Stable name, as reports print it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Check::$name => $id,)* }
            }

            /// Where the rule is written down.
            #[must_use]
            pub const fn spec(self) -> &'static str {
                match self { $(Check::$name => $spec,)* }
            }

            /// The check with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Check> {
                match name { $($id => Some(Check::$name),)* _ => None }
            }
        }
    };
}

checks! {
    /// A burst on `m_dev` that belongs to no accepted request: nothing on `s_dev` with this
    /// id waits to be forwarded.
    BurstWithoutRequest = "burst-without-request", "design 4, m_dev: one burst per granted burst";
    /// A burst on `m_dev` for a request that must be refused: an isolation breach.
    RefusedForwarded = "refused-forwarded", "IOMMU 'Process to translate an IOVA'; design 4, Refusal";
    /// The address on `m_dev` is not the translation of the request's address: an isolation breach.
    WrongAddress = "wrong-address", "IOMMU 'Process to translate an IOVA'";
    /// A burst on `m_dev` by a translation whose revocation had completed: an entry that was in
    /// a table once, and an invalidation and a fence have taken away. The story names them.
    IsolationBreach = "isolation-breach", "IOMMU 'Caching in-memory data structures'; design 5, Legal outcomes";
    /// More combinations of old and new table entries than the oracle tries: an error of the
    /// harness. Nothing is known about the request.
    OracleBound = "oracle-bound", "design 5: exceeding the bound is a harness error";
    /// A field of a forwarded burst that must not change has changed.
    FieldChanged = "field-changed", "design 4, m_dev: fields unchanged";
    /// PBMT, RCID or MCID in the user bits of a forwarded burst are wrong.
    UserBits = "user-bits", "design 4, m_dev: user bits; IOMMU 'QoS ID'";
    /// Write data on `m_dev` differs from what the device sent (data, strobes, order or last).
    WriteData = "write-data", "design 6: writes bit for bit";
    /// A grant that no table read since reset can explain: what was cached before reset survived it.
    GrantFromNowhere = "grant-from-nowhere", "IOMMU 'Reset behavior': caches have no valid entries";
    /// A response on `s_dev` that answers no accepted request.
    ResponseWithoutRequest = "response-without-request", "design 6: exactly one response";
    /// A response on `s_dev` before what it reports has happened (data not back from memory,
    /// write data not yet taken).
    ResponseEarly = "response-early", "design 6: right data or right error";
    /// A request that translates was answered without having been forwarded.
    GrantRefused = "grant-refused", "IOMMU 'Process to translate an IOVA'";
    /// A refused request must be answered with SLVERR on every beat.
    RefusedResponse = "refused-response", "design 4, Refusal";
    /// Read data of a refused request must be zero.
    RefusedData = "refused-data", "design 4, Refusal";
    /// Read data on `s_dev` differs from what memory returned on `m_dev`.
    ReadData = "read-data", "design 6: the right data";
    /// A response code on `s_dev` differs from the one `m_dev` returned.
    ResponseCode = "response-code", "design 4: errors from memory pass back unchanged";
    /// RLAST is not on exactly the last beat of a burst.
    ReadLast = "read-last", "design 4, Refusal: RLAST right";

    /// A read on `m_mem` that nothing explains: no walk of an outstanding request, no command
    /// fetch. Where dut.yaml declares speculation it is counted, not reported.
    UnexplainedRead = "unexplained-read", "design 6: every m_mem read reachable and explained";
    /// `ddtp` was written to Off and `busy` read 0, but a request of before was still on its way.
    OffEarly = "off-early", "IOMMU 'ddtp': in-flight transactions are processed or aborted, and committed, when changed to Off";
    /// An access on `m_mem` at or above 2^PAS.
    BeyondPas = "beyond-pas", "IOMMU 'capabilities', PAS; design 6";
    /// A command fetch outside of `cqh..cqt`, or while the command queue is off.
    FetchOutsideQueue = "fetch-outside-queue", "IOMMU 'Command-Queue (CQ)', 'cqcsr'";
    /// A command fetch while an error bit of `cqcsr` keeps the queue stopped.
    FetchWhileStopped = "fetch-while-stopped", "IOMMU 'cqcsr': stops processing";
    /// A write on `m_mem` that nothing explains.
    UnexplainedWrite = "unexplained-write", "design 6: every m_mem write explained exactly";
    /// An exclusive or atomic access on `m_mem` where plain ones are due, or another kind than
    /// dut.yaml says.
    AccessKind = "access-kind", "design 4, Atomics";

    /// A or D bits of a page-table entry changed otherwise than an undecided request's walk
    /// changes them: another entry, another bit, D for a read, anything for a refused walk.
    UpdateUnexpected = "update-unexpected", "Privileged 'Virtual Address Translation Process', A and D; design 6: D exact";
    /// An access went ahead before the A/D update of its walk was answered.
    UpdateLate = "update-late", "Privileged: 'the PTE update must be globally visible' first; design 6";
    /// The update of a memory-resident interrupt file is not the setting of exactly the bit of
    /// an accepted MSI.
    MrifUpdate = "mrif-update", "AIA 'MSI PTE, MRIF mode'";
    /// An accepted MSI never reached its interrupt file.
    MrifMissing = "mrif-missing", "AIA 'MSI PTE, MRIF mode'; design 6: pending bits equal accepted MSIs";
    /// An access to a page in MRIF mode was answered wrongly.
    MrifResponse = "mrif-response", "AIA 'MSI PTE, MRIF mode'; design 4, MRIF and MSI accesses";
    /// A notice MSI before the update of its interrupt file was answered.
    NoticeEarly = "notice-early", "AIA 'MSI PTE, MRIF mode': once the update is visible";
    /// A notice MSI with the wrong data or size.
    NoticeContent = "notice-content", "AIA 'MSI PTE, MRIF mode': NID zero-extended, little-endian";
    /// A notice MSI that is due never came.
    NoticeMissing = "notice-missing", "AIA 'MSI PTE, MRIF mode'";

    /// A translation completion that is not what the tables say: status, permissions, address,
    /// size, or more ranges than were asked for.
    AtsCompletion = "ats-completion", "IOMMU 'PCIe ATS translation request handling'";
    /// An invalidation request that no ATS.INVAL asks for, with the wrong content, or none for one.
    AtsInvalidation = "ats-invalidation", "IOMMU 'IOMMU PCIe ATS commands'";
    /// An ITag that is still in use.
    ItagReused = "itag-reused", "PCIe ATS, Invalidate Request: ITags are unique while outstanding; design 6";
    /// A page-request record that no page request asks for, in the wrong place or while the
    /// queue is stopped; or none for one.
    PageRecord = "page-record", "IOMMU 'Page-Request-Queue (PQ)'; 'PCIe ATS Page Request handling'";
    /// A page request group response that is not due, or wrong, or missing.
    PageResponse = "page-response", "IOMMU 'PCIe ATS Page Request handling'; 'IOMMU PCIe ATS commands'";
    /// `pqcsr` reads a value that what happened does not allow.
    PageStatus = "page-status", "IOMMU 'Page-request queue CSR (pqcsr)'";
    /// `pqt` shows a record whose write is not visible yet, goes back, or never moves.
    PageTail = "page-tail", "IOMMU 'Page-Request-Queue (PQ)'";
    /// A counter, its overflow bit or its selector reads a value that what happened does not allow.
    HpmCounter = "hpm-counter", "IOMMU 'Performance-monitoring event counters', 'iohpmcycles', 'iocountovf'";
    /// The debug interface's answer is not what the tables say, or does not come.
    DebugResponse = "debug-response", "IOMMU 'Debug support'; 'tr_response'";

    /// A fault record that no refused request asks for (never one for DTF, for a granted
    /// request, or twice for one request).
    RecordUnexpected = "record-unexpected", "IOMMU 'Fault/Event-Queue (FQ)'; design 6: exactly one each";
    /// A fault record whose content fits no outstanding fault.
    RecordContent = "record-content", "IOMMU 'Fault/Event-Queue (FQ)': record fields";
    /// A fault record written elsewhere than at the next free index.
    RecordIndex = "record-index", "IOMMU 'Fault/Event-Queue (FQ)': fqt advances by 1";
    /// A fault record written although the queue is full, off, or stopped by `fqof`/`fqmf`.
    RecordWhileStopped = "record-while-stopped", "IOMMU 'Fault queue CSR (fqcsr)'";
    /// A fault that must be recorded was not, and no overflow, error or disabled queue excuses it.
    RecordMissing = "record-missing", "IOMMU 'Fault/Event-Queue (FQ)'; design 6: exactly one each";
    /// A record is only partly written.
    RecordPartial = "record-partial", "IOMMU 'Fault/Event-Queue (FQ)'";

    /// `fqt` shows a record whose write is not visible yet, goes back, or never moves.
    FaultTail = "fault-tail", "IOMMU 'Fault/Event-Queue (FQ)': subsequent to writing the record";
    /// `fqcsr` reads a value that what happened does not allow.
    FaultStatus = "fault-status", "IOMMU 'Fault queue CSR (fqcsr)'";
    /// `cqh` passes a command that has not completed, goes back, or never moves.
    CommandHead = "command-head", "IOMMU 'Command-Queue (CQ)'; 'cqh'";
    /// `cqcsr` reads a value that what happened does not allow.
    CommandStatus = "command-status", "IOMMU 'Command-queue CSR (cqcsr)'";
    /// IOFENCE.C completed before what it waits for: an earlier read (PR) or write (PW) had
    /// not ended on `m_dev`, or its own store was not visible.
    FenceEarly = "fence-early", "IOMMU 'Command-queue Fence commands'";
    /// The store of IOFENCE.C (AV=1) has the wrong data, size, or comes twice.
    FenceWrite = "fence-write", "IOMMU 'Command-queue Fence commands': 4-byte store of DATA";

    /// `ipsr` reads a value that what happened does not allow.
    PendingBits = "pending-bits", "IOMMU 'Interrupt pending status register (ipsr)'";
    /// An interrupt wire that `ipsr`, `fctl.WSI` and `icvec` do not allow.
    Wire = "wire", "IOMMU 'ipsr', 'icvec': wire-signalled interrupts";
    /// An interrupt message without a pending bit that went from 0 to 1, or while masked.
    MessageUnexpected = "message-unexpected", "IOMMU 'ipsr', 'msi_cfg_tbl'";
    /// An interrupt message with the wrong data or size.
    MessageContent = "message-content", "IOMMU 'msi_cfg_tbl'";
    /// An interrupt message that is due never came.
    MessageMissing = "message-missing", "IOMMU 'ipsr': message on the transition from 0 to 1";

    /// A register reads a value that what was written does not allow.
    RegisterValue = "register-value", "IOMMU 'Memory-mapped register interface'";
    /// A register that the specification resets is not at its reset value.
    ResetValue = "reset-value", "IOMMU 'Reset behavior'";
    /// A legal register access answered with an error, or an answer without an access.
    RegisterResponse = "register-response", "design 4, s_reg";

    /// A device request that does not end within its bound.
    RequestStuck = "request-stuck", "design 6, Liveness";
    /// A device request was overtaken by more walks of younger ones than `dut.yaml` allows.
    RequestStarved = "request-starved", "design 6, Liveness: fairness";
    /// The command queue does not move within its bound.
    CommandStuck = "command-stuck", "design 6, Liveness";
    /// A register access that does not end within its bound.
    RegisterStuck = "register-stuck", "design 6, Liveness";
    /// A queue does not follow its enable bit within its bound, or `busy` stays 1.
    ControlStuck = "control-stuck", "IOMMU 'cqcsr', 'fqcsr', 'ddtp': busy; design 6, Liveness";
    /// Something was left over when the run ended.
    Leftover = "leftover", "design 6: nothing outstanding at the end";
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One broken rule.
///
/// Read it from left to right: at `cycle`, rule `check` (written down at `spec`) wanted
/// `expected`, the pins showed `got`; `story` lists what led there, oldest first, one
/// event a line, with cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Clock of the event that broke the rule (for liveness: when patience ended).
    pub cycle: u64,
    /// The rule.
    pub check: Check,
    /// Where the rule is written down.
    pub spec: &'static str,
    /// What would have been right.
    pub expected: String,
    /// What was seen.
    pub got: String,
    /// What led there: one event a line, oldest first.
    pub story: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cycle {}: {} ({})", self.cycle, self.check, self.spec)?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  got:      {}", self.got)?;
        for line in self.story.lines() {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

/// Where violations gather: the first ones in full, the rest counted.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
    /// Violations beyond [`Report::KEPT`].
    pub(crate) suppressed: u64,
}

impl Report {
    /// A broken block breaks rules every few clocks; the first ones tell why.
    const KEPT: usize = 200;

    pub(crate) fn add(
        &mut self,
        cycle: u64,
        check: Check,
        expected: impl Into<String>,
        got: impl Into<String>,
        story: impl Into<String>,
    ) {
        if self.violations.len() >= Self::KEPT {
            self.suppressed += 1;
            return;
        }
        self.violations.push(Violation {
            cycle,
            check,
            spec: check.spec(),
            expected: expected.into(),
            got: got.into(),
            story: story.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for (n, &check) in Check::ALL.iter().enumerate() {
            assert_eq!(Check::from_name(check.name()), Some(check));
            assert!(!check.spec().is_empty());
            assert!(Check::ALL[..n].iter().all(|c| c.name() != check.name()));
        }
        assert_eq!(Check::from_name("no-such-check"), None);
    }
}
