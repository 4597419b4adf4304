//! A batch by a call each, a few at a time: for a gateway that serves no streams.

use super::{Done, Left, Row, Run, Why, row_draft, signed_in};
use crate::client::pay::Verdict;
use crate::client::words;
use crate::errors::Failure;
use futures_util::StreamExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Well below what one client may have in flight.
const CONCURRENCY: usize = 16;

/// Pays every row, and gives back those that were not tried.
pub(super) async fn pay<'a, F: FnMut(&Done<'_>)>(
    run: &mut Run<'_, F>,
    rows: &[&'a Row],
) -> Result<Left<'a>, Failure> {
    if let Some(why) = signed_in(run.desk).await {
        return Ok(Left { rows: rows.to_vec(), why });
    }
    let (away, refused) = (AtomicBool::new(false), AtomicBool::new(false));
    let (desk, stop) = (run.desk, run.stop);
    let pay = |row: &'a Row| {
        let (away, refused) = (&away, &refused);
        async move {
            if [stop, away, refused].iter().any(|flag| flag.load(Ordering::Relaxed)) {
                return Ok((row, None));
            }
            let verdict = desk.pay(row_draft(row)).await?;
            match &verdict {
                Verdict::Queued(_) => away.store(true, Ordering::Relaxed),
                Verdict::NotSignedIn(_) => refused.store(true, Ordering::Relaxed),
                _ => {}
            }
            Ok((row, Some(verdict)))
        }
    };
    let payments = rows.iter().map(|row| pay(row));
    let mut payments = futures_util::stream::iter(payments).buffer_unordered(CONCURRENCY);
    let mut left = Vec::new();
    while let Some(ended) = payments.next().await {
        match ended.map_err(|error| words::of_outbox(&error))? {
            (row, Some(verdict)) => {
                if matches!(verdict, Verdict::Final(_)) {
                    let told = desk.told(vec![row.draft.id]).await;
                    told.map_err(|error| words::of_outbox(&error))?;
                }
                run.done(row, verdict);
            }
            (row, None) => left.push(row),
        }
    }
    drop(payments);
    let why = if away.load(Ordering::Relaxed) { Why::Away } else { Why::Ended };
    Ok(Left { rows: left, why })
}
