//! What the parts of the testbench share: bus events, memory, port timing.
#![warn(missing_docs)]

pub mod ats;
pub mod event;
pub mod hash;
pub mod mem;
pub mod timing;

pub use hash::EventHash;
pub use mem::{FaultAccess, FaultRange, MemFault, SparseMemory};
pub use timing::{DevTiming, PortTiming, RegTiming};
