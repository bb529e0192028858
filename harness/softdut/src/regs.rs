//! `s_reg`: the register page.

use std::sync::Arc;

use iommu_golden::{IommuMode, Queue, RegSize, offset};
use iommu_sim::{PinsIn, PinsOut};

use crate::bug::Bug;
use crate::job::What;
use crate::port::WriteFor;
use crate::state::State;

const OKAY: u8 = 0;
const SLVERR: u8 = 2;

/// A queue that follows its enable bit.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// Not before this clock.
    until: u64,
    was_on: bool,
}

/// The port and what is under way behind it.
#[derive(Debug, Default)]
pub(crate) struct RegPort {
    aw: Option<u16>,
    w: Option<(u64, u8)>,
    /// Both are in: executed at this clock.
    due: Option<u64>,
    /// To be answered; after the messages that were formed before, if so.
    b: Option<(u8, bool)>,
    ar: Option<(u16, u64)>,
    r: Option<(u64, u8)>,
    changes: [Option<Change>; 3],
}

fn number(queue: Queue) -> usize {
    match queue {
        Queue::Command => 0,
        Queue::Fault => 1,
        Queue::PageRequest => 2,
    }
}

impl RegPort {
    /// Whether the queue does not yet follow its enable bit.
    pub(crate) fn is_changing(&self, queue: Queue) -> bool {
        self.changes[number(queue)].is_some()
    }
}

/// The register access that a write of these strobes is.
fn meaning(addr: u16, data: u64, strb: u8) -> Option<(u16, RegSize, u64)> {
    let slot = addr & 0xff8;
    match (strb, addr & 7) {
        (0x0f, 0) => Some((slot, RegSize::Four, data & 0xffff_ffff)),
        (0xf0, 0 | 4) => Some((slot + 4, RegSize::Four, data >> 32)),
        (0xff, 0) => Some((slot, RegSize::Eight, data)),
        _ => None,
    }
}

impl State {
    pub(crate) fn step_registers(&mut self, i: &PinsIn, o: &PinsOut) {
        if i.s_reg_awvalid & o.s_reg_awready != 0 {
            self.regs.aw = Some(i.s_reg_awaddr & 0xfff);
        }
        if i.s_reg_wvalid & o.s_reg_wready != 0 {
            self.regs.w = Some((i.s_reg_wdata, i.s_reg_wstrb));
        }
        if i.s_reg_arvalid & o.s_reg_arready != 0 {
            let due = self.now + self.register_delay();
            self.regs.ar = Some((i.s_reg_araddr & 0xfff, due));
        }
        if o.s_reg_bvalid & i.s_reg_bready != 0 {
            self.regs.b = None;
            self.regs.aw = None;
            self.regs.w = None;
            self.regs.due = None;
        }
        if o.s_reg_rvalid & i.s_reg_rready != 0 {
            self.regs.r = None;
            self.regs.ar = None;
        }
        self.settle_queues();
        if let (Some(addr), Some((data, strb)), None) = (self.regs.aw, self.regs.w, self.regs.b) {
            let due = match self.regs.due {
                Some(due) => due,
                None => {
                    let due = self.now + self.register_delay();
                    self.regs.due = Some(due);
                    due
                }
            };
            if self.now >= due {
                let sending = self.port.writing(&WriteFor::Message { addr: 0 });
                let table = (offset::MSI_CFG_TBL..offset::MSI_CFG_TBL + 256).contains(&addr);
                let resp = self.write_register(addr, data, strb);
                self.regs.b = Some((resp, table && sending));
            }
        }
        if let (Some((addr, due)), None) = (self.regs.ar, self.regs.r)
            && self.now >= due
        {
            self.regs.r = Some((self.read_slot(addr & 0xff8), OKAY));
        }
    }

    fn register_delay(&mut self) -> u64 {
        self.rng.below(self.habits.register_delay as usize + 1) as u64
    }

    pub(crate) fn drive_registers(&mut self, o: &mut PinsOut) {
        o.s_reg_awready = u8::from(self.regs.aw.is_none());
        o.s_reg_wready = u8::from(self.regs.w.is_none());
        o.s_reg_arready = u8::from(self.regs.ar.is_none());
        if let Some((_, after)) = &mut self.regs.b
            && *after
        {
            *after = self.port.writing(&WriteFor::Message { addr: 0 });
        }
        match self.regs.b {
            Some((resp, false)) => {
                o.s_reg_bvalid = 1;
                o.s_reg_bresp = resp;
            }
            _ => o.s_reg_bvalid = 0,
        }
        match self.regs.r {
            Some((data, resp)) => {
                o.s_reg_rvalid = 1;
                o.s_reg_rdata = data;
                o.s_reg_rresp = resp;
            }
            None => o.s_reg_rvalid = 0,
        }
    }

    /// Both halves at an offset.
    fn read_slot(&self, at: u16) -> u64 {
        let half = |at| self.iommu.read_reg(at, RegSize::Four).unwrap_or(0) & 0xffff_ffff;
        let mut value = half(at) | half(at + 4) << 32;
        let over = |n: usize, shift: u32, value: &mut u64| {
            if let Some(change) = &self.regs.changes[n] {
                *value &= !(1 << (16 + shift));
                *value |= u64::from(change.was_on) << (16 + shift) | 1 << (17 + shift);
            }
        };
        match at {
            offset::DDTP => value |= u64::from(self.draining) << 4,
            offset::CQCSR => {
                over(0, 0, &mut value);
                over(1, 32, &mut value);
            }
            offset::PQCSR => over(2, 0, &mut value),
            _ => {}
        }
        value
    }

    fn write_register(&mut self, addr: u16, data: u64, strb: u8) -> u8 {
        let Some((at, size, value)) = meaning(addr, data, strb) else {
            return SLVERR;
        };
        let before = self.iommu.registers();
        let on = [before.cq.on, before.fq.on, before.pq.on];
        let stopped = before.cq.memory_fault || before.cq.illegal || before.cq.overflow;
        let Ok(effects) = self.iommu.write_reg(at, size, value) else {
            return SLVERR;
        };
        if at == offset::IPSR {
            self.cleared = self.now;
        }
        for queue in [effects.enabled, effects.disabled].into_iter().flatten() {
            let delay = self.rng.below(self.habits.queue_delay as usize + 1) as u64;
            self.regs.changes[number(queue)] = Some(Change {
                until: self.now + delay,
                was_on: on[number(queue)],
            });
            if queue == Queue::Command {
                self.forget_commands();
            }
        }
        let cq = &self.iommu.registers().cq;
        if stopped && !(cq.memory_fault || cq.illegal || cq.overflow) {
            self.forget_commands();
        }
        if effects.ddtp || matches!(at, offset::FCTL | offset::IOMMU_QOSID) || at == 20 {
            self.config = Arc::new(self.iommu.clone());
        }
        // "When a write is observed by the ddtp.iommu_mode, the busy bit is set": not for the upper half.
        if effects.ddtp && at == offset::DDTP {
            self.new_mode();
        }
        if effects.debug_request {
            let request = self.iommu.debug_request();
            let n = self.add(What::Debug, request);
            self.todo.push_back(n);
        }
        self.settle_queues();
        OKAY
    }

    /// `ddtp` was written: requests under way end with the old mode, or are aborted.
    fn new_mode(&mut self) {
        self.draining = self.bug != Some(Bug::OffEarly);
        let off = self.iommu.registers().mode == IommuMode::Off;
        let aborts = off && self.habits.abort_at_off && self.bug != Some(Bug::OffEarly);
        let mut again = Vec::new();
        for (n, job) in self.jobs.iter_mut() {
            let own = matches!(job.what, What::Read(_) | What::Write(_) | What::Ats { .. });
            if job.open() && (aborts || !own) {
                job.config = self.config.clone();
                again.push(n);
            }
        }
        for n in again {
            self.restart(n);
        }
    }

    /// Queues that have come to rest follow their enable bits.
    fn settle_queues(&mut self) {
        for queue in [Queue::Command, Queue::Fault, Queue::PageRequest] {
            let n = number(queue);
            let Some(change) = self.regs.changes[n] else {
                continue;
            };
            let under_way = match queue {
                Queue::Command => self.commands_busy(),
                Queue::Fault => self.port.writing(&WriteFor::Record),
                Queue::PageRequest => self.port.writing(&WriteFor::PageRecord),
            };
            let under_way =
                under_way && (self.bug != Some(Bug::QueueOffEarly) || queue == Queue::Command);
            if self.now >= change.until && !under_way {
                self.regs.changes[n] = None;
            }
        }
    }
}
