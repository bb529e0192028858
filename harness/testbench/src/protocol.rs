//! The protocol rules that a device under test must keep, by name.

use std::fmt;

/// A port of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Register page, AXI4-Lite.
    Reg,
    /// Device traffic in.
    Dev,
    /// Device traffic out.
    Out,
    /// The IOMMU's own accesses.
    Mem,
    /// ATS messages.
    Ats,
}

impl Port {
    /// Name as on the pins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reg => "s_reg",
            Self::Dev => "s_dev",
            Self::Out => "m_dev",
            Self::Mem => "m_mem",
            Self::Ats => "m_ats",
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A channel of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Write address.
    Aw,
    /// Write data.
    W,
    /// Write response.
    B,
    /// Read address.
    Ar,
    /// Read data.
    R,
    /// ATS translation completion.
    Completion,
    /// ATS invalidation request.
    Invalidation,
    /// ATS page request group response.
    PrgResponse,
}

impl Channel {
    /// Name as on the pins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aw => "aw",
            Self::W => "w",
            Self::B => "b",
            Self::Ar => "ar",
            Self::R => "r",
            Self::Completion => "tc",
            Self::Invalidation => "inv",
            Self::PrgResponse => "prgr",
        }
    }
}

/// A rule of AXI4, AXI4-Lite, AXI5 atomics or the ATS channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Valid fell before ready.
    ValidStable,
    /// The payload changed while valid waited for ready.
    PayloadStable,
    /// Valid in reset, or at the first clock edge after it.
    ValidInReset,
    /// AxBURST = 0b11.
    BurstType,
    /// More than 16 beats FIXED, or WRAP of other than 2, 4, 8, 16.
    BurstLength,
    /// AxSIZE wider than the bus.
    BurstSize,
    /// WRAP from an unaligned address.
    BurstAlignment,
    /// The burst crosses a 4 KiB boundary.
    Burst4K,
    /// Exclusive of a size, length or alignment that AXI forbids.
    ExclusiveShape,
    /// Atomic with a reserved opcode, or a size, length, burst type, alignment or lock that AXI5 forbids.
    AtomicShape,
    /// An atomic shares its id with another outstanding transaction.
    AtomicId,
    /// WLAST early, late or missing.
    WLast,
    /// More than 256 beats of write data without WLAST.
    WriteTooLong,
    /// Write data without an address, at the end of the run.
    WriteWithoutAddress,
    /// A strobe outside the byte lanes of its beat, or an atomic without all of its operand.
    Strobe,
    /// A response for an id that has nothing outstanding.
    ResponseId,
    /// A write response before address and all data were taken.
    ResponseEarly,
    /// RLAST early, late or missing.
    RLast,
    /// EXOKAY to what is not exclusive, or on AXI4-Lite.
    ResponseCode,
    /// An ATS message that nobody asked for.
    AtsUnexpected,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 20] = [
        Self::ValidStable,
        Self::PayloadStable,
        Self::ValidInReset,
        Self::BurstType,
        Self::BurstLength,
        Self::BurstSize,
        Self::BurstAlignment,
        Self::Burst4K,
        Self::ExclusiveShape,
        Self::AtomicShape,
        Self::AtomicId,
        Self::WLast,
        Self::WriteTooLong,
        Self::WriteWithoutAddress,
        Self::Strobe,
        Self::ResponseId,
        Self::ResponseEarly,
        Self::RLast,
        Self::ResponseCode,
        Self::AtsUnexpected,
    ];

    /// Short name, for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValidStable => "valid-stable",
            Self::PayloadStable => "payload-stable",
            Self::ValidInReset => "valid-in-reset",
            Self::BurstType => "burst-type",
            Self::BurstLength => "burst-length",
            Self::BurstSize => "burst-size",
            Self::BurstAlignment => "burst-alignment",
            Self::Burst4K => "burst-4k",
            Self::ExclusiveShape => "exclusive-shape",
            Self::AtomicShape => "atomic-shape",
            Self::AtomicId => "atomic-id",
            Self::WLast => "wlast",
            Self::WriteTooLong => "write-too-long",
            Self::WriteWithoutAddress => "write-without-address",
            Self::Strobe => "strobe",
            Self::ResponseId => "response-id",
            Self::ResponseEarly => "response-early",
            Self::RLast => "rlast",
            Self::ResponseCode => "response-code",
            Self::AtsUnexpected => "ats-unexpected",
        }
    }

    /// The rule in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::ValidStable => "once valid is high it stays high until ready",
            Self::PayloadStable => "while valid waits for ready the payload does not change",
            Self::ValidInReset => "valid is low in reset and at the first clock edge after it",
            Self::BurstType => "AxBURST is FIXED, INCR or WRAP",
            Self::BurstLength => "FIXED has at most 16 beats, WRAP has 2, 4, 8 or 16",
            Self::BurstSize => "AxSIZE is not wider than the data bus",
            Self::BurstAlignment => "WRAP starts at an address aligned to AxSIZE",
            Self::Burst4K => "a burst does not cross a 4 KiB boundary",
            Self::ExclusiveShape => {
                "an exclusive has at most 16 beats and 128 bytes, a power of two, aligned to its whole size"
            }
            Self::AtomicShape => {
                "an atomic has an opcode, size, length, burst type and alignment of AXI5, and no lock"
            }
            Self::AtomicId => "an atomic's id is used by nothing else outstanding",
            Self::WLast => "WLAST is high in the last beat of a burst and in no other",
            Self::WriteTooLong => "a burst has at most 256 beats",
            Self::WriteWithoutAddress => "every beat of write data belongs to an address",
            Self::Strobe => {
                "strobes are low outside the byte lanes of the beat, and high in all lanes of an atomic"
            }
            Self::ResponseId => "a response belongs to an outstanding transaction of its id",
            Self::ResponseEarly => "a write response follows its address and its last data",
            Self::RLast => "RLAST is high in the last beat of a burst and in no other",
            Self::ResponseCode => "EXOKAY answers exclusives only",
            Self::AtsUnexpected => "an ATS message answers a request, or comes where ATS is in use",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that the device under test broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Clock.
    pub cycle: u64,
    /// Port.
    pub port: Port,
    /// Channel.
    pub channel: Channel,
    /// Rule.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}_{} broke {} at cycle {}: {}; seen: {}",
            self.port,
            self.channel.name(),
            self.rule,
            self.cycle,
            self.rule.description(),
            self.detail
        )
    }
}

/// Remembers a beat that valid offered and ready did not take.
#[derive(Debug, Clone)]
pub(crate) struct Hold<T>(Option<T>);

impl<T> Default for Hold<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Copy + PartialEq> Hold<T> {
    /// Checks this clock against the last; the beat handed over, if any, and the rule broken, if any.
    #[inline]
    pub(crate) fn check(&mut self, now: Option<T>, ready: bool) -> (Option<T>, Option<Rule>) {
        let rule = match (self.0, now) {
            (None, _) => None,
            (Some(_), None) => Some(Rule::ValidStable),
            (Some(was), Some(is)) => (was != is).then_some(Rule::PayloadStable),
        };
        self.0 = if ready { None } else { now };
        (if ready { now } else { None }, rule)
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }
}
