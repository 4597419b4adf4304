//! Many payments at once, each as safe as a single one, and one summary.
//!
//! They go down one stream, or by a call each where the gateway serves no streams. Promises that a
//! line is on disk before it is sent and is paid at most once, however often the file is given; and
//! that when the gateway goes away for longer than a restart takes, what is left is queued instead
//! of tried in vain. Refuses to know how progress is shown.

mod calls;
mod file;
mod stream;

pub use file::{BadLine, Batch, LINES_MAX, Row, parse};

use super::outbox::{Draft, End};
use super::pay::{Desk, Verdict, is_away};
use super::session::SessionError;
use super::words::{self, Words};
use crate::errors::{Exit, Failure};
use recovery::model::major;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A batch on its way.
struct Run<'a, F> {
    desk: &'a Desk,
    stop: &'a AtomicBool,
    tally: Tally,
    progress: F,
}

/// Rows that were not handed in, or of which nothing was heard.
struct Left<'a> {
    rows: Vec<&'a Row>,
    why: Why,
}

/// Why there are any.
enum Why {
    /// There are none, or whoever asked has stopped.
    Ended,
    /// The gateway is away: they wait in the queue.
    Away,
    /// Nobody is signed in any more who may pay.
    NotSignedIn(SessionError),
    /// The gateway does not serve this way of paying.
    NotServed,
}

/// Pays every row; `stop` ends it after those on their way.
pub async fn run<F: FnMut(&Done<'_>)>(
    desk: &Desk,
    rows: &[Row],
    stop: &AtomicBool,
    progress: F,
) -> Result<Tally, Failure> {
    let tally = Tally { lines: rows.len(), ..Tally::default() };
    let mut run = Run { desk, stop, tally, progress };
    let mut left = stream::pay(&mut run, rows).await?;
    if matches!(left.why, Why::NotServed) {
        left = calls::pay(&mut run, &left.rows).await?;
    }
    let mut tally = run.tally;
    match left.why {
        Why::Away if !stop.load(Ordering::Relaxed) => {
            let drafts = left.rows.iter().map(|row| row_draft(row)).collect();
            desk.keep(drafts).await.map_err(|error| words::of_outbox(&error))?;
            tally.queued += left.rows.len();
        }
        Why::NotSignedIn(error) if left.rows.len() == tally.lines => {
            return Err(words::of_session(&error));
        }
        Why::Ended | Why::Away | Why::NotSignedIn(_) | Why::NotServed => {
            tally.not_sent += left.rows.len();
        }
    }
    tally.problems.sort_by_key(|problem| problem.line);
    Ok(tally)
}

/// Is there somebody who may pay? Else, why not.
async fn signed_in(desk: &Desk) -> Option<Why> {
    match desk.session.ensure().await {
        Ok(_) => None,
        Err(SessionError::SignIn(error)) if is_away(&error) => Some(Why::Away),
        Err(error) => Some(Why::NotSignedIn(error)),
    }
}

fn row_draft(row: &Row) -> Draft {
    row.draft.clone()
}

impl<F: FnMut(&Done<'_>)> Run<'_, F> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn done(&mut self, row: &Row, verdict: Verdict) {
        let words = words::of_verdict(&row.draft, &verdict);
        let done = Done { row, verdict, words };
        self.tally.count(&done);
        (self.progress)(&done);
    }
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
