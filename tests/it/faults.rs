//! Faults beyond a crash, each as its drill: lost, torn and rotten files, and two of what there
//! must be one of.

use crate::support::edge::skipped;
use crate::support::live::{Turn, place};
use strife::live::drill;

fn drilled(name: &str) -> String {
    let _turn = Turn::take();
    let drills = drill::all();
    let drill = drills.iter().find(|drill| drill.name == name).expect("a drill of that name");
    let report = drill.run(&place(11));
    assert!(report.ok, "{name}: {} (home: {:?})", report.problem, report.home);
    report.outcome
}

#[test]
fn deleting_the_mirror_changes_no_answer() {
    assert_eq!(drilled("lost-mirror"), "AS_BEFORE");
}

#[test]
fn deleting_a_book_changes_no_balance() {
    assert_eq!(drilled("lost-book"), "AS_BEFORE");
}

#[test]
fn a_torn_write_is_set_aside_and_nothing_that_was_told_is_lost() {
    assert_eq!(drilled("torn-tail-gateway"), "SET_ASIDE");
    assert_eq!(drilled("torn-tail-bank"), "SET_ASIDE");
}

#[test]
fn a_flipped_bit_stops_the_start_and_is_named() {
    assert_eq!(drilled("flipped-bit-gateway"), "REFUSED");
    assert_eq!(drilled("flipped-bit-bank"), "REFUSED");
}

#[test]
fn a_second_gateway_on_the_same_home_is_refused_with_8() {
    assert_eq!(drilled("second-gateway"), "REFUSED");
}

#[test]
fn of_two_gateways_on_copies_of_one_directory_one_is_refused_and_nothing_moves_twice() {
    assert_eq!(drilled("copied-gateway"), "ORIGINAL_FENCED");
}

#[test]
fn a_gateway_on_an_old_copy_is_refused_before_it_shuts_the_true_one_out() {
    assert_eq!(drilled("stale-copy-gateway"), "COPY_REFUSED");
}

#[test]
fn a_bank_that_stands_still_holds_up_no_payment_of_others() {
    assert_eq!(drilled("stopped-bank"), "ABORTED");
}

#[test]
fn an_old_backup_is_refused_until_the_newest_copy_is_back() {
    assert_eq!(drilled("old-backup-gateway"), "REFUSED");
    assert_eq!(drilled("old-backup-bank"), "REFUSED");
}

#[test]
fn a_directory_that_is_gone_is_made_again_from_the_others_with_every_answer_and_balance() {
    assert_eq!(drilled("lost-gateway"), "REBUILT");
    assert_eq!(drilled("lost-bank"), "REBUILT");
}

#[test]
fn a_bank_that_nobody_can_reach_loses_nothing_and_holds_up_no_payment_of_others() {
    assert_eq!(drilled("cut-off-bank"), "ABORTED");
}

#[test]
fn a_bank_with_a_full_disk_declines_or_stops_and_goes_on_when_there_is_room() {
    let outcome = drilled("full-disk-bank");
    if outcome == "SKIPPED" {
        return skipped("root");
    }
    assert!(["DECLINED", "STOPPED"].contains(&outcome.as_str()), "{outcome}");
}
