//! Accesses to a page whose MSI PTE is in MRIF mode (Advanced Interrupt Architecture, section
//! "MSI PTE, MRIF mode"; "Memory accesses by I/O devices to addresses within a page covered by an
//! MRIF-mode PTE are handled by the IOMMU instead of being passed through to the memory system").

use crate::addr::{Iova, Spa};
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::config::MrifRead;
use crate::iommu::Iommu;
use crate::label::Label;
use crate::memory::{MemError, Memory};
use crate::outcome::MrifTarget;
use crate::record::FaultRecord;
use crate::request::{Access, Request};

/// What becomes of an access to a page in MRIF mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MrifAction {
    /// "should be aborted as unsupported"; no record.
    Abort,
    /// A read: zero is returned.
    ReadZero,
    /// "the incoming write is accepted but discarded".
    Discard,
    /// The write is an MSI.
    Msi(MrifUpdate),
}

/// The accesses that replace an incoming MSI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MrifUpdate {
    /// The doubleword with the interrupt-pending bit.
    pub addr: Spa,
    /// The bit to set in it: "Each doubleword is in little-endian byte order (even for systems
    /// where all harts are big-endian-only)."
    pub bit: u64,
    /// Atomically (`capabilities.AMO_MRIF`), or by a read-modify-write.
    pub atomic: bool,
    /// Where the notice MSI goes, once the update "is visible to all agents in the system".
    pub notice: Spa,
    /// Its four bytes: "zero-extended to 32 bits ... in little-endian byte order".
    pub notice_bytes: [u8; 4],
}

impl Iommu {
    /// What an access of `len` bytes at `iova`, writing `data` if it is a write, does to the
    /// interrupt file.
    #[must_use]
    pub fn mrif_action(
        &self,
        target: &MrifTarget,
        iova: Iova,
        access: Access,
        len: u32,
        data: [u8; 4],
    ) -> MrifAction {
        let choices = &self.config.choices;
        // "If a memory access, read or write, is not for 32 bits of data, or if the access
        // address is not aligned to a 4-byte boundary ..., the access should be aborted"
        if len != 4 || iova.0 & 3 != 0 {
            return MrifAction::Abort;
        }
        // "For a naturally aligned 32-bit read, the IOMMU should preferably return zero as the
        // read value but may alternatively abort the access."
        if access != Access::Write {
            return match choices.mrif_read {
                MrifRead::Zero => MrifAction::ReadZero,
                MrifRead::Abort => MrifAction::Abort,
            };
        }
        let a = iova.offset();
        // "The data of an incoming MSI is assumed to be in little-endian byte order if bit 2 of
        // the destination address is zero, and in big-endian byte order if ... one."
        let big = a & 4 != 0;
        let d = if big {
            u32::from_be_bytes(data)
        } else {
            u32::from_le_bytes(data)
        };
        // "If either A[11:3] or D[31:11] is not zero, or if bit 2 of A is one and big-endian MSIs
        // are not supported, then the incoming write is accepted but discarded."
        if a >> 3 != 0 || d >> 11 != 0 || (big && !choices.mrif_big_endian) {
            return MrifAction::Discard;
        }
        // "the pair of doublewords at address offsets k x 16 and k x 16 + 8 contain the
        // interrupt-pending and interrupt-enable bits for ... k x 64 to k x 64 + 63". Identity 0 is
        // stored like any other.
        MrifAction::Msi(MrifUpdate {
            addr: target.mrif.offset_by(u64::from(d >> 6) * 16),
            bit: 1 << (d & 63),
            atomic: self.config.capabilities.has(Capabilities::AMO_MRIF),
            notice: target.notice,
            notice_bytes: u32::from(target.nid).to_le_bytes(),
        })
    }

    /// Stores the MSI and then the notice.
    ///
    /// # Errors
    /// The record to report (`None` where `DTF` hides it) if the update fails: 264, or 271 for
    /// corrupt data; no notice is sent then. A notice that fails is an event of its own: 273.
    pub fn mrif_store<M: Memory>(
        &self,
        mem: &mut M,
        req: &Request,
        target: &MrifTarget,
        update: &MrifUpdate,
    ) -> Result<(), Option<FaultRecord>> {
        let done = if self.reachable(update.addr, 8) {
            mem.fetch_or(update.addr, update.bit, update.atomic, &Label::Mrif)
        } else {
            Err(MemError::Access)
        };
        if let Err(e) = done {
            let cause = match e {
                MemError::Corrupt if self.config.choices.reports_corruption => {
                    Cause::MrifCorruption
                }
                _ => Cause::MrifAccessFault,
            };
            return Err((!target.dtf).then(|| FaultRecord::of_request(cause, req, 0)));
        }
        let sent = self.reachable(update.notice, 4)
            && mem
                .store(update.notice, &update.notice_bytes, &Label::Notice)
                .is_ok();
        if sent {
            Ok(())
        } else {
            Err(Some(FaultRecord::of_event(
                Cause::MsiWriteAccessFault,
                update.notice.0,
            )))
        }
    }
}
