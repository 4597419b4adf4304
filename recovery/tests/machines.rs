//! The two small machines, exhaustively: every state that can be reached, every event that can
//! come.
//!
//! They are tiny, so nothing is sampled here. The reference model at the end shares no code with
//! the machine that it is compared with.

use proptest::prelude::*;
use recovery::hold;
use recovery::model::{Decision, HoldState, Reason, Vote};
use recovery::payment::{self, Action, Event, Fact, Parties, Party, Payment, Phase};
use recovery::step::{Step, Waiting};
use std::collections::BTreeSet;
use wal::{Durable, Lsn};

const DECISIONS_BY_HAND: [Decision; 2] = [Decision::Commit, Decision::Abort(Reason::Heuristic)];

const REASONS: [Reason; 2] = [Reason::InsufficientFunds, Reason::TooLate];

fn hold_states() -> Vec<HoldState> {
    let mut states =
        vec![HoldState::Unknown, HoldState::Held, HoldState::Posted, HoldState::Released];
    states.extend(REASONS.map(HoldState::Refused));
    states
}

fn payment_events() -> Vec<Event> {
    let mut events = vec![Event::TimedOut, Event::Interrupted];
    events.extend(DECISIONS_BY_HAND.map(Event::Forced));
    for party in [Party::Payer, Party::Payee] {
        events.push(Event::Silent(party));
        events.push(Event::Voted(party, Vote::Ready));
        events.extend(REASONS.map(|reason| Event::Voted(party, Vote::Refused(reason))));
        events.extend(hold_states().into_iter().map(|state| Event::Settled(party, state)));
    }
    events
}

/// Everything that a step keeps back, with the strongest proof there is.
fn waiting<F, A>(mut step: Step<F, A>) -> Vec<A> {
    step.facts.clear();
    step.release(Lsn::ZERO, &Durable::forged(Lsn::new(u64::MAX))).unwrap_or_default()
}

/// Folds what an event leads to. A refusal is the failure that these tests are about.
fn apply(payment: Payment, event: Event) -> Payment {
    payment::decide(payment, event).facts.into_iter().fold(payment, |payment, fact| {
        payment::evolve(payment, fact).unwrap_or_else(|illegal| panic!("{event:?}: {illegal}"))
    })
}

/// Every state that any order of any events can lead to, also states between two facts of a step:
/// a crash may cut there.
fn reachable() -> BTreeSet<Payment> {
    let mut seen = BTreeSet::new();
    let mut next = vec![Payment::began(Parties::ONE), Payment::began(Parties::BOTH)];
    while let Some(payment) = next.pop() {
        if !seen.insert(payment) {
            continue;
        }
        for event in payment_events() {
            let mut state = payment;
            for fact in payment::decide(payment, event).facts {
                state = payment::evolve(state, fact)
                    .unwrap_or_else(|illegal| panic!("{payment:?}, {event:?}: {illegal}"));
                next.push(state);
            }
        }
    }
    seen
}

#[test]
fn a_payment_evolves_by_whatever_it_decides_to_remember_in_every_reachable_state() {
    let states = reachable();
    let ended = states.iter().filter(|payment| matches!(payment.phase, Phase::Ended { .. }));
    assert!(ended.count() >= 4, "both decisions, both shapes: {states:?}");
}

#[test]
fn a_decision_is_never_reversed_or_taken_twice() {
    for payment in reachable() {
        for event in payment_events() {
            let after = apply(payment, event);
            if payment.decision().is_some() {
                assert_eq!(payment.decision(), after.decision(), "{payment:?}, {event:?}");
                let facts = payment::decide(payment, event).facts;
                let decides = |fact: &Fact| matches!(fact, Fact::Decided(_) | Fact::Forced(_));
                assert!(!facts.iter().any(decides));
            }
        }
    }
}

#[test]
fn no_decision_is_said_and_no_caller_answered_before_the_proof() {
    for payment in reachable() {
        for event in payment_events() {
            let step = payment::decide(payment, event);
            let tells = |action: &Action| {
                let committed = matches!(action, Action::Tell(_, Decision::Commit));
                committed || matches!(action, Action::Force(..) | Action::Answer)
            };
            let early = step.now.iter().any(tells);
            assert!(!early, "{payment:?}, {event:?}: {step:?}");
        }
    }
}

#[test]
fn a_commit_is_decided_only_with_a_vote_of_every_participant() {
    for payment in reachable() {
        let Phase::Preparing { ready } = payment.phase else { continue };
        for event in payment_events() {
            // By hand it needs two operators, and the coordinator's leave.
            let by_hand = matches!(event, Event::Forced(_));
            if apply(payment, event).decision() == Some(Decision::Commit) && !by_hand {
                let Event::Voted(party, Vote::Ready) = event else { panic!("{event:?}") };
                assert_eq!(ready.with(party), payment.parties);
            }
        }
    }
}

#[test]
fn silence_is_answered_by_saying_again_what_is_owed_and_nothing_else() {
    for payment in reachable() {
        for party in [Party::Payer, Party::Payee] {
            let step = payment::decide(payment, Event::Silent(party));
            assert!(step.facts.is_empty());
            let said = step.now.len() + waiting(step.clone()).len();
            let owed = payment.awaited().has(party);
            assert_eq!(said, usize::from(owed), "{payment:?}, {party:?}");
        }
    }
}

/// The last settlement and the end are written together, and a crash may come between.
#[test]
fn a_payment_that_has_settled_and_lacks_its_end_is_ended_by_the_restart() {
    let settled = reachable().into_iter().filter(|payment| {
        let over = matches!(payment.phase, Phase::Ended { .. });
        payment.decision().is_some() && payment.awaited().is_empty() && !over
    });
    let mut seen = 0;
    for payment in settled {
        let decision = payment.decision().expect("decided");
        let phase = Phase::Ended { decision };
        assert_eq!(apply(payment, Event::Interrupted), Payment { phase, ..payment });
        seen += 1;
    }
    assert!(seen >= 4, "both decisions, one and two participants: {seen}");
}

#[test]
fn only_participants_move_a_payment() {
    for payment in reachable().into_iter().filter(|payment| payment.parties == Parties::ONE) {
        for event in payment_events() {
            let strange = match event {
                Event::Voted(party, _) | Event::Settled(party, _) | Event::Silent(party) => {
                    party == Party::Payee
                }
                Event::TimedOut | Event::Interrupted | Event::Forced(_) => false,
            };
            if strange {
                assert_eq!(apply(payment, event), payment, "{event:?}");
            }
        }
        for fact in [Fact::Voted(Party::Payee, Vote::Ready), Fact::Ended] {
            if fact == Fact::Ended && payment.awaited().is_empty() {
                continue;
            }
            assert!(payment::evolve(payment, fact).is_err(), "{payment:?}, {fact:?}");
        }
    }
}

#[test]
fn a_vote_that_is_taken_back_aborts_and_brings_nothing_down() {
    let began = Payment::began(Parties::BOTH);
    let ready = apply(began, Event::Voted(Party::Payer, Vote::Ready));
    let refused = Event::Voted(Party::Payer, Vote::Refused(Reason::Declined));
    assert_eq!(apply(ready, refused).decision(), Some(Decision::Abort(Reason::Declined)));
}

fn hold_events() -> Vec<hold::Event> {
    let mut events = vec![hold::Event::Prepare(Ok(())), hold::Event::Commit, hold::Event::Abort];
    events.extend(REASONS.map(|reason| hold::Event::Prepare(Err(reason))));
    events.extend(DECISIONS_BY_HAND.map(hold::Event::Force));
    events
}

#[test]
fn a_hold_evolves_by_whatever_it_decides_to_remember_and_terminal_states_stay() {
    let mut seen = BTreeSet::new();
    let mut next = vec![HoldState::Unknown];
    while let Some(state) = next.pop() {
        if !seen.insert(state) {
            continue;
        }
        for event in hold_events() {
            let step = hold::decide(state, event);
            assert!(step.now.is_empty(), "every answer waits for what it rests on");
            let facts = step.facts;
            let terminal = !matches!(state, HoldState::Unknown | HoldState::Held);
            assert!(facts.is_empty() || !terminal, "{state:?} moved on {event:?}");
            next.extend(facts.into_iter().map(|fact| {
                hold::evolve(state, fact).unwrap_or_else(|illegal| panic!("{illegal}"))
            }));
        }
    }
    assert_eq!(seen, hold_states().into_iter().collect());
}

#[test]
fn a_hold_says_ready_only_from_held_and_posts_only_on_commit() {
    for state in hold_states() {
        for event in hold_events() {
            let step = hold::decide(state, event);
            let after = step
                .facts
                .iter()
                .fold(state, |state, fact| hold::evolve(state, *fact).expect("shown above"));
            if after == HoldState::Posted && state != HoldState::Posted {
                assert_eq!(state, HoldState::Held);
                let by_hand = hold::Event::Force(Decision::Commit);
                assert!(event == hold::Event::Commit || event == by_hand, "{event:?}");
            }
            if after == HoldState::Unknown {
                assert_eq!(event, hold::Event::Commit, "an abort leaves a tombstone");
            }
            for action in waiting(step) {
                match action {
                    hold::Action::Report(HoldState::Held) => assert_eq!(after, HoldState::Held),
                    hold::Action::Report(HoldState::Posted) => {
                        assert_eq!(after, HoldState::Posted);
                    }
                    hold::Action::Report(_) => {}
                    hold::Action::Alarm(recorded) => {
                        assert_eq!(recorded, after);
                        assert!(!matches!(event, hold::Event::Force(_)), "it contradicts nothing");
                    }
                }
            }
        }
    }
}

#[test]
fn an_abort_that_overtakes_its_prepare_leaves_a_tombstone() {
    let step = hold::decide(HoldState::Unknown, hold::Event::Abort);
    let state = hold::evolve(HoldState::Unknown, step.facts[0]).expect("a tombstone");
    let late = hold::decide(state, hold::Event::Prepare(Ok(())));
    assert!(late.facts.is_empty());
    let refused = hold::Action::Report(HoldState::Refused(Reason::TooLate));
    assert_eq!(waiting(late), [refused]);
}

#[test]
fn what_waits_leaves_in_the_order_of_the_log_and_not_before() {
    let mut turn = recovery::step::Turn::<(), &str>::default();
    turn.after(Lsn::new(3), "third");
    turn.after(Lsn::new(2), "second");
    let mut waiting = Waiting::default();
    waiting.keep(&mut turn);
    assert!(waiting.release(&Durable::forged(Lsn::new(1))).is_empty());
    assert_eq!(waiting.release(&Durable::forged(Lsn::new(3))), ["second", "third"]);
    assert!(waiting.is_empty());
}

/// What was decided by hand may be wrong. Then it is written down who did otherwise, once, and
/// nobody is called a liar.
#[test]
fn whatever_a_bank_did_against_a_decision_by_hand_is_written_down_and_ends_the_payment() {
    for decision in DECISIONS_BY_HAND {
        let began = Payment::began(Parties::BOTH);
        let forced = apply(began, Event::Forced(decision));
        let (does, differs) = match decision {
            Decision::Commit => (HoldState::Posted, HoldState::Released),
            Decision::Abort(_) => (HoldState::Released, HoldState::Posted),
        };
        let one = apply(forced, Event::Settled(Party::Payer, does));
        let step = payment::decide(one, Event::Settled(Party::Payee, differs));
        assert_eq!(step.facts, [Fact::Differed(Party::Payee, differs), Fact::Ended]);
        assert!(step.now.is_empty(), "no contradiction: {step:?}");
        let over = apply(one, Event::Settled(Party::Payee, differs));
        assert_eq!(over.phase, Phase::Ended { decision });
        assert!(over.against.has(Party::Payee) && !over.against.has(Party::Payer));
        let again = payment::decide(over, Event::Settled(Party::Payee, differs));
        assert!(again.facts.is_empty() && again.now.is_empty());
        let alone = payment::evolve(one, Fact::Differed(Party::Payer, differs));
        assert!(alone.is_err(), "it has said what it did");
    }
    let alone = apply(Payment::began(Parties::BOTH), Event::TimedOut);
    let differed = Fact::Differed(Party::Payer, HoldState::Posted);
    assert!(payment::evolve(alone, differed).is_err(), "only what was decided by hand");
}

/// A payment as a person would explain it, with no word of the machine's. Both banks take part.
#[derive(Default)]
struct Told {
    votes: [Option<bool>; 2],
    outcome: Option<bool>,
    /// Decided by hand: what a bank did otherwise counts as done.
    by_hand: bool,
    done: [bool; 2],
}

impl Told {
    fn hear(&mut self, event: Event) {
        let index = |party| usize::from(party == Party::Payee);
        match (event, self.outcome) {
            (Event::Voted(party, Vote::Ready), None) => {
                self.votes[index(party)] = Some(true);
                if self.votes == [Some(true); 2] {
                    self.outcome = Some(true);
                }
            }
            (Event::Voted(..) | Event::TimedOut | Event::Interrupted, None) => {
                self.outcome = Some(false);
            }
            (Event::Forced(decision), None) => {
                self.outcome = Some(decision == Decision::Commit);
                self.by_hand = true;
            }
            (
                Event::Settled(
                    party,
                    HoldState::Posted | HoldState::Released | HoldState::Refused(_),
                ),
                Some(_),
            ) if self.by_hand => self.done[index(party)] = true,
            (Event::Settled(party, HoldState::Posted), Some(true))
            | (Event::Settled(party, HoldState::Released | HoldState::Refused(_)), Some(false)) => {
                self.done[index(party)] = true;
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn a_payment_is_what_a_person_would_say_it_is(
        events in prop::collection::vec(prop::sample::select(payment_events()), 0..24)
    ) {
        let (mut payment, mut told) = (Payment::began(Parties::BOTH), Told::default());
        for event in events {
            payment = apply(payment, event);
            told.hear(event);
            let commits = payment.decision().map(|decision| decision == Decision::Commit);
            prop_assert_eq!(commits, told.outcome);
            let settled = [Party::Payer, Party::Payee].map(|party| payment.settled().has(party));
            prop_assert_eq!(settled, told.done);
            let over = matches!(payment.phase, Phase::Ended { .. });
            prop_assert_eq!(over, told.done == [true; 2]);
        }
    }
}
