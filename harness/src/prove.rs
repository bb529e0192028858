//! `iommu-cosim prove`: the oracle shown from both sides, on the software device.
//!
//! Not too strict: the device, which does whatever a legal one may, passes every seed. Not too
//! loose: each of its wrong behaviours is caught, within so many seeds.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use iommu_softdut::{Bug, NAME};
use iommu_testcase::Case;
use iommu_testcase::random;

use crate::app::STOP;
use crate::cli::ProveArgs;
use crate::dut::Dut;
use crate::report::grouped;
use crate::run::{self, Outcome, Setup};
use crate::suite::Ticket;

/// Runs the subcommand: prints the two tables of docs/oracle.md.
pub(crate) fn command(a: &ProveArgs) -> miette::Result<ExitCode> {
    let prover = Prover::new(&a.common.root, &a.profile)?;
    let bugs = if a.bug.is_empty() {
        Bug::ALL.to_vec()
    } else {
        let bug = |name: &String| iommu_softdut::bug_of(&format!("{NAME}:{name}"));
        let named: Result<Vec<_>, _> = a.bug.iter().map(bug).collect();
        let named = named.map_err(|e| miette::miette!("{e}"))?;
        named.into_iter().flatten().collect()
    };
    let threads = a.common.threads();
    let legal = prover.legal(a.seed, a.seeds, threads, &STOP);
    if a.seeds > 0 {
        print!("{}", legal.table());
    }
    if a.limit == 0 {
        return Ok(if legal.failures.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let found = prover.hunt_all(&bugs, a.seed, a.limit, threads, &STOP);
    print!("{}", table(&found));
    let missed = found.iter().any(|(_, f)| matches!(f, Found::Not(_)));
    Ok(if legal.failures.is_empty() && !missed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs profiles on the software device.
pub struct Prover {
    dut: Dut,
    cases: Vec<Case>,
    /// Directed tests, for what random tests of 30 seeds do not come to.
    directed: Vec<Case>,
}

/// What came of the runs of the legal device.
#[derive(Debug, Default)]
pub struct Legal {
    /// By profile: runs, checked transactions, cycles.
    pub profiles: Vec<(String, u64, u64, u64)>,
    /// Runs that failed (there should be none): the profile, the seed, what was said.
    pub failures: Vec<(String, u64, String)>,
}

/// What came of the hunt for a wrong behaviour.
#[derive(Debug)]
pub enum Found {
    /// A run failed.
    Caught {
        /// How many runs it took, and the last one's profile and seed.
        runs: u64,
        /// Its profile.
        profile: String,
        /// Its seed.
        seed: u64,
        /// The check that failed.
        check: String,
        /// The clock at which it did.
        cycle: u64,
    },
    /// So many runs passed.
    Not(u64),
}

impl Prover {
    /// For these profiles.
    ///
    /// # Errors
    /// A profile that does not exist, or has a mistake.
    pub fn new(root: &Path, profiles: &[String]) -> miette::Result<Self> {
        let dut = Dut::find(root, NAME)?;
        let target = crate::random::target_with(iommu_softdut::capabilities().0, &dut);
        let cases = profiles
            .iter()
            .map(|name| Ok(random::case(&crate::random::profile(root, name)?, &target)))
            .collect::<miette::Result<_>>()?;
        let directed = iommu_testcase::load_all(root)?;
        Ok(Self {
            dut,
            cases,
            directed,
        })
    }

    /// One run; `None` if the profile asks for what the device does not have.
    fn run(&self, name: &str, case: &Case, seed: u64, stop: &AtomicBool) -> Option<Outcome> {
        let mask = case.setting(seed).caps_mask;
        let caps = run::probe_capabilities(name, mask).ok()?;
        if case.missing(seed, caps, &self.dut.desc.choices).is_some() {
            return None;
        }
        let setup = Setup {
            timed: false,
            ..Setup::new(name, seed, self.dut.scoreboard(caps).ok()?)
        };
        Some(run::run(case, &setup, &Ticket::alone(stop)))
    }

    /// Runs the device as it should be.
    pub fn legal(&self, first: u64, seeds: u64, threads: usize, stop: &AtomicBool) -> Legal {
        let total = seeds as usize * self.cases.len();
        let zero = |c: &Case| (c.name.clone(), 0, 0, 0);
        let all = Mutex::new(Legal {
            profiles: self.cases.iter().map(zero).collect(),
            failures: Vec::new(),
        });
        each(total, threads, stop, |k| {
            let (n, seed) = (k % self.cases.len(), first + (k / self.cases.len()) as u64);
            let Some(outcome) = self.run(NAME, &self.cases[n], seed, stop) else {
                return;
            };
            if outcome.interrupted {
                return;
            }
            let mut all = lock(&all);
            let p = &mut all.profiles[n];
            p.1 += 1;
            p.2 += outcome.metrics.transactions();
            p.3 += outcome.cycles;
            let why = outcome.failures.first().map(|f| {
                format!(
                    "{} at cycle {}: expected {}, got {}",
                    f.check, f.cycle, f.expected, f.got
                )
            });
            if let Some(why) = why.or(outcome.error) {
                let name = self.cases[n].name.clone();
                eprintln!("FAILED {name} seed {seed}: {why}");
                all.failures.push((name, seed, why));
            }
        });
        let mut all = all.into_inner().unwrap_or_else(|e| e.into_inner());
        all.failures.sort();
        all
    }

    /// Runs a wrong device until it is caught, `limit` seeds at most of the profile or directed test
    /// that it is for (of all profiles, where that one is not among them).
    pub fn hunt(&self, bug: Bug, first: u64, limit: u64, stop: &AtomicBool) -> Found {
        let name = format!("{NAME}:{}", bug.name());
        let mut runs = 0;
        let own = |c: &&Case| c.name == bug.profile();
        let all = self.cases.iter().chain(&self.directed);
        let mut cases: Vec<&Case> = all.filter(own).collect();
        if cases.is_empty() {
            cases = self.cases.iter().collect();
        }
        for seed in first..first + limit {
            for case in cases.iter().copied() {
                if stop.load(Ordering::Relaxed) {
                    return Found::Not(runs);
                }
                let Some(outcome) = self.run(&name, case, seed, stop) else {
                    continue;
                };
                runs += 1;
                if let Some(f) = outcome.failures.first() {
                    return Found::Caught {
                        runs,
                        profile: case.name.clone(),
                        seed,
                        check: f.check.clone(),
                        cycle: f.cycle,
                    };
                }
            }
        }
        Found::Not(runs)
    }

    /// The same for many.
    pub fn hunt_all(
        &self,
        bugs: &[Bug],
        first: u64,
        limit: u64,
        threads: usize,
        stop: &AtomicBool,
    ) -> Vec<(Bug, Found)> {
        let found: Mutex<Vec<(usize, Found)>> = Mutex::default();
        each(bugs.len(), threads, stop, |k| {
            let f = self.hunt(bugs[k], first, limit, stop);
            // It may take hours: what is known is told.
            eprintln!("{}", row(bugs[k], &f));
            lock(&found).push((k, f));
        });
        let mut found = found.into_inner().unwrap_or_else(|e| e.into_inner());
        found.sort_by_key(|f| f.0);
        found.into_iter().map(|(k, f)| (bugs[k], f)).collect()
    }
}

/// Calls `work` with each number below `count`, on so many threads.
fn each(count: usize, threads: usize, stop: &AtomicBool, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= count {
                        break;
                    }
                    work(k);
                }
            });
        }
    });
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

impl Legal {
    /// As Markdown.
    fn table(&self) -> String {
        let mut text = String::from(
            "| profile | seeds | checked transactions | cycles | failed |\n|---|---|---|---|---|\n",
        );
        for (name, runs, transactions, cycles) in &self.profiles {
            let failed = self.failures.iter().filter(|f| f.0 == *name).count();
            let _ = writeln!(
                text,
                "| `{name}` | {} | {} | {} | {failed} |",
                grouped(*runs),
                grouped(*transactions),
                grouped(*cycles)
            );
        }
        for (name, seed, why) in &self.failures {
            let _ = writeln!(text, "\nFAILED {name} seed {seed}: {why}");
        }
        text.push('\n');
        text
    }
}

/// As Markdown.
fn table(found: &[(Bug, Found)]) -> String {
    let mut text = String::from(
        "| wrong behaviour | what it does | runs until caught | by the check | in cycle | of |\n|---|---|---|---|---|---|\n",
    );
    for (bug, found) in found {
        let _ = writeln!(text, "{}", row(*bug, found));
    }
    text
}

fn row(bug: Bug, found: &Found) -> String {
    let rest = match found {
        Found::Caught {
            runs,
            profile,
            seed,
            check,
            cycle,
        } => format!(
            "{runs} | `{check}` | {} | {profile} seed {seed}",
            grouped(*cycle)
        ),
        Found::Not(runs) => format!("**not in {runs}** | | | "),
    };
    format!("| `{}` | {} | {rest} |", bug.name(), bug.description())
}
