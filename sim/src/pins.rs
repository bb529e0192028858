//! The pin structs of `sim/include/iommu_pins.h`, as bindgen sees them.

/// Generated code.
#[allow(missing_docs, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/pins.rs"));
}

pub use generated::{PinsIn, PinsOut};

// SAFETY: both are structs of plain integers, generated from the very header that C++ includes.
unsafe impl cxx::ExternType for PinsIn {
    type Id = cxx::type_id!("PinsIn");
    type Kind = cxx::kind::Trivial;
}

// SAFETY: as above.
unsafe impl cxx::ExternType for PinsOut {
    type Id = cxx::type_id!("PinsOut");
    type Kind = cxx::kind::Trivial;
}
