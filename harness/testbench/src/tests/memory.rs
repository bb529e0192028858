//! The memory subordinate: latency to the clock, atomics, faults, order, back-pressure.

use iommu_bus::event::{At, AxiAddr, Burst, Event, RBeat, Resp, WBeat};
use iommu_bus::{FaultAccess, MemFault, PortTiming};

use super::soft::{MemOp, PassThrough};
use super::{bench, incr, run};
use crate::{Testbench, TestbenchConfig};

fn with(mem: PortTiming) -> TestbenchConfig {
    TestbenchConfig {
        mem,
        seed: 5,
        ..TestbenchConfig::default()
    }
}

fn play(ops: Vec<MemOp>, mem: PortTiming) -> Testbench {
    bench(PassThrough::with_script(ops), with(mem))
}

fn cycles(events: &[At], want: impl Fn(&Event) -> bool) -> Vec<u64> {
    events
        .iter()
        .filter(|at| want(&at.event))
        .map(|at| at.cycle)
        .collect()
}

fn read_data(events: &[At]) -> Vec<RBeat> {
    let data = |at: &At| match at.event {
        Event::MemR(r) => Some(r),
        _ => None,
    };
    events.iter().filter_map(data).collect()
}

fn write_resp(events: &[At]) -> Vec<Resp> {
    let resp = |at: &At| match at.event {
        Event::MemB(b) => Some(b.resp),
        _ => None,
    };
    events.iter().filter_map(resp).collect()
}

fn data(data: u64, last: bool) -> MemOp {
    MemOp::Data(WBeat {
        data,
        strb: 0xff,
        last,
    })
}

#[test]
fn latency_is_exact_and_addresses_come_one_a_clock() {
    for latency in [0u32, 1, 2, 8, 100] {
        let l = u64::from(latency.max(1));
        let reads = (0..16).map(|n| MemOp::Read(incr(n, 0x1000, 1))).collect();
        let events = run(&mut play(reads, PortTiming::fixed(latency)), 200);
        let ar = cycles(&events, |e| matches!(e, Event::MemAr(_)));
        let r = cycles(&events, |e| matches!(e, Event::MemR(_)));
        assert_eq!(ar, (ar[0]..ar[0] + 16).collect::<Vec<_>>());
        assert_eq!(
            r,
            ar.iter().map(|t| t + l).collect::<Vec<_>>(),
            "L = {latency}"
        );

        // Bursts: one beat a clock, the second behind the first.
        let reads = vec![
            MemOp::Read(incr(0, 0x1000, 32)),
            MemOp::Read(incr(1, 0x2000, 32)),
        ];
        let events = run(&mut play(reads, PortTiming::fixed(latency)), 200);
        let ar = cycles(&events, |e| matches!(e, Event::MemAr(_)));
        let r = cycles(&events, |e| matches!(e, Event::MemR(_)));
        assert_eq!(r, (ar[0] + l..ar[0] + l + 64).collect::<Vec<_>>());

        let ops = vec![
            MemOp::Write(incr(0, 0x1000, 2)),
            data(1, false),
            data(2, true),
        ];
        let events = run(&mut play(ops, PortTiming::fixed(latency)), 200);
        let w = cycles(&events, |e| matches!(e, Event::MemW(_)));
        let stored = cycles(&events, |e| matches!(e, Event::MemStored { .. }));
        let b = cycles(&events, |e| matches!(e, Event::MemB(_)));
        assert_eq!(b, [w[1] + l]);
        assert_eq!(stored, b);
    }
}

#[test]
fn jitter_stays_in_its_range_and_order_is_kept_or_not() {
    let timing = |out_of_order, interleave| PortTiming {
        latency: 3..=40,
        out_of_order,
        interleave,
        ..PortTiming::default()
    };
    let reads = || -> Vec<MemOp> {
        (0..60u8)
            .map(|n| MemOp::Read(incr(n % 6, 0x1000 + 64 * u64::from(n), 4)))
            .collect()
    };
    let mut patterns = Vec::new();
    for (ooo, interleave) in [(false, false), (true, false), (true, true)] {
        let mut tb = play(reads(), timing(ooo, interleave));
        for n in 0..60 * 8 {
            tb.memory().write_u64(0x1000 + 8 * n, n);
        }
        let events = run(&mut tb, 1000);
        let r = read_data(&events);
        assert_eq!(r.len(), 240);
        // Per id: data in the order of addresses, whatever happens between ids.
        for id in 0..6u64 {
            let got: Vec<u64> = r
                .iter()
                .filter(|b| u64::from(b.id) == id)
                .map(|b| b.data)
                .collect();
            let want: Vec<u64> = (0..10)
                .flat_map(|k| (0..4).map(move |b| 8 * (id + 6 * k) + b))
                .collect();
            assert_eq!(got, want);
        }
        let in_order = r.iter().enumerate().all(|(n, b)| {
            let n = n as u64;
            b.data == 8 * (n / 4) + n % 4
        });
        let mut switches = 0;
        for pair in r.windows(2) {
            switches += u32::from(!pair[0].last && pair[0].id != pair[1].id);
        }
        patterns.push((in_order, switches > 0));
    }
    assert_eq!(patterns, [(true, false), (false, false), (false, true)]);
}

#[test]
fn back_pressure_and_gaps_lose_nothing() {
    let mut ops = Vec::new();
    for n in 0..50u64 {
        ops.push(MemOp::Write(incr((n % 5) as u8, 0x1_0000 + 64 * n, 4)));
        ops.extend((0..4).map(|b| data(100 * n + b, b == 3)));
        ops.push(MemOp::Read(incr((n % 7) as u8, 0x2_0000 + 8 * n, 1)));
    }
    let timing = PortTiming {
        latency: 1..=9,
        out_of_order: true,
        ready_percent: 30,
        gap_percent: 60,
        ..PortTiming::default()
    };
    let mut tb = play(ops, timing);
    for n in 0..50 {
        tb.memory().write_u64(0x2_0000 + 8 * n, !n);
    }
    let events = run(&mut tb, 3000);
    assert!(tb.outstanding().is_idle());
    let mut got: Vec<u64> = read_data(&events).iter().map(|r| !r.data).collect();
    got.sort_unstable();
    assert_eq!(got, (0..50).collect::<Vec<_>>());
    for n in 0..50u64 {
        for b in 0..4 {
            assert_eq!(tb.memory().read_u64(0x1_0000 + 64 * n + 8 * b), 100 * n + b);
        }
    }
    // 30 % ready: about 1 clock in 3 takes an address, and by no means every clock.
    let aw = cycles(&events, |e| matches!(e, Event::MemAw(_)));
    assert!(aw.windows(2).any(|w| w[1] - w[0] > 4));
}

#[test]
fn a_stopped_port_takes_nothing_and_goes_on_later() {
    let ops = vec![
        MemOp::Read(incr(0, 0x1000, 2)),
        MemOp::Wait(30),
        MemOp::Read(incr(1, 0x1000, 1)),
    ];
    let mut tb = play(ops, PortTiming::fixed(10));
    let events = run(&mut tb, 8);
    assert_eq!(cycles(&events, |e| matches!(e, Event::MemAr(_))).len(), 1);
    tb.mem_timing().stopped = true;
    assert_eq!(run(&mut tb, 500), []);
    tb.mem_timing().stopped = false;
    let events = run(&mut tb, 50);
    assert_eq!(read_data(&events).len(), 3);
}

#[test]
fn reads_see_what_was_stored_when_their_address_came() {
    // Write and read of the same address: B (and the store) after 20 clocks.
    let ops = vec![
        MemOp::Write(incr(0, 0x1000, 1)),
        data(7, true),
        MemOp::Wait(5),
        MemOp::Read(incr(1, 0x1000, 1)),
        MemOp::Wait(30),
        MemOp::Read(incr(2, 0x1000, 1)),
    ];
    let mut tb = play(ops, PortTiming::fixed(20));
    tb.memory().write_u64(0x1000, 3);
    let events = run(&mut tb, 100);
    let got: Vec<_> = read_data(&events).iter().map(|r| (r.id, r.data)).collect();
    assert_eq!(got, [(1, 3), (2, 7)]);
    let sampled: Vec<_> = events
        .iter()
        .filter_map(|at| match at.event {
            Event::MemSampled { id, addr, data } => Some((id, addr, data)),
            _ => None,
        })
        .collect();
    assert_eq!(sampled, [(1, 0x1000, 3), (2, 0x1000, 7)]);
}

#[test]
fn narrow_unaligned_wrapping_reads_carry_their_lanes_only() {
    let narrow = AxiAddr {
        size: 2,
        addr: 0x1006,
        len: 2,
        ..incr(0, 0, 1)
    };
    let wrap = AxiAddr {
        burst: Burst::Wrap,
        addr: 0x1018,
        len: 3,
        ..incr(0, 0, 1)
    };
    let fixed = AxiAddr {
        burst: Burst::Fixed,
        addr: 0x1009,
        len: 1,
        ..incr(0, 0, 1)
    };
    let ops = [narrow, wrap, fixed].map(MemOp::Read).to_vec();
    let mut tb = play(ops, PortTiming::fixed(1));
    let bytes: Vec<u8> = (0..64).collect();
    tb.memory().write(0x1000, &bytes);
    let events = run(&mut tb, 40);
    let got: Vec<u64> = read_data(&events).iter().map(|r| r.data).collect();
    assert_eq!(
        got,
        [
            0x0706_0000_0000_0000,
            0x0b0a_0908,
            0x0f0e_0d0c_0000_0000,
            0x1f1e_1d1c_1b1a_1918,
            0x0706_0504_0302_0100,
            0x0f0e_0d0c_0b0a_0908,
            0x1716_1514_1312_1110,
            0x0f0e_0d0c_0b0a_0900,
            0x0f0e_0d0c_0b0a_0900,
        ]
    );
}

#[test]
fn faults_hit_their_beats() {
    let ops = vec![
        MemOp::Read(incr(0, 0x1000, 4)),
        MemOp::Write(incr(1, 0x1000, 4)),
        data(9, false),
        data(9, false),
        data(9, false),
        data(9, true),
        MemOp::Write(incr(2, 0x1018, 1)),
        data(5, true),
        MemOp::Write(incr(3, 0x2000, 1)),
        data(5, true),
        MemOp::Read(incr(4, 1 << 60, 1)),
    ];
    let mut tb = play(ops, PortTiming::fixed(2));
    tb.memory().add_fault(0x1008..0x1009, MemFault::SlvErr);
    tb.memory()
        .add_fault_for(0x1010..0x1018, FaultAccess::Read, MemFault::DecErr);
    tb.memory().add_fault(0x1018..0x1020, MemFault::Poison);
    tb.memory()
        .add_fault_for(0x2000..0x3000, FaultAccess::Write, MemFault::DecErr);
    let events = run(&mut tb, 60);
    let got: Vec<_> = read_data(&events)
        .iter()
        .map(|r| (r.resp, r.poison, r.last))
        .collect();
    assert_eq!(
        got,
        [
            (Resp::Okay, false, false),
            (Resp::SlvErr, false, false),
            (Resp::DecErr, false, false),
            (Resp::Okay, true, true),
            (Resp::DecErr, false, true),
        ]
    );
    assert_eq!(
        write_resp(&events),
        [Resp::SlvErr, Resp::Okay, Resp::DecErr]
    );
    // Refused bursts store nothing, not even their good beats.
    assert_eq!(tb.memory().read_u64(0x1000), 0);
    assert_eq!(tb.memory().read_u64(0x1018), 5);
    assert_eq!(tb.memory().read_u64(0x2000), 0);
    assert_eq!(
        cycles(&events, |e| matches!(e, Event::MemStored { .. })).len(),
        1
    );
}

/// Does one atomic; its old value (if any), the memory after, its responses.
fn atomic(a: AxiAddr, beats: &[u64], before: &[u8]) -> (Vec<RBeat>, Vec<u8>, Resp) {
    let mut ops = vec![MemOp::Write(a)];
    ops.extend(beats.iter().enumerate().map(|(n, &data)| {
        MemOp::Data(WBeat {
            data,
            strb: crate::axi::write_lanes(&a, n as u32),
            last: n + 1 == beats.len(),
        })
    }));
    let mut tb = play(ops, PortTiming::fixed(3));
    tb.memory().write(0x1000, before);
    tb.memory().add_fault(0x1100..0x1200, MemFault::SlvErr);
    tb.memory().add_fault(0x1200..0x1300, MemFault::Poison);
    let events = run(&mut tb, 40);
    let mut after = vec![0; before.len()];
    tb.memory().read(0x1000, &mut after);
    assert!(tb.outstanding().is_idle());
    (read_data(&events), after, write_resp(&events)[0])
}

#[test]
fn compare_and_swap() {
    let before: Vec<u8> = (1..=16).collect();
    let low = 0x0807_0605_0403_0201u64;
    let high = 0x100f_0e0d_0c0b_0a09u64;
    let new = 0x1122_3344_5566_7788u64;
    let cas = |addr, burst| AxiAddr {
        atop: 0x31,
        burst,
        ..incr(9, addr, 2)
    };
    for (a, compare, at, hit) in [
        (cas(0x1000, Burst::Incr), low, 0, true),
        (cas(0x1000, Burst::Incr), low + 1, 0, false),
        (cas(0x1008, Burst::Wrap), high, 8, true),
        (cas(0x1008, Burst::Wrap), low, 8, false),
    ] {
        let (r, after, resp) = atomic(a, &[compare, new], &before);
        let mut want = before.clone();
        if hit {
            want[at..at + 8].copy_from_slice(&new.to_le_bytes());
        }
        assert_eq!(after, want);
        assert_eq!(resp, Resp::Okay);
        assert_eq!(r.len(), 1);
        assert_eq!(
            (r[0].data, r[0].last, r[0].id),
            (if at == 0 { low } else { high }, true, 9)
        );
    }
    // 4-byte PTEs: compare and swap share a beat.
    for (addr, burst, operand, want) in [
        (
            0x1000,
            Burst::Incr,
            0xaaaa_bbbb_0403_0201u64,
            [0xbb, 0xbb, 0xaa, 0xaa, 5, 6, 7, 8],
        ),
        (
            0x1004,
            Burst::Wrap,
            0x0807_0605_aaaa_bbbb,
            [1, 2, 3, 4, 0xbb, 0xbb, 0xaa, 0xaa],
        ),
        (
            0x1004,
            Burst::Wrap,
            0x0807_0606_aaaa_bbbb,
            [1, 2, 3, 4, 5, 6, 7, 8],
        ),
    ] {
        let a = AxiAddr {
            atop: 0x31,
            burst,
            ..incr(9, addr, 1)
        };
        let (r, after, _) = atomic(a, &[operand], &before[..8]);
        assert_eq!(after, want);
        let half = if addr == 0x1000 {
            low & 0xffff_ffff
        } else {
            low & !0xffff_ffff
        };
        assert_eq!(r[0].data, half);
    }
    // 32 bytes: two beats come back.
    let before: Vec<u8> = (1..=32).collect();
    let a = AxiAddr {
        atop: 0x31,
        ..incr(9, 0x1000, 4)
    };
    let (r, after, _) = atomic(a, &[low, high, 1, 2], &before);
    assert_eq!(
        r.iter().map(|r| (r.data, r.last)).collect::<Vec<_>>(),
        [(low, false), (high, true)]
    );
    assert_eq!(
        after[..16],
        [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    );
}

#[test]
fn arithmetic_atomics() {
    let word = |atop, operand: u64| {
        let a = AxiAddr {
            atop,
            size: 2,
            ..incr(9, 0x1004, 1)
        };
        let (r, after, _) = atomic(
            a,
            &[operand << 32],
            &[0xee, 0xee, 0xee, 0xee, 1, 0, 0, 0x80],
        );
        assert_eq!(after[..4], [0xee; 4]);
        let old = r.first().map(|r| r.data >> 32);
        let after: [u8; 4] = after[4..].try_into().expect("4 bytes");
        (old, u32::from_le_bytes(after))
    };
    let old = Some(0x8000_0001);
    assert_eq!(word(0x13, 0x10), (None, 0x8000_0011)); // STORE SET
    assert_eq!(word(0x23, 0x10), (old, 0x8000_0011)); // LOAD SET
    assert_eq!(word(0x21, 1), (old, 0x8000_0000)); // LOAD CLR
    assert_eq!(word(0x22, 3), (old, 0x8000_0002)); // LOAD EOR
    assert_eq!(word(0x20, 0xffff_ffff), (old, 0x8000_0000)); // LOAD ADD
    assert_eq!(word(0x24, 5), (old, 5)); // SMAX: the old value is negative
    assert_eq!(word(0x25, 5), (old, 0x8000_0001)); // SMIN
    assert_eq!(word(0x26, 5), (old, 0x8000_0001)); // UMAX
    assert_eq!(word(0x27, 5), (old, 5)); // UMIN
    assert_eq!(word(0x30, 5), (old, 5)); // SWAP
    assert_eq!(word(0x28, 0xff00_0000), (old, 0x7f01_0001)); // ADD, big-endian: 0x01000080 + 0xff
}

#[test]
fn refused_atomics_store_nothing_and_answer_everything() {
    let a = AxiAddr {
        atop: 0x23,
        ..incr(9, 0x1100, 1)
    };
    let (r, _, resp) = atomic(a, &[1], &[]);
    assert_eq!(
        (r[0].resp, r[0].poison, resp),
        (Resp::SlvErr, false, Resp::SlvErr)
    );
    let (r, _, resp) = atomic(AxiAddr { addr: 0x1200, ..a }, &[1], &[]);
    assert_eq!(
        (r[0].resp, r[0].poison, resp),
        (Resp::Okay, true, Resp::SlvErr)
    );
    let (r, _, resp) = atomic(AxiAddr { atop: 0x13, ..a }, &[1], &[]);
    assert_eq!((r.len(), resp), (0, Resp::SlvErr));
}

#[test]
fn a_compare_is_not_refused_for_what_lies_beside_its_operand() {
    // It carries 16 bytes and works on 8: those at its address, whichever half that is.
    let cas = |addr, burst| AxiAddr {
        atop: 0x31,
        burst,
        ..incr(9, addr, 2)
    };
    for (addr, burst, resp) in [
        (0x10f8, Burst::Wrap, Resp::Okay), // the fault begins behind it
        (0x1300, Burst::Incr, Resp::Okay),
        (0x1308, Burst::Wrap, Resp::Okay),
        (0x1100, Burst::Incr, Resp::SlvErr),
        (0x11f8, Burst::Wrap, Resp::SlvErr),
    ] {
        let (r, _, got) = atomic(cas(addr, burst), &[0, 1], &[]);
        assert_eq!((r[0].resp, got), (resp, resp), "{addr:#x}");
    }
    // Beside a faulty doubleword, in front of it or behind.
    for (addr, burst) in [(0x2000, Burst::Incr), (0x2018, Burst::Wrap)] {
        let a = cas(addr, burst);
        let mut ops = vec![MemOp::Write(a)];
        ops.extend((0..2).map(|n| data(n, n == 1)));
        let mut tb = play(ops, PortTiming::fixed(3));
        tb.memory().add_fault(0x2008..0x2018, MemFault::SlvErr);
        let events = run(&mut tb, 40);
        assert_eq!(write_resp(&events), [Resp::Okay]);
        assert_eq!(tb.memory().read_u64(addr), 1);
    }
}

#[test]
fn a_refusal_counts_behind_poison_too() {
    let ops = vec![
        MemOp::Write(incr(1, 0x1000, 2)),
        data(9, false),
        data(9, true),
    ];
    let mut tb = play(ops, PortTiming::fixed(2));
    tb.memory().add_fault(0x1000..0x1008, MemFault::Poison);
    tb.memory().add_fault(0x1008..0x1010, MemFault::DecErr);
    let events = run(&mut tb, 20);
    assert_eq!(write_resp(&events), [Resp::DecErr]);
    assert_eq!(tb.memory().read_u64(0x1000), 0);
}
