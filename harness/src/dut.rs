//! The device under test: which compiled model, and what is legal for it.

use std::path::{Path, PathBuf};

use iommu_golden::config::{AtsCleanPage, ControlBit, WideAddress};
use iommu_golden::{Capabilities, Choices, Config, Reserved};
use iommu_scoreboard::ScoreboardConfig;
use iommu_sim::{Block, Device, ModelKind, ModelOptions};
use iommu_softdut::SoftIommu;
use iommu_testcase::driver::Directory;
use iommu_testcase::dut::{self, DutDesc};

/// `capabilities.Sv32` and `Sv32x4`.
const GXL_SCHEMES: u64 = 1 << 8 | 1 << 16;

/// A device under test.
#[derive(Debug)]
pub struct Dut {
    /// Name of the compiled model.
    pub name: String,
    /// Its dut.yaml.
    pub yaml: PathBuf,
    /// Hash of its RTL.
    pub hash: u64,
    /// What its dut.yaml declares.
    pub desc: DutDesc,
}

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RTL that Verilator has compiled.
    Rtl,
    /// The software device, with or without a wrong behaviour.
    Soft,
}

/// Makes the device of this name; what the seed means is the device's affair: the initial state
/// of RTL, on which nothing depends, or the habits of the software device.
///
/// # Errors
/// There is none, or it cannot be made.
pub fn make(name: &str, kind: ModelKind, seed: u64) -> Result<Box<dyn Device + Send>, String> {
    if iommu_softdut::is_soft(name) {
        return match SoftIommu::new(name, seed) {
            Ok(device) => Ok(Box::new(device)),
            Err(e) => Err(e.to_string()),
        };
    }
    match Block::new(name, &ModelOptions { kind, seed }) {
        Ok(block) => Ok(Box::new(block)),
        Err(e) => Err(e.to_string()),
    }
}

/// The flat wrapper has ports of one width each; another one would be cut or
/// padded in silence.
fn check_widths(yaml: &str, w: &dut::Widths) -> miette::Result<()> {
    for (name, got, has) in [
        ("dev_data", w.dev_data, 64),
        ("dev_id", w.dev_id, 8),
        ("mem_data", w.mem_data, 64),
        ("mem_id", w.mem_id, 6),
        ("dev_user", w.dev_user, 26),
        ("mem_user", w.mem_user, 24),
    ] {
        if got != has {
            return Err(miette::miette!(
                help = "put a wrapper round the block that adapts it, and name the wrapper as `rtl.top`",
                "{yaml}: widths: `{name}` is {got}, the harness has {has}"
            ));
        }
    }
    Ok(())
}

impl Dut {
    /// The compiled model of this name, or of this dut.yaml.
    ///
    /// # Errors
    /// It is unknown, or its dut.yaml has a mistake.
    pub fn find(root: &Path, which: &str) -> miette::Result<Self> {
        if iommu_softdut::is_soft(which) {
            iommu_softdut::bug_of(which).map_err(|e| miette::miette!("{e}"))?;
            return Ok(Self::soft(which));
        }
        let same_file = |yaml: &str| {
            let (a, b) = (root.join(yaml), Path::new(which));
            matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
        };
        let duts = iommu_sim::duts();
        let found = duts
            .iter()
            .find(|d| d.name == which || d.yaml == which || same_file(d.yaml));
        let Some(d) = found else {
            let known: Vec<_> = duts
                .iter()
                .map(|d| format!("{} ({})", d.name, d.yaml))
                .collect();
            return Err(miette::miette!(
                help = "a block of your own is compiled in by `make sim DUT=path/to/dut.yaml`",
                "no device under test `{which}` is compiled in; there are: {}, and soft (in software)",
                known.join(", ")
            ));
        };
        let desc = DutDesc::read(&root.join(d.yaml))?;
        check_widths(d.yaml, &desc.widths)?;
        Ok(Self {
            name: d.name.to_owned(),
            yaml: d.yaml.into(),
            hash: d.hash,
            desc,
        })
    }

    /// The software device: it has no dut.yaml, and the choices of the project's own block.
    fn soft(name: &str) -> Self {
        let mut choices = dut::Choices {
            command_prefetch: 8,
            ..dut::Choices::default()
        };
        if iommu_softdut::is_narrow(name) {
            let narrow = iommu_softdut::narrow_choices();
            choices.rcid_bits = narrow.rcid_bits.into();
            choices.mcid_bits = narrow.mcid_bits.into();
            choices.wide_address = dut::WideAddress::Misconfigured;
        }
        Self {
            name: name.to_owned(),
            yaml: "in software".into(),
            hash: 0,
            desc: DutDesc {
                name: name.to_owned(),
                top: String::new(),
                widths: dut::Widths::default(),
                choices,
            },
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if iommu_softdut::is_soft(&self.name) {
            Kind::Soft
        } else {
            Kind::Rtl
        }
    }

    /// What the scoreboard is told, for the capabilities that the block shows.
    ///
    /// # Errors
    /// Capabilities or choices that no IOMMU can have.
    pub fn scoreboard(&self, caps: u64) -> Result<ScoreboardConfig, String> {
        let c = &self.desc.choices;
        let narrow = |name: &str, v: u32| {
            u8::try_from(v).map_err(|_| format!("{}: `{name}` is {v}", self.yaml.display()))
        };
        let reserved = |rejected| {
            if rejected {
                Reserved::Rejected
            } else {
                Reserved::Accepted
            }
        };
        let level = |d| c.levels.contains(&d);
        let choices = Choices {
            reset_bare: c.reset_bare,
            levels: [
                level(Directory::One),
                level(Directory::Two),
                level(Directory::Three),
            ],
            bare_iohgatp_with_msi: reserved(c.bare_iohgatp_with_msi),
            wide_address: match c.wide_address {
                dut::WideAddress::AccessFault => WideAddress::WhenAccessed,
                dut::WideAddress::Misconfigured => WideAddress::Misconfigured,
            },
            check_spa: c.check_spa,
            vectors: narrow("vectors", c.vectors)?,
            msi_addr_bits: narrow("msi_addr_bits", c.msi_addr_bits)?,
            log2sz_bits: narrow("log2sz_bits", c.log2sz_bits)?,
            ppn_bits: narrow("ppn_bits", c.ppn_bits)?,
            // A bit whose feature is masked away is read-only (docs/pins.md).
            gxl: if c.gxl_writable && caps & GXL_SCHEMES != 0 {
                ControlBit::Writable(false)
            } else {
                ControlBit::Fixed(false)
            },
            big_endian: c.big_endian,
            wsi_at_reset: c.wsi_at_reset,
            hpm_counters: narrow("hpm_counters", c.hpm_counters)?,
            rcid_bits: narrow("rcid_bits", c.rcid_bits)?,
            mcid_bits: narrow("mcid_bits", c.mcid_bits)?,
            wide_operand: reserved(c.wide_operand_illegal),
            mrif_big_endian: c.mrif_big_endian,
            inval_pdt_without_pdt: reserved(!c.inval_pdt_without_pdt),
            reports_corruption: c.reports_corruption,
            iotval_offset: c.iotval_offset,
            iotval2_offset: c.iotval2_offset,
            ats_fault_is_write: c.ats_fault_is_write,
            ats_clean_page: if c.ats_clean_page_faults {
                AtsCleanPage::PageFault
            } else {
                AtsCleanPage::DenyWrite
            },
            ..Choices::default()
        };
        let golden = Config {
            capabilities: Capabilities::from(caps),
            choices,
        };
        Ok(ScoreboardConfig {
            reset_zero: c.reset_zero,
            merges_faults: c.merges_identical_faults,
            fetch_granule: c.fetch_granule,
            speculates: c.speculates,
            device_atomics: c.device_atomics,
            exclusive_updates: c.atomics == dut::Atomics::Exclusive,
            settle: c.settle,
            patience: c.patience,
            overtakes: c.overtakes,
            ..ScoreboardConfig::new(golden)
        })
    }
}
