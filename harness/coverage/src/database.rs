//! What many runs have covered, in one file: gzip'd JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::cover::{AnyCover, Goal, Target};
use crate::rtl::RtlCoverage;

/// Version of the file's layout.
const VERSION: u32 = 1;

/// Why a database cannot be read, written or merged.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// It can be read, and is something else.
    #[error("{path} is not a coverage database ({why})")]
    NotOne {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// Written by another version of this program.
    #[error("{path} has layout {found}, this program reads {VERSION}")]
    Version {
        /// The file.
        path: String,
        /// Its layout.
        found: u32,
    },
    /// The same cover has other bins: the databases come from different versions of the testbench.
    #[error(
        "cover `{cover}` has other bins in one database than in the other: they come from different testbenches"
    )]
    Shape {
        /// The cover.
        cover: String,
    },
}

/// A cover's counts, with all that is needed to show them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// What a hit means.
    pub doc: String,
    /// Row of docs/vplan.md.
    pub row: String,
    /// Whether its bins have to be hit.
    pub goal: Goal,
    /// Names of the axes.
    pub axes: Vec<String>,
    /// Labels of each axis' bins.
    pub labels: Vec<Vec<String>>,
    /// Hits of each bin, the first axis changing slowest.
    pub hits: Vec<u64>,
    /// Bins that cannot be hit, and the rule that says so.
    pub excluded: BTreeMap<u32, String>,
}

impl Cover {
    /// Why this bin cannot be hit.
    #[must_use]
    pub fn excluded(&self, bin: usize) -> Option<&str> {
        self.excluded.get(&(bin as u32)).map(String::as_str)
    }

    /// A bin's name.
    #[must_use]
    pub fn label(&self, bin: usize) -> String {
        bin_label(&self.labels, bin)
    }

    /// The bin with this name.
    #[must_use]
    pub fn bin(&self, label: &str) -> Option<usize> {
        (0..self.hits.len()).find(|&b| self.label(b) == label)
    }

    /// Bins hit, and bins that can be hit.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        let mut figures = (0, 0);
        for (bin, &hits) in self.hits.iter().enumerate() {
            if self.excluded(bin).is_none() {
                figures.1 += 1;
                figures.0 += usize::from(hits > 0);
            }
        }
        figures
    }

    /// Bins that can be hit and were not.
    pub fn holes(&self) -> impl Iterator<Item = usize> {
        (0..self.hits.len()).filter(|&b| self.hits[b] == 0 && self.excluded(b).is_none())
    }

    /// Bins that were hit although a rule says that they cannot be: the rule is wrong.
    pub fn impossible_hits(&self) -> impl Iterator<Item = (usize, &str)> {
        (0..self.hits.len())
            .filter(|&b| self.hits[b] > 0)
            .filter_map(|b| Some((b, self.excluded(b)?)))
    }
}

pub(crate) fn bin_label(labels: &[Vec<String>], bin: usize) -> String {
    let mut scale: usize = labels.iter().map(Vec::len).product();
    let parts: Vec<&str> = labels
        .iter()
        .map(|axis| {
            scale /= axis.len().max(1);
            axis.get(bin / scale.max(1) % axis.len().max(1))
                .map_or("?", String::as_str)
        })
        .collect();
    parts.join(",")
}

/// The functional coverage of a run, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Functional {
    /// By name.
    pub covers: BTreeMap<String, Cover>,
}

impl Functional {
    /// What these covers counted; `target` decides which bins are excluded.
    #[must_use]
    pub fn of(covers: &[&dyn AnyCover], target: &Target) -> Self {
        let covers = covers.iter().map(|c| {
            let cover = Cover {
                doc: c.doc(),
                row: c.row().to_owned(),
                goal: c.goal(),
                axes: c.axes().into_iter().map(str::to_owned).collect(),
                labels: c.axis_labels(),
                hits: c.hits().to_vec(),
                excluded: (0..c.len())
                    .filter_map(|b| Some((b as u32, c.excluded(b, target)?.to_string())))
                    .collect(),
            };
            (c.name().to_owned(), cover)
        });
        Self {
            covers: covers.collect(),
        }
    }

    /// Adds what another run counted.
    ///
    /// # Errors
    /// A cover has other bins there.
    pub fn merge(&mut self, other: &Functional) -> Result<(), DatabaseError> {
        for (name, theirs) in &other.covers {
            match self.covers.get_mut(name) {
                None => {
                    self.covers.insert(name.clone(), theirs.clone());
                }
                Some(ours) => {
                    if ours.labels != theirs.labels {
                        return Err(DatabaseError::Shape {
                            cover: name.clone(),
                        });
                    }
                    for (a, b) in ours.hits.iter_mut().zip(&theirs.hits) {
                        *a = a.saturating_add(*b);
                    }
                    // What one of the blocks can hit is not excluded.
                    ours.excluded.retain(|b, _| theirs.excluded.contains_key(b));
                }
            }
        }
        Ok(())
    }

    /// Bins hit and bins that can be hit, of covers with this goal.
    #[must_use]
    pub fn figures(&self, goal: Goal) -> (usize, usize) {
        self.covers
            .values()
            .filter(|c| c.goal == goal)
            .map(Cover::figures)
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Bins that can be hit and were.
    #[must_use]
    pub fn hit(&self) -> usize {
        self.figures(Goal::Must).0 + self.figures(Goal::Nice).0
    }
}

/// A run that a database has summed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNote {
    /// Test or profile.
    pub name: String,
    /// Seed.
    pub seed: u64,
    /// Clocks simulated.
    pub cycles: u64,
    /// Bins hit for the first time.
    pub new: usize,
}

/// The bins that a test has hit: of each cover, in order.
pub type TestBins = BTreeMap<String, BTreeSet<u32>>;

/// Coverage of one block, by name and hash of its RTL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Functional coverage.
    pub functional: Functional,
    /// Lines, branches and toggles of the RTL.
    pub rtl: RtlCoverage,
    /// The runs, in the order in which they were added.
    pub runs: Vec<RunNote>,
    /// Which bins each test case, and each profile, has hit.
    #[serde(default)]
    pub tests: BTreeMap<String, TestBins>,
    /// Bins hit against clocks simulated, of campaigns by name (random runs with closure, without).
    #[serde(default)]
    pub curves: BTreeMap<String, Vec<(u64, usize)>>,
}

impl Block {
    /// Adds what tests have hit to what they hit before.
    pub fn add_tests(&mut self, tests: &BTreeMap<String, TestBins>) {
        for (test, bins) in tests {
            let known = self.tests.entry(test.clone()).or_default();
            for (cover, bins) in bins {
                known.entry(cover.clone()).or_default().extend(bins);
            }
        }
    }
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    version: u32,
    /// By `name@hash` of the block.
    pub blocks: BTreeMap<String, Block>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            version: VERSION,
            blocks: BTreeMap::new(),
        }
    }
}

impl Database {
    /// Reads a database.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, DatabaseError> {
        let name = || path.display().to_string();
        let other = |e: &dyn std::fmt::Display| DatabaseError::NotOne {
            path: name(),
            why: e.to_string(),
        };
        let file = std::fs::File::open(path).map_err(|e| DatabaseError::File {
            path: name(),
            why: e.to_string(),
        })?;
        let mut text = String::new();
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .map_err(|e| other(&e))?;
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(&text).map_err(|e| other(&e))?;
        if head.version != VERSION {
            return Err(DatabaseError::Version {
                path: name(),
                found: head.version,
            });
        }
        serde_json::from_str(&text).map_err(|e| other(&e))
    }

    /// Writes it, all or nothing: the file is replaced when all is written.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DatabaseError> {
        let error = |e: &dyn std::fmt::Display| DatabaseError::File {
            path: path.display().to_string(),
            why: e.to_string(),
        };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| error(&e))?;
        }
        let beside = path.with_extension(format!("{}.tmp", std::process::id()));
        let file = std::fs::File::create(&beside).map_err(|e| error(&e))?;
        let mut gz = GzEncoder::new(file, Compression::fast());
        serde_json::to_writer(&mut gz, self).map_err(|e| error(&e))?;
        let mut file = gz.finish().map_err(|e| error(&e))?;
        file.flush().map_err(|e| error(&e))?;
        std::fs::rename(&beside, path).map_err(|e| error(&e))
    }

    /// Adds another database's counts.
    ///
    /// # Errors
    /// A cover has other bins there.
    pub fn merge(&mut self, other: &Database) -> Result<(), DatabaseError> {
        for (key, theirs) in &other.blocks {
            let ours = self.blocks.entry(key.clone()).or_default();
            ours.functional.merge(&theirs.functional)?;
            ours.rtl.merge(&theirs.rtl);
            ours.runs.extend(theirs.runs.iter().cloned());
            ours.add_tests(&theirs.tests);
            for (name, curve) in &theirs.curves {
                ours.curves
                    .entry(name.clone())
                    .or_insert_with(|| curve.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{axis, covers, first, needs};
    use iommu_golden::Capabilities;

    axis! {
        enum Color: "color" { Red = "red", Green = "green" }
    }

    covers! {
        struct Some: "some" {
            /// A color was seen.
            must "X-1" color: [Color, bool] except |(c, _), t| first([
                needs(t, "SV57", Capabilities::SV57, c == Color::Green),
            ]);
            /// Whatever.
            nice "X-2" flag: [bool];
        }
    }

    fn run(caps: u64, hit: Color) -> Functional {
        let mut some = Some::default();
        some.color.hit((hit, true));
        Functional::of(&some.covers(), &Target::new(caps))
    }

    #[test]
    fn sums_and_excludes() {
        let mut all = run(0, Color::Red);
        assert_eq!(all.figures(Goal::Must), (1, 2));
        assert_eq!(all.covers["some.color"].excluded(2), Some("needs(SV57)"));
        all.merge(&run(0, Color::Red)).expect("the same shape");
        assert_eq!(all.covers["some.color"].hits, [0, 2, 0, 0]);
        // Excluded, and hit: the rule is wrong.
        all.merge(&run(0, Color::Green)).expect("the same shape");
        let wrong: Vec<_> = all.covers["some.color"].impossible_hits().collect();
        assert_eq!(wrong, [(3, "needs(SV57)")]);
        // A block that can: no longer excluded.
        all.merge(&run(Capabilities::SV57, Color::Green))
            .expect("the same shape");
        assert_eq!(all.figures(Goal::Must), (2, 4));
        assert_eq!(all.covers["some.color"].bin("green,no"), Some(2));
    }

    #[test]
    fn another_shape_is_refused() {
        let mut all = run(0, Color::Red);
        let mut other = run(0, Color::Red);
        if let Some(c) = other.covers.get_mut("some.color") {
            c.labels[0].push("blue".into());
        }
        assert!(matches!(
            all.merge(&other),
            Err(DatabaseError::Shape { .. })
        ));
    }

    #[test]
    fn a_file_comes_back_and_a_wrong_one_is_told() {
        let dir = std::env::temp_dir().join(format!("iommu-coverage-{}", std::process::id()));
        let path = dir.join("a.cov");
        let mut db = Database::default();
        db.blocks.entry("a@1".into()).or_default().functional = run(0, Color::Red);
        db.write(&path).expect("a writable folder");
        let again = Database::read(&path).expect("what was written");
        assert_eq!(again, db);
        db.merge(&again).expect("the same shape");
        assert_eq!(
            db.blocks["a@1"].functional.covers["some.color"].hits,
            [0, 2, 0, 0]
        );
        std::fs::write(&path, "no gzip").expect("a writable folder");
        assert!(matches!(
            Database::read(&path),
            Err(DatabaseError::NotOne { .. })
        ));
        db.version = 99;
        db.write(&path).expect("a writable folder");
        assert!(matches!(
            Database::read(&path),
            Err(DatabaseError::Version { found: 99, .. })
        ));
        std::fs::remove_dir_all(dir).expect("it is there");
    }
}
