//! Command queue, fault queue, interrupt messages.

use std::collections::VecDeque;

use iommu_golden::ats::AtsOut;
use iommu_golden::command::Iofence;
use iommu_golden::{Command, CommandStep, Label, MemError, Memory, Push, Queue, Spa};

use crate::bug::Bug;
use crate::job::{Stage, What};
use crate::port::{COMMANDS, ReadFor, Write, WriteFor, user};
use crate::state::State;

/// Times that fences start a request again; the next one waits for it.
const RESTARTS: u32 = 8;

/// A command as fetched.
#[derive(Debug, Clone, Copy)]
struct Fetched {
    words: [u64; 2],
    result: Result<(), MemError>,
}

/// Where the fence at the head stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    /// It waits for what it orders.
    Orders,
    /// Its store is under way.
    Stores,
}

/// The command queue beside its registers.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    fetched: VecDeque<Fetched>,
    /// Fetches of earlier lives of the queue are for nothing.
    epoch: u32,
    /// The next command is not executed before.
    wait: u64,
    fence: Option<Fence>,
    /// Invalidations that have been put off.
    lazy: Vec<Command>,
    /// A fence whose index was passed before its time (only a wrong device does that).
    passed: Option<Iofence>,
    /// The message of the command behind the fence has left (only a wrong device does that).
    ahead: bool,
}

/// Memory for one step of the golden model's queue: the command, and what became of its store.
struct Fixed {
    command: Fetched,
    store: Result<(), MemError>,
}

impl Memory for Fixed {
    fn load(&mut self, addr: Spa, _: u8, _: &Label) -> Result<u64, MemError> {
        self.command.result?;
        Ok(self.command.words[(addr.0 >> 3 & 1) as usize])
    }
    fn store(&mut self, _: Spa, _: &[u8], _: &Label) -> Result<(), MemError> {
        self.store
    }
    fn compare_and_swap(
        &mut self,
        _: Spa,
        _: u8,
        _: u64,
        _: u64,
        _: &Label,
    ) -> Result<u64, MemError> {
        Err(MemError::Access)
    }
    fn fetch_or(&mut self, _: Spa, _: u64, _: bool, _: &Label) -> Result<u64, MemError> {
        Err(MemError::Access)
    }
}

impl State {
    // ---- commands

    /// The queue was enabled or disabled, or an error bit was cleared: what was fetched is
    /// fetched again.
    pub(crate) fn forget_commands(&mut self) {
        self.commands.fetched.clear();
        self.commands.ahead = false;
        self.commands.epoch = self.commands.epoch.wrapping_add(1);
        if self.commands.fence == Some(Fence::Orders) {
            self.commands.fence = None;
        }
        self.execute_lazy();
    }

    /// Whether the command queue still has an access under way.
    pub(crate) fn commands_busy(&self) -> bool {
        self.port.reading(COMMANDS) || self.commands.fence == Some(Fence::Stores)
    }

    fn execute_lazy(&mut self) {
        for command in std::mem::take(&mut self.commands.lazy) {
            self.invalidate(command);
        }
    }

    pub(crate) fn step_commands(&mut self) {
        if !self.commands.lazy.is_empty() && self.rng.below(512) == 1 {
            self.execute_lazy();
        }
        if self.regs.is_changing(Queue::Command) || self.commands.fence == Some(Fence::Stores) {
            return;
        }
        if self.commands.passed.is_some() {
            self.step_passed();
            return;
        }
        let Some(slot) = self.iommu.next_command() else {
            return;
        };
        if !slot.reachable {
            self.iommu.command_memory_fault();
            return;
        }
        let cq = self.iommu.registers().cq;
        let waiting = cq.tail.wrapping_sub(cq.head) & cq.index_mask();
        let have = self.commands.fetched.len() as u32;
        if !self.port.reading(COMMANDS) && have == 0 && waiting > 0 {
            // Not past the tail, the end of the queue or a page.
            let to_page = ((0x1000 - (slot.addr.0 & 0xfff)) / 16) as u32;
            let to_end = (cq.index_mask() - slot.index).saturating_add(1).max(1);
            let count = waiting.min(self.habits.fetch).min(to_page).min(to_end);
            let user = user(&self.iommu, &Label::CommandQueue, None);
            let of = ReadFor::Commands {
                count,
                epoch: self.commands.epoch,
            };
            let len = (2 * count - 1) as u8;
            self.port.read(COMMANDS, slot.addr.0, 8, len, user, of);
        }
        if self.now < self.commands.wait {
            return;
        }
        let Some(command) = self.commands.fetched.front().copied() else {
            return;
        };
        let decoded = match command.result {
            Ok(()) => self.iommu.decode_command(command.words).ok(),
            Err(_) => None,
        };
        match decoded {
            Some(Command::Iofence(f)) => self.step_fence(f),
            Some(c @ (Command::AtsInval(_) | Command::AtsPrgr(_))) => {
                // Nothing orders it but a fence ("the IOMMU may execute the fetched commands out of
                // order"), nor against translation completions, which are PCIe's affair. What
                // a device that is more careful does: what it invalidates in devices is not in
                // the IOMMU's own caches any more, and what was translated before has left.
                if self.habits.ats_in_order {
                    self.execute_lazy();
                    if matches!(c, Command::AtsInval(_)) {
                        self.restart_ats();
                        if self.ats.completions_left() {
                            return;
                        }
                    }
                }
                if std::mem::take(&mut self.commands.ahead) {
                    self.commands.fetched.pop_front();
                    self.iommu.command_done();
                    return;
                }
                self.complete(Ok(()));
            }
            Some(c) => {
                if self.rng.percent(self.habits.lazy) {
                    self.commands.lazy.push(c);
                } else {
                    // In order, those that were put off included.
                    self.execute_lazy();
                    self.invalidate(c);
                }
                self.complete(Ok(()));
            }
            None => self.complete(Ok(())),
        }
    }

    pub(crate) fn take_commands(
        &mut self,
        count: u32,
        epoch: u32,
        words: &[(u64, Result<(), MemError>)],
    ) {
        if epoch != self.commands.epoch {
            return;
        }
        for n in 0..count as usize {
            let [Some(a), Some(b)] = [2 * n, 2 * n + 1].map(|k| words.get(k)) else {
                return;
            };
            self.commands.fetched.push_back(Fetched {
                words: [a.0, b.0],
                result: a.1.and(b.1),
            });
        }
        self.delay_command();
    }

    fn delay_command(&mut self) {
        let delay = self.rng.below(self.habits.command_delay as usize + 1);
        self.commands.wait = self.now + delay as u64;
    }

    /// The command at the head is over.
    fn complete(&mut self, store: Result<(), MemError>) {
        let Some(command) = self.commands.fetched.front().copied() else {
            return;
        };
        match self.iommu.step_command(&mut Fixed { command, store }) {
            CommandStep::Done(_) => {
                self.commands.fetched.pop_front();
                self.delay_command();
            }
            // No ITag is free.
            CommandStep::Idle | CommandStep::Waiting(_) => {}
            CommandStep::FetchFault
            | CommandStep::Illegal(_)
            | CommandStep::FenceFault(_)
            | CommandStep::TimedOut(_) => self.forget_commands(),
        }
        let mut messages = self.iommu.take_ats_messages();
        for message in &mut messages {
            match (message, self.bug) {
                (AtsOut::Invalidation { itag, .. }, Some(Bug::ItagReused)) => *itag = 0,
                (AtsOut::PageResponse(m), Some(Bug::ResponseIndexWrong)) => m.payload ^= 1 << 32,
                _ => {}
            }
        }
        self.ats.messages(messages);
    }

    fn step_fence(&mut self, f: Iofence) {
        if self.commands.fence.is_none() {
            self.commands.fence = Some(Fence::Orders);
            if self.bug != Some(Bug::FenceBeforeInvalidation) {
                self.execute_lazy();
            }
            self.restart_ats();
            self.order(&f);
            match self.bug {
                Some(Bug::AtsOvertakesFence) => self.look_behind_fence(),
                Some(Bug::FenceStoreEarly) => {
                    self.send_fence_store(&f);
                }
                _ => {}
            }
            if self.bug == Some(Bug::HeadBeforeFence) {
                self.commands.fence = None;
                self.commands.passed = Some(f);
                self.commands.fetched.pop_front();
                self.iommu.command_done();
                return;
            }
        }
        let unanswered = self.iommu.itags_in_use() != 0;
        if unanswered && self.bug != Some(Bug::FenceIgnoresAts) || self.waits(&f) {
            return;
        }
        if unanswered {
            self.send_fence_store(&f);
            self.commands.fence = None;
            self.commands.fetched.pop_front();
            self.iommu.command_done();
            return;
        }
        let late = self.ats.may_time_out && {
            let mut probe = self.iommu.clone();
            let command = self.commands.fetched[0];
            let store = Ok(());
            matches!(
                probe.step_command(&mut Fixed { command, store }),
                CommandStep::TimedOut(_)
            )
        };
        if late && self.bug == Some(Bug::TimeoutCompletes) {
            self.ats.may_time_out = false;
            self.commands.fence = None;
            self.complete(Ok(()));
            let cq = &mut self.iommu.registers_mut().cq;
            cq.head = cq.head.wrapping_add(1) & cq.index_mask();
            return;
        }
        if late {
            self.ats.may_time_out = false;
        } else if self.bug == Some(Bug::FenceStoreLost) && self.rng.percent(12) {
            // Its data stays where it is.
        } else if self.bug == Some(Bug::FenceStoreEarly) {
            if self.port.writing(&WriteFor::Fence) {
                return;
            }
        } else if self.send_fence_store(&f) {
            self.commands.fence = Some(Fence::Stores);
            return;
        }
        self.commands.fence = None;
        self.complete(Ok(()));
    }

    /// Sends the store of a fence; false if it has none that can be sent.
    fn send_fence_store(&mut self, f: &Iofence) -> bool {
        let Some(store) = self.iommu.fence_store(f).filter(|s| s.reachable) else {
            return false;
        };
        let user = user(&self.iommu, &Label::Fence, None);
        let mut bytes = store.bytes;
        match self.bug {
            Some(Bug::FenceLittleEndian) if self.iommu.registers().be => bytes.reverse(),
            Some(Bug::FenceWipEarly) if f.wsi => {
                self.iommu.registers_mut().cq.fence_w_ip = true;
                self.iommu.update_interrupts();
            }
            _ => {}
        }
        self.port
            .write(Write::small(store.addr.0, bytes, user, WriteFor::Fence));
        true
    }

    /// Sends the invalidation request of the command behind a fence.
    fn look_behind_fence(&mut self) {
        let Some(command) = self.commands.fetched.get(1).copied() else {
            return;
        };
        let next = self.iommu.decode_command(command.words);
        if self.commands.ahead
            || command.result.is_err()
            || !matches!(next, Ok(Command::AtsInval(_)))
        {
            return;
        }
        let store = Ok(());
        if let CommandStep::Done(_) = self.iommu.step_command(&mut Fixed { command, store }) {
            let cq = &mut self.iommu.registers_mut().cq;
            cq.head = cq.head.wrapping_sub(1) & cq.index_mask();
            self.commands.ahead = true;
            let messages = self.iommu.take_ats_messages();
            self.ats.messages(messages);
        }
    }

    /// A fence that was passed too early still orders and stores.
    fn step_passed(&mut self) {
        let Some(f) = self.commands.passed else {
            return;
        };
        if self.waits(&f) || self.port.writing(&WriteFor::Fence) {
            return;
        }
        self.commands.passed = None;
        self.send_fence_store(&f);
    }

    pub(crate) fn fence_stored(&mut self, fine: bool) {
        if self.commands.fence != Some(Fence::Stores) {
            return;
        }
        self.commands.fence = None;
        self.complete(if fine { Ok(()) } else { Err(MemError::Access) });
    }

    /// Marks what a fence waits for, and starts again what need not be waited for.
    fn order(&mut self, f: &Iofence) {
        let careless = self.bug == Some(Bug::FenceIgnoresWalks);
        let mut again = Vec::new();
        let wait = self.habits.wait;
        let data_first = self.habits.data_first;
        for (n, job) in self.jobs.iter_mut() {
            let asked = (f.pr && job.is_read()) || (f.pw && job.is_write());
            if !asked || job.ended {
                continue;
            }
            let open = job.open();
            let granted = matches!(job.stage, Stage::Granted { .. });
            if careless && (open || granted) {
                continue;
            }
            // Its data may come late or never.
            let stuck = granted && job.is_write() && data_first && !job.full;
            // What it reads must still be explained when the fence has completed.
            let offered = self.port.offers(n, job.serial);
            // Fences must not keep it from ever coming to an end.
            let tired = job.walk.start > RESTARTS;
            let may = !offered && !tired && !self.rng.percent(wait);
            if (open || granted) && (stuck || may) {
                again.push(n);
            } else {
                job.must_end = true;
            }
        }
        for n in again {
            self.restart(n);
        }
    }

    /// Translates a job again from the start.
    pub(crate) fn restart(&mut self, n: usize) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(n) else {
            return;
        };
        let queued = matches!(job.stage, Stage::Walk | Stage::Needs(_));
        if matches!(job.stage, Stage::Waiting) {
            self.port.withdraw(n, job.serial);
        }
        if let Stage::Granted { .. } = job.stage {
            let write = job.is_write();
            self.path.withdraw(write, n);
        }
        job.walk.restart(now);
        job.stage = Stage::Walk;
        if !queued {
            self.todo.push_back(n);
        }
    }

    /// ATS translations under way must not tell what an invalidation has overtaken.
    fn restart_ats(&mut self) {
        let open: Vec<usize> = self
            .jobs
            .iter()
            .filter(|(_, j)| matches!(j.what, What::Ats { .. }) && j.open())
            .map(|(n, _)| n)
            .collect();
        for n in open {
            self.restart(n);
        }
    }

    fn waits(&self, f: &Iofence) -> bool {
        self.jobs.iter().any(|(_, job)| {
            let reads = f.pr && job.is_read() && self.bug != Some(Bug::FenceIgnoresReads);
            let writes = f.pw && job.is_write() && self.bug != Some(Bug::FenceIgnoresWrites);
            job.must_end && !job.ended && (reads || writes)
        })
    }

    // ---- faults

    pub(crate) fn step_faults(&mut self) {
        if self.faults.is_empty()
            || self.port.writing(&WriteFor::Record)
            || self.regs.is_changing(Queue::Fault)
        {
            return;
        }
        let Some(record) = self.faults.pop_front() else {
            return;
        };
        let before = self.iommu.registers().fq.overflow;
        let push = self.iommu.fault_slot(&record, 0);
        if self.bug == Some(Bug::FaultOverflowLost) {
            self.iommu.registers_mut().fq.overflow = before;
        }
        let Push::Write {
            addr,
            data,
            reachable,
            ..
        } = push
        else {
            return;
        };
        if !reachable {
            self.iommu.fault_write_failed();
            return;
        }
        let lost = self.bug == Some(Bug::RecordQosLost);
        let user = if lost {
            0
        } else {
            user(&self.iommu, &Label::FaultQueue, None)
        };
        self.port
            .write(Write::words(addr.0, &data, user, WriteFor::Record));
        if self.bug == Some(Bug::TailBeforeRecord) {
            self.iommu.fault_written();
        }
    }

    pub(crate) fn record_written(&mut self, fine: bool) {
        if !fine {
            self.iommu.fault_write_failed();
            if self.bug == Some(Bug::FaultMemoryLost) {
                self.iommu.registers_mut().fq.memory_fault = false;
            }
        } else if self.bug != Some(Bug::TailBeforeRecord) {
            self.iommu.fault_written();
        }
    }

    // ---- messages

    pub(crate) fn step_messages(&mut self) {
        let due = self.iommu.due_vectors();
        if due == 0 || self.port.writing(&WriteFor::Message { addr: 0 }) {
            return;
        }
        let vectors: Vec<u8> = (0..16).filter(|v| due >> v & 1 == 1).collect();
        let vector = vectors[self.rng.below(vectors.len())];
        let mut message = self.iommu.message(vector);
        match self.bug {
            Some(Bug::MessagesSwapped) => {
                if let Some(other) = vectors.iter().find(|v| **v != vector) {
                    message.bytes = self.iommu.message(*other).bytes;
                }
            }
            Some(Bug::MessageTwice) if self.rng.percent(12) && message.reachable => {
                let user = user(&self.iommu, &Label::Msi, None);
                let addr = message.addr.0;
                let of = WriteFor::Message { addr };
                self.port.write(Write::small(addr, message.bytes, user, of));
            }
            _ => {}
        }
        self.iommu.message_sent(vector);
        if !message.reachable {
            self.message_lost(message.addr.0);
            return;
        }
        let user = user(&self.iommu, &Label::Msi, None);
        let of = WriteFor::Message {
            addr: message.addr.0,
        };
        self.port
            .write(Write::small(message.addr.0, message.bytes, user, of));
    }
}
