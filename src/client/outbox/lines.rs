//! The outbox as bytes: one line an append, each with its own checksum. Pure.
//!
//! ```text
//!   4f1d0c9be2a87713 {"changes":[{"put":{"id":"...","payee":...}},{"gone":"..."}]}\n
//!   ^ 16 hex digits of SHA-256 over the rest, newline excluded
//! ```
//!
//! An append is exactly one line, however many changes it carries, and is synced before anything
//! rests on it. So only the last line can be torn by a crash, and it is torn when its end is
//! missing or when it has unwritten (zero) pages. Any other bad line is damage, and is named.
//!
//! Refuses to know files and locks.

use super::entry::Entry;
use recovery::model::{ClientId, TransactionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The version in the first line. Another one is refused, not guessed at.
const FORMAT: u32 = 1;
const SUM_BYTES: usize = 8;
const PREFIX_LEN: usize = 2 * SUM_BYTES + 1;
/// Fewer zeros in a row could be a flipped bit; an unwritten page has many.
const UNWRITTEN: [u8; 8] = [0; 8];

/// One append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first line, and only that.
    Outbox {
        format: u32,
        client: ClientId,
    },
    Changes(Vec<Change>),
}

/// The latest state of an entry, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Put(Box<Entry>),
    Gone(TransactionId),
}

/// Entries in the order of saving.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    by_number: BTreeMap<u64, Entry>,
    number_of: BTreeMap<TransactionId, u64>,
    next: u64,
}

impl Entries {
    pub(crate) fn apply_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.apply(change);
        }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(entry) => {
                let next = self.next;
                let number = *self.number_of.entry(entry.draft.id).or_insert(next);
                self.next = self.next.max(number + 1);
                self.by_number.insert(number, *entry);
            }
            Change::Gone(id) => {
                if let Some(number) = self.number_of.remove(&id) {
                    self.by_number.remove(&number);
                }
            }
        }
    }

    pub(crate) fn get(&self, id: TransactionId) -> Option<&Entry> {
        self.by_number.get(self.number_of.get(&id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_number.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }
}

/// What a range of the file holds.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) lines: Vec<Line>,
    /// Bytes of whole lines. What lies beyond is a torn append, of which nothing was ever sent.
    pub(crate) whole_len: usize,
    pub(crate) torn: bool,
    /// The last whole line lacks only its newline.
    pub(crate) unterminated: bool,
}

/// A bad line that no crash explains.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, byte {offset}: {why}")]
pub struct Damage {
    /// Counted from 1.
    pub line: usize,
    pub offset: u64,
    pub why: &'static str,
}

pub(crate) fn header(client: ClientId) -> Line {
    Line::Outbox { format: FORMAT, client }
}

pub(crate) fn encode(line: &Line) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_string(line)?;
    let mut bytes = sum(json.as_bytes()).into_bytes();
    bytes.push(b' ');
    bytes.extend_from_slice(json.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads every line of `bytes`; `Damage` counts from the start of them.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, Damage> {
    let mut scan = Scan::default();
    while scan.whole_len < bytes.len() {
        let rest = &bytes[scan.whole_len..];
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let end = newline.unwrap_or(rest.len());
        match decode(&rest[..end]) {
            Ok(line) => scan.lines.push(line),
            Err(why) => {
                scan.torn = is_torn(rest, newline);
                if scan.torn {
                    break;
                }
                let offset = scan.whole_len as u64;
                return Err(Damage { line: scan.lines.len() + 1, offset, why });
            }
        }
        scan.whole_len += end;
        scan.unterminated = newline.is_none();
        scan.whole_len += usize::from(newline.is_some());
    }
    Ok(scan)
}

/// Can a crash in mid-append have left `rest`, of which the first line does not read?
fn is_torn(rest: &[u8], newline: Option<usize>) -> bool {
    match newline {
        // A whole line and one byte that should be a newline: nothing is missing, something is
        // wrong.
        None => decode(&rest[..rest.len() - 1]).is_err(),
        Some(end) => {
            let last = end + 1 == rest.len();
            last && rest.windows(UNWRITTEN.len()).any(|window| window == UNWRITTEN)
        }
    }
}

/// Every line that reads, whatever lies between: for repair.
pub(crate) fn salvage(bytes: &[u8]) -> Vec<Line> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| decode(line).ok()).collect()
}

fn decode(line: &[u8]) -> Result<Line, &'static str> {
    let (stored, json) = line.split_at_checked(PREFIX_LEN).ok_or("the line is too short")?;
    if !stored.starts_with(sum(json).as_bytes()) || stored.last() != Some(&b' ') {
        return Err("the checksum does not match");
    }
    let line = serde_json::from_slice(json).map_err(|_| "the line is not an outbox record")?;
    match line {
        Line::Outbox { format, .. } if format != FORMAT => {
            Err("another version of strife wrote this outbox")
        }
        line @ (Line::Outbox { .. } | Line::Changes(_)) => Ok(line),
    }
}

fn sum(json: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(json);
    digest[..SUM_BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::outbox::entry::Draft;
    use recovery::model::{Currency, Memo};

    fn put(id: &str) -> Change {
        let draft = Draft {
            id: id.parse().expect("an id"),
            payee: "10000000000002".parse().expect("an account"),
            amount: "1".parse().expect("an amount"),
            currency: Currency::INR,
            memo: Memo::default(),
        };
        Change::Put(Box::new(Entry::new(draft, 1)))
    }

    fn file() -> (Vec<u8>, Vec<usize>) {
        let client = "client1".parse().expect("a client");
        let gone = Change::Gone("a".parse().expect("an id"));
        let lines = [
            header(client),
            Line::Changes(vec![put("a"), put("b")]),
            Line::Changes(vec![gone, put("c")]),
        ];
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for line in &lines {
            bytes.extend(encode(line).expect("json"));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn every_cut_yields_exactly_the_whole_lines_before_it() {
        let (bytes, ends) = file();
        for cut in 0..=bytes.len() {
            let scan = scan(&bytes[..cut]).expect("a cut is never damage");
            let whole = ends.iter().filter(|end| **end > 0 && **end <= cut + 1).count();
            assert_eq!(scan.lines.len(), whole, "cut at {cut}");
            let torn = !ends.iter().any(|end| *end == cut || *end == cut + 1);
            assert_eq!(scan.torn, torn, "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_is_named_as_damage() {
        let (bytes, _) = file();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(scan(&flipped).is_err(), "bit {bit} went unseen");
        }
    }

    #[test]
    fn a_last_line_with_unwritten_pages_is_torn_and_an_earlier_one_is_damage() {
        let (bytes, ends) = file();
        let zeroed = |line: usize| {
            let mut zeroed = bytes.clone();
            zeroed[ends[line]..ends[line] + 40].fill(0);
            zeroed
        };
        assert!(scan(&zeroed(2)).expect("torn").torn);
        let damage = scan(&zeroed(1)).expect_err("damage");
        assert_eq!((damage.line, damage.offset), (2, ends[1] as u64));
    }

    #[test]
    fn an_outbox_of_another_version_is_refused() {
        let client = "client1".parse().expect("a client");
        let bytes = encode(&Line::Outbox { format: 2, client }).expect("json");
        let damage = scan(&bytes).expect_err("refused");
        assert_eq!(damage.why, "another version of strife wrote this outbox");
    }

    #[test]
    fn entries_keep_the_order_in_which_they_were_saved() {
        let mut entries = Entries::default();
        for change in [put("b"), put("a"), put("c"), put("a")] {
            entries.apply(change);
        }
        entries.apply(Change::Gone("b".parse().expect("an id")));
        let ids: Vec<_> = entries.iter().map(|entry| entry.draft.id.to_string()).collect();
        assert_eq!(ids, ["a", "c"]);
    }
}
