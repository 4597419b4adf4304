//! A segmented, checksummed write-ahead log of byte strings.
//!
//! It promises one thing: what it called [`Durable`] is there after a crash, and it believes
//! nothing else. It refuses to know what the bytes mean; it would log a poem.
//!
//! ```text
//!  create --> open --> replay --> begin --> append .. append --> sync --> Durable
//!              |                    |                             |
//!              scan, judge          rewrites what was only        one batch, one fdatasync;
//!              (scan, survey)       readable, then the new        an error poisons the log
//!                                   epoch's first record
//! ```
//!
//! Reading order: [`frame`](BatchHeader) and `segment` are the bytes; [`scan`] tells a torn tail
//! from rot, as a table; [`Opened`] applies it; [`Log`] writes; [`read`] looks on from outside,
//! and [`mend`] puts back what a second copy has.
//! [`Storage`] is the only door to a disk, and [`CrashDisk`] is the disk that fails on command.
#![warn(missing_docs)]

mod begin;
mod build;
mod copy;
mod crash_disk;
mod create;
mod error;
mod frame;
mod log;
mod lsn;
pub mod mend;
mod open;
mod options;
pub mod read;
pub mod scan;
mod segment;
mod spare;
pub mod splitmix;
mod storage;
mod survey;
mod walk;

pub use copy::{CopyError, copy};
pub use crash_disk::{CrashDisk, DiskImage, FaultCounts, WriteFault};
pub use create::{create, create_at};
pub use error::{AppendError, CreateError, Fault, OpenError, ReadError, ReplayError, Why};
pub use frame::{
    BATCH_BYTES_MAX, BLOCK, Batch, BatchHeader, BatchImage, Entry, FrameError, PAYLOAD_BYTES_MAX,
    Record, SECTOR, Salt, parse_batch,
};
pub use log::{Log, Synced};
pub use lsn::{Durable, Lsn};
pub use open::{OpenReport, Opened, Torn, open};
pub use options::{Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use segment::{Identity, Position, Predecessor, SegmentHeader};
pub use spare::SpareTask;
pub use storage::{Disk, DiskFile, Storage, StorageFile};
