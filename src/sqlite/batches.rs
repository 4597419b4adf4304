//! The log's second copy: the raw bytes of every batch, without the padding.
//!
//! It exists so that a damaged batch of the log can be put back byte for byte. Nothing here judges
//! a batch: the log's own checksums do, when it is read back.

use super::{reader, signed, sorted, unsigned};
use crate::view::{Batch, ViewError};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::VecDeque;
use std::path::Path;

/// Every batch ends in this many bytes that are not padding.
const TRAILER_BYTES: usize = 8;
/// A reader holds this many at a time.
const PAGE_BATCHES: i64 = 64;

/// A batch's bytes up to its padding, and its trailer.
fn squeezed(bytes: &[u8]) -> Vec<u8> {
    let (body, trailer) = bytes.split_at(bytes.len().saturating_sub(TRAILER_BYTES));
    let used = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    [&body[..used], trailer].concat()
}

/// The batch again, byte for byte. `None` when no batch was squeezed into this.
fn restored(squeezed: &[u8], length: usize) -> Option<Vec<u8>> {
    let used = squeezed.len().checked_sub(TRAILER_BYTES.min(length))?;
    let (body, trailer) = squeezed.split_at(used);
    let padding = length.checked_sub(squeezed.len())?;
    Some([body, &vec![0; padding], trailer].concat())
}

/// Copies the batches that came with their bytes. A start writes what was not proven durable again,
/// in a segment of its own: the copies of that end of the segment before are then no part of the
/// log, and go.
pub(super) fn copy(sql: &Transaction<'_>, batches: &[Batch], last: u64) -> rusqlite::Result<u64> {
    let mut segment = last;
    let insert = "INSERT OR REPLACE INTO batches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut insert = sql.prepare_cached(insert)?;
    for batch in batches.iter().filter(|batch| !batch.bytes.is_empty()) {
        if batch.segment > segment {
            forget_rewritten(sql, batch)?;
            segment = batch.segment;
        }
        insert.execute(params![
            signed(batch.segment),
            signed(batch.offset),
            signed(batch.first_lsn),
            signed(batch.records.len() as u64),
            signed(batch.salt),
            signed(batch.bytes.len() as u64),
            squeezed(&batch.bytes),
        ])?;
    }
    Ok(segment)
}

fn forget_rewritten(sql: &Transaction<'_>, first: &Batch) -> rusqlite::Result<()> {
    let newest = "SELECT segment, offset, first_lsn + records FROM batches
                  WHERE segment < ?1 ORDER BY segment DESC, offset DESC LIMIT 1";
    loop {
        let newest = sql.query_row(newest, [signed(first.segment)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        match newest.optional()? {
            Some((segment, offset, next)) if next > signed(first.first_lsn) => {
                let delete = "DELETE FROM batches WHERE segment = ?1 AND offset = ?2";
                sql.execute(delete, [segment, offset])?;
            }
            _ => return Ok(()),
        }
    }
}

/// The batches of a view's second copy, in the order of the log.
#[derive(Debug)]
pub struct Batches {
    connection: Connection,
    after: (i64, i64),
    page: VecDeque<wal::BatchImage>,
}

/// Reads the second copy at `path`, as it stands now. Works beside a writer.
pub(crate) fn batches(path: &Path) -> Result<Batches, ViewError> {
    let connection = reader(path)?;
    connection.execute_batch("BEGIN").map_err(sorted)?;
    Ok(Batches { connection, after: (0, -1), page: VecDeque::new() })
}

/// What the second copy at `path` has of one segment, by its sequence number.
pub(crate) fn batches_of(path: &Path, segment: u64) -> Result<Vec<wal::BatchImage>, ViewError> {
    let mut all = batches(path)?;
    all.after = (signed(segment), -1);
    let is_of = |image: &Result<wal::BatchImage, ViewError>| {
        image.as_ref().map_or(true, |image| image.segment == segment)
    };
    all.take_while(is_of).collect()
}

impl Batches {
    fn fill(&mut self) -> Result<(), ViewError> {
        let sql = "SELECT segment, offset, first_lsn, salt, length, bytes FROM batches
                   WHERE (segment, offset) > (?1, ?2) ORDER BY segment, offset LIMIT ?3";
        let mut sql = self.connection.prepare_cached(sql).map_err(sorted)?;
        let (segment, offset) = self.after;
        let mut rows = sql.query([segment, offset, PAGE_BATCHES]).map_err(sorted)?;
        while let Some(row) = rows.next().map_err(sorted)? {
            let number = |index| row.get::<_, i64>(index).map_err(sorted);
            self.after = (number(0)?, number(1)?);
            let squeezed = row.get::<_, Vec<u8>>(5).map_err(sorted)?;
            let length = usize::try_from(number(4)?).unwrap_or(usize::MAX);
            let possible = Some(length).filter(|length| *length <= wal::BATCH_BYTES_MAX);
            let bytes = possible.and_then(|length| restored(&squeezed, length));
            self.page.push_back(wal::BatchImage {
                segment: unsigned(self.after.0),
                offset: unsigned(self.after.1),
                first_lsn: wal::Lsn::new(unsigned(number(2)?)),
                salt: wal::Salt(unsigned(number(3)?)),
                bytes: bytes.ok_or_else(|| ViewError::Damaged("a batch is cut".into()))?,
            });
        }
        Ok(())
    }
}

impl Iterator for Batches {
    type Item = Result<wal::BatchImage, ViewError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && let Err(error) = self.fill()
        {
            self.after = (i64::MAX, i64::MAX);
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}
