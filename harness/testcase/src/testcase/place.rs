//! Places in memory by the names of what stands there.

use super::parts::{read_data, value_size};
use super::play::Play;
use crate::driver::{CONTEXT_WORDS, MsiFile, PROCESS_WORDS, Space};
use crate::op::{Op, Where};
use crate::yaml::{Fields, Node, Result};

/// Structures that a translation reads, by name (`at`).
const STRUCTURES: [&str; 11] = [
    "ddt_entry",
    "device_context",
    "pdt_entry",
    "process_context",
    "pdt_page",
    "first_stage_entry",
    "first_stage_leaf",
    "first_stage_page",
    "second_stage_entry",
    "second_stage_leaf",
    "msi_pte",
];

impl Play<'_> {
    /// An address: given as a number, or as an entry of a table, a queue, a context. Also how
    /// many bytes stand there.
    pub(super) fn place(&mut self, f: &Fields<'_>) -> Result<(u64, u64)> {
        let src = self.src;
        let mut found = None;
        if let Some(n) = f.get("address") {
            found = Some((src.number(n, "address", (1 << 56) - 1)?, 8));
        }
        if let Some(n) = f.get("at") {
            found = Some(self.structure(n, f)?);
        }
        if let Some(n) = f.get("pte") {
            let g = src.fields(n, "pte")?;
            let (space, addr) = self.space(&g)?;
            let level = g.number("level", 4)?.unwrap_or(0) as u32;
            g.finish()?;
            let at = self
                .driver
                .table_entry(space, addr, level)
                .map_err(|e| src.at(n, e.0))?;
            found = Some((at, self.driver.word_bytes(at)));
        }
        if let Some(n) = f.get("process") {
            // The entry of a process directory: level 0 is the context.
            let g = src.fields(n, "process")?;
            let node = g.need("device")?;
            let device = self.known_device(node)?;
            let id = src.number(g.need("id")?, "a process_id", 0xf_ffff)? as u32;
            let level = g.number("level", 2)?.unwrap_or(0) as u32;
            let Some(pdt) = device.attachment.processes else {
                return Err(src.at(node, "this device has no process directory"));
            };
            let at = self
                .driver
                .process_entry(pdt, id, level)
                .map_err(|e| src.at(n, e.0))?;
            found = Some(match g.get("word") {
                Some(w) => (at + 8 * src.word(w, "word", &PROCESS_WORDS)? as u64, 8),
                None => (at, if level == 0 { 16 } else { 8 }),
            });
            g.finish()?;
        }
        if let Some(n) = f.get("msi_pte") {
            let (vm, file) = self.interrupt_file(n, "msi_pte")?;
            let at = self
                .driver
                .msi_entry(vm, file)
                .map_err(|e| src.at(n, e.0))?;
            found = Some((at, 16));
        }
        if let Some(n) = f.get("mrif") {
            let g = src.fields(n, "mrif")?;
            let identity = g.number("identity", 2047)?;
            let (vm, file) = self.interrupt_file_fields(&g)?;
            g.finish()?;
            let Some(MsiFile::Mrif { mrif, .. }) = self.driver.msi_file(vm, file) else {
                return Err(src.at(n, "this interrupt file is not in MRIF mode"));
            };
            found = Some(match identity {
                // Pending bits stand in the even doublewords.
                Some(i) => (mrif + i / 64 * 16, 8),
                None => (mrif, 512),
            });
        }
        if let Some(n) = f.get("notice") {
            let (vm, file) = self.interrupt_file(n, "notice")?;
            let Some(MsiFile::Mrif { notice, .. }) = self.driver.msi_file(vm, file) else {
                return Err(src.at(n, "this interrupt file is not in MRIF mode"));
            };
            found = Some((notice, 4));
        }
        if let Some(n) = f.get("guest") {
            // A page of a guest's own tables, as its guest physical address names it.
            let g = src.fields(n, "guest")?;
            let vm = self.vm_of(g.need("vm")?)?;
            let gpa = src.number(g.need("gpa")?, "gpa", u64::MAX)?;
            g.finish()?;
            let at = self
                .driver
                .guest_table(vm, gpa)
                .or_else(|| self.driver.lookup(vm, gpa).map(|(pa, _)| pa))
                .ok_or_else(|| src.at(n, format!("nothing is mapped at {gpa:#x}")))?;
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
        if let Some(n) = f.get("page_slot") {
            let Some(log2) = self.driver.cfg.pq_log2 else {
                return Err(src
                    .at(n, "there is no page-request queue")
                    .with_help("`iommu: {page_queue: 64}`"));
            };
            let slot = src.number(n, "page_slot", (1 << log2) - 1)?;
            found = Some((self.driver.pq_base + 16 * slot, 16));
        }
        if let Some(n) = f.get("message") {
            let vector = src.number(n, "message", 15)?;
            found = Some((self.driver.cfg.messages + 4 * vector, 4));
        }
        found.ok_or_else(|| {
            src.at(f.node, "where?").with_help(
                "one of address, at (a structure by its name), pte, context, process, directory, msi_pte, mrif, notice, guest, command_slot, fault_slot, page_slot, message",
            )
        })
    }

    pub(super) fn poke(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
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

    /// The entry that maps an address, or that of 4 KiB where nothing does.
    fn leaf_or_hole(
        &mut self,
        space: Space,
        addr: u64,
    ) -> std::result::Result<(u64, u64), crate::driver::Refused> {
        if self.driver.lookup(space, addr).is_some() {
            return self.driver.leaf_entry(space, addr);
        }
        let at = self.driver.table_entry(space, addr, 0)?;
        Ok((at, self.driver.word_bytes(at)))
    }

    /// `at: structure, of: {device, process, iova, level}`: an entry that a translation reads.
    fn structure(&mut self, name: &Node, f: &Fields<'_>) -> Result<(u64, u64)> {
        let src = self.src;
        let which = STRUCTURES[src.word(name, "structure", &STRUCTURES)?];
        let g = src.fields(f.need("of")?, "of")?;
        let node = g.need("device")?;
        let device = self.known_device(node)?;
        let process = g.number("process", 0xf_ffff)?.map(|p| p as u32);
        let iova = g.number("iova", u64::MAX)?;
        let level = g.number("level", 4)?.map(|l| l as u32);
        g.finish()?;
        let here = |e: crate::driver::Refused| src.at(name, e.0);
        let a = device.attachment;
        let need_iova = || iova.ok_or_else(|| src.at(name, format!("{which} is found by an iova")));
        let need_vm = |play: &Self| {
            play.driver
                .vm_of(&a)
                .ok_or_else(|| src.at(name, "this device has no second stage"))
        };
        let domain = self.driver.domain_for(&a, process);
        let need_domain =
            || domain.ok_or_else(|| src.at(name, "there is no first stage for that access"));
        let need_pdt = || {
            let process = process.unwrap_or(0);
            a.processes
                .map(|p| (p, process))
                .ok_or_else(|| src.at(name, "this device has no process directory"))
        };
        Ok(match which {
            "ddt_entry" => {
                let level = level.unwrap_or(1);
                let at = self.driver.directory_entry(device.id, level);
                (at.map_err(here)?, 8)
            }
            "device_context" => {
                let at = self.driver.directory_entry(device.id, 0);
                (at.map_err(here)?, self.driver.context_bytes())
            }
            "pdt_entry" => {
                let (pdt, process) = need_pdt()?;
                let at = self.driver.process_entry(pdt, process, level.unwrap_or(1));
                (at.map_err(here)?, 8)
            }
            "process_context" => {
                let (pdt, process) = need_pdt()?;
                let at = self.driver.process_entry(pdt, process, 0);
                (at.map_err(here)?, 16)
            }
            "pdt_page" => {
                // What of the second stage maps the process context itself.
                let (pdt, process) = need_pdt()?;
                let vm = need_vm(self)?;
                let at = self.driver.process_entry(pdt, process, 0).map_err(here)?;
                let gpa = self.driver.guest_page_of(vm, at);
                let gpa = gpa.ok_or_else(|| src.at(name, "that page is not the guest's"))?;
                self.driver.leaf_entry(vm, gpa).map_err(here)?
            }
            "first_stage_leaf" => {
                let (domain, iova) = (need_domain()?, need_iova()?);
                self.leaf_or_hole(domain.into(), iova).map_err(here)?
            }
            "first_stage_entry" => {
                let (domain, iova) = (need_domain()?, need_iova()?);
                let at = self
                    .driver
                    .table_entry(domain, iova, level.unwrap_or(1))
                    .map_err(here)?;
                (at, self.driver.word_bytes(at))
            }
            "first_stage_page" => {
                // What of the second stage maps the table with the first-stage leaf.
                let (domain, iova, vm) = (need_domain()?, need_iova()?, need_vm(self)?);
                let (at, _) = self.driver.leaf_entry(domain, iova).map_err(here)?;
                let gpa = self.driver.guest_page_of(vm, at);
                let gpa = gpa.ok_or_else(|| src.at(name, "that page is not the guest's"))?;
                self.driver.leaf_entry(vm, gpa).map_err(here)?
            }
            _ => {
                let (iova, vm) = (need_iova()?, need_vm(self)?);
                let gpa = self
                    .driver
                    .resolve_first(&a, process, iova)
                    .ok_or_else(|| src.at(name, format!("nothing is mapped at {iova:#x}")))?;
                match which {
                    "msi_pte" => {
                        let file = self.driver.msi_number(vm, gpa).ok_or_else(|| {
                            src.at(name, format!("{gpa:#x} is no interrupt file"))
                        })?;
                        (self.driver.msi_entry(vm, file).map_err(here)?, 16)
                    }
                    "second_stage_leaf" => self.leaf_or_hole(vm.into(), gpa).map_err(here)?,
                    _ => {
                        let at = self
                            .driver
                            .table_entry(vm, gpa, level.unwrap_or(1))
                            .map_err(here)?;
                        (at, self.driver.word_bytes(at))
                    }
                }
            }
        })
    }

    /// `{vm, file}`.
    fn interrupt_file(&self, n: &Node, what: &str) -> Result<(crate::driver::VmId, u64)> {
        let g = self.src.fields(n, what)?;
        let file = self.interrupt_file_fields(&g)?;
        g.finish()?;
        Ok(file)
    }

    pub(super) fn interrupt_file_fields(
        &self,
        g: &Fields<'_>,
    ) -> Result<(crate::driver::VmId, u64)> {
        let vm = self.vm_of(g.need("vm")?)?;
        let file = self.src.number(g.need("file")?, "file", 0xffff)?;
        Ok((vm, file))
    }
}
