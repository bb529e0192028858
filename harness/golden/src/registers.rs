//! The register page (section "Memory-mapped register interface").

use crate::caps::{Capabilities, Igs};
use crate::config::{Config, ControlBit};

/// Offsets of the registers in the page.
#[allow(missing_docs)] // each is the register of that name
pub mod offset {
    pub const CAPABILITIES: u16 = 0;
    pub const FCTL: u16 = 8;
    pub const DDTP: u16 = 16;
    pub const CQB: u16 = 24;
    pub const CQH: u16 = 32;
    pub const CQT: u16 = 36;
    pub const FQB: u16 = 40;
    pub const FQH: u16 = 48;
    pub const FQT: u16 = 52;
    pub const PQB: u16 = 56;
    pub const PQH: u16 = 64;
    pub const PQT: u16 = 68;
    pub const CQCSR: u16 = 72;
    pub const FQCSR: u16 = 76;
    pub const PQCSR: u16 = 80;
    pub const IPSR: u16 = 84;
    pub const IOCOUNTOVF: u16 = 88;
    pub const IOCOUNTINH: u16 = 92;
    pub const IOHPMCYCLES: u16 = 96;
    /// `iohpmctr1`; the others follow, 8 bytes each.
    pub const IOHPMCTR1: u16 = 104;
    /// `iohpmevt1`; the others follow, 8 bytes each.
    pub const IOHPMEVT1: u16 = 352;
    pub const TR_REQ_IOVA: u16 = 600;
    pub const TR_REQ_CTL: u16 = 608;
    pub const TR_RESPONSE: u16 = 616;
    pub const IOMMU_QOSID: u16 = 624;
    pub const ICVEC: u16 = 760;
    /// `msi_addr_0`; entries of 16 bytes follow.
    pub const MSI_CFG_TBL: u16 = 768;
}

/// `ddtp.iommu_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IommuMode {
    /// 0: no inbound transaction is allowed.
    Off,
    /// 1: no translation or protection.
    Bare,
    /// 2 to 4: a device directory of 1, 2 or 3 levels.
    Levels(u8),
}

impl IommuMode {
    /// The field's number.
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            IommuMode::Off => 0,
            IommuMode::Bare => 1,
            IommuMode::Levels(n) => 1 + n as u64,
        }
    }

    /// The mode of a number, if it is not reserved or custom.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(IommuMode::Off),
            1 => Some(IommuMode::Bare),
            2 => Some(IommuMode::Levels(1)),
            3 => Some(IommuMode::Levels(2)),
            4 => Some(IommuMode::Levels(3)),
            _ => None,
        }
    }
}

/// The three in-memory queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Command queue.
    Command,
    /// Fault queue.
    Fault,
    /// Page-request queue.
    PageRequest,
}

/// Base, head, tail and CSR of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QueueRegs {
    /// Base register as it reads: `LOG2SZ-1` in 4:0, `PPN` in 53:10.
    pub base: u64,
    /// Head index.
    pub head: u32,
    /// Tail index.
    pub tail: u32,
    /// `cqen`, `fqen`, `pqen`.
    pub enable: bool,
    /// `cie`, `fie`, `pie`.
    pub interrupt_enable: bool,
    /// `cqmf`, `fqmf`, `pqmf`.
    pub memory_fault: bool,
    /// `fqof`, `pqof`; for the command queue `cmd_to`.
    pub overflow: bool,
    /// `cmd_ill`; command queue only.
    pub illegal: bool,
    /// `fence_w_ip`; command queue only.
    pub fence_w_ip: bool,
    /// `cqon`, `fqon`, `pqon`.
    pub on: bool,
}

impl QueueRegs {
    /// log2 of the number of entries: 1 to 32.
    #[must_use]
    pub const fn log2_entries(&self) -> u32 {
        (self.base & 0x1f) as u32 + 1
    }

    /// Bits of an index, as a mask.
    #[must_use]
    pub const fn index_mask(&self) -> u32 {
        // 32 entries' worth of bits need no mask; shifting by 32 would overflow.
        (((1u64 << self.log2_entries()) - 1) & 0xffff_ffff) as u32
    }

    /// Address of the queue's first byte.
    #[must_use]
    pub const fn base_address(&self) -> u64 {
        ((self.base >> 10) & ((1 << 44) - 1)) << 12
    }

    /// "A queue is empty if the head is equal to the tail."
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// "A queue is full if the tail is the head minus one."
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.tail == self.head.wrapping_sub(1) & self.index_mask()
    }

    fn csr(&self, queue: Queue) -> u32 {
        let b = u32::from;
        let common = b(self.enable)
            | b(self.interrupt_enable) << 1
            | b(self.memory_fault) << 8
            | b(self.overflow) << 9
            | b(self.on) << 16;
        match queue {
            Queue::Command => common | b(self.illegal) << 10 | b(self.fence_w_ip) << 11,
            Queue::Fault | Queue::PageRequest => common,
        }
    }
}

/// An entry of `msi_cfg_tbl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MsiEntry {
    /// `msi_addr`.
    pub addr: u64,
    /// `msi_data`.
    pub data: u32,
    /// `M` of `msi_vec_ctl`.
    pub masked: bool,
}

/// Every register's state, as fields. Reserved fields have none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `fctl.BE`.
    pub be: bool,
    /// `fctl.WSI`.
    pub wsi: bool,
    /// `fctl.GXL`.
    pub gxl: bool,
    /// `ddtp.iommu_mode`.
    pub mode: IommuMode,
    /// `ddtp.PPN`.
    pub ddtp_ppn: u64,
    /// Command queue.
    pub cq: QueueRegs,
    /// Fault queue.
    pub fq: QueueRegs,
    /// Page-request queue.
    pub pq: QueueRegs,
    /// `ipsr`: cip, fip, pmip, pip in bits 0 to 3.
    pub ipsr: u32,
    /// `iocountinh`.
    pub iocountinh: u32,
    /// `iohpmcycles`, with OF in bit 63.
    pub iohpmcycles: u64,
    /// `iohpmctr1-31`.
    pub iohpmctr: [u64; 31],
    /// `iohpmevt1-31`, with OF in bit 63.
    pub iohpmevt: [u64; 31],
    /// `tr_req_iova`.
    pub tr_req_iova: u64,
    /// `tr_req_ctl`.
    pub tr_req_ctl: u64,
    /// `tr_response`.
    pub tr_response: u64,
    /// `iommu_qosid`.
    pub iommu_qosid: u32,
    /// `icvec`: civ, fiv, pmiv, piv in four bits each.
    pub icvec: u64,
    /// `msi_cfg_tbl`.
    pub msi_cfg: [MsiEntry; 16],
}

/// Bits of `ipsr`.
#[allow(missing_docs)]
pub mod ipsr {
    pub const CIP: u32 = 1 << 0;
    pub const FIP: u32 = 1 << 1;
    pub const PMIP: u32 = 1 << 2;
    pub const PIP: u32 = 1 << 3;
}

/// Size of a register access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegSize {
    /// Four bytes.
    Four,
    /// Eight bytes.
    Eight,
}

impl RegSize {
    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u16 {
        match self {
            RegSize::Four => 4,
            RegSize::Eight => 8,
        }
    }

    /// The size of so many bytes, if it is one.
    #[must_use]
    pub const fn from_bytes(n: u16) -> Option<Self> {
        match n {
            4 => Some(RegSize::Four),
            8 => Some(RegSize::Eight),
            _ => None,
        }
    }
}

/// A register access whose behaviour is UNSPECIFIED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RegError {
    /// "the address is not aligned to the size of the access"
    #[error("register access at {0:#x} is not aligned to its size")]
    Misaligned(u16),
    /// "the access spans multiple registers"
    #[error("8-byte access at {0:#x} spans two registers")]
    Spans(u16),
    /// The offset is not in the 4-KiB page.
    #[error("register offset {0:#x} is outside the page")]
    Outside(u16),
}

/// What a register write set in motion, for whoever runs the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RegEffects {
    /// The queue went from off to on.
    pub enabled: Option<Queue>,
    /// The queue went from on to off.
    pub disabled: Option<Queue>,
    /// `ddtp` was written.
    pub ddtp: bool,
    /// `tr_req_ctl.Go/Busy` went from 0 to 1: run [`crate::Iommu::run_debug_request`].
    pub debug_request: bool,
    /// What makes the outcome of this write UNSPECIFIED, if anything does; the model then
    /// still takes the plain meaning of the write.
    pub unspecified: Option<&'static str>,
}

/// `PPN` in bits 53:10 of `ddtp` and of the queue bases, `bits` wide.
fn ppn_mask(bits: u8) -> u64 {
    ((1u64 << bits.min(44)) - 1) << 10
}

impl Registers {
    /// The registers after reset (section "Reset behavior"). What the section leaves
    /// UNSPECIFIED is 0, or as the choices say.
    #[must_use]
    pub fn reset(cfg: &Config) -> Self {
        let caps = cfg.capabilities;
        Registers {
            be: cfg.choices.big_endian,
            wsi: match caps.igs() {
                Igs::Wsi => true,
                Igs::Both => cfg.choices.wsi_at_reset,
                Igs::Msi | Igs::Reserved => false,
            },
            gxl: cfg.choices.gxl.at_reset(),
            // "Reset value for ddtp.iommu_mode field must be either Off or Bare."
            mode: if cfg.choices.reset_bare {
                IommuMode::Bare
            } else {
                IommuMode::Off
            },
            ddtp_ppn: 0,
            // "The reset value is 0 for cqen, cqie, cqon, and busy" (fq, pq alike)
            cq: QueueRegs::default(),
            fq: QueueRegs::default(),
            pq: QueueRegs::default(),
            // "The reset value is 0 for: ipsr"
            ipsr: 0,
            iocountinh: 0,
            iohpmcycles: 0,
            iohpmctr: [0; 31],
            iohpmevt: [0; 31],
            tr_req_iova: 0,
            tr_req_ctl: 0,
            tr_response: 0,
            // "If the reset value for ddtp.iommu_mode field is Bare, then the
            // iommu_qosid.RCID field must have a reset value of 0."
            iommu_qosid: 0,
            icvec: 0,
            msi_cfg: [MsiEntry::default(); 16],
        }
    }

    /// The queue's registers.
    #[must_use]
    pub fn queue(&self, q: Queue) -> &QueueRegs {
        match q {
            Queue::Command => &self.cq,
            Queue::Fault => &self.fq,
            Queue::PageRequest => &self.pq,
        }
    }

    /// The queue's registers, to change.
    pub fn queue_mut(&mut self, q: Queue) -> &mut QueueRegs {
        match q {
            Queue::Command => &mut self.cq,
            Queue::Fault => &mut self.fq,
            Queue::PageRequest => &mut self.pq,
        }
    }

    /// `ddtp` as it reads (`busy` is 0: the model works synchronously).
    #[must_use]
    pub fn ddtp(&self) -> u64 {
        self.mode.code() | (self.ddtp_ppn << 10)
    }

    /// `fctl` as it reads.
    #[must_use]
    pub fn fctl(&self) -> u32 {
        u32::from(self.be) | u32::from(self.wsi) << 1 | u32::from(self.gxl) << 2
    }

    /// The 4-bit vector of bit `n` (0 to 3) of `ipsr`.
    #[must_use]
    pub const fn vector_of(&self, n: u32) -> u8 {
        ((self.icvec >> (4 * (n & 3))) & 0xf) as u8
    }

    /// Which 8-byte register starts at `offset`, if one does.
    fn is_eight(offset: u16) -> bool {
        use offset::*;
        matches!(
            offset,
            CAPABILITIES
                | DDTP
                | CQB
                | FQB
                | PQB
                | IOHPMCYCLES
                | TR_REQ_IOVA
                | TR_REQ_CTL
                | TR_RESPONSE
                | ICVEC
        ) || (offset.is_multiple_of(8) && (IOHPMCTR1..IOHPMEVT1 + 248).contains(&offset))
            || (offset.is_multiple_of(16) && (MSI_CFG_TBL..MSI_CFG_TBL + 256).contains(&offset))
    }

    /// Checks the three conditions under which an access is UNSPECIFIED.
    fn check(offset: u16, size: RegSize) -> Result<(), RegError> {
        if offset >= 4096 {
            return Err(RegError::Outside(offset));
        }
        if !offset.is_multiple_of(size.bytes()) {
            return Err(RegError::Misaligned(offset));
        }
        // Reserved and custom space has no registers that an access could span.
        let reserved = (628..760).contains(&offset) || offset >= 1024;
        if size == RegSize::Eight && !reserved && !Self::is_eight(offset) {
            return Err(RegError::Spans(offset));
        }
        Ok(())
    }

    /// The value of the 8-byte aligned slot at `offset`.
    fn slot(&self, cfg: &Config, at: u16) -> u64 {
        use offset::*;
        let caps = cfg.capabilities;
        let two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let ats = caps.has(Capabilities::ATS);
        let hpm = caps.has(Capabilities::HPM);
        let dbg = caps.has(Capabilities::DBG);
        // "If a register is optional, as determined by the corresponding capabilities register
        // bit being 0, then a read ... returns 0"
        match at {
            CAPABILITIES => caps.0,
            FCTL => u64::from(self.fctl()),
            DDTP => self.ddtp(),
            CQB => self.cq.base,
            CQH => two(self.cq.head, self.cq.tail),
            FQB => self.fq.base,
            FQH => two(self.fq.head, self.fq.tail),
            PQB if ats => self.pq.base,
            PQH if ats => two(self.pq.head, self.pq.tail),
            CQCSR => two(self.cq.csr(Queue::Command), self.fq.csr(Queue::Fault)),
            PQCSR => two(
                if ats {
                    self.pq.csr(Queue::PageRequest)
                } else {
                    0
                },
                self.ipsr,
            ),
            IOCOUNTOVF if hpm => two(self.iocountovf(), self.iocountinh),
            IOHPMCYCLES if hpm => self.iohpmcycles,
            IOHPMCTR1..IOHPMEVT1 if hpm => self.iohpmctr[usize::from((at - IOHPMCTR1) / 8)],
            IOHPMEVT1..TR_REQ_IOVA if hpm => self.iohpmevt[usize::from((at - IOHPMEVT1) / 8)],
            TR_REQ_IOVA if dbg => self.tr_req_iova,
            TR_REQ_CTL if dbg => self.tr_req_ctl,
            TR_RESPONSE if dbg => self.tr_response,
            IOMMU_QOSID if caps.has(Capabilities::QOSID) => u64::from(self.iommu_qosid),
            ICVEC => self.icvec,
            _ if (MSI_CFG_TBL..MSI_CFG_TBL + 256).contains(&at) => {
                let e = &self.msi_cfg[usize::from((at - MSI_CFG_TBL) / 16)];
                if at.is_multiple_of(16) {
                    e.addr
                } else {
                    two(e.data, u32::from(e.masked))
                }
            }
            // "Registers and register fields designated for future standard use must be
            // read-only zero." Custom ones too, since the model defines no custom use.
            _ => 0,
        }
    }

    /// `iocountovf`: "shadow copies of the OF bits".
    #[must_use]
    pub fn iocountovf(&self) -> u32 {
        let of = |v: u64| (v >> 63) as u32;
        self.iohpmevt
            .iter()
            .enumerate()
            .fold(of(self.iohpmcycles), |acc, (i, e)| {
                acc | of(*e) << (i as u32 + 1)
            })
    }

    /// Reads a register; a 4-byte access yields that half in the low 32 bits.
    ///
    /// # Errors
    /// Accesses whose behaviour is UNSPECIFIED.
    pub fn read(&self, cfg: &Config, at: u16, size: RegSize) -> Result<u64, RegError> {
        Self::check(at, size)?;
        let slot = self.slot(cfg, at & !7);
        Ok(match size {
            RegSize::Eight => slot,
            RegSize::Four if at & 4 == 0 => slot & 0xffff_ffff,
            RegSize::Four => slot >> 32,
        })
    }

    /// Writes a register (values only: [`crate::Iommu::write_reg`] also lets interrupts follow).
    ///
    /// # Errors
    /// Accesses whose behaviour is UNSPECIFIED; nothing changes.
    pub(crate) fn write(
        &mut self,
        cfg: &Config,
        at: u16,
        size: RegSize,
        value: u64,
    ) -> Result<RegEffects, RegError> {
        Self::check(at, size)?;
        let mut fx = RegEffects::default();
        match size {
            RegSize::Four => self.write_slot(
                cfg,
                at & !7,
                at & 4 != 0,
                at & 4 == 0,
                half(at, value),
                &mut fx,
            ),
            RegSize::Eight => self.write_slot(cfg, at, true, true, value, &mut fx),
        }
        Ok(fx)
    }

    /// Writes the high and/or low half of the 8-byte slot at `at`.
    fn write_slot(
        &mut self,
        cfg: &Config,
        at: u16,
        high: bool,
        low: bool,
        value: u64,
        fx: &mut RegEffects,
    ) {
        use offset::*;
        let caps = cfg.capabilities;
        let ch = &cfg.choices;
        let lanes =
            (if high { 0xffff_ffff_0000_0000 } else { 0 }) | (if low { 0xffff_ffff } else { 0u64 });
        let merge =
            |old: u64, writable: u64| (old & !(writable & lanes)) | (value & writable & lanes);
        let lo = value as u32;
        let hi = (value >> 32) as u32;
        let base_mask = ppn_mask(ch.ppn_bits) | ((1u64 << ch.log2sz_bits.min(5)) - 1);
        match at {
            // RO
            CAPABILITIES => {}
            FCTL if low => {
                self.write_fctl(cfg, lo, fx);
            }
            DDTP => {
                let new = merge(self.ddtp(), ppn_mask(ch.ppn_bits) | 0xf);
                self.write_ddtp(cfg, new, fx);
            }
            CQB => {
                if self.cq.on {
                    fx.unspecified = Some("cqb written while cqon is 1");
                }
                self.cq.base = merge(self.cq.base, base_mask);
                // "The status of bits 31:cqb.LOG2SZ in cqt following a write to cqb is 0"
                self.cq.tail &= self.cq.index_mask();
            }
            // cqh is RO
            CQH if high => {
                // "Only LOG2SZ-1:0 bits are writable."
                self.cq.tail = hi & self.cq.index_mask();
            }
            FQB => {
                if self.fq.on {
                    fx.unspecified = Some("fqb written while fqon is 1");
                }
                self.fq.base = merge(self.fq.base, base_mask);
                self.fq.head &= self.fq.index_mask();
            }
            FQH if low => {
                // fqt is RO
                self.fq.head = lo & self.fq.index_mask();
            }
            PQB if caps.has(Capabilities::ATS) => {
                if self.pq.on {
                    fx.unspecified = Some("pqb written while pqon is 1");
                }
                self.pq.base = merge(self.pq.base, base_mask);
                self.pq.head &= self.pq.index_mask();
            }
            PQH if caps.has(Capabilities::ATS) && low => {
                self.pq.head = lo & self.pq.index_mask();
            }
            CQCSR => {
                if low {
                    self.write_csr(Queue::Command, lo, fx);
                }
                if high {
                    self.write_csr(Queue::Fault, hi, fx);
                }
            }
            PQCSR => {
                if low && caps.has(Capabilities::ATS) {
                    self.write_csr(Queue::PageRequest, lo, fx);
                }
                if high {
                    // "If a bit in ipsr is 1 then a write of 1 to the bit transitions the bit
                    // from 1->0."
                    self.ipsr &= !hi;
                }
            }
            IOCOUNTOVF if caps.has(Capabilities::HPM) && high => {
                // iocountovf is RO
                self.iocountinh = hi & counters_mask(ch.hpm_counters);
            }
            IOHPMCYCLES if caps.has(Capabilities::HPM) => {
                let counter = (1u64 << ch.hpm_cycle_bits.min(63)) - 1;
                self.iohpmcycles = merge(self.iohpmcycles, counter | 1 << 63);
            }
            IOHPMCTR1..IOHPMEVT1 if caps.has(Capabilities::HPM) => {
                let n = usize::from((at - IOHPMCTR1) / 8);
                if n < usize::from(ch.hpm_counters) {
                    self.iohpmctr[n] = merge(self.iohpmctr[n], low_bits(ch.hpm_counter_bits));
                }
            }
            IOHPMEVT1..TR_REQ_IOVA if caps.has(Capabilities::HPM) => {
                let n = usize::from((at - IOHPMEVT1) / 8);
                if n < usize::from(ch.hpm_counters) {
                    let new = merge(self.iohpmevt[n], u64::MAX);
                    // "eventID WARL": reserved and custom events are not taken.
                    let event = if new & 0x7fff <= 8 {
                        new & 0x7fff
                    } else {
                        self.iohpmevt[n] & 0x7fff
                    };
                    self.iohpmevt[n] = (new & !0x7fff) | event;
                }
            }
            TR_REQ_IOVA if caps.has(Capabilities::DBG) => {
                if self.tr_req_ctl & 1 != 0 {
                    fx.unspecified = Some("tr_req_iova written while Go/Busy is 1");
                }
                self.tr_req_iova = merge(self.tr_req_iova, !0xfff);
            }
            TR_REQ_CTL if caps.has(Capabilities::DBG) => {
                if self.tr_req_ctl & 1 != 0 {
                    fx.unspecified = Some("tr_req_ctl written while Go/Busy is 1");
                }
                // Go/Busy RW1S, Priv, Exe, NW, PID, PV, DID
                let busy = self.tr_req_ctl & 1;
                let writable = 0xf | 0xffff_f000 | 1 << 32 | 0xff_ffff << 40;
                self.tr_req_ctl = merge(self.tr_req_ctl, writable) | busy;
                fx.debug_request = busy == 0 && self.tr_req_ctl & 1 == 1;
            }
            IOMMU_QOSID if caps.has(Capabilities::QOSID) && low => {
                let m = low_bits(ch.rcid_bits.min(12)) as u32
                    | (low_bits(ch.mcid_bits.min(12)) as u32) << 16;
                self.iommu_qosid = lo & m;
            }
            ICVEC => {
                // "if only two vectors are supported then only bit 0 for each cause could be
                // writable"
                let v = u64::from(ch.vectors.clamp(1, 16)) - 1;
                self.icvec = merge(self.icvec, v | v << 4 | v << 8 | v << 12);
            }
            _ if (MSI_CFG_TBL..MSI_CFG_TBL + 256).contains(&at) => {
                let n = usize::from((at - MSI_CFG_TBL) / 16);
                // "These registers are hardwired to 0 if capabilities.IGS == WSI."
                if caps.can_msi() && n < usize::from(ch.vectors) {
                    let e = &mut self.msi_cfg[n];
                    if at.is_multiple_of(16) {
                        e.addr = merge(e.addr, low_bits(ch.msi_addr_bits.min(56)) & !3);
                    } else {
                        if low {
                            e.data = lo;
                        }
                        if high {
                            e.masked = hi & 1 == 1;
                        }
                    }
                }
            }
            // Reserved, custom, and optional registers that are not there: ignored.
            _ => {}
        }
    }

    fn write_fctl(&mut self, cfg: &Config, v: u32, fx: &mut RegEffects) {
        let old = self.fctl();
        // "END: When 0, IOMMU supports one endianness. When 1, IOMMU supports both."
        if cfg.capabilities.has(Capabilities::END) {
            self.be = v & 1 != 0;
        }
        // "BOTH: The interrupt generation method must be defined in the fctl register."
        if cfg.capabilities.igs() == Igs::Both {
            self.wsi = v & 2 != 0;
        }
        if let ControlBit::Writable(_) = cfg.choices.gxl {
            self.gxl = v & 4 != 0;
        }
        if self.fctl() != old {
            if self.mode != IommuMode::Off {
                fx.unspecified = Some("fctl changed while ddtp.iommu_mode is not Off");
            } else if self.cq.on || self.fq.on || self.pq.on {
                fx.unspecified = Some("fctl changed while a queue is on");
            }
        }
    }

    fn write_ddtp(&mut self, cfg: &Config, new: u64, fx: &mut RegEffects) {
        fx.ddtp = true;
        self.ddtp_ppn = (new >> 10) & ((1 << 44) - 1);
        // WARL: an illegal or unsupported mode leaves the field as it was.
        let taken = match IommuMode::from_code(new & 0xf) {
            Some(IommuMode::Levels(n)) if !cfg.takes_level(n) => None,
            m => m,
        };
        let Some(mode) = taken else { return };
        fx.unspecified = match (self.mode, mode) {
            // "writing iommu_mode to 1LVL, 2LVL, or 3LVL, when the previous value of the
            // iommu_mode is not Off or Bare is UNSPECIFIED"
            (IommuMode::Levels(a), IommuMode::Levels(b)) if a != b => {
                Some("iommu_mode changed from one directory depth to another")
            }
            // "changing the iommu_mode to Bare when the previous value ... was not Off"
            (IommuMode::Levels(_), IommuMode::Bare) => {
                Some("iommu_mode changed to Bare from a directory mode")
            }
            _ => None,
        };
        self.mode = mode;
    }

    fn write_csr(&mut self, queue: Queue, v: u32, fx: &mut RegEffects) {
        let wsi = self.wsi;
        let q = self.queue_mut(queue);
        // RW1C: cqmf/fqmf/pqmf, cmd_to or fqof/pqof, cmd_ill, fence_w_ip
        q.memory_fault &= v & 1 << 8 == 0;
        q.overflow &= v & 1 << 9 == 0;
        if queue == Queue::Command {
            q.illegal &= v & 1 << 10 == 0;
            // "This bit is reserved if ... fctl.WSI == 0": nothing ever sets it then.
            q.fence_w_ip &= v & 1 << 11 == 0 && wsi;
        }
        q.interrupt_enable = v & 2 != 0;
        let enable = v & 1 != 0;
        if enable && !q.enable {
            // "Changing cqen from 0 to 1 sets the cqh register and the cqcsr bits cmd_ill,
            // cmd_to, cqmf, fence_w_ip to 0." "Changing fqen from 0 to 1 sets the fqt register
            // and the fqcsr bits fqof and fqmf to 0." (pqen alike)
            q.memory_fault = false;
            q.overflow = false;
            q.illegal = false;
            q.fence_w_ip = false;
            match queue {
                Queue::Command => q.head = 0,
                Queue::Fault | Queue::PageRequest => q.tail = 0,
            }
            fx.enabled = Some(queue);
        }
        if !enable && q.enable {
            fx.disabled = Some(queue);
        }
        q.enable = enable;
        // The model turns queues on and off synchronously: busy is hard-wired to 0.
        q.on = enable;
    }
}

/// Moves a 4-byte access's value to its lanes.
const fn half(at: u16, value: u64) -> u64 {
    if at & 4 == 0 {
        value & 0xffff_ffff
    } else {
        value << 32
    }
}

/// Mask of the low `n` bits, 0 to 64.
const fn low_bits(n: u8) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// Bit 0 for `iohpmcycles` and one bit a counter.
fn counters_mask(counters: u8) -> u32 {
    low_bits(counters.min(31) + 1) as u32
}
