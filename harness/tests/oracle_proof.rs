//! The oracle shown from both sides, shortened: `make oracle-proof` has the full figures, and
//! docs/oracle.md the table.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use iommu_cosim::prove::{Found, Prover};
use iommu_softdut::Bug;

fn prover() -> Prover {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Prover::new(&root, &["invalidation-races".to_owned()]).unwrap()
}

#[test]
fn what_is_legal_passes() {
    let legal = prover().legal(1, 30, 2, &AtomicBool::new(false));
    assert!(legal.failures.is_empty(), "{:#?}", legal.failures);
    assert!(legal.profiles.iter().all(|p| p.1 == 30), "{legal:?}");
    let checked: u64 = legal.profiles.iter().map(|p| p.2).sum();
    assert!(checked > 5_000, "{checked} transactions");
}

#[test]
fn what_is_wrong_is_caught() {
    // One of each kind; those that the full table says are caught within a few seeds.
    let bugs = [
        Bug::VmaAddressKept,
        Bug::InvalDdtKeepsDc,
        Bug::DeviceIdBitIgnored,
        Bug::InvalidCached,
        Bug::RecordDropped,
        Bug::TailBeforeRecord,
        Bug::HeldLeafWritable,
        Bug::RefusedDataLeaks,
    ];
    let found = prover().hunt_all(&bugs, 1, 10, 2, &AtomicBool::new(false));
    for (bug, found) in &found {
        assert!(
            matches!(found, Found::Caught { .. }),
            "{}: {found:?}",
            bug.name()
        );
    }
    assert_eq!(found.len(), bugs.len());
}
