//! The register port: accesses of every kind, before anything is on and while the block works.

use crate::op::Op;
use crate::regs;

use super::knobs::RegisterKind;
use super::profile::Chance;
use super::tables::Which;
use super::world::{DATA, World};

/// `iocountovf`.
const OVERFLOWS: u16 = 88;
/// The first word designated for custom use between `iommu_qosid` and `icvec`.
const CUSTOM: u16 = 688;

/// Registers that software may write in any way while nothing is on: offset, bytes, and the bits
/// that would switch something on.
const AT_REST: &[(u16, u8, u64)] = &[
    (regs::FCTL, 4, 0),
    (regs::DDTP, 8, 0xf),
    (regs::CQB, 8, 0),
    (regs::CQT, 4, 0),
    (regs::FQB, 8, 0),
    (regs::FQH, 4, 0),
    (regs::PQB, 8, 0),
    (regs::PQH, 4, 0),
    (regs::CQCSR, 4, 1),
    (regs::FQCSR, 4, 1),
    (regs::PQCSR, 4, 1),
    (regs::IPSR, 4, 0),
    (regs::IOCOUNTINH, 4, 0),
    (regs::IOHPMCYCLES, 8, 0),
    (regs::IOHPMCTR1, 8, 0),
    (regs::IOHPMEVT1, 8, 0),
    (regs::TR_REQ_IOVA, 8, 0),
    (regs::TR_REQ_CTL, 8, 1),
    (regs::IOMMU_QOSID, 4, 0),
    (regs::ICVEC, 8, 0),
    (regs::MSI_CFG_TBL, 8, 0),
    (regs::MSI_CFG_TBL + 8, 4, 0),
    (regs::MSI_CFG_TBL + 12, 4, 0),
];

impl World {
    /// Out of reset, before anything is on: registers are read, and written in any way.
    pub fn look_after_reset(&mut self) {
        let p = self.profile.clone();
        if p.chance(Chance::AfterReset, &mut self.r.ways) {
            // Those that have a reset value.
            for (offset, size) in [
                (regs::CAPABILITIES, 8),
                (regs::FCTL, 4),
                (regs::DDTP, 8),
                (regs::CQCSR, 4),
                (regs::FQCSR, 4),
                (regs::PQCSR, 4),
                (regs::IPSR, 4),
            ] {
                let op = Op::RegRead {
                    offset,
                    size,
                    expect: None,
                };
                self.push("out of reset", op);
            }
        }
        if !p.chance(Chance::Scribble, &mut self.r.ways) {
            return;
        }
        for _ in 0..self.r.ways.range(1, 40) {
            let &(offset, size, on) = self.r.ways.pick(AT_REST);
            let value = match self.r.ways.below(3) {
                0 => 0,
                1 => u64::MAX,
                _ => self.r.ways.bits(),
            };
            // All ones are a mode that no block has.
            let on = if offset == regs::DDTP && value == u64::MAX {
                0
            } else {
                on
            };
            let value = value & !on & u64::MAX >> (64 - 8 * u32::from(size));
            self.write("nothing is on yet", offset, size, value);
            if offset == regs::DDTP {
                // Nobody writes it again before it has settled.
                let op = Op::PollReg {
                    offset,
                    size: 4,
                    mask: 1 << 4,
                    value: 0,
                };
                self.push("nothing is on yet", op);
            }
        }
        // What nobody else writes.
        self.write("no ids", regs::IOMMU_QOSID, 4, 0);
    }

    /// Register accesses that a reset will end.
    pub fn begin_accesses(&mut self) {
        for _ in 0..self.r.ways.range(1, 3) {
            let (offset, size, write) = match self.r.ways.below(8) {
                0 => (regs::IPSR, 4, Some(self.r.ways.below(16))),
                1 => (regs::CQCSR, 4, Some(0)),
                2 => (regs::FQCSR, 4, Some(0)),
                3 => (regs::DDTP, 8, Some(0)),
                _ => {
                    let &(_, offset, size) = self.r.ways.pick(regs::NAMED);
                    (offset, size, None)
                }
            };
            let op = Op::RegBegin {
                offset,
                size,
                write,
            };
            self.push("before reset", op);
        }
        let clocks = self.r.ways.below(8) as u32;
        if clocks > 0 {
            self.push("before reset", Op::Cycles(clocks));
        }
    }

    /// `iohpmevt` for a standard event, with a filter that some device's traffic passes.
    fn event_of_somebody(&mut self) -> u64 {
        let r = &mut self.r.registers;
        let n = r.below(self.devices.len() as u64) as usize;
        let device = &self.devices[n];
        let process = match &device.processes {
            Some(p) if !p.list.is_empty() => Some(*r.pick(&p.list)),
            _ => None,
        };
        let domain = process.map(|p| p.domain).or(device.domain);
        let by_context = r.percent(50);
        let (narrow, wide) = if by_context {
            let pscid = domain.map_or(0, |d| self.domains[d].pscid);
            (pscid, device.machine.map_or(0, |m| self.machines[m].gscid))
        } else {
            (process.map_or(0, |p| p.id), device.id)
        };
        // With DMASK the lowest ones, and the 0 above them, are ignored.
        let masked = r.percent(25);
        let wide = if masked {
            wide | ((1 << r.below(8)) - 1)
        } else {
            wide
        };
        r.below(9)
            | u64::from(masked) << 15
            | u64::from(narrow) << 16
            | u64::from(wide) << 36
            | r.below(4) << 60
            | u64::from(by_context) << 62
    }

    // ---------------------------------------------------------------- registers

    pub fn register_read(&mut self) {
        let eight = self.r.registers.percent(50);
        let (size, offset) = if eight {
            (8, self.r.registers.below(512) * 8)
        } else {
            (4, self.r.registers.below(1024) * 4)
        };
        // Half of them where registers are.
        let named = self.r.registers.percent(60);
        let (offset, size) = if named {
            let n = self.r.registers.below(regs::NAMED.len() as u64) as usize;
            let (_, o, s) = regs::NAMED[n];
            match self.r.registers.below(4) {
                // A half of it.
                half @ 0..=1 if s == 8 => (o + 4 * half as u16, 4),
                _ => (o, s),
            }
        } else {
            (offset as u16, size)
        };
        self.push(
            "register",
            Op::RegRead {
                offset,
                size,
                expect: None,
            },
        );
    }

    /// A register of four bytes is read, as whoever handles an interrupt does.
    pub fn look(&mut self, offset: u16) {
        let op = Op::RegRead {
            offset,
            size: 4,
            expect: None,
        };
        self.push("look", op);
    }

    /// One register access, within what is defined unless it is to be illegal.
    pub fn register(&mut self) {
        let p = self.profile.clone();
        let (counters, debug) = (self.has("HPM"), self.has("DBG"));
        let messages = !self.driver.cfg.wires;
        let kind = p.pick_of(&mut self.r.registers, |k: RegisterKind| match k {
            RegisterKind::Counter => counters,
            RegisterKind::Debug => debug,
            RegisterKind::Mask => messages,
            _ => true,
        });
        match kind.unwrap_or(RegisterKind::Read) {
            RegisterKind::Read => self.register_read(),
            RegisterKind::Counter => self.counter(),
            RegisterKind::Debug => self.debug(),
            RegisterKind::Acknowledge => {
                let value = self.r.registers.below(16);
                self.look(regs::IPSR);
                self.write("acknowledge", regs::IPSR, 4, value);
                self.look(regs::IPSR);
            }
            RegisterKind::ReadOnly => {
                let anywhere = 628 + 4 * self.r.registers.below(15) as u16;
                let (offset, size) = *self.r.registers.pick(&[
                    (regs::CAPABILITIES, 8u8),
                    (regs::CAPABILITIES, 4),
                    (regs::CAPABILITIES + 4, 4),
                    (regs::CQH, 4),
                    (regs::FQT, 4),
                    (regs::PQT, 4),
                    (OVERFLOWS, 4),
                    (regs::TR_RESPONSE, 8),
                    (regs::TR_RESPONSE, 4),
                    (regs::TR_RESPONSE + 4, 4),
                    // Reserved, and custom.
                    (anywhere, 4),
                    (CUSTOM, 4),
                    (CUSTOM + 4, 4),
                ]);
                let value = self.r.registers.bits() >> (64 - 8 * u32::from(size));
                self.write("read-only", offset, size, value);
            }
            RegisterKind::Mask => {
                let (command, fault) = self.driver.cfg.vectors;
                let (counters, pages) = self.driver.cfg.more_vectors;
                let vector = *self.r.registers.pick(&[command, fault, counters, pages]);
                let masked = u64::from(self.r.registers.percent(40));
                let at = regs::MSI_CFG_TBL + 16 * u16::from(vector) + 12;
                self.write("mask or unmask", at, 4, masked);
            }
            RegisterKind::Write => {
                // Entries of msi_cfg_tbl that no cause uses: all of it is theirs.
                let used = self.driver.cfg.vectors;
                let first = u64::from(used.0.max(used.1)) + 1;
                let entry = self.r.registers.range(first, 15) as u16;
                if u64::from(entry) < first || u32::from(entry) >= self.target.vectors {
                    return;
                }
                let at = regs::MSI_CFG_TBL + 16 * entry;
                let value = self.r.registers.bits();
                match self.r.registers.below(4) {
                    0 => self.write("msi_cfg_tbl", at, 8, value),
                    1 => self.write("msi_cfg_tbl", at + 4, 4, value >> 32),
                    2 => self.write("msi_cfg_tbl", at + 8, 4, value >> 32),
                    _ => self.write("msi_cfg_tbl", at + 12, 4, value >> 32),
                }
            }
            RegisterKind::Illegal => {
                let r = &mut self.r.registers;
                let data = r.bits();
                let (offset, strb) = match r.below(4) {
                    // Other strobes.
                    0 => {
                        let strb = if self.r.aim.percent(10) {
                            0
                        } else {
                            r.below(256) as u8
                        };
                        if matches!(strb, 0x0f | 0xf0 | 0xff) {
                            return;
                        }
                        (r.below(512) as u16 * 8, strb)
                    }
                    // Over two registers of 4 bytes.
                    1 => (*r.pick(&[32u16, 48, 64, 72, 80, 88, 776, 792, 1016]), 0xff),
                    2 => {
                        let offset = r.below(1023) as u16 * 4 + r.range(1, 3) as u16;
                        let op = Op::RegRead {
                            offset,
                            size: 4,
                            expect: None,
                        };
                        return self.push("misaligned read", op);
                    }
                    // Misaligned.
                    _ => (r.below(1023) as u16 * 4 + r.range(1, 3) as u16, 0xff),
                };
                self.push("illegal access", Op::RegWriteRaw { offset, data, strb });
            }
        }
    }

    /// Writes or reads a performance counter, its event, or the inhibits.
    fn counter(&mut self) {
        let r = &mut self.r.registers;
        // The same few again and again: what is counted shows when it is read.
        let few = if r.percent(75) { 2 } else { 31 };
        let n = r.below(few) as u16;
        match r.below(9) {
            0 => {
                let value = if r.percent(70) { 0 } else { r.below(1 << 32) };
                self.write("counters", regs::IOCOUNTINH, 4, value);
            }
            1 => {
                // Near its overflow, often.
                let value = u64::MAX >> 1 ^ r.below(64);
                self.write_counter(regs::IOHPMCYCLES, value);
            }
            2 => {
                let value = u64::MAX - r.below(64);
                self.write_counter(regs::IOHPMCTR1 + 8 * n, value);
            }
            3 | 4 if r.percent(40) => {
                let event = if r.percent(40) { 1 } else { r.below(9) };
                self.write_counter(regs::IOHPMEVT1 + 8 * n, event);
            }
            3 | 4 if r.percent(60) => {
                let filter = self.event_of_somebody();
                self.write_counter(regs::IOHPMEVT1 + 8 * n, filter);
            }
            3 | 4 => {
                // Event, DMASK, PID/PSCID, DID/GSCID, PV, DV, IDT; OF stays clear.
                let value = r.below(12) | r.bits() & (0x7fff_ffff_ffff << 15);
                self.write_counter(regs::IOHPMEVT1 + 8 * n, value);
            }
            _ => {
                let offset = *r.pick(&[
                    regs::IOHPMCYCLES,
                    regs::IOHPMCTR1 + 8 * n,
                    regs::IOHPMCTR1 + 8 * n,
                    regs::IOHPMCTR1 + 8 * n,
                    regs::IOHPMEVT1 + 8 * n,
                ]);
                self.push(
                    "counters",
                    Op::RegRead {
                        offset,
                        size: 8,
                        expect: None,
                    },
                );
            }
        }
    }

    /// An 8-byte register of the counters; by halves with all of them stopped.
    fn write_counter(&mut self, offset: u16, value: u64) {
        if !self.halves {
            return self.write("counters", offset, 8, value);
        }
        self.write("counters stop", regs::IOCOUNTINH, 4, 0xffff_ffff);
        self.write("counters", offset + 4, 4, value >> 32);
        self.write("counters", offset, 4, value & 0xffff_ffff);
        self.write("counters go on", regs::IOCOUNTINH, 4, 0);
    }

    /// A translation by `tr_req_iova` and `tr_req_ctl`, waited for.
    fn debug(&mut self) {
        if self.room() < 2 {
            return;
        }
        self.unread += 1;
        let n = self.r.registers.below(self.devices.len() as u64) as usize;
        let device = self.devices[n].clone();
        let first = device.domain.filter(|&d| self.domains[d].tree.is_some());
        let file = self
            .r
            .aim
            .percent(15)
            .then(|| self.file_to_break(&device, first));
        let file = file.flatten();
        let leaves = device
            .domain
            .map(Which::Domain)
            .map_or(0, |w| self.leaves(w).len());
        let leaf = self.r.registers.below(leaves as u64) as usize;
        let leaf = device
            .domain
            .and_then(|d| self.leaves(Which::Domain(d)).get(leaf).copied());
        let r = &mut self.r.registers;
        let anywhere = r.percent(20).then(|| r.bits());
        let inside = leaf.map_or(DATA, |l| l.at + r.below(1 << l.shift));
        let inside = file.map_or(inside, |l| l.at);
        let iova = anywhere.unwrap_or(inside) & !0xfff;
        // Go; Priv, NW, Exe (with NW, else it is UNSPECIFIED).
        let kind = *r.pick(&[0u64, 1 << 3, 1 << 3 | 1 << 2]);
        let process = match &device.processes {
            Some(x) if !x.list.is_empty() => {
                let p = r.pick(&x.list).id;
                1 << 32 | u64::from(p) << 12 | r.below(2) << 1
            }
            _ => 0,
        };
        self.write("debug interface", regs::TR_REQ_IOVA, 8, iova);
        let control = 1 | kind | process | u64::from(device.id) << 40;
        self.write("debug interface", regs::TR_REQ_CTL, 8, control);
        self.push(
            "debug interface",
            Op::PollReg {
                offset: regs::TR_REQ_CTL,
                size: 8,
                mask: 1,
                value: 0,
            },
        );
        self.push(
            "debug interface",
            Op::RegRead {
                offset: regs::TR_RESPONSE,
                size: 8,
                expect: None,
            },
        );
    }
}
