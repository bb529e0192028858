//! A clock in steady state allocates nothing, whatever passes the memory ports.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use iommu_bus::PortTiming;
use iommu_sim::{Device, PinsIn, PinsOut, SimError};
use iommu_testbench::{Testbench, TestbenchConfig};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Reads and writes without end, bursts of 4, on both memory ports.
#[derive(Default)]
struct Busy {
    clock: u64,
    beat: u8,
}

impl Device for Busy {
    fn tick(&mut self, i: &PinsIn, o: &mut PinsOut) -> Result<(), SimError> {
        if i.rst_n == 0 || self.clock == 0 {
            *o = PinsOut::default();
            *self = Self {
                clock: i.rst_n.into(),
                beat: 0,
            };
            return Ok(());
        }
        let id = (self.clock % 16) as u8;
        let addr = 0x1000 + 64 * (self.clock % 64);
        (o.m_mem_bready, o.m_mem_rready) = (1, 1);
        (o.m_dev_bready, o.m_dev_rready) = (1, 1);
        (o.m_mem_arvalid, o.m_mem_arid, o.m_mem_araddr) = (1, 5, 0x8000);
        (o.m_mem_arlen, o.m_mem_arsize, o.m_mem_arburst) = (1, 3, 1);
        (o.m_dev_awvalid, o.m_dev_awid, o.m_dev_awaddr) = (1, id, addr);
        (o.m_dev_awlen, o.m_dev_awsize, o.m_dev_awburst) = (3, 3, 1);
        (o.m_dev_wvalid, o.m_dev_wstrb, o.m_dev_wdata) = (1, 0xff, 0x55);
        o.m_dev_wlast = (self.beat == 3).into();
        self.clock += u64::from(i.m_dev_awready);
        self.beat = (self.beat + i.m_dev_wready) % 4;
        Ok(())
    }
}

#[test]
fn no_allocation_per_clock() {
    let port = PortTiming {
        latency: 2..=20,
        out_of_order: true,
        ready_percent: 70,
        ..PortTiming::default()
    };
    let cfg = TestbenchConfig {
        mem: port.clone(),
        out: port,
        ..TestbenchConfig::default()
    };
    let mut tb = Testbench::new(Box::new(Busy::default()), cfg);
    tb.reset(2).expect("reset");
    let mut steps = |n: u32| {
        let mut events = 0;
        for _ in 0..n {
            events += tb.step().expect("a block that keeps the protocol").len();
        }
        events
    };
    steps(20_000); // queues and pools reach their size
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let events = steps(20_000);
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(events > 40_000, "the block was idle: {events} events");
    assert_eq!(after - before, 0);
}
