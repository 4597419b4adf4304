//! What clients were told, against what the logs say, in linear time: answers carry versions.
//!
//! ```text
//!   answer  (outcome, lsn)      the gateway's log has decided just that, for just that id, there
//!   balance (minor, as_of_lsn)  the bank's journal, folded to that record, has just that
//!   time                        who asked after an answer was there is told no older version
//! ```
//!
//! Refuses to know who was killed, and to ask any service.

use super::payer::{Balance, Heard, account};
use crate::config::Config;
use crate::errors::{Exit, Failure, chain};
use crate::home::{Home, Service};
use recovery::bank;
use recovery::fact::{BankFact, GatewayFact};
use recovery::model::{AccountNumber, Decision, GlobalId, Order, Reference};
use recovery::record::{self, Fact};
use recovery::replay::Fold;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wal::{Disk, Lsn};

/// One call of a client, since the first client began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub client: u32,
    pub invoked: Duration,
    pub returned: Duration,
    pub told: Told,
}

/// What was asked, and what was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Payment { id: String, payee: u32, amount_minor: i64, heard: Heard },
    Balance(Balance),
}

/// How much was checked.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Checked {
    /// Final answers found in the gateway's log.
    pub answers: u64,
    /// Balances found in a bank's journal.
    pub balances: u64,
    /// Pairs of calls whose order in time is the order of their versions.
    pub in_order: u64,
}

fn broken(what: String) -> Failure {
    Failure::plain(Exit::Damaged, what)
}

/// Checks everything. All services must have stopped.
pub fn check(home: &Home, config: &Config, calls: &[Call]) -> Result<Checked, Failure> {
    let decided = Decided::read(home)?;
    decided.were_asked_for(calls)?;
    let mut checked = Checked::default();
    for call in calls {
        checked.answers += u64::from(decided.said(call)?);
    }
    let mut journals = BTreeMap::new();
    for bank in config.banks.keys() {
        journals.append(&mut versions(home, Service::Bank(*bank))?);
    }
    let mut by_account = BTreeMap::<u32, Vec<(Duration, Duration, u64)>>::new();
    let mut fresh = Vec::new();
    for call in calls {
        match &call.told {
            Told::Balance(balance) => {
                has_been(&journals, call.client, balance)?;
                checked.balances += 1;
                let seen = (call.invoked, call.returned, balance.as_of_lsn);
                by_account.entry(call.client).or_default().push(seen);
            }
            Told::Payment { heard, .. } => {
                if let Heard::Committed { lsn, replayed: false }
                | Heard::Aborted { lsn, replayed: false, .. } = heard
                {
                    fresh.push((call.invoked, call.returned, *lsn));
                }
            }
        }
    }
    checked.in_order += in_order(fresh, "a payment was decided", true)?;
    for (client, seen) in by_account {
        checked.in_order += in_order(seen, &format!("client{client} saw a balance"), false)?;
    }
    Ok(checked)
}

/// Whoever was asked after another had answered has a version that is not older; a newer one, where
/// each version is new.
fn in_order(
    mut calls: Vec<(Duration, Duration, u64)>,
    what: &str,
    strictly: bool,
) -> Result<u64, Failure> {
    let mut returned: Vec<_> = calls.iter().map(|(_, returned, lsn)| (*returned, *lsn)).collect();
    returned.sort_unstable();
    calls.sort_unstable();
    let (mut next, mut newest, mut compared) = (0, None, 0);
    for (invoked, _, lsn) in calls {
        while let Some((_, older)) = returned.get(next).filter(|(at, _)| *at < invoked) {
            newest = newest.max(Some(*older));
            next += 1;
        }
        let Some(newest) = newest else { continue };
        compared += 1;
        if lsn < newest || (strictly && lsn == newest) {
            return Err(broken(format!(
                "{what} at record {lsn}, asked for after record {newest} had been told"
            )));
        }
    }
    Ok(compared)
}

/// The gateway's log, as far as clients were told of it.
#[derive(Default)]
struct Decided {
    began: BTreeMap<GlobalId, Order>,
    by_lsn: BTreeMap<u64, (GlobalId, Decision)>,
}

impl Decided {
    fn read(home: &Home) -> Result<Self, Failure> {
        let mut decided = Self::default();
        let mut committed = BTreeSet::new();
        let mut twice = None;
        read(home, Service::Gateway, |fact: GatewayFact, lsn, _| match fact {
            GatewayFact::Began(fact) => drop(decided.began.insert(fact.payment, fact.order)),
            GatewayFact::Decided(fact) => {
                decided.by_lsn.insert(lsn.get(), (fact.payment, fact.decision));
                let reference = decided.began.get(&fact.payment).map(|order| order.reference);
                if fact.decision == Decision::Commit && !committed.insert(reference) {
                    twice = reference;
                }
            }
            _ => {}
        })?;
        twice.map_or(Ok(decided), |reference| Err(broken(format!("{reference} commits twice"))))
    }

    /// Is a final answer what the log has at that place?
    fn said(&self, call: &Call) -> Result<bool, Failure> {
        let Told::Payment { id, payee, amount_minor, heard } = &call.told else {
            return Ok(false);
        };
        let (lsn, committed) = match heard {
            Heard::Committed { lsn, .. } => (*lsn, true),
            Heard::Aborted { lsn, .. } => (*lsn, false),
            _ => return Ok(false),
        };
        let lies = |why: &str| broken(format!("{id} was told {heard:?}, and {why}"));
        let (payment, decision) =
            self.by_lsn.get(&lsn).ok_or_else(|| lies("nothing was decided at that record"))?;
        let order = self.began.get(payment).ok_or_else(|| lies("it was never begun"))?;
        if order.reference != reference(call.client, id)? {
            return Err(lies("that record is about another payment"));
        }
        if order.terms.payee != account(*payee) || order.terms.amount.minor() != *amount_minor {
            return Err(lies("the log has other terms"));
        }
        let same = (*decision == Decision::Commit) == committed;
        if same { Ok(true) } else { Err(lies("the log has the opposite")) }
    }

    /// Every payment in the log was sent by a client, with those parameters.
    fn were_asked_for(&self, calls: &[Call]) -> Result<(), Failure> {
        let mut asked = BTreeSet::new();
        for call in calls {
            if let Told::Payment { id, payee, amount_minor, .. } = &call.told {
                asked.insert((reference(call.client, id)?, account(*payee), *amount_minor));
            }
        }
        let unasked = self.began.values().find(|order| {
            let terms = &order.terms;
            !asked.contains(&(order.reference, terms.payee, terms.amount.minor()))
        });
        match unasked {
            None => Ok(()),
            Some(order) => {
                let reference = order.reference;
                Err(broken(format!("{reference} was begun, and nobody asked for it like that")))
            }
        }
    }
}

fn reference(client: u32, id: &str) -> Result<Reference, Failure> {
    let parsed = format!("client{client}").parse().ok().zip(id.parse().ok());
    let (client, transaction) = parsed.ok_or_else(|| broken(format!("{id:?} is no id")))?;
    Ok(Reference { client, transaction })
}

/// Each account of a bank after every record that changed it: posted and held.
type Versions = BTreeMap<AccountNumber, BTreeMap<u64, (i64, i64)>>;

fn versions(home: &Home, service: Service) -> Result<Versions, Failure> {
    let mut state = bank::State::default();
    let (mut versions, mut wrong) = (Versions::new(), None);
    read(home, service, |fact: BankFact, lsn, wall_ms| {
        if let Err(illegal) = state.evolve(&fact, lsn, wall_ms) {
            wrong.get_or_insert(illegal);
        }
        for (number, kept) in &state.accounts {
            let now = (kept.posted_minor, kept.held_minor);
            let versions = versions.entry(*number).or_default();
            if versions.last_key_value().is_none_or(|(_, last)| *last != now) {
                versions.insert(lsn.get(), now);
            }
        }
    })?;
    wrong.map_or(Ok(versions), |illegal| Err(broken(illegal.to_string())))
}

fn has_been(journals: &Versions, client: u32, told: &Balance) -> Result<(), Failure> {
    let versions = journals.get(&account(client));
    let at = versions.and_then(|versions| versions.range(..=told.as_of_lsn).next_back());
    let found = at.map(|(_, found)| *found);
    if found == Some((told.posted_minor, told.held_minor)) {
        return Ok(());
    }
    let what = format!("client{client} was told {told:?}; its journal has {found:?} there");
    Err(broken(what))
}

fn read<F: Fact>(
    home: &Home,
    service: Service,
    mut visit: impl FnMut(F, Lsn, u64),
) -> Result<(), Failure> {
    let mut cursor = wal::read::Cursor::default();
    let disk = Disk::new(home.data(service));
    let read = wal::read::follow(&disk, &mut cursor, |record, _| {
        visit(record::decode(&record)?, record.lsn, record.wall_ms);
        Ok::<_, record::DecodeError>(())
    });
    read.map_err(|error| broken(format!("the log of {service} cannot be read: {}", chain(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(invoked: u64, returned: u64, lsn: u64) -> (Duration, Duration, u64) {
        (Duration::from_millis(invoked), Duration::from_millis(returned), lsn)
    }

    #[test]
    fn an_older_version_told_later_is_found() {
        let good = vec![at(0, 10, 5), at(3, 20, 4), at(11, 30, 6)];
        assert_eq!(in_order(good.clone(), "it", true).expect("in order"), 1);
        let stale = [good.clone(), vec![at(31, 40, 5)]].concat();
        assert!(in_order(stale, "it", false).is_err());
        let same = [good, vec![at(31, 40, 6)]].concat();
        assert!(in_order(same.clone(), "it", true).is_err());
        assert!(in_order(same, "it", false).is_ok());
    }
}
