//! What comes in from a device, and its place in a fault record.

use crate::addr::Iova;
use crate::cause::Cause;

/// How the device names the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// An ordinary access.
    Untranslated,
    /// The device says that the address is already translated (PCIe AT=10).
    Translated,
    /// A PCIe ATS Translation Request: no access, only a question.
    AtsTranslation,
}

/// What the access wants to do ("original access type").
///
/// For [`RequestKind::AtsTranslation`]: `Execute` is "Execute Requested" with "no write",
/// `Read` is "no write" alone, `Write` leaves "no write" clear (see
/// [`Request::execute_requested`] for both at once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read.
    Read,
    /// Write or AMO.
    Write,
    /// Read for execute.
    Execute,
}

impl Access {
    /// Access fault of this original access type: 1, 5 or 7.
    #[must_use]
    pub const fn access_fault(self) -> Cause {
        match self {
            Access::Execute => Cause::InstructionAccessFault,
            Access::Read => Cause::ReadAccessFault,
            Access::Write => Cause::WriteAccessFault,
        }
    }

    /// Page fault of this original access type: 12, 13 or 15.
    #[must_use]
    pub const fn page_fault(self) -> Cause {
        match self {
            Access::Execute => Cause::InstructionPageFault,
            Access::Read => Cause::ReadPageFault,
            Access::Write => Cause::WritePageFault,
        }
    }

    /// Guest-page fault of this original access type: 20, 21 or 23.
    #[must_use]
    pub const fn guest_page_fault(self) -> Cause {
        match self {
            Access::Execute => Cause::InstructionGuestPageFault,
            Access::Read => Cause::ReadGuestPageFault,
            Access::Write => Cause::WriteGuestPageFault,
        }
    }
}

/// Inbound transaction type, the `TTYP` field of a fault record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ttyp {
    /// 0: not caused by an inbound transaction.
    None,
    /// 1: untranslated read for execute.
    UntranslatedExecute,
    /// 2: untranslated read.
    UntranslatedRead,
    /// 3: untranslated write or AMO.
    UntranslatedWrite,
    /// 5: translated read for execute.
    TranslatedExecute,
    /// 6: translated read.
    TranslatedRead,
    /// 7: translated write or AMO.
    TranslatedWrite,
    /// 8: PCIe ATS translation request.
    AtsTranslation,
    /// 9: PCIe message request.
    Message,
}

impl Ttyp {
    /// The field's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Ttyp::None => 0,
            Ttyp::UntranslatedExecute => 1,
            Ttyp::UntranslatedRead => 2,
            Ttyp::UntranslatedWrite => 3,
            Ttyp::TranslatedExecute => 5,
            Ttyp::TranslatedRead => 6,
            Ttyp::TranslatedWrite => 7,
            Ttyp::AtsTranslation => 8,
            Ttyp::Message => 9,
        }
    }
}

/// One request for translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// `device_id`, 24 bits; higher bits are ignored.
    pub device_id: u32,
    /// `process_id`, 20 bits, when the transaction has a valid one.
    pub process_id: Option<u32>,
    /// Supervisor privilege requested. Ignored (user) without a `process_id`.
    pub privileged: bool,
    /// How the address is to be understood.
    pub kind: RequestKind,
    /// What the access does.
    pub access: Access,
    /// ATS only: "Execute Requested", which may come together with `access: Write`
    /// (no-write clear). Ignored for other kinds.
    pub execute_requested: bool,
    /// ATS only: the requester is a CXL type 1 or type 2 device.
    pub cxl: bool,
    /// Address of the first byte.
    pub iova: Iova,
    /// Bytes accessed, where the rule asks for it (accesses to an MRIF page must be 4).
    pub len: u32,
}

impl Request {
    /// An untranslated read of 8 bytes without process id.
    #[must_use]
    pub const fn read(device_id: u32, iova: Iova) -> Self {
        Self {
            device_id,
            process_id: None,
            privileged: false,
            kind: RequestKind::Untranslated,
            access: Access::Read,
            execute_requested: false,
            cxl: false,
            iova,
            len: 8,
        }
    }

    /// An untranslated write of 8 bytes without process id.
    #[must_use]
    pub const fn write(device_id: u32, iova: Iova) -> Self {
        let mut r = Self::read(device_id, iova);
        r.access = Access::Write;
        r
    }

    /// The `device_id`, 24 bits.
    #[must_use]
    pub const fn did(&self) -> u32 {
        self.device_id & 0xff_ffff
    }

    /// Whether the transaction asks for supervisor privilege: only with a `process_id`
    /// ("For requests without a process_id the privilege mode must be User").
    #[must_use]
    pub const fn supervisor(&self) -> bool {
        self.privileged && self.process_id.is_some()
    }

    /// The `TTYP` of this request.
    #[must_use]
    pub const fn ttyp(&self) -> Ttyp {
        match (self.kind, self.access) {
            (RequestKind::Untranslated, Access::Execute) => Ttyp::UntranslatedExecute,
            (RequestKind::Untranslated, Access::Read) => Ttyp::UntranslatedRead,
            (RequestKind::Untranslated, Access::Write) => Ttyp::UntranslatedWrite,
            (RequestKind::Translated, Access::Execute) => Ttyp::TranslatedExecute,
            (RequestKind::Translated, Access::Read) => Ttyp::TranslatedRead,
            (RequestKind::Translated, Access::Write) => Ttyp::TranslatedWrite,
            (RequestKind::AtsTranslation, _) => Ttyp::AtsTranslation,
        }
    }
}
