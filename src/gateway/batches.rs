//! Payments by the batch: one stream, a result an item, by the rules of a single payment.
//!
//! At most [`IN_FLIGHT_MAX`] payments of a stream are under way, and a client has
//! [`STREAMS_PER_CLIENT_MAX`] streams; while a stream is full, nothing more is read from it, and
//! the sender's window fills. A stream that breaks leaves its payments to the coordinator: sent
//! again under their ids, they answer as they did. A gateway that stops reads no more, answers what
//! it has begun, and says that it stops.

use super::coordinator::{CoordinatorBox, Replies, Request, gone, rejected};
use super::service::{lost, told};
use crate::errors::{Reason, reason_of, status_retry};
use crate::wire::v1::{
    PaymentRequest, PaymentResult, ProcessPaymentsRequest, ProcessPaymentsResponse,
};
use crate::wire::{terms_from, transaction_from};
use recovery::gateway::Reply;
use recovery::model::{AccountNumber, ClientId, Reference};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

pub(super) type Results =
    Pin<Box<dyn Stream<Item = Result<ProcessPaymentsResponse, Status>> + Send + 'static>>;

/// Payments of one stream under way at once.
const IN_FLIGHT_MAX: usize = 256;

/// Streams of one client at once: with what each may have under way, a client never takes more than
/// half of what a gateway has room for.
const STREAMS_PER_CLIENT_MAX: usize = 4;

/// A client with too many streams is asked to wait this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Results in one message.
const RESULTS_MAX: usize = 256;

/// Messages that wait for a receiver that is slow.
const MESSAGES_MAX: usize = 16;

/// How many streams each client has open.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<BTreeMap<ClientId, usize>>>);

/// A place among a client's streams, until it is dropped.
struct Place {
    streams: Streams,
    client: ClientId,
}

impl Streams {
    fn enter(&self, client: ClientId) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_insert(0);
        if *count >= STREAMS_PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        Some(Place { streams: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

struct Batches {
    client: ClientId,
    payer: AccountNumber,
    coordinator: CoordinatorBox,
    /// Read, and not begun for want of room.
    read: VecDeque<PaymentRequest>,
    /// The ids of what is under way, by tag.
    under_way: HashMap<u64, String>,
    next_tag: u64,
    replies: mpsc::UnboundedSender<(u64, Reply)>,
}

/// Takes payments from `inbound` until it ends and all have their results.
pub(super) fn run(
    client: ClientId,
    payer: AccountNumber,
    mut inbound: Streaming<ProcessPaymentsRequest>,
    coordinator: CoordinatorBox,
    streams: &Streams,
    stop: CancellationToken,
) -> Result<Results, Status> {
    let place = streams.enter(client).ok_or_else(|| {
        let what = format!("{client} has {STREAMS_PER_CLIENT_MAX} streams of payments already");
        status_retry(Reason::TooManyRequests, what, RETRY_AFTER)
    })?;
    let (out, results) = mpsc::channel(MESSAGES_MAX);
    tokio::spawn(async move {
        let _place = place;
        let (replies, mut answers) = mpsc::unbounded_channel();
        let (read, under_way) = (VecDeque::new(), HashMap::new());
        let mut batches =
            Batches { client, payer, coordinator, read, under_way, next_tag: 0, replies };
        let mut open = true;
        while open || !batches.is_done() {
            let mut results = tokio::select! {
                answer = answers.recv() => batches.gather(answer, &mut answers),
                () = stop.cancelled(), if open => {
                    open = false;
                    batches.read.clear();
                    Vec::new()
                }
                () = out.closed() => return,
                message = inbound.message(), if open && batches.has_room() => match message {
                    Ok(Some(message)) => { batches.read.extend(message.payments); Vec::new() }
                    Ok(None) => { open = false; Vec::new() }
                    Err(_) => return,
                },
            };
            batches.begin(&mut results);
            while !results.is_empty() {
                let rest = results.split_off(results.len().min(RESULTS_MAX));
                if out.send(Ok(ProcessPaymentsResponse { results })).await.is_err() {
                    return;
                }
                results = rest;
            }
        }
        if stop.is_cancelled() {
            let _ = out.send(Err(gone())).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(results)))
}

impl Batches {
    fn has_room(&self) -> bool {
        self.read.is_empty() && self.under_way.len() < IN_FLIGHT_MAX
    }

    fn is_done(&self) -> bool {
        self.read.is_empty() && self.under_way.is_empty()
    }

    /// Hands payments to the coordinator while there is room; what is malformed has its result at
    /// once.
    fn begin(&mut self, refused: &mut Vec<PaymentResult>) {
        while self.under_way.len() < IN_FLIGHT_MAX {
            let Some(payment) = self.read.pop_front() else { return };
            if let Err(status) = self.begin_one(&payment) {
                refused.push(failed(payment.transaction_id, &status));
            }
        }
    }

    fn begin_one(&mut self, payment: &PaymentRequest) -> Result<(), Status> {
        let transaction = transaction_from(&payment.transaction_id)?;
        let terms = terms_from(self.payer, payment)?;
        let reference = Reference { client: self.client, transaction };
        self.next_tag += 1;
        let reply = Replies::Stream { tag: self.next_tag, out: self.replies.clone() };
        let since = Instant::now();
        let pay = Request::Pay { reference, terms, deadline_ms: None, since, reply };
        if !self.coordinator.send(pay) {
            return Err(lost());
        }
        self.under_way.insert(self.next_tag, payment.transaction_id.clone());
        Ok(())
    }

    /// Everything that is known by now, in one message.
    fn gather(
        &mut self,
        first: Option<(u64, Reply)>,
        answers: &mut mpsc::UnboundedReceiver<(u64, Reply)>,
    ) -> Vec<PaymentResult> {
        let more = std::iter::from_fn(|| answers.try_recv().ok());
        let answers = first.into_iter().chain(more).take(RESULTS_MAX);
        answers.map(|(tag, reply)| self.result(tag, &reply)).collect()
    }

    fn result(&mut self, tag: u64, reply: &Reply) -> PaymentResult {
        let transaction_id = self.under_way.remove(&tag).unwrap_or_default();
        match reply {
            Reply::Payment(answer) => PaymentResult {
                transaction_id,
                payment: Some(told(answer)),
                ..PaymentResult::default()
            },
            Reply::Rejected(rejection) => failed(transaction_id, &rejected(rejection)),
            Reply::Page(_) | Reply::Finals(_) | Reply::LetGo(_) | Reply::Done => {
                failed(transaction_id, &lost())
            }
        }
    }
}

fn failed(transaction_id: String, status: &Status) -> PaymentResult {
    PaymentResult {
        transaction_id,
        payment: None,
        code: status.code().into(),
        reason: reason_of(status).map(|reason| reason.name().to_owned()).unwrap_or_default(),
        message: status.message().to_owned(),
    }
}
