//! Drills: the promises broken on purpose, and watched being kept.
//!
//! [`point`] names every place at which a process may be made to die. Nothing here serves.

pub mod point;

pub use point::{CrashAt, Moment, Point, Role, Trap};
