//! The cache: every entry with V=1 that memory returned, with the tags that the specification
//! gives it, until a command reaches it or it is dropped for no reason at all.

use std::collections::BTreeMap;

use iommu_golden::invalidate::{self, Entry, Range};
use iommu_golden::{Capabilities, Command, Holder, Label};

use crate::bug::Bug;
use crate::habit::{Habits, Rng};

/// What kind of entry, in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Ddt,
    Dc,
    Pdt,
    Pc,
    First,
    Second,
    Pointer,
    Msi,
}

/// Where an entry stands in the cache: the part of its tags that must match exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    class: Class,
    /// Device, GSCID (plus 1; 0 is the host), or holder.
    space: u64,
    /// Number of the range, or of the process.
    place: u64,
    level: u8,
    /// log2 of the range.
    log2: u8,
}

/// An entry that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Held {
    pub(crate) entry: Entry,
    /// As memory returned it.
    pub(crate) words: [u64; 8],
    /// Bytes of the entry: 4 or 8 for a page-table entry.
    pub(crate) bytes: u8,
    pub(crate) level: u8,
    /// Where it was read.
    pub(crate) addr: u64,
    /// A second-stage leaf that ends a translation of both stages.
    pub(crate) combined: bool,
}

impl Held {
    /// A leaf of a page table, or what else ends its walk.
    pub(crate) fn leaf(&self) -> bool {
        match self.entry {
            Entry::FirstStage { leaf, .. } | Entry::SecondStage { leaf, .. } => leaf,
            // A kept pointer is held by its final entry and by those on the way.
            Entry::Pointer(_) => self.words[0] & 0xe != 0,
            _ => true,
        }
    }
}

/// Entries of one key are at most so many: older versions of the entry among them.
const VERSIONS: usize = 4;
/// Pieces that are kept.
const PIECES: usize = 64;

/// The cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    caps: Capabilities,
    bug: Option<Bug>,
    pointers: bool,
    global_across: bool,
    napot_pieces: bool,
    map: BTreeMap<Key, Vec<Held>>,
    /// Pieces of ranges: the addresses that each is for.
    pieces: Vec<(Range, Held)>,
}

fn holder_key(holder: Holder) -> (u64, u64) {
    match holder {
        Holder::Dc { device_id } => (u64::from(device_id), 0),
        Holder::PdtNonLeaf { device_id } => (u64::from(device_id) | 1 << 24, 0),
        Holder::Pc {
            device_id,
            process_id,
        } => (
            u64::from(device_id) | 2 << 24 | u64::from(process_id) << 28,
            0,
        ),
    }
}

fn place(address: u64, log2: u8) -> u64 {
    if log2 >= 64 { 0 } else { address >> log2 }
}

impl Cache {
    pub(crate) fn new(caps: Capabilities, bug: Option<Bug>, habits: &Habits) -> Self {
        Self {
            caps,
            bug,
            pointers: habits.pointers,
            global_across: habits.global_across,
            napot_pieces: habits.napot_pieces,
            map: BTreeMap::new(),
            pieces: Vec::new(),
        }
    }

    /// A device_id as this device tags with it.
    fn device(&self, device_id: u32) -> u64 {
        match self.bug {
            Some(Bug::DeviceIdBitIgnored) => u64::from(device_id & !2),
            Some(Bug::DeviceIdTopIgnored) => u64::from(device_id & 0x7f_ffff),
            _ => u64::from(device_id),
        }
    }

    fn process(&self, process_id: u32) -> u64 {
        match self.bug {
            Some(Bug::ProcessIdBitIgnored) => u64::from(process_id & !1),
            Some(Bug::ProcessIdTopIgnored) => u64::from(process_id & !(1 << 16)),
            _ => u64::from(process_id),
        }
    }

    fn guest(&self, gscid: Option<u16>) -> u64 {
        match gscid {
            Some(g) if self.bug == Some(Bug::GscidBitIgnored) => u64::from(g & !1) + 1,
            Some(g) if self.bug == Some(Bug::GscidTopIgnored) => u64::from(g & 0x7fff) + 1,
            Some(g) => u64::from(g) + 1,
            // A host space that is taken for the VM of GSCID 0.
            None if self.bug == Some(Bug::HostTakenForGuest) => 1,
            None => 0,
        }
    }

    fn iova(&self, iova: u64) -> u64 {
        match self.bug {
            Some(Bug::IovaTagNarrow) => iova & ((1 << 47) - 1),
            _ => iova,
        }
    }

    fn gpa(&self, gpa: u64) -> u64 {
        match self.bug {
            Some(Bug::GpaTagNarrow) => gpa & ((1 << 39) - 1),
            _ => gpa,
        }
    }

    fn pscid_matches(&self, held: u32, wanted: u32) -> bool {
        let mask = match self.bug {
            Some(Bug::PscidBitIgnored) => !1,
            Some(Bug::PscidTopIgnored) => 0x7_ffff,
            _ => !0,
        };
        (held ^ wanted) & mask == 0
    }

    fn leaf_bits(&self) -> u32 {
        if self.caps.has(Capabilities::MSI_FLAT) {
            6
        } else {
            7
        }
    }

    /// The key of an entry of range 2^`log2` for a load with this label.
    fn key(&self, label: &Label, log2: u8, level: u8, pointer: bool) -> Option<Key> {
        let key = |class, space, place, level, log2| {
            Some(Key {
                class,
                space,
                place,
                level,
                log2,
            })
        };
        match *label {
            Label::DdtNonLeaf { device_id, .. } => {
                let shift = self.leaf_bits() + if level > 1 { 9 } else { 0 };
                key(Class::Ddt, u64::from(device_id >> shift), 0, level, 0)
            }
            Label::Dc { device_id } => key(Class::Dc, self.device(device_id), 0, 0, 0),
            Label::PdtNonLeaf {
                device_id,
                process_id,
                ..
            } => {
                let shift = if level > 1 { 17 } else { 8 };
                let place = u64::from(process_id >> shift);
                key(Class::Pdt, self.device(device_id), place, level, 0)
            }
            Label::Pc {
                device_id,
                process_id,
            } => key(
                Class::Pc,
                self.device(device_id),
                self.process(process_id),
                0,
                0,
            ),
            Label::FirstStage { gscid, iova, .. } => key(
                Class::First,
                self.guest(gscid),
                place(self.iova(iova.0), log2),
                level,
                log2,
            ),
            Label::SecondStage {
                holder: Some(holder),
                gpa,
                ..
            } if pointer => {
                let (space, _) = holder_key(holder);
                key(
                    Class::Pointer,
                    space,
                    place(self.gpa(gpa.0), log2),
                    level,
                    log2,
                )
            }
            Label::SecondStage { gscid, gpa, .. } if !pointer => key(
                Class::Second,
                self.guest(Some(gscid)),
                place(self.gpa(gpa.0), log2),
                level,
                log2,
            ),
            Label::MsiPte { gscid, gpa } => {
                let any = self.bug == Some(Bug::MsiAnyGuest);
                let space = if any { 0 } else { self.guest(gscid) };
                key(Class::Msi, space, place(gpa.0, 12), 0, 12)
            }
            _ => None,
        }
    }

    /// What may be held of a load: see [`invalidate::describe`].
    pub(crate) fn describe(&self, label: &Label, words: &[u64]) -> [Option<Entry>; 2] {
        let mut found = invalidate::describe(self.caps, label, words);
        if self.bug == Some(Bug::InvalidCached) && found[0].is_none() && words[0] & 1 == 0 {
            let mut valid = [0; 8];
            valid[..words.len()].copy_from_slice(words);
            valid[0] |= 1;
            found = invalidate::describe(self.caps, label, &valid[..words.len()]);
        }
        found
    }

    /// Holds what a load returned: `words` as they lie in memory, `values` with their byte order
    /// resolved.
    pub(crate) fn fill(
        &mut self,
        label: &Label,
        bytes: u8,
        words: &[u64],
        values: &[u64],
        (addr, combined): (u64, bool),
        rng: &mut Rng,
    ) {
        let mut stored = [0; 8];
        stored[..words.len()].copy_from_slice(words);
        let level = level_of(label);
        for (n, entry) in self.describe(label, values).into_iter().enumerate() {
            let Some(entry) = entry else { continue };
            let pointer = n == 1;
            if pointer && !self.pointers {
                continue;
            }
            // "reserved" encodings of N are no ranges: such an entry serves its own page alone.
            let range_of_n = values[0] >> 63 == 0 || values[0] >> 10 & 0xf == 8;
            let log2 = match entry {
                _ if level == 0 && !range_of_n => range_of(label),
                Entry::FirstStage { range, .. } | Entry::SecondStage { range, .. } => range.log2,
                _ => range_of(label),
            };
            let Some(key) = self.key(label, log2, level, pointer) else {
                continue;
            };
            let held = Held {
                entry,
                words: stored,
                bytes,
                level,
                addr,
                combined,
            };
            let all = self.map.entry(key).or_default();
            if all.contains(&held) {
                continue;
            }
            if all.len() >= VERSIONS {
                let n = rng.below(all.len());
                all.swap_remove(n);
            }
            all.push(held);
        }
    }

    /// Whether an entry serves this load: the part of the tags that is not in the key.
    fn serves(&self, held: &Held, label: &Label, bytes: u8) -> bool {
        if held.bytes != bytes {
            return false;
        }
        match (held.entry, label) {
            (Entry::FirstStage { pscid, global, .. }, Label::FirstStage { pscid: want, .. }) => {
                self.pscid_matches(pscid, *want)
                    || (global && self.global_across)
                    || self.bug == Some(Bug::EveryEntryGlobal)
            }
            _ => true,
        }
    }

    /// Whether a piece of an entry serves this load.
    fn is_piece_of(&self, range: &Range, held: &Held, label: &Label, bytes: u8) -> bool {
        let same_space = match (held.entry, *label) {
            (Entry::FirstStage { gscid, .. }, Label::FirstStage { gscid: want, .. }) => {
                self.guest(gscid) == self.guest(want)
            }
            (Entry::SecondStage { gscid, .. }, Label::SecondStage { gscid: want, .. }) => {
                self.guest(Some(gscid)) == self.guest(Some(want))
            }
            _ => false,
        };
        same_space && inside(range, label) && self.serves(held, label, bytes)
    }

    fn find(&self, key: Option<Key>, label: &Label, bytes: u8, to: &mut Vec<Held>, leaves: bool) {
        let Some(all) = key.and_then(|k| self.map.get(&k)) else {
            return;
        };
        to.extend(
            all.iter()
                .filter(|h| self.serves(h, label, bytes) && (!leaves || h.leaf())),
        );
    }

    /// The entries that may answer this load.
    pub(crate) fn at(&self, label: &Label, bytes: u8, to: &mut Vec<Held>) {
        let (log2, level) = (range_of(label), level_of(label));
        self.at_level(label, bytes, level, log2, to, false);
        for (range, held) in &self.pieces {
            if held.level == level && self.is_piece_of(range, held, label, bytes) {
                to.push(*held);
            }
        }
    }

    fn at_level(
        &self,
        label: &Label,
        bytes: u8,
        level: u8,
        log2: u8,
        to: &mut Vec<Held>,
        leaves: bool,
    ) {
        for pointer in [false, true] {
            if pointer && !matches!(label, Label::SecondStage { .. }) {
                break;
            }
            self.find(
                self.key(label, log2, level, pointer),
                label,
                bytes,
                to,
                leaves,
            );
            let table = matches!(label, Label::FirstStage { .. } | Label::SecondStage { .. });
            if table && level == 0 {
                self.find(self.key(label, 16, 0, pointer), label, bytes, to, leaves);
            }
        }
    }

    /// Leaves below the load's level that its walk would end at.
    pub(crate) fn below(&self, label: &Label, bytes: u8, to: &mut Vec<Held>) {
        match *label {
            Label::FirstStage { level, .. } | Label::SecondStage { level, .. } => {
                let bits = if bytes == 4 { 10 } else { 9 };
                for lower in 0..level {
                    self.at_level(label, bytes, lower, 12 + bits * lower, to, true);
                }
                for (range, held) in &self.pieces {
                    if held.level < level && self.is_piece_of(range, held, label, bytes) {
                        to.push(*held);
                    }
                }
            }
            Label::DdtNonLeaf { device_id, .. } => {
                let label = Label::Dc { device_id };
                self.find(
                    self.key(&label, 0, 0, false),
                    &label,
                    self.caps.dc_size() as u8,
                    to,
                    false,
                );
            }
            Label::PdtNonLeaf {
                device_id,
                process_id,
                ..
            } => self.contexts(device_id, process_id, to),
            _ => {}
        }
    }

    /// Process contexts of this process.
    pub(crate) fn contexts(&self, device_id: u32, process_id: u32, to: &mut Vec<Held>) {
        let label = Label::Pc {
            device_id,
            process_id,
        };
        self.find(self.key(&label, 0, 0, false), &label, 16, to, false);
    }

    /// An entry turned out to be different from memory's by a failed swap, or was changed.
    pub(crate) fn forget(&mut self, addr: u64) {
        self.map.retain(|_, all| {
            all.retain(|h| h.addr != addr);
            !all.is_empty()
        });
        self.pieces.retain(|(_, h)| h.addr != addr);
    }

    /// Drops any one entry.
    pub(crate) fn evict(&mut self, rng: &mut Rng) {
        if self.map.is_empty() {
            return;
        }
        let n = rng.below(self.map.len().min(64));
        // Near either end of the map, which moves as it is used.
        let key = if rng.percent(50) {
            self.map.keys().nth(n)
        } else {
            self.map.keys().rev().nth(n)
        };
        if let Some(&key) = key {
            self.map.remove(&key);
        }
    }

    /// Drops what a command reaches.
    pub(crate) fn invalidate(&mut self, command: &Command) {
        let (bug, napot) = (self.bug, self.napot_pieces);
        let mut pieces = Vec::new();
        for (key, all) in &mut self.map {
            // What an entry with a reserved encoding of N serves has no pieces.
            let whole = |h: &Held| h.level == 0 && key.log2 == 12;
            all.retain(|h| {
                let gone = crate::bug::reaches(bug, command, h);
                if gone
                    && !whole(h)
                    && let Some(piece) = crate::bug::piece(bug, napot, command, h)
                {
                    pieces.push((piece, *h));
                }
                !gone
            });
        }
        self.pieces
            .retain(|(range, held)| match (command, held.entry) {
                (Command::IotinvalVma(o) | Command::IotinvalGvma(o), _) if o.av => {
                    !(range.overlaps(invalidate::operand_range(o))
                        && invalidate::covers(command, &held.entry))
                }
                _ => !invalidate::covers(command, &held.entry),
            });
        self.pieces.append(&mut pieces);
        let over = self.pieces.len().saturating_sub(PIECES);
        self.pieces.drain(..over);
        self.map.retain(|_, all| !all.is_empty());
    }
}

fn inside(range: &Range, label: &Label) -> bool {
    let address = match *label {
        Label::FirstStage { iova, .. } => iova.0,
        Label::SecondStage { gpa, .. } => gpa.0,
        _ => return false,
    };
    range.overlaps(Range::around(address, 12))
}

pub(crate) fn level_of(label: &Label) -> u8 {
    match *label {
        Label::DdtNonLeaf { level, .. }
        | Label::PdtNonLeaf { level, .. }
        | Label::FirstStage { level, .. }
        | Label::SecondStage { level, .. } => level,
        _ => 0,
    }
}

fn range_of(label: &Label) -> u8 {
    match *label {
        Label::FirstStage { range_log2, .. } | Label::SecondStage { range_log2, .. } => range_log2,
        _ => 12,
    }
}
