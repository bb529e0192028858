//! Recorded streams of a real operating system's driver, and their snapshots.
//!
//! A stream holds, in causal order, what the driver stored, which registers it
//! wrote and read, which commands were executed, and every DMA with its
//! result. Here it becomes operations, strictly in order: a DMA waits for the
//! commands and edits before it, an edit waits for the DMA before it. DMA in a
//! row runs together.
//!
//! Overlapped, an event waits only for what it depends on: a DMA for the stores
//! before it, and for a fence once the driver has seen it complete; stores,
//! commands and register accesses of the driver for no DMA at all. A DMA then
//! may meet the tables of before or after an edit, so its recorded result is not
//! expected of it: the scoreboard says what is legal.
//!
//! What of a recording does not hold for another IOMMU:
//!
//! * Queue indices: the recorder left out the fault records that it marks
//!   `silent`, which the specification wants. So `fqt` and what the driver then
//!   writes to `fqh` become [`Op::TakeFaults`] with the records that are due.
//! * `cqh`, `cqcsr`, `fqcsr`, `ipsr` and `ddtp` are polled until they have the
//!   recorded value, as a driver polls them.
//! * The size probes of `cqb` and `fqb` (all ones) and the sizes of other
//!   implementation-defined fields are read and not compared.
//! * `ddtp` from `3LVL` to `Bare` at shutdown is UNSPECIFIED: `Off` goes between.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::caps;
use crate::case::Source;
use crate::op::{CaseError, Dma, Expect, ExpectedRecord, Op, OpAt, Ops, Where};
use crate::regs;
use crate::rng::Random;

/// Bits of `capabilities` that a recording and any block that runs it agree in: version,
/// Sv39, Sv48, Sv57, MSI_FLAT, PAS.
const CAPS_COMPARED: u64 =
    0xff | caps::SV39 | caps::SV48 | caps::SV57 | caps::MSI_FLAT | 0x3f << 32;
/// DMA carries 1 to this many bytes.
const MAX_BYTES: u64 = 64;
/// Ids that DMA is spread over.
const IDS: u64 = 16;
/// A decompressed file larger than this is not one of ours.
const MAX_FILE: u64 = 1 << 30;

/// A recorded stream (`stream.txt` or `stream.txt.xz`).
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    name: Arc<str>,
    /// Where messages go when the recorded block sent them through a PCI MSI-X table, which
    /// is not in the register page.
    messages_to: Option<u64>,
    overlapped: bool,
    text: OnceLock<Arc<str>>,
}

impl Stream {
    /// The stream in this file; `name` is how messages call it.
    #[must_use]
    pub fn new(path: PathBuf, name: impl Into<Arc<str>>, messages_to: Option<u64>) -> Self {
        Self {
            path,
            name: name.into(),
            messages_to,
            overlapped: false,
            text: OnceLock::new(),
        }
    }

    /// The same with as much in flight as what depends on what allows.
    #[must_use]
    pub fn overlapped(self, overlapped: bool) -> Self {
        Self { overlapped, ..self }
    }

    fn text(&self) -> Result<Arc<str>, CaseError> {
        if let Some(text) = self.text.get() {
            return Ok(text.clone());
        }
        let text: Arc<str> = read_text(&self.path)?.into();
        Ok(self.text.get_or_init(|| text).clone())
    }

    /// Lines, for the progress bar.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&self) -> Result<u64, CaseError> {
        Ok(self.text()?.lines().count() as u64)
    }
}

impl Source for Stream {
    fn ops(&self, seed: u64) -> Result<Ops, CaseError> {
        let mut replay = Replay {
            text: self.text()?,
            pos: 0,
            line: 0,
            file: self.name.clone(),
            out: VecDeque::new(),
            random: Random::new(seed, "stream dma"),
            dma: false,
            overlapped: self.overlapped,
            queued: VecDeque::new(),
            tail: None,
            head: None,
            fqt_read: false,
            ddtp: 0,
            faults: Vec::new(),
            ended: false,
        };
        if let Some(addr) = self.messages_to {
            let at = replay.here("messages of the recorded block's MSI-X table");
            for vector in 0..4u16 {
                let entry = regs::MSI_CFG_TBL + 16 * vector;
                for (offset, size, value) in [
                    (entry, 8, addr),
                    (entry + 8, 4, u64::from(vector) + 3),
                    (entry + 12, 4, 0),
                ] {
                    replay.push(
                        &at,
                        Op::RegWrite {
                            offset,
                            size,
                            value,
                        },
                    );
                }
            }
        }
        Ok(Box::new(replay))
    }
}

/// The whole of a file, decompressed by its suffix.
fn read_text(path: &Path) -> Result<String, CaseError> {
    let bytes = read_bytes(path)?;
    String::from_utf8(bytes).map_err(|_| CaseError::Other {
        file: path.display().to_string(),
        why: "is not text".into(),
    })
}

/// The whole of a file, decompressed by its suffix (.gz, .xz).
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, CaseError> {
    let failed = |why| CaseError::Read {
        path: path.display().to_string(),
        why,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut out = Vec::new();
    match path.extension().and_then(|e| e.to_str()) {
        Some("xz") => {
            let mut input = std::io::BufReader::new(file);
            lzma_rs::xz_decompress(&mut input, &mut out)
                .map_err(|e| failed(std::io::Error::other(format!("{e}"))))?;
        }
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(file)
                .take(MAX_FILE)
                .read_to_end(&mut out)
                .map_err(failed)?;
        }
        _ => {
            file.take(MAX_FILE).read_to_end(&mut out).map_err(failed)?;
        }
    }
    Ok(out)
}

/// A stream on its way into operations.
struct Replay {
    text: Arc<str>,
    pos: usize,
    line: u32,
    file: Arc<str>,
    out: VecDeque<OpAt>,
    random: Random,
    /// DMA has been submitted since the last wait.
    dma: bool,
    /// An event waits only for what it depends on.
    overlapped: bool,
    /// Commands stored and not yet executed.
    queued: VecDeque<(u64, u64)>,
    /// The tail that the driver wrote, while its commands have not been executed: a DMA that
    /// stands before a command's execution must not be overtaken by it.
    tail: Option<u64>,
    /// The head that must be reached before the next DMA.
    head: Option<u64>,
    /// The driver has read `fqt`: what it writes to `fqh` next is what it took.
    fqt_read: bool,
    /// `ddtp` as written last.
    ddtp: u64,
    /// Records that are due since the driver drained the queue.
    faults: Vec<ExpectedRecord>,
    ended: bool,
}

impl Replay {
    fn here(&self, text: &str) -> Where {
        Where {
            file: self.file.clone(),
            line: self.line,
            text: text.into(),
        }
    }

    fn push(&mut self, at: &Where, op: Op) {
        self.out.push_back(OpAt { op, at: at.clone() });
    }

    fn poll(&mut self, at: &Where, offset: u16, size: u8, mask: u64, value: u64) {
        self.push(
            at,
            Op::PollReg {
                offset,
                size,
                mask,
                value: value & mask,
            },
        );
    }

    /// The commands that the recording has executed by now have been executed here too.
    fn settle_commands(&mut self, at: &Where) {
        if let Some(head) = self.head.take() {
            self.poll(at, regs::CQH, 4, 0xffff_ffff, head);
        }
    }

    /// What follows stands after all DMA of the recording so far.
    fn settle_dma(&mut self, at: &Where) {
        if self.dma && !self.overlapped {
            self.dma = false;
            self.push(at, Op::WaitDma);
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let at = self.here(line);
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let hex = |n: usize| -> Result<u64, String> {
            let text = fields
                .get(n)
                .ok_or_else(|| format!("field {} is missing", n + 1))?;
            u64::from_str_radix(text, 16)
                .map_err(|_| format!("field {} is no hexadecimal number: '{text}'", n + 1))
        };
        let decimal = |n: usize| -> Result<u64, String> {
            let text = fields
                .get(n)
                .ok_or_else(|| format!("field {} is missing", n + 1))?;
            text.parse()
                .map_err(|_| format!("field {} is no decimal number: '{text}'", n + 1))
        };
        let register = || -> Result<(u16, u8), String> {
            let offset = hex(1)?;
            let size = decimal(2)?;
            if offset > 0xfff || !matches!(size, 4 | 8) {
                return Err("a register has 4 or 8 bytes within a page".into());
            }
            Ok((offset as u16, size as u8))
        };
        match fields.first().copied() {
            None | Some("#") => {}
            Some("Z") => {
                self.settle_dma(&at);
                self.push(&at, Op::ZeroPage { addr: hex(1)? });
            }
            Some("S") => {
                let (addr, size, value) = (hex(1)?, decimal(2)?, hex(3)?);
                if !matches!(size, 1 | 2 | 4 | 8) {
                    return Err("a store has 1, 2, 4 or 8 bytes".into());
                }
                self.settle_dma(&at);
                self.push(
                    &at,
                    Op::Store {
                        addr,
                        data: value.to_le_bytes()[..size as usize].to_vec(),
                    },
                );
            }
            Some("Q") => {
                let (addr, d0, d1) = (hex(1)?, hex(2)?, hex(3)?);
                let mut data = d0.to_le_bytes().to_vec();
                data.extend(d1.to_le_bytes());
                self.queued.push_back((d0, d1));
                self.push(&at, Op::Store { addr, data });
            }
            Some("C") => {
                let command = (hex(1)?, hex(2)?);
                match self.queued.pop_front() {
                    Some(queued) if queued == command => {}
                    Some((d0, d1)) => {
                        return Err(format!("the queue holds {d0:x} {d1:x} here"));
                    }
                    None => return Err("no command is in the queue".into()),
                }
                if let Some(tail) = self.tail.take() {
                    self.settle_dma(&at);
                    self.push(
                        &at,
                        Op::RegWrite {
                            offset: regs::CQT,
                            size: 4,
                            value: tail,
                        },
                    );
                    self.head = Some(tail);
                }
            }
            Some("MW") => {
                let (offset, size) = register()?;
                self.write(&at, offset, size, hex(3)?);
            }
            Some("MR") => {
                let (offset, size) = register()?;
                self.read(&at, offset, size, hex(3)?);
            }
            Some("D") => {
                let device_id = hex(1)?;
                let process_id = decimal(2)?;
                let write = match fields.get(3) {
                    Some(&"w") => true,
                    Some(&"r") => false,
                    _ => return Err("a DMA is r or w".into()),
                };
                if device_id > 0xff_ffff || process_id > 0xf_ffff {
                    return Err("device_id has 24 bits, process_id 20".into());
                }
                let iova = hex(4)?;
                let expect = if fields.get(5) == Some(&"F") {
                    let cause = decimal(6)?;
                    let cause = u16::try_from(cause)
                        .ok()
                        .filter(|&c| c < 4096)
                        .ok_or("a cause has 12 bits")?;
                    // The record of an untranslated read or write without process_id.
                    let ours =
                        device_id << 40 | (if write { 3 } else { 2 }) << 34 | u64::from(cause);
                    match fields.get(7) {
                        None | Some(&"silent" | &"o") => {}
                        Some(_) if hex(7)? == ours => {}
                        Some(_) => {
                            return Err(format!("the record's first half should be {ours:x}"));
                        }
                    }
                    self.faults.push(ExpectedRecord {
                        dword0: Some(ours),
                        iotval: Some(iova),
                        ..ExpectedRecord::default()
                    });
                    Expect::Fault {
                        cause,
                        recorded: true,
                    }
                } else {
                    Expect::Ok { pa: hex(5)? }
                };
                // The driver has not seen the commands complete, or it would have read `cqh`.
                if !self.overlapped {
                    self.settle_commands(&at);
                }
                self.dma = true;
                let room = 0x1000 - (iova & 0xfff);
                let bytes = self.random.range(1, MAX_BYTES.min(room));
                let mut dma = if write {
                    let data = self.random.bytes(bytes as usize);
                    Dma::write(device_id as u32, iova, data)
                } else {
                    Dma::read(device_id as u32, iova, bytes as u32)
                };
                dma.id = self.random.below(IDS) as u8;
                dma.process_id = (process_id != 0).then_some(process_id as u32);
                if !self.overlapped {
                    dma.expect = expect;
                }
                self.push(&at, Op::Dma(dma));
            }
            Some(other) => return Err(format!("unknown line '{other}'")),
        }
        Ok(())
    }

    fn write(&mut self, at: &Where, offset: u16, size: u8, value: u64) {
        let write = |value| Op::RegWrite {
            offset,
            size,
            value,
        };
        if offset == regs::CQT && !self.queued.is_empty() {
            // Kept until the recording executes the first of its commands.
            self.tail = Some(value);
            return;
        }
        self.settle_commands(at);
        self.settle_dma(at);
        match offset {
            regs::FQH if std::mem::take(&mut self.fqt_read) => {
                let expect = std::mem::take(&mut self.faults);
                let expect = (!self.overlapped).then_some(expect);
                self.push(at, Op::WaitIdle);
                self.push(at, Op::TakeFaults { expect });
            }
            regs::DDTP => {
                let mode = value & 0xf;
                if self.ddtp & 0xf > 1 && mode == 1 {
                    // Off first: 3LVL to Bare is UNSPECIFIED. The PPN must not change on the way.
                    self.push(at, write(self.ddtp & !0xf));
                    self.poll(at, regs::DDTP, 8, 0x1f, 0);
                }
                self.ddtp = value;
                self.push(at, write(value));
                self.poll(at, regs::DDTP, 8, 0x1f, mode);
            }
            regs::CQCSR | regs::FQCSR => {
                self.push(at, write(value));
                self.poll(at, offset, 4, 0x3_0000, (value & 1) << 16);
            }
            _ => self.push(at, write(value)),
        }
    }

    fn read(&mut self, at: &Where, offset: u16, size: u8, value: u64) {
        if offset == regs::CQH && self.head == Some(value) {
            return self.settle_commands(at);
        }
        self.settle_commands(at);
        let read = |mask: u64| Op::RegRead {
            offset,
            size,
            expect: (mask != 0).then_some((value & mask, mask)),
        };
        match offset {
            regs::CAPABILITIES => self.push(at, read(CAPS_COMPARED)),
            regs::FCTL => self.push(at, read(7)),
            // The PPN of Off and Bare is don't-care.
            regs::DDTP if value & 0xf < 2 => self.poll(at, offset, size, 0x1f, value),
            regs::CQB | regs::FQB if value >> 10 == 0 => self.push(at, read(0)),
            regs::CQB | regs::FQB => self.push(at, read(u64::MAX)),
            // civ and fiv; the other causes need not exist.
            regs::ICVEC => self.push(at, read(0xff)),
            regs::FQT => self.fqt_read = true,
            // Which faults there are by now is not what the recording says.
            regs::FQCSR | regs::IPSR if self.overlapped => self.push(at, read(0)),
            regs::DDTP | regs::CQH | regs::CQCSR | regs::FQCSR => {
                self.poll(
                    at,
                    offset,
                    size,
                    u64::MAX >> (64 - 8 * u32::from(size)),
                    value,
                );
            }
            regs::IPSR => self.poll(at, offset, size, 3, value),
            _ => self.push(at, read(0)),
        }
    }
}

impl Iterator for Replay {
    type Item = Result<OpAt, CaseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(op) = self.out.pop_front() {
                return Some(Ok(op));
            }
            if self.ended {
                return None;
            }
            let text = self.text.clone();
            let rest = &text[self.pos..];
            if rest.is_empty() {
                self.ended = true;
                let at = self.here("end of the stream");
                self.settle_commands(&at);
                self.overlapped = false;
                self.settle_dma(&at);
                self.push(&at, Op::WaitIdle);
                continue;
            }
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            self.pos += line.len();
            self.line += 1;
            if let Err(why) = self.line(line.trim_end()) {
                self.ended = true;
                self.out.clear();
                return Some(Err(CaseError::Stream {
                    at: self.here(line.trim_end()),
                    why,
                }));
            }
        }
    }
}

/// A snapshot: a folder with a memory image (`mem.bin.gz`), registers (`registers.json`) and
/// requests with their results (`requests.csv.gz`).
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    name: Arc<str>,
}

/// One row of requests.csv.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    line: u32,
    device_id: u32,
    process_id: u32,
    iova: u64,
    write: bool,
    /// Address, or cause.
    result: Result<u64, u16>,
}

#[derive(serde::Deserialize)]
struct Registers {
    icvec: String,
    fctl: String,
    ddtp: String,
    cqb: String,
    fqb: String,
    #[serde(default)]
    msi_cfg_tbl: Vec<Message>,
}

#[derive(serde::Deserialize)]
struct Message {
    addr: String,
    data: String,
    vctl: String,
}

impl Snapshot {
    /// The snapshot in this folder; `name` is how messages call it.
    #[must_use]
    pub fn new(folder: PathBuf, name: impl Into<Arc<str>>) -> Self {
        Self {
            folder,
            name: name.into(),
        }
    }

    fn other(&self, file: &str, why: impl Into<String>) -> CaseError {
        CaseError::Other {
            file: format!("{}/{file}", self.name),
            why: why.into(),
        }
    }

    fn requests(&self) -> Result<Vec<Request>, CaseError> {
        let file = "requests.csv.gz";
        let text = read_text(&self.folder.join(file))?;
        let mut lines = text.lines().enumerate();
        let header = lines.next().map(|(_, l)| l).unwrap_or_default();
        if !header.starts_with("device_id,pasid,iova,rw,expect,pa_or_cause") {
            return Err(self.other(file, format!("unknown columns: {header}")));
        }
        lines
            .map(|(n, line)| {
                let parse = || -> Option<Request> {
                    let f: Vec<&str> = line.split(',').collect();
                    let [device, process, iova, rw, expect, result, ..] = f[..] else {
                        return None;
                    };
                    Some(Request {
                        line: n as u32 + 1,
                        device_id: u32::try_from(crate::yaml::parse_number(device)?)
                            .ok()
                            .filter(|&d| d <= 0xff_ffff)?,
                        process_id: process.parse().ok().filter(|&p| p <= 0xf_ffff)?,
                        iova: crate::yaml::parse_number(iova)?,
                        write: match rw {
                            "w" => true,
                            "r" => false,
                            _ => return None,
                        },
                        result: match expect {
                            "ok" => Ok(crate::yaml::parse_number(result)?),
                            "fault" => Err(result.parse().ok()?),
                            _ => return None,
                        },
                    })
                };
                parse().ok_or_else(|| {
                    self.other(file, format!("line {} makes no sense: {line}", n + 1))
                })
            })
            .collect()
    }

    /// Requests, for the progress bar.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn len(&self) -> Result<u64, CaseError> {
        Ok(self.requests()?.len() as u64)
    }

    /// Whether it has no requests.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_empty(&self) -> Result<bool, CaseError> {
        Ok(self.len()? == 0)
    }
}

/// The pages of a memory image: {u64 little-endian page address, 4096 bytes}, repeated.
pub(crate) fn read_image(path: &Path) -> Result<Vec<(u64, Vec<u8>)>, CaseError> {
    const PAGE: usize = 8 + 4096;
    let bytes = read_bytes(path)?;
    let wrong = |why: String| CaseError::Other {
        file: path.display().to_string(),
        why,
    };
    if bytes.len() % PAGE != 0 {
        return Err(wrong(format!(
            "is no memory image: {} bytes are not a multiple of {PAGE}",
            bytes.len()
        )));
    }
    bytes
        .chunks_exact(PAGE)
        .map(|page| {
            let mut addr = [0; 8];
            addr.copy_from_slice(&page[..8]);
            let addr = u64::from_le_bytes(addr);
            if addr & 0xfff != 0 {
                return Err(wrong(format!("{addr:#x} is no page address")));
            }
            Ok((addr, page[8..].to_vec()))
        })
        .collect()
}

impl Source for Snapshot {
    fn ops(&self, seed: u64) -> Result<Ops, CaseError> {
        let file = "registers.json";
        let path = self.folder.join(file);
        let registers: Registers = serde_json::from_slice(&read_bytes(&path)?)
            .map_err(|e| self.other(file, e.to_string()))?;
        let number = |text: &str| {
            crate::yaml::parse_number(text)
                .ok_or_else(|| self.other(file, format!("'{text}' is no number")))
        };
        let pages = read_image(&self.folder.join("mem.bin.gz"))?;
        let requests = self.requests()?;

        let at = |file: &str, line: u32, text: String| Where {
            file: format!("{}/{file}", self.name).into(),
            line,
            text: text.into(),
        };
        let set_up = at(file, 0, "the recorded registers".into());
        let mut ops = vec![Op::LoadImage {
            pages: Arc::new(pages),
        }];
        let mut write = |offset: u16, size: u8, value: u64| {
            ops.push(Op::RegWrite {
                offset,
                size,
                value,
            });
        };
        write(regs::FCTL, 4, number(&registers.fctl)?);
        write(regs::ICVEC, 8, number(&registers.icvec)?);
        for (n, m) in registers.msi_cfg_tbl.iter().take(16).enumerate() {
            let entry = regs::MSI_CFG_TBL + 16 * n as u16;
            write(entry, 8, number(&m.addr)?);
            write(entry + 8, 4, number(&m.data)?);
            write(entry + 12, 4, number(&m.vctl)?);
        }
        // The queues begin anew: enabling them sets the indices that the block owns to 0.
        for (base, value, index, csr) in [
            (regs::FQB, &registers.fqb, regs::FQH, regs::FQCSR),
            (regs::CQB, &registers.cqb, regs::CQT, regs::CQCSR),
        ] {
            ops.push(Op::RegWrite {
                offset: base,
                size: 8,
                value: number(value)?,
            });
            ops.push(Op::RegWrite {
                offset: index,
                size: 4,
                value: 0,
            });
            ops.push(Op::RegWrite {
                offset: csr,
                size: 4,
                value: 3,
            });
            ops.push(Op::PollReg {
                offset: csr,
                size: 4,
                mask: 0x3_0000,
                value: 0x1_0000,
            });
        }
        let ddtp = number(&registers.ddtp)?;
        ops.push(Op::RegWrite {
            offset: regs::DDTP,
            size: 8,
            value: ddtp,
        });
        ops.push(Op::PollReg {
            offset: regs::DDTP,
            size: 8,
            mask: 0x1f,
            value: ddtp & 0xf,
        });
        let mut random = Random::new(seed, "snapshot dma");
        let mut faults = Vec::new();
        let mut out: Vec<OpAt> = ops
            .into_iter()
            .map(|op| OpAt {
                op,
                at: set_up.clone(),
            })
            .collect();
        for r in requests {
            let room = 0x1000 - (r.iova & 0xfff);
            let bytes = random.range(1, MAX_BYTES.min(room));
            let mut dma = if r.write {
                Dma::write(r.device_id, r.iova, random.bytes(bytes as usize))
            } else {
                Dma::read(r.device_id, r.iova, bytes as u32)
            };
            dma.id = random.below(IDS) as u8;
            dma.process_id = (r.process_id != 0).then_some(r.process_id);
            dma.expect = match r.result {
                Ok(pa) => Expect::Ok { pa },
                Err(cause) => {
                    faults.push(ExpectedRecord {
                        dword0: Some(
                            u64::from(r.device_id) << 40
                                | (if r.write { 3 } else { 2 }) << 34
                                | u64::from(cause),
                        ),
                        iotval: Some(r.iova),
                        ..ExpectedRecord::default()
                    });
                    Expect::Fault {
                        cause,
                        recorded: true,
                    }
                }
            };
            let text = format!(
                "device {:#x} {} {:#x}",
                r.device_id,
                if r.write { "writes" } else { "reads" },
                r.iova
            );
            out.push(OpAt {
                op: Op::Dma(dma),
                at: at("requests.csv.gz", r.line, text),
            });
        }
        let end = at("requests.csv.gz", 0, "the end".into());
        out.push(OpAt {
            op: Op::WaitIdle,
            at: end.clone(),
        });
        out.push(OpAt {
            op: Op::TakeFaults {
                expect: Some(faults),
            },
            at: end,
        });
        Ok(Box::new(out.into_iter().map(Ok)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(text: &str) -> Vec<Result<OpAt, CaseError>> {
        let stream = Stream::new(PathBuf::new(), "t.txt", None);
        let _ = stream.text.set(text.into());
        stream.ops(1).unwrap().collect()
    }

    fn ops(text: &str) -> Vec<Op> {
        replay(text).into_iter().map(|o| o.unwrap().op).collect()
    }

    #[test]
    fn edits_wait_for_dma_and_dma_waits_for_commands() {
        let all = ops("D 20 0 w fffff000 101d00000\n\
             D 20 0 r fffff004 101d00004\n\
             S 101c87000 8 0\n\
             Q 101c40000 3002 0\n\
             MW 24 4 1\n\
             C 3002 0\n\
             MR 20 4 1\n\
             D 20 0 r 1000 F 13\n");
        let kinds: Vec<&str> = all
            .iter()
            .map(|o| match o {
                Op::Dma(_) => "dma",
                Op::WaitDma => "wait",
                Op::Store { .. } => "store",
                Op::RegWrite { .. } => "write",
                Op::PollReg { .. } => "poll",
                Op::WaitIdle => "idle",
                _ => "?",
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "dma", "dma", "wait", "store", "store", "write", "poll", "dma", "wait", "idle"
            ]
        );
    }

    #[test]
    fn overlapped_nothing_waits_for_dma_and_dma_waits_for_what_was_seen() {
        let text = "D 20 0 w fffff000 101d00000\n\
             S 101c87000 8 0\n\
             Q 101c40000 3002 0\n\
             MW 24 4 1\n\
             C 3002 0\n\
             D 20 0 r 2000 F 13\n\
             MR 20 4 1\n\
             D 20 0 r 1000 F 13\n\
             MR 34 4 2\n\
             MW 30 4 2\n";
        let stream = Stream::new(PathBuf::new(), "t.txt", None).overlapped(true);
        let _ = stream.text.set(text.into());
        let all: Vec<Op> = stream.ops(1).unwrap().map(|o| o.unwrap().op).collect();
        let kinds: Vec<&str> = all
            .iter()
            .map(|o| match o {
                Op::Dma(d) if d.expect == Expect::Any => "dma",
                Op::WaitDma => "wait",
                Op::Store { .. } => "store",
                Op::RegWrite { .. } => "write",
                Op::PollReg { .. } => "poll",
                Op::WaitIdle => "idle",
                Op::TakeFaults { expect: None } => "take",
                _ => "?",
            })
            .collect();
        assert_eq!(
            kinds,
            [
                "dma", "store", "store", "write", "dma", "poll", "dma", "idle", "take", "wait",
                "idle"
            ]
        );
    }

    #[test]
    fn dma_before_a_commands_execution_is_not_overtaken() {
        let all = ops("Q 101c40000 3002 0\nMW 24 4 1\nD 20 0 r 1000 2000\nC 3002 0\n");
        let dma = all.iter().position(|o| matches!(o, Op::Dma(_))).unwrap();
        let tail = all
            .iter()
            .position(|o| {
                matches!(
                    o,
                    Op::RegWrite {
                        offset: regs::CQT,
                        ..
                    }
                )
            })
            .unwrap();
        assert!(dma < tail);
        assert_eq!(all[tail - 1], Op::WaitDma);
    }

    #[test]
    fn silent_faults_are_recorded_too_and_drained_by_count_not_by_index() {
        let all = ops("MW 30 4 0\n\
             D 40 0 w 1234 F 15 400c0000000f o\n\
             D 48 0 w 5678 F 15 silent o\n\
             MR 34 4 1\n\
             MW 30 4 1\n");
        let Some(Op::TakeFaults { expect: Some(e) }) =
            all.iter().find(|o| matches!(o, Op::TakeFaults { .. }))
        else {
            panic!("no TakeFaults in {all:?}");
        };
        assert_eq!(e.len(), 2);
        assert_eq!(e[1].dword0, Some(0x480c_0000_000f));
        assert_eq!(e[1].iotval, Some(0x5678));
        // The first MW 30 is the driver's initialisation.
        assert!(matches!(
            all[0],
            Op::RegWrite {
                offset: regs::FQH,
                ..
            }
        ));
    }

    #[test]
    fn dma_stays_in_its_page_whatever_the_seed() {
        let stream = Stream::new(PathBuf::new(), "t.txt", None);
        let _ = stream
            .text
            .set("D 20 0 w fffff0f8 101d000f8\nD 20 0 r fffffffe 101d00ffe\n".into());
        for seed in 0..200 {
            for op in stream.ops(seed).unwrap() {
                if let Op::Dma(d) = op.unwrap().op {
                    assert!((1..=64).contains(&d.bytes));
                    assert!((d.iova & 0xfff) + u64::from(d.bytes) <= 0x1000);
                    assert!(d.write.is_none_or(|w| w.len() == d.bytes as usize));
                }
            }
        }
    }

    #[test]
    fn shutdown_to_bare_goes_through_off() {
        let all = ops("MW 10 8 4070c804\nMW 10 8 1\n");
        let values: Vec<u64> = all
            .iter()
            .filter_map(|o| match o {
                Op::RegWrite { value, .. } => Some(*value),
                _ => None,
            })
            .collect();
        assert_eq!(values, [0x4070_c804, 0x4070_c800, 1]);
    }

    #[test]
    fn nonsense_is_an_error_with_its_line_and_ends_the_stream() {
        for bad in [
            "D 20 0 x 0 0",
            "D 20 0 w",
            "D 1000000 0 w 0 0",
            "D 20 0 w 10 F 9999",
            "D 20 0 w 10 F 15 123",
            "S 0 3 0",
            "S 0 8",
            "MW 1000 4 0",
            "MW 10 5 0",
            "C 1 0",
            "X",
            "Z zz",
        ] {
            let all = replay(&format!("# fine\n{bad}\nZ 1000\n"));
            assert_eq!(all.len(), 1, "{bad}");
            let text = all[0].as_ref().unwrap_err().to_string();
            assert!(text.starts_with("t.txt:2: "), "{text}");
        }
    }
}
