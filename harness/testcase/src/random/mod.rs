//! Random tests: a profile and a seed make capabilities, timing, tables,
//! devices, traffic, edits and everything else that can happen. What is driven
//! is defined by the specification (unless the profile wants the other); what
//! must come of it the scoreboard knows, nothing here.
//!
//! [`profile`] reads profiles, [`knobs`] lists what they say, the other modules
//! each build one kind of thing. `docs/profiles.md` is the user's page.

mod ats;
mod contexts;
mod edits;
mod events;
mod focus;
mod isolation;
pub mod knobs;
pub mod profile;
mod registers;
mod tables;
mod traffic;
mod world;
mod wreck;

use std::path::PathBuf;
use std::sync::Arc;

use crate::caps;
use crate::case::{Case, Setting, Signals, Source};
use crate::op::{CaseError, Op, OpAt, Ops};
use crate::regs;
use crate::rng::Random;

use knobs::{Amount, Breaks, Chance, Pas, SignalKind, Widest};
pub use profile::Profile;
use world::World;
pub use world::{Target, effective};

/// What a run of a profile does besides running once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Run again with another state of what reset does not touch: same outcome, same cycles.
    pub other_state: bool,
    /// Run again with [`variant`]: VM A's devices observe the same.
    pub isolation: bool,
}

/// The plan of a seed.
#[must_use]
pub fn plan(profile: &Profile, seed: u64) -> Plan {
    let mut r = Random::new(seed, "plan");
    let other_state = profile.chance(Chance::OtherState, &mut r);
    let isolation = profile.chance(Chance::Isolation, &mut r);
    Plan {
        other_state,
        isolation,
    }
}

/// device_ids of VM A in a seed whose plan says isolation.
#[must_use]
pub fn observers(profile: &Profile, target: &Target, seed: u64) -> Vec<u32> {
    let source = Profiled::new(profile, target, false);
    isolation::observers(&source.world(seed))
}

/// The test that a profile is, for a block.
#[must_use]
pub fn case(profile: &Profile, target: &Target) -> Case {
    made(profile, target, false)
}

/// The same test; where a seed's plan says isolation, VM B has other data and other tables.
#[must_use]
pub fn variant(profile: &Profile, target: &Target) -> Case {
    made(profile, target, true)
}

fn made(profile: &Profile, target: &Target, variant: bool) -> Case {
    let source = Arc::new(Profiled::new(profile, target, variant));
    let drawn = source.clone();
    let p = &source.profile;
    // Sets of which the block has nothing: the test does not apply.
    let lacks = p.needs.iter().filter(|&&any| any & target.caps == 0);
    Case {
        name: p.name.clone(),
        file: PathBuf::from(format!("testcases/profiles/{}.yaml", p.name)),
        description: p.description.clone(),
        tags: vec!["random".into()],
        quiesced: p.percent(Chance::Racing) == 0,
        needs: lacks.fold(0, |a, b| a | b),
        // Drawn only where it can be written.
        gxl: false,
        signals: Signals::Any,
        fixed: source.setting(0),
        total_hint: p.most(Amount::Rounds) * (p.most(Amount::Accesses) / 2 + 40),
        draw: Some(Arc::new(move |seed| drawn.setting(seed))),
        source,
    }
}

#[derive(Debug)]
struct Profiled {
    profile: Arc<Profile>,
    target: Target,
    variant: bool,
}

impl Source for Profiled {
    fn ops(&self, seed: u64) -> Result<Ops, CaseError> {
        let world = self.world(seed);
        let t = self.setting(seed).timings;
        let ops = if plan(&self.profile, seed).isolation {
            isolation::ops(world, self.variant)
        } else {
            rounds(world, t)
        };
        Ok(Box::new(ops.into_iter().map(Ok)))
    }
}

impl Profiled {
    fn new(profile: &Profile, target: &Target, variant: bool) -> Self {
        Self {
            profile: Arc::new(profile.clone()),
            target: target.clone(),
            variant,
        }
    }

    fn world(&self, seed: u64) -> World {
        let mask = self.setting(seed).caps_mask;
        World::new(self.profile.clone(), self.target.clone(), seed, mask)
    }

    /// Capabilities and timing of a seed.
    fn setting(&self, seed: u64) -> Setting {
        let p = &self.profile;
        let mut r = Random::new(seed, "capabilities");
        let mut mask = u64::MAX;
        // When Sv57 is set, Sv48 must be; Sv39 stays. The same for the second stage.
        match p.pick::<Widest>(&mut r) {
            Widest::Sv39 => mask &= !(caps::SV48 | caps::SV57 | 3 << 18),
            Widest::Sv48 => mask &= !(caps::SV57 | 1 << 19),
            Widest::Sv57 => {}
        }
        if p.chance(Chance::BaseContexts, &mut r) {
            // MRIF is no use without the flat table, its atomics neither.
            mask &= !(caps::MSI_FLAT | 1 << 23 | 1 << 21);
        }
        for name in [
            "Sv32",
            "Svrsw60t59b",
            "Svpbmt",
            "MSI_MRIF",
            "AMO_MRIF",
            "AMO_HWAD",
            "ATS",
            "T2GPA",
            "END",
            "HPM",
            "DBG",
            "QOSID",
            "NL",
            "S",
        ] {
            if p.chance(Chance::MaskOut, &mut r) {
                mask &= !caps::feature(name).unwrap_or(0);
            }
        }
        mask = caps::legal(mask);
        let pas = match p.pick::<Pas>(&mut r) {
            Pas::Own => 63,
            Pas::P48 => 48,
            Pas::P40 => 40,
            Pas::Any => r.range(34, 56),
        };
        mask = mask & !(0x3f << caps::PAS_SHIFT) | pas << caps::PAS_SHIFT;
        // IGS of the mask: 0 messages only, 1 wires only, else as the block has it.
        let igs = match p.pick::<SignalKind>(&mut r) {
            SignalKind::Own => 3,
            SignalKind::Messages => 0,
            SignalKind::Wires => 1,
        };
        mask = mask & !(3 << caps::IGS_SHIFT) | igs << caps::IGS_SHIFT;
        // What is drawn later than the others, from a stream of its own.
        let mut r = Random::new(seed, "more capabilities");
        if p.chance(Chance::MaskOut, &mut r) {
            mask &= !caps::feature("Sv32x4").unwrap_or(0);
        } else if mask & caps::feature("Sv32").unwrap_or(0) == 0 && r.percent(40) {
            // Guests of 34 bits, without a first stage of 32: nothing says that one needs the other.
            mask |= caps::feature("Sv32x4").unwrap_or(0);
        }
        let mut r = Random::new(seed, "timing");
        Setting {
            caps_mask: mask,
            timings: events::draw_timings(p, &mut r),
            // Only what the block has is drawn from.
            needs: 0,
        }
    }
}

/// A run: tables, then rounds of traffic with edits between them.
fn rounds(mut w: World, mut t: crate::case::Timings) -> Vec<OpAt> {
    let p = w.profile.clone();
    w.build_spaces();
    w.build_devices();
    w.start();
    let unspecified = p.chance(Chance::Unspecified, &mut w.r.run);
    let rounds = p.amount(Amount::Rounds, &mut w.r.run);
    for round in 1..=rounds {
        w.round = round as u32;
        let ids = p.amount(Amount::Ids, &mut w.r.traffic).max(1);
        if p.chance(Chance::TimingChanges, &mut w.r.timing) {
            t = events::draw_timings(&p, &mut w.r.timing);
            w.set_timings(&t);
        }
        let messages = w.driver.cfg.interrupts && !w.driver.cfg.wires;
        let mut masked = p.chance(Chance::Masked, &mut w.r.aim) && messages;
        if masked {
            w.mask_vectors(true);
        }
        if p.chance(Chance::QueueMoves, &mut w.r.queues) {
            w.move_queue(ids);
        }
        if p.chance(Chance::IllegalCommand, &mut w.r.queues) {
            w.illegal_command(ids);
        }
        let breaks = p.chance(Chance::MemoryBreaks, &mut w.r.memory);
        if masked && breaks {
            w.look(regs::IPSR);
            w.mask_vectors(false);
            masked = false;
        }
        let broken = breaks.then(|| w.break_memory());
        let stops = p.chance(Chance::PortStops, &mut w.r.timing);
        let for_ever = p.chance(Chance::ForEver, &mut w.r.timing) && stops;
        let lazy = p.chance(Chance::LazySoftware, &mut w.r.queues);
        // Commands behind one that cannot be read would only wait.
        let commands = broken != Some(Breaks::Command);
        let lazy_pages = p.chance(Chance::LazyPages, &mut w.r.ats);
        w.ats_round(lazy_pages, broken.is_none());
        w.one_round(ids, lazy, commands);
        w.ats_beside(true);
        if p.chance(Chance::AtsStops, &mut w.r.ats) && w.ats {
            w.ats_stop();
        }
        if stops {
            w.stop_port(&t, for_ever, commands);
        }
        if masked && !for_ever {
            w.look(regs::IPSR);
            w.mask_vectors(false);
        }
        let reset = p.chance(Chance::Reset, &mut w.r.resets);
        if reset || for_ever {
            w.reset(&t);
            continue;
        }
        if unspecified && broken.is_none() {
            w.undefined(&t, ids);
            continue;
        }
        // Records were lost: software has to clear the bit that says so.
        let overflow = w.room() == 0;
        if !w.racing || broken.is_some() || overflow {
            w.drain();
        }
        if overflow {
            w.resume_faults();
        }
        if let Some(kind) = broken {
            w.heal_memory(kind);
        }
        w.ats_between(lazy_pages);
        if p.chance(Chance::ModeChanges, &mut w.r.queues) {
            w.change_mode(ids);
            if !w.racing {
                w.drain();
            }
        }
        w.edits(ids);
    }
    w.drain();
    w.resume_faults();
    w.push("end", Op::WaitIdle);
    w.out
}

impl World {
    /// Accesses, and what goes on beside them.
    fn one_round(&mut self, ids: u64, lazy: bool, commands: bool) {
        let p = self.profile.clone();
        let accesses = p.amount(Amount::Accesses, &mut self.r.traffic);
        let registers = p.amount(Amount::RegisterAccesses, &mut self.r.registers);
        let parts = registers + 1;
        for part in 0..parts {
            let share = accesses * (part + 1) / parts - accesses * part / parts;
            let mut left = share;
            while left > 0 {
                // Room for every record, and one of a command or message more.
                let now = if lazy {
                    left
                } else {
                    left.min(self.room().saturating_sub(1))
                };
                if now == 0 {
                    self.drain();
                    if self.room() < 2 {
                        // A queue of two entries: one access at a time has to do.
                        self.traffic(1, ids);
                        left -= 1;
                    }
                    continue;
                }
                self.traffic(now, ids);
                left -= now;
            }
            if part < registers {
                self.register();
            }
            if commands && part == parts / 2 {
                self.commands();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;
    use std::path::Path;
    use world::{DATA, TABLES};

    fn profiles() -> Vec<Profile> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases/profiles");
        profile::list(&folder)
            .unwrap()
            .iter()
            .map(|(name, _)| Profile::load(&folder, name).unwrap_or_else(|e| panic!("{e}")))
            .collect()
    }

    fn ops(p: &Profile, seed: u64) -> Vec<OpAt> {
        let case = case(p, &Target::default());
        case.ops(seed).unwrap().map(|o| o.unwrap()).collect()
    }

    #[test]
    fn a_seed_makes_one_test_and_seeds_differ() {
        for p in profiles() {
            let case = case(&p, &Target::default());
            assert!(ops(&p, 3) == ops(&p, 3), "{}", p.name);
            assert!(ops(&p, 3) != ops(&p, 4), "{}", p.name);
            assert_eq!(case.setting(3), case.setting(3));
        }
    }

    #[test]
    fn purposes_do_not_disturb_one_another() {
        // More register accesses change no table.
        let stores = |p: &Profile| -> Vec<Op> {
            ops(p, 5)
                .into_iter()
                .map(|o| o.op)
                .filter(|o| matches!(o, Op::Store { addr, .. } if *addr < DATA))
                .collect()
        };
        let text = |n: u32| format!("name: x\ndescription: x\nregisters: {{count: {n}}}\n");
        let a = Profile::parse("a", &text(1)).unwrap();
        let b = Profile::parse("b", &text(9)).unwrap();
        assert_ne!(ops(&a, 5), ops(&b, 5));
        assert_eq!(stores(&a), stores(&b));
    }

    #[test]
    fn profiles_of_quiesced_tests_edit_at_rest() {
        for p in profiles() {
            if p.percent(Chance::Racing) > 0
                || p.percent(Chance::Reset) > 0
                || p.percent(Chance::Unspecified) > 0
                || p.percent(Chance::PortStops) > 0
            {
                continue;
            }
            let mut commands = 0;
            for seed in 0..12 {
                let mut dma = false;
                let all = ops(&p, seed);
                assert!(matches!(all.last().unwrap().op, Op::WaitIdle));
                for op in &all {
                    match &op.op {
                        Op::Dma(d) => {
                            dma = true;
                            assert!(d.device_id < 1 << 24);
                        }
                        Op::WaitIdle | Op::WaitDma | Op::TakeFaults { .. } => dma = false,
                        // Commands may be queued under traffic, tables stay.
                        Op::Store { addr, data } if data.len() == 8 => {
                            assert!(!dma, "{} seed {seed}: an edit under way", p.name);
                            assert!(*addr >= TABLES);
                        }
                        Op::RegWrite { offset, .. } if *offset == regs::CQT => commands += 1,
                        _ => {}
                    }
                }
            }
            assert!(commands > 12, "{}", p.name);
        }
    }

    #[test]
    fn no_device_writes_tables_untranslated() {
        // Who does may cut off a device whose answer a fence waits for.
        let p = profiles().into_iter().find(|p| p.name == "everything");
        let p = p.unwrap();
        let mut near = 0;
        for seed in 0..40 {
            let mut mode = 0;
            for op in ops(&p, seed) {
                match op.op {
                    Op::RegWrite { offset, value, .. } if offset == regs::DDTP => mode = value & 15,
                    Op::Dma(d) if traffic::may_be_table(d.iova) => {
                        near += 1;
                        let direct = d.translated || mode == 1;
                        assert!(!direct || d.write.is_none(), "seed {seed}: {:#x}", d.iova);
                    }
                    _ => {}
                }
            }
        }
        assert!(near > 100);
    }

    #[test]
    fn no_device_is_told_while_memory_is_broken() {
        // Its answer may be refused for that, and the next fence waits for it for ever.
        let p = profiles().into_iter().find(|p| p.name == "ats").unwrap();
        let mut told = [0, 0];
        for seed in 0..60 {
            let mut broken = false;
            for op in ops(&p, seed) {
                match op.op {
                    Op::MemFault { .. } => broken = true,
                    Op::ClearFaults => broken = false,
                    Op::Store { data, .. } if &*op.at.text == "ATS command" => {
                        // The low byte of the command, in either byte order.
                        let invalidation = [data[0], data[7]].contains(&4);
                        told[usize::from(broken)] += usize::from(invalidation);
                    }
                    _ => {}
                }
            }
        }
        assert!(told[0] > 100 && told[1] == 0, "{told:?}");
    }

    #[test]
    fn capabilities_are_those_that_can_be() {
        for p in profiles() {
            let case = case(&p, &Target::default());
            for seed in 0..40 {
                let caps = world::effective(u64::MAX, case.setting(seed).caps_mask);
                let sv = caps >> 9 & 7;
                assert!(matches!(sv, 1 | 3 | 7), "Sv57 needs Sv48 needs Sv39");
                assert!(matches!(caps >> 17 & 7, 1 | 3 | 7));
                assert!((34..=63).contains(&(caps >> caps::PAS_SHIFT & 0x3f)));
            }
        }
    }

    #[test]
    fn a_block_without_a_feature_is_left_alone() {
        let target = Target {
            // Sv39, MSI_FLAT, IGS both, PAS 56.
            caps: 0x10 | 1 << 9 | 1 << 22 | 2 << 28 | 56 << 32,
            gxl: false,
            ..Target::default()
        };
        for p in profiles() {
            let case = case(&p, &target);
            let choices = crate::dut::Choices::default();
            let skipped = case.missing(1, target.caps, &choices).is_some();
            assert_eq!(
                skipped,
                matches!(
                    p.name.as_str(),
                    "nested"
                        | "process"
                        | "msi"
                        | "ats"
                        | "faults-aimed"
                        | "invalidation-guests"
                        | "invalidation-exact"
                ),
                "{}",
                p.name
            );
        }
    }
}
