//! Reads docs/vplan.md: the tables of the verification plan, and says which of its rows hold: whether the
//! tests that a row names hit the bins that it names.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::database::{Block, TestBins};

/// A row of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: usize,
    /// Section heading above it.
    pub section: String,
    /// Identifier.
    pub id: String,
    /// What the text says.
    pub sentence: String,
    /// Names in the column *check*.
    pub checks: Vec<String>,
    /// Names in the column *bins*: `cover` or `cover/bin`, with `*`.
    pub bins: Vec<String>,
    /// Names in the column *tests*.
    pub tests: Vec<String>,
    /// A column says "none yet".
    pub open: bool,
}

/// Checks that REFUSE stands for.
pub const REFUSE: [&str; 6] = [
    "refused-forwarded",
    "refused-response",
    "refused-data",
    "record-content",
    "record-missing",
    "record-unexpected",
];

/// Checks that GRANT stands for.
pub const GRANT: [&str; 7] = [
    "wrong-address",
    "field-changed",
    "user-bits",
    "write-data",
    "read-data",
    "response-code",
    "grant-refused",
];

/// The words in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The rows of the plan.
///
/// # Errors
/// A table row has not five columns.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut all = Vec::new();
    let mut section = String::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        }
        if !line.starts_with('|') || line.starts_with("|---") || line.starts_with("| id ") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, sentence, check, bins, tests] = cells[..] else {
            return Err(format!("line {}: {} columns, not 5", n + 1, cells.len()));
        };
        let mut checks = names(check);
        // Not in backticks: they are abbreviations.
        let outside: String = check.split('`').step_by(2).collect();
        if outside.contains("REFUSE") {
            checks.extend(REFUSE.map(str::to_owned));
        }
        if outside.contains("GRANT") {
            checks.extend(GRANT.map(str::to_owned));
        }
        all.push(Row {
            line: n + 1,
            section: section.clone(),
            id: id.to_owned(),
            sentence: sentence.to_owned(),
            checks,
            bins: names(bins),
            tests: names(tests),
            open: [check, bins, tests].iter().any(|c| c.contains("none yet")),
        });
    }
    Ok(all)
}

/// Whether a bin's label fits a pattern: equal, or, axis by axis, with `*` at the end of each.
#[must_use]
pub fn fits(pattern: &str, label: &str) -> bool {
    let (mut p, mut l) = (pattern.split(','), label.split(','));
    let mut last = "";
    loop {
        match (p.next(), l.next()) {
            (None, None) => return true,
            // A pattern that ends in `*` is for all the axes behind it too.
            (None, Some(_)) => return last.ends_with('*'),
            (Some(_), None) => return false,
            (Some(a), Some(b)) => {
                let same = match a.strip_suffix('*') {
                    Some(prefix) => b.starts_with(prefix),
                    None => a == b,
                };
                if !same {
                    return false;
                }
                last = a;
            }
        }
    }
}

/// Where the bins of a row stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bins that the row names and this block can hit.
    pub bins: usize,
    /// Those that the row's own tests have hit.
    pub by_its_tests: usize,
    /// Those that any test has hit.
    pub by_any: usize,
    /// Names in the column *bins* of which the row's tests have hit nothing.
    pub idle_bins: Vec<String>,
    /// Names in the column *tests* that have run, and hit none of the row's bins.
    pub idle_tests: Vec<String>,
    /// Names in the column *tests* of which nothing has run and passed.
    pub not_run: Vec<String>,
}

impl Standing {
    /// Every name of its bins was hit by its tests, and every test that ran hit some of them.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.idle_bins.is_empty() && self.idle_tests.is_empty()
    }
}

/// Whether a run's name is meant by a name in the column *tests*: a test case, a profile, or
/// `random`, the profile of the built-in random test. A `*` at its end is for any rest.
fn meant(name: &str, test: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) => test.starts_with(prefix),
        None => name == test || name == "random" && test == "smoke",
    }
}

/// What became of a row: the bins that it names, and whether its tests hit them.
#[must_use]
pub fn standing(row: &Row, block: &Block) -> Standing {
    let mut s = Standing::default();
    let runs: Vec<(&String, Vec<&TestBins>)> = row
        .tests
        .iter()
        .map(|name| {
            let of = block.tests.iter().filter(|(test, _)| meant(name, test));
            (name, of.map(|(_, bins)| bins).collect())
        })
        .collect();
    let hits = |bins: &TestBins, cover: &str, bin: usize| {
        bins.get(cover)
            .is_some_and(|all| all.contains(&(bin as u32)))
    };
    // One that names no bin shows nothing of them; several names may mean the same bin.
    let mut of_row: BTreeSet<(&str, usize)> = BTreeSet::new();
    for name in &row.bins {
        let (cover, pattern) = match name.split_once('/') {
            Some((c, p)) => (c, Some(p)),
            None => (name.as_str(), None),
        };
        let Some((cover, c)) = block.functional.covers.get_key_value(cover) else {
            continue;
        };
        let bins: Vec<(&str, usize)> = (0..c.hits.len())
            .filter(|&b| c.excluded(b).is_none())
            .filter(|&b| pattern.is_none_or(|p| fits(p, &c.label(b))))
            .map(|b| (cover.as_str(), b))
            .collect();
        let own = |&(cover, b): &(&str, usize)| {
            let mut all = runs.iter().flat_map(|(_, tests)| tests);
            all.any(|t| hits(t, cover, b))
        };
        if !bins.is_empty() && !bins.iter().any(own) {
            s.idle_bins.push(name.clone());
        }
        of_row.extend(bins);
    }
    s.bins = of_row.len();
    for &(cover, b) in &of_row {
        let of = |t: &&TestBins| hits(t, cover, b);
        s.by_its_tests += usize::from(runs.iter().any(|(_, tests)| tests.iter().any(of)));
        s.by_any += usize::from(block.functional.covers[cover].hits[b] > 0);
    }
    for (name, tests) in &runs {
        let of_them = |t: &&TestBins| of_row.iter().any(|&(c, b)| hits(t, c, b));
        if tests.is_empty() {
            s.not_run.push((*name).clone());
        } else if !of_row.is_empty() && !tests.iter().any(of_them) {
            s.idle_tests.push((*name).clone());
        }
    }
    s
}

/// The rows as text: all of them with their figures, or those that do not hold; and how many do not.
#[must_use]
pub fn text(rows: &[Row], block: &Block, all: bool) -> (String, usize) {
    let mut out = String::new();
    let (mut wrong, mut bins, mut own, mut any) = (0, 0, 0, 0);
    for row in rows {
        let s = standing(row, block);
        bins += s.bins;
        own += s.by_its_tests;
        any += s.by_any;
        if all {
            let _ = writeln!(
                out,
                "{:<9} {:>4} bins, {:>4} hit by its tests, {:>4} by any",
                row.id, s.bins, s.by_its_tests, s.by_any
            );
        }
        if s.holds() {
            continue;
        }
        wrong += 1;
        let _ = writeln!(out, "{:<9} line {}: {}", row.id, row.line, row.sentence);
        for (what, names) in [
            ("its tests do not hit", &s.idle_bins),
            ("hits none of its bins", &s.idle_tests),
            ("has not run", &s.not_run),
        ] {
            if !names.is_empty() {
                let _ = writeln!(out, "          {what}: {}", names.join("  "));
            }
        }
    }
    let _ = writeln!(
        out,
        "plan: {} rows, {wrong} whose tests do not hit their bins; of {bins} bins that rows name \
         (some in several) {own} are hit by the row's own tests, {any} by any",
        rows.len()
    );
    (out, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Collector, Tally, Target};

    #[test]
    fn patterns() {
        assert!(fits("a,*", "a,b"));
        assert!(fits("a,*", "a,b,c"));
        assert!(!fits("a", "a,b"));
        assert!(fits("GPF*", "GPF L1,read,nested"));
        assert!(fits("*,yes", "no,yes"));
        assert!(!fits("*,yes", "no,no"));
    }

    #[test]
    fn a_row_holds_if_its_tests_hit_its_bins() {
        let mut run = Collector::new();
        run.fence_store_failed();
        let mut tally = Tally::new(Target::new(0));
        tally.add("fences", &run);
        tally.add("idle", &Collector::new());
        tally.add("smoke", &run);
        let block = Block {
            functional: tally.functional(),
            tests: tally.tests(),
            ..Block::default()
        };
        let row = |bins: &str, tests: &str| {
            let text = format!("| X-1 | s | `axi` | {bins} | {tests} |\n");
            standing(&super::rows(&text).expect("a plan")[0], &block)
        };
        let failed = "`queue.event/CQ,fence store failed`";
        let s = row(failed, "`fences`");
        assert_eq!(
            (s.bins, s.by_its_tests, s.by_any, s.holds()),
            (1, 1, 1, true)
        );
        assert!(row(failed, "`fen*`, `random`").holds());
        // A test that hits nothing of it, a bin that no test hits, a test that was not run.
        assert_eq!(row(failed, "`fences`, `nobody`").not_run, ["nobody"]);
        assert_eq!(row("`queue.event/CQ,on`", "`fences`").idle_bins.len(), 1);
        let s = row(&format!("{failed}, `queue.event/CQ,off`"), "`fences`");
        assert_eq!((s.idle_bins.len(), s.idle_tests.len()), (1, 0));
        run.fence_store_failed();
        let s = row("`queue.event/CQ,off`", "`fences`");
        assert_eq!(
            (s.idle_tests, s.by_its_tests),
            (vec!["fences".to_owned()], 0)
        );
    }

    #[test]
    fn rows_have_five_columns() {
        let text = "## S\n| id | a | b | c | d |\n|---|\n| X-1 | sentence | REFUSE, `axi` | `a/b` | none yet |\n";
        let rows = rows(text).expect("a plan");
        assert_eq!(rows[0].id, "X-1");
        assert_eq!(rows[0].checks.len(), 7);
        assert!(rows[0].open);
        assert!(super::rows("| a | b |\n").is_err());
    }
}
