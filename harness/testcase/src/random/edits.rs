//! Edits of tables, and the commands that tell the IOMMU: enough for each edit,
//! never less. Racing or not, what an edit does to a run is the scoreboard's
//! affair.

use crate::driver::{PAGE, deposit, pte, range_operand};
use crate::op::Op;
use crate::regs;

use super::knobs::{EditKind, Fence, Invalidation};
use super::profile::{Amount, Chance};
use super::tables::{Leaf, Which, leaf_value};
use super::world::{MESSAGES, World, one_of};

/// What an edit has made stale.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stale {
    Nothing,
    /// A leaf of a first stage.
    Leaf(usize, Leaf),
    /// A table of a first stage, and what it leads to.
    Table(usize, Leaf),
    /// A leaf of a second stage.
    GuestLeaf(usize, Leaf),
    /// A table of a second stage, and what it leads to.
    GuestTable(usize, Leaf),
    /// An entry of an MSI page table, by its page's address.
    Message(usize, u64),
    Context(u32),
    Process(u32, u32),
    /// A non-leaf entry of the device directory, on the way to this device.
    Directory(u32),
    /// The same of this device's process directory, on the way to this process.
    ProcessDirectory(u32, u32),
    Everything,
}

impl World {
    /// A round's edits: at rest, or while traffic goes on.
    pub fn edits(&mut self, ids: u64) {
        if self.driver.cfg.directory.levels() == 0 {
            return;
        }
        let p = self.profile.clone();
        let count = p.amount(Amount::Edits, &mut self.r.edits);
        for _ in 0..count {
            let stale = self.edit(ids);
            if self.racing {
                self.focus = Some(stale);
                self.focus_page = None;
                self.meanwhile(ids);
                self.tell(stale);
                self.meanwhile(ids);
                self.draw_fence();
                self.meanwhile(ids);
            } else {
                self.tell(stale);
            }
        }
        self.focus = None;
        if !self.racing && count > 0 {
            self.draw_fence();
        }
    }

    /// Clocks and accesses between two steps of an edit.
    fn meanwhile(&mut self, ids: u64) {
        let p = self.profile.clone();
        for _ in 0..p.amount(Amount::EditTraffic, &mut self.r.edits) {
            if self.room() > 2 {
                self.access(ids);
            }
        }
        let gap = p.amount(Amount::EditGap, &mut self.r.edits) as u32;
        if gap > 0 {
            self.push("between edits", Op::Cycles(gap));
        }
        if gap > 255 && self.room() > 2 && self.r.aim.percent(70) {
            // What was edited long ago, and is not told yet.
            self.access(ids);
        }
    }

    fn random_leaf(&mut self, which: Which) -> Option<(usize, Leaf)> {
        let count = self.leaves(which).len();
        let n = self.r.edits.below(count as u64) as usize;
        self.leaves(which).get(n).map(|&l| (n, l))
    }

    /// What is about to be edited is in use, in some cases; `ids` for the accesses, if there may be any.
    fn warm(&mut self, stale: Stale, ids: Option<u64>) {
        let p = self.profile.clone();
        let warm = p.chance(Chance::Warm, &mut self.r.warm);
        let Some(ids) = ids.filter(|_| warm && self.racing) else {
            return;
        };
        let before = self.focus.replace(stale);
        for _ in 0..self.r.warm.range(2, 6) {
            if self.room() > 2 {
                self.access(ids);
            }
        }
        self.focus = before;
        // The walks are under way then, or over.
        let gap = match self.r.warm.below(4) {
            0 => 0,
            1 | 2 => self.r.warm.range(1, 80),
            _ => self.r.warm.range(100, 400),
        };
        if gap > 0 {
            self.push("in use", Op::Cycles(gap as u32));
        }
    }

    /// The same of a leaf that is about to change, whose A and D may be cleared before.
    fn warm_leaf(&mut self, which: Which, n: usize, leaf: Leaf, ids: Option<u64>) {
        let p = self.profile.clone();
        let unset = p.chance(Chance::Unset, &mut self.r.warm);
        let stale = self.stale_leaf(which, leaf);
        let entry = self.leaf_entry(which, &leaf);
        if unset
            && self.racing
            && ids.is_some()
            && !leaf.napot()
            && let Some(at) = entry
            && let Some(scheme) = self.tree(which).map(|t| t.scheme)
        {
            let lost = if self.r.warm.percent(50) {
                pte::A | pte::D
            } else {
                pte::D
            };
            let flags = leaf.flags & !lost;
            let new = Leaf { flags, ..leaf };
            self.store_entry(scheme, at, leaf_value(&new));
            if let Some(t) = self.tree_mut(which) {
                t.leaves[n] = new;
            }
            self.collect("A and D are clear");
            self.tell(stale);
            self.draw_fence();
        }
        self.warm(stale, ids);
    }

    fn edit(&mut self, ids: u64) -> Stale {
        let ids = Some(ids);
        let p = self.profile.clone();
        let domain = one_of(&mut self.r.edits, &self.cast.domains, self.domains.len());
        let which = Which::Domain(domain);
        let device = one_of(&mut self.r.edits, &self.cast.devices, self.devices.len());
        let has_tree = self.domains[domain].tree.is_some();
        let machines = self.machines.len();
        let with_messages: Vec<usize> = (0..machines)
            .filter(|&m| self.machines[m].messages.is_some())
            .collect();
        let processes = self.devices[device].processes.is_some();
        let kind = p.pick_of(&mut self.r.edits, |k: EditKind| match k {
            EditKind::Map | EditKind::Unmap | EditKind::Change => has_tree,
            EditKind::Resize | EditKind::Pointer => has_tree,
            EditKind::Process => processes,
            EditKind::Message => !with_messages.is_empty(),
            EditKind::Guest => machines > 0,
            EditKind::Ats => self.ats,
            EditKind::Directory => processes || self.driver.cfg.directory.levels() > 1,
            EditKind::Context | EditKind::Acknowledge => true,
        });
        match kind {
            None => Stale::Nothing,
            Some(EditKind::Map) => {
                self.map_something(which);
                Stale::Nothing
            }
            Some(EditKind::Unmap) => self.unmap(which, ids),
            Some(EditKind::Change) => self.change(which, ids),
            Some(EditKind::Resize) => self.resize(domain),
            Some(EditKind::Pointer) => self.cut_pointer(which, ids),
            Some(EditKind::Context) => {
                self.warm(Stale::Context(self.devices[device].id), ids);
                self.change_context(device)
            }
            Some(EditKind::Ats) => self.change_ats(device),
            Some(EditKind::Process) => self.change_process(device),
            Some(EditKind::Directory) => self.change_directory(device),
            Some(EditKind::Message) => {
                let m = *self.r.edits.pick(&with_messages);
                let Some(t) = self.machines[m].messages else {
                    return Stale::Nothing;
                };
                let file = self.r.edits.below(t.count);
                let stale = Stale::Message(m, message_page(t.mask, t.pattern, file));
                self.warm(stale, ids);
                self.write_message_entry(m, file);
                stale
            }
            Some(EditKind::Guest) => {
                let m = self.r.edits.below(machines as u64) as usize;
                match self.r.edits.below(8) {
                    0 | 1 => self.hide_table(m, ids),
                    2 | 3 => self.cut_pointer(Which::Machine(m), ids),
                    _ => self.edit_of(Which::Machine(m), ids),
                }
            }
            Some(EditKind::Acknowledge) => {
                // The interrupt handler's part.
                let pages = if self.ats { 1 << 3 } else { 0 };
                self.write("acknowledge", regs::IPSR, 4, 3 | pages);
                Stale::Nothing
            }
        }
    }

    /// The page of a guest's own table is no longer mapped, or is again.
    fn hide_table(&mut self, m: usize, ids: Option<u64>) -> Stale {
        // Pages that contexts point to, half the time: what they lead to may be kept with them.
        let mut roots: Vec<u64> = self
            .domains
            .iter()
            .filter(|d| d.machine == Some(m))
            .filter_map(|d| d.tree.as_ref().map(|t| t.pointer))
            .collect();
        let devices = self.devices.iter().filter(|d| d.machine == Some(m));
        roots.extend(devices.filter_map(|d| d.processes.as_ref().map(|p| p.pointer)));
        let only = self.r.edits.percent(50);
        let of = |l: &&Leaf| !only || roots.contains(&l.at);
        let pages: Vec<Leaf> = self.machines[m]
            .backing
            .iter()
            .filter(of)
            .copied()
            .collect();
        let n = self.r.edits.below(pages.len() as u64) as usize;
        let Some(leaf) = pages.get(n).copied() else {
            return Stale::Nothing;
        };
        let scheme = self.machines[m].tree.scheme;
        let Some(at) = self.leaf_entry(Which::Machine(m), &leaf) else {
            return Stale::Nothing;
        };
        self.warm(Stale::GuestLeaf(m, leaf), ids);
        let old = self.entry_value(scheme, at);
        self.store_entry(scheme, at, old ^ pte::V);
        self.collect("a guest's table is hidden, or back");
        Stale::GuestLeaf(m, leaf)
    }

    /// An edit of a leaf of this tree.
    pub(super) fn edit_of(&mut self, which: Which, ids: Option<u64>) -> Stale {
        if self.r.edits.percent(50) {
            self.unmap(which, ids)
        } else {
            self.change(which, ids)
        }
    }

    fn stale_leaf(&self, which: Which, leaf: Leaf) -> Stale {
        match which {
            Which::Domain(d) if self.domains[d].tangled => Stale::Everything,
            Which::Domain(d) => Stale::Leaf(d, leaf),
            Which::Machine(m) => Stale::GuestLeaf(m, leaf),
        }
    }

    fn unmap(&mut self, which: Which, ids: Option<u64>) -> Stale {
        let Some((n, leaf)) = self.random_leaf(which) else {
            return Stale::Nothing;
        };
        let Some(scheme) = self.tree(which).map(|t| t.scheme) else {
            return Stale::Nothing;
        };
        let Some(first) = self.leaf_entry(which, &leaf) else {
            return Stale::Nothing;
        };
        let (entries, bytes) = (
            if leaf.napot() { 16 } else { 1 },
            if scheme == super::tables::Scheme::Sv32 {
                4
            } else {
                8
            },
        );
        self.warm(self.stale_leaf(which, leaf), ids);
        // All of it, or V alone: what is left may be anything.
        let keep = self.r.edits.percent(30);
        for n in 0..entries {
            let at = first + n * bytes;
            let value = if keep {
                self.entry_value(scheme, at) & !pte::V
            } else {
                0
            };
            self.store_entry(scheme, at, value);
        }
        if let Some(t) = self.tree_mut(which) {
            t.leaves.remove(n);
        }
        self.ghost(which, leaf);
        self.collect("unmap");
        self.stale_leaf(which, leaf)
    }

    fn change(&mut self, which: Which, ids: Option<u64>) -> Stale {
        let Some((n, leaf)) = self.random_leaf(which) else {
            return Stale::Nothing;
        };
        let Some(tree) = self.tree(which) else {
            return Stale::Nothing;
        };
        let (scheme, guest) = (tree.scheme, tree.guest);
        if leaf.napot() {
            // Its entries would differ for a moment.
            return self.unmap(which, ids);
        }
        let Some(at) = self.leaf_entry(which, &leaf) else {
            return Stale::Nothing;
        };
        self.warm_leaf(which, n, leaf, ids);
        let flags = self.draw_flags(scheme, guest);
        let new = if self.r.edits.percent(50) {
            Leaf { flags, ..leaf }
        } else {
            // The other half of what it led to.
            let to = leaf.to ^ 1 << leaf.shift;
            Leaf { to, ..leaf }
        };
        self.store_entry(scheme, at, leaf_value(&new));
        if let Some(t) = self.tree_mut(which) {
            t.leaves[n] = new;
        }
        self.collect("change a leaf");
        self.stale_leaf(which, leaf)
    }

    /// A leaf becomes a table of smaller ones that lead to the same.
    fn resize(&mut self, domain: usize) -> Stale {
        let which = Which::Domain(domain);
        let Some((n, leaf)) = self.random_leaf(which) else {
            return Stale::Nothing;
        };
        let Some(tree) = self.tree(which) else {
            return Stale::Nothing;
        };
        let (scheme, machine) = (tree.scheme, tree.machine);
        if leaf.level == 0 || leaf.level > 2 {
            return Stale::Nothing;
        }
        let Some(at) = self.leaf_entry(which, &leaf) else {
            return Stale::Nothing;
        };
        let (spa, pointer) = self.table_page(machine);
        let shift = scheme.shift(leaf.level - 1);
        let bytes = if scheme == super::tables::Scheme::Sv32 {
            4
        } else {
            8
        };
        let slots = PAGE / bytes;
        let mut small = Vec::new();
        for _ in 0..8 {
            let slot = self.r.edits.below(slots);
            let part = Leaf {
                at: leaf.at + (slot << shift),
                to: leaf.to + (slot << shift),
                shift,
                level: leaf.level - 1,
                flags: leaf.flags,
            };
            self.store_entry(scheme, spa + slot * bytes, leaf_value(&part));
            small.push(part);
        }
        self.store_entry(scheme, at, pointer >> 12 << 10 | pte::V);
        if let Some(t) = self.tree_mut(which) {
            t.pages.insert(pointer, spa);
            t.leaves.remove(n);
            small.dedup();
            t.leaves.extend(small);
        }
        self.collect("a leaf becomes a table");
        self.stale_table(which, leaf)
    }

    /// A pointer to a table loses V, or has it again.
    fn cut_pointer(&mut self, which: Which, ids: Option<u64>) -> Stale {
        let Some((_, leaf)) = self.random_leaf(which) else {
            return Stale::Nothing;
        };
        let Some(tree) = self.tree(which) else {
            return Stale::Nothing;
        };
        let (scheme, levels) = (tree.scheme, tree.scheme.levels());
        if leaf.level >= levels - 1 {
            return Stale::Nothing;
        }
        let level = self
            .r
            .edits
            .range(u64::from(leaf.level) + 1, u64::from(levels) - 1) as u32;
        let Some(at) = self.entry(which, leaf.at, level) else {
            return Stale::Nothing;
        };
        let old = self.entry_value(scheme, at);
        if old & (pte::R | pte::W | pte::X) != 0 {
            return Stale::Nothing;
        }
        let shift = scheme.shift(level);
        let low = leaf.at >> shift << shift;
        let table = Leaf {
            at: low,
            shift,
            level,
            ..leaf
        };
        self.warm(self.stale_table(which, table), ids);
        // A new table that is empty, or a copy of the old one: `entry` made it as it had to.
        self.store_entry(scheme, at, old & !pte::V);
        let keep = self.r.edits.percent(25);
        if keep {
            self.push("a pointer is gone for a moment", Op::Cycles(20));
            self.store_entry(scheme, at, old);
        }
        if !keep && let Some(t) = self.tree_mut(which) {
            let below = |l: &Leaf| l.at.wrapping_sub(low) < 1u64 << shift;
            let gone: Vec<Leaf> = t.leaves.iter().filter(|l| below(l)).copied().collect();
            t.leaves.retain(|l| !below(l));
            for leaf in gone {
                self.ghost(which, leaf);
            }
        }
        self.collect("cut a pointer");
        self.stale_table(which, table)
    }

    fn stale_table(&self, which: Which, table: Leaf) -> Stale {
        match which {
            Which::Domain(d) if self.domains[d].tangled => Stale::Everything,
            Which::Domain(d) => Stale::Table(d, table),
            Which::Machine(m) => Stale::GuestTable(m, table),
        }
    }

    fn change_context(&mut self, n: usize) -> Stale {
        self.settle_devices();
        let mut d = self.devices[n].clone();
        if d.attached && self.r.edits.percent(60) {
            d.attached = false;
            let Ok(at) = self.driver.directory_entry(d.id, 0) else {
                return Stale::Nothing;
            };
            let old = self.driver.word(at);
            self.store_word(at, old & !1);
            self.collect("detach");
        } else {
            if d.attached && d.processes.is_none() {
                // To another domain of the same kind: its words change one after the other, so V
                // is clear while they do.
                let id = d.id;
                if let Ok(at) = self.driver.directory_entry(id, 0) {
                    let old = self.driver.word(at);
                    self.store_word(at, old & !1);
                    self.driver.invalidate_directory(Some(id));
                    self.driver.fence(true, true);
                    self.collect("detach");
                }
                let narrow = d.tc & super::contexts::tc::SXL != 0;
                let play = &self.cast.domains;
                let fits: Vec<usize> = (0..self.domains.len())
                    .filter(|x| play.is_empty() || play.contains(x))
                    .filter(|&x| {
                        self.domains[x]
                            .tree
                            .as_ref()
                            .is_some_and(|t| (t.scheme == super::tables::Scheme::Sv32) == narrow)
                    })
                    .collect();
                if !fits.is_empty() {
                    let x = *self.r.edits.pick(&fits);
                    d.domain = Some(x);
                    d.machine = self.domains[x].machine;
                }
            }
            d.attached = self.write_context(&d);
        }
        let id = d.id;
        self.devices[n] = d;
        Stale::Context(id)
    }

    fn change_process(&mut self, n: usize) -> Stale {
        let mut d = self.devices[n].clone();
        let (id, machine) = (d.id, d.machine);
        let Some(p) = d.processes.as_mut().filter(|p| !p.list.is_empty()) else {
            return Stale::Nothing;
        };
        let i = self.r.edits.below(p.list.len() as u64) as usize;
        let x = p.list[i];
        if x.present {
            p.list[i].present = false;
            self.write_process(machine, p, x.id, None);
        } else {
            p.list[i].present = true;
            self.write_process(machine, p, x.id, Some(x.domain));
        }
        self.devices[n] = d;
        Stale::Process(id, x.id)
    }

    /// The words of a directory page, in another one.
    fn copy_page(&mut self, from: u64, to: u64) {
        for at in (0..PAGE).step_by(8) {
            let word = self.driver.word(from + at);
            if word != 0 {
                self.store_word(to + at, word);
            }
        }
    }

    /// A pointer of the device directory, or of the device's process directory.
    fn change_directory(&mut self, n: usize) -> Stale {
        let levels = self.driver.cfg.directory.levels();
        let deep = self.devices[n]
            .processes
            .as_ref()
            .is_some_and(|p| p.mode > 1);
        if deep && (levels < 2 || self.r.edits.percent(50)) {
            return self.redirect_processes(n);
        }
        if levels < 2 {
            return Stale::Nothing;
        }
        self.settle_devices();
        let id = self.devices[n].id;
        let level = self.r.edits.range(1, u64::from(levels) - 1) as u32;
        let Ok(at) = self.driver.directory_entry(id, level) else {
            return Stale::Nothing;
        };
        let old = self.driver.word(at);
        if old & 1 == 0 {
            return Stale::Nothing;
        }
        if self.r.edits.percent(20) {
            // Whoever is written there later gets a new page.
            self.store_word(at, old & !1);
            let shift = self.driver.directory_shift(level);
            for d in &mut self.devices {
                d.attached &= d.id >> shift != id >> shift;
            }
        } else {
            let from = old >> 10 << 12 & ((1 << 56) - 1);
            let (to, _) = self.table_page(None);
            self.copy_page(from, to);
            if level == 1
                && self.r.edits.percent(40)
                && let Ok(dc) = self.driver.directory_entry(id, 0)
            {
                // In the copy it has no context.
                let dc = to + (dc & (PAGE - 1));
                let tc = self.driver.word(dc);
                self.store_word(dc, tc & !1);
                self.devices[n].attached = false;
            }
            self.store_word(at, to >> 12 << 10 | 1);
        }
        self.collect("a pointer of the device directory");
        Stale::Directory(id)
    }

    fn redirect_processes(&mut self, n: usize) -> Stale {
        let (id, machine) = (self.devices[n].id, self.devices[n].machine);
        let Some(mut p) = self.devices[n].processes.clone() else {
            return Stale::Nothing;
        };
        if p.list.is_empty() {
            return Stale::Nothing;
        }
        let i = self.r.edits.below(p.list.len() as u64) as usize;
        let process = p.list[i].id;
        let level = self.r.edits.range(1, u64::from(p.mode) - 1) as u32;
        let Some(at) = self.process_entry(&p, process, level) else {
            return Stale::Nothing;
        };
        let old = self.driver.word(at);
        let Some(&from) = p.pages.get(&(old >> 10 << 12 & ((1 << 56) - 1))) else {
            return Stale::Nothing;
        };
        if old & 1 == 0 {
            return Stale::Nothing;
        }
        if self.r.edits.percent(20) {
            self.store_word(at, old & !1);
            let shift = 8 + 9 * (level - 1);
            for x in &mut p.list {
                x.present &= x.id >> shift != process >> shift;
            }
        } else {
            let (to, pointer) = self.table_page(machine);
            self.copy_page(from, to);
            if level == 1 && self.r.edits.percent(40) {
                let pc = to + 16 * u64::from(process & 0xff);
                let ta = self.driver.word(pc);
                self.store_word(pc, ta & !1);
                p.list[i].present = false;
            }
            p.pages.insert(pointer, to);
            self.store_word(at, pointer >> 12 << 10 | 1);
        }
        self.devices[n].processes = Some(p);
        self.collect("a pointer of a process directory");
        Stale::ProcessDirectory(id, process)
    }

    // ----------------------------------------------------------------- commands

    /// The commands that an edit needs.
    pub(super) fn tell(&mut self, stale: Stale) {
        let p = self.profile.clone();
        let how = p.pick::<Invalidation>(&mut self.r.edits);
        let insufficient = p.chance(Chance::Insufficient, &mut self.r.edits) && self.racing;
        // Whether devices may answer invalidations has to be certain.
        if insufficient && !(self.ats && matches!(stale, Stale::Context(_) | Stale::Directory(_))) {
            self.tell_something_else(stale);
            return;
        }
        let generous = p.chance(Chance::Generous, &mut self.r.edits);
        // While traffic goes on nothing has to be enough: what is legal the scoreboard knows.
        let sparse = self.racing && self.r.edits.percent(60);
        match (stale, how) {
            (Stale::Nothing, _) => {}
            (
                Stale::Context(_) | Stale::Process(..) | Stale::ProcessDirectory(..),
                Invalidation::All,
            ) if sparse => {
                self.driver.invalidate_directory(None);
            }
            (
                Stale::GuestLeaf(..) | Stale::GuestTable(..) | Stale::Message(..),
                Invalidation::All,
            ) if sparse => {
                // IOTINVAL.GVMA with GV=0.
                self.driver.command(1 | 1 << 7, 0);
            }
            (Stale::Leaf(d, _) | Stale::Table(d, _), Invalidation::All) if sparse => {
                let operands = self.space(d, false);
                self.driver.command(1 | operands, 0);
            }
            (Stale::Everything, _) | (_, Invalidation::All) => {
                self.driver.invalidate_directory(None);
                self.invalidate_everything();
            }
            // "DV=0": the only command that reaches non-leaf entries of the device directory.
            (Stale::Directory(_), _) => self.driver.invalidate_directory(None),
            (Stale::Context(id) | Stale::ProcessDirectory(id, _), _) => {
                self.driver.invalidate_directory(Some(id));
            }
            (Stale::Process(id, process), Invalidation::Exact) => {
                self.driver.invalidate_process(id, process);
            }
            (Stale::Process(id, _), _) => self.driver.invalidate_directory(Some(id)),
            (Stale::Leaf(d, leaf), Invalidation::Exact) => {
                // PSCV spares global entries.
                let operands = self.space(d, leaf.flags & pte::G == 0 && !generous);
                self.by_address(1 | operands, &leaf);
            }
            (Stale::Leaf(d, leaf), Invalidation::Space) => {
                let operands = self.space(d, leaf.flags & pte::G == 0 && !generous);
                self.driver.command(1 | operands, 0);
            }
            (Stale::Table(d, table), how) => {
                let operands = self.space(d, !self.globals && !generous);
                if how != Invalidation::Exact || !self.of_table(1 | operands, &table) {
                    self.driver.command(1 | operands, 0);
                }
            }
            (Stale::GuestLeaf(m, leaf) | Stale::GuestTable(m, leaf), how) => {
                let gscid = u64::from(self.machines[m].gscid);
                let d0 = 1 | 1 << 7 | 1 << 33 | gscid << 44;
                let table = matches!(stale, Stale::GuestTable(..));
                let exact = how == Invalidation::Exact && !generous;
                match (exact, table) {
                    (true, false) => self.by_address(d0, &leaf),
                    (true, true) if self.of_table(d0, &leaf) => {}
                    _ => self.driver.command(d0, 0),
                }
                // What a guest's own tables and directories led to by this page may be kept with
                // them.
                if !sparse || self.r.edits.percent(30) {
                    self.driver.command(1 | 1 << 33 | gscid << 44, 0);
                }
                if !sparse || self.r.edits.percent(40) {
                    let all = self.r.edits.percent(50) || self.devices.is_empty();
                    let n = self.r.edits.below(self.devices.len() as u64) as usize;
                    let one = (sparse && !all).then(|| self.devices[n].id);
                    self.driver.invalidate_directory(one);
                }
            }
            (Stale::Message(m, at), how) => {
                let gscid = u64::from(self.machines[m].gscid);
                let d0 = 1 | 1 << 7 | 1 << 33 | gscid << 44;
                if how == Invalidation::Exact {
                    self.driver.command(d0 | 1 << 10, (at >> 12) << 10);
                } else {
                    self.driver.command(d0, 0);
                }
            }
        }
        self.tell_devices(stale);
        self.driver.kick();
        self.collect("invalidate");
    }

    /// An invalidation of a table and all that it leads to, by its range (S) with NL; while traffic
    /// goes on also by one address of it, which spares the leaves elsewhere. False without NL.
    fn of_table(&mut self, d0: u64, table: &Leaf) -> bool {
        const AV: u64 = 1 << 10;
        const NL: u64 = 1 << 34;
        if !self.has("NL") {
            return false;
        }
        if self.racing && self.r.edits.percent(50) {
            let at = table.at + (self.r.edits.below(1 << table.shift) & !(PAGE - 1));
            self.driver.command(d0 | AV | NL, (at >> 12) << 10);
        } else if self.has("S") && table.shift < 48 {
            let range = range_operand(table.at, table.shift);
            self.driver
                .command(d0 | AV | NL, (range >> 12) << 10 | 1 << 9);
        } else {
            return false;
        }
        true
    }

    /// An invalidation by address (AV) of a leaf: one a page of a NAPOT region, or one for its
    /// range; with NL or without.
    fn by_address(&mut self, d0: u64, leaf: &Leaf) {
        let extended = self
            .profile
            .clone()
            .chance(Chance::Extended, &mut self.r.edits);
        let nl = if extended && self.has("NL") {
            1 << 34
        } else {
            0
        };
        if extended && self.has("S") && leaf.shift < 48 {
            let range = range_operand(leaf.at, leaf.shift.max(13));
            self.driver
                .command(d0 | 1 << 10 | nl, (range >> 12) << 10 | 1 << 9);
            return;
        }
        // Any address of a superpage will do; each page of a NAPOT region may be an entry of its
        // own. While traffic goes on, one of them may be all.
        if !leaf.napot() || self.racing && self.r.edits.percent(50) {
            let at = leaf.at + self.r.edits.below(1 << leaf.shift);
            self.focus_page = Some(at & !(PAGE - 1));
            self.driver.command(d0 | 1 << 10 | nl, (at >> 12) << 10);
            return;
        }
        for n in 0..16 {
            let at = leaf.at + n * PAGE;
            self.driver.command(d0 | 1 << 10 | nl, (at >> 12) << 10);
        }
    }

    /// Commands that do not reach what an edit made stale: a neighbour's page, a neighbour's
    /// address space, other structures.
    fn tell_something_else(&mut self, stale: Stale) {
        match stale {
            Stale::Leaf(d, leaf) => {
                let operands = self.space(d, true);
                match self.r.edits.below(3) {
                    0 => self.driver.command(
                        1 | 1 << 10 | operands,
                        (leaf.at >> 12 ^ 1 << (leaf.shift - 12)) << 10,
                    ),
                    // Another PSCID: one bit.
                    1 => {
                        let bit = 12 + self.r.edits.below(20);
                        self.driver.command(1 | operands ^ 1 << bit, 0);
                    }
                    _ => self.driver.invalidate_directory(None),
                }
            }
            Stale::Context(id) | Stale::Directory(id) => {
                self.invalidate_everything();
                self.driver.invalidate_directory(Some(id ^ 1));
            }
            Stale::ProcessDirectory(id, process) => self.driver.invalidate_process(id, process),
            // Leaves, where pointers changed.
            Stale::Table(d, _) => {
                let operands = self.space(d, true);
                let at = self.r.edits.below(1 << 26);
                self.driver.command(1 | 1 << 10 | operands, at << 10);
            }
            _ => self.driver.invalidate_all(),
        }
        self.driver.kick();
        self.collect("invalidate something else");
    }

    /// GV, GSCID, PSCV and PSCID of a domain.
    fn space(&self, d: usize, pscv: bool) -> u64 {
        let d = &self.domains[d];
        let guest = d
            .machine
            .map_or(0, |m| 1 << 33 | u64::from(self.machines[m].gscid) << 44);
        let process = if pscv {
            1 << 32 | u64::from(d.pscid) << 12
        } else {
            0
        };
        guest | process
    }

    /// A fence, and the wait for it.
    pub(super) fn draw_fence(&mut self) {
        let p = self.profile.clone();
        let wires = self.driver.cfg.wires;
        let kind = p
            .pick_of(&mut self.r.edits, |f: Fence| f != Fence::Wire || wires)
            .unwrap_or(Fence::Both);
        let (mut d0, mut d1) = (2u64, 0);
        match kind {
            Fence::Both => d0 |= 3 << 12,
            Fence::Neither => {}
            Fence::Reads => d0 |= 1 << 12,
            Fence::Writes => d0 |= 1 << 13,
            Fence::Store => {
                let value = self.r.edits.below(1 << 32);
                d0 |= self.r.edits.below(4) << 12 | 1 << 10 | value << 32;
                d1 = (MESSAGES + 0x1000 + self.r.edits.below(256) * 4) >> 2;
            }
            Fence::Wire => d0 |= self.r.edits.below(4) << 12 | 1 << 11,
        }
        self.driver.command(d0, d1);
        if self.racing && p.chance(Chance::Pause, &mut self.r.edits) {
            // Nobody waits for this one.
            self.driver.kick();
        } else {
            self.driver.wait_commands();
        }
        if kind == Fence::Wire {
            // fence_w_ip is software's to clear.
            let enable = 1 | u64::from(self.driver.cfg.interrupts) << 1;
            self.write("fence", regs::CQCSR, 4, enable | 1 << 11);
        }
        self.collect("fence");
    }
}

/// The page of an interrupt file: `file` spread over the bits of the mask.
fn message_page(mask: u64, pattern: u64, file: u64) -> u64 {
    (pattern | deposit(file, mask)) << 12
}
