//! How a view follows its log: on a thread of its own, behind the payments and never in their way.
//!
//! ```text
//!   journal --Feed--> [ unbounded channel, counted ] --> thread --> View::apply
//!      |  never waits                                      |
//!      '--> payments                                       '--> Progress: applied_lsn, health
//! ```
//!
//! A view shows what the log says and may be deleted. It is fed durable batches only, thousands of
//! records a transaction. Whatever happens to it, payments go on: a view that cannot be written is
//! reported once, left behind, and caught up from the log at the next start. Nothing here knows
//! what a view is made of.

mod catch_up;
mod follow;

pub use catch_up::catch_up;
pub use follow::{
    BACKLOG_BYTES_MAX, Feed, Health, Progress, RECORDS_PER_TRANSACTION, Running, spawn, spawn_after,
};

use recovery::model::{Cluster, Lineage};
use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// A durable record, as a view reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    pub lsn: u64,
    pub wall_ms: u64,
    pub kind: u16,
    pub kind_version: u16,
    pub payload: Vec<u8>,
}

impl From<wal::Record<'_>> for Applied {
    fn from(record: wal::Record<'_>) -> Self {
        let wal::Record { lsn, wall_ms, kind, kind_version, payload } = record;
        Self { lsn: lsn.get(), wall_ms, kind, kind_version, payload: payload.to_vec() }
    }
}

impl Applied {
    /// The record as [`recovery::record::decode`] wants it.
    pub fn record(&self) -> wal::Record<'_> {
        let Self { lsn, wall_ms, kind, kind_version, payload } = self;
        wal::Record {
            lsn: wal::Lsn::new(*lsn),
            wall_ms: *wall_ms,
            kind: *kind,
            kind_version: *kind_version,
            payload,
        }
    }
}

/// A durable batch: its place and bytes for the second copy, its records for the rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub segment: u64,
    pub offset: u64,
    pub first_lsn: u64,
    /// The segment's, without which the bytes do not verify.
    pub salt: u64,
    pub bytes: Vec<u8>,
    /// Empty for a Mark.
    pub records: Vec<Applied>,
}

impl Batch {
    /// Reads a batch as the log wrote it.
    pub fn read(image: wal::BatchImage) -> Result<Self, wal::FrameError> {
        let wal::BatchImage { segment, offset, first_lsn, salt, bytes } = image;
        let batch = wal::parse_batch(&bytes, salt, offset)?;
        let records = batch.records().map(|(record, ..)| Applied::from(record)).collect();
        Ok(Self { segment, offset, first_lsn: first_lsn.get(), salt: salt.0, bytes, records })
    }

    fn weight(&self) -> u64 {
        let payloads: usize = self.records.iter().map(|record| record.payload.len()).sum();
        let records = size_of::<Applied>() * self.records.len();
        (size_of::<Self>() + self.bytes.len() + payloads + records) as u64
    }
}

/// Whose log a view shows.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub cluster: Cluster,
    pub lineage: Lineage,
}

/// What a view says of itself without being opened: a witness of how far the log had come.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Peek {
    pub identity: Identity,
    pub applied_lsn: u64,
}

/// A view that was opened, and what is missing in it.
#[derive(Debug)]
pub struct Opened<V> {
    pub view: V,
    /// The records after this one are to be applied.
    pub applied_lsn: u64,
    pub verdict: Verdict,
}

/// What an opening found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It shows the whole log.
    Current,
    /// Records are missing.
    Behind { missing: u64 },
    /// It starts from nothing.
    Empty(Cause),
}

/// Why a view starts from nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    Absent,
    /// `kept` is where the file that was found lies now.
    Damaged {
        why: String,
        kept: PathBuf,
    },
    /// Of another cluster or lineage.
    Foreign {
        kept: PathBuf,
    },
    /// Written by another version of this program.
    OtherSchema {
        found: i64,
        kept: PathBuf,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Behind { missing } => write!(f, "{missing} records behind"),
            Self::Empty(Cause::Absent) => f.write_str("absent"),
            Self::Empty(Cause::Damaged { why, kept }) => {
                write!(f, "damaged ({why}), kept as {}", kept.display())
            }
            Self::Empty(Cause::Foreign { kept }) => {
                write!(f, "of another installation, kept as {}", kept.display())
            }
            Self::Empty(Cause::OtherSchema { found, kept }) => {
                write!(f, "of schema {found}, kept as {}", kept.display())
            }
        }
    }
}

/// A view shows what its log does not hold: the log has lost its end.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the view holds record {view_lsn}, but the log ends at record {log_last}")]
pub struct ViewAhead {
    pub view_lsn: u64,
    pub log_last: u64,
}

/// Why a view was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Ahead(#[from] ViewAhead),
    #[error("cannot set {} aside", path.display())]
    SetAside {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: ViewError,
    },
}

/// Why a view could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("somebody else holds a lock on the file")]
    Busy(#[source] Box<dyn Error + Send + Sync>),
    #[error("the file is damaged: {0}")]
    Damaged(String),
    #[error("the file cannot be used")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    #[error("record {found} was fed where record {expected} is due")]
    Gap { expected: u64, found: u64 },
    #[error("the log cannot be read")]
    Log(#[source] Box<dyn Error + Send + Sync>),
    #[error("a record cannot be shown")]
    Record(#[source] Box<dyn Error + Send + Sync>),
}

/// A projection of one log.
pub trait View {
    /// The last record that is in it.
    fn applied_lsn(&self) -> u64;

    /// Puts batches in, all or none, in the order of the log. Records that are in already are
    /// skipped. After an error the view is as it was before.
    fn apply(&mut self, batches: &[Batch]) -> Result<(), ViewError>;

    /// Nothing more will be applied, because of `why`. A damaged file is set aside here, so that
    /// the next start builds another.
    fn abandon(self, why: &ViewError)
    where
        Self: Sized;
}

#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
