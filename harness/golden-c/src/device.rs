//! An instance of the model.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, TryLockError};

use iommu_golden as g;

use crate::config::{IommuConfig, config_input};
use crate::status::{Error, IommuStatus, Result, error, guard, object, output};

/// An IOMMU: registers, queue state machines, interrupts. Made by `iommu_create`.
pub struct IommuGolden(Mutex<Device>);

pub(crate) struct Device {
    pub(crate) model: g::Iommu,
    /// ATS messages that the model gave and the caller has not taken yet.
    pub(crate) messages: VecDeque<g::ats::AtsOut>,
}

/// The content of an object's lock, unless someone has it.
pub(crate) fn lock<'a, T>(m: &'a Mutex<T>, name: &str) -> Result<MutexGuard<'a, T>> {
    match m.try_lock() {
        Ok(l) => Ok(l),
        Err(TryLockError::WouldBlock) => error(IommuStatus::Busy, format!("`{name}` is in use")),
        Err(TryLockError::Poisoned(_)) => error(
            IommuStatus::Panic,
            format!("a panic left `{name}` half changed: destroy it"),
        ),
    }
}

/// The device behind a pointer, locked.
///
/// # Safety
/// `p` is null or came from `iommu_create` and was not destroyed.
pub(crate) unsafe fn device<'a>(p: *const IommuGolden) -> Result<MutexGuard<'a, Device>> {
    // SAFETY: the same contract; inside, only the lock gives access.
    lock(unsafe { &object(p, "iommu")?.0 }, "iommu")
}

/// Makes an IOMMU, as it is after reset. `*iommu` is to be given to `iommu_destroy` in the end.
///
/// Errors: `NULL`, `ALIGNMENT`, `SIZE`, `RANGE`, `VALUE`; `CONFIG` if the specification forbids
/// this combination.
///
/// # Safety
/// `config` is null or was filled by `iommu_config_init`; `iommu` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_create(
    config: *const IommuConfig,
    iommu: *mut *mut IommuGolden,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (config, out) = unsafe { (config_input(config)?, output(iommu, "iommu")?) };
        let model = g::Iommu::new(config).map_err(|e| Error(IommuStatus::Config, e.to_string()))?;
        out.put(Box::into_raw(Box::new(IommuGolden(Mutex::new(Device {
            model,
            messages: VecDeque::new(),
        })))));
        Ok(())
    })
}

/// Makes a second IOMMU in the same state as `iommu`: a snapshot, or a what-if.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `copy` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_clone(
    iommu: *const IommuGolden,
    copy: *mut *mut IommuGolden,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out) = unsafe { (device(iommu)?, output(copy, "copy")?) };
        out.put(Box::into_raw(Box::new(IommuGolden(Mutex::new(Device {
            model: d.model.clone(),
            messages: d.messages.clone(),
        })))));
        Ok(())
    })
}

/// Frees an IOMMU; null is fine.
///
/// Errors: `BUSY` (it lives on), `ALIGNMENT`.
///
/// # Safety
/// `iommu` is null or came from `iommu_create` or `iommu_clone`, is not in use by another thread and
/// is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_destroy(iommu: *mut IommuGolden) -> IommuStatus {
    guard(|| {
        if iommu.is_null() {
            return Ok(());
        }
        // SAFETY: this function's contract.
        let alive = unsafe { object(iommu, "iommu") }?;
        if let Err(TryLockError::WouldBlock) = alive.0.try_lock() {
            return error(IommuStatus::Busy, "`iommu` is in use");
        }
        // SAFETY: it came from Box::into_raw, nobody holds its lock, and it is given up.
        drop(unsafe { Box::from_raw(iommu) });
        Ok(())
    })
}

/// Resets registers, queues, interrupts and ATS state; the configuration stays.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_reset(iommu: *mut IommuGolden) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut d = unsafe { device(iommu) }?;
        d.model.reset();
        d.messages.clear();
        Ok(())
    })
}

/// Lets `cycles` clock cycles pass for `iohpmcycles` (needs `IOMMU_CAP_HPM`, else nothing happens).
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_count_cycles(iommu: *mut IommuGolden, cycles: u64) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        unsafe { device(iommu) }?.model.count_cycles(cycles);
        Ok(())
    })
}
