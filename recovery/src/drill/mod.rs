//! Drills: the promises broken on purpose, and watched being kept.
//!
//! [`point`] names every place at which a process may be made to die; [`world`] is the seeded
//! simulation, run by [`run()`] and [`simulate`]; [`mutant`] breaks a rule to see it noticed;
//! [`report_protocol`] is what the report would have done, in the same world. Nothing here serves.

pub mod mutant;
pub mod point;
pub mod report_protocol;
mod simulate;
mod story;
pub mod world;

pub use mutant::Mutant;
pub use point::{CrashAt, Moment, Point, Role, Trap};
pub use simulate::{Failure, Protocol, Report, Run, Simulation, repro, run, simulate};
pub use story::story;
pub use world::{Ending, Harm, Kind, KindError, Options, Violation};
