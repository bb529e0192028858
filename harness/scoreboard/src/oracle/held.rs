//! May-hold sets: the entries with V=1 that memory has returned to the block, by what a cache
//! may tag them with.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;

use iommu_golden::invalidate::{Entry, NAPOT_LOG2, describe};
use iommu_golden::{Capabilities, Holder, Label};

use super::commands::Log;
use crate::ports::WordHasher;

/// Doublewords of the largest entry, a device context in extended format.
pub(crate) const ENTRY_WORDS: usize = 8;

/// The words of an entry, as in memory (read as little-endian).
pub(crate) type EntryWords = [u64; ENTRY_WORDS];

/// Where a cache looks for an entry: its tags, without the address that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tag: u64,
    at: u64,
}

/// Any `PSCID`: where global mappings are kept.
const ANY_PSCID: u64 = 1 << 20;

impl Key {
    fn directory(kind: u64, level: u8, device_id: u64, at: u64) -> Self {
        Self {
            tag: kind | u64::from(level) << 4 | device_id << 8,
            at,
        }
    }

    fn first(gscid: Option<u16>, pscid: u64, iova: u64, log2: u8) -> Self {
        let space = gscid.map_or(1 << 16, u64::from);
        Self {
            tag: 5 | u64::from(log2) << 4 | space << 11 | pscid << 28,
            at: shift(iova, log2),
        }
    }

    fn second(gscid: u16, gpa: u64, log2: u8) -> Self {
        Self {
            tag: 6 | u64::from(log2) << 4 | u64::from(gscid) << 11,
            at: shift(gpa, log2),
        }
    }

    fn pointer(holder: Holder, gpa: u64, log2: u8) -> Self {
        let (kind, device, process) = match holder {
            Holder::Dc { device_id } => (0, device_id, 0),
            Holder::PdtNonLeaf { device_id } => (1, device_id, 0),
            Holder::Pc {
                device_id,
                process_id,
            } => (2, device_id, process_id),
        };
        Self {
            tag: 7
                | u64::from(log2) << 4
                | kind << 11
                | u64::from(device & 0xff_ffff) << 13
                | u64::from(process & 0xf_ffff) << 37,
            at: shift(gpa, log2),
        }
    }

    /// The keys under which a cache may find an entry for this load, at most six.
    pub(crate) fn of_load(caps: Capabilities, label: &Label, each: &mut impl FnMut(Key)) {
        match *label {
            Label::DdtNonLeaf { device_id, level } => {
                let leaf = if caps.has(Capabilities::MSI_FLAT) {
                    6
                } else {
                    7
                };
                let low = leaf + 9 * u32::from(level.clamp(1, 2) - 1);
                each(Self::directory(1, level, 0, u64::from(device_id >> low)));
            }
            Label::Dc { device_id } => each(Self::directory(2, 0, 0, device_id.into())),
            Label::PdtNonLeaf {
                device_id,
                process_id,
                level,
            } => {
                let low = if level >= 2 { 17 } else { 8 };
                let at = u64::from(process_id >> low);
                each(Self::directory(3, level, device_id.into(), at));
            }
            Label::Pc {
                device_id,
                process_id,
            } => each(Self::directory(4, 0, device_id.into(), process_id.into())),
            Label::FirstStage {
                gscid,
                pscid,
                iova,
                level,
                range_log2,
                ..
            } => {
                let mut sizes = |log2| {
                    each(Self::first(gscid, pscid.into(), iova.0, log2));
                    each(Self::first(gscid, ANY_PSCID, iova.0, log2));
                };
                sizes(range_log2);
                if level == 0 && range_log2 == 12 {
                    sizes(NAPOT_LOG2);
                }
            }
            Label::SecondStage {
                gscid,
                gpa,
                level,
                range_log2,
                holder,
                ..
            } => {
                let mut sizes = |log2| {
                    each(Self::second(gscid, gpa.0, log2));
                    if let Some(holder) = holder {
                        each(Self::pointer(holder, gpa.0, log2));
                    }
                };
                sizes(range_log2);
                if level == 0 && range_log2 == 12 {
                    sizes(NAPOT_LOG2);
                }
            }
            Label::MsiPte { gscid, gpa } => each(Self {
                tag: 8 | u64::from(gscid.map_or(1 << 16, u32::from)) << 11,
                at: gpa.0 >> 12,
            }),
            _ => {}
        }
    }

    /// Where an entry that was read under `label` is kept.
    fn of_entry(caps: Capabilities, label: &Label, entry: &Entry) -> Option<Self> {
        match *entry {
            Entry::FirstStage {
                gscid,
                pscid,
                global,
                range,
                ..
            } => {
                let pscid = if global { ANY_PSCID } else { pscid.into() };
                Some(Self::first(gscid, pscid, range.base, range.log2))
            }
            Entry::SecondStage { gscid, range, .. } => {
                Some(Self::second(gscid, range.base, range.log2))
            }
            Entry::Pointer(holder) => match *label {
                Label::SecondStage {
                    gpa, range_log2, ..
                } => Some(Self::pointer(holder, gpa.0, range_log2)),
                _ => None,
            },
            _ => {
                let mut key = None;
                Self::of_load(caps, label, &mut |k| key = Some(k));
                key
            }
        }
    }
}

/// What the walks of a request have looked up, and reading from where: hashes of the keys, in order,
/// and of the addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Looked(Vec<(u16, u32)>);

/// Hashes of keys.
const LOOKED: usize = 1024;
/// Nothing with this hash was looked up.
const NOTHING: u32 = 0;
/// Something was looked up whose address is not known, or several things.
const SEVERAL: u32 = 1;

impl Looked {
    fn slot(key: Key) -> u16 {
        let mut hasher = WordHasher::default();
        key.hash(&mut hasher);
        (hasher.finish() as usize % LOOKED) as u16
    }

    fn place(addr: Option<u64>) -> u32 {
        // Entries are aligned to 4 bytes, and lie below 2^56. The first two numbers are taken.
        addr.map_or(SEVERAL, |a| {
            ((a >> 2 ^ a >> 34) as u32).wrapping_add(2).max(2)
        })
    }

    fn put(slot: &mut u32, place: u32) {
        *slot = match *slot {
            NOTHING => place,
            known if known == place || place == NOTHING => known,
            _ => SEVERAL,
        };
    }

    /// Empties it, keeping its room.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn join(&mut self, other: &Looked) {
        if self.0.is_empty() {
            self.0.extend_from_slice(&other.0);
            return;
        }
        for &(slot, place) in &other.0 {
            match self.0.binary_search_by_key(&slot, |s| s.0) {
                Ok(n) => Self::put(&mut self.0[n].1, place),
                Err(n) => self.0.insert(n, (slot, place)),
            }
        }
    }

    fn get(&self, key: Key) -> u32 {
        let slot = Self::slot(key);
        let found = self.0.binary_search_by_key(&slot, |s| s.0);
        found.map_or(NOTHING, |n| self.0[n].1)
    }
}

/// A [`Looked`] that is being made: by hash of the key, and which of these are taken.
#[derive(Debug)]
struct Looking {
    places: [u32; LOOKED],
    slots: Vec<u16>,
}

impl Default for Looking {
    fn default() -> Self {
        Self {
            places: [NOTHING; LOOKED],
            slots: Vec::new(),
        }
    }
}

impl Looking {
    fn add(&mut self, key: Key, addr: Option<u64>) {
        let slot = Looked::slot(key);
        let place = &mut self.places[usize::from(slot)];
        if *place == NOTHING {
            self.slots.push(slot);
        }
        Looked::put(place, Looked::place(addr));
    }

    /// Everything since the last time.
    fn take(&mut self) -> Looked {
        self.slots.sort_unstable();
        let take = |slot| {
            let place = &mut self.places[usize::from(slot)];
            (slot, std::mem::take(place))
        };
        Looked(self.slots.drain(..).map(take).collect())
    }
}

/// An entry that has come into a set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct News {
    key: Key,
    addr: u64,
    /// It is a choice also for who reads at its place in memory: that holds something else by now,
    /// or is read in the other byte order.
    choice: bool,
    /// It was there before, and no completed invalidation reaches it: it is younger now, no more.
    renewed: bool,
}

impl News {
    /// Whether walks that have looked this up would find it now, and have not found it before.
    pub(crate) fn is_in(&self, looked: &Looked) -> bool {
        !self.renewed && looked.get(self.key) != NOTHING
    }

    /// Whether it adds a choice to these walks: not where all of them read it from memory, nor where
    /// they have found it before, unless they have minded how old it is (`ordered`).
    pub(crate) fn concerns(&self, looked: &Looked, ordered: bool) -> bool {
        if self.renewed && !ordered {
            return false;
        }
        match looked.get(self.key) {
            NOTHING => false,
            place => self.choice || place != Looked::place(Some(self.addr)),
        }
    }
}

fn shift(address: u64, log2: u8) -> u64 {
    address.checked_shr(log2.into()).unwrap_or(0)
}

/// An entry that the block may hold.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) words: EntryWords,
    pub(crate) count: usize,
    /// Its structure is big-endian.
    pub(crate) big: bool,
    pub(crate) what: Entry,
    /// Where it was read.
    pub(crate) addr: u64,
    /// Clock at which memory sampled it last.
    pub(crate) sampled: u64,
    /// The block has set A or D bits in it since.
    pub(crate) updated: bool,
    /// The first completed invalidation that reaches it, and how far the log was searched.
    killer: Option<usize>,
    searched: usize,
}

/// Whether a request may be served from an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// It may.
    Yes,
    /// It may be refused by it, but not granted: a fence has ordered what was granted.
    NoGrant,
    /// An invalidation had removed it before the request came.
    No,
}

impl Held {
    /// The first completed invalidation that has removed some of it.
    fn touched(&mut self, log: &Log) -> Option<usize> {
        if self.killer.is_none() {
            (self.killer, self.searched) = log.reaching(&self.what, self.sampled, self.searched);
        }
        self.killer
    }

    /// The completed invalidation that has removed what serves this load.
    pub(crate) fn killer(&mut self, log: &Log, label: &Label) -> Option<usize> {
        let touched = self.touched(log)?;
        let part = self.what.serving(label);
        if part == self.what {
            return Some(touched);
        }
        log.reaching(&part, self.sampled, touched).0
    }

    /// Whether all of it has been removed.
    fn gone(&mut self, log: &Log) -> bool {
        let (what, sampled) = (self.what, self.sampled);
        match (self.touched(log), what.pages()) {
            (None, _) => false,
            (Some(first), Some(mut pages)) => {
                pages.all(|p| log.reaching(&p, sampled, first).0.is_some())
            }
            (Some(_), None) => true,
        }
    }

    /// Whether it may serve this load of a read (or write) that was accepted then.
    pub(crate) fn serves(&mut self, log: &Log, label: &Label, accepted: u64, write: bool) -> Use {
        let Some(inval) = self.killer(log, label).and_then(|n| log.get(n)) else {
            return Use::Yes;
        };
        if inval.done.is_some_and(|at| accepted >= at) {
            Use::No
        } else if inval.ordered(write).is_some() {
            Use::NoGrant
        } else {
            Use::Yes
        }
    }
}

/// Every entry that the block may hold.
#[derive(Debug)]
pub(crate) struct MayHold {
    caps: Capabilities,
    sets: HashMap<Key, Vec<Held>, BuildHasherDefault<WordHasher>>,
    /// Entries of which not all words have come in one burst.
    parts: HashMap<Key, (EntryWords, u8, u64), BuildHasherDefault<WordHasher>>,
    /// Values of SBE in the device contexts that were read: bits 0 and 1.
    orders: u8,
    looking: Looking,
    /// What came in since this was emptied.
    pub(crate) news: Vec<News>,
}

/// Entries kept of a set whose invalidation has completed, for the story of a failure.
const REMEMBERED: usize = 16;

impl MayHold {
    pub(crate) fn new(caps: Capabilities) -> Self {
        Self {
            caps,
            sets: HashMap::default(),
            parts: HashMap::default(),
            orders: 0,
            looking: Looking::default(),
            news: Vec::new(),
        }
    }

    pub(crate) fn reset(&mut self) {
        self.sets.clear();
        self.parts.clear();
        self.orders = 0;
    }

    /// The block has set A or D bits of an entry, which counts for all that stands in `copies`.
    pub(crate) fn update(&mut self, copies: &Range<u64>, change: (u64, u64)) {
        for set in self.sets.values_mut() {
            for n in 0..set.len() {
                let held = &mut set[n];
                if held.count != 1 || held.words[0] != change.0 || !copies.contains(&held.addr) {
                    continue;
                }
                let mut after = held.clone();
                after.words[0] = change.1;
                after.updated = false;
                held.updated = true;
                // The update of another copy may have made the same of it before.
                let same = |h: &&mut Held| {
                    h.words == after.words && h.big == after.big && h.what == after.what
                };
                match set.iter_mut().find(same) {
                    Some(h) if h.sampled > after.sampled => {}
                    Some(h) => *h = after,
                    None => set.push(after),
                }
            }
        }
    }

    /// The keys that were looked up since the last time.
    pub(crate) fn looked(&mut self) -> Looked {
        self.looking.take()
    }

    /// The set of a key, looked up for a walk that reads the entry here, if it knows where.
    pub(crate) fn set(&mut self, key: Key, addr: Option<u64>) -> &mut [Held] {
        self.looking.add(key, addr);
        self.sets
            .get_mut(&key)
            .map_or(&mut [][..], Vec::as_mut_slice)
    }

    /// Memory returned a whole entry, which goes into [`Self::news`]; `past` says that it does not
    /// hold these words any more. True if it changes how all entries may be read.
    pub(crate) fn insert(
        &mut self,
        label: &Label,
        addr: u64,
        words: &[u64],
        (big, half, past): (bool, bool, bool),
        sampled: u64,
        log: &Log,
    ) -> bool {
        let caps = self.caps;
        let count = words.len().min(ENTRY_WORDS);
        let mut kept = [0; ENTRY_WORDS];
        kept[..count].copy_from_slice(&words[..count]);
        let mut all = false;
        let both = self.orders == 3;
        if let Label::Dc { .. } = label {
            self.orders |= 1 << (resolved(kept, big, half)[0] >> 10 & 1);
            all = !both && self.orders == 3;
        }
        // Another context may read the only entry in the other byte order.
        let swapped = both && matches!(label, Label::FirstStage { .. });
        for entry in describe(caps, label, &resolved(kept, big, half)[..count])
            .into_iter()
            .flatten()
        {
            let Some(key) = Key::of_entry(caps, label, &entry) else {
                continue;
            };
            let set = self.sets.entry(key).or_default();
            let new = Held {
                words: kept,
                count,
                big,
                what: entry,
                addr,
                sampled,
                updated: false,
                killer: None,
                searched: 0,
            };
            let mut renewed = false;
            match set
                .iter_mut()
                .find(|h| h.words == kept && h.big == big && h.what == new.what)
            {
                Some(h) => {
                    renewed = h.addr == addr && !h.updated && h.touched(log).is_none();
                    if h.sampled <= sampled {
                        *h = new;
                    }
                }
                None => {
                    if set.len() > REMEMBERED
                        && set
                            .iter_mut()
                            .map(|h| usize::from(h.gone(log)))
                            .sum::<usize>()
                            > REMEMBERED
                        && let Some(n) = set.iter_mut().position(|h| h.gone(log))
                    {
                        set.remove(n);
                    }
                    set.push(new);
                }
            }
            self.news.push(News {
                key,
                addr,
                choice: past || swapped,
                renewed,
            });
        }
        all
    }

    /// Memory returned word `n` of an entry of `count`. Gives the entry once it is whole, with
    /// the clock at which the first of its words was sampled.
    pub(crate) fn part(
        &mut self,
        label: &Label,
        (n, word): (usize, u64),
        count: usize,
        sampled: u64,
    ) -> Option<(EntryWords, u64)> {
        let mut key = None;
        Key::of_load(self.caps, label, &mut |k| key = key.or(Some(k)));
        let key = key?;
        let part = self
            .parts
            .entry(key)
            .or_insert(([0; ENTRY_WORDS], 0, sampled));
        if n >= ENTRY_WORDS || part.1 >> n & 1 == 1 {
            // A new walk: what the last one has read does not belong to it.
            *part = ([0; ENTRY_WORDS], 0, sampled);
        }
        *part.0.get_mut(n)? = word;
        part.1 |= 1 << n;
        part.2 = part.2.min(sampled);
        if u32::from(part.1) != (1 << count) - 1 {
            return None;
        }
        self.parts.remove(&key).map(|p| (p.0, p.2))
    }
}

/// Values of words whose structure is big-endian, or of a 4-byte entry.
pub(crate) fn resolved(mut words: EntryWords, big: bool, half: bool) -> EntryWords {
    if big {
        for w in &mut words {
            *w = if half {
                (*w as u32).swap_bytes().into()
            } else {
                w.swap_bytes()
            };
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use iommu_golden::command::{Iofence, Iotinval};
    use iommu_golden::{Command, Gpa, Iova, Spa};

    fn keys(label: Label) -> Vec<Key> {
        let mut all = Vec::new();
        let caps = Capabilities::version_1_0();
        Key::of_load(caps, &label, &mut |k| all.push(k));
        all
    }

    fn first(gscid: Option<u16>, pscid: u32, iova: u64, level: u8) -> Label {
        Label::FirstStage {
            gscid,
            pscid,
            iova: Iova(iova),
            level,
            range_log2: 12 + 9 * level,
            global: false,
        }
    }

    #[test]
    fn an_entry_is_news_to_who_would_not_read_it_from_memory() {
        let [a, b] = [0x10_0000, 0x10_0008];
        let key = |iova| Key::first(None, 5, iova, 12);
        let came = |choice| News {
            key: key(0x7000),
            addr: a,
            choice,
            renewed: false,
        };
        let concerns = |n: News, looked: &Looked| n.concerns(looked, false);
        let mut looking = Looking::default();
        let mut looked = |all: &[(u64, Option<u64>)]| {
            all.iter().for_each(|&(k, at)| looking.add(key(k), at));
            looking.take()
        };
        assert!(!concerns(came(true), &looked(&[(0x8000, Some(a))])));
        let both = looked(&[(0x8000, Some(a)), (0x7000, Some(a))]);
        assert!(!concerns(came(false), &both), "it is what they read");
        assert!(concerns(came(true), &both), "memory has changed since");
        for other in [Some(b), None] {
            let mut all = looked(&[(0x7000, other)]);
            assert!(concerns(came(false), &all), "read at {other:?}");
            assert!(concerns(
                came(false),
                &looked(&[(0x7000, other), (0x7000, Some(a))])
            ));
            all.join(&both);
            assert!(concerns(came(false), &all), "read at {other:?} too");
            assert_eq!(all.0.len(), 2);
            // What was there before is none, unless they mind its age.
            let renewed = News {
                renewed: true,
                ..came(false)
            };
            assert!(!concerns(renewed, &all) && renewed.concerns(&all, true));
        }
        assert_eq!(looked(&[]), Looked::default());
    }

    #[test]
    fn an_entry_read_once_more_is_news_once_it_was_taken_away() {
        let caps = Capabilities::version_1_0();
        let mut held = MayHold::new(caps);
        let mut log = Log::default();
        let label = first(None, 5, 0x7000, 0);
        let mut renewed = |log: &Log, addr, sampled| {
            held.news.clear();
            held.insert(&label, addr, &[0xdf], (false, false, false), sampled, log);
            held.news.iter().map(|n| n.renewed).collect::<Vec<_>>()
        };
        assert_eq!(renewed(&log, 0x100, 10), [false]);
        assert_eq!(renewed(&log, 0x100, 20), [true]);
        assert_eq!(renewed(&log, 0x108, 30), [false], "from elsewhere");
        let fence = Command::Iofence(Iofence {
            av: false,
            wsi: false,
            pr: false,
            pw: false,
            data: 0,
            addr: Spa(0),
        });
        let all = Command::IotinvalVma(Iotinval {
            gv: false,
            av: false,
            pscv: false,
            nl: false,
            s: false,
            gscid: 0,
            pscid: 0,
            addr: 0,
        });
        log.fetched(0, 40, &all);
        log.fetched(1, 41, &fence);
        log.visible(2, 50);
        assert_eq!(renewed(&log, 0x108, 60), [false], "taken away meanwhile");
        assert_eq!(renewed(&log, 0x108, 70), [true]);
    }

    #[test]
    fn every_tag_keeps_entries_apart() {
        let second = |gscid, gpa, holder| Label::SecondStage {
            gscid,
            gpa: Gpa(gpa),
            level: 0,
            range_log2: 12,
            pdt_of: None,
            holder,
        };
        let dc = |device_id| Some(Holder::Dc { device_id });
        let pc = |device_id, process_id| {
            Some(Holder::Pc {
                device_id,
                process_id,
            })
        };
        let labels = [
            Label::DdtNonLeaf {
                device_id: 0,
                level: 1,
            },
            Label::DdtNonLeaf {
                device_id: 0,
                level: 2,
            },
            Label::DdtNonLeaf {
                device_id: 1 << 7,
                level: 1,
            },
            Label::Dc { device_id: 0 },
            Label::Dc { device_id: 1 << 23 },
            Label::PdtNonLeaf {
                device_id: 0,
                process_id: 0,
                level: 1,
            },
            Label::PdtNonLeaf {
                device_id: 1,
                process_id: 0,
                level: 1,
            },
            Label::Pc {
                device_id: 0,
                process_id: 0,
            },
            Label::Pc {
                device_id: 1,
                process_id: 0,
            },
            Label::Pc {
                device_id: 0,
                process_id: 1 << 19,
            },
            first(None, 0, 0, 0),
            first(Some(0), 0, 1 << 48, 0),
            first(Some(1 << 15), 0, 2 << 48, 0),
            first(None, 1 << 19, 3 << 48, 0),
            first(None, 0, 4 << 48, 1),
            second(0, 0, None),
            second(1 << 15, 1 << 30, None),
            Label::MsiPte {
                gscid: None,
                gpa: Gpa(0),
            },
            Label::MsiPte {
                gscid: Some(0),
                gpa: Gpa(0),
            },
        ];
        let mut all: Vec<Key> = labels.iter().flat_map(|l| keys(*l)).collect();
        for holder in [dc(0), dc(1), pc(0, 0), pc(0, 1 << 19), pc(1, 0)] {
            // The entry itself is shared; the translated pointer is its holder's.
            let own = keys(second(3, 7 << 40, holder));
            all.extend(own.iter().filter(|k| k.tag & 15 == 7));
        }
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        // What shares a non-leaf entry, or a page, shares a key.
        let shares = |a, b| assert_eq!(keys(a), keys(b));
        shares(first(None, 1, 0x1000, 0), first(None, 1, 0x1fff, 0));
        shares(
            Label::DdtNonLeaf {
                device_id: 1,
                level: 1,
            },
            Label::DdtNonLeaf {
                device_id: 2,
                level: 1,
            },
        );
    }

    #[test]
    fn an_entry_read_in_parts_is_one_once_it_is_whole() {
        let caps = Capabilities::version_1_0();
        let mut held = MayHold::new(caps);
        let label = Label::Pc {
            device_id: 1,
            process_id: 2,
        };
        assert_eq!(held.part(&label, (0, 1), 2, 10), None);
        // Again the first word: another walk.
        assert_eq!(held.part(&label, (0, 3), 2, 20), None);
        let whole = held.part(&label, (1, 4), 2, 30);
        assert_eq!(whole.map(|(w, at)| (w[0], w[1], at)), Some((3, 4, 20)));
        assert_eq!(held.part(&label, (1, 5), 2, 40), None);
    }
}
