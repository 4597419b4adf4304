//! Every rule of the protocol is needed: broken, it is noticed within five hundred seeds.
//!
//! `cargo test -p recovery --features mutants -- --nocapture` prints which seed noticed what.
#![cfg(feature = "mutants")]

use recovery::drill::{Ending, Mutant, Options, Simulation, Violation};

const SEEDS: u64 = 500;

/// The first seed that notices, and what it saw.
fn first_catch(mutant: Mutant) -> Option<(u64, Violation)> {
    let mut simulation = Simulation::new(Options::breaking(mutant));
    (0..SEEDS).find_map(|seed| match simulation.run(seed).ending {
        Ending::Violated(violation) => Some((seed, violation)),
        Ending::Settled | Ending::Refused => None,
    })
}

fn caught(mutant: Mutant) {
    let caught = first_catch(mutant);
    let Some((seed, Violation { at_ms, what })) = caught else {
        panic!("{}: {}, and {SEEDS} seeds saw nothing", mutant.name(), mutant.meaning());
    };
    println!("| `{}` | {} | {seed} | {at_ms} ms: {what} |", mutant.name(), mutant.meaning());
}

macro_rules! each_is_caught {
    ($($test:ident $mutant:ident,)*) => {
        $(
            #[test]
            fn $test() {
                caught(Mutant::$mutant);
            }
        )*

        #[test]
        fn no_mutant_is_without_a_test() {
            assert_eq!(Mutant::ALL, [$(Mutant::$mutant,)*]);
        }
    };
}

each_is_caught! {
    aborting_after_a_commit_timeout_is_caught AbortAfterCommitTimeout,
    telling_a_commit_before_its_decision_is_durable_is_caught CommitToldEarly,
    voting_before_the_hold_is_durable_is_caught VoteBeforeHold,
    applying_a_commit_twice_is_caught CommitTwice,
    leaving_no_tombstone_is_caught NoTombstone,
    answering_an_abort_before_it_is_durable_is_caught AbortAnsweredEarly,
    forgetting_what_was_posted_is_caught PostedForgotten,
    not_syncing_the_fence_is_caught FenceNotSynced,
    a_witness_that_is_a_bare_number_is_caught BareWitness,
    aborting_before_all_banks_were_heard_is_caught AbortUnheard,
    taking_the_first_bad_record_for_torn_is_caught FirstBadIsTorn,
    presuming_abort_after_compaction_is_caught CompactedCommit,
    not_fencing_is_caught NoFencing,
}

/// The unbroken protocol, in the same worlds.
#[test]
fn no_world_that_catches_a_mutant_accuses_the_protocol() {
    for mutant in Mutant::ALL {
        let options = Options { mutant: None, ..Options::breaking(*mutant) };
        let mut simulation = Simulation::new(options);
        for seed in 0..60 {
            simulation.run(seed);
        }
        let report = simulation.report();
        assert_eq!(report.first_failing, None, "in the world of {}", mutant.name());
    }
}
