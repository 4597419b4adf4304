//! Many payments at once: a few at a time, each as safe as a single one, one summary.
//!
//! Promises that a line is paid at most once, however often the file is given; that at most
//! [`CONCURRENCY`] payments are on their way; and that when the gateway goes away, what is left is
//! queued instead of tried in vain. Refuses to know how progress is shown.

mod file;

pub use file::{BadLine, Batch, LINES_MAX, Row, parse};

use super::outbox::{Draft, End, OutboxError};
use super::pay::{Desk, Verdict};
use super::words::{self, Words};
use crate::errors::Exit;
use futures_util::StreamExt;
use recovery::model::major;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Well below what one client may have in flight.
const CONCURRENCY: usize = 16;

/// How a batch ended. The names are public.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    pub lines: usize,
    pub paid: usize,
    pub paid_minor: i64,
    /// Under the same ids, by an earlier run of this batch.
    pub paid_before: usize,
    pub declined: usize,
    pub pending: usize,
    pub unknown: usize,
    pub queued: usize,
    /// Never begun, and not queued: giving the file again sends them.
    pub not_sent: usize,
    pub problems: Vec<Problem>,
}

/// A line that was not paid.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    pub line: usize,
    pub transaction_id: String,
    pub state: &'static str,
    pub reason: String,
    pub message: String,
}

/// One line that was handed in.
#[derive(Debug)]
pub struct Done<'a> {
    pub row: &'a Row,
    pub verdict: Verdict,
    pub words: Words,
}

/// Pays every row; `stop` ends it after those on their way.
pub async fn run(
    desk: &Desk,
    rows: &[Row],
    stop: &AtomicBool,
    mut progress: impl FnMut(&Done<'_>),
) -> Result<Tally, OutboxError> {
    let mut tally = Tally { lines: rows.len(), ..Tally::default() };
    let (away, refused) = (AtomicBool::new(false), AtomicBool::new(false));
    let pay = |row| {
        let (away, refused) = (&away, &refused);
        async move {
            if [stop, away, refused].iter().any(|flag| flag.load(Ordering::Relaxed)) {
                return Ok(Err(row));
            }
            let verdict = desk.pay(row_draft(row)).await?;
            match &verdict {
                Verdict::Queued(_) => away.store(true, Ordering::Relaxed),
                Verdict::NotSignedIn(_) => refused.store(true, Ordering::Relaxed),
                _ => {}
            }
            let words = words::of_verdict(&row.draft, &verdict);
            Ok(Ok(Done { row, verdict, words }))
        }
    };
    let mut payments =
        futures_util::stream::iter(rows.iter().map(pay)).buffer_unordered(CONCURRENCY);
    let mut left = Vec::new();
    while let Some(ended) = payments.next().await {
        match ended? {
            Ok(done) => {
                tally.count(&done);
                if matches!(done.verdict, Verdict::Final(_)) {
                    desk.told(vec![done.row.draft.id]).await?;
                }
                progress(&done);
            }
            Err(row) => left.push(row),
        }
    }
    if away.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
        desk.keep(left.iter().map(|row| row_draft(row)).collect()).await?;
        tally.queued += left.len();
    } else {
        tally.not_sent += left.len();
    }
    tally.problems.sort_by_key(|problem| problem.line);
    Ok(tally)
}

fn row_draft(row: &Row) -> Draft {
    row.draft.clone()
}

impl Tally {
    fn count(&mut self, done: &Done<'_>) {
        match &done.verdict {
            Verdict::Final(outcome) if outcome.end == End::Committed => {
                if outcome.replayed {
                    self.paid_before += 1;
                } else {
                    self.paid += 1;
                    self.paid_minor = self.paid_minor.saturating_add(done.row.draft.amount.minor());
                }
                return;
            }
            Verdict::Final(_) => self.declined += 1,
            Verdict::Pending(_) => self.pending += 1,
            Verdict::Unknown(_) => self.unknown += 1,
            Verdict::Queued(_) => {
                self.queued += 1;
                return;
            }
            Verdict::NotTaken(_) | Verdict::NotSignedIn(_) => self.not_sent += 1,
        }
        let Words { json, told } = &done.words;
        self.problems.push(Problem {
            line: done.row.line,
            transaction_id: json.transaction_id.clone(),
            state: json.state,
            reason: json.reason.clone(),
            message: told.as_ref().err().map(|failure| failure.what.clone()).unwrap_or_default(),
        });
    }

    /// The most serious thing that happened.
    pub fn exit(&self) -> Exit {
        match self {
            Self { unknown, pending, .. } if unknown + pending > 0 => Exit::Unknown,
            Self { queued, .. } if *queued > 0 => Exit::Queued,
            Self { not_sent, .. } if *not_sent > 0 => Exit::Unreachable,
            Self { declined, .. } if *declined > 0 => Exit::Declined,
            _ => Exit::Done,
        }
    }

    /// The summary, in lines.
    pub fn summary(&self) -> String {
        let counts = [
            (self.paid_before, "paid before, not again"),
            (self.declined, "declined"),
            (self.pending, "pending"),
            (self.unknown, "unknown"),
            (self.queued, "queued"),
            (self.not_sent, "not sent"),
        ];
        let told = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, what)| format!(", {count} {what}")).collect();
        let mut lines = vec![format!(
            "{} lines: {} paid ({} INR){}",
            self.lines,
            self.paid,
            major(self.paid_minor),
            told.concat()
        )];
        for problem in &self.problems {
            let Problem { line, state, message, .. } = problem;
            lines.push(format!("  line {line}: {state}: {message}"));
        }
        if self.pending + self.unknown + self.queued > 0 {
            lines.push(
                "What is queued or unknown is saved and goes out under the same ids, once: \
                 strife queue flush"
                    .to_owned(),
            );
        }
        if self.not_sent > 0 {
            lines.push(
                "Give the same file again to send the rest: no line is paid twice.".to_owned(),
            );
        }
        if self.paid_before > 0 {
            lines.push(
                "Lines paid before belong to the same batch. If this is a new one, name it: \
                 --batch <NAME>"
                    .to_owned(),
            );
        }
        lines.join("\n")
    }
}
