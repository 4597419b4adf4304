//! Why a log cannot be believed: what was found, and what was expected.

use crate::lsn::Lsn;

/// Why a log cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The log directory holds no segment at all.
    #[error("the log holds no segment")]
    NoSegment,
    /// A segment's name is not of the form sequence-lsn.seg.
    #[error("the file name is not that of a segment")]
    Name,
    /// The name does not say what the header says.
    #[error("the file name and the segment header disagree")]
    Renamed,
    /// The first block is cut, or is not a segment header at all.
    #[error("this is not a segment header")]
    NotAHeader,
    /// The segment header is damaged.
    #[error("the segment header's checksum is {found:08x}, it says {stored:08x}")]
    SegmentHeader {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the header.
        found: u32,
    },
    /// A segment is missing, or there twice.
    #[error("segment {expected} was expected here")]
    Sequence {
        /// The sequence number that should follow.
        expected: u64,
    },
    /// What a segment says of the one before it is not what that one holds.
    #[error("the next segment says this one ends at byte {used_len} with record {last_lsn}")]
    Predecessor {
        /// Where the segment should end.
        used_len: u64,
        /// The record that should be its last.
        last_lsn: Lsn,
    },
    /// The last segment was cut to its contents, which happens only once a successor is durable.
    #[error("the segment has {len} of {capacity} bytes: its successor is lost")]
    SuccessorLost {
        /// The file's length.
        len: u64,
        /// The length its header declares.
        capacity: u64,
    },
    /// A bounded segment is shorter than its successor says.
    #[error("the segment has {len} bytes, the next one says {used_len} are in use")]
    Cut {
        /// The file's length.
        len: u64,
        /// Where the successor says it ends.
        used_len: u64,
    },
    /// A batch header is there and does not hold: it was written, and is not what was written.
    #[error("a batch header is wrong")]
    BatchHeader,
    /// All sectors of a batch are there, and its checksum does not hold.
    #[error("the batch is complete but its checksum is {found:08x}, its header says {stored:08x}")]
    Batch {
        /// The checksum in the batch header.
        stored: u32,
        /// The checksum of the body.
        found: u32,
    },
    /// A whole batch that does not follow from the one before it.
    #[error("a whole batch stands where it does not belong")]
    Misplaced,
    /// Part of a batch is missing, and what follows was written only after the batch was synced.
    #[error("part of a batch is missing, and later writes follow it")]
    Overtaken,
    /// Bytes are missing from a segment that has a successor.
    #[error("part of a batch is missing from a sealed segment")]
    Hole,
    /// A record is missing that is known to have been durable.
    #[error("records up to {durable} were durable, and this one is missing")]
    Lost {
        /// The highest record known to have been durable.
        durable: Lsn,
    },
}
