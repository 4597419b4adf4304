//! One process of a cluster: started, watched, stopped, killed, and gone when this is dropped.
//!
//! It is asked for by its process id only. Refuses to know what the process does.

use crate::errors::{Exit, Failure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often something that must come about is looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A child in a process group of its own. Its stdin is a pipe of ours: should this very process be
/// killed, the pipe ends, and the child with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    talk: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `program`. What it says on stderr is added to the file `talk`.
    pub fn start(
        name: String,
        program: &Path,
        arguments: &[OsString],
        talk: PathBuf,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::unexpected(&format!("start {name} from {}", program.display()), &error)
        };
        let mut options = OpenOptions::new();
        let stderr = options.create(true).append(true).mode(0o600).open(&talk).map_err(failed)?;
        let mut command = Command::new(program);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("STRIFE_") {
                command.env_remove(variable);
            }
        }
        let command = command
            .args(arguments)
            .env(crate::supervise::SUPERVISED, "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr);
        let child = command.spawn().map_err(failed)?;
        Ok(Self { name, child, talk, ended: None })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has said on stderr, in all its lives.
    pub fn talk(&self) -> String {
        std::fs::read_to_string(&self.talk).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends `signal`, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<(), Failure> {
        if self.ended().is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).unwrap_or(i32::MAX);
        kill(Pid::from_raw(pid), signal)
            .map_err(|error| Failure::unexpected(&format!("signal {}", self.name), &error))
    }

    /// Waits for its end.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus, Failure> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() >= until {
                let what = format!("{} still runs after {} ms", self.name, within.as_millis());
                return Err(Failure::plain(Exit::Unexpected, what));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // A stopped process, too, dies of this one.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
