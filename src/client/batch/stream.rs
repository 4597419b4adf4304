//! A batch down one stream: saved by the chunk, sent, and told as the results come.
//!
//! ```text
//!  rows --> save a chunk (one sync) --> send --> under way --> result --> forget --> tell
//!             ^                                     |
//!             '------- the stream broke: again, under the same ids, while there is hope
//! ```
//!
//! A kill at any instant leaves in the outbox whatever may be on its way. Refuses to know what a
//! verdict is worth.

use super::{Done, Left, Row, Run, Why, row_draft, signed_in};
use crate::client::classify::CallError;
use crate::client::outbox::OutboxError;
use crate::client::pay::Item;
use crate::client::session::{Payments, Results, SessionError};
use crate::client::words;
use crate::errors::Failure;
use crate::wire::v1::PaymentResult;
use recovery::model::TransactionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tonic::Code;

/// Payments on their way at once: what a gateway lets one stream have. Halved whenever the gateway
/// has no room for one, down to the least; a result heard makes room for one more.
const WINDOW_MAX: usize = 256;
const WINDOW_MIN: usize = 8;

/// Saved with one sync and sent in one message, at most.
const CHUNK_MAX: usize = 64;

/// A gateway that was there a moment ago is waited for so long: it may be restarting.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_STEP: Duration = Duration::from_millis(200);

/// A bank that is away right after the stream was opened may be on its way to the gateway.
const BANK_PATIENCE: Duration = Duration::from_secs(3);

/// A payment that the gateway has not finished, or has no room for, is sent again so often.
const MOMENTS_MAX: u32 = 20;

/// The rows of one batch.
struct Rows<'a> {
    todo: VecDeque<&'a Row>,
    under_way: BTreeMap<TransactionId, &'a Row>,
    /// Sent at some time, and no result was heard.
    sent: BTreeSet<TransactionId>,
    /// In the outbox before this run.
    known: BTreeSet<TransactionId>,
    moments: BTreeMap<TransactionId, u32>,
    window: usize,
    /// When the stream was.
    opened: Instant,
    /// Not before this is anything sent.
    pause: Instant,
}

/// How a stream ended.
enum Ended {
    All,
    Broken,
}

/// Pays every row, and gives back those that were not sent.
pub(super) async fn pay<'a, F: FnMut(&Done<'_>)>(
    run: &mut Run<'_, F>,
    rows: &'a [Row],
) -> Result<Left<'a>, Failure> {
    let of_outbox = |error: OutboxError| words::of_outbox(&error);
    if let Some(why) = signed_in(run.desk).await {
        return Ok(Left { rows: rows.iter().collect(), why });
    }
    let known = run.desk.entries().await.map_err(of_outbox)?;
    let mut rows = Rows {
        todo: rows.iter().collect(),
        under_way: BTreeMap::new(),
        sent: BTreeSet::new(),
        known: known.into_iter().map(|entry| entry.draft.id).collect(),
        moments: BTreeMap::new(),
        window: WINDOW_MAX,
        opened: Instant::now(),
        pause: Instant::now(),
    };
    // Until something was heard there is no reason to be patient.
    let mut hope = Instant::now();
    let why = loop {
        let heard = rows.todo.len();
        match run.desk.session.pay_many().await {
            Ok((payments, results)) => {
                rows.opened = Instant::now();
                let ended = rows.follow(run, &payments, results).await.map_err(of_outbox)?;
                if matches!(ended, Ended::All) {
                    break Why::Ended;
                }
            }
            Err(SessionError::Call(CallError::Answered(refusal)))
                if refusal.code == Code::Unimplemented =>
            {
                break Why::NotServed;
            }
            Err(SessionError::Call(error) | SessionError::SignIn(error)) if may_pass(&error) => {}
            Err(error) => break Why::NotSignedIn(error),
        }
        rows.take_back();
        if rows.todo.len() < heard {
            hope = Instant::now() + PATIENCE;
        }
        if Instant::now() >= hope || run.is_stopped() {
            break Why::Away;
        }
        tokio::time::sleep(PATIENCE_STEP).await;
    };
    rows.take_back();
    rows.leave(run, why).await.map_err(of_outbox)
}

/// Nobody there, no place, or a broken line: another attempt may do.
fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::NotSent { .. } | CallError::OutcomeUnknown { .. } => true,
        CallError::Answered(refusal) => {
            matches!(refusal.code, Code::Unavailable | Code::ResourceExhausted)
        }
    }
}

impl<'a> Rows<'a> {
    async fn follow<F: FnMut(&Done<'_>)>(
        &mut self,
        run: &mut Run<'_, F>,
        payments: &Payments,
        mut results: Results,
    ) -> Result<Ended, OutboxError> {
        let silence_max = run.desk.session.call_max();
        loop {
            if !self.fill(run, payments).await? {
                return Ok(Ended::Broken);
            }
            if self.under_way.is_empty() {
                if self.todo.is_empty() || run.is_stopped() {
                    return Ok(Ended::All);
                }
                tokio::time::sleep_until(self.pause.into()).await;
                continue;
            }
            let message = match tokio::time::timeout(silence_max, results.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Err(status)) => {
                    run.desk.session.broken(&status).await;
                    return Ok(Ended::Broken);
                }
                Ok(Ok(None)) | Err(_) => return Ok(Ended::Broken),
            };
            self.hear(run, message.results).await?;
        }
    }

    /// Sends what there is room for; false when the stream is broken.
    async fn fill<F: FnMut(&Done<'_>)>(
        &mut self,
        run: &Run<'_, F>,
        payments: &Payments,
    ) -> Result<bool, OutboxError> {
        // A sync for every payment that ends would be one for every payment.
        while !run.is_stopped()
            && self.under_way.len() <= self.window / 2
            && Instant::now() >= self.pause
            && !self.todo.is_empty()
        {
            let room = (self.window - self.under_way.len()).min(CHUNK_MAX);
            let chunk: Vec<&Row> = self.todo.drain(..room.min(self.todo.len())).collect();
            let drafts: Vec<_> = chunk.iter().map(|row| row_draft(row)).collect();
            self.under_way.extend(chunk.iter().map(|row| (row.draft.id, *row)));
            run.desk.begin(drafts.clone()).await?;
            self.sent.extend(chunk.iter().map(|row| row.draft.id));
            if !payments.send(&drafts) {
                return Ok(false);
            }
            run.desk.is_sent().await;
        }
        Ok(true)
    }

    async fn hear<F: FnMut(&Done<'_>)>(
        &mut self,
        run: &mut Run<'_, F>,
        results: Vec<PaymentResult>,
    ) -> Result<(), OutboxError> {
        let (mut items, mut heard) = (Vec::new(), Vec::new());
        let (mut unended, mut no_room) = (false, false);
        for result in results {
            let id = result.transaction_id.parse().ok();
            let Some(row) = id.and_then(|id| self.under_way.remove(&id)) else { continue };
            let id = row.draft.id;
            let item = Item::of(id, self.known.contains(&id), result);
            if item.is_momentary() && self.another_moment(id) {
                self.todo.push_front(row);
                (unended, no_room) = (true, true);
                continue;
            }
            let bank_may_come = self.opened.elapsed() < BANK_PATIENCE;
            let later = (item.is_pending() && self.another_moment(id))
                || (item.is_without_its_bank() && bank_may_come);
            if later {
                self.todo.push_back(row);
                unended = true;
                continue;
            }
            self.sent.remove(&id);
            items.push(item);
            heard.push(row);
        }
        if unended {
            self.pause = Instant::now() + PATIENCE_STEP;
        }
        if no_room {
            self.window = (self.window / 2).max(WINDOW_MIN);
        } else {
            self.window = (self.window + heard.len()).min(WINDOW_MAX);
        }
        let verdicts = run.desk.finish(items).await?;
        for (row, verdict) in heard.into_iter().zip(verdicts) {
            run.done(row, verdict);
        }
        Ok(())
    }

    fn another_moment(&mut self, id: TransactionId) -> bool {
        let moments = self.moments.entry(id).or_default();
        *moments += 1;
        *moments <= MOMENTS_MAX
    }

    /// What was on its way is to be sent again, in the order of the file.
    fn take_back(&mut self) {
        let mut lost: Vec<&Row> = std::mem::take(&mut self.under_way).into_values().collect();
        lost.sort_by_key(|row| row.line);
        lost.into_iter().rev().for_each(|row| self.todo.push_front(row));
    }

    /// Tells what is not known of those that were sent, and gives back the others.
    async fn leave<F: FnMut(&Done<'_>)>(
        self,
        run: &mut Run<'_, F>,
        why: Why,
    ) -> Result<Left<'a>, OutboxError> {
        let (sent, rows): (Vec<_>, Vec<_>) =
            self.todo.into_iter().partition(|row| self.sent.contains(&row.draft.id));
        let unheard = |row: &&Row| Item::unheard(row.draft.id);
        let verdicts = run.desk.finish(sent.iter().map(unheard).collect()).await?;
        for (row, verdict) in sent.into_iter().zip(verdicts) {
            run.done(row, verdict);
        }
        Ok(Left { rows, why })
    }
}
