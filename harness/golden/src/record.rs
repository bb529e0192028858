//! Fault records (section "Fault/Event-Queue").

use crate::request::{Request, Ttyp};

/// A fault record, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultRecord {
    /// `CAUSE`, 12 bits.
    pub cause: u16,
    /// `PID`, 20 bits; 0 if `pv` is false.
    pub pid: u32,
    /// `PV`.
    pub pv: bool,
    /// `PRIV`; false if `pv` is false.
    pub privileged: bool,
    /// `TTYP`, 6 bits.
    pub ttyp: u8,
    /// `DID`, 24 bits; 0 if `ttyp` is 0.
    pub did: u32,
    /// "for custom use", 32 bits. The model always makes 0.
    pub custom: u32,
    /// Reserved, 32 bits: 0.
    pub reserved: u32,
    /// `iotval`: the IOVA, or what the cause defines.
    pub iotval: u64,
    /// `iotval2`: for a guest-page fault the GPA in bits 63:2, the implicit flag in bit 0
    /// and the implicit-write flag in bit 1.
    pub iotval2: u64,
}

impl FaultRecord {
    /// The record of a fault that an inbound transaction caused.
    #[must_use]
    pub fn of_request(cause: crate::Cause, req: &Request, iotval2: u64) -> Self {
        // "If PV is 0, then PID and PRIV are 0."
        let pv = req.process_id.is_some();
        FaultRecord {
            cause: cause.code(),
            pid: req.process_id.unwrap_or(0) & 0xf_ffff,
            pv,
            privileged: req.supervisor(),
            ttyp: req.ttyp().code(),
            did: req.did(),
            custom: 0,
            reserved: 0,
            // "If the TTYP is a transaction with an IOVA, the IOVA is reported in iotval."
            iotval: req.iova.0,
            iotval2,
        }
    }

    /// The record of an event that no inbound transaction caused: "The DID, PV, PID, and
    /// PRIV fields are 0 if TTYP is 0."
    #[must_use]
    pub fn of_event(cause: crate::Cause, iotval: u64) -> Self {
        FaultRecord {
            cause: cause.code(),
            pid: 0,
            pv: false,
            privileged: false,
            ttyp: Ttyp::None.code(),
            did: 0,
            custom: 0,
            reserved: 0,
            iotval,
            iotval2: 0,
        }
    }

    /// The four doublewords, as values (byte order in memory follows `fctl.BE`).
    #[must_use]
    pub const fn to_words(&self) -> [u64; 4] {
        [
            (self.cause as u64 & 0xfff)
                | ((self.pid as u64 & 0xf_ffff) << 12)
                | ((self.pv as u64) << 32)
                | ((self.privileged as u64) << 33)
                | ((self.ttyp as u64 & 0x3f) << 34)
                | ((self.did as u64 & 0xff_ffff) << 40),
            (self.custom as u64) | ((self.reserved as u64) << 32),
            self.iotval,
            self.iotval2,
        ]
    }

    /// The fields of four doublewords.
    #[must_use]
    pub const fn from_words(w: &[u64; 4]) -> Self {
        FaultRecord {
            cause: (w[0] & 0xfff) as u16,
            pid: ((w[0] >> 12) & 0xf_ffff) as u32,
            pv: (w[0] >> 32) & 1 == 1,
            privileged: (w[0] >> 33) & 1 == 1,
            ttyp: ((w[0] >> 34) & 0x3f) as u8,
            did: ((w[0] >> 40) & 0xff_ffff) as u32,
            custom: w[1] as u32,
            reserved: (w[1] >> 32) as u32,
            iotval: w[2],
            iotval2: w[3],
        }
    }

    /// The 32 bytes as they lie in memory; `big_endian` is `fctl.BE`.
    #[must_use]
    pub fn to_bytes(&self, big_endian: bool) -> [u8; 32] {
        words_to_bytes(&self.to_words(), big_endian)
    }
}

/// Doublewords as bytes in memory, each in the given byte order.
pub(crate) fn words_to_bytes<const W: usize, const B: usize>(
    words: &[u64; W],
    big_endian: bool,
) -> [u8; B] {
    let mut bytes = [0; B];
    for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
        slot.copy_from_slice(&if big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        });
    }
    bytes
}
