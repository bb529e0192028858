//! The models as blocks, on the tests' own device (sim/tests/probe): what its RTL does arrives here.

use std::fs;
use std::path::PathBuf;
use std::thread;

use iommu_sim::{
    Block, Device, ModelKind, ModelOptions, NoteLevel, PinsIn, PinsOut, SimError, duts,
};

/// Commands of probe.sv.
mod cmd {
    pub const ASSERT: u64 = 1;
    pub const FATAL: u64 = 2;
    pub const FINISH: u64 = 3;
    pub const DISPLAY: u64 = 4;
    pub const WARNING: u64 = 5;
    pub const NOTE: u64 = 6;
    pub const DIVERGE: u64 = 7;
    pub const STOP: u64 = 8;
    pub const ERRORS: u64 = 9;
    pub const FINAL_ASSERT: u64 = 10;
}

/// What the probe's counter adds each clock: its dut.yaml sets this parameter.
const STEP: u64 = 3;

fn probe(kind: ModelKind, seed: u64) -> Block {
    Block::new("probe", &ModelOptions { kind, seed }).expect("the probe was built")
}

fn tick(block: &mut Block, inputs: &PinsIn) -> PinsOut {
    let mut outputs = PinsOut::default();
    block.tick(inputs, &mut outputs).expect("nothing is wrong");
    outputs
}

/// Two clocks of reset, then `inputs` with reset released.
fn reset(block: &mut Block) -> PinsIn {
    let mut inputs = PinsIn::default();
    tick(block, &inputs);
    tick(block, &inputs);
    inputs.rst_n = 1;
    inputs
}

/// The error of the clock in which the probe gets `command`, five clocks after reset; cycle 7.
fn error_of(kind: ModelKind, command: u64) -> SimError {
    let mut block = probe(kind, 1);
    let mut inputs = reset(&mut block);
    for _ in 0..5 {
        tick(&mut block, &inputs);
    }
    inputs.cfg_caps = command;
    let mut outputs = PinsOut::default();
    // The edge that ends the clock comes with the next one.
    let why = (0..2)
        .find_map(|_| block.tick(&inputs, &mut outputs).err())
        .expect("the probe was told to fail");
    // It stays: a run cannot overlook it.
    inputs.cfg_caps = 0;
    assert_eq!(block.tick(&inputs, &mut outputs), Err(why.clone()));
    why
}

fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("cargo gives a folder for this");
    folder
}

#[test]
fn every_listed_device_was_built() {
    for dut in duts() {
        if let Err(why) = Block::new(dut.name, &ModelOptions::default()) {
            panic!("{}: {why}", dut.name);
        }
        assert_ne!(dut.hash, 0);
    }
    assert!(
        duts().iter().all(|dut| dut.name != "probe"),
        "the probe is no device for users"
    );
}

#[test]
fn outputs_are_sampled_before_the_edge() {
    let mut block = probe(ModelKind::Fast, 1);
    let mut inputs = reset(&mut block);
    for n in 0..20u16 {
        inputs.s_reg_araddr = n;
        let outputs = tick(&mut block, &inputs);
        assert_eq!(
            outputs.s_reg_rdata,
            u64::from(n) * STEP,
            "parameters of dut.yaml reach the RTL"
        );
        assert_eq!(
            outputs.m_dev_araddr,
            u64::from(n.saturating_sub(1)),
            "a flip-flop shows the clock before"
        );
        assert_eq!(u16::from(outputs.m_dev_awid), n, "a wire shows this clock");
    }
    assert_eq!(block.cycle(), 22);
}

#[test]
fn wide_ports_keep_their_words_in_order() {
    let mut block = probe(ModelKind::Fast, 1);
    let mut inputs = reset(&mut block);
    inputs.s_ats_tr_data = [
        0x1111_1111,
        0x2222_2222,
        0x3333_3333,
        0xabcd_4444,
        0xffff_fff5,
    ];
    let outputs = tick(&mut block, &inputs);
    assert_eq!(
        outputs.m_ats_tc_data,
        [0x1111_1111, 0x2222_2222, 0x3333_3333 & 0x3fff]
    );
    // Bits 130 to 115: three of the last word (what lies above the port is cut off), 13 of the one before.
    assert_eq!(
        outputs.wsi,
        0b101 << 13 | 0xabcd_4444u32.wrapping_shr(19) as u16
    );
}

#[test]
fn a_failed_assertion_is_an_error_with_its_message() {
    for kind in [ModelKind::Fast, ModelKind::Wave] {
        match error_of(kind, cmd::ASSERT) {
            SimError::Assertion {
                cycle,
                location,
                scope,
                message,
                more,
            } => {
                assert_eq!(cycle, 7);
                assert!(
                    location.starts_with("sim/tests/probe/probe.sv:"),
                    "{location}"
                );
                assert_eq!(scope, "u_dut.a_not_told");
                assert_eq!(message, format!("told to fail at count {}", 5 * STEP));
                assert_eq!(more, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fatal_is_an_error_with_its_message() {
    // Verilator 5.006 does not tell $fatal from $error.
    let why = error_of(ModelKind::Fast, cmd::FATAL);
    assert!(
        matches!(
            why,
            SimError::Fatal { cycle: 7, .. } | SimError::Assertion { cycle: 7, .. }
        ),
        "{why:?}"
    );
    assert!(
        why.to_string().contains("told to die") && why.to_string().contains("probe.sv:"),
        "{why}"
    );
}

#[test]
fn finish_and_stop_are_errors() {
    let why = error_of(ModelKind::Fast, cmd::FINISH);
    assert!(
        matches!(&why, SimError::Finish { cycle: 7, location } if location.contains("probe.sv:")),
        "{why:?}"
    );
    let why = error_of(ModelKind::Fast, cmd::STOP);
    assert!(
        matches!(&why, SimError::Assertion { cycle: 7, message, .. } if message == "$stop"),
        "{why:?}"
    );
}

#[test]
fn of_two_errors_the_first_is_told_and_the_other_counted() {
    match error_of(ModelKind::Fast, cmd::ERRORS) {
        SimError::Assertion { message, more, .. } => {
            assert_eq!(message, "first line\nsecond line");
            assert_eq!(more, 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loop_that_does_not_converge_is_an_error_and_ends() {
    // The command comes with the edge that ends cycle 6, and so does the loop.
    let why = error_of(ModelKind::Fast, cmd::DIVERGE);
    assert!(matches!(why, SimError::Fatal { cycle: 6, .. }), "{why:?}");
    assert!(why.to_string().contains("converge"), "{why}");
}

#[test]
fn assertions_of_final_blocks_count() {
    let mut block = probe(ModelKind::Fast, 1);
    let mut inputs = reset(&mut block);
    tick(&mut block, &inputs);
    assert_eq!(block.finish(), Ok(()));

    let mut block = probe(ModelKind::Fast, 1);
    inputs.cfg_caps = cmd::FINAL_ASSERT;
    reset(&mut block);
    tick(&mut block, &inputs);
    let why = block.finish().expect_err("it was left armed");
    assert!(
        matches!(&why, SimError::Assertion { message, .. } if message == "left armed"),
        "{why:?}"
    );
}

#[test]
fn what_the_rtl_says_is_a_note_with_its_cycle() {
    let mut block = probe(ModelKind::Fast, 1);
    let mut inputs = reset(&mut block);
    let first = block.take_notes();
    assert!(
        first
            .iter()
            .any(|note| note.message.ends_with("is up") && note.cycle == 0),
        "{first:?}"
    );
    for command in [cmd::DISPLAY, cmd::WARNING, cmd::NOTE] {
        inputs.cfg_caps = command;
        tick(&mut block, &inputs);
    }
    inputs.cfg_caps = 0;
    tick(&mut block, &inputs);
    let notes = block.take_notes();
    let said: Vec<(u64, NoteLevel)> = notes.iter().map(|note| (note.cycle, note.level)).collect();
    assert_eq!(
        said,
        [
            (2, NoteLevel::Info),
            (3, NoteLevel::Warning),
            (4, NoteLevel::Warning)
        ]
    );
    assert_eq!(notes[0].message, "count is 0");
    assert!(
        notes[1].message.contains("count is still 3"),
        "{:?}",
        notes[1]
    );
    assert_eq!(notes[2].message, "noted at 6");
    assert_eq!(block.take_notes(), []);
}

#[test]
fn the_seed_decides_what_reset_leaves_alone_and_nothing_else() {
    let run = |seed| {
        let mut block = probe(ModelKind::Fast, seed);
        let mut inputs = reset(&mut block);
        let left_alone = tick(&mut block, &inputs).m_dev_awaddr;
        let mut seen = Vec::new();
        for n in 0..50 {
            inputs.s_reg_araddr = n * 7;
            let outputs = tick(&mut block, &inputs);
            seen.push(PinsOut {
                m_dev_awaddr: 0,
                ..outputs
            });
        }
        (left_alone, seen)
    };
    let (one, seen) = run(1);
    assert_eq!(run(1), (one, seen.clone()), "one seed, one state");
    let states: Vec<(u64, Vec<PinsOut>)> = (2..10).map(run).collect();
    assert!(
        states.iter().any(|(state, _)| *state != one),
        "the state is random"
    );
    assert!(
        states.iter().all(|(_, outputs)| *outputs == seen),
        "what reset sets does not depend on the seed"
    );
}

#[test]
fn reset_acts_without_a_clock_and_at_any_time() {
    let mut block = probe(ModelKind::Fast, 3);
    let mut inputs = reset(&mut block);
    for _ in 0..9 {
        tick(&mut block, &inputs);
    }
    inputs.rst_n = 0;
    assert_eq!(
        tick(&mut block, &inputs).s_reg_rdata,
        0,
        "asynchronous: in the clock in which it is asserted"
    );
    // Without a reset, the state is random: nobody resets a block on the quiet.
    let counts: Vec<u64> = (1..6)
        .map(|seed| {
            let mut block = probe(ModelKind::Fast, seed);
            tick(
                &mut block,
                &PinsIn {
                    rst_n: 1,
                    ..PinsIn::default()
                },
            )
            .s_reg_rdata
        })
        .collect();
    assert!(counts.iter().any(|count| *count != 0), "{counts:?}");
}

#[test]
fn models_run_in_threads_at_once_and_move_between_them() {
    let run = |seed, kind| {
        let mut block = probe(kind, seed);
        let mut inputs = reset(&mut block);
        let state = tick(&mut block, &inputs).m_dev_awaddr;
        let mut sum = 0u64;
        for n in 0..2000u16 {
            inputs.s_reg_araddr = n;
            let outputs = tick(&mut block, &inputs);
            sum = sum
                .wrapping_mul(31)
                .wrapping_add(outputs.s_reg_rdata ^ outputs.m_dev_araddr);
        }
        (state, sum)
    };
    let alone: Vec<(u64, u64)> = (0..8).map(|seed| run(seed, ModelKind::Fast)).collect();
    for _ in 0..5 {
        let threads: Vec<_> = (0..8)
            .map(|seed| thread::spawn(move || run(seed, ModelKind::Fast)))
            .collect();
        let together: Vec<(u64, u64)> = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect();
        assert_eq!(together, alone);
    }

    let mut block = probe(ModelKind::Fast, 1);
    let inputs = reset(&mut block);
    let mut block = thread::spawn(move || {
        assert_eq!(tick(&mut block, &inputs).s_reg_rdata, 0);
        block
    })
    .join()
    .expect("no panic");
    assert_eq!(tick(&mut block, &inputs).s_reg_rdata, STEP);
}

#[test]
fn the_error_of_one_thread_is_not_anothers() {
    let threads: Vec<_> = (0..6u64)
        .map(|n| {
            thread::spawn(move || {
                for _ in 0..20 {
                    if n % 2 == 0 {
                        error_of(ModelKind::Fast, cmd::ASSERT);
                    } else {
                        let mut block = probe(ModelKind::Fast, n);
                        let inputs = reset(&mut block);
                        for _ in 0..50 {
                            tick(&mut block, &inputs);
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// Values of the probe's counter by time, as a reader of waveforms finds them.
fn counts(path: &PathBuf) -> Vec<(u64, u64)> {
    let mut wave = wellen::simple::read(path).expect("a readable waveform");
    let hierarchy = wave.hierarchy();
    let variable = hierarchy
        .iter_vars()
        .find(|variable| variable.full_name(hierarchy).ends_with("u_dut.count_q"))
        .expect("the RTL's names are in the waveform");
    let signal = variable.signal_ref();
    wave.load_signals(&[signal]);
    let times = wave.time_table().to_vec();
    let signal = wave.get_signal(signal).expect("it was loaded");
    signal
        .iter_changes()
        .map(|(index, value)| {
            let bits = value.to_bit_string().expect("bits");
            (
                times[index as usize],
                u64::from_str_radix(&bits, 2).expect("known bits"),
            )
        })
        .collect()
}

#[test]
fn a_waveform_is_written_over_the_window_asked_for() {
    let folder = scratch("waveform");
    let mut block = probe(ModelKind::Wave, 1);
    let inputs = reset(&mut block);
    let windows = [folder.join("one.fst"), folder.join("two.fst")];
    for path in &windows {
        for _ in 0..10 {
            tick(&mut block, &inputs);
        }
        block.trace_start(path).expect("the folder is there");
        for _ in 0..10 {
            tick(&mut block, &inputs);
        }
        block.trace_stop();
    }
    drop(block);
    // Two clocks of reset; the counter is STEP n in the n-th clock after it. Clock n takes the time
    // from its edge at 10 n on.
    for (path, first) in windows.iter().zip([12u64, 32]) {
        let seen = counts(path);
        assert_eq!(seen[0], (10 * first, (first - 2) * STEP));
        assert_eq!(seen[1], (10 * first + 10, (first - 1) * STEP));
        assert_eq!(seen.len(), 10);
    }
}

#[test]
fn waveforms_are_written_in_threads_at_once() {
    let folder = scratch("waveforms");
    let threads: Vec<_> = (0..4u64)
        .map(|n| {
            let path = folder.join(format!("{n}.fst"));
            thread::spawn(move || {
                let mut block = probe(ModelKind::Wave, n);
                let inputs = reset(&mut block);
                block.trace_start(&path).expect("the folder is there");
                for _ in 0..500 + n {
                    tick(&mut block, &inputs);
                }
                drop(block);
                (path, 500 + n)
            })
        })
        .collect();
    for thread in threads {
        let (path, clocks) = thread.join().expect("no panic");
        // Left open, it is whole all the same: one value a clock.
        let seen = counts(&path);
        assert_eq!(seen.len() as u64, clocks);
        assert_eq!(
            seen.last().map(|(_, count)| *count),
            Some((clocks - 1) * STEP)
        );
    }
}

#[test]
fn a_waveform_that_cannot_be_written_is_an_error() {
    let folder = scratch("no-waveform");
    let mut block = probe(ModelKind::Wave, 1);
    for path in [folder.join("missing/wave.fst"), folder.clone()] {
        match block.trace_start(&path) {
            Err(SimError::Trace { path: told, why }) => {
                assert_eq!(told, path);
                assert!(!why.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    // The block goes on.
    reset(&mut block);
    assert_eq!(
        probe(ModelKind::Fast, 1).trace_start(&folder.join("a.fst")),
        Err(SimError::NoTrace)
    );
}

#[test]
fn coverage_counts_what_was_reached() {
    let path = scratch("coverage").join("coverage.dat");
    let mut block = probe(ModelKind::Coverage, 1);
    let inputs = reset(&mut block);
    for _ in 0..20 {
        tick(&mut block, &inputs);
    }
    block.write_coverage(&path).expect("the folder is there");
    let text = fs::read_to_string(&path).expect("it was written");
    assert!(text.lines().any(|line| line.contains("probe.sv")), "{text}");
    assert!(matches!(
        probe(ModelKind::Fast, 1).write_coverage(&path),
        Err(SimError::Coverage { .. })
    ));
    assert!(matches!(
        block.write_coverage(&path.join("no")),
        Err(SimError::Coverage { .. })
    ));
}

#[test]
fn an_unknown_device_is_an_error_that_lists_the_known() {
    let why = Block::new("nonsense", &ModelOptions::default())
        .err()
        .expect("there is none of this name");
    assert!(
        matches!(&why, SimError::UnknownDut { name, .. } if name == "nonsense"),
        "{why:?}"
    );
    for dut in duts() {
        assert!(why.to_string().contains(dut.name), "{why}");
    }
}
