//! Payments by the batch: one stream, a result an item, by the rules of a single payment.
//!
//! At most [`IN_FLIGHT_MAX`] payments of a stream are under way; while they are, nothing more is
//! read from it, and the sender's window fills. A stream that breaks leaves its payments to the
//! coordinator: sent again under their ids, they answer as they did.

use super::coordinator::{CoordinatorBox, Replies, Request, rejected};
use super::service::{lost, terms, told, transaction};
use crate::errors::reason_of;
use crate::wire::v1::{
    PaymentRequest, PaymentResult, ProcessPaymentsRequest, ProcessPaymentsResponse,
};
use recovery::gateway::Reply;
use recovery::model::{AccountNumber, ClientId, Reference};
use std::collections::HashMap;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub(super) type Results =
    Pin<Box<dyn Stream<Item = Result<ProcessPaymentsResponse, Status>> + Send + 'static>>;

/// Payments of one stream under way at once.
const IN_FLIGHT_MAX: usize = 1_024;

/// Results in one message.
const RESULTS_MAX: usize = 256;

/// Messages that wait for a receiver that is slow.
const MESSAGES_MAX: usize = 16;

struct Batches {
    client: ClientId,
    payer: AccountNumber,
    coordinator: CoordinatorBox,
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
) -> Results {
    let (out, results) = mpsc::channel(MESSAGES_MAX);
    tokio::spawn(async move {
        let (replies, mut answers) = mpsc::unbounded_channel();
        let under_way = HashMap::new();
        let mut batches = Batches { client, payer, coordinator, under_way, next_tag: 0, replies };
        let mut open = true;
        while open || !batches.under_way.is_empty() {
            let room = open && batches.under_way.len() < IN_FLIGHT_MAX;
            let results = tokio::select! {
                answer = answers.recv() => batches.gather(answer, &mut answers),
                message = inbound.message(), if room => match message {
                    Ok(Some(message)) => batches.begin(message.payments),
                    Ok(None) => { open = false; Vec::new() }
                    Err(_) => return,
                },
            };
            let sent = results.is_empty()
                || out.send(Ok(ProcessPaymentsResponse { results })).await.is_ok();
            if !sent {
                return;
            }
        }
    });
    Box::pin(ReceiverStream::new(results))
}

impl Batches {
    /// Hands payments to the coordinator; what is malformed has its result at once.
    fn begin(&mut self, payments: Vec<PaymentRequest>) -> Vec<PaymentResult> {
        let refused = payments.into_iter().filter_map(|payment| {
            let begun = self.begin_one(&payment);
            begun.err().map(|status| failed(payment.transaction_id, &status))
        });
        refused.collect()
    }

    fn begin_one(&mut self, payment: &PaymentRequest) -> Result<(), Status> {
        let transaction = transaction(&payment.transaction_id)?;
        let terms = terms(self.payer, payment)?;
        let reference = Reference { client: self.client, transaction };
        self.next_tag += 1;
        let reply = Replies::Stream { tag: self.next_tag, out: self.replies.clone() };
        if !self.coordinator.send(Request::Pay { reference, terms, deadline_ms: None, reply }) {
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
            Reply::Page(_) | Reply::Finals(_) | Reply::Done => failed(transaction_id, &lost()),
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
