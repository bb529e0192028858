//! The register page.

use std::ffi::c_char;

use iommu_golden as g;

use crate::device::{IommuGolden, device};
use crate::status::{
    Error, IOMMU_TEXT_SIZE, IommuStatus, Result, error, guard, optional, output, text,
};

/// Register offsets in bytes: `capabilities`, 8 bytes.
pub const IOMMU_REG_CAPABILITIES: u32 = 0;
/// `fctl`, 4 bytes.
pub const IOMMU_REG_FCTL: u32 = 8;
/// `ddtp`, 8 bytes.
pub const IOMMU_REG_DDTP: u32 = 16;
/// `cqb`, 8 bytes.
pub const IOMMU_REG_CQB: u32 = 24;
/// `cqh`, 4 bytes.
pub const IOMMU_REG_CQH: u32 = 32;
/// `cqt`, 4 bytes.
pub const IOMMU_REG_CQT: u32 = 36;
/// `fqb`, 8 bytes.
pub const IOMMU_REG_FQB: u32 = 40;
/// `fqh`, 4 bytes.
pub const IOMMU_REG_FQH: u32 = 48;
/// `fqt`, 4 bytes.
pub const IOMMU_REG_FQT: u32 = 52;
/// `pqb`, 8 bytes.
pub const IOMMU_REG_PQB: u32 = 56;
/// `pqh`, 4 bytes.
pub const IOMMU_REG_PQH: u32 = 64;
/// `pqt`, 4 bytes.
pub const IOMMU_REG_PQT: u32 = 68;
/// `cqcsr`, 4 bytes.
pub const IOMMU_REG_CQCSR: u32 = 72;
/// `fqcsr`, 4 bytes.
pub const IOMMU_REG_FQCSR: u32 = 76;
/// `pqcsr`, 4 bytes.
pub const IOMMU_REG_PQCSR: u32 = 80;
/// `ipsr`, 4 bytes.
pub const IOMMU_REG_IPSR: u32 = 84;
/// `iocountovf`, 4 bytes.
pub const IOMMU_REG_IOCOUNTOVF: u32 = 88;
/// `iocountinh`, 4 bytes.
pub const IOMMU_REG_IOCOUNTINH: u32 = 92;
/// `iohpmcycles`, 8 bytes.
pub const IOMMU_REG_IOHPMCYCLES: u32 = 96;
/// `iohpmctr1`, 8 bytes; the others follow.
pub const IOMMU_REG_IOHPMCTR1: u32 = 104;
/// `iohpmevt1`, 8 bytes; the others follow.
pub const IOMMU_REG_IOHPMEVT1: u32 = 352;
/// `tr_req_iova`, 8 bytes.
pub const IOMMU_REG_TR_REQ_IOVA: u32 = 600;
/// `tr_req_ctl`, 8 bytes.
pub const IOMMU_REG_TR_REQ_CTL: u32 = 608;
/// `tr_response`, 8 bytes.
pub const IOMMU_REG_TR_RESPONSE: u32 = 616;
/// `iommu_qosid`, 4 bytes.
pub const IOMMU_REG_IOMMU_QOSID: u32 = 624;
/// `icvec`, 8 bytes.
pub const IOMMU_REG_ICVEC: u32 = 760;
/// `msi_addr_0`, 8 bytes, then `msi_data_0` and `msi_vec_ctl_0`, 4 each; 16 bytes further the next.
pub const IOMMU_REG_MSI_CFG_TBL: u32 = 768;

/// A queue.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuQueue {
    /// None of them.
    None = 0,
    /// Command queue.
    Command = 1,
    /// Fault queue.
    Fault = 2,
    /// Page-request queue.
    PageRequest = 3,
}

fn queue(q: Option<g::Queue>) -> IommuQueue {
    match q {
        None => IommuQueue::None,
        Some(g::Queue::Command) => IommuQueue::Command,
        Some(g::Queue::Fault) => IommuQueue::Fault,
        Some(g::Queue::PageRequest) => IommuQueue::PageRequest,
    }
}

/// What a register write set in motion. The library does nothing further by itself: process commands,
/// run the debug request and send messages when your testbench wants them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuRegEffects {
    /// The queue that went on.
    pub enabled: IommuQueue,
    /// The queue that went off.
    pub disabled: IommuQueue,
    /// Flag: `ddtp` was written.
    pub ddtp: u8,
    /// Flag: `tr_req_ctl.Go/Busy` went to 1; call `iommu_run_debug_request`.
    pub debug_request: u8,
    /// Flag: the specification leaves the outcome of this write open; the plain meaning was taken.
    pub unspecified: u8,
    /// 0.
    pub padding: [u8; 5],
    /// Why it is open, ending in 0; empty if `unspecified` is 0.
    pub unspecified_text: [c_char; IOMMU_TEXT_SIZE],
}

fn place(offset: u32, size: u32) -> Result<(u16, g::RegSize)> {
    let size = u16::try_from(size)
        .ok()
        .and_then(g::RegSize::from_bytes)
        .ok_or_else(|| {
            Error(
                IommuStatus::Range,
                format!("register access of {size} bytes"),
            )
        })?;
    match u16::try_from(offset) {
        Ok(offset) => Ok((offset, size)),
        Err(_) => error(
            IommuStatus::RegOutside,
            format!("register offset {offset:#x} is outside the page"),
        ),
    }
}

fn failure(e: g::RegError) -> Error {
    let status = match e {
        g::RegError::Misaligned(_) => IommuStatus::RegMisaligned,
        g::RegError::Spans(_) => IommuStatus::RegSpans,
        g::RegError::Outside(_) => IommuStatus::RegOutside,
    };
    Error(status, e.to_string())
}

/// Reads `size` bytes (4 or 8) of the register page at `offset` into `*value`; 4 bytes are in its low
/// half. Registers that do not exist read 0. Reading has no side effect.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for another size; `REG_OUTSIDE`,
/// `REG_MISALIGNED`, `REG_SPANS`.
///
/// # Safety
/// `iommu` is null or alive; `value` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_reg_read(
    iommu: *const IommuGolden,
    offset: u32,
    size: u32,
    value: *mut u64,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out) = unsafe { (device(iommu)?, output(value, "value")?) };
        let (offset, size) = place(offset, size)?;
        out.put(d.model.read_reg(offset, size).map_err(failure)?);
        Ok(())
    })
}

/// Writes `size` bytes (4 or 8) of the register page at `offset`; of `value`, the low half counts if 4.
/// Interrupts follow. `effects` may be null.
///
/// Errors, with nothing changed: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for another size, or for
/// 4 with a value wider than that; `REG_OUTSIDE`, `REG_MISALIGNED`, `REG_SPANS`.
///
/// # Safety
/// `iommu` is null or alive; `effects` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_reg_write(
    iommu: *mut IommuGolden,
    offset: u32,
    size: u32,
    value: u64,
    effects: *mut IommuRegEffects,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, out) = unsafe { (device(iommu)?, optional(effects, "effects")?) };
        let (offset, size) = place(offset, size)?;
        if size == g::RegSize::Four && value >> 32 != 0 {
            return error(
                IommuStatus::Range,
                format!("{value:#x} does not fit into 4 bytes"),
            );
        }
        let fx = d.model.write_reg(offset, size, value).map_err(failure)?;
        out.put(IommuRegEffects {
            enabled: queue(fx.enabled),
            disabled: queue(fx.disabled),
            ddtp: fx.ddtp.into(),
            debug_request: fx.debug_request.into(),
            unspecified: fx.unspecified.is_some().into(),
            padding: [0; 5],
            unspecified_text: text(fx.unspecified.unwrap_or("")),
        });
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use g::offset as o;

    #[test]
    fn offsets_are_the_models() {
        let pairs = [
            (IOMMU_REG_CAPABILITIES, o::CAPABILITIES),
            (IOMMU_REG_FCTL, o::FCTL),
            (IOMMU_REG_DDTP, o::DDTP),
            (IOMMU_REG_CQB, o::CQB),
            (IOMMU_REG_CQH, o::CQH),
            (IOMMU_REG_CQT, o::CQT),
            (IOMMU_REG_FQB, o::FQB),
            (IOMMU_REG_FQH, o::FQH),
            (IOMMU_REG_FQT, o::FQT),
            (IOMMU_REG_PQB, o::PQB),
            (IOMMU_REG_PQH, o::PQH),
            (IOMMU_REG_PQT, o::PQT),
            (IOMMU_REG_CQCSR, o::CQCSR),
            (IOMMU_REG_FQCSR, o::FQCSR),
            (IOMMU_REG_PQCSR, o::PQCSR),
            (IOMMU_REG_IPSR, o::IPSR),
            (IOMMU_REG_IOCOUNTOVF, o::IOCOUNTOVF),
            (IOMMU_REG_IOCOUNTINH, o::IOCOUNTINH),
            (IOMMU_REG_IOHPMCYCLES, o::IOHPMCYCLES),
            (IOMMU_REG_IOHPMCTR1, o::IOHPMCTR1),
            (IOMMU_REG_IOHPMEVT1, o::IOHPMEVT1),
            (IOMMU_REG_TR_REQ_IOVA, o::TR_REQ_IOVA),
            (IOMMU_REG_TR_REQ_CTL, o::TR_REQ_CTL),
            (IOMMU_REG_TR_RESPONSE, o::TR_RESPONSE),
            (IOMMU_REG_IOMMU_QOSID, o::IOMMU_QOSID),
            (IOMMU_REG_ICVEC, o::ICVEC),
            (IOMMU_REG_MSI_CFG_TBL, o::MSI_CFG_TBL),
        ];
        for (ours, models) in pairs {
            assert_eq!(ours, u32::from(models));
        }
    }
}
