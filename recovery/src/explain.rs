//! One payment as a space-time diagram, from all logs that saw it. Pure.
//!
//! ```text
//!   entries of the gateway and of the banks  -->  who did what in which order  -->  text, Mermaid
//! ```
//!
//! The logs were written by different clocks, so the order is that of causes: within a log the
//! numbers of its records, between logs the messages that must have passed (a hold comes after the
//! payment began, a posting after the decision). Stamps only break ties, and where an effect is
//! stamped before its cause, the clocks differ by at least that much, and it is said.
//!
//! A log says nothing of messages that were lost or sent again. What is drawn between two lanes is
//! the message without which the record at its end would not be there.

mod draw;
mod order;

pub use draw::{mermaid, text};

use crate::fact::{BankFact, GatewayFact};
use crate::model::{BankName, Decision, GlobalId, HoldState, Order, Reason, Vote};
use crate::record::AnyFact;
use wal::Lsn;

/// Whose time line it is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    Client,
    Gateway,
    Bank(BankName),
}

/// One record of a log that has to do with the payment: its own, or a start or stop of the service
/// while it was under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub lane: Lane,
    pub lsn: Lsn,
    /// By that service's clock.
    pub wall_ms: u64,
    pub fact: AnyFact,
}

/// Something that happened, on one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Happened {
    pub lane: Lane,
    pub lsn: Lsn,
    pub wall_ms: u64,
    /// The fact's name.
    pub kind: &'static str,
    /// In a few words.
    pub words: String,
    /// The service waited for the disk before it went on.
    pub forced: bool,
    /// The moment from which the outcome is fixed.
    pub commit_point: bool,
}

/// A message that must have passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub from: Lane,
    pub to: Lane,
    pub words: String,
}

/// A line of the diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Happened(Happened),
    Message(Message),
}

/// How long a bank had promised and did not know.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Window {
    pub bank: BankName,
    /// Stamps of its own clock, of the hold and of the outcome; `None` while it lasts.
    pub from_ms: u64,
    pub to_ms: Option<u64>,
}

impl Window {
    /// Milliseconds, once it is over. A clock that stepped back makes it zero.
    pub fn lasted_ms(&self) -> Option<u64> {
        self.to_ms.map(|to_ms| to_ms.saturating_sub(self.from_ms))
    }
}

/// A service that was started while the payment was under way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Restart {
    pub lane: Lane,
    pub epoch: u64,
    pub lsn: Lsn,
    pub wall_ms: u64,
}

/// What became of it, as far as the logs that were read say.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// No decision is in them.
    Undecided,
    Committed,
    Aborted(Reason),
}

/// One payment, explained.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    pub payment: GlobalId,
    pub order: Option<Order>,
    pub outcome: Outcome,
    /// The record that fixed it, and its stamp.
    pub decided: Option<(Lsn, u64)>,
    /// Client, gateway, and the banks, payer's first.
    pub lanes: Vec<Lane>,
    pub steps: Vec<Step>,
    pub windows: Vec<Window>,
    pub restarts: Vec<Restart>,
    /// Decisions and questions that a restart repeated.
    pub retries: u64,
    /// The gateway says that all is done.
    pub ended: bool,
    /// What is odd, in sentences.
    pub remarks: Vec<String>,
}

/// Tells `payment` from `entries`, each log's in its order.
pub fn explain(payment: GlobalId, entries: Vec<Entry>) -> Explanation {
    let order = entries.iter().find_map(order_of);
    let mut told = Explanation {
        payment,
        lanes: lanes(order.as_ref(), &entries),
        order,
        outcome: Outcome::Undecided,
        decided: None,
        steps: Vec::new(),
        windows: Vec::new(),
        restarts: Vec::new(),
        retries: 0,
        ended: false,
        remarks: Vec::new(),
    };
    let entries = trimmed(entries);
    told.facts(&entries);
    let (ordered, skew_ms) = order::by_causes(entries);
    if skew_ms > 0 {
        told.remarks.push(format!(
            "An effect is stamped {skew_ms} ms before its cause: the clocks differ by that much."
        ));
    }
    told.draw(&ordered);
    told.judge();
    told
}

fn order_of(entry: &Entry) -> Option<Order> {
    match &entry.fact {
        AnyFact::Gateway(GatewayFact::Began(fact)) => Some(fact.order.clone()),
        AnyFact::Bank(BankFact::Held(fact)) => Some(fact.order.clone()),
        AnyFact::Gateway(_) | AnyFact::Bank(_) => None,
    }
}

fn lanes(order: Option<&Order>, entries: &[Entry]) -> Vec<Lane> {
    let mut lanes = vec![Lane::Client, Lane::Gateway];
    lanes.extend(order.iter().flat_map(|order| order.participants().map(Lane::Bank)));
    for entry in entries.iter().filter(|entry| !is_life(&entry.fact)) {
        if !lanes.contains(&entry.lane) {
            lanes.push(entry.lane);
        }
    }
    lanes
}

/// A start or a stop: of the service, and not of the payment.
fn is_life(fact: &AnyFact) -> bool {
    matches!(
        fact,
        AnyFact::Gateway(GatewayFact::Started(_) | GatewayFact::Stopped(_))
            | AnyFact::Bank(BankFact::BankStarted(_) | BankFact::BankStopped(_))
    )
}

/// Leaves out the starts and stops before the payment reached a log and after it was over there.
fn trimmed(entries: Vec<Entry>) -> Vec<Entry> {
    let own = |lane: Lane| {
        entries.iter().filter(move |entry| entry.lane == lane && !is_life(&entry.fact))
    };
    let keeps = |entry: &Entry| {
        let first = own(entry.lane).map(|own| own.lsn).min();
        let over = own(entry.lane).filter(|own| is_over(&own.fact)).map(|own| own.lsn).min();
        !is_life(&entry.fact)
            || first.is_some_and(|first| first < entry.lsn)
                && over.is_none_or(|over| entry.lsn < over)
    };
    let kept: Vec<bool> = entries.iter().map(keeps).collect();
    entries.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(entry, _)| entry).collect()
}

/// Nothing more of the payment can follow in that log.
fn is_over(fact: &AnyFact) -> bool {
    match fact {
        AnyFact::Gateway(fact) => matches!(fact, GatewayFact::Ended(_)),
        AnyFact::Bank(fact) => matches!(
            fact,
            BankFact::Posted(_)
                | BankFact::Released(_)
                | BankFact::Refused(_)
                | BankFact::Tombstoned(_)
        ),
    }
}

impl Explanation {
    fn facts(&mut self, entries: &[Entry]) {
        for entry in entries {
            match &entry.fact {
                AnyFact::Gateway(fact) => self.gateway_fact(entry, fact),
                AnyFact::Bank(fact) => self.bank_fact(entry, fact),
            }
        }
    }

    fn gateway_fact(&mut self, entry: &Entry, fact: &GatewayFact) {
        match fact {
            GatewayFact::Decided(fact) => self.decide(entry, fact.decision),
            GatewayFact::HeuristicDecided(fact) => {
                self.decide(entry, fact.decision);
                self.remarks.push(format!(
                    "HEURISTIC: {} asked for it and {} approved: \"{}\".",
                    fact.asked_by,
                    fact.approved_by,
                    fact.why.as_str()
                ));
            }
            GatewayFact::HeuristicDiffered(fact) => self.remarks.push(format!(
                "HEURISTIC, MIXED: {} is {}, which is not what was decided by hand.",
                fact.bank,
                state_word(fact.state)
            )),
            GatewayFact::Ended(_) => self.ended = true,
            GatewayFact::Started(fact) => self.restart(entry, fact.epoch),
            _ => {}
        }
    }

    fn decide(&mut self, entry: &Entry, decision: Decision) {
        self.decided = Some((entry.lsn, entry.wall_ms));
        self.outcome = match decision {
            Decision::Commit => Outcome::Committed,
            Decision::Abort(reason) => Outcome::Aborted(reason),
        };
    }

    fn bank_fact(&mut self, entry: &Entry, fact: &BankFact) {
        let Lane::Bank(bank) = entry.lane else { return };
        match fact {
            BankFact::Held(_) => {
                self.windows.push(Window { bank, from_ms: entry.wall_ms, to_ms: None });
            }
            BankFact::Posted(_) | BankFact::Released(_) => {
                let open = self.windows.iter_mut().find(|it| it.bank == bank && it.to_ms.is_none());
                if let Some(window) = open {
                    window.to_ms = Some(entry.wall_ms);
                }
            }
            BankFact::BankStarted(fact) => self.restart(entry, fact.epoch),
            _ => {}
        }
    }

    fn restart(&mut self, entry: &Entry, epoch: u64) {
        let Entry { lane, lsn, wall_ms, .. } = *entry;
        self.restarts.push(Restart { lane, epoch, lsn, wall_ms });
    }

    /// Puts each message before the record that it led to.
    fn draw(&mut self, ordered: &[Entry]) {
        if let Some(order) = &self.order {
            let words = format!("pay {}", order.terms.amount);
            self.message(Lane::Client, Lane::Gateway, words);
        }
        let banks: Vec<Lane> =
            self.lanes.iter().copied().filter(|lane| matches!(lane, Lane::Bank(_))).collect();
        for entry in ordered {
            let lane = entry.lane;
            match &entry.fact {
                AnyFact::Bank(BankFact::Held(_) | BankFact::Refused(_)) => {
                    self.message(Lane::Gateway, lane, "prepare".to_owned());
                }
                AnyFact::Bank(BankFact::Posted(_)) => {
                    self.message(Lane::Gateway, lane, "commit".to_owned());
                }
                AnyFact::Bank(BankFact::Released(_) | BankFact::Tombstoned(_)) => {
                    self.message(Lane::Gateway, lane, "abort".to_owned());
                }
                AnyFact::Gateway(GatewayFact::Voted(fact)) => {
                    let words = match fact.vote {
                        Vote::Ready => "ready",
                        Vote::Refused(_) => "refused",
                    };
                    self.message(Lane::Bank(fact.bank), Lane::Gateway, words.to_owned());
                }
                AnyFact::Gateway(GatewayFact::HeuristicDiffered(fact)) => {
                    let words = state_word(fact.state).to_owned();
                    self.message(Lane::Bank(fact.bank), Lane::Gateway, words);
                }
                AnyFact::Gateway(GatewayFact::Settled(fact)) => {
                    self.message(Lane::Bank(fact.bank), Lane::Gateway, "done".to_owned());
                }
                AnyFact::Gateway(GatewayFact::Started(_)) => {
                    // Open payments are asked for, or told, again.
                    self.retries += banks.len() as u64;
                }
                AnyFact::Gateway(_) | AnyFact::Bank(_) => {}
            }
            self.steps.push(Step::Happened(happened(entry)));
            if let AnyFact::Gateway(GatewayFact::Ended(_)) = entry.fact {
                self.answer();
            }
        }
    }

    fn answer(&mut self) {
        let words = match self.outcome {
            Outcome::Undecided => return,
            Outcome::Committed => "COMMITTED".to_owned(),
            Outcome::Aborted(_) => "ABORTED".to_owned(),
        };
        self.message(Lane::Gateway, Lane::Client, words);
    }

    fn message(&mut self, from: Lane, to: Lane, words: String) {
        self.steps.push(Step::Message(Message { from, to, words }));
    }

    /// What a reader should not have to find out alone.
    fn judge(&mut self) {
        for window in &self.windows {
            if window.to_ms.is_none() {
                self.remarks.push(format!(
                    "{} has promised and does not know the outcome: the money stays set aside \
                     until the gateway says.",
                    window.bank
                ));
            }
        }
        if self.decided.is_none() {
            self.remarks.push(
                "No decision is in the logs that were read: a restart of the gateway aborts it \
                 once every bank has been heard."
                    .to_owned(),
            );
        } else if !self.ended {
            self.remarks.push(
                "It is decided for good, and not every bank has said that it is done.".into(),
            );
        }
    }
}

fn happened(entry: &Entry) -> Happened {
    let (kind, words, forced) = match &entry.fact {
        AnyFact::Gateway(fact) => gateway_words(fact),
        AnyFact::Bank(fact) => bank_words(fact),
    };
    let commit_point = matches!(
        entry.fact,
        AnyFact::Gateway(GatewayFact::Decided(_) | GatewayFact::HeuristicDecided(_))
    );
    let Entry { lane, lsn, wall_ms, .. } = *entry;
    Happened { lane, lsn, wall_ms, kind, words, forced, commit_point }
}

fn gateway_words(fact: &GatewayFact) -> (&'static str, String, bool) {
    use crate::record::Fact;
    let kind = fact.name();
    match fact {
        GatewayFact::Voted(fact) => (kind, format!("{} {}", kind, fact.bank), false),
        GatewayFact::Decided(fact) => match fact.decision {
            Decision::Commit => (kind, "Decided COMMIT".to_owned(), true),
            Decision::Abort(reason) => (kind, format!("Decided ABORT {reason}"), true),
        },
        GatewayFact::HeuristicDecided(fact) => match fact.decision {
            Decision::Commit => (kind, "HEURISTIC COMMIT".to_owned(), true),
            Decision::Abort(_) => (kind, "HEURISTIC ABORT".to_owned(), true),
        },
        GatewayFact::HeuristicDiffered(fact) => {
            (kind, format!("HEURISTIC {} differs", fact.bank), false)
        }
        GatewayFact::Settled(fact) => (kind, format!("{} {}", kind, fact.bank), false),
        GatewayFact::Started(fact) => (kind, format!("started, epoch {}", fact.epoch), true),
        GatewayFact::Stopped(_) => (kind, "stopped".to_owned(), true),
        _ => (kind, kind.to_owned(), false),
    }
}

fn bank_words(fact: &BankFact) -> (&'static str, String, bool) {
    use crate::record::Fact;
    let kind = fact.name();
    match fact {
        BankFact::Refused(fact) => (kind, format!("Refused {}", fact.reason), true),
        BankFact::HeuristicObeyed(_) => (kind, "HEURISTIC".to_owned(), true),
        BankFact::BankStarted(fact) => (kind, format!("started, epoch {}", fact.epoch), true),
        BankFact::BankStopped(_) => (kind, "stopped".to_owned(), true),
        _ => (kind, kind.to_owned(), true),
    }
}

/// A state that a bank can report of a payment, in a word.
pub fn state_word(state: HoldState) -> &'static str {
    match state {
        HoldState::Unknown => "unknown",
        HoldState::Held => "held",
        HoldState::Posted => "posted",
        HoldState::Released => "released",
        HoldState::Refused(_) => "refused",
    }
}
