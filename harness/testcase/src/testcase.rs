//! Test cases in YAML. `docs/how-to-add-a-test.md` explains them by example.
//!
//! A file is read in two passes over the same text. [`load`] decodes and checks
//! every field, so that a mistake is found before anything runs; lowering then
//! plays the steps through a [`Driver`] and yields operations. Lowering happens
//! at load too (with seed 0), because some mistakes, such as mapping an address
//! twice, only show there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use iommu_bus::event::Burst;
use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::caps;
use crate::case::{Case, Setting, Signals, Source as CaseSource, Timings};
use crate::diag;
use crate::driver::{
    CONTEXT_WORDS, Directory, DomainId, Driver, DriverConfig, LEAF_SIZES, Scheme, pte,
};
use crate::op::{BoundClass, CaseError, Dma, Expect, ExpectedRecord, Op, OpAt, Ops, Shape, Where};
use crate::regs;
use crate::rng::Random;
use crate::stream::{Snapshot, Stream, read_image};
use crate::yaml::{Fields, Kind, Node, Result, Source};

/// Fields of the whole file, for messages.
const WHAT: &str = "a test case";
/// More operations than this from one file are a mistake in a `count` or `times`.
const MAX_OPS: usize = 4_000_000;

/// Clocks before wires are compared: an effect that needs no bus shows within them.
const SETTLE: u32 = 64;

/// Steps of a test case.
const STEPS: &[&str] = &[
    "dma",
    "traffic",
    "map",
    "unmap",
    "invalidate",
    "fence",
    "command",
    "attach",
    "detach",
    "mode",
    "start",
    "wait",
    "poke",
    "memory_error",
    "clear_memory_errors",
    "write_register",
    "read_register",
    "poll_register",
    "raw_register",
    "expect_faults",
    "expect_memory",
    "poll_memory",
    "expect_wires",
    "timing",
    "reset",
    "measure",
    "expect_latency",
    "expect_throughput",
    "repeat",
    "load_image",
    "note",
];

/// Reads a test case.
///
/// # Errors
/// The file cannot be read, or has a mistake.
pub fn load(path: &Path, shown: &str) -> std::result::Result<Case, CaseError> {
    let text = std::fs::read_to_string(path).map_err(|why| CaseError::Read {
        path: shown.to_owned(),
        why,
    })?;
    parse(path, shown, &text)
}

/// Reads the text of a test case; `path` is where it lies, `shown` how messages call it.
///
/// # Errors
/// It has a mistake, or names a file that does not exist.
pub fn parse(path: &Path, shown: &str, text: &str) -> std::result::Result<Case, CaseError> {
    let src = Source::new(shown, text);
    let root = src.parse()?;
    let f = src.fields(&root, WHAT)?;
    let name = src.string(f.need("name")?, "name")?.to_owned();
    let description = src
        .string(f.need("description")?, "description")?
        .trim()
        .to_owned();
    let tags = match f.get("tags") {
        Some(n) => src
            .list(n, "tags")?
            .iter()
            .map(|t| Ok(src.string(t, "a tag")?.to_owned()))
            .collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let quiesced = f.flag("quiesced", true)?;
    let mut needs = f.get("needs").map_or(Ok(0), |n| features(&src, n))?;
    let caps_mask = f
        .get("capabilities")
        .map_or(Ok(u64::MAX), |n| mask(&src, n))?;
    let timings = f
        .get("timing")
        .map_or(Ok(Timings::default()), |n| read_timings(&src, n))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = |n: &Node, what: &str| -> Result<PathBuf> {
        let at = folder.join(src.string(n, what)?);
        if at.exists() {
            Ok(at)
        } else {
            Err(src
                .at(n, format!("there is no {}", at.display()))
                .with_help("paths are relative to the test case"))
        }
    };
    let shown_beside = |n: &Node| -> Arc<str> {
        match Path::new(shown).parent() {
            Some(p) => p
                .join(n.as_str().unwrap_or(""))
                .display()
                .to_string()
                .into(),
            None => n.as_str().unwrap_or("").into(),
        }
    };

    let mut signals = Signals::Any;
    let (source, total_hint): (Arc<dyn CaseSource>, u64) = if let Some(n) = f.get("stream") {
        let messages = f.number("messages_to", u64::MAX)?;
        let at = beside(n, "stream")?;
        f.finish()?;
        let stream = Stream::new(at, shown_beside(n), messages);
        let lines = stream.lines()?;
        (Arc::new(stream), lines)
    } else if let Some(n) = f.get("snapshot") {
        let at = beside(n, "snapshot")?;
        f.finish()?;
        let snapshot = Snapshot::new(at, shown_beside(n));
        let requests = snapshot.len()?;
        (Arc::new(snapshot), requests)
    } else {
        let plan = Plan::read(&f, folder, caps_mask & caps::MSI_FLAT != 0)?;
        f.finish()?;
        needs |= plan.needs;
        signals = plan.signals;
        let script = Script {
            src: src.clone(),
            root: root.clone(),
            folder: folder.to_owned(),
            extended: caps_mask & caps::MSI_FLAT != 0,
        };
        let count = script.lower(0)?.len() as u64;
        (Arc::new(script), count)
    };
    Ok(Case {
        name,
        file: path.to_owned(),
        description,
        tags,
        quiesced,
        needs,
        signals,
        fixed: Setting {
            caps_mask,
            timings,
            needs: 0,
        },
        total_hint,
        draw: None,
        source,
    })
}

/// All test cases of a folder, by name.
///
/// # Errors
/// The first one that cannot be read, or two of the same name.
pub fn load_folder(folder: &Path, shown: &str) -> std::result::Result<Vec<Case>, CaseError> {
    let entries = std::fs::read_dir(folder).map_err(|why| CaseError::Read {
        path: shown.to_owned(),
        why,
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    files.sort();
    let mut cases: Vec<Case> = Vec::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let case = load(&path, &format!("{shown}/{name}"))?;
        if let Some(other) = cases.iter().find(|c| c.name == case.name) {
            return Err(CaseError::Other {
                file: format!("{shown}/{name}"),
                why: format!(
                    "the name '{}' is taken by {}",
                    case.name,
                    other.file.display()
                ),
            });
        }
        cases.push(case);
    }
    Ok(cases)
}

// ------------------------------------------------------------------ small parts

fn features(src: &Source, node: &Node) -> Result<u64> {
    let mut bits = 0;
    for n in src.list(node, "a list of capabilities")? {
        let text = src.string(n, "a capability")?;
        bits |= caps::feature(text).ok_or_else(|| {
            src.at(n, format!("unknown capability '{text}'"))
                .with_help(diag::suggest(text, caps::FEATURES.iter().map(|&(f, _)| f)))
        })?;
    }
    Ok(bits)
}

fn mask(src: &Source, node: &Node) -> Result<u64> {
    let f = src.fields(node, "capabilities")?;
    let mut mask = u64::MAX;
    if let Some(n) = f.get("without") {
        mask &= !features(src, n)?;
    }
    if let Some(m) = f.number("mask", u64::MAX)? {
        mask &= m;
    }
    f.finish()?;
    Ok(mask)
}

/// `8` or `8..20` (both ends included).
fn range(src: &Source, node: &Node, what: &str, max: u64) -> Result<RangeInclusive<u32>> {
    let text = src.string(node, what)?;
    let wrong = || {
        src.at(node, format!("{what} is a number or a range, not '{text}'"))
            .with_help("for example 8 or 4..20")
    };
    let number = |t: &str| {
        crate::yaml::parse_number(t.trim())
            .filter(|&v| v <= max)
            .and_then(|v| u32::try_from(v).ok())
            .ok_or_else(wrong)
    };
    match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high.trim_start_matches('='))?);
            if low > high {
                return Err(wrong());
            }
            Ok(low..=high)
        }
        None => number(text).map(|n| n..=n),
    }
}

fn port_timing(src: &Source, node: &Node, mut t: PortTiming) -> Result<PortTiming> {
    let f = src.fields(node, "the timing of a memory port")?;
    if let Some(n) = f.get("latency") {
        t.latency = range(src, n, "latency", 100_000)?;
    }
    t.out_of_order = f.flag("out_of_order", t.out_of_order)?;
    t.interleave = f.flag("interleave", t.interleave)?;
    percent(&f, "ready", &mut t.ready_percent)?;
    percent(&f, "gap", &mut t.gap_percent)?;
    t.stopped = f.flag("stopped", t.stopped)?;
    f.finish()?;
    Ok(t)
}

fn percent(f: &Fields<'_>, name: &'static str, to: &mut u8) -> Result<()> {
    if let Some(n) = f.number(name, 100)? {
        *to = n as u8;
    }
    Ok(())
}

fn dev_timing(src: &Source, node: &Node, mut t: DevTiming) -> Result<DevTiming> {
    let f = src.fields(node, "the timing of devices")?;
    percent(&f, "aw_gap", &mut t.aw_gap_percent)?;
    percent(&f, "w_gap", &mut t.w_gap_percent)?;
    percent(&f, "ar_gap", &mut t.ar_gap_percent)?;
    percent(&f, "b_ready", &mut t.b_ready_percent)?;
    percent(&f, "r_ready", &mut t.r_ready_percent)?;
    for (name, field) in [
        ("aw_delay", &mut t.aw_delay),
        ("w_delay", &mut t.w_delay),
        ("max_reads", &mut t.max_reads),
        ("max_writes", &mut t.max_writes),
    ] {
        if let Some(n) = f.number(name, 100_000)? {
            *field = n as u32;
        }
    }
    t.w_before_aw = f.flag("w_before_aw", t.w_before_aw)?;
    t.stop_requests = f.flag("stop_requests", t.stop_requests)?;
    t.stop_responses = f.flag("stop_responses", t.stop_responses)?;
    f.finish()?;
    Ok(t)
}

fn reg_timing(src: &Source, node: &Node, mut t: RegTiming) -> Result<RegTiming> {
    let f = src.fields(node, "the timing of the register port")?;
    percent(&f, "gap", &mut t.gap_percent)?;
    percent(&f, "ready", &mut t.ready_percent)?;
    if let Some(n) = f.number("max_outstanding", 64)? {
        t.max_outstanding = (n as u32).max(1);
    }
    f.finish()?;
    Ok(t)
}

fn read_timings(src: &Source, node: &Node) -> Result<Timings> {
    let f = src.fields(node, "timing")?;
    let mut t = Timings::default();
    if let Some(n) = f.get("memory") {
        t.mem = port_timing(src, n, t.mem)?;
    }
    if let Some(n) = f.get("output") {
        t.out = port_timing(src, n, t.out)?;
    }
    if let Some(n) = f.get("devices") {
        t.dev = dev_timing(src, n, t.dev)?;
    }
    if let Some(n) = f.get("registers") {
        t.reg = reg_timing(src, n, t.reg)?;
    }
    f.finish()?;
    Ok(t)
}

/// PTE bits of `access: rwx...` and the flags beside it.
fn pte_flags(f: &Fields<'_>) -> Result<u64> {
    let src = f.src;
    let mut flags = pte::V;
    let access = f.get("access");
    let text = access.map_or(Ok("rw"), |n| src.string(n, "access"))?;
    for c in text.chars() {
        flags |= match c {
            'r' => pte::R,
            'w' => pte::W,
            'x' => pte::X,
            '-' => 0,
            _ => {
                return Err(src
                    .at(access.unwrap_or(f.node), format!("unknown access '{text}'"))
                    .with_help("letters of rwx"));
            }
        };
    }
    for (name, bit, default) in [
        ("user", pte::U, true),
        ("global", pte::G, false),
        ("accessed", pte::A, true),
        ("dirty", pte::D, flags & pte::W != 0),
        ("valid", pte::V, true),
    ] {
        if f.flag(name, default)? {
            flags |= bit;
        } else {
            flags &= !bit;
        }
    }
    Ok(flags)
}

/// log2 of a page size by name.
fn leaf_shift(src: &Source, node: &Node) -> Result<u32> {
    let names: Vec<&str> = LEAF_SIZES.iter().map(|&(n, _)| n).collect();
    Ok(LEAF_SIZES[src.word(node, "page size", &names)?].1 as u32)
}

fn burst(src: &Source, node: &Node) -> Result<Burst> {
    Ok([Burst::Fixed, Burst::Incr, Burst::Wrap, Burst::Reserved]
        [src.word(node, "burst", &["fixed", "incr", "wrap", "reserved"])?])
}

/// Bytes of a value: `value` and `size`, or `data` as a list of bytes.
fn read_data(f: &Fields<'_>) -> Result<Vec<u8>> {
    if let Some(n) = f.get("data") {
        return f
            .src
            .list(n, "data")?
            .iter()
            .map(|b| Ok(f.src.number(b, "a byte", 0xff)? as u8))
            .collect();
    }
    let size = value_size(f)?;
    let value = f.src.number(f.need("value")?, "value", u64::MAX)?;
    Ok(value.to_le_bytes()[..size as usize].to_vec())
}

fn value_size(f: &Fields<'_>) -> Result<u8> {
    match f.get("size") {
        None => Ok(8),
        Some(n) => match f.src.number(n, "size", 8)? {
            v @ (1 | 2 | 4 | 8) => Ok(v as u8),
            _ => Err(f.src.at(n, "size is 1, 2, 4 or 8")),
        },
    }
}

// ------------------------------------------------------------------------ plan

/// A device of the test.
#[derive(Debug, Clone)]
struct Device {
    id: u32,
    domain: Option<String>,
    /// Written into its context over what the driver would write.
    context: Vec<(usize, u64)>,
    /// It has a context from the beginning.
    present: bool,
}

/// A first mapping.
#[derive(Debug, Clone)]
struct Mapping {
    domain: String,
    iova: u64,
    pa: u64,
    bytes: u64,
    shift: Option<u32>,
    flags: u64,
}

/// Everything before the steps.
#[derive(Debug)]
struct Plan {
    driver: DriverConfig,
    start: bool,
    domains: Vec<(String, Scheme, u32)>,
    devices: BTreeMap<String, Device>,
    maps: Vec<(Mapping, Where, std::ops::Range<usize>)>,
    needs: u64,
    signals: Signals,
}

impl Plan {
    fn read(f: &Fields<'_>, folder: &Path, extended: bool) -> Result<Self> {
        let _ = folder;
        let src = f.src;
        let mut driver = DriverConfig {
            extended,
            ..DriverConfig::default()
        };
        let mut start = true;
        let mut signals = Signals::Any;
        if let Some(n) = f.get("iommu") {
            let g = src.fields(n, "iommu")?;
            if let Some(n) = g.get("mode") {
                driver.directory = Directory::ALL[src.word(n, "mode", &Directory::NAMES)?];
            }
            for (name, field) in [
                ("command_queue", &mut driver.cq_log2),
                ("fault_queue", &mut driver.fq_log2),
            ] {
                if let Some(n) = g.get(name) {
                    let entries = src.number(n, name, 1 << 20)?;
                    if entries < 2 || !entries.is_power_of_two() {
                        return Err(src.at(n, "a queue has a power of two of entries, at least 2"));
                    }
                    *field = entries.ilog2();
                }
            }
            if let Some(n) = g.get("interrupts") {
                (driver.interrupts, driver.wires, signals) = [
                    (false, false, Signals::Any),
                    (true, false, Signals::Messages),
                    (true, true, Signals::Wires),
                ][src.word(n, "interrupts", &["none", "messages", "wires"])?];
            }
            if let Some(n) = g.get("vectors") {
                let v = src.fields(n, "vectors")?;
                driver.vectors = (
                    v.number("command", 15)?.unwrap_or(0) as u8,
                    v.number("fault", 15)?.unwrap_or(1) as u8,
                );
                v.finish()?;
            }
            if let Some(m) = g.number("messages_to", (1 << 56) - 1)? {
                driver.messages = m & !3;
            }
            if let Some(n) = g.get("tables_at") {
                driver.memory = src.number(n, "tables_at", (1 << 56) - (1 << 32))? & !0xfff;
            }
            start = g.flag("start", true)?;
            g.finish()?;
        }
        let mut needs = 0;
        // Directories are of no use to a block that has no scheme to translate with.
        if driver.directory.levels() > 0 {
            needs |= caps::SV39;
            if extended {
                // The contexts of this test have 64 bytes.
                needs |= caps::MSI_FLAT;
            }
        }
        let mut domains = Vec::new();
        if let Some(n) = f.get("domains") {
            for (key, value) in src.fields(n, "domains")?.items() {
                let g = src.fields(value, "a domain")?;
                let scheme = match g.get("scheme") {
                    Some(n) => Scheme::ALL[src.word(n, "scheme", &Scheme::NAMES)?],
                    None => Scheme::Sv39,
                };
                needs |= match scheme {
                    Scheme::Bare => 0,
                    Scheme::Sv39 => caps::SV39,
                    Scheme::Sv48 => caps::SV48,
                    Scheme::Sv57 => caps::SV57,
                };
                let pscid = g.number("pscid", 0xf_ffff)?;
                g.finish()?;
                domains.push((
                    key.as_str().unwrap_or("").to_owned(),
                    scheme,
                    pscid.unwrap_or(domains.len() as u64 + 1) as u32,
                ));
            }
        }
        let known: Vec<&str> = domains.iter().map(|(n, ..)| n.as_str()).collect();
        let domain_name =
            |n: &Node| -> Result<String> { Ok(domains[src.word(n, "domain", &known)?].0.clone()) };
        let mut devices: BTreeMap<String, Device> = BTreeMap::new();
        if let Some(n) = f.get("devices") {
            for (key, value) in src.fields(n, "devices")?.items() {
                let g = src.fields(value, "a device")?;
                let id_node = g.need("id")?;
                let id = src.number(id_node, "id", 0xff_ffff)? as u32;
                if let Some((other, _)) = devices.iter().find(|(_, d)| d.id == id) {
                    return Err(src.at(id_node, format!("'{other}' has this id already")));
                }
                let domain = g.get("domain").map(domain_name).transpose()?;
                let mut context = Vec::new();
                if let Some(n) = g.get("context") {
                    let words = src.fields(n, "context")?;
                    for (w, &name) in CONTEXT_WORDS.iter().enumerate() {
                        if let Some(value) = words.number(name, u64::MAX)? {
                            context.push((w, value));
                        }
                    }
                    words.finish()?;
                }
                let present = g.flag("present", true)?;
                g.finish()?;
                devices.insert(
                    key.as_str().unwrap_or("").to_owned(),
                    Device {
                        id,
                        domain,
                        context,
                        present,
                    },
                );
            }
        }
        let mut maps = Vec::new();
        if let Some(n) = f.get("map") {
            for item in src.list(n, "map")? {
                let g = src.fields(item, "a mapping")?;
                let mapping = Mapping {
                    domain: domain_name(g.need("domain")?)?,
                    iova: src.number(g.need("iova")?, "iova", u64::MAX)?,
                    pa: src.number(g.need("pa")?, "pa", (1 << 56) - 1)?,
                    bytes: g.number("size", u64::MAX)?.unwrap_or(4096),
                    shift: g.get("page").map(|n| leaf_shift(src, n)).transpose()?,
                    flags: pte_flags(&g)?,
                };
                g.finish()?;
                let at = Where {
                    file: src.file.clone(),
                    line: item.line,
                    text: src.excerpt(item),
                };
                maps.push((mapping, at, item.span.clone()));
            }
        }
        // Steps are checked when they are played.
        let _ = f.get("steps");
        Ok(Self {
            driver,
            start,
            domains,
            devices,
            maps,
            needs,
            signals,
        })
    }
}

// -------------------------------------------------------------------- lowering

/// A test case with steps.
#[derive(Debug)]
struct Script {
    src: Source,
    root: Node,
    folder: PathBuf,
    extended: bool,
}

impl CaseSource for Script {
    fn ops(&self, seed: u64) -> std::result::Result<Ops, CaseError> {
        let ops = self.lower(seed)?;
        Ok(Box::new(ops.into_iter().map(Ok)))
    }
}

impl Script {
    fn lower(&self, seed: u64) -> std::result::Result<Vec<OpAt>, CaseError> {
        let f = self.src.fields(&self.root, WHAT)?;
        let plan = Plan::read(&f, &self.folder, self.extended)?;
        let src = &self.src;
        let mut play = Play {
            src,
            folder: &self.folder,
            driver: Driver::new(plan.driver.clone()),
            domains: Vec::new(),
            devices: BTreeMap::new(),
            due: Vec::new(),
            out: Vec::new(),
            data: Random::new(seed, "case data"),
            traffic: Random::new(seed, "case traffic"),
            mode: Directory::Off,
        };
        let at = Where {
            file: src.file.clone(),
            line: 1,
            text: "set-up".into(),
        };
        for (name, scheme, pscid) in &plan.domains {
            let id = play.driver.domain(*scheme, *pscid);
            play.domains.push((name.clone(), id));
        }
        play.collect(&at)?;
        for (m, at, span) in &plan.maps {
            let id = play.domain_id(&m.domain);
            let done = id.map_or(Ok(()), |id| {
                play.driver.map(id, m.iova, m.pa, m.bytes, m.shift, m.flags)
            });
            done.map_err(|e| src.error(span.clone(), e.0))?;
            play.collect(at)?;
        }
        for (name, device) in &plan.devices {
            if device.present && plan.driver.directory.levels() > 0 {
                play.context(device)
                    .map_err(|e| src.at(&self.root, format!("device '{name}': {}", e.0)))?;
            }
            play.devices.insert(name.clone(), device.clone());
        }
        play.collect(&at)?;
        if plan.start {
            play.driver.start();
            play.mode = plan.driver.directory;
            play.collect(&at)?;
        }
        if let Some(steps) = f.get("steps") {
            play.steps(src.list(steps, "steps")?, 0)?;
        }
        let end = Where {
            file: src.file.clone(),
            line: 0,
            text: "end of the steps".into(),
        };
        play.op(&end, Op::WaitIdle)?;
        Ok(play.out)
    }
}

/// The steps on their way into operations.
struct Play<'a> {
    src: &'a Source,
    folder: &'a Path,
    driver: Driver,
    domains: Vec<(String, DomainId)>,
    devices: BTreeMap<String, Device>,
    /// Records that the expectations of the steps so far make due.
    due: Vec<ExpectedRecord>,
    out: Vec<OpAt>,
    data: Random,
    traffic: Random,
    mode: Directory,
}

/// What a `dma` or `traffic` step says about each access.
struct Access {
    device: u32,
    /// Domain of the device, for computing expected addresses.
    domain: Option<DomainId>,
    process: Option<u32>,
    privileged: bool,
    translated: bool,
}

impl Play<'_> {
    fn op(&mut self, at: &Where, op: Op) -> Result<()> {
        if self.out.len() >= MAX_OPS {
            return Err(self.src.error(0..0, "this makes millions of operations"));
        }
        self.out.push(OpAt { op, at: at.clone() });
        Ok(())
    }

    /// What the driver did, as operations of this step.
    fn collect(&mut self, at: &Where) -> Result<()> {
        for op in self.driver.take() {
            self.op(at, op)?;
        }
        Ok(())
    }

    fn domain_id(&self, name: &str) -> Option<DomainId> {
        self.domains
            .iter()
            .find(|(n, _)| n == name)
            .map(|&(_, id)| id)
    }

    fn context(&mut self, device: &Device) -> std::result::Result<(), crate::driver::Refused> {
        let domain = device.domain.as_deref().and_then(|d| self.domain_id(d));
        let mut context = self.driver.context_of(domain);
        for &(word, value) in &device.context {
            context.words[word] = value;
        }
        self.driver.set_context(device.id, &context).map(|_| ())
    }

    fn domain_of(&self, node: &Node) -> Result<DomainId> {
        let names: Vec<&str> = self.domains.iter().map(|(n, _)| n.as_str()).collect();
        Ok(self.domains[self.src.word(node, "domain", &names)?].1)
    }

    /// A device by name, or by number: a stranger.
    fn device_of(&self, node: &Node) -> Result<(u32, Option<DomainId>)> {
        if let Some(id) = node.as_str().and_then(crate::yaml::parse_number) {
            if id > 0xff_ffff {
                return Err(self.src.at(node, "a device_id has 24 bits"));
            }
            return Ok((id as u32, None));
        }
        let names: Vec<&str> = self.devices.keys().map(String::as_str).collect();
        let name = names[self.src.word(node, "device", &names)?];
        let device = &self.devices[name];
        Ok((
            device.id,
            device.domain.as_deref().and_then(|d| self.domain_id(d)),
        ))
    }

    fn steps(&mut self, steps: &[Node], depth: u32) -> Result<()> {
        for step in steps {
            let src = self.src;
            let items = match &step.kind {
                Kind::Map(items) => items.as_slice(),
                Kind::Scalar { .. } => {
                    // A step without fields: `- start`, `- fence`.
                    let at = self.at(step);
                    let name = STEPS[src.word(step, "step", STEPS)?];
                    let nothing = Node {
                        span: step.span.clone(),
                        line: step.line,
                        kind: Kind::Null,
                    };
                    self.step(name, &nothing, &at, depth)?;
                    continue;
                }
                _ => return Err(src.at(step, "a step is a word or `word: {fields}`")),
            };
            let [(key, value)] = items else {
                return Err(src
                    .at(step, "a step has one name; the fields go below it")
                    .with_help("- dma: {device: nic, read: 0x1000}"));
            };
            let name = STEPS[src.word(key, "step", STEPS)?];
            let at = self.at(step);
            let value = match &value.kind {
                // Mistakes in an empty step point at the step.
                Kind::Null => &Node {
                    span: key.span.clone(),
                    line: key.line,
                    kind: Kind::Null,
                },
                _ => value,
            };
            self.step(name, value, &at, depth)?;
        }
        Ok(())
    }

    fn at(&self, node: &Node) -> Where {
        Where {
            file: self.src.file.clone(),
            line: node.line,
            text: self.src.excerpt(node),
        }
    }

    fn step(&mut self, name: &str, node: &Node, at: &Where, depth: u32) -> Result<()> {
        let src = self.src;
        // Steps whose value is a single word or a list.
        match name {
            "mode" => {
                let mode = Directory::ALL[src.word(node, "mode", &Directory::NAMES)?];
                if self.mode.levels() > 0 && mode != Directory::Off && mode != self.mode {
                    return Err(src
                        .at(
                            node,
                            format!(
                                "{} to {} is UNSPECIFIED",
                                Directory::NAMES[self.mode as usize],
                                Directory::NAMES[mode as usize]
                            ),
                        )
                        .with_help("go through Off"));
                }
                if mode.levels() > 0 && mode.levels() != self.driver.cfg.directory.levels() {
                    return Err(src.at(
                        node,
                        format!(
                            "the directory of this test is {}",
                            Directory::NAMES[self.driver.cfg.directory as usize]
                        ),
                    ));
                }
                self.mode = mode;
                self.driver.set_mode(mode);
                return self.collect(at);
            }
            "wait" => {
                if let Kind::Map(_) = node.kind {
                    let f = src.fields(node, "wait")?;
                    let n = src.number(f.need("cycles")?, "cycles", 10_000_000)?;
                    f.finish()?;
                    return self.op(at, Op::Cycles(n as u32));
                }
                return match src.word(node, "wait", &["dma", "idle", "commands"])? {
                    0 => self.op(at, Op::WaitDma),
                    1 => self.op(at, Op::WaitIdle),
                    _ => {
                        self.driver.wait_commands();
                        self.collect(at)
                    }
                };
            }
            "note" => {
                let text = src.string(node, "note")?.to_owned();
                return self.op(at, Op::Note(text));
            }
            "measure" => {
                if !matches!(node.kind, Kind::Null) {
                    src.word(node, "measure", &["begin"])?;
                }
                return self.op(at, Op::Measure);
            }
            "clear_memory_errors" => return self.op(at, Op::ClearFaults),
            "load_image" => {
                let path = self.folder.join(src.string(node, "load_image")?);
                let pages = read_image(&path).map_err(|e| src.at(node, e.to_string()))?;
                return self.op(
                    at,
                    Op::LoadImage {
                        pages: Arc::new(pages),
                    },
                );
            }
            "expect_faults" => return self.expect_faults(node, at),
            "command" => {
                if let Kind::List(_) = node.kind {
                    let list = src.list(node, "command")?;
                    let [d0, d1] = list else {
                        return Err(src.at(node, "a command is [dword0, dword1]"));
                    };
                    self.driver.command(
                        src.number(d0, "dword0", u64::MAX)?,
                        src.number(d1, "dword1", u64::MAX)?,
                    );
                    return self.collect(at);
                }
            }
            _ => {}
        }
        let f = src.fields(node, name)?;
        match name {
            "dma" => self.dma(&f, at)?,
            "traffic" => self.random_traffic(&f, at)?,
            "map" => {
                let domain = self.domain_of(f.need("domain")?)?;
                let iova = src.number(f.need("iova")?, "iova", u64::MAX)?;
                let pa = src.number(f.need("pa")?, "pa", (1 << 56) - 1)?;
                let bytes = f.number("size", u64::MAX)?.unwrap_or(4096);
                let shift = f.get("page").map(|n| leaf_shift(src, n)).transpose()?;
                let flags = pte_flags(&f)?;
                self.quiesce(&f, at)?;
                self.driver
                    .map(domain, iova, pa, bytes, shift, flags)
                    .map_err(|e| src.at(node, e.0))?;
            }
            "unmap" => {
                let domain = self.domain_of(f.need("domain")?)?;
                let iova = src.number(f.need("iova")?, "iova", u64::MAX)?;
                let bytes = f.number("size", u64::MAX)?.unwrap_or(4096);
                let invalidate = f.flag("invalidate", true)?;
                self.quiesce(&f, at)?;
                let gone = self
                    .driver
                    .unmap(domain, iova, bytes)
                    .map_err(|e| src.at(node, e.0))?;
                if invalidate {
                    self.driver.invalidate_leaves(domain, &gone);
                    self.driver.kick();
                }
            }
            "invalidate" => self.invalidate(&f)?,
            "fence" => self.fence(&f)?,
            "command" => {
                let d0 = src.number(f.need("dword0")?, "dword0", u64::MAX)?;
                let d1 = f.number("dword1", u64::MAX)?.unwrap_or(0);
                self.driver.command(d0, d1);
                if f.flag("kick", false)? {
                    self.driver.kick();
                }
            }
            "attach" => {
                let node = f.need("device")?;
                let (id, _) = self.device_of(node)?;
                let name = node.as_str().unwrap_or("").to_owned();
                let domain = match f.get("domain") {
                    Some(n) => {
                        let id = self.domain_of(n)?;
                        self.domains
                            .iter()
                            .find(|&&(_, d)| d == id)
                            .map(|(n, _)| n.clone())
                    }
                    None => None,
                };
                self.quiesce(&f, at)?;
                let device = Device {
                    id,
                    domain,
                    context: Vec::new(),
                    present: true,
                };
                self.context(&device).map_err(|e| src.at(node, e.0))?;
                self.devices.insert(name, device);
            }
            "detach" => {
                let node = f.need("device")?;
                let (id, _) = self.device_of(node)?;
                self.quiesce(&f, at)?;
                self.driver.detach(id).map_err(|e| src.at(node, e.0))?;
                self.driver.kick();
            }
            "start" => {
                self.mode = self.driver.cfg.directory;
                self.driver.start();
            }
            "poke" => self.poke(&f, at)?,
            "memory_error" => {
                let (addr, bytes) = self.place(&f)?;
                let bytes = f.number("size", u64::MAX)?.unwrap_or(bytes);
                let kind = match f.get("kind") {
                    Some(n) => [MemFault::SlvErr, MemFault::DecErr, MemFault::Poison]
                        [src.word(n, "kind", &["error", "decode_error", "poison"])?],
                    None => MemFault::SlvErr,
                };
                let access = match f.get("access") {
                    Some(n) => [FaultAccess::Any, FaultAccess::Read, FaultAccess::Write]
                        [src.word(n, "access", &["any", "read", "write"])?],
                    None => FaultAccess::Any,
                };
                self.collect(at)?;
                self.op(
                    at,
                    Op::MemFault {
                        range: addr..addr.saturating_add(bytes),
                        access,
                        fault: kind,
                    },
                )?;
            }
            "write_register" | "read_register" | "poll_register" => {
                self.register(name, &f, at)?;
            }
            "raw_register" => {
                let op = Op::RegWriteRaw {
                    offset: src.number(f.need("offset")?, "offset", 0xfff)? as u16,
                    data: f.number("data", u64::MAX)?.unwrap_or(u64::MAX),
                    strb: f.number("strobes", 0xff)?.unwrap_or(0xff) as u8,
                };
                self.op(at, op)?;
            }
            "expect_memory" => {
                let (addr, _) = self.place(&f)?;
                let data = read_data(&f)?;
                self.collect(at)?;
                self.op(at, Op::ExpectMemory { addr, data })?;
            }
            "poll_memory" => {
                let (addr, _) = self.place(&f)?;
                let size = value_size(&f)?;
                let value = src.number(f.need("value")?, "value", u64::MAX)?;
                let mask = f.number("mask", u64::MAX)?.unwrap_or(u64::MAX);
                self.collect(at)?;
                self.op(
                    at,
                    Op::PollMem {
                        addr,
                        size,
                        mask: mask & (u64::MAX >> (64 - 8 * u32::from(size))),
                        value,
                    },
                )?;
            }
            "expect_wires" => {
                let value = src.number(f.need("value")?, "value", 0xffff)? as u16;
                let mask = f.number("mask", 0xffff)?.unwrap_or(0xffff) as u16;
                // A wire follows its pending bit, and that its cause, within a few clocks.
                self.op(at, Op::WaitIdle)?;
                self.op(at, Op::Cycles(SETTLE))?;
                self.op(at, Op::ExpectWires { value, mask })?;
            }
            "timing" => {
                if let Some(n) = f.get("memory") {
                    let t = port_timing(src, n, PortTiming::default())?;
                    self.op(at, Op::MemTiming(t))?;
                }
                if let Some(n) = f.get("output") {
                    let t = port_timing(src, n, PortTiming::default())?;
                    self.op(at, Op::OutTiming(t))?;
                }
                if let Some(n) = f.get("devices") {
                    let t = dev_timing(src, n, DevTiming::default())?;
                    self.op(at, Op::DevTiming(t))?;
                }
                if let Some(n) = f.get("registers") {
                    let t = reg_timing(src, n, RegTiming::default())?;
                    self.op(at, Op::RegTiming(t))?;
                }
            }
            "reset" => {
                let cycles = f.number("cycles", 1_000_000)?.unwrap_or(4) as u32;
                self.mode = Directory::Off;
                self.op(at, Op::Reset { cycles })?;
            }
            "expect_latency" => {
                let names: Vec<&str> = BoundClass::ALL.iter().map(|c| c.name()).collect();
                let class = BoundClass::ALL[src.word(f.need("class")?, "class", &names)?];
                let max = src.number(f.need("max")?, "max", u64::MAX)?;
                self.op(at, Op::WaitDma)?;
                self.op(at, Op::ExpectLatency { class, max })?;
            }
            "expect_throughput" => {
                let per_1000 = src.number(f.need("per_1000_cycles")?, "per_1000_cycles", 1000)?;
                self.op(at, Op::WaitDma)?;
                self.op(at, Op::ExpectThroughput { per_1000 })?;
            }
            "repeat" => {
                let times = src.number(f.need("times")?, "times", 1_000_000)?;
                let steps = src.list(f.need("steps")?, "steps")?;
                if depth > 8 {
                    return Err(src.at(node, "repeated too deeply"));
                }
                f.finish()?;
                for _ in 0..times {
                    self.steps(steps, depth + 1)?;
                }
            }
            other => {
                // Only a gap between STEPS and this match gets here.
                return Err(src.at(node, format!("'{other}' takes no fields")));
            }
        }
        f.finish()?;
        self.collect(at)
    }

    /// Edits wait for DMA unless the step says otherwise.
    fn quiesce(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        if f.flag("quiesce", true)? {
            self.op(at, Op::WaitDma)?;
        }
        Ok(())
    }

    // ----------------------------------------------------------------- accesses

    fn access(&self, f: &Fields<'_>) -> Result<Access> {
        let (device, domain) = self.device_of(f.need("device")?)?;
        let process = f.number("process", 0xf_ffff)?.map(|p| p as u32);
        Ok(Access {
            device,
            domain,
            process,
            privileged: f.flag("privileged", false)?,
            translated: f.flag("translated", false)?,
        })
    }

    /// Whether the driver believes that an access is granted, and where it goes.
    fn believed(&self, a: &Access, iova: u64) -> Option<u64> {
        match self.mode {
            Directory::Bare => Some(iova),
            Directory::Off => None,
            _ => {
                let known = self.devices.values().any(|d| d.id == a.device && d.present);
                match a.domain {
                    _ if !known => None,
                    None => Some(iova),
                    Some(d) if self.driver.domain_ref(d).scheme == Scheme::Bare => Some(iova),
                    Some(d) => self.driver.lookup(d, iova).map(|(pa, _)| pa),
                }
            }
        }
    }

    /// The expectation of a step. `ok` without an address is where the driver mapped it.
    fn expectation(&self, node: Option<&Node>, a: &Access, iova: u64) -> Result<Expect> {
        let src = self.src;
        let Some(node) = node else {
            return Ok(Expect::Any);
        };
        if let Kind::Map(_) = node.kind {
            let f = src.fields(node, "expect")?;
            let expect = if let Some(n) = f.get("fault") {
                // A record that gets lost (queue full, off, faulty) was due by the rules.
                let recorded = match f.get("recorded") {
                    None => true,
                    Some(n) => src.word(n, "recorded", &["false", "true", "lost"])? > 0,
                };
                Expect::Fault {
                    cause: src.number(n, "fault", 4095)? as u16,
                    recorded,
                }
            } else {
                let pa = src.number(f.need("pa")?, "pa", u64::MAX)?;
                match f.get("response") {
                    None => Expect::Ok { pa },
                    Some(n) => {
                        use iommu_bus::event::Resp;
                        let words = ["okay", "exokay", "slverr", "decerr"];
                        let all = [Resp::Okay, Resp::ExOkay, Resp::SlvErr, Resp::DecErr];
                        Expect::Response {
                            pa,
                            resp: all[src.word(n, "response", &words)?],
                        }
                    }
                }
            };
            f.finish()?;
            return Ok(expect);
        }
        match src.word(node, "expect", &["any", "ok", "granted", "refused"])? {
            0 => Ok(Expect::Any),
            1 => match self.believed(a, iova) {
                Some(pa) => Ok(Expect::Ok { pa }),
                None => Err(src
                    .at(
                        node,
                        format!("nothing is mapped at {iova:#x} for this device"),
                    )
                    .with_help(
                        "give the address, `expect: {pa: 0x...}`, or `expect: {fault: 13}`",
                    )),
            },
            2 => Ok(Expect::Granted),
            _ => Ok(Expect::Refused),
        }
    }

    /// Whether a step says that the record of its fault does not arrive.
    fn lost(node: Option<&Node>) -> bool {
        let Some(Kind::Map(items)) = node.map(|n| &n.kind) else {
            return false;
        };
        items
            .iter()
            .any(|(k, v)| k.as_str() == Some("recorded") && v.as_str() == Some("lost"))
    }

    /// Submits one access, and notes the record that it makes due.
    fn submit(
        &mut self,
        at: &Where,
        a: &Access,
        mut dma: Dma,
        expect: Expect,
        lost: bool,
    ) -> Result<()> {
        dma.process_id = a.process;
        dma.privileged = a.privileged;
        dma.translated = a.translated;
        dma.expect = expect;
        if let Expect::Fault {
            cause,
            recorded: true,
        } = expect
            && !lost
        {
            let kind = if dma.write.is_some() {
                3
            } else if dma.execute {
                1
            } else {
                2
            };
            self.due.push(ExpectedRecord {
                cause: Some(cause),
                ttyp: Some(kind + if dma.translated { 4 } else { 0 }),
                device_id: Some(dma.device_id),
                process_id: a.process,
                privileged: Some(a.process.is_some() && a.privileged),
                iotval: Some(dma.iova),
                ..ExpectedRecord::default()
            });
        }
        self.op(at, Op::Dma(dma))
    }

    fn dma(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let a = self.access(f)?;
        let (read, write, execute) = (f.get("read"), f.get("write"), f.get("execute"));
        let (node, is_write, is_execute) = match (read, write, execute) {
            (Some(n), None, None) => (n, false, false),
            (None, Some(n), None) => (n, true, false),
            (None, None, Some(n)) => (n, false, true),
            _ => {
                return Err(src
                    .at(f.node, "a dma has one of read, write, execute: an address")
                    .with_help("- dma: {device: nic, read: 0x1000, bytes: 64}"));
            }
        };
        let first = src.number(node, "an address", u64::MAX)?;
        let bytes = f.number("bytes", 4096)?.unwrap_or(8);
        let count = f.number("count", 1_000_000)?.unwrap_or(1);
        let stride = f.number("stride", u64::MAX)?.unwrap_or(bytes);
        let ids = f.number("ids", 256)?.unwrap_or(1).max(1);
        let id = f.number("id", 255)?.unwrap_or(0);
        let data = match f.get("data") {
            Some(n) => Some(
                src.list(n, "data")?
                    .iter()
                    .map(|b| Ok(src.number(b, "a byte", 0xff)? as u8))
                    .collect::<Result<Vec<u8>>>()?,
            ),
            None => None,
        };
        let strobes = match f.get("strobes") {
            Some(n) => Some(
                src.list(n, "strobes")?
                    .iter()
                    .map(|b| Ok(src.number(b, "the strobes of a beat", 0xff)? as u8))
                    .collect::<Result<Vec<u8>>>()?,
            ),
            None => None,
        };
        let shape = match f.get("shape") {
            Some(n) => {
                let g = src.fields(n, "shape")?;
                let beats = g.number("beats", 256)?.unwrap_or(1).max(1);
                let shape = Shape {
                    len: (beats - 1) as u8,
                    size: g.number("size", 3)?.unwrap_or(3) as u8,
                    burst: g.get("burst").map_or(Ok(Burst::Incr), |n| burst(src, n))?,
                };
                g.finish()?;
                Some(shape)
            }
            None => None,
        };
        let lock = f.flag("exclusive", false)?;
        let atop = f.number("atomic", 0x3f)?.unwrap_or(0) as u8;
        let mut attributes = [0; 3];
        for (n, name) in ["cache", "qos", "region"].into_iter().enumerate() {
            attributes[n] = f.number(name, 15)?.unwrap_or(0) as u8;
        }
        let expect = f.get("expect");
        let wait = f.flag("wait", false)?;
        for n in 0..count {
            let iova = first.wrapping_add(stride.wrapping_mul(n));
            let mut dma = if is_write {
                let bytes = data
                    .clone()
                    .unwrap_or_else(|| self.data.bytes(bytes as usize));
                Dma::write(a.device, iova, bytes)
            } else {
                Dma {
                    expect_data: data.clone(),
                    ..Dma::read(
                        a.device,
                        iova,
                        data.as_ref().map_or(bytes, |d| d.len() as u64) as u32,
                    )
                }
            };
            dma.execute = is_execute;
            dma.id = (id + n % ids) as u8;
            dma.shape = shape;
            dma.lock = lock;
            dma.atop = atop;
            dma.attributes = attributes;
            dma.strobes = strobes.clone();
            let lost = Self::lost(expect);
            let expect = self.expectation(expect, &a, iova)?;
            self.submit(at, &a, dma, expect, lost)?;
            if wait {
                self.op(at, Op::WaitDma)?;
            }
        }
        Ok(())
    }

    /// Random accesses within a window.
    fn random_traffic(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let a = self.access(f)?;
        let count = src.number(f.need("count")?, "count", 1_000_000)?;
        let from = f.number("from", u64::MAX)?.unwrap_or(0);
        let size = f.number("size", u64::MAX)?.unwrap_or(u64::MAX);
        let writes = f.number("writes", 100)?.unwrap_or(50);
        let bytes = match f.get("bytes") {
            Some(n) => range(src, n, "bytes", 4096)?,
            None => 1..=64,
        };
        let ids = f.number("ids", 256)?.unwrap_or(16).max(1);
        let node = f.get("expect");
        for _ in 0..count {
            let iova = from.wrapping_add(self.traffic.below(size));
            let room = 0x1000 - (iova & 0xfff);
            let n = self
                .traffic
                .range(u64::from(*bytes.start()), u64::from(*bytes.end()))
                .clamp(1, room);
            let write = self.traffic.percent(writes);
            let mut dma = if write {
                let data = self.data.bytes(n as usize);
                Dma::write(a.device, iova, data)
            } else {
                Dma::read(a.device, iova, n as u32)
            };
            dma.id = self.traffic.below(ids) as u8;
            let mut expect = self.expectation(node, &a, iova)?;
            // A page fault's cause follows the access: 13 here stands for both.
            if let Expect::Fault {
                cause: cause @ (5 | 13),
                ..
            } = &mut expect
                && write
            {
                *cause += 2;
            }
            self.submit(at, &a, dma, expect, Self::lost(node))?;
        }
        Ok(())
    }

    // ----------------------------------------------------------------- commands

    fn invalidate(&mut self, f: &Fields<'_>) -> Result<()> {
        let src = self.src;
        let mut given = false;
        if let Some(n) = f.get("device") {
            let id = if n.as_str() == Some("all") {
                None
            } else {
                Some(self.device_of(n)?.0)
            };
            self.driver.invalidate_directory(id);
            given = true;
        }
        if let Some(n) = f.get("domain") {
            given = true;
            if n.as_str() == Some("all") {
                self.driver.invalidate_all();
            } else {
                let domain = self.domain_of(n)?;
                match f.get("iova") {
                    Some(n) => {
                        let iova = src.number(n, "iova", u64::MAX)?;
                        let bytes = f.number("size", 1 << 30)?.unwrap_or(4096);
                        for page in 0..bytes.div_ceil(4096) {
                            self.driver.invalidate_address(domain, iova + 4096 * page);
                        }
                    }
                    None => self.driver.invalidate_domain(domain),
                }
            }
        }
        if !given {
            return Err(src.at(f.node, "invalidate what?").with_help(
                "{domain: name or all, iova: ..., size: ...} or {device: name or all}",
            ));
        }
        if f.flag("kick", true)? {
            self.driver.kick();
        }
        Ok(())
    }

    fn fence(&mut self, f: &Fields<'_>) -> Result<()> {
        let src = self.src;
        let reads = f.flag("reads", true)?;
        let writes = f.flag("writes", true)?;
        let wired = f.flag("interrupt", false)?;
        let mut d0 = 2 | u64::from(wired) << 11 | u64::from(reads) << 12 | u64::from(writes) << 13;
        let mut d1 = 0;
        if let Some(n) = f.get("store") {
            let g = src.fields(n, "store")?;
            let addr = src.number(g.need("address")?, "address", u64::MAX)?;
            let data = src.number(g.need("value")?, "value", 0xffff_ffff)?;
            g.finish()?;
            d0 |= 1 << 10 | data << 32;
            d1 = addr >> 2;
        }
        self.driver.command(d0, d1);
        if f.flag("wait", true)? {
            self.driver.wait_commands();
        } else {
            self.driver.kick();
        }
        Ok(())
    }

    // ------------------------------------------------------------------- places

    /// An address: given as a number, or as an entry of a table, a queue, a context. Also how
    /// many bytes stand there.
    fn place(&mut self, f: &Fields<'_>) -> Result<(u64, u64)> {
        let src = self.src;
        let mut found = None;
        if let Some(n) = f.get("address") {
            found = Some((src.number(n, "address", (1 << 56) - 1)?, 8));
        }
        if let Some(n) = f.get("pte") {
            let g = src.fields(n, "pte")?;
            let domain = self.domain_of(g.need("domain")?)?;
            let iova = src.number(g.need("iova")?, "iova", u64::MAX)?;
            let level = g.number("level", 4)?.unwrap_or(0) as u32;
            g.finish()?;
            let at = self
                .driver
                .table_entry(domain, iova, level)
                .map_err(|e| src.at(n, e.0))?;
            found = Some((at, 8));
        }
        if let Some(n) = f.get("context") {
            let g = src.fields(n, "context")?;
            let (id, _) = self.device_of(g.need("device")?)?;
            let at = self
                .driver
                .directory_entry(id, 0)
                .map_err(|e| src.at(n, e.0))?;
            found = Some(match g.get("word") {
                Some(w) => (at + 8 * src.word(w, "word", &CONTEXT_WORDS)? as u64, 8),
                None => (at, self.driver.context_bytes()),
            });
            g.finish()?;
        }
        if let Some(n) = f.get("directory") {
            let g = src.fields(n, "directory")?;
            let (id, _) = self.device_of(g.need("device")?)?;
            let level = src.number(g.need("level")?, "level", 2)? as u32;
            g.finish()?;
            let at = self
                .driver
                .directory_entry(id, level)
                .map_err(|e| src.at(n, e.0))?;
            found = Some((at, 8));
        }
        if let Some(n) = f.get("command_slot") {
            let slot = src.number(n, "command_slot", (1 << self.driver.cfg.cq_log2) - 1)?;
            found = Some((self.driver.cq_base + 16 * slot, 16));
        }
        if let Some(n) = f.get("fault_slot") {
            let slot = src.number(n, "fault_slot", (1 << self.driver.cfg.fq_log2) - 1)?;
            found = Some((self.driver.fq_base + 32 * slot, 32));
        }
        if let Some(n) = f.get("message") {
            let vector = src.number(n, "message", 15)?;
            found = Some((self.driver.cfg.messages + 4 * vector, 4));
        }
        found.ok_or_else(|| {
            src.at(f.node, "where?").with_help(
                "one of address, pte, context, directory, command_slot, fault_slot, message",
            )
        })
    }

    fn poke(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        self.quiesce(f, at)?;
        let (addr, _) = self.place(f)?;
        let (set, clear) = (f.number("set", u64::MAX)?, f.number("clear", u64::MAX)?);
        if set.is_some() || clear.is_some() {
            let value = self.driver.word(addr) & !clear.unwrap_or(0) | set.unwrap_or(0);
            self.driver.store(addr, value);
        } else if f.get("data").is_some() {
            let data = read_data(f)?;
            self.collect(at)?;
            self.op(at, Op::Store { addr, data })?;
        } else {
            let value = src.number(f.need("value")?, "value", u64::MAX)?;
            match value_size(f)? {
                8 => self.driver.store(addr, value),
                size => {
                    let data = value.to_le_bytes()[..usize::from(size)].to_vec();
                    self.collect(at)?;
                    self.op(at, Op::Store { addr, data })?;
                }
            }
        }
        Ok(())
    }

    // ---------------------------------------------------------------- registers

    fn register(&mut self, step: &str, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let (offset, size) = if let Some(n) = f.get("name") {
            let text = src.string(n, "a register")?;
            let Some((offset, size)) = regs::find(text) else {
                let names = regs::names();
                let hint = diag::nearest(text, names.iter().map(String::as_str)).map_or_else(
                    || "names as in the specification, for example ddtp, cqcsr, msi_addr_0".into(),
                    |n| format!("did you mean '{n}'?"),
                );
                return Err(src
                    .at(n, format!("unknown register '{text}'"))
                    .with_help(hint));
            };
            (offset, size)
        } else {
            let offset = src.number(f.need("offset")?, "offset", 0xfff)?;
            (offset as u16, 8)
        };
        let half = f.get("half");
        let size = match f.get("size") {
            Some(n) => match src.number(n, "size", 8)? {
                4 => 4,
                8 => 8,
                _ => return Err(src.at(n, "a register access has 4 or 8 bytes")),
            },
            None if half.is_some() => 4,
            None => size,
        };
        let offset = match half {
            Some(n) => offset + 4 * src.word(n, "half", &["low", "high"])? as u16,
            None => offset,
        };
        let all = u64::MAX >> (64 - 8 * u32::from(size));
        match step {
            "write_register" => {
                let value = src.number(f.need("value")?, "value", all)?;
                self.op(
                    at,
                    Op::RegWrite {
                        offset,
                        size,
                        value,
                    },
                )
            }
            "read_register" => {
                let value = f.number("value", all)?;
                let mask = f.number("mask", all)?.unwrap_or(all);
                self.op(
                    at,
                    Op::RegRead {
                        offset,
                        size,
                        expect: value.map(|v| (v & mask, mask)),
                    },
                )
            }
            _ => {
                let value = src.number(f.need("value")?, "value", all)?;
                let mask = f.number("mask", all)?.unwrap_or(all);
                self.op(
                    at,
                    Op::PollReg {
                        offset,
                        size,
                        mask,
                        value: value & mask,
                    },
                )
            }
        }
    }

    // ------------------------------------------------------------------- faults

    fn expect_faults(&mut self, node: &Node, at: &Where) -> Result<()> {
        let src = self.src;
        let expect = match &node.kind {
            Kind::Null => Some(std::mem::take(&mut self.due)),
            Kind::Scalar { .. } => {
                match src.word(node, "expect_faults", &["due", "none", "any"])? {
                    0 => Some(std::mem::take(&mut self.due)),
                    1 => Some(Vec::new()),
                    _ => {
                        self.due.clear();
                        None
                    }
                }
            }
            _ => {
                let mut records = Vec::new();
                for item in src.list(node, "expect_faults")? {
                    let f = src.fields(item, "a fault record")?;
                    let device = match f.get("device") {
                        Some(n) => Some(self.device_of(n)?.0),
                        None => None,
                    };
                    let record = ExpectedRecord {
                        cause: f.number("cause", 4095)?.map(|c| c as u16),
                        ttyp: f.number("ttyp", 63)?.map(|t| t as u8),
                        device_id: device,
                        process_id: f.number("process", 0xf_ffff)?.map(|p| p as u32),
                        privileged: None,
                        iotval: f.number("iotval", u64::MAX)?,
                        iotval2: f.number("iotval2", u64::MAX)?,
                        dword0: None,
                    };
                    let count = f.number("count", 100_000)?.unwrap_or(1);
                    f.finish()?;
                    records.extend(std::iter::repeat_n(record, count as usize));
                }
                self.due.clear();
                Some(records)
            }
        };
        self.driver.drain_faults(expect);
        self.collect(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "\
name: t
description: A test.
domains:
  a: {scheme: Sv39, pscid: 7}
devices:
  nic: {id: 0x20, domain: a}
map:
  - {domain: a, iova: 0x1000, pa: 0x80001000, size: 8K}
";

    fn case(steps: &str) -> std::result::Result<Case, CaseError> {
        parse(Path::new("t.yaml"), "t.yaml", &format!("{HEAD}{steps}"))
    }

    fn ops(steps: &str) -> Vec<Op> {
        let case = case(steps).unwrap_or_else(|e| panic!("{e}"));
        case.ops(1).unwrap().map(|o| o.unwrap().op).collect()
    }

    fn wrong(steps: &str) -> (String, String) {
        match case(steps) {
            Err(CaseError::Yaml(e)) => (e.to_string(), e.help.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_test_lowers_to_what_it_says() {
        let all = ops("\
steps:
  - dma: {device: nic, read: 0x1008, bytes: 16, expect: ok}
  - dma: {device: nic, write: 0x9000, expect: {fault: 15}}
  - unmap: {domain: a, iova: 0x1000}
  - fence
  - dma: {device: nic, read: 0x1008, expect: {fault: 13}}
  - expect_faults
");
        let dmas: Vec<&Dma> = all
            .iter()
            .filter_map(|o| match o {
                Op::Dma(d) => Some(d),
                _ => None,
            })
            .collect();
        assert_eq!(dmas.len(), 3);
        assert_eq!(dmas[0].expect, Expect::Ok { pa: 0x8000_1008 });
        let Some(Op::TakeFaults { expect: Some(e) }) =
            all.iter().find(|o| matches!(o, Op::TakeFaults { .. }))
        else {
            panic!();
        };
        assert_eq!(e.len(), 2);
        assert_eq!((e[0].cause, e[0].ttyp), (Some(15), Some(3)));
        assert_eq!((e[1].cause, e[1].ttyp), (Some(13), Some(2)));
        // The edit waits for the DMA before it.
        let wait = all.iter().position(|o| *o == Op::WaitDma).unwrap();
        let second = all
            .iter()
            .rposition(|o| matches!(o, Op::Dma(d) if d.iova == 0x9000));
        assert!(second.unwrap() < wait);
    }

    #[test]
    fn mistakes_show_place_and_nearest_word() {
        for (steps, place, what, help) in [
            (
                "steps:\n  - dmaa: {device: nic, read: 0}\n",
                "t.yaml:10:5",
                "unknown step 'dmaa'",
                "did you mean 'dma'?",
            ),
            (
                "steps:\n  - dma: {device: nik, read: 0}\n",
                "t.yaml:10:19",
                "unknown device 'nik'",
                "did you mean 'nic'?",
            ),
            (
                "steps:\n  - dma: {device: nic, raed: 0}\n",
                "t.yaml:10:10",
                "one of read, write, execute",
                "",
            ),
            (
                "steps:\n  - dma: {device: nic, read: 0, bites: 4}\n",
                "t.yaml:10:33",
                "unknown field 'bites'",
                "did you mean 'bytes'?",
            ),
            (
                "steps:\n  - dma: {device: nic, read: 0x5000, expect: ok}\n",
                "t.yaml:10:46",
                "nothing is mapped at 0x5000",
                "fault: 13",
            ),
            (
                "steps:\n  - write_register: {name: cqcsrr, value: 1}\n",
                "t.yaml:10:28",
                "unknown register 'cqcsrr'",
                "did you mean 'cqcsr'?",
            ),
            (
                "steps:\n  - mode: Bare\n",
                "t.yaml:10:11",
                "UNSPECIFIED",
                "Off",
            ),
            (
                "steps:\n  - unmap: {domain: a, iova: 0x7000}\n",
                "t.yaml:10:12",
                "nothing is mapped at 0x7000",
                "",
            ),
            (
                "needs: [Sv38]\n",
                "t.yaml:9:9",
                "unknown capability 'Sv38'",
                "Sv39",
            ),
            (
                "timing: {memory: {latency: 9..3}}\n",
                "t.yaml:9:28",
                "a number or a range",
                "4..20",
            ),
            (
                "stream: recorded/none.txt.xz\n",
                "t.yaml:9:9",
                "there is no",
                "relative",
            ),
            (
                "steps:\n  - load_image: missing.gz\n",
                "t.yaml:10:17",
                "cannot read",
                "",
            ),
            (
                "stepps: []\n",
                "t.yaml:9:1",
                "unknown field 'stepps'",
                "'steps'",
            ),
            (
                "steps:\n  - wait: {cycles: many}\n",
                "t.yaml:10:20",
                "is a number, not 'many'",
                "",
            ),
        ] {
            let (shown, hint) = wrong(steps);
            assert!(shown.starts_with(place), "{shown}");
            assert!(shown.contains(what), "{shown}");
            assert!(hint.contains(help), "{hint}");
        }
    }

    #[test]
    fn every_step_can_be_written() {
        let text = include_str!("every_step.yaml");
        let case = parse(Path::new("every_step.yaml"), "every_step.yaml", text)
            .unwrap_or_else(|e| panic!("{e}"));
        for step in STEPS {
            // load_image needs a file beside the test; recorded snapshots have one.
            assert!(
                *step == "load_image" || text.contains(&format!("- {step}")),
                "{step} is missing in every_step.yaml"
            );
        }
        assert!(case.ops(3).unwrap().all(|o| o.is_ok()));
    }

    #[test]
    fn the_same_seed_gives_the_same_operations() {
        let case = case(
            "steps:\n  - traffic: {device: nic, count: 50, from: 0x1000, size: 8K, expect: ok}\n",
        )
        .unwrap();
        let run = |seed| -> Vec<OpAt> { case.ops(seed).unwrap().map(|o| o.unwrap()).collect() };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn the_projects_test_cases_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases");
        let cases = load_folder(&folder, "testcases").unwrap_or_else(|e| panic!("{e}"));
        for case in &cases {
            let mut n = 0;
            for op in case.ops(7).unwrap_or_else(|e| panic!("{}: {e}", case.name)) {
                op.unwrap_or_else(|e| panic!("{}: {e}", case.name));
                n += 1;
            }
            assert!(n > 0, "{} does nothing", case.name);
        }
    }
}
