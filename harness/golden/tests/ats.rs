//! ATS translation requests, page requests and invalidations (sections "PCIe ATS translation
//! request handling", "PCIe ATS Page Request handling", "IOMMU PCIe ATS commands").

mod common;
use common::*;
use iommu_golden::ats::{AtsOut, PageRequest};
use iommu_golden::*;

const VA: u64 = 0x12_3456_7000;
const PA: u64 = 0x9_8765_4000;

fn rig() -> Rig {
    Rig::new(all_caps())
}

/// Device 5 with ATS and an Sv39 first stage.
fn ats_rig(tc: u64) -> (Rig, u64) {
    let mut r = rig();
    let root = r.first_stage(5, 8, tc::V | tc::EN_ATS | tc);
    (r, root)
}

fn answer(r: &mut Rig, req: Request) -> AtsCompletion {
    match r.go(req) {
        Outcome::Ats(a) => a,
        other => panic!("expected an ATS completion, got {other:?}"),
    }
}

fn ats_write(va: u64) -> Request {
    Request {
        access: Access::Write,
        ..ats(5, va)
    }
}

fn rwx(p: Permissions) -> (bool, bool, bool) {
    (p.read, p.write, p.execute)
}

#[test]
fn ur_ca_and_success_without_permission() {
    let mut r = rig();
    let check = |r: &mut Rig, req, status, cause| {
        let a = answer(r, req);
        assert_eq!((a.status, a.cause.map(Cause::code)), (status, Some(cause)));
        // Recorded exactly where the answer is UR or CA.
        assert_eq!(
            a.record.map(|x| (x.cause, x.ttyp)),
            (status != AtsStatus::Success).then_some((cause, 8))
        );
        assert_eq!(rwx(a.permissions), (false, false, false));
    };
    use AtsStatus::*;
    let root = r.ddt_root();
    r.mode(0, root);
    check(&mut r, ats(5, VA), UnsupportedRequest, 256);
    r.mode(1, root);
    check(&mut r, ats(5, VA), UnsupportedRequest, 260);
    r.mode(4, root);
    check(&mut r, ats(5, VA), UnsupportedRequest, 258);
    r.first_stage(5, 8, tc::V);
    check(&mut r, ats(5, VA), UnsupportedRequest, 260);
    r.first_stage(5, 8, tc::V | 1 << 12);
    check(&mut r, ats(5, VA), UnsupportedRequest, 259);
    let dc = r.dc_addr(5);
    r.mem.add_fault(dc..dc + 8, MemError::Access);
    check(&mut r, ats(5, VA), UnsupportedRequest, 257);
    r.mem.clear_faults();
    r.mem.add_fault(dc..dc + 8, MemError::Corrupt);
    check(&mut r, ats(5, VA), CompleterAbort, 268);
    r.mem.clear_faults();
    let root = r.first_stage(5, 8, tc::V | tc::EN_ATS);
    check(&mut r, ats(5, VA), Success, 13);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU));
    r.mem.add_fault(at..at + 8, MemError::Access);
    check(&mut r, ats(5, VA), CompleterAbort, 5);
    check(
        &mut r,
        Request {
            execute_requested: true,
            ..ats(5, VA)
        },
        CompleterAbort,
        1,
    );
    r.mem.clear_faults();
    r.mem.add_fault(at..at + 8, MemError::Corrupt);
    check(&mut r, ats(5, VA), CompleterAbort, 274);
    r.mem.clear_faults();
    // PDT: not valid is Success, misconfigured and unreadable are CA.
    let pdt = r.page();
    let dc = DeviceContext {
        tc: tc::V | tc::EN_ATS | tc::PDTV,
        fsc: 1 << 60 | pdt >> 12,
        ..Default::default()
    };
    r.set_dc(5, &dc);
    check(&mut r, with_pid(ats(5, VA), 3), Success, 266);
    r.mem.write_u64(pdt + 48, V | 1 << 3);
    check(&mut r, with_pid(ats(5, VA), 3), CompleterAbort, 267);
    r.mem.add_fault(pdt + 48..pdt + 56, MemError::Access);
    check(&mut r, with_pid(ats(5, VA), 3), CompleterAbort, 265);
    // DTF hides 265's record, not its answer.
    r.set_dc(
        5,
        &DeviceContext {
            tc: dc.tc | tc::DTF,
            ..dc
        },
    );
    let a = answer(&mut r, with_pid(ats(5, VA), 3));
    assert_eq!((a.status, a.record), (CompleterAbort, None));
}

#[test]
fn permissions_in_the_answer() {
    // (leaf bits, no-write clear, execute requested) -> R W X
    for (bits, write, execute, want) in [
        (RWU | X, true, true, (true, true, true)),
        (RWU | X, false, false, (true, true, false)),
        (RWU & !W | X, true, true, (true, false, true)),
        (RWU & !W, true, true, (true, false, false)),
        // "Execute-only translations are not compatible with PCIe ATS"
        (V | X | U | A | D, true, true, (false, false, false)),
        // User access to U=0.
        (RWU & !U, true, false, (false, false, false)),
    ] {
        let (mut r, root) = ats_rig(0);
        r.map(root, 3, 0, VA, 0, leaf(PA, bits));
        let access = if write { Access::Write } else { Access::Read };
        let a = answer(
            &mut r,
            Request {
                access,
                execute_requested: execute,
                ..ats(5, VA)
            },
        );
        assert_eq!(
            (a.status, rwx(a.permissions), a.record),
            (AtsStatus::Success, want, None),
            "{bits:#x}"
        );
        if want.0 {
            assert_eq!(a.address, PA);
        }
        assert!(!a.no_snoop && !a.privileged && a.ama == 0 && a.cxl_io == Some(false));
    }
}

#[test]
fn accessed_and_dirty_for_ats() {
    let (mut r, root) = ats_rig(tc::SADE);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !A & !D));
    // No write asked for: A alone, and no write permission without D.
    assert_eq!(
        rwx(answer(&mut r, ats(5, VA)).permissions),
        (true, false, false)
    );
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !D));
    assert_eq!(
        rwx(answer(&mut r, ats_write(VA)).permissions),
        (true, true, false)
    );
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU));
    // Read-only page: D is not set although a write was asked for.
    r.mem.write_u64(at, leaf(PA, RWU & !W & !A & !D));
    assert_eq!(
        rwx(answer(&mut r, ats_write(VA)).permissions),
        (true, false, false)
    );
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !W & !D));
    // Without hardware update: a page fault, or the write alone denied.
    for (choice, want) in [
        (config::AtsCleanPage::PageFault, None),
        (config::AtsCleanPage::DenyWrite, Some((true, false, false))),
    ] {
        let mut cfg = Config::new(all_caps());
        cfg.choices.ats_clean_page = choice;
        let mut r = Rig::with(cfg);
        let root = r.first_stage(5, 8, tc::V | tc::EN_ATS);
        r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !D));
        let a = answer(&mut r, ats_write(VA));
        match want {
            None => assert_eq!(a.cause, Some(Cause::WritePageFault)),
            Some(want) => assert_eq!(rwx(a.permissions), want),
        }
    }
}

#[test]
fn without_r_nothing_is_granted_and_nothing_accessed() {
    let (mut r, root) = ats_rig(tc::SADE);
    let at = r.map(root, 3, 0, VA, 0, leaf(PA, RWU & !R & !W & !A | X));
    let a = answer(&mut r, ats(5, VA));
    assert_eq!(
        (a.status, rwx(a.permissions), a.record),
        (AtsStatus::Success, (false, false, false), None)
    );
    assert_eq!(r.mem.read_u64(at), leaf(PA, RWU & !R & !W & !A | X));
}

#[test]
fn no_d_in_the_second_stage_for_a_write_the_first_denies() {
    let mut r = rig();
    let g = r.page();
    for n in 0..8u64 {
        r.map(g, 3, 2, n << 30, 2, leaf(n << 30, RWU));
    }
    let root = r.page();
    let tc = tc::V | tc::EN_ATS | tc::SADE | tc::GADE;
    r.set_dc(
        5,
        &DeviceContext {
            tc,
            iohgatp: 8 << 60 | 7 << 44 | g >> 12,
            fsc: 8 << 60 | root >> 12,
            ..Default::default()
        },
    );
    r.map(root, 3, 0, VA, 0, leaf(0x1_2345_6000, RWU & !W));
    let page = r.map(g, 3, 2, 0x1_2345_6000, 2, leaf(1 << 32, RWU & !D & !A));
    let a = answer(&mut r, ats_write(VA));
    assert_eq!(rwx(a.permissions), (true, false, false));
    assert_eq!(r.mem.read_u64(page), leaf(1 << 32, RWU & !D));
}

#[test]
fn global_priv_and_cxl_io() {
    let mut r = rig();
    let pdt = r.page();
    let page_root = r.page();
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::EN_ATS | tc::PDTV,
            fsc: 1 << 60 | pdt >> 12,
            ..Default::default()
        },
    );
    r.mem.write_u64(pdt + 48, V | 2);
    r.mem.write_u64(pdt + 56, 8 << 60 | page_root >> 12);
    let at = r.map(page_root, 3, 0, VA, 0, leaf(PA, RWU | G));
    let req = with_pid(ats(5, VA), 3);
    let a = answer(&mut r, req);
    assert!(a.global && !a.privileged);
    // Privileged against U=1 without SUM: Success, R=W=0; Priv follows the request.
    let a = answer(
        &mut r,
        Request {
            privileged: true,
            ..req
        },
    );
    assert!(a.status == AtsStatus::Success && !a.permissions.read && a.privileged && !a.global);
    r.mem.write_u64(at, leaf(PA, RWU & !U));
    let a = answer(
        &mut r,
        Request {
            privileged: true,
            ..req
        },
    );
    assert!(a.permissions.read && a.privileged);
    // CXL: NC and IO give 1, PMA leaves it open.
    for (pbmt, want) in [(0, None), (1, Some(true)), (2, Some(true))] {
        r.mem.write_u64(at, leaf(PA, RWU) | pbmt << 61);
        assert_eq!(answer(&mut r, Request { cxl: true, ..req }).cxl_io, want);
    }
}

#[test]
fn global_needs_a_pasid_and_a_page_table() {
    // "In all other cases, including MSI address translations, this field is set to 0."
    let (mut r, root) = ats_rig(0);
    r.map(root, 3, 0, VA, 0, leaf(PA, RWU | G));
    assert!(!answer(&mut r, ats(5, VA)).global);
    let (pdt, page_root, g, table) = (r.page(), r.page(), r.page(), r.page());
    for n in 0..8u64 {
        r.map(g, 3, 2, n << 30, 2, leaf(n << 30, RWU));
    }
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::EN_ATS | tc::PDTV,
            iohgatp: 8 << 60 | g >> 12,
            fsc: 1 << 60 | pdt >> 12,
            msiptp: 1 << 60 | table >> 12,
            msi_addr_pattern: 0x28000,
            ..Default::default()
        },
    );
    r.mem.write_u64(pdt + 48, V);
    r.mem.write_u64(pdt + 56, 8 << 60 | page_root >> 12);
    r.map(page_root, 3, 0, VA, 0, leaf(0x2800_0000, RWU | G));
    r.map(page_root, 3, 0, VA + 0x1000, 0, leaf(0x2900_0000, RWU | G));
    r.mem.write_u64(table, V | 3 << 1 | PA >> 12 << 10);
    let msi = answer(&mut r, with_pid(ats(5, VA), 3));
    assert_eq!((msi.address, msi.global), (PA, false));
    assert!(answer(&mut r, with_pid(ats(5, VA + 0x1000), 3)).global);
}

#[test]
fn t2gpa_returns_the_gpa_and_translated_requests_take_it() {
    let mut r = rig();
    let g = r.page();
    for n in 0..8u64 {
        r.map(g, 3, 2, n << 30, 2, leaf(n << 30, RWU));
    }
    let root = r.page();
    let gpa = 0x40_1234_5000u64;
    r.map(g, 3, 2, gpa, 0, leaf(PA, V | R | U | A | D));
    let dc = DeviceContext {
        tc: tc::V | tc::EN_ATS | tc::T2GPA,
        iohgatp: 8 << 60 | 7 << 44 | g >> 12,
        fsc: 8 << 60 | root >> 12,
        ..Default::default()
    };
    r.set_dc(5, &dc);
    r.map(root, 3, 0, VA, 0, leaf(gpa, RWU));
    let a = answer(
        &mut r,
        Request {
            cxl: true,
            ..ats_write(VA)
        },
    );
    assert_eq!(
        (a.address, rwx(a.permissions), a.cxl_io),
        (gpa, (true, false, false), Some(true))
    );
    // "When T2GPA is 1, translated requests from a device use a GPA"
    assert_eq!(r.ok(translated(5, gpa | 8)), PA | 8);
    assert_eq!(
        r.cause(Request {
            access: Access::Write,
            ..translated(5, gpa)
        }),
        23
    );
    assert_eq!(r.record(translated(5, gpa + 0x1000)).ttyp, 6);
    // Without T2GPA a translated request is done at step 8.
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::EN_ATS,
            ..dc
        },
    );
    assert_eq!(
        r.ok(Request {
            access: Access::Write,
            ..translated(5, 0x77)
        }),
        0x77
    );
    assert_eq!(answer(&mut r, ats(5, VA)).address, PA);
}

#[test]
fn msi_pages_in_ats_answers() {
    let mut r = rig();
    let g = r.page();
    let table = r.page();
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::EN_ATS,
            iohgatp: 8 << 60 | g >> 12,
            msiptp: 1 << 60 | table >> 12,
            msi_addr_pattern: 0x28000,
            ..Default::default()
        },
    );
    let req = Request {
        execute_requested: true,
        cxl: true,
        ..ats_write(0x2800_0000)
    };
    // "MSI PTE not valid (cause = 262)" is Success.
    let a = answer(&mut r, req);
    assert_eq!(
        (a.status, a.cause, a.record),
        (AtsStatus::Success, Some(Cause::MsiPteNotValid), None)
    );
    r.mem.write_u64(table, V | 2 << 1);
    assert_eq!(answer(&mut r, req).status, AtsStatus::CompleterAbort);
    r.mem.write_u64(table, V | 3 << 1 | PA >> 12 << 10);
    let a = answer(&mut r, req);
    assert_eq!(
        (a.address, rwx(a.permissions), a.untranslated_only),
        (PA, (true, true, false), false)
    );
    assert_eq!((a.cxl_io, a.range_log2), (Some(true), 12));
    r.mem.write_u64(table, V | 1 << 1 | 0x1_0000 << 7);
    let a = answer(&mut r, req);
    assert_eq!(a.cxl_io, Some(true));
    assert_eq!(
        (a.status, a.untranslated_only, rwx(a.permissions)),
        (AtsStatus::Success, true, (true, true, false))
    );
}

#[test]
fn a_file_in_memory_is_granted_as_the_first_stage_permits() {
    // "Equivalent to that of a regular RISC-V second-stage PTE with R=W=U=1 and X=0": the first
    // stage has its say, in basic translate mode and in MRIF mode.
    for (mode, untranslated) in [
        (3u64 << 1 | PA >> 12 << 10, false),
        (1 << 1 | 1 << 23, true),
    ] {
        for (bits, write) in [(0xd7, true), (0xd3, false)] {
            let mut r = rig();
            let (g, table, root) = (r.page(), r.page(), r.page());
            r.set_dc(
                5,
                &DeviceContext {
                    tc: tc::V | tc::EN_ATS,
                    iohgatp: 8 << 60 | g >> 12,
                    fsc: 8 << 60 | root >> 12,
                    msiptp: 1 << 60 | table >> 12,
                    msi_addr_pattern: 0x28000,
                    ..Default::default()
                },
            );
            r.mem.write_u64(table, V | mode);
            // Guest addresses of tables are their own.
            r.map(g, 3, 2, root, 2, leaf(root & !0x3fff_ffff, 0xdf));
            r.map(root, 3, 0, VA, 0, leaf(0x2800_0000, bits));
            let a = answer(&mut r, ats_write(VA));
            assert_eq!(
                (a.status, a.untranslated_only, rwx(a.permissions)),
                (AtsStatus::Success, untranslated, (true, write, false))
            );
        }
    }
}

// ---- page requests

const PQ: u64 = 0x7200_0000;

fn pri(r: &mut Rig, tc: u64) {
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc,
            ..Default::default()
        },
    );
    r.w(offset::PQB, PQ >> 12 << 10);
    r.w(offset::PQH, 0);
    r.w(offset::PQCSR, 3);
}

fn request(payload: u64) -> PageRequest {
    PageRequest {
        device_id: 5,
        process_id: Some(0x12345),
        privileged: true,
        execute: true,
        payload,
    }
}

/// (response code, carries the PASID) of the IOMMU's own answer.
fn response(r: &mut Rig) -> Option<(u64, bool)> {
    let mut out = r.iommu.take_ats_messages();
    assert!(out.len() <= 1);
    out.pop().map(|m| match m {
        AtsOut::PageResponse(m) => {
            assert_eq!((m.rid, m.payload >> 32 & 0x1ff), (5, 0x155));
            (m.payload >> 44 & 0xf, m.process_id.is_some())
        }
        other => panic!("{other:?}"),
    })
}

const LAST: u64 = 0x155 << 3 | 7;

#[test]
fn page_requests_are_queued_with_their_fields() {
    let mut r = rig();
    pri(&mut r, tc::EN_ATS | tc::EN_PRI);
    let payload = 0xdead_beef_0000_0000 | LAST;
    assert_eq!(
        r.iommu
            .run_page_request(&mut r.mem, &mut (), &request(payload)),
        None
    );
    assert_eq!(
        r.mem.read_u64(PQ),
        0x12345 << 12 | 1 << 32 | 1 << 33 | 1 << 34 | 5 << 40
    );
    assert_eq!(r.mem.read_u64(PQ + 8), payload);
    assert_eq!(
        (r.r(offset::PQT), r.r(offset::IPSR), response(&mut r)),
        (1, 8, None)
    );
    // PRIV and EXEC are 0 without a PASID. Two entries: the queue is full with one.
    r.w(offset::PQH, 1);
    let plain = PageRequest {
        process_id: None,
        ..request(LAST)
    };
    r.iommu.run_page_request(&mut r.mem, &mut (), &plain);
    assert_eq!(r.mem.read_u64(PQ + 16), 5 << 40);
    assert_eq!(r.r(offset::PQT), 0);
    r.w(offset::IPSR, 8);
    assert_eq!(r.r(offset::IPSR), 0);
    // Full: overflow, Success; stays so until cleared.
    for _ in 0..2 {
        r.iommu
            .run_page_request(&mut r.mem, &mut (), &request(LAST));
        assert_eq!(
            (r.r(offset::PQCSR) >> 8 & 3, response(&mut r)),
            (2, Some((0, false)))
        );
    }
    // pqof is a lasting condition: pip comes back until it is cleared, or pie is off.
    r.w(offset::IPSR, 8);
    assert_eq!(r.r(offset::IPSR), 8);
    r.w(offset::PQCSR, 1);
    r.w(offset::IPSR, 8);
    assert_eq!(r.r(offset::IPSR), 0);
}

#[test]
fn iommu_made_responses() {
    let mut r = rig();
    let go = |r: &mut Rig, req: &PageRequest| {
        let rec = r.iommu.run_page_request(&mut r.mem, &mut (), req);
        (rec.map(|x| (x.cause, x.ttyp, x.iotval, x.pid)), response(r))
    };
    let recorded = |cause| Some((cause, 9, 4, 0x12345));
    pri(&mut r, tc::EN_ATS | tc::EN_PRI | tc::PRPR);
    let root = r.ddt_root();
    let req = request(LAST);
    r.mode(0, root);
    assert_eq!(go(&mut r, &req), (recorded(256), Some((15, true))));
    r.mode(1, root);
    // No context: PRPR is taken as 0.
    assert_eq!(go(&mut r, &req), (recorded(260), Some((1, false))));
    r.mode(4, root);
    // EN_PRI=0: Invalid Request, the PASID as PRPR (here 0) says.
    pri(&mut r, tc::EN_ATS);
    assert_eq!(go(&mut r, &req), (recorded(260), Some((1, false))));
    r.set_dc(5, &DeviceContext::default());
    assert_eq!(go(&mut r, &req), (recorded(258), Some((15, true))));
    r.set_dc(
        5,
        &DeviceContext {
            tc: V | 1 << 12,
            ..Default::default()
        },
    );
    assert_eq!(go(&mut r, &req), (recorded(259), Some((15, true))));
    // Queue off, memory fault, overflow: no record.
    pri(&mut r, tc::EN_ATS | tc::EN_PRI | tc::PRPR);
    r.mem.add_fault(PQ..PQ + 16, MemError::Access);
    assert_eq!(go(&mut r, &req), (None, Some((15, true))));
    assert_eq!(r.r(offset::PQCSR) >> 8 & 3, 1);
    assert_eq!(go(&mut r, &req), (None, Some((15, true))));
    r.w(offset::PQCSR, 0);
    assert_eq!(go(&mut r, &req), (None, Some((15, true))));
    r.mem.clear_faults();
    r.w(offset::PQCSR, 1);
    assert_eq!(go(&mut r, &req), (None, None));
    // Overflow with PRPR: Success with the PASID; without one in the request, without.
    assert_eq!(go(&mut r, &req), (None, Some((0, true))));
    assert_eq!(
        go(
            &mut r,
            &PageRequest {
                process_id: None,
                ..req
            }
        ),
        (None, Some((0, false)))
    );
    // Not the last, or a stop marker: silently discarded.
    assert_eq!(go(&mut r, &request(0x155 << 3 | 3)), (None, None));
    assert_eq!(go(&mut r, &request(0x155 << 3 | 4)), (None, None));
    // The pqt never moved beyond the one that was stored.
    assert_eq!(r.r(offset::PQT), 1);
}

// ---- invalidations

const CQ: u64 = 0x7000_0000;

fn put(r: &mut Rig, c: Command) {
    let t = r.r(offset::CQT);
    let [a, b] = c.encode();
    r.mem.write_u64(CQ + t * 16, a);
    r.mem.write_u64(CQ + t * 16 + 8, b);
    r.w(offset::CQT, t + 1);
}

#[test]
fn fences_wait_for_invalidations_and_report_time_outs() {
    let mut r = rig();
    r.set_dc(
        5,
        &DeviceContext {
            tc: tc::V | tc::EN_ATS,
            ..Default::default()
        },
    );
    r.w(offset::CQB, CQ >> 12 << 10 | 7);
    r.w(offset::CQCSR, 1);
    let inval = Command::AtsInval(command::AtsMessage {
        process_id: None,
        rid: 5,
        segment: None,
        payload: 0x1000,
    });
    let fence = Command::Iofence(command::Iofence {
        av: false,
        wsi: false,
        pr: false,
        pw: false,
        data: 0,
        addr: Spa(0),
    });
    put(&mut r, inval);
    put(&mut r, inval);
    put(&mut r, fence);
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::Done(inval));
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::Done(inval));
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Waiting(_)
    ));
    let tags: Vec<u8> = r
        .iommu
        .take_ats_messages()
        .iter()
        .map(|m| match m {
            AtsOut::Invalidation { itag, .. } => *itag,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((tags, r.iommu.itags_in_use()), (vec![0, 1], 3));
    // Somebody else's completion counts for nothing; two completions are needed where it says so.
    r.iommu
        .invalidation_completion(&mut r.mem, &mut (), 5, 1, 1)
        .unwrap();
    assert_eq!(r.iommu.itags_in_use(), 2);
    assert!(
        r.iommu
            .invalidation_completion(&mut r.mem, &mut (), 6, 2, 1)
            .is_err()
    );
    r.iommu
        .invalidation_completion(&mut r.mem, &mut (), 5, 2, 2)
        .unwrap();
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Waiting(_)
    ));
    r.iommu
        .invalidation_completion(&mut r.mem, &mut (), 5, 2, 2)
        .unwrap();
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    // A time-out: cmd_to, cqh on the fence; cleared and run again, it completes.
    put(&mut r, inval);
    put(&mut r, fence);
    r.iommu.step_command(&mut r.mem);
    r.iommu.ats_time_out();
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::TimedOut(_)
    ));
    assert_eq!((r.r(offset::CQCSR) >> 8 & 0xf, r.r(offset::CQH)), (2, 4));
    assert_eq!(r.iommu.step_command(&mut r.mem), CommandStep::Idle);
    r.w(offset::CQCSR, 1 | 1 << 9);
    assert!(matches!(
        r.iommu.step_command(&mut r.mem),
        CommandStep::Done(_)
    ));
    // Tags run out: the queue waits, nothing is lost.
    for _ in 0..33 {
        put(&mut r, inval);
    }
    let done = (0..40)
        .filter(|_| matches!(r.iommu.step_command(&mut r.mem), CommandStep::Done(_)))
        .count();
    assert_eq!((done, r.iommu.itags_in_use()), (32, u32::MAX));
    // A completion from a device without ATS is an unsupported request, recorded with its code.
    r.set_dc(
        7,
        &DeviceContext {
            tc: tc::V,
            ..Default::default()
        },
    );
    let rec = r
        .iommu
        .invalidation_completion(&mut r.mem, &mut (), 7, 1, 1)
        .unwrap_err()
        .unwrap();
    assert_eq!((rec.cause, rec.ttyp, rec.iotval, rec.did), (260, 9, 2, 7));
}
