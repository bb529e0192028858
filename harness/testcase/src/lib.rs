//! Test cases, recorded streams and the software driver of the IOMMU testbench.
//!
//! Everything a test is made of lowers to an iterator of [`op::Op`], see there.
#![warn(missing_docs)]

pub mod ats;
pub mod caps;
pub mod case;
pub mod diag;
pub mod driver;
pub mod dump;
pub mod dut;
pub mod op;
pub mod random;
pub mod regs;
pub mod rng;
pub mod stream;
pub mod testcase;
pub mod yaml;

pub use case::{Case, Setting, Signals, Source, Timings};
pub use op::{CaseError, Dma, Expect, ExpectedRecord, Op, OpAt, Ops, Where};

/// All test cases of a checkout: `testcases/*.yaml` below its root, by file name.
///
/// # Errors
/// The first one that cannot be read.
pub fn load_all(root: &std::path::Path) -> Result<Vec<Case>, CaseError> {
    testcase::load_folder(&root.join("testcases"), "testcases")
}
