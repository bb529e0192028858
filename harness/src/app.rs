//! What the subcommands do.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iommu_testcase::Case;

use crate::cli::{Cli, Command, CommonArgs, ListArgs, RunArgs};
use crate::coverage::{self, Gathering};
use crate::dut::{Dut, Kind};
use crate::random::{RandomPart, Seen};
use crate::report::{self, Hashes, RunResult, Verdict};
use crate::run::{self, Covering, Outcome, Setup, Wave};
use crate::suite::{Job, Suite, Ticket};

/// Operations of a long test that a short run executes.
pub(crate) const SHORT_OPS: u64 = 4_000;

/// Tag of tests that count on when a block does what it may do at any time.
const TIMING: &str = "timing";

/// Tag of tests that say how fast a block is, in cycles.
const PERFORMANCE: &str = "performance";

/// Set by Ctrl-C; running tests end at the next chance.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// Exit codes: 0 all passed, 1 something failed, 2 the command line or an input
/// file is wrong, 130 stopped by Ctrl-C.
const WRONG_INPUT: u8 = 2;
const STOPPED: u8 = 130;

/// Runs the program.
pub fn main(cli: Cli) -> ExitCode {
    // A second Ctrl-C ends the program at once.
    let handler = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(STOPPED.into());
        }
        eprintln!("stopping; results so far are kept (Ctrl-C again ends at once)");
    });
    if let Err(e) = handler {
        eprintln!("warning: Ctrl-C will lose the table: {e}");
    }
    let done = match &cli.command {
        Command::Run(a) => run_cases(a),
        Command::Random(a) => crate::random::command(a),
        Command::Masks(a) => crate::masks::command(a),
        Command::List(a) => list(a),
        Command::Bench(a) => crate::bench::command(a),
        Command::Coverage(c) => coverage::command(c),
        Command::Prove(a) => crate::prove::command(a),
    };
    match done {
        Ok(code) => code,
        Err(e) => {
            eprintln!("{e:?}");
            ExitCode::from(WRONG_INPUT)
        }
    }
}

fn list(a: &ListArgs) -> miette::Result<ExitCode> {
    if a.duts {
        for dut in iommu_sim::duts() {
            println!("{:<32} {}", dut.name, dut.yaml);
        }
        println!("{:<32} the specification in software", iommu_softdut::NAME);
        println!(
            "{:<32} the same with other choices of its own",
            iommu_softdut::NARROW
        );
        for bug in iommu_softdut::Bug::ALL {
            let name = format!("{}:{}", iommu_softdut::NAME, bug.name());
            println!("{name:<32} {}", bug.description());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let a = &a.common;
    for case in iommu_testcase::load_all(&a.root)? {
        println!("{:<32} {}", case.name, case.description.trim());
    }
    Ok(ExitCode::SUCCESS)
}

fn run_cases(a: &RunArgs) -> miette::Result<ExitCode> {
    let dut = Dut::find(&a.common.root, &a.common.dut)?;
    let mut all = iommu_testcase::load_all(&a.common.root)?;
    for name in &a.test {
        // A file from elsewhere, such as a reduced test.
        let path = Path::new(name);
        if path.extension().is_some_and(|e| e == "yaml")
            && path.exists()
            && !all.iter().any(|c| same_file(&c.file, path))
        {
            all.push(Case {
                file: path.to_owned(),
                ..iommu_testcase::testcase::load(path, name)?
            });
        }
    }
    let cases = select(all, &a.test)?;
    let runs = Runs::new(&a.common, &dut, "make sim", a.short)?;
    let jobs: Vec<_> = cases
        .into_iter()
        .map(|case| TestJob {
            name: case.name.clone(),
            replay: runs.replay(&format!("TEST={} SEED={}", case.name, a.seed)),
            case,
            seed: a.seed,
            runs: &runs,
            random: None,
        })
        .collect();
    runs.all(&jobs)
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The cases that are named; an unknown name is an error with the nearest valid one.
pub(crate) fn select(cases: Vec<Case>, names: &[String]) -> miette::Result<Vec<Case>> {
    if names.is_empty() {
        return Ok(cases);
    }
    let fits = |case: &Case, name: &str| match name.strip_suffix('*') {
        Some(prefix) => case.name.starts_with(prefix),
        None => {
            case.name == name
                || same_file(&case.file, Path::new(name))
                || case.tags.iter().any(|t| t == name)
        }
    };
    for name in names {
        if !cases.iter().any(|c| fits(c, name)) {
            let valid = cases.iter().map(|c| c.name.as_str());
            let hint = iommu_testcase::diag::nearest(name, valid)
                .map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            return Err(miette::miette!(
                help = "`iommu-cosim list` (or make list) shows all tests",
                "there is no test `{name}`{hint}"
            ));
        }
    }
    Ok(cases
        .into_iter()
        .filter(|c| names.iter().any(|n| fits(c, n)))
        .collect())
}

/// What all jobs of an invocation share.
pub(crate) struct Runs<'a> {
    common: &'a CommonArgs,
    dut: &'a Dut,
    again: &'static str,
    short: bool,
    /// `capabilities` under a mask, as the block itself says.
    capabilities: Mutex<HashMap<u64, Result<u64, String>>>,
    /// What the runs cover, where it is to be counted.
    gathering: Option<Gathering>,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(
        common: &'a CommonArgs,
        dut: &'a Dut,
        again: &'static str,
        short: bool,
    ) -> miette::Result<Self> {
        let mut runs = Self {
            common,
            dut,
            again,
            short,
            capabilities: Mutex::default(),
            gathering: None,
        };
        if let Some(file) = &common.coverage {
            let gathering = runs
                .capabilities(u64::MAX)
                .and_then(|caps| coverage::target(dut, caps))
                .and_then(|target| Gathering::new(file, dut, target))
                .map_err(|e| miette::miette!("{e}"))?;
            runs.gathering = Some(gathering);
        }
        Ok(runs)
    }

    /// What the runs cover, where it is counted.
    pub(crate) fn gathering(&self) -> Option<&Gathering> {
        self.gathering.as_ref()
    }

    pub(crate) fn replay(&self, what: &str) -> String {
        format!("{} {what}{}", self.again, self.named())
    }

    /// The line that runs a test case from a file.
    pub(crate) fn replay_case(&self, path: &Path, seed: u64) -> String {
        let path = path.display();
        format!("make sim TEST={path} SEED={seed}{}", self.named())
    }

    fn named(&self) -> String {
        match self.common.dut.as_str() {
            "iommu-cosim" => String::new(),
            other => format!(" DUT={other}"),
        }
    }

    /// Where results go.
    pub(crate) fn out(&self) -> &Path {
        &self.common.out
    }

    pub(crate) fn capabilities(&self, mask: u64) -> Result<u64, String> {
        let mut known = self
            .capabilities
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .entry(mask)
            .or_insert_with(|| run::probe_capabilities(&self.dut.name, mask))
            .clone()
    }

    pub(crate) fn all(&self, jobs: &[TestJob<'_>]) -> miette::Result<ExitCode> {
        let suite = self.suite(&format!("{} tests", jobs.len()))?;
        let (results, wall) = suite.run(jobs);
        self.end(&suite, results, wall, jobs.len())
    }

    /// Says what is about to be run; an error if its results could not be written.
    pub(crate) fn suite(&self, what: &str) -> miette::Result<Suite<'static>> {
        let json = self.common.out.join("results.json");
        report::writable(&json)
            .map_err(|e| miette::miette!(help = "`--out DIR` is where the results go", "{e}"))?;
        let threads = self.common.threads();
        println!(
            "{} ({}, RTL {:016x}), Verilator {}, {what} on {threads} threads",
            self.dut.name,
            self.dut.yaml.display(),
            self.dut.hash,
            iommu_sim::verilator_version(),
        );
        Ok(Suite::new(threads, json, &STOP))
    }

    /// Prints what came of it.
    pub(crate) fn end(
        &self,
        suite: &Suite<'_>,
        results: Vec<RunResult>,
        wall: Duration,
        jobs: usize,
    ) -> miette::Result<ExitCode> {
        /// More rows than that nobody reads; results.json has them all.
        const ROWS: usize = 400;
        let shown: Vec<&RunResult> = results
            .iter()
            .filter(|r| results.len() <= ROWS || r.verdict != Verdict::Passed)
            .take(ROWS)
            .collect();
        println!("{}", report::table(&shown, std::io::stdout().is_terminal()));
        let bad: Vec<_> = results
            .iter()
            .filter(|r| matches!(r.verdict, Verdict::Failed | Verdict::Error))
            .collect();
        for r in &bad {
            println!("{}", report::story(r));
        }
        if results.len() < jobs {
            println!("{} tests were not begun", jobs - results.len());
        }
        println!("{}", report::summary(&results, wall));
        if let Some(g) = &self.gathering {
            g.write().map_err(|e| miette::miette!("coverage: {e}"))?;
            let (hit, of) = g.figures();
            println!("coverage: {hit} of {of} bins hit so far");
        }
        if let Some(why) = suite.unsaved() {
            return Err(miette::miette!("{why}"));
        }
        Ok(if STOP.load(Ordering::Relaxed) {
            ExitCode::from(STOPPED)
        } else if bad.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

pub(crate) struct TestJob<'a> {
    pub(crate) name: String,
    pub(crate) replay: String,
    pub(crate) case: Case,
    pub(crate) seed: u64,
    pub(crate) runs: &'a Runs<'a>,
    /// What a random test does besides.
    pub(crate) random: Option<Arc<RandomPart>>,
}

impl TestJob<'_> {
    fn result(&self, verdict: Verdict, why: Option<String>) -> RunResult {
        RunResult {
            name: self.name.clone(),
            seed: self.seed,
            verdict,
            cycles: 0,
            wall: Duration::ZERO,
            event_hash: 0,
            metrics: Default::default(),
            failures: Vec::new(),
            replay: self.replay.clone(),
            why,
            hashes: Hashes {
                rtl: self.runs.dut.hash,
                profile: self.random.as_ref().map(|p| p.hash),
            },
        }
    }

    /// Where its waveform goes; makes the folder.
    fn wave_path(&self) -> Result<PathBuf, String> {
        let out = &self.runs.common.out;
        std::fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
        let name = self.name.replace([' ', '/'], "-");
        Ok(out.join(format!("{name}-{}.fst", self.seed)))
    }

    /// Runs the failing test again with a waveform of the window round the mismatch.
    fn record_failure(
        &self,
        first: &mut Outcome,
        setup: &Setup,
        ticket: &Ticket<'_>,
    ) -> Option<String> {
        let path = match self.wave_path() {
            Ok(path) => path,
            Err(e) => return Some(format!("no waveform: {e}")),
        };
        let again = Setup {
            wave: Some(run::wave_window(first, path.clone())),
            coverage: Covering::Nothing,
            verbose: false,
            ..setup.clone()
        };
        let second = run::run(&self.case, &again, &ticket.silent());
        if let Some(e) = second.error {
            return Some(format!("no waveform: {e}"));
        }
        if let Some(f) = first.failures.first_mut() {
            f.waveform = Some(path.display().to_string());
        }
        (second.failures.first().map(|f| (f.cycle, &f.check))
            != first.failures.first().map(|f| (f.cycle, &f.check)))
        .then(|| {
            "the run with a waveform failed differently: the model is not deterministic".to_owned()
        })
    }
}

impl Job for TestJob<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn work(&self) -> u64 {
        let all = self.case.total_hint.max(1);
        if self.runs.short {
            all.min(SHORT_OPS)
        } else {
            all
        }
    }

    fn run(&self, ticket: &Ticket<'_>) -> RunResult {
        let mask = self.case.setting(self.seed).caps_mask;
        // What the test needs, the block must have without any mask of the test's own.
        let caps = match self.runs.capabilities(mask) {
            Ok(c) => c,
            Err(e) => return self.result(Verdict::Failed, Some(e)),
        };
        if let Some(what) = self
            .case
            .missing(self.seed, caps, &self.runs.dut.desc.choices)
        {
            return self.result(Verdict::Skipped, Some(format!("needs {what}")));
        }
        let tagged = |tag| self.case.tags.iter().any(|t| t == tag);
        if self.runs.dut.kind() == Kind::Soft && tagged(TIMING) {
            let why = "says when things happen, which this device does not promise";
            return self.result(Verdict::Skipped, Some(why.to_owned()));
        }
        if self.runs.dut.desc.choices.slower() && (tagged(TIMING) || tagged(PERFORMANCE)) {
            let why = "a faster block: its figures are those of the default latency class";
            return self.result(Verdict::Skipped, Some(format!("needs {why}")));
        }
        let scoreboard = match self.runs.dut.scoreboard(caps) {
            Ok(s) => s,
            Err(e) => return self.result(Verdict::Error, Some(e)),
        };
        let mut setup = Setup {
            at_most: self.runs.short.then_some(SHORT_OPS),
            timed: self.runs.dut.kind() == Kind::Rtl,
            coverage: self
                .runs
                .gathering
                .as_ref()
                .map_or(Covering::Nothing, |g| g.covering),
            verbose: self.runs.common.verbose,
            ..Setup::new(&self.runs.dut.name, self.seed, scoreboard)
        };
        if self.runs.common.waves {
            match self.wave_path() {
                Ok(path) => setup.wave = Some(Wave { path, from: 0 }),
                Err(why) => return self.result(Verdict::Error, Some(why)),
            }
        }
        let seen = Seen::new(self.random.as_deref(), self.seed);
        let observer = |o| seen.add(o);
        let watched = ticket.watched(seen.wanted().then_some(&observer as _), u64::MAX);
        let mut outcome = run::run(&self.case, &setup, &watched);
        let mut why = outcome.error.clone();
        let traceable = self.runs.dut.kind() == Kind::Rtl;
        if !outcome.failures.is_empty() {
            if setup.wave.is_none() && traceable {
                why = self.record_failure(&mut outcome, &setup, ticket);
            }
            if let Some(part) = &self.random {
                let reduced = part.reduce(&self.case, &setup, &outcome, self.runs, ticket);
                why = [why, reduced]
                    .into_iter()
                    .flatten()
                    .reduce(|a, b| a + "\n  " + &b);
            }
        } else if let Some(part) = &self.random
            && outcome.error.is_none()
            && !outcome.interrupted
        {
            part.run_again(&self.case, &setup, &mut outcome, &seen, traceable, ticket);
        }
        let verdict = if outcome.error.is_some() {
            Verdict::Error
        } else if !outcome.failures.is_empty() {
            Verdict::Failed
        } else if outcome.interrupted {
            Verdict::Interrupted
        } else {
            Verdict::Passed
        };
        // What a failing run has seen was not checked to its end.
        if verdict == Verdict::Passed
            && let (Some(g), Some(seen)) = (&self.runs.gathering, &outcome.coverage)
        {
            g.add(&self.name, self.seed, outcome.cycles, seen);
        }
        RunResult {
            cycles: outcome.cycles,
            wall: outcome.wall,
            event_hash: outcome.event_hash,
            metrics: outcome.metrics,
            failures: outcome.failures,
            ..self.result(verdict, why)
        }
    }

    fn broke(&self, why: String) -> RunResult {
        self.result(
            Verdict::Error,
            Some(format!("the harness itself broke (please report): {why}")),
        )
    }
}
