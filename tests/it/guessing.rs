//! Guessing passwords, and what it does to others.

use crate::support::caller::{Caller, block_on, channel, facts, user};
use crate::support::live::{Turn, good, place};
use recovery::fact::GatewayFact;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strife::certs;
use strife::errors::{Reason, reason_of};
use strife::home::{Home, Party};
use strife::live::{Payer, Scene};
use strife::wire::v1::ClientInfo;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;

const AT_ONCE: usize = 200;

/// Guesses, and then who is still let in. Gives the answers by reason, and when they were there.
async fn guess_all(home: &Home, own: Party) -> (BTreeMap<&'static str, usize>, Instant) {
    // Handshakes at once are another test's.
    let lines: Vec<_> = (0..20).map(|_| channel(home, Party::Client)).collect();
    let wrong = |number: usize| {
        let password = format!("wrong-{number}");
        let mut gateway = PaymentGatewayClient::new(lines[number % lines.len()].clone());
        async move {
            let who = ClientInfo { password, ..user("client1") };
            let told = gateway.register_client(who).await.expect_err("it is wrong");
            reason_of(&told).map_or("none", Reason::name)
        }
    };
    let told = futures_util::future::join_all((0..AT_ONCE).map(wrong)).await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in told {
        *counts.entry(reason).or_insert(0) += 1;
    }
    let ended = Instant::now();
    // One more guess as soon as there may be one, so that the next is seconds away.
    let guess = async |name: &str| {
        let who = ClientInfo { password: "wrong".to_owned(), ..user("client1") };
        let who = ClientInfo { client_id: name.to_owned(), ..who };
        let told = Caller::sign_in(home, Party::Client, who).await.map(drop);
        reason_of(&told.expect_err("it is wrong")).expect("a reason")
    };
    while guess("client1").await != Reason::BadCredentials {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The right one, too, has to wait over that certificate; over its own it does not.
    let shared = Caller::sign_in(home, Party::Client, user("client1")).await.map(drop);
    let shared = shared.expect_err("locked out");
    assert_eq!(reason_of(&shared), Some(Reason::TooManyGuesses));
    Caller::sign_in(home, own, user("client1")).await.expect("not locked out");
    Caller::sign_in(home, Party::Client, user("client2")).await.expect("nobody else is");
    // Somebody who is not there is told the same, as often.
    let mut guesses = 0;
    while guess("nobody").await == Reason::BadCredentials {
        guesses += 1;
    }
    assert!((10..30).contains(&guesses), "{guesses} guesses");
    (counts, ended)
}

#[test]
fn two_hundred_wrong_passwords_at_once_lock_out_their_own_certificate_and_slow_no_payment() {
    let _turn = Turn::alone();
    let mut scene = good(Scene::set_with(&place(13), |config| {
        config.gateway.two_phase_timeout_ms = 10_000;
        config.gateway.settle_wait_ms = 10_000;
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let home = scene.cluster.home().clone();
    // The victim has a certificate of its own; whoever guesses, the shared one.
    let own = certs::issue(&home, "client1".parse().expect("an id")).expect("issued");
    let stop = Arc::new(AtomicBool::new(false));
    let (until, place) = (Arc::clone(&stop), home.clone());
    let payer = std::thread::spawn(move || {
        let (mut payer, mut took) = (good(Payer::new(&place, 3)), Vec::new());
        while !until.load(Ordering::Relaxed) {
            let began = Instant::now();
            let heard = payer.pay(&format!("p-{}", took.len()), 4, 1);
            assert!(heard.is_committed(), "{heard:?}");
            took.push((Instant::now(), began.elapsed()));
        }
        (payer, took)
    });
    let calm = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let (told, ended) = block_on(guess_all(&home, own));
    std::thread::sleep(Duration::from_secs(2));
    stop.store(true, Ordering::Relaxed);
    let (payer, took) = payer.join().expect("unbroken");
    // Ten, and one more for every six seconds that it took.
    assert!((10..30).contains(&told["BAD_CREDENTIALS"]), "{told:?}");
    assert_eq!(told["TOO_MANY_GUESSES"] + told["BAD_CREDENTIALS"], AT_ONCE, "{told:?}");
    let middle = |within: std::ops::Range<Instant>| {
        let here = took.iter().filter(|(at, _)| within.contains(at));
        let mut all: Vec<Duration> = here.map(|(_, took)| *took).collect();
        all.sort_unstable();
        (all.len(), all.get(all.len() / 2).copied(), all.last().copied())
    };
    println!("wrong passwords: {told:?} in {:?}", ended - began);
    println!("payments, p50 and slowest: before {:?}", middle(calm..began));
    println!("  during {:?}, after {:?}", middle(began..ended), middle(ended..Instant::now()));
    assert!(middle(began..ended).0 > 0, "payments went on");
    scene.payers.push(payer);
    good(scene.conclude());
    let audited = facts(&home).into_iter().filter_map(|fact| match fact {
        GatewayFact::Audited(audited) => Some(1 + audited.left_out),
        _ => None,
    });
    let (facts, refusals) = audited.fold((0, 0), |(facts, all), more| (facts + 1, all + more));
    println!("audit trail: {refusals} refusals in {facts} facts");
    assert!(refusals >= 200 && facts <= 260, "{refusals} refusals in {facts} facts");
}
