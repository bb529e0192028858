//! What the scoreboard hands to metrics: one value a transaction, and counters.

/// What a transaction cost, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Passed untranslated (`ddtp` in `Bare`).
    Bare,
    /// Translated without a read of memory, and without waiting for another's.
    Hit,
    /// Translated without a read of its own, but after one that it shares with another
    /// request (a merged walk), or behind an older burst of its id that was no hit.
    Waited,
    /// Translated after page-table reads.
    Walk {
        /// Reads of page tables that are attributed to it.
        reads: u8,
    },
    /// Translated after directory reads (and perhaps page-table reads).
    ContextMiss {
        /// Reads that are attributed to it, directory and page tables.
        reads: u8,
    },
    /// Taken by a page in MRIF mode.
    Msi {
        /// Reads that are attributed to it.
        reads: u8,
    },
    /// Refused.
    Fault {
        /// Reads that are attributed to it.
        reads: u8,
    },
}

impl Class {
    /// Short name for tables: `hit`, `walk`, ...
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Class::Bare => "bare",
            Class::Hit => "hit",
            Class::Waited => "waited",
            Class::Walk { .. } => "walk",
            Class::ContextMiss { .. } => "context miss",
            Class::Msi { .. } => "msi",
            Class::Fault { .. } => "fault",
        }
    }

    /// Its coverage bin.
    pub(crate) const fn bin(self) -> iommu_coverage::points::bus::Class {
        use iommu_coverage::points::bus::Class as Bin;
        match self {
            Class::Bare => Bin::Bare,
            Class::Hit => Bin::Hit,
            Class::Waited => Bin::Waited,
            Class::Walk { .. } => Bin::Walk,
            Class::ContextMiss { .. } => Bin::ContextMiss,
            Class::Msi { .. } => Bin::Msi,
            Class::Fault { .. } => Bin::Fault,
        }
    }

    /// Reads on `m_mem` that are attributed to the transaction.
    #[must_use]
    pub const fn reads(self) -> u8 {
        match self {
            Class::Bare | Class::Hit | Class::Waited => 0,
            Class::Walk { reads }
            | Class::ContextMiss { reads }
            | Class::Msi { reads }
            | Class::Fault { reads } => reads,
        }
    }
}

/// A finished transaction of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionRecord {
    /// AXI id.
    pub id: u8,
    /// device_id.
    pub device_id: u32,
    /// process_id, when it had one.
    pub process_id: Option<u32>,
    /// Address on `s_dev`.
    pub iova: u64,
    /// A write.
    pub write: bool,
    /// Bytes of the burst.
    pub bytes: u32,
    /// Clock of the address handshake on `s_dev`.
    pub accepted: u64,
    /// Clock of the address handshake on `m_dev`, if it was forwarded.
    pub forwarded: Option<u64>,
    /// Clock of the last response handshake on `s_dev`.
    pub done: u64,
    /// What it cost, and why.
    pub class: Class,
    /// Requests accepted and not yet answered when this one was accepted.
    pub others: u32,
    /// Physical address on `m_dev`; `None` when it was refused.
    pub spa: Option<u64>,
    /// Cause of the refusal; `None` when granted, or refused by the bridge alone
    /// (a burst over a 4 KiB boundary, an unsupported atomic).
    pub cause: Option<u16>,
    /// A fault record is due for it.
    pub recorded: bool,
    /// A page in MRIF mode took it: not forwarded, and (with `cause` none) not refused either.
    pub mrif: bool,
    /// Walks of younger requests that were done before this one was decided.
    pub overtaken: u32,
}

/// What the scoreboard counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clocks seen.
    pub clocks: u64,
    /// Device requests accepted.
    pub requests: u64,
    /// Device requests that ended, and were checked from end to end.
    pub checked: u64,
    /// Of those, refused.
    pub refused: u64,
    /// Bursts read on `m_mem`.
    pub mem_reads: u64,
    /// Reads on `m_mem` explained by a walk.
    pub walk_reads: u64,
    /// Reads on `m_mem` explained by a walk that had read the same word before.
    pub repeated_reads: u64,
    /// Reads on `m_mem` that nothing explains, where dut.yaml allows speculation.
    pub speculative_reads: u64,
    /// Bursts written on `m_mem`.
    pub mem_writes: u64,
    /// Commands fetched.
    pub commands: u64,
    /// Fault records written.
    pub records: u64,
    /// Faults whose record was lost to overflow, an error or a disabled queue.
    pub records_lost: u64,
    /// Interrupt messages written.
    pub messages: u64,
    /// ATS translation requests accepted.
    pub ats_requests: u64,
    /// Page requests and stop markers accepted.
    pub page_requests: u64,
    /// Page-request records written.
    pub page_records: u64,
    /// Answers of the debug interface compared.
    pub debug_requests: u64,
    /// A/D bits set.
    pub updates: u64,
    /// A bits set that nobody asked for, where dut.yaml allows speculation.
    pub speculative_updates: u64,
    /// MSIs stored to interrupt files in memory.
    pub msis: u64,
    /// Notice MSIs written.
    pub notices: u64,
    /// Register reads compared.
    pub register_reads: u64,
    /// Register writes.
    pub register_writes: u64,
    /// Requests for which more than one outcome was legal, because tables or registers
    /// changed while they were outstanding.
    pub either: u64,
}
