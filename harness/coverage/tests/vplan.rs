//! The plan, the checks, the bins and the tests stay in step.

use std::collections::BTreeSet;
use std::path::Path;

use iommu_coverage::{AnyCover, Collector, Target, plan};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn the_plan() -> Vec<plan::Row> {
    let text = std::fs::read_to_string(root().join("docs/vplan.md")).expect("docs/vplan.md");
    plan::rows(&text).expect("tables of five columns")
}

/// What a name of the column *bins* stands for: the bins of one cover.
fn bins<'a>(covers: &[&'a dyn AnyCover], name: &str) -> Vec<(&'a str, usize)> {
    let (cover, pattern) = match name.split_once('/') {
        Some((c, p)) => (c, Some(p)),
        None => (name, None),
    };
    let Some(cover) = covers.iter().find(|c| c.name() == cover) else {
        return Vec::new();
    };
    let labels = cover.axis_labels();
    (0..cover.len())
        .filter(|&b| pattern.is_none_or(|p| plan::fits(p, &label(&labels, b))))
        .map(|b| (cover.name(), b))
        .collect()
}

/// Like `AnyCover::label`, for labels that are there already.
fn label(labels: &[Vec<String>], bin: usize) -> String {
    let mut scale: usize = labels.iter().map(Vec::len).product();
    let parts: Vec<_> = labels
        .iter()
        .map(|axis| {
            scale /= axis.len();
            axis[bin / scale % axis.len()].as_str()
        })
        .collect();
    parts.join(",")
}

#[test]
fn ids_are_unique_and_no_row_is_empty() {
    let mut seen = BTreeSet::new();
    for row in the_plan() {
        assert!(seen.insert(row.id.clone()), "{} twice", row.id);
        let empty = row.checks.is_empty() || row.bins.is_empty() || row.tests.is_empty();
        assert!(
            !empty || row.open,
            "line {}: {} has an empty column and does not say \"none yet\"",
            row.line,
            row.id
        );
    }
}

#[test]
fn every_check_that_a_row_names_exists_and_every_check_is_named() {
    let source = std::fs::read_to_string(root().join("harness/scoreboard/src/check.rs"))
        .expect("the scoreboard's checks");
    // `Name = "name", "spec";` in the `checks!` list.
    let known: BTreeSet<&str> = source
        .lines()
        .filter_map(|l| {
            let (left, right) = l.trim().split_once(" = \"")?;
            left.chars().all(char::is_alphanumeric).then_some(right)
        })
        .filter_map(|r| r.split_once("\", \"").map(|(name, _)| name))
        .collect();
    assert!(known.len() > 40, "{known:?}");
    let mut named = BTreeSet::new();
    for row in the_plan() {
        for check in &row.checks {
            let other = matches!(check.as_str(), "axi" | "rtl");
            assert!(
                other || known.contains(check.as_str()),
                "line {}: no check `{check}`",
                row.line
            );
            named.insert(check.clone());
        }
    }
    let missing: Vec<_> = known.iter().filter(|k| !named.contains(**k)).collect();
    assert!(missing.is_empty(), "checks that no row names: {missing:?}");
}

#[test]
fn every_bin_that_a_row_names_exists_and_every_cover_belongs_to_its_row() {
    let collector = Collector::new();
    let covers = collector.covers();
    let rows = the_plan();
    let able = Target::new(u64::MAX >> 8 & !(3 << 28) | 2 << 28);
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for row in &rows {
        for name in &row.bins {
            let found = bins(&covers, name);
            assert!(!found.is_empty(), "line {}: no bin `{name}`", row.line);
            named.extend(found);
        }
    }
    for cover in &covers {
        if !rows.iter().any(|r| r.id == cover.row()) {
            let (name, row) = (cover.name(), cover.row());
            wrong.push(format!(
                "{name} belongs to row {row}, which is not in the plan"
            ));
        }
        // What no block can hit needs no row.
        let missing: Vec<_> = (0..cover.len())
            .filter(|&b| cover.excluded(b, &able).is_none() && !named.contains(&(cover.name(), b)))
            .collect();
        if let Some(&first) = missing.first() {
            wrong.push(format!(
                "{}: no row names {} of its {} bins, the first is {}",
                cover.name(),
                missing.len(),
                cover.len(),
                cover.label(first)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_test_that_a_row_names_exists() {
    let stems = |dir: &str| -> BTreeSet<String> {
        std::fs::read_dir(root().join(dir))
            .map(|all| {
                all.flatten()
                    .filter(|e| e.path().extension().is_some_and(|x| x == "yaml"))
                    .filter_map(|e| e.path().file_stem()?.to_str().map(str::to_owned))
                    .collect()
            })
            .unwrap_or_default()
    };
    let mut known = stems("testcases");
    known.extend(stems("testcases/profiles"));
    known.insert("random".into());
    for row in the_plan() {
        for test in &row.tests {
            let found = match test.strip_suffix('*') {
                Some(prefix) => known.iter().any(|k| k.starts_with(prefix)),
                None => known.contains(test),
            };
            assert!(found, "line {}: no test `{test}`", row.line);
        }
    }
}

#[test]
fn names_of_covers_are_unique() {
    let collector = Collector::new();
    let mut seen = BTreeSet::new();
    for cover in collector.covers() {
        assert!(seen.insert(cover.name()), "{} twice", cover.name());
        assert!(!cover.doc().is_empty(), "{}", cover.name());
        let labels: BTreeSet<_> = (0..cover.len()).map(|b| cover.label(b)).collect();
        assert_eq!(labels.len(), cover.len(), "{}: equal labels", cover.name());
        assert!(
            labels
                .iter()
                .all(|l| l.split(',').count() == cover.axes().len() && !l.contains('`')),
            "{}: a label has a comma",
            cover.name()
        );
    }
}
