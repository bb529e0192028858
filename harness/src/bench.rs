//! `iommu-cosim bench`: what takes the time of a run.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use iommu_testcase::{Case, random};

use crate::app::{Runs, SHORT_OPS, STOP, select};
use crate::cli::BenchArgs;
use crate::dut::Dut;
use crate::report::grouped;
use crate::run::{self, Covering, Setup, Spent};
use crate::suite::Ticket;

/// Runs of one kind.
#[derive(Debug, Default)]
struct Kind {
    cycles: u64,
    transactions: u64,
    /// With all checks: wall time without the clock being read, and where it goes, without and with
    /// functional coverage.
    wall: Duration,
    plain: Spent,
    counted: Spent,
}

/// Runs tests one by one, three times each, and says what took the time.
pub(crate) fn command(a: &BenchArgs) -> miette::Result<ExitCode> {
    let common = &a.run.common;
    let dut = Dut::find(&common.root, &common.dut)?;
    let runs = Runs::new(common, &dut, "make sim", a.run.short)?;
    let cases = select(iommu_testcase::load_all(&common.root)?, &a.run.test)?;
    let mut directed = Kind::default();
    for case in &cases {
        for _ in 0..a.times {
            directed.add(case, a.run.seed, a.run.short, &runs, &dut)?;
        }
    }
    let mut kinds = vec![("directed tests".to_owned(), directed)];
    let names: &[String] = if a.seeds == 0 { &[] } else { &a.profile };
    let target = crate::random::target(&runs, &dut)?;
    for (profile, name) in crate::random::load(&common.root, names)? {
        let case = random::case(&profile, &target);
        let mut kind = Kind::default();
        for seed in 0..a.seeds {
            kind.add(&case, a.run.seed.wrapping_add(seed), false, &runs, &dut)?;
        }
        kinds.push((format!("random, {name}"), kind));
    }
    println!("{}", table(&kinds));
    println!("shares are of the time of the model; one thread");
    Ok(ExitCode::SUCCESS)
}

impl Kind {
    /// Runs a test that this device can run.
    fn add(
        &mut self,
        case: &Case,
        seed: u64,
        short: bool,
        runs: &Runs<'_>,
        dut: &Dut,
    ) -> miette::Result<()> {
        let ticket = Ticket::alone(&STOP);
        let caps = runs
            .capabilities(case.setting(seed).caps_mask)
            .map_err(|e| miette::miette!("{e}"))?;
        if case.missing(seed, caps, &dut.desc.choices).is_some() {
            return Ok(());
        }
        let run = |coverage, measure| {
            let scoreboard = dut.scoreboard(caps).map_err(|e| miette::miette!("{e}"))?;
            let setup = Setup {
                at_most: short.then_some(SHORT_OPS),
                coverage,
                measure,
                timed: false,
                ..Setup::new(&dut.name, seed, scoreboard)
            };
            let begin = Instant::now();
            let out = run::run(case, &setup, &ticket);
            let wall = begin.elapsed();
            match out.error {
                Some(why) => Err(miette::miette!("{}: {why}", case.name)),
                None => Ok((out, wall)),
            }
        };
        let (out, wall) = run(Covering::Functional, false)?;
        self.cycles += out.cycles;
        self.transactions += out.metrics.transactions();
        self.wall += wall;
        self.plain += run(Covering::Nothing, true)?.0.spent;
        self.counted += run(Covering::Functional, true)?.0.spent;
        Ok(())
    }
}

fn table(kinds: &[(String, Kind)]) -> Table {
    let mut t = Table::new();
    t.load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "",
            "cycles",
            "checked\ntransactions",
            "kHz,\nmodel alone",
            "kHz, all on",
            "checked/s,\nall on",
            "agents,\nprotocol",
            "scoreboard,\ngolden model",
            "functional\ncoverage",
            "checking and\ncoverage",
        ]);
    for column in t.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (name, kind) in kinds {
        let model = kind.plain.model.as_secs_f64().max(1e-9);
        // Both passes ran the same cycles; their models need not have been equally fast.
        let scale = model / kind.counted.model.as_secs_f64().max(1e-9);
        let checking = kind.plain.checking.as_secs_f64();
        let coverage = (kind.counted.checking.as_secs_f64() * scale - checking).max(0.0);
        let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / model);
        let wall = kind.wall.as_secs_f64().max(1e-9);
        let khz = |seconds: f64| format!("{:.0}", kind.cycles as f64 / seconds / 1e3);
        t.add_row([
            name.clone(),
            grouped(kind.cycles),
            grouped(kind.transactions),
            khz(model),
            khz(wall),
            grouped((kind.transactions as f64 / wall) as u64),
            share(kind.plain.agents.as_secs_f64()),
            share(checking),
            share(coverage),
            share(checking + coverage),
        ]);
    }
    t
}
