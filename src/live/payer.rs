//! A client that remembers every answer that it was ever given, and holds the services to them.
//!
//! An id that was begun is asked about until it has a final answer, and every final answer for one
//! id must be the same. Refuses to know which process was killed meanwhile.

use crate::client::classify::CallError;
use crate::client::link::Link;
use crate::client::outbox::Draft;
use crate::client::session::{Credentials, Session, SessionError};
use crate::client::token::TokenFile;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Party, Service};
use crate::tls;
use crate::wire::v1::{PaymentResponse, PaymentState};
use recovery::model::{AccountNumber, Currency};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Of one call. A service that is stopped does not answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// What each of the demo's clients has at first.
const OPENING_MINOR: i64 = 1_000_000;

/// What was heard for a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    Committed {
        lsn: u64,
        replayed: bool,
    },
    Aborted {
        reason: String,
        lsn: u64,
        replayed: bool,
    },
    Pending,
    /// No outcome, by the gateway's own word.
    Refused {
        reason: String,
        field: Option<String>,
    },
    /// It may have arrived.
    Unknown(String),
    NotSent(String),
}

impl Heard {
    fn of(response: &PaymentResponse) -> Self {
        let PaymentResponse { reason, lsn, replayed, .. } = response.clone();
        match response.state() {
            PaymentState::Committed => Self::Committed { lsn, replayed },
            PaymentState::Aborted => Self::Aborted { reason, lsn, replayed },
            PaymentState::Pending | PaymentState::Unspecified => Self::Pending,
        }
    }

    fn failed(error: SessionError) -> Self {
        match error {
            SessionError::Call(CallError::Answered(refusal)) => {
                Self::Refused { reason: refusal.reason, field: refusal.field }
            }
            SessionError::Call(CallError::OutcomeUnknown { detail }) => Self::Unknown(detail),
            SessionError::Call(CallError::NotSent { detail }) => Self::NotSent(detail),
            // Signing in goes before the call, which was then not made.
            other => Self::NotSent(other.to_string()),
        }
    }

    pub fn is_final(&self) -> bool {
        matches!(self, Self::Committed { .. } | Self::Aborted { .. })
    }

    pub fn is_committed(&self) -> bool {
        matches!(self, Self::Committed { .. })
    }

    /// Was it said to be an answer that was given before?
    pub fn is_replayed(&self) -> bool {
        matches!(
            self,
            Self::Committed { replayed: true, .. } | Self::Aborted { replayed: true, .. }
        )
    }

    /// The same, as if it had been heard at first.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let mut same = self.clone();
        if let Self::Committed { replayed, .. } | Self::Aborted { replayed, .. } = &mut same {
            *replayed = false;
        }
        same
    }

    /// The same, wherever in a log it stands.
    fn unnumbered(&self) -> Self {
        let mut same = self.afresh();
        if let Self::Committed { lsn, .. } | Self::Aborted { lsn, .. } = &mut same {
            *lsn = 0;
        }
        same
    }

    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed { .. } => "COMMITTED",
            Self::Aborted { .. } => "ABORTED",
            Self::Pending => "PENDING",
            Self::Refused { .. } => "REFUSED",
            Self::Unknown(_) => "UNKNOWN",
            Self::NotSent(_) => "NOT_SENT",
        }
    }
}

/// A payment that was asked for, and all that was ever heard of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub payee: u32,
    pub amount_minor: i64,
    pub heard: Vec<Heard>,
    /// What a gateway said of it whose log was lost, but for the number in that log.
    before: Option<Heard>,
}

impl Asked {
    /// The answer, once there is one. All final answers are alike, or this is a defect.
    pub fn answer(&self) -> Option<&Heard> {
        self.heard.iter().find(|heard| heard.is_final())
    }
}

/// An account at a record of its bank's journal.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Balance {
    pub posted_minor: i64,
    pub held_minor: i64,
    pub as_of_lsn: u64,
}

/// The account of the demo's clientN.
pub fn account(number: u32) -> AccountNumber {
    format!("1000000000{number:04}").parse().expect("fourteen digits")
}

/// clientN of the demo, signed in when it first calls.
#[derive(Debug)]
pub struct Payer {
    number: u32,
    session: Session,
    asked: BTreeMap<String, Asked>,
    runtime: Runtime,
}

impl Payer {
    /// Calls the gateway wherever it says that it runs.
    pub fn new(home: &Home, number: u32) -> Result<Self, Failure> {
        let banks = crate::config::DEFAULT_BANKS;
        Self::at(home, number, banks[(number as usize + banks.len() - 1) % banks.len()])
    }

    /// A client with the user name, the password and the account of its number, at any bank.
    pub fn at(home: &Home, number: u32, bank: &str) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::unexpected("start a runtime", &error))?;
        let client = format!("client{number}").parse().expect("a client id");
        let place = home.clone();
        let dial = move || {
            let running = place.last_run(Service::Gateway);
            let running = running
                .ok_or_else(|| Failure::plain(Exit::Unreachable, "the gateway does not run"))?;
            tls::to_gateway(&place, Party::Client, &running.address)
        };
        let who = Credentials {
            client,
            username: Some(format!("user{number}")),
            password: Some(SecretString::from(format!("pass{number}"))),
            bank: Some(bank.to_owned()),
        };
        let token = format!("drill-{}", rand::random::<u32>());
        let file = TokenFile::new(home.client(client).join(token));
        let session = Session::new(Link::new(Arc::new(dial), CALL_TIMEOUT), who, file);
        Ok(Self { number, session, asked: BTreeMap::new(), runtime })
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn asked(&self) -> &BTreeMap<String, Asked> {
        &self.asked
    }

    fn draft(id: &str, payee: u32, amount_minor: i64) -> Draft {
        Draft {
            id: id.parse().expect("a transaction id"),
            payee: account(payee),
            amount: amount_minor.try_into().expect("an amount"),
            currency: Currency::INR,
            memo: "drill".parse().expect("a memo"),
        }
    }

    /// One call, remembered.
    pub fn pay(&mut self, id: &str, payee: u32, amount_minor: i64) -> Heard {
        self.pay_at_once(id, payee, amount_minor, 1).remove(0)
    }

    /// `copies` of one call at the same time, all remembered.
    pub fn pay_at_once(
        &mut self,
        id: &str,
        payee: u32,
        amount_minor: i64,
        copies: usize,
    ) -> Vec<Heard> {
        let draft = Self::draft(id, payee, amount_minor);
        let calls = (0..copies).map(|_| self.session.pay(&draft));
        let heard = self.runtime.block_on(futures_util::future::join_all(calls));
        let heard: Vec<_> = heard
            .into_iter()
            .map(|result| result.map_or_else(Heard::failed, |response| Heard::of(&response)))
            .collect();
        let asked = Asked { payee, amount_minor, heard: Vec::new(), before: None };
        let asked = self.asked.entry(id.to_owned()).or_insert(asked);
        asked.heard.extend(heard.iter().cloned());
        heard
    }

    /// What the gateway says of `id` when it is asked, and not told to pay.
    pub fn ask(&mut self, id: &str) -> Heard {
        let result = self.runtime.block_on(self.session.payment(id));
        let heard = result.map_or_else(Heard::failed, |response| Heard::of(&response));
        if let Some(asked) = self.asked.get_mut(id) {
            asked.heard.push(heard.clone());
        }
        heard
    }

    /// What is on the account, by its bank's word; `None` while it cannot be asked.
    pub fn balance(&mut self) -> Option<Balance> {
        let told = self.runtime.block_on(self.session.balance());
        told.ok().map(|told| Balance {
            posted_minor: told.balance_minor,
            held_minor: told.held_minor,
            as_of_lsn: told.as_of_lsn,
        })
    }

    /// What is posted on it.
    pub fn balance_minor(&mut self) -> Option<i64> {
        self.balance().map(|balance| balance.posted_minor)
    }

    /// Asks for every id again until each has a final answer, and once more. Fails when an answer
    /// was taken back, or none comes.
    pub fn settle(&mut self, within: Duration) -> Result<(), Failure> {
        let until = Instant::now() + within;
        let all: Vec<_> =
            self.asked.iter().map(|(id, asked)| (id.clone(), asked.clone())).collect();
        for (id, asked) in all {
            while !self.pay(&id, asked.payee, asked.amount_minor).is_final() {
                if Instant::now() >= until {
                    let last = self.asked[&id].heard.last().cloned();
                    let what = format!("payment {id} has no final answer; the last is {last:?}");
                    return Err(Failure::plain(Exit::Damaged, what));
                }
                std::thread::sleep(PAUSE);
            }
            let again = self.pay(&id, asked.payee, asked.amount_minor);
            let asked_only = self.ask(&id);
            for heard in [&again, &asked_only] {
                if !heard.is_replayed() {
                    let what = format!("payment {id} is over, and a retry heard {heard:?}");
                    return Err(Failure::plain(Exit::Damaged, what));
                }
            }
        }
        self.consistent()
    }

    /// The gateway's log was made again: what it answers stands, under new numbers.
    pub fn renumbered(&mut self) {
        for asked in self.asked.values_mut() {
            let answer = asked.answer().map(Heard::unnumbered);
            asked.before = asked.before.take().or(answer);
            asked.heard.clear();
        }
    }

    /// All final answers for one id are equal.
    pub fn consistent(&self) -> Result<(), Failure> {
        for (id, asked) in &self.asked {
            let mut answers = asked.heard.iter().filter(|heard| heard.is_final());
            let first = answers.next().map(Heard::afresh);
            let now = first.as_ref().map(Heard::unnumbered);
            let anew = asked.heard.iter().any(|heard| heard.is_final() && !heard.is_replayed());
            if now.is_some() && asked.before.is_some() && (anew || asked.before != now) {
                let what = format!("payment {id} was answered {:?}; now {first:?}", asked.before);
                return Err(Failure::plain(Exit::Damaged, what));
            }
            if let Some(other) = answers.find(|heard| Some(heard.afresh()) != first) {
                let what = format!("payment {id} was answered {first:?}, and then {other:?}");
                return Err(Failure::plain(Exit::Damaged, what));
            }
        }
        Ok(())
    }
}

/// What must be on the accounts of all who paid or were paid, by the answers alone: no log is
/// believed.
pub fn expected_minor(payers: &[&Payer]) -> BTreeMap<u32, i64> {
    let mut expected = BTreeMap::new();
    for payer in payers {
        expected.entry(payer.number).or_insert(OPENING_MINOR);
        for asked in payer.asked.values() {
            let committed = asked.answer().is_some_and(Heard::is_committed);
            let moved = if committed { asked.amount_minor } else { 0 };
            *expected.entry(payer.number).or_insert(OPENING_MINOR) -= moved;
            *expected.entry(asked.payee).or_insert(OPENING_MINOR) += moved;
        }
    }
    expected
}
