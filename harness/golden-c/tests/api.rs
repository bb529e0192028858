//! The interface as a caller sees it: what it refuses, and what the C example does not show.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use iommu_golden_c::*;

const OK: IommuStatus = IommuStatus::Ok;

/// An IOMMU and a sparse memory, freed in the end.
struct Bench {
    iommu: *mut IommuGolden,
    memory: *mut IommuMemory,
}

impl Bench {
    fn new(change: impl FnOnce(&mut IommuConfig)) -> Self {
        let mut config = MaybeUninit::uninit();
        let mut b = Bench {
            iommu: null_mut(),
            memory: null_mut(),
        };
        // SAFETY: every pointer is to a local; init fills the structure before it is read.
        unsafe {
            let size = size_of::<IommuConfig>();
            assert_eq!(iommu_config_init(config.as_mut_ptr(), size), OK);
            let mut config = config.assume_init();
            config.capabilities |= 46 << IOMMU_CAP_PAS_SHIFT;
            change(&mut config);
            assert_eq!(iommu_create(&config, &mut b.iommu), OK);
            assert_eq!(iommu_memory_create_sparse(&mut b.memory), OK);
        }
        b
    }

    fn put(&self, addr: u64, value: u64) {
        let bytes = value.to_le_bytes();
        // SAFETY: the memory lives; eight bytes.
        let status = unsafe { iommu_memory_write(self.memory, addr, bytes.as_ptr(), 8) };
        assert_eq!(status, OK);
    }

    fn set(&self, offset: u32, size: u32, value: u64) {
        // SAFETY: the IOMMU lives.
        let status = unsafe { iommu_reg_write(self.iommu, offset, size, value, null_mut()) };
        assert_eq!(status, OK);
    }

    fn get(&self, offset: u32, size: u32) -> u64 {
        // SAFETY: the IOMMU lives.
        out(|p| unsafe { iommu_reg_read(self.iommu, offset, size, p) })
    }

    fn commands(&self, n: usize) -> Vec<IommuCommandResult> {
        let mut results = Vec::with_capacity(n);
        // SAFETY: room for n, of which `count` are written.
        unsafe {
            let count = out(|count| {
                iommu_process_commands(self.iommu, self.memory, results.as_mut_ptr(), n, count)
            });
            results.set_len(count);
        }
        results
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // SAFETY: both live and are not used again.
        unsafe {
            assert_eq!(iommu_destroy(self.iommu), OK);
            assert_eq!(iommu_memory_destroy(self.memory), OK);
        }
    }
}

/// The result that a successful call writes.
fn out<T>(call: impl FnOnce(*mut T) -> IommuStatus) -> T {
    let mut v = MaybeUninit::uninit();
    assert_eq!(call(v.as_mut_ptr()), OK);
    // SAFETY: a result is written with OK.
    unsafe { v.assume_init() }
}

#[test]
fn null_is_refused_everywhere_and_destroying_it_is_fine() {
    let n = IommuStatus::Null;
    // SAFETY: null everywhere, which every function checks.
    unsafe {
        assert_eq!(iommu_config_init(null_mut(), size_of::<IommuConfig>()), n);
        assert_eq!(iommu_create(null(), null_mut()), n);
        assert_eq!(iommu_clone(null(), null_mut()), n);
        assert_eq!(iommu_destroy(null_mut()), OK);
        assert_eq!(iommu_reset(null_mut()), n);
        assert_eq!(iommu_count_cycles(null_mut(), 1), n);
        assert_eq!(iommu_memory_create_sparse(null_mut()), n);
        assert_eq!(iommu_memory_create_callbacks(null(), null_mut()), n);
        assert_eq!(iommu_memory_destroy(null_mut()), OK);
        assert_eq!(iommu_memory_read(null(), 0, null_mut(), 0), n);
        assert_eq!(iommu_memory_write(null_mut(), 0, null(), 0), n);
        assert_eq!(iommu_memory_add_fault(null_mut(), 0, 1, 1), n);
        assert_eq!(iommu_memory_clear_faults(null_mut()), n);
        assert_eq!(iommu_reg_read(null(), 0, 8, null_mut()), n);
        assert_eq!(iommu_reg_write(null_mut(), 0, 8, 0, null_mut()), n);
        assert_eq!(iommu_request_init(null_mut()), n);
        let (i, m) = (null_mut(), null_mut());
        assert_eq!(iommu_translate(i, m, null(), null_mut()), n);
        assert_eq!(iommu_run_debug_request(i, m, null_mut(), null_mut()), n);
        assert_eq!(iommu_mrif_access(i, m, null(), null(), 0, null_mut()), n);
        assert_eq!(iommu_report_fault(i, m, null(), null_mut()), n);
        assert_eq!(iommu_fault_slot(i, null(), 0, null_mut()), n);
        assert_eq!(iommu_fault_written(i), n);
        assert_eq!(iommu_fault_write_failed(i), n);
        assert_eq!(iommu_process_commands(i, m, null_mut(), 0, null_mut()), n);
        assert_eq!(iommu_page_request(i, m, null(), null_mut()), n);
        assert_eq!(iommu_invalidation_completion(i, m, 0, 0, 1, null_mut()), n);
        assert_eq!(iommu_ats_time_out(i), n);
        assert_eq!(iommu_itags_in_use(i, null_mut()), n);
        assert_eq!(iommu_take_ats_messages(i, null_mut(), 0, null_mut()), n);
        assert_eq!(iommu_wires(i, null_mut()), n);
        assert_eq!(iommu_pending_vectors(i, null_mut()), n);
        assert_eq!(iommu_due_messages(i, null_mut(), 0, null_mut()), n);
        assert_eq!(iommu_message_sent(i, 0), n);
        assert_eq!(iommu_message_failed(i, 0, null_mut()), n);
        assert_eq!(iommu_send_messages(i, m), n);
    }
}

#[test]
fn what_is_out_of_range_is_refused() {
    let b = Bench::new(|_| {});
    // SAFETY: `out` has room for one.
    let mut request: IommuRequest = out(|p| unsafe { iommu_request_init(p) });
    let mut value = 0u64;
    let mut response = MaybeUninit::uninit();
    // SAFETY: objects live, pointers are to locals; misaligned ones are never followed.
    unsafe {
        let mut translate =
            |r: &IommuRequest| iommu_translate(b.iommu, b.memory, r, response.as_mut_ptr());
        assert_eq!(translate(&request), OK);
        request.kind = 3;
        assert_eq!(translate(&request), IommuStatus::Value);
        request.kind = 0;
        request.access = u32::MAX;
        assert_eq!(translate(&request), IommuStatus::Value);
        request.access = 0;
        request.device_id = 1 << 24;
        assert_eq!(translate(&request), IommuStatus::Range);
        request.device_id = 0;
        request.process_id = 5;
        assert_eq!(translate(&request), IommuStatus::Range);
        request.has_process_id = 2;
        assert_eq!(translate(&request), IommuStatus::Range);
        request.has_process_id = 1;
        assert_eq!(translate(&request), OK);
        let read = |offset, size, p: *mut u64| iommu_reg_read(b.iommu, offset, size, p);
        assert_eq!(read(0, 2, &mut value), IommuStatus::Range);
        assert_eq!(read(4, 8, &mut value), IommuStatus::RegMisaligned);
        assert_eq!(read(IOMMU_REG_CQH, 8, &mut value), IommuStatus::RegSpans);
        assert_eq!(read(4096, 8, &mut value), IommuStatus::RegOutside);
        assert_eq!(read(u32::MAX, 4, &mut value), IommuStatus::RegOutside);
        let odd = (&raw mut value).cast::<u8>().wrapping_add(1).cast();
        assert_eq!(read(0, 8, odd), IommuStatus::Alignment);
        let wide = iommu_reg_write(b.iommu, IOMMU_REG_FCTL, 4, 1 << 32, null_mut());
        assert_eq!(wide, IommuStatus::Range);
        let mem = |addr, n| iommu_memory_write(b.memory, addr, [0; 2].as_ptr(), n);
        assert_eq!(mem(u64::MAX - 1, 2), IommuStatus::Range);
        assert_eq!(mem(u64::MAX - 1, 1), OK);
        assert_eq!(mem(0, usize::MAX), IommuStatus::Range);
        let fault = |what| iommu_memory_add_fault(b.memory, 0, 8, what);
        assert_eq!(
            (fault(0), fault(3)),
            (IommuStatus::Value, IommuStatus::Value)
        );
        assert_eq!(iommu_message_sent(b.iommu, 16), IommuStatus::Range);
        assert_eq!(iommu_message_sent(b.iommu, 0), IommuStatus::State);
        assert_eq!(iommu_fault_written(b.iommu), IommuStatus::State);
    }
}

#[test]
fn configurations_are_checked() {
    let mut config: IommuConfig =
        // SAFETY: `out` has room for one.
        out(|p| unsafe { iommu_config_init(p, size_of::<IommuConfig>()) });
    let make = |c: &IommuConfig| {
        let mut iommu = null_mut();
        // SAFETY: locals, and what was made is given back.
        unsafe {
            let status = iommu_create(c, &mut iommu);
            assert_eq!(iommu.is_null(), status != OK);
            assert_eq!(iommu_destroy(iommu), OK);
            status
        }
    };
    assert_eq!(make(&config), OK);
    for (size, status) in [(0, IommuStatus::Size), (u64::MAX, IommuStatus::Size)] {
        let other = IommuConfig { size, ..config };
        assert_eq!(make(&other), status);
    }
    config.vectors = 3;
    assert_eq!(make(&config), IommuStatus::Config);
    config.vectors = 1;
    config.mrif_read = 2;
    assert_eq!(make(&config), IommuStatus::Value);
    config.mrif_read = 1;
    config.check_spa = 0xff;
    assert_eq!(make(&config), IommuStatus::Range);
}

#[test]
fn a_callback_cannot_use_the_object_that_it_serves() {
    unsafe extern "C" fn load(
        user: *mut c_void,
        _: u64,
        _: u32,
        _: *const IommuLabel,
        value: *mut u64,
    ) -> u32 {
        // SAFETY: `user` is the IOMMU below, `value` is what the library gives.
        unsafe {
            *value = 0;
            assert_eq!(iommu_reset(user.cast()), IommuStatus::Busy);
            assert_eq!(iommu_destroy(user.cast()), IommuStatus::Busy);
        }
        77 // no result: counts as an access fault
    }
    unsafe extern "C" fn store(
        _: *mut c_void,
        _: u64,
        _: u32,
        _: *const u8,
        _: *const IommuLabel,
    ) -> u32 {
        0
    }
    let b = Bench::new(|_| {});
    b.set(IOMMU_REG_DDTP, 8, 2 | 1 << 10);
    let callbacks = IommuMemoryCallbacks {
        user: b.iommu.cast(),
        load: Some(load),
        store: Some(store),
        compare_and_swap: None,
        fetch_or: None,
    };
    // SAFETY: everything lives until the end of the block.
    unsafe {
        let memory = out(|m| iommu_memory_create_callbacks(&callbacks, m));
        let request: IommuRequest = out(|p| iommu_request_init(p));
        let response: IommuResponse = out(|p| iommu_translate(b.iommu, memory, &request, p));
        assert_eq!(response.cause, 257);
        assert_eq!(iommu_memory_destroy(memory), OK);
    }
}

#[test]
fn invalidations_page_requests_and_time_outs() {
    let b = Bench::new(|c| {
        c.capabilities |= IOMMU_CAP_ATS | 1 << IOMMU_CAP_IGS_SHIFT;
    });
    b.put(0x1000 + 32 * 5, 0b111); // tc: V, EN_ATS, EN_PRI
    b.set(IOMMU_REG_DDTP, 8, 2 | 1 << 10);
    b.set(IOMMU_REG_CQB, 8, 2 << 10 | 3);
    b.set(IOMMU_REG_CQCSR, 4, 1);
    b.set(IOMMU_REG_PQB, 8, 3 << 10 | 1);
    b.set(IOMMU_REG_PQCSR, 4, 1);
    b.put(0x2000, 4 | 5 << 40); // ATS.INVAL to device 5
    b.put(0x2008, 0x7000);
    b.put(0x2010, 2); // IOFENCE.C
    b.set(IOMMU_REG_CQT, 4, 2);
    let steps = |n| -> Vec<_> { b.commands(n).iter().map(|r| (r.index, r.step)).collect() };
    let (done, waiting) = (IommuCommandStep::Done, IommuCommandStep::Waiting);
    assert_eq!(steps(1), [(0, done)]);
    assert_eq!(steps(9), [(1, waiting)]);
    // SAFETY: objects live, pointers are to locals.
    unsafe {
        let mut m = [MaybeUninit::<IommuAtsMessage>::uninit(); 4];
        let n = out(|n| iommu_take_ats_messages(b.iommu, m.as_mut_ptr().cast(), 4, n));
        assert_eq!(n, 1);
        let m = m[0].assume_init();
        assert_eq!((m.kind, m.rid), (IommuAtsMessageKind::Invalidation, 5));
        assert_eq!((m.payload, m.itag), (0x7000, 0));
        assert_eq!(out(|p| iommu_itags_in_use(b.iommu, p)), 1);
        let complete = |device: u32| -> IommuCompletionResult {
            out(|p| iommu_invalidation_completion(b.iommu, b.memory, device, 1, 1, p))
        };
        let refused = complete(6); // no device context
        assert_eq!((refused.accepted, refused.record_due), (0, 1));
        assert_eq!(refused.record[0] & 0xfff, 258);
        assert_eq!(complete(5).accepted, 1);
        assert_eq!(out(|p| iommu_itags_in_use(b.iommu, p)), 0);
        assert_eq!(steps(9), [(1, done)]);

        // Once more, with a time-out.
        b.put(0x2020, 4 | 5 << 40);
        b.put(0x2030, 2);
        b.set(IOMMU_REG_CQT, 4, 4);
        assert_eq!(steps(9), [(2, done), (3, waiting)]);
        assert_eq!(iommu_ats_time_out(b.iommu), OK);
        assert_eq!(steps(9), [(3, IommuCommandStep::TimedOut)]);
        assert_eq!(b.get(IOMMU_REG_CQCSR, 4) >> 9 & 1, 1);

        // Page requests: three fit, the fourth is answered with Success, as the queue is full.
        let request = IommuPageRequest {
            device_id: 5,
            process_id: 0,
            payload: 0x9000 | 4 | 1,
            has_process_id: 0,
            privileged: 0,
            execute: 0,
            padding: [0; 5],
        };
        let ask = || -> IommuPageRequestResult {
            out(|p| iommu_page_request(b.iommu, b.memory, &request, p))
        };
        for _ in 0..3 {
            let r = ask();
            assert_eq!((r.kind, r.answered), (IommuPageRequestKind::Queued, 0));
        }
        let r = ask();
        assert_eq!((r.kind, r.answered), (IommuPageRequestKind::Discarded, 1));
        let mut left = [MaybeUninit::<IommuAtsMessage>::uninit(); 4];
        let n = out(|n| iommu_take_ats_messages(b.iommu, left.as_mut_ptr().cast(), 1, n));
        assert_eq!(n, 1);
        assert_eq!(
            left[0].assume_init().kind,
            IommuAtsMessageKind::Invalidation
        );
        let n = out(|n| iommu_take_ats_messages(b.iommu, left.as_mut_ptr().cast(), 4, n));
        assert_eq!(n, 1);
        assert_eq!(
            left[0].assume_init().kind,
            IommuAtsMessageKind::PageResponse
        );
    }
}

#[test]
fn messages_are_due_sent_or_lost() {
    let b = Bench::new(|_| {});
    b.set(IOMMU_REG_MSI_CFG_TBL, 8, 0x8000);
    b.set(IOMMU_REG_MSI_CFG_TBL + 8, 4, 0x1234);
    b.set(IOMMU_REG_CQB, 8, 2 << 10 | 1);
    b.set(IOMMU_REG_CQCSR, 4, 3); // cqen, cie
    b.put(0x2000, 5); // reserved
    b.set(IOMMU_REG_CQT, 4, 1);
    // SAFETY: objects live, pointers are to locals.
    unsafe {
        let mut m = [MaybeUninit::<IommuMessage>::uninit(); 16];
        let mut due = || out(|n| iommu_due_messages(b.iommu, m.as_mut_ptr().cast(), 16, n));
        assert_eq!(due(), 0);
        assert_eq!(b.commands(1)[0].step, IommuCommandStep::Illegal);
        assert_eq!(due(), 1);
        let snapshot = out(|p| iommu_clone(b.iommu, p));
        let record: [u64; 4] = out(|p: *mut [u64; 4]| iommu_message_failed(snapshot, 0, p.cast()));
        assert_eq!((record[0], record[2]), (273, 0x8000));
        assert_eq!(iommu_destroy(snapshot), OK);
        // The original still owes it.
        assert_eq!(out(|p| iommu_pending_vectors(b.iommu, p)), 1);
        assert_eq!(iommu_send_messages(b.iommu, b.memory), OK);
        assert_eq!(due(), 0);
        let m = m[0].assume_init();
        assert_eq!((m.addr, m.data, m.reachable), (0x8000, 0x1234, 1));
        let stored: [u8; 4] =
            out(|p: *mut [u8; 4]| iommu_memory_read(b.memory, 0x8000, p.cast(), 4));
        assert_eq!((stored, m.bytes), ([0x34, 0x12, 0, 0], [0x34, 0x12, 0, 0]));
        assert_eq!(iommu_reset(b.iommu), OK);
        assert_eq!(b.get(IOMMU_REG_IPSR, 4), 0);
    }
}

#[test]
fn debug_request_and_counting() {
    let b = Bench::new(|c| {
        c.capabilities |= IOMMU_CAP_DBG | IOMMU_CAP_HPM;
    });
    b.set(IOMMU_REG_DDTP, 8, 1); // Bare
    b.set(IOMMU_REG_TR_REQ_IOVA, 8, 0x5000);
    // SAFETY: objects live, pointers are to locals.
    unsafe {
        let mut response = MaybeUninit::<IommuResponse>::uninit();
        let mut run =
            || out(|ran| iommu_run_debug_request(b.iommu, b.memory, response.as_mut_ptr(), ran));
        assert_eq!(run(), 0);
        b.set(IOMMU_REG_TR_REQ_CTL, 8, 1 | 1 << 3);
        assert_eq!(run(), 1);
        let response = response.assume_init();
        assert_eq!(
            (response.outcome, response.spa),
            (IommuOutcome::Granted, 0x5000)
        );
        assert_eq!(b.get(IOMMU_REG_TR_REQ_CTL, 8) & 1, 0);
        assert_eq!(iommu_count_cycles(b.iommu, 7), OK);
        assert_eq!(b.get(IOMMU_REG_IOHPMCYCLES, 8), 7);
        b.set(IOMMU_REG_IOHPMEVT1, 8, 1); // Untranslated requests
        let mut request: IommuRequest = out(|p| iommu_request_init(p));
        for count in [0, 1] {
            request.count = count;
            let _: IommuResponse = out(|p| iommu_translate(b.iommu, b.memory, &request, p));
            assert_eq!(b.get(IOMMU_REG_IOHPMCTR1, 8), count.into());
        }
    }
}

#[test]
fn an_access_to_an_interrupt_file() {
    let b = Bench::new(|c| {
        c.capabilities |= IOMMU_CAP_MSI_FLAT | IOMMU_CAP_MSI_MRIF | IOMMU_CAP_SV39X4;
    });
    // Extended context of device 0: second stage Sv39x4 at 0x4000, MSI table at 0x2000 for page 0x30.
    b.put(0x1000, 1);
    b.put(0x1008, 8 << 60 | 4);
    b.put(0x1020, 1 << 60 | 2);
    b.put(0x1030, 0x30);
    b.put(0x2000, 1 | 1 << 1 | (0x6000 >> 9) << 7); // V, M=1: MRIF at 0x6000
    b.put(0x2008, 0x12 | 9 << 10); // notice 0x12 to page 9
    b.set(IOMMU_REG_DDTP, 8, 2 | 1 << 10);
    // SAFETY: objects live, pointers are to locals.
    unsafe {
        let mut request: IommuRequest = out(|p| iommu_request_init(p));
        request.iova = 0x3_0000;
        request.access = IommuAccess::Write as u32;
        request.len = 4;
        let mut response: IommuResponse = out(|p| iommu_translate(b.iommu, b.memory, &request, p));
        assert_eq!(
            response.outcome,
            IommuOutcome::Mrif,
            "cause {}",
            response.cause
        );
        assert_eq!(
            (response.mrif, response.notice, response.notice_id),
            (0x6000, 0x9000, 0x12)
        );
        let access = |request: &IommuRequest, response: &IommuResponse| -> IommuMrifResult {
            out(|p| iommu_mrif_access(b.iommu, b.memory, request, response, 67, p))
        };
        let r = access(&request, &response);
        assert_eq!(
            (r.outcome, r.addr, r.set),
            (IommuMrifOutcome::Stored, 0x6010, 8)
        );
        let read = |addr| out(|p: *mut u64| iommu_memory_read(b.memory, addr, p.cast(), 8));
        assert_eq!(
            (read(0x6010), read(0x9000)),
            (8u64.to_le(), 0x12u64.to_le())
        );
        assert_eq!(iommu_memory_add_fault(b.memory, 0x9000, 4, 1), OK);
        let r = access(&request, &response);
        assert_eq!(
            (r.outcome, r.record[0]),
            (IommuMrifOutcome::NoticeFailed, 273)
        );
        assert_eq!(iommu_memory_add_fault(b.memory, 0x6000, 512, 2), OK);
        let r = access(&request, &response);
        assert_eq!(
            (r.outcome, r.record[0] & 0xfff),
            (IommuMrifOutcome::Failed, 271)
        );
        response.outcome = IommuOutcome::Granted;
        let mut result = MaybeUninit::uninit();
        let status = iommu_mrif_access(
            b.iommu,
            b.memory,
            &request,
            &response,
            0,
            result.as_mut_ptr(),
        );
        assert_eq!(status, IommuStatus::State);
    }
}
