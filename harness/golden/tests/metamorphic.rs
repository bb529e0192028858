//! Relations that must hold between two translations, over random tables and requests.

mod common;
use common::*;
use iommu_golden::*;
use proptest::prelude::*;

/// A mapping: VA in a 1-GiB window, level, address, flags.
#[derive(Debug, Clone, Copy)]
struct Map {
    va: u64,
    level: u8,
    pa: u64,
    bits: u64,
}

/// Base of the window, canonical for Sv39 and below 2^41 as a GPA.
const WINDOW: u64 = 0x10_0000_0000;

fn mapping() -> impl Strategy<Value = Map> {
    (0u64..1 << 30, 0u8..2, 0u64..1 << 33, 0u64..256).prop_map(|(va, level, pa, bits)| {
        let page = !((1u64 << (12 + 9 * level)) - 1);
        // V mostly set, and permissions any: reserved and missing ones too.
        Map {
            va: WINDOW | va & page,
            level,
            pa: (pa & page) | 1 << 36,
            bits: bits | V,
        }
    })
}

fn maps() -> impl Strategy<Value = Vec<Map>> {
    proptest::collection::vec(mapping(), 1..6)
}

fn probe() -> impl Strategy<Value = (usize, u64, u8, bool)> {
    (0usize..6, 0u64..1 << 22, 0u8..3, any::<bool>())
}

fn access(n: u8) -> Access {
    [Access::Read, Access::Write, Access::Execute][usize::from(n % 3)]
}

/// Puts the mappings in (later ones win); a small page under an existing large one is left out.
fn fill(r: &mut Rig, root: u64, extra: u8, maps: &[Map]) -> Vec<Map> {
    let mut done: Vec<Map> = Vec::new();
    for m in maps {
        let clash = done
            .iter()
            .any(|d| d.va >> 21 == m.va >> 21 && d.level != m.level);
        if !clash {
            r.map(root, 3, extra, m.va, m.level, leaf(m.pa, m.bits));
            done.push(*m);
        }
    }
    done
}

fn target(maps: &[Map], probe: (usize, u64, u8, bool)) -> Request {
    let m = maps[probe.0 % maps.len()];
    // Inside of the page, or anywhere near it.
    let size = 12 + 9 * u32::from(m.level);
    let offset = if probe.3 {
        probe.1 & ((1 << size) - 1)
    } else {
        probe.1
    };
    Request {
        access: access(probe.2),
        ..read(5, m.va.wrapping_add(offset))
    }
}

/// What a device sees: address and type, or cause.
fn seen(out: &Outcome) -> Result<(u64, Pbmt), u16> {
    match out {
        Outcome::Granted(t) => Ok((t.spa.0, t.pbmt)),
        other => Err(other.cause().map_or(0, Cause::code)),
    }
}

/// Identity second stage for tables and targets: gigapages up to 128 GiB.
fn identity(r: &mut Rig) -> u64 {
    let g = r.page();
    for n in 0..128u64 {
        r.map(g, 3, 2, n << 30, 2, leaf(n << 30, RWU | X));
    }
    g
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn identity_tables_translate_to_themselves(pages in proptest::collection::vec((0u64..1 << 26, 0u8..3), 1..6),
                                               offset in 0u64..4096, first in any::<bool>()) {
        let mut r = Rig::new(all_caps());
        let root = r.page();
        let (iohgatp, fsc) = if first { (0, 8 << 60 | root >> 12) } else { (8 << 60 | root >> 12, 0) };
        r.set_dc(5, &DeviceContext { tc: V, iohgatp, fsc, ..Default::default() });
        let mut taken: Vec<(u64, u8)> = Vec::new();
        for (page, level) in pages {
            let va = page << 12 & !((1u64 << (12 + 9 * level)) - 1);
            if taken.iter().any(|t| t.0 >> 30 == va >> 30) {
                continue;
            }
            taken.push((va, level));
            r.map(root, 3, if first { 0 } else { 2 }, va, level, leaf(va, RWU | X));
            for n in 0..3 {
                let req = Request { access: access(n), ..read(5, va | offset) };
                prop_assert_eq!(r.ok(req), va | offset);
            }
        }
    }

    #[test]
    fn identity_second_stage_equals_single_stage(maps in maps(), probe in probe()) {
        let mut r = Rig::new(all_caps());
        let root = r.first_stage(5, 8, V);
        let done = fill(&mut r, root, 0, &maps);
        let g = identity(&mut r);
        r.set_dc(6, &DeviceContext { tc: V, iohgatp: 8 << 60 | g >> 12, fsc: 8 << 60 | root >> 12, ..Default::default() });
        let req = target(&done, probe);
        let (one, two) = (r.go(req), r.go(Request { device_id: 6, ..req }));
        prop_assert_eq!(seen(&one), seen(&two));
    }

    #[test]
    fn a_permission_removed_never_adds_an_access(maps in maps(), probe in probe(), which in 0usize..6, bit in 0usize..6,
                                                  second in any::<bool>()) {
        // V, R, X, U, A or D taken from one leaf. (W=1 with R=0 is reserved: taking R may only refuse.)
        let bit = [V, R, X, U, A, D][bit];
        let mut r = Rig::new(all_caps());
        let g = identity(&mut r);
        let root = r.page();
        // Both stages at the same addresses, or the first alone.
        let iohgatp = if second { 8 << 60 | g >> 12 } else { 0 };
        r.set_dc(5, &DeviceContext { tc: V, iohgatp, fsc: 8 << 60 | root >> 12, ..Default::default() });
        let done = fill(&mut r, root, 0, &maps);
        let req = target(&done, probe);
        let before = seen(&r.go(req));
        let m = done[which % done.len()];
        r.map(root, 3, 0, m.va, m.level, leaf(m.pa, m.bits & !bit));
        let after = seen(&r.go(req));
        // A pointer can appear when R and X go: then V=0 or garbage follows, never a grant we had not.
        if before.is_err() && m.bits & (R | X) & !bit != 0 {
            prop_assert!(after.is_err(), "{before:?} became {after:?}");
        }
        if let (Ok(b), Ok(a)) = (before, after) {
            prop_assert_eq!(b, a);
        }
    }

    #[test]
    fn a_large_page_equals_small_pages(m in mapping(), probe in (0u64..1 << 21, 0u8..3), pbmt in 0u64..3, second in any::<bool>()) {
        // Either of leaf's permission bits; without R and X it would be a pointer.
        prop_assume!(m.bits & (R | X) != 0);
        let va = m.va & !0x1f_ffff;
        let pa = m.pa & !0x1f_ffff;
        let mut r = Rig::new(all_caps());
        let mut outcomes = Vec::new();
        for small in [false, true] {
            let root = r.page();
            let (extra, iohgatp, fsc) = if second { (2, 8 << 60 | root >> 12, 0) } else { (0, 0, 8 << 60 | root >> 12) };
            r.set_dc(5, &DeviceContext { tc: V, iohgatp, fsc, ..Default::default() });
            if small {
                for n in 0..512u64 {
                    r.map(root, 3, extra, va + (n << 12), 0, leaf(pa + (n << 12), m.bits) | pbmt << 61);
                }
            } else {
                r.map(root, 3, extra, va, 1, leaf(pa, m.bits) | pbmt << 61);
            }
            outcomes.push(seen(&r.go(Request { access: access(probe.1), ..read(5, va | probe.0) })));
        }
        prop_assert_eq!(outcomes[0], outcomes[1]);
    }

    #[test]
    fn endianness_with_the_tables_changes_nothing(maps in maps(), probe in probe(), nested in any::<bool>()) {
        // The same memory with every doubleword swapped, as fctl.BE and SBE then say.
        let mut r = Rig::new(all_caps());
        let g = identity(&mut r);
        let root = r.page();
        let dc = DeviceContext {
            tc: V,
            iohgatp: if nested { 8 << 60 | g >> 12 } else { 0 },
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        };
        r.set_dc(5, &dc);
        let done = fill(&mut r, root, 0, &maps);
        let req = target(&done, probe);
        let little = seen(&r.go(req));
        r.set_dc(5, &DeviceContext { tc: V | tc::SBE, ..dc });
        struct Swapped<'a>(&'a mut SimpleMemory);
        impl Memory for Swapped<'_> {
            fn load(&mut self, a: Spa, s: u8, l: &Label) -> Result<u64, MemError> {
                self.0.load(a, s, l).map(u64::swap_bytes)
            }
            fn store(&mut self, a: Spa, b: &[u8], l: &Label) -> Result<(), MemError> {
                self.0.store(a, b, l)
            }
            fn compare_and_swap(&mut self, a: Spa, s: u8, e: u64, n: u64, l: &Label) -> Result<u64, MemError> {
                self.0.compare_and_swap(a, s, e.swap_bytes(), n.swap_bytes(), l).map(u64::swap_bytes)
            }
            fn fetch_or(&mut self, a: Spa, b: u64, x: bool, l: &Label) -> Result<u64, MemError> {
                self.0.fetch_or(a, b, x, l)
            }
        }
        r.iommu.registers_mut().be = true;
        let big = seen(&r.iommu.translate(&mut Swapped(&mut r.mem), &req, &mut ()));
        prop_assert_eq!(little, big);
    }

    #[test]
    fn base_format_equals_extended_with_msi_off(maps in maps(), probe in probe(), tc_bits in 0u64..1 << 12, did in 0u32..1 << 24) {
        let mut outcomes = Vec::new();
        for caps in [all_caps(), all_caps().without(Capabilities::MSI_FLAT | Capabilities::MSI_MRIF)] {
            let mut r = Rig::new(caps);
            let root = r.page();
            let done = fill(&mut r, root, 0, &maps);
            r.set_dc(did, &DeviceContext { tc: V | tc_bits, fsc: 8 << 60 | root >> 12, ..Default::default() });
            outcomes.push(seen(&r.go(Request { device_id: did, ..target(&done, probe) })));
        }
        prop_assert_eq!(outcomes[0], outcomes[1]);
    }
}
