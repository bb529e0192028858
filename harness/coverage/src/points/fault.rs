//! Faults: where in the walk, of which type of request, in which context.

use iommu_golden::config::Choices;
use iommu_golden::{Capabilities as C, Cause};

use super::{FIRST, PD, SECOND, TRANSLATED_SKIPS_FIRST, Type, needs_any, needs_ats};
use crate::cover::{Axis, Impossible, Target, Why};
use crate::{axis, covers, first, needs, when};

axis! {
    /// Cause and step of the walk.
    pub enum At: "fault" {
        Off = "256 off",
        Bare = "260 bare",
        Wide = "260 device_id",
        DdtAccess2 = "257 DDT L2",
        DdtAccess1 = "257 DDT L1",
        DcAccess = "257 DC",
        DdtCorrupt2 = "268 DDT L2",
        DdtCorrupt1 = "268 DDT L1",
        DcCorrupt = "268 DC",
        DdtInvalid2 = "258 DDT L2",
        DdtInvalid1 = "258 DDT L1",
        DcInvalid = "258 DC",
        DdtWrong2 = "259 DDT L2",
        DdtWrong1 = "259 DDT L1",
        DcWrong = "259 DC",
        NoAts = "260 type EN_ATS",
        NoPdt = "260 type process_id",
        WideProcess = "260 type process_id too wide",
        NoSupervisor = "260 type ENS",
        PdtAccess2 = "265 PDT L2",
        PdtAccess1 = "265 PDT L1",
        PcAccess = "265 PC",
        PdtCorrupt2 = "269 PDT L2",
        PdtCorrupt1 = "269 PDT L1",
        PcCorrupt = "269 PC",
        PdtInvalid2 = "266 PDT L2",
        PdtInvalid1 = "266 PDT L1",
        PcInvalid = "266 PC",
        PdtWrong2 = "267 PDT L2",
        PdtWrong1 = "267 PDT L1",
        PcWrong = "267 PC",
        PdtSecondAccess = "265 second stage",
        PdtSecondCorrupt = "269 second stage",
        PdtGuest = "GPF for directory",
        FirstGuest = "GPF for first-stage table",
        Canonical = "PF canonical",
        Pf4 = "PF L4",
        Pf3 = "PF L3",
        Pf2 = "PF L2",
        Pf1 = "PF L1",
        Pf0 = "PF L0",
        Af4 = "AF L4",
        Af3 = "AF L3",
        Af2 = "AF L2",
        Af1 = "AF L1",
        Af0 = "AF L0",
        Corrupt4 = "274 L4",
        Corrupt3 = "274 L3",
        Corrupt2 = "274 L2",
        Corrupt1 = "274 L1",
        Corrupt0 = "274 L0",
        FirstSecondAccess = "AF second stage for first-stage table",
        FirstSecondCorrupt = "274 second stage for first-stage table",
        GuestRange = "GPF range",
        Gpf4 = "GPF L4",
        Gpf3 = "GPF L3",
        Gpf2 = "GPF L2",
        Gpf1 = "GPF L1",
        Gpf0 = "GPF L0",
        SecondAf4 = "AF second L4",
        SecondAf3 = "AF second L3",
        SecondAf2 = "AF second L2",
        SecondAf1 = "AF second L1",
        SecondAf0 = "AF second L0",
        SecondCorrupt4 = "274 second L4",
        SecondCorrupt3 = "274 second L3",
        SecondCorrupt2 = "274 second L2",
        SecondCorrupt1 = "274 second L1",
        SecondCorrupt0 = "274 second L0",
        MsiAccess = "261 MSI PTE",
        MsiCorrupt = "270 MSI PTE",
        MsiInvalid = "262 MSI PTE",
        MsiWrong = "263 MSI PTE",
        MsiExecute = "1 MSI page",
        Pas = "beyond PAS",
    }
}

impl At {
    /// The one of several levels: `zero` is that of level 0, levels above stand before it.
    pub(crate) fn level(zero: At, level: u8) -> At {
        At::from_index((zero as usize).saturating_sub(level.min(4).into())).unwrap_or(zero)
    }

    /// Which stages a context must have so that this can happen.
    fn group(self) -> Group {
        match self as usize {
            n if n <= At::DcWrong as usize => Group::BeforeContext,
            n if n <= At::WideProcess as usize => Group::Type,
            n if n == At::NoSupervisor as usize => Group::Process,
            n if n <= At::PcWrong as usize => Group::Directory,
            n if n <= At::PdtGuest as usize => Group::DirectorySecond,
            n if n == At::FirstGuest as usize => Group::Nested,
            n if n <= At::Corrupt0 as usize => Group::First,
            n if n <= At::FirstSecondCorrupt as usize => Group::Nested,
            n if n <= At::SecondCorrupt0 as usize => Group::Second,
            n if n <= At::MsiExecute as usize => Group::Msi,
            _ => Group::Any,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    BeforeContext,
    Type,
    /// After the process context, before the first stage.
    Process,
    Directory,
    DirectorySecond,
    Nested,
    First,
    Second,
    Msi,
    Any,
}

axis! {
    /// Which stages translate.
    pub enum Stages: "stages" {
        None = "no context",
        Neither = "Bare",
        First = "first",
        Second = "second",
        Both = "nested",
        Directory = "directory",
        DirectorySecond = "directory in second",
    }
}

axis! {
    /// Who asks.
    pub enum Who: "process" { Nobody = "no process", User = "user", Supervisor = "supervisor" }
}

/// A cause of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CauseBin(pub Cause);

impl Axis for CauseBin {
    const NAME: &'static str = "cause";
    const COUNT: usize = Cause::ALL.len();
    fn index(self) -> usize {
        Cause::ALL.iter().position(|&c| c == self.0).unwrap_or(0)
    }
    fn from_index(index: usize) -> Option<Self> {
        Cause::ALL.get(index).copied().map(Self)
    }
    fn label(self) -> String {
        self.0.code().to_string()
    }
}

static CONTEXT_IS_KNOWN: Impossible = Impossible {
    name: "stage-follows-context",
    why: "the step is reached only in a context with these stages",
};
static ONLY_TRANSLATED: Impossible = Impossible {
    name: "only-translated-types",
    why: "P2IOVA 2.a and 7.a: untranslated requests never have this cause",
};
static EXECUTE_ONLY: Impossible = Impossible {
    name: "execute-only",
    why: "MSI 15.a: only reads for execute",
};
static NEVER_MISALIGNED: Impossible = Impossible {
    name: "never-misaligned",
    why: "causes 4 and 6: an AXI burst of any alignment is legal, page-based schemes know no misaligned access",
};
static NO_CONTEXT_NO_DTF: Impossible = Impossible {
    name: "no-context-no-dtf",
    why: "before a context is located DTF is assumed to be 0",
};
static NOT_BY_TRANSLATION: Impossible = Impossible {
    name: "not-by-translation",
    why: "causes 264 and 271 to 273 are no outcome of the process to translate an IOVA",
};
static NO_DATA_PATH_ERRORS: Impossible = Impossible {
    name: "no-internal-errors",
    why: "cause 272: a block without internal error detection does not report it",
};
static NO_PAS_CHECK: Impossible = Impossible {
    name: "no-pas-check",
    why: "dut.yaml: translated addresses are not compared with PAS",
};
static CORRUPTION_AS_ACCESS: Impossible = Impossible {
    name: "corruption-as-access-fault",
    why: "dut.yaml: poison is reported as an access fault",
};
static ATS_ASKS: Impossible = Impossible {
    name: "ats-asks-only",
    why: "PAS: an ATS translation in Bare mode is refused, it has no address to check",
};
static SIZED_SECOND_STAGE: Impossible = Impossible {
    name: "translated-is-a-gpa",
    why: "P2IOVA 8: a translated request without T2GPA passes no stage",
};

fn level_of(at: At, zero: At) -> Option<u8> {
    let down = (zero as usize).checked_sub(at as usize)?;
    (down <= 4).then_some(down as u8)
}

fn scheme(target: &Target, at: At) -> Option<Why> {
    for zero in [At::Pf0, At::Af0, At::Corrupt0] {
        if let Some(level) = level_of(at, zero) {
            return first([
                needs(target, "Sv57", C::SV57, level == 4),
                needs(target, "Sv48", C::SV48, level == 3),
                needs(target, "Sv39", C::SV39, level == 2),
                needs_any(target, "a first stage", FIRST, level < 2),
            ]);
        }
    }
    for zero in [At::Gpf0, At::SecondAf0, At::SecondCorrupt0] {
        if let Some(level) = level_of(at, zero) {
            return first([
                needs(target, "Sv57x4", C::SV57X4, level == 4),
                needs(target, "Sv48x4", C::SV48X4, level == 3),
                needs(target, "Sv39x4", C::SV39X4, level == 2),
                needs_any(target, "a second stage", SECOND, level < 2),
            ]);
        }
    }
    None
}

fn corruption(at: At) -> bool {
    let label = at.label();
    ["268", "269", "270", "274"]
        .iter()
        .any(|c| label.starts_with(c))
}

fn impossible((at, ty, stages): (At, Type, Stages), target: &Target) -> Option<Why> {
    use Stages as S;
    let group = at.group();
    let choices: &Choices = &target.config.choices;
    let translated = ty.translated();
    let fits = match group {
        Group::BeforeContext => stages == S::None,
        Group::Type => stages != S::None,
        Group::Process => matches!(stages, S::Neither | S::First | S::Second | S::Both),
        Group::Directory => matches!(stages, S::Directory | S::DirectorySecond),
        Group::DirectorySecond => stages == S::DirectorySecond,
        Group::Nested => stages == S::Both,
        Group::First => matches!(stages, S::First | S::Both),
        Group::Second | Group::Msi => matches!(stages, S::Second | S::Both),
        Group::Any => !matches!(stages, S::Directory | S::DirectorySecond),
    };
    // What a context's first stage is, is known where it has no process directory.
    let type_known = group != Group::Type
        || match at {
            At::NoPdt => matches!(stages, S::Neither | S::First | S::Second | S::Both),
            // A translated request has none either, whatever the context says.
            At::WideProcess => translated || matches!(stages, S::Directory | S::DirectorySecond),
            _ => true,
        };
    let third = matches!(
        at,
        At::PdtAccess2 | At::PdtCorrupt2 | At::PdtInvalid2 | At::PdtWrong2
    );
    let second_level = matches!(
        at,
        At::PdtAccess1 | At::PdtCorrupt1 | At::PdtInvalid1 | At::PdtWrong1
    );
    first([
        when(&CONTEXT_IS_KNOWN, !fits || !type_known),
        when(
            &ONLY_TRANSLATED,
            matches!(at, At::Bare | At::NoAts) && !translated && ty != Type::Ats,
        ),
        when(
            &TRANSLATED_SKIPS_FIRST,
            translated
                && matches!(
                    group,
                    Group::Process
                        | Group::Directory
                        | Group::DirectorySecond
                        | Group::Nested
                        | Group::First
                ),
        ),
        when(
            &TRANSLATED_SKIPS_FIRST,
            translated
                && matches!(group, Group::Second | Group::Msi | Group::Any)
                && matches!(stages, S::First | S::Both),
        ),
        when(
            &TRANSLATED_SKIPS_FIRST,
            translated && group == Group::Type && !matches!(stages, S::Neither | S::Second),
        ),
        when(
            &SIZED_SECOND_STAGE,
            translated && at == At::Pas && stages == S::None,
        ),
        when(
            &ATS_ASKS,
            ty == Type::Ats && at == At::Pas && stages == S::None,
        ),
        when(
            &EXECUTE_ONLY,
            at == At::MsiExecute && !matches!(ty, Type::Execute | Type::TranslatedExecute),
        ),
        when(&NO_PAS_CHECK, at == At::Pas && !choices.check_spa),
        when(
            &CORRUPTION_AS_ACCESS,
            corruption(at) && !choices.reports_corruption,
        ),
        needs_ats(target, ty),
        // Without ATS every translated request ends at 7.a.
        needs(
            target,
            "ATS",
            C::ATS,
            translated && !matches!(group, Group::BeforeContext) && at != At::NoAts,
        ),
        needs(
            target,
            "T2GPA",
            C::T2GPA,
            translated && matches!(group, Group::Second | Group::Msi),
        ),
        needs(
            target,
            "T2GPA",
            C::T2GPA,
            translated && at == At::Pas && stages == S::Second,
        ),
        needs(target, "PD20", C::PD20, third),
        needs_any(target, "PD17 or PD20", C::PD17 | C::PD20, second_level),
        needs_any(
            target,
            "PD8 or PD17",
            C::PD8 | C::PD17,
            at == At::WideProcess,
        ),
        needs_any(
            target,
            "a process directory",
            PD,
            matches!(
                group,
                Group::Process | Group::Directory | Group::DirectorySecond
            ),
        ),
        needs_any(
            target,
            "a second stage",
            SECOND,
            matches!(stages, S::Second | S::Both | S::DirectorySecond),
        ),
        needs_any(
            target,
            "a first stage",
            FIRST,
            matches!(stages, S::First | S::Both),
        ),
        needs(target, "MSI_FLAT", C::MSI_FLAT, group == Group::Msi),
        scheme(target, at),
    ])
}

/// Causes that a request's translation can have, with DTF 0 or 1.
fn no_dtf((CauseBin(cause), dtf): (CauseBin, bool), target: &Target) -> Option<Why> {
    use Cause::*;
    let guest = cause.is_guest_page_fault();
    first([
        when(
            &NEVER_MISALIGNED,
            matches!(cause, ReadAddressMisaligned | WriteAddressMisaligned),
        ),
        when(
            &NOT_BY_TRANSLATION,
            matches!(
                cause,
                MrifAccessFault | MrifCorruption | InternalDataPathError | MsiWriteAccessFault
            ),
        ),
        when(
            &NO_CONTEXT_NO_DTF,
            dtf && matches!(
                cause,
                AllInboundDisallowed
                    | DdtLoadAccessFault
                    | DdtNotValid
                    | DdtMisconfigured
                    | DdtCorruption
            ),
        ),
        needs_any(target, "a second stage", SECOND, guest),
        of_cause(cause, target),
    ])
}

/// What a block needs to have a cause at all.
fn of_cause(cause: Cause, target: &Target) -> Option<Why> {
    use Cause::*;
    first([
        needs_any(
            target,
            "a first or second stage",
            FIRST | SECOND,
            matches!(
                cause,
                InstructionPageFault | ReadPageFault | WritePageFault | PtCorruption
            ),
        ),
        needs_any(
            target,
            "a process directory",
            PD,
            matches!(
                cause,
                PdtLoadAccessFault | PdtNotValid | PdtMisconfigured | PdtCorruption
            ),
        ),
        needs(
            target,
            "MSI_FLAT",
            C::MSI_FLAT,
            matches!(
                cause,
                MsiPteLoadAccessFault | MsiPteNotValid | MsiPteMisconfigured | MsiPtCorruption
            ),
        ),
        needs_any(
            target,
            "a second stage",
            SECOND,
            matches!(
                cause,
                MsiPteLoadAccessFault
                    | MsiPteNotValid
                    | MsiPteMisconfigured
                    | MsiPtCorruption
                    | MrifAccessFault
                    | MrifCorruption
            ),
        ),
        when(
            &CORRUPTION_AS_ACCESS,
            matches!(
                cause,
                DdtCorruption | PdtCorruption | MsiPtCorruption | MrifCorruption | PtCorruption
            ) && !target.config.choices.reports_corruption,
        ),
    ])
}

fn no_record((CauseBin(cause),): (CauseBin,), target: &Target) -> Option<Why> {
    use Cause::*;
    first([
        when(
            &NEVER_MISALIGNED,
            matches!(cause, ReadAddressMisaligned | WriteAddressMisaligned),
        ),
        when(&NO_DATA_PATH_ERRORS, cause == InternalDataPathError),
        needs(
            target,
            "MSI_MRIF",
            C::MSI_MRIF,
            matches!(cause, MrifAccessFault | MrifCorruption),
        ),
        needs_any(
            target,
            "a second stage",
            SECOND,
            cause.is_guest_page_fault(),
        ),
        when(
            &MESSAGES,
            cause == MsiWriteAccessFault && !target.config.capabilities.can_msi(),
        ),
        of_cause(cause, target),
    ])
}

static MESSAGES: Impossible = Impossible {
    name: "no-messages",
    why: "capabilities.IGS: the block signals by wire only",
};

covers! {
    /// Refused requests.
    pub struct FaultCoverage: "fault" {
        /// Cause and step of the walk, type of the request, stages of its context.
        must "IOVA-19" at: [At, Type, Stages] except impossible;
        /// Cause, with DTF of the context: hidden or recorded.
        must "FQ-06" dtf: [CauseBin, bool] except no_dtf;
        /// Type of a refused request, and who asked.
        must "FQ-04" type_who: [Type, Who] except |(ty, _), t| needs_ats(t, ty);
        /// Cause in a record that was written to the fault queue.
        must "FQ-04" recorded: [CauseBin] except no_record;
        /// TTYP in a record: none, a device's request, a message.
        must "FQ-05" recorded_type: [Recorded] except |(r,), t| first([
            when(&MESSAGES, r == Recorded::None && !t.config.capabilities.can_msi()),
            needs(t, "ATS", C::ATS, matches!(r, Recorded::Ats | Recorded::Message)),
        ]);
    }
}

axis! {
    /// TTYP of a record.
    pub enum Recorded: "TTYP" {
        None = "0 none",
        Execute = "1 execute",
        Read = "2 read",
        Write = "3 write",
        TranslatedExecute = "5 translated execute",
        TranslatedRead = "6 translated read",
        TranslatedWrite = "7 translated write",
        Ats = "8 ATS request",
        Message = "9 message",
    }
}

impl Recorded {
    /// Of the number in a record.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => Recorded::None,
            1 => Recorded::Execute,
            2 => Recorded::Read,
            3 => Recorded::Write,
            5 => Recorded::TranslatedExecute,
            6 => Recorded::TranslatedRead,
            7 => Recorded::TranslatedWrite,
            8 => Recorded::Ats,
            9 => Recorded::Message,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_stand_in_order() {
        assert_eq!(At::level(At::Pf0, 4), At::Pf4);
        assert_eq!(At::level(At::SecondCorrupt0, 1), At::SecondCorrupt1);
        assert_eq!(level_of(At::Af3, At::Af0), Some(3));
        assert_eq!(level_of(At::Canonical, At::Pf0), None);
    }

    #[test]
    fn a_block_without_anything_has_few_faults() {
        let poor = Target::new(0);
        let rich = Target::new(u64::MAX >> 8);
        let possible = |t: &Target| {
            FaultCoverage::default()
                .covers()
                .iter()
                .map(|c| (0..c.len()).filter(|&b| c.excluded(b, t).is_none()).count())
                .sum::<usize>()
        };
        assert!(possible(&poor) < 200, "{}", possible(&poor));
        assert!(possible(&rich) > 400, "{}", possible(&rich));
    }
}
