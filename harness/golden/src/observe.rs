//! The event callback: each step of a walk, for coverage, traces and reports.

use std::fmt;

use crate::addr::Spa;
use crate::label::Label;
use crate::memory::MemError;

/// A rule of the specification: where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Section, as the specification titles or anchors it.
    pub section: &'static str,
    /// Numbered step or sentence in that section.
    pub step: &'static str,
}

impl Rule {
    /// Names a rule.
    #[must_use]
    pub const fn new(section: &'static str, step: &'static str) -> Self {
        Self { section, step }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.section, self.step)
    }
}

/// Kinds of translation work that HPM events 4 to 8 count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Walk {
    /// A device directory walk begins.
    DeviceDirectory,
    /// A process directory walk begins.
    ProcessDirectory,
    /// A first-stage page-table walk begins.
    FirstStage,
    /// A second-stage page-table walk begins.
    SecondStage,
}

/// One thing that happened while a request was translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEvent<'a> {
    /// Memory was read: an entry of `words` (one, with 4 or 8 bytes, for a page-table entry).
    Load {
        /// Where.
        addr: Spa,
        /// What.
        label: Label,
        /// The entry as read (byte order of memory taken as little-endian) or why not.
        value: Result<&'a [u64], MemError>,
    },
    /// A/D bits were to be set: compare-and-swap of a page-table entry.
    Update {
        /// Where.
        addr: Spa,
        /// What.
        label: Label,
        /// The entry before and after, as in memory.
        change: (u64, u64),
        /// Whether the swap took place; `Ok(false)` restarts at the load.
        done: Result<bool, MemError>,
    },
    /// A walk begins.
    Begin(Walk),
    /// The device context was located.
    Context(&'a crate::context::DeviceContext),
    /// A rule was applied that decided how to go on.
    Rule(Rule),
}

/// Receives the events of a translation.
pub trait Observer {
    /// Called in order, once an event.
    fn on(&mut self, event: &WalkEvent<'_>);
}

/// Listens to nothing; costs nothing.
impl Observer for () {
    #[inline(always)]
    fn on(&mut self, _: &WalkEvent<'_>) {}
}

/// Keeps the events of a closure.
impl<F: FnMut(&WalkEvent<'_>)> Observer for F {
    fn on(&mut self, event: &WalkEvent<'_>) {
        self(event);
    }
}
