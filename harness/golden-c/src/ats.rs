//! Messages to and from devices (PCIe ATS and page requests).

use iommu_golden as g;

use crate::device::{IommuGolden, device};
use crate::memory::{IommuMemory, memory};
use crate::status::{IommuStatus, bits, flag, guard, input, output, outputs};
use crate::translate::process_id;

/// A "Page Request" or "Stop Marker" message of a device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuPageRequest {
    /// 24 bits, else `RANGE`.
    pub device_id: u32,
    /// 20 bits, else `RANGE`; 0 if `has_process_id` is 0.
    pub process_id: u32,
    /// Bytes 8 to 15 of the message: R bit 0, W bit 1, L bit 2, Page Request Group Index 11:3, page address
    /// 63:12.
    pub payload: u64,
    /// Flag: the message has a PASID.
    pub has_process_id: u8,
    /// Flag: "Privilege Mode Requested"; counts only with a PASID.
    pub privileged: u8,
    /// Flag: "Execute Requested"; counts only with a PASID.
    pub execute: u8,
    /// 0.
    pub padding: [u8; 5],
}

/// What became of a page request.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuPageRequestKind {
    /// Its record is in the page-request queue, and `pqt` moved on.
    Queued = 0,
    /// Storing its record failed: `pqmf`.
    WriteFailed = 1,
    /// It was discarded.
    Discarded = 2,
}

/// What became of a page request. A response that the IOMMU itself makes waits for
/// `iommu_take_ats_messages`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuPageRequestResult {
    /// What became of it.
    pub kind: IommuPageRequestKind,
    /// Flag: the IOMMU answered it.
    pub answered: u8,
    /// Flag: `record` is to be reported.
    pub record_due: u8,
    /// 0.
    pub padding: [u8; 2],
    /// The fault record; valid with `record_due`.
    pub record: [u64; 4],
}

/// What became of an invalidation completion.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuCompletionResult {
    /// Flag: the device may send it; else it is an unsupported request.
    pub accepted: u8,
    /// Flag: `record` is to be reported.
    pub record_due: u8,
    /// 0.
    pub padding: [u8; 6],
    /// The fault record; valid with `record_due`.
    pub record: [u64; 4],
}

/// A message to a device.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuAtsMessageKind {
    /// "Invalidation Request".
    Invalidation = 0,
    /// "Page Request Group Response".
    PageResponse = 1,
}

/// A message to a device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuAtsMessage {
    /// Which one.
    pub kind: IommuAtsMessageKind,
    /// PASID, 20 bits; valid with `has_process_id`.
    pub process_id: u32,
    /// Message body. A page response has the group index in bits 40:32 and the response code in 47:44.
    pub payload: u64,
    /// Routing id of the device, 16 bits.
    pub rid: u16,
    /// Segment, 8 bits; valid with `has_segment`.
    pub segment: u8,
    /// ITag of an invalidation, 5 bits; else 0.
    pub itag: u8,
    /// Flag: the message has a PASID.
    pub has_process_id: u8,
    /// Flag: `segment` is valid.
    pub has_segment: u8,
    /// 0.
    pub padding: [u8; 2],
}

impl From<g::ats::AtsOut> for IommuAtsMessage {
    fn from(m: g::ats::AtsOut) -> Self {
        let (kind, itag, m) = match m {
            g::ats::AtsOut::Invalidation { itag, message } => {
                (IommuAtsMessageKind::Invalidation, itag, message)
            }
            g::ats::AtsOut::PageResponse(m) => (IommuAtsMessageKind::PageResponse, 0, m),
        };
        IommuAtsMessage {
            kind,
            process_id: m.process_id.unwrap_or(0),
            payload: m.payload,
            rid: m.rid,
            segment: m.segment.unwrap_or(0),
            itag,
            has_process_id: m.process_id.is_some().into(),
            has_segment: m.segment.is_some().into(),
            padding: [0; 2],
        }
    }
}

/// Takes a page request in one go: stores its record or discards it, and answers it where that is the
/// IOMMU's part.
///
/// Errors: `NULL`, `ALIGNMENT`, `RANGE`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `request` is null or readable, `result` null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_page_request(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    request: *const IommuPageRequest,
    result: *mut IommuPageRequestResult,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, request, out) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                input(request, "request")?,
                output(result, "result")?,
            )
        };
        let req = g::ats::PageRequest {
            device_id: bits(request.device_id, 24, "device_id")?,
            process_id: process_id(request.has_process_id, request.process_id)?,
            privileged: flag(request.privileged, "privileged")?,
            execute: flag(request.execute, "execute")?,
            payload: request.payload,
        };
        // Messages of earlier commands go first, so that what comes now is the answer.
        let earlier = d.model.take_ats_messages();
        d.messages.extend(earlier);
        let before = d.model.registers().pq;
        let record = d.model.run_page_request(&mut *m, &mut (), &req);
        let after = d.model.registers().pq;
        let answers = d.model.take_ats_messages();
        let answered = !answers.is_empty();
        d.messages.extend(answers);
        out.put(IommuPageRequestResult {
            kind: if after.tail != before.tail {
                IommuPageRequestKind::Queued
            } else if after.memory_fault && !before.memory_fault {
                IommuPageRequestKind::WriteFailed
            } else {
                IommuPageRequestKind::Discarded
            },
            answered: answered.into(),
            record_due: record.is_some().into(),
            padding: [0; 2],
            record: record.map_or([0; 4], |r| r.to_words()),
        });
        Ok(())
    })
}

/// Takes an "Invalidation Completion" of `device_id` for the ITags that are set in `itags`.
/// `completions` is the number of such messages that the device sends for each request, 1 to 8. Tags that
/// were not sent to this device are ignored.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` for a `device_id` above 24 bits or another number
/// of completions.
///
/// # Safety
/// `iommu` and `memory` are null or alive; `result` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_invalidation_completion(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
    device_id: u32,
    itags: u32,
    completions: u32,
    result: *mut IommuCompletionResult,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m, out) = unsafe {
            (
                device(iommu)?,
                self::memory(memory)?,
                output(result, "result")?,
            )
        };
        let device_id = bits(device_id, 24, "device_id")?;
        if !(1..=8).contains(&completions) {
            return crate::status::error(
                IommuStatus::Range,
                format!("`completions` is {completions}, allowed is 1 to 8"),
            );
        }
        // 8 is coded as 0 in the message's field of three bits.
        let done = d.model.invalidation_completion(
            &mut *m,
            &mut (),
            device_id,
            itags,
            (completions & 7) as u8,
        );
        let record = done.err().flatten();
        out.put(IommuCompletionResult {
            accepted: done.is_ok().into(),
            record_due: record.is_some().into(),
            padding: [0; 6],
            record: record.map_or([0; 4], |r| r.to_words()),
        });
        Ok(())
    })
}

/// The protocol's time-out of every ATS invalidation in flight: tags are freed, and the next `IOFENCE.C`
/// reports it with `cmd_to`. Nothing happens if none is in flight.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_ats_time_out(iommu: *mut IommuGolden) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        unsafe { device(iommu) }?.model.ats_time_out();
        Ok(())
    })
}

/// ITags of ATS invalidations in flight, a bit each.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `itags` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_itags_in_use(
    iommu: *const IommuGolden,
    itags: *mut u32,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out) = unsafe { (device(iommu)?, output(itags, "itags")?) };
        out.put(d.model.itags_in_use());
        Ok(())
    })
}

/// Takes up to `capacity` messages to devices, oldest first; `*count` of them. The others wait.
///
/// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `messages` is null or has room for `capacity`; `count` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_take_ats_messages(
    iommu: *mut IommuGolden,
    messages: *mut IommuAtsMessage,
    capacity: usize,
    count: *mut usize,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, out, count) = unsafe {
            (
                device(iommu)?,
                outputs(messages, capacity, "messages")?,
                output(count, "count")?,
            )
        };
        let new = d.model.take_ats_messages();
        d.messages.extend(new);
        let n = out.capacity().min(d.messages.len());
        for (i, m) in d.messages.drain(..n).enumerate() {
            out.put_at(i, m.into());
        }
        count.put(n);
        Ok(())
    })
}
