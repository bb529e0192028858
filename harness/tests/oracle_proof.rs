//! The oracle shown from both sides, shortened: `make oracle-proof` has the full figures, and
//! docs/oracle.md the table.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use iommu_cosim::dut::Dut;
use iommu_cosim::prove::{Found, Prover};
use iommu_cosim::run::{self, Setup};
use iommu_cosim::suite::Ticket;
use iommu_softdut::Bug;

fn prover(profiles: &[&str]) -> Prover {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names: Vec<String> = profiles.iter().map(ToString::to_string).collect();
    Prover::new(&root, &names).unwrap()
}

#[test]
fn what_is_legal_passes() {
    let races = prover(&["invalidation-races"]);
    let legal = races.legal(1, 30, 2, &AtomicBool::new(false));
    assert!(legal.failures.is_empty(), "{:#?}", legal.failures);
    assert!(legal.profiles.iter().all(|p| p.1 == 30), "{legal:?}");
    let guests = prover(&["invalidation-guests"]).legal(1, 6, 2, &AtomicBool::new(false));
    assert!(guests.failures.is_empty(), "{:#?}", guests.failures);
    let checked: u64 = legal.profiles.iter().map(|p| p.2).sum();
    assert!(checked > 5_000, "{checked} transactions");
}

#[test]
fn what_is_wrong_is_caught() {
    // Of each kind; those that the full table says are caught within a few seeds.
    let bugs = [
        Bug::VmaAddressKept,
        Bug::InvalDdtKeepsDc,
        Bug::DeviceIdBitIgnored,
        Bug::InvalidCached,
        Bug::RecordDropped,
        Bug::TailBeforeRecord,
        Bug::HeldLeafWritable,
        Bug::RefusedDataLeaks,
        Bug::GvmaGuestKept,
        Bug::GvmaDropsFirst,
        Bug::CombinedKept,
        Bug::MsiKept,
        Bug::InvalDdtKeepsPdt,
        Bug::ProcessIdBitIgnored,
        Bug::KeptOverReset,
        Bug::InvalDdtKeepsNonLeaf,
        Bug::OffEarly,
        Bug::UpdateNotAwaited,
        Bug::ReadSetsDirty,
        Bug::AtsGrantsWrite,
        Bug::T2gpaIgnored,
        Bug::AtsFaultRecorded,
        Bug::ItagReused,
        Bug::FenceIgnoresAts,
        Bug::ResponseIndexWrong,
        Bug::RefusalSucceeds,
        Bug::PageRequestLost,
        Bug::NoticeElsewhere,
        Bug::WalkQosWrong,
        Bug::McidLost,
        Bug::WrongEventCounted,
        Bug::DebugPageWrong,
        Bug::NoticeEarly,
        Bug::GvmaNlIgnored,
        Bug::GvmaRangeIgnored,
        Bug::GscidBitIgnored,
        Bug::AtsOvertakesFence,
        Bug::FenceWipEarly,
        Bug::FaultOverflowLost,
        Bug::PageOverflowLost,
        Bug::MessagesSwapped,
        Bug::MsiAnyGuest,
        Bug::MaskIgnored,
        Bug::GscidTopIgnored,
        Bug::PscidTopIgnored,
    ];
    let all = prover(&[
        "invalidation-races",
        "invalidation-guests",
        "invalidation-exact",
        "resets",
        "ats",
        "msi",
        "registers",
    ]);
    let found = all.hunt_all(&bugs, 1, 30, 2, &AtomicBool::new(false));
    for (bug, found) in &found {
        assert!(
            matches!(found, Found::Caught { .. }),
            "{}: {found:?}",
            bug.name()
        );
    }
    assert_eq!(found.len(), bugs.len());
}

/// The checks that fail where `device` runs a directed test and is declared to be `declared`.
fn checks(test: &str, device: &str, declared: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let all = iommu_testcase::load_all(&root).unwrap();
    let case = all.iter().find(|c| c.name == test).unwrap();
    let mask = case.setting(1).caps_mask;
    let caps = run::probe_capabilities(device, mask).unwrap();
    let dut = Dut::find(&root, declared).unwrap();
    let setup = Setup::new(device, 1, dut.scoreboard(caps).unwrap());
    let stop = AtomicBool::new(false);
    let outcome = run::run(case, &setup, &Ticket::alone(&stop));
    assert_eq!(outcome.error, None);
    outcome.failures.into_iter().map(|f| f.check).collect()
}

/// Rows DC-21, DC-23 and PC-09 of the plan, on a block that makes the other choice.
#[test]
fn a_block_does_what_it_declares() {
    for test in ["qos-ids-wide", "context-beyond-pas"] {
        assert!(checks(test, "soft", "soft").is_empty());
        assert!(checks(test, "soft-narrow", "soft-narrow").is_empty());
        assert!(!checks(test, "soft", "soft-narrow").is_empty(), "{test}");
        assert!(!checks(test, "soft-narrow", "soft").is_empty(), "{test}");
    }
}
