//! Throughput and latency, from the transactions the scoreboard has checked.
//!
//! Latencies are cycles from the address handshake at `s_dev` to the address
//! handshake at `m_dev` (granted), or to the last response beat (refused),
//! held in HDR histograms by class.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use iommu_scoreboard::{Class, TransactionRecord};
use serde::Serialize;

/// Classes of a transaction as reports show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyClass {
    /// Answered without a memory access of the IOMMU (hits, and `Bare`).
    Hit,
    /// Read nothing itself, but waited for a walk that it shares with another
    /// request, or behind an older burst of its id that was no hit.
    Waited,
    /// The device context was cached, page-table entries were read.
    Walk,
    /// The device context was read too.
    ContextMiss,
    /// Refused.
    Fault,
}

impl LatencyClass {
    /// All classes, in report order.
    pub const ALL: [Self; 5] = [
        Self::Hit,
        Self::Waited,
        Self::Walk,
        Self::ContextMiss,
        Self::Fault,
    ];

    /// Column heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Waited => "waited",
            Self::Walk => "walk",
            Self::ContextMiss => "context miss",
            Self::Fault => "fault",
        }
    }

    /// The report class of a checked transaction.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Bare | Class::Hit => Self::Hit,
            Class::Waited => Self::Waited,
            Class::Walk { .. } => Self::Walk,
            // Until it has a row of its own, what takes an interrupt file's walk counts as one.
            Class::Msi { .. } => Self::Walk,
            Class::ContextMiss { .. } => Self::ContextMiss,
            Class::Fault { .. } => Self::Fault,
        }
    }
}

/// Order statistics of one class, in cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Transactions of this class.
    pub count: u64,
    /// Smallest.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// Collects the figures of one run.
#[derive(Debug, Default)]
pub struct Metrics {
    classes: BTreeMap<LatencyClass, Histogram<u32>>,
    /// What is left of the histograms once the run is over.
    closed: BTreeMap<LatencyClass, Latency>,
    spans: BTreeMap<LatencyClass, (u64, u64)>,
    transactions: u64,
    bytes: u64,
    mem_reads: u64,
    most_overtaken: u32,
    first_accept: Option<u64>,
    last_forward: u64,
}

impl Metrics {
    /// Counts one checked transaction.
    pub fn record(&mut self, t: &TransactionRecord) {
        let class = LatencyClass::of(t.class);
        let end = t.forwarded.unwrap_or(t.done);
        self.count(class, end.saturating_sub(t.accepted));
        let span = self.spans.entry(class).or_insert((t.accepted, end));
        *span = (span.0.min(t.accepted), span.1.max(end));
        self.transactions += 1;
        self.bytes += u64::from(t.bytes);
        self.mem_reads += u64::from(t.class.reads());
        self.most_overtaken = self.most_overtaken.max(t.overtaken);
        self.first_accept = Some(self.first_accept.map_or(t.accepted, |f| f.min(t.accepted)));
        self.last_forward = self.last_forward.max(end);
    }

    fn count(&mut self, class: LatencyClass, cycles: u64) {
        let h = self
            .classes
            .entry(class)
            .or_insert_with(|| Histogram::new(3).expect("3 digits are within the crate's limits"));
        // `record` grows the histogram; `saturating_record` would cut the value off.
        h.record(cycles).expect("a histogram grows up to 64 bits");
    }

    /// The run is over: keeps the figures, not the histograms (thousands of results are kept until
    /// the end of a night's run).
    pub fn close(&mut self) {
        for (class, h) in std::mem::take(&mut self.classes) {
            self.closed.insert(class, figures(&h));
        }
    }

    /// Forgets what was counted; a new measurement window begins.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Checked transactions.
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Bytes that these transactions asked to move.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Accesses of the IOMMU to memory that served these transactions.
    pub const fn mem_reads(&self) -> u64 {
        self.mem_reads
    }

    /// The most walks of younger requests that were done before one was decided.
    pub const fn most_overtaken(&self) -> u32 {
        self.most_overtaken
    }

    /// Cycles from the first accepted to the last decided transaction.
    pub fn window(&self) -> u64 {
        self.first_accept
            .map_or(0, |f| self.last_forward.saturating_sub(f))
    }

    /// Cycles from the first accepted to the last decided transaction of a class.
    pub fn window_of(&self, class: LatencyClass) -> u64 {
        self.spans
            .get(&class)
            .map_or(0, |(first, last)| last.saturating_sub(*first))
    }

    /// The figures of a class; `None` when no transaction fell into it.
    pub fn latency(&self, class: LatencyClass) -> Option<Latency> {
        let open = self.classes.get(&class).map(figures);
        open.or_else(|| self.closed.get(&class).copied())
    }
}

fn figures(h: &Histogram<u32>) -> Latency {
    Latency {
        count: h.len(),
        min: h.min(),
        p50: h.value_at_quantile(0.5),
        p99: h.value_at_quantile(0.99),
        max: h.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_run_keeps_its_figures_and_drops_its_histograms() {
        let mut m = Metrics::default();
        for cycles in [2, 2, 2, 36, 1 << 20] {
            m.count(LatencyClass::Hit, cycles);
        }
        let open = m.latency(LatencyClass::Hit);
        assert_eq!(open.map(|l| (l.count, l.min, l.p50)), Some((5, 2, 2)));
        // Three digits.
        let max = open.map_or(0, |l| l.max);
        assert!((1 << 20..(1 << 20) + 1024).contains(&max), "{max}");
        m.close();
        assert!(m.classes.is_empty());
        assert_eq!(m.latency(LatencyClass::Hit), open);
        assert_eq!(m.latency(LatencyClass::Walk), None);
    }
}
