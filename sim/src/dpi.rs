//! DPI functions that RTL calls (sim/sv/iommu_cosim_dpi.sv), shared by all models.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int};
use std::panic::catch_unwind;

/// Declarations from Verilator's header.
#[allow(missing_docs, dead_code, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/dpi.rs"));
}

// Ours is what Verilator's header declares.
const _: unsafe extern "C" fn(c_int, *const c_char) = generated::cosim_note;
const _: unsafe extern "C" fn(c_int, *const c_char) = cosim_note;

/// Notes of one clock beyond this number are dropped.
const NOTES_PER_CLOCK: usize = 1024;

thread_local! {
    /// Notes since the running call into a model began; each call takes its own away.
    static NOTES: RefCell<Vec<(i32, String)>> = const { RefCell::new(Vec::new()) };
}

/// `iommu_cosim_dpi::cosim_note` of the RTL.
// SAFETY: the name is that of the DPI import and of nothing else.
#[unsafe(no_mangle)]
unsafe extern "C" fn cosim_note(level: c_int, message: *const c_char) {
    // A panic must not cross into C++.
    let _ = catch_unwind(|| {
        let text = if message.is_null() {
            String::new()
        } else {
            // SAFETY: a string argument of a DPI import is terminated and lives until the return.
            unsafe { CStr::from_ptr(message) }
                .to_string_lossy()
                .into_owned()
        };
        NOTES.with_borrow_mut(|notes| {
            if notes.len() < NOTES_PER_CLOCK {
                notes.push((level, text));
            }
        });
    });
}

/// Takes the notes of this thread.
pub fn take() -> Vec<(i32, String)> {
    NOTES.with_borrow_mut(std::mem::take)
}

/// Whether there are notes of this thread.
pub fn pending() -> bool {
    NOTES.with_borrow(|notes| !notes.is_empty())
}
