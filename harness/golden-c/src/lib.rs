//! C interface of the golden model of the RISC-V IOMMU, for testbenches in SystemVerilog (DPI),
//! C, C++ or Python. The header `include/iommu_golden.h` is made from this crate by cbindgen; a test
//! keeps it equal. docs/golden-c.md tells how to link and use it, `examples/walk.c` shows it.
//!
//! The rules of every function:
//!
//! * It returns an [`IommuStatus`]; results go through pointers, which are written only with
//!   `IOMMU_STATUS_OK`, unless the function says otherwise. [`iommu_last_error`] has the reason in
//!   words.
//! * Null or misaligned pointers and values out of range are refused. A pointer that is neither must
//!   point to what its type says: nobody can check that.
//! * Nothing unwinds into the caller. After `IOMMU_STATUS_PANIC` (a mistake of this library) the
//!   object can only be destroyed.
//! * An object may be used from any thread, by one at a time; a call from a memory callback with the
//!   object it serves, or from two threads at once, is refused with `IOMMU_STATUS_BUSY`.
//! * Enumerations come in as `uint32_t`, flags as `uint8_t` that are 0 or 1, so that any bit pattern
//!   is safe. Flags that come out are 0 or 1.
#![warn(missing_docs)]
#![warn(clippy::undocumented_unsafe_blocks)]

mod ats;
mod command;
mod config;
mod device;
mod fault;
mod interrupt;
mod memory;
mod register;
mod status;
mod translate;

pub use ats::*;
pub use command::*;
pub use config::*;
pub use device::*;
pub use fault::*;
pub use interrupt::*;
pub use memory::*;
pub use register::*;
pub use status::*;
pub use translate::*;
