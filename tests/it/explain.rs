//! `strife tx explain` on logs that are the same each time.

use crate::support::logs::{Logs, bank};
use crate::wal_cli::{golden, said};
use serde_json::Value;
use strife::home::Service;

fn explained(logs: &Logs, arguments: &[&str]) -> Value {
    let all: Vec<&str> =
        ["tx", "explain"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
    let (code, data, talk) = said(logs, &all);
    assert_eq!(code, 0, "{talk}");
    serde_json::from_str(&data).expect("JSON")
}

#[test]
fn a_payment_is_drawn_as_all_logs_saw_it() {
    let logs = Logs::write();
    insta::assert_snapshot!("explain_committed", golden(&logs, &["tx", "explain", "rent-8"]));
    insta::assert_snapshot!("explain_refused", golden(&logs, &["tx", "explain", "client1/tea-9"]));
    let interrupted = ["tx", "explain", "6a6a6a6a6a6a6a6a-1-3"];
    insta::assert_snapshot!("explain_interrupted", golden(&logs, &interrupted));
    insta::assert_snapshot!("explain_in_doubt", golden(&logs, &["tx", "explain", "loan-2"]));
    let mermaid = ["tx", "explain", "self-4", "--mermaid"];
    insta::assert_snapshot!("explain_mermaid", golden(&logs, &mermaid));
}

#[test]
fn an_explanation_in_json_says_when_it_was_fixed_and_how_long_each_bank_waited() {
    let logs = Logs::write();
    let told = explained(&logs, &["rent-8"]);
    assert_eq!((&told["state"], &told["lsn"]), (&"COMMITTED".into(), &13.into()));
    assert_eq!(told["uncertainty"][0]["uncertain_ms"], 15, "{told}");
    let steps = told["steps"].as_array().expect("steps");
    let fixed: Vec<_> = steps.iter().filter(|step| step["commit_point"] == true).collect();
    assert_eq!((fixed.len(), &fixed[0]["forced"]), (1, &true.into()));
    let told = explained(&logs, &["gift-1"]);
    assert_eq!(told["restarts"][0]["epoch"], 2, "{told}");
    assert_eq!(told["reason"], "INTERRUPTED");
    let told = explained(&logs, &["loan-2"]);
    assert_eq!((&told["ended"], &told["state"]), (&false.into(), &"COMMITTED".into()));
    assert!(told["uncertainty"].to_string().contains("\"uncertain_ms\":null"), "{told}");
}

#[test]
fn causes_come_before_effects_whatever_the_clocks_say() {
    let logs = Logs::write();
    let told = explained(&logs, &["rent-8"]);
    let steps = told["steps"].as_array().expect("steps");
    let at = |kind: &str| {
        let found = steps.iter().position(|step| step["kind"] == kind);
        found.unwrap_or_else(|| panic!("{kind} in {told}"))
    };
    assert!(at("Began") < at("Held") && at("Held") < at("Voted"));
    assert!(at("Voted") < at("Decided") && at("Decided") < at("Posted"));
    assert!(at("Posted") < at("Settled") && at("Settled") < at("Ended"));
}

#[test]
fn a_payment_is_explained_from_one_bank_alone_and_an_unknown_one_is_not_found() {
    let logs = Logs::write();
    let told = explained(&logs, &["loan-2", "--log", "ICICI"]);
    assert_eq!((&told["state"], &told["lsn"]), (&"PENDING".into(), &Value::Null));
    assert!(told["remarks"].to_string().contains("does not know the outcome"), "{told}");
    let (code, _, talk) = said(&logs, &["tx", "explain", "no-such-id"]);
    assert!(code == 3 && talk.contains("PAYMENT_NOT_FOUND"), "{code} {talk}");
    // A log that cannot be read is said, and the others still speak.
    let file = &logs.segments(Service::Bank(bank("HDFC")))[0];
    std::fs::write(file, b"not a segment").expect("written");
    let told = explained(&logs, &["rent-8"]);
    assert_eq!(told["state"], "COMMITTED");
    assert_eq!(told["unread"].as_array().map(Vec::len), Some(1), "{told}");
}
