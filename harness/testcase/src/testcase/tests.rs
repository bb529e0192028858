//! Tests of the vocabulary: every step, and mistakes with their places.

use super::*;
use crate::op::{Dma, Expect, Op};

const HEAD: &str = "\
name: t
description: A test.
domains:
  a: {scheme: Sv39, pscid: 7}
devices:
  nic: {id: 0x20, domain: a}
map:
  - {domain: a, iova: 0x1000, pa: 0x80001000, size: 8K}
";

fn case(steps: &str) -> std::result::Result<Case, CaseError> {
    parse(Path::new("t.yaml"), "t.yaml", &format!("{HEAD}{steps}"))
}

fn ops(steps: &str) -> Vec<Op> {
    let case = case(steps).unwrap_or_else(|e| panic!("{e}"));
    case.ops(1).unwrap().map(|o| o.unwrap().op).collect()
}

fn wrong(steps: &str) -> (String, String) {
    match case(steps) {
        Err(CaseError::Yaml(e)) => (e.to_string(), e.help.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_test_lowers_to_what_it_says() {
    let all = ops("\
steps:
  - dma: {device: nic, read: 0x1008, bytes: 16, expect: ok}
  - dma: {device: nic, write: 0x9000, expect: {fault: 15}}
  - unmap: {domain: a, iova: 0x1000}
  - fence
  - dma: {device: nic, read: 0x1008, expect: {fault: 13}}
  - expect_faults
");
    let dmas: Vec<&Dma> = all
        .iter()
        .filter_map(|o| match o {
            Op::Dma(d) => Some(d),
            _ => None,
        })
        .collect();
    assert_eq!(dmas.len(), 3);
    assert_eq!(dmas[0].expect, Expect::Ok { pa: 0x8000_1008 });
    let Some(Op::TakeFaults { expect: Some(e) }) =
        all.iter().find(|o| matches!(o, Op::TakeFaults { .. }))
    else {
        panic!();
    };
    assert_eq!(e.len(), 2);
    assert_eq!((e[0].cause, e[0].ttyp), (Some(15), Some(3)));
    assert_eq!((e[1].cause, e[1].ttyp), (Some(13), Some(2)));
    // The edit waits for the DMA before it.
    let wait = all.iter().position(|o| *o == Op::WaitDma).unwrap();
    let second = all
        .iter()
        .rposition(|o| matches!(o, Op::Dma(d) if d.iova == 0x9000));
    assert!(second.unwrap() < wait);
}

#[test]
fn mistakes_show_place_and_nearest_word() {
    for (steps, place, what, help) in [
        (
            "steps:\n  - dmaa: {device: nic, read: 0}\n",
            "t.yaml:10:5",
            "unknown step 'dmaa'",
            "did you mean 'dma'?",
        ),
        (
            "steps:\n  - dma: {device: nik, read: 0}\n",
            "t.yaml:10:19",
            "unknown device 'nik'",
            "did you mean 'nic'?",
        ),
        (
            "steps:\n  - dma: {device: nic, raed: 0}\n",
            "t.yaml:10:10",
            "one of read, write, execute",
            "",
        ),
        (
            "steps:\n  - dma: {device: nic, read: 0, bites: 4}\n",
            "t.yaml:10:33",
            "unknown field 'bites'",
            "did you mean 'bytes'?",
        ),
        (
            "steps:\n  - dma: {device: nic, read: 0x5000, expect: ok}\n",
            "t.yaml:10:46",
            "nothing is mapped at 0x5000",
            "fault: 13",
        ),
        (
            "steps:\n  - write_register: {name: cqcsrr, value: 1}\n",
            "t.yaml:10:28",
            "unknown register 'cqcsrr'",
            "did you mean 'cqcsr'?",
        ),
        (
            "steps:\n  - mode: Bare\n",
            "t.yaml:10:11",
            "UNSPECIFIED",
            "Off",
        ),
        (
            "steps:\n  - unmap: {domain: a, iova: 0x7000}\n",
            "t.yaml:10:12",
            "nothing is mapped at 0x7000",
            "",
        ),
        (
            "needs: [Sv38]\n",
            "t.yaml:9:9",
            "unknown capability 'Sv38'",
            "Sv39",
        ),
        (
            "timing: {memory: {latency: 9..3}}\n",
            "t.yaml:9:28",
            "a number or a range",
            "4..20",
        ),
        (
            "stream: recorded/none.txt.xz\n",
            "t.yaml:9:9",
            "there is no",
            "relative",
        ),
        (
            "steps:\n  - load_image: missing.gz\n",
            "t.yaml:10:17",
            "cannot read",
            "",
        ),
        (
            "vms: {g: {scheme: Sv39x5}}\n",
            "t.yaml:9:19",
            "unknown scheme 'Sv39x5'",
            "did you mean 'Sv39x4'?",
        ),
        (
            "vms: {g: {msi: {gpa: 0, files: {0: {mrif: 0x90000100, notice: 0}}}}}\n",
            "t.yaml:9:43",
            "is a multiple of 512",
            "",
        ),
        (
            "steps:\n  - process: {device: nic, id: 1}\n",
            "t.yaml:10:23",
            "no process directory",
            "processes:",
        ),
        (
            "steps:\n  - memory_error: {at: first_stage_leav, of: {device: nic, iova: 0}}\n",
            "t.yaml:10:24",
            "unknown structure 'first_stage_leav'",
            "did you mean 'first_stage_leaf'?",
        ),
        (
            "steps:\n  - poke: {at: second_stage_leaf, of: {device: nic, iova: 0}, value: 0}\n",
            "t.yaml:10:16",
            "no second stage",
            "",
        ),
        (
            "steps:\n  - command: {name: iotinval.vmma}\n",
            "t.yaml:10:21",
            "unknown command 'iotinval.vmma'",
            "did you mean 'iotinval.vma'?",
        ),
        (
            "steps:\n  - command: {name: iotinval.vma, addr: 0, range: 12K}\n",
            "t.yaml:10:51",
            "a power of two, at least 8K",
            "",
        ),
        (
            "steps:\n  - count: {counter: 1, event: tlb_mises}\n",
            "t.yaml:10:32",
            "unknown event 'tlb_mises'",
            "did you mean 'tlb_misses'?",
        ),
        (
            "steps:\n  - ats_request: {device: nic, iova: 0x9000, expect: ok}\n",
            "t.yaml:10:54",
            "nothing is mapped at 0x9000",
            "",
        ),
        (
            "steps:\n  - ats_request: {device: nic, iova: 0, expect: {status: urr}}\n",
            "t.yaml:10:58",
            "unknown status 'urr'",
            "did you mean 'ur'?",
        ),
        (
            "steps:\n  - page_request: {device: nic, iova: 0, expect: {response: sucess}}\n",
            "t.yaml:10:61",
            "unknown response code 'sucess'",
            "did you mean 'success'?",
        ),
        (
            "stepps: []\n",
            "t.yaml:9:1",
            "unknown field 'stepps'",
            "'steps'",
        ),
        (
            "steps:\n  - wait: {cycles: many}\n",
            "t.yaml:10:20",
            "is a number, not 'many'",
            "",
        ),
    ] {
        let (shown, hint) = wrong(steps);
        assert!(shown.starts_with(place), "{shown}");
        assert!(shown.contains(what), "{shown}");
        assert!(hint.contains(help), "{hint}");
    }
}

#[test]
fn every_step_can_be_written() {
    let text = include_str!("../every_step.yaml");
    let case = parse(Path::new("every_step.yaml"), "every_step.yaml", text)
        .unwrap_or_else(|e| panic!("{e}"));
    for step in STEPS {
        // load_image needs a file beside the test; recorded snapshots have one.
        assert!(
            *step == "load_image" || text.contains(&format!("- {step}")),
            "{step} is missing in every_step.yaml"
        );
    }
    assert!(case.ops(3).unwrap().all(|o| o.is_ok()));
}

#[test]
fn what_a_test_uses_it_needs_and_what_it_takes_away_it_does_not() {
    let text = "\
name: t
description: A test.
capabilities: {without: [Svpbmt]}
vms: {g: {scheme: Sv48x4, msi: {gpa: 0, files: {0: {mrif: 0x200, notice: 0}}}}}
domains: {a: {scheme: Sv32}, b: {pscid: 9}}
devices: {gpu: {id: 1, pdt: PD17, sade: true, en_ats: true, t2gpa: true, rcid: 3, processes: {1: b}}}
map: [{domain: b, iova: 0, pa: 0, pbmt: nc, software: 1}]
steps: [{command: {name: iotinval.vma, addr: 0, nl: true}}, {debug: {device: gpu, iova: 0}}]
";
    let case = parse(Path::new("t.yaml"), "t.yaml", text).unwrap_or_else(|e| panic!("{e}"));
    let needs = caps::names(case.needs);
    assert_eq!(
        needs,
        [
            "Sv32",
            "Sv39",
            "Svrsw60t59b",
            "Sv48x4",
            "MSI_FLAT",
            "MSI_MRIF",
            "AMO_HWAD",
            "ATS",
            "T2GPA",
            "DBG",
            "PD17",
            "QOSID",
            "NL"
        ]
    );
    let choices = crate::dut::Choices::default();
    assert_eq!(
        case.missing(1, 0, &choices).unwrap_or_default(),
        needs.join(", ")
    );
    // Sv32 needs SXL=1, which is legal where fctl.GXL is writable only.
    assert!(
        case.missing(1, u64::MAX, &choices)
            .is_some_and(|m| m.contains("GXL"))
    );
}

#[test]
fn the_same_seed_gives_the_same_operations() {
    let case =
        case("steps:\n  - traffic: {device: nic, count: 50, from: 0x1000, size: 8K, expect: ok}\n")
            .unwrap();
    let run = |seed| -> Vec<OpAt> { case.ops(seed).unwrap().map(|o| o.unwrap()).collect() };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn the_projects_test_cases_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases");
    let cases = load_folder(&folder, "testcases").unwrap_or_else(|e| panic!("{e}"));
    for case in &cases {
        let mut n = 0;
        for op in case.ops(7).unwrap_or_else(|e| panic!("{}: {e}", case.name)) {
            op.unwrap_or_else(|e| panic!("{}: {e}", case.name));
            n += 1;
        }
        assert!(n > 0, "{} does nothing", case.name);
    }
}
