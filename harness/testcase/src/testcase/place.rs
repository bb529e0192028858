//! Places in memory by the names of what stands there.

use super::parts::{read_data, value_size};
use super::play::Play;
use crate::driver::{CONTEXT_WORDS, MsiFile, PROCESS_WORDS};
use crate::op::{Op, Where};
use crate::yaml::{Fields, Node, Result};

impl Play<'_> {
    /// An address: given as a number, or as an entry of a table, a queue, a context. Also how
    /// many bytes stand there.
    pub(super) fn place(&mut self, f: &Fields<'_>) -> Result<(u64, u64)> {
        let src = self.src;
        let mut found = None;
        if let Some(n) = f.get("address") {
            found = Some((src.number(n, "address", (1 << 56) - 1)?, 8));
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
                "one of address, pte, context, process, directory, msi_pte, mrif, notice, guest, command_slot, fault_slot, page_slot, message",
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
