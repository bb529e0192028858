//! Reports: figures and holes as text, everything as one HTML page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::cover::Goal;
use serde::Serialize;

use crate::database::{Block, Cover, RunNote};
use crate::plan;
use crate::rtl::{Excluded, Exclusion, Kind};

/// What has to be said of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Points (one axis) that have to be hit: hit, and all.
    pub points: (usize, usize),
    /// Bins of crosses that have to be hit: hit, and all.
    pub crosses: (usize, usize),
    /// Bins that are good to know.
    pub nice: (usize, usize),
    /// Bins that are hit although a rule excludes them.
    pub impossible: Vec<String>,
    /// Of the RTL, by kind: hit, and all; empty where it was not counted.
    pub rtl: Vec<(Kind, usize, usize)>,
    /// States of the RTL's state machines: reached, and all.
    pub states: (usize, usize),
    /// Figures of each file, in the order of [`Kind::ALL`].
    pub files: BTreeMap<String, Vec<(usize, usize)>>,
    /// Exclusions of the RTL that are wrong.
    pub stale: Vec<String>,
}

impl Summary {
    /// All that has to be hit was hit, and no exclusion is wrong.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.points.0 == self.points.1
            && self.crosses.0 * 100 >= self.crosses.1 * 95
            && self
                .rtl
                .iter()
                .all(|&(k, hit, of)| hit * 100 >= of * goal(k))
            && self.states.0 == self.states.1
            && self.impossible.is_empty()
            && self.stale.is_empty()
    }
}

/// Percentage of a kind that has to be hit, once what cannot be hit is excluded.
const fn goal(kind: Kind) -> usize {
    match kind {
        Kind::Line => 98,
        Kind::Branch => 95,
        Kind::Toggle | Kind::Expression => 0,
        Kind::Arc => 100,
    }
}

/// Whether it has several axes.
fn crosses(c: &Cover) -> bool {
    c.axes.len() > 1
}

/// Figures of a block.
pub fn summary(
    block: &Block,
    exclusions: &[Exclusion],
    source: impl Fn(&str) -> Option<String>,
) -> Summary {
    let mut s = Summary::default();
    for (name, c) in &block.functional.covers {
        let (hit, of) = c.figures();
        let figures = match (c.goal, crosses(c)) {
            (Goal::Must, false) => &mut s.points,
            (Goal::Must, true) => &mut s.crosses,
            (Goal::Nice, _) => &mut s.nice,
        };
        figures.0 += hit;
        figures.1 += of;
        for (bin, rule) in c.impossible_hits() {
            s.impossible
                .push(format!("{name}/{} (rule {rule})", c.label(bin)));
        }
    }
    if !block.rtl.is_empty() {
        let excluded = block.rtl.exclude(exclusions, source);
        for kind in Kind::ALL {
            let (hit, of) = block.rtl.figures(None, kind, &excluded);
            s.rtl.push((kind, hit, of));
        }
        s.states = block.rtl.states();
        s.files = files(block, &excluded);
        s.stale = excluded.stale;
    }
    s
}

fn files(block: &Block, excluded: &Excluded<'_>) -> BTreeMap<String, Vec<(usize, usize)>> {
    block
        .rtl
        .files()
        .into_iter()
        .map(|f| {
            let figures = Kind::ALL
                .iter()
                .map(|&k| block.rtl.figures(Some(f), k, excluded))
                .collect();
            (f.to_owned(), figures)
        })
        .collect()
}

/// Percentage with one decimal; never 100.0 unless all are hit.
#[must_use]
pub fn percent((hit, of): (usize, usize)) -> String {
    match of {
        0 => "-".to_owned(),
        _ => {
            let tenths = hit * 1000 / of;
            format!("{}.{}", tenths / 10, tenths % 10)
        }
    }
}

/// Figures and holes for a terminal.
#[must_use]
pub fn text(block: &Block, s: &Summary, holes: usize) -> String {
    let mut out = String::new();
    let cycles: u64 = block.runs.iter().map(|r| r.cycles).sum();
    let _ = writeln!(out, "{} runs, {cycles} cycles", block.runs.len());
    let _ = writeln!(out, "{:<28} {:>6} {:>6} {:>7}", "cover", "hit", "of", "%");
    for (name, c) in &block.functional.covers {
        let f = c.figures();
        let note = match (f, c.goal) {
            ((_, 0), _) => "  not for this block",
            (_, Goal::Nice) => "  nice to have",
            _ => "",
        };
        let _ = writeln!(
            out,
            "{name:<28} {:>6} {:>6} {:>7}{note}",
            f.0,
            f.1,
            percent(f)
        );
        if c.goal == Goal::Nice {
            continue;
        }
        let all: Vec<usize> = c.holes().collect();
        for &bin in all.iter().take(holes) {
            let _ = writeln!(out, "    not hit: {}", c.label(bin));
        }
        if all.len() > holes {
            let _ = writeln!(out, "    and {} more", all.len() - holes);
        }
    }
    for (what, f) in [
        ("points that must be hit", s.points),
        ("crosses that must be hit", s.crosses),
        ("nice to have", s.nice),
    ] {
        let _ = writeln!(out, "{what:<28} {:>6} {:>6} {:>7}", f.0, f.1, percent(f));
    }
    for line in &s.impossible {
        let _ = writeln!(out, "WRONG RULE: excluded, and hit: {line}");
    }
    if s.rtl.is_empty() {
        out.push_str("RTL coverage was not counted (build with IOMMU_COVERAGE=1)\n");
        return out;
    }
    let _ = write!(out, "{:<40}", "RTL, %");
    for kind in Kind::ALL {
        let _ = write!(out, " {:>10}", kind.name());
    }
    out.push('\n');
    for (file, figures) in &s.files {
        let _ = write!(out, "{file:<40}");
        for &f in figures {
            let _ = write!(out, " {:>10}", percent(f));
        }
        out.push('\n');
    }
    let _ = write!(out, "{:<40}", "all");
    for &(_, hit, of) in &s.rtl {
        let _ = write!(out, " {:>10}", percent((hit, of)));
    }
    out.push('\n');
    let _ = write!(out, "{:<40}", "to be reached");
    for kind in Kind::ALL {
        let goal = match goal(kind) {
            0 => String::new(),
            n => n.to_string(),
        };
        let _ = write!(out, " {goal:>10}");
    }
    let _ = writeln!(out, "\nstates reached: {} of {}", s.states.0, s.states.1);
    for line in &s.stale {
        let _ = writeln!(out, "WRONG EXCLUSION: {line}");
    }
    out
}

/// A file of the RTL as the page shows it.
#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    figures: Vec<(usize, usize)>,
    source: Vec<String>,
    /// Hits of each line that has statements.
    lines: BTreeMap<u32, u64>,
    /// Line, kind, object, hits, why excluded. Of toggles only those that did not happen.
    points: Vec<(u32, &'static str, &'a str, u64, &'a str)>,
}

/// A row of the verification plan as the page shows it.
#[derive(Serialize)]
struct PlanRow<'a> {
    id: &'a str,
    sentence: &'a str,
    tests: &'a [String],
    bins: usize,
    own: usize,
    any: usize,
    wrong: Vec<String>,
}

fn plan_rows<'a>(block: &Block, rows: &'a [plan::Row]) -> Vec<PlanRow<'a>> {
    rows.iter()
        .map(|row| {
            let s = plan::standing(row, block);
            let mut wrong = Vec::new();
            wrong.extend(s.idle_bins.iter().map(|b| format!("not hit: {b}")));
            wrong.extend(s.idle_tests.iter().map(|t| format!("{t} hits none")));
            PlanRow {
                id: &row.id,
                sentence: &row.sentence,
                tests: &row.tests,
                bins: s.bins,
                own: s.by_its_tests,
                any: s.by_any,
                wrong,
            }
        })
        .collect()
}

#[derive(Serialize)]
struct Page<'a> {
    key: &'a str,
    block: &'a BTreeMap<String, Cover>,
    runs: &'a [RunNote],
    curves: &'a BTreeMap<String, Vec<(u64, usize)>>,
    points: (usize, usize),
    crosses: (usize, usize),
    nice: (usize, usize),
    rtl: Vec<(&'static str, usize, usize)>,
    kinds: Vec<&'static str>,
    /// Percentages that have to be hit, by kind; 0 for none.
    goals: Vec<usize>,
    states: (usize, usize),
    plan: Vec<PlanRow<'a>>,
    files: Vec<File<'a>>,
    wrong: Vec<String>,
}

/// The page, without its data.
const PAGE: &str = include_str!("page.html");
/// Where the data goes.
const PLACE: &str = "/*DATA*/null";

/// Everything, as one page that needs nothing else; with the plan's `rows`, which may be none.
///
/// # Errors
/// What is counted cannot be written as JSON.
pub fn html(
    key: &str,
    block: &Block,
    exclusions: &[Exclusion],
    rows: &[plan::Row],
    source: impl Fn(&str) -> Option<String>,
) -> Result<String, serde_json::Error> {
    let s = summary(block, exclusions, &source);
    let excluded = block.rtl.exclude(exclusions, &source);
    let mut files: BTreeMap<&str, File<'_>> = BTreeMap::new();
    for name in block.rtl.files() {
        files.insert(
            name,
            File {
                name,
                figures: s.files.get(name).cloned().unwrap_or_default(),
                source: source(name)
                    .unwrap_or_default()
                    .lines()
                    .map(str::to_owned)
                    .collect(),
                lines: block.rtl.lines(name),
                points: Vec::new(),
            },
        );
    }
    for (p, hits) in block.rtl.points() {
        if p.kind == Kind::Toggle && hits > 0 {
            continue;
        }
        let why = excluded
            .points
            .get(p)
            .and_then(|&n| exclusions.get(n))
            .map_or("", |e| e.why.as_str());
        if let Some(f) = files.get_mut(p.file.as_str()) {
            f.points.push((p.line, p.kind.name(), &p.object, hits, why));
        }
    }
    let mut wrong = s.impossible.clone();
    wrong.extend(s.stale.iter().cloned());
    let page = Page {
        key,
        block: &block.functional.covers,
        runs: &block.runs,
        curves: &block.curves,
        points: s.points,
        crosses: s.crosses,
        nice: s.nice,
        rtl: s.rtl.iter().map(|&(k, h, o)| (k.name(), h, o)).collect(),
        kinds: Kind::ALL.iter().map(|k| k.name()).collect(),
        goals: Kind::ALL.iter().map(|&k| goal(k)).collect(),
        states: s.states,
        plan: plan_rows(block, rows),
        files: files.into_values().collect(),
        wrong,
    };
    // `</script>` inside of a string would end the script.
    let data = serde_json::to_string(&page)?.replace("</", "<\\/");
    Ok(PAGE.replacen(PLACE, &data, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtl::RtlCoverage;
    use crate::{Collector, Functional, Target};

    fn block() -> Block {
        let mut run = Collector::new();
        run.fence_store_failed();
        Block {
            functional: Functional::of(&run.covers(), &Target::new(0)),
            rtl: RtlCoverage::parse(include_str!("../tests/data/coverage-5.049.dat"), |_| true)
                .expect("as Verilator writes it"),
            ..Block::default()
        }
    }

    fn source(_: &str) -> Option<String> {
        Some("module t; // </script>".to_owned())
    }

    #[test]
    fn percent_is_never_rounded_up() {
        assert_eq!(percent((999_999, 1_000_000)), "99.9");
        assert_eq!(percent((3, 3)), "100.0");
        assert_eq!(percent((0, 0)), "-");
    }

    #[test]
    fn the_text_tells_figures_and_holes() {
        let block = block();
        let s = summary(&block, &[], source);
        assert!(!s.complete());
        assert_eq!(s.impossible, Vec::<String>::new());
        let text = text(&block, &s, 1);
        assert!(text.contains("queue.event"), "{text}");
        assert!(text.contains("    not hit: CQ,on"), "{text}");
        assert!(text.contains("t.sv"), "{text}");
    }

    #[test]
    fn the_page_is_one_script_with_its_data() {
        let rows = plan::rows("| X-1 | s | `axi` | `queue.event` | `none` |\n").expect("a plan");
        let page = html("a@1", &block(), &[], &rows, source).expect("JSON");
        assert!(!page.contains(PLACE));
        assert_eq!(page.matches("</script>").count(), 1);
        let data = page.split("const data = ").nth(1).expect("data");
        let data = data.split(";\n").next().expect("a line");
        let json: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(json["key"], "a@1");
        assert_eq!(json["plan"][0]["any"], 1);
    }
}
