//! Registers: every one, both halves; every field, zeros and ones.

use iommu_golden::{Capabilities as C, Igs};

use crate::cover::{Axis, Impossible, Target, Why};
use crate::{axis, covers, first, needs, when};

axis! {
    /// How a register is accessed.
    pub enum How: "access" {
        ReadLow = "read low", ReadHigh = "read high", WriteLow = "write low", WriteHigh = "write high",
        WriteBoth = "write 8 bytes",
    }
}

axis! {
    /// What is written to a field.
    pub enum Value: "value" { Zero = "zeros", Ones = "ones", Mixed = "mixed" }
}

axis! {
    /// Accesses that the specification leaves open.
    pub enum Odd: "access" {
        ReadUnaligned = "misaligned read", WriteUnaligned = "misaligned write", NoStrobes = "write without strobes",
        Partial = "write with some strobes", Spans = "write over two registers",
    }
}

axis! {
    /// When a register was read.
    pub enum AfterReset: "read" { First = "first access after reset", Later = "later" }
}

/// A register: name, offset, bytes, what it needs.
type Row = (&'static str, u16, u8, u64);

const REGISTERS: &[Row] = &[
    ("capabilities", 0, 8, 0),
    ("fctl", 8, 4, 0),
    ("ddtp", 16, 8, 0),
    ("cqb", 24, 8, 0),
    ("cqh", 32, 4, 0),
    ("cqt", 36, 4, 0),
    ("fqb", 40, 8, 0),
    ("fqh", 48, 4, 0),
    ("fqt", 52, 4, 0),
    ("pqb", 56, 8, 0),
    ("pqh", 64, 4, 0),
    ("pqt", 68, 4, 0),
    ("cqcsr", 72, 4, 0),
    ("fqcsr", 76, 4, 0),
    ("pqcsr", 80, 4, 0),
    ("ipsr", 84, 4, 0),
    ("iocountovf", 88, 4, 0),
    ("iocountinh", 92, 4, 0),
    ("iohpmcycles", 96, 8, 0),
    ("iohpmctr", 104, 8, 0),
    ("iohpmevt", 352, 8, 0),
    ("tr_req_iova", 600, 8, 0),
    ("tr_req_ctl", 608, 8, 0),
    ("tr_response", 616, 8, 0),
    ("iommu_qosid", 624, 4, 0),
    ("icvec", 760, 8, 0),
    ("msi_addr", 768, 8, 0),
    ("msi_data", 776, 4, 0),
    ("msi_vec_ctl", 780, 4, 0),
    ("reserved", 628, 4, 0),
    ("custom", 12, 4, 0),
];

/// A register, or what stands for the reserved and custom ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg(u8);

impl Axis for Reg {
    const NAME: &'static str = "register";
    const COUNT: usize = REGISTERS.len();
    fn index(self) -> usize {
        self.0.into()
    }
    fn from_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }
    fn label(self) -> String {
        REGISTERS[self.index()].0.to_owned()
    }
}

impl Reg {
    /// The register that has the word at `offset`.
    #[must_use]
    pub fn at(offset: u16) -> Self {
        let base = match offset {
            104..352 => 104,
            352..600 => 352,
            768..1024 => match offset & 15 {
                0..8 => 768,
                8..12 => 776,
                _ => 780,
            },
            12..16 => 12,
            688..760 => 12,
            628..688 | 1024.. => 628,
            other => other,
        };
        let found = REGISTERS
            .iter()
            .position(|&(_, at, size, _)| at <= base && base < at + u16::from(size));
        Self(found.unwrap_or(29) as u8)
    }

    /// Whether it has eight bytes.
    #[must_use]
    pub fn eight(self) -> bool {
        REGISTERS[self.index()].2 == 8
    }

    /// Whether it stands in the high half of the bus.
    fn high(self) -> bool {
        REGISTERS[self.index()].1 & 4 != 0
    }

    /// Reserved and custom words have both places.
    fn anywhere(self) -> bool {
        self.index() == 29
    }
}

/// A field: register and name, offset of its 8-byte word, low bit, bits, what it needs.
type FieldRow = (&'static str, u16, u8, u8, &'static str, u64);

const FIELDS: &[FieldRow] = &[
    ("fctl.BE", 8, 0, 1, "", 0),
    ("fctl.WSI", 8, 1, 1, "", 0),
    ("fctl.GXL", 8, 2, 1, "", 0),
    ("ddtp.iommu_mode", 16, 0, 4, "", 0),
    ("ddtp.PPN", 16, 10, 44, "", 0),
    ("cqb.LOG2SZ-1", 24, 0, 5, "", 0),
    ("cqb.PPN", 24, 10, 44, "", 0),
    ("cqt", 32, 32, 32, "", 0),
    ("fqb.LOG2SZ-1", 40, 0, 5, "", 0),
    ("fqb.PPN", 40, 10, 44, "", 0),
    ("fqh", 48, 0, 32, "", 0),
    ("pqb.LOG2SZ-1", 56, 0, 5, "ATS", C::ATS),
    ("pqb.PPN", 56, 10, 44, "ATS", C::ATS),
    ("pqh", 64, 0, 32, "ATS", C::ATS),
    ("cqcsr.cqen", 72, 0, 1, "", 0),
    ("cqcsr.cie", 72, 1, 1, "", 0),
    ("cqcsr.cqmf", 72, 8, 1, "", 0),
    ("cqcsr.cmd_to", 72, 9, 1, "", 0),
    ("cqcsr.cmd_ill", 72, 10, 1, "", 0),
    ("cqcsr.fence_w_ip", 72, 11, 1, "", 0),
    ("fqcsr.fqen", 72, 32, 1, "", 0),
    ("fqcsr.fie", 72, 33, 1, "", 0),
    ("fqcsr.fqmf", 72, 40, 1, "", 0),
    ("fqcsr.fqof", 72, 41, 1, "", 0),
    ("pqcsr.pqen", 80, 0, 1, "ATS", C::ATS),
    ("pqcsr.pie", 80, 1, 1, "ATS", C::ATS),
    ("pqcsr.pqmf", 80, 8, 1, "ATS", C::ATS),
    ("pqcsr.pqof", 80, 9, 1, "ATS", C::ATS),
    ("ipsr.cip", 80, 32, 1, "", 0),
    ("ipsr.fip", 80, 33, 1, "", 0),
    ("ipsr.pmip", 80, 34, 1, "", 0),
    ("ipsr.pip", 80, 35, 1, "", 0),
    ("iocountinh.CY", 88, 32, 1, "HPM", C::HPM),
    ("iocountinh.HPM", 88, 33, 31, "HPM", C::HPM),
    ("iohpmcycles.counter", 96, 0, 63, "HPM", C::HPM),
    ("iohpmcycles.OF", 96, 63, 1, "HPM", C::HPM),
    ("iohpmctr1", 104, 0, 64, "HPM", C::HPM),
    ("iohpmevt1.eventID", 352, 0, 15, "HPM", C::HPM),
    ("iohpmevt1.DMASK", 352, 15, 1, "HPM", C::HPM),
    ("iohpmevt1.PID_PSCID", 352, 16, 20, "HPM", C::HPM),
    ("iohpmevt1.DID_GSCID", 352, 36, 24, "HPM", C::HPM),
    ("iohpmevt1.PV_PSCV", 352, 60, 1, "HPM", C::HPM),
    ("iohpmevt1.DV_GSCV", 352, 61, 1, "HPM", C::HPM),
    ("iohpmevt1.IDT", 352, 62, 1, "HPM", C::HPM),
    ("iohpmevt1.OF", 352, 63, 1, "HPM", C::HPM),
    ("tr_req_iova.vpn", 600, 12, 52, "DBG", C::DBG),
    ("tr_req_ctl.Priv", 608, 1, 1, "DBG", C::DBG),
    ("tr_req_ctl.Exe", 608, 2, 1, "DBG", C::DBG),
    ("tr_req_ctl.NW", 608, 3, 1, "DBG", C::DBG),
    ("tr_req_ctl.PID", 608, 12, 20, "DBG", C::DBG),
    ("tr_req_ctl.PV", 608, 32, 1, "DBG", C::DBG),
    ("tr_req_ctl.DID", 608, 40, 24, "DBG", C::DBG),
    ("iommu_qosid.RCID", 624, 0, 12, "QOSID", C::QOSID),
    ("iommu_qosid.MCID", 624, 16, 12, "QOSID", C::QOSID),
    ("icvec.civ", 760, 0, 4, "", 0),
    ("icvec.fiv", 760, 4, 4, "", 0),
    ("icvec.pmiv", 760, 8, 4, "", 0),
    ("icvec.piv", 760, 12, 4, "", 0),
    ("msi_addr", 768, 2, 54, "", 0),
    ("msi_data", 776, 0, 32, "", 0),
    ("msi_vec_ctl.M", 776, 32, 1, "", 0),
];

/// A field of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field(u8);

impl Axis for Field {
    const NAME: &'static str = "field";
    const COUNT: usize = FIELDS.len();
    fn index(self) -> usize {
        self.0.into()
    }
    fn from_index(index: usize) -> Option<Self> {
        (index < Self::COUNT).then_some(Self(index as u8))
    }
    fn label(self) -> String {
        FIELDS[self.index()].0.to_owned()
    }
}

impl Field {
    /// Calls `f` for each field that a write reaches in whole, with what is written to it; fields that
    /// `capabilities` lacks are no fields.
    pub fn written(
        offset: u16,
        data: u64,
        strobes: u8,
        caps: u64,
        mut f: impl FnMut(Field, Value),
    ) {
        let word = offset & !7;
        // Entries of the tables share their fields.
        let word = match word {
            768..1024 => 768 + (word & 8),
            other => other,
        };
        for (n, &(_, at, low, bits, _, needs)) in FIELDS.iter().enumerate() {
            if at != word || caps & needs != needs {
                continue;
            }
            let (from, to) = (low / 8, (low + bits - 1) / 8);
            if !(from..=to).all(|lane| strobes >> lane & 1 == 1) {
                continue;
            }
            let mask = u64::MAX >> (64 - bits);
            let value = match data >> low & mask {
                0 => Value::Zero,
                v if v == mask => Value::Ones,
                _ => Value::Mixed,
            };
            f(Field(n as u8), value);
        }
    }

    fn bits(self) -> u8 {
        FIELDS[self.index()].3
    }
}

static HALVES: Impossible = Impossible {
    name: "four-byte-register",
    why: "a 4-byte register has one half, and no 8-byte access is defined",
};
static ONE_BIT: Impossible = Impossible {
    name: "one-bit",
    why: "a bit is 0 or 1",
};
static HALF_AT_A_TIME: Impossible = Impossible {
    name: "unspecified-values",
    why: "not written by anything legal: a table root or queue beyond memory, UNSPECIFIED while in use",
};
static ONE_PLACE: Impossible = Impossible {
    name: "custom-is-at-12",
    why: "custom registers are 4-byte words here",
};

fn access((reg, how): (Reg, How), _: &Target) -> Option<Why> {
    if reg.eight() || reg.anywhere() {
        return when(&HALVES, reg.anywhere() && how == How::WriteBoth);
    }
    let custom = reg.index() == 30;
    first([
        when(&ONE_PLACE, custom && how == How::WriteBoth),
        when(
            &HALVES,
            !custom
                && (how == How::WriteBoth
                    || matches!(how, How::ReadLow | How::WriteLow) == reg.high()),
        ),
    ])
}

fn field((f, value): (Field, Value), t: &Target) -> Option<Why> {
    let (name, .., what, bits) = FIELDS[f.index()];
    first([
        when(&ONE_BIT, f.bits() == 1 && value == Value::Mixed),
        needs(t, what, bits, bits != 0),
        when(
            &HALF_AT_A_TIME,
            name == "fctl.GXL" && value == Value::Ones && !t.config.choices.gxl.writable(),
        ),
        when(
            &HALF_AT_A_TIME,
            name.starts_with("msi") && t.config.capabilities.igs() == Igs::Wsi,
        ),
    ])
}

covers! {
    /// Registers.
    pub struct RegisterCoverage: "reg" {
        /// Each register, each way of access.
        must "REG-01" access: [Reg, How] except access;
        /// Each writable field, zeros and ones.
        must "REG-15" field: [Field, Value] except field;
        /// Accesses that the specification leaves open.
        must "REG-02" odd: [Odd];
        /// Registers that were read before anything was written.
        must "REG-05" reset_read: [Reg] except |(reg,), _| when(&NOT_RESET, !RESET.contains(&reg.index()));
    }
}

/// capabilities, fctl, ddtp, cqcsr, fqcsr, pqcsr, ipsr, tr_req_ctl.
const RESET: [usize; 7] = [0, 1, 2, 12, 13, 14, 15];
static NOT_RESET: Impossible = Impossible {
    name: "no-reset-value",
    why: "'Reset behavior' gives this register none",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        for (offset, name) in [
            (0, "capabilities"),
            (4, "capabilities"),
            (12, "custom"),
            (20, "ddtp"),
            (80, "pqcsr"),
            (110, "iohpmctr"),
            (596, "iohpmevt"),
            (640, "reserved"),
            (700, "custom"),
            (1020, "msi_vec_ctl"),
            (784, "msi_addr"),
            (4088, "reserved"),
        ] {
            assert_eq!(Reg::at(offset).label(), name, "{offset}");
        }
    }

    #[test]
    fn fields_need_their_bytes() {
        let mut seen = Vec::new();
        Field::written(72, 1 | 3 << 32, 0x0f, 0, |f, v| seen.push((f.label(), v)));
        assert_eq!(seen.len(), 6, "{seen:?}");
        assert_eq!(seen[0], ("cqcsr.cqen".to_owned(), Value::Ones));
        seen.clear();
        Field::written(1000, u64::MAX, 0xf0, 0, |f, v| seen.push((f.label(), v)));
        assert_eq!(seen, [("msi_vec_ctl.M".to_owned(), Value::Ones)]);
    }
}
