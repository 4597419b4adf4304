//! Batches and records <-> bytes. Pure.
//!
//! ```text
//!  batch, on a 4096-byte block                                          a multiple of 4096
//!  +-----------+------------------------------------------------------------+----------+
//!  | header 60 | record | record | ...                    | zeros           | trailer 8|
//!  +-----------+------------------------------------------------------------+----------+
//!   header_crc covers the header; body_crc the rest        each record has its own
//! ```
//!
//! Every checksum is CRC-32/ISO-HDLC, seeded with the segment's salt. The header has its own, so a
//! length is never believed before it holds, and it carries the batch's own offset, so a batch
//! found elsewhere does not verify. A batch's `header_crc` covers `previous_chain` and `body_crc`:
//! it is the batch's link in the chain.
//!
//! `blank_sectors` counts the 512-byte sectors that are all zero in the whole batch. Sectors start
//! as zeros, so more of them than that is the mark of a write that did not finish. Payloads may
//! therefore hold any bytes, zeros too.

mod batch;
mod header;
mod seal;

use crate::lsn::Lsn;

pub use self::batch::{Batch, FrameError, parse_batch};
pub use self::header::BatchHeader;
pub(crate) use self::seal::{Frame, Placement};

/// Batches start and end on multiples of this: they never share a page.
pub const BLOCK: usize = 4096;
/// What a disk writes as a whole or not at all.
pub const SECTOR: usize = 512;
/// The largest batch, in a segment that is large enough for it.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// The largest payload, in a segment that is large enough for it.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;

pub(crate) const HEADER_BYTES: usize = 60;
pub(crate) const RECORD_BYTES_MIN: usize = 28;
/// What a batch of one record needs beside the payload.
pub(crate) const OVERHEAD_BYTES: usize = HEADER_BYTES + RECORD_BYTES_MIN + TRAILER.len();
pub(crate) const TRAILER: [u8; 8] = *b"BatchEnd";
const MAGIC: u32 = u32::from_le_bytes(*b"BTCH");

/// What seeds every checksum of a segment, so that bytes of another segment do not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

impl Salt {
    /// The seeded CRC-32/ISO-HDLC of `bytes`.
    pub fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// What is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What the payload is, to its owner.
    pub kind: u16,
    /// Which version of it.
    pub kind_version: u16,
    /// The owner's wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Any bytes.
    pub payload: &'a [u8],
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place.
    pub lsn: Lsn,
    /// As appended.
    pub wall_ms: u64,
    /// As appended.
    pub kind: u16,
    /// As appended.
    pub kind_version: u16,
    /// As appended.
    pub payload: &'a [u8],
}

/// The bytes of one batch and where they stand: enough to put them back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchImage {
    /// Sequence number of its segment.
    pub segment: u64,
    /// Where in the segment's file it starts.
    pub offset: u64,
    /// Its first record, or the next one for a Mark.
    pub first_lsn: Lsn,
    /// The segment's salt, without which the bytes do not verify.
    pub salt: Salt,
    /// The batch.
    pub bytes: Vec<u8>,
}

/// How many sectors of `bytes` are all zero.
pub(crate) fn blank_sectors(bytes: &[u8]) -> u32 {
    bytes.chunks(SECTOR).filter(|sector| is_zero(sector)).count() as u32
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<32>();
    words.iter().all(|word| word.iter().fold(0, |all, byte| all | byte) == 0)
        && rest.iter().all(|byte| *byte == 0)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(le)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(le)
}
