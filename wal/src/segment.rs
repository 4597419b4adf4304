//! One file of the log: its name, its header, and what it says of the one before it. Pure.
//!
//! ```text
//!  +-------------+-----------------------------+-----------------------------+
//!  | header 4096 | batch | batch | batch | ... | zeros, written and synced   |
//!  +-------------+-----------------------------+-----------------------------+
//!  0             4096              used_len (in the successor's header)      capacity
//! ```
//!
//! A segment is given its name only when all that its header claims is on disk. Its header is
//! therefore proof: that its predecessor is durable up to `last_lsn`, and that what it was born
//! with is durable up to `born_lsn`.

use crate::frame::{BLOCK, Salt, is_zero, u32_at, u64_at};
use crate::lsn::Lsn;
use crate::splitmix::SplitMix64;

/// The newest format this version reads, and the one it writes.
pub(crate) const FORMAT: u16 = 1;
const MAGIC: [u8; 8] = *b"STRFWAL\0";
const CRC32_ISO_HDLC: u8 = 1;
const CRC_AT: usize = 129;

/// Whom a log belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The group of services that belong together.
    pub cluster: [u8; 16],
    /// The service.
    pub node: [u8; 16],
    /// The random number drawn when the directory was made.
    pub lineage: [u8; 16],
}

/// Where a record was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Sequence number of the segment.
    pub segment: u64,
    /// Where in the file its batch starts.
    pub offset: u64,
    /// Where in the file the record starts.
    pub record_offset: u64,
    /// The record's stored checksum.
    pub crc: u32,
    /// The batch's length in bytes.
    pub batch_len: u32,
    /// The batch's first record.
    pub first_lsn: Lsn,
    /// How many records the batch holds.
    pub records: u32,
    /// What was proven durable when the batch was written.
    pub durable_lsn: Lsn,
    /// The epoch that wrote it.
    pub epoch: u64,
}

/// How a segment says the one before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Predecessor {
    /// Its sequence number; 0 when there is none.
    pub sequence: u64,
    /// Its last record, or the last one before it when it holds none. Of a first segment: the
    /// number before the log's first, which is 0 unless the log was made to begin above.
    pub last_lsn: Lsn,
    /// The chain of its last batch, or its header's checksum when it holds none.
    pub last_chain: u32,
    /// Where its last batch ends. Nothing beyond is ever read.
    pub used_len: u64,
}

/// The first block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whom it belongs to.
    pub identity: Identity,
    /// 1 for the first segment, one more each.
    pub sequence: u64,
    /// The first record in it, once it has one.
    pub first_lsn: Lsn,
    /// The last record that was in it, and synced, when it was given its name.
    pub born_lsn: Lsn,
    /// The segment before.
    pub predecessor: Predecessor,
    /// The file's length, until it has a successor and is cut to what is used.
    pub capacity: u64,
    /// What seeds its checksums.
    pub salt: Salt,
}

/// Why a block is not a segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    NotAHeader,
    Checksum { stored: u32, found: u32 },
    Newer { format: u16 },
}

impl SegmentHeader {
    /// The block, and its checksum: the chain that the first batch continues.
    pub(crate) fn encode(&self) -> ([u8; BLOCK], u32) {
        let mut block = [0; BLOCK];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            block[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&FORMAT.to_le_bytes());
        put(&[CRC32_ISO_HDLC]);
        put(&(BLOCK as u16).to_le_bytes());
        put(&self.identity.cluster);
        put(&self.identity.node);
        put(&self.identity.lineage);
        put(&self.sequence.to_le_bytes());
        put(&self.first_lsn.get().to_le_bytes());
        put(&self.born_lsn.get().to_le_bytes());
        put(&self.predecessor.sequence.to_le_bytes());
        put(&self.predecessor.last_lsn.get().to_le_bytes());
        put(&self.predecessor.last_chain.to_le_bytes());
        put(&self.predecessor.used_len.to_le_bytes());
        put(&self.capacity.to_le_bytes());
        put(&self.salt.0.to_le_bytes());
        let crc = self.salt.crc(&block[..CRC_AT]);
        block[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        (block, crc)
    }

    /// The header in `block`, and its checksum.
    pub(crate) fn decode(block: &[u8]) -> Result<(Self, u32), HeaderFault> {
        let block = block.get(..BLOCK).ok_or(HeaderFault::NotAHeader)?;
        if block[..8] != MAGIC || !is_zero(&block[CRC_AT + 4..]) {
            return Err(HeaderFault::NotAHeader);
        }
        let salt = Salt(u64_at(block, CRC_AT - 8));
        let (stored, found) = (u32_at(block, CRC_AT), salt.crc(&block[..CRC_AT]));
        if stored != found {
            return Err(HeaderFault::Checksum { stored, found });
        }
        let format = u16::from_le_bytes([block[8], block[9]]);
        if format > FORMAT {
            return Err(HeaderFault::Newer { format });
        }
        let block_size = u16::from_le_bytes([block[11], block[12]]);
        if format == 0 || block[10] != CRC32_ISO_HDLC || usize::from(block_size) != BLOCK {
            return Err(HeaderFault::NotAHeader);
        }
        let header = Self {
            identity: Identity {
                cluster: id_at(block, 13),
                node: id_at(block, 29),
                lineage: id_at(block, 45),
            },
            sequence: u64_at(block, 61),
            first_lsn: Lsn::new(u64_at(block, 69)),
            born_lsn: Lsn::new(u64_at(block, 77)),
            predecessor: Predecessor {
                sequence: u64_at(block, 85),
                last_lsn: Lsn::new(u64_at(block, 93)),
                last_chain: u32_at(block, 101),
                used_len: u64_at(block, 105),
            },
            capacity: u64_at(block, 113),
            salt,
        };
        Ok((header, stored))
    }

    /// Its file, in the log's directory.
    pub(crate) fn path(&self) -> String {
        format!("{DIRECTORY}/{}", file_name(self.sequence, self.first_lsn))
    }

    /// The highest record that this header alone proves durable.
    pub(crate) fn proves(&self) -> Lsn {
        self.predecessor.last_lsn.max(self.born_lsn)
    }
}

/// Where segments live, in a service's data directory.
pub(crate) const DIRECTORY: &str = "wal";

/// `0000000001-00000000000000000001.seg`
pub(crate) fn file_name(sequence: u64, first_lsn: Lsn) -> String {
    format!("{sequence:010}-{:020}.seg", first_lsn.get())
}

/// Sequence and first record, if this is exactly the name that a segment would be given.
pub(crate) fn parse_name(name: &str) -> Option<(u64, Lsn)> {
    let (sequence, lsn) = name.strip_suffix(".seg")?.split_once('-')?;
    let (sequence, lsn) = (sequence.parse().ok()?, Lsn::new(lsn.parse().ok()?));
    (file_name(sequence, lsn) == name).then_some((sequence, lsn))
}

/// A salt that no other segment has, of this log, of another, or of a copy gone its own way.
///
/// It is derived, not drawn, so that a simulation stays a function of its seed. The lineage is
/// random, the chain differs as soon as two copies of a log do, and `born` is a digest of what the
/// segment is born with.
pub(crate) fn derive_salt(
    identity: &Identity,
    sequence: u64,
    predecessor: &Predecessor,
    epoch: u64,
    born: u32,
) -> Salt {
    let mut salt = 0x5354_5246_5741_4c00;
    let mut stir = |word: u64| salt = SplitMix64::new(salt ^ word).bits();
    for id in [identity.lineage, identity.node, identity.cluster] {
        stir(u64_at(&id, 0));
        stir(u64_at(&id, 8));
    }
    stir(sequence);
    stir(epoch);
    stir(u64::from(born));
    stir(u64::from(predecessor.last_chain));
    stir(predecessor.last_lsn.get());
    Salt(salt)
}

fn id_at(block: &[u8], at: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&block[at..at + 16]);
    id
}
