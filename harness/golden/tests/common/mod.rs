//! A small operating system: lays tables out in memory the way software would.
#![allow(dead_code)] // each test file uses its part

use iommu_golden::*;

pub const V: u64 = 1;
pub const R: u64 = 1 << 1;
pub const W: u64 = 1 << 2;
pub const X: u64 = 1 << 3;
pub const U: u64 = 1 << 4;
pub const G: u64 = 1 << 5;
pub const A: u64 = 1 << 6;
pub const D: u64 = 1 << 7;
/// Bits of a leaf that a user may read and write, A and D set.
pub const RWU: u64 = V | R | W | U | A | D;

/// Bits of `DC.tc`.
pub mod tc {
    pub const V: u64 = 1;
    pub const EN_ATS: u64 = 1 << 1;
    pub const EN_PRI: u64 = 1 << 2;
    pub const T2GPA: u64 = 1 << 3;
    pub const DTF: u64 = 1 << 4;
    pub const PDTV: u64 = 1 << 5;
    pub const PRPR: u64 = 1 << 6;
    pub const GADE: u64 = 1 << 7;
    pub const SADE: u64 = 1 << 8;
    pub const DPE: u64 = 1 << 9;
    pub const SBE: u64 = 1 << 10;
    pub const SXL: u64 = 1 << 11;
}

/// What the RTL of the first slice has.
pub fn slice_caps() -> Capabilities {
    Capabilities::version_1_0()
        .with(Capabilities::SV39 | Capabilities::SV48 | Capabilities::SV57 | Capabilities::MSI_FLAT)
        .with_igs(Igs::Both)
        .with_pas(56)
}

/// Everything that the specification has.
pub fn all_caps() -> Capabilities {
    slice_caps().with(
        Capabilities::SV32
            | Capabilities::SVRSW60T59B
            | Capabilities::SVPBMT
            | Capabilities::SV32X4
            | Capabilities::SV39X4
            | Capabilities::SV48X4
            | Capabilities::SV57X4
            | Capabilities::AMO_MRIF
            | Capabilities::MSI_MRIF
            | Capabilities::AMO_HWAD
            | Capabilities::ATS
            | Capabilities::T2GPA
            | Capabilities::END
            | Capabilities::HPM
            | Capabilities::DBG
            | Capabilities::PD8
            | Capabilities::PD17
            | Capabilities::PD20
            | Capabilities::QOSID
            | Capabilities::NL
            | Capabilities::S,
    )
}

pub struct Rig {
    pub iommu: Iommu,
    pub mem: SimpleMemory,
    next: u64,
}

impl Rig {
    /// Three-level directory with an empty root.
    pub fn new(caps: Capabilities) -> Self {
        Self::with(Config::new(caps))
    }

    pub fn with(config: Config) -> Self {
        let mut rig = Rig {
            iommu: Iommu::new(config).expect("valid configuration"),
            mem: SimpleMemory::new(),
            next: 0x8000_0000,
        };
        let root = rig.page();
        rig.mode(4, root);
        rig
    }

    /// A fresh, zero 16-KiB aligned block (16 KiB, so that it serves as second-stage root too).
    pub fn page(&mut self) -> u64 {
        self.next += 0x4000;
        self.next
    }

    pub fn w(&mut self, offset: u16, value: u64) -> RegEffects {
        let size = if matches!(offset, 8 | 12 | 32 | 36 | 48 | 52 | 64 | 68 | 72..=95 | 624)
            || (offset >= 768 && offset & 8 != 0)
        {
            RegSize::Four
        } else {
            RegSize::Eight
        };
        self.iommu
            .write_reg(offset, size, value)
            .expect("register access")
    }

    pub fn r(&self, offset: u16) -> u64 {
        let size = if matches!(offset, 8 | 12 | 32 | 36 | 48 | 52 | 64 | 68 | 72..=95 | 624)
            || (offset >= 768 && offset & 8 != 0)
        {
            RegSize::Four
        } else {
            RegSize::Eight
        };
        self.iommu.read_reg(offset, size).expect("register access")
    }

    /// `ddtp`: through Off, as software must.
    pub fn mode(&mut self, mode: u64, root: u64) {
        let keep = self.r(offset::DDTP) & !0xf;
        self.w(offset::DDTP, keep);
        self.w(offset::DDTP, mode | root >> 12 << 10);
    }

    pub fn ddt_root(&self) -> u64 {
        self.iommu.registers().ddtp_ppn << 12
    }

    fn leaf_bits(&self) -> u32 {
        if self.iommu.capabilities().has(Capabilities::MSI_FLAT) {
            6
        } else {
            7
        }
    }

    /// Address of the DC of `did`, making the directories on the way.
    pub fn dc_addr(&mut self, did: u32) -> u64 {
        let bits = self.leaf_bits();
        let levels = match self.iommu.registers().mode {
            IommuMode::Levels(n) => n,
            _ => 3,
        };
        let mut a = self.ddt_root();
        for i in (1..levels).rev() {
            let index = u64::from(did) >> (bits + 9 * (u32::from(i) - 1)) & 0x1ff;
            a = self.next_table(a + index * 8);
        }
        a + (u64::from(did) & ((1 << bits) - 1)) * self.iommu.capabilities().dc_size()
    }

    /// The table a non-leaf entry (any kind: V in bit 0, PPN in 53:10) points to, made if absent.
    pub fn next_table(&mut self, entry: u64) -> u64 {
        let e = self.mem.read_u64(entry);
        if e & 1 == 1 {
            return (e >> 10 & ((1 << 44) - 1)) << 12;
        }
        let page = self.page();
        self.mem.write_u64(entry, V | page >> 12 << 10);
        page
    }

    pub fn set_dc(&mut self, did: u32, dc: &DeviceContext) {
        let at = self.dc_addr(did);
        let n = (self.iommu.capabilities().dc_size() / 8) as usize;
        for (i, w) in dc.to_words().iter().take(n).enumerate() {
            self.mem.write_u64(at + 8 * i as u64, *w);
        }
    }

    /// Puts `pte` (without PPN) for `va` at `level` of a table with `levels` levels of 8-byte
    /// entries; `root_extra` is 2 for a second stage.
    pub fn map(
        &mut self,
        root: u64,
        levels: u8,
        root_extra: u8,
        va: u64,
        level: u8,
        pte: u64,
    ) -> u64 {
        let mut a = root;
        let mut i = levels - 1;
        loop {
            let bits = 9 + if i == levels - 1 { root_extra } else { 0 };
            let entry = a + (va >> (12 + 9 * i) & ((1 << bits) - 1)) * 8;
            if i == level {
                self.mem.write_u64(entry, pte);
                return entry;
            }
            a = self.next_table(entry);
            i -= 1;
        }
    }

    pub fn go(&mut self, req: Request) -> Outcome {
        self.iommu.translate(&mut self.mem, &req, &mut ())
    }

    /// The address of a granted request.
    pub fn ok(&mut self, req: Request) -> u64 {
        match self.go(req) {
            Outcome::Granted(t) => t.spa.0,
            other => panic!("expected a grant, got {other:?}"),
        }
    }

    /// The cause of a refused request.
    pub fn cause(&mut self, req: Request) -> u16 {
        match self.go(req) {
            Outcome::Denied(d) => d.cause.code(),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    pub fn record(&mut self, req: Request) -> FaultRecord {
        *self.go(req).record().expect("a record")
    }

    /// A device with an Sv39 first stage and no second: returns the root.
    pub fn sv39(&mut self, did: u32) -> u64 {
        self.first_stage(did, 8, tc::V)
    }

    pub fn first_stage(&mut self, did: u32, mode: u64, tc: u64) -> u64 {
        let root = self.page();
        self.set_dc(
            did,
            &DeviceContext {
                tc,
                ta: 0x5 << 12,
                fsc: mode << 60 | root >> 12,
                ..Default::default()
            },
        );
        root
    }
}

pub fn leaf(pa: u64, bits: u64) -> u64 {
    pa >> 12 << 10 | bits
}

pub fn read(did: u32, va: u64) -> Request {
    Request::read(did, Iova(va))
}

pub fn write(did: u32, va: u64) -> Request {
    Request::write(did, Iova(va))
}

pub fn exec(did: u32, va: u64) -> Request {
    Request {
        access: Access::Execute,
        ..Request::read(did, Iova(va))
    }
}

pub fn translated(did: u32, va: u64) -> Request {
    Request {
        kind: RequestKind::Translated,
        ..Request::read(did, Iova(va))
    }
}

pub fn ats(did: u32, va: u64) -> Request {
    Request {
        kind: RequestKind::AtsTranslation,
        ..Request::read(did, Iova(va))
    }
}

pub fn with_pid(req: Request, pid: u32) -> Request {
    Request {
        process_id: Some(pid),
        ..req
    }
}

/// A VM: second-stage root, and an identity map of the low 8 GiB (where the rig puts its tables)
/// in gigapages.
pub fn vm(r: &mut Rig, levels: u8, bits: u64) -> u64 {
    let root = r.page();
    for g in 0..8u64 {
        r.map(root, levels, 2, g << 30, 2, leaf(g << 30, bits));
    }
    root
}

pub fn hgatp(mode: u64, gscid: u64, root: u64) -> u64 {
    mode << 60 | gscid << 44 | root >> 12
}

/// Nested device: Sv39 on Sv39x4, identity second stage. Returns (first root, second root).
pub fn nested(r: &mut Rig, did: u32, tc: u64) -> (u64, u64) {
    let g = vm(r, 3, RWU);
    let root = r.page();
    r.set_dc(
        did,
        &DeviceContext {
            tc,
            iohgatp: hgatp(8, 7, g),
            ta: 5 << 12,
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        },
    );
    (root, g)
}

/// A device with a process directory of `mode`; returns the directory's root.
pub fn pdt(r: &mut Rig, did: u32, mode: u64, tc: u64, iohgatp: u64) -> u64 {
    let root = r.page();
    r.set_dc(
        did,
        &DeviceContext {
            tc: tc | tc::V | tc::PDTV,
            iohgatp,
            fsc: mode << 60 | root >> 12,
            ..Default::default()
        },
    );
    root
}

/// Address of the PC of `pid`, tables made on the way.
pub fn pc_addr(r: &mut Rig, root: u64, mode: u64, pid: u64) -> u64 {
    let mut a = root;
    for i in (1..mode).rev() {
        let index = if i == 2 { pid >> 17 } else { pid >> 8 & 0x1ff };
        a = r.next_table(a + index * 8);
    }
    a + (pid & 0xff) * 16
}

pub fn set_pc(r: &mut Rig, root: u64, mode: u64, pid: u64, ta: u64, fsc: u64) -> u64 {
    let at = pc_addr(r, root, mode, pid);
    r.mem.write_u64(at, ta);
    r.mem.write_u64(at + 8, fsc);
    at
}

pub fn supervisor(req: Request) -> Request {
    Request {
        privileged: true,
        ..req
    }
}

/// A VM of device 5 with a flat MSI page table; returns the table.
pub fn msi_rig(mask: u64, pattern: u64) -> (Rig, u64) {
    let mut r = Rig::new(all_caps());
    let g = vm(&mut r, 3, RWU);
    let table = r.page();
    r.set_dc(
        5,
        &DeviceContext {
            tc: V,
            iohgatp: hgatp(8, 7, g),
            msiptp: 1 << 60 | table >> 12,
            msi_addr_mask: mask,
            msi_addr_pattern: pattern,
            ..Default::default()
        },
    );
    (r, table)
}
