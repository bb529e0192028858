//! What happens beside traffic and edits: timing, broken memory, queues that
//! move or stop, resets, and what is UNSPECIFIED.

use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::case::Timings;
use crate::driver::Directory;
use crate::op::Op;
use crate::regs;
use crate::rng::Random;

use super::knobs::{Answer, Breaks, StopPort, Undefined};
use super::profile::{Amount, Chance, Profile};
use super::tables::Which;
use super::world::{DATA, MESSAGES, World};
use super::wreck::Wreck;

/// Where fences store.
const FENCES: u64 = MESSAGES + 0x1000;

/// Draws how the ports behave.
pub(super) fn draw_timings(p: &Profile, r: &mut Random) -> Timings {
    let percent = |a, r: &mut Random| p.amount(a, r) as u8;
    let port = |r: &mut Random, latency, spread, ready, gap, ooo, interleave| {
        let low = p.amount(latency, r) as u32;
        let spread = p.amount(spread, r) as u32;
        let out_of_order = p.chance(ooo, r);
        let interleave = p.chance(interleave, r);
        PortTiming {
            latency: low..=low + spread,
            out_of_order,
            interleave: out_of_order && interleave,
            // A port that is never ready is one that is stopped.
            ready_percent: percent(ready, r).max(1),
            gap_percent: percent(gap, r),
            stopped: false,
        }
    };
    let mem = port(
        r,
        Amount::MemLatency,
        Amount::MemSpread,
        Amount::MemReady,
        Amount::MemGap,
        Chance::MemOutOfOrder,
        Chance::MemInterleave,
    );
    let out = port(
        r,
        Amount::OutLatency,
        Amount::OutSpread,
        Amount::OutReady,
        Amount::OutGap,
        Chance::OutOutOfOrder,
        Chance::OutInterleave,
    );
    let dev = DevTiming {
        aw_gap_percent: percent(Amount::DevGap, r),
        w_gap_percent: percent(Amount::DevGap, r),
        ar_gap_percent: percent(Amount::DevGap, r),
        w_before_aw: p.chance(Chance::DataFirst, r),
        aw_delay: p.amount(Amount::DevDelay, r) as u32,
        w_delay: p.amount(Amount::DevDelay, r) as u32,
        b_ready_percent: percent(Amount::DevReady, r).max(1),
        r_ready_percent: percent(Amount::DevReady, r).max(1),
        max_reads: p.amount(Amount::DevFlight, r).max(1) as u32,
        max_writes: p.amount(Amount::DevFlight, r).max(1) as u32,
        ..DevTiming::default()
    };
    let reg = RegTiming {
        gap_percent: percent(Amount::RegGap, r),
        ready_percent: percent(Amount::RegReady, r).max(1),
        max_outstanding: 1,
    };
    Timings { mem, out, dev, reg }
}

impl World {
    // ------------------------------------------------------------------- timing

    pub fn set_timings(&mut self, t: &Timings) {
        self.push("timing", Op::MemTiming(t.mem.clone()));
        self.push("timing", Op::OutTiming(t.out.clone()));
        self.push("timing", Op::DevTiming(t.dev.clone()));
        self.push("timing", Op::RegTiming(t.reg.clone()));
    }

    /// A port stands still for a while. `for_ever`: the caller ends it by a reset. `commands`: the command
    /// queue is not held up by anything.
    pub fn stop_port(&mut self, t: &Timings, for_ever: bool, commands: bool) {
        let p = self.profile.clone();
        let clocks = p.amount(Amount::StopClocks, &mut self.r.timing) as u32;
        let port = p.pick::<StopPort>(&mut self.r.timing);
        // A fence may wait for a device that does not answer, where there is ATS.
        let commands =
            commands && !self.ats && port != StopPort::Memory && p.most(Amount::Commands) > 0;
        if commands {
            self.driver.wait_commands();
            self.collect("room for commands");
        }
        let stop = |t: &PortTiming| PortTiming {
            stopped: true,
            ..t.clone()
        };
        self.push(
            "a port stops",
            match port {
                StopPort::Memory => Op::MemTiming(stop(&t.mem)),
                StopPort::Output => Op::OutTiming(stop(&t.out)),
                StopPort::Requests => Op::DevTiming(DevTiming {
                    stop_requests: true,
                    ..t.dev.clone()
                }),
                StopPort::Responses => Op::DevTiming(DevTiming {
                    stop_responses: true,
                    ..t.dev.clone()
                }),
            },
        );
        // Commands, and registers, go on whatever stands still at the devices' side.
        if commands {
            for _ in 0..self.r.timing.below(4) {
                let (d0, d1) = *self.r.timing.pick(&[(1, 0), (1 | 1 << 7, 0), (3, 0)]);
                self.push("a port is stopped", Op::Cycles(clocks / 4));
                self.driver.command(d0, d1);
                self.driver.kick();
            }
            self.collect("a port is stopped");
        }
        let reads = self.r.timing.range(1, 6);
        for _ in 0..reads {
            self.push("a port is stopped", Op::Cycles(clocks / reads as u32));
            self.register_read();
        }
        if !for_ever {
            self.set_timings(t);
        }
    }

    // ------------------------------------------------------------------- memory

    /// A word of memory breaks, and no cache hides it. What has to happen when it heals.
    pub fn break_memory(&mut self) -> Breaks {
        let p = self.profile.clone();
        let levels = self.driver.cfg.directory.levels();
        let drawn = p.pick_of(&mut self.r.memory, |b: Breaks| match b {
            Breaks::Entry | Breaks::Directory | Breaks::Process | Breaks::Interrupt => levels > 0,
            Breaks::Page => self.ats,
            _ => true,
        });
        let Some(kind) = drawn else {
            return Breaks::Data;
        };
        self.settle_devices();
        let n = self.r.memory.below(self.devices.len() as u64) as usize;
        let device = self.devices[n].clone();
        let mut behind = 0;
        // Either a command cannot be read, or a fence cannot store.
        let fence = self.r.memory.percent(25);
        let aims = p.chance(Chance::Aimed, &mut self.r.aim);
        let on_the_way = matches!(
            kind,
            Breaks::Entry | Breaks::Directory | Breaks::Process | Breaks::Interrupt
        );
        let aimed = if aims && on_the_way {
            self.draw_wreck()
        } else {
            None
        };
        self.wreck = aimed.as_ref().map(|(wreck, _)| *wreck);
        let (at, bytes, access) = match kind {
            _ if aimed.is_some() => aimed.as_ref().map_or((0, 8, FaultAccess::Read), |(_, b)| {
                (b.at, b.bytes, b.access)
            }),
            Breaks::Entry | Breaks::Directory => {
                let which = match (device.domain, device.machine) {
                    (Some(d), Some(m)) if self.r.memory.percent(50) => {
                        let _ = d;
                        Some(Which::Machine(m))
                    }
                    (Some(d), _) if self.domains[d].tree.is_some() => Some(Which::Domain(d)),
                    (_, Some(m)) => Some(Which::Machine(m)),
                    _ => None,
                };
                let entry = (kind == Breaks::Entry)
                    .then(|| which.and_then(|w| self.any_entry(w)))
                    .flatten();
                let at = match entry {
                    Some(at) => Some(at),
                    None => {
                        let level = self.r.memory.below(u64::from(levels)) as u32;
                        let word = if level == 0 {
                            8 * self.r.memory.below(self.driver.context_bytes() / 8)
                        } else {
                            0
                        };
                        self.driver
                            .directory_entry(device.id, level)
                            .ok()
                            .map(|at| at + word)
                    }
                };
                let Some(at) = at else { return kind };
                // A and D bits may be refused where the entry can be read.
                let access = match kind {
                    Breaks::Entry if self.r.memory.percent(40) => {
                        *self.r.memory.pick(&[FaultAccess::Any, FaultAccess::Write])
                    }
                    _ => FaultAccess::Read,
                };
                (at, 8, access)
            }
            Breaks::Process => {
                let Some(p) = &device.processes else {
                    return kind;
                };
                let n = self.r.memory.below(p.list.len() as u64) as usize;
                let level = self.r.memory.below(u64::from(p.mode)) as u32;
                let Some(at) = p
                    .list
                    .get(n)
                    .and_then(|x| self.process_entry(p, x.id, level))
                else {
                    return kind;
                };
                let word = if level == 0 {
                    self.r.memory.below(2)
                } else {
                    0
                };
                (at + 8 * word, 8, FaultAccess::Read)
            }
            Breaks::Interrupt => {
                let Some((at, bytes)) = device.machine.and_then(|m| self.message_place(m)) else {
                    return kind;
                };
                (at, bytes, FaultAccess::Any)
            }
            Breaks::Data => {
                let leaf = device
                    .domain
                    .and_then(|d| self.domains[d].tree.as_ref())
                    .map_or(&[][..], |t| &t.leaves)
                    .last()
                    .copied();
                if aims && device.machine.is_none() {
                    self.wreck = leaf.map(|l| Wreck::page(n, &l));
                }
                let leaf = leaf.map(|l| l.to);
                // Addresses have 56 bits at most, wherever a leaf leads.
                let page = leaf.unwrap_or(DATA) & ((1 << 56) - 1);
                let at = page + 8 * self.r.memory.below(512);
                let access =
                    *self
                        .r
                        .memory
                        .pick(&[FaultAccess::Any, FaultAccess::Read, FaultAccess::Write]);
                (at, 8 << self.r.memory.below(10), access)
            }
            Breaks::Command if fence => (FENCES, 0x800, FaultAccess::Write),
            Breaks::Command => {
                // Commands are fetched in bursts: any of its beats.
                let mask = (1 << self.driver.cfg.cq_log2) - 1;
                behind = self.r.memory.below(8.min(mask));
                let slot = (u64::from(self.driver.command_tail()) + behind) & mask;
                (
                    self.driver.cq_base + 16 * slot + 8 * self.r.memory.below(2),
                    8,
                    FaultAccess::Read,
                )
            }
            Breaks::Fault => {
                let slot = self.r.memory.below(1 << self.driver.cfg.fq_log2);
                (
                    self.driver.fq_base + 32 * slot + 8 * self.r.memory.below(4),
                    8,
                    FaultAccess::Write,
                )
            }
            Breaks::Message => (MESSAGES, 0x1000, FaultAccess::Write),
            Breaks::Page => {
                let entries = 1 << self.driver.cfg.pq_log2.unwrap_or(0);
                let slot = self.r.memory.below(entries);
                let at = self.driver.pq_base + 16 * slot + 8 * self.r.memory.below(2);
                (at, 8, FaultAccess::Write)
            }
        };
        self.push("rest", Op::WaitIdle);
        for (scheme, at, value) in aimed.into_iter().flat_map(|(_, b)| b.stores) {
            self.store_entry(scheme, at, value);
        }
        self.collect("A or D to be set");
        let twice = p.chance(Chance::MemoryBreaksTwice, &mut self.r.memory);
        // In the same 16 bytes or, of a device context, in the same half.
        let other = match kind {
            Breaks::Directory => at ^ 16,
            _ => at ^ 8,
        };
        for range in [Some(at..at + bytes), twice.then_some(other..other + 8)]
            .into_iter()
            .flatten()
        {
            let fault = match p.pick::<Answer>(&mut self.r.memory) {
                Answer::Error => MemFault::SlvErr,
                Answer::Decode => MemFault::DecErr,
                // Poisoned memory takes writes.
                Answer::Poison if access == FaultAccess::Write => MemFault::SlvErr,
                Answer::Poison => MemFault::Poison,
            };
            let op = Op::MemFault {
                range,
                access,
                fault,
            };
            self.push("memory breaks", op);
        }
        match kind {
            Breaks::Entry | Breaks::Directory | Breaks::Process | Breaks::Interrupt => {
                self.tell_all();
            }
            Breaks::Command if fence => {
                let value = self.r.memory.below(1 << 32);
                let at = FENCES + 4 * self.r.memory.below(512);
                self.driver.command(2 | 1 << 10 | value << 32, at >> 2);
                self.driver.kick();
                self.poll_stopped(8);
            }
            Breaks::Command => {
                // It runs into it; the head stays there.
                for _ in 0..=behind {
                    self.driver.invalidate_directory(None);
                }
                self.driver.kick();
                self.push("command queue", Op::Cycles(200));
                self.poll_stopped(8);
            }
            _ => {}
        }
        kind
    }

    /// An entry on the way to some leaf.
    fn any_entry(&mut self, which: Which) -> Option<u64> {
        let tree = self.tree(which)?;
        let levels = tree.scheme.levels();
        let count = tree.leaves.len();
        let n = self.r.memory.below(count as u64) as usize;
        let leaf = *self.leaves(which).get(n)?;
        if leaf.level >= levels {
            return None;
        }
        let level = self
            .r
            .memory
            .range(u64::from(leaf.level), u64::from(levels) - 1) as u32;
        self.entry(which, leaf.at, level).map(|at| at & !7)
    }

    /// Memory is sound again, and so is what it stopped.
    pub fn heal_memory(&mut self, kind: Breaks) {
        self.wreck = None;
        self.push("memory heals", Op::ClearFaults);
        match kind {
            Breaks::Entry | Breaks::Directory | Breaks::Process | Breaks::Interrupt => {
                self.tell_all();
            }
            Breaks::Command => self.resume_commands(),
            Breaks::Fault => self.resume_faults(),
            Breaks::Page => self.resume_pages(),
            Breaks::Data | Breaks::Message => {}
        }
    }

    /// Clears the error bits of `cqcsr`; the queue goes on at its head.
    fn resume_commands(&mut self) {
        let enable = 1 | u64::from(self.driver.cfg.interrupts) << 1;
        self.write(
            "clear cqmf, cmd_to, cmd_ill",
            regs::CQCSR,
            4,
            enable | 7 << 8,
        );
        self.driver.wait_commands();
        self.collect("command queue goes on");
    }

    /// Clears the error bits of `fqcsr`.
    pub fn resume_faults(&mut self) {
        let enable = 1 | u64::from(self.driver.cfg.interrupts) << 1;
        self.look(regs::FQCSR);
        self.write("clear fqmf and fqof", regs::FQCSR, 4, enable | 3 << 8);
    }

    // ------------------------------------------------------------------- queues

    /// Commands that change nothing that is cached, or more than has to be.
    pub fn commands(&mut self) {
        let p = self.profile.clone();
        let (wires, levels, ranges) = (self.driver.cfg.wires, self.has("NL"), self.has("S"));
        if p.chance(Chance::PageStart, &mut self.r.aim) && self.up_to_a_page() {
            self.first_of_a_page();
        }
        for _ in 0..p.amount(Amount::Commands, &mut self.r.queues) {
            let r = &mut self.r.queues;
            let kind = r.below(8);
            let mut fence = || {
                let wire = u64::from(wires) & r.below(2);
                2 | r.below(4) << 12 | wire << 11
            };
            let (d0, d1) = match kind {
                0 => (1, 0),
                1 => (
                    1 | 1 << 10 | r.below(1 << 20) << 12 | 1 << 32,
                    r.below(1 << 52) << 10,
                ),
                2 => (3, 0),
                3 => (fence(), 0),
                4 => (
                    fence() | 1 << 10 | r.below(1 << 32) << 32,
                    (FENCES + r.below(512) * 4) >> 2,
                ),
                5 => (1 | 1 << 32 | r.below(1 << 20) << 12, 0),
                _ => {
                    // Any form of IOTINVAL.
                    let gvma = r.below(2);
                    let forms = r.below(2) << 10
                        | (r.below(2) & !gvma) << 32
                        | r.below(2) << 33
                        | (r.below(2) & u64::from(levels)) << 34;
                    let ids = r.below(1 << 20) << 12 | r.below(1 << 16) << 44;
                    let page = r.below(1 << 52);
                    let range = r.below(2) & u64::from(ranges);
                    // Of a range: so many ones, and a zero above them.
                    let page = if range == 1 {
                        page | ((1 << r.below(53)) - 1)
                    } else {
                        page
                    };
                    (1 | gvma << 7 | forms | ids, page << 10 | range << 9)
                }
            };
            self.driver.command(d0, d1);
            if self.r.queues.percent(30) {
                self.driver.kick();
            }
        }
        self.driver.kick();
        self.collect("commands");
    }

    /// Harmless commands up to the end of a page of the command queue; none where it has one page.
    fn up_to_a_page(&mut self) -> bool {
        if self.driver.cfg.cq_log2 < 9 {
            return false;
        }
        let next = (self.driver.command_tail() | 0xff) + 1;
        let next = next & ((1 << self.driver.cfg.cq_log2) - 1);
        while self.driver.command_tail() != next {
            self.driver.command(2, 0);
        }
        self.driver.kick();
        self.collect("up to the end of a page");
        next != 0
    }

    /// A command that others seldom are there: INVAL_PDT, ATS.INVAL, ATS.PRGR.
    fn first_of_a_page(&mut self) {
        if self.ats && self.r.aim.percent(60) && self.ats_answers {
            return self.ats_command();
        }
        let n = self.r.aim.below(self.devices.len() as u64) as usize;
        let device = &self.devices[n];
        if self.mode.levels() == 0 {
            return;
        }
        let process = device
            .processes
            .as_ref()
            .and_then(|p| p.list.first())
            .map_or(0, |p| u64::from(p.id));
        let did = u64::from(device.id) << 40;
        self.driver
            .command(3 | 1 << 7 | 1 << 33 | process << 12 | did, 0);
        self.driver.kick();
        self.collect("first of a page");
    }

    /// The vectors of the queues are masked, or no more.
    pub fn mask_vectors(&mut self, masked: bool) {
        let (command, fault) = self.driver.cfg.vectors;
        let (counters, pages) = self.driver.cfg.more_vectors;
        let mut vectors = vec![command, fault, counters, pages];
        vectors.sort_unstable();
        vectors.dedup();
        for vector in vectors {
            let at = regs::MSI_CFG_TBL + 16 * u16::from(vector) + 12;
            self.write("mask or unmask", at, 4, masked.into());
        }
    }

    /// A command that must not be accepted; software replaces it, and the queue goes on.
    pub fn illegal_command(&mut self, ids: u64) {
        let (wires, ats) = (self.driver.cfg.wires, self.has("ATS"));
        let wide = self
            .target
            .wide_illegal
            .then(|| self.wide_operand())
            .flatten();
        let r = &mut self.r.queues;
        let (d0, d1) = match r.below(12) {
            // An opcode that does not exist; 0 too.
            0 => (r.range(5, 63), 0),
            // A function that does not exist.
            1 => (r.range(1, 3) | r.range(2, 7) << 7, 0),
            // Reserved bits.
            2 => (1 | 1 << r.range(35, 39), 0),
            3 => (2 | 1 << r.range(14, 31), 0),
            4 => (3, 1 << r.below(64)),
            // Custom.
            5 => (r.range(64, 127) | r.below(8) << 7, 0),
            // IOTINVAL.GVMA with PSCV, IODIR.INVAL_PDT without DV.
            6 => (1 | 1 << 7 | 1 << 32 | r.below(1 << 20) << 12, 0),
            7 => (3 | 1 << 7, 0),
            // A fence that wants a wire, where there are messages.
            8 if !wires => (2 | 1 << 11, 0),
            // ATS.INVAL and ATS.PRGR.
            9 if !ats => (4 | r.below(2) << 7, 0),
            10 | 11 => wide.unwrap_or((0, 0)),
            _ => (0, 0),
        };
        let page = self.profile.clone();
        if page.chance(Chance::PageStart, &mut self.r.aim) {
            self.up_to_a_page();
        }
        self.driver.wait_commands();
        if self.r.queues.percent(60) && self.room() > 8 {
            self.collect("an illegal command");
            self.some_accesses(ids);
        }
        let slot = self.driver.cq_base + 16 * u64::from(self.driver.command_tail());
        self.driver.command(d0, d1);
        // Others behind it wait.
        for _ in 0..self.r.queues.below(3) {
            if (1 << self.driver.cfg.cq_log2) > 4 {
                self.driver.invalidate_all();
            }
        }
        self.driver.kick();
        self.collect("an illegal command");
        self.poll_stopped(10);
        let good = if self.driver.cfg.big_endian {
            2u64.to_be_bytes()
        } else {
            2u64.to_le_bytes()
        };
        let mut good = good.to_vec();
        good.extend([0; 8]);
        self.push(
            "replace it",
            Op::Store {
                addr: slot,
                data: good,
            },
        );
        self.resume_commands();
    }

    /// IODIR with a DID wider than the directory, or a PID wider than any process directory.
    fn wide_operand(&mut self) -> Option<(u64, u64)> {
        let extended = self.driver.cfg.extended;
        let device_bits = match self.mode {
            Directory::One => 7 - u64::from(extended),
            Directory::Two => 16 - u64::from(extended),
            _ => 24,
        };
        let process_bits = [("PD20", 20), ("PD17", 17), ("PD8", 8)]
            .into_iter()
            .find_map(|(name, bits)| self.has(name).then_some(bits));
        let r = &mut self.r.queues;
        let narrow = process_bits.filter(|&bits| bits < 20);
        match narrow {
            Some(bits) if device_bits == 24 || r.percent(50) => {
                let pid = 1u64 << r.range(bits, 19);
                Some((3 | 1 << 7 | 1 << 33 | pid << 12, 0))
            }
            _ if device_bits == 24 => None,
            _ => {
                let did = 1u64 << r.range(device_bits, 23);
                let process = r.below(2) & u64::from(process_bits.is_some());
                Some((3 | process << 7 | 1 << 33 | did << 40, 0))
            }
        }
    }

    /// A queue goes off, and comes back elsewhere.
    pub fn move_queue(&mut self, ids: u64) {
        let p = self.profile.clone();
        let faults = self.r.queues.percent(50);
        self.drain();
        if faults {
            self.write("fault queue off", regs::FQCSR, 4, 0);
            self.poll_off(regs::FQCSR);
            let log2 = p.amount(Amount::FaultLog2, &mut self.r.queues).max(1) as u32;
            self.driver.cfg.fq_log2 = log2;
            self.driver.fq_base = self.driver.alloc((log2 + 5).saturating_sub(12));
            if self.r.queues.percent(40) {
                // Accesses that find no queue: their records are lost.
                self.traffic(3, ids);
                self.push("no fault queue", Op::WaitIdle);
            }
            self.driver.start_fault_queue();
        } else {
            self.driver.wait_commands();
            self.collect("command queue");
            self.write("command queue off", regs::CQCSR, 4, 0);
            self.poll_off(regs::CQCSR);
            let log2 = p.amount(Amount::CommandLog2, &mut self.r.queues).max(1) as u32;
            self.driver.cfg.cq_log2 = log2;
            self.driver.cq_base = self.driver.alloc((log2 + 4).saturating_sub(12));
            self.driver.start_command_queue();
        }
        self.unread = 0;
        self.collect("a queue elsewhere");
    }

    /// Until an error bit of `cqcsr` is set.
    fn poll_stopped(&mut self, bit: u32) {
        self.push(
            "until it has stopped",
            Op::PollReg {
                offset: regs::CQCSR,
                size: 4,
                mask: 1 << bit,
                value: 1 << bit,
            },
        );
    }

    fn poll_off(&mut self, offset: u16) {
        self.push(
            "until it is off",
            Op::PollReg {
                offset,
                size: 4,
                mask: 0x3_0000,
                value: 0,
            },
        );
    }

    /// Off or Bare for a while, with traffic, and back.
    pub fn change_mode(&mut self, ids: u64) {
        if self.mode == Directory::Off {
            return;
        }
        self.settle_devices();
        self.driver.set_mode(Directory::Off);
        self.collect("mode Off");
        self.some_accesses(ids);
        if self.mode != Directory::Bare && self.r.queues.percent(50) {
            self.driver.set_mode(Directory::Bare);
            self.collect("mode Bare");
            self.bare = true;
            self.some_accesses(ids);
            self.bare = false;
            // From Bare a directory may be reached at once.
            if self.r.queues.percent(50) {
                self.driver.set_mode(Directory::Off);
            }
        }
        self.driver.set_mode(self.mode);
        self.collect("mode back");
    }

    fn some_accesses(&mut self, ids: u64) {
        for _ in 0..self.r.queues.below(6) {
            if self.room() > 2 {
                self.access(ids);
            }
        }
        let gap = self.r.queues.below(100) as u32;
        self.push("mode", Op::Cycles(gap.max(1)));
    }

    // ------------------------------------------------------------------- resets

    /// Reset, whatever is under way; then everything from the beginning. Tables may have changed
    /// without a command: no cache may know.
    pub fn reset(&mut self, t: &Timings) {
        let p = self.profile.clone();
        let after = p.amount(Amount::ResetAfter, &mut self.r.resets) as u32;
        if after > 0 {
            self.push("before reset", Op::Cycles(after));
        }
        let cycles = p.amount(Amount::ResetClocks, &mut self.r.resets).max(1) as u32;
        if p.chance(Chance::ResetRegisters, &mut self.r.ways) {
            self.begin_accesses();
        }
        self.push("reset", Op::Reset { cycles });
        self.wreck = None;
        self.push("reset", Op::ClearFaults);
        self.set_timings(t);
        if !p.chance(Chance::SameTables, &mut self.r.resets) && self.mode.levels() > 0 {
            for _ in 0..3 {
                let domain = self.r.edits.below(self.domains.len() as u64) as usize;
                self.silent_change(Which::Domain(domain));
            }
            for m in 0..self.machines.len() {
                self.silent_change(Which::Machine(m));
            }
        }
        self.start();
    }

    /// An edit that nobody tells.
    fn silent_change(&mut self, which: Which) {
        let stale = self.edit_of(which, None);
        // The traffic that follows finds it.
        self.focus = Some(stale);
        self.collect("tables change in reset");
    }

    // -------------------------------------------------------------- unspecified

    /// What the specification leaves UNSPECIFIED, with traffic round it; ends in a reset.
    pub fn undefined(&mut self, t: &Timings, ids: u64) {
        let p = self.profile.clone();
        let ppn = (self.driver.ddt_root >> 12) << 10;
        let modes = [1u64, 2, 3, 4];
        self.push("UNSPECIFIED", Op::Unspecified);
        match p.pick::<Undefined>(&mut self.r.registers) {
            Undefined::Mode => {
                let mode = *self.r.registers.pick(&modes);
                self.write("UNSPECIFIED: mode", regs::DDTP, 8, ppn | mode);
            }
            Undefined::BusyMode => {
                // Two writes, back to back: the first may still be busy.
                self.write("UNSPECIFIED: mode", regs::DDTP, 8, ppn);
                let mode = *self.r.registers.pick(&modes);
                self.write("UNSPECIFIED: mode while busy", regs::DDTP, 8, ppn | mode);
                self.write("UNSPECIFIED: mode while busy", regs::DDTP, 8, ppn);
            }
            Undefined::QueueBase => {
                let base = self.driver.alloc(4);
                let offset = *self.r.registers.pick(&[regs::CQB, regs::FQB]);
                let value = (base >> 12) << 10 | self.r.registers.below(8);
                self.write("UNSPECIFIED: base of a queue that is on", offset, 8, value);
                self.driver.invalidate_all();
                self.driver.kick();
            }
            Undefined::BusyQueue => {
                let offset = *self.r.registers.pick(&[regs::CQCSR, regs::FQCSR]);
                for value in [0, 1, 0, 3] {
                    self.write("UNSPECIFIED: a queue while busy", offset, 4, value);
                }
            }
            Undefined::Control => {
                let value = self.r.registers.below(8);
                self.write("UNSPECIFIED: fctl while translating", regs::FCTL, 4, value);
            }
        }
        self.collect("UNSPECIFIED");
        for _ in 0..self.r.registers.range(4, 30) {
            self.access(ids);
        }
        for _ in 0..3 {
            self.register_read();
        }
        self.push("UNSPECIFIED", Op::WaitDma);
        self.reset(t);
    }
}
