//! Races: edits of tables, accesses, invalidations, and how far apart they are.

use iommu_golden::Capabilities as C;

use super::command::Kind;
use super::{FIRST, PD, SECOND, needs_any};
use crate::cover::Impossible;
use crate::{axis, covers, first, needs, when};

axis! {
    /// A table.
    pub enum Table: "table" { Directory = "directory", First = "first stage", Second = "second stage", Msi = "MSI table" }
}

axis! {
    /// Clocks between two events.
    pub enum Distance: "clocks" {
        Now = "0 to 3", Few = "4 to 15", Walk = "16 to 63", Long = "64 to 255", Longer = "256 to 4095", Far = "more",
    }
}

axis! {
    /// What software has done since an edit.
    pub enum Sync: "since the edit" { None = "no invalidation", Invalidated = "invalidated", Fenced = "fenced" }
}

axis! {
    /// How an entry was changed.
    pub enum Change: "change" {
        Set = "V set", Cleared = "V cleared", ToLeaf = "pointer to leaf", ToPointer = "leaf to pointer",
        Moved = "another page", Flags = "other bits",
    }
}

impl Distance {
    /// Of a number of clocks.
    #[must_use]
    pub fn of(clocks: u64) -> Self {
        match clocks {
            0..=3 => Distance::Now,
            4..=15 => Distance::Few,
            16..=63 => Distance::Walk,
            64..=255 => Distance::Long,
            256..=4095 => Distance::Longer,
            _ => Distance::Far,
        }
    }
}

static FENCE_TAKES_TIME: Impossible = Impossible {
    name: "synchronising-takes-time",
    why: "a command is fetched from memory, and a fence after it: not within 3 clocks of the edit, nor 15 for both",
};
static NO_INVALIDATION: Impossible = Impossible {
    name: "only-invalidations",
    why: "not a command that invalidates the block's own caches",
};

covers! {
    /// Races.
    pub struct RaceCoverage: "race" {
        /// The first request after an edit of an entry that it uses: how long after, and after what.
        must "INV-09" edit: [Table, Distance, Sync] except |(table, d, sync), t| first([
            needs_any(t, "a first stage", FIRST, table == Table::First),
            needs_any(t, "a second stage", SECOND, table == Table::Second),
            needs(t, "MSI_FLAT", C::MSI_FLAT, table == Table::Msi),
            needs_any(t, "a second stage", SECOND, table == Table::Msi),
            when(&FENCE_TAKES_TIME, d == Distance::Now && sync != Sync::None),
            when(&FENCE_TAKES_TIME, d == Distance::Few && sync == Sync::Fenced),
        ]);
        /// An invalidation fetched while requests were undecided: how long after the last of them.
        must "INV-09" invalidate: [Kind, Distance] except |(kind, _), t| first([
            when(&NO_INVALIDATION, !matches!(kind, Kind::Vma | Kind::Gvma | Kind::Ddt | Kind::Pdt)),
            needs_any(t, "a process directory", PD, kind == Kind::Pdt),
        ]);
        /// How an entry changed between two walks that read it.
        must "INV-11" change: [Table, Change] except |(table, c), t| first([
            needs_any(t, "a first stage", FIRST, table == Table::First),
            needs_any(t, "a second stage", SECOND, table == Table::Second),
            needs(t, "MSI_FLAT", C::MSI_FLAT, table == Table::Msi),
            needs_any(t, "a second stage", SECOND, table == Table::Msi),
            when(&NO_LEAVES, matches!(table, Table::Directory | Table::Msi) && matches!(c, Change::ToLeaf | Change::ToPointer)),
        ]);
    }
}

static NO_LEAVES: Impossible = Impossible {
    name: "level-decides",
    why: "in directories and MSI tables the level decides what an entry is",
};
