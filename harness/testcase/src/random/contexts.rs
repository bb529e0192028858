//! Device and process contexts, directories and MSI page tables, word by word.

use std::collections::HashMap;

use crate::driver::{Context, PAGE};
use crate::op::Op;

use super::knobs::{DeviceIds, ProcessIds, SpoilContext};
use super::profile::{Amount, Chance};
use super::tables::{IdKind, Leaf, Scheme, Which, next_id};
use super::world::{Device, Messages, Process, Processes, World};

const PPN: u64 = (1 << 44) - 1;
/// Interrupt files, MRIFs and notices: where no leaf leads.
const MESSAGE_DATA: u64 = 0x2000_0000;
const MRIFS: u64 = MESSAGE_DATA + 0x100_0000;
const NOTICES: u64 = MESSAGE_DATA + 0x200_0000;

/// Bits of `tc`.
pub(super) mod tc {
    pub const V: u64 = 1;
    pub const EN_ATS: u64 = 1 << 1;
    pub const EN_PRI: u64 = 1 << 2;
    pub const T2GPA: u64 = 1 << 3;
    pub const PRPR: u64 = 1 << 6;
    pub const DTF: u64 = 1 << 4;
    pub const PDTV: u64 = 1 << 5;
    pub const GADE: u64 = 1 << 7;
    pub const SADE: u64 = 1 << 8;
    pub const DPE: u64 = 1 << 9;
    pub const SBE: u64 = 1 << 10;
    pub const SXL: u64 = 1 << 11;
}

impl World {
    /// The devices and what hangs on them.
    pub fn build_devices(&mut self) {
        let p = self.profile.clone();
        let levels = self.driver.cfg.directory.levels();
        if levels == 0 {
            let id = self.r.tables.below(1 << 24) as u32;
            self.devices.push(Device {
                id,
                domain: None,
                machine: None,
                processes: None,
                attached: true,
                tc: 0,
                qos: (0, 0),
                spoil: [0; 8],
            });
            return;
        }
        for n in 0..self.machines.len() {
            if self.driver.cfg.extended && p.chance(Chance::MessageTables, &mut self.r.tables) {
                self.build_messages(n);
            }
        }
        let first = if self.driver.cfg.extended { 6 } else { 7 };
        // Numbers that fewer levels would do for, too.
        let levels = if self.r.tables.percent(15) {
            self.r.tables.range(1, u64::from(levels)) as u32
        } else {
            levels
        };
        let bits = (first + 9 * (levels - 1)).min(24);
        let start = self.r.tables.below(1 << bits) as u32;
        let kind = match p.pick::<DeviceIds>(&mut self.r.tables) {
            DeviceIds::OneBit => IdKind::OneBit,
            DeviceIds::Dense => IdKind::Dense,
            DeviceIds::Sparse => IdKind::Sparse,
        };
        for n in 0..p.amount(Amount::Devices, &mut self.r.tables).max(1) {
            let id = next_id(&mut self.r.tables, kind, n as u32, start, bits);
            if self.devices.iter().all(|d| d.id != id) {
                self.build_device(id);
            }
        }
        if p.chance(Chance::SpoiltContext, &mut self.r.tables) {
            self.spoil_directory();
        }
    }

    /// A reserved bit in an entry on the way to some device's context, or to that of one of its processes.
    fn spoil_directory(&mut self) {
        let n = self.r.ways.below(self.devices.len() as u64) as usize;
        let device = self.devices[n].clone();
        let levels = u64::from(self.driver.cfg.directory.levels());
        let at = match &device.processes {
            Some(p) if p.mode > 1 && self.r.ways.percent(60) => {
                let level = self.r.ways.range(1, u64::from(p.mode) - 1) as u32;
                let id = p.list.first().map_or(0, |x| x.id);
                self.process_entry(p, id, level)
            }
            _ if levels > 1 => {
                let level = self.r.ways.range(1, levels - 1) as u32;
                let at = self.driver.directory_entry(device.id, level).ok();
                let ids = self.devices.iter().map(|d| d.id);
                self.cut_off = ids
                    .filter(|id| self.driver.directory_entry(*id, level).ok() == at)
                    .collect();
                at
            }
            _ => None,
        };
        if let Some(at) = at {
            let bit = *self.r.ways.pick(&[1u32, 5, 9, 54, 60, 63]);
            let word = self.driver.word(at);
            self.store_word(at, word ^ 1 << bit);
            self.collect("a directory is spoilt");
        }
    }

    fn build_device(&mut self, id: u32) {
        let p = self.profile.clone();
        let through = p.chance(Chance::PassThrough, &mut self.r.tables);
        let domain = (!through).then(|| self.r.tables.below(self.domains.len() as u64) as usize);
        self.build_device_in(id, domain);
    }

    /// A device of a domain.
    pub fn build_device_in(&mut self, id: u32, domain: Option<usize>) {
        let p = self.profile.clone();
        let machine = domain.and_then(|d| self.domains[d].machine);
        let mut bits = 0;
        if p.chance(Chance::FaultsHidden, &mut self.r.tables) {
            bits |= tc::DTF;
        }
        let updates = p.chance(Chance::HardwareUpdates, &mut self.r.tables);
        if updates && self.has("AMO_HWAD") {
            bits |= *self
                .r
                .tables
                .pick(&[tc::SADE, tc::GADE, tc::SADE | tc::GADE]);
        }
        let narrow = self.gxl
            || domain
                .and_then(|d| self.domains[d].tree.as_ref())
                .is_some_and(|t| t.scheme == Scheme::Sv32);
        if narrow {
            bits |= tc::SXL;
        }
        bits |= self.ats_controls(machine.is_some());
        if self.driver.cfg.big_endian {
            bits |= tc::SBE;
        }
        let qos = if self.driver.cfg.qos.is_some() {
            let ids = self.r.ways.bits();
            (ids as u16 & 0xfff, (ids >> 16) as u16 & 0xfff)
        } else {
            (0, 0)
        };
        let mut device = Device {
            id,
            domain,
            machine,
            processes: None,
            attached: true,
            tc: bits,
            qos,
            spoil: [0; 8],
        };
        if p.chance(Chance::Processes, &mut self.r.tables) {
            if domain.is_some() {
                self.build_processes(&mut device, narrow);
            } else if self.has("PD8") || self.has("PD17") || self.has("PD20") {
                device.tc |= tc::PDTV;
            }
        }
        if p.chance(Chance::SpoiltContext, &mut self.r.tables) {
            self.spoil_context(&mut device);
        }
        self.write_context(&device);
        self.devices.push(device);
    }

    /// The words of a device's context.
    fn context(&self, d: &Device) -> Context {
        let mut words = [0; 8];
        words[0] = tc::V | d.tc;
        if d.machine.is_none() {
            // It needs a second stage.
            words[0] &= !tc::T2GPA;
        }
        if let Some(m) = d.machine.map(|m| &self.machines[m]) {
            words[1] = m.tree.scheme.mode() << 60 | u64::from(m.gscid) << 44 | m.tree.root >> 12;
            if let Some(t) = m.messages {
                words[4] = 1 << 60 | t.table >> 12;
                words[5] = t.mask;
                words[6] = t.pattern;
            }
        }
        if let Some(domain) = d.domain.map(|n| &self.domains[n]) {
            words[2] = u64::from(domain.pscid) << 12;
            words[3] = domain
                .tree
                .as_ref()
                .map_or(0, |t| t.scheme.mode() << 60 | t.pointer >> 12);
        }
        if d.processes.is_none() && words[3] != 0 {
            // A process directory would have another mode.
            words[0] &= !tc::PDTV;
        }
        if let Some(p) = &d.processes {
            words[0] |= tc::PDTV | if p.default { tc::DPE } else { 0 };
            words[2] = 0;
            words[3] = u64::from(p.mode) << 60 | p.pointer >> 12;
        }
        words[2] |= u64::from(d.qos.0) << 40 | u64::from(d.qos.1) << 52;
        if !self.driver.cfg.extended {
            words[4..].fill(0);
        }
        for (w, s) in words.iter_mut().zip(d.spoil) {
            *w ^= s;
        }
        Context { words }
    }

    /// Writes a device's context, its first word last. Whether the directory reaches it.
    pub fn write_context(&mut self, d: &Device) -> bool {
        let context = self.context(d);
        let done = self.driver.set_context(d.id, &context).is_ok();
        self.collect("contexts");
        done
    }

    fn spoil_context(&mut self, d: &mut Device) {
        let p = self.profile.clone();
        let words = if self.driver.cfg.extended { 8 } else { 4 };
        let r = &mut self.r.tables;
        match p.pick::<SpoilContext>(r) {
            SpoilContext::Invalid => d.spoil[0] = tc::V,
            SpoilContext::Reserved => {
                // Bits that are reserved in each word (of the base format, in the first four).
                let (word, low, high) = *r.pick(&[
                    (0usize, 32u64, 63u64),
                    (0, 12, 23),
                    (2, 0, 11),
                    (2, 32, 39),
                    (3, 44, 59),
                    (4, 44, 59),
                    (5, 52, 63),
                    (6, 52, 63),
                    (7, 0, 63),
                ]);
                if word < words {
                    d.spoil[word] = 1 << r.range(low, high);
                }
            }
            SpoilContext::Mode => {
                let word = *r.pick(&[1usize, 3, 4]);
                if word < words {
                    d.spoil[word] = r.range(1, 15) << 60;
                }
            }
            SpoilContext::Flag => d.spoil[0] = 1 << r.range(1, 11),
            SpoilContext::Noise => {
                let word = r.below(words as u64) as usize;
                d.spoil[word] = r.bits();
            }
            SpoilContext::Rule => self.spoil_by_rule(d),
        }
    }

    /// A context that breaks one rule of "Device-context configuration checks", or that of a capability
    /// that the block has; some of them take a capability that it lacks.
    fn spoil_by_rule(&mut self, d: &mut Device) {
        let words = self.context(d).words;
        let (tc, guest, first) = (words[0], words[1], words[3]);
        // What `tc` becomes, or `iohgatp` or `fsc` with a `tc`.
        let mut all: Vec<(u64, usize, u64)> = Vec::new();
        if self.has("ATS") {
            let on = tc | tc::EN_ATS;
            all.push(((on | tc::PRPR) & !tc::EN_PRI, 0, 0));
            all.push(((tc | tc::EN_PRI) & !(tc::EN_ATS | tc::T2GPA), 0, 0));
            if d.machine.is_none() || !self.has("T2GPA") {
                all.push((on | tc::T2GPA, 0, 0));
            }
        } else {
            all.push((tc | tc::EN_ATS, 0, 0));
        }
        if !self.has("AMO_HWAD") {
            all.push((tc | tc::SADE, 0, 0));
            all.push((tc | tc::GADE, 0, 0));
        }
        if !self.has("END") {
            all.push((tc ^ tc::SBE, 0, 0));
        }
        // A first stage of its own, in a scheme that it has not.
        let own = tc & !(tc::PDTV | tc::DPE);
        let to = |mode: u64| first & !(0xf << 60) | mode << 60;
        for (mode, name) in [(8, "Sv39"), (9, "Sv48"), (10, "Sv57")] {
            if !self.has(name) && tc & tc::SXL == 0 {
                all.push((own, 3, to(mode)));
            }
        }
        all.push((own | tc::DPE, 0, 0));
        all.push((own, 3, to(self.r.aim.range(1, 7))));
        if self.target.gxl && !self.has("Sv32") {
            // That of its processes, too.
            let times = if d.processes.is_some() { 4 } else { 0 };
            all.extend(std::iter::repeat_n((tc | tc::SXL, 0, 0), times));
            all.push((own | tc::SXL, 3, to(8)));
        }
        if d.machine.is_some() {
            all.push((tc, 1, guest ^ self.r.aim.range(1, 3)));
        }
        let to = |mode: u64| guest & !(0xf << 60) | mode << 60;
        all.push((tc, 1, to(self.r.aim.range(1, 7))));
        for (mode, name) in [(8, "Sv39x4"), (9, "Sv48x4"), (10, "Sv57x4")] {
            let name = if self.gxl { "Sv32x4" } else { name };
            if !self.has(name) && (mode == 8 || !self.gxl) {
                all.push((tc, 1, to(mode)));
            }
        }
        if self.gxl {
            all.push((tc & !tc::SXL, 0, 0));
        }
        let Some(&(tc, word, value)) = (!all.is_empty()).then(|| self.r.aim.pick(&all)) else {
            return;
        };
        if word > 0 {
            d.spoil[word] = words[word] ^ value;
        }
        d.spoil[0] = words[0] ^ tc;
    }

    // ---------------------------------------------------------------- processes

    fn build_processes(&mut self, d: &mut Device, narrow: bool) {
        let p = self.profile.clone();
        let modes: Vec<u32> = [("PD8", 1), ("PD17", 2), ("PD20", 3)]
            .into_iter()
            .filter(|&(name, _)| self.has(name))
            .map(|(_, m)| m)
            .collect();
        if modes.is_empty() {
            return;
        }
        let mode = *self.r.tables.pick(&modes);
        let (root, pointer) = self.table_page(d.machine);
        let mut processes = Processes {
            mode,
            root,
            pointer,
            pages: HashMap::new(),
            list: Vec::new(),
            default: self.r.tables.percent(40),
        };
        // Domains of the same machine, and of the width that SXL says.
        let fits: Vec<usize> = (0..self.domains.len())
            .filter(|&n| {
                let x = &self.domains[n];
                x.machine == d.machine
                    && x.tree
                        .as_ref()
                        .is_none_or(|t| (t.scheme == Scheme::Sv32) == narrow)
            })
            .collect();
        if fits.is_empty() {
            return;
        }
        let bits = [8, 17, 20][mode as usize - 1];
        let kind = match p.pick::<ProcessIds>(&mut self.r.tables) {
            ProcessIds::OneBit => IdKind::OneBit,
            ProcessIds::Dense => IdKind::Dense,
            ProcessIds::Sparse => IdKind::Sparse,
        };
        let first = if processes.default {
            0
        } else {
            self.r.tables.below(1 << bits) as u32
        };
        for n in 0..p.amount(Amount::ProcessCount, &mut self.r.tables).max(1) {
            let id = next_id(&mut self.r.tables, kind, n as u32, first, bits);
            if processes.list.iter().any(|x| x.id == id) {
                continue;
            }
            let domain = *self.r.tables.pick(&fits);
            processes.list.push(Process {
                id,
                domain,
                present: true,
            });
            self.write_process(d.machine, &mut processes, id, Some(domain));
        }
        d.processes = Some(processes);
    }

    /// Writes (or, without a domain, invalidates) a process context, its first word last.
    pub fn write_process(
        &mut self,
        machine: Option<usize>,
        p: &mut Processes,
        id: u32,
        domain: Option<usize>,
    ) {
        let mut page = p.root;
        for level in (1..p.mode).rev() {
            let index = u64::from(id >> (8 + 9 * (level - 1)) & 0x1ff);
            let at = page + 8 * index;
            let value = self.driver.word(at);
            page = if value & 1 == 0 {
                let (spa, pointer) = self.table_page(machine);
                p.pages.insert(pointer, spa);
                self.store_word(at, pointer >> 12 << 10 | 1);
                spa
            } else {
                match p.pages.get(&((value >> 10 & PPN) << 12)) {
                    Some(&spa) => spa,
                    None => return,
                }
            };
        }
        let at = page + 16 * u64::from(id & 0xff);
        match domain {
            None => {
                let ta = self.driver.word(at);
                self.store_word(at, ta & !1);
            }
            Some(n) => {
                let d = &self.domains[n];
                let mut fsc = d
                    .tree
                    .as_ref()
                    .map_or(0, |t| t.scheme.mode() << 60 | t.pointer >> 12);
                let pscid = u64::from(d.pscid);
                // ENS and SUM.
                let supervisor = *self.r.tables.pick(&[0u64, 2, 6]);
                let mut ta = 1 | supervisor | pscid << 12;
                if self
                    .profile
                    .clone()
                    .chance(Chance::SpoiltContext, &mut self.r.tables)
                {
                    ta |= 1 << self.r.tables.range(3, 11);
                    let rule = self.profile.value("tables.spoil_context.rule").unwrap_or(0);
                    let sv = ["Sv39", "Sv48", "Sv57"];
                    let lacks: Vec<u64> = (8..11)
                        .filter(|&mode| !self.has(sv[mode as usize - 8]))
                        .chain([8, 3])
                        .collect();
                    if rule > 0 && machine.is_none() && self.r.aim.percent(15) {
                        // No stage at all, and no supervisor; users pass.
                        ta = 1 | pscid << 12;
                        fsc = 0;
                    } else if rule > 0 && self.r.aim.percent(40) {
                        // A mode that the block has not, instead.
                        ta &= 0xf_ffff_f007;
                        fsc = fsc & !(0xf << 60) | *self.r.aim.pick(&lacks) << 60;
                    }
                }
                self.store_word(at + 8, fsc);
                self.store_word(at, ta);
            }
        }
        self.collect("process contexts");
    }

    /// Address of the entry of a process directory that leads to this process: its context at
    /// level 0. `None` where none is on the way.
    pub fn process_entry(&self, p: &Processes, id: u32, level: u32) -> Option<u64> {
        let mut page = p.root;
        for n in (1..p.mode).rev() {
            let at = page + 8 * u64::from(id >> (8 + 9 * (n - 1)) & 0x1ff);
            if n == level {
                return Some(at);
            }
            let value = self.driver.word(at);
            page = *p.pages.get(&((value >> 10 & PPN) << 12))?;
        }
        (level == 0).then(|| page + 16 * u64::from(id & 0xff))
    }

    // ----------------------------------------------------------------- messages

    /// An MSI page table: interrupt files scattered by the mask's bits.
    fn build_messages(&mut self, n: usize) {
        let scheme = self.machines[n].tree.scheme;
        // The page number's bits that the machine's guests can reach in every scheme.
        let width = match scheme {
            Scheme::Sv32 => 20,
            _ => 26,
        };
        let r = &mut self.r.tables;
        let (count_log2, mut mask) = match r.below(10) {
            // The lowest bits, and many of them.
            0 => (r.range(1, 6), 0),
            1 => (r.range(7, 9), 0),
            _ => (r.range(0, 6), 0u64),
        };
        if r.percent(20) {
            mask = (1 << count_log2) - 1;
        }
        while u64::from(mask.count_ones()) < count_log2 {
            mask |= 1 << r.below(width);
        }
        let pattern = r.below(1 << width) & !mask;
        // 16 bytes an entry, naturally aligned to the size of the table.
        let order = (count_log2 + 4).saturating_sub(12) as u32;
        let table = self.driver.alloc(order);
        for page in 0..1 << order {
            let addr = table + page * PAGE;
            self.push("MSI table", Op::ZeroPage { addr });
        }
        self.machines[n].messages = Some(Messages {
            table,
            mask,
            pattern,
            count: 1 << count_log2,
        });
        for file in 0..1 << count_log2 {
            self.write_message_entry(n, file);
        }
        // Guests' own tables reach some of the files.
        for d in 0..self.domains.len() {
            if self.domains[d].machine == Some(n) && self.domains[d].tree.is_some() {
                for flags in [0xd7, 0xdf] {
                    let draw = self.r.tables.bits();
                    let to = self.message_address(n, draw);
                    let at = self.r.tables.below(1 << 8) << 12;
                    let leaf = Leaf {
                        at,
                        to: to & !(PAGE - 1),
                        shift: 12,
                        level: 0,
                        flags,
                    };
                    let _ = self.write_leaf(Which::Domain(d), leaf);
                }
            }
        }
    }

    /// Something that an MSI of this machine needs: half an MSI page-table entry, pending bits or
    /// the notice of an interrupt file in memory. Address and length.
    pub fn message_place(&mut self, n: usize) -> Option<(u64, u64)> {
        let m = self.machines[n].messages?;
        let r = &mut self.r.memory;
        Some(match r.below(4) {
            0 => (MRIFS + r.below(64) * 512, 512),
            1 => (NOTICES + r.below(4) * PAGE, 4),
            _ => (m.table + 16 * r.below(m.count) + 8 * r.below(2), 8),
        })
    }

    /// A guest-physical address in one of the interrupt files.
    pub fn message_address(&self, n: usize, draw: u64) -> u64 {
        self.machines[n]
            .messages
            .map_or(0, |m| (m.pattern | draw & m.mask) << 12)
    }

    /// An MSI page-table entry: basic, MRIF, or one that must fault.
    pub fn write_message_entry(&mut self, n: usize, file: u64) {
        let Some(m) = self.machines[n].messages else {
            return;
        };
        let mrif = self.has("MSI_MRIF");
        let r = &mut self.r.tables;
        let page = MESSAGE_DATA + r.below(64) * PAGE;
        let (mut low, mut high) = if mrif && r.percent(40) {
            // 512-byte files; the notice's page and number.
            let at = MRIFS + r.below(64) * 512;
            let notice = NOTICES + r.below(4) * PAGE;
            let id = r.below(0x800);
            (
                1 | 1 << 1 | at >> 9 << 7,
                id & 0x3ff | notice >> 12 << 10 | id >> 10 << 60,
            )
        } else {
            (1 | 3 << 1 | page >> 12 << 10, 0)
        };
        if r.percent(15) {
            match r.below(5) {
                0 => low &= !1,
                // Neither basic nor an MRIF, or an MRIF where there are none.
                1 if mrif => low = low & !6 | *r.pick(&[0, 4]),
                1 => low = low & !6 | *r.pick(&[0, 2, 4]),
                2 => low |= 1 << r.range(54, 62),
                3 => low |= 1 << 63,
                _ => high |= 1 << r.range(54, 59),
            }
        }
        let at = m.table + 16 * (file % m.count);
        self.store_word(at + 8, high);
        self.store_word(at, low);
        self.collect("MSI table");
    }
}
