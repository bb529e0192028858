//! The `iommu-cosim` program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    iommu_cosim::app::main(iommu_cosim::cli::Cli::parse())
}
