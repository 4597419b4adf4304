//! The next segment, filled with zeros ahead of need, on any thread that has time.
//!
//! A full disk shows here first, where it harms nothing: no record waits for a spare, and trying
//! again later is honest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::build::{SPARE, fill};
use crate::error::AppendError;
use crate::storage::Storage;

pub(crate) struct Spare<S: Storage> {
    pub(crate) path: String,
    pub(crate) file: S::File,
    pub(crate) capacity: u64,
}

enum State<S: Storage> {
    Wanted,
    Filling,
    Ready(Spare<S>),
}

/// Where the writer and the one who fills meet.
pub(crate) struct Slot<S: Storage> {
    state: Mutex<State<S>>,
    made: AtomicU64,
}

impl<S: Storage> Slot<S> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State::Wanted), made: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The capacity of the spare that is ready, or 0.
    pub(crate) fn capacity(&self) -> u64 {
        match &*self.state() {
            State::Ready(spare) => spare.capacity,
            State::Wanted | State::Filling => 0,
        }
    }

    /// The spare that is ready, which makes another wanted.
    pub(crate) fn take(&self) -> Option<Spare<S>> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Wanted) {
            State::Ready(spare) => Some(spare),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Fills a spare here and now.
    pub(crate) fn make(&self, storage: &S, capacity: u64) -> Result<Spare<S>, AppendError> {
        let path = format!("{SPARE}/{}", self.made.fetch_add(1, Ordering::Relaxed));
        match fill(storage, &path, &[], capacity) {
            Ok(file) => Ok(Spare { path, file, capacity }),
            Err(fault) => {
                // What is half filled takes space that a decision may need. If it cannot be
                // removed, the next opening does.
                let _ = storage.remove(&path);
                Err(fault.into())
            }
        }
    }
}

/// The filling of one spare segment. Dropped without [`SpareTask::run`], the spare is wanted again.
pub struct SpareTask<S: Storage> {
    storage: S,
    slot: Arc<Slot<S>>,
    capacity: u64,
}

impl<S: Storage> SpareTask<S> {
    pub(crate) fn wanted(storage: &S, slot: &Arc<Slot<S>>, capacity: u64) -> Option<Self> {
        let mut state = slot.state();
        if !matches!(*state, State::Wanted) {
            return None;
        }
        *state = State::Filling;
        Some(Self { storage: storage.clone(), slot: Arc::clone(slot), capacity })
    }

    /// Writes and syncs the zeros. An error leaves the spare wanted, and the log as it is.
    pub fn run(self) -> Result<(), AppendError> {
        let spare = self.slot.make(&self.storage, self.capacity)?;
        *self.slot.state() = State::Ready(spare);
        Ok(())
    }
}

impl<S: Storage> Drop for SpareTask<S> {
    fn drop(&mut self) {
        let mut state = self.slot.state();
        if matches!(*state, State::Filling) {
            *state = State::Wanted;
        }
    }
}
