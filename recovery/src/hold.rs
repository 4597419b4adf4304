//! One payment at one bank, as arithmetic: the participant's half of two-phase commit.
//!
//! ```text
//!             prepare, checks pass          commit
//!  Unknown --------------------------> Held --------> Posted
//!     |  prepare, checks fail           |    abort
//!     |------------------> Refused      '-----------> Released
//!     |  abort                                           ^
//!     '--------------------------------------------------' a tombstone
//! ```
//!
//! A bank never decides. `Held` has no way out but the two that a coordinator says. Every answer
//! waits until what it rests on is durable, duplicates too: the first answer may be on its way to
//! the disk still.
//!
//! What was decided by hand is obeyed where it can be, and contradicts nothing: the bank answers
//! where the payment in truth stands. One that it never promised it cannot post, and a tombstone
//! keeps a late prepare from holding money that nobody would ask for again.

use crate::drill::mutant::{self, Mutant};
use crate::model::{Decision, HoldState, Reason};
use crate::step::Step;

/// What the coordinator said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Vote. The ledger has checked the legs: `Ok` is what the vote may be.
    Prepare(Result<(), Reason>),
    Commit,
    Abort,
    /// Decided by hand.
    Force(Decision),
}

/// What must be remembered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    Held,
    Refused(Reason),
    Posted,
    Released,
    Tombstoned,
}

/// What must then be said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Where the payment stands.
    Report(HoldState),
    /// The instruction contradicts what is recorded. Nothing changes.
    Alarm(HoldState),
}

/// A journal that holds what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fact:?} cannot follow {state:?}")]
pub struct Illegal {
    pub fact: Fact,
    pub state: HoldState,
}

/// What does `event` mean here?
pub fn decide(state: HoldState, event: Event) -> Step<Fact, Action> {
    use HoldState::{Held, Posted, Refused, Released, Unknown};
    match (state, event) {
        (Unknown, Event::Prepare(Ok(()))) => answer([Fact::Held], Held),
        (Unknown, Event::Prepare(Err(reason))) => answer([Fact::Refused(reason)], Refused(reason)),
        (Unknown, Event::Abort | Event::Force(_)) if mutant::is(Mutant::NoTombstone) => {
            answer([], Released)
        }
        (Unknown, Event::Abort | Event::Force(_)) => answer([Fact::Tombstoned], Released),
        // Nobody may commit what was never promised.
        (Unknown, Event::Commit) => alarm(Unknown),
        (Held, Event::Prepare(_)) => answer([], Held),
        (Held, Event::Commit | Event::Force(Decision::Commit)) => answer([Fact::Posted], Posted),
        (Held, Event::Abort | Event::Force(Decision::Abort(_))) => {
            answer([Fact::Released], Released)
        }
        (Posted, Event::Commit) if mutant::is(Mutant::CommitTwice) => {
            answer([Fact::Posted], Posted)
        }
        (Posted, Event::Prepare(_) | Event::Commit | Event::Force(_)) => answer([], Posted),
        (Posted, Event::Abort) => alarm(Posted),
        // The prepare was overtaken by its abort.
        (Released, Event::Prepare(_)) => answer([], Refused(Reason::TooLate)),
        (Released, Event::Abort | Event::Force(_)) => answer([], Released),
        (Released, Event::Commit) => alarm(Released),
        (Refused(reason), Event::Prepare(_) | Event::Abort | Event::Force(_)) => {
            answer([], Refused(reason))
        }
        (Refused(reason), Event::Commit) => alarm(Refused(reason)),
    }
}

fn answer<const N: usize>(facts: [Fact; N], state: HoldState) -> Step<Fact, Action> {
    Step::remember(facts).and_when_durable([Action::Report(state)])
}

fn alarm(state: HoldState) -> Step<Fact, Action> {
    Step::nothing().and_when_durable([Action::Alarm(state)])
}

/// What is now true? Live and replay.
pub fn evolve(state: HoldState, fact: Fact) -> Result<HoldState, Illegal> {
    match (state, fact) {
        (HoldState::Unknown, Fact::Held) => Ok(HoldState::Held),
        (HoldState::Unknown, Fact::Refused(reason)) => Ok(HoldState::Refused(reason)),
        (HoldState::Unknown, Fact::Tombstoned) | (HoldState::Held, Fact::Released) => {
            Ok(HoldState::Released)
        }
        (HoldState::Held, Fact::Posted) => Ok(HoldState::Posted),
        (HoldState::Posted, Fact::Posted) if mutant::is(Mutant::CommitTwice) => Ok(state),
        (state, fact) => Err(Illegal { fact, state }),
    }
}
