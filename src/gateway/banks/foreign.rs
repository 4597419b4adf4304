//! The line to a bank that knows only the report's five calls: one unary call an instruction.
//!
//! There is no Hello and no stream. The coordinator has made the payment's beginning durable before
//! it asks such a bank to prepare, and says every instruction again until it is answered.

use super::{Bank, Broken, told};
use crate::gateway::coordinator::{CoordinatorBox, Request};
use crate::wire::v1::bank_service_client::BankServiceClient;
use crate::wire::v1::{Empty, TransactionRequest, TransactionResponse};
use crate::wire::{prepare_to, state_from_unary};
use recovery::message::{Instruction, Report};
use recovery::model::{Decision, GlobalId, HoldState, Start};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::transport::Channel;
use tonic::{Code, Status};

type Client = BankServiceClient<Channel>;

/// Of one call. The coordinator says it again.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the bank is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Calls under way at once.
const CALLS_MAX: usize = 64;

/// Runs the line until the bank no longer answers.
pub(super) async fn run(bank: &Bank, coordinator: &CoordinatorBox) -> Broken {
    // It remembers nothing of any gateway.
    bank.muster.passed(bank.index);
    let mut client = BankServiceClient::new(bank.channel.clone());
    if let Err(status) = ping(&mut client).await {
        return Broken::before(told(&status));
    }
    let Some(start) = speaker(bank, coordinator).await else {
        return Broken::before("the gateway is stopping");
    };
    let (out, mut instructions) = mpsc::unbounded_channel();
    tracing::info!(bank = %bank.name, "foreign bank is reached");
    if !coordinator.send(Request::Reached { bank: bank.index, out }) {
        return Broken::after("the gateway is stopping");
    }
    let calls = Arc::new(Semaphore::new(CALLS_MAX));
    let mut pings = tokio::time::interval(PING_INTERVAL);
    loop {
        tokio::select! {
            instruction = instructions.recv() => {
                let Some(instruction) = instruction else {
                    return Broken::after("the gateway has let the line go");
                };
                let Ok(permit) = Arc::clone(&calls).acquire_owned().await else {
                    return Broken::after("the gateway is stopping");
                };
                let (bank, client) = (bank.clone(), client.clone());
                let coordinator = coordinator.clone();
                tokio::spawn(async move {
                    call(&bank, client, &start, instruction, &coordinator).await;
                    drop(permit);
                });
            }
            _ = pings.tick() => {
                if let Err(status) = ping(&mut client).await {
                    return Broken::after(told(&status));
                }
            }
        }
    }
}

/// This gateway's start, as it names itself in every call.
async fn speaker(bank: &Bank, coordinator: &CoordinatorBox) -> Option<Start> {
    let (reply, hello) = oneshot::channel();
    coordinator.send(Request::Hello { bank: bank.index, reply });
    Some(hello.await.ok()?.gateway)
}

async fn ping(client: &mut Client) -> Result<(), Status> {
    let mut request = tonic::Request::new(Empty {});
    request.set_timeout(CALL_TIMEOUT);
    client.ping(request).await.map(drop)
}

async fn call(
    bank: &Bank,
    mut client: Client,
    start: &Start,
    instruction: Instruction,
    coordinator: &CoordinatorBox,
) {
    let (payment, answer) = match &instruction {
        Instruction::Prepare { payment, order } => {
            let request = timed(prepare_to(start, 0, bank.name, *payment, order));
            (*payment, client.prepare_transaction(request).await)
        }
        Instruction::Commit { payment, .. }
        | Instruction::Force { payment, decision: Decision::Commit, .. } => {
            (*payment, client.commit_transaction(outcome(bank, start, *payment)).await)
        }
        Instruction::Abort { payment, .. }
        | Instruction::Force { payment, decision: Decision::Abort(_), .. } => {
            (*payment, client.abort_transaction(outcome(bank, start, *payment)).await)
        }
        Instruction::Forget { .. } => return,
    };
    let report = match answer {
        Ok(response) => understand(&instruction, payment, &response.into_inner()),
        Err(status) => {
            let (bank, code) = (bank.name, status.code());
            tracing::warn!(%bank, %payment, ?code, "bank did not answer");
            // The bank knows better, and says so; anything else is said again.
            let refused = status.code() == Code::FailedPrecondition;
            refused.then_some(Report { payment, state: HoldState::Unknown, alarm: true })
        }
    };
    if let Some(report) = report {
        let (bank, reports) = (bank.index, vec![report]);
        coordinator.send(Request::Reported { bank, from: None, bank_lsn: 0, reports });
    }
}

fn timed(request: TransactionRequest) -> tonic::Request<TransactionRequest> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(CALL_TIMEOUT);
    request
}

fn outcome(bank: &Bank, start: &Start, payment: GlobalId) -> tonic::Request<TransactionRequest> {
    timed(TransactionRequest {
        transaction_id: payment.to_string(),
        participants: vec![bank.name.to_string()],
        epoch: start.epoch,
        cluster: start.cluster.to_string(),
        lineage: start.lineage.to_string(),
        ..TransactionRequest::default()
    })
}

/// What the bank's answer says. A bank that leaves `state` out is understood by `ready`.
fn understand(
    instruction: &Instruction,
    payment: GlobalId,
    response: &TransactionResponse,
) -> Option<Report> {
    let implied = match (instruction, response.ready) {
        (Instruction::Prepare { .. }, true) => Some(HoldState::Held),
        (
            Instruction::Commit { .. } | Instruction::Force { decision: Decision::Commit, .. },
            true,
        ) => Some(HoldState::Posted),
        (
            Instruction::Abort { .. } | Instruction::Force { decision: Decision::Abort(_), .. },
            true,
        ) => Some(HoldState::Released),
        (Instruction::Prepare { .. }, false) => {
            Some(HoldState::Refused(recovery::model::Reason::from_name(&response.reason)))
        }
        (Instruction::Forget { .. }, _) | (_, false) => None,
    };
    let state = state_from_unary(response).or(implied)?;
    Some(Report { payment, state, alarm: false })
}
