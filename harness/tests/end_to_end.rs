//! The whole path, from a test case to a verdict: what a user meets.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

use iommu_cosim::dut::Dut;
use iommu_cosim::run::{self, Outcome, Setup, Wave};
use iommu_cosim::suite::Ticket;
use iommu_sim::{Device, PinsIn, PinsOut, SimError};
use iommu_testcase::Case;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dut() -> Dut {
    Dut::find(&root(), "iommu-cosim").unwrap()
}

fn case(name: &str) -> Case {
    let path = root().join("testcases").join(format!("{name}.yaml"));
    iommu_testcase::testcase::load(&path, name).unwrap()
}

fn setup(case: &Case, seed: u64) -> Setup {
    let dut = dut();
    let caps = run::probe_capabilities(&dut.name, case.setting(seed).caps_mask).unwrap();
    Setup::new(&dut.name, seed, dut.scoreboard(caps).unwrap())
}

fn run_case(case: &Case, setup: &Setup) -> Outcome {
    let stop = AtomicBool::new(false);
    run::run(case, setup, &Ticket::alone(&stop))
}

/// A folder of its own for a test, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("iommu-cosim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the program; what it printed on both streams.
fn program(args: &[&str]) -> (Output, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_iommu-cosim"))
        .args(args)
        .env("NO_COLOR", "1")
        .env("COLUMNS", "200")
        .current_dir(root())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    (out, text)
}

// ---------------------------------------------------------------- same seed, same cycles

#[test]
fn a_seed_gives_the_same_run_again_and_another_seed_another() {
    let smoke = iommu_cosim::random::profile(&root(), "smoke").unwrap();
    let target = iommu_testcase::random::Target {
        caps: run::probe_capabilities("iommu-cosim", u64::MAX).unwrap(),
        gxl: false,
        ..Default::default()
    };
    let case = iommu_testcase::random::case(&smoke, &target);
    let a = run_case(&case, &setup(&case, 5));
    let b = run_case(&case, &setup(&case, 5));
    let c = run_case(&case, &setup(&case, 6));
    assert!(a.failures.is_empty() && a.error.is_none(), "{a:?}");
    assert!(a.metrics.transactions() > 0);
    assert_eq!((a.cycles, a.event_hash), (b.cycles, b.event_hash));
    assert_ne!(a.event_hash, c.event_hash);
}

/// A failing random run becomes a test case that fails the same check.
#[test]
fn a_failing_random_run_is_reduced() {
    let folder = Folder::new("reduce");
    let out_dir = folder.0.to_str().unwrap();
    let (out, text) = program(&[
        "random",
        "--dut",
        "stub-bug",
        "--profile",
        "queues",
        "--seeds",
        "2",
        "--reduce-seconds",
        "20",
        "--out",
        out_dir,
    ]);
    assert_eq!(out.status.code(), Some(1), "{text}");
    let json = std::fs::read_to_string(folder.0.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&json).unwrap();
    let failed = results
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["verdict"] == "failed")
        .unwrap();
    assert_eq!(failed["profile_hash"].as_str().map(str::len), Some(16));
    let check = failed["failures"][0]["check"].as_str().unwrap();
    let seed = failed["seed"].to_string();
    let path = folder.0.join(format!("reduced-queues-{seed}.yaml"));
    let yaml = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{e}: {text}"));
    let steps = yaml.lines().filter(|l| l.starts_with("  - ")).count();
    assert!(steps <= 40, "{steps} steps are left:\n{yaml}");
    let (out, text) = program(&[
        "run",
        "--dut",
        "stub-bug",
        "--test",
        path.to_str().unwrap(),
        "--seed",
        &seed,
        "--out",
        out_dir,
    ]);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!(": {check}")), "{check}: {text}");
}

#[test]
fn nothing_depends_on_the_state_that_reset_does_not_touch() {
    let case = case("two-vms");
    let mut hashes = Vec::new();
    for model_seed in [1, 2, 0xdead_beef] {
        let setup = Setup {
            model_seed: Some(model_seed),
            ..setup(&case, 3)
        };
        let o = run_case(&case, &setup);
        assert!(o.failures.is_empty() && o.error.is_none(), "{o:?}");
        hashes.push((o.cycles, o.event_hash));
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "{hashes:?}");
}

#[test]
fn a_run_with_waveform_has_the_same_cycles() {
    let folder = Folder::new("wave");
    let case = case("revocation");
    let plain = run_case(&case, &setup(&case, 2));
    let path = folder.0.join("w.fst");
    let traced = run_case(
        &case,
        &Setup {
            wave: Some(Wave {
                path: path.clone(),
                from: 100,
            }),
            ..setup(&case, 2)
        },
    );
    assert_eq!(plain.event_hash, traced.event_hash);
    assert!(std::fs::metadata(&path).unwrap().len() > 1000);
}

// ---------------------------------------------------------------- blocks that misbehave

/// A block that drives nothing, ever.
struct Mute;

impl Device for Mute {
    fn tick(&mut self, _: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        *o = PinsOut::default();
        Ok(())
    }
}

#[test]
fn a_block_that_never_answers_is_a_failure_and_no_hang() {
    let case = case("two-vms");
    let setup = setup(&case, 1);
    let stop = AtomicBool::new(false);
    let o = run::run_on(Box::new(Mute), &case, &setup, &Ticket::alone(&stop));
    let first = &o.failures[0];
    assert!(
        first.check == "register-stuck" || first.check == "no-progress",
        "{first:?}"
    );
    assert!(o.cycles < 200_000);
}

/// Our block, until something inside says it cannot go on.
struct Breaks(iommu_sim::Block, u32);

impl Device for Breaks {
    fn tick(&mut self, i: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        self.1 += 1;
        if self.1 == 500 {
            return Err(SimError::UnknownDut {
                name: "broke".into(),
                known: Vec::new(),
            });
        }
        self.0.tick(i, o)
    }
}

#[test]
fn a_model_that_fails_ends_the_run_with_its_message() {
    let case = case("two-vms");
    let setup = setup(&case, 1);
    let stop = AtomicBool::new(false);
    let block = iommu_sim::Block::new(&setup.dut, &iommu_sim::ModelOptions::default()).unwrap();
    let o = run::run_on(
        Box::new(Breaks(block, 0)),
        &case,
        &setup,
        &Ticket::alone(&stop),
    );
    assert_eq!(o.failures.len(), 1, "{o:?}");
    assert!(o.failures[0].got.contains("broke"), "{o:?}");
}

#[test]
fn a_stopped_run_says_so() {
    let case = case("linux-sys-lazy");
    let setup = setup(&case, 1);
    let stop = AtomicBool::new(true);
    let o = run::run(&case, &setup, &Ticket::alone(&stop));
    assert!(o.interrupted && o.failures.is_empty(), "{o:?}");
}

// ---------------------------------------------------------------- what the program says

#[test]
fn passing_prints_a_table_and_exits_with_0() {
    let folder = Folder::new("pass");
    let out = folder.0.display().to_string();
    let (done, text) = program(&["run", "-t", "hit-latency", "--out", &out]);
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert!(text.contains("1 passed, 0 failed"), "{text}");
    let json = std::fs::read_to_string(folder.0.join("results.json")).unwrap();
    assert!(json.contains("\"verdict\": \"passed\""), "{json}");
}

#[test]
fn a_bug_is_told_with_rule_cycle_replay_line_and_waveform() {
    let folder = Folder::new("bug");
    let out = folder.0.display().to_string();
    let (done, text) = program(&["run", "--dut", "stub-bug", "--out", &out]);
    assert_eq!(done.status.code(), Some(1), "{text}");
    for part in [
        "grant-refused",
        "Process to translate an IOVA",
        "at cycle",
        "again: make sim TEST=mode-bare SEED=1 DUT=stub-bug",
        ".fst",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(
        std::fs::read_dir(&folder.0).unwrap().any(|f| f
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "fst"))
    );
}

#[test]
fn unknown_tests_devices_and_seeds_get_a_hint() {
    for (args, parts) in [
        (
            &["run", "-t", "two-vm"][..],
            &["no test `two-vm`", "two-vms"][..],
        ),
        (
            &["run", "--dut", "nope"],
            &["`nope`", "stub", "make sim DUT="],
        ),
        (&["run", "--seed", "abc"], &["--seed", "a number from 0"]),
        (
            &["masks", "--mask", "0xzz"],
            &["--mask", "a number from 0", "0xzz"],
        ),
        // Nothing run is no result.
        (&["random", "--seeds", "0"], &["--seeds", "1..="]),
        (&["run", "--jobs", "0"], &["--jobs", "1..="]),
        (&["random", "--minutes", "-1"], &["a positive number"]),
        // Said before anything has been run for nothing.
        (
            &["run", "--out", "Cargo.toml/out"],
            &["cannot write Cargo.toml/out/results.json"],
        ),
        (
            &["run", "--coverage", "Cargo.toml/a.cov"],
            &["cannot write Cargo.toml/a.cov"],
        ),
        (
            &["run", "--coverage", "Cargo.toml"],
            &["Cargo.toml is not a coverage database"],
        ),
        (
            &["coverage", "report", "no.cov"],
            &["no.cov", "make coverage"],
        ),
    ] {
        let (done, text) = program(args);
        assert_eq!(done.status.code(), Some(2), "{text}");
        for p in parts {
            assert!(text.contains(p), "no `{p}` in:\n{text}");
        }
    }
}

/// A project folder with our dut.yaml and one test case.
fn project(name: &str, case: &str) -> Folder {
    let folder = Folder::new(name);
    for dir in ["rtl", "testcases"] {
        std::fs::create_dir_all(folder.0.join(dir)).unwrap();
    }
    std::fs::copy(root().join("rtl/dut.yaml"), folder.0.join("rtl/dut.yaml")).unwrap();
    std::fs::write(folder.0.join("testcases/mine.yaml"), case).unwrap();
    folder
}

#[test]
fn a_mistake_in_a_test_case_is_shown_where_it_stands() {
    let case = std::fs::read_to_string(root().join("testcases/two-vms.yaml")).unwrap();
    let folder = project("typo", &case.replacen("device:", "devise:", 1));
    let (done, text) = program(&["run", "--root", &folder.0.display().to_string()]);
    assert_eq!(done.status.code(), Some(2), "{text}");
    for part in ["mine.yaml:25:17", "devise", "did you mean 'device'"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn a_missing_memory_image_is_named() {
    let folder = project(
        "image",
        "name: mine\ndescription: nothing there\ntags: []\nsnapshot: recorded/none\n",
    );
    let (done, text) = program(&["run", "--root", &folder.0.display().to_string()]);
    assert_eq!(done.status.code(), Some(2), "{text}");
    for part in ["mine.yaml:4", "recorded/none"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_results_so_far() {
    let folder = Folder::new("ctrl-c");
    let child = Command::new(env!("CARGO_BIN_EXE_iommu-cosim"))
        .args(["random", "--seeds", "100000", "--jobs", "1", "--out"])
        .arg(&folder.0)
        .current_dir(root())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Until the first results are there.
    let json = folder.0.join("results.json");
    for _ in 0..600 {
        if json.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(130), "{text}");
    assert!(text.contains("tests were not begun"), "{text}");
    assert!(
        std::fs::read_to_string(json)
            .unwrap()
            .contains("\"passed\"")
    );
}

#[test]
fn the_software_device_is_a_device_under_test() {
    let dut = Dut::find(&root(), "soft").unwrap();
    for case in iommu_testcase::load_all(&root()).unwrap() {
        let seed = 7;
        let caps = run::probe_capabilities(&dut.name, case.setting(seed).caps_mask).unwrap();
        if case.missing(seed, caps, &dut.desc.choices).is_some()
            || case.tags.iter().any(|t| t == "timing")
        {
            continue;
        }
        let setup = Setup {
            dut: dut.name.clone(),
            seed,
            scoreboard: dut.scoreboard(caps).unwrap(),
            at_most: Some(300),
            timed: false,
            ..setup(&case, seed)
        };
        let outcome = run_case(&case, &setup);
        assert_eq!(outcome.error, None, "{}", case.name);
        assert!(
            outcome.failures.is_empty(),
            "{}: {:?}",
            case.name,
            outcome.failures
        );
    }
    let unknown = Dut::find(&root(), "soft:no-such-bug")
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("vma-av-kept"), "{unknown}");
}
