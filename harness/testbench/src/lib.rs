//! Bus agents and protocol checks: the pins of an IOMMU as transactions and events.
//!
//! [`Testbench`] puts an agent at every port of a [`Device`](iommu_sim::Device),
//! clocks it, and tells what happened as [`Event`](iommu_bus::event::Event)s.
//! It knows no rule of IOMMUs, but every rule of the buses: see [`Rule`].
//!
//! An agent drives in clock `n` what follows from the pins up to clock `n - 1`, so
//! that a block with paths from inputs to outputs is tolerated. Exact timing:
//!
//! * `m_mem` and `m_dev` accept an address a clock and move a beat a clock.
//!   First read data `L` clocks after the address, a write's response `L` clocks
//!   after the last of address and data ([`PortTiming`](iommu_bus::PortTiming)).
//! * Memory is read in the clock of the AR handshake, and written in the clock in
//!   which BVALID rises, before that clock's reads.
//! * `s_dev` and `s_reg` agents drive an address, or a beat, a clock.
//!
//! While a valid is low its payload pins carry junk.
//!
//! ```
//! use iommu_sim::{Device, PinsIn, PinsOut, SimError};
//! use iommu_testbench::{RegOp, Testbench, TestbenchConfig};
//!
//! /// A block that answers nobody.
//! struct Silent;
//! impl Device for Silent {
//!     fn tick(&mut self, _: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
//!         *o = PinsOut::default();
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), iommu_testbench::TbError> {
//! let mut tb = Testbench::new(Box::new(Silent), TestbenchConfig::default());
//! tb.reset(4)?;
//! tb.submit_reg(RegOp::Read { offset: 0, size: 8 });
//! for _ in 0..100 {
//!     assert!(tb.step()?.is_empty());
//! }
//! assert_eq!(tb.outstanding().reg, 1);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod ats;
pub mod axi;
mod context;
mod device;
mod pins;
pub mod protocol;
mod register;
mod rng;
mod subordinate;
mod testbench;

#[cfg(test)]
mod tests;

pub use ats::{AtsCompletion, AtsConfig};
pub use device::{DevCompletion, DevDir, DevTicket, DevTransaction};
pub use iommu_bus::ats::{
    AtsInvalidation, AtsInvalidationDone, AtsPageRequest, AtsPageResponse, AtsRange, AtsRequest,
};
pub use protocol::{Channel, Port, Rule, Violation};
pub use register::{RegCompletion, RegOp, RegTicket};
pub use testbench::{Outstanding, TbError, Testbench, TestbenchConfig};
