//! `strife audit` and `strife drill`, as a person or a script calls them.

use crate::support::live::{Stage, Turn, ended, good, strife};
use crate::support::scrape::{Figures, until};
use recovery::bank;
use recovery::drill::point::Point;
use recovery::fact::{BankFact, BankStarted, Held, Posted};
use recovery::model::{Amount, BankName, Currency, GlobalId, Heard, Memo, Order, Reference, Terms};
use recovery::record;
use serde_json::Value;
use std::fs;
use strife::home::{Home, Service};
use strife::journal::{self, StartPoints};

fn audit(home: &Home) -> (i32, Value, String) {
    let output = strife(home, &["audit", "-o", "json"]).output().expect("ran");
    let (code, data, talk) = ended(output);
    (code, serde_json::from_str(&data).unwrap_or(Value::Null), talk)
}

#[test]
fn an_audit_agrees_beside_running_services_and_after_them() {
    let mut stage = Stage::begin();
    for _ in 0..3 {
        good(stage.scene.pay_for_sure());
        let (code, found, talk) = audit(stage.home());
        assert_eq!((code, &found["ok"]), (0, &true.into()), "{found} {talk}");
    }
    good(stage.scene.cluster.stop_all());
    let (code, found, _) = audit(stage.home());
    assert_eq!((code, &found["payments"]), (0, &3.into()), "{found}");
    assert_eq!(found["money"]["expected_minor"], 12_000_000);
    assert_eq!(found["money"]["found_minor"], 12_000_000);
    assert!(found["mirror_lsn"].as_u64().is_some_and(|lsn| lsn > 0), "{found}");
    let (code, text, _) = ended(strife(stage.home(), &["audit"]).output().expect("ran"));
    assert!(code == 0 && text.starts_with("All logs agree."), "{text}");
}

/// The banks are asked over the wire, in mid-traffic; one that is down is named as not seen.
#[test]
fn an_online_audit_asks_the_banks_and_names_those_that_it_has_not_seen() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    let online = || {
        let output = strife(&home, &["audit", "--online", "-o", "json"]).output().expect("ran");
        let (code, data, talk) = ended(output);
        (code, serde_json::from_str::<Value>(&data).unwrap_or(Value::Null), talk)
    };
    good(stage.scene.pay_for_sure());
    let (code, found, talk) = online();
    assert_eq!((code, &found["ok"]), (0, &true.into()), "{found} {talk}");
    assert_eq!(found["money"]["found_minor"], 12_000_000);
    assert_eq!(found["not_seen"], serde_json::json!([]));
    good(stage.scene.cluster.kill(Service::Bank("Kotak".parse().expect("a bank name"))));
    let (code, found, talk) = online();
    assert_eq!((code, &found["ok"]), (0, &true.into()), "{found} {talk}");
    assert_eq!(found["money"]["expected_minor"], 10_000_000);
    let not_seen = found["not_seen"].as_array().expect("a list");
    assert!(not_seen.len() == 1 && not_seen[0].to_string().contains("Kotak"), "{found}");
}

/// Writes `facts` into the log of a bank that is stopped, as nobody but a defect would.
fn forge(stage: &Stage, bank: BankName, facts: impl FnOnce(&bank::State) -> Vec<BankFact>) {
    let directory = stage.home().data(Service::Bank(bank));
    let segment_bytes = stage.scene.cluster.config().wal.segment_bytes;
    let points = StartPoints { replayed: Point::BankRecovering, begun: None };
    let started = journal::open::<bank::State>(
        &directory,
        wal::Options { segment_bytes },
        None,
        points,
        |_, _| {},
        |state| {
            let (epoch, start_id) = (state.epoch() + 1, journal::fresh_start_id());
            (epoch, BankStarted { epoch, start_id, version: "forged".into() }.into())
        },
    );
    let mut started = started.unwrap_or_else(|error| panic!("{error}"));
    for fact in facts(&started.state) {
        started.log.append(record::encode(&fact).entry(journal::wall_ms())).expect("appended");
    }
    started.log.sync().expect("durable");
}

/// Half of a payment that no client ordered: given at ICICI, and taken nowhere.
fn half_a_payment(state: &bank::State) -> Vec<BankFact> {
    let gateway = *state.fences.keys().next().expect("a gateway");
    let payment = GlobalId { origin: gateway.origin(), epoch: 1, number: 1 << 40 };
    let heard = Heard { gateway, lsn: 0 };
    let order = Order {
        reference: Reference {
            client: "client1".parse().expect("a client"),
            transaction: "never-ordered".parse().expect("an id"),
        },
        terms: Terms {
            payer: 10_000_000_000_001.try_into().expect("an account"),
            payee: *state.accounts.keys().next().expect("an account"),
            amount: Amount::try_from(50_00).expect("positive"),
            currency: Currency::INR,
            memo: Memo::default(),
        },
        payer_bank: "HDFC".parse().expect("a bank"),
        payee_bank: "ICICI".parse().expect("a bank"),
    };
    vec![Held { payment, order, heard }.into(), Posted { payment, heard }.into()]
}

/// Money that a bank has made is found while everything runs, by whoever asks and by the gateway's
/// own timer, and laid at that bank's door.
#[test]
fn an_online_audit_finds_money_that_was_made_and_names_the_bank_that_has_it() {
    let mut stage = Stage::set_with(|config| config.gateway.audit_every_s = 1);
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    let metrics = stage.scene.cluster.config().console.address.clone();
    let name: BankName = "ICICI".parse().expect("a bank name");
    assert_eq!(Figures::read(&metrics).whole("strife_money_delta_minor"), 0);
    good(stage.scene.cluster.stop(Service::Bank(name)));
    forge(&stage, name, half_a_payment);
    good(stage.scene.restart(Service::Bank(name)));
    until(&metrics, |now| now.whole("strife_money_delta_minor") == 50_00);
    let output = strife(stage.home(), &["audit", "--online", "-o", "json"]).output().expect("ran");
    let (code, found, talk) = ended(output);
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!((code, &found["ok"]), (6, &false.into()), "{found} {talk}");
    let all = found["disagreements"].as_array().expect("a list");
    let named = |invariant: &str, wrong: &str| {
        all.iter().any(|one| one["invariant"] == invariant && one["wrong"] == wrong)
    };
    assert!(named("I1", "ICICI"), "its balance is not what its payments make: {found}");
    assert!(named("I2", "gateway or ICICI"), "a posting that nobody decided: {found}");
    let said = stage.scene.cluster.talk(Service::Gateway);
    assert!(said.contains("the audit finds"), "{said}");
}

#[test]
fn an_audit_names_a_bank_whose_journal_lost_its_end_with_6() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    let bank = Service::Bank("ICICI".parse().expect("a bank name"));
    good(stage.scene.cluster.stop(bank));
    let old = home.root().join("old");
    fs::create_dir(&old).expect("made");
    for entry in fs::read_dir(home.wal(bank)).expect("there") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), old.join(entry.file_name())).expect("copied");
    }
    good(stage.scene.restart(bank));
    good(stage.scene.pay_for_sure());
    good(stage.scene.wait_quiet());
    good(stage.scene.cluster.stop_all());
    fs::remove_dir_all(home.wal(bank)).expect("removed");
    fs::rename(&old, home.wal(bank)).expect("renamed");
    let (code, found, talk) = audit(&home);
    assert_eq!((code, &found["ok"]), (6, &false.into()), "{found} {talk}");
    let named = |found: &Value| found["what"].as_str().is_some_and(|what| what.contains("ICICI"));
    let all = found["disagreements"].as_array().expect("a list");
    assert!(!all.is_empty() && all.iter().all(named), "{found}");
}

#[test]
fn an_audit_of_a_damaged_log_names_the_file_and_compares_nothing() {
    let stage = Stage::set();
    let home = stage.home();
    let segments = fs::read_dir(home.wal(Service::Gateway)).expect("there");
    let segment = segments.map(|entry| entry.expect("an entry").path()).max().expect("a segment");
    let mut bytes = fs::read(&segment).expect("read");
    bytes[4096 + 100] ^= 1;
    fs::write(&segment, bytes).expect("written");
    let (code, _, talk) = audit(home);
    let name = segment.file_name().expect("a name").to_string_lossy();
    assert!(code == 6 && talk.contains(&*name), "{code} {talk}");
}

#[test]
fn a_drill_tells_what_it_did_in_json_and_an_unknown_one_is_a_usage_error() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path().join("home"));
    let run = |arguments: &[&str]| ended(strife(&home, arguments).output().expect("ran"));
    let (code, listed, _) = run(&["drill", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert!(code == 0 && listed["drills"].as_array().is_some_and(|all| all.len() >= 44));
    let (code, told, talk) =
        run(&["drill", "run", "after-first-tell", "--seed", "5", "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((code, &told["ok"], &told["seed"]), (0, &true.into(), &5.into()), "{talk}");
    let drill = &told["drills"][0];
    assert_eq!((&drill["victim"], &drill["ok"]), (&"gateway".into(), &true.into()));
    assert_eq!(drill["outcome"], "COMMITTED", "what was decided stands");
    let (code, written, talk) = run(&["drill", "report", "-o", "json"]);
    let written: Value = serde_json::from_str(&written).expect("JSON");
    let page = fs::read_to_string(written["html"].as_str().expect("a path")).expect("a page");
    assert!(code == 0 && page.contains("after-first-tell") && page.contains("--seed 5"), "{talk}");
    let (code, _, talk) = run(&["drill", "run", "after-lunch"]);
    assert_eq!(code, 2, "{talk}");
}
