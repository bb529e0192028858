//! See Cargo.toml.
#![warn(missing_docs)]
