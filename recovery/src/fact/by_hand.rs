//! What the logs remember of a decision by hand.

use crate::model::{BankName, ClientId, Decision, GlobalId, Heard, HoldState, Memo};
use serde::{Deserialize, Serialize};

/// An operator asks that a payment be decided by hand, because a participant cannot be heard.
/// Nothing comes of it before another one approves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeuristicAsked {
    pub payment: GlobalId,
    pub decision: Decision,
    pub why: Memo,
    pub by: ClientId,
}

/// Another operator has approved: the payment is decided, by hand. A case is open until every
/// participant has said what it did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeuristicDecided {
    pub payment: GlobalId,
    pub decision: Decision,
    pub why: Memo,
    pub asked_by: ClientId,
    /// Never the same person.
    pub approved_by: ClientId,
}

/// A participant has done the opposite of what was decided by hand, durably.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeuristicDiffered {
    pub payment: GlobalId,
    pub bank: BankName,
    pub state: HoldState,
    /// How far the bank's journal was durable.
    pub bank_lsn: u64,
}

/// The bank was told a decision that was made by hand. What it did about it, if anything was left
/// to do, is the record after this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeuristicObeyed {
    pub payment: GlobalId,
    pub decision: Decision,
    pub why: Memo,
    pub asked_by: ClientId,
    pub approved_by: ClientId,
    pub heard: Heard,
}
