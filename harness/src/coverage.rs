//! Coverage of the runs of an invocation: summed, added to a database, printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use iommu_coverage::rtl::Exclusion;
use iommu_coverage::{DatTally, Database, Functional, RunNote, Tally, Target, report};
use iommu_sim::{Block, ModelKind, ModelOptions};

use crate::cli::{CoverageArgs, CoverageCommand};
use crate::dut::Dut;
use crate::run::{Covering, Seen};

/// Where the exclusions of a block's RTL are, beside its dut.yaml.
const EXCLUSIONS: &str = "coverage-exclusions.yaml";
/// The verification plan.
const PLAN: &str = "docs/vplan.md";
/// Holes of one cover that are printed.
const HOLES: usize = 8;

/// Gathers what the runs of an invocation cover.
pub struct Gathering {
    file: PathBuf,
    /// `name@hash` of the block.
    key: String,
    /// What a run has to count.
    pub covering: Covering,
    sum: Mutex<Sum>,
}

struct Sum {
    tally: Tally,
    dat: DatTally,
    runs: Vec<RunNote>,
    curves: BTreeMap<String, Vec<(u64, usize)>>,
    trouble: Option<String>,
    /// What the file has, or had when it was written last.
    before: Database,
    written: Instant,
}

/// What a block can do, without any mask.
///
/// # Errors
/// The block does not answer, or its capabilities and choices are no IOMMU's.
pub fn target(dut: &Dut, capabilities: u64) -> Result<Target, String> {
    let scoreboard = dut.scoreboard(capabilities)?;
    Ok(Target {
        config: scoreboard.golden,
        device_atomics: scoreboard.device_atomics,
    })
}

/// The key of a block in a database.
#[must_use]
pub fn key(dut: &Dut) -> String {
    format!("{}@{:016x}", dut.name, dut.hash)
}

fn lock(m: &Mutex<Sum>) -> MutexGuard<'_, Sum> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gathering {
    /// Adds to the database in `file`, which need not exist yet.
    ///
    /// # Errors
    /// The file is no database.
    pub fn new(file: &Path, dut: &Dut, target: Target) -> Result<Self, String> {
        let before = if file.exists() {
            Database::read(file).map_err(|e| e.to_string())?
        } else {
            Database::default()
        };
        crate::report::writable(file)?;
        let key = key(dut);
        let mut tally = Tally::new(target);
        if let Some(block) = before.blocks.get(&key) {
            tally.start_from(&block.functional);
        }
        let options = ModelOptions {
            kind: ModelKind::Coverage,
            seed: 1,
        };
        let covering = if Block::new(&dut.name, &options).is_ok() {
            Covering::Everything
        } else {
            Covering::Functional
        };
        Ok(Self {
            file: file.to_path_buf(),
            key,
            covering,
            sum: Mutex::new(Sum {
                tally,
                dat: DatTally::default(),
                runs: Vec::new(),
                curves: BTreeMap::new(),
                trouble: None,
                before,
                written: Instant::now(),
            }),
        })
    }

    /// Adds a run that has passed, and writes the database once a minute, so that a run that is
    /// killed has not counted in vain.
    pub fn add(&self, name: &str, seed: u64, cycles: u64, seen: &Seen) {
        const BETWEEN: Duration = Duration::from_secs(60);
        let mut sum = lock(&self.sum);
        // A profile's runs are one test to the plan, whatever their seeds.
        let test = name.split(" seed ").next().unwrap_or(name);
        let new = sum.tally.add(test, &seen.functional);
        if let Some(text) = &seen.rtl
            && let Err(e) = sum.dat.add(text)
        {
            sum.trouble.get_or_insert(e.to_string());
        }
        sum.runs.push(RunNote {
            name: name.to_owned(),
            seed,
            cycles,
            new,
        });
        if sum.written.elapsed() >= BETWEEN && sum.trouble.is_none() {
            // If it can't be, the last write says so: nothing is lost until then.
            let _ = self.save(&mut sum);
        }
    }

    /// What was covered so far.
    pub fn functional(&self) -> Functional {
        lock(&self.sum).tally.functional()
    }

    /// Adds a curve, over an older one of this name.
    pub fn curve(&self, name: String, points: Vec<(u64, usize)>) {
        lock(&self.sum).curves.insert(name, points);
    }

    /// Bins hit, and bins that can be hit.
    pub fn figures(&self) -> (usize, usize) {
        lock(&self.sum).tally.figures()
    }

    /// Writes the database.
    ///
    /// # Errors
    /// It cannot be written, or the runs' coverage does not fit together.
    pub fn write(&self) -> Result<(), String> {
        self.save(&mut lock(&self.sum))
    }

    fn save(&self, sum: &mut Sum) -> Result<(), String> {
        sum.written = Instant::now();
        if let Some(why) = sum.trouble.take() {
            return Err(why);
        }
        let rtl = std::mem::take(&mut sum.dat)
            .coverage(|f| !f.starts_with("sim/"))
            .map_err(|e| sum.trouble.insert(e.to_string()).clone())?;
        let functional = sum.tally.functional();
        let runs = std::mem::take(&mut sum.runs);
        let curves = std::mem::take(&mut sum.curves);
        let tests = sum.tally.tests();
        let unknown: Vec<String> = sum.tally.unknown_rules().iter().cloned().collect();
        let db = &mut sum.before;
        let block = db.blocks.entry(self.key.clone()).or_default();
        // The tally began with what the database had.
        block.functional = functional;
        block.rtl.merge(&rtl);
        block.runs.extend(runs);
        block.add_tests(&tests);
        block.curves.extend(curves);
        db.write(&self.file).map_err(|e| e.to_string())?;
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "rules of the golden model without a bin: {}",
                unknown.join("; ")
            ))
        }
    }
}

/// The exclusions of a block's RTL; none where there is no such file.
///
/// # Errors
/// The file makes no sense.
pub fn exclusions(root: &Path, dut: &Dut) -> Result<Vec<Exclusion>, String> {
    let path = root.join(&dut.yaml).with_file_name(EXCLUSIONS);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let error = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|e| error(&e))?;
    yaml_serde::from_str(&text).map_err(|e| error(&e))
}

/// Prints the figures and holes of a block. Whether everything that has to be hit was, and no
/// rule of exclusion is wrong.
///
/// # Errors
/// The database has nothing of this block, or its exclusions make no sense.
pub fn print(db: &Database, root: &Path, dut: &Dut, holes: Option<usize>) -> Result<bool, String> {
    let block = block(db, dut)?;
    let exclusions = exclusions(root, dut)?;
    let source = |f: &str| std::fs::read_to_string(root.join(f)).ok();
    let summary = report::summary(block, &exclusions, source);
    print!("{}", report::text(block, &summary, holes.unwrap_or(HOLES)));
    Ok(summary.complete())
}

/// Writes the HTML page of a block.
///
/// # Errors
/// The database has nothing of this block, or the page cannot be written.
pub fn html(db: &Database, root: &Path, dut: &Dut, to: &Path) -> Result<(), String> {
    let block = block(db, dut)?;
    let exclusions = exclusions(root, dut)?;
    let source = |f: &str| std::fs::read_to_string(root.join(f)).ok();
    // Without a plan the page has none.
    let rows = match std::fs::read_to_string(root.join(PLAN)) {
        Ok(text) => iommu_coverage::plan::rows(&text)?,
        Err(_) => Vec::new(),
    };
    let page =
        report::html(&key(dut), block, &exclusions, &rows, source).map_err(|e| e.to_string())?;
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    std::fs::write(to, page).map_err(|e| format!("{}: {e}", to.display()))
}

fn block<'a>(db: &'a Database, dut: &Dut) -> Result<&'a iommu_coverage::Block, String> {
    let key = key(dut);
    db.blocks.get(&key).ok_or_else(|| {
        let known: Vec<_> = db.blocks.keys().map(String::as_str).collect();
        format!(
            "the database has nothing of {key} (its RTL may have changed); it has: {}",
            known.join(", ")
        )
    })
}

/// Runs the subcommand.
pub(crate) fn command(c: &CoverageCommand) -> miette::Result<ExitCode> {
    let open = |a: &CoverageArgs| -> miette::Result<(Database, Dut)> {
        let db = Database::read(&a.database).map_err(|e| {
            miette::miette!(
                help = "`make coverage` makes out/coverage.cov, and `--coverage FILE` of any run another",
                "{e}"
            )
        })?;
        Ok((db, Dut::find(&a.root, &a.dut)?))
    };
    match c {
        CoverageCommand::Report(a) => {
            let (db, dut) = open(a)?;
            let complete =
                print(&db, &a.root, &dut, a.holes).map_err(|e| miette::miette!("{e}"))?;
            Ok(if complete {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        CoverageCommand::Html { args, to } => {
            let (db, dut) = open(args)?;
            html(&db, &args.root, &dut, to).map_err(|e| miette::miette!("{e}"))?;
            println!("{}", to.display());
            Ok(ExitCode::SUCCESS)
        }
        CoverageCommand::Plan { args, plan, all } => {
            let (db, dut) = open(args)?;
            let block = block(&db, &dut).map_err(|e| miette::miette!("{e}"))?;
            let path = args.root.join(plan);
            let error = |e: &dyn std::fmt::Display| miette::miette!("{}: {e}", path.display());
            let text = std::fs::read_to_string(&path).map_err(|e| error(&e))?;
            let rows = iommu_coverage::plan::rows(&text).map_err(|e| error(&e))?;
            let (text, wrong) = iommu_coverage::plan::text(&rows, block, *all);
            print!("{text}");
            Ok(if wrong == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        CoverageCommand::Close(a) => crate::closure::command(a),
        CoverageCommand::Curves { args, to } => {
            let (db, dut) = open(args)?;
            let block = block(&db, &dut).map_err(|e| miette::miette!("{e}"))?;
            let of = block.functional.covers.values().map(|c| c.figures().1);
            let picture = iommu_coverage::curves::svg(&block.curves, of.sum());
            std::fs::write(to, picture).map_err(|e| miette::miette!("{}: {e}", to.display()))?;
            println!("{}", to.display());
            Ok(ExitCode::SUCCESS)
        }
        CoverageCommand::Merge { to, from } => {
            let mut sum = if to.exists() {
                Database::read(to).map_err(|e| miette::miette!("{e}"))?
            } else {
                Database::default()
            };
            for file in from {
                let other = Database::read(file).map_err(|e| miette::miette!("{e}"))?;
                sum.merge(&other)
                    .map_err(|e| miette::miette!("{}: {e}", file.display()))?;
            }
            sum.write(to).map_err(|e| miette::miette!("{e}"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
