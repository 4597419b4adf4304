//! The load: callers that wait for their answers, or payments that fall due whether or not.
//!
//! A closed loop finds the capacity. An open loop finds the latency: it is counted from the instant
//! at which a payment fell due, so that a service which stalls cannot hide how many would have been
//! sent meanwhile (coordinated omission). How late the generator itself was is counted beside it.
//! One thread does all of it, and so needs no lock that anybody waits for.

use super::tally::{Tally, Window};
use super::town::{Payments, Workload, is_apart};
use crate::client::classify::CallError;
use crate::client::flow::Flow;
use crate::client::link::Stub;
use crate::wire::v1::{PaymentRequest, PaymentResponse};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use wal::splitmix::SplitMix64;

/// Calls of an open loop without an answer; more are not sent, and the run is void.
const OUTSTANDING_MAX: usize = 32_768;

/// The timer's grain: what falls due within it leaves together.
const GRAIN: Duration = Duration::from_millis(1);

/// When payments are sent.
#[derive(Copy, Clone, Debug)]
pub(super) enum Pace {
    /// Each caller when it has its answer.
    Closed,
    /// So many a second, at random instants (Poisson).
    Open(f64),
}

/// One piece of load.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) clients: usize,
    pub(super) pace: Pace,
    pub(super) workload: Workload,
    pub(super) seed: u64,
    pub(super) warm_up: Duration,
    pub(super) duration: Duration,
}

/// How a caller pays.
#[derive(Clone, Debug)]
pub(super) enum Line {
    Calls(Box<Calls>),
    Flow(Flow),
}

/// A stub, and who calls.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    pub(super) stub: Stub,
    pub(super) client: AsciiMetadataValue,
    pub(super) token: AsciiMetadataValue,
}

impl Line {
    pub(super) async fn pay(&self, payment: PaymentRequest) -> Result<PaymentResponse, CallError> {
        match self {
            Self::Flow(flow) => flow.pay(payment).await,
            Self::Calls(calls) => {
                let Calls { stub, client, token } = &**calls;
                let mut request = Request::new(payment);
                request.metadata_mut().insert("client-id", client.clone());
                request.metadata_mut().insert("auth-token", token.clone());
                let answer = stub.clone().process_payment(request).await;
                answer.map(tonic::Response::into_inner).map_err(|status| CallError::of(&status))
            }
        }
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) payer: usize,
    pub(super) line: Line,
}

type Shared = Arc<Mutex<Tally>>;

fn record(tally: &Shared, since: Instant, apart: bool, answer: Result<PaymentResponse, CallError>) {
    tally.lock().unwrap_or_else(PoisonError::into_inner).record(since, apart, answer);
}

impl Load {
    pub(super) fn window(&self) -> Window {
        let from = Instant::now() + self.warm_up;
        Window { from, to: from + self.duration }
    }

    /// Runs it; `accounts` may be paid. Ends when every call has its answer.
    pub(super) async fn run(&self, callers: &[Caller], accounts: usize, window: Window) -> Tally {
        let tally = Arc::new(Mutex::new(Tally::new(window)));
        match self.pace {
            Pace::Closed => self.closed(callers, accounts, window, &tally).await,
            Pace::Open(rate) => self.open(rate, callers, accounts, window, &tally).await,
        }
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.clone()
    }

    fn payments(&self, index: usize, caller: &Caller, accounts: usize) -> Payments {
        let seed = self.seed ^ rand::random::<u64>() ^ index as u64;
        Payments::new(self.workload, caller.payer, accounts, seed)
    }

    async fn closed(&self, callers: &[Caller], accounts: usize, window: Window, tally: &Shared) {
        let clients = (0..self.clients).map(|index| {
            let caller = callers[index % callers.len()].clone();
            let mut payments = self.payments(index, &caller, accounts);
            let tally = Arc::clone(tally);
            tokio::spawn(async move {
                while Instant::now() < window.to {
                    let payment = payments.next();
                    let apart = is_apart(caller.payer, &payment);
                    let sent = Instant::now();
                    let answer = caller.line.pay(payment).await;
                    let failed = answer.is_err();
                    record(&tally, sent, apart, answer);
                    if failed {
                        // Who is refused comes again in a moment, not at once.
                        tokio::time::sleep(GRAIN * 10).await;
                    }
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        for client in clients {
            let _ = client.await;
        }
    }

    async fn open(
        &self,
        rate: f64,
        callers: &[Caller],
        accounts: usize,
        window: Window,
        tally: &Shared,
    ) {
        let callers = &callers[..self.clients.clamp(1, callers.len())];
        let mut payments: Vec<_> =
            callers.iter().enumerate().map(|(i, c)| self.payments(i, c, accounts)).collect();
        let mut random = SplitMix64::new(self.seed ^ rand::random::<u64>());
        let mut due = Instant::now();
        let mut next = 0;
        let outstanding = Arc::new(tokio::sync::Semaphore::new(OUTSTANDING_MAX));
        while due < window.to {
            let now = Instant::now();
            if due > now {
                tokio::time::sleep(due.duration_since(now).max(GRAIN)).await;
                continue;
            }
            let sent = now.duration_since(due);
            if due >= window.from {
                tally.lock().unwrap_or_else(PoisonError::into_inner).lagged(sent);
            }
            next = (next + 1) % callers.len();
            if let Ok(place) = Arc::clone(&outstanding).try_acquire_owned() {
                let (line, tally) = (callers[next].line.clone(), Arc::clone(tally));
                let (payment, since) = (payments[next].next(), due);
                let apart = is_apart(callers[next].payer, &payment);
                tokio::spawn(async move {
                    record(&tally, since, apart, line.pay(payment).await);
                    drop(place);
                });
            } else {
                tally.lock().unwrap_or_else(PoisonError::into_inner).unsent += 1;
            }
            // Exponential gaps: arrivals that know nothing of each other.
            let uniform = (random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
            due += Duration::from_secs_f64(-(1.0 - uniform).ln() / rate);
        }
        let _ = outstanding.acquire_many(OUTSTANDING_MAX as u32).await;
    }
}
