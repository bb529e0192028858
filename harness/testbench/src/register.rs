//! The register host at `s_reg`: AXI4-Lite.

use std::collections::VecDeque;

use iommu_bus::RegTiming;
use iommu_bus::event::{Event, Resp};
use iommu_sim::{PinsIn, PinsOut};

use crate::context::Clock;
use crate::pins;
use crate::protocol::{Channel, Hold, Port, Rule};
use crate::rng::Stream;

/// Names a submitted [`RegOp`]; counts up from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegTicket(pub u64);

/// An access to the register page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegOp {
    /// Reads 4 or 8 bytes at `offset`.
    Read {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
    },
    /// Writes 4 or 8 bytes at `offset`: strobes 0x0F or 0xF0, or 0xFF. The other
    /// half of the bus carries random bits.
    Write {
        /// Byte offset.
        offset: u16,
        /// 4 or 8.
        size: u8,
        /// Value.
        value: u64,
    },
    /// A write with any address and strobes, to try what software must not do.
    Raw {
        /// AWADDR.
        offset: u16,
        /// WDATA.
        data: u64,
        /// WSTRB.
        strb: u8,
    },
}

impl RegOp {
    const fn is_write(self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

/// How a register access ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegCompletion {
    /// Which.
    pub ticket: RegTicket,
    /// What it was.
    pub op: RegOp,
    /// The 4 or 8 bytes read; 0 for a write.
    pub value: u64,
    /// Response.
    pub resp: Resp,
    /// Clock in which the block had taken all of it.
    pub accepted: Option<u64>,
    /// Clock of the response.
    pub done: u64,
    /// Reset ended it; there was no response.
    pub aborted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    ticket: RegTicket,
    op: RegOp,
    addr: u16,
    data: u64,
    strb: u8,
    /// AW or AR was taken.
    addr_sent: bool,
    /// W was taken; true for reads.
    data_sent: bool,
    accepted: Option<u64>,
}

/// The agent of `s_reg`.
#[derive(Debug)]
pub(crate) struct RegisterAgent {
    pub(crate) timing: RegTiming,
    next_ticket: u64,
    queue: VecDeque<(RegTicket, RegOp)>,
    /// In flight; all reads or all writes.
    flights: VecDeque<Flight>,
    aw_valid: bool,
    w_valid: bool,
    ar_valid: bool,
    bready: bool,
    rready: bool,
    done: VecDeque<RegCompletion>,
    hold_b: Hold<u8>,
    hold_r: Hold<(u64, u8)>,
    gap: Stream,
    ready: Stream,
    junk: Stream,
}

impl RegisterAgent {
    pub(crate) fn new(seed: u64, timing: RegTiming) -> Self {
        Self {
            timing,
            next_ticket: 0,
            queue: VecDeque::new(),
            flights: VecDeque::new(),
            aw_valid: false,
            w_valid: false,
            ar_valid: false,
            bready: false,
            rready: false,
            done: VecDeque::new(),
            hold_b: Hold::default(),
            hold_r: Hold::default(),
            gap: Stream::new(seed, "s_reg.gap"),
            ready: Stream::new(seed, "s_reg.ready"),
            junk: Stream::new(seed, "s_reg.junk"),
        }
    }

    pub(crate) fn submit(&mut self, op: RegOp) -> RegTicket {
        let ticket = RegTicket(self.next_ticket);
        self.next_ticket += 1;
        self.queue.push_back((ticket, op));
        ticket
    }

    pub(crate) fn take_done(&mut self) -> Option<RegCompletion> {
        self.done.pop_front()
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.queue.len() + self.flights.len()
    }

    fn flight(&mut self, ticket: RegTicket, op: RegOp) -> Flight {
        let (addr, data, strb) = match op {
            RegOp::Read { offset, .. } => (offset, 0, 0),
            RegOp::Write {
                offset,
                size: 8,
                value,
            } => (offset, value, 0xff),
            RegOp::Write { offset, value, .. } => {
                let junk = self.junk.word();
                let low = u64::from(value as u32);
                if offset & 4 == 0 {
                    (offset, low | junk << 32, 0x0f)
                } else {
                    (offset, low << 32 | junk >> 32, 0xf0)
                }
            }
            RegOp::Raw { offset, data, strb } => (offset, data, strb),
        };
        Flight {
            ticket,
            op,
            addr: addr & 0xfff,
            data,
            strb,
            addr_sent: false,
            data_sent: !op.is_write(),
            accepted: None,
        }
    }

    /// Chooses what to drive in this clock, from what was seen up to the last one.
    pub(crate) fn prepare(&mut self, ck: &Clock<'_>, pins: &mut PinsIn) {
        if ck.reset {
            self.abort_all(ck.cycle);
        } else if !ck.quiet {
            self.launch();
            self.start();
        }
        self.bready = !ck.reset && self.ready.chance(self.timing.ready_percent);
        self.rready = self.bready;
        let address = self.flights.iter().find(|f| !f.addr_sent);
        let aw = address.filter(|_| self.aw_valid).map(|f| f.addr);
        let ar = address.filter(|_| self.ar_valid).map(|f| f.addr);
        let data = self.flights.iter().find(|f| !f.data_sent);
        let w = data.filter(|_| self.w_valid).map(|f| (f.data, f.strb));
        pins::drive_reg_aw(pins, aw);
        pins::drive_reg_w(pins, w);
        pins::drive_reg_ar(pins, ar);
        pins.s_reg_bready = self.bready.into();
        pins.s_reg_rready = self.rready.into();
    }

    fn launch(&mut self) {
        while let Some(&(ticket, op)) = self.queue.front() {
            let room = match self.flights.front() {
                None => true,
                Some(f) => {
                    f.op.is_write() == op.is_write()
                        && self.flights.len() < self.timing.max_outstanding as usize
                }
            };
            if !room {
                return;
            }
            self.queue.pop_front();
            let flight = self.flight(ticket, op);
            self.flights.push_back(flight);
        }
    }

    fn start(&mut self) {
        let Some(first) = self.flights.front() else {
            return;
        };
        let write = first.op.is_write();
        let gap = self.timing.gap_percent;
        let address = self.flights.iter().any(|f| !f.addr_sent);
        if address && write && !self.aw_valid {
            self.aw_valid = !self.gap.chance(gap);
        }
        if address && !write && !self.ar_valid {
            self.ar_valid = !self.gap.chance(gap);
        }
        if !self.w_valid && self.flights.iter().any(|f| !f.data_sent) {
            self.w_valid = !self.gap.chance(gap);
        }
    }

    /// Takes what happened in this clock.
    pub(crate) fn observe(&mut self, ck: &mut Clock<'_>, o: &PinsOut) {
        let (bvalid, rvalid) = (o.s_reg_bvalid != 0, o.s_reg_rvalid != 0);
        ck.check_quiet(Port::Reg, Channel::B, bvalid);
        ck.check_quiet(Port::Reg, Channel::R, rvalid);
        if ck.reset {
            return;
        }
        self.observe_requests(ck, o);
        let (b, rule) = self
            .hold_b
            .check(bvalid.then_some(o.s_reg_bresp), self.bready);
        if let Some(rule) = rule {
            ck.violation(Port::Reg, Channel::B, rule, || {
                format!("now bvalid={} bresp={}", o.s_reg_bvalid, o.s_reg_bresp)
            });
        }
        if let Some(bits) = b {
            self.answer(ck, true, 0, bits);
        }
        let (r, rule) = self.hold_r.check(
            rvalid.then_some((o.s_reg_rdata, o.s_reg_rresp)),
            self.rready,
        );
        if let Some(rule) = rule {
            ck.violation(Port::Reg, Channel::R, rule, || {
                format!("now rvalid={} rdata={:#x}", o.s_reg_rvalid, o.s_reg_rdata)
            });
        }
        if let Some((data, bits)) = r {
            self.answer(ck, false, data, bits);
        }
    }

    fn observe_requests(&mut self, ck: &mut Clock<'_>, o: &PinsOut) {
        let aw = self.aw_valid && o.s_reg_awready != 0;
        let w = self.w_valid && o.s_reg_wready != 0;
        let ar = self.ar_valid && o.s_reg_arready != 0;
        if !(aw || w || ar) {
            return;
        }
        if (aw || ar)
            && let Some(f) = self.flights.iter_mut().find(|f| !f.addr_sent)
        {
            f.addr_sent = true;
            self.aw_valid = false;
            self.ar_valid = false;
        }
        if w && let Some(f) = self.flights.iter_mut().find(|f| !f.data_sent) {
            f.data_sent = true;
            self.w_valid = false;
        }
        for f in &mut self.flights {
            if f.addr_sent && f.data_sent && f.accepted.is_none() {
                f.accepted = Some(ck.cycle);
                ck.event(if f.op.is_write() {
                    Event::RegWriteAccepted {
                        addr: f.addr,
                        data: f.data,
                        strb: f.strb,
                    }
                } else {
                    Event::RegReadAccepted { addr: f.addr }
                });
            }
        }
    }

    fn answer(&mut self, ck: &mut Clock<'_>, write: bool, data: u64, bits: u8) {
        let channel = if write { Channel::B } else { Channel::R };
        let resp = pins::resp(bits);
        let f = match self.flights.front() {
            Some(f) if f.op.is_write() == write => *f,
            _ => {
                ck.violation(Port::Reg, channel, Rule::ResponseId, || {
                    format!("{resp:?} with nothing outstanding")
                });
                return;
            }
        };
        if f.accepted.is_none() {
            let rule = if write {
                Rule::ResponseEarly
            } else {
                Rule::ResponseId
            };
            ck.violation(Port::Reg, channel, rule, || {
                format!("answer to offset {:#x} before it was taken", f.addr)
            });
            return;
        }
        if resp == Resp::ExOkay {
            ck.violation(Port::Reg, channel, Rule::ResponseCode, || {
                format!("EXOKAY to offset {:#x}", f.addr)
            });
        }
        let addr = f.addr;
        ck.event(if write {
            Event::RegWriteDone {
                addr,
                data: f.data,
                strb: f.strb,
                resp,
            }
        } else {
            Event::RegReadDone { addr, data, resp }
        });
        let value = match f.op {
            RegOp::Read { size: 8, .. } => data,
            RegOp::Read { offset, .. } => data >> (8 * u32::from(offset & 4)) & 0xffff_ffff,
            _ => 0,
        };
        self.flights.pop_front();
        self.done.push_back(RegCompletion {
            ticket: f.ticket,
            op: f.op,
            value,
            resp,
            accepted: f.accepted,
            done: ck.cycle,
            aborted: false,
        });
    }

    fn abort_all(&mut self, cycle: u64) {
        self.hold_b.clear();
        self.hold_r.clear();
        self.aw_valid = false;
        self.w_valid = false;
        self.ar_valid = false;
        let flights = self.flights.drain(..).map(|f| (f.ticket, f.op, f.accepted));
        let queued = self.queue.drain(..).map(|(ticket, op)| (ticket, op, None));
        for (ticket, op, accepted) in flights.chain(queued) {
            self.done.push_back(RegCompletion {
                ticket,
                op,
                value: 0,
                resp: Resp::SlvErr,
                accepted,
                done: cycle,
                aborted: true,
            });
        }
    }
}
