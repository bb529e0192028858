//! Commands: their format and what makes one illegal (section "Command-Queue").

use crate::addr::Spa;
use crate::caps::Capabilities;
use crate::config::{Choices, Reserved};

/// Operands of `IOTINVAL.VMA` and `IOTINVAL.GVMA`, as given (ignored ones included).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iotinval {
    /// `GV`.
    pub gv: bool,
    /// `AV`.
    pub av: bool,
    /// `PSCV`; false for GVMA.
    pub pscv: bool,
    /// `NL` (0 without `capabilities.NL`).
    pub nl: bool,
    /// `S` (0 without `capabilities.S`).
    pub s: bool,
    /// `GSCID`, 16 bits.
    pub gscid: u16,
    /// `PSCID`, 20 bits.
    pub pscid: u32,
    /// `ADDR[63:12]`, 52 bits.
    pub addr: u64,
}

/// Operands of `IOFENCE.C`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iofence {
    /// `AV`: write `data` to `addr` on completion.
    pub av: bool,
    /// `WSI`: set `fence_w_ip` on completion.
    pub wsi: bool,
    /// `PR`: previous reads reach the global ordering point.
    pub pr: bool,
    /// `PW`: previous writes reach the global ordering point.
    pub pw: bool,
    /// `DATA`.
    pub data: u32,
    /// `ADDR[63:2] * 4`.
    pub addr: Spa,
}

/// Operands of `ATS.INVAL` and `ATS.PRGR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AtsMessage {
    /// `PID`, if `PV`: the message carries it as PASID.
    pub process_id: Option<u32>,
    /// `RID`.
    pub rid: u16,
    /// `DSEG`, if `DSV`.
    pub segment: Option<u8>,
    /// Message body.
    pub payload: u64,
}

/// A legal, supported command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// `IOTINVAL.VMA`.
    IotinvalVma(Iotinval),
    /// `IOTINVAL.GVMA`.
    IotinvalGvma(Iotinval),
    /// `IOFENCE.C`.
    Iofence(Iofence),
    /// `IODIR.INVAL_DDT`; the device if `DV`.
    InvalDdt {
        /// `DID`, if `DV`.
        device_id: Option<u32>,
    },
    /// `IODIR.INVAL_PDT`.
    InvalPdt {
        /// `DID`.
        device_id: u32,
        /// `PID`.
        process_id: u32,
    },
    /// `ATS.INVAL`.
    AtsInval(AtsMessage),
    /// `ATS.PRGR`.
    AtsPrgr(AtsMessage),
}

/// Why a command is illegal or unsupported: either sets `cmd_ill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CommandError {
    /// "uses a reserved encoding" of `opcode` or `func3`.
    #[error("opcode {opcode} func3 {func3} is a reserved encoding")]
    ReservedEncoding {
        /// `opcode`.
        opcode: u8,
        /// `func3`.
        func3: u8,
    },
    /// "a reserved bit is set to 1": the bits, in the doubleword.
    #[error("reserved bits {bits:#x} of doubleword {word} are set")]
    ReservedBits {
        /// Doubleword 0 or 1.
        word: u8,
        /// The reserved bits that are set.
        bits: u64,
    },
    /// "Setting PSCV to 1 with IOTINVAL.GVMA is illegal."
    #[error("PSCV with IOTINVAL.GVMA")]
    PscvWithGvma,
    /// "The DV operand must be 1 for IODIR.INVAL_PDT else the command is illegal."
    #[error("IODIR.INVAL_PDT without DV")]
    InvalPdtWithoutDv,
    /// An `IODIR` operand is wider than supported.
    #[error("{operand} is wider than supported")]
    WideOperand {
        /// DID or PID.
        operand: &'static str,
    },
    /// "This bit is reserved if ... fctl.WSI == 0".
    #[error("IOFENCE.C with WSI while fctl.WSI is 0")]
    WsiReserved,
    /// "defined but not implemented as determined by the IOMMU capabilities register".
    #[error("{command} is not supported by capabilities")]
    Unsupported {
        /// The command.
        command: &'static str,
    },
    /// Opcodes 64 to 127: custom, and the model has none.
    #[error("custom opcode {opcode}")]
    Custom {
        /// `opcode`.
        opcode: u8,
    },
}

/// What decoding depends on besides the command itself.
#[derive(Debug, Clone, Copy)]
pub struct DecodeContext<'a> {
    /// `capabilities`.
    pub capabilities: Capabilities,
    /// Implementation-defined choices.
    pub choices: &'a Choices,
    /// `fctl.WSI`.
    pub wsi: bool,
    /// Bits of a `device_id` that `ddtp.iommu_mode` supports (24 in Off and Bare, where no
    /// width is defined).
    pub device_id_bits: u8,
}

const fn field(word: u64, low: u32, bits: u32) -> u64 {
    (word >> low) & ((1 << bits) - 1)
}

const fn bit(word: u64, n: u32) -> bool {
    (word >> n) & 1 == 1
}

fn no_reserved(word: u8, value: u64, reserved: u64) -> Result<(), CommandError> {
    match value & reserved {
        0 => Ok(()),
        bits => Err(CommandError::ReservedBits { word, bits }),
    }
}

const fn mask(high: u32, low: u32) -> u64 {
    (u64::MAX >> (63 - high)) & (u64::MAX << low)
}

impl Command {
    /// Decodes the two doublewords of a command (values; byte order already resolved).
    ///
    /// "A command is determined to be illegal if it uses a reserved encoding or if a reserved
    /// bit is set to 1. A command is unsupported if it is defined but not implemented as
    /// determined by the IOMMU capabilities register."
    ///
    /// # Errors
    /// What makes the command illegal or unsupported.
    pub fn decode(words: [u64; 2], ctx: &DecodeContext<'_>) -> Result<Command, CommandError> {
        let [w0, w1] = words;
        let opcode = field(w0, 0, 7) as u8;
        let func3 = field(w0, 7, 3) as u8;
        match (opcode, func3) {
            (1, 0 | 1) => Self::iotinval(w0, w1, func3 == 1, ctx),
            (2, 0) => Self::iofence(w0, w1, ctx),
            (3, 0) => Self::inval_ddt(w0, w1, ctx),
            (3, 1) => Self::inval_pdt(w0, w1, ctx),
            (4, 0 | 1) => Self::ats(w0, w1, func3 == 1, ctx),
            // "The opcode encodings 64 to 127 are designated for custom use."
            (64..=127, _) => Err(CommandError::Custom { opcode }),
            // "All undefined functions of command opcodes 0 through 63 are reserved"
            _ => Err(CommandError::ReservedEncoding { opcode, func3 }),
        }
    }

    fn iotinval(
        w0: u64,
        w1: u64,
        gvma: bool,
        ctx: &DecodeContext<'_>,
    ) -> Result<Command, CommandError> {
        // "When the capabilities.NL bit is 0, bit 34 remains reserved."
        let nl_reserved = if ctx.capabilities.has(Capabilities::NL) {
            0
        } else {
            1 << 34
        };
        // "When the capabilities.S bit is 0, bit 73 remains reserved."
        let s_reserved = if ctx.capabilities.has(Capabilities::S) {
            0
        } else {
            1 << 9
        };
        no_reserved(0, w0, (1 << 11) | mask(43, 35) | mask(63, 60) | nl_reserved)?;
        no_reserved(1, w1, mask(8, 0) | mask(63, 62) | s_reserved)?;
        let o = Iotinval {
            gv: bit(w0, 33),
            av: bit(w0, 10),
            pscv: bit(w0, 32),
            nl: bit(w0, 34),
            s: bit(w1, 9),
            gscid: field(w0, 44, 16) as u16,
            pscid: field(w0, 12, 20) as u32,
            addr: field(w1, 10, 52),
        };
        if gvma {
            // "Setting PSCV to 1 with IOTINVAL.GVMA is illegal."
            if o.pscv {
                return Err(CommandError::PscvWithGvma);
            }
            Ok(Command::IotinvalGvma(o))
        } else {
            Ok(Command::IotinvalVma(o))
        }
    }

    fn iofence(w0: u64, w1: u64, ctx: &DecodeContext<'_>) -> Result<Command, CommandError> {
        no_reserved(0, w0, mask(31, 14))?;
        no_reserved(1, w1, mask(63, 62))?;
        let f = Iofence {
            av: bit(w0, 10),
            wsi: bit(w0, 11),
            pr: bit(w0, 12),
            pw: bit(w0, 13),
            data: (w0 >> 32) as u32,
            addr: Spa(field(w1, 0, 62) << 2),
        };
        // "This bit is reserved if the IOMMU does not support wired-interrupts or
        // wired-interrupts have not been enabled (i.e., fctl.WSI == 0)."
        if f.wsi && !ctx.wsi {
            return Err(CommandError::WsiReserved);
        }
        Ok(Command::Iofence(f))
    }

    fn wide_did(did: u32, ctx: &DecodeContext<'_>) -> Result<(), CommandError> {
        // "When DV operand is 1, the value of the DID operand must not be wider than that
        // supported by the ddtp.iommu_mode."
        let wide = u64::from(did) >> ctx.device_id_bits.min(24) != 0;
        if wide && ctx.choices.wide_operand == Reserved::Rejected {
            return Err(CommandError::WideOperand { operand: "DID" });
        }
        Ok(())
    }

    fn inval_ddt(w0: u64, w1: u64, ctx: &DecodeContext<'_>) -> Result<Command, CommandError> {
        // "The PID operand is reserved for the IODIR.INVAL_DDT command."
        no_reserved(
            0,
            w0,
            mask(11, 10) | mask(31, 12) | (1 << 32) | mask(39, 34),
        )?;
        no_reserved(1, w1, u64::MAX)?;
        // "If DV is 0, ... the DID operand is ignored."
        if !bit(w0, 33) {
            return Ok(Command::InvalDdt { device_id: None });
        }
        let did = field(w0, 40, 24) as u32;
        Self::wide_did(did, ctx)?;
        Ok(Command::InvalDdt {
            device_id: Some(did),
        })
    }

    fn inval_pdt(w0: u64, w1: u64, ctx: &DecodeContext<'_>) -> Result<Command, CommandError> {
        no_reserved(0, w0, mask(11, 10) | (1 << 32) | mask(39, 34))?;
        no_reserved(1, w1, u64::MAX)?;
        // "The DV operand must be 1 for IODIR.INVAL_PDT else the command is illegal."
        if !bit(w0, 33) {
            return Err(CommandError::InvalPdtWithoutDv);
        }
        let did = field(w0, 40, 24) as u32;
        let pid = field(w0, 12, 20) as u32;
        Self::wide_did(did, ctx)?;
        // "The PID operand of IODIR.INVAL_PDT must not be wider than the width supported by
        // the IOMMU (see capabilities)."
        let caps = ctx.capabilities;
        let pid_bits = if caps.has(Capabilities::PD20) {
            20
        } else if caps.has(Capabilities::PD17) {
            17
        } else if caps.has(Capabilities::PD8) {
            8
        } else if ctx.choices.inval_pdt_without_pdt == Reserved::Rejected {
            return Err(CommandError::Unsupported {
                command: "IODIR.INVAL_PDT",
            });
        } else {
            20
        };
        if pid >> pid_bits != 0 && ctx.choices.wide_operand == Reserved::Rejected {
            return Err(CommandError::WideOperand { operand: "PID" });
        }
        Ok(Command::InvalPdt {
            device_id: did,
            process_id: pid,
        })
    }

    fn ats(w0: u64, w1: u64, prgr: bool, ctx: &DecodeContext<'_>) -> Result<Command, CommandError> {
        // "This command is supported if capabilities.ATS is set to 1."
        if !ctx.capabilities.has(Capabilities::ATS) {
            return Err(CommandError::Unsupported {
                command: if prgr { "ATS.PRGR" } else { "ATS.INVAL" },
            });
        }
        no_reserved(0, w0, mask(11, 10) | mask(39, 34))?;
        let m = AtsMessage {
            // "if PV operand is set to 0, then the PID operand is ignored and the message is
            // generated without a PASID."
            process_id: bit(w0, 32).then_some(field(w0, 12, 20) as u32),
            rid: field(w0, 40, 16) as u16,
            // "If the DSV operand is 0, then the DSEG operand is ignored."
            segment: bit(w0, 33).then_some(field(w0, 56, 8) as u8),
            payload: w1,
        };
        Ok(if prgr {
            Command::AtsPrgr(m)
        } else {
            Command::AtsInval(m)
        })
    }

    /// The two doublewords of this command, as software writes them.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        fn b(v: impl Into<u64>) -> u64 {
            v.into()
        }
        let ats = |func3: u64, m: &AtsMessage| {
            [
                4 | (func3 << 7)
                    | (b(m.process_id.unwrap_or(0) & 0xf_ffff) << 12)
                    | (b(m.process_id.is_some()) << 32)
                    | (b(m.segment.is_some()) << 33)
                    | (b(m.rid) << 40)
                    | (b(m.segment.unwrap_or(0)) << 56),
                m.payload,
            ]
        };
        let iotinval = |func3: u64, o: &Iotinval| {
            [
                1 | (func3 << 7)
                    | (b(o.av) << 10)
                    | (b(o.pscid & 0xf_ffff) << 12)
                    | (b(o.pscv) << 32)
                    | (b(o.gv) << 33)
                    | (b(o.nl) << 34)
                    | (b(o.gscid) << 44),
                (b(o.s) << 9) | ((o.addr & mask(51, 0)) << 10),
            ]
        };
        match self {
            Command::IotinvalVma(o) => iotinval(0, o),
            Command::IotinvalGvma(o) => iotinval(1, o),
            Command::Iofence(f) => [
                2 | (b(f.av) << 10)
                    | (b(f.wsi) << 11)
                    | (b(f.pr) << 12)
                    | (b(f.pw) << 13)
                    | (b(f.data) << 32),
                f.addr.0 >> 2,
            ],
            Command::InvalDdt { device_id } => [
                3 | (b(device_id.is_some()) << 33) | (b(device_id.unwrap_or(0) & 0xff_ffff) << 40),
                0,
            ],
            Command::InvalPdt {
                device_id,
                process_id,
            } => [
                3 | (1 << 7)
                    | (b(process_id & 0xf_ffff) << 12)
                    | (1 << 33)
                    | (b(device_id & 0xff_ffff) << 40),
                0,
            ],
            Command::AtsInval(m) => ats(0, m),
            Command::AtsPrgr(m) => ats(1, m),
        }
    }
}
