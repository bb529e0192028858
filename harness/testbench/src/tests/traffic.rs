//! Device, register and interrupt agents round a block that passes traffic through.

use std::collections::BTreeMap;

use iommu_bus::event::{At, Burst, Event, Resp, Sideband, WBeat};
use iommu_bus::{DevTiming, MemFault, PortTiming, RegTiming};

use super::soft::{PassThrough, Scripted};
use super::{bench, run, side};
use crate::rng::Stream;
use crate::{DevCompletion, DevDir, DevTicket, DevTransaction, RegOp, Testbench, TestbenchConfig};

/// Bytes that a burst touches, from the AXI specification's own formulas
/// (address structure equations), beat by beat as (address, lane).
fn touched(t: &DevTransaction) -> Vec<Vec<(u64, u32)>> {
    let bytes = 1u64 << t.size;
    let start = t.addr;
    let aligned = start / bytes * bytes;
    let beats = u64::from(t.len) + 1;
    let boundary = start / (bytes * beats) * (bytes * beats);
    let mut all = Vec::new();
    let mut address = start;
    for n in 1..=beats {
        if n > 1 {
            address = match t.burst {
                Burst::Fixed => start,
                Burst::Wrap => {
                    let next = aligned + (n - 1) * bytes;
                    if next >= boundary + bytes * beats {
                        next - bytes * beats
                    } else {
                        next
                    }
                }
                _ => aligned + (n - 1) * bytes,
            };
        }
        let end = address / bytes * bytes + bytes;
        all.push((address..end).map(|a| (a, (a % 8) as u32)).collect());
    }
    all
}

fn random_burst(rng: &mut Stream, page: u64) -> DevTransaction {
    let mut t = DevTransaction::read(side(), rng.below(256) as u8, page, 8);
    t.size = rng.below(4) as u8;
    let bytes = 1u64 << t.size;
    t.burst = [Burst::Incr, Burst::Fixed, Burst::Wrap, Burst::Incr][rng.below(4) as usize];
    match t.burst {
        Burst::Wrap => {
            t.len = [1, 3, 7, 15][rng.below(4) as usize];
            t.addr = page + u64::from(rng.below(4096)) / bytes * bytes;
        }
        Burst::Fixed => {
            t.len = rng.below(16) as u8;
            t.addr = page + u64::from(rng.below(4096));
        }
        _ => {
            t.addr = page + u64::from(rng.below(4096));
            let room = (4096 - (t.addr % 4096) / bytes * bytes) / bytes;
            t.len = rng.below(room.min(256) as u32) as u8;
        }
    }
    t
}

/// Runs until all device transactions have ended.
fn finish(tb: &mut Testbench, limit: u32) -> (Vec<DevCompletion>, Vec<At>) {
    let mut events = Vec::new();
    let mut done = Vec::new();
    for _ in 0..limit {
        events.extend(run(tb, 1));
        while let Some(c) = tb.take_dev_done() {
            done.push(c);
        }
        if tb.outstanding().is_idle() {
            tb.finish().expect("no orphans");
            return (done, events);
        }
    }
    panic!("still outstanding: {:?}", tb.outstanding());
}

fn rough(seed: u64) -> TestbenchConfig {
    let port = PortTiming {
        latency: 1..=30,
        out_of_order: true,
        interleave: seed.is_multiple_of(2),
        ready_percent: 60,
        gap_percent: 20,
        stopped: false,
    };
    TestbenchConfig {
        seed,
        mem: port.clone(),
        out: port,
        dev: DevTiming {
            aw_gap_percent: 30,
            w_gap_percent: 20,
            ar_gap_percent: 30,
            aw_delay: (seed % 3) as u32 * 4,
            w_delay: (seed % 2) as u32 * 3,
            w_before_aw: !seed.is_multiple_of(3),
            b_ready_percent: 50,
            r_ready_percent: 50,
            ..DevTiming::default()
        },
        reg: RegTiming::default(),
        ..TestbenchConfig::default()
    }
}

#[test]
fn every_burst_carries_the_right_bytes() {
    for seed in 0..8 {
        let smooth = TestbenchConfig {
            seed,
            ..TestbenchConfig::default()
        };
        let cfg = if seed == 0 { smooth } else { rough(seed) };
        let mut tb = bench(PassThrough::new(1 + seed, 1 + seed as usize), cfg);
        let mut rng = Stream::new(seed, "test");
        // A burst a page, so that the order between ids does not matter.
        let mut model: BTreeMap<u64, u8> = BTreeMap::new();
        let mut tickets = Vec::new();
        for n in 0..60u64 {
            let mut t = random_burst(&mut rng, 0x10_0000 + 4096 * n);
            let mut data = Vec::new();
            for beat in touched(&t) {
                // Strobes: full, sparse or none; surplus strobes must not get out.
                let strb = [0xff, rng.below(256) as u8, 0][rng.below(3) as usize];
                let word = rng.word();
                for (address, lane) in beat {
                    if strb >> lane & 1 != 0 {
                        model.insert(address, (word >> (8 * lane)) as u8);
                    }
                }
                data.push(WBeat {
                    data: word,
                    strb,
                    last: false,
                });
            }
            t.dir = DevDir::Write { data };
            tickets.push((tb.submit_dev(t.clone()), t));
        }
        let (done, events) = finish(&mut tb, 60_000);
        assert_eq!(done.len(), 60);
        check_done(&done, &tickets, &events);
        for n in 0..60u64 * 4096 {
            let mut byte = [0];
            tb.memory().read(0x10_0000 + n, &mut byte);
            assert_eq!(
                byte[0],
                model.get(&(0x10_0000 + n)).copied().unwrap_or(0),
                "at {n:#x}"
            );
        }
        // Read all of it back with other bursts.
        let mut tickets = Vec::new();
        for n in 0..60u64 {
            let t = random_burst(&mut rng, 0x10_0000 + 4096 * n);
            tickets.push((tb.submit_dev(t.clone()), t));
        }
        let (done, events) = finish(&mut tb, 60_000);
        check_done(&done, &tickets, &events);
        for c in &done {
            let (_, t) = tickets
                .iter()
                .find(|(ticket, _)| *ticket == c.ticket)
                .expect("known");
            for (beat, want) in c.data.iter().zip(touched(t)) {
                for (address, lane) in want {
                    let want = model.get(&address).copied().unwrap_or(0);
                    assert_eq!(
                        (beat.data >> (8 * lane)) as u8,
                        want,
                        "{t:x?} at {address:#x}"
                    );
                }
            }
        }
    }
}

/// Order per id, response counts, and clocks that make sense.
fn check_done(done: &[DevCompletion], sent: &[(DevTicket, DevTransaction)], events: &[At]) {
    assert_eq!(done.len(), sent.len());
    let mut last: BTreeMap<(u8, bool), DevTicket> = BTreeMap::new();
    for c in done {
        let (_, t) = sent
            .iter()
            .find(|(ticket, _)| *ticket == c.ticket)
            .expect("known");
        assert_eq!(c.resp, Resp::Okay);
        assert!(!c.aborted);
        assert_eq!(c.addr.addr, t.addr);
        if !c.write {
            assert_eq!(c.data.len(), usize::from(t.len) + 1);
        }
        if let Some(before) = last.insert((c.addr.id, c.write), c.ticket) {
            assert!(before < c.ticket, "id {} out of order", c.addr.id);
        }
        let accepted = c.accepted.expect("accepted");
        let forwarded = c.forwarded.expect("forwarded");
        assert!(c.submitted <= accepted && accepted < forwarded && forwarded < c.done);
        let sideband = |at: &At| match at.event {
            Event::DevAr(a, s) | Event::DevAw(a, s) => {
                at.cycle == accepted && a == c.addr && s == side()
            }
            _ => false,
        };
        assert!(events.iter().any(sideband));
        let out = |at: &At| match at.event {
            Event::OutAr(a) | Event::OutAw(a) => at.cycle == forwarded && a == c.addr,
            _ => false,
        };
        assert!(events.iter().any(out), "not forwarded unchanged: {c:x?}");
    }
}

#[test]
fn runs_replay_and_seeds_differ() {
    let hash = |seed, gap| {
        let mut cfg = rough(seed);
        cfg.reg.gap_percent = gap;
        let mut tb = bench(PassThrough::new(3, 4), cfg);
        for n in 0..40 {
            tb.submit_dev(DevTransaction::write(
                side(),
                n,
                0x1000 * u64::from(n),
                &[n; 100],
            ));
            tb.submit_dev(DevTransaction::read(side(), n, 0x1000 * u64::from(n), 100));
        }
        finish(&mut tb, 20_000);
        tb.event_hash()
    };
    assert_eq!(hash(3, 0), hash(3, 0));
    assert_ne!(hash(3, 0), hash(4, 0));
    // A purpose of its own each: draws at the register port, where nothing goes on, change nothing.
    assert_eq!(hash(3, 0), hash(3, 50));
}

#[test]
fn hits_stream_one_a_clock() {
    let mut tb = bench(PassThrough::new(2, 8), TestbenchConfig::default());
    for n in 0..64 {
        tb.submit_dev(DevTransaction::read(
            side(),
            n,
            0x1000 + 8 * u64::from(n),
            8,
        ));
    }
    let (done, _) = finish(&mut tb, 200);
    let first = done[0].accepted.expect("accepted");
    for (n, c) in done.iter().enumerate() {
        assert_eq!(c.accepted, Some(first + n as u64));
        assert_eq!(c.forwarded, Some(first + n as u64 + 2));
    }
}

#[test]
fn byte_helpers_cover_exactly_their_bytes() {
    let mut tb = bench(PassThrough::new(1, 4), TestbenchConfig::default());
    tb.memory().write(0x1ff0, &[0xaa; 64]);
    let bytes: Vec<u8> = (1..=29).collect();
    tb.submit_dev(DevTransaction::write(side(), 1, 0x2003, &bytes));
    finish(&mut tb, 100);
    let mut back = [0; 31];
    tb.memory().read(0x2002, &mut back);
    assert_eq!((back[0], &back[1..30], back[30]), (0xaa, &bytes[..], 0xaa));
    tb.submit_dev(DevTransaction::read(side(), 1, 0x2003, 29));
    let (done, _) = finish(&mut tb, 100);
    assert_eq!(done[0].bytes(29), bytes);
    // Nonsense sizes must not panic.
    for bytes in [0, 1, 2048, 5000] {
        tb.submit_dev(DevTransaction::read(side(), 1, 0x3000, bytes));
        tb.submit_dev(DevTransaction::write(side(), 1, 0x3000, &vec![1; bytes]));
    }
    finish(&mut tb, 10_000);
}

#[test]
fn errors_pass_and_are_told() {
    let mut tb = bench(PassThrough::new(1, 4), TestbenchConfig::default());
    tb.memory().add_fault(0x1008..0x1010, MemFault::Poison);
    tb.memory().add_fault(0x2000..0x2008, MemFault::DecErr);
    tb.submit_dev(DevTransaction::read(side(), 1, 0x1000, 32));
    tb.submit_dev(DevTransaction::write(side(), 2, 0x2000, &[1; 8]));
    let (done, _) = finish(&mut tb, 100);
    let by = |id| done.iter().find(|c| c.addr.id == id).expect("done");
    // `m_dev` has no poison wires.
    assert_eq!(by(1).resp, Resp::SlvErr);
    let resps: Vec<_> = by(1).data.iter().map(|r| r.resp).collect();
    assert_eq!(resps, [Resp::Okay, Resp::SlvErr, Resp::Okay, Resp::Okay]);
    assert_eq!(by(2).resp, Resp::DecErr);
    assert!(done.iter().all(|c| c.forwarded.is_some()));
}

#[test]
fn exclusives() {
    let mut tb = bench(PassThrough::new(1, 4), TestbenchConfig::default());
    let lock = |mut t: DevTransaction| {
        t.lock = true;
        t
    };
    let mut one = |t: DevTransaction| {
        tb.submit_dev(t);
        let (done, events) = finish(&mut tb, 100);
        let stored = events
            .iter()
            .any(|at| matches!(at.event, Event::OutStored { .. }));
        (done[0].resp, stored)
    };
    let read = |id| lock(DevTransaction::read(side(), id, 0x1000, 8));
    let write = |id| lock(DevTransaction::write(side(), id, 0x1000, &[id; 8]));
    assert_eq!(one(write(1)), (Resp::Okay, false)); // nothing was read before
    assert_eq!(one(read(1)), (Resp::ExOkay, false));
    assert_eq!(one(write(2)), (Resp::Okay, false)); // another id
    assert_eq!(one(write(1)), (Resp::ExOkay, true));
    assert_eq!(one(write(1)), (Resp::Okay, false)); // once only
    assert_eq!(one(read(1)).0, Resp::ExOkay);
    assert_eq!(one(read(2)).0, Resp::ExOkay);
    assert_eq!(
        one(DevTransaction::write(side(), 3, 0x1004, &[9])),
        (Resp::Okay, true)
    );
    assert_eq!(one(write(1)), (Resp::Okay, false)); // disturbed
    assert_eq!(one(write(2)), (Resp::Okay, false));
    assert_eq!(tb.memory().read_u64(0x1000), 0x0101_0109_0101_0101);
}

#[test]
fn device_atomics_keep_their_id_to_themselves() {
    for seed in 0..12 {
        // One address at a time: a read waits, valid, while the atomic wants to start.
        let mut tb = bench(PassThrough::new(2, 1 + seed as usize % 3), rough(seed));
        tb.memory().write_u64(0x1000, 40);
        for n in 0..8 {
            let mut t = DevTransaction::write(side(), 3, 0x1000, &2u64.to_le_bytes());
            t.atop = 0x20; // LOAD ADD
            tb.submit_dev(t);
            tb.submit_dev(DevTransaction::read(side(), 3, 0x1000 * n, 64));
            tb.submit_dev(DevTransaction::read(side(), 4, 0x1000 * n, 64));
        }
        // The checker of `m_dev` says so if ids are shared.
        let (done, events) = finish(&mut tb, 5000);
        let mut atomic = 0u32; // responses due: B and R
        let mut reads = 0u32;
        for at in &events {
            match at.event {
                Event::DevAw(a, _) => {
                    assert_eq!((a.id, reads, atomic), (3, 0, 0));
                    atomic = 2;
                }
                Event::DevAr(a, _) if a.id == 3 => {
                    assert_eq!(atomic, 0);
                    reads += 1;
                }
                Event::DevR(r) if r.id == 3 && r.last && atomic == 0 => reads -= 1,
                Event::DevR(r) if r.id == 3 && r.last => atomic -= 1,
                Event::DevB(_) => atomic -= 1,
                _ => {}
            }
        }
        let of = |c: &&DevCompletion| c.write;
        let mut old: Vec<u64> = done.iter().filter(of).map(|c| c.data[0].data).collect();
        old.sort_unstable();
        assert_eq!(old, [40, 42, 44, 46, 48, 50, 52, 54]);
        assert_eq!(tb.memory().read_u64(0x1000), 56);
    }
}

fn first(events: &[At], want: impl Fn(&Event) -> bool) -> Option<u64> {
    events.iter().find(|at| want(&at.event)).map(|at| at.cycle)
}

#[test]
fn write_data_before_behind_and_without_its_address() {
    let is_aw = |e: &Event| matches!(e, Event::DevAw(..));
    let is_w = |e: &Event| matches!(e, Event::DevW(_));
    for (aw_delay, w_delay, w_before_aw, lead) in [
        (0, 0, false, 0),
        (10, 0, false, 0),
        (10, 0, true, -10),
        (0, 7, false, 7),
    ] {
        let cfg = TestbenchConfig {
            dev: DevTiming {
                aw_delay,
                w_delay,
                w_before_aw,
                ..DevTiming::default()
            },
            ..TestbenchConfig::default()
        };
        let mut tb = bench(PassThrough::new(1, 32), cfg);
        tb.submit_dev(DevTransaction::write(side(), 1, 0x1000, &[1; 64]));
        let (_, events) = finish(&mut tb, 100);
        let aw = first(&events, is_aw).expect("AW") as i64;
        let w = first(&events, is_w).expect("W") as i64;
        assert_eq!(w - aw, lead);
    }
    let mut tb = bench(PassThrough::new(1, 32), TestbenchConfig::default());
    tb.dev_timing().w_gap_percent = 100;
    tb.submit_dev(DevTransaction::write(side(), 1, 0x1000, &[1; 64]));
    tb.submit_dev(DevTransaction::read(side(), 1, 0x1000, 8));
    let events = run(&mut tb, 100);
    assert!(first(&events, is_aw).is_some() && first(&events, is_w).is_none());
    assert!(first(&events, |e| matches!(e, Event::DevR(_))).is_some());
    tb.dev_timing().w_gap_percent = 0;
    finish(&mut tb, 100);
}

#[test]
fn responses_can_be_stopped_and_requests_limited() {
    let mut tb = bench(PassThrough::new(1, 4), TestbenchConfig::default());
    tb.dev_timing().stop_responses = true;
    for n in 0..20 {
        tb.submit_dev(DevTransaction::read(side(), n, 0x1000, 8));
    }
    let events = run(&mut tb, 200);
    assert!(first(&events, |e| matches!(e, Event::DevR(_))).is_none());
    tb.dev_timing().stop_responses = false;
    assert_eq!(finish(&mut tb, 300).0.len(), 20);

    tb.dev_timing().max_reads = 1;
    for n in 0..5 {
        tb.submit_dev(DevTransaction::read(side(), n, 0x1000, 8));
    }
    let (done, _) = finish(&mut tb, 300);
    for pair in done.windows(2) {
        assert!(pair[1].accepted.expect("accepted") > pair[0].done);
    }
    tb.dev_timing().stop_requests = true;
    tb.submit_dev(DevTransaction::read(side(), 1, 0x1000, 8));
    assert_eq!(run(&mut tb, 50), []);
}

#[test]
fn registers_by_halves_and_whole() {
    for (seed, timing) in [
        RegTiming::default(),
        RegTiming {
            gap_percent: 50,
            ready_percent: 40,
            max_outstanding: 1,
        },
        RegTiming {
            gap_percent: 30,
            ready_percent: 60,
            max_outstanding: 4,
        },
    ]
    .into_iter()
    .enumerate()
    {
        let cfg = TestbenchConfig {
            seed: seed as u64,
            reg: timing,
            ..TestbenchConfig::default()
        };
        let mut tb = bench(PassThrough::new(1, 1), cfg);
        let ops = [
            (
                RegOp::Write {
                    offset: 0x18,
                    size: 8,
                    value: 0x1111_2222_3333_4444,
                },
                0,
            ),
            (
                RegOp::Write {
                    offset: 0x1c,
                    size: 4,
                    value: 0xaaaa_bbbb_cccc_dddd,
                },
                0,
            ),
            (
                RegOp::Read {
                    offset: 0x18,
                    size: 8,
                },
                0xcccc_dddd_3333_4444,
            ),
            (
                RegOp::Write {
                    offset: 0x18,
                    size: 4,
                    value: 7,
                },
                0,
            ),
            (
                RegOp::Read {
                    offset: 0x1c,
                    size: 4,
                },
                0xcccc_dddd,
            ),
            (
                RegOp::Read {
                    offset: 0x18,
                    size: 4,
                },
                7,
            ),
            (
                RegOp::Raw {
                    offset: 0x18,
                    data: u64::MAX,
                    strb: 0x20,
                },
                0,
            ),
            (
                RegOp::Read {
                    offset: 0x18,
                    size: 8,
                },
                0xcccc_ffdd_0000_0007,
            ),
        ];
        let tickets: Vec<_> = ops.iter().map(|(op, _)| tb.submit_reg(*op)).collect();
        let events = run(&mut tb, 300);
        for ((op, want), ticket) in ops.into_iter().zip(tickets) {
            let c = tb.take_reg_done().expect("done");
            assert_eq!(
                (c.ticket, c.op, c.value, c.resp),
                (ticket, op, want, Resp::Okay)
            );
            assert!(c.accepted.expect("accepted") < c.done);
        }
        let accepted: Vec<_> = events
            .iter()
            .filter_map(|at| match at.event {
                Event::RegWriteAccepted { addr, strb, .. } => Some((addr, strb)),
                Event::RegReadAccepted { addr } => Some((addr, 0)),
                _ => None,
            })
            .collect();
        let want = [
            (0x18, 0xff),
            (0x1c, 0xf0),
            (0x18, 0),
            (0x18, 0x0f),
            (0x1c, 0),
            (0x18, 0),
            (0x18, 0x20),
            (0x18, 0),
        ];
        assert_eq!(accepted, want);
    }
}

#[test]
fn interrupt_wires_are_told_when_they_change() {
    let mut tb = bench(PassThrough::new(1, 1), TestbenchConfig::default());
    for value in [5, 5, 0x8000, 0] {
        tb.submit_reg(RegOp::Write {
            offset: 0,
            size: 8,
            value,
        });
    }
    let events = run(&mut tb, 100);
    let wires: Vec<_> = events
        .iter()
        .filter_map(|at| match at.event {
            Event::Wsi(w) => Some(w),
            _ => None,
        })
        .collect();
    assert_eq!(wires, [5, 0x8000, 0]);
    assert_eq!(tb.wsi(), 0);
}

#[test]
fn reset_ends_everything_at_any_clock() {
    for clocks in 0..60 {
        let mut tb = bench(PassThrough::new(3, 4), rough(7));
        for n in 0..10 {
            tb.submit_dev(DevTransaction::write(
                side(),
                n,
                0x1000 * u64::from(n),
                &[7; 256],
            ));
            tb.submit_dev(DevTransaction::read(side(), n, 0x1000 * u64::from(n), 256));
            tb.submit_reg(RegOp::Write {
                offset: 8,
                size: 8,
                value: 1,
            });
        }
        run(&mut tb, clocks);
        let events = tb.reset(3).expect("quiet in reset").to_vec();
        assert_eq!(
            events.iter().filter(|at| at.event == Event::Reset).count(),
            3
        );
        let mut ended = 0;
        while let Some(c) = tb.take_dev_done() {
            assert!(c.aborted || c.done < u64::from(clocks) + 2);
            ended += 1;
        }
        while let Some(c) = tb.take_reg_done() {
            ended += 1;
            assert!(c.aborted || c.accepted.is_some());
        }
        assert_eq!(ended, 30);
        assert!(tb.outstanding().is_idle(), "{:?}", tb.outstanding());
        // And the block works again.
        *tb.dev_timing() = DevTiming::default();
        tb.submit_dev(DevTransaction::write(side(), 1, 0x9000, &[3; 8]));
        tb.submit_dev(DevTransaction::read(side(), 2, 0x5000, 8));
        let (done, _) = finish(&mut tb, 300);
        assert!(done.iter().all(|c| c.resp == Resp::Okay && !c.aborted));
        assert_eq!(tb.memory().read_u64(0x9000), 0x0303_0303_0303_0303);
    }
}

#[test]
fn a_failing_model_is_an_error_and_malformed_transactions_are_not() {
    let mut tb = bench(PassThrough::new(1, 4), TestbenchConfig::default());
    let wild = DevTransaction {
        dir: DevDir::Write { data: vec![] },
        id: 255,
        addr: u64::MAX,
        len: 3,
        size: 255,
        burst: Burst::Fixed,
        lock: true,
        cache: 255,
        prot: 255,
        qos: 255,
        region: 255,
        atop: 255,
        side: Sideband {
            device_id: u32::MAX,
            process_id: Some(u32::MAX),
            translated: true,
        },
    };
    for burst in [Burst::Fixed, Burst::Incr, Burst::Wrap, Burst::Reserved] {
        for dir in [DevDir::Read, wild.dir.clone()] {
            tb.submit_dev(DevTransaction {
                dir,
                burst,
                ..wild.clone()
            });
        }
    }
    for _ in 0..1000 {
        // The block passes on what AXI forbids: violations, but never a panic or a hang.
        let _ = tb.step();
    }
    assert!(tb.outstanding().is_idle(), "{:?}", tb.outstanding());

    struct Broken;
    impl iommu_sim::Device for Broken {
        fn tick(
            &mut self,
            _: &iommu_sim::PinsIn,
            _: &mut iommu_sim::PinsOut,
        ) -> Result<(), iommu_sim::SimError> {
            Err(iommu_sim::SimError::NoTrace)
        }
    }
    let mut tb = Testbench::new(Box::new(Broken), TestbenchConfig::default());
    assert!(matches!(tb.step(), Err(crate::TbError::Sim(_))));
    assert!(tb.reset(2).is_err());
}

#[test]
fn a_block_that_never_answers_hangs_nobody_but_itself() {
    let silent = Scripted::new(|_, _: &iommu_sim::PinsIn, _: &mut iommu_sim::PinsOut| {});
    let mut tb = bench(silent, TestbenchConfig::default());
    tb.submit_dev(DevTransaction::read(side(), 1, 0, 8));
    tb.submit_reg(RegOp::Read { offset: 0, size: 8 });
    assert_eq!(run(&mut tb, 1000), []);
    assert_eq!((tb.outstanding().dev, tb.outstanding().reg), (1, 1));
}

#[test]
fn an_atomic_waits_for_a_read_of_its_id_that_is_offered() {
    let mut tb = bench(PassThrough::new(1, 1), TestbenchConfig::default());
    tb.out_timing().stopped = true;
    tb.submit_dev(DevTransaction::read(side(), 4, 0x1000, 8)); // fills the block
    tb.submit_dev(DevTransaction::read(side(), 3, 0x1000, 8)); // valid, not taken
    run(&mut tb, 20);
    let mut t = DevTransaction::write(side(), 3, 0x1000, &[1; 8]);
    t.atop = 0x20;
    tb.submit_dev(t);
    assert_eq!(run(&mut tb, 20), []);
    tb.out_timing().stopped = false;
    let (done, _) = finish(&mut tb, 200);
    assert_eq!(done.len(), 3);
}

#[test]
fn stopping_requests_stops_a_burst_in_its_middle() {
    let mut tb = bench(PassThrough::new(1, 64), TestbenchConfig::default());
    tb.submit_dev(DevTransaction::write(side(), 4, 0x1000, &[1; 256]));
    run(&mut tb, 10);
    tb.dev_timing().stop_requests = true;
    run(&mut tb, 5); // what is valid, and what the block forwards
    assert_eq!(run(&mut tb, 50), []);
    tb.dev_timing().stop_requests = false;
    finish(&mut tb, 200);
    assert_eq!(tb.memory().read_u64(0x10f8), 0x0101_0101_0101_0101);
}
