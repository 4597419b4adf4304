//! A view put behind a log that was just recovered.
//!
//! The view is never waited for: what it lacks it reads from the log on a thread of its own. A view
//! that shows more than the log holds proves that the log has lost its end, and stops the start.

use crate::errors::{Exit, Failure, Reason, chain};
use crate::view::{self, OpenError, Opened, Progress, Running, Verdict, View};
use std::path::PathBuf;
use wal::{Disk, Lsn};

/// A view that follows, or none: payments go on without it.
pub struct Attached {
    pub feed: Option<view::Feed>,
    running: Option<Running>,
}

impl Attached {
    /// How far the view has come; 0 without one.
    pub fn progress(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let progress: Option<Progress> = self.running.as_ref().map(Running::progress);
        move || progress.as_ref().map_or(0, Progress::applied_lsn)
    }

    /// Records that wait for the view; 0 without one.
    pub fn lag(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let progress: Option<Progress> = self.running.as_ref().map(Running::progress);
        move || progress.as_ref().map_or(0, Progress::lag_records)
    }

    /// Applies what was fed, once the log is closed.
    pub fn stop(self) {
        let Self { feed, running } = self;
        drop(feed);
        if let Some(running) = running {
            running.stop();
        }
    }
}

/// Puts `opened` behind the log in `directory`, which is durable through `durable`.
pub fn attach<V: View + Send + 'static>(
    name: &str,
    opened: Result<Opened<V>, OpenError>,
    directory: PathBuf,
    durable: Lsn,
) -> Result<Attached, Failure> {
    let opened = match opened {
        Ok(opened) => opened,
        Err(OpenError::Ahead(ahead)) => {
            return Err(Failure::new(Reason::LogDamaged, ahead.to_string())
                .exit(Exit::Damaged)
                .money("Records that were acknowledged are missing. Nothing was served.")
                .todo("Restore the newest copy of this directory, or rebuild it: strife rebuild"));
        }
        Err(error) => {
            tracing::error!("{name} is off, payments go on without it: {}", chain(&error));
            return Ok(Attached { feed: None, running: None });
        }
    };
    if opened.verdict != Verdict::Current {
        tracing::info!("{name}: {}; it is made up from the log", opened.verdict);
    }
    let catch_up = move |view: &mut V| view::catch_up(&Disk::new(directory), durable.get(), view);
    let spawned = view::spawn_after(name, opened.view, catch_up);
    let (feed, running) = spawned.map_err(|error| Failure::unexpected("start a thread", &error))?;
    Ok(Attached { feed: Some(feed), running: Some(running) })
}
