//! Corners that the other tests leave out: small accessors, choices that differ from the default,
//! errors in places where they are rare.

mod common;
use common::*;
use iommu_golden::ats::{AtsOut, PageRequest};
use iommu_golden::config::{ControlBit, MrifRead};
use iommu_golden::mrif::MrifAction;
use iommu_golden::*;

const VA: u64 = 0x12_3456_7000;
const GPA: u64 = 0x1_2345_6000;

/// Memory whose swaps never succeed, or that fails them.
struct Restless {
    mem: SimpleMemory,
    swaps: u32,
    fails: Option<MemError>,
}

impl Memory for Restless {
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError> {
        self.mem.load(addr, size, label)
    }
    fn store(&mut self, addr: Spa, bytes: &[u8], label: &Label) -> Result<(), MemError> {
        self.mem.store(addr, bytes, label)
    }
    fn compare_and_swap(
        &mut self,
        _: Spa,
        _: u8,
        expected: u64,
        _: u64,
        _: &Label,
    ) -> Result<u64, MemError> {
        self.swaps += 1;
        self.fails.map_or(Ok(!expected), Err)
    }
    fn fetch_or(&mut self, addr: Spa, bits: u64, a: bool, l: &Label) -> Result<u64, MemError> {
        self.mem.fetch_or(addr, bits, a, l)
    }
}

/// "IOMMU updating of PTE A and D", 2: "If the comparison fails, return to step 2"; an entry that
/// never stands still ends in 272, in either stage. A store that fails is an access fault.
#[test]
fn swaps_that_fail_for_ever_end() {
    for second in [false, true] {
        let mut r = Rig::new(all_caps());
        let (root, g) = nested(&mut r, 1, V | tc::SADE | tc::GADE);
        let keep = |clear: bool| if clear { RWU & !(A | D) } else { RWU };
        r.map(root, 3, 0, VA, 0, leaf(GPA, keep(!second)));
        r.map(g, 3, 2, GPA, 2, leaf(GPA >> 30 << 30, keep(second)));
        for (fails, cause) in [
            (None, 272),
            (Some(MemError::Access), 7),
            (Some(MemError::Corrupt), 274),
        ] {
            let mut mem = Restless {
                mem: r.mem.clone(),
                swaps: 0,
                fails,
            };
            // Through the trait's implementation for references.
            let out = r.iommu.translate(&mut &mut mem, &write(1, VA), &mut ());
            assert_eq!(
                out.cause().map(Cause::code),
                Some(cause),
                "{second} {fails:?}"
            );
            assert_eq!(mem.swaps > 1, fails.is_none());
        }
    }
}

/// Section "RAS": "the IOMMU may report such errors as access faults instead".
#[test]
fn corruption_as_access_faults() {
    let mut cfg = Config::new(all_caps());
    cfg.choices.reports_corruption = false;
    let mut r = Rig::with(cfg);
    let root = r.sv39(1);
    let entry = root + (VA >> 30 & 0x1ff) * 8;
    r.mem.add_fault(entry..entry + 8, MemError::Corrupt);
    assert_eq!(r.cause(write(1, VA)), 7);
    let dc = r.dc_addr(1);
    r.mem.add_fault(dc..dc + 8, MemError::Corrupt);
    assert_eq!(r.cause(write(1, VA)), 257);
}

/// Fault/Event-Queue: "the IOMMU may report the page offset ... of a GPA in iotval2 as 0"; the low
/// bits stay what they are.
#[test]
fn iotval2_without_offset() {
    let mut cfg = Config::new(all_caps());
    cfg.choices.iotval2_offset = false;
    cfg.choices.iotval_offset = false;
    let mut r = Rig::with(cfg);
    let (root, _) = nested(&mut r, 1, V);
    r.map(root, 3, 0, VA, 0, leaf(0x60_0000_0000, RWU));
    let rec = r.record(read(1, VA | 0x128));
    assert_eq!((rec.iotval, rec.iotval2), (VA, 0x60_0000_0000));
    r.map(root, 3, 0, VA, 1, leaf(0x60_0000_0000, V));
    assert_eq!(r.record(read(1, VA)).iotval2, 0x60_0000_0001);
}

/// Step 5 in the second stage; a big-endian Sv32 entry; base format addresses a 7-bit leaf index.
#[test]
fn misaligned_second_stage_and_big_endian_sv32() {
    let mut r = Rig::new(all_caps());
    let (root, g) = nested(&mut r, 1, V);
    r.map(root, 3, 0, VA, 0, leaf(GPA, RWU));
    r.map(g, 3, 2, GPA, 2, leaf(0x1000, RWU));
    assert_eq!(r.cause(read(1, VA)), 21);

    let mut cfg = Config::new(all_caps());
    cfg.choices.gxl = ControlBit::Writable(false);
    let mut r = Rig::with(cfg);
    let root = r.page();
    r.set_dc(
        1,
        &DeviceContext {
            tc: V | tc::SXL | tc::SBE,
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        },
    );
    let pte = (0x8000_0000u32 >> 12 << 10 | RWU as u32).to_be_bytes();
    r.mem.write(root + 4, &pte);
    assert_eq!(r.ok(read(1, 0x40_0123)), 0x8000_0123);
}

/// A directory, a command queue and an interrupt file at or above 2^PAS are never read or written.
#[test]
fn structures_beyond_pas() {
    let mut r = Rig::new(all_caps().with_pas(40));
    r.mode(2, 1 << 45);
    assert_eq!(r.cause(read(1, VA)), 257);
    r.w(offset::CQB, 1 << 45 >> 12 << 10);
    r.w(offset::CQCSR, 1);
    r.w(offset::CQT, 1);
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::FetchFault);
    assert_eq!(r.r(offset::CQCSR) >> 8 & 1, 1);

    let (mut m, table) = msi_rig(0, 0x28000);
    m.mem.write_u64(table, V | 1 << 1 | 0x9000_0000 >> 9 << 7);
    let Outcome::Mrif(mut t) = m.go(write(5, 0x2800_0000)) else {
        panic!("an MRIF page")
    };
    t.mrif = Spa(1 << 56);
    let req = write(5, 0x2800_0000);
    let action = m
        .iommu
        .mrif_action(&t, req.iova, req.access, 4, 3u32.to_le_bytes());
    let MrifAction::Msi(update) = action else {
        panic!("{action:?}")
    };
    let rec = m.iommu.mrif_store(&mut m.mem, &req, &t, &update);
    assert_eq!(rec.unwrap_err().map(|r| r.cause), Some(264));
}

/// AIA: a 32-bit read of a page in MRIF mode "may alternatively abort".
#[test]
fn mrif_read_may_abort() {
    for (choice, want) in [
        (MrifRead::Zero, MrifAction::ReadZero),
        (MrifRead::Abort, MrifAction::Abort),
    ] {
        let mut cfg = Config::new(all_caps());
        cfg.choices.mrif_read = choice;
        let iommu = Iommu::new(cfg).expect("legal");
        let t = MrifTarget {
            mrif: Spa(0),
            notice: Spa(0),
            nid: 0,
            rcid: 0,
            mcid: 0,
            gscid: None,
            dtf: false,
        };
        let got = iommu.mrif_action(&t, Iova(0), Access::Read, 4, [0; 4]);
        assert_eq!(got, want);
    }
}

/// IODIR.INVAL_PDT: "The PID operand must not be wider than the width supported by the IOMMU".
#[test]
fn pid_operand_by_widest_directory() {
    let none = slice_caps();
    for (caps, bits) in [
        (none.with(Capabilities::PD8), 8u32),
        (none.with(Capabilities::PD8 | Capabilities::PD17), 17),
        (none.with(Capabilities::PD20), 20),
    ] {
        let mut r = Rig::new(caps);
        let root = r.ddt_root();
        r.mode(4, root);
        let words = |pid: u64| [3 | 1 << 7 | pid << 12 | 1 << 33, 0];
        assert!(r.iommu.decode_command(words((1 << bits) - 1)).is_ok());
        if bits < 20 {
            assert!(r.iommu.decode_command(words(1 << bits)).is_err(), "{bits}");
        }
    }
    let mut cfg = Config::new(none);
    cfg.choices.inval_pdt_without_pdt = Reserved::Rejected;
    let r = Rig::with(cfg);
    assert!(r.iommu.decode_command([3 | 1 << 7 | 1 << 33, 0]).is_err());
}

/// ATS_PRI: "device_id is wider than that supported by the IOMMU mode (cause = 260)": Invalid
/// Request. ATS.PRGR: the message goes out as the command has it.
#[test]
fn wide_page_request_and_prgr() {
    let mut r = Rig::new(all_caps());
    let root = r.ddt_root();
    r.mode(2, root);
    let req = PageRequest {
        device_id: 1 << 6,
        process_id: None,
        privileged: false,
        execute: false,
        payload: 7,
    };
    let rec = r.iommu.run_page_request(&mut r.mem, &mut (), &req);
    assert_eq!(rec.map(|x| x.cause), Some(260));
    let out = r.iommu.take_ats_messages();
    assert!(matches!(&out[..], [AtsOut::PageResponse(m)] if m.payload >> 44 & 0xf == 1));

    let message = command::AtsMessage {
        process_id: Some(0x12345),
        rid: 5,
        segment: None,
        payload: 0x77 << 32,
    };
    let words = Command::AtsPrgr(message).encode();
    r.w(offset::CQB, 0x7000_0000 >> 12 << 10);
    r.w(offset::CQCSR, 1);
    r.mem.write_u64(0x7000_0000, words[0]);
    r.mem.write_u64(0x7000_0008, words[1]);
    r.w(offset::CQT, 1);
    let done = CommandStep::Done(Command::AtsPrgr(message));
    assert_eq!(r.iommu.step_command(&mut r.mem), done);
    assert_eq!(r.iommu.take_ats_messages(), [AtsOut::PageResponse(message)]);
    // Neither it nor ATS.INVAL nor a fence reaches any cached entry.
    let dc = invalidate::describe(all_caps(), &Label::Dc { device_id: 5 }, &[V; 8]);
    let entry = dc[0].expect("valid");
    assert!(!invalidate::covers(&Command::AtsPrgr(message), &entry));
    assert!(!invalidate::covers(&Command::AtsInval(message), &entry));
}

/// The widths that ddtp's mode gives a device_id, in both formats.
#[test]
fn device_id_widths() {
    for (caps, widths) in [
        (slice_caps(), [6, 15, 24]),
        (
            Capabilities::version_1_0()
                .with(Capabilities::SV39)
                .with_pas(56),
            [7, 16, 24],
        ),
    ] {
        let mut r = Rig::new(caps);
        let root = r.ddt_root();
        for (mode, bits) in (2..).zip(widths) {
            r.mode(mode, root);
            assert_eq!(r.iommu.device_id_bits(), bits);
        }
    }
}

/// HPM: who is counted for an MRIF page, a refusal and an ATS request.
#[test]
fn events_of_every_outcome() {
    let (mut m, table) = msi_rig(0, 0x28000);
    m.mem.write_u64(table, V | 1 << 1 | 0x9000_0000 >> 9 << 7);
    for (n, event) in [1u64, 3, 4].into_iter().enumerate() {
        m.w(offset::IOHPMEVT1 + 8 * n as u16, event);
    }
    // TLB misses with this GSCID alone.
    m.w(offset::IOHPMEVT1 + 24, 4 | 1 << 62 | 1 << 61 | 7 << 36);
    for req in [
        write(5, 0x2800_0000),
        read(5, VA & 0xffff_ffff),
        read(9, VA),
        ats(5, VA),
    ] {
        let mut walks = hpm::WalkCounts::default();
        let out = m.iommu.translate(&mut m.mem, &req, &mut walks);
        m.iommu.count_request(&req, &out, &walks);
    }
    let counts = [0, 1, 2, 3].map(|n| m.r(offset::IOHPMCTR1 + 8 * n));
    // An interrupt file's page walks no page table, and what no context allows walks nothing.
    assert_eq!(counts, [3, 1, 1, 1]);
}

/// What testbenches print and convert.
#[test]
fn texts_and_conversions() {
    assert_eq!(Iova::from_page(5), Iova(0x5000));
    assert_eq!(format!("{} {:x}", Gpa(0x1234), Spa(0x5678)), "0x1234 5678");
    let cause = Cause::from_code(258).expect("in the table");
    assert_eq!(cause.to_string(), "DDT entry not valid (cause = 258)");
    assert_eq!(Rule::new("GET_DC", "5").to_string(), "GET_DC, 5");
    let caps = Capabilities::from(u64::from(all_caps()));
    assert_eq!((caps, caps.version()), (all_caps(), 0x10));
    assert!(caps.can_wsi() && caps.can_msi());
    assert!(!caps.with_igs(Igs::Msi).can_wsi());
    for (caps, width) in [
        (Capabilities::version_1_0().with_pas(50), 50),
        (all_caps(), 59),
    ] {
        assert_eq!(caps.mgpaw(), width);
    }
    let some = Capabilities::version_1_0().with_pas(50);
    assert_eq!(some.with(Capabilities::SV32X4).mgpaw(), 34);
    assert_eq!(some.with(Capabilities::SV39X4).mgpaw(), 41);
    assert_eq!(some.with(Capabilities::SV48X4).mgpaw(), 50);
    for (n, size) in [
        (4, Some(RegSize::Four)),
        (8, Some(RegSize::Eight)),
        (2, None),
    ] {
        assert_eq!(RegSize::from_bytes(n), size);
    }
    assert_eq!(Pbmt::from_code(3), None);
    assert_eq!(context::PdtMode::Bare.levels(), 0);
    // An id that the transaction does not have matches no filter.
    let ids = hpm::EventIds::default();
    let by_gscid = 4 | 1 << 62 | 1 << 61;
    assert!(!hpm::matches(by_gscid, hpm::HpmEvent::TlbMiss, &ids));
    // The trait through a reference, with its errors.
    let mut mem = SimpleMemory::new();
    mem.add_fault(0x1000..0x1008, MemError::Access);
    let mut by_reference = &mut mem;
    let m: &mut dyn Memory = &mut by_reference;
    assert_eq!(m.store(Spa(0), &[1], &Label::Fence), Ok(()));
    assert_eq!(m.fetch_or(Spa(0), 2, true, &Label::Mrif), Ok(1));
    let error = m.fetch_or(Spa(0x1000), 2, true, &Label::Mrif);
    assert_eq!(error, Err(MemError::Access));
}

/// The registers of each queue by name; base and `fctl` writes whose effect is UNSPECIFIED say so.
#[test]
fn unspecified_writes_are_told() {
    let mut r = Rig::new(all_caps());
    r.mode(0, 0);
    for (queue, base, csr) in [
        (Queue::Command, offset::CQB, offset::CQCSR),
        (Queue::Fault, offset::FQB, offset::FQCSR),
        (Queue::PageRequest, offset::PQB, offset::PQCSR),
    ] {
        assert_eq!(r.w(base, 0x7000_0000 >> 12 << 10 | 3).unspecified, None);
        r.w(csr, 1);
        assert!(r.iommu.registers().queue(queue).on);
        assert!(r.w(base, 0x7100_0000 >> 12 << 10 | 3).unspecified.is_some());
        assert!(r.w(offset::FCTL, 2).unspecified.is_some());
        r.w(csr, 0);
        r.w(offset::FCTL, 0);
    }
}

/// Debug support: S=0 for a page of 4 KiB, its PPN as it is.
#[test]
fn debug_of_a_small_page() {
    let mut r = Rig::new(all_caps());
    let root = r.sv39(1);
    r.map(root, 3, 0, VA, 0, leaf(0x8765_4000, RWU));
    r.w(offset::TR_REQ_IOVA, VA);
    r.w(offset::TR_REQ_CTL, 1 << 40 | 1);
    r.iommu.run_debug_request(&mut r.mem, &mut ());
    assert_eq!(r.r(offset::TR_RESPONSE), 0x8765_4000 >> 12 << 10);
}

/// "QoS ids are 0" without the capability, for the IOMMU's own accesses too.
#[test]
fn no_qos_ids_without_the_capability() {
    let r = Rig::new(slice_caps());
    let dc = DeviceContext {
        ta: 0x123 << 40 | 0x456 << 52,
        ..Default::default()
    };
    assert_eq!(r.iommu.qos_ids(&Label::Mrif, Some(&dc)), (0, 0));
    let r = Rig::new(all_caps());
    assert_eq!(r.iommu.qos_ids(&Label::Mrif, Some(&dc)), (0x123, 0x456));
}

/// "Caching in-memory data structures": what each load may leave in a cache, and with which tags;
/// what is no table entry leaves nothing.
#[test]
fn entries_of_every_label() {
    use invalidate::{Entry, describe};
    let caps = all_caps();
    let one = |label: Label, words: &[u64]| describe(caps, &label, words)[0];
    let ddt = Label::DdtNonLeaf {
        device_id: 5,
        level: 1,
    };
    assert_eq!(one(ddt, &[V]), Some(Entry::DdtNonLeaf));
    assert_eq!(one(ddt, &[0]), None);
    let dc = Label::Dc { device_id: 5 };
    assert_eq!(one(dc, &[V; 8]), Some(Entry::Dc { device_id: 5 }));

    let holder = Holder::Pc {
        device_id: 5,
        process_id: 3,
    };
    let second = Label::SecondStage {
        gscid: 7,
        gpa: Gpa(GPA),
        level: 1,
        range_log2: 21,
        pdt_of: None,
        holder: Some(holder),
    };
    // A leaf of 2 MiB that served to translate a pointer: an entry of the second stage, and of the
    // context that holds the pointer.
    let [
        Some(Entry::SecondStage {
            gscid,
            leaf: is_leaf,
            range,
        }),
        pointer,
    ] = describe(caps, &second, &[leaf(0x8000_0000, RWU)])
    else {
        panic!("a valid leaf")
    };
    assert_eq!((gscid, is_leaf), (7, true));
    assert!(range.overlaps(invalidate::Range::around(GPA, 12)));
    assert!(!range.overlaps(invalidate::Range::around(GPA ^ 1 << 21, 12)));
    assert_eq!(pointer, Some(Entry::Pointer(holder)));
    let pointer_entry = one(second, &[V]);
    assert!(matches!(
        pointer_entry,
        Some(Entry::SecondStage { leaf: false, .. })
    ));

    let msi = Label::MsiPte {
        gscid: Some(7),
        gpa: Gpa(GPA),
    };
    let entry = one(msi, &[V | 3 << 1, 0]);
    assert!(matches!(entry, Some(Entry::MsiPte { gscid: Some(7), .. })));
    for label in [
        Label::Mrif,
        Label::Notice,
        Label::CommandQueue,
        Label::Fence,
        Label::FaultQueue,
        Label::PageRequestQueue,
        Label::Msi,
    ] {
        assert_eq!(describe(caps, &label, &[V, V]), [None, None]);
    }
    // No directory command reaches a page-table entry, and reset leaves nothing pending.
    let page = pointer_entry.expect("valid");
    assert!(!invalidate::covers(
        &Command::InvalDdt { device_id: None },
        &page
    ));
    let mut r = Rig::new(caps);
    let fresh = Iommu::new(Config::new(caps)).expect("legal");
    r.w(offset::ICVEC, 1);
    r.iommu.reset();
    assert_eq!(r.iommu, fresh);
}
