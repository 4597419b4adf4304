//! The rows of the gateway's mirror against its log.
//!
//! A mirror that is behind, or not there, is no disagreement: it follows the log. Only what it has
//! already applied is compared, and a row that is not what the log says by then is named. Refuses
//! to change the file.

use super::Found;
use crate::gateway::mirror::{self, Processed, Rows};
use recovery::gateway::{Entry, State};
use recovery::model::{Decision, Reference};
use std::path::Path;

pub(in crate::inspect) struct Compared {
    pub(in crate::inspect) applied_lsn: Option<u64>,
    pub(in crate::inspect) found: Vec<Found>,
}

/// The mirror as it stands now. To be opened before the log is read: it must not be ahead of it.
/// One that cannot be read is none; it is made again at the gateway's next start.
pub(in crate::inspect) fn open(path: &Path) -> Option<Rows> {
    if path.exists() { mirror::rows(path).ok() } else { None }
}

/// Compares what has been applied.
pub(in crate::inspect) fn compare(rows: Option<Rows>, log: &State) -> Compared {
    let Some(rows) = rows else { return Compared { applied_lsn: None, found: Vec::new() } };
    let applied = rows.applied_lsn();
    let mut found = Vec::new();
    if applied > log.last.get() {
        let last = log.last;
        found.push(named(format!("the mirror shows record {applied}, the log ends at {last}")));
    }
    let mut shown = 0;
    for row in rows {
        let Ok(row) = row else { return Compared { applied_lsn: None, found: Vec::new() } };
        shown += 1;
        found.extend(differs(&row, log, applied).map(named));
    }
    let began = |entry: &Entry| entry.began_lsn.get() <= applied;
    let by_log = log.by_reference.values().filter(|payment| began(&log.payments[*payment])).count();
    if applied <= log.last.get() && by_log != shown {
        found.push(named(format!("the mirror shows {shown} payments, the log has {by_log}")));
    }
    Compared { applied_lsn: Some(applied), found }
}

fn named(what: String) -> Found {
    Found { invariant: "I10", what, wrong: "mirror".to_owned() }
}

/// How a row is not what the log says, as far as the mirror has come.
fn differs(row: &Processed, log: &State, applied: u64) -> Option<String> {
    let Processed { client_id, transaction_id, status, .. } = row;
    let id = format!("{client_id}/{transaction_id}");
    let (Ok(client), Ok(transaction)) = (client_id.parse(), transaction_id.parse()) else {
        return Some(format!("the mirror shows {id:?}, which is no payment's name"));
    };
    let payment = log.by_reference.get(&Reference { client, transaction });
    let Some(entry) = payment.and_then(|payment| log.payments.get(payment)) else {
        return Some(format!("the mirror shows {id}, of which the log knows nothing"));
    };
    if entry.terms.amount.minor() != row.amount_minor {
        return Some(format!("the mirror shows {id} with another amount"));
    }
    let decided = Some(entry.decided_lsn.get()).filter(|lsn| (1..=applied).contains(lsn));
    let expected = match entry.payment.decision().filter(|_| decided.is_some()) {
        None => "PENDING",
        Some(Decision::Commit) => "COMMITTED",
        Some(Decision::Abort(_)) => "ABORTED",
    };
    if status != expected {
        return Some(format!("the mirror shows {id} as {status}, the log as {expected}"));
    }
    (row.lsn != decided).then(|| format!("the mirror shows {id} decided at another record"))
}
