//! `strife wal` on logs that are the same each time: what each command prints, to the letter.

use crate::support::live::ended;
use crate::support::logs::{Logs, bank};
use std::path::Path;
use strife::home::Service;

/// Runs a command on a home, with the home's place and times of this run taken out.
pub(crate) fn said(logs: &Logs, arguments: &[&str]) -> (i32, String, String) {
    let output = crate::support::live::strife(&logs.home, arguments).output().expect("ran");
    let (code, data, talk) = ended(output);
    let root = logs.home.root().display().to_string();
    (code, data.replace(&root, "HOME"), talk.replace(&root, "HOME"))
}

/// As one text, for a snapshot.
pub(crate) fn golden(logs: &Logs, arguments: &[&str]) -> String {
    let (code, data, talk) = said(logs, arguments);
    let talk = if talk.is_empty() { talk } else { format!("---- stderr\n{talk}") };
    format!("$ strife {}\n{data}{talk}---- exit {code}\n", arguments.join(" "))
}

fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn a_list_is_a_line_a_record_with_money_as_money() {
    let logs = Logs::write();
    insta::assert_snapshot!("wal_ls_gateway", golden(&logs, &["wal", "ls"]));
    insta::assert_snapshot!("wal_ls_hdfc", golden(&logs, &["wal", "ls", "HDFC", "--unmask"]));
}

#[test]
fn filters_narrow_a_list_to_what_was_asked() {
    let logs = Logs::write();
    let shown = |filter: &[&str]| -> Vec<u64> {
        let all: Vec<&str> = ["wal", "ls", "-o", "jsonl"].iter().chain(filter).copied().collect();
        let (code, data, talk) = said(&logs, &all);
        assert_eq!(code, 0, "{filter:?}: {talk}");
        lines(&data).iter().map(|line| line["lsn"].as_u64().expect("a number")).collect()
    };
    assert_eq!(shown(&["--tx", "rent-8"]), (10..=16).collect::<Vec<_>>());
    assert_eq!(shown(&["--tx", "client1/rent-8"]), (10..=16).collect::<Vec<_>>());
    assert_eq!(shown(&["--tx", "6a6a6a6a6a6a6a6a-1-3"]), [23, 27, 28, 29, 30]);
    assert_eq!(shown(&["--tx", "client2/rent-8"]), [0_u64; 0]);
    assert_eq!(shown(&["--client", "client2"]), [5, 23, 27, 28, 29, 30]);
    assert_eq!(shown(&["--kind", "decided", "--from", "14"]), [19, 27, 34, 40]);
    assert_eq!(shown(&["--kind", "Ended", "--kind", "Started"]), [7, 16, 22, 24, 30, 42]);
    assert_eq!(shown(&["--bank", "ICICI", "--to", "13"]), [3, 5, 9, 10, 11, 12, 13]);
    assert_eq!(shown(&["--from", "41"]), [41, 42]);
    assert_eq!(shown(&["--last", "2"]), [41, 42]);
    assert_eq!(shown(&["--last", "0"]), [0_u64; 0]);
    assert_eq!(shown(&["--to", "2026-08-06T07:06:41.020Z"]), (1..=9).collect::<Vec<_>>());
    let (code, _, talk) = said(&logs, &["wal", "ls", "--kind", "Decide"]);
    assert!(code == 2 && talk.contains("Decided"), "{code} {talk}");
}

#[test]
fn a_record_in_json_has_the_names_that_were_promised() {
    let logs = Logs::write();
    let (_, data, _) = said(&logs, &["wal", "ls", "--from", "13", "--to", "13", "-o", "jsonl"]);
    let line = &lines(&data)[0];
    for name in [
        "lsn",
        "kind",
        "wall_ms",
        "payment",
        "transaction_id",
        "epoch",
        "segment",
        "offset",
        "bytes",
        "crc",
    ] {
        assert!(!line[name].is_null(), "{name} in {line}");
    }
    assert_eq!((&line["kind"], &line["decision"]), (&"Decided".into(), &"COMMIT".into()));
    assert_eq!(line["transaction_id"], "rent-8", "a decision names it only by its global id");
    let (_, data, _) = said(&logs, &["wal", "ls", "--last", "2", "-o", "json"]);
    let whole: serde_json::Value = serde_json::from_str(&data).expect("one object");
    assert_eq!((&whole["count"], &whole["records_in_log"]), (&2.into(), &42.into()), "{whole}");
    assert_eq!(whole["records"].as_array().map(Vec::len), Some(2));
    let (_, data, _) = said(&logs, &["wal", "ls", "--kind", "BankReplaced", "-o", "json"]);
    let none: serde_json::Value = serde_json::from_str(&data).expect("one object");
    assert_eq!(none["records"], serde_json::json!([]));
}

#[test]
fn a_copied_directory_is_read_without_home_or_configuration() {
    let logs = Logs::write();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let copy = elsewhere.path().join("from that machine");
    copy_all(&logs.home.data(Service::Bank(bank("HDFC"))), &copy);
    let nowhere = strife::home::Home::new(elsewhere.path().join("no-home"));
    for path in [copy.clone(), copy.join("wal")] {
        let path = path.display().to_string();
        let run = |command: &[&str]| {
            let arguments: Vec<&str> =
                ["wal"].iter().chain(command).copied().chain([&*path]).collect();
            ended(crate::support::live::strife(&nowhere, &arguments).output().expect("ran"))
        };
        let (code, data, talk) = run(&["ls", "--kind", "Posted", "-o", "jsonl"]);
        assert_eq!((code, lines(&data).len()), (0, 3), "{talk}");
        let (code, data, talk) = run(&["verify"]);
        assert!(code == 0 && data.contains("clean"), "{code} {data} {talk}");
        assert!(data.contains("bank_HDFC.db shows it through record 16"), "{data}");
        let (code, data, talk) = run(&["stats"]);
        assert!(code == 0 && data.contains("AccountOpened"), "{code} {talk}");
    }
    assert!(!nowhere.root().exists(), "nothing is made where nothing was");
}

pub(crate) fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("there").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[test]
fn verify_says_of_each_log_that_it_is_whole_and_who_knows_of_it() {
    let logs = Logs::write();
    insta::assert_snapshot!("wal_verify", golden(&logs, &["wal", "verify"]));
    let (code, data, _) = said(&logs, &["wal", "verify", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&data).expect("one object");
    assert_eq!((code, &found["ok"]), (0, &true.into()));
    assert_eq!(found["logs"][0]["view"]["applied_lsn"], 42);
}

#[test]
fn stats_count_what_a_log_is_made_of() {
    let logs = Logs::write();
    insta::assert_snapshot!("wal_stats", golden(&logs, &["wal", "stats"]));
}

#[test]
fn a_log_is_shown_as_it_was_at_any_record_or_time() {
    let logs = Logs::write();
    let state = |arguments: &[&str]| {
        let all: Vec<&str> = ["wal", "state"].iter().chain(arguments).copied().collect();
        golden(&logs, &all)
    };
    insta::assert_snapshot!("wal_state_gateway", state(&["--at", "37", "--all"]));
    insta::assert_snapshot!("wal_state_hdfc", state(&["HDFC", "--at", "2026-08-06 07:06:50.010"]));
    let (code, _, talk) = said(&logs, &["wal", "state", "--at", "43"]);
    assert!(code == 2 && talk.contains("ends at 42"), "{code} {talk}");
    insta::assert_snapshot!("wal_diff", golden(&logs, &["wal", "diff", "16", "42"]));
    insta::assert_snapshot!("wal_diff_hdfc", golden(&logs, &["wal", "diff", "HDFC@5", "HDFC"]));
    let (code, _, talk) = said(&logs, &["wal", "diff", "gateway", "HDFC"]);
    assert!(code == 2 && talk.contains("different services"), "{code} {talk}");
}

#[test]
fn what_a_restart_would_do_is_said_with_its_reason() {
    let logs = Logs::write();
    let what_if = |log: &str, at: &str| golden(&logs, &["wal", "what-if", log, "--crash-at", at]);
    insta::assert_snapshot!("wal_what_if_gateway", what_if("gateway", "39"));
    insta::assert_snapshot!("wal_what_if_hdfc", what_if("HDFC", "12"));
}

#[test]
fn an_export_is_the_list_in_a_file_and_never_writes_over_one() {
    let logs = Logs::write();
    let to = |name: &str| logs.home.root().join(name).display().to_string();
    let (code, _, talk) = said(&logs, &["wal", "export", "--file", &to("a.jsonl")]);
    assert_eq!(code, 0, "{talk}");
    let (_, listed, _) = said(&logs, &["wal", "ls", "-o", "jsonl"]);
    assert_eq!(std::fs::read_to_string(to("a.jsonl")).expect("written"), listed);
    let (code, _, talk) = said(&logs, &["wal", "export", "--file", &to("a.jsonl")]);
    assert!(code == 2 && talk.contains("is there already"), "{code} {talk}");
    let (code, _, talk) = said(&logs, &["wal", "export", "HDFC", "--file", &to("a.csv")]);
    assert_eq!(code, 0, "{talk}");
    let csv = std::fs::read_to_string(to("a.csv")).expect("written");
    assert!(csv.starts_with("lsn,kind,wall_ms,payment,client_id,transaction_id,"), "{csv}");
    assert_eq!(csv.lines().count(), 17);
    let (code, _, talk) = said(&logs, &["wal", "export", "--file", &to("a.db"), "--tx", "rent-8"]);
    assert_eq!(code, 0, "{talk}");
    let database = rusqlite::Connection::open(to("a.db")).expect("opened");
    let sql = "SELECT lsn FROM records WHERE kind = 'Decided' AND transaction_id = 'rent-8'";
    let lsn: i64 = database.query_row(sql, [], |row| row.get(0)).expect("a row");
    assert_eq!(lsn, 13);
    let (code, _, _) = said(&logs, &["wal", "export", "--file", &to("a.pdf")]);
    assert_eq!(code, 2);
}

#[test]
fn a_reader_that_goes_away_ends_a_list_quietly() {
    use std::io::{BufRead, BufReader};
    let logs = Logs::write();
    // Follows for ever, unless its reader goes away.
    let mut list = crate::support::live::strife(&logs.home, &["wal", "tail", "-f"]);
    let mut list = list
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let mut first = String::new();
    let mut out = BufReader::new(list.stdout.take().expect("a pipe"));
    out.read_line(&mut first).expect("read");
    assert!(first.contains("LSN"), "{first}");
    drop(out);
    // The log grows, so that there is something to write to nobody.
    grow(&logs);
    let output = list.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A start more in the gateway's log.
fn grow(logs: &Logs) {
    use recovery::fact::{GatewayFact, Started};
    use recovery::model::StartId;
    let opened = crate::support::logs::open(&logs.home.data(Service::Gateway));
    let (epoch, start_id, version) = (opened.epoch() + 1, StartId([9; 16]), "0.1.0".to_owned());
    let started = GatewayFact::from(Started { epoch, start_id, version });
    let fact = recovery::record::encode(&started);
    drop(opened.begin(epoch, fact.entry(crate::support::logs::EPOCH_MS)).expect("begun"));
}

#[test]
fn each_start_is_shown_with_what_it_found_in_doubt_and_how_that_ended() {
    let logs = Logs::write();
    insta::assert_snapshot!("status_recoveries", golden(&logs, &["status", "--recoveries"]));
    let (code, data, _) = said(&logs, &["status", "--recoveries", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    let second = &found["recoveries"][1];
    assert_eq!((code, &second["epoch"]), (0, &2.into()), "{found}");
    let gift = &second["in_doubt"][0];
    assert_eq!(
        (&gift["outcome"], &gift["settled_ms"]),
        (&"ABORTED (INTERRUPTED)".into(), &50.into())
    );
}

#[test]
fn what_is_in_doubt_is_listed_with_the_evidence_and_nothing_is_forced() {
    let logs = Logs::write();
    let (code, data, talk) = said(&logs, &["tx", "in-doubt", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    let open = found["payments"].as_array().expect("a list");
    assert_eq!((code, open.len()), (0, 2), "{talk}");
    let (loan, book) = (&open[0], &open[1]);
    assert_eq!((&loan["decision"], &loan["mixed"]), (&"COMMIT".into(), &true.into()), "{loan}");
    assert_eq!(loan["waiting_for"], serde_json::json!(["ICICI"]));
    assert_eq!((&book["decision"], &book["held_minor"]), (&serde_json::Value::Null, &1_200.into()));
    let resolved = |id: &str| {
        let (code, data, talk) = said(&logs, &["tx", "resolve", id]);
        // The age depends on the day.
        let data = data
            .split_once("  for ")
            .map(|(a, b)| format!("{a}\n{}", b.split_once('\n').expect("a line").1));
        format!("{}---- stderr\n{talk}---- exit {code}\n", data.unwrap_or_default())
    };
    insta::assert_snapshot!("resolve_committing", resolved("loan-2"));
    insta::assert_snapshot!("resolve_over", resolved("rent-8"));
    std::fs::remove_dir_all(logs.home.data(Service::Bank(bank("ICICI")))).expect("removed");
    insta::assert_snapshot!("resolve_lost_bank", resolved("loan-2"));
    let (code, _, _) = said(&logs, &["tx", "resolve", "no-such-id"]);
    assert_eq!(code, 3);
}
