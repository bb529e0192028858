//! The IOMMU as a whole: registers, and the state machines of queues and interrupts in steps
//! as fine as a bus monitor needs them.

use crate::addr::Spa;
use crate::caps::Capabilities;
use crate::cause::Cause;
use crate::command::{Command, CommandError, DecodeContext, Iofence};
use crate::config::{Config, ConfigError};
use crate::context::DeviceContext;
use crate::label::Label;
use crate::memory::{MemError, Memory};
use crate::record::FaultRecord;
use crate::registers::{IommuMode, Queue, RegEffects, RegError, RegSize, Registers, ipsr};

/// An IOMMU: configuration, registers, and which interrupt messages are owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iommu {
    pub(crate) config: Config,
    pub(crate) regs: Registers,
    /// Vectors that owe a message (bit a vector), masked or not.
    pub(crate) msi_pending: u16,
    /// Outstanding ATS invalidations and whether one timed out.
    pub(crate) ats: crate::ats::AtsState,
}

/// Where the next command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandSlot {
    /// Index in the queue (`cqh`).
    pub index: u32,
    /// Its address.
    pub addr: Spa,
    /// Whether the address is below 2^PAS; if not, the fetch is a memory fault without access.
    pub reachable: bool,
}

/// The 4-byte store of `IOFENCE.C` with AV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FenceStore {
    /// Where.
    pub addr: Spa,
    /// The bytes, in the byte order that `fctl.BE` gives.
    pub bytes: [u8; 4],
    /// Whether the address is below 2^PAS; if not, it is a memory fault without access.
    pub reachable: bool,
}

/// Where a record for the fault queue or page-request queue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Push<const N: usize> {
    /// The queue is off (`fqon`/`pqon` is 0): nothing is written, no bit set.
    Off,
    /// An error bit is set: the record is discarded.
    Stopped,
    /// The queue is full: the overflow bit is now set, the record discarded.
    Overflow,
    /// The record is to be written; then call the `_written` or `_write_failed` method.
    Write {
        /// Index in the queue.
        index: u32,
        /// Address of the record.
        addr: Spa,
        /// What is to be stored there.
        data: [u8; N],
        /// Whether the address is below 2^PAS; if not, the write fails without an access.
        reachable: bool,
    },
}

/// An interrupt message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    /// The vector.
    pub vector: u8,
    /// `msi_addr`.
    pub addr: Spa,
    /// `msi_data`.
    pub data: u32,
    /// The four bytes to be stored, in the byte order that `fctl.BE` gives.
    pub bytes: [u8; 4],
    /// Whether the address is below 2^PAS; if not, it is an access fault without access.
    pub reachable: bool,
}

/// What [`Iommu::step_command`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandStep {
    /// The queue is off, stopped by an error bit, or empty.
    Idle,
    /// The fetch failed: `cqmf`.
    FetchFault,
    /// The command is illegal or unsupported: `cmd_ill`.
    Illegal(CommandError),
    /// The command is done; `cqh` has moved on.
    Done(Command),
    /// The fence's store failed: `cqmf`.
    FenceFault(Iofence),
    /// The fence waits for ATS invalidations; `cqh` stays.
    Waiting(Iofence),
    /// A previous `ATS.INVAL` timed out: `cmd_to`, `cqh` stays on the fence.
    TimedOut(Iofence),
}

/// A 4-byte value in the byte order of `fctl.BE`.
pub(crate) fn bytes4(v: u32, big_endian: bool) -> [u8; 4] {
    if big_endian {
        v.to_be_bytes()
    } else {
        v.to_le_bytes()
    }
}

impl Iommu {
    /// An IOMMU after reset.
    ///
    /// # Errors
    /// What no IOMMU can be configured to.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let regs = Registers::reset(&config);
        Ok(Iommu {
            config,
            regs,
            msi_pending: 0,
            ats: Default::default(),
        })
    }

    /// Resets (section "Reset behavior"); the configuration stays.
    pub fn reset(&mut self) {
        self.regs = Registers::reset(&self.config);
        self.msi_pending = 0;
        self.ats = Default::default();
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The `capabilities` register.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.config.capabilities
    }

    /// The registers as fields.
    #[must_use]
    pub fn registers(&self) -> &Registers {
        &self.regs
    }

    /// The registers as fields, to set up a state directly. Interrupts do not follow until
    /// [`Iommu::update_interrupts`].
    pub fn registers_mut(&mut self) -> &mut Registers {
        &mut self.regs
    }

    /// Whether `len` bytes at `addr` lie in the addressable space: "ranges from 0 to 2^PAS - 1".
    #[must_use]
    #[inline]
    pub fn reachable(&self, addr: Spa, len: u64) -> bool {
        addr.0
            .checked_add(len.saturating_sub(1))
            .is_some_and(|last| last >> self.config.capabilities.pas() == 0)
    }

    /// The RCID and MCID of an access of the IOMMU itself: "IOMMU-initiated requests for accessing
    /// [PDT, second-stage, first-stage and MSI page tables, MRIF] use the value configured in the
    /// RCID and MCID fields of DC.ta", those for DDT, queues and MSIs that of `iommu_qosid`. `dc` is
    /// the context in use, for the former.
    #[must_use]
    pub fn qos_ids(&self, label: &Label, dc: Option<&DeviceContext>) -> (u16, u16) {
        if !self.config.capabilities.has(Capabilities::QOSID) {
            return (0, 0);
        }
        match label {
            Label::PdtNonLeaf { .. }
            | Label::Pc { .. }
            | Label::FirstStage { .. }
            | Label::SecondStage { .. }
            | Label::MsiPte { .. }
            | Label::Mrif => dc.map_or((0, 0), |dc| (dc.rcid(), dc.mcid())),
            Label::DdtNonLeaf { .. }
            | Label::Dc { .. }
            | Label::Notice
            | Label::CommandQueue
            | Label::Fence
            | Label::FaultQueue
            | Label::PageRequestQueue
            | Label::Msi => {
                let q = self.regs.iommu_qosid;
                ((q & 0xfff) as u16, (q >> 16 & 0xfff) as u16)
            }
        }
    }

    /// Reads a register. Reads have no side effect.
    ///
    /// # Errors
    /// Accesses whose behaviour is UNSPECIFIED.
    pub fn read_reg(&self, offset: u16, size: RegSize) -> Result<u64, RegError> {
        self.regs.read(&self.config, offset, size)
    }

    /// Writes a register; interrupts follow from it (bits in `ipsr`, messages owed, wires).
    ///
    /// # Errors
    /// Accesses whose behaviour is UNSPECIFIED; nothing changes then.
    pub fn write_reg(
        &mut self,
        offset: u16,
        size: RegSize,
        value: u64,
    ) -> Result<RegEffects, RegError> {
        let effects = self.regs.write(&self.config, offset, size, value)?;
        if effects.disabled == Some(Queue::Command) {
            self.ats.forget();
        }
        self.update_interrupts();
        Ok(effects)
    }

    // ---- interrupts (sections "Interrupt pending status register", "MSI configuration table")

    /// Raises the bits of `ipsr` whose lasting conditions hold. Every method of this type that
    /// changes such a condition calls it; call it yourself only after `registers_mut`.
    pub fn update_interrupts(&mut self) {
        let r = &self.regs;
        let mut raise = 0;
        // "cip is set to 1 if cqcsr.cie is 1 and any of the following are true: fence_w_ip,
        // cmd_ill, cmd_to, cqmf is 1."
        if r.cq.interrupt_enable
            && (r.cq.fence_w_ip || r.cq.illegal || r.cq.overflow || r.cq.memory_fault)
        {
            raise |= ipsr::CIP;
        }
        // "fip is set to 1 if fqcsr.fie is 1 and any of: fqof is 1, fqmf is 1, a new record is
        // produced in the FQ" (the last by fault_written).
        if r.fq.interrupt_enable && (r.fq.overflow || r.fq.memory_fault) {
            raise |= ipsr::FIP;
        }
        // pip: the same with pqcsr.pie, pqof, pqmf, a new message.
        if r.pq.interrupt_enable && (r.pq.overflow || r.pq.memory_fault) {
            raise |= ipsr::PIP;
        }
        self.raise(raise);
    }

    /// Sets bits of `ipsr`; each 0 to 1 transition owes a message if `fctl.WSI` is 0.
    pub(crate) fn raise(&mut self, bits: u32) {
        let new = bits & !self.regs.ipsr;
        self.regs.ipsr |= new;
        // "MSI have edge semantics and an interrupt message is generated when an
        // interrupt-pending bit transitions from 0 to 1."
        if !self.regs.wsi {
            for n in (0..4).filter(|n| new >> n & 1 == 1) {
                self.msi_pending |= 1 << self.regs.vector_of(n);
            }
        }
    }

    /// The interrupt wires, a bit a vector: "When fctl.WSI is 1, the interrupt-pending bit
    /// drives the wire selected by the corresponding icvec field".
    #[must_use]
    pub fn wires(&self) -> u16 {
        if !self.regs.wsi {
            return 0;
        }
        (0..4)
            .filter(|n| self.regs.ipsr >> n & 1 == 1)
            .fold(0, |w, n| w | 1 << self.regs.vector_of(n))
    }

    /// Vectors that owe a message, masked ones included.
    #[must_use]
    pub fn pending_vectors(&self) -> u16 {
        self.msi_pending
    }

    /// Vectors whose message is due now: owed and not masked. "When the mask bit M is 1, the
    /// corresponding interrupt vector is masked and the IOMMU is prohibited from sending the
    /// associated message. Pending messages for that vector are later generated if the
    /// corresponding mask bit is cleared to 0."
    #[must_use]
    pub fn due_vectors(&self) -> u16 {
        (0..16u16)
            .filter(|v| !self.regs.msi_cfg[usize::from(*v)].masked)
            .fold(0, |d, v| d | 1 << v)
            & self.msi_pending
    }

    /// The message of a vector (taken modulo 16) as the table now has it.
    #[must_use]
    pub fn message(&self, vector: u8) -> Message {
        let vector = vector & 15;
        let e = &self.regs.msi_cfg[usize::from(vector)];
        Message {
            vector,
            addr: Spa(e.addr),
            data: e.data,
            bytes: bytes4(e.data, self.regs.be),
            reachable: self.reachable(Spa(e.addr), 4),
        }
    }

    /// The message of `vector` was stored.
    pub fn message_sent(&mut self, vector: u8) {
        self.msi_pending &= !(1 << (vector & 15));
    }

    /// The message of `vector` met an access fault: "the IOMMU reports a IOMMU MSI write access
    /// fault (cause 273) fault, with TTYP set to 0 and iotval set to the value of msi_addr_x".
    /// The message is lost. Report the record with [`Iommu::fault_slot`].
    pub fn message_failed(&mut self, vector: u8) -> FaultRecord {
        self.message_sent(vector);
        FaultRecord::of_event(Cause::MsiWriteAccessFault, self.message(vector).addr.0)
    }

    /// Sends every message that is due to `mem`, and reports those that fail.
    pub fn send_messages<M: Memory>(&mut self, mem: &mut M) {
        // A failed message reports a fault, which may raise fip and owe another message, which
        // may fail again: but fip then already is 1, so the loop ends.
        loop {
            let due = self.due_vectors();
            if due == 0 {
                return;
            }
            let m = self.message(due.trailing_zeros() as u8);
            let done = m.reachable && mem.store(m.addr, &m.bytes, &Label::Msi).is_ok();
            if done {
                self.message_sent(m.vector);
            } else {
                let record = self.message_failed(m.vector);
                self.report(mem, &record);
            }
        }
    }

    // ---- fault queue (section "Fault/Event-Queue")

    /// Where `record` goes. `ahead` counts records that already have a place but are not
    /// written yet (0 if records are written one at a time). If the queue is full the overflow
    /// bit is set, and `fip` follows.
    pub fn fault_slot(&mut self, record: &FaultRecord, ahead: u32) -> Push<32> {
        let big = self.regs.be;
        self.push(Queue::Fault, record.to_bytes(big), ahead)
    }

    pub(crate) fn push<const N: usize>(
        &mut self,
        queue: Queue,
        data: [u8; N],
        ahead: u32,
    ) -> Push<N> {
        let q = self.regs.queue_mut(queue);
        if !q.on {
            return Push::Off;
        }
        // "While either error bit is set in fqcsr, the IOMMU discards the record that led to
        // the fault and all further fault records."
        if q.memory_fault || q.overflow {
            return Push::Stopped;
        }
        let index = q.tail.wrapping_add(ahead) & q.index_mask();
        // "the fault-queue is full (i.e., fqt == fqh - 1)"
        if index == q.head.wrapping_sub(1) & q.index_mask() {
            q.overflow = true;
            self.update_interrupts();
            return Push::Overflow;
        }
        let addr = Spa(q.base_address().wrapping_add(u64::from(index) * N as u64));
        Push::Write {
            index,
            addr,
            data,
            reachable: self.reachable(addr, N as u64),
        }
    }

    /// The record at `fqt` has been stored: "Subsequent to writing the record, the IOMMU
    /// advances the fqt by 1"; a new record raises `fip` if `fie`.
    pub fn fault_written(&mut self) {
        self.advance(Queue::Fault, ipsr::FIP);
    }

    pub(crate) fn advance(&mut self, queue: Queue, bit: u32) {
        let q = self.regs.queue_mut(queue);
        q.tail = q.tail.wrapping_add(1) & q.index_mask();
        if q.interrupt_enable {
            self.raise(bit);
        }
    }

    /// Storing a record failed: "The fqmf bit is set to 1 if the IOMMU encounters an access
    /// fault when storing a fault record"; the record is discarded, `fqt` stays.
    pub fn fault_write_failed(&mut self) {
        self.regs.fq.memory_fault = true;
        self.update_interrupts();
    }

    /// Reports a record in one go, on a memory.
    pub fn report<M: Memory>(&mut self, mem: &mut M, record: &FaultRecord) -> Push<32> {
        let push = self.fault_slot(record, 0);
        if let Push::Write {
            addr,
            data,
            reachable,
            ..
        } = &push
        {
            if *reachable && mem.store(*addr, data, &Label::FaultQueue).is_ok() {
                self.fault_written();
            } else {
                self.fault_write_failed();
            }
        }
        push
    }

    // ---- command queue (section "Command-Queue")

    /// Where the next command is, if the queue is on, no error bit stops it, and it is not
    /// empty. `fence_w_ip` does not stop it.
    #[must_use]
    pub fn next_command(&self) -> Option<CommandSlot> {
        let q = &self.regs.cq;
        // cqmf: "the command-queue stalls until this bit is cleared"; cmd_to, cmd_ill: "stops
        // processing commands".
        if !q.on || q.memory_fault || q.overflow || q.illegal || q.is_empty() {
            return None;
        }
        let index = q.head & q.index_mask();
        let addr = Spa(q.base_address().wrapping_add(u64::from(index) * 16));
        Some(CommandSlot {
            index,
            addr,
            reachable: self.reachable(addr, 16),
        })
    }

    /// Decodes the 16 bytes of a command as they lie in memory (two doublewords taken as
    /// little-endian; swapped here if `fctl.BE`).
    ///
    /// # Errors
    /// What makes the command illegal or unsupported: call [`Iommu::command_illegal`].
    pub fn decode_command(&self, words: [u64; 2]) -> Result<Command, CommandError> {
        let words = if self.regs.be {
            words.map(u64::swap_bytes)
        } else {
            words
        };
        let ctx = DecodeContext {
            capabilities: self.config.capabilities,
            choices: &self.config.choices,
            wsi: self.regs.wsi,
            device_id_bits: self.device_id_bits(),
        };
        Command::decode(words, &ctx)
    }

    /// Bits of a `device_id` that the present `ddtp.iommu_mode` supports; 24 in Off and Bare.
    #[must_use]
    #[inline]
    pub fn device_id_bits(&self) -> u8 {
        let extended = self.config.capabilities.has(Capabilities::MSI_FLAT);
        match (self.regs.mode, extended) {
            (IommuMode::Levels(1), true) => 6,
            (IommuMode::Levels(1), false) => 7,
            (IommuMode::Levels(2), true) => 15,
            (IommuMode::Levels(2), false) => 16,
            _ => 24,
        }
    }

    /// Fetching the command at `cqh`, or a memory access that it made, met a memory fault:
    /// `cqmf`; `cqh` stays.
    pub fn command_memory_fault(&mut self) {
        self.regs.cq.memory_fault = true;
        self.update_interrupts();
    }

    /// The command at `cqh` is illegal or unsupported: `cmd_ill`; `cqh` stays.
    pub fn command_illegal(&mut self) {
        self.regs.cq.illegal = true;
        self.update_interrupts();
    }

    /// The `IOFENCE.C` at `cqh` found that an earlier command timed out: `cmd_to`; `cqh` stays.
    pub fn command_timeout(&mut self) {
        self.regs.cq.overflow = true;
        self.update_interrupts();
    }

    /// The command at `cqh` (not an `IOFENCE.C`) has been taken: `cqh` advances.
    pub fn command_done(&mut self) {
        let q = &mut self.regs.cq;
        q.head = q.head.wrapping_add(1) & q.index_mask();
    }

    /// The store that a fence makes when it completes, if it has AV.
    #[must_use]
    pub fn fence_store(&self, f: &Iofence) -> Option<FenceStore> {
        // "If AV=1, the IOMMU writes DATA to memory at a 4-byte aligned address ADDR[63:2] * 4
        // as a 4-byte store when the command completes."
        f.av.then(|| FenceStore {
            addr: f.addr,
            bytes: bytes4(f.data, self.regs.be),
            reachable: self.reachable(f.addr, 4),
        })
    }

    /// The `IOFENCE.C` at `cqh` completed (its store, if any, is visible): `cqh` advances, and
    /// `fence_w_ip` is set if it has WSI.
    pub fn fence_done(&mut self, f: &Iofence) {
        self.command_done();
        if f.wsi {
            self.regs.cq.fence_w_ip = true;
        }
        self.update_interrupts();
    }

    /// Fetches and runs one command on a memory. Invalidations have no effect on the model,
    /// which caches nothing; ATS messages are kept for [`Iommu::take_ats_messages`].
    pub fn step_command<M: Memory>(&mut self, mem: &mut M) -> CommandStep {
        let Some(slot) = self.next_command() else {
            return CommandStep::Idle;
        };
        let mut words = [0; 2];
        let fetched = if slot.reachable {
            mem.load_entry(slot.addr, &mut words, &Label::CommandQueue)
        } else {
            Err(MemError::Access)
        };
        // Corrupt commands are memory faults too: the queue has one bit for both.
        if fetched.is_err() {
            self.command_memory_fault();
            return CommandStep::FetchFault;
        }
        let command = match self.decode_command(words) {
            Ok(c) => c,
            Err(e) => {
                self.command_illegal();
                return CommandStep::Illegal(e);
            }
        };
        match command {
            Command::Iofence(f) => {
                // "guarantees that all previous commands fetched from the CQ have been
                // completed and committed"
                if self.ats.outstanding() {
                    return CommandStep::Waiting(f);
                }
                if self.ats.take_timeout() {
                    self.command_timeout();
                    return CommandStep::TimedOut(f);
                }
                if let Some(s) = self.fence_store(&f)
                    && !(s.reachable && mem.store(s.addr, &s.bytes, &Label::Fence).is_ok())
                {
                    self.command_memory_fault();
                    return CommandStep::FenceFault(f);
                }
                self.fence_done(&f);
            }
            Command::AtsInval(m) => {
                if !self.ats.send_invalidation(m) {
                    return CommandStep::Idle;
                }
                self.command_done();
            }
            Command::AtsPrgr(m) => {
                self.ats.send_response(m);
                self.command_done();
            }
            _ => self.command_done(),
        }
        CommandStep::Done(command)
    }
}
