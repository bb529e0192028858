//! The command queue, and the commands with all their operands.

use super::{DomainId, Driver, Leaf, PAGE, Space, VmId};
use crate::op::Op;
use crate::regs;

/// Operands of IOTINVAL.VMA; what is `None` is not valid (`GV`, `AV`, `PSCV` = 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vma {
    /// GSCID.
    pub gscid: Option<u16>,
    /// PSCID.
    pub pscid: Option<u32>,
    /// Address, as the operand has it: with `range`, the size is encoded in it.
    pub addr: Option<u64>,
    /// NL: non-leaf entries too.
    pub non_leaf: bool,
    /// S: the address names a range.
    pub range: bool,
}

/// Operands of IOTINVAL.GVMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gvma {
    /// GSCID.
    pub gscid: Option<u16>,
    /// Guest physical address, as the operand has it.
    pub addr: Option<u64>,
    /// NL: non-leaf entries too.
    pub non_leaf: bool,
    /// S: the address names a range.
    pub range: bool,
}

impl Vma {
    /// The two doublewords.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        let (pv, gv) = (self.pscid.is_some(), self.gscid.is_some());
        let operands = u64::from(self.pscid.unwrap_or(0)) << 12 | u64::from(pv) << 32;
        iotinval(
            0,
            gv,
            self.gscid,
            self.addr,
            self.non_leaf,
            self.range,
            operands,
        )
    }
}

impl Gvma {
    /// The two doublewords.
    #[must_use]
    pub fn encode(&self) -> [u64; 2] {
        let gv = self.gscid.is_some();
        iotinval(1, gv, self.gscid, self.addr, self.non_leaf, self.range, 0)
    }
}

fn iotinval(
    func: u64,
    gv: bool,
    gscid: Option<u16>,
    addr: Option<u64>,
    nl: bool,
    s: bool,
    more: u64,
) -> [u64; 2] {
    let d0 = 1
        | func << 7
        | u64::from(addr.is_some()) << 10
        | u64::from(gv) << 33
        | u64::from(nl) << 34
        | u64::from(gscid.unwrap_or(0)) << 44
        | more;
    // ADDR[63:12] stands in bits 61:10 of the second doubleword, S in bit 9.
    [d0, addr.unwrap_or(0) >> 12 << 10 | u64::from(s) << 9]
}

/// The address operand of a range of 2^shift bytes from `addr` on (`S` = 1): ones from bit 12 up,
/// and a zero above them that closes the range.
#[must_use]
pub fn range_operand(addr: u64, shift: u32) -> u64 {
    let size = 1u128 << shift.min(64);
    let base = addr & !((size - 1) as u64);
    base | ((size >> 1) - 1) as u64 & !0xfff
}

impl Driver {
    /// Puts a command into the queue; when the queue is full, waits for it to drain.
    pub fn command(&mut self, d0: u64, d1: u64) {
        let mask = (1 << self.cfg.cq_log2) - 1;
        if (self.cq_tail + 1) & mask == self.cq_head {
            self.wait_commands();
        }
        let slot = self.cq_base + 16 * u64::from(self.cq_tail);
        let bytes = |d: u64| {
            if self.cfg.big_endian {
                d.to_be_bytes()
            } else {
                d.to_le_bytes()
            }
        };
        let data = [bytes(d0), bytes(d1)].concat();
        self.out.push(Op::Store { addr: slot, data });
        self.cq_tail = (self.cq_tail + 1) & mask;
    }

    /// Tells the IOMMU of new commands.
    pub fn kick(&mut self) {
        if self.cq_kicked != self.cq_tail {
            self.cq_kicked = self.cq_tail;
            self.write(regs::CQT, 4, u64::from(self.cq_tail));
        }
    }

    /// Waits until all commands have been executed.
    pub fn wait_commands(&mut self) {
        self.kick();
        if self.cq_head != self.cq_tail {
            self.cq_head = self.cq_tail;
            self.poll(regs::CQH, 4, 0xffff_ffff, u64::from(self.cq_tail));
        }
    }

    /// Index of the next free slot of the command queue.
    #[must_use]
    pub fn command_tail(&self) -> u32 {
        self.cq_tail
    }

    /// IOTINVAL.VMA for everything of the host.
    pub fn invalidate_all(&mut self) {
        self.command(1, 0);
    }

    /// A command of two doublewords.
    pub fn command_words(&mut self, [d0, d1]: [u64; 2]) {
        self.command(d0, d1);
    }

    /// The operands that name an address space.
    #[must_use]
    pub fn vma_of(&self, domain: DomainId) -> Vma {
        let d = &self.domains[domain.0];
        Vma {
            gscid: d.tables.vm.map(|v| self.vms[v.0].gscid),
            pscid: Some(d.pscid),
            ..Vma::default()
        }
    }

    /// IOTINVAL.VMA for an address space.
    pub fn invalidate_domain(&mut self, domain: DomainId) {
        let command = self.vma_of(domain).encode();
        self.command_words(command);
    }

    /// IOTINVAL.VMA for the leaf that holds an address of an address space.
    pub fn invalidate_address(&mut self, domain: DomainId, iova: u64) {
        let command = Vma {
            addr: Some(iova),
            ..self.vma_of(domain)
        };
        self.command_words(command.encode());
    }

    /// IOTINVAL.GVMA for a machine, and IOTINVAL.VMA for all address spaces in it.
    pub fn invalidate_vm(&mut self, vm: VmId) {
        let gscid = Some(self.vms[vm.0].gscid);
        let first = Vma {
            gscid,
            ..Vma::default()
        };
        self.command_words(first.encode());
        let second = Gvma {
            gscid,
            ..Gvma::default()
        };
        self.command_words(second.encode());
    }

    /// IOTINVAL.GVMA for the leaf that holds a guest physical address.
    pub fn invalidate_guest_address(&mut self, vm: VmId, gpa: u64) {
        let command = Gvma {
            gscid: Some(self.vms[vm.0].gscid),
            addr: Some(gpa),
            ..Gvma::default()
        };
        self.command_words(command.encode());
    }

    /// One IOTINVAL.VMA or IOTINVAL.GVMA a leaf; 16 for a NAPOT one, as it has 16 entries.
    pub fn invalidate_leaves(&mut self, space: impl Into<Space>, leaves: &[Leaf]) {
        let space = space.into();
        for leaf in leaves {
            let pages = if leaf.shift == 16 { 16 } else { 1 };
            for n in 0..pages {
                let addr = leaf.iova + n * PAGE;
                match space {
                    Space::Domain(d) => self.invalidate_address(d, addr),
                    Space::Vm(v) => self.invalidate_guest_address(v, addr),
                }
            }
        }
    }

    /// IODIR.INVAL_PDT.
    pub fn invalidate_process(&mut self, device: u32, process: u32) {
        self.command(
            3 | 1 << 7 | u64::from(process) << 12 | 1 << 33 | u64::from(device) << 40,
            0,
        );
    }

    /// IODIR.INVAL_DDT for one device, or all.
    pub fn invalidate_directory(&mut self, device: Option<u32>) {
        match device {
            Some(d) => self.command(3 | 1 << 33 | u64::from(d) << 40, 0),
            None => self.command(3, 0),
        }
    }

    /// IOFENCE.C, and waits for it.
    pub fn fence(&mut self, reads: bool, writes: bool) {
        self.command(2 | u64::from(reads) << 12 | u64::from(writes) << 13, 0);
        self.wait_commands();
    }
}
