//! A translation allocates nothing: the model is called once a transaction, or more.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::*;
use iommu_golden::*;

struct Counting;

thread_local! {
    /// Of this thread alone: the test runner's own threads allocate when they like.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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

#[test]
fn no_allocation_in_a_translation() {
    let va = 0x12_3456_7000u64;
    let mut r = Rig::new(all_caps());
    // Nested behind a process directory, with A/D updates; a fault; an ATS answer; an MSI page.
    let g = vm(&mut r, 3, RWU);
    let dir = pdt(
        &mut r,
        1,
        3,
        tc::EN_ATS | tc::SADE | tc::GADE,
        hgatp(8, 7, g),
    );
    let root = r.page();
    set_pc(&mut r, dir, 3, 3, V, 8 << 60 | root >> 12);
    let pte = r.map(root, 3, 0, va, 0, leaf(0x8000_0000, V | R | W | U));
    let (mut m, table) = msi_rig(0, 0x28000);
    m.mem.write_u64(table, V | 3 << 1 | 0x9000_0000 >> 12 << 10);

    let before = ALLOCATIONS.get();
    let granted = r.go(with_pid(write(1, va), 3));
    let denied = r.go(with_pid(write(1, va + 0x1000), 3));
    let answered = r.go(with_pid(ats(1, va), 3));
    let msi = m.go(write(5, 0x2800_0000));
    assert_eq!(ALLOCATIONS.get(), before);
    assert!(matches!(granted, Outcome::Granted(_)), "{granted:?}");
    assert_eq!(r.mem.read_u64(pte) & (A | D), A | D);
    assert_eq!(denied.cause(), Some(Cause::WritePageFault));
    assert!(matches!(answered, Outcome::Ats(a) if a.status == AtsStatus::Success));
    assert!(matches!(msi, Outcome::Granted(_)), "{msi:?}");
    // The counter counts.
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(ALLOCATIONS.get(), before + 1);
}
