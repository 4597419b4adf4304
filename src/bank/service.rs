//! The bank's port: messages in, the ledger's answers out.
//!
//! Who may call is the identity layer's business; what is answered is the ledger's.

use super::ledger::{LedgerBox, Pulse, Request as Ask, Speaker};
use crate::errors::{self, Reason};
use crate::journal::Clock;
use crate::wire::v1::bank_service_server::BankService;
use crate::wire::v1::{
    BalanceRequest, BalanceResponse, Empty, HelloRequest, HelloResponse, HoldState,
    ParticipateRequest, ParticipateResponse, PingResponse, SummaryRequest, SummaryResponse,
    TransactionRequest, TransactionResponse,
};
use crate::wire::{
    WireError, hello_from, instruction_from, intro_from, prepare_from, report_to, summary_to,
    welcome_to,
};
use recovery::message::{Instruction, Report};
use recovery::model::{AccountNumber, BankName, GlobalId, Start};
use std::pin::Pin;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

pub(super) struct Bank {
    pub(super) name: BankName,
    pub(super) ledger: LedgerBox,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

pub(super) fn bad_request(error: &WireError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopping() -> Status {
    errors::status(Reason::ShuttingDown, "the bank is stopping")
}

impl Bank {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        if !self.ledger.send(ask(reply)) {
            return Err(stopping());
        }
        answer.await.map_err(|_| stopping())
    }

    async fn one(
        &self,
        request: &TransactionRequest,
        instruction: Instruction,
    ) -> Result<Response<TransactionResponse>, Status> {
        let parse =
            |text: &str, field| text.parse().map_err(|_| bad_request(&WireError::missing(field)));
        let speaker = Speaker {
            cluster: parse(&request.cluster, "cluster")?,
            lineage: request
                .lineage
                .parse()
                .map_err(|_| bad_request(&WireError::missing("lineage")))?,
            epoch: request.epoch,
            lsn: request.lsn,
        };
        let report = self.ask(|reply| Ask::One { speaker, instruction, reply }).await?;
        let report = report.map_err(|why| Status::failed_precondition(why.to_string()))?;
        let pulse = self.pulse().await?;
        answer(&report, pulse.lsn)
    }

    async fn pulse(&self) -> Result<Pulse, Status> {
        self.ask(|reply| Ask::Pulse { reply }).await
    }
}

fn answer(report: &Report, lsn: u64) -> Result<Response<TransactionResponse>, Status> {
    let told = report_to(report);
    if report.alarm {
        let message = format!("{} stands at {:?} here", report.payment, report.state);
        return Err(Status::failed_precondition(message));
    }
    let ready = told.state() != HoldState::Refused;
    let message = if ready { "done".to_owned() } else { format!("refused: {}", told.reason) };
    Ok(Response::new(TransactionResponse {
        ready,
        message,
        reason: told.reason,
        state: told.state,
        lsn,
        lineage: String::new(),
    }))
}

fn payment(request: &TransactionRequest) -> Result<GlobalId, Status> {
    request.transaction_id.parse().map_err(|error: recovery::model::IdError| {
        bad_request(&WireError { field: "transaction_id", why: error.to_string() })
    })
}

/// A batch as values: who speaks, how far its log is durable, and what it says.
fn batch(request: &ParticipateRequest) -> Result<(Start, u64, Vec<Instruction>), WireError> {
    let (sender, lsn) = intro_from(request.gateway.as_ref())?;
    let steps = request.instructions.iter().map(instruction_from);
    let mut instructions = steps.collect::<Result<Vec<_>, _>>()?;
    if !request.forget_through.is_empty() {
        let through =
            request.forget_through.parse().map_err(|error: recovery::model::IdError| {
                WireError { field: "forget_through", why: error.to_string() }
            })?;
        instructions.push(Instruction::Forget { through });
    }
    Ok((sender, lsn, instructions))
}

#[tonic::async_trait]
impl BankService for Bank {
    async fn prepare_transaction(
        &self,
        request: Request<TransactionRequest>,
    ) -> Result<Response<TransactionResponse>, Status> {
        let request = request.into_inner();
        let (payment, order) = prepare_from(&request).map_err(|error| bad_request(&error))?;
        self.one(&request, Instruction::Prepare { payment, order: Box::new(order) }).await
    }

    async fn commit_transaction(
        &self,
        request: Request<TransactionRequest>,
    ) -> Result<Response<TransactionResponse>, Status> {
        let request = request.into_inner();
        let payment = payment(&request)?;
        self.one(&request, Instruction::Commit { payment, lazily: false }).await
    }

    async fn abort_transaction(
        &self,
        request: Request<TransactionRequest>,
    ) -> Result<Response<TransactionResponse>, Status> {
        let request = request.into_inner();
        let payment = payment(&request)?;
        self.one(&request, Instruction::Abort { payment, aborted: None }).await
    }

    async fn ping(&self, _request: Request<Empty>) -> Result<Response<PingResponse>, Status> {
        let pulse = self.pulse().await?;
        Ok(Response::new(PingResponse {
            message: "pong".to_owned(),
            bank: self.name.to_string(),
            uptime_ms: self.clock.mono_ms(),
            lsn: pulse.lsn,
            open_holds: pulse.open_holds,
        }))
    }

    async fn get_balance(
        &self,
        request: Request<BalanceRequest>,
    ) -> Result<Response<BalanceResponse>, Status> {
        let account = request.into_inner().account_number;
        let account: AccountNumber = account
            .parse()
            .map_err(|_| errors::status(Reason::AccountMalformed, "an account is 14 digits"))?;
        let balance = self.ask(|reply| Ask::Balance { account, reply }).await?;
        let balance = balance.ok_or_else(|| {
            errors::status(Reason::AccountNotFound, format!("no such account at {}", self.name))
        })?;
        Ok(Response::new(BalanceResponse {
            success: true,
            message: "as posted".to_owned(),
            account_number: balance.account.to_string(),
            currency_code: balance.currency.to_string(),
            balance_minor: balance.posted_minor,
            available_minor: balance.posted_minor - balance.held_minor,
            held_minor: balance.held_minor,
            as_of_lsn: balance.as_of_lsn,
        }))
    }

    async fn hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloResponse>, Status> {
        let hello = hello_from(&request.into_inner()).map_err(|error| bad_request(&error))?;
        let answer = self.ask(|reply| Ask::Hello { hello, reply }).await?;
        Ok(Response::new(welcome_to(&answer)))
    }

    type SummaryStream =
        Pin<Box<dyn Stream<Item = Result<SummaryResponse, Status>> + Send + 'static>>;

    async fn summary(
        &self,
        _request: Request<SummaryRequest>,
    ) -> Result<Response<Self::SummaryStream>, Status> {
        let state = self.ask(|reply| Ask::Summary { reply }).await?;
        let pages = tokio::task::spawn_blocking(move || summary_to(&state)).await;
        let pages = pages.ok().flatten().ok_or_else(|| Status::unavailable("not started yet"))?;
        let pages = pages.into_iter().map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(pages))))
    }

    type ParticipateStream =
        Pin<Box<dyn Stream<Item = Result<ParticipateResponse, Status>> + Send + 'static>>;

    async fn participate(
        &self,
        request: Request<Streaming<ParticipateRequest>>,
    ) -> Result<Response<Self::ParticipateStream>, Status> {
        let mut inbound = request.into_inner();
        let (out, outbound) = mpsc::unbounded_channel();
        let refused = out.clone();
        let stream = self.ask(|reply| Ask::Attach { out, reply }).await?;
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => break,
                    message = inbound.message() => message,
                };
                let Ok(Some(message)) = message else { break };
                match batch(&message) {
                    Ok((sender, lsn, instructions)) => {
                        ledger.send(Ask::Batch { stream, sender, lsn, instructions });
                    }
                    Err(error) => {
                        let _ = refused.send(Err(bad_request(&error)));
                        break;
                    }
                }
            }
            ledger.send(Ask::Detach { stream });
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outbound))))
    }
}
