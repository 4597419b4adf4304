//! The records of a log, one after another: as many as are wanted, however long it is.
//!
//! A segment is in memory at a time, and what payments in flight are called. Refuses to skip what
//! is damaged: the records before it are shown, and then the list fails.

use super::Source;
use super::line::{Line, Names, Wanted};
use super::words::Accounts;
use crate::errors::{Exit, Failure};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use wal::Lsn;
use wal::read::Cursor;

/// What a list came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    /// Records shown.
    pub count: u64,
    /// Records in the log.
    pub records: u64,
    /// Of what was shown.
    pub by_kind: BTreeMap<String, u64>,
    /// Records of a kind or version that this program does not know.
    pub unknown: u64,
}

/// A reader of one log that can go on where it stopped.
#[derive(Debug)]
pub struct Listing<'a> {
    source: &'a Source,
    wanted: &'a Wanted,
    accounts: Accounts,
    cursor: Cursor,
    names: Names,
    counts: Counts,
}

impl<'a> Listing<'a> {
    pub fn new(
        source: &'a Source,
        wanted: &'a Wanted,
        accounts: Accounts,
    ) -> Result<Self, Failure> {
        if let Some(kind) = wanted.unknown_kind() {
            let all: Vec<&str> = super::line::kinds().collect();
            return Err(Failure::plain(Exit::Usage, format!("there is no kind of record {kind}"))
                .todo(format!("The kinds are {}.", all.join(", "))));
        }
        let (cursor, names, counts) = (Cursor::default(), Names::default(), Counts::default());
        Ok(Self { source, wanted, accounts, cursor, names, counts })
    }

    /// Hands every wanted record that was not seen before to `visit`, up to the log's end.
    pub fn advance(
        &mut self,
        mut visit: impl FnMut(Line) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Self { source, wanted, accounts, cursor, names, counts } = self;
        source.follow(cursor, |record, position| {
            let line = Line::read(&record, &position, names, *accounts);
            counts.records += 1;
            counts.unknown += u64::from(line.is_unknown);
            if !wanted.takes(&line) {
                return Ok(());
            }
            counts.count += 1;
            match counts.by_kind.get_mut(&line.kind) {
                Some(count) => *count += 1,
                None => drop(counts.by_kind.insert(line.kind.clone(), 1)),
            }
            visit(line)
        })
    }

    /// As [`advance`](Self::advance), for the last `count` wanted records only.
    pub fn last(
        &mut self,
        count: usize,
        visit: impl FnMut(Line) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut kept = VecDeque::new();
        let read = self.advance(|line| {
            if kept.len() == count {
                kept.pop_front();
            }
            if count > 0 {
                kept.push_back(line);
            }
            Ok(())
        });
        self.counts.by_kind.clear();
        self.counts.count = kept.len() as u64;
        for line in &kept {
            *self.counts.by_kind.entry(line.kind.clone()).or_default() += 1;
        }
        kept.into_iter().try_for_each(visit).and(read)
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The last record that was read.
    pub fn seen(&self) -> Lsn {
        self.cursor.seen()
    }

    /// Fails unless the log is whole up to its end and all of it could be read.
    pub fn finish(&self) -> Result<(), Failure> {
        self.source.check(self.seen())?;
        if self.counts.unknown == 0 {
            return Ok(());
        }
        let what = format!("{} records are of a kind unknown to this version", self.counts.unknown);
        Err(Failure::plain(Exit::Configuration, what)
            .money("They are shown with their number; nothing was changed.")
            .todo("Read this log with the version of the program that wrote it."))
    }
}
