//! A test: what it needs, how the ports behave, and its operations.

use std::path::PathBuf;
use std::sync::Arc;

use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::caps;
use crate::dut::Choices;
use crate::op::{CaseError, Ops};

/// How the ports behave at the beginning of a test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timings {
    /// Memory behind `m_mem`.
    pub mem: PortTiming,
    /// Memory behind `m_dev`.
    pub out: PortTiming,
    /// Devices at `s_dev`.
    pub dev: DevTiming,
    /// Host at `s_reg`.
    pub reg: RegTiming,
}

/// Where operations come from, given a seed.
pub trait Source: Send + Sync {
    /// The operations, from the beginning.
    ///
    /// # Errors
    /// What can be found out before the first operation.
    fn ops(&self, seed: u64) -> Result<Ops, CaseError>;
}

/// What of a test depends on the seed: a random test draws even its capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `cfg_caps_i`: the capabilities that the test leaves to the block.
    pub caps_mask: u64,
    /// How the ports behave at the beginning.
    pub timings: Timings,
    /// Bits of `capabilities` that this seed relies on, besides [`Case::needs`].
    pub needs: u64,
}

/// What a block must have for a test to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Bits of `capabilities`.
    pub caps: u64,
    /// `fctl.GXL` can be written (a choice of the block, dut.yaml: `gxl_writable`).
    pub gxl: bool,
}

/// How a test wants the IOMMU to signal (`capabilities.IGS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signals {
    /// It does not matter.
    #[default]
    Any,
    /// By message.
    Messages,
    /// By wire.
    Wires,
}

/// One test.
#[derive(Clone)]
pub struct Case {
    /// Unique name: `TEST=name`.
    pub name: String,
    /// Where it is written.
    pub file: PathBuf,
    /// What it shows, in a sentence or two.
    pub description: String,
    /// Words to select by.
    pub tags: Vec<String>,
    /// The test waits for what is under way before it edits tables or changes modes, so that
    /// each request has one legal outcome.
    pub quiesced: bool,
    /// Bits of `capabilities` that the block must have; without them the test does not apply.
    pub needs: u64,
    /// `fctl.GXL` must be writable (a choice of the block, dut.yaml: `gxl_writable`).
    pub gxl: bool,
    /// How the block must be able to signal interrupts.
    pub signals: Signals,
    /// Capabilities and timing, when they do not depend on the seed; ask [`Case::setting`].
    pub fixed: Setting,
    /// Operations, roughly: the length of the progress bar.
    pub total_hint: u64,
    /// Capabilities and timing of a seed, for tests that draw them.
    pub draw: Option<Arc<dyn Fn(u64) -> Setting + Send + Sync>>,
    /// Where the operations come from.
    pub source: Arc<dyn Source>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Case {
    /// The operations for a seed, from the beginning. The block is out of reset when they
    /// begin, and memory holds zeros.
    ///
    /// # Errors
    /// What can be found out before the first operation.
    pub fn ops(&self, seed: u64) -> Result<Ops, CaseError> {
        self.source.ops(seed)
    }

    /// What the block lacks for this test, in words; `caps` is its `capabilities` register under
    /// the mask of [`Case::setting`], `choices` what its dut.yaml declares.
    #[must_use]
    pub fn missing(&self, seed: u64, caps: u64, choices: &Choices) -> Option<String> {
        let bits = (self.needs | self.setting(seed).needs) & !caps;
        if bits != 0 {
            return Some(caps::names(bits).join(", "));
        }
        if self.gxl && !choices.gxl_writable {
            return Some("a writable fctl.GXL".into());
        }
        match (self.signals, caps >> caps::IGS_SHIFT & 3) {
            (Signals::Messages, 1) => Some("interrupts by message".into()),
            (Signals::Wires, 0) => Some("interrupts by wire".into()),
            _ => None,
        }
    }

    /// Capabilities and timing for a seed.
    #[must_use]
    pub fn setting(&self, seed: u64) -> Setting {
        match &self.draw {
            Some(draw) => draw(seed),
            None => self.fixed.clone(),
        }
    }
}
