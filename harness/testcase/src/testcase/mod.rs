//! Test cases in YAML. `docs/how-to-add-a-test.md` explains them by example.
//!
//! A file is read in two passes over the same text. [`load`] decodes and checks
//! every field, so that a mistake is found before anything runs; lowering then
//! plays the steps through a [`crate::driver::Driver`] and yields operations. Lowering happens
//! at load too (with seed 0), because some mistakes, such as mapping an address
//! twice, only show there.

mod access;
mod device;
mod edits;
mod monitor;
mod parts;
mod place;
mod plan;
mod play;
mod registers;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::caps;
use crate::case::{Case, Needs, Setting, Signals, Source as CaseSource, Timings};
use crate::op::{CaseError, OpAt, Ops, Where};
use crate::stream::{Snapshot, Stream};
use crate::yaml::{Node, Result, Source};
use parts::{features, mask, read_timings};
use plan::Plan;
use play::Play;

/// Fields of the whole file, for messages.
const WHAT: &str = "a test case";
/// More operations than this from one file are a mistake in a `count` or `times`.
const MAX_OPS: usize = 4_000_000;

/// Clocks before wires are compared: an effect that needs no bus shows within them.
const SETTLE: u32 = 64;

/// Steps of a test case.
const STEPS: &[&str] = &[
    "dma",
    "traffic",
    "map",
    "unmap",
    "invalidate",
    "fence",
    "command",
    "attach",
    "detach",
    "process",
    "msi_file",
    "msi",
    "expect_mrif",
    "ats",
    "ats_request",
    "page_request",
    "stop_marker",
    "expect_page_requests",
    "expect_ats_messages",
    "answer_invalidations",
    "ats_timeout",
    "count",
    "expect_count",
    "debug",
    "mode",
    "start",
    "wait",
    "poke",
    "memory_error",
    "clear_memory_errors",
    "unspecified",
    "write_register",
    "read_register",
    "poll_register",
    "raw_register",
    "expect_faults",
    "expect_memory",
    "poll_memory",
    "expect_wires",
    "timing",
    "reset",
    "measure",
    "expect_latency",
    "expect_throughput",
    "repeat",
    "load_image",
    "note",
];

/// Reads a test case.
///
/// # Errors
/// The file cannot be read, or has a mistake.
pub fn load(path: &Path, shown: &str) -> std::result::Result<Case, CaseError> {
    let text = std::fs::read_to_string(path).map_err(|why| CaseError::Read {
        path: shown.to_owned(),
        why,
    })?;
    parse(path, shown, &text)
}

/// Reads the text of a test case; `path` is where it lies, `shown` how messages call it.
///
/// # Errors
/// It has a mistake, or names a file that does not exist.
pub fn parse(path: &Path, shown: &str, text: &str) -> std::result::Result<Case, CaseError> {
    let src = Source::new(shown, text);
    let root = src.parse()?;
    let f = src.fields(&root, WHAT)?;
    let name = src.string(f.need("name")?, "name")?.to_owned();
    let description = src
        .string(f.need("description")?, "description")?
        .trim()
        .to_owned();
    let tags = match f.get("tags") {
        Some(n) => src
            .list(n, "tags")?
            .iter()
            .map(|t| Ok(src.string(t, "a tag")?.to_owned()))
            .collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let quiesced = f.flag("quiesced", true)?;
    let mut needs = Needs {
        caps: f.get("needs").map_or(Ok(0), |n| features(&src, n))?,
        gxl: false,
    };
    let caps_mask = f
        .get("capabilities")
        .map_or(Ok(u64::MAX), |n| mask(&src, n))?;
    let timings = f
        .get("timing")
        .map_or(Ok(Timings::default()), |n| read_timings(&src, n))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = |n: &Node, what: &str| -> Result<PathBuf> {
        let at = folder.join(src.string(n, what)?);
        if at.exists() {
            Ok(at)
        } else {
            Err(src
                .at(n, format!("there is no {}", at.display()))
                .with_help("paths are relative to the test case"))
        }
    };
    let shown_beside = |n: &Node| -> Arc<str> {
        match Path::new(shown).parent() {
            Some(p) => p
                .join(n.as_str().unwrap_or(""))
                .display()
                .to_string()
                .into(),
            None => n.as_str().unwrap_or("").into(),
        }
    };

    let mut signals = Signals::Any;
    let (source, total_hint): (Arc<dyn CaseSource>, u64) = if let Some(n) = f.get("stream") {
        let messages = f.number("messages_to", u64::MAX)?;
        let overlapped = f.flag("overlapped", false)?;
        let at = beside(n, "stream")?;
        f.finish()?;
        let stream = Stream::new(at, shown_beside(n), messages).overlapped(overlapped);
        let lines = stream.lines()?;
        (Arc::new(stream), lines)
    } else if let Some(n) = f.get("snapshot") {
        let at = beside(n, "snapshot")?;
        f.finish()?;
        let snapshot = Snapshot::new(at, shown_beside(n));
        let requests = snapshot.len()?;
        (Arc::new(snapshot), requests)
    } else {
        // Unknown fields are told before mistakes in the steps.
        Plan::read(&f, caps_mask & caps::MSI_FLAT != 0)?;
        f.finish()?;
        let script = Script {
            src: src.clone(),
            root: root.clone(),
            folder: folder.to_owned(),
            extended: caps_mask & caps::MSI_FLAT != 0,
        };
        let (ops, plan_needs, plan_signals) = script.lower(0)?;
        // What a test takes away from the block it cannot need: it shows what happens without.
        needs.caps |= plan_needs.caps & caps_mask;
        needs.gxl |= plan_needs.gxl;
        signals = plan_signals;
        (Arc::new(script), ops.len() as u64)
    };
    Ok(Case {
        name,
        file: path.to_owned(),
        description,
        tags,
        quiesced,
        needs: needs.caps,
        gxl: needs.gxl,
        signals,
        fixed: Setting {
            caps_mask,
            timings,
            needs: 0,
        },
        total_hint,
        draw: None,
        source,
    })
}

/// All test cases of a folder, by name.
///
/// # Errors
/// The first one that cannot be read, or two of the same name.
pub fn load_folder(folder: &Path, shown: &str) -> std::result::Result<Vec<Case>, CaseError> {
    let entries = std::fs::read_dir(folder).map_err(|why| CaseError::Read {
        path: shown.to_owned(),
        why,
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    files.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let case = load(&path, &format!("{shown}/{name}"))?;
        if let Some(other) = cases.iter().find(|c| c.name == case.name) {
            return Err(CaseError::Other {
                file: format!("{shown}/{name}"),
                why: format!(
                    "the name '{}' is taken by {}",
                    case.name,
                    other.file.display()
                ),
            });
        }
        cases.push(case);
    }
    Ok(cases)
}

// -------------------------------------------------------------------- lowering

/// A test case with steps.
#[derive(Debug)]
struct Script {
    src: Source,
    root: Node,
    folder: PathBuf,
    extended: bool,
}

impl CaseSource for Script {
    fn ops(&self, seed: u64) -> std::result::Result<Ops, CaseError> {
        let (ops, ..) = self.lower(seed)?;
        Ok(Box::new(ops.into_iter().map(Ok)))
    }
}

impl Script {
    fn lower(&self, seed: u64) -> std::result::Result<(Vec<OpAt>, Needs, Signals), CaseError> {
        let f = self.src.fields(&self.root, WHAT)?;
        let plan = Plan::read(&f, self.extended)?;
        let src = &self.src;
        let at = Where {
            file: src.file.clone(),
            line: 1,
            text: "set-up".into(),
        };
        let mut play = Play::new(src, &self.folder, &plan, seed);
        play.set_up(&plan, &at)?;
        if let Some(steps) = f.get("steps") {
            play.steps(src.list(steps, "steps")?, 0)?;
        }
        play.end()?;
        Ok((play.out, play.needs, plan.signals))
    }
}
