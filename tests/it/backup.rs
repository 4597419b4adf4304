//! A backup of a running home, and what it is worth on the day it is needed.

use crate::support::live::{Stage, ended, good, strife};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strife::home::{Home, Service};
use strife::live::{Heard, Payer};

const PAYERS: u32 = 3;

fn json(home: &Home, arguments: &[&str]) -> serde_json::Value {
    let (code, data, talk) = ended(strife(home, arguments).output().expect("ran"));
    assert_eq!(code, 0, "{arguments:?}: {talk}");
    serde_json::from_str(&data).expect("JSON")
}

fn refused(home: &Home, arguments: &[&str], code: i32, saying: &str) {
    let (found, _, talk) = ended(strife(home, arguments).output().expect("ran"));
    assert_eq!(found, code, "{arguments:?}: {talk}");
    assert!(talk.contains(saying), "{arguments:?} does not say {saying:?}: {talk}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Pays until `stop`; what was heard so far is in `finals` whenever somebody looks.
fn pay_on(home: &Home, number: u32, stop: &AtomicBool, finals: &std::sync::Mutex<Finals>) {
    let mut payer = good(Payer::new(home, number));
    for turn in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let id = format!("backup-{number}-{turn}");
        let heard = payer.pay(&id, 1 + (number + turn) % 6 + 1, 1 + i64::from(turn % 7));
        if heard.is_final() {
            finals.lock().expect("whole").insert((number, id), heard);
        }
    }
}

type Finals = BTreeMap<(u32, String), Heard>;

#[test]
fn a_backup_of_a_home_under_load_restores_every_answer_that_was_given_before_it() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    let aside = tempfile::tempdir().expect("a directory");
    let stop = AtomicBool::new(false);
    let finals = std::sync::Mutex::new(Finals::new());
    let mut backups = Vec::new();
    std::thread::scope(|scope| {
        for number in 1..=PAYERS {
            let (home, stop, finals) = (&home, &stop, &finals);
            scope.spawn(move || pay_on(home, number, stop, finals));
        }
        for turn in 0..3 {
            let until = Instant::now() + Duration::from_secs(20);
            let enough = 10 * (turn + 1);
            while finals.lock().expect("whole").len() < enough && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            let answered = finals.lock().expect("whole").clone();
            let to = aside.path().join(format!("backup-{turn}"));
            json(&home, &["backup", text(&to), "-o", "json"]);
            backups.push((to, answered));
        }
        stop.store(true, Ordering::Relaxed);
    });
    good(stage.scene.cluster.stop_all());
    for (turn, (backup, answered)) in backups.iter().enumerate() {
        assert!(answered.len() >= 10 * (turn + 1), "too little was paid before the backup");
        fs::rename(home.root(), aside.path().join(format!("home-{turn}"))).expect("moved");
        let restored = json(&home, &["restore", text(backup), "-o", "json"]);
        assert!(restored["payments"].as_u64() >= Some(answered.len() as u64));
        good(stage.scene.cluster.start_all());
        good(stage.scene.wait_quiet());
        for number in 1..=PAYERS {
            let mut payer = good(Payer::new(&home, number));
            for ((_, id), heard) in answered.iter().filter(|((of, _), _)| *of == number) {
                assert_eq!(payer.ask(id).afresh(), heard.afresh(), "{id} in backup {turn}");
            }
        }
        good(stage.scene.cluster.stop_all());
        let audit = json(&home, &["audit", "-o", "json"]);
        assert_eq!((&audit["ok"], &audit["holds"]), (&true.into(), &0.into()), "{audit}");
    }
}

#[test]
fn a_lost_directory_comes_back_from_a_backup_only_if_nobody_remembers_more() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    let aside = tempfile::tempdir().expect("a directory");
    let (old, new) = (aside.path().join("old"), aside.path().join("new"));
    good(stage.scene.pay_for_sure());
    json(&home, &["backup", text(&old), "-o", "json"]);
    refused(&home, &["backup", text(&old)], 8, "is there already");
    refused(&home, &["restore", text(&old)], 8, "nothing is missing");
    good(stage.scene.pay_for_sure());
    good(stage.scene.wait_quiet());
    good(stage.scene.cluster.stop_all());
    json(&home, &["backup", text(&new), "-o", "json"]);
    // The gateway, and the two banks between which was paid since.
    let took_part = ["gateway", "HDFC", "ICICI"];
    let services = stage.scene.cluster.services().into_iter();
    for service in services.filter(|it| took_part.contains(&it.to_string().as_str())) {
        let lost = aside.path().join(format!("lost-{service}"));
        fs::rename(home.data(service), &lost).expect("moved");
        refused(&home, &["restore", text(&old)], 6, "strife rebuild");
        assert!(!home.data(service).exists(), "an old log of {service} was put there");
        json(&home, &["restore", text(&new), "-o", "json"]);
    }
    let victim = home.data(Service::Gateway);
    fs::rename(&victim, aside.path().join("again")).expect("moved");
    let segment = fs::read_dir(new.join("data/gateway/wal")).expect("there").next();
    let segment = segment.expect("one").expect("readable").path();
    let mut bytes = fs::read(&segment).expect("read");
    bytes[5000] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    refused(&home, &["restore", text(&new)], 6, "the backup is damaged");
    bytes[5000] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    json(&home, &["restore", text(&new), "-o", "json"]);
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    good(stage.scene.conclude());
}
