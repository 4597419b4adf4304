//! What was asked for and is not settled, on disk before it is on the wire.
//!
//! Promises:
//!
//! - [`Outbox::save`] has returned => the payment is on disk with its id, and a crash of this
//!   machine at any later instant leaves it there until its outcome was told to the person.
//! - What may have moved money is never dropped, and is only ever sent again under the same id.
//! - Processes that share a home take turns, an operation at a time; a torn append costs nothing
//!   that was acknowledged; any other bad byte is named and nothing is guessed.
//!
//! Refuses to know the network and the clock: times come in as arguments.

mod disk;
mod entry;
mod lines;

pub use entry::{Attempt, Draft, End, Entry, Outcome, Stage};
pub use lines::Damage;

use disk::{Disk, Sync};
use lines::Change;
use recovery::model::{ClientId, TransactionId};
use std::io;
use std::path::{Path, PathBuf};

/// The open outbox of one client.
#[derive(Debug)]
pub struct Outbox {
    disk: Disk,
}

/// Why the outbox refused, or could not. In none of these was anything sent.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("cannot {verb} {}", path.display())]
    Io {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot append to {}, nor take back what was written", path.display())]
    HalfWritten {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another process has held {} for five seconds", path.display())]
    Busy { path: PathBuf },
    #[error("{} is damaged: {damage}", path.display())]
    Damaged { path: PathBuf, damage: Damage },
    #[error("{} is the outbox of {client}", path.display())]
    OtherClient { path: PathBuf, client: ClientId },
    #[error("{id} is already saved with another {field}")]
    Reused { id: TransactionId, field: &'static str },
    #[error("{id} is not in the outbox")]
    Absent { id: TransactionId },
    #[error("{id} may already have moved money: its outcome is not known yet")]
    MayHaveMoved { id: TransactionId },
}

impl OutboxError {
    fn io(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), source }
    }
}

/// Who may be sending an entry right now, so that two processes do not both do so without need.
/// Both doing so is harmless: the id is the same.
pub struct Lease<'a> {
    pub attempt: Attempt,
    /// How long one attempt lasts at most.
    pub attempt_ms_max: u64,
    pub is_alive: &'a dyn Fn(u32) -> bool,
}

/// What [`Outbox::repair`] did.
#[derive(Debug)]
pub struct Repair {
    pub kept: usize,
    /// The damaged file, untouched.
    pub copy: PathBuf,
}

impl Outbox {
    /// Opens or makes the outbox in `dir`, which is `data/clients/<client_id>`.
    pub fn open(dir: &Path, client: ClientId) -> Result<Self, OutboxError> {
        Ok(Self { disk: Disk::new(dir, client)? })
    }

    /// Everything that is not gone, oldest first.
    pub fn entries(&mut self) -> Result<Vec<Entry>, OutboxError> {
        self.locked(|disk| Ok(disk.entries.iter().cloned().collect()))
    }

    pub fn find(&mut self, id: TransactionId) -> Result<Option<Entry>, OutboxError> {
        self.locked(|disk| Ok(disk.entries.get(id).cloned()))
    }

    /// Puts drafts on disk, all or none; with an attempt, as being sent. One that is there already
    /// with the same parameters is the same payment; with others it is refused.
    pub fn save(
        &mut self,
        drafts: &[Draft],
        attempt: Option<Attempt>,
        now_unix_ms: u64,
    ) -> Result<(), OutboxError> {
        self.locked(|disk| {
            let mut changes = Vec::new();
            for draft in drafts {
                let mut entry = match disk.entries.get(draft.id) {
                    Some(entry) => match entry.draft.difference(draft) {
                        Some(field) => return Err(OutboxError::Reused { id: draft.id, field }),
                        None => entry.clone(),
                    },
                    None => Entry::new(draft.clone(), now_unix_ms),
                };
                if let Some(attempt) = attempt {
                    entry.begin(attempt);
                }
                changes.push(Change::Put(Box::new(entry)));
            }
            disk.append(changes, Sync::Yes)
        })
    }

    /// Marks those of `ids` that wait for it as being sent, on disk, and returns them. An entry
    /// that another live process is sending is left to it.
    pub fn begin(
        &mut self,
        ids: &[TransactionId],
        lease: &Lease<'_>,
    ) -> Result<Vec<Draft>, OutboxError> {
        self.locked(|disk| {
            let waiting = ids.iter().filter_map(|id| disk.entries.get(*id));
            let free = waiting.filter(|entry| entry.outcome.is_none() && !lease.covers(entry));
            let begun: Vec<Entry> = free
                .cloned()
                .map(|mut entry| {
                    entry.begin(lease.attempt);
                    entry
                })
                .collect();
            let drafts = begun.iter().map(|entry| entry.draft.clone()).collect();
            disk.append(begun.into_iter().map(put).collect(), Sync::Yes)?;
            Ok(drafts)
        })
    }

    /// The attempt ended without an outcome; `left` unless it is certain that it stayed here.
    pub fn postpone(
        &mut self,
        id: TransactionId,
        left: bool,
        note: &str,
    ) -> Result<(), OutboxError> {
        self.change(id, Sync::Yes, |entry| entry.postpone(left, note))
    }

    /// The outcome is known. It stays until it was told: [`Outbox::told`].
    pub fn settle(&mut self, id: TransactionId, outcome: Outcome) -> Result<(), OutboxError> {
        self.change(id, Sync::Yes, |entry| entry.settle(outcome))
    }

    /// The person has seen these outcomes.
    pub fn told(&mut self, ids: &[TransactionId]) -> Result<(), OutboxError> {
        self.locked(|disk| {
            let there = ids.iter().filter(|id| disk.entries.get(**id).is_some());
            let gone = there.map(|id| Change::Gone(*id)).collect();
            disk.append(gone, Sync::Later)
        })
    }

    /// Forgets a payment that has not moved money and now never will, or whose outcome is known.
    pub fn drop(&mut self, id: TransactionId) -> Result<Entry, OutboxError> {
        self.locked(|disk| {
            let entry = disk.entries.get(id).cloned().ok_or(OutboxError::Absent { id })?;
            if entry.outcome.is_none() && entry.may_have_moved() {
                return Err(OutboxError::MayHaveMoved { id });
            }
            disk.append(vec![Change::Gone(id)], Sync::Yes)?;
            Ok(entry)
        })
    }

    /// Sets a damaged file aside and keeps every entry that still reads.
    pub fn repair(&mut self, now_unix_ms: u64) -> Result<Option<Repair>, OutboxError> {
        let _turn = self.disk.lock()?;
        match self.disk.refresh() {
            Ok(()) => Ok(None),
            Err(OutboxError::Damaged { .. }) => {
                let copy = self.disk.salvage(now_unix_ms)?;
                Ok(Some(Repair { kept: self.disk.entries.len(), copy }))
            }
            Err(error) => Err(error),
        }
    }

    fn change(
        &mut self,
        id: TransactionId,
        sync: Sync,
        act: impl FnOnce(&mut Entry),
    ) -> Result<(), OutboxError> {
        self.locked(|disk| {
            // Another process may have settled and told it meanwhile.
            let Some(mut entry) = disk.entries.get(id).cloned() else { return Ok(()) };
            act(&mut entry);
            disk.append(vec![put(entry)], sync)
        })
    }

    fn locked<R>(
        &mut self,
        act: impl FnOnce(&mut Disk) -> Result<R, OutboxError>,
    ) -> Result<R, OutboxError> {
        let _turn = self.disk.lock()?;
        self.disk.refresh()?;
        act(&mut self.disk)
    }
}

impl Lease<'_> {
    fn covers(&self, entry: &Entry) -> bool {
        entry.sending.is_some_and(|other| {
            let now = self.attempt.since_unix_ms;
            let end = other.since_unix_ms.saturating_add(self.attempt_ms_max);
            (other.since_unix_ms..end).contains(&now) && (self.is_alive)(other.pid)
        })
    }
}

fn put(entry: Entry) -> Change {
    Change::Put(Box::new(entry))
}

#[cfg(test)]
mod tests;
