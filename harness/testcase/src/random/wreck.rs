//! What breaks on purpose: one word that the walk of one page reads or writes, whichever step it is
//! of, and most traffic goes to that page.
//!
//! All of it draws from a stream of its own.

use iommu_bus::mem::FaultAccess;

use crate::driver::{PAGE, deposit, extract, pte};

use super::contexts::tc;
use super::focus::Aim;
use super::tables::{Leaf, Scheme, Which};
use super::world::{Device, Messages, Processes, World};

/// Of 100 accesses, so many go to the page.
const ACCESSES: u64 = 70;
/// The same of translation requests.
const REQUESTS: u64 = 60;

const PPN: u64 = (1 << 44) - 1;

/// Who reaches the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wreck {
    pub aim: Aim,
    /// It is that of an interrupt file.
    pub message: bool,
    /// Its address is a guest's, and accesses to it are already translated.
    pub translated: bool,
}

impl Wreck {
    /// Data of a leaf's first page.
    pub fn page(device: usize, leaf: &Leaf) -> Self {
        let aim = Aim {
            device,
            process: None,
            leaf: Some(page_of(leaf, 0)),
        };
        Self {
            aim,
            message: false,
            translated: false,
        }
    }
}

/// A word that breaks.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub at: u64,
    pub bytes: u64,
    pub access: FaultAccess,
    /// Entries that are stored before.
    pub stores: Vec<(Scheme, u64, u64)>,
}

impl Broken {
    fn read(at: u64) -> Self {
        Self {
            at: at & !7,
            bytes: 8,
            access: FaultAccess::Read,
            stores: Vec::new(),
        }
    }
}

/// A step of a walk: the entry, and the address by which its table is reached.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: u64,
    pointer: u64,
}

/// The page of a leaf in which an address is.
fn page_of(leaf: &Leaf, offset: u64) -> Leaf {
    let offset = offset & ((1 << leaf.shift) - 1) & !(PAGE - 1);
    Leaf {
        at: leaf.at.wrapping_add(offset),
        to: leaf.to.wrapping_add(offset),
        shift: 12,
        ..*leaf
    }
}

/// The interrupt file that a guest-physical page is: the bits of its number that the mask selects.
fn file_of(m: &Messages, page: u64) -> Option<u64> {
    (page & !m.mask == m.pattern & !m.mask).then(|| extract(page, m.mask))
}

impl World {
    /// Whether the next access goes where something is broken.
    pub fn aim_at_wreck(&mut self) -> Option<Wreck> {
        let wreck = self.wreck?;
        self.r.aim.percent(ACCESSES).then_some(wreck)
    }

    /// The same of a translation request: device, process, page.
    pub fn ask_for_wreck(&mut self) -> Option<(u32, Option<u32>, u64)> {
        let wreck = self.wreck.filter(|w| !w.translated)?;
        let leaf = wreck.aim.leaf?;
        let asked = self.r.aim.percent(REQUESTS);
        asked.then(|| {
            (
                self.devices[wreck.aim.device].id,
                wreck.aim.process,
                leaf.at,
            )
        })
    }

    /// A walk, and one word of it. Nothing of it is changed yet.
    pub fn draw_wreck(&mut self) -> Option<(Wreck, Broken)> {
        let able: Vec<usize> = (0..self.devices.len())
            .filter(|&n| {
                let d = &self.devices[n];
                d.attached && d.spoil == [0; 8] && !self.cut_off.contains(&d.id)
            })
            .collect();
        if able.is_empty() {
            return None;
        }
        let n = *self.r.aim.pick(&able);
        let device = self.devices[n].clone();
        let present: Vec<(u32, usize)> = device
            .processes
            .iter()
            .flat_map(|p| &p.list)
            .filter(|p| p.present)
            .map(|p| (p.id, p.domain))
            .collect();
        let process = (!present.is_empty()).then(|| *self.r.aim.pick(&present));
        if device.processes.is_some() && process.is_none() {
            return None;
        }
        let domain = process.map(|p| p.1).or(device.domain);
        let first = domain.filter(|&d| self.domains[d].tree.is_some());
        // What is translated already has no process and no first stage.
        let guest = device.tc & (tc::T2GPA | tc::EN_ATS) == tc::T2GPA | tc::EN_ATS;
        let translated = guest && device.machine.is_some() && self.r.aim.percent(50);
        let first = first.filter(|_| !translated);
        let (leaf, message) = self.page_to_break(&device, first)?;
        let mut all = Vec::new();
        if let (Some(p), Some((id, _)), false) = (&device.processes, process, translated) {
            self.directory_words(p, id, device.machine, &mut all);
        }
        let mut walk = Vec::new();
        if let Some(d) = first {
            walk = self.path(Which::Domain(d), leaf.at);
            all.extend(walk.iter().map(|s| Broken::read(s.at)));
            self.updates(&device, Which::Domain(d), &walk, &mut all);
        }
        if let Some(m) = device.machine {
            self.second_words(&device, m, first, &walk, &leaf, &mut all);
            if message {
                self.message_words(m, &leaf, &mut all);
            }
        }
        if all.is_empty() {
            return None;
        }
        let broken = self.r.aim.pick(&all).clone();
        let wreck = Wreck {
            aim: Aim {
                device: n,
                process: process.map(|p| p.0).filter(|_| !translated),
                leaf: Some(leaf),
            },
            message,
            translated,
        };
        Some((wreck, broken))
    }

    /// A page of one of the device's leaves; whether it leads to an interrupt file.
    fn page_to_break(&mut self, d: &Device, first: Option<usize>) -> Option<(Leaf, bool)> {
        let draw = self.r.aim.bits();
        if self.r.aim.percent(35)
            && let Some(file) = self.file_to_break(d, first)
        {
            return Some((file, true));
        }
        let which = match (first, d.machine) {
            (Some(d), _) => Which::Domain(d),
            (None, Some(m)) => Which::Machine(m),
            _ => return None,
        };
        let leaves = self.leaves(which).len();
        let n = self.r.aim.below(leaves as u64) as usize;
        let leaf = *self.leaves(which).get(n)?;
        Some((page_of(&leaf, draw), false))
    }

    /// The page of an interrupt file, as the device reaches it.
    pub fn file_to_break(&mut self, d: &Device, first: Option<usize>) -> Option<Leaf> {
        let m = d.machine.and_then(|m| self.machines[m].messages)?;
        if let Some(domain) = first {
            let files: Vec<Leaf> = self
                .leaves(Which::Domain(domain))
                .iter()
                .copied()
                .filter(|l| l.shift == 12 && file_of(&m, l.to >> 12).is_some())
                .collect();
            return (!files.is_empty()).then(|| *self.r.aim.pick(&files));
        }
        // One without an entry, often, where there is any.
        let entry = |file: u64| self.driver.word(m.table + 16 * file);
        let invalid = (0..m.count).find(|&file| entry(file) & 1 == 0);
        let draw = match invalid.filter(|_| self.r.aim.percent(30)) {
            Some(file) => deposit(file, m.mask),
            None => self.r.aim.bits(),
        };
        let at = (m.pattern | draw & m.mask) << 12;
        Some(Leaf {
            at,
            to: at,
            shift: 12,
            level: 0,
            flags: 0,
        })
    }

    /// Entries from the root to what is no pointer.
    fn path(&self, which: Which, addr: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(tree) = self.tree(which) else {
            return steps;
        };
        let top = tree.scheme.levels() - 1;
        let (mut page, mut pointer) = (tree.root, tree.pointer);
        for n in (0..=top).rev() {
            let wider = if tree.guest && n == top { 2 } else { 0 };
            let bits = tree.scheme.index_bits() + wider;
            let offset =
                (addr >> tree.scheme.shift(n) & ((1 << bits) - 1)) * tree.scheme.entry_bytes();
            steps.push(Step {
                at: page + offset,
                pointer: pointer + offset,
            });
            let value = self.entry_value(tree.scheme, page + offset);
            if value & pte::V == 0 || value & (pte::R | pte::W | pte::X) != 0 {
                break;
            }
            pointer = (value >> 10 & PPN) << 12;
            match tree.pages.get(&pointer) {
                Some(&at) => page = at,
                None => break,
            }
        }
        steps
    }

    /// Entries of a process directory, the two words of the context, and what a second stage reads for them.
    fn directory_words(
        &mut self,
        p: &Processes,
        id: u32,
        machine: Option<usize>,
        all: &mut Vec<Broken>,
    ) {
        for level in 0..p.mode {
            let Some(at) = self.process_entry(p, id, level) else {
                continue;
            };
            let word = if level == 0 { self.r.aim.below(2) } else { 0 };
            all.push(Broken::read(at + 8 * word));
            // The page that it is in, as the guest knows it.
            let page = at & !(PAGE - 1);
            let known = p
                .pages
                .iter()
                .find(|(_, spa)| **spa == page)
                .map(|(gpa, _)| *gpa);
            let gpa = if page == p.root {
                Some(p.pointer)
            } else {
                known
            };
            if let (Some(m), Some(gpa)) = (machine, gpa) {
                let path = self.path(Which::Machine(m), gpa);
                all.push(Broken::read(self.r.aim.pick(&path).at));
            }
        }
    }

    /// What a second stage reads and writes: for the first stage's tables, and for the page.
    fn second_words(
        &mut self,
        d: &Device,
        m: usize,
        first: Option<usize>,
        walk: &[Step],
        leaf: &Leaf,
        all: &mut Vec<Broken>,
    ) {
        let which = Which::Machine(m);
        for step in walk {
            let path = self.path(which, step.pointer);
            if path.is_empty() {
                continue;
            }
            all.push(Broken::read(self.r.aim.pick(&path).at));
            // The first stage wants to set A or D, in a page whose own D is clear.
            if let (Some(end), Some(domain), true) = (
                path.last(),
                first,
                d.tc & tc::SADE != 0 && step.at == walk[walk.len() - 1].at,
            ) {
                let mut two = Vec::new();
                self.updates(d, Which::Domain(domain), walk, &mut two);
                let scheme = self.machines[m].tree.scheme;
                let value = self.entry_value(scheme, end.at);
                let mut broken = Broken::read(end.at);
                broken.access = FaultAccess::Write;
                broken.stores = two.into_iter().flat_map(|b| b.stores).collect();
                broken.stores.push((scheme, end.at, value & !pte::D));
                if d.tc & tc::GADE != 0 && !broken.stores.is_empty() {
                    all.push(broken);
                }
            }
        }
        // Of a translated address, or by what the first stage leads to.
        let gpa = if first.is_some() { leaf.to } else { leaf.at };
        let path = self.path(which, gpa);
        all.extend(path.iter().map(|s| Broken::read(s.at)));
        self.updates(d, which, &path, all);
    }

    /// An entry whose A or D hardware has to set, and cannot.
    fn updates(&mut self, d: &Device, which: Which, path: &[Step], all: &mut Vec<Broken>) {
        let bit = match which {
            Which::Domain(_) => tc::SADE,
            Which::Machine(_) => tc::GADE,
        };
        let (Some(end), Some(scheme)) = (path.last(), self.tree(which).map(|t| t.scheme)) else {
            return;
        };
        let value = self.entry_value(scheme, end.at);
        let leaf = value & pte::V != 0 && value & (pte::R | pte::W | pte::X) != 0;
        // The entries of a NAPOT page agree.
        let napot = scheme != Scheme::Sv32 && value >> 63 == 1;
        if d.tc & bit == 0 || !leaf || napot {
            return;
        }
        let clear = *self.r.aim.pick(&[pte::D, pte::A | pte::D]);
        all.push(Broken {
            access: FaultAccess::Write,
            stores: vec![(scheme, end.at, value & !clear)],
            ..Broken::read(end.at)
        });
    }

    /// Either half of the MSI page-table entry of a page, and what it leads to.
    fn message_words(&mut self, m: usize, leaf: &Leaf, all: &mut Vec<Broken>) {
        let Some((messages, file)) = self.machines[m]
            .messages
            .and_then(|x| file_of(&x, leaf.to >> 12).map(|f| (x, f)))
        else {
            return;
        };
        let at = messages.table + 16 * file;
        for word in [at, at, at + 8] {
            all.push(Broken::read(word));
        }
        let low = self.driver.word(at);
        if low & 7 == 3 {
            // An MRIF, and the page of its notice.
            let mrif = (low >> 7 & ((1 << 47) - 1)) << 9;
            let notice = (self.driver.word(at + 8) >> 10 & PPN) << 12;
            for (at, bytes) in [(mrif, 512), (mrif, 512), (notice, 4)] {
                all.push(Broken {
                    bytes,
                    access: FaultAccess::Any,
                    ..Broken::read(at)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_by_the_bits_of_the_mask() {
        let m = Messages {
            table: 0,
            mask: 0b1_0100,
            pattern: 0b10_0001,
            count: 4,
        };
        assert_eq!(file_of(&m, 0b10_0001), Some(0));
        assert_eq!(file_of(&m, 0b10_0101), Some(1));
        assert_eq!(file_of(&m, 0b11_0001), Some(2));
        assert_eq!(file_of(&m, 0b10_0011), None);
        assert_eq!(deposit(3, m.mask), 0b1_0100);
    }
}
