//! What lies beyond the first slice: two stages, process directories, MSI page tables, A/D
//! updates, endianness, QoS ids, debug, HPM. Each test names the section it pins.

mod common;
use common::*;
use iommu_golden::config::ControlBit;
use iommu_golden::*;

const VA: u64 = 0x12_3456_7000;
const GPA: u64 = 0x1_2345_6000;
const PA: u64 = 0x9_8765_4000;

fn rig() -> Rig {
    Rig::new(all_caps())
}

// ---- order of checks

#[test]
fn order_of_causes() {
    // 256, 260 (Bare), 260 (width), DC faults, 260 (ATS, PASID), PC faults, 260 (ENS), page fault:
    // a request that violates all of them is refused by the first; then one after another is mended.
    let mut r = rig();
    let did = 0x40_0000;
    let req = supervisor(with_pid(
        Request {
            kind: RequestKind::Translated,
            ..read(did, VA)
        },
        0x1_0001,
    ));
    let root = r.ddt_root();
    r.mode(0, root);
    assert_eq!(r.cause(req), 256);
    r.mode(1, root);
    assert_eq!(r.cause(req), 260);
    r.mode(3, root);
    assert_eq!(r.cause(req), 260);
    r.mode(4, root);
    assert_eq!(r.cause(req), 258);
    let table = pdt(&mut r, did, 1, 1 << 12, 0);
    assert_eq!(r.cause(req), 259);
    let dc = |tc: u64, mode: u64| DeviceContext {
        tc: tc | tc::V | tc::PDTV,
        fsc: mode << 60 | table >> 12,
        ..Default::default()
    };
    r.set_dc(did, &dc(0, 1));
    assert_eq!(r.cause(req), 260); // EN_ATS
    let req = Request {
        kind: RequestKind::Untranslated,
        ..req
    };
    assert_eq!(r.cause(req), 260); // process_id too wide for PD8
    r.set_dc(did, &dc(0, 2));
    assert_eq!(r.cause(req), 266); // 0x1_0001 has 17 bits: it fits PD17
}

#[test]
fn order_from_pc_faults_to_ens_to_page_faults() {
    let mut r = rig();
    let root = pdt(&mut r, 5, 2, 0, 0);
    let req = supervisor(with_pid(read(5, VA), 0x1_0001));
    assert_eq!(r.cause(req), 266);
    let at = set_pc(&mut r, root, 2, 0x1_0001, V | 1 << 3, 8 << 60 | 1);
    assert_eq!(r.cause(req), 267);
    r.mem.write_u64(at, V);
    assert_eq!(r.cause(req), 260); // ENS
    r.mem.write_u64(at, V | 2);
    assert_eq!(r.cause(req), 13);
    // Without supervisor privilege ENS does not matter.
    r.mem.write_u64(at, V);
    assert_eq!(r.cause(with_pid(read(5, VA), 0x1_0001)), 13);
}

// ---- Process-Directory-Table

#[test]
fn process_id_width_by_mode() {
    for (mode, ok, wide) in [
        (1, 0xff, 0x100),
        (2, 0x1_ffff, 0x2_0000),
        (3, 0xf_ffff, 0x10_0000),
    ] {
        let mut r = rig();
        pdt(&mut r, 5, mode, 0, 0);
        assert_eq!(r.cause(with_pid(read(5, VA), ok)), 266);
        assert_eq!(r.cause(with_pid(read(5, VA), wide)), 260);
    }
}

#[test]
fn process_directory_indices() {
    for mode in 1..=3u64 {
        let mut r = rig();
        let root = pdt(&mut r, 5, mode, 0, 0);
        let bits: &[u32] = match mode {
            1 => &[0, 7],
            2 => &[0, 7, 8, 16],
            _ => &[0, 7, 8, 16, 17, 19],
        };
        for bit in bits {
            let pid = 1u64 << bit;
            let page_root = r.page();
            set_pc(
                &mut r,
                root,
                mode,
                pid,
                V | pid << 12,
                8 << 60 | page_root >> 12,
            );
            r.map(page_root, 3, 0, VA, 0, leaf(PA + (pid << 12), RWU));
        }
        for bit in bits {
            let pid = 1u32 << bit;
            let Outcome::Granted(t) = r.go(with_pid(read(5, VA), pid)) else {
                panic!("mode {mode} pid {pid:#x}")
            };
            assert_eq!((t.spa.0, t.pscid), (PA + (u64::from(pid) << 12), Some(pid)));
        }
        assert_eq!(r.cause(with_pid(read(5, VA), 3)), 266);
    }
}

#[test]
fn get_pc_5_to_12_errors_of_entries() {
    let mut r = rig();
    let root = pdt(&mut r, 5, 2, 0, 0);
    let at = set_pc(&mut r, root, 2, 3, V, 0);
    let req = with_pid(read(5, PA), 3);
    assert_eq!(r.ok(req), PA);
    let good = r.mem.read_u64(root);
    // V=0 before reserved bits.
    r.mem.write_u64(root, good & !1 | 2);
    assert_eq!(r.cause(req), 266);
    for bit in (1..=9).chain(54..=63) {
        r.mem.write_u64(root, good | 1 << bit);
        assert_eq!(r.cause(req), 267, "bit {bit}");
    }
    r.mem.write_u64(root, good);
    for (addr, len) in [(root, 8), (at, 8), (at + 8, 8)] {
        r.mem.add_fault(addr..addr + len, MemError::Corrupt);
        assert_eq!(r.cause(req), 269);
        r.mem.add_fault(addr..addr + len, MemError::Access);
        assert_eq!(r.cause(req), 265);
        r.mem.clear_faults();
    }
    r.mem.write_u64(at, !V);
    assert_eq!(r.cause(req), 266);
    for bit in (3..12).chain(32..64) {
        r.mem.write_u64(at, V | 1 << bit);
        assert_eq!(r.cause(req), 267, "ta bit {bit}");
    }
    r.mem.write_u64(at, V);
    for bit in 44..60 {
        r.mem.write_u64(at + 8, 1 << bit);
        assert_eq!(r.cause(req), 267, "fsc bit {bit}");
    }
    for mode in 1..16u64 {
        r.mem.write_u64(at + 8, mode << 60 | 0xf_ffff);
        assert_eq!(
            r.cause(req),
            if (8..=10).contains(&mode) { 13 } else { 267 },
            "mode {mode}"
        );
    }
}

#[test]
fn dpe_uses_process_0_but_the_record_keeps_pv_0() {
    let mut r = rig();
    let root = pdt(&mut r, 5, 1, tc::DPE, 0);
    assert_eq!(
        r.record(read(5, VA)).to_words(),
        [266 | 2 << 34 | 5 << 40, 0, VA, 0]
    );
    let page_root = r.page();
    set_pc(
        &mut r,
        root,
        1,
        0,
        V | 0x77 << 12,
        8 << 60 | page_root >> 12,
    );
    r.map(page_root, 3, 0, VA, 0, leaf(PA, RWU));
    assert_eq!(r.ok(read(5, VA)), PA);
}

#[test]
fn pdtv_without_process_id_and_dpe_is_bare() {
    let mut r = rig();
    pdt(&mut r, 5, 1, 0, 0);
    let Outcome::Granted(t) = r.go(write(5, VA)) else {
        panic!()
    };
    assert_eq!((t.spa.0, t.pscid), (VA, None));
    // 13. pdtp Bare, with any process_id.
    pdt(&mut r, 6, 0, 0, 0);
    assert_eq!(r.ok(with_pid(write(6, VA), 0xf_ffff)), VA);
}

#[test]
fn pdt_behind_a_second_stage() {
    let mut r = rig();
    let g = vm(&mut r, 3, RWU);
    let root = pdt(&mut r, 5, 2, 0, hgatp(8, 7, g));
    let at = set_pc(&mut r, root, 2, 3, V, 0);
    let req = with_pid(write(5, PA & 0xffff_ffff), 3);
    assert_eq!(r.ok(req), PA & 0xffff_ffff);
    // Move the leaf table to a guest page that has no mapping.
    let away = 0x40_0000_0000u64;
    r.mem.write_u64(root, V | away >> 12 << 10);
    let rec = r.record(req);
    // "any guest-page fault exception raised by the second stage is always reported using the
    // original access type"; bit 0 is 1, bit 1 is 0.
    assert_eq!((rec.cause, rec.iotval2), (23, (away + 3 * 16) | 1));
    assert_eq!(
        r.record(Request {
            access: Access::Execute,
            ..req
        })
        .cause,
        20
    );
    assert_eq!(
        r.record(Request {
            access: Access::Read,
            ..req
        })
        .cause,
        21
    );
    // "An access fault in the second stage is reported as 265 ... corruption 269."
    let pte = g + (away >> 30) * 8;
    r.mem.add_fault(pte..pte + 8, MemError::Access);
    assert_eq!(r.cause(req), 265);
    r.mem.clear_faults();
    r.mem.add_fault(pte..pte + 8, MemError::Corrupt);
    assert_eq!(r.cause(req), 269);
    r.mem.clear_faults();
    // Mapped elsewhere: the translated address is used. A directory page needs R, not W.
    let other = at & !0xfff;
    r.map(g, 3, 2, away, 0, leaf(other, V | R | U | A));
    assert_eq!(r.ok(req), PA & 0xffff_ffff);
    r.map(g, 3, 2, away, 0, leaf(other, V | X | U | A));
    assert_eq!(r.cause(req), 23);
}

#[test]
fn access_fault_of_a_pdt_page_is_265() {
    let mut r = Rig::new(all_caps().with_pas(40));
    let g = vm(&mut r, 3, RWU);
    let root = pdt(&mut r, 5, 1, 0, hgatp(8, 7, g));
    r.map(g, 3, 2, root, 2, leaf(1 << 45, RWU));
    assert_eq!(r.cause(with_pid(write(5, VA), 3)), 265);
}

// ---- privilege

#[test]
fn u_sum_and_ens() {
    for (pte_u, sum, exec_x) in [
        (0, 0, 0),
        (0, 4, 0),
        (U, 0, 0),
        (U, 4, 0),
        (0, 0, X),
        (U, 4, X),
    ] {
        let mut r = rig();
        let root = pdt(&mut r, 5, 1, 0, 0);
        let page_root = r.page();
        set_pc(&mut r, root, 1, 3, V | 2 | sum, 8 << 60 | page_root >> 12);
        r.map(
            page_root,
            3,
            0,
            VA,
            0,
            leaf(PA, V | R | W | exec_x | pte_u | A | D),
        );
        let user = with_pid(read(5, VA), 3);
        let sup = supervisor(user);
        if pte_u != 0 {
            assert_eq!(r.ok(user), PA);
        } else {
            assert_eq!(r.cause(user), 13);
        }
        if pte_u == 0 || sum != 0 {
            assert_eq!(r.ok(sup), PA);
        } else {
            assert_eq!(r.cause(sup), 13);
        }
        // "supervisor privilege transactions that read with execute intent to pages mapped with U
        // bit in PTE set to 1 are disallowed, regardless of the value of SUM."
        let fetch = Request {
            access: Access::Execute,
            ..sup
        };
        if exec_x != 0 && pte_u == 0 {
            assert_eq!(r.ok(fetch), PA);
        } else {
            assert_eq!(r.cause(fetch), 12);
        }
    }
}

#[test]
fn second_stage_always_checks_as_user() {
    let mut r = rig();
    let g = vm(&mut r, 3, RWU);
    let root = pdt(&mut r, 5, 1, 0, hgatp(8, 7, g));
    let page_root = r.page();
    set_pc(&mut r, root, 1, 3, V | 2, 8 << 60 | page_root >> 12);
    r.map(page_root, 3, 0, VA, 0, leaf(GPA, V | R | W | A | D));
    let req = supervisor(with_pid(read(5, VA), 3));
    assert_eq!(r.ok(req), GPA);
    // Supervisor access, first stage U=0; second stage U=0 must fail all the same.
    r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, RWU & !U));
    let rec = r.record(req);
    assert_eq!((rec.cause, rec.iotval2), (21, GPA));
}

// ---- second stage and nested walks

#[test]
fn second_stage_alone_all_modes_and_upper_bits() {
    for (mode, levels, bits) in [(8, 3, 41), (9, 4, 50), (10, 5, 59)] {
        let mut r = rig();
        let g = r.page();
        r.set_dc(
            5,
            &DeviceContext {
                tc: V,
                iohgatp: hgatp(mode, 0xbeef, g),
                ..Default::default()
            },
        );
        // The topmost address uses the two extra bits of the root index.
        let top = ((1u64 << bits) - 1) & !0xfff;
        r.map(g, levels, 2, top, 0, leaf(PA, RWU));
        let Outcome::Granted(t) = r.go(write(5, top | 0x7f8)) else {
            panic!("mode {mode}")
        };
        assert_eq!(
            (t.spa.0, t.gscid, t.range_log2),
            (PA | 0x7f8, Some(0xbeef), 12)
        );
        for bit in bits..64 {
            let rec = r.record(write(5, top | 1 << bit));
            assert_eq!(
                (rec.cause, rec.iotval2),
                (23, top | 1 << bit),
                "mode {mode} bit {bit}"
            );
        }
        let rec = r.record(read(5, 0x1237));
        assert_eq!((rec.cause, rec.iotval, rec.iotval2), (21, 0x1237, 0x1234));
    }
}

#[test]
fn nested_faults_and_the_low_bits_of_iotval2() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V);
    r.map(root, 3, 0, VA, 0, leaf(0x40_0000_0000, RWU));
    // Final access: bits 1:0 are 0 and the GPA's page offset is kept.
    let rec = r.record(write(5, VA | 0x124));
    assert_eq!(
        (rec.cause, rec.iotval, rec.iotval2),
        (23, VA | 0x124, 0x40_0000_0124)
    );
    // Implicit read of a first-stage entry.
    let away = 0x48_0000_0000u64;
    let top = root + (VA >> 30) * 8;
    r.mem.write_u64(top, V | away >> 12 << 10);
    let rec = r.record(write(5, VA));
    assert_eq!(
        (rec.cause, rec.iotval2),
        (23, (away + (VA >> 21 & 0x1ff) * 8) | 1)
    );
    // Its second-stage entry unreadable: access fault of the original type; corrupt: 274.
    let pte = g + (away >> 30) * 8;
    r.mem.add_fault(pte..pte + 8, MemError::Access);
    assert_eq!(r.cause(write(5, VA)), 7);
    r.mem.clear_faults();
    r.mem.add_fault(pte..pte + 8, MemError::Corrupt);
    assert_eq!(r.cause(write(5, VA)), 274);
}

#[test]
fn page_fault_before_guest_page_fault() {
    // A=0 without SADE, and the GPA has no mapping: the first stage speaks first.
    let mut r = rig();
    let (root, _) = nested(&mut r, 5, V);
    r.map(root, 3, 0, VA, 0, leaf(0x40_0000_0000, RWU & !A));
    assert_eq!(r.cause(read(5, VA)), 13);
    r.map(root, 3, 0, VA, 0, leaf(0x40_0000_0000, RWU & !D));
    assert_eq!(r.cause(write(5, VA)), 15);
    assert_eq!(r.cause(read(5, VA)), 21);
}

#[test]
fn small_page_on_a_superpage_and_the_reverse() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V);
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU));
    let Outcome::Granted(t) = r.go(read(5, VA | 0x10)) else {
        panic!()
    };
    assert_eq!((t.spa.0, t.range_log2), (GPA | 0x10, 12));
    // 2-MiB first stage over a 4-KiB second stage.
    r.map(root, 3, 0, VA, 1, leaf(GPA & !0x1f_ffff, RWU));
    let gpa = (GPA & !0x1f_ffff) | (VA & 0x1f_ffff);
    let table = r.page();
    r.mem.write_u64(g + (gpa >> 30) * 8, V | table >> 12 << 10);
    r.map(g, 3, 2, gpa, 0, leaf(PA, RWU));
    // The first-stage tables still need their mapping: they are in another gigapage.
    assert_ne!(gpa >> 30, root >> 30);
    let Outcome::Granted(t) = r.go(read(5, VA | 0x10)) else {
        panic!()
    };
    assert_eq!((t.spa.0, t.range_log2), (PA | 0x10, 12));
}

#[test]
fn permissions_are_those_of_both_stages() {
    for bits in [V | R | U | A | D, RWU, V | X | R | U | A | D] {
        let mut r = rig();
        let (root, g) = nested(&mut r, 5, V);
        r.map(root, 3, 0, VA, 0, leaf(GPA, RWU | X));
        r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, bits));
        assert_eq!(r.ok(read(5, VA)), GPA);
        for (req, bit, fault) in [(write(5, VA), W, 23), (exec(5, VA), X, 20)] {
            if bits & bit != 0 {
                assert_eq!(r.ok(req), GPA);
            } else {
                assert_eq!(r.cause(req), fault);
            }
        }
    }
}

#[test]
fn pbmt_of_the_first_stage_wins() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V);
    for (first, second, want) in [
        (0, 0, Pbmt::Pma),
        (0, 1, Pbmt::Nc),
        (0, 2, Pbmt::Io),
        (1, 2, Pbmt::Nc),
        (2, 1, Pbmt::Io),
        (1, 0, Pbmt::Nc),
    ] {
        r.map(root, 3, 0, VA, 0, leaf(GPA, RWU) | first << 61);
        r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, RWU) | second << 61);
        let Outcome::Granted(t) = r.go(read(5, VA)) else {
            panic!()
        };
        assert_eq!(t.pbmt, want);
    }
}

#[test]
fn second_stage_ignores_g_and_software_bits() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V);
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU));
    r.map(
        g,
        3,
        2,
        GPA,
        2,
        leaf(GPA >> 30 << 30, RWU | G | 3 << 8 | 3 << 59),
    );
    let Outcome::Granted(t) = r.go(read(5, VA)) else {
        panic!()
    };
    assert_eq!((t.spa.0, t.global), (GPA, false));
    // Svnapot applies to the second stage too.
    let table = r.page();
    r.mem.write_u64(g + (GPA >> 30) * 8, V | table >> 12 << 10);
    r.map(
        g,
        3,
        2,
        GPA,
        0,
        leaf((PA & !0xffff) | 0x8000, RWU) | 1 << 63,
    );
    assert_eq!(r.ok(read(5, VA)), (PA & !0xffff) | (GPA & 0xf000));
}

#[test]
fn pointer_at_the_last_level_ends_the_walk() {
    // Step 4: "If i<0, stop and raise a page-fault".
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V);
    r.map(root, 3, 0, VA, 0, leaf(root, V));
    assert_eq!(r.cause(read(5, VA)), 13);
    r.map(root, 3, 0, VA, 0, leaf(0x40_0000_0000, RWU));
    r.map(g, 3, 2, 0x40_0000_0000, 0, leaf(g, V));
    assert_eq!(r.cause(read(5, VA)), 21);
}

// ---- Sv32, SXL, GXL

fn gxl_rig(writable: bool, one: bool) -> Rig {
    let mut cfg = Config::new(all_caps());
    cfg.choices.gxl = if writable {
        ControlBit::Writable(one)
    } else {
        ControlBit::Fixed(one)
    };
    Rig::with(cfg)
}

#[test]
fn sv32_walk_megapage_and_upper_bits() {
    let mut r = gxl_rig(true, false);
    let root = r.first_stage(5, 8, V | tc::SXL);
    let table = r.page();
    let va = 0xffc1_2345u64;
    r.mem.write(
        root + (va >> 22) * 4,
        &((V | table >> 12 << 10) as u32).to_le_bytes(),
    );
    // 22-bit PPN: 34-bit physical addresses.
    let pa = 0x3_ffff_f000u64;
    r.mem.write(
        table + (va >> 12 & 0x3ff) * 4,
        &((pa >> 12 << 10 | RWU) as u32).to_le_bytes(),
    );
    assert_eq!(r.ok(read(5, va)), pa | 0x345);
    // "a page fault ... occurs if the IOVA has bits beyond bit 31 set to 1": no sign extension.
    for bit in 32..64 {
        assert_eq!(r.cause(write(5, va | 1 << bit)), 15);
    }
    assert_eq!(r.cause(read(5, va | 0xffff_ffff_0000_0000)), 13);
    r.mem.write(
        root + (va >> 22) * 4,
        &((0x3_fe40_0000u64 >> 12 << 10 | RWU) as u32).to_le_bytes(),
    );
    let Outcome::Granted(t) = r.go(read(5, va)) else {
        panic!()
    };
    assert_eq!(
        (t.spa.0, t.range_log2),
        (0x3_fe40_0000 | va & 0x3f_ffff, 22)
    );
    r.mem.write(
        root + (va >> 22) * 4,
        &((0x3_fe40_1000u64 >> 12 << 10 | RWU) as u32).to_le_bytes(),
    );
    assert_eq!(r.cause(read(5, va)), 13);
}

#[test]
fn sv32x4_and_gpa_beyond_bit_33() {
    let mut r = gxl_rig(false, true);
    let g = r.page();
    r.set_dc(
        5,
        &DeviceContext {
            tc: V | tc::SXL,
            iohgatp: hgatp(8, 7, g),
            ..Default::default()
        },
    );
    let gpa = 0x3_ffc1_2340u64;
    r.mem.write(
        g + (gpa >> 22) * 4,
        &((PA >> 22 << 20 | RWU) as u32).to_le_bytes(),
    );
    assert_eq!(
        r.ok(read(5, gpa)),
        (PA & 0x3_ffff_ffff) >> 22 << 22 | gpa & 0x3f_ffff
    );
    for bit in 34..64 {
        let rec = r.record(read(5, gpa | 1 << bit));
        assert_eq!((rec.cause, rec.iotval2), (21, gpa | 1 << bit));
    }
    // SXL=1 with a 64-bit second stage: still bit 33.
    let mut r = gxl_rig(true, false);
    let g = vm(&mut r, 3, RWU);
    r.set_dc(
        5,
        &DeviceContext {
            tc: V | tc::SXL,
            iohgatp: hgatp(8, 7, g),
            ..Default::default()
        },
    );
    r.map(g, 3, 2, 1 << 34, 2, leaf(0, RWU));
    assert_eq!(r.cause(read(5, 1 << 34)), 21);
    r.set_dc(
        5,
        &DeviceContext {
            tc: V,
            iohgatp: hgatp(8, 7, g),
            ..Default::default()
        },
    );
    assert_eq!(r.ok(read(5, 1 << 34)), 0);
}

#[test]
fn gxl_changes_the_encodings() {
    let mut r = gxl_rig(true, false);
    r.mode(0, 0);
    r.w(offset::FCTL, 4);
    assert_eq!(r.r(offset::FCTL) & 4, 4);
    let cfg = r.iommu.config().clone();
    let dc = |mode: u64| DeviceContext {
        tc: V | tc::SXL,
        iohgatp: mode << 60,
        ..Default::default()
    };
    for mode in 0..16 {
        assert_eq!(
            dc(mode).check(&cfg, false, true).is_ok(),
            mode == 0 || mode == 8,
            "mode {mode}"
        );
    }
}

// ---- A and D bits

#[test]
fn sade_sets_bits_with_compare_and_swap() {
    let mut r = rig();
    let root = r.first_stage(5, 8, V | tc::SADE);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !A & !D));
    assert_eq!(r.ok(read(5, VA)), PA);
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !D));
    assert_eq!(r.ok(write(5, VA)), PA);
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU));
    // Permission first: no bit is set by an access that is refused.
    r.mem.write_u64(at, leaf(PA, RWU & !W & !A & !D));
    assert_eq!(r.cause(write(5, VA)), 15);
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !W & !A & !D));
    // Store violates PMA: access fault. Our memory refuses both; the load passes with Corrupt only.
    r.mem.write_u64(at, leaf(PA, RWU & !D));
    struct NoSwap<'a>(&'a mut SimpleMemory, MemError);
    impl Memory for NoSwap<'_> {
        fn load(&mut self, a: Spa, s: u8, l: &Label) -> Result<u64, MemError> {
            self.0.load(a, s, l)
        }
        fn store(&mut self, a: Spa, b: &[u8], l: &Label) -> Result<(), MemError> {
            self.0.store(a, b, l)
        }
        fn compare_and_swap(
            &mut self,
            _: Spa,
            _: u8,
            _: u64,
            _: u64,
            _: &Label,
        ) -> Result<u64, MemError> {
            Err(self.1)
        }
        fn fetch_or(&mut self, a: Spa, b: u64, x: bool, l: &Label) -> Result<u64, MemError> {
            self.0.fetch_or(a, b, x, l)
        }
    }
    let out = r.iommu.translate(
        &mut NoSwap(&mut r.mem, MemError::Access),
        &write(5, VA),
        &mut (),
    );
    assert_eq!(out.cause(), Some(Cause::WriteAccessFault));
    let out = r.iommu.translate(
        &mut NoSwap(&mut r.mem, MemError::Corrupt),
        &write(5, VA),
        &mut (),
    );
    assert_eq!(out.cause(), Some(Cause::PtCorruption));
}

/// Memory that changes an entry between its load and the swap, a number of times.
struct Racer<'a> {
    mem: &'a mut SimpleMemory,
    at: u64,
    values: Vec<u64>,
}

impl Memory for Racer<'_> {
    fn load(&mut self, a: Spa, s: u8, l: &Label) -> Result<u64, MemError> {
        self.mem.load(a, s, l)
    }
    fn store(&mut self, a: Spa, b: &[u8], l: &Label) -> Result<(), MemError> {
        self.mem.store(a, b, l)
    }
    fn compare_and_swap(
        &mut self,
        a: Spa,
        s: u8,
        e: u64,
        n: u64,
        l: &Label,
    ) -> Result<u64, MemError> {
        if a.0 == self.at
            && let Some(v) = self.values.pop()
        {
            self.mem.write_u64(self.at, v);
        }
        self.mem.compare_and_swap(a, s, e, n, l)
    }
    fn fetch_or(&mut self, a: Spa, b: u64, x: bool, l: &Label) -> Result<u64, MemError> {
        self.mem.fetch_or(a, b, x, l)
    }
}

#[test]
fn failed_compare_restarts_and_checks_again() {
    let mut r = rig();
    let root = r.first_stage(5, 8, V | tc::SADE);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !D));
    // The page moves, then loses its write permission.
    let mut race = Racer {
        mem: &mut r.mem,
        at,
        values: vec![leaf(PA + 0x1000, RWU & !D)],
    };
    let Outcome::Granted(t) = r.iommu.translate(&mut race, &write(5, VA), &mut ()) else {
        panic!()
    };
    assert_eq!(t.spa.0, PA + 0x1000);
    assert_eq!(r.mem.read_u64(at), leaf(PA + 0x1000, RWU));
    r.mem.write_u64(at, leaf(PA, RWU & !D));
    let mut race = Racer {
        mem: &mut r.mem,
        at,
        values: vec![leaf(PA, RWU & !W & !D)],
    };
    assert_eq!(
        r.iommu.translate(&mut race, &write(5, VA), &mut ()).cause(),
        Some(Cause::WritePageFault)
    );
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !W & !D));
    // An entry that never stands still ends in 272, not in an endless loop.
    r.mem.write_u64(at, leaf(PA, RWU & !D));
    let values = (0..1000).map(|n| leaf(PA + n * 0x1000, RWU & !D)).collect();
    let mut race = Racer {
        mem: &mut r.mem,
        at,
        values,
    };
    assert_eq!(
        r.iommu.translate(&mut race, &write(5, VA), &mut ()).cause(),
        Some(Cause::InternalDataPathError)
    );
}

#[test]
fn gade_and_implicit_accesses() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V | tc::SADE | tc::GADE);
    let pte = r.map(root, 3, 0, VA, 0, leaf(GPA, RWU & !A & !D));
    let tables = g + (pte >> 30) * 8;
    let page = g + (GPA >> 30) * 8;
    r.mem
        .write_u64(tables, leaf(pte >> 30 << 30, RWU & !A & !D));
    r.mem.write_u64(page, leaf(GPA >> 30 << 30, RWU & !A & !D));
    assert_eq!(r.ok(read(5, VA)), GPA);
    // The implicit store to the first-stage entry sets D in the second-stage entry of its page; the
    // final read sets A only.
    assert_eq!(r.mem.read_u64(pte), leaf(GPA, RWU & !D));
    assert_eq!(r.mem.read_u64(tables), leaf(pte >> 30 << 30, RWU));
    assert_eq!(r.mem.read_u64(page), leaf(GPA >> 30 << 30, RWU & !D));
    // Implicit reads alone set A alone.
    r.mem
        .write_u64(tables, leaf(pte >> 30 << 30, RWU & !A & !D));
    assert_eq!(r.ok(read(5, VA)), GPA);
    assert_eq!(r.mem.read_u64(tables), leaf(pte >> 30 << 30, RWU & !D));
}

#[test]
fn implicit_write_faults_set_bit_1_of_iotval2() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 5, V | tc::SADE);
    let pte = r.map(root, 3, 0, VA, 0, leaf(GPA, RWU & !D));
    let tables = g + (pte >> 30) * 8;
    // D=0 without GADE, or no write permission: readable, but A/D cannot be written.
    for bits in [RWU & !D, RWU & !W] {
        r.mem.write_u64(tables, leaf(pte >> 30 << 30, bits));
        let rec = r.record(write(5, VA));
        assert_eq!((rec.cause, rec.iotval2), (23, pte | 3));
        assert_eq!(r.ok(read(5, VA)), GPA);
    }
    // For an execute request the cause is that of the original access.
    r.mem.write_u64(pte, leaf(GPA, (RWU | X) & !A));
    let rec = r.record(exec(5, VA));
    assert_eq!((rec.cause, rec.iotval2), (20, pte | 3));
    // Without GADE, A=0 in the second stage is a guest-page fault.
    r.mem.write_u64(tables, leaf(pte >> 30 << 30, RWU & !A));
    let rec = r.record(exec(5, VA));
    assert_eq!((rec.cause, rec.iotval2 & 3), (20, 1));
}

// ---- MSI address translation

#[test]
fn msi_flat_replaces_the_second_stage_for_reads_too() {
    // Mask bits 0, 1 and 4 of the page number select the file; the pattern's bits there count for nothing.
    let (mut r, table) = msi_rig(0b1_0011, 0x28011);
    let file = 0x2801_2000u64; // page 0x28012: bits 4 and 1 -> I = 0b110
    r.mem.write_u64(table + 6 * 16, V | 3 << 1 | PA >> 12 << 10);
    r.mem.write_u64(table + 6 * 16 + 8, u64::MAX); // "The second doubleword is ignored"
    for req in [read(5, file | 4), write(5, file | 4)] {
        let Outcome::Granted(t) = r.go(req) else {
            panic!()
        };
        assert_eq!((t.spa.0, t.msi, t.range_log2), (PA | 4, true, 12));
    }
    // "R=W=U=1 and X=0": instruction access fault, after the entry's own faults.
    assert_eq!(r.cause(exec(5, file)), 1);
    assert_eq!(r.cause(exec(5, 0x2800_0000)), 262);
    // A page that the pattern does not match takes the second stage.
    assert_eq!(r.ok(read(5, 0x2804_0000)), 0x2804_0000);
}

#[test]
fn msi_pte_faults_in_order() {
    let (mut r, table) = msi_rig(0, 0x28000);
    let req = write(5, 0x2800_0000);
    let mut put = |w0: u64, w1: u64| {
        r.mem.write_u64(table, w0);
        r.mem.write_u64(table + 8, w1);
        match r.iommu.translate(&mut r.mem, &req, &mut ()) {
            Outcome::Denied(d) => d.cause.code(),
            _ => 0,
        }
    };
    assert_eq!(put(!V, 0), 262);
    for m in [0, 2] {
        assert_eq!(put(V | m << 1, 0), 263);
    }
    let basic = V | 3 << 1 | PA >> 12 << 10;
    assert_eq!(put(basic, 0), 0);
    for bit in (3..10).chain(54..64) {
        assert_eq!(put(basic | 1 << bit, 0), 263, "bit {bit}");
    }
    let mrif = V | 1 << 1 | 0x1_0000 << 7;
    assert_eq!(put(mrif, 0), 0);
    for bit in (3..7).chain(54..64) {
        assert_eq!(put(mrif | 1 << bit, 0), 263, "bit {bit}");
    }
    for bit in (54..60).chain(61..64) {
        assert_eq!(put(mrif, 1 << bit), 263, "second, bit {bit}");
    }
    r.mem.add_fault(table..table + 8, MemError::Corrupt);
    assert_eq!(r.cause(req), 270);
    r.mem.add_fault(table + 8..table + 16, MemError::Access);
    assert_eq!(r.cause(req), 261);
    // Without capabilities.MSI_MRIF mode 1 is misconfigured.
    let mut r2 = Rig::new(all_caps().without(Capabilities::MSI_MRIF));
    let g = vm(&mut r2, 3, RWU);
    let table = r2.page();
    let dc = DeviceContext {
        tc: V,
        iohgatp: hgatp(8, 7, g),
        msiptp: 1 << 60 | table >> 12,
        msi_addr_pattern: 0x28000,
        ..Default::default()
    };
    r2.set_dc(5, &dc);
    r2.mem.write_u64(table, mrif);
    assert_eq!(r2.cause(req), 263);
}

#[test]
fn msi_off_recognises_nothing() {
    // "Off: Recognition of accesses to a virtual interrupt file ... is not performed", whatever mask
    // and pattern say.
    let (mut r, table) = msi_rig(0, 0x28000);
    r.mem.write_u64(table, V | 3 << 1 | PA >> 12 << 10);
    assert_eq!(r.ok(write(5, 0x2800_0000)), PA);
    let at = r.dc_addr(5);
    r.mem.write_u64(at + 32, table >> 12);
    assert_eq!(r.ok(write(5, 0x2800_0000)), 0x2800_0000);
}

#[test]
fn mrif_fields_at_their_full_width() {
    let (mut r, table) = msi_rig(0, 0x28000);
    r.mem.write_u64(table, V | 1 << 1 | ((1 << 47) - 1) << 7);
    r.mem.write_u64(table + 8, (1 << 60) | ((1 << 54) - 1));
    let Outcome::Mrif(t) = r.go(write(5, 0x2800_0000)) else {
        panic!()
    };
    assert_eq!(
        (t.mrif.0, t.notice.0, t.nid),
        ((1 << 56) - 512, (1 << 56) - 4096, 0x7ff)
    );
}

#[test]
fn superpage_over_an_interrupt_file_ends_before_it() {
    let (mut r, _) = msi_rig(0, 0x28000);
    let Outcome::Granted(t) = r.go(read(5, 0x2800_1000)) else {
        panic!()
    };
    assert_eq!(t.range_log2, 12);
    let Outcome::Granted(t) = r.go(read(5, 0x2810_0000)) else {
        panic!()
    };
    assert_eq!(t.range_log2, 20);
    let Outcome::Granted(t) = r.go(read(5, 0x4000_0000)) else {
        panic!()
    };
    assert_eq!(t.range_log2, 30);
}

#[test]
fn mrif_stores_the_bit_and_sends_the_notice() {
    let (mut r, table) = msi_rig(0, 0x28000);
    let (mrif, notice) = (0x5000_0200u64, 0x2900_0000u64);
    r.mem.write_u64(table, V | 1 << 1 | mrif >> 9 << 7);
    r.mem
        .write_u64(table + 8, 1 << 60 | notice >> 12 << 10 | 0x155);
    let page = 0x2800_0000u64;
    let Outcome::Mrif(t) = r.go(write(5, page)) else {
        panic!()
    };
    assert_eq!((t.mrif.0, t.notice.0, t.nid), (mrif, notice, 0x555));
    let act = |r: &Rig, off: u64, access, len, data| {
        r.iommu.mrif_action(&t, Iova(page + off), access, len, data)
    };
    use mrif::MrifAction::*;
    let le = |d: u32| d.to_le_bytes();
    for d in [0u32, 1, 63, 64, 2047] {
        let Msi(u) = act(&r, 0, Access::Write, 4, le(d)) else {
            panic!()
        };
        assert_eq!(
            (u.addr.0, u.bit),
            (mrif + u64::from(d / 64) * 16, 1 << (d % 64))
        );
        let Msi(be) = act(&r, 4, Access::Write, 4, d.to_be_bytes()) else {
            panic!()
        };
        assert_eq!(u, be);
        r.iommu
            .mrif_store(&mut r.mem, &write(5, page), &t, &u)
            .unwrap();
        assert_eq!(r.mem.read_u64(u.addr.0) & u.bit, u.bit);
        assert_eq!(r.mem.read_u64(notice), 0x555);
    }
    assert_eq!(act(&r, 0, Access::Write, 4, le(2048)), Discard);
    assert_eq!(act(&r, 8, Access::Write, 4, le(1)), Discard);
    assert_eq!(act(&r, 0xffc, Access::Write, 4, le(1)), Discard);
    assert_eq!(act(&r, 0, Access::Read, 4, le(0)), ReadZero);
    assert_eq!(act(&r, 2, Access::Write, 4, le(1)), Abort);
    assert_eq!(act(&r, 0, Access::Write, 8, le(1)), Abort);
    assert_eq!(act(&r, 0, Access::Write, 2, le(1)), Abort);
    // Update refused: 264, corrupt: 271, and no notice.
    r.mem.write_u64(notice, 0);
    let Msi(u) = act(&r, 0, Access::Write, 4, le(5)) else {
        panic!()
    };
    for (e, cause) in [(MemError::Corrupt, 271), (MemError::Access, 264)] {
        r.mem.add_fault(mrif..mrif + 8, e);
        let rec = r
            .iommu
            .mrif_store(&mut r.mem, &write(5, page), &t, &u)
            .unwrap_err()
            .unwrap();
        assert_eq!((rec.cause, rec.iotval, rec.did), (cause, page, 5));
    }
    assert_eq!(r.mem.read_u64(notice), 0);
    r.mem.clear_faults();
    r.mem.add_fault(notice..notice + 4, MemError::Access);
    let rec = r
        .iommu
        .mrif_store(&mut r.mem, &write(5, page), &t, &u)
        .unwrap_err()
        .unwrap();
    assert_eq!((rec.cause, rec.ttyp, rec.iotval), (273, 0, notice));
}

// ---- endianness, QoS ids

#[test]
fn be_and_sbe_each_rule_their_structures() {
    // Table "Endianness of memory access to data structures": DDT, second stage, MSI table, queues
    // follow fctl.BE; PDT and first stage follow DC.tc.SBE.
    for be in [false, true] {
        for sbe in [false, true] {
            let mut r = rig();
            let g = vm(&mut r, 3, RWU);
            let tc = if sbe { tc::SBE } else { 0 };
            let root = pdt(&mut r, 5, 2, tc, hgatp(8, 7, g));
            let page_root = r.page();
            let pc = set_pc(&mut r, root, 2, 3, V, 8 << 60 | page_root >> 12);
            r.map(page_root, 3, 0, VA, 0, leaf(GPA, RWU));
            // Swap every doubleword of each structure by its own rule.
            let dc = r.dc_addr(5);
            let mut swap = |addr: u64, words: u64, yes: bool| {
                for n in 0..words {
                    let v = r.mem.read_u64(addr + 8 * n);
                    r.mem
                        .write_u64(addr + 8 * n, if yes { v.swap_bytes() } else { v });
                }
            };
            swap(pc, 2, sbe);
            swap(root, 512, sbe);
            swap(page_root, 512, sbe);
            swap(g, 2048, be);
            swap(dc, 8, be);
            let ddt = r.ddt_root();
            let mid = (r.mem.read_u64(ddt) >> 10) << 12;
            for t in [mid, ddt] {
                for n in 0..512 {
                    let v = r.mem.read_u64(t + 8 * n);
                    r.mem
                        .write_u64(t + 8 * n, if be { v.swap_bytes() } else { v });
                }
            }
            // Page tables below the root of the first stage.
            for level in [2u64, 1] {
                let e = if level == 2 {
                    page_root + (VA >> 30) * 8
                } else {
                    0
                };
                if e != 0 {
                    let v = r.mem.read_u64(e);
                    let v = if sbe { v.swap_bytes() } else { v };
                    let t = (v >> 10 & ((1 << 44) - 1)) << 12;
                    let inner = r.mem.read_u64(t + (VA >> 21 & 0x1ff) * 8);
                    let leaf_table = (inner >> 10 & ((1 << 44) - 1)) << 12;
                    for t in [t, leaf_table] {
                        for n in 0..512 {
                            let v = r.mem.read_u64(t + 8 * n);
                            r.mem
                                .write_u64(t + 8 * n, if sbe { v.swap_bytes() } else { v });
                        }
                    }
                }
            }
            r.iommu.registers_mut().be = be;
            assert_eq!(r.ok(with_pid(read(5, VA), 3)), GPA, "BE {be} SBE {sbe}");
        }
    }
}

#[test]
fn queues_and_messages_follow_be() {
    let mut r = rig();
    r.mode(0, 0);
    r.w(offset::FCTL, 1);
    r.w(offset::FQB, 0x7100_0000 >> 12 << 10 | 3);
    r.w(offset::FQCSR, 3);
    r.w(offset::MSI_CFG_TBL, 0x2800_0000);
    r.w(offset::MSI_CFG_TBL + 8, 0x1122_3344);
    r.iommu.report(
        &mut r.mem,
        &FaultRecord::of_event(Cause::MsiWriteAccessFault, 0x55),
    );
    assert_eq!(r.mem.read_u64(0x7100_0000), 273u64.swap_bytes());
    assert_eq!(r.mem.read_u64(0x7100_0010), 0x55u64.swap_bytes());
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(r.mem.read_u64(0x2800_0000), 0x4433_2211);
    r.w(offset::CQB, 0x7000_0000 >> 12 << 10 | 3);
    r.w(offset::CQCSR, 1);
    let [w0, w1] = Command::Iofence(command::Iofence {
        av: true,
        wsi: false,
        pr: false,
        pw: false,
        data: 0xaabb_ccdd,
        addr: Spa(0x6000_0000),
    })
    .encode();
    r.mem.write_u64(0x7000_0000, w0.swap_bytes());
    r.mem.write_u64(0x7000_0008, w1.swap_bytes());
    r.w(offset::CQT, 1);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    assert_eq!(r.mem.read_u64(0x6000_0000), 0xddcc_bbaa);
}

#[test]
fn qos_ids_of_the_context_or_of_the_register() {
    let mut r = rig();
    r.set_dc(
        5,
        &DeviceContext {
            tc: V,
            ta: 0xabc << 40 | 0x123 << 52,
            ..Default::default()
        },
    );
    let Outcome::Granted(t) = r.go(read(5, VA)) else {
        panic!()
    };
    assert_eq!((t.rcid, t.mcid), (0xabc, 0x123));
    r.w(offset::IOMMU_QOSID, 0xffff_ffff);
    assert_eq!(r.r(offset::IOMMU_QOSID), 0x0fff_0fff);
    r.w(offset::IOMMU_QOSID, 0x0056_0078);
    r.mode(0, 0);
    r.mode(1, 0);
    let Outcome::Granted(t) = r.go(read(5, VA)) else {
        panic!()
    };
    assert_eq!((t.rcid, t.mcid), (0x78, 0x56));
    // The IOMMU's own accesses: the register's for directories and queues, the context's beyond.
    let dc = DeviceContext {
        tc: V,
        ta: 0xabc << 40 | 0x123 << 52,
        ..Default::default()
    };
    let ids = |label| r.iommu.qos_ids(&label, Some(&dc));
    for label in [
        Label::Dc { device_id: 5 },
        Label::CommandQueue,
        Label::FaultQueue,
        Label::PageRequestQueue,
        Label::Msi,
    ] {
        assert_eq!(ids(label), (0x78, 0x56), "{label:?}");
    }
    for label in [
        Label::Pc {
            device_id: 5,
            process_id: 1,
        },
        Label::PdtNonLeaf {
            device_id: 5,
            process_id: 1,
            level: 1,
        },
        Label::MsiPte {
            gscid: Some(1),
            gpa: Gpa(0),
        },
        Label::Mrif,
    ] {
        assert_eq!(ids(label), (0xabc, 0x123), "{label:?}");
    }
}

// ---- debug interface

#[test]
fn debug_interface_translates_and_encodes_the_size() {
    let mut r = rig();
    let root = r.sv39(5);
    r.map(root, 3, 0, VA, 1, leaf(PA & !0x1f_ffff, RWU) | 1 << 61);
    r.w(offset::TR_REQ_IOVA, VA | 0xfff);
    assert_eq!(r.r(offset::TR_REQ_IOVA), VA);
    let ctl = 5 << 40 | 1 << 3;
    assert!(!r.w(offset::TR_REQ_CTL, ctl).debug_request);
    assert!(r.w(offset::TR_REQ_CTL, ctl | 1).debug_request);
    assert!(r.iommu.run_debug_request(&mut r.mem, &mut ()).is_some());
    assert_eq!(r.r(offset::TR_REQ_CTL), ctl);
    // 2 MiB: bit 8 is 0, bits 7:0 are 1.
    let ppn = (PA & !0x1f_ffff) >> 12 | 0xff;
    assert_eq!(r.r(offset::TR_RESPONSE), ppn << 10 | 1 << 9 | 1 << 7);
    assert!(r.iommu.run_debug_request(&mut r.mem, &mut ()).is_none());
    // A fault: reported, and `fault` set.
    r.w(offset::TR_REQ_IOVA, 0x7000);
    r.w(offset::TR_REQ_CTL, ctl | 1);
    let out = r.iommu.run_debug_request(&mut r.mem, &mut ()).unwrap();
    assert_eq!(
        out.record().map(|x| (x.cause, x.ttyp, x.iotval)),
        Some((13, 2, 0x7000))
    );
    assert_eq!(r.r(offset::TR_RESPONSE) & 1, 1);
    // PV=0: Priv is ignored. NW=0 asks for both.
    r.w(offset::TR_REQ_CTL, 5 << 40 | 1 << 12 | 2);
    let req = r.iommu.debug_request();
    assert_eq!(
        (req.process_id, req.supervisor(), req.access),
        (None, false, Access::Write)
    );
    r.w(offset::TR_REQ_CTL, 5 << 40 | 1 << 32 | 7 << 12 | 2 | 4 | 8);
    let req = r.iommu.debug_request();
    assert_eq!(
        (req.process_id, req.supervisor(), req.access),
        (Some(7), true, Access::Execute)
    );
}

#[test]
fn debug_registers_while_busy() {
    // "When the Go/Busy bit is 1, the IOMMU behavior is UNSPECIFIED if tr_req_iova or tr_req_ctl are
    // modified"; "a read-write-1-to-set (RW1S) bit that once set cannot be cleared by writing".
    let mut r = rig();
    assert_eq!(r.w(offset::TR_REQ_IOVA, 0x1000).unspecified, None);
    assert_eq!(r.w(offset::TR_REQ_CTL, 1).unspecified, None);
    assert!(r.w(offset::TR_REQ_IOVA, 0x2000).unspecified.is_some());
    let again = r.w(offset::TR_REQ_CTL, 0);
    assert!(again.unspecified.is_some() && !again.debug_request);
    assert_eq!(r.r(offset::TR_REQ_CTL), 1);
    r.iommu.run_debug_request(&mut r.mem, &mut ());
    assert_eq!(r.w(offset::TR_REQ_IOVA, 0x2000).unspecified, None);
}

#[test]
fn debug_request_to_an_mrif_page_is_260() {
    let (mut r, table) = msi_rig(0, 0x28000);
    r.mem.write_u64(table, V | 1 << 1 | 0x1_0000 << 7);
    r.w(offset::TR_REQ_IOVA, 0x2800_0000);
    r.w(offset::TR_REQ_CTL, 5 << 40 | 1);
    let out = r.iommu.run_debug_request(&mut r.mem, &mut ()).unwrap();
    assert_eq!(
        (out.cause(), r.r(offset::TR_RESPONSE)),
        (Some(Cause::TypeDisallowed), 1)
    );
}

// ---- HPM

#[test]
fn hpm_filters_and_dmask() {
    use hpm::{EventIds, HpmEvent, matches};
    let ids = EventIds {
        device_id: 0x12_34_56,
        process_id: Some(9),
        gscid: Some(0x7f),
        pscid: None,
    };
    let evt = |event: u64, idt: u64, did: u64, pid: u64, dv: u64, pv: u64, dmask: u64| {
        event | dmask << 15 | pid << 16 | did << 36 | pv << 60 | dv << 61 | idt << 62
    };
    let m = |selector, event| matches(selector, event, &ids);
    assert!(m(evt(1, 0, 0, 0, 0, 0, 0), HpmEvent::Untranslated));
    assert!(!m(evt(1, 0, 0, 0, 0, 0, 0), HpmEvent::Translated));
    assert!(m(evt(1, 0, 0x12_34_56, 9, 1, 1, 0), HpmEvent::Untranslated));
    assert!(!m(
        evt(1, 0, 0x12_34_56, 8, 1, 1, 0),
        HpmEvent::Untranslated
    ));
    assert!(!m(
        evt(1, 0, 0x12_34_57, 9, 1, 0, 0),
        HpmEvent::Untranslated
    ));
    // seg:bus:dev, any func; seg:bus; seg
    for (value, yes) in [
        (0x12_34_53, true),
        (0x12_34_5b, false),
        (0x12_34_7f, true),
        (0x12_7f_ff, true),
        (0x13_7f_ff, false),
    ] {
        assert_eq!(
            m(evt(1, 0, value, 0, 1, 0, 1), HpmEvent::Untranslated),
            yes,
            "{value:#x}"
        );
    }
    assert!(m(evt(1, 0, 0xff_ffff, 0, 1, 0, 1), HpmEvent::Untranslated));
    // IDT=1 only where the table says so; an invalid id never matches.
    assert!(!m(evt(1, 1, 0, 0, 0, 0, 0), HpmEvent::Untranslated));
    assert!(m(evt(4, 1, 0x7f, 0, 1, 0, 0), HpmEvent::TlbMiss));
    assert!(!m(evt(4, 1, 0x7f, 0, 1, 1, 0), HpmEvent::TlbMiss));
}

#[test]
fn hpm_counts_inhibits_and_overflows() {
    let mut r = rig();
    // Counter 2 (element 1) counts events of selector 2; inhibit bit 2 belongs to it.
    r.w(offset::IOHPMEVT1 + 8, 1);
    let ids = hpm::EventIds {
        device_id: 1,
        ..Default::default()
    };
    r.iommu.count_event(hpm::HpmEvent::Untranslated, &ids, 3);
    assert_eq!((r.r(offset::IOHPMCTR1), r.r(offset::IOHPMCTR1 + 8)), (0, 3));
    r.w(offset::IOCOUNTINH, 1 << 2);
    r.iommu.count_event(hpm::HpmEvent::Untranslated, &ids, 3);
    assert_eq!(r.r(offset::IOHPMCTR1 + 8), 3);
    r.w(offset::IOCOUNTINH, 1 << 1 | 1);
    r.w(offset::IOHPMCTR1 + 8, u64::MAX);
    r.iommu.count_event(hpm::HpmEvent::Untranslated, &ids, 3);
    assert_eq!(r.r(offset::IOHPMCTR1 + 8), 2);
    assert_eq!((r.r(offset::IOCOUNTOVF), r.r(offset::IPSR)), (1 << 2, 4));
    // OF already 1: no further interrupt.
    r.w(offset::IPSR, 4);
    r.w(offset::IOHPMCTR1 + 8, u64::MAX);
    r.iommu.count_event(hpm::HpmEvent::Untranslated, &ids, 1);
    assert_eq!(r.r(offset::IPSR), 0);
    // Cycles: bit 0 inhibits, 63 bits wrap, OF in bit 63.
    r.iommu.count_cycles(5);
    assert_eq!(r.r(offset::IOHPMCYCLES), 0);
    r.w(offset::IOCOUNTINH, 0);
    r.w(offset::IOHPMCYCLES, (1 << 63) - 1);
    r.iommu.count_cycles(2);
    assert_eq!(
        (
            r.r(offset::IOHPMCYCLES),
            r.r(offset::IPSR),
            r.r(offset::IOCOUNTOVF)
        ),
        (1 << 63 | 1, 4, 5)
    );
    // Walks of a nested translation are counted as they begin.
    let (root, _) = nested(&mut r, 9, V);
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU));
    let mut walks = hpm::WalkCounts::default();
    let req = read(9, VA);
    let out = r.iommu.translate(&mut r.mem, &req, &mut walks);
    assert_eq!(
        (
            walks.device_directory,
            walks.process_directory,
            walks.first_stage,
            walks.second_stage
        ),
        (1, 0, 1, 4)
    );
    r.w(offset::IOHPMEVT1, 8 | 1 << 62 | 1 << 61 | 7 << 36);
    r.w(offset::IOHPMCTR1, 0);
    r.iommu.count_request(&req, &out, &walks);
    assert_eq!(r.r(offset::IOHPMCTR1), 4);
    // Reserved events are not taken.
    r.w(offset::IOHPMEVT1, 9);
    assert_eq!(r.r(offset::IOHPMEVT1) & 0x7fff, 8);
}

#[test]
fn every_event_of_a_request_is_counted() {
    let mut r = rig();
    let root = r.sv39(5);
    r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    let table = pdt(&mut r, 6, 1, 0, 0);
    set_pc(&mut r, table, 1, 3, V, 0);
    let g = vm(&mut r, 3, RWU);
    r.set_dc(
        7,
        &DeviceContext {
            tc: V,
            iohgatp: hgatp(8, 7, g),
            ..Default::default()
        },
    );
    for n in 0..7u16 {
        r.w(
            offset::IOHPMEVT1 + 8 * n,
            u64::from([1u16, 2, 4, 5, 6, 7, 8][usize::from(n)]),
        );
    }
    let mut counts = |req: Request| {
        let mut walks = hpm::WalkCounts::default();
        let out = r.iommu.translate(&mut r.mem, &req, &mut walks);
        r.iommu.count_request(&req, &out, &walks);
        let now: Vec<u64> = (0..7u16).map(|n| r.r(offset::IOHPMCTR1 + 8 * n)).collect();
        for n in 0..7u16 {
            r.w(offset::IOHPMCTR1 + 8 * n, 0);
        }
        now
    };
    // untranslated, translated, TLB miss, DDT, PDT, first stage, second stage
    assert_eq!(counts(read(5, VA)), [1, 0, 1, 1, 0, 1, 0]);
    assert_eq!(counts(with_pid(read(6, VA), 3)), [1, 0, 0, 1, 1, 0, 0]);
    assert_eq!(counts(read(7, 0x1000)), [1, 0, 1, 1, 0, 0, 1]);
    assert_eq!(counts(translated(5, VA)), [0, 1, 0, 1, 0, 0, 0]);
}

#[test]
fn read_only_registers_ignore_writes_and_leave_their_neighbours_alone() {
    let mut r = rig();
    r.mode(0, 0);
    for (base, head, tail) in [
        (offset::CQB, offset::CQH, offset::CQT),
        (offset::FQB, offset::FQH, offset::FQT),
        (offset::PQB, offset::PQH, offset::PQT),
    ] {
        r.w(base, 7);
        let (ours, theirs) = if base == offset::CQB {
            (head, tail)
        } else {
            (tail, head)
        };
        r.w(theirs, 0x1_23);
        r.w(ours, 0xff);
        assert_eq!((r.r(ours), r.r(theirs)), (0, 0x23), "{base}");
    }
    for at in [offset::CAPABILITIES, offset::TR_RESPONSE] {
        let before = r.r(at);
        r.w(at, !before);
        assert_eq!(r.r(at), before);
    }
    r.w(offset::IOCOUNTOVF, 0xffff_ffff);
    assert_eq!((r.r(offset::IOCOUNTOVF), r.r(offset::IOCOUNTINH)), (0, 0));
    // on and busy of the CSRs are read-only; so are reserved and custom bits.
    for at in [offset::CQCSR, offset::FQCSR, offset::PQCSR] {
        r.w(at, 0xffff_fffe);
        assert_eq!(r.r(at), 2);
    }
}

// ---- the metamorphic relations that one example shows well

#[test]
fn identity_second_stage_changes_nothing() {
    let mut r = rig();
    let (root, _) = nested(&mut r, 5, V);
    r.set_dc(
        6,
        &DeviceContext {
            tc: V,
            ta: 5 << 12,
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        },
    );
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU));
    for req in [read(5, VA), write(5, VA), exec(5, VA)] {
        let (a, b) = (
            r.go(req),
            r.go(Request {
                device_id: 6,
                ..req
            }),
        );
        match (a, b) {
            (Outcome::Granted(a), Outcome::Granted(b)) => assert_eq!(a.spa, b.spa),
            (a, b) => assert_eq!(a.cause(), b.cause()),
        }
    }
}

// ---- what is checked when a context is located, by choice

#[test]
fn addresses_beyond_pas_noticed_when_the_context_is_located() {
    use iommu_golden::config::WideAddress;
    let caps = all_caps().with_pas(40);
    for (choice, dc_cause, pc_cause) in [
        (WideAddress::WhenAccessed, 5, 5),
        (WideAddress::Misconfigured, 259, 267),
    ] {
        let mut cfg = Config::new(caps);
        cfg.choices.wide_address = choice;
        let mut r = Rig::with(cfg);
        let wide = 1 << 28;
        r.set_dc(
            5,
            &DeviceContext {
                tc: V,
                fsc: 8 << 60 | wide,
                ..Default::default()
            },
        );
        assert_eq!(r.cause(read(5, VA)), dc_cause);
        r.set_dc(
            5,
            &DeviceContext {
                tc: V,
                iohgatp: hgatp(8, 7, wide << 12),
                ..Default::default()
            },
        );
        assert_eq!(r.cause(read(5, VA)), dc_cause);
        // Bare: the PPN is nobody's.
        r.set_dc(
            5,
            &DeviceContext {
                tc: V,
                fsc: wide,
                ..Default::default()
            },
        );
        assert_eq!(r.ok(read(5, 0x1000)), 0x1000);
        let root = pdt(&mut r, 5, 1, 0, 0);
        set_pc(&mut r, root, 1, 3, V, 8 << 60 | wide);
        assert_eq!(r.cause(with_pid(read(5, VA), 3)), pc_cause);
        // msiptp, with a second stage whose page is an interrupt file.
        let g = vm(&mut r, 3, RWU);
        r.set_dc(
            5,
            &DeviceContext {
                tc: V,
                iohgatp: hgatp(8, 7, g),
                msiptp: 1 << 60 | wide,
                msi_addr_pattern: 0x28000,
                ..Default::default()
            },
        );
        let want = if choice == WideAddress::Misconfigured {
            259
        } else {
            261
        };
        assert_eq!(r.cause(write(5, 0x2800_0000)), want);
    }
}

#[test]
fn pc_modes_follow_sxl_and_capabilities() {
    let all = all_caps();
    for sxl in [false, true] {
        let dc = DeviceContext {
            tc: V | tc::PDTV | if sxl { tc::SXL } else { 0 },
            ..Default::default()
        };
        for mode in 0..16u64 {
            let pc = ProcessContext {
                ta: V,
                fsc: mode << 60,
            };
            let cap = match (sxl, mode) {
                (_, 0) => {
                    assert!(pc.check(&Config::new(all), &dc).is_ok());
                    continue;
                }
                (false, 8) => Capabilities::SV39,
                (false, 9) => Capabilities::SV48,
                (false, 10) => Capabilities::SV57,
                (true, 8) => Capabilities::SV32,
                _ => {
                    assert!(pc.check(&Config::new(all), &dc).is_err());
                    continue;
                }
            };
            assert!(pc.check(&Config::new(all), &dc).is_ok());
            assert!(
                pc.check(&Config::new(all.without(cap)), &dc).is_err(),
                "SXL {sxl} mode {mode}"
            );
        }
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let bad = |caps| Iommu::new(Config::new(caps)).is_err();
    let all = all_caps();
    assert!(!bad(all));
    assert!(bad(all.with_igs(Igs::Reserved)));
    assert!(bad(all.without(Capabilities::SV39)));
    assert!(bad(all.without(Capabilities::SV48)));
    for change in [
        |c: &mut Choices| c.vectors = 3,
        |c: &mut Choices| c.vectors = 32,
        |c: &mut Choices| c.msi_addr_bits = 57,
        |c: &mut Choices| c.log2sz_bits = 6,
        |c: &mut Choices| c.ppn_bits = 45,
        |c: &mut Choices| c.rcid_bits = 13,
        |c: &mut Choices| c.mcid_bits = 13,
        |c: &mut Choices| c.bare_range_log2 = 11,
        |c: &mut Choices| c.hpm_counters = 0,
        |c: &mut Choices| c.hpm_counter_bits = 31,
        |c: &mut Choices| c.hpm_cycle_bits = 64,
    ] {
        let mut cfg = Config::new(all);
        change(&mut cfg.choices);
        let why = cfg.check().unwrap_err().to_string();
        assert!(why.starts_with("choice `"), "{why}");
    }
}
