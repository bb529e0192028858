//! Golden model of the RISC-V IOMMU: document version 20260222 (base 1.0; QoS identifiers,
//! non-leaf invalidation, address range invalidation, Svrsw60t59b), with the two-stage translation
//! of the privileged architecture and the MSI page tables and memory-resident interrupt files of the
//! Advanced Interrupt Architecture.
//!
//! It is a reference: written from the text alone, rule by rule, in the order of the text, each rule
//! quoted beside the code. It has no cache and no notion of time: [`Iommu::translate`] answers what
//! registers and tables say now, and the queues and interrupts are state machines that a testbench
//! moves in steps as fine as what it sees on a bus. It knows no RTL and no bus.
//!
//! # An example
//!
//! A device whose Sv39 tables map one page:
//!
//! ```
//! use iommu_golden::*;
//!
//! // An IOMMU with Sv39 and the base-format (32-byte) device context.
//! let caps = Capabilities::version_1_0().with(Capabilities::SV39).with_pas(56);
//! let mut iommu = Iommu::new(Config::new(caps))?;
//! let mut mem = SimpleMemory::new();
//!
//! // Software: a one-level device directory at 0x1000, page tables from 0x2000.
//! let (ddt, root, l1, l0) = (0x1000, 0x2000, 0x3000, 0x4000);
//! let pointer = |table: u64| table >> 12 << 10 | 1;
//! let device = 3;
//! let dc = ddt + 32 * device;
//! mem.write_u64(dc, 1); //                             tc: V
//! mem.write_u64(dc + 16, 0x42 << 12); //               ta: PSCID
//! mem.write_u64(dc + 24, 8 << 60 | root >> 12); //     fsc: Sv39
//! mem.write_u64(root, pointer(l1));
//! mem.write_u64(l1, pointer(l0));
//! mem.write_u64(l0 + 8 * 5, 0x8_0000 << 10 | 0xd7); // page 5: V R W U A D
//!
//! iommu.write_reg(offset::DDTP, RegSize::Eight, 2 | ddt >> 12 << 10)?; // 1LVL
//!
//! // The device reads, and its address is translated.
//! match iommu.translate(&mut mem, &Request::read(device as u32, Iova(0x5678)), &mut ()) {
//!     Outcome::Granted(t) => assert_eq!(t.spa, Spa(0x8000_0678)),
//!     other => panic!("{other:?}"),
//! }
//!
//! // The next page has no mapping: a page fault, with the record to queue and the rule that says so.
//! let out = iommu.translate(&mut mem, &Request::write(device as u32, Iova(0x6000)), &mut ());
//! let Outcome::Denied(denial) = out else { panic!("granted") };
//! assert_eq!(denial.cause, Cause::WritePageFault);
//! assert_eq!(denial.rule.to_string(), "Virtual Address Translation Process, 3: V=0");
//!
//! // Report it: the fault queue at 0x5000 has four entries.
//! iommu.write_reg(offset::FQB, RegSize::Eight, 0x5000 >> 12 << 10 | 1)?;
//! iommu.write_reg(offset::FQCSR, RegSize::Four, 1)?;
//! iommu.report(&mut mem, &denial.record.expect("DTF is 0"));
//! assert_eq!(mem.read_u64(0x5000) & 0xfff, 15);
//! assert_eq!(iommu.read_reg(offset::FQT, RegSize::Four), Ok(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! | Section of the specification | Function or type |
//! |---|---|
//! | IOMMU capabilities | [`Capabilities`] |
//! | Memory-mapped register interface | [`Iommu::read_reg`], [`Iommu::write_reg`], [`Registers`] |
//! | Reset behavior | [`Registers::reset`], [`Iommu::reset`] |
//! | Process to translate an IOVA | [`Iommu::translate`] |
//! | Process to locate the Device-context, the Process-context | module `walk` (private) |
//! | Device-context configuration checks | [`DeviceContext::check`] |
//! | Process-context configuration checks | [`ProcessContext::check`] |
//! | Virtual Address Translation Process; Guest Physical Address Translation | modules `walk`, `pte` (private) |
//! | MSI address mask and pattern; Process to translate addresses of MSIs | [`DeviceContext::is_interrupt_file`], [`msi`] |
//! | AIA: MSI PTE, MRIF mode | [`Iommu::mrif_action`], [`Iommu::mrif_store`] |
//! | PCIe ATS translation request handling | [`Iommu::translate`], [`AtsCompletion`] |
//! | PCIe ATS Page Request handling; Page-Request-Queue | [`Iommu::page_request`], [`ats::PageRequest`] |
//! | Command-Queue; each command | [`Iommu::next_command`], [`Iommu::decode_command`], [`Command::decode`], [`Iommu::step_command`] |
//! | IOFENCE.C | [`Iommu::fence_store`], [`Iommu::fence_done`] |
//! | ATS.INVAL, ATS.PRGR | [`Iommu::take_ats_messages`], [`Iommu::invalidation_completion`], [`Iommu::ats_time_out`] |
//! | Fault/Event-Queue; CAUSE encodings | [`Iommu::fault_slot`], [`FaultRecord`], [`Cause`] |
//! | Interrupt pending status register; icvec; msi_cfg_tbl | [`Iommu::update_interrupts`], [`Iommu::wires`], [`Iommu::due_vectors`], [`Iommu::message`] |
//! | Performance-monitoring ... | [`Iommu::count_event`], [`Iommu::count_cycles`], [`hpm`] |
//! | Debug support | [`Iommu::run_debug_request`] |
//! | Caching in-memory data structures; coverage of IOTINVAL and IODIR; NLINV; ARINV | [`invalidate::describe`], [`invalidate::covers`] |
//! | IOMMU QoS ID | [`Translation::rcid`], [`Registers::iommu_qosid`] |
//! | Endianness of in-memory data structures | `fctl.BE` and `DC.tc.SBE` are applied where a structure is loaded |
//!
//! docs/golden.md goes on from here, step by step and with the tests that pin each; the choices that
//! the text leaves open are the fields of [`Choices`] and the rows of docs/freedoms.md.
//!
//! # For a testbench
//!
//! * [`Memory`] gives the model its loads, stores and atomics; each carries a [`Label`] that says what
//!   is being read. An oracle that knows what hardware may have cached answers by label.
//! * [`Observer`] hears every step of a walk.
//! * The queues move in steps: [`Iommu::fault_slot`] says where a record goes and what is to be stored,
//!   [`Iommu::fault_written`] or [`Iommu::fault_write_failed`] what follows once that is known; commands
//!   alike.
//! * Nothing panics, overflows or loops for ever on any input, and nothing in a walk allocates.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod addr;
pub mod ats;
pub mod caps;
pub mod cause;
pub mod command;
pub mod config;
pub mod context;
pub mod debug;
pub mod hpm;
pub mod invalidate;
pub mod iommu;
pub mod label;
pub mod memory;
pub mod mrif;
pub mod msi;
pub mod observe;
pub mod outcome;
mod pte;
pub mod record;
pub mod registers;
pub mod request;
pub mod translate;
mod walk;

pub use addr::{Gpa, Iova, Spa};
pub use caps::{Capabilities, Igs};
pub use cause::Cause;
pub use command::{Command, CommandError};
pub use config::{Choices, Config, ConfigError, Reserved};
pub use context::{DeviceContext, ProcessContext};
pub use iommu::{CommandSlot, CommandStep, FenceStore, Iommu, Message, Push};
pub use label::{Holder, Label};
pub use memory::{MemError, Memory, SimpleMemory};
pub use observe::{Observer, Rule, Walk, WalkEvent};
pub use outcome::{
    AtsCompletion, AtsStatus, Denial, MrifTarget, Outcome, Pbmt, Permissions, Translation,
};
pub use record::FaultRecord;
pub use registers::{IommuMode, Queue, RegEffects, RegError, RegSize, Registers, offset};
pub use request::{Access, Request, RequestKind, Ttyp};
