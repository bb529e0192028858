//! Runs many tests on all cores, with a progress bar, and keeps what has been
//! obtained whatever happens.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use iommu_bus::event::Resp;

use crate::report::{self, RunResult, Verdict};

/// One test to run.
pub trait Job: Sync {
    /// Name shown in the table.
    fn name(&self) -> &str;
    /// Amount of work, in steps of the progress bar.
    fn work(&self) -> u64;
    /// Runs it. Calls `ticket` as it goes; stops early when it says so.
    fn run(&self, ticket: &Ticket<'_>) -> RunResult;
    /// The result of a run that ended in a panic of the harness.
    fn broke(&self, why: String) -> RunResult;
}

/// What a running job tells and asks the suite.
pub struct Ticket<'a> {
    /// Of this job, and of all; `None` where the work has been counted already.
    bars: Option<(&'a ProgressBar, &'a ProgressBar)>,
    stop: &'a AtomicBool,
    lines: &'a dyn Fn(&str),
    observer: Option<&'a (dyn Fn(Observation) + Sync)>,
    most_cycles: u64,
}

/// What a device saw of one of its accesses, all but the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// device_id.
    pub device_id: u32,
    /// Which access, in the order of submission.
    pub number: u64,
    /// First response that is no success, else the success.
    pub resp: Resp,
    /// Every beat of read data.
    pub data: Vec<(u64, Resp)>,
}

impl<'a> Ticket<'a> {
    /// For a run outside of any suite: no progress bar, nothing said.
    pub fn alone(stop: &'a AtomicBool) -> Self {
        Self {
            bars: None,
            stop,
            lines: &|_| {},
            observer: None,
            most_cycles: u64::MAX,
        }
    }

    /// The same, but each observation of a device is told to somebody, and the run ends after so
    /// many cycles.
    pub fn watched<'b>(
        &'b self,
        observer: Option<&'b (dyn Fn(Observation) + Sync)>,
        most_cycles: u64,
    ) -> Ticket<'b> {
        Ticket {
            bars: self.bars,
            stop: self.stop,
            lines: self.lines,
            observer,
            most_cycles,
        }
    }

    /// A device has seen the end of an access.
    pub fn observe(&self, make: impl FnOnce() -> Observation) {
        if let Some(tell) = self.observer {
            tell(make());
        }
    }

    /// Cycles after which nobody wants to know more.
    pub fn most_cycles(&self) -> u64 {
        self.most_cycles
    }

    /// `steps` more of [`Job::work`] are done, `transactions` have been checked in all.
    pub fn advance(&self, steps: u64, transactions: u64) {
        if let Some((bar, total)) = self.bars {
            bar.inc(steps);
            total.inc(steps);
            bar.set_message(report::grouped(transactions));
        }
    }

    /// For doing the same work again: it moves no bar.
    pub fn silent(&self) -> Ticket<'_> {
        Ticket {
            bars: None,
            stop: self.stop,
            lines: self.lines,
            observer: self.observer,
            most_cycles: self.most_cycles,
        }
    }

    /// Whether somebody wants the run to end (Ctrl-C).
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Prints a line above the progress bar.
    pub fn say(&self, line: &str) {
        (self.lines)(line);
    }
}

/// How a suite is run.
#[derive(Debug)]
pub struct Suite<'a> {
    /// Tests at once.
    jobs: usize,
    /// Where results.json goes.
    json: PathBuf,
    /// Set by Ctrl-C.
    stop: &'a AtomicBool,
    /// Why results.json was not written the last time.
    unsaved: Mutex<Option<String>>,
}

/// How far a suite is: by the work of its jobs, or by the time it has.
#[derive(Debug, Clone, Copy)]
enum Extent {
    Work(u64),
    Time(Duration),
}

impl<'a> Suite<'a> {
    /// So many tests at once, with the results in `json`, until `stop`.
    #[must_use]
    pub fn new(jobs: usize, json: PathBuf, stop: &'a AtomicBool) -> Self {
        Self {
            jobs,
            json,
            stop,
            unsaved: Mutex::default(),
        }
    }

    /// Why results.json does not have all results, if so.
    pub fn unsaved(&self) -> Option<String> {
        lock(&self.unsaved).clone()
    }

    /// Runs all jobs; results come back in the order of `jobs`. A job that was
    /// not begun when the run was stopped has no result.
    pub fn run<J: Job>(&self, jobs: &[J]) -> (Vec<RunResult>, Duration) {
        // The longest first, so that no core ends the run alone.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].work()));
        let extent = Extent::Work(jobs.iter().map(Job::work).sum());
        let threads = self.jobs.clamp(1, jobs.len().max(1));
        self.work(extent, threads, |n| {
            let i = *order.get(usize::try_from(n).ok()?)?;
            Some((i as u64, Held::Borrowed(&jobs[i])))
        })
    }

    /// Runs job after job, as they are made, until the time is over; what is running then is
    /// ended in good order.
    pub fn run_for<J: Job + Send>(
        &self,
        time: Duration,
        make: impl Fn(u64) -> J + Sync,
    ) -> (Vec<RunResult>, Duration) {
        let begin = Instant::now();
        self.work(Extent::Time(time), self.jobs.max(1), |n| {
            (begin.elapsed() < time).then(|| (n, Held::Owned(make(n))))
        })
    }

    /// `next` gives the n-th job to begin, and its place among the results.
    fn work<'j, J: Job + 'j>(
        &self,
        extent: Extent,
        threads: usize,
        next: impl Fn(u64) -> Option<(u64, Held<'j, J>)> + Sync,
    ) -> (Vec<RunResult>, Duration) {
        let begin = Instant::now();
        let watched = std::io::stderr().is_terminal();
        let multi = MultiProgress::with_draw_target(if watched {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let total = multi.add(ProgressBar::new(match extent {
            Extent::Work(steps) => steps,
            Extent::Time(time) => time.as_millis() as u64,
        }));
        total.set_style(style(match extent {
            Extent::Work(_) => {
                "{elapsed_precise} [{bar:40.green/dim}] {percent:>3}%  {rate:>14}  ETA {eta}  {msg}"
            }
            Extent::Time(_) => {
                "{elapsed_precise} [{bar:40.green/dim}] {percent:>3}%  ETA {eta}  {msg}"
            }
        }));
        let timed = matches!(extent, Extent::Time(_));
        let say = |line: &str| {
            if watched {
                let _ = multi.println(line);
            } else {
                eprintln!("{line}");
            }
        };

        let begun = AtomicU64::new(0);
        let results: Mutex<Results> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) {
                        let Some((place, held)) = next(begun.fetch_add(1, Ordering::Relaxed))
                        else {
                            break;
                        };
                        let job = held.job();
                        let bar = multi.insert_before(&total, ProgressBar::new(job.work()));
                        bar.set_style(style(
                            "  {prefix:28} [{bar:24.cyan/dim}] {percent:>3}%  {msg} transactions",
                        ));
                        bar.set_prefix(job.name().to_owned());
                        let hidden = ProgressBar::hidden();
                        let ticket = Ticket {
                            bars: Some((&bar, if timed { &hidden } else { &total })),
                            stop: self.stop,
                            lines: &say,
                            observer: None,
                            most_cycles: u64::MAX,
                        };
                        let result = catch_unwind(AssertUnwindSafe(|| job.run(&ticket)))
                            .unwrap_or_else(|p| job.broke(panic_text(p.as_ref())));
                        if timed {
                            total.set_position(begin.elapsed().as_millis() as u64);
                        } else {
                            // What the job did not use of its share is done too.
                            total.inc(job.work().saturating_sub(bar.position()));
                        }
                        bar.finish_and_clear();
                        multi.remove(&bar);
                        match result.verdict {
                            Verdict::Passed | Verdict::Skipped => {
                                if !watched && !timed {
                                    let name = &result.name;
                                    say(&match &result.why {
                                        Some(why) if result.verdict == Verdict::Skipped => {
                                            format!("skipped {name}: {why}")
                                        }
                                        _ => format!(
                                            "pass    {name} ({:.1} s)",
                                            result.wall.as_secs_f64()
                                        ),
                                    });
                                }
                            }
                            _ => say(&report::story(&result)),
                        }
                        let mut all = lock(&results);
                        all.add(place, result);
                        total.set_message(all.message(begin.elapsed()));
                        self.save(&mut all, false, &say);
                    }
                });
            }
        });
        total.finish_and_clear();
        let mut all = results.into_inner().unwrap_or_else(|e| e.into_inner());
        self.save(&mut all, true, &say);
        all.list.sort_by_key(|&(place, _)| place);
        let results = all.list.into_iter().map(|(_, r)| r).collect();
        (results, begin.elapsed())
    }

    /// Writes results.json: after each test while they are few, else at most once a second (and
    /// at the end), so that a killed run loses next to nothing.
    fn save(&self, all: &mut Results, end: bool, say: &dyn Fn(&str)) {
        const FEW: usize = 200;
        let now = Instant::now();
        let due = all
            .saved
            .is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1));
        if all.list.is_empty() || !(end || due || all.list.len() <= FEW) {
            return;
        }
        all.saved = Some(now);
        let mut so_far: Vec<(u64, &RunResult)> = all.list.iter().map(|(n, r)| (*n, r)).collect();
        so_far.sort_by_key(|&(n, _)| n);
        let so_far: Vec<&RunResult> = so_far.into_iter().map(|(_, r)| r).collect();
        let why = report::write_json(&self.json, &so_far)
            .err()
            .map(|e| format!("cannot write {}: {e}", self.json.display()));
        if let Some(why) = &why {
            say(why);
        }
        *lock(&self.unsaved) = why;
    }
}

/// A job of a list, or one that was made to be run once.
enum Held<'j, J> {
    Borrowed(&'j J),
    Owned(J),
}

impl<J> Held<'_, J> {
    fn job(&self) -> &J {
        match self {
            Self::Borrowed(j) => j,
            Self::Owned(j) => j,
        }
    }
}

/// Results so far, with their places.
#[derive(Default)]
struct Results {
    list: Vec<(u64, RunResult)>,
    transactions: u64,
    failed: usize,
    saved: Option<Instant>,
}

impl Results {
    fn add(&mut self, place: u64, r: RunResult) {
        self.transactions += r.metrics.transactions();
        self.failed += usize::from(matches!(r.verdict, Verdict::Failed | Verdict::Error));
        self.list.push((place, r));
    }

    fn message(&self, elapsed: Duration) -> String {
        let rate = self.transactions as f64 / elapsed.as_secs_f64().max(1e-3);
        let mut s = format!(
            "{} tests, {} transactions/s",
            self.list.len(),
            report::grouped(rate as u64)
        );
        if self.failed > 0 {
            s.push_str(&format!(", {} FAILED", self.failed));
        }
        s
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere must not lose the results that are already there.
    m.lock().unwrap_or_else(|e| e.into_inner())
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |s: &ProgressState, w: &mut dyn std::fmt::Write| {
            let _ = write!(w, "{} ops/s", report::grouped(s.per_sec() as u64));
        })
        .progress_chars("█▉░")
}

fn panic_text(p: &(dyn std::any::Any + Send)) -> String {
    p.downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| p.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(&'static str);

    impl Fake {
        fn result(&self, verdict: Verdict, why: Option<String>) -> RunResult {
            RunResult {
                name: self.0.to_owned(),
                seed: 1,
                verdict,
                cycles: 1,
                wall: Duration::from_millis(1),
                event_hash: 0,
                metrics: Default::default(),
                failures: vec![],
                replay: String::new(),
                why,
                hashes: Default::default(),
            }
        }
    }

    impl Job for Fake {
        fn name(&self) -> &str {
            self.0
        }
        fn work(&self) -> u64 {
            1
        }
        fn run(&self, _: &Ticket<'_>) -> RunResult {
            assert!(self.0 != "panics", "a bug of the harness");
            self.result(Verdict::Passed, None)
        }
        fn broke(&self, why: String) -> RunResult {
            self.result(Verdict::Error, Some(why))
        }
    }

    #[test]
    fn results_that_could_not_be_written_are_told() {
        let stop = AtomicBool::new(false);
        let suite = Suite::new(1, "Cargo.toml/results.json".into(), &stop);
        let (results, _) = suite.run(&[Fake("a")]);
        assert_eq!(results.len(), 1);
        assert!(suite.unsaved().unwrap().contains("Cargo.toml/results.json"));
    }

    #[test]
    fn a_panic_in_one_test_loses_no_other_result() {
        let dir = std::env::temp_dir().join(format!("iommu-cosim-suite-{}", std::process::id()));
        let stop = AtomicBool::new(false);
        let suite = Suite::new(2, dir.join("results.json"), &stop);
        let jobs = [Fake("a"), Fake("panics"), Fake("b")];
        let (results, _) = suite.run(&jobs);
        let seen: Vec<_> = results
            .iter()
            .map(|r| (r.name.as_str(), r.verdict))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", Verdict::Passed),
                ("panics", Verdict::Error),
                ("b", Verdict::Passed)
            ]
        );
        assert!(
            results[1]
                .why
                .as_deref()
                .is_some_and(|w| w.contains("a bug of the harness"))
        );
        let json = std::fs::read_to_string(dir.join("results.json")).unwrap();
        assert_eq!(json.matches("\"test\"").count(), 3);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn stopped_before_it_began() {
        let stop = AtomicBool::new(true);
        let suite = Suite::new(1, std::env::temp_dir().join("never-written.json"), &stop);
        assert!(suite.run(&[Fake("a")]).0.is_empty());
    }
}
