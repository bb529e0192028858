//! Test cases, recorded streams and the software driver of the IOMMU testbench.
//!
//! Everything a test is made of lowers to an iterator of [`op::Op`], see there.
#![warn(missing_docs)]

pub mod caps;
pub mod case;
pub mod diag;
pub mod op;
pub mod regs;
pub mod rng;
pub mod stream;
pub mod yaml;

pub use case::{Case, Setting, Source, Timings};
pub use op::{CaseError, Dma, Expect, ExpectedRecord, Op, OpAt, Ops, Where};
