//! The explicit making of a log. An empty directory is never taken for one.
//!
//! All is built under `wal.new`, synced, and renamed: a log is there as a whole or not at all.

use std::io;

use crate::build::{LOCK, QUARANTINE, SPARE, capacity_for, clear, fill, first_bytes};
use crate::error::CreateError;
use crate::frame::{Entry, Frame};
use crate::lsn::Lsn;
use crate::options::Options;
use crate::segment::{DIRECTORY, Identity, Predecessor, SegmentHeader, derive_salt, file_name};
use crate::storage::{Storage, told};

const ASIDE: &str = "wal.new";

/// Makes a log that belongs to `identity` and holds `entries`, written in epoch 0. When this
/// returns, it is durable.
pub fn create<S: Storage>(
    storage: &S,
    identity: Identity,
    options: Options,
    entries: &[Entry<'_>],
) -> Result<(), CreateError> {
    let Options { segment_bytes } = options;
    if !options.sound() {
        return Err(CreateError::SegmentBytes { segment_bytes });
    }
    let mut frame = Frame::new(Lsn::new(1));
    for entry in entries {
        frame.push(*entry);
    }
    let (bytes, max) = (frame.len(), options.batch_bytes_max());
    if bytes > max {
        return Err(CreateError::TooLarge { bytes, max });
    }
    told(storage, "create", "", storage.create_dir(""))?;
    let Some(_lock) = told(storage, "lock", LOCK, storage.lock(LOCK))? else {
        return Err(CreateError::Locked { path: storage.locate(LOCK) });
    };
    match storage.list(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => told(storage, "list", DIRECTORY, Err(error))?,
        Ok(_) => return Err(CreateError::AlreadyThere { path: storage.locate(DIRECTORY) }),
    }
    for directory in [ASIDE, SPARE, QUARANTINE] {
        told(storage, "create", directory, storage.create_dir(directory))?;
    }
    clear(storage, ASIDE)?;
    let predecessor = Predecessor::default();
    let header = SegmentHeader {
        identity,
        sequence: 1,
        first_lsn: Lsn::new(1),
        born_lsn: Lsn::new(entries.len() as u64),
        predecessor,
        capacity: segment_bytes.max(capacity_for(std::iter::once(&frame))),
        salt: derive_salt(&identity, 1, &predecessor, 0, frame.digest()),
    };
    let frames = (frame.records() > 0).then_some((frame, 0));
    let (bytes, ..) = first_bytes(&header, frames);
    let path = format!("{ASIDE}/{}", file_name(header.sequence, header.first_lsn));
    fill(storage, &path, &bytes, header.capacity)?;
    told(storage, "sync", ASIDE, storage.sync_dir(ASIDE))?;
    told(storage, "rename", ASIDE, storage.rename(ASIDE, DIRECTORY))?;
    told(storage, "sync", "", storage.sync_dir(""))?;
    Ok(())
}
