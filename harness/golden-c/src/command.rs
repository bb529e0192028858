//! The command queue.

use std::ffi::c_char;

use iommu_golden as g;

use crate::device::{IommuGolden, device};
use crate::memory::{IommuMemory, memory};
use crate::status::{IOMMU_TEXT_SIZE, IommuStatus, guard, output, outputs, text};

/// What became of a command.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuCommandStep {
    /// It is done, and `cqh` has moved on. Every other value stops the queue with `cqh` on the command.
    Done = 0,
    /// Its fetch failed: `cqmf`. Only `index` and `addr` are valid.
    FetchFault = 1,
    /// It is illegal or unsupported: `cmd_ill`. Only `index`, `addr` and `reason` are valid.
    Illegal = 2,
    /// A fence's store failed: `cqmf`.
    FenceFault = 3,
    /// A fence waits for ATS invalidations in flight.
    Waiting = 4,
    /// An ATS invalidation before this fence timed out: `cmd_to`.
    TimedOut = 5,
    /// `ATS.INVAL` waits for a free ITag. Only `index` and `addr` are valid.
    NoItag = 6,
}

/// A command.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuCommandKind {
    /// Not known: it could not be fetched or decoded.
    None = 0,
    /// `IOTINVAL.VMA`. Valid: `gv`, `av`, `pscv`, `nl`, `s`, `gscid`, `pscid`, `operand_addr`.
    IotinvalVma = 1,
    /// `IOTINVAL.GVMA`. Valid: as `IOTINVAL.VMA`.
    IotinvalGvma = 2,
    /// `IOFENCE.C`. Valid: `av`, `wsi`, `pr`, `pw`, `fence_data`, `operand_addr`.
    IofenceC = 3,
    /// `IODIR.INVAL_DDT`. Valid: `dv`, `device_id`.
    IodirInvalDdt = 4,
    /// `IODIR.INVAL_PDT`. Valid: `dv` (1), `device_id`, `process_id`.
    IodirInvalPdt = 5,
    /// `ATS.INVAL`. Valid: `pv`, `process_id`, `dsv`, `segment`, `rid`, `payload`.
    AtsInval = 6,
    /// `ATS.PRGR`. Valid: as `ATS.INVAL`.
    AtsPrgr = 7,
}

/// A command that was processed. Fields that `command` does not name are 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuCommandResult {
    /// What became of it.
    pub step: IommuCommandStep,
    /// Which one.
    pub command: IommuCommandKind,
    /// Address of the command.
    pub addr: u64,
    /// Operand ADDR: for `IOTINVAL` the address with bits 11:0 zero, for `IOFENCE.C` a multiple of 4.
    pub operand_addr: u64,
    /// Message body of an ATS command.
    pub payload: u64,
    /// Index in the queue: `cqh` before it.
    pub index: u32,
    /// PSCID, 20 bits.
    pub pscid: u32,
    /// DID, 24 bits; valid with `dv`.
    pub device_id: u32,
    /// PID, 20 bits; for ATS commands valid with `pv`.
    pub process_id: u32,
    /// DATA of `IOFENCE.C`.
    pub fence_data: u32,
    /// GSCID, 16 bits.
    pub gscid: u16,
    /// RID of an ATS command, 16 bits.
    pub rid: u16,
    /// DSEG of an ATS command, 8 bits; valid with `dsv`.
    pub segment: u8,
    /// Flag GV.
    pub gv: u8,
    /// Flag AV.
    pub av: u8,
    /// Flag PSCV.
    pub pscv: u8,
    /// Flag NL.
    pub nl: u8,
    /// Flag S.
    pub s: u8,
    /// Flag WSI.
    pub wsi: u8,
    /// Flag PR.
    pub pr: u8,
    /// Flag PW.
    pub pw: u8,
    /// Flag DV.
    pub dv: u8,
    /// Flag PV.
    pub pv: u8,
    /// Flag DSV.
    pub dsv: u8,
    /// 0.
    pub padding: [u8; 4],
    /// Why it is illegal, ending in 0; else empty.
    pub reason: [c_char; IOMMU_TEXT_SIZE],
}

impl IommuCommandResult {
    fn new(slot: g::CommandSlot, step: IommuCommandStep) -> Self {
        IommuCommandResult {
            step,
            command: IommuCommandKind::None,
            addr: slot.addr.0,
            operand_addr: 0,
            payload: 0,
            index: slot.index,
            pscid: 0,
            device_id: 0,
            process_id: 0,
            fence_data: 0,
            gscid: 0,
            rid: 0,
            segment: 0,
            gv: 0,
            av: 0,
            pscv: 0,
            nl: 0,
            s: 0,
            wsi: 0,
            pr: 0,
            pw: 0,
            dv: 0,
            pv: 0,
            dsv: 0,
            padding: [0; 4],
            reason: text(""),
        }
    }

    fn with(mut self, command: &g::Command) -> Self {
        self.command = match command {
            g::Command::IotinvalVma(o) | g::Command::IotinvalGvma(o) => {
                self.gv = o.gv.into();
                self.av = o.av.into();
                self.pscv = o.pscv.into();
                self.nl = o.nl.into();
                self.s = o.s.into();
                self.gscid = o.gscid;
                self.pscid = o.pscid;
                self.operand_addr = o.addr << 12;
                match command {
                    g::Command::IotinvalVma(_) => IommuCommandKind::IotinvalVma,
                    _ => IommuCommandKind::IotinvalGvma,
                }
            }
            g::Command::Iofence(f) => {
                self.av = f.av.into();
                self.wsi = f.wsi.into();
                self.pr = f.pr.into();
                self.pw = f.pw.into();
                self.fence_data = f.data;
                self.operand_addr = f.addr.0;
                IommuCommandKind::IofenceC
            }
            g::Command::InvalDdt { device_id } => {
                self.dv = device_id.is_some().into();
                self.device_id = device_id.unwrap_or(0);
                IommuCommandKind::IodirInvalDdt
            }
            g::Command::InvalPdt {
                device_id,
                process_id,
            } => {
                self.dv = 1;
                self.device_id = *device_id;
                self.process_id = *process_id;
                IommuCommandKind::IodirInvalPdt
            }
            g::Command::AtsInval(m) | g::Command::AtsPrgr(m) => {
                self.pv = m.process_id.is_some().into();
                self.process_id = m.process_id.unwrap_or(0);
                self.dsv = m.segment.is_some().into();
                self.segment = m.segment.unwrap_or(0);
                self.rid = m.rid;
                self.payload = m.payload;
                match command {
                    g::Command::AtsInval(_) => IommuCommandKind::AtsInval,
                    _ => IommuCommandKind::AtsPrgr,
                }
            }
        };
        self
    }
}

/// Processes up to `capacity` commands and says what became of each in `results`; `*count` of them. Ends
/// early where the queue is off, stopped or empty, and after a command that stops it. The model caches
/// nothing, so an invalidation has no effect but its result here. ATS messages wait for
/// `iommu_take_ats_messages`; fences for ATS invalidations, until their completions or time-out.
///
/// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `results` is null or has room for `capacity`; `count` is null or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_process_commands(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    results: *mut IommuCommandResult,
    capacity: usize,
    count: *mut usize,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, out, count) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                outputs(results, capacity, "results")?,
                output(count, "count")?,
            )
        };
        let mut n = 0;
        while n < out.capacity() {
            let Some(slot) = d.model.next_command() else {
                break;
            };
            let new = |step| IommuCommandResult::new(slot, step);
            let r = match d.model.step_command(&mut *m) {
                // There is one, so what it lacks is a tag.
                g::CommandStep::Idle => new(IommuCommandStep::NoItag),
                g::CommandStep::FetchFault => new(IommuCommandStep::FetchFault),
                g::CommandStep::Illegal(e) => {
                    let mut r = new(IommuCommandStep::Illegal);
                    r.reason = text(&e.to_string());
                    r
                }
                g::CommandStep::Done(c) => new(IommuCommandStep::Done).with(&c),
                g::CommandStep::FenceFault(f) => {
                    new(IommuCommandStep::FenceFault).with(&g::Command::Iofence(f))
                }
                g::CommandStep::Waiting(f) => {
                    new(IommuCommandStep::Waiting).with(&g::Command::Iofence(f))
                }
                g::CommandStep::TimedOut(f) => {
                    new(IommuCommandStep::TimedOut).with(&g::Command::Iofence(f))
                }
            };
            out.put_at(n, r);
            n += 1;
            if r.step != IommuCommandStep::Done {
                break;
            }
        }
        count.put(n);
        Ok(())
    })
}
