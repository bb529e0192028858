//! What is observed, and the cover points for it: a module for each kind of observation.

pub mod ats;
pub mod bus;
pub mod command;
pub mod fault;
pub mod queue;
pub mod race;
pub mod register;
pub mod rule;
pub mod walk;

use iommu_golden::{Capabilities, RequestKind, Ttyp};

use crate::cover::{Impossible, Target, Why};
use crate::{axis, needs};

/// Any second stage.
pub(crate) const SECOND: u64 =
    Capabilities::SV32X4 | Capabilities::SV39X4 | Capabilities::SV48X4 | Capabilities::SV57X4;
/// Any paged first stage.
pub(crate) const FIRST: u64 =
    Capabilities::SV32 | Capabilities::SV39 | Capabilities::SV48 | Capabilities::SV57;
/// Any process directory.
pub(crate) const PD: u64 = Capabilities::PD8 | Capabilities::PD17 | Capabilities::PD20;

/// At least one of these bits is needed where `applies`.
pub(crate) fn needs_any(
    target: &Target,
    what: &'static str,
    bits: u64,
    applies: bool,
) -> Option<Why> {
    (applies && target.config.capabilities.0 & bits == 0).then_some(Why::Needs(what))
}

axis! {
    /// Inbound transaction type.
    pub enum Type: "type" {
        Execute = "execute",
        Read = "read",
        Write = "write",
        TranslatedExecute = "translated execute",
        TranslatedRead = "translated read",
        TranslatedWrite = "translated write",
        Ats = "ATS request",
    }
}

impl Type {
    /// Of a request.
    #[must_use]
    pub fn of(request: &iommu_golden::Request) -> Self {
        match request.ttyp() {
            Ttyp::UntranslatedExecute => Type::Execute,
            Ttyp::UntranslatedRead => Type::Read,
            Ttyp::UntranslatedWrite => Type::Write,
            Ttyp::TranslatedExecute => Type::TranslatedExecute,
            Ttyp::TranslatedRead => Type::TranslatedRead,
            Ttyp::TranslatedWrite => Type::TranslatedWrite,
            Ttyp::AtsTranslation | Ttyp::Message | Ttyp::None => Type::Ats,
        }
    }

    pub(crate) fn translated(self) -> bool {
        matches!(
            self,
            Type::TranslatedExecute | Type::TranslatedRead | Type::TranslatedWrite
        )
    }

    pub(crate) fn kind(self) -> RequestKind {
        match self {
            Type::Ats => RequestKind::AtsTranslation,
            t if t.translated() => RequestKind::Translated,
            _ => RequestKind::Untranslated,
        }
    }
}

axis! {
    /// What an access does.
    pub enum Does: "access" { Read = "read", Write = "write", Execute = "execute" }
}

impl From<iommu_golden::Access> for Does {
    fn from(a: iommu_golden::Access) -> Self {
        match a {
            iommu_golden::Access::Read => Does::Read,
            iommu_golden::Access::Write => Does::Write,
            iommu_golden::Access::Execute => Does::Execute,
        }
    }
}

axis! {
    /// Stage of translation.
    pub enum Stage: "stage" { First = "first", Second = "second" }
}

/// An ATS request needs the capability, whatever becomes of it.
pub(crate) fn needs_ats(target: &Target, ty: Type) -> Option<Why> {
    needs(target, "ATS", Capabilities::ATS, ty == Type::Ats)
}

pub(crate) static TRANSLATED_SKIPS_FIRST: Impossible = Impossible {
    name: "translated-skips-first-stage",
    why: "P2IOVA 8 and 9: a translated request has no process directory and no first stage",
};
