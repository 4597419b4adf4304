//! Every start of a service: what it found in its log, what was in doubt, and what became of that.
//!
//! What was in doubt is folded from the log up to the start, and what became of it read from the
//! records behind. How long a start took is noted beside the log, and may be missing.

use super::Source;
use super::fold::{Folded, State};
use super::words::state_word;
use crate::errors::{Failure, chain};
use crate::journal::{Recovered, recoveries as noted};
use recovery::fact::{BankFact, GatewayFact};
use recovery::model::{Decision, GlobalId};
use recovery::record::{AnyFact, decode_any};
use recovery::resolve::{self, Unfinished};
use serde::Serialize;
use std::collections::BTreeMap;
use wal::read::{Cursor, FollowError, follow};

/// One start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Recovery {
    pub service: String,
    pub epoch: u64,
    pub lsn: u64,
    pub at_unix_ms: u64,
    pub version: String,
    /// The start before was stopped in order.
    pub after_a_clean_stop: bool,
    /// Records before this one.
    pub records: u64,
    /// `null` where it was not noted.
    pub took_ms: Option<u64>,
    pub torn_bytes: Option<u64>,
    pub unproven: Option<u64>,
    pub in_doubt: Vec<Settled>,
}

/// A payment that a start found unfinished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Settled {
    pub payment: String,
    pub client_id: String,
    pub transaction_id: String,
    pub amount_minor: i64,
    pub currency_code: String,
    pub plan: &'static str,
    pub why: String,
    /// What it became: `COMMITTED` or `ABORTED` at the gateway, `POSTED` or `RELEASED` at a bank.
    pub outcome: Option<String>,
    /// Milliseconds from the start to its end, by the service's clock.
    pub settled_ms: Option<u64>,
}

impl Settled {
    fn of(found: &Unfinished) -> Self {
        Self {
            payment: found.payment.to_string(),
            client_id: found.reference.client.to_string(),
            transaction_id: found.reference.transaction.to_string(),
            amount_minor: found.terms.amount.minor(),
            currency_code: found.terms.currency.to_string(),
            plan: found.plan.name(),
            why: found.plan.to_string(),
            outcome: None,
            settled_ms: None,
        }
    }
}

/// The starts so far, and where the payments stand that the last one found in doubt.
struct Reading {
    service: String,
    folded: Folded,
    noted: BTreeMap<u64, Recovered>,
    starts: Vec<Recovery>,
    /// Payments in doubt at any start, by the starts that found them so.
    open: BTreeMap<GlobalId, Vec<(usize, usize)>>,
}

/// All starts in a log, oldest first.
pub fn of(source: &Source) -> Result<Vec<Recovery>, Failure> {
    let noted = noted(&source.directory).into_iter().map(|one| (one.lsn, one)).collect();
    let service = source.name.clone();
    let folded = Folded::new(source);
    let (starts, open) = (Vec::new(), BTreeMap::new());
    let mut reading = Reading { service, folded, noted, starts, open };
    let followed = follow(&source.disk(), &mut Cursor::default(), |record, _| {
        if let Ok(fact) = decode_any(&record) {
            reading.fact(&fact, record.lsn.get(), record.wall_ms);
        }
        reading.folded.record(&record)
    });
    followed.map_err(|error| match error {
        FollowError::Visitor(why) => source.unreadable(&why),
        FollowError::Read(error) => source.unreadable(&chain(&error)),
        FollowError::Damaged(error) => source.unreadable(&chain(&error)),
    })?;
    Ok(reading.starts)
}

impl Reading {
    fn fact(&mut self, fact: &AnyFact, lsn: u64, wall_ms: u64) {
        match fact {
            AnyFact::Gateway(GatewayFact::Started(fact)) => {
                self.start(fact.epoch, &fact.version, lsn, wall_ms);
            }
            AnyFact::Bank(BankFact::BankStarted(fact)) => {
                self.start(fact.epoch, &fact.version, lsn, wall_ms);
            }
            AnyFact::Gateway(GatewayFact::Decided(fact)) => {
                let word = match fact.decision {
                    Decision::Commit => "COMMITTED".to_owned(),
                    Decision::Abort(reason) => format!("ABORTED ({reason})"),
                };
                self.became(fact.payment, &word);
            }
            AnyFact::Gateway(GatewayFact::HeuristicDecided(fact)) => {
                let word = match fact.decision {
                    Decision::Commit => "COMMITTED (HEURISTIC)",
                    Decision::Abort(_) => "ABORTED (HEURISTIC)",
                };
                self.became(fact.payment, word);
            }
            AnyFact::Gateway(GatewayFact::Ended(fact)) => self.over(fact.payment, wall_ms),
            AnyFact::Bank(BankFact::Posted(fact)) => {
                self.became(fact.payment, &state_word(recovery::model::HoldState::Posted));
                self.over(fact.payment, wall_ms);
            }
            AnyFact::Bank(BankFact::Released(fact)) => {
                self.became(fact.payment, &state_word(recovery::model::HoldState::Released));
                self.over(fact.payment, wall_ms);
            }
            AnyFact::Gateway(_) | AnyFact::Bank(_) => {}
        }
    }

    fn start(&mut self, epoch: u64, version: &str, lsn: u64, wall_ms: u64) {
        let (found, stopped, decided) = match &self.folded.state {
            State::Gateway(replay) => {
                let state = &replay.state;
                let decided = |payment: &GlobalId| state.payments.get(payment)?.payment.decision();
                let decided: Vec<_> = state.open.iter().map(decided).collect();
                (resolve::gateway(state), state.stopped, decided)
            }
            State::Bank(replay) => (resolve::bank(&replay.state), replay.state.stopped, Vec::new()),
        };
        let (at, mut in_doubt) = (self.starts.len(), Vec::new());
        for (place, unfinished) in found.iter().enumerate() {
            let mut settled = Settled::of(unfinished);
            settled.outcome =
                decided.get(place).copied().flatten().map(|decision| match decision {
                    Decision::Commit => "COMMITTED".to_owned(),
                    Decision::Abort(reason) => format!("ABORTED ({reason})"),
                });
            self.open.entry(unfinished.payment).or_default().push((at, place));
            in_doubt.push(settled);
        }
        let noted = self.noted.get(&lsn);
        self.starts.push(Recovery {
            service: self.service.clone(),
            epoch,
            lsn,
            at_unix_ms: wall_ms,
            version: version.to_owned(),
            after_a_clean_stop: stopped,
            records: lsn - 1,
            took_ms: noted.map(|noted| noted.took_ms),
            torn_bytes: noted.map(|noted| noted.torn_bytes),
            unproven: noted.map(|noted| noted.unproven),
            in_doubt,
        });
    }

    fn became(&mut self, payment: GlobalId, word: &str) {
        for (start, place) in self.open.get(&payment).into_iter().flatten() {
            self.starts[*start].in_doubt[*place].outcome = Some(word.to_owned());
        }
    }

    fn over(&mut self, payment: GlobalId, wall_ms: u64) {
        for (start, place) in self.open.remove(&payment).into_iter().flatten() {
            let began_ms = self.starts[start].at_unix_ms;
            self.starts[start].in_doubt[place].settled_ms = Some(wall_ms.saturating_sub(began_ms));
        }
    }
}
