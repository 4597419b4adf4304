//! The protocol of the report that this service was built from, as two machines, to be watched
//! losing money. Nothing here serves.
//!
//! - "If not (commit_sender.ready and commit_recipient.ready): abort": a commit that fails or is
//!   late is aborted, after the other bank has posted perhaps.
//! - A bank "checks if it can process its part" and votes: the hold is in memory, and a restart
//!   forgets it.
//! - `If processed_transactions[id] == committed`: an id that was aborted, or is under way, runs
//!   again.
//! - Statuses and balances are in SQLite: what is written is durable before it is answered.
//!
//! Where the report is silent it is given the benefit of the doubt: calls are made in the order of
//! its listing, on connections that keep the order and the number of messages, and every write to a
//! database is synced and atomic.

mod bank;
mod gateway;
mod state;

pub use bank::Bank;
pub use gateway::Gateway;

use crate::drill::world::{BankService, GatewayService, Service};
use crate::model::{GlobalId, Reference};

/// The banks of the report know a payment by the client's own id and no other: every attempt at it
/// has the same name.
fn name(reference: &Reference) -> GlobalId {
    let text = reference.to_string();
    let number = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    GlobalId { origin: 0, epoch: 0, number }
}
