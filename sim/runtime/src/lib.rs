//! Verilator's run-time library (`verilated.cpp` and its kin), with the project's own ending of
//! `$fatal`, `$finish` and assertions.
//!
//! A crate of its own, so that changed RTL or a changed shim does not compile it again. It has no
//! Rust interface: link it and read `DEP_VERILATED_*` in the build script that compiles models.

// Linked for their symbols only.
use libz_sys as _;
use lz4_sys as _;
