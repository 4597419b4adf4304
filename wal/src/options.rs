//! The one thing a caller may choose about a log: how large its files are.

use crate::frame::{BATCH_BYTES_MAX, BLOCK};

/// The smallest segment: a header, a batch of two blocks, and the block kept free for its Mark.
pub const SEGMENT_BYTES_MIN: u64 = 4 * BLOCK as u64;
/// The largest segment. A scan holds one segment in memory.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// How a log is laid out. A log may be reopened with other options than it was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment: a multiple of 4096 within [`SEGMENT_BYTES_MIN`] and
    /// [`SEGMENT_BYTES_MAX`].
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20 }
    }
}

impl Options {
    pub(crate) fn sound(self) -> bool {
        (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
            && self.segment_bytes.is_multiple_of(BLOCK as u64)
    }

    /// The largest batch that fits a segment beside its header and the Mark that follows it.
    pub(crate) fn batch_bytes_max(self) -> usize {
        BATCH_BYTES_MAX.min(self.segment_bytes as usize - 2 * BLOCK)
    }
}
