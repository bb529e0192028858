//! Commands: operand forms, illegal ones, and what was under way when they came.

use iommu_golden::config::Reserved;
use iommu_golden::{Capabilities as C, Command, CommandError};

use super::{PD, needs_any};
use crate::cover::Impossible;
use crate::{axis, covers, first, needs, when};

axis! {
    /// Which of the two page-table invalidations.
    pub enum Which: "command" { Vma = "VMA", Gvma = "GVMA" }
}

axis! {
    /// A command.
    pub enum Kind: "command" {
        Vma = "IOTINVAL.VMA", Gvma = "IOTINVAL.GVMA", Fence = "fence", Ddt = "INVAL_DDT", Pdt = "INVAL_PDT",
        AtsInval = "ATS.INVAL", AtsPrgr = "ATS.PRGR", Illegal = "illegal",
    }
}

axis! {
    /// Device requests accepted and not yet answered.
    pub enum Traffic: "under way" { None = "none", Reads = "reads", Writes = "writes", Both = "both" }
}

axis! {
    /// Directory invalidation.
    pub enum Iodir: "form" { All = "DDT all", One = "DDT one", Pdt = "PDT" }
}

axis! {
    /// Message to a device.
    pub enum Ats: "message" { Inval = "INVAL", Prgr = "PRGR" }
}

axis! {
    /// Why a command is illegal.
    pub enum Illegal: "why" {
        Encoding = "reserved encoding", Custom = "custom", Bits = "reserved bits", Pscv = "PSCV with GVMA",
        NoDv = "PDT without DV", Wide = "wide operand", Wsi = "WSI reserved", Unsupported = "unsupported",
    }
}

axis! {
    /// Where in the queue.
    pub enum Place: "place" { First = "first entry", Last = "last entry", Page = "first of a page", Other = "other" }
}

axis! {
    /// Range of an invalidation with S=1.
    pub enum Range: "range" {
        K8 = "8K", K64 = "16K to 64K", M2 = "128K to 2M", G1 = "4M to 1G", Big = "more", All = "everything",
    }
}

impl Kind {
    /// Of a decoded command.
    #[must_use]
    pub fn of(command: &Result<Command, CommandError>) -> Self {
        match command {
            Ok(Command::IotinvalVma(_)) => Kind::Vma,
            Ok(Command::IotinvalGvma(_)) => Kind::Gvma,
            Ok(Command::Iofence(_)) => Kind::Fence,
            Ok(Command::InvalDdt { .. }) => Kind::Ddt,
            Ok(Command::InvalPdt { .. }) => Kind::Pdt,
            Ok(Command::AtsInval(_)) => Kind::AtsInval,
            Ok(Command::AtsPrgr(_)) => Kind::AtsPrgr,
            Err(_) => Kind::Illegal,
        }
    }
}

impl From<&CommandError> for Illegal {
    fn from(e: &CommandError) -> Self {
        match e {
            CommandError::ReservedEncoding { .. } => Illegal::Encoding,
            CommandError::ReservedBits { .. } => Illegal::Bits,
            CommandError::PscvWithGvma => Illegal::Pscv,
            CommandError::InvalPdtWithoutDv => Illegal::NoDv,
            CommandError::WideOperand { .. } => Illegal::Wide,
            CommandError::WsiReserved => Illegal::Wsi,
            CommandError::Unsupported { .. } => Illegal::Unsupported,
            CommandError::Custom { .. } => Illegal::Custom,
        }
    }
}

impl Range {
    /// Of `ADDR[63:12]` with S=1.
    #[must_use]
    pub fn of(addr: u64) -> Self {
        match (addr & ((1 << 52) - 1)).trailing_ones() {
            0 => Range::K8,
            1..=3 => Range::K64,
            4..=8 => Range::M2,
            9..=17 => Range::G1,
            18..=50 => Range::Big,
            _ => Range::All,
        }
    }
}

static PSCV_IS_VMA: Impossible = Impossible {
    name: "pscv-with-gvma-is-illegal",
    why: "IOTINVAL.GVMA with PSCV=1 is illegal",
};
static WIDE_ACCEPTED: Impossible = Impossible {
    name: "wide-operands-accepted",
    why: "dut.yaml: operands wider than supported are accepted",
};
static NO_WIRES: Impossible = Impossible {
    name: "no-wires",
    why: "capabilities.IGS: the block has no interrupt wires, WSI is reserved",
};
static ALWAYS_WIRES: Impossible = Impossible {
    name: "always-wires",
    why: "capabilities.IGS: the block has wires only, WSI is never reserved",
};

covers! {
    /// Commands that were fetched whole.
    pub struct CommandCoverage: "cmd" {
        /// IOTINVAL: GV, AV, PSCV, NL, S.
        must "INV-01" iotinval: [Which, bool, bool, bool, bool, bool] except |(which, _, _, pscv, nl, s), t| first([
            when(&PSCV_IS_VMA, which == Which::Gvma && pscv),
            needs(t, "NL", C::NL, nl),
            needs(t, "S", C::S, s),
        ]);
        /// Address ranges of IOTINVAL with AV=1 and S=1.
        must "INV-13" range: [Which, Range] except |_, t| needs(t, "S", C::S, true);
        /// IOFENCE.C: AV, WSI, PR, PW.
        must "FEN-01" fence: [bool, bool, bool, bool] except |(_, wsi, ..), t|
            when(&NO_WIRES, wsi && !t.config.capabilities.can_wsi());
        /// IODIR.
        must "DIR-01" iodir: [Iodir] except |(form,), t|
            needs_any(t, "a process directory", PD, form == Iodir::Pdt);
        /// Messages to devices: PV, DSV.
        must "ATS-10" ats: [Ats, bool, bool] except |_, t| needs(t, "ATS", C::ATS, true);
        /// A command, and the traffic under way when it was fetched.
        must "FEN-02" traffic: [Kind, Traffic] except |(kind, _), t| first([
            needs(t, "ATS", C::ATS, matches!(kind, Kind::AtsInval | Kind::AtsPrgr)),
            needs_any(t, "a process directory", PD, kind == Kind::Pdt),
        ]);
        /// A command, and its place in the queue.
        must "CQ-01" place: [Kind, Place] except |(kind, _), t| first([
            needs(t, "ATS", C::ATS, matches!(kind, Kind::AtsInval | Kind::AtsPrgr)),
            needs_any(t, "a process directory", PD, kind == Kind::Pdt),
        ]);
        /// Illegal and unsupported commands.
        must "CQ-03" illegal: [Illegal] except |(why,), t| first([
            when(&WIDE_ACCEPTED, why == Illegal::Wide && t.config.choices.wide_operand != Reserved::Rejected),
            when(&ALWAYS_WIRES, why == Illegal::Wsi && !t.config.capabilities.can_msi()),
        ]);
    }
}
