//! What every agent gets to see and to write in a clock.

use iommu_bus::SparseMemory;
use iommu_bus::event::{At, Event};

use crate::protocol::{Channel, Port, Rule, Violation};

/// The memory behind both memory ports, with its exclusive monitors.
#[derive(Debug, Default)]
pub(crate) struct SharedMemory {
    pub(crate) mem: SparseMemory,
    monitors: Vec<Monitor>,
}

/// An exclusive read that no store has disturbed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Monitor {
    port: Port,
    id: u8,
    start: u64,
    end: u64,
}

impl SharedMemory {
    /// An exclusive read of `[start, end)`; it replaces the last one of the same id.
    pub(crate) fn watch(&mut self, port: Port, id: u8, start: u64, end: u64) {
        self.monitors.retain(|m| m.port != port || m.id != id);
        self.monitors.push(Monitor {
            port,
            id,
            start,
            end,
        });
    }

    /// Whether an exclusive write may store: the same id read the same bytes, undisturbed.
    pub(crate) fn watched(&self, port: Port, id: u8, start: u64, end: u64) -> bool {
        self.monitors.contains(&Monitor {
            port,
            id,
            start,
            end,
        })
    }

    /// A store to `[start, end)` ends the monitors that it touches.
    pub(crate) fn disturb(&mut self, start: u64, end: u64) {
        if !self.monitors.is_empty() {
            self.monitors.retain(|m| m.end <= start || end <= m.start);
        }
    }

    pub(crate) fn forget_monitors(&mut self) {
        self.monitors.clear();
    }
}

/// The clock that is being made, and where its outcome goes.
pub(crate) struct Clock<'a> {
    pub(crate) cycle: u64,
    /// `rst_ni` is low.
    pub(crate) reset: bool,
    /// In reset, or at the first clock edge after it: no valid may be high.
    pub(crate) quiet: bool,
    pub(crate) events: &'a mut Vec<At>,
    pub(crate) violations: &'a mut Vec<Violation>,
}

impl Clock<'_> {
    #[inline]
    pub(crate) fn event(&mut self, event: Event) {
        self.events.push(At {
            cycle: self.cycle,
            event,
        });
    }

    #[cold]
    pub(crate) fn violation(
        &mut self,
        port: Port,
        channel: Channel,
        rule: Rule,
        detail: impl FnOnce() -> String,
    ) {
        self.violations.push(Violation {
            cycle: self.cycle,
            port,
            channel,
            rule,
            detail: detail(),
        });
    }

    /// Reports a valid that is high where none may be.
    #[inline]
    pub(crate) fn check_quiet(&mut self, port: Port, channel: Channel, valid: bool) {
        if self.quiet && valid {
            let reset = self.reset;
            self.violation(port, channel, Rule::ValidInReset, || {
                if reset {
                    "valid while rst_ni is low".into()
                } else {
                    "valid at the first clock edge after reset".into()
                }
            });
        }
    }
}
