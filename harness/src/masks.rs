//! The regression under masked capabilities (`cfg_caps_i`): each bit off alone, and random legal
//! combinations. What a test needs and the masked block lacks is left out; the golden model is
//! configured by what the block itself says.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use iommu_testcase::random::{self, effective};
use iommu_testcase::rng::Random;
use iommu_testcase::{Case, caps};

use crate::app::{Runs, TestJob, select};
use crate::cli::MasksArgs;
use crate::dut::Dut;

/// `iommu-cosim masks`
pub(crate) fn command(a: &MasksArgs) -> miette::Result<ExitCode> {
    let dut = Dut::find(&a.common.root, &a.common.dut)?;
    let runs = Runs::new(&a.common, &dut, "iommu-cosim masks", true)?;
    let own = runs
        .capabilities(u64::MAX)
        .map_err(|e| miette::miette!("{e}"))?;
    let cases = select(iommu_testcase::load_all(&a.common.root)?, &a.test)?;
    let profiles = crate::random::load(Path::new(&a.common.root), &a.profile)?;
    let target = crate::random::target_with(own, &dut);
    let masks = match a.mask {
        Some(mask) => vec![mask],
        None => masks(own, a.random, a.seed),
    };
    let mut jobs = Vec::new();
    for &mask in &masks {
        // What the block says is what docs/pins.md makes of the mask.
        let (says, due) = (
            runs.capabilities(mask)
                .map_err(|e| miette::miette!("{e}"))?,
            effective(own, mask),
        );
        if says != due {
            return Err(miette::miette!(
                "under mask {mask:#x} `capabilities` is {says:#x}, not {due:#x} (docs/pins.md)"
            ));
        }
        let here = random::Target {
            caps: due,
            ..target.clone()
        };
        let drawn = profiles.iter().map(|(p, _)| random::case(p, &here));
        let mut count = 0;
        for case in cases.iter().cloned().chain(drawn) {
            let case = under(case, mask);
            let caps = runs
                .capabilities(case.setting(a.seed).caps_mask)
                .map_err(|e| miette::miette!("{e}"))?;
            if case.missing(a.seed, caps, &dut.desc.choices).is_some() {
                continue;
            }
            count += 1;
            jobs.push(TestJob {
                name: format!("{} {mask:016x}", case.name),
                replay: runs.replay(&format!("--mask {mask:#x} --seed {}", a.seed)),
                case,
                seed: a.seed,
                runs: &runs,
                random: None,
            });
        }
        let without = caps::names(own & !due).join(", ");
        println!("{mask:#018x}: {count} tests apply; without {without}");
        if count == 0 {
            return Err(miette::miette!("no test applies under {mask:#x}"));
        }
    }
    println!("{} masks", masks.len());
    runs.all(&jobs)
}

/// Each bit that the block has off alone (with what leans on it), then random ones.
fn masks(own: u64, random: u64, seed: u64) -> Vec<u64> {
    let bits: Vec<u64> = caps::FEATURES
        .iter()
        .map(|&(_, n)| 1 << n)
        .filter(|bit| own & bit != 0)
        .collect();
    let mut all: Vec<u64> = bits.iter().map(|bit| caps::legal(!bit)).collect();
    let mut r = Random::new(seed, "capability masks");
    let mut tries = 0;
    let wanted = all.len() + random as usize;
    // A block of few capabilities has fewer masks.
    while all.len() < wanted && tries < 100 * random {
        tries += 1;
        let off = *r.pick(&[10, 30, 50, 80]);
        let drawn = bits
            .iter()
            .filter(|_| r.percent(off))
            .fold(u64::MAX, |m, b| m & !b);
        let mask = caps::legal(drawn);
        if !all.contains(&mask) {
            all.push(mask);
        }
    }
    all
}

/// A test under a mask, beside the test's own.
fn under(case: Case, mask: u64) -> Case {
    let inner = case.clone();
    Case {
        draw: Some(Arc::new(move |seed| {
            let mut setting = inner.setting(seed);
            setting.caps_mask = caps::both(setting.caps_mask, mask);
            setting
        })),
        ..case
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_off_alone_and_random_masks_differ() {
        let own = caps::FEATURES.iter().fold(0, |m, &(_, n)| m | 1 << n);
        let all = masks(own, 32, 1);
        assert_eq!(all.len(), caps::FEATURES.len() + 32);
        assert_eq!(all, masks(own, 32, 1));
        assert_ne!(all, masks(own, 32, 2));
        for &(name, n) in caps::FEATURES {
            assert!(all.iter().any(|m| m >> n & 1 == 0), "{name}");
        }
        assert!(all.iter().all(|&m| caps::legal(m) == m));
        // Nothing to take away: nothing to run.
        assert!(masks(0, 32, 1).len() <= 1);
    }
}
