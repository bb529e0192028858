//! A block with pins and a clock: Verilated RTL that knows nothing of what the pins mean.
//!
//! The build script Verilates every device under test of its list (`rtl/dut.yaml`, the stubs under
//! `testcases/duts/`, and the `dut.yaml` that the environment variable `IOMMU_DUT` names at build
//! time) into a fast model and one that writes waveforms; [`Block::new`] picks one by name at run
//! time. Whatever the RTL does (`$fatal`, a failed assertion, `$finish`, a loop that does not
//! converge) arrives as a [`SimError`].
//!
//! ```
//! use iommu_sim::{Block, Device, ModelOptions, PinsIn, PinsOut};
//!
//! # fn main() -> Result<(), iommu_sim::SimError> {
//! # let name = "probe";
//! // let name = "iommu-cosim";
//! let mut block = Block::new(name, &ModelOptions::default())?;
//! let (mut inputs, mut outputs) = (PinsIn::default(), PinsOut::default());
//! block.tick(&inputs, &mut outputs)?; // rst_n is low
//! inputs.rst_n = 1;
//! block.tick(&inputs, &mut outputs)?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

// Linked for the symbols of Verilator's run-time library only.
use iommu_verilated as _;

mod block;
mod bridge;
mod dpi;
mod error;
mod pins;

pub use block::{
    Block, Device, DutInfo, ModelKind, ModelOptions, Note, NoteLevel, duts, verilator_version,
};
pub use error::SimError;
pub use pins::{PinsIn, PinsOut};
