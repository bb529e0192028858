//! What may become of a request: the one place that knows what the block may have cached.

mod commands;
mod enumerate;
mod held;
mod memo;
mod raw;
#[cfg(test)]
mod tests;
mod versions;

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use iommu_bus::mem::SparseMemory;
use iommu_golden::{
    AtsCompletion, AtsStatus, Capabilities, FaultRecord, Iommu, Label, MrifTarget, Observer,
    Outcome, WalkEvent,
};

use commands::Log;
pub(crate) use enumerate::BOUND;
pub(crate) use enumerate::Query;
use enumerate::{BOUND_FREE, Parts, Script, Source, Stale, View};
use held::{ENTRY_WORDS, Looked, MayHold};
use memo::Memos;
use raw::Raw;
use versions::Words;

/// One legal outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Forwarded to this address.
    Grant {
        /// Address on `m_dev`.
        spa: u64,
        /// User bits on `m_dev`: {MCID, RCID, PBMT}.
        user: u32,
        /// `ddtp` is in Bare mode: nothing was looked up.
        bare: bool,
        /// The table entry that decided: address and bytes. Memory must have returned some
        /// of it to the block since reset.
        evidence: Option<(u64, u32)>,
        /// The walk sets A or D bits first ([`Legal::updates`]): not before that is done.
        after_update: bool,
    },
    /// Not forwarded: a page in MRIF mode takes the access.
    Mrif {
        /// The interrupt file, and where the notice goes.
        target: MrifTarget,
        /// As for a grant.
        after_update: bool,
        /// It rests on what a completed fence has ordered: the file may have aborted or discarded the
        /// access in time, and none is made for it any more.
        late: bool,
    },
    /// The completion of an ATS translation request.
    Ats {
        /// What it says.
        completion: AtsCompletion,
        /// As for a grant.
        after_update: bool,
    },
    /// Refused, with this record or none.
    Deny {
        /// The record to report.
        record: Option<FaultRecord>,
        /// Its cause, for people.
        cause: Option<u16>,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Grant {
                spa, bare: true, ..
            } => write!(f, "passed untranslated to {spa:#x}"),
            Verdict::Grant {
                spa, after_update, ..
            } => write!(f, "granted, goes to {spa:#x}{}", after(*after_update)),
            Verdict::Mrif {
                target,
                after_update,
                ..
            } => write!(
                f,
                "for the interrupt file at {:#x}, notice {} to {:#x}{}",
                target.mrif.0,
                target.nid,
                target.notice.0,
                after(*after_update)
            ),
            Verdict::Ats {
                completion: c,
                after_update,
            } => match c.status {
                AtsStatus::Success => write!(
                    f,
                    "completed: {:#x}, 2^{} bytes, {:?}{}",
                    c.address,
                    c.range_log2,
                    c.permissions,
                    after(*after_update)
                ),
                status => write!(f, "completed: {status:?}, cause {:?}", c.cause),
            },
            Verdict::Deny { cause, record } => {
                match cause {
                    Some(c) => write!(f, "refused, cause {c}")?,
                    None => write!(f, "refused")?,
                }
                f.write_str(if record.is_some() {
                    ", recorded"
                } else {
                    ", not recorded"
                })
            }
        }
    }
}

fn after(update: bool) -> &'static str {
    if update { ", after its A/D update" } else { "" }
}

impl Verdict {
    /// The record that it asks for.
    #[must_use]
    pub fn record(&self) -> Option<&FaultRecord> {
        match self {
            Verdict::Deny { record, .. } => record.as_ref(),
            Verdict::Ats { completion, .. } => completion.record.as_ref(),
            Verdict::Grant { .. } | Verdict::Mrif { .. } => None,
        }
    }
}

/// Setting A or D bits in a page-table entry, on behalf of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Address.
    pub addr: u64,
    /// 4 or 8 bytes.
    pub size: u8,
    /// The entry before and after, as in memory (read as little-endian).
    pub change: (u64, u64),
    /// User bits on `m_mem`: {MCID, RCID}.
    pub user: u32,
    /// The entry is big-endian.
    pub big: bool,
}

impl Update {
    /// The bytes for which the update speaks. Svnapot: the 16 entries of a region are equal, and
    /// may be kept as one; that one has A and D of whichever of them was updated.
    #[must_use]
    pub fn copies(&self) -> Range<u64> {
        let entry = match self.big {
            true => self.change.1.swap_bytes(),
            false => self.change.1,
        };
        if self.size == 8 && entry >> 63 == 1 {
            let first = self.addr & !(NAPOT_COPIES * 8 - 1);
            first..first + NAPOT_COPIES * 8
        } else {
            self.addr..self.addr + u64::from(self.size)
        }
    }
}

/// Entries of the one NAPOT size that Svnapot has.
const NAPOT_COPIES: u64 = 16;

/// A table entry that a request's walk reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Of a device or process directory (else of a page table).
    pub directory: bool,
    /// User bits on `m_mem`: {MCID, RCID}.
    pub user: u32,
    /// What it is read as.
    pub label: Label,
    /// It is big-endian.
    pub big: bool,
    /// A read of the block has been attributed to it.
    pub done: bool,
}

/// Everything that may become of a request, and what may be read for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Legal {
    /// The outcomes; one unless tables or registers change meanwhile.
    pub verdicts: Vec<Verdict>,
    /// The entries that the walks of these outcomes read.
    pub loads: Vec<Load>,
    /// The A/D updates that these walks make.
    pub updates: Vec<Update>,
    /// What the walks that were asked about last have looked up in the may-hold sets, and whether they
    /// minded how old it is.
    looked: Looked,
    ordered: bool,
    /// Clock at which the last of the loads was added.
    pub(crate) grown: u64,
}

impl Legal {
    /// Empties it, keeping its room.
    pub fn clear(&mut self) {
        self.loads.clear();
        self.ask_again();
    }

    /// Before it is asked again: the entries that have been read for it stay.
    pub(crate) fn ask_again(&mut self) {
        self.verdicts.clear();
        self.updates.clear();
        self.looked.clear();
        self.ordered = false;
    }

    /// Notes whether there are more loads than there were.
    fn has_grown(&mut self, loads: usize, now: u64) {
        if self.loads.len() > loads {
            self.grown = now;
        }
    }

    /// Adds an outcome if it is new.
    pub fn add(&mut self, verdict: Verdict) {
        if !self.verdicts.contains(&verdict) {
            self.verdicts.push(verdict);
        }
    }

    /// Adds an entry that may be read, if it is new.
    pub fn add_load(&mut self, load: Load) {
        let same = |l: &Load| {
            l.addr == load.addr
                && l.len == load.len
                && l.user == load.user
                && l.label == load.label
                && l.big == load.big
        };
        if !self.loads.iter().any(same) {
            self.loads.push(load);
        }
    }

    /// Adds an A/D update if it is new.
    pub fn add_update(&mut self, update: Update) {
        if !self.updates.contains(&update) {
            self.updates.push(update);
        }
    }

    /// The records that these outcomes ask for.
    pub fn records(&self) -> impl Iterator<Item = &FaultRecord> {
        self.verdicts.iter().filter_map(Verdict::record)
    }

    /// Whether it may be answered without having been forwarded.
    #[must_use]
    pub fn may_deny(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| !matches!(v, Verdict::Grant { .. }))
    }

    /// Whether a page in MRIF mode may take it.
    #[must_use]
    pub fn may_be_mrif(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| matches!(v, Verdict::Mrif { .. }))
    }

    /// Whether it may be forwarded.
    #[must_use]
    pub fn may_grant(&self) -> bool {
        self.verdicts
            .iter()
            .any(|v| matches!(v, Verdict::Grant { .. }))
    }
}

/// Listens to a walk: what it reads and updates goes into a [`Legal`], and so does its outcome.
#[derive(Debug)]
pub(crate) struct Collect<'a> {
    iommu: &'a Iommu,
    out: &'a mut Legal,
    source: &'a Cell<Source>,
    /// User bits of accesses that the device context decides, once it is known, and whether
    /// its first stage is of 32 bits.
    user: u32,
    sxl: bool,
    /// Something was looked up. The last entry that was, if the block can only have read it.
    looked: bool,
    evidence: Option<(u64, u32)>,
    updated: bool,
}

/// {MCID, RCID} as on the user bits of `m_mem`.
fn mem_user((rcid, mcid): (u16, u16)) -> u32 {
    u32::from(rcid & 0xfff) | u32::from(mcid & 0xfff) << 12
}

impl<'a> Collect<'a> {
    /// For a walk of this IOMMU.
    pub(crate) fn new(iommu: &'a Iommu, out: &'a mut Legal, source: &'a Cell<Source>) -> Self {
        Self {
            iommu,
            out,
            source,
            user: 0,
            sxl: false,
            looked: false,
            evidence: None,
            updated: false,
        }
    }

    /// An entry of 4 bytes.
    fn is_half(&self, label: &Label) -> bool {
        match label {
            Label::FirstStage { .. } => self.sxl,
            Label::SecondStage { .. } => self.iommu.registers().gxl,
            _ => false,
        }
    }

    fn user_of(&self, label: &Label) -> u32 {
        match label {
            Label::DdtNonLeaf { .. } | Label::Dc { .. } => {
                mem_user(self.iommu.qos_ids(label, None))
            }
            _ => self.user,
        }
    }

    /// The walk is over: what became of it.
    pub(crate) fn verdict(self, outcome: Outcome) -> Verdict {
        let after_update = self.updated;
        match outcome {
            Outcome::Granted(t) => Verdict::Grant {
                spa: t.spa.0,
                user: u32::from(t.pbmt.code())
                    | u32::from(t.rcid & 0xfff) << 2
                    | u32::from(t.mcid & 0xfff) << 14,
                bare: !self.looked,
                evidence: self.evidence,
                after_update,
            },
            Outcome::Denied(d) => Verdict::Deny {
                record: d.record,
                cause: Some(d.cause.code()),
            },
            Outcome::Mrif(target) => Verdict::Mrif {
                target,
                after_update,
                late: false,
            },
            Outcome::Ats(completion) => Verdict::Ats {
                completion,
                after_update,
            },
        }
    }
}

impl Observer for Collect<'_> {
    fn on(&mut self, event: &WalkEvent<'_>) {
        match event {
            WalkEvent::Context(dc) => {
                self.user = mem_user(self.iommu.qos_ids(&Label::Mrif, Some(dc)));
                self.sxl = dc.sxl();
            }
            WalkEvent::Load { addr, label, value } => {
                let dc_size = self.iommu.config().capabilities.dc_size() as u32;
                let (len, directory) = entry(label, dc_size);
                let len = if self.is_half(label) { 4 } else { len };
                self.looked = true;
                let source = self.source.get();
                if !source.memory || !self.iommu.reachable(*addr, len.into()) {
                    self.evidence = None;
                    return;
                }
                self.out.add_load(Load {
                    addr: addr.0,
                    len,
                    directory,
                    user: self.user_of(label),
                    label: *label,
                    big: source.big,
                    done: false,
                });
                // N, in the byte order of the entry.
                let n = if source.big { 7 } else { 63 };
                let napot = matches!(label, Label::FirstStage { .. } | Label::SecondStage { .. })
                    && value.is_ok_and(|words| words.first().is_some_and(|w| w >> n & 1 == 1));
                // Any of the 16 equal entries of a NAPOT range will do.
                self.evidence = match source.known {
                    true => None,
                    false if napot => Some((addr.0 & !127, 128)),
                    false => Some((addr.0, len)),
                };
            }
            WalkEvent::Update {
                addr,
                label,
                change,
                done,
            } => {
                self.updated |= matches!(done, Ok(true));
                let update = Update {
                    addr: self.source.get().addr.unwrap_or(addr.0),
                    size: if self.is_half(label) { 4 } else { 8 },
                    change: *change,
                    user: self.user_of(label),
                    big: self.source.get().big,
                };
                self.out.add_update(update);
            }
            WalkEvent::Begin(_) | WalkEvent::Rule(_) => {}
        }
    }
}

/// What the block may hold, what memory held, and which invalidations have completed: what is
/// legal for a request follows from these (design section 5, docs/oracle.md).
#[derive(Debug)]
pub(crate) struct Oracle {
    /// Reads may bring words that nobody asked for.
    keeps_raw: bool,
    pub(crate) words: Words,
    held: MayHold,
    pub(crate) log: Log,
    raw: Raw,
    script: Script,
    memos: Memos,
}

/// An entry that a read on `m_mem` may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) label: Label,
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) big: bool,
}

impl Oracle {
    pub(crate) fn new(caps: Capabilities, keeps_raw: bool) -> Self {
        Self {
            keeps_raw,
            words: Words::default(),
            held: MayHold::new(caps),
            log: Log::default(),
            raw: Raw::default(),
            script: Script::default(),
            memos: Memos::default(),
        }
    }

    /// The block has set A or D bits of an entry, at clock `now`. For walks that set them
    /// themselves it counts as if they had been set before: what those grant is the same, and
    /// there is no need for 2^n histories of n updates.
    pub(crate) fn updated(&mut self, now: u64, update: &Update, mem: &SparseMemory) {
        self.words
            .update(update.addr >> 3, mem, now.saturating_sub(1));
        self.held.update(&update.copies(), update.change);
        self.memos.forget();
    }

    /// "Reset behavior": caches have no valid entries.
    pub(crate) fn reset(&mut self) {
        self.words.reset();
        self.held.reset();
        self.log.reset();
        self.raw.reset();
        self.memos.forget();
    }

    /// Registers that translation depends on have changed.
    pub(crate) fn registers_changed(&mut self) {
        self.memos.forget();
    }

    /// Whether the last words that memory has returned add to what is legal for this request.
    pub(crate) fn concerns(&self, legal: &Legal) -> bool {
        let news = &self.held.news;
        news.iter()
            .any(|n| n.concerns(&legal.looked, legal.ordered))
    }

    /// Memory has returned these doublewords (address, data), as it sampled them then, for
    /// whatever of `wanted` they hold. True if all open requests have to be asked about again;
    /// otherwise those that it [concerns](Self::concerns).
    pub(crate) fn returned(
        &mut self,
        sampled: u64,
        data: &[(u64, u64)],
        wanted: &[Wanted],
    ) -> bool {
        let word = |addr: u64| data.iter().find(|d| d.0 == addr & !7).map(|d| d.1);
        let mut everybody = false;
        self.held.news.clear();
        for w in wanted {
            // What memory still holds is no news for who reads it there.
            let last = (w.addr + u64::from(w.len.max(1)) - 1) >> 3;
            let past = self.words.behind()
                || (w.addr >> 3..=last)
                    .any(|at| !word(at << 3).is_some_and(|v| self.words.holds(at << 3, 8, v)));
            if w.len <= 4 {
                if let Some(v) = word(w.addr) {
                    let half = if w.addr & 4 == 0 {
                        v as u32
                    } else {
                        (v >> 32) as u32
                    };
                    everybody |= self.held.insert(
                        &w.label,
                        w.addr,
                        &[half.into()],
                        (w.big, true, past),
                        sampled,
                        &self.log,
                    );
                }
                continue;
            }
            let count = (w.len / 8) as usize;
            let mut words = [0; ENTRY_WORDS];
            let mut all = true;
            for (n, slot) in words.iter_mut().enumerate().take(count) {
                match word(w.addr + 8 * n as u64) {
                    Some(v) => *slot = v,
                    None => all = false,
                }
            }
            let mut whole = all.then_some((words, sampled));
            if !all {
                for n in 0..count {
                    if let Some(v) = word(w.addr + 8 * n as u64) {
                        let part = self.held.part(&w.label, (n, v), count, sampled);
                        whole = whole.or(part);
                    }
                }
            }
            if let Some((words, at)) = whole {
                everybody |= self.held.insert(
                    &w.label,
                    w.addr,
                    &words[..count.min(ENTRY_WORDS)],
                    (w.big, false, past),
                    at,
                    &self.log,
                );
            }
        }
        if self.keeps_raw {
            for &(addr, value) in data {
                let known = |w: &Wanted| w.addr & !7 <= addr && addr < w.addr + u64::from(w.len);
                if !wanted.iter().any(known) {
                    self.raw.add(addr >> 3, value, sampled);
                    everybody = true;
                }
            }
        }
        match everybody {
            true => self.memos.forget(),
            false => self.memos.forget_concerned(&self.held, &self.words),
        }
        everybody
    }

    /// [`Self::legal`] with the registers of now and no others: most often that is known.
    pub(crate) fn legal_now(
        &mut self,
        iommu: &Iommu,
        mem: &SparseMemory,
        query: &Query,
        now: u64,
        out: &mut Legal,
    ) -> bool {
        self.words.catch_up(mem);
        let loads = out.loads.len();
        if self.memos.answer(&self.words, mem, query, out) {
            out.has_grown(loads, now);
            return true;
        }
        let first = out.loads.is_empty() && out.verdicts.is_empty();
        let all = self.legal(iommu, mem, query, now, out);
        if all && first && self.script.is_single() {
            self.memos.remember(mem, query, now, out);
        }
        all
    }

    /// Before all choices of a question are gone through.
    fn begin(&mut self, mem: &SparseMemory) {
        self.words.catch_up(mem);
        self.script.clear();
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            words: &mut self.words,
            held: &mut self.held,
            raw: &self.raw,
            log: &self.log,
            script: &mut self.script,
        }
    }

    /// Adds to `out` everything that is legal for the request of `query` with these registers.
    /// False if that is more than can be tried.
    pub(crate) fn legal(
        &mut self,
        iommu: &Iommu,
        mem: &SparseMemory,
        query: &Query,
        now: u64,
        out: &mut Legal,
    ) -> bool {
        let add = |verdict, out: &mut Legal, _: &[Stale]| {
            out.add(verdict);
            false
        };
        let ordered = Query {
            ordered: true,
            ..*query
        };
        let loads = out.loads.len();
        let free = self.each(iommu, mem, query, now, out, BOUND_FREE, add);
        let all = free || self.each(iommu, mem, &ordered, now, out, BOUND, add);
        out.looked.join(&self.held.looked());
        out.ordered |= !free;
        out.has_grown(loads, now);
        all
    }

    /// The same for a message of a device, for which only its context is looked up: `ask` puts it to
    /// the model in `N` ways, `add` takes what came of them. False if that is more than can be tried.
    pub(crate) fn messages<T: Copy, const N: usize>(
        &mut self,
        (iommu, mem, query, now): (&Iommu, &SparseMemory, &Query, u64),
        out: &mut Legal,
        mut ask: impl FnMut(usize, &mut View<'_>, &mut Collect<'_>) -> T,
        mut add: impl FnMut([T; N]),
    ) -> bool {
        self.begin(mem);
        let source = Cell::default();
        let (mut all, loads) = (false, out.loads.len());
        for _ in 0..BOUND {
            let mut lost = (false, false);
            // Each of them makes the same choices.
            let answers = std::array::from_fn(|n| {
                let mut view = View::new(self.parts(), iommu, mem, query, now, &source);
                view.way = n;
                let answer = ask(n, &mut view, &mut Collect::new(iommu, out, &source));
                lost = (lost.0 | view.overflow, lost.1 | view.dead);
                answer
            });
            if lost.0 {
                break;
            }
            if !lost.1 {
                add(answers);
            }
            if !self.script.advance() {
                all = true;
                break;
            }
        }
        out.looked.join(&self.held.looked());
        out.has_grown(loads, now);
        all
    }

    /// What would have to be held for the outcome that `fits`, if anything that ever was.
    pub(crate) fn explain(
        &mut self,
        iommu: &Iommu,
        mem: &SparseMemory,
        query: &Query,
        now: u64,
        fits: impl Fn(&Verdict) -> bool,
    ) -> Option<Vec<Stale>> {
        let query = Query {
            lax: true,
            ..*query
        };
        let mut found = None;
        let mut scratch = Legal::default();
        self.each(
            iommu,
            mem,
            &query,
            now,
            &mut scratch,
            BOUND / 10,
            |verdict, _, stale| {
                let fits = fits(&verdict);
                if fits {
                    found = Some(stale.to_vec());
                }
                fits
            },
        );
        // What it has looked up is nobody's.
        self.held.looked();
        found
    }

    /// Goes through the walks; until `stop` says so.
    #[allow(clippy::too_many_arguments)] // two callers, both above
    fn each(
        &mut self,
        iommu: &Iommu,
        mem: &SparseMemory,
        query: &Query,
        now: u64,
        out: &mut Legal,
        bound: u32,
        mut stop: impl FnMut(Verdict, &mut Legal, &[Stale]) -> bool,
    ) -> bool {
        self.begin(mem);
        let source = Cell::default();
        for _ in 0..bound {
            let mut view = View::new(self.parts(), iommu, mem, query, now, &source);
            let mut collect = Collect::new(iommu, out, &source);
            let outcome = iommu.translate(&mut view, &query.request, &mut collect);
            let mut verdict = collect.verdict(outcome);
            if view.overflow {
                return false;
            }
            if let Verdict::Mrif { late, .. } = &mut verdict {
                *late = view.no_grant;
            }
            let granted = matches!(verdict, Verdict::Grant { .. });
            let counts = !(view.dead || (view.no_grant && granted));
            if counts && stop(verdict, out, &view.stale) {
                return true;
            }
            if !self.script.advance() {
                return true;
            }
        }
        false
    }

    /// The history behind entries that should not have been used, oldest first.
    pub(crate) fn history(&self, stale: &[Stale]) -> String {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for s in stale {
            let what = s
                .what
                .map_or_else(|| format!("{:?}", s.label), |what| format!("{what:?}"));
            let (addr, word) = (s.addr, s.word);
            lines.push((
                s.seen,
                if s.held {
                    format!("memory gave the block {word:#x} at {addr:#x}: {what}")
                } else {
                    format!("last clock with {word:#x} at {addr:#x}: {what}")
                },
            ));
            if let Some(e) = self.words.edit(s.addr >> 3) {
                let (before, after) = (e.before, e.after);
                let at = addr & !7;
                lines.push((
                    e.until,
                    format!("store: {before:#x} at {at:#x} becomes {after:#x}"),
                ));
            }
            if let Some(i) = s.killer.and_then(|n| self.log.get(n)) {
                lines.push((
                    i.fetched,
                    format!("fetched {:?}, which reaches it", i.command),
                ));
                for (at, how) in [
                    (i.done, ""),
                    (i.reads, ", which orders reads"),
                    (i.writes, ", which orders writes"),
                ] {
                    if let Some(at) = at {
                        let text = format!("a fence after that was seen to have completed{how}");
                        lines.push((at, text));
                    }
                }
            }
        }
        lines.sort();
        lines.dedup();
        let lines: Vec<String> = lines.iter().map(|(at, l)| format!("{at} {l}")).collect();
        lines.join("\n")
    }
}

/// Bytes of an entry, and whether it belongs to a directory.
fn entry(label: &Label, dc_size: u32) -> (u32, bool) {
    match label {
        Label::Dc { .. } => (dc_size, true),
        Label::DdtNonLeaf { .. } | Label::PdtNonLeaf { .. } => (8, true),
        Label::Pc { .. } => (16, true),
        Label::MsiPte { .. } => (16, false),
        _ => (8, false),
    }
}
