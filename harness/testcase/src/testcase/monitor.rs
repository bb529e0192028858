//! Steps of the performance counters and of the debug interface.

use super::play::Play;
use crate::driver::Target;
use crate::op::{ExpectedRecord, Op, Where};
use crate::regs;
use crate::yaml::{Fields, Kind, Node, Result};

/// Standard events, in the order of their numbers from 1 on.
const EVENTS: [&str; 8] = [
    "untranslated_requests",
    "translated_requests",
    "ats_requests",
    "tlb_misses",
    "ddt_walks",
    "pdt_walks",
    "first_stage_walks",
    "second_stage_walks",
];

impl Play<'_> {
    /// Programs an event counter: selector, then counter, from 0 on or `from`.
    pub(super) fn count_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        self.needs.caps |= super::plan::bit("HPM");
        let n = src.number(f.need("counter")?, "counter", 31)?;
        if n == 0 {
            return Err(src.at(f.node, "event counters have the numbers 1 to 31"));
        }
        let n = (n - 1) as u16;
        let event = f.need("event")?;
        let mut value = match event.as_str().and_then(crate::yaml::parse_number) {
            Some(number) => number & 0x7fff,
            None => src.word(event, "event", &EVENTS)? as u64 + 1,
        };
        let (device, process) = (f.get("device"), f.number("process", 0xf_ffff)?);
        let (gscid, pscid) = (f.number("gscid", 0xffff)?, f.number("pscid", 0xf_ffff)?);
        if (device.is_some() || process.is_some()) && (gscid.is_some() || pscid.is_some()) {
            return Err(src.at(
                f.node,
                "a counter filters by device and process, or by gscid and pscid",
            ));
        }
        if let Some(d) = device {
            value |= u64::from(self.device_of(d)?.0) << 36 | 1 << 61;
        }
        if let Some(g) = gscid {
            value |= g << 36 | 1 << 61 | 1 << 62;
        }
        if let Some(p) = process {
            value |= p << 16 | 1 << 60;
        }
        if let Some(p) = pscid {
            value |= p << 16 | 1 << 60 | 1 << 62;
        }
        if f.flag("dmask", false)? {
            value |= 1 << 15;
        }
        let from = f.number("from", u64::MAX)?.unwrap_or(0);
        self.op(at, Op::WaitIdle)?;
        for (offset, value) in [
            (regs::IOHPMEVT1 + 8 * n, 0),
            (regs::IOHPMCTR1 + 8 * n, from),
            (regs::IOHPMEVT1 + 8 * n, value),
        ] {
            self.op(
                at,
                Op::RegWrite {
                    offset,
                    size: 8,
                    value,
                },
            )?;
        }
        Ok(())
    }

    /// The value of a counter, or its range.
    pub(super) fn expect_count(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        let node = f.need("counter")?;
        let (offset, mask) = if node.as_str() == Some("cycles") {
            // Bit 63 is OF.
            (regs::IOHPMCYCLES, u64::MAX >> 1)
        } else {
            let n = src.number(node, "counter", 31)?;
            if n == 0 {
                return Err(src.at(node, "event counters have the numbers 1 to 31, or cycles"));
            }
            (regs::IOHPMCTR1 + 8 * (n as u16 - 1), u64::MAX)
        };
        let value = f.number("value", u64::MAX)?;
        let min = f.number("min", u64::MAX)?.or(value).unwrap_or(0);
        let max = f.number("max", u64::MAX)?.or(value).unwrap_or(u64::MAX);
        self.op(at, Op::WaitIdle)?;
        self.op(
            at,
            Op::ExpectRange {
                offset,
                size: 8,
                mask,
                min,
                max,
            },
        )
    }

    /// Asks the debug interface for a translation.
    pub(super) fn debug_step(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
        let src = self.src;
        self.needs.caps |= super::plan::bit("DBG");
        let a = self.access(f)?;
        let iova = src.number(f.need("iova")?, "iova", u64::MAX)? & !0xfff;
        let write = f.flag("write", false)?;
        let execute = f.flag("execute", false)?;
        if write && execute {
            return Err(src.at(f.node, "Exe with NW=0 is UNSPECIFIED"));
        }
        let mut control = 1
            | u64::from(a.privileged) << 1
            | u64::from(execute) << 2
            | u64::from(!write) << 3
            | u64::from(a.device) << 40;
        if let Some(p) = a.process {
            control |= u64::from(p) << 12 | 1 << 32;
        }
        let mut pbmt = None;
        let expect = match f.get("expect") {
            None => None,
            Some(n) => Some(self.debug_expect(n, &a, iova, write, execute, &mut pbmt)?),
        };
        self.op(at, Op::WaitDma)?;
        for (offset, value) in [(regs::TR_REQ_IOVA, iova), (regs::TR_REQ_CTL, control)] {
            self.op(
                at,
                Op::RegWrite {
                    offset,
                    size: 8,
                    value,
                },
            )?;
        }
        self.op(
            at,
            Op::PollReg {
                offset: regs::TR_REQ_CTL,
                size: 8,
                mask: 1,
                value: 0,
            },
        )?;
        match expect {
            None => Ok(()),
            Some(page) => self.op(at, Op::ExpectTranslation { iova, page, pbmt }),
        }
    }

    /// The page, or none for a fault, whose record is due then.
    fn debug_expect(
        &mut self,
        node: &Node,
        a: &super::access::Access,
        iova: u64,
        write: bool,
        execute: bool,
        pbmt: &mut Option<u8>,
    ) -> Result<Option<u64>> {
        let src = self.src;
        let mapped = match self.believed(a, iova) {
            Some(Target::Memory { pa }) => Some(pa),
            _ => None,
        };
        let nowhere = || {
            src.at(
                node,
                format!("nothing is mapped at {iova:#x} for this device"),
            )
        };
        let Kind::Map(_) = node.kind else {
            src.word(node, "expect", &["ok"])?;
            return mapped.ok_or_else(nowhere).map(Some);
        };
        let g = src.fields(node, "expect")?;
        if let Some(n) = g.get("fault") {
            let cause = src.number(n, "fault", 4095)? as u16;
            self.due.push(ExpectedRecord {
                cause: Some(cause),
                // Untranslated read for execute, read, or (with both) whichever was refused.
                ttyp: match (write, execute) {
                    (_, true) => Some(1),
                    (false, false) => Some(2),
                    (true, false) => None,
                },
                device_id: Some(a.device),
                process_id: a.process,
                iotval: Some(iova),
                ..ExpectedRecord::default()
            });
            g.finish()?;
            return Ok(None);
        }
        if let Some(n) = g.get("pbmt") {
            *pbmt = Some(src.word(n, "pbmt", &["pma", "nc", "io"])? as u8);
        }
        let page = match g.number("pa", u64::MAX)? {
            Some(pa) => pa,
            None => mapped.ok_or_else(nowhere)?,
        };
        g.finish()?;
        Ok(Some(page))
    }
}
