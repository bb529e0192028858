//! What the scoreboard is told about the block under test.

use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};
use iommu_golden::Config;

/// What is legal for a device under test (from its dut.yaml).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreboardConfig {
    /// `capabilities` of this run (those of the block, masked by `cfg_caps_i`) and every
    /// choice that the specification leaves to the implementation.
    pub golden: Config,
    /// Registers and fields whose reset value the specification leaves open are zero; else
    /// they are compared from their first write on.
    pub reset_zero: bool,
    /// Several requests with identical faults may share one record.
    pub merges_faults: bool,
    /// Table reads may be rounded to aligned blocks of this many bytes (a power of two, 8 or more).
    pub fetch_granule: u32,
    /// Reads that no request explains are counted and not reported.
    pub speculates: bool,
    /// Atomic transactions of devices are translated (else refused).
    pub device_atomics: bool,
    /// A/D bits are set by exclusive pairs (else by AXI5 atomics).
    pub exclusive_updates: bool,
    /// Clocks within which an effect that needs no bus shows: a tail after its record's B, a
    /// pending bit after its cause, a wire after its pending bit.
    pub settle: u32,
    /// Clocks beyond what memory and traffic explain before something counts as stuck.
    pub patience: u32,
    /// Younger requests that needed reads of tables and may be decided before one that waits.
    pub overtakes: u32,
}

impl ScoreboardConfig {
    /// The block of this repository, with these capabilities and choices.
    #[must_use]
    pub fn new(golden: Config) -> Self {
        Self {
            golden,
            reset_zero: true,
            merges_faults: false,
            fetch_granule: 8,
            speculates: false,
            device_atomics: false,
            exclusive_updates: false,
            settle: 128,
            patience: 4000,
            overtakes: 512,
        }
    }
}

/// How the agents answer now: what liveness bounds follow from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// `m_mem`.
    pub mem: PortTiming,
    /// `m_dev`.
    pub out: PortTiming,
    /// `s_dev`.
    pub dev: DevTiming,
    /// `s_reg`.
    pub reg: RegTiming,
}
