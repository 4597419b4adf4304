//! A whole data directory destroyed, together with a crash of everything under load, and made again
//! from the others: nothing that anybody was told is lost, and nothing happens twice.

use crate::support::live::{Stage, ended, good, strife};
use crate::watch::{Watch, cursor, history, id_and_state};
use nix::sys::signal::Signal;
use recovery::model::Reason;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use strife::home::Service;
use strife::live::{Asked, Heard, Payer};

/// Clients of all six banks.
const PAYERS: u32 = 6;
/// So many calls have been answered when everything dies.
const LOAD: u32 = 60;
/// By then, whatever the machine is busy with.
const SOON: Duration = Duration::from_mins(1);
/// More than anybody has.
const TOO_MUCH_MINOR: i64 = 5_000_000;

fn begun() -> Stage {
    let mut stage = Stage::begin();
    for number in 3..=PAYERS {
        let payer = good(Payer::new(stage.home(), number));
        stage.scene.payers.push(payer);
    }
    good(stage.scene.pay_for_sure());
    stage
}

/// Everybody pays the next, somebody of the own bank, and more than there is; in the middle of it
/// every process is killed.
fn kill_everything_under_load(stage: &mut Stage, round: &str) {
    let strife::live::Scene { cluster, payers, .. } = &mut stage.scene;
    let (dead, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for payer in payers.iter_mut() {
            let (dead, answered) = (&dead, &answered);
            scope.spawn(move || {
                let own = payer.number();
                let next = own % PAYERS + 1;
                let neighbour = own + PAYERS;
                let few = [(next, 1_00), (neighbour, 2_00)];
                let too_much = [next, neighbour].map(|payee| (payee, TOO_MUCH_MINOR));
                let kinds = few.into_iter().chain(too_much);
                for (number, (payee, minor)) in kinds.cycle().enumerate() {
                    if dead.load(Ordering::Relaxed) {
                        return;
                    }
                    if payer.pay(&format!("{round}-{number}"), payee, minor).is_final() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let until = Instant::now() + SOON;
        while answered.load(Ordering::Relaxed) < LOAD && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let services = cluster.services();
        for service in &services {
            good(cluster.signal(*service, Signal::SIGKILL));
        }
        dead.store(true, Ordering::Relaxed);
        for service in services {
            good(cluster.wait_ended(service, Duration::from_secs(10)));
        }
    });
    let answers = |heard: fn(&Heard) -> bool| {
        let asked = stage.scene.payers.iter().flat_map(|payer| payer.asked().values());
        asked.filter(|asked: &&Asked| asked.heard.iter().any(heard)).count()
    };
    assert!(answers(Heard::is_committed) > 10, "there was a load");
    assert!(answers(|heard| matches!(heard, Heard::Aborted { .. })) > 3, "some were declined");
}

/// A payment that is aborted because a bank is silent: nobody refused it, and of the reason that
/// its payer is given only those know who were told.
fn time_out(stage: &mut Stage, id: &str) {
    good(stage.scene.pay_for_sure());
    let strife::live::Scene { cluster, payers, .. } = &mut stage.scene;
    let silent = Service::Bank(strife::config::DEFAULT_BANKS[1].parse().expect("a bank name"));
    good(cluster.signal(silent, Signal::SIGSTOP));
    let heard = payers[0].pay(id, 2, 1_00);
    good(cluster.signal(silent, Signal::SIGCONT));
    let timed_out =
        matches!(&heard, Heard::Aborted { reason, .. } if reason == Reason::PrepareTimeout.name());
    assert!(timed_out, "{heard:?}");
}

/// Whoever watched the lost log misses nothing of the new one, which has no number of the old.
fn sees_all_of_the_new_log(stage: &Stage, cursor_before: u64, above: u64) {
    let after = cursor_before.to_string();
    let watch = Watch::start(stage.client(1, &["tx", "watch", "-o", "jsonl", "--after", &after]));
    let expected = history(stage);
    let until = Instant::now() + SOON;
    while watch.seen().len() < expected.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen = watch.kill();
    assert!(seen.iter().map(cursor).is_sorted_by(|a, b| a < b) && cursor(&seen[0]) > above);
    assert_eq!(seen.iter().map(id_and_state).collect::<BTreeSet<_>>(), expected);
    assert_eq!(seen.len(), expected.len(), "each once");
}

fn run(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let (code, _, talk) = ended(strife(stage.home(), arguments).output().expect("ran"));
    (code, talk)
}

#[test]
fn a_gateway_made_again_from_the_banks_answers_as_the_lost_one_did() {
    let mut stage = begun();
    let mut cursor_before = 1;
    for generation in 1..=2 {
        time_out(&mut stage, &format!("late{generation}"));
        kill_everything_under_load(&mut stage, &format!("load{generation}"));
        fs::remove_dir_all(stage.home().data(Service::Gateway)).expect("destroyed");
        let (code, talk) = run(&stage, &["rebuild", "gateway", "--from-banks"]);
        assert_eq!(code, 0, "{talk}");
        assert!(talk.contains("everyone signs in again"), "{talk}");
        stage.scene.payers.iter_mut().for_each(Payer::renumbered);
        good(stage.scene.begin());
        good(stage.scene.conclude());
        good(stage.scene.begin());
        sees_all_of_the_new_log(&stage, cursor_before, generation * 1_000_000_000);
        for asked in stage.scene.payers.iter().flat_map(|payer| payer.asked().values()) {
            let Some(Heard::Committed { lsn, .. } | Heard::Aborted { lsn, .. }) = asked.answer()
            else {
                panic!("no answer: {asked:?}")
            };
            assert!(*lsn > generation * 1_000_000_000, "above all numbers of the lost log: {lsn}");
            cursor_before = cursor_before.max(*lsn);
        }
    }
}

#[test]
fn each_bank_made_again_from_the_gateway_has_every_balance_and_owes_nobody() {
    let mut stage = begun();
    for bank in strife::config::DEFAULT_BANKS {
        kill_everything_under_load(&mut stage, bank);
        let service = Service::Bank(bank.parse().expect("a bank name"));
        fs::remove_dir_all(stage.home().data(service)).expect("destroyed");
        let (code, talk) = run(&stage, &["rebuild", "bank", bank, "--from-gateway"]);
        assert_eq!(code, 0, "{talk}");
        good(stage.scene.begin());
        good(stage.scene.wait_quiet());
    }
    good(stage.scene.conclude());
}

#[test]
fn nothing_is_made_again_over_what_is_there_or_from_less_than_all() {
    let mut stage = begun();
    let refused = |stage: &Stage, arguments: &[&str], code: i32, words: &[&str]| {
        let (found, talk) = run(stage, arguments);
        assert_eq!(found, code, "{talk}");
        let told = talk.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.iter().all(|word| told.contains(word)), "{talk}");
    };
    let gateway = ["rebuild", "gateway", "--from-banks"];
    let bank = ["rebuild", "bank", "HDFC", "--from-gateway"];
    refused(&stage, &gateway, 8, &["is there"]);
    refused(&stage, &bank, 8, &["is there"]);

    kill_everything_under_load(&mut stage, "load");
    let home = stage.home().clone();
    let hdfc = home.data(Service::Bank("HDFC".parse().expect("a bank name")));
    let (lost, lost_too) = (home.root().join("lost"), home.root().join("lost-too"));
    fs::rename(home.data(Service::Gateway), &lost).expect("moved away");
    fs::rename(&hdfc, &lost_too).expect("moved away");
    let words = [
        "cannot be made again without the journal of HDFC",
        "Nothing was made",
        "two losses need a backup",
    ];
    refused(&stage, &gateway, 6, &words);
    refused(&stage, &bank, 6, &["gateway"]);
    assert!(!home.data(Service::Gateway).exists() && !hdfc.exists(), "nothing was begun");

    // One of the two is found again, and the other follows from it.
    fs::rename(&lost_too, &hdfc).expect("found");
    let (code, talk) = run(&stage, &gateway);
    assert_eq!(code, 0, "{talk}");
    stage.scene.payers.iter_mut().for_each(Payer::renumbered);
    good(stage.scene.begin());

    // The old directory comes back, after all: no bank obeys it.
    good(stage.scene.cluster.stop(Service::Gateway));
    fs::rename(home.data(Service::Gateway), home.root().join("new")).expect("moved away");
    fs::rename(&lost, home.data(Service::Gateway)).expect("found too late");
    good(stage.scene.cluster.spawn(Service::Gateway, None));
    std::thread::sleep(Duration::from_secs(1));
    let heard = stage.scene.payers[0].pay("to-the-ghost", 2, 1_00);
    assert!(!heard.is_committed(), "{heard:?}");
    good(stage.scene.cluster.kill(Service::Gateway));
    fs::remove_dir_all(home.data(Service::Gateway)).expect("gone for good");
    fs::rename(home.root().join("new"), home.data(Service::Gateway)).expect("back");
    good(stage.scene.begin());
    good(stage.scene.conclude());
}
