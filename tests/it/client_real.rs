//! Clients of the real service, whose gateway is killed under them.

use crate::support::cluster::Cluster;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

const PAYERS: usize = 4;
const PAYMENTS: usize = 12;
const KILLS: usize = 3;

#[test]
fn what_a_client_was_told_is_queued_or_unknown_ends_once_whatever_is_killed() {
    let cluster = Cluster::start();
    std::thread::scope(|scope| {
        for payer in 1..=PAYERS {
            let mut prompt = cluster.client(payer, &["client", "--timeout", "2s"]);
            prompt.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            scope.spawn(move || {
                let mut prompt = prompt.spawn().expect("started");
                let mut lines = prompt.stdin.take().expect("a pipe");
                for number in 0..PAYMENTS {
                    let line = format!("transfer 1 10000000000007 p{payer}-{number}\n");
                    lines.write_all(line.as_bytes()).expect("the prompt outlives the gateway");
                    std::thread::sleep(Duration::from_millis(150));
                }
                drop(lines);
                prompt.wait().expect("ended");
            });
        }
        for _ in 0..KILLS {
            cluster.kill_gateway();
        }
    });

    let mut paid = BTreeSet::new();
    for payer in 1..=PAYERS {
        cluster.until(|| {
            // What ended unseen leaves the queue when it was told, and -q tells nothing.
            let _ = cluster.client(payer, &["queue", "flush"]).output().expect("ran");
            let queue = cluster.json(payer, &["queue", "ls", "-o", "json"]);
            queue["queue"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
        let history = cluster.json(payer, &["history", "--all", "-o", "json"]);
        for payment in history["payments"].as_array().expect("a list") {
            assert!(["COMMITTED", "ABORTED"].map(Value::from).contains(&payment["state"]));
            if payment["state"] == "COMMITTED" {
                assert!(paid.insert(payment["transaction_id"].to_string()), "{payment} twice");
            }
        }
    }
    let balance = cluster.until(|| {
        let view = cluster.json(7, &["view", "-o", "json"]);
        (view["held_minor"] == 0).then(|| view["balance_minor"].as_u64().expect("a number"))
    });
    assert_eq!(balance, 1_000_000 + 100 * paid.len() as u64, "the payee has each of them once");
    assert!(!paid.is_empty());
}
