//! The ATS channels: translation requests and their completions, invalidations.

use iommu_bus::ats::{AtsInvalidation, AtsInvalidationDone, AtsRange, AtsRequest};
use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::command::AtsMessage;
use iommu_golden::{
    Access, AtsCompletion, AtsStatus, Capabilities, FaultRecord, Iova, Label, MemError, Memory,
    Permissions, Request, RequestKind, Spa,
};

use crate::askers::AskFor;
use crate::atomics::Owner;
use crate::hpm::Maker;
use crate::oracle::{Legal, Query, Verdict};
use crate::{Check, Scoreboard};

/// A translation request that waits for (more of) its completion.
#[derive(Debug)]
struct Open {
    request: AtsRequest,
    asker: u64,
    /// Ranges that have come, and the bytes that they cover.
    ranges: u16,
    covered: u64,
}

/// A message that a command asks for and that has not left.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) message: AtsMessage,
    pub(crate) invalidation: bool,
    /// Its command's count, of this epoch of the queue; since when it could have left.
    pub(crate) count: u64,
    pub(crate) epoch: u32,
    pub(crate) since: u64,
    /// The queue was switched off meanwhile: it may be dropped.
    pub(crate) optional: bool,
}

/// An invalidation request in flight, or that may be.
#[derive(Debug)]
struct Tag {
    itag: u8,
    device_id: u32,
    segment_valid: bool,
    sent: u64,
    /// Completions that it takes, as the last one said.
    needed: u8,
    answers: Vec<Answer>,
}

/// A completion of an invalidation. Where the device's context is being edited, it may be taken or
/// refused.
#[derive(Debug, Clone, Copy)]
struct Answer {
    asker: u64,
    /// Its look-up may still go on.
    open: bool,
    taken: bool,
    refused: bool,
}

impl Tag {
    /// The block may take it for completed.
    fn may_be_done(&self) -> bool {
        self.is_done(|a| a.taken)
    }

    /// It must.
    fn is_surely_done(&self) -> bool {
        self.is_done(|a| a.taken && !a.refused)
    }

    fn is_done(&self, counts: impl Fn(&Answer) -> bool) -> bool {
        let count = self.answers.iter().filter(|a| counts(a)).count();
        self.needed > 0 && count >= usize::from(self.needed)
    }
}

/// What is under way on the ATS channels.
#[derive(Debug, Default)]
pub(crate) struct Ats {
    /// Devices take nothing: what waits for them is not late.
    pub(crate) stopped: bool,
    open: Vec<Open>,
    pub(crate) owed: Vec<Owed>,
    /// By age.
    tags: Vec<Tag>,
    /// Invalidations have timed out since the last fence that told: surely, possibly.
    pub(crate) timed_out: (bool, bool),
}

impl Ats {
    /// A fence has to wait for these.
    pub(crate) fn blocks_fence(&self) -> bool {
        self.tags.iter().any(|t| !t.may_be_done())
            || self.owed.iter().any(|o| o.invalidation && !o.optional)
    }

    /// If a fence that is not blocked completes is for the block to say: a device's completion may have
    /// been refused, so that it waits for a time-out, or one may have passed.
    pub(crate) fn doubts_fence(&self) -> bool {
        self.tags.iter().any(|t| !t.is_surely_done()) || self.timed_out == (false, true)
    }

    /// A fence has completed: so has every invalidation before it, in time.
    pub(crate) fn fence_was_complete(&mut self) {
        self.tags.retain(|t| !t.may_be_done());
        self.timed_out.1 = false;
    }

    /// What is known about the answer of this number.
    pub(crate) fn answer_is(&mut self, asker: u64, open: bool, taken: bool, refused: bool) {
        for a in self.tags.iter_mut().flat_map(|t| &mut t.answers) {
            if a.asker == asker {
                *a = Answer {
                    asker,
                    open,
                    taken,
                    refused,
                };
            }
        }
        self.tags
            .retain(|t| !t.is_surely_done() || t.answers.iter().any(|a| a.open));
    }

    /// Nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.owed.iter().all(|o| o.optional)
    }

    /// The command queue was switched off.
    pub(crate) fn queue_off(&mut self) {
        for o in &mut self.owed {
            o.optional = true;
        }
        self.timed_out.0 = false;
    }
}

/// The tables as they stand, for messages: only a device context is looked up.
pub(crate) struct Plain<'a>(pub(crate) &'a SparseMemory);

impl Memory for Plain<'_> {
    fn load(&mut self, addr: Spa, size: u8, _: &Label) -> Result<u64, MemError> {
        match self.0.fault_for(addr.0, size.into(), FaultAccess::Read) {
            Some(MemFault::Poison) => Err(MemError::Corrupt),
            Some(MemFault::SlvErr | MemFault::DecErr) => Err(MemError::Access),
            None if size == 4 => Ok(self.0.read_u32(addr.0).into()),
            None => Ok(self.0.read_u64(addr.0)),
        }
    }

    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        Ok(())
    }

    fn compare_and_swap(
        &mut self,
        addr: Spa,
        size: u8,
        _: u64,
        _: u64,
        label: &Label,
    ) -> Result<u64, MemError> {
        self.load(addr, size, label)
    }

    fn fetch_or(&mut self, addr: Spa, _: u64, _: bool, label: &Label) -> Result<u64, MemError> {
        self.load(addr, 8, label)
    }
}

/// What the golden model is asked for an ATS translation request.
fn request_of(r: &AtsRequest, addr: u64) -> Request {
    Request {
        device_id: r.device_id,
        process_id: r.process_id,
        privileged: r.privileged,
        kind: RequestKind::AtsTranslation,
        access: match (r.no_write, r.execute) {
            (false, _) => Access::Write,
            (true, true) => Access::Execute,
            (true, false) => Access::Read,
        },
        execute_requested: r.execute,
        cxl: r.cxl,
        iova: Iova(addr),
        len: 4096,
    }
}

fn some_granted(p: &Permissions) -> bool {
    p.read || p.write || p.execute
}

/// What a range has wrong against a completion, if anything.
fn mismatch(c: &AtsCompletion, r: &AtsRange) -> Option<String> {
    let status = match c.status {
        AtsStatus::Success => 0,
        AtsStatus::UnsupportedRequest => 1,
        AtsStatus::CompleterAbort => 4,
    };
    if r.status != status {
        return Some(format!("status {status}"));
    }
    if status != 0 {
        return None;
    }
    let p = &c.permissions;
    let flags = [
        ("R", p.read, r.read),
        ("W", p.write, r.write),
        ("X", p.execute, r.execute),
        ("U", c.untranslated_only, r.untranslated),
        ("N", c.no_snoop, r.no_snoop),
        // Of a page that is not permitted at all Global says nothing.
        (
            "Global",
            c.global && some_granted(p),
            r.global && some_granted(p),
        ),
        ("Priv", c.privileged, r.privileged),
        ("CXL.io", c.cxl_io.unwrap_or(r.cxl_io), r.cxl_io),
    ];
    if let Some((name, want, _)) = flags.into_iter().find(|f| f.1 != f.2) {
        return Some(format!("{name} {}", u8::from(want)));
    }
    if r.ama != c.ama {
        return Some(format!("AMA {}", c.ama));
    }
    // "The translated address returned with such completions is UNSPECIFIED."
    if !some_granted(p) || c.untranslated_only {
        return None;
    }
    let range = r.range_log2();
    if range > c.range_log2 {
        return Some(format!("a range of at most 2^{} bytes", c.range_log2));
    }
    let base = c.address >> range << range;
    (r.base() != base).then(|| format!("address {base:#x}"))
}

impl Scoreboard {
    /// Whether devices take what the block sends at the ATS channels, from now on. Only what
    /// waits for them may then wait.
    pub fn set_ats_stopped(&mut self, stopped: bool) {
        self.ats.stopped = stopped;
        self.bounds.since = self.now;
    }

    /// What the oracle says about a request that is not on `s_dev`, from `since` on.
    fn consult(&mut self, request: &Request, since: u64, mem: &SparseMemory, legal: &mut Legal) {
        let query = Query {
            request: *request,
            accepted: since,
            write: false,
            lax: false,
            ordered: false,
        };
        if !self.legal(&query, mem, legal) {
            self.fail(
                Check::OracleBound,
                format!("at most {} walks for one request", crate::oracle::BOUND),
                "more: too many edits at once; nothing is known about this request",
                format!("{request:x?}"),
            );
        }
    }

    /// Adds to a walk's legal outcomes what the oracle says now.
    pub(crate) fn ask_asker(&mut self, serial: u64, mem: &SparseMemory) {
        let Some(a) = self.askers.get_mut(serial) else {
            return;
        };
        if a.what == AskFor::Message {
            self.ask_message(serial, mem);
            return;
        }
        let (request, since) = (a.request, a.since);
        let mut legal = std::mem::take(&mut a.legal);
        legal.ask_again();
        self.consult(&request, since, mem, &mut legal);
        if self
            .askers
            .get(serial)
            .is_some_and(|a| a.what == AskFor::Debug)
        {
            debug_verdicts(&request, &mut legal);
        } else if !self.iommu.capabilities().has(Capabilities::ATS) {
            not_offered(&mut legal);
        }
        let may_record = legal.verdicts.iter().any(|v| v.record().is_some());
        let Some(a) = self.askers.get_mut(serial) else {
            return;
        };
        a.legal = legal;
        if may_record && !a.awaits_record && !a.recorded {
            a.awaits_record = true;
            self.push_fault_of_asker(serial, false);
        } else if !may_record && a.awaits_record {
            self.drop_fault_of_asker(serial);
        }
    }

    /// Asks again for the walks that a change has touched.
    pub(crate) fn askers_again(&mut self, mem: &SparseMemory) {
        let again: Vec<u64> = self
            .askers
            .open_mut()
            .filter_map(|a| std::mem::take(&mut a.ask_again).then_some(a.serial))
            .collect();
        for serial in again {
            self.ask_asker(serial, mem);
        }
    }

    pub(crate) fn on_ats_request(&mut self, r: AtsRequest, mem: &SparseMemory) {
        self.in_reset = false;
        self.counters.ats_requests += 1;
        let request = request_of(&r, r.addr);
        let serial = self.askers.insert(AskFor::Ats, request, self.now);
        self.ats.open.push(Open {
            request: r,
            asker: serial,
            ranges: 0,
            covered: 0,
        });
        self.hpm_begin(Maker::ats(&request, self.ats_ranges(serial)));
        self.ask_asker(serial, mem);
    }

    /// How many ranges the request of this walk asks for.
    pub(crate) fn ats_ranges(&self, asker: u64) -> u16 {
        let open = self.ats.open.iter().find(|o| o.asker == asker);
        open.map_or(1, |o| u16::from(o.request.length) + 1)
    }

    pub(crate) fn on_ats_completion(&mut self, r: AtsRange, mem: &SparseMemory) {
        let Some(n) = self.ats.open.iter().position(|o| o.request.tag == r.tag) else {
            // The agent reports a tag that is not outstanding.
            return;
        };
        let open = &mut self.ats.open[n];
        let (request, serial, first) = (open.request, open.asker, open.ranges == 0);
        open.ranges += 1;
        let at = request.addr.wrapping_add(open.covered);
        open.covered = open.covered.wrapping_add(1u64 << r.range_log2().min(63));
        let too_many = open.ranges > u16::from(request.length) + 1;
        let more = Legal::default();
        let legal = if first {
            self.askers
                .get(serial)
                .map(|a| a.legal.clone())
                .unwrap_or(more)
        } else {
            let mut legal = more;
            let since = self.askers.get(serial).map_or(self.now, |a| a.since);
            self.consult(&request_of(&request, at), since, mem, &mut legal);
            legal
        };
        self.check_range(&r, &legal, serial, first);
        let story = || {
            self.askers
                .get(serial)
                .map(|a| a.line())
                .unwrap_or_default()
        };
        if too_many || (r.status != 0 && !(first && r.last)) {
            let story = story();
            self.fail(
                Check::AtsCompletion,
                format!(
                    "at most {} ranges, one for a refusal",
                    u16::from(request.length) + 1
                ),
                format!("{r:x?}"),
                story,
            );
        }
        if r.last {
            self.end_ats_request(n, &r);
        }
    }

    fn check_range(&mut self, r: &AtsRange, legal: &Legal, serial: u64, first: bool) {
        let mut wrong = Vec::new();
        let mut early = false;
        let mut right = false;
        for v in &legal.verdicts {
            let Verdict::Ats {
                completion,
                after_update,
            } = v
            else {
                continue;
            };
            match mismatch(completion, r) {
                None if *after_update => early = true,
                None => right = true,
                Some(why) => wrong.push(why),
            }
        }
        let owner = Owner::Asker(serial);
        let so = |v: &Verdict| matches!(v, Verdict::Ats { completion, .. } if mismatch(completion, r).is_none());
        if self.needs_update(owner, so) {
            early = true;
        } else if right {
            return;
        }
        let story = self
            .askers
            .get(serial)
            .map(|a| a.line())
            .unwrap_or_default();
        if early {
            self.fail(
                Check::UpdateLate,
                "the B of its A/D update before the completion",
                format!("{r:x?}"),
                story,
            );
            return;
        }
        wrong.dedup();
        let place = if first { "" } else { " (further range)" };
        self.fail(
            Check::AtsCompletion,
            wrong.join(" or "),
            format!("{r:x?}{place}"),
            story,
        );
    }

    fn end_ats_request(&mut self, n: usize, r: &AtsRange) {
        let open = self.ats.open.remove(n);
        let serial = open.asker;
        let Some(a) = self.askers.get_mut(serial) else {
            return;
        };
        a.open = false;
        let (request, since) = (a.request, a.since);
        // Only the record of what was answered may come.
        let fits = |v: &Verdict| matches!(v, Verdict::Ats { completion, .. } if mismatch(completion, r).is_none());
        if a.legal.verdicts.iter().any(fits) {
            a.legal.verdicts.retain(fits);
        }
        let records = a
            .legal
            .verdicts
            .iter()
            .filter(|v| v.record().is_some())
            .count();
        let (none, all) = (records == 0, records == a.legal.verdicts.len());
        if a.awaits_record {
            if none {
                self.drop_fault_of_asker(serial);
            } else {
                self.fault_of_asker(serial, all);
            }
        }
        self.hpm_stir();
        self.hpm_end(&request, since);
        self.askers.tidy();
        self.advance_commands();
    }

    // ---- invalidations

    /// A command that sends a message could have been executed.
    pub(crate) fn owe(&mut self, message: AtsMessage, invalidation: bool) {
        self.ats.owed.push(Owed {
            message,
            invalidation,
            count: self.cq.head.hi,
            epoch: self.mem.epoch,
            since: self.now,
            optional: false,
        });
    }

    pub(crate) fn on_ats_invalidation(&mut self, m: AtsInvalidation) {
        self.cq.progress = self.now;
        let fits = |o: &Owed| {
            o.invalidation
                && o.message.payload == m.payload
                && o.message.process_id == m.process_id
                && same_target(&o.message, m.device_id, m.segment_valid)
        };
        let mut position = self.ats.owed.iter().position(fits);
        if position.is_none() && self.fence_was_complete() {
            position = self.ats.owed.iter().position(fits);
        }
        match position {
            Some(n) => {
                let owed = self.ats.owed.remove(n);
                // What is fenced before it has completed: a translation completion that still
                // rests on what was invalidated there would make the device hold it for ever.
                if owed.epoch == self.mem.epoch {
                    self.commands_seen(owed.count);
                }
            }
            None => {
                let due: Vec<String> = self
                    .ats
                    .owed
                    .iter()
                    .filter(|o| o.invalidation)
                    .map(|o| format!("{:x?}", o.message))
                    .collect();
                let want = if due.is_empty() {
                    "no invalidation request: no fetched ATS.INVAL asks for it".into()
                } else {
                    due.join(" or ")
                };
                let story = self.command_story();
                self.fail(Check::AtsInvalidation, want, format!("{m:x?}"), story);
            }
        }
        let now = self.now;
        let same = |t: &Tag| t.itag == m.itag & 31;
        if let Some(old) = self.ats.tags.iter().find(|t| same(t) && !t.may_be_done()) {
            let story = format!("in use since {} for {:#08x}", old.sent, old.device_id);
            self.fail(
                Check::ItagReused,
                format!("ITag {} not in use", m.itag),
                format!("{m:x?}"),
                story,
            );
        }
        self.ats.tags.retain(|t| !same(t));
        self.ats.tags.push(Tag {
            itag: m.itag & 31,
            device_id: m.device_id,
            segment_valid: m.segment_valid,
            sent: now,
            needed: 0,
            answers: Vec::new(),
        });
    }

    pub(crate) fn on_ats_done(&mut self, d: AtsInvalidationDone, mem: &SparseMemory) {
        if !self.iommu.capabilities().has(Capabilities::ATS) {
            return;
        }
        let request = Request::read(d.device_id, Iova(0));
        let serial = self.askers.insert(AskFor::Message, request, self.now);
        self.messages.push(crate::on_pq::Message {
            asker: serial,
            kind: crate::on_pq::MessageKind::Done(d),
            options: Vec::new(),
        });
        self.hpm_begin(Maker::message(&request));
        for t in &mut self.ats.tags {
            let sender = t.device_id as u16 == d.device_id as u16
                && (!t.segment_valid || t.device_id >> 16 == d.device_id >> 16);
            if d.itags >> t.itag & 1 == 1 && sender {
                t.needed = if d.count & 7 == 0 { 8 } else { d.count & 7 };
                t.answers.push(Answer {
                    asker: serial,
                    open: true,
                    taken: false,
                    refused: false,
                });
            }
        }
        self.ask_asker(serial, mem);
        self.advance_commands();
    }

    /// The protocol's time-out has passed for everything that was sent before.
    pub(crate) fn on_ats_timeout(&mut self) {
        let now = self.now;
        // A completion that came before may be looked at only now: then it is too late.
        let done = |m: &crate::on_pq::Message| matches!(m.kind, crate::on_pq::MessageKind::Done(_));
        if self.messages.iter().any(done) {
            self.ats.timed_out.1 = true;
            if self.cq.head.lo < self.cq.head.hi {
                // The fence that seems to have completed may be the one that tells.
                self.cq.timeout.may(now);
                self.update_levels();
            }
        }
        for t in self.ats.tags.drain(..).filter(|t| !t.is_surely_done()) {
            self.ats.timed_out.1 = true;
            // One sent in this very clock may count as sent after.
            self.ats.timed_out.0 |= t.sent + 1 < now && !t.may_be_done();
        }
        self.advance_commands();
    }

    /// Messages that do not leave, requests that get no completion.
    pub(crate) fn check_ats(&mut self, all: bool) {
        if self.ats.stopped && !all {
            return;
        }
        let (now, since) = (self.now, self.bounds.since);
        let late = |of: &Self, at: u64| {
            let limit = 2 * of.bounds.request + of.walks_limit(at);
            all || at.max(since) + limit < now
        };
        while let Some(n) = self.ats.open.iter().position(|o| {
            self.askers
                .get(o.asker)
                .is_some_and(|a| late(self, a.since))
        }) {
            let open = self.ats.open.remove(n);
            let story = self
                .askers
                .get(open.asker)
                .map(|a| a.line())
                .unwrap_or_default();
            if let Some(a) = self.askers.get_mut(open.asker) {
                a.open = false;
            }
            self.fail(
                Check::RequestStuck,
                format!("a completion of tag {:#x}", open.request.tag),
                "none",
                story,
            );
        }
        while let Some(n) = self
            .ats
            .owed
            .iter()
            .position(|o| all || o.since.max(since) + self.command_limit(o.since) < now)
        {
            let owed = self.ats.owed.remove(n);
            if owed.optional {
                continue;
            }
            let (check, what) = if owed.invalidation {
                (Check::AtsInvalidation, "an invalidation request")
            } else {
                (Check::PageResponse, "a page request group response")
            };
            self.fail(
                check,
                format!("{what}: {:x?}", owed.message),
                format!("none since {}", owed.since),
                String::new(),
            );
        }
    }
}

/// The target of a message on the pins is that of the command.
pub(crate) fn same_target(m: &AtsMessage, device_id: u32, segment_valid: bool) -> bool {
    m.rid == device_id as u16
        && m.segment.is_some() == segment_valid
        && m.segment.is_none_or(|s| u32::from(s) == device_id >> 16)
}

/// A block without ATS answers with Unsupported Request (docs/pins.md), and may do so without the process
/// to translate an IOVA that finds the type disallowed: it may record that, or not.
fn not_offered(legal: &mut Legal) {
    let silent = legal.verdicts.iter().find_map(|v| match *v {
        Verdict::Ats {
            completion,
            after_update,
        } => Some(Verdict::Ats {
            completion: AtsCompletion {
                record: None,
                ..completion
            },
            after_update,
        }),
        _ => None,
    });
    if let Some(v) = silent
        && !legal.verdicts.contains(&v)
    {
        legal.verdicts.push(v);
    }
}

/// "... in MRIF mode, then the process stops and reports a Transaction type disallowed".
fn debug_verdicts(request: &Request, legal: &mut Legal) {
    for v in &mut legal.verdicts {
        if let Verdict::Mrif { target, .. } = *v {
            let cause = iommu_golden::Cause::TypeDisallowed;
            *v = Verdict::Deny {
                record: (!target.dtf).then(|| FaultRecord::of_request(cause, request, 0)),
                cause: Some(cause.code()),
            };
        }
    }
}
