//! A short soak: anybody killed or stopped at any time under clients that pay.

use crate::support::live::{Turn, good, place};
use std::time::Duration;
use strife::live::soak::{Plan, soak};

#[test]
fn whoever_is_killed_or_stopped_at_random_nothing_that_was_told_is_taken_back() {
    let _turn = Turn::take();
    let (duration, every) = (Duration::from_secs(5), Duration::from_millis(200));
    let plan = Plan { duration, clients: 4, every };
    let summary = good(soak(&place(23), &plan, &|_| {}));
    assert!(summary.ok, "{} (home: {:?})", summary.problem, summary.home);
    let faults: u64 = summary.faults.values().sum();
    assert!(faults > 3, "{summary:?}");
    assert_eq!(summary.acked + summary.aborted, summary.payments, "every id has its answer");
    assert_eq!(summary.unknown, summary.resolved);
    assert!(summary.acked > 0 && summary.history.answers >= summary.payments, "{summary:?}");
}
