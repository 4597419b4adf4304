//! One payment, found in every log that saw it.
//!
//! The gateway's log is read first: it knows the client's ids. A bank's holds say them too, so that
//! a payment is found where the gateway's log is lost. Refuses to guess which payment was meant.

use super::Source;
use super::line::{self, Line, Names};
use super::moment::shown;
use super::source::services;
use super::words::{Accounts, money};
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Service};
use recovery::explain::{self, Entry, Explanation, Lane, Outcome, Step};
use recovery::fact::{BankFact, GatewayFact};
use recovery::model::{GlobalId, Reference};
use recovery::record::{AnyFact, decode_any};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wal::read::Cursor;

/// Candidates told one by one.
const CANDIDATES_MAX: usize = 20;

/// What an explanation rests on.
#[derive(Debug)]
pub struct Found {
    pub told: Explanation,
    /// The logs that were read.
    pub logs: Vec<String>,
    /// Those that could not be, and why.
    pub unread: Vec<String>,
}

/// What one log says of the payments that match.
#[derive(Default)]
struct Seen {
    /// Whose payment each is; `None` where only its global id is known.
    payments: BTreeMap<GlobalId, Option<Reference>>,
    entries: Vec<(Option<GlobalId>, Entry)>,
}

/// Explains the payment that `id` names: a transaction id, `client_id/transaction_id`, or a global
/// id. Reads `logs`, or those of the home where none are named.
pub fn find(home: &Home, id: &str, logs: &[String]) -> Result<Found, Failure> {
    let mut unread = Vec::new();
    let sources: Vec<Source> = if logs.is_empty() {
        let all = services(home).into_iter().map(|service| Source::of(home, service));
        let mut sources = Vec::new();
        for source in all {
            match source {
                Ok(source) => sources.push(source),
                Err(failure) => unread.push(failure.what),
            }
        }
        sources
    } else {
        let named = logs.iter().map(|log| Source::find(home, Some(log)));
        named.collect::<Result<_, _>>()?
    };
    let is_gateway = |source: &&Source| source.service == Some(Service::Gateway);
    let (gateways, banks): (Vec<_>, Vec<_>) = sources.iter().partition(is_gateway);
    let mut seen = Seen::default();
    for source in gateways.into_iter().chain(banks) {
        if let Err(failure) = seen.read(source, id) {
            unread.push(failure.what);
        }
    }
    let payment = seen.only(id, &unread)?;
    let own = |of: &Option<GlobalId>| of.is_none_or(|of| of == payment);
    let entries = seen.entries.into_iter().filter(|(of, _)| own(of)).map(|(_, entry)| entry);
    let told = explain::explain(payment, entries.collect());
    let logs = sources.iter().map(|source| source.name.clone()).collect();
    Ok(Found { told, logs, unread })
}

impl Seen {
    fn read(&mut self, source: &Source, id: &str) -> Result<(), Failure> {
        let lane = match source.service {
            Some(Service::Bank(bank)) => Lane::Bank(bank),
            Some(Service::Gateway | Service::Console) | None => Lane::Gateway,
        };
        let mut names = Names::default();
        source.follow(&mut Cursor::default(), |record, position| {
            let line = Line::read(&record, &position, &mut names, Accounts::Masked);
            let Ok(fact) = decode_any(&record) else { return Ok(()) };
            let payment = line.global();
            match payment {
                Some(payment) if line.is_of(id) || self.payments.contains_key(&payment) => {
                    let known = self.payments.entry(payment).or_default();
                    *known = known.or(reference(&fact));
                }
                None if is_life(&fact) => {}
                Some(_) | None => return Ok(()),
            }
            let entry = Entry { lane, lsn: record.lsn, wall_ms: record.wall_ms, fact };
            self.entries.push((payment, entry));
            Ok(())
        })
    }

    fn only(&self, id: &str, unread: &[String]) -> Result<GlobalId, Failure> {
        let mut payments = self.payments.iter();
        match (payments.next(), self.payments.len()) {
            (Some((payment, _)), 1) => Ok(*payment),
            (Some(_), count) => {
                let told = self.payments.iter().take(CANDIDATES_MAX).map(|(payment, reference)| {
                    let reference = reference.map(|reference| format!(" ({reference})"));
                    format!("{payment}{}", reference.unwrap_or_default())
                });
                let what = format!("{id} names {count} payments");
                let told: Vec<String> = told.collect();
                Err(Failure::plain(Exit::Usage, what)
                    .todo(format!("Name one of them: {}", told.join(", "))))
            }
            (None, _) if unread.is_empty() => Err(Failure::new(
                Reason::PaymentNotFound,
                format!("no log that was read knows a payment {id}"),
            )),
            (None, _) => {
                let what = format!("{id} is not found, and not every log could be read");
                Err(Failure::plain(Exit::Damaged, format!("{what}: {}", unread.join("; ")))
                    .todo("See what is damaged: strife wal verify"))
            }
        }
    }
}

fn reference(fact: &AnyFact) -> Option<Reference> {
    match fact {
        AnyFact::Gateway(GatewayFact::Began(fact)) => Some(fact.order.reference),
        AnyFact::Bank(BankFact::Held(fact)) => Some(fact.order.reference),
        AnyFact::Bank(BankFact::Refused(fact)) => Some(fact.reference),
        AnyFact::Gateway(_) | AnyFact::Bank(_) => None,
    }
}

fn is_life(fact: &AnyFact) -> bool {
    matches!(line::name(fact), "Started" | "Stopped" | "BankStarted" | "BankStopped")
}

fn lane(lane: Lane) -> String {
    match lane {
        Lane::Client => "client".to_owned(),
        Lane::Gateway => "gateway".to_owned(),
        Lane::Bank(bank) => bank.to_string(),
    }
}

fn outcome(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Undecided => ("PENDING", String::new()),
        Outcome::Committed => ("COMMITTED", String::new()),
        Outcome::Aborted(reason) => ("ABORTED", reason.to_string()),
    }
}

/// All of it, for programs.
pub fn json(found: &Found, accounts: Accounts) -> Value {
    let told = &found.told;
    let (state, reason) = outcome(told.outcome);
    let order = told.order.as_ref();
    let steps = told.steps.iter().map(|step| match step {
        Step::Happened(it) => json!({
            "at": lane(it.lane), "lsn": it.lsn.get(), "wall_ms": it.wall_ms, "kind": it.kind,
            "words": it.words, "forced": it.forced, "commit_point": it.commit_point,
        }),
        Step::Message(it) => {
            json!({"from": lane(it.from), "to": lane(it.to), "message": it.words})
        }
    });
    let windows = told.windows.iter().map(|window| {
        json!({"bank": window.bank.as_str(), "from_unix_ms": window.from_ms,
               "to_unix_ms": window.to_ms, "uncertain_ms": window.lasted_ms()})
    });
    let restarts = told.restarts.iter().map(|it| {
        json!({"service": lane(it.lane), "epoch": it.epoch, "lsn": it.lsn.get(),
               "wall_ms": it.wall_ms})
    });
    json!({
        "payment": told.payment.to_string(),
        "client_id": order.map(|order| order.reference.client.to_string()),
        "transaction_id": order.map(|order| order.reference.transaction.to_string()),
        "state": state,
        "reason": reason,
        "amount_minor": order.map(|order| order.terms.amount.minor()),
        "currency_code": order.map(|order| order.terms.currency.to_string()),
        "payer_account_number": order.map(|order| accounts.show(order.terms.payer)),
        "recipient_account_number": order.map(|order| accounts.show(order.terms.payee)),
        "lsn": told.decided.map(|(lsn, _)| lsn.get()),
        "decided_unix_ms": told.decided.map(|(_, ms)| ms),
        "ended": told.ended,
        "lanes": told.lanes.iter().copied().map(lane).collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
        "uncertainty": windows.collect::<Vec<_>>(),
        "restarts": restarts.collect::<Vec<_>>(),
        "retries": told.retries,
        "remarks": told.remarks,
        "logs": found.logs,
        "unread": found.unread,
    })
}

/// All of it, for people.
pub fn text(found: &Found, accounts: Accounts) -> String {
    use std::fmt::Write;
    let told = &found.told;
    let (state, reason) = outcome(told.outcome);
    let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
    let mut text = format!("{}  {state}{reason}\n", told.payment);
    if let Some(order) = &told.order {
        let _ = writeln!(
            text,
            "{}  {} from {} ({}) to {} ({})",
            order.reference,
            money(order.terms.amount.minor(), order.terms.currency),
            accounts.show(order.terms.payer),
            order.payer_bank,
            accounts.show(order.terms.payee),
            order.payee_bank,
        );
    }
    let _ = write!(text, "\n{}\n", explain::text(told));
    text.push_str("[record what]   * synced before the service went on\n\n");
    if let Some((lsn, ms)) = told.decided {
        let _ = writeln!(text, "fixed       by record {lsn} of the gateway, {} (UTC)", shown(ms));
    }
    for window in &told.windows {
        let lasted = window.lasted_ms().map_or("still".to_owned(), |ms| format!("{ms} ms"));
        let _ = writeln!(text, "uncertain   {}: {lasted}", window.bank);
    }
    for restart in &told.restarts {
        let (who, at) = (lane(restart.lane), shown(restart.wall_ms));
        let _ = writeln!(text, "restarted   {who}, epoch {}, {at} (UTC)", restart.epoch);
    }
    if told.retries > 0 {
        let _ = writeln!(text, "asked again {} times at least, by restarts", told.retries);
    }
    for remark in &told.remarks {
        let _ = writeln!(text, "note        {remark}");
    }
    for unread in &found.unread {
        let _ = writeln!(text, "not read    {unread}");
    }
    text
}
