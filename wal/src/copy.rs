//! A copy of a log up to a chosen record, made beside a live writer: what a backup is made of.
//!
//! The copy is a log that stopped there: the segments are byte for byte those of the original, the
//! last of them with zeros where the original went on. It cannot be told from a log whose process
//! died at that instant, and opens like one.

use crate::build::{ASIDE, fill, finish, prepare};
use crate::error::{CreateError, ReadError};
use crate::frame::BLOCK;
use crate::lsn::Lsn;
use crate::read::{Files, files, visit_from};
use crate::segment::SegmentHeader;
use crate::storage::Storage;
use crate::survey::Segments;

/// Why a copy was not made. What was begun stays under a name that is no log's.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The original could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy could not be written.
    #[error(transparent)]
    Write(#[from] CreateError),
}

/// One file of the copy.
struct Part {
    bytes: Vec<u8>,
    capacity: u64,
    last: Lsn,
    /// The original's next segment belongs to the copy too.
    goes_on: bool,
}

/// Copies the log in `from` into `to`, where none may be, up to the last place at or before
/// `through` at which a writer could have stopped. Says which record is the last of the copy, which
/// is durable when this returns. It is less than `through` when `through` lies within a batch, or
/// when the original is shorter or damaged, and the copy then as well: whoever needs it whole
/// compares. The records that a log was made with are always copied.
///
/// The original is not locked and goes on meanwhile. A segment is in memory at a time.
pub fn copy<F: Storage, T: Storage>(from: &F, through: Lsn, to: &T) -> Result<Lsn, CopyError> {
    let mut files = files(from)?;
    let _lock = prepare(to)?;
    let mut last = Lsn::ZERO;
    for index in 0..files.names().len() {
        let Some(part) = part(&mut files, index, through)? else { break };
        let path = format!("{ASIDE}/{}", files.names()[index]);
        fill(to, &path, &part.bytes, part.capacity).map_err(CreateError::from)?;
        last = part.last;
        if !part.goes_on {
            break;
        }
    }
    finish(to)?;
    Ok(last)
}

/// What of one segment belongs to a log that ends at `through`.
fn part<S: Storage>(
    files: &mut Files<'_, S>,
    index: usize,
    through: Lsn,
) -> Result<Option<Part>, CopyError> {
    let Some(header) = header_of(files, index)? else { return Ok(None) };
    if index > 0 && header.proves() > through {
        return Ok(None);
    }
    // What a log was made with is all there or is no log.
    let through = through.max(header.born_lsn);
    let next = if index + 1 < files.names().len() { header_of(files, index + 1)? } else { None };
    let used = next.map_or(u64::MAX, |next| next.predecessor.used_len);
    let goes_on = next.is_some_and(|next| next.proves() <= through);
    let mut bytes = files.read(index, used).map_err(ReadError::Io)?.into_owned();
    let (mut last, mut end) = (header.predecessor.last_lsn, BLOCK as u64);
    let mut seen = Lsn::ZERO;
    // It ends at a batch that is no part of the copy, or where there is none.
    let _ = visit_from(&bytes, None, &mut seen, &mut |_, batch, _| {
        if batch.header.last_lsn() > through {
            return Err(());
        }
        (last, end) = (batch.header.last_lsn(), batch.header.end());
        Ok(())
    });
    // Nothing is copied from behind a hole.
    let goes_on = goes_on && end == used;
    bytes.truncate(end as usize);
    let capacity = if goes_on { end } else { header.capacity.max(end) };
    Ok(Some(Part { bytes, capacity, last, goes_on }))
}

fn header_of<S: Storage>(
    files: &mut Files<'_, S>,
    index: usize,
) -> Result<Option<SegmentHeader>, CopyError> {
    let block = files.read(index, BLOCK as u64).map_err(ReadError::Io)?;
    Ok(SegmentHeader::decode(&block).ok().map(|(header, _)| header))
}
