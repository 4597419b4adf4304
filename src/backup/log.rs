//! One log on its way into a backup or out of one: read beside its writer, cut, copied, folded.

use crate::errors::{Exit, Failure, chain};
use crate::home::Service;
use recovery::cut::{Peer, Tail, Unit};
use recovery::replay::{Fold, Replay};
use std::path::{Path, PathBuf};
use wal::read::{Cursor, follow, follow_batches, survey};
use wal::{Disk, Lsn};

/// What a record rests on.
pub(super) type RestsOn<F> = fn(&F) -> Option<(Peer, Lsn)>;

/// A log that is being read.
pub(super) struct Reading<S: Fold> {
    pub(super) service: Service,
    pub(super) state: S,
    directory: PathBuf,
    disk: Disk,
    cursor: Cursor,
}

impl<S: Fold> Reading<S> {
    /// Reads the log in `directory` as far as it goes now.
    pub(super) fn of(service: Service, directory: PathBuf) -> Result<Self, Failure> {
        let disk = Disk::new(&directory);
        let seen = survey(&disk, None).map_err(|error| unreadable(service, &chain(&error)))?;
        if let Some(segment) = seen.first_unsound() {
            let place = directory.join("wal").join(&segment.name);
            let told = format!("{}: {:?}", place.display(), segment.verdict);
            return Err(unreadable(service, &told));
        }
        let mut replay = Replay::<S>::default();
        let mut cursor = Cursor::default();
        follow(&disk, &mut cursor, |record, _| replay.record(&record))
            .map_err(|error| unreadable(service, &chain(&error)))?;
        Ok(Self { service, state: replay.state, directory, disk, cursor })
    }

    /// The last record that was read.
    pub(super) fn last(&self) -> Lsn {
        self.cursor.seen()
    }

    /// What has come since, with what it rests on; `index` numbers the logs.
    pub(super) fn tail(
        &mut self,
        rests_on: RestsOn<S::Fact>,
        index: impl Fn(Peer) -> Option<usize>,
    ) -> Result<Tail, Failure> {
        let mut tail = Tail { from: self.last(), units: Vec::new() };
        let read = follow_batches(&self.disk, &mut self.cursor, |segment, batch, seen| {
            // A start is there with all that it was born with, or not at all.
            let last = batch.header.last_lsn().max(segment.born_lsn);
            let mut needs = Vec::new();
            for (record, ..) in batch.records().filter(|(record, ..)| record.lsn > seen) {
                let fact = recovery::record::decode::<S::Fact>(&record)?;
                let on = rests_on(&fact).and_then(|(peer, lsn)| Some((index(peer)?, lsn)));
                needs.extend(on);
            }
            tail.units.push(Unit { last, rests_on: needs });
            Ok::<_, recovery::record::DecodeError>(())
        });
        read.map_err(|error| unreadable(self.service, &chain(&error)))?;
        Ok(tail)
    }

    /// Copies the log through `last` into `to`, and reads the copy.
    pub(super) fn copy(&self, last: Lsn, to: &Path) -> Result<Self, Failure> {
        copy(self.service, &self.directory, last, to)
    }
}

/// Copies the log in `from` through `last` into `to`, and reads the copy. It must end there.
pub(super) fn copy<S: Fold>(
    service: Service,
    from: &Path,
    last: Lsn,
    to: &Path,
) -> Result<Reading<S>, Failure> {
    let copied = wal::copy(&Disk::new(from), last, &Disk::new(to));
    let copied = copied.map_err(|error| {
        Failure::plain(Exit::Unexpected, format!("the log of {service}: {}", chain(&error)))
            .todo("Check the room on the disk, and who owns the directory.")
    })?;
    let reading = Reading::of(service, to.to_owned())?;
    if copied != last || reading.last() != last {
        let what = format!("the copy of the log of {service} ends at {copied}, not at {last}");
        return Err(Failure::plain(Exit::Unreachable, what)
            .money("The copy was given up; the original was not touched.")
            .todo("A service started meanwhile, which orders its log anew: say it again."));
    }
    Ok(reading)
}

fn unreadable(service: Service, why: &str) -> Failure {
    Failure::plain(Exit::Damaged, format!("the log of {service} cannot be read: {why}"))
        .money("Nothing was copied and nothing was changed.")
        .todo(format!("See what is damaged: strife wal verify {service}"))
}
