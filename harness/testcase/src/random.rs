//! Random tests: a seed makes capabilities, timing, tables, devices, traffic and
//! edits. What it drives is always defined by the specification; it says
//! nothing about results, the scoreboard knows them.
//!
//! Edits are quiesced: everything comes to rest, the tables change, the IOMMU is
//! told, a fence completes, and traffic goes on.

use std::path::PathBuf;
use std::sync::Arc;

use iommu_bus::event::Burst;
use iommu_bus::mem::{FaultAccess, MemFault};
use iommu_bus::timing::{DevTiming, PortTiming, RegTiming};

use crate::caps;
use crate::case::{Case, Setting, Signals, Source, Timings};
use crate::driver::{Directory, DomainId, Driver, DriverConfig, Leaf, Scheme, pte};
use crate::op::{CaseError, Dma, Op, OpAt, Ops, Shape, Where};
use crate::regs;
use crate::rng::Random;

/// Tables live from here on; data from [`DATA`] on, so that no DMA reaches a table by the
/// driver's own mappings.
const TABLES: u64 = 0x4000_0000;
/// Data pages.
const DATA: u64 = 0x8000_0000;
/// Bytes of data pages for small leaves.
const DATA_BYTES: u64 = 0x4000_0000;
/// Rounds of traffic between edits.
const ROUNDS: u64 = 24;
/// Accesses a round, at most: the fault queue holds them all.
const BURST: u64 = 60;

/// The random test; a seed makes it one of very many.
#[must_use]
pub fn case() -> Case {
    Case {
        name: "random".into(),
        file: PathBuf::from("random"),
        description: "Random capabilities, tables, devices, timing, traffic and edits.".into(),
        tags: vec!["random".into()],
        quiesced: true,
        needs: caps::SV39,
        gxl: false,
        signals: Signals::Any,
        fixed: setting(0),
        total_hint: ROUNDS * (BURST / 2 + 40),
        draw: Some(Arc::new(setting)),
        source: Arc::new(Profile),
    }
}

/// Capabilities and timing of a seed.
fn setting(seed: u64) -> Setting {
    let mut r = Random::new(seed, "capabilities");
    let mut mask = u64::MAX;
    // When Sv57 is set, Sv48 must be; Sv39 stays.
    match r.below(4) {
        0 => mask &= !(caps::SV48 | caps::SV57),
        1 => mask &= !caps::SV57,
        _ => {}
    }
    if r.percent(35) {
        // MRIF is no use without the flat table.
        mask &= !(caps::MSI_FLAT | 1 << 23);
    }
    if r.percent(25) {
        // 56 & 48 = 48, 56 & 40 = 40: a smaller physical address space.
        let pas = *r.pick(&[48u64, 40]);
        mask &= !(0x3f << caps::PAS_SHIFT) | pas << caps::PAS_SHIFT;
    }

    let mut r = Random::new(seed, "timing");
    let port = |r: &mut Random| {
        let low = r.range(1, 20) as u32;
        let spread = if r.percent(50) {
            r.range(0, 40) as u32
        } else {
            0
        };
        let out_of_order = r.percent(50);
        PortTiming {
            latency: low..=low + spread,
            out_of_order,
            interleave: out_of_order && r.percent(50),
            ready_percent: *r.pick(&[100, 100, 80, 40]),
            gap_percent: *r.pick(&[0, 0, 10, 50]),
            stopped: false,
        }
    };
    let mem = port(&mut r);
    let out = port(&mut r);
    let dev = DevTiming {
        aw_gap_percent: *r.pick(&[0, 0, 20, 60]),
        w_gap_percent: *r.pick(&[0, 0, 20, 60]),
        ar_gap_percent: *r.pick(&[0, 0, 20, 60]),
        w_before_aw: r.percent(30),
        aw_delay: if r.percent(20) {
            r.range(1, 8) as u32
        } else {
            0
        },
        w_delay: if r.percent(20) {
            r.range(1, 8) as u32
        } else {
            0
        },
        b_ready_percent: *r.pick(&[100, 100, 50]),
        r_ready_percent: *r.pick(&[100, 100, 50]),
        max_reads: *r.pick(&[256, 16, 1]),
        max_writes: *r.pick(&[256, 16, 1]),
        ..DevTiming::default()
    };
    let reg = RegTiming {
        gap_percent: *r.pick(&[0, 20]),
        ready_percent: *r.pick(&[100, 60]),
        max_outstanding: 1,
    };
    Setting {
        caps_mask: mask,
        timings: Timings { mem, out, dev, reg },
        // Without MSI_FLAT the contexts are smaller.
        needs: mask & caps::MSI_FLAT,
    }
}

#[derive(Debug)]
struct Profile;

impl Source for Profile {
    fn ops(&self, seed: u64) -> Result<Ops, CaseError> {
        Ok(Box::new(Run::new(seed).all().into_iter().map(Ok)))
    }
}

struct Device {
    id: u32,
    domain: Option<DomainId>,
    attached: bool,
}

struct Run {
    driver: Driver,
    tables: Random,
    traffic: Random,
    edits: Random,
    schemes: Vec<Scheme>,
    domains: Vec<DomainId>,
    devices: Vec<Device>,
    /// `ddtp` is in mode Bare: there are no tables.
    bare: bool,
    out: Vec<OpAt>,
    round: u32,
    seed: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mask = setting(seed).caps_mask;
        let mut tables = Random::new(seed, "tables");
        let mut schemes = vec![Scheme::Sv39];
        if mask & caps::SV48 != 0 {
            schemes.push(Scheme::Sv48);
        }
        if mask & caps::SV57 != 0 {
            schemes.push(Scheme::Sv57);
        }
        let bare = tables.percent(5);
        let directory = if bare {
            Directory::Bare
        } else {
            *tables.pick(&[Directory::One, Directory::Two, Directory::Three])
        };
        let driver = Driver::new(DriverConfig {
            directory,
            extended: mask & caps::MSI_FLAT != 0,
            cq_log2: tables.range(1, 9) as u32,
            fq_log2: tables.range(7, 9) as u32,
            interrupts: tables.percent(80),
            wires: tables.percent(40),
            vectors: (tables.below(4) as u8, tables.below(4) as u8),
            messages: 0x2800_0000,
            memory: TABLES,
            ..DriverConfig::default()
        });
        Self {
            driver,
            tables,
            traffic: Random::new(seed, "traffic"),
            edits: Random::new(seed, "edits"),
            schemes,
            domains: Vec::new(),
            devices: Vec::new(),
            bare,
            out: Vec::new(),
            round: 0,
            seed,
        }
    }

    /// Takes over what the driver did.
    fn collect(&mut self, what: &str) {
        let at = Where {
            file: format!("random, seed {}", self.seed).into(),
            line: self.round,
            text: what.into(),
        };
        for op in self.driver.take() {
            self.out.push(OpAt { op, at: at.clone() });
        }
    }

    fn push(&mut self, what: &str, op: Op) {
        self.out.push(OpAt {
            op,
            at: Where {
                file: format!("random, seed {}", self.seed).into(),
                line: self.round,
                text: what.into(),
            },
        });
    }

    fn all(mut self) -> Vec<OpAt> {
        self.set_up();
        for round in 1..=ROUNDS {
            self.round = round as u32;
            let memory_error = !self.bare && self.edits.percent(10);
            if memory_error {
                self.break_memory();
            }
            let n = self.traffic.range(5, BURST);
            for _ in 0..n {
                let dma = self.access();
                self.push("traffic", Op::Dma(dma));
                if self.traffic.percent(5) {
                    let gap = self.traffic.range(1, 200) as u32;
                    self.push("traffic", Op::Cycles(gap));
                }
            }
            self.driver.drain_faults(None);
            self.collect("fault queue");
            if memory_error {
                self.push("memory heals", Op::ClearFaults);
                self.tell_all();
            }
            if !self.bare {
                for _ in 0..self.edits.range(1, 4) {
                    self.edit();
                }
                self.driver.fence(true, true);
                self.collect("fence");
            }
        }
        self.push("end", Op::WaitIdle);
        self.out
    }

    fn set_up(&mut self) {
        let levels = self.driver.cfg.directory.levels();
        for n in 0..self.tables.range(1, 4) {
            let scheme = *self.tables.pick(&self.schemes);
            // PSCIDs that differ in few bits.
            let pscid = 1 << self.tables.below(20) | n as u32;
            let pscid = if self
                .domains
                .iter()
                .any(|&d| self.driver.domain_ref(d).pscid == pscid)
            {
                0x5_0000 + n as u32
            } else {
                pscid
            };
            let domain = self.driver.domain(scheme, pscid);
            self.domains.push(domain);
            for _ in 0..self.tables.range(3, 20) {
                self.map_something(domain);
            }
        }
        if levels > 0 {
            let base = self.driver.context_bytes();
            let bits = if base == 64 { 6 } else { 7 } + 9 * (levels - 1);
            let bits = bits.min(24);
            let first = self.tables.below(1 << bits) as u32;
            for n in 0..self.tables.range(1, 6) {
                // Ids that differ in one bit, so that a short tag would show.
                let id = if n == 0 {
                    first
                } else {
                    first ^ 1 << self.tables.below(u64::from(bits))
                };
                if self.devices.iter().any(|d| d.id == id) {
                    continue;
                }
                let domain = if self.tables.percent(85) {
                    Some(*self.tables.pick(&self.domains))
                } else {
                    None
                };
                // Within reach by construction.
                let attached = self.driver.attach(id, domain).is_ok();
                self.devices.push(Device {
                    id,
                    domain,
                    attached,
                });
            }
        } else {
            self.devices.push(Device {
                id: self.tables.below(1 << 24) as u32,
                domain: None,
                attached: true,
            });
        }
        self.collect("tables");
        self.driver.start();
        self.collect("start");
    }

    /// Maps a leaf of random size and permission somewhere, and sometimes spoils its entry.
    fn map_something(&mut self, domain: DomainId) {
        let scheme = self.driver.domain_ref(domain).scheme;
        let r = &mut self.tables;
        let shift = *r.pick(&[12u32, 12, 12, 12, 16, 16, 21, 21, 30, 39]);
        if (shift - 12) / 9 >= scheme.levels() {
            return;
        }
        let bits = 12 + 9 * scheme.levels();
        // Addresses that alias in their low bits: few values, high bits at random.
        let low = r.below(32) << shift;
        let high = if r.percent(50) {
            0
        } else {
            1u64 << r.range(u64::from(shift), u64::from(bits) - 1)
        };
        let iova = low ^ high;
        let iova = ((iova << (64 - bits)) as i64 >> (64 - bits)) as u64 & !((1 << shift) - 1);
        let pa = match shift {
            39 => 1u64 << 39,
            30 => DATA + (r.below(4) << 30),
            s => DATA + (r.below(DATA_BYTES >> s) << s),
        };
        let flags = match r.below(8) {
            0 => pte::R,
            1 => pte::X,
            2 => pte::R | pte::X,
            3 => pte::R | pte::W | pte::X,
            _ => pte::R | pte::W,
        } | pte::V
            | if r.percent(92) { pte::U } else { 0 }
            | if r.percent(95) { pte::A } else { 0 }
            | if r.percent(90) { pte::D } else { 0 }
            | if r.percent(10) { pte::G } else { 0 };
        // What does not fit beside the leaves there is not mapped.
        if self
            .driver
            .map(domain, iova, pa, 1 << shift, Some(shift), flags)
            .is_err()
        {
            return;
        }
        if self.tables.percent(10) {
            self.spoil(domain, iova, shift);
        }
    }

    /// Gives an entry an encoding that must fault.
    fn spoil(&mut self, domain: DomainId, iova: u64, shift: u32) {
        if shift == 16 {
            // One bad entry of 16: a cache may answer for it from the other 15.
            return;
        }
        let level = (shift - 12) / 9;
        let Ok(at) = self.driver.table_entry(domain, iova, level) else {
            return;
        };
        let entry = self.driver.word(at);
        let r = &mut self.tables;
        let spoilt = match r.below(6) {
            // Reserved bits, and PBMT without Svpbmt.
            0 => entry | 1 << r.range(54, 62),
            // Write without read.
            1 => entry & !(pte::R | pte::X) | pte::W | *r.pick(&[0, pte::X]),
            // A superpage that is not aligned; a NAPOT encoding that does not exist.
            2 if level > 0 => entry | 1 << (10 + r.below(9 * u64::from(level))),
            2 => entry & !(0xf << 10) | pte::N | *r.pick(&[0u64, 1, 4, 9, 12, 15]) << 10,
            // N in a superpage.
            3 if level > 0 => entry | pte::N,
            3 => entry & !pte::V,
            // A non-leaf with A, D or U; at level 0 a pointer to nowhere.
            4 => {
                entry & !(pte::R | pte::W | pte::X | pte::D | pte::A | pte::U)
                    | *r.pick(&[pte::D, pte::A, pte::U])
            }
            _ => entry & !pte::V,
        };
        self.driver.store(at, spoilt);
    }

    fn leaf_of(&mut self, domain: DomainId) -> Option<Leaf> {
        let leaves: Vec<Leaf> = self.driver.leaves(domain).copied().collect();
        if leaves.is_empty() {
            None
        } else {
            Some(*self.traffic.pick(&leaves))
        }
    }

    fn access(&mut self) -> Dma {
        let n = self.traffic.below(self.devices.len() as u64) as usize;
        let (mut id, domain) = (self.devices[n].id, self.devices[n].domain);
        if self.traffic.percent(4) {
            // Somebody unknown, one bit away.
            id ^= 1 << self.traffic.below(24);
        }
        let leaf = domain.and_then(|d| self.leaf_of(d));
        let r = &mut self.traffic;
        let iova = match leaf {
            Some(leaf) => match r.below(20) {
                0 => leaf.iova.wrapping_sub(r.range(1, 64)),
                1 => leaf.iova.wrapping_add(1 << leaf.shift),
                2 => leaf.iova ^ 1 << r.below(64),
                3 => r.bits(),
                _ => leaf.iova + r.below(1 << leaf.shift),
            },
            // Untranslated: where data is.
            None => DATA + r.below(DATA_BYTES),
        };
        let room = 0x1000 - (iova & 0xfff);
        let most = if r.percent(80) { 64 } else { 512 };
        let bytes = r.range(1, most.min(room));
        let write = r.percent(45);
        let mut dma = if write {
            let data = r.bytes(bytes as usize);
            Dma::write(id, iova, data)
        } else {
            Dma::read(id, iova, bytes as u32)
        };
        dma.execute = !write && r.percent(8);
        let ids = if r.percent(50) { 4 } else { 256 };
        dma.id = r.below(ids) as u8;
        if r.percent(3) {
            dma.process_id = Some(r.below(1 << 20) as u32);
            dma.privileged = r.percent(30);
        }
        dma.translated = r.percent(2);
        if r.percent(10) {
            // A beat of 2^size bytes; bursts that leave their page are refused by design 4.
            let size = r.below(4) as u8;
            let fit = (room >> size).clamp(1, 16);
            let (burst, len) = match r.below(3) {
                0 => (Burst::Fixed, r.below(fit) as u8),
                1 if iova & ((1 << size) - 1) == 0 => (Burst::Wrap, *r.pick(&[1u8, 3, 7, 15])),
                _ => (Burst::Incr, r.below(fit) as u8),
            };
            if !write {
                dma.shape = Some(Shape { len, size, burst });
            }
        }
        dma.attributes = [
            r.below(16) as u8 & 0b1110 | 1,
            r.below(16) as u8,
            r.below(16) as u8,
        ];
        dma
    }

    /// The IOMMU forgets everything.
    fn tell_all(&mut self) {
        self.driver.invalidate_directory(None);
        self.driver.invalidate_all();
        self.driver.fence(true, true);
        self.collect("forget everything");
    }

    /// A table word or page refuses or corrupts reads, and no cache hides it.
    fn break_memory(&mut self) {
        let n = self.edits.below(self.devices.len() as u64) as usize;
        let Device { id, domain, .. } = self.devices[n];
        let leaf = domain.and_then(|d| self.leaf_of(d).map(|l| (d, l)));
        let at = match leaf {
            Some((d, l)) if self.edits.percent(70) => {
                let level = if l.shift == 16 { 0 } else { (l.shift - 12) / 9 };
                let top = self.driver.domain_ref(d).scheme.levels() - 1;
                let level = self.edits.range(u64::from(level), u64::from(top)) as u32;
                self.driver.table_entry(d, l.iova, level)
            }
            _ => {
                let level = self
                    .edits
                    .below(u64::from(self.driver.cfg.directory.levels()));
                self.driver.directory_entry(id, level as u32)
            }
        };
        let Ok(at) = at else { return };
        let fault = *self
            .edits
            .pick(&[MemFault::SlvErr, MemFault::DecErr, MemFault::Poison]);
        self.collect("tables");
        self.push("rest", Op::WaitIdle);
        self.push(
            "memory breaks",
            Op::MemFault {
                range: at..at + 8,
                access: FaultAccess::Read,
                fault,
            },
        );
        self.tell_all();
    }

    /// Changes tables while nothing is under way, and tells the IOMMU.
    fn edit(&mut self) {
        let domain = *self.edits.pick(&self.domains);
        match self.edits.below(6) {
            0 | 1 => {
                self.map_something(domain);
                // What was there before may have been valid: a spoilt leaf replaced.
                self.driver.invalidate_domain(domain);
            }
            2 | 3 => {
                let Some(leaf) = self.leaf_of(domain) else {
                    return;
                };
                if let Ok(gone) = self.driver.unmap(domain, leaf.iova, 1 << leaf.shift) {
                    let global = leaf.flags & pte::G != 0;
                    match self.edits.below(3) {
                        0 if !global => self.driver.invalidate_leaves(domain, &gone),
                        1 if !global => self.driver.invalidate_domain(domain),
                        // PSCV spares global entries.
                        _ => self.driver.invalidate_all(),
                    }
                }
            }
            4 => {
                let n = self.edits.below(self.devices.len() as u64) as usize;
                let id = self.devices[n].id;
                if self.devices[n].attached {
                    if self.driver.detach(id).is_ok() {
                        self.devices[n].attached = false;
                    }
                } else if self.driver.attach(id, Some(domain)).is_ok() {
                    self.devices[n].attached = true;
                    self.devices[n].domain = Some(domain);
                    self.driver.invalidate_directory(Some(id));
                }
            }
            _ => {
                // The interrupt handler's part: acknowledge what is pending.
                self.collect("edit");
                self.push(
                    "acknowledge",
                    Op::RegWrite {
                        offset: regs::IPSR,
                        size: 4,
                        value: 3,
                    },
                );
            }
        }
        self.collect("edit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops(seed: u64) -> Vec<OpAt> {
        case().ops(seed).unwrap().map(|o| o.unwrap()).collect()
    }

    #[test]
    fn a_seed_makes_one_test_and_seeds_differ() {
        assert_eq!(ops(3), ops(3));
        assert_ne!(ops(3), ops(4));
        assert_eq!(case().setting(3), case().setting(3));
    }

    #[test]
    fn many_seeds_are_sane() {
        let mut commands = 0;
        let mut faulty = 0;
        for seed in 0..60 {
            let setting = case().setting(seed);
            let sv = setting.caps_mask >> 9 & 7;
            assert!(matches!(sv, 1 | 3 | 7), "Sv57 needs Sv48 needs Sv39");
            let all = ops(seed);
            assert!(matches!(all.last().unwrap().op, Op::WaitIdle));
            let mut dma = false;
            for op in &all {
                match &op.op {
                    Op::Dma(d) => {
                        dma = true;
                        assert!(d.device_id < 1 << 24);
                        assert!(d.bytes >= 1);
                    }
                    Op::WaitIdle | Op::WaitDma => dma = false,
                    Op::Store { addr, .. } => {
                        assert!(!dma, "seed {seed}: an edit under way");
                        assert!((TABLES..DATA).contains(addr));
                    }
                    Op::RegWrite { offset, .. } if *offset == regs::CQT => commands += 1,
                    Op::MemFault { .. } => faulty += 1,
                    _ => {}
                }
            }
        }
        assert!(commands > 60 && faulty > 20);
    }
}
