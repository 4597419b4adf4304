//! Starting is recovering: the one way from files to a running service.
//!
//! Lock, scan, fold, then a new segment that makes what was only readable durable and begins with
//! this start's own record. Nothing is acted on before that is on disk.

use crate::errors::{Exit, Failure, chain};
use crate::view::Peek;
use recovery::drill::point::Point;
use recovery::model::StartId;
use recovery::record::Encoded;
use recovery::replay::{Fold, Replay, ReplayError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wal::{Disk, Durable, Log, Lsn, OpenError, OpenReport, Options};

/// A log that was recovered and may be appended to.
pub struct Start<S> {
    pub state: S,
    pub log: Log<Disk>,
    /// All of it, this start's own record too, is on disk.
    pub durable: Durable,
    pub report: OpenReport,
    pub records: u64,
    pub took: Duration,
}

/// The crash points that a start comes by.
#[derive(Copy, Clone, Debug)]
pub struct StartPoints {
    pub replayed: Point,
    pub begun: Option<Point>,
}

/// Why a service may not start on its log.
#[derive(Debug, thiserror::Error)]
pub enum OpenFailure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// The random identity of this start.
pub fn fresh_start_id() -> StartId {
    StartId(rand::random())
}

/// Opens the log in `directory`, folds it, and begins the next epoch with the record that `begin`
/// makes of the folded state. `peeked` is what the log's view says of itself: if it is of this log,
/// the records that it shows were durable, and a log without them is refused.
/// `visit` sees every record after it was folded.
pub fn open<S: Fold>(
    directory: &Path,
    options: Options,
    peeked: Option<Peek>,
    points: StartPoints,
    mut visit: impl FnMut(&wal::Record<'_>, &S),
    begin: impl FnOnce(&S) -> (u64, S::Fact),
) -> Result<Start<S>, OpenFailure> {
    let started = Instant::now();
    let disk = super::unsynced::disk(directory);
    let witnessed = peeked.filter(|peek| is_of(&disk, peek)).map(|peek| Lsn::new(peek.applied_lsn));
    let opened = wal::open(disk, options, witnessed)?;
    let mut replay = Replay::<S>::default();
    opened
        .replay(|record, _| {
            replay.record(&record)?;
            visit(&record, &replay.state);
            Ok::<_, ReplayError>(())
        })
        .map_err(|error| match error {
            wal::ReplayError::Visitor(error) => OpenFailure::Replay(error),
            wal::ReplayError::Log(error) => OpenFailure::Open(error),
        })?;
    let report = opened.report().clone();
    crate::crash::point(points.replayed.name());
    let (epoch, fact) = begin(&replay.state);
    let encoded: Encoded = recovery::record::encode(&fact);
    let wall_ms = super::wall_ms();
    let (log, durable) = opened.begin(epoch, encoded.entry(wall_ms))?;
    let Replay { mut state, records, .. } = replay;
    state.evolve(&fact, durable.lsn(), wall_ms).map_err(ReplayError::Illegal)?;
    if let Some(begun) = points.begun {
        crate::crash::point(begun.name());
    }
    Ok(Start { state, log, durable, report, records, took: started.elapsed() })
}

fn is_of(disk: &Disk, peek: &Peek) -> bool {
    let identity = wal::read::identity(disk).ok().flatten();
    identity.is_some_and(|log| {
        log.cluster == peek.identity.cluster.0 && log.lineage == peek.identity.lineage.0
    })
}

impl OpenFailure {
    /// What it means to an operator. `service` is as `strife wal verify` takes it.
    pub fn failure(&self, service: &str, directory: PathBuf) -> Failure {
        let told = chain(self);
        match self {
            Self::Open(OpenError::Locked { .. }) => Failure::plain(Exit::Configuration, told)
                .money("Nothing was touched.")
                .todo("Stop the other process, or give this one a home of its own: --home DIR"),
            Self::Open(OpenError::Missing { .. }) => Failure::plain(Exit::Damaged, told)
                .money("This service's data is not there; nothing was made in its place.")
                .todo(format!(
                    "Restore {} from a backup, or rebuild it from the others: strife rebuild",
                    directory.display()
                )),
            _ => Failure::plain(Exit::Damaged, told)
                .money("Nothing was changed and nothing was served.")
                .todo(format!("See what is damaged: strife wal verify {service}")),
        }
    }
}
