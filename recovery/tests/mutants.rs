//! Every rule of the protocol is needed: broken, it is noticed within five hundred seeds.
//!
//! `cargo test -p recovery --features mutants -- --nocapture` prints which seed noticed what. The
//! seeds are those of the table in `src/drill/README.md`: a row that is not true fails.
#![cfg(feature = "mutants")]

use recovery::drill::{Ending, Mutant, Options, Protocol, Simulation, Violation};

const SEEDS: u64 = 500;
const TABLE: &str = include_str!("../src/drill/README.md");

/// What a run with this rule broken is noticed by.
fn noticed(simulation: &mut Simulation, seed: u64) -> Option<Violation> {
    match simulation.run(seed).ending {
        Ending::Violated(violation) => Some(violation),
        Ending::Settled | Ending::Refused => None,
    }
}

/// The seed that the table says catches it.
fn documented(mutant: Mutant) -> Option<u64> {
    let begin = format!("| `{}` | {} | ", mutant.name(), mutant.meaning());
    let row = TABLE.lines().find_map(|line| line.strip_prefix(&begin))?;
    row.trim_end_matches(" |").parse().ok()
}

/// The seed of the table catches it. If none does, the row that would be true is told.
fn caught(mutant: Mutant) {
    let mut simulation = Simulation::new(Protocol::Ours, Options::breaking(mutant));
    let seed = documented(mutant).filter(|seed| *seed < SEEDS);
    if let Some(Violation { at_ms, what, .. }) =
        seed.and_then(|seed| noticed(&mut simulation, seed))
    {
        println!("{} by seed {}, {at_ms} ms: {what}", mutant.name(), seed.unwrap_or_default());
        return;
    }
    let first = (0..SEEDS).find(|seed| noticed(&mut simulation, *seed).is_some());
    let (name, meaning) = (mutant.name(), mutant.meaning());
    match first {
        Some(seed) => panic!(
            "src/drill/README.md names seed {:?}, which sees nothing; its row is now:\n\
             | `{name}` | {meaning} | {seed} |",
            documented(mutant)
        ),
        None => panic!("{name}: {meaning}, and {SEEDS} seeds saw nothing"),
    }
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
        let mut simulation = Simulation::new(Protocol::Ours, options);
        for seed in 0..60 {
            simulation.run(seed);
        }
        let report = simulation.report();
        assert_eq!(report.first_failing, None, "in the world of {}", mutant.name());
    }
}
