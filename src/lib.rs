//! Strife: moves money between banks and never loses or doubles it, whatever crashes.

pub mod client;
pub mod config;
pub mod crash;
pub mod errors;
pub mod home;
pub mod telemetry;
pub mod wire;
