//! `iommu-cosim random`: profiles and seeds, and what a random test does
//! besides running once.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iommu_testcase::Case;
use iommu_testcase::dump::{self, Head};
use iommu_testcase::random::{self, Plan, Profile, Target};

use crate::app::{Runs, TestJob};
use crate::cli::RandomArgs;
use crate::dut::Dut;
use crate::reduce;
use crate::report::Failure;
use crate::run::{self, Outcome, Setup};
use crate::suite::{Observation, Ticket};

/// Where the profiles are, below the root.
const FOLDER: &str = "testcases/profiles";
/// Failing runs of one invocation that are reduced; the rest most likely fail alike.
const REDUCTIONS: u32 = 4;
/// Differences that are told.
const SHOWN: usize = 4;

/// Runs the subcommand.
pub(crate) fn command(a: &RandomArgs) -> miette::Result<ExitCode> {
    let dut = Dut::find(&a.common.root, &a.common.dut)?;
    let profiles = load(&a.common.root, &a.profile)?;
    let runs = Runs::new(&a.common, &dut, "make random", false)?;
    let target = target(&runs, &dut)?;
    let left = Arc::new(AtomicU32::new(REDUCTIONS));
    let parts: Vec<(Case, Arc<RandomPart>, &str)> = profiles
        .iter()
        .map(|(profile, named)| {
            let part = RandomPart {
                variant: random::variant(profile, &target),
                profile: profile.clone(),
                target: target.clone(),
                hash: profile.hash(),
                budget: Duration::from_secs(a.reduce_seconds),
                left: left.clone(),
            };
            (
                random::case(profile, &target),
                Arc::new(part),
                named.as_str(),
            )
        })
        .collect();
    let job_of = |part: usize, n: u64| {
        let (case, part, named) = &parts[part];
        let seed = a.seed.wrapping_add(n);
        TestJob {
            name: format!("{} seed {seed}", case.name),
            replay: runs.replay(&format!("PROFILE={named} SEEDS=1 SEED={seed}")),
            case: case.clone(),
            seed,
            runs: &runs,
            random: Some(part.clone()),
        }
    };
    if let Some(minutes) = a.minutes {
        let turns: Vec<u32> = profiles.iter().map(|(p, _)| p.turns).collect();
        let job = |n: u64| {
            let (part, seed) = turn(&turns, n);
            job_of(part, seed)
        };
        let time = Duration::from_secs_f64(minutes * 60.0);
        let suite = runs.suite(&format!("{minutes} minutes of random tests"))?;
        let (results, wall) = suite.run_for(time, job);
        let n = results.len();
        return runs.end(&suite, results, wall, n);
    }
    let all = parts.len() as u64;
    let jobs: Vec<_> = (0..a.seeds * all)
        .map(|n| job_of((n % all) as usize, n / all))
        .collect();
    runs.all(&jobs)
}

/// The profile of a run by the clock, and which of its seeds: each time round a profile has as many
/// as its turns, not all of them in a row.
fn turn(turns: &[u32], n: u64) -> (usize, u64) {
    let all: u64 = turns.iter().map(|&t| u64::from(t)).sum();
    let (round, mut at) = (n / all, n % all);
    // One of each that has another turn, then the same again.
    for lap in 0.. {
        let left = || (0..turns.len()).filter(|&p| turns[p] > lap);
        let here = left().count() as u64;
        if at < here {
            let part = left().nth(at as usize).unwrap_or(0);
            return (part, round * u64::from(turns[part]) + u64::from(lap));
        }
        at -= here;
    }
    (0, n)
}

/// The profiles that are named, and how.
pub(crate) fn load(root: &Path, names: &[String]) -> miette::Result<Vec<(Profile, String)>> {
    let folder = root.join(FOLDER);
    let names: Vec<String> = if names.iter().any(|n| n == "all") {
        random::profile::list(&folder)?
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    } else {
        names.to_vec()
    };
    names
        .into_iter()
        .map(|name| Ok((Profile::load(&folder, &name)?, name)))
        .collect()
}

/// The block as a random test sees it.
pub(crate) fn target(runs: &Runs<'_>, dut: &Dut) -> miette::Result<Target> {
    let caps = runs
        .capabilities(u64::MAX)
        .map_err(|e| miette::miette!("{e}"))?;
    Ok(target_with(caps, dut))
}

/// The same where its capabilities, not masked, are known.
pub(crate) fn target_with(caps: u64, dut: &Dut) -> Target {
    let c = &dut.desc.choices;
    Target {
        caps,
        gxl: c.gxl_writable,
        levels: c.levels.clone(),
        vectors: c.vectors,
        atomics: c.device_atomics,
        wide_illegal: c.wide_operand_illegal,
    }
}

/// A profile of the project; for tests of the harness.
///
/// # Errors
/// There is no such profile, or it has a mistake.
pub fn profile(root: &Path, name: &str) -> miette::Result<Profile> {
    Ok(Profile::load(&root.join(FOLDER), name)?)
}

/// What a random test does besides running once.
#[derive(Debug)]
pub(crate) struct RandomPart {
    profile: Profile,
    target: Target,
    /// The same test with another VM B.
    variant: Case,
    /// Of the profile.
    pub(crate) hash: u64,
    /// Time to reduce a failing run in; 0: it is not.
    budget: Duration,
    left: Arc<AtomicU32>,
}

/// What VM A's devices observe in a run, if somebody will compare it.
pub(crate) struct Seen {
    devices: Vec<u32>,
    list: Mutex<Vec<Observation>>,
}

impl Seen {
    pub(crate) fn new(part: Option<&RandomPart>, seed: u64) -> Self {
        let devices = part
            .filter(|p| random::plan(&p.profile, seed).isolation)
            .map_or_else(Vec::new, |p| random::observers(&p.profile, &p.target, seed));
        Self {
            devices,
            list: Mutex::default(),
        }
    }

    pub(crate) fn wanted(&self) -> bool {
        !self.devices.is_empty()
    }

    pub(crate) fn add(&self, o: Observation) {
        if self.devices.contains(&o.device_id) {
            self.lock().push(o);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Observation>> {
        self.list
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// By device, in the order in which the accesses were submitted; their numbers count
    /// others' accesses too and say nothing.
    fn sorted(&self) -> Vec<Observation> {
        let mut all = self.lock().clone();
        all.sort_by_key(|o| (o.device_id, o.number));
        all
    }
}

impl RandomPart {
    /// Runs a test that has passed again, otherwise, as its plan says: what comes of it has to
    /// be the same.
    /// (`rtl`: the block is a Verilated one.)
    pub(crate) fn run_again(
        &self,
        case: &Case,
        setup: &Setup,
        first: &mut Outcome,
        seen: &Seen,
        rtl: bool,
        ticket: &Ticket<'_>,
    ) {
        let Plan {
            other_state,
            isolation,
        } = random::plan(&self.profile, setup.seed);
        // A device in software draws what it may do from that seed.
        if other_state && rtl {
            let setup = Setup {
                model_seed: Some(!setup.seed),
                wave: None,
                ..setup.clone()
            };
            let again = run::run(case, &setup, &ticket.silent());
            if !again.interrupted {
                first.failures.extend(state_matters(first, &again));
            }
        }
        if isolation && first.failures.is_empty() {
            let other = Seen {
                devices: seen.devices.clone(),
                list: Mutex::default(),
            };
            let observer = |o| other.add(o);
            let setup = Setup {
                wave: None,
                ..setup.clone()
            };
            let silent = ticket.silent();
            let watched = silent.watched(Some(&observer), u64::MAX);
            let again = run::run(&self.variant, &setup, &watched);
            if again.error.is_some() {
                first.error = again.error;
            } else if !again.failures.is_empty() {
                first.failures = again.failures;
            } else if !again.interrupted {
                let difference = interference(&seen.sorted(), &other.sorted(), again.cycles);
                first.failures.extend(difference);
            }
        }
    }

    /// Reduces a failing run, and writes what is left as a test case; what there is to say.
    pub(crate) fn reduce(
        &self,
        case: &Case,
        setup: &Setup,
        outcome: &Outcome,
        runs: &Runs<'_>,
        ticket: &Ticket<'_>,
    ) -> Option<String> {
        let failure = outcome.failures.first()?;
        if self.budget.is_zero() {
            return None;
        }
        let mine = |n: u32| n.checked_sub(1);
        if self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, mine)
            .is_err()
        {
            return Some(format!(
                "not reduced: {REDUCTIONS} runs before it have been; run it alone"
            ));
        }
        ticket.say(&format!(
            "  reducing {} seed {} (at most {} s)",
            case.name,
            setup.seed,
            self.budget.as_secs()
        ));
        let setup = Setup {
            wave: None,
            verbose: false,
            ..setup.clone()
        };
        let least = match reduce::reduce(case, &setup, failure, self.budget, ticket) {
            Ok(least) => least,
            Err(why) => return Some(format!("not reduced: {why}")),
        };
        let name = format!("reduced-{}-{}", case.name, setup.seed);
        let path = runs.out().join(format!("{name}.yaml"));
        let replay = runs.replay_case(&path, setup.seed);
        let head = Head {
            name: &name,
            description: &format!("Reduced from a random test; fails check {}.", failure.check),
            comment: &format!(
                "{} of {} operations of profile {} (hash {:016x}), seed {}, after {} trials.\n\
                 Fails: {}\n\
                 Again: {replay}",
                least.ops.len(),
                least.from,
                case.name,
                self.hash,
                setup.seed,
                least.trials,
                failure.check
            ),
            quiesced: case.quiesced,
            setting: &least.setting,
        };
        let written = dump::to_yaml(&head, &least.ops).and_then(|text| {
            std::fs::create_dir_all(runs.out())
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| format!("{}: {e}", path.display()))
        });
        Some(match written {
            Ok(()) => format!(
                "reduced to {} of {} operations (steps of {}): {replay}",
                least.ops.len(),
                least.from,
                path.display()
            ),
            Err(why) => format!("reduced, but not written: {why}"),
        })
    }
}

fn difference(check: &str, rule: &str, cycle: u64, expected: String, got: String) -> Failure {
    Failure {
        cycle,
        check: check.to_owned(),
        rule: rule.to_owned(),
        expected,
        got,
        story: String::new(),
        at: "the whole run, run twice".to_owned(),
        waveform: None,
    }
}

/// Two runs that differ only in what reset does not touch.
fn state_matters(first: &Outcome, again: &Outcome) -> Option<Failure> {
    let told = |o: &Outcome| {
        let mut s = format!("{} cycles, event hash {:016x}", o.cycles, o.event_hash);
        for f in o.failures.iter().take(1) {
            let _ = write!(s, ", {}: {}", f.check, f.got);
        }
        s
    };
    let (a, b) = (told(first), told(again));
    (a != b).then(|| {
        difference(
            "initial-state",
            "design 6, Reset: outcome and cycle hash do not depend on what reset leaves",
            again.cycles,
            a,
            b,
        )
    })
}

/// Two runs in which only VM B differs.
fn interference(a: &[Observation], b: &[Observation], cycle: u64) -> Option<Failure> {
    let mut expected = String::new();
    let mut got = String::new();
    let mut told = 0;
    for (x, y) in a.iter().zip(b) {
        if (x.device_id, x.resp, &x.data) != (y.device_id, y.resp, &y.data) && told < SHOWN {
            told += 1;
            let _ = writeln!(
                expected,
                "device {:#x}: {:?} {:x?}",
                x.device_id, x.resp, x.data
            );
            let _ = writeln!(got, "device {:#x}: {:?} {:x?}", y.device_id, y.resp, y.data);
        }
    }
    if a.len() != b.len() {
        let _ = writeln!(expected, "{} accesses of VM A ended", a.len());
        let _ = writeln!(got, "{} accesses of VM A ended", b.len());
    }
    (!expected.is_empty()).then(|| {
        difference(
            "interference",
            "design 6, Isolation beyond addresses: VM A observes the same whatever VM B is",
            cycle,
            expected.trim_end().to_owned(),
            got.trim_end().to_owned(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use iommu_bus::event::Resp;

    #[test]
    fn profiles_have_their_turns() {
        let of = |n| turn(&[1, 3, 2], n);
        let round: Vec<_> = (0..6).map(of).collect();
        assert_eq!(round, [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2)]);
        assert_eq!([of(6), of(7), of(11)], [(0, 1), (1, 3), (1, 5)]);
        // All seeds of each, and none twice.
        let mut all: Vec<_> = (0..60).map(of).collect();
        all.sort_unstable();
        let seeds = |p, n| (0..n).map(move |s| (p, s));
        assert_eq!(
            all,
            Vec::from_iter(seeds(0, 10).chain(seeds(1, 30)).chain(seeds(2, 20)))
        );
    }

    fn saw(device_id: u32, number: u64, resp: Resp, data: &[u64]) -> Observation {
        Observation {
            device_id,
            number,
            resp,
            data: data.iter().map(|&d| (d, resp)).collect(),
        }
    }

    #[test]
    fn only_what_a_device_sees_counts() {
        let a = [saw(1, 0, Resp::Okay, &[7]), saw(1, 5, Resp::SlvErr, &[0])];
        let same = [saw(1, 9, Resp::Okay, &[7]), saw(1, 11, Resp::SlvErr, &[0])];
        assert!(interference(&a, &same, 1).is_none());
        let stale = [saw(1, 0, Resp::Okay, &[7]), saw(1, 5, Resp::SlvErr, &[9])];
        let f = interference(&a, &stale, 1).unwrap();
        assert!(f.got.contains("SlvErr"), "{f:?}");
        assert!(interference(&a, &a[..1], 1).is_some());
        assert!(interference(&a, &[a[0].clone(), saw(1, 5, Resp::Okay, &[0])], 1).is_some());
    }

    #[test]
    fn observations_are_ordered_by_device() {
        let seen = Seen {
            devices: vec![1, 2],
            list: Mutex::default(),
        };
        for o in [
            saw(2, 3, Resp::Okay, &[]),
            saw(1, 9, Resp::Okay, &[]),
            saw(7, 1, Resp::Okay, &[]),
            saw(1, 4, Resp::Okay, &[]),
        ] {
            seen.add(o);
        }
        let order: Vec<_> = seen
            .sorted()
            .iter()
            .map(|o| (o.device_id, o.number))
            .collect();
        assert_eq!(order, [(1, 4), (1, 9), (2, 3)]);
    }
}
