//! What the logs mean and what must happen next; pure.
//!
//! > Starting is recovering; running is a replay that has not stopped.
//!
//! Read in this order: [`model`] (the words), [`step`] (what one event led to), [`payment`] and
//! [`hold`] (the two machines of two-phase commit), [`gateway`] and [`bank`] (all payments, all
//! holds), [`fact`] and [`record`] (what the logs hold), [`replay`] (a log folded into a state),
//! [`witness`] (what each side knows of the other's log), [`cut`] (the latest instant that copies
//! of all logs agree on), [`resolve`] (what a restart does, in words), [`audit`] (all logs against
//! each other), [`explain`] (one payment as a diagram), [`drill`] (the promises broken on
//! purpose).
//!
//! Nothing here can wait, send, read a clock, open a file or draw a random number: this crate takes
//! no dependency that could, and its `clippy.toml` forbids what the standard library offers.

pub mod audit;
pub mod bank;
pub mod cut;
pub mod drill;
pub mod explain;
pub mod fact;
pub mod gateway;
pub mod hold;
pub mod message;
pub mod model;
pub mod payment;
pub mod rebuild;
pub mod record;
pub mod replay;
pub mod resolve;
pub mod step;
pub mod witness;
