//! ATS messages between the IOMMU and devices: invalidation requests and their completions, page
//! requests and their responses (sections "IOMMU PCIe ATS commands", "PCIe ATS Page Request
//! handling", "Page-Request-Queue").

use crate::addr::Iova;
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::command::AtsMessage;
use crate::context::DeviceContext;
use crate::iommu::{Iommu, Push};
use crate::label::Label;
use crate::memory::Memory;
use crate::observe::Observer;
use crate::outcome::Permissions;
use crate::record::{FaultRecord, words_to_bytes};
use crate::registers::{IommuMode, Queue, ipsr};
use crate::request::Request;
use crate::walk::{Fault, Walker};

/// PCIe message code of "Invalidation Completion".
pub const MESSAGE_INVALIDATION_COMPLETION: u8 = 0x02;
/// PCIe message code of "Page Request".
pub const MESSAGE_PAGE_REQUEST: u8 = 0x04;

/// Invalidation requests in flight.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AtsState {
    /// Who each ITag was sent to, and how many completions came for it.
    tags: [Option<Outstanding>; 32],
    /// An invalidation timed out since the last fence saw one.
    timed_out: bool,
    /// Messages to be sent.
    messages: Vec<AtsOut>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outstanding {
    rid: u16,
    segment: Option<u8>,
    completions: u8,
}

/// A message that the IOMMU sends to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AtsOut {
    /// "Invalidation Request" with the ITag it uses.
    Invalidation {
        /// 5-bit tag, not reused until completion or time-out.
        itag: u8,
        /// Target and body.
        message: AtsMessage,
    },
    /// "Page Request Group Response".
    PageResponse(AtsMessage),
}

impl AtsState {
    pub(crate) fn outstanding(&self) -> bool {
        self.tags.iter().any(Option::is_some)
    }

    pub(crate) fn take_timeout(&mut self) -> bool {
        std::mem::take(&mut self.timed_out)
    }

    /// Whether a tag was free.
    pub(crate) fn send_invalidation(&mut self, message: AtsMessage) -> bool {
        let Some(itag) = self.tags.iter().position(Option::is_none) else {
            return false;
        };
        self.tags[itag] = Some(Outstanding {
            rid: message.rid,
            segment: message.segment,
            completions: 0,
        });
        self.messages.push(AtsOut::Invalidation {
            itag: itag as u8,
            message,
        });
        true
    }

    pub(crate) fn send_response(&mut self, message: AtsMessage) {
        self.messages.push(AtsOut::PageResponse(message));
    }

    /// What earlier commands left behind is forgotten with the queue.
    pub(crate) fn forget(&mut self) {
        self.timed_out = false;
    }
}

/// A "Page Request" or "Stop Marker" message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// Requester: `device_id`, 24 bits.
    pub device_id: u32,
    /// PASID, 20 bits.
    pub process_id: Option<u32>,
    /// "Privilege Mode Requested"; counts only with a PASID.
    pub privileged: bool,
    /// "Execute Requested"; counts only with a PASID.
    pub execute: bool,
    /// Bytes 0x08 to 0x0F: R 0, W 1, L 2, Page Request Group Index 11:3, page address 63:12.
    pub payload: u64,
}

impl PageRequest {
    /// "Last Request in PRG".
    #[must_use]
    pub const fn last(&self) -> bool {
        self.payload & 4 != 0
    }

    /// "encoded as a Page Request with a PASID but with the L, W, and R fields set to 1, 0, 0".
    #[must_use]
    pub const fn is_stop_marker(&self) -> bool {
        self.process_id.is_some() && self.payload & 7 == 4
    }

    /// "Page Request Group Index", 9 bits.
    #[must_use]
    pub const fn group(&self) -> u16 {
        (self.payload >> 3 & 0x1ff) as u16
    }

    /// The record for the queue: two doublewords.
    #[must_use]
    pub fn record(&self) -> [u64; 2] {
        let b = u64::from;
        // "PRIV is set to 0 if the message did not have a PASID" (EXEC alike).
        let w0 = match self.process_id {
            Some(pid) => {
                b(pid & 0xf_ffff) << 12
                    | 1 << 32
                    | flag(self.privileged) << 33
                    | flag(self.execute) << 34
            }
            None => 0,
        };
        [w0 | b(self.device_id & 0xff_ffff) << 40, self.payload]
    }
}

fn flag(v: bool) -> u64 {
    u64::from(v)
}

/// Response code of a "Page Request Group Response" (PCIe).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// 0000b.
    Success,
    /// 0001b.
    InvalidRequest,
    /// 1111b.
    ResponseFailure,
}

impl ResponseCode {
    /// The four bits.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            ResponseCode::Success => 0,
            ResponseCode::InvalidRequest => 1,
            ResponseCode::ResponseFailure => 15,
        }
    }
}

/// What becomes of a page request before its record is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageRequestStep {
    /// The record is to be stored; then call [`Iommu::page_request_written`] or
    /// [`Iommu::page_request_write_failed`].
    Queue(Push<16>),
    /// It is discarded.
    Discarded {
        /// The response to send, if it needs one.
        response: Option<(ResponseCode, AtsMessage)>,
        /// The fault to report.
        record: Option<FaultRecord>,
    },
}

impl Iommu {
    /// Messages that commands and page requests made the IOMMU send, oldest first.
    pub fn take_ats_messages(&mut self) -> Vec<AtsOut> {
        std::mem::take(&mut self.ats.messages)
    }

    /// ITags in use, a bit each.
    #[must_use]
    pub fn itags_in_use(&self) -> u32 {
        (0..)
            .zip(&self.ats.tags)
            .fold(0, |m, (n, t)| m | u32::from(t.is_some()) << n)
    }

    /// The protocol-defined time-out of everything in flight: the tags are freed, and the next
    /// `IOFENCE.C` reports it with `cmd_to`.
    pub fn ats_time_out(&mut self) {
        if self.ats.outstanding() {
            self.ats.timed_out = true;
            self.ats.tags = [None; 32];
        }
    }

    /// An "Invalidation Completion" from `device_id` for the ITags of `vector`. `count` is the
    /// number of such messages that the device sends for each request (0 stands for 8, PCIe).
    /// Tags that were not sent to this device are ignored.
    ///
    /// # Errors
    /// The record to report where the message is not allowed: `EN_ATS` 0 and the like ("otherwise
    /// they are treated as unsupported requests").
    pub fn invalidation_completion<M: Memory, O: Observer>(
        &mut self,
        mem: &mut M,
        obs: &mut O,
        device_id: u32,
        vector: u32,
        count: u8,
    ) -> Result<(), Option<FaultRecord>> {
        let found = self.message_context(mem, obs, device_id);
        let fault = match found {
            Ok(dc) if dc.en_ats() => None,
            Ok(dc) => Some((
                Fault::new(Cause::TypeDisallowed, TC, "EN_ATS is 0"),
                dc.dtf(),
            )),
            Err(f) => Some((f, false)),
        };
        if let Some((f, dtf)) = fault {
            return Err(message_record(
                &f,
                dtf,
                device_id,
                None,
                false,
                MESSAGE_INVALIDATION_COMPLETION,
            ));
        }
        let needed = if count & 7 == 0 { 8 } else { count & 7 };
        for (n, slot) in self.ats.tags.iter_mut().enumerate() {
            let Some(o) = slot else { continue };
            let sender =
                o.rid == device_id as u16 && o.segment.is_none_or(|s| s == (device_id >> 16) as u8);
            if vector >> n & 1 == 1 && sender {
                o.completions = o.completions.saturating_add(1);
                if o.completions >= needed {
                    *slot = None;
                }
            }
        }
        Ok(())
    }

    /// "the IOMMU first locates the device-context - using the procedure outlined in steps 1
    /// through 5 of [Process to translate an IOVA]" (and step 6, which does the locating).
    fn message_context<M: Memory, O: Observer>(
        &self,
        mem: &mut M,
        obs: &mut O,
        device_id: u32,
    ) -> Result<DeviceContext, Fault> {
        let levels = match self.regs.mode {
            IommuMode::Off => {
                return Err(Fault::new(
                    Cause::AllInboundDisallowed,
                    PRI,
                    "iommu_mode is Off",
                ));
            }
            // "Translated requests, Translation request, and PCIe message transactions are
            // unsupported."
            IommuMode::Bare => {
                return Err(Fault::new(Cause::TypeDisallowed, PRI, "iommu_mode is Bare"));
            }
            IommuMode::Levels(n) => n,
        };
        let req = Request::read(device_id, Iova(0));
        if u64::from(req.did()) >> self.device_id_bits() != 0 {
            return Err(Fault::new(Cause::TypeDisallowed, PRI, "device_id too wide"));
        }
        let mut w = Walker {
            iommu: self,
            mem,
            obs,
            req: &req,
            original: req.access,
            dtf: false,
            granted: Permissions::ALL,
        };
        w.locate_dc(levels)
    }

    /// Takes a "Page Request" or "Stop Marker" message. `ahead` counts records that have a place
    /// in the queue but are not stored yet.
    pub fn page_request<M: Memory, O: Observer>(
        &mut self,
        mem: &mut M,
        obs: &mut O,
        req: &PageRequest,
        ahead: u32,
    ) -> PageRequestStep {
        // capabilities.ATS: "PCIe Address Translation Services (ATS) and page-request interface (PRI) is
        // supported." Where it is not, there is nothing that takes the message.
        if !self.capabilities().has(Capabilities::ATS) {
            return PageRequestStep::Discarded {
                response: None,
                record: None,
            };
        }
        let dc = self.message_context(mem, obs, req.device_id);
        let fault = |f: Fault, dtf| {
            message_record(
                &f,
                dtf,
                req.device_id,
                req.process_id,
                req.privileged,
                MESSAGE_PAGE_REQUEST,
            )
        };
        // "If EN_PRI is set to 0, or EN_ATS is set to 0, or if the IOMMU is unable to locate the DC
        // ..., or the request could not be queued into PQ then ..."
        let (code, prpr, record) = match dc {
            Err(f) => {
                let code = match f.cause {
                    // "The status is set to Invalid Request: iommu_mode is Bare; EN_PRI is set to
                    // 0; device_id is wider than that supported by the IOMMU mode (cause = 260)"
                    Cause::TypeDisallowed => ResponseCode::InvalidRequest,
                    // "The status is set to Response Failure: 256, 257, 259, 258"
                    _ => ResponseCode::ResponseFailure,
                };
                // "If a fault condition prevents locating a valid device context then the PRPR
                // value assumed is 0."
                (code, false, fault(f, false))
            }
            Ok(dc) if !dc.en_ats() || !dc.en_pri() => {
                let f = Fault::new(Cause::TypeDisallowed, PRI, "EN_PRI or EN_ATS is 0");
                (ResponseCode::InvalidRequest, dc.prpr(), fault(f, dc.dtf()))
            }
            Ok(dc) => {
                let big = self.regs.be;
                match self.push(
                    Queue::PageRequest,
                    words_to_bytes(&req.record(), big),
                    ahead,
                ) {
                    push @ Push::Write { .. } => return PageRequestStep::Queue(push),
                    // "No faults are logged in the fault queue for ... not enabled, ... memory
                    // access fault, ... full or had a overflow."
                    // "Response Failure: Page-request queue is not enabled"
                    Push::Off => (ResponseCode::ResponseFailure, dc.prpr(), None),
                    // "Response Failure: pqcsr.pqmf == 1"
                    Push::Stopped if self.regs.pq.memory_fault => {
                        (ResponseCode::ResponseFailure, dc.prpr(), None)
                    }
                    // "The status is set to Success if ... the page-request queue being full or had
                    // a overflow"
                    Push::Stopped | Push::Overflow => (ResponseCode::Success, dc.prpr(), None),
                }
            }
        };
        PageRequestStep::Discarded {
            response: auto_response(req, code, prpr),
            record,
        }
    }

    /// The record at `pqt` has been stored: `pqt` advances, `pip` if `pie`.
    pub fn page_request_written(&mut self) {
        self.advance(Queue::PageRequest, ipsr::PIP);
    }

    /// Storing the record of `req` failed: `pqmf`. The response to send, if it needs one.
    pub fn page_request_write_failed(
        &mut self,
        req: &PageRequest,
    ) -> Option<(ResponseCode, AtsMessage)> {
        self.regs.pq.memory_fault = true;
        self.update_interrupts();
        // Response Failure carries the PASID of the request whatever PRPR says.
        auto_response(req, ResponseCode::ResponseFailure, false)
    }

    /// Takes a page request in one go: stores its record or answers it. Returns the fault record
    /// to report.
    pub fn run_page_request<M: Memory, O: Observer>(
        &mut self,
        mem: &mut M,
        obs: &mut O,
        req: &PageRequest,
    ) -> Option<FaultRecord> {
        let (response, record) = match self.page_request(mem, obs, req, 0) {
            PageRequestStep::Queue(Push::Write {
                addr,
                data,
                reachable,
                ..
            }) => {
                if reachable && mem.store(addr, &data, &Label::PageRequestQueue).is_ok() {
                    self.page_request_written();
                    (None, None)
                } else {
                    (self.page_request_write_failed(req), None)
                }
            }
            PageRequestStep::Queue(_) => (None, None),
            PageRequestStep::Discarded { response, record } => (response, record),
        };
        if let Some((_, message)) = response {
            self.ats.send_response(message);
        }
        record
    }
}

const PRI: &str = "PCIe ATS Page Request handling";
const TC: &str = "Translation control";

/// The response that the IOMMU itself makes: only "if the Page Request needs a response, i.e. the
/// Last Request in PRG field is 1 and [it is] not [a] Stop Marker".
fn auto_response(
    req: &PageRequest,
    code: ResponseCode,
    prpr: bool,
) -> Option<(ResponseCode, AtsMessage)> {
    if !req.last() || req.is_stop_marker() {
        return None;
    }
    let pasid = match code {
        // "If the Page Request had a PASID then response is generated with a PASID."
        ResponseCode::ResponseFailure => true,
        // "the PRPR bit when set to 1 indicates that the IOMMU response message should include a
        // PASID if the associated Page Request had a PASID"
        ResponseCode::InvalidRequest | ResponseCode::Success => prpr,
    };
    let message = AtsMessage {
        process_id: req.process_id.filter(|_| pasid).map(|p| p & 0xf_ffff),
        rid: req.device_id as u16,
        segment: Some((req.device_id >> 16) as u8),
        // PAYLOAD of ATS.PRGR: group index in 40:32, response code in 47:44.
        payload: u64::from(req.group()) << 32 | u64::from(code.code()) << 44,
    };
    Some((code, message))
}

/// The record of a refused message: "If the TTYP is a PCIe message request, the message code of the
/// PCIe message is reported in iotval."
fn message_record(
    f: &Fault,
    dtf: bool,
    device_id: u32,
    process_id: Option<u32>,
    privileged: bool,
    code: u8,
) -> Option<FaultRecord> {
    if dtf && !f.cause.reported_with_dtf() {
        return None;
    }
    let req = Request {
        process_id,
        privileged,
        ..Request::read(device_id, Iova(code.into()))
    };
    Some(FaultRecord {
        ttyp: crate::request::Ttyp::Message.code(),
        ..FaultRecord::of_request(f.cause, &req, 0)
    })
}
