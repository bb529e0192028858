//! Labels: what a memory access of the IOMMU reads or writes.

use crate::addr::{Gpa, Iova};

/// A directory entry that may hold a guest pointer already translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// `pdtp` or `iosatp` of a device context.
    Dc {
        /// The device.
        device_id: u32,
    },
    /// PPN of a non-leaf entry of the process directory.
    PdtNonLeaf {
        /// The device.
        device_id: u32,
    },
    /// `fsc` of a process context.
    Pc {
        /// The device.
        device_id: u32,
        /// The process.
        process_id: u32,
    },
}

/// What is being accessed. Every load of a walk carries one, so that a memory model can
/// answer from a cached entry, inject a fault at a chosen step, or explain a bus access.
///
/// Whether a page-table entry is a leaf, and the whole range it covers with Svnapot, is only
/// known from its value: see [`crate::invalidate::describe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// Non-leaf entry of the device directory at `level` (2 or 1).
    DdtNonLeaf {
        /// The device whose context is looked for.
        device_id: u32,
        /// Level `i` of the walk.
        level: u8,
    },
    /// Device context.
    Dc {
        /// The device.
        device_id: u32,
    },
    /// Non-leaf entry of the process directory at `level` (2 or 1).
    PdtNonLeaf {
        /// The device whose directory it is.
        device_id: u32,
        /// The process looked for.
        process_id: u32,
        /// Level `i` of the walk.
        level: u8,
    },
    /// Process context.
    Pc {
        /// The device.
        device_id: u32,
        /// The process.
        process_id: u32,
    },
    /// First-stage page-table entry (its A/D update carries the same label).
    FirstStage {
        /// `GSCID`, or `None` for a host address space (second stage Bare).
        gscid: Option<u16>,
        /// `PSCID` of the address space.
        pscid: u32,
        /// The address being translated.
        iova: Iova,
        /// Level `i` of the walk.
        level: u8,
        /// log2 of the bytes an entry of this level covers (NAPOT aside).
        range_log2: u8,
        /// G was set in an entry above: "the global setting implies that all mappings in
        /// the subsequent levels of the page table are global".
        global: bool,
    },
    /// Second-stage page-table entry (its A/D update carries the same label).
    SecondStage {
        /// `GSCID` of the VM.
        gscid: u16,
        /// The address being translated.
        gpa: Gpa,
        /// Level `i` of the walk.
        level: u8,
        /// log2 of the bytes an entry of this level covers (NAPOT aside).
        range_log2: u8,
        /// Device and process whose directory entry is at `gpa`, where the walk serves a PDT access.
        pdt_of: Option<(u32, u32)>,
        /// The directory entry whose pointer field is `gpa`'s page, where it is one: "An
        /// implementation when caching the device-context or process-context may cache these
        /// fields after translating them to a supervisor physical address."
        holder: Option<Holder>,
    },
    /// MSI page-table entry.
    MsiPte {
        /// `GSCID` of the VM; `None` only where MSI tables with a Bare second stage are accepted.
        gscid: Option<u16>,
        /// The address of the virtual interrupt file.
        gpa: Gpa,
    },
    /// Memory-resident interrupt file update.
    Mrif,
    /// Notice MSI after an MRIF update.
    Notice,
    /// Command fetch.
    CommandQueue,
    /// The store that `IOFENCE.C` makes.
    Fence,
    /// Fault record.
    FaultQueue,
    /// Page-request record.
    PageRequestQueue,
    /// Interrupt message of the IOMMU itself.
    Msi,
}
