//! The agents against software blocks: a right one, and one wrong in every way.

mod checkers;
mod memory;
mod soft;
mod traffic;

use iommu_bus::event::{At, AxiAddr, Burst, Sideband};

use crate::{Testbench, TestbenchConfig, Violation};

/// An incrementing 64-bit burst of `beats` beats.
fn incr(id: u8, addr: u64, beats: u16) -> AxiAddr {
    AxiAddr {
        id,
        addr,
        len: (beats - 1) as u8,
        size: 3,
        burst: Burst::Incr,
        lock: false,
        cache: 3,
        prot: 2,
        qos: 0,
        region: 0,
        atop: 0,
        user: 0,
    }
}

fn side() -> Sideband {
    Sideband {
        device_id: 0x12_3456,
        process_id: Some(0x7_89ab),
        translated: false,
    }
}

/// A testbench out of reset.
fn bench(device: impl iommu_sim::Device + Send + 'static, cfg: TestbenchConfig) -> Testbench {
    let mut tb = Testbench::new(Box::new(soft::Watched::new(device)), cfg);
    tb.reset(2).expect("reset");
    tb
}

/// Steps, and panics with the rule if one breaks.
fn run(tb: &mut Testbench, clocks: u32) -> Vec<At> {
    let mut events = Vec::new();
    for _ in 0..clocks {
        match tb.step() {
            Ok(e) => events.extend_from_slice(e),
            Err(e) => panic!("{e}"),
        }
    }
    events
}

/// Steps on whatever happens; all rules broken.
fn run_bad(tb: &mut Testbench, clocks: u32) -> Vec<Violation> {
    let mut all = Vec::new();
    for _ in 0..clocks {
        let failed = tb.step().is_err();
        assert_eq!(failed, !tb.violations().is_empty());
        all.extend_from_slice(tb.violations());
    }
    all
}
