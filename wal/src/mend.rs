//! A damaged log made whole again from a second copy of its batches. Never from a guess.
//!
//! ```text
//!  plan    what stands wrong, and what the copy has for exactly that place   writes nothing
//!  apply   spare/: the segment with those batches, synced
//!          quarantine/: the damaged file as it was, synced
//!          rename into wal/, sync wal/                                       the only change
//! ```
//!
//! A batch is put back only where it continues the chain of all before it, byte for byte as it was
//! written: its checksums, place and predecessor say so. A Mark is computed, for it says nothing
//! that the batches around it do not; it is put back only where the batch behind continues its
//! chain, or where what stands there is that Mark but for a few bits. What is whole is never
//! written over, and no record is ever dropped. A plan that leaves anything wrong is none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::build::{LOCK, QUARANTINE, SPARE, enter, fill};
use crate::error::{Fault, OpenError, ReadError};
use crate::frame::{BatchImage, parse_batch};
use crate::lsn::Lsn;
use crate::read::Files;
use crate::segment::{DIRECTORY, SegmentHeader};
use crate::storage::{Storage, StorageFile as _, told};
use crate::survey::{Segments, Survey, Verdict, survey};
use crate::walk::{Seen, Tip, look, mark_at};

/// A Mark may differ from what was computed in this many bits. A batch with records differs from it
/// in its counts and two checksums: in half of some eighty bits.
const MARK_BITS_WRONG_MAX: u32 = 8;

/// A batch that is put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Sequence number of the segment.
    pub segment: u64,
    /// The segment's file.
    pub file: PathBuf,
    /// Where the batch starts.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Its first record.
    pub first_lsn: Lsn,
    /// Its records; 0 for a Mark, which was computed and not copied.
    pub records: u32,
}

/// What would make a log whole.
#[derive(Debug)]
pub struct Mending {
    /// What is put back, in the order of the log.
    pub patches: Vec<Patch>,
    /// The log as it then is.
    pub survey: Survey,
    files: BTreeMap<String, Mended>,
}

#[derive(Debug)]
struct Mended {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Why a log is not mended.
#[derive(Debug, thiserror::Error)]
pub enum MendError<E> {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy could not.
    #[error(transparent)]
    Copy(E),
    /// Something is wrong that no copy has: where, after all that could be put back.
    #[error("no copy holds what is wrong")]
    Beyond(Box<Survey>),
}

/// The segments with some of them mended.
struct Patched<'a, S: Storage> {
    files: Files<'a, S>,
    mended: BTreeMap<usize, Mended>,
}

impl<S: Storage> Segments for Patched<'_, S> {
    type Error = Fault;

    fn names(&self) -> &[String] {
        self.files.names()
    }

    fn size(&mut self, index: usize) -> Result<u64, Fault> {
        match self.mended.get(&index) {
            Some(mended) => Ok(mended.after.len() as u64),
            None => self.files.size(index),
        }
    }

    fn read(&mut self, index: usize, len: u64) -> Result<Cow<'_, [u8]>, Fault> {
        match self.mended.get(&index) {
            Some(Mended { after, .. }) => {
                Ok(Cow::Borrowed(&after[..after.len().min(len as usize)]))
            }
            None => self.files.read(index, len),
        }
    }
}

/// What would make the log whole, with what `copies` has of a segment by its sequence number, in
/// order. Empty when nothing is wrong. Writes nothing.
pub fn plan<S: Storage, E>(
    storage: &S,
    witnessed: Option<Lsn>,
    mut copies: impl FnMut(u64) -> Result<Vec<BatchImage>, E>,
) -> Result<Mending, MendError<E>> {
    let read = |fault| MendError::Read(ReadError::Io(fault));
    let files = Files::list(storage).map_err(read)?;
    let mut log = Patched { files, mended: BTreeMap::new() };
    let mut patches = Vec::new();
    loop {
        let seen = survey(&mut log, witnessed).map_err(read)?;
        let wrong = seen.segments.iter().position(|segment| !segment.verdict.sound());
        let Some(index) = wrong else {
            let names = log.names().to_vec();
            let mended = log.mended.into_iter();
            let files = mended.map(|(index, mended)| (names[index].clone(), mended)).collect();
            return Ok(Mending { patches, survey: seen, files });
        };
        let (segment, next) = (&seen.segments[index], seen.segments.get(index + 1));
        let (Some(header), Verdict::Corrupt { offset: 1.., .. }) =
            (segment.header, segment.verdict)
        else {
            return Err(MendError::Beyond(Box::new(seen)));
        };
        let used_len = next.and_then(|next| next.header).map(|next| next.predecessor.used_len);
        let copies = copies(header.sequence).map_err(MendError::Copy)?;
        let before = log.read(index, u64::MAX).map_err(read)?.into_owned();
        let mut after = before.clone();
        if let Some(used_len) = used_len {
            after.resize(after.len().max(used_len as usize), 0);
        }
        let file = storage.locate(&header.path());
        let found = mend_segment(&mut after, &header, used_len, &copies, &file);
        if found.is_empty() || log.mended.contains_key(&index) {
            return Err(MendError::Beyond(Box::new(seen)));
        }
        patches.extend(found);
        log.mended.insert(index, Mended { before, after });
    }
}

/// Walks the segment and puts back what is wrong, as far as the copies reach.
fn mend_segment(
    bytes: &mut [u8],
    header: &SegmentHeader,
    used_len: Option<u64>,
    copies: &[BatchImage],
    file: &std::path::Path,
) -> Vec<Patch> {
    let mut patches = Vec::new();
    let Ok((_, crc)) = SegmentHeader::decode(bytes) else { return patches };
    let mut tip = Tip::start(header, crc, 0);
    loop {
        if used_len.is_some_and(|used_len| tip.offset >= used_len) {
            return patches;
        }
        if let Seen::Batch(batch) = look(bytes, header.salt, &tip) {
            tip = Tip::after(&batch.header);
            continue;
        }
        let copy = copied(copies, header, &tip).or_else(|| {
            let is_end = matches!(look(bytes, header.salt, &tip), Seen::End) && used_len.is_none();
            if is_end { None } else { computed_mark(bytes, header, &tip, copies) }
        });
        let Some((after, records, copy)) = copy else { return patches };
        let at = tip.offset as usize;
        let Some(place) = bytes.get_mut(at..at + copy.len()) else { return patches };
        place.copy_from_slice(&copy);
        patches.push(Patch {
            segment: header.sequence,
            file: file.to_owned(),
            offset: tip.offset,
            bytes: copy.len() as u64,
            first_lsn: tip.next,
            records,
        });
        tip = after;
    }
}

/// The copy of the batch that must stand at `tip`, if it is that.
fn copied(copies: &[BatchImage], header: &SegmentHeader, tip: &Tip) -> Option<(Tip, u32, Vec<u8>)> {
    let copy = copies.iter().find(|copy| copy.offset == tip.offset && copy.salt == header.salt)?;
    let batch = parse_batch(&copy.bytes, header.salt, tip.offset).ok()?;
    let follows = batch.header.first_lsn == tip.next
        && batch.header.previous_chain == tip.chain
        && batch.bytes().len() == copy.bytes.len();
    follows.then(|| (Tip::after(&batch.header), batch.header.records, copy.bytes.clone()))
}

/// The Mark that must have stood at `tip`, if what is there or behind it shows that one did.
fn computed_mark(
    bytes: &[u8],
    header: &SegmentHeader,
    tip: &Tip,
    copies: &[BatchImage],
) -> Option<(Tip, u32, Vec<u8>)> {
    let (mark, computed) = mark_at(tip, header.salt, tip.epoch);
    let after = Tip::after(&mark);
    let there = bytes.get(tip.offset as usize..)?.get(..computed.len())?;
    let wrong: u32 = there.iter().zip(&computed).map(|(a, b)| (a ^ b).count_ones()).sum();
    let continued = matches!(
        look(bytes, header.salt, &after),
        Seen::Batch(batch) if batch.header.records > 0
    );
    let proven = wrong <= MARK_BITS_WRONG_MAX
        || continued
        || copied(copies, header, &after).is_some_and(|(_, records, _)| records > 0);
    proven.then_some((after, 0, computed))
}

impl Mending {
    /// Puts the mended segments in the place of the damaged ones, and says where those are kept.
    /// A crash in between leaves each segment as it was or mended.
    pub fn apply<S: Storage>(self, storage: &S) -> Result<Vec<PathBuf>, OpenError> {
        let Some(_lock) = told(storage, "lock", LOCK, storage.lock(LOCK))? else {
            return Err(OpenError::Locked { path: storage.locate(LOCK) });
        };
        for directory in [SPARE, QUARANTINE] {
            told(storage, "create", directory, storage.create_dir(directory))?;
        }
        let mut kept = Vec::new();
        for (name, Mended { before, after }) in self.files {
            let path = format!("{DIRECTORY}/{name}");
            let now = told(storage, "open", &path, storage.open(&path))?;
            let now = now.read_up_to(u64::MAX);
            if told(storage, "read", &path, now)? != before {
                return Err(OpenError::Locked { path: storage.locate(&path) });
            }
            let quarantined = keep(storage, &name, &before)?;
            kept.push(storage.locate(&quarantined));
            let aside = format!("{SPARE}/{name}");
            if told(storage, "list", SPARE, storage.list(SPARE))?.contains(&name) {
                told(storage, "remove", &aside, storage.remove(&aside))?;
            }
            fill(storage, &aside, &after, after.len() as u64)?;
            enter(storage, &aside, &path)?;
        }
        Ok(kept)
    }
}

/// Keeps the damaged file as it is, under a name that no earlier one has.
fn keep<S: Storage>(storage: &S, name: &str, bytes: &[u8]) -> Result<String, Fault> {
    let there = told(storage, "list", QUARANTINE, storage.list(QUARANTINE))?;
    let free = (1..=u32::MAX).map(|n| format!("{name}.{n}.damaged")).find(|it| !there.contains(it));
    let path = format!("{QUARANTINE}/{}", free.unwrap_or_else(|| format!("{name}.damaged")));
    fill(storage, &path, bytes, bytes.len() as u64)?;
    told(storage, "sync", QUARANTINE, storage.sync_dir(QUARANTINE))?;
    Ok(path)
}
