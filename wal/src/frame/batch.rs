//! Bytes -> a whole batch and its records, or why not.

use super::{
    BLOCK, BatchHeader, BatchImage, HEADER_BYTES, RECORD_BYTES_MIN, Record, Salt, TRAILER, is_zero,
    u32_at, u64_at,
};
use crate::lsn::Lsn;
use crate::segment::SegmentHeader;

/// Why bytes are not a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No header that holds.
    #[error("no batch header stands here")]
    Header,
    /// The header's length is not that of a batch, or is not there.
    #[error("a batch cannot have {batch_len} bytes here")]
    Length {
        /// What the header says.
        batch_len: u32,
    },
    /// The body is not what was written.
    #[error("the body's checksum is {found:08x}, its header says {stored:08x}")]
    Body {
        /// What the header says.
        stored: u32,
        /// What the body has.
        found: u32,
    },
    /// The checksum holds and the contents make no sense: no version of this crate wrote that.
    #[error("the batch holds together but its records do not")]
    Records,
}

/// A whole batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    bytes: &'a [u8],
}

/// Reads back a batch that starts at `offset` of a segment with this salt.
pub fn parse_batch(bytes: &[u8], salt: Salt, offset: u64) -> Result<Batch<'_>, FrameError> {
    let header = BatchHeader::decode(bytes, salt, offset).ok_or(FrameError::Header)?;
    Batch::check(header, bytes, salt)
}

impl<'a> Batch<'a> {
    pub(crate) fn check(
        header: BatchHeader,
        bytes: &'a [u8],
        salt: Salt,
    ) -> Result<Self, FrameError> {
        let length = FrameError::Length { batch_len: header.batch_len };
        let len = header.batch_len as usize;
        if len == 0 || !len.is_multiple_of(BLOCK) {
            return Err(length);
        }
        let bytes = bytes.get(..len).ok_or(length)?;
        let found = salt.crc(&bytes[HEADER_BYTES..]);
        if found != header.body_crc {
            return Err(FrameError::Body { stored: header.body_crc, found });
        }
        let batch = Self { header, bytes };
        if !batch.holds_together(salt) {
            return Err(FrameError::Records);
        }
        Ok(batch)
    }

    fn holds_together(&self, salt: Salt) -> bool {
        let mut at = HEADER_BYTES;
        let mut lsn = self.header.first_lsn;
        for _ in 0..self.header.records {
            let Some((record, end)) = record_at(self.bytes, at) else { return false };
            if record.lsn != lsn || salt.crc(&self.bytes[at..end - 4]) != crc_before(self, end) {
                return false;
            }
            (at, lsn) = (end, lsn.next());
        }
        let tail = self.bytes.len() - TRAILER.len();
        at <= tail && is_zero(&self.bytes[at..tail]) && self.bytes[tail..] == TRAILER
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What to keep of it, to put it back where it stands in `segment`.
    pub fn image(&self, segment: &SegmentHeader) -> BatchImage {
        BatchImage {
            segment: segment.sequence,
            offset: self.header.offset,
            first_lsn: self.header.first_lsn,
            salt: segment.salt,
            bytes: self.bytes.to_vec(),
        }
    }

    /// Its records in order, each with the offset in the batch and the stored checksum.
    pub fn records(&self) -> impl Iterator<Item = (Record<'a>, u64, u32)> + use<'a> {
        let batch = *self;
        let mut at = HEADER_BYTES;
        (0..self.header.records).map_while(move |_| {
            let (record, end) = record_at(batch.bytes, at)?;
            let start = std::mem::replace(&mut at, end);
            Some((record, start as u64, crc_before(&batch, end)))
        })
    }
}

fn crc_before(batch: &Batch<'_>, end: usize) -> u32 {
    u32_at(batch.bytes, end - 4)
}

fn record_at(bytes: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let head = bytes.get(at..at + 24)?;
    let len = u32_at(head, 0) as usize;
    let end = at.checked_add(len)?;
    if len < RECORD_BYTES_MIN || end > bytes.len() - TRAILER.len() {
        return None;
    }
    let record = Record {
        kind: u16::from_le_bytes([head[4], head[5]]),
        kind_version: u16::from_le_bytes([head[6], head[7]]),
        lsn: Lsn::new(u64_at(head, 8)),
        wall_ms: u64_at(head, 16),
        payload: &bytes[at + 24..end - 4],
    };
    Some((record, end))
}
