//! `s_reg`: what software writes, and whether what it reads can be.

use iommu_bus::event::Resp;
use iommu_bus::mem::SparseMemory;
use iommu_golden::{Capabilities, RegSize, offset};

use crate::irq::{CIP, FIP, NAMES, PMIP, SOURCES};
use crate::ports::{RegRead, RegWrite};
use crate::queues::Store;
use crate::record_queue::lost;
use crate::{Check, Past, Scoreboard};

/// A write that means something: register offset, size, value.
fn meaning(addr: u16, data: u64, strb: u8) -> Option<(u16, RegSize, u64)> {
    let slot = addr & 0xff8;
    match (strb, addr & 7) {
        (0x0f, 0) => Some((slot, RegSize::Four, data & 0xffff_ffff)),
        (0xf0, 0 | 4) => Some((slot + 4, RegSize::Four, data >> 32)),
        (0xff, 0) => Some((slot, RegSize::Eight, data)),
        _ => None,
    }
}

/// Offsets that may hold custom registers.
fn custom(addr: u16) -> bool {
    matches!(addr, 12..16 | 688..760)
}

impl Scoreboard {
    /// Registers whose reset value the specification leaves open are not known.
    pub(crate) fn mark_unspecified_resets(&mut self) {
        let mut mark = |from: u16, to: u16| {
            for addr in (from..to).step_by(4) {
                self.regs.unknown.set(addr, true);
            }
        };
        // fctl's value is among the choices; ddtp's PPN is don't-care in Off and Bare.
        mark(offset::DDTP, offset::CQCSR);
        mark(offset::IOCOUNTINH, offset::IOHPMCYCLES);
        mark(offset::IOMMU_QOSID, offset::IOMMU_QOSID + 4);
        mark(offset::ICVEC, offset::MSI_CFG_TBL + 256);
    }

    pub(crate) fn on_reg_write(&mut self, addr: u16, data: u64, strb: u8, mem: &SparseMemory) {
        self.in_reset = false;
        // What counted until now comes before what the write clears.
        self.hpm_time();
        self.counters.register_writes += 1;
        self.regs.written = true;
        for read in &mut self.regs.reads {
            read.overlapped = true;
        }
        let now = self.now;
        self.regs.writes.push_back(RegWrite {
            addr,
            data,
            strb,
            at: now,
        });
        let Some((at, size, value)) = meaning(addr, data, strb) else {
            return;
        };
        let old = self.iommu.clone();
        let debug;
        match self.iommu.write_reg(at, size, value) {
            Ok(effects) => {
                debug = effects.debug_request;
                if let Some(why) = effects.unspecified {
                    self.unspecified = Some((now, why));
                    self.rest_coverage();
                }
            }
            // "the IOMMU behavior ... is UNSPECIFIED"; of our pins: nothing else changes.
            Err(_) => return,
        }
        let halves: &[(u16, u32)] = match size {
            RegSize::Four => &[(at, value as u32)],
            RegSize::Eight => &[(at, value as u32), (at + 4, (value >> 32) as u32)],
        };
        if self.before.is_none() {
            self.before = Some(Box::new(old.clone()));
        }
        let (mut translation, mut is_ddtp) = (false, false);
        for &(at, value) in halves {
            self.regs.unknown.set(at, false);
            match at {
                offset::DDTP => {
                    is_ddtp = true;
                    let was = self.before_ddtp.take().map_or(old.clone(), |b| *b.0);
                    self.before_ddtp = Some((Box::new(was), now, None));
                    translation = true;
                }
                offset::FCTL => translation = true,
                offset::PQB => self.regs.unknown.set(offset::PQH, true),
                offset::PQH => self.check_page_room(),
                offset::PQCSR if self.iommu.capabilities().has(Capabilities::ATS) => {
                    self.begin_page_csr(value);
                }
                _ if (offset::IOCOUNTINH..offset::TR_REQ_IOVA).contains(&at) => {
                    self.hpm_write(at, size == RegSize::Eight, old.registers());
                }
                offset::IOMMU_QOSID => {
                    self.qos = crate::Qos {
                        old: crate::own_user(&old),
                        until: now + self.bounds.record,
                    };
                    translation = true;
                }
                // The PPN's upper half takes part in the write of the lower one.
                20 => translation = true,
                offset::CQB => self.regs.unknown.set(offset::CQT, true),
                offset::FQB => self.regs.unknown.set(offset::FQH, true),
                offset::CQT => {
                    let cq = self.iommu.registers().cq;
                    let moved = cq.tail.wrapping_sub(old.registers().cq.tail) & cq.index_mask();
                    self.cq.end += u64::from(moved);
                    self.cq.progress = now;
                    self.cq.reported_stuck = false;
                    self.check_unreachable_queue();
                }
                offset::FQH => self.check_room(),
                offset::CQCSR => self.begin_command_csr(value),
                offset::FQCSR => self.begin_fault_csr(value),
                offset::IPSR => {
                    for n in (0..SOURCES).filter(|n| value >> n & 1 == 1) {
                        let (messages, settle) = (self.messages(), self.bounds.settle);
                        self.irq.begin_clear(n, messages, now, settle);
                    }
                }
                offset::ICVEC => {
                    self.irq.moved = now;
                    self.irq.complained = 0;
                }
                _ => {}
            }
        }
        if debug {
            self.begin_debug(mem);
        }
        // Interrupt state of the golden copy is not used: the pins are followed instead.
        if translation {
            self.irq.moved = now;
            self.past.push(Past {
                iommu: old,
                until: None,
                ddtp: is_ddtp,
            });
            self.oracle.registers_changed();
            self.ask_all();
            self.ask_again(mem);
        }
    }

    fn begin_command_csr(&mut self, value: u32) {
        let now = self.now;
        let (enable, ie) = (value & 1 != 0, value & 2 != 0);
        let starts = enable && !self.cq.control.enable;
        self.cq.control.begin(enable, ie, now);
        if starts {
            // "Changing cqen from 0 to 1 sets the cqh register and the cqcsr bits cmd_ill,
            // cmd_to, cqmf, fence_w_ip to 0."
            self.cq.head.reset();
            self.cq.memory_fault.clear();
            self.cq.illegal.clear();
            self.cq.fence_w_ip.clear();
            self.cq.timeout.clear();
            self.cq.raising.clear();
            self.cq.wsi.clear();
            self.cq.seen = 0;
            self.cq.end = self.iommu.registers().cq.tail.into();
            self.cq.started = true;
        }
        if starts || !enable {
            // What was fetched may be dropped.
            self.oracle.log.restart();
            self.ats.queue_off();
            self.mem.epoch += 1;
            let fetched = std::mem::take(&mut self.cq.cmds);
            if enable {
                self.cq.leaving.clear();
            } else if !fetched.is_empty() {
                self.cq.leaving = fetched;
            }
        }
        self.cq.progress = now;
        self.cq.reported_stuck = false;
        if value & 1 << 8 != 0 {
            self.cq.memory_fault.begin_clear(now);
        }
        // A fence has stopped there, as software knows or the model does.
        let told = self.cq.timeout.lo;
        if value & 1 << 9 != 0 {
            self.cq.timeout.begin_clear(now);
            // The fence that told is fetched again, and finds that nothing has timed out since.
            self.ats.timed_out.0 = false;
            if !self.cq.timeout.hi {
                self.ats.timed_out.1 = false;
            }
        }
        if value & 1 << 10 != 0 {
            self.cq.illegal.begin_clear(now);
        }
        if value & 1 << 11 != 0 {
            self.cq.fence_w_ip.begin_clear(now);
            let seen = self.cq.seen;
            self.cq.wsi.retain(|count| *count >= seen);
            self.cq.raise_cleared = now;
        }
        if value & (1 << 8 | 1 << 9 | 1 << 10) != 0
            && self
                .cq
                .cmds
                .front()
                // One that may have met a time-out has completed instead if it stores, and may have
                // unless software has seen `cmd_to`: those behind it are not fetched again then. (If
                // they are, they are read anew: `begin_fetch`.)
                .is_some_and(|c| c.noted || (told && c.may_have_met && c.store == Store::No))
        {
            // The command at cqh, and those behind it, are fetched again.
            self.cq.cmds.clear();
            self.mem.epoch += 1;
        }
        if !ie {
            self.irq.disabled(CIP);
        }
        self.update_levels();
        self.check_unreachable_queue();
    }

    fn begin_fault_csr(&mut self, value: u32) {
        let now = self.now;
        if self.fq.ring.begin_csr(value, now) {
            self.fq.taken.clear();
        }
        if !self.fq.ring.control.on_lo {
            self.fq.may_lose(lost::OFF);
        }
        self.enable_interrupt(FIP, value & 2 != 0, self.fq.ring.last_record);
        self.update_levels();
        self.check_room();
    }

    /// A command queue beyond 2^PAS cannot be read: a memory fault without an access.
    fn check_unreachable_queue(&mut self) {
        let cq = self.iommu.registers().cq;
        let waiting = self.cq.control.on_hi && self.cq.end != self.cq.head.hi;
        if waiting && !self.reachable(cq.base_address(), 16u64 << cq.log2_entries()) {
            self.cq.memory_fault.may(self.now);
            self.update_levels();
        }
    }

    pub(crate) fn on_reg_write_done(&mut self, addr: u16, resp: Resp) {
        self.hpm_time();
        let Some(w) = self.regs.writes.pop_front() else {
            self.fail(
                Check::RegisterResponse,
                "no B: no register write is open",
                format!("B for {addr:#05x}"),
                String::new(),
            );
            return;
        };
        let now = self.now;
        let Some((at, size, value)) = meaning(w.addr, w.data, w.strb) else {
            self.writes_over();
            return;
        };
        if self.iommu.read_reg(at, size).is_ok() && resp != Resp::Okay {
            self.fail(
                Check::RegisterResponse,
                format!("OKAY for a write of {at:#05x}"),
                format!("{resp:?}"),
                String::new(),
            );
        }
        let halves: &[(u16, u32)] = match size {
            RegSize::Four => &[(at, value as u32)],
            RegSize::Eight if self.iommu.read_reg(at, size).is_err() => &[],
            RegSize::Eight => &[(at, value as u32), (at + 4, (value >> 32) as u32)],
        };
        let settle = self.bounds.settle;
        for p in self.past.iter_mut().filter(|p| !p.ddtp) {
            p.until = p.until.or(Some(now));
        }
        for &(at, value) in halves {
            match at {
                offset::DDTP => {
                    if let Some(b) = &mut self.before_ddtp {
                        b.2 = Some(now);
                    }
                }
                offset::CQCSR => {
                    self.cq.control.end(value & 2 != 0, now);
                    for bit in [
                        &mut self.cq.memory_fault,
                        &mut self.cq.illegal,
                        &mut self.cq.timeout,
                        &mut self.cq.fence_w_ip,
                    ] {
                        bit.end_clear(self.bounds.command_limit(&self.dev, bit.event()));
                    }
                    let reached = self.cq.head.lo;
                    if self.cq.raising.iter().any(|r| r.0 >= reached) {
                        // A fence that could complete long ago may do so only now.
                        self.cq.fence_w_ip.may(now);
                    }
                    self.update_levels();
                }
                offset::FQCSR => {
                    let waiting = self.fq.has_waiting();
                    self.fq.ring.end_csr(value, waiting, now, settle);
                    self.update_levels();
                }
                offset::IPSR => {
                    for n in (0..SOURCES).filter(|n| value >> n & 1 == 1) {
                        let messages = self.messages();
                        self.irq.end_clear(n, messages, now, settle);
                    }
                    if value >> PMIP & 1 == 1 {
                        self.hpm_may_wrap_yet();
                    }
                }
                offset::PQCSR if self.iommu.capabilities().has(Capabilities::ATS) => {
                    self.end_page_csr(value);
                }
                _ if (offset::IOCOUNTINH..offset::TR_REQ_IOVA).contains(&at) => {
                    self.hpm_written(at);
                }
                _ if (offset::MSI_CFG_TBL..offset::MSI_CFG_TBL + 256).contains(&at) => {
                    let v = usize::from((at - offset::MSI_CFG_TBL) / 16);
                    let masked = self.iommu.registers().msi_cfg[v].masked;
                    let since = &mut self.irq.masked_at[v];
                    if masked && since.is_none() {
                        *since = Some(now);
                    } else if !masked && since.take().is_some() {
                        self.unmasked(v as u8);
                    }
                    // What is owed may be sent with the new address.
                    for n in 0..SOURCES {
                        let of_it = crate::irq::vector(self.iommu.registers(), n) == v as u8;
                        if of_it && self.irq.credit[n] > 0 {
                            self.message_owed(n);
                        }
                    }
                }
                _ => {}
            }
        }
        self.writes_over();
    }

    /// "Pending messages for that vector are later generated if the corresponding mask bit is
    /// cleared to 0."
    fn unmasked(&mut self, v: u8) {
        for n in 0..SOURCES {
            let of_it = crate::irq::vector(self.iommu.registers(), n) == v;
            if of_it && self.irq.due[n].is_some() {
                self.irq.due[n] = Some(self.now + self.bounds.settle);
            }
        }
    }

    /// When no write is in flight any more, only the registers as written count.
    fn writes_over(&mut self) {
        if self.regs.writes.is_empty() {
            self.before = None;
        }
    }

    pub(crate) fn on_reg_read(&mut self, addr: u16) {
        self.in_reset = false;
        let overlapped = !self.regs.writes.is_empty();
        self.regs.reads.push_back(RegRead {
            addr,
            at: self.now,
            overlapped,
        });
    }

    pub(crate) fn on_reg_read_done(
        &mut self,
        addr: u16,
        data: u64,
        resp: Resp,
        mem: &SparseMemory,
    ) {
        let Some(read) = self.regs.reads.pop_front().filter(|r| r.addr == addr) else {
            self.fail(
                Check::RegisterResponse,
                "no R: no such register read is open",
                format!("R for {addr:#05x}"),
                String::new(),
            );
            return;
        };
        if !addr.is_multiple_of(4) || addr >= 4096 {
            return;
        }
        if resp != Resp::Okay {
            self.fail(
                Check::RegisterResponse,
                format!("OKAY for a read of {addr:#05x}"),
                format!("{resp:?}"),
                String::new(),
            );
            return;
        }
        if read.overlapped {
            return;
        }
        self.counters.register_reads += 1;
        self.refresh(read.at);
        if self.debug_read(addr, data, read.at, mem) {
            return;
        }
        if self.hpm_read(addr, data, read.at) && addr != offset::IOCOUNTOVF {
            return;
        }
        let whole = addr.is_multiple_of(8)
            && !custom(addr)
            && self.iommu.read_reg(addr, RegSize::Eight).is_ok();
        if addr % 8 == 4 {
            self.check_half(addr, (data >> 32) as u32, read.at);
        } else {
            self.check_half(addr, data as u32, read.at);
            if whole {
                self.check_half(addr + 4, (data >> 32) as u32, read.at);
            }
        }
    }

    fn wrong_register(&mut self, addr: u16, want: String, got: u32) {
        let reset_only = !self.regs.written;
        let check = if reset_only {
            Check::ResetValue
        } else {
            Check::RegisterValue
        };
        self.fail(
            check,
            format!("{} {want}", name(addr)),
            format!("{got:#010x}"),
            String::new(),
        );
    }

    fn check_half(&mut self, addr: u16, value: u32, asked: u64) {
        match addr {
            offset::CQH => self.read_head(value, asked),
            offset::FQT => self.read_tail(value, asked),
            offset::CQCSR => self.read_command_csr(value, asked),
            offset::FQCSR => self.read_fault_csr(value, asked),
            offset::IPSR => self.read_pending(value, asked),
            offset::DDTP => self.read_ddtp(value, asked),
            offset::PQCSR => self.read_page_csr(value, asked),
            offset::PQT => self.read_page_tail(value, asked),
            // Compared as a whole, or by nobody.
            offset::IOCOUNTOVF => {}
            _ if custom(addr) => {}
            _ => {
                let want = self.iommu.read_reg(addr, RegSize::Four).unwrap_or(0) as u32;
                if want != value && !self.regs.unknown.get(addr) {
                    self.wrong_register(addr, format!("{want:#010x}"), value);
                }
            }
        }
    }

    fn read_ddtp(&mut self, value: u32, asked: u64) {
        let want = self
            .iommu
            .read_reg(offset::DDTP, RegSize::Four)
            .unwrap_or(0) as u32;
        let busy = value & 1 << 4 != 0;
        let skip = if self.regs.unknown.get(offset::DDTP) {
            !0xf
        } else {
            0
        };
        if (want ^ value) & !(1 << 4) & !skip != 0 {
            self.wrong_register(offset::DDTP, format!("{want:#010x}, busy aside"), value);
        }
        match &self.before_ddtp {
            None if busy => self.fail(
                Check::ControlStuck,
                "ddtp.busy 0: no write of ddtp is being worked on",
                "1",
                String::new(),
            ),
            Some((_, since, Some(done))) if busy && asked > done + self.control_limit(*since) => {
                let done = *done;
                self.fail(
                    Check::ControlStuck,
                    format!("ddtp.busy 0 by now: ddtp was written at {done}"),
                    "1",
                    String::new(),
                );
            }
            Some((_, written, Some(done))) if !busy && asked > *done => {
                let written = *written;
                self.before_ddtp = None;
                if want & 0xf == 0 {
                    self.off_is_complete(written);
                }
                let now = self.now;
                for p in &mut self.past {
                    p.until = p.until.or(Some(now));
                }
            }
            _ => {}
        }
    }

    /// Checks enable, interrupt enable, on and busy of a queue; true if the rest may be trusted.
    pub(crate) fn read_control(&mut self, which: Which, value: u32, asked: u64) {
        let (bounds, dev) = (&self.bounds, &self.dev);
        let (check, which, control) = match which {
            Which::Command => (Check::CommandStatus, "cqcsr", &mut self.cq.control),
            Which::Fault => (Check::FaultStatus, "fqcsr", &mut self.fq.ring.control),
            Which::Page => (Check::PageStatus, "pqcsr", &mut self.pq.ring.control),
        };
        let (on, busy) = (value >> 16 & 1 != 0, value >> 17 & 1 != 0);
        let mut wrong = None;
        if (value & 1 != 0) != control.enable {
            wrong = Some((check, format!("enable {}", control.enable)));
        } else if (value & 2 != 0) != control.ie_lo && control.ie_lo == control.ie_hi {
            wrong = Some((check, format!("interrupt enable {}", control.ie_lo)));
        }
        match control.changing {
            None if busy => wrong = Some((check, "busy 0: no write is being worked on".into())),
            None if on != control.enable => {
                wrong = Some((
                    check,
                    format!("on {}: the queue had settled", control.enable),
                ));
            }
            Some((_, Some(done))) if !busy && asked > done => {
                if on == control.enable {
                    control.settled();
                } else {
                    wrong = Some((check, format!("on {} once busy is 0", control.enable)));
                }
            }
            Some((since, Some(done))) if asked > done + bounds.control_limit(dev, since) => {
                wrong = Some((
                    Check::ControlStuck,
                    format!("busy 0 by now: written at {done}"),
                ));
            }
            _ => {}
        }
        if let Some((check, want)) = wrong {
            self.fail(
                check,
                format!("{which} {want}"),
                format!("{value:#010x}"),
                String::new(),
            );
        }
    }

    fn read_command_csr(&mut self, value: u32, asked: u64) {
        self.read_control(Which::Command, value, asked);
        let bits = [
            (8, "cqmf", &mut self.cq.memory_fault),
            (9, "cmd_to", &mut self.cq.timeout),
            (10, "cmd_ill", &mut self.cq.illegal),
            (11, "fence_w_ip", &mut self.cq.fence_w_ip),
        ];
        let mut wrong = Vec::new();
        for (n, name, bit) in bits {
            check_bit(value >> n & 1 != 0, name, bit, asked, &mut wrong);
        }
        let zero = value & !(0xf000_0000 | 0x3_0f03);
        if zero != 0 {
            wrong.push(format!("bits {zero:#x} zero"));
        }
        if value >> 11 & 1 == 1
            && let Some(&count) = self.cq.wsi.front()
        {
            // One of them has set the bit, and they complete in order.
            self.commands_seen(count + 1);
        }
        self.update_levels();
        if !wrong.is_empty() {
            self.fail(
                Check::CommandStatus,
                format!("cqcsr {}", wrong.join(", ")),
                format!("{value:#010x}"),
                self.command_story(),
            );
        }
    }

    fn read_fault_csr(&mut self, value: u32, asked: u64) {
        self.read_control(Which::Fault, value, asked);
        let wrong = self.fq.ring.read_csr(value, "fq", asked);
        self.update_levels();
        if !wrong.is_empty() {
            let fq = self.iommu.registers().fq;
            let story = format!(
                "fqh {:#x}, records visible {}, being written {}, outstanding {}",
                fq.head,
                self.fq.ring.tail.hi,
                self.fq.ring.slots.len(),
                self.fq.faults.len()
            );
            self.fail(
                Check::FaultStatus,
                format!("fqcsr {}", wrong.join(", ")),
                format!("{value:#010x}"),
                story,
            );
        }
    }

    fn read_pending(&mut self, value: u32, asked: u64) {
        // The cycle counter may have overflowed a moment ago.
        self.hpm_time();
        let mut wrong = Vec::new();
        for (n, name) in NAMES.iter().enumerate() {
            let value = value >> n & 1 != 0;
            check_bit(value, name, &mut self.irq.pend[n], asked, &mut wrong);
            let since = n == PMIP && self.hpm_may_wrap_since(asked);
            if !value && self.irq.is_calm(n) && !since {
                self.irq.pend[n].observe_zero(asked, self.bounds.settle);
            }
        }
        let zero = value & !0xff0f;
        if zero != 0 {
            wrong.push(format!("bits {zero:#x} zero"));
        }
        if !wrong.is_empty() {
            self.fail(
                Check::PendingBits,
                format!("ipsr {}", wrong.join(", ")),
                format!("{value:#010x}"),
                String::new(),
            );
        }
    }

    fn read_head(&mut self, value: u32, asked: u64) {
        let cq = self.iommu.registers().cq;
        if !self.cq.started {
            if value != 0 && self.cfg.reset_zero {
                self.wrong_register(offset::CQH, "0x00000000".into(), value);
            }
            return;
        }
        let stopped = self.cq.illegal.lo || self.cq.memory_fault.lo || self.cq.timeout.lo;
        let within = if self.timing.mem.stopped {
            u64::MAX / 2
        } else {
            self.command_limit(self.cq.head.waits_since().unwrap_or(self.now))
        };
        let mut lo = if self.cq.control.on_lo {
            self.cq.head.sure(asked, within)
        } else {
            self.cq.head.lo
        };
        if stopped {
            // "the cqh references the command in the CQ that caused the error"
            lo = self.cq.head.hi;
            self.cq.head.lo = lo;
        }
        let mask = cq.index_mask();
        let count = self.cq.head.count_of(value, mask);
        while value <= mask && count > self.cq.head.hi && self.fence_was_complete() {}
        if value > mask || count > self.cq.head.hi {
            let (lo, hi) = (lo & u64::from(mask), self.cq.head.hi & u64::from(mask));
            let story = self.command_story();
            self.fail(
                Check::CommandHead,
                format!("cqh in {lo:#x}..={hi:#x}"),
                format!("{value:#x}"),
                story,
            );
        } else {
            self.cq.head.lo = count;
            self.check_raising();
            self.commands_seen(count);
        }
    }

    fn read_tail(&mut self, value: u32, asked: u64) {
        let fq = self.iommu.registers().fq;
        if !self.fq.ring.started {
            if value != 0 && self.cfg.reset_zero {
                self.wrong_register(offset::FQT, "0x00000000".into(), value);
            }
            return;
        }
        let (mask, settle) = (fq.index_mask(), self.bounds.settle);
        if let Err((lo, hi)) = self.fq.ring.read_tail(value, mask, asked, settle) {
            let story = format!("records being written: {}", self.fq.ring.slots.len());
            self.fail(
                Check::FaultTail,
                format!("fqt in {lo:#x}..={hi:#x}"),
                format!("{value:#x}"),
                story,
            );
        }
    }

    /// Where the command queue stands, for stories.
    #[must_use]
    pub fn command_story(&self) -> String {
        let cq = self.iommu.registers().cq;
        let mask = u64::from(cq.index_mask());
        let mut text = format!("cqt {:#x}, on {}", cq.tail, self.cq.control.on_hi);
        for (bit, name) in [
            (&self.cq.illegal, "cmd_ill"),
            (&self.cq.memory_fault, "cqmf"),
            (&self.cq.timeout, "cmd_to"),
        ] {
            if bit.hi {
                text.push_str(if bit.lo { ", " } else { ", perhaps " });
                text.push_str(name);
            }
        }
        for (n, c) in self.cq.cmds.iter().enumerate().take(4) {
            text.push_str(&format!(
                "\ncommand at {:#x}: {:#018x} {:#018x} {:?}, store {:?}",
                (self.cq.head.hi + n as u64) & mask,
                c.words[0],
                c.words[1],
                c.kind,
                c.store
            ));
        }
        text
    }
}

/// A queue with a control register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Command,
    Fault,
    Page,
}

pub(crate) fn check_bit(
    value: bool,
    name: &str,
    bit: &mut crate::sticky::Sticky,
    asked: u64,
    wrong: &mut Vec<String>,
) {
    if value && !bit.hi {
        wrong.push(format!("{name} 0"));
    } else if !value && bit.lo {
        wrong.push(format!("{name} 1"));
    } else {
        bit.observe(value, asked);
    }
}

/// Name of a register, for people.
fn name(addr: u16) -> String {
    let known = match addr {
        0 => "capabilities",
        4 => "capabilities (high)",
        8 => "fctl",
        16 => "ddtp",
        20 => "ddtp (high)",
        24 => "cqb",
        28 => "cqb (high)",
        32 => "cqh",
        36 => "cqt",
        40 => "fqb",
        44 => "fqb (high)",
        48 => "fqh",
        52 => "fqt",
        56..72 => "page-request queue",
        72 => "cqcsr",
        76 => "fqcsr",
        80 => "pqcsr",
        84 => "ipsr",
        92 => "iocountinh",
        624 => "iommu_qosid",
        760 => "icvec",
        768..1024 => {
            let part = ["msi_addr", "msi_addr (high)", "msi_data", "msi_vec_ctl"];
            return format!("{}_{}", part[usize::from(addr % 16) / 4], (addr - 768) / 16);
        }
        _ => return format!("register {addr:#05x}"),
    };
    known.into()
}
