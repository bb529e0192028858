//! What the parts of the testbench share: bus events, memory, port timing.
#![warn(missing_docs)]

pub mod event;
