//! What becomes of a request.

use crate::addr::Spa;
use crate::cause::Cause;
use crate::observe::Rule;
use crate::record::FaultRecord;

/// Page-based memory type resolved between both stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Pbmt {
    /// 0: as the physical memory attributes say.
    #[default]
    Pma,
    /// 1: non-cacheable, idempotent.
    Nc,
    /// 2: non-cacheable, I/O.
    Io,
}

impl Pbmt {
    /// The two-bit encoding.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type of a PTE field; 3 is reserved.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Pbmt::Pma),
            1 => Some(Pbmt::Nc),
            2 => Some(Pbmt::Io),
            _ => None,
        }
    }
}

/// Permissions that a translation grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

impl Permissions {
    /// Everything, as a Bare stage grants.
    pub const ALL: Self = Self {
        read: true,
        write: true,
        execute: true,
    };
    /// Nothing.
    pub const NONE: Self = Self {
        read: false,
        write: false,
        execute: false,
    };

    /// What both grant.
    #[must_use]
    pub const fn and(self, o: Self) -> Self {
        Self {
            read: self.read && o.read,
            write: self.write && o.write,
            execute: self.execute && o.execute,
        }
    }
}

/// A successful translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Translation {
    /// Where the access goes: the address of its first byte.
    pub spa: Spa,
    /// Resolved memory type.
    pub pbmt: Pbmt,
    /// Resource control id for the access (0 without QoS ids).
    pub rcid: u16,
    /// Monitoring counter id for the access (0 without QoS ids).
    pub mcid: u16,
    /// log2 of the naturally aligned range round the IOVA over which the same translation
    /// holds, as the tables say; an implementation may use less.
    pub range_log2: u8,
    /// What the tables grant over that range (of both stages). For Translated requests
    /// without second stage, everything.
    pub permissions: Permissions,
    /// G of the first stage, over all levels.
    pub global: bool,
    /// `GSCID` in effect, if a second stage is.
    pub gscid: Option<u16>,
    /// `PSCID` in effect, if a first stage is.
    pub pscid: Option<u32>,
    /// Whether an MSI page-table entry in basic translate mode gave the address.
    pub msi: bool,
}

/// Where an access to a page in MRIF mode ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MrifTarget {
    /// Address of the 512-byte memory-resident interrupt file.
    pub mrif: Spa,
    /// Where the notice MSI goes.
    pub notice: Spa,
    /// Its 11-bit data.
    pub nid: u16,
    /// Resource control id of the accesses.
    pub rcid: u16,
    /// Monitoring counter id of the accesses.
    pub mcid: u16,
    /// `GSCID` in effect, if a second stage is.
    pub gscid: Option<u16>,
    /// `DC.tc.DTF`: hides causes 264 and 271.
    pub dtf: bool,
}

/// A refusal of an Untranslated or Translated request: the IO bridge aborts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Denial {
    /// Why.
    pub cause: Cause,
    /// The record to report, unless `DTF` hides the cause.
    pub record: Option<FaultRecord>,
    /// The sentence that refused it.
    pub rule: Rule,
}

/// Status of an ATS translation completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtsStatus {
    /// Success (perhaps without any permission).
    Success,
    /// Unsupported Request.
    UnsupportedRequest,
    /// Completer Abort.
    CompleterAbort,
}

/// An ATS translation completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AtsCompletion {
    /// Status.
    pub status: AtsStatus,
    /// Translated address, page aligned (a GPA with `T2GPA`); meaningful only where a
    /// permission is granted and `untranslated_only` is false.
    pub address: u64,
    /// log2 of the range that it covers at most.
    pub range_log2: u8,
    /// R, W and Exe.
    pub permissions: Permissions,
    /// U: untranslated access only.
    pub untranslated_only: bool,
    /// N: always false.
    pub no_snoop: bool,
    /// Global.
    pub global: bool,
    /// Priv.
    pub privileged: bool,
    /// CXL.io; `None` where the specification leaves it open.
    pub cxl_io: Option<bool>,
    /// AMA: 0 by default.
    pub ama: u8,
    /// Cause, where a fault stopped the translation.
    pub cause: Option<Cause>,
    /// The record to report (UR and CA only, unless `DTF` hides the cause).
    pub record: Option<FaultRecord>,
    /// The sentence that decided a refusal.
    pub rule: Option<Rule>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::large_enum_variant)] // returned by value, never stored in bulk
pub enum Outcome {
    /// The access goes on to memory.
    Granted(Translation),
    /// The access hits a page in MRIF mode: see [`crate::mrif`].
    Mrif(MrifTarget),
    /// The access is aborted.
    Denied(Denial),
    /// An ATS translation request is answered.
    Ats(AtsCompletion),
}

impl Outcome {
    /// The record to report, if any.
    #[must_use]
    pub fn record(&self) -> Option<&FaultRecord> {
        match self {
            Outcome::Denied(d) => d.record.as_ref(),
            Outcome::Ats(a) => a.record.as_ref(),
            Outcome::Granted(_) | Outcome::Mrif(_) => None,
        }
    }

    /// The cause, if a fault was detected.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Outcome::Denied(d) => Some(d.cause),
            Outcome::Ats(a) => a.cause,
            Outcome::Granted(_) | Outcome::Mrif(_) => None,
        }
    }
}
