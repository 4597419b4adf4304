//! The operators' calls: reading how the gateway is doing, and signing users out.

use super::auditor::Latest;
use super::banks::Bank;
use super::coordinator::{CoordinatorBox, Request as Ask, gone};
use super::sessions::Sessions;
use super::tail::{Records, Tailer};
use crate::errors::{self, Reason};
use crate::journal::{Clock, wall_ms};
use crate::wire::v1::admin_service_server::AdminService;
use crate::wire::v1::{
    BankStatus, EndSessionsRequest, EndSessionsResponse, InDoubt, ListInDoubtRequest,
    ListInDoubtResponse, StatusRequest, StatusResponse, TailLogRequest,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// Payments in one answer.
const IN_DOUBT_DEFAULT: u32 = 100;
const IN_DOUBT_MAX: u32 = 1_000;

pub(super) struct Admin {
    pub(super) coordinator: CoordinatorBox,
    pub(super) sessions: Arc<Sessions>,
    pub(super) banks: Arc<Vec<Bank>>,
    pub(super) ack: &'static str,
    pub(super) clock: Clock,
    pub(super) mirror_lsn: Box<dyn Fn() -> u64 + Send + Sync>,
    pub(super) audited: Latest,
    pub(super) tailer: Tailer,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn status(
        &self,
        _request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let (reply, status) = oneshot::channel();
        self.coordinator.send(Ask::Status { reply });
        let status = status.await.map_err(|_| gone())?;
        let address = |name| self.banks.iter().find(|bank| bank.name == name);
        let banks = status.banks.into_iter().map(|(name, state, problem, waiting)| BankStatus {
            bank: name.to_string(),
            address: address(name).map(|bank| bank.address.clone()).unwrap_or_default(),
            state: state.to_owned(),
            problem,
            waiting,
        });
        let audited = self.audited.get().unwrap_or_default();
        Ok(Response::new(StatusResponse {
            audited_unix_ms: audited.at_unix_ms as i64,
            money_delta_minor: audited.money_delta_minor,
            disagreements: audited.disagreements,
            not_audited: audited.unseen,
            cluster: status.start.cluster.to_string(),
            lineage: status.start.lineage.to_string(),
            epoch: status.start.epoch,
            durable_lsn: status.durable_lsn,
            mirror_lsn: (self.mirror_lsn)(),
            in_doubt: status.in_doubt,
            in_doubt_amount_minor: status.in_doubt_minor,
            payments: status.payments,
            banks: banks.collect(),
            ack: self.ack.to_owned(),
            uptime_ms: self.clock.mono_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn end_sessions(
        &self,
        request: Request<EndSessionsRequest>,
    ) -> Result<Response<EndSessionsResponse>, Status> {
        let named = request.into_inner().client_id;
        let client = named.parse().map_err(|error: recovery::model::IdError| {
            errors::status(Reason::RequestMalformed, error.to_string())
        })?;
        let ended = self.sessions.close_all(client, &self.coordinator).await;
        Ok(Response::new(EndSessionsResponse { ended: ended as u32 }))
    }

    async fn list_in_doubt(
        &self,
        request: Request<ListInDoubtRequest>,
    ) -> Result<Response<ListInDoubtResponse>, Status> {
        let limit = match request.into_inner().limit {
            0 => IN_DOUBT_DEFAULT,
            limit => limit.min(IN_DOUBT_MAX),
        };
        let (reply, payments) = oneshot::channel();
        self.coordinator.send(Ask::InDoubt { limit: limit as usize, reply });
        let now = wall_ms();
        let payments = payments.await.map_err(|_| gone())?.into_iter().map(|payment| InDoubt {
            global_id: payment.payment.to_string(),
            reference: payment.reference.to_string(),
            amount_minor: payment.terms.amount.minor(),
            currency_code: payment.terms.currency.to_string(),
            phase: payment.phase.to_owned(),
            waiting_for: payment.waiting_for.iter().map(ToString::to_string).collect(),
            age_ms: now.saturating_sub(payment.began_ms),
        });
        Ok(Response::new(ListInDoubtResponse { payments: payments.collect() }))
    }

    type TailLogStream = Records;

    async fn tail_log(
        &self,
        request: Request<TailLogRequest>,
    ) -> Result<Response<Self::TailLogStream>, Status> {
        self.tailer.run(request.into_inner().after_lsn).map(Response::new)
    }
}
