//! Follows one translation of the golden model, and counts what it shows.

use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::{
    Cause, DeviceContext, Iommu, IommuMode, Label, MemError, Memory, Outcome, Request, RequestKind,
    Spa, Walk, WalkEvent,
};

use crate::cover::Axis;
use crate::points::bus::Structure;
use crate::points::fault::{At, CauseBin, FaultCoverage, Stages, Who};
use crate::points::race::Table;
use crate::points::rule::{self, RuleCoverage, RuleId, id};
use crate::points::walk::{
    Ad, Address, DcBit, DcCoverage, Digit, Ended, Format, Global, Got, Implicit, IovaCoverage,
    Levels, Mask, Mode, Mrif, MsiCoverage, MsiPage, Page, PcBit, PcCoverage, Perm, Piece,
    Privilege, Processes, Result as Res, Scheme, Size, Spa as SpaBin, Step, WalkCoverage,
};
use crate::points::{Does, Stage, Type};

/// The counters that a translation moves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Translations {
    pub rule: RuleCoverage,
    pub fault: FaultCoverage,
    pub iova: IovaCoverage,
    pub dc: DcCoverage,
    pub pc: PcCoverage,
    pub walk: WalkCoverage,
    pub msi: MsiCoverage,
    /// Rules of the model that this crate does not know.
    pub unknown: Vec<String>,
    /// Rules that can apply at all with the capabilities of this run.
    possible: Vec<bool>,
}

impl Translations {
    fn not_taken(&mut self, rule: RuleId) {
        if self.possible.get(rule.index()).is_some_and(|p| *p) {
            self.rule.not_taken.hit((rule,));
        }
    }
}

/// What later observations need of a translation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub gscid: Option<u16>,
    pub pscid: Option<u32>,
    pub cause: Option<Cause>,
    /// A repeat may show something else: its length or its offset in the page count.
    pub once: bool,
}

/// An entry that a walk read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub addr: u64,
    pub bytes: u32,
    pub table: Table,
    pub structure: Structure,
    pub big: bool,
    /// Its first doubleword, as memory has it.
    pub word: u64,
}

/// Memory as it is now, faults and all, never changed.
struct View<'a>(&'a SparseMemory);

impl Memory for View<'_> {
    fn load(&mut self, addr: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        match self.0.fault_for(addr.0, size.into(), FaultAccess::Read) {
            Some(MemFault::Poison) => return Err(MemError::Corrupt),
            Some(_) => return Err(MemError::Access),
            None => {}
        }
        Ok(if size == 4 {
            self.0.read_u32(addr.0).into()
        } else {
            self.0.read_u64(addr.0)
        })
    }

    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        Err(MemError::Access)
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        _: u64,
        _: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        if self
            .0
            .fault_for(addr.0, size.into(), FaultAccess::Write)
            .is_some()
        {
            return Err(MemError::Access);
        }
        self.load(addr, size, label)
    }

    fn fetch_or(&mut self, addr: Spa, _: u64, _: bool, label: &Label) -> Result<u64, MemError> {
        self.load(addr, 8, label)
    }
}

/// An entry that was read and whose rules are not counted yet.
#[derive(Clone, Copy)]
struct Entry {
    rules: &'static [RuleId],
    step: Step,
}

/// A leaf of a stage.
#[derive(Clone, Copy, Default)]
struct Leaf {
    pte: u64,
    level: u8,
    log2: u8,
    address: u64,
}

impl Leaf {
    fn bit(&self, n: u32) -> bool {
        self.pte >> n & 1 == 1
    }
    fn perm(&self) -> Option<Perm> {
        Perm::of(self.bit(1), self.bit(2), self.bit(3))
    }
    fn napot(&self) -> bool {
        self.bit(63)
    }
    fn ad(&self) -> Ad {
        match (self.bit(6), self.bit(7)) {
            (false, false) => Ad::Neither,
            (false, true) => Ad::D,
            (true, false) => Ad::A,
            (true, true) => Ad::Both,
        }
    }
}

struct Tracer<'a> {
    counts: &'a mut Translations,
    words: &'a mut Vec<Load>,
    iommu: &'a Iommu,
    request: &'a Request,
    dc: Option<DeviceContext>,
    pc: Option<[u64; 2]>,
    last: Option<Step>,
    last_got: Got,
    entry: Option<Entry>,
    first: Option<Leaf>,
    second: Option<Leaf>,
    first_begun: bool,
    first_done: bool,
    /// The first stage's leaf wants A or D set.
    updates_first: bool,
    implicit: Option<Implicit>,
    global_above: bool,
    second_global: bool,
    decided: Option<RuleId>,
}

/// Translates a request once more, for what it shows; the entries read go to `words`.
pub(crate) fn follow(
    counts: &mut Translations,
    words: &mut Vec<Load>,
    iommu: &Iommu,
    mem: &SparseMemory,
    request: &Request,
) -> Seen {
    words.clear();
    if counts.possible.is_empty() {
        counts.possible = RuleId::possible(iommu.config());
    }
    let mut tracer = Tracer {
        counts,
        words,
        iommu,
        request,
        dc: None,
        pc: None,
        last: None,
        last_got: Got::Ok,
        entry: None,
        first: None,
        second: None,
        first_begun: false,
        first_done: false,
        updates_first: false,
        implicit: None,
        global_above: false,
        second_global: false,
        decided: None,
    };
    let outcome = iommu.translate(&mut View(mem), request, &mut |e: &WalkEvent<'_>| {
        tracer.on(e)
    });
    tracer.end(&outcome)
}

/// Whether a request ends at a page in MRIF mode.
pub(crate) fn ends_in_mrif(iommu: &Iommu, mem: &SparseMemory, request: &Request) -> bool {
    let nobody = &mut |_: &WalkEvent<'_>| {};
    matches!(
        iommu.translate(&mut View(mem), request, nobody),
        Outcome::Mrif(_)
    )
}

fn ddt_step(level: u8) -> Step {
    if level >= 2 { Step::Ddt2 } else { Step::Ddt1 }
}

fn table_step(stage: Stage, level: u8) -> Step {
    use Step::*;
    let steps = match stage {
        Stage::First => [First0, First1, First2, First3, First4],
        Stage::Second => [Second0, Second1, Second2, Second3, Second4],
    };
    steps[usize::from(level.min(4))]
}

fn level_of(step: Step) -> u8 {
    use Step::*;
    match step {
        First4 | Second4 => 4,
        First3 | Second3 => 3,
        First2 | Second2 | Ddt2 | Pdt2 => 2,
        First1 | Second1 | Ddt1 | Pdt1 => 1,
        _ => 0,
    }
}

impl Tracer<'_> {
    fn big(&self, first: bool) -> bool {
        match (&self.dc, first) {
            (Some(dc), true) => dc.sbe(),
            _ => self.iommu.registers().be,
        }
    }

    fn on(&mut self, event: &WalkEvent<'_>) {
        match event {
            WalkEvent::Load { addr, label, value } => self.load(*addr, label, *value),
            WalkEvent::Context(dc) => {
                self.pass();
                self.dc = Some(**dc);
                let d = self.dc.unwrap_or_default();
                let levels = match self.iommu.registers().mode {
                    IommuMode::Levels(1) => Levels::One,
                    IommuMode::Levels(2) => Levels::Two,
                    _ => Levels::Three,
                };
                let format = if self.iommu.capabilities().dc_size() == 64 {
                    Format::Extended
                } else {
                    Format::Base
                };
                self.counts.dc.format.hit((format, levels));
                for (bit, set) in [
                    (DcBit::EnAts, d.en_ats()),
                    (DcBit::EnPri, d.en_pri()),
                    (DcBit::T2gpa, d.t2gpa()),
                    (DcBit::Dtf, d.dtf()),
                    (DcBit::Pdtv, d.pdtv()),
                    (DcBit::Prpr, d.prpr()),
                    (DcBit::Gade, d.gade()),
                    (DcBit::Sade, d.sade()),
                    (DcBit::Dpe, d.dpe()),
                    (DcBit::Sbe, d.sbe()),
                    (DcBit::Sxl, d.sxl()),
                ] {
                    self.counts.dc.bit.hit((bit, set));
                }
            }
            WalkEvent::Begin(Walk::FirstStage) => {
                self.first_begun = true;
                self.counts.not_taken(id::CANONICAL);
            }
            WalkEvent::Begin(Walk::SecondStage) => {
                self.end_implicit(Ended::Ok);
                self.counts.not_taken(id::S2_RANGE);
                if self.dc.is_some_and(|d| d.sxl()) {
                    self.counts.not_taken(id::S2_SXL);
                }
            }
            WalkEvent::Begin(_) => {}
            WalkEvent::Update { label, done, .. } => {
                if *done == Ok(true) {
                    self.counts
                        .not_taken(if matches!(label, Label::FirstStage { .. }) {
                            id::S1_STORE
                        } else {
                            id::S2_STORE
                        });
                }
            }
            WalkEvent::Rule(rule) => {
                self.pass();
                if let Some(rule) = self.known(rule, false) {
                    self.counts.rule.taken.hit((rule,));
                    self.decided = Some(rule);
                }
            }
        }
    }

    fn known(&mut self, rule: &iommu_golden::Rule, corrupt: bool) -> Option<RuleId> {
        let known = RuleId::of(rule, corrupt);
        if known.is_none() {
            let text = rule.to_string();
            if !self.counts.unknown.contains(&text) {
                self.counts.unknown.push(text);
            }
        }
        known
    }

    /// The last entry read was passed: none of its rules applied.
    fn pass(&mut self) {
        if let Some(e) = self.entry.take() {
            for &rule in e.rules {
                if self.evaluated(rule) {
                    self.counts.not_taken(rule);
                }
            }
        }
    }

    /// Whether a leaf's rule was evaluated at all: which U rule depends on the privilege, and a store needs an update.
    fn evaluated(&self, rule: RuleId) -> bool {
        let supervisor = self.request.supervisor();
        if rule == id::SUM {
            supervisor
        } else if rule == id::USER {
            !supervisor
        } else {
            ![id::S1_STORE, id::S2_STORE, id::S1_STILL, id::S2_STILL].contains(&rule)
        }
    }

    fn end_implicit(&mut self, ended: Ended) {
        if let Some(i) = self.implicit.take() {
            self.counts.walk.implicit.hit((i, ended));
        }
    }

    fn load(&mut self, addr: Spa, label: &Label, value: Result<&[u64], MemError>) {
        self.pass();
        let got = match value {
            Ok(_) => Got::Ok,
            Err(MemError::Access) => Got::Access,
            Err(MemError::Corrupt) => Got::Corrupt,
        };
        let word = value.ok().and_then(|w| w.first().copied()).unwrap_or(0);
        let (step, rules, table, bytes): (Step, &'static [RuleId], Table, u32) = match label {
            Label::DdtNonLeaf { level, .. } => {
                (ddt_step(*level), rule::DDT_NON_LEAF, Table::Directory, 8)
            }
            Label::Dc { .. } => (
                Step::Dc,
                rule::DC_ENTRY,
                Table::Directory,
                self.iommu.capabilities().dc_size() as u32,
            ),
            Label::PdtNonLeaf { level, .. } => {
                let step = if *level >= 2 { Step::Pdt2 } else { Step::Pdt1 };
                self.end_implicit(Ended::Ok);
                (step, rule::PDT_NON_LEAF, Table::Directory, 8)
            }
            Label::Pc { .. } => {
                self.end_implicit(Ended::Ok);
                if let Ok([ta, fsc]) = value {
                    let big = self.big(true);
                    let value = |w: u64| if big { w.swap_bytes() } else { w };
                    self.pc = Some([value(*ta), value(*fsc)]);
                }
                (Step::Pc, rule::PC_ENTRY, Table::Directory, 16)
            }
            Label::FirstStage {
                level,
                range_log2,
                iova,
                ..
            } => {
                self.end_implicit(Ended::Ok);
                let pte = self.pte(word, true);
                let leaf = pte & 1 == 1 && pte & 0b1010 != 0;
                if pte & 1 == 1 && !leaf {
                    self.global_above |= pte >> 5 & 1 == 1;
                }
                if leaf && got == Got::Ok {
                    let l = Leaf {
                        pte,
                        level: *level,
                        log2: *range_log2,
                        address: iova.0,
                    };
                    self.updates_first = self.dc.is_some_and(|d| d.sade())
                        && (!l.bit(6)
                            || (!l.bit(7) && self.request.access == iommu_golden::Access::Write));
                    self.first = Some(l);
                    self.first_done = true;
                }
                let rules = if leaf {
                    rule::S1_LEAF
                } else {
                    rule::S1_POINTER
                };
                (table_step(Stage::First, *level), rules, Table::First, 8)
            }
            Label::SecondStage {
                level,
                range_log2,
                gpa,
                pdt_of,
                ..
            } => {
                self.implicit = if pdt_of.is_some() {
                    Some(Implicit::Directory)
                } else if self.first_begun && !self.first_done {
                    Some(Implicit::Table)
                } else if self.updates_first {
                    Some(Implicit::TableWritten)
                } else {
                    None
                };
                let pte = self.pte(word, false);
                let leaf = pte & 1 == 1 && pte & 0b1010 != 0;
                self.second_global |= pte & 1 == 1 && pte >> 5 & 1 == 1;
                if leaf && got == Got::Ok {
                    self.second = Some(Leaf {
                        pte,
                        level: *level,
                        log2: *range_log2,
                        address: gpa.0,
                    });
                    if self.implicit == Some(Implicit::TableWritten) {
                        // The final walk comes next.
                        self.updates_first = false;
                    }
                }
                let rules = if leaf {
                    rule::S2_LEAF
                } else {
                    rule::S2_POINTER
                };
                (table_step(Stage::Second, *level), rules, Table::Second, 8)
            }
            Label::MsiPte { .. } => {
                let word = if self.big(false) {
                    word.swap_bytes()
                } else {
                    word
                };
                let rules = if word >> 1 & 3 == 1 {
                    rule::MSI_MRIF
                } else {
                    rule::MSI_BASIC
                };
                (Step::Msi, rules, Table::Msi, 16)
            }
            _ => return,
        };
        self.counts.walk.load.hit((step, got));
        self.last = Some(step);
        self.last_got = got;
        self.entry = Some(Entry { rules, step });
        let structure = match step {
            Step::Ddt2 | Step::Ddt1 | Step::Dc => Structure::Ddt,
            Step::Pdt2 | Step::Pdt1 | Step::Pc => Structure::Pdt,
            Step::Msi => Structure::Msi,
            _ if table == Table::First => Structure::First,
            _ => Structure::Second,
        };
        let big = self.big(matches!(structure, Structure::Pdt | Structure::First));
        self.words.push(Load {
            addr: addr.0,
            bytes,
            table,
            structure,
            big,
            word,
        });
    }

    fn pte(&self, word: u64, first: bool) -> u64 {
        let small = match (first, &self.dc) {
            (true, Some(dc)) => dc.sxl(),
            _ => self.iommu.registers().gxl,
        };
        match (self.big(first), small) {
            (false, _) => word,
            (true, true) => (word as u32).swap_bytes().into(),
            (true, false) => word.swap_bytes(),
        }
    }

    // ---- the end

    fn end(mut self, outcome: &Outcome) -> Seen {
        let ty = Type::of(self.request);
        let (cause, rule) = match outcome {
            Outcome::Granted(_) | Outcome::Mrif(_) => (None, None),
            Outcome::Denied(d) => (Some(d.cause), Some(d.rule)),
            Outcome::Ats(a) => (a.cause, a.rule),
        };
        self.head();
        match (cause, rule) {
            (Some(cause), Some(rule)) => self.refused(ty, cause, &rule),
            _ => {
                self.pass();
                self.end_implicit(Ended::Ok);
                self.granted(outcome);
            }
        }
        self.context(ty, cause.is_some());
        let (gscid, pscid) = match &self.dc {
            Some(dc) => (
                (dc.iohgatp_mode() != 0).then(|| dc.gscid()),
                match self.pc {
                    Some([ta, _]) => Some((ta >> 12 & 0xf_ffff) as u32),
                    None if !dc.pdtv() => Some(dc.pscid()),
                    None => None,
                },
            ),
            None => (None, None),
        };
        Seen {
            gscid,
            pscid,
            cause,
            once: self.last == Some(Step::Msi),
        }
    }

    /// The rules before the walks.
    fn head(&mut self) {
        let r = &mut *self.counts;
        match self.iommu.registers().mode {
            IommuMode::Off => return,
            IommuMode::Bare => {
                r.not_taken(id::OFF);
                if self.request.kind == RequestKind::Untranslated {
                    r.not_taken(id::BARE_TYPE);
                }
                return;
            }
            IommuMode::Levels(_) => {
                r.not_taken(id::OFF);
                r.not_taken(id::BARE);
                if self.last.is_some() {
                    r.not_taken(id::WIDE);
                }
            }
        }
        // The choices between steps 8 and 16: those before the one taken did not apply.
        let choices = [
            id::DONE,
            id::T2GPA,
            id::NO_PDT,
            id::NO_PROCESS,
            id::PDT_BARE,
            id::PROCESS,
        ];
        if let Some(taken) = self.decided {
            for rule in choices {
                if rule == taken {
                    continue;
                }
                r.not_taken(rule);
            }
        }
    }

    fn stages(&self) -> Stages {
        let Some(dc) = &self.dc else {
            return Stages::None;
        };
        let second = dc.iohgatp_mode() != 0;
        let first = if self.request.kind == RequestKind::Translated {
            Some(false)
        } else if !dc.pdtv() {
            Some(dc.fsc_mode() != 0)
        } else {
            match (self.decided, self.pc) {
                (Some(d), _) if d == id::NO_PROCESS || d == id::PDT_BARE => Some(false),
                (_, Some([_, fsc])) => Some(fsc >> 60 != 0),
                _ => None,
            }
        };
        match (first, second) {
            (None, false) => Stages::Directory,
            (None, true) => Stages::DirectorySecond,
            (Some(false), false) => Stages::Neither,
            (Some(true), false) => Stages::First,
            (Some(false), true) => Stages::Second,
            (Some(true), true) => Stages::Both,
        }
    }

    fn who(&self) -> Who {
        match (self.request.process_id, self.request.privileged) {
            (None, _) => Who::Nobody,
            (Some(_), false) => Who::User,
            (Some(_), true) => Who::Supervisor,
        }
    }

    fn refused(&mut self, ty: Type, cause: Cause, rule: &iommu_golden::Rule) {
        let corrupt = matches!(cause, Cause::DdtCorruption | Cause::PdtCorruption);
        let rule = self.known(rule, corrupt);
        if let Some(rule) = rule {
            self.counts.rule.taken.hit((rule,));
            // What was evaluated before it, in the entry that it is about.
            match self.entry.take() {
                Some(e) if e.rules.contains(&rule) => {
                    for &before in e.rules.iter().take_while(|&&r| r != rule) {
                        if self.evaluated(before) {
                            self.counts.not_taken(before);
                        }
                    }
                }
                other => {
                    self.entry = other;
                    self.pass();
                }
            }
            let types = rule::TYPE;
            if let Some(n) = types.iter().position(|&r| r == rule) {
                for &before in &types[..n] {
                    self.counts.not_taken(before);
                }
            }
            if self.decided.is_none() && self.dc.is_some() && !types.contains(&rule) {
                self.types_passed();
            }
        }
        if self.decided.is_some() {
            self.types_passed();
        }
        let implicit = self.implicit;
        self.end_implicit(match cause {
            c if c.is_guest_page_fault() => Ended::Guest,
            Cause::PdtCorruption | Cause::PtCorruption => Ended::Corrupt,
            _ => Ended::Access,
        });
        let is = |names: &[RuleId]| rule.is_some_and(|r| names.contains(&r));
        let range = is(&[id::S2_RANGE, id::S2_SXL]);
        if let Some(at) = self.at(cause, rule, implicit) {
            let stages = match at {
                // The process context may be there and wrong: what its first stage is does not count.
                At::PcAccess | At::PcCorrupt | At::PcInvalid | At::PcWrong => {
                    if self.dc.is_some_and(|d| d.iohgatp_mode() != 0) {
                        Stages::DirectorySecond
                    } else {
                        Stages::Directory
                    }
                }
                _ => self.stages(),
            };
            self.counts.fault.at.hit((at, ty, stages));
        }
        let dtf = self.dc.is_some_and(|d| d.dtf());
        self.counts.fault.dtf.hit((CauseBin(cause), dtf));
        self.counts.fault.type_who.hit((ty, self.who()));
        if is(&[RuleId::named("VATP-8")])
            && let Some(first) = self.first
        {
            self.leaf(Stage::First, first);
        }
        if is(&[RuleId::named("GPAT-8")])
            && implicit.is_none()
            && let Some(second) = self.second
        {
            self.leaf(Stage::Second, second);
        }
        if is(&[id::CANONICAL]) {
            self.counts
                .walk
                .address
                .hit((Stage::First, Address::Beyond));
        }
        if range && implicit.is_none() {
            self.counts
                .walk
                .address
                .hit((Stage::Second, Address::Beyond));
        }
        if is(&[id::PAS]) {
            self.counts.walk.pas.hit((SpaBin::Beyond,));
        }
        // "supervisor privilege transactions that read with execute intent" of U=1 end at step 8.
        let privilege = ["VATP-6-user", "VATP-6-SUM", "VATP-8"];
        if rule.is_some_and(|r| privilege.contains(&r.name())) {
            self.user();
        }
        if is(&[RuleId::named("VATP-9")])
            && let Some(f) = self.first
        {
            self.ad(Stage::First, f);
        }
        if is(&[RuleId::named("GPAT-9")])
            && implicit.is_none()
            && let Some(s) = self.second
        {
            self.ad(Stage::Second, s);
        }
        if self.last == Some(Step::Msi) {
            self.msi(MsiPage::Fault);
        }
        let (first, second) = self.schemes();
        self.counts.walk.nested_if(
            self.dc.is_some()
                && !matches!(self.stages(), Stages::Directory | Stages::DirectorySecond),
            first,
            second,
            Res::Refused,
        );
    }

    fn types_passed(&mut self) {
        for &r in rule::TYPE {
            self.counts.not_taken(r);
        }
    }

    fn at(&self, cause: Cause, rule: Option<RuleId>, implicit: Option<Implicit>) -> Option<At> {
        use Cause::*;
        let step = self.entry.map(|e| e.step).or(self.last);
        let level = step.map_or(0, level_of);
        let is = |name: RuleId| rule == Some(name);
        let first = matches!(
            step,
            Some(Step::First0 | Step::First1 | Step::First2 | Step::First3 | Step::First4)
        );
        let three = |two: At, one: At, leaf: At| match step {
            Some(Step::Ddt2 | Step::Pdt2) => two,
            Some(Step::Ddt1 | Step::Pdt1) => one,
            _ => leaf,
        };
        Some(match cause {
            AllInboundDisallowed => At::Off,
            TypeDisallowed => match rule?.name() {
                "P2IOVA-2.a" => At::Bare,
                "P2IOVA-5" => At::Wide,
                "P2IOVA-7.a" => At::NoAts,
                "P2IOVA-7.b" => At::NoPdt,
                "P2IOVA-7.c" => At::WideProcess,
                "P2IOVA-15.a" => At::NoSupervisor,
                _ => return None,
            },
            DdtLoadAccessFault => three(At::DdtAccess2, At::DdtAccess1, At::DcAccess),
            DdtCorruption => three(At::DdtCorrupt2, At::DdtCorrupt1, At::DcCorrupt),
            DdtNotValid => three(At::DdtInvalid2, At::DdtInvalid1, At::DcInvalid),
            DdtMisconfigured => three(At::DdtWrong2, At::DdtWrong1, At::DcWrong),
            PdtLoadAccessFault if implicit.is_some() => At::PdtSecondAccess,
            PdtCorruption if implicit.is_some() => At::PdtSecondCorrupt,
            PdtLoadAccessFault => three(At::PdtAccess2, At::PdtAccess1, At::PcAccess),
            PdtCorruption => three(At::PdtCorrupt2, At::PdtCorrupt1, At::PcCorrupt),
            PdtNotValid => three(At::PdtInvalid2, At::PdtInvalid1, At::PcInvalid),
            PdtMisconfigured => three(At::PdtWrong2, At::PdtWrong1, At::PcWrong),
            MsiPteLoadAccessFault => At::MsiAccess,
            MsiPtCorruption => At::MsiCorrupt,
            MsiPteNotValid => At::MsiInvalid,
            MsiPteMisconfigured => At::MsiWrong,
            InstructionPageFault | ReadPageFault | WritePageFault => {
                if is(id::CANONICAL) {
                    At::Canonical
                } else {
                    At::level(At::Pf0, level)
                }
            }
            InstructionGuestPageFault | ReadGuestPageFault | WriteGuestPageFault => {
                match implicit {
                    Some(Implicit::Directory) => At::PdtGuest,
                    Some(_) => At::FirstGuest,
                    None if is(id::S2_RANGE) || is(id::S2_SXL) => self.range_fault(),
                    None => At::level(At::Gpf0, level),
                }
            }
            InstructionAccessFault | ReadAccessFault | WriteAccessFault => {
                if is(id::PAS) {
                    At::Pas
                } else if step == Some(Step::Msi) {
                    At::MsiExecute
                } else if first {
                    At::level(At::Af0, level)
                } else if implicit.is_some() {
                    At::FirstSecondAccess
                } else {
                    At::level(At::SecondAf0, level)
                }
            }
            PtCorruption => {
                if first {
                    At::level(At::Corrupt0, level)
                } else if implicit.is_some() {
                    At::FirstSecondCorrupt
                } else {
                    At::level(At::SecondCorrupt0, level)
                }
            }
            _ => return None,
        })
    }

    /// A GPA beyond the scheme, before any entry of the second stage was read: whose GPA it was.
    fn range_fault(&self) -> At {
        if self.first_begun && !self.first_done {
            At::FirstGuest
        } else if self.dc.is_some_and(|d| d.pdtv()) && self.decided.is_none() {
            At::PdtGuest
        } else {
            At::GuestRange
        }
    }

    fn schemes(&self) -> (Scheme, Scheme) {
        let Some(dc) = &self.dc else {
            return (Scheme::Bare, Scheme::Bare);
        };
        let first = if self.first.is_some() || self.first_begun {
            let fsc = self.pc.map_or(dc.fsc, |[_, fsc]| fsc);
            match (fsc >> 60, dc.sxl()) {
                (8, true) => Scheme::Sv32,
                (8, false) => Scheme::Sv39,
                (9, _) => Scheme::Sv48,
                (10, _) => Scheme::Sv57,
                _ => Scheme::Bare,
            }
        } else {
            Scheme::Bare
        };
        let second = match (dc.iohgatp_mode(), self.iommu.registers().gxl) {
            (8, true) => Scheme::Sv32,
            (8, false) => Scheme::Sv39,
            (9, _) => Scheme::Sv48,
            (10, _) => Scheme::Sv57,
            _ => Scheme::Bare,
        };
        (first, second)
    }

    fn leaf(&mut self, stage: Stage, leaf: Leaf) {
        let (first, second) = self.schemes();
        let scheme = match stage {
            Stage::First => first,
            Stage::Second => second,
        };
        let does = Does::from(self.request.access);
        if let (Some(page), Some(perm)) = (Page::of(scheme, leaf.level, leaf.napot()), leaf.perm())
        {
            self.counts.walk.leaf.hit((stage, page, perm, does));
        }
    }

    fn ad(&mut self, stage: Stage, leaf: Leaf) {
        let does = Does::from(self.request.access);
        let Some(dc) = &self.dc else { return };
        let update = match stage {
            Stage::First => dc.sade(),
            Stage::Second => dc.gade(),
        };
        if leaf.perm().is_some_and(|p| p.allows(does)) {
            self.counts.walk.ad.hit((stage, leaf.ad(), update, does));
        }
    }

    fn user(&mut self) {
        let Some(leaf) = self.first else { return };
        let sum = self.pc.is_some_and(|[ta, _]| ta >> 2 & 1 == 1);
        let privilege = match (self.request.supervisor(), sum) {
            (false, _) => Privilege::User,
            (true, false) => Privilege::Supervisor,
            (true, true) => Privilege::SupervisorSum,
        };
        let does = Does::from(self.request.access);
        self.counts.walk.user.hit((privilege, leaf.bit(4), does));
    }

    fn msi(&mut self, page: MsiPage) {
        let does = Does::from(self.request.access);
        self.counts.msi.page.hit((page, does));
        let mask = self.dc.map_or(0, |d| d.msi_addr_mask);
        let contiguous = mask & mask.wrapping_add(1) == 0;
        self.counts.msi.mask.hit((match mask.count_ones() {
            0 => Mask::Zero,
            1 => Mask::One,
            7.. => Mask::Wide,
            _ if contiguous => Mask::Low,
            _ => Mask::Scattered,
        },));
    }

    fn granted(&mut self, outcome: &Outcome) {
        if self.dc.is_some() {
            self.types_passed();
        }
        let (spa, pbmt_known) = match outcome {
            Outcome::Granted(t) => (Some(t.spa.0), !t.msi),
            _ => (None, false),
        };
        if let Some(spa) = spa {
            self.counts.not_taken(id::PAS);
            let pas = self.iommu.capabilities().pas().min(63);
            self.counts
                .walk
                .pas
                .hit((if spa >> 12 == (1u64 << pas >> 12) - 1 {
                    SpaBin::Last
                } else {
                    SpaBin::Low
                },));
        }
        if self.dc.is_none() {
            return;
        }
        let msi_on = self.dc.is_some_and(|d| d.msiptp_mode() != 0)
            && self.iommu.capabilities().dc_size() == 64;
        match outcome {
            Outcome::Granted(t) if t.msi => self.msi(MsiPage::Basic),
            Outcome::Mrif(_) => {
                self.msi(MsiPage::Mrif);
                let r = self.request;
                let does = Does::from(r.access);
                let how = if r.len != 4 || r.iova.0 & 3 != 0 {
                    Mrif::Unaligned
                } else if r.iova.0 & 0xff8 != 0 {
                    Mrif::Offset
                } else if r.iova.0 & 4 != 0 {
                    Mrif::Be
                } else {
                    Mrif::Le
                };
                self.counts.msi.mrif.hit((how, does));
            }
            Outcome::Granted(_) if msi_on => {
                let does = Does::from(self.request.access);
                self.counts.msi.page.hit((MsiPage::None, does));
            }
            _ => {}
        }
        let (first, second) = self.schemes();
        self.counts.walk.nested.hit((first, second, Res::Granted));
        let final_second = if spa.is_some() && pbmt_known {
            self.second
        } else {
            None
        };
        let log2 = |l: &Leaf| if l.napot() { 16 } else { l.log2 };
        if second != Scheme::Bare {
            let size = |l: Option<Leaf>| l.map_or(Size::All, |l| Size::of(log2(&l)));
            if pbmt_known {
                self.counts
                    .walk
                    .nested_pages
                    .hit((size(self.first), size(final_second)));
            }
        }
        for (stage, leaf) in [(Stage::First, self.first), (Stage::Second, final_second)] {
            let Some(leaf) = leaf else { continue };
            self.leaf(stage, leaf);
            self.ad(stage, leaf);
            let scheme = if stage == Stage::First { first } else { second };
            self.counts
                .walk
                .address
                .hit((stage, address(stage, scheme, leaf.address)));
            if leaf.napot() {
                self.counts.walk.napot.hit((
                    stage,
                    match leaf.address >> 12 & 15 {
                        0 => Piece::First,
                        15 => Piece::Last,
                        _ => Piece::Middle,
                    },
                ));
            }
        }
        if self.first.is_some() {
            self.user();
            let leaf_g = self.first.is_some_and(|l| l.bit(5));
            self.counts.walk.global.hit((if self.global_above {
                Global::NonLeaf
            } else if leaf_g {
                Global::Leaf
            } else {
                Global::None
            },));
        }
        if self.second_global {
            self.counts.walk.global.hit((Global::Second,));
        }
        if pbmt_known {
            let pbmt = |l: Option<Leaf>| {
                l.and_then(|l| iommu_golden::Pbmt::from_code(l.pte >> 61 & 3))
                    .unwrap_or_default()
                    .into()
            };
            self.counts
                .walk
                .pbmt
                .hit((pbmt(self.first), pbmt(final_second)));
        }
    }

    /// Mode, device, process.
    fn context(&mut self, ty: Type, refused: bool) {
        let result = if refused { Res::Refused } else { Res::Granted };
        let (mode, levels) = match self.iommu.registers().mode {
            IommuMode::Off => (Mode::Off, None),
            IommuMode::Bare => (Mode::Bare, None),
            IommuMode::Levels(1) => (Mode::One, Some(Levels::One)),
            IommuMode::Levels(2) => (Mode::Two, Some(Levels::Two)),
            IommuMode::Levels(_) => (Mode::Three, Some(Levels::Three)),
        };
        self.counts.iova.mode.hit((mode, ty, result));
        if let Some(levels) = levels {
            let low = if self.iommu.capabilities().dc_size() == 64 {
                6
            } else {
                7
            };
            let did = self.request.did();
            let digit = if did >> (low + 9) != 0 {
                Digit::High
            } else if did >> low != 0 {
                Digit::Middle
            } else {
                Digit::Low
            };
            self.counts.iova.device_bits.hit((levels, digit));
        }
        let Some(dc) = self.dc else { return };
        let pdt = if !dc.pdtv() {
            Processes::None
        } else {
            match dc.fsc_mode() {
                1 => Processes::Pd8,
                2 => Processes::Pd17,
                3 => Processes::Pd20,
                _ => Processes::Bare,
            }
        };
        let who = self.who();
        self.counts.iova.process.hit((pdt, who, dc.dpe()));
        if let (Some([ta, _]), Some(decided)) = (self.pc, self.decided)
            && decided == id::PROCESS
        {
            self.counts.pc.bit.hit((PcBit::Ens, ta >> 1 & 1 == 1));
            self.counts.pc.bit.hit((PcBit::Sum, ta >> 2 & 1 == 1));
        }
    }
}

fn address(stage: Stage, scheme: Scheme, address: u64) -> Address {
    let bits = match scheme {
        Scheme::Bare => return Address::Inside,
        Scheme::Sv32 => 32,
        Scheme::Sv39 => 39,
        Scheme::Sv48 => 48,
        Scheme::Sv57 => 57,
    } + if stage == Stage::Second { 2 } else { 0 };
    let page = address >> 12;
    // First-stage addresses are sign-extended, but for Sv32.
    let signed = stage == Stage::First && scheme != Scheme::Sv32;
    let last = if signed {
        (1u64 << (bits - 1) >> 12) - 1
    } else {
        (1u64 << bits >> 12) - 1
    };
    match page {
        0 => Address::First,
        p if p == last => Address::Last,
        p if p == u64::MAX >> 12 => Address::Upper,
        p if p > last => Address::Upper,
        _ => Address::Inside,
    }
}
