//! Line, branch, toggle and expression coverage of the RTL, from Verilator's `coverage.dat`.
//!
//! A line of the file is `C '<fields>' <count>`; a field is `\x01 key \x02 value`. Keys used here: `f`
//! file, `l` line, `n` column, `page` kind and module, `o` object, `S` source lines of the block.
//! Verilator 5.48 adds `t`, a short name of the kind, and splits a toggle by direction
//! (`q[0]:0->1`); 5.006 has one count for both.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a point counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A block of statements without a choice.
    Line,
    /// An arm of an `if`, or an item of a `case`.
    Branch,
    /// A bit that went up or down.
    Toggle,
    /// A condition's terms.
    Expression,
}

impl Kind {
    /// All, in the order of reports.
    pub const ALL: [Kind; 4] = [Kind::Line, Kind::Branch, Kind::Toggle, Kind::Expression];

    /// Short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Line => "line",
            Kind::Branch => "branch",
            Kind::Toggle => "toggle",
            Kind::Expression => "expression",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// One counter of the RTL. Instances and parameterisations of a module share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point {
    /// Source file, relative to the project.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// What it counts.
    pub kind: Kind,
    /// Which arm, bit or term.
    pub object: String,
}

/// Counters of the RTL, summed over runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Stored>", into = "Vec<Stored>")]
pub struct RtlCoverage {
    points: BTreeMap<Point, Count>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Count {
    hits: u64,
    /// Lines of the block.
    lines: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct Stored(Point, u64, Vec<u32>);

impl From<Vec<Stored>> for RtlCoverage {
    fn from(v: Vec<Stored>) -> Self {
        let points = v
            .into_iter()
            .map(|Stored(point, hits, lines)| (point, Count { hits, lines }))
            .collect();
        Self { points }
    }
}

impl From<RtlCoverage> for Vec<Stored> {
    fn from(c: RtlCoverage) -> Self {
        c.points
            .into_iter()
            .map(|(point, count)| Stored(point, count.hits, count.lines))
            .collect()
    }
}

/// A line of `coverage.dat` makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("coverage.dat, line {line}: {why}")]
pub struct DatError {
    /// Line, from 1.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// `4-6,8` as lines.
fn lines(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        if to < from || to - from > 100_000 {
            return None;
        }
        all.extend(from..=to);
    }
    Some(all)
}

impl RtlCoverage {
    /// Reads the text of a `coverage.dat`. Only files for which `keep` says so are counted.
    ///
    /// # Errors
    /// A line is not as Verilator writes it.
    pub fn parse(text: &str, keep: impl Fn(&str) -> bool) -> Result<Self, DatError> {
        let mut all = Self::default();
        for (n, line) in text.lines().enumerate() {
            let error = |why: &str| DatError {
                line: n + 1,
                why: why.to_owned(),
            };
            let Some(rest) = line.strip_prefix("C '") else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                return Err(error("neither a comment nor a count"));
            };
            let (fields, hits) = rest
                .rsplit_once("' ")
                .ok_or_else(|| error("no count behind the fields"))?;
            let hits: u64 = hits
                .trim()
                .parse()
                .map_err(|_| error("the count is no number"))?;
            let mut point = Point {
                file: String::new(),
                line: 0,
                column: 0,
                kind: Kind::Line,
                object: String::new(),
            };
            let mut kind = None;
            let mut block = Vec::new();
            for field in fields.split('\x01').filter(|f| !f.is_empty()) {
                let (key, value) = field
                    .split_once('\x02')
                    .ok_or_else(|| error("a field without a value"))?;
                let number = || value.parse().map_err(|_| error("a field is no number"));
                match key {
                    "f" => point.file = value.to_owned(),
                    "l" => point.line = number()?,
                    "n" => point.column = number()?,
                    "o" => point.object = value.to_owned(),
                    "S" => block = lines(value).ok_or_else(|| error("bad list of lines"))?,
                    "page" => {
                        kind = match value.split('/').next() {
                            Some("v_line") => Some(Kind::Line),
                            Some("v_branch") => Some(Kind::Branch),
                            Some("v_toggle") => Some(Kind::Toggle),
                            Some("v_expr") => Some(Kind::Expression),
                            // Of a user's `cover` statements, and others to come.
                            _ => None,
                        };
                    }
                    _ => {}
                }
            }
            let Some(kind) = kind else { continue };
            if point.file.is_empty() || point.line == 0 {
                return Err(error("no file or no line"));
            }
            if !keep(&point.file) {
                continue;
            }
            // Verilator has case items among the lines.
            point.kind = if kind == Kind::Line && point.object == "case" {
                Kind::Branch
            } else {
                kind
            };
            let count = all.points.entry(point).or_default();
            count.hits = count.hits.saturating_add(hits);
            if count.lines.is_empty() {
                count.lines = block;
            }
        }
        Ok(all)
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &RtlCoverage) {
        for (point, theirs) in &other.points {
            match self.points.get_mut(point) {
                Some(ours) => ours.hits = ours.hits.saturating_add(theirs.hits),
                None => {
                    self.points.insert(point.clone(), theirs.clone());
                }
            }
        }
    }

    /// Whether nothing was ever counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Every point with its hits.
    pub fn points(&self) -> impl Iterator<Item = (&Point, u64)> {
        self.points.iter().map(|(p, c)| (p, c.hits))
    }

    /// Files, in order.
    #[must_use]
    pub fn files(&self) -> BTreeSet<&str> {
        self.points.keys().map(|p| p.file.as_str()).collect()
    }

    /// Hits of each line of a file that has statements: the most of any block that the line is in.
    #[must_use]
    pub fn lines(&self, file: &str) -> BTreeMap<u32, u64> {
        let mut all = BTreeMap::new();
        for (point, count) in &self.points {
            if point.file != file || !matches!(point.kind, Kind::Line | Kind::Branch) {
                continue;
            }
            for &line in &count.lines {
                let hits: &mut u64 = all.entry(line).or_default();
                *hits = (*hits).max(count.hits);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = include_str!("../tests/data/coverage-5.049.dat");
    const OLD: &str = include_str!("../tests/data/coverage-5.006.dat");

    fn read(text: &str) -> RtlCoverage {
        RtlCoverage::parse(text, |f| f == "t.sv").expect("as Verilator writes it")
    }

    fn branches(c: &RtlCoverage) -> Vec<(u32, u32, String, u64)> {
        c.points()
            .filter(|(p, _)| p.kind == Kind::Branch)
            .map(|(p, n)| (p.line, p.column, p.object.clone(), n))
            .collect()
    }

    #[test]
    fn both_formats_say_the_same_of_the_same_design() {
        // The counts of the old one differ only where it evaluates blocks another number of times.
        let (old, new) = (read(OLD), read(NEW));
        assert_eq!(branches(&old), branches(&new));
        assert_eq!(branches(&new).len(), 9);
        let keys = |c: &RtlCoverage| c.lines("t.sv").into_keys().collect::<Vec<_>>();
        assert_eq!(keys(&old), keys(&new));
        let toggles = |c: &RtlCoverage| {
            c.points()
                .filter(|(p, n)| p.kind == Kind::Toggle && *n > 0)
                .map(|(p, _)| p.object.split(':').next().unwrap_or_default().to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(toggles(&old), toggles(&new));
    }

    #[test]
    fn a_line_is_hit_if_any_of_its_blocks_is() {
        let lines = read(NEW).lines("t.sv");
        assert_eq!(lines.get(&9), Some(&5));
        assert_eq!(lines.get(&14), Some(&21));
        assert_eq!(lines.get(&2), None, "a declaration");
    }

    #[test]
    fn sums() {
        let (once, mut twice) = (read(NEW), read(NEW));
        twice.merge(&once);
        for ((_, a), (_, b)) in once.points().zip(twice.points()) {
            assert_eq!(2 * a, b);
        }
        let text = serde_json::to_string(&twice).expect("JSON");
        let again: RtlCoverage = serde_json::from_str(&text).expect("the same JSON");
        assert_eq!(again, twice);
    }

    #[test]
    fn what_is_no_coverage_file_is_an_error_with_its_line() {
        for (text, line) in [
            ("hello\n", 1),
            ("# c\nC 'x' 1\n", 2),
            ("C '\x01f\x02a.sv\x01l\x02one\x01page\x02v_line/a' 1\n", 1),
            ("C '\x01f\x02a.sv\x01l\x021\x01page\x02v_line/a' many\n", 1),
            (
                "C '\x01f\x02a.sv\x01l\x021\x01page\x02v_line/a\x01S\x029-1' 1\n",
                1,
            ),
        ] {
            let error = RtlCoverage::parse(text, |_| true).expect_err(text);
            assert_eq!(error.line, line, "{text}");
        }
    }

    #[test]
    fn other_files_are_left_out() {
        let none = RtlCoverage::parse(NEW, |f| f.starts_with("rtl/")).expect("legal");
        assert!(none.is_empty());
    }
}
