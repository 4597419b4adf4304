//! Clients of the real service, whose gateway is killed under them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use strife::config::DEFAULT_BANKS;
use strife::home::{Home, Service};
use tempfile::TempDir;

const PAYERS: usize = 4;
const PAYMENTS: usize = 12;
const KILLS: usize = 3;

/// `strife up`, stopped when it is dropped.
struct Cluster {
    _keep: TempDir,
    home: Home,
    up: Child,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let pid = i32::try_from(self.up.id()).expect("a pid");
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        let _ = self.up.wait();
    }
}

impl Cluster {
    fn start() -> Self {
        let keep = tempfile::tempdir().expect("a directory");
        let home = Home::new(keep.path().join("home"));
        let mut up = strife(&home);
        up.args(["-q", "-o", "jsonl", "up", "--random-ports", "--no-console"]);
        let mut up = up.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
        let mut ready = String::new();
        BufReader::new(up.stdout.take().expect("a pipe")).read_line(&mut ready).expect("ready");
        Self { _keep: keep, home, up }
    }

    /// A command of client N of the demo.
    fn client(&self, number: usize, arguments: &[&str]) -> Command {
        let mut command = strife(&self.home);
        command.args(arguments).stdin(Stdio::null());
        command.env("STRIFE_CLIENT_ID", format!("client{number}"));
        command.env("STRIFE_USERNAME", format!("user{number}"));
        command.env("STRIFE_PASSWORD", format!("pass{number}"));
        command.env("STRIFE_BANK", DEFAULT_BANKS[(number - 1) % DEFAULT_BANKS.len()]);
        command.env("STRIFE_CLIENT__RETRY_MS", "200").env("STRIFE_CLIENT__RETRY_MAX_MS", "500");
        command
    }

    fn json(&self, number: usize, arguments: &[&str]) -> Value {
        let Output { stdout, stderr, .. } = self.client(number, arguments).output().expect("ran");
        let complaint = String::from_utf8_lossy(&stderr);
        serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{complaint}"))
    }

    /// Kills the gateway and waits until `up` has started another.
    fn kill_gateway(&self) {
        let pid = self.until(|| self.home.running(Service::Gateway)).pid;
        kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("killed");
        let next = || self.home.running(Service::Gateway).filter(|running| running.pid != pid);
        self.until(next);
    }

    fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        for _ in 0..600 {
            if let Some(found) = found() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{} did not come so far in half a minute", self.home.root().display());
    }
}

fn strife(home: &Home) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("strife"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
        command.env_remove(name);
    }
    command.arg("--home").arg(home.root());
    command
}

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
            let _ = cluster.client(payer, &["queue", "flush", "-q"]).output().expect("ran");
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
