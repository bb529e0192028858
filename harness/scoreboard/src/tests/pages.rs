//! Page requests, their queue, their responses.

use iommu_bus::ats::{AtsPageRequest, AtsPageResponse};
use iommu_golden::command::AtsMessage;

use super::*;

const PQ: u64 = 0x3_0000;

/// Last of its group 5, with a process.
const ASK: AtsPageRequest = AtsPageRequest {
    device_id: 0,
    process_id: Some(9),
    privileged: false,
    execute: false,
    payload: 0x7000 | 5 << 3 | 4 | 1,
};

const ANSWER: AtsPageResponse = AtsPageResponse {
    device_id: 0,
    segment_valid: true,
    process_id: None,
    group: 5,
    code: 0,
};

fn record() -> [u64; 2] {
    [9 << 12 | 1 << 32, ASK.payload]
}

/// A queue of four, on, with its interrupt.
fn rig() -> Rig {
    let mut rig = super::ats::rig();
    rig.write8(offset::PQB, (PQ >> 12) << 10 | 1);
    rig.write(offset::PQH, 0);
    rig.write8(offset::ICVEC, 0x2010);
    rig.write(offset::PQCSR, 3);
    rig.read(offset::PQCSR, 0x1_0003);
    rig.fine();
    rig
}

impl Rig {
    fn ask_page(&mut self, r: AtsPageRequest) {
        self.clock(&[Event::AtsPageRequest(r.pack())]);
        if !self.walked {
            self.walked = true;
            self.fetch(DDT, 4);
        }
    }

    fn page_record(&mut self, index: u64, words: [u64; 2], resp: Resp) {
        let beats = [w(words[0], 0xff, false), w(words[1], 0xff, true)];
        self.store_with(burst(5, PQ + 16 * index, 1), &beats, resp);
    }

    fn respond(&mut self, r: AtsPageResponse) {
        self.clock(&[Event::AtsPrgResponse(r.pack())]);
    }
}

#[test]
fn a_request_is_queued() {
    let mut rig = rig();
    rig.ask_page(ASK);
    rig.page_record(0, record(), Resp::Okay);
    rig.idle(SETTLE);
    rig.clock(&[Event::Wsi(4)]);
    rig.read(offset::PQT, 1);
    rig.read(offset::IPSR, 8);
    rig.end();
    rig.fine();
    assert_eq!(rig.board.counters().page_records, 1);
}

#[test]
fn a_held_context_serves_messages_too() {
    // Two levels; the pointer to the context is taken away once that may be held. Not held, the
    // request must be refused.
    const TOP: u64 = 0xb000;
    for held in [true, false] {
        let mut rig = rig();
        rig.write8(offset::DDTP, 0);
        rig.read(offset::DDTP, 0);
        rig.write8(offset::DDTP, (TOP >> 12) << 10 | 3);
        rig.read(offset::DDTP, (TOP >> 12) << 10 | 3);
        rig.mem.write_u64(TOP, (DDT >> 12) << 10 | 1);
        rig.walked = true;
        if held {
            rig.ask_page(ASK);
            rig.fetch(TOP, 1);
            rig.fetch(DDT, 4);
            rig.page_record(0, record(), Resp::Okay);
        }
        rig.mem.write_u64(TOP, 0);
        rig.board.on_memory_changed();
        rig.idle(8);
        rig.ask_page(ASK);
        rig.page_record(held.into(), record(), Resp::Okay);
        if held {
            rig.fine();
        } else {
            rig.some(Check::PageRecord);
        }
    }
}

#[test]
fn a_record_that_cannot_be_stored_is_no_overflow() {
    // One place for two; the record that takes it fails, and both are answered for that.
    let other = AtsPageRequest {
        payload: ASK.payload ^ 3 << 3,
        ..ASK
    };
    for (csr, fine) in [(0x1_0103, true), (0x1_0003, false)] {
        let mut rig = rig();
        for n in 0..2 {
            rig.ask_page(ASK);
            rig.page_record(n, record(), Resp::Okay);
        }
        rig.clock(&[Event::Wsi(4)]);
        rig.ask_page(ASK);
        rig.ask_page(other);
        rig.page_record(2, record(), Resp::SlvErr);
        for group in [5, 6] {
            rig.respond(AtsPageResponse {
                process_id: Some(9),
                group,
                code: 15,
                ..ANSWER
            });
        }
        rig.idle(SETTLE + 2);
        rig.read(offset::PQCSR, csr);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::PageStatus);
        }
    }
}

#[test]
fn page_record_wrong_misplaced_missing_or_unasked() {
    let mut rig = rig();
    rig.ask_page(ASK);
    rig.page_record(0, [record()[0], 1], Resp::Okay);
    rig.some(Check::PageRecord);
    let mut rig = self::rig();
    rig.ask_page(ASK);
    rig.page_record(1, record(), Resp::Okay);
    rig.some(Check::PageRecord);
    let mut rig = self::rig();
    rig.page_record(0, record(), Resp::Okay);
    rig.only(Check::PageRecord);
    let mut rig = self::rig();
    rig.ask_page(ASK);
    rig.idle(20_000);
    rig.only(Check::PageRecord);
}

#[test]
fn page_tail_moves_with_the_records() {
    let mut rig = rig();
    rig.ask_page(ASK);
    rig.page_record(0, record(), Resp::Okay);
    rig.idle(SETTLE);
    rig.read(offset::PQT, 2);
    rig.only(Check::PageTail);
}

#[test]
fn page_status_full_or_faulty() {
    // Four entries hold three records; the fourth request overflows, and is answered Success.
    let fill = |rig: &mut Rig| {
        for n in 0..3 {
            rig.ask_page(ASK);
            rig.page_record(n, record(), Resp::Okay);
        }
        rig.ask_page(ASK);
    };
    let mut rig = rig();
    fill(&mut rig);
    rig.respond(ANSWER);
    rig.idle(SETTLE);
    rig.clock(&[Event::Wsi(4)]);
    rig.read(offset::PQCSR, 0x1_0203);
    rig.end();
    rig.fine();
    let mut rig = self::rig();
    fill(&mut rig);
    rig.respond(ANSWER);
    rig.idle(SETTLE + 4);
    rig.read(offset::PQCSR, 0x1_0003);
    rig.some(Check::PageStatus);
    // A record that memory refuses.
    let mut rig = self::rig();
    rig.ask_page(ASK);
    rig.page_record(0, record(), Resp::SlvErr);
    rig.respond(AtsPageResponse {
        code: 15,
        process_id: Some(9),
        ..ANSWER
    });
    rig.idle(SETTLE);
    rig.clock(&[Event::Wsi(4)]);
    rig.read(offset::PQCSR, 0x1_0103);
    rig.read(offset::PQT, 0);
    rig.end();
    rig.fine();
}

#[test]
fn page_response_wrong_missing_or_unasked() {
    // PRI is not enabled: Invalid Request, without a PASID as PRPR is 0, and a fault record.
    let record = || {
        let mut request = iommu_golden::Request::read(0, iommu_golden::Iova(4));
        request.process_id = Some(9);
        let r = FaultRecord::of_request(Cause::TypeDisallowed, &request, 0);
        FaultRecord { ttyp: 9, ..r }.to_words()
    };
    let refused = AtsPageResponse { code: 1, ..ANSWER };
    for (answer, right) in [
        (Some(refused), true),
        (Some(ANSWER), false),
        (
            Some(AtsPageResponse {
                process_id: Some(9),
                ..refused
            }),
            false,
        ),
        (None, false),
    ] {
        let mut rig = rig();
        rig.mem.write_u64(DDT, 0x103);
        rig.ask_page(ASK);
        rig.record_at(0, record(), Resp::Okay);
        rig.clock(&[Event::Wsi(2)]);
        match answer {
            Some(a) => rig.respond(a),
            None => rig.idle(20_000),
        }
        rig.end();
        if right {
            rig.fine();
        } else {
            rig.some(Check::PageResponse);
        }
    }
    let mut rig = rig();
    rig.respond(ANSWER);
    rig.only(Check::PageResponse);
}

#[test]
fn a_command_sends_its_response() {
    for right in [true, false] {
        let mut rig = rig();
        let message = AtsMessage {
            process_id: Some(9),
            rid: 0,
            segment: None,
            payload: 5 << 32 | 1 << 44,
        };
        rig.command(0, Command::AtsPrgr(message).encode());
        rig.write(offset::CQT, 1);
        rig.fetch(CQ, 2);
        rig.respond(AtsPageResponse {
            segment_valid: false,
            process_id: Some(9),
            code: if right { 1 } else { 0 },
            ..ANSWER
        });
        if right {
            rig.end();
            rig.fine();
        } else {
            rig.only(Check::PageResponse);
        }
    }
}

#[test]
fn a_stop_marker_wants_no_response() {
    let mut rig = rig();
    let marker = AtsPageRequest { payload: 4, ..ASK };
    rig.write(offset::PQCSR, 0);
    rig.read(offset::PQCSR, 0);
    rig.ask_page(marker);
    rig.idle(20_000);
    rig.end();
    rig.fine();
    // A last request to a queue that is off is answered.
    let mut rig = self::rig();
    rig.write(offset::PQCSR, 0);
    rig.read(offset::PQCSR, 0);
    rig.ask_page(ASK);
    rig.respond(AtsPageResponse {
        code: 15,
        process_id: Some(9),
        ..ANSWER
    });
    rig.end();
    rig.fine();
}

#[test]
fn a_request_waits_for_the_walks_of_others_and_no_longer() {
    // Walks go on all the time, so something may still come of it. What was open at once counts: the
    // request itself, and one read, or four.
    for reads in [1, 4] {
        let mut rig = rig();
        (1..reads).for_each(|id| rig.ask_read(id, RW, 0));
        rig.ask_page(ASK);
        let begin = rig.board.now;
        rig.good_read(reads, RW);
        for id in 1..reads {
            rig.forwarded(id, PA);
            rig.over(id);
        }
        let b = rig.board.bounds;
        let limit = b.record + b.record / 4 + (u64::from(reads) + 1) * 2 * b.other;
        while rig.board.violations().is_empty() && rig.board.now < begin + 2 * limit {
            rig.good_read(1, RW);
            rig.idle(20);
        }
        rig.only(Check::PageRecord);
        let took = rig.board.now - begin;
        assert!((limit..limit + 200).contains(&took), "{took}, not {limit}");
    }
}
