//! Closure: bins that are not hit turn the knobs of the seeds to come.
//!
//! A campaign runs batches of random seeds. Without closure it goes through its profiles in turn. With
//! closure, each batch takes what has lately found most per clock: a profile as it stands, or one that is
//! turned towards a single cover with bins missing, by the knobs that [`STEER`] names for them. (Turned
//! towards all that is missing at once, a run is so full of faults, resets and broken memory that little
//! else happens in it, and finds less than if nothing had been turned.) Both leave a curve in the
//! database: bins hit against clocks simulated.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use iommu_coverage::{Functional, Goal, plan};
use iommu_testcase::random::{self as drawn, Profile};

use crate::app::{Runs, STOP, TestJob};
use crate::cli::CloseArgs;
use crate::dut::Dut;
use crate::random;
use crate::report::{self, Verdict};

/// The database where none is named.
const DATABASE: &str = "out/coverage.cov";

/// Runs the subcommand.
pub(crate) fn command(a: &CloseArgs) -> miette::Result<ExitCode> {
    let dut = Dut::find(&a.common.root, &a.common.dut)?;
    let profiles = random::load(&a.common.root, &a.profile)?;
    let mut common = a.common.clone();
    common.coverage.get_or_insert_with(|| DATABASE.into());
    let runs = Runs::new(&common, &dut, "make random", false)?;
    let gathering = runs
        .gathering()
        .ok_or_else(|| miette::miette!("nothing counts"))?;
    let target = random::target(&runs, &dut)?;
    let suite = runs.suite(&format!("{} profiles", profiles.len()))?;
    // Each profile as it stands, then each one turned.
    let arms = if a.plain { 1 } else { 2 } * profiles.len();
    let mut yields = Yields::new(arms, profiles.len());
    let mut left: Vec<usize> = (0..arms).collect();
    let (mut cycles, mut seed, mut turn) = (0, a.seed, 0);
    let mut curve = vec![(0, gathering.figures().0)];
    let mut bad = 0;
    while cycles < a.cycles && !left.is_empty() && !STOP.load(Ordering::Relaxed) {
        let n = if a.plain {
            left[turn % left.len()]
        } else {
            yields.best(&left)
        };
        turn += 1;
        let (mut profile, mut named) = profiles[n % profiles.len()].clone();
        let mut towards = None;
        if n >= profiles.len() {
            towards = steer(&mut profile, &gathering.functional(), turn as u64);
            named = save(&common.out, turn, &profile)?;
        }
        let case = drawn::case(&profile, &target);
        // A first impression of a profile may be a quick one.
        let batch = match a.plain || yields.tried(n) {
            true => a.batch.max(1),
            false => a.batch.div_ceil(2).max(1),
        };
        let jobs: Vec<_> = (seed..seed + batch)
            .map(|seed| TestJob {
                name: format!("{} seed {seed}", profile.name),
                replay: runs.replay(&format!("PROFILE={named} SEEDS=1 SEED={seed}")),
                case: case.clone(),
                seed,
                runs: &runs,
                random: None,
            })
            .collect();
        seed += batch;
        let before = gathering.figures().0;
        let (results, _) = suite.run(&jobs);
        for r in results.iter().filter(|r| {
            !matches!(
                r.verdict,
                Verdict::Passed | Verdict::Skipped | Verdict::Interrupted
            )
        }) {
            bad += 1;
            println!("{}", report::story(r));
        }
        let clocks: u64 = results.iter().map(|r| r.cycles).sum();
        if clocks == 0 {
            // The block has nothing of what this profile is about.
            left.retain(|&l| l % profiles.len() != n % profiles.len());
            continue;
        }
        cycles += clocks;
        let (hit, of) = gathering.figures();
        yields.note(n, hit.saturating_sub(before), clocks);
        curve.push((cycles, hit));
        println!(
            "{}{}: {hit} of {of} bins after {} clocks (+{})",
            profile.name,
            towards.map_or_else(String::new, |t| format!(" towards {t}")),
            report::grouped(cycles),
            hit.saturating_sub(before)
        );
    }
    let name = a.curve.clone().unwrap_or_else(|| {
        if a.plain {
            "without closure".into()
        } else {
            "with closure".into()
        }
    });
    gathering.curve(name, curve);
    gathering.write().map_err(|e| miette::miette!("{e}"))?;
    Ok(if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Keeps a profile whose knobs were turned, so that its runs can be done again.
fn save(out: &Path, turn: usize, profile: &Profile) -> miette::Result<String> {
    let error = |e: std::io::Error| miette::miette!("{}: {e}", out.display());
    let folder = out.join("closure");
    std::fs::create_dir_all(&folder).map_err(error)?;
    let path = folder.join(format!("{turn}-{}.yaml", profile.name));
    std::fs::write(&path, profile.to_yaml()).map_err(error)?;
    Ok(path.display().to_string())
}

/// Which knobs of a profile help to hit which bins. A knob that the profile has at 0 stays at 0.
const STEER: &[(&str, &[&str])] = &[
    ("axi.request/*,FIXED", &["traffic.burst.fixed"]),
    ("axi.request/*,WRAP", &["traffic.burst.wrap"]),
    (
        "axi.request/*,INCR",
        &["traffic.burst.narrow", "traffic.burst.long"],
    ),
    (
        "axi.align",
        &["traffic.burst.narrow", "traffic.burst.fixed"],
    ),
    ("axi.lock", &["traffic.exclusive", "traffic.exclusive_pair"]),
    ("axi.data_first", &["timing.data_first"]),
    ("axi.barred/*,crosses*", &["traffic.burst.crossing"]),
    ("axi.barred/*,no legal burst", &["traffic.burst.illegal"]),
    ("axi.barred/*,atomic", &["traffic.atomic"]),
    (
        "axi.strobe",
        &["traffic.strobes.sparse", "traffic.strobes.none"],
    ),
    (
        "axi.mem_response",
        &[
            "memory.breaks",
            "memory.where.fault",
            "memory.where.command",
        ],
    ),
    ("axi.out_response", &["memory.breaks", "memory.where.data"]),
    (
        "axi.dev_response",
        &[
            "memory.breaks",
            "memory.where.data",
            "traffic.exclusive",
            "traffic.exclusive_pair",
        ],
    ),
    (
        "fault.at/268*",
        &[
            "memory.breaks",
            "memory.aimed",
            "memory.where.directory",
            "memory.answer.poison",
        ],
    ),
    (
        "fault.at/257*",
        &["memory.breaks", "memory.aimed", "memory.where.directory"],
    ),
    (
        "fault.at/258*",
        &[
            "tables.spoilt_context",
            "tables.spoil_context.invalid",
            "edits.kind.pointer",
        ],
    ),
    (
        "fault.at/259*",
        &[
            "tables.spoilt_context",
            "tables.spoil_context.reserved",
            "tables.spoil_context.mode",
            "tables.spoil_context.flag",
            "tables.spoil_context.rule",
        ],
    ),
    (
        "fault.at/26*",
        &[
            "tables.processes",
            "tables.spoilt_context",
            "tables.spoil_context.rule",
            "memory.aimed",
            "traffic.odd_process",
            "traffic.privileged",
        ],
    ),
    (
        "fault.at/274*",
        &[
            "memory.breaks",
            "memory.aimed",
            "memory.answer.poison",
            "memory.where.entry",
        ],
    ),
    (
        "fault.at/AF*",
        &[
            "memory.breaks",
            "memory.aimed",
            "memory.answer.error",
            "memory.where.entry",
        ],
    ),
    (
        "fault.at/PF*",
        &[
            "tables.spoilt_entry",
            "tables.spoil.invalid",
            "traffic.address.flip",
        ],
    ),
    (
        "fault.at/GPF*",
        &["tables.spoilt_guest", "tables.second_stage.Sv39x4"],
    ),
    ("fault.at/beyond PAS", &["tables.leaf_target.beyond"]),
    ("fault.at/*,execute", &["traffic.execute"]),
    ("fault.at/*,translated*", &["traffic.translated"]),
    (
        "fault.at/*,*,nested",
        &["tables.second_stage.Sv48x4", "tables.second_stage.Sv39x4"],
    ),
    ("fault.dtf/*,yes", &["tables.faults_hidden"]),
    ("rule.taken/VATP*", &["tables.spoilt_entry"]),
    ("rule.taken/GPAT*", &["tables.spoilt_guest"]),
    (
        "rule.taken/DC*",
        &[
            "tables.spoilt_context",
            "tables.spoil_context.rule",
            "capabilities.mask_out",
        ],
    ),
    (
        "rule.taken/PC*",
        &[
            "tables.spoilt_context",
            "tables.spoil_context.rule",
            "tables.processes",
        ],
    ),
    (
        "rule.taken/GET_PC*",
        &["tables.processes", "memory.breaks", "memory.aimed"],
    ),
    (
        "rule.taken/MSI*",
        &["tables.message_tables", "traffic.address.message"],
    ),
    ("iova.mode/Off", &["queues.mode_changes", "tables.mode.Off"]),
    (
        "iova.mode/Bare",
        &["queues.mode_changes", "tables.mode.Bare"],
    ),
    ("iova.mode/1LVL", &["tables.mode.1LVL"]),
    ("iova.mode/*,translated*", &["traffic.translated"]),
    ("iova.mode/*,execute", &["traffic.execute"]),
    (
        "iova.process",
        &[
            "tables.processes",
            "traffic.odd_process",
            "traffic.privileged",
        ],
    ),
    ("iova.switch", &["queues.mode_changes"]),
    (
        "iova.device_bits",
        &["tables.device_ids.one-bit", "traffic.stranger"],
    ),
    ("dc.format", &["capabilities.base_contexts"]),
    (
        "walk.leaf/*,*,X",
        &["tables.permission.x", "traffic.execute"],
    ),
    ("walk.leaf/*,*,R", &["tables.permission.r"]),
    ("walk.leaf/*,*,RX", &["tables.permission.rx"]),
    ("walk.leaf/*,*,RWX", &["tables.permission.rwx"]),
    ("walk.leaf/*,*,*,execute", &["traffic.execute"]),
    ("walk.leaf/*,Sv39*", &["tables.first_stage.Sv39"]),
    ("walk.leaf/*,Sv48*", &["tables.first_stage.Sv48"]),
    ("walk.leaf/*,Sv57*", &["tables.first_stage.Sv57"]),
    ("walk.leaf/*,Sv39 64K", &["tables.leaf_size.64K"]),
    ("walk.leaf/*,Sv48 64K", &["tables.leaf_size.64K"]),
    ("walk.leaf/*,Sv57 64K", &["tables.leaf_size.64K"]),
    ("walk.leaf/*,Sv39 1G", &["tables.leaf_size.level2"]),
    ("walk.leaf/*,Sv48 1G", &["tables.leaf_size.level2"]),
    ("walk.leaf/*,Sv57 1G", &["tables.leaf_size.level2"]),
    ("walk.leaf/*,Sv48 512G", &["tables.leaf_size.level3"]),
    ("walk.leaf/*,Sv57 512G", &["tables.leaf_size.level3"]),
    ("walk.leaf/*,Sv57 256T", &["tables.leaf_size.level4"]),
    (
        "walk.load",
        &["memory.breaks", "memory.aimed", "memory.where.directory"],
    ),
    ("walk.napot", &["tables.leaf_size.64K"]),
    (
        "walk.ad",
        &[
            "tables.not_accessed",
            "tables.not_dirty",
            "tables.hardware_updates",
            "edits.warm",
            "edits.unset",
        ],
    ),
    ("walk.user", &["tables.supervisor", "traffic.privileged"]),
    ("walk.global", &["tables.global"]),
    ("walk.pbmt", &["tables.memory_type"]),
    ("walk.address", &["tables.leaf_place.edge"]),
    (
        "walk.pas",
        &["tables.leaf_target.top", "tables.leaf_target.beyond"],
    ),
    ("msi", &["tables.message_tables", "traffic.address.message"]),
    (
        "tag.differ",
        &[
            "traffic.again",
            "tables.device_ids.one-bit",
            "tables.tags.one-bit",
        ],
    ),
    (
        "cmd.fence",
        &[
            "edits.fence.neither",
            "edits.fence.reads",
            "edits.fence.writes",
            "edits.fence.store",
            "edits.fence.wire",
        ],
    ),
    (
        "cmd.illegal",
        &["queues.illegal_command", "queues.page_start"],
    ),
    ("cmd.range", &["edits.extended"]),
    ("cmd.traffic", &["run.racing", "queues.illegal_command"]),
    (
        "cmd.place",
        &["queues.illegal_command", "queues.page_start"],
    ),
    (
        "queue",
        &[
            "queues.moves",
            "queues.lazy_software",
            "memory.where.fault",
            "memory.where.command",
        ],
    ),
    (
        "irq",
        &[
            "queues.interrupts",
            "queues.wires",
            "queues.masked",
            "memory.where.message",
        ],
    ),
    (
        "reg.access",
        &[
            "registers.kind.read",
            "registers.kind.write",
            "registers.kind.read-only",
            "registers.halves",
        ],
    ),
    ("reg.odd", &["registers.kind.illegal"]),
    (
        "race.edit",
        &["run.racing", "edits.kind.change", "edits.warm"],
    ),
    (
        "race.invalidate",
        &["run.racing", "edits.warm", "edits.insufficient"],
    ),
    (
        "race.change",
        &[
            "edits.kind.resize",
            "edits.kind.change",
            "edits.kind.pointer",
        ],
    ),
    ("reset.during", &["resets.chance", "resets.registers"]),
    ("be.structure", &["tables.big_endian"]),
    ("qos", &["tables.qos_ids"]),
    ("reg.reset_read", &["registers.after_reset"]),
    (
        "reg.field",
        &["registers.scribble", "registers.kind.counter"],
    ),
    ("hpm.event", &["registers.kind.counter"]),
    ("dbg.request", &["registers.kind.debug"]),
    (
        "irq.signal",
        &["registers.kind.mask", "queues.wires", "queues.masked"],
    ),
    ("irq.cause/counter", &["registers.kind.counter"]),
    ("walk.global", &["tables.global"]),
    (
        "walk.implicit",
        &[
            "memory.breaks",
            "memory.aimed",
            "memory.where.entry",
            "memory.where.process",
        ],
    ),
    (
        "walk.nested",
        &[
            "tables.second_stage.Sv57x4",
            "tables.second_stage.Sv48x4",
            "tables.second_stage.Sv32x4",
        ],
    ),
    ("ats", &["ats.devices", "ats.guest_addresses", "ats.cached"]),
    (
        "ats.invalidation",
        &["ats.told", "ats.trouble", "ats.stops"],
    ),
    (
        "pri",
        &["ats.pages", "ats.page_queue_off", "ats.lazy_software"],
    ),
    (
        "fault.at/*,ATS request*",
        &[
            "ats.devices",
            "tables.spoilt_context",
            "memory.breaks",
            "memory.aimed",
        ],
    ),
    ("time.agent", &["timing.changes", "timing.port_stops"]),
];

/// How far knobs are turned up.
const TURN: f64 = 5.0;
/// Missing bins of one cover that count; a wide cross must not be all that is aimed at.
const COUNTED: usize = 30;
/// Bins that a profile nobody has tried is supposed to find per million clocks, at the beginning.
const HOPE: f64 = 4000.0;
/// Million clocks that such a supposition weighs.
const PRIOR: f64 = 0.05;

/// Whether an entry of [`STEER`] is about a bin.
fn about(pattern: &str, cover: &str, label: &str) -> bool {
    match pattern.split_once('/') {
        // A whole group, or a whole cover.
        None => cover == pattern || cover.split('.').next() == Some(pattern),
        // Axes that the pattern leaves out may be anything.
        Some((c, bins)) => c == cover && plan::fits(&format!("{bins},*"), &format!("{label},-")),
    }
}

/// Turns a profile towards one of the covers that have bins missing, which `draw` chooses: the knobs that
/// help with those are turned up. Covers for which the profile has all such knobs at 0 are not for it.
fn steer(profile: &mut Profile, seen: &Functional, draw: u64) -> Option<String> {
    let mut all: Vec<(&String, usize, Vec<&'static str>)> = Vec::new();
    for (name, cover) in &seen.covers {
        if cover.goal != Goal::Must {
            continue;
        }
        let (mut missing, mut turned) = (0, Vec::new());
        for bin in cover.holes() {
            let label = cover.label(bin);
            let about = STEER.iter().filter(|(p, _)| about(p, name, &label));
            let knobs = about
                .flat_map(|(_, knobs)| *knobs)
                .filter(|k| profile.value(k).is_some_and(|v| v > 0));
            let before = turned.len();
            turned.extend(knobs);
            missing += usize::from(turned.len() > before);
        }
        turned.sort_unstable();
        turned.dedup();
        if missing > 0 {
            all.push((name, missing.min(COUNTED), turned));
        }
    }
    let total: usize = all.iter().map(|(_, missing, _)| missing).sum();
    // An odd multiplier spreads successive draws over the range.
    let spread = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let mut at = (spread % total.max(1) as u64) as usize;
    let (name, _, knobs) = all.into_iter().find(|(_, missing, _)| {
        let here = at < *missing;
        at = at.saturating_sub(*missing);
        here
    })?;
    for knob in knobs {
        // A knob that is misspelt is found by the test below.
        let _ = profile.bias(knob, TURN);
    }
    Some(name.clone())
}

/// What each choice has found lately, and which is next.
#[derive(Debug, Default)]
struct Yields {
    /// Bins found and million clocks spent, older ones counting less.
    of: Vec<(f64, f64)>,
    /// The same of all together.
    all: (f64, f64),
    /// So many of them have their turn first.
    first_turn: usize,
}

impl Yields {
    /// For so many choices, the first of which have their turn before the others.
    fn new(choices: usize, first_turn: usize) -> Self {
        Self {
            of: vec![(0.0, 0.0); choices],
            all: (HOPE * PRIOR, PRIOR),
            first_turn,
        }
    }

    /// A batch is over.
    fn note(&mut self, choice: usize, bins: usize, clocks: u64) {
        let (bins, clocks) = (bins as f64, clocks as f64 / 1e6);
        for (n, (found, spent)) in self.of.iter_mut().enumerate() {
            // What others find makes old news of it: hope comes back.
            let keep = if n == choice { 0.5 } else { 0.97 };
            *found *= keep;
            *spent *= keep;
            if n == choice {
                *found += bins;
                *spent += clocks;
            }
        }
        self.all = (self.all.0 * 0.9 + bins, self.all.1 * 0.9 + clocks);
    }

    /// Whether a choice was ever made.
    fn tried(&self, choice: usize) -> bool {
        self.of[choice].1 > 0.0
    }

    /// Of these the one that promises most; the first where several do. Each profile has a turn before
    /// any has a second one; what has not been tried lately is supposed to find as much as all did on average.
    fn best(&self, of: &[usize]) -> usize {
        let hope = self.all.0 / self.all.1;
        let promise = |n: usize| {
            let (found, spent) = self.of[n];
            if n < self.first_turn && !self.tried(n) {
                return f64::INFINITY;
            }
            (found + hope * PRIOR) / (spent + PRIOR)
        };
        let mut best = of.first().copied().unwrap_or(0);
        for &n in of {
            if promise(n) > promise(best) {
                best = n;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iommu_coverage::{AnyCover, Collector, Target};

    #[test]
    fn every_entry_names_bins_and_knobs_that_exist() {
        let collector = Collector::new();
        let covers: Vec<&dyn AnyCover> = collector.covers();
        let knobs: Vec<String> = Profile::names().collect();
        for (pattern, names) in STEER {
            let found = covers.iter().any(|c| {
                let labels = c.axis_labels();
                (0..c.len()).any(|b| {
                    let mut scale = c.len();
                    let label: Vec<&str> = labels
                        .iter()
                        .map(|a| {
                            scale /= a.len();
                            a[b / scale % a.len()].as_str()
                        })
                        .collect();
                    about(pattern, c.name(), &label.join(","))
                })
            });
            assert!(found, "no bin fits `{pattern}`");
            for name in *names {
                assert!(knobs.iter().any(|k| k == name), "no knob `{name}`");
            }
        }
    }

    #[test]
    fn every_chance_that_profiles_switch_on_is_turned_for_something() {
        // Those that make no bin of their own: how a run is done, and what is there all the time.
        const NOT: [&str; 17] = [
            "run.other_state",
            "run.isolation",
            "run.unspecified",
            "tables.pass_through",
            "tables.software_bits",
            "tables.shared_tables",
            "tables.looped_tables",
            "traffic.writes",
            "traffic.pause",
            "timing.memory_out_of_order",
            "timing.memory_interleave",
            "timing.output_out_of_order",
            "timing.output_interleave",
            "timing.for_ever",
            "memory.twice",
            "edits.generous",
            "resets.same_tables",
        ];
        let profile = Profile::default();
        let turned = |name: &str| STEER.iter().any(|(_, knobs)| knobs.contains(&name));
        let chance = |name: &String| name.split('.').count() == 2 && profile.value(name).is_some();
        for name in Profile::names().filter(chance) {
            let left = NOT.contains(&name.as_str());
            assert!(turned(&name) != left, "{name}: turned, or left alone");
        }
    }

    #[test]
    fn what_is_missing_is_turned_up_and_what_is_off_stays_off() {
        let collector = Collector::new();
        let mut profile = Profile::default();
        let (fixed, long) = ("traffic.burst.fixed", "traffic.burst.long");
        let before = profile.value(fixed);
        assert_eq!(profile.value(long), Some(0));
        let seen = Functional::of(&collector.covers(), &Target::new(0));
        let mut other = profile.clone();
        // Some draw aims at the bursts.
        let towards = |p: &mut Profile, draw| steer(p, &seen, draw).expect("all is missing");
        let draw = (0..2000).find(|&d| towards(&mut profile.clone(), d) == "axi.request");
        let draw = draw.expect("a cover that bins are missing of");
        towards(&mut profile, draw);
        // Weights of a group are spread by 100 at the first turn.
        assert_eq!(profile.value(fixed), before.map(|v| v * 500));
        assert_eq!(profile.value(long), Some(0));
        // Nothing else is turned.
        let chance = "traffic.exclusive";
        assert_eq!(profile.value(chance), other.value(chance));
        let none = Functional::default();
        assert_eq!(steer(&mut other, &none, 1), None);
    }

    #[test]
    fn the_profile_that_finds_most_is_next_and_hope_returns() {
        let mut y = Yields::new(3, 0);
        y.note(0, 10, 100_000);
        assert_ne!(y.best(&[0, 1, 2]), 0, "the others are untried");
        y.note(1, 100, 100_000);
        y.note(2, 0, 100_000);
        assert_eq!(y.best(&[0, 1, 2]), 1);
        for _ in 0..12 {
            y.note(1, 0, 100_000);
        }
        assert_ne!(y.best(&[0, 1, 2]), 1);
    }
}
