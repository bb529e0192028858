//! Golden model of the RISC-V IOMMU (document version 20260222), written rule by rule from
//! the specification.
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
