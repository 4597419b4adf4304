//! The gateway's log against the banks' journals, as files.
//!
//! Services may run meanwhile, so the logs are read at different instants:
//!
//! ```text
//!   banks (1)  -->  gateway  -->  banks (2)
//! ```
//!
//! Against (1) the gateway is ahead, against (2) it is behind. A lag shows in one comparison only,
//! so what both of them show is a disagreement. Where nothing runs, the two are the same.
//!
//! Refuses to believe a log that is damaged: that is said first, with file and offset.

pub(super) mod mirror;

use super::words::state_word;
use crate::config::Config;
use crate::errors::{Exit, Failure, chain};
use crate::gateway::auditor::{Auditor, Look, wrong};
use crate::home::{Home, Service};
use crate::tls::Keeper;
use recovery::audit::{self, Audit, Disagreement};
use recovery::model::{AccountNumber, Decision};
use recovery::replay::{Fold, Replay};
use recovery::{bank, gateway};
use serde::{Deserialize, Serialize};
use wal::Disk;
use wal::read::{Cursor, follow, survey};

/// What an audit of a home found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Findings {
    pub ok: bool,
    pub payments: u64,
    /// Not over on all sides.
    pub in_doubt: u64,
    /// Money set aside at the banks.
    pub holds: u64,
    pub disagreements: Vec<Found>,
    /// Decided by hand. What a bank did otherwise is no disagreement: all logs tell of it.
    pub heuristic: Vec<ByHand>,
    pub money: Money,
    /// How far the gateway's mirror has come; `null` where there is none to compare.
    pub mirror_lsn: Option<u64>,
    /// Banks that did not tell what they have, or have nothing to tell it with, with the reason.
    pub not_seen: Vec<String>,
    /// Foreign banks, whose books are their own, and banks not seen: nothing of them was compared.
    pub not_compared: Vec<NotCompared>,
}

/// What a bank must hold by the gateway's log alone, for whoever can ask it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NotCompared {
    pub bank: String,
    pub accounts: Vec<Expected>,
    /// Committed payments that it has not acknowledged: posted there or not.
    pub unacknowledged: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Expected {
    pub account_number: String,
    pub expected_minor: i128,
}

/// A payment that two operators decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ByHand {
    pub payment: String,
    /// `COMMIT` or `ABORT`.
    pub resolution: &'static str,
    pub asked_by: String,
    pub approved_by: String,
    /// Not every bank has said what it did.
    pub open: bool,
    /// Banks that did otherwise, each with what it did.
    pub differed: Vec<String>,
    /// Posted at one bank and not at the other.
    pub mixed: bool,
    /// What was moved wrongly, or wrongly not moved.
    pub wrong_minor: i64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Found {
    /// As the documents number it.
    pub invariant: &'static str,
    pub what: String,
    /// The side that is provably wrong, or both.
    pub wrong: String,
}

/// All posted balances, with what was posted on one side only put back, against all openings.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Money {
    pub expected_minor: i128,
    pub found_minor: i128,
}

impl Findings {
    /// Nothing is on its way any more.
    pub fn is_quiet(&self) -> bool {
        self.in_doubt == 0 && self.holds == 0
    }
}

/// A log, read as far as it goes.
struct Reader<S> {
    service: Service,
    disk: Disk,
    cursor: Cursor,
    replay: Replay<S>,
}

impl<S: Fold> Reader<S> {
    fn open(home: &Home, service: Service) -> Result<Self, Failure> {
        let disk = Disk::new(home.data(service));
        let seen = survey(&disk, None).map_err(|error| unreadable(service, &chain(&error)))?;
        if let Some(segment) = seen.first_unsound() {
            let place = format!("{}/{}", home.wal(service).display(), segment.name);
            return Err(unreadable(service, &format!("{place}: {:?}", segment.verdict)));
        }
        Ok(Self { service, disk, cursor: Cursor::default(), replay: Replay::default() })
    }

    fn catch_up(&mut self) -> Result<(), Failure> {
        let Self { disk, cursor, replay, .. } = self;
        follow(disk, cursor, |record, _| replay.record(&record))
            .map_err(|error| unreadable(self.service, &chain(&error)))
    }
}

fn unreadable(service: Service, why: &str) -> Failure {
    Failure::plain(Exit::Damaged, format!("the log of {service} cannot be read: {why}"))
        .money("Nothing was compared and nothing was changed.")
        .todo(format!("See what is damaged: strife wal verify {service}"))
}

/// Compares all logs of a home.
pub fn audit(home: &Home, config: &Config) -> Result<Findings, Failure> {
    let ours = config.banks.iter().filter(|(_, bank)| !bank.foreign);
    let mut banks = ours
        .map(|(name, _)| Reader::<bank::State>::open(home, Service::Bank(*name)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut gateway = Reader::<gateway::State>::open(home, Service::Gateway)?;
    banks.iter_mut().try_for_each(Reader::catch_up)?;
    let mirror = mirror::open(&home.database(Service::Gateway));
    gateway.catch_up()?;
    let compare = |gateway: &Reader<gateway::State>, banks: &[Reader<bank::State>]| {
        audit::audit(&gateway.replay.state, banks.iter().map(|bank| &bank.replay.state))
    };
    let mut seen = compare(&gateway, &banks);
    if !seen.disagreements.is_empty() {
        banks.iter_mut().try_for_each(Reader::catch_up)?;
        let later = compare(&gateway, &banks);
        seen.disagreements.retain(|found| later.disagreements.contains(found));
    }
    let mut findings = told(&seen);
    let compared = mirror::compare(mirror, &gateway.replay.state);
    findings.mirror_lsn = compared.applied_lsn;
    findings.ok &= compared.found.is_empty();
    findings.disagreements.extend(compared.found);
    Ok(findings)
}

/// The same beside running services: the banks are asked, over the wire, for what they have. The
/// gateway's log is read as a file, so this runs where the gateway does.
pub async fn online(home: &Home, config: &Config) -> Result<Findings, Failure> {
    let look = Auditor::new(home, config, &mut Keeper::new(home))?.look().await;
    let Look { audit, unseen } = look.map_err(|why| unreadable(Service::Gateway, &why))?;
    let mut findings = told(&audit);
    findings.not_seen = unseen.iter().map(|(bank, why)| format!("{bank}: {why}")).collect();
    Ok(findings)
}

fn told(seen: &Audit) -> Findings {
    let found = |disagreement: &Disagreement| Found {
        invariant: disagreement.invariant(),
        what: disagreement.to_string(),
        wrong: wrong(disagreement.wrong()),
    };
    let audit::Money { expected_minor, found_minor } = seen.money;
    Findings {
        ok: seen.disagreements.is_empty() && seen.money.delta_minor() == 0,
        payments: seen.payments,
        in_doubt: seen.in_doubt.len() as u64,
        holds: seen.holds,
        disagreements: seen.disagreements.iter().map(found).collect(),
        heuristic: seen.forced.iter().map(by_hand).collect(),
        money: Money { expected_minor, found_minor },
        mirror_lsn: None,
        not_seen: Vec::new(),
        not_compared: seen.unread.iter().map(not_compared).collect(),
    }
}

fn by_hand(forced: &audit::Forced) -> ByHand {
    let differed = forced.differed.iter();
    let differed = differed.map(|(bank, state)| format!("{bank} {}", state_word(*state)));
    ByHand {
        payment: forced.payment.to_string(),
        resolution: match forced.decision {
            Decision::Commit => "COMMIT",
            Decision::Abort(_) => "ABORT",
        },
        asked_by: forced.asked_by.to_string(),
        approved_by: forced.approved_by.to_string(),
        open: forced.open,
        differed: differed.collect(),
        mixed: forced.mixed,
        wrong_minor: forced.wrong_minor,
    }
}

fn not_compared(unread: &audit::Unread) -> NotCompared {
    let expected = |(account, minor): (&AccountNumber, &i128)| Expected {
        account_number: account.to_string(),
        expected_minor: *minor,
    };
    NotCompared {
        bank: unread.bank.to_string(),
        accounts: unread.accounts.iter().map(expected).collect(),
        unacknowledged: unread.unacknowledged,
    }
}
