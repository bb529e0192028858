//! Pages in MRIF mode.

use super::*;
use iommu_bus::mem::{FaultAccess, MemFault};

const PAGE: u64 = 0x40_000;
const TABLE: u64 = 0x7000;
const FILE: u64 = 0x5_8000;
const NOTICE: u64 = 0x5_9000;
const NID: u32 = 0x405;

fn rig(atomic: bool) -> Rig {
    let mut cfg = config();
    cfg.golden.choices.bare_iohgatp_with_msi = iommu_golden::Reserved::Accepted;
    let caps = cfg.golden.capabilities;
    cfg.golden.capabilities = caps.with(Capabilities::MSI_FLAT | Capabilities::MSI_MRIF);
    if atomic {
        cfg.golden.capabilities = cfg.golden.capabilities.with(Capabilities::AMO_MRIF);
    }
    let mut rig = Rig::with(cfg, true);
    rig.mem.write_u64(DDT + 24, 0);
    rig.mem.write_u64(DDT + 32, 1 << 60 | TABLE >> 12);
    rig.mem.write_u64(DDT + 40, 0);
    rig.mem.write_u64(DDT + 48, PAGE >> 12);
    rig.mem.write_u64(TABLE, (FILE >> 9) << 7 | 3);
    rig.mem
        .write_u64(TABLE + 8, (NOTICE >> 12) << 10 | 1 << 60 | 5);
    rig
}

fn narrow(id: u8, addr: u64) -> AxiAddr {
    AxiAddr {
        size: 2,
        ..burst(id, addr, 0)
    }
}

impl Rig {
    /// An MSI of this identity, with its walk.
    fn msi(&mut self, identity: u32) {
        self.clock(&[
            Event::DevAw(narrow(3, PAGE), DEVICE),
            Event::DevW(w(identity.into(), 0x0f, true)),
        ]);
        self.fetch(DDT, 8);
        self.fetch(TABLE, 2);
    }

    /// AtomicStore SET, not answered yet.
    fn set(&mut self, addr: u64, bits: u64) {
        let axi = AxiAddr {
            atop: 0b01_0011,
            ..burst(41, addr, 0)
        };
        self.clock(&[Event::MemAw(axi), Event::MemW(w(bits, 0xff, true))]);
        let old = self.mem.read_u64(addr);
        self.mem.write_u64(addr, old | bits);
        self.clock(&[Event::MemStored { id: 41 }]);
    }

    fn set_done(&mut self, resp: Resp) {
        self.clock(&[Event::MemB(b(41, resp))]);
    }

    fn answer(&mut self, resp: Resp) {
        self.clock(&[Event::DevB(b(3, resp))]);
    }
}

#[test]
fn an_msi_sets_its_bit_and_is_noticed() {
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.answer(Resp::Okay);
    rig.store4(NOTICE, NID);
    rig.end();
    rig.fine();
    assert_eq!(rig.board.counters().msis, 1);
    assert!(rig.board.take_transactions().any(|t| t.mrif));
    // The answer may come first.
    let mut rig = self::rig(true);
    rig.msi(0x43);
    rig.answer(Resp::Okay);
    assert!(!rig.board.is_idle());
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.store4(NOTICE, NID);
    rig.end();
    rig.fine();
}

#[test]
fn mrif_update_wrong_place_or_bit() {
    for (addr, bit) in [(FILE + 16, 4), (FILE, 8), (FILE + 24, 8), (FILE + 16, 9)] {
        let mut rig = rig(true);
        rig.msi(0x43);
        rig.set(addr, bit);
        rig.only(Check::MrifUpdate);
    }
    // Once only.
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.set(FILE + 16, 8);
    rig.only(Check::MrifUpdate);
}

#[test]
fn mrif_missing_msi_accepted_and_lost() {
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.answer(Resp::Okay);
    rig.idle(20_000);
    rig.only(Check::MrifMissing);
}

#[test]
fn mrif_response_refused_or_accepted_wrongly() {
    // A good one refused.
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.answer(Resp::SlvErr);
    rig.only(Check::MrifResponse);
    // Refused before anything was seen.
    let mut rig = self::rig(true);
    rig.msi(0x43);
    rig.answer(Resp::SlvErr);
    rig.some(Check::MrifResponse);
    // Two beats are aborted, and make no record.
    for (resp, right) in [(Resp::SlvErr, true), (Resp::Okay, false)] {
        let mut rig = self::rig(true);
        rig.ask_write(3, PAGE, &[0x43, 0]);
        rig.fetch(DDT, 8);
        rig.fetch(TABLE, 2);
        rig.answer(resp);
        rig.end();
        if right {
            rig.fine();
        } else {
            rig.some(Check::RefusedResponse);
        }
    }
    // Data beyond 11 bits is discarded with OKAY.
    let mut rig = self::rig(true);
    rig.msi(0x843);
    rig.answer(Resp::Okay);
    rig.end();
    rig.fine();
    // A read gets zero.
    for (data, right) in [(0, true), (8, false)] {
        let mut rig = self::rig(true);
        rig.clock(&[Event::DevAr(narrow(3, PAGE), DEVICE)]);
        rig.fetch(DDT, 8);
        rig.fetch(TABLE, 2);
        rig.clock(&[Event::DevR(r(3, data, Resp::Okay, true))]);
        rig.end();
        if right {
            rig.fine();
        } else {
            rig.only(Check::MrifResponse);
        }
    }
}

#[test]
fn mrif_access_fault_is_recorded_and_not_noticed() {
    const STORE: u8 = 0b01_0011;
    const LOAD: u8 = 0b10_0011;
    // Corruption is told from an error by what an AtomicLoad brings back, and by nothing else.
    for (atop, poisoned, cause, fine) in [
        (STORE, false, Cause::MrifAccessFault, true),
        (LOAD, false, Cause::MrifAccessFault, true),
        (LOAD, false, Cause::MrifCorruption, false),
        (STORE, true, Cause::MrifAccessFault, true),
        (STORE, true, Cause::MrifCorruption, false),
        (LOAD, true, Cause::MrifCorruption, true),
        (LOAD, true, Cause::MrifAccessFault, false),
    ] {
        let mut rig = rig(true);
        if poisoned {
            let place = FILE + 16..FILE + 24;
            rig.mem
                .add_fault_for(place, FaultAccess::Any, MemFault::Poison);
        }
        rig.msi(0x43);
        rig.clock(&[
            Event::MemAw(AxiAddr {
                atop,
                ..burst(41, FILE + 16, 0)
            }),
            Event::MemW(w(8, 0xff, true)),
        ]);
        if atop == LOAD {
            let resp = if poisoned { Resp::Okay } else { Resp::SlvErr };
            rig.clock(&[Event::MemR(RBeat {
                poison: poisoned,
                ..r(41, 0, resp, true)
            })]);
        }
        rig.set_done(Resp::SlvErr);
        rig.answer(Resp::SlvErr);
        let mut request = iommu_golden::Request::write(0, iommu_golden::Iova(PAGE));
        request.len = 4;
        let record = FaultRecord::of_request(cause, &request, 0);
        rig.record_at(0, record.to_words(), Resp::Okay);
        rig.end();
        if fine {
            rig.fine();
        } else {
            rig.only(Check::RecordContent);
        }
    }
}

#[test]
fn notice_early_wrong_or_missing() {
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.store4(NOTICE, NID);
    rig.some(Check::NoticeEarly);
    let mut rig = self::rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.store4(NOTICE, NID ^ 1);
    rig.only(Check::NoticeContent);
    let mut rig = self::rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.set_done(Resp::Okay);
    rig.answer(Resp::Okay);
    rig.idle(20_000);
    rig.only(Check::NoticeMissing);
}

#[test]
fn without_atomics_a_read_modify_write() {
    for (data, check) in [(0x18, None), (8, Some(Check::MrifUpdate))] {
        let mut rig = rig(false);
        rig.mem.write_u64(FILE + 16, 0x10);
        rig.msi(0x43);
        rig.fetch(FILE + 16, 1);
        rig.mem.write_u64(FILE + 16, data);
        rig.store_with(burst(41, FILE + 16, 0), &[w(data, 0xff, true)], Resp::Okay);
        rig.answer(Resp::Okay);
        rig.store4(NOTICE, NID);
        rig.end();
        match check {
            None => rig.fine(),
            Some(c) => rig.only(c),
        }
    }
    let mut rig = rig(false);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.only(Check::AccessKind);
}

#[test]
fn without_atomics_a_doubleword_is_read_for_any_message_of_it() {
    // Two messages are open; the younger one's bit is set first.
    for (bits, fine) in [([0x10, 0x18], true), ([0x10, 8], false)] {
        let mut rig = rig(false);
        rig.msi(0x43);
        rig.msi(0x44);
        for data in bits {
            rig.fetch(FILE + 16, 1);
            rig.mem.write_u64(FILE + 16, data);
            rig.store_with(burst(41, FILE + 16, 0), &[w(data, 0xff, true)], Resp::Okay);
            rig.store4(NOTICE, NID);
        }
        if fine {
            rig.answer(Resp::Okay);
            rig.answer(Resp::Okay);
            rig.end();
            rig.fine();
        } else {
            rig.some(Check::MrifUpdate);
        }
    }
}

#[test]
fn a_later_write_of_the_id_may_be_forwarded_before_the_answer() {
    // D[31:11] is not 0: nothing is stored, and the answer is OKAY all the same.
    for (resp, fine) in [(Resp::Okay, true), (Resp::SlvErr, false)] {
        let mut rig = rig(true);
        rig.msi(1 << 11);
        rig.ask_write(3, PA, &[7]);
        rig.clock(&[Event::OutAw(burst(3, PA, 0)), Event::OutW(w(7, 0xff, true))]);
        rig.clock(&[Event::OutB(b(3, Resp::Okay))]);
        rig.answer(resp);
        rig.answer(Resp::Okay);
        if fine {
            rig.end();
            rig.fine();
        } else {
            rig.only(Check::MrifResponse);
        }
    }
}

#[test]
fn fence_early_before_an_interrupt_file_is_updated() {
    // The update is on its way when the fence is fetched; cqh passes the fence before its B.
    let passes = |pw, answered| {
        let mut rig = rig(true);
        rig.msi(0x43);
        rig.set(FILE + 16, 8);
        rig.fence(0, Iofence { pw, ..PLAIN_FENCE });
        rig.write(offset::CQT, 1);
        rig.fetch(CQ, 2);
        if answered {
            rig.set_done(Resp::Okay);
        }
        rig.read(offset::CQH, 1);
        rig
    };
    passes(true, false).only(Check::CommandHead);
    passes(true, true).fine();
    passes(false, false).fine();
    // The same by its store.
    let mut rig = rig(true);
    rig.msi(0x43);
    rig.set(FILE + 16, 8);
    rig.fence(
        0,
        Iofence {
            pw: true,
            ..STORING
        },
    );
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.store4(FLAG, 0xabcd);
    rig.only(Check::FenceEarly);
}

#[test]
fn the_notice_may_be_that_of_either_state_of_an_entry_that_changes() {
    for (nid, right) in [(NID, true), (0x3ff, true), (0x3fe, false)] {
        let mut rig = rig(true);
        rig.msi(0x43);
        let second = (NOTICE >> 12) << 10 | 0x3ff;
        rig.board.on_store(TABLE + 8, &second.to_le_bytes());
        rig.mem.write_u64(TABLE + 8, second);
        rig.set(FILE + 16, 8);
        rig.set_done(Resp::Okay);
        rig.answer(Resp::Okay);
        rig.store4(NOTICE, nid);
        if right {
            rig.end();
            rig.fine();
        } else {
            rig.only(Check::NoticeContent);
        }
    }
}

#[test]
fn what_a_file_in_memory_aborts_owes_no_record_of_another_outcome() {
    // Two beats: aborted by the file, or, once its entry has gone, refused with a record.
    let mut rig = rig(true);
    rig.ask_write(3, PAGE, &[0x43, 0]);
    rig.fetch(DDT, 8);
    rig.fetch(TABLE, 2);
    rig.board.on_store(TABLE, &[0; 8]);
    rig.mem.write_u64(TABLE, 0);
    rig.answer(Resp::SlvErr);
    rig.end();
    rig.fine();
}

#[test]
fn what_a_file_in_memory_has_aborted_in_time_no_fence_binds() {
    // Its context goes, and a fence that orders reads and writes completes; then the answer comes: of
    // two beats, of an MSI, of a read.
    let rig = |ask: fn(&mut Rig)| {
        let mut rig = rig(true);
        ask(&mut rig);
        rig.fetch(DDT, 8);
        rig.fetch(TABLE, 2);
        rig.edit(DDT, 0);
        rig.command(0, Command::InvalDdt { device_id: None }.encode());
        let ordering = Iofence {
            pr: true,
            pw: true,
            ..PLAIN_FENCE
        };
        rig.fence(1, ordering);
        rig.write(offset::CQT, 2);
        rig.fetch(CQ, 4);
        rig.read(offset::CQH, 2);
        rig
    };
    let mut two = rig(|r| r.ask_write(3, PAGE, &[0x43, 0]));
    two.answer(Resp::SlvErr);
    two.end();
    two.fine();
    let mut read = rig(|r| r.clock(&[Event::DevAr(narrow(3, PAGE), DEVICE)]));
    read.clock(&[Event::DevR(r(3, 0, Resp::Okay, true))]);
    read.end();
    read.fine();
    // The file is not changed any more.
    let msi: fn(&mut Rig) = |r| {
        r.clock(&[
            Event::DevAw(narrow(3, PAGE), DEVICE),
            Event::DevW(w(0x43, 0x0f, true)),
        ]);
    };
    let mut one = rig(msi);
    one.set(FILE + 16, 8);
    one.some(Check::MrifUpdate);
    let mut one = rig(msi);
    one.answer(Resp::Okay);
    one.some(Check::RefusedResponse);
}

#[test]
fn a_record_belongs_to_whoever_must_have_one() {
    // Two bursts alike but for their length, while the entry goes: the longer may be refused by the
    // file, which leaves no record; the word may not. The one record is the word's.
    let record = |rig: &mut Rig, index| {
        let words = Rig::record(Cause::MsiPteNotValid, true, PAGE);
        rig.record_at(index, words, Resp::Okay);
    };
    for (words, others, fine) in [
        (1, 0, true),
        (2, 0, false),
        (1, 1100, true),
        (2, 1100, false),
    ] {
        let mut rig = rig(true);
        rig.clock(&[Event::DevAw(burst(3, PAGE, 1), DEVICE)]);
        rig.clock(&[Event::DevW(w(1, 0xff, false))]);
        rig.clock(&[Event::DevW(w(2, 0xff, true))]);
        for id in 0..words {
            rig.clock(&[
                Event::DevAw(narrow(4 + id, PAGE), DEVICE),
                Event::DevW(w(1, 0x0f, true)),
            ]);
        }
        rig.fetch(DDT, 8);
        rig.fetch(TABLE, 2);
        let entry = rig.mem.read_u64(TABLE);
        rig.edit(TABLE, entry & !1);
        rig.fetch(TABLE, 2);
        record(&mut rig, 0);
        rig.clock(&[Event::Wsi(2)]);
        rig.answer(Resp::SlvErr);
        // However many records come while the word waits.
        for n in 1..=others {
            let (head, addr) = (n & 3, PAGE + 16 + 4 * (n % 1000));
            rig.write(offset::FQH, head);
            let strb = if addr & 4 == 0 { 0x0f } else { 0xf0 };
            let words = Rig::record(Cause::MsiPteNotValid, true, addr);
            let mut events = vec![
                Event::DevAw(narrow(15, addr), DEVICE),
                Event::DevW(w(1, strb, true)),
                Event::MemAw(burst(3, FQ + 32 * head, 3)),
            ];
            events.extend((0..4).map(|k| Event::MemW(w(words[k], 0xff, k == 3))));
            events.extend([
                Event::MemStored { id: 3 },
                Event::MemB(b(3, Resp::Okay)),
                Event::DevB(b(15, Resp::SlvErr)),
            ]);
            rig.clock(&events);
        }
        for id in 0..words {
            rig.clock(&[Event::DevB(b(4 + id, Resp::SlvErr))]);
        }
        rig.end();
        if fine {
            rig.fine();
        } else {
            rig.only(Check::RecordMissing);
        }
    }
}
