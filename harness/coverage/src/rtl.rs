//! Line, branch, toggle and state-machine coverage of the RTL, from Verilator's `coverage.dat`.
//!
//! A line of the file is `C '<fields>' <count>`; a field is `\x01 key \x02 value`. Keys used here: `f`
//! file, `l` line, `n` column, `page` kind and module, `o` object, `S` source lines of the block.
//! Verilator 5.48 adds `t`, a short name of the kind, and splits a toggle by direction
//! (`q[0]:0->1`); 5.006 has one count for both.
//!
//! Verilator does not know state machines: the RTL names them and their arcs by `IOMMU_FSM` and
//! `IOMMU_ARC` (rtl/iommu_macros.svh), which are `cover` statements.

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
    /// An arc of a state machine.
    Arc,
}

/// What the changes of a state register are counted as.
const CHANGES: &str = "fsm_change";

/// `arc_StIdle_to_StAsk` as `StIdle -> StAsk`.
fn arc(label: &str) -> Option<String> {
    let (from, to) = label.strip_prefix("arc_")?.split_once("_to_")?;
    Some(format!("{from} -> {to}"))
}

impl Kind {
    /// All, in the order of reports.
    pub const ALL: [Kind; 5] = [
        Kind::Line,
        Kind::Branch,
        Kind::Toggle,
        Kind::Expression,
        Kind::Arc,
    ];

    /// Short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Line => "line",
            Kind::Branch => "branch",
            Kind::Toggle => "toggle",
            Kind::Expression => "expression",
            Kind::Arc => "arc",
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
                            Some("v_user") => Some(Kind::Arc),
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
            if kind == Kind::Arc {
                if let Some(arc) = arc(&point.object) {
                    point.object = arc;
                } else if point.object.replace("___05F", "_") == CHANGES {
                    point.object = CHANGES.to_owned();
                } else {
                    // Another `cover` statement.
                    continue;
                }
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
        self.lines_without(file, &BTreeSet::new())
    }

    fn lines_without(&self, file: &str, excluded: &BTreeSet<&Point>) -> BTreeMap<u32, u64> {
        let mut all = BTreeMap::new();
        for (point, count) in &self.points {
            if point.file != file
                || !matches!(point.kind, Kind::Line | Kind::Branch)
                || excluded.contains(point)
            {
                continue;
            }
            for &line in &count.lines {
                let hits: &mut u64 = all.entry(line).or_default();
                *hits = (*hits).max(count.hits);
            }
        }
        all
    }

    /// Applies exclusions. `source` gives the text of a file.
    pub fn exclude<'a>(
        &'a self,
        exclusions: &[Exclusion],
        source: impl Fn(&str) -> Option<String>,
    ) -> Excluded<'a> {
        let mut out = Excluded {
            stale: self.unnamed_arcs(),
            ..Excluded::default()
        };
        let texts: BTreeMap<&str, Vec<String>> = self
            .files()
            .into_iter()
            .map(|f| {
                let text = source(f).unwrap_or_default();
                (f, text.lines().map(str::to_owned).collect())
            })
            .collect();
        for (n, e) in exclusions.iter().enumerate() {
            let mut matched = 0;
            let mut hit = Vec::new();
            for (point, count) in &self.points {
                if !e.covers(point, &texts) || point.object == CHANGES {
                    continue;
                }
                matched += 1;
                if count.hits > 0 {
                    hit.push(point);
                } else {
                    out.points.insert(point, n);
                }
            }
            let what = format!("{} `{}` {}", e.file, e.text, e.object);
            if matched == 0 {
                out.stale.push(format!("{what}: matches nothing"));
            }
            if let Some(p) = hit.first() {
                let (line, kind, object) = (p.line, p.kind.name(), &p.object);
                out.stale.push(format!(
                    "{what}: {} of {matched} points are hit, the first is line {line}, {kind} {object}",
                    hit.len()
                ));
            }
        }
        out
    }

    /// States of all state machines: reached, and all.
    #[must_use]
    pub fn states(&self) -> (usize, usize) {
        let mut states: BTreeMap<(&str, &str), bool> = BTreeMap::new();
        for (p, hits) in self.points() {
            if let (Kind::Arc, Some((from, to))) = (p.kind, p.object.split_once(" -> ")) {
                for state in [from, to] {
                    *states.entry((&p.file, state)).or_default() |= hits > 0;
                }
            }
        }
        (states.values().filter(|r| **r).count(), states.len())
    }

    /// Files where a state register changed more often than the arcs named there were taken.
    fn unnamed_arcs(&self) -> Vec<String> {
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (p, hits) in self.points().filter(|(p, _)| p.kind == Kind::Arc) {
            let (changes, named) = counts.entry(&p.file).or_default();
            let sum = if p.object == CHANGES { changes } else { named };
            *sum = sum.saturating_add(hits);
        }
        counts
            .into_iter()
            .filter(|(_, (changes, named))| changes != named)
            .map(|(file, (changes, named))| {
                format!(
                    "{file}: {changes} changes of state, {named} of them by an arc that is named"
                )
            })
            .collect()
    }

    /// Points or lines hit, and those that count.
    #[must_use]
    pub fn figures(
        &self,
        file: Option<&str>,
        kind: Kind,
        excluded: &Excluded<'_>,
    ) -> (usize, usize) {
        let keep = |f: &str| file.is_none_or(|file| file == f);
        if kind == Kind::Line {
            let points: BTreeSet<&Point> = excluded.points.keys().copied().collect();
            let mut figures = (0, 0);
            for file in self.files().into_iter().filter(|f| keep(f)) {
                for hits in self.lines_without(file, &points).into_values() {
                    figures.1 += 1;
                    figures.0 += usize::from(hits > 0);
                }
            }
            return figures;
        }
        self.points()
            .filter(|(p, _)| p.kind == kind && keep(&p.file) && !excluded.points.contains_key(p))
            .filter(|(p, _)| p.object != CHANGES)
            .fold((0, 0), |f, (_, n)| (f.0 + usize::from(n > 0), f.1 + 1))
    }
}

/// Points that nothing can reach, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// File, as the points name it.
    pub file: String,
    /// Text in the line of the point; empty for any line.
    #[serde(default)]
    pub text: String,
    /// `line`, `branch`, `toggle`, `expression`, `arc`; empty for all.
    #[serde(default)]
    pub kind: String,
    /// Arm, bit or term, `*` at its end for any; empty for all.
    #[serde(default)]
    pub object: String,
    /// Why it cannot be reached.
    pub why: String,
}

impl Exclusion {
    fn covers(&self, p: &Point, texts: &BTreeMap<&str, Vec<String>>) -> bool {
        let line = texts
            .get(p.file.as_str())
            .and_then(|l| l.get(p.line.saturating_sub(1) as usize))
            .map_or("", String::as_str);
        let object = match self.object.strip_suffix('*') {
            Some(prefix) => p.object.starts_with(prefix),
            None => self.object.is_empty() || self.object == p.object,
        };
        self.file == p.file
            && (self.kind.is_empty() || self.kind == p.kind.name())
            && object
            && line.contains(&self.text)
    }
}

/// What exclusions leave out.
#[derive(Debug, Clone, Default)]
pub struct Excluded<'a> {
    /// Points, and the number of the exclusion.
    pub points: BTreeMap<&'a Point, usize>,
    /// Exclusions that match nothing, or something that is hit: they are wrong.
    pub stale: Vec<String>,
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
    fn exclusions_have_to_be_right() {
        let c = read(NEW);
        let source = |_: &str| Some(include_str!("../tests/data/t.sv").to_owned());
        let exclusion = |text: &str, kind: &str| Exclusion {
            file: "t.sv".into(),
            text: text.into(),
            kind: kind.into(),
            object: String::new(),
            why: "a test".into(),
        };
        let all = |kind| c.figures(None, kind, &Excluded::default());
        let (hit, of) = all(Kind::Toggle);
        assert!(hit < of, "rst_n never falls");
        let good = c.exclude(
            &[Exclusion {
                object: "rst_n:1->*".into(),
                ..exclusion("module t", "toggle")
            }],
            source,
        );
        assert_eq!((good.points.len(), good.stale.len()), (1, 0), "{good:?}");
        assert_eq!(c.figures(None, Kind::Toggle, &good).1, of - 1);
        for (text, kind, stale) in [
            ("no such text", "", "matches nothing"),
            ("else q <= q + 4'd1", "branch", "are hit"),
        ] {
            let bad = c.exclude(&[exclusion(text, kind)], source);
            assert!(bad.stale[0].contains(stale), "{bad:?}");
        }
        assert_eq!(all(Kind::Line).0, all(Kind::Line).1);
    }

    #[test]
    fn state_machines_are_their_arcs() {
        let dat = |arc_hits: u32| {
            let point = |object: &str, hits: u32| {
                format!(
                    "C '\x01f\x02t.sv\x01l\x027\x01n\x021\x01page\x02v_user/t\x01o\x02{object}\x01S\x027' {hits}\n"
                )
            };
            point("arc_StIdle_to_StAsk", arc_hits)
                + &point("arc_StAsk_to_StIdle", 3)
                + &point("arc_StAsk_to_StOdd", 0)
                + &point("fsm_change", 7)
                + &point("something_else", 0)
        };
        let c = read(&dat(4));
        let source = |_: &str| None;
        assert_eq!(c.states(), (2, 3));
        let none = c.exclude(&[], source);
        assert_eq!(c.figures(None, Kind::Arc, &none), (2, 3));
        assert!(none.stale.is_empty(), "{none:?}");
        let odd = Exclusion {
            file: "t.sv".into(),
            text: String::new(),
            kind: "arc".into(),
            object: "StAsk -> StOdd".into(),
            why: "a test".into(),
        };
        let excluded = c.exclude(&[odd], source);
        assert_eq!(c.figures(None, Kind::Arc, &excluded), (2, 2));
        // A change that no arc accounts for: the list is not complete.
        let c = read(&dat(3));
        assert_eq!(c.exclude(&[], source).stale.len(), 1);
    }

    #[test]
    fn other_files_are_left_out() {
        let none = RtlCoverage::parse(NEW, |f| f.starts_with("rtl/")).expect("legal");
        assert!(none.is_empty());
    }
}
