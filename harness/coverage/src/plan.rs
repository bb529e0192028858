//! Reads docs/vplan.md: the tables of the verification plan.

/// A row of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: usize,
    /// Section heading above it.
    pub section: String,
    /// Identifier.
    pub id: String,
    /// What the text says.
    pub sentence: String,
    /// Names in the column *check*.
    pub checks: Vec<String>,
    /// Names in the column *bins*: `cover` or `cover/bin`, with `*`.
    pub bins: Vec<String>,
    /// Names in the column *tests*.
    pub tests: Vec<String>,
    /// A column says "none yet".
    pub open: bool,
}

/// Checks that REFUSE stands for.
pub const REFUSE: [&str; 6] = [
    "refused-forwarded",
    "refused-response",
    "refused-data",
    "record-content",
    "record-missing",
    "record-unexpected",
];

/// Checks that GRANT stands for.
pub const GRANT: [&str; 7] = [
    "wrong-address",
    "field-changed",
    "user-bits",
    "write-data",
    "read-data",
    "response-code",
    "grant-refused",
];

/// The words in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The rows of the plan.
///
/// # Errors
/// A table row has not five columns.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut all = Vec::new();
    let mut section = String::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        }
        if !line.starts_with('|') || line.starts_with("|---") || line.starts_with("| id ") {
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, sentence, check, bins, tests] = cells[..] else {
            return Err(format!("line {}: {} columns, not 5", n + 1, cells.len()));
        };
        let mut checks = names(check);
        // Not in backticks: they are abbreviations.
        let outside: String = check.split('`').step_by(2).collect();
        if outside.contains("REFUSE") {
            checks.extend(REFUSE.map(str::to_owned));
        }
        if outside.contains("GRANT") {
            checks.extend(GRANT.map(str::to_owned));
        }
        all.push(Row {
            line: n + 1,
            section: section.clone(),
            id: id.to_owned(),
            sentence: sentence.to_owned(),
            checks,
            bins: names(bins),
            tests: names(tests),
            open: [check, bins, tests].iter().any(|c| c.contains("none yet")),
        });
    }
    Ok(all)
}

/// Whether a bin's label fits a pattern: equal, or, axis by axis, with `*` at the end of each.
#[must_use]
pub fn fits(pattern: &str, label: &str) -> bool {
    let (mut p, mut l) = (pattern.split(','), label.split(','));
    let mut last = "";
    loop {
        match (p.next(), l.next()) {
            (None, None) => return true,
            // A pattern that ends in `*` is for all the axes behind it too.
            (None, Some(_)) => return last.ends_with('*'),
            (Some(_), None) => return false,
            (Some(a), Some(b)) => {
                let same = match a.strip_suffix('*') {
                    Some(prefix) => b.starts_with(prefix),
                    None => a == b,
                };
                if !same {
                    return false;
                }
                last = a;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(fits("a,*", "a,b"));
        assert!(fits("a,*", "a,b,c"));
        assert!(!fits("a", "a,b"));
        assert!(fits("GPF*", "GPF L1,read,nested"));
        assert!(fits("*,yes", "no,yes"));
        assert!(!fits("*,yes", "no,no"));
    }

    #[test]
    fn rows_have_five_columns() {
        let text = "## S\n| id | a | b | c | d |\n|---|\n| X-1 | sentence | REFUSE, `axi` | `a/b` | none yet |\n";
        let rows = rows(text).expect("a plan");
        assert_eq!(rows[0].id, "X-1");
        assert_eq!(rows[0].checks.len(), 7);
        assert!(rows[0].open);
        assert!(super::rows("| a | b |\n").is_err());
    }
}
