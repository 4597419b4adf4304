//! The promises, watched being kept: the real machines and the real log in a hostile world.
//!
//! A failure prints its seed; `drill::run` with that seed and `trace` tells the story.

use recovery::drill::{
    Ending, Harm, Kind, Options, Protocol, Report, Simulation, repro, run, simulate, story,
};

/// Every run of these was safe at every event, and settled once the faults had stopped.
fn check(report: &Report, options: &Options) {
    assert_eq!(report.first_failing, None, "{} of {} runs", report.violations, report.runs);
    assert_eq!(report.never_hit(options), [], "a fault that never happens shows nothing");
}

fn only(kinds: &[Kind]) -> Options {
    all().only(kinds)
}

/// Every fault, and the rules as they are. `STRIFE_MUTANT=<name>` breaks one of them, where the
/// feature is there that can, to see these tests fail.
fn all() -> Options {
    #[cfg(feature = "mutants")]
    if let Ok(name) = std::env::var("STRIFE_MUTANT") {
        let mutant = recovery::drill::Mutant::ALL.iter().find(|mutant| mutant.name() == name);
        let mutant = Some(*mutant.expect("a mutant of that name"));
        return Options { mutant, ..Options::default() };
    }
    Options::default()
}

#[test]
fn no_fault_loses_money_or_an_answer_and_everything_settles() {
    let options = all();
    let report = simulate(0..1_200, &options);
    check(&report, &options);
    assert!(report.committed > 5_000 && report.aborted > 1_000, "{report:?}");
}

#[test]
fn a_copied_directory_or_an_old_backup_never_moves_money_twice() {
    for kind in [Kind::CopiedDirectory, Kind::OldGatewayBackup, Kind::OldBankBackup] {
        let options = only(&[kind, Kind::Kill]);
        check(&simulate(0..300, &options), &options);
    }
}

/// With `ack = "settled"`, any one directory may be gone: what was answered is answered again, and
/// no alarm sounds.
#[test]
fn a_lost_directory_is_made_again_from_the_others_and_says_what_was_answered() {
    for kind in [Kind::LostGatewayDirectory, Kind::LostBankDirectory] {
        let options = only(&[kind, Kind::Kill, Kind::Blackout, Kind::CutOff]);
        let report = simulate(0..300, &options);
        check(&report, &options);
        assert_eq!(report.refused, 0, "{kind}");
    }
}

#[test]
fn without_faults_no_service_stops_and_no_alarm_sounds() {
    let options = only(&[]);
    let report = simulate(0..200, &options);
    check(&report, &options);
    assert_eq!(report.refused, 0);
}

#[test]
fn two_banks_and_crashes_alone_are_enough_for_every_interleaving_that_once_failed() {
    let options = Options { banks_max: 2, ..only(&[Kind::CrashPoint, Kind::Blackout]) };
    check(&simulate(0..500, &options), &options);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let options = Options { trace: true, ..Options::default() };
    for seed in 0..20 {
        let (first, second) =
            (run(seed, Protocol::Ours, &options), run(seed, Protocol::Ours, &options));
        assert_eq!(first.trace, second.trace);
        assert_eq!(first.faults, second.faults);
        assert_ne!(first.trace, run(seed + 1, Protocol::Ours, &options).trace);
    }
}

/// Each of these failed once: a bug in a machine, in the log, or in the eyes of the world.
#[test]
fn seeds_that_once_failed_do_not_fail_again() {
    // A run is its seed and the kinds of faults it may draw: these were all there were.
    let later = [Kind::LostGatewayDirectory, Kind::LostBankDirectory];
    let faults = Kind::ALL.iter().copied().filter(|kind| !later.contains(kind)).collect();
    let options = Options { faults, ..Options::default() };
    let seeds = [
        12, 27, 36, 71, 112, 144, 307, 827, 855, 1_026, 1_553, 1_937, 2_205, 2_236, 2_703, 4_908,
        5_302, 16_419,
    ];
    for seed in seeds {
        let run = run(seed, Protocol::Ours, &options);
        assert!(!matches!(run.ending, Ending::Violated(_)), "{run}");
    }
}

/// What the report would have done, where nothing is worse than processes that die and messages
/// that are lost or late. Ours, on the same seeds: nothing.
#[test]
fn the_rules_of_the_report_lose_and_make_money_where_ours_do_not() {
    let options = Options::ordinary();
    let mut report = Simulation::new(Protocol::Report, options.clone());
    let mut ours = Simulation::new(Protocol::Ours, options.clone());
    for seed in 0..300 {
        report.run(seed);
        ours.run(seed);
    }
    let harmed = &report.report().harmed;
    for harm in [Harm::Lost, Harm::Made, Harm::Moved] {
        assert!(harmed.get(&harm).is_some_and(|runs| *runs > 3), "{harm:?} of {harmed:?}");
    }
    check(ours.report(), &options);
}

#[test]
fn a_story_is_about_one_payment_and_ends_with_what_its_payer_was_told() {
    let options = Options { trace: true, ..Options::ordinary() };
    let failed = (0..100).map(|seed| run(seed, Protocol::Report, &options));
    let failed = failed.into_iter().find(|run| run.violation().is_some()).expect("it loses money");
    let (told, about) = (story(&failed), failed.violation().and_then(|found| found.about));
    let about = about.expect("a payment").to_string();
    assert!(told.len() > 3 && told.len() < failed.trace.len() / 2, "{told:#?}");
    assert!(told.iter().any(|line| line.contains(&about) && line.contains("asks for a vote")));
    let again = repro(failed.seed, Protocol::Report, &options);
    assert!(again.contains("--seed") && again.contains("--protocol report"), "{again}");
}
