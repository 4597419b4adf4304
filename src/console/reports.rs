//! What is on disk about the past: reports of drills, each start and what it found, and why a
//! service ended that did not mean to.

use crate::home::{Home, Service};
use crate::inspect::Source;
use crate::inspect::recoveries::{self, Recovery};
use crate::inspect::source::services;
use serde_json::{Value, json};
use std::path::Path;

/// The newest of each that are shown.
const REPORTS_MAX: usize = 20;
const STARTS_MAX: usize = 20;
const ENDS_MAX: usize = 40;
/// A log file's end is enough: it may be of any size.
const TAIL_BYTES: u64 = 4 << 20;
/// A report of every drill is some hundred kilobytes.
const REPORT_BYTES_MAX: u64 = 4 << 20;

/// Every JSON file in `drills/`, newest first, with its name.
pub(super) fn drills(home: &Home) -> Vec<Value> {
    let entries = std::fs::read_dir(home.drills()).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .collect();
    files.sort();
    files.into_iter().rev().take(REPORTS_MAX).filter_map(|(_, path)| report(&path)).collect()
}

fn report(path: &Path) -> Option<Value> {
    if path.metadata().ok()?.len() > REPORT_BYTES_MAX {
        return None;
    }
    let report: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let name = path.file_stem()?.to_string_lossy().into_owned();
    Some(json!({ "name": name, "report": report }))
}

/// Every service's last starts, newest first; its errors; and the logs that could not be read.
pub(super) fn history(home: &Home) -> Value {
    let (mut starts, mut ends, mut unread) = (Vec::<Recovery>::new(), Vec::new(), Vec::new());
    for service in services(home) {
        match Source::of(home, service).and_then(|source| recoveries::of(&source)) {
            Ok(mut all) => starts.extend(all.drain(all.len().saturating_sub(STARTS_MAX)..)),
            Err(failure) => unread.push(failure.what),
        }
        ends.extend(errors(home, service));
    }
    starts.sort_by_key(|start| std::cmp::Reverse(start.at_unix_ms));
    ends.sort_by(|a: &Value, b: &Value| b["timestamp"].as_str().cmp(&a["timestamp"].as_str()));
    ends.truncate(ENDS_MAX);
    json!({ "starts": starts, "errors": ends, "unread": unread })
}

/// The errors at the end of what a service said.
fn errors(home: &Home, service: Service) -> Vec<Value> {
    let text = end_of(&home.log_file(service)).unwrap_or_default();
    let told = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let is_error = value["level"] == "ERROR";
        is_error.then(|| {
            json!({ "service": service.to_string(), "timestamp": value["timestamp"],
                    "message": value["message"] })
        })
    };
    text.lines().rev().filter_map(told).take(ENDS_MAX).collect()
}

fn end_of(path: &Path) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
