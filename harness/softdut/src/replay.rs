//! A translation as a computation that can stop: the golden model runs from the start each time,
//! its loads are answered from the log of what this walk has chosen so far, and the first load
//! beyond the log is answered from the cache or becomes a read.

use std::cell::Cell;

use iommu_golden::invalidate::Entry;
use iommu_golden::{
    DeviceContext, Holder, Label, MemError, Memory, Observer, Spa, Walk as Begin, WalkEvent,
};

use crate::bug::Bug;
use crate::cache::{Cache, Held, level_of};
use crate::habit::{Habits, Rng};

/// An answered access of a walk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) words: [u64; 8],
    pub(crate) result: Result<(), MemError>,
    /// What may be held of it: what a command must reach for this walk to be overtaken.
    pub(crate) entries: [Option<Entry>; 2],
    pub(crate) from: From,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Memory, for this walk.
    Memory,
    /// The cache.
    Cache,
    /// A leaf that is held stands for the entries above it.
    Skipped,
}

/// A walk: what it has been answered, and what it has overtaken it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    pub(crate) log: Vec<Step>,
    /// A command has reached something that this walk used: nothing it reads is held any more.
    pub(crate) overtaken: bool,
    /// Leaves are not used without walking to them.
    pub(crate) no_skip: bool,
    /// The next load of the entry at this address goes to memory, and joins no other; its second stage
    /// comes first, where there is one.
    pub(crate) fresh: Option<u64>,
    /// Clock of the request, or of its last start.
    pub(crate) begin: u64,
    /// User bits of what it needs next.
    pub(crate) user: u32,
    /// The last first-stage leaf that memory gave: where it is, and what it was.
    pub(crate) leaf: Option<(Need, u64)>,
    /// Raised at each start: answers to earlier reads are not for this one.
    pub(crate) start: u32,
}

impl Walk {
    pub(crate) fn new(begin: u64) -> Self {
        Self {
            begin,
            ..Self::default()
        }
    }

    /// Starts again with nothing.
    pub(crate) fn restart(&mut self, now: u64) {
        *self = Self {
            log: std::mem::take(&mut self.log),
            no_skip: self.no_skip,
            begin: now,
            start: self.start.wrapping_add(1),
            ..Self::default()
        };
        self.log.clear();
    }
}

/// What a walk needs from memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// A read of `bytes`.
    Read {
        addr: u64,
        bytes: u8,
        label: Label,
        big: bool,
        combined: bool,
    },
    /// A compare-and-swap.
    Swap {
        addr: u64,
        bytes: u8,
        expected: u64,
        new: u64,
        label: Label,
        big: bool,
    },
    /// Nothing: it must run again without skipping.
    Again,
}

/// What the golden model tells while it walks.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) dc: Cell<Option<DeviceContext>>,
    /// Accesses answered by memory since the last walk began, and the walks that had any.
    kind: Cell<Option<Begin>>,
    pub(crate) walks: Cell<[u32; 4]>,
    fresh: Cell<bool>,
}

impl Observer for &Told {
    fn on(&mut self, event: &WalkEvent<'_>) {
        match event {
            WalkEvent::Context(dc) => self.dc.set(Some(**dc)),
            WalkEvent::Begin(kind) => self.kind.set(Some(*kind)),
            WalkEvent::Load { .. } if self.fresh.take() => {
                if let Some(kind) = self.kind.take() {
                    let mut walks = self.walks.get();
                    walks[kind as usize] += 1;
                    self.walks.set(walks);
                }
            }
            _ => {}
        }
    }
}

/// Memory as a walk sees it.
pub(crate) struct View<'a> {
    pub(crate) walk: &'a mut Walk,
    pub(crate) cache: &'a Cache,
    pub(crate) rng: &'a mut Rng,
    pub(crate) habits: &'a Habits,
    pub(crate) bug: Option<Bug>,
    pub(crate) told: &'a Told,
    /// `fctl.BE`.
    pub(crate) big: bool,
    /// The address that is translated, and what for.
    pub(crate) iova: u64,
    pub(crate) write: bool,
    pub(crate) ats: bool,
    pub(crate) need: Option<Need>,
    pos: usize,
    /// The leaf that a walk of a directory or of the first stage skips to.
    goal: Option<Held>,
    /// The same of the second stage.
    second: Option<Held>,
    /// PC.ta as read.
    pc: u64,
    /// The last first-stage entry was a leaf.
    ends: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        walk: &'a mut Walk,
        cache: &'a Cache,
        rng: &'a mut Rng,
        habits: &'a Habits,
        told: &'a Told,
    ) -> Self {
        Self {
            walk,
            cache,
            rng,
            habits,
            bug: None,
            told,
            big: false,
            iova: 0,
            write: false,
            ats: false,
            need: None,
            pos: 0,
            goal: None,
            second: None,
            pc: 0,
            ends: false,
        }
    }

    /// Byte order of what a label reads.
    fn order(&self, label: &Label) -> bool {
        match label {
            Label::FirstStage { .. } | Label::PdtNonLeaf { .. } | Label::Pc { .. } => {
                self.told.dc.get().is_some_and(|dc| dc.sbe())
            }
            _ => self.big,
        }
    }

    /// What follows from an answer, whether it is new or from the log.
    fn after(&mut self, label: &Label, step: &Step) {
        let value = resolved(step.words[0], 8, self.order(label));
        match label {
            Label::Pc { .. } => self.pc = value,
            Label::FirstStage { .. } => {
                self.ends = step.words[0] != 0
                    && matches!(step.entries[0], Some(Entry::FirstStage { leaf: true, .. }));
            }
            _ => {}
        }
        self.told.fresh.set(step.from == From::Memory);
    }

    fn push(&mut self, label: &Label, step: Step) {
        self.walk.log.push(step);
        self.pos += 1;
        self.after(label, &step);
    }

    /// The answer to a load, if it has one.
    fn answer(&mut self, addr: u64, bytes: u8, label: &Label) -> Option<Step> {
        if self.need.is_some() {
            return None;
        }
        if let Some(step) = self.walk.log.get(self.pos).copied() {
            self.pos += 1;
            self.after(label, &step);
            // Where the log is in the middle of a skip, nothing has to be remembered: a skip
            // is decided and done in one run.
            return Some(step);
        }
        let step = self.choose(addr, bytes, label)?;
        self.push(label, step);
        Some(step)
    }

    fn choose(&mut self, addr: u64, bytes: u8, label: &Label) -> Option<Step> {
        if let Some(held) = self.goal {
            return self.skip(held, bytes, label);
        }
        if let Some(held) = self.second {
            if level_of(label) == held.level {
                self.second = None;
                return Some(self.held(&held, label));
            }
            return Some(self.stand_in(label, bytes, false));
        }
        if self.walk.fresh != Some(addr)
            && self.rng.percent(self.habits.use_cached)
            && let Some(step) = self.choose_held(bytes, label)
        {
            return Some(step);
        }
        self.need = Some(Need::Read {
            addr,
            bytes,
            label: *label,
            big: self.order(label),
            combined: self.ends && matches!(label, Label::SecondStage { .. }),
        });
        None
    }

    /// A held entry, or the decision to skip to one.
    fn choose_held(&mut self, bytes: u8, label: &Label) -> Option<Step> {
        let may_skip = !self.walk.no_skip && self.rng.percent(self.habits.skip);
        let mut fits = Vec::new();
        if may_skip {
            self.roots(label, &mut fits);
            fits.retain(|h| self.can_be_skipped_to(h));
            if !fits.is_empty() {
                let n = self.rng.below(fits.len());
                self.goal = Some(fits[n]);
                return Some(self.stand_in(label, bytes, false));
            }
        }
        self.cache.at(label, bytes, &mut fits);
        if may_skip {
            let here = fits.len();
            self.cache.below(label, bytes, &mut fits);
            let mut n = 0;
            fits.retain(|h| {
                n += 1;
                n <= here || self.can_be_skipped_to(h)
            });
        }
        // A legal device holds none with V=0; byte orders may have changed since.
        if self.bug != Some(Bug::InvalidCached) {
            let big = self.order(label);
            fits.retain(|h| resolved(h.words[0], h.bytes, big) & 1 == 1);
        }
        if fits.is_empty() {
            return None;
        }
        let n = self.rng.below(fits.len());
        let held = fits[n];
        let here = match held.entry {
            Entry::FirstStage { .. } | Entry::SecondStage { .. } | Entry::Pointer(_) => {
                held.level == level_of(label)
            }
            Entry::Dc { .. } => matches!(label, Label::Dc { .. }),
            Entry::Pc { .. } => matches!(label, Label::Pc { .. }),
            _ => true,
        };
        if here {
            return Some(self.held(&held, label));
        }
        match label {
            Label::SecondStage { .. } => self.second = Some(held),
            _ => self.goal = Some(held),
        }
        let global = matches!(held.entry, Entry::FirstStage { global: true, .. });
        Some(self.stand_in(label, bytes, global))
    }

    /// Whether a walk may end at this entry without having been at those above it: not where its A or
    /// D bit may have to be set first, for which the guest's address of the entry is translated.
    fn can_be_skipped_to(&self, held: &Held) -> bool {
        let Entry::FirstStage { .. } = held.entry else {
            return true;
        };
        let Some(dc) = self.told.dc.get() else {
            return true;
        };
        let value = resolved(held.words[0], held.bytes, dc.sbe());
        !dc.sade() || value & 0xc0 == 0xc0
    }

    /// Before the guest pointer to a directory or a root table is translated: what lies behind
    /// it may be held.
    fn roots(&self, label: &Label, to: &mut Vec<Held>) {
        let Label::SecondStage {
            gscid,
            pdt_of,
            holder: Some(holder),
            ..
        } = *label
        else {
            return;
        };
        match (pdt_of, holder) {
            (Some((device_id, process_id)), Holder::Dc { .. }) => {
                self.cache.contexts(device_id, process_id, to);
            }
            (None, Holder::Dc { .. } | Holder::Pc { .. }) => {
                let Some(dc) = self.told.dc.get() else { return };
                let pscid = match holder {
                    Holder::Pc { .. } => (self.pc >> 12 & 0xf_ffff) as u32,
                    _ => dc.pscid(),
                };
                let bytes = if dc.sxl() { 4 } else { 8 };
                let bits = if dc.sxl() { 10 } else { 9 };
                // Below any root: the leaves that a walk from one level up would meet.
                let level = if dc.sxl() { 1 } else { 2 };
                let label = Label::FirstStage {
                    gscid: Some(gscid),
                    pscid,
                    iova: iommu_golden::Iova(self.iova),
                    level,
                    range_log2: 12 + bits * level,
                    global: false,
                };
                self.cache.below(&label, bytes, to);
            }
            _ => {}
        }
    }

    /// On the way to a held leaf.
    fn skip(&mut self, held: Held, bytes: u8, label: &Label) -> Option<Step> {
        let arrived = match (label, held.entry) {
            (Label::Dc { .. }, Entry::Dc { .. }) | (Label::Pc { .. }, Entry::Pc { .. }) => true,
            (Label::DdtNonLeaf { .. }, Entry::Dc { .. })
            | (Label::PdtNonLeaf { .. }, Entry::Pc { .. }) => false,
            (Label::FirstStage { level, .. }, Entry::FirstStage { .. }) if bytes == held.bytes => {
                if *level < held.level {
                    return self.again();
                }
                *level == held.level
            }
            // The address of an entry that nobody reads.
            (Label::SecondStage { .. }, Entry::Pc { .. } | Entry::FirstStage { .. }) => false,
            _ => return self.again(),
        };
        if arrived {
            self.goal = None;
            return Some(self.held(&held, label));
        }
        let global = matches!(held.entry, Entry::FirstStage { global: true, .. });
        Some(self.stand_in(label, bytes, global))
    }

    /// Skipping does not work here.
    fn again(&mut self) -> Option<Step> {
        self.need = Some(Need::Again);
        None
    }

    /// An entry that stands for one which is not looked at.
    fn stand_in(&self, label: &Label, bytes: u8, global: bool) -> Step {
        let first = matches!(label, Label::FirstStage { .. });
        let value = if matches!(label, Label::SecondStage { level: 0, .. }) {
            0xdf // V R W X U A D
        } else {
            1 | u64::from(first && global) << 5
        };
        let mut words = [0; 8];
        words[0] = resolved(value, bytes, self.order(label));
        Step {
            words,
            result: Ok(()),
            entries: [None; 2],
            from: From::Skipped,
        }
    }

    fn held(&self, held: &Held, label: &Label) -> Step {
        let mut words = held.words;
        let big = self.order(label);
        let mut value = resolved(words[0], held.bytes, big);
        if matches!(label, Label::FirstStage { .. } | Label::SecondStage { .. }) && held.leaf() {
            match self.bug {
                Some(Bug::HeldLeafWritable) if value & 2 != 0 => value |= 0x84,
                Some(Bug::HeldLeafUser) => value |= 0x10,
                Some(Bug::HeldTypeLost) => value &= !(3 << 61),
                Some(Bug::DirtyForgotten) => value |= 0x80,
                Some(Bug::HeldLeafExecutable) if value & 2 != 0 => value |= 8,
                Some(Bug::HeldLeafReadable) => value |= 2,
                Some(Bug::HeldGuestWritable)
                    if value & 2 != 0 && matches!(label, Label::SecondStage { .. }) =>
                {
                    value |= 0x84;
                }
                Some(Bug::HeldNapotFirst) => value &= !(1 << 63),
                _ => {}
            }
        }
        words[0] = resolved(value, held.bytes, big);
        Step {
            words,
            result: Ok(()),
            entries: [Some(held.entry), None],
            from: From::Cache,
        }
    }
}

/// Swaps an entry that is big-endian.
pub(crate) fn resolved(value: u64, bytes: u8, big: bool) -> u64 {
    match (big, bytes) {
        (false, _) => value,
        (true, 4) => (value as u32).swap_bytes().into(),
        (true, _) => value.swap_bytes(),
    }
}

impl Memory for View<'_> {
    fn load(&mut self, addr: Spa, size: u8, label: &Label) -> Result<u64, MemError> {
        match self.answer(addr.0, size, label) {
            Some(step) => step
                .result
                .map(|()| self.as_seen(label, size, step.words[0])),
            None => Err(MemError::Access),
        }
    }

    fn load_entry(&mut self, addr: Spa, words: &mut [u64], label: &Label) -> Result<(), MemError> {
        let bytes = (words.len() * 8).min(64) as u8;
        match self.answer(addr.0, bytes, label) {
            Some(step) => {
                for (to, from) in words.iter_mut().zip(step.words) {
                    *to = from;
                }
                if matches!(label, Label::Dc { .. }) {
                    words[0] = self.context_as_seen(words[0]);
                }
                step.result
            }
            None => Err(MemError::Access),
        }
    }

    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        // No walk stores.
        Err(MemError::Access)
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        expected: u64,
        new: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        if self.need.is_some() {
            return Err(MemError::Access);
        }
        if let Some(step) = self.walk.log.get(self.pos).copied() {
            self.pos += 1;
            self.told.fresh.set(false);
            return step.result.map(|()| step.words[0]);
        }
        // Where the entry is in memory is known only to a walk that went there.
        self.need = Some(if self.skipped_to_here() {
            Need::Again
        } else {
            Need::Swap {
                addr: addr.0,
                bytes: size,
                expected,
                new: self.updated(label, size, expected, new),
                label: *label,
                big: self.order(label),
            }
        });
        Err(MemError::Access)
    }

    fn fetch_or(&mut self, _: Spa, _: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        Err(MemError::Access)
    }
}

impl View<'_> {
    /// The entry that an update stores: what it should be, but for the bug.
    fn updated(&self, label: &Label, bytes: u8, expected: u64, new: u64) -> u64 {
        const DIRTY: u64 = 0x80;
        let big = self.order(label);
        let (was, mut is) = (resolved(expected, bytes, big), resolved(new, bytes, big));
        match self.bug {
            Some(Bug::UpdateWithoutDirty) if (was ^ is) & DIRTY != 0 => is &= !DIRTY,
            Some(Bug::ReadSetsDirty) if !self.write && !self.ats => is |= DIRTY,
            _ => {}
        }
        resolved(is, bytes, big)
    }

    /// A page-table entry as this device sees it.
    fn as_seen(&self, label: &Label, bytes: u8, word: u64) -> u64 {
        if self.bug != Some(Bug::AtsDirtyIgnored) || !self.ats {
            return word;
        }
        let big = self.order(label);
        let value = resolved(word, bytes, big);
        let table = matches!(label, Label::FirstStage { .. } | Label::SecondStage { .. });
        let writable = table && value & 7 == 7;
        resolved(value | if writable { 0x80 } else { 0 }, bytes, big)
    }

    /// The first word of a device context as this device sees it.
    fn context_as_seen(&self, word: u64) -> u64 {
        const EN_PRI: u64 = 1 << 2;
        const T2GPA: u64 = 1 << 3;
        const DTF: u64 = 1 << 4;
        const PRPR: u64 = 1 << 6;
        const GADE: u64 = 1 << 7;
        const SADE: u64 = 1 << 8;
        let mut tc = resolved(word, 8, self.big);
        match self.bug {
            Some(Bug::T2gpaIgnored) if self.ats => tc &= !T2GPA,
            Some(Bug::DtfIgnoredByAts) if self.ats => tc &= !DTF,
            Some(Bug::PrprInverted) if tc & EN_PRI != 0 => tc ^= PRPR,
            Some(Bug::SadeIsGade) => tc = tc & !SADE | (tc & GADE) << 1,
            Some(Bug::GadeIsSade) => tc = tc & !GADE | (tc & SADE) >> 1,
            _ => {}
        }
        resolved(tc, 8, self.big)
    }

    /// Whether any entry of this walk was skipped.
    fn skipped_to_here(&self) -> bool {
        self.walk.log.iter().any(|s| s.from == From::Skipped)
    }
}
