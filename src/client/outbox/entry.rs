//! One payment on its way, as the outbox keeps it.
//!
//! ```text
//!            begin                answer
//!   new ------------> sending --------------> final ---> (told) gone
//!    ^                 |   |                    ^
//!    '-- never left ---'   '-- no answer --> unknown -- begin --> sending
//! ```
//!
//! A killed process leaves its entry in `sending`, which counts as unknown: what is not known to
//! have stayed here may have moved money. Once an attempt may have left, no later attempt that
//! never left makes the entry `new` again.
//!
//! Refuses to know files, clocks and the network.

use recovery::model::{AccountNumber, Amount, Currency, Memo, TransactionId};
use serde::{Deserialize, Serialize};

/// What a person asked for: the id and the parameters that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub id: TransactionId,
    pub payee: AccountNumber,
    pub amount: Amount,
    pub currency: Currency,
    pub memo: Memo,
}

impl Draft {
    /// The first field, by its name on the wire, in which `other` differs.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.payee != other.payee {
            Some("recipient_account_number")
        } else if self.amount != other.amount {
            Some("amount_minor")
        } else if self.currency != other.currency {
            Some("currency_code")
        } else if self.memo != other.memo {
            Some("memo")
        } else {
            None
        }
    }
}

/// Who is sending an entry, and since when.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub pid: u32,
    pub since_unix_ms: u64,
}

/// How an entry ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub end: End,
    /// UPPER_SNAKE; empty for a payment that went through.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
    /// Of the decision in the gateway's log; 0 when there was none.
    pub lsn: u64,
    pub replayed: bool,
}

/// The three ends: two outcomes, and a request that the gateway will never take.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum End {
    Committed,
    Aborted,
    Refused,
}

/// A draft and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub draft: Draft,
    pub saved_unix_ms: u64,
    /// Completed attempts.
    pub attempts: u32,
    /// An earlier attempt may have reached the gateway.
    pub may_have_left: bool,
    /// The attempt under way, or left behind by a process that was killed.
    pub sending: Option<Attempt>,
    pub outcome: Option<Outcome>,
    /// Why the last attempt was not the last.
    pub note: String,
}

/// Where an entry stands, for a person.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    New,
    Sending,
    Unknown,
    Final,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Final => "final",
        }
    }
}

impl Entry {
    pub fn new(draft: Draft, saved_unix_ms: u64) -> Self {
        Self {
            draft,
            saved_unix_ms,
            attempts: 0,
            may_have_left: false,
            sending: None,
            outcome: None,
            note: String::new(),
        }
    }

    pub fn stage(&self) -> Stage {
        match (&self.outcome, self.sending, self.may_have_left) {
            (Some(_), _, _) => Stage::Final,
            (None, Some(_), _) => Stage::Sending,
            (None, None, true) => Stage::Unknown,
            (None, None, false) => Stage::New,
        }
    }

    /// False only when no attempt can have left this machine, or the outcome says that no money
    /// moved.
    pub fn may_have_moved(&self) -> bool {
        match &self.outcome {
            Some(outcome) => outcome.end == End::Committed,
            None => self.may_have_left || self.sending.is_some(),
        }
    }

    /// The attempt begins. One that was under way and never ended may have left.
    pub fn begin(&mut self, attempt: Attempt) {
        self.may_have_left |= self.sending.is_some();
        self.sending = Some(attempt);
    }

    /// The attempt is over without an outcome.
    pub fn postpone(&mut self, left: bool, note: &str) {
        self.may_have_left |= left;
        self.sending = None;
        self.attempts = self.attempts.saturating_add(1);
        note.clone_into(&mut self.note);
    }

    pub fn settle(&mut self, outcome: Outcome) {
        self.sending = None;
        self.attempts = self.attempts.saturating_add(1);
        self.outcome = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let draft = Draft {
            id: "tx-1".parse().expect("an id"),
            payee: "10000000000002".parse().expect("an account"),
            amount: "250".parse().expect("an amount"),
            currency: Currency::INR,
            memo: Memo::default(),
        };
        Entry::new(draft, 1)
    }

    const ATTEMPT: Attempt = Attempt { pid: 7, since_unix_ms: 2 };

    #[test]
    fn an_attempt_that_never_left_keeps_an_entry_new() {
        let mut entry = entry();
        entry.begin(ATTEMPT);
        assert_eq!((entry.stage(), entry.may_have_moved()), (Stage::Sending, true));
        entry.postpone(false, "connection refused");
        assert_eq!((entry.stage(), entry.may_have_moved()), (Stage::New, false));
    }

    #[test]
    fn an_attempt_that_may_have_left_is_never_forgotten() {
        let mut entry = entry();
        entry.begin(ATTEMPT);
        entry.postpone(true, "broken pipe");
        entry.begin(ATTEMPT);
        entry.postpone(false, "connection refused");
        assert_eq!((entry.stage(), entry.may_have_moved()), (Stage::Unknown, true));
    }

    #[test]
    fn an_attempt_cut_short_by_a_kill_counts_as_one_that_left() {
        let mut entry = entry();
        entry.begin(ATTEMPT);
        entry.begin(Attempt { pid: 8, since_unix_ms: 9 });
        entry.postpone(false, "connection refused");
        assert_eq!(entry.stage(), Stage::Unknown);
    }

    #[test]
    fn an_entry_survives_its_own_writing() {
        let mut entry = entry();
        entry.begin(ATTEMPT);
        let text = serde_json::to_string(&entry).expect("json");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("entry"), entry);
    }
}
