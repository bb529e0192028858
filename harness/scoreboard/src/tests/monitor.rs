//! The performance monitor and the debug interface.

use super::*;

fn rig() -> Rig {
    let mut cfg = config();
    cfg.golden.capabilities = cfg
        .golden
        .capabilities
        .with(Capabilities::HPM | Capabilities::DBG);
    Rig::with(cfg, true)
}

impl Rig {
    fn read8(&mut self, addr: u16, value: u64) {
        self.clock(&[Event::RegReadAccepted { addr }]);
        self.clock(&[Event::RegReadDone {
            addr,
            data: value,
            resp: Resp::Okay,
        }]);
    }
}

const EVENT: u16 = offset::IOHPMEVT1;
const VALUE: u16 = offset::IOHPMCTR1;

#[test]
fn untranslated_requests_are_counted_exactly() {
    for (value, right) in [(2, true), (1, false), (3, false)] {
        let mut rig = rig();
        rig.write8(EVENT, 1);
        rig.write8(VALUE, 0);
        rig.good_read(1, RW);
        rig.good_read(2, RW);
        rig.read8(VALUE, value);
        if right {
            rig.fine();
        } else {
            rig.only(Check::HpmCounter);
        }
    }
}

#[test]
fn who_is_counted_in_what_was_read_is_not_counted_again() {
    let mut rig = rig();
    rig.write8(EVENT, 1);
    rig.write8(VALUE, 0);
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.read8(VALUE, 1);
    rig.clock(&[Event::OutAr(burst(1, PA + RW % 4096, 0))]);
    rig.clock(&[Event::OutR(r(1, 0, Resp::Okay, true))]);
    rig.clock(&[Event::DevR(r(1, 0, Resp::Okay, true))]);
    rig.read8(VALUE, 1);
    // Who came later is.
    rig.good_read(2, RW);
    rig.read8(VALUE, 2);
    rig.fine();
    rig.good_read(3, RW);
    rig.read8(VALUE, 2);
    rig.only(Check::HpmCounter);
}

#[test]
fn hpm_counter_filters_and_inhibits() {
    // Another device's, another kind's, or none while inhibited.
    let filter = 1 | 1 << 61;
    for (selector, inhibit, value) in [
        (filter, 0, 1),
        (filter | 5 << 36, 0, 0),
        (2, 0, 0),
        (1, 2, 0),
    ] {
        let mut rig = rig();
        rig.write8(EVENT, selector);
        rig.write8(VALUE, 0);
        rig.write(offset::IOCOUNTINH, inhibit);
        rig.good_read(1, RW);
        rig.read8(VALUE, value);
        rig.fine();
        rig.read8(VALUE, value + 1);
        rig.only(Check::HpmCounter);
    }
}

#[test]
fn walks_are_bounded() {
    let mut rig = rig();
    rig.write8(EVENT, 7);
    rig.write8(VALUE, 0);
    rig.good_read(1, RW);
    rig.read8(VALUE, 1);
    rig.fine();
    rig.read8(VALUE, 0); // it goes back
    rig.only(Check::HpmCounter);
    let mut rig = self::rig();
    rig.write8(EVENT, 7);
    rig.write8(VALUE, 0);
    rig.good_read(1, RW);
    rig.read8(VALUE, 50);
    rig.only(Check::HpmCounter);
}

#[test]
fn an_overflow_sets_of_and_interrupts() {
    let mut rig = rig();
    rig.write8(offset::ICVEC, 0x310);
    rig.write8(EVENT, 1);
    rig.write8(VALUE, u64::MAX);
    rig.good_read(1, RW);
    rig.idle(SETTLE);
    rig.clock(&[Event::Wsi(8)]);
    rig.read8(VALUE, 0);
    rig.read8(EVENT, 1 << 63 | 1);
    rig.read(offset::IOCOUNTOVF, 2);
    rig.read(offset::IPSR, 4);
    rig.end();
    rig.fine();
    rig.read8(EVENT, 1);
    rig.only(Check::HpmCounter);
}

#[test]
fn a_message_of_the_cycle_counter_may_fail_at_once() {
    // Its address is none; the record shows that the counter has overflowed.
    const NOWHERE: u64 = 1 << 50;
    for (before, fine) in [(20, true), (2000, false)] {
        let mut rig = self::rig();
        rig.write(offset::FCTL, 0);
        rig.write8(offset::ICVEC, 0x310);
        rig.write8(offset::MSI_CFG_TBL + 48, NOWHERE);
        rig.write8(offset::IOHPMCYCLES, (1 << 63) - before);
        rig.idle(30);
        let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, NOWHERE).to_words();
        rig.record_at(0, record, Resp::Okay);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::RecordUnexpected);
        }
    }
}

#[test]
fn of_vectors_alike_the_message_of_the_cycle_counter_is_its() {
    for (before, fine) in [(20, true), (2000, false)] {
        let mut rig = self::rig();
        rig.write(offset::FCTL, 0);
        rig.write8(offset::ICVEC, 0x310);
        for vector in [0, 3] {
            rig.write8(offset::MSI_CFG_TBL + 16 * vector, MSI);
            rig.write(offset::MSI_CFG_TBL + 16 * vector + 8, 0x77);
        }
        rig.write8(offset::IOHPMCYCLES, (1 << 63) - before);
        rig.idle(20);
        rig.store4(MSI, 0x77);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::MessageUnexpected);
        }
    }
}

#[test]
fn a_half_that_is_not_written_goes_on() {
    // The high half anew: it wraps when it would have. The low half: the other has had its carry.
    let high = (offset::IOHPMCYCLES + 4, 0x7fff_ffff, (1 << 63) - 52);
    let carries = 0x7fff_ffff_0000_0000 - 6;
    let low = (offset::IOHPMCYCLES, 0xffff_ffff - 30, carries);
    for (at, half, from) in [high, low] {
        let mut rig = rig();
        rig.write8(offset::ICVEC, 0x310);
        rig.write8(offset::IOHPMCYCLES, from);
        rig.idle(20);
        rig.write(at, half);
        rig.idle(29);
        rig.clock(&[Event::Wsi(8)]);
        rig.idle(SETTLE + 2);
        rig.read(offset::IPSR, 4);
        rig.fine();
        rig.read(offset::IPSR, 0);
        rig.only(Check::PendingBits);
    }
}

#[test]
fn cycles_count_clocks() {
    for (off, right) in [(0, true), (-40, false), (40, false)] {
        let mut rig = rig();
        rig.write8(offset::IOHPMCYCLES, 1000);
        let from = rig.cycle;
        rig.idle(100);
        let passed = (rig.cycle - from) as i64 + 1;
        rig.read8(offset::IOHPMCYCLES, (1000 + passed + off) as u64);
        if right {
            rig.fine();
        } else {
            rig.only(Check::HpmCounter);
        }
    }
}

/// Go, for a read of this page; walks, and ends.
fn debug(rig: &mut Rig, iova: u64) {
    rig.write8(offset::TR_REQ_IOVA, iova);
    rig.write8(offset::TR_REQ_CTL, 1 | 8);
    rig.read8(offset::TR_REQ_CTL, 1 | 8);
    rig.walk(iova);
    rig.read8(offset::TR_REQ_CTL, 8);
}

#[test]
fn debug_response_right_and_wrong() {
    let right = (PA >> 12) << 10;
    for (value, fine) in [
        (right, true),
        (right + (1 << 10), false),
        (right | 1 << 7, false),
        (right | 1 << 9, false),
        (1, false),
    ] {
        let mut rig = rig();
        debug(&mut rig, RW);
        rig.read8(offset::TR_RESPONSE, value);
        if fine {
            rig.read8(offset::TR_RESPONSE, value);
            rig.end();
            rig.fine();
        } else {
            rig.only(Check::DebugResponse);
        }
    }
    // A fault is told, and recorded.
    let mut rig = rig();
    debug(&mut rig, NONE);
    rig.record_at(
        0,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::Okay,
    );
    rig.clock(&[Event::Wsi(2)]);
    rig.read8(offset::TR_RESPONSE, 1);
    rig.end();
    rig.fine();
    // It never ends.
    let mut rig = self::rig();
    rig.write8(offset::TR_REQ_IOVA, RW);
    rig.write8(offset::TR_REQ_CTL, 9);
    rig.idle(100_000);
    rig.read8(offset::TR_REQ_CTL, 9);
    rig.only(Check::DebugResponse);
}

#[test]
fn a_read_shows_what_was_counted_when_it_was_accepted_or_later() {
    for (value, right) in [(0, true), (1, true), (2, false)] {
        let mut rig = rig();
        rig.write8(EVENT, 1);
        rig.write8(VALUE, 0);
        rig.clock(&[Event::RegReadAccepted { addr: VALUE }]);
        rig.good_read(1, RW);
        rig.clock(&[Event::RegReadDone {
            addr: VALUE,
            data: value,
            resp: Resp::Okay,
        }]);
        if right {
            rig.fine();
        } else {
            rig.only(Check::HpmCounter);
        }
        // The next one knows.
        let mut rig = self::rig();
        rig.write8(EVENT, 1);
        rig.write8(VALUE, 0);
        rig.good_read(1, RW);
        rig.read8(VALUE, 0);
        rig.only(Check::HpmCounter);
    }
}

#[test]
fn a_wrap_of_the_clocks_shows_from_its_clock_on() {
    const LIMIT: u64 = 1 << 63;
    // Clocks until the read is accepted, and what it shows ten clocks later: the wrap is after
    // the acceptance, or long before.
    for (idle, value, right) in [
        (2, LIMIT - 1, true),
        (2, LIMIT, true),
        (12, LIMIT | 6, true),
        (12, 6, false),
    ] {
        let mut rig = rig();
        rig.write8(offset::IOHPMCYCLES, LIMIT - 8);
        rig.idle(idle);
        let addr = offset::IOHPMCYCLES;
        rig.clock(&[Event::RegReadAccepted { addr }]);
        rig.idle(9);
        rig.clock(&[Event::RegReadDone {
            addr,
            data: value,
            resp: Resp::Okay,
        }]);
        if right {
            rig.fine();
        } else {
            rig.only(Check::HpmCounter);
        }
    }
}

/// With messages; the counters' interrupt has vector 1.
fn with_messages() -> Rig {
    let mut cfg = config();
    cfg.golden.capabilities = cfg.golden.capabilities.with(Capabilities::HPM);
    let mut rig = Rig::with(cfg, false);
    rig.write8(offset::ICVEC, 0x110);
    rig
}

#[test]
fn a_wrap_that_may_be_older_than_the_clearing_owes_no_message() {
    // A counter of walks: a request may count twice or not at all. The message may come at
    // once, or after the clearing; a wrap of the clocks owes one.
    for (early, late) in [(true, false), (false, true), (false, false)] {
        let mut rig = with_messages();
        rig.write8(EVENT, 7);
        rig.write8(VALUE, u64::MAX);
        rig.good_read(1, RW);
        if early {
            rig.store4(MSI + 8, 0x101);
        }
        rig.idle(SETTLE + 10);
        rig.write(offset::IPSR, 4);
        rig.idle(SETTLE + 10);
        if late {
            rig.store4(MSI + 8, 0x101);
        }
        // That it had wrapped turns out only now.
        rig.read8(VALUE, 0);
        rig.idle(LONG);
        rig.fine();
    }
    let mut rig = with_messages();
    rig.write8(offset::IOHPMCYCLES, (1 << 63) - 10);
    rig.idle(4 * LONG);
    rig.only(Check::MessageMissing);
    // The clearing comes after the wrap: its message may have been sent before or not, and none
    // is owed for what came after.
    let mut rig = with_messages();
    rig.write8(offset::IOHPMCYCLES, (1 << 63) - 10);
    rig.idle(SETTLE);
    rig.store4(MSI + 8, 0x101);
    rig.write(offset::IPSR, 4);
    rig.idle(4 * LONG);
    rig.fine();
}

/// A counter of first-stage walks that one walk makes wrap, if it is counted at all.
fn at_the_brim(icvec: u64) -> Rig {
    let mut rig = rig();
    rig.write8(offset::ICVEC, icvec);
    rig.write8(EVENT, 7);
    rig.write8(VALUE, u64::MAX);
    rig
}

#[test]
fn what_did_not_overflow_may_do_so_at_the_next_event() {
    for another in [true, false] {
        let mut rig = at_the_brim(0x310);
        rig.good_read(1, RW);
        rig.idle(2 * SETTLE);
        rig.read(offset::IPSR, 0);
        if another {
            rig.good_read(2, RW);
        }
        rig.clock(&[Event::Wsi(8)]);
        if another {
            rig.fine();
        } else {
            rig.only(Check::Wire);
        }
    }
}

#[test]
fn a_message_that_did_not_fail_may_do_so_at_the_next_event() {
    const NOWHERE: u64 = 1 << 50;
    let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, NOWHERE).to_words();
    let mut rig = at_the_brim(0x310);
    rig.write(offset::FCTL, 0);
    rig.write8(offset::MSI_CFG_TBL + 48, NOWHERE);
    rig.good_read(1, RW);
    rig.idle(1000);
    rig.good_read(2, RW);
    rig.record_at(0, record, Resp::Okay);
    rig.fine();
    // Once is enough.
    rig.good_read(3, RW);
    rig.record_at(1, record, Resp::Okay);
    rig.only(Check::RecordUnexpected);
}

#[test]
fn a_message_makes_a_directory_walk_and_each_range_its_walks() {
    use crate::hpm::Maker;
    use iommu_golden::{Iova, Request, RequestKind};
    let r = Request::read(5, Iova(0));
    let of_context = |m: Maker| [m.at_most(5), m.at_most(6), m.at_most(7), m.at_most(4)];
    assert_eq!(of_context(Maker::message(&r)), [2, 0, 0, 0]);
    assert_eq!(of_context(Maker::request(&r)), [2, 2, 2, 2]);
    let ats = Request {
        kind: RequestKind::AtsTranslation,
        ..r
    };
    assert_eq!(of_context(Maker::ats(&ats, 3)), [6, 6, 6, 6]);
    assert_eq!(Maker::ats(&ats, 3).at_most(3), 1);
}
