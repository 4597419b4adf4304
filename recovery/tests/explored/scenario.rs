//! What is explored: who pays whom, and how much may go wrong on one path.

use recovery::drill::Mutant;
use recovery::fact::{self, BankFact, GatewayFact};
use recovery::gateway::{self, Ack};
use recovery::model::{
    AccountNumber, BankName, Cluster, Currency, Lineage, Memo, Reference, Terms,
};
use recovery::witness::Written;
use recovery::{bank, step::Now};
use wal::Lsn;

pub(super) const BANKS: usize = 2;
const OPENING_MINOR: i64 = 100;
/// Every deadline of a payment; retries and inquiries wait for nothing.
pub(super) const WAIT_MS: u64 = 10;
pub(super) const BEGINNING_MS: u64 = 1;

/// The accounts: two at the first bank, one at the second.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum At {
    First,
    FirstToo,
    Second,
}

impl At {
    const ALL: [Self; 3] = [Self::First, Self::FirstToo, Self::Second];

    pub(super) fn bank(self) -> usize {
        usize::from(self == Self::Second)
    }

    pub(super) fn number(self) -> AccountNumber {
        AccountNumber::try_from(10 + self as u64).expect("an account")
    }
}

/// A client's call. Two with one id are one payment, asked for twice.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: u8,
    pub(crate) from: At,
    pub(crate) to: At,
    pub(crate) amount: i64,
}

/// How much may go wrong on one path, each wherever it likes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Budget {
    /// A process dies and starts again, with any part of what it had not synced.
    pub(crate) crashes: u8,
    /// A message is lost.
    pub(crate) losses: u8,
    /// A message arrives, and will arrive again.
    pub(crate) copies: u8,
    /// The gateway's clock passes every deadline.
    pub(crate) timeouts: u8,
    /// What was not answered is said again while messages are under way. Once none are, it is said
    /// again at no charge.
    pub(crate) retries: u8,
    /// A connection to a bank breaks, and nobody dies.
    pub(crate) cuts: u8,
    /// A bank asks about its holds.
    pub(crate) inquiries: u8,
    /// Two operators decide a payment by hand, one way or the other, when they may.
    pub(crate) forces: u8,
}

impl Budget {
    pub(crate) const NOTHING: Self = Self {
        crashes: 0,
        losses: 0,
        copies: 0,
        timeouts: 0,
        retries: 0,
        cuts: 0,
        inquiries: 0,
        forces: 0,
    };
}

/// How finely time is cut.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Grain {
    /// Every sync, every message of the greeting, every finding out that a line is gone is a step
    /// of its own, and every message says how far the speaker's log is durable.
    Fine,
    /// The same behaviour in fewer steps:
    ///
    /// - A bank says nothing before its sync. So one that dies with messages unsynced is one that
    ///   synced all it heard, and took with it any of the messages that were under way to it.
    /// - The gateway's sync shows only in what waits for it, so it comes when something does. A
    ///   crash keeps any part of the rest, or all.
    /// - A bank that wants its memory looked up writes nothing, and is answered at once.
    /// - A gateway that has not heard of a bank's death does what it might have done before.
    /// - A message says how far the speaker's log was durable when the speaker started: as true as
    ///   the latest figure. What a later figure is good for is a matter of lost logs, of which this
    ///   world has none; the simulation has.
    Coarse,
}

/// One small world with all that may happen in it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) calls: Vec<Call>,
    pub(crate) budget: Budget,
    pub(crate) ack: Ack,
    pub(crate) grain: Grain,
    /// Both banks have let the gateway in when it begins.
    pub(crate) greeted: bool,
    /// A rule of the protocol that is broken here.
    pub(crate) broken: Option<Mutant>,
    /// The search gives up beyond this: a bound on memory, not on what is shown.
    pub(crate) states_max: usize,
}

impl Scenario {
    pub(crate) fn new(calls: &[Call], budget: Budget) -> Self {
        let (calls, ack) = (calls.to_vec(), Ack::Settled);
        Self {
            calls,
            budget,
            ack,
            grain: Grain::Coarse,
            greeted: true,
            broken: None,
            states_max: 20_000_000,
        }
    }

    /// A broken rule must show by what comes of it, not by the message that breaks it.
    pub(super) fn judges_messages(&self) -> bool {
        self.broken.is_none()
    }

    pub(super) fn breaks(&self, mutant: Mutant) -> bool {
        self.broken == Some(mutant)
    }

    /// How far a log is said to be durable.
    pub(super) fn said(&self, durable: Lsn, starts: &[Written]) -> u64 {
        let started = starts.last().map_or(Lsn::ZERO, |written| written.first);
        match self.grain {
            Grain::Fine => durable.get(),
            Grain::Coarse => started.get(),
        }
    }

    pub(super) fn gateway_settings(&self) -> gateway::Settings {
        gateway::Settings {
            ack: self.ack,
            two_phase_timeout_ms: WAIT_MS,
            settle_wait_ms: WAIT_MS,
            retry_ms: 0,
            forget_ms: 0,
            ..gateway::Settings::default()
        }
    }

    pub(super) fn bank_settings() -> bank::Settings {
        bank::Settings { inquire_ms: 0, ..bank::Settings::default() }
    }

    pub(super) fn pay(&self, call: u8) -> gateway::Input {
        let Call { id, from, to, amount } = self.calls[usize::from(call)];
        let terms = Terms {
            payer: from.number(),
            payee: to.number(),
            amount: amount.try_into().expect("a positive amount"),
            currency: Currency::INR,
            memo: Memo::default(),
        };
        let (ticket, reference) = (call.into(), reference(id));
        gateway::Input::Pay { ticket, reference, terms, deadline_ms: None }
    }
}

pub(super) fn now(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: 0 }
}

pub(super) fn bank_name(bank: usize) -> BankName {
    ["HDFC", "ICICI"][bank].parse().expect("a bank")
}

pub(super) fn reference(id: u8) -> Reference {
    let transaction = format!("t{id}").parse().expect("an id");
    Reference { client: "client1".parse().expect("a client"), transaction }
}

const GATEWAY: Lineage = Lineage([1; 16]);
const CLUSTER: Cluster = Cluster([9; 16]);

fn lineage(bank: usize) -> Lineage {
    Lineage([20 + bank as u8; 16])
}

/// The gateway's log as `init` makes it.
pub(super) fn gateway_log() -> Vec<GatewayFact> {
    let mut facts = vec![fact::Initialised { cluster: CLUSTER, lineage: GATEWAY }.into()];
    for bank in 0..BANKS {
        let joined = fact::BankJoined { bank: bank_name(bank), lineage: Some(lineage(bank)) };
        facts.push(joined.into());
    }
    for at in At::ALL {
        let listed = fact::AccountListed {
            account: at.number(),
            bank: bank_name(at.bank()),
            owner: reference(0).client,
            currency: Currency::INR,
            opening_minor: OPENING_MINOR,
        };
        facts.push(listed.into());
    }
    facts
}

/// A bank's journal as `init` makes it.
pub(super) fn bank_log(bank: usize) -> Vec<BankFact> {
    let (cluster, lineage, gateway) = (CLUSTER, lineage(bank), GATEWAY);
    let founded = fact::Founded { cluster, lineage, bank: bank_name(bank), gateway };
    let accounts = At::ALL.into_iter().filter(|at| at.bank() == bank).map(|at| {
        let (owner, currency) = (reference(0).client, Currency::INR);
        let (account, opening_minor) = (at.number(), OPENING_MINOR);
        fact::AccountOpened { account, owner, currency, opening_minor }.into()
    });
    [founded.into()].into_iter().chain(accounts).collect()
}
