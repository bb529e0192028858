//! `dut.yaml`: what the harness must know about a device under test, beyond
//! what it can ask the block itself (`capabilities`) and what design section 4
//! fixes for every block.
//!
//! Every choice has a default: what the project's own block does. So a
//! `dut.yaml` names only what differs, and a sentence of the specification that
//! is not listed here leaves no choice (`docs/freedoms.md` has them all).

use std::path::Path;

use crate::driver::Directory;
use crate::op::CaseError;
use crate::yaml::{Fields, Node, Result, Source};

/// A device under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutDesc {
    /// Its name: `DUT=name`.
    pub name: String,
    /// Top module.
    pub top: String,
    /// Widths of its ports.
    pub widths: Widths,
    /// Its choices.
    pub choices: Choices,
}

/// Widths of ports, in bits. The harness of today drives exactly the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Data of `s_dev` and `m_dev`.
    pub dev_data: u32,
    /// Ids of `s_dev` and `m_dev`.
    pub dev_id: u32,
    /// Data of `m_mem`.
    pub mem_data: u32,
    /// Ids of `m_mem`.
    pub mem_id: u32,
    /// User bits of `m_dev`: {MCID, RCID, PBMT}.
    pub dev_user: u32,
    /// User bits of `m_mem`: {MCID, RCID}.
    pub mem_user: u32,
}

impl Default for Widths {
    fn default() -> Self {
        Self {
            dev_data: 64,
            dev_id: 8,
            mem_data: 64,
            mem_id: 6,
            dev_user: 26,
            mem_user: 24,
        }
    }
}

/// Answer to an access of the register page that software must not make (misaligned, odd
/// strobes, spanning registers): design 4 wants an answer and no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// OKAY.
    Okay,
    /// SLVERR.
    Error,
    /// One or the other.
    Any,
}

/// What happens to an address wider than PAS in a context (section "Device-context
/// configuration checks", note).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WideAddress {
    /// The access through it faults.
    AccessFault,
    /// The context is misconfigured (259, 267).
    Misconfigured,
}

/// How the block updates words that others may write too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomics {
    /// AXI5 atomic transactions.
    Axi5,
    /// Exclusive pairs.
    Exclusive,
}

/// The choices that the specification leaves. Defaults are those of the project's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// Reset behavior: `ddtp.iommu_mode` is `Bare` after reset, else `Off`.
    pub reset_bare: bool,
    /// Reset behavior: what the specification leaves open is zero.
    pub reset_zero: bool,
    /// fctl: `WSI` after reset where `capabilities.IGS` is BOTH.
    pub wsi_at_reset: bool,
    /// fctl: `BE` of a block that has one endianness only.
    pub big_endian: bool,
    /// fctl: `GXL` is writable.
    pub gxl_writable: bool,
    /// ddtp: directory modes it has, besides Off and Bare.
    pub levels: Vec<Directory>,
    /// ddtp, queue bases: bits of PPN that are writable.
    pub ppn_bits: u32,
    /// cqb, fqb, pqb: bits of `LOG2SZ-1` that are writable.
    pub log2sz_bits: u32,
    /// icvec: interrupt vectors (1, 2, 4, 8 or 16).
    pub vectors: u32,
    /// msi_cfg_tbl: bits of `ADDR`, counted from bit 0.
    pub msi_addr_bits: u32,
    /// capabilities: HPM event counters.
    pub hpm_counters: u32,
    /// iommu_qosid, ta: bits of RCID.
    pub rcid_bits: u32,
    /// iommu_qosid, ta: bits of MCID.
    pub mcid_bits: u32,
    /// Register interface: answer to what software must not do.
    pub illegal_register_access: Answer,
    /// FQ: several requests with identical faults may share a record.
    pub merges_identical_faults: bool,
    /// FQ: `iotval` has the offset in the page.
    pub iotval_offset: bool,
    /// FQ: `iotval2` has the offset in the page.
    pub iotval2_offset: bool,
    /// RAS: data corruption is told apart from access faults.
    pub reports_corruption: bool,
    /// ATS_FAULTS: a translation request without "no write" has access faults of a write (7), else of
    /// a read (5).
    pub ats_fault_is_write: bool,
    /// ATS_FAULTS: such a request of a clean page (D=0, no hardware update) is a page fault (R=W=0);
    /// else only W is 0.
    pub ats_clean_page_faults: bool,
    /// DC configuration checks: `iohgatp` Bare with `msiptp` not Off is misconfigured.
    pub bare_iohgatp_with_msi: bool,
    /// DC, PC configuration checks: addresses wider than PAS.
    pub wide_address: WideAddress,
    /// capabilities, PAS: a translated address at or above 2^PAS is an access fault.
    pub check_spa: bool,
    /// AIA, MRIF mode: MSIs at `A[2]`=1 are taken as big-endian; else they are discarded.
    pub mrif_big_endian: bool,
    /// IODIR: a DID or PID wider than the mode supports is an illegal command.
    pub wide_operand_illegal: bool,
    /// IODIR.INVAL_PDT is accepted although there are no process directories.
    pub inval_pdt_without_pdt: bool,
    /// Design 4: table reads may be rounded to aligned blocks of so many bytes.
    pub fetch_granule: u32,
    /// Design 6: reads that no request explains are allowed.
    pub speculates: bool,
    /// CQ: commands beyond `cqh` may be fetched before they are executed (at most so many).
    pub command_prefetch: u32,
    /// Design 4: A/D and MRIF updates.
    pub atomics: Atomics,
    /// Design 4: atomic transactions of devices are translated, else refused.
    pub device_atomics: bool,
    /// Clocks within which an effect that needs no bus shows.
    pub settle: u32,
    /// Clocks beyond what memory and traffic explain before something counts as stuck.
    pub patience: u32,
    /// Younger requests that needed reads of tables and may be decided before one that waits.
    pub overtakes: u32,
    /// Design 8: clocks from a request to its translation when it hits, at most.
    pub hit_latency: u32,
    /// Design 8: clocks that a walk of n accesses may take beyond n(L+1), at most.
    pub walk_overhead: u32,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            reset_bare: false,
            reset_zero: true,
            wsi_at_reset: false,
            big_endian: false,
            gxl_writable: false,
            levels: vec![Directory::One, Directory::Two, Directory::Three],
            ppn_bits: 44,
            log2sz_bits: 5,
            vectors: 16,
            msi_addr_bits: 56,
            hpm_counters: 7,
            rcid_bits: 12,
            mcid_bits: 12,
            illegal_register_access: Answer::Any,
            merges_identical_faults: false,
            iotval_offset: true,
            iotval2_offset: true,
            reports_corruption: true,
            ats_fault_is_write: true,
            ats_clean_page_faults: false,
            bare_iohgatp_with_msi: true,
            wide_address: WideAddress::AccessFault,
            check_spa: true,
            mrif_big_endian: true,
            wide_operand_illegal: true,
            inval_pdt_without_pdt: true,
            fetch_granule: 8,
            speculates: false,
            command_prefetch: 0,
            atomics: Atomics::Axi5,
            device_atomics: false,
            settle: 128,
            patience: 4000,
            overtakes: 512,
            hit_latency: 3,
            walk_overhead: 9,
        }
    }
}

fn flag(f: &Fields<'_>, name: &'static str, to: &mut bool) -> Result<()> {
    *to = f.flag(name, *to)?;
    Ok(())
}

fn count(
    f: &Fields<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<u32>,
    to: &mut u32,
) -> Result<()> {
    if let Some(node) = f.get(name) {
        let n = f.src.number(node, name, u64::from(*range.end()))?;
        if n < u64::from(*range.start()) {
            return Err(f
                .src
                .at(node, format!("{name} is at least {}", range.start())));
        }
        *to = n as u32;
    }
    Ok(())
}

fn one_of<T: Copy>(
    f: &Fields<'_>,
    name: &'static str,
    words: &[&str],
    values: &[T],
    to: &mut T,
) -> Result<()> {
    if let Some(node) = f.get(name) {
        *to = values[f.src.word(node, name, words)?];
    }
    Ok(())
}

impl Widths {
    fn read(src: &Source, node: &Node) -> Result<Self> {
        let f = src.fields(node, "widths")?;
        let mut w = Self::default();
        for (name, field, valid) in [
            ("dev_data", &mut w.dev_data, 64),
            ("dev_id", &mut w.dev_id, 8),
            ("mem_data", &mut w.mem_data, 64),
            ("mem_id", &mut w.mem_id, 6),
            ("dev_user", &mut w.dev_user, 26),
            ("mem_user", &mut w.mem_user, 24),
        ] {
            count(&f, name, 0..=4096, field)?;
            if *field != valid
                && let Some(node) = f.get(name)
            {
                return Err(src
                    .at(node, format!("{name} must be {valid}"))
                    .with_help("the harness drives only this width so far; wrap the block"));
            }
        }
        f.finish()?;
        Ok(w)
    }
}

impl Choices {
    /// Whether the block's latency class is slower than the default one, in which tests state figures.
    #[must_use]
    pub fn slower(&self) -> bool {
        let usual = Self::default();
        self.hit_latency > usual.hit_latency || self.walk_overhead > usual.walk_overhead
    }

    fn read(src: &Source, node: &Node) -> Result<Self> {
        let f = src.fields(node, "choices")?;
        let mut c = Self::default();
        flag(&f, "reset_bare", &mut c.reset_bare)?;
        flag(&f, "reset_zero", &mut c.reset_zero)?;
        flag(&f, "wsi_at_reset", &mut c.wsi_at_reset)?;
        flag(&f, "big_endian", &mut c.big_endian)?;
        flag(&f, "gxl_writable", &mut c.gxl_writable)?;
        if let Some(node) = f.get("levels") {
            c.levels = src
                .list(node, "levels")?
                .iter()
                .map(|n| Ok(Directory::ALL[2 + src.word(n, "level", &Directory::NAMES[2..])?]))
                .collect::<Result<_>>()?;
        }
        count(&f, "ppn_bits", 1..=44, &mut c.ppn_bits)?;
        count(&f, "log2sz_bits", 1..=5, &mut c.log2sz_bits)?;
        if let Some(node) = f.get("vectors") {
            count(&f, "vectors", 1..=16, &mut c.vectors)?;
            if !c.vectors.is_power_of_two() {
                return Err(src.at(node, "vectors are 1, 2, 4, 8 or 16"));
            }
        }
        count(&f, "msi_addr_bits", 3..=56, &mut c.msi_addr_bits)?;
        count(&f, "hpm_counters", 1..=31, &mut c.hpm_counters)?;
        count(&f, "rcid_bits", 0..=12, &mut c.rcid_bits)?;
        count(&f, "mcid_bits", 0..=12, &mut c.mcid_bits)?;
        one_of(
            &f,
            "illegal_register_access",
            &["okay", "error", "any"],
            &[Answer::Okay, Answer::Error, Answer::Any],
            &mut c.illegal_register_access,
        )?;
        flag(
            &f,
            "merges_identical_faults",
            &mut c.merges_identical_faults,
        )?;
        flag(&f, "iotval_offset", &mut c.iotval_offset)?;
        flag(&f, "iotval2_offset", &mut c.iotval2_offset)?;
        flag(&f, "reports_corruption", &mut c.reports_corruption)?;
        flag(&f, "ats_fault_is_write", &mut c.ats_fault_is_write)?;
        flag(&f, "ats_clean_page_faults", &mut c.ats_clean_page_faults)?;
        flag(&f, "bare_iohgatp_with_msi", &mut c.bare_iohgatp_with_msi)?;
        one_of(
            &f,
            "wide_address",
            &["access_fault", "misconfigured"],
            &[WideAddress::AccessFault, WideAddress::Misconfigured],
            &mut c.wide_address,
        )?;
        flag(&f, "check_spa", &mut c.check_spa)?;
        flag(&f, "mrif_big_endian", &mut c.mrif_big_endian)?;
        flag(&f, "wide_operand_illegal", &mut c.wide_operand_illegal)?;
        flag(&f, "inval_pdt_without_pdt", &mut c.inval_pdt_without_pdt)?;
        if let Some(node) = f.get("fetch_granule") {
            count(&f, "fetch_granule", 8..=4096, &mut c.fetch_granule)?;
            if !c.fetch_granule.is_power_of_two() {
                return Err(src.at(node, "fetch_granule is a power of two"));
            }
        }
        flag(&f, "speculates", &mut c.speculates)?;
        count(&f, "command_prefetch", 0..=1024, &mut c.command_prefetch)?;
        one_of(
            &f,
            "atomics",
            &["axi5", "exclusive"],
            &[Atomics::Axi5, Atomics::Exclusive],
            &mut c.atomics,
        )?;
        flag(&f, "device_atomics", &mut c.device_atomics)?;
        count(&f, "settle", 1..=1_000_000, &mut c.settle)?;
        count(&f, "patience", 1..=1_000_000, &mut c.patience)?;
        count(&f, "overtakes", 0..=1_000_000, &mut c.overtakes)?;
        count(&f, "hit_latency", 1..=1_000_000, &mut c.hit_latency)?;
        count(&f, "walk_overhead", 0..=1_000_000, &mut c.walk_overhead)?;
        f.finish()?;
        Ok(c)
    }
}

impl DutDesc {
    /// Reads the text of a `dut.yaml`; `file` is how messages call it.
    ///
    /// # Errors
    /// A mistake, with its place and the nearest valid word.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let src = Source::new(file, text);
        let node = src.parse()?;
        let f = src.fields(&node, "a dut.yaml")?;
        let name = src.string(f.need("name")?, "name")?.to_owned();
        // The build reads the rest of it; here only its top is of interest.
        let rtl = f.need("rtl")?;
        let top = src.string(src.fields(rtl, "rtl")?.need("top")?, "top")?;
        let widths = f
            .get("widths")
            .map_or(Ok(Widths::default()), |n| Widths::read(&src, n))?;
        let choices = f
            .get("choices")
            .map_or(Ok(Choices::default()), |n| Choices::read(&src, n))?;
        let _ = f.get("description");
        f.finish()?;
        Ok(Self {
            name,
            top: top.to_owned(),
            widths,
            choices,
        })
    }

    /// Reads a `dut.yaml`.
    ///
    /// # Errors
    /// It cannot be read, or has a mistake.
    pub fn read(path: &Path) -> std::result::Result<Self, CaseError> {
        let text = std::fs::read_to_string(path).map_err(|why| CaseError::Read {
            path: path.display().to_string(),
            why,
        })?;
        Ok(Self::parse(&path.display().to_string(), &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name: x\nrtl: {top: t, files: [a.sv]}\n";

    fn parse(rest: &str) -> Result<DutDesc> {
        DutDesc::parse("dut.yaml", &format!("{HEAD}{rest}"))
    }

    #[test]
    fn defaults_are_our_block() {
        let d = parse("").unwrap();
        assert_eq!(d.choices, Choices::default());
        assert_eq!(d.top, "t");
    }

    #[test]
    fn the_projects_own_descriptions_are_valid() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (path, levels) in [
            ("rtl/dut.yaml", 3),
            ("testcases/duts/stub/dut.yaml", 0),
            ("testcases/duts/stub-bug/dut.yaml", 0),
        ] {
            let d = DutDesc::read(&root.join(path)).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(d.choices.levels.len(), levels, "{path}");
        }
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        for (text, place, what, help) in [
            (
                "choices: {reset_bear: true}",
                "dut.yaml:3:11",
                "unknown field 'reset_bear'",
                "did you mean 'reset_bare'?",
            ),
            (
                "choices:\n  levels: [2LVL, 4LVL]",
                "dut.yaml:4:18",
                "unknown level '4LVL'",
                "LVL",
            ),
            (
                "choices: {vectors: 3}",
                "dut.yaml:3:20",
                "1, 2, 4, 8 or 16",
                "",
            ),
            (
                "choices: {settle: soon}",
                "dut.yaml:3:19",
                "is a number, not 'soon'",
                "decimal",
            ),
            (
                "widths: {dev_data: 128}",
                "dut.yaml:3:20",
                "must be 64",
                "wrap",
            ),
            (
                "choises: {}",
                "dut.yaml:3:1",
                "unknown field 'choises'",
                "choices",
            ),
        ] {
            let e = parse(text).unwrap_err();
            let shown = e.to_string();
            assert!(shown.starts_with(place), "{shown}");
            assert!(shown.contains(what), "{shown}");
            assert!(e.help.clone().unwrap_or_default().contains(help), "{e:?}");
        }
        assert!(DutDesc::parse("d", "name: x").is_err());
        assert!(DutDesc::parse("d", "rtl: {top: x}").is_err());
    }
}
