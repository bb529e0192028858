//! Translations a second, one core, nothing cached: `cargo bench -p iommu-golden`.
//!
//! 4096 random pages each: Sv39 alone, Sv48 nested on Sv48x4, Sv39 behind a process directory.
//! The aims are 10 million a second for the first and 3 million for the second.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iommu_golden::*;

/// 64 MiB of memory as one slice, the way a fast testbench would hold it.
struct Flat(Vec<u64>);

impl Memory for Flat {
    fn load(&mut self, addr: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        let v = *self.0.get((addr.0 >> 3) as usize).ok_or(MemError::Access)?;
        Ok(if size == 8 {
            v
        } else {
            v >> (8 * (addr.0 & 4)) & 0xffff_ffff
        })
    }
    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        Err(MemError::Access)
    }
    fn compare_and_swap(
        &mut self,
        _: Spa,
        _: u8,
        _: u64,
        _: u64,
        _: &Label,
    ) -> Result<u64, MemError> {
        Err(MemError::Access)
    }
    fn fetch_or(&mut self, _: Spa, _: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        Err(MemError::Access)
    }
}

struct Os {
    mem: Flat,
    next: u64,
}

impl Os {
    fn page(&mut self) -> u64 {
        self.next += 0x4000;
        assert!(
            self.next + 0x4000 <= self.mem.0.len() as u64 * 8,
            "memory is full"
        );
        self.next
    }

    fn set(&mut self, addr: u64, value: u64) {
        self.mem.0[(addr >> 3) as usize] = value;
    }

    fn map(&mut self, root: u64, levels: u32, extra: u32, va: u64, level: u32, pte: u64) {
        let mut table = root;
        for i in (level..levels).rev() {
            let bits = 9 + if i + 1 == levels { extra } else { 0 };
            let entry = table + (va >> (12 + 9 * i) & ((1 << bits) - 1)) * 8;
            if i == level {
                self.set(entry, pte);
                return;
            }
            let e = self.mem.0[(entry >> 3) as usize];
            table = if e & 1 == 1 {
                e >> 10 << 12
            } else {
                self.page()
            };
            self.set(entry, table >> 12 << 10 | 1);
        }
    }
}

/// Tables for three devices, and the pages that they map.
fn tables() -> (Iommu, Flat, Vec<u64>) {
    let caps = Capabilities::version_1_0()
        .with(Capabilities::SV39 | Capabilities::SV48 | Capabilities::SV39X4 | Capabilities::SV48X4)
        .with(Capabilities::PD20)
        .with_pas(56);
    let mut iommu = Iommu::new(Config::new(caps)).expect("legal capabilities");
    let mut os = Os {
        mem: Flat(vec![0; 64 << 17]),
        next: 0x10_0000,
    };
    let ddt = os.page();
    iommu
        .write_reg(offset::DDTP, RegSize::Eight, 2 | ddt >> 12 << 10)
        .expect("a register");
    let second = os.page();
    os.map(second, 4, 2, 0, 2, 0xdf); // identity, one gigapage
    let pdt = os.page();
    let roots = [os.page(), os.page(), os.page()];
    // PDT of three levels for process 5.
    let (mid, leaf) = (os.page(), os.page());
    os.set(pdt, mid >> 12 << 10 | 1);
    os.set(mid, leaf >> 12 << 10 | 1);
    os.set(leaf + 5 * 16, 1);
    os.set(leaf + 5 * 16 + 8, 8 << 60 | roots[2] >> 12);
    for (did, tc, iohgatp, fsc) in [
        (0u64, 1, 0, 8 << 60 | roots[0] >> 12),
        (1, 1, 9 << 60 | second >> 12, 9 << 60 | roots[1] >> 12),
        (2, 1 | 1 << 5, 0, 3 << 60 | pdt >> 12),
    ] {
        let dc = ddt + did * 32;
        os.set(dc, tc);
        os.set(dc + 8, iohgatp);
        os.set(dc + 24, fsc);
    }
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut pages = Vec::new();
    for _ in 0..4096 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // A 1-GiB window, so that the tables fit.
        let va = random & 0x3fff_f000;
        pages.push(va);
        for (n, levels) in [(0, 3), (1, 4), (2, 3)] {
            os.map(
                roots[n],
                levels,
                0,
                va,
                0,
                (random >> 40 & 0xfff) << 10 | 0xdf,
            );
        }
    }
    (iommu, os.mem, pages)
}

fn translate(c: &mut Criterion) {
    let (iommu, mut mem, pages) = tables();
    let mut group = c.benchmark_group("translate");
    group.throughput(Throughput::Elements(pages.len() as u64));
    for (name, did, pid) in [
        ("Sv39", 0, None),
        ("Sv48 on Sv48x4", 1, None),
        ("PD20, Sv39", 2, Some(5)),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                for va in &pages {
                    let req = Request {
                        process_id: pid,
                        ..Request::read(did, Iova(*va))
                    };
                    let out = iommu.translate(&mut mem, black_box(&req), &mut ());
                    assert!(matches!(black_box(out), Outcome::Granted(_)), "{name}");
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = translate
}
criterion_main!(benches);
