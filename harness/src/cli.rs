//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};

/// Proves an IOMMU in RTL against a golden model of the RISC-V IOMMU
/// specification.
#[derive(Debug, Parser)]
#[command(name = "iommu-cosim", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run test cases: directed ones and recorded streams.
    Run(RunArgs),
    /// Run random tests: profiles of testcases/profiles, one test a seed.
    Random(RandomArgs),
    /// Run the regression with capabilities masked away: each bit alone, and random combinations.
    Masks(MasksArgs),
    /// Show the oracle from both sides: the software device passes, each wrong one is caught.
    Prove(ProveArgs),
    /// List the test cases and what each is about, or the devices under test.
    List(ListArgs),
    /// Measure what takes the time: model, agents, scoreboard with golden model, coverage.
    Bench(BenchArgs),
    /// Figures, holes and pages of a coverage database; merging of several; closure.
    #[command(subcommand)]
    Coverage(CoverageCommand),
}

/// `iommu-cosim coverage`
#[derive(Debug, Subcommand)]
pub enum CoverageCommand {
    /// Print figures and holes. Exit code 1 if something that has to be hit was not.
    Report(CoverageArgs),
    /// Write everything as one HTML page.
    Html {
        /// What to show.
        #[command(flatten)]
        args: CoverageArgs,
        /// The page.
        #[arg(long, default_value = "out/coverage.html")]
        to: PathBuf,
    },
    /// Hold the verification plan against it: whether each row's own tests hit the bins that the row
    /// names. Exit code 1 if some do not.
    Plan {
        /// What to look at.
        #[command(flatten)]
        args: CoverageArgs,
        /// The plan.
        #[arg(long, default_value = "docs/vplan.md")]
        plan: PathBuf,
        /// Every row, not only those whose tests do not hit their bins.
        #[arg(long)]
        all: bool,
    },
    /// Draw the curves of `close` as SVG.
    Curves {
        /// What to show.
        #[command(flatten)]
        args: CoverageArgs,
        /// The picture.
        #[arg(long, default_value = "out/closure.svg")]
        to: PathBuf,
    },
    /// Sum databases of several machines into the first, which need not exist.
    Merge {
        /// Where the sum goes.
        to: PathBuf,
        /// What is added.
        from: Vec<PathBuf>,
    },
    /// Random seeds, batch after batch: what was not hit turns the knobs of the next.
    Close(CloseArgs),
}

/// `iommu-cosim coverage close`
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// Shared options; `--coverage` is the database.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Profiles to choose from, as of `random`.
    #[arg(long, short, default_value = "all")]
    pub profile: Vec<String>,
    /// Clocks to simulate.
    #[arg(long, default_value_t = 2_000_000)]
    pub cycles: u64,
    /// Seeds of a batch.
    #[arg(long, default_value_t = 4)]
    pub batch: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_parser = parse_number, allow_negative_numbers = true)]
    pub seed: u64,
    /// Turn nothing: the profiles in turn, for comparison.
    #[arg(long)]
    pub plain: bool,
    /// Name of the curve in the database.
    #[arg(long)]
    pub curve: Option<String>,
}

/// What the subcommands of `coverage` share.
#[derive(Debug, Clone, Args)]
pub struct CoverageArgs {
    /// The database.
    #[arg(default_value = "out/coverage.cov")]
    pub database: PathBuf,
    /// Device under test: its name, or the path of its dut.yaml.
    #[arg(long, default_value = "iommu-cosim")]
    pub dut: String,
    /// Root of the project.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Holes of each cover that are printed.
    #[arg(long)]
    pub holes: Option<usize>,
}

/// Options that all subcommands share.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Device under test: its name, or the path of its dut.yaml; `soft` is one in software, `soft:<bug>` a wrong one.
    #[arg(long, default_value = "iommu-cosim")]
    pub dut: String,
    /// Root of the project (where testcases/ is).
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Tests to run at once; default: one a core.
    #[arg(long, short, value_parser = value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Record waveforms of the whole run.
    #[arg(long)]
    pub waves: bool,
    /// Say more.
    #[arg(long, short)]
    pub verbose: bool,
    /// Count coverage, and add it to this database (made if it is not there). Coverage of the RTL
    /// is counted where the models were built with IOMMU_COVERAGE=1.
    #[arg(long)]
    pub coverage: Option<PathBuf>,
    /// Where results.json and waveforms go.
    #[arg(long, default_value = "out")]
    pub out: PathBuf,
}

impl CommonArgs {
    /// Tests to run at once.
    pub(crate) fn threads(&self) -> usize {
        self.jobs
            .map(usize::from)
            .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
            .unwrap_or(1)
    }
}

/// `iommu-cosim run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Only the tests of this name (or file), or whose name begins with it when it ends in `*`. May be repeated.
    #[arg(long, short)]
    pub test: Vec<String>,
    /// Seed of everything drawn (latencies, lengths, initial state).
    #[arg(long, default_value_t = 1, value_parser = parse_number, allow_negative_numbers = true)]
    pub seed: u64,
    /// Only the quick tests; recorded streams are cut short.
    #[arg(long)]
    pub short: bool,
}

/// `iommu-cosim bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The tests.
    #[command(flatten)]
    pub run: RunArgs,
    /// Random tests of this profile too. May be repeated.
    #[arg(long, short, default_values = ["everything"])]
    pub profile: Vec<String>,
    /// Seeds of each profile, from `--seed` on; 0: none.
    #[arg(long, default_value_t = 50)]
    pub seeds: u64,
    /// Run each directed test so often, for a steady figure of a short one.
    #[arg(long, default_value_t = 1)]
    pub times: u64,
}

/// `iommu-cosim masks`
#[derive(Debug, Args)]
pub struct MasksArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Random masks, besides each bit off alone.
    #[arg(long, default_value_t = 32)]
    pub random: u64,
    /// This mask alone (of `cfg_caps_i`).
    #[arg(long, value_parser = parse_number)]
    pub mask: Option<u64>,
    /// Only these test cases, as of `run`. May be repeated.
    #[arg(long, short)]
    pub test: Vec<String>,
    /// Profiles of which a seed is run under each mask.
    #[arg(long, short, default_value = "everything")]
    pub profile: Vec<String>,
    /// Seed of the masks and of the tests.
    #[arg(long, default_value_t = 1, value_parser = parse_number, allow_negative_numbers = true)]
    pub seed: u64,
}

/// `iommu-cosim prove`
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Profiles that are run, each with every seed.
    #[arg(long, short, default_values = ["invalidation-races", "invalidation-guests", "invalidation-exact", "resets", "ats", "msi", "registers", "queues", "translation", "axi-edges", "saturation", "nested"])]
    pub profile: Vec<String>,
    /// Only these wrong behaviours. May be repeated.
    #[arg(long)]
    pub bug: Vec<String>,
    /// Seeds of each profile that the legal device has to pass.
    #[arg(long, default_value_t = 1000)]
    pub seeds: u64,
    /// Seeds of its profile within which a wrong device has to be caught.
    #[arg(long, default_value_t = 200)]
    pub limit: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_parser = parse_number, allow_negative_numbers = true)]
    pub seed: u64,
}

/// `iommu-cosim list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The devices under test instead, the software device's wrong behaviours among them.
    #[arg(long)]
    pub duts: bool,
}

/// `iommu-cosim random`
#[derive(Debug, Args)]
pub struct RandomArgs {
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Profile: its name, or the path of its file; `all` is every one. May be repeated.
    #[arg(long, short, default_value = "smoke")]
    pub profile: Vec<String>,
    /// How many seeds of each profile.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_parser = parse_number, allow_negative_numbers = true)]
    pub seed: u64,
    /// Seed after seed for so many minutes, instead of `--seeds`.
    #[arg(long, short, value_parser = parse_minutes, allow_negative_numbers = true)]
    pub minutes: Option<f64>,
    /// Seconds in which a failing run is reduced to a small test case; 0 leaves it as it is.
    #[arg(long, default_value_t = 60)]
    pub reduce_seconds: u64,
}

/// Minutes are a positive number, at most a year.
fn parse_minutes(s: &str) -> Result<f64, String> {
    match s.parse() {
        Ok(m) if m > 0.0 && m <= 525_600.0 => Ok(m),
        _ => Err(format!("minutes are a positive number, not `{s}`")),
    }
}

/// Seeds and masks are unsigned 64-bit numbers, decimal or 0x-hexadecimal.
fn parse_number(s: &str) -> Result<u64, String> {
    let parsed = match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => s.parse(),
    };
    parsed.map_err(|_| {
        format!(
            "it is a number from 0 to {} (or 0x...), not `{s}`",
            u64::MAX
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seeds() {
        assert_eq!(parse_number("0x10"), Ok(16));
        assert_eq!(parse_number("17"), Ok(17));
        assert_eq!(parse_minutes("0.5"), Ok(0.5));
        assert!(parse_minutes("-1").is_err() && parse_minutes("NaN").is_err());
        assert!(parse_number("-1").unwrap_err().contains("not `-1`"));
    }
}
