//! Time travel: a service's state as it was at any record of its log, and two of those compared.
//!
//! The log is folded up to the point, by the function that a start folds it with. What a crash
//! there would have led to is [`recovery::resolve`]'s business; here it is put beside each payment.

use super::Source;
use super::fold::{Folded, State};
use super::moment::{Moment, shown};
use super::words::{Accounts, money, state_word};
use crate::errors::Failure;
use recovery::gateway::Entry;
use recovery::model::{Decision, HoldState};
use recovery::resolve::{self, Plan, Unfinished};
use recovery::{bank, gateway};
use serde::Serialize;
use std::collections::BTreeMap;

/// A service at one point of its log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Snapshot {
    pub log: String,
    /// `gateway` or `bank`.
    pub role: &'static str,
    /// The last record in it, and its stamp.
    pub at_lsn: u64,
    pub at_unix_ms: u64,
    pub epoch: u64,
    /// Did the last start stop in order?
    pub stopped: bool,
    pub in_doubt: Vec<Doubt>,
    /// A bank's.
    pub accounts: Vec<Account>,
    /// The idempotency map: what is answered under each id. At a bank, what is known of each
    /// payment.
    pub payments: Vec<Payment>,
}

/// A payment that is not over there, and what a restart from there does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Doubt {
    pub payment: String,
    pub client_id: String,
    pub transaction_id: String,
    pub amount_minor: i64,
    pub currency_code: String,
    pub since_unix_ms: u64,
    /// `abort-once-heard`, `tell-commit`, `tell-abort` or `keep-hold`.
    pub plan: &'static str,
    pub why: String,
    /// What it ends as, if the logs say no more than this: `COMMITTED`, `ABORTED`, or `UNKNOWN`
    /// where only the gateway can say.
    pub outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Account {
    pub account_number: String,
    pub client_id: String,
    pub balance_minor: i64,
    pub held_minor: i64,
    pub incoming_minor: i64,
    pub available_minor: i64,
    pub currency_code: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Payment {
    pub payment: String,
    /// `client_id/transaction_id`; empty at a bank that let go of it.
    pub reference: String,
    pub state: String,
    pub reason: String,
    pub amount_minor: Option<i64>,
    pub currency_code: String,
    /// Of the decision; of the bank's last record of it. 0 while undecided.
    pub lsn: u64,
}

/// A way in which two states differ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    pub what: String,
    /// `null`: not there.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The state of a log at `at`; without it, at its end.
pub fn state(source: &Source, at: Option<Moment>, accounts: Accounts) -> Result<Snapshot, Failure> {
    let folded = Folded::at(source, at)?;
    Ok(snapshot(&source.name, &folded.state, accounts))
}

/// What is true in `state`.
pub fn snapshot(log: &str, state: &State, accounts: Accounts) -> Snapshot {
    let (at_lsn, at_unix_ms) = (state.last().get(), state.last_ms());
    let base = Snapshot {
        log: log.to_owned(),
        role: "gateway",
        at_lsn,
        at_unix_ms,
        epoch: 0,
        stopped: false,
        in_doubt: Vec::new(),
        accounts: Vec::new(),
        payments: Vec::new(),
    };
    match state {
        State::Gateway(replay) => of_gateway(&replay.state, base),
        State::Bank(replay) => of_bank(&replay.state, base, accounts),
    }
}

fn of_gateway(state: &gateway::State, base: Snapshot) -> Snapshot {
    let payments = state.by_reference.iter().map(|(reference, payment)| {
        let entry = &state.payments[payment];
        let (word, reason) = outcome(entry);
        Payment {
            payment: payment.to_string(),
            reference: reference.to_string(),
            state: word.to_owned(),
            reason,
            amount_minor: Some(entry.terms.amount.minor()),
            currency_code: entry.terms.currency.to_string(),
            lsn: entry.decided_lsn.get(),
        }
    });
    Snapshot {
        epoch: state.epoch(),
        stopped: state.stopped,
        in_doubt: resolve::gateway(state).iter().map(Doubt::of).collect(),
        payments: payments.collect(),
        ..base
    }
}

fn outcome(entry: &Entry) -> (&'static str, String) {
    match entry.payment.decision() {
        None => ("PENDING", String::new()),
        Some(Decision::Commit) => ("COMMITTED", String::new()),
        Some(Decision::Abort(reason)) => ("ABORTED", reason.to_string()),
    }
}

fn of_bank(state: &bank::State, base: Snapshot, show: Accounts) -> Snapshot {
    let accounts = state.accounts.iter().map(|(number, account)| Account {
        account_number: show.show(*number),
        client_id: account.owner.to_string(),
        balance_minor: account.posted_minor,
        held_minor: account.held_minor,
        incoming_minor: account.incoming_minor,
        available_minor: account.available_minor(),
        currency_code: account.currency.to_string(),
    });
    let payments = state.holds.iter().map(|(payment, hold)| {
        let order = hold.order.as_ref();
        let reason = match hold.state {
            HoldState::Refused(reason) => reason.to_string(),
            HoldState::Unknown | HoldState::Held | HoldState::Posted | HoldState::Released => {
                String::new()
            }
        };
        let reference = order.map(|order| order.reference.to_string());
        Payment {
            payment: payment.to_string(),
            reference: reference.unwrap_or_default(),
            state: state_word(hold.state),
            reason,
            amount_minor: order.map(|order| order.terms.amount.minor()),
            currency_code: order.map(|it| it.terms.currency.to_string()).unwrap_or_default(),
            lsn: hold.lsn.get(),
        }
    });
    Snapshot {
        role: "bank",
        epoch: state.epoch(),
        stopped: state.stopped,
        in_doubt: resolve::bank(state).iter().map(Doubt::of).collect(),
        accounts: accounts.collect(),
        payments: payments.collect(),
        ..base
    }
}

impl Doubt {
    fn of(unfinished: &Unfinished) -> Self {
        Self {
            payment: unfinished.payment.to_string(),
            client_id: unfinished.reference.client.to_string(),
            transaction_id: unfinished.reference.transaction.to_string(),
            amount_minor: unfinished.terms.amount.minor(),
            currency_code: unfinished.terms.currency.to_string(),
            since_unix_ms: unfinished.since_ms,
            plan: unfinished.plan.name(),
            why: unfinished.plan.to_string(),
            outcome: match &unfinished.plan {
                Plan::AbortOnceHeard { .. } | Plan::TellAbort { .. } => "ABORTED",
                Plan::TellCommit { .. } => "COMMITTED",
                Plan::KeepHold { .. } => "UNKNOWN",
            },
        }
    }
}

impl Snapshot {
    /// Everything in it by name, for comparison.
    fn entries(&self) -> BTreeMap<String, String> {
        let mut entries = BTreeMap::new();
        entries.insert("epoch".to_owned(), self.epoch.to_string());
        for account in &self.accounts {
            let (balance, held) = (account.balance_minor, account.held_minor);
            let mut text = money(balance, &account.currency_code);
            if held != 0 {
                text = format!("{text}, {} held", money(held, &account.currency_code));
            }
            if account.incoming_minor != 0 {
                let incoming = money(account.incoming_minor, &account.currency_code);
                text = format!("{text}, {incoming} to come");
            }
            let what = format!("account {} of {}", account.account_number, account.client_id);
            entries.insert(what, text);
        }
        for payment in &self.payments {
            let reason = &payment.reason;
            let reason = if reason.is_empty() || payment.state.contains(reason) {
                String::new()
            } else {
                format!(" ({reason})")
            };
            let what = format!("payment {} {}", payment.payment, payment.reference);
            entries.insert(what.trim_end().to_owned(), format!("{}{reason}", payment.state));
        }
        for doubt in &self.in_doubt {
            let what =
                format!("in doubt {} {}/{}", doubt.payment, doubt.client_id, doubt.transaction_id);
            let sum = money(doubt.amount_minor, &doubt.currency_code);
            entries.insert(what, format!("{sum}, {}", doubt.plan));
        }
        entries
    }

    /// How `later` differs from this.
    pub fn differences(&self, later: &Self) -> Vec<Difference> {
        let (mut before, after) = (self.entries(), later.entries());
        let mut differences = Vec::new();
        for (what, after) in after {
            match before.remove(&what) {
                Some(before) if before == after => {}
                before => differences.push(Difference { what, before, after: Some(after) }),
            }
        }
        let gone = before.into_iter();
        differences.extend(gone.map(|(what, before)| Difference {
            what,
            before: Some(before),
            after: None,
        }));
        differences.sort_by(|a, b| a.what.cmp(&b.what));
        differences
    }

    /// The point, in words.
    pub fn place(&self) -> String {
        format!("record {} of {}, {} (UTC)", self.at_lsn, self.log, shown(self.at_unix_ms))
    }
}
