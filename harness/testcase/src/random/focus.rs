//! Traffic that finds what was edited: from the edit to its fence, and leaves that are gone.

use super::edits::Stale;
use super::tables::{Leaf, Which};
use super::world::World;

/// Of 100 accesses while an edit is under way, so many aim at it.
const AT_EDIT: u64 = 60;
/// Of 100 other accesses, so many aim at a leaf that is gone.
const AT_GHOST: u64 = 8;
/// Leaves that are remembered.
const GHOSTS: usize = 32;

/// Where an access aims: the device, its process, and the leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    pub device: usize,
    pub process: Option<u32>,
    pub leaf: Option<Leaf>,
}

impl World {
    /// A leaf is no more.
    pub fn ghost(&mut self, which: Which, leaf: Leaf) {
        if self.cast.strict {
            // VM B's history is nothing to VM A.
            return;
        }
        if self.ghosts.len() >= GHOSTS {
            self.ghosts.remove(0);
        }
        self.ghosts.push((which, leaf));
    }

    /// What the next access aims at, if it is something special.
    pub fn special_aim(&mut self) -> Option<Aim> {
        if self.cast.strict {
            return None;
        }
        let at_edit = self.r.traffic.percent(AT_EDIT);
        let at_ghost = self.r.traffic.percent(AT_GHOST);
        match self.focus {
            Some(stale) if at_edit => self.aim_at_edit(stale),
            _ if at_ghost && !self.ghosts.is_empty() => {
                let (which, leaf) = *self.r.traffic.pick(&self.ghosts);
                self.aim_at_leaf(which, leaf)
            }
            _ => None,
        }
    }

    /// The page of a leaf that the command named, half the time.
    fn named(&mut self, leaf: Leaf) -> Leaf {
        match self.focus_page {
            Some(at)
                if at.wrapping_sub(leaf.at) < 1u64 << leaf.shift && self.r.traffic.percent(50) =>
            {
                Leaf {
                    at,
                    to: leaf.to.wrapping_add(at - leaf.at),
                    shift: 12,
                    ..leaf
                }
            }
            _ => leaf,
        }
    }

    fn aim_at_edit(&mut self, stale: Stale) -> Option<Aim> {
        match stale {
            Stale::Nothing | Stale::Everything => None,
            Stale::Leaf(d, leaf) => {
                let leaf = self.named(leaf);
                self.aim_at_leaf(Which::Domain(d), leaf)
            }
            Stale::GuestLeaf(m, leaf) => {
                let leaf = self.named(leaf);
                self.aim_at_leaf(Which::Machine(m), leaf)
            }
            Stale::Table(d, table) => {
                let leaf = self.below(Which::Domain(d), table);
                self.aim_at_leaf(Which::Domain(d), leaf)
            }
            Stale::GuestTable(m, table) => {
                let leaf = self.below(Which::Machine(m), table);
                self.aim_at_leaf(Which::Machine(m), leaf)
            }
            Stale::Message(m, at) => {
                let page = Leaf {
                    at,
                    to: at,
                    shift: 12,
                    level: 0,
                    flags: 0,
                };
                self.aim_at_leaf(Which::Machine(m), page)
            }
            Stale::Context(id) | Stale::Directory(id) => {
                let device = self.devices.iter().position(|d| d.id == id)?;
                Some(Aim {
                    device,
                    process: None,
                    leaf: None,
                })
            }
            Stale::Process(id, process) | Stale::ProcessDirectory(id, process) => {
                let device = self.devices.iter().position(|d| d.id == id)?;
                Some(Aim {
                    device,
                    process: Some(process),
                    leaf: None,
                })
            }
        }
    }

    /// A leaf, there or gone, that this table leads to.
    fn below(&mut self, which: Which, table: Leaf) -> Leaf {
        let inside = |l: &Leaf| l.at.wrapping_sub(table.at) < 1u64 << table.shift;
        let ghosts = self.ghosts.iter().filter(|g| g.0 == which).map(|g| g.1);
        let all: Vec<Leaf> = ghosts
            .chain(self.leaves(which).iter().copied())
            .filter(inside)
            .collect();
        if all.is_empty() {
            table
        } else {
            *self.r.traffic.pick(&all)
        }
    }

    /// A device, and one of its processes, that reaches this leaf.
    fn aim_at_leaf(&mut self, which: Which, leaf: Leaf) -> Option<Aim> {
        let mut all = Vec::new();
        for (device, d) in self.devices.iter().enumerate() {
            let machine = match which {
                Which::Machine(m) if d.machine == Some(m) => true,
                Which::Machine(_) => continue,
                Which::Domain(_) => false,
            };
            let spaces: Vec<(Option<u32>, usize)> = match &d.processes {
                Some(p) => p.list.iter().map(|x| (Some(x.id), x.domain)).collect(),
                None => d.domain.map(|n| (None, n)).into_iter().collect(),
            };
            if machine && d.domain.is_none() && d.processes.is_none() {
                all.push(Aim {
                    device,
                    process: None,
                    leaf: Some(leaf),
                });
            }
            for (process, domain) in spaces {
                let aim = |leaf| Aim {
                    device,
                    process,
                    leaf: Some(leaf),
                };
                match (which, &self.domains[domain].tree) {
                    (Which::Domain(n), _) if n == domain => all.push(aim(leaf)),
                    (Which::Machine(_), None) => all.push(aim(leaf)),
                    (Which::Machine(_), Some(tree)) => {
                        // By what the guest maps to it.
                        let size = 1u64 << leaf.shift.max(12);
                        let through = |l: &&Leaf| {
                            l.to.wrapping_sub(leaf.at) < size
                                || leaf.at.wrapping_sub(l.to) < 1u64 << l.shift
                        };
                        let found = tree.leaves.iter().filter(through);
                        all.extend(found.take(2).map(|l| aim(*l)));
                    }
                    _ => {}
                }
            }
        }
        (!all.is_empty()).then(|| *self.r.traffic.pick(&all))
    }
}
