//! `run/<role>.json`: what runs, where, and since when.
//!
//! It is written by rename once a service is recovered and accepts, and removed on a clean stop. A
//! killed process leaves its own behind, so a reader asks whether the process lives.

use super::{Home, Service, write_private};
use crate::config::Address;
use crate::errors::Failure;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// A service that accepts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    pub address: Address,
    pub version: String,
    pub started_unix_ms: u64,
}

impl Running {
    /// Whether its process is there and not merely waiting to be reaped.
    pub fn is_alive(&self) -> bool {
        let Ok(pid) = i32::try_from(self.pid) else { return false };
        if pid <= 0 || kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH) {
            return false;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // "pid (name) state ...", and a name may hold anything.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| !rest.starts_with('Z'))
    }
}

/// This process's entry in `run/`; dropping it is the clean stop that removes it.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // Ours only: a successor may have written its own by now.
        let ours = read(&self.path).is_some_and(|running| running.pid == std::process::id());
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Home {
    /// Tells everyone, a service manager too, that this process is `service` and accepts at
    /// `address`. Keep the answer for as long as that is so.
    pub fn announce(&self, service: Service, address: &Address) -> Result<RunFile, Failure> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let running = Running {
            pid: std::process::id(),
            address: address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: since_epoch.as_millis() as u64,
        };
        let path = self.run_file(service);
        let text = serde_json::to_string(&running)
            .map_err(|error| Failure::unexpected("write a run file", &error))?;
        write_private(&path, text.as_bytes())?;
        super::notify::ready(&format!("{service} serves {address}"));
        Ok(RunFile { path })
    }

    /// There while recovery is paused: the gateway starts so, and removes it when it goes on.
    pub fn pause_marker(&self) -> PathBuf {
        self.run().join("recovery-paused")
    }

    /// The live process of `service`, if there is one.
    pub fn running(&self, service: Service) -> Option<Running> {
        read(&self.run_file(service)).filter(Running::is_alive)
    }

    /// The entry of `service`, whether or not its process lives.
    pub fn last_run(&self, service: Service) -> Option<Running> {
        read(&self.run_file(service))
    }
}

fn read(path: &std::path::Path) -> Option<Running> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_tells_of_a_live_process_until_it_stops() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path());
        home.create().expect("made");
        let file = home.announce(Service::Gateway, &Address::local(7)).expect("written");
        let running = home.running(Service::Gateway).expect("alive");
        assert_eq!((running.pid, running.address.port()), (std::process::id(), 7));
        drop(file);
        assert_eq!(home.running(Service::Gateway), None);
    }

    #[test]
    fn the_run_file_of_a_killed_process_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path());
        home.create().expect("made");
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let path = home.run_file(Service::Console);
        let text = format!(
            r#"{{"pid":{},"address":"a:1","version":"0","started_unix_ms":0}}"#,
            child.id()
        );
        fs::write(&path, text).expect("written");
        child.wait().expect("ended");
        assert!(home.last_run(Service::Console).is_some());
        assert_eq!(home.running(Service::Console), None);
    }
}
