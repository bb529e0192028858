//! Requests and what becomes of them.

use std::ffi::c_char;

use iommu_golden as g;

use crate::device::{IommuGolden, device};
use crate::memory::{IommuMemory, memory};
use crate::status::{
    IOMMU_TEXT_SIZE, IommuStatus, Result, bits, error, flag, guard, input, no_value, output, text,
};

/// How a device names the address.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuRequestKind {
    /// An ordinary access.
    Untranslated = 0,
    /// The address is said to be translated already (PCIe AT=10).
    Translated = 1,
    /// A PCIe ATS translation request: a question, no access.
    AtsTranslation = 2,
}

/// What an access does.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuAccess {
    /// Read. For an ATS translation request: "no write" set.
    Read = 0,
    /// Write or AMO. For an ATS translation request: "no write" clear.
    Write = 1,
    /// Read for execute. For an ATS translation request: "no write" and "Execute Requested" set.
    Execute = 2,
}

/// A request. Fill it with `iommu_request_init`, then change what is to differ.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuRequest {
    /// `IommuRequestKind`, else `VALUE`.
    pub kind: u32,
    /// `IommuAccess`, else `VALUE`.
    pub access: u32,
    /// 24 bits, else `RANGE`.
    pub device_id: u32,
    /// 20 bits, else `RANGE`; 0 if `has_process_id` is 0.
    pub process_id: u32,
    /// IOVA of the first byte (of a Translated request: the translated address), 64 bits.
    pub iova: u64,
    /// Bytes accessed. Only pages in MRIF mode look at it, see `iommu_mrif_access`. Initially 8.
    pub len: u32,
    /// Flag: the request has a process id.
    pub has_process_id: u8,
    /// Flag: supervisor privilege is asked for; counts only with a process id.
    pub privileged: u8,
    /// Flag: "Execute Requested" of an ATS translation request, alone or with "no write" clear.
    pub execute_requested: u8,
    /// Flag: an ATS translation request is of a CXL type 1 or 2 device.
    pub cxl: u8,
    /// Flag: the performance monitor counts this request, its walks and one TLB miss (with
    /// `IOMMU_CAP_HPM`). If 0, the call changes no register.
    pub count: u8,
    /// 0.
    pub padding: [u8; 7],
}

/// What becomes of a request: which part of `IommuResponse` is valid besides `walks`.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuOutcome {
    /// The access goes on, to `spa`. Valid: `spa`, `permissions`, `pbmt`, `range_log2`, `rcid`, `mcid`,
    /// `gscid`, `pscid`, `global`, `msi`.
    Granted = 0,
    /// The page is in MRIF mode: give request and response to `iommu_mrif_access`. Valid: `mrif`,
    /// `notice`, `notice_id`, `rcid`, `mcid`, `gscid`, `dtf`.
    Mrif = 1,
    /// The IO bridge aborts the access. Valid: `cause`, `rule`, `record_due`, `record`.
    Denied = 2,
    /// An ATS translation request is answered. Valid: `ats_status`, `spa` (address of the completion, page
    /// aligned, a GPA with T2GPA, only with a permission and `untranslated_only` 0), `permissions`,
    /// `range_log2`, `untranslated_only`, `no_snoop`, `global`, `privileged`, `cxl_io`, `ama`; `cause` and
    /// `rule` (of a fault, else 0 and empty), `record_due`, `record`.
    Ats = 3,
}

/// Status of an ATS translation completion.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuAtsStatus {
    /// Success, perhaps without any permission.
    Success = 0,
    /// Unsupported Request.
    UnsupportedRequest = 1,
    /// Completer Abort.
    CompleterAbort = 4,
}

/// `permissions`: read.
pub const IOMMU_PERMISSION_READ: u32 = 1;
/// `permissions`: write.
pub const IOMMU_PERMISSION_WRITE: u32 = 2;
/// `permissions`: execute.
pub const IOMMU_PERMISSION_EXECUTE: u32 = 4;

/// Walks that a request took, with nothing cached.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuWalks {
    /// Device directory walks.
    pub device_directory: u32,
    /// Process directory walks.
    pub process_directory: u32,
    /// First-stage walks.
    pub first_stage: u32,
    /// Second-stage walks, those for implicit accesses included.
    pub second_stage: u32,
}

/// What becomes of a request. Fields that `outcome` does not name are 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuResponse {
    /// What becomes of it.
    pub outcome: IommuOutcome,
    /// PCIe: 0 Success, 1 Unsupported Request, 4 Completer Abort.
    pub ats_status: IommuAtsStatus,
    /// Physical address of the first byte, up to 56 bits.
    pub spa: u64,
    /// Address of the memory-resident interrupt file, 512-byte aligned.
    pub mrif: u64,
    /// Address of the notice MSI.
    pub notice: u64,
    /// The fault record as it is stored with `fctl.BE` 0; valid with `record_due`.
    pub record: [u64; 4],
    /// CAUSE, 12 bits; 0 if no fault was met.
    pub cause: u32,
    /// `IOMMU_PERMISSION_*`: what the tables grant over the range.
    pub permissions: u32,
    /// PSCID in effect, 20 bits; valid with `has_pscid`.
    pub pscid: u32,
    /// GSCID in effect, 16 bits; valid with `has_gscid`.
    pub gscid: u16,
    /// Resource control id, 12 bits.
    pub rcid: u16,
    /// Monitoring counter id, 12 bits.
    pub mcid: u16,
    /// Data of the notice MSI, 11 bits.
    pub notice_id: u16,
    /// log2 of the bytes of the naturally aligned range over which the same translation holds:
    /// 12 is a 4-KiB page.
    pub range_log2: u8,
    /// Memory type: 0 PMA, 1 NC, 2 IO.
    pub pbmt: u8,
    /// Flag: `record` is to be reported (`iommu_report_fault`). 0 with a cause: not recorded, as `DTF` or
    /// the kind of the answer says.
    pub record_due: u8,
    /// Flag: `gscid` is valid, a second stage is in effect.
    pub has_gscid: u8,
    /// Flag: `pscid` is valid, a first stage is in effect.
    pub has_pscid: u8,
    /// Flag: G of the first stage, over all levels; ATS: field Global.
    pub global: u8,
    /// Flag: an MSI page-table entry in basic mode gave the address.
    pub msi: u8,
    /// Flag: `DC.tc.DTF`.
    pub dtf: u8,
    /// Flag, ATS: field U, untranslated access only.
    pub untranslated_only: u8,
    /// Flag, ATS: field N.
    pub no_snoop: u8,
    /// Flag, ATS: field Priv.
    pub privileged: u8,
    /// ATS: field CXL.io: 0, 1, or 2 where the specification leaves it open.
    pub cxl_io: u8,
    /// ATS: field AMA, 3 bits.
    pub ama: u8,
    /// 0.
    pub padding: [u8; 7],
    /// The walks that it took.
    pub walks: IommuWalks,
    /// The sentence of the specification that refused it, ending in 0.
    pub rule: [c_char; IOMMU_TEXT_SIZE],
}

/// Value of `IommuResponse.cxl_io` where the specification leaves it open.
pub const IOMMU_CXL_IO_OPEN: u8 = 2;

impl IommuRequest {
    pub(crate) fn to_model(self) -> Result<g::Request> {
        let kind = match self.kind {
            0 => g::RequestKind::Untranslated,
            1 => g::RequestKind::Translated,
            2 => g::RequestKind::AtsTranslation,
            v => return no_value(v, "kind"),
        };
        let access = match self.access {
            0 => g::Access::Read,
            1 => g::Access::Write,
            2 => g::Access::Execute,
            v => return no_value(v, "access"),
        };
        let process_id = process_id(self.has_process_id, self.process_id)?;
        flag(self.count, "count")?;
        Ok(g::Request {
            device_id: bits(self.device_id, 24, "device_id")?,
            process_id,
            privileged: flag(self.privileged, "privileged")?,
            kind,
            access,
            execute_requested: flag(self.execute_requested, "execute_requested")?,
            cxl: flag(self.cxl, "cxl")?,
            iova: g::Iova(self.iova),
            len: self.len,
        })
    }
}

pub(crate) fn process_id(has: u8, id: u32) -> Result<Option<u32>> {
    let id = bits(id, 20, "process_id")?;
    match (flag(has, "has_process_id")?, id) {
        (true, id) => Ok(Some(id)),
        (false, 0) => Ok(None),
        // Most likely the flag was forgotten.
        (false, _) => error(
            IommuStatus::Range,
            "`process_id` is not 0, but `has_process_id` is",
        ),
    }
}

fn permissions(p: g::Permissions) -> u32 {
    u32::from(p.read) | u32::from(p.write) << 1 | u32::from(p.execute) << 2
}

impl IommuResponse {
    fn empty(outcome: IommuOutcome, walks: &g::hpm::WalkCounts) -> Self {
        IommuResponse {
            outcome,
            ats_status: IommuAtsStatus::Success,
            spa: 0,
            mrif: 0,
            notice: 0,
            record: [0; 4],
            cause: 0,
            permissions: 0,
            pscid: 0,
            gscid: 0,
            rcid: 0,
            mcid: 0,
            notice_id: 0,
            range_log2: 0,
            pbmt: 0,
            record_due: 0,
            has_gscid: 0,
            has_pscid: 0,
            global: 0,
            msi: 0,
            dtf: 0,
            untranslated_only: 0,
            no_snoop: 0,
            privileged: 0,
            cxl_io: 0,
            ama: 0,
            padding: [0; 7],
            walks: IommuWalks {
                device_directory: walks.device_directory,
                process_directory: walks.process_directory,
                first_stage: walks.first_stage,
                second_stage: walks.second_stage,
            },
            rule: text(""),
        }
    }

    pub(crate) fn of(outcome: &g::Outcome, walks: &g::hpm::WalkCounts) -> Self {
        let kind = match outcome {
            g::Outcome::Granted(_) => IommuOutcome::Granted,
            g::Outcome::Mrif(_) => IommuOutcome::Mrif,
            g::Outcome::Denied(_) => IommuOutcome::Denied,
            g::Outcome::Ats(_) => IommuOutcome::Ats,
        };
        let mut r = Self::empty(kind, walks);
        if let Some(record) = outcome.record() {
            r.record_due = 1;
            r.record = record.to_words();
        }
        r.cause = outcome.cause().map_or(0, |c| c.code().into());
        match outcome {
            g::Outcome::Granted(t) => {
                r.spa = t.spa.0;
                r.permissions = permissions(t.permissions);
                r.pbmt = t.pbmt.code();
                r.range_log2 = t.range_log2;
                r.rcid = t.rcid;
                r.mcid = t.mcid;
                r.gscid = t.gscid.unwrap_or(0);
                r.has_gscid = t.gscid.is_some().into();
                r.pscid = t.pscid.unwrap_or(0);
                r.has_pscid = t.pscid.is_some().into();
                r.global = t.global.into();
                r.msi = t.msi.into();
            }
            g::Outcome::Mrif(t) => {
                r.mrif = t.mrif.0;
                r.notice = t.notice.0;
                r.notice_id = t.nid;
                r.rcid = t.rcid;
                r.mcid = t.mcid;
                r.gscid = t.gscid.unwrap_or(0);
                r.has_gscid = t.gscid.is_some().into();
                r.dtf = t.dtf.into();
            }
            g::Outcome::Denied(d) => r.rule = text(&d.rule.to_string()),
            g::Outcome::Ats(a) => {
                r.ats_status = match a.status {
                    g::AtsStatus::Success => IommuAtsStatus::Success,
                    g::AtsStatus::UnsupportedRequest => IommuAtsStatus::UnsupportedRequest,
                    g::AtsStatus::CompleterAbort => IommuAtsStatus::CompleterAbort,
                };
                r.spa = a.address;
                r.permissions = permissions(a.permissions);
                r.range_log2 = a.range_log2;
                r.untranslated_only = a.untranslated_only.into();
                r.no_snoop = a.no_snoop.into();
                r.global = a.global.into();
                r.privileged = a.privileged.into();
                r.cxl_io = a.cxl_io.map_or(IOMMU_CXL_IO_OPEN, u8::from);
                r.ama = a.ama;
                r.rule = text(&a.rule.map_or_else(String::new, |r| r.to_string()));
            }
        }
        r
    }
}

/// Fills `request` with an untranslated 8-byte read at 0 of device 0 without process id.
///
/// Errors: `NULL`, `ALIGNMENT`.
///
/// # Safety
/// `request` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_request_init(request: *mut IommuRequest) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        unsafe { output(request, "request") }?.put(IommuRequest {
            kind: 0,
            access: 0,
            device_id: 0,
            process_id: 0,
            iova: 0,
            len: 8,
            has_process_id: 0,
            privileged: 0,
            execute_requested: 0,
            cxl: 0,
            count: 0,
            padding: [0; 7],
        });
        Ok(())
    })
}

/// Translates: what registers and tables say now, with nothing cached. A refused request is a result,
/// not an error. Page-table entries in `memory` change where the tables have A and D updated by hardware;
/// the fault record is not queued (`iommu_report_fault` does).
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` and `VALUE` as the fields of `request` say.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `request` is null or readable, `response` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_translate(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    request: *const IommuRequest,
    response: *mut IommuResponse,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, request, out) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                input(request, "request")?,
                output(response, "response")?,
            )
        };
        let req = request.to_model()?;
        let mut walks = g::hpm::WalkCounts::default();
        let outcome = d.model.translate(&mut *m, &req, &mut walks);
        if request.count == 1 {
            d.model.count_request(&req, &outcome, &walks);
        }
        out.put(IommuResponse::of(&outcome, &walks));
        Ok(())
    })
}

/// Runs the request that `tr_req_iova` and `tr_req_ctl` describe, if Go/Busy is 1: fills `tr_response` and
/// clears Go/Busy. `*ran` is a flag; without it `*response` is not written. A record that is due is not
/// queued yet.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `response` and `ran` are null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_run_debug_request(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    response: *mut IommuResponse,
    ran: *mut u8,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, out, ran) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                output(response, "response")?,
                output(ran, "ran")?,
            )
        };
        let mut walks = g::hpm::WalkCounts::default();
        let outcome = d.model.run_debug_request(&mut *m, &mut walks);
        if let Some(o) = &outcome {
            out.put(IommuResponse::of(o, &walks));
        }
        ran.put(outcome.is_some().into());
        Ok(())
    })
}

/// What became of an access to a page in MRIF mode.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuMrifOutcome {
    /// The access is aborted as unsupported; no record.
    Aborted = 0,
    /// A read: zero is returned.
    ReadZero = 1,
    /// The write is accepted and dropped.
    Discarded = 2,
    /// The interrupt-pending bit was set and the notice MSI stored.
    Stored = 3,
    /// The update of the interrupt file failed: 264 or 271; no notice was sent.
    Failed = 4,
    /// The bit was set, the notice MSI failed: 273.
    NoticeFailed = 5,
}

/// What became of an access to a page in MRIF mode.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuMrifResult {
    /// What became of it.
    pub outcome: IommuMrifOutcome,
    /// 0.
    pub padding: u32,
    /// Address of the doubleword of the interrupt file, with `STORED`, `FAILED`, `NOTICE_FAILED`; else 0.
    pub addr: u64,
    /// The bit to set in it, as a mask; else 0.
    pub set: u64,
    /// The fault record; valid with `record_due`.
    pub record: [u64; 4],
    /// Flag: `record` is to be reported.
    pub record_due: u8,
    /// 0.
    pub padding2: [u8; 7],
}

/// What a response says of the interrupt file.
///
/// # Safety
/// `p` is null or readable.
unsafe fn mrif_target(p: *const IommuResponse) -> Result<g::MrifTarget> {
    // Field by field and never as a whole: a response that the caller made up may hold numbers that
    // its enumerations do not have.
    // SAFETY: `outcome` is the first field, and as aligned as a u32.
    if unsafe { input(p.cast::<u32>(), "response") }? != IommuOutcome::Mrif as u32 {
        return error(
            IommuStatus::State,
            "`response` is not of a page in MRIF mode",
        );
    }
    if !p.is_aligned() {
        return error(IommuStatus::Alignment, "`response` is not aligned");
    }
    // SAFETY: neither null nor misaligned, readable by contract; these are plain numbers.
    unsafe {
        Ok(g::MrifTarget {
            mrif: g::Spa((*p).mrif),
            notice: g::Spa((*p).notice),
            nid: (*p).notice_id,
            rcid: (*p).rcid,
            mcid: (*p).mcid,
            gscid: ((*p).has_gscid == 1).then_some((*p).gscid),
            dtf: (*p).dtf == 1,
        })
    }
}

/// Does what an access to a page in MRIF mode does. `request` and `response` are those of an
/// `iommu_translate` that answered `IOMMU_OUTCOME_MRIF`; `data` is what the access writes, first byte in
/// bits 7:0 (reads: ignored). Only accesses with `len` 4 at a multiple of 4 are not aborted.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` and `VALUE` as the fields of `request` say;
/// `STATE` if `response` is no `IOMMU_OUTCOME_MRIF`.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `request` is null or readable, `response` null or written by
/// `iommu_translate`, `result` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_mrif_access(
    iommu: *const IommuGolden,
    memory: *mut IommuMemory,
    request: *const IommuRequest,
    response: *const IommuResponse,
    data: u32,
    result: *mut IommuMrifResult,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, mut m, request, out) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                input(request, "request")?,
                output(result, "result")?,
            )
        };
        let req = request.to_model()?;
        // SAFETY: this function's contract.
        let target = unsafe { mrif_target(response) }?;
        let mut r = IommuMrifResult {
            outcome: IommuMrifOutcome::Aborted,
            padding: 0,
            addr: 0,
            set: 0,
            record: [0; 4],
            record_due: 0,
            padding2: [0; 7],
        };
        let bytes = data.to_le_bytes();
        let action = d
            .model
            .mrif_action(&target, req.iova, req.access, req.len, bytes);
        r.outcome = match action {
            g::mrif::MrifAction::Abort => IommuMrifOutcome::Aborted,
            g::mrif::MrifAction::ReadZero => IommuMrifOutcome::ReadZero,
            g::mrif::MrifAction::Discard => IommuMrifOutcome::Discarded,
            g::mrif::MrifAction::Msi(update) => {
                r.addr = update.addr.0;
                r.set = update.bit;
                match d.model.mrif_store(&mut *m, &req, &target, &update) {
                    Ok(()) => IommuMrifOutcome::Stored,
                    Err(record) => {
                        let notice =
                            record.is_some_and(|r| r.cause == g::Cause::MsiWriteAccessFault.code());
                        if let Some(record) = record {
                            r.record_due = 1;
                            r.record = record.to_words();
                        }
                        if notice {
                            IommuMrifOutcome::NoticeFailed
                        } else {
                            IommuMrifOutcome::Failed
                        }
                    }
                }
            }
        };
        out.put(r);
        Ok(())
    })
}
