//! YAML with places: every key and value knows where it stands, so that any
//! mistake, not only one of syntax, can be shown in the text.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::diag::{self, YamlError};

/// Deeper nesting is nobody's test case, and would exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Result with a mistake in a YAML file.
pub type Result<T> = std::result::Result<T, Box<YamlError>>;

/// A YAML file: its name and its text.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name as the user knows it.
    pub file: Arc<str>,
    /// All of it.
    pub text: Arc<str>,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    /// Byte offsets in the text.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// Anything written on its own.
    Scalar {
        /// The text, unquoted.
        text: String,
        /// Whether it was quoted: then it is a string, not a number or a word.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Scalar { text, .. } => format!("'{text}'"),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }
}

struct Tree<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    src: &'a Source,
    /// Byte offset of each character: the parser counts characters.
    bytes: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn range(&self, span: &Span) -> Range<usize> {
        let at = |n: usize| self.bytes.get(n).copied().unwrap_or(self.src.text.len());
        let start = at(span.start.index());
        start..at(span.end.index()).max(start)
    }

    /// Where a list or mapping ends: behind its bracket, if it has one.
    fn closing(&self, span: &Span) -> usize {
        if span.is_empty() {
            0
        } else {
            self.range(span).end
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(e)) => Ok(e),
            Some(Err(e)) => {
                let m = *e.marker();
                let span = self.range(&Span::new(m, m));
                Err(self
                    .src
                    .error(span, format!("this is not YAML: {}", e.info())))
            }
            None => {
                let end = self.src.text.len();
                Err(self.src.error(end..end, "the file ends too early"))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node> {
        let range = self.range(&span);
        let line = span.start.line() as u32;
        if depth > MAX_DEPTH {
            return Err(self.src.error(range, "nested too deeply"));
        }
        let mut end = range.end;
        let kind = match event {
            Event::Scalar(text, style, _, _) => {
                let quoted = style != ScalarStyle::Plain;
                if !quoted && matches!(&*text, "" | "~" | "null") {
                    Kind::Null
                } else {
                    Kind::Scalar {
                        text: text.into_owned(),
                        quoted,
                    }
                }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (e, s) = self.next()?;
                    if e == Event::SequenceEnd {
                        end = end.max(self.closing(&s));
                        break;
                    }
                    let item = self.node(e, s, depth + 1)?;
                    end = end.max(item.span.end);
                    items.push(item);
                }
                Kind::List(items)
            }
            Event::MappingStart(..) => {
                let mut items: Vec<(Node, Node)> = Vec::new();
                loop {
                    let (e, s) = self.next()?;
                    if e == Event::MappingEnd {
                        end = end.max(self.closing(&s));
                        break;
                    }
                    let key = self.node(e, s, depth + 1)?;
                    let Some(name) = key.as_str().map(str::to_owned) else {
                        return Err(self.src.at(&key, "a key must be a word"));
                    };
                    if items.iter().any(|(k, _)| k.as_str() == Some(&name)) {
                        return Err(self.src.at(&key, format!("'{name}' is here twice")));
                    }
                    let (e, s) = self.next()?;
                    let value = self.node(e, s, depth + 1)?;
                    end = end.max(value.span.end);
                    items.push((key, value));
                }
                Kind::Map(items)
            }
            Event::Alias(_) => {
                return Err(self
                    .src
                    .error(range, "aliases (*name) are not supported here"));
            }
            other => {
                return Err(self.src.error(range, format!("unexpected {other:?}")));
            }
        };
        Ok(Node {
            span: range.start..end,
            line,
            kind,
        })
    }
}

impl Source {
    /// A file that has been read.
    pub fn new(file: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self {
            file: file.into(),
            text: text.into(),
        }
    }

    /// Parses the (only) document.
    ///
    /// # Errors
    /// A mistake in the YAML itself.
    pub fn parse(&self) -> Result<Node> {
        let mut tree = Tree {
            parser: Parser::new_from_str(&self.text),
            src: self,
            bytes: self.text.char_indices().map(|(n, _)| n).collect(),
        };
        loop {
            match tree.next()? {
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::StreamEnd, _) => return Err(self.error(0..0, "the file is empty")),
                (event, span) => {
                    let node = tree.node(event, span, 0)?;
                    loop {
                        match tree.next()? {
                            (Event::DocumentEnd, _) => {}
                            (Event::StreamEnd, _) => return Ok(node),
                            (_, span) => {
                                let range = tree.range(&span);
                                return Err(self.error(range, "one document a file, please"));
                            }
                        }
                    }
                }
            }
        }
    }

    /// A mistake at a place of the text.
    #[must_use]
    pub fn error(&self, span: Range<usize>, what: impl Into<String>) -> Box<YamlError> {
        YamlError::at(&self.file, &self.text, span, what)
    }

    /// A mistake at a value.
    #[must_use]
    pub fn at(&self, node: &Node, what: impl Into<String>) -> Box<YamlError> {
        let mut span = node.span.clone();
        // Of a long value only its first line is marked.
        if let Some(n) = self.text.get(span.clone()).and_then(|t| t.find('\n')) {
            span.end = span.start + n;
        }
        self.error(span, what)
    }

    /// The first line of a value, as it is written.
    #[must_use]
    pub fn excerpt(&self, node: &Node) -> Arc<str> {
        let text = self.text.get(node.span.clone()).unwrap_or("");
        text.lines().next().unwrap_or("").trim().into()
    }

    /// The fields of a mapping; `what` names it in messages.
    ///
    /// # Errors
    /// Not a mapping.
    pub fn fields<'a>(&'a self, node: &'a Node, what: &'a str) -> Result<Fields<'a>> {
        let items: &[(Node, Node)] = match &node.kind {
            Kind::Map(items) => items,
            Kind::Null => &[],
            _ => {
                return Err(self.at(
                    node,
                    format!("{what} is a mapping (key: value), not {}", node.describe()),
                ));
            }
        };
        Ok(Fields {
            src: self,
            node,
            what,
            items,
            asked: RefCell::default(),
        })
    }

    /// The items of a list; nothing is an empty list.
    ///
    /// # Errors
    /// Not a list.
    pub fn list<'a>(&self, node: &'a Node, what: &str) -> Result<&'a [Node]> {
        match &node.kind {
            Kind::List(items) => Ok(items),
            Kind::Null => Ok(&[]),
            _ => Err(self.at(node, format!("{what} is a list, not {}", node.describe()))),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// Not a scalar.
    pub fn string<'a>(&self, node: &'a Node, what: &str) -> Result<&'a str> {
        node.as_str()
            .ok_or_else(|| self.at(node, format!("{what} is a text, not {}", node.describe())))
    }

    /// A number: decimal, 0x, 0b, with _ and the units K, M, G, T.
    ///
    /// # Errors
    /// Not a number, or above `max`.
    pub fn number(&self, node: &Node, what: &str, max: u64) -> Result<u64> {
        let value = match &node.kind {
            Kind::Scalar {
                text,
                quoted: false,
            } => parse_number(text),
            _ => None,
        };
        let Some(value) = value else {
            return Err(self
                .at(node, format!("{what} is a number, not {}", node.describe()))
                .with_help("decimal, 0x..., 0b..., with _ between digits, or with K, M, G, T"));
        };
        if value > max {
            return Err(self.at(node, format!("{what} is at most {max:#x}")));
        }
        Ok(value)
    }

    /// true or false (yes, no, on, off).
    ///
    /// # Errors
    /// Anything else.
    pub fn boolean(&self, node: &Node, what: &str) -> Result<bool> {
        match node.as_str() {
            Some("true" | "yes" | "on") => Ok(true),
            Some("false" | "no" | "off") => Ok(false),
            _ => Err(self.at(
                node,
                format!("{what} is true or false, not {}", node.describe()),
            )),
        }
    }

    /// One of some words; returns its index.
    ///
    /// # Errors
    /// Another word: the nearest one is named.
    pub fn word(&self, node: &Node, what: &str, valid: &[&str]) -> Result<usize> {
        let text = self.string(node, what)?;
        valid
            .iter()
            .position(|v| v.eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                self.at(node, format!("unknown {what} '{text}'"))
                    .with_help(diag::suggest(text, valid.iter().copied()))
            })
    }
}

/// A number as [`Source::number`] takes it.
#[must_use]
pub fn parse_number(text: &str) -> Option<u64> {
    let clean: String = text.chars().filter(|&c| c != '_').collect();
    let lower = clean.to_ascii_lowercase();
    let digits = |s: &str, radix| {
        // from_str_radix takes a sign, a number here has none.
        if s.starts_with(['+', '-']) {
            None
        } else {
            u64::from_str_radix(s, radix).ok()
        }
    };
    if let Some(hex) = lower.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(bin) = lower.strip_prefix("0b") {
        return digits(bin, 2);
    }
    for (unit, shift) in [("k", 10), ("m", 20), ("g", 30), ("t", 40)] {
        if let Some(n) = lower.strip_suffix(unit) {
            return digits(n, 10)?.checked_mul(1 << shift);
        }
    }
    digits(&lower, 10)
}

/// The fields of a mapping. Ask for all that may be there, then [`finish`](Self::finish):
/// what was not asked for is a mistake, and what was is what it is compared with.
#[derive(Debug)]
pub struct Fields<'a> {
    /// The file.
    pub src: &'a Source,
    /// The mapping itself.
    pub node: &'a Node,
    what: &'a str,
    items: &'a [(Node, Node)],
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    /// A field that may be there.
    #[must_use]
    pub fn get(&self, name: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(name);
        self.items
            .iter()
            .find(|(k, _)| k.as_str() == Some(name))
            .map(|(_, v)| v)
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// It is not. An unknown key that looks like it is blamed first.
    pub fn need(&self, name: &'static str) -> Result<&'a Node> {
        if let Some(node) = self.get(name) {
            return Ok(node);
        }
        for (key, _) in self.items {
            let text = key.as_str().unwrap_or("");
            if !self.asked.borrow().contains(text) && diag::nearest(text, [name]).is_some() {
                return Err(self
                    .src
                    .at(key, format!("unknown field '{text}' in {}", self.what))
                    .with_help(format!("did you mean '{name}'?")));
            }
        }
        Err(self
            .src
            .at(self.node, format!("{} needs '{name}'", self.what)))
    }

    /// A number that may be there.
    ///
    /// # Errors
    /// As [`Source::number`].
    pub fn number(&self, name: &'static str, max: u64) -> Result<Option<u64>> {
        self.get(name)
            .map(|n| self.src.number(n, name, max))
            .transpose()
    }

    /// A flag; absent is `default`.
    ///
    /// # Errors
    /// As [`Source::boolean`].
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool> {
        self.get(name)
            .map_or(Ok(default), |n| self.src.boolean(n, name))
    }

    /// All keys and values, asked for or not.
    #[must_use]
    pub fn items(&self) -> &'a [(Node, Node)] {
        self.items
    }

    /// Nothing else may be there.
    ///
    /// # Errors
    /// The first unknown field, with the nearest known one.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        for (key, _) in self.items {
            let text = key.as_str().unwrap_or("");
            if !asked.contains(text) {
                return Err(self
                    .src
                    .at(key, format!("unknown field '{text}' in {}", self.what))
                    .with_help(diag::suggest(text, asked.iter().copied())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node> {
        Source::new("t.yaml", text).parse()
    }

    #[test]
    fn places_are_those_of_the_text() {
        let src = Source::new("t.yaml", "# é\na:\n  - {b: 0x10, c: 'x'}\n");
        let node = src.parse().unwrap();
        let f = src.fields(&node, "test").unwrap();
        let item = &src.list(f.need("a").unwrap(), "a").unwrap()[0];
        let g = src.fields(item, "item").unwrap();
        let b = g.need("b").unwrap();
        assert_eq!(&src.text[b.span.clone()], "0x10");
        assert_eq!(b.line, 3);
        assert_eq!(src.number(b, "b", 16).unwrap(), 16);
        assert_eq!(src.number(b, "b", 15).unwrap_err().column, 9);
        assert_eq!(&*src.excerpt(item), "{b: 0x10, c: 'x'}");
        // A quoted text is no number.
        assert!(src.number(g.need("c").unwrap(), "c", 9).is_err());
    }

    #[test]
    fn unknown_fields_name_the_nearest() {
        let src = Source::new("t.yaml", "name: x\ndevics: []\n");
        let node = src.parse().unwrap();
        let f = src.fields(&node, "a test case").unwrap();
        let _ = (f.get("name"), f.get("devices"), f.get("steps"));
        let e = f.finish().unwrap_err();
        assert_eq!(
            e.to_string(),
            "t.yaml:2:1: unknown field 'devics' in a test case"
        );
        assert!(e.help.unwrap().starts_with("did you mean 'devices'?"));
    }

    #[test]
    fn bad_yaml_has_a_place_and_never_panics() {
        assert_eq!(parse("").unwrap_err().line, 1);
        assert_eq!(parse("a: [1, 2\nb: 3\n").unwrap_err().line, 2);
        assert_eq!(parse("a: 1\na: 2\n").unwrap_err().line, 2);
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
        assert!(parse("a: &x 1\nb: *x\n").is_err());
        assert!(parse(&"[".repeat(5000)).is_err());
        assert!(parse(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).is_err());
        for n in 0..40 {
            let text = "a: {b: [1, \"two\", 'é'], c: |\n  text\n}";
            let end = (0..=n.min(text.len()))
                .rev()
                .find(|&e| text.is_char_boundary(e))
                .unwrap();
            let _ = parse(&text[..end]);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(parse_number("0x1_0000"), Some(0x1_0000));
        assert_eq!(parse_number("0b101"), Some(5));
        assert_eq!(parse_number("2M"), Some(2 << 20));
        assert_eq!(parse_number("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "x", "-1", "+1", "0x", "0x-1", "99999999999T", "1.5"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }
}
