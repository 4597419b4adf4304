//! Many payments at once over one stream: whoever pays at the same time shares a message.
//!
//! ```text
//!   pay() --.                                                      .--> answer
//!   pay() --+--> whatever waits, as one message --> gateway --> results, by id
//!   pay() --'                                                      '--> answer
//! ```
//!
//! There is no timer: a batch is what was asked for while the last one was being handed over, so a
//! payment alone travels alone and at once. Promises that every call ends with the gateway's own
//! word for that payment, or, when the stream breaks, with what the breaking means for it: not
//! sent, or outcome unknown. Nothing is sent again here. Refuses to know the outbox and sessions.

use super::classify::{CallError, Refusal};
use super::link::Stub;
use crate::wire::v1::{
    PaymentRequest, PaymentResponse, PaymentResult, ProcessPaymentsRequest, ProcessPaymentsResponse,
};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

/// Payments of one flow under way at once; further calls wait. The gateway takes as many.
pub const IN_FLIGHT_MAX: usize = 1_024;

/// Payments in one message: below the gateway's limit of bytes with the longest memos.
const MESSAGE_PAYMENTS_MAX: usize = 128;

/// Messages on their way to the connection.
const MESSAGES_MAX: usize = 4;

type Answer = Result<PaymentResponse, CallError>;

struct Asked {
    payment: PaymentRequest,
    answer: oneshot::Sender<Answer>,
}

/// A stream of payments to the gateway. Clones share it; dropping the last one ends it once all
/// that is under way has its answer.
#[derive(Clone, Debug)]
pub struct Flow(mpsc::Sender<Asked>);

impl Flow {
    /// Begins a stream over `stub`. `stamp` puts the caller's session on the call.
    pub async fn open(
        mut stub: Stub,
        stamp: impl FnOnce(&mut Request<ReceiverStream<ProcessPaymentsRequest>>),
    ) -> Result<Self, CallError> {
        let (outbound, messages) = mpsc::channel(MESSAGES_MAX);
        let mut request = Request::new(ReceiverStream::new(messages));
        stamp(&mut request);
        let response = stub.process_payments(request).await;
        let inbound = response.map_err(|status| CallError::of(&status))?.into_inner();
        let (asks, asked) = mpsc::channel(IN_FLIGHT_MAX);
        let waiting = Waiting { by_id: HashMap::with_capacity(IN_FLIGHT_MAX), count: 0 };
        tokio::spawn(run(asked, outbound, inbound, waiting));
        Ok(Self(asks))
    }

    /// One payment; shares its message with those that are asked for at the same time.
    pub async fn pay(&self, payment: PaymentRequest) -> Answer {
        let (answer, told) = oneshot::channel();
        let broken = || "the stream of payments has ended".to_owned();
        let asked = Asked { payment, answer };
        if self.0.send(asked).await.is_err() {
            return Err(CallError::NotSent { detail: broken() });
        }
        // Whoever drops a question that was taken in does not know whether it was sent.
        told.await.unwrap_or_else(|_| Err(CallError::OutcomeUnknown { detail: broken() }))
    }
}

/// Calls without an answer, by id. Two calls under one id are answered in their order.
struct Waiting {
    by_id: HashMap<String, Vec<oneshot::Sender<Answer>>>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, id: String, answer: oneshot::Sender<Answer>) {
        self.by_id.entry(id).or_default().push(answer);
        self.count += 1;
    }

    fn tell(&mut self, result: PaymentResult) {
        let Some(calls) = self.by_id.get_mut(&result.transaction_id) else { return };
        let call = calls.remove(0);
        if calls.is_empty() {
            self.by_id.remove(&result.transaction_id);
        }
        self.count -= 1;
        // A caller that went away misses its answer and nothing else.
        let _ = call.send(told(result));
    }

    fn break_off(self, error: &CallError) {
        for call in self.by_id.into_values().flatten() {
            let _ = call.send(Err(error.clone()));
        }
    }
}

fn told(result: PaymentResult) -> Answer {
    result.payment.ok_or_else(|| {
        CallError::Answered(Refusal {
            code: Code::from_i32(result.code),
            reason: result.reason,
            message: result.message,
            field: None,
            retry_after: None,
        })
    })
}

async fn run(
    mut asked: mpsc::Receiver<Asked>,
    outbound: mpsc::Sender<ProcessPaymentsRequest>,
    mut inbound: Streaming<ProcessPaymentsResponse>,
    mut waiting: Waiting,
) {
    let mut outbound = Some(outbound);
    let mut batch = Vec::with_capacity(MESSAGE_PAYMENTS_MAX);
    let broken = loop {
        let room = (IN_FLIGHT_MAX - waiting.count).min(MESSAGE_PAYMENTS_MAX);
        let place = async {
            match &outbound {
                // A place for the message first: what waits meanwhile goes with it.
                Some(outbound) if room > 0 => outbound.clone().reserve_owned().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        let next = async {
            let place = place.await;
            (asked.recv_many(&mut batch, room).await, place)
        };
        tokio::select! {
            message = inbound.message() => match message {
                Ok(Some(message)) => message.results.into_iter().for_each(|r| waiting.tell(r)),
                Ok(None) => break ended(),
                Err(status) => break unknown(&status),
            },
            (count, place) = next => match place {
                Ok(place) if count > 0 => {
                    let payments = batch.drain(..).map(|Asked { payment, answer }| {
                        waiting.add(payment.transaction_id.clone(), answer);
                        payment
                    });
                    place.send(ProcessPaymentsRequest { payments: payments.collect() });
                }
                // Nobody asks any more, or the connection takes nothing more: hear the rest out.
                Ok(_) | Err(_) => outbound = None,
            },
        }
    };
    waiting.break_off(&broken);
}

fn ended() -> CallError {
    CallError::OutcomeUnknown { detail: "the gateway ended the stream of payments".to_owned() }
}

/// Whatever broke the stream, its payments may have arrived.
fn unknown(status: &Status) -> CallError {
    match CallError::of(status) {
        CallError::NotSent { detail } | CallError::OutcomeUnknown { detail } => {
            CallError::OutcomeUnknown { detail }
        }
        CallError::Answered(refusal) => CallError::OutcomeUnknown { detail: refusal.message },
    }
}
