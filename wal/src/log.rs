//! The writer: append, sync, and no way back from an error.
//!
//! One thread owns it. Records wait in memory until [`Log::sync`] writes them as one batch, or
//! several where one is too small, one in flight at a time. There is no timer: a batch is what
//! arrived during the last sync.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::build::{Writing, cut, enter, image};
use crate::error::AppendError;
use crate::frame::{BLOCK, BatchImage, Entry, Frame, OVERHEAD_BYTES, PAYLOAD_BYTES_MAX, Placement};
use crate::lsn::{Durable, Lsn};
use crate::options::Options;
use crate::segment::{Predecessor, SegmentHeader, derive_salt};
use crate::spare::{Slot, SpareTask};
use crate::storage::{Storage, StorageFile, told, write_all};
use crate::walk::{Tip, mark_at};

/// What a sync has done.
#[derive(Clone, Debug)]
pub struct Synced {
    /// All that was appended before is durable.
    pub durable: Durable,
    /// The batches written since the last sync, Marks included; the first sync also has those
    /// that the opening wrote. Put back in their places, they are the log.
    pub batches: Vec<BatchImage>,
}

/// A log open for writing.
pub struct Log<S: Storage> {
    storage: S,
    /// Held until the log is dropped.
    _lock: S::Lock,
    options: Options,
    epoch: u64,
    current: Writing<S>,
    pending: VecDeque<Frame>,
    next_lsn: Lsn,
    durable: Lsn,
    /// The highest record of which the files themselves prove that it was durable.
    proven: Lsn,
    spare: Arc<Slot<S>>,
    images: Vec<BatchImage>,
    poisoned: bool,
}

impl<S: Storage> Log<S> {
    pub(crate) fn new(
        storage: S,
        lock: S::Lock,
        options: Options,
        epoch: u64,
        current: Writing<S>,
        images: Vec<BatchImage>,
    ) -> Self {
        let next_lsn = current.synced.next;
        let durable = next_lsn.previous();
        Self {
            storage,
            _lock: lock,
            options,
            epoch,
            current,
            pending: VecDeque::new(),
            next_lsn,
            durable,
            proven: durable,
            spare: Arc::new(Slot::new()),
            images,
            poisoned: false,
        }
    }

    /// Puts a record behind all others and says where. It is not durable before a sync.
    pub fn append(&mut self, entry: Entry<'_>) -> Result<Lsn, AppendError> {
        self.alive()?;
        let (bytes, batch_max) = (entry.payload.len(), self.options.batch_bytes_max());
        let max = PAYLOAD_BYTES_MAX.min(batch_max - OVERHEAD_BYTES);
        if bytes > max {
            return Err(AppendError::TooLarge { bytes, max });
        }
        let fits = |frame: &&mut Frame| frame.len_with(bytes) <= batch_max;
        let lsn = if let Some(frame) = self.pending.back_mut().filter(fits) {
            frame.push(entry)
        } else {
            let mut frame = Frame::new(self.next_lsn);
            let lsn = frame.push(entry);
            self.pending.push_back(frame);
            lsn
        };
        self.next_lsn = lsn.next();
        Ok(lsn)
    }

    /// Whether records wait for a sync.
    pub fn pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The bytes of the batches that wait.
    pub fn pending_bytes(&self) -> u64 {
        self.pending.iter().map(|frame| frame.len() as u64).sum()
    }

    /// Makes all that was appended durable. An error poisons the log, and the process must end:
    /// after a failed fsync the pages are marked clean, and a retry would lie.
    pub fn sync(&mut self) -> Result<Synced, AppendError> {
        self.alive()?;
        while let Some(frame) = self.pending.pop_front() {
            self.poisoned = true;
            self.write(frame)?;
            self.poisoned = false;
        }
        let batches = std::mem::take(&mut self.images);
        Ok(Synced { durable: self.durable(), batches })
    }

    /// Writes, without a sync, that all before is durable: the proof that the last batch lacks
    /// until another follows. `None` if there is nothing new to prove.
    pub fn mark(&mut self) -> Result<Option<BatchImage>, AppendError> {
        self.alive()?;
        if self.proven == self.durable {
            return Ok(None);
        }
        let Writing { header, path, file, written, .. } = &mut self.current;
        let (mark, bytes) = mark_at(written, header.salt, self.epoch);
        assert!(mark.end() <= header.capacity, "every batch leaves room for its Mark");
        self.poisoned = true;
        told(&self.storage, "write", path, write_all(file, &bytes, mark.offset))?;
        self.poisoned = false;
        *written = Tip::after(&mark);
        self.proven = self.durable;
        let image = image(header, mark.offset, mark.first_lsn, bytes);
        self.images.push(image.clone());
        Ok(Some(image))
    }

    /// Proof of what is durable.
    pub fn durable(&self) -> Durable {
        Durable::proven(self.durable)
    }

    /// Where the next record will go.
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// The epoch this log was begun with.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whom the log belongs to.
    pub fn identity(&self) -> crate::Identity {
        self.current.header.identity
    }

    /// Bytes for batches that are on disk as zeros: the rest of this segment, and the spare.
    pub fn room(&self) -> u64 {
        let rest = self.current.header.capacity - self.current.written.offset;
        let spare = self.spare.capacity();
        rest.saturating_sub(BLOCK as u64) + spare.saturating_sub(2 * BLOCK as u64)
    }

    /// The making of the next segment, once, if there is none and no one is at it.
    pub fn spare_wanted(&self) -> Option<SpareTask<S>> {
        SpareTask::wanted(&self.storage, &self.spare, self.options.segment_bytes)
    }

    fn alive(&self) -> Result<(), AppendError> {
        if self.poisoned { Err(AppendError::Poisoned) } else { Ok(()) }
    }

    fn write(&mut self, frame: Frame) -> Result<(), AppendError> {
        let end = self.current.written.offset + frame.len() as u64;
        if end + BLOCK as u64 > self.current.header.capacity {
            self.rotate()?;
        }
        let Writing { header, path, file, written, synced } = &mut self.current;
        let (batch, bytes) = frame.seal(Placement {
            salt: header.salt,
            offset: written.offset,
            previous_chain: written.chain,
            durable_lsn: self.durable,
            epoch: self.epoch,
        });
        assert_eq!(batch.first_lsn, written.next, "records are numbered without a gap");
        assert!(batch.end() <= header.capacity, "a batch fits an empty segment");
        told(&self.storage, "write", path, write_all(file, &bytes, batch.offset))?;
        told(&self.storage, "sync", path, file.sync_data())?;
        self.images.push(image(header, batch.offset, batch.first_lsn, bytes));
        *written = Tip::after(&batch);
        *synced = *written;
        self.proven = self.durable;
        self.durable = batch.last_lsn();
        Ok(())
    }

    /// Goes on in a new segment, whose header proves all before durable. A Mark that was written
    /// and not synced is left behind the old one's end: it proves nothing more.
    fn rotate(&mut self) -> Result<(), AppendError> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.spare.make(&self.storage, self.options.segment_bytes)?,
        };
        let old = &mut self.current;
        let (sequence, synced) = (old.header.sequence, old.synced);
        let predecessor = Predecessor {
            sequence,
            last_lsn: self.durable,
            last_chain: synced.chain,
            used_len: synced.offset,
        };
        let identity = old.header.identity;
        let header = SegmentHeader {
            identity,
            sequence: sequence + 1,
            first_lsn: self.durable.next(),
            born_lsn: self.durable,
            predecessor,
            capacity: spare.capacity,
            salt: derive_salt(&identity, sequence + 1, &predecessor, self.epoch, 0),
        };
        let (block, chain) = header.encode();
        let mut file = spare.file;
        told(&self.storage, "write", &spare.path, write_all(&mut file, &block, 0))?;
        told(&self.storage, "sync", &spare.path, file.sync_data())?;
        enter(&self.storage, &spare.path, &header.path())?;
        cut(&self.storage, &old.path, &mut old.file, synced.offset)?;
        self.images.retain(|image| (image.segment, image.offset) < (sequence, synced.offset));
        let tip = Tip { offset: BLOCK as u64, chain, ..synced };
        self.proven = self.durable;
        self.current = Writing { path: header.path(), header, file, written: tip, synced: tip };
        Ok(())
    }
}

impl<S: Storage> fmt::Debug for Log<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("epoch", &self.epoch)
            .field("segment", &self.current.path)
            .field("next_lsn", &self.next_lsn)
            .field("durable", &self.durable)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}
