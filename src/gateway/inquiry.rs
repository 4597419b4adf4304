//! The internal listener: what banks ask.

use super::banks::Bank;
use super::coordinator::{CoordinatorBox, Request as Ask};
use crate::identity::{Caller, Role};
use crate::wire::holds_from;
use crate::wire::v1::coordinator_service_server::CoordinatorService;
use crate::wire::v1::{BankHelloRequest, BankHelloResponse, InquireRequest, InquireResponse};
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub(super) struct Inquiry {
    pub(super) coordinator: CoordinatorBox,
    pub(super) banks: Arc<Vec<Bank>>,
}

impl Inquiry {
    /// The bank that speaks, by its certificate: what it says of itself is not asked.
    fn bank<T>(&self, request: &Request<T>) -> Result<&Bank, Status> {
        let role = request.extensions().get::<Caller>().map(|caller| caller.role);
        let named = match role {
            Some(Role::Bank(name)) => self.banks.iter().find(|bank| bank.name == name),
            _ => None,
        };
        named.ok_or_else(|| Status::permission_denied("no bank of this gateway"))
    }
}

#[tonic::async_trait]
impl CoordinatorService for Inquiry {
    async fn hello(
        &self,
        request: Request<BankHelloRequest>,
    ) -> Result<Response<BankHelloResponse>, Status> {
        self.bank(&request)?.bell.notify_one();
        Ok(Response::new(BankHelloResponse {}))
    }

    async fn inquire(
        &self,
        request: Request<InquireRequest>,
    ) -> Result<Response<InquireResponse>, Status> {
        let bank = self.bank(&request)?.index;
        let open_holds = holds_from(&request.into_inner().open_holds)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        self.coordinator.send(Ask::Inquired { bank, open_holds });
        Ok(Response::new(InquireResponse {}))
    }
}
