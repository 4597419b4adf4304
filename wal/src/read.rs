//! Reading a log from outside, without its lock: for people, checks and copies.
//!
//! It promises to disturb nothing and to work beside a live writer: it reads up to the last whole
//! batch, and what is half written behind that is in flight, not damage. What it shows may not be
//! durable yet; [`Position::durable_lsn`](crate::Position) says what is.

use std::borrow::Cow;
use std::io;

use crate::error::{Fault, OpenError, ReadError, Why};
use crate::frame::{BLOCK, Batch, Record};
use crate::lsn::Lsn;
use crate::segment::{DIRECTORY, Position, SegmentHeader, parse_name};
use crate::storage::{Storage, StorageFile as _, told};
use crate::survey::{self, Segments, is_segment};
use crate::walk::{Seen, Tip, batch_after_lost_mark, look};

pub use crate::survey::{SegmentSurvey, Survey, Verdict};

/// How often a survey looks again at what seems wrong, while it keeps changing. Damage keeps still
/// and is believed at the second look; a busy writer of tiny segments may cut its last one under
/// many looks in a row.
const LOOKS_MAX: usize = 4_096;

/// The segments of a log in a [`Storage`].
pub(crate) struct Files<'a, S: Storage> {
    storage: &'a S,
    names: Vec<String>,
    /// Told of every read, with the bytes it brought.
    heard: Option<&'a mut dyn FnMut(u64)>,
}

impl<'a, S: Storage> Files<'a, S> {
    pub(crate) fn list(storage: &'a S) -> Result<Self, Fault> {
        let mut names = told(storage, "list", DIRECTORY, storage.list(DIRECTORY))?;
        names.retain(|name| is_segment(name));
        Ok(Self { storage, names, heard: None })
    }
}

impl<S: Storage> Segments for Files<'_, S> {
    type Error = Fault;

    fn names(&self) -> &[String] {
        &self.names
    }

    fn size(&mut self, index: usize) -> Result<u64, Fault> {
        let path = format!("{DIRECTORY}/{}", self.names[index]);
        let size = self.storage.open(&path).and_then(|file| crate::StorageFile::size(&file));
        told(self.storage, "open", &path, size)
    }

    fn read(&mut self, index: usize, len: u64) -> Result<Cow<'_, [u8]>, Fault> {
        let path = format!("{DIRECTORY}/{}", self.names[index]);
        let bytes = self.storage.open(&path).and_then(|file| file.read_up_to(len));
        let bytes = told(self.storage, "read", &path, bytes)?;
        if let Some(heard) = &mut self.heard {
            heard(bytes.len() as u64);
        }
        Ok(Cow::Owned(bytes))
    }
}

pub(crate) fn files<S: Storage>(storage: &S) -> Result<Files<'_, S>, ReadError> {
    Files::list(storage).map_err(|fault| {
        if fault.source.kind() == io::ErrorKind::NotFound {
            return ReadError::Missing { path: fault.path };
        }
        ReadError::Io(fault)
    })
}

/// Whom the log belongs to, by the first header that holds; `None` if none does.
pub fn identity<S: Storage>(storage: &S) -> Result<Option<crate::Identity>, ReadError> {
    let mut files = files(storage)?;
    for index in 0..files.names().len() {
        let block = files.read(index, BLOCK as u64).map_err(ReadError::Io)?;
        if let Ok((header, _)) = SegmentHeader::decode(&block) {
            return Ok(Some(header.identity));
        }
    }
    Ok(None)
}

/// Looks at all of a log and says what is wrong with each segment.
///
/// `witnessed` is the highest record that anything outside the log knows to have been durable.
/// Beside a live writer a batch may be seen half copied, or a segment without its new successor;
/// what seems wrong is therefore looked at again until it stays as it is.
pub fn survey<S: Storage>(storage: &S, witnessed: Option<Lsn>) -> Result<Survey, ReadError> {
    survey_heard(storage, witnessed, &mut |_| {})
}

/// As [`survey`]; `heard` is told of every read, with its bytes: for whoever shows progress.
pub fn survey_heard<S: Storage>(
    storage: &S,
    witnessed: Option<Lsn>,
    heard: &mut dyn FnMut(u64),
) -> Result<Survey, ReadError> {
    let mut once = || {
        let mut files = files(storage)?;
        files.heard = Some(heard);
        survey::survey(&mut files, witnessed).map_err(ReadError::Io)
    };
    let mut seen = once()?;
    for _ in 0..LOOKS_MAX {
        if seen.first_unsound().is_none() {
            break;
        }
        let again = once()?;
        let verdicts = |survey: &Survey| -> Vec<_> {
            survey.segments.iter().map(|segment| segment.verdict).collect()
        };
        let settled = verdicts(&again) == verdicts(&seen);
        seen = again;
        if settled {
            break;
        }
    }
    Ok(seen)
}

/// How far a reader has come. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    segment: u64,
    tip: Option<Tip>,
    seen: Lsn,
}

impl Cursor {
    /// The last record that was visited.
    pub fn seen(&self) -> Lsn {
        self.seen
    }

    /// A reader that has seen all up to `lsn`.
    pub fn after(lsn: Lsn) -> Self {
        Self { segment: 0, tip: None, seen: lsn }
    }
}

/// Why a reader stopped.
#[derive(Debug, thiserror::Error)]
pub enum FollowError<E> {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What should be there is not, and is not on its way either.
    #[error(transparent)]
    Damaged(OpenError),
    /// The visitor said so.
    #[error(transparent)]
    Visitor(E),
}

/// Hands every record behind `cursor` to `visit`, up to the last whole batch, and moves `cursor`
/// there. Called again it goes on; a segment is in memory at a time.
pub fn follow<S: Storage, E>(
    storage: &S,
    cursor: &mut Cursor,
    mut visit: impl FnMut(Record<'_>, Position) -> Result<(), E>,
) -> Result<(), FollowError<E>> {
    follow_batches(storage, cursor, |segment, batch, seen| {
        visit_records(segment, batch, seen, &mut visit)
    })
}

/// As [`follow`], a whole batch at a time, with the last record seen before it: for those who keep
/// the bytes. Marks are batches too.
pub fn follow_batches<S: Storage, E>(
    storage: &S,
    cursor: &mut Cursor,
    mut visit: impl FnMut(&SegmentHeader, &Batch<'_>, Lsn) -> Result<(), E>,
) -> Result<(), FollowError<E>> {
    let mut files = files(storage)?;
    let io = |fault| FollowError::Read(ReadError::Io(fault));
    let names = files.names().to_vec();
    for index in 0..names.len() {
        let (sequence, first_lsn) = parse_name(&names[index]).unwrap_or_default();
        let next = names.get(index + 1).map(|name| parse_name(name).unwrap_or_default());
        let is_behind = next.is_some_and(|(_, lsn)| lsn.previous() <= cursor.seen);
        if sequence < cursor.segment || (is_behind && cursor.tip.is_none()) {
            continue;
        }
        let bound = if next.is_some() {
            let block = files.read(index + 1, BLOCK as u64).map_err(io)?;
            SegmentHeader::decode(&block).ok().map(|(header, _)| header.predecessor.used_len)
        } else {
            None
        };
        let bytes = files.read(index, bound.unwrap_or(u64::MAX)).map_err(io)?;
        let start = cursor.tip.filter(|_| sequence == cursor.segment);
        let tip = visit_from(&bytes, start, &mut cursor.seen, &mut visit)
            .map_err(FollowError::Visitor)?;
        let whole = tip.is_some_and(|tip| bound.is_none_or(|bound| tip.offset >= bound));
        if !whole {
            return Err(FollowError::Damaged(OpenError::Corrupt {
                why: if tip.is_none() { Why::NotAHeader } else { Why::Hole },
                file: storage.locate(&format!("{DIRECTORY}/{}", names[index])),
                offset: tip.map_or(0, |tip| tip.offset),
                lsn: tip.map_or(first_lsn, |tip| tip.next),
                whole_batches_following: 0,
            }));
        }
        (cursor.segment, cursor.tip) = (sequence, tip);
    }
    Ok(())
}

/// Hands every record of a segment to `visit`, and says where its batches end. `None` if it has no
/// header that holds.
pub(crate) fn visit_segment<E>(
    bytes: &[u8],
    visit: &mut impl FnMut(Record<'_>, Position) -> Result<(), E>,
) -> Result<Option<Tip>, E> {
    let mut seen = Lsn::ZERO;
    visit_from(bytes, None, &mut seen, &mut |segment, batch, seen| {
        visit_records(segment, batch, seen, visit)
    })
}

pub(crate) fn visit_from<E>(
    bytes: &[u8],
    start: Option<Tip>,
    seen: &mut Lsn,
    visit: &mut impl FnMut(&SegmentHeader, &Batch<'_>, Lsn) -> Result<(), E>,
) -> Result<Option<Tip>, E> {
    let Ok((header, crc)) = SegmentHeader::decode(bytes) else { return Ok(None) };
    let mut tip = start.unwrap_or(Tip::start(&header, crc, 0));
    loop {
        let batch = match look(bytes, header.salt, &tip) {
            Seen::Batch(batch) => batch,
            Seen::End => return Ok(Some(tip)),
            Seen::Bad(_) => match batch_after_lost_mark(bytes, header.salt, &tip) {
                Some(batch) => batch,
                None => return Ok(Some(tip)),
            },
        };
        // A start may have written again what was read before it.
        if batch.header.last_lsn() > *seen || batch.header.records == 0 {
            visit(&header, &batch, *seen)?;
            *seen = batch.header.last_lsn().max(*seen);
        }
        tip = Tip::after(&batch.header);
    }
}

fn visit_records<E>(
    segment: &SegmentHeader,
    batch: &Batch<'_>,
    seen: Lsn,
    visit: &mut impl FnMut(Record<'_>, Position) -> Result<(), E>,
) -> Result<(), E> {
    let header = &batch.header;
    for (record, at, crc) in batch.records().filter(|(record, ..)| record.lsn > seen) {
        let position = Position {
            segment: segment.sequence,
            offset: header.offset,
            record_offset: header.offset + at,
            crc,
            batch_len: header.batch_len,
            first_lsn: header.first_lsn,
            records: header.records,
            durable_lsn: header.durable_lsn,
            epoch: header.epoch,
        };
        visit(record, position)?;
    }
    Ok(())
}
