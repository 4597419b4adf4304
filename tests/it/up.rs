//! `strife up` as it is: eight processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use strife::config::Config;
use strife::home::{Home, Service};
use tempfile::TempDir;

struct Up {
    _keep: TempDir,
    home: Home,
    child: Child,
    told: serde_json::Value,
}

/// Everything on free ports, in a new home, once it is ready.
fn up() -> Up {
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path().join("home"));
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("strife"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
        command.env_remove(name);
    }
    command.arg("--home").arg(home.root()).args(["-q", "-o", "jsonl"]);
    command.args(["up", "--random-ports", "--no-console"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("read");
    let told = serde_json::from_str(&line).expect("JSON");
    Up { _keep: directory, home, child, told }
}

impl Up {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("sent");
    }

    /// Services with a live process.
    fn running(&self) -> usize {
        let banks = Config::standard().banks.into_keys().map(Service::Bank);
        let all = std::iter::once(Service::Gateway).chain(banks);
        all.filter(|service| self.home.running(*service).is_some()).count()
    }

    fn wait_until_nothing_runs(&self) {
        while self.running() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_command_makes_a_home_starts_everything_and_a_signal_stops_it_cleanly() {
    let mut up = up();
    assert_eq!((&up.told["ready"], &up.told["banks"]), (&true.into(), &6.into()));
    assert_eq!(up.running(), 7);
    up.signal(Signal::SIGINT);
    let ended = up.child.wait().expect("ended");
    assert_eq!(ended.code(), Some(0));
    assert_eq!(up.running(), 0);
    // A clean stop leaves no run file behind.
    assert_eq!(std::fs::read_dir(up.home.run()).expect("there").count(), 0);
}

#[test]
fn children_stop_when_up_is_killed() {
    let mut up = up();
    up.signal(Signal::SIGKILL);
    up.child.wait().expect("ended");
    up.wait_until_nothing_runs();
}
