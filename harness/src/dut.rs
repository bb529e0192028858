//! The device under test: which compiled model, and what is legal for it.

use std::path::{Path, PathBuf};

use iommu_golden::config::{ControlBit, WideAddress};
use iommu_golden::{Capabilities, Choices, Config, Reserved};
use iommu_scoreboard::ScoreboardConfig;
use iommu_testcase::driver::Directory;
use iommu_testcase::dut::{self, DutDesc};

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
                "no device under test `{which}` is compiled in; there are: {}",
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
            gxl: if c.gxl_writable {
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
            inval_pdt_without_pdt: reserved(!c.inval_pdt_without_pdt),
            reports_corruption: c.reports_corruption,
            iotval_offset: c.iotval_offset,
            iotval2_offset: c.iotval2_offset,
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
            ..ScoreboardConfig::new(golden)
        })
    }
}
