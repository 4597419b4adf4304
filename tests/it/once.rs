//! One id moves money at most once, whatever a client does with it.

use crate::support::live::{Stage, good};
use strife::live::Heard;

#[test]
fn the_same_id_is_the_same_payment_and_another_amount_under_it_is_refused() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let pay = |amount: &str| stage.json(3, &["transfer", amount, "10000000000002", "rent-7"]);
    let (code, first, talk) = pay("250");
    assert_eq!((code, &first["state"]), (0, &"COMMITTED".into()), "{talk}");
    assert_eq!(first["replayed"], false);
    // The client remembers nothing of what is over: the gateway says so.
    let (code, again, talk) = pay("250");
    assert_eq!((code, &again["state"]), (0, &"COMMITTED".into()), "{talk}");
    assert_eq!((&again["replayed"], &again["lsn"]), (&true.into(), &first["lsn"]));
    let (code, _, talk) = pay("251");
    assert_eq!(code, 2, "{talk}");
    assert!(talk.contains("amount_minor") && talk.contains("TRANSACTION_ID_REUSED"), "{talk}");
    let (_, view, _) = stage.json(3, &["view"]);
    assert_eq!(view["balance_minor"], 1_000_000 - 25_000);
}

#[test]
fn fifty_copies_at_once_move_the_money_once() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let payer = &mut stage.scene.payers[0];
    let heard = payer.pay_at_once("fifty", 2, 777, 50);
    assert!(heard.iter().all(Heard::is_committed), "{heard:?}");
    let begun = heard
        .iter()
        .filter(|heard| matches!(heard, Heard::Committed { replayed, .. } if !replayed));
    assert_eq!(begun.count(), 1, "one call began it, and 49 joined it");
    good(stage.scene.conclude());
}

#[test]
fn copies_that_arrive_while_the_gateway_dies_move_the_money_once() {
    use strife::home::Service;
    let mut stage = Stage::begin_armed(Service::Gateway, "after-first-tell:3");
    good(stage.scene.pay_for_sure());
    let heard = stage.scene.payers[0].pay_at_once("dying", 2, 777, 50);
    assert!(heard.iter().any(|heard| !heard.is_final()), "nobody saw it die: {heard:?}");
    good(stage.scene.died(Service::Gateway));
    good(stage.scene.restart(Service::Gateway));
    good(stage.scene.conclude());
}
