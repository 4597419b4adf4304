//! Drills: the promises broken on purpose, and watched being kept.
//!
//! [`point`] names every place at which a process may be made to die; [`world`] is the seeded
//! simulation, run by [`run()`] and [`simulate`]; [`mutant`] breaks a rule to see it noticed.
//! Nothing here serves.

pub mod mutant;
pub mod point;
mod simulate;
pub mod world;

pub use mutant::Mutant;
pub use point::{CrashAt, Moment, Point, Role, Trap};
pub use simulate::{Failure, Protocol, Report, Run, Simulation, run, simulate};
pub use world::{Ending, Kind, Options, Violation};
