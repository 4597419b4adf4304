//! The start of a new epoch, on a segment of its own.
//!
//! What lies above `D` was readable, perhaps only from a page cache that the next power cut
//! empties, and someone may have been told of it. So it is written again before it is believed:
//!
//! ```text
//!  segment n      header | .. proven .. | loose | torn | zeros
//!                                ^ used_len in n+1's header: nothing behind is read again
//!  segment n+1    header | loose, written again | the epoch's first record | zeros
//!
//!  1 quarantine/: copy of the torn tail    2 spare/: all of n+1, synced
//!  3 sync .. and wal/, with n's name       4 rename into wal/, sync wal/     5 cut n to used_len
//! ```
//!
//! A crash before 4 is durable leaves `n` as it was; after it, `n+1` bounds it. The rename is the
//! only moment at which anything changes. `born_lsn` in the new header proves what came with it.

use crate::build::{QUARANTINE, SPARE, Writing, capacity_for, cut, enter, fill, first_bytes};
use crate::error::OpenError;
use crate::frame::{Entry, Frame, parse_batch};
use crate::log::Log;
use crate::lsn::{Durable, Lsn};
use crate::open::Opened;
use crate::read::Files;
use crate::segment::{DIRECTORY, Predecessor, SegmentHeader, derive_salt, file_name};
use crate::storage::{Storage, told};
use crate::survey::Segments;

impl<S: Storage> Opened<S> {
    /// Makes all that was readable durable, with `entry` behind it as the first record of `epoch`.
    ///
    /// # Panics
    ///
    /// If `epoch` is not above [`Opened::epoch`]: two epochs must never be taken for one.
    pub fn begin(self, epoch: u64, entry: Entry<'_>) -> Result<(Log<S>, Durable), OpenError> {
        assert!(epoch > self.epoch(), "an epoch is begun once");
        let (frames, predecessor) = self.reread(epoch, entry)?;
        let (sequence, first_lsn) = (predecessor.sequence + 1, predecessor.last_lsn.next());
        let born = frames.iter().fold(0, |born, (frame, _)| born ^ frame.digest());
        let records: u64 = frames.iter().map(|(frame, _)| u64::from(frame.records())).sum();
        let header = SegmentHeader {
            identity: self.identity,
            sequence,
            first_lsn,
            born_lsn: predecessor.last_lsn.plus(records),
            predecessor,
            capacity: self
                .options
                .segment_bytes
                .max(capacity_for(frames.iter().map(|(frame, _)| frame))),
            salt: derive_salt(&self.identity, sequence, &predecessor, epoch, born),
        };
        self.keep_torn_tail()?;
        let (bytes, mut tip, images) = first_bytes(&header, frames);
        tip.epoch = epoch;
        let aside = format!("{SPARE}/{}", file_name(sequence, first_lsn));
        let file = fill(&self.storage, &aside, &bytes, header.capacity)?;
        // Names that are only readable are no safer than records: whoever gave them may have been
        // killed before it could sync them. A successor must never outlive its predecessor.
        for directory in ["", DIRECTORY] {
            told(&self.storage, "sync", directory, self.storage.sync_dir(directory))?;
        }
        enter(&self.storage, &aside, &header.path())?;
        self.cut_older(&predecessor)?;
        let current = Writing { path: header.path(), header, file, written: tip, synced: tip };
        let log = Log::new(self.storage, self.lock, self.options, epoch, current, images);
        let durable = log.durable();
        Ok((log, durable))
    }

    /// The batches that are not proven durable, framed anew, and where the proven ones end.
    fn reread(
        &self,
        epoch: u64,
        entry: Entry<'_>,
    ) -> Result<(Vec<(Frame, u64)>, Predecessor), OpenError> {
        let index = self.survey.segments.len() - 1;
        let last = &self.survey.segments[index];
        let (Some(header), Some(proven)) = (last.header, self.survey.proven) else {
            unreachable!("an opened log ends in a sound segment");
        };
        let mut frames = Vec::new();
        let mut files = Files::list(&self.storage)?;
        let bytes = files.read(index, last.used_len)?;
        let mut next = proven.next;
        for &(offset, len) in &self.survey.loose {
            let batch = bytes.get(offset as usize..(offset + len) as usize);
            let batch = batch.and_then(|bytes| parse_batch(bytes, header.salt, offset).ok());
            let Some(batch) = batch else {
                return Err(OpenError::Corrupt {
                    why: crate::error::Why::BatchHeader,
                    file: self.storage.locate(&header.path()),
                    offset,
                    lsn: next,
                    whole_batches_following: 0,
                });
            };
            let mut frame = Frame::new(next);
            for (record, ..) in batch.records() {
                let (kind, kind_version) = (record.kind, record.kind_version);
                let (wall_ms, payload) = (record.wall_ms, record.payload);
                next = frame.push(Entry { kind, kind_version, wall_ms, payload }).next();
            }
            frames.push((frame, batch.header.epoch));
        }
        let mut first = Frame::new(next);
        let (bytes, max) = (first.len_with(entry.payload.len()), self.options.batch_bytes_max());
        if bytes > max {
            return Err(OpenError::TooLarge { bytes, max });
        }
        first.push(entry);
        frames.push((first, epoch));
        let predecessor = Predecessor {
            sequence: header.sequence,
            last_lsn: proven.next.previous(),
            last_chain: proven.chain,
            used_len: proven.offset,
        };
        Ok((frames, predecessor))
    }

    fn keep_torn_tail(&self) -> Result<(), OpenError> {
        let Some(torn) = &self.report.torn else { return Ok(()) };
        let index = self.survey.segments.len() - 1;
        let end = torn.offset + torn.bytes;
        let mut files = Files::list(&self.storage)?;
        let bytes = files.read(index, end)?;
        let name = torn.quarantine.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let path = format!("{QUARANTINE}/{name}");
        let storage = &self.storage;
        if told(storage, "list", QUARANTINE, storage.list(QUARANTINE))?.iter().any(|n| n == name) {
            // An opening that did not finish left it, perhaps in part.
            told(storage, "remove", &path, storage.remove(&path))?;
        }
        let tail = bytes.get(torn.offset as usize..).unwrap_or_default();
        fill(storage, &path, tail, tail.len() as u64)?;
        told(storage, "sync", QUARANTINE, storage.sync_dir(QUARANTINE))?;
        Ok(())
    }

    /// Cuts every older segment that a crash, or this opening, left longer than is used of it.
    fn cut_older(&self, newest: &Predecessor) -> Result<(), OpenError> {
        let segments = &self.survey.segments;
        for (index, segment) in segments.iter().enumerate() {
            let last = index + 1 == segments.len();
            let used_len = if last { newest.used_len } else { segment.used_len };
            if segment.len > used_len {
                let path = format!("{DIRECTORY}/{}", segment.name);
                let file = self.storage.open_to_write(&path);
                let mut file = told(&self.storage, "open", &path, file)?;
                cut(&self.storage, &path, &mut file, used_len)?;
            }
        }
        Ok(())
    }
}

impl crate::survey::Survey {
    /// `D`, of which the survey has seen that no record is missing.
    pub(crate) fn durable_and_readable(&self) -> Lsn {
        self.proven.map_or(Lsn::ZERO, |tip| tip.next.previous())
    }
}
