//! A model by name, safe to use.

use std::fs::OpenOptions;
use std::path::Path;

use cxx::UniquePtr;

use crate::bridge::ffi;
use crate::dpi;
use crate::error::SimError;
use crate::pins::{PinsIn, PinsOut};

/// Anything with pins and a clock.
pub trait Device {
    /// One clock: drives `inputs`, samples `outputs` as flip-flops at the pins would (before the
    /// rising edge that ends it). A device may take that edge with the next clock, so that what it
    /// finds wrong is told then, with the number of the clock.
    fn tick(&mut self, inputs: &PinsIn, outputs: &mut PinsOut) -> Result<(), SimError>;

    /// Ends the last clock: nothing comes after it. What a device finds wrong in that clock, or
    /// in what is left at the end.
    fn finish(&mut self) -> Result<(), SimError> {
        Ok(())
    }

    /// Starts a waveform at `path`, over an earlier file of that name.
    fn trace_start(&mut self, path: &Path) -> Result<(), SimError> {
        let _ = path;
        Err(SimError::NoTrace)
    }

    /// Ends the waveform, if one is being written.
    fn trace_stop(&mut self) {}

    /// Writes the coverage counted so far as Verilator's `coverage.dat`.
    fn write_coverage(&mut self, path: &Path) -> Result<(), SimError> {
        Err(SimError::Coverage {
            path: path.to_path_buf(),
            why: "this device counts none".to_owned(),
        })
    }

    /// Takes what the RTL said (`$display`, `$warning`, `cosim_note`) since the last call.
    fn take_notes(&mut self) -> Vec<Note> {
        Vec::new()
    }
}

/// What a model can do beyond simulating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ModelKind {
    /// As fast as can be.
    #[default]
    Fast,
    /// Can write waveforms.
    Wave,
    /// Counts line, branch and toggle coverage; built only if `IOMMU_COVERAGE=1` at build time.
    Coverage,
}

impl ModelKind {
    fn name(self) -> &'static str {
        match self {
            ModelKind::Fast => "fast",
            ModelKind::Wave => "wave",
            ModelKind::Coverage => "coverage",
        }
    }
}

/// How to make a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    /// Kind of model.
    pub kind: ModelKind,
    /// Draws the random initial state of all that the RTL does not initialise. The same seed gives
    /// the same state with the same Verilator only; nothing observable may depend on it.
    pub seed: u64,
}

/// A device under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutInfo {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its `dut.yaml`, relative to the workspace (absolute if it lies outside).
    pub yaml: &'static str,
    /// Hash of its RTL: names and contents of the files, defines, parameters. 0 if it did not build.
    pub hash: u64,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteLevel {
    /// For who debugs the RTL.
    Debug,
    /// `$display`, `$info`.
    Info,
    /// `$warning`.
    Warning,
}

/// Something the RTL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Clock in which it was said, counted from the making of the block.
    pub cycle: u64,
    /// How much it matters.
    pub level: NoteLevel,
    /// The text, one line.
    pub message: String,
}

/// What the build script made of a device.
struct Models {
    /// Number of the model of each kind, in the order of [`ModelKind`].
    of_kind: [Option<usize>; 3],
    /// Why it could not be built.
    error: Option<&'static str>,
}

// DUTS, of which the first LISTED are for users (the rest is the tests' own), and their MODELS.
include!(concat!(env!("OUT_DIR"), "/duts.rs"));

/// Notes that nobody takes are dropped beyond this number.
const NOTES_KEPT: usize = 65_536;

/// The devices under test that this program was built with.
pub fn duts() -> &'static [DutInfo] {
    &DUTS[..LISTED]
}

/// Version of the Verilator that made the models.
pub fn verilator_version() -> &'static str {
    env!("IOMMU_VERILATOR_VERSION")
}

/// A Verilated device under test. May move between threads; any number may run at once.
pub struct Block {
    model: UniquePtr<ffi::Model>,
    kind: ModelKind,
    cycle: u64,
    notes: Vec<Note>,
    /// The first error: it stays.
    failed: Option<SimError>,
}

impl Block {
    /// Makes the device `dut` in a random initial state; its `initial` blocks have run.
    pub fn new(dut: &str, options: &ModelOptions) -> Result<Block, SimError> {
        let number = DUTS.iter().position(|info| info.name == dut);
        let models = number
            .and_then(|number| MODELS.get(number))
            .ok_or_else(|| SimError::UnknownDut {
                name: dut.to_string(),
                known: duts().iter().map(|info| info.name).collect(),
            })?;
        if let Some(log) = models.error {
            return Err(SimError::Build {
                dut: dut.to_string(),
                log: log.to_string(),
            });
        }
        let index = models.of_kind[options.kind as usize].ok_or_else(|| SimError::NotBuilt {
            dut: dut.to_string(),
            kind: options.kind.name(),
        })?;
        dpi::take();
        let model =
            ffi::new_model(index, model_seed(options.seed)).map_err(|why| SimError::Exception {
                cycle: 0,
                what: why.what().to_string(),
            })?;
        let mut block = Block {
            model,
            kind: options.kind,
            cycle: 0,
            notes: Vec::new(),
            failed: None,
        };
        block.collect();
        match &block.failed {
            Some(why) => Err(why.clone()),
            None => Ok(block),
        }
    }

    /// Writes the coverage counted so far as Verilator's `coverage.dat`.
    pub fn write_coverage(&mut self, path: &Path) -> Result<(), SimError> {
        let error = |why: String| SimError::Coverage {
            path: path.to_path_buf(),
            why,
        };
        if self.kind != ModelKind::Coverage {
            return Err(error("this model counts none".to_string()));
        }
        let text = writable(path).map_err(error)?;
        self.model
            .as_mut()
            .map_or(Ok(()), |model| ffi::write_coverage(model, text))
            .map_err(|why| error(why.what().to_string()))
    }

    /// Clocks since the making of the block.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The clock that what the model says now is about: its edges end the clock before.
    fn said_of(&self) -> u64 {
        self.cycle.saturating_sub(1)
    }

    /// Looks at what the model reported; the first error stays.
    fn conclude(&mut self, result: Result<bool, cxx::Exception>) -> Result<(), SimError> {
        let thrown = match result {
            Ok(_) => None,
            Err(why) => Some(why.what().to_string()),
        };
        self.collect();
        if let (Some(what), None) = (thrown, &self.failed) {
            self.failed = Some(SimError::Exception {
                cycle: self.said_of(),
                what,
            });
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Turns the model's report into notes and the error.
    #[cold]
    fn collect(&mut self) {
        for (level, message) in dpi::take() {
            let level = match level {
                ..=0 => NoteLevel::Debug,
                1 => NoteLevel::Info,
                _ => NoteLevel::Warning,
            };
            self.note(level, message);
        }
        let Some(model) = self.model.as_ref() else {
            return;
        };
        if !ffi::has_report(model) {
            return;
        }
        let (text, end, more) = (ffi::text(model), ffi::end(model), ffi::end_more(model));
        let (ended, file, line) = (
            ffi::end_text(model),
            ffi::end_file(model),
            ffi::end_line(model),
        );
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let level = if line.contains("%Warning") {
                NoteLevel::Warning
            } else {
                NoteLevel::Info
            };
            self.note(level, line.to_string());
        }
        if let Some(model) = self.model.as_mut() {
            ffi::clear_report(model);
        }
        let (cycle, location) = (self.said_of(), format!("{file}:{line}"));
        // The order of iommu_cosim::End.
        let error = match end {
            0 => return,
            1 => stopped(cycle, location, &ended, more),
            2 => SimError::Finish { cycle, location },
            _ => SimError::Fatal {
                cycle,
                location,
                message: ended,
            },
        };
        self.failed.get_or_insert(error);
    }

    fn note(&mut self, level: NoteLevel, message: String) {
        if self.notes.len() < NOTES_KEPT {
            self.notes.push(Note {
                cycle: self.said_of(),
                level,
                message,
            });
        }
    }
}

impl Device for Block {
    fn tick(&mut self, inputs: &PinsIn, outputs: &mut PinsOut) -> Result<(), SimError> {
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        let Some(model) = self.model.as_mut() else {
            return Ok(());
        };
        let result = ffi::tick(model, inputs, outputs);
        if !matches!(result, Ok(false)) || dpi::pending() {
            self.conclude(result)?;
        }
        self.cycle += 1;
        Ok(())
    }

    /// The edge that ends the last clock, then the RTL's `final` blocks; their assertions count.
    fn finish(&mut self) -> Result<(), SimError> {
        let result = self.model.as_mut().map_or(Ok(()), ffi::finish);
        self.conclude(result.map(|()| true))
    }

    fn trace_start(&mut self, path: &Path) -> Result<(), SimError> {
        if self.kind != ModelKind::Wave {
            return Err(SimError::NoTrace);
        }
        let error = |why: String| SimError::Trace {
            path: path.to_path_buf(),
            why,
        };
        // The writer does not say when it cannot open a file.
        let text = writable(path).map_err(error)?;
        self.model
            .as_mut()
            .map_or(Ok(()), |model| ffi::trace_start(model, text))
            .map_err(|why| error(why.what().to_string()))
    }

    fn write_coverage(&mut self, path: &Path) -> Result<(), SimError> {
        Block::write_coverage(self, path)
    }

    fn trace_stop(&mut self) {
        if let Some(model) = self.model.as_mut() {
            // Nothing is left to do about a waveform that cannot be closed.
            let _ = ffi::trace_stop(model);
        }
    }

    fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

/// Creates the file, and gives its path as the text that C++ needs.
fn writable(path: &Path) -> Result<&str, String> {
    let text = path.to_str().ok_or("the path is not UTF-8")?;
    if text.contains('\0') {
        return Err("the path holds a zero byte".to_string());
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|why| why.to_string())?;
    Ok(text)
}

/// A seed as the model takes it: 31 bits, never 0 (that would mean the time of day).
fn model_seed(seed: u64) -> i32 {
    // The finaliser of SplitMix64: neighbouring seeds give unlike states.
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    i32::try_from(bits >> 33).unwrap_or(i32::MAX).max(1)
}

/// The error behind a line like
/// `[15] %Error: a.sv:7: Assertion failed in TOP.iommu_cosim_top.u_dut.a_x: message`.
fn stopped(cycle: u64, location: String, text: &str, more: u32) -> SimError {
    let fatal = text.contains("] %Fatal: ");
    let (scope, message) = match text.split_once("Assertion failed in ") {
        Some((_, rest)) => rest.split_once(": ").unwrap_or((rest, "")),
        None => ("", text),
    };
    let scope = scope.strip_prefix("TOP.").unwrap_or(scope);
    let scope = scope
        .strip_prefix("iommu_cosim_top.")
        .unwrap_or(scope)
        .to_string();
    let message = if message.is_empty() {
        "failed"
    } else {
        message
    }
    .to_string();
    if fatal {
        let message = if scope.is_empty() {
            message
        } else {
            format!("{message} ({scope})")
        };
        SimError::Fatal {
            cycle,
            location,
            message,
        }
    } else {
        SimError::Assertion {
            cycle,
            location,
            scope,
            message,
            more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_assertion_is_taken_apart() {
        let text =
            "[15] %Error: a.sv:7: Assertion failed in TOP.iommu_cosim_top.u_dut.a_x: got 3: not 4";
        let error = stopped(1, "a.sv:7".into(), text, 0);
        let expected = SimError::Assertion {
            cycle: 1,
            location: "a.sv:7".into(),
            scope: "u_dut.a_x".into(),
            message: "got 3: not 4".into(),
            more: 0,
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_stop_without_text_is_still_an_error() {
        let error = stopped(9, "a.sv:7".into(), "$stop", 2);
        assert!(
            error.to_string().contains("$stop") && error.to_string().contains("2 more"),
            "{error}"
        );
    }

    #[test]
    fn no_seed_means_the_time_of_day() {
        for seed in [0, 1, u64::MAX, 0x61c8_8646_80b5_83eb] {
            assert!(model_seed(seed) > 0);
        }
        assert_ne!(model_seed(0), model_seed(1));
    }
}
