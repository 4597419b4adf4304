//! `strife drill simulate`, as a person or a script calls it.

use crate::support::live::{ended, strife};
use serde_json::Value;
use strife::home::Home;

fn simulate(arguments: &[&str]) -> (i32, Value, String) {
    let home = Home::new(std::env::temp_dir().join("strife-has-no-home-here"));
    let all = [&["drill", "simulate", "-o", "json"], arguments].concat();
    let (code, data, talk) = ended(strife(&home, &all).output().expect("ran"));
    (code, serde_json::from_str(&data).unwrap_or(Value::Null), talk)
}

#[test]
fn runs_are_simulated_on_all_cores_and_counted_by_fault() {
    let (code, found, talk) = simulate(&["--seeds", "60"]);
    assert_eq!((code, &found["ok"]), (0, &true.into()), "{found} {talk}");
    assert_eq!((&found["seeds"], &found["violations"]), (&60.into(), &0.into()));
    assert_eq!(found["first_failing_seed"], Value::Null);
    assert!(found["faults"]["kill"].as_u64().is_some_and(|kills| kills > 0), "{found}");
    assert!(found["runs_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{found}");
}

#[test]
fn a_fault_that_never_happens_shows_nothing_and_fails() {
    // A torn write takes a power cut, and none is allowed.
    let (code, found, talk) = simulate(&["--seeds", "1000", "--faults", "kill,torn-write"]);
    assert_eq!((code, &found["ok"]), (1, &false.into()), "{found} {talk}");
    assert_eq!(found["never_hit"], serde_json::json!(["torn-write"]));
    assert!(talk.contains("torn-write never happened"), "{talk}");
}

#[test]
fn one_seed_is_told_and_the_same_each_time() {
    let (code, first, talk) = simulate(&["--seed", "7", "--trace"]);
    assert_eq!(code, 0, "{talk}");
    assert!(first["trace"].as_array().is_some_and(|lines| lines.len() > 20), "{first}");
    assert_eq!(first, simulate(&["--seed", "7", "--trace"]).1);
}

#[test]
fn the_protocol_of_the_report_is_shown_losing_money_beside_ours() {
    let (code, found, talk) = simulate(&["--protocol", "report", "--seeds", "200"]);
    assert_eq!((code, &found["ok"]), (0, &true.into()), "{found} {talk}");
    assert!(found["money_lost"].as_u64().is_some_and(|runs| runs > 0), "{found}");
    assert_eq!(found["ours"]["violations"], 0);
    let story = found["story"].as_array().expect("a story");
    assert!(story.len() > 3, "{story:?}");
    let again = story.last().and_then(Value::as_str).expect("the line that repeats it");
    let again: Vec<_> = again.split(' ').skip(3).collect();
    let (code, told, _) = simulate(&again);
    assert_eq!((code, &told["ok"]), (6, &false.into()), "{told}");
}
