//! What every kind of test is made of: one operation after the other.
//!
//! YAML test cases, recorded streams and random tests all lower to an iterator
//! of [`OpAt`]; the runner executes them in order and knows no IOMMU rule.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use iommu_bus::event::{Burst, Resp};
use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::ats::{Atc, AtsAsk, AtsDevices, AtsMessage, PageAsk};

/// Where in a test an operation comes from, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Where {
    /// File, relative to the project.
    pub file: Arc<str>,
    /// Line, from 1; 0 where there is none.
    pub line: u32,
    /// The step in the test's words.
    pub text: Arc<str>,
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// What a device access must end in, as the test itself says (the golden model
/// is asked besides).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Whatever the golden model says.
    #[default]
    Any,
    /// Granted, wherever it goes.
    Granted,
    /// Refused, whatever the cause: SLVERR on every beat, nothing on `m_dev`.
    Refused,
    /// Granted; the burst appears on `m_dev` at this address.
    Ok {
        /// Supervisor physical address of the first byte.
        pa: u64,
    },
    /// Granted, and memory answers with this response.
    Response {
        /// Supervisor physical address of the first byte.
        pa: u64,
        /// Response at `s_dev`.
        resp: Resp,
    },
    /// Accepted, and stored in a memory-resident interrupt file (or discarded there): OKAY,
    /// nothing on `m_dev`.
    Mrif,
    /// Refused.
    Fault {
        /// CAUSE of the fault record (section "Fault/Event-Queue").
        cause: u16,
        /// Whether a record must be written.
        recorded: bool,
    },
}

/// User bits of the burst on `m_dev`, where a test cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpectedUser {
    /// Page-based memory type.
    pub pbmt: Option<u8>,
    /// RCID.
    pub rcid: Option<u16>,
    /// MCID.
    pub mcid: Option<u16>,
}

impl ExpectedUser {
    /// (value, mask) of `m_dev`'s user bits: `{MCID[11:0], RCID[11:0], PBMT[1:0]}`.
    #[must_use]
    pub fn bits(&self) -> (u32, u32) {
        let mut bits = (0, 0);
        let mut field = |value: Option<u16>, shift: u32, all: u32| {
            if let Some(v) = value {
                bits.0 |= u32::from(v) << shift;
                bits.1 |= all << shift;
            }
        };
        field(self.pbmt.map(u16::from), 0, 3);
        field(self.rcid, 2, 0xfff);
        field(self.mcid, 14, 0xfff);
        bits
    }
}

/// The shape of a burst, where a test cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Beats minus one.
    pub len: u8,
    /// log2 of the bytes of a beat, 0 to 3.
    pub size: u8,
    /// Burst type.
    pub burst: Burst,
}

/// A device's access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dma {
    /// device_id, 24 bits.
    pub device_id: u32,
    /// process_id, 20 bits, if the request has one.
    pub process_id: Option<u32>,
    /// Supervisor privilege (bit 0 of AxPROT).
    pub privileged: bool,
    /// Read for execute (bit 2 of ARPROT).
    pub execute: bool,
    /// Already translated (PCIe AT=10).
    pub translated: bool,
    /// The bytes to write; `None` reads.
    pub write: Option<Vec<u8>>,
    /// I/O virtual address of the first byte.
    pub iova: u64,
    /// Bytes; ignored where `shape` is given or for writes.
    pub bytes: u32,
    /// AXI id.
    pub id: u8,
    /// Burst shape; `None` takes the narrowest INCR burst of 8-byte beats that covers the bytes,
    /// or one beat of 4 for an aligned word.
    pub shape: Option<Shape>,
    /// Exclusive access (AxLOCK).
    pub lock: bool,
    /// AWATOP, for writes.
    pub atop: u8,
    /// AxCACHE, AxQOS, AxREGION, `AxPROT[1]`.
    pub attributes: [u8; 4],
    /// Byte strobes, one entry a beat, instead of those of the data.
    pub strobes: Option<Vec<u8>>,
    /// What a granted read must return, from `iova` on.
    pub expect_data: Option<Vec<u8>>,
    /// What must come of it.
    pub expect: Expect,
    /// User bits of the translated burst.
    pub user: ExpectedUser,
    /// The device looks into its own translation cache first.
    pub atc: Atc,
}

impl Dma {
    /// A plain read of `bytes` bytes.
    pub fn read(device_id: u32, iova: u64, bytes: u32) -> Self {
        Self {
            device_id,
            process_id: None,
            privileged: false,
            execute: false,
            translated: false,
            write: None,
            iova,
            bytes,
            id: 0,
            shape: None,
            lock: false,
            atop: 0,
            attributes: [0; 4],
            strobes: None,
            expect_data: None,
            expect: Expect::Any,
            user: ExpectedUser::default(),
            atc: Atc::None,
        }
    }

    /// A plain write of these bytes.
    pub fn write(device_id: u32, iova: u64, data: Vec<u8>) -> Self {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self {
            write: Some(data),
            ..Self::read(device_id, iova, bytes)
        }
    }
}

/// A fault record as a test expects it; `None` fields are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExpectedRecord {
    /// CAUSE.
    pub cause: Option<u16>,
    /// TTYP.
    pub ttyp: Option<u8>,
    /// DID.
    pub device_id: Option<u32>,
    /// PID with PV=1.
    pub process_id: Option<u32>,
    /// PRIV (meaningful with a process_id).
    pub privileged: Option<bool>,
    /// iotval.
    pub iotval: Option<u64>,
    /// iotval2.
    pub iotval2: Option<u64>,
    /// First doubleword, as recorded by another implementation.
    pub dword0: Option<u64>,
}

impl ExpectedRecord {
    /// How many fields fit a record as it stands in memory; `None` if one does not.
    #[must_use]
    pub fn fit(&self, record: &[u64; 4]) -> Option<u32> {
        let d = record[0];
        let mut fields = 0;
        let mut all = true;
        let mut compare = |wanted: Option<u64>, got: u64| {
            if let Some(w) = wanted {
                fields += 1;
                all &= w == got;
            }
        };
        compare(self.cause.map(u64::from), d & 0xfff);
        compare(self.ttyp.map(u64::from), d >> 34 & 0x3f);
        compare(self.device_id.map(u64::from), d >> 40);
        // PID counts only with PV, bit 32.
        compare(
            self.process_id.map(|p| u64::from(p) | 1 << 20),
            d >> 12 & 0x1f_ffff,
        );
        compare(self.privileged.map(u64::from), d >> 33 & 1);
        compare(self.iotval, record[2]);
        compare(self.iotval2, record[3]);
        compare(self.dword0, d);
        all.then_some(fields)
    }
}

impl fmt::Display for ExpectedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sep = "{";
        let mut field = |name: &str, value: Option<String>| -> fmt::Result {
            if let Some(v) = value {
                write!(f, "{sep}{name} {v}")?;
                sep = ", ";
            }
            Ok(())
        };
        field("cause", self.cause.map(|v| v.to_string()))?;
        field("ttyp", self.ttyp.map(|v| v.to_string()))?;
        field("device", self.device_id.map(|v| format!("{v:#x}")))?;
        field("process", self.process_id.map(|v| format!("{v:#x}")))?;
        field("priv", self.privileged.map(|v| v.to_string()))?;
        field("iotval", self.iotval.map(|v| format!("{v:#x}")))?;
        field("iotval2", self.iotval2.map(|v| format!("{v:#x}")))?;
        field("dword0", self.dword0.map(|v| format!("{v:#x}")))?;
        f.write_str(if sep == "{" { "{any}" } else { "}" })
    }
}

/// Compares the records that software took from the fault queue with those that a test
/// expects, as multisets: no order is promised between requests.
///
/// With `merges`, one record may stand for several identical expectations (dut.yaml:
/// `merges_identical_faults`).
///
/// # Errors
/// What is missing and what is too much, in words.
pub fn match_records(
    expected: &[ExpectedRecord],
    got: &[[u64; 4]],
    merges: bool,
) -> Result<(), String> {
    use std::fmt::Write as _;
    const SHOWN: usize = 8;
    let mut used = vec![false; expected.len()];
    let mut surplus = Vec::new();
    for record in got {
        // An expectation with few fields fits many records: the most specific one goes first.
        let best = (0..expected.len())
            .filter(|&n| !used[n])
            .filter_map(|n| expected[n].fit(record).map(|fields| (fields, n)))
            .max_by_key(|&(fields, n)| (fields, std::cmp::Reverse(n)));
        match best {
            Some((_, n)) => used[n] = true,
            None => surplus.push(record),
        }
    }
    let missing: Vec<&ExpectedRecord> = expected
        .iter()
        .zip(&used)
        .filter(|&(e, &u)| !(u || merges && got.iter().any(|r| e.fit(r).is_some())))
        .map(|(e, _)| e)
        .collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} records, {} expected", got.len(), expected.len());
    for e in missing.iter().take(SHOWN) {
        let _ = write!(text, "\nmissing:  {e}");
    }
    if missing.len() > SHOWN {
        let _ = write!(text, "\n... and {} more missing", missing.len() - SHOWN);
    }
    for r in surplus.iter().take(SHOWN) {
        let _ = write!(
            text,
            "\ntoo much: cause {}, ttyp {}, device {:#x}, pv {}, process {:#x}, iotval {:#x}, iotval2 {:#x}",
            r[0] & 0xfff,
            r[0] >> 34 & 0x3f,
            r[0] >> 40,
            r[0] >> 32 & 1,
            r[0] >> 12 & 0xf_ffff,
            r[2],
            r[3]
        );
    }
    if surplus.len() > SHOWN {
        let _ = write!(text, "\n... and {} more too much", surplus.len() - SHOWN);
    }
    Err(text)
}

/// A latency class that a test bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundClass {
    /// Hits (and `Bare`).
    Hit,
    /// Page-table reads, device context cached.
    Walk,
    /// Directory reads too.
    ContextMiss,
    /// Refused.
    Fault,
}

impl BoundClass {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Hit, Self::Walk, Self::ContextMiss, Self::Fault];

    /// Name in test cases.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Walk => "walk",
            Self::ContextMiss => "context-miss",
            Self::Fault => "fault",
        }
    }
}

/// What `tr_response` says of a page (section "Translation-response"): where it leads, and its
/// memory type; none for a fault.
#[must_use]
pub fn translation_of(response: u64, iova: u64) -> Option<(u64, u8)> {
    if response & 1 != 0 {
        return None;
    }
    let ppn = response >> 10 & ((1 << 44) - 1);
    // S: the first zero of PPN, from bit 0 on, closes the encoding of the range.
    let low = if response >> 9 & 1 != 0 {
        (2u64 << ppn.trailing_ones()) - 1
    } else {
        0
    };
    let page = (ppn & !low | iova >> 12 & low) << 12;
    Some((page, (response >> 7 & 3) as u8))
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A CPU stores bytes; in no simulated time.
    Store {
        /// Physical address.
        addr: u64,
        /// Bytes.
        data: Vec<u8>,
    },
    /// A CPU fills a 4 KiB page with zeros.
    ZeroPage {
        /// Physical address of the page.
        addr: u64,
    },
    /// Loads a memory image: (physical address, bytes).
    LoadImage {
        /// Pages.
        pages: Arc<Vec<(u64, Vec<u8>)>>,
    },
    /// From now on, these bytes of memory answer with a fault.
    MemFault {
        /// Physical addresses.
        range: Range<u64>,
        /// Which accesses.
        access: FaultAccess,
        /// How.
        fault: MemFault,
    },
    /// Memory is sound again.
    ClearFaults,
    /// Compares bytes in memory.
    ExpectMemory {
        /// Physical address.
        addr: u64,
        /// Bytes that must be there.
        data: Vec<u8>,
    },
    /// Waits until memory holds a value; bounded by the runner.
    PollMem {
        /// Physical address.
        addr: u64,
        /// 4 or 8.
        size: u8,
        /// Bits compared.
        mask: u64,
        /// Their value.
        value: u64,
    },
    /// Writes a register and waits for its response.
    RegWrite {
        /// Byte offset in the register page.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// Value.
        value: u64,
    },
    /// A write with any address and strobes (what software must not do); waits.
    RegWriteRaw {
        /// AWADDR.
        offset: u16,
        /// WDATA.
        data: u64,
        /// WSTRB.
        strb: u8,
    },
    /// Begins a register access, and waits for nothing: a reset may end it.
    RegBegin {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// What is written; a read without.
        write: Option<u64>,
    },
    /// Reads a register and waits; `expect` is (value, mask).
    RegRead {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// Bits of the mask must be as in the value.
        expect: Option<(u64, u64)>,
    },
    /// Reads a register until the bits of `mask` are as in `value`; bounded by the runner.
    PollReg {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// Bits compared.
        mask: u64,
        /// Their value.
        value: u64,
    },
    /// Submits a device access; does not wait for its end.
    Dma(Dma),
    /// Waits until all submitted device accesses have ended, and compares them with what they expect.
    WaitDma,
    /// Waits until nothing is outstanding anywhere (accesses, commands, records, messages).
    WaitIdle,
    /// Lets so many clocks go by.
    Cycles(u32),
    /// Software takes all records from the fault queue: reads `fqt`, compares the records
    /// from `fqh` on with `expect` (if given: exactly these, as a multiset), writes `fqh`.
    TakeFaults {
        /// What must be there.
        expect: Option<Vec<ExpectedRecord>>,
    },
    /// Reads a register: the bits of `mask` must be in a range.
    ExpectRange {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// Bits compared.
        mask: u64,
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
    },
    /// Reads `tr_response`: where the debug interface found a page to lead, whatever range the
    /// block reports.
    ExpectTranslation {
        /// Page asked for.
        iova: u64,
        /// Where it leads; none is a fault.
        page: Option<u64>,
        /// Memory type.
        pbmt: Option<u8>,
    },
    /// Submits an ATS translation request; does not wait for its completion.
    AtsRequest(AtsAsk),
    /// Waits until all translation requests have been completed, and compares them with what
    /// they expect.
    WaitAts,
    /// Sends a page request or stop marker.
    PageRequest(PageAsk),
    /// Software takes all records from the page-request queue, and compares them (as a
    /// multiset) with `expect`.
    TakePageRequests {
        /// What must be there.
        expect: Option<Vec<[u64; 2]>>,
    },
    /// What the IOMMU sent to devices since the last time: invalidation requests and page
    /// request group responses, as a multiset.
    TakeAtsMessages {
        /// What must have come.
        expect: Option<Vec<AtsMessage>>,
    },
    /// Devices behave so at the ATS channels from now on.
    AtsDevices(AtsDevices),
    /// Devices answer the invalidations that they have not answered yet.
    AnswerInvalidations {
        /// This device answers, whoever was asked.
        from: Option<u32>,
    },
    /// Waits until devices that do not answer by themselves have so many invalidations to answer.
    WaitInvalidations {
        /// How many.
        count: u32,
    },
    /// A tick of the ATS invalidation timer.
    AtsTimeout,
    /// The interrupt wires must be these now.
    ExpectWires {
        /// One bit a vector.
        value: u16,
        /// Wires compared.
        mask: u16,
    },
    /// `m_mem` behaves so from now on.
    MemTiming(PortTiming),
    /// `m_dev` behaves so from now on.
    OutTiming(PortTiming),
    /// `s_dev` is driven so from now on.
    DevTiming(DevTiming),
    /// `s_reg` is driven so from now on.
    RegTiming(RegTiming),
    /// Resets the block for so many clocks.
    Reset {
        /// Clocks with `rst_ni` low.
        cycles: u32,
    },
    /// A new measurement window begins: latency and throughput are counted from here.
    Measure,
    /// No transaction of this class since [`Op::Measure`] took longer (from `s_dev`
    /// address handshake to `m_dev` address valid, clocks), and there was at least one.
    ExpectLatency {
        /// Class.
        class: BoundClass,
        /// Clocks.
        max: u64,
    },
    /// Since [`Op::Measure`], at least so many translations a thousand cycles.
    ExpectThroughput {
        /// Translations in 1000 cycles.
        per_1000: u64,
    },
    /// What is done from here on, up to the next reset, is UNSPECIFIED: only protocol, liveness and
    /// isolation are checked.
    Unspecified,
    /// Says something in the log (V=1).
    Note(String),
}

/// An operation and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct OpAt {
    /// What to do.
    pub op: Op,
    /// Where it stands.
    pub at: Where,
}

/// Why a test case cannot be read or cannot go on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum CaseError {
    /// A file cannot be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// Path.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// A line of a recorded stream makes no sense.
    #[error("{at}\n{why}")]
    Stream {
        /// Where.
        at: Where,
        /// Why.
        why: String,
    },
    /// A mistake in a YAML file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Yaml(#[from] Box<crate::diag::YamlError>),
    /// Anything else, in words.
    #[error("{file}: {why}")]
    Other {
        /// File.
        file: String,
        /// Why.
        why: String,
    },
}

/// The operations of a test, in order.
pub type Ops = Box<dyn Iterator<Item = Result<OpAt, CaseError>> + Send>;
