//! A software IOMMU at the pins: a device under test for the harness itself.
//!
//! What it computes is the golden model's; what it adds is everything that hardware has and the
//! golden model does not: caches without a bound, walks under way at once, merged and reordered,
//! invalidations put off as long as they may be, answers in any order. Each such freedom is drawn
//! from the seed, so that over many seeds it does whatever a legal IOMMU may do, and nothing else.
//! A scoreboard that complains about it is too strict.
//!
//! With a [`Bug`] it is one small step from legal: a scoreboard that finds no seed to tell is too
//! loose.
//!
//! ```
//! use iommu_sim::{Device, PinsIn, PinsOut};
//! use iommu_softdut::SoftIommu;
//!
//! let mut iommu = SoftIommu::new("soft", 1)?;
//! let (mut inputs, mut outputs) = (PinsIn::default(), PinsOut::default());
//! inputs.cfg_caps = !0;
//! iommu.tick(&inputs, &mut outputs)?; // rst_n is low
//! inputs.rst_n = 1;
//! iommu.tick(&inputs, &mut outputs)?;
//! iommu.tick(&inputs, &mut outputs)?;
//! assert_eq!(outputs.s_reg_arready, 1);
//! assert!(SoftIommu::new("soft:no-such-bug", 1).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ats;
mod bug;
mod cache;
mod dev;
mod habit;
mod job;
mod port;
mod queue;
mod regs;
mod replay;
mod state;

pub use bug::Bug;

use iommu_golden::config::WideAddress;
use iommu_golden::{Capabilities, Choices, Config, ConfigError, Igs};
use iommu_sim::{Device, PinsIn, PinsOut, SimError};

use crate::state::State;

/// The name that selects this device; `soft:<bug>` selects a wrong one.
pub const NAME: &str = "soft";
/// The same device where it is a smaller block, with other choices ([`narrow_choices`]).
pub const NARROW: &str = "soft-narrow";

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoftError {
    /// It has another name.
    #[error("the software device is called `soft`, or `soft:` and the name of a bug")]
    Name,
    /// There is no such wrong behaviour.
    #[error("there is no wrong behaviour `{name}`; there are: {}", names().join(", "))]
    UnknownBug {
        /// What was asked for.
        name: String,
    },
    /// The harness's own mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

fn names() -> Vec<&'static str> {
    Bug::ALL.iter().map(|b| b.name()).collect()
}

/// Whether a device of this name is one of this crate's.
#[must_use]
pub fn is_soft(name: &str) -> bool {
    matches!(name.split(':').next(), Some(NAME | NARROW))
}

/// Whether the device of this name is the smaller block.
#[must_use]
pub fn is_narrow(name: &str) -> bool {
    name.split(':').next() == Some(NARROW)
}

/// The wrong behaviour that a device's name asks for.
///
/// # Errors
/// An unknown name.
pub fn bug_of(name: &str) -> Result<Option<Bug>, SoftError> {
    match name.split_once(':') {
        _ if !is_soft(name) => Err(SoftError::Name),
        None => Ok(None),
        Some((_, bug)) => match Bug::of_name(bug) {
            Some(bug) => Ok(Some(bug)),
            None => Err(SoftError::UnknownBug {
                name: bug.to_owned(),
            }),
        },
    }
}

/// What it can do, before `cfg_caps_i` masks it: everything.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities::version_1_0()
        .with(
            Capabilities::SV32
                | Capabilities::SV39
                | Capabilities::SV48
                | Capabilities::SV57
                | Capabilities::SVRSW60T59B
                | Capabilities::SVPBMT
                | Capabilities::SV32X4
                | Capabilities::SV39X4
                | Capabilities::SV48X4
                | Capabilities::SV57X4
                | Capabilities::MSI_FLAT
                | Capabilities::PD8
                | Capabilities::PD17
                | Capabilities::PD20
                | Capabilities::NL
                | Capabilities::S
                | Capabilities::AMO_MRIF
                | Capabilities::MSI_MRIF
                | Capabilities::AMO_HWAD
                | Capabilities::ATS
                | Capabilities::T2GPA
                | Capabilities::END
                | Capabilities::HPM
                | Capabilities::DBG
                | Capabilities::QOSID,
        )
        .with_igs(Igs::Both)
        .with_pas(56)
}

/// Its implementation-defined choices.
#[must_use]
pub fn choices() -> Choices {
    Choices::default()
}

/// What [`NARROW`] does otherwise: few bits of RCID and MCID, and addresses wider than PAS are found
/// when a context is located.
#[must_use]
pub fn narrow_choices() -> Choices {
    Choices {
        rcid_bits: 4,
        mcid_bits: 5,
        wide_address: WideAddress::Misconfigured,
        ..choices()
    }
}

/// What is left of `capabilities` under the mask (docs/pins.md).
fn masked(caps: Capabilities, mask: u64) -> Capabilities {
    const PLAIN: u64 = !(0xff | 3 << 28 | 0x3f << 32);
    let mut left = Capabilities(caps.0 & (mask | !PLAIN));
    left = left.with_pas(caps.pas().min(Capabilities(mask).pas()));
    left = left.with_igs(match Capabilities(mask).igs() {
        Igs::Msi => Igs::Msi,
        Igs::Wsi => Igs::Wsi,
        Igs::Both | Igs::Reserved => Igs::Both,
    });
    // "When Sv48 is set, Sv39 must be set"; what cannot be is left out.
    if !left.has(Capabilities::SV39) {
        left = left.without(Capabilities::SV48);
    }
    if !left.has(Capabilities::SV48) {
        left = left.without(Capabilities::SV57);
    }
    left
}

/// The device.
#[derive(Debug)]
pub struct SoftIommu {
    bug: Option<Bug>,
    caps: Capabilities,
    seed: u64,
    choices: Choices,
    state: State,
    /// Times that it was reset: each life draws habits of its own.
    resets: u64,
    next: PinsOut,
    in_reset: bool,
}

impl SoftIommu {
    /// The device of this name, with the habits of this seed.
    ///
    /// # Errors
    /// An unknown name.
    pub fn new(name: &str, seed: u64) -> Result<Self, SoftError> {
        let bug = bug_of(name)?;
        let caps = capabilities();
        let choices = if is_narrow(name) {
            narrow_choices()
        } else {
            choices()
        };
        let config = Config {
            capabilities: caps,
            choices: choices.clone(),
        };
        Ok(Self {
            bug,
            caps,
            seed,
            choices,
            state: State::new(config, seed, bug)?,
            resets: 0,
            next: PinsOut::default(),
            in_reset: true,
        })
    }

    fn reset(&mut self, mask: u64) {
        // A capability combination that no IOMMU can have leaves the device as it was.
        let seed = self.seed.wrapping_add(self.resets << 48);
        self.resets += 1;
        let config = Config {
            capabilities: masked(self.caps, mask),
            choices: self.choices.clone(),
        };
        if let Ok(mut state) = State::new(config, seed, self.bug) {
            if self.bug == Some(Bug::KeptOverReset) {
                state.cache = self.state.cache.clone();
            }
            self.state = state;
        }
    }
}

impl Device for SoftIommu {
    fn tick(&mut self, inputs: &PinsIn, outputs: &mut PinsOut) -> Result<(), SimError> {
        if inputs.rst_n == 0 {
            self.in_reset = true;
            self.next = PinsOut::default();
            *outputs = self.next;
            return Ok(());
        }
        if self.in_reset {
            // Capabilities are sampled here.
            self.in_reset = false;
            self.reset(inputs.cfg_caps);
        }
        *outputs = self.next;
        self.state.step(inputs, &mut self.next);
        Ok(())
    }
}
