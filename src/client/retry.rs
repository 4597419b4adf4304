//! Sending again what waits: once on request, and for ever in the background of a client.
//!
//! Promises that one entry that cannot go does not hold up another, that a gateway that is away is
//! not hammered, and that a person hears of each entry when something about it changed, not on
//! every attempt. Refuses to know how it is shown.

use super::outbox::{OutboxError, Stage};
use super::pay::{Desk, Verdict};
use super::words::{self, Words};
use futures_util::StreamExt;
use recovery::model::TransactionId;
use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// So many entries are on their way at a time, lest one that times out delays the next.
const CONCURRENCY: usize = 8;

/// How long to wait between rounds.
#[derive(Debug, Copy, Clone)]
pub struct Pace {
    pub first: Duration,
    pub max: Duration,
}

impl Pace {
    /// After so many rounds in vain: doubling from `first` up to `max`, give or take a fifth, so
    /// that clients that lost one gateway do not come back to it in step.
    pub fn wait(&self, rounds_in_vain: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(rounds_in_vain.min(16)));
        let percent = 80 + u32::try_from(random % 41).unwrap_or(20);
        doubled.min(self.max) * percent / 100
    }
}

/// One entry that was sent again.
#[derive(Debug)]
pub struct Sent {
    pub id: TransactionId,
    pub verdict: Verdict,
    pub words: Words,
}

/// Sends everything that waits, once. Stops early only when the gateway is away, which holds for
/// all.
pub async fn flush(
    desk: &Desk,
    mut tell: impl FnMut(&Sent),
) -> Result<Vec<TransactionId>, OutboxError> {
    let entries = desk.entries().await?;
    let waiting = entries.into_iter().filter(|entry| entry.stage() != Stage::Final);
    let away = AtomicBool::new(false);
    let attempt = |draft: super::outbox::Draft| {
        let away = &away;
        async move {
            if away.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let Some(verdict) = desk.send_again(draft.id).await? else { return Ok(None) };
            if matches!(verdict, Verdict::Queued(_)) {
                away.store(true, Ordering::Relaxed);
            }
            let words = words::of_waiting_verdict(&draft, &verdict);
            Ok(Some(Sent { id: draft.id, verdict, words }))
        }
    };
    let drafts = waiting.map(|entry| entry.draft);
    let mut attempts =
        futures_util::stream::iter(drafts.map(attempt)).buffer_unordered(CONCURRENCY);
    let mut ended = Vec::new();
    while let Some(sent) = attempts.next().await {
        let Some(sent) = sent? else { continue };
        if matches!(sent.verdict, Verdict::Final(_)) {
            ended.push(sent.id);
        }
        tell(&sent);
    }
    Ok(ended)
}

/// Flushes until dropped. A notification means that something new waits, or that waiting is over.
pub async fn forever(desk: Desk, pace: Pace, wake: &Notify, tell: impl Fn(String)) {
    let mut rounds_in_vain = 0;
    let mut told: BTreeMap<TransactionId, Discriminant<Verdict>> = BTreeMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pace.wait(rounds_in_vain, rand::random())) => {}
            () = wake.notified() => rounds_in_vain = 0,
        }
        let mut away = false;
        let round = flush(&desk, |sent| {
            away |= matches!(sent.verdict, Verdict::Queued(_) | Verdict::Unknown(_));
            let kind = discriminant(&sent.verdict);
            let news = told.insert(sent.id, kind) != Some(kind);
            // That it still waits was said when it was queued.
            let waits = matches!(sent.verdict, Verdict::Queued(_) | Verdict::Unknown(_));
            if news && !waits {
                tell(match &sent.words.told {
                    Ok(line) => line.clone(),
                    Err(failure) => failure.to_string(),
                });
            }
        });
        rounds_in_vain = match round.await {
            Ok(ended) => {
                told.retain(|id, _| !ended.contains(id));
                if let Err(error) = desk.told(ended).await {
                    tracing::warn!(reason = %error, "cannot forget what was told");
                }
                if away { rounds_in_vain.saturating_add(1) } else { 0 }
            }
            Err(error) => {
                tracing::warn!(reason = %error, "cannot read the outbox");
                rounds_in_vain.saturating_add(1)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_up_to_its_cap_give_or_take_a_fifth() {
        let pace = Pace { first: Duration::from_secs(5), max: Duration::from_secs(30) };
        let middle = |rounds| pace.wait(rounds, 20).as_secs();
        assert_eq!([0, 1, 2, 3, 50].map(middle), [5, 10, 20, 30, 30]);
        for random in 0..1_000 {
            let wait = pace.wait(0, random);
            assert!((Duration::from_secs(4)..=Duration::from_secs(6)).contains(&wait));
        }
    }
}
