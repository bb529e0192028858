//! The device between two clocks, and how it moves a translation on.

use std::collections::VecDeque;
use std::sync::Arc;

use iommu_golden::ats::PageRequestStep;
use iommu_golden::hpm::WalkCounts;
use iommu_golden::invalidate::{Entry, covers};
use iommu_golden::{
    Access, AtsStatus, Capabilities, Cause, Command, Config, ConfigError, FaultRecord, Iommu,
    Label, MemError, Outcome, RequestKind,
};
use iommu_sim::{PinsIn, PinsOut};

use crate::ats::Ats;
use crate::bug::Bug;
use crate::cache::Cache;
use crate::dev::Path;
use crate::habit::{Habits, Rng};
use crate::job::{Job, Jobs, Mrif, Stage, What};
use crate::port::{Answer, Port, Read, ReadFor, Waiter, Write, WriteFor, user};
use crate::queue::Commands;
use crate::regs::RegPort;
use crate::replay::{From, Need, Step, Told, View, resolved};

const SLVERR: u8 = 2;
/// Jobs that are looked at in a clock.
const A_CLOCK: usize = 4;
/// Clocks after which a job is looked at before all others.
const PATIENCE: u64 = 2000;

/// Whether [`Bug::Starved`] lets a job wait while any other can go on.
fn is_victim(job: &Job) -> bool {
    job.serial % 64 == 7
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bug: Option<Bug>,
    pub(crate) rng: Rng,
    pub(crate) habits: Habits,
    pub(crate) now: u64,
    /// Registers, queues and interrupts.
    pub(crate) iommu: Iommu,
    /// What new requests are translated with.
    pub(crate) config: Arc<Iommu>,
    pub(crate) cache: Cache,
    pub(crate) jobs: Jobs,
    pub(crate) serial: u64,
    /// Jobs to be looked at.
    pub(crate) todo: VecDeque<usize>,
    pub(crate) path: Path,
    pub(crate) port: Port,
    pub(crate) regs: RegPort,
    pub(crate) commands: Commands,
    pub(crate) ats: Ats,
    /// Records to be written.
    pub(crate) faults: VecDeque<FaultRecord>,
    /// `ddtp` was written; the requests of before have not all ended.
    pub(crate) draining: bool,
    /// Invalidations executed, the last of all `executed` in number.
    recent: VecDeque<Command>,
    executed: u64,
    answers: Vec<Answer>,
    hpm: bool,
    /// Clock of the last write of `ipsr`.
    pub(crate) cleared: u64,
}

impl State {
    pub(crate) fn new(config: Config, seed: u64, bug: Option<Bug>) -> Result<Self, ConfigError> {
        let caps = config.capabilities;
        let iommu = Iommu::new(config)?;
        let mut rng = Rng::new(seed);
        let mut habits = Habits::draw(&mut rng);
        if bug == Some(Bug::FenceBeforeInvalidation) {
            habits.lazy = 100;
        }
        if bug == Some(Bug::AtsOvertakesFence) {
            habits.fetch = 8;
        }
        if bug == Some(Bug::MergedNotRedone) {
            habits.merge = true;
        }
        if bug == Some(Bug::InvalDdtKeepsPointer) {
            habits.pointers = true;
        }
        Ok(Self {
            cache: Cache::new(caps, bug, &habits),
            bug,
            rng,
            habits,
            now: 0,
            config: Arc::new(iommu.clone()),
            iommu,
            jobs: Jobs::default(),
            serial: 0,
            todo: VecDeque::new(),
            path: Path::new(),
            port: Port::new(),
            regs: RegPort::default(),
            commands: Commands::default(),
            ats: Ats::default(),
            faults: VecDeque::new(),
            draining: false,
            recent: VecDeque::new(),
            executed: 0,
            answers: Vec::new(),
            hpm: caps.has(Capabilities::HPM),
            cleared: 0,
        })
    }

    pub(crate) fn caps(&self) -> Capabilities {
        self.iommu.capabilities()
    }

    /// One clock: what was on the pins, and what is on them next.
    pub(crate) fn step(&mut self, i: &PinsIn, o: &mut PinsOut) {
        self.now += 1;
        let pending = self.iommu.registers().ipsr;
        if self.hpm {
            self.iommu.count_cycles(1);
        }
        let mut answers = std::mem::take(&mut self.answers);
        self.port.step(i, o, self.now, self.executed, &mut answers);
        for answer in answers.drain(..) {
            self.take(answer);
        }
        self.answers = answers;
        self.step_path(i, o);
        self.step_ats(i, o);
        self.step_registers(i, o);
        if self.habits.evict > 0 && self.rng.below(self.habits.evict as usize) == 1 {
            self.cache.evict(&mut self.rng);
        }
        if !self.todo.is_empty() && self.rng.percent(self.habits.busy) {
            self.step_jobs();
        }
        self.step_commands();
        self.step_faults();
        if self.bug == Some(Bug::PendingLost) && self.now - self.cleared < 16 {
            self.iommu.registers_mut().ipsr &= pending;
        }
        self.step_messages();
        if self.draining && self.path_is_empty() && !self.ats.translating(&self.jobs) {
            self.draining = false;
        }
        self.port.drive(o);
        self.drive_path(o);
        self.drive_registers(o);
        self.drive_ats(o);
        o.wsi = self.iommu.wires();
    }

    // ---- translations

    fn step_jobs(&mut self) {
        for _ in 0..self.todo.len().min(A_CLOCK) {
            // Any order is legal, starvation is not.
            let starves = self.bug == Some(Bug::Starved);
            let starving = self.starving().filter(|_| !starves);
            let ordered = !self.habits.reorder || starving.is_some();
            let k = match starving {
                Some(k) => k,
                None if self.habits.reorder => self.rng.below(self.todo.len()),
                None => 0,
            };
            let Some(n) = self.todo.remove(k) else { return };
            let Some(job) = self.jobs.get(n) else {
                continue;
            };
            if starves && is_victim(job) && self.others_go_on() {
                self.todo.push_back(n);
                continue;
            }
            match job.stage {
                // A read that it began before it was started again is on the pins.
                Stage::Walk if self.port.offers(n, job.serial) => {
                    self.todo.push_back(n);
                    continue;
                }
                Stage::Walk => self.walk(n),
                Stage::Needs(_) => {}
                _ => continue,
            }
            let Some(job) = self.jobs.get(n) else {
                continue;
            };
            if let Stage::Needs(need) = job.stage
                && !self.send(n, need)
            {
                self.todo.push_back(n);
                if ordered {
                    return;
                }
            }
        }
    }

    /// Whether any other request than those that starve is under way.
    fn others_go_on(&self) -> bool {
        self.jobs.iter().any(|(_, j)| j.open() && !is_victim(j))
    }

    /// The oldest job, where it has waited for long: its place in the list.
    fn starving(&self) -> Option<usize> {
        let age = |n: &usize| self.jobs.get(*n).map_or(0, |j| self.now - j.since);
        let (k, n) = self.todo.iter().enumerate().max_by_key(|(_, n)| age(n))?;
        (age(n) > PATIENCE).then_some(k)
    }

    /// Sends what a job needs from memory, if there is room.
    fn send(&mut self, n: usize, need: Need) -> bool {
        let Some(job) = self.jobs.get_mut(n) else {
            return true;
        };
        let waiter = job.waiter(n, need);
        let user = job.walk.user;
        let sent = match need {
            Need::Read { addr, .. } => {
                (self.habits.merge && job.walk.fresh != Some(addr) && self.port.join(waiter))
                    || (self.port.walking < self.habits.walkers && self.port.walk(waiter, user))
            }
            Need::Swap { .. } => {
                let plain = self.bug == Some(Bug::UpdateNotAtomic);
                self.port.swap(waiter, user, plain)
            }
            Need::Again => true,
        };
        if sent {
            job.stage = Stage::Waiting;
        }
        if let Need::Swap { expected, .. } = need
            && sent
            && self.bug == Some(Bug::UpdateNotAwaited)
        {
            let mut words = [0; 8];
            words[0] = expected;
            job.walk.log.push(Step {
                words,
                result: Ok(()),
                entries: [None; 2],
                from: From::Memory,
            });
            job.stage = Stage::Walk;
            self.todo.push_back(n);
        }
        sent
    }

    /// Runs a translation as far as it goes.
    fn walk(&mut self, n: usize) {
        let Some(mut job) = self.jobs.lift(n) else {
            return;
        };
        let finished = self.run(&mut job);
        self.jobs.put(n, job);
        if let Some((done, told)) = finished {
            self.finish(n, done, &told);
        }
    }

    fn run(&mut self, job: &mut Job) -> Option<(Done, Told)> {
        // Skipping is given up once at most.
        for _ in 0..2 {
            let told = Told::default();
            let mut view = View::new(
                &mut job.walk,
                &self.cache,
                &mut self.rng,
                &self.habits,
                &told,
            );
            view.bug = self.bug;
            view.big = self.config.registers().be;
            view.iova = job.request.iova.0;
            view.write = job.request.access == Access::Write;
            view.ats = matches!(job.what, What::Ats { .. });
            let done = match job.what {
                What::Read(_) | What::Write(_) | What::Ats { .. } => {
                    Done::Outcome(job.config.translate(&mut view, &job.request, &mut &told))
                }
                What::Debug => {
                    Done::Outcome(self.iommu.translate(&mut view, &job.request, &mut &told))
                }
                What::Page(request) => {
                    Done::Page(self.iommu.page_request(&mut view, &mut &told, &request, 0))
                }
                What::Invalidated {
                    device_id,
                    vector,
                    count,
                } => Done::Invalidated(
                    self.iommu
                        .invalidation_completion(&mut view, &mut &told, device_id, vector, count),
                ),
            };
            match view.need.take() {
                None => {
                    if matches!(job.what, What::Debug) {
                        let told = Told::default();
                        let mut view = View::new(
                            &mut job.walk,
                            &self.cache,
                            &mut self.rng,
                            &self.habits,
                            &told,
                        );
                        view.bug = self.bug;
                        view.big = self.config.registers().be;
                        self.iommu.run_debug_request(&mut view, &mut &told);
                        match self.bug {
                            Some(Bug::DebugPageWrong) => {
                                self.iommu.registers_mut().tr_response ^= 1 << 10;
                            }
                            Some(Bug::DebugFaultLost) => {
                                self.iommu.registers_mut().tr_response &= !1;
                            }
                            _ => {}
                        }
                    }
                    return Some((done, told));
                }
                Some(Need::Again) => {
                    job.walk.no_skip = true;
                    job.walk.log.clear();
                }
                Some(need) => {
                    let (Need::Read { label, .. } | Need::Swap { label, .. }) = need else {
                        return None;
                    };
                    let dc = told.dc.get();
                    let dc = dc.filter(|_| self.bug != Some(Bug::WalkQosWrong));
                    job.walk.user = user(&job.config, &label, dc.as_ref());
                    job.stage = Stage::Needs(need);
                    return None;
                }
            }
        }
        None
    }

    fn finish(&mut self, n: usize, done: Done, told: &Told) {
        let Some(job) = self.jobs.get_mut(n) else {
            return;
        };
        let (what, request) = (job.what, job.request);
        match done {
            Done::Outcome(outcome) => {
                if self.hpm && !matches!(what, What::Debug) {
                    let [dd, pd, s1, s2] = told.walks.get();
                    let mut request = request;
                    if self.bug == Some(Bug::WrongEventCounted) {
                        request.kind = match request.kind {
                            RequestKind::Untranslated => RequestKind::Translated,
                            RequestKind::Translated => RequestKind::Untranslated,
                            ats @ RequestKind::AtsTranslation => ats,
                        };
                    }
                    let walks = WalkCounts {
                        device_directory: dd,
                        process_directory: pd,
                        first_stage: s1,
                        second_stage: s2,
                    };
                    let regs = self.iommu.registers_mut();
                    let before = regs.iohpmevt;
                    let inhibited = regs.iocountinh;
                    // Bits of the events that this device does not look at.
                    let unseen: u64 = match self.bug {
                        Some(Bug::MaskIgnored) => 1 << 15,
                        Some(Bug::ProcessFilterIgnored) => 1 << 60,
                        Some(Bug::IdTypeIgnored) => 1 << 62,
                        _ => 0,
                    };
                    regs.iohpmevt.iter_mut().for_each(|e| *e &= !unseen);
                    if self.bug == Some(Bug::InhibitIgnored) {
                        regs.iocountinh = 0;
                    }
                    self.iommu.count_request(&request, &outcome, &walks);
                    if self.bug == Some(Bug::CountedTwice) && self.rng.percent(12) {
                        self.iommu.count_request(&request, &outcome, &walks);
                    }
                    let regs = self.iommu.registers_mut();
                    regs.iocountinh = inhibited;
                    if self.bug == Some(Bug::OverflowLost) {
                        regs.iohpmevt = before;
                    }
                    for (e, was) in regs.iohpmevt.iter_mut().zip(before) {
                        *e |= was & unseen;
                    }
                }
                if let Some(record) = outcome.record() {
                    let record = *record;
                    self.report(record);
                }
                if self.bug == Some(Bug::RefusedUpdates)
                    && let Outcome::Denied(_) = outcome
                    && !matches!(what, What::Debug)
                    && told.dc.get().is_some_and(|dc| dc.sade())
                {
                    self.update_refused(n);
                }
                match (what, outcome) {
                    (What::Debug, Outcome::Mrif(target)) => {
                        // "Debug support": an MSI PTE in MRIF mode is cause 260.
                        if !target.dtf {
                            let cause = Cause::TypeDisallowed;
                            self.report(FaultRecord::of_request(cause, &request, 0));
                        }
                        self.jobs.remove(n);
                    }
                    (What::Debug, _) => self.jobs.remove(n),
                    (What::Ats { tag, length }, Outcome::Ats(mut c)) => {
                        match self.bug {
                            Some(Bug::AtsGrantsWrite) => c.permissions.write |= c.permissions.read,
                            Some(Bug::AtsRangeDoubled) => c.range_log2 += 1,
                            Some(Bug::AtsGrantsExecute) => {
                                c.permissions.execute |= c.permissions.read;
                            }
                            Some(Bug::AtsPrivLost) => c.privileged = false,
                            Some(Bug::AtsGlobalAlways) => c.global = true,
                            Some(Bug::AtsUntranslatedLost) => c.untranslated_only = false,
                            Some(Bug::AtsStatusSwapped) => {
                                c.status = match c.status {
                                    AtsStatus::Success => AtsStatus::Success,
                                    AtsStatus::UnsupportedRequest => AtsStatus::CompleterAbort,
                                    AtsStatus::CompleterAbort => AtsStatus::UnsupportedRequest,
                                };
                            }
                            Some(Bug::AtsFaultRecorded)
                                if c.status == AtsStatus::Success && !c.permissions.read =>
                            {
                                self.report(FaultRecord::of_request(
                                    Cause::ReadPageFault,
                                    &request,
                                    0,
                                ));
                            }
                            _ => {}
                        }
                        self.ats.complete(tag, length, &request, &c);
                        self.jobs.remove(n);
                    }
                    (_, Outcome::Granted(t)) => {
                        let lost = self.bug == Some(Bug::McidLost);
                        let mcid = if lost { 0 } else { t.mcid };
                        let user = u32::from(t.pbmt.code())
                            | u32::from(t.rcid & 0xfff) << 2
                            | u32::from(mcid & 0xfff) << 14;
                        let cut = self.bug == Some(Bug::SpaTopLost);
                        let spa = if cut {
                            t.spa.0 & 0xfff_ffff_ffff
                        } else {
                            t.spa.0
                        };
                        self.grant(n, spa, user);
                    }
                    (_, Outcome::Mrif(target)) => {
                        if let Some(job) = self.jobs.get_mut(n) {
                            job.stage = Stage::Mrif(target, Mrif::Data);
                            if !job.is_write() || job.full {
                                self.mrif_data(n);
                            }
                        }
                    }
                    _ => self.answer(n, SLVERR),
                }
            }
            Done::Page(step) => {
                self.jobs.remove(n);
                if let What::Page(request) = what {
                    self.page_step(request, step);
                }
            }
            Done::Invalidated(result) => {
                self.jobs.remove(n);
                if let Err(Some(record)) = result {
                    self.report(record);
                }
            }
        }
    }

    /// Sets the A bit of the leaf that has refused a job.
    fn update_refused(&mut self, n: usize) {
        const ACCESSED: u64 = 1 << 6;
        let Some(job) = self.jobs.get(n) else { return };
        let Some((
            Need::Read {
                addr,
                bytes,
                label,
                big,
                ..
            },
            word,
        )) = job.walk.leaf
        else {
            return;
        };
        let value = resolved(word, bytes, big);
        if value & 1 == 0 || value & ACCESSED != 0 {
            return;
        }
        let need = Need::Swap {
            addr,
            bytes,
            expected: word,
            new: resolved(value | ACCESSED, bytes, big),
            label,
            big,
        };
        let waiter = job.waiter(n, need);
        let user = job.walk.user;
        self.port.swap(waiter, user, false);
    }

    /// A fault is to be recorded.
    pub(crate) fn report(&mut self, mut record: FaultRecord) {
        match self.bug {
            Some(Bug::GuestFlagsLost) => record.iotval2 &= !3,
            Some(Bug::RecordAddressStale) => {
                if let Some(before) = self.faults.back() {
                    record.iotval = before.iotval;
                }
            }
            Some(Bug::RecordDropped) if self.rng.percent(12) => return,
            Some(Bug::RecordTwice) if self.rng.percent(12) => self.faults.push_back(record),
            _ => {}
        }
        self.faults.push_back(record);
    }

    // ---- answers of memory

    fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Read(read) => self.take_read(read),
            Answer::Atomic(WriteFor::Swap(waiter), old) => self.take_swap(waiter, old),
            Answer::Atomic(WriteFor::Set { job, serial }, old) => {
                self.mrif_over(job, serial, old.map(|_| ()));
            }
            Answer::Atomic(..) => {}
            Answer::Written(of, fine) => match of {
                WriteFor::Record => self.record_written(fine),
                WriteFor::PageRecord => self.page_written(fine),
                WriteFor::Fence => self.fence_stored(fine),
                WriteFor::Message { addr } if !fine => self.message_lost(addr),
                WriteFor::Message { .. } | WriteFor::Swap(_) | WriteFor::Set { .. } => {}
                WriteFor::Mrif { job, serial } => {
                    let result = if fine { Ok(()) } else { Err(MemError::Access) };
                    self.mrif_over(job, serial, result);
                }
                WriteFor::Notice { addr } => {
                    if !fine {
                        self.message_lost(addr);
                    }
                }
            },
        }
    }

    /// An interrupt message could not be stored.
    pub(crate) fn message_lost(&mut self, addr: u64) {
        self.report(FaultRecord::of_event(
            iommu_golden::Cause::MsiWriteAccessFault,
            addr,
        ));
    }

    fn take_read(&mut self, read: Read) {
        // An access fault anywhere wins over corruption anywhere.
        let errors = || read.words.iter().filter_map(|w| w.1.err());
        let result = match errors()
            .find(|e| *e == MemError::Access)
            .or(errors().next())
        {
            Some(e) => Err(e),
            None => Ok(()),
        };
        match &read.of {
            ReadFor::Commands { count, epoch } => self.take_commands(*count, *epoch, &read.words),
            ReadFor::Mrif { job, serial } => {
                let old = read.words.first().map_or(0, |w| w.0);
                self.mrif_read(*job, *serial, result.map(|()| old));
            }
            ReadFor::Walks(waiters) => {
                let mut words = [0; 8];
                for (to, from) in words.iter_mut().zip(&read.words) {
                    *to = from.0;
                }
                if read.bytes == 4 {
                    words[0] = if read.addr & 4 == 0 {
                        words[0] & 0xffff_ffff
                    } else {
                        words[0] >> 32
                    };
                }
                for waiter in waiters {
                    self.give(waiter, &read, words, result);
                }
                self.trim();
            }
        }
    }

    /// Gives a walk what memory returned.
    fn give(
        &mut self,
        waiter: &Waiter,
        read: &Read,
        words: [u64; 8],
        result: Result<(), MemError>,
    ) {
        let Need::Read {
            label,
            big,
            bytes,
            combined,
            ..
        } = waiter.need
        else {
            return;
        };
        let Some(job) = self.waiting(waiter) else {
            return;
        };
        let begin = job.walk.begin;
        let count = usize::from(bytes.div_ceil(8));
        let values = words.map(|w| resolved(w, bytes, big));
        let entries = if result.is_ok() {
            self.cache.describe(&label, &values[..count])
        } else {
            [None; 2]
        };
        // A command that was executed since reaches it: it must not be held any more.
        let first = self.executed - self.recent.len() as u64;
        let since = read.seq.saturating_sub(first) as usize;
        let overtaken = self
            .recent
            .iter()
            .skip(since)
            .any(|c| entries.iter().flatten().any(|e| covers(c, e)));
        // Memory may have been read before the request came: then only an entry that may be held
        // is good for it, and V=0 (or an error) is not.
        let within = read.at.is_some_and(|at| at >= begin);
        let held = entries[0].is_some() && !overtaken;
        let wrong = self.bug == Some(Bug::MergedNotRedone) && result.is_ok();
        let stale = self.bug == Some(Bug::StaleWalkFills);
        let Some(job) = self.jobs.get_mut(waiter.job) else {
            return;
        };
        job.stage = Stage::Walk;
        self.todo.push_back(waiter.job);
        if !within && !held && !wrong {
            job.walk.fresh = Some(read.addr);
            return;
        }
        job.walk.fresh.take_if(|at| *at == read.addr);
        job.walk.overtaken |= overtaken;
        if let Some(Entry::FirstStage { leaf: true, .. }) = entries[0] {
            job.walk.leaf = Some((waiter.need, words[0]));
        }
        job.walk.log.push(Step {
            words,
            result,
            entries,
            from: From::Memory,
        });
        if result.is_ok() && (!job.walk.overtaken || stale) {
            self.cache.fill(
                &label,
                bytes,
                &words[..count],
                &values[..count],
                (read.addr, combined),
                &mut self.rng,
            );
        }
    }

    /// The job of a waiter, if it still waits for this.
    fn waiting(&self, waiter: &Waiter) -> Option<&Job> {
        self.jobs.get(waiter.job).filter(|j| {
            j.serial == waiter.serial
                && j.walk.start == waiter.start
                && matches!(j.stage, Stage::Waiting)
        })
    }

    fn take_swap(&mut self, waiter: Waiter, old: Result<u64, MemError>) {
        let Need::Swap {
            addr,
            bytes,
            expected,
            new,
            label,
            big,
        } = waiter.need
        else {
            return;
        };
        // What was held of this entry is not what memory holds.
        self.cache.forget(addr);
        let Some(job) = self
            .waiting(&waiter)
            .filter(|_| self.bug != Some(Bug::UpdateNotAwaited))
        else {
            return;
        };
        let overtaken = job.walk.overtaken;
        let ignored = self.bug == Some(Bug::CompareIgnored);
        let old = old.map(|o| if ignored { expected } else { o });
        let done = old == Ok(expected);
        if done && !overtaken {
            let value = resolved(new, bytes, big);
            self.cache.fill(
                &label,
                bytes,
                &[new],
                &[value],
                (addr, false),
                &mut self.rng,
            );
        }
        if let Some(job) = self.jobs.get_mut(waiter.job) {
            let mut words = [0; 8];
            words[0] = old.unwrap_or(0);
            job.walk.log.push(Step {
                words,
                result: old.map(|_| ()),
                entries: [None; 2],
                from: From::Memory,
            });
            // The entry has changed under the walk: it is read again, not found in the cache.
            job.walk.fresh = (!done).then_some(addr);
            job.stage = Stage::Walk;
            self.todo.push_back(waiter.job);
        }
    }

    // ---- invalidations

    /// Executes an invalidation.
    pub(crate) fn invalidate(&mut self, command: Command) {
        self.cache.invalidate(&command);
        if self.bug != Some(Bug::StaleWalkFills) {
            for (_, job) in self.jobs.iter_mut() {
                let walk = &mut job.walk;
                walk.overtaken = walk.overtaken
                    || walk
                        .log
                        .iter()
                        .any(|s| s.entries.iter().flatten().any(|e| covers(&command, e)));
            }
        }
        self.executed += 1;
        self.recent.push_back(command);
        self.trim();
    }

    /// Forgets executed commands that no read under way is older than.
    fn trim(&mut self) {
        if self.recent.len() < 32 {
            return;
        }
        let oldest = self.port.oldest().unwrap_or(u64::MAX);
        let first = self.executed - self.recent.len() as u64;
        let gone = (oldest.saturating_sub(first) as usize).min(self.recent.len());
        self.recent.drain(..gone);
    }

    // ---- interrupt files in memory

    /// The access to an interrupt file is complete: what it is.
    pub(crate) fn mrif_data(&mut self, n: usize) {
        use iommu_golden::mrif::MrifAction;
        let Some(job) = self.jobs.get(n) else { return };
        let Stage::Mrif(target, Mrif::Data) = job.stage else {
            return;
        };
        let burst = job.burst();
        let lane = burst.addr & 4;
        let (data, strb) = job.data.first().copied().unwrap_or_default();
        let access = job.request.access;
        let whole = access != Access::Write || strb == 0x0f << lane;
        let len = if burst.is_word() && whole { 4 } else { 0 };
        let data = ((data >> (8 * lane)) as u32).to_le_bytes();
        let action = self
            .iommu
            .mrif_action(&target, job.request.iova, access, len, data);
        match action {
            MrifAction::Abort => self.answer(n, SLVERR),
            MrifAction::ReadZero | MrifAction::Discard => self.answer(n, 0),
            MrifAction::Msi(_) if self.bug == Some(Bug::MrifBitLost) && self.rng.percent(12) => {
                self.answer(n, 0);
            }
            MrifAction::Msi(update) => {
                let serial = job.serial;
                let user = u32::from(target.rcid) | u32::from(target.mcid) << 12;
                if let Some(job) = self.jobs.get_mut(n) {
                    job.stage = Stage::Mrif(target, Mrif::Update);
                }
                if self.bug == Some(Bug::MrifAnsweredEarly) {
                    self.answer(n, 0);
                }
                self.ats.updates.push_back(crate::ats::Update {
                    job: n,
                    serial,
                    update,
                    user,
                });
            }
        }
    }

    /// The update of an interrupt file is in memory, or failed.
    pub(crate) fn mrif_over(&mut self, n: usize, serial: u64, result: Result<(), MemError>) {
        let done = self.ats.updates.pop_front();
        self.ats.updating = false;
        if self.bug == Some(Bug::MrifAnsweredEarly) {
            if let (Ok(()), Some(done)) = (result, done) {
                self.notice(&done.update);
            }
            return;
        }
        let Some(job) = self.jobs.get(n).filter(|j| j.serial == serial) else {
            return;
        };
        let Stage::Mrif(target, _) = job.stage else {
            return;
        };
        let request = job.request;
        match result {
            Ok(()) => {
                if let Some(done) = done
                    && self.bug != Some(Bug::NoticeEarly)
                {
                    self.notice(&done.update);
                }
                self.answer(n, 0);
            }
            Err(e) => {
                use iommu_golden::Cause;
                let cause =
                    if e == MemError::Corrupt && self.iommu.config().choices.reports_corruption {
                        Cause::MrifCorruption
                    } else {
                        Cause::MrifAccessFault
                    };
                if !target.dtf {
                    self.report(FaultRecord::of_request(cause, &request, 0));
                }
                self.answer(n, SLVERR);
            }
        }
    }

    pub(crate) fn notice(&mut self, update: &iommu_golden::mrif::MrifUpdate) {
        if self.bug == Some(Bug::NoticeLost) && self.rng.percent(12) {
            return;
        }
        let beside = self.bug == Some(Bug::NoticeElsewhere);
        let addr = update.notice.0 ^ if beside { 4 } else { 0 };
        if self.iommu.reachable(update.notice, 4) {
            let user = user(&self.iommu, &Label::Notice, None);
            let of = WriteFor::Notice { addr };
            self.port
                .write(Write::small(addr, update.notice_bytes, user, of));
        } else {
            self.message_lost(addr);
        }
    }
}

/// What a run of the golden model came to.
#[derive(Debug)]
enum Done {
    Outcome(Outcome),
    Page(PageRequestStep),
    Invalidated(Result<(), Option<FaultRecord>>),
}
