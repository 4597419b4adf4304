//! A client's payments as they become final: each once, in the order of the log, without a gap.
//!
//! The coordinator answers one question at a time ("what became final after this place?") once
//! there is something to say, so a slow receiver costs one waiting question and no queue.

use super::coordinator::{CoordinatorBox, Replies, Request, rejected};
use super::service::{lost, record};
use crate::wire::v1::WatchPaymentsResponse;
use recovery::gateway::Reply;
use recovery::model::ClientId;
use std::pin::Pin;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(super) type Finals =
    Pin<Box<dyn Stream<Item = Result<WatchPaymentsResponse, Status>> + Send + 'static>>;

/// Payments that one question may bring.
const FINALS_MAX: usize = 100;

/// Streams from `after` on, until the receiver goes away or the gateway stops.
pub(super) fn run(
    client: ClientId,
    mut after: u64,
    coordinator: CoordinatorBox,
    stop: CancellationToken,
) -> Finals {
    let (out, finals) = mpsc::channel(FINALS_MAX);
    tokio::spawn(async move {
        loop {
            let (reply, answer) = oneshot::channel();
            let reply = Replies::One(reply);
            coordinator.send(Request::Watch { client, after, limit: FINALS_MAX, reply });
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                () = out.closed() => return,
                answer = answer => answer,
            };
            let finals = match answer {
                Ok(Reply::Finals(finals)) => finals,
                Ok(Reply::Rejected(rejection)) => {
                    let _ = out.send(Err(rejected(&rejection))).await;
                    return;
                }
                Ok(Reply::Payment(_) | Reply::Page(_) | Reply::LetGo(_) | Reply::Done) | Err(_) => {
                    let _ = out.send(Err(lost())).await;
                    return;
                }
            };
            for (lsn, answer) in finals {
                after = lsn.get();
                let payment = Some(record(&answer));
                if out.send(Ok(WatchPaymentsResponse { payment, lsn: after })).await.is_err() {
                    return;
                }
            }
        }
    });
    Box::pin(ReceiverStream::new(finals))
}
