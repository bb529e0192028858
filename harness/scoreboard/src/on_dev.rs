//! `s_dev` and `m_dev`: every request is forwarded or refused, exactly once, unchanged.

use iommu_bus::event::{AxiAddr, BBeat, Burst, RBeat, Resp, Sideband, WBeat};
use iommu_bus::mem::SparseMemory;
use iommu_golden::IommuMode;
use iommu_golden::mrif::MrifAction;

use crate::atomics::Owner;
use crate::dev::{Fate, OutBurst, Ref, bytes, crosses_page, no_burst};
use crate::hpm::Maker;
use crate::oracle::{Legal, Oracle, Query, Verdict};
use crate::ports::extent;
use crate::{Check, Class, Scoreboard, TransactionRecord, describe_axi};

impl Scoreboard {
    pub(crate) fn on_dev_request(
        &mut self,
        write: bool,
        axi: AxiAddr,
        side: Sideband,
        mem: &SparseMemory,
    ) {
        self.in_reset = false;
        self.counters.requests += 1;
        let r = self.dev.insert(self.now, write, axi, side);
        let barred = if crosses_page(&axi) {
            Some("the burst crosses a 4 KiB boundary")
        } else if let Some(why) = no_burst(&axi) {
            Some(why)
        } else if write && axi.atop != 0 && !self.cfg.device_atomics {
            Some("device atomics are not supported")
        } else {
            None
        };
        if let Some(request) = self.dev.get(r).map(|q| q.request()) {
            self.hpm_begin(Maker::request(&request));
        }
        match barred {
            Some(why) => {
                if let Some(q) = self.dev.get_mut(r) {
                    q.barred = Some(why);
                    q.legal.add(Verdict::Deny {
                        record: None,
                        cause: None,
                    });
                }
            }
            None => {
                self.ask(r, mem);
                self.cover_request(self.dev.get(r).map(|q| q.request()), mem);
            }
        }
        if barred.is_some() && axi.atop & 0x20 != 0 {
            // This kind of atomic also returns read data (half as much as AtomicCompare sends).
            let compare = axi.atop == 0b11_0001;
            let len = if compare { axi.len / 2 } else { axi.len };
            let data = self
                .dev
                .insert(self.now, false, AxiAddr { len, ..axi }, side);
            if let Some(q) = self.dev.get_mut(data) {
                q.barred = barred;
                q.companion = true;
                q.legal.add(Verdict::Deny {
                    record: None,
                    cause: None,
                });
            }
            self.dev.reads.of(axi.id).push_back(data);
        }
        if write {
            self.dev.writes.of(axi.id).push_back(r);
            self.dev.filling.push_back(r);
            while let Some(beat) = self.dev.early_data.pop_front() {
                if !self.fill(beat) {
                    self.dev.early_data.push_front(beat);
                    break;
                }
            }
        } else {
            self.dev.reads.of(axi.id).push_back(r);
        }
    }

    /// What is legal for a request, as far as is known now.
    fn ask(&mut self, r: Ref, mem: &SparseMemory) {
        let Some(q) = self.dev.get_mut(r) else { return };
        let query = q.query();
        let known = q.legal.verdicts.len();
        let mut legal: Legal = std::mem::take(&mut q.legal);
        legal.ask_again();
        let all = self.legal(&query, mem, &mut legal);
        if legal.verdicts.len() > 1 && known <= 1 {
            self.counters.either += 1;
        }
        let may_record = legal.verdicts.iter().any(|v| v.record().is_some());
        if let Some(q) = self.dev.get_mut(r) {
            q.legal = legal;
            let new = may_record && !q.awaits_record && !q.recorded;
            let over = !may_record && q.awaits_record;
            q.awaits_record = may_record && (q.awaits_record || new);
            if new {
                self.push_fault(Some(r), None, false);
            }
            if over {
                self.drop_fault_of(r);
            }
        }
        if !all {
            let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            self.fail(
                Check::OracleBound,
                format!("at most {} walks for one request", crate::oracle::BOUND),
                "more: too many edits at once; nothing is known about this request",
                story,
            );
        }
    }

    /// Adds what is legal for a query with the registers of its window. False if that is more
    /// than can be tried.
    pub(crate) fn legal(&mut self, query: &Query, mem: &SparseMemory, legal: &mut Legal) -> bool {
        let now = self.now;
        if self.past.is_empty() {
            return self.oracle.legal_now(&self.iommu, mem, query, now, legal);
        }
        let mut all = self.oracle.legal(&self.iommu, mem, query, now, legal);
        for old in &self.past {
            if old.until.is_some_and(|u| u < query.accepted) || !differs(&old.iommu, &self.iommu) {
                continue;
            }
            all &= self.oracle.legal(&old.iommu, mem, query, now, legal);
            if self.iommu.registers().mode == IommuMode::Off {
                // "will either be processed with the configurations applicable to the old
                // value of the iommu_mode field or be aborted"
                legal.add(Verdict::Deny {
                    record: None,
                    cause: Some(256),
                });
            }
        }
        all
    }

    /// The oldest request whose outcome is not known; what ended before it is history.
    pub(crate) fn oldest_window(&self) -> u64 {
        let open = |q: &&crate::dev::Req| q.fate == Fate::Open || !q.ended_out;
        let device = self
            .dev
            .live()
            .map(|(_, q)| q)
            .find(open)
            .map_or(self.now, |q| q.accepted);
        let other = self.askers.open().map(|a| a.since).min();
        other.map_or(device, |at| at.min(device))
    }

    /// A fence that orders reads (or writes) has been seen to have completed. What was forwarded
    /// before that and has not ended on `m_dev` must rest on the new tables.
    pub(crate) fn check_bound(&mut self, mem: &SparseMemory) {
        let (reads, writes) = std::mem::take(&mut self.bound);
        let late: Vec<Ref> = self
            .dev
            .live()
            .filter(|(_, q)| {
                q.forwarded() && !q.ended_out && (if q.write { writes } else { reads })
            })
            .map(|(r, _)| r)
            .collect();
        for r in late {
            let Some(q) = self.dev.get(r) else { continue };
            let Fate::Forwarded { spa, .. } = q.fate else {
                continue;
            };
            let query = q.query();
            let mut legal = Legal::default();
            self.legal(&query, mem, &mut legal);
            let fits = |v: &Verdict| matches!(v, Verdict::Grant { spa: s, .. } if *s == spa);
            if legal.verdicts.iter().any(fits) {
                continue;
            }
            let story = self.breach_story(r, mem, &legal, fits).unwrap_or_default();
            self.fail(
                Check::FenceEarly,
                "its end on m_dev before the fence completes: the fence orders it, and its translation was revoked before",
                format!("still on its way to {spa:#x} when the fence was seen to have completed"),
                story,
            );
        }
    }

    /// Translation has gone to Off, and software has seen that this is complete: what was accepted
    /// before the write of `ddtp` has reached memory, or never will.
    pub(crate) fn off_is_complete(&mut self, written: u64) {
        let of_before = |q: &crate::dev::Req| q.accepted < written;
        let open: Vec<Ref> = self
            .dev
            .live()
            .filter(|(_, q)| of_before(q) && q.fate == Fate::Open)
            .map(|(r, _)| r)
            .collect();
        for r in open {
            if let Some(q) = self.dev.get_mut(r) {
                q.off = true;
            }
        }
        let late = |q: &crate::dev::Req| of_before(q) && q.forwarded() && !q.ended_out;
        let late = self.dev.live().find(|(_, q)| late(q)).map(|(r, _)| r);
        if let Some(r) = late {
            self.off_early(r, "still on its way on m_dev".into());
        }
    }

    fn off_early(&mut self, r: Ref, got: String) {
        let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
        self.fail(
            Check::OffEarly,
            "every request accepted before the write of ddtp at its end on m_dev, or aborted, when busy reads 0 in mode Off",
            got,
            story,
        );
    }

    /// How an outcome came about that is not legal any more, if it ever was.
    fn breach_story(
        &mut self,
        r: Ref,
        mem: &SparseMemory,
        legal: &Legal,
        fits: impl Fn(&Verdict) -> bool,
    ) -> Option<String> {
        let q = self.dev.get(r)?;
        let (query, mut story) = (q.query(), q.line());
        let now = self.now;
        let mut stale = self.oracle.explain(&self.iommu, mem, &query, now, &fits);
        for old in &self.past {
            if stale.is_none() {
                stale = self.oracle.explain(&old.iommu, mem, &query, now, &fits);
            }
        }
        let history = self.oracle.history(&stale?);
        if !history.is_empty() {
            story.push_str("\nwhat it rests on:\n");
            story.push_str(&history);
        }
        story.push_str("\nlegal were:");
        for v in &legal.verdicts {
            story.push_str(&format!("\n  {v}"));
        }
        Some(story)
    }

    /// Registers that translation depends on have changed, or may have: asks for all open requests.
    pub(crate) fn ask_all(&mut self) {
        if self.anybody_asks() {
            self.mark_users(0, u64::MAX);
        }
    }

    /// The open requests whose walks are touched must be asked about again.
    fn mark(&mut self, touched: impl Fn(&Oracle, &Legal) -> bool) {
        let (oracle, mut any) = (&self.oracle, false);
        self.dev.each_live(|q| {
            if q.fate == Fate::Open && q.barred.is_none() && touched(oracle, &q.legal) {
                q.ask_again = true;
                any = true;
            }
        });
        for a in self.askers.open_mut() {
            if touched(oracle, &a.legal) {
                a.ask_again = true;
                any = true;
            }
        }
        self.dev.any_ask_again |= any;
    }

    /// Memory has returned entries, by which the block may serve other requests from now on.
    pub(crate) fn mark_concerned(&mut self) {
        if self.anybody_asks() {
            self.mark(|oracle, legal| oracle.concerns(legal));
        }
    }

    /// A store to these bytes.
    pub(crate) fn mark_users(&mut self, addr: u64, len: u64) {
        let end = addr.saturating_add(len);
        self.mark(|_, legal| {
            len == u64::MAX
                || legal
                    .loads
                    .iter()
                    .any(|l| l.addr < end && addr < l.addr.saturating_add(l.len.into()))
        });
    }

    /// Asks again for the requests that a store or register write has touched.
    pub(crate) fn ask_again(&mut self, mem: &SparseMemory) {
        self.dev.any_ask_again = false;
        for n in 0..self.dev.order.len() {
            let r = self.dev.order[n];
            if let Some(q) = self.dev.get_mut(r)
                && std::mem::take(&mut q.ask_again)
                && q.fate == Fate::Open
            {
                self.ask(r, mem);
            }
        }
        self.askers_again(mem);
    }

    /// The same before an event that decides a request.
    pub(crate) fn ask_again_now(&mut self, mem: &SparseMemory) {
        if self.dev.any_ask_again {
            self.ask_again(mem);
        }
    }

    pub(crate) fn on_dev_data(&mut self, beat: WBeat) {
        if !self.fill(beat) {
            self.dev.early_data.push_back(beat);
        }
    }

    /// Gives write data to the request whose turn it is; false if there is none yet.
    fn fill(&mut self, beat: WBeat) -> bool {
        while let Some(&r) = self.dev.filling.front() {
            let Some(q) = self.dev.get_mut(r) else {
                self.dev.filling.pop_front();
                continue;
            };
            q.data.push(beat);
            if q.has_data() {
                self.dev.filling.pop_front();
            }
            return true;
        }
        false
    }

    pub(crate) fn on_out_request(&mut self, write: bool, axi: AxiAddr, mem: &SparseMemory) {
        let channel = if write { "AW" } else { "AR" };
        let queue = if write {
            &self.dev.writes
        } else {
            &self.dev.reads
        };
        // The oldest open request of this id that may be this burst.
        let mut refused = None;
        let mut wrong = None;
        let mut alike = None;
        let mut found = None;
        for &r in queue.peek(axi.id) {
            let Some(q) = self.dev.get(r) else { continue };
            if q.fate != Fate::Open || q.passed {
                continue;
            }
            let fits = q.legal.verdicts.iter().any(
                |v| matches!(v, Verdict::Grant { spa, user, .. } if *spa == axi.addr && *user == axi.user),
            );
            if fits && unchanged(&q.axi, &axi).is_none() {
                found = Some(r);
                break;
            }
            let same = (q.axi.addr ^ axi.addr) & 0xfff == 0 && q.barred.is_none();
            if alike.is_none() && same && unchanged(&q.axi, &axi).is_none() {
                alike = Some(r);
            }
            if !q.legal.may_deny() {
                // It can only be this one: later ones of the id must wait for it.
                wrong = Some(r);
                break;
            }
            if q.legal.may_grant() {
                wrong = wrong.or(Some(r));
            } else {
                refused = refused.or(Some(r));
            }
        }
        // Whose burst it looks like, if it is none that is right.
        let target = found.or(alike).or(wrong);
        if found.is_none()
            && let Some(r) = alike.or(wrong).or(refused)
            && self.breach(r, channel, &axi, mem)
        {
            self.forward(r, write, &axi);
            return;
        }
        let Some(r) = target else {
            self.dev_out(write, None, &axi);
            match refused {
                Some(r) => self.refused_forwarded(r, channel, &axi),
                None => self.fail(
                    Check::BurstWithoutRequest,
                    format!("no {channel} with id {:#04x} on m_dev", axi.id),
                    format!("{channel} {}", describe_axi(&axi)),
                    String::new(),
                ),
            }
            return;
        };
        if found.is_none() && self.dev.get(r).is_some_and(|q| q.legal.may_grant()) {
            self.explain_wrong_burst(r, channel, &axi);
        } else if found.is_none() {
            self.refused_forwarded(r, channel, &axi);
        }
        // Those before it in the id are refused or in an interrupt file, or their bursts would
        // have come first.
        let passed: Vec<Ref> = {
            let queue = if write {
                &self.dev.writes
            } else {
                &self.dev.reads
            };
            queue
                .peek(axi.id)
                .iter()
                .copied()
                .take_while(|&p| p != r)
                .filter(|&p| self.dev.get(p).is_some_and(|q| q.fate == Fate::Open))
                .collect()
        };
        for p in passed {
            match self.dev.get_mut(p) {
                Some(q) if q.legal.may_be_mrif() => q.passed = true,
                _ => self.refuse(p),
            }
        }
        if self.dev.get(r).is_some_and(|q| q.off) {
            self.off_early(
                r,
                format!("forwarded after that: {channel} {}", describe_axi(&axi)),
            );
        }
        self.forward(r, write, &axi);
    }

    /// Reports a burst that rests on a translation that had been revoked before; false if it
    /// rests on none that ever was.
    fn breach(&mut self, r: Ref, channel: &str, axi: &AxiAddr, mem: &SparseMemory) -> bool {
        let Some(q) = self.dev.get(r) else {
            return false;
        };
        if unchanged(&q.axi, axi).is_some() || q.barred.is_some() {
            return false;
        }
        let legal = q.legal.clone();
        let fits = |v: &Verdict| matches!(v, Verdict::Grant { spa, user, .. } if *spa == axi.addr && *user == axi.user);
        let Some(story) = self.breach_story(r, mem, &legal, fits) else {
            return false;
        };
        let want: Vec<String> = legal.verdicts.iter().map(ToString::to_string).collect();
        self.fail(
            Check::IsolationBreach,
            want.join(" or "),
            format!(
                "{channel} {}, by a translation that has been revoked",
                describe_axi(axi)
            ),
            story,
        );
        true
    }

    fn refused_forwarded(&mut self, r: Ref, channel: &str, axi: &AxiAddr) {
        let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
        self.fail(
            Check::RefusedForwarded,
            format!("no {channel} on m_dev for this request"),
            format!("{channel} {}", describe_axi(axi)),
            story,
        );
    }

    /// A burst that can only be this request's, and is not what it should be.
    fn explain_wrong_burst(&mut self, r: Ref, channel: &str, axi: &AxiAddr) {
        let Some(q) = self.dev.get(r) else { return };
        let story = q.line();
        if let Some((field, want, have)) = unchanged(&q.axi, axi) {
            self.fail(
                Check::FieldChanged,
                format!("{channel} {field} {want:#x}"),
                format!("{channel} {field} {have:#x}"),
                story,
            );
            return;
        }
        let grants: Vec<_> = q
            .legal
            .verdicts
            .iter()
            .filter_map(|v| match v {
                Verdict::Grant { spa, user, .. } => Some((*spa, *user)),
                _ => None,
            })
            .collect();
        let list =
            |f: fn(&(u64, u32)) -> String| grants.iter().map(f).collect::<Vec<_>>().join(" or ");
        if grants.iter().any(|g| g.0 == axi.addr) {
            let want = list(|g| format!("{:#x}", g.1));
            self.fail(
                Check::UserBits,
                format!("{channel} user {want}"),
                format!("{channel} user {:#x}", axi.user),
                story,
            );
        } else {
            let want = list(|g| format!("{:#x}", g.0));
            self.fail(
                Check::WrongAddress,
                format!("{channel} address {want}"),
                format!("{channel} address {:#x}", axi.addr),
                story,
            );
        }
    }

    fn forward(&mut self, r: Ref, write: bool, axi: &AxiAddr) {
        self.dev.forwards += 1;
        let (now, order) = (self.now, self.dev.forwards);
        let here = |v: &Verdict| matches!(v, Verdict::Grant { spa, user, .. } if *spa == axi.addr && *user == axi.user);
        let unanswered = self.needs_update(Owner::Dev(r), here);
        let Some(q) = self.dev.get_mut(r) else { return };
        q.fate = Fate::Forwarded {
            cycle: now,
            order,
            spa: axi.addr,
        };
        let recorded = q.recorded;
        let (mut nowhere, mut bare) = (None, false);
        // It counts as one whose A/D update has been done, if it may be.
        let (mut early, mut known) = (true, false);
        for v in &q.legal.verdicts {
            if let Verdict::Grant {
                spa,
                user,
                bare: b,
                evidence,
                after_update,
            } = v
                && *spa == axi.addr
                && *user == axi.user
            {
                early &= *after_update;
                if !known || nowhere.is_some() {
                    bare = *b;
                    nowhere = evidence.filter(|(addr, len)| {
                        let mut words = addr >> 3..=(addr + u64::from(*len) - 1) >> 3;
                        !words.any(|w| self.mem.returned.contains(&w))
                    });
                }
                known = true;
            }
        }
        early = (early && known) || unanswered;
        q.bare = bare;
        let (id, accepted, slow) = (q.axi.id, q.accepted, q.reads > 0 || q.shares);
        let awaits = std::mem::take(&mut q.awaits_record);
        if slow {
            self.dev.was_slow(write, id, now);
            self.check_fairness(r);
        } else if self.dev.stood_behind(write, id, accepted)
            && let Some(q) = self.dev.get_mut(r)
        {
            q.shares = true;
        }
        self.dev.undecided = self.dev.undecided.saturating_sub(1);
        if awaits {
            self.drop_fault_of(r);
        }
        self.dev_out(write, Some(r), axi);
        if early {
            let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            self.fail(
                Check::UpdateLate,
                "the B of its A/D update before the access",
                "the access is on m_dev",
                story,
            );
        }
        if recorded && !self.give_record_back(r) {
            let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            self.fail(
                Check::RecordUnexpected,
                "no fault record for a request that is forwarded",
                "a record was written, then the request was forwarded",
                story,
            );
        }
        if let Some((addr, _)) = nowhere {
            let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            self.fail(
                Check::GrantFromNowhere,
                format!(
                    "a read of the entry at {addr:#x} since reset, before its translation is used"
                ),
                "the entry was not read since reset",
                story,
            );
        }
    }

    /// Notes a burst on `m_dev`, and attaches data that came before its address.
    fn dev_out(&mut self, write: bool, of: Option<Ref>, axi: &AxiAddr) {
        let burst = OutBurst {
            of,
            beats: usize::from(axi.len) + 1,
            sent: 0,
            extent: extent(axi),
            stored: false,
        };
        if write {
            self.dev.out_writes.of(axi.id).push_back(burst);
            self.dev.sending.push_back(burst);
            while let Some(beat) = self.dev.early_sent.pop_front() {
                if !self.send(beat) {
                    self.dev.early_sent.push_front(beat);
                    break;
                }
            }
        } else {
            self.dev.out_reads.of(axi.id).push_back(burst);
        }
    }

    /// Memory has stored a write of a device: into a table, perhaps.
    pub(crate) fn on_out_stored(&mut self, id: u8) {
        let queue = self.dev.out_writes.of(id);
        if let Some(burst) = queue.iter_mut().find(|b| !b.stored) {
            burst.stored = true;
            let (first, last) = burst.extent;
            self.agent_stored(first, last);
        }
    }

    pub(crate) fn on_out_data(&mut self, beat: WBeat) {
        if !self.send(beat) {
            self.dev.early_sent.push_back(beat);
        }
    }

    /// Compares write data on `m_dev` with the device's; false if its address has not come.
    fn send(&mut self, beat: WBeat) -> bool {
        let Some(burst) = self.dev.sending.front_mut() else {
            return false;
        };
        let (of, n, beats) = (burst.of, burst.sent, burst.beats);
        burst.sent += 1;
        if burst.sent >= beats {
            self.dev.sending.pop_front();
        }
        let Some(q) = of.and_then(|r| self.dev.get_mut(r)) else {
            return true;
        };
        q.data_out = n + 1;
        let wanted = q.data.get(n).copied().map(|w| WBeat {
            last: n + 1 == beats,
            ..w
        });
        if wanted != Some(beat) {
            let story = q.line();
            let text = |w: &WBeat| {
                format!(
                    "beat {n}: data {:#018x} strb {:#04x} last {}",
                    w.data, w.strb, w.last
                )
            };
            let want = wanted.as_ref().map_or(
                "nothing: the device has not sent this beat yet".into(),
                text,
            );
            self.fail(Check::WriteData, want, text(&beat), story);
        }
        true
    }

    pub(crate) fn on_out_b(&mut self, b: BBeat) {
        let Some(burst) = self.dev.out_writes.of(b.id).pop_front() else {
            return;
        };
        if let Some(q) = burst.of.and_then(|r| self.dev.get_mut(r)) {
            q.resp = Some(b.resp);
            q.ended_out = true;
        }
        self.advance_commands();
    }

    pub(crate) fn on_out_r(&mut self, beat: RBeat) {
        let Some(&burst) = self.dev.out_reads.of(beat.id).front() else {
            return;
        };
        if let Some(q) = burst.of.and_then(|r| self.dev.get_mut(r)) {
            q.back.push(beat);
            q.ended_out |= beat.last;
        }
        if beat.last {
            self.dev.out_reads.of(beat.id).pop_front();
            self.advance_commands();
        }
    }

    pub(crate) fn on_dev_b(&mut self, b: BBeat) {
        let Some(r) = self.dev.writes.of(b.id).pop_front() else {
            self.fail(
                Check::ResponseWithoutRequest,
                format!("no B with id {:#04x}: no write of this id is open", b.id),
                format!("B {:?}", b.resp),
                String::new(),
            );
            return;
        };
        let Some(q) = self.dev.get(r) else { return };
        if !q.has_data() {
            let (story, have, want) = (q.line(), q.data.len(), q.beats());
            self.fail(
                Check::ResponseEarly,
                format!("B after all {want} beats of data"),
                format!("B after {have} beats"),
                story,
            );
        }
        self.settle_open(r, b.resp);
        let Some(q) = self.dev.get(r) else { return };
        if let Fate::Mrif { failed } = q.fate {
            self.check_mrif_response(r, failed, b.resp, 0);
        } else if q.forwarded() {
            match q.resp {
                Some(want) if want == b.resp => {}
                Some(want) => {
                    let story = q.line();
                    self.fail(
                        Check::ResponseCode,
                        format!("B {want:?}, as m_dev returned"),
                        format!("B {:?}", b.resp),
                        story,
                    );
                }
                None => {
                    let story = q.line();
                    self.fail(
                        Check::ResponseEarly,
                        "B after the B on m_dev",
                        format!("B {:?} before it", b.resp),
                        story,
                    );
                }
            }
        } else if b.resp != Resp::SlvErr {
            let story = q.line();
            self.fail(
                Check::RefusedResponse,
                "B SlvErr: the request is refused",
                format!("B {:?}", b.resp),
                story,
            );
        }
        self.end(r);
    }

    pub(crate) fn on_dev_r(&mut self, beat: RBeat) {
        let Some(&r) = self.dev.reads.of(beat.id).front() else {
            self.fail(
                Check::ResponseWithoutRequest,
                format!("no R with id {:#04x}: no read of this id is open", beat.id),
                format!("R {:#018x} {:?}", beat.data, beat.resp),
                String::new(),
            );
            return;
        };
        self.settle_open(r, beat.resp);
        let Some(q) = self.dev.get_mut(r) else {
            self.dev.reads.of(beat.id).pop_front();
            return;
        };
        let n = q.delivered;
        q.delivered += 1;
        let is_last = q.delivered == q.beats();
        if let Fate::Mrif { failed } = q.fate {
            self.check_mrif_response(r, failed, beat.resp, beat.data);
        } else if q.forwarded() {
            match q.back.get(n).copied() {
                None => {
                    let story = q.line();
                    self.fail(
                        Check::ResponseEarly,
                        format!("beat {n} after the same beat on m_dev"),
                        format!("R {:#018x} before it", beat.data),
                        story,
                    );
                }
                Some(want) if want.resp != beat.resp => {
                    let story = q.line();
                    self.fail(
                        Check::ResponseCode,
                        format!("beat {n}: {:?}, as m_dev returned", want.resp),
                        format!("{:?}", beat.resp),
                        story,
                    );
                }
                Some(want) if want.data != beat.data => {
                    let story = q.line();
                    self.fail(
                        Check::ReadData,
                        format!("beat {n}: {:#018x}", want.data),
                        format!("{:#018x}", beat.data),
                        story,
                    );
                }
                Some(_) => {}
            }
        } else if beat.resp != Resp::SlvErr {
            let story = q.line();
            self.fail(
                Check::RefusedResponse,
                format!("beat {n}: SlvErr, the request is refused"),
                format!("{:?}", beat.resp),
                story,
            );
        } else if beat.data != 0 {
            let story = q.line();
            self.fail(
                Check::RefusedData,
                format!("beat {n}: zero, the request is refused"),
                format!("{:#018x}", beat.data),
                story,
            );
        }
        if beat.last != is_last {
            let story = self.dev.get(r).map(|q| q.line()).unwrap_or_default();
            self.fail(
                Check::ReadLast,
                format!("beat {n}: RLAST {is_last}"),
                format!("RLAST {}", beat.last),
                story,
            );
        }
        if beat.last || is_last {
            self.dev.reads.of(beat.id).pop_front();
            self.end(r);
        }
    }

    /// A response for a request that was not forwarded: it is refused, rightly or not.
    fn settle_open(&mut self, r: Ref, resp: Resp) {
        let Some(q) = self.dev.get(r) else { return };
        if q.fate != Fate::Open || self.mrif_response(r, resp) {
            return;
        }
        let Some(q) = self.dev.get(r) else { return };
        if !q.legal.may_deny() {
            let story = q.line();
            let want: Vec<_> = q.legal.verdicts.iter().map(ToString::to_string).collect();
            self.fail(
                Check::GrantRefused,
                want.join(" or "),
                "answered without having been forwarded",
                story,
            );
        }
        self.refuse(r);
    }

    /// The request is refused.
    fn refuse(&mut self, r: Ref) {
        let now = self.now;
        let Some(q) = self.dev.get_mut(r) else { return };
        q.fate = Fate::Refused;
        let (write, id) = (q.write, q.axi.id);
        self.dev.was_slow(write, id, now);
        self.check_fairness(r);
        self.dev.undecided = self.dev.undecided.saturating_sub(1);
        let q = self.dev.get(r);
        if q.is_some_and(|q| q.recorded) {
            self.settle_taken(r);
        }
        let q = self.dev.get(r);
        if q.is_some_and(|q| q.awaits_record) {
            let certain = self.surely_recorded(r);
            self.fault_is_certain(r, certain);
        }
    }

    /// Whether a refused request has a record whichever way it was refused.
    pub(crate) fn surely_recorded(&self, r: Ref) -> bool {
        self.dev.get(r).is_some_and(|q| {
            q.legal.verdicts.iter().all(|v| match v {
                Verdict::Deny { record, .. } => record.is_some(),
                // What a page in MRIF mode aborts is not recorded.
                Verdict::Mrif { target, .. } => {
                    self.mrif_action(q, target) != Some(MrifAction::Abort)
                }
                _ => true,
            })
        })
    }

    /// The request is answered: hands out its record.
    fn end(&mut self, r: Ref) {
        let now = self.now;
        self.dev.one_less(now);
        let Some(q) = self.dev.get_mut(r) else { return };
        q.answered = true;
        let class = match q.fate {
            Fate::Forwarded { .. } if q.bare => Class::Bare,
            Fate::Forwarded { .. } if q.reads == 0 && q.shares => Class::Waited,
            Fate::Forwarded { .. } if q.reads == 0 => Class::Hit,
            Fate::Forwarded { .. } if q.directory_reads > 0 => {
                Class::ContextMiss { reads: q.reads }
            }
            Fate::Forwarded { .. } => Class::Walk { reads: q.reads },
            Fate::Mrif { .. } => Class::Msi { reads: q.reads },
            Fate::Open | Fate::Refused => Class::Fault { reads: q.reads },
        };
        let (forwarded, spa) = match q.fate {
            Fate::Forwarded { cycle, spa, .. } => (Some(cycle), Some(spa)),
            Fate::Open | Fate::Refused | Fate::Mrif { .. } => (None, None),
        };
        let mrif = matches!(q.fate, Fate::Mrif { .. });
        let denial = q.legal.verdicts.iter().find_map(|v| match *v {
            Verdict::Deny { record, cause } if spa.is_none() && !mrif => {
                Some((cause, record.is_some()))
            }
            _ => None,
        });
        let failed = q.mrif_cause.map(|(c, recorded)| (Some(c), recorded));
        let (cause, recorded) = denial.or(failed).unwrap_or_default();
        let record = TransactionRecord {
            id: q.axi.id,
            device_id: q.side.device_id,
            process_id: q.side.process_id,
            iova: q.axi.addr,
            write: q.write,
            bytes: bytes(&q.axi),
            accepted: q.accepted,
            forwarded,
            done: now,
            class,
            others: q.others,
            spa,
            cause,
            recorded,
            mrif,
            overtaken: q.overtaken,
        };
        let awaits = q.awaits_record;
        if let Some(c) = self.coverage.as_mut().filter(|_| !q.companion) {
            let end = record.forwarded.unwrap_or(now);
            c.ended(
                record.write,
                class.bin(),
                end.saturating_sub(record.accepted),
            );
        }
        let (request, accepted, looked_up) = (q.request(), q.accepted, q.barred.is_none());
        self.hpm_stir();
        if looked_up {
            self.hpm_end(&request, accepted);
        }
        if !self.dev.get(r).is_some_and(|q| q.companion) {
            self.transactions.push(record);
            self.counters.checked += 1;
            self.counters.refused += u64::from(record.forwarded.is_none() && !mrif);
        }
        if awaits {
            self.fault_starts(r);
        }
        self.dev.release_if_over(r);
    }
}

/// Whether translation can differ between two register states.
fn differs(a: &iommu_golden::Iommu, b: &iommu_golden::Iommu) -> bool {
    let (a, b) = (a.registers(), b.registers());
    (a.mode, a.ddtp_ppn, a.be, a.gxl, a.iommu_qosid)
        != (b.mode, b.ddtp_ppn, b.be, b.gxl, b.iommu_qosid)
}

/// The first field that must be the same on `m_dev` and is not: name, wanted, seen.
fn unchanged(dev: &AxiAddr, out: &AxiAddr) -> Option<(&'static str, u64, u64)> {
    let burst = |b: Burst| b as u64;
    [
        ("id", dev.id.into(), out.id.into()),
        ("len", dev.len.into(), out.len.into()),
        ("size", dev.size.into(), out.size.into()),
        ("burst", burst(dev.burst), burst(out.burst)),
        ("lock", dev.lock.into(), out.lock.into()),
        ("cache", dev.cache.into(), out.cache.into()),
        ("prot", dev.prot.into(), out.prot.into()),
        ("qos", dev.qos.into(), out.qos.into()),
        ("region", dev.region.into(), out.region.into()),
        ("atop", dev.atop.into(), out.atop.into()),
    ]
    .into_iter()
    .find(|(_, want, have): &(&str, u64, u64)| want != have)
}
