//! The words of the domain as types: parsed at the edge, correct by construction after it.
//!
//! Nothing here knows how it is stored, sent or shown.

mod id;
mod money;
mod terms;
mod text;

pub use id::{
    AccountNumber, BankName, ClientId, Cluster, Epoch, GlobalId, IdError, Lineage, Reference,
    StartId, TransactionId,
};
pub use money::{Amount, AmountError, Currency, CurrencyError, major};
pub use terms::{Aborted, Decision, HoldState, Memo, MemoError, Order, Reason, Side, Terms, Vote};

/// One side's memory of the other's log: `start_id` had written it durably up to `lsn`.
///
/// A bare number would not do: a log that lost its tail grows again, and soon has that number
/// under another start.
#[derive(Copy, Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Witness {
    pub lineage: Lineage,
    pub start_id: StartId,
    pub lsn: u64,
}

/// How far the log of the gateway that spoke was durable when it did.
///
/// The speaker is not always the gateway that began the payment: a rebuilt one settles what the
/// lost one left.
#[derive(Copy, Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Heard {
    pub gateway: Lineage,
    pub lsn: u64,
}

/// One start of a service, as it introduces itself.
#[derive(Copy, Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Start {
    pub cluster: Cluster,
    pub lineage: Lineage,
    pub epoch: Epoch,
    pub start_id: StartId,
}
