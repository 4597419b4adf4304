//! Reading the logs of a home from outside, for people: no login, no lock, nothing changed.
//!
//! ```text
//!   Source  which log: a service's, or any directory that has one
//!   Line    one record, decoded; words says what a fact says
//! ```
//!
//! Refuses to ask any service.

pub mod audit;
pub mod beside;
pub mod explain;
pub mod export;
pub mod fold;
pub mod in_doubt;
pub mod line;
pub mod listing;
pub mod moment;
pub mod recoveries;
pub mod repair;
pub mod source;
pub mod state;
pub mod stats;
pub mod verify;
pub mod words;

pub use source::Source;
