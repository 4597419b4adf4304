//! What a restart does to each unfinished payment, and why, in words.
//!
//! ```text
//!  gateway:  no decision        abort, once every participant has been heard in this epoch
//!            decided, unsettled tell the decision until all have settled
//!  bank:     held               keep the hold, and ask
//! ```
//!
//! This is a view of a state. The machines act by their own rules; a test holds the two together.

use crate::bank;
use crate::gateway;
use crate::model::{BankName, Decision, GlobalId, Reason, Reference, Terms};
use crate::payment::Phase;
use std::fmt;

/// What becomes of one payment that has not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unfinished {
    pub payment: GlobalId,
    pub reference: Reference,
    pub terms: Terms,
    /// Milliseconds since the Unix epoch, as the log stamped its beginning or its hold.
    pub since_ms: u64,
    pub plan: Plan,
}

/// What a restart does, in data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Plan {
    /// Gateway: no decision is in the log.
    AbortOnceHeard { participants: Vec<BankName>, ready: Vec<BankName> },
    /// Gateway: the commit is final.
    TellCommit { missing: Vec<BankName> },
    /// Gateway: the abort is final.
    TellAbort { missing: Vec<BankName>, reason: Reason },
    /// Bank: only the coordinator decides.
    KeepHold { participants: Vec<BankName> },
}

impl Plan {
    /// In one word, for tables and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AbortOnceHeard { .. } => "abort-once-heard",
            Self::TellCommit { .. } => "tell-commit",
            Self::TellAbort { .. } => "tell-abort",
            Self::KeepHold { .. } => "keep-hold",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AbortOnceHeard { participants, ready } => write!(
                f,
                "abort once {} heard: no decision is in the log and {}, so nobody was told commit",
                are(participants),
                if ready.is_empty() {
                    "no vote".to_owned()
                } else {
                    format!("no vote but of {}", list(ready))
                }
            ),
            Self::TellCommit { missing } => {
                let missing = list(missing);
                write!(f, "tell commit until {missing} answered: the decision is final")
            }
            Self::TellAbort { missing, reason } => {
                let missing = list(missing);
                write!(f, "tell abort ({reason}) until {missing} answered: the decision is final")
            }
            Self::KeepHold { participants } => write!(
                f,
                "keep the hold and ask the gateway: only it decides for {}",
                list(participants)
            ),
        }
    }
}

fn list(banks: &[BankName]) -> String {
    match banks {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(BankName::as_str).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}

fn are(banks: &[BankName]) -> String {
    format!("{} {}", list(banks), if banks.len() == 1 { "is" } else { "are" })
}

/// Every unfinished payment of a gateway, oldest first within its origin.
pub fn gateway(state: &gateway::State) -> Vec<Unfinished> {
    state.open.iter().filter_map(|payment| one(state, *payment)).collect()
}

fn one(state: &gateway::State, payment: GlobalId) -> Option<Unfinished> {
    let entry = state.payments.get(&payment)?;
    let names = |parties: crate::payment::Parties| -> Vec<BankName> {
        parties.iter().map(|party| state.bank(entry.bank(party)).name).collect()
    };
    let parties = entry.payment.parties;
    let plan = match entry.payment.phase {
        Phase::Preparing { ready } => {
            Plan::AbortOnceHeard { participants: names(parties), ready: names(ready) }
        }
        Phase::Deciding { decision: Decision::Commit, settled } => {
            Plan::TellCommit { missing: names(parties.without(settled)) }
        }
        Phase::Deciding { decision: Decision::Abort(reason), settled } => {
            Plan::TellAbort { missing: names(parties.without(settled)), reason }
        }
        Phase::Ended { .. } => return None,
    };
    let (reference, terms) = (entry.reference, entry.terms.clone());
    Some(Unfinished { payment, reference, terms, since_ms: entry.began_ms, plan })
}

/// Every hold of a bank whose outcome is not known there.
pub fn bank(state: &bank::State) -> Vec<Unfinished> {
    let holds = state.open.iter().filter_map(|payment| {
        let hold = state.holds.get(payment)?;
        let order = hold.order.as_ref()?;
        Some(Unfinished {
            payment: *payment,
            reference: order.reference,
            terms: order.terms.clone(),
            since_ms: hold.held_ms,
            plan: Plan::KeepHold { participants: order.participants().collect() },
        })
    });
    holds.collect()
}
