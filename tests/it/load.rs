//! Many clients at once between all banks, and every rupee afterwards.

use crate::support::live::{Turn, good, place};
use std::time::{Duration, Instant};
use strife::live::{Heard, Payer, Scene};

const CLIENTS: u32 = 20;
const ACCOUNTS: u32 = 12;
const DURATION: Duration = Duration::from_secs(10);

/// Asks again for what has no outcome yet, under the same id.
fn told_in_the_end(payer: &mut Payer) {
    let asked = payer.asked().iter().filter(|(_, asked)| asked.answer().is_none());
    let open: Vec<_> =
        asked.map(|(id, asked)| (id.clone(), asked.payee, asked.amount_minor)).collect();
    let until = Instant::now() + Duration::from_mins(1);
    for (id, payee, amount_minor) in open {
        while !payer.pay(&id, payee, amount_minor).is_final() {
            assert!(Instant::now() < until, "{id} is never told an outcome");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn twenty_clients_in_parallel_are_all_told_an_outcome_and_the_audit_is_clean() {
    let _turn = Turn::alone();
    let mut scene = good(Scene::set_with(&place(3), |config| {
        config.wal.segment_bytes = 8 << 20;
        config.gateway.two_phase_timeout_ms = 5_000;
        config.gateway.settle_wait_ms = 2_000;
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let until = Instant::now() + DURATION;
    let home = scene.cluster.home().clone();
    let work = |number: u32| {
        let mut payer = good(Payer::new(&home, 1 + number % ACCOUNTS));
        for turn in 0.. {
            if Instant::now() >= until {
                break;
            }
            // To every other account in turn; now and then more than there is.
            let payee = 1 + (number + 1 + turn % (ACCOUNTS - 1)) % ACCOUNTS;
            let amount_minor = if turn % 17 == 16 { 500_000_000 } else { 1 + i64::from(turn) };
            payer.pay(&format!("load-{number}-{turn}"), payee, amount_minor);
        }
        payer
    };
    let mut payers: Vec<Payer> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("unbroken")).collect()
    });
    let heard = payers.iter().flat_map(|payer| payer.asked().values()).flat_map(|a| &a.heard);
    let heard: Vec<&Heard> = heard.collect();
    // On a busy machine a bank may post late, or a payment wait too long for its turn: that is
    // said, and asking again ends it.
    let late = heard.iter().filter(|heard| !heard.is_final());
    let said = |heard: &&&Heard| matches!(heard, Heard::Pending | Heard::Refused { .. });
    assert!(late.clone().all(|heard| said(&heard)), "{:?}", late.collect::<Vec<_>>());
    assert!(late.count() * 20 < heard.len(), "most are told at once: {heard:?}");
    assert!(heard.iter().any(|heard| matches!(heard, Heard::Aborted { .. })));
    payers.iter_mut().for_each(told_in_the_end);
    scene.payers.extend(payers);
    good(scene.wait_quiet());
    good(scene.check_money());
    good(scene.cluster.stop_all());
    good(scene.wait_quiet());
}
