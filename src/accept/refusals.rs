//! Handshakes that came to nothing: all are counted, and one a second is told. Whoever is refused
//! pays nothing for it, and must not be able to fill the disk with the news.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Told>);

impl Refusals {
    pub(super) fn tell(&self, peer: SocketAddr, why: &dyn Display) {
        metrics::counter!("strife_auth_failures_total", "reason" => "HANDSHAKE").increment(1);
        if let Some(untold) = self.due(Instant::now()) {
            tracing::info!(%peer, error = %why, untold, "handshake refused");
        }
    }

    /// How many were not told since the one before, if this one is to be.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < TELL_EVERY) {
            told.untold += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_handshakes_is_one_line_a_second() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.due(now), Some(0));
        assert!((0..500).all(|_| refusals.due(now).is_none()));
        assert_eq!(refusals.due(now + TELL_EVERY), Some(500), "and says how many there were");
    }
}
