//! The client: it asks for payments, and never loses track of one it asked for.
//!
//! Read in this order:
//!
//! - [`classify`]: what a failed call means for the money;
//! - [`outbox`]: what was asked for and is not settled, on disk;
//! - [`link`], [`token`], [`session`]: the connection, the session, the calls;
//! - [`pay`]: one payment from the keyboard to its outcome, through all of the above.
//!
//! Refuses to know how banks and gateway do their work: it meets them only at the proto.

pub mod classify;
pub mod link;
pub mod outbox;
pub mod pay;
pub mod session;
pub mod token;
