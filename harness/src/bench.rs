//! `iommu-cosim bench`: what takes the time of a run.

use std::process::ExitCode;

use crate::app::{Runs, SHORT_OPS, STOP, select};
use crate::cli::RunArgs;
use crate::dut::Dut;
use crate::run::{self, Covering, Setup, Spent};
use crate::suite::Ticket;

/// Runs tests one by one, once without and once with coverage, and says what took the time.
pub(crate) fn command(a: &RunArgs) -> miette::Result<ExitCode> {
    let dut = Dut::find(&a.common.root, &a.common.dut)?;
    let cases = select(iommu_testcase::load_all(&a.common.root)?, &a.test)?;
    let runs = Runs::new(&a.common, &dut, "make sim", a.short)?;
    let ticket = Ticket::alone(&STOP);
    let (mut cycles, mut transactions) = (0, 0);
    let mut spent = [Spent::default(); 2];
    for case in &cases {
        let mask = case.setting(a.seed).caps_mask;
        let caps = runs
            .capabilities(mask)
            .map_err(|e| miette::miette!("{e}"))?;
        if case.missing(a.seed, caps, &dut.desc.choices).is_some() {
            continue;
        }
        for (covering, spent) in [Covering::Nothing, Covering::Functional]
            .into_iter()
            .zip(&mut spent)
        {
            let scoreboard = dut.scoreboard(caps).map_err(|e| miette::miette!("{e}"))?;
            let setup = Setup {
                at_most: a.short.then_some(SHORT_OPS),
                coverage: covering,
                measure: true,
                timed: false,
                ..Setup::new(&dut.name, a.seed, scoreboard)
            };
            let out = run::run(case, &setup, &ticket);
            if let Some(why) = out.error {
                return Err(miette::miette!("{}: {why}", case.name));
            }
            spent.model += out.spent.model;
            spent.agents += out.spent.agents;
            spent.checking += out.spent.checking;
            if covering == Covering::Nothing {
                cycles += out.cycles;
                transactions += out.metrics.transactions();
            }
        }
    }
    let [plain, counted] = spent;
    let model = plain.model.as_secs_f64().max(1e-9);
    println!("{cycles} cycles, {transactions} checked transactions");
    // Both passes ran the same cycles; their models need not have been equally fast.
    let scale = model / counted.model.as_secs_f64().max(1e-9);
    let checking = plain.checking.as_secs_f64();
    let coverage = (counted.checking.as_secs_f64() * scale - checking).max(0.0);
    for (what, seconds) in [
        ("model", model),
        (
            "agents, protocol checkers, memory",
            plain.agents.as_secs_f64(),
        ),
        ("scoreboard with golden model", checking),
        ("functional coverage", coverage),
    ] {
        println!(
            "{what:<36} {seconds:>8.3} s  {:>6.1} % of the model",
            100.0 * seconds / model
        );
    }
    println!(
        "{:<36} {:>8} {:>9.1} % of the model",
        "checking and coverage",
        "",
        100.0 * (checking + coverage) / model
    );
    Ok(ExitCode::SUCCESS)
}
