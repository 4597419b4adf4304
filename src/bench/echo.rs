//! The ceiling: the same port, certificates and messages, with nothing behind them.
//!
//! It answers every payment at once, without looking who asks: what is left is TLS, HTTP/2,
//! protobuf and this machine. It runs as a process of its own, on a runtime like a gateway's.

use super::Plan;
use super::load::{Caller, Calls, Line, Load};
use super::stage::{Stage, metadata};
use crate::accept;
use crate::client::link::Stub;
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Party, Service};
use crate::live::Process;
use crate::tls;
use crate::wire::v1::payment_gateway_server::{PaymentGateway, PaymentGatewayServer};
use crate::wire::v1::{
    BalanceRequest, BalanceResponse, ClientInfo, GetPaymentRequest, ListPaymentsRequest,
    ListPaymentsResponse, LogoutRequest, LogoutResponse, PaymentRequest, PaymentResponse,
    PaymentState, ProcessPaymentsRequest, ProcessPaymentsResponse, RegisterResponse,
    WatchPaymentsRequest, WatchPaymentsResponse,
};
use std::time::{Duration, Instant};
use tokio_stream::Empty;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

const READY_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The echo as a child process, and callers to it.
pub(super) struct Echo {
    _process: Process,
    callers: Vec<Caller>,
    accounts: usize,
}

impl Echo {
    pub(super) async fn start(plan: &Plan, stage: &Stage) -> Result<Self, Failure> {
        let home = stage.home();
        let arguments = vec!["bench".into(), "--serve-echo".into()];
        let mut process = stage.cluster().run("echo", home, arguments)?;
        let until = Instant::now() + READY_MAX;
        let address = loop {
            if let Some(running) = home.running(Service::Console) {
                break running.address;
            }
            if process.ended().is_some() || Instant::now() > until {
                let what = "the echo does not run";
                return Err(Failure::plain(Exit::Unexpected, what).todo(process.talk()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let dial = || tls::to_gateway(home, Party::Client, &address).map(Stub::new);
        let stubs = (0..plan.connections).map(|_| dial()).collect::<Result<Vec<_>, _>>()?;
        let caller = |index: usize| {
            let stub = stubs[index % stubs.len()].clone();
            let (client, token) = (metadata("b0")?, metadata(&"x".repeat(43))?);
            Ok(Caller { payer: 0, line: Line::Calls(Box::new(Calls { stub, client, token })) })
        };
        let callers = (0..plan.clients.max(plan.connections)).map(caller);
        let callers = callers.collect::<Result<_, Failure>>()?;
        Ok(Self { _process: process, callers, accounts: plan.accounts })
    }

    /// Answers a second.
    pub(super) async fn measure(&self, load: &Load) -> f64 {
        let load = Load { workload: super::Workload::Uniform, ..load.clone() };
        let tally = load.run(&self.callers, self.accounts, load.window()).await;
        tally.committed as f64 / load.duration.as_secs_f64()
    }
}

/// Serves it until `stop`, at a port of its own, which it announces where a console would: there is
/// none beside it.
pub async fn serve(home: &Home, config: &Config, stop: CancellationToken) -> Result<(), Failure> {
    let tls = tls::server_of(home, Party::Server)?;
    let listener = accept::bind(&config.gateway.address.with_port(0)).await?;
    let bound = listener.local_addr().map_err(|error| {
        Failure::plain(Exit::Unexpected, format!("the echo has no address: {error}"))
    })?;
    let address = config.gateway.address.with_port(bound.port());
    let routes = tonic::service::Routes::new(PaymentGatewayServer::new(Answering));
    let announced = home.announce(Service::Console, &address)?;
    accept::serve(listener, tls, &config.limits, routes.into_axum_router(), stop).await;
    drop(announced);
    Ok(())
}

struct Answering;

fn absent<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("an echo of payments and nothing else"))
}

#[tonic::async_trait]
impl PaymentGateway for Answering {
    type ProcessPaymentsStream = Empty<Result<ProcessPaymentsResponse, Status>>;
    type WatchPaymentsStream = Empty<Result<WatchPaymentsResponse, Status>>;

    async fn process_payment(
        &self,
        request: Request<PaymentRequest>,
    ) -> Result<Response<PaymentResponse>, Status> {
        Ok(Response::new(PaymentResponse {
            success: true,
            message: "the money moved".to_owned(),
            transaction_id: request.into_inner().transaction_id,
            state: PaymentState::Committed.into(),
            lsn: 1,
            ..PaymentResponse::default()
        }))
    }

    async fn register_client(
        &self,
        _: Request<ClientInfo>,
    ) -> Result<Response<RegisterResponse>, Status> {
        absent()
    }

    async fn view_balance(
        &self,
        _: Request<BalanceRequest>,
    ) -> Result<Response<BalanceResponse>, Status> {
        absent()
    }

    async fn get_payment(
        &self,
        _: Request<GetPaymentRequest>,
    ) -> Result<Response<PaymentResponse>, Status> {
        absent()
    }

    async fn list_payments(
        &self,
        _: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        absent()
    }

    async fn process_payments(
        &self,
        _: Request<Streaming<ProcessPaymentsRequest>>,
    ) -> Result<Response<Self::ProcessPaymentsStream>, Status> {
        absent()
    }

    async fn watch_payments(
        &self,
        _: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        absent()
    }

    async fn logout(&self, _: Request<LogoutRequest>) -> Result<Response<LogoutResponse>, Status> {
        absent()
    }
}
