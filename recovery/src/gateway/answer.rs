//! What a caller hears, by one rule for the first answer and every later one.
//!
//! | decision | `settled` | `decided` |
//! |---|---|---|
//! | commit | all postings durable; after the settle wait one suffices | the decision durable |
//! | abort | the decision durable, and one bank's refusal, release or tombstone | likewise |
//!
//! Until then the caller waits; when it has waited enough it hears PENDING, never "failed".

use super::state::Entry;
use super::{Ack, Settings};
use crate::model::{Decision, GlobalId, Reason, Reference, Terms};
use crate::payment::{Parties, Phase};

/// Where a payment stands, as it may be said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Pending,
    Committed,
    Aborted(Reason),
}

/// What became of a payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub payment: GlobalId,
    pub reference: Reference,
    pub terms: Terms,
    pub outcome: Outcome,
    /// False only for the call that began it.
    pub replayed: bool,
    /// Of the decision; 0 while pending.
    pub lsn: u64,
    pub began_ms: u64,
    /// 0 while pending.
    pub decided_ms: u64,
}

/// One page of a client's payments, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub answers: Vec<Answer>,
    /// For the next page; `None` on the last.
    pub cursor: Option<u64>,
}

/// Why a call produced no outcome. The id is as free or as taken as it was.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    #[error("account {0} is not in the directory")]
    AccountNotFound(crate::model::AccountNumber),
    #[error("payer and payee are the same account")]
    SameAccount,
    #[error("this id was used for a payment with another {0}")]
    IdReused(&'static str),
    #[error("no payment was begun under this id")]
    NeverSeen,
    #[error("bank {0} cannot be reached")]
    BankUnavailable(crate::model::BankName),
    #[error("too many payments are in flight")]
    TooManyRequests,
    #[error("the log's disk is nearly full")]
    LogFull,
    #[error("the gateway is stopping")]
    ShuttingDown,
    #[error("recovery is paused: nothing new begins before it is resumed")]
    Paused,
    #[error(transparent)]
    Unforced(super::Unforced),
}

/// What may be said of `entry` now, or `None` while it is worth waiting. `late`: the wait is over.
pub(super) fn standing(entry: &Entry, settings: &Settings, late: bool) -> Option<Outcome> {
    let settled = entry.payment.carried_out();
    let unsaid = if late { Some(Outcome::Pending) } else { None };
    let decided = settings.ack == Ack::Decided;
    match entry.payment.phase {
        Phase::Preparing { .. } => unsaid,
        Phase::Deciding { decision: Decision::Commit, .. } => {
            let enough = decided || (late && settled != Parties::NONE);
            if enough { Some(Outcome::Committed) } else { unsaid }
        }
        Phase::Deciding { decision: Decision::Abort(reason), .. } => {
            let enough = decided || entry.refused || settled != Parties::NONE;
            if enough { Some(Outcome::Aborted(reason)) } else { unsaid }
        }
        Phase::Ended { decision: Decision::Commit } => Some(Outcome::Committed),
        Phase::Ended { decision: Decision::Abort(reason) } => Some(Outcome::Aborted(reason)),
    }
}

/// The answer that says `outcome`.
pub(super) fn answer(payment: GlobalId, entry: &Entry, outcome: Outcome, replayed: bool) -> Answer {
    let decided = outcome != Outcome::Pending;
    Answer {
        payment,
        reference: entry.reference,
        terms: entry.terms.clone(),
        outcome,
        replayed,
        lsn: if decided { entry.decided_lsn.get() } else { 0 },
        began_ms: entry.began_ms,
        decided_ms: if decided { entry.decided_ms } else { 0 },
    }
}
