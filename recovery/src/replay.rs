//! A log folded into a service's state, and a count of what was read.

use crate::record::{self, DecodeError, Fact};
use std::collections::BTreeMap;
use wal::Lsn;

/// A state that is the fold of its facts. Live traffic and replay call the same function.
pub trait Fold: Default {
    type Fact: Fact;

    /// What is now true? `wall_ms` is the record's stamp, in milliseconds since the Unix epoch.
    fn evolve(&mut self, fact: &Self::Fact, lsn: Lsn, wall_ms: u64) -> Result<(), Illegal>;
}

/// A log that contradicts itself. Its checksums hold, so a program wrote it that way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {lsn} ({fact}) cannot be: {why}")]
pub struct Illegal {
    pub lsn: Lsn,
    pub fact: &'static str,
    pub why: String,
}

/// Why a log that is whole could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("record {lsn} cannot be read")]
    Decode {
        lsn: Lsn,
        #[source]
        source: DecodeError,
    },
    #[error(transparent)]
    Illegal(#[from] Illegal),
}

/// A fold under way.
#[derive(Debug, Clone, Default)]
pub struct Replay<S> {
    pub state: S,
    pub records: u64,
    /// Records by their kind's name.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Stamps of the first and the last record; 0 before the first.
    pub first_ms: u64,
    pub last_ms: u64,
}

impl<S: Fold> Replay<S> {
    /// Reads one record of the log, in order.
    pub fn record(&mut self, record: &wal::Record<'_>) -> Result<(), ReplayError> {
        let fact = record::decode::<S::Fact>(record)
            .map_err(|source| ReplayError::Decode { lsn: record.lsn, source })?;
        self.state.evolve(&fact, record.lsn, record.wall_ms)?;
        self.records += 1;
        *self.by_kind.entry(fact.name()).or_default() += 1;
        if self.records == 1 {
            self.first_ms = record.wall_ms;
        }
        self.last_ms = record.wall_ms;
        Ok(())
    }
}
