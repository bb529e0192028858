//! Steps that access memory: `dma` and `traffic`, and what they expect.

use iommu_bus::event::{Burst, Resp};

use super::parts::{burst, range};
use super::play::{Device, Play};
use crate::ats::Atc;
use crate::driver::{Directory, Target};
use crate::op::{Dma, Expect, ExpectedRecord, ExpectedUser, Op, Shape, Where};
use crate::yaml::{Fields, Kind, Node, Result};

/// What a `dma` or `traffic` step says about each access.
pub(super) struct Access {
    pub(super) device: u32,
    /// The device, unless it is a stranger.
    pub(super) known: Option<Device>,
    pub(super) process: Option<u32>,
    pub(super) privileged: bool,
    pub(super) translated: bool,
}

/// What a step says of a fault, besides its cause.
#[derive(Debug, Clone, Copy, Default)]
struct FaultDetail {
    /// The record does not arrive.
    lost: bool,
    iotval2: Option<u64>,
}

impl Play<'_> {
    // ----------------------------------------------------------------- accesses

    pub(super) fn access(&self, f: &Fields<'_>) -> Result<Access> {
        let (device, known) = self.device_of(f.need("device")?)?;
        let known = known.cloned();
        let process = f.number("process", 0xf_ffff)?.map(|p| p as u32);
        Ok(Access {
            device,
            known,
            process,
            privileged: f.flag("privileged", false)?,
            translated: f.flag("translated", false)?,
        })
    }

    /// Whether the driver believes that an access is granted, and where it goes.
    pub(super) fn believed(&self, a: &Access, iova: u64) -> Option<Target> {
        let here = Some(Target::Memory { pa: iova });
        match self.mode {
            Directory::Bare => here,
            Directory::Off => None,
            _ => {
                let device = a.known.as_ref().filter(|d| d.present)?;
                let attachment = &device.attachment;
                if a.translated {
                    // T2GPA: the device uses guest physical addresses.
                    return match self.driver.vm_of(attachment) {
                        Some(vm) if attachment.controls >> 3 & 1 != 0 => {
                            self.driver.resolve_guest(vm, iova)
                        }
                        _ => here,
                    };
                }
                self.driver.resolve(attachment, a.process, iova)
            }
        }
    }

    /// The expectation of a step. `ok` without an address is where the driver mapped it.
    pub(super) fn expectation(&self, node: Option<&Node>, a: &Access, iova: u64) -> Result<Expect> {
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
                // What else the record says is read in `detail`.
                let _ = (f.get("gpa"), f.get("implicit"), f.get("iotval2"));
                Expect::Fault {
                    cause: src.number(n, "fault", 4095)? as u16,
                    recorded,
                }
            } else {
                let _ = (f.get("pbmt"), f.get("rcid"), f.get("mcid"));
                let pa = match f.get("pa") {
                    Some(n) => src.number(n, "pa", u64::MAX)?,
                    None => match self.believed(a, iova) {
                        Some(Target::Memory { pa }) => pa,
                        _ => return Err(src.at(node, "where to? `pa: 0x...`")),
                    },
                };
                match f.get("response") {
                    None => Expect::Ok { pa },
                    Some(n) => {
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
        match src.word(node, "expect", &["any", "ok", "granted", "refused", "mrif"])? {
            0 => Ok(Expect::Any),
            1 => match self.believed(a, iova) {
                Some(Target::Memory { pa }) => Ok(Expect::Ok { pa }),
                Some(Target::Mrif { .. }) => Ok(Expect::Mrif),
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
            3 => Ok(Expect::Refused),
            _ => Ok(Expect::Mrif),
        }
    }

    /// What a step says of the record of its fault.
    fn detail(&self, node: Option<&Node>) -> Result<FaultDetail> {
        let Some(node) = node.filter(|n| matches!(n.kind, Kind::Map(_))) else {
            return Ok(FaultDetail::default());
        };
        let f = self.src.fields(node, "expect")?;
        let mut iotval2 = f.number("iotval2", u64::MAX)?;
        if let Some(gpa) = f.number("gpa", u64::MAX)? {
            // Guest page faults: bit 0 for an implicit access, bit 1 if that was a write.
            let implicit = match f.get("implicit") {
                None => 0,
                Some(n) => [0, 1, 3][self.src.word(n, "implicit", &["no", "read", "write"])?],
            };
            iotval2 = Some(gpa & !3 | implicit);
        }
        Ok(FaultDetail {
            lost: f.get("recorded").and_then(Node::as_str) == Some("lost"),
            iotval2,
        })
    }

    /// The user bits that `expect` asks for: `{pbmt, rcid, mcid}`.
    fn user(&self, node: Option<&Node>) -> Result<ExpectedUser> {
        let Some(node) = node.filter(|n| matches!(n.kind, Kind::Map(_))) else {
            return Ok(ExpectedUser::default());
        };
        let f = self.src.fields(node, "expect")?;
        let pbmt = match f.get("pbmt") {
            None => None,
            Some(n) => Some(self.src.word(n, "pbmt", &["pma", "nc", "io"])? as u8),
        };
        Ok(ExpectedUser {
            pbmt,
            rcid: f.number("rcid", 0xfff)?.map(|r| r as u16),
            mcid: f.number("mcid", 0xfff)?.map(|m| m as u16),
        })
    }

    /// Submits one access, and notes the record that it makes due.
    fn submit(
        &mut self,
        at: &Where,
        a: &Access,
        mut dma: Dma,
        expect: Expect,
        detail: FaultDetail,
    ) -> Result<()> {
        dma.process_id = a.process;
        dma.privileged = a.privileged;
        dma.translated = a.translated;
        dma.expect = expect;
        if let Expect::Fault {
            cause,
            recorded: true,
        } = expect
            && !detail.lost
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
                iotval2: detail.iotval2,
                ..ExpectedRecord::default()
            });
        }
        self.op(at, Op::Dma(dma))
    }

    pub(super) fn dma(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
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
                    size: g.number("size", 7)?.unwrap_or(3) as u8,
                    burst: g.get("burst").map_or(Ok(Burst::Incr), |n| burst(src, n))?,
                };
                g.finish()?;
                Some(shape)
            }
            None => None,
        };
        let atc = match f.get("atc") {
            Some(n) => Atc::ALL[src.word(n, "atc", &Atc::NAMES)?],
            None => Atc::None,
        };
        let lock = f.flag("exclusive", false)?;
        let atop = f.number("atomic", 0x3f)?.unwrap_or(0) as u8;
        let mut attributes = [0; 4];
        let most = [("cache", 15), ("qos", 15), ("region", 15), ("nonsecure", 1)];
        for (n, (name, most)) in most.into_iter().enumerate() {
            attributes[n] = f.number(name, most)?.unwrap_or(0) as u8;
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
            dma.atc = atc;
            dma.lock = lock;
            dma.atop = atop;
            dma.attributes = attributes;
            dma.strobes = strobes.clone();
            let detail = self.detail(expect)?;
            dma.user = self.user(expect)?;
            let expect = self.expectation(expect, &a, iova)?;
            self.submit(at, &a, dma, expect, detail)?;
            if wait {
                self.op(at, Op::WaitDma)?;
            }
        }
        Ok(())
    }

    /// One access of a step that is no `dma`: an MSI.
    pub(super) fn one_access(
        &mut self,
        f: &Fields<'_>,
        at: &Where,
        a: &Access,
        iova: u64,
        write: Option<Vec<u8>>,
    ) -> Result<()> {
        let expect = f.get("expect");
        let mut dma = match write {
            // One beat of 32 bits, as memory-resident interrupt files take it.
            Some(data) => Dma {
                shape: Some(Shape {
                    len: 0,
                    size: 2,
                    burst: Burst::Incr,
                }),
                ..Dma::write(a.device, iova, data)
            },
            None => Dma::read(a.device, iova, 4),
        };
        dma.id = f.number("id", 255)?.unwrap_or(0) as u8;
        let detail = self.detail(expect)?;
        dma.user = self.user(expect)?;
        let expect = self.expectation(expect, a, iova)?;
        self.submit(at, a, dma, expect, detail)?;
        if f.flag("wait", false)? {
            self.op(at, Op::WaitDma)?;
        }
        Ok(())
    }

    /// Random accesses within a window.
    pub(super) fn random_traffic(&mut self, f: &Fields<'_>, at: &Where) -> Result<()> {
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
                cause: cause @ (5 | 13 | 21),
                ..
            } = &mut expect
                && write
            {
                *cause += 2;
            }
            let detail = self.detail(node)?;
            self.submit(at, &a, dma, expect, detail)?;
        }
        Ok(())
    }
}
