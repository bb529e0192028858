//! One walk of the golden model at a time, with a different choice at each load that leaves one,
//! until every combination has been tried.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::invalidate::{self, Entry, describe};
use iommu_golden::{
    Capabilities, DeviceContext, Iommu, Label, MemError, Memory, Request, RequestKind, Spa,
};

use super::commands::Log;
use super::held::{ENTRY_WORDS, EntryWords, Held, Key, MayHold, Use, resolved};
use super::raw::Raw;
use super::versions::Words;
use crate::ports::WordHasher;

/// Walks of one request at most; more is an error of the harness.
pub(crate) const BOUND: u32 = 50_000;
/// Beyond so many, an entry that a walk reads again is not taken older than before.
pub(crate) const BOUND_FREE: u32 = 4_000;
/// Combinations of the words of one entry at most.
const COMBINATIONS: usize = 256;

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    pub(crate) request: Request,
    /// Clock at which its window opened.
    pub(crate) accepted: u64,
    /// Its accesses are writes, for what fences order.
    pub(crate) write: bool,
    /// Take every entry that was ever held, removed or not: to explain what went wrong.
    pub(crate) lax: bool,
    /// What a walk has seen of an entry it does not see older again.
    pub(crate) ordered: bool,
}

/// The choices of the walk at hand: for each load that left one, which, of how many.
#[derive(Debug, Default)]
pub(crate) struct Script {
    choices: Vec<(u16, u16)>,
    at: usize,
    /// What the walk at hand found at its loads: the next one finds the same up to where it chooses
    /// otherwise.
    steps: Vec<Step>,
    step: usize,
    /// States of walks that have been gone on from.
    visited: HashSet<u64, BuildHasherDefault<WordHasher>>,
}

impl Script {
    fn choose(&mut self, of: usize) -> usize {
        if of <= 1 {
            return 0;
        }
        if self.at == self.choices.len() {
            self.choices
                .push((0, u16::try_from(of).unwrap_or(u16::MAX)));
        }
        let chosen = self.choices[self.at].0;
        self.at += 1;
        usize::from(chosen).min(of - 1)
    }

    /// The walks left no choice at all.
    pub(crate) fn is_single(&self) -> bool {
        self.choices.is_empty() && self.visited.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.choices.clear();
        self.steps.clear();
        self.visited.clear();
        self.rewind();
    }

    /// To the first load of a walk.
    fn rewind(&mut self) {
        self.at = 0;
        self.step = 0;
    }

    /// A walk has come to a state of this hash by choices of which the last was made anew: false if
    /// another has been there, and has gone every way on. Choices are exhausted from the last to
    /// the first: that other's have been, or it is this very walk before it chose again.
    fn arrives(&mut self, state: impl FnOnce() -> u64) -> bool {
        if self.choices.is_empty() || self.at < self.choices.len() {
            return true;
        }
        self.visited.insert(state())
    }

    /// The next combination, if there is one.
    pub(crate) fn advance(&mut self) -> bool {
        self.rewind();
        while let Some((chosen, of)) = self.choices.last_mut() {
            if *chosen + 1 < *of {
                *chosen += 1;
                let kept = self.choices.len();
                self.steps
                    .truncate(self.steps.partition_point(|s| s.at < kept));
                return true;
            }
            self.choices.pop();
        }
        false
    }
}

/// The choices that a load left.
#[derive(Debug)]
struct Step {
    /// What memory holds now, and all others.
    first: Option<Choice>,
    more: Vec<Choice>,
    /// Choices made before.
    at: usize,
}

impl Step {
    fn total(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    fn choice(&self, n: usize) -> &Choice {
        match &self.first {
            Some(c) if n == 0 => c,
            Some(_) => &self.more[n - 1],
            None => &self.more[n],
        }
    }
}

/// Where the value of the last load came from: for who listens to the walk.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Source {
    /// The block may read it from memory, at the address that the walk says.
    pub(crate) memory: bool,
    /// The block may hold this very entry.
    pub(crate) known: bool,
    /// The structure is big-endian.
    pub(crate) big: bool,
    /// Where the entry really is, if the walk does not know.
    pub(crate) addr: Option<u64>,
}

/// A choice that only history justifies, for stories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stale {
    pub(crate) label: Label,
    pub(crate) addr: u64,
    pub(crate) word: u64,
    pub(crate) what: Option<Entry>,
    /// Clock of its last sample, or until when memory held it.
    pub(crate) seen: u64,
    pub(crate) held: bool,
    pub(crate) killer: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Memory holds it, or held it in the window.
    Memory,
    /// A cached entry, read at this address.
    Held(u64),
    /// A pointer to nowhere: the next entry of this stage has to be a cached one.
    SkipLevel,
    /// A translation to nowhere of an implicit access: the entry there has to be a cached one.
    SkipStage,
}

#[derive(Debug, Clone)]
struct Choice {
    words: EntryWords,
    error: Option<MemError>,
    from: From,
    /// How old: clock of the sample, or until when memory held it.
    seen: u64,
    no_grant: bool,
    /// Memory holds it and the block may hold it too, or only the block.
    known: bool,
    /// For stories only.
    stale: Option<Box<Stale>>,
}

/// The address of the next entry is not known: it has to come from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blind {
    No,
    /// The next entry of this second-stage walk.
    SecondStage,
    /// The next directory or first-stage entry; second-stage walks on the way do not count.
    Entry,
}

/// Memory and caches, as one walk finds them.
pub(crate) struct View<'a> {
    pub(crate) mem: &'a SparseMemory,
    pub(crate) words: &'a mut Words,
    pub(crate) held: &'a mut MayHold,
    pub(crate) raw: &'a Raw,
    pub(crate) log: &'a Log,
    pub(crate) query: &'a Query,
    pub(crate) now: u64,
    pub(crate) script: &'a mut Script,
    pub(crate) source: &'a Cell<Source>,
    /// Of several walks that make the same choices, which this is.
    pub(crate) way: usize,
    caps: Capabilities,
    be: bool,
    gxl: bool,
    sbe: bool,
    sxl: bool,
    sade: bool,
    gade: bool,
    nested: bool,
    blind: Blind,
    /// The last first-stage entry was a pointer: second-stage walks are implicit.
    in_first: bool,
    /// A swap failed: this entry has to be read again, and is not this value.
    again: Option<(Label, u64)>,
    /// How old the entries of this walk were, if that is kept.
    seen: Vec<(Label, u64, u64)>,
    /// Address of the leaf that a cache gave while its address was not known.
    leaf: Option<(u64, u64)>,
    /// What of the past decides how the walk goes on: a hash of the contexts, the last entry that was
    /// none of a second stage, and a hash of the updates.
    contexts: u64,
    outer: Option<(Label, EntryWords)>,
    swaps: u64,
    /// This combination leads nowhere.
    pub(crate) dead: bool,
    /// A grant would rest on what a fence has ordered.
    pub(crate) no_grant: bool,
    /// An entry had more combinations than are tried.
    pub(crate) overflow: bool,
    pub(crate) stale: Vec<Stale>,
}

/// Parts of [`super::Oracle`] that a walk needs.
pub(crate) struct Parts<'a> {
    pub(crate) words: &'a mut Words,
    pub(crate) held: &'a mut MayHold,
    pub(crate) raw: &'a Raw,
    pub(crate) log: &'a Log,
    pub(crate) script: &'a mut Script,
}

/// A page-table pointer to page 0.
const POINTER: u64 = 1;
/// A leaf at page 0 that allows everything (V R W X U A D).
const LEAF: u64 = 0xdf;
const ACCESSED: u64 = 1 << 6;
const DIRTY: u64 = 1 << 7;

impl<'a> View<'a> {
    pub(crate) fn new(
        parts: Parts<'a>,
        iommu: &Iommu,
        mem: &'a SparseMemory,
        query: &'a Query,
        now: u64,
        source: &'a Cell<Source>,
    ) -> Self {
        parts.script.rewind();
        let regs = iommu.registers();
        Self {
            mem,
            words: parts.words,
            held: parts.held,
            raw: parts.raw,
            log: parts.log,
            query,
            now,
            script: parts.script,
            source,
            way: 0,
            caps: iommu.capabilities(),
            be: regs.be,
            gxl: regs.gxl,
            sbe: false,
            sxl: false,
            sade: false,
            gade: false,
            nested: false,
            blind: Blind::No,
            in_first: false,
            again: None,
            seen: Vec::new(),
            leaf: None,
            contexts: 0,
            outer: None,
            swaps: 0,
            dead: false,
            no_grant: false,
            overflow: false,
            stale: Vec::new(),
        }
    }

    fn big(&self, label: &Label) -> bool {
        match label {
            Label::FirstStage { .. } | Label::PdtNonLeaf { .. } | Label::Pc { .. } => self.sbe,
            _ => self.be,
        }
    }

    fn describe(&self, label: &Label, words: &EntryWords, count: usize) -> [Option<Entry>; 2] {
        let half = self.half(label);
        describe(
            self.caps,
            label,
            &resolved(*words, self.big(label), half)[..count],
        )
        .map(|e| e.map(|e| e.serving(label)))
    }

    fn half(&self, label: &Label) -> bool {
        match label {
            Label::FirstStage { .. } => self.sxl,
            Label::SecondStage { .. } => self.gxl,
            _ => false,
        }
    }

    /// Whether the walk, where it finds A or D clear in such an entry, sets it and goes on as if
    /// it had been set: what the entry was before another walk set it makes no difference then.
    fn updates(&self, label: &Label) -> bool {
        // A completion of ATS tells W by D; and the update of a nested table needs the second
        // stage's leave.
        let asked = self.query.request.kind != RequestKind::AtsTranslation;
        match label {
            Label::FirstStage { gscid, .. } => self.sade && gscid.is_none() && asked,
            Label::SecondStage { .. } => self.gade && asked,
            _ => false,
        }
    }

    /// Whether this second-stage walk serves a walk, not the request itself.
    fn implicit(&self, label: &Label) -> bool {
        match label {
            Label::SecondStage { pdt_of, holder, .. } => {
                pdt_of.is_some() || holder.is_some() || self.in_first
            }
            _ => false,
        }
    }

    /// One entry: gathers what it may be, and takes the choice of the script.
    fn entry(
        &mut self,
        addr: u64,
        count: usize,
        size: u8,
        label: &Label,
    ) -> Result<EntryWords, MemError> {
        if self.blind == Blind::Entry && matches!(label, Label::SecondStage { .. }) {
            self.source.set(Source::default());
            return Ok(self.value(LEAF, label));
        }
        let blind = self.blind != Blind::No;
        let known = self.way == 0 && self.script.step < self.script.steps.len();
        if known {
            self.again.take_if(|(of, _)| *of == *label);
        } else if let Some(step) = self.gather(addr, (count, size), label) {
            self.script.steps.push(step);
        } else {
            self.dead = true;
            self.source.set(Source::default());
            return Err(MemError::Access);
        }
        self.blind = Blind::No;
        let script = &mut *self.script;
        // The steps kept are those of the first way.
        let step = match self.way {
            0 => script.step,
            _ => script.steps.len() - 1,
        };
        let total = script.steps[step].total();
        let n = script.choose(total);
        let choice = script.steps[step].choice(n).clone();
        match self.way {
            0 => script.step += 1,
            _ => script.steps.truncate(step),
        }
        if self.query.ordered && total > 1 {
            self.seen.push((*label, addr, choice.seen));
        }
        self.take(addr, blind, count, label, &choice);
        choice.error.map_or(Ok(choice.words), Err)
    }

    /// What the entry may be. None if nothing, or if another walk has come this way.
    fn gather(&mut self, addr: u64, (count, size): (usize, u8), label: &Label) -> Option<Step> {
        if !self.query.ordered && !self.query.lax {
            let (flags, tags) = (self.flags(), (self.contexts, self.outer_tag(), self.swaps));
            let state = || hash(&(label, addr, flags, tags, self.leaf, self.again, self.way));
            if !self.script.arrives(state) {
                return None;
            }
        }
        let blind = self.blind != Blind::No;
        let mut first = None;
        let mut more: Vec<Choice> = Vec::new();
        if !blind {
            first = self.memory_choices(addr, count, size, label, &mut more);
        }
        // Its second stage comes first, where there is one.
        if let Some((_, not)) = self.again.take_if(|(of, _)| *of == *label)
            && count == 1
        {
            // It has changed since: no old entry will do, and not the value that was expected.
            let all = first.into_iter().chain(more.drain(..));
            let mut rest = all.filter(|c| c.error.is_some() || c.words[0] != not);
            first = rest.next();
            let rest: Vec<Choice> = rest.collect();
            more.extend(rest);
        } else {
            self.held_choices(addr, blind, (count, size), label, &mut first, &mut more);
            self.skips(count, label, first.as_ref(), &mut more);
        }
        if label_has_root(label) {
            self.blind_roots(count, label, first.as_ref(), &mut more);
        }
        if self.query.ordered
            && let Some(oldest) = self.oldest(addr, label)
        {
            more.retain(|c| c.seen >= oldest);
        }
        let at = self.script.at;
        let step = Step { first, more, at };
        (step.total() > 0).then_some(step)
    }

    fn flags(&self) -> [bool; 5] {
        let blind = self.blind == Blind::SecondStage;
        let blind_entry = self.blind == Blind::Entry;
        [blind, blind_entry, self.no_grant, self.dead, self.in_first]
    }

    /// How old this entry was when the walk last read it.
    fn oldest(&self, addr: u64, label: &Label) -> Option<u64> {
        let kind = std::mem::discriminant(label);
        let same = |s: &&(Label, u64, u64)| s.1 == addr && std::mem::discriminant(&s.0) == kind;
        self.seen.iter().rev().find(same).map(|s| s.2)
    }

    /// A context whose root pointer leads nowhere: what is below it may still be held.
    fn blind_roots(
        &self,
        count: usize,
        label: &Label,
        first: Option<&Choice>,
        more: &mut Vec<Choice>,
    ) {
        let big = self.big(label);
        let pas = self.caps.pas();
        let mut blind = Vec::new();
        for c in first.into_iter().chain(more.iter()) {
            let mut words = resolved(c.words, big, false);
            let nested = match label {
                Label::Dc { .. } => DeviceContext::from_words(&words[..count]).iohgatp_mode() != 0,
                _ => self.nested,
            };
            let Some(fsc) = words.get_mut(if count > 2 { 3 } else { 1 }) else {
                continue;
            };
            let page = *fsc & PPN;
            let lost = (pas < 56 && page << 12 >> pas != 0) || (nested && page >= 1 << 22);
            if c.error.is_none() && lost && *fsc >> 60 != 0 {
                *fsc &= !PPN;
                blind.push(Choice {
                    words: resolved(words, big, false),
                    from: From::SkipStage,
                    stale: c.stale.clone(),
                    ..*c
                });
            }
        }
        more.extend(blind);
    }

    /// A synthetic value in the byte order of its structure.
    fn value(&self, value: u64, label: &Label) -> EntryWords {
        let mut words = [0; ENTRY_WORDS];
        words[0] = value;
        resolved(words, self.big(label), self.half(label))
    }

    fn take(&mut self, addr: u64, blind: bool, count: usize, label: &Label, choice: &Choice) {
        self.source.set(Source {
            memory: !blind && matches!(choice.from, From::Memory | From::Held(_)),
            known: choice.known,
            big: self.big(label),
            addr: None,
        });
        self.no_grant |= choice.no_grant;
        self.stale.extend(choice.stale.as_deref());
        match choice.from {
            From::SkipLevel if matches!(label, Label::SecondStage { .. }) => {
                self.blind = Blind::SecondStage;
            }
            From::SkipLevel | From::SkipStage => self.blind = Blind::Entry,
            From::Held(at) if blind => self.leaf = Some((addr, at)),
            From::Held(_) | From::Memory => {}
        }
        if choice.error.is_some() {
            return;
        }
        if !matches!(label, Label::SecondStage { .. }) {
            self.outer = Some((*label, choice.words));
        }
        if label_has_root(label) {
            self.contexts = hash(&(self.contexts, choice.words));
        }
        match label {
            Label::Dc { .. } => {
                let dc =
                    DeviceContext::from_words(&resolved(choice.words, self.be, false)[..count]);
                self.sbe = dc.sbe();
                self.sxl = dc.sxl();
                self.sade = dc.sade();
                self.gade = dc.gade();
                self.nested = dc.iohgatp_mode() != 0;
            }
            // What it serves is asked for second-stage walks only.
            Label::FirstStage { .. } if self.nested => {
                self.in_first = self.leaf(label, &choice.words) == Some(false);
            }
            _ => {}
        }
    }

    /// Of the last entry that was none of a second stage, what decides how the walk goes on: where
    /// it leads is in the next label, or the next address.
    fn outer_tag(&self) -> u64 {
        match &self.outer {
            None => 0,
            Some((label, words)) if label_has_root(label) || self.goes_on(label, words) => {
                hash(label)
            }
            Some(outer) => hash(outer),
        }
    }

    fn leaf(&self, label: &Label, words: &EntryWords) -> Option<bool> {
        let pte = resolved(*words, self.big(label), self.half(label))[0];
        invalidate::leaf(self.caps, label, pte)
    }

    /// What memory holds, and held in the window. The first one by value: mostly the only one.
    fn memory_choices(
        &mut self,
        addr: u64,
        count: usize,
        size: u8,
        label: &Label,
        more: &mut Vec<Choice>,
    ) -> Option<Choice> {
        let mut words = [0; ENTRY_WORDS];
        let mut errors = [None; ENTRY_WORDS];
        for n in 0..count {
            let at = addr + 8 * n as u64;
            match self.words.now(self.mem, at >> 3, self.now).get(at, size) {
                Ok(w) => words[n] = w,
                Err(e) => errors[n] = Some(e),
            }
        }
        let worst = |errors: &[Option<MemError>; ENTRY_WORDS]| {
            let met = |e: &MemError| errors.contains(&Some(*e));
            [MemError::Access, MemError::Corrupt].into_iter().find(met)
        };
        let error = worst(&errors);
        let now = Choice {
            words,
            error,
            from: From::Memory,
            seen: u64::MAX,
            no_grant: false,
            known: false,
            stale: None,
        };
        if !self.words.has_past() {
            return Some(now);
        }
        let from = self.query.accepted;
        let updates = self.updates(label);
        // Each word on its own: an entry need not be read at once. Of a context that is not valid
        // the other words do not matter.
        type Mix = (EntryWords, [Option<MemError>; ENTRY_WORDS], u64);
        let big = self.big(label);
        let closed =
            |p: &Mix| count > 1 && p.1[0].is_none() && resolved(p.0, big, false)[0] & 1 == 0;
        let mut all: Vec<Mix> = vec![(words, errors, u64::MAX)];
        let mut ended: Vec<Mix> = Vec::new();
        for n in 0..count {
            let at = addr + 8 * n as u64;
            let mut values: Vec<(Result<u64, MemError>, u64)> = Vec::new();
            for past in self.words.past(at >> 3, from) {
                if past.updated && updates {
                    continue;
                }
                let (value, until) = (past.content.get(at, size), past.until);
                if value == errors[n].map_or(Ok(words[n]), Err) {
                    continue;
                }
                match values.iter_mut().find(|v| v.0 == value) {
                    Some(v) => v.1 = v.1.max(until),
                    None => values.push((value, until)),
                }
            }
            let before = all.len();
            for (value, until) in values {
                if all.len() + before > COMBINATIONS {
                    self.overflow = true;
                    break;
                }
                for m in 0..before {
                    let (mut w, mut e, seen) = all[m];
                    match value {
                        Ok(v) => (w[n], e[n]) = (v, None),
                        Err(why) => e[n] = Some(why),
                    }
                    all.push((w, e, seen.min(until)));
                }
            }
            if n == 0 {
                let mut open = Vec::with_capacity(all.len());
                for p in all.drain(..) {
                    if closed(&p) { &mut ended } else { &mut open }.push(p);
                }
                all = open;
            }
        }
        all.append(&mut ended);
        for (words, errors, until) in all {
            let error = worst(&errors);
            let same = |c: &Choice| c.error == error && (error.is_some() || c.words == words);
            if same(&now) || more.iter().any(same) {
                continue;
            }
            let (mut killer, write) = (None, self.query.write);
            if error.is_none() && self.log.ordered_any(until, write) {
                let entries = self.describe(label, &words, count);
                // As whatever it may have been kept: what is left of it must be nothing.
                let mut killers = entries
                    .iter()
                    .flatten()
                    .map(|e| self.log.ordered_after(e, until, write));
                killer = killers
                    .next()
                    .flatten()
                    .filter(|_| killers.all(|k| k.is_some()));
            }
            more.push(Choice {
                words,
                error,
                from: From::Memory,
                seen: until,
                no_grant: killer.is_some() && !self.query.lax,
                known: false,
                stale: self.story(killer.is_some(), || Stale {
                    label: *label,
                    addr,
                    word: words[0],
                    what: None,
                    seen: until,
                    held: false,
                    killer,
                }),
            });
        }
        Some(now)
    }

    /// A choice that only history justifies, where somebody asks for stories.
    fn story(&self, stale: bool, of: impl FnOnce() -> Stale) -> Option<Box<Stale>> {
        (stale && self.query.lax).then(|| Box::new(of()))
    }

    /// Entries that the block may hold for this load.
    fn held_choices(
        &mut self,
        addr: u64,
        blind: bool,
        (count, size): (usize, u8),
        label: &Label,
        first: &mut Option<Choice>,
        more: &mut Vec<Choice>,
    ) {
        let nested = matches!(label, Label::FirstStage { gscid: Some(_), .. });
        let (no_update, sbe) = (blind && self.sade && nested, self.sbe);
        let updates = self.updates(label);
        let (big, half) = (self.big(label), self.half(label));
        let (query, log, held) = (self.query, self.log, &mut *self.held);
        let mut try_one = |h: &mut Held| {
            if h.count != count || (h.updated && updates) {
                return;
            }
            // "may lead to the IOMMU interpreting a first-stage PTE as big-endian or
            // little-endian": two contexts of one address space that differ in SBE.
            let words = resolved(h.words, h.big != big, half);
            let same = |c: &Choice| c.error.is_none() && c.words == words;
            if let Some(c) = first.as_mut().filter(|c| same(c)) {
                c.known = true;
                return;
            }
            if more.iter().any(|c| same(c) && !c.no_grant) {
                return;
            }
            let mut no_grant = false;
            match h.serves(log, label, query.accepted, query.write) {
                Use::Yes => {}
                _ if query.lax => {}
                Use::NoGrant => no_grant = true,
                Use::No => return,
            }
            if no_update {
                // Where it would set A or D only its second stage could tell.
                let pte = resolved(words, sbe, false)[0];
                let wanted = ACCESSED | if query.write { DIRTY } else { 0 };
                if pte & 0xe != 0 && pte & wanted != wanted {
                    return;
                }
            }
            more.push(Choice {
                words,
                error: None,
                from: From::Held(h.addr),
                seen: h.sampled,
                no_grant,
                known: true,
                stale: query.lax.then(|| {
                    Box::new(Stale {
                        label: *label,
                        addr: h.addr,
                        word: h.words[0],
                        what: Some(h.what),
                        seen: h.sampled,
                        held: true,
                        killer: h.killer(log, label),
                    })
                }),
            });
        };
        let at = (!blind).then_some(addr);
        Key::of_load(self.caps, label, &mut |key| {
            held.set(key, at).iter_mut().for_each(&mut try_one);
        });
        if !blind {
            self.raw_choices(addr, count, size, label, first.as_ref(), more);
        }
    }

    /// Words that the block has read with nobody knowing what for.
    fn raw_choices(
        &mut self,
        addr: u64,
        count: usize,
        size: u8,
        label: &Label,
        first: Option<&Choice>,
        more: &mut Vec<Choice>,
    ) {
        for (words, seen) in self.raw.at(addr, count, size) {
            let same = |c: &Choice| c.error.is_none() && c.words == words;
            if first.is_some_and(same) || more.iter().any(|c| same(c) && !c.no_grant) {
                continue;
            }
            // As whatever it may have been kept, the best of it counts.
            let mut best: Option<(bool, Entry, Option<usize>)> = None;
            for what in self.describe(label, &words, count).into_iter().flatten() {
                let killer = self.log.reaching(&what, seen, 0).0;
                let inval = killer.and_then(|n| self.log.get(n));
                let gone =
                    inval.is_some_and(|i| i.done.is_some_and(|at| self.query.accepted >= at));
                let no_grant = inval.is_some_and(|i| i.ordered(self.query.write).is_some());
                if (!gone || self.query.lax) && best.is_none_or(|b| b.0 && !no_grant) {
                    best = Some((no_grant && !self.query.lax, what, killer));
                }
            }
            if let Some((no_grant, what, killer)) = best {
                more.push(Choice {
                    words,
                    error: None,
                    from: From::Memory,
                    seen,
                    no_grant,
                    known: true,
                    stale: self.story(true, || Stale {
                        label: *label,
                        addr,
                        word: words[0],
                        what: Some(what),
                        seen,
                        held: true,
                        killer,
                    }),
                });
            }
        }
    }

    /// "A matching leaf may be used without walking to it": where the walk would end above it,
    /// or where a second stage would not let it come to the tables.
    fn skips(
        &mut self,
        count: usize,
        label: &Label,
        first: Option<&Choice>,
        more: &mut Vec<Choice>,
    ) {
        if count != 1 {
            return;
        }
        // By what a fence has ordered the walk may end, not go on.
        let all = || first.into_iter().chain(more.iter()).filter(|c| !c.no_grant);
        let skip = |value: u64, from| Choice {
            words: self.value(value, label),
            error: None,
            from,
            seen: u64::MAX,
            no_grant: false,
            known: true,
            stale: None,
        };
        let level = match *label {
            Label::DdtNonLeaf { level, .. }
            | Label::PdtNonLeaf { level, .. }
            | Label::FirstStage { level, .. }
            | Label::SecondStage { level, .. } => level,
            _ => return,
        };
        let implicit = self.implicit(label);
        if level == 0 && !implicit {
            return;
        }
        let goes_on = all().any(|c| c.error.is_none() && self.goes_on(label, &c.words));
        let skip_stage = implicit && !goes_on && !all().any(|c| self.translates_reads(label, c));
        let skip_stage = skip_stage.then(|| skip(LEAF, From::SkipStage));
        let skip_level = (level > 0 && !goes_on).then(|| skip(POINTER, From::SkipLevel));
        if let Some(c) = skip_level
            && self.holds_below(label)
        {
            more.push(c);
        }
        more.extend(skip_stage);
    }

    /// Whether the walk can go on below this entry.
    fn goes_on(&self, label: &Label, words: &EntryWords) -> bool {
        let pte = resolved(*words, self.big(label), self.half(label))[0];
        let page = pte >> 10 & ((1 << 44) - 1);
        let pas = self.caps.pas();
        let reachable = pas >= 56 || page << 12 >> pas == 0;
        // Where a guest page is, only its second stage tells; a low one is in every scheme.
        let low = page < 1 << 22;
        // At level 0 a pointer is a page fault.
        let points = || match *label {
            Label::FirstStage { level, .. } | Label::SecondStage { level, .. } => {
                level > 0 && invalidate::leaf(self.caps, label, pte) == Some(false)
            }
            _ => false,
        };
        match label {
            Label::DdtNonLeaf { .. } => pte & RESERVED == 0 && pte & 1 == 1 && reachable,
            Label::PdtNonLeaf { .. } => pte & RESERVED == 0 && pte & 1 == 1 && reachable && low,
            Label::FirstStage { gscid, .. } => points() && reachable && (gscid.is_none() || low),
            Label::SecondStage { .. } => points() && reachable,
            _ => false,
        }
    }

    /// Whether this second-stage leaf surely lets a table be read.
    fn translates_reads(&self, label: &Label, c: &Choice) -> bool {
        const NEEDED: u64 = 0x53; // V R U A
        let pte = resolved(c.words, self.big(label), self.half(label))[0];
        let pas = self.caps.pas();
        c.error.is_none()
            && pte & NEEDED == NEEDED
            && invalidate::translates(self.caps, label, pte)
            && (pas >= 56 || (pte >> 10 & PPN) << 12 >> pas == 0)
    }

    /// Whether the block may hold an entry that this one leads to.
    fn holds_below(&mut self, label: &Label) -> bool {
        let caps = self.caps;
        let held = &mut *self.held;
        let mut any = |label: Label| {
            let mut found = false;
            Key::of_load(caps, &label, &mut |k| {
                found |= !held.set(k, None).is_empty()
            });
            found
        };
        match *label {
            Label::DdtNonLeaf { device_id, level } => {
                any(Label::Dc { device_id })
                    || (1..level).any(|level| any(Label::DdtNonLeaf { device_id, level }))
            }
            Label::PdtNonLeaf {
                device_id,
                process_id,
                level,
            } => {
                any(Label::Pc {
                    device_id,
                    process_id,
                }) || (1..level).any(|level| {
                    any(Label::PdtNonLeaf {
                        device_id,
                        process_id,
                        level,
                    })
                })
            }
            Label::FirstStage {
                gscid,
                pscid,
                iova,
                level,
                range_log2,
                ..
            } => (0..level).any(|below| {
                any(Label::FirstStage {
                    gscid,
                    pscid,
                    iova,
                    level: below,
                    range_log2: 12 + below * ((range_log2 - 12) / level),
                    global: false,
                })
            }),
            Label::SecondStage {
                gscid,
                gpa,
                level,
                range_log2,
                pdt_of,
                holder,
            } => (0..level).any(|below| {
                any(Label::SecondStage {
                    gscid,
                    gpa,
                    level: below,
                    range_log2: 12 + below * ((range_log2 - 12) / level),
                    pdt_of,
                    holder,
                })
            }),
            _ => false,
        }
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = WordHasher::default();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Whether the entry is a context, which holds the root of what comes next.
fn label_has_root(label: &Label) -> bool {
    matches!(label, Label::Dc { .. } | Label::Pc { .. })
}

/// A page number in `fsc`.
const PPN: u64 = (1 << 44) - 1;
/// Bits 9:1 and 63:54, reserved in non-leaf directory entries.
const RESERVED: u64 = 0x1ff << 1 | 0x3ff << 54;

impl Memory for View<'_> {
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError> {
        self.entry(addr.0, 1, size, label).map(|w| w[0])
    }

    fn load_entry(&mut self, addr: Spa, words: &mut [u64], label: &Label) -> Result<(), MemError> {
        let count = words.len().min(ENTRY_WORDS);
        let got = self.entry(addr.0, count, 8, label)?;
        words[..count].copy_from_slice(&got[..count]);
        Ok(())
    }

    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        Err(MemError::Access)
    }

    /// The swap itself is the block's to do: here only what it may find.
    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        _: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        let leaf = self.leaf.filter(|l| l.0 == addr.0);
        let at = leaf.map_or(addr.0, |l| l.1);
        self.source.set(Source {
            addr: leaf.map(|l| l.1),
            big: self.big(label),
            ..self.source.get()
        });
        match self.mem.fault_for(at, size.into(), FaultAccess::Any) {
            Some(MemFault::SlvErr | MemFault::DecErr) => return Err(MemError::Access),
            Some(MemFault::Poison) => return Err(MemError::Corrupt),
            None => {}
        }
        let now = self.words.now(self.mem, at >> 3, self.now).get(at, size);
        let mut other = now.ok().filter(|v| *v != expected);
        let mut found = now == Ok(expected);
        let from = self.query.accepted;
        for p in self.words.past(at >> 3, from) {
            match p.content.get(at, size) {
                Ok(v) if v == expected => found = true,
                // It was so before the block's own update, so before what the walk has read.
                Ok(_) if p.updated => {}
                Ok(v) => other = other.or(Some(v)),
                Err(_) => {}
            }
        }
        match other {
            None => {
                self.swaps = hash(&(self.swaps, at));
                Ok(expected)
            }
            Some(_) if found && self.script.choose(2) == 0 => {
                self.swaps = hash(&(self.swaps, at));
                Ok(expected)
            }
            Some(v) => {
                // The walk returns to the entry, which only memory can answer for now.
                self.dead |= leaf.is_some();
                self.again = Some((*label, expected));
                Ok(v)
            }
        }
    }

    fn fetch_or(&mut self, addr: Spa, _: u64, _: bool, label: &Label) -> Result<u64, MemError> {
        self.load(addr, 8, label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_through_every_combination_once() {
        let mut script = Script::default();
        let mut seen = Vec::new();
        loop {
            script.rewind();
            // The second choice is there only after some of the first ones.
            let a = script.choose(3);
            let b = if a == 1 { script.choose(2) } else { 9 };
            let c = script.choose(1);
            seen.push((a, b, c));
            if !script.advance() {
                break;
            }
        }
        assert_eq!(seen, [(0, 9, 0), (1, 0, 0), (1, 1, 0), (2, 9, 0)]);
    }
}
