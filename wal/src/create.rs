//! The explicit making of a log. An empty directory is never taken for one.
//!
//! All is built under `wal.new`, synced, and renamed: a log is there as a whole or not at all.

use crate::build::{ASIDE, capacity_for, fill, finish, first_bytes, prepare};
use crate::error::CreateError;
use crate::frame::{Entry, Frame};
use crate::lsn::Lsn;
use crate::options::Options;
use crate::segment::{Identity, Predecessor, SegmentHeader, derive_salt, file_name};
use crate::storage::Storage;

/// Makes a log that belongs to `identity` and holds `entries`, written in epoch 0. When this
/// returns, it is durable.
pub fn create<S: Storage>(
    storage: &S,
    identity: Identity,
    options: Options,
    entries: &[Entry<'_>],
) -> Result<(), CreateError> {
    create_at(storage, identity, options, Lsn::ZERO.next(), entries)
}

/// The same, with its first record numbered `first`: a log made in the place of a lost one begins
/// above every number that anybody may remember of that one.
///
/// # Panics
/// When `first` is [`Lsn::ZERO`], which is no record.
pub fn create_at<S: Storage>(
    storage: &S,
    identity: Identity,
    options: Options,
    first: Lsn,
    entries: &[Entry<'_>],
) -> Result<(), CreateError> {
    assert!(first > Lsn::ZERO, "records are numbered from 1");
    let Options { segment_bytes } = options;
    if !options.sound() {
        return Err(CreateError::SegmentBytes { segment_bytes });
    }
    let mut frame = Frame::new(first);
    for entry in entries {
        frame.push(*entry);
    }
    let (bytes, max) = (frame.len(), options.batch_bytes_max());
    if bytes > max {
        return Err(CreateError::TooLarge { bytes, max });
    }
    let _lock = prepare(storage)?;
    let before = first.previous();
    let predecessor = Predecessor { last_lsn: before, ..Predecessor::default() };
    let header = SegmentHeader {
        identity,
        sequence: 1,
        first_lsn: first,
        born_lsn: before.plus(entries.len() as u64),
        predecessor,
        capacity: segment_bytes.max(capacity_for(std::iter::once(&frame))),
        salt: derive_salt(&identity, 1, &predecessor, 0, frame.digest()),
    };
    let frames = (frame.records() > 0).then_some((frame, 0));
    let (bytes, ..) = first_bytes(&header, frames);
    let path = format!("{ASIDE}/{}", file_name(header.sequence, header.first_lsn));
    fill(storage, &path, &bytes, header.capacity)?;
    finish(storage)
}
