//! `m_mem`: every read and every write of the block has a reason.

use iommu_bus::event::{AxiAddr, BBeat, RBeat, Resp, WBeat};
use iommu_bus::mem::{FaultAccess, MemFault, SparseMemory};
use iommu_golden::{Cause, FaultRecord, Spa};

use crate::dev::{Fate, Ref};
use crate::irq::FIP;
use crate::oracle::Wanted;
use crate::ports::{MemRead, MemWrite, ReadFor, WriteFor, beat_address, extent};
use crate::queues::{Cmd, Fault, Kind, Store};
use crate::record_queue::Ring;
use crate::{Check, Scoreboard, describe_axi};

impl Scoreboard {
    /// Whether the burst lies below 2^PAS; reports it if not.
    fn within_pas(&mut self, what: &str, axi: &AxiAddr) -> bool {
        let (_, last) = extent(axi);
        let pas = self.cfg.golden.capabilities.pas();
        let fine = pas >= 64 || last >> pas == 0;
        if !fine {
            self.fail(
                Check::BeyondPas,
                format!("{what} below 2^{pas} ({:#x})", 1u64 << pas),
                format!("{what} {}", describe_axi(axi)),
                String::new(),
            );
        }
        fine
    }

    /// A plain access: no exclusive, no atomic.
    fn plain(&mut self, what: &str, axi: &AxiAddr) {
        if axi.lock || axi.atop != 0 {
            self.fail(
                Check::AccessKind,
                "a plain access",
                format!(
                    "{what} {} lock {} atop {:#x}",
                    describe_axi(axi),
                    axi.lock,
                    axi.atop
                ),
                String::new(),
            );
        }
    }

    /// QoS ids of the IOMMU's own accesses: those of `iommu_qosid`, or of before it changed.
    pub(crate) fn own_users(&self) -> [u32; 2] {
        let now = crate::own_user(&self.iommu);
        let old = if self.now < self.qos.until {
            self.qos.old
        } else {
            now
        };
        [now, old]
    }

    /// The user bits of an access of `m_mem` are among these.
    pub(crate) fn check_user(&mut self, what: &str, axi: &AxiAddr, want: &[u32]) {
        if want.contains(&axi.user) {
            return;
        }
        let want: Vec<String> = want
            .iter()
            .map(|u| format!("RCID {:#x} MCID {:#x}", u & 0xfff, u >> 12))
            .collect();
        self.fail(
            Check::UserBits,
            want.join(" or "),
            format!(
                "{what} {} RCID {:#x} MCID {:#x}",
                describe_axi(axi),
                axi.user & 0xfff,
                axi.user >> 12
            ),
            String::new(),
        );
    }

    pub(crate) fn on_mem_ar(&mut self, axi: AxiAddr) {
        self.counters.mem_reads += 1;
        self.mem.open += 1;
        if !self.cfg.exclusive_updates {
            self.plain("AR", &axi);
        }
        let of = if self.within_pas("AR", &axi) {
            self.explain_read(&axi)
        } else {
            ReadFor::Other
        };
        let wanted = if matches!(of, ReadFor::Commands { .. }) {
            Vec::new()
        } else {
            let mut wanted = Vec::new();
            self.wanted(&axi, 0, &mut wanted);
            wanted
        };
        self.mem.reads.of(axi.id).push_back(MemRead {
            axi,
            beat: 0,
            of,
            at: self.now,
            sampled: self.now,
            samples: 0,
            wanted,
            data: Vec::new(),
        });
    }

    /// The entries, of walks of open requests, that a read may bring: under each of their labels. Of
    /// walks that have needed no other since clock `since`, none.
    fn wanted(&self, axi: &AxiAddr, since: u64, wanted: &mut Vec<Wanted>) {
        let (first, last) = extent(axi);
        let open = |q: &crate::dev::Req| q.fate == Fate::Open;
        let requests = self
            .dev
            .live()
            .filter(|(_, q)| open(q))
            .map(|(_, q)| &q.legal);
        let all = requests.chain(self.askers.open().map(|a| &a.legal));
        for legal in all.filter(|l| l.grown >= since) {
            for l in &legal.loads {
                if l.addr <= last && first < l.addr.saturating_add(l.len.into()) {
                    let w = Wanted {
                        label: l.label,
                        addr: l.addr,
                        len: l.len,
                        big: l.big,
                    };
                    if !wanted.contains(&w) {
                        wanted.push(w);
                    }
                }
            }
        }
    }

    /// Memory has sampled a beat.
    pub(crate) fn on_mem_sampled(&mut self, id: u8) {
        let now = self.now;
        let queue = self.mem.reads.of(id);
        if let Some(read) = queue
            .iter_mut()
            .find(|r| r.samples <= usize::from(r.axi.len))
        {
            if read.samples == 0 {
                read.sampled = now;
            }
            read.samples += 1;
        }
    }

    /// Memory has stored a write: it is visible.
    pub(crate) fn on_mem_stored(&mut self, id: u8) {
        let Some(w) = self.mem.writes.of(id).iter_mut().find(|w| !w.stored) else {
            return;
        };
        w.stored = true;
        let ((first, last), of) = (extent(&w.axi), w.of);
        self.agent_stored(first, last);
        if let WriteFor::Fence { count, epoch } = of
            && epoch == self.mem.epoch
        {
            self.commands_seen(count + 1);
        }
    }

    /// The commands before this count are seen to have completed.
    pub(crate) fn commands_seen(&mut self, count: u64) {
        self.cq.seen = self.cq.seen.max(count);
        let bound = self.oracle.log.visible(count, self.now);
        if bound.reads || bound.writes {
            self.bound.0 |= bound.reads;
            self.bound.1 |= bound.writes;
            self.ask_all();
        }
    }

    /// An agent has stored into memory in this clock.
    pub(crate) fn agent_stored(&mut self, first: u64, last: u64) {
        let len = (last - first).saturating_add(1);
        self.oracle
            .words
            .store(first, len, self.now.saturating_sub(1));
        if self.oracle.words.behind() {
            self.mark_users(first, len);
        }
    }

    fn explain_read(&mut self, axi: &AxiAddr) -> ReadFor {
        let (first, last) = extent(axi);
        let cq = self.iommu.registers().cq;
        let base = cq.base_address();
        let bytes = 16u64 << cq.log2_entries();
        let in_queue = first >= base && last - base.min(last) < bytes;
        if in_queue && self.cq.control.on_hi {
            // Counted back from cqt, which is exact; 0 is cqt itself.
            let back = cq.tail.wrapping_sub(((first - base) / 16) as u32) & cq.index_mask();
            let more = (last - base) / 16 - (first - base) / 16;
            if let Some(from) = self.cq.end.checked_sub(back.into())
                && from >= self.cq.head.lo
                && more < u64::from(back)
            {
                let own = self.own_users();
                self.check_user("AR", axi, &own);
                return self.begin_fetch(from, from + more, base + (first - base) / 16 * 16);
            }
        }
        if let Some(walk) = self.explain_walk(axi, first, last) {
            return walk;
        }
        if let Some(read) = self.mrif_read(first, last) {
            return read;
        }
        if in_queue && self.cq.started {
            let got = format!("AR {}", describe_axi(axi));
            let want = if self.cq.control.on_hi {
                format!(
                    "a fetch at index {:#x} up to {:#x} of the queue at {base:#x}",
                    self.cq.head.lo & u64::from(cq.index_mask()),
                    cq.tail
                )
            } else {
                "no fetch: the command queue is off".into()
            };
            self.fail(Check::FetchOutsideQueue, want, got, String::new());
        } else if self.cfg.speculates {
            self.counters.speculative_reads += 1;
        } else {
            let story = self.open_requests();
            self.fail(
                Check::UnexplainedRead,
                "a read that a walk of an open request needs, or a command fetch",
                format!("AR {}", describe_axi(axi)),
                story,
            );
        }
        ReadFor::Other
    }

    /// The open requests, for stories.
    pub(crate) fn open_requests(&self) -> String {
        const SHOWN: usize = 6;
        let open = self.dev.live().filter(|(_, q)| q.fate == Fate::Open);
        let mut text: Vec<String> = open.take(SHOWN).map(|(_, q)| q.line()).collect();
        let more = (self.dev.undecided as usize).saturating_sub(text.len());
        if text.is_empty() {
            text.push("no request is open".into());
        } else if more > 0 {
            text.push(format!("and {more} more open requests"));
        }
        text.join("\n")
    }

    fn begin_fetch(&mut self, from: u64, to: u64, base: u64) -> ReadFor {
        self.cq.illegal.tick(self.now);
        self.cq.memory_fault.tick(self.now);
        self.cq.timeout.tick(self.now);
        if self.cq.illegal.lo || self.cq.memory_fault.lo || self.cq.timeout.lo {
            let bit = if self.cq.illegal.lo {
                "cmd_ill"
            } else if self.cq.timeout.lo {
                "cmd_to"
            } else {
                "cqmf"
            };
            self.fail(
                Check::FetchWhileStopped,
                format!("no command fetch while {bit} is 1"),
                format!("a fetch of the command at {base:#x}"),
                String::new(),
            );
        }
        self.cq.progress = self.now;
        // It fetches, so it is on.
        self.cq.control.on_lo |= self.cq.control.enable;
        for count in from..=to {
            let Some(n) = count.checked_sub(self.cq.head.hi) else {
                continue;
            };
            while self.cq.cmds.len() as u64 <= n {
                self.cq.cmds.push_back(Cmd::new());
            }
            // A command may be fetched again, as after an error; a fence's store stays done.
            if let Some(c) = self.cq.cmds.get_mut(n as usize)
                && c.store == Store::No
            {
                *c = Cmd::new();
            }
        }
        ReadFor::Commands {
            first: from,
            base,
            epoch: self.mem.epoch,
        }
    }

    /// Whether an open request needs this read; attributes it to the oldest that has not had it.
    fn explain_walk(&mut self, axi: &AxiAddr, first: u64, last: u64) -> Option<ReadFor> {
        let granule = u64::from(self.cfg.fetch_granule.max(8));
        let covers = |addr: u64, len: u32| {
            let from = addr & !(granule - 1);
            let to = (addr + u64::from(len) - 1) | (granule - 1);
            from <= first && last <= to
        };
        let mut again = None;
        let mut target = None;
        let mut users = Vec::new();
        'all: for (r, q) in self.dev.live() {
            if q.fate != Fate::Open || q.barred.is_some() {
                continue;
            }
            for (n, load) in q.legal.loads.iter().enumerate() {
                if !covers(load.addr, load.len) {
                    continue;
                }
                if load.user != axi.user {
                    users.push(load.user);
                    continue;
                }
                if load.done {
                    again = again.or(Some((r, n)));
                } else {
                    target = Some((r, n));
                    break 'all;
                }
            }
        }
        let found = target.or(again);
        if found.is_none() {
            let others = self
                .askers
                .open()
                .flat_map(|a| &a.legal.loads)
                .filter(|l| covers(l.addr, l.len))
                .map(|l| l.user);
            users.extend(others);
            if users.is_empty() {
                return None;
            }
            self.check_user("AR", axi, &users);
            self.counters.walk_reads += 1;
            return Some(ReadFor::Asker);
        }
        let (r, n) = found?;
        self.counters.walk_reads += 1;
        self.counters.repeated_reads += u64::from(target.is_none());
        let load = self.dev.get_mut(r)?.legal.loads.get_mut(n)?;
        load.done = true;
        Some(ReadFor::Walk {
            of: r,
            directory: load.directory,
        })
    }

    /// The data of a table read is back: who was still open has waited for it. A request that
    /// was decided meanwhile cannot have been the one that it was read for.
    fn walk_data(&mut self, axi: &AxiAddr, of: Ref, directory: bool) {
        if let Some(q) = self.dev.get_mut(of)
            && q.fate == Fate::Open
        {
            q.reads = q.reads.saturating_add(1);
            q.directory_reads = q.directory_reads.saturating_add(directory.into());
        }
        if self.dev.undecided > 1 {
            let (first, last) = extent(axi);
            self.dev.each_live(|q| {
                q.shares |= q.fate == Fate::Open
                    && q.legal
                        .loads
                        .iter()
                        .any(|l| l.addr <= last && first < l.addr + u64::from(l.len));
            });
        }
    }

    pub(crate) fn on_mem_r(&mut self, beat: RBeat) {
        let queue = self.mem.reads.of(beat.id);
        let Some(read) = queue.front_mut() else {
            return;
        };
        let (axi, n, of, sampled) = (read.axi, read.beat, read.of, read.sampled);
        read.beat += 1;
        let addr = beat_address(&axi, n);
        let fine = matches!(beat.resp, Resp::Okay | Resp::ExOkay) && !beat.poison;
        let commands = matches!(of, ReadFor::Commands { .. });
        if fine {
            self.mem.returned.insert(addr >> 3);
            if !commands {
                read.data.push((addr & !7, beat.data));
            }
        }
        if beat.last {
            let read = queue.pop_front();
            self.mem.open = self.mem.open.saturating_sub(1);
            if let ReadFor::Walk { of, directory } = of {
                self.walk_data(&axi, of, directory);
            }
            if let Some(read) = &read
                && !self.mem.updating.is_empty()
            {
                self.update_is_seen(sampled, &read.data);
            }
            if let Some(mut read) = read.filter(|_| !commands) {
                // Of requests that came meanwhile, or have come to it, whose walks have joined it.
                self.wanted(&axi, read.at, &mut read.wanted);
                if self.oracle.returned(sampled, &read.data, &read.wanted) {
                    self.ask_all();
                } else {
                    self.mark_concerned();
                }
            }
        }
        if let ReadFor::Mrif { job } = of {
            let error = (!fine).then_some(beat.poison);
            self.mrif_data(job, beat.data, error);
        }
        if let ReadFor::Commands { first, base, epoch } = of
            && epoch == self.mem.epoch
        {
            let size = 1u64 << axi.size.min(3);
            self.command_data(
                first + (addr - base) / 16,
                (addr & !(size - 1), size, beat.data, !fine),
                sampled,
            );
        }
    }

    /// Data of a command that was fetched.
    fn command_data(
        &mut self,
        count: u64,
        (addr, size, data, error): (u64, u64, u64, bool),
        sampled: u64,
    ) {
        let (now, forwards) = (self.now, self.dev.forwards);
        let Some(n) = count.checked_sub(self.cq.head.hi) else {
            return;
        };
        let Some(c) = self.cq.cmds.get_mut(n as usize) else {
            return;
        };
        let lanes = if size >= 8 {
            u64::MAX
        } else {
            ((1u64 << (8 * size)) - 1) << (8 * (addr & 7))
        };
        let word = &mut c.words[(addr >> 3 & 1) as usize];
        *word = (*word & !lanes) | (data & lanes);
        c.got |= (((1u32 << size) - 1) << (addr & 15)) as u16;
        c.error |= error;
        c.fetched = now;
        c.forwards = forwards;
        if c.got != 0xffff || c.kind != Kind::Fetching {
            return;
        }
        let (words, error) = (c.words, c.error);
        let decoded = self.iommu.decode_command(words);
        let kind = match &decoded {
            _ if error => Kind::Faulty,
            Err(_) => Kind::Illegal,
            Ok(iommu_golden::Command::Iofence(f)) => Kind::Fence(*f),
            Ok(iommu_golden::Command::AtsInval(m)) => Kind::Ats(*m, true),
            Ok(iommu_golden::Command::AtsPrgr(m)) => Kind::Ats(*m, false),
            Ok(_) => Kind::Plain,
        };
        if let Some(c) = self.cq.cmds.get_mut(n as usize) {
            c.kind = kind;
        }
        if let Some(c) = self.coverage.as_mut().filter(|_| !error) {
            c.command(&self.iommu, addr & !15, &decoded);
        }
        if let Ok(command) = decoded
            && !error
        {
            self.oracle.log.fetched(count, sampled, &command);
        }
        self.counters.commands += 1;
        self.cq.progress = now;
        self.advance_commands();
    }

    pub(crate) fn on_mem_aw(&mut self, axi: AxiAddr) {
        self.counters.mem_writes += 1;
        self.mem.open += 1;
        self.within_pas("AW", &axi);
        let beats = self.mem.spare.pop().unwrap_or_default();
        self.mem.filling.push_back(MemWrite {
            axi,
            at: self.now,
            beats,
            of: WriteFor::Unknown,
            stored: false,
            old: None,
        });
        while !self.mem.filling.is_empty() {
            let Some(beat) = self.mem.early.pop_front() else {
                break;
            };
            self.on_mem_w(beat);
        }
    }

    pub(crate) fn on_mem_w(&mut self, beat: WBeat) {
        let Some(w) = self.mem.filling.front_mut() else {
            self.mem.early.push_back(beat);
            return;
        };
        w.beats.push(beat);
        if w.beats.len() <= usize::from(w.axi.len) {
            return;
        }
        if let Some(mut w) = self.mem.filling.pop_front() {
            w.of = self.explain_write(&w);
            self.mem.writes.of(w.axi.id).push_back(w);
        }
    }

    fn explain_write(&mut self, w: &MemWrite) -> WriteFor {
        if w.axi.atop != 0 || w.axi.lock {
            return self.explain_atomic(w);
        }
        let of = self.explain_plain(w);
        if !matches!(
            of,
            WriteFor::Mrif { .. } | WriteFor::Notice { .. } | WriteFor::Unknown
        ) {
            let own = self.own_users();
            self.check_user("AW", &w.axi, &own);
        }
        of
    }

    fn explain_plain(&mut self, w: &MemWrite) -> WriteFor {
        let (first, last) = extent(&w.axi);
        let fq = self.iommu.registers().fq;
        let base = fq.base_address();
        let bytes = 32u64 << fq.log2_entries();
        let in_queue = first >= base && last - base.min(last) < bytes;
        // Address and data together tell what it is; a fence or a message may well point into
        // the queue's memory, or to the same interrupt file.
        let small = small_store(w);
        if let Some((addr, data)) = small {
            if let Some(n) = self.next_fence_for(addr, Some(data)) {
                return self.fence_write(n, addr, Some(data), w);
            }
            if let Some(n) = self.notice_for(addr, Some(data)) {
                return self.notice_write(n, Some(data), w);
            }
            // The cycle counter may have overflowed a moment ago: of vectors that are alike, its is owed one.
            self.hpm_time();
            if let Some(vector) = self.message_for(addr, Some(data)) {
                return self.message_write(vector, addr, Some(data), w);
            }
        }
        if in_queue && self.fq.ring.started {
            return self.record_write(w);
        }
        let pq = self.iommu.registers().pq;
        let (page_base, page_bytes) = (pq.base_address(), 16u64 << pq.log2_entries());
        if self.pq.ring.started && first >= page_base && last - page_base.min(last) < page_bytes {
            return self.page_record_write(w);
        }
        if let Some(update) = self.mrif_write(w) {
            return update;
        }
        // What has only the address of a fence or message is a wrong one.
        let addr = small.map_or(first, |s| s.0);
        if let Some(n) = self.next_fence_for(addr, None) {
            return self.fence_write(n, addr, small.map(|s| s.1), w);
        }
        if let Some(vector) = self.message_for(addr, None) {
            return self.message_write(vector, addr, small.map(|s| s.1), w);
        }
        if let Some(n) = self.notice_for(addr, None) {
            return self.notice_write(n, small.map(|s| s.1), w);
        }
        if let Some((addr, data)) = small
            && self.leaving_fence(addr, data)
        {
            // Of an epoch that is over: nothing follows from it.
            let (count, epoch) = (0, self.mem.epoch.wrapping_sub(1));
            return WriteFor::Fence { count, epoch };
        }
        let story = self.open_requests();
        self.fail(
            Check::UnexplainedWrite,
            "a fault record, the store of a fetched fence, or an interrupt message",
            format!("AW {}, data {}", describe_axi(&w.axi), data_text(w)),
            story,
        );
        WriteFor::Unknown
    }

    /// Part of a fault record, or several.
    fn record_write(&mut self, w: &MemWrite) -> WriteFor {
        let ring = fault_ring(&self.iommu);
        let written = self.fq.ring.write(w, ring, self.now);
        for (index, why) in written.refused {
            self.fail(
                Check::RecordWhileStopped,
                why.text("fault queue", "fq", ring.head),
                format!("AW {} for index {index:#x}", describe_axi(&w.axi)),
                String::new(),
            );
        }
        if let Some((index, next)) = written.out_of_turn {
            let at = ring.base + 32 * u64::from(next);
            self.fail(
                Check::RecordIndex,
                format!("a record at index {next:#x} ({at:#x})"),
                format!("AW {}: index {index:#x}", describe_axi(&w.axi)),
                String::new(),
            );
            return WriteFor::Unknown;
        }
        while let Some((_, words)) = self.fq.ring.take_whole() {
            self.compare_record(words);
        }
        written
            .first
            .map_or(WriteFor::Unknown, |first| WriteFor::Record {
                first,
                slots: written.slots,
                epoch: self.fq.ring.epoch,
            })
    }

    /// The fence that waits to store at `addr` (and this data, if given).
    fn fence_for(&self, addr: u64, data: Option<u32>) -> Option<usize> {
        let be = self.iommu.registers().be;
        let fits = |c: &Cmd, store: Store| {
            matches!(c.kind, Kind::Fence(f) if f.av && f.addr.0 == addr && c.store == store
                && data.is_none_or(|d| d == in_order(f.data, be)))
        };
        let all = || self.cq.cmds.iter();
        all()
            .position(|c| fits(c, Store::No))
            // One that has stored already: a second store is reported for what it is.
            .or_else(|| {
                if data.is_none() {
                    all().position(|c| fits(c, Store::Going))
                } else {
                    None
                }
            })
    }

    /// The same; if fences before it are in doubt, that it stores shows that they have completed.
    fn next_fence_for(&mut self, addr: u64, data: Option<u32>) -> Option<usize> {
        while self.fence_for(addr, data)? > 0 && self.fence_was_complete() {}
        self.fence_for(addr, data)
    }

    /// What a fence that is next has to wait for before it stores.
    fn fence_waits_for(
        &self,
        f: &iommu_golden::command::Iofence,
        forwards: u64,
        fetched: u64,
    ) -> Option<String> {
        let mut why = None;
        for (asked, write) in [(f.pr, false), (f.pw, true)] {
            if asked && let Some(q) = self.dev.unfinished(write, forwards) {
                why = Some(format!("the end on m_dev of\n{}", q.line()));
            }
        }
        if f.pw
            && let Some(j) = self.mrif.unfinished(fetched)
        {
            why = Some(format!("the MRIF update of\n{}", j.line));
        }
        if self.ats.blocks_fence() {
            why = Some("every ATS.INVAL before it has completed or timed out".to_string());
        }
        why
    }

    /// The store of a fence that was under way when the queue was turned off, and is not yet seen to
    /// be off: "the command queue may stay active ... until the commands already fetched from the
    /// command-queue are being processed".
    fn leaving_fence(&mut self, addr: u64, data: u32) -> bool {
        let be = self.iommu.registers().be;
        let leaving = &self.cq.leaving;
        let first = leaving
            .iter()
            .position(|c| matches!(c.kind, Kind::Fence(_)));
        let Some((n, c)) = first.map(|n| (n, leaving[n])) else {
            return false;
        };
        let Kind::Fence(f) = c.kind else {
            return false;
        };
        let fits = f.av && f.addr.0 == addr && in_order(f.data, be) == data;
        let may = fits
            && c.store == Store::No
            && self.cq.control.on_hi
            && self.fence_waits_for(&f, c.forwards, c.fetched).is_none();
        if may {
            self.cq.leaving.drain(..=n);
        }
        may
    }

    fn fence_write(&mut self, n: usize, addr: u64, data: Option<u32>, w: &MemWrite) -> WriteFor {
        let count = self.cq.head.hi + n as u64;
        let be = self.iommu.registers().be;
        let Some(c) = self.cq.cmds.get_mut(n) else {
            return WriteFor::Unknown;
        };
        let Kind::Fence(f) = c.kind else {
            return WriteFor::Unknown;
        };
        let (before, forwards, fetched) = (c.store, c.forwards, c.fetched);
        c.store = Store::Going;
        self.cq.progress = self.now;
        let story = format!(
            "fence: AV 1, ADDR {addr:#x}, DATA {:#010x}, PR {}, PW {}, WSI {}",
            f.data, f.pr, f.pw, f.wsi
        );
        if before != Store::No {
            self.fail(
                Check::FenceWrite,
                "one store a fence",
                "a second one",
                story,
            );
            return WriteFor::Unknown;
        }
        if data != Some(in_order(f.data, be)) {
            let got = format!("AW {}, data {}", describe_axi(&w.axi), data_text(w));
            self.fail(
                Check::FenceWrite,
                format!("4 bytes {:#010x} at {addr:#x}", f.data),
                got,
                story.clone(),
            );
        }
        let why = match n {
            0 => self.fence_waits_for(&f, forwards, fetched),
            _ => Some("all commands before it have completed".to_string()),
        };
        if let Some(why) = why {
            let mut lines = why.lines();
            let want = lines.next().unwrap_or_default().to_string();
            let rest: Vec<&str> = lines.collect();
            self.fail(
                Check::FenceEarly,
                format!("its store after {want}"),
                "the store is already on m_mem",
                format!("{story}\n{}", rest.join("\n")),
            );
        }
        WriteFor::Fence {
            count,
            epoch: self.mem.epoch,
        }
    }

    /// The vector whose message goes to `addr` (with this data, if given).
    fn message_for(&self, addr: u64, data: Option<u32>) -> Option<u8> {
        let regs = self.iommu.registers();
        let vectors = 0..self.cfg.golden.choices.vectors.min(16);
        let matches = |r: &iommu_golden::Registers, v: u8| {
            let e = r.msi_cfg[usize::from(v)];
            e.addr == addr && data.is_none_or(|d| d == in_order(e.data, r.be))
        };
        let known = |v: &u8| {
            matches(regs, *v)
                || self
                    .before
                    .as_ref()
                    .is_some_and(|b| matches(b.registers(), *v))
        };
        // Of vectors that share an address, one that is owed a message.
        let owed = |v: &u8| {
            (0..crate::irq::SOURCES)
                .any(|n| self.irq.credit[n] > 0 && crate::irq::vector(regs, n) == *v)
        };
        vectors
            .clone()
            .find(|v| known(v) && owed(v))
            .or_else(|| vectors.clone().find(known))
    }

    fn message_write(
        &mut self,
        vector: u8,
        addr: u64,
        data: Option<u32>,
        w: &MemWrite,
    ) -> WriteFor {
        self.counters.messages += 1;
        let regs = self.iommu.registers();
        let entry = regs.msi_cfg[usize::from(vector)];
        let old = self
            .before
            .as_ref()
            .map(|b| (b.registers().msi_cfg[usize::from(vector)], b.registers().be));
        let right = data == Some(in_order(entry.data, regs.be))
            || old.is_some_and(|(e, be)| e.addr == addr && data == Some(in_order(e.data, be)));
        let masked = entry.masked && old.is_none_or(|(e, _)| e.masked);
        let story = format!(
            "vector {vector}: msi_addr {:#x}, msi_data {:#010x}, masked {}",
            entry.addr, entry.data, entry.masked
        );
        if !right {
            self.fail(
                Check::MessageContent,
                format!("4 bytes {:#010x} at {addr:#x}", entry.data),
                format!("AW {}, data {}", describe_axi(&w.axi), data_text(w)),
                story.clone(),
            );
        }
        if masked && self.irq.masked_at[usize::from(vector)].is_some_and(|at| at < w.at) {
            self.fail(
                Check::MessageUnexpected,
                "no message: the vector is masked",
                "a message",
                story.clone(),
            );
        }
        let owed = {
            let old = self.before.as_ref().map(|b| b.registers().clone());
            self.irq
                .take_message(vector, old.as_ref(), self.iommu.registers())
        };
        // One that would have failed with the address of its entry then, or now.
        let owed = owed || self.take_failing_message();
        if !owed {
            self.fail(
                Check::MessageUnexpected,
                "no message: no pending bit of this vector went from 0 to 1 since its last one",
                format!("a message of vector {vector}"),
                story,
            );
        }
        WriteFor::Message { vector, addr }
    }

    /// Memory sampled a beat for a read, or for what an atomic replaces.
    pub(crate) fn on_atomic_sampled(&mut self, id: u8, addr: u64, data: u64) -> bool {
        if let Some(w) = self.mem.writes.of(id).front_mut()
            && w.axi.atop != 0
        {
            let size = match w.of {
                WriteFor::Update { update, .. } => update.size,
                _ => 8,
            };
            let data = data >> (8 * (addr & 7));
            w.old = Some(if size == 4 { data & 0xffff_ffff } else { data });
            return true;
        }
        false
    }

    pub(crate) fn on_mem_b(&mut self, b: BBeat, mem: &SparseMemory) {
        let Some(mut w) = self.mem.writes.of(b.id).pop_front() else {
            return;
        };
        self.mem.open = self.mem.open.saturating_sub(1);
        let fine = matches!(b.resp, Resp::Okay | Resp::ExOkay);
        if fine && !w.stored {
            let (first, last) = extent(&w.axi);
            self.agent_stored(first, last);
            if let WriteFor::Fence { count, epoch } = w.of
                && epoch == self.mem.epoch
            {
                self.commands_seen(count + 1);
            }
        }
        match w.of {
            WriteFor::Record {
                first,
                slots,
                epoch,
            } if epoch == self.fq.ring.epoch => {
                if fine {
                    self.fq.ring.answered(first, slots);
                    self.records_visible();
                } else {
                    // "The fault-record that was attempted to be written is discarded"
                    self.fq.ring.give_up();
                    self.fault_queue_error();
                }
            }
            WriteFor::Fence { count, epoch } if epoch == self.mem.epoch => {
                if let Some(n) = count.checked_sub(self.cq.head.hi)
                    && let Some(c) = self.cq.cmds.get_mut(n as usize)
                {
                    c.store = if fine { Store::Done } else { Store::Failed };
                    if let Some(c) = self.coverage.as_mut().filter(|_| !fine) {
                        c.fence_store_failed();
                    }
                }
                self.advance_commands();
            }
            WriteFor::Page {
                first,
                slots,
                epoch,
            } if epoch == self.pq.ring.epoch => self.page_record_answered(first, slots, fine),
            WriteFor::Update { .. } => self.on_update_done(&w, b, mem),
            WriteFor::Mrif { job } => {
                // What an AtomicLoad brings back is poisoned; B says no more than that it was refused,
                // which is all that a block which sends an AtomicStore can know. "If the IO bridge is not
                // capable of signaling such deferred errors uniquely from other errors ... then
                // the IOMMU may report such errors as access faults".
                let place = w.axi.addr & !7;
                let fault = mem.fault_for(place, 8, FaultAccess::Any);
                let loads = w.axi.atop >> 4 == 0b10;
                let corrupt = loads && fault == Some(MemFault::Poison);
                self.mrif_answered(job, b.resp, corrupt, mem);
                self.advance_commands();
            }
            WriteFor::Notice { job } => self.notice_answered(job, b.resp),
            WriteFor::Message { addr, .. } if !fine => {
                let record = FaultRecord::of_event(Cause::MsiWriteAccessFault, addr);
                self.push_fault(None, Some(record), true);
            }
            _ => {}
        }
        w.beats.clear();
        self.mem.spare.push(w.beats);
    }

    /// Records at the front of the queue whose writes have all been answered.
    fn records_visible(&mut self) {
        while self.fq.ring.next_visible(self.now).is_some() {
            self.counters.records += 1;
            if self.fq.ring.control.ie_hi {
                let sure = self.fq.ring.control.ie_lo;
                self.cause(FIP, sure);
            }
        }
    }

    /// Compares a complete record with the faults that are outstanding.
    fn compare_record(&mut self, words: [u64; 4]) {
        let be = self.iommu.registers().be;
        let mut seen = words;
        if be {
            seen.iter_mut().for_each(|w| *w = w.swap_bytes());
        }
        let seen = architected(seen);
        // One that has waited since before a record was written may still claim that record; and an
        // older one by a chain of others, for which a large queue's records are kept twice over.
        let oldest = self.fq.faults.front().map_or(self.now, |f| f.born);
        while self.fq.taken.len() >= 1024 && self.fq.taken.front().is_some_and(|t| t.at < oldest) {
            self.fq.taken.pop_front();
        }
        if self.fq.recent.len() >= 16 {
            self.fq.recent.pop_front();
        }
        let repeated = self.fq.recent.contains(&seen);
        self.fq.recent.push_back(seen);
        let message = seen[0] & 0xfff == u64::from(Cause::MsiWriteAccessFault.code());
        if message {
            // The message may be that of the cycle counter, which has overflowed a moment ago.
            self.hpm_time();
        }
        if self.rehome(seen, &mut Vec::new()) || (message && self.message_failed(seen[2])) {
            if self.cfg.merges_faults {
                for n in 0..self.fq.faults.len() {
                    let f = &self.fq.faults[n];
                    let same = self
                        .options_of(f)
                        .any(|o| architected(o.to_words()) == seen);
                    self.fq.faults[n].merged |= same;
                }
            }
            return;
        }
        // The fault that it resembles most, if any does: that one's record is wrong.
        let got = record_text(&seen);
        let likeness = |o: &FaultRecord| {
            let w = o.to_words();
            let part = |mask: u64| u32::from(w[0] & mask == seen[0] & mask);
            part(0xffff_ff00_0000_0000)
                + part(0xfff)
                + part(0xfc_0000_0000)
                + 2 * u32::from(w[2] == seen[2])
                + u32::from(w[3] == seen[3])
        };
        let best = (0..self.fq.faults.len())
            .filter_map(|n| {
                let f = &self.fq.faults[n];
                self.options_of(f)
                    .map(|o| (likeness(o), *o))
                    .max_by_key(|(l, _)| *l)
                    .map(|(l, o)| (l, n, o))
            })
            .max_by_key(|(l, n, _)| (*l, std::cmp::Reverse(*n)))
            .filter(|(l, _, _)| *l >= 4);
        match best {
            Some((_, n, option)) => {
                let f = &self.fq.faults[n];
                let story = match f.asker.and_then(|s| self.askers.get(s)) {
                    Some(a) => a.line(),
                    None => {
                        f.of.and_then(|r| self.dev.get(r))
                            .map(|q| q.line())
                            .unwrap_or_default()
                    }
                };
                self.take_fault(n);
                self.fail(
                    Check::RecordContent,
                    record_text(&architected(option.to_words())),
                    got,
                    story,
                );
            }
            None => {
                let want = if repeated {
                    "one record for this fault; it has been written before"
                } else {
                    "no such record: no refused request asks for it"
                };
                let story = self.open_requests();
                self.fail(Check::RecordUnexpected, want, got, story);
            }
        }
    }

    /// Finds a fault for this record: one that waits for it, or one that has been given an equal
    /// claim on another record for which there is one.
    pub(crate) fn rehome(&mut self, seen: [u64; 4], tried: &mut Vec<usize>) -> bool {
        let wants = |f: &&crate::queues::Fault| {
            self.options_of(f)
                .any(|o| architected(o.to_words()) == seen)
        };
        let all = &self.fq.faults;
        // Who has been refused, rather than who may be.
        let position = all
            .iter()
            .position(|f| f.certain && wants(&f))
            .or_else(|| all.iter().position(|f| wants(&f)));
        if let Some(n) = position {
            let f = &all[n];
            let options = self.options_of(f);
            let taken = crate::queues::Taken {
                of: f.of,
                at: self.now,
                words: seen,
                options: options.map(|o| architected(o.to_words())).collect(),
                since: f.since,
                lost: f.lost,
                optional: !f.certain && self.is_decided(f),
            };
            self.fq.taken.push_back(taken);
            self.take_fault(n);
            return true;
        }
        for n in 0..self.fq.taken.len() {
            let t = &self.fq.taken[n];
            let given_up = t.words;
            // What a request may have had recorded is known when it is decided, not before.
            let now = t.of.and_then(|r| self.dev.get(r)).map(|q| &q.legal);
            let claims = t.options.contains(&seen)
                || now.is_some_and(|l| l.records().any(|o| architected(o.to_words()) == seen));
            if tried.contains(&n) || given_up == seen || !claims {
                continue;
            }
            tried.push(n);
            if self.rehome(given_up, tried) {
                self.fq.taken[n].words = seen;
                return true;
            }
        }
        false
    }

    /// A fault that must have one of these records has none: one that was given to another fault
    /// is its, if that other one can do without. Since when that one was owed a record, and why
    /// it may have been lost (0: it need not have had one).
    pub(crate) fn claim(
        &mut self,
        of: Option<Ref>,
        options: &[[u64; 4]],
        tried: &mut Vec<usize>,
    ) -> Option<(u64, u8)> {
        for n in 0..self.fq.taken.len() {
            let t = &self.fq.taken[n];
            if tried.contains(&n) || !options.contains(&t.words) {
                continue;
            }
            tried.push(n);
            let (other, since, lost) = (t.of, t.since, t.lost);
            let found = match lost {
                0 if t.optional => Some((since, 0)),
                0 => {
                    let needs = t.options.clone();
                    self.claim(other, &needs, tried)
                }
                _ => Some((since, lost)),
            };
            if found.is_some() {
                let t = &mut self.fq.taken[n];
                (t.of, t.lost, t.optional) = (of, 0, false);
                t.options = options.to_vec();
                return found;
            }
        }
        None
    }

    /// The request has been refused: what its record may be is known now.
    pub(crate) fn settle_taken(&mut self, r: Ref) {
        let optional = !self.surely_recorded(r);
        let Some(t) = self.fq.taken.iter_mut().rev().find(|t| t.of == Some(r)) else {
            return;
        };
        t.optional = optional;
        let Some(q) = self.dev.get(r) else { return };
        let all = q.legal.records().map(|o| architected(o.to_words()));
        t.options.extend(all);
    }

    /// The request has been forwarded: a record that was taken to be its is another's, if there
    /// is one.
    pub(crate) fn give_record_back(&mut self, r: Ref) -> bool {
        let Some(n) = self.fq.taken.iter().rposition(|t| t.of == Some(r)) else {
            return false;
        };
        let words = self.fq.taken.remove(n).map(|t| t.words);
        words.is_some_and(|w| self.rehome(w, &mut Vec::new()))
    }

    /// Whether it is known that this fault happened.
    fn is_decided(&self, f: &Fault) -> bool {
        let request = |r| self.dev.get(r).is_none_or(|q| q.fate != Fate::Open);
        let asker = |s| self.askers.get(s).is_none_or(|a| !a.open);
        match (f.of, f.asker) {
            (Some(r), _) => request(r),
            (_, Some(s)) => asker(s),
            _ => true,
        }
    }

    /// The records that a fault may have.
    pub(crate) fn options_of<'a>(&'a self, f: &'a Fault) -> impl Iterator<Item = &'a FaultRecord> {
        let asked = f.asker.and_then(|s| self.askers.get(s)).map(|a| &a.legal);
        let legal =
            f.of.and_then(|r| self.dev.get(r))
                .map(|q| &q.legal)
                .or(asked);
        legal
            .into_iter()
            .flat_map(|l| l.records())
            .chain(f.own.as_ref())
    }

    /// The block can reach these bytes at all.
    pub(crate) fn reachable(&self, addr: u64, len: u64) -> bool {
        self.iommu.reachable(Spa(addr), len)
    }
}

/// Where the fault queue lies.
pub(crate) fn fault_ring(iommu: &iommu_golden::Iommu) -> Ring {
    let fq = iommu.registers().fq;
    Ring {
        base: fq.base_address(),
        mask: fq.index_mask(),
        head: fq.head,
    }
}

/// A 4-byte value as it stands on the bus, read as little-endian.
fn in_order(v: u32, be: bool) -> u32 {
    if be { v.swap_bytes() } else { v }
}

/// Address and data of a write that is exactly one aligned 4-byte store.
fn small_store(w: &MemWrite) -> Option<(u64, u32)> {
    let [beat] = w.beats.as_slice() else {
        return None;
    };
    let lane = w.axi.addr & !7;
    match beat.strb {
        0x0f => Some((lane, beat.data as u32)),
        0xf0 => Some((lane + 4, (beat.data >> 32) as u32)),
        _ => None,
    }
}

fn data_text(w: &MemWrite) -> String {
    let all: Vec<String> = w
        .beats
        .iter()
        .take(8)
        .map(|b| format!("{:#018x}/{:#04x}", b.data, b.strb))
        .collect();
    all.join(" ")
}

/// A record without the bits that are for custom use.
pub(crate) fn architected(mut words: [u64; 4]) -> [u64; 4] {
    words[1] &= !0xffff_ffff;
    words
}

fn record_text(words: &[u64; 4]) -> String {
    let r = FaultRecord::from_words(words);
    format!(
        "record cause {} ttyp {} did {:#08x}{} iotval {:#x} iotval2 {:#x} (words {:#018x} {:#018x} {:#018x} {:#018x})",
        r.cause,
        r.ttyp,
        r.did,
        if r.pv {
            format!(
                " pid {:#07x}{}",
                r.pid,
                if r.privileged { " priv" } else { "" }
            )
        } else {
            String::new()
        },
        r.iotval,
        r.iotval2,
        words[0],
        words[1],
        words[2],
        words[3]
    )
}
