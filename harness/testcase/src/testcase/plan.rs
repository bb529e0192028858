//! Everything before the steps: the IOMMU's set-up, machines, domains, devices, first mappings.

use std::collections::BTreeMap;
use std::ops::Range;

use super::parts::{leaf_shift, pte_flags};
use crate::caps;
use crate::case::{Needs, Signals};
use crate::driver::{
    CONTEXT_WORDS, CONTROLS, Directory, DriverConfig, GuestScheme, MsiFile, ProcessMode, Scheme,
};
use crate::op::Where;
use crate::yaml::{Fields, Node, Result, Source};

/// A virtual machine of the test.
#[derive(Debug, Clone)]
pub(super) struct VmSpec {
    pub(super) name: String,
    pub(super) scheme: GuestScheme,
    pub(super) gscid: u16,
    pub(super) tables_at: u64,
    pub(super) msi: Option<MsiSpec>,
}

/// Its virtual interrupt files.
#[derive(Debug, Clone)]
pub(super) struct MsiSpec {
    pub(super) gpa: u64,
    pub(super) mask: u64,
    pub(super) files: Vec<(u64, MsiFile, Range<usize>)>,
}

/// An address space of the test.
#[derive(Debug, Clone)]
pub(super) struct DomainSpec {
    pub(super) name: String,
    pub(super) scheme: Scheme,
    pub(super) pscid: u32,
    pub(super) vm: Option<String>,
    pub(super) big: bool,
    pub(super) span: Range<usize>,
}

/// A process of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessSpec {
    pub(super) domain: Option<String>,
    pub(super) ens: bool,
    pub(super) sum: bool,
}

/// A device of the test, or what a step attaches it to.
#[derive(Debug, Clone, Default)]
pub(super) struct DeviceSpec {
    pub(super) id: u32,
    pub(super) domain: Option<String>,
    pub(super) vm: Option<String>,
    pub(super) pdt: Option<ProcessMode>,
    pub(super) sbe: bool,
    pub(super) processes: BTreeMap<u32, ProcessSpec>,
    /// Bits of `tc`.
    pub(super) controls: u64,
    pub(super) qos: (u16, u16),
    /// Written into its context over what the driver would write.
    pub(super) context: Vec<(usize, u64)>,
    /// It has a context from the beginning.
    pub(super) present: bool,
}

/// A first mapping.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    /// Domain or machine.
    pub(super) space: SpaceName,
    pub(super) iova: u64,
    pub(super) pa: u64,
    pub(super) bytes: u64,
    pub(super) shift: Option<u32>,
    pub(super) flags: u64,
}

/// The name of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpaceName {
    Domain(String),
    Vm(String),
}

/// The names that later parts of a file may use.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) vms: Vec<String>,
    pub(super) domains: Vec<String>,
}

impl Names {
    fn one(src: &Source, n: &Node, what: &str, all: &[String]) -> Result<String> {
        let known: Vec<&str> = all.iter().map(String::as_str).collect();
        Ok(all[src.word(n, what, &known)?].clone())
    }

    pub(super) fn vm(&self, src: &Source, n: &Node) -> Result<String> {
        Self::one(src, n, "vm", &self.vms)
    }

    pub(super) fn domain(&self, src: &Source, n: &Node) -> Result<String> {
        Self::one(src, n, "domain", &self.domains)
    }

    /// `domain: name` with an `iova`, or `vm: name` with a `gpa`.
    pub(super) fn space(&self, f: &Fields<'_>) -> Result<(SpaceName, u64)> {
        let src = f.src;
        if let Some(n) = f.get("vm") {
            let gpa = src.number(f.need("gpa")?, "gpa", u64::MAX)?;
            return Ok((SpaceName::Vm(self.vm(src, n)?), gpa));
        }
        let name = self.domain(src, f.need("domain")?)?;
        let iova = src.number(f.need("iova")?, "iova", u64::MAX)?;
        Ok((SpaceName::Domain(name), iova))
    }

    /// A mapping, in `map` of the file or in the step.
    pub(super) fn mapping(&self, f: &Fields<'_>, needs: &mut Needs) -> Result<Mapping> {
        let src = f.src;
        let (space, iova) = self.space(f)?;
        // What a domain of a guest maps to is a guest physical address; both words do.
        let to = match (&space, f.get("gpa")) {
            (SpaceName::Domain(_), Some(n)) => n,
            _ => f.need("pa")?,
        };
        let mapping = Mapping {
            space,
            iova,
            pa: src.number(to, "an address", (1 << 56) - 1)?,
            bytes: f.number("size", u64::MAX)?.unwrap_or(4096),
            shift: f.get("page").map(|n| leaf_shift(src, n)).transpose()?,
            flags: pte_flags(f)?,
        };
        if mapping.flags >> crate::driver::pte::PBMT_SHIFT & 3 != 0 {
            needs.caps |= bit("Svpbmt");
        }
        if mapping.flags >> crate::driver::pte::SOFTWARE_SHIFT & 3 != 0 {
            needs.caps |= bit("Svrsw60t59b");
        }
        Ok(mapping)
    }
}

/// A capability's bit; the names are those of this crate's own table.
pub(super) fn bit(name: &str) -> u64 {
    caps::feature(name).unwrap_or(0)
}

/// Everything before the steps.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) driver: DriverConfig,
    pub(super) start: bool,
    pub(super) names: Names,
    pub(super) vms: Vec<VmSpec>,
    pub(super) domains: Vec<DomainSpec>,
    pub(super) devices: Vec<(String, DeviceSpec)>,
    pub(super) maps: Vec<(Mapping, Where, Range<usize>)>,
    pub(super) needs: Needs,
    pub(super) signals: Signals,
}

impl Plan {
    pub(super) fn read(f: &Fields<'_>, extended: bool) -> Result<Self> {
        let src = f.src;
        let mut plan = Self {
            driver: DriverConfig {
                extended,
                ..DriverConfig::default()
            },
            start: true,
            names: Names::default(),
            vms: Vec::new(),
            domains: Vec::new(),
            devices: Vec::new(),
            maps: Vec::new(),
            needs: Needs::default(),
            signals: Signals::Any,
        };
        if let Some(n) = f.get("iommu") {
            plan.iommu(&src.fields(n, "iommu")?)?;
        }
        if let Some(n) = f.get("vms") {
            for (key, value) in src.fields(n, "vms")?.items() {
                let name = key.as_str().unwrap_or("").to_owned();
                plan.vm(name, &src.fields(value, "a vm")?)?;
            }
        }
        if let Some(n) = f.get("domains") {
            for (key, value) in src.fields(n, "domains")?.items() {
                let name = key.as_str().unwrap_or("").to_owned();
                plan.domain(name, &src.fields(value, "a domain")?)?;
            }
        }
        if let Some(n) = f.get("devices") {
            for (key, value) in src.fields(n, "devices")?.items() {
                let name = key.as_str().unwrap_or("").to_owned();
                let g = src.fields(value, "a device")?;
                let id_node = g.need("id")?;
                let id = src.number(id_node, "id", 0xff_ffff)? as u32;
                if let Some((other, _)) = plan.devices.iter().find(|(_, d)| d.id == id) {
                    return Err(src.at(id_node, format!("'{other}' has this id already")));
                }
                let mut device = plan.names.device(&g, &mut plan.needs)?;
                device.id = id;
                device.present = g.flag("present", true)?;
                g.finish()?;
                plan.devices.push((name, device));
            }
        }
        if let Some(n) = f.get("map") {
            for item in src.list(n, "map")? {
                let g = src.fields(item, "a mapping")?;
                let mapping = plan.names.mapping(&g, &mut plan.needs)?;
                g.finish()?;
                let at = Where {
                    file: src.file.clone(),
                    line: item.line,
                    text: src.excerpt(item),
                };
                plan.maps.push((mapping, at, item.span.clone()));
            }
        }
        // Directories are of no use to a block that has no scheme to translate with.
        if plan.driver.directory.levels() > 0 {
            if !plan.driver.gxl {
                plan.needs.caps |= caps::SV39;
            }
            if extended {
                // The contexts of this test have 64 bytes.
                plan.needs.caps |= caps::MSI_FLAT;
            }
        }
        // Steps are checked when they are played.
        let _ = f.get("steps");
        Ok(plan)
    }

    fn iommu(&mut self, g: &Fields<'_>) -> Result<()> {
        let src = g.src;
        let driver = &mut self.driver;
        if let Some(n) = g.get("mode") {
            driver.directory = Directory::ALL[src.word(n, "mode", &Directory::NAMES)?];
        }
        let mut page_queue = 0;
        for (name, field) in [
            ("command_queue", &mut driver.cq_log2),
            ("fault_queue", &mut driver.fq_log2),
            ("page_queue", &mut page_queue),
        ] {
            if let Some(n) = g.get(name) {
                let entries = src.number(n, name, 1 << 20)?;
                if entries < 2 || !entries.is_power_of_two() {
                    return Err(src.at(n, "a queue has a power of two of entries, at least 2"));
                }
                *field = entries.ilog2();
            }
        }
        if page_queue > 0 {
            driver.pq_log2 = Some(page_queue);
            self.needs.caps |= bit("ATS");
        }
        if let Some(n) = g.get("interrupts") {
            (driver.interrupts, driver.wires, self.signals) = [
                (false, false, Signals::Any),
                (true, false, Signals::Messages),
                (true, true, Signals::Wires),
            ][src.word(n, "interrupts", &["none", "messages", "wires"])?];
        }
        if let Some(n) = g.get("vectors") {
            let v = src.fields(n, "vectors")?;
            let vector =
                |name, default| -> Result<u8> { Ok(v.number(name, 15)?.unwrap_or(default) as u8) };
            driver.vectors = (vector("command", 0)?, vector("fault", 1)?);
            driver.more_vectors = (vector("counters", 0)?, vector("pages", 0)?);
            v.finish()?;
        }
        if let Some(m) = g.number("messages_to", (1 << 56) - 1)? {
            driver.messages = m & !3;
        }
        if let Some(n) = g.get("tables_at") {
            driver.memory = src.number(n, "tables_at", (1 << 56) - (1 << 32))? & !0xfff;
        }
        driver.big_endian = g.flag("big_endian", false)?;
        if driver.big_endian {
            self.needs.caps |= bit("END");
        }
        driver.gxl = g.flag("gxl", false)?;
        self.needs.gxl |= driver.gxl;
        if let Some(n) = g.get("qos") {
            let q = src.fields(n, "qos")?;
            driver.qos = Some(qos(&q)?);
            q.finish()?;
            self.needs.caps |= bit("QOSID");
        }
        self.start = g.flag("start", true)?;
        g.finish()
    }

    fn vm(&mut self, name: String, g: &Fields<'_>) -> Result<()> {
        let src = g.src;
        let scheme = match g.get("scheme") {
            Some(n) => {
                let scheme = GuestScheme::ALL[src.word(n, "scheme", &GuestScheme::NAMES)?];
                if (scheme == GuestScheme::Sv32x4) != self.driver.gxl {
                    return Err(src
                        .at(n, "Sv32x4 is the scheme of fctl.GXL=1, and its only one")
                        .with_help("`iommu: {gxl: true}`"));
                }
                scheme
            }
            None if self.driver.gxl => GuestScheme::Sv32x4,
            None => GuestScheme::Sv39x4,
        };
        self.needs.caps |= bit(scheme.name());
        let gscid = g.number("gscid", 0xffff)?;
        let tables_at = g.number("tables_at", (1 << 56) - 1)?.unwrap_or(0x1000_0000);
        let msi = match g.get("msi") {
            None => None,
            Some(n) => {
                self.needs.caps |= caps::MSI_FLAT;
                let m = src.fields(n, "msi")?;
                let mut msi = MsiSpec {
                    gpa: src.number(m.need("gpa")?, "gpa", u64::MAX)?,
                    mask: m.number("mask", (1 << 52) - 1)?.unwrap_or(0),
                    files: Vec::new(),
                };
                if let Some(n) = m.get("files") {
                    for (key, value) in src.fields(n, "files")?.items() {
                        let number = src.number(key, "an interrupt file", 0xffff)?;
                        let h = src.fields(value, "an interrupt file")?;
                        let file = msi_file(&h, &mut self.needs)?;
                        h.finish()?;
                        msi.files.push((number, file, value.span.clone()));
                    }
                }
                m.finish()?;
                Some(msi)
            }
        };
        g.finish()?;
        self.names.vms.push(name.clone());
        self.vms.push(VmSpec {
            name,
            scheme,
            gscid: gscid.unwrap_or(self.vms.len() as u64 + 1) as u16,
            tables_at,
            msi,
        });
        Ok(())
    }

    fn domain(&mut self, name: String, g: &Fields<'_>) -> Result<()> {
        let src = g.src;
        let scheme = match g.get("scheme") {
            Some(n) => {
                let scheme = Scheme::ALL[src.word(n, "scheme", &Scheme::NAMES)?];
                if self.driver.gxl && !matches!(scheme, Scheme::Bare | Scheme::Sv32) {
                    return Err(src.at(n, "with fctl.GXL=1 a first stage is Sv32 or Bare"));
                }
                scheme
            }
            None if self.driver.gxl => Scheme::Sv32,
            None => Scheme::Sv39,
        };
        if scheme != Scheme::Bare {
            self.needs.caps |= bit(scheme.name());
        }
        // SXL=1 is legal only where fctl.GXL is writable or 1.
        self.needs.gxl |= scheme == Scheme::Sv32;
        let vm = g.get("vm").map(|n| self.names.vm(src, n)).transpose()?;
        let pscid = g.number("pscid", 0xf_ffff)?;
        let big = g.flag("big_endian", self.driver.big_endian)?;
        if big {
            self.needs.caps |= bit("END");
        }
        g.finish()?;
        self.names.domains.push(name.clone());
        self.domains.push(DomainSpec {
            name,
            scheme,
            pscid: pscid.unwrap_or(self.domains.len() as u64 + 1) as u32,
            vm,
            big,
            span: g.node.span.clone(),
        });
        Ok(())
    }
}

/// RCID and MCID.
fn qos(f: &Fields<'_>) -> Result<(u16, u16)> {
    let id = |name| -> Result<u16> { Ok(f.number(name, 0xfff)?.unwrap_or(0) as u16) };
    Ok((id("rcid")?, id("mcid")?))
}

/// An interrupt file: `{page}`, `{mrif, notice, nid}`, or nothing at all (V=0).
pub(super) fn msi_file(f: &Fields<'_>, needs: &mut Needs) -> Result<MsiFile> {
    let src = f.src;
    let aligned = |n: &Node, what: &str, to: u64| -> Result<u64> {
        let at = src.number(n, what, (1 << 56) - 1)?;
        if at % to == 0 {
            Ok(at)
        } else {
            Err(src.at(n, format!("{what} is a multiple of {to}")))
        }
    };
    match (f.get("page"), f.get("mrif")) {
        (Some(n), None) => Ok(MsiFile::Basic {
            pa: aligned(n, "the page of a guest interrupt file", 4096)?,
        }),
        (None, Some(n)) => {
            needs.caps |= bit("MSI_MRIF");
            Ok(MsiFile::Mrif {
                mrif: aligned(n, "a memory-resident interrupt file", 512)?,
                notice: aligned(f.need("notice")?, "the page of the notice", 4096)?,
                nid: f.number("nid", 0x7ff)?.unwrap_or(0) as u16,
            })
        }
        (None, None) => Ok(MsiFile::Absent),
        _ => Err(src.at(
            f.node,
            "an interrupt file has a page (basic translate mode) or an mrif, not both",
        )),
    }
}

impl Names {
    /// What a device is attached to: in `devices`, and in the step `attach`.
    pub(super) fn device(&self, g: &Fields<'_>, needs: &mut Needs) -> Result<DeviceSpec> {
        let src = g.src;
        let mut device = DeviceSpec {
            domain: g.get("domain").map(|n| self.domain(src, n)).transpose()?,
            vm: g.get("vm").map(|n| self.vm(src, n)).transpose()?,
            qos: qos(g)?,
            ..DeviceSpec::default()
        };
        if device.qos != (0, 0) {
            needs.caps |= bit("QOSID");
        }
        for (name, position) in CONTROLS {
            if g.flag(name, false)? {
                device.controls |= 1 << position;
                needs.caps |= match name {
                    "en_ats" | "en_pri" | "prpr" => bit("ATS"),
                    "t2gpa" => bit("T2GPA"),
                    "gade" | "sade" => bit("AMO_HWAD"),
                    _ => 0,
                };
            }
        }
        device.sbe = g.flag("sbe", false)?;
        if device.sbe {
            needs.caps |= bit("END");
        }
        let mut widest = 0;
        if let Some(n) = g.get("processes") {
            for (key, value) in src.fields(n, "processes")?.items() {
                let id = src.number(key, "a process_id", 0xf_ffff)? as u32;
                widest = widest.max(id);
                device.processes.insert(id, self.process(src, value)?);
            }
            if let Some(n) = g.get("domain") {
                return Err(src
                    .at(n, "a device with processes has its domains there")
                    .with_help("processes: {1: app, 2: {domain: other, ens: true}}"));
            }
        }
        device.pdt = match g.get("pdt") {
            Some(n) => Some(ProcessMode::ALL[src.word(n, "pdt", &ProcessMode::NAMES)?]),
            None if g.get("processes").is_some() => Some(
                *ProcessMode::ALL
                    .iter()
                    .find(|m| u64::from(widest) >> m.bits() == 0 && **m != ProcessMode::Bare)
                    .unwrap_or(&ProcessMode::Pd20),
            ),
            None => None,
        };
        if let Some(mode) = device.pdt.filter(|&m| m != ProcessMode::Bare) {
            needs.caps |= bit(ProcessMode::NAMES[mode as usize]);
        }
        if let Some(n) = g.get("context") {
            let words = src.fields(n, "context")?;
            for (w, &name) in CONTEXT_WORDS.iter().enumerate() {
                if let Some(value) = words.number(name, u64::MAX)? {
                    device.context.push((w, value));
                }
            }
            words.finish()?;
        }
        Ok(device)
    }

    /// A process: the name of its domain, or `{domain, ens, sum}`.
    pub(super) fn process(&self, src: &Source, n: &Node) -> Result<ProcessSpec> {
        if n.as_str().is_some() {
            return Ok(ProcessSpec {
                domain: Some(self.domain(src, n)?),
                ..ProcessSpec::default()
            });
        }
        let f = src.fields(n, "a process")?;
        let spec = self.process_fields(&f)?;
        f.finish()?;
        Ok(spec)
    }

    pub(super) fn process_fields(&self, f: &Fields<'_>) -> Result<ProcessSpec> {
        Ok(ProcessSpec {
            domain: f.get("domain").map(|n| self.domain(f.src, n)).transpose()?,
            ens: f.flag("ens", false)?,
            sum: f.flag("sum", false)?,
        })
    }
}
