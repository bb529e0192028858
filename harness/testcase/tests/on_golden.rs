//! Every written test case on the golden model alone: no RTL, no pins, no time. What a test
//! expects explicitly and what the model says must agree; so each judges the other.
//!
//! Operations are executed one after the other, each to its end. What only a block with pins can
//! show (bursts, wires of a port, latency) is left out here.

use std::collections::HashMap;
use std::path::Path;

use iommu_bus::event::{Burst, Resp};
use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::ats::{AtsOut, PageRequest};
use iommu_golden::config::ControlBit;
use iommu_golden::mrif::MrifAction;
use iommu_golden::{
    Access, Capabilities, Choices, CommandStep, Config, FaultRecord, Iommu, Iova, Label, MemError,
    Memory, Outcome, RegSize, Request, RequestKind, Spa,
};
use iommu_testcase::ats::{Atc, AtsDevices, AtsGot, AtsMessage};
use iommu_testcase::op::match_records;
use iommu_testcase::{Case, Dma, Expect, Op, OpAt};

/// Memory with the faults of the bus.
struct Mem(SparseMemory);

impl Mem {
    fn check(&self, addr: u64, len: u64, access: FaultAccess) -> Result<(), MemError> {
        match self.0.fault_for(addr, len, access) {
            None => Ok(()),
            Some(MemFault::Poison) if access == FaultAccess::Write => Ok(()),
            Some(MemFault::Poison) => Err(MemError::Corrupt),
            Some(_) => Err(MemError::Access),
        }
    }
}

impl Memory for Mem {
    fn load(&mut self, addr: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        self.check(addr.0, size.into(), FaultAccess::Read)?;
        Ok(match size {
            4 => self.0.read_u32(addr.0).into(),
            _ => self.0.read_u64(addr.0),
        })
    }

    fn store(&mut self, addr: Spa, bytes: &[u8], _: &Label) -> Result<(), MemError> {
        self.check(addr.0, bytes.len() as u64, FaultAccess::Write)?;
        self.0.write(addr.0, bytes);
        Ok(())
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        new: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        self.check(addr.0, size.into(), FaultAccess::Any)?;
        let old = self.load(addr, size, label)?;
        if old == expected {
            self.0
                .write(addr.0, &new.to_le_bytes()[..usize::from(size)]);
        }
        Ok(old)
    }

    fn fetch_or(&mut self, addr: Spa, bits: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        self.check(addr.0, 8, FaultAccess::Any)?;
        let old = self.0.read_u64(addr.0);
        self.0.write_u64(addr.0, old | bits);
        Ok(old)
    }
}

struct World {
    iommu: Iommu,
    mem: Mem,
    devices: AtsDevices,
    /// Messages to devices that nobody took yet.
    messages: Vec<AtsMessage>,
    /// Invalidations that wait for an answer: tag and device.
    unanswered: Vec<(u8, u32)>,
    /// Translations that devices keep: by device and process, range.
    atc: HashMap<(u32, Option<u32>), Vec<Cached>>,
    judged: u32,
}

#[derive(Clone, Copy)]
struct Cached {
    from: u64,
    log2: u8,
    to: u64,
    read: bool,
    write: bool,
    execute: bool,
}

type Check = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Check {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{what}: expected {wanted:x?}, got {got:x?}"))
    }
}

impl World {
    fn new(caps_mask: u64, gxl: bool) -> Self {
        let all: u64 = iommu_testcase::caps::FEATURES
            .iter()
            .map(|&(_, bit)| 1u64 << bit)
            .sum();
        let igs = match caps_mask >> 28 & 3 {
            n @ (0 | 1) => n,
            _ => 2,
        };
        let pas = (caps_mask >> 32 & 0x3f).min(56);
        let caps = 0x10 | all & caps_mask | igs << 28 | pas << 32;
        let config = Config {
            capabilities: Capabilities(caps),
            choices: Choices {
                gxl: if gxl {
                    ControlBit::Writable(false)
                } else {
                    ControlBit::Fixed(false)
                },
                ..Choices::default()
            },
        };
        Self {
            iommu: Iommu::new(config).expect("a configuration that can be"),
            mem: Mem(SparseMemory::new()),
            devices: AtsDevices::default(),
            messages: Vec::new(),
            unanswered: Vec::new(),
            atc: HashMap::new(),
            judged: 0,
        }
    }

    /// Everything that goes on by itself.
    fn settle(&mut self) {
        if let Some(outcome) = self.iommu.run_debug_request(&mut self.mem, &mut ()) {
            self.record(outcome.record().copied().as_ref());
        }
        for _ in 0..100_000 {
            let step = self.iommu.step_command(&mut self.mem);
            self.deliver();
            self.iommu.send_messages(&mut self.mem);
            if matches!(step, CommandStep::Done(_)) {
                continue;
            }
            if self.devices.answers && !self.unanswered.is_empty() {
                for (tag, device) in std::mem::take(&mut self.unanswered) {
                    self.answer(tag, device);
                }
                continue;
            }
            break;
        }
    }

    fn answer(&mut self, tag: u8, device: u32) {
        for _ in 0..self.devices.completions {
            let record = self.iommu.invalidation_completion(
                &mut self.mem,
                &mut (),
                device,
                1 << tag,
                self.devices.completions & 7,
            );
            if let Err(record) = record {
                self.record(record.as_ref());
            }
        }
    }

    fn record(&mut self, record: Option<&FaultRecord>) {
        if let Some(record) = record {
            self.iommu.report(&mut self.mem, record);
            self.iommu.send_messages(&mut self.mem);
        }
    }

    /// Takes what the IOMMU sends to devices.
    fn deliver(&mut self) {
        for message in self.iommu.take_ats_messages() {
            match message {
                AtsOut::Invalidation { itag, message } => {
                    let device_id =
                        u32::from(message.rid) | message.segment.map_or(0, |s| u32::from(s) << 16);
                    self.forget(device_id, message.process_id, message.payload);
                    self.unanswered.push((itag, device_id));
                    self.messages.push(AtsMessage::Invalidation {
                        device_id,
                        process_id: message.process_id,
                        payload: message.payload,
                    });
                }
                AtsOut::PageResponse(m) => self.messages.push(AtsMessage::Response {
                    device_id: u32::from(m.rid) | m.segment.map_or(0, |s| u32::from(s) << 16),
                    process_id: m.process_id,
                    group: (m.payload >> 32 & 0x1ff) as u16,
                    code: (m.payload >> 44 & 0xf) as u8,
                }),
            }
        }
    }

    /// A device obeys an invalidation request.
    fn forget(&mut self, device: u32, process: Option<u32>, payload: u64) {
        let log2 = if payload >> 11 & 1 == 0 {
            12
        } else {
            13 + (payload >> 12).trailing_ones()
        };
        for (_, entries) in self
            .atc
            .iter_mut()
            .filter(|((d, p), _)| *d == device && (payload & 1 == 1 || *p == process))
        {
            entries.retain(|c| {
                let wide = log2.max(u32::from(c.log2));
                wide < 64 && c.from >> wide != payload >> wide
            });
        }
    }

    fn dma(&mut self, d: &Dma) -> Check {
        let mut dma = d.clone();
        if d.atc != Atc::None {
            match self.own_translation(d)? {
                Some(addr) => (dma.iova, dma.translated) = (addr, true),
                // Its own cache refuses.
                None => return same("access", d.expect, Expect::Refused),
            }
        }
        self.access(&dma)
    }

    /// Where the device's own cache says that an access goes; it asks where it does not know.
    fn own_translation(&mut self, d: &Dma) -> Result<Option<u64>, String> {
        let key = (d.device_id, d.process_id);
        let find = |w: &Self| {
            w.atc.get(&key).and_then(|entries| {
                entries
                    .iter()
                    .find(|c| d.iova >> c.log2 == c.from >> c.log2)
                    .copied()
            })
        };
        let known = find(self);
        match (d.atc, known) {
            (Atc::Hit, None) => return Err("the device has no translation".into()),
            (Atc::Miss, Some(_)) => return Err("the device has a translation".into()),
            _ => {}
        }
        if known.is_none() {
            let got = self.ask(&iommu_testcase::ats::AtsAsk {
                device_id: d.device_id,
                process_id: d.process_id,
                privileged: d.privileged,
                execute: d.execute,
                no_write: d.write.is_none(),
                addr: d.iova & !0xfff,
                count: 1,
                cxl: false,
                expect: iommu_testcase::ats::AtsExpect::default(),
            })?;
            if got.status == 0 && !got.untranslated && (got.read || got.write) {
                let mask = (1u64 << got.log2) - 1;
                self.atc.entry(key).or_default().push(Cached {
                    from: d.iova & !mask,
                    log2: got.log2,
                    to: got.page & !mask,
                    read: got.read,
                    write: got.write,
                    execute: got.execute,
                });
            }
        }
        Ok(find(self).and_then(|c| {
            let allowed = match (&d.write, d.execute) {
                (Some(_), _) => c.write,
                (None, true) => c.execute,
                (None, false) => c.read,
            };
            allowed.then(|| c.to | d.iova & ((1 << c.log2) - 1))
        }))
    }

    fn ask(&mut self, ask: &iommu_testcase::ats::AtsAsk) -> Result<AtsGot, String> {
        let request = Request {
            process_id: ask.process_id,
            privileged: ask.privileged,
            kind: RequestKind::AtsTranslation,
            access: match (ask.no_write, ask.execute) {
                (false, _) => Access::Write,
                (true, true) => Access::Execute,
                (true, false) => Access::Read,
            },
            execute_requested: ask.execute,
            cxl: ask.cxl,
            ..Request::read(ask.device_id, Iova(ask.addr))
        };
        let outcome = self.iommu.translate(&mut self.mem, &request, &mut ());
        self.record(outcome.record().copied().as_ref());
        let Outcome::Ats(c) = outcome else {
            return Err(format!("an ATS request gave {outcome:x?}"));
        };
        let got = AtsGot {
            status: match c.status {
                iommu_golden::AtsStatus::Success => 0,
                iommu_golden::AtsStatus::UnsupportedRequest => 1,
                iommu_golden::AtsStatus::CompleterAbort => 4,
            },
            page: c.address,
            log2: c.range_log2.max(12),
            read: c.permissions.read,
            write: c.permissions.write,
            execute: c.permissions.execute,
            untranslated: c.untranslated_only,
            global: c.global,
            privileged: c.privileged,
        };
        if !ask.expect.fits(&got) {
            return Err(format!("expected {:x?}, got {got:x?}", ask.expect));
        }
        self.judged += 1;
        Ok(got)
    }

    fn access(&mut self, d: &Dma) -> Check {
        // What the bridge refuses by itself is no matter of the model.
        // Beats wider than the bus are none either.
        let plain = d
            .shape
            .is_none_or(|s| s.burst == Burst::Incr && s.size <= 3);
        let bytes = match (d.shape, &d.write) {
            (Some(s), _) => (u32::from(s.len) + 1) << s.size,
            (None, Some(data)) => data.len() as u32,
            (None, None) => d.bytes.max(1),
        };
        if !plain || d.atop != 0 || d.lock || (d.iova & 0xfff) + u64::from(bytes) > 0x1000 {
            return Ok(());
        }
        let request = Request {
            process_id: d.process_id,
            privileged: d.privileged,
            kind: if d.translated {
                RequestKind::Translated
            } else {
                RequestKind::Untranslated
            },
            access: match (&d.write, d.execute) {
                (Some(_), _) => Access::Write,
                (None, true) => Access::Execute,
                (None, false) => Access::Read,
            },
            // Without a shape of its own a burst has beats of 8 bytes: too wide for an MRIF page.
            len: d.shape.map_or(bytes.next_multiple_of(8), |_| bytes),
            ..Request::read(d.device_id, Iova(d.iova))
        };
        let outcome = self.iommu.translate(&mut self.mem, &request, &mut ());
        let (value, mask) = d.user.bits();
        if mask != 0 {
            let Outcome::Granted(t) = outcome else {
                return Err(format!("user bits of {outcome:x?}"));
            };
            let user = u32::from(t.pbmt.code()) | u32::from(t.rcid) << 2 | u32::from(t.mcid) << 14;
            same("user bits", user & mask, value)?;
        }
        if d.expect != Expect::Any {
            self.judged += 1;
        }
        match outcome {
            Outcome::Granted(t) => {
                let data = d.write.as_deref().unwrap_or(&[]);
                let access = if d.write.is_some() {
                    FaultAccess::Write
                } else {
                    FaultAccess::Read
                };
                let fault = self.mem.0.fault_for(t.spa.0, bytes.into(), access);
                let resp = match fault {
                    None => Resp::Okay,
                    Some(MemFault::DecErr) => Resp::DecErr,
                    Some(MemFault::Poison) if d.write.is_some() => Resp::Okay,
                    Some(_) => Resp::SlvErr,
                };
                match d.expect {
                    Expect::Any | Expect::Granted => {}
                    Expect::Ok { pa } => {
                        same("address", t.spa.0, pa)?;
                        same("response", resp, Resp::Okay)?;
                    }
                    Expect::Response { pa, resp: wanted } => {
                        same("address", t.spa.0, pa)?;
                        same("response", resp, wanted)?;
                    }
                    other => return Err(format!("expected {other:x?}, granted to {t:x?}")),
                }
                if d.strobes.is_none() && fault.is_none() {
                    self.mem.0.write(t.spa.0, data);
                }
                if let Some(wanted) = &d.expect_data {
                    let mut got = vec![0; wanted.len()];
                    self.mem.0.read(t.spa.0, &mut got);
                    same("read data", &got, wanted)?;
                }
                Ok(())
            }
            Outcome::Mrif(target) => {
                let mut data = [0; 4];
                for (to, from) in data.iter_mut().zip(d.write.as_deref().unwrap_or(&[])) {
                    *to = *from;
                }
                let action = self.iommu.mrif_action(
                    &target,
                    request.iova,
                    request.access,
                    request.len,
                    data,
                );
                let lanes = 0x0fu16 << (d.iova % 8);
                let partial = |s: &Vec<u8>| s.first().is_some_and(|&b| u16::from(b) != lanes);
                let mut wanted = Expect::Mrif;
                match action {
                    // The model knows no strobes: a write of 4 bytes has all of them.
                    MrifAction::Msi(_) | MrifAction::Discard
                        if d.strobes.as_ref().is_some_and(partial) =>
                    {
                        wanted = Expect::Refused;
                    }
                    MrifAction::Abort => wanted = Expect::Refused,
                    MrifAction::ReadZero | MrifAction::Discard => {}
                    MrifAction::Msi(update) => {
                        let done = self
                            .iommu
                            .mrif_store(&mut self.mem, &request, &target, &update);
                        if let Err(record) = done {
                            self.record(record.as_ref());
                            // A failed update is answered with an error; a failed notice is not.
                            wanted = match (record, d.expect) {
                                (Some(r), _) if r.cause == 273 => wanted,
                                (Some(r), _) => Expect::Fault {
                                    cause: r.cause,
                                    recorded: true,
                                },
                                // DTF: the model does not say which cause is not recorded.
                                (None, Expect::Fault { cause, .. }) => Expect::Fault {
                                    cause,
                                    recorded: false,
                                },
                                (None, _) => Expect::Refused,
                            };
                        }
                    }
                }
                match (d.expect, wanted) {
                    (Expect::Any, _) => Ok(()),
                    (Expect::Refused, Expect::Fault { .. }) => Ok(()),
                    (got, wanted) => same("access to an MRIF", wanted, got),
                }
            }
            Outcome::Denied(denial) => {
                self.record(denial.record.as_ref());
                match d.expect {
                    Expect::Any | Expect::Refused => Ok(()),
                    Expect::Fault { cause, recorded } => {
                        same("cause", denial.cause.code(), cause)?;
                        same("recorded", denial.record.is_some(), recorded)
                    }
                    other => Err(format!("expected {other:x?}, refused: {denial:x?}")),
                }
            }
            Outcome::Ats(_) => Err("a DMA was taken for an ATS request".into()),
        }
    }

    fn queue(&self, base: u16, head: u16, tail: u16, bytes: u64) -> Vec<Vec<u64>> {
        let read = |offset, size| self.iommu.read_reg(offset, size).unwrap_or(0);
        let b = read(base, RegSize::Eight);
        let entries = 2u64 << (b & 0x1f);
        let at = (b >> 10 & ((1 << 44) - 1)) << 12;
        let (mut n, end) = (read(head, RegSize::Four), read(tail, RegSize::Four));
        let big = read(8, RegSize::Four) & 1 != 0;
        let mut out = Vec::new();
        while n != end {
            let words = (0..bytes / 8).map(|w| {
                let word = self.mem.0.read_u64(at + n * bytes + 8 * w);
                if big { word.swap_bytes() } else { word }
            });
            out.push(words.collect());
            n = (n + 1) % entries;
        }
        out
    }

    fn reg(&mut self, offset: u16, size: u8, value: u64) {
        let size = if size == 8 {
            RegSize::Eight
        } else {
            RegSize::Four
        };
        // What is UNSPECIFIED changes nothing here.
        let _ = self.iommu.write_reg(offset, size, value);
        self.settle();
    }

    fn read(&self, offset: u16, size: u8) -> Option<u64> {
        let size = if size == 8 {
            RegSize::Eight
        } else {
            RegSize::Four
        };
        self.iommu.read_reg(offset, size).ok()
    }

    fn execute(&mut self, op: &Op) -> Check {
        match op {
            Op::Store { addr, data } => self.mem.0.write(*addr, data),
            Op::ZeroPage { addr } => self.mem.0.write(addr & !0xfff, &[0; 4096]),
            Op::LoadImage { pages } => {
                for (addr, bytes) in pages.iter() {
                    self.mem.0.write(*addr, bytes);
                }
            }
            Op::MemFault {
                range,
                access,
                fault,
            } => self.mem.0.add_fault_for(range.clone(), *access, *fault),
            Op::ClearFaults => self.mem.0.clear_faults(),
            Op::ExpectMemory { addr, data } => {
                let mut got = vec![0; data.len()];
                self.mem.0.read(*addr, &mut got);
                self.judged += 1;
                same(&format!("memory at {addr:#x}"), &got, data)?;
            }
            Op::PollMem {
                addr,
                size,
                mask,
                value,
            } => {
                let got = match size {
                    4 => self.mem.0.read_u32(*addr).into(),
                    _ => self.mem.0.read_u64(*addr),
                };
                self.judged += 1;
                same(&format!("memory at {addr:#x}"), got & mask, value & mask)?;
            }
            Op::RegWrite {
                offset,
                size,
                value,
            } => self.reg(*offset, *size, *value),
            Op::RegBegin {
                offset,
                size,
                write: Some(value),
            } => self.reg(*offset, *size, *value),
            Op::RegRead {
                offset,
                size,
                expect: Some((value, mask)),
            } => {
                if let Some(got) = self.read(*offset, *size) {
                    self.judged += 1;
                    same(&format!("register {offset:#x}"), got & mask, value & mask)?;
                }
            }
            Op::PollReg {
                offset,
                size,
                mask,
                value,
            } => {
                self.settle();
                if let Some(got) = self.read(*offset, *size) {
                    same(&format!("register {offset:#x}"), got & mask, value & mask)?;
                }
            }
            Op::ExpectRange {
                offset,
                size,
                mask,
                min,
                max,
            } => {
                // Counters are moved by who sees the events; here nobody does.
                let _ = (offset, size, mask, min, max);
            }
            Op::Dma(d) => {
                self.dma(d)?;
                self.settle();
            }
            Op::TakeFaults { expect } => {
                let records: Vec<[u64; 4]> = self
                    .queue(40, 48, 52, 32)
                    .into_iter()
                    .map(|r| [r[0], r[1], r[2], r[3]])
                    .collect();
                if let Some(expect) = expect {
                    self.judged += 1;
                    match_records(expect, &records, false)?;
                }
                let tail = self.read(52, 4).unwrap_or(0);
                self.reg(48, 4, tail);
            }
            Op::ExpectWires { value, mask } => {
                self.judged += 1;
                same("wires", self.iommu.wires() & mask, value & mask)?;
            }
            Op::Reset { .. } => {
                self.iommu.reset();
                self.atc.clear();
                self.unanswered.clear();
            }
            Op::AtsRequest(ask) => {
                self.ask(ask)?;
                self.settle();
            }
            Op::PageRequest(p) => {
                let request = PageRequest {
                    device_id: p.device_id,
                    process_id: p.process_id,
                    privileged: p.privileged,
                    execute: p.execute,
                    payload: p.payload,
                };
                let record = self
                    .iommu
                    .run_page_request(&mut self.mem, &mut (), &request);
                self.record(record.as_ref());
                self.settle();
            }
            Op::TakePageRequests { expect } => {
                let mut got = self.queue(56, 64, 68, 16);
                got.sort();
                if let Some(expect) = expect {
                    let mut wanted: Vec<Vec<u64>> = expect.iter().map(|r| r.to_vec()).collect();
                    wanted.sort();
                    self.judged += 1;
                    same("page requests", got, wanted)?;
                }
                let tail = self.read(68, 4).unwrap_or(0);
                self.reg(64, 4, tail);
            }
            Op::TakeAtsMessages { expect } => {
                self.settle();
                let mut got: Vec<String> = std::mem::take(&mut self.messages)
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                got.sort();
                if let Some(expect) = expect {
                    let mut wanted: Vec<String> = expect.iter().map(ToString::to_string).collect();
                    wanted.sort();
                    self.judged += 1;
                    same("messages to devices", got, wanted)?;
                }
            }
            Op::AtsDevices(devices) => {
                self.devices = *devices;
                self.settle();
            }
            Op::AnswerInvalidations { from } => {
                let asked = match from {
                    None => std::mem::take(&mut self.unanswered),
                    Some(_) => self.unanswered.clone(),
                };
                for (tag, device) in asked {
                    self.answer(tag, from.unwrap_or(device));
                }
                self.settle();
            }
            // What a command sends is there when it has been executed.
            Op::WaitInvalidations { .. } => {}
            Op::AtsTimeout => {
                self.iommu.ats_time_out();
                self.unanswered.clear();
                self.settle();
            }
            _ => {}
        }
        Ok(())
    }
}

/// Runs a case; how many expectations were judged.
fn run(case: &Case) -> Result<u32, String> {
    let mut world = World::new(case.setting(1).caps_mask, case.gxl);
    for op in case.ops(1).map_err(|e| e.to_string())? {
        let OpAt { op, at } = op.map_err(|e| e.to_string())?;
        world.execute(&op).map_err(|e| format!("{at}\n  {e}"))?;
    }
    Ok(world.judged)
}

#[test]
fn what_tests_expect_is_what_the_golden_model_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases");
    let cases = iommu_testcase::testcase::load_folder(&folder, "testcases")
        .unwrap_or_else(|e| panic!("{e}"));
    let mut wrong = Vec::new();
    let mut judged = 0;
    // Recorded streams expect little themselves; counters are moved by who sees the events, and
    // here nobody does.
    let hpm = iommu_testcase::caps::feature("HPM").unwrap_or(0);
    let written = |c: &&Case| !c.name.starts_with("linux-") && c.needs & hpm == 0;
    for case in cases.iter().filter(written) {
        match run(case) {
            Ok(n) => judged += n,
            Err(e) => wrong.push(format!("{}: {e}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged > 500, "only {judged} expectations were judged");
}

/// The judge judges: a wrong expectation is found.
#[test]
fn a_wrong_expectation_is_found() {
    let text = "\
name: t
description: The address is wrong.
domains: {a: {scheme: Sv39}}
devices: {nic: {id: 1, domain: a}}
map: [{domain: a, iova: 0x1000, pa: 0x80001000}]
steps:
  - dma: {device: nic, read: 0x1000, expect: {pa: 0x80002000}}
";
    let case = iommu_testcase::testcase::parse(Path::new("t.yaml"), "t.yaml", text).unwrap();
    assert!(run(&case).unwrap_err().contains("expected 80002000"));
}
