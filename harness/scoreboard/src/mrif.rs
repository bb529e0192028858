//! Pages in MRIF mode: the bit that an MSI sets in memory, and the notice that follows.

use iommu_bus::event::Resp;
use iommu_bus::mem::SparseMemory;
use iommu_golden::mrif::{MrifAction, MrifUpdate};
use iommu_golden::{Access, Capabilities, Cause, FaultRecord, Iova, MrifTarget, Request};

use crate::dev::{Fate, Ref, Req};
use crate::oracle::Verdict;
use crate::ports::{MemWrite, ReadFor, WriteFor};
use crate::{Check, Scoreboard, describe_axi};

/// How far an MSI has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Accepted (OKAY), and nothing was seen on `m_mem`.
    Waiting,
    /// A read-modify-write has read.
    Read { data: u64 },
    /// Its update is on its way.
    Going,
    /// The update is visible.
    Updated,
    /// The notice is on its way.
    Notice,
}

/// An MSI that goes into an interrupt file.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) serial: u64,
    /// Of this request, while it lives.
    pub(crate) of: Ref,
    pub(crate) request: Request,
    pub(crate) line: String,
    pub(crate) since: u64,
    pub(crate) stage: Stage,
    /// What it may do; one once its update has been seen.
    pub(crate) options: Vec<(MrifTarget, MrifUpdate)>,
}

/// All MSIs under way.
#[derive(Debug, Default)]
pub(crate) struct Mrif {
    pub(crate) jobs: Vec<Job>,
    next: u64,
}

fn user_of(t: &MrifTarget) -> u32 {
    u32::from(t.rcid & 0xfff) | u32::from(t.mcid & 0xfff) << 12
}

/// A single aligned 4-byte access with all its strobes, neither exclusive nor atomic.
fn plain(q: &Req) -> bool {
    let a = &q.axi;
    let strobes = !q.write
        || q.data
            .first()
            .is_some_and(|d| d.strb == 0x0f << (a.addr & 4));
    a.len == 0 && a.size == 2 && a.addr & 3 == 0 && !a.lock && a.atop == 0 && strobes
}

impl Mrif {
    /// An MSI whose update was on its way to memory by then, and has not been answered: "PW ...
    /// all previous write requests ... that have already been processed" waits for it.
    pub(crate) fn unfinished(&self, by: u64) -> Option<&Job> {
        // `since` of an update under way is the clock of its AW.
        self.jobs
            .iter()
            .find(|j| j.stage == Stage::Going && j.since <= by)
    }
}

impl Scoreboard {
    /// What an access to a page in MRIF mode does; `None` while its data is not in.
    pub(crate) fn mrif_action(&self, q: &Req, target: &MrifTarget) -> Option<MrifAction> {
        if !q.has_data() {
            return None;
        }
        if !plain(q) {
            return Some(MrifAction::Abort);
        }
        let shift = 8 * (q.axi.addr & 4);
        let data = q.data.first().map_or(0, |d| (d.data >> shift) as u32);
        let access = if q.write { Access::Write } else { Access::Read };
        let iova = Iova(q.axi.addr);
        Some(
            self.iommu
                .mrif_action(target, iova, access, 4, data.to_le_bytes()),
        )
    }

    /// The MSIs that a request may be, as far as its verdicts say.
    fn mrif_options(&self, q: &Req) -> Vec<(MrifTarget, MrifUpdate)> {
        q.legal
            .verdicts
            .iter()
            .filter_map(|v| match v {
                Verdict::Mrif {
                    target,
                    late: false,
                    ..
                } => match self.mrif_action(q, target)? {
                    MrifAction::Msi(update) => Some((*target, update)),
                    _ => None,
                },
                _ => None,
            })
            .collect()
    }

    /// The MSI that makes an access at `addr`, in one of the stages that `fits` accepts: one
    /// that is known, or an open request that becomes one.
    fn mrif_job(
        &mut self,
        fits: impl Fn(&Stage) -> bool,
        wants: impl Fn(&MrifUpdate) -> bool,
    ) -> Option<usize> {
        let known = self
            .mrif
            .jobs
            .iter()
            .position(|j| fits(&j.stage) && j.options.iter().any(|(_, u)| wants(u)));
        if known.is_some() {
            return known;
        }
        if !fits(&Stage::Waiting) {
            return None;
        }
        let found = self.dev.live().find_map(|(r, q)| {
            (q.fate == Fate::Open
                && q.barred.is_none()
                && q.write
                && self.mrif_options(q).iter().any(|(_, u)| wants(u)))
            .then_some(r)
        })?;
        self.begin_job(found);
        self.mrif.jobs.len().checked_sub(1)
    }

    /// An open request is an MSI for an interrupt file.
    fn begin_job(&mut self, r: Ref) {
        let Some(q) = self.dev.get(r) else { return };
        let options = self.mrif_options(q);
        let (request, line) = (q.request(), q.line());
        let early = q.legal.verdicts.iter().all(
            |v| !matches!(v, Verdict::Mrif { after_update, late, .. } if !after_update && !late),
        );
        let file = |v: &Verdict| matches!(v, Verdict::Mrif { .. });
        if early || self.needs_update(crate::atomics::Owner::Dev(r), file) {
            let story = line.clone();
            self.fail(
                Check::UpdateLate,
                "the A/D update of its walk before the MSI is stored",
                "the MSI is on its way",
                story,
            );
        }
        self.mrif.next += 1;
        self.mrif.jobs.push(Job {
            serial: self.mrif.next,
            of: r,
            request,
            line,
            since: self.now,
            stage: Stage::Waiting,
            options,
        });
        self.take_by_mrif(r);
    }

    /// The request is not forwarded, and has no record of its own.
    pub(crate) fn take_by_mrif(&mut self, r: Ref) {
        let now = self.now;
        let Some(q) = self.dev.get_mut(r) else { return };
        q.fate = Fate::Mrif { failed: false };
        let (write, id) = (q.write, q.axi.id);
        let awaits = std::mem::take(&mut q.awaits_record);
        self.dev.was_slow(write, id, now);
        self.check_fairness(r);
        self.dev.undecided = self.dev.undecided.saturating_sub(1);
        if awaits {
            self.drop_fault_of(r);
        }
    }

    /// An atomic that sets `bits` (by lane of the doubleword).
    pub(crate) fn mrif_update(&mut self, w: &MemWrite, bits: u64) -> WriteFor {
        let place = w.axi.addr & !7;
        let atomic = self.iommu.capabilities().has(Capabilities::AMO_MRIF);
        let wants = |u: &MrifUpdate| u.addr.0 == place && u.bit == bits;
        if !atomic {
            self.fail(
                Check::AccessKind,
                "a plain read-modify-write: AMO_MRIF is 0",
                format!("AW {} atop {:#x}", describe_axi(&w.axi), w.axi.atop),
                String::new(),
            );
        }
        match self.mrif_job(|s| *s == Stage::Waiting, wants) {
            Some(n) => self.mrif_going(n, w, wants),
            None => self.wrong_mrif(w, place, bits),
        }
    }

    /// The update of job `n` is on its way.
    fn mrif_going(
        &mut self,
        n: usize,
        w: &MemWrite,
        wants: impl Fn(&MrifUpdate) -> bool,
    ) -> WriteFor {
        let now = self.now;
        let job = &mut self.mrif.jobs[n];
        job.options.retain(|(_, u)| wants(u));
        job.stage = Stage::Going;
        job.since = now;
        let serial = job.serial;
        let users: Vec<u32> = job.options.iter().map(|(t, _)| user_of(t)).collect();
        self.check_user("AW", &w.axi, &users);
        WriteFor::Mrif { job: serial }
    }

    /// An update that no MSI asks for.
    fn wrong_mrif(&mut self, w: &MemWrite, place: u64, bits: u64) -> WriteFor {
        let due: Vec<String> = self
            .mrif
            .jobs
            .iter()
            .filter(|j| j.stage == Stage::Waiting)
            .flat_map(|j| j.options.iter())
            .map(|(_, u)| format!("bit {:#x} at {:#x}", u.bit, u.addr.0))
            .chain(
                self.dev
                    .live()
                    .filter(|(_, q)| q.fate == Fate::Open && q.write)
                    .flat_map(|(_, q)| self.mrif_options(q))
                    .map(|(_, u)| format!("bit {:#x} at {:#x}", u.bit, u.addr.0)),
            )
            .collect();
        let want = if due.is_empty() {
            "no update: no MSI for an interrupt file is open".into()
        } else {
            due.join(" or ")
        };
        let story = self.open_requests();
        self.fail(
            Check::MrifUpdate,
            want,
            format!("bits {bits:#x} at {place:#x}: {}", describe_axi(&w.axi)),
            story,
        );
        WriteFor::Unknown
    }

    /// Without atomics: the read of a read-modify-write.
    pub(crate) fn mrif_read(&mut self, first: u64, last: u64) -> Option<ReadFor> {
        if self.iommu.capabilities().has(Capabilities::AMO_MRIF) {
            return None;
        }
        let place = first & !7;
        if last & !7 != place {
            return None;
        }
        let wants = |u: &MrifUpdate| u.addr.0 == place;
        let n = self.mrif_job(|s| *s == Stage::Waiting, wants)?;
        let job = &mut self.mrif.jobs[n];
        job.options.retain(|(_, u)| wants(u));
        Some(ReadFor::Mrif { job: job.serial })
    }

    /// Its data, good or bad.
    pub(crate) fn mrif_data(&mut self, job: u64, data: u64, error: Option<bool>) {
        let Some(n) = self.mrif.jobs.iter().position(|j| j.serial == job) else {
            return;
        };
        match error {
            None => self.mrif.jobs[n].stage = Stage::Read { data },
            Some(corrupt) => self.mrif_failed(n, corrupt),
        }
    }

    /// Without atomics: the write of a read-modify-write, if it is one.
    pub(crate) fn mrif_write(&mut self, w: &MemWrite) -> Option<WriteFor> {
        let [beat] = w.beats.as_slice() else {
            return None;
        };
        let place = w.axi.addr & !7;
        let mut lanes = 0u64;
        for n in (0..8).filter(|n| beat.strb >> n & 1 == 1) {
            lanes |= 0xff << (8 * n);
        }
        let n = self.mrif.jobs.iter().position(|j| {
            matches!(j.stage, Stage::Read { .. })
                && j.options.iter().any(|(_, u)| u.addr.0 == place)
        })?;
        // What was read, with the bit of this message set.
        let sets = |data: u64, u: &MrifUpdate| {
            u.addr.0 == place
                && u.bit & lanes == u.bit
                && beat.data & lanes == (data | u.bit) & lanes
        };
        let exact = self.mrif.jobs.iter().position(|j| match j.stage {
            Stage::Read { data } => j.options.iter().any(|(_, u)| sets(data, u)),
            _ => false,
        });
        if let Some(n) = exact {
            return Some(self.mrif_going(n, w, |u| u.addr.0 == place));
        }
        // The read was for another message of the same doubleword: nothing told whose it was.
        if let Stage::Read { data } = self.mrif.jobs[n].stage {
            let its = |u: &MrifUpdate| sets(data, u);
            if let Some(other) = self.mrif_job(|s| *s == Stage::Waiting, its) {
                self.mrif.jobs[n].stage = Stage::Waiting;
                return Some(self.mrif_going(other, w, its));
            }
        }
        let job = &self.mrif.jobs[n];
        let story = job.line.clone();
        let want = match (job.stage, job.options.first()) {
            (Stage::Read { data }, Some((_, u))) => {
                format!(
                    "{:#018x}: what was read, with {:#x} set",
                    data | u.bit,
                    u.bit
                )
            }
            _ => String::new(),
        };
        self.fail(
            Check::MrifUpdate,
            want,
            format!("{:#018x} strobes {:#04x}", beat.data, beat.strb),
            story,
        );
        Some(self.mrif_going(n, w, |u| u.addr.0 == place))
    }

    /// The answer to the update.
    pub(crate) fn mrif_answered(
        &mut self,
        job: u64,
        resp: Resp,
        corrupt: bool,
        mem: &SparseMemory,
    ) {
        let Some(n) = self.mrif.jobs.iter().position(|j| j.serial == job) else {
            return;
        };
        if !matches!(resp, Resp::Okay | Resp::ExOkay) {
            self.mrif_failed(n, corrupt);
            return;
        }
        self.counters.msis += 1;
        let now = self.now;
        let job = &mut self.mrif.jobs[n];
        job.stage = Stage::Updated;
        job.since = now;
        let Some(&(target, update)) = job.options.first() else {
            return;
        };
        let line = job.line.clone();
        if mem.read_u64(update.addr.0) & update.bit == 0 {
            self.fail(
                Check::MrifUpdate,
                format!(
                    "bit {:#x} at {:#x} set in memory",
                    update.bit, update.addr.0
                ),
                "it is clear",
                line,
            );
        }
        if !self.reachable(target.notice.0, 4) {
            self.mrif.jobs.remove(n);
            let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, target.notice.0);
            self.push_fault(None, Some(record), true);
        }
    }

    /// The update cannot be made: "MRIF access fault", or corruption.
    fn mrif_failed(&mut self, n: usize, corrupt: bool) {
        let job = self.mrif.jobs.remove(n);
        if let Some(q) = self.dev.get_mut(job.of)
            && matches!(q.fate, Fate::Mrif { .. })
        {
            q.fate = Fate::Mrif { failed: true };
        }
        let Some((target, _)) = job.options.first() else {
            return;
        };
        self.mrif_fault(job.of, target, &job.request, corrupt);
    }

    fn mrif_fault(&mut self, r: Ref, target: &MrifTarget, request: &Request, corrupt: bool) {
        let told = self.cfg.golden.choices.reports_corruption;
        let cause = if corrupt && told {
            Cause::MrifCorruption
        } else {
            Cause::MrifAccessFault
        };
        if let Some(q) = self.dev.get_mut(r) {
            q.mrif_cause = Some((cause.code(), !target.dtf));
        }
        if !target.dtf {
            let record = FaultRecord::of_request(cause, request, 0);
            self.push_fault(None, Some(record), true);
        }
    }

    /// A 4-byte store that is, or may be meant as, a notice.
    pub(crate) fn notice_for(&self, addr: u64, data: Option<u32>) -> Option<usize> {
        let goes = |j: &crate::mrif::Job| {
            j.options.iter().any(|(t, u)| {
                t.notice.0 == addr && data.is_none_or(|d| u.notice_bytes == d.to_le_bytes())
            })
        };
        let jobs = &self.mrif.jobs;
        jobs.iter()
            .position(|j| j.stage == Stage::Updated && goes(j))
            .or_else(|| jobs.iter().position(|j| j.stage == Stage::Going && goes(j)))
    }

    pub(crate) fn notice_write(&mut self, n: usize, data: Option<u32>, w: &MemWrite) -> WriteFor {
        let now = self.now;
        let job = &mut self.mrif.jobs[n];
        let early = job.stage == Stage::Going;
        job.stage = Stage::Notice;
        job.since = now;
        let (serial, line) = (job.serial, job.line.clone());
        // The entry may have been cached in several states: which one it was shows here.
        let fits = |t: &MrifTarget, u: &MrifUpdate| {
            t.notice.0 == w.axi.addr && data.is_some_and(|d| u.notice_bytes == d.to_le_bytes())
        };
        if job.options.iter().any(|(t, u)| fits(t, u)) {
            job.options.retain(|(t, u)| fits(t, u));
        }
        let want = job
            .options
            .first()
            .map(|(_, u)| u32::from_le_bytes(u.notice_bytes));
        self.counters.notices += 1;
        if early {
            self.fail(
                Check::NoticeEarly,
                "the notice after the B of the update",
                format!("AW {} before it", describe_axi(&w.axi)),
                line.clone(),
            );
        }
        if data != want {
            self.fail(
                Check::NoticeContent,
                format!("4 bytes {:#010x}", want.unwrap_or(0)),
                format!("AW {}, {data:x?}", describe_axi(&w.axi)),
                line,
            );
        }
        let own = self.own_users();
        self.check_user("AW", &w.axi, &own);
        WriteFor::Notice { job: serial }
    }

    pub(crate) fn notice_answered(&mut self, job: u64, resp: Resp) {
        let Some(n) = self.mrif.jobs.iter().position(|j| j.serial == job) else {
            return;
        };
        let job = self.mrif.jobs.remove(n);
        if !matches!(resp, Resp::Okay | Resp::ExOkay)
            && let Some((t, _)) = job.options.first()
        {
            let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, t.notice.0);
            self.push_fault(None, Some(record), true);
        }
    }

    /// A response on `s_dev` for a request that is open and may be one to an interrupt file.
    /// True if it is one.
    pub(crate) fn mrif_response(&mut self, r: Ref, resp: Resp) -> bool {
        let Some(q) = self.dev.get(r) else {
            return false;
        };
        let okay = matches!(resp, Resp::Okay | Resp::ExOkay);
        let denied = q
            .legal
            .verdicts
            .iter()
            .any(|v| matches!(v, Verdict::Deny { .. }));
        let mut abort = false;
        let mut none = false;
        let mut unreachable = None;
        for v in &q.legal.verdicts {
            let Verdict::Mrif { target, .. } = v else {
                continue;
            };
            match self.mrif_action(q, target) {
                Some(MrifAction::Abort) => abort = true,
                Some(MrifAction::ReadZero | MrifAction::Discard) => none = true,
                Some(MrifAction::Msi(u)) if !self.reachable(u.addr.0, 8) => {
                    unreachable = Some(*target);
                }
                Some(MrifAction::Msi(_)) | None => {}
            }
        }
        if okay && none {
            self.take_by_mrif(r);
        } else if okay && !self.mrif_options(q).is_empty() && unreachable.is_none() {
            // Accepted; the update is still to come.
            self.begin_job(r);
        } else if !okay && abort && !denied {
            self.take_by_mrif(r);
            self.mrif_refused(r);
        } else if let Some(target) = unreachable.filter(|_| !okay && !denied) {
            let request = q.request();
            self.take_by_mrif(r);
            self.mrif_refused(r);
            self.mrif_fault(r, &target, &request, false);
        } else if !okay && !denied && !q.legal.may_grant() {
            // It should have been stored, or read as zero; the check of the response says so.
            self.take_by_mrif(r);
        } else {
            return false;
        }
        true
    }

    fn mrif_refused(&mut self, r: Ref) {
        if let Some(q) = self.dev.get_mut(r) {
            q.fate = Fate::Mrif { failed: true };
        }
    }

    /// Checks the response of a request that an interrupt file took.
    pub(crate) fn check_mrif_response(&mut self, r: Ref, failed: bool, resp: Resp, data: u64) {
        let Some(q) = self.dev.get(r) else { return };
        let want = if failed { Resp::SlvErr } else { Resp::Okay };
        if resp != want || data != 0 {
            let story = q.line();
            self.fail(
                Check::MrifResponse,
                format!("{want:?}, data zero"),
                format!("{resp:?}, {data:#x}"),
                story,
            );
        }
    }

    /// MSIs whose update or notice does not come.
    pub(crate) fn check_mrif(&mut self, all: bool) {
        let limit = self.bounds.record + self.mrif.jobs.len() as u64 * self.bounds.record / 4;
        let (now, since) = (self.now, self.bounds.since);
        while let Some(n) = self.mrif.jobs.iter().position(|j| {
            all || (matches!(
                j.stage,
                Stage::Waiting | Stage::Read { .. } | Stage::Updated
            ) && j.since.max(since) + limit < now)
        }) {
            let job = self.mrif.jobs.remove(n);
            let (check, want) = match (job.stage, job.options.first()) {
                (Stage::Updated | Stage::Notice, Some((t, u))) => (
                    Check::NoticeMissing,
                    format!(
                        "notice {:#010x} to {:#x}",
                        u32::from_le_bytes(u.notice_bytes),
                        t.notice.0
                    ),
                ),
                (_, Some((_, u))) => (
                    Check::MrifMissing,
                    format!("bit {:#x} at {:#x} set", u.bit, u.addr.0),
                ),
                (_, None) => continue,
            };
            let got = format!("none since {}", job.since);
            self.fail(check, want, got, job.line);
        }
    }
}
