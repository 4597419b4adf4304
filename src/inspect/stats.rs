//! What a log is made of: segments, kinds, batches and their sizes, what a payment costs.
//!
//! One pass, a segment in memory at a time; histograms by powers of two.

use super::Source;
use super::line::name;
use crate::errors::{Failure, chain};
use recovery::fact::{BankFact, GatewayFact};
use recovery::model::GlobalId;
use recovery::record::{AnyFact, decode_any};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use wal::read::{Cursor, FollowError, follow_batches};

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Stats {
    pub log: String,
    pub segments: u64,
    /// Of the segments' files.
    pub bytes: u64,
    pub records: u64,
    pub by_kind: BTreeMap<String, u64>,
    /// Batches with records in them: one sync each.
    pub syncs: u64,
    /// Batches without, which prove the one before.
    pub marks: u64,
    pub batch_bytes: u64,
    /// Of the records alone, without headers and padding.
    pub record_bytes: u64,
    /// Batches by how many records they hold: the lower end of each power of two.
    pub records_a_batch: BTreeMap<u64, u64>,
    pub bytes_a_batch: BTreeMap<u64, u64>,
    /// Payments begun, or held and refused at a bank.
    pub payments: u64,
    /// Not over in this log.
    pub in_doubt: u64,
    pub starts: u64,
    /// Stamps of the first and the last record, by the service's clock.
    pub first_ms: u64,
    pub last_ms: u64,
    pub first_lsn: u64,
    pub last_lsn: u64,
}

impl Stats {
    /// Bytes of log that a payment took, padding included.
    pub fn bytes_a_payment(&self) -> Option<u64> {
        self.batch_bytes.checked_div(self.payments)
    }

    fn fact(&mut self, fact: &AnyFact, open: &mut HashSet<GlobalId>) {
        *self.by_kind.entry(name(fact).to_owned()).or_default() += 1;
        match fact {
            AnyFact::Gateway(GatewayFact::Began(fact)) => {
                self.payments += 1;
                open.insert(fact.payment);
            }
            AnyFact::Bank(BankFact::Held(fact)) => {
                self.payments += 1;
                open.insert(fact.payment);
            }
            AnyFact::Bank(BankFact::Refused(_)) => self.payments += 1,
            AnyFact::Gateway(GatewayFact::Ended(fact)) => drop(open.remove(&fact.payment)),
            AnyFact::Bank(BankFact::Posted(fact)) => drop(open.remove(&fact.payment)),
            AnyFact::Bank(BankFact::Released(fact)) => drop(open.remove(&fact.payment)),
            AnyFact::Gateway(GatewayFact::Started(_)) | AnyFact::Bank(BankFact::BankStarted(_)) => {
                self.starts += 1;
            }
            AnyFact::Gateway(_) | AnyFact::Bank(_) => {}
        }
    }
}

/// The highest power of two that is not above `number`.
fn bucket(number: u64) -> u64 {
    number.checked_ilog2().map_or(0, |log| 1 << log)
}

/// Counts a log from its beginning to its end.
pub fn count(source: &Source) -> Result<Stats, Failure> {
    let mut stats = Stats { log: source.name.clone(), bytes: source.bytes(), ..Stats::default() };
    let mut open = HashSet::new();
    let mut segment_seen = 0;
    let mut cursor = Cursor::default();
    let followed = follow_batches(&source.disk(), &mut cursor, |segment, batch, seen| {
        if segment.sequence != segment_seen {
            segment_seen = segment.sequence;
            stats.segments += 1;
        }
        stats.batch_bytes += u64::from(batch.header.batch_len);
        if batch.header.records == 0 {
            stats.marks += 1;
            return Ok(());
        }
        stats.syncs += 1;
        *stats.records_a_batch.entry(bucket(batch.header.records.into())).or_default() += 1;
        *stats.bytes_a_batch.entry(bucket(batch.header.batch_len.into())).or_default() += 1;
        for (record, ..) in batch.records().filter(|(record, ..)| record.lsn > seen) {
            stats.records += 1;
            stats.record_bytes += record.payload.len() as u64 + super::line::RECORD_OVERHEAD_BYTES;
            stats.last_ms = record.wall_ms;
            stats.last_lsn = record.lsn.get();
            if stats.records == 1 {
                (stats.first_ms, stats.first_lsn) = (record.wall_ms, record.lsn.get());
            }
            match decode_any(&record) {
                Ok(fact) => stats.fact(&fact, &mut open),
                Err(_) => *stats.by_kind.entry(format!("#{}", record.kind)).or_default() += 1,
            }
        }
        Ok::<_, std::convert::Infallible>(())
    });
    followed.map_err(|error| match error {
        FollowError::Read(error) => source.unreadable(&chain(&error)),
        FollowError::Damaged(error) => source.unreadable(&chain(&error)),
        FollowError::Visitor(never) => match never {},
    })?;
    stats.in_doubt = open.len() as u64;
    source.check(cursor.seen())?;
    Ok(stats)
}
