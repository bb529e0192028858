//! A/D updates, and the QoS ids of accesses on `m_mem`.

use super::*;

/// Page of the leaf without A and D.
const CLEAN: u64 = 0x5000;
const CLEAN_PTE: u64 = 0x4028;
const BEFORE: u64 = (PA >> 12) << 10 | 0x17;
const A: u64 = 1 << 6;
const AD: u64 = 3 << 6;

fn rig(exclusive: bool) -> Rig {
    let mut cfg = config();
    cfg.golden.capabilities = cfg.golden.capabilities.with(Capabilities::AMO_HWAD);
    cfg.exclusive_updates = exclusive;
    let mut rig = Rig::with(cfg, true);
    rig.mem.write_u64(DDT, 1 | 1 << 8); // SADE
    rig.mem.write_u64(CLEAN_PTE, BEFORE);
    rig
}

impl Rig {
    /// AtomicCompare of 8 bytes at `addr`, executed as memory does; all but its B.
    pub(super) fn compare(&mut self, addr: u64, from: u64, to: u64) {
        let axi = AxiAddr {
            atop: 0b11_0001,
            burst: if addr & 15 == 0 {
                Burst::Incr
            } else {
                Burst::Wrap
            },
            ..burst(40, addr, 1)
        };
        self.clock(&[Event::MemAw(axi)]);
        self.clock(&[Event::MemW(w(from, 0xff, false))]);
        self.clock(&[Event::MemW(w(to, 0xff, true))]);
        let old = self.mem.read_u64(addr);
        if old == from {
            self.mem.write_u64(addr, to);
        }
        self.clock(&[
            Event::MemSampled {
                id: 40,
                addr,
                data: old,
            },
            Event::MemStored { id: 40 },
        ]);
        self.clock(&[Event::MemR(r(40, old, Resp::Okay, true))]);
    }

    pub(super) fn updated(&mut self) {
        self.clock(&[Event::MemB(b(40, Resp::Okay))]);
    }

    fn ask_clean(&mut self, write: bool) {
        if write {
            self.ask_write(3, CLEAN, &[7]);
        } else {
            self.ask_read(3, CLEAN, 0);
        }
        self.walk(CLEAN);
    }

    /// It is forwarded, and answered.
    fn goes(&mut self, write: bool) {
        if write {
            self.clock(&[Event::OutAw(burst(3, PA, 0)), Event::OutW(w(7, 0xff, true))]);
            self.clock(&[Event::OutB(b(3, Resp::Okay))]);
            self.clock(&[Event::DevB(b(3, Resp::Okay))]);
        } else {
            self.clock(&[Event::OutAr(burst(3, PA, 0))]);
            self.clock(&[Event::OutR(r(3, 9, Resp::Okay, true))]);
            self.clock(&[Event::DevR(r(3, 9, Resp::Okay, true))]);
        }
    }
}

#[test]
fn reads_set_a_and_writes_set_d_before_the_access() {
    for write in [false, true] {
        let mut rig = rig(false);
        rig.ask_clean(write);
        let to = BEFORE | if write { AD } else { A };
        rig.compare(CLEAN_PTE, BEFORE, to);
        rig.updated();
        rig.goes(write);
        rig.end();
        rig.fine();
        assert_eq!(rig.board.counters().updates, 1);
    }
}

#[test]
fn update_unexpected_wrong_bits_or_nobody_asks() {
    // D for a read; A alone for a write; another bit; no request at all.
    for (write, to) in [(false, AD), (true, A), (true, AD | 1 << 8)] {
        let mut rig = rig(false);
        rig.ask_clean(write);
        rig.compare(CLEAN_PTE, BEFORE, BEFORE | to);
        rig.some(Check::UpdateUnexpected);
    }
    let mut rig = rig(false);
    rig.compare(CLEAN_PTE, BEFORE, BEFORE | A);
    rig.some(Check::UpdateUnexpected);
}

#[test]
fn update_late_access_before_its_answer() {
    let mut rig = rig(false);
    rig.ask_clean(true);
    rig.compare(CLEAN_PTE, BEFORE, BEFORE | AD);
    // B has not been taken.
    rig.clock(&[Event::OutAw(burst(3, PA, 0)), Event::OutW(w(7, 0xff, true))]);
    rig.only(Check::UpdateLate);
    // And without any update.
    let mut rig = self::rig(false);
    rig.ask_clean(false);
    rig.clock(&[Event::OutAr(burst(3, PA, 0))]);
    rig.only(Check::UpdateLate);
}

#[test]
fn a_compare_that_fails_restarts_the_walk() {
    let mut rig = rig(false);
    rig.ask_clean(true);
    // Software sets A meanwhile: the compare fails, the second one is right.
    rig.board.on_store(CLEAN_PTE, &(BEFORE | A).to_le_bytes());
    rig.mem.write_u64(CLEAN_PTE, BEFORE | A);
    rig.compare(CLEAN_PTE, BEFORE, BEFORE | AD);
    rig.updated();
    rig.fetch(CLEAN_PTE, 1);
    rig.compare(CLEAN_PTE, BEFORE | A, BEFORE | AD);
    rig.updated();
    rig.goes(true);
    rig.end();
    rig.fine();
    assert_eq!(rig.board.counters().updates, 1);
}

#[test]
fn exclusive_pairs_where_the_description_says_so() {
    let mut rig = rig(true);
    rig.ask_clean(false);
    let axi = AxiAddr {
        lock: true,
        ..burst(41, CLEAN_PTE, 0)
    };
    rig.mem.write_u64(CLEAN_PTE, BEFORE | A);
    rig.store_with(axi, &[w(BEFORE | A, 0xff, true)], Resp::ExOkay);
    rig.goes(false);
    rig.end();
    rig.fine();
    // An AXI5 atomic of such a block is a mistake.
    let mut rig = self::rig(true);
    rig.ask_clean(false);
    rig.compare(CLEAN_PTE, BEFORE, BEFORE | A);
    rig.only(Check::AccessKind);
}

#[test]
fn user_bits_of_every_access_on_m_mem() {
    let mut cfg = config();
    cfg.golden.capabilities = cfg.golden.capabilities.with(Capabilities::QOSID);
    let tagged = |mut axi: AxiAddr, user| {
        axi.user = user;
        axi
    };
    let rig = || {
        let mut rig = Rig::with(cfg.clone(), true);
        // RCID 5, MCID 6 of the device; RCID 1, MCID 2 of the IOMMU.
        rig.mem.write_u64(DDT + 16, 5 << 12 | 5 << 40 | 6 << 52);
        rig.write(offset::IOMMU_QOSID, 2 << 16 | 1);
        rig.idle(LONG);
        rig
    };
    let (own, dc) = (2 << 12 | 1, 6 << 12 | 5);
    for (ddt, root, right) in [(own, dc, true), (dc, dc, false), (own, own, false)] {
        let mut rig = rig();
        rig.ask_read(3, RW, 0);
        rig.clock(&[Event::MemAr(tagged(burst(1, DDT, 3), ddt))]);
        rig.clock(&[Event::MemAr(tagged(burst(4, ROOT, 0), root))]);
        if right {
            rig.fine();
        } else {
            rig.only(Check::UserBits);
        }
    }
    // A command fetch.
    let mut rig = rig();
    rig.fence(0, FENCE);
    rig.write(offset::CQT, 1);
    rig.clock(&[Event::MemAr(tagged(burst(1, CQ, 1), dc))]);
    rig.only(Check::UserBits);
}

const FENCE: Iofence = Iofence {
    av: false,
    wsi: false,
    pr: false,
    pw: false,
    data: 0,
    addr: Spa(0),
};

/// Page 16, and its entry; the 16 entries up to page 31 may be one NAPOT region.
const GROUP: u64 = 0x1_0000;
const GROUP_PTE: u64 = 0x4080;
const NAPOT: u64 = 1 << 63 | ((PA >> 12) | 8) << 10 | 0x17;

#[test]
fn an_update_of_a_napot_entry_speaks_for_its_16_copies() {
    // The entry that the second request uses: another copy, no copy at all, or of the next
    // region. Only the first may be kept with A set.
    for (entry, second, fine) in [
        (NAPOT, GROUP + 15 * 4096, true),
        (NAPOT & !(1 << 63), GROUP + 15 * 4096, false),
        (NAPOT, GROUP + 16 * 4096, false),
    ] {
        let mut rig = rig(false);
        for n in 0..32 {
            rig.mem.write_u64(GROUP_PTE + 8 * n, entry);
        }
        let base = |iova: u64| match entry >> 63 {
            1 => PA + (iova & 0xf000),
            _ => PA + 0x8000,
        };
        rig.ask_read(3, GROUP, 0);
        rig.walk(GROUP);
        // Accepted before the update: it may come to the entry while that is under way.
        rig.ask_read(4, second, 0);
        rig.fetch(0x4000 + (second >> 12) * 8, 1);
        rig.compare(GROUP_PTE, entry, entry | A);
        rig.updated();
        rig.clock(&[Event::OutAr(burst(3, base(GROUP), 0))]);
        rig.clock(&[Event::OutAr(burst(4, base(second), 0))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::UpdateLate);
        }
    }
}

#[test]
fn a_copy_of_a_napot_entry_that_comes_back_serves_who_is_open() {
    // Another copy has A set in memory; the block reads it for another request.
    for (napot, fine) in [(1 << 63, true), (0, false)] {
        let mut rig = rig(false);
        let entry = NAPOT & !(1 << 63) | napot;
        for n in 0..16 {
            rig.mem.write_u64(GROUP_PTE + 8 * n, entry);
        }
        rig.mem.write_u64(GROUP_PTE + 8 * 15, entry | A);
        rig.ask_read(3, GROUP, 0);
        rig.ask_read(4, GROUP + 15 * 4096, 0);
        rig.walk(GROUP + 15 * 4096);
        let base = if fine { PA } else { PA + 0x8000 };
        rig.clock(&[Event::OutAr(burst(3, base, 0))]);
        if fine {
            rig.fine();
        } else {
            rig.some(Check::UpdateLate);
        }
    }
}

#[test]
fn of_a_napot_region_two_copies_may_be_updated() {
    // One for a read, another for a write: the region may be kept with D, if that was set.
    for (set, fine) in [(AD, true), (A, false)] {
        let mut rig = rig(false);
        for n in 0..16 {
            rig.mem.write_u64(GROUP_PTE + 8 * n, NAPOT);
        }
        rig.ask_read(3, GROUP, 0);
        rig.walk(GROUP);
        if set == AD {
            rig.ask_write(4, GROUP + 15 * 4096, &[7]);
        } else {
            rig.ask_read(4, GROUP + 15 * 4096, 0);
        }
        rig.fetch(GROUP_PTE + 8 * 15, 1);
        rig.ask_write(5, GROUP + 4096, &[7]);
        rig.compare(GROUP_PTE, NAPOT, NAPOT | A);
        rig.updated();
        rig.compare(GROUP_PTE + 8 * 15, NAPOT, NAPOT | set);
        rig.updated();
        rig.clock(&[Event::OutAw(burst(5, PA + 0x1000, 0))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::UpdateLate);
        }
    }
}

#[test]
fn of_two_alike_updates_under_way_the_first_serves_both() {
    for done in [true, false] {
        let mut rig = rig(false);
        rig.ask_read(3, CLEAN, 0);
        rig.ask_read(4, CLEAN, 0);
        rig.walk(CLEAN);
        // The second one's, which will fail.
        let axi = AxiAddr {
            atop: 0b11_0001,
            burst: Burst::Wrap,
            ..burst(41, CLEAN_PTE, 1)
        };
        rig.clock(&[Event::MemAw(axi), Event::MemW(w(BEFORE, 0xff, false))]);
        rig.clock(&[Event::MemW(w(BEFORE | A, 0xff, true))]);
        rig.compare(CLEAN_PTE, BEFORE, BEFORE | A);
        if done {
            rig.updated();
        }
        for id in [3, 4] {
            rig.clock(&[Event::OutAr(burst(id, PA, 0))]);
        }
        if done {
            rig.fine();
        } else {
            rig.only(Check::UpdateLate);
        }
    }
}

#[test]
fn an_update_that_comes_too_late_holds_nobody_up() {
    let mut rig = rig(false);
    rig.ask_read(3, CLEAN, 0);
    rig.ask_read(4, CLEAN, 0);
    rig.walk(CLEAN);
    // The second one's walk finds the entry as it was, and is told after the first one's update.
    rig.clock(&[Event::MemAr(burst(1, CLEAN_PTE, 0))]);
    rig.clock(&[Event::MemSampled {
        id: 1,
        addr: CLEAN_PTE,
        data: BEFORE,
    }]);
    rig.compare(CLEAN_PTE, BEFORE, BEFORE | A);
    rig.updated();
    rig.clock(&[Event::MemR(r(1, BEFORE, Resp::Okay, true))]);
    let axi = AxiAddr {
        atop: 0b11_0001,
        burst: Burst::Wrap,
        ..burst(41, CLEAN_PTE, 1)
    };
    rig.clock(&[Event::MemAw(axi), Event::MemW(w(BEFORE, 0xff, false))]);
    rig.clock(&[Event::MemW(w(BEFORE | A, 0xff, true))]);
    for id in [3, 4] {
        rig.clock(&[Event::OutAr(burst(id, PA, 0))]);
    }
    rig.fine();
}

#[test]
fn an_update_has_the_qos_ids_of_one_of_those_who_make_it() {
    // Two devices share the table; the younger one's update comes first.
    for (user, fine) in [(1, true), (2, true), (3, false)] {
        let mut cfg = config();
        let caps = Capabilities::AMO_HWAD | Capabilities::QOSID;
        cfg.golden.capabilities = cfg.golden.capabilities.with(caps);
        let mut rig = Rig::with(cfg, true);
        rig.mem.write_u64(CLEAN_PTE, BEFORE);
        for n in 0..2 {
            let at = DDT + 32 * n;
            rig.mem.write_u64(at, 1 | 1 << 8);
            rig.mem.write_u64(at + 16, 5 << 12 | (n + 1) << 40);
            rig.mem.write_u64(at + 24, 8 << 60 | ROOT >> 12);
        }
        for device_id in 0..2 {
            let side = Sideband {
                device_id,
                ..DEVICE
            };
            rig.clock(&[Event::DevAr(burst(device_id as u8, CLEAN, 0), side)]);
        }
        let axi = AxiAddr {
            atop: 0b11_0001,
            burst: Burst::Wrap,
            user,
            ..burst(40, CLEAN_PTE, 1)
        };
        rig.clock(&[Event::MemAw(axi)]);
        rig.clock(&[Event::MemW(w(BEFORE, 0xff, false))]);
        rig.clock(&[Event::MemW(w(BEFORE | A, 0xff, true))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::UserBits);
        }
    }
}

#[test]
fn an_update_that_was_read_back_is_visible() {
    // A walk that began anew finds it in memory: it need not wait for the answer.
    for (fetched, fine) in [(true, true), (false, false)] {
        let mut rig = rig(false);
        rig.ask_clean(true);
        rig.compare(CLEAN_PTE, BEFORE, BEFORE | AD);
        if fetched {
            rig.fetch(CLEAN_PTE, 1);
        }
        rig.clock(&[Event::OutAw(burst(3, PA, 0)), Event::OutW(w(7, 0xff, true))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::UpdateLate);
        }
    }
}

#[test]
fn an_update_of_another_is_not_waited_for() {
    // The oldest walk may end by the entry of before, which is still held: then the update is of
    // somebody who came later.
    const NEW: u64 = (0x9_0000 >> 12) << 10 | 0x17;
    for (to, fine) in [(PA, true), (0x9_0000, false)] {
        let mut rig = rig(false);
        rig.mem.write_u64(CLEAN_PTE, BEFORE | A);
        rig.ask_clean(false);
        rig.goes(false);
        rig.edit(CLEAN_PTE, NEW);
        rig.ask_read(3, CLEAN, 0);
        rig.ask_read(4, CLEAN, 0);
        rig.fetch(CLEAN_PTE, 1);
        rig.compare(CLEAN_PTE, NEW, NEW | A);
        rig.clock(&[Event::OutAr(burst(3, to, 0))]);
        if fine {
            rig.fine();
        } else {
            rig.only(Check::UpdateLate);
        }
    }
}
