//! `strife bench` on small runs: what it prints, what it writes, and that it leaves clean logs.

use crate::support::live::{Turn, ended};
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn bench(directory: &Path, duration: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("strife"));
    let small =
        ["bench", "--duration", duration, "--rounds", "1", "--accounts", "24", "-o", "json"];
    command.args(small).arg("--in").arg(directory).args(arguments);
    ended(command.output().expect("ran"))
}

fn report(out: &str) -> Value {
    serde_json::from_str(out).expect("one object")
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {report}"))
}

#[test]
fn a_bench_says_what_it_measured_against_what_and_that_the_logs_agree() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (json, svg) = (file("figures.json"), file("latency.svg"));
    let (code, out, err) =
        bench(directory.path(), "1s", &["--clients", "8", "--json", &json, "--svg", &svg]);
    assert_eq!(code, 0, "{out}{err}");
    let report = report(&out);
    for name in ["payments_per_s", "echo_rpc_per_s", "nosync_payments_per_s", "fdatasync_us"] {
        assert!(number(&report, name) > 0.0, "{name}: {report}");
    }
    for name in ["p50_us", "p99_us", "p999_us", "committed", "aborted", "unknown"] {
        assert!(report[name].is_u64(), "{name}: {report}");
    }
    assert_eq!((&report["ack"], &report["clients"]), (&"settled".into(), &8.into()));
    assert!(number(&report, "p50_us") <= number(&report, "p99_us"));
    assert!(number(&report, "echo_ratio") < 1.0, "a payment is more than an echo: {report}");
    // A payment is a Held at two banks, and Began, two votes and a decision at the gateway.
    assert!(number(&report, "gateway_records_per_sync") >= 1.0, "{report}");
    assert!(number(&report["cpu_us_per_payment"], "gateway") > 0.0, "{report}");
    assert_eq!((&report["audit_ok"], &report["unknown"]), (&true.into(), &0.into()), "{report}");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&json).expect("written"))
        .expect("the same object");
    assert_eq!(written["committed"], report["committed"]);
    assert!(std::fs::read_to_string(&svg).expect("written").ends_with("</svg>\n"));
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("listed").collect();
    assert_eq!(left.len(), 2, "the homes are gone: {left:?}");
}

#[test]
fn streams_answer_every_payment_also_those_that_are_sent_twice() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("a directory");
    let streams = ["--streams", "2", "--clients", "128", "--ack", "decided", "--no-ceilings"];
    let (code, out, err) =
        bench(directory.path(), "1s", &[&streams[..], &["--workload", "duplicates"]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let report = report(&out);
    assert!(number(&report, "committed") > 128.0, "{report}");
    assert_eq!((&report["unknown"], &report["audit_ok"]), (&0.into(), &true.into()), "{report}");
}

#[test]
fn an_open_loop_is_paced_by_the_clock_and_a_killed_bank_costs_no_money() {
    let _turn = Turn::take();
    let directory = tempfile::tempdir().expect("a directory");
    let paced = ["--rate", "50", "--clients", "8", "--no-ceilings", "--workload", "killed-bank"];
    let (code, out, err) = bench(directory.path(), "4s", &paced);
    assert!(code == 0 || err.contains("late"), "{out}{err}");
    let report = report(&out);
    let names = ["committed", "aborted", "pending", "refused", "unknown"];
    let all: f64 = names.iter().map(|name| number(&report, name)).sum();
    assert!((100.0..300.0).contains(&all), "50 a second for 4 s: {report}");
    for name in ["others_p99_us", "others_p99_ratio"] {
        assert!(number(&report, name) > 0.0, "payments between the other five: {report}");
    }
    assert_eq!(report["audit_ok"], true, "{report}");
}

#[test]
fn no_service_runs_without_syncing_outside_of_a_bench() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("home");
    let strife = || Command::new(assert_cmd::cargo::cargo_bin("strife"));
    strife().arg("--home").arg(&home).arg("init").assert().success();
    for role in [&["gateway"][..], &["bank", "HDFC"]] {
        let refused =
            strife().arg("--home").arg(&home).args(role).arg("--without-sync").assert().code(8);
        let talk = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(talk.contains("does not run without syncing"), "{talk}");
    }
}
