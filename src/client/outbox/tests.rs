//! Claims about the outbox on a real disk.

use super::*;
use recovery::model::{Currency, Memo};
use std::fs;

const NOBODY: &dyn Fn(u32) -> bool = &|_| false;
const ANYBODY: &dyn Fn(u32) -> bool = &|_| true;

fn draft(id: &str) -> Draft {
    Draft {
        id: id.parse().expect("an id"),
        payee: "10000000000002".parse().expect("an account"),
        amount: "250".parse().expect("an amount"),
        currency: Currency::INR,
        memo: Memo::default(),
    }
}

fn open(dir: &Path) -> Outbox {
    Outbox::open(dir, "client1".parse().expect("a client")).expect("an outbox")
}

fn attempt(pid: u32, since_unix_ms: u64) -> Attempt {
    Attempt { pid, since_unix_ms }
}

fn lease(now: u64, is_alive: &dyn Fn(u32) -> bool) -> Lease<'_> {
    Lease { attempt: attempt(2, now), attempt_ms_max: 10_000, is_alive }
}

fn committed() -> Outcome {
    let (reason, message) = (String::new(), "paid".to_owned());
    Outcome { end: End::Committed, reason, message, lsn: 9, replayed: false }
}

fn ids(outbox: &mut Outbox) -> Vec<String> {
    outbox.entries().expect("readable").iter().map(|entry| entry.draft.id.to_string()).collect()
}

#[test]
fn what_was_saved_is_there_for_the_next_process() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).save(&[draft("a"), draft("b")], None, 1).expect("saved");
    assert_eq!(ids(&mut open(dir.path())), ["a", "b"]);
}

#[test]
fn the_same_id_with_another_amount_is_refused_and_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    outbox.save(&[draft("a")], None, 1).expect("saved");
    let other = Draft { amount: "251".parse().expect("an amount"), ..draft("a") };
    let refused = outbox.save(&[draft("b"), other], None, 2).expect_err("refused");
    assert!(matches!(refused, OutboxError::Reused { field: "amount_minor", .. }));
    assert_eq!(ids(&mut outbox), ["a"], "all or none");
}

#[test]
fn what_may_have_moved_money_cannot_be_dropped_until_its_outcome_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    let id = draft("a").id;
    outbox.save(&[draft("a")], Some(attempt(1, 1)), 1).expect("saved");
    assert!(matches!(outbox.drop(id), Err(OutboxError::MayHaveMoved { .. })), "being sent");
    outbox.postpone(id, true, "broken pipe").expect("postponed");
    assert!(matches!(outbox.drop(id), Err(OutboxError::MayHaveMoved { .. })), "unknown");
    outbox.settle(id, committed()).expect("settled");
    outbox.drop(id).expect("known, so it may go");
    assert!(matches!(outbox.drop(id), Err(OutboxError::Absent { .. })));
}

#[test]
fn what_never_left_can_be_dropped() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    outbox.save(&[draft("a")], Some(attempt(1, 1)), 1).expect("saved");
    outbox.postpone(draft("a").id, false, "connection refused").expect("postponed");
    outbox.drop(draft("a").id).expect("dropped");
}

#[test]
fn an_outcome_stays_until_it_was_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    outbox.save(&[draft("a")], Some(attempt(1, 1)), 1).expect("saved");
    outbox.settle(draft("a").id, committed()).expect("settled");
    let mut later = open(dir.path());
    assert_eq!(later.entries().expect("readable")[0].outcome, Some(committed()));
    later.told(&[draft("a").id]).expect("told");
    assert!(ids(&mut outbox).is_empty());
}

#[test]
fn an_entry_is_left_to_the_live_process_that_is_sending_it_but_not_for_ever() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    let all = [draft("a").id, draft("b").id];
    outbox.save(&[draft("a")], Some(attempt(1, 1_000)), 1).expect("saved");
    outbox.save(&[draft("b")], None, 1).expect("saved");
    let begun = |outbox: &mut Outbox, lease: &Lease<'_>| {
        let begun = outbox.begin(&all, lease).expect("begun");
        begun.iter().map(|draft| draft.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(begun(&mut outbox, &lease(2_000, ANYBODY)), ["b"]);
    assert_eq!(begun(&mut outbox, &lease(2_000, NOBODY)), ["a", "b"], "its process has died");
    assert_eq!(begun(&mut outbox, &lease(99_000, ANYBODY)), ["a", "b"], "its time is over");
}

#[test]
fn a_torn_append_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).save(&[draft("a")], None, 1).expect("saved");
    let path = dir.path().join("outbox");
    let whole = fs::read(&path).expect("bytes");
    open(dir.path()).save(&[draft("b")], None, 1).expect("saved");
    let both = fs::read(&path).expect("bytes");
    for cut in whole.len()..both.len() - 1 {
        fs::write(&path, &both[..cut]).expect("cut");
        let mut outbox = open(dir.path());
        assert_eq!(ids(&mut outbox), ["a"], "cut at {cut}");
        outbox.save(&[draft("c")], None, 1).expect("saved over the torn tail");
        assert_eq!(ids(&mut open(dir.path())), ["a", "c"], "cut at {cut}");
    }
}

#[test]
fn a_damaged_line_stops_everything_until_it_is_repaired_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("outbox");
    open(dir.path()).save(&[draft("a")], None, 1).expect("saved");
    let start = fs::metadata(&path).expect("a file").len();
    open(dir.path()).save(&[draft("b")], None, 1).expect("saved");
    open(dir.path()).save(&[draft("c")], None, 1).expect("saved");
    let mut bytes = fs::read(&path).expect("bytes");
    let hit = usize::try_from(start).expect("small") + 60;
    bytes[hit] ^= 1;
    fs::write(&path, &bytes).expect("damaged");

    let mut outbox = open(dir.path());
    let error = outbox.save(&[draft("d")], None, 1).expect_err("refused");
    let OutboxError::Damaged { damage, .. } = error else { panic!("{error}") };
    assert_eq!((damage.line, damage.offset), (3, start));
    let repair = outbox.repair(42).expect("repaired").expect("there was damage");
    assert_eq!(repair.kept, 2);
    assert_eq!(fs::read(repair.copy).expect("the copy"), bytes, "the evidence is untouched");
    assert_eq!(ids(&mut outbox), ["a", "c"]);
    assert!(outbox.repair(43).expect("clean").is_none());
}

#[test]
fn the_file_stays_small_however_many_payments_pass_through() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut outbox = open(dir.path());
    outbox.save(&[draft("kept")], None, 1).expect("saved");
    for number in 0..300 {
        let draft = draft(&format!("tx-{number}"));
        outbox.save(std::slice::from_ref(&draft), Some(attempt(1, 1)), 1).expect("saved");
        outbox.settle(draft.id, committed()).expect("settled");
        outbox.told(&[draft.id]).expect("told");
    }
    assert_eq!(ids(&mut open(dir.path())), ["kept"]);
    let len = fs::metadata(dir.path().join("outbox")).expect("a file").len();
    assert!(len <= 70_000, "{len} bytes for one entry");
}

#[test]
fn writers_that_share_a_home_lose_nothing_of_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                let mut outbox = open(dir);
                for number in 0..25 {
                    let draft = draft(&format!("w{writer}-{number}"));
                    outbox.save(std::slice::from_ref(&draft), None, 1).expect("saved");
                    if number % 2 == 0 {
                        outbox.drop(draft.id).expect("dropped");
                    }
                }
            });
        }
    });
    assert_eq!(ids(&mut open(dir.path())).len(), 4 * 12);
}

#[test]
fn the_outbox_of_another_client_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    open(dir.path()).save(&[draft("a")], None, 1).expect("saved");
    let mut other =
        Outbox::open(dir.path(), "client2".parse().expect("a client")).expect("an outbox");
    assert!(matches!(other.entries(), Err(OutboxError::OtherClient { .. })));
}
