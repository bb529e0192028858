//! A and D bits of page-table entries: set by the block, exactly those that a walk sets.

use iommu_bus::event::{BBeat, Resp};
use iommu_bus::mem::SparseMemory;

use crate::dev::{Fate, Ref};
use crate::oracle::{Legal, Update, Verdict};
use crate::ports::{MemWrite, WriteFor, beat_address};
use crate::{Check, Scoreboard, describe_axi};

/// Who walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A device request.
    Dev(Ref),
    /// Another walk, by its serial number.
    Asker(u64),
}

/// An A/D update that is not answered yet.
#[derive(Debug)]
pub(crate) struct Updating {
    /// AXI id of the write.
    pub(crate) id: u8,
    /// The entry.
    pub(crate) addr: u64,
    /// Who waits for it.
    pub(crate) owner: Owner,
    /// How the owner may end without it: by an entry that was held before.
    without: Vec<Verdict>,
    /// When memory executed it.
    pub(crate) stored: Option<u64>,
}

/// An AXI5 atomic (or an exclusive write), decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atomic {
    /// AtomicCompare.
    Compare { size: u8, compare: u64, swap: u64 },
    /// AtomicStore or AtomicLoad with SET, little-endian.
    Set { bits: u64 },
    /// Any other.
    Other,
}

/// The bytes of a burst by address, from its aligned start on.
fn operand(w: &MemWrite) -> ([u8; 32], usize) {
    let bytes = 1usize << w.axi.size.min(3);
    let total = (bytes * (usize::from(w.axi.len) + 1)).min(32);
    let base = w.axi.addr & !(total.next_power_of_two() as u64 - 1);
    let mut all = [0; 32];
    for (n, beat) in w.beats.iter().enumerate() {
        let at = beat_address(&w.axi, n) & !(bytes as u64 - 1);
        for k in 0..bytes as u64 {
            let to = at.wrapping_add(k).wrapping_sub(base) as usize;
            if let Some(byte) = all.get_mut(to) {
                *byte = (beat.data >> (8 * ((at + k) & 7))) as u8;
            }
        }
    }
    (all, total)
}

/// A little-endian value of up to 8 bytes.
fn value(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b))
}

impl Atomic {
    /// What the burst does.
    pub(crate) fn decode(w: &MemWrite) -> Self {
        let (bytes, total) = operand(w);
        let base = w.axi.addr & !(total.next_power_of_two() as u64 - 1);
        let first = (w.axi.addr - base) as usize;
        match w.axi.atop {
            0b11_0001 if matches!(total, 8 | 16) => {
                let width = total / 2;
                // The compare value stands at the address, the other one in the other half.
                let (at, other) = (first & width, (first & width) ^ width);
                Self::Compare {
                    size: width as u8,
                    compare: value(&bytes[at..at + width]),
                    swap: value(&bytes[other..other + width]),
                }
            }
            0b01_0011 | 0b10_0011 if total <= 8 => Self::Set {
                bits: value(&bytes[first..(first + total).min(32)]) << (8 * (w.axi.addr & 7)),
            },
            _ => Self::Other,
        }
    }
}

impl Scoreboard {
    /// What walks that are not decided may read and update.
    pub(crate) fn open_legals(&self) -> impl Iterator<Item = (Owner, &Legal)> {
        self.dev
            .live()
            .filter(|(_, q)| q.fate == Fate::Open && q.barred.is_none())
            .map(|(r, q)| (Owner::Dev(r), &q.legal))
            .chain(
                self.askers
                    .open()
                    .map(|a| (Owner::Asker(a.serial), &a.legal)),
            )
    }

    /// Its own A/D update has not been answered: it must wait for that.
    pub(crate) fn awaits_update(&self, owner: Owner) -> bool {
        self.mem.updating.iter().any(|u| u.owner == owner)
    }

    /// The same of a walk that ends so: not if it could when the update was sent. Then the update
    /// was somebody else's.
    pub(crate) fn needs_update(&self, owner: Owner, ends: impl Fn(&Verdict) -> bool) -> bool {
        let mut own = self.mem.updating.iter().filter(|u| u.owner == owner);
        own.any(|u| !u.without.iter().any(&ends))
    }

    fn ends_without_update(&self, owner: Owner) -> Vec<Verdict> {
        let found = self.open_legals().find(|(o, _)| *o == owner);
        let all = found.map_or(&[][..], |(_, l)| &l.verdicts);
        let free = |v: &&Verdict| match v {
            Verdict::Grant { after_update, .. }
            | Verdict::Mrif { after_update, .. }
            | Verdict::Ats { after_update, .. } => !after_update,
            Verdict::Deny { .. } => false,
        };
        all.iter().filter(free).copied().collect()
    }

    /// Atomics and exclusives of `m_mem` whose data is all in.
    pub(crate) fn explain_atomic(&mut self, w: &MemWrite) -> WriteFor {
        let exclusive = w.axi.lock;
        let kind = if exclusive {
            let size = 1u8 << w.axi.size.min(3);
            let shift = 8 * (w.axi.addr & 7);
            let data = w.beats.first().map_or(0, |b| b.data >> shift);
            Atomic::Compare {
                size,
                compare: 0,
                swap: if size == 4 { data & 0xffff_ffff } else { data },
            }
        } else {
            Atomic::decode(w)
        };
        if exclusive != self.cfg.exclusive_updates {
            self.fail(
                Check::AccessKind,
                if exclusive {
                    "AXI5 atomics: dut.yaml says so"
                } else {
                    "exclusive pairs: dut.yaml says so"
                },
                format!("AW {} atop {:#x}", describe_axi(&w.axi), w.axi.atop),
                String::new(),
            );
        }
        match kind {
            Atomic::Compare {
                size,
                compare,
                swap,
            } => self.explain_update(w, size, (compare, swap), exclusive),
            Atomic::Set { bits } => self.mrif_update(w, bits),
            Atomic::Other => {
                self.fail(
                    Check::AccessKind,
                    "AtomicCompare for A/D bits, AtomicStore or AtomicLoad with SET for an MRIF",
                    format!("AW {} atop {:#x}", describe_axi(&w.axi), w.axi.atop),
                    String::new(),
                );
                WriteFor::Unknown
            }
        }
    }

    /// The oldest walk that is not decided and makes this update, and what it knows of it: one with
    /// the QoS ids that it carries, if there is any.
    fn update_for(&self, made: &Update, exclusive: bool) -> Option<(Owner, Update)> {
        let own = self.update_with(made, exclusive, |u| u.user == made.user);
        own.or_else(|| self.update_with(made, exclusive, |_| true))
    }

    /// One that waits for an update of its own already comes last.
    fn update_with(
        &self,
        made: &Update,
        exclusive: bool,
        wanted: impl Fn(&Update) -> bool,
    ) -> Option<(Owner, Update)> {
        let mut all = self.open_legals().filter_map(|(owner, l)| {
            l.updates
                .iter()
                .find(|u| {
                    u.addr == made.addr
                        && u.size == made.size
                        && u.change.1 == made.change.1
                        && (exclusive || u.change.0 == made.change.0)
                        && wanted(u)
                })
                .map(|u| (owner, *u))
        });
        let first = all.next()?;
        if self.mem.updating.is_empty() || !self.awaits_update(first.0) {
            return Some(first);
        }
        all.find(|(owner, _)| !self.awaits_update(*owner))
            .or(Some(first))
    }

    fn explain_update(
        &mut self,
        w: &MemWrite,
        size: u8,
        change: (u64, u64),
        exclusive: bool,
    ) -> WriteFor {
        let addr = w.axi.addr;
        let mut update = Update {
            addr,
            size,
            change,
            user: w.axi.user,
            big: false,
        };
        let found = self.update_for(&update, exclusive);
        if let Some((owner, due)) = found {
            // One that comes too late will fail, and nobody waits for that.
            if exclusive || self.oracle.words.holds(addr, size, change.0) {
                let without = self.ends_without_update(owner);
                self.mem.updating.push(Updating {
                    id: w.axi.id,
                    addr,
                    owner,
                    without,
                    stored: None,
                });
            }
            self.check_user("AW", &w.axi, &[due.user]);
            update.big = due.big;
        } else {
            let near = |(_, l): &(Owner, &Legal)| {
                l.loads.iter().any(|l| l.addr == addr) || l.updates.iter().any(|u| u.addr == addr)
            };
            // A compare that fails changes nothing; it must aim at an entry of a walk all the same.
            if self.open_legals().find(near).is_none() && !self.cfg.speculates {
                let story = self.open_requests();
                self.fail(
                    Check::UpdateUnexpected,
                    "an update of a page-table entry that an undecided request walks through",
                    format!("{} {}", describe_axi(&w.axi), change_text(change)),
                    story,
                );
            }
        }
        WriteFor::Update {
            update,
            explained: found.is_some(),
            exclusive,
        }
    }

    /// Memory executed the update: it must have been due, if it changed anything.
    pub(crate) fn on_update_stored(&mut self, id: u8, mem: &SparseMemory) {
        let Some(w) = self.mem.writes.of(id).front() else {
            return;
        };
        let WriteFor::Update {
            mut update,
            explained,
            exclusive,
        } = w.of
        else {
            return;
        };
        let old = w.old;
        let due_now = self.update_for(&update, exclusive);
        if let Some((_, due)) = due_now {
            update.big = due.big;
        }
        let (addr, change) = (update.addr, update.change);
        let done = exclusive || old == Some(change.0);
        if done {
            if exclusive && let Some((_, due)) = due_now {
                // What an exclusive write replaces does not stand on the bus.
                update.change.0 = due.change.0;
            }
            for u in self.mem.updating.iter_mut().filter(|u| u.id == id) {
                u.stored = Some(self.now);
            }
            // From now on walks may find it; who waits for its B is told by `awaits_update`.
            self.oracle.updated(self.now, &update, mem);
            let copies = update.copies();
            self.mark_users(copies.start, copies.end - copies.start);
        } else {
            self.mem.updating.retain(|u| u.id != id);
        }
        if explained || !done || due_now.is_some() {
            return;
        }
        let only_a = {
            let bits = change.0 ^ change.1;
            bits == 1 << 6 || bits == (1u64 << 6).swap_bytes() || bits == 1 << 30
        };
        if self.cfg.speculates && only_a {
            // "A" may be set for a walk that nobody asked for; D never.
            self.counters.speculative_updates += 1;
            return;
        }
        let due: Vec<String> = self
            .open_legals()
            .flat_map(|(_, l)| &l.updates)
            .filter(|u: &&Update| u.addr == addr)
            .map(|u| change_text(u.change))
            .collect();
        let want = if due.is_empty() {
            format!("no change of the entry at {addr:#x}")
        } else {
            due.join(" or ")
        };
        let story = self.open_requests();
        self.fail(Check::UpdateUnexpected, want, change_text(change), story);
    }

    /// Memory returned an entry, as it was at `sampled`: an update that it had executed by then can
    /// be seen, and nobody need wait for its answer.
    pub(crate) fn update_is_seen(&mut self, sampled: u64, data: &[(u64, u64)]) {
        for &(addr, _) in data {
            let here = |u: &Updating| u.addr & !7 == addr;
            let seen = |u: &Updating| here(u) && u.stored.is_some_and(|at| at < sampled);
            if self.mem.updating.iter().any(seen) {
                self.mem.updating.retain(|u| !here(u));
            }
        }
    }

    /// The answer to an update: from now on what depends on it may go ahead.
    pub(crate) fn on_update_done(&mut self, w: &MemWrite, b: BBeat, mem: &SparseMemory) {
        let WriteFor::Update {
            update, exclusive, ..
        } = w.of
        else {
            return;
        };
        let done = match b.resp {
            Resp::ExOkay => exclusive,
            Resp::Okay => !exclusive && w.old == Some(update.change.0),
            Resp::SlvErr | Resp::DecErr => false,
        };
        // Two walks may send the same update, and which was whose nobody can tell: whoever
        // waits for the entry finds it set.
        self.mem
            .updating
            .retain(|u| u.id != b.id && !(done && u.addr == update.addr));
        if done {
            self.counters.updates += 1;
            let copies = update.copies();
            self.mark_users(copies.start, copies.end - copies.start);
            self.ask_again(mem);
        }
    }
}

fn change_text(change: (u64, u64)) -> String {
    format!(
        "{:#018x} to {:#018x} (bits {:#x})",
        change.0,
        change.1,
        change.0 ^ change.1
    )
}
