//! Steps at the register port, and the fault queue.

use super::play::Play;
use crate::diag;
use crate::op::{ExpectedRecord, Op, Where};
use crate::regs;
use crate::yaml::{Fields, Kind, Node, Result};

impl Play<'_> {
    pub(super) fn register(&mut self, step: &str, f: &Fields<'_>, at: &Where) -> Result<()> {
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
        if step != "poll_register" && !f.flag("wait", true)? {
            let write = match step {
                "write_register" => Some(src.number(f.need("value")?, "value", all)?),
                _ => None,
            };
            return self.op(
                at,
                Op::RegBegin {
                    offset,
                    size,
                    write,
                },
            );
        }
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

    pub(super) fn expect_faults(&mut self, node: &Node, at: &Where) -> Result<()> {
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
