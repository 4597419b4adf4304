//! The coordinator of one payment, as arithmetic.
//!
//! Nothing here can wait, send, read a clock or touch a disk. It is handed what happened
//! ([`Event`]) and answers with what must be remembered ([`Fact`]) and what must then be done
//! ([`Action`]).
//!
//! ```text
//!              last vote is ready              all have settled
//!  Preparing ----------------------> Deciding(Commit) ----------> Ended(Commit)
//!      |  a refusal, the timeout,              all have settled
//!      '--or a restart-------------> Deciding(Abort)  ----------> Ended(Abort)
//! ```
//!
//! Two operators may decide what was begun and not decided, when a participant cannot be heard: a
//! *heuristic* decision. It is final like any other, but it can be wrong, because a participant
//! may have promised nothing, or done the opposite already. So each participant of a forced payment
//! says what it has in truth done, and one that did otherwise is written down
//! ([`Fact::Differed`]) instead of being an alarm.
//!
//! Presumed abort (Mohan, Lindsay, Obermarck 1986): an abort would need no proof before the banks
//! hear it, because forgetting it leads to the same abort. Here it waits all the same. What a bank
//! writes about it carries how far the gateway's log was durable; told early, that is short of the
//! decision, and a gateway on an old backup that lacks it is let in, to run again what a caller was
//! told is aborted.

use crate::drill::mutant::{self, Mutant};
use crate::model::{Decision, HoldState, Reason, Vote};
use crate::step::Step;

/// A participant of a payment. A payment within one bank has only the first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    Payer,
    Payee,
}

/// A set of participants.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Parties(u8);

impl Parties {
    pub const NONE: Self = Self(0);
    pub const ONE: Self = Self(1);
    pub const BOTH: Self = Self(3);

    fn bit(party: Party) -> u8 {
        match party {
            Party::Payer => 1,
            Party::Payee => 2,
        }
    }

    #[must_use]
    pub fn with(self, party: Party) -> Self {
        Self(self.0 | Self::bit(party))
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn has(self, party: Party) -> bool {
        self.0 & Self::bit(party) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = Party> {
        [Party::Payer, Party::Payee].into_iter().filter(move |party| self.has(*party))
    }
}

/// One payment's place in the protocol.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Payment {
    /// Who takes part.
    pub parties: Parties,
    pub phase: Phase,
    /// Decided by hand.
    pub forced: bool,
    /// Those that have done the opposite of what was decided by hand.
    pub against: Parties,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    Preparing { ready: Parties },
    Deciding { decision: Decision, settled: Parties },
    Ended { decision: Decision },
}

/// What happened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Voted(Party, Vote),
    /// Not every vote came in time.
    TimedOut,
    /// The gateway was restarted before it had decided, or before it had noted the end, and has
    /// since heard every participant.
    Interrupted,
    /// A participant reports that it has carried out what it was told.
    Settled(Party, HoldState),
    /// A participant has been silent, or has come back.
    Silent(Party),
    /// Two operators decide, because a participant cannot be heard.
    Forced(Decision),
}

impl Event {
    /// The participant that it came from.
    fn speaker(self) -> Option<Party> {
        match self {
            Self::Voted(party, _) | Self::Settled(party, _) | Self::Silent(party) => Some(party),
            Self::TimedOut | Self::Interrupted | Self::Forced(_) => None,
        }
    }
}

/// What must be remembered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    Voted(Party, Vote),
    Decided(Decision),
    Settled(Party, HoldState),
    Ended,
    /// Decided by hand.
    Forced(Decision),
    /// What a participant has done is not what was decided by hand.
    Differed(Party, HoldState),
}

/// What must then be done.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Ask for a vote.
    Prepare(Party),
    /// Say the decision.
    Tell(Party, Decision),
    /// Say the decision, and that it was made by hand.
    Force(Party, Decision),
    /// Whoever waits for the outcome may be answered by the rule of the service.
    Answer,
    /// A participant did the opposite of what was decided. Somebody's log lies.
    Contradiction(Party, HoldState),
}

/// A log that holds what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fact:?} cannot follow {phase:?}")]
pub struct Illegal {
    pub fact: Fact,
    pub phase: Phase,
}

impl Payment {
    pub fn began(parties: Parties) -> Self {
        let phase = Phase::Preparing { ready: Parties::NONE };
        Self { parties, phase, forced: false, against: Parties::NONE }
    }

    pub fn decision(&self) -> Option<Decision> {
        match self.phase {
            Phase::Preparing { .. } => None,
            Phase::Deciding { decision, .. } | Phase::Ended { decision } => Some(decision),
        }
    }

    /// Those that have carried the decision out, or have said that they did otherwise.
    pub fn settled(&self) -> Parties {
        match self.phase {
            Phase::Preparing { .. } => Parties::NONE,
            Phase::Deciding { settled, .. } => settled,
            Phase::Ended { .. } => self.parties,
        }
    }

    /// Those of them that have done what was decided.
    pub fn carried_out(&self) -> Parties {
        self.settled().without(self.against)
    }

    /// Those that owe an answer.
    pub fn awaited(&self) -> Parties {
        match self.phase {
            Phase::Preparing { ready } => self.parties.without(ready),
            Phase::Deciding { settled, .. } => self.parties.without(settled),
            Phase::Ended { .. } => Parties::NONE,
        }
    }
}

/// Does `state` at a bank carry out `decision`?
fn carries_out(state: HoldState, decision: Decision) -> bool {
    match (state, decision) {
        (HoldState::Posted, Decision::Commit)
        | (HoldState::Released | HoldState::Refused(_), Decision::Abort(_)) => true,
        (
            HoldState::Unknown | HoldState::Held | HoldState::Released | HoldState::Refused(_),
            Decision::Commit,
        )
        | (HoldState::Unknown | HoldState::Held | HoldState::Posted, Decision::Abort(_)) => false,
    }
}

/// What does `event` mean for `payment`? Total: a new state or event must be thought about here.
pub fn decide(payment: Payment, event: Event) -> Step<Fact, Action> {
    if event.speaker().is_some_and(|party| !payment.parties.has(party)) {
        return Step::nothing();
    }
    match (payment.phase, event) {
        (Phase::Preparing { ready }, Event::Voted(party, Vote::Ready)) => {
            let voted = Fact::Voted(party, Vote::Ready);
            if ready.has(party) {
                Step::nothing()
            } else if ready.with(party) == payment.parties {
                commit(payment, voted)
            } else {
                Step::remember([voted])
            }
        }
        (Phase::Preparing { ready }, Event::Voted(party, Vote::Refused(reason))) => {
            // A foreign bank may take its yes back. It is not recorded as a second vote.
            let vote = Fact::Voted(party, Vote::Refused(reason));
            abort(payment, (!ready.has(party)).then_some(vote), reason)
        }
        (Phase::Preparing { .. }, Event::Forced(decision)) => force(payment, decision),
        (Phase::Preparing { .. }, Event::TimedOut) => abort(payment, None, Reason::PrepareTimeout),
        (Phase::Preparing { .. }, Event::Interrupted) => abort(payment, None, Reason::Interrupted),
        (Phase::Preparing { ready }, Event::Silent(party)) => {
            if ready.has(party) {
                Step::nothing()
            } else {
                Step::act([Action::Prepare(party)])
            }
        }
        // Nobody was told a decision, so nobody can have carried one out.
        (Phase::Preparing { .. }, Event::Settled(party, state)) => {
            Step::act([Action::Contradiction(party, state)])
        }
        (Phase::Deciding { .. }, Event::Interrupted) if payment.awaited().is_empty() => end(),
        // A vote that comes after the decision changes nothing: the decision is on its way.
        (
            Phase::Deciding { .. } | Phase::Ended { .. },
            Event::Voted(..) | Event::TimedOut | Event::Interrupted | Event::Forced(_),
        )
        | (Phase::Ended { .. }, Event::Silent(_)) => Step::nothing(),
        (Phase::Deciding { decision, settled }, Event::Settled(party, state)) => {
            let fact = if carries_out(state, decision) {
                Fact::Settled(party, state)
            } else if payment.forced && is_final(state) {
                Fact::Differed(party, state)
            } else {
                return Step::act([Action::Contradiction(party, state)]);
            };
            if settled.has(party) { Step::nothing() } else { settle(payment, settled, fact, party) }
        }
        // A decision is never reconsidered. Silence means that it is said again.
        (Phase::Deciding { decision, settled }, Event::Silent(party)) => {
            if settled.has(party) {
                Step::nothing()
            } else if mutant::is(Mutant::AbortAfterCommitTimeout) && decision == Decision::Commit {
                abort(payment, None, Reason::PrepareTimeout)
            } else {
                Step::nothing().and_when_durable([say(payment, party, decision)])
            }
        }
        (Phase::Ended { decision }, Event::Settled(party, state)) => {
            let known = carries_out(state, decision) || payment.against.has(party);
            if known { Step::nothing() } else { Step::act([Action::Contradiction(party, state)]) }
        }
    }
}

/// Is this the last that a bank will ever say of a payment?
fn is_final(state: HoldState) -> bool {
    match state {
        HoldState::Posted | HoldState::Released | HoldState::Refused(_) => true,
        HoldState::Unknown | HoldState::Held => false,
    }
}

fn say(payment: Payment, party: Party, decision: Decision) -> Action {
    if payment.forced { Action::Force(party, decision) } else { Action::Tell(party, decision) }
}

fn force(payment: Payment, decision: Decision) -> Step<Fact, Action> {
    let say = payment.parties.iter().map(|party| Action::Force(party, decision));
    Step::remember([Fact::Forced(decision)])
        .and_when_durable(say)
        .and_when_durable([Action::Answer])
}

fn commit(payment: Payment, last_vote: Fact) -> Step<Fact, Action> {
    let tell = payment.parties.iter().map(|party| Action::Tell(party, Decision::Commit));
    Step::remember([last_vote, Fact::Decided(Decision::Commit)])
        .and_when_durable(tell)
        .and_when_durable([Action::Answer])
}

fn settle(payment: Payment, settled: Parties, fact: Fact, party: Party) -> Step<Fact, Action> {
    let over = settled.with(party) == payment.parties;
    let facts: Vec<_> = [fact].into_iter().chain(over.then_some(Fact::Ended)).collect();
    Step::remember(facts).and_when_durable([Action::Answer])
}

/// The last settlement is in the log and the end is not: they were written together, and a crash
/// came between.
fn end() -> Step<Fact, Action> {
    Step::remember([Fact::Ended]).and_when_durable([Action::Answer])
}

/// Everybody hears it, refusers too: a refusal may have been answered by a copy of the prepare.
fn abort(payment: Payment, vote: Option<Fact>, reason: Reason) -> Step<Fact, Action> {
    let decision = Decision::Abort(reason);
    let facts: Vec<_> = vote.into_iter().chain([Fact::Decided(decision)]).collect();
    let tell = payment.parties.iter().map(|party| Action::Tell(party, decision));
    Step::remember(facts).and_when_durable(tell).and_when_durable([Action::Answer])
}

/// What is now true? Live and replay.
pub fn evolve(mut payment: Payment, fact: Fact) -> Result<Payment, Illegal> {
    let phase = match (payment.phase, fact) {
        (Phase::Preparing { ready }, Fact::Voted(party, vote))
            if payment.parties.has(party) && !ready.has(party) =>
        {
            let ready = if vote == Vote::Ready { ready.with(party) } else { ready };
            Phase::Preparing { ready }
        }
        (Phase::Preparing { ready }, Fact::Decided(Decision::Commit))
            if ready == payment.parties =>
        {
            Phase::Deciding { decision: Decision::Commit, settled: Parties::NONE }
        }
        (Phase::Deciding { .. }, Fact::Decided(decision @ Decision::Abort(_)))
            if mutant::is(Mutant::AbortAfterCommitTimeout) =>
        {
            Phase::Deciding { decision, settled: Parties::NONE }
        }
        (Phase::Preparing { .. }, Fact::Decided(decision @ Decision::Abort(_))) => {
            Phase::Deciding { decision, settled: Parties::NONE }
        }
        (Phase::Deciding { decision, settled }, Fact::Settled(party, state))
            if payment.parties.has(party)
                && !settled.has(party)
                && carries_out(state, decision) =>
        {
            Phase::Deciding { decision, settled: settled.with(party) }
        }
        (Phase::Preparing { .. }, Fact::Forced(decision)) => {
            payment.forced = true;
            Phase::Deciding { decision, settled: Parties::NONE }
        }
        (Phase::Deciding { decision, settled }, Fact::Differed(party, state))
            if payment.forced
                && payment.parties.has(party)
                && !settled.has(party)
                && is_final(state)
                && !carries_out(state, decision) =>
        {
            payment.against = payment.against.with(party);
            Phase::Deciding { decision, settled: settled.with(party) }
        }
        (Phase::Deciding { decision, settled }, Fact::Ended) if settled == payment.parties => {
            Phase::Ended { decision }
        }
        (phase, fact) => return Err(Illegal { fact, phase }),
    };
    Ok(Payment { phase, ..payment })
}

/// The first thing that a payment does: ask everybody, in parallel.
pub fn begin(parties: Parties) -> Step<Fact, Action> {
    Step::nothing().and_now(parties.iter().map(Action::Prepare))
}
