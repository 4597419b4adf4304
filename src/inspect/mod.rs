//! Reading the logs of a home from outside, for people: no login, no lock, nothing changed.
//!
//! Refuses to write, and to ask any service.

pub mod audit;
