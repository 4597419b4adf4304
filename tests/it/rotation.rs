//! Every certificate replaced under real services while clients pay.

use crate::support::live::{Stage, Turn, ended, good, place, strife};
use nix::sys::signal::Signal;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strife::config::{Config, Flags};
use strife::gateway::auditor::Auditor;
use strife::home::{Home, Party, Service};
use strife::live::{Payer, Scene};
use strife::tls::Keeper;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_mins(1);

/// Waits until the log of `service` says `words` this many times.
fn until_said(home: &Home, service: Service, words: &str, times: usize) {
    let end = Instant::now() + SOON;
    loop {
        let text = fs::read_to_string(home.log_file(service)).unwrap_or_default();
        if text.matches(words).count() >= times {
            return;
        }
        assert!(Instant::now() < end, "{service} never says {words:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn certificates_renewed_broken_and_read_again_under_load_cost_no_payment() {
    let _turn = Turn::alone();
    let mut scene = good(Scene::set_with(&place(15), |config| {
        config.limits.connection_age_s = 2;
        config.gateway.two_phase_timeout_ms = 10_000;
        config.gateway.settle_wait_ms = 10_000;
    }));
    good(scene.begin());
    good(scene.pay_for_sure());
    let home = scene.cluster.home().clone();
    let stop = Arc::new(AtomicBool::new(false));
    let payers: Vec<_> = [3, 5]
        .map(|number| {
            let (until, home) = (Arc::clone(&stop), home.clone());
            std::thread::spawn(move || {
                let (mut payer, mut count) = (good(Payer::new(&home, number)), 0);
                while !until.load(Ordering::Relaxed) {
                    let heard = payer.pay(&format!("r-{count}"), number + 1, 1);
                    assert!(heard.is_committed(), "payment {count} of client{number}: {heard:?}");
                    count += 1;
                }
                (payer, count)
            })
        })
        .into();
    let hdfc = "HDFC".parse().expect("a bank");
    let before = fs::read(home.certificate(Party::Bank(hdfc))).expect("there");
    let (code, _, talk) = ended(strife(&home, &["certs", "renew"]).output().expect("ran"));
    assert_eq!(code, 0, "{talk}");
    assert_ne!(fs::read(home.certificate(Party::Bank(hdfc))).expect("there"), before);
    // Two parties at the gateway, with an own key and certificate each.
    until_said(&home, Service::Gateway, "certificates were read again", 2);
    until_said(&home, Service::Bank(hdfc), "certificates were read again", 1);

    good(scene.cluster.signal(Service::Gateway, Signal::SIGHUP));
    until_said(&home, Service::Gateway, "told to read the certificates again", 1);
    fs::write(home.certificate(Party::Server), "no certificate").expect("written");
    until_said(&home, Service::Gateway, "stay as they were", 1);
    let (code, _, talk) = ended(strife(&home, &["certs", "ls"]).output().expect("ran"));
    assert_eq!(code, 8, "{talk}");
    fs::write(home.certificate(Party::Server), fs::read(newest(&home)).expect("there"))
        .expect("written");
    // Connections have ended at their age meanwhile, and were made again.
    std::thread::sleep(Duration::from_secs(3));
    stop.store(true, Ordering::Relaxed);
    for payer in payers {
        let (payer, count) = payer.join().expect("no payment failed");
        println!("client{}: {count} payments", payer.number());
        assert!(count > 10, "{count}");
        scene.payers.push(payer);
    }
    // Everything that a new start needs fits together.
    good(scene.cluster.stop_all());
    good(strife::certs::renew(&home, Party::Admin).map(drop));
    let (code, _, talk) = ended(strife(&home, &["certs", "renew", "ca"]).output().expect("ran"));
    assert_eq!(code, 2, "{talk}");
}

#[test]
fn an_audit_sees_every_bank_with_a_renewed_certificate_when_the_old_one_is_revoked() {
    let stage = Stage::begin();
    let home = stage.home().clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let config = Config::load(&home.config_file(), Flags::new()).expect("valid");
        let mut keeper = Keeper::new(&home);
        let mut auditor = good(Auditor::new(&home, &config, &mut keeper));
        let stop = CancellationToken::new();
        let kept = tokio::spawn(keeper.run(stop.clone()));
        let unseen = auditor.look().await.expect("the log is whole").unseen;
        assert!(unseen.is_empty(), "{unseen:?}");
        let old = strife::tls::certificate(&home, Party::Gateway).expect("there");
        good(strife::certs::renew(&home, Party::Gateway).map(drop));
        good(strife::certs::revoke(&home, &old).map(drop));
        let hdfc = Service::Bank("HDFC".parse().expect("a bank"));
        until_said(&home, hdfc, "a caller is not believed any more", 1);
        let end = Instant::now() + SOON;
        loop {
            let unseen = auditor.look().await.expect("the log is whole").unseen;
            if unseen.is_empty() {
                break;
            }
            assert!(Instant::now() < end, "it still shows the old one: {unseen:?}");
        }
        stop.cancel();
        kept.await.expect("ended");
    });
}

/// A certificate of the server that was retired: good, but not for its key.
fn newest(home: &Home) -> std::path::PathBuf {
    let entries = fs::read_dir(home.retired_certificates()).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let of_server = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("server-"))
    };
    paths.filter(of_server).last().expect("one")
}
