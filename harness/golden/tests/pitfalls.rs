//! Places where home-made models go wrong: a test each, with the sentence that decides.
//! docs/golden.md has them as one table.

mod common;
use common::*;
use iommu_golden::ats::{AtsOut, PageRequest};
use iommu_golden::config::ControlBit;
use iommu_golden::*;

const VA: u64 = 0x12_3456_7000;
const GPA: u64 = 0x1_2345_6000;

fn rig() -> Rig {
    Rig::new(all_caps())
}

/// "Process to translate an IOVA", steps 1, 2, 5, 6, 7, 14, 15 in this order: each refusal is
/// seen only once all before it are mended.
#[test]
fn order_256_260_bare_260_width_dc_260_type_pc_260_ens() {
    let mut r = rig();
    let root = r.ddt_root();
    // One request that is wrong in every way that is left.
    let req = Request {
        kind: RequestKind::AtsTranslation,
        privileged: true,
        ..with_pid(read(1 << 20, VA), 3)
    };
    let cause = |r: &mut Rig| r.go(req).cause().map(Cause::code);
    r.mode(0, root);
    assert_eq!(cause(&mut r), Some(256));
    r.mode(1, root);
    assert_eq!(cause(&mut r), Some(260));
    // Too wide for 2LVL, although there is no directory to read either.
    r.mode(3, root);
    r.mem.add_fault(0..1 << 40, MemError::Access);
    assert_eq!(cause(&mut r), Some(260));
    r.mode(4, root);
    assert_eq!(cause(&mut r), Some(257));
    r.mem.clear_faults();
    assert_eq!(cause(&mut r), Some(258));
    // A context that allows neither ATS nor processes.
    r.set_dc(
        1 << 20,
        &DeviceContext {
            tc: tc::V | 1 << 12,
            ..Default::default()
        },
    );
    assert_eq!(cause(&mut r), Some(259));
    r.set_dc(
        1 << 20,
        &DeviceContext {
            tc: tc::V,
            ..Default::default()
        },
    );
    assert_eq!(cause(&mut r), Some(260));
    let directory = pdt(&mut r, 1 << 20, 1, tc::EN_ATS, 0);
    assert_eq!(cause(&mut r), Some(266));
    set_pc(&mut r, directory, 1, 3, V | 1 << 3, 0);
    assert_eq!(cause(&mut r), Some(267));
    set_pc(&mut r, directory, 1, 3, V, 0);
    assert_eq!(cause(&mut r), Some(260));
    set_pc(&mut r, directory, 1, 3, V | 1 << 1, 0);
    assert_eq!(cause(&mut r), None);
}

/// "Device-Directory-Table": DDI[1] is device_id[14:6] or [15:7], 9 bits; DDI[2] is [23:15] or
/// [23:16]. No bit of one index reaches another.
#[test]
fn directory_indices_are_9_bits() {
    for (msi_flat, leaf_bits) in [(true, 6u32), (false, 7)] {
        let caps = Capabilities::version_1_0()
            .with(if msi_flat { Capabilities::MSI_FLAT } else { 0 })
            .with_pas(56);
        let mut r = Rig::new(caps);
        for bit in 0..24u32 {
            let did = 1u32 << bit;
            let mut loads = Vec::new();
            let root = r.ddt_root();
            r.set_dc(
                did,
                &DeviceContext {
                    tc: V,
                    ..Default::default()
                },
            );
            let req = read(did, VA);
            r.iommu
                .translate(&mut r.mem, &req, &mut |e: &WalkEvent<'_>| {
                    if let WalkEvent::Load { addr, .. } = e {
                        loads.push(addr.0 & 0xfff);
                    }
                });
            let size = caps.dc_size();
            let at = |level: u32| match level {
                0 if bit < leaf_bits => (1u64 << bit) * size,
                1 if (leaf_bits..leaf_bits + 9).contains(&bit) => 8 << (bit - leaf_bits),
                2 if bit >= leaf_bits + 9 => 8 << (bit - leaf_bits - 9),
                _ => 0,
            };
            assert_eq!(loads, [at(2), at(1), at(0)], "bit {bit}, DDT at {root:#x}");
        }
    }
}

/// "If V is 0, all other bits are don't-cares": V=0 wins over reserved bits in every structure.
#[test]
fn v_0_comes_before_reserved_bits() {
    let junk = !V;
    // Non-leaf DDT entry: 258, not 259.
    let mut r = rig();
    let root = r.ddt_root();
    r.mem.write_u64(root, junk);
    assert_eq!(r.cause(read(1, VA)), 258);
    r.mem.write_u64(root, junk | V);
    assert_eq!(r.cause(read(1, VA)), 259);
    // DC.
    let mut r = rig();
    let words = DeviceContext::from_words(&[junk; 8]);
    r.set_dc(1, &words);
    assert_eq!(r.cause(read(1, VA)), 258);
    // Non-leaf PDT entry and PC: 266, not 267.
    let mut r = rig();
    let dir = pdt(&mut r, 1, 2, 0, 0);
    r.mem.write_u64(dir, junk);
    assert_eq!(r.cause(with_pid(read(1, VA), 3)), 266);
    r.mem.write_u64(dir, 0);
    set_pc(&mut r, dir, 2, 3, junk, !0);
    assert_eq!(r.cause(with_pid(read(1, VA), 3)), 266);
    // MSI PTE: 262, not 263.
    let (mut r, table) = msi_rig(0, 0x28000);
    r.mem.write_u64(table, junk);
    assert_eq!(r.cause(write(5, 0x2800_0000)), 262);
    // PTE: a page fault either way, with the rule of V=0.
    let mut r = rig();
    let root = r.sv39(1);
    r.map(root, 3, 0, VA, 2, junk);
    let Outcome::Denied(d) = r.go(read(1, VA)) else {
        panic!("granted")
    };
    assert_eq!(d.rule.step, "3: V=0");
}

/// "DPE ... the default process_id [is] 0", but the record says what the transaction had: none.
#[test]
fn dpe_takes_process_0_and_the_record_says_pv_0() {
    let mut r = rig();
    let dir = pdt(&mut r, 1, 1, tc::DPE, 0);
    let root = r.page();
    set_pc(&mut r, dir, 1, 0, V, 8 << 60 | root >> 12);
    let rec = r.record(read(1, VA));
    assert_eq!((rec.cause, rec.pv, rec.pid), (13, false, 0));
    r.map(root, 3, 0, VA, 0, leaf(0x8000_0000, RWU));
    assert_eq!(r.ok(read(1, VA)), 0x8000_0000);
}

/// Step 12: "DPE is 0 and there is no process_id: iosatp.MODE is Bare", although PDTV is 1.
#[test]
fn pdtv_without_process_id_and_dpe_0_is_bare() {
    let mut r = rig();
    pdt(&mut r, 1, 3, 0, 0);
    assert_eq!(r.ok(write(1, VA)), VA);
}

/// Step 7.c: "the process_id is wider than that supported by pdtp.MODE": 260, before the PDT.
#[test]
fn wide_process_id_is_260() {
    for (mode, bits) in [(1u64, 8u32), (2, 17)] {
        let mut r = rig();
        pdt(&mut r, 1, mode, 0, 0);
        assert_eq!(r.cause(with_pid(read(1, VA), (1 << bits) - 1)), 266);
        assert_eq!(r.cause(with_pid(read(1, VA), 1 << bits)), 260);
    }
}

/// "any guest-page fault ... reported using the original access type"; "An access fault in the
/// second stage is reported as PDT entry load access fault (265) ... data corruption (269)".
#[test]
fn pdt_walk_through_the_second_stage_names_its_own_faults() {
    let mut r = rig();
    let g = vm(&mut r, 3, RWU);
    let dir = pdt(&mut r, 1, 1, 0, hgatp(8, 7, g));
    let entry = g + (dir >> 30) * 8;
    r.mem.write_u64(entry, 0);
    assert_eq!(r.cause(with_pid(read(1, VA), 3)), 21);
    assert_eq!(r.cause(with_pid(write(1, VA), 3)), 23);
    assert_eq!(r.cause(with_pid(exec(1, VA), 3)), 20);
    r.mem.add_fault(entry..entry + 8, MemError::Access);
    assert_eq!(r.cause(with_pid(write(1, VA), 3)), 265);
    r.mem.clear_faults();
    r.mem.add_fault(entry..entry + 8, MemError::Corrupt);
    assert_eq!(r.cause(with_pid(write(1, VA), 3)), 269);
}

/// "iotval2[63:2] ... bit 0 ... an implicit memory access ... bit 1 ... was a write".
#[test]
fn iotval2_has_two_low_bits_of_its_own() {
    // The access itself: 0. Byte offsets below 4 do not show.
    let mut r = rig();
    let (root, g) = nested(&mut r, 1, V | tc::SADE);
    let away = 0x60_0000_0000u64;
    let pte = r.map(root, 3, 0, VA, 0, leaf(away, RWU));
    assert_eq!(r.record(write(1, VA | 7)).iotval2, away | 4);
    // Read of a first-stage entry: 1.
    r.map(root, 3, 0, VA, 1, V | away >> 12 << 10);
    let vpn0 = VA >> 12 & 0x1ff;
    assert_eq!(r.record(write(1, VA)).iotval2, (away + vpn0 * 8) | 1);
    // Its A/D update: 3.
    let page = pte >> 12 << 12;
    r.map(root, 3, 0, VA, 1, V | page >> 12 << 10);
    r.mem.write_u64(pte, leaf(GPA, RWU & !D));
    r.mem
        .write_u64(g + (pte >> 30) * 8, leaf(pte >> 30 << 30, V | R | U | A));
    let rec = r.record(write(1, VA));
    assert_eq!((rec.cause, rec.iotval2), (23, pte | 3));
}

/// Table "CAUSE encodings": DTF=1 hides 260, but not 256 to 259, 268, 272 and 273.
#[test]
fn dtf_hides_260_and_not_256_to_259_268_272_273() {
    for code in 0..300u16 {
        let Some(cause) = Cause::from_code(code) else {
            continue;
        };
        let shown = matches!(code, 256..=259 | 268 | 272 | 273);
        assert_eq!(cause.reported_with_dtf(), shown, "cause {code}");
    }
    let mut r = rig();
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::DTF,
            ..Default::default()
        },
    );
    let out = r.go(translated(1, VA));
    assert_eq!(
        (out.cause().map(Cause::code), out.record()),
        (Some(260), None)
    );
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::DTF | 1 << 12,
            ..Default::default()
        },
    );
    assert_eq!(r.record(translated(1, VA)).cause, 259);
}

/// "If PV is 0, the PID and PRIV fields are 0"; "If TTYP is 0 (none), DID, PV, PID and PRIV are 0".
#[test]
fn fields_that_do_not_apply_are_0() {
    let mut r = rig();
    let rec = r.record(Request {
        privileged: true,
        ..read(0x123, VA)
    });
    assert_eq!(
        (rec.did, rec.pv, rec.pid, rec.privileged),
        (0x123, false, 0, false)
    );
    let rec = FaultRecord::of_event(Cause::MsiWriteAccessFault, 0x2800_0000);
    assert_eq!(rec.to_words()[0], 273);
    assert_eq!((rec.ttyp, rec.did), (0, 0));
}

/// "Guest Physical Address Translation": "when checking the U bit, the current privilege mode is
/// always taken to be U-mode", whatever the request asks for.
#[test]
fn second_stage_checks_as_user() {
    let mut r = rig();
    let g = vm(&mut r, 3, RWU & !U);
    let dir = pdt(&mut r, 1, 1, 0, hgatp(8, 7, g));
    // The directory itself must be readable; only the page has U=0.
    r.map(g, 3, 2, dir, 2, leaf(dir >> 30 << 30, RWU));
    set_pc(&mut r, dir, 1, 3, V | 1 << 1, 0);
    let page = 0x1_0000_0000u64;
    let req = Request {
        privileged: true,
        ..with_pid(read(1, page), 3)
    };
    assert_eq!(r.cause(req), 21);
    r.map(g, 3, 2, page, 2, leaf(page, RWU));
    assert_eq!(r.ok(req), page);
}

/// Process-context, SUM: "read with execute intent to pages mapped with U=1 are disallowed,
/// regardless of SUM".
#[test]
fn supervisor_execute_of_a_user_page_fails_with_sum() {
    let mut r = rig();
    let dir = pdt(&mut r, 1, 1, 0, 0);
    let root = r.page();
    set_pc(&mut r, dir, 1, 3, V | 1 << 1 | 1 << 2, 8 << 60 | root >> 12);
    r.map(root, 3, 0, VA, 0, leaf(0x8000_0000, RWU | X));
    let s = |req| Request {
        privileged: true,
        ..with_pid(req, 3)
    };
    assert_eq!(r.ok(s(write(1, VA))), 0x8000_0000);
    assert_eq!(r.cause(s(exec(1, VA))), 12);
    assert_eq!(r.ok(with_pid(exec(1, VA), 3)), 0x8000_0000);
}

/// SXL=0: bits above the scheme equal its top bit (page fault); SXL=1: bits 63:32 are 0; the second
/// stage: bits above are 0 (guest-page fault).
#[test]
fn upper_address_bits() {
    let mut r = rig();
    let root = r.sv39(1);
    let top = 1u64 << 38;
    r.map(root, 3, 0, top, 2, leaf(0x8000_0000, RWU));
    assert_eq!(r.ok(read(1, !0 << 39 | top)), 0x8000_0000);
    assert_eq!(r.cause(read(1, top)), 13);
    assert_eq!(r.cause(read(1, 1 << 63 | top)), 13);

    // Sv32 does not extend its sign.
    let mut cfg = Config::new(all_caps());
    cfg.choices.gxl = ControlBit::Writable(false);
    let mut r = Rig::with(cfg);
    let root = r.page();
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::SXL,
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        },
    );
    let va = 0xffc0_0000u64;
    let pte = ((0x8000_0000u64 >> 12 << 10) | RWU).to_le_bytes();
    r.mem.write(root + 0x3ff * 4, &pte[..4]);
    assert_eq!(r.ok(read(1, va)), 0x8000_0000);
    assert_eq!(r.cause(read(1, !0 << 32 | va)), 13);

    let mut r = rig();
    let g = vm(&mut r, 3, RWU);
    r.set_dc(
        1,
        &DeviceContext {
            tc: V,
            iohgatp: hgatp(8, 7, g),
            ..Default::default()
        },
    );
    // Bit 40 is the highest of Sv39x4; no sign extension above.
    assert_eq!(r.cause(read(1, 1 << 40)), 21);
    r.map(g, 3, 2, 1 << 40, 2, leaf(0x8000_0000, RWU));
    assert_eq!(r.ok(read(1, 1 << 40)), 0x8000_0000);
    for high in [1u64 << 41, !0 << 41] {
        assert_eq!(r.cause(read(1, high | 1 << 40)), 21);
    }
}

/// Step 3: bits 60:54, PBMT and N are reserved unless the capability frees them; in non-leaf entries
/// D, A, U, PBMT and N are reserved always.
#[test]
fn reserved_encodings_follow_capabilities_in_leaves_and_non_leaves() {
    let grants = |caps: Capabilities, level: u8, bits: u64| {
        let mut r = Rig::new(caps);
        let root = r.sv39(1);
        r.map(root, 3, 0, VA, 0, leaf(0x8000_8000, RWU));
        // The entry of that level on the way down.
        let mut at = root + (VA >> 30 & 0x1ff) * 8;
        for i in (level..2).rev() {
            at = (r.mem.read_u64(at) >> 10 << 12) + (VA >> (12 + 9 * i) & 0x1ff) * 8;
        }
        let old = r.mem.read_u64(at);
        r.mem.write_u64(at, old | bits);
        matches!(r.go(read(1, VA)), Outcome::Granted(_))
    };
    let all = all_caps();
    let none = slice_caps();
    for level in [0u8, 1] {
        let leaf = level == 0;
        for bit in 54..=58 {
            assert!(!grants(all, level, 1 << bit), "bit {bit}");
        }
        for bit in [59, 60] {
            assert!(!grants(none, level, 1 << bit), "bit {bit}");
            assert!(grants(all, level, 1 << bit), "bit {bit}");
        }
        for pbmt in [1u64, 2] {
            assert!(!grants(none, level, pbmt << 61));
            assert_eq!(grants(all, level, pbmt << 61), leaf);
        }
        assert!(!grants(all, level, 3 << 61));
        // PPN[3:0] is 8: a NAPOT leaf of 64 KiB. Reserved in a pointer.
        assert_eq!(grants(all, level, 1 << 63), leaf);
    }
    for bit in [U, A, D] {
        assert!(!grants(all, 1, bit));
    }
}

/// "The RSW field is reserved for use by supervisor software": ignored, as is G in the second stage,
/// and custom bits of `tc`.
#[test]
fn ignored_bits_do_not_fault() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 1, V | 0xff << 24);
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU | 3 << 8));
    r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, RWU | G | 3 << 8));
    // Pointers: RSW and G.
    let top = root + (VA >> 30 & 0x1ff) * 8;
    let pointer = r.mem.read_u64(top);
    r.mem.write_u64(top, pointer | 3 << 8 | G);
    assert_eq!(r.ok(read(1, VA)), GPA);
}

/// The first stage is walked to its end before its page meets the second: A=0 in a first-stage leaf
/// without SADE is a page fault, although the page itself has no second-stage mapping.
#[test]
fn page_fault_for_a_comes_before_the_guest_page_fault() {
    let mut r = rig();
    let (root, _) = nested(&mut r, 1, V);
    let away = 0x60_0000_0000u64;
    r.map(root, 3, 0, VA, 0, leaf(away, RWU & !A));
    assert_eq!(r.cause(read(1, VA)), 13);
    r.map(root, 3, 0, VA, 0, leaf(away, RWU));
    assert_eq!(r.cause(read(1, VA)), 21);
}

/// "the need to set A and/or D bits at the G-stage level [is] checked as though for an implicit load
/// or store": the A/D write of a first-stage entry makes its second-stage page dirty.
#[test]
fn implicit_store_sets_d_in_the_second_stage() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 1, V | tc::SADE | tc::GADE);
    let pte = r.map(root, 3, 0, VA, 0, leaf(GPA, V | R | W | U));
    let tables = g + (pte >> 30) * 8;
    let page = g + (GPA >> 30) * 8;
    r.mem
        .write_u64(tables, leaf(pte >> 30 << 30, RWU & !(A | D)));
    r.mem.write_u64(page, leaf(GPA >> 30 << 30, RWU & !(A | D)));
    assert_eq!(r.ok(read(1, VA)), GPA);
    // A read: A of the first stage, which is a write to the table's page; A alone of the page.
    assert_eq!(r.mem.read_u64(pte) & (A | D), A);
    if pte >> 30 != GPA >> 30 {
        assert_eq!(r.mem.read_u64(tables) & (A | D), A | D);
        assert_eq!(r.mem.read_u64(page) & (A | D), A);
    } else {
        panic!("tables and page share a gigapage: the test shows nothing");
    }
}

/// Svpbmt: the first stage's type, if it is not 0, wins over the second stage's.
#[test]
fn first_stage_pbmt_wins() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 1, V);
    r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, RWU) | 2 << 61);
    for (first, want) in [(0u64, Pbmt::Io), (1, Pbmt::Nc), (2, Pbmt::Io)] {
        r.map(root, 3, 0, VA, 0, leaf(GPA, RWU) | first << 61);
        let Outcome::Granted(t) = r.go(read(1, VA)) else {
            panic!("refused")
        };
        assert_eq!(t.pbmt, want);
    }
}

/// A 4-KiB page on a second-stage gigapage, and the reverse: the smaller range is what one
/// translation stands for.
#[test]
fn the_smaller_page_of_both_stages_counts() {
    let mut r = rig();
    let (root, g) = nested(&mut r, 1, V);
    for (first, second, range) in [(0u8, 2u8, 12u8), (2, 0, 12), (1, 2, 21), (2, 1, 21)] {
        let first_pa = GPA >> (12 + 9 * first) << (12 + 9 * first);
        r.map(root, 3, 0, VA, first, leaf(first_pa, RWU));
        let gpa = first_pa | VA & ((1 << (12 + 9 * first)) - 1);
        let entry = gpa >> (12 + 9 * second) << (12 + 9 * second);
        // In a root of its own, beside the identity map of the tables.
        let keep = r.mem.read_u64(g + (gpa >> 30) * 8);
        r.mem.write_u64(g + (gpa >> 30) * 8, 0);
        r.map(g, 3, 2, gpa, second, leaf(entry, RWU));
        let Outcome::Granted(t) = r.go(read(1, VA)) else {
            panic!("refused: {first} on {second}")
        };
        assert_eq!((t.spa.0, t.range_log2), (gpa, range));
        r.mem.write_u64(g + (gpa >> 30) * 8, keep);
        r.mem.write_u64(root + (VA >> 30 & 0x1ff) * 8, 0);
    }
}

/// Step 18 precedes step 19: an interrupt file's page needs no second-stage mapping, for reads too.
#[test]
fn msi_check_replaces_the_second_stage_for_reads_too() {
    let file = 0x7f_0000_0000u64; // beyond what the second stage maps
    let (mut r, table) = msi_rig(0, file >> 12);
    r.mem.write_u64(table, V | 3 << 1 | 0x9000_0000 >> 12 << 10);
    assert_eq!(r.ok(read(5, file)), 0x9000_0000);
    assert_eq!(r.ok(write(5, file | 0xffc)), 0x9000_0ffc);
    assert_eq!(r.cause(read(5, file + 0x1000)), 21);
}

/// "PCIe ATS translation request handling": which causes answer Success without permission, CA, UR,
/// and that only UR and CA are recorded.
#[test]
fn ats_causes_and_their_completions() {
    let answer = |r: &mut Rig, va: u64| match r.go(ats(1, va)) {
        Outcome::Ats(a) => (a.status, a.cause.map(Cause::code), a.record.is_some()),
        other => panic!("{other:?}"),
    };
    use AtsStatus::*;
    let mut r = rig();
    // No context, no ATS: UR.
    assert_eq!(answer(&mut r, VA), (UnsupportedRequest, Some(258), true));
    r.set_dc(
        1,
        &DeviceContext {
            tc: V,
            ..Default::default()
        },
    );
    assert_eq!(answer(&mut r, VA), (UnsupportedRequest, Some(260), true));
    // No page: Success without permission, nothing recorded.
    let root = r.first_stage(1, 8, V | tc::EN_ATS);
    assert_eq!(answer(&mut r, VA), (Success, Some(13), false));
    // A table that cannot be read: CA.
    let entry = root + (VA >> 30 & 0x1ff) * 8;
    r.mem.add_fault(entry..entry + 8, MemError::Access);
    assert_eq!(answer(&mut r, VA), (CompleterAbort, Some(5), true));
    r.mem.clear_faults();
    r.mem.add_fault(entry..entry + 8, MemError::Corrupt);
    assert_eq!(answer(&mut r, VA), (CompleterAbort, Some(274), true));
    r.mem.clear_faults();
    // PDT entry not valid: Success; misconfigured: CA.
    let dir = pdt(&mut r, 1, 1, tc::EN_ATS | tc::DPE, 0);
    assert_eq!(answer(&mut r, VA), (Success, Some(266), false));
    set_pc(&mut r, dir, 1, 0, V | 1 << 3, 0);
    assert_eq!(answer(&mut r, VA), (CompleterAbort, Some(267), true));
}

/// "PCIe ATS Page Request handling": full queue answers Success, an error state Response Failure, a
/// device without EN_PRI Invalid Request; only the last request of a group is answered.
#[test]
fn page_request_responses() {
    const PQ: u64 = 0x7100_0000;
    let mut r = rig();
    r.w(offset::PQB, PQ >> 12 << 10); // two entries: holds one
    r.w(offset::PQCSR, 1);
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::EN_ATS | tc::EN_PRI,
            ..Default::default()
        },
    );
    let go = |r: &mut Rig, last: bool| {
        let req = PageRequest {
            device_id: 1,
            process_id: None,
            privileged: false,
            execute: false,
            payload: 0x155 << 3 | u64::from(last) << 2 | 1,
        };
        r.iommu.run_page_request(&mut r.mem, &mut (), &req);
        r.iommu.take_ats_messages().pop().map(|m| match m {
            AtsOut::PageResponse(m) => m.payload >> 44 & 0xf,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(go(&mut r, true), None); // queued: software will answer
    assert_eq!(go(&mut r, false), None); // overflow, not the last
    assert_eq!(go(&mut r, true), Some(0)); // overflow: Success
    r.w(offset::PQCSR, 0);
    assert_eq!(go(&mut r, true), Some(15)); // off: Response Failure
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::EN_ATS,
            ..Default::default()
        },
    );
    assert_eq!(go(&mut r, true), Some(1)); // EN_PRI=0: Invalid Request
}

/// IODIR.INVAL_DDT: "any PDT entries associated with the device are invalidated" too.
#[test]
fn inval_ddt_drops_pdt_entries() {
    let caps = all_caps();
    let pc = Label::Pc {
        device_id: 5,
        process_id: 3,
    };
    let pointer = Label::PdtNonLeaf {
        device_id: 5,
        process_id: 3,
        level: 1,
    };
    for (label, words) in [(pc, &[V, 0][..]), (pointer, &[V][..])] {
        for entry in invalidate::describe(caps, &label, words)
            .into_iter()
            .flatten()
        {
            let covered = |device_id| invalidate::covers(&Command::InvalDdt { device_id }, &entry);
            assert!(
                covered(None) && covered(Some(5)) && !covered(Some(4)),
                "{entry:?}"
            );
        }
    }
}

/// cqcsr: "cqen 0 -> 1: cqh and [error bits] are set to 0"; cqt stays.
#[test]
fn cqen_0_to_1_clears_cqh_and_not_cqt() {
    let mut r = rig();
    r.w(offset::CQB, 0x7000_0000 >> 12 << 10 | 3);
    r.w(offset::CQCSR, 1);
    let fence = Command::Iofence(command::Iofence {
        av: false,
        wsi: false,
        pr: false,
        pw: false,
        data: 0,
        addr: Spa(0),
    });
    for n in 0..2u64 {
        for (i, w) in fence.encode().into_iter().enumerate() {
            r.mem.write_u64(0x7000_0000 + 16 * n + 8 * i as u64, w);
        }
    }
    r.w(offset::CQT, 2);
    while matches!(r.iommu.step_command(&mut r.mem), CommandStep::Done(_)) {}
    assert_eq!((r.r(offset::CQH), r.r(offset::CQT)), (2, 2));
    r.w(offset::CQCSR, 0);
    r.w(offset::CQCSR, 1);
    assert_eq!((r.r(offset::CQH), r.r(offset::CQT)), (0, 2));
}

/// ipsr: "If the conditions that caused the bit to be 1 are still present when the bit is cleared,
/// then it transitions again from 0 to 1", and a new message goes out.
#[test]
fn ipsr_rises_again_while_its_cause_stands() {
    let mut r = rig();
    r.w(offset::CQB, 0x7000_0000 >> 12 << 10 | 3);
    r.w(offset::CQCSR, 3);
    r.w(offset::CQT, 1); // an all-zero command is IOTINVAL.VMA
    r.mem.write_u64(0x7000_0000, 0x7f); // no such opcode
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Illegal(_)
    ));
    assert_eq!(r.iommu.due_vectors(), 1);
    r.iommu.message_sent(0);
    assert_eq!(r.iommu.due_vectors(), 0);
    // cmd_ill still stands: cip is 1 again, with another message.
    r.w(offset::IPSR, 1);
    assert_eq!((r.r(offset::IPSR), r.iommu.due_vectors()), (1, 1));
    r.iommu.message_sent(0);
    // Cause first, then cip: it stays 0.
    r.w(offset::CQCSR, 3 | 1 << 10);
    r.w(offset::IPSR, 1);
    assert_eq!((r.r(offset::IPSR), r.iommu.due_vectors()), (0, 0));
}

/// msi_cfg_tbl, M: "while ... masked, the IOMMU must remember pending messages and deliver them if
/// the mask is later cleared".
#[test]
fn masked_message_stays_pending_and_goes_out_on_unmask() {
    let mut r = rig();
    r.w(offset::MSI_CFG_TBL, 0x2800_0000);
    r.w(offset::MSI_CFG_TBL + 8, 0x77);
    r.w(offset::MSI_CFG_TBL + 12, 1);
    r.w(offset::FQB, 0x7100_0000 >> 12 << 10 | 3);
    r.w(offset::FQCSR, 3);
    let rec = FaultRecord::of_event(Cause::MsiWriteAccessFault, 0);
    r.iommu.report(&mut r.mem, &rec);
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(
        (r.mem.read_u64(0x2800_0000), r.iommu.pending_vectors()),
        (0, 1)
    );
    // Clearing fip does not take the message back.
    r.w(offset::IPSR, 2);
    r.w(offset::MSI_CFG_TBL + 12, 0);
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(
        (r.mem.read_u64(0x2800_0000), r.iommu.pending_vectors()),
        (0x77, 0)
    );
}

/// iohpmevt, DMASK: the lowest clear bit of DID_GSCID and all below it are not compared.
#[test]
fn dmask_ignores_up_to_the_lowest_clear_bit() {
    let counts = |did: u32, value: u64, dmask: u64| {
        let ids = hpm::EventIds {
            device_id: did,
            ..Default::default()
        };
        hpm::matches(
            1 | dmask << 15 | value << 36 | 1 << 61,
            hpm::HpmEvent::Untranslated,
            &ids,
        )
    };
    assert!(counts(0x12_3456, 0x12_3456, 0) && !counts(0x12_3457, 0x12_3456, 0));
    for x in 0..24u32 {
        let value = 0x5a_5a5au64 >> (x + 1) << (x + 1) | ((1 << x) - 1);
        let high = value as u32 >> (x + 1) << (x + 1);
        assert!(counts(high, value, 1) && counts(high | ((1 << (x + 1)) - 1), value, 1));
        if x < 23 {
            assert!(!counts(high ^ 1 << (x + 1), value, 1), "bit {x}");
        }
    }
}

/// "Endianness of in-memory data structures": fctl.BE rules DDT, second stage, MSI tables and queues;
/// DC.tc.SBE rules PDT and first stage.
#[test]
fn be_and_sbe_have_structures_of_their_own() {
    // The same tables twice: swapped doublewords of one group must work with that group's bit alone.
    for (be, sbe) in [(false, true), (true, false), (true, true)] {
        let mut r = rig();
        let root = r.ddt_root();
        r.mode(0, root);
        r.w(offset::FCTL, u64::from(be));
        r.mode(2, root);
        let (g, dir, s1, l1, l0) = (0x4000_0000u64, 0x1000u64, 0x2000u64, 0x3000u64, 0x5000u64);
        let mut put = |big: bool, at: u64, value: u64| {
            let v = if big { value.swap_bytes() } else { value };
            r.mem.write_u64(at, v);
        };
        let dc = root + 5 * 64;
        put(be, dc, V | tc::PDTV | if sbe { tc::SBE } else { 0 });
        put(be, dc + 8, hgatp(8, 7, g));
        put(be, dc + 24, 1 << 60 | dir >> 12);
        put(be, g, leaf(0, RWU)); // identity, one gigapage
        put(sbe, dir + 3 * 16, V);
        put(sbe, dir + 3 * 16 + 8, 8 << 60 | s1 >> 12);
        put(sbe, s1, l1 >> 12 << 10 | V);
        put(sbe, l1, l0 >> 12 << 10 | V);
        put(sbe, l0 + 7 * 8, leaf(0x1234_5000, RWU));
        assert_eq!(
            r.ok(with_pid(read(5, 0x7000), 3)),
            0x1234_5000,
            "BE {be} SBE {sbe}"
        );
    }
}

/// "Let i=i-1. If i<0, stop and raise a page-fault": a pointer in the last table, in every walk.
#[test]
fn level_counter_below_zero() {
    let mut r = rig();
    let root = r.sv39(1);
    r.map(root, 3, 0, VA, 0, V | root >> 12 << 10);
    assert_eq!(r.cause(read(1, VA)), 13);
    let (root, g) = nested(&mut r, 2, V);
    r.map(root, 3, 0, VA, 0, leaf(0x60_0000_0000, RWU));
    r.map(g, 3, 2, 0x60_0000_0000, 0, V | g >> 12 << 10);
    assert_eq!(r.cause(read(2, VA)), 21);
}

/// fqt: "full if fqt == (fqh - 1)" modulo the size: also across the wrap.
#[test]
fn queue_is_full_across_the_wrap() {
    let mut r = rig();
    let rec = FaultRecord::of_event(Cause::MsiWriteAccessFault, 0);
    for head in 0..4u64 {
        r.w(offset::FQCSR, 0);
        r.w(offset::FQB, 0x7100_0000 >> 12 << 10 | 1);
        r.w(offset::FQCSR, 1);
        r.w(offset::FQH, 0);
        // Move the head to its place, one record at a time.
        for n in 1..=head {
            assert!(matches!(
                r.iommu.report(&mut r.mem, &rec),
                Push::Write { .. }
            ));
            r.w(offset::FQH, n & 3);
        }
        for _ in 0..3 {
            assert!(matches!(
                r.iommu.report(&mut r.mem, &rec),
                Push::Write { .. }
            ));
        }
        assert_eq!(r.r(offset::FQT), (head + 3) & 3);
        assert_eq!(
            r.iommu.report(&mut r.mem, &rec),
            Push::Overflow,
            "head {head}"
        );
    }
}

/// "For non-leaf PTEs, the global setting implies that all mappings in the subsequent levels are
/// global": G of any level is enough.
#[test]
fn g_is_ored_over_levels() {
    for levels in 0..8u64 {
        let mut r = rig();
        let root = r.sv39(1);
        r.map(root, 3, 0, VA, 0, leaf(0x8000_0000, RWU));
        let mut a = root;
        for i in (0..3).rev() {
            let entry = a + (VA >> (12 + 9 * i) & 0x1ff) * 8;
            let old = r.mem.read_u64(entry);
            r.mem
                .write_u64(entry, old | if levels >> i & 1 == 1 { G } else { 0 });
            a = old >> 10 << 12;
        }
        let Outcome::Granted(t) = r.go(read(1, VA)) else {
            panic!("refused")
        };
        assert_eq!(t.global, levels != 0);
    }
}

/// iocountinh: "bit 0 is CY; bit n is for iohpmctr n", which is element n-1 of the array.
#[test]
fn inhibit_bit_n_belongs_to_counter_n() {
    let mut r = rig();
    let ids = hpm::EventIds::default();
    for n in 1..=7u16 {
        r.w(offset::IOHPMEVT1 + 8 * (n - 1), 1);
    }
    for inhibited in 1..=7u16 {
        for n in 1..=7u16 {
            r.w(offset::IOHPMCTR1 + 8 * (n - 1), 0);
        }
        r.w(offset::IOCOUNTINH, 1 << inhibited);
        r.iommu.count_event(hpm::HpmEvent::Untranslated, &ids, 1);
        for n in 1..=7u16 {
            let want = u64::from(n != inhibited);
            assert_eq!(
                r.r(offset::IOHPMCTR1 + 8 * (n - 1)),
                want,
                "{inhibited} {n}"
            );
        }
    }
}
