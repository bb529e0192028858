//! Devices with a translation cache of their own (PCIe ATS): translation requests, accesses by what
//! came of them, page requests, invalidations and their answers.
//!
//! All of it draws from one stream: what else a seed does is the same without ATS.

use crate::ats::{Atc, AtsAsk, AtsDevices, AtsExpect, PageAsk};
use crate::driver::{PAGE, range_operand};
use crate::op::{Dma, Op};
use crate::regs;

use super::contexts::tc;
use super::edits::Stale;
use super::profile::{Amount, Chance};
use super::tables::{Leaf, Which};
use super::world::{Device, World};

/// What is left to be done of a round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Budget {
    requests: u64,
    pages: u64,
    commands: u64,
}

/// Bit of `cqcsr.cmd_to`.
const CMD_TO: u32 = 9;

impl World {
    /// `tc` bits of a new device.
    pub(super) fn ats_controls(&mut self, nested: bool) -> u64 {
        let p = self.profile.clone();
        let (t2gpa, r) = (self.has("T2GPA"), &mut self.r.ats);
        let on = p.chance(Chance::AtsDevices, r);
        let pages = p.chance(Chance::AtsPages, r);
        let prpr = r.percent(50);
        let guest = p.chance(Chance::AtsGuest, r);
        if !on || !self.has("ATS") {
            return 0;
        }
        let mut bits = tc::EN_ATS;
        if pages {
            bits |= tc::EN_PRI | if prpr { tc::PRPR } else { 0 };
        }
        if guest && nested && t2gpa {
            bits |= tc::T2GPA;
        }
        bits
    }

    /// How devices behave from now on, and the page-request queue.
    pub(super) fn start_ats(&mut self) {
        if !self.ats {
            return;
        }
        self.driver.start_page_queue();
        self.pages_unread = 0;
        let p = self.profile.clone();
        let r = &mut self.r.ats;
        self.ats_devices = AtsDevices {
            answers: true,
            delay: p.amount(Amount::AtsDelay, r) as u32,
            completions: p.amount(Amount::AtsCompletions, r).clamp(1, 8) as u8,
            stopped: false,
            ready: p.amount(Amount::AtsReady, r).max(1) as u8,
        };
        self.push("devices with ATS", Op::AtsDevices(self.ats_devices));
    }

    /// What a round has to do of it. Without `commands`: an invalidation could not be answered.
    pub(super) fn ats_round(&mut self, lazy: bool, commands: bool) {
        if !self.ats {
            return;
        }
        let p = self.profile.clone();
        let r = &mut self.r.ats;
        let mut budget = Budget {
            requests: p.amount(Amount::AtsRequests, r),
            pages: p.amount(Amount::PageRequests, r),
            commands: p.amount(Amount::AtsCommands, r),
        };
        if !lazy {
            // Room for every record.
            let room = ((1u64 << self.driver.cfg.pq_log2.unwrap_or(0)) - 1)
                .saturating_sub(self.pages_unread);
            budget.pages = budget.pages.min(room);
        }
        if !commands {
            budget.commands = 0;
        }
        self.ats_answers = commands;
        self.ats_budget = budget;
    }

    /// Something of the round's budget, or all that is left.
    pub(super) fn ats_beside(&mut self, all: bool) {
        while self.ats && self.room() > 2 {
            let b = self.ats_budget;
            let left = b.requests + b.pages + b.commands;
            if left == 0 || !(all || self.r.ats.percent(40)) {
                return;
            }
            let n = self.r.ats.below(left);
            if n < b.requests {
                self.ats_budget.requests -= 1;
                self.translation_request();
            } else if n < b.requests + b.pages {
                self.ats_budget.pages -= 1;
                self.page_request();
            } else {
                self.ats_budget.commands -= 1;
                self.ats_command();
            }
        }
    }

    /// An access by the device's own cache, perhaps.
    pub(super) fn through_cache(&mut self, dma: &mut Dma) {
        if !self.ats {
            return;
        }
        let p = self.profile.clone();
        let cached = p.chance(Chance::AtsCached, &mut self.r.ats);
        let has_one = |d: &Device| d.id == dma.device_id && d.tc & tc::EN_ATS != 0;
        if cached && !dma.translated && self.devices.iter().any(has_one) {
            dma.atc = Atc::Any;
            // The translation request may be a fault too.
            self.unread += 1;
        }
    }

    /// What happens between traffic and edits.
    pub(super) fn ats_between(&mut self, lazy: bool) {
        let p = self.profile.clone();
        let trouble = p.chance(Chance::AtsTrouble, &mut self.r.ats);
        let off = p.chance(Chance::PageQueueOff, &mut self.r.ats);
        if !self.ats {
            return;
        }
        if !lazy {
            self.take_pages();
        }
        if off {
            self.page_queue_off();
        }
        if trouble {
            self.ats_trouble();
        }
    }

    // ----------------------------------------------------------------- requests

    /// A device, a process of it, and an address that one of its tables may translate.
    fn ats_target(&mut self) -> (u32, Option<u32>, u64) {
        if let Some(found) = self.ask_for_wreck() {
            return found;
        }
        let n = self.r.ats.below(self.devices.len() as u64) as usize;
        let device = self.devices[n].clone();
        let r = &mut self.r.ats;
        let id = if r.percent(4) {
            device.id ^ 1 << r.below(24)
        } else {
            device.id
        };
        let (process, domain) = match &device.processes {
            Some(x) if !x.list.is_empty() && !r.percent(5) => {
                let x = *r.pick(&x.list);
                (Some(x.id), Some(x.domain))
            }
            Some(x) => (
                r.percent(50).then(|| r.below(1 << 20) as u32),
                x.list.first().map(|x| x.domain),
            ),
            None => (r.percent(3).then(|| r.below(1 << 20) as u32), device.domain),
        };
        let which = match (domain, device.machine) {
            (Some(d), _) if self.domains[d].tree.is_some() => Some(Which::Domain(d)),
            (_, Some(m)) => Some(Which::Machine(m)),
            _ => None,
        };
        let message = device.machine.filter(|_| self.r.ats.percent(6));
        let draw = self.r.ats.bits();
        let leaf = which.and_then(|w| {
            let count = self.leaves(w).len() as u64;
            let n = self.r.ats.below(count) as usize;
            self.leaves(w).get(n).copied()
        });
        let file = message.map(|m| self.message_address(m, draw));
        let r = &mut self.r.ats;
        let at = match (file, leaf) {
            (Some(at), _) if at != 0 => at,
            (_, Some(l)) => match r.below(20) {
                0 => l.at.wrapping_sub(PAGE),
                1 => l.at.wrapping_add(1 << l.shift),
                2 => l.at ^ 1 << r.range(12, 63),
                3 => l.at.wrapping_add((1u64 << l.shift) - PAGE),
                _ => l.at.wrapping_add(r.below(1 << l.shift)),
            },
            _ => r.bits(),
        };
        (id, process, at & !(PAGE - 1))
    }

    fn translation_request(&mut self) {
        let (device_id, process_id, addr) = self.ats_target();
        let r = &mut self.r.ats;
        let count = match r.below(10) {
            0..6 => 1,
            6..9 => r.range(2, 8),
            _ => r.range(9, 256),
        };
        let ask = AtsAsk {
            device_id,
            process_id,
            privileged: process_id.is_some() && r.percent(40),
            execute: r.percent(25),
            no_write: r.percent(50),
            addr,
            count: count as u16,
            cxl: r.percent(15),
            expect: AtsExpect::default(),
        };
        self.unread += 1;
        self.push("translation request", Op::AtsRequest(ask));
    }

    fn page_request(&mut self) {
        let (device_id, process_id, addr) = self.ats_target();
        let r = &mut self.r.ats;
        let group = r.below(512) << 3;
        // L, W, R; a stop marker is L alone, with a PASID.
        let kind = match r.below(10) {
            0 if process_id.is_some() => 4,
            0..3 => r.range(1, 3),
            _ => 4 | r.range(1, 3),
        };
        let ask = PageAsk {
            device_id,
            process_id,
            privileged: process_id.is_some() && r.percent(40),
            execute: process_id.is_some() && r.percent(25),
            payload: addr | group | kind,
        };
        self.unread += 1;
        self.pages_unread += 1;
        self.push("page request", Op::PageRequest(ask));
    }

    // ----------------------------------------------------------------- commands

    /// Whether an invalidation completion of the device is accepted.
    fn can_answer(&self, d: &Device) -> bool {
        let context = d.attached && d.spoil == [0; 8] && !self.cut_off.contains(&d.id);
        context && d.tc & tc::EN_ATS != 0 && self.mode.levels() > 0
    }

    /// ATS.INVAL or ATS.PRGR, up to its payload.
    fn ats_words(&mut self, id: u32, process: Option<u32>) -> u64 {
        let mut d0 = 4 | u64::from(id & 0xffff) << 40;
        if id >> 16 != 0 || self.r.ats.percent(40) {
            d0 |= 1 << 33 | u64::from(id >> 16) << 56;
        }
        process.map_or(d0, |p| d0 | u64::from(p) << 12 | 1 << 32)
    }

    fn invalidation(&mut self, d: &Device, leaf: Option<Leaf>) {
        let process = match &d.processes {
            Some(x) if !x.list.is_empty() => Some(self.r.ats.pick(&x.list).id),
            _ => None,
        };
        let d0 = self.ats_words(d.id, process);
        let payload = match leaf {
            Some(l) if l.shift == 12 => l.at & !(PAGE - 1),
            Some(l) => range_operand(l.at, l.shift) | 1 << 11,
            None => 0x7fff_ffff_ffff_f000 | 1 << 11,
        };
        // Global: whatever the PASID.
        let global = u64::from(process.is_some() && self.r.ats.percent(20));
        self.driver.command(d0, payload | global);
    }

    pub(super) fn ats_command(&mut self) {
        let able: Vec<usize> = (0..self.devices.len())
            .filter(|&n| self.can_answer(&self.devices[n]))
            .collect();
        if self.r.ats.percent(50) && !able.is_empty() {
            let n = *self.r.ats.pick(&able);
            let device = self.devices[n].clone();
            let (_, _, at) = self.ats_target();
            let shift = self.r.ats.range(12, 40) as u32;
            let leaf = self.r.ats.percent(70).then_some(Leaf {
                at: at >> shift << shift,
                to: 0,
                shift,
                level: 0,
                flags: 0,
            });
            self.invalidation(&device, leaf);
        } else {
            // The answer to a page request, or to none.
            let (id, process, _) = self.ats_target();
            let d0 = self.ats_words(id, process) | 1 << 7;
            let r = &mut self.r.ats;
            let code = *r.pick(&[0u64, 0, 1, 15]);
            self.driver.command(d0, r.below(512) << 32 | code << 44);
        }
        if self.r.ats.percent(40) {
            self.driver.kick();
        }
        self.collect("ATS command");
    }

    /// Tells the devices' caches of an edit, behind the commands that told the IOMMU.
    pub(super) fn tell_devices(&mut self, stale: Stale) {
        let p = self.profile.clone();
        if !self.ats || !p.chance(Chance::AtsTold, &mut self.r.ats) {
            return;
        }
        let (domain, leaf, machine) = match stale {
            Stale::Nothing
            | Stale::Context(_)
            | Stale::Process(..)
            | Stale::Directory(_)
            | Stale::ProcessDirectory(..) => return,
            Stale::Leaf(d, leaf) => (Some(d), Some(leaf), None),
            Stale::Table(d, _) => (Some(d), None, None),
            Stale::GuestLeaf(m, _) | Stale::GuestTable(m, _) | Stale::Message(m, _) => {
                (None, None, Some(m))
            }
            Stale::Everything => (None, None, None),
        };
        let uses = |d: &Device| match (domain, machine) {
            (Some(x), _) => {
                d.domain == Some(x)
                    || d.processes
                        .as_ref()
                        .is_some_and(|p| p.list.iter().any(|p| p.domain == x))
            }
            (_, m) => m.is_none() || d.machine == m,
        };
        let told: Vec<Device> = self
            .devices
            .iter()
            .filter(|d| uses(d) && self.can_answer(d))
            .take(4)
            .cloned()
            .collect();
        for d in &told {
            self.invalidation(d, leaf);
        }
    }

    /// No invalidation is under way: contexts, modes and memory may change, on which depends
    /// whether its answer is accepted.
    pub(super) fn settle_devices(&mut self) {
        if self.ats {
            self.driver.fence(true, true);
            self.collect("no invalidation is under way");
        }
    }

    /// Invalidations that are not answered as they should.
    pub(super) fn ats_trouble(&mut self) {
        self.settle_devices();
        let list: Vec<Device> = self
            .devices
            .iter()
            .filter(|d| self.can_answer(d))
            .cloned()
            .collect();
        if list.is_empty() {
            return;
        }
        if self.r.ats.percent(30) {
            // Nothing is under way that could time out.
            self.push("a tick at rest", Op::AtsTimeout);
        }
        let by_hand = AtsDevices {
            answers: false,
            ..self.ats_devices
        };
        self.push("devices do not answer", Op::AtsDevices(by_hand));
        let most = (1u64 << self.driver.cfg.cq_log2).saturating_sub(2).min(6);
        let count = self.r.ats.range(1, most.max(1));
        if most == 0 {
            // No room for a fence behind it.
            self.push("devices answer", Op::AtsDevices(self.ats_devices));
            return;
        }
        for _ in 0..count {
            let d = self.r.ats.pick(&list).clone();
            self.invalidation(&d, None);
        }
        self.driver.command(2 | self.r.ats.below(4) << 12, 0);
        self.driver.kick();
        self.push(
            "devices do not answer",
            Op::WaitInvalidations {
                count: count as u32,
            },
        );
        let gap = self.r.ats.range(1, 400) as u32;
        self.push("devices do not answer", Op::Cycles(gap));
        let records = count * u64::from(by_hand.completions);
        if self.r.ats.percent(30) && self.room() > records + 2 {
            // Whom nobody asked; perhaps somebody without ATS.
            let (id, _, _) = self.ats_target();
            let asked = self.devices.iter().any(|d| d.id as u16 == id as u16);
            let from = if asked { id ^ 1 } else { id };
            if self.devices.iter().all(|d| d.id as u16 != from as u16) {
                self.unread += records;
                self.push(
                    "another device answers",
                    Op::AnswerInvalidations { from: Some(from) },
                );
                self.push("another device answers", Op::Cycles(gap));
            }
        }
        let enable = 1 | u64::from(self.driver.cfg.interrupts) << 1;
        match self.r.ats.below(4) {
            0 => {
                self.push("late answers", Op::AnswerInvalidations { from: None });
                self.driver.wait_commands();
            }
            1 => {
                // Which of them still counts, nobody knows: perhaps there was a time-out, perhaps not.
                self.push("late answers", Op::AnswerInvalidations { from: None });
                let gap = self.r.ats.below(40) as u32;
                self.push("a tick among them", Op::Cycles(gap));
                self.push("a tick among them", Op::AtsTimeout);
                self.push("a tick among them", Op::WaitIdle);
                self.push("a tick among them", Op::Cycles(300));
                self.write("clear cmd_to", regs::CQCSR, 4, enable | 1 << CMD_TO);
                self.driver.wait_commands();
            }
            rest => {
                self.push("no answer: time-out", Op::AtsTimeout);
                if rest == 2 {
                    // Those whose time is over; their ITags are given again some time.
                    let gap = self.r.ats.below(20) as u32;
                    self.push("answers behind the time-out", Op::Cycles(gap));
                    self.push(
                        "answers behind the time-out",
                        Op::AnswerInvalidations { from: None },
                    );
                }
                self.push(
                    "until it has stopped",
                    Op::PollReg {
                        offset: regs::CQCSR,
                        size: 4,
                        mask: 1 << CMD_TO,
                        value: 1 << CMD_TO,
                    },
                );
                self.write("clear cmd_to", regs::CQCSR, 4, enable | 1 << CMD_TO);
                self.driver.wait_commands();
            }
        }
        self.push("devices answer", Op::AtsDevices(self.ats_devices));
    }

    /// Devices take nothing for a while.
    pub(super) fn ats_stop(&mut self) {
        let p = self.profile.clone();
        let clocks = p.amount(Amount::StopClocks, &mut self.r.ats) as u32;
        let stopped = AtsDevices {
            stopped: true,
            ..self.ats_devices
        };
        self.push("devices take nothing", Op::AtsDevices(stopped));
        for _ in 0..self.r.ats.range(1, 6) {
            if self.room() > 2 {
                self.translation_request();
            }
        }
        self.push("devices take nothing", Op::Cycles(clocks));
        self.push("devices go on", Op::AtsDevices(self.ats_devices));
    }

    // ------------------------------------------------------- page-request queue

    /// Software takes the page requests, and clears what says that some were lost.
    pub(super) fn take_pages(&mut self) {
        self.push("page requests", Op::WaitIdle);
        self.push("page requests", Op::TakePageRequests { expect: None });
        self.pages_unread = 0;
        if self.r.ats.percent(50) {
            self.resume_pages();
        }
    }

    /// Clears the error bits of `pqcsr`.
    pub(super) fn resume_pages(&mut self) {
        let enable = 1 | u64::from(self.driver.cfg.interrupts) << 1;
        self.look(regs::PQCSR);
        self.write("clear pqmf and pqof", regs::PQCSR, 4, enable | 3 << 8);
    }

    /// The page-request queue goes off, with requests meanwhile, and comes back elsewhere.
    pub(super) fn page_queue_off(&mut self) {
        let p = self.profile.clone();
        self.push("page-request queue", Op::WaitIdle);
        self.write("page-request queue off", regs::PQCSR, 4, 0);
        self.push(
            "until it is off",
            Op::PollReg {
                offset: regs::PQCSR,
                size: 4,
                mask: 0x3_0000,
                value: 0,
            },
        );
        for _ in 0..self.r.ats.below(4) {
            if self.room() > 2 {
                self.page_request();
            }
        }
        self.push("no page-request queue", Op::WaitIdle);
        let log2 = p.amount(Amount::PageLog2, &mut self.r.ats).max(1) as u32;
        self.driver.cfg.pq_log2 = Some(log2);
        self.driver.pq_base = self.driver.alloc((log2 + 4).saturating_sub(12));
        self.driver.start_page_queue();
        self.pages_unread = 0;
        self.collect("page-request queue elsewhere");
    }

    /// A device context gets or loses what has to do with ATS.
    pub(super) fn change_ats(&mut self, n: usize) -> Stale {
        self.settle_devices();
        let mut d = self.devices[n].clone();
        if !d.attached || !self.has("ATS") {
            return Stale::Nothing;
        }
        let bit = *self.r.ats.pick(&[tc::EN_ATS, tc::EN_PRI, tc::PRPR]);
        d.tc ^= bit;
        // PRPR needs EN_PRI, which needs EN_ATS, as T2GPA does.
        if d.tc & tc::EN_ATS == 0 {
            d.tc &= !(tc::EN_PRI | tc::T2GPA);
        }
        if d.tc & tc::EN_PRI == 0 {
            d.tc &= !tc::PRPR;
        }
        self.write_context(&d);
        let id = d.id;
        self.devices[n] = d;
        Stale::Context(id)
    }
}
