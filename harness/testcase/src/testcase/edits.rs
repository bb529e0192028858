//! Steps that edit tables and contexts, and the commands that make edits visible.

use super::device::response_code;
use super::plan::{bit, msi_file};
use super::play::{Device, Play};
use crate::driver::{Gvma, Vma, range_operand};
use crate::op::Where;
use crate::yaml::{Fields, Result};

/// Commands by name, as the specification spells them.
const COMMANDS: [&str; 7] = [
    "iotinval.vma",
    "iotinval.gvma",
    "iofence.c",
    "iodir.inval_ddt",
    "iodir.inval_pdt",
    "ats.inval",
    "ats.prgr",
];

impl Play<'_> {
    pub(super) fn map_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let mut needs = self.needs;
        let mapping = self.names.mapping(f, &mut needs)?;
        self.needs = needs;
        self.quiesce(f, at)?;
        self.map_one(&mapping).map_err(|e| self.src.at(f.node, e.0))
    }

    pub(super) fn unmap_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let (space, addr) = self.space(f)?;
        let bytes = f.number("size", u64::MAX)?.unwrap_or(4096);
        let invalidate = f.flag("invalidate", true)?;
        self.quiesce(f, at)?;
        let gone = self
            .driver
            .unmap(space, addr, bytes)
            .map_err(|e| self.src.at(f.node, e.0))?;
        if invalidate {
            self.driver.invalidate_leaves(space, &gone);
            self.driver.kick();
        }
        Ok(())
    }

    pub(super) fn attach_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let node = f.need("device")?;
        let (id, _) = self.device_of(node)?;
        let name = node.as_str().unwrap_or("").to_owned();
        let mut needs = self.needs;
        let mut spec = self.names.device(f, &mut needs)?;
        self.needs = needs;
        spec.id = id;
        self.quiesce(f, at)?;
        let attachment = self.attachment(&spec).map_err(|e| src.at(node, e.0))?;
        self.context(&spec, &attachment)
            .map_err(|e| src.at(node, e.0))?;
        self.devices.insert(
            name,
            Device {
                id,
                attachment,
                present: true,
            },
        );
        Ok(())
    }

    pub(super) fn detach_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let node = f.need("device")?;
        let (id, _) = self.device_of(node)?;
        self.quiesce(f, at)?;
        self.driver.detach(id).map_err(|e| self.src.at(node, e.0))?;
        self.driver.kick();
        Ok(())
    }

    /// Gives a device's process another context, or takes it away.
    pub(super) fn process_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let node = f.need("device")?;
        let device = self.known_device(node)?;
        let Some(pdt) = device.attachment.processes else {
            return Err(src
                .at(node, "this device has no process directory")
                .with_help("in `devices`: `processes: {1: domain}` or `pdt: PD8`"));
        };
        let id = src.number(f.need("id")?, "a process_id", 0xf_ffff)? as u32;
        let remove = f.flag("remove", false)?;
        let spec = self.names.process_fields(f)?;
        let context = self.process_context(&spec);
        let invalidate = f.flag("invalidate", true)?;
        let known = self.driver.processes(pdt).any(|(p, _)| p == id);
        self.quiesce(f, at)?;
        let done = if remove {
            self.driver.clear_process(pdt, id)
        } else {
            self.driver.set_process(pdt, id, &context)
        };
        done.map_err(|e| src.at(f.node, e.0))?;
        // What was not valid is not cached.
        if invalidate && known {
            self.driver.invalidate_process(device.id, id);
            self.driver.kick();
        }
        Ok(())
    }

    /// Points a virtual interrupt file elsewhere.
    pub(super) fn msi_file_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let vm = self.vm_of(f.need("vm")?)?;
        let file = src.number(f.need("file")?, "file", 0xffff)?;
        let mut needs = self.needs;
        let to = msi_file(f, &mut needs)?;
        self.needs = needs;
        let invalidate = f.flag("invalidate", true)?;
        self.quiesce(f, at)?;
        self.driver
            .set_msi_file(vm, file, to)
            .map_err(|e| src.at(f.node, e.0))?;
        if invalidate {
            let gpa = self
                .driver
                .msi_address(vm, file)
                .map_err(|e| src.at(f.node, e.0))?;
            self.driver.invalidate_guest_address(vm, gpa);
            self.driver.kick();
        }
        Ok(())
    }

    // ----------------------------------------------------------------- commands

    pub(super) fn invalidate(&mut self, f: &Fields<'_>) -> Result<()> {
        let src = self.src;
        let mut given = false;
        if let Some(n) = f.get("device") {
            given = true;
            let id = if n.as_str() == Some("all") {
                None
            } else {
                Some(self.device_of(n)?.0)
            };
            match (id, f.get("process")) {
                (Some(id), Some(p)) => {
                    let process = src.number(p, "process", 0xf_ffff)? as u32;
                    self.driver.invalidate_process(id, process);
                }
                (None, Some(p)) => return Err(src.at(p, "IODIR.INVAL_PDT needs a device")),
                (id, None) => self.driver.invalidate_directory(id),
            }
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
                        for page in 0..pages(f)? {
                            let at = iova.wrapping_add(4096 * page);
                            self.driver.invalidate_address(domain, at);
                        }
                    }
                    None => self.driver.invalidate_domain(domain),
                }
            }
        }
        if let Some(n) = f.get("vm") {
            given = true;
            if n.as_str() == Some("all") {
                self.driver.command_words(Gvma::default().encode());
            } else {
                let vm = self.vm_of(n)?;
                match f.get("gpa") {
                    Some(n) => {
                        let gpa = src.number(n, "gpa", u64::MAX)?;
                        for page in 0..pages(f)? {
                            let at = gpa.wrapping_add(4096 * page);
                            self.driver.invalidate_guest_address(vm, at);
                        }
                    }
                    None => self.driver.invalidate_vm(vm),
                }
            }
        }
        if !given {
            return Err(src.at(f.node, "invalidate what?").with_help(
                "{domain: name or all, iova: ..., size: ...}, {vm: name or all, gpa: ..., size: ...}, {device: name or all} or {device: name, process: ...}",
            ));
        }
        if f.flag("kick", true)? {
            self.driver.kick();
        }
        Ok(())
    }

    /// A command by its name and operands, or as two doublewords.
    pub(super) fn command_step(&mut self, f: &Fields<'_>) -> Result<()> {
        let src = self.src;
        let words = match f.get("name") {
            Some(n) => {
                let name = COMMANDS[src.word(n, "command", &COMMANDS)?];
                self.command_of(name, f)?
            }
            None => {
                let d0 = src.number(f.need("dword0")?, "dword0", u64::MAX)?;
                [d0, f.number("dword1", u64::MAX)?.unwrap_or(0)]
            }
        };
        self.driver.command_words(words);
        if f.flag("kick", false)? {
            self.driver.kick();
        }
        Ok(())
    }

    fn command_of(&mut self, name: &str, f: &Fields<'_>) -> Result<[u64; 2]> {
        let src = self.src;
        let device = |play: &Self| -> Result<Option<u32>> {
            f.get("device")
                .map(|n| Ok(play.device_of(n)?.0))
                .transpose()
        };
        let process = f.number("process", 0xf_ffff)?;
        Ok(match name {
            "iotinval.vma" | "iotinval.gvma" => {
                let mut gscid = f.number("gscid", 0xffff)?.map(|g| g as u16);
                let mut pscid = f.number("pscid", 0xf_ffff)?.map(|p| p as u32);
                if let Some(n) = f.get("vm") {
                    gscid = Some(self.driver.vm_ref(self.vm_of(n)?).gscid);
                }
                if let Some(n) = f.get("domain") {
                    let of = self.driver.vma_of(self.domain_of(n)?);
                    (gscid, pscid) = (of.gscid, of.pscid);
                }
                let addr = f.number("addr", u64::MAX)?;
                let non_leaf = f.flag("nl", false)?;
                let range = f
                    .get("range")
                    .map(|n| {
                        let bytes = src.number(n, "range", 1 << 63)?;
                        if bytes.is_power_of_two() && bytes >= 8192 {
                            Ok(bytes.ilog2())
                        } else {
                            Err(src.at(n, "a range is a power of two, at least 8K"))
                        }
                    })
                    .transpose()?;
                if range.is_some() && addr.is_none() {
                    return Err(src.at(f.node, "a range needs an addr"));
                }
                if non_leaf {
                    self.needs.caps |= bit("NL");
                }
                if range.is_some() {
                    self.needs.caps |= bit("S");
                }
                let addr = addr.map(|a| range.map_or(a, |shift| range_operand(a, shift)));
                if name == "iotinval.vma" {
                    let vma = Vma {
                        gscid,
                        pscid,
                        addr,
                        non_leaf,
                        range: range.is_some(),
                    };
                    vma.encode()
                } else {
                    if pscid.is_some() {
                        return Err(src.at(f.node, "IOTINVAL.GVMA takes no pscid"));
                    }
                    let gvma = Gvma {
                        gscid,
                        addr,
                        non_leaf,
                        range: range.is_some(),
                    };
                    gvma.encode()
                }
            }
            "iofence.c" => self.fence_words(f)?,
            "iodir.inval_ddt" => match device(self)? {
                Some(id) => [3 | 1 << 33 | u64::from(id) << 40, 0],
                None => [3, 0],
            },
            "iodir.inval_pdt" => {
                let did = device(self)?;
                let Some(pid) = process else {
                    return Err(src.at(f.node, "iodir.inval_pdt needs a process"));
                };
                let did = did.map_or(0, |d| 1 << 33 | u64::from(d) << 40);
                [3 | 1 << 7 | pid << 12 | did, 0]
            }
            _ => {
                // ATS.INVAL and ATS.PRGR: RID in bits 55:40, DSEG above, with DSV.
                let Some(did) = device(self)? else {
                    return Err(src.at(f.node, format!("{name} needs a device")));
                };
                self.needs.caps |= bit("ATS");
                let segment = f.flag("segment", did >> 16 != 0)?;
                let mut d0 = 4 | u64::from(did & 0xffff) << 40;
                if segment {
                    d0 |= 1 << 33 | u64::from(did >> 16) << 56;
                }
                if let Some(p) = process {
                    d0 |= p << 12 | 1 << 32;
                }
                if name == "ats.inval" {
                    [d0, self.ats_range(f)?]
                } else {
                    let prgi = src.number(f.need("prgi")?, "prgi", 0x1ff)?;
                    let code = match f.get("response") {
                        None => 0,
                        Some(n) => u64::from(response_code(f, n)?),
                    };
                    [d0 | 1 << 7, prgi << 32 | code << 44]
                }
            }
        })
    }

    /// The payload of ATS.INVAL: `iova`, `size`, `global`.
    pub(super) fn ats_range(&self, f: &Fields<'_>) -> Result<u64> {
        let src = self.src;
        let global = u64::from(f.flag("global", false)?);
        let iova = src.number(f.need("iova")?, "iova", u64::MAX)?;
        Ok(global
            | match f.get("size") {
                None => iova & !0xfff,
                Some(n) if n.as_str() == Some("all") => 0x7fff_ffff_ffff_f000 | 1 << 11,
                Some(n) => {
                    let bytes = src.number(n, "size", 1 << 63)?;
                    if !bytes.is_power_of_two() || bytes < 4096 {
                        return Err(src.at(n, "a size is a power of two, at least 4K, or all"));
                    }
                    if bytes == 4096 {
                        iova & !0xfff
                    } else {
                        range_operand(iova, bytes.ilog2()) | 1 << 11
                    }
                }
            })
    }

    pub(super) fn fence(&mut self, f: &Fields<'_>) -> Result<()> {
        let words = self.fence_words(f)?;
        self.driver.command_words(words);
        if f.flag("wait", true)? {
            self.driver.wait_commands();
        } else {
            self.driver.kick();
        }
        Ok(())
    }

    fn fence_words(&self, f: &Fields<'_>) -> Result<[u64; 2]> {
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
        Ok([d0, d1])
    }
}

/// Pages of `size`.
fn pages(f: &Fields<'_>) -> Result<u64> {
    let bytes = f.number("size", 1 << 30)?.unwrap_or(4096);
    Ok(bytes.div_ceil(4096))
}
