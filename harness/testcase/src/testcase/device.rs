//! Steps of devices with a translation cache (PCIe ATS), and of interrupts that devices send.

use super::play::{Device, Play};
use crate::ats::{AtsAsk, AtsDevices, AtsExpect, AtsMessage, AtsStatus, PageAsk};
use crate::driver::Target;
use crate::op::{Op, Where};
use crate::yaml::{Fields, Kind, Node, Result};

/// Response codes of page request groups (PCIe), by name.
const RESPONSES: [(&str, u8); 3] = [("success", 0), ("invalid_request", 1), ("failure", 0xf)];

/// A response code: a name, or a number.
pub(super) fn response_code(f: &Fields<'_>, n: &Node) -> Result<u8> {
    let text = f.src.string(n, "a response code")?;
    if let Some(&(_, code)) = RESPONSES.iter().find(|(name, _)| *name == text) {
        return Ok(code);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(f.src.number(n, "a response code", 0xf)? as u8);
    }
    let names: Vec<&str> = RESPONSES.iter().map(|&(n, _)| n).collect();
    f.src.word(n, "response code", &names).map(|_| 0)
}

impl Play<'_> {
    /// A device writes an MSI to a virtual interrupt file.
    pub(super) fn msi_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let a = self.access(f)?;
        let identity = src.number(f.need("identity")?, "identity", u64::from(u32::MAX))? as u32;
        let big = f.flag("big_endian", false)?;
        let iova = match f.get("address") {
            Some(n) => src.number(n, "address", u64::MAX)?,
            None => {
                let file = src.number(f.need("file")?, "file", 0xffff)?;
                let vm = match (f.get("vm"), &a.known) {
                    (Some(n), _) => self.vm_of(n)?,
                    (None, Some(d)) => self.driver.vm_of(&d.attachment).ok_or_else(|| {
                        src.at(f.node, "this device has no vm, so no interrupt files")
                    })?,
                    (None, None) => return Err(src.at(f.node, "whose file? `vm: name`")),
                };
                let gpa = self
                    .driver
                    .msi_address(vm, file)
                    .map_err(|e| src.at(f.node, e.0))?;
                // seteipnum_le, or seteipnum_be beside it.
                gpa + if big { 4 } else { 0 }
            }
        };
        let data = if big {
            identity.to_be_bytes()
        } else {
            identity.to_le_bytes()
        };
        self.one_access(f, at, &a, iova, Some(data.to_vec()))
    }

    /// Exactly these interrupts are pending in a memory-resident interrupt file.
    pub(super) fn expect_mrif(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let mrif = match f.get("address") {
            Some(n) => src.number(n, "address", (1 << 56) - 1)?,
            None => {
                let (vm, file) = self.interrupt_file_fields(f)?;
                match self.driver.msi_file(vm, file) {
                    Some(crate::driver::MsiFile::Mrif { mrif, .. }) => mrif,
                    _ => return Err(src.at(f.node, "this interrupt file is not in MRIF mode")),
                }
            }
        };
        let mut pending = [0u64; 32];
        for n in src.list(f.need("pending")?, "pending")? {
            let identity = src.number(n, "an interrupt identity", 2047)?;
            pending[(identity / 64) as usize] |= 1 << (identity % 64);
        }
        self.op(at, Op::WaitIdle)?;
        for (n, word) in (0u64..).zip(pending) {
            let op = Op::ExpectMemory {
                addr: mrif + 16 * n,
                data: word.to_le_bytes().to_vec(),
            };
            self.op(at, op)?;
        }
        Ok(())
    }

    // ---------------------------------------------------------------------- ATS

    /// How devices behave at the ATS channels.
    pub(super) fn ats_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let mut d = AtsDevices::default();
        d.answers = f.flag("answers", d.answers)?;
        d.stopped = f.flag("stopped", d.stopped)?;
        if let Some(n) = f.number("delay", 1_000_000)? {
            d.delay = n as u32;
        }
        if let Some(n) = f.number("completions", 8)? {
            d.completions = (n as u8).max(1);
        }
        if let Some(n) = f.number("ready", 100)? {
            d.ready = n as u8;
        }
        self.op(at, Op::AtsDevices(d))
    }

    /// A translation request.
    pub(super) fn ats_request(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let a = self.access(f)?;
        let iova = src.number(f.need("iova")?, "iova", u64::MAX)? & !0xfff;
        let count = f.number("count", 256)?.unwrap_or(1).max(1) as u16;
        let (expect, cause) = match f.get("expect") {
            None => (AtsExpect::default(), None),
            Some(n) => self.ats_expect(n, &a.known, a.process, iova)?,
        };
        let ask = AtsAsk {
            device_id: a.device,
            process_id: a.process,
            privileged: a.privileged,
            execute: f.flag("execute", false)?,
            no_write: f.flag("no_write", false)?,
            addr: iova,
            count,
            cxl: f.flag("cxl", false)?,
            expect,
        };
        if let Some(cause) = cause {
            self.due.push(crate::op::ExpectedRecord {
                cause: Some(cause),
                ttyp: Some(8),
                device_id: Some(a.device),
                process_id: a.process,
                privileged: Some(a.process.is_some() && a.privileged),
                iotval: Some(iova),
                ..crate::op::ExpectedRecord::default()
            });
        }
        self.op(at, Op::AtsRequest(ask))?;
        if f.flag("wait", true)? {
            self.op(at, Op::WaitAts)?;
        }
        Ok(())
    }

    /// `ok`, `denied`, `ur`, `ca`, or `{status, page, size, access: rwx, untranslated, ...}`.
    /// With the cause of the record that an error makes due.
    fn ats_expect(
        &self,
        node: &Node,
        device: &Option<Device>,
        process: Option<u32>,
        iova: u64,
    ) -> Result<(AtsExpect, Option<u16>)> {
        let src = self.src;
        let mapped = || -> Option<u64> {
            let a = &device.as_ref()?.attachment;
            if a.controls >> 3 & 1 != 0 {
                // T2GPA: the device gets guest physical addresses.
                return self.driver.resolve_first(a, process, iova);
            }
            match self.driver.resolve(a, process, iova)? {
                Target::Memory { pa } => Some(pa),
                Target::Mrif { .. } => None,
            }
        };
        let page = || {
            mapped().ok_or_else(|| {
                src.at(
                    node,
                    format!("nothing is mapped at {iova:#x} for this device"),
                )
            })
        };
        let mut expect = AtsExpect::default();
        if !matches!(node.kind, Kind::Map(_)) {
            match src.word(node, "expect", &["any", "ok", "denied"])? {
                0 => {}
                1 => {
                    expect.status = Some(AtsStatus::Success);
                    expect.page = Some(page()?);
                    expect.read = Some(true);
                    expect.untranslated = Some(false);
                }
                _ => {
                    expect.status = Some(AtsStatus::Success);
                    expect.read = Some(false);
                    expect.write = Some(false);
                }
            }
            return Ok((expect, None));
        }
        let f = src.fields(node, "expect")?;
        let cause = f.number("fault", 4095)?.map(|c| c as u16);
        expect.status = match f.get("status") {
            Some(n) => Some(AtsStatus::ALL[src.word(n, "status", &AtsStatus::NAMES)?]),
            None => Some(AtsStatus::Success),
        };
        if let Some(n) = f.get("access") {
            let text = src.string(n, "access")?;
            if text.chars().any(|c| !"rwx-".contains(c)) {
                return Err(src
                    .at(n, format!("unknown access '{text}'"))
                    .with_help("letters of rwx, or -"));
            }
            expect.read = Some(text.contains('r'));
            expect.write = Some(text.contains('w'));
            expect.execute = Some(text.contains('x'));
        }
        expect.page = f.number("page", u64::MAX)?;
        if f.flag("mapped", false)? {
            expect.page = Some(page()?);
        }
        if let Some(n) = f.get("size") {
            let bytes = src.number(n, "size", 1 << 63)?;
            if !bytes.is_power_of_two() || bytes < 4096 {
                return Err(src.at(n, "a size is a power of two, at least 4K"));
            }
            expect.at_most_log2 = Some(bytes.ilog2() as u8);
        }
        for (name, field) in [
            ("untranslated", &mut expect.untranslated),
            ("global", &mut expect.global),
            ("privileged", &mut expect.privileged),
        ] {
            if let Some(n) = f.get(name) {
                *field = Some(src.boolean(n, name)?);
            }
        }
        f.finish()?;
        Ok((expect, cause))
    }

    /// A page request, or with `stop` a stop marker.
    pub(super) fn page_request(&mut self, f: &Fields<'_>, at: &Where, stop: bool) -> Result<()> {
        let src = self.src;
        let a = self.access(f)?;
        let group = f.number("prgi", 0x1ff)?.unwrap_or(0);
        let payload = if stop {
            if a.process.is_none() {
                return Err(src.at(f.node, "a stop marker has a process"));
            }
            group << 3 | 4
        } else {
            let iova = src.number(f.need("iova")?, "iova", u64::MAX)? & !0xfff;
            iova | group << 3
                | u64::from(f.flag("last", true)?) << 2
                | u64::from(f.flag("write", false)?) << 1
                | u64::from(f.flag("read", true)?)
        };
        let ask = PageAsk {
            device_id: a.device,
            process_id: a.process,
            privileged: a.privileged,
            execute: f.flag("execute", false)?,
            payload,
        };
        match f.get("expect") {
            None => {}
            Some(n) if matches!(n.kind, Kind::Map(_)) => {
                let g = src.fields(n, "expect")?;
                let code = response_code(&g, g.need("response")?)?;
                let pasid = g.flag("pasid", false)?;
                if let Some(cause) = g.number("fault", 4095)? {
                    // TTYP 9: a PCIe message; iotval is its message code, 4 for a page request.
                    self.due.push(crate::op::ExpectedRecord {
                        cause: Some(cause as u16),
                        ttyp: Some(9),
                        device_id: Some(a.device),
                        process_id: a.process,
                        iotval: Some(4),
                        ..crate::op::ExpectedRecord::default()
                    });
                }
                g.finish()?;
                self.messages_due.push(AtsMessage::Response {
                    device_id: a.device,
                    process_id: a.process.filter(|_| pasid),
                    group: group as u16,
                    code,
                });
            }
            Some(n) => {
                let queued = src.word(n, "expect", &["queued", "discarded"])? == 0;
                self.pages_due.extend(queued.then(|| ask.record()));
            }
        }
        self.op(at, Op::PageRequest(ask))?;
        if f.flag("wait", true)? {
            // Requests of different channels overtake each other: a test reads one after the other.
            self.op(at, Op::WaitIdle)?;
        }
        Ok(())
    }

    /// What the page-request queue holds.
    pub(super) fn expect_page_requests(&mut self, node: &Node, at: &Where) -> Result<()> {
        let due = std::mem::take(&mut self.pages_due);
        let expect = match &node.kind {
            Kind::Null => Some(due),
            _ => match self
                .src
                .word(node, "expect_page_requests", &["due", "none", "any"])?
            {
                0 => Some(due),
                1 => Some(Vec::new()),
                _ => None,
            },
        };
        self.op(at, Op::WaitIdle)?;
        self.op(at, Op::TakePageRequests { expect })
    }

    /// What the IOMMU sent to devices since the last time.
    pub(super) fn expect_ats_messages(&mut self, node: &Node, at: &Where) -> Result<()> {
        let src = self.src;
        let due = std::mem::take(&mut self.messages_due);
        let expect = match &node.kind {
            Kind::Null => Some(due),
            Kind::Scalar { .. } => {
                match src.word(node, "expect_ats_messages", &["due", "none", "any"])? {
                    0 => Some(due),
                    1 => Some(Vec::new()),
                    _ => None,
                }
            }
            _ => {
                let mut messages = Vec::new();
                for item in src.list(node, "expect_ats_messages")? {
                    let f = src.fields(item, "a message")?;
                    let device_id = self.device_of(f.need("device")?)?.0;
                    let process_id = f.number("process", 0xf_ffff)?.map(|p| p as u32);
                    messages.push(match f.get("response") {
                        Some(n) => AtsMessage::Response {
                            device_id,
                            process_id,
                            group: src.number(f.need("prgi")?, "prgi", 0x1ff)? as u16,
                            code: response_code(&f, n)?,
                        },
                        None => AtsMessage::Invalidation {
                            device_id,
                            process_id,
                            payload: self.ats_range(&f)?,
                        },
                    });
                    f.finish()?;
                }
                Some(messages)
            }
        };
        self.op(at, Op::WaitIdle)?;
        self.op(at, Op::TakeAtsMessages { expect })
    }
}
