//! The real service: the built program, with all its processes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use strife::config::DEFAULT_BANKS;
use strife::home::{Home, Service};
use tempfile::TempDir;

/// `strife up`, stopped when it is dropped.
pub(crate) struct Cluster {
    _keep: TempDir,
    pub(crate) home: Home,
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
    /// A new home on free ports, once everything is ready.
    pub(crate) fn start() -> Self {
        let keep = tempfile::tempdir().expect("a directory");
        let home = Home::new(keep.path().join("home"));
        Self::start_in(keep, home)
    }

    /// This home, which may be there already.
    pub(crate) fn start_in(keep: TempDir, home: Home) -> Self {
        let mut up = strife(&home);
        up.args(["-q", "-o", "jsonl", "up", "--random-ports", "--no-console"]);
        let mut up = up.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
        let mut ready = String::new();
        BufReader::new(up.stdout.take().expect("a pipe")).read_line(&mut ready).expect("ready");
        Self { _keep: keep, home, up }
    }

    /// A command of client N of the demo.
    pub(crate) fn client(&self, number: usize, arguments: &[&str]) -> Command {
        let mut command = strife(&self.home);
        command.args(arguments).stdin(Stdio::null());
        command.env("STRIFE_CLIENT_ID", format!("client{number}"));
        command.env("STRIFE_USERNAME", format!("user{number}"));
        command.env("STRIFE_PASSWORD", format!("pass{number}"));
        command.env("STRIFE_BANK", DEFAULT_BANKS[(number - 1) % DEFAULT_BANKS.len()]);
        command.env("STRIFE_CLIENT__RETRY_MS", "200").env("STRIFE_CLIENT__RETRY_MAX_MS", "500");
        command
    }

    pub(crate) fn json(&self, number: usize, arguments: &[&str]) -> Value {
        let Output { stdout, stderr, .. } = self.client(number, arguments).output().expect("ran");
        let complaint = String::from_utf8_lossy(&stderr);
        serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{complaint}"))
    }

    /// Kills the gateway and waits until `up` has started another.
    pub(crate) fn kill_gateway(&self) {
        let pid = self.until(|| self.home.running(Service::Gateway)).pid;
        kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGKILL).expect("killed");
        let next = || self.home.running(Service::Gateway).filter(|running| running.pid != pid);
        self.until(next);
    }

    pub(crate) fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        for _ in 0..600 {
            if let Some(found) = found() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{} did not come so far in half a minute", self.home.root().display());
    }
}

/// The built program on this home, heedless of the environment.
pub(crate) fn strife(home: &Home) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("strife"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
        command.env_remove(name);
    }
    command.arg("--home").arg(home.root());
    command
}
