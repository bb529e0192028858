//! Each check is made to fail once, by events that no right block shows.

use std::collections::BTreeSet;

use iommu_bus::event::{At, AxiAddr, BBeat, Burst, Event, RBeat, Resp, Sideband, WBeat};
use iommu_bus::mem::{MemFault, SparseMemory};
use iommu_golden::command::Iofence;
use iommu_golden::{Capabilities, Cause, Command, Config, FaultRecord, Igs, Spa, offset};

use crate::*;

mod atomics;
mod ats;
mod legal;
mod monitor;
mod mrif;
mod pages;

const DDT: u64 = 0x1000;
const ROOT: u64 = 0x2000;
const CQ: u64 = 0x1_0000;
const FQ: u64 = 0x2_0000;
/// Read-write, read-only, and not mapped.
const RW: u64 = 0x1000;
const RO: u64 = 0x2000;
const NONE: u64 = 0x3000;
const PA: u64 = 0x8_0000;
/// Where messages and fences store.
const MSI: u64 = 0x5_0000;
const FLAG: u64 = 0x6_0000;
const DEVICE: Sideband = Sideband {
    device_id: 0,
    process_id: None,
    translated: false,
};
const SETTLE: u64 = 40;
/// Longer than a command may take when nothing is open.
const LONG: u64 = 2000;

/// A block made of event lists: what a right one shows, and openings to do wrong.
struct Rig {
    board: Scoreboard,
    mem: SparseMemory,
    cycle: u64,
    walked: bool,
}

pub(crate) fn burst(id: u8, addr: u64, len: u8) -> AxiAddr {
    AxiAddr {
        id,
        addr,
        len,
        size: 3,
        burst: Burst::Incr,
        lock: false,
        cache: 0,
        prot: 0,
        qos: 0,
        region: 0,
        atop: 0,
        user: 0,
    }
}

fn w(data: u64, strb: u8, last: bool) -> WBeat {
    WBeat { data, strb, last }
}

fn r(id: u8, data: u64, resp: Resp, last: bool) -> RBeat {
    RBeat {
        id,
        data,
        resp,
        last,
        poison: false,
    }
}

fn b(id: u8, resp: Resp) -> BBeat {
    BBeat { id, resp }
}

fn config() -> ScoreboardConfig {
    let caps = Capabilities::version_1_0()
        .with(Capabilities::SV39)
        .with_igs(Igs::Both)
        .with_pas(46);
    let mut cfg = ScoreboardConfig::new(Config::new(caps));
    cfg.golden.choices.vectors = 4;
    cfg.settle = SETTLE as u32;
    cfg.patience = 500;
    cfg
}

impl Rig {
    /// Out of reset, nothing configured.
    fn cold(cfg: ScoreboardConfig) -> Self {
        let mut mem = SparseMemory::new();
        mem.write_u64(DDT, 1);
        mem.write_u64(DDT + 16, 5 << 12);
        mem.write_u64(DDT + 24, 8 << 60 | ROOT >> 12);
        mem.write_u64(ROOT, (0x3000 >> 12) << 10 | 1);
        mem.write_u64(0x3000, (0x4000 >> 12) << 10 | 1);
        mem.write_u64(0x4008, (PA >> 12) << 10 | 0xd7);
        mem.write_u64(0x4010, (0x9_0000 >> 12) << 10 | 0x53);
        let board = Scoreboard::new(cfg).expect("a configuration that exists");
        let mut rig = Rig {
            board,
            mem,
            cycle: 0,
            walked: false,
        };
        rig.clock(&[Event::Reset]);
        rig.clock(&[]);
        rig
    }

    /// Translating, both queues on with interrupts; by wire if `wsi`.
    fn with(cfg: ScoreboardConfig, wsi: bool) -> Self {
        let mut rig = Self::cold(cfg);
        rig.write(offset::FCTL, u64::from(wsi) << 1);
        rig.write8(offset::CQB, (CQ >> 12) << 10 | 3);
        rig.write8(offset::FQB, (FQ >> 12) << 10 | 1);
        rig.write(offset::CQT, 0);
        rig.write(offset::FQH, 0);
        rig.write8(offset::ICVEC, 0x10);
        for v in 0..2u16 {
            rig.write8(offset::MSI_CFG_TBL + 16 * v, MSI + 8 * u64::from(v));
            rig.write(offset::MSI_CFG_TBL + 16 * v + 8, 0x100 + u64::from(v));
        }
        rig.write(offset::CQCSR, 3);
        rig.write(offset::FQCSR, 3);
        rig.read(offset::CQCSR, 0x1_0003);
        rig.read(offset::FQCSR, 0x1_0003);
        rig.write8(offset::DDTP, (DDT >> 12) << 10 | 2);
        rig.read(offset::DDTP, (DDT >> 12) << 10 | 2);
        rig
    }

    fn new() -> Self {
        Self::with(config(), true)
    }

    fn clock(&mut self, events: &[Event]) {
        self.cycle += 1;
        let cycle = self.cycle;
        let events: Vec<At> = events.iter().map(|&event| At { cycle, event }).collect();
        self.board.on_clock(&events, &self.mem);
    }

    fn idle(&mut self, clocks: u64) {
        for _ in 0..clocks {
            self.clock(&[]);
        }
    }

    fn write_raw(&mut self, addr: u16, data: u64, strb: u8, resp: Resp) {
        self.clock(&[Event::RegWriteAccepted { addr, data, strb }]);
        self.clock(&[Event::RegWriteDone {
            addr,
            data,
            strb,
            resp,
        }]);
    }

    fn write(&mut self, addr: u16, value: u64) {
        if addr % 8 == 4 {
            self.write_raw(addr, value << 32, 0xf0, Resp::Okay);
        } else {
            self.write_raw(addr, value, 0x0f, Resp::Okay);
        }
    }

    fn write8(&mut self, addr: u16, value: u64) {
        self.write_raw(addr, value, 0xff, Resp::Okay);
    }

    fn read(&mut self, addr: u16, value: u64) {
        let data = if addr % 8 == 4 { value << 32 } else { value };
        self.clock(&[Event::RegReadAccepted { addr }]);
        self.clock(&[Event::RegReadDone {
            addr,
            data,
            resp: Resp::Okay,
        }]);
    }

    /// A burst read on `m_mem` with what is in memory.
    fn fetch(&mut self, addr: u64, beats: u8) {
        self.fetch_with(addr, beats, Resp::Okay);
    }

    fn fetch_with(&mut self, addr: u64, beats: u8, resp: Resp) {
        self.clock(&[Event::MemAr(burst(1, addr, beats - 1))]);
        for n in 0..beats {
            let data = self.mem.read_u64(addr + 8 * u64::from(n));
            self.clock(&[Event::MemR(r(1, data, resp, n + 1 == beats))]);
        }
    }

    fn walk(&mut self, iova: u64) {
        if !self.walked {
            self.walked = true;
            self.fetch(DDT, 4);
            self.fetch(ROOT, 1);
            self.fetch(0x3000, 1);
        }
        self.fetch(0x4000 + (iova >> 12) * 8, 1);
    }

    fn store_with(&mut self, axi: AxiAddr, beats: &[WBeat], resp: Resp) {
        self.clock(&[Event::MemAw(axi)]);
        for &beat in beats {
            self.clock(&[Event::MemW(beat)]);
        }
        self.clock(&[Event::MemStored { id: axi.id }]);
        self.clock(&[Event::MemB(b(axi.id, resp))]);
    }

    /// A 4-byte store on `m_mem`.
    fn store4(&mut self, addr: u64, data: u32) {
        let (lanes, strb) = if addr & 4 == 0 {
            (u64::from(data), 0x0f)
        } else {
            (u64::from(data) << 32, 0xf0)
        };
        let axi = AxiAddr {
            size: 2,
            ..burst(2, addr, 0)
        };
        self.store_with(axi, &[w(lanes, strb, true)], Resp::Okay);
    }

    fn record_at(&mut self, index: u64, words: [u64; 4], resp: Resp) {
        let beats: Vec<WBeat> = (0..4).map(|n| w(words[n], 0xff, n == 3)).collect();
        self.store_with(burst(3, FQ + 32 * index, 3), &beats, resp);
    }

    /// The record that a read (or write) of device 0 at `iova` asks for.
    fn record(cause: Cause, write: bool, iova: u64) -> [u64; 4] {
        let mut request = iommu_golden::Request::read(0, iommu_golden::Iova(iova));
        if write {
            request.access = iommu_golden::Access::Write;
        }
        FaultRecord::of_request(cause, &request, 0).to_words()
    }

    fn ask_read(&mut self, id: u8, iova: u64, len: u8) {
        self.clock(&[Event::DevAr(burst(id, iova, len), DEVICE)]);
    }

    fn ask_write(&mut self, id: u8, iova: u64, data: &[u64]) {
        self.clock(&[Event::DevAw(burst(id, iova, data.len() as u8 - 1), DEVICE)]);
        for (n, &d) in data.iter().enumerate() {
            self.clock(&[Event::DevW(w(d, 0xff, n + 1 == data.len()))]);
        }
    }

    /// A read from end to end, all right.
    fn good_read(&mut self, id: u8, iova: u64) {
        self.ask_read(id, iova, 1);
        self.walk(iova);
        self.clock(&[Event::OutAr(burst(id, PA + iova % 4096, 1))]);
        for n in 0..2 {
            self.clock(&[Event::OutR(r(id, n, Resp::Okay, n == 1))]);
            self.clock(&[Event::DevR(r(id, n, Resp::Okay, n == 1))]);
        }
    }

    /// A read of nothing mapped, refused and recorded at `index`.
    fn bad_read(&mut self, id: u8, index: u64) {
        self.refused_read(id);
        self.record_at(
            index,
            Self::record(Cause::ReadPageFault, false, NONE),
            Resp::Okay,
        );
    }

    /// The same without its record.
    fn refused_read(&mut self, id: u8) {
        self.ask_read(id, NONE, 0);
        self.walk(NONE);
        self.clock(&[Event::DevR(r(id, 0, Resp::SlvErr, true))]);
    }

    fn command(&mut self, index: u64, words: [u64; 2]) {
        self.mem.write_u64(CQ + 16 * index, words[0]);
        self.mem.write_u64(CQ + 16 * index + 8, words[1]);
    }

    fn fence(&mut self, index: u64, f: Iofence) {
        self.command(index, Command::Iofence(f).encode());
    }

    /// The only violations are of this check.
    fn only(&self, check: Check) {
        let seen: BTreeSet<Check> = self.board.violations().iter().map(|v| v.check).collect();
        assert_eq!(seen, BTreeSet::from([check]), "{}", self.text());
    }

    /// This check is among those that failed.
    fn some(&self, check: Check) {
        assert!(
            self.board.violations().iter().any(|v| v.check == check),
            "{}",
            self.text()
        );
    }

    fn fine(&self) {
        assert!(self.board.violations().is_empty(), "{}", self.text());
    }

    fn text(&self) -> String {
        let all: Vec<String> = self
            .board
            .violations()
            .iter()
            .map(ToString::to_string)
            .collect();
        if all.is_empty() {
            "nothing was reported".into()
        } else {
            all.join("\n")
        }
    }

    fn end(&mut self) {
        self.idle(2 * SETTLE);
        let mem = std::mem::take(&mut self.mem);
        self.board.finish(&mem);
        self.mem = mem;
    }
}

const PLAIN_FENCE: Iofence = Iofence {
    av: false,
    wsi: false,
    pr: false,
    pw: false,
    data: 0,
    addr: Spa(0),
};
const STORING: Iofence = Iofence {
    av: true,
    data: 0xabcd,
    addr: Spa(FLAG),
    ..PLAIN_FENCE
};

// ---- classes

#[test]
fn who_shares_a_walk_or_stands_behind_one_is_no_hit() {
    let mut rig = Rig::new();
    // Three of one page: the first walks, the second has another id, the third the first's.
    rig.ask_read(1, RW, 0);
    rig.ask_read(2, RW, 0);
    rig.ask_read(1, RW + 8, 0);
    rig.walk(RW);
    for (id, addr) in [(1, PA), (2, PA), (1, PA + 8)] {
        rig.clock(&[Event::OutAr(burst(id, addr, 0))]);
    }
    for id in [1, 2, 1] {
        rig.clock(&[Event::OutR(r(id, 7, Resp::Okay, true))]);
        rig.clock(&[Event::DevR(r(id, 7, Resp::Okay, true))]);
    }
    // Nothing is under way any more: the same again is a hit.
    rig.ask_read(1, RW, 0);
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.clock(&[Event::OutR(r(1, 7, Resp::Okay, true))]);
    rig.clock(&[Event::DevR(r(1, 7, Resp::Okay, true))]);
    rig.end();
    rig.fine();
    let classes: Vec<&str> = rig
        .board
        .take_transactions()
        .map(|t| t.class.name())
        .collect();
    assert_eq!(classes, ["context miss", "waited", "waited", "hit"]);
}

// ---- what is right is not reported

#[test]
fn a_right_block_passes() {
    let mut rig = Rig::new();
    rig.good_read(1, RW);
    rig.good_read(2, RW + 0x20);
    rig.ask_write(1, RW, &[1, 2]);
    rig.clock(&[Event::OutAw(burst(1, PA, 1))]);
    rig.clock(&[Event::OutW(w(1, 0xff, false))]);
    rig.clock(&[Event::OutW(w(2, 0xff, true)), Event::OutStored { id: 1 }]);
    rig.clock(&[Event::OutB(b(1, Resp::DecErr))]);
    rig.clock(&[Event::DevB(b(1, Resp::DecErr))]);
    rig.bad_read(3, 0);
    rig.idle(2);
    rig.clock(&[Event::Wsi(2)]);
    rig.read(offset::FQT, 1);
    rig.read(offset::IPSR, 2);
    rig.write(offset::IPSR, 2);
    rig.clock(&[Event::Wsi(0)]);
    rig.read(offset::IPSR, 0);
    rig.write(offset::FQH, 1);
    // Commands: a plain one, a fence that stores and one that pulls the wire.
    rig.command(0, Command::InvalDdt { device_id: None }.encode());
    rig.fence(
        1,
        Iofence {
            pr: true,
            pw: true,
            ..STORING
        },
    );
    rig.fence(
        2,
        Iofence {
            wsi: true,
            ..PLAIN_FENCE
        },
    );
    rig.write(offset::CQT, 3);
    rig.fetch(CQ, 2);
    rig.fetch(CQ + 16, 2);
    rig.store4(FLAG, 0xabcd);
    rig.read(offset::CQH, 2);
    rig.fetch(CQ + 32, 2);
    rig.idle(1);
    rig.clock(&[Event::Wsi(1)]);
    rig.read(offset::CQH, 3);
    rig.read(offset::CQCSR, 0x1_0803);
    rig.read(offset::IPSR, 1);
    rig.write(offset::CQCSR, 0x803);
    rig.write(offset::IPSR, 1);
    rig.clock(&[Event::Wsi(0)]);
    rig.read(offset::CQCSR, 0x1_0003);
    rig.end();
    rig.fine();
    assert!(rig.board.is_idle());
    let classes: Vec<Class> = rig.board.take_transactions().map(|t| t.class).collect();
    assert_eq!(
        classes,
        [
            Class::ContextMiss { reads: 4 },
            Class::Walk { reads: 1 },
            Class::Hit,
            Class::Fault { reads: 1 }
        ]
    );
    let c = rig.board.counters();
    assert_eq!(
        (c.requests, c.checked, c.refused, c.records, c.commands),
        (4, 4, 1, 1, 3)
    );
}

#[test]
fn messages_pass_and_fail_over_to_a_record() {
    let mut rig = Rig::with(config(), false);
    rig.bad_read(1, 0);
    rig.store4(MSI + 8, 0x101);
    rig.read(offset::IPSR, 2);
    // A second record while the bit is set: no message. After clearing it: one again.
    rig.bad_read(1, 1);
    rig.idle(SETTLE + 2);
    rig.write(offset::IPSR, 2);
    rig.write(offset::FQH, 2);
    rig.bad_read(1, 2);
    // The message meets an access fault: a record of its own.
    let axi = AxiAddr {
        size: 2,
        ..burst(2, MSI + 8, 0)
    };
    rig.store_with(axi, &[w(0x101, 0x0f, true)], Resp::SlvErr);
    let own = FaultRecord::of_event(Cause::MsiWriteAccessFault, MSI + 8).to_words();
    rig.record_at(3, own, Resp::Okay);
    rig.end();
    rig.fine();
}

#[test]
fn a_pending_message_goes_by_its_entry_as_it_is_then() {
    // Masked when it becomes owed; its address is written before it is unmasked: to another, to
    // none, or from none to one.
    const NOWHERE: u64 = 1 << 50;
    for (first, then) in [(MSI, MSI + 0x100), (MSI, NOWHERE), (NOWHERE, MSI)] {
        let mut rig = Rig::with(config(), false);
        let entry = offset::MSI_CFG_TBL + 16;
        rig.write8(entry, first);
        rig.write(entry + 12, 1);
        rig.bad_read(1, 0);
        rig.idle(SETTLE + 2);
        rig.write8(entry, then);
        rig.write(entry + 12, 0);
        let record = |address| FaultRecord::of_event(Cause::MsiWriteAccessFault, address);
        if then == NOWHERE {
            rig.record_at(1, record(NOWHERE).to_words(), Resp::Okay);
        } else {
            rig.store4(then, 0x101);
        }
        rig.fine();
        // Once, and nowhere else.
        rig.record_at(
            if then == NOWHERE { 2 } else { 1 },
            record(NOWHERE).to_words(),
            Resp::Okay,
        );
        rig.only(Check::RecordUnexpected);
    }
}

#[test]
fn a_message_is_not_tried_while_its_vector_is_masked() {
    // Its address is none: all that is seen of it is the record of its failure.
    const NOWHERE: u64 = 1 << 50;
    let entry = offset::MSI_CFG_TBL + 16;
    let failed = FaultRecord::of_event(Cause::MsiWriteAccessFault, NOWHERE).to_words();
    let rig = |masked: u64| {
        let mut rig = Rig::with(config(), false);
        rig.write8(entry, NOWHERE);
        rig.write(entry + 12, masked);
        rig.bad_read(1, 0);
        rig
    };
    let late = 40_000;
    // Masked before it was owed; tried all the same, at once or later.
    for after in [1, late] {
        let mut rig = rig(1);
        rig.idle(after);
        rig.record_at(1, failed, Resp::Okay);
        rig.only(Check::RecordUnexpected);
    }
    // Masked when it had been tried, or might have been.
    let mut rig_ = rig(0);
    rig_.write(entry + 12, 1);
    rig_.record_at(1, failed, Resp::Okay);
    rig_.fine();
    // Masked before it was tried, which a record long after would not show.
    for (unmasked, fine) in [(true, true), (false, false)] {
        for masked in [0, 1] {
            let mut rig = rig(masked);
            rig.write(entry + 12, 1);
            rig.idle(late);
            if unmasked {
                rig.write(entry + 12, 0);
            }
            rig.record_at(1, failed, Resp::Okay);
            if fine {
                rig.end();
                rig.fine();
            } else {
                rig.only(Check::RecordUnexpected);
            }
        }
    }
}

#[test]
fn overflow_loses_records_and_says_so() {
    let mut rig = Rig::new();
    for n in 0..3 {
        rig.bad_read(1, n);
    }
    rig.refused_read(1);
    rig.clock(&[Event::Wsi(2)]);
    rig.read(offset::FQCSR, 0x1_0203);
    rig.write(offset::FQH, 3);
    rig.write(offset::FQCSR, 0x203);
    rig.idle(3000);
    rig.bad_read(1, 3);
    rig.read(offset::FQCSR, 0x1_0003);
    rig.end();
    rig.fine();
    assert_eq!(rig.board.counters().records_lost, 1);
}

#[test]
fn a_wrong_burst_is_told_of_the_request_that_it_looks_like() {
    let mut rig = Rig::new();
    rig.ask_read(3, NONE, 1);
    rig.ask_read(3, RW, 0);
    rig.walk(NONE);
    rig.walk(RW);
    rig.clock(&[Event::OutAr(burst(3, PA, 1))]);
    rig.only(Check::RefusedForwarded);
}

#[test]
fn a_record_may_be_of_the_later_of_two_alike() {
    // The first fault may have been lost, as the queue was off; the second must be recorded.
    for records in [1, 0] {
        let mut rig = Rig::new();
        rig.write(offset::FQCSR, 2);
        rig.refused_read(1);
        rig.write(offset::FQCSR, 3);
        rig.read(offset::FQCSR, 0x1_0003);
        rig.refused_read(2);
        if records == 1 {
            rig.record_at(
                0,
                Rig::record(Cause::ReadPageFault, false, NONE),
                Resp::Okay,
            );
            rig.clock(&[Event::Wsi(2)]);
        }
        rig.end();
        if records == 1 {
            rig.fine();
        } else {
            rig.only(Check::RecordMissing);
        }
    }
}

#[test]
fn an_edit_under_an_open_request_makes_both_outcomes_legal() {
    for grant in [false, true] {
        let mut rig = Rig::new();
        rig.ask_read(1, NONE, 0);
        rig.walk(NONE);
        rig.mem.write_u64(0x4018, (PA >> 12) << 10 | 0xd7);
        rig.board.on_store(0x4018, &[0; 8]);
        if grant {
            rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
            rig.clock(&[Event::OutR(r(1, 7, Resp::Okay, true))]);
            rig.clock(&[Event::DevR(r(1, 7, Resp::Okay, true))]);
        } else {
            rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
            rig.record_at(
                0,
                Rig::record(Cause::ReadPageFault, false, NONE),
                Resp::Okay,
            );
            rig.clock(&[Event::Wsi(2)]);
        }
        rig.end();
        rig.fine();
        assert_eq!(rig.board.counters().either, 1);
    }
}

#[test]
fn page_crossing_and_atomics_are_refused_without_record() {
    let mut rig = Rig::new();
    rig.clock(&[Event::DevAr(burst(1, RW + 0xff8, 1), DEVICE)]);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, false))]);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
    rig.clock(&[Event::DevAw(
        AxiAddr {
            atop: 0x20,
            ..burst(2, RW, 0)
        },
        DEVICE,
    )]);
    rig.clock(&[Event::DevW(w(1, 0xff, true))]);
    // AtomicLoad: read data comes, too.
    rig.clock(&[Event::DevR(r(2, 0, Resp::SlvErr, true))]);
    rig.clock(&[Event::DevB(b(2, Resp::SlvErr))]);
    rig.end();
    rig.fine();
    assert!(rig.board.is_idle());
    assert_eq!(rig.board.counters().checked, 2);
}

#[test]
fn bare_passes_everything_and_off_nothing() {
    let mut rig = Rig::cold(config());
    rig.clock(&[Event::DevAr(burst(1, 0x77_0000, 0), DEVICE)]);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
    rig.write8(offset::DDTP, 1);
    rig.read(offset::DDTP, 1);
    rig.clock(&[Event::DevAr(burst(1, 0x77_0000, 0), DEVICE)]);
    rig.clock(&[Event::OutAr(burst(1, 0x77_0000, 0))]);
    rig.clock(&[Event::OutR(r(1, 9, Resp::Okay, true))]);
    rig.clock(&[Event::DevR(r(1, 9, Resp::Okay, true))]);
    rig.end();
    rig.fine();
    let classes: Vec<Class> = rig.board.take_transactions().map(|t| t.class).collect();
    assert_eq!(classes, [Class::Fault { reads: 0 }, Class::Bare]);
}

// ---- requests

#[test]
fn burst_without_request() {
    let mut rig = Rig::new();
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::BurstWithoutRequest);
}

#[test]
fn refused_forwarded() {
    let mut rig = Rig::new();
    rig.ask_read(1, NONE, 0);
    rig.walk(NONE);
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::RefusedForwarded);
}

#[test]
fn a_burst_whose_permission_is_missing_is_refused_forwarded() {
    let mut rig = Rig::new();
    rig.ask_write(1, RO, &[1]);
    rig.walk(RO);
    rig.clock(&[Event::OutAw(burst(1, 0x9_0000, 0))]);
    rig.only(Check::RefusedForwarded);
}

#[test]
fn wrong_address() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.clock(&[Event::OutAr(burst(1, PA + 8, 0))]);
    rig.only(Check::WrongAddress);
}

#[test]
fn field_changed() {
    for wrong in [
        AxiAddr {
            len: 1,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            size: 2,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            prot: 1,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            qos: 3,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            lock: true,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            cache: 2,
            ..burst(1, PA, 0)
        },
        AxiAddr {
            burst: Burst::Fixed,
            ..burst(1, PA, 0)
        },
    ] {
        let mut rig = Rig::new();
        rig.ask_read(1, RW, 0);
        rig.walk(RW);
        rig.clock(&[Event::OutAr(wrong)]);
        rig.only(Check::FieldChanged);
    }
}

#[test]
fn user_bits() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.clock(&[Event::OutAr(AxiAddr {
        user: 1,
        ..burst(1, PA, 0)
    })]);
    rig.only(Check::UserBits);
}

#[test]
fn swapped_ids() {
    let mut rig = Rig::new();
    rig.good_read(9, RW);
    rig.ask_read(1, RW, 0);
    rig.ask_read(2, RW + 8, 0);
    rig.clock(&[Event::OutAr(burst(2, PA, 0))]);
    rig.only(Check::WrongAddress);
}

#[test]
fn write_data() {
    for wrong in [w(2, 0xff, true), w(1, 0x7f, true), w(1, 0xff, false)] {
        let mut rig = Rig::new();
        rig.ask_write(1, RW, &[1]);
        rig.walk(RW);
        rig.clock(&[Event::OutAw(burst(1, PA, 0))]);
        rig.clock(&[Event::OutW(wrong)]);
        rig.only(Check::WriteData);
    }
    // Invented before the device sent it.
    let mut rig = Rig::new();
    rig.clock(&[Event::DevAw(burst(1, RW, 0), DEVICE)]);
    rig.walk(RW);
    rig.clock(&[Event::OutAw(burst(1, PA, 0))]);
    rig.clock(&[Event::OutW(w(0, 0, true))]);
    rig.only(Check::WriteData);
}

#[test]
fn data_before_its_address_is_compared_too() {
    let mut rig = Rig::new();
    rig.clock(&[Event::DevW(w(5, 0xff, true))]);
    rig.clock(&[Event::DevAw(burst(1, RW, 0), DEVICE)]);
    rig.walk(RW);
    rig.clock(&[Event::OutW(w(5, 0xff, true))]);
    rig.clock(&[Event::OutAw(burst(1, PA, 0))]);
    rig.fine();
    rig.clock(&[Event::OutB(b(1, Resp::Okay))]);
    rig.clock(&[Event::DevB(b(1, Resp::Okay))]);
    rig.fine();
}

#[test]
fn grant_from_nowhere() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::GrantFromNowhere);
    // What was read before a reset does not count.
    let mut rig = Rig::new();
    rig.good_read(1, RW);
    rig.clock(&[Event::Reset]);
    rig.write8(offset::DDTP, (DDT >> 12) << 10 | 2);
    rig.read(offset::DDTP, (DDT >> 12) << 10 | 2);
    rig.ask_read(1, RW, 0);
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::GrantFromNowhere);
}

#[test]
fn response_without_request() {
    let mut rig = Rig::new();
    rig.clock(&[Event::DevB(b(1, Resp::Okay))]);
    rig.only(Check::ResponseWithoutRequest);
    let mut rig = Rig::new();
    rig.good_read(1, RW);
    rig.clock(&[Event::DevR(r(1, 0, Resp::Okay, true))]);
    rig.only(Check::ResponseWithoutRequest);
}

#[test]
fn response_early() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.clock(&[Event::DevR(r(1, 0, Resp::Okay, true))]);
    rig.only(Check::ResponseEarly);
    let mut rig = Rig::new();
    rig.ask_write(1, RW, &[1]);
    rig.walk(RW);
    rig.clock(&[Event::OutAw(burst(1, PA, 0)), Event::OutW(w(1, 0xff, true))]);
    rig.clock(&[Event::DevB(b(1, Resp::Okay))]);
    rig.only(Check::ResponseEarly);
    // A refusal before the data was taken.
    let mut rig = Rig::new();
    rig.clock(&[Event::DevAw(burst(1, NONE, 0), DEVICE)]);
    rig.walk(NONE);
    rig.clock(&[Event::DevB(b(1, Resp::SlvErr))]);
    rig.only(Check::ResponseEarly);
}

#[test]
fn grant_refused() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
    rig.only(Check::GrantRefused);
}

#[test]
fn refused_response_and_data() {
    let mut rig = Rig::new();
    rig.ask_read(1, NONE, 0);
    rig.walk(NONE);
    rig.clock(&[Event::DevR(r(1, 0, Resp::DecErr, true))]);
    rig.only(Check::RefusedResponse);
    let mut rig = Rig::new();
    rig.ask_write(1, RO, &[1]);
    rig.walk(RO);
    rig.clock(&[Event::DevB(b(1, Resp::Okay))]);
    rig.only(Check::RefusedResponse);
    let mut rig = Rig::new();
    rig.ask_read(1, NONE, 0);
    rig.walk(NONE);
    rig.clock(&[Event::DevR(r(1, 0xdead, Resp::SlvErr, true))]);
    rig.only(Check::RefusedData);
}

#[test]
fn read_data_code_and_last() {
    for (beat, check) in [
        (r(1, 8, Resp::Okay, true), Check::ReadData),
        (r(1, 7, Resp::SlvErr, true), Check::ResponseCode),
        (r(1, 7, Resp::Okay, false), Check::ReadLast),
    ] {
        let mut rig = Rig::new();
        rig.ask_read(1, RW, 0);
        rig.walk(RW);
        rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
        rig.clock(&[Event::OutR(r(1, 7, Resp::Okay, true))]);
        rig.clock(&[Event::DevR(beat)]);
        rig.only(check);
    }
    let mut rig = Rig::new();
    rig.ask_write(1, RW, &[1]);
    rig.walk(RW);
    rig.clock(&[Event::OutAw(burst(1, PA, 0)), Event::OutW(w(1, 0xff, true))]);
    rig.clock(&[Event::OutB(b(1, Resp::SlvErr))]);
    rig.clock(&[Event::DevB(b(1, Resp::Okay))]);
    rig.only(Check::ResponseCode);
}

// ---- memory port

#[test]
fn unexplained_read() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    rig.fetch(0x4ff8, 1);
    rig.only(Check::UnexplainedRead);
    // Past the entry: one beat too many.
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.fetch(DDT, 5);
    rig.only(Check::UnexplainedRead);
    // Where the block may speculate it is counted.
    let mut rig = Rig::with(
        ScoreboardConfig {
            speculates: true,
            ..config()
        },
        true,
    );
    rig.fetch(0x4ff8, 1);
    rig.fine();
    assert_eq!(rig.board.counters().speculative_reads, 1);
}

#[test]
fn beyond_pas() {
    let mut rig = Rig::new();
    rig.clock(&[Event::MemAr(burst(1, (1 << 46) - 8, 1))]);
    rig.only(Check::BeyondPas);
}

#[test]
fn fetch_outside_queue() {
    let mut rig = Rig::new();
    rig.write(offset::CQT, 1);
    rig.fetch(CQ + 16, 2);
    rig.only(Check::FetchOutsideQueue);
    let mut rig = Rig::new();
    rig.write(offset::CQCSR, 2);
    rig.read(offset::CQCSR, 2);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.only(Check::FetchOutsideQueue);
}

#[test]
fn fetch_while_stopped() {
    let mut rig = Rig::new();
    rig.command(0, [0x7f, 0]);
    rig.write(offset::CQT, 2);
    rig.fetch(CQ, 2);
    rig.idle(SETTLE + 1);
    rig.read(offset::CQCSR, 0x1_0403);
    rig.fetch(CQ + 16, 2);
    rig.only(Check::FetchWhileStopped);
}

#[test]
fn unexplained_write() {
    let mut rig = Rig::new();
    rig.store4(0x4008, 0);
    rig.only(Check::UnexplainedWrite);
}

#[test]
fn user_bits_of_the_memory_port() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.clock(&[Event::MemAr(AxiAddr {
        user: 1,
        ..burst(1, DDT, 3)
    })]);
    rig.only(Check::UserBits);
}

#[test]
fn access_kind() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.clock(&[Event::MemAr(AxiAddr {
        lock: true,
        ..burst(1, DDT, 3)
    })]);
    rig.only(Check::AccessKind);
}

// ---- records

#[test]
fn record_unexpected() {
    let mut rig = Rig::new();
    rig.record_at(
        0,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::Okay,
    );
    rig.only(Check::RecordUnexpected);
    // Twice for one request.
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.record_at(
        1,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::Okay,
    );
    rig.only(Check::RecordUnexpected);
    // For a request that is then forwarded.
    let mut rig = Rig::new();
    rig.ask_read(1, NONE, 0);
    rig.walk(NONE);
    rig.mem.write_u64(0x4018, (PA >> 12) << 10 | 0xd7);
    rig.board.on_store(0x4018, &[0; 8]);
    rig.record_at(
        0,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::Okay,
    );
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::RecordUnexpected);
}

#[test]
fn record_content() {
    for (word, flip) in [
        (0, 1u64),
        (0, 1 << 34),
        (0, 1 << 40),
        (2, 1 << 12),
        (3, 1),
        (1, 1 << 32),
    ] {
        let mut rig = Rig::new();
        rig.refused_read(1);
        let mut words = Rig::record(Cause::ReadPageFault, false, NONE);
        words[word] ^= flip;
        rig.record_at(0, words, Resp::Okay);
        rig.only(Check::RecordContent);
    }
    // Custom bits are the block's own.
    let mut rig = Rig::new();
    rig.refused_read(1);
    let mut words = Rig::record(Cause::ReadPageFault, false, NONE);
    words[1] |= 0xffff_ffff;
    rig.record_at(0, words, Resp::Okay);
    rig.fine();
}

#[test]
fn record_index() {
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.record_at(
        1,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::Okay,
    );
    rig.only(Check::RecordIndex);
}

#[test]
fn record_while_stopped() {
    // Full: the fourth would make the queue look empty.
    let mut rig = Rig::new();
    for n in 0..4 {
        rig.bad_read(1, n);
    }
    rig.only(Check::RecordWhileStopped);
    // Off.
    let mut rig = Rig::new();
    rig.write(offset::FQCSR, 2);
    rig.read(offset::FQCSR, 2);
    rig.bad_read(1, 0);
    rig.only(Check::RecordWhileStopped);
    // Stopped by fqof.
    let mut rig = Rig::new();
    for n in 0..3 {
        rig.bad_read(1, n);
    }
    rig.refused_read(1);
    rig.read(offset::FQCSR, 0x1_0203);
    rig.write(offset::FQH, 2);
    rig.bad_read(1, 3);
    rig.only(Check::RecordWhileStopped);
}

#[test]
fn record_missing() {
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.idle(3000);
    rig.only(Check::RecordMissing);
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.end();
    rig.only(Check::RecordMissing);
    // Merging blocks may leave out an identical one, and only that.
    let mut rig = Rig::with(
        ScoreboardConfig {
            merges_faults: true,
            ..config()
        },
        true,
    );
    rig.refused_read(1);
    rig.bad_read(2, 0);
    rig.clock(&[Event::Wsi(2)]);
    rig.end();
    rig.fine();
}

#[test]
fn record_partial() {
    let mut rig = Rig::new();
    rig.refused_read(1);
    let words = Rig::record(Cause::ReadPageFault, false, NONE);
    rig.store_with(
        burst(3, FQ, 1),
        &[w(words[0], 0xff, false), w(words[1], 0xff, true)],
        Resp::Okay,
    );
    rig.end();
    rig.some(Check::RecordPartial);
}

#[test]
fn a_record_in_four_writes_is_fine() {
    let mut rig = Rig::new();
    rig.refused_read(1);
    let words = Rig::record(Cause::ReadPageFault, false, NONE);
    for n in 0..4 {
        rig.store_with(
            burst(3, FQ + 8 * n, 0),
            &[w(words[n as usize], 0xff, true)],
            Resp::Okay,
        );
    }
    rig.clock(&[Event::Wsi(2)]);
    rig.read(offset::FQT, 1);
    rig.end();
    rig.fine();
}

// ---- tails, heads and status

#[test]
fn fault_tail() {
    // Before the record's B.
    let mut rig = Rig::new();
    rig.refused_read(1);
    let words = Rig::record(Cause::ReadPageFault, false, NONE);
    rig.clock(&[Event::MemAw(burst(3, FQ, 3))]);
    for (n, word) in words.into_iter().enumerate() {
        rig.clock(&[Event::MemW(w(word, 0xff, n == 3))]);
    }
    rig.read(offset::FQT, 1);
    rig.only(Check::FaultTail);
    // Never.
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.idle(SETTLE + 1);
    rig.read(offset::FQT, 0);
    rig.some(Check::FaultTail);
    // Although the write failed.
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.record_at(0, words, Resp::SlvErr);
    rig.read(offset::FQT, 1);
    rig.only(Check::FaultTail);
}

#[test]
fn fault_status() {
    // A failed record must set fqmf in time.
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.record_at(
        0,
        Rig::record(Cause::ReadPageFault, false, NONE),
        Resp::SlvErr,
    );
    rig.idle(SETTLE + 1);
    rig.read(offset::FQCSR, 0x1_0003);
    rig.some(Check::FaultStatus);
    // Without a cause it stays 0.
    let mut rig = Rig::new();
    rig.read(offset::FQCSR, 0x1_0103);
    rig.only(Check::FaultStatus);
    let mut rig = Rig::new();
    rig.read(offset::FQCSR, 0x1_0203);
    rig.only(Check::FaultStatus);
    // Off although it was on.
    let mut rig = Rig::new();
    rig.read(offset::FQCSR, 0x0_0003);
    rig.only(Check::FaultStatus);
    // A record lost to a full queue leaves fqof.
    let mut rig = Rig::new();
    for n in 0..3 {
        rig.bad_read(1, n);
    }
    rig.clock(&[Event::Wsi(2)]);
    rig.refused_read(1);
    rig.idle(3000);
    rig.read(offset::FQCSR, 0x1_0003);
    rig.only(Check::FaultStatus);
}

#[test]
fn command_head() {
    // Past a command that has not been fetched.
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.read(offset::CQH, 1);
    rig.only(Check::CommandHead);
    // Past an illegal one.
    let mut rig = Rig::new();
    rig.command(0, [0x7f, 0]);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 1);
    rig.only(Check::CommandHead);
    // Backwards.
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 1);
    rig.read(offset::CQH, 0);
    rig.only(Check::CommandHead);
}

#[test]
fn command_status() {
    let mut rig = Rig::new();
    rig.command(0, [0x7f, 0]);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.idle(LONG);
    rig.read(offset::CQCSR, 0x1_0003);
    rig.some(Check::CommandStatus);
    let mut rig = Rig::new();
    rig.read(offset::CQCSR, 0x1_0403);
    rig.only(Check::CommandStatus);
    // A fetch that memory refuses.
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.fetch_with(CQ, 2, Resp::SlvErr);
    rig.idle(LONG);
    rig.read(offset::CQCSR, 0x1_0403);
    rig.some(Check::CommandStatus);
}

#[test]
fn a_fence_must_raise_what_it_promised() {
    let mut rig = Rig::new();
    rig.fence(
        0,
        Iofence {
            wsi: true,
            ..PLAIN_FENCE
        },
    );
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 1);
    rig.idle(SETTLE + 1);
    rig.read(offset::CQCSR, 0x1_0003);
    rig.some(Check::CommandStatus);
}

#[test]
fn commands_wrap_round_although_nobody_reads_cqh() {
    let mut rig = Rig::new();
    for n in 0..40u64 {
        let place = n % 16;
        rig.fence(place, STORING);
        rig.write(offset::CQT, (n + 1) % 16);
        rig.fetch(CQ + 16 * place, 2);
        rig.store4(FLAG, 0xabcd);
    }
    rig.read(offset::CQH, 40 % 16);
    rig.end();
    rig.fine();
    // The one after the last is still out of bounds.
    rig.fetch(CQ + 16 * 8, 2);
    rig.only(Check::FetchOutsideQueue);
}

#[test]
fn a_narrow_escape_from_overflow_is_not_one() {
    // Four faults at once for three places: any may be lost, until all are written.
    let mut rig = Rig::new();
    for id in 1..=4 {
        rig.ask_read(id, NONE, 0);
    }
    rig.walk(NONE);
    for id in 1..=4 {
        rig.clock(&[Event::DevR(r(id, 0, Resp::SlvErr, true))]);
    }
    let words = Rig::record(Cause::ReadPageFault, false, NONE);
    for n in 0..3 {
        rig.record_at(n, words, Resp::Okay);
    }
    rig.write(offset::FQH, 2);
    rig.record_at(3, words, Resp::Okay);
    rig.clock(&[Event::Wsi(2)]);
    rig.fine();
    rig.read(offset::FQCSR, 0x1_0203);
    rig.only(Check::FaultStatus);
}

#[test]
fn an_illegal_command_can_be_put_right() {
    let mut rig = Rig::new();
    rig.command(0, [0x7f, 0]);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.idle(2);
    rig.clock(&[Event::Wsi(1)]);
    rig.read(offset::CQCSR, 0x1_0403);
    rig.read(offset::CQH, 0);
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQCSR, 0x403);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 1);
    rig.write(offset::IPSR, 1);
    rig.clock(&[Event::Wsi(0)]);
    rig.read(offset::IPSR, 0);
    rig.end();
    rig.fine();
}

#[test]
fn fence_early() {
    // Its store comes while a read that was forwarded before has not ended.
    let early = |pr, pw| {
        let mut rig = Rig::new();
        rig.ask_read(1, RW, 0);
        rig.walk(RW);
        rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
        rig.fence(0, Iofence { pr, pw, ..STORING });
        rig.write(offset::CQT, 1);
        rig.fetch(CQ, 2);
        rig.store4(FLAG, 0xabcd);
        rig
    };
    early(true, false).only(Check::FenceEarly);
    early(false, true).fine();
    early(false, false).fine();
    // Without a store, cqh tells.
    let mut rig = Rig::new();
    rig.ask_write(1, RW, &[1]);
    rig.walk(RW);
    rig.clock(&[Event::OutAw(burst(1, PA, 0)), Event::OutW(w(1, 0xff, true))]);
    rig.fence(
        0,
        Iofence {
            pw: true,
            ..PLAIN_FENCE
        },
    );
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 0);
    rig.fine();
    rig.read(offset::CQH, 1);
    rig.only(Check::CommandHead);
    // A fence must not overtake the store of another.
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.fence(
        1,
        Iofence {
            addr: Spa(FLAG + 4),
            ..STORING
        },
    );
    rig.write(offset::CQT, 2);
    rig.fetch(CQ, 4);
    rig.store4(FLAG + 4, 0xabcd);
    rig.only(Check::FenceEarly);
    // cqh passes before the store is visible.
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.read(offset::CQH, 1);
    rig.only(Check::CommandHead);
}

#[test]
fn fence_write() {
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.store4(FLAG, 0xabce);
    rig.only(Check::FenceWrite);
    // Eight bytes instead of four.
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.store_with(burst(2, FLAG, 0), &[w(0xabcd, 0xff, true)], Resp::Okay);
    rig.only(Check::FenceWrite);
    // Twice.
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.clock(&[Event::MemAw(AxiAddr {
        size: 2,
        ..burst(2, FLAG, 0)
    })]);
    rig.clock(&[Event::MemW(w(0xabcd, 0x0f, true))]);
    rig.store4(FLAG, 0xabcd);
    rig.only(Check::FenceWrite);
}

#[test]
fn a_fence_whose_store_fails_stops_the_queue() {
    let mut rig = Rig::new();
    rig.fence(0, STORING);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    let axi = AxiAddr {
        size: 2,
        ..burst(2, FLAG, 0)
    };
    rig.store_with(axi, &[w(0xabcd, 0x0f, true)], Resp::SlvErr);
    rig.idle(2);
    rig.clock(&[Event::Wsi(1)]);
    rig.read(offset::CQCSR, 0x1_0103);
    rig.read(offset::CQH, 0);
    rig.end();
    rig.fine();
}

#[test]
fn a_fence_that_has_begun_may_store_while_the_queue_turns_off() {
    let off = |fences: u64, seen_off: bool| {
        let mut rig = Rig::new();
        for n in 0..fences {
            let addr = Spa(FLAG + 4 * n);
            rig.fence(n, Iofence { addr, ..STORING });
        }
        rig.write(offset::CQT, fences);
        rig.fetch(CQ, 2 * fences as u8);
        rig.write(offset::CQCSR, 2);
        if seen_off {
            rig.read(offset::CQCSR, 2);
        }
        rig
    };
    let mut rig = off(1, false);
    rig.store4(FLAG, 0xabcd);
    rig.read(offset::CQCSR, 2);
    rig.end();
    rig.fine();
    // Not another's data, not the fence after it, not twice, not once the queue is seen to be off.
    let mut rig = off(1, false);
    rig.store4(FLAG, 0xabce);
    rig.only(Check::UnexplainedWrite);
    let mut rig = off(2, false);
    rig.store4(FLAG + 4, 0xabcd);
    rig.only(Check::UnexplainedWrite);
    let mut rig = off(1, false);
    rig.store4(FLAG, 0xabcd);
    rig.store4(FLAG, 0xabcd);
    rig.only(Check::UnexplainedWrite);
    let mut rig = off(1, true);
    rig.store4(FLAG, 0xabcd);
    rig.only(Check::UnexplainedWrite);
}

// ---- interrupts

#[test]
fn pending_bits() {
    let mut rig = Rig::new();
    rig.read(offset::IPSR, 2);
    rig.only(Check::PendingBits);
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.clock(&[Event::Wsi(2)]);
    rig.idle(SETTLE + 1);
    rig.read(offset::IPSR, 0);
    rig.only(Check::PendingBits);
    // Still set after it was cleared, although nothing new came.
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.clock(&[Event::Wsi(2)]);
    rig.idle(SETTLE + 1);
    rig.write(offset::IPSR, 2);
    rig.clock(&[Event::Wsi(0)]);
    rig.read(offset::IPSR, 2);
    rig.only(Check::PendingBits);
    // Cleared although its condition lasts.
    let mut rig = Rig::new();
    rig.command(0, [0x7f, 0]);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.idle(2 * SETTLE);
    rig.clock(&[Event::Wsi(1)]);
    rig.read(offset::CQCSR, 0x1_0403);
    rig.write(offset::IPSR, 1);
    rig.idle(SETTLE + 1);
    rig.read(offset::IPSR, 0);
    rig.only(Check::PendingBits);
}

#[test]
fn no_pending_bit_without_enable() {
    let mut rig = Rig::new();
    rig.write(offset::FQCSR, 1);
    rig.read(offset::FQCSR, 0x1_0001);
    rig.bad_read(1, 0);
    rig.read(offset::IPSR, 2);
    rig.only(Check::PendingBits);
}

#[test]
fn wire() {
    // Rises without cause; on the wrong vector; not at all.
    let mut rig = Rig::new();
    rig.clock(&[Event::Wsi(1)]);
    rig.only(Check::Wire);
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.clock(&[Event::Wsi(1)]);
    rig.only(Check::Wire);
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.idle(300);
    rig.only(Check::Wire);
    // Stays high.
    let mut rig = Rig::new();
    rig.bad_read(1, 0);
    rig.clock(&[Event::Wsi(2)]);
    rig.idle(SETTLE + 1);
    rig.write(offset::IPSR, 2);
    rig.idle(300);
    rig.only(Check::Wire);
    // Before the record is visible.
    let mut rig = Rig::new();
    rig.refused_read(1);
    rig.clock(&[Event::Wsi(2)]);
    rig.only(Check::Wire);
}

#[test]
fn message_unexpected() {
    let mut rig = Rig::with(config(), false);
    rig.store4(MSI + 8, 0x101);
    rig.only(Check::MessageUnexpected);
    // Twice for one transition.
    let mut rig = Rig::with(config(), false);
    rig.bad_read(1, 0);
    rig.store4(MSI + 8, 0x101);
    rig.store4(MSI + 8, 0x101);
    rig.only(Check::MessageUnexpected);
    // While masked.
    let mut rig = Rig::with(config(), false);
    rig.write(offset::MSI_CFG_TBL + 16 + 12, 1);
    rig.bad_read(1, 0);
    rig.store4(MSI + 8, 0x101);
    rig.only(Check::MessageUnexpected);
}

#[test]
fn a_masked_message_comes_when_it_is_unmasked() {
    let mut rig = Rig::with(config(), false);
    rig.write(offset::MSI_CFG_TBL + 16 + 12, 1);
    rig.bad_read(1, 0);
    rig.idle(5000);
    rig.fine();
    rig.write(offset::MSI_CFG_TBL + 16 + 12, 0);
    let mut lost = Rig {
        mem: rig.mem.clone(),
        ..Rig::with(config(), false)
    };
    lost.write(offset::MSI_CFG_TBL + 16 + 12, 1);
    lost.bad_read(1, 0);
    lost.write(offset::MSI_CFG_TBL + 16 + 12, 0);
    lost.idle(5000);
    lost.only(Check::MessageMissing);
    rig.store4(MSI + 8, 0x101);
    rig.end();
    rig.fine();
}

#[test]
fn message_content() {
    let mut rig = Rig::with(config(), false);
    rig.bad_read(1, 0);
    rig.store4(MSI + 8, 0x102);
    rig.only(Check::MessageContent);
}

#[test]
fn message_missing() {
    let mut rig = Rig::with(config(), false);
    rig.bad_read(1, 0);
    rig.idle(5000);
    rig.only(Check::MessageMissing);
    let mut rig = Rig::with(config(), false);
    rig.bad_read(1, 0);
    rig.end();
    rig.only(Check::MessageMissing);
}

// ---- registers

#[test]
fn register_value() {
    let mut rig = Rig::new();
    rig.read(offset::CQT, 1);
    rig.only(Check::RegisterValue);
    let mut rig = Rig::new();
    rig.read(offset::CQB, 0);
    rig.only(Check::RegisterValue);
    // Reserved space, and a write that must not have had effect.
    let mut rig = Rig::new();
    rig.read(1024, 1);
    rig.only(Check::RegisterValue);
    let mut rig = Rig::new();
    rig.write_raw(offset::FQH, 3, 0x03, Resp::SlvErr);
    rig.read(offset::FQH, 3);
    rig.only(Check::RegisterValue);
    // The other half of a 4-byte register's read does not count.
    let mut rig = Rig::new();
    rig.read(offset::FCTL, 0xffff_ffff_0000_0002);
    rig.fine();
}

#[test]
fn reset_value() {
    for addr in [offset::CQCSR, offset::FQCSR, offset::IPSR] {
        let mut rig = Rig::cold(config());
        rig.read(addr, 1);
        assert!(!rig.board.violations().is_empty());
    }
    let mut rig = Rig::cold(config());
    rig.read(offset::DDTP, 1);
    rig.only(Check::ResetValue);
    // Others are open, unless the block says that they are zero.
    let mut rig = Rig::cold(ScoreboardConfig {
        reset_zero: false,
        ..config()
    });
    rig.read(offset::CQB, 0x1234_5678);
    rig.read(offset::ICVEC, 0x1234);
    rig.read(offset::FQT, 0x1234);
    rig.fine();
    rig.write8(offset::ICVEC, 1);
    rig.read(offset::ICVEC, 0x1234);
    rig.only(Check::RegisterValue);
}

#[test]
fn register_response() {
    let mut rig = Rig::new();
    rig.write_raw(offset::FQH, 0, 0x0f, Resp::SlvErr);
    rig.only(Check::RegisterResponse);
    let mut rig = Rig::new();
    rig.clock(&[Event::RegReadAccepted { addr: 0 }]);
    rig.clock(&[Event::RegReadDone {
        addr: 0,
        data: 0,
        resp: Resp::DecErr,
    }]);
    rig.only(Check::RegisterResponse);
    let mut rig = Rig::new();
    rig.clock(&[Event::RegReadDone {
        addr: 0,
        data: 0,
        resp: Resp::Okay,
    }]);
    rig.only(Check::RegisterResponse);
}

// ---- liveness

#[test]
fn request_stuck() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.idle(10_000);
    rig.only(Check::RequestStuck);
    // Not while a port that it needs is stopped.
    let mut rig = Rig::new();
    let mut timing = Timing::default();
    timing.mem.stopped = true;
    rig.board.set_timing(timing);
    rig.ask_read(1, RW, 0);
    rig.idle(10_000);
    rig.fine();
    rig.board.set_timing(Timing::default());
    rig.idle(1000);
    rig.fine();
    rig.idle(10_000);
    rig.only(Check::RequestStuck);
}

#[test]
fn request_starved() {
    let overtaken = |by: u32, data: bool| {
        let mut cfg = config();
        cfg.overtakes = 3;
        let mut rig = Rig::with(cfg, false);
        rig.good_read(2, RW);
        // The old one waits; walks of younger ones pass it, each of which reads its leaf.
        rig.clock(&[Event::DevAw(burst(1, 0x2000, 0), DEVICE)]);
        if data {
            rig.clock(&[Event::DevW(w(0, 0xff, true))]);
        }
        for n in 0..by {
            rig.ask_read(2, RW, 0);
            rig.walk(RW);
            rig.clock(&[Event::OutAr(burst(2, PA, 0))]);
            rig.clock(&[Event::OutR(r(2, u64::from(n), Resp::Okay, true))]);
            rig.clock(&[Event::DevR(r(2, u64::from(n), Resp::Okay, true))]);
        }
        rig
    };
    overtaken(3, true).fine();
    overtaken(4, true).only(Check::RequestStarved);
    // Its data is missing: it could not have been forwarded.
    overtaken(9, false).fine();
}

#[test]
fn command_stuck() {
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.idle(30_000);
    rig.only(Check::CommandStuck);
    // cqh must follow, too.
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.fetch(CQ, 2);
    rig.idle(30_000);
    rig.read(offset::CQH, 0);
    rig.only(Check::CommandHead);
}

#[test]
fn register_stuck() {
    let mut rig = Rig::new();
    rig.clock(&[Event::RegReadAccepted { addr: 0 }]);
    rig.idle(1000);
    rig.only(Check::RegisterStuck);
}

#[test]
fn control_stuck() {
    let mut rig = Rig::new();
    rig.write(offset::CQCSR, 2);
    rig.read(offset::CQCSR, 0x3_0002);
    rig.fine();
    rig.idle(30_000);
    rig.read(offset::CQCSR, 0x3_0002);
    rig.some(Check::CommandStatus);
    let mut rig = Rig::new();
    rig.read(offset::DDTP, (DDT >> 12) << 10 | 2 | 1 << 4);
    rig.only(Check::ControlStuck);
}

#[test]
fn ddtp_may_take_as_long_as_what_was_open_when_it_was_written() {
    let busy = (DDT >> 12) << 10 | 2 | 1 << 4;
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.ask_read(2, RW, 0);
    rig.write8(offset::DDTP, (DDT >> 12) << 10 | 2);
    rig.walk(RW);
    for id in [1, 2] {
        rig.clock(&[Event::OutAr(burst(id, PA, 0))]);
        rig.clock(&[Event::OutR(r(id, 0, Resp::Okay, true))]);
        rig.clock(&[Event::DevR(r(id, 0, Resp::Okay, true))]);
    }
    // Nothing is open now, but was.
    let (alone, each) = (rig.board.bounds.control, 2 * rig.board.bounds.other);
    rig.idle(alone + each);
    rig.read(offset::DDTP, busy);
    rig.fine();
    rig.idle(each);
    rig.read(offset::DDTP, busy);
    rig.only(Check::ControlStuck);
}

#[test]
fn off_early() {
    // Forwarded before the write of ddtp, or not yet: its end on m_dev comes before busy is 0.
    let off = |rig: &mut Rig| {
        rig.write8(offset::DDTP, (DDT >> 12) << 10);
        rig.read(offset::DDTP, (DDT >> 12) << 10);
    };
    let end = |rig: &mut Rig| {
        rig.clock(&[Event::OutR(r(1, 7, Resp::Okay, true))]);
        rig.clock(&[Event::DevR(r(1, 7, Resp::Okay, true))]);
    };
    for (ends_first, right) in [(true, true), (false, false)] {
        let mut rig = Rig::new();
        rig.ask_read(1, RW, 0);
        rig.walk(RW);
        rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
        if ends_first {
            end(&mut rig);
        }
        off(&mut rig);
        if right {
            rig.fine();
        } else {
            rig.only(Check::OffEarly);
        }
    }
    // Not forwarded yet: it may only be aborted.
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    off(&mut rig);
    rig.fine();
    rig.clock(&[Event::OutAr(burst(1, PA, 0))]);
    rig.only(Check::OffEarly);
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.walk(RW);
    off(&mut rig);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
    let record = Rig::record(Cause::AllInboundDisallowed, false, RW);
    rig.record_at(0, record, Resp::Okay);
    rig.fine();
}

#[test]
fn leftover() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.end();
    rig.only(Check::Leftover);
    let mut rig = Rig::new();
    rig.fence(0, PLAIN_FENCE);
    rig.write(offset::CQT, 1);
    rig.end();
    rig.only(Check::Leftover);
}

#[test]
fn reset_drops_what_was_open() {
    let mut rig = Rig::new();
    rig.ask_read(1, RW, 0);
    rig.refused_read(2);
    rig.clock(&[Event::Reset]);
    rig.idle(3000);
    rig.read(offset::IPSR, 0);
    rig.end();
    rig.fine();
    assert!(rig.board.is_idle());
}

#[test]
fn a_faulty_table_is_refused_with_its_cause() {
    let mut rig = Rig::new();
    rig.mem.add_fault(ROOT..ROOT + 8, MemFault::SlvErr);
    rig.ask_read(1, RW, 0);
    rig.fetch(DDT, 4);
    rig.fetch_with(ROOT, 1, Resp::SlvErr);
    rig.clock(&[Event::DevR(r(1, 0, Resp::SlvErr, true))]);
    rig.record_at(
        0,
        Rig::record(Cause::ReadAccessFault, false, RW),
        Resp::Okay,
    );
    rig.clock(&[Event::Wsi(2)]);
    rig.end();
    rig.fine();
}

#[test]
fn an_entry_whose_memory_became_faulty_may_still_be_held() {
    let all = Command::IotinvalVma(iommu_golden::command::Iotinval {
        gv: false,
        av: false,
        pscv: false,
        nl: false,
        s: false,
        gscid: 0,
        pscid: 0,
        addr: 0,
    });
    let answer = |rig: &mut Rig, grant: bool| {
        rig.ask_read(2, RW, 0);
        if grant {
            rig.clock(&[Event::OutAr(burst(2, PA, 0))]);
            rig.clock(&[Event::OutR(r(2, 7, Resp::Okay, true))]);
            rig.clock(&[Event::DevR(r(2, 7, Resp::Okay, true))]);
        } else {
            rig.clock(&[Event::DevR(r(2, 0, Resp::SlvErr, true))]);
            rig.record_at(0, Rig::record(Cause::PtCorruption, false, RW), Resp::Okay);
        }
    };
    for grant in [true, false] {
        let mut rig = Rig::new();
        rig.good_read(1, RW);
        rig.mem.add_fault(0x4008..0x4010, MemFault::Poison);
        rig.board.on_memory_changed();
        answer(&mut rig, grant);
        rig.fine();
        // Gone once everything is invalidated and a fence has completed.
        let mut rig = Rig::new();
        rig.good_read(1, RW);
        rig.mem.add_fault(0x4008..0x4010, MemFault::Poison);
        rig.board.on_memory_changed();
        rig.command(0, all.encode());
        rig.fence(1, PLAIN_FENCE);
        rig.write(offset::CQT, 2);
        rig.fetch(CQ, 4);
        rig.read(offset::CQH, 2);
        answer(&mut rig, grant);
        if grant {
            rig.some(Check::IsolationBreach);
        } else {
            rig.fine();
        }
    }
    // A NAPOT range is held as a whole.
    let mut rig = Rig::new();
    for n in 0..16 {
        rig.mem
            .write_u64(0x4080 + 8 * n, 1 << 63 | (PA >> 12 | 8) << 10 | 0xd7);
    }
    rig.ask_read(1, 0x1_3000, 0);
    rig.walk(0x1_3000);
    rig.clock(&[Event::OutAr(burst(1, PA + 0x3000, 0))]);
    rig.clock(&[Event::OutR(r(1, 7, Resp::Okay, true))]);
    rig.clock(&[Event::DevR(r(1, 7, Resp::Okay, true))]);
    rig.mem.add_fault(0x4080..0x4088, MemFault::SlvErr);
    rig.board.on_memory_changed();
    rig.ask_read(2, 0x1_0000, 0);
    rig.clock(&[Event::OutAr(burst(2, PA, 0))]);
    rig.fine();
    // Never held before: no liberty.
    let mut rig = Rig::new();
    rig.mem.add_fault(0x4008..0x4010, MemFault::Poison);
    answer(&mut rig, true);
    rig.some(Check::RefusedForwarded);
}

#[test]
fn every_check_has_a_test_that_fails_it() {
    let tests = [
        include_str!("tests.rs"),
        include_str!("tests/ats.rs"),
        include_str!("tests/atomics.rs"),
        include_str!("tests/monitor.rs"),
        include_str!("tests/pages.rs"),
        include_str!("tests/legal.rs"),
        include_str!("tests/mrif.rs"),
    ]
    .concat();
    for check in Check::ALL {
        let name = format!("Check::{check:?}");
        assert!(tests.contains(&name), "no test makes {name} fail");
    }
}
