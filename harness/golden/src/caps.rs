//! The `capabilities` register (section "IOMMU capabilities").

/// Interrupt generation support, `capabilities.IGS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Igs {
    /// 0: messages only.
    Msi,
    /// 1: wires only.
    Wsi,
    /// 2: both, selected by `fctl.WSI`.
    Both,
    /// 3: reserved for standard use.
    Reserved,
}

/// The `capabilities` register: a 64-bit value with named fields.
///
/// ```
/// use iommu_golden::Capabilities;
/// let caps = Capabilities::version_1_0()
///     .with(Capabilities::SV39)
///     .with(Capabilities::MSI_FLAT)
///     .with_pas(46);
/// assert!(caps.has(Capabilities::SV39) && !caps.has(Capabilities::SV48));
/// assert_eq!(caps.pas(), 46);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Capabilities(pub u64);

macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident = $bit:expr;)*) => {
        $($(#[$doc])* pub const $name: u64 = 1 << $bit;)*
    };
}

impl Capabilities {
    bits! {
        /// Sv32 first stage.
        SV32 = 8;
        /// Sv39 first stage.
        SV39 = 9;
        /// Sv48 first stage.
        SV48 = 10;
        /// Sv57 first stage.
        SV57 = 11;
        /// PTE bits 60:59 are software's.
        SVRSW60T59B = 14;
        /// Page-based memory types.
        SVPBMT = 15;
        /// Sv32x4 second stage.
        SV32X4 = 16;
        /// Sv39x4 second stage.
        SV39X4 = 17;
        /// Sv48x4 second stage.
        SV48X4 = 18;
        /// Sv57x4 second stage.
        SV57X4 = 19;
        /// Atomic updates to memory-resident interrupt files.
        AMO_MRIF = 21;
        /// MSI page tables (and the extended device context).
        MSI_FLAT = 22;
        /// MSI PTEs in MRIF mode.
        MSI_MRIF = 23;
        /// Atomic updates of PTE accessed and dirty bits.
        AMO_HWAD = 24;
        /// PCIe ATS and PRI.
        ATS = 25;
        /// Guest physical addresses in ATS translation completions.
        T2GPA = 26;
        /// Both endiannesses.
        END = 27;
        /// Hardware performance monitor.
        HPM = 30;
        /// Translation-request (debug) interface.
        DBG = 31;
        /// One-level process directory.
        PD8 = 38;
        /// Two-level process directory.
        PD17 = 39;
        /// Three-level process directory.
        PD20 = 40;
        /// QoS ids.
        QOSID = 41;
        /// Non-leaf PTE invalidation.
        NL = 42;
        /// Address range invalidation.
        S = 43;
    }

    /// Version 1.0 (0x10), nothing else: no translation scheme, MSI interrupts, PAS 0.
    #[must_use]
    pub const fn version_1_0() -> Self {
        Self(0x10)
    }

    /// The same with the given bits (constants of this type) set.
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// The same with the given bits cleared.
    #[must_use]
    pub const fn without(self, bits: u64) -> Self {
        Self(self.0 & !bits)
    }

    /// The same with another `PAS` (6 bits).
    #[must_use]
    pub const fn with_pas(self, pas: u8) -> Self {
        Self((self.0 & !(0x3f << 32)) | ((pas as u64 & 0x3f) << 32))
    }

    /// The same with another `IGS`.
    #[must_use]
    pub const fn with_igs(self, igs: Igs) -> Self {
        let v = match igs {
            Igs::Msi => 0,
            Igs::Wsi => 1,
            Igs::Both => 2,
            Igs::Reserved => 3,
        };
        Self((self.0 & !(3 << 28)) | (v << 28))
    }

    /// Whether every one of `bits` is set.
    #[must_use]
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }

    /// `version`, 8 bits: 0x10 is 1.0.
    #[must_use]
    pub const fn version(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// `PAS`: bits of a physical address.
    #[must_use]
    pub const fn pas(self) -> u8 {
        ((self.0 >> 32) & 0x3f) as u8
    }

    /// `IGS`: how interrupts can be signalled.
    #[must_use]
    pub const fn igs(self) -> Igs {
        match (self.0 >> 28) & 3 {
            0 => Igs::Msi,
            1 => Igs::Wsi,
            2 => Igs::Both,
            _ => Igs::Reserved,
        }
    }

    /// Whether interrupts can be sent as messages (`IGS` is MSI or BOTH).
    #[must_use]
    pub const fn can_msi(self) -> bool {
        matches!(self.igs(), Igs::Msi | Igs::Both)
    }

    /// Whether interrupts can be signalled by wire (`IGS` is WSI or BOTH).
    #[must_use]
    pub const fn can_wsi(self) -> bool {
        matches!(self.igs(), Igs::Wsi | Igs::Both)
    }

    /// Section "MSI address mask and pattern": width of a guest physical address as MSI
    /// recognition sees it.
    #[must_use]
    pub const fn mgpaw(self) -> u8 {
        // "If capabilities.Sv57x4 is 1, then MGPAW = 59"
        if self.has(Self::SV57X4) {
            59
        } else if self.has(Self::SV48X4) {
            // "Else if capabilities.Sv48x4 is 1, then MGPAW = 50"
            50
        } else if self.has(Self::SV39X4) {
            // "Else if capabilities.Sv39x4 is 1, then MGPAW = 41"
            41
        } else if self.has(Self::SV32X4) {
            // "Else if capabilities.Sv32x4 is 1, then MGPAW = 34"
            34
        } else {
            // "Otherwise, MGPAW = capabilities.PAS"
            self.pas()
        }
    }

    /// Bytes of a device context: 64 with `MSI_FLAT`, else 32.
    #[must_use]
    pub const fn dc_size(self) -> u64 {
        if self.has(Self::MSI_FLAT) { 64 } else { 32 }
    }
}

impl From<u64> for Capabilities {
    fn from(v: u64) -> Self {
        Self(v)
    }
}

impl From<Capabilities> for u64 {
    fn from(c: Capabilities) -> Self {
        c.0
    }
}
