//! What a person and a machine read after a run: the table, the failures'
//! stories, and `results.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::metrics::{Latency, LatencyClass, Metrics};

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every check held.
    Passed,
    /// A check failed, or the block broke down.
    Failed,
    /// The test could not be run at all (bad input, missing file).
    Error,
    /// Stopped by Ctrl-C.
    Interrupted,
    /// The block does not support what the test needs.
    Skipped,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::Failed => "FAIL",
            Self::Error => "ERROR",
            Self::Interrupted => "stopped",
            Self::Skipped => "skipped",
        }
    }

    const fn color(self) -> Color {
        match self {
            Self::Passed => Color::Green,
            Self::Failed | Self::Error => Color::Red,
            Self::Interrupted | Self::Skipped => Color::Yellow,
        }
    }
}

/// Why a test did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Clock of the mismatch, counted from the first of the run.
    pub cycle: u64,
    /// The check that failed.
    pub check: String,
    /// The rule: section of the specification or of the bus protocol.
    pub rule: String,
    /// What the rule asks for.
    pub expected: String,
    /// What was seen.
    pub got: String,
    /// What led to it.
    pub story: String,
    /// The step of the test case that was under way.
    pub at: String,
    /// The waveform round the mismatch, once it has been written.
    pub waveform: Option<String>,
}

/// The result of one test with one seed.
#[derive(Debug)]
pub struct RunResult {
    /// Name of the test.
    pub name: String,
    /// Seed of everything drawn in it.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// Simulated clocks.
    pub cycles: u64,
    /// Wall-clock time.
    pub wall: Duration,
    /// Hash of every event and its clock; equal on every machine.
    pub event_hash: u64,
    /// Throughput and latency.
    pub metrics: Metrics,
    /// The first failures, oldest first.
    pub failures: Vec<Failure>,
    /// The line to paste that runs this again.
    pub replay: String,
    /// Why it was skipped or could not run.
    pub why: Option<String>,
    /// What it was made from.
    pub hashes: Hashes,
}

/// Hashes of what a result depends on besides its seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Sources of the block.
    pub rtl: u64,
    /// The profile of a random test.
    pub profile: Option<u64>,
}

impl RunResult {
    /// Simulated clock rate, kHz.
    pub fn khz(&self) -> f64 {
        rate(self.cycles, self.wall) / 1e3
    }

    /// Checked transactions a second of wall-clock time.
    pub fn transactions_per_second(&self) -> f64 {
        rate(self.metrics.transactions(), self.wall)
    }

    /// Translations a cycle between the first accepted and the last decided one.
    pub fn translations_per_cycle(&self) -> Option<f64> {
        let window = self.metrics.window();
        (window > 0).then(|| self.metrics.transactions() as f64 / window as f64)
    }
}

fn rate(n: u64, wall: Duration) -> f64 {
    let s = wall.as_secs_f64();
    if s > 0.0 { n as f64 / s } else { 0.0 }
}

/// `1234567` as `1,234,567`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn latency_cell(l: Option<Latency>) -> Cell {
    let text = l.map_or_else(String::new, |l| format!("{} {} {}", l.p50, l.p99, l.max));
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// The table of results. `color` as the terminal allows.
pub fn table(results: &[&RunResult], color: bool) -> String {
    let mut t = Table::new();
    t.load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec![
        "test".to_owned(),
        "verdict".to_owned(),
        "cycles".to_owned(),
        "trans-\nactions".to_owned(),
        "transl.\n/cycle".to_owned(),
    ];
    header.extend(
        LatencyClass::ALL
            .iter()
            .map(|c| format!("{}\np50 p99 max", c.title())),
    );
    header.extend(["kHz".to_owned(), "checked\ntrans./s".to_owned()]);
    t.set_header(header);
    let right = |s: String| Cell::new(s).set_alignment(CellAlignment::Right);
    for r in results {
        let mut verdict = Cell::new(r.verdict.word());
        if color {
            verdict = verdict.fg(r.verdict.color());
        }
        let mut row = vec![Cell::new(&r.name), verdict];
        if matches!(r.verdict, Verdict::Skipped | Verdict::Error) && r.cycles == 0 {
            row.extend((0..LatencyClass::ALL.len() + 5).map(|_| Cell::new("")));
        } else {
            row.push(right(grouped(r.cycles)));
            row.push(right(grouped(r.metrics.transactions())));
            row.push(right(
                r.translations_per_cycle()
                    .map_or_else(String::new, |x| format!("{x:.3}")),
            ));
            row.extend(
                LatencyClass::ALL
                    .iter()
                    .map(|&c| latency_cell(r.metrics.latency(c))),
            );
            row.push(right(format!("{:.0}", r.khz())));
            row.push(right(grouped(r.transactions_per_second() as u64)));
        }
        t.add_row(row);
    }
    t.to_string()
}

/// Sums over a whole run, as one line of text a figure.
pub fn summary(results: &[RunResult], wall: Duration) -> String {
    let count = |v| results.iter().filter(|r| r.verdict == v).count();
    let cycles: u64 = results.iter().map(|r| r.cycles).sum();
    let transactions: u64 = results.iter().map(|r| r.metrics.transactions()).sum();
    let mut s = String::new();
    let _ = writeln!(
        s,
        "{} cycles, {} checked transactions in {:.1} s: {:.0} kHz, {} checked transactions/s",
        grouped(cycles),
        grouped(transactions),
        wall.as_secs_f64(),
        rate(cycles, wall) / 1e3,
        grouped(rate(transactions, wall) as u64),
    );
    let failed = count(Verdict::Failed) + count(Verdict::Error);
    let _ = write!(s, "{} passed, {} failed", count(Verdict::Passed), failed);
    for (v, w) in [
        (Verdict::Skipped, "skipped"),
        (Verdict::Interrupted, "stopped"),
    ] {
        if count(v) > 0 {
            let _ = write!(s, ", {} {w}", count(v));
        }
    }
    // What was not shown, and why: a skipped test is no passed one.
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for r in results.iter().filter(|r| r.verdict == Verdict::Skipped) {
        let why = r.why.as_deref().unwrap_or("no reason given");
        reasons.entry(why).or_default().push(&r.name);
    }
    for (why, names) in reasons {
        let _ = write!(s, "\n  skipped, {why}: {}", names.join(", "));
    }
    s
}

/// The story of one result that did not pass.
pub fn story(r: &RunResult) -> String {
    let mut s = String::new();
    let _ = writeln!(s, "{} {} (seed {})", r.verdict.word(), r.name, r.seed);
    if let Some(why) = &r.why {
        let _ = writeln!(s, "  {why}");
    }
    for f in &r.failures {
        let _ = writeln!(s, "  at cycle {}: {}", grouped(f.cycle), f.check);
        for (label, text) in [
            ("rule", &f.rule),
            ("expected", &f.expected),
            ("got", &f.got),
            ("step", &f.at),
            ("story", &f.story),
        ] {
            let mut lines = text.lines();
            if let Some(first) = lines.next() {
                let _ = writeln!(s, "    {label:<9}{first}");
            }
            for l in lines {
                let _ = writeln!(s, "             {l}");
            }
        }
        if let Some(w) = &f.waveform {
            let _ = writeln!(s, "    {:<9}{w}", "waves");
        }
    }
    let _ = write!(s, "  again: {}", r.replay);
    if let Some(hash) = r.hashes.profile {
        let _ = write!(s, "   # profile {hash:016x}, RTL {:016x}", r.hashes.rtl);
    }
    s
}

#[derive(Serialize)]
struct JsonResult<'a> {
    test: &'a str,
    seed: u64,
    verdict: Verdict,
    cycles: u64,
    wall_seconds: f64,
    event_hash: String,
    transactions: u64,
    bytes: u64,
    mem_reads: u64,
    window_cycles: u64,
    most_overtaken: u32,
    latency: Vec<JsonLatency>,
    failures: &'a [Failure],
    why: Option<&'a str>,
    replay: &'a str,
    rtl_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_hash: Option<String>,
}

#[derive(Serialize)]
struct JsonLatency {
    class: LatencyClass,
    #[serde(flatten)]
    latency: Latency,
}

/// Whether a file can be written there, without a change to one that is there; makes its folder.
///
/// # Errors
/// It can't be, and why.
pub fn writable(path: &Path) -> Result<(), String> {
    let try_it = || {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let there = path.exists();
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)?;
        if there {
            Ok(())
        } else {
            std::fs::remove_file(path)
        }
    };
    try_it().map_err(|e: io::Error| format!("cannot write {}: {e}", path.display()))
}

/// Writes all results for machines; called after each test, so that a killed
/// run loses nothing.
pub fn write_json(path: &Path, results: &[&RunResult]) -> io::Result<()> {
    let rows: Vec<_> = results
        .iter()
        .map(|r| JsonResult {
            test: &r.name,
            seed: r.seed,
            verdict: r.verdict,
            cycles: r.cycles,
            wall_seconds: r.wall.as_secs_f64(),
            event_hash: format!("{:016x}", r.event_hash),
            transactions: r.metrics.transactions(),
            bytes: r.metrics.bytes(),
            mem_reads: r.metrics.mem_reads(),
            window_cycles: r.metrics.window(),
            most_overtaken: r.metrics.most_overtaken(),
            latency: LatencyClass::ALL
                .iter()
                .filter_map(|&class| {
                    r.metrics
                        .latency(class)
                        .map(|latency| JsonLatency { class, latency })
                })
                .collect(),
            failures: &r.failures,
            why: r.why.as_deref(),
            replay: &r.replay,
            rtl_hash: format!("{:016x}", r.hashes.rtl),
            profile_hash: r.hashes.profile.map(|h| format!("{h:016x}")),
        })
        .collect();
    let text = serde_json::to_string_pretty(&rows).map_err(io::Error::other)?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    // Renamed into place: a reader never sees half a file.
    let tmp = path.with_extension("json.part");
    std::fs::write(&tmp, text)?;
    std::fs::rename(&tmp, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn the_summary_says_why_tests_were_skipped() {
        let result = |name: &str, verdict, why: Option<&str>| RunResult {
            name: name.to_owned(),
            seed: 1,
            verdict,
            cycles: 1,
            wall: Duration::from_millis(1),
            event_hash: 0,
            metrics: Metrics::default(),
            failures: vec![],
            replay: String::new(),
            why: why.map(str::to_owned),
            hashes: Hashes::default(),
        };
        let text = summary(
            &[
                result("a", Verdict::Passed, None),
                result("b", Verdict::Skipped, Some("needs ATS")),
                result("c", Verdict::Skipped, Some("needs HPM")),
                result("d", Verdict::Skipped, Some("needs ATS")),
            ],
            Duration::from_secs(1),
        );
        let last: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            last,
            [
                "1 passed, 0 failed, 3 skipped",
                "  skipped, needs ATS: b, d",
                "  skipped, needs HPM: c"
            ]
        );
    }
}
