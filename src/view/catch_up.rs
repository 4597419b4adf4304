//! What a view lacks, read from the log on disk: a start after a kill, or a view made anew.

use super::follow::patiently;
use super::{Batch, RECORDS_PER_TRANSACTION, View, ViewError};
use wal::read::{Cursor, FollowError, follow_batches};
use wal::{FrameError, Lsn, Storage};

/// Applies what `view` lacks, with the bytes of the batches, through the record `durable_lsn`.
///
/// What is behind that may be written and not synced yet: a view that held it would accuse the log
/// of having lost it after a power cut. It comes by the [`Feed`](super::Feed).
pub fn catch_up<S: Storage, V: View>(
    storage: &S,
    durable_lsn: u64,
    view: &mut V,
) -> Result<(), ViewError> {
    let mut cursor = Cursor::after(Lsn::new(view.applied_lsn()));
    let (mut batches, mut records) = (Vec::new(), 0);
    let followed = follow_batches(storage, &mut cursor, |segment, batch, _| {
        if batch.header.last_lsn().get() > durable_lsn {
            return Ok(());
        }
        batches.push(Batch::read(batch.image(segment)).map_err(unreadable)?);
        records += batch.header.records as usize;
        if records < RECORDS_PER_TRANSACTION {
            return Ok(());
        }
        records = 0;
        let full = std::mem::take(&mut batches);
        patiently(|| view.apply(&full), || true)
    });
    followed.map_err(|error| match error {
        FollowError::Visitor(error) => error,
        FollowError::Read(error) => ViewError::Log(Box::new(error)),
        FollowError::Damaged(error) => ViewError::Log(Box::new(error)),
    })?;
    patiently(|| view.apply(&batches), || true)
}

pub(super) fn unreadable(error: FrameError) -> ViewError {
    ViewError::Log(Box::new(error))
}
