//! The cycle figures of docs/walks.md, exactly, on the project's own block (`default` preset). A test
//! case can only say "at most", as another block may be faster; here one cycle more or less fails.
//!
//! Reads and writes are of one beat, memory answers L = 10 cycles after the address, all readies are high.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use iommu_cosim::dut::Dut;
use iommu_cosim::metrics::{Latency, LatencyClass, Metrics};
use iommu_cosim::run::{self, Setup};
use iommu_cosim::suite::Ticket;

const L: u64 = 10;

/// A walk of `n` dependent reads, address in to address out.
const fn walk(n: u64) -> u64 {
    n * (L + 1) + 3
}

/// Runs a test case; what was counted since its last `measure`.
fn measured(body: &str) -> Metrics {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = format!(
        "name: cycles\ndescription: Cycle figures.\n\
         timing:\n  memory: {{latency: {L}}}\n  output: {{latency: {L}}}\n{body}"
    );
    let case = iommu_testcase::testcase::parse(Path::new("cycles.yaml"), "cycles", &text)
        .unwrap_or_else(|why| panic!("{why:?}\n{text}"));
    let dut = Dut::find(&root, "iommu-cosim").unwrap();
    let caps = run::probe_capabilities(&dut.name, case.setting(1).caps_mask).unwrap();
    let setup = Setup::new(&dut.name, 1, dut.scoreboard(caps).unwrap());
    let stop = AtomicBool::new(false);
    let outcome = run::run(&case, &setup, &Ticket::alone(&stop));
    assert!(
        outcome.failures.is_empty() && outcome.error.is_none(),
        "{:?} {:?}",
        outcome.failures,
        outcome.error
    );
    outcome.measured
}

/// One device in one first stage, with `pages` pages of 4 KiB from 0x10000 on, `stride` apart.
fn host(pages: u64, stride: u64) -> String {
    let mut text = String::from(
        "domains: {a: {scheme: Sv39}, b: {scheme: Sv39, pscid: 9}}\n\
         devices: {nic: {id: 0x20, domain: a}, ssd: {id: 0x21, domain: b}}\nmap:\n",
    );
    for page in 0..pages {
        let (iova, pa) = (0x1_0000 + page * stride, 0x8001_0000 + page * 0x1000);
        writeln!(text, "  - {{domain: a, iova: {iova:#x}, pa: {pa:#x}}}").unwrap();
    }
    text.push_str("  - {domain: b, iova: 0x10000, pa: 0x90010000, size: 1M, page: 4K}\n");
    text
}

/// All pages are in the IOTLB.
const WARM: &str = "
  - dma: {device: nic, read: 0x10000, count: 16, stride: 4K, expect: ok, wait: true}
  - wait: idle
";

fn all(metrics: &Metrics, class: LatencyClass, count: u64, cycles: u64) {
    let got = metrics.latency(class).expect("there are some");
    assert_eq!(
        (got.count, got.min, got.max),
        (count, cycles, cycles),
        "{got:?}"
    );
}

fn count(metrics: &Metrics, class: LatencyClass) -> u64 {
    metrics
        .latency(class)
        .map_or(0, |Latency { count, .. }| count)
}

// ---------------------------------------------------------------- hits

#[test]
fn a_hit_takes_two_cycles() {
    for what in ["read", "write"] {
        let metrics = measured(&format!(
            "{}steps:{WARM}  - measure\n  - repeat:\n      times: 20\n      steps:\n        \
             - dma: {{device: nic, {what}: 0x10000, count: 1, expect: ok, wait: true}}\n",
            host(16, 0x1000)
        ));
        all(&metrics, LatencyClass::Hit, 20, 2);
    }
}

/// 1000 translations in the 999 cycles from the first to the last, and the two of a hit.
const STREAM: u64 = 999 + 2;

#[test]
fn hits_come_one_a_cycle_reads_alone_writes_alone_and_both_together() {
    let stream = |steps: &str| {
        measured(&format!(
            "{}steps:{WARM}  - measure\n{steps}",
            host(16, 0x1000)
        ))
    };
    for what in ["read", "write"] {
        let metrics = stream(&format!(
            "  - dma: {{device: nic, {what}: 0x10000, count: 1000, stride: 64, ids: 16, expect: ok}}\n"
        ));
        all(&metrics, LatencyClass::Hit, 1000, 2);
        assert_eq!(metrics.window(), STREAM, "{what}s");
    }
    // They share the one lookup a cycle.
    let metrics = stream(
        "  - dma: {device: nic, read: 0x10000, count: 500, stride: 64, ids: 16, expect: ok}\n  \
         - dma: {device: nic, write: 0x14000, count: 500, stride: 64, ids: 16, expect: ok}\n",
    );
    assert_eq!(count(&metrics, LatencyClass::Hit), 1000);
    assert_eq!(metrics.window(), STREAM, "both together");
}

/// Hits of one device while eight reads of another wait for their translation: at full rate, each in two
/// cycles. `before`: what the other one has done before.
fn hits_beside_misses(before: &str) {
    let metrics = measured(&format!(
        "{}steps:{WARM}{before}  - wait: idle\n  - timing: {{memory: {{latency: 3000}}}}\n  - measure\n  \
         - dma: {{device: ssd, read: 0x11000, count: 8, stride: 4K, ids: 8, id: 100, expect: ok}}\n  \
         - dma: {{device: nic, read: 0x10000, count: 1000, stride: 64, ids: 16, expect: ok}}\n",
        host(16, 0x1000)
    ));
    all(&metrics, LatencyClass::Hit, 1000, 2);
    assert_eq!(metrics.window_of(LatencyClass::Hit), STREAM);
    assert!(metrics.window() > 3000, "the misses were under way");
}

#[test]
fn hits_come_one_a_cycle_while_walks_are_under_way() {
    hits_beside_misses("  - dma: {device: ssd, read: 0x10000, expect: ok, wait: true}\n");
}

#[test]
fn hits_come_one_a_cycle_while_a_device_context_is_read() {
    hits_beside_misses("");
}

// ---------------------------------------------------------------- misses

#[test]
fn a_walk_of_n_reads_takes_n_times_l_plus_1_and_3() {
    // Three reads cold, one where the tables above are known.
    let metrics = measured(&format!(
        "{}steps:\n  - dma: {{device: nic, read: 0x10000, expect: ok, wait: true}}\n  - invalidate: {{domain: a}}\n  \
         - fence\n  - wait: idle\n  - measure\n  - dma: {{device: nic, read: 0x10000, expect: ok, wait: true}}\n",
        host(16, 0x1000)
    ));
    assert_eq!(metrics.mem_reads(), 3);
    all(&metrics, LatencyClass::Walk, 1, walk(3));
    let metrics = measured(&format!(
        "{}steps:\n  - dma: {{device: nic, read: 0x10000, expect: ok, wait: true}}\n  - wait: idle\n  - measure\n  \
         - dma: {{device: nic, read: 0x11000, expect: ok, wait: true}}\n  \
         - dma: {{device: nic, write: 0x12000, expect: ok, wait: true}}\n",
        host(16, 0x1000)
    ));
    assert_eq!(metrics.mem_reads(), 2);
    all(&metrics, LatencyClass::Walk, 2, walk(1));
}

#[test]
fn a_nested_walk_is_as_fast_a_read() {
    let nested = |steps: &str| {
        measured(&format!(
            "vms: {{guest: {{scheme: Sv39x4, gscid: 3}}}}\ndomains: {{kernel: {{vm: guest, scheme: Sv39, pscid: 4}}}}\n\
             devices: {{nic: {{id: 0x20, domain: kernel}}}}\nmap:\n  \
             - {{vm: guest, gpa: 0x80000000, pa: 0x180000000, size: 64K, page: 4K}}\n  \
             - {{domain: kernel, iova: 0x1000, gpa: 0x80001000, size: 16K, page: 4K}}\nsteps:\n  \
             - dma: {{device: nic, read: 0x1000, expect: ok, wait: true}}\n  - wait: idle\n{steps}"
        ))
    };
    let cold = nested(
        "  - invalidate: {vm: guest}\n  - fence\n  - wait: idle\n  - measure\n  \
         - dma: {device: nic, read: 0x1000, expect: ok, wait: true}\n",
    );
    // Fifteen without any cache; the walk's own first reads save some of its last.
    assert!((9..=13).contains(&cold.mem_reads()), "{}", cold.mem_reads());
    all(&cold, LatencyClass::Walk, 1, walk(cold.mem_reads()));
    let warm =
        nested("  - measure\n  - dma: {device: nic, read: 0x2000, expect: ok, wait: true}\n");
    assert_eq!(warm.mem_reads(), 2);
    all(&warm, LatencyClass::Walk, 1, walk(2));
}

/// Walkers of the `default` preset.
const W: u64 = 8;

/// A stream of misses over distinct pages, `reads` reads each. Beside the first walk it takes no longer than
/// the walkers' share of each, and a quarter of a cycle.
fn all_miss(pages: u64, stride: u64, reads: u64, cycles: u64) {
    let metrics = measured(&format!(
        "{}steps:\n  - dma: {{device: nic, read: 0x10000, expect: ok, wait: true}}\n  - wait: idle\n  - measure\n  \
         - dma: {{device: nic, read: {:#x}, count: {}, stride: {stride}, ids: 32, expect: ok}}\n",
        host(pages, stride),
        0x1_0000 + stride,
        pages - 1,
    ));
    let n = pages - 1;
    assert_eq!(
        (
            metrics.transactions(),
            count(&metrics, LatencyClass::Walk),
            metrics.mem_reads()
        ),
        (n, n, reads * n)
    );
    assert_eq!(
        metrics.window(),
        cycles,
        "{:.3} a translation",
        metrics.window() as f64 / n as f64
    );
    assert!(4 * W * (metrics.window() - walk(reads)) <= n * (4 * walk(reads) + W));
}

#[test]
fn a_stream_of_misses_keeps_all_walkers_busy() {
    // Pages of one table, whose address is known: one read each.
    all_miss(401, 0x1000, 1, 812);
    // Pages 1 GiB apart: more tables than the walk cache holds, three reads each.
    all_miss(201, 0x4000_0000, 3, 962);
}

#[test]
fn misses_to_one_page_walk_once() {
    let metrics = measured(&format!(
        "{}steps:\n  - dma: {{device: nic, read: 0x10000, expect: ok, wait: true}}\n  - invalidate: {{domain: a}}\n  \
         - fence\n  - wait: idle\n  - measure\n  \
         - dma: {{device: nic, read: 0x11000, count: 16, stride: 8, ids: 16, expect: ok}}\n",
        host(16, 0x1000)
    ));
    assert_eq!(metrics.mem_reads(), 3);
    all(&metrics, LatencyClass::Walk, 1, walk(3));
    assert_eq!(count(&metrics, LatencyClass::Waited), 15);
    // They are answered one a cycle, behind the one that walked.
    assert_eq!(metrics.window(), walk(3) + 15);
}

// ---------------------------------------------------------------- writes behind a miss

/// The write buffer of the `default` preset, in beats.
const BUFFER: u64 = 64;

/// Writes that the `default` preset takes before the oldest has its data forwarded.
const WRITES: u64 = 32;

#[test]
fn writes_pass_one_that_misses_as_far_as_the_buffer_reaches() {
    // Cycles from the first to the last of `n` writes of `beats` beats that hit, behind one that misses.
    let behind = |n: u64, beats: u64| {
        let metrics = measured(&format!(
            "{}steps:{WARM}  - dma: {{device: ssd, read: 0x10000, expect: ok, wait: true}}\n  - wait: idle\n  \
             - timing: {{memory: {{latency: 3000}}}}\n  - measure\n  \
             - dma: {{device: ssd, write: 0x11000, id: 100, expect: ok}}\n  \
             - dma: {{device: nic, write: 0x10000, bytes: {}, count: {n}, stride: 64, ids: 31, expect: ok}}\n",
            host(16, 0x1000),
            8 * beats
        ));
        assert_eq!(count(&metrics, LatencyClass::Hit), n);
        metrics.window_of(LatencyClass::Hit)
    };
    // One a cycle.
    assert_eq!(behind(WRITES - 1, 1), WRITES - 2 + 3);
    assert!(behind(WRITES, 1) > 2900);
    // The one that misses has a beat in the buffer.
    let n = (BUFFER - 1) / 8;
    assert!(behind(n, 8) <= 8 * n + 3);
    assert!(behind(n + 1, 8) > 2900);
}

// ---------------------------------------------------------------- invalidation

/// Invalidating another address space takes one cycle from the hits (the bound is 16), and none of their
/// pages.
#[test]
fn invalidation_of_an_address_space_costs_the_others_one_cycle() {
    let metrics = measured(&format!(
        "{}steps:{WARM}  - dma: {{device: ssd, read: 0x10000, expect: ok, wait: true}}\n  - wait: idle\n  - measure\n  \
         - dma: {{device: nic, read: 0x10000, count: 1000, stride: 64, ids: 16, expect: ok}}\n  \
         - invalidate: {{domain: b}}\n  - fence\n",
        host(16, 0x1000)
    ));
    assert_eq!(count(&metrics, LatencyClass::Hit), 1000);
    assert_eq!(metrics.window(), STREAM + 1);
}
