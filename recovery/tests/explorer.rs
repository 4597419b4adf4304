//! Every interleaving of a small world, on the real machines: nothing is sampled.
//!
//! The world has a gateway, two banks, three accounts and at most two calls. Messages arrive in any
//! order; each test names what else may go wrong on one path, and every way of spending that is
//! looked at. A crash keeps any first part of what was written and not synced. In every state the
//! logs agree, money is conserved, answers rest on what is durable; and from every state, once
//! faults stop, all comes to rest with every hold settled and every caller answered.
//!
//! What it does not have: lost or damaged logs, clocks that lie, more than two payments. The
//! simulation samples those. `cargo run --release -p recovery --example explore` looks further than
//! these tests have time for; its figures are there.

mod explored;

use explored::Happening::{
    self, AnsweredAgain, BeganLost, Buried, CameAfterForgetting, Committed, DecisionLost,
    DiedDecided, DiedHolding, DiedUndecided, Differed, Ended, FenceLost, ForcedAbort, ForcedCommit,
    Forgot, HoldLost, Interrupted, Joined, OrphanAborted, PostingLost, Proved, Refused,
    SettledTwice, StartRefused, TimedOut, ToldPending, Tombstoned,
};
use explored::{At, Budget, Call, Counts, Found, Grain, Scenario, explore};
use recovery::drill::Mutant;
use recovery::gateway::Ack;

const NOTHING: Budget = Budget::NOTHING;

const fn pays(id: u8, from: At, to: At) -> Call {
    Call { id, from, to, amount: 70 }
}

const ONE: [Call; 1] = [pays(0, At::First, At::Second)];
const TWICE: [Call; 2] = [pays(0, At::First, At::Second), pays(0, At::First, At::Second)];
/// The account has money for one of them.
const RIVALS: [Call; 2] = [pays(0, At::First, At::Second), pays(1, At::First, At::Second)];
const CROSSING: [Call; 2] = [pays(0, At::First, At::Second), pays(1, At::Second, At::First)];
const WITHIN: [Call; 1] = [pays(0, At::First, At::FirstToo)];

/// Looks at all of it, and has seen as much as is known to be there.
fn all_is_well(scenario: &Scenario, states_at_least: usize) -> Found {
    let found = match explore(scenario) {
        Ok(found) => found,
        Err(wrong) => panic!("{}, after {} states:\n{}", wrong.what, wrong.states, wrong.story),
    };
    println!("{found}");
    assert!(found.states >= states_at_least, "{} states are too few", found.states);
    found
}

fn happens(counts: &Counts, wanted: &[Happening]) {
    for happening in wanted {
        assert!(counts.of(*happening) > 0, "never: {}", happening.told());
    }
}

#[test]
fn two_payments_for_the_same_money_come_to_rest_in_every_order() {
    let budget = Budget { losses: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&RIVALS, budget), 240_000);
    happens(&found.happened, &[Committed, Refused, Tombstoned, Buried, Ended, Forgot]);
}

#[test]
fn two_payments_that_cross_survive_a_loss_and_a_copy_of_any_message() {
    let budget = Budget { losses: 1, copies: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&CROSSING, budget), 1_000_000);
    happens(&found.happened, &[Committed, SettledTwice, Forgot, CameAfterForgetting]);
}

#[test]
fn one_payment_survives_a_crash_a_loss_a_copy_and_a_timeout_anywhere() {
    let budget = Budget { crashes: 1, losses: 1, copies: 1, timeouts: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&ONE, budget), 600_000);
    happens(&found.happened, &[BeganLost, DecisionLost, DiedDecided, DiedUndecided]);
    happens(&found.happened, &[Interrupted, OrphanAborted, TimedOut, ToldPending, StartRefused]);
}

#[test]
fn one_payment_survives_two_crashes_and_a_copy_anywhere() {
    let budget = Budget { crashes: 2, copies: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&ONE, budget), 300_000);
    happens(&found.happened, &[DiedDecided, DiedHolding, DiedUndecided, OrphanAborted, Proved]);
}

#[test]
fn a_payment_asked_for_twice_survives_a_crash_and_a_timeout_with_one_answer() {
    let budget = Budget { crashes: 1, timeouts: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&TWICE, budget), 150_000);
    happens(&found.happened, &[AnsweredAgain, BeganLost, Joined, ToldPending]);
}

#[test]
fn a_line_that_breaks_and_a_bank_that_asks_change_nothing() {
    let budget = Budget { crashes: 1, cuts: 1, inquiries: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&ONE, budget), 300_000);
    happens(&found.happened, &[Happening::Inquired, Happening::DiedHolding]);
}

/// It has one participant, and its decision is answered at once.
#[test]
fn a_payment_within_one_bank_survives_two_crashes_and_a_loss() {
    let budget = Budget { crashes: 2, losses: 1, ..NOTHING };
    let scenario = Scenario { ack: Ack::Decided, ..Scenario::new(&WITHIN, budget) };
    let found = all_is_well(&scenario, 10_000);
    happens(&found.happened, &[Happening::Committed, Happening::DiedDecided]);
}

/// An earlier start began it, and one of its banks has not been heard: then operators may end it,
/// either way. Whatever that bank turns out to have done, all comes to rest, the case is closed,
/// and what is missing or too much is what the case says. An abort is never wrong: no log lost
/// anything.
#[test]
fn a_payment_that_is_decided_by_hand_comes_to_rest_and_its_case_tells_what_was_wrong() {
    let budget = Budget { crashes: 1, losses: 1, copies: 1, forces: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&ONE, budget), 80_000);
    happens(&found.happened, &[ForcedAbort, ForcedCommit, Differed, Tombstoned, Ended]);
}

/// Two starts, so that the one that decided by hand dies as well.
#[test]
fn a_decision_by_hand_survives_a_crash_of_whoever_made_it() {
    let budget = Budget { crashes: 2, forces: 1, ..NOTHING };
    let found = all_is_well(&Scenario::new(&ONE, budget), 100_000);
    happens(&found.happened, &[ForcedAbort, ForcedCommit, Differed, DiedDecided, DecisionLost]);
}

/// What the coarse grain takes together, step by step.
#[test]
fn every_sync_and_every_message_of_the_greeting_is_a_place_to_die() {
    let budget = Budget { crashes: 1, losses: 1, ..NOTHING };
    let scenario = Scenario { grain: Grain::Fine, ..Scenario::new(&ONE, budget) };
    let found = all_is_well(&scenario, 30_000);
    happens(&found.happened, &[BeganLost, DecisionLost, HoldLost, PostingLost]);
}

#[test]
fn the_greeting_alone_survives_a_crash_and_a_loss_anywhere() {
    let budget = Budget { crashes: 1, losses: 1, ..NOTHING };
    let scenario = Scenario { grain: Grain::Fine, greeted: false, ..Scenario::new(&[], budget) };
    let found = all_is_well(&scenario, 1_000);
    happens(&found.happened, &[FenceLost, Proved, StartRefused]);
}

/// A broken rule is noticed by what comes of it, and the same world accuses nobody without it.
fn is_noticed(mutant: Mutant, calls: &[Call], budget: Budget) {
    let greeted = !calls.is_empty();
    let whole = Scenario { grain: Grain::Fine, greeted, ..Scenario::new(calls, budget) };
    all_is_well(&whole, 1);
    let scenario = Scenario { broken: Some(mutant), ..whole };
    #[cfg(feature = "mutants")]
    let _broken = recovery::drill::mutant::broken(Some(mutant));
    let Err(wrong) = explore(&scenario) else {
        panic!("{}: {}, and nothing shows", mutant.name(), mutant.meaning());
    };
    println!("| `{}` | {} steps | {} |\n{}", mutant.name(), wrong.steps, wrong.what, wrong.story);
    assert!(wrong.steps > 0 && wrong.story.lines().count() > wrong.steps);
}

#[test]
fn a_commit_told_before_its_decision_is_durable_is_noticed() {
    is_noticed(Mutant::CommitToldEarly, &ONE, Budget { crashes: 1, ..NOTHING });
}

#[test]
fn a_vote_before_its_hold_is_durable_is_noticed() {
    is_noticed(Mutant::VoteBeforeHold, &ONE, Budget { crashes: 1, ..NOTHING });
}

#[test]
fn an_abort_answered_before_it_is_durable_is_noticed() {
    let too_much = Call { amount: 170, ..ONE[0] };
    is_noticed(Mutant::AbortAnsweredEarly, &[too_much], Budget { crashes: 1, ..NOTHING });
}

#[test]
fn a_fence_that_is_not_synced_is_noticed() {
    is_noticed(Mutant::FenceNotSynced, &[], Budget { crashes: 1, ..NOTHING });
}

#[test]
fn a_decided_payment_that_is_forgotten_before_it_settled_is_noticed() {
    is_noticed(Mutant::CompactedCommit, &ONE, Budget { crashes: 1, ..NOTHING });
}

/// Rules of the machines themselves, which only the feature can break. Three are not here, for they
/// take a log that lost its end, and here none does: `bare-witness`, `first-bad-is-torn`,
/// `abort-unheard`.
#[cfg(feature = "mutants")]
mod broken {
    use super::{Budget, Mutant, NOTHING, ONE, is_noticed};

    #[test]
    fn aborting_after_a_commit_timeout_is_noticed() {
        is_noticed(Mutant::AbortAfterCommitTimeout, &ONE, Budget { losses: 1, ..NOTHING });
    }

    #[test]
    fn applying_a_commit_twice_is_noticed() {
        is_noticed(Mutant::CommitTwice, &ONE, Budget { copies: 1, ..NOTHING });
    }

    #[test]
    fn leaving_no_tombstone_is_noticed() {
        is_noticed(Mutant::NoTombstone, &ONE, Budget { timeouts: 1, ..NOTHING });
    }

    #[test]
    fn forgetting_what_was_posted_is_noticed() {
        is_noticed(Mutant::PostedForgotten, &ONE, NOTHING);
    }

    #[test]
    fn not_fencing_is_noticed() {
        is_noticed(Mutant::NoFencing, &ONE, Budget { crashes: 1, ..NOTHING });
    }
}
