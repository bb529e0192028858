//! The first slice: directory, device contexts, first stage, registers, queues, interrupts.
//! Each test names the section it pins.

mod common;
use common::*;
use iommu_golden::*;

const VA: u64 = 0x12_3456_7000;
const PA: u64 = 0x9_8765_4000;

fn rig() -> Rig {
    Rig::new(slice_caps())
}

// ---- Process to translate an IOVA, steps 1 to 10

#[test]
fn p2iova_1_off_refuses_everything_with_256() {
    let mut r = rig();
    r.mode(0, 0);
    for req in [read(1, 0), write(1, 0), exec(1, 0), translated(1, 0)] {
        assert_eq!(r.cause(req), 256);
    }
    assert_eq!(
        r.record(write(0xabcdef, 0x77)).to_words(),
        [256 | 3 << 34 | 0xabcdef << 40, 0, 0x77, 0]
    );
}

#[test]
fn p2iova_2_bare_passes_untranslated_and_refuses_translated_with_260() {
    let mut r = rig();
    r.mode(1, 0);
    assert_eq!(r.ok(read(0xff_ffff, 0x1234_5678)), 0x1234_5678);
    assert_eq!(r.cause(translated(1, 0)), 260);
}

#[test]
fn p2iova_5_wide_device_id_comes_before_the_directory() {
    // Root table unreadable: 257 if the walk began, 260 if the width was checked first.
    for (mode, caps, ok, wide) in [
        (2, slice_caps(), 0x3f, 0x40),
        (3, slice_caps(), 0x7fff, 0x8000),
        (2, slice_caps().without(Capabilities::MSI_FLAT), 0x7f, 0x80),
        (
            3,
            slice_caps().without(Capabilities::MSI_FLAT),
            0xffff,
            0x1_0000,
        ),
    ] {
        let mut r = Rig::new(caps);
        let root = r.page();
        r.mode(mode, root);
        r.mem.add_fault(root..root + 4096, MemError::Access);
        assert_eq!(r.cause(read(wide, 0)), 260, "mode {mode}");
        assert_eq!(r.cause(read(ok, 0)), 257, "mode {mode}");
    }
}

#[test]
fn get_dc_indices_are_9_bits_and_format_follows_msi_flat() {
    // Two device ids that differ only in the topmost bit of each index.
    for caps in [slice_caps(), slice_caps().without(Capabilities::MSI_FLAT)] {
        let mut r = Rig::new(caps);
        let low = if caps.has(Capabilities::MSI_FLAT) {
            6
        } else {
            7
        };
        for bit in [0, low - 1, low, low + 8, low + 9, 23] {
            let did = 1 << bit;
            let root = r.sv39(did);
            r.map(root, 3, 0, VA, 0, leaf(PA + (u64::from(did) << 12), RWU));
        }
        for bit in [0, low - 1, low, low + 8, low + 9, 23] {
            let did = 1u32 << bit;
            assert_eq!(
                r.ok(read(did, VA + 0x123)),
                PA + (u64::from(did) << 12) + 0x123
            );
        }
        assert_eq!(r.cause(read(0, VA)), 258);
    }
}

#[test]
fn get_dc_3_to_6_non_leaf_entries() {
    let mut r = rig();
    r.sv39(5);
    let root = r.ddt_root();
    let good = r.mem.read_u64(root);
    // "V=0 before reserved bits": 5 before 6.
    r.mem.write_u64(root, good & !1 | 1 << 63);
    assert_eq!(r.cause(read(5, VA)), 258);
    for bit in (1..=9).chain(54..=63) {
        r.mem.write_u64(root, good | 1 << bit);
        assert_eq!(r.cause(read(5, VA)), 259, "bit {bit}");
    }
    r.mem.write_u64(root, good);
    r.mem.add_fault(root..root + 8, MemError::Corrupt);
    assert_eq!(r.cause(read(5, VA)), 268);
    r.mem.add_fault(root..root + 8, MemError::Access);
    assert_eq!(r.cause(read(5, VA)), 257);
}

#[test]
fn get_dc_8_and_9_context_access() {
    let mut r = rig();
    r.sv39(5);
    let at = r.dc_addr(5);
    for word in 0..8 {
        let range = at + 8 * word..at + 8 * word + 8;
        r.mem.add_fault(range.clone(), MemError::Corrupt);
        assert_eq!(r.cause(read(5, VA)), 268);
        r.mem.add_fault(range, MemError::Access);
        assert_eq!(r.cause(read(5, VA)), 257);
        r.mem.clear_faults();
    }
    // "If it is 0, all other bits in DC are don't-cares": not misconfigured.
    for word in 0..8 {
        r.mem.write_u64(at + 8 * word, u64::MAX << 1);
    }
    assert_eq!(r.cause(read(5, VA)), 258);
}

#[test]
fn directory_beyond_pas_is_an_access_fault() {
    // "ranges from 0 to 2^PAS - 1"; noticed when accessed.
    let mut r = Rig::new(slice_caps().with_pas(40));
    r.mode(4, 1 << 40);
    assert_eq!(r.cause(read(1, 0)), 257);
    let root = r.page();
    r.mode(4, root);
    r.mem.write_u64(root, V | 1 << (40 - 12 + 10));
    assert_eq!(r.cause(read(1, 0)), 257);
}

// ---- Device-context configuration checks

fn misconfigured(caps: Capabilities, dc: &DeviceContext) -> bool {
    let cfg = Config::new(caps);
    let gxl = cfg.choices.gxl.at_reset();
    dc.check(&cfg, cfg.choices.big_endian, gxl).is_err()
}

#[test]
fn dc_check_1_reserved_bits() {
    let good = DeviceContext {
        tc: 1,
        ..Default::default()
    };
    assert!(!misconfigured(slice_caps(), &good));
    for word in 0..8 {
        for bit in 0..64u64 {
            let mut words = good.to_words();
            words[word] |= 1 << bit;
            let dc = DeviceContext::from_words(&words);
            let reserved = match word {
                0 => (12..24).contains(&bit) || bit >= 32,
                2 => bit < 12 || (32..64).contains(&bit),
                3 => (44..60).contains(&bit),
                4 => (44..60).contains(&bit),
                // MGPAW is PAS = 56 without any SvNx4.
                5 | 6 => bit >= 44,
                7 => true,
                _ => false,
            };
            if reserved {
                assert!(misconfigured(slice_caps(), &dc), "word {word} bit {bit}");
            } else if word == 0 && (24..32).contains(&bit)
                || word == 1 && bit < 60
                || word == 2 && (12..32).contains(&bit)
            {
                // custom bits; iohgatp fields while Bare; PSCID
                assert!(!misconfigured(slice_caps(), &dc), "word {word} bit {bit}");
            }
        }
    }
    // QoS ids are reserved only without the extension, and base format has four words.
    let qos = DeviceContext {
        ta: 0xff_ffff << 40,
        ..good
    };
    assert!(misconfigured(slice_caps(), &qos));
    assert!(!misconfigured(slice_caps().with(Capabilities::QOSID), &qos));
    let base = slice_caps().without(Capabilities::MSI_FLAT);
    assert!(!misconfigured(
        base,
        &DeviceContext {
            reserved: 1,
            ..good
        }
    ));
}

#[test]
fn dc_checks_2_to_7_ats_bits() {
    let all = all_caps();
    let ok = |caps, bits| {
        !misconfigured(
            caps,
            &DeviceContext {
                tc: 1 | bits,
                ..Default::default()
            },
        )
    };
    for bit in [
        tc::EN_ATS,
        tc::EN_ATS | tc::EN_PRI,
        tc::EN_ATS | tc::EN_PRI | tc::PRPR,
    ] {
        assert!(ok(all, bit));
        assert!(!ok(all.without(Capabilities::ATS), bit));
    }
    assert!(!ok(all, tc::EN_PRI));
    assert!(!ok(all, tc::EN_ATS | tc::PRPR));
    let t2gpa = DeviceContext {
        tc: 1 | tc::EN_ATS | tc::T2GPA,
        iohgatp: 8 << 60,
        ..Default::default()
    };
    assert!(!misconfigured(all, &t2gpa));
    assert!(misconfigured(all.without(Capabilities::T2GPA), &t2gpa));
    assert!(misconfigured(
        all,
        &DeviceContext {
            iohgatp: 0,
            ..t2gpa
        }
    ));
    assert!(misconfigured(
        all,
        &DeviceContext {
            tc: 1 | tc::T2GPA,
            ..t2gpa
        }
    ));
}

#[test]
fn dc_checks_8_to_18_modes_by_capability() {
    let all = all_caps();
    let dc = DeviceContext {
        tc: 1,
        ..Default::default()
    };
    let cases = [
        (8, Capabilities::SV39),
        (9, Capabilities::SV48),
        (10, Capabilities::SV57),
    ];
    for mode in 0..16u64 {
        let fsc = DeviceContext {
            fsc: mode << 60,
            ..dc
        };
        match cases.iter().find(|c| c.0 == mode) {
            Some((_, cap)) => {
                assert!(!misconfigured(all, &fsc));
                assert!(misconfigured(Capabilities(all.0 & !cap), &fsc));
            }
            None => assert_eq!(misconfigured(all, &fsc), mode != 0),
        }
    }
    let cases = [
        (1, Capabilities::PD8),
        (2, Capabilities::PD17),
        (3, Capabilities::PD20),
    ];
    for mode in 0..16u64 {
        let fsc = DeviceContext {
            tc: 1 | tc::PDTV,
            fsc: mode << 60,
            ..dc
        };
        match cases.iter().find(|c| c.0 == mode) {
            Some((_, cap)) => {
                assert!(!misconfigured(all, &fsc));
                assert!(misconfigured(all.without(*cap), &fsc));
            }
            None => assert_eq!(misconfigured(all, &fsc), mode != 0),
        }
    }
    let cases = [
        (8, Capabilities::SV39X4),
        (9, Capabilities::SV48X4),
        (10, Capabilities::SV57X4),
    ];
    for mode in 0..16u64 {
        let g = DeviceContext {
            iohgatp: mode << 60,
            ..dc
        };
        match cases.iter().find(|c| c.0 == mode) {
            Some((_, cap)) => {
                assert!(!misconfigured(all, &g));
                assert!(misconfigured(all.without(*cap), &g));
            }
            None => assert_eq!(misconfigured(all, &g), mode != 0),
        }
        // 17: root aligned to 16 KiB.
        if (8..=10).contains(&mode) {
            for low in 1..4 {
                assert!(misconfigured(
                    all,
                    &DeviceContext {
                        iohgatp: mode << 60 | low,
                        ..dc
                    }
                ));
            }
        }
    }
    // 12
    assert!(misconfigured(
        all,
        &DeviceContext {
            tc: 1 | tc::DPE,
            ..dc
        }
    ));
    assert!(!misconfigured(
        all,
        &DeviceContext {
            tc: 1 | tc::DPE | tc::PDTV,
            ..dc
        }
    ));
    // 16, and the last paragraph
    for mode in 0..16u64 {
        let m = DeviceContext {
            iohgatp: 8 << 60,
            msiptp: mode << 60,
            ..dc
        };
        assert_eq!(misconfigured(all, &m), mode > 1);
        assert_eq!(
            misconfigured(all, &DeviceContext { iohgatp: 0, ..m }),
            mode > 0
        );
    }
    let mut cfg = Config::new(all);
    cfg.choices.bare_iohgatp_with_msi = Reserved::Accepted;
    assert!(
        DeviceContext {
            msiptp: 1 << 60,
            ..dc
        }
        .check(&cfg, false, false)
        .is_ok()
    );
    // 18
    for bit in [tc::SADE, tc::GADE] {
        assert!(!misconfigured(all, &DeviceContext { tc: 1 | bit, ..dc }));
        assert!(misconfigured(
            all.without(Capabilities::AMO_HWAD),
            &DeviceContext { tc: 1 | bit, ..dc }
        ));
    }
    // 19, 20, 21
    assert!(!misconfigured(
        all,
        &DeviceContext {
            tc: 1 | tc::SBE,
            ..dc
        }
    ));
    assert!(misconfigured(
        all.without(Capabilities::END),
        &DeviceContext {
            tc: 1 | tc::SBE,
            ..dc
        }
    ));
    assert!(misconfigured(
        all,
        &DeviceContext {
            tc: 1 | tc::SXL,
            ..dc
        }
    ));
    let mut cfg = Config::new(all);
    cfg.choices.gxl = iommu_golden::config::ControlBit::Writable(false);
    let sxl = DeviceContext {
        tc: 1 | tc::SXL,
        ..dc
    };
    assert!(sxl.check(&cfg, false, false).is_ok());
    assert!(sxl.check(&cfg, false, true).is_ok());
    assert!(dc.check(&cfg, false, true).is_err());
    // 22
    let mut cfg = Config::new(all);
    cfg.choices.rcid_bits = 4;
    cfg.choices.mcid_bits = 5;
    for (bit, ok) in [(43, true), (44, false), (56, true), (57, false)] {
        assert_eq!(
            DeviceContext { ta: 1 << bit, ..dc }
                .check(&cfg, false, false)
                .is_ok(),
            ok,
            "bit {bit}"
        );
    }
}

#[test]
fn p2iova_7_type_disallowed_comes_after_the_context() {
    let mut r = rig();
    let root = r.sv39(5);
    r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    // 7.a EN_ATS is 0; 7.b process_id with PDTV 0.
    assert_eq!(r.cause(translated(5, VA)), 260);
    assert_eq!(r.cause(with_pid(read(5, VA), 0)), 260);
    // 258 and 259 come first.
    assert_eq!(r.cause(with_pid(read(6, VA), 0)), 258);
    r.set_dc(
        7,
        &DeviceContext {
            tc: tc::V | 1 << 12,
            ..Default::default()
        },
    );
    assert_eq!(r.cause(with_pid(translated(7, VA), 0)), 259);
}

// ---- first stage

#[test]
fn sv39_48_57_translate_and_check_the_upper_bits() {
    for (mode, levels, bits) in [(8, 3, 39), (9, 4, 48), (10, 5, 57)] {
        let mut r = rig();
        let root = r.first_stage(5, mode, tc::V);
        let top = 1u64 << (bits - 1);
        let negative = (u64::MAX << (bits - 1)) | 0x7000;
        r.map(root, levels, 0, VA & (top - 1), 0, leaf(PA, RWU));
        r.map(root, levels, 0, negative, 0, leaf(PA + 0x1000, RWU));
        assert_eq!(r.ok(read(5, VA & (top - 1) | 0xabc)), PA | 0xabc);
        assert_eq!(r.ok(read(5, negative | 0xfff)), PA + 0x1fff);
        // "must have bits 63-39 all equal to bit 38, or else a page-fault exception will occur"
        for bit in bits..64 {
            assert_eq!(
                r.cause(read(5, negative & !(1 << bit))),
                13,
                "mode {mode} bit {bit}"
            );
            assert_eq!(
                r.cause(write(5, (VA & (top - 1)) | 1 << bit)),
                15,
                "mode {mode} bit {bit}"
            );
        }
    }
}

#[test]
fn faults_follow_the_original_access_type() {
    let mut r = rig();
    let root = r.sv39(5);
    for (req, page, access) in [
        (read(5, VA), 13, 5),
        (write(5, VA), 15, 7),
        (exec(5, VA), 12, 1),
    ] {
        assert_eq!(r.cause(req), page);
        let top = root + (VA >> 30) * 8;
        r.mem.add_fault(top..top + 8, MemError::Access);
        assert_eq!(r.cause(req), access);
        r.mem.clear_faults();
        r.mem.add_fault(top..top + 8, MemError::Corrupt);
        assert_eq!(r.cause(req), 274);
        r.mem.clear_faults();
    }
}

#[test]
fn permissions_of_every_leaf_encoding() {
    for xwr in 0..8u64 {
        for u in [0, U] {
            let mut r = rig();
            let root = r.sv39(5);
            r.map(root, 3, 0, VA, 0, leaf(PA, V | xwr << 1 | u | A | D));
            // R=0 W=1 is reserved; xwr=0 is a pointer, at the last level a fault.
            let leaf = xwr & 3 != 2 && xwr != 0 && u != 0;
            for (req, bit, fault) in [
                (read(5, VA), 1, 13),
                (write(5, VA), 2, 15),
                (exec(5, VA), 4, 12),
            ] {
                if leaf && xwr & bit != 0 {
                    assert_eq!(r.ok(req), PA, "xwr {xwr:03b}");
                } else {
                    assert_eq!(r.cause(req), fault, "xwr {xwr:03b} u {u}");
                }
            }
        }
    }
}

#[test]
fn step_9_a_and_d_without_hardware_update() {
    let mut r = rig();
    let root = r.sv39(5);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !A));
    assert_eq!(r.cause(read(5, VA)), 13);
    r.mem.write_u64(at, leaf(PA, RWU & !D));
    assert_eq!(r.ok(read(5, VA)), PA);
    assert_eq!(r.cause(write(5, VA)), 15);
}

#[test]
fn reserved_and_ignored_bits_of_leaf_and_non_leaf_entries() {
    let mut r = rig();
    let root = r.sv39(5);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    let parent = root + (VA >> 30) * 8;
    let pointer = r.mem.read_u64(parent);
    for bit in [5, 8, 9] {
        // G and RSW are not reserved, in leaves and pointers.
        r.mem.write_u64(at, leaf(PA, RWU) | 1 << bit);
        assert_eq!(r.ok(read(5, VA)), PA);
        r.mem.write_u64(parent, pointer | 1 << bit);
        assert_eq!(r.ok(read(5, VA)), PA);
        r.mem.write_u64(parent, pointer);
    }
    for bit in 54..63 {
        // 60:54 reserved, 62:61 reserved without Svpbmt.
        r.mem.write_u64(at, leaf(PA, RWU) | 1 << bit);
        assert_eq!(r.cause(read(5, VA)), 13, "leaf bit {bit}");
        r.mem.write_u64(at, leaf(PA, RWU));
        r.mem.write_u64(parent, pointer | 1 << bit);
        assert_eq!(r.cause(read(5, VA)), 13, "pointer bit {bit}");
        r.mem.write_u64(parent, pointer);
    }
    // "For non-leaf PTEs, the D, A, and U bits are reserved"; so is N.
    for bit in [4, 6, 7, 63] {
        r.mem.write_u64(parent, pointer | 1 << bit);
        assert_eq!(r.cause(read(5, VA)), 13, "pointer bit {bit}");
        r.mem.write_u64(parent, pointer);
    }
    // V=0: everything else is software's, and the fault is the same page fault.
    r.mem.write_u64(at, u64::MAX << 1);
    assert_eq!(r.cause(read(5, VA)), 13);
}

#[test]
fn extensions_free_their_bits_when_the_capability_says_so() {
    let mut r = Rig::new(slice_caps().with(Capabilities::SVPBMT | Capabilities::SVRSW60T59B));
    let root = r.sv39(5);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    for (bits, pbmt) in [
        (1 << 61, Pbmt::Nc),
        (2 << 61, Pbmt::Io),
        (3 << 59, Pbmt::Pma),
    ] {
        r.mem.write_u64(at, leaf(PA, RWU) | bits);
        let Outcome::Granted(t) = r.go(read(5, VA)) else {
            panic!()
        };
        assert_eq!(t.pbmt, pbmt);
    }
    r.mem.write_u64(at, leaf(PA, RWU) | 3 << 61);
    assert_eq!(r.cause(read(5, VA)), 13);
    // Bits 60:59 are ignored in pointers too; PBMT is reserved there.
    r.mem.write_u64(at, leaf(PA, RWU));
    let parent = root + (VA >> 30) * 8;
    let pointer = r.mem.read_u64(parent);
    r.mem.write_u64(parent, pointer | 3 << 59);
    assert_eq!(r.ok(read(5, VA)), PA);
    r.mem.write_u64(parent, pointer | 1 << 61);
    assert_eq!(r.cause(read(5, VA)), 13);
}

#[test]
fn superpages_of_every_level_and_their_alignment() {
    let mut r = rig();
    let root = r.first_stage(5, 10, tc::V);
    let va = 0x00ab_cdef_1234_5678;
    for level in 0..5u8 {
        let log2 = 12 + 9 * level;
        let pa = 0x00f0_0000_0000_0000;
        let at = r.map(root, 5, 0, va, level, leaf(pa, RWU));
        let Outcome::Granted(t) = r.go(read(5, va)) else {
            panic!("level {level}")
        };
        assert_eq!(t.spa.0, pa | va & ((1 << log2) - 1));
        assert_eq!(t.range_log2, log2);
        // 5: "If i>0 and pte.ppn[i-1:0] != 0, this is a misaligned superpage"
        for bit in 12..log2 {
            r.mem.write_u64(at, leaf(pa | 1 << bit, RWU));
            assert_eq!(r.cause(read(5, va)), 13, "level {level} bit {bit}");
        }
        // For the next level up, replace the pointer.
    }
}

#[test]
fn svnapot_64k_and_its_reserved_encodings() {
    let mut r = rig();
    let root = r.sv39(5);
    let n = 1 << 63;
    for low in 0..16u64 {
        for page in 0..16u64 {
            r.map(
                root,
                3,
                0,
                (VA & !0xffff) + page * 0x1000,
                0,
                leaf((PA & !0xffff) | low << 12, RWU) | n,
            );
        }
        if low == 8 {
            let Outcome::Granted(t) = r.go(read(5, (VA & !0xffff) | 0xbeef)) else {
                panic!()
            };
            assert_eq!((t.spa.0, t.range_log2), ((PA & !0xffff) | 0xbeef, 16));
        } else {
            assert_eq!(r.cause(read(5, VA)), 13, "ppn[3:0] {low}");
        }
    }
    // At i=1 every N encoding is reserved.
    let mut r = rig();
    let root = r.sv39(5);
    r.map(root, 3, 0, VA, 1, leaf(PA & !0x1f_ffff | 0x8000, RWU) | n);
    assert_eq!(r.cause(read(5, VA)), 13);
    r.map(root, 3, 0, VA, 1, leaf(PA & !0x1f_ffff, RWU) | n);
    assert_eq!(r.cause(read(5, VA)), 13);
}

#[test]
fn global_is_ored_over_the_levels() {
    let mut r = rig();
    let root = r.sv39(5);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    let parent = root + (VA >> 30) * 8;
    let pointer = r.mem.read_u64(parent);
    for (p, l, want) in [(0, 0, false), (G, 0, true), (0, G, true), (G, G, true)] {
        r.mem.write_u64(parent, pointer | p);
        r.mem.write_u64(at, leaf(PA, RWU | l));
        let Outcome::Granted(t) = r.go(read(5, VA)) else {
            panic!()
        };
        assert_eq!(t.global, want);
    }
}

#[test]
fn page_tables_and_pages_beyond_pas_are_access_faults() {
    let mut r = Rig::new(slice_caps().with_pas(46));
    let root = r.sv39(5);
    let at = r.map(root, 3, 0, VA, 0, leaf(1 << 46, RWU));
    assert_eq!(r.cause(read(5, VA)), 5);
    assert_eq!(r.cause(write(5, VA)), 7);
    r.mem.write_u64(at, leaf((1 << 46) - 0x1000, RWU));
    assert_eq!(r.ok(read(5, VA | 0xfff)), (1 << 46) - 1);
    r.map(root, 3, 0, VA, 1, leaf(1 << 50, V));
    assert_eq!(r.cause(exec(5, VA)), 1);
    // Translated address in Bare mode.
    r.mode(1, 0);
    assert_eq!(r.cause(write(5, 1 << 46)), 7);
}

#[test]
fn dtf_hides_translation_faults_but_not_260s_neighbours() {
    // Table "Fault record CAUSE field encodings", column "Reported if DTF is 1?".
    let mut r = rig();
    r.first_stage(5, 8, tc::V | tc::DTF);
    let Outcome::Denied(d) = r.go(read(5, VA)) else {
        panic!()
    };
    assert_eq!((d.cause.code(), d.record), (13, None));
    let Outcome::Denied(d) = r.go(translated(5, VA)) else {
        panic!()
    };
    assert_eq!((d.cause.code(), d.record), (260, None));
    // Misconfigured: no valid context was located, so DTF is taken as 0.
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::DTF | 1 << 12,
            ..Default::default()
        },
    );
    let Outcome::Denied(d) = r.go(read(5, VA)) else {
        panic!()
    };
    assert_eq!(d.record.map(|x| x.cause), Some(259));
    let hidden: Vec<u16> = Cause::ALL
        .iter()
        .filter(|c| !c.reported_with_dtf())
        .map(|c| c.code())
        .collect();
    assert_eq!(
        hidden,
        [
            1, 4, 5, 6, 7, 12, 13, 15, 20, 21, 23, 260, 261, 262, 263, 264, 265, 266, 267, 269,
            270, 271, 274
        ]
    );
}

#[test]
fn records_hold_pv_pid_priv_ttyp() {
    let mut r = rig();
    r.mode(0, 0);
    let req = Request {
        privileged: true,
        ..with_pid(exec(0x123456, 0xdead_beef), 0xabcde)
    };
    assert_eq!(
        r.record(req).to_words(),
        [
            256 | 0xabcde << 12 | 1 << 32 | 1 << 33 | 1 << 34 | 0x123456 << 40,
            0,
            0xdead_beef,
            0
        ]
    );
    // "If PV is 0, then PID and PRIV are 0."
    let req = Request {
        privileged: true,
        ..exec(0x123456, 0)
    };
    assert_eq!(r.record(req).to_words()[0], 256 | 1 << 34 | 0x123456 << 40);
    for (req, ttyp) in [
        (exec(1, 0), 1),
        (read(1, 0), 2),
        (write(1, 0), 3),
        (translated(1, 0), 6),
    ] {
        assert_eq!(r.record(req).ttyp, ttyp);
    }
    for bit in 0..64 {
        // Every bit of the first doubleword belongs to exactly one field.
        assert_eq!(
            FaultRecord::from_words(&[1 << bit, 0, 0, 0]).to_words(),
            [1 << bit, 0, 0, 0]
        );
        let words = [u64::MAX ^ 1 << bit, u64::MAX, 1 << bit, !1];
        assert_eq!(FaultRecord::from_words(&words).to_words(), words);
    }
    // Ids wider than their fields are cut to them.
    let rec = r.record(with_pid(read(0xff12_3456, 7), 0xfff0_0003));
    assert_eq!((rec.did, rec.pid), (0x12_3456, 3));
    let rec = r.record(with_pid(write(0x123456, 7), 3));
    assert_eq!(FaultRecord::from_words(&rec.to_words()), rec);
}

// ---- registers

#[test]
fn reset_values() {
    let r = Iommu::new(Config::new(slice_caps())).unwrap();
    for at in [offset::CQCSR, offset::FQCSR, offset::PQCSR, offset::IPSR] {
        assert_eq!(r.read_reg(at, RegSize::Four), Ok(0));
    }
    assert_eq!(r.read_reg(offset::DDTP, RegSize::Eight), Ok(0));
    assert_eq!(
        r.read_reg(offset::CAPABILITIES, RegSize::Eight),
        Ok(slice_caps().0)
    );
    let mut cfg = Config::new(slice_caps());
    cfg.choices.reset_bare = true;
    assert_eq!(Iommu::new(cfg).unwrap().registers().mode, IommuMode::Bare);
}

#[test]
fn accesses_that_are_unspecified_change_nothing() {
    let mut r = rig();
    let before = r.iommu.clone();
    for (at, size) in [
        (4, RegSize::Eight),
        (2, RegSize::Four),
        (32, RegSize::Eight),
        (72, RegSize::Eight),
        (776, RegSize::Eight),
    ] {
        assert!(r.iommu.read_reg(at, size).is_err());
        assert!(r.iommu.write_reg(at, size, u64::MAX).is_err());
    }
    assert!(r.iommu.read_reg(4096, RegSize::Four).is_err());
    assert_eq!(before, r.iommu);
    // Reserved space reads zero in either size.
    assert_eq!(r.iommu.read_reg(2048, RegSize::Eight), Ok(0));
}

#[test]
fn halves_of_eight_byte_registers() {
    let mut r = rig();
    r.mode(0, 0);
    r.iommu
        .write_reg(offset::CQB + 4, RegSize::Four, 0xffff_ffff)
        .unwrap();
    assert_eq!(r.r(offset::CQB), ((1 << 54) - 1) & !0xffff_ffff);
    r.iommu
        .write_reg(offset::CQB, RegSize::Four, 0xffff_ffff)
        .unwrap();
    assert_eq!(r.r(offset::CQB), ((1 << 54) - 1) & !0x3e0);
    assert_eq!(
        r.iommu.read_reg(offset::CQB + 4, RegSize::Four),
        Ok((1 << 22) - 1)
    );
    // The high half of ddtp leaves the mode alone.
    r.iommu.write_reg(offset::DDTP, RegSize::Four, 0x1).unwrap();
    r.iommu
        .write_reg(offset::DDTP + 4, RegSize::Four, 0x3)
        .unwrap();
    assert_eq!(r.r(offset::DDTP), 0x3_0000_0001);
}

#[test]
fn ddtp_takes_legal_modes_only() {
    let mut r = rig();
    for mode in 5..16 {
        r.mode(4, 0);
        r.w(offset::DDTP, mode);
        assert_eq!(r.r(offset::DDTP) & 0xf, 4);
    }
    assert!(r.w(offset::DDTP, 3).unspecified.is_some());
    r.mode(4, 0);
    assert!(r.w(offset::DDTP, 1).unspecified.is_some());
    r.mode(0, 0);
    assert!(r.w(offset::DDTP, 1).unspecified.is_none());
    assert!(r.w(offset::DDTP, 2).unspecified.is_none());
}

#[test]
fn optional_registers_read_zero_and_ignore_writes() {
    let mut r = rig();
    for at in [
        offset::PQB,
        offset::IOHPMCYCLES,
        offset::IOHPMCTR1,
        offset::IOHPMEVT1,
        offset::TR_REQ_IOVA,
    ] {
        r.w(at, u64::MAX);
        assert_eq!(r.r(at), 0, "{at}");
    }
    for at in [
        offset::PQH,
        offset::PQT,
        offset::PQCSR,
        offset::IOCOUNTOVF,
        offset::IOCOUNTINH,
        offset::IOMMU_QOSID,
    ] {
        r.w(at, u64::MAX);
        assert_eq!(r.r(at), 0, "{at}");
    }
}

#[test]
fn fctl_fields_follow_capabilities() {
    let mut r = rig();
    r.mode(0, 0);
    r.w(offset::FCTL, u64::MAX);
    assert_eq!(r.r(offset::FCTL), 2);
    for (igs, reads) in [(Igs::Msi, 0), (Igs::Wsi, 2)] {
        let mut r = Rig::new(slice_caps().with_igs(igs));
        r.mode(0, 0);
        assert_eq!(r.r(offset::FCTL), reads);
        r.w(offset::FCTL, 2 - reads);
        assert_eq!(r.r(offset::FCTL), reads);
    }
    let mut r = Rig::new(slice_caps().with(Capabilities::END));
    r.mode(0, 0);
    r.w(offset::FCTL, 1);
    assert_eq!(r.r(offset::FCTL), 1);
    r.mode(1, 0);
    assert!(r.w(offset::FCTL, 0).unspecified.is_some());
}

#[test]
fn icvec_and_msi_cfg_tbl_widths() {
    for (vectors, nibble) in [(1, 0), (2, 1), (4, 3), (8, 7), (16, 15u64)] {
        let mut cfg = Config::new(slice_caps());
        cfg.choices.vectors = vectors;
        let mut r = Rig::with(cfg);
        r.w(offset::ICVEC, u64::MAX);
        assert_eq!(r.r(offset::ICVEC), nibble * 0x1111);
        for v in 0..16u16 {
            r.w(offset::MSI_CFG_TBL + v * 16, u64::MAX);
            r.w(offset::MSI_CFG_TBL + v * 16 + 8, 0xffff_ffff);
            r.w(offset::MSI_CFG_TBL + v * 16 + 12, 0xffff_ffff);
            let there = v < u16::from(vectors);
            let want = if there {
                ((1 << 56) - 4, 0xffff_ffff, 1)
            } else {
                (0, 0, 0)
            };
            assert_eq!(r.r(offset::MSI_CFG_TBL + v * 16), want.0);
            assert_eq!(r.r(offset::MSI_CFG_TBL + v * 16 + 8), want.1);
            assert_eq!(r.r(offset::MSI_CFG_TBL + v * 16 + 12), want.2);
        }
    }
    let mut r = Rig::new(slice_caps().with_igs(Igs::Wsi));
    r.w(offset::MSI_CFG_TBL, u64::MAX);
    assert_eq!(r.r(offset::MSI_CFG_TBL), 0);
}

// ---- command queue

const CQ: u64 = 0x7000_0000;

fn commands(r: &mut Rig, cie: bool) {
    r.w(offset::CQB, CQ >> 12 << 10 | 2);
    r.w(offset::CQT, 0);
    r.w(offset::CQCSR, 1 | u64::from(cie) << 1);
}

fn put(r: &mut Rig, words: [u64; 2]) {
    let t = r.r(offset::CQT);
    r.mem.write_u64(CQ + t * 16, words[0]);
    r.mem.write_u64(CQ + t * 16 + 8, words[1]);
    r.w(offset::CQT, (t + 1) & 7);
}

fn fence(av: bool, wsi: bool, data: u32, addr: u64) -> [u64; 2] {
    Command::Iofence(command::Iofence {
        av,
        wsi,
        pr: false,
        pw: true,
        data,
        addr: Spa(addr),
    })
    .encode()
}

#[test]
fn commands_wrap_and_the_head_moves_in_order() {
    let mut r = rig();
    commands(&mut r, true);
    for n in 0..20u32 {
        put(&mut r, fence(true, false, n, 0x6000_0000));
        assert!(matches!(
            r.iommu.step_command(&mut r.mem),
            CommandStep::Done(Command::Iofence(_))
        ));
        assert_eq!(r.r(offset::CQH), u64::from(n + 1) & 7);
        assert_eq!(r.mem.read_u64(0x6000_0000), u64::from(n));
    }
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::Idle);
    assert_eq!(r.r(offset::IPSR), 0);
}

#[test]
fn cqen_0_to_1_clears_cqh_and_errors_but_not_cqt() {
    let mut r = rig();
    commands(&mut r, false);
    put(&mut r, [0, 0]);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Illegal(_)
    ));
    put(&mut r, [0, 0]);
    assert_eq!((r.r(offset::CQH), r.r(offset::CQT)), (0, 2));
    r.w(offset::CQCSR, 0);
    assert_eq!(r.r(offset::CQCSR), 1 << 10);
    r.iommu.registers_mut().cq.head = 1;
    r.w(offset::CQCSR, 1);
    assert_eq!(
        (r.r(offset::CQCSR), r.r(offset::CQH), r.r(offset::CQT)),
        (1 | 1 << 16, 0, 2)
    );
}

#[test]
fn every_reserved_bit_of_every_command_is_illegal() {
    let all = all_caps().with_igs(Igs::Both);
    // (base command, bits that are operands, per doubleword)
    let opcode = 0x3ff;
    let vma = 1 << 10 | 0xf_ffff << 12 | 1 << 32 | 1 << 33 | 0xffff << 44;
    let cases: [([u64; 2], [u64; 2]); 7] = [
        (
            [1, 0],
            [vma | 1 << 34 | opcode, 1 << 9 | ((1 << 52) - 1) << 10],
        ),
        (
            [1 | 1 << 7, 0],
            [
                (vma & !(1 << 32)) | 1 << 34 | opcode,
                1 << 9 | ((1 << 52) - 1) << 10,
            ],
        ),
        (
            [2, 0],
            [
                1 << 10 | 3 << 12 | 0xffff_ffff << 32 | opcode,
                (1 << 62) - 1,
            ],
        ),
        ([3, 0], [1 << 33 | 0xff_ffff << 40 | opcode, 0]),
        (
            [3 | 1 << 7 | 1 << 33, 0],
            [0xf_ffff << 12 | 1 << 33 | 0xff_ffff << 40 | opcode, 0],
        ),
        (
            [4, 0],
            [
                0xf_ffff << 12 | 3 << 32 | 0xff_ffff << 40 | opcode,
                u64::MAX,
            ],
        ),
        (
            [4 | 1 << 7, 0],
            [
                0xf_ffff << 12 | 3 << 32 | 0xff_ffff << 40 | opcode,
                u64::MAX,
            ],
        ),
    ];
    let r = Rig::new(all);
    for (base, operands) in cases {
        assert!(r.iommu.decode_command(base).is_ok(), "{base:x?}");
        for word in 0..2 {
            for bit in 0..64 {
                if operands[word] >> bit & 1 == 1 {
                    continue;
                }
                let mut c = base;
                c[word] |= 1 << bit;
                assert!(
                    r.iommu.decode_command(c).is_err(),
                    "{base:x?} word {word} bit {bit}"
                );
            }
        }
    }
    // NL and S are reserved without their extensions.
    let r = rig();
    assert!(r.iommu.decode_command([1 | 1 << 34, 0]).is_err());
    assert!(r.iommu.decode_command([1, 1 << 9]).is_err());
}

#[test]
fn undefined_encodings_and_operand_rules() {
    let r = rig();
    for opcode in 0..128u64 {
        for func3 in 0..8u64 {
            let legal = matches!((opcode, func3), (1, 0 | 1) | (2, 0) | (3, 0 | 1));
            let dv = if opcode == 3 { 1 << 33 } else { 0 };
            assert_eq!(
                r.iommu
                    .decode_command([opcode | func3 << 7 | dv, 0])
                    .is_ok(),
                legal,
                "{opcode} {func3}"
            );
        }
    }
    // "Setting PSCV to 1 with IOTINVAL.GVMA is illegal."
    assert_eq!(
        r.iommu.decode_command([1 | 1 << 7 | 1 << 32, 0]),
        Err(CommandError::PscvWithGvma)
    );
    // "The DV operand must be 1 for IODIR.INVAL_PDT else the command is illegal."
    assert_eq!(
        r.iommu.decode_command([3 | 1 << 7, 0]),
        Err(CommandError::InvalPdtWithoutDv)
    );
    // "If DV is 0, ... the DID operand is ignored." PID is reserved for INVAL_DDT.
    assert_eq!(
        r.iommu.decode_command([3 | 0xff_ffff << 40, 0]),
        Ok(Command::InvalDdt { device_id: None })
    );
    assert!(r.iommu.decode_command([3 | 1 << 12, 0]).is_err());
    // IOFENCE.C WSI is reserved while fctl.WSI is 0.
    assert_eq!(
        r.iommu.decode_command([2 | 1 << 11, 0]),
        Err(CommandError::WsiReserved)
    );
    // DID no wider than the mode.
    let mut r = rig();
    r.mode(2, 0);
    assert!(
        r.iommu
            .decode_command([3 | 1 << 33 | 0x3f << 40, 0])
            .is_ok()
    );
    assert!(
        r.iommu
            .decode_command([3 | 1 << 33 | 0x40 << 40, 0])
            .is_err()
    );
}

#[test]
fn commands_encode_as_they_decode() {
    let r = Rig::new(all_caps());
    let o = command::Iotinval {
        gv: true,
        av: true,
        pscv: true,
        nl: true,
        s: true,
        gscid: 0xbeef,
        pscid: 0xabcde,
        addr: (1 << 52) - 2,
    };
    let m = command::AtsMessage {
        process_id: Some(0x54321),
        rid: 0x1234,
        segment: Some(0x56),
        payload: 0xfeed,
    };
    for c in [
        Command::IotinvalVma(o),
        Command::IotinvalGvma(command::Iotinval { pscv: false, ..o }),
        Command::InvalDdt {
            device_id: Some(0xfedcba),
        },
        Command::InvalPdt {
            device_id: 0xfedcba,
            process_id: 0x12345,
        },
        Command::AtsInval(m),
        Command::AtsPrgr(m),
        Command::Iofence(command::Iofence {
            av: true,
            wsi: false,
            pr: true,
            pw: true,
            data: 0x1234_5678,
            addr: Spa(!3),
        }),
    ] {
        assert_eq!(r.iommu.decode_command(c.encode()), Ok(c));
    }
}

#[test]
fn command_errors_stop_the_queue_until_cleared() {
    let mut r = rig();
    commands(&mut r, true);
    put(&mut r, [0, 0]);
    put(&mut r, [3, 0]);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Illegal(_)
    ));
    assert_eq!(
        (
            r.r(offset::CQCSR) >> 8 & 0xf,
            r.r(offset::CQH),
            r.r(offset::IPSR)
        ),
        (1 << 2, 0, 1)
    );
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::Idle);
    // ipsr re-raise: clearing cip alone lets it come back; clearing the cause first does not.
    r.w(offset::IPSR, 1);
    assert_eq!(r.r(offset::IPSR), 1);
    r.w(offset::CQCSR, 3 | 1 << 10);
    r.w(offset::IPSR, 1);
    assert_eq!(r.r(offset::IPSR), 0);
    // The same command is fetched again.
    r.mem.write_u64(CQ, 3);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    // Fetch fault.
    put(&mut r, [3, 0]);
    r.mem.add_fault(CQ + 32..CQ + 48, MemError::Access);
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::FetchFault);
    assert_eq!(
        (
            r.r(offset::CQCSR) >> 8 & 0xf,
            r.r(offset::CQH),
            r.r(offset::IPSR)
        ),
        (1, 2, 1)
    );
}

#[test]
fn fence_store_fault_sets_cqmf_and_keeps_the_head() {
    let mut r = rig();
    commands(&mut r, false);
    for addr in [0x6000_0000, 1 << 60] {
        r.mem.add_fault(0x6000_0000..0x6000_0004, MemError::Access);
        put(&mut r, fence(true, false, 1, addr));
        assert!(matches!(
            r.iommu.step_command(&mut r.mem),
            CommandStep::FenceFault(_)
        ));
        assert_eq!(r.r(offset::CQCSR) >> 8 & 0xf, 1);
        assert_eq!(r.iommu.next_command(), None);
        r.w(offset::CQCSR, 1 | 1 << 8);
        let slot = r.iommu.next_command().unwrap();
        assert_eq!(u64::from(slot.index), r.r(offset::CQH));
        r.mem.write_u64(slot.addr.0, 3);
        r.mem.write_u64(slot.addr.0 + 8, 0);
        assert!(matches!(
            r.iommu.step_command(&mut r.mem),
            CommandStep::Done(_)
        ));
    }
    // cie was 0: no interrupt; enabling it while a condition stands raises it.
    assert_eq!(r.r(offset::IPSR), 0);
    put(&mut r, [0, 0]);
    r.iommu.step_command(&mut r.mem);
    assert_eq!(r.r(offset::IPSR), 0);
    r.w(offset::CQCSR, 3);
    assert_eq!(r.r(offset::IPSR), 1);
}

#[test]
fn write_1_to_clear_clears_one_bit_only() {
    let mut r = rig();
    r.mode(0, 0);
    r.w(offset::FCTL, 2);
    for bit in 8..12 {
        let cq = &mut r.iommu.registers_mut().cq;
        (cq.memory_fault, cq.overflow, cq.illegal, cq.fence_w_ip) = (true, true, true, true);
        r.w(offset::CQCSR, 1 << bit);
        assert_eq!(r.r(offset::CQCSR), 0xf00 & !(1 << bit));
    }
    for bit in 8..10 {
        let fq = &mut r.iommu.registers_mut().fq;
        (fq.memory_fault, fq.overflow) = (true, true);
        r.w(offset::FQCSR, 1 << bit);
        assert_eq!(r.r(offset::FQCSR), 0x300 & !(1 << bit));
    }
    r.iommu.registers_mut().ipsr = 0xf;
    for (bit, left) in [(1, 0xe), (2, 0xc), (4, 8), (8, 0)] {
        r.iommu.registers_mut().fq.overflow = false;
        r.w(offset::IPSR, bit);
        assert_eq!(r.r(offset::IPSR), left);
    }
}

#[test]
fn fence_wsi_sets_fence_w_ip_without_stopping() {
    let mut r = rig();
    r.mode(0, 0);
    r.w(offset::FCTL, 2);
    r.w(offset::ICVEC, 0x5);
    commands(&mut r, true);
    put(&mut r, fence(false, true, 0, 0));
    put(&mut r, [3, 0]);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    assert_eq!(
        (r.r(offset::CQCSR) >> 8 & 0xf, r.iommu.wires()),
        (8, 1 << 5)
    );
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    r.w(offset::CQCSR, 3 | 1 << 11);
    r.w(offset::IPSR, 1);
    assert_eq!(r.iommu.wires(), 0);
    assert_eq!(r.iommu.pending_vectors(), 0);
}

// ---- fault queue

const FQ: u64 = 0x7100_0000;

fn faults(r: &mut Rig, fie: bool, log2sz_minus_1: u64) {
    r.w(offset::FQB, FQ >> 12 << 10 | log2sz_minus_1);
    r.w(offset::FQH, 0);
    r.w(offset::FQCSR, 1 | u64::from(fie) << 1);
}

fn any_record(n: u64) -> FaultRecord {
    FaultRecord::of_event(Cause::MsiWriteAccessFault, n)
}

#[test]
fn fault_queue_fills_overflows_and_resumes_with_wrap() {
    let mut r = rig();
    faults(&mut r, true, 1);
    for n in 0..3 {
        assert!(matches!(
            r.iommu.report(&mut r.mem, &any_record(n)),
            Push::Write { .. }
        ));
        assert_eq!(r.r(offset::FQT), n + 1);
        assert_eq!(r.mem.read_u64(FQ + 32 * n + 16), n);
    }
    assert_eq!(r.r(offset::IPSR), 2);
    r.w(offset::IPSR, 2);
    assert_eq!(r.r(offset::IPSR), 0);
    // "fqt == fqh - 1": full with three of four.
    assert_eq!(r.iommu.report(&mut r.mem, &any_record(9)), Push::Overflow);
    assert_eq!(
        (
            r.r(offset::FQCSR) >> 8 & 3,
            r.r(offset::FQT),
            r.r(offset::IPSR)
        ),
        (2, 3, 2)
    );
    // Room does not help until the bit is cleared.
    r.w(offset::FQH, 3);
    assert_eq!(r.iommu.report(&mut r.mem, &any_record(9)), Push::Stopped);
    r.w(offset::FQCSR, 3 | 1 << 9);
    for n in 3..6 {
        assert!(matches!(
            r.iommu.report(&mut r.mem, &any_record(n)),
            Push::Write { .. }
        ));
    }
    assert_eq!(r.r(offset::FQT), 2);
    assert_eq!(r.iommu.report(&mut r.mem, &any_record(9)), Push::Overflow);
}

#[test]
fn fault_write_failure_sets_fqmf_and_keeps_the_tail() {
    let mut r = rig();
    faults(&mut r, true, 1);
    r.mem.add_fault(FQ..FQ + 32, MemError::Access);
    assert!(matches!(
        r.iommu.report(&mut r.mem, &any_record(1)),
        Push::Write { .. }
    ));
    assert_eq!(
        (
            r.r(offset::FQCSR) >> 8 & 3,
            r.r(offset::FQT),
            r.r(offset::IPSR)
        ),
        (1, 0, 2)
    );
    assert_eq!(r.iommu.report(&mut r.mem, &any_record(1)), Push::Stopped);
    // fqen 0->1 clears fqt and both error bits, fqh stays.
    r.w(offset::FQH, 2);
    r.w(offset::FQCSR, 0);
    assert_eq!(r.iommu.report(&mut r.mem, &any_record(1)), Push::Off);
    r.w(offset::FQCSR, 1);
    assert_eq!(
        (r.r(offset::FQCSR), r.r(offset::FQT), r.r(offset::FQH)),
        (1 | 1 << 16, 0, 2)
    );
}

#[test]
fn records_in_flight_have_places_of_their_own() {
    let mut r = rig();
    faults(&mut r, false, 1);
    let addr = |p: Push<32>| match p {
        Push::Write { addr, .. } => addr.0 - FQ,
        other => panic!("{other:?}"),
    };
    assert_eq!(addr(r.iommu.fault_slot(&any_record(0), 0)), 0);
    assert_eq!(addr(r.iommu.fault_slot(&any_record(0), 1)), 32);
    assert_eq!(addr(r.iommu.fault_slot(&any_record(0), 2)), 64);
    assert_eq!(r.iommu.fault_slot(&any_record(0), 3), Push::Overflow);
}

#[test]
fn largest_queue_has_all_32_index_bits() {
    let mut r = rig();
    faults(&mut r, false, 31);
    r.w(offset::FQH, 0);
    assert_eq!(r.iommu.registers().fq.index_mask(), u32::MAX);
    r.iommu.registers_mut().fq.tail = u32::MAX - 1;
    r.iommu.fault_written();
    assert!(r.iommu.registers().fq.is_full());
    r.w(offset::CQB, 0);
    r.w(offset::CQT, 0xffff_ffff);
    assert_eq!(r.r(offset::CQT), 1);
}

// ---- interrupts

fn vector(r: &mut Rig, v: u16, addr: u64, data: u64, masked: bool) {
    r.w(offset::MSI_CFG_TBL + v * 16, addr);
    r.w(offset::MSI_CFG_TBL + v * 16 + 8, data);
    r.w(offset::MSI_CFG_TBL + v * 16 + 12, u64::from(masked));
}

#[test]
fn masked_messages_wait_and_go_out_on_unmask() {
    let mut r = rig();
    r.w(offset::ICVEC, 0x30);
    vector(&mut r, 3, 0x2800_0000, 0x55, true);
    faults(&mut r, true, 3);
    r.iommu.report(&mut r.mem, &any_record(0));
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(
        (
            r.mem.read_u64(0x2800_0000),
            r.iommu.pending_vectors(),
            r.iommu.due_vectors()
        ),
        (0, 8, 0)
    );
    r.w(offset::MSI_CFG_TBL + 3 * 16 + 12, 0);
    assert_eq!(r.iommu.due_vectors(), 8);
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(
        (r.mem.read_u64(0x2800_0000), r.iommu.pending_vectors()),
        (0x55, 0)
    );
    // Edge: a second record while fip is 1 sends nothing.
    r.iommu.report(&mut r.mem, &any_record(1));
    assert_eq!(r.iommu.pending_vectors(), 0);
    // Clearing fip and a new record: another message.
    r.w(offset::IPSR, 2);
    r.iommu.report(&mut r.mem, &any_record(2));
    assert_eq!(r.iommu.due_vectors(), 8);
}

#[test]
fn failed_message_reports_273_with_ttyp_0_and_the_address() {
    let mut r = rig();
    vector(&mut r, 0, 0x2800_0000, 1, false);
    r.mem.add_fault(0x2800_0000..0x2800_0004, MemError::Access);
    commands(&mut r, true);
    faults(&mut r, false, 3);
    put(&mut r, [0, 0]);
    r.iommu.step_command(&mut r.mem);
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(r.mem.read_u64(FQ), 273);
    assert_eq!(r.mem.read_u64(FQ + 16), 0x2800_0000);
    assert_eq!(r.r(offset::FQT), 1);
    // With fie the failure's own record raises fip, whose message fails too: it ends.
    r.w(offset::FQCSR, 3);
    r.w(offset::IPSR, 1);
    r.iommu.send_messages(&mut r.mem);
    assert_eq!(r.r(offset::FQT), 3);
}

#[test]
fn wires_follow_ipsr_and_icvec() {
    let mut r = rig();
    r.mode(0, 0);
    r.w(offset::FCTL, 2);
    r.w(offset::ICVEC, 0x0021);
    commands(&mut r, true);
    faults(&mut r, true, 3);
    r.iommu.report(&mut r.mem, &any_record(0));
    put(&mut r, [0, 0]);
    r.iommu.step_command(&mut r.mem);
    assert_eq!(r.iommu.wires(), 1 << 1 | 1 << 2);
    r.w(offset::IPSR, 2);
    assert_eq!(r.iommu.wires(), 1 << 1);
    assert_eq!(r.iommu.pending_vectors(), 0);
}
