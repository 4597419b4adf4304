//! Payments that are not over, with the evidence of every log: what is decided, who holds what, and
//! what is safe.
//!
//! Reads files and asks nobody. A payment that is stuck is never forced here. What is decided is
//! told until it is done, and a bank that never comes back is made again from the gateway's log,
//! which settles everything that waits for it without a guess.

use super::Source;
use super::fold::{Folded, State};
use super::source::services;
use super::words::state_word;
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Service};
use recovery::gateway::{self, Entry};
use recovery::model::{BankName, Decision, GlobalId, HoldState};
use recovery::payment::Phase;
use serde::Serialize;
use std::collections::BTreeMap;

/// A payment and all that is known of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InDoubt {
    pub payment: String,
    pub client_id: String,
    pub transaction_id: String,
    pub amount_minor: i64,
    pub currency_code: String,
    pub age_ms: u64,
    /// `COMMIT`, `ABORT`, or `null` while there is none.
    pub decision: Option<&'static str>,
    /// The record that fixed it.
    pub lsn: Option<u64>,
    /// Banks that have not said that they are done, or have not voted.
    pub waiting_for: Vec<String>,
    /// What each log says.
    pub evidence: Vec<Evidence>,
    /// Set aside at the payer's bank.
    pub held_minor: i64,
    /// Posted at one bank and not at another.
    pub mixed: bool,
    /// The only safe thing, in words.
    pub safe: String,
    /// The commands that do it, where waiting does not.
    pub next: Vec<String>,
    /// What could go wrong if somebody forced it, in words.
    pub at_risk: String,
}

/// One bank's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Evidence {
    pub bank: String,
    /// `HELD`, `POSTED`, `RELEASED`, `REFUSED (...)`, `UNKNOWN`; `null` if its log cannot be read.
    pub state: Option<String>,
    pub lsn: Option<u64>,
    /// Does it run?
    pub up: bool,
    /// Why its log could not be read.
    pub problem: String,
}

struct Banks {
    states: BTreeMap<BankName, Result<Folded, String>>,
    up: BTreeMap<BankName, bool>,
}

/// Every payment that the gateway's log does not say is over, oldest first, as of `now_ms`.
pub fn all(home: &Home, now_ms: u64) -> Result<Vec<InDoubt>, Failure> {
    let banks = Banks::read(home);
    let state = gateway_state(home)?;
    let open = state.open.iter().filter_map(|payment| {
        Some(tell(&state, *payment, state.payments.get(payment)?, &banks, now_ms))
    });
    Ok(open.collect())
}

/// The one that `id` names, and whether it is over.
pub fn one(home: &Home, id: &str, now_ms: u64) -> Result<(InDoubt, bool), Failure> {
    let banks = Banks::read(home);
    let state = gateway_state(home)?;
    let matches = |(payment, entry): &(&GlobalId, &Entry)| {
        payment.to_string() == id
            || entry.reference.to_string() == id
            || entry.reference.transaction.as_str() == id
    };
    let found: Vec<_> = state.payments.iter().filter(matches).collect();
    match found[..] {
        [] => {
            let what = format!("the gateway's log knows no payment {id}");
            Err(Failure::new(Reason::PaymentNotFound, what))
        }
        [(payment, entry)] => Ok((tell(&state, *payment, entry, &banks, now_ms), entry.is_over())),
        _ => {
            let named =
                found.iter().map(|(payment, entry)| format!("{payment} ({})", entry.reference));
            let named: Vec<_> = named.take(20).collect();
            Err(Failure::plain(Exit::Usage, format!("{id} names {} payments", found.len()))
                .todo(format!("Name one of them: {}", named.join(", "))))
        }
    }
}

fn gateway_state(home: &Home) -> Result<gateway::State, Failure> {
    let source = Source::find(home, Some("gateway"))?;
    match Folded::at(&source, None)?.state {
        State::Gateway(replay) => Ok(replay.state),
        State::Bank(_) => Err(source.unreadable("it is a bank's journal")),
    }
}

impl Banks {
    /// Before the gateway's log, so that it is ahead of what they say.
    fn read(home: &Home) -> Self {
        let mut banks = Self { states: BTreeMap::new(), up: BTreeMap::new() };
        for service in services(home) {
            let Service::Bank(name) = service else { continue };
            let folded = Source::of(home, service).and_then(|source| Folded::at(&source, None));
            banks.states.insert(name, folded.map_err(|failure| failure.what));
            banks.up.insert(name, home.running(service).is_some());
        }
        banks
    }

    fn evidence(&self, bank: BankName, payment: GlobalId) -> Evidence {
        let mut evidence = Evidence {
            bank: bank.to_string(),
            state: None,
            lsn: None,
            up: self.up.get(&bank).copied().unwrap_or(false),
            problem: String::new(),
        };
        match self.states.get(&bank) {
            None => "its journal is not there".clone_into(&mut evidence.problem),
            Some(Err(why)) => evidence.problem.clone_from(why),
            Some(Ok(folded)) => {
                let State::Bank(replay) = &folded.state else { return evidence };
                let forgotten = replay.state.is_forgotten(payment);
                let state = state_word(replay.state.hold_state(payment));
                evidence.state = Some(if forgotten { "FORGOTTEN".to_owned() } else { state });
                evidence.lsn = replay.state.holds.get(&payment).map(|hold| hold.lsn.get());
            }
        }
        evidence
    }

    fn hold(&self, bank: BankName, payment: GlobalId) -> Option<HoldState> {
        match self.states.get(&bank)?.as_ref().ok()?.state {
            State::Bank(ref replay) => Some(replay.state.hold_state(payment)),
            State::Gateway(_) => None,
        }
    }
}

fn tell(
    state: &gateway::State,
    payment: GlobalId,
    entry: &Entry,
    banks: &Banks,
    now_ms: u64,
) -> InDoubt {
    let order = state.order(entry);
    let names: Vec<BankName> = order.participants().collect();
    let holds: Vec<_> = names.iter().map(|bank| banks.hold(*bank, payment)).collect();
    let posted = holds.iter().filter(|hold| **hold == Some(HoldState::Posted)).count();
    let awaited = entry.payment.awaited();
    let waiting: Vec<BankName> =
        awaited.iter().map(|party| state.bank(entry.bank(party)).name).collect();
    let amount = entry.terms.amount.minor();
    let held = banks.hold(order.payer_bank, payment) == Some(HoldState::Held);
    let lost = waiting.iter().find(|bank| banks.hold(**bank, payment).is_none()).copied();
    let (safe, next) = safe(entry, &waiting, lost);
    InDoubt {
        payment: payment.to_string(),
        client_id: entry.reference.client.to_string(),
        transaction_id: entry.reference.transaction.to_string(),
        amount_minor: amount,
        currency_code: entry.terms.currency.to_string(),
        age_ms: now_ms.saturating_sub(entry.began_ms),
        decision: entry.payment.decision().map(|decision| match decision {
            Decision::Commit => "COMMIT",
            Decision::Abort(_) => "ABORT",
        }),
        lsn: Some(entry.decided_lsn.get()).filter(|lsn| *lsn > 0),
        waiting_for: waiting.iter().map(ToString::to_string).collect(),
        evidence: names.iter().map(|bank| banks.evidence(*bank, payment)).collect(),
        held_minor: if held { amount } else { 0 },
        mixed: posted > 0 && posted < names.len(),
        safe,
        next,
        at_risk: at_risk(entry, posted),
    }
}

fn list(banks: &[BankName]) -> String {
    let names: Vec<&str> = banks.iter().map(BankName::as_str).collect();
    names.join(" and ")
}

/// `lost`: an awaited bank whose journal cannot be read.
fn safe(entry: &Entry, waiting: &[BankName], lost: Option<BankName>) -> (String, Vec<String>) {
    let banks = list(waiting);
    let again = |bank: BankName| {
        let path = format!("data/banks/{bank}");
        vec![
            "# stop everything, and keep what is left of it".to_owned(),
            format!("# mv {path} {path}.lost in the home, if it is there"),
            format!("strife rebuild bank {bank} --from-gateway"),
        ]
    };
    match (entry.payment.phase, lost) {
        (Phase::Ended { .. }, _) => ("nothing: it is over on all sides".to_owned(), Vec::new()),
        (Phase::Preparing { .. }, None) => (
            format!("wait: it is aborted once {banks} has answered, or has been heard again"),
            Vec::new(),
        ),
        (Phase::Preparing { .. }, Some(bank)) => (
            format!(
                "wait for {bank}; if it never comes back, make it again: its old vote is void \
                 then, and the payment aborts"
            ),
            again(bank),
        ),
        (Phase::Deciding { decision, .. }, lost) => {
            let word = if decision == Decision::Commit { "commit" } else { "abort" };
            match lost {
                None => {
                    let told = format!("wait: {word} is final and told until {banks} answers");
                    (told, Vec::new())
                }
                Some(bank) => (
                    format!(
                        "{word} is final; if {bank} never comes back, make it again: it then has \
                         carried that out"
                    ),
                    again(bank),
                ),
            }
        }
    }
}

fn at_risk(entry: &Entry, posted: usize) -> String {
    match entry.payment.phase {
        Phase::Ended { .. } => "nothing".to_owned(),
        Phase::Preparing { .. } => "forcing a commit pays without every bank's vote; forcing an \
             abort takes back what a bank may have posted, if this log has lost its decision"
            .to_owned(),
        Phase::Deciding { decision: Decision::Commit, .. } => format!(
            "aborting takes back what was promised for good{}",
            if posted > 0 { ", and is posted at one bank already" } else { "" }
        ),
        Phase::Deciding { decision: Decision::Abort(_), .. } => {
            "committing pays what the client was told is aborted".to_owned()
        }
    }
}
