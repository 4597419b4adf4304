//! Makes a whole segment under a temporary name, and gives it its name when it is safe on disk.

use std::io;

use crate::error::{CreateError, Fault};
use crate::frame::{BLOCK, BatchImage, Frame, Placement};
use crate::lsn::Lsn;
use crate::segment::{DIRECTORY, SegmentHeader};
use crate::storage::{Storage, StorageFile, told, write_all};
use crate::walk::Tip;

/// Segments in the making: none of these is part of the log.
pub(crate) const SPARE: &str = "spare";
/// Torn tails, kept for people.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Held by whoever has the log open.
pub(crate) const LOCK: &str = "LOCK";
/// Where a new log is built.
pub(crate) const ASIDE: &str = "wal.new";

static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// The segment a writer writes to.
pub(crate) struct Writing<S: Storage> {
    pub(crate) header: SegmentHeader,
    pub(crate) path: String,
    pub(crate) file: S::File,
    /// Behind the last batch written.
    pub(crate) written: Tip,
    /// Behind the last batch known to be on disk.
    pub(crate) synced: Tip,
}

/// Makes the directories of a log that is not there yet, and takes its lock.
pub(crate) fn prepare<S: Storage>(storage: &S) -> Result<S::Lock, CreateError> {
    told(storage, "create", "", storage.create_dir(""))?;
    let Some(lock) = told(storage, "lock", LOCK, storage.lock(LOCK))? else {
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
    Ok(lock)
}

/// Gives what was built aside its name. When this returns, the log is durable.
pub(crate) fn finish<S: Storage>(storage: &S) -> Result<(), CreateError> {
    told(storage, "sync", ASIDE, storage.sync_dir(ASIDE))?;
    told(storage, "rename", ASIDE, storage.rename(ASIDE, DIRECTORY))?;
    told(storage, "sync", "", storage.sync_dir(""))?;
    Ok(())
}

/// The bytes a segment needs for these batches, a header, and one Mark.
pub(crate) fn capacity_for<'a>(frames: impl Iterator<Item = &'a Frame>) -> u64 {
    (2 * BLOCK + frames.map(Frame::len).sum::<usize>()) as u64
}

/// The header's block and the batches that the segment is born with, each with its epoch.
pub(crate) fn first_bytes(
    header: &SegmentHeader,
    frames: impl IntoIterator<Item = (Frame, u64)>,
) -> (Vec<u8>, Tip, Vec<BatchImage>) {
    let (block, crc) = header.encode();
    let mut bytes = block.to_vec();
    let mut images = Vec::new();
    let mut tip = Tip { offset: BLOCK as u64, next: header.first_lsn, chain: crc, epoch: 0 };
    for (frame, epoch) in frames {
        let (batch, sealed) = frame.seal(Placement {
            salt: header.salt,
            offset: tip.offset,
            previous_chain: tip.chain,
            durable_lsn: header.predecessor.last_lsn,
            epoch,
        });
        assert_eq!(batch.first_lsn, tip.next, "records are numbered without a gap");
        bytes.extend_from_slice(&sealed);
        images.push(image(header, tip.offset, batch.first_lsn, sealed));
        tip = Tip::after(&batch);
    }
    (bytes, tip, images)
}

pub(crate) fn image(
    header: &SegmentHeader,
    offset: u64,
    first_lsn: Lsn,
    bytes: Vec<u8>,
) -> BatchImage {
    BatchImage { segment: header.sequence, offset, first_lsn, salt: header.salt, bytes }
}

/// Makes `path`, starts it with `bytes`, fills it with zeros up to `capacity`, syncs it.
///
/// Zeros are written, not only reserved: overwriting what is there costs an `fdatasync` half of
/// what extending or converting does, and a sector of zeros then means "never written".
pub(crate) fn fill<S: Storage>(
    storage: &S,
    path: &str,
    bytes: &[u8],
    capacity: u64,
) -> Result<S::File, Fault> {
    assert!(bytes.len() as u64 <= capacity, "a segment is made large enough");
    let mut file = told(storage, "create", path, storage.create(path))?;
    told(storage, "write", path, write_all(&mut file, bytes, 0))?;
    let mut at = bytes.len() as u64;
    while at < capacity {
        let chunk = &ZEROS[..ZEROS.len().min((capacity - at) as usize)];
        told(storage, "write", path, write_all(&mut file, chunk, at))?;
        at += chunk.len() as u64;
    }
    told(storage, "sync", path, file.sync_data())?;
    Ok(file)
}

/// Gives a synced file its place in the log. When this returns, the segment is durable.
pub(crate) fn enter<S: Storage>(storage: &S, from: &str, to: &str) -> Result<(), Fault> {
    told(storage, "rename", from, storage.rename(from, to))?;
    told(storage, "sync", DIRECTORY, storage.sync_dir(DIRECTORY))
}

/// Cuts a segment that has a durable successor to what is used of it. From then on the loss of the
/// successor shows.
pub(crate) fn cut<S: Storage>(
    storage: &S,
    path: &str,
    file: &mut S::File,
    used_len: u64,
) -> Result<(), Fault> {
    told(storage, "truncate", path, file.set_len(used_len))?;
    told(storage, "sync", path, file.sync_data())
}

/// Removes every file in a directory of leftovers.
pub(crate) fn clear<S: Storage>(storage: &S, directory: &str) -> Result<(), Fault> {
    for name in told(storage, "list", directory, storage.list(directory))? {
        let path = format!("{directory}/{name}");
        told(storage, "remove", &path, storage.remove(&path))?;
    }
    Ok(())
}
