//! How the agents behave in time. All percentages are chances per clock.

use std::ops::RangeInclusive;

/// A memory port (`m_mem`, `m_dev`): how the subordinate behind it behaves.
///
/// Latency `L` is exact: a read whose address handshake is in clock `t` has its
/// first data handshake in clock `t + L`, a write whose last of AW and W is in
/// clock `t` has its response in `t + L`, as long as the channel is free and the
/// block is ready. 0 counts as 1: an agent never answers in the same clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortTiming {
    /// Clocks from address to first data, or from last write data to response; drawn anew for each burst.
    pub latency: RangeInclusive<u32>,
    /// Bursts of different ids may overtake one another.
    pub out_of_order: bool,
    /// Read data of different ids may alternate beat by beat (only with `out_of_order`).
    pub interleave: bool,
    /// Chance that AWREADY, WREADY, ARREADY are high; 100 is always.
    pub ready_percent: u8,
    /// Chance that a response which is due is held back a clock; 0 is never.
    pub gap_percent: u8,
    /// Nothing is accepted, and no new response is begun.
    pub stopped: bool,
}

impl PortTiming {
    /// Always ready, in order, the same latency for every burst.
    #[must_use]
    pub const fn fixed(latency: u32) -> Self {
        Self {
            latency: latency..=latency,
            out_of_order: false,
            interleave: false,
            ready_percent: 100,
            gap_percent: 0,
            stopped: false,
        }
    }
}

impl Default for PortTiming {
    fn default() -> Self {
        Self::fixed(8)
    }
}

/// The device side (`s_dev`): how the manager drives and takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevTiming {
    /// Chance that a write address that could start is held back a clock.
    pub aw_gap_percent: u8,
    /// The same for each beat of write data.
    pub w_gap_percent: u8,
    /// The same for a read address.
    pub ar_gap_percent: u8,
    /// Clocks that each write address waits before AWVALID: with `w_before_aw`, data gets ahead.
    pub aw_delay: u32,
    /// Clocks that each burst's first data waits after its address is valid.
    pub w_delay: u32,
    /// Write data may be valid before its address is.
    pub w_before_aw: bool,
    /// Chance that BREADY is high.
    pub b_ready_percent: u8,
    /// Chance that RREADY is high.
    pub r_ready_percent: u8,
    /// Reads accepted and not yet answered, at most.
    pub max_reads: u32,
    /// Writes accepted and not yet answered, at most.
    pub max_writes: u32,
    /// No new address or data is driven.
    pub stop_requests: bool,
    /// BREADY and RREADY stay low.
    pub stop_responses: bool,
}

impl Default for DevTiming {
    fn default() -> Self {
        Self {
            aw_gap_percent: 0,
            w_gap_percent: 0,
            ar_gap_percent: 0,
            aw_delay: 0,
            w_delay: 0,
            w_before_aw: false,
            b_ready_percent: 100,
            r_ready_percent: 100,
            max_reads: 256,
            max_writes: 256,
            stop_requests: false,
            stop_responses: false,
        }
    }
}

/// The register port (`s_reg`): how the host drives and takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegTiming {
    /// Chance that an address or data that could start is held back a clock.
    pub gap_percent: u8,
    /// Chance that BREADY and RREADY are high.
    pub ready_percent: u8,
    /// Operations in flight, at most; a read waits for the writes before it and the other way round.
    pub max_outstanding: u32,
}

impl Default for RegTiming {
    fn default() -> Self {
        Self {
            gap_percent: 0,
            ready_percent: 100,
            max_outstanding: 1,
        }
    }
}
