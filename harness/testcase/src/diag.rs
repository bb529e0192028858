//! Mistakes in YAML files: file, line, column, what, and the nearest valid word.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// A mistake in a YAML file, pointing into its text.
#[derive(Debug, Diagnostic)]
pub struct YamlError {
    /// What is wrong.
    pub what: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The nearest valid word, or how to do it.
    #[help]
    pub help: Option<String>,
    /// The file.
    #[source_code]
    pub src: NamedSource<Arc<str>>,
    /// Where in the text.
    #[label("here")]
    pub span: SourceSpan,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.src.name(),
            self.line,
            self.column,
            self.what
        )
    }
}

impl std::error::Error for YamlError {}

impl YamlError {
    /// A mistake at byte offsets `span` of `text`.
    #[must_use]
    pub fn at(
        file: &str,
        text: &Arc<str>,
        span: std::ops::Range<usize>,
        what: impl Into<String>,
    ) -> Box<Self> {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        Box::new(Self {
            what: what.into(),
            line: before.matches('\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            help: None,
            src: NamedSource::new(file, text.clone()),
            span: (start, span.end.min(text.len()).saturating_sub(start)).into(),
        })
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }
}

/// The valid word that is nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    valid
        .into_iter()
        .map(|v| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &v.to_lowercase()),
                v,
            )
        })
        .filter(|&(d, v)| d <= 1 + v.chars().count().max(word.chars().count()) / 3)
        .min_by_key(|&(d, _)| d)
        .map(|(_, v)| v)
}

/// "did you mean" and the list of valid words, as a hint.
#[must_use]
pub fn suggest<'a>(word: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let list = valid.clone().into_iter().collect::<Vec<_>>().join(", ");
    match nearest(word, valid) {
        Some(n) => format!("did you mean '{n}'? (one of: {list})"),
        None => format!("one of: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let text: Arc<str> = "a: 1\nü: 2\n".into();
        let at = text.find('2').unwrap();
        let e = YamlError::at("x.yaml", &text, at..at + 1, "no");
        assert_eq!(e.to_string(), "x.yaml:2:4: no");
        // Offsets outside of the text, or inside a character, must not panic.
        assert_eq!(YamlError::at("x", &text, 999..1000, "no").line, 3);
        assert_eq!(YamlError::at("x", &text, 6..7, "no").column, 1);
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("unmapp", ["map", "unmap"]), Some("unmap"));
        assert_eq!(nearest("zebra", ["map", "unmap"]), None);
        assert!(suggest("dam", ["dma", "map"]).starts_with("did you mean 'dma'?"));
    }
}
