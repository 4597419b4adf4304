//! The client: it asks for payments, and never loses track of one it asked for.
//!
//! Read in this order:
//!
//! - [`classify`]: what a failed call means for the money;
//! - [`outbox`]: what was asked for and is not settled, on disk;
//! - [`link`], [`token`], [`session`]: the connection, the session, the calls;
//! - [`pay`]: one payment from the keyboard to its outcome, through all of the above;
//! - [`retry`]: the same for everything that waits;
//! - [`batch`]: the same for a file of payments;
//! - [`watch`]: one's payments as they become final;
//! - [`flow`]: many payments at once over one stream, for programs;
//! - [`ask`], [`words`], [`show`], [`prompt`]: what a person types, and what a person is told.
//!
//! Refuses to know how banks and gateway do their work: it meets them only at the proto.

pub mod ask;
pub mod batch;
pub mod classify;
pub mod flow;
pub mod link;
pub mod outbox;
pub mod pay;
pub mod prompt;
pub mod retry;
pub mod session;
pub mod show;
pub mod token;
pub mod watch;
pub mod words;
