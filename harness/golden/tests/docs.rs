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
    for file in ["slice.rs", "full.rs", "ats.rs", "fuzz.rs", "metamorphic.rs"] {
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
