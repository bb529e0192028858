//! Page tables of both stages: their formats, and the entries that the driver writes.

use std::collections::BTreeMap;

use super::{DomainId, Driver, PAGE, Refused, VmId, pointer, ppn};

/// First-stage schemes (section "First-Stage context"; Sv32 is that of SXL=1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// No first stage.
    Bare,
    /// 32-bit addresses, two levels of 4-byte entries.
    Sv32,
    /// 39-bit addresses.
    Sv39,
    /// 48-bit addresses.
    Sv48,
    /// 57-bit addresses.
    Sv57,
}

impl Scheme {
    /// Names in test cases, in the order of [`Scheme::ALL`].
    pub const NAMES: [&'static str; 5] = ["Bare", "Sv32", "Sv39", "Sv48", "Sv57"];
    /// All schemes.
    pub const ALL: [Self; 5] = [Self::Bare, Self::Sv32, Self::Sv39, Self::Sv48, Self::Sv57];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Encoding in `iosatp.MODE`.
    #[must_use]
    pub const fn mode(self) -> u64 {
        match self {
            Self::Bare => 0,
            Self::Sv32 | Self::Sv39 => 8,
            Self::Sv48 => 9,
            Self::Sv57 => 10,
        }
    }

    /// Levels of page tables.
    #[must_use]
    pub const fn levels(self) -> u32 {
        match self {
            Self::Bare => 0,
            Self::Sv32 => 2,
            Self::Sv39 => 3,
            Self::Sv48 => 4,
            Self::Sv57 => 5,
        }
    }

    /// The shape of its tables; none for Bare.
    #[must_use]
    pub const fn format(self) -> Option<Format> {
        match self {
            Self::Bare => None,
            Self::Sv32 => Some(Format::new(2, 10, 0)),
            Self::Sv39 => Some(Format::new(3, 9, 0)),
            Self::Sv48 => Some(Format::new(4, 9, 0)),
            Self::Sv57 => Some(Format::new(5, 9, 0)),
        }
    }

    /// Whether an address can be translated: the bits above the scheme's repeat its topmost
    /// (Sv32: they are zero).
    #[must_use]
    pub const fn canonical(self, iova: u64) -> bool {
        match self {
            Self::Bare => true,
            Self::Sv32 => iova >> 32 == 0,
            _ => {
                let shift = 64 - (12 + 9 * self.levels());
                ((iova << shift) as i64 >> shift) as u64 == iova
            }
        }
    }
}

/// Second-stage schemes (section "IO hypervisor guest address translation and protection").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestScheme {
    /// 34-bit guest physical addresses; needs `fctl.GXL`.
    Sv32x4,
    /// 41-bit guest physical addresses.
    Sv39x4,
    /// 50-bit guest physical addresses.
    Sv48x4,
    /// 59-bit guest physical addresses.
    Sv57x4,
}

impl GuestScheme {
    /// Names in test cases, in the order of [`GuestScheme::ALL`].
    pub const NAMES: [&'static str; 4] = ["Sv32x4", "Sv39x4", "Sv48x4", "Sv57x4"];
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::Sv32x4, Self::Sv39x4, Self::Sv48x4, Self::Sv57x4];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Encoding in `iohgatp.MODE`.
    #[must_use]
    pub const fn mode(self) -> u64 {
        match self {
            Self::Sv32x4 | Self::Sv39x4 => 8,
            Self::Sv48x4 => 9,
            Self::Sv57x4 => 10,
        }
    }

    /// The shape of its tables.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Sv32x4 => Format::new(2, 10, 2),
            Self::Sv39x4 => Format::new(3, 9, 2),
            Self::Sv48x4 => Format::new(4, 9, 2),
            Self::Sv57x4 => Format::new(5, 9, 2),
        }
    }
}

/// The shape of page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// Levels.
    pub levels: u32,
    /// Address bits that a level below the root translates: 10 with 4-byte entries, 9 with 8.
    pub index_bits: u32,
    /// Address bits more that the root translates (2 in second stages).
    pub root_extra: u32,
}

impl Format {
    const fn new(levels: u32, index_bits: u32, root_extra: u32) -> Self {
        Self {
            levels,
            index_bits,
            root_extra,
        }
    }

    /// Bytes of an entry.
    #[must_use]
    pub const fn entry_bytes(self) -> u64 {
        if self.index_bits == 10 { 4 } else { 8 }
    }

    /// log2 of the bytes that an entry of a level maps.
    #[must_use]
    pub const fn shift(self, level: u32) -> u32 {
        12 + self.index_bits * level
    }

    /// Bits of an input address.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.shift(self.levels) + self.root_extra
    }

    /// Index of an address in the table of a level.
    #[must_use]
    pub const fn index(self, addr: u64, level: u32) -> u64 {
        let extra = if level + 1 == self.levels {
            self.root_extra
        } else {
            0
        };
        addr >> self.shift(level) & ((1 << (self.index_bits + extra)) - 1)
    }

    /// log2 of the pages of the root table.
    #[must_use]
    pub const fn root_order(self) -> u32 {
        self.root_extra
    }

    /// Level of a leaf of 2^shift bytes, and how many entries it takes (16 for NAPOT).
    #[must_use]
    pub fn leaf(self, shift: u32) -> Option<(u32, u64)> {
        if shift == 16 && self.index_bits == 9 {
            return Some((0, 16));
        }
        (0..self.levels)
            .find(|&l| self.shift(l) == shift)
            .map(|l| (l, 1))
    }
}

/// PTE bits (privileged architecture, "Sv39").
pub mod pte {
    /// Valid.
    pub const V: u64 = 1;
    /// Readable.
    pub const R: u64 = 1 << 1;
    /// Writable.
    pub const W: u64 = 1 << 2;
    /// Executable.
    pub const X: u64 = 1 << 3;
    /// User.
    pub const U: u64 = 1 << 4;
    /// Global.
    pub const G: u64 = 1 << 5;
    /// Accessed.
    pub const A: u64 = 1 << 6;
    /// Dirty.
    pub const D: u64 = 1 << 7;
    /// NAPOT.
    pub const N: u64 = 1 << 63;
    /// Position of RSW.
    pub const RSW_SHIFT: u32 = 8;
    /// Position of the bits of Svrsw60t59b.
    pub const SOFTWARE_SHIFT: u32 = 59;
    /// Position of PBMT.
    pub const PBMT_SHIFT: u32 = 61;
    /// What the driver gives to pages that hold a guest's tables.
    pub const TABLE_PAGE: u64 = V | R | W | U | A | D;
}

/// Leaf sizes of 8-byte entries, in the order of their levels; 64 KiB is NAPOT.
pub const LEAF_SIZES: [(&str, u64); 6] = [
    ("4K", 12),
    ("64K", 16),
    ("2M", 21),
    ("1G", 30),
    ("512G", 39),
    ("256T", 48),
];

/// The superpage of 4-byte entries: its name and log2 of its bytes.
pub const MEGAPAGE: (&str, u64) = ("4M", 22);

/// A leaf entry (or the 16 of a NAPOT region) that the driver wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// First address.
    pub iova: u64,
    /// Where it leads.
    pub pa: u64,
    /// log2 of its bytes.
    pub shift: u32,
    /// PTE bits besides the address.
    pub flags: u64,
}

/// The tables of one stage of one address space.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) name: &'static str,
    pub(super) format: Option<Format>,
    /// Address of the root: a guest physical one where `vm` is given.
    pub(super) root: u64,
    /// The machine whose memory holds the tables.
    pub(super) vm: Option<VmId>,
    pub(super) big: bool,
    /// What a leaf leads to, for messages.
    signed: bool,
    pub(super) leaves: BTreeMap<u64, Leaf>,
}

impl Tables {
    pub(super) fn first(scheme: Scheme, vm: Option<VmId>, big: bool) -> Self {
        Self {
            name: scheme.name(),
            format: scheme.format(),
            root: 0,
            vm,
            big,
            signed: scheme != Scheme::Sv32,
            leaves: BTreeMap::new(),
        }
    }

    pub(super) fn second(scheme: GuestScheme, big: bool) -> Self {
        Self {
            name: scheme.name(),
            format: Some(scheme.format()),
            root: 0,
            vm: None,
            big,
            signed: false,
            leaves: BTreeMap::new(),
        }
    }

    fn holds(&self, format: Format, addr: u64) -> bool {
        let above = 64 - format.bits();
        if self.signed {
            ((addr << above) as i64 >> above) as u64 == addr
        } else {
            addr >> format.bits() == 0
        }
    }

    pub(super) fn lookup(&self, addr: u64) -> Option<(u64, Leaf)> {
        let (_, leaf) = self.leaves.range(..=addr).next_back()?;
        let offset = addr - leaf.iova;
        (offset >> leaf.shift == 0).then(|| (leaf.pa + offset, *leaf))
    }
}

/// The tables of an address space: those of a domain, or a machine's second stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// First stage.
    Domain(DomainId),
    /// Second stage.
    Vm(VmId),
}

impl From<DomainId> for Space {
    fn from(d: DomainId) -> Self {
        Self::Domain(d)
    }
}

impl From<VmId> for Space {
    fn from(v: VmId) -> Self {
        Self::Vm(v)
    }
}

impl Driver {
    pub(super) fn tables_of(&self, space: Space) -> &Tables {
        match space {
            Space::Domain(d) => &self.domains[d.0].tables,
            Space::Vm(v) => &self.vms[v.0].tables,
        }
    }

    fn leaves_mut(&mut self, space: Space) -> &mut BTreeMap<u64, Leaf> {
        match space {
            Space::Domain(d) => &mut self.domains[d.0].tables.leaves,
            Space::Vm(v) => &mut self.vms[v.0].tables.leaves,
        }
    }

    /// The shape of the tables of an address space; none for Bare.
    #[must_use]
    pub fn format(&self, space: impl Into<Space>) -> Option<Format> {
        self.tables_of(space.into()).format
    }

    /// Address of the page-table entry of an address at a level (0 is 4 KiB). Tables on the way
    /// are made. For a guest's first stage, this is where the entry lies in the real machine.
    ///
    /// # Errors
    /// The scheme has no such level or cannot hold the address; a leaf is in the way.
    pub fn table_entry(
        &mut self,
        space: impl Into<Space>,
        addr: u64,
        level: u32,
    ) -> Result<u64, Refused> {
        let t = self.tables_of(space.into());
        let (name, vm, big) = (t.name, t.vm, t.big);
        let format = match t.format {
            Some(f) if level < f.levels => f,
            f => {
                let levels = f.map_or(0, |f| f.levels);
                return Err(Refused(format!("{name} has {levels} levels")));
            }
        };
        if !t.holds(format, addr) {
            return Err(Refused(format!("{addr:#x} is no address of {name}")));
        }
        let mut table = self.host(vm, t.root)?;
        let at = |table: u64, level: u32| table + format.entry_bytes() * format.index(addr, level);
        for n in (level + 1..format.levels).rev() {
            let entry_at = at(table, n);
            let entry = self.word(entry_at);
            if entry & pte::V != 0 && entry & (pte::R | pte::W | pte::X) != 0 {
                return Err(Refused(format!(
                    "{addr:#x} lies in a larger page that is mapped already"
                )));
            }
            let next = if entry & pte::V == 0 {
                let page = self.table_page(vm, 0)?;
                let value = ppn(page) << 10 | pte::V;
                self.store_entry(entry_at, value, format.entry_bytes() as u8, big);
                page
            } else {
                pointer(entry)
            };
            table = self.host(vm, next).map_err(|_| {
                Refused(format!(
                    "the entry above {addr:#x} points to no table of this driver"
                ))
            })?;
            if !self.tables.contains(&table) {
                return Err(Refused(format!(
                    "the entry above {addr:#x} points to no table of this driver"
                )));
            }
        }
        Ok(at(table, level))
    }

    /// Maps one leaf of 2^shift bytes.
    ///
    /// # Errors
    /// The size does not exist, is not aligned, or does not fit what is mapped.
    pub fn map_leaf(
        &mut self,
        space: impl Into<Space>,
        iova: u64,
        pa: u64,
        shift: u32,
        flags: u64,
    ) -> Result<(), Refused> {
        let space = space.into();
        let t = self.tables_of(space);
        let (name, big) = (t.name, t.big);
        let Some(format) = t.format else {
            return Err(Refused(format!("{name} has 0 levels")));
        };
        let Some((level, entries)) = format.leaf(shift) else {
            return Err(Refused(format!("{name} has no pages of 2^{shift} bytes")));
        };
        let mask = (1u64 << shift) - 1;
        if iova & mask != 0 || pa & mask != 0 {
            return Err(Refused(format!(
                "{iova:#x} -> {pa:#x} is not aligned to pages of 2^{shift} bytes"
            )));
        }
        let taken = t
            .leaves
            .range(..=iova | mask)
            .next_back()
            .is_some_and(|(_, l)| l.iova | ((1 << l.shift) - 1) >= iova);
        if taken {
            return Err(Refused(format!("{iova:#x} is mapped already")));
        }
        let bytes = format.entry_bytes() as u8;
        if bytes == 4 && pa >> 34 != 0 {
            return Err(Refused(format!("{pa:#x} does not fit an entry of {name}")));
        }
        // Svnapot: PPN[3:0] = 1000 in each of the 16 entries.
        let value = if entries == 16 {
            (ppn(pa) | 8) << 10 | flags | pte::N
        } else {
            ppn(pa) << 10 | flags
        };
        for n in 0..entries {
            let at = self.table_entry(space, iova + n * PAGE, level)?;
            self.store_entry(at, value, bytes, big);
        }
        self.leaves_mut(space).insert(
            iova,
            Leaf {
                iova,
                pa,
                shift,
                flags,
            },
        );
        Ok(())
    }

    /// Maps a range: with leaves of 2^shift bytes, or the largest that fit.
    ///
    /// # Errors
    /// As [`map_leaf`](Self::map_leaf).
    pub fn map(
        &mut self,
        space: impl Into<Space>,
        iova: u64,
        pa: u64,
        bytes: u64,
        shift: Option<u32>,
        flags: u64,
    ) -> Result<(), Refused> {
        /// Nobody writes a test that needs more entries than that.
        const MAX_LEAVES: u32 = 1 << 20;
        let space = space.into();
        let format = self.tables_of(space).format;
        let mut done = 0;
        let mut leaves = 0;
        while done < bytes {
            let (i, p, left) = (iova.wrapping_add(done), pa.wrapping_add(done), bytes - done);
            let fits = |s: u32| {
                let mask = (1u64 << s) - 1;
                (i | p) & mask == 0 && left > mask
            };
            let shift = match shift {
                Some(s) => s,
                None => LEAF_SIZES
                    .iter()
                    .chain(std::iter::once(&MEGAPAGE))
                    .map(|&(_, s)| s as u32)
                    .filter(|&s| format.is_some_and(|f| f.leaf(s).is_some()) && fits(s))
                    .max()
                    .unwrap_or(12),
            };
            self.map_leaf(space, i, p, shift, flags)?;
            done = done.saturating_add(1 << shift);
            leaves += 1;
            if leaves > MAX_LEAVES {
                return Err(Refused("that needs more than a million pages".into()));
            }
        }
        Ok(())
    }

    /// Clears the entries of a range; returns the leaves that are gone, for invalidation.
    ///
    /// # Errors
    /// Nothing is mapped there, or only part of a leaf would go.
    pub fn unmap(
        &mut self,
        space: impl Into<Space>,
        iova: u64,
        bytes: u64,
    ) -> Result<Vec<Leaf>, Refused> {
        let space = space.into();
        let end = iova.saturating_add(bytes);
        let t = self.tables_of(space);
        let (format, big) = (t.format, t.big);
        let gone: Vec<Leaf> = t.leaves.range(iova..end).map(|(_, &l)| l).collect();
        if gone.is_empty() {
            return Err(Refused(format!("nothing is mapped at {iova:#x}")));
        }
        for leaf in &gone {
            if leaf.iova.saturating_add(1 << leaf.shift) > end {
                return Err(Refused(format!(
                    "the page at {:#x} reaches beyond the range",
                    leaf.iova
                )));
            }
            let Some((f, (level, entries))) = format.and_then(|f| Some((f, f.leaf(leaf.shift)?)))
            else {
                continue; // such a leaf was never mapped
            };
            for n in 0..entries {
                let at = self.table_entry(space, leaf.iova + n * PAGE, level)?;
                self.store_entry(at, 0, f.entry_bytes() as u8, big);
            }
            self.leaves_mut(space).remove(&leaf.iova);
        }
        Ok(gone)
    }

    /// Address and bytes of the entry that maps an address: the first of a NAPOT region's 16.
    ///
    /// # Errors
    /// Nothing is mapped there.
    pub fn leaf_entry(
        &mut self,
        space: impl Into<Space>,
        addr: u64,
    ) -> Result<(u64, u64), Refused> {
        let space = space.into();
        let t = self.tables_of(space);
        let found = t.lookup(addr).and_then(|(_, leaf)| {
            let format = t.format?;
            Some((format, format.leaf(leaf.shift)?))
        });
        let Some((format, (level, _))) = found else {
            return Err(Refused(format!("nothing is mapped at {addr:#x}")));
        };
        let at = self.table_entry(space, addr, level)?;
        Ok((at, format.entry_bytes()))
    }

    /// What this driver mapped at an address: one stage of it.
    #[must_use]
    pub fn lookup(&self, space: impl Into<Space>, addr: u64) -> Option<(u64, Leaf)> {
        self.tables_of(space.into()).lookup(addr)
    }

    /// The leaves of an address space.
    pub fn leaves(&self, space: impl Into<Space>) -> impl Iterator<Item = &Leaf> {
        self.tables_of(space.into()).leaves.values()
    }
}
