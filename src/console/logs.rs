//! Pages of a log, newest last, read from its files beside whoever writes them.
//!
//! A segment is in memory at a time, and no page reads more than a few of them: one that found too
//! little says how far it looked.

use crate::errors::chain;
use crate::home::{Home, Service};
use crate::inspect::line::{Line, Names};
use crate::inspect::words::Accounts;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::Path;
use wal::read::{Cursor, FollowError, follow};
use wal::{Disk, Lsn, Position, Record};

/// Segments that one page looks through.
const SEGMENTS_MAX: usize = 8;

/// Which records of which log.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) service: Service,
    /// Only records before this one.
    pub(super) before: u64,
    pub(super) limit: usize,
    /// A kind, heedless of case; empty for all.
    pub(super) kind: String,
    /// A part of a payment's ids, of its client, or of the words.
    pub(super) text: String,
}

/// A record, decoded and as it lies in the file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    line: Line,
    words: String,
    /// The batch that it came in: one sync.
    batch_lsn: u64,
    batch_records: u32,
    /// The payload.
    hex: String,
}

/// One page.
#[derive(Debug, Default, Serialize)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// Older records are before this one; 0 when there are none.
    pub(super) before: u64,
    /// Why reading ended early, when something is damaged.
    pub(super) damage: Option<String>,
}

/// A bank by its name, or the gateway.
pub(super) fn service(text: &str) -> Option<Service> {
    if text == "gateway" { Some(Service::Gateway) } else { text.parse().ok().map(Service::Bank) }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

impl Row {
    fn of(line: Line, record: &Record<'_>, position: &Position) -> Self {
        let hex = hexadecimal(record.payload);
        let (batch_lsn, batch_records) = (position.first_lsn.get(), position.records);
        Self { words: line.words.clone(), line, batch_lsn, batch_records, hex }
    }
}

impl Wanted {
    fn takes(&self, line: &Line) -> bool {
        let kind = self.kind.is_empty() || line.kind.eq_ignore_ascii_case(&self.kind);
        let within =
            |text: &Option<String>| text.as_ref().is_some_and(|it| it.contains(&self.text));
        kind && (self.text.is_empty()
            || line.is_of(&self.text)
            || within(&line.payment)
            || within(&line.transaction_id)
            || within(&line.client_id)
            || line.words.contains(&self.text))
    }
}

/// Stops a reader that has all it wants.
enum Stop {
    Enough,
}

/// The first record of each segment, oldest first.
fn segments(directory: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(directory.join("wal")).into_iter().flatten().flatten();
    let first = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()?.strip_suffix(".seg")?.split_once('-')?.1.parse().ok()
    };
    let mut all: Vec<u64> = entries.filter_map(first).collect();
    all.sort_unstable();
    all
}

/// The newest records before `wanted.before` that are wanted.
pub(super) fn page(home: &Home, wanted: &Wanted) -> Page {
    let directory = home.data(wanted.service);
    let mut page = Page::default();
    let mut end = wanted.before;
    let firsts = segments(&directory);
    let behind = firsts.iter().rev().filter(|first| **first < wanted.before);
    for first in behind.take(SEGMENTS_MAX) {
        let room = wanted.limit - page.rows.len();
        let (found, damage) = segment(&directory, *first, end, room, wanted);
        end = *first;
        page.damage = page.damage.or(damage);
        let full = found.len() == room;
        let mut rows: Vec<Row> = found.into();
        page.before = if full { rows.first().map_or(end, |row| row.line.lsn) } else { end };
        rows.append(&mut page.rows);
        page.rows = rows;
        if full {
            break;
        }
    }
    if page.before <= 1 {
        page.before = 0;
    }
    page
}

/// The last `room` wanted records of `first..end`.
fn segment(
    directory: &Path,
    first: u64,
    end: u64,
    room: usize,
    wanted: &Wanted,
) -> (VecDeque<Row>, Option<String>) {
    let mut found = VecDeque::new();
    let mut names = Names::default();
    let mut cursor = Cursor::after(Lsn::new(first.saturating_sub(1)));
    let followed = follow(&Disk::new(directory), &mut cursor, |record, position| {
        if record.lsn.get() >= end {
            return Err(Stop::Enough);
        }
        let line = Line::read(&record, &position, &mut names, Accounts::Masked);
        if wanted.takes(&line) {
            found.push_back(Row::of(line, &record, &position));
            if found.len() > room {
                found.pop_front();
            }
        }
        Ok(())
    });
    let damage = match followed {
        Ok(()) | Err(FollowError::Visitor(Stop::Enough)) => None,
        Err(FollowError::Read(error)) => Some(chain(&error)),
        Err(FollowError::Damaged(error)) => Some(chain(&error)),
    };
    (found, damage)
}
