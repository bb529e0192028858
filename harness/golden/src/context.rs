//! Device contexts and process contexts: their fields and configuration checks
//! (sections "Device-Directory-Table" and "Process-Directory-Table").

use crate::caps::Capabilities;
use crate::config::{Config, Reserved, WideAddress};
use crate::observe::Rule;

const DC: &str = "Device-context configuration checks";
const PC: &str = "Process-context configuration checks";

/// `iosatp.MODE`, `PC.fsc.MODE`: Bare or a paged scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FirstStageMode {
    /// No translation or protection.
    Bare,
    /// Two levels, 4-byte entries (SXL=1).
    Sv32,
    /// Three levels.
    Sv39,
    /// Four levels.
    Sv48,
    /// Five levels.
    Sv57,
}

/// `iohgatp.MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecondStageMode {
    /// No translation or protection.
    Bare,
    /// Two levels, 4-byte entries (GXL=1).
    Sv32x4,
    /// Three levels.
    Sv39x4,
    /// Four levels.
    Sv48x4,
    /// Five levels.
    Sv57x4,
}

impl FirstStageMode {
    /// Tables "Encodings of iosatp.MODE field" for `DC.tc.SXL` 0 and 1; `None` for values
    /// that are reserved or designated for custom use.
    #[must_use]
    #[inline]
    pub const fn decode(mode: u64, sxl: bool) -> Option<Self> {
        match (sxl, mode) {
            (_, 0) => Some(Self::Bare),
            (false, 8) => Some(Self::Sv39),
            (false, 9) => Some(Self::Sv48),
            (false, 10) => Some(Self::Sv57),
            (true, 8) => Some(Self::Sv32),
            _ => None,
        }
    }

    /// Whether `capabilities` has the scheme.
    #[must_use]
    #[inline]
    pub const fn supported(self, caps: Capabilities) -> bool {
        match self {
            Self::Bare => true,
            Self::Sv32 => caps.has(Capabilities::SV32),
            Self::Sv39 => caps.has(Capabilities::SV39),
            Self::Sv48 => caps.has(Capabilities::SV48),
            Self::Sv57 => caps.has(Capabilities::SV57),
        }
    }
}

impl SecondStageMode {
    /// Tables "Encodings of iohgatp.MODE field" for `fctl.GXL` 0 and 1; `None` for reserved values.
    #[must_use]
    #[inline]
    pub const fn decode(mode: u64, gxl: bool) -> Option<Self> {
        match (gxl, mode) {
            (_, 0) => Some(Self::Bare),
            (false, 8) => Some(Self::Sv39x4),
            (false, 9) => Some(Self::Sv48x4),
            (false, 10) => Some(Self::Sv57x4),
            (true, 8) => Some(Self::Sv32x4),
            _ => None,
        }
    }

    /// Whether `capabilities` has the scheme.
    #[must_use]
    #[inline]
    pub const fn supported(self, caps: Capabilities) -> bool {
        match self {
            Self::Bare => true,
            Self::Sv32x4 => caps.has(Capabilities::SV32X4),
            Self::Sv39x4 => caps.has(Capabilities::SV39X4),
            Self::Sv48x4 => caps.has(Capabilities::SV48X4),
            Self::Sv57x4 => caps.has(Capabilities::SV57X4),
        }
    }
}

/// `pdtp.MODE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PdtMode {
    /// No first-stage translation.
    Bare,
    /// One level, 8-bit process ids.
    Pd8,
    /// Two levels, 17-bit process ids.
    Pd17,
    /// Three levels, 20-bit process ids.
    Pd20,
}

impl PdtMode {
    /// Table "Encodings of pdtp.MODE field".
    #[must_use]
    #[inline]
    pub const fn decode(mode: u64) -> Option<Self> {
        match mode {
            0 => Some(Self::Bare),
            1 => Some(Self::Pd8),
            2 => Some(Self::Pd17),
            3 => Some(Self::Pd20),
            _ => None,
        }
    }

    /// Levels of the directory; 0 for Bare.
    #[must_use]
    pub const fn levels(self) -> u8 {
        match self {
            Self::Bare => 0,
            Self::Pd8 => 1,
            Self::Pd17 => 2,
            Self::Pd20 => 3,
        }
    }

    /// Bits of a `process_id` that the mode supports. Bare restricts nothing.
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::Pd8 => 8,
            Self::Pd17 => 17,
            Self::Bare | Self::Pd20 => 20,
        }
    }
}

/// A device context: the doublewords as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DeviceContext {
    /// Translation control.
    pub tc: u64,
    /// Second-stage root, mode, GSCID.
    pub iohgatp: u64,
    /// Translation attributes.
    pub ta: u64,
    /// `iosatp` or `pdtp`.
    pub fsc: u64,
    /// MSI page-table pointer (0 in base format, as are the following).
    pub msiptp: u64,
    /// MSI address mask.
    pub msi_addr_mask: u64,
    /// MSI address pattern.
    pub msi_addr_pattern: u64,
    /// The reserved eighth doubleword.
    pub reserved: u64,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $word:ident[$bit:literal];)*) => {
        $($(#[$doc])* #[must_use] pub const fn $name(&self) -> bool { (self.$word >> $bit) & 1 == 1 })*
    };
}

/// `PPN` in the low 44 bits.
const PPN: u64 = (1 << 44) - 1;
/// Bits 59:44, reserved in `iosatp`, `pdtp`, `msiptp` and `PC.fsc`.
const RESERVED_59_44: u64 = 0xffff << 44;

impl DeviceContext {
    flags! {
        /// `V`.
        v = tc[0];
        /// `EN_ATS`.
        en_ats = tc[1];
        /// `EN_PRI`.
        en_pri = tc[2];
        /// `T2GPA`.
        t2gpa = tc[3];
        /// `DTF`.
        dtf = tc[4];
        /// `PDTV`.
        pdtv = tc[5];
        /// `PRPR`.
        prpr = tc[6];
        /// `GADE`.
        gade = tc[7];
        /// `SADE`.
        sade = tc[8];
        /// `DPE`.
        dpe = tc[9];
        /// `SBE`.
        sbe = tc[10];
        /// `SXL`.
        sxl = tc[11];
    }

    /// From the words of memory, already in value order: four in base format, eight in extended.
    #[must_use]
    #[inline]
    pub fn from_words(words: &[u64]) -> Self {
        let w = |n: usize| words.get(n).copied().unwrap_or(0);
        Self {
            tc: w(0),
            iohgatp: w(1),
            ta: w(2),
            fsc: w(3),
            msiptp: w(4),
            msi_addr_mask: w(5),
            msi_addr_pattern: w(6),
            reserved: w(7),
        }
    }

    /// All eight doublewords; base format uses the first four.
    #[must_use]
    pub const fn to_words(&self) -> [u64; 8] {
        [
            self.tc,
            self.iohgatp,
            self.ta,
            self.fsc,
            self.msiptp,
            self.msi_addr_mask,
            self.msi_addr_pattern,
            self.reserved,
        ]
    }

    /// `iohgatp.PPN`.
    #[must_use]
    pub const fn iohgatp_ppn(&self) -> u64 {
        self.iohgatp & PPN
    }

    /// `iohgatp.GSCID`.
    #[must_use]
    pub const fn gscid(&self) -> u16 {
        (self.iohgatp >> 44) as u16
    }

    /// `iohgatp.MODE` as a number.
    #[must_use]
    pub const fn iohgatp_mode(&self) -> u64 {
        self.iohgatp >> 60
    }

    /// `ta.PSCID`.
    #[must_use]
    pub const fn pscid(&self) -> u32 {
        ((self.ta >> 12) & 0xf_ffff) as u32
    }

    /// `ta.RCID`.
    #[must_use]
    pub const fn rcid(&self) -> u16 {
        ((self.ta >> 40) & 0xfff) as u16
    }

    /// `ta.MCID`.
    #[must_use]
    pub const fn mcid(&self) -> u16 {
        ((self.ta >> 52) & 0xfff) as u16
    }

    /// `fsc.PPN` of `iosatp` or `pdtp`.
    #[must_use]
    pub const fn fsc_ppn(&self) -> u64 {
        self.fsc & PPN
    }

    /// `fsc.MODE` of `iosatp` or `pdtp`, as a number.
    #[must_use]
    pub const fn fsc_mode(&self) -> u64 {
        self.fsc >> 60
    }

    /// `msiptp.PPN`.
    #[must_use]
    pub const fn msiptp_ppn(&self) -> u64 {
        self.msiptp & PPN
    }

    /// `msiptp.MODE` as a number: 0 Off, 1 Flat.
    #[must_use]
    pub const fn msiptp_mode(&self) -> u64 {
        self.msiptp >> 60
    }

    /// Section "MSI address mask and pattern": whether guest physical page `page` is that of
    /// a virtual interrupt file.
    #[must_use]
    pub const fn is_interrupt_file(&self, page: u64) -> bool {
        // "(A >> 12) & ~msi_addr_mask = (msi_addr_pattern & ~msi_addr_mask)"
        page & !self.msi_addr_mask == self.msi_addr_pattern & !self.msi_addr_mask
    }

    /// Section "Device-context configuration checks": which condition makes this (valid)
    /// context misconfigured, if one does. `be` and `gxl` are the bits of `fctl`.
    ///
    /// # Errors
    /// The first condition, in the section's order, that is true.
    #[inline]
    pub fn check(&self, cfg: &Config, be: bool, gxl: bool) -> Result<(), Rule> {
        let caps = cfg.capabilities;
        let ch = &cfg.choices;
        let has = |bits| caps.has(bits);
        let wrong = |step| Err(Rule::new(DC, step));

        // 1. "If any bits or encodings that are reserved for future standard use are set."
        if self.reserved_bits_set(caps) {
            return wrong("1: reserved bits");
        }
        // 2. "capabilities.ATS is 0 and DC.tc.EN_ATS, or DC.tc.EN_PRI, or DC.tc.PRPR is 1"
        if !has(Capabilities::ATS) && (self.en_ats() || self.en_pri() || self.prpr()) {
            return wrong("2: EN_ATS, EN_PRI or PRPR without capabilities.ATS");
        }
        // 3. "DC.tc.EN_ATS is 0 and DC.tc.T2GPA is 1"
        if !self.en_ats() && self.t2gpa() {
            return wrong("3: T2GPA without EN_ATS");
        }
        // 4. "DC.tc.EN_ATS is 0 and DC.tc.EN_PRI is 1"
        if !self.en_ats() && self.en_pri() {
            return wrong("4: EN_PRI without EN_ATS");
        }
        // 5. "DC.tc.EN_PRI is 0 and DC.tc.PRPR is 1"
        if !self.en_pri() && self.prpr() {
            return wrong("5: PRPR without EN_PRI");
        }
        // 6. "capabilities.T2GPA is 0 and DC.tc.T2GPA is 1"
        if !has(Capabilities::T2GPA) && self.t2gpa() {
            return wrong("6: T2GPA without capabilities.T2GPA");
        }
        let hgatp = SecondStageMode::decode(self.iohgatp_mode(), gxl);
        // 7. "DC.tc.T2GPA is 1 and DC.iohgatp.MODE is Bare"
        if self.t2gpa() && hgatp == Some(SecondStageMode::Bare) {
            return wrong("7: T2GPA with iohgatp Bare");
        }
        if self.pdtv() {
            // 8. "DC.tc.PDTV is 1 and DC.fsc.pdtp.MODE is not a supported mode"
            let supported = match PdtMode::decode(self.fsc_mode()) {
                None => false,
                Some(PdtMode::Bare) => true,
                Some(PdtMode::Pd20) => has(Capabilities::PD20),
                Some(PdtMode::Pd17) => has(Capabilities::PD17),
                Some(PdtMode::Pd8) => has(Capabilities::PD8),
            };
            if !supported {
                return wrong("8: pdtp.MODE not supported");
            }
        } else {
            match FirstStageMode::decode(self.fsc_mode(), self.sxl()) {
                // 9. "DC.tc.PDTV is 0 and DC.fsc.iosatp.MODE encoding is not a valid encoding"
                None => return wrong("9: iosatp.MODE is not a valid encoding"),
                // 10. "PDTV is 0 and SXL is 0 [and] iosatp.MODE is not one of the supported modes"
                // 11. "PDTV is 0 and SXL is 1 [and] iosatp.MODE is not one of the supported modes"
                Some(m) if !m.supported(caps) => {
                    return wrong(if self.sxl() {
                        "11: iosatp.MODE not supported (SXL=1)"
                    } else {
                        "10: iosatp.MODE not supported (SXL=0)"
                    });
                }
                Some(_) => {}
            }
            // 12. "DC.tc.PDTV is 0 and DC.tc.DPE is 1"
            if self.dpe() {
                return wrong("12: DPE without PDTV");
            }
        }
        match hgatp {
            // 13. "DC.iohgatp.MODE encoding is not a valid encoding"
            None => return wrong("13: iohgatp.MODE is not a valid encoding"),
            // 14. "fctl.GXL is 0 and DC.iohgatp.MODE is not a supported mode"
            // 15. "fctl.GXL is 1 and DC.iohgatp.MODE is not a supported mode"
            Some(m) if !m.supported(caps) => {
                return wrong(if gxl {
                    "15: iohgatp.MODE not supported (GXL=1)"
                } else {
                    "14: iohgatp.MODE not supported (GXL=0)"
                });
            }
            Some(_) => {}
        }
        // 16. "capabilities.MSI_FLAT is 1 and DC.msiptp.MODE is not Off and not Flat"
        if has(Capabilities::MSI_FLAT) && self.msiptp_mode() > 1 {
            return wrong("16: msiptp.MODE is not Off and not Flat");
        }
        let bare = hgatp == Some(SecondStageMode::Bare);
        // 17. "DC.iohgatp.MODE is not Bare and the root page table determined by
        // DC.iohgatp.PPN is not aligned to a 16-KiB boundary."
        if !bare && self.iohgatp_ppn() & 3 != 0 {
            return wrong("17: second-stage root not aligned to 16 KiB");
        }
        // 18. "capabilities.AMO_HWAD is 0 and DC.tc.SADE or DC.tc.GADE is 1"
        if !has(Capabilities::AMO_HWAD) && (self.sade() || self.gade()) {
            return wrong("18: SADE or GADE without capabilities.AMO_HWAD");
        }
        // 19. "capabilities.END is 0 and fctl.BE != DC.tc.SBE"
        if !has(Capabilities::END) && be != self.sbe() {
            return wrong("19: SBE differs from fctl.BE without capabilities.END");
        }
        // 20. "If fctl.GXL is 1, then DC.tc.SXL must be 1. If fctl.GXL is 0 and is writable,
        // then DC.tc.SXL may be 0 or 1. If fctl.GXL is 0 and is not writable then DC.tc.SXL
        // must be 0."
        let legal = if gxl {
            self.sxl()
        } else {
            ch.gxl.writable() || !self.sxl()
        };
        if !legal {
            return wrong("20: SXL is not a legal value");
        }
        // 21. "If fctl.BE is writable then DC.tc.SBE may be 0 or 1. If fctl.BE is not writable
        // then DC.tc.SBE must be the same as fctl.BE." fctl.BE is writable with
        // capabilities.END, so 19 has said it.
        //
        // 22. "capabilities.QOSID is 1 and DC.ta.RCID or DC.ta.MCID values are wider than that
        // supported by the IOMMU."
        if has(Capabilities::QOSID)
            && (self.rcid() >> ch.rcid_bits.min(12) != 0
                || self.mcid() >> ch.mcid_bits.min(12) != 0)
        {
            return wrong("22: RCID or MCID wider than supported");
        }
        // "When DC.iohgatp.MODE is Bare, DC.msiptp.MODE must be set to Off by software. All
        // other settings are reserved. Implementations are recommended to stop and report"
        if bare && self.msiptp_mode() != 0 && ch.bare_iohgatp_with_msi == Reserved::Rejected {
            return wrong("last paragraph: msiptp not Off with iohgatp Bare");
        }
        // Note: "Some implementations may verify the validity of the addresses"
        if ch.wide_address == WideAddress::Misconfigured {
            let wide = |ppn: u64| ppn << 12 >> caps.pas() != 0;
            let first_stage_used = self.fsc_mode() != 0;
            if (!bare && wide(self.iohgatp_ppn()))
                || (bare && first_stage_used && wide(self.fsc_ppn()))
                || (self.msiptp_mode() != 0 && wide(self.msiptp_ppn()))
            {
                return wrong("note: address wider than capabilities.PAS");
            }
        }
        Ok(())
    }

    /// Check 1: bits that the field diagrams show as reserved.
    #[inline]
    fn reserved_bits_set(&self, caps: Capabilities) -> bool {
        // tc: 23:12 and 63:32 are reserved, 31:24 are for custom use.
        if self.tc & (0xfff << 12 | 0xffff_ffff << 32) != 0 {
            return true;
        }
        // ta: 11:0 and 39:32; "If capabilities.QOSID is 0, [RCID, MCID] are reserved"
        let qos = if caps.has(Capabilities::QOSID) {
            0
        } else {
            0xff_ffff << 40
        };
        if self.ta & (0xfff | 0xff << 32 | qos) != 0 {
            return true;
        }
        // iosatp and pdtp: 59:44
        if self.fsc & RESERVED_59_44 != 0 {
            return true;
        }
        if !caps.has(Capabilities::MSI_FLAT) {
            return false;
        }
        // "if MGPAW < 64, then bits 51 : MGPAW - 12 are reserved"; 63:52 are in any case.
        let unused = !((1u64 << caps.mgpaw().saturating_sub(12)) - 1);
        self.msiptp & RESERVED_59_44 != 0
            || self.msi_addr_mask & unused != 0
            || self.msi_addr_pattern & unused != 0
            || self.reserved != 0
    }
}

/// A process context: the two doublewords as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProcessContext {
    /// Translation attributes.
    pub ta: u64,
    /// First-stage context.
    pub fsc: u64,
}

impl ProcessContext {
    flags! {
        /// `V`.
        v = ta[0];
        /// `ENS`.
        ens = ta[1];
        /// `SUM`.
        sum = ta[2];
    }

    /// `PSCID`.
    #[must_use]
    pub const fn pscid(&self) -> u32 {
        ((self.ta >> 12) & 0xf_ffff) as u32
    }

    /// `fsc.PPN`.
    #[must_use]
    pub const fn fsc_ppn(&self) -> u64 {
        self.fsc & PPN
    }

    /// `fsc.MODE` as a number.
    #[must_use]
    pub const fn fsc_mode(&self) -> u64 {
        self.fsc >> 60
    }

    /// Section "Process-context configuration checks"; `dc` is the device's context.
    ///
    /// # Errors
    /// The first condition, in the section's order, that is true.
    pub fn check(&self, cfg: &Config, dc: &DeviceContext) -> Result<(), Rule> {
        let caps = cfg.capabilities;
        let wrong = |step| Err(Rule::new(PC, step));
        // 1. "If any bits or encoding that are reserved for future standard use are set":
        // ta 11:3 and 63:32, fsc 59:44.
        if self.ta & (0x1ff << 3 | 0xffff_ffff << 32) != 0 || self.fsc & RESERVED_59_44 != 0 {
            return wrong("1: reserved bits");
        }
        match FirstStageMode::decode(self.fsc_mode(), dc.sxl()) {
            // 2. "PC.fsc.MODE encoding is not valid"
            None => return wrong("2: fsc.MODE is not a valid encoding"),
            // 3. "DC.tc.SXL is 0 and PC.fsc.MODE is not one of the supported modes"
            // 4. "DC.tc.SXL is 1 and PC.fsc.MODE is not one of the supported modes"
            Some(m) if !m.supported(caps) => {
                return wrong(if dc.sxl() {
                    "4: fsc.MODE not supported (SXL=1)"
                } else {
                    "3: fsc.MODE not supported (SXL=0)"
                });
            }
            Some(_) => {}
        }
        if cfg.choices.wide_address == WideAddress::Misconfigured
            && dc.iohgatp_mode() == 0
            && self.fsc_mode() != 0
            && self.fsc_ppn() << 12 >> caps.pas() != 0
        {
            return wrong("note: address wider than capabilities.PAS");
        }
        Ok(())
    }
}
