//! The generated messages and services, in one place, and what they mean as values.
//!
//! The only `include_proto` of the project. Between a message and a value stands a parser: behind
//! it nothing is validated again.

mod bank;
mod handshake;
mod payment;
mod summary;

pub use bank::{
    WireError, instruction_from, instruction_to, prepare_from, prepare_to, report_from, report_to,
    state_from_unary,
};
pub use handshake::{
    hello_from, hello_to, holds_from, holds_to, intro_from, intro_to, welcome_from, welcome_to,
};
pub use payment::{terms_from, transaction_from};
pub use summary::{SummaryParts, summary_to};

/// Package `strife.v1`.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("strife.v1");
}

/// Every file of `proto/` as an encoded `FileDescriptorSet`, comments included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
