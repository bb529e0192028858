//! What an IOMMU is made with.

use iommu_golden as g;

use crate::status::{Error, IommuStatus, Result, error, flag, guard, no_value};

/// Capability bits (register `capabilities`): Sv32 first stage.
pub const IOMMU_CAP_SV32: u64 = 0x100;
/// Sv39 first stage.
pub const IOMMU_CAP_SV39: u64 = 0x200;
/// Sv48 first stage; needs Sv39.
pub const IOMMU_CAP_SV48: u64 = 0x400;
/// Sv57 first stage; needs Sv48.
pub const IOMMU_CAP_SV57: u64 = 0x800;
/// PTE bits 60:59 are software's.
pub const IOMMU_CAP_SVRSW60T59B: u64 = 0x4000;
/// Page-based memory types.
pub const IOMMU_CAP_SVPBMT: u64 = 0x8000;
/// Sv32x4 second stage.
pub const IOMMU_CAP_SV32X4: u64 = 0x1_0000;
/// Sv39x4 second stage.
pub const IOMMU_CAP_SV39X4: u64 = 0x2_0000;
/// Sv48x4 second stage.
pub const IOMMU_CAP_SV48X4: u64 = 0x4_0000;
/// Sv57x4 second stage.
pub const IOMMU_CAP_SV57X4: u64 = 0x8_0000;
/// Atomic updates of memory-resident interrupt files.
pub const IOMMU_CAP_AMO_MRIF: u64 = 0x20_0000;
/// MSI page tables, and the 64-byte device context.
pub const IOMMU_CAP_MSI_FLAT: u64 = 0x40_0000;
/// MSI page-table entries in MRIF mode.
pub const IOMMU_CAP_MSI_MRIF: u64 = 0x80_0000;
/// Atomic updates of A and D in page-table entries.
pub const IOMMU_CAP_AMO_HWAD: u64 = 0x100_0000;
/// PCIe ATS and page requests.
pub const IOMMU_CAP_ATS: u64 = 0x200_0000;
/// Guest physical addresses in ATS completions.
pub const IOMMU_CAP_T2GPA: u64 = 0x400_0000;
/// Both byte orders.
pub const IOMMU_CAP_END: u64 = 0x800_0000;
/// Performance monitor.
pub const IOMMU_CAP_HPM: u64 = 0x4000_0000;
/// Translation-request (debug) registers.
pub const IOMMU_CAP_DBG: u64 = 0x8000_0000;
/// Process directory of one level.
pub const IOMMU_CAP_PD8: u64 = 0x40_0000_0000;
/// Process directory of two levels.
pub const IOMMU_CAP_PD17: u64 = 0x80_0000_0000;
/// Process directory of three levels.
pub const IOMMU_CAP_PD20: u64 = 0x100_0000_0000;
/// QoS ids.
pub const IOMMU_CAP_QOSID: u64 = 0x200_0000_0000;
/// Non-leaf invalidation.
pub const IOMMU_CAP_NL: u64 = 0x400_0000_0000;
/// Address range invalidation.
pub const IOMMU_CAP_S: u64 = 0x800_0000_0000;
/// Field `version`, bits 7:0, of specification version 1.0.
pub const IOMMU_CAP_VERSION_1_0: u64 = 0x10;
/// Field `IGS`, bits 29:28: 0 messages, 1 wires, 2 both, 3 reserved (refused).
pub const IOMMU_CAP_IGS_SHIFT: u32 = 28;
/// Field `PAS`, bits 37:32: width of a physical address in bits.
pub const IOMMU_CAP_PAS_SHIFT: u32 = 32;

/// What an implementation does where the text says "reserved" or "must not" and not what follows.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuReserved {
    /// Stop and report with the cause or error bit that the rule names.
    Rejected = 0,
    /// Go on as if it were legal.
    Accepted = 1,
}

/// When an address in a device or process context that is wider than PAS is noticed.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuWideAddress {
    /// When it is accessed: an access fault of that access.
    WhenAccessed = 0,
    /// When the context is located: cause 259 or 267.
    Misconfigured = 1,
}

/// ATS translation request with "no write" clear, page writable but D=0, no hardware update.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuAtsCleanPage {
    /// A page fault: Success with R=W=0.
    PageFault = 0,
    /// The write permission alone is denied.
    DenyWrite = 1,
}

/// How an aligned 4-byte read of a page in MRIF mode is answered.
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IommuMrifRead {
    /// With zero.
    Zero = 0,
    /// The access is aborted.
    Abort = 1,
}

/// Capabilities, sizes and implementation-defined choices. Fill it with `iommu_config_init`, then
/// change what is to differ. Later versions may add fields at the end: `size` tells which are there.
/// All flags are 0 or 1, else `IOMMU_STATUS_RANGE`; all widths out of range are
/// `IOMMU_STATUS_CONFIG`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IommuConfig {
    /// Bytes of this structure in the caller's header: `sizeof(IommuConfig)`. Set by
    /// `iommu_config_init`.
    pub size: u64,
    /// Register `capabilities`, 64 bits: `IOMMU_CAP_*`, version, IGS and PAS. Initially version 1.0
    /// and nothing else, PAS 0.
    pub capabilities: u64,
    /// Flag: `ddtp.iommu_mode` is Bare after reset, else Off. Initially 0.
    pub reset_bare: u8,
    /// `ddtp.iommu_mode` values that the register takes besides Off and Bare: bit 0 1LVL, bit 1
    /// 2LVL, bit 2 3LVL; other bits 0. Initially 7.
    pub levels: u8,
    /// Flag: a device access whose translated address is at or above 2^PAS is an access fault of the
    /// IOMMU; else it is passed on. Initially 1.
    pub check_spa: u8,
    /// Interrupt vectors: 1, 2, 4, 8 or 16. Initially 16.
    pub vectors: u8,
    /// Width of `msi_addr_x` as an address, 3 to 56 bits. Initially 56.
    pub msi_addr_bits: u8,
    /// Writable bits of LOG2SZ-1 in `cqb`, `fqb`, `pqb`, 0 to 5. Initially 5.
    pub log2sz_bits: u8,
    /// Width of PPN in `ddtp`, `cqb`, `fqb`, `pqb`, 0 to 44 bits. Initially 44.
    pub ppn_bits: u8,
    /// Flag: `fctl.GXL` can be written. Initially 0.
    pub gxl_writable: u8,
    /// Flag: value of `fctl.GXL` after reset, for ever if not writable. Initially 0.
    pub gxl: u8,
    /// Flag: value of `fctl.BE` after reset, for ever without `IOMMU_CAP_END`. Initially 0.
    pub big_endian: u8,
    /// Flag: value of `fctl.WSI` after reset where IGS is 2. Initially 0.
    pub wsi_at_reset: u8,
    /// Width of RCID, 0 to 12 bits. Initially 12.
    pub rcid_bits: u8,
    /// Width of MCID, 0 to 12 bits. Initially 12.
    pub mcid_bits: u8,
    /// Flag: corruption is told from access errors; else it is reported as access fault. Initially 1.
    pub reports_corruption: u8,
    /// Flag: `iotval` keeps the page offset of the IOVA. Initially 1.
    pub iotval_offset: u8,
    /// Flag: `iotval2` keeps the page offset of the GPA. Initially 1.
    pub iotval2_offset: u8,
    /// log2 of the bytes that a translation with both stages Bare is said to cover, 12 to 63.
    /// Initially 30.
    pub bare_range_log2: u8,
    /// Flag: an ATS translation request with "no write" clear faults as a write (7, 15, 23), else as a
    /// read. Initially 1.
    pub ats_fault_is_write: u8,
    /// Flag: big-endian MSIs are stored to an MRIF (`seteipnum_be` exists). Initially 1.
    pub mrif_big_endian: u8,
    /// Event counters, 1 to 31. Initially 7.
    pub hpm_counters: u8,
    /// Width of the event counters, 32 to 64 bits. Initially 64.
    pub hpm_counter_bits: u8,
    /// Width of `iohpmcycles.counter`, 32 to 63 bits. Initially 63.
    pub hpm_cycle_bits: u8,
    /// 0.
    pub padding: [u8; 2],
    /// `IommuReserved`: `iohgatp.MODE` Bare with `msiptp.MODE` not Off. Initially rejected (259).
    pub bare_iohgatp_with_msi: u32,
    /// `IommuReserved`: operands of `IODIR` commands wider than supported. Initially rejected.
    pub wide_operand: u32,
    /// `IommuReserved`: `IODIR.INVAL_PDT` where no process directory is supported. Initially
    /// accepted.
    pub inval_pdt_without_pdt: u32,
    /// `IommuWideAddress`. Initially when accessed.
    pub wide_address: u32,
    /// `IommuAtsCleanPage`. Initially the write permission alone is denied.
    pub ats_clean_page: u32,
    /// `IommuMrifRead`. Initially zero.
    pub mrif_read: u32,
}

/// Bytes of the first version's structure.
const FIRST_SIZE: usize = size_of::<IommuConfig>();

fn reserved_code(r: g::Reserved) -> u32 {
    match r {
        g::Reserved::Rejected => IommuReserved::Rejected as u32,
        g::Reserved::Accepted => IommuReserved::Accepted as u32,
    }
}

fn reserved(v: u32, name: &str) -> Result<g::Reserved> {
    match v {
        0 => Ok(g::Reserved::Rejected),
        1 => Ok(g::Reserved::Accepted),
        _ => no_value(v, name),
    }
}

impl IommuConfig {
    pub(crate) fn initial() -> Self {
        let c = g::Choices::default();
        IommuConfig {
            size: size_of::<Self>() as u64,
            capabilities: g::Capabilities::version_1_0().into(),
            reset_bare: c.reset_bare.into(),
            levels: (0..)
                .zip(c.levels)
                .fold(0, |m, (n, l)| m | u8::from(l) << n),
            check_spa: c.check_spa.into(),
            vectors: c.vectors,
            msi_addr_bits: c.msi_addr_bits,
            log2sz_bits: c.log2sz_bits,
            ppn_bits: c.ppn_bits,
            gxl_writable: c.gxl.writable().into(),
            gxl: c.gxl.at_reset().into(),
            big_endian: c.big_endian.into(),
            wsi_at_reset: c.wsi_at_reset.into(),
            rcid_bits: c.rcid_bits,
            mcid_bits: c.mcid_bits,
            reports_corruption: c.reports_corruption.into(),
            iotval_offset: c.iotval_offset.into(),
            iotval2_offset: c.iotval2_offset.into(),
            bare_range_log2: c.bare_range_log2,
            ats_fault_is_write: c.ats_fault_is_write.into(),
            mrif_big_endian: c.mrif_big_endian.into(),
            hpm_counters: c.hpm_counters,
            hpm_counter_bits: c.hpm_counter_bits,
            hpm_cycle_bits: c.hpm_cycle_bits,
            padding: [0; 2],
            bare_iohgatp_with_msi: reserved_code(c.bare_iohgatp_with_msi),
            wide_operand: reserved_code(c.wide_operand),
            inval_pdt_without_pdt: reserved_code(c.inval_pdt_without_pdt),
            wide_address: match c.wide_address {
                g::config::WideAddress::WhenAccessed => IommuWideAddress::WhenAccessed as u32,
                g::config::WideAddress::Misconfigured => IommuWideAddress::Misconfigured as u32,
            },
            ats_clean_page: match c.ats_clean_page {
                g::config::AtsCleanPage::PageFault => IommuAtsCleanPage::PageFault as u32,
                g::config::AtsCleanPage::DenyWrite => IommuAtsCleanPage::DenyWrite as u32,
            },
            mrif_read: match c.mrif_read {
                g::config::MrifRead::Zero => IommuMrifRead::Zero as u32,
                g::config::MrifRead::Abort => IommuMrifRead::Abort as u32,
            },
        }
    }

    pub(crate) fn to_model(self) -> Result<g::Config> {
        let mut config = g::Config::new(g::Capabilities(self.capabilities));
        let c = &mut config.choices;
        if self.levels > 7 {
            return error(
                IommuStatus::Range,
                format!("`levels` is {}, allowed is 0 to 7", self.levels),
            );
        }
        c.reset_bare = flag(self.reset_bare, "reset_bare")?;
        c.levels = [0, 1, 2].map(|n| self.levels >> n & 1 == 1);
        c.check_spa = flag(self.check_spa, "check_spa")?;
        c.vectors = self.vectors;
        c.msi_addr_bits = self.msi_addr_bits;
        c.log2sz_bits = self.log2sz_bits;
        c.ppn_bits = self.ppn_bits;
        let gxl = flag(self.gxl, "gxl")?;
        c.gxl = if flag(self.gxl_writable, "gxl_writable")? {
            g::config::ControlBit::Writable(gxl)
        } else {
            g::config::ControlBit::Fixed(gxl)
        };
        c.big_endian = flag(self.big_endian, "big_endian")?;
        c.wsi_at_reset = flag(self.wsi_at_reset, "wsi_at_reset")?;
        c.rcid_bits = self.rcid_bits;
        c.mcid_bits = self.mcid_bits;
        c.reports_corruption = flag(self.reports_corruption, "reports_corruption")?;
        c.iotval_offset = flag(self.iotval_offset, "iotval_offset")?;
        c.iotval2_offset = flag(self.iotval2_offset, "iotval2_offset")?;
        c.bare_range_log2 = self.bare_range_log2;
        c.ats_fault_is_write = flag(self.ats_fault_is_write, "ats_fault_is_write")?;
        c.mrif_big_endian = flag(self.mrif_big_endian, "mrif_big_endian")?;
        c.hpm_counters = self.hpm_counters;
        c.hpm_counter_bits = self.hpm_counter_bits;
        c.hpm_cycle_bits = self.hpm_cycle_bits;
        c.bare_iohgatp_with_msi = reserved(self.bare_iohgatp_with_msi, "bare_iohgatp_with_msi")?;
        c.wide_operand = reserved(self.wide_operand, "wide_operand")?;
        c.inval_pdt_without_pdt = reserved(self.inval_pdt_without_pdt, "inval_pdt_without_pdt")?;
        c.wide_address = match self.wide_address {
            0 => g::config::WideAddress::WhenAccessed,
            1 => g::config::WideAddress::Misconfigured,
            v => return no_value(v, "wide_address"),
        };
        c.ats_clean_page = match self.ats_clean_page {
            0 => g::config::AtsCleanPage::PageFault,
            1 => g::config::AtsCleanPage::DenyWrite,
            v => return no_value(v, "ats_clean_page"),
        };
        c.mrif_read = match self.mrif_read {
            0 => g::config::MrifRead::Zero,
            1 => g::config::MrifRead::Abort,
            v => return no_value(v, "mrif_read"),
        };
        Ok(config)
    }
}

fn known_size(size: u64) -> Result<usize> {
    usize::try_from(size)
        .ok()
        .filter(|n| (FIRST_SIZE..=size_of::<IommuConfig>()).contains(n))
        .ok_or_else(|| {
            Error(
                IommuStatus::Size,
                format!(
                    "IommuConfig of {size} bytes; this library knows {FIRST_SIZE} to {}",
                    size_of::<IommuConfig>()
                ),
            )
        })
}

/// Fills `config` with specification version 1.0 without any other capability, and the choices
/// that its fields name as initial.
///
/// Errors: `NULL`, `ALIGNMENT`; `SIZE` if `size` is no `sizeof(IommuConfig)` that this library knows.
///
/// # Safety
/// `config` is null or `size` bytes can be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iommu_config_init(config: *mut IommuConfig, size: usize) -> IommuStatus {
    guard(|| {
        // SAFETY: checks the pointer, and reads or writes nothing.
        let _ = unsafe { crate::status::output(config, "config") }?;
        let n = known_size(size as u64)?;
        let mut initial = IommuConfig::initial();
        initial.size = n as u64;
        // SAFETY: the caller promised `size` bytes; n is not more than the structure here.
        unsafe {
            config
                .cast::<u8>()
                .copy_from_nonoverlapping((&raw const initial).cast(), n);
        }
        Ok(())
    })
}

/// What the caller's structure says; fields that it does not have yet keep their initial value.
///
/// # Safety
/// `p` is null, or its `size` field is readable and so are as many bytes as that says.
pub(crate) unsafe fn config_input(p: *const IommuConfig) -> Result<g::Config> {
    if p.is_null() || !p.is_aligned() {
        // SAFETY: never reads, as one of its checks fails.
        unsafe { crate::status::object(p, "config") }?;
    }
    // SAFETY: `size` is the first field and aligned, as the whole is.
    let n = known_size(unsafe { p.cast::<u64>().read() })?;
    let mut config = IommuConfig::initial();
    // SAFETY: n bytes are readable by contract and fit; every bit pattern is an IommuConfig.
    unsafe {
        (&raw mut config)
            .cast::<u8>()
            .copy_from_nonoverlapping(p.cast(), n);
    }
    config.to_model()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_configuration_is_the_models_default() {
        let config = IommuConfig::initial().to_model().ok().expect("legal");
        assert_eq!(config, g::Config::new(g::Capabilities::version_1_0()));
    }

    #[test]
    fn every_choice_of_the_model_has_a_field() {
        // Another value in each field must show up in the model's choices, all of them.
        let mut c = IommuConfig::initial();
        for f in [
            &mut c.reset_bare,
            &mut c.check_spa,
            &mut c.gxl_writable,
            &mut c.big_endian,
            &mut c.wsi_at_reset,
            &mut c.reports_corruption,
            &mut c.iotval_offset,
            &mut c.iotval2_offset,
            &mut c.ats_fault_is_write,
            &mut c.mrif_big_endian,
        ] {
            *f ^= 1;
        }
        for f in [
            &mut c.bare_iohgatp_with_msi,
            &mut c.wide_operand,
            &mut c.inval_pdt_without_pdt,
            &mut c.wide_address,
            &mut c.ats_clean_page,
            &mut c.mrif_read,
        ] {
            *f ^= 1;
        }
        c.levels = 0;
        c.vectors = 4;
        c.msi_addr_bits = 40;
        c.log2sz_bits = 3;
        c.ppn_bits = 30;
        c.rcid_bits = 5;
        c.mcid_bits = 6;
        c.bare_range_log2 = 12;
        c.hpm_counters = 31;
        c.hpm_counter_bits = 40;
        c.hpm_cycle_bits = 48;
        let ours = c.to_model().ok().expect("legal").choices;
        let fields = |c: &g::Choices| {
            let text = format!("{c:#?}");
            let mut fields: Vec<String> = Vec::new();
            for line in text.lines().skip(1) {
                // A field begins at the first indentation; the lines of its value belong to it.
                match fields.last_mut() {
                    Some(f)
                        if line.starts_with("     ")
                            || line.trim_start().starts_with([']', ')', '}']) =>
                    {
                        f.push_str(line);
                    }
                    _ => fields.push(line.to_owned()),
                }
            }
            fields
        };
        let (ours, theirs) = (fields(&ours), fields(&g::Choices::default()));
        assert!(theirs.len() > 20, "{theirs:?}");
        for (a, b) in ours.iter().zip(&theirs) {
            assert_ne!(a, b, "this choice cannot be made through IommuConfig");
        }
    }

    #[test]
    fn capability_constants_are_the_models() {
        use g::Capabilities as C;
        let pairs = [
            (IOMMU_CAP_SV32, C::SV32),
            (IOMMU_CAP_SV39, C::SV39),
            (IOMMU_CAP_SV48, C::SV48),
            (IOMMU_CAP_SV57, C::SV57),
            (IOMMU_CAP_SVRSW60T59B, C::SVRSW60T59B),
            (IOMMU_CAP_SVPBMT, C::SVPBMT),
            (IOMMU_CAP_SV32X4, C::SV32X4),
            (IOMMU_CAP_SV39X4, C::SV39X4),
            (IOMMU_CAP_SV48X4, C::SV48X4),
            (IOMMU_CAP_SV57X4, C::SV57X4),
            (IOMMU_CAP_AMO_MRIF, C::AMO_MRIF),
            (IOMMU_CAP_MSI_FLAT, C::MSI_FLAT),
            (IOMMU_CAP_MSI_MRIF, C::MSI_MRIF),
            (IOMMU_CAP_AMO_HWAD, C::AMO_HWAD),
            (IOMMU_CAP_ATS, C::ATS),
            (IOMMU_CAP_T2GPA, C::T2GPA),
            (IOMMU_CAP_END, C::END),
            (IOMMU_CAP_HPM, C::HPM),
            (IOMMU_CAP_DBG, C::DBG),
            (IOMMU_CAP_PD8, C::PD8),
            (IOMMU_CAP_PD17, C::PD17),
            (IOMMU_CAP_PD20, C::PD20),
            (IOMMU_CAP_QOSID, C::QOSID),
            (IOMMU_CAP_NL, C::NL),
            (IOMMU_CAP_S, C::S),
            (IOMMU_CAP_VERSION_1_0, C::version_1_0().0),
            (46 << IOMMU_CAP_PAS_SHIFT, C(0).with_pas(46).0),
            (2 << IOMMU_CAP_IGS_SHIFT, C(0).with_igs(g::Igs::Both).0),
        ];
        for (ours, models) in pairs {
            assert_eq!(ours, models);
        }
    }
}
