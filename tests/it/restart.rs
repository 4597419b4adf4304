//! The restart table of the protocol, row by row: a real process dies by SIGKILL at the row's last
//! durable fact, dies again in the middle of its recovery, and everything must come out right.

use crate::support::live::{Stage, good};
use strife::home::Service;
use strife::live::Heard;

/// What the payer has not got.
const TOO_MUCH_MINOR: i64 = 1_000_000_000;

fn bank(name: &str) -> Service {
    Service::Bank(name.parse().expect("a bank name"))
}

/// Dies while it recovers, is started again, and is given back once it is ready.
fn restart_killed_once_more(stage: &mut Stage, victim: Service, at: &str) {
    good(stage.scene.cluster.spawn(victim, Some(at)));
    good(stage.scene.died(victim));
    good(stage.scene.restart(victim));
}

fn aborted_for(heard: &Heard) -> Option<&str> {
    match heard {
        Heard::Aborted { reason, .. } => Some(reason),
        _ => None,
    }
}

/// What the gateway says of `id` once it says something final, without being told to pay.
fn told(stage: &mut Stage, id: &str) -> Heard {
    loop {
        let heard = stage.scene.ask(id);
        if heard.is_final() || matches!(heard, Heard::Refused { .. }) {
            return heard;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_payment_that_had_only_begun_is_aborted_once_all_its_banks_were_heard() {
    let mut stage = Stage::begin_armed(Service::Gateway, "after-vote");
    good(stage.scene.pay_until_dead(Service::Gateway, 12_345));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, Service::Gateway, "during-recovery-after-fence");
    // Its beginning may have been lost with the crash; then the id is free, and nothing was told.
    match told(&mut stage, &id) {
        Heard::Refused { reason, .. } => assert_eq!(reason, "PAYMENT_NOT_FOUND"),
        heard => assert_eq!(aborted_for(&heard), Some("INTERRUPTED"), "{heard:?}"),
    }
    good(stage.scene.conclude());
}

#[test]
fn a_commit_decision_survives_a_crash_before_anyone_is_told() {
    let mut stage = Stage::begin_armed(Service::Gateway, "after-decision-durable");
    good(stage.scene.pay_until_dead(Service::Gateway, 12_345));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, Service::Gateway, "during-recovery-before-hello");
    let heard = told(&mut stage, &id);
    assert!(heard.is_committed(), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn an_abort_decision_survives_a_crash_before_the_client_is_told() {
    let mut stage = Stage::begin_armed(Service::Gateway, "after-decision-durable:2");
    good(stage.scene.pay_for_sure());
    good(stage.scene.pay_until_dead(Service::Gateway, TOO_MUCH_MINOR));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, Service::Gateway, "during-recovery-before-fence");
    let heard = told(&mut stage, &id);
    assert_eq!(aborted_for(&heard), Some("INSUFFICIENT_FUNDS"), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn a_payment_that_had_ended_answers_its_retries_after_a_crash() {
    let mut stage = Stage::begin_armed(Service::Gateway, "after-ended");
    good(stage.scene.pay_until_dead(Service::Gateway, 12_345));
    // The first that was begun has ended. Another may have begun behind it.
    let begun = |heard: &Heard| !matches!(heard, Heard::Refused { .. } | Heard::NotSent(_));
    let asked = stage.scene.payers[0].asked().iter();
    let begun = asked.filter(|(_, asked)| asked.heard.iter().any(begun));
    let id = begun.map(|(id, _)| id.clone()).min_by_key(|id| (id.len(), id.clone()));
    let id = id.expect("one was begun");
    restart_killed_once_more(&mut stage, Service::Gateway, "during-recovery-before-hello");
    let heard = stage.scene.payers[0].pay(&id, 2, 12_345);
    assert!(matches!(heard, Heard::Committed { replayed: true, .. }), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn a_bank_keeps_its_hold_over_a_crash_and_posts_what_was_committed() {
    let mut stage = Stage::begin_armed(bank("HDFC"), "after-vote-sent");
    good(stage.scene.pay_until_dead(bank("HDFC"), 12_345));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, bank("HDFC"), "bank-during-recovery");
    let heard = told(&mut stage, &id);
    assert!(heard.is_committed(), "the vote was given, so the hold must stand: {heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn a_bank_that_dies_before_its_vote_keeps_its_hold_and_hears_the_abort() {
    let mut stage = Stage::begin_armed(bank("HDFC"), "after-held-durable");
    good(stage.scene.pay_until_dead(bank("HDFC"), 12_345));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, bank("HDFC"), "bank-during-recovery");
    let heard = told(&mut stage, &id);
    assert!(aborted_for(&heard).is_some() || heard.is_committed(), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn a_posting_whose_ack_was_lost_is_acked_again_and_not_made_again() {
    let mut stage = Stage::begin_armed(bank("ICICI"), "after-posted-durable");
    good(stage.scene.pay_until_dead(bank("ICICI"), 12_345));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, bank("ICICI"), "bank-during-recovery");
    let heard = told(&mut stage, &id);
    assert!(heard.is_committed(), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn a_release_whose_ack_was_lost_is_acked_again() {
    let mut stage = Stage::begin_armed(bank("ICICI"), "after-released-durable");
    good(stage.scene.pay_for_sure());
    good(stage.scene.pay_until_dead(bank("ICICI"), TOO_MUCH_MINOR));
    let id = stage.scene.last_id();
    restart_killed_once_more(&mut stage, bank("ICICI"), "bank-during-recovery");
    let heard = told(&mut stage, &id);
    assert_eq!(aborted_for(&heard), Some("INSUFFICIENT_FUNDS"), "{heard:?}");
    good(stage.scene.conclude());
}

#[test]
fn everything_killed_at_once_comes_back_with_every_rupee() {
    let mut stage = Stage::begin();
    for _ in 0..10 {
        good(stage.scene.pay_for_sure());
    }
    for service in stage.scene.cluster.services() {
        good(stage.scene.cluster.kill(service));
    }
    good(stage.scene.begin());
    let ids: Vec<String> = stage.scene.payers[0].asked().keys().cloned().collect();
    for id in ids {
        let heard = told(&mut stage, &id);
        assert!(heard.is_committed(), "{id}: {heard:?}");
    }
    good(stage.scene.conclude());
}
