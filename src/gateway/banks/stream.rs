//! The line to a bank of ours: Hello, then one bidirectional stream of batches.

use super::{Bank, Broken, told};
use crate::gateway::coordinator::{CoordinatorBox, Request};
use crate::wire::v1::bank_service_client::BankServiceClient;
use crate::wire::{hello_to, intro_from, report_from, welcome_from};
use recovery::message::{Hello, Unwelcome, Welcome};
use recovery::model::Start;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;

type Client = BankServiceClient<Channel>;

/// A Hello that is not answered in this time is said again.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Proofs that a bank may ask for before it must decide.
const PROOFS_MAX: usize = 3;

/// Runs the line until it breaks.
pub(super) async fn run(bank: &Bank, coordinator: &CoordinatorBox) -> Broken {
    let mut client = BankServiceClient::new(bank.channel.clone())
        .max_decoding_message_size(4 << 20)
        .max_encoding_message_size(4 << 20);
    let welcome = match greet(bank, coordinator, &mut client).await {
        Ok(welcome) => welcome,
        Err(why) => return Broken::before(why),
    };
    let start = welcome.bank;
    let (out, outbound) = mpsc::unbounded_channel();
    let stream = client.participate(UnboundedReceiverStream::new(outbound)).await;
    let mut inbound = match stream {
        Ok(response) => response.into_inner(),
        Err(status) => return Broken::before(told(&status)),
    };
    tracing::info!(bank = %bank.name, epoch = start.epoch, "bank is ready");
    if !coordinator.send(Request::Welcomed { bank: bank.index, out, welcome }) {
        return Broken::after("the gateway is stopping");
    }
    loop {
        let message = match inbound.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return Broken::after("the bank closed the stream"),
            Err(status) => return Broken::after(told(&status)),
        };
        let parsed = intro_from(message.bank.as_ref()).and_then(|(from, lsn)| {
            let reports = message.reports.iter().map(report_from).collect::<Result<_, _>>()?;
            Ok(reported(bank, from, lsn, reports))
        });
        match parsed {
            Ok(request) => {
                if !coordinator.send(request) {
                    return Broken::after("the gateway is stopping");
                }
            }
            Err(error) => return Broken::after(format!("the bank's answer is malformed: {error}")),
        }
    }
}

fn reported(
    bank: &Bank,
    from: Start,
    bank_lsn: u64,
    reports: Vec<recovery::message::Report>,
) -> Request {
    Request::Reported { bank: bank.index, from: Some(from), bank_lsn, reports }
}

/// Says Hello until the bank lets this start in, or does not.
async fn greet(
    bank: &Bank,
    coordinator: &CoordinatorBox,
    client: &mut Client,
) -> Result<Welcome, String> {
    let mut asked = None;
    for _ in 0..PROOFS_MAX {
        let hello = due(bank, coordinator).await?;
        if asked.is_some() {
            if hello.checked != asked {
                // The log lacks it: the gateway ends by this, and greets nobody any more.
                return std::future::pending().await;
            }
            bank.muster.passed(bank.index);
            bank.muster.wait().await;
        }
        let mut request = tonic::Request::new(hello_to(&hello));
        request.set_timeout(HELLO_TIMEOUT);
        let response = client.hello(request).await.map_err(|status| told(&status))?;
        let answer = welcome_from(&response.into_inner(), &hello);
        match answer.map_err(|error| format!("the bank's answer is malformed: {error}"))? {
            Ok(welcome) => {
                bank.muster.passed(bank.index);
                return Ok(welcome);
            }
            Err(unwelcome) => {
                asked = match &unwelcome {
                    Unwelcome::Prove { remembered } => Some(*remembered),
                    _ => None,
                };
                let why = unwelcome.to_string();
                coordinator.send(Request::TurnedAway { bank: bank.index, unwelcome });
                if asked.is_none() {
                    return Err(why);
                }
            }
        }
    }
    Err("the bank's memory of this gateway's log keeps changing".to_owned())
}

async fn due(bank: &Bank, coordinator: &CoordinatorBox) -> Result<Hello, String> {
    let (reply, hello) = oneshot::channel();
    coordinator.send(Request::Hello { bank: bank.index, reply });
    hello.await.map_err(|_| "the gateway is stopping".to_owned())
}
