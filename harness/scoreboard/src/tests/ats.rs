//! Translation requests, invalidations.

use iommu_bus::ats::{AtsInvalidation, AtsInvalidationDone, AtsRange, AtsRequest};
use iommu_golden::command::AtsMessage;

use super::*;

pub(super) fn rig() -> Rig {
    let mut cfg = config();
    cfg.golden.capabilities = cfg
        .golden
        .capabilities
        .with(Capabilities::ATS | Capabilities::AMO_HWAD);
    let mut rig = Rig::with(cfg, true);
    // V, EN_ATS, EN_PRI, SADE.
    rig.mem.write_u64(DDT, 0x107);
    rig
}

const ASK: AtsRequest = AtsRequest {
    tag: 7,
    device_id: 0,
    process_id: None,
    privileged: false,
    execute: false,
    no_write: false,
    addr: RW,
    length: 0,
    cxl: false,
};

/// The right answer to `ASK`.
const ANSWER: AtsRange = AtsRange {
    tag: 7,
    status: 0,
    last: true,
    addr: PA,
    large: false,
    read: true,
    write: true,
    execute: false,
    untranslated: false,
    no_snoop: false,
    global: false,
    privileged: false,
    cxl_io: false,
    ama: 0,
};

const INVAL: AtsMessage = AtsMessage {
    process_id: Some(5),
    rid: 0x123,
    segment: Some(4),
    payload: 0x5000_0800,
};

const SENT: AtsInvalidation = AtsInvalidation {
    itag: 3,
    device_id: 0x04_0123,
    segment_valid: true,
    process_id: Some(5),
    payload: 0x5000_0800,
};

const DONE: AtsInvalidationDone = AtsInvalidationDone {
    device_id: 0x04_0123,
    itags: 1 << 3,
    count: 1,
};

impl Rig {
    fn ask_ats(&mut self, r: AtsRequest) {
        self.clock(&[Event::AtsRequest(r.pack())]);
        self.walk(r.addr);
    }

    /// The record of `ASK` as a type that is disallowed, and its interrupt.
    fn record_refusal(&mut self) {
        let mut request = iommu_golden::Request::write(0, iommu_golden::Iova(RW));
        request.kind = iommu_golden::RequestKind::AtsTranslation;
        let record = FaultRecord::of_request(Cause::TypeDisallowed, &request, 0);
        self.record_at(0, record.to_words(), Resp::Okay);
        self.clock(&[Event::Wsi(2)]);
    }

    fn complete(&mut self, r: AtsRange) {
        self.clock(&[Event::AtsCompletion(r.pack())]);
    }

    /// ATS.INVAL, then a fence; both fetched.
    fn ats_inval(&mut self) {
        // The device's context: one level of directory has room for device 0 only, so that the
        // sender is looked up in vain unless the directory is wide.
        self.command(0, Command::AtsInval(INVAL).encode());
        self.fence(
            1,
            Iofence {
                av: true,
                wsi: false,
                pr: false,
                pw: false,
                data: 0xabcd,
                addr: Spa(FLAG),
            },
        );
        self.write(offset::CQT, 2);
        self.fetch(CQ, 4);
    }

    fn send(&mut self, m: AtsInvalidation) {
        self.clock(&[Event::AtsInvalidation(m.pack())]);
    }
}

#[test]
fn a_request_is_completed_as_the_tables_say() {
    let mut rig = rig();
    rig.ask_ats(ASK);
    rig.complete(ANSWER);
    rig.end();
    rig.fine();
    assert_eq!(rig.board.counters().ats_requests, 1);
    // Without write permission; nothing at all, where the address means nothing.
    let mut rig = self::rig();
    rig.ask_ats(AtsRequest { addr: RO, ..ASK });
    rig.compare_ro();
    rig.complete(AtsRange {
        addr: 0x9_0000,
        write: false,
        ..ANSWER
    });
    rig.ask_ats(AtsRequest { addr: NONE, ..ASK });
    rig.complete(AtsRange {
        addr: 0xdead_0000,
        read: false,
        write: false,
        ..ANSWER
    });
    rig.end();
    rig.fine();
}

impl Rig {
    /// The read-only page has A set already: nothing to do, but its walk must be quiet.
    fn compare_ro(&mut self) {
        assert_eq!(self.mem.read_u64(0x4010) & 0x40, 0x40);
    }
}

#[test]
fn ats_completion_wrong_in_any_field() {
    let wrong = [
        AtsRange {
            status: 4,
            ..ANSWER
        },
        AtsRange {
            addr: PA + 0x1000,
            ..ANSWER
        },
        AtsRange {
            large: true,
            ..ANSWER
        },
        AtsRange {
            read: false,
            ..ANSWER
        },
        AtsRange {
            write: false,
            ..ANSWER
        },
        AtsRange {
            execute: true,
            ..ANSWER
        },
        AtsRange {
            untranslated: true,
            ..ANSWER
        },
        AtsRange {
            no_snoop: true,
            ..ANSWER
        },
        AtsRange {
            global: true,
            ..ANSWER
        },
        AtsRange {
            privileged: true,
            ..ANSWER
        },
        AtsRange {
            cxl_io: true,
            ..ANSWER
        },
        AtsRange { ama: 1, ..ANSWER },
    ];
    for answer in wrong {
        let mut rig = rig();
        rig.ask_ats(ASK);
        rig.complete(answer);
        rig.only(Check::AtsCompletion);
    }
    // More ranges than asked for.
    let mut rig = rig();
    rig.ask_ats(ASK);
    rig.complete(AtsRange {
        last: false,
        ..ANSWER
    });
    rig.complete(AtsRange {
        addr: 0x9_0000,
        write: false,
        ..ANSWER
    });
    rig.only(Check::AtsCompletion);
}

#[test]
fn a_completion_waits_for_its_update() {
    let clean = (PA >> 12) << 10 | 0x17;
    for early in [false, true] {
        let mut rig = rig();
        rig.mem.write_u64(0x4028, clean);
        rig.ask_ats(AtsRequest {
            addr: 0x5000,
            ..ASK
        });
        if !early {
            rig.compare(0x4028, clean, clean | 0xc0);
            rig.updated();
        }
        rig.complete(ANSWER);
        if early {
            rig.only(Check::UpdateLate);
        } else {
            rig.end();
            rig.fine();
        }
    }
}

/// A block without ATS has no process to run for a request, and a directory of its own may say more:
/// its Unsupported Request has a record, or none; and it answers nothing else.
#[test]
fn a_block_without_ats_refuses_with_or_without_a_record() {
    for (status, recorded) in [(1, false), (1, true), (0, false)] {
        let mut rig = Rig::with(config(), true);
        rig.mem.write_u64(DDT, 1);
        rig.clock(&[Event::AtsRequest(ASK.pack())]);
        rig.complete(AtsRange {
            status,
            tag: 7,
            last: true,
            ..AtsRange::default()
        });
        if recorded {
            rig.record_refusal();
        }
        rig.end();
        if status == 0 {
            rig.only(Check::AtsCompletion);
        } else {
            rig.fine();
        }
    }
}

#[test]
fn a_refused_request_is_recorded() {
    for recorded in [true, false] {
        let mut rig = rig();
        rig.mem.write_u64(DDT, 1); // no ATS
        rig.clock(&[Event::AtsRequest(ASK.pack())]);
        rig.fetch(DDT, 4);
        rig.complete(AtsRange {
            status: 1,
            ..AtsRange {
                tag: 7,
                last: true,
                ..AtsRange::default()
            }
        });
        if recorded {
            rig.record_refusal();
        }
        rig.end();
        if recorded {
            rig.fine();
        } else {
            rig.only(Check::RecordMissing);
        }
    }
}

#[test]
fn ats_stuck_without_a_completion() {
    let mut rig = rig();
    rig.ask_ats(ASK);
    rig.idle(20_000);
    rig.only(Check::RequestStuck);
}

#[test]
fn ats_behind_others_may_wait_for_all_of_them() {
    // Those before it are answered at last, and count though they are gone; it has its limit then.
    let mut rig = rig();
    for tag in 1..=10 {
        rig.ask_ats(AtsRequest { tag, ..ASK });
    }
    let b = rig.board.bounds;
    rig.idle(2 * b.request + 10 * b.other);
    for tag in 1..10 {
        rig.complete(AtsRange { tag, ..ANSWER });
    }
    rig.idle(9 * b.other);
    rig.fine();
    rig.idle(2 * b.other);
    rig.only(Check::RequestStuck);
}

/// The sender's context is in a directory of three levels; device 0x040123 is in no way special.
fn wide() -> Rig {
    let mut rig = rig();
    rig.mem.write_u64(0xa000 + 8, (0xb000 >> 12) << 10 | 1);
    rig.mem.write_u64(0xb000 + 8 * 2, (0xc000 >> 12) << 10 | 1);
    rig.mem.write_u64(0xc000 + 32 * 0x23, 0x107);
    rig.mem
        .write_u64(0xc000 + 32 * 0x23 + 24, 8 << 60 | ROOT >> 12);
    rig.write8(offset::DDTP, 0);
    rig.read(offset::DDTP, 0);
    rig.write8(offset::DDTP, (0xa000 >> 12) << 10 | 4);
    rig.read(offset::DDTP, (0xa000 >> 12) << 10 | 4);
    rig
}

fn look_up(rig: &mut Rig) {
    // Base format: 7 bits, then 9 and 8.
    rig.fetch(0xa000 + 8 * (0x04_0123 >> 16), 1);
    rig.fetch(0xb000 + 8 * (0x123 >> 7), 1);
    rig.fetch(0xc000 + 32 * 0x23, 4);
}

fn wide_directory() -> Rig {
    let mut rig = wide();
    rig.mem
        .write_u64(0xa000 + 8 * (0x04_0123 >> 16), (0xb000 >> 12) << 10 | 1);
    rig
}

#[test]
fn a_fence_waits_for_invalidations() {
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
    look_up(&mut rig);
    rig.store4(FLAG, 0xabcd);
    rig.end();
    rig.fine();
    // Before the completion, before the request even.
    for sent in [true, false] {
        let mut rig = wide_directory();
        rig.ats_inval();
        if sent {
            rig.send(SENT);
        }
        rig.store4(FLAG, 0xabcd);
        rig.some(Check::FenceEarly);
    }
    // Two completions make it up; one is not enough.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    let two = AtsInvalidationDone { count: 2, ..DONE };
    rig.clock(&[Event::AtsInvalidationDone(two.pack())]);
    look_up(&mut rig);
    rig.store4(FLAG, 0xabcd);
    rig.some(Check::FenceEarly);
}

#[test]
fn ats_invalidation_wrong_or_missing() {
    let wrong = [
        AtsInvalidation { payload: 1, ..SENT },
        AtsInvalidation {
            process_id: None,
            ..SENT
        },
        AtsInvalidation {
            device_id: 0x04_0122,
            ..SENT
        },
        AtsInvalidation {
            segment_valid: false,
            ..SENT
        },
    ];
    for m in wrong {
        let mut rig = wide_directory();
        rig.ats_inval();
        rig.send(m);
        rig.only(Check::AtsInvalidation);
    }
    // Twice.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.send(AtsInvalidation { itag: 4, ..SENT });
    rig.only(Check::AtsInvalidation);
    // Never.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.idle(40_000);
    rig.some(Check::AtsInvalidation);
}

#[test]
fn itag_reused_while_outstanding() {
    let mut rig = wide_directory();
    for n in 0..2 {
        rig.command(n, Command::AtsInval(INVAL).encode());
    }
    rig.write(offset::CQT, 2);
    rig.fetch(CQ, 4);
    rig.send(SENT);
    rig.send(SENT);
    rig.only(Check::ItagReused);
}

#[test]
fn a_time_out_stops_the_next_fence() {
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.idle(4);
    rig.clock(&[Event::AtsTimeout]);
    rig.clock(&[Event::Wsi(1)]);
    rig.idle(LONG);
    // cmd_to, and cqh on the fence.
    rig.read(offset::CQCSR, 0x1_0203);
    rig.read(offset::CQH, 1);
    rig.fine();
    // Software clears it; the fence is fetched again and completes.
    rig.write(offset::CQCSR, 0x203);
    rig.fetch(CQ + 16, 2);
    rig.store4(FLAG, 0xabcd);
    rig.end();
    rig.fine();
    // Not told.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.idle(4);
    rig.clock(&[Event::AtsTimeout]);
    rig.idle(LONG);
    rig.read(offset::CQCSR, 0x1_0003);
    rig.some(Check::CommandStatus);
}

/// A tick in the clock after the message: whether that counts as sent before is the block's choice.
fn perhaps_timed_out() -> Rig {
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.clock(&[Event::AtsTimeout]);
    rig
}

#[test]
fn a_fence_that_may_have_met_a_time_out_can_still_fail_to_store() {
    let mut rig = perhaps_timed_out();
    let axi = AxiAddr {
        size: 2,
        ..burst(2, FLAG, 0)
    };
    rig.store_with(axi, &[w(0xabcd, 0x0f, true)], Resp::SlvErr);
    rig.clock(&[Event::Wsi(1)]);
    rig.idle(LONG);
    // cqmf, and cqh on the fence.
    rig.read(offset::CQCSR, 0x1_0103);
    rig.read(offset::CQH, 1);
    rig.fine();
}

#[test]
fn a_completion_that_may_be_refused_may_or_may_not_complete_the_fence() {
    // The directory is spoilt before the sender's context has been looked up.
    let entry = 0xa000 + 8 * (0x04_0123 >> 16);
    let spoil = |rig: &mut Rig| {
        rig.ats_inval();
        rig.send(SENT);
        rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
        let right = rig.mem.read_u64(entry);
        rig.edit(entry, right | 2);
    };
    // It was looked up in time.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
    let right = rig.mem.read_u64(entry);
    look_up(&mut rig);
    rig.edit(entry, right | 2);
    rig.store4(FLAG, 0xabcd);
    rig.end();
    rig.fine();
    // It could be refused, but there is no record of it, long after.
    let mut rig = wide_directory();
    spoil(&mut rig);
    rig.fetch(entry, 1);
    let now = rig.mem.read_u64(entry);
    rig.edit(entry, now & !2);
    rig.fetch(entry, 1);
    rig.idle(40_000);
    rig.store4(FLAG, 0xabcd);
    rig.end();
    rig.fine();
    // It was refused; a time-out ends the fence.
    let mut rig = wide_directory();
    spoil(&mut rig);
    rig.fetch(entry, 1);
    let request = iommu_golden::Request::read(0x04_0123, iommu_golden::Iova(2));
    let record = FaultRecord {
        ttyp: 9,
        ..FaultRecord::of_request(Cause::DdtMisconfigured, &request, 0)
    };
    rig.record_at(0, record.to_words(), Resp::Okay);
    rig.clock(&[Event::Wsi(2)]);
    rig.idle(40_000);
    rig.read(offset::CQH, 1);
    rig.fine();
    rig.clock(&[Event::AtsTimeout]);
    rig.clock(&[Event::Wsi(3)]);
    rig.idle(LONG);
    rig.read(offset::CQCSR, 0x1_0203);
    rig.read(offset::CQH, 1);
    rig.fine();
    // It has been told that it was refused, and the fence completes all the same.
    let mut rig = wide_directory();
    spoil(&mut rig);
    rig.fetch(entry, 1);
    rig.record_at(0, record.to_words(), Resp::Okay);
    rig.clock(&[Event::Wsi(2)]);
    rig.idle(40_000);
    rig.store4(FLAG, 0xabcd);
    rig.some(Check::FenceEarly);
}

#[test]
fn commands_behind_a_fence_in_doubt_show_that_it_has_completed() {
    let plain = Command::AtsInval(INVAL).encode();
    // The head beyond it, the invalidation behind it.
    for sends in [false, true] {
        let mut rig = wide_directory();
        rig.command(0, plain);
        rig.fence(1, PLAIN_FENCE);
        rig.command(2, plain);
        rig.write(offset::CQT, 3);
        rig.fetch(CQ, 6);
        rig.send(SENT);
        rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
        let entry = 0xa000 + 8 * (0x04_0123 >> 16);
        let right = rig.mem.read_u64(entry);
        rig.edit(entry, right | 2);
        rig.fetch(entry, 1);
        rig.idle(10);
        rig.read(offset::CQH, 1);
        if sends {
            rig.send(SENT);
        }
        rig.read(offset::CQH, 3);
        rig.fine();
    }
}

#[test]
fn clearing_a_time_out_that_was_none_fetches_nothing_again() {
    // It may not count; then cmd_to is cleared without a look.
    let mut rig = perhaps_timed_out();
    rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
    look_up(&mut rig);
    rig.write(offset::CQCSR, 0x203);
    rig.store4(FLAG, 0xabcd);
    rig.read(offset::CQH, 2);
    rig.fine();
    // It was one: the fence is fetched again.
    let mut rig = perhaps_timed_out();
    rig.clock(&[Event::Wsi(1)]);
    rig.idle(LONG);
    rig.write(offset::CQCSR, 0x203);
    rig.clock(&[Event::Wsi(0)]);
    rig.fetch(CQ + 16, 2);
    rig.store4(FLAG, 0xabcd);
    rig.read(offset::CQH, 2);
    rig.fine();
}

#[test]
fn a_fence_that_stores_has_met_no_time_out() {
    // A time-out passes while it does, and an answer may not have been looked at yet: clearing cmd_to
    // fetches nothing again.
    let mut rig = wide_directory();
    rig.ats_inval();
    rig.send(SENT);
    rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
    look_up(&mut rig);
    let axi = AxiAddr {
        size: 2,
        ..burst(2, FLAG, 0)
    };
    rig.clock(&[Event::MemAw(axi)]);
    rig.clock(&[Event::MemW(w(0xabcd, 0x0f, true))]);
    rig.clock(&[Event::AtsInvalidationDone(DONE.pack())]);
    rig.clock(&[Event::AtsTimeout]);
    rig.write(offset::CQCSR, 0x203);
    rig.clock(&[Event::MemStored { id: 2 }]);
    rig.clock(&[Event::MemB(b(2, Resp::Okay))]);
    rig.read(offset::CQH, 2);
    rig.fine();
    // Software has seen cmd_to: the fence that told is fetched again before it stores.
    for again in [true, false] {
        let mut rig = perhaps_timed_out();
        rig.clock(&[Event::Wsi(1)]);
        rig.read(offset::CQCSR, 0x1_0203);
        rig.write(offset::CQCSR, 0x203);
        rig.clock(&[Event::Wsi(0)]);
        if again {
            rig.fetch(CQ + 16, 2);
        }
        rig.store4(FLAG, 0xabcd);
        if again {
            rig.read(offset::CQH, 2);
            rig.fine();
        } else {
            rig.some(Check::UnexplainedWrite);
        }
    }
}
