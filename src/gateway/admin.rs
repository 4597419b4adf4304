//! The operators' calls: how the gateway is doing, and what they change.

use super::auditor::Latest;
use super::banks::Bank;
use super::coordinator::{CoordinatorBox, Request as Ask, gone};
use super::operate;
use super::sessions::Sessions;
use super::standing::InDoubt as Standing;
use super::tail::{Records, Tailer};
use crate::errors::{self, Reason};
use crate::home::Home;
use crate::journal::{Clock, wall_ms};
use crate::wire::v1::admin_service_server::AdminService;
use crate::wire::v1::{
    ApproveResolutionRequest, ApproveResolutionResponse, AskResolutionRequest,
    AskResolutionResponse, BankStatus, EndSessionsRequest, EndSessionsResponse, InDoubt,
    ListInDoubtRequest, ListInDoubtResponse, PauseRecoveryRequest, PauseRecoveryResponse,
    ResumeRecoveryRequest, ResumeRecoveryResponse, StatusRequest, StatusResponse,
    StepRecoveryRequest, StepRecoveryResponse, TailLogRequest,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// Payments in one answer.
const IN_DOUBT_DEFAULT: u32 = 100;
const IN_DOUBT_MAX: u32 = 1_000;

pub(super) struct Admin {
    pub(super) home: Home,
    pub(super) coordinator: CoordinatorBox,
    pub(super) sessions: Arc<Sessions>,
    pub(super) banks: Arc<Vec<Bank>>,
    pub(super) ack: &'static str,
    pub(super) clock: Clock,
    /// What is not answered is said again after this.
    pub(super) retry_ms: u64,
    pub(super) mirror_lsn: Box<dyn Fn() -> u64 + Send + Sync>,
    pub(super) audited: Latest,
    pub(super) tailer: Tailer,
}

impl Admin {
    fn in_doubt(&self, payment: &Standing) -> InDoubt {
        let (wall, mono) = (wall_ms(), self.clock.mono_ms());
        let told = payment.told_ms.map(|told| wall.saturating_sub(mono.saturating_sub(told)));
        let lines = payment.away.iter().filter_map(|name| {
            let bank = self.banks.iter().find(|bank| bank.name == *name)?;
            Some(bank.tries.get())
        });
        let told = told.map(|told| (told, told + self.retry_ms));
        let tries: Vec<(u64, u64)> = lines.chain(told).collect();
        let last = tries.iter().map(|(last, _)| *last).max().unwrap_or(0);
        let next = tries.iter().map(|(_, next)| *next).filter(|next| *next > 0).min();
        InDoubt {
            global_id: payment.payment.to_string(),
            reference: payment.reference.to_string(),
            amount_minor: payment.terms.amount.minor(),
            currency_code: payment.terms.currency.to_string(),
            phase: payment.phase.to_owned(),
            waiting_for: payment.waiting_for.iter().map(ToString::to_string).collect(),
            age_ms: wall.saturating_sub(payment.began_ms),
            last_try_unix_ms: last as i64,
            next_try_unix_ms: next.filter(|_| !payment.held_up).unwrap_or(0) as i64,
            held_up: payment.held_up,
        }
    }
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
            recovery_paused: status.paused,
            cases_open: status.cases_open,
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
        let payments = payments.await.map_err(|_| gone())?;
        let payments = payments.iter().map(|payment| self.in_doubt(payment)).collect();
        Ok(Response::new(ListInDoubtResponse { payments }))
    }

    async fn ask_resolution(
        &self,
        request: Request<AskResolutionRequest>,
    ) -> Result<Response<AskResolutionResponse>, Status> {
        let by = operate::operator(&request)?;
        let (asked, coordinator) = (request.into_inner(), &self.coordinator);
        let (id, resolution) = (&asked.global_id, asked.resolution());
        operate::ask_force(coordinator, by, id, resolution, &asked.reason).await?;
        Ok(Response::new(AskResolutionResponse {}))
    }

    async fn approve_resolution(
        &self,
        request: Request<ApproveResolutionRequest>,
    ) -> Result<Response<ApproveResolutionResponse>, Status> {
        let by = operate::operator(&request)?;
        let (approved, coordinator) = (request.into_inner(), &self.coordinator);
        let (id, resolution) = (&approved.global_id, approved.resolution());
        operate::approve_force(coordinator, by, id, resolution).await?;
        Ok(Response::new(ApproveResolutionResponse {}))
    }

    async fn pause_recovery(
        &self,
        _request: Request<PauseRecoveryRequest>,
    ) -> Result<Response<PauseRecoveryResponse>, Status> {
        operate::pause(&self.coordinator, &self.home).await?;
        let (reply, status) = oneshot::channel();
        self.coordinator.send(Ask::Status { reply });
        let held_up = status.await.map_err(|_| gone())?.held_up;
        Ok(Response::new(PauseRecoveryResponse { held_up }))
    }

    async fn step_recovery(
        &self,
        _request: Request<StepRecoveryRequest>,
    ) -> Result<Response<StepRecoveryResponse>, Status> {
        let payment = operate::step(&self.coordinator).await?;
        let global_id = payment.map(|payment| payment.to_string()).unwrap_or_default();
        Ok(Response::new(StepRecoveryResponse { global_id }))
    }

    async fn resume_recovery(
        &self,
        _request: Request<ResumeRecoveryRequest>,
    ) -> Result<Response<ResumeRecoveryResponse>, Status> {
        operate::resume(&self.coordinator, &self.home).await?;
        Ok(Response::new(ResumeRecoveryResponse {}))
    }

    type TailLogStream = Records;

    async fn tail_log(
        &self,
        request: Request<TailLogRequest>,
    ) -> Result<Response<Self::TailLogStream>, Status> {
        self.tailer.run(request.into_inner().after_lsn).map(Response::new)
    }
}
