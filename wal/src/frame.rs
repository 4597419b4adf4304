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

use crate::lsn::Lsn;

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

/// The first 60 bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Length in bytes, header and trailer included.
    pub batch_len: u32,
    /// Records in it; 0 for a Mark.
    pub records: u32,
    /// Sectors that are all zero when the batch is whole.
    pub blank_sectors: u32,
    /// Its first record, or the next one for a Mark.
    pub first_lsn: Lsn,
    /// The highest record whose fsync had returned when this batch was written.
    pub durable_lsn: Lsn,
    /// The writer's epoch.
    pub epoch: u64,
    /// Where in its file the batch starts.
    pub offset: u64,
    /// The chain of the batch before, or the segment header's checksum for the first.
    pub previous_chain: u32,
    /// Checksum of records, zeros and trailer.
    pub body_crc: u32,
    /// Checksum of all the above; the batch's own chain.
    pub header_crc: u32,
}

impl BatchHeader {
    /// The header at the start of `bytes`, if there is one that holds and that says it stands at
    /// `offset`.
    pub(crate) fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        if u32_at(bytes, 0) != MAGIC || u32_at(bytes, 56) != salt.crc(&bytes[..56]) {
            return None;
        }
        let header = Self {
            batch_len: u32_at(bytes, 4),
            records: u32_at(bytes, 8),
            blank_sectors: u32_at(bytes, 12),
            first_lsn: Lsn::new(u64_at(bytes, 16)),
            durable_lsn: Lsn::new(u64_at(bytes, 24)),
            epoch: u64_at(bytes, 32),
            offset: u64_at(bytes, 40),
            previous_chain: u32_at(bytes, 48),
            body_crc: u32_at(bytes, 52),
            header_crc: u32_at(bytes, 56),
        };
        (header.offset == offset).then_some(header)
    }

    fn encode(&mut self, into: &mut [u8], salt: Salt) {
        into[..4].copy_from_slice(&MAGIC.to_le_bytes());
        into[4..8].copy_from_slice(&self.batch_len.to_le_bytes());
        into[8..12].copy_from_slice(&self.records.to_le_bytes());
        into[12..16].copy_from_slice(&self.blank_sectors.to_le_bytes());
        into[16..24].copy_from_slice(&self.first_lsn.get().to_le_bytes());
        into[24..32].copy_from_slice(&self.durable_lsn.get().to_le_bytes());
        into[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        into[40..48].copy_from_slice(&self.offset.to_le_bytes());
        into[48..52].copy_from_slice(&self.previous_chain.to_le_bytes());
        into[52..56].copy_from_slice(&self.body_crc.to_le_bytes());
        self.header_crc = salt.crc(&into[..56]);
        into[56..60].copy_from_slice(&self.header_crc.to_le_bytes());
    }

    /// The last record in it; for a Mark, the one before it.
    pub fn last_lsn(&self) -> Lsn {
        self.first_lsn.previous().plus(u64::from(self.records))
    }

    /// Where the next batch starts.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.batch_len))
    }
}

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

/// Where a batch will stand, known only when it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) salt: Salt,
    pub(crate) offset: u64,
    pub(crate) previous_chain: u32,
    pub(crate) durable_lsn: Lsn,
    pub(crate) epoch: u64,
}

/// A batch in the making: its records, not yet its checksums, for those depend on the segment.
#[derive(Debug)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
    first_lsn: Lsn,
    records: u32,
}

impl Frame {
    /// A batch whose first record, if it gets one, is `first_lsn`. Without one it is a Mark.
    pub(crate) fn new(first_lsn: Lsn) -> Self {
        Self { bytes: vec![0; HEADER_BYTES], first_lsn, records: 0 }
    }

    pub(crate) fn push(&mut self, entry: Entry<'_>) -> Lsn {
        let lsn = self.first_lsn.plus(u64::from(self.records));
        let len = (entry.payload.len() + RECORD_BYTES_MIN) as u32;
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&entry.kind.to_le_bytes());
        self.bytes.extend_from_slice(&entry.kind_version.to_le_bytes());
        self.bytes.extend_from_slice(&lsn.get().to_le_bytes());
        self.bytes.extend_from_slice(&entry.wall_ms.to_le_bytes());
        self.bytes.extend_from_slice(entry.payload);
        self.bytes.extend_from_slice(&[0; 4]);
        self.records += 1;
        lsn
    }

    /// The bytes the batch will have with one more payload of `more` bytes.
    pub(crate) fn len_with(&self, more: usize) -> usize {
        (self.bytes.len() + more + RECORD_BYTES_MIN + TRAILER.len()).next_multiple_of(BLOCK)
    }

    /// The bytes the batch will have.
    pub(crate) fn len(&self) -> usize {
        (self.bytes.len() + TRAILER.len()).next_multiple_of(BLOCK)
    }

    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Tells apart two batches that start in the same place.
    pub(crate) fn digest(&self) -> u32 {
        crc32fast::hash(&self.bytes)
    }

    pub(crate) fn seal(mut self, place: Placement) -> (BatchHeader, Vec<u8>) {
        let mut at = HEADER_BYTES;
        for _ in 0..self.records {
            let end = at + u32_at(&self.bytes, at) as usize;
            let crc = place.salt.crc(&self.bytes[at..end - 4]);
            self.bytes[end - 4..end].copy_from_slice(&crc.to_le_bytes());
            at = end;
        }
        let len = self.len();
        self.bytes.resize(len - TRAILER.len(), 0);
        self.bytes.extend_from_slice(&TRAILER);
        let mut header = BatchHeader {
            batch_len: len as u32,
            records: self.records,
            // The first sector holds the header: it is never blank, though here it may still be.
            blank_sectors: blank_sectors(&self.bytes[SECTOR..]),
            first_lsn: self.first_lsn,
            durable_lsn: place.durable_lsn,
            epoch: place.epoch,
            offset: place.offset,
            previous_chain: place.previous_chain,
            body_crc: place.salt.crc(&self.bytes[HEADER_BYTES..]),
            header_crc: 0,
        };
        header.encode(&mut self.bytes[..HEADER_BYTES], place.salt);
        (header, self.bytes)
    }
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
