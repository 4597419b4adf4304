//! What `wal what-if` says of a prefix, against what becomes of the payments.
//!
//! A real gateway is killed at several places and started again: each prefix that it left is one
//! from which a restart really happened. Then every other prefix of the same log is asked, too.

use crate::support::live::{Stage, good};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::time::Duration;
use strife::home::Service;
use strife::inspect::Source;
use strife::inspect::fold::{Folded, State};
use strife::inspect::moment::Moment;
use strife::inspect::state::{Snapshot, snapshot, state};
use strife::inspect::words::Accounts;

fn now(source: &Source, at: Option<Moment>) -> Snapshot {
    good(state(source, at, Accounts::Masked))
}

/// Payments by their global ids, with what a restart makes of them.
fn predicted(snapshot: &Snapshot) -> BTreeMap<String, (&'static str, &'static str)> {
    let doubts = snapshot.in_doubt.iter();
    doubts.map(|doubt| (doubt.payment.clone(), (doubt.plan, doubt.outcome))).collect()
}

#[test]
fn what_if_says_what_a_restart_does_for_every_prefix_of_a_real_log() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let source = good(Source::of(stage.home(), Service::Gateway));
    let mut crashes = Vec::new();
    kill_undecided(&mut stage, &source);
    for next in [Some("after-decision-durable"), Some("after-first-settled"), None] {
        let left = now(&source, None);
        crashes.push((left.at_lsn, predicted(&left)));
        // The recovery from this crash is not to be the next one.
        good(stage.scene.restart(Service::Gateway));
        good(stage.scene.wait_quiet());
        if next.is_some() {
            good(stage.scene.cluster.stop(Service::Gateway));
            good(stage.scene.cluster.start(Service::Gateway, next));
            good(stage.scene.pay_until_dead(Service::Gateway, 7_00));
        }
    }
    good(stage.scene.cluster.stop_all());
    let end = now(&source, None);
    assert!(end.in_doubt.is_empty() && end.stopped, "{:?}", end.in_doubt);
    let became: BTreeMap<&str, &str> =
        end.payments.iter().map(|payment| (&*payment.payment, &*payment.state)).collect();
    // Restarted for real: all came as was said, whatever it was.
    let mut plans = Vec::new();
    for (lsn, predicted) in &crashes {
        for (payment, (plan, outcome)) in predicted {
            assert_eq!(became[&**payment], *outcome, "{payment} after {lsn}: {plan}");
            plans.push(*plan);
        }
    }
    assert!(plans.contains(&"abort-once-heard") && plans.contains(&"tell-commit"), "{plans:?}");
    // Every prefix: what is decided in it stays, and what the log went on to say is what it said.
    let mut folded = Folded::new(&source);
    for lsn in 1..=end.at_lsn {
        good(folded.advance(&source, Some(Moment::Lsn(lsn))));
        let at = snapshot("gateway", &folded.state, Accounts::Masked);
        assert_eq!(at.at_lsn, lsn);
        for (payment, (plan, outcome)) in predicted(&at) {
            let fits = match plan {
                "abort-once-heard" => outcome == "ABORTED",
                _ => became[&*payment] == outcome,
            };
            assert!(fits, "{payment} after {lsn}: {plan}");
        }
        agrees_with_a_start(&folded.state, &at);
    }
    banks_agree(&stage, &became);
}

/// Kills the gateway once a payment is in its log that a bank keeps waiting for its vote.
fn kill_undecided(stage: &mut Stage, source: &Source) {
    let bank = Service::Bank("ICICI".parse().expect("a bank"));
    good(stage.scene.wait_quiet());
    good(stage.scene.cluster.signal(bank, Signal::SIGSTOP));
    let pid = stage.home().running(Service::Gateway).expect("it runs").pid;
    let killer = {
        let source = source.clone();
        std::thread::spawn(move || {
            for _ in 0..400 {
                let doubts = now(&source, None).in_doubt;
                if doubts.iter().any(|doubt| doubt.plan == "abort-once-heard") {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("killed");
        })
    };
    stage.scene.pay_minor(9_00);
    killer.join().expect("it killed");
    good(stage.scene.cluster.signal(bank, Signal::SIGCONT));
    good(stage.scene.died(Service::Gateway));
}

/// The machine that a start makes of the same prefix: what it would tell, and to whom.
fn agrees_with_a_start(state: &State, at: &Snapshot) {
    let State::Gateway(replay) = state else { panic!("not a gateway's log") };
    if replay.state.start().is_none() {
        return;
    }
    let open: Vec<String> = replay.state.open.iter().map(ToString::to_string).collect();
    let said: Vec<String> = at.in_doubt.iter().map(|doubt| doubt.payment.clone()).collect();
    assert_eq!(open, said, "a payment is open if and only if a restart is said to settle it");
    for payment in &replay.state.open {
        let payment = replay.state.payments[payment].payment;
        let restarted = recovery::payment::decide(payment, recovery::payment::Event::Interrupted);
        let aborts = restarted.facts.iter().any(|fact| {
            matches!(fact, recovery::payment::Fact::Decided(decision)
                if decision != &recovery::model::Decision::Commit)
        });
        assert_eq!(aborts, payment.decision().is_none());
    }
}

/// A bank's hold is kept until the gateway says: no prefix of its journal tells more.
fn banks_agree(stage: &Stage, became: &BTreeMap<&str, &str>) {
    let bank = Service::Bank("ICICI".parse().expect("a bank"));
    let source = good(Source::of(stage.home(), bank));
    let mut folded = Folded::new(&source);
    let end = now(&source, None);
    let mut held = 0;
    for lsn in 1..=end.at_lsn {
        good(folded.advance(&source, Some(Moment::Lsn(lsn))));
        let at = snapshot("ICICI", &folded.state, Accounts::Masked);
        for (payment, (plan, outcome)) in predicted(&at) {
            assert_eq!((plan, outcome), ("keep-hold", "UNKNOWN"));
            assert!(became.contains_key(&*payment), "{payment} at {lsn}");
            held += 1;
        }
    }
    assert!(held > 0, "no prefix held anything");
}
