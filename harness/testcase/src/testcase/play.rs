//! The steps on their way into operations.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use iommu_bus::timing::{DevTiming, PortTiming};

use super::parts::{dev_timing, port_timing, read_data, reg_timing, value_size};
use super::plan::{DeviceSpec, Names, Plan, ProcessSpec, SpaceName};
use super::{MAX_OPS, SETTLE, STEPS};
use crate::ats::{AtsDevices, AtsMessage};
use crate::case::Needs;
use crate::driver::{
    Attachment, Directory, DomainId, Driver, ProcessContext, Refused, Space, VmId,
};
use crate::op::{BoundClass, ExpectedRecord, Op, OpAt, Where};
use crate::rng::Random;
use crate::stream::read_image;
use crate::yaml::{Fields, Kind, Node, Result, Source};
use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::RegTiming;

/// A device as it is now.
#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) id: u32,
    pub(super) attachment: Attachment,
    /// It has a context.
    pub(super) present: bool,
}

/// The steps on their way into operations.
pub(super) struct Play<'a> {
    pub(super) src: &'a Source,
    folder: &'a Path,
    pub(super) driver: Driver,
    pub(super) names: Names,
    domains: Vec<DomainId>,
    vms: Vec<VmId>,
    pub(super) devices: BTreeMap<String, Device>,
    /// Records that the expectations of the steps so far make due.
    pub(super) due: Vec<ExpectedRecord>,
    /// Page requests that they make due.
    pub(super) pages_due: Vec<[u64; 2]>,
    /// Messages to devices that they make due.
    pub(super) messages_due: Vec<AtsMessage>,
    pub(super) out: Vec<OpAt>,
    pub(super) data: Random,
    pub(super) traffic: Random,
    pub(super) mode: Directory,
    /// What the steps need of the block.
    pub(super) needs: Needs,
}

impl<'a> Play<'a> {
    pub(super) fn new(src: &'a Source, folder: &'a Path, plan: &Plan, seed: u64) -> Self {
        Self {
            src,
            folder,
            driver: Driver::new(plan.driver.clone()),
            names: plan.names.clone(),
            domains: Vec::new(),
            vms: Vec::new(),
            devices: BTreeMap::new(),
            due: Vec::new(),
            pages_due: Vec::new(),
            messages_due: Vec::new(),
            out: Vec::new(),
            data: Random::new(seed, "case data"),
            traffic: Random::new(seed, "case traffic"),
            mode: Directory::Off,
            needs: plan.needs,
        }
    }

    /// Everything before the steps.
    pub(super) fn set_up(&mut self, plan: &Plan, at: &Where) -> Result<()> {
        let src = self.src;
        for vm in &plan.vms {
            let id = self.driver.vm(vm.scheme, vm.gscid, vm.tables_at);
            self.vms.push(id);
            if let Some(msi) = &vm.msi {
                self.driver
                    .msi_table(id, msi.gpa, msi.mask)
                    .map_err(|e| src.error(0..0, format!("vm '{}': {}", vm.name, e.0)))?;
                for (number, file, span) in &msi.files {
                    self.driver
                        .set_msi_file(id, *number, *file)
                        .map_err(|e| src.error(span.clone(), e.0))?;
                }
            }
        }
        self.collect(at)?;
        // What a machine maps goes first: its guest's tables may lie there.
        let (second, first): (Vec<_>, Vec<_>) = plan
            .maps
            .iter()
            .partition(|(m, ..)| matches!(m.space, SpaceName::Vm(_)));
        for (n, domain) in plan.domains.iter().enumerate() {
            if n == 0 {
                self.maps(&second)?;
            }
            let vm = domain.vm.as_deref().and_then(|v| self.vm_id(v));
            let id = self
                .driver
                .domain_in(domain.scheme, domain.pscid, vm, domain.big)
                .map_err(|e| {
                    src.error(
                        domain.span.clone(),
                        format!("domain '{}': {}", domain.name, e.0),
                    )
                })?;
            self.domains.push(id);
        }
        if plan.domains.is_empty() {
            self.maps(&second)?;
        }
        self.collect(at)?;
        self.maps(&first)?;
        for (name, spec) in &plan.devices {
            let attachment = self
                .attachment(spec)
                .map_err(|e| src.error(0..0, format!("device '{name}': {}", e.0)))?;
            let present = spec.present && plan.driver.directory.levels() > 0;
            if present {
                self.context(spec, &attachment)
                    .map_err(|e| src.error(0..0, format!("device '{name}': {}", e.0)))?;
            }
            self.devices.insert(
                name.clone(),
                Device {
                    id: spec.id,
                    attachment,
                    present: spec.present,
                },
            );
        }
        self.collect(at)?;
        if plan.needs.caps & super::plan::bit("ATS") != 0 {
            self.op(at, Op::AtsDevices(AtsDevices::default()))?;
        }
        if plan.start {
            self.driver.start();
            self.mode = plan.driver.directory;
            self.collect(at)?;
        }
        Ok(())
    }

    fn maps(
        &mut self,
        maps: &[&(super::plan::Mapping, Where, std::ops::Range<usize>)],
    ) -> Result<()> {
        for (m, at, span) in maps {
            self.map_one(m)
                .map_err(|e| self.src.error(span.clone(), e.0))?;
            self.collect(at)?;
        }
        Ok(())
    }

    pub(super) fn map_one(&mut self, m: &super::plan::Mapping) -> std::result::Result<(), Refused> {
        let space = self.space_id(&m.space);
        space.map_or(Ok(()), |space| {
            self.driver
                .map(space, m.iova, m.pa, m.bytes, m.shift, m.flags)
        })
    }

    /// After the last step.
    pub(super) fn end(&mut self) -> Result<()> {
        let end = Where {
            file: self.src.file.clone(),
            line: 0,
            text: "end of the steps".into(),
        };
        self.op(&end, Op::WaitIdle)
    }

    fn domain_id(&self, name: &str) -> Option<DomainId> {
        let n = self.names.domains.iter().position(|d| d == name)?;
        self.domains.get(n).copied()
    }

    fn vm_id(&self, name: &str) -> Option<VmId> {
        let n = self.names.vms.iter().position(|v| v == name)?;
        self.vms.get(n).copied()
    }

    fn space_id(&self, name: &SpaceName) -> Option<Space> {
        match name {
            SpaceName::Domain(d) => self.domain_id(d).map(Space::Domain),
            SpaceName::Vm(v) => self.vm_id(v).map(Space::Vm),
        }
    }

    /// The stage and the address that a step names.
    pub(super) fn space(&self, f: &Fields<'_>) -> Result<(Space, u64)> {
        let (name, addr) = self.names.space(f)?;
        let space = self.space_id(&name);
        Ok((
            space.ok_or_else(|| self.src.at(f.node, "no such address space"))?,
            addr,
        ))
    }

    pub(super) fn domain_of(&self, node: &Node) -> Result<DomainId> {
        let name = self.names.domain(self.src, node)?;
        self.domain_id(&name)
            .ok_or_else(|| self.src.at(node, "no such domain"))
    }

    pub(super) fn vm_of(&self, node: &Node) -> Result<VmId> {
        let name = self.names.vm(self.src, node)?;
        self.vm_id(&name)
            .ok_or_else(|| self.src.at(node, "no such vm"))
    }

    pub(super) fn process_context(&self, spec: &ProcessSpec) -> ProcessContext {
        ProcessContext {
            domain: spec.domain.as_deref().and_then(|d| self.domain_id(d)),
            ens: spec.ens,
            sum: spec.sum,
        }
    }

    /// What a device's description attaches it to; its process directory is made.
    pub(super) fn attachment(
        &mut self,
        spec: &DeviceSpec,
    ) -> std::result::Result<Attachment, Refused> {
        let mut attachment = Attachment {
            domain: spec.domain.as_deref().and_then(|d| self.domain_id(d)),
            vm: spec.vm.as_deref().and_then(|v| self.vm_id(v)),
            processes: None,
            controls: spec.controls,
            qos: spec.qos,
        };
        let contexts: Vec<(u32, ProcessContext)> = spec
            .processes
            .iter()
            .map(|(&id, p)| (id, self.process_context(p)))
            .collect();
        let domains: Vec<DomainId> = attachment
            .domain
            .into_iter()
            .chain(contexts.iter().filter_map(|(_, c)| c.domain))
            .collect();
        let mut big = None;
        for d in domains {
            let domain = self.driver.domain_ref(d);
            if domain.scheme == crate::driver::Scheme::Bare {
                continue;
            }
            // The tables of all first stages of a device lie in the same machine.
            if attachment.vm.is_some() && attachment.vm != domain.vm() {
                return Err(Refused(
                    "its domain is not of its vm: `domains: {name: {vm: ...}}`".into(),
                ));
            }
            if domain.vm().is_some() {
                attachment.vm = domain.vm();
            }
            if *big.get_or_insert(domain.big_endian()) != domain.big_endian() {
                return Err(Refused(
                    "its domains differ in endianness (DC.tc.SBE)".into(),
                ));
            }
        }
        if let Some(mode) = spec.pdt {
            let sbe = spec.sbe || big.unwrap_or(self.driver.cfg.big_endian);
            let pdt = self.driver.process_directory(mode, attachment.vm, sbe)?;
            for (id, context) in &contexts {
                self.driver.set_process(pdt, *id, context)?;
            }
            attachment.processes = Some(pdt);
        }
        Ok(attachment)
    }

    /// Writes the context of a device.
    pub(super) fn context(
        &mut self,
        spec: &DeviceSpec,
        attachment: &Attachment,
    ) -> std::result::Result<(), Refused> {
        let mut context = self.driver.context_for(attachment);
        for &(word, value) in &spec.context {
            context.words[word] = value;
        }
        self.driver.set_context(spec.id, &context).map(|_| ())
    }

    /// A device by name, or by number: a stranger.
    pub(super) fn device_of(&self, node: &Node) -> Result<(u32, Option<&Device>)> {
        if let Some(id) = node.as_str().and_then(crate::yaml::parse_number) {
            if id > 0xff_ffff {
                return Err(self.src.at(node, "a device_id has 24 bits"));
            }
            return Ok((id as u32, None));
        }
        let names: Vec<&str> = self.devices.keys().map(String::as_str).collect();
        let name = names[self.src.word(node, "device", &names)?];
        let device = &self.devices[name];
        Ok((device.id, Some(device)))
    }

    /// A device by name.
    pub(super) fn known_device(&self, node: &Node) -> Result<Device> {
        match self.device_of(node)? {
            (_, Some(device)) => Ok(device.clone()),
            (id, None) => Err(self.src.at(node, format!("no device has the id {id:#x}"))),
        }
    }

    pub(super) fn op(&mut self, at: &Where, op: Op) -> Result<()> {
        if self.out.len() >= MAX_OPS {
            return Err(self.src.error(0..0, "this makes millions of operations"));
        }
        self.out.push(OpAt { op, at: at.clone() });
        Ok(())
    }

    /// What the driver did, as operations of this step.
    pub(super) fn collect(&mut self, at: &Where) -> Result<()> {
        for op in self.driver.take() {
            self.op(at, op)?;
        }
        Ok(())
    }

    pub(super) fn steps(&mut self, steps: &[Node], depth: u32) -> Result<()> {
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
                    let op = match f.get("invalidations") {
                        Some(n) => Op::WaitInvalidations {
                            count: src.number(n, "invalidations", 32)? as u32,
                        },
                        None => {
                            Op::Cycles(src.number(f.need("cycles")?, "cycles", 10_000_000)? as u32)
                        }
                    };
                    f.finish()?;
                    return self.op(at, op);
                }
                return match src.word(node, "wait", &["dma", "idle", "commands", "ats"])? {
                    0 => self.op(at, Op::WaitDma),
                    1 => self.op(at, Op::WaitIdle),
                    3 => self.op(at, Op::WaitAts),
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
            "clear_memory_errors" => {
                // An access under them has ended first, unless the step says otherwise.
                let f = src.fields(node, "clear_memory_errors")?;
                self.quiesce(&f, at)?;
                f.finish()?;
                return self.op(at, Op::ClearFaults);
            }
            "unspecified" => return self.op(at, Op::Unspecified),
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
            "expect_page_requests" => return self.expect_page_requests(node, at),
            "expect_ats_messages" => return self.expect_ats_messages(node, at),
            "ats_timeout" => return self.op(at, Op::AtsTimeout),
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
            "map" => self.map_step(&f, at)?,
            "unmap" => self.unmap_step(&f, at)?,
            "attach" => self.attach_step(&f, at)?,
            "detach" => self.detach_step(&f, at)?,
            "process" => self.process_step(&f, at)?,
            "msi_file" => self.msi_file_step(&f, at)?,
            "msi" => self.msi_step(&f, at)?,
            "expect_mrif" => self.expect_mrif(&f, at)?,
            "ats" => self.ats_step(&f, at)?,
            "ats_request" => self.ats_request(&f, at)?,
            "page_request" => self.page_request(&f, at, false)?,
            "stop_marker" => self.page_request(&f, at, true)?,
            "answer_invalidations" => {
                let from = match f.get("device") {
                    Some(n) => Some(self.device_of(n)?.0),
                    None => None,
                };
                self.op(at, Op::AnswerInvalidations { from })?;
            }
            "count" => self.count_step(&f, at)?,
            "expect_count" => self.expect_count(&f, at)?,
            "debug" => self.debug_step(&f, at)?,
            "invalidate" => self.invalidate(&f)?,
            "fence" => self.fence(&f)?,
            "command" => self.command_step(&f)?,
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
            "raw_register" if f.flag("read", false)? => {
                let op = Op::RegRead {
                    offset: src.number(f.need("offset")?, "offset", 0xfff)? as u16,
                    size: 4,
                    expect: None,
                };
                self.op(at, op)?;
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
    pub(super) fn quiesce(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        if f.flag("quiesce", true)? {
            self.op(at, Op::WaitDma)?;
        }
        Ok(())
    }
}
