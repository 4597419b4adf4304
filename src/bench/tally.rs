//! What came of the calls: counts, and histograms in microseconds.

use crate::client::classify::CallError;
use crate::errors::Reason;
use crate::wire::v1::{PaymentResponse, PaymentState};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Microseconds; above the last, all are alike.
const LATENCY_US_MAX: u64 = 120_000_000;

/// When calls count: those that end in it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    window: Window,
    /// Of final answers.
    pub(super) latency_us: Histogram<u64>,
    /// Of final answers to payments that have nothing to do with the bank that is troubled, where
    /// one is.
    pub(super) others_us: Histogram<u64>,
    /// Of refusals for want of room.
    pub(super) refused_us: Histogram<u64>,
    /// From the intended instant to the sending.
    pub(super) lag_us: Histogram<u64>,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) pending: u64,
    /// Too many in flight, or a bank that is away: nothing was begun.
    pub(super) refused: u64,
    pub(super) unknown: u64,
    /// In an open loop, payments that were due and not sent.
    pub(super) unsent: u64,
    /// What else was answered, once: a run with such answers measures something else.
    pub(super) problem: Option<String>,
}

fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("sound bounds");
    histogram.auto(true);
    histogram
}

pub(super) fn us(duration: Duration) -> u64 {
    (duration.as_micros() as u64).clamp(1, LATENCY_US_MAX)
}

impl Tally {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            latency_us: histogram(),
            others_us: histogram(),
            refused_us: histogram(),
            lag_us: histogram(),
            committed: 0,
            aborted: 0,
            pending: 0,
            refused: 0,
            unknown: 0,
            unsent: 0,
            problem: None,
        }
    }

    pub(super) fn lagged(&mut self, lag: Duration) {
        self.lag_us.saturating_record(us(lag));
    }

    /// A call that was, or should have been, sent at `since`, and has its answer now.
    pub(super) fn record(
        &mut self,
        since: Instant,
        apart: bool,
        answer: Result<PaymentResponse, CallError>,
    ) {
        let now = Instant::now();
        if now < self.window.from || now >= self.window.to {
            return;
        }
        let took = us(now.duration_since(since));
        if let Ok(response) = &answer
            && apart
            && matches!(response.state(), PaymentState::Committed | PaymentState::Aborted)
        {
            self.others_us.saturating_record(took);
        }
        match answer {
            Ok(response) => match response.state() {
                PaymentState::Committed => {
                    self.committed += 1;
                    self.latency_us.saturating_record(took);
                }
                PaymentState::Aborted => {
                    self.aborted += 1;
                    self.latency_us.saturating_record(took);
                }
                PaymentState::Pending | PaymentState::Unspecified => self.pending += 1,
            },
            Err(error) if is_refusal(&error) => {
                self.refused += 1;
                self.refused_us.saturating_record(took);
            }
            Err(CallError::OutcomeUnknown { .. }) => self.unknown += 1,
            Err(error) => self.problem = Some(error.to_string()),
        }
    }
}

fn is_refusal(error: &CallError) -> bool {
    let refusals = [Reason::TooManyRequests, Reason::BankUnavailable];
    refusals.iter().any(|reason| error.reason() == Some(reason.name()))
}
