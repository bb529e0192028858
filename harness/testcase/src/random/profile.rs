//! Profiles: what a random test draws from. `docs/profiles.md` tells every key.
//!
//! A profile is a flat set of knobs, each with a path of two words
//! (`traffic.address`). Three kinds: [`Chance`] (percent), [`Amount`]
//! (a distribution of numbers), and [`Choice`] groups (a weight a word).
//! All are addressed by name too, so that coverage can turn them
//! ([`Profile::bias`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::caps;
use crate::diag;
use crate::op::CaseError;
use crate::rng::Random;
use crate::yaml::{Fields, Kind, Node, Result, Source, parse_number};

pub use super::knobs::{Amount, Chance, GROUPS};

/// A word of a group, its weight where no profile says otherwise, what it means.
#[derive(Debug)]
pub struct Item {
    /// Word in YAML.
    pub word: &'static str,
    /// Weight by default.
    pub weight: u32,
    /// What it does.
    pub about: &'static str,
}

/// Alternatives of which one is drawn.
#[derive(Debug)]
pub struct Group {
    /// `section.key`.
    pub path: &'static str,
    /// What is drawn.
    pub about: &'static str,
    /// The alternatives.
    pub items: &'static [Item],
}

/// A group as a type: drawing from it gives one of its variants.
pub trait Choice: Copy + 'static {
    /// Its words and weights.
    const GROUP: &'static Group;
    /// Its variants, in the order of the words.
    const ALL: &'static [Self];
}

/// Numbers with weights: one of the ranges is drawn, then a number in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution(Vec<(u32, u64, u64)>);

impl Distribution {
    /// Every number of a range alike.
    #[must_use]
    pub fn uniform(low: u64, high: u64) -> Self {
        Self(vec![(1, low, high)])
    }

    fn draw(&self, r: &mut Random) -> u64 {
        let n = weighted(self.0.iter().map(|&(w, ..)| w), r);
        let (_, low, high) = self.0[n];
        r.range(low, high)
    }
}

/// Index drawn by weights; the first if all are 0.
fn weighted(weights: impl Iterator<Item = u32> + Clone, r: &mut Random) -> usize {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut at = r.below(total);
    for (n, w) in weights.enumerate() {
        if at < u64::from(w) {
            return n;
        }
        at -= u64::from(w);
    }
    0
}

/// What a random test draws from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Capabilities without which it makes no sense: each of these sets must have one that is there.
    pub needs: Vec<u64>,
    /// Where several profiles run by the clock: seeds of it each time round.
    pub turns: u32,
    chances: Vec<u8>,
    amounts: Vec<Distribution>,
    weights: BTreeMap<&'static str, Vec<u32>>,
}

/// Most seeds of a profile each time round.
const MAX_TURNS: u64 = 100;
/// Profiles that extend one another deeper than that extend themselves.
const MAX_DEPTH: u32 = 8;

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: "defaults".into(),
            description: "Nothing but the defaults.".into(),
            needs: Vec::new(),
            turns: 1,
            chances: Chance::ALL.iter().map(|c| c.default()).collect(),
            amounts: Amount::ALL
                .iter()
                .map(|a| {
                    let (low, high) = a.default();
                    Distribution::uniform(low, high)
                })
                .collect(),
            weights: GROUPS
                .iter()
                .map(|g| (g.path, g.items.iter().map(|i| i.weight).collect()))
                .collect(),
        }
    }
}

impl Profile {
    // ------------------------------------------------------------------ drawing

    /// Whether a chance comes true.
    pub fn chance(&self, c: Chance, r: &mut Random) -> bool {
        let percent = self.percent(c);
        // Always the same number of draws: turning a knob to 0 changes nothing else.
        r.percent(u64::from(percent))
    }

    /// The percentage itself.
    #[must_use]
    pub fn percent(&self, c: Chance) -> u8 {
        self.chances[c as usize]
    }

    /// A number.
    pub fn amount(&self, a: Amount, r: &mut Random) -> u64 {
        self.amounts[a as usize].draw(r)
    }

    /// The largest number that can be drawn.
    #[must_use]
    pub fn most(&self, a: Amount) -> u64 {
        let all = &self.amounts[a as usize].0;
        all.iter().map(|&(_, _, high)| high).max().unwrap_or(0)
    }

    /// One of a group.
    pub fn pick<C: Choice>(&self, r: &mut Random) -> C {
        self.pick_of(r, |_| true).unwrap_or(C::ALL[0])
    }

    /// One of those of a group that are possible; `None` if none of them has a weight.
    pub fn pick_of<C: Choice>(&self, r: &mut Random, possible: impl Fn(C) -> bool) -> Option<C> {
        let weights = &self.weights[C::GROUP.path];
        let of = |n: usize| if possible(C::ALL[n]) { weights[n] } else { 0 };
        let all: Vec<u32> = (0..C::ALL.len()).map(of).collect();
        let n = weighted(all.iter().copied(), r);
        (all[n] > 0).then(|| C::ALL[n])
    }

    // ------------------------------------------------------------------ by name

    /// Names of everything that can be turned: `section.key` for percentages,
    /// `section.key.word` for weights.
    pub fn names() -> impl Iterator<Item = String> {
        let words = GROUPS.iter().flat_map(|g| {
            g.items
                .iter()
                .map(move |i| format!("{}.{}", g.path, i.word))
        });
        Chance::ALL.iter().map(|c| c.path().to_owned()).chain(words)
    }

    /// Value of a percentage or weight.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u32> {
        if let Some(c) = Chance::ALL.iter().find(|c| c.path() == name) {
            return Some(u32::from(self.percent(*c)));
        }
        let (path, n) = find_weight(name)?;
        self.weights.get(path)?.get(n).copied()
    }

    /// Multiplies a percentage or weight. What is 0 stays 0: the profile does not do it.
    /// A weight never falls to 0.
    ///
    /// # Errors
    /// No such name; it says which is the nearest.
    pub fn bias(&mut self, name: &str, factor: f64) -> std::result::Result<(), String> {
        let scaled = |v: u32, most: f64| {
            if v == 0 {
                0
            } else {
                (f64::from(v) * factor).round().clamp(1.0, most) as u32
            }
        };
        if let Some(c) = Chance::ALL.iter().find(|c| c.path() == name) {
            let v = &mut self.chances[*c as usize];
            *v = scaled(u32::from(*v), 100.0) as u8;
            return Ok(());
        }
        let Some((path, n)) = find_weight(name) else {
            let all: Vec<String> = Self::names().collect();
            let near = diag::nearest(name, all.iter().map(String::as_str));
            return Err(match near {
                Some(n) => format!("no knob '{name}'; did you mean '{n}'?"),
                None => format!("no knob '{name}'"),
            });
        };
        if let Some(weights) = self.weights.get_mut(path) {
            // Small weights are spread first, so that a factor of 1.5 is not lost.
            if weights.iter().all(|&w| w < 1000) {
                weights.iter_mut().for_each(|w| *w *= 100);
            }
            weights[n] = scaled(weights[n], 1e9);
        }
        Ok(())
    }

    // --------------------------------------------------------------------- text

    /// The whole profile as YAML, nothing left to defaults: two profiles that draw
    /// alike have the same text.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut sections: BTreeMap<&str, String> = BTreeMap::new();
        let mut put = |path: &'static str, value: String| {
            let (section, key) = path.split_once('.').unwrap_or(("", path));
            let _ = writeln!(sections.entry(section).or_default(), "  {key}: {value}");
        };
        for c in Chance::ALL {
            put(c.path(), self.percent(*c).to_string());
        }
        for a in Amount::ALL {
            put(a.path(), self.amounts[*a as usize].to_yaml());
        }
        for g in GROUPS {
            let words: Vec<String> = g
                .items
                .iter()
                .zip(&self.weights[g.path])
                .map(|(i, w)| format!("{}: {w}", i.word))
                .collect();
            put(g.path, format!("{{{}}}", words.join(", ")));
        }
        let mut out = format!(
            "name: {}\ndescription: {}\n",
            self.name,
            quoted(&self.description)
        );
        if !self.needs.is_empty() {
            let sets: Vec<String> = self
                .needs
                .iter()
                .map(|&bits| format!("[{}]", caps::names(bits).join(", ")))
                .collect();
            let _ = writeln!(out, "needs: [{}]", sets.join(", "));
        }
        for (section, text) in sections {
            let _ = write!(out, "{section}:\n{text}");
        }
        out
    }

    /// Hash of all that it draws from; comments, order and `extends` do not count.
    #[must_use]
    pub fn hash(&self) -> u64 {
        // FNV-1a; std's hashers promise no stability.
        self.to_yaml()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
                (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
            })
    }

    // ------------------------------------------------------------------- reading

    /// Reads a profile by name, from `folder`, or by the path of its file.
    ///
    /// # Errors
    /// It is not there (the nearest name is told), or has a mistake.
    pub fn load(folder: &Path, name: &str) -> std::result::Result<Self, CaseError> {
        let own = Path::new(name);
        let path = if own.extension().is_some() {
            own.to_owned()
        } else {
            let path = folder.join(format!("{name}.yaml"));
            if !path.exists() {
                let known = list(folder)?;
                let valid = known.iter().map(|(n, _)| n.as_str());
                return Err(CaseError::Other {
                    file: folder.display().to_string(),
                    why: format!(
                        "there is no profile '{name}'; {}",
                        diag::suggest(name, valid)
                    ),
                });
            }
            path
        };
        Self::read(&path, folder, 0)
    }

    /// What it extends is in its own folder, or in that of the project.
    fn read(path: &Path, project: &Path, depth: u32) -> std::result::Result<Self, CaseError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|why| CaseError::Read {
            path: shown.clone(),
            why,
        })?;
        let own = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let folders: &[_] = if own == project {
            &[project]
        } else {
            &[own, project]
        };
        Self::parse_at(&shown, &text, folders, depth)
    }

    /// Reads the text of a profile that extends none; `file` is how messages call it.
    ///
    /// # Errors
    /// A mistake, with its place and the nearest valid word.
    pub fn parse(file: &str, text: &str) -> std::result::Result<Self, CaseError> {
        Self::parse_at(file, text, &[], 0)
    }

    fn parse_at(
        file: &str,
        text: &str,
        folders: &[&Path],
        depth: u32,
    ) -> std::result::Result<Self, CaseError> {
        let src = Source::new(file, text);
        let root = src.parse()?;
        let f = src.fields(&root, "a profile")?;
        let mut p = Self::default();
        if let Some(n) = f.get("extends") {
            let name = src.string(n, "a profile")?;
            let mut known = Vec::new();
            for &folder in folders {
                known.extend(list(folder)?);
            }
            let Some((_, path)) = known.iter().find(|(k, _)| k == name) else {
                return Err(src
                    .at(n, format!("there is no profile '{name}' to extend"))
                    .with_help(diag::suggest(name, known.iter().map(|(k, _)| k.as_str())))
                    .into());
            };
            if depth >= MAX_DEPTH {
                return Err(src
                    .at(n, "profiles extend one another in a circle (or too deeply)")
                    .into());
            }
            let project = folders.last().copied().unwrap_or(Path::new("."));
            p = Self::read(path, project, depth + 1)?;
        }
        p.name = src.string(f.need("name")?, "name")?.to_owned();
        p.description = src
            .string(f.need("description")?, "description")?
            .trim()
            .to_owned();
        if let Some(n) = f.get("needs") {
            p.needs = needs(&src, n)?;
        }
        // Not that of the profile it extends.
        p.turns = match f.get("turns") {
            Some(n) => src.number(n, "a number of seeds", MAX_TURNS)?.max(1) as u32,
            None => 1,
        };
        // Every section, so that a mistake in its name can be told from them all.
        let sections: std::collections::BTreeSet<&'static str> =
            paths().filter_map(|p| Some(p.split_once('.')?.0)).collect();
        for section in sections {
            if let Some(n) = f.get(section) {
                p.section(&src, section, n)?;
            }
        }
        f.finish()?;
        Ok(p)
    }

    fn section(&mut self, src: &Source, section: &'static str, node: &Node) -> Result<()> {
        let f = src.fields(node, section)?;
        let key = |path: &'static str| match path.split_once('.') {
            Some((s, key)) if s == section => Some(key),
            _ => None,
        };
        for &c in Chance::ALL {
            if let Some(n) = key(c.path()).and_then(|k| f.get(k)) {
                self.chances[c as usize] = src.number(n, "a percentage", 100)? as u8;
            }
        }
        for &a in Amount::ALL {
            if let Some(n) = key(a.path()).and_then(|k| f.get(k)) {
                self.amounts[a as usize] = distribution(src, n, a)?;
            }
        }
        for g in GROUPS {
            if let Some(n) = key(g.path).and_then(|k| f.get(k)) {
                let weights = weights(src, n, g, &self.weights[g.path])?;
                self.weights.insert(g.path, weights);
            }
        }
        f.finish()
    }
}

fn find_weight(name: &str) -> Option<(&'static str, usize)> {
    let (path, word) = name.rsplit_once('.')?;
    let g = GROUPS.iter().find(|g| g.path == path)?;
    Some((g.path, g.items.iter().position(|i| i.word == word)?))
}

fn paths() -> impl Iterator<Item = &'static str> {
    let chances = Chance::ALL.iter().map(|c| c.path());
    let amounts = Amount::ALL.iter().map(|a| a.path());
    chances.chain(amounts).chain(GROUPS.iter().map(|g| g.path))
}

/// Name and file of each profile of a folder, by name.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> std::result::Result<Vec<(String, PathBuf)>, CaseError> {
    let entries = std::fs::read_dir(folder).map_err(|why| CaseError::Read {
        path: folder.display().to_string(),
        why,
    })?;
    let mut all: Vec<(String, PathBuf)> = entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .filter_map(|p| Some((p.file_stem()?.to_str()?.to_owned(), p)))
        .collect();
    all.sort();
    Ok(all)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `[Sv39x4]` or `[[Sv39x4, Sv48x4], [PD8]]`: one of each inner list.
fn needs(src: &Source, node: &Node) -> Result<Vec<u64>> {
    let one = |n: &Node| -> Result<u64> {
        let text = src.string(n, "a capability")?;
        caps::feature(text).ok_or_else(|| {
            src.at(n, format!("unknown capability '{text}'"))
                .with_help(diag::suggest(text, caps::FEATURES.iter().map(|&(f, _)| f)))
        })
    };
    src.list(node, "a list of capabilities")?
        .iter()
        .map(|n| match &n.kind {
            Kind::List(any) => any.iter().map(one).try_fold(0, |a, b| Ok(a | b?)),
            _ => one(n),
        })
        .collect()
}

/// `5`, `5..60`.
fn span(text: &str, most: u64) -> Option<(u64, u64)> {
    let number = |t: &str| parse_number(t.trim()).filter(|&n| n <= most);
    match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high.trim_start_matches('='))?);
            (low <= high).then_some((low, high))
        }
        None => number(text).map(|n| (n, n)),
    }
}

/// `5`, `5..60`, or `{1..8: 80, 200..2000: 20}`: ranges and their weights.
fn distribution(src: &Source, node: &Node, a: Amount) -> Result<Distribution> {
    let most = a.most();
    let range = |n: &Node| -> Result<(u64, u64)> {
        let text = src.string(n, "a range")?;
        span(text, most).ok_or_else(|| {
            src.at(
                n,
                format!("'{text}' is no number or range of at most {most}"),
            )
            .with_help("for example 8, 4..20, or {1..8: 80, 100..200: 20} (ranges with weights)")
        })
    };
    match &node.kind {
        Kind::Map(items) => {
            let all = items
                .iter()
                .map(|(k, v)| {
                    let (low, high) = range(k)?;
                    Ok((weight(src, v)?, low, high))
                })
                .collect::<Result<Vec<_>>>()?;
            if all.iter().all(|&(w, ..)| w == 0) {
                return Err(src.at(node, "all weights are 0"));
            }
            Ok(Distribution(all))
        }
        _ => {
            let (low, high) = range(node)?;
            Ok(Distribution::uniform(low, high))
        }
    }
}

impl Distribution {
    fn to_yaml(&self) -> String {
        let one = |low: u64, high: u64| {
            if low == high {
                low.to_string()
            } else {
                format!("{low}..{high}")
            }
        };
        match self.0.as_slice() {
            &[(_, low, high)] => one(low, high),
            all => {
                let items: Vec<String> = all
                    .iter()
                    .map(|&(w, low, high)| format!("{}: {w}", one(low, high)))
                    .collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }
}

fn weight(src: &Source, node: &Node) -> Result<u32> {
    Ok(src.number(node, "a weight", 1_000_000_000)? as u32)
}

/// `word` alone (that and nothing else), or `{word: weight, ...}`. Words that are not named keep
/// their weight, and `others: 0` says otherwise.
fn weights(src: &Source, node: &Node, g: &'static Group, old: &[u32]) -> Result<Vec<u32>> {
    let words: Vec<&str> = g.items.iter().map(|i| i.word).collect();
    if let Kind::Scalar { .. } = node.kind {
        let n = src.word(node, g.path, &words)?;
        return Ok((0..words.len()).map(|i| u32::from(i == n)).collect());
    }
    let f: Fields<'_> = src.fields(node, g.path)?;
    let mut new = match f.get("others") {
        Some(n) => vec![weight(src, n)?; words.len()],
        None => old.to_vec(),
    };
    for (n, item) in g.items.iter().enumerate() {
        if let Some(node) = f.get(item.word) {
            new[n] = weight(src, node)?;
        }
    }
    f.finish()?;
    if new.iter().all(|&w| w == 0) {
        return Err(src.at(node, "all weights are 0: nothing could be drawn"));
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> std::result::Result<Profile, CaseError> {
        Profile::parse("p.yaml", &format!("name: p\ndescription: d\n{rest}"))
    }

    #[test]
    fn every_knob_survives_its_own_text() {
        let mut p = Profile {
            name: "x".into(),
            needs: vec![1 << 9, 1 << 16 | 1 << 17],
            ..Profile::default()
        };
        for (n, name) in Profile::names().enumerate() {
            p.bias(&name, 1.0 + n as f64 / 10.0).unwrap();
        }
        p.amounts[0] = Distribution(vec![(3, 1, 4), (1, 9, 9)]);
        let again = Profile::parse("again", &p.to_yaml()).unwrap();
        assert_eq!(again, p);
        assert_eq!(again.hash(), p.hash());
        assert_ne!(p.hash(), Profile::default().hash());
    }

    #[test]
    fn knobs_are_named_once() {
        let mut all: Vec<&str> = paths().collect();
        all.sort_unstable();
        let n = all.len();
        all.dedup();
        assert_eq!(all.len(), n);
        assert!(all.iter().all(|p| p.split('.').count() == 2));
    }

    #[test]
    fn bias_turns_what_is_on() {
        let mut p = parse("traffic:\n  address: {others: 0, inside: 3, random: 1}\n").unwrap();
        p.bias("traffic.address.random", 1.5).unwrap();
        assert_eq!(p.value("traffic.address.inside"), Some(300));
        assert_eq!(p.value("traffic.address.random"), Some(150));
        p.bias("traffic.address.before", 9.0).unwrap();
        assert_eq!(p.value("traffic.address.before"), Some(0));
        let before = p.value("traffic.writes").unwrap();
        p.bias("traffic.writes", 100.0).unwrap();
        assert!(before < 100 && p.value("traffic.writes") == Some(100));
        let e = p.bias("traffic.adress.random", 2.0).unwrap_err();
        assert!(e.contains("traffic.address.random"), "{e}");
    }

    #[test]
    fn a_profile_from_elsewhere_extends_one_of_the_project() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testcases/profiles");
        let dir = std::env::temp_dir().join(format!("iommu-profile-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mine = dir.join("mine.yaml");
        std::fs::write(&mine, "name: mine\ndescription: x\nextends: ats\n").unwrap();
        let load = |name: &str| Profile::load(&project, name).unwrap();
        let (own, ats) = (load(&mine.display().to_string()), load("ats"));
        assert_eq!(own.name, "mine");
        let (name, description) = (ats.name.clone(), ats.description.clone());
        let renamed = Profile {
            name,
            description,
            ..own
        };
        assert_eq!(renamed.hash(), ats.hash());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        for (text, place, what) in [
            ("trafic: {}", "p.yaml:3:1", "unknown field 'trafic'"),
            (
                "traffic: {write: 3}",
                "p.yaml:3:11",
                "unknown field 'write'",
            ),
            ("traffic: {writes: 101}", "p.yaml:3:19", "at most"),
            (
                "traffic: {address: {insid: 3}}",
                "p.yaml:3:21",
                "unknown field 'insid'",
            ),
            (
                "traffic: {address: insid}",
                "p.yaml:3:20",
                "unknown traffic.address 'insid'",
            ),
            (
                "traffic: {address: {others: 0}}",
                "p.yaml:3:20",
                "all weights are 0",
            ),
            ("run: {rounds: 9..3}", "p.yaml:3:15", "'9..3' is no number"),
            (
                "run: {rounds: {1..2: x}}",
                "p.yaml:3:22",
                "a weight is a number",
            ),
            ("needs: [Sv93]", "p.yaml:3:9", "unknown capability 'Sv93'"),
            ("extends: nobody", "p.yaml:3:10", "no profile 'nobody'"),
        ] {
            let e = parse(text).unwrap_err().to_string();
            assert!(e.starts_with(place) && e.contains(what), "{text}: {e}");
        }
        let e = Profile::load(Path::new("../../testcases/profiles"), "smoek").unwrap_err();
        assert!(e.to_string().contains("did you mean 'smoke'"), "{e}");
    }

    #[test]
    fn the_projects_profiles_are_valid_and_documented() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let all = list(&root.join("testcases/profiles")).unwrap();
        for name in [
            "smoke",
            "translation",
            "nested",
            "process",
            "msi",
            "ats",
            "queues",
            "invalidation-races",
            "faults",
            "registers",
            "axi-edges",
            "backpressure",
            "isolation",
            "resets",
            "unspecified",
            "everything",
        ] {
            assert!(all.iter().any(|(n, _)| n == name), "no profile {name}");
        }
        let docs = std::fs::read_to_string(root.join("docs/profiles.md")).unwrap();
        for (name, path) in &all {
            let p =
                Profile::read(path, path.parent().unwrap(), 0).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(p.name, *name, "a profile has the name of its file");
            assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs");
        }
        // The tables of knobs in the page are those of the code.
        let tables = super::super::knobs::markdown();
        assert!(
            docs.contains(&tables),
            "docs/profiles.md: put this between the marks:\n{tables}"
        );
    }

    #[test]
    fn drawing_follows_the_weights() {
        let p = parse("run: {rounds: {1..2: 1, 100..101: 3}, accesses: 7}").unwrap();
        let mut r = Random::new(1, "test");
        let high = (0..4000)
            .filter(|_| p.amount(Amount::Rounds, &mut r) >= 100)
            .count();
        assert!((2800..3200).contains(&high), "{high}");
        assert_eq!(p.amount(Amount::Accesses, &mut r), 7);
        assert_eq!(p.most(Amount::Rounds), 101);
    }
}
