//! What follows from queues: faults that are owed a record, commands that may complete,
//! pending bits, wires.

use iommu_golden::{Cause, FaultRecord, Registers};

use crate::dev::Ref;
use crate::irq::{CIP, FIP, NAMES, PIP, PMIP, SOURCES, vector};
use crate::on_mem::architected;
use crate::queues::{Fault, Kind, Store};
use crate::record_queue::lost;
use crate::{Check, Scoreboard};

impl Scoreboard {
    // ---- faults

    /// A fault that has, or may have, a record coming.
    pub(crate) fn push_fault(&mut self, of: Option<Ref>, own: Option<FaultRecord>, certain: bool) {
        self.push(of, None, own, certain);
    }

    /// The same for a walk that no device request is behind.
    pub(crate) fn push_fault_of_asker(&mut self, serial: u64, certain: bool) {
        self.push(None, Some(serial), None, certain);
    }

    /// Its record must, or may, come; and is awaited from now on.
    pub(crate) fn fault_of_asker(&mut self, serial: u64, certain: bool) {
        let now = self.now;
        if let Some(f) = self.fq.faults.iter_mut().find(|f| f.asker == Some(serial)) {
            f.certain = certain;
            f.since = now;
        }
    }

    /// No record can come for this walk.
    pub(crate) fn drop_fault_of_asker(&mut self, serial: u64) {
        self.fq.faults.retain(|f| f.asker != Some(serial));
        if let Some(a) = self.askers.get_mut(serial) {
            a.awaits_record = false;
        }
        self.check_overflow();
    }

    fn push(
        &mut self,
        of: Option<Ref>,
        asker: Option<u64>,
        own: Option<FaultRecord>,
        certain: bool,
    ) {
        let lost = self.fq.ring.may_lose_one();
        self.fq.faults.push_back(Fault {
            of,
            asker,
            own,
            certain,
            born: self.now,
            since: self.now,
            lost,
            merged: false,
        });
        self.check_room();
        let fq = self.iommu.registers().fq;
        if self.fq.ring.control.on_hi
            && !self.reachable(fq.base_address(), 32u64 << fq.log2_entries())
        {
            self.fault_queue_error();
        }
    }

    /// If the records that may come do not all fit, each of them may be lost.
    pub(crate) fn check_room(&mut self) {
        let fq = self.iommu.registers().fq;
        // While a write of fqh is in flight, the old one may still count.
        let before = self
            .before
            .as_ref()
            .map_or(fq.head, |b| b.registers().fq.head);
        let waiting = self.fq.faults.len();
        if self
            .fq
            .ring
            .too_small(waiting, fq.index_mask(), [fq.head, before])
        {
            self.fq.may_lose(lost::FULL);
            self.fq.ring.overflow.may(self.now);
            self.update_levels();
        }
    }

    /// If every record that might have found no room has been written, none has overflowed.
    pub(crate) fn check_overflow(&mut self) {
        if !self.fq.has_waiting() && !self.fq.ring.overflow_used {
            self.fq.ring.overflow.disprove();
            self.update_levels();
        }
    }

    /// The interrupt enable of a queue of records is written; `last`: clock of its last record, whose
    /// interrupt may still be to come.
    pub(crate) fn enable_interrupt(&mut self, source: usize, enable: bool, last: Option<u64>) {
        if !enable {
            self.irq.disabled(source);
        } else if last.is_some_and(|at| at + self.bounds.settle >= self.now) {
            self.cause(source, false);
        }
    }

    /// Storing a record failed.
    pub(crate) fn fault_queue_error(&mut self) {
        let (now, settle) = (self.now, self.bounds.settle);
        self.fq.ring.memory_fault.must(now, settle);
        self.fq.may_lose(lost::STOPPED);
        self.update_levels();
    }

    /// The request is refused for sure: its record must (or may) come.
    pub(crate) fn fault_is_certain(&mut self, r: Ref, certain: bool) {
        let now = self.now;
        if let Some(f) = self.fq.faults.iter_mut().find(|f| f.of == Some(r)) {
            f.certain = certain;
            f.since = now;
        }
    }

    /// The request is answered: from now on its record is awaited.
    pub(crate) fn fault_starts(&mut self, r: Ref) {
        let now = self.now;
        if let Some(f) = self.fq.faults.iter_mut().find(|f| f.of == Some(r)) {
            f.since = now;
        }
    }

    /// No record can come for this request.
    pub(crate) fn drop_fault_of(&mut self, r: Ref) {
        self.fq.faults.retain(|f| f.of != Some(r));
        self.check_overflow();
    }

    /// The record of fault `n` was written.
    pub(crate) fn take_fault(&mut self, n: usize) {
        let Some(f) = self.fq.faults.remove(n) else {
            return;
        };
        if f.lost & lost::FULL != 0 {
            self.check_overflow();
        }
        if Self::is_failure(&f) {
            let regs = self.iommu.registers();
            let entry = regs.msi_cfg[usize::from(vector(regs, PMIP))];
            if f.own.is_some_and(|r| r.iotval == entry.addr) {
                self.irq.failed(PMIP);
            }
        }
        if let Some(a) = f.asker.and_then(|s| self.askers.get_mut(s)) {
            a.told = true;
        }
        self.asker_recorded(f.asker);
        if let Some(r) = f.of {
            if let Some(q) = self.dev.get_mut(r) {
                q.awaits_record = false;
                q.recorded = true;
            }
            self.dev.release_if_over(r);
        }
    }

    fn asker_recorded(&mut self, asker: Option<u64>) {
        if let Some(a) = asker.and_then(|s| self.askers.get_mut(s)) {
            a.awaits_record = false;
            a.recorded = true;
            self.askers.tidy();
        }
    }

    /// Fault `n` is settled without a record of its own. True if that is right.
    pub(crate) fn settle_fault(&mut self, n: usize) {
        let Some(f) = self.fq.faults.remove(n) else {
            return;
        };
        let story = match f.asker.and_then(|s| self.askers.get(s)) {
            Some(a) => a.line(),
            None => {
                f.of.and_then(|r| self.dev.get(r))
                    .map(|q| q.line())
                    .unwrap_or_default()
            }
        };
        let record = self.record_of(&f);
        let options: Vec<[u64; 4]> = self
            .options_of(&f)
            .map(|o| architected(o.to_words()))
            .collect();
        self.asker_recorded(f.asker);
        if let Some(r) = f.of {
            if let Some(q) = self.dev.get_mut(r) {
                q.awaits_record = false;
            }
            self.dev.release_if_over(r);
        }
        self.fq.ring.overflow_used |= f.lost & lost::FULL != 0;
        if !f.certain || f.merged {
            return;
        }
        let (mut since, mut why) = (f.since, f.lost);
        if why == 0
            && let Some(other) = self.claim(f.of, &options, &mut Vec::new())
        {
            // Not this one was lost, but one that was alike; or that one need not have had any.
            if other.1 == 0 {
                return;
            }
            (since, why) = other;
        }
        if why == 0 {
            self.fail(
                Check::RecordMissing,
                record,
                "no such record was written",
                story,
            );
            return;
        }
        self.counters.records_lost += 1;
        if why == lost::FULL && self.fq.ring.overflow_cleared <= since {
            // Nothing but a full queue can have lost it, and that leaves its mark.
            self.fq.ring.overflow.must(self.now, 0);
            self.fq.ring.overflow.tick(self.now);
            self.update_levels();
        }
    }

    fn record_of(&self, f: &Fault) -> String {
        let text = |r: &FaultRecord| {
            format!(
                "a record: cause {}, ttyp {}, did {:#08x}, iotval {:#x}, iotval2 {:#x}",
                r.cause, r.ttyp, r.did, r.iotval, r.iotval2
            )
        };
        self.options_of(f)
            .next()
            .map_or_else(|| "a record".into(), text)
    }

    // ---- commands

    /// Moves the head as far as it may go now.
    pub(crate) fn advance_commands(&mut self) {
        let (now, limit) = (self.now, self.command_limit(self.now));
        let mut changed = false;
        while let Some(c) = self.cq.cmds.front().copied() {
            match c.kind {
                Kind::Fetching => break,
                Kind::Plain => {}
                Kind::Ats(message, invalidation) => self.owe(message, invalidation),
                Kind::Illegal | Kind::Faulty => {
                    if !c.noted {
                        changed = true;
                        if let Some(c) = self.cq.cmds.front_mut() {
                            c.noted = true;
                        }
                        let bit = if c.kind == Kind::Illegal {
                            &mut self.cq.illegal
                        } else {
                            &mut self.cq.memory_fault
                        };
                        bit.must(now, limit);
                    }
                    break;
                }
                Kind::Fence(f) => {
                    let waits = (f.pr && self.dev.unfinished(false, c.forwards).is_some())
                        || (f.pw && self.dev.unfinished(true, c.forwards).is_some())
                        || (f.pw && self.mrif.unfinished(c.fetched).is_some());
                    if waits || self.ats.blocks_fence() {
                        break;
                    }
                    if self.ats.timed_out.1 {
                        // "cmd_to ... is set when a IOFENCE.C command detects that one or more
                        // previous commands ... have timed out".
                        let sure = self.ats.timed_out.0;
                        if let Some(c) = self.cq.cmds.front_mut() {
                            changed |= !c.may_have_met || (sure && !c.noted);
                            if sure && !c.noted {
                                self.cq.timeout.must(now, limit);
                            } else if !c.may_have_met {
                                self.cq.timeout.may(now);
                            }
                            c.may_have_met = true;
                            c.noted |= sure;
                        }
                        if sure {
                            break;
                        }
                    }
                    if self.ats.doubts_fence() && c.store == Store::No {
                        if let Some(c) = self.cq.cmds.front_mut() {
                            c.doubtful = true;
                        }
                        changed = true;
                        self.commands_beyond(&f);
                        break;
                    }
                    if f.av && c.store != Store::Done {
                        if !c.noted && (c.store == Store::Failed || !self.reachable(f.addr.0, 4)) {
                            changed = true;
                            if let Some(c) = self.cq.cmds.front_mut() {
                                c.noted = true;
                            }
                            // One that the block cannot have tried may have stopped before.
                            if self.ats.timed_out.1 && c.store != Store::Failed {
                                self.cq.memory_fault.may(now);
                            } else {
                                self.cq.memory_fault.must(now, limit);
                            }
                        }
                        break;
                    }
                    if f.wsi {
                        changed = true;
                        self.cq.fence_w_ip.may(now);
                        self.cq.raising.push_back((self.cq.head.hi, now));
                        self.cq.wsi.push_back(self.cq.head.hi);
                    }
                    if let Some(c) = &mut self.coverage {
                        c.fence_done();
                    }
                }
            }
            self.cq.cmds.pop_front();
            self.cq.head.advance(now, limit);
            self.cq.progress = now;
        }
        if changed {
            self.update_levels();
        }
    }

    /// The fence at the head is in doubt: what it does, and what comes behind it, may happen.
    fn commands_beyond(&mut self, f: &iommu_golden::command::Iofence) {
        let now = self.now;
        let mut wsi = f.wsi;
        for c in self.cq.cmds.iter().skip(1) {
            match c.kind {
                Kind::Illegal => self.cq.illegal.may(now),
                Kind::Faulty => self.cq.memory_fault.may(now),
                Kind::Fence(f) => wsi |= f.wsi,
                _ => {}
            }
        }
        if f.av && !self.reachable(f.addr.0, 4) {
            self.cq.memory_fault.may(now);
        }
        if wsi {
            self.cq.fence_w_ip.may(now);
        }
    }

    /// Something shows that the fence at the head has completed, of which that was in doubt; false if
    /// there is none.
    pub(crate) fn fence_was_complete(&mut self) -> bool {
        let Some(c) = self.cq.cmds.front_mut().filter(|c| c.doubtful) else {
            return false;
        };
        c.doubtful = false;
        self.ats.fence_was_complete();
        self.advance_commands();
        true
    }

    /// Fences with WSI that have surely completed must have set `fence_w_ip`.
    pub(crate) fn check_raising(&mut self) {
        let reached = self.cq.head.lo;
        while let Some(&(count, at)) = self.cq.raising.front() {
            if count >= reached && at + self.command_limit(at) > self.now {
                break;
            }
            self.cq.raising.pop_front();
            // Software may have cleared it in between; then nobody can tell.
            if self.cq.raise_cleared < at {
                self.cq.fence_w_ip.must(self.now, self.bounds.settle);
            }
        }
    }

    // ---- interrupts

    /// Interrupts are messages (`fctl.WSI` is 0).
    pub(crate) fn messages(&self) -> bool {
        !self.iommu.registers().wsi
    }

    /// A cause of pending bit `n`.
    pub(crate) fn cause(&mut self, n: usize, sure: bool) {
        let (messages, now, settle) = (self.messages(), self.now, self.bounds.settle);
        let credit = self.irq.credit[n];
        self.irq.event(n, sure, messages, now, settle);
        // What may have failed when it might have come first, without a record, may do so now.
        let again = n == PMIP && messages && self.irq.may_send_yet(n) && !self.awaits_failure();
        if again {
            self.irq.owe(n, now);
        }
        if self.irq.credit[n] > credit {
            self.message_owed(n);
        }
    }

    /// The vector of source `n` is masked, whether or not a write in flight counts, and has been since
    /// before it owed a message: "the IOMMU is prohibited from sending the associated message".
    fn waits_masked(&self, n: usize) -> bool {
        let before = self.before.as_ref().map(|b| b.registers());
        std::iter::once(self.iommu.registers())
            .chain(before)
            .all(|r| {
                let v = vector(r, n);
                r.msi_cfg[usize::from(v)].masked && self.irq.waits_masked(n, v)
            })
    }

    /// A message of source `n` is newly owed: if its address is none, it fails without a write. Not
    /// while its vector is masked.
    pub(crate) fn message_owed(&mut self, n: usize) {
        if self.waits_masked(n) {
            return;
        }
        let regs = self.iommu.registers();
        let entry = regs.msi_cfg[usize::from(vector(regs, n))];
        if !self.reachable(entry.addr, 4) {
            let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, entry.addr);
            self.irq.credit[n] -= 1;
            self.irq.due[n] = None;
            self.push_fault(None, Some(record), false);
        }
    }

    /// Fault `n` is a message that may have failed, of which no record has come. Where its vector is
    /// masked it was not tried before that, and is still owed. True if so.
    pub(crate) fn message_waits(&mut self, n: usize) -> bool {
        let (regs, f) = (self.iommu.registers(), &self.fq.faults[n]);
        let source = (0..SOURCES).find(|&s| {
            let v = usize::from(vector(regs, s));
            let addr = regs.msi_cfg[v].addr;
            self.irq.masked_at[v].is_some() && f.own.is_some_and(|r| r.iotval == addr)
        });
        let source = source.filter(|_| Self::is_failure(f));
        if let Some(s) = source {
            self.fq.faults.remove(n);
            self.irq.owe(s, self.now);
            self.check_overflow();
        }
        source.is_some()
    }

    fn is_failure(f: &Fault) -> bool {
        let cause = f.own.map(|r| r.cause);
        !f.certain && cause == Some(Cause::MsiWriteAccessFault.code())
    }

    fn awaits_failure(&self) -> bool {
        self.fq.faults.iter().any(Self::is_failure)
    }

    /// A message that was counted as failing, for an entry of `msi_cfg_tbl` whose address is none:
    /// the entry was written before the message was formed, or after.
    pub(crate) fn take_failing_message(&mut self) -> bool {
        let position = self.fq.faults.iter().position(Self::is_failure);
        if let Some(n) = position {
            self.take_fault(n);
        }
        position.is_some()
    }

    /// A record says that a message to `addr` has failed, which nobody expected of this address:
    /// right if an entry has it, or had it a moment ago, and its vector owes a message that it may have
    /// tried to send.
    pub(crate) fn message_failed(&mut self, addr: u64) -> bool {
        let now = self.iommu.registers();
        let old = self.before.as_ref().map(|b| b.registers());
        let owing = std::iter::once(now).chain(old).find_map(|r| {
            (0..SOURCES).find(|&n| {
                self.irq.credit[n] > 0
                    && r.msi_cfg[usize::from(vector(r, n))].addr == addr
                    && !self.waits_masked(n)
            })
        });
        let known = |r: &Registers| r.msi_cfg.iter().any(|e| e.addr == addr);
        if self.reachable(addr, 4) || !(known(now) || old.is_some_and(known)) {
            return false;
        }
        match owing {
            Some(n) => {
                self.irq.take_credit(n);
                true
            }
            None => self.take_failing_message(),
        }
    }

    /// Lets time pass for all bits, and the conditions of `cip` and `fip` follow.
    pub(crate) fn refresh(&mut self, now: u64) {
        for bit in [
            &mut self.cq.memory_fault,
            &mut self.cq.illegal,
            &mut self.cq.timeout,
            &mut self.cq.fence_w_ip,
        ] {
            bit.tick(now);
        }
        for bit in [
            &mut self.fq.ring.memory_fault,
            &mut self.fq.ring.overflow,
            &mut self.pq.ring.memory_fault,
            &mut self.pq.ring.overflow,
        ] {
            bit.tick(now);
        }
        self.update_levels();
        for pend in &mut self.irq.pend {
            pend.tick(now);
        }
    }

    /// The lasting conditions of `cip` and `fip` as they are known now.
    pub(crate) fn update_levels(&mut self) {
        let (messages, now, settle) = (self.messages(), self.now, self.bounds.settle);
        let c = &self.cq;
        let hi = c.memory_fault.hi || c.illegal.hi || c.timeout.hi || c.fence_w_ip.hi;
        let lo = c.memory_fault.lo || c.illegal.lo || c.timeout.lo || c.fence_w_ip.lo;
        let (ie_hi, ie_lo) = (c.control.ie_hi, c.control.ie_lo);
        self.irq
            .level(CIP, ie_hi && hi, ie_lo && lo, messages, now, settle);
        let f = &self.fq.ring;
        let hi = f.memory_fault.hi || f.overflow.hi;
        let lo = f.memory_fault.lo || f.overflow.lo;
        let (ie_hi, ie_lo) = (f.control.ie_hi, f.control.ie_lo);
        self.irq
            .level(FIP, ie_hi && hi, ie_lo && lo, messages, now, settle);
        let p = &self.pq.ring;
        let hi = p.memory_fault.hi || p.overflow.hi;
        let lo = p.memory_fault.lo || p.overflow.lo;
        let (ie_hi, ie_lo) = (p.control.ie_hi, p.control.ie_lo);
        self.irq
            .level(PIP, ie_hi && hi, ie_lo && lo, messages, now, settle);
    }

    pub(crate) fn on_wires(&mut self, wires: u16) {
        let was = std::mem::replace(&mut self.irq.wires, wires);
        if self.in_reset {
            return;
        }
        self.refresh(self.now);
        // A wire must not rise before its bit can, nor fall while its bit is surely 1.
        self.check_wires(wires & !was, was & !wires);
    }

    /// Once nothing has moved for a while, wires and bits must agree.
    pub(crate) fn check_quiet_wires(&mut self) {
        if self.irq.moved + 2 * self.bounds.settle < self.now {
            let wires = self.irq.wires;
            self.check_wires(wires, !wires);
        }
    }

    /// Compares wires that are high, and wires that are low, with `ipsr` and `icvec`.
    fn check_wires(&mut self, high: u16, low: u16) {
        self.hpm_time();
        let before = self.before.as_ref().map(|b| b.registers());
        let (lo, hi) = self.irq.wires(before, self.iommu.registers());
        let wrong = (high & !hi) | (low & lo);
        if wrong & !self.irq.complained == 0 {
            return;
        }
        self.irq.complained |= wrong;
        let bits: Vec<String> = (0..SOURCES)
            .map(|n| {
                let p = self.irq.pend[n];
                let state = match (p.lo, p.hi) {
                    (true, _) => "1",
                    (_, true) => "0 or 1",
                    _ => "0",
                };
                format!(
                    "{} {state} (vector {})",
                    NAMES[n],
                    vector(self.iommu.registers(), n)
                )
            })
            .collect();
        self.fail(
            Check::Wire,
            format!("wires {lo:#06x}, with any of {:#06x}", hi & !lo),
            format!("wires {:#06x}", self.irq.wires),
            format!(
                "fctl.WSI {}; {}",
                self.iommu.registers().wsi,
                bits.join(", ")
            ),
        );
    }
}
