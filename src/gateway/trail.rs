//! The audit trail: what was refused at the edge and what operators did, as facts in the log.
//!
//! Nobody waits for it: a fact goes with the next batch that is synced anyway. Refusals cost
//! whoever is refused nothing, so they have a rate; what goes beyond it is counted, and the next
//! fact tells how many were left out.

use super::coordinator::{CoordinatorBox, Request};
use crate::identity::{Noted, Trail};
use recovery::fact::Audited;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Facts at once, and then a second.
const BURST: f64 = 200.0;
const PER_SECOND: f64 = 5.0;

#[derive(Debug)]
struct Budget {
    left: f64,
    since: Instant,
    left_out: u64,
}

impl Budget {
    fn full(now: Instant) -> Self {
        Self { left: BURST, since: now, left_out: 0 }
    }

    /// How many were left out before this one, if this one may be written.
    fn spend(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * PER_SECOND).min(BURST);
        self.since = now;
        if self.left < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

pub(super) struct LogTrail {
    coordinator: CoordinatorBox,
    budget: Mutex<Budget>,
}

impl LogTrail {
    pub(super) fn new(coordinator: CoordinatorBox) -> Self {
        Self { coordinator, budget: Mutex::new(Budget::full(Instant::now())) }
    }
}

impl Trail for LogTrail {
    fn note(&self, noted: Noted) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = budget.spend(Instant::now()) else { return };
        drop(budget);
        self.coordinator.send(Request::Note(Audited {
            what: noted.what,
            client: noted.client,
            certificate_sha256: noted.certificate.0,
            method: noted.method.to_owned(),
            reason: noted.reason.to_owned(),
            left_out,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let mut now = Instant::now();
        let mut budget = Budget::full(now);
        let written = (0..10_000).filter(|_| budget.spend(now).is_some()).count();
        assert_eq!(written, BURST as usize);
        now += Duration::from_secs(1);
        assert_eq!(budget.spend(now), Some(10_000 - BURST as u64), "the next one tells of them");
        assert_eq!(budget.spend(now), Some(0));
    }
}
