//! The bank's own calls: "I am up", and "what became of these?".
//!
//! A hold without an outcome is never let go by the bank. It asks, and waits; the answers come as
//! instructions on the gateway's stream.

use super::ledger::OpenHolds;
use crate::wire::v1::coordinator_service_client::CoordinatorServiceClient;
use crate::wire::v1::{BankHelloRequest, InquireRequest};
use crate::wire::{holds_to, intro_to};
use recovery::model::{BankName, Start};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// A gateway that does not answer in this time is asked again later.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Holds named in one inquiry.
const HOLDS_PER_CALL_MAX: usize = 1_000;

/// Asks whatever comes down `inquiries`, until `stop`.
pub(super) async fn run(
    channel: Channel,
    name: BankName,
    start: Start,
    mut inquiries: mpsc::UnboundedReceiver<OpenHolds>,
    stop: CancellationToken,
) {
    let mut gateway = CoordinatorServiceClient::new(channel);
    let introduction = || Some(intro_to(&start, 0));
    let mut hello =
        tonic::Request::new(BankHelloRequest { bank: introduction(), name: name.to_string() });
    hello.set_timeout(CALL_TIMEOUT);
    if let Err(status) = gateway.hello(hello).await {
        tracing::debug!(bank = %name, code = ?status.code(), "the gateway is not there yet");
    }
    loop {
        let open_holds = tokio::select! {
            () = stop.cancelled() => return,
            open_holds = inquiries.recv() => open_holds,
        };
        let Some(open_holds) = open_holds else { return };
        for holds in open_holds.chunks(HOLDS_PER_CALL_MAX) {
            let open_holds = holds_to(holds);
            let mut request =
                tonic::Request::new(InquireRequest { bank: introduction(), open_holds });
            request.set_timeout(CALL_TIMEOUT);
            if let Err(status) = gateway.inquire(request).await {
                tracing::debug!(bank = %name, code = ?status.code(), "inquiry not answered");
            }
        }
    }
}
