//! Translations: contexts, page sizes, permissions, both stages.

use iommu_golden::{Capabilities as C, Pbmt, RequestKind};

use super::fault::Who;
use super::{Does, FIRST, PD, SECOND, Stage, Type, needs_any, needs_ats};
use crate::cover::{Impossible, Target, Why};
use crate::{axis, covers, first, needs, when};

axis! {
    /// `ddtp.iommu_mode`.
    pub enum Mode: "iommu_mode" { Off = "Off", Bare = "Bare", One = "1LVL", Two = "2LVL", Three = "3LVL" }
}

axis! {
    /// Whether the request was granted.
    pub enum Result: "result" { Granted = "granted", Refused = "refused" }
}

axis! {
    /// Highest part of the device_id that is not zero.
    pub enum Digit: "highest device index" { Low = "DDI[0]", Middle = "DDI[1]", High = "DDI[2]" }
}

axis! {
    /// Directory levels.
    pub enum Levels: "levels" { One = "1LVL", Two = "2LVL", Three = "3LVL" }
}

axis! {
    /// Device context format.
    pub enum Format: "format" { Base = "base", Extended = "extended" }
}

axis! {
    /// Process directory of a device.
    pub enum Processes: "pdtp" {
        None = "PDTV=0", Bare = "Bare", Pd8 = "PD8", Pd17 = "PD17", Pd20 = "PD20",
    }
}

axis! {
    /// Bits of `DC.tc`.
    pub enum DcBit: "bit" {
        EnAts = "EN_ATS", EnPri = "EN_PRI", T2gpa = "T2GPA", Dtf = "DTF", Pdtv = "PDTV", Prpr = "PRPR",
        Gade = "GADE", Sade = "SADE", Dpe = "DPE", Sbe = "SBE", Sxl = "SXL",
    }
}

axis! {
    /// Bits of `PC.ta`.
    pub enum PcBit: "bit" { Ens = "ENS", Sum = "SUM" }
}

axis! {
    /// A table entry that was read.
    pub enum Step: "entry" {
        Ddt2 = "DDT L2", Ddt1 = "DDT L1", Dc = "DC", Pdt2 = "PDT L2", Pdt1 = "PDT L1", Pc = "PC",
        First4 = "first L4", First3 = "first L3", First2 = "first L2", First1 = "first L1", First0 = "first L0",
        Second4 = "second L4", Second3 = "second L3", Second2 = "second L2", Second1 = "second L1",
        Second0 = "second L0",
        Msi = "MSI PTE",
    }
}

axis! {
    /// What a read of memory gave.
    pub enum Got: "read" { Ok = "ok", Access = "access fault", Corrupt = "corrupt" }
}

axis! {
    /// Scheme and size of a page.
    pub enum Page: "page" {
        Sv32K4 = "Sv32 4K", Sv32M4 = "Sv32 4M",
        Sv39K4 = "Sv39 4K", Sv39K64 = "Sv39 64K", Sv39M2 = "Sv39 2M", Sv39G1 = "Sv39 1G",
        Sv48K4 = "Sv48 4K", Sv48K64 = "Sv48 64K", Sv48M2 = "Sv48 2M", Sv48G1 = "Sv48 1G", Sv48G512 = "Sv48 512G",
        Sv57K4 = "Sv57 4K", Sv57K64 = "Sv57 64K", Sv57M2 = "Sv57 2M", Sv57G1 = "Sv57 1G", Sv57G512 = "Sv57 512G",
        Sv57T256 = "Sv57 256T",
    }
}

axis! {
    /// R, W, X of a leaf.
    pub enum Perm: "permissions" { R = "R", Rw = "RW", X = "X", Rx = "RX", Rwx = "RWX" }
}

axis! {
    /// Scheme of a stage.
    pub enum Scheme: "scheme" { Bare = "Bare", Sv32 = "Sv32", Sv39 = "Sv39", Sv48 = "Sv48", Sv57 = "Sv57" }
}

axis! {
    /// Size of a page.
    pub enum Size: "size" {
        K4 = "4K", K64 = "64K", M2 = "2M", M4 = "4M", G1 = "1G", G512 = "512G", T256 = "256T", All = "Bare",
    }
}

axis! {
    /// A and D of a leaf that permits the access.
    pub enum Ad: "A and D" { Neither = "A=0 D=0", D = "A=0 D=1", A = "A=1 D=0", Both = "A=1 D=1" }
}

axis! {
    /// Privilege of a request.
    pub enum Privilege: "privilege" {
        User = "user", Supervisor = "supervisor SUM=0", SupervisorSum = "supervisor SUM=1",
    }
}

axis! {
    /// Where G is set.
    pub enum Global: "G" { None = "none", Leaf = "leaf", NonLeaf = "non-leaf", Second = "second" }
}

axis! {
    /// Memory type of a stage.
    pub enum Type1: "PBMT" { Pma = "PMA", Nc = "NC", Io = "IO" }
}

impl From<Pbmt> for Type1 {
    fn from(p: Pbmt) -> Self {
        match p {
            Pbmt::Pma => Type1::Pma,
            Pbmt::Nc => Type1::Nc,
            Pbmt::Io => Type1::Io,
        }
    }
}

axis! {
    /// Where an address lies in what its scheme translates.
    pub enum Address: "address" {
        First = "first page", Last = "last page", Upper = "upper half", Inside = "inside", Beyond = "beyond",
    }
}

axis! {
    /// Which page of a NAPOT range.
    pub enum Piece: "piece" { First = "first", Middle = "middle", Last = "last" }
}

axis! {
    /// Where the translated address lies.
    pub enum Spa: "SPA" { Low = "below", Last = "last page below 2^PAS", Beyond = "beyond 2^PAS" }
}

axis! {
    /// An implicit access of the second stage.
    pub enum Implicit: "implicit access" {
        Directory = "directory", Table = "first-stage table", TableWritten = "first-stage table written",
    }
}

axis! {
    /// How an implicit access ended.
    pub enum Ended: "ended" { Ok = "ok", Guest = "guest-page fault", Access = "access fault", Corrupt = "corrupt" }
}

axis! {
    /// What the MSI address process made of an address.
    pub enum MsiPage: "MSI page" { None = "no file", Basic = "basic", Mrif = "MRIF", Fault = "fault" }
}

axis! {
    /// Bits set in `msi_addr_mask`.
    pub enum Mask: "mask" {
        Zero = "0 bits", One = "1 bit", Low = "2 to 6 low bits", Scattered = "scattered", Wide = "7 bits or more",
    }
}

axis! {
    /// Access to an MRIF page.
    pub enum Mrif: "MRIF access" {
        Le = "4 bytes little-endian", Be = "4 bytes big-endian", Offset = "A[11:3] not zero",
        Unaligned = "misaligned or another size",
    }
}

axis! {
    /// An identifier of which two requests differ in one bit.
    pub enum Tag: "tag" {
        Device = "device_id", Process = "process_id", Gscid = "GSCID", Pscid = "PSCID", Address = "page number",
    }
}

axis! {
    /// What happened to `ddtp` under requests.
    pub enum Switch: "switch" {
        OffBusy = "to Off under requests", OffIdle = "to Off when idle",
        On = "from Off to a directory", Bare = "from Off to Bare", FromBare = "from Bare to a directory",
        BareOff = "from Bare to Off",
    }
}

impl Page {
    /// Of a leaf of `level` with or without N.
    #[must_use]
    pub fn of(scheme: Scheme, level: u8, napot: bool) -> Option<Self> {
        use Page::*;
        Some(match (scheme, level, napot) {
            (Scheme::Sv32, 0, _) => Sv32K4,
            (Scheme::Sv32, 1, _) => Sv32M4,
            (Scheme::Sv39, 0, false) => Sv39K4,
            (Scheme::Sv39, 0, true) => Sv39K64,
            (Scheme::Sv39, 1, _) => Sv39M2,
            (Scheme::Sv39, 2, _) => Sv39G1,
            (Scheme::Sv48, 0, false) => Sv48K4,
            (Scheme::Sv48, 0, true) => Sv48K64,
            (Scheme::Sv48, 1, _) => Sv48M2,
            (Scheme::Sv48, 2, _) => Sv48G1,
            (Scheme::Sv48, 3, _) => Sv48G512,
            (Scheme::Sv57, 0, false) => Sv57K4,
            (Scheme::Sv57, 0, true) => Sv57K64,
            (Scheme::Sv57, 1, _) => Sv57M2,
            (Scheme::Sv57, 2, _) => Sv57G1,
            (Scheme::Sv57, 3, _) => Sv57G512,
            (Scheme::Sv57, 4, _) => Sv57T256,
            _ => return None,
        })
    }

    fn scheme(self) -> Scheme {
        match self as usize {
            0..2 => Scheme::Sv32,
            2..6 => Scheme::Sv39,
            6..11 => Scheme::Sv48,
            _ => Scheme::Sv57,
        }
    }
}

impl Perm {
    /// Of R, W and X; `None` for what is no leaf, or reserved.
    #[must_use]
    pub fn of(r: bool, w: bool, x: bool) -> Option<Self> {
        match (r, w, x) {
            (true, false, false) => Some(Perm::R),
            (true, true, false) => Some(Perm::Rw),
            (false, false, true) => Some(Perm::X),
            (true, false, true) => Some(Perm::Rx),
            (true, true, true) => Some(Perm::Rwx),
            _ => None,
        }
    }

    /// Whether it permits an access.
    #[must_use]
    pub fn allows(self, does: Does) -> bool {
        match does {
            Does::Read => self != Perm::X,
            Does::Write => matches!(self, Perm::Rw | Perm::Rwx),
            Does::Execute => matches!(self, Perm::X | Perm::Rx | Perm::Rwx),
        }
    }
}

impl Size {
    /// Of log2 of the bytes.
    #[must_use]
    pub fn of(range_log2: u8) -> Self {
        match range_log2 {
            0..=12 => Size::K4,
            13..=16 => Size::K64,
            17..=21 => Size::M2,
            22 => Size::M4,
            23..=30 => Size::G1,
            31..=39 => Size::G512,
            40..=48 => Size::T256,
            _ => Size::All,
        }
    }
}

static WIDE_IN_SV32X4: Impossible = Impossible {
    name: "gxl-demands-sxl",
    why: "DC checks 20: with GXL=1 (Sv32x4) SXL must be 1, and the first stage is Sv32",
};
static GXL_FIXED: Impossible = Impossible {
    name: "gxl-fixed",
    why: "DC checks 20: where fctl.GXL cannot be written SXL equals it, so Sv32 is in Sv32x4 only",
};
static SIZE_OF_SCHEME: Impossible = Impossible {
    name: "size-of-scheme",
    why: "4 MiB pages are Sv32's, and Sv32 has no others but 4 KiB; under Sv32x4 the first stage is Sv32",
};
static UPPER_HALF_IS_FIRST: Impossible = Impossible {
    name: "gpa-has-no-upper-half",
    why: "priv: GPAs are zero-extended; only first-stage addresses are sign-extended",
};
static BARE_REFUSES_NOT: Impossible = Impossible {
    name: "off-grants-nothing",
    why: "P2IOVA 1: Off refuses everything; P2IOVA 2.a: Bare refuses every translated type",
};
static MSI_NOT_EXECUTED: Impossible = Impossible {
    name: "msi-pages-are-not-executed",
    why: "MSI 15.a: read-for-execute of an MSI page is cause 1",
};
static BIT_NEEDS: Impossible = Impossible {
    name: "reserved-in-a-legal-context",
    why: "a context with this bit is misconfigured in this block",
};

fn first_scheme(t: &Target, s: Scheme) -> Option<Why> {
    first([
        needs(t, "Sv32", C::SV32, s == Scheme::Sv32),
        needs(t, "Sv39", C::SV39, s == Scheme::Sv39),
        needs(t, "Sv48", C::SV48, s == Scheme::Sv48),
        needs(t, "Sv57", C::SV57, s == Scheme::Sv57),
    ])
}

fn second_scheme(t: &Target, s: Scheme) -> Option<Why> {
    first([
        needs(t, "Sv32x4", C::SV32X4, s == Scheme::Sv32),
        needs(t, "Sv39x4", C::SV39X4, s == Scheme::Sv39),
        needs(t, "Sv48x4", C::SV48X4, s == Scheme::Sv48),
        needs(t, "Sv57x4", C::SV57X4, s == Scheme::Sv57),
    ])
}

fn stage(t: &Target, stage: Stage, s: Scheme) -> Option<Why> {
    match stage {
        Stage::First => first_scheme(t, s),
        Stage::Second => second_scheme(t, s),
    }
}

fn step(t: &Target, s: Step) -> Option<Why> {
    use Step::*;
    first([
        needs(t, "PD20", C::PD20, s == Pdt2),
        needs_any(t, "PD17 or PD20", C::PD17 | C::PD20, s == Pdt1),
        needs_any(t, "a process directory", PD, s == Pc),
        needs(t, "Sv57", C::SV57, s == First4),
        needs(t, "Sv48", C::SV48, s == First3),
        needs(t, "Sv39", C::SV39, s == First2),
        needs_any(t, "a first stage", FIRST, matches!(s, First1 | First0)),
        needs(t, "Sv57x4", C::SV57X4, s == Second4),
        needs(t, "Sv48x4", C::SV48X4, s == Second3),
        needs(t, "Sv39x4", C::SV39X4, s == Second2),
        needs_any(
            t,
            "a second stage",
            SECOND,
            matches!(s, Second1 | Second0 | Msi),
        ),
        needs(t, "MSI_FLAT", C::MSI_FLAT, s == Msi),
    ])
}

fn dc_bit((bit, set): (DcBit, bool), t: &Target) -> Option<Why> {
    let c = &t.config;
    first([
        needs(
            t,
            "ATS",
            C::ATS,
            set && matches!(
                bit,
                DcBit::EnAts | DcBit::EnPri | DcBit::Prpr | DcBit::T2gpa
            ),
        ),
        needs(t, "T2GPA", C::T2GPA, set && bit == DcBit::T2gpa),
        needs(
            t,
            "AMO_HWAD",
            C::AMO_HWAD,
            set && matches!(bit, DcBit::Gade | DcBit::Sade),
        ),
        needs(t, "END", C::END, set && bit == DcBit::Sbe),
        when(
            &BIT_NEEDS,
            set && bit == DcBit::Sxl && !c.choices.gxl.writable(),
        ),
    ])
}

covers! {
    /// Requests and modes.
    pub struct IovaCoverage: "iova" {
        /// Mode, type of request, and whether it was granted.
        must "IOVA-25" mode: [Mode, Type, Result] except |(mode, ty, result), t| first([
            needs_ats(t, ty),
            when(&BARE_REFUSES_NOT, mode == Mode::Off && result == Result::Granted),
            when(&BARE_REFUSES_NOT, mode == Mode::Bare && result == Result::Granted
                && ty.kind() != RequestKind::Untranslated),
            needs(t, "ATS", C::ATS, ty.translated() && result == Result::Granted),
            when(&BARE_IN_REACH, mode == Mode::Bare && result == Result::Refused && !t.config.choices.check_spa
                && ty.kind() == RequestKind::Untranslated),
        ]);
        /// The part of the device_id that reaches furthest, by mode.
        must "IOVA-06" device_bits: [Levels, Digit];
        /// Process directory of the device, who asks, DPE.
        must "IOVA-08" process: [Processes, Who, bool] except |(p, _, dpe), t| first([
            needs(t, "PD8", C::PD8, p == Processes::Pd8),
            needs(t, "PD17", C::PD17, p == Processes::Pd17),
            needs(t, "PD20", C::PD20, p == Processes::Pd20),
            when(&BIT_NEEDS, p == Processes::None && dpe),
        ]);
        /// Changes of `ddtp`.
        must "REG-10" switch: [Switch];
    }
}

static BARE_IN_REACH: Impossible = Impossible {
    name: "bare-passes-all",
    why: "dut.yaml: addresses are not compared with PAS, so Bare mode refuses no untranslated request",
};

covers! {
    /// Device contexts.
    pub struct DcCoverage: "dc" {
        /// Format and directory levels of a context that was used.
        must "IOVA-04" format: [Format, Levels] except |(f, _), t|
            needs(t, "MSI_FLAT", C::MSI_FLAT, f == Format::Extended);
        /// Control bits of a context that was used.
        must "DC-24" bit: [DcBit, bool] except dc_bit;
    }
}

covers! {
    /// Process contexts.
    pub struct PcCoverage: "pc" {
        /// Bits of a process context that was used.
        must "PC-05" bit: [PcBit, bool] except |_, t| needs_any(t, "a process directory", PD, true);
    }
}

covers! {
    /// Identifiers that differ in one bit.
    pub struct TagCoverage: "tag" {
        /// Two requests to one page, close to each other, that differ in one bit of this.
        must "INV-15" differ: [Tag] except |(tag,), t| first([
            needs_any(t, "a process directory", PD, tag == Tag::Process),
            needs_any(t, "a second stage", SECOND, tag == Tag::Gscid),
        ]);
    }
}

covers! {
    /// Walks.
    pub struct WalkCoverage: "walk" {
        /// Each kind of entry, read well or not.
        must "DDT-01" load: [Step, Got] except |(s, got), t| first([
            step(t, s),
            when(&CORRUPTION, got == Got::Corrupt && !t.config.choices.reports_corruption),
        ]);
        /// A leaf that was used or that refused for R, W, X: page size, permissions, access.
        must "S1-20" leaf: [Stage, Page, Perm, Does] except |(s, page, ..), t| stage(t, s, page.scheme());
        /// Schemes of both stages.
        must "S2-21" nested: [Scheme, Scheme, Result] except |(a, b, _), t| first([
            first_scheme(t, a),
            second_scheme(t, b),
            when(&WIDE_IN_SV32X4, b == Scheme::Sv32 && !matches!(a, Scheme::Bare | Scheme::Sv32)),
            when(&GXL_FIXED, a == Scheme::Sv32 && !matches!(b, Scheme::Bare | Scheme::Sv32)
                && !t.config.choices.gxl.writable()),
        ]);
        /// Page sizes of both stages.
        nice "S2-21" nested_pages: [Size, Size] except |(a, b), t| first([
            needs_any(t, "a second stage", SECOND, true),
            when(&SIZE_OF_SCHEME, b == Size::M4 && !matches!(a, Size::K4 | Size::M4 | Size::All)),
            when(&GXL_FIXED, a == Size::M4 && !matches!(b, Size::K4 | Size::M4 | Size::All)
                && !t.config.choices.gxl.writable()),
            needs(t, "Sv32", C::SV32, a == Size::M4),
            needs(t, "Sv32x4", C::SV32X4, b == Size::M4),
            needs(t, "Sv48", C::SV48, a == Size::G512),
            needs(t, "Sv48x4", C::SV48X4, b == Size::G512),
            needs(t, "Sv57", C::SV57, a == Size::T256),
            needs(t, "Sv57x4", C::SV57X4, b == Size::T256),
        ]);
        /// A and D of a leaf that permits the access, with hardware update or not.
        must "S1-17" ad: [Stage, Ad, bool, Does] except |(s, _, update, _), t| first([
            needs(t, "AMO_HWAD", C::AMO_HWAD, update),
            needs_any(t, "a second stage", SECOND, s == Stage::Second),
            needs_any(t, "a first stage", FIRST, s == Stage::First),
        ]);
        /// Privilege of the request, U of the leaf, access.
        must "S1-14" user: [Privilege, bool, Does] except |(p, ..), t| first([
            needs_any(t, "a first stage", FIRST, true),
            needs_any(t, "a process directory", PD, p != Privilege::User),
        ]);
        /// Where G is set in a granted translation.
        must "S1-21" global: [Global] except |(g,), t| first([
            needs_any(t, "a first stage", FIRST, g != Global::Second),
            needs_any(t, "a second stage", SECOND, g == Global::Second),
        ]);
        /// Memory types of both stages.
        must "S1-23" pbmt: [Type1, Type1] except |(a, b), t| first([
            needs(t, "Svpbmt", C::SVPBMT, a != Type1::Pma || b != Type1::Pma),
            needs_any(t, "a second stage", SECOND, b != Type1::Pma),
        ]);
        /// Addresses at the edges of a scheme.
        must "S1-01" address: [Stage, Address] except |(s, a), t| first([
            when(&UPPER_HALF_IS_FIRST, s == Stage::Second && a == Address::Upper),
            needs_any(t, "a second stage", SECOND, s == Stage::Second),
            needs_any(t, "a first stage", FIRST, s == Stage::First),
        ]);
        /// Which page of a NAPOT range was used.
        must "S1-20" napot: [Stage, Piece] except |(s, _), t| first([
            needs(t, "Sv39", C::SV39, s == Stage::First),
            needs(t, "Sv39x4", C::SV39X4, s == Stage::Second),
        ]);
        /// Where the translated address lies.
        must "S1-25" pas: [Spa] except |(spa,), t|
            when(&BARE_IN_REACH, spa == Spa::Beyond && !t.config.choices.check_spa);
        /// Implicit accesses of the second stage.
        must "PDT-02" implicit: [Implicit, Ended] except |(i, _), t| first([
            needs_any(t, "a second stage", SECOND, true),
            needs_any(t, "a process directory", PD, i == Implicit::Directory),
            needs_any(t, "a first stage", FIRST, i != Implicit::Directory),
            needs(t, "AMO_HWAD", C::AMO_HWAD, i == Implicit::TableWritten),
        ]);
    }
}

static CORRUPTION: Impossible = Impossible {
    name: "no-corruption-reports",
    why: "dut.yaml: poison is reported as an access fault",
};

covers! {
    /// MSI page tables.
    pub struct MsiCoverage: "msi" {
        /// What the MSI address process made of an access.
        must "MSI-01" page: [MsiPage, Does] except |(p, does), t| first([
            needs(t, "MSI_FLAT", C::MSI_FLAT, true),
            needs_any(t, "a second stage", SECOND, true),
            needs(t, "MSI_MRIF", C::MSI_MRIF, p == MsiPage::Mrif),
            when(&MSI_NOT_EXECUTED, does == Does::Execute && matches!(p, MsiPage::Basic | MsiPage::Mrif)),
        ]);
        /// Masks under which an address was recognised.
        must "MSI-03" mask: [Mask] except |_, t| first([
            needs(t, "MSI_FLAT", C::MSI_FLAT, true),
            needs_any(t, "a second stage", SECOND, true),
        ]);
        /// Accesses to MRIF pages.
        must "MSI-16" mrif: [Mrif, Does] except |(_, does), t| first([
            needs(t, "MSI_MRIF", C::MSI_MRIF, true),
            when(&MSI_NOT_EXECUTED, does == Does::Execute),
        ]);
    }
}

impl WalkCoverage {
    /// Counts both schemes where the context is known.
    pub(crate) fn nested_if(&mut self, known: bool, a: Scheme, b: Scheme, result: Result) {
        if known {
            self.nested.hit((a, b, result));
        }
    }
}
