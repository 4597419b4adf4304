//! What went wrong, as data: which file, which byte, which record, what was expected.
//!
//! A torn tail is not here. A crash in mid-append is ordinary, and a report says so.

mod why;

use std::io;
use std::path::PathBuf;

use crate::lsn::Lsn;
use crate::segment::Identity;

pub use self::why::Why;

/// A storage operation that failed. Every operation's error enum takes it apart its own way.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
pub struct Fault {
    /// What was attempted.
    pub verb: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Why a log could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is a log already.
    #[error("there is a log in {} already", path.display())]
    AlreadyThere {
        /// The log's directory.
        path: PathBuf,
    },
    /// Someone holds the directory.
    #[error("{} is locked: a service is running on this directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The first entries do not fit a batch.
    #[error("the first entries take {bytes} bytes, a batch holds {max}")]
    TooLarge {
        /// What they take.
        bytes: usize,
        /// What there is.
        max: usize,
    },
    /// The segment size is not a multiple of 4096 within the limits.
    #[error("a segment cannot have {segment_bytes} bytes")]
    SegmentBytes {
        /// What was asked.
        segment_bytes: u64,
    },
    /// The disk is full.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(Fault),
}

/// Why a log could not be opened. A torn tail is not here: a crash in mid-append is ordinary.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is locked: a service is running on this directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// No log was ever made here.
    #[error("there is no log in {}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The log is damaged, and starting on it could lose what it promised to keep.
    #[error(
        "{}, byte {offset}, record {lsn}: {why} \
         ({whole_batches_following} whole batches follow)", file.display()
    )]
    Corrupt {
        /// What is wrong.
        why: Why,
        /// In which file.
        file: PathBuf,
        /// At which byte.
        offset: u64,
        /// The record expected there.
        lsn: Lsn,
        /// Batches behind the damage, in the same segment, that are whole.
        whole_batches_following: u64,
    },
    /// A segment belongs to another log.
    #[error("{} belongs to another log", file.display())]
    WrongIdentity {
        /// The stranger.
        file: PathBuf,
        /// Whom the first segment belongs to.
        expected: Box<Identity>,
        /// Whom this one belongs to.
        found: Box<Identity>,
    },
    /// A later version wrote this.
    #[error("{} has format {format}, this version reads up to {newest}", file.display())]
    NewerFormat {
        /// The segment.
        file: PathBuf,
        /// Its format.
        format: u16,
        /// The newest that is understood here.
        newest: u16,
    },
    /// The segment size is not a multiple of 4096 within the limits.
    #[error("a segment cannot have {segment_bytes} bytes")]
    SegmentBytes {
        /// What was asked.
        segment_bytes: u64,
    },
    /// The first entry of the new epoch is larger than a batch.
    #[error("the first entry takes {bytes} bytes, a batch holds {max}")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What there is.
        max: usize,
    },
    /// The disk is full.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(Fault),
}

/// Why a record could not be appended, or not be made durable.
///
/// All but [`AppendError::TooLarge`] mean that the log is poisoned: after a failed fsync the pages
/// are marked clean and a retry would lie. The caller ends the process.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The payload is larger than a record may be. The log is not harmed.
    #[error("the payload takes {bytes} bytes, a record holds {max}")]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What there is.
        max: usize,
    },
    /// An earlier call failed.
    #[error("the log is poisoned by an earlier failure")]
    Poisoned,
    /// The disk is full.
    #[error("no space left for {}", path.display())]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(Fault),
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The log could not be read, or changed since it was opened.
    #[error(transparent)]
    Log(OpenError),
    /// The visitor said so.
    #[error(transparent)]
    Visitor(E),
}

/// Why a log could not be read from outside.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No log was ever made here.
    #[error("there is no log in {}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(Fault),
}

macro_rules! sort_faults {
    ($($error:ident),*) => {$(
        impl From<Fault> for $error {
            fn from(fault: Fault) -> Self {
                if fault.source.kind() == io::ErrorKind::StorageFull {
                    return Self::NoSpace { path: fault.path };
                }
                Self::Io(fault)
            }
        }
    )*};
}

sort_faults!(CreateError, OpenError, AppendError);
