//! A batch's header <-> 60 bytes.

use super::{HEADER_BYTES, MAGIC, Salt, u32_at, u64_at};
use crate::lsn::Lsn;

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

    pub(super) fn encode(&mut self, into: &mut [u8], salt: Salt) {
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
