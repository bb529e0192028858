//! Interrupts: wires and messages.

use iommu_golden as g;

use crate::device::{Device, IommuGolden, device};
use crate::memory::{IommuMemory, memory};
use crate::status::{IommuStatus, Result, error, guard, output, outputs};

/// An interrupt message that is due.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuMessage {
    /// `msi_addr` of the vector.
    pub addr: u64,
    /// `msi_data` of the vector.
    pub data: u32,
    /// The bytes to store, in the order that `fctl.BE` gives.
    pub bytes: [u8; 4],
    /// Vector, 0 to 15.
    pub vector: u8,
    /// Flag: the address is below 2^PAS; if not, the store fails without an access.
    pub reachable: u8,
    /// 0.
    pub padding: [u8; 6],
}

/// The interrupt wires, bit n wire n: 0 while `fctl.WSI` is 0.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `wires` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_wires(iommu: *const IommuGolden, wires: *mut u16) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out) = unsafe { (device(iommu)?, output(wires, "wires")?) };
        out.put(d.model.wires());
        Ok(())
    })
}

/// Vectors that owe a message, masked ones included, bit n vector n.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `vectors` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_pending_vectors(
    iommu: *const IommuGolden,
    vectors: *mut u16,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out) = unsafe { (device(iommu)?, output(vectors, "vectors")?) };
        out.put(d.model.pending_vectors());
        Ok(())
    })
}

/// Up to `capacity` (16 is always enough) messages that are due, owed and not masked, by ascending vector;
/// `*count` of them. They stay due until `iommu_message_sent`, `iommu_message_failed` or
/// `iommu_send_messages`.
///
/// Errors: `NULL`, `ALIGNMENT`, `RANGE` (a capacity that no memory has), `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` is null or alive; `messages` is null or has room for `capacity`; `count` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_due_messages(
    iommu: *const IommuGolden,
    messages: *mut IommuMessage,
    capacity: usize,
    count: *mut usize,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (d, out, count) = unsafe {
            (
                device(iommu)?,
                outputs(messages, capacity, "messages")?,
                output(count, "count")?,
            )
        };
        let due = d.model.due_vectors();
        let mut n = 0;
        for vector in (0..16u8).filter(|v| due >> v & 1 == 1).take(capacity) {
            let m = d.model.message(vector);
            out.put_at(
                n,
                IommuMessage {
                    addr: m.addr.0,
                    data: m.data,
                    bytes: m.bytes,
                    vector: m.vector,
                    reachable: m.reachable.into(),
                    padding: [0; 6],
                },
            );
            n += 1;
        }
        count.put(n);
        Ok(())
    })
}

fn due(d: &Device, vector: u32) -> Result<u8> {
    match u8::try_from(vector) {
        Ok(v) if v < 16 => {
            if d.model.due_vectors() >> v & 1 == 1 {
                Ok(v)
            } else {
                error(
                    IommuStatus::State,
                    format!("no message of vector {v} is due"),
                )
            }
        }
        _ => error(
            IommuStatus::Range,
            format!("`vector` is {vector}, allowed is 0 to 15"),
        ),
    }
}

/// The message of `vector` has been stored.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` above 15; `STATE` if none is due.
///
/// # Safety
/// `iommu` is null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_message_sent(iommu: *mut IommuGolden, vector: u32) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let mut d = unsafe { device(iommu) }?;
        let v = due(&d, vector)?;
        d.model.message_sent(v);
        Ok(())
    })
}

/// The message of `vector` met an access fault and is lost. The record of cause 273, to be reported, goes
/// to the 4 doublewords at `record`.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`; `RANGE` above 15; `STATE` if none is due.
///
/// # Safety
/// `iommu` is null or alive; `record` is null or 4 doublewords are writable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_message_failed(
    iommu: *mut IommuGolden,
    vector: u32,
    record: *mut u64,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, out) =
            unsafe { (device(iommu)?, output(record.cast::<[u64; 4]>(), "record")?) };
        let v = due(&d, vector)?;
        let record: g::FaultRecord = d.model.message_failed(v);
        out.put(record.to_words());
        Ok(())
    })
}

/// Stores every message that is due to `memory`, and reports those that fail.
///
/// Errors: `NULL`, `ALIGNMENT`, `BUSY`, `PANIC`.
///
/// # Safety
/// `iommu` and `memory` are null or alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_send_messages(
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
) -> IommuStatus {
    guard(|| {
        // SAFETY: this function's contract.
        let (mut d, mut m) = unsafe { (device(iommu)?, self::memory(memory)?) };
        d.model.send_messages(&mut *m);
        Ok(())
    })
}
