//! Each rule is seen to fail, at the port and channel where it was broken, and nothing but it.

use std::collections::BTreeSet;

use iommu_bus::event::{AxiAddr, Burst, WBeat};
use iommu_bus::{DevTiming, PortTiming, RegTiming};
use iommu_sim::{PinsIn, PinsOut};

use super::soft::Scripted;
use super::{bench, incr, run, run_bad, side};
use crate::{
    AtsConfig, AtsRequest, Channel, DevTransaction, Port, RegOp, Rule, Testbench, TestbenchConfig,
};

fn burst_bits(b: Burst) -> u8 {
    match b {
        Burst::Fixed => 0,
        Burst::Incr => 1,
        Burst::Wrap => 2,
        Burst::Reserved => 3,
    }
}

macro_rules! drive_addr {
    ($name:ident, $valid:ident $id:ident $addr:ident $len:ident $size:ident $burst:ident $lock:ident $cache:ident $prot:ident $(, $atop:ident)?) => {
        pub(super) fn $name(o: &mut PinsOut, a: &AxiAddr) {
            o.$valid = 1;
            o.$id = a.id;
            o.$addr = a.addr;
            o.$len = a.len;
            o.$size = a.size;
            o.$burst = burst_bits(a.burst);
            o.$lock = a.lock.into();
            o.$cache = a.cache;
            o.$prot = a.prot;
            $(o.$atop = a.atop;)?
        }
    };
}
drive_addr!(mem_ar, m_mem_arvalid m_mem_arid m_mem_araddr m_mem_arlen m_mem_arsize m_mem_arburst m_mem_arlock m_mem_arcache m_mem_arprot);
drive_addr!(mem_aw, m_mem_awvalid m_mem_awid m_mem_awaddr m_mem_awlen m_mem_awsize m_mem_awburst m_mem_awlock m_mem_awcache m_mem_awprot, m_mem_awatop);
drive_addr!(out_ar, m_dev_arvalid m_dev_arid m_dev_araddr m_dev_arlen m_dev_arsize m_dev_arburst m_dev_arlock m_dev_arcache m_dev_arprot);
drive_addr!(out_aw, m_dev_awvalid m_dev_awid m_dev_awaddr m_dev_awlen m_dev_awsize m_dev_awburst m_dev_awlock m_dev_awcache m_dev_awprot, m_dev_awatop);

pub(super) fn mem_w(o: &mut PinsOut, w: &WBeat) {
    o.m_mem_wvalid = 1;
    o.m_mem_wdata = w.data;
    o.m_mem_wstrb = w.strb;
    o.m_mem_wlast = w.last.into();
}

fn out_w(o: &mut PinsOut, w: &WBeat) {
    o.m_dev_wvalid = 1;
    o.m_dev_wdata = w.data;
    o.m_dev_wstrb = w.strb;
    o.m_dev_wlast = w.last.into();
}

fn beat(last: bool) -> WBeat {
    WBeat {
        data: 0x55,
        strb: 0xff,
        last,
    }
}

type Drive = fn(&mut PinsOut, bool);

/// Every channel that the block drives, with a way to make it valid and to change its payload.
const CHANNELS: [(Port, Channel, Drive); 13] = [
    (Port::Mem, Channel::Ar, |o, alt| {
        mem_ar(o, &incr(1, 0x1000 + 8 * u64::from(alt), 1))
    }),
    (Port::Mem, Channel::Aw, |o, alt| {
        mem_aw(o, &incr(1 + u8::from(alt), 0x1000, 1))
    }),
    (Port::Mem, Channel::W, |o, alt| {
        mem_w(
            o,
            &WBeat {
                data: alt.into(),
                ..beat(true)
            },
        )
    }),
    (Port::Out, Channel::Ar, |o, alt| {
        out_ar(
            o,
            &AxiAddr {
                cache: alt.into(),
                ..incr(1, 0x1000, 1)
            },
        )
    }),
    (Port::Out, Channel::Aw, |o, alt| {
        out_aw(
            o,
            &AxiAddr {
                prot: alt.into(),
                ..incr(1, 0x1000, 1)
            },
        )
    }),
    (Port::Out, Channel::W, |o, alt| {
        out_w(
            o,
            &WBeat {
                strb: 0xfe | u8::from(alt),
                ..beat(true)
            },
        )
    }),
    (Port::Dev, Channel::B, |o, alt| {
        o.s_dev_bvalid = 1;
        o.s_dev_bresp = 2 * u8::from(alt);
    }),
    (Port::Dev, Channel::R, |o, alt| {
        o.s_dev_rvalid = 1;
        o.s_dev_rlast = 1;
        o.s_dev_rdata = alt.into();
    }),
    (Port::Reg, Channel::B, |o, alt| {
        o.s_reg_bvalid = 1;
        o.s_reg_bresp = 2 * u8::from(alt);
    }),
    (Port::Reg, Channel::R, |o, alt| {
        o.s_reg_rvalid = 1;
        o.s_reg_rdata = alt.into();
    }),
    (Port::Ats, Channel::Completion, |o, alt| {
        o.m_ats_tc_valid = 1;
        o.m_ats_tc_data[2] = 1; // last, tag 0
        o.m_ats_tc_data[0] = alt.into();
    }),
    (Port::Ats, Channel::Invalidation, |o, alt| {
        o.m_ats_inv_valid = 1;
        o.m_ats_inv_data[3] = alt.into();
    }),
    (Port::Ats, Channel::PrgResponse, |o, alt| {
        o.m_ats_prgr_valid = 1;
        o.m_ats_prgr_data = alt.into();
    }),
];

/// Nobody takes anything that the block sends.
fn deaf() -> TestbenchConfig {
    let stopped = PortTiming {
        stopped: true,
        ..PortTiming::default()
    };
    TestbenchConfig {
        mem: stopped.clone(),
        out: stopped,
        dev: DevTiming {
            stop_responses: true,
            ..DevTiming::default()
        },
        reg: RegTiming {
            ready_percent: 0,
            ..RegTiming::default()
        },
        ats: AtsConfig {
            in_use: true,
            stopped: true,
            ..AtsConfig::default()
        },
        ..TestbenchConfig::default()
    }
}

/// Broken rules of a script, without repetitions.
fn broken(
    cfg: TestbenchConfig,
    stimulus: impl FnOnce(&mut Testbench),
    script: impl FnMut(u64, &PinsIn, &mut PinsOut) + Send + 'static,
) -> Vec<(Port, Channel, Rule)> {
    let mut tb = bench(Scripted::new(script), cfg);
    stimulus(&mut tb);
    let seen: BTreeSet<_> = run_bad(&mut tb, 400)
        .iter()
        .map(|v| {
            assert!(v.to_string().contains(v.rule.name()), "{v}");
            (v.port, v.channel, v.rule)
        })
        .collect();
    tb.memory().write_u64(0, 0); // still usable
    seen.into_iter().collect()
}

fn quiet(_: &mut Testbench) {}

#[test]
fn valid_must_stay() {
    for (port, channel, drive) in CHANNELS {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            if (5..8).contains(&n) {
                drive(o, false);
            }
        };
        assert_eq!(
            broken(deaf(), quiet, script),
            [(port, channel, Rule::ValidStable)]
        );
    }
}

#[test]
fn payload_must_stay() {
    for (port, channel, drive) in CHANNELS {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            if n >= 5 {
                drive(o, n >= 9);
            }
        };
        assert_eq!(
            broken(deaf(), quiet, script),
            [(port, channel, Rule::PayloadStable)]
        );
        // The same without the change is right.
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            if n >= 5 {
                drive(o, false);
            }
        };
        assert_eq!(broken(deaf(), quiet, script), []);
    }
}

#[test]
fn valid_must_be_low_in_reset_and_right_after() {
    for (port, channel, drive) in CHANNELS {
        for last in [0, 1] {
            let block = Scripted::new(move |n, _: &PinsIn, o: &mut PinsOut| {
                if n == last {
                    drive(o, false);
                }
            });
            let mut tb = Testbench::new(Box::new(block), deaf());
            let in_reset = tb.reset(3).is_err();
            assert_eq!(in_reset, last == 0, "{port} {channel:?}");
            let after = tb.step().is_err();
            assert_eq!(after, last == 1, "{port} {channel:?}");
            if after {
                let rules: Vec<_> = tb
                    .violations()
                    .iter()
                    .map(|v| (v.port, v.channel, v.rule))
                    .collect();
                assert_eq!(rules, [(port, channel, Rule::ValidInReset)]);
            }
        }
    }
}

#[test]
fn bursts_must_be_legal() {
    let base = incr(1, 0x1000, 1);
    let bad = [
        (Rule::BurstSize, AxiAddr { size: 4, ..base }),
        (
            Rule::BurstType,
            AxiAddr {
                burst: Burst::Reserved,
                ..base
            },
        ),
        (
            Rule::BurstLength,
            AxiAddr {
                burst: Burst::Wrap,
                len: 2,
                ..base
            },
        ),
        (
            Rule::BurstLength,
            AxiAddr {
                burst: Burst::Fixed,
                len: 16,
                ..base
            },
        ),
        (
            Rule::BurstAlignment,
            AxiAddr {
                burst: Burst::Wrap,
                len: 3,
                addr: 0x1004,
                ..base
            },
        ),
        (
            Rule::Burst4K,
            AxiAddr {
                len: 1,
                addr: 0x1ff8,
                ..base
            },
        ),
        (
            Rule::ExclusiveShape,
            AxiAddr {
                lock: true,
                len: 2,
                ..base
            },
        ),
    ];
    let atomic = (
        Rule::AtomicShape,
        AxiAddr {
            atop: 0x31,
            addr: 0x1008,
            len: 1,
            ..base
        },
    );
    type Go = fn(&mut PinsOut, &AxiAddr);
    let addresses: [(Port, Channel, Go); 4] = [
        (Port::Mem, Channel::Ar, mem_ar),
        (Port::Mem, Channel::Aw, mem_aw),
        (Port::Out, Channel::Ar, out_ar),
        (Port::Out, Channel::Aw, out_aw),
    ];
    for (port, channel, go) in addresses {
        for (rule, a) in bad
            .into_iter()
            .chain((channel == Channel::Aw).then_some(atomic))
        {
            let script = move |n, _: &PinsIn, o: &mut PinsOut| {
                o.m_dev_rready = 1;
                o.m_mem_rready = 1;
                if n == 5 {
                    go(o, &a);
                }
            };
            assert_eq!(
                broken(TestbenchConfig::default(), quiet, script),
                [(port, channel, rule)]
            );
        }
    }
}

#[test]
fn what_the_device_did_wrong_is_not_the_blocks_fault() {
    let wrap = AxiAddr {
        burst: Burst::Wrap,
        len: 2,
        ..incr(1, 0x1000, 1)
    };
    let submit = |len| {
        move |tb: &mut Testbench| {
            let mut t = DevTransaction::read(side(), 1, 0x1000, 8);
            (t.len, t.burst) = (len, Burst::Wrap);
            tb.submit_dev(t);
        }
    };
    let script = move |n, _: &PinsIn, o: &mut PinsOut| {
        if n == 5 {
            out_ar(o, &wrap);
        }
    };
    assert_eq!(broken(TestbenchConfig::default(), submit(2), script), []);
    let seen = broken(TestbenchConfig::default(), submit(4), script);
    assert_eq!(seen, [(Port::Out, Channel::Ar, Rule::BurstLength)]);
}

#[test]
fn an_atomics_id_is_its_own() {
    let plain = incr(7, 0x1000, 1);
    let atomic = AxiAddr {
        atop: 0x31,
        len: 1,
        ..plain
    };
    let cfg = TestbenchConfig {
        mem: PortTiming::fixed(50),
        ..TestbenchConfig::default()
    };
    let aw = [(Port::Mem, Channel::Aw, Rule::AtomicId)];
    let ar = [(Port::Mem, Channel::Ar, Rule::AtomicId)];
    let data = |n: u64, o: &mut PinsOut| {
        if (5..7).contains(&n) {
            mem_w(o, &beat(n == 6));
        }
        o.m_mem_bready = 1;
        o.m_mem_rready = 1;
    };
    for (first, second, other) in [(5, 9, true), (9, 5, true), (5, 9, false)] {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            data(n, o);
            if n == first {
                mem_aw(o, &atomic);
            }
            let a = AxiAddr {
                id: 6 + u8::from(other),
                ..plain
            };
            if n == second {
                mem_ar(o, &a);
            }
        };
        let want: &[_] = match (other, first < second) {
            (false, _) => &[],
            (true, true) => &ar,
            (true, false) => &aw,
        };
        assert_eq!(broken(cfg.clone(), quiet, script), want);
    }
    // And again once it has ended.
    let script = move |n, _: &PinsIn, o: &mut PinsOut| {
        data(n, o);
        if n == 5 {
            mem_aw(o, &atomic);
        }
        if n == 100 {
            mem_ar(o, &plain);
        }
    };
    assert_eq!(broken(cfg, quiet, script), []);
}

#[test]
fn write_data_must_fit_its_address() {
    // (clock of AW, beats of AW, beats of data, which has WLAST, rule)
    let cases: [(u64, u16, u64, u64, Option<Rule>); 8] = [
        (5, 4, 4, 3, None),
        (20, 4, 4, 3, None),
        (5, 4, 2, 1, Some(Rule::WLast)),   // early
        (20, 4, 2, 1, Some(Rule::WLast)),  // early, and before its address
        (5, 4, 4, 99, Some(Rule::WLast)),  // missing
        (20, 4, 5, 4, Some(Rule::WLast)),  // late, and before its address
        (20, 4, 4, 99, Some(Rule::WLast)), // missing, and before its address
        (5, 256, 256, 299, Some(Rule::WriteTooLong)),
    ];
    for (aw, beats, data, last, rule) in cases {
        let addr = incr(3, 0x1000, beats);
        let script = move |n: u64, _: &PinsIn, o: &mut PinsOut| {
            o.m_mem_bready = 1;
            if n == aw {
                mem_aw(o, &addr);
            }
            if (5..5 + data).contains(&n) {
                mem_w(o, &beat(n - 5 == last));
            }
        };
        let seen = broken(TestbenchConfig::default(), quiet, script);
        let want: Vec<_> = rule
            .map(|r| (Port::Mem, Channel::W, r))
            .into_iter()
            .collect();
        assert_eq!(seen, want, "AW {aw} of {beats}, {data} beats, last {last}");
    }
}

#[test]
fn write_data_needs_an_address_in_the_end() {
    let script = |n, _: &PinsIn, o: &mut PinsOut| {
        if n == 5 {
            out_w(o, &beat(true));
        }
    };
    let mut tb = bench(Scripted::new(script), TestbenchConfig::default());
    tb.finish().expect("nothing so far");
    run(&mut tb, 20);
    assert_eq!(tb.outstanding().orphan_beats, 1);
    let e = tb.finish().expect_err("an orphan");
    assert!(
        e.to_string().contains(Rule::WriteWithoutAddress.name()),
        "{e}"
    );
}

#[test]
fn strobes_must_stay_in_their_lanes() {
    for (addr, size, strb, atop, good) in [
        (0x1000, 3, 0xff, 0, true),
        (0x1004, 2, 0xf0, 0, true),
        (0x1004, 2, 0x00, 0, true),
        (0x1004, 2, 0xf8, 0, false),
        (0x1003, 3, 0xff, 0, false),
        (0x1003, 3, 0xf8, 0, true),
        (0x1004, 2, 0xf0, 0x13, true),
        (0x1004, 2, 0x70, 0x13, false),
    ] {
        let a = AxiAddr {
            size,
            atop,
            ..incr(3, addr, 1)
        };
        let script = move |n: u64, _: &PinsIn, o: &mut PinsOut| {
            o.m_dev_bready = 1;
            if n == 5 {
                out_aw(o, &a);
                out_w(o, &WBeat { strb, ..beat(true) });
            }
        };
        let seen = broken(TestbenchConfig::default(), quiet, script);
        let want: &[_] = if good {
            &[]
        } else {
            &[(Port::Out, Channel::W, Rule::Strobe)]
        };
        assert_eq!(seen, want);
    }
}

/// What a scripted `s_dev` subordinate answers: (clock, id, resp, last).
type Answers = &'static [(u64, u8, u8, bool)];

fn answer_r(answers: Answers) -> impl FnMut(u64, &PinsIn, &mut PinsOut) + Send {
    move |n, _, o| {
        o.s_dev_arready = (n >= 4).into();
        for &(at, id, resp, last) in answers {
            if n == at {
                o.s_dev_rvalid = 1;
                o.s_dev_rid = id;
                o.s_dev_rresp = resp;
                o.s_dev_rlast = last.into();
            }
        }
    }
}

#[test]
fn read_responses_must_answer_reads() {
    // Two reads of 2 beats, ids 4 and 5.
    let two = |tb: &mut Testbench| {
        tb.submit_dev(DevTransaction::read(side(), 4, 0x1000, 16));
        tb.submit_dev(DevTransaction::read(side(), 5, 0x1000, 16));
    };
    let rule = |r| vec![(Port::Dev, Channel::R, r)];
    let cases: [(Answers, Vec<_>); 7] = [
        (
            &[
                (9, 4, 0, false),
                (10, 5, 0, false),
                (11, 4, 2, true),
                (12, 5, 3, true),
            ],
            vec![],
        ),
        (&[(9, 6, 0, true)], rule(Rule::ResponseId)),
        (
            &[(9, 4, 0, false), (10, 4, 0, true), (11, 4, 0, true)],
            rule(Rule::ResponseId),
        ),
        (&[(9, 4, 0, true)], rule(Rule::RLast)),
        (&[(9, 4, 0, false), (10, 4, 0, false)], rule(Rule::RLast)),
        (&[(9, 4, 1, false)], rule(Rule::ResponseCode)),
        (&[(3, 4, 0, false)], rule(Rule::ResponseId)), // before the address was taken
    ];
    for (answers, want) in cases {
        assert_eq!(
            broken(TestbenchConfig::default(), two, answer_r(answers)),
            want,
            "{answers:?}"
        );
    }
    // After a burst that ended too early, the run does not hang on it.
    let mut tb = bench(
        Scripted::new(answer_r(&[(9, 4, 0, true)])),
        TestbenchConfig::default(),
    );
    tb.submit_dev(DevTransaction::read(side(), 4, 0x1000, 16));
    run_bad(&mut tb, 20);
    assert_eq!(tb.take_dev_done().expect("ended").data.len(), 1);
}

#[test]
fn write_responses_must_answer_writes() {
    let rule = |r| vec![(Port::Dev, Channel::B, r)];
    // (clock of B, id, resp, first clock of WREADY)
    let cases: [(u64, u8, u8, u64, Vec<_>); 6] = [
        (9, 4, 0, 0, vec![]),
        (9, 4, 2, 0, vec![]),
        (9, 5, 0, 0, rule(Rule::ResponseId)),
        (9, 4, 1, 0, rule(Rule::ResponseCode)),
        (9, 4, 0, 20, rule(Rule::ResponseEarly)),
        (3, 4, 0, 0, rule(Rule::ResponseId)),
    ];
    for (at, id, resp, wready, want) in cases {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            o.s_dev_awready = (n >= 4).into();
            o.s_dev_wready = (n >= wready).into();
            if n == at {
                o.s_dev_bvalid = 1;
                o.s_dev_bid = id;
                o.s_dev_bresp = resp;
            }
        };
        let write = |tb: &mut Testbench| {
            tb.submit_dev(DevTransaction::write(side(), 4, 0x1000, &[1; 16]));
        };
        assert_eq!(broken(TestbenchConfig::default(), write, script), want);
    }
}

#[test]
fn register_responses_must_answer() {
    let rule = |c, r| vec![(Port::Reg, c, r)];
    // (read, clock of the answer, resp, clock from which W is taken)
    let cases = [
        (false, 9, 0, 0, vec![]),
        (true, 9, 0, 0, vec![]),
        (false, 9, 2, 0, vec![]),
        (false, 9, 1, 0, rule(Channel::B, Rule::ResponseCode)),
        (true, 9, 1, 0, rule(Channel::R, Rule::ResponseCode)),
        (false, 9, 0, 20, rule(Channel::B, Rule::ResponseEarly)),
        (false, 2, 0, 9, rule(Channel::B, Rule::ResponseEarly)),
    ];
    for (read, at, resp, wready, want) in cases {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            o.s_reg_awready = 1;
            o.s_reg_arready = 1;
            o.s_reg_wready = (n >= wready).into();
            if n == at && read {
                o.s_reg_rvalid = 1;
                o.s_reg_rresp = resp;
            } else if n == at {
                o.s_reg_bvalid = 1;
                o.s_reg_bresp = resp;
            }
        };
        let op = |tb: &mut Testbench| {
            tb.submit_reg(if read {
                RegOp::Read { offset: 0, size: 8 }
            } else {
                RegOp::Write {
                    offset: 0,
                    size: 4,
                    value: 1,
                }
            });
        };
        assert_eq!(broken(TestbenchConfig::default(), op, script), want);
    }
    for (port, channel, drive) in CHANNELS.into_iter().filter(|c| c.0 == Port::Reg) {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            if n == 9 {
                drive(o, false);
            }
        };
        let seen = broken(TestbenchConfig::default(), quiet, script);
        assert_eq!(seen, [(port, channel, Rule::ResponseId)]);
    }
}

#[test]
fn ats_messages_must_be_expected() {
    for (port, channel, drive) in CHANNELS.into_iter().filter(|c| c.0 == Port::Ats) {
        let script = move |n, _: &PinsIn, o: &mut PinsOut| {
            o.s_ats_tr_ready = 1;
            if n == 9 {
                drive(o, false);
            }
        };
        let unexpected = [(port, channel, Rule::AtsUnexpected)];
        assert_eq!(
            broken(TestbenchConfig::default(), quiet, script),
            unexpected
        );
        let used = TestbenchConfig {
            ats: AtsConfig {
                in_use: true,
                ..AtsConfig::default()
            },
            ..TestbenchConfig::default()
        };
        let ask = |tag| {
            move |tb: &mut Testbench| {
                tb.submit_ats(&AtsRequest {
                    tag,
                    device_id: 5,
                    addr: 0x1000,
                    ..AtsRequest::default()
                });
            }
        };
        assert_eq!(broken(used.clone(), ask(0), script), []);
        let want: &[_] = if channel == Channel::Completion {
            &unexpected
        } else {
            &[]
        };
        assert_eq!(broken(used, ask(0x201), script), want);
    }
}

#[test]
fn ats_completions_are_told_apart_by_their_whole_tag() {
    let script = |n, _: &PinsIn, o: &mut PinsOut| {
        o.s_ats_tr_ready = 1;
        if (9..11).contains(&n) {
            o.m_ats_tc_valid = 1;
            o.m_ats_tc_data[2] = 0x201 << 4 | u32::from(n == 10); // two ranges
        }
    };
    for tag in [0x201, 0x200, 0x001, 0x301] {
        let ask = |tb: &mut Testbench| {
            tb.submit_ats(&AtsRequest {
                tag,
                ..AtsRequest::default()
            });
        };
        let unexpected = (Port::Ats, Channel::Completion, Rule::AtsUnexpected);
        let want: &[_] = if tag == 0x201 { &[] } else { &[unexpected] };
        assert_eq!(broken(TestbenchConfig::default(), ask, script), want);
    }
    let mut tb = bench(Scripted::new(script), TestbenchConfig::default());
    tb.submit_ats(&AtsRequest {
        tag: 0x201,
        ..AtsRequest::default()
    });
    run(&mut tb, 9);
    assert_eq!(tb.outstanding().ats, 1);
    run(&mut tb, 2);
    assert!(tb.outstanding().is_idle());
}
