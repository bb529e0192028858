//! Coverage: what a testbench has seen of the specification, and of the RTL.
//!
//! # Declaring
//!
//! A cover point, or a cross of several axes, is declared beside what it observes, in a struct of
//! counters that a run owns. Nothing is global, so many tests count at once; a hit is an index and an
//! increment.
//!
//! ```
//! use iommu_coverage::{AnyCover, Target, Why, axis, covers, first, needs, when, Impossible};
//! use iommu_golden::Capabilities;
//!
//! axis! {
//!     /// Scheme of the first stage.
//!     pub enum Scheme: "scheme" { Sv32 = "Sv32", Sv39 = "Sv39" }
//! }
//! axis! {
//!     /// Level of a leaf.
//!     pub enum Level: "level" { L0 = "0", L1 = "1", L2 = "2" }
//! }
//! static SV32_HAS_TWO_LEVELS: Impossible =
//!     Impossible { name: "sv32-has-two-levels", why: "Sv32: LEVELS = 2" };
//!
//! covers! {
//!     /// What a walk shows.
//!     pub struct WalkCoverage: "walk" {
//!         /// A leaf was used.
//!         must "VATP-10" leaf: [Scheme, Level] except |(scheme, level), target| first([
//!             needs(target, "Sv32", Capabilities::SV32, scheme == Scheme::Sv32),
//!             when(&SV32_HAS_TWO_LEVELS, scheme == Scheme::Sv32 && level == Level::L2),
//!         ]);
//!     }
//! }
//!
//! let mut seen = WalkCoverage::default();
//! seen.leaf.hit((Scheme::Sv39, Level::L2));
//!
//! let target = Target::new(Capabilities::version_1_0().with(Capabilities::SV39).into());
//! let cover: &dyn AnyCover = seen.covers()[0];
//! assert_eq!((cover.name(), cover.len()), ("walk.leaf", 6));
//! assert_eq!((cover.label(5).as_str(), cover.hits()[5]), ("Sv39,2", 1));
//! assert_eq!(cover.excluded(0, &target), Some(Why::Needs("Sv32")));
//! ```
//!
//! * `must` or `nice`: bins of a `must` cover that are not excluded have to be hit before the block
//!   counts as covered; `nice` ones are figures.
//! * The string is the row of docs/vplan.md that the cover belongs to. A test holds both together.
//! * `except` says which bins cannot be hit, and by which rule: [`needs`] a capability, or a named
//!   [`Impossible`] with its reason. A bin that is excluded and hit all the same is an error of the
//!   rule, and is reported as one.
//!
//! # Collecting and merging
//!
//! A [`Collector`] observes a run: the events at the pins, the translations of the golden model, the commands.
//! [`Tally`] sums collectors; [`Functional`] has the counters with their shapes; [`Database`] sums them over runs, seeds and machines.
#![forbid(unsafe_code)]

mod collector;
mod cover;
pub mod curves;
mod database;
pub mod plan;
pub mod points;
pub mod report;
pub mod rtl;
mod tally;
mod trace;

pub use collector::Collector;
pub use cover::{
    AnyCover, Axis, Bins, Counts, Goal, Impossible, Meta, Target, Why, first, needs, when,
};
pub use database::{Block, Cover, Database, DatabaseError, Functional, RunNote, TestBins};
pub use tally::{DatTally, Tally};
