//! Co-simulation of IOMMU hardware against a golden model: test cases in,
//! verdict, throughput and latency out.
//!
//! [`app`] is the program, [`run`] runs one test on one model, [`suite`] many
//! on all cores, [`report`] tells a person and a machine what came of it.
#![warn(missing_docs)]

pub mod app;
mod bench;
pub mod cli;
mod closure;
pub mod coverage;
pub mod dut;
mod masks;
pub mod metrics;
pub mod prove;
pub mod random;
pub mod reduce;
pub mod report;
pub mod run;
pub mod suite;
