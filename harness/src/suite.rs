//! Runs many tests on all cores, with a progress bar, and keeps what has been
//! obtained whatever happens.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
}

impl<'a> Ticket<'a> {
    /// For a run outside of any suite: no progress bar, nothing said.
    pub fn alone(stop: &'a AtomicBool) -> Self {
        Self {
            bars: None,
            stop,
            lines: &|_| {},
        }
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
    pub jobs: usize,
    /// Where results.json goes.
    pub json: PathBuf,
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
}

impl Suite<'_> {
    /// Runs all jobs; results come back in the order of `jobs`. A job that was
    /// not begun when the run was stopped has no result.
    pub fn run<J: Job>(&self, jobs: &[J]) -> (Vec<RunResult>, Duration) {
        let begin = Instant::now();
        let watched = std::io::stderr().is_terminal();
        let multi = MultiProgress::with_draw_target(if watched {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        let total = multi.add(ProgressBar::new(jobs.iter().map(Job::work).sum()));
        total.set_style(style(
            "{elapsed_precise} [{bar:40.green/dim}] {percent:>3}%  {rate:>14}  ETA {eta}  {msg}",
        ));
        let say = |line: &str| {
            if watched {
                let _ = multi.println(line);
            } else {
                eprintln!("{line}");
            }
        };

        // The longest first, so that no core ends the run alone.
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(jobs[i].work()));
        let queue = Mutex::new(VecDeque::from(order));
        let results: Mutex<Vec<Option<RunResult>>> =
            Mutex::new(jobs.iter().map(|_| None).collect());

        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) {
                        let Some(i) = lock(&queue).pop_front() else {
                            break;
                        };
                        let job = &jobs[i];
                        let bar = multi.insert_before(&total, ProgressBar::new(job.work()));
                        bar.set_style(style(
                            "  {prefix:28} [{bar:24.cyan/dim}] {percent:>3}%  {msg} transactions",
                        ));
                        bar.set_prefix(job.name().to_owned());
                        let ticket = Ticket {
                            bars: Some((&bar, &total)),
                            stop: self.stop,
                            lines: &say,
                        };
                        let result = catch_unwind(AssertUnwindSafe(|| job.run(&ticket)))
                            .unwrap_or_else(|p| job.broke(panic_text(p.as_ref())));
                        // What the job did not use of its share is done too.
                        total.inc(job.work().saturating_sub(bar.position()));
                        bar.finish_and_clear();
                        multi.remove(&bar);
                        match result.verdict {
                            Verdict::Passed | Verdict::Skipped => {
                                if !watched {
                                    say(&format!(
                                        "{:<8}{} ({:.1} s)",
                                        if result.verdict == Verdict::Passed {
                                            "pass"
                                        } else {
                                            "skipped"
                                        },
                                        result.name,
                                        result.wall.as_secs_f64()
                                    ));
                                }
                            }
                            _ => say(&report::story(&result)),
                        }
                        let mut all = lock(&results);
                        all[i] = Some(result);
                        let so_far: Vec<&RunResult> = all.iter().flatten().collect();
                        total.set_message(format!("{}/{} tests", so_far.len(), jobs.len()));
                        if let Err(e) = report::write_json(&self.json, &so_far) {
                            say(&format!("cannot write {}: {e}", self.json.display()));
                        }
                    }
                });
            }
        });
        total.finish_and_clear();
        let results = results
            .into_inner()
            .unwrap_or_else(|e| e.into_inner())
            .into_iter()
            .flatten()
            .collect();
        (results, begin.elapsed())
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
    fn a_panic_in_one_test_loses_no_other_result() {
        let dir = std::env::temp_dir().join(format!("iommu-cosim-suite-{}", std::process::id()));
        let stop = AtomicBool::new(false);
        let suite = Suite {
            jobs: 2,
            json: dir.join("results.json"),
            stop: &stop,
        };
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
        let suite = Suite {
            jobs: 1,
            json: std::env::temp_dir().join("never-written.json"),
            stop: &stop,
        };
        assert!(suite.run(&[Fake("a")]).0.is_empty());
    }
}
