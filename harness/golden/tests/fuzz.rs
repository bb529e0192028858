//! Random registers, memory, requests, commands and messages: nothing panics, overflows or hangs,
//! and what must hold of every outcome holds. `PROPTEST_CASES` sets how many.

mod common;

use common::all_caps;
use iommu_golden::ats::PageRequest;
use iommu_golden::config::{AtsCleanPage, ControlBit, MrifRead, WideAddress};
use iommu_golden::*;
use proptest::prelude::*;

/// Memory made of a few words that come up again and again, so that walks get deep: each address
/// yields one of them, chosen by a hash, some with errors. Stores and swaps are accepted or not.
#[derive(Debug, Clone)]
struct Soup {
    words: Vec<u64>,
    seed: u64,
    errors: u64,
    swaps_fail: bool,
    accesses: u64,
    pas: u8,
}

impl Soup {
    fn hash(&self, a: u64) -> u64 {
        let mut x = a ^ self.seed;
        for k in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
            x = (x ^ x >> 33).wrapping_mul(k);
        }
        x ^ x >> 33
    }

    fn visit(&mut self, a: Spa, len: u64) -> Result<u64, MemError> {
        self.accesses += 1;
        assert!((a.0 + len - 1) >> self.pas == 0, "{a} is beyond PAS");
        let h = self.hash(a.0);
        match h >> 56 {
            n if n < self.errors => Err(MemError::Access),
            n if n < 2 * self.errors => Err(MemError::Corrupt),
            _ => Ok(self.words[(h % self.words.len() as u64) as usize]),
        }
    }
}

impl Memory for Soup {
    fn load(&mut self, a: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        assert!(a.0.is_multiple_of(u64::from(size)), "{a} is not aligned");
        let v = self.visit(a, size.into())?;
        Ok(if size == 4 { v & 0xffff_ffff } else { v })
    }
    fn store(&mut self, a: Spa, bytes: &[u8], _: &Label) -> Result<(), MemError> {
        self.visit(a, bytes.len() as u64).map(|_| ())
    }
    fn compare_and_swap(
        &mut self,
        a: Spa,
        size: u8,
        expected: u64,
        _: u64,
        l: &Label,
    ) -> Result<u64, MemError> {
        let old = self.load(a, size, l)?;
        Ok(if self.swaps_fail { !expected } else { old })
    }
    fn fetch_or(&mut self, a: Spa, _: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        self.visit(a, 8)
    }
}

/// A word that is often a sensible entry of some table.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        // Pointers and leaves with few bits wrong.
        (
            0u64..1 << 44,
            prop_oneof![
                Just(1u64),
                Just(0xdf),
                Just(0xcf),
                Just(0xd7),
                Just(7),
                Just(3),
                0u64..1024
            ]
        )
            .prop_map(|(ppn, low)| ppn << 10 | low),
        (0u64..1 << 20, 0u64..1024).prop_map(|(ppn, low)| ppn << 10 | low | 1),
        // Superpages and NAPOT.
        (0u64..1 << 8).prop_map(|n| n << 46 | 0xdf),
        (0u64..1 << 30).prop_map(|n| n << 14 | 8 << 10 | 1 << 63 | 0xdf),
        // Contexts: tc, iohgatp, fsc.
        (0u64..1 << 12).prop_map(|tc| tc | 1),
        (
            prop_oneof![
                Just(0u64),
                Just(1),
                Just(2),
                Just(3),
                Just(8),
                Just(9),
                Just(10)
            ],
            0u64..1 << 20
        )
            .prop_map(|(mode, ppn)| mode << 60 | ppn << 2),
        Just(0u64),
        Just(1u64),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let bits = any::<u64>();
    (bits, 20u8..=56, any::<u64>(), 0u8..=4).prop_map(|(drop, pas, choice, vectors)| {
        let mut caps = Capabilities(all_caps().0 & (drop | 0xff | 3 << 28)).with_pas(pas);
        if caps.has(Capabilities::SV57) {
            caps = caps.with(Capabilities::SV48);
        }
        if caps.has(Capabilities::SV48) {
            caps = caps.with(Capabilities::SV39);
        }
        let mut cfg = Config::new(caps);
        let c = &mut cfg.choices;
        let bit = |n: u32| choice >> n & 1 == 1;
        c.reset_bare = bit(0);
        c.bare_iohgatp_with_msi = if bit(1) {
            Reserved::Accepted
        } else {
            Reserved::Rejected
        };
        c.wide_address = if bit(2) {
            WideAddress::Misconfigured
        } else {
            WideAddress::WhenAccessed
        };
        c.check_spa = bit(3);
        c.vectors = 1 << vectors;
        c.gxl = if bit(4) {
            ControlBit::Writable(bit(5))
        } else {
            ControlBit::Fixed(bit(5))
        };
        c.big_endian = bit(6);
        c.wsi_at_reset = bit(7);
        c.rcid_bits = (choice >> 8 & 7) as u8;
        c.wide_operand = if bit(11) {
            Reserved::Accepted
        } else {
            Reserved::Rejected
        };
        c.inval_pdt_without_pdt = if bit(12) {
            Reserved::Accepted
        } else {
            Reserved::Rejected
        };
        c.reports_corruption = bit(13);
        c.iotval_offset = bit(14);
        c.iotval2_offset = bit(15);
        c.ats_fault_is_write = bit(16);
        c.ats_clean_page = if bit(17) {
            AtsCleanPage::DenyWrite
        } else {
            AtsCleanPage::PageFault
        };
        c.mrif_big_endian = bit(18);
        c.mrif_read = if bit(19) {
            MrifRead::Abort
        } else {
            MrifRead::Zero
        };
        c.hpm_counters = (choice >> 20 & 31) as u8 % 31 + 1;
        c.hpm_counter_bits = 32 + (choice >> 25 & 31) as u8 + u8::from(bit(30));
        c.levels = [bit(31), bit(32), true];
        c.log2sz_bits = (choice >> 33 & 7) as u8 % 6;
        cfg
    })
}

fn soup(pas: u8) -> impl Strategy<Value = Soup> {
    (
        proptest::collection::vec(word(), 1..12),
        any::<u64>(),
        prop_oneof![Just(0u64), 0u64..40],
        any::<bool>(),
    )
        .prop_map(move |(words, seed, errors, swaps_fail)| Soup {
            words,
            seed,
            errors,
            swaps_fail,
            accesses: 0,
            pas,
        })
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..1 << 20,
        0u64..1 << 39,
        0u64..1 << 32,
        (0u64..1 << 20).prop_map(|n| !n)
    ]
}

fn request() -> impl Strategy<Value = Request> {
    (
        prop_oneof![any::<u32>(), 0u32..64],
        prop_oneof![
            Just(None),
            any::<u32>().prop_map(Some),
            (0u32..256).prop_map(Some)
        ],
        any::<[bool; 3]>(),
        0u8..3,
        0u8..3,
        address(),
        0u32..10,
    )
        .prop_map(
            |(device_id, process_id, flags, kind, access, iova, len)| Request {
                device_id,
                process_id,
                privileged: flags[0],
                kind: [
                    RequestKind::Untranslated,
                    RequestKind::Translated,
                    RequestKind::AtsTranslation,
                ][usize::from(kind)],
                access: [Access::Read, Access::Write, Access::Execute][usize::from(access)],
                execute_requested: flags[1],
                cxl: flags[2],
                iova: Iova(iova),
                len,
            },
        )
}

fn setup() -> impl Strategy<Value = (Config, Soup)> {
    config().prop_flat_map(|c| {
        let pas = c.capabilities.pas();
        (Just(c), soup(pas))
    })
}

/// What must hold of every outcome.
fn check(iommu: &Iommu, req: &Request, out: &Outcome) {
    let caps = iommu.capabilities();
    match out {
        Outcome::Granted(t) => {
            assert_ne!(req.kind, RequestKind::AtsTranslation);
            assert!((12..=63).contains(&t.range_log2));
            assert_eq!(t.spa.offset(), req.iova.offset());
            if iommu.config().choices.check_spa {
                assert_eq!(t.spa.0 >> caps.pas(), 0);
            }
            assert!(match req.access {
                Access::Read => t.permissions.read,
                Access::Write => t.permissions.write,
                Access::Execute => t.permissions.execute,
            });
        }
        Outcome::Mrif(t) => assert!(t.mrif.0.is_multiple_of(512) && t.nid < 2048),
        Outcome::Denied(d) => {
            assert_ne!(req.kind, RequestKind::AtsTranslation);
            assert!(d.record.is_some() || !d.cause.reported_with_dtf());
        }
        Outcome::Ats(a) => {
            assert_eq!(req.kind, RequestKind::AtsTranslation);
            assert!(a.record.is_none() || a.status != AtsStatus::Success);
            assert!(!a.permissions.execute || a.permissions.read);
            assert!(!a.permissions.write || a.permissions.read);
        }
    }
    if let Some(r) = out.record() {
        assert_eq!(FaultRecord::from_words(&r.to_words()), *r);
        let cause = Cause::from_code(r.cause).expect("a cause of the table");
        assert!(cause.is_guest_page_fault() || r.iotval2 == 0);
        assert!(r.pv || (r.pid == 0 && !r.privileged));
        assert_ne!(r.ttyp, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn translate_never_panics((cfg, mem) in setup(), ddtp in any::<u64>(), mode in 0u64..5, be in any::<bool>(),
                              gxl in any::<bool>(), reqs in proptest::collection::vec(request(), 1..8)) {
        let mut iommu = Iommu::new(cfg).unwrap();
        iommu.write_reg(offset::FCTL, RegSize::Four, u64::from(be) | u64::from(gxl) << 2).unwrap();
        iommu.write_reg(offset::DDTP, RegSize::Eight, ddtp & !0xf | mode).unwrap();
        for req in reqs {
            let mut mem = mem.clone();
            let mut events = 0u64;
            let out = iommu.translate(&mut mem, &req, &mut |_: &WalkEvent<'_>| events += 1);
            check(&iommu, &req, &out);
            // Deepest legal walk: 3 directory levels, 3 process levels, 5 first-stage levels, each behind
            // 5 second-stage levels, and 8 words a context; each A/D update at most 64 times.
            assert!(mem.accesses < 100_000 && events < 200_000);
            // Pure: the same question, the same answer.
            let again = iommu.translate(&mut mem.clone(), &req, &mut ());
            if !mem.swaps_fail {
                assert_eq!(out, again);
            }
            if let Outcome::Mrif(t) = out {
                for data in [0u32, 5, 4095] {
                    if let mrif::MrifAction::Msi(u) = iommu.mrif_action(&t, req.iova, req.access, 4, data.to_le_bytes()) {
                        let _ = iommu.mrif_store(&mut mem, &req, &t, &u);
                    }
                }
            }
        }
    }

    #[test]
    fn registers_and_queues_never_panic((cfg, mut mem) in setup(),
            ops in proptest::collection::vec((0u8..10, 0u16..1100, word(), request()), 1..60)) {
        let mut iommu = Iommu::new(cfg).unwrap();
        for (op, at, value, req) in ops {
            match op {
                0..=3 => {
                    let size = if value & 1 == 0 { RegSize::Four } else { RegSize::Eight };
                    // Mostly aligned, so that most writes take effect.
                    let at = if value & 6 == 6 { at } else { at & !7 };
                    let before = iommu.clone();
                    if iommu.write_reg(at, size, value.rotate_left(7)).is_err() {
                        assert_eq!(before, iommu);
                    }
                    let _ = iommu.read_reg(at, size);
                    iommu.run_debug_request(&mut mem, &mut ());
                }
                4 => {
                    for _ in 0..4 {
                        let head = iommu.registers().cq.head;
                        let step = iommu.step_command(&mut mem);
                        let moved = matches!(step, CommandStep::Done(_));
                        assert!(moved || iommu.registers().cq.head == head);
                    }
                    iommu.take_ats_messages();
                }
                5 => {
                    let out = iommu.translate(&mut mem, &req, &mut ());
                    if let Some(r) = out.record() {
                        let tail = iommu.registers().fq.tail;
                        let push = iommu.report(&mut mem, r);
                        assert!(matches!(push, Push::Write { .. }) || iommu.registers().fq.tail == tail);
                    }
                }
                6 => iommu.send_messages(&mut mem),
                7 => {
                    let pr = PageRequest {
                        device_id: req.device_id,
                        process_id: req.process_id,
                        privileged: req.privileged,
                        execute: req.execute_requested,
                        payload: value,
                    };
                    iommu.run_page_request(&mut mem, &mut (), &pr);
                }
                8 => {
                    let _ = iommu.invalidation_completion(&mut mem, &mut (), req.device_id, value as u32, value as u8);
                    if value & 3 == 0 {
                        iommu.ats_time_out();
                    }
                }
                _ => {
                    iommu.count_cycles(value);
                    let ids = hpm::EventIds { device_id: req.device_id, process_id: req.process_id, gscid: Some(at), pscid: None };
                    iommu.count_event(hpm::HpmEvent::TlbMiss, &ids, value);
                }
            }
            // "The status of bits 31:LOG2SZ in cqt [fqh, pqh] ... is 0"; ipsr has four bits.
            let r = iommu.registers();
            for (index, q) in [(r.cq.tail, &r.cq), (r.fq.head, &r.fq), (r.pq.head, &r.pq)] {
                assert_eq!(index & !q.index_mask(), 0);
            }
            assert_eq!(iommu.registers().ipsr >> 4, 0);
            assert!(iommu.wires() == 0 || iommu.registers().wsi);
        }
    }

    #[test]
    fn commands_decode_or_say_why(words in any::<[u64; 2]>(), low in 0u64..1024, cfg in config()) {
        let iommu = Iommu::new(cfg).unwrap();
        for w in [words, [words[0] & !0x3ff | low, words[1]], [low | words[0] & 0xf_ffff << 12, words[1] << 10]] {
            if let Ok(c) = iommu.decode_command(w) {
                // Ignored operands aside, what was decoded encodes to what decodes to it.
                let e = c.encode();
                let e = if iommu.registers().be { e.map(u64::swap_bytes) } else { e };
                assert_eq!(iommu.decode_command(e), Ok(c));
                let label = Label::Dc { device_id: low as u32 };
                for entry in invalidate::describe(iommu.capabilities(), &label, &w).into_iter().flatten() {
                    // No IOTINVAL reaches a device context.
                    assert!(matches!(c, Command::InvalDdt { .. }) || !invalidate::covers(&c, &entry));
                }
            }
        }
    }
}
