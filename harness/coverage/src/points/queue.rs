//! The in-memory queues, and interrupts.

use iommu_golden::Capabilities as C;

use crate::cover::{Impossible, Target, Why};
use crate::{axis, covers, first, needs, when};

axis! {
    /// A queue.
    pub enum Queue: "queue" { Command = "CQ", Fault = "FQ", Page = "PQ" }
}

axis! {
    /// How full.
    pub enum Fill: "fill" { Empty = "empty", Some = "some", Full = "full" }
}

axis! {
    /// Bytes of a queue.
    pub enum Size: "size" { Two = "2 entries", Page = "up to a page", Pages = "several pages" }
}

axis! {
    /// What happened to a queue.
    pub enum Happening: "event" {
        On = "on", Off = "off", OnAgain = "on after use", Overflow = "overflow", Fault = "memory fault",
        Cleared = "error cleared", FenceFailed = "fence store failed",
    }
}

axis! {
    /// A bit of `ipsr`.
    pub enum Source: "source" { Cip = "cip", Fip = "fip", Pmip = "pmip", Pip = "pip" }
}

axis! {
    /// What makes an interrupt pending.
    pub enum Cause: "cause" {
        CmdIll = "cmd_ill", Cqmf = "cqmf", CmdTo = "cmd_to", FenceWip = "fence_w_ip", Fqof = "fqof", Fqmf = "fqmf",
        Record = "record", Pqof = "pqof", Pqmf = "pqmf", PageRequest = "page request", Counter = "counter",
    }
}

axis! {
    /// How an interrupt is signalled.
    pub enum Signal: "signal" { Wire = "wire", Message = "message", Masked = "masked" }
}

axis! {
    /// An interrupt vector.
    pub enum Vector: "vector" {
        V0 = "0", V1 = "1", V2 = "2", V3 = "3", V4 = "4", V5 = "5", V6 = "6", V7 = "7",
        V8 = "8", V9 = "9", V10 = "10", V11 = "11", V12 = "12", V13 = "13", V14 = "14", V15 = "15",
    }
}

axis! {
    /// After a write of 1 to a pending bit.
    pub enum Clear: "after" { Stays = "stays 0", Again = "rises again" }
}

static ONLY_CQ: Impossible = Impossible {
    name: "fences-are-commands",
    why: "only the command queue has fences, and it cannot overflow: software is its producer",
};
static NO_VECTOR: Impossible = Impossible {
    name: "fewer-vectors",
    why: "dut.yaml: the block has fewer vectors",
};
static NO_WAY: Impossible = Impossible {
    name: "igs",
    why: "capabilities.IGS: the block does not signal like this",
};

fn queue(t: &Target, q: Queue) -> Option<Why> {
    needs(t, "ATS", C::ATS, q == Queue::Page)
}

fn source(t: &Target, s: Source) -> Option<Why> {
    first([
        needs(t, "HPM", C::HPM, s == Source::Pmip),
        needs(t, "ATS", C::ATS, s == Source::Pip),
    ])
}

fn signal(t: &Target, s: Signal) -> Option<Why> {
    let caps = t.config.capabilities;
    when(
        &NO_WAY,
        match s {
            Signal::Wire => !caps.can_wsi(),
            Signal::Message | Signal::Masked => !caps.can_msi(),
        },
    )
}

covers! {
    /// Queues.
    pub struct QueueCoverage: "queue" {
        /// How full a queue was.
        must "FQ-03" state: [Queue, Fill] except |(q, _), t| queue(t, q);
        /// An index went from the last entry to the first.
        must "FQ-01" wrap: [Queue] except |(q,), t| queue(t, q);
        /// Sizes in use.
        must "REG-12" size: [Queue, Size] except |(q, _), t| queue(t, q);
        /// On, off, errors.
        must "FQ-09" event: [Queue, Happening] except |(q, h), t| first([
            queue(t, q),
            when(&ONLY_CQ, q != Queue::Command && h == Happening::FenceFailed),
            when(&ONLY_CQ, q == Queue::Command && h == Happening::Overflow),
        ]);
    }
}

covers! {
    /// Interrupts.
    pub struct IrqCoverage: "irq" {
        /// What makes an interrupt pending, while interrupts of that queue are disabled or enabled.
        must "IRQ-09" cause: [Cause, bool] except |(cause, enabled), t| first([
            needs(t, "ATS", C::ATS, matches!(cause, Cause::Pqof | Cause::Pqmf | Cause::PageRequest | Cause::CmdTo)),
            needs(t, "HPM", C::HPM, cause == Cause::Counter),
            when(&NO_ENABLE, cause == Cause::Counter && !enabled),
            when(&NO_WAY, cause == Cause::FenceWip && !t.config.capabilities.can_wsi()),
        ]);
        /// A pending bit, and how it was signalled.
        must "IRQ-03" signal: [Source, Signal] except |(s, how), t| first([source(t, s), signal(t, how)]);
        /// A pending bit, and its vector.
        nice "REG-16" vector: [Source, Vector] except |(s, v), t| first([
            source(t, s),
            when(&NO_VECTOR, v as u8 >= t.config.choices.vectors),
        ]);
        /// What became of a pending bit to which 1 was written.
        must "IRQ-01" clear: [Source, Clear] except |(s, _), t| source(t, s);
        /// The write of a message failed.
        must "IRQ-06" write_failed: [bool] except |(failed,), t| first([
            when(&NO_WAY, !t.config.capabilities.can_msi()),
            when(&NOT_COUNTED, !failed),
        ]);
    }
}

static NO_ENABLE: Impossible = Impossible {
    name: "counters-have-no-enable",
    why: "pmip has no enable bit: OF is it",
};
static NOT_COUNTED: Impossible = Impossible {
    name: "not-counted",
    why: "a message that was written well is in irq.signal",
};
