//! Sums the counters of many runs cheaply, and knows which run hit what first.

use crate::collector::Collector;
use crate::cover::Target;
use crate::database::{Functional, TestBins};
use crate::rtl::{DatError, RtlCoverage};
use std::collections::{BTreeMap, BTreeSet};

/// Functional coverage of many runs on one block.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Of each cover, in the order of [`Collector::covers`].
    hits: Vec<Vec<u64>>,
    /// Bins that are excluded.
    excluded: Vec<Vec<bool>>,
    target: Target,
    unknown: BTreeSet<String>,
    /// By test, and by cover: the bins that it has hit.
    tests: BTreeMap<String, Vec<Vec<bool>>>,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let empty = Collector::new();
        let covers = empty.covers();
        Self {
            hits: covers.iter().map(|c| vec![0; c.len()]).collect(),
            excluded: covers
                .iter()
                .map(|c| {
                    (0..c.len())
                        .map(|b| c.excluded(b, &target).is_some())
                        .collect()
                })
                .collect(),
            target,
            unknown: BTreeSet::new(),
            tests: BTreeMap::new(),
        }
    }

    /// Starts from what a database has: covers whose bins are others now are left out.
    pub fn start_from(&mut self, known: &Functional) {
        let empty = Collector::new();
        for (cover, hits) in empty.covers().iter().zip(&mut self.hits) {
            if let Some(old) = known.covers.get(cover.name())
                && old.labels == cover.axis_labels()
            {
                hits.clone_from(&old.hits);
            }
        }
    }

    /// Adds a run of a test; how many bins that can be hit were hit for the first time.
    pub fn add(&mut self, test: &str, run: &Collector) -> usize {
        let mut new = 0;
        let covers = run.covers();
        let known = self
            .tests
            .entry(test.to_owned())
            .or_insert_with(|| covers.iter().map(|c| vec![false; c.len()]).collect());
        for (cover, known) in covers.iter().zip(known) {
            for (known, hits) in known.iter_mut().zip(cover.hits()) {
                *known |= *hits > 0;
            }
        }
        for ((cover, hits), excluded) in covers.iter().zip(&mut self.hits).zip(&self.excluded) {
            for ((ours, theirs), excluded) in hits.iter_mut().zip(cover.hits()).zip(excluded) {
                if *ours == 0 && *theirs > 0 && !excluded {
                    new += 1;
                }
                *ours = ours.saturating_add(*theirs);
            }
        }
        self.unknown.extend(run.unknown_rules().iter().cloned());
        new
    }

    /// Which bins each test has hit, as a database has it.
    #[must_use]
    pub fn tests(&self) -> BTreeMap<String, TestBins> {
        let empty = Collector::new();
        let covers = empty.covers();
        let bins = |hit: &[bool]| -> BTreeSet<u32> {
            (0u32..)
                .zip(hit)
                .filter_map(|(b, hit)| hit.then_some(b))
                .collect()
        };
        let one = |known: &[Vec<bool>]| {
            covers
                .iter()
                .zip(known)
                .map(|(c, hit)| (c.name().to_owned(), bins(hit)))
                .filter(|(_, bins)| !bins.is_empty())
                .collect()
        };
        self.tests
            .iter()
            .map(|(test, known)| (test.clone(), one(known)))
            .collect()
    }

    /// Bins hit, and bins that can be hit.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        let mut figures = (0, 0);
        for (hits, excluded) in self.hits.iter().zip(&self.excluded) {
            for (hits, excluded) in hits.iter().zip(excluded) {
                figures.1 += usize::from(!excluded);
                figures.0 += usize::from(*hits > 0 && !excluded);
            }
        }
        figures
    }

    /// Rules of the golden model that have no bin.
    #[must_use]
    pub fn unknown_rules(&self) -> &BTreeSet<String> {
        &self.unknown
    }

    /// With names and exclusions, as a database has it.
    #[must_use]
    pub fn functional(&self) -> Functional {
        let empty = Collector::new();
        let covers = empty.covers();
        let mut all = Functional::of(&covers, &self.target);
        for (cover, hits) in covers.iter().zip(&self.hits) {
            if let Some(c) = all.covers.get_mut(cover.name()) {
                c.hits.clone_from(hits);
            }
        }
        all
    }
}

/// Sums the texts of `coverage.dat` of one model: the same points in the same order each time.
#[derive(Debug, Clone, Default)]
pub struct DatTally {
    /// What stands before the count, line by line.
    keys: Vec<String>,
    counts: Vec<u64>,
}

impl DatTally {
    /// Adds the text of a run.
    ///
    /// # Errors
    /// A line is not as Verilator writes it, or is of another model.
    pub fn add(&mut self, text: &str) -> Result<(), DatError> {
        let first = self.keys.is_empty();
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
        for (n, (line, text)) in lines.enumerate() {
            let error = |why: &str| DatError {
                line: line + 1,
                why: why.to_owned(),
            };
            let (key, count) = text
                .rsplit_once(' ')
                .ok_or_else(|| error("no count behind the fields"))?;
            let count: u64 = count.parse().map_err(|_| error("the count is no number"))?;
            if first {
                self.keys.push(key.to_owned());
                self.counts.push(count);
            } else if self.keys.get(n).is_some_and(|k| k == key) {
                self.counts[n] = self.counts[n].saturating_add(count);
            } else {
                return Err(error(
                    "another point than in the runs before: another model",
                ));
            }
        }
        Ok(())
    }

    /// The points of files for which `keep` says so.
    ///
    /// # Errors
    /// A line is not as Verilator writes it.
    pub fn coverage(&self, keep: impl Fn(&str) -> bool) -> Result<RtlCoverage, DatError> {
        let mut text = String::new();
        for (key, count) in self.keys.iter().zip(&self.counts) {
            text.push_str(key);
            text.push(' ');
            text.push_str(&count.to_string());
            text.push('\n');
        }
        RtlCoverage::parse(&text, keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_model_sum() {
        let text = include_str!("../tests/data/coverage-5.049.dat");
        let mut tally = DatTally::default();
        tally.add(text).expect("as Verilator writes it");
        tally.add(text).expect("the same model");
        let once = RtlCoverage::parse(text, |_| true).expect("legal");
        let twice = tally.coverage(|_| true).expect("legal");
        for ((a, n), (b, m)) in once.points().zip(twice.points()) {
            assert_eq!((a, 2 * n), (b, m));
        }
        let other = include_str!("../tests/data/coverage-5.006.dat");
        assert!(tally.add(other).is_err());
    }

    #[test]
    fn a_tally_knows_what_is_new() {
        let mut tally = Tally::new(Target::new(0));
        let mut run = Collector::new();
        run.fence_store_failed();
        assert_eq!(tally.add("a", &run), 1);
        assert_eq!(tally.add("a", &run), 0);
        assert_eq!(tally.figures().0, 1);
        assert_eq!(tally.tests()["a"]["queue.event"].len(), 1);
        let mut again = Tally::new(Target::new(0));
        again.start_from(&tally.functional());
        assert_eq!(again.add("a", &run), 0);
        assert_eq!(
            again.functional().covers["queue.event"]
                .hits
                .iter()
                .sum::<u64>(),
            3
        );
    }
}
