//! Legal outcomes while tables change, at the pins: each rule once where it accepts, once where it
//! refuses. Rows of docs/invalidation.md are tested in the oracle's own module.

use super::*;
use iommu_golden::command::Iotinval;

const LEAF: u64 = 0x4008;
/// Where the page goes after the edit.
const NEW: u64 = 0xa_0000;
const FENCE: Iofence = Iofence {
    pr: true,
    pw: true,
    ..PLAIN_FENCE
};

fn all_host() -> [u64; 2] {
    Command::IotinvalVma(Iotinval {
        gv: false,
        av: false,
        pscv: false,
        nl: false,
        s: false,
        gscid: 0,
        pscid: 0,
        addr: 0,
    })
    .encode()
}

fn leaf(pa: u64) -> u64 {
    (pa >> 12) << 10 | 0xd7
}

impl Rig {
    pub(super) fn edit(&mut self, addr: u64, value: u64) {
        self.board.on_store(addr, &value.to_le_bytes());
        self.mem.write_u64(addr, value);
        self.idle(1);
    }

    /// An invalidation and a fence are fetched.
    fn invalidate(&mut self, f: Iofence) {
        self.command(0, all_host());
        self.fence(1, f);
        self.write(offset::CQT, 2);
        self.fetch(CQ, 4);
    }

    pub(super) fn forwarded(&mut self, id: u8, addr: u64) {
        self.clock(&[Event::OutAr(burst(id, addr, 0))]);
    }

    pub(super) fn over(&mut self, id: u8) {
        self.clock(&[Event::OutR(r(id, 7, Resp::Okay, true))]);
        self.clock(&[Event::DevR(r(id, 7, Resp::Okay, true))]);
    }

    fn read_to(&mut self, id: u8, addr: u64) {
        self.ask_read(id, RW, 0);
        self.forwarded(id, addr);
        self.over(id);
    }

    /// The page has been walked to, and then goes elsewhere.
    fn remapped() -> Self {
        let mut rig = Self::new();
        rig.good_read(1, RW);
        rig.edit(LEAF, leaf(NEW));
        rig
    }
}

#[test]
fn old_and_new_are_legal_until_the_fence_has_been_seen() {
    for (seen, to, fine) in [
        (false, PA, true),
        (true, PA, false),
        (true, NEW, true),
        (false, 0xb_0000, false),
    ] {
        let mut rig = Rig::remapped();
        rig.read_to(2, PA);
        rig.invalidate(FENCE);
        rig.idle(5);
        if seen {
            rig.read(offset::CQH, 2);
        }
        rig.ask_read(3, RW, 0);
        rig.fetch(LEAF, 1);
        rig.forwarded(3, to);
        if fine {
            rig.over(3);
            rig.fine();
            continue;
        }
        if seen {
            rig.only(Check::IsolationBreach);
            let story = rig.text();
            for part in [
                "memory gave the block",
                "at 0x4008 becomes",
                "fetched IotinvalVma",
                "seen to have completed, which orders reads",
                "legal were:",
                "granted, goes to 0xa0000",
            ] {
                assert!(story.contains(part), "{part}: {story}");
            }
        } else {
            rig.only(Check::WrongAddress);
        }
    }
}

#[test]
fn a_fence_is_seen_by_its_store_or_its_interrupt_too() {
    let mut rig = Rig::remapped();
    rig.invalidate(STORING);
    let axi = AxiAddr {
        size: 2,
        ..burst(2, FLAG, 0)
    };
    rig.clock(&[Event::MemAw(axi)]);
    rig.clock(&[Event::MemW(w(0xabcd, 0x0f, true))]);
    // On its way, and not visible yet.
    rig.read_to(2, PA);
    rig.fine();
    rig.clock(&[Event::MemStored { id: 2 }]);
    rig.ask_read(3, RW, 0);
    rig.forwarded(3, PA);
    rig.only(Check::IsolationBreach);

    for clear in [false, true] {
        let mut rig = Rig::remapped();
        rig.invalidate(Iofence {
            wsi: true,
            ..PLAIN_FENCE
        });
        rig.idle(2);
        rig.clock(&[Event::Wsi(1)]);
        if !clear {
            rig.read(offset::CQCSR, 0x1_0803);
        }
        rig.ask_read(3, RW, 0);
        rig.forwarded(3, PA);
        if clear {
            rig.over(3);
            rig.fine();
        } else {
            rig.only(Check::IsolationBreach);
        }
    }
}

#[test]
fn a_fence_binds_what_is_open_only_if_it_orders_it() {
    for (fence, fine) in [(PLAIN_FENCE, true), (FENCE, false)] {
        // Translated, not forwarded.
        let mut rig = Rig::remapped();
        rig.ask_read(2, RW, 0);
        rig.invalidate(fence);
        rig.read(offset::CQH, 2);
        rig.forwarded(2, PA);
        if fine {
            rig.over(2);
            rig.fine();
        } else {
            rig.only(Check::IsolationBreach);
        }
        // The new translation is right in any case.
        let mut rig = Rig::remapped();
        rig.ask_read(2, RW, 0);
        rig.invalidate(fence);
        rig.read(offset::CQH, 2);
        rig.fetch(LEAF, 1);
        rig.forwarded(2, NEW);
        rig.over(2);
        rig.fine();
        // Forwarded after the fence was fetched, and not back when it completes.
        for back in [true, false] {
            let mut rig = Rig::remapped();
            rig.ask_read(2, RW, 0);
            rig.invalidate(fence);
            rig.forwarded(2, PA);
            if back {
                rig.over(2);
            }
            rig.read(offset::CQH, 2);
            rig.idle(1);
            if back || fine {
                rig.fine();
            } else {
                rig.only(Check::FenceEarly);
            }
        }
    }
    // PR does not bind writes, PW does.
    for (pw, fine) in [(false, true), (true, false)] {
        let mut rig = Rig::remapped();
        rig.ask_write(2, RW, &[1]);
        rig.invalidate(Iofence { pw, ..FENCE });
        rig.read(offset::CQH, 2);
        rig.clock(&[Event::OutAw(burst(2, PA, 0))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::IsolationBreach);
        }
    }
}

#[test]
fn an_invalid_entry_serves_only_who_was_there() {
    // Read as V=0 for the first; valid before the second came, which joined that walk.
    for first in [true, false] {
        let mut rig = Rig::new();
        rig.edit(LEAF, 0);
        rig.ask_read(1, RW, 0);
        rig.walk(RW);
        rig.edit(LEAF, leaf(PA));
        rig.ask_read(2, RW, 0);
        rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
        rig.record_at(0, Rig::record(Cause::ReadPageFault, false, RW), Resp::Okay);
        rig.fine();
        if first {
            rig.fetch(LEAF, 1);
            rig.forwarded(2, PA);
            rig.over(2);
            rig.fine();
        } else {
            rig.clock(&[Event::DevR(r(2, 0, Resp::SlvErr, true))]);
            rig.some(Check::GrantRefused);
        }
    }
}

#[test]
fn a_walk_under_way_does_not_fill_a_cache_behind_the_fence() {
    for after in [false, true] {
        let mut rig = Rig::new();
        rig.good_read(1, RW);
        // The entry of the next page, sampled before the edit, on its way until after the fence.
        rig.mem.write_u64(0x4018, leaf(PA + 0x2000));
        rig.ask_read(2, 0x3000, 0);
        rig.clock(&[Event::MemAr(burst(1, 0x4018, 0))]);
        let old = rig.mem.read_u64(0x4018);
        rig.edit(0x4018, 0);
        rig.invalidate_with(3, PLAIN_FENCE);
        rig.read(offset::CQH, 2);
        rig.clock(&[Event::MemR(r(1, old, Resp::Okay, true))]);
        rig.forwarded(2, PA + 0x2000);
        rig.over(2);
        rig.fine();
        if after {
            // It served the one that waited for it, and nobody who comes now.
            rig.ask_read(3, 0x3000, 0);
            rig.forwarded(3, PA + 0x2000);
            rig.only(Check::IsolationBreach);
        }
    }
}

impl Rig {
    /// The same with an id of its own on `m_mem`: id 1 is under way.
    fn invalidate_with(&mut self, id: u8, f: Iofence) {
        self.command(0, all_host());
        self.fence(1, f);
        self.write(offset::CQT, 2);
        self.clock(&[Event::MemAr(burst(id, CQ, 3))]);
        for n in 0..4u8 {
            let data = self.mem.read_u64(CQ + 8 * u64::from(n));
            self.clock(&[Event::MemR(r(id, data, Resp::Okay, n == 3))]);
        }
    }
}

#[test]
fn a_device_that_writes_into_a_table_edits_it() {
    let mut rig = Rig::new();
    rig.good_read(1, RW);
    // The page that the device may write becomes the one with the table.
    rig.edit(0x4018, leaf(0x4000));
    rig.ask_write(2, 0x3008, &[leaf(NEW)]);
    rig.fetch(0x4018, 1);
    rig.clock(&[Event::OutAw(burst(2, LEAF, 0))]);
    rig.ask_read(3, RW, 0);
    rig.clock(&[Event::OutW(w(leaf(NEW), 0xff, true))]);
    rig.mem.write_u64(LEAF, leaf(NEW));
    rig.clock(&[Event::OutStored { id: 2 }]);
    rig.clock(&[Event::OutB(b(2, Resp::Okay))]);
    rig.clock(&[Event::DevB(b(2, Resp::Okay))]);
    rig.forwarded(3, PA);
    rig.over(3);
    rig.ask_read(4, RW, 0);
    rig.fetch(LEAF, 1);
    rig.forwarded(4, NEW);
    rig.over(4);
    rig.fine();
}

#[test]
fn too_many_combinations_are_an_error_of_the_harness() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    let words: Vec<u64> = (0..4).map(|n| rig.mem.read_u64(DDT + 8 * n)).collect();
    for round in 1..6u64 {
        for (addr, word) in (DDT..).step_by(8).zip(&words) {
            rig.edit(addr, word ^ round << 40);
        }
    }
    // Nobody has looked so far.
    rig.fine();
    rig.end();
    rig.some(Check::OracleBound);
}

#[test]
fn a_record_belongs_to_whoever_turns_out_to_be_refused() {
    // Two alike, while the page goes: the record may be of either, until one is granted.
    for (granted, fine) in [(1, true), (2, true), (0, false)] {
        let mut rig = Rig::new();
        rig.good_read(7, RW);
        rig.ask_read(1, RW, 0);
        rig.ask_read(2, RW, 0);
        rig.edit(LEAF, 0);
        rig.fetch(LEAF, 1);
        rig.record_at(0, Rig::record(Cause::ReadPageFault, false, RW), Resp::Okay);
        rig.clock(&[Event::Wsi(2)]);
        for id in [1, 2] {
            if id == granted || granted == 0 {
                rig.forwarded(id, PA);
                rig.over(id);
            } else {
                rig.clock(&[Event::DevR(r(id, 0, Resp::SlvErr, true))]);
            }
        }
        if fine {
            rig.end();
            rig.fine();
        } else {
            rig.only(Check::RecordUnexpected);
        }
    }
}

#[test]
fn a_context_that_flips_between_two_states_has_two() {
    // Words of an entry are taken one by one; repeated values, and what stands beside V=0, are not.
    let mut rig = Rig::new();
    rig.good_read(7, RW);
    rig.ask_read(1, RW, 0);
    let words: Vec<u64> = (0..4).map(|n| rig.mem.read_u64(DDT + 8 * n)).collect();
    for round in 0..20 {
        rig.edit(DDT, 0);
        rig.edit(DDT + 16, words[2] ^ (round % 2) << 12);
        rig.edit(DDT + 24, words[3] ^ (round % 3) << 12);
        rig.edit(DDT, words[0]);
    }
    rig.edit(DDT + 16, words[2]);
    rig.edit(DDT + 24, words[3]);
    rig.forwarded(1, PA);
    rig.over(1);
    rig.end();
    rig.fine();
}

#[test]
fn a_record_changes_hands_for_what_a_request_may_be_refused_for_later() {
    // Of two alike one is answered; then the context goes, and a record says so: it is the other's,
    // and the page fault that came before was not.
    for (cause, fine) in [(Cause::DdtNotValid, true), (Cause::DdtMisconfigured, false)] {
        let mut rig = Rig::new();
        rig.edit(LEAF, 0);
        rig.ask_read(1, RW, 0);
        rig.ask_read(2, RW, 0);
        rig.fetch(LEAF, 1);
        rig.record_at(0, Rig::record(Cause::ReadPageFault, false, RW), Resp::Okay);
        rig.clock(&[Event::Wsi(2)]);
        rig.clock(&[Event::DevR(r(2, 0, Resp::SlvErr, true))]);
        let dc = rig.mem.read_u64(DDT);
        rig.edit(DDT, 0);
        rig.edit(DDT, dc);
        rig.record_at(1, Rig::record(cause, false, RW), Resp::Okay);
        if !fine {
            rig.some(Check::RecordContent);
            continue;
        }
        rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
        rig.end();
        rig.fine();
    }
}
