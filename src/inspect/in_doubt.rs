//! Payments that are not over, with the evidence of every bank and log: what is decided, who holds
//! what, what is safe, and what each choice could cost.
//!
//! A bank that runs is asked; of one that does not, the journal is read. Nothing is forced here.
//! What is decided is told until it is done, and a bank that never comes back is made again from
//! the gateway's log, which settles everything that waits for it without a guess.

mod choices;

pub use choices::Choice;

use super::Source;
use super::fold::{Folded, State};
use super::source::services;
use super::words::state_word;
use crate::errors::{Exit, Failure, Reason};
use crate::gateway::auditor;
use crate::home::{Home, Service};
use futures_util::future::join_all;
use recovery::bank;
use recovery::gateway::{self, Case, Entry};
use recovery::model::{BankName, Decision, GlobalId, HoldState};
use recovery::payment::Phase;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// What could be done, and what that would put at risk. Only waiting, once it is decided.
    pub choices: Vec<Choice>,
    /// What operators decided by hand, or asked for.
    pub case: Option<CaseTold>,
    /// When a bank that it waits for was last tried and will be tried next, by the gateway's own
    /// word; `null` where it was not asked or has none.
    pub last_try_unix_ms: Option<u64>,
    pub next_try_unix_ms: Option<u64>,
    /// Does it stand still, because recovery is paused? Likewise.
    pub held_up: Option<bool>,
}

/// A decision by hand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaseTold {
    /// `COMMIT` or `ABORT`.
    pub resolution: &'static str,
    pub why: String,
    pub asked_by: String,
    /// `null`: another admin has yet to approve, and nothing is decided.
    pub approved_by: Option<String>,
    /// Not every bank has said what it did.
    pub open: bool,
    /// Banks that did otherwise, each with what it did.
    pub differed: Vec<String>,
    /// What was moved wrongly, or wrongly not moved.
    pub wrong_minor: i64,
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
    /// Is this its own word, and not only what its journal says?
    pub asked: bool,
    /// Why its log could not be read.
    pub problem: String,
}

/// A bank's state, and where it is from.
struct Seen {
    known: Result<Box<bank::State>, String>,
    up: bool,
    asked: bool,
}

/// A bank that does not answer in this time is seen by its journal alone.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

struct Banks(BTreeMap<BankName, Seen>);

/// Every payment that the gateway's log does not say is over, oldest first, as of `now_ms`.
pub async fn all(home: &Home, now_ms: u64) -> Result<Vec<InDoubt>, Failure> {
    let banks = Banks::ask(home).await;
    let state = gateway_state(home)?;
    let open = state.open.iter().filter_map(|payment| {
        Some(tell(&state, *payment, state.payments.get(payment)?, &banks, now_ms))
    });
    Ok(open.collect())
}

/// The one that `id` names, and whether it is over.
pub async fn one(home: &Home, id: &str, now_ms: u64) -> Result<(InDoubt, bool), Failure> {
    let banks = Banks::ask(home).await;
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
    async fn ask(home: &Home) -> Self {
        let names = services(home).into_iter().filter_map(|service| match service {
            Service::Bank(name) => Some(name),
            Service::Gateway | Service::Console => None,
        });
        let seen = names.map(|name| async move { (name, Seen::of(home, name).await) });
        Self(join_all(seen).await.into_iter().collect())
    }

    fn evidence(&self, bank: BankName, payment: GlobalId) -> Evidence {
        let mut evidence = Evidence {
            bank: bank.to_string(),
            state: None,
            lsn: None,
            up: false,
            asked: false,
            problem: "its journal is not there".to_owned(),
        };
        let Some(seen) = self.0.get(&bank) else { return evidence };
        (evidence.up, evidence.asked) = (seen.up, seen.asked);
        match &seen.known {
            Err(why) => evidence.problem.clone_from(why),
            Ok(state) => {
                evidence.problem.clear();
                let word = state_word(state.hold_state(payment));
                let forgotten = state.is_forgotten(payment);
                evidence.state = Some(if forgotten { "FORGOTTEN".to_owned() } else { word });
                let lsn = state.holds.get(&payment).map(|hold| hold.lsn.get());
                evidence.lsn = lsn.filter(|lsn| *lsn > 0);
            }
        }
        evidence
    }

    fn hold(&self, bank: BankName, payment: GlobalId) -> Option<HoldState> {
        let state = self.0.get(&bank)?.known.as_ref().ok()?;
        Some(state.hold_state(payment))
    }
}

impl Seen {
    async fn of(home: &Home, name: BankName) -> Self {
        let service = Service::Bank(name);
        let running = home.running(service);
        let up = running.is_some();
        if let Some(running) = running
            && let asked = auditor::ask(home, name, &running.address)
            && let Ok(Ok(state)) = tokio::time::timeout(ASK_TIMEOUT, asked).await
        {
            return Self { known: Ok(Box::new(state)), up, asked: true };
        }
        let folded = Source::of(home, service).and_then(|source| Folded::at(&source, None));
        let known = match folded.map(|folded| folded.state) {
            Ok(State::Bank(replay)) => Ok(Box::new(replay.state)),
            Ok(State::Gateway(_)) => Err("it is a gateway's log".to_owned()),
            Err(failure) => Err(failure.what),
        };
        Self { known, up, asked: false }
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
    let known: Vec<_> = names.iter().map(|bank| (*bank, banks.hold(*bank, payment))).collect();
    let posted = known.iter().filter(|(_, hold)| *hold == Some(HoldState::Posted)).count();
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
        decision: entry.payment.decision().map(decision_word),
        lsn: Some(entry.decided_lsn.get()).filter(|lsn| *lsn > 0),
        waiting_for: waiting.iter().map(ToString::to_string).collect(),
        evidence: names.iter().map(|bank| banks.evidence(*bank, payment)).collect(),
        held_minor: if held { amount } else { 0 },
        mixed: posted > 0 && posted < names.len(),
        safe,
        next,
        choices: choices(entry, &known),
        case: state.cases.get(&payment).map(|case| case_told(case, amount)),
        last_try_unix_ms: None,
        next_try_unix_ms: None,
        held_up: None,
    }
}

fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Commit => "COMMIT",
        Decision::Abort(_) => "ABORT",
    }
}

fn case_told(case: &Case, amount: i64) -> CaseTold {
    let differed = case.differed.iter();
    let differed: Vec<_> =
        differed.map(|(bank, state)| format!("{bank} {}", state_word(*state))).collect();
    CaseTold {
        resolution: decision_word(case.decision),
        why: case.why.as_str().to_owned(),
        asked_by: case.asked_by.to_string(),
        approved_by: case.approved.map(|(by, _)| by.to_string()),
        open: case.closed_ms.is_none(),
        wrong_minor: if differed.is_empty() { 0 } else { amount },
        differed,
    }
}

fn choices(entry: &Entry, known: &[(BankName, Option<HoldState>)]) -> Vec<Choice> {
    let wait = |why: &str| vec![Choice { choice: "wait", at_risk_minor: 0, why: why.to_owned() }];
    match entry.payment.phase {
        Phase::Ended { .. } => Vec::new(),
        Phase::Preparing { .. } => choices::undecided(known, entry.terms.amount.minor()),
        Phase::Deciding { .. } => wait("it is decided, and a decision is final: nothing to choose"),
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
