//! What the tests of views share: legal logs, made at random, and the batches that hold them.
#![allow(clippy::unwrap_used)]

use super::{Applied, Batch, Identity};
use recovery::model::{Cluster, Lineage};
use recovery::record;
use recovery::replay::Fold;
use std::path::Path;
use wal::splitmix::SplitMix64;
use wal::{CrashDisk, Entry, Lsn};

pub(crate) const IDENTITY: Identity =
    Identity { cluster: Cluster([3; 16]), lineage: Lineage([7; 16]) };

/// A log under way, and the state that it folds into.
pub(crate) struct Script<S> {
    pub(crate) state: S,
    pub(crate) records: Vec<Applied>,
    pub(crate) random: SplitMix64,
}

impl<S: Fold + Clone> Script<S> {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: S::default(), records: Vec::new(), random: SplitMix64::new(seed) }
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    /// Logs `fact` if that is legal now.
    pub(crate) fn offer(&mut self, fact: impl Into<S::Fact>) -> bool {
        let fact = fact.into();
        let lsn = self.records.len() as u64 + 1;
        let mut next = self.state.clone();
        if next.evolve(&fact, Lsn::new(lsn), 1_000 + lsn).is_err() {
            return false;
        }
        self.state = next;
        let record::Encoded { kind, kind_version, payload } = record::encode(&fact);
        self.records.push(Applied { lsn, wall_ms: 1_000 + lsn, kind, kind_version, payload });
        true
    }

    pub(crate) fn push(&mut self, fact: impl Into<S::Fact>) {
        assert!(self.offer(fact), "the script is legal");
    }

    /// The state as it was after `lsn`.
    pub(crate) fn state_at(&self, lsn: u64) -> S {
        let mut state = S::default();
        for applied in self.records.iter().take(lsn as usize) {
            let fact = record::decode::<S::Fact>(&applied.record()).unwrap();
            state.evolve(&fact, Lsn::new(applied.lsn), applied.wall_ms).unwrap();
        }
        state
    }

    /// All records, in batches of up to `max`, without their bytes.
    pub(crate) fn batches(&mut self, max: usize) -> Vec<Batch> {
        let mut left = self.records.clone();
        let mut batches = Vec::new();
        while !left.is_empty() {
            let size = (1 + self.below(max)).min(left.len());
            batches.push(of_records(left.drain(..size).collect()));
        }
        batches
    }

    /// A real log of all records on a disk in memory, in segments of a few KiB, with Marks and
    /// `starts` starts: each goes on in a segment of its own, and writes again what was not proven
    /// durable. With it what all its syncs handed over, and the last durable record.
    pub(crate) fn log(&mut self, starts: usize) -> (CrashDisk, Vec<wal::BatchImage>, u64) {
        let disk = CrashDisk::new(1);
        let options = wal::Options { segment_bytes: 32 << 10 };
        let records = self.records.clone();
        let mut entries = records.iter().map(entry);
        let first = entries.next().unwrap();
        wal::create(&disk, wal::Identity::default(), options, &[first]).unwrap();
        let mut images = Vec::new();
        for epoch in 1..=starts {
            let opened = wal::open(disk.clone(), options, None).unwrap();
            let (mut log, _) = opened.begin(epoch as u64, entries.next().unwrap()).unwrap();
            let last = epoch == starts;
            let share = if last { usize::MAX } else { records.len() / starts };
            for entry in entries.by_ref().take(share) {
                log.append(entry).unwrap();
                if self.below(4) == 0 {
                    images.extend(log.sync().unwrap().batches);
                }
                if self.below(16) == 0 {
                    log.mark().unwrap();
                }
            }
            images.extend(log.sync().unwrap().batches);
        }
        (disk, images, records.len() as u64)
    }
}

/// Every whole batch of the log, read from its files.
pub(crate) fn images(disk: &CrashDisk) -> Vec<wal::BatchImage> {
    let mut images = Vec::new();
    let mut cursor = wal::read::Cursor::default();
    let followed = wal::read::follow_batches(disk, &mut cursor, |segment, batch, _| {
        images.push(batch.image(segment));
        Ok::<_, std::convert::Infallible>(())
    });
    followed.unwrap();
    images
}

/// Records without the bytes that held them.
pub(crate) fn of_records(records: Vec<Applied>) -> Batch {
    let first_lsn = records.first().map_or(0, |record| record.lsn);
    Batch { segment: 0, offset: 0, first_lsn, salt: 0, bytes: Vec::new(), records }
}

fn entry(applied: &Applied) -> Entry<'_> {
    let Applied { wall_ms, kind, kind_version, payload, .. } = applied;
    Entry { kind: *kind, kind_version: *kind_version, wall_ms: *wall_ms, payload }
}

/// What a kill leaves of a database: its files as they are, its write-ahead file cut to
/// `wal_bytes`.
pub(crate) fn killed(from: &Path, into: &Path, wal_bytes: u64) {
    std::fs::copy(from, into).unwrap();
    let beside = |path: &Path| path.with_extension("db-wal");
    std::fs::copy(beside(from), beside(into)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(beside(into)).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len.min(wal_bytes)).unwrap();
}
