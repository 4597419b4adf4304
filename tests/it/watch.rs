//! Following one's payments over everything that breaks the line.

use crate::support::live::{Stage, good, strife};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use strife::home::Service;

/// `strife tx watch` as a process, and what it has shown.
pub(crate) struct Watch {
    child: Child,
    seen: Arc<Mutex<Vec<Value>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("started");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let shown = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A kill may leave a line half written.
                let Ok(line) = serde_json::from_str(&line) else { return };
                shown.lock().expect("whole").push(line);
            }
        });
        Self { child, seen, reader: Some(reader) }
    }

    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().expect("whole").clone()
    }

    /// Killed; all that it had shown.
    pub(crate) fn kill(mut self) -> Vec<Value> {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("ended");
        self.reader.take().expect("one").join().expect("read");
        self.seen()
    }
}

fn watch(stage: &Stage, after: u64) -> Watch {
    Watch::start(stage.client(1, &["tx", "watch", "-o", "jsonl", "--after", &after.to_string()]))
}

pub(crate) fn cursor(seen: &Value) -> u64 {
    seen["cursor"].as_u64().unwrap_or_else(|| panic!("{seen}"))
}

/// Every payment of client1, by the gateway's own list.
pub(crate) fn history(stage: &Stage) -> BTreeSet<(String, String)> {
    let (code, all, talk) = stage.json(1, &["history", "--all"]);
    assert_eq!(code, 0, "{talk}");
    all["payments"].as_array().expect("a list").iter().map(id_and_state).collect()
}

pub(crate) fn id_and_state(payment: &Value) -> (String, String) {
    let text = |name: &str| payment[name].as_str().expect("text").to_owned();
    (text("transaction_id"), text("state"))
}

#[test]
fn a_watch_over_kills_of_the_gateway_and_its_own_misses_nothing_and_sees_nothing_twice() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let first = watch(&stage, 0);
    let done = AtomicBool::new(false);
    let mut seen = Vec::new();
    let mut second = None;
    let strife::live::Scene { cluster, payers, .. } = &mut stage.scene;
    let home = cluster.home().clone();
    std::thread::scope(|scope| {
        let (payer, done) = (&mut payers[0], &done);
        scope.spawn(move || {
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let minor = if number % 5 == 0 { 9_000_000 } else { 1_00 };
                payer.pay(&format!("watched-{number}"), 2, minor);
            }
        });
        let mut first = Some(first);
        for round in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            good(cluster.kill(Service::Gateway));
            if round == 1 {
                // Killed as well, and another goes on behind the last that was shown.
                seen = first.take().expect("one").kill();
                let after = cursor(seen.last().expect("something was shown"));
                let mut command = strife(&home, &["tx", "watch", "-o", "jsonl", "--after"]);
                command.arg(after.to_string()).env("STRIFE_CLIENT_ID", "client1");
                second = Some(Watch::start(command));
            }
            good(cluster.start(Service::Gateway, None));
        }
        std::thread::sleep(Duration::from_millis(700));
        done.store(true, Ordering::Relaxed);
    });
    good(stage.scene.payers[0].settle(Duration::from_mins(1)));
    good(stage.scene.wait_quiet());
    let expected = history(&stage);
    let second = second.expect("one");
    let until = Instant::now() + Duration::from_secs(30);
    while seen.len() + second.seen().len() < expected.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let later = second.kill();
    assert!(seen.len() > 10 && later.len() > 10, "{} and {} were shown", seen.len(), later.len());
    seen.extend(later);
    let cursors: Vec<u64> = seen.iter().map(cursor).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "each place once, in order: {cursors:?}");
    let shown: BTreeSet<_> = seen.iter().map(id_and_state).collect();
    assert_eq!(shown.len(), seen.len(), "each payment once");
    let missed: Vec<_> = expected.difference(&shown).collect();
    assert!(shown == expected, "missed {missed:?}");

    // From the middle on: exactly what came behind it.
    let middle = seen.len() / 2;
    let rest = watch(&stage, cursor(&seen[middle]));
    let until = Instant::now() + Duration::from_secs(30);
    while rest.seen().len() < seen.len() - middle - 1 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let rest: Vec<u64> = rest.kill().iter().map(cursor).collect();
    assert_eq!(rest, cursors[middle + 1..]);
}
