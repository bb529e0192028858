//! What is fixed when an IOMMU is built: capabilities and every choice that the
//! specification leaves to the implementation (docs/freedoms.md lists them all).

use crate::caps::{Capabilities, Igs};

/// What an implementation does where the text says "reserved" or "must not" without saying
/// what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reserved {
    /// Stop and report (the cause or error bit that the rule names).
    Rejected,
    /// Go on as if the setting were legal.
    Accepted,
}

/// A bit of `fctl` that may be hardwired or writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlBit {
    /// Read-only with this value.
    Fixed(bool),
    /// Writable; `bool` is its value after reset.
    Writable(bool),
}

impl ControlBit {
    /// Whether software can write the bit.
    #[must_use]
    pub const fn writable(self) -> bool {
        matches!(self, ControlBit::Writable(_))
    }

    /// The value after reset.
    #[must_use]
    pub const fn at_reset(self) -> bool {
        match self {
            ControlBit::Fixed(v) | ControlBit::Writable(v) => v,
        }
    }
}

/// When an address in a device or process context that is wider than `PAS` is noticed
/// (notes in "Device-context configuration checks" and "Process-context configuration checks").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WideAddress {
    /// "only detect such addresses to be invalid when the data structure referenced by
    /// these fields needs to be accessed": an access fault of that access.
    WhenAccessed,
    /// "verify the validity of the addresses at the time of locating": 259 or 267.
    Misconfigured,
}

/// What an ATS translation request with "no write" clear gets from a leaf that grants
/// writes but has D=0, where hardware may not set D.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtsCleanPage {
    /// A page fault: Success with R=W=0.
    PageFault,
    /// The write permission alone is denied.
    DenyWrite,
}

/// How a read of a page in MRIF mode is answered ("should preferably return zero").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MrifRead {
    /// Zero.
    Zero,
    /// The access is aborted.
    Abort,
}

/// Every implementation-defined choice. `Default` is what the IOMMU of this repository does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// "Reset value for ddtp.iommu_mode field must be either Off or Bare": true for Bare.
    pub reset_bare: bool,
    /// `ddtp.iommu_mode` values beyond Off and Bare that the register takes: 1LVL, 2LVL, 3LVL.
    pub levels: [bool; 3],
    /// `iohgatp.MODE` Bare with `msiptp.MODE` not Off ("recommended to stop and report 259").
    pub bare_iohgatp_with_msi: Reserved,
    /// Addresses in contexts wider than `PAS`.
    pub wide_address: WideAddress,
    /// Whether a device access whose translated address is at or above 2^PAS is an access
    /// fault of the IOMMU (else it is passed on for the system to refuse).
    pub check_spa: bool,
    /// Interrupt vectors: 1, 2, 4, 8 or 16.
    pub vectors: u8,
    /// Width of `msi_addr_x.ADDR` as an address, up to 56.
    pub msi_addr_bits: u8,
    /// Writable bits of `LOG2SZ-1` in the queue bases, up to 5.
    pub log2sz_bits: u8,
    /// Width of the PPN in `ddtp` and the queue bases, up to 44.
    pub ppn_bits: u8,
    /// `fctl.GXL`.
    pub gxl: ControlBit,
    /// Value of `fctl.BE` when `capabilities.END` is 0, and after reset.
    pub big_endian: bool,
    /// Value of `fctl.WSI` after reset where `IGS` is BOTH.
    pub wsi_at_reset: bool,
    /// Width of RCID that the IOMMU supports, up to 12.
    pub rcid_bits: u8,
    /// Width of MCID that the IOMMU supports, up to 12.
    pub mcid_bits: u8,
    /// `IODIR` operands wider than supported (DID than the `ddtp` mode, PID than the PDT).
    pub wide_operand: Reserved,
    /// `IODIR.INVAL_PDT` where no PDT level is supported.
    pub inval_pdt_without_pdt: Reserved,
    /// Whether data corruption is told from an access error by the memory system; if not,
    /// "the IOMMU may report such errors as access faults instead".
    pub reports_corruption: bool,
    /// Whether `iotval` keeps the page offset of the IOVA.
    pub iotval_offset: bool,
    /// Whether `iotval2` keeps the page offset of the GPA.
    pub iotval2_offset: bool,
    /// log2 of the range that a translation with both stages Bare is said to cover.
    pub bare_range_log2: u8,
    /// Original access type of an ATS translation request whose "no write" is clear:
    /// true for write, false for read. Decides between causes 5 and 7.
    pub ats_fault_is_write: bool,
    /// ATS translation request against a clean page without hardware A/D update.
    pub ats_clean_page: AtsCleanPage,
    /// Whether `seteipnum_be` exists, so that big-endian MSIs are stored to an MRIF.
    pub mrif_big_endian: bool,
    /// How a 4-byte aligned read of an MRIF page is answered.
    pub mrif_read: MrifRead,
    /// HPM: number of event counters, 1 to 31.
    pub hpm_counters: u8,
    /// HPM: width of the event counters, 32 to 64.
    pub hpm_counter_bits: u8,
    /// HPM: width of `iohpmcycles.counter`, 32 to 63.
    pub hpm_cycle_bits: u8,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            reset_bare: false,
            levels: [true; 3],
            bare_iohgatp_with_msi: Reserved::Rejected,
            wide_address: WideAddress::WhenAccessed,
            check_spa: true,
            vectors: 16,
            msi_addr_bits: 56,
            log2sz_bits: 5,
            ppn_bits: 44,
            gxl: ControlBit::Fixed(false),
            big_endian: false,
            wsi_at_reset: false,
            rcid_bits: 12,
            mcid_bits: 12,
            wide_operand: Reserved::Rejected,
            inval_pdt_without_pdt: Reserved::Accepted,
            reports_corruption: true,
            iotval_offset: true,
            iotval2_offset: true,
            bare_range_log2: 30,
            ats_fault_is_write: true,
            ats_clean_page: AtsCleanPage::DenyWrite,
            mrif_big_endian: true,
            mrif_read: MrifRead::Zero,
            hpm_counters: 7,
            hpm_counter_bits: 64,
            hpm_cycle_bits: 63,
        }
    }
}

/// A configuration that no IOMMU can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// "At least one method, MSI or WSI, of generating interrupts"; 3 is reserved.
    #[error("capabilities.IGS is 3, which is reserved")]
    ReservedIgs,
    /// "When Sv57 is set, Sv48 must be set" and so on.
    #[error("capabilities has {has} without {needs}")]
    Dependency {
        /// The capability that is set.
        has: &'static str,
        /// The one that must come with it.
        needs: &'static str,
    },
    /// The field of `Choices` is outside what the specification allows.
    #[error("choice `{field}` is {value}, allowed is {allowed}")]
    Choice {
        /// Field name.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The allowed values in words.
        allowed: &'static str,
    },
}

/// Capabilities and choices together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The `capabilities` register.
    pub capabilities: Capabilities,
    /// The implementation-defined choices.
    pub choices: Choices,
}

impl Config {
    /// A configuration with the choices of this repository's IOMMU.
    #[must_use]
    pub fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            choices: Choices::default(),
        }
    }

    /// Checks what the specification says about capabilities and registers' widths.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let caps = self.capabilities;
        let c = &self.choices;
        if caps.igs() == Igs::Reserved {
            return Err(ConfigError::ReservedIgs);
        }
        let needs = [
            // "When Sv48 is set, Sv39 must be set." "When Sv57 is set, Sv48 must be set"
            (Capabilities::SV48, "Sv48", Capabilities::SV39, "Sv39"),
            (Capabilities::SV57, "Sv57", Capabilities::SV48, "Sv48"),
        ];
        for (has, has_name, wants, wants_name) in needs {
            if caps.has(has) && !caps.has(wants) {
                return Err(ConfigError::Dependency {
                    has: has_name,
                    needs: wants_name,
                });
            }
        }
        let range = |field, value: u64, low: u64, high: u64, allowed| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Choice {
                    field,
                    value,
                    allowed,
                })
            }
        };
        if !c.vectors.is_power_of_two() || c.vectors > 16 {
            return Err(ConfigError::Choice {
                field: "vectors",
                value: c.vectors.into(),
                allowed: "1, 2, 4, 8 or 16",
            });
        }
        range("msi_addr_bits", c.msi_addr_bits.into(), 3, 56, "3 to 56")?;
        range("log2sz_bits", c.log2sz_bits.into(), 0, 5, "0 to 5")?;
        range("ppn_bits", c.ppn_bits.into(), 0, 44, "0 to 44")?;
        range("rcid_bits", c.rcid_bits.into(), 0, 12, "0 to 12")?;
        range("mcid_bits", c.mcid_bits.into(), 0, 12, "0 to 12")?;
        range(
            "bare_range_log2",
            c.bare_range_log2.into(),
            12,
            63,
            "12 to 63",
        )?;
        range("hpm_counters", c.hpm_counters.into(), 1, 31, "1 to 31")?;
        range(
            "hpm_counter_bits",
            c.hpm_counter_bits.into(),
            32,
            64,
            "32 to 64",
        )?;
        range(
            "hpm_cycle_bits",
            c.hpm_cycle_bits.into(),
            32,
            63,
            "32 to 63",
        )?;
        Ok(())
    }

    /// Number of levels (1 to 3) of an `iommu_mode` that the register takes, if it does.
    #[must_use]
    pub fn takes_level(&self, levels: u8) -> bool {
        (1..=3).contains(&levels) && self.choices.levels[usize::from(levels) - 1]
    }
}
