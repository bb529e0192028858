//! What can go wrong with a model.

use std::path::PathBuf;

/// Why a block could not be made, or could not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// An assertion of the RTL failed, or it called `$error` or `$stop`.
    #[error("RTL assertion at cycle {cycle}: {message} ({scope}, {location}{})", also(*.more))]
    Assertion {
        /// Clock of the failure, counted from the making of the block.
        cycle: u64,
        /// `file:line` in the RTL.
        location: String,
        /// Hierarchical name below the device, e.g. `u_dut.u_core.a_no_overflow`.
        scope: String,
        /// What the RTL says about it.
        message: String,
        /// Further failures in the same clock.
        more: u32,
    },
    /// The RTL called `$fatal` (Verilator 5.006 does not tell it from a failed assertion), or the
    /// simulation cannot go on, e.g. because a loop does not converge.
    #[error("RTL fatal error at cycle {cycle}: {message} ({location})")]
    Fatal {
        /// Clock of the failure.
        cycle: u64,
        /// `file:line` in the RTL.
        location: String,
        /// What the RTL or the simulator says about it.
        message: String,
    },
    /// The RTL called `$finish`.
    #[error("the RTL called $finish at cycle {cycle} ({location})")]
    Finish {
        /// Clock of the call.
        cycle: u64,
        /// `file:line` in the RTL.
        location: String,
    },
    /// There is no device under test of this name.
    #[error("there is no device under test `{name}`; there are: {}", .known.join(", "))]
    UnknownDut {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Verilator refused the device's RTL when this program was built.
    #[error("the RTL of `{dut}` could not be built:\n{log}")]
    Build {
        /// The device.
        dut: String,
        /// What Verilator said.
        log: String,
    },
    /// This kind of model of the device was not built.
    #[error("`{dut}` was built without a {kind} model")]
    NotBuilt {
        /// The device.
        dut: String,
        /// The kind of model.
        kind: &'static str,
    },
    /// A waveform cannot be written.
    #[error("cannot write the waveform {}: {why}", .path.display())]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// This model has no waveforms.
    #[error("this model writes no waveforms")]
    NoTrace,
    /// The coverage cannot be written.
    #[error("cannot write the coverage {}: {why}", .path.display())]
    Coverage {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A C++ exception in the model.
    #[error("the model failed at cycle {cycle}: {what}")]
    Exception {
        /// Clock of the failure.
        cycle: u64,
        /// What the exception says.
        what: String,
    },
}

fn also(more: u32) -> String {
    if more == 0 {
        String::new()
    } else {
        format!(", and {more} more in this clock")
    }
}
