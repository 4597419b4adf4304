//! A file of payments, read whole or refused whole.
//!
//! ```text
//! recipient,amount,transaction_id,memo
//! 10000000000002,250,,"rent, august"
//! 10000000000003,99.50,invoice-17,
//! ```
//!
//! The header is optional; with one, the columns may stand in any order. Promises that every bad
//! line is named with its number, and that the same line of the same batch has the same id for
//! ever: an id that is not given is a digest of client, batch, line and how often that line stood
//! above. So a file that was interrupted, or got more lines, can be given again, and no line is
//! paid twice.
//!
//! Refuses to know the network.

use crate::client::ask::Ask;
use crate::client::outbox::Draft;
use recovery::model::{AccountNumber, ClientId};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// More than this is several files.
pub const LINES_MAX: usize = 100_000;

const COLUMNS: [&str; 4] = ["recipient", "amount", "transaction_id", "memo"];

/// A line that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Counted from 1, as an editor does.
    pub line: usize,
    pub draft: Draft,
}

/// A line that cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    pub line: usize,
    pub why: String,
}

/// Whose file, and under which name its lines are remembered.
#[derive(Debug, Copy, Clone)]
pub struct Batch<'a> {
    pub client: ClientId,
    pub own: Option<AccountNumber>,
    pub name: &'a str,
}

/// Every line, or every line that is bad.
pub fn parse(text: &str, batch: Batch<'_>) -> Result<Vec<Row>, Vec<BadLine>> {
    let mut rows = Vec::new();
    let mut bad = Vec::new();
    let mut seen = Seen::default();
    let mut order = [0, 1, 2, 3].map(Some);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (place, (index, line)) in lines.enumerate() {
        let number = index + 1;
        let parsed = fields(line).and_then(|fields| {
            if place == 0 && is_header(&fields) {
                order = columns(&fields)?;
                return Ok(None);
            }
            row(&fields, &order, batch, &mut seen, number).map(Some)
        });
        match parsed {
            Ok(row) => rows.extend(row),
            Err(why) => bad.push(BadLine { line: number, why }),
        }
    }
    if rows.len() > LINES_MAX {
        let why = format!("a file has at most {LINES_MAX} payments");
        bad.push(BadLine { line: rows[LINES_MAX].line, why });
    }
    if rows.is_empty() && bad.is_empty() {
        bad.push(BadLine { line: 1, why: "the file has no payments".to_owned() });
    }
    if bad.is_empty() { Ok(rows) } else { Err(bad) }
}

#[derive(Default)]
struct Seen {
    /// How often a line without an id stood above.
    times: BTreeMap<String, u32>,
    /// Where an id was used.
    ids: BTreeMap<String, usize>,
}

fn row(
    fields: &[String],
    order: &[Option<usize>; 4],
    batch: Batch<'_>,
    seen: &mut Seen,
    line: usize,
) -> Result<Row, String> {
    if fields.len() > COLUMNS.len() {
        return Err(format!("{} fields where at most {} belong", fields.len(), COLUMNS.len()));
    }
    let field = |column: usize| {
        let text = order[column].and_then(|at| fields.get(at));
        text.map(|text| text.trim()).unwrap_or_default()
    };
    let [recipient, amount, id, memo] = [0, 1, 2, 3].map(field);
    // Parsed once without an id, so that the digest is over the parsed parts: 250 is 250.00.
    let ask = Ask { amount, recipient, id: Some("unset"), memo };
    let mut draft = ask.parse(batch.own).map_err(|failure| failure.what)?;
    let id = if id.is_empty() { derived_id(&draft, batch, seen) } else { id.to_owned() };
    draft.id = crate::client::ask::transaction_id(&id).map_err(|failure| failure.what)?;
    match seen.ids.insert(id, line) {
        Some(earlier) => Err(format!("the transaction id of line {earlier} again")),
        None => Ok(Row { line, draft }),
    }
}

fn derived_id(draft: &Draft, batch: Batch<'_>, seen: &mut Seen) -> String {
    let Draft { payee, amount, currency, memo, .. } = draft;
    let line = format!("{payee}\0{amount}\0{currency}\0{}", memo.as_str());
    let times = seen.times.entry(line.clone()).and_modify(|times| *times += 1).or_insert(1);
    let whole = format!("strife batch 1\0{}\0{}\0{line}\0{times}", batch.client, batch.name);
    let digest = Sha256::digest(whole.as_bytes());
    digest[..16].iter().fold("file-".to_owned(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn is_header(fields: &[String]) -> bool {
    fields.iter().any(|field| COLUMNS.contains(&field.trim().to_lowercase().as_str()))
}

fn columns(fields: &[String]) -> Result<[Option<usize>; 4], String> {
    let mut order = [None; 4];
    for (at, name) in fields.iter().enumerate() {
        let name = name.trim().to_lowercase();
        let column = COLUMNS.iter().position(|column| *column == name);
        let column = column.ok_or_else(|| {
            format!("there is no column {name:?}; the columns are {}", COLUMNS.join(", "))
        })?;
        if order[column].replace(at).is_some() {
            return Err(format!("two columns are called {name:?}"));
        }
    }
    match (order[0], order[1]) {
        (Some(_), Some(_)) => Ok(order),
        _ => Err("the columns recipient and amount are needed".to_owned()),
    }
}

/// Splits one line at its commas; a field in quotes may hold commas, and quotes doubled.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        let field = fields.last_mut().map_or_else(String::new, std::mem::take);
        let mut field = field;
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => {
                if let Some(last) = fields.last_mut() {
                    *last = field;
                }
                fields.push(String::new());
                continue;
            }
            char => field.push(char),
        }
        if let Some(last) = fields.last_mut() {
            *last = field;
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(name: &str) -> Batch<'_> {
        let client = "client1".parse().expect("a client");
        Batch { client, own: "10000000000001".parse().ok(), name }
    }

    fn ids(text: &str, name: &str) -> Vec<String> {
        let rows = parse(text, batch(name)).expect("a good file");
        rows.iter().map(|row| row.draft.id.to_string()).collect()
    }

    #[test]
    fn every_bad_line_is_named_with_its_number() {
        let text = "recipient,amount,transaction_id,memo\n\
                    10000000000002,250,a,\n\
                    1000000000000,250\n\
                    \n\
                    10000000000002,1.234\n\
                    10000000000001,5\n\
                    10000000000002,5,a\n\
                    10000000000002,5,b c\n\
                    10000000000002,5,,\"open\n\
                    10000000000002,5,,m,extra\n";
        let bad = parse(text, batch("f")).expect_err("refused");
        let lines: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(lines, [3, 5, 6, 7, 8, 9, 10]);
        assert_eq!(bad[3].why, "the transaction id of line 2 again");
    }

    #[test]
    fn columns_may_stand_in_any_order_and_a_header_may_be_missing() {
        let named = "memo,amount,recipient\n\"rent, \"\"august\"\"\",250,10000000000002\n";
        let rows = parse(named, batch("f")).expect("a good file");
        assert_eq!(rows[0].line, 2);
        assert_eq!(rows[0].draft.memo.as_str(), "rent, \"august\"");
        let bare = parse("10000000000002, 250\r\n", batch("f")).expect("a good file");
        assert_eq!(bare[0].draft.amount.minor(), 25_000);
        assert!(parse("recipient,sum\n", batch("f")).is_err());
        assert!(parse("\n\n", batch("f")).is_err(), "no payments");
    }

    #[test]
    fn a_line_keeps_its_id_when_others_come_and_go() {
        let alone = ids("10000000000002,250\n", "salaries");
        let among = ids("10000000000003,1\n\n10000000000002,250.00\n", "salaries");
        assert_eq!(alone[0], among[1]);
    }

    #[test]
    fn equal_lines_are_two_payments_and_another_batch_is_another_payment() {
        let twice = ids("10000000000002,250\n10000000000002,250\n", "salaries");
        assert_ne!(twice[0], twice[1]);
        assert_ne!(ids("10000000000002,250\n", "august")[0], twice[0]);
    }
}
