//! Page tables as an adversary builds them: every size and level, addresses
//! that alias and straddle, encodings that must fault, tables in tables. Raw
//! entries; nothing here knows what a walk makes of them.

use std::collections::HashMap;

use crate::driver::{PAGE, pte};
use crate::op::Op;
use crate::rng::Random;

use super::knobs::{
    FirstStage, LeafPlace, LeafSize, LeafTarget, Permission, SecondStage, Spoil, Tags,
};
use super::profile::{Amount, Chance};
use super::world::{DATA, DATA_BYTES, Domain, Machine, World};

/// Entry formats. Guest trees (`x4`) have two more bits at the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Sv32,
    Sv39,
    Sv48,
    Sv57,
}

impl Scheme {
    pub const fn levels(self) -> u32 {
        match self {
            Self::Sv32 => 2,
            Self::Sv39 => 3,
            Self::Sv48 => 4,
            Self::Sv57 => 5,
        }
    }

    /// Address bits that an index has.
    pub const fn index_bits(self) -> u32 {
        if matches!(self, Self::Sv32) { 10 } else { 9 }
    }

    pub const fn entry_bytes(self) -> u64 {
        if matches!(self, Self::Sv32) { 4 } else { 8 }
    }

    /// Encoding in `iosatp` and `iohgatp`.
    pub const fn mode(self) -> u64 {
        match self {
            Self::Sv32 | Self::Sv39 => 8,
            Self::Sv48 => 9,
            Self::Sv57 => 10,
        }
    }

    pub const fn shift(self, level: u32) -> u32 {
        12 + self.index_bits() * level
    }

    /// Address bits of a tree.
    const fn width(self, guest: bool) -> u32 {
        self.shift(self.levels()) + if guest { 2 } else { 0 }
    }
}

/// A leaf, as it was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    /// First address.
    pub at: u64,
    /// Where it leads.
    pub to: u64,
    /// log2 of its bytes.
    pub shift: u32,
    pub level: u32,
    pub flags: u64,
}

impl Leaf {
    pub const fn napot(&self) -> bool {
        self.shift == 16
    }
}

/// A page table.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub scheme: Scheme,
    pub guest: bool,
    /// Where software finds its root.
    pub root: u64,
    /// The root as contexts name it: guest-physical for a guest's own table.
    pub pointer: u64,
    /// Machine in whose guest-physical addresses its pointers are.
    pub machine: Option<usize>,
    /// Table pages by the address in a pointer.
    pub pages: HashMap<u64, u64>,
    pub leaves: Vec<Leaf>,
}

/// Which tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Domain(usize),
    Machine(usize),
}

const PPN: u64 = (1 << 44) - 1;
const VALID_RW: u64 = pte::V | pte::R | pte::W | pte::U | pte::A | pte::D;

impl World {
    pub fn tree(&self, which: Which) -> Option<&Tree> {
        match which {
            Which::Domain(d) => self.domains[d].tree.as_ref(),
            Which::Machine(m) => Some(&self.machines[m].tree),
        }
    }

    /// The leaves of a tree; none where there is none.
    pub fn leaves(&self, which: Which) -> &[Leaf] {
        self.tree(which).map_or(&[], |t| &t.leaves)
    }

    pub fn tree_mut(&mut self, which: Which) -> Option<&mut Tree> {
        match which {
            Which::Domain(d) => self.domains[d].tree.as_mut(),
            Which::Machine(m) => Some(&mut self.machines[m].tree),
        }
    }

    /// An entry as it was stored last.
    pub fn entry_value(&self, scheme: Scheme, at: u64) -> u64 {
        if scheme == Scheme::Sv32 {
            self.narrow.get(&at).copied().map_or(0, u64::from)
        } else {
            self.driver.word(at)
        }
    }

    pub fn store_entry(&mut self, scheme: Scheme, at: u64, value: u64) {
        if scheme == Scheme::Sv32 {
            self.narrow.insert(at, value as u32);
            let value = value as u32;
            let data = if self.driver.cfg.big_endian {
                value.to_be_bytes()
            } else {
                value.to_le_bytes()
            };
            let data = data.to_vec();
            self.push("tables", Op::Store { addr: at, data });
        } else {
            self.store_word(at, value);
        }
    }

    /// A page for a table: where software finds it, and as a pointer of that machine's guest (or
    /// of the host) names it.
    pub fn table_page(&mut self, machine: Option<usize>) -> (u64, u64) {
        let spa = self.driver.alloc(0);
        self.push("tables", Op::ZeroPage { addr: spa });
        let Some(m) = machine else {
            return (spa, spa);
        };
        // The guest's tables are reached through pages that are sound at first, where nothing else
        // is mapped: a device must not write its own tables by a leaf.
        // Some without A or D, so that the walk through them has to set it, or is refused.
        let mut flags = VALID_RW;
        if self.r.ways.percent(6) {
            flags &= !pte::D;
            if self.r.ways.percent(30) {
                flags &= !pte::A;
            }
        }
        let mut gpa = self.machines[m].next_page;
        for _ in 0..64 {
            gpa = self.machines[m].next_page;
            self.machines[m].next_page += PAGE;
            let leaf = Leaf {
                at: gpa,
                to: spa,
                shift: 12,
                level: 0,
                flags,
            };
            if self.write_leaf(Which::Machine(m), leaf) {
                let machine = &mut self.machines[m];
                machine.backing.extend(machine.tree.leaves.pop());
                break;
            }
        }
        (spa, gpa)
    }

    /// Address of an entry; tables on the way are made. `None` if something else is in the way.
    pub fn entry(&mut self, which: Which, addr: u64, level: u32) -> Option<u64> {
        let tree = self.tree(which)?;
        let (scheme, guest, machine) = (tree.scheme, tree.guest, tree.machine);
        let mut page = tree.root;
        let top = scheme.levels() - 1;
        for n in (level..=top).rev() {
            let bits = scheme.index_bits() + if guest && n == top { 2 } else { 0 };
            let index = addr >> scheme.shift(n) & ((1 << bits) - 1);
            let at = page + index * scheme.entry_bytes();
            if n == level {
                return Some(at);
            }
            let value = self.entry_value(scheme, at);
            if value & pte::V == 0 {
                let (spa, pointer) = self.table_page(machine);
                self.tree_mut(which)?.pages.insert(pointer, spa);
                // G of a pointer is that of all below it.
                let global = self.globals
                    && !guest
                    && self
                        .profile
                        .clone()
                        .chance(Chance::Global, &mut self.r.tables);
                let global = if global { pte::G } else { 0 };
                self.store_entry(scheme, at, pointer >> 12 << 10 | global | pte::V);
                page = spa;
                continue;
            }
            if value & (pte::R | pte::W | pte::X) != 0 {
                return None;
            }
            let pointer = (value >> 10 & PPN) << 12;
            page = *self.tree(which)?.pages.get(&pointer)?;
        }
        None
    }

    /// Writes a leaf (the 16 entries of a NAPOT one) where nothing valid is; whether it did.
    pub fn write_leaf(&mut self, which: Which, leaf: Leaf) -> bool {
        let Some(scheme) = self.tree(which).map(|t| t.scheme) else {
            return false;
        };
        let Some(first) = self.entry(which, leaf.at, leaf.level) else {
            return false;
        };
        let entries = if leaf.napot() { 16 } else { 1 };
        let at = |n: u64| first + n * scheme.entry_bytes();
        if (0..entries).any(|n| self.entry_value(scheme, at(n)) & pte::V != 0) {
            return false;
        }
        let value = leaf_value(&leaf);
        for n in 0..entries {
            self.store_entry(scheme, at(n), value);
        }
        if let Some(t) = self.tree_mut(which) {
            t.leaves.push(leaf);
        }
        true
    }

    /// The entry of a leaf that is there.
    pub fn leaf_entry(&mut self, which: Which, leaf: &Leaf) -> Option<u64> {
        self.entry(which, leaf.at, leaf.level)
    }

    // ----------------------------------------------------------------- building

    /// Machines first: guests' tables live in their memory.
    pub fn build_spaces(&mut self) {
        let p = self.profile.clone();
        for _ in 0..p.amount(Amount::Machines, &mut self.r.tables).max(1) {
            let _ = self.build_machine((DATA, DATA_BYTES));
        }
        let domains = p.amount(Amount::Domains, &mut self.r.tables).max(1);
        self.globals = domains == 1;
        for _ in 0..domains {
            self.build_domain();
        }
        for n in 0..self.domains.len() {
            let (share, loop_back) = (
                p.chance(Chance::SharedTables, &mut self.r.tables),
                p.chance(Chance::LoopedTables, &mut self.r.tables),
            );
            if share {
                self.share_table(n);
            }
            if loop_back {
                self.loop_table(n);
            }
        }
    }

    /// A machine whose second-stage leaves lead to this window of memory; none if it has no second
    /// stage.
    pub fn build_machine(&mut self, data: (u64, u64)) -> Option<usize> {
        let p = self.profile.clone();
        let gxl = self.gxl;
        let drawn = p.pick_of(&mut self.r.tables, |s: SecondStage| {
            let has = |f: &str| crate::caps::feature(f).is_some_and(|b| self.caps & b != 0);
            match s {
                SecondStage::Bare => true,
                SecondStage::Sv32x4 => gxl && has("Sv32x4"),
                SecondStage::Sv39x4 => !gxl && has("Sv39x4"),
                SecondStage::Sv48x4 => !gxl && has("Sv48x4"),
                SecondStage::Sv57x4 => !gxl && has("Sv57x4"),
            }
        });
        let scheme = match drawn {
            None | Some(SecondStage::Bare) => return None,
            Some(SecondStage::Sv32x4) => Scheme::Sv32,
            Some(SecondStage::Sv39x4) => Scheme::Sv39,
            Some(SecondStage::Sv48x4) => Scheme::Sv48,
            Some(SecondStage::Sv57x4) => Scheme::Sv57,
        };
        let root = self.driver.alloc(2);
        for page in 0..4 {
            self.push(
                "tables",
                Op::ZeroPage {
                    addr: root + page * PAGE,
                },
            );
        }
        let used: Vec<u32> = self.machines.iter().map(|m| m.gscid).collect();
        let gscid = self.tag(self.machines.len() as u32, 16, &used, &[]);
        // The guest's tables: at a random place, sometimes at the top of its address space.
        let width = scheme.width(true).min(56);
        let window = 1u64 << 24;
        let next_page = match self.r.tables.below(3) {
            // Many bits away from any leaf.
            0 => 0x2_5500_0000,
            1 => (1u64 << width) - window,
            _ => self.r.tables.below((1u64 << width) / window) * window,
        };
        self.machines.push(Machine {
            tree: Tree {
                scheme,
                guest: true,
                root,
                pointer: root,
                machine: None,
                pages: HashMap::new(),
                leaves: Vec::new(),
            },
            gscid,
            data,
            next_page,
            backing: Vec::new(),
            messages: None,
        });
        let m = self.machines.len() - 1;
        // The first page of it keeps larger leaves away.
        let _ = self.table_page(Some(m));
        let which = Which::Machine(m);
        for _ in 0..p.amount(Amount::Leaves, &mut self.r.tables).max(4) {
            self.map_something(which);
        }
        Some(m)
    }

    fn build_domain(&mut self) {
        let machine = if self.machines.is_empty() {
            None
        } else {
            // Sometimes none: the host's own.
            let m = self.r.tables.below(self.machines.len() as u64 + 1) as usize;
            (m < self.machines.len()).then_some(m)
        };
        let machine = match machine {
            // In a run with machines most domains are guests'.
            None if !self.machines.is_empty() && self.r.tables.percent(60) => Some(0),
            m => m,
        };
        self.build_domain_in(machine, (DATA, DATA_BYTES));
    }

    /// A domain whose leaves lead to this window of memory (a guest's: to its machine's).
    pub fn build_domain_in(&mut self, machine: Option<usize>, data: (u64, u64)) {
        let p = self.profile.clone();
        let schemes = self.schemes.clone();
        let drawn = p.pick_of(&mut self.r.tables, |s: FirstStage| match s {
            FirstStage::Bare => machine.is_some(),
            FirstStage::Sv32 => schemes.contains(&Scheme::Sv32),
            FirstStage::Sv39 => schemes.contains(&Scheme::Sv39),
            FirstStage::Sv48 => schemes.contains(&Scheme::Sv48),
            FirstStage::Sv57 => schemes.contains(&Scheme::Sv57),
        });
        let scheme = match drawn {
            None | Some(FirstStage::Bare) => None,
            Some(FirstStage::Sv32) => Some(Scheme::Sv32),
            Some(FirstStage::Sv39) => Some(Scheme::Sv39),
            Some(FirstStage::Sv48) => Some(Scheme::Sv48),
            Some(FirstStage::Sv57) => Some(Scheme::Sv57),
        };
        // PSCIDs of another host or guest are free to be used again.
        let (same, others): (Vec<&Domain>, Vec<&Domain>) =
            self.domains.iter().partition(|d| d.machine == machine);
        let used: Vec<u32> = same.iter().map(|d| d.pscid).collect();
        let others: Vec<u32> = others.iter().map(|d| d.pscid).collect();
        let pscid = self.tag(self.domains.len() as u32, 20, &used, &others);
        let tree = scheme.map(|scheme| {
            let (root, pointer) = self.table_page(machine);
            let mut pages = HashMap::new();
            pages.insert(pointer, root);
            Tree {
                scheme,
                guest: false,
                root,
                pointer,
                machine,
                pages,
                leaves: Vec::new(),
            }
        });
        let has_tree = tree.is_some();
        self.domains.push(Domain {
            tree,
            pscid,
            machine,
            tangled: false,
            data,
        });
        if has_tree {
            let which = Which::Domain(self.domains.len() - 1);
            for _ in 0..p.amount(Amount::Leaves, &mut self.r.tables) {
                self.map_something(which);
            }
        }
    }

    /// A PSCID or GSCID that is not in use; `others` are in use where they do not matter.
    fn tag(&mut self, n: u32, bits: u32, used: &[u32], others: &[u32]) -> u32 {
        let p = self.profile.clone();
        let r = &mut self.r.tables;
        let tag = match p.pick::<Tags>(r) {
            Tags::OneBit => used.first().copied().unwrap_or(n) ^ 1 << r.below(u64::from(bits)),
            Tags::Shared if !others.is_empty() => *r.pick(others),
            Tags::Dense | Tags::Shared => n,
        };
        if used.contains(&tag) {
            let mut free = tag;
            while used.contains(&free) {
                free = (free + 1) & ((1 << bits) - 1);
            }
            free
        } else {
            tag
        }
    }

    /// A leaf of random size, place and permission, sometimes spoilt.
    pub fn map_something(&mut self, which: Which) {
        let Some(leaf) = self.draw_leaf(which) else {
            return;
        };
        // What does not fit beside the leaves there is not mapped.
        if !self.write_leaf(which, leaf) {
            return;
        }
        let p = self.profile.clone();
        let chance = match which {
            Which::Domain(_) => Chance::SpoiltEntry,
            Which::Machine(_) => Chance::SpoiltGuest,
        };
        if p.chance(chance, &mut self.r.tables) {
            self.spoil(which, &leaf);
        }
    }

    fn draw_leaf(&mut self, which: Which) -> Option<Leaf> {
        let p = self.profile.clone();
        let tree = self.tree(which)?;
        let (scheme, guest, machine) = (tree.scheme, tree.guest, tree.machine);
        let last = tree.leaves.last().copied();
        let narrow = self.narrow(which);
        let size = p.pick_of(&mut self.r.tables, |s: LeafSize| match s {
            LeafSize::K4 | LeafSize::Level1 => true,
            LeafSize::K64 => scheme != Scheme::Sv32,
            LeafSize::Level2 => scheme.levels() > 2 && !narrow,
            LeafSize::Level3 => scheme.levels() > 3 && !narrow,
            LeafSize::Level4 => scheme.levels() > 4 && !narrow,
        })?;
        let (level, shift) = match size {
            LeafSize::K4 => (0, 12),
            LeafSize::K64 => (0, 16),
            LeafSize::Level1 => (1, scheme.shift(1)),
            LeafSize::Level2 => (2, scheme.shift(2)),
            LeafSize::Level3 => (3, scheme.shift(3)),
            LeafSize::Level4 => (4, scheme.shift(4)),
        };
        let bits = scheme.width(guest);
        let mask = (1u64 << shift) - 1;
        let trees = self.domains.iter().filter_map(|d| d.tree.as_ref());
        let trees = trees.chain(self.machines.iter().map(|m| &m.tree));
        let twins: Vec<u64> = trees
            .filter(|t| t.guest == guest && !self.cast.strict)
            .flat_map(|t| &t.leaves)
            .filter(|l| l.shift == shift)
            .map(|l| l.at)
            .collect();
        let r = &mut self.r.tables;
        let at = match (p.pick::<LeafPlace>(r), last) {
            (LeafPlace::Beside, Some(l)) => {
                if r.percent(50) {
                    l.at.wrapping_add(1 << l.shift)
                } else {
                    l.at.wrapping_sub(1 << shift)
                }
            }
            (LeafPlace::Edge, _) => match r.below(4) {
                0 => 0,
                1 => (1u64 << (bits - 1)) - (1 << shift),
                2 => 1u64 << (bits - 1),
                _ => (1u64 << (bits - 1))
                    .wrapping_mul(2)
                    .wrapping_sub(1 << shift),
            },
            (LeafPlace::Anywhere, _) => r.bits(),
            (LeafPlace::Twin, _) if !twins.is_empty() => *r.pick(&twins),
            _ => {
                let low = r.below(32) << shift;
                let high = if r.percent(50) {
                    0
                } else {
                    1u64 << r.range(u64::from(shift), u64::from(bits) - 1)
                };
                low ^ high
            }
        };
        let at = canonical(at & !mask, bits, guest || scheme == Scheme::Sv32);
        let to = self.draw_target(which, machine, shift)?;
        let flags = self.draw_flags(scheme, guest);
        Some(Leaf {
            at,
            to,
            shift,
            level,
            flags,
        })
    }

    /// A domain that must stay in its own window of memory.
    fn narrow(&self, which: Which) -> bool {
        match which {
            Which::Domain(d) => self.domains[d].data.1 < DATA_BYTES,
            Which::Machine(m) => self.machines[m].data.1 < DATA_BYTES,
        }
    }

    /// Where a leaf leads: aligned to its size.
    fn draw_target(&mut self, which: Which, machine: Option<usize>, shift: u32) -> Option<u64> {
        let p = self.profile.clone();
        let mask = (1u64 << shift) - 1;
        if let Some(m) = machine {
            // Guest-physical: into what the second stage maps, mostly.
            let leaves = &self.machines[m].tree.leaves;
            let r = &mut self.r.tables;
            if leaves.is_empty() || r.percent(4) {
                return Some(r.below(1 << 30) & !mask);
            }
            let leaf = *r.pick(leaves);
            let inside = self.r.tables.below(1 << leaf.shift);
            return Some((leaf.at + inside) & !mask);
        }
        let (base, bytes) = match which {
            Which::Domain(d) => self.domains[d].data,
            Which::Machine(m) => self.machines[m].data,
        };
        let (pas, narrow) = (self.pas, self.narrow(which));
        let count = self.leaves(which).len();
        let other = self.r.tables.below(count as u64) as usize;
        let other = self.leaves(which).get(other).copied();
        let r = &mut self.r.tables;
        Some(match p.pick::<LeafTarget>(r) {
            LeafTarget::Shared if other.is_some() => other.map_or(base, |l| l.to) & !mask,
            LeafTarget::Top if !narrow => ((1u64 << pas) - (1 << shift.min(pas))) & !mask,
            LeafTarget::Beyond if pas < 56 && !narrow => {
                (1u64 << r.range(u64::from(pas), 55)) & !mask
            }
            _ if shift >= 39 => 1u64 << shift.max(39),
            _ if shift >= 30 => base + (r.below(4) << 30),
            _ => base + (r.below(bytes >> shift) << shift),
        })
    }

    pub fn draw_flags(&mut self, scheme: Scheme, guest: bool) -> u64 {
        let p = self.profile.clone();
        let svpbmt = self.has("Svpbmt") && scheme != Scheme::Sv32;
        let r = &mut self.r.tables;
        let mut flags = pte::V
            | match p.pick::<Permission>(r) {
                Permission::R => pte::R,
                Permission::Rw => pte::R | pte::W,
                Permission::Rx => pte::R | pte::X,
                Permission::Rwx => pte::R | pte::W | pte::X,
                Permission::X => pte::X,
            };
        for (chance, bit, when) in [
            (Chance::Supervisor, pte::U, false),
            (Chance::NotAccessed, pte::A, false),
            (Chance::NotDirty, pte::D, false),
            (Chance::Global, pte::G, true),
        ] {
            if p.chance(chance, r) == when {
                flags |= bit;
            }
        }
        if !guest && !self.globals {
            // G has no meaning in the second stage, and is ignored there. In the first, a global page must be the same
            // in all address spaces of its host or guest.
            flags &= !pte::G;
        }
        if p.chance(Chance::SoftwareBits, r) {
            flags |= r.below(4) << 8;
        }
        if p.chance(Chance::MemoryType, r) && svpbmt {
            flags |= r.below(3) << 61;
        }
        flags
    }

    /// Gives the entry of a leaf, or one above it, an encoding that must fault (or some noise).
    pub fn spoil(&mut self, which: Which, leaf: &Leaf) {
        if leaf.napot() {
            // One bad entry of 16: a cache may answer for it from the other 15.
            return;
        }
        let Some(scheme) = self.tree(which).map(|t| t.scheme) else {
            return;
        };
        let Some(at) = self.leaf_entry(which, leaf) else {
            return;
        };
        let entry = self.entry_value(scheme, at);
        let p = self.profile.clone();
        let narrow = self.narrow(which);
        let kind = p.pick_of(&mut self.r.tables, |k: Spoil| match k {
            Spoil::Reserved | Spoil::BadNapot => scheme != Scheme::Sv32,
            // It may lead anywhere.
            Spoil::Noise => !narrow,
            Spoil::Misaligned => scheme != Scheme::Sv32 || leaf.level > 0,
            _ => true,
        });
        let mut value = self.spoilt(kind.unwrap_or(Spoil::Invalid), entry, leaf.level);
        // What has the encoding of a NAPOT range may be kept for 16 pages, and a cache may answer for
        // the others from it: where a machine is watched, each page has one outcome.
        if narrow && scheme != Scheme::Sv32 && value & pte::N != 0 && value >> 10 & 0xf == 8 {
            value ^= 8 << 10;
        }
        self.store_entry(scheme, at, value);
    }

    fn spoilt(&mut self, kind: Spoil, entry: u64, level: u32) -> u64 {
        let (pas, svpbmt) = (self.pas, self.has("Svpbmt"));
        let rsw = self.has("Svrsw60t59b");
        let r = &mut self.r.tables;
        let pointer = entry & !(pte::R | pte::W | pte::X | pte::D | pte::A | pte::U | pte::N);
        match kind {
            Spoil::Reserved => {
                let top = if rsw { 58 } else { 60 };
                let bit = r.range(54, top + 2);
                match bit {
                    b if b <= top => entry | 1 << b,
                    _ if svpbmt => entry | 3 << 61,
                    b => entry | 1 << (61 + b - top - 1),
                }
            }
            Spoil::WriteOnly => entry & !(pte::R | pte::X) | pte::W | *r.pick(&[0, pte::X]),
            Spoil::Misaligned if level > 0 => entry | 1 << (10 + r.below(9 * u64::from(level))),
            Spoil::Misaligned => {
                entry & !(0xf << 10) | pte::N | *r.pick(&[0u64, 1, 4, 9, 12, 15]) << 10
            }
            Spoil::BadNapot if level > 0 => entry | pte::N,
            Spoil::BadNapot => pointer | pte::N,
            Spoil::BadPointer => pointer | *r.pick(&[pte::D, pte::A, pte::U]),
            Spoil::Invalid => entry & !pte::V,
            Spoil::Noise => r.bits() & !pte::G,
            Spoil::FarPointer if pas < 56 => {
                pointer & !(PPN << 10) | 1 << (r.range(u64::from(pas), 55) - 2)
            }
            Spoil::FarPointer => pointer | pte::D,
        }
    }

    // ------------------------------------------------------------------ tangles

    /// An entry of this domain's root leads to a table of another domain.
    fn share_table(&mut self, n: usize) {
        let Some(own) = self.domains[n].tree.as_ref() else {
            return;
        };
        let scheme = own.scheme;
        let machine = own.machine;
        let others: Vec<usize> = (0..self.domains.len())
            .filter(|&o| {
                o != n
                    && self.domains[o]
                        .tree
                        .as_ref()
                        .is_some_and(|t| t.scheme == scheme && t.machine == machine)
            })
            .collect();
        if others.is_empty() {
            return;
        }
        let other = *self.r.tables.pick(&others);
        self.hang(n, other);
        self.domains[other].tangled = true;
    }

    /// An entry of this domain's root leads back to the root, or to a table below it.
    fn loop_table(&mut self, n: usize) {
        if self.domains[n].tree.is_some() {
            self.hang(n, n);
        }
    }

    fn hang(&mut self, n: usize, from: usize) {
        let Some(source) = self.domains[from].tree.as_ref() else {
            return;
        };
        let mut pointers: Vec<u64> = source.pages.keys().copied().collect();
        pointers.sort_unstable();
        if pointers.is_empty() {
            return;
        }
        let pointer = *self.r.tables.pick(&pointers);
        let Some(tree) = self.domains[n].tree.as_ref() else {
            return;
        };
        let (scheme, root) = (tree.scheme, tree.root);
        let slots = 1u64 << scheme.index_bits();
        // Low slots: their addresses are canonical, and traffic goes there.
        let free: Vec<u64> = (0..64.min(slots))
            .map(|i| root + i * scheme.entry_bytes())
            .filter(|&at| self.entry_value(scheme, at) & pte::V == 0)
            .collect();
        if free.is_empty() {
            return;
        }
        let at = *self.r.tables.pick(&free);
        self.store_entry(scheme, at, pointer >> 12 << 10 | pte::V);
        let slot = (at - root) / scheme.entry_bytes();
        let base = slot << scheme.shift(scheme.levels() - 1);
        // Traffic has to find it: the leaves of the other table, seen through this slot.
        let seen: Vec<Leaf> = self.domains[from]
            .tree
            .as_ref()
            .map_or_else(Vec::new, |t| t.leaves.clone());
        let inside = (1u64 << scheme.shift(scheme.levels() - 1)) - 1;
        self.domains[n].tangled = true;
        if let Some(tree) = self.domains[n].tree.as_mut() {
            for l in seen.iter().take(4) {
                tree.leaves.push(Leaf {
                    at: base | l.at & inside & !((1 << 12) - 1),
                    shift: 12,
                    level: u32::MAX,
                    ..*l
                });
            }
        }
    }
}

/// The entry of a leaf.
pub(super) fn leaf_value(leaf: &Leaf) -> u64 {
    let ppn = leaf.to >> 12 & PPN;
    if leaf.napot() {
        // Svnapot: PPN[3:0] = 1000 in each of the 16 entries.
        (ppn & !0xf | 8) << 10 | leaf.flags | pte::N
    } else {
        ppn << 10 | leaf.flags
    }
}

/// The address that a scheme makes of its low bits: sign-extended, or zero-extended.
fn canonical(at: u64, bits: u32, zero: bool) -> u64 {
    let shift = 64 - bits;
    if zero {
        at << shift >> shift
    } else {
        ((at << shift) as i64 >> shift) as u64
    }
}

/// A number for a process or device: in one bit from the first, in sequence, or anywhere.
pub(super) fn next_id(r: &mut Random, kind: IdKind, n: u32, first: u32, bits: u32) -> u32 {
    match kind {
        _ if n == 0 => first,
        IdKind::OneBit => first ^ 1 << r.below(u64::from(bits)),
        IdKind::Dense => (first + n) & ((1u64 << bits) - 1) as u32,
        IdKind::Sparse => r.below(1 << bits) as u32,
    }
}

/// How ids relate.
#[derive(Debug, Clone, Copy)]
pub(super) enum IdKind {
    OneBit,
    Dense,
    Sparse,
}
