//! docs/golden.md names functions and tests; each must exist, and no row may be empty.

use std::collections::BTreeSet;
use std::path::Path;

/// Names of all functions in the Rust files of a folder.
fn functions(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("folder of the crate") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("source file");
        for (at, _) in text.match_indices("fn ") {
            let name: String = text[at + 3..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            names.insert(name);
        }
    }
    names
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_row_names_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/golden.md")).expect("docs/golden.md");
    let source = functions(&root.join("src"));
    let tests: BTreeSet<String> = functions(&root.join("tests"))
        .union(&source)
        .cloned()
        .collect();
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in page
        .lines()
        .filter(|l| l.starts_with("| ") && !l.contains("Pinned by"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [what, by, pinned] = cells[..] else {
            wrong.push(format!("three columns expected: {line}"));
            continue;
        };
        rows += 1;
        for (cell, known) in [(by, &source), (pinned, &tests)] {
            wrong.extend(
                names(cell)
                    .filter(|n| !known.contains(*n))
                    .map(|n| format!("{what}: no such function `{n}`")),
            );
        }
        if names(pinned).next().is_none() || (names(by).next().is_none() && by.trim() != "all") {
            wrong.push(format!("empty row: {what}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows > 80, "only {rows} rows were read");
}

#[test]
fn every_test_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/golden.md")).expect("docs/golden.md");
    for file in [
        "slice.rs",
        "full.rs",
        "ats.rs",
        "pitfalls.rs",
        "allocations.rs",
        "corners.rs",
        "fuzz.rs",
        "metamorphic.rs",
    ] {
        let text = std::fs::read_to_string(root.join("tests").join(file)).expect("test file");
        for part in text.split("#[test]").skip(1) {
            let name: String = part
                .split("fn ")
                .nth(1)
                .unwrap_or_default()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            assert!(
                page.contains(&format!("`{name}`")),
                "{file}: `{name}` pins nothing on docs/golden.md"
            );
        }
    }
}

/// The numbered processes of the specification: as the page calls them, and their steps.
const PROCESSES: [(&str, u32); 8] = [
    ("Device-context configuration checks", 22),
    ("Process-context configuration checks", 4),
    ("P2IOVA", 20),
    ("GET_DC", 11),
    ("GET_PC", 13),
    ("MSI_TRANS", 16),
    ("IOMMU updating of PTE A and D,", 2),
    ("Virtual Address Translation Process", 10),
];

/// The steps that "1", "1 to 3", "1, 2 and 5" name.
fn steps(text: &str) -> BTreeSet<u32> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let mut found = BTreeSet::new();
    for (n, word) in words.iter().enumerate() {
        let Ok(step) = word.parse::<u32>() else {
            continue;
        };
        let from = match n
            .checked_sub(2)
            .map(|m| (words[m].parse::<u32>(), words[n - 1]))
        {
            Some((Ok(from), "to")) => from,
            _ => step,
        };
        found.extend(from..=step);
    }
    found
}

#[test]
fn every_numbered_step_has_a_row() {
    assert_eq!(steps(" 1, 2 and 5 to 7"), BTreeSet::from([1, 2, 5, 6, 7]));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/golden.md")).expect("docs/golden.md");
    for (process, count) in PROCESSES {
        let rows: Vec<&str> = page
            .lines()
            .filter_map(|l| l.strip_prefix("| ")?.strip_prefix(process))
            .map(|l| l.split(" | ").next().unwrap_or_default())
            .collect();
        assert!(!rows.is_empty(), "no row for {process}");
        let named: BTreeSet<u32> = rows.iter().flat_map(|l| steps(l)).collect();
        let missing: Vec<u32> = (1..=count).filter(|n| !named.contains(n)).collect();
        assert!(
            missing.is_empty(),
            "{process}: no row names step {missing:?}"
        );
    }
}
