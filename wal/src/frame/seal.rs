//! Records -> a batch. Its checksums come last, for they depend on where it will stand.

use super::{
    BLOCK, BatchHeader, Entry, HEADER_BYTES, RECORD_BYTES_MIN, SECTOR, Salt, TRAILER,
    blank_sectors, u32_at,
};
use crate::lsn::Lsn;

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
