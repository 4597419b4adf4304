//! What each start found, beside the log that it found it in: `recoveries.jsonl`, a line a start.
//!
//! What was in doubt and how it was settled is in the log itself. This keeps what the log does not
//! say: how long it took, and what was torn. It is for people: a start goes on without it.

use super::Start;
use crate::home::write_private;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Lines kept; the oldest go.
const LINES_MAX: usize = 1_000;

/// One start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recovered {
    pub epoch: u64,
    /// Of this start's own record.
    pub lsn: u64,
    pub unix_ms: u64,
    pub took_ms: u64,
    pub records: u64,
    pub segments: u64,
    pub bytes: u64,
    /// Records that nothing proved durable, and that were written again.
    pub unproven: u64,
    pub torn_bytes: u64,
    /// Payments that were not over.
    pub in_doubt: u64,
}

fn file(directory: &Path) -> PathBuf {
    directory.join("recoveries.jsonl")
}

/// Adds a start to the list in a service's directory.
pub fn note_recovery<S>(directory: &Path, started: &Start<S>, epoch: u64, in_doubt: usize) {
    let report = &started.report;
    let one = Recovered {
        epoch,
        lsn: started.durable.lsn().get(),
        unix_ms: super::wall_ms(),
        took_ms: started.took.as_millis() as u64,
        records: started.records,
        segments: report.segments,
        bytes: report.bytes,
        unproven: report.unproven,
        torn_bytes: report.torn.as_ref().map_or(0, |torn| torn.bytes),
        in_doubt: in_doubt as u64,
    };
    let mut all = recoveries(directory);
    all.push(one);
    let kept = &all[all.len().saturating_sub(LINES_MAX)..];
    let lines: String = kept
        .iter()
        .filter_map(|one| serde_json::to_string(one).ok())
        .map(|line| line + "\n")
        .collect();
    if let Err(failure) = write_private(&file(directory), lines.as_bytes()) {
        tracing::warn!("this start is not noted: {}", failure.what);
    }
}

/// The starts that were noted in a service's directory, oldest first. A line that cannot be read
/// is left out.
pub fn recoveries(directory: &Path) -> Vec<Recovered> {
    let text = std::fs::read_to_string(file(directory)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
