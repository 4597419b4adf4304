//! The SQLite file beside a log: how far it came, its rows, and its second copy, against the log.
//!
//! A view that is behind is no disagreement, it follows the log. Only what it has applied already
//! is compared. Refuses to change the file, and to believe it against the log.

use super::Source;
use super::audit::mirror as rows;
use super::fold::State;
use crate::bank::book::{self, AccountRow};
use crate::gateway::mirror;
use crate::home::Service;
use crate::view::{Peek, ViewError};
use recovery::bank;
use recovery::model::major;
use serde::Serialize;
use std::path::PathBuf;
use wal::{BatchImage, Lsn};

/// Disagreements told one by one.
const TOLD_MAX: usize = 20;

/// A view as it was at one instant.
#[derive(Debug)]
pub struct Beside {
    pub file: PathBuf,
    peek: Option<Peek>,
    mirror: Option<mirror::Rows>,
    accounts: Option<(u64, Vec<AccountRow>)>,
}

/// What the comparison found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Compared {
    pub file: String,
    /// `null`: it cannot be read, and is made again at the next start.
    pub applied_lsn: Option<u64>,
    /// Batches of the second copy that are in the log byte for byte.
    pub batches: u64,
    pub diverged: Vec<String>,
}

impl Beside {
    /// To be opened before the log is read: it must not be ahead of it.
    pub fn open(source: &Source) -> Option<Self> {
        let file = source.view()?;
        let (mirror, accounts) = match source.service? {
            Service::Gateway => (mirror::rows(&file).ok(), None),
            Service::Bank(_) => (None, book::accounts(&file).ok()),
            Service::Console => (None, None),
        };
        Some(Self { peek: mirror::peek(&file), file, mirror, accounts })
    }

    /// How far the log had come when this was written; nothing if it is of another log.
    pub fn witnessed(&self, source: &Source) -> Option<Lsn> {
        let (log, view) = (source.identity?, self.peek?.identity);
        let same = log.cluster == view.cluster.0 && log.lineage == view.lineage.0;
        same.then(|| Lsn::new(self.peek.map_or(0, |peek| peek.applied_lsn)))
    }

    /// What its second copy has of a segment.
    pub fn copies(&self, segment: u64) -> Result<Vec<BatchImage>, ViewError> {
        mirror::batches_of(&self.file, segment)
    }

    /// Compares its rows and its second copy with the log, of which `state` is the fold.
    pub fn compare(self, source: &Source, state: &State) -> Compared {
        let applied_lsn = self.peek.map(|peek| peek.applied_lsn);
        let mut diverged = Vec::new();
        if applied_lsn.is_some() && self.witnessed(source).is_none() {
            diverged.push("it is the view of another log".to_owned());
        } else {
            match state {
                State::Gateway(replay) => {
                    let found = rows::compare(self.mirror, &replay.state).found;
                    diverged.extend(found.into_iter().map(|found| found.what));
                }
                State::Bank(replay) => {
                    let accounts = self.accounts.unwrap_or_default();
                    diverged.extend(accounts_differ(&accounts, &replay.state));
                }
            }
        }
        let batches = second_copy(source, &self.file, &mut diverged);
        let more = diverged.len().saturating_sub(TOLD_MAX);
        diverged.truncate(TOLD_MAX);
        if more > 0 {
            diverged.push(format!("and {more} more"));
        }
        let file = self.file.display().to_string();
        Compared { file, applied_lsn, batches, diverged }
    }
}

/// Balances that are not what the journal adds up to. A book that is behind shows older ones, and
/// they are compared once it has caught up.
fn accounts_differ((applied, shown): &(u64, Vec<AccountRow>), log: &bank::State) -> Vec<String> {
    if *applied > log.last.get() {
        let last = log.last;
        return vec![format!("it shows record {applied}, the log ends at {last}")];
    }
    if *applied < log.last.get() {
        return Vec::new();
    }
    let mut differ = Vec::new();
    for row in shown {
        let number = row.account_number.parse().ok();
        let Some((number, account)) =
            number.and_then(|number| Some((number, log.accounts.get(&number)?)))
        else {
            differ.push("it shows an account that the log never opened".to_owned());
            continue;
        };
        let (balance, held) = (account.posted_minor, account.held_minor);
        if (row.balance_minor, row.held_minor) != (balance, held) {
            differ.push(format!(
                "it shows {} with {} and {} held, the log has {} and {}",
                number.masked(),
                major(row.balance_minor),
                major(row.held_minor),
                major(balance),
                major(held),
            ));
        }
    }
    if shown.len() != log.accounts.len() {
        let (shown, has) = (shown.len(), log.accounts.len());
        differ.push(format!("it shows {shown} accounts, the log has {has}"));
    }
    differ
}

/// Holds each batch of the second copy against the bytes of the log: how many are the same.
fn second_copy(source: &Source, view: &std::path::Path, diverged: &mut Vec<String>) -> u64 {
    let Ok(images) = mirror::batches(view) else { return 0 };
    let mut file: (u64, Option<Vec<u8>>) = (0, None);
    let mut same = 0;
    for image in images {
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                diverged.push(format!("its second copy cannot be read: {error}"));
                return same;
            }
        };
        if file.0 != image.segment {
            file = (image.segment, source.segment_bytes(image.segment));
        }
        let Some(bytes) = &file.1 else { continue };
        let (from, to) = (image.offset as usize, image.offset as usize + image.bytes.len());
        if bytes.get(from..to) == Some(&image.bytes) {
            same += 1;
        } else if wal::parse_batch(bytes.get(from..).unwrap_or_default(), image.salt, image.offset)
            .is_ok()
        {
            diverged.push(format!(
                "its copy of segment {} at byte {} is not what the log holds there",
                image.segment, image.offset
            ));
        }
    }
    same
}
