//! How often one may guess a password.
//!
//! ```text
//! attempt --> its turn (one by one for account and certificate) --> too many wrong? --> hash
//! ```
//!
//! Wrong guesses are counted per account *and* certificate. Who guesses shuts out nobody but
//! holders of that certificate, so whoever has one of their own cannot be locked out by others. An
//! account that does not exist is counted like one that does. Everything has a bound: attempts that
//! wait, in all and for one certificate, and what is remembered.

use recovery::model::ClientId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// Wrong guesses in a row before one has to wait.
const GUESSES_AT_ONCE: u32 = 10;
/// After those, one guess in this time: less than fifteen thousand a day.
const GUESS_EVERY: Duration = Duration::from_secs(6);
/// Attempts that wait for their turn.
const WAITING_MAX: usize = 512;
const WAITING_PER_CERTIFICATE_MAX: usize = 256;
/// Accounts and certificates that are remembered. Beyond that, whoever has to wait least is
/// forgotten: a table that is full must not lock anybody out.
const REMEMBERED_MAX: usize = 16_384;

type Key = (ClientId, [u8; 32]);

/// An attempt that may not be made now.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TooMany {
    /// By then it may.
    pub wait: Duration,
}

#[derive(Debug, Default)]
struct Guesses {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
    /// The instant at which every wrong guess so far is paid for.
    paid_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Table {
    by_key: HashMap<Key, Guesses>,
    waiting: HashMap<[u8; 32], usize>,
    waiting_all: usize,
}

/// Counts wrong guesses. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<Mutex<Table>>);

/// One guess that may be made. Dropped without a word, it was a wrong one.
#[derive(Debug)]
pub struct Attempt {
    waiter: Waiter,
    _turn: OwnedMutexGuard<()>,
    right: bool,
}

/// A place among those that wait.
#[derive(Debug)]
struct Waiter {
    throttle: Throttle,
    key: Key,
}

impl Throttle {
    /// Waits for the turn of this account and certificate.
    pub async fn admit(
        &self,
        account: ClientId,
        certificate: [u8; 32],
    ) -> Result<Attempt, TooMany> {
        let key = (account, certificate);
        let (waiter, turn) = self.queue(key)?;
        let turn = turn.lock_owned().await;
        match self.wait(key, Instant::now()) {
            Some(wait) => Err(TooMany { wait }),
            None => Ok(Attempt { waiter, _turn: turn, right: false }),
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, key: Key) -> Result<(Waiter, Arc<tokio::sync::Mutex<()>>), TooMany> {
        let mut table = self.table();
        let here = table.waiting.get(&key.1).copied().unwrap_or(0);
        if table.waiting_all >= WAITING_MAX || here >= WAITING_PER_CERTIFICATE_MAX {
            return Err(TooMany { wait: Duration::from_secs(1) });
        }
        if table.by_key.len() >= REMEMBERED_MAX && !table.by_key.contains_key(&key) {
            table.make_room(Instant::now());
        }
        table.waiting.insert(key.1, here + 1);
        table.waiting_all += 1;
        let guesses = table.by_key.entry(key).or_default();
        guesses.waiting += 1;
        let turn = Arc::clone(&guesses.turn);
        drop(table);
        Ok((Waiter { throttle: self.clone(), key }, turn))
    }

    /// How long until one more guess may be made.
    fn wait(&self, key: Key, now: Instant) -> Option<Duration> {
        let paid_at = self.table().by_key.get(&key)?.paid_at?;
        let owed = paid_at.saturating_duration_since(now);
        let allowed = GUESS_EVERY * (GUESSES_AT_ONCE - 1);
        owed.checked_sub(allowed).filter(|wait| !wait.is_zero())
    }

    fn guessed(&self, key: Key, right: bool, now: Instant) {
        let mut table = self.table();
        let Some(guesses) = table.by_key.get_mut(&key) else { return };
        guesses.paid_at = match (right, guesses.paid_at) {
            (true, _) => None,
            (false, paid_at) => Some(paid_at.map_or(now, |at| at.max(now)) + GUESS_EVERY),
        };
    }
}

impl Table {
    /// Forgets what is paid for, and failing that, whoever has to wait least.
    fn make_room(&mut self, now: Instant) {
        let idle = |guesses: &Guesses| guesses.waiting == 0;
        self.by_key.retain(|_, guesses| {
            !idle(guesses) || guesses.paid_at.is_some_and(|paid_at| paid_at > now)
        });
        if self.by_key.len() >= REMEMBERED_MAX {
            let least = self.by_key.iter().filter(|(_, guesses)| idle(guesses));
            let least = least.min_by_key(|(_, guesses)| guesses.paid_at).map(|(key, _)| *key);
            if let Some(key) = least {
                self.by_key.remove(&key);
            }
        }
    }
}

impl Attempt {
    /// The password was right: what was guessed before is forgotten.
    pub fn succeeded(mut self) {
        self.right = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.waiter.throttle.guessed(self.waiter.key, self.right, Instant::now());
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let (key, mut table) = (self.key, self.throttle.table());
        table.waiting_all -= 1;
        match table.waiting.get_mut(&key.1) {
            Some(here) if *here > 1 => *here -= 1,
            Some(_) | None => drop(table.waiting.remove(&key.1)),
        }
        let over = table.by_key.get_mut(&key).is_some_and(|guesses| {
            guesses.waiting -= 1;
            guesses.waiting == 0 && guesses.paid_at.is_none()
        });
        if over {
            table.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: [u8; 32] = [1; 32];
    const THEIRS: [u8; 32] = [2; 32];

    fn client(name: &str) -> ClientId {
        name.parse().expect("a client id")
    }

    #[tokio::test]
    async fn guessing_shuts_out_the_certificate_that_guesses_and_no_other() {
        let throttle = Throttle::default();
        for guess in 0..GUESSES_AT_ONCE {
            let attempt = throttle.admit(client("victim"), MINE).await;
            assert!(attempt.is_ok(), "guess {guess}");
        }
        let told = throttle.admit(client("victim"), MINE).await.expect_err("enough");
        assert!(told.wait <= GUESS_EVERY, "{told:?}");
        throttle.admit(client("victim"), THEIRS).await.expect("the owner's own").succeeded();
        throttle.admit(client("other"), MINE).await.expect("another account").succeeded();
        assert!(throttle.admit(client("victim"), MINE).await.is_err(), "still");
    }

    #[tokio::test]
    async fn a_right_password_wipes_the_slate() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            for _ in 1..GUESSES_AT_ONCE {
                drop(throttle.admit(client("a"), MINE).await.expect("allowed"));
            }
            throttle.admit(client("a"), MINE).await.expect("the last one").succeeded();
        }
        assert!(throttle.table().by_key.is_empty(), "nothing is remembered of who got it right");
    }

    #[tokio::test]
    async fn parallel_guesses_are_counted_one_by_one() {
        let throttle = Throttle::default();
        let guess = || async { throttle.admit(client("a"), MINE).await.is_ok() };
        let made = futures_util::future::join_all((0..200).map(|_| guess())).await;
        let made = made.into_iter().filter(|made| *made).count();
        assert_eq!(made, GUESSES_AT_ONCE as usize);
    }

    #[tokio::test]
    async fn what_waits_and_what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let first = throttle.admit(client("a"), MINE).await.expect("allowed");
        let mut queued = Vec::new();
        while let Ok(place) = throttle.queue((client("a"), MINE)) {
            queued.push(place);
        }
        assert_eq!(queued.len(), WAITING_PER_CERTIFICATE_MAX - 1);
        throttle.admit(client("a"), THEIRS).await.expect("others have room").succeeded();
        drop((first, queued));
        for number in 0..REMEMBERED_MAX + 10 {
            drop(throttle.admit(client(&format!("c{number}")), MINE).await.expect("allowed"));
        }
        assert!(throttle.table().by_key.len() <= REMEMBERED_MAX);
        assert!(throttle.table().waiting.is_empty());
    }
}
