//! The clients' port: requests parsed into values, answers told as the contract says.
//!
//! The payment is the coordinator's from the moment that it was handed over: a caller that goes
//! away loses the answer and nothing else.

use super::banks::Bank;
use super::coordinator::{CoordinatorBox, Replies, Request as Ask, gone, rejected};
use super::sessions::Sessions;
use super::{batches, watch};
use crate::accept::Deadline;
use crate::errors::{self, Reason};
use crate::identity::{Caller, Principal};
use crate::journal::Clock;
use crate::users::UserRole;
use crate::wire::v1::payment_gateway_server::PaymentGateway;
use crate::wire::v1::{
    BalanceRequest, BalanceResponse, ClientInfo, GetPaymentRequest, ListPaymentsRequest,
    ListPaymentsResponse, LogoutRequest, LogoutResponse, PaymentRecord, PaymentRequest,
    PaymentResponse, PaymentState, ProcessPaymentsRequest, RegisterResponse, WatchPaymentsRequest,
};
use crate::wire::{terms_from, transaction_from};
use recovery::gateway::{Answer, Outcome, Reply};
use recovery::model::{AccountNumber, BankName, ClientId, Reason as Declined, Reference};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Of a page of payments.
const PAGE_SIZE_DEFAULT: i32 = 20;
const PAGE_SIZE_MAX: i32 = 100;

/// A bank that does not tell a balance in this time counts as away.
const BALANCE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is kept of a caller's deadline to answer it in.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

pub(super) struct Gateway {
    pub(super) coordinator: CoordinatorBox,
    pub(super) sessions: Arc<Sessions>,
    pub(super) banks: Arc<Vec<Bank>>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) streams: batches::Streams,
}

/// The token of a call, as the identity layer found it.
fn token<T>(request: &Request<T>) -> Option<String> {
    let text = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
    let bearer = || text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    text("auth-token").or_else(bearer).map(str::to_owned)
}

fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let principal = request.extensions().get::<Principal>().copied();
    principal.ok_or_else(|| errors::status(Reason::TokenMissing, "nobody is signed in"))
}

fn own_account(principal: &Principal) -> Result<AccountNumber, Status> {
    let refused = || errors::status(Reason::RoleRequired, "this user has no account");
    principal.account.ok_or_else(refused)
}

/// Whose payments are asked for: one's own, or, by a role that reads for all, whose it names.
fn subject(principal: &Principal, named: &str) -> Result<ClientId, Status> {
    let own = principal.client_id;
    if principal.role == UserRole::Client {
        if named.is_empty() || named == own.as_str() {
            return Ok(own);
        }
        let what = "payments are shown to the client who began them only";
        return Err(errors::status(Reason::IdentityMismatch, what));
    }
    named.parse().map_err(|_| {
        let what = "this role has no payments of its own: name a client in client_id";
        errors::status(Reason::RequestMalformed, what)
    })
}

impl Gateway {
    async fn ask(&self, ask: impl FnOnce(Replies) -> Ask) -> Result<Reply, Status> {
        let (reply, answer) = oneshot::channel();
        if !self.coordinator.send(ask(Replies::One(reply))) {
            return Err(gone());
        }
        match answer.await {
            Ok(Reply::Rejected(rejection)) => Err(rejected(&rejection)),
            Ok(reply) => Ok(reply),
            Err(_) => Err(lost()),
        }
    }

    /// The account whose balance is asked for, and its bank, if the caller may read it.
    fn readable(
        &self,
        principal: &Principal,
        asked: &str,
    ) -> Result<(AccountNumber, Option<BankName>), Status> {
        if principal.role == UserRole::Client {
            let own = own_account(principal)?;
            if !asked.is_empty() && asked != own.to_string() {
                let what = "an account is shown to its owner only";
                return Err(errors::status(Reason::IdentityMismatch, what));
            }
            return Ok((own, principal.bank));
        }
        let account: AccountNumber = asked.parse().map_err(|error: recovery::model::IdError| {
            errors::status(Reason::AccountMalformed, error.to_string())
        })?;
        let bank = self.sessions.bank_of(account);
        let unknown = || errors::status(Reason::AccountNotFound, "nobody here has this account");
        Ok((account, Some(bank.ok_or_else(unknown)?)))
    }

    async fn outcome(
        &self,
        ask: impl FnOnce(Replies) -> Ask,
    ) -> Result<Response<PaymentResponse>, Status> {
        match self.ask(ask).await? {
            Reply::Payment(answer) => Ok(Response::new(told(&answer))),
            Reply::Rejected(_)
            | Reply::Page(_)
            | Reply::Finals(_)
            | Reply::LetGo(_)
            | Reply::Done => Err(lost()),
        }
    }
}

/// The owner went away with the question: what became of it is not known.
pub(super) fn lost() -> Status {
    errors::status(Reason::OutcomeUnknown, "the gateway stopped before it answered")
}

pub(super) fn told(answer: &Answer) -> PaymentResponse {
    let (state, reason, message) = match answer.outcome {
        Outcome::Pending => {
            (PaymentState::Pending, None, "decided: will be applied; do not pay again".to_owned())
        }
        Outcome::Committed => (PaymentState::Committed, None, "the money moved".to_owned()),
        Outcome::Aborted(reason) => {
            (PaymentState::Aborted, Some(reason), declined(reason).to_owned())
        }
    };
    PaymentResponse {
        success: answer.outcome == Outcome::Committed,
        message,
        transaction_id: answer.reference.transaction.to_string(),
        reason: reason.map(|reason| reason.name().to_owned()).unwrap_or_default(),
        state: state.into(),
        replayed: answer.replayed,
        lsn: answer.lsn,
        expires_at_unix_ms: 0,
    }
}

/// A reason as a sentence to the payer.
fn declined(reason: Declined) -> &'static str {
    match reason {
        Declined::InsufficientFunds => "declined: the account does not hold that much",
        Declined::AccountNotFound => "declined: the bank does not know the account",
        Declined::AccountClosed => "declined: the account is closed",
        Declined::CurrencyMismatch => "declined: the account is in another currency",
        Declined::BalanceOverflow => "declined: the payee's balance cannot grow that far",
        Declined::PrepareTimeout => "declined: a bank did not answer in time",
        Declined::Interrupted => "declined: the gateway was restarted before it had decided",
        Declined::TooLate => "declined: the request reached the bank after its end",
        Declined::LogFull => "declined: a bank has no room to record it",
        Declined::Declined => "declined by the bank",
        Declined::Heuristic => "declined by hand: a bank could not be asked",
    }
}

pub(super) fn record(answer: &Answer) -> PaymentRecord {
    let response = told(answer);
    PaymentRecord {
        transaction_id: response.transaction_id,
        payer_account_number: answer.terms.payer.to_string(),
        recipient_account_number: answer.terms.payee.to_string(),
        currency_code: answer.terms.currency.to_string(),
        memo: answer.terms.memo.as_str().to_owned(),
        reason: response.reason,
        amount_minor: answer.terms.amount.minor(),
        state: response.state,
        created_unix_ms: answer.began_ms as i64,
        decided_unix_ms: answer.decided_ms as i64,
        lsn: answer.lsn,
    }
}

#[tonic::async_trait]
impl PaymentGateway for Gateway {
    async fn register_client(
        &self,
        request: Request<ClientInfo>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let caller = request.extensions().get::<Caller>().copied();
        let caller =
            caller.ok_or_else(|| errors::status(Reason::IdentityMismatch, "no certificate"))?;
        let claim = request.into_inner();
        let opened = self.sessions.open(&claim, caller, &self.coordinator).await?;
        Ok(Response::new(RegisterResponse {
            success: true,
            message: format!("signed in as {}", opened.user.client_id),
            auth_token: opened.token,
            account_number: opened.user.account().map(|a| a.to_string()).unwrap_or_default(),
            role: opened.user.role.name().to_owned(),
            expires_at_unix_ms: opened.expires_ms as i64,
        }))
    }

    async fn process_payment(
        &self,
        request: Request<PaymentRequest>,
    ) -> Result<Response<PaymentResponse>, Status> {
        let principal = principal(&request)?;
        let payer = own_account(&principal)?;
        let remaining = request.extensions().get::<Deadline>().map(|deadline| deadline.remaining());
        let deadline_ms = remaining.map(|remaining| {
            self.clock.mono_ms() + remaining.saturating_sub(ANSWER_MARGIN).as_millis() as u64
        });
        let request = request.into_inner();
        let transaction = transaction_from(&request.transaction_id)?;
        let terms = terms_from(payer, &request)?;
        let reference = Reference { client: principal.client_id, transaction };
        let since = Instant::now();
        self.outcome(|reply| Ask::Pay { reference, terms, deadline_ms, since, reply }).await
    }

    async fn view_balance(
        &self,
        request: Request<BalanceRequest>,
    ) -> Result<Response<BalanceResponse>, Status> {
        let principal = principal(&request)?;
        let asked = request.into_inner().account_number;
        let (account, bank) = self.readable(&principal, &asked)?;
        let bank = self.banks.iter().find(|it| Some(it.name) == bank);
        let away = |name: &str, why: String| {
            let what = format!("bank {name} cannot be asked: {why}");
            errors::status_retry(Reason::BankUnavailable, what, Duration::from_secs(1))
        };
        let bank = bank.ok_or_else(|| away("of this account", "it has not joined".to_owned()))?;
        bank.balance(account, BALANCE_TIMEOUT).await.map_err(|why| away(bank.name.as_str(), why))
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<PaymentResponse>, Status> {
        let principal = principal(&request)?;
        let request = request.into_inner();
        let client = subject(&principal, &request.client_id)?;
        let transaction = transaction_from(&request.transaction_id)?;
        let reference = Reference { client, transaction };
        self.outcome(|reply| Ask::Ask { reference, reply }).await
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let principal = principal(&request)?;
        let request = request.into_inner();
        let client = subject(&principal, &request.client_id)?;
        let size = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            size @ 1..=PAGE_SIZE_MAX => size,
            size => {
                let what = format!("a page has 1 to {PAGE_SIZE_MAX} payments, not {size}");
                return Err(errors::status(Reason::RequestMalformed, what));
            }
        };
        let cursor = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse::<u64>().map_err(|_| {
                errors::status(Reason::PageTokenMalformed, "a page token is one that a page gave")
            })?),
        };
        let limit = size as usize;
        let reply = self.ask(|reply| Ask::List { client, cursor, limit, reply }).await?;
        let Reply::Page(page) = reply else { return Err(lost()) };
        Ok(Response::new(ListPaymentsResponse {
            payments: page.answers.iter().map(record).collect(),
            next_page_token: page.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
        }))
    }

    type ProcessPaymentsStream = batches::Results;

    async fn process_payments(
        &self,
        request: Request<Streaming<ProcessPaymentsRequest>>,
    ) -> Result<Response<Self::ProcessPaymentsStream>, Status> {
        let principal = principal(&request)?;
        let payer = own_account(&principal)?;
        let client = principal.client_id;
        let (inbound, coordinator) = (request.into_inner(), self.coordinator.clone());
        let stop = self.stop.clone();
        let results = batches::run(client, payer, inbound, coordinator, &self.streams, stop)?;
        Ok(Response::new(results))
    }

    type WatchPaymentsStream = watch::Finals;

    async fn watch_payments(
        &self,
        request: Request<WatchPaymentsRequest>,
    ) -> Result<Response<Self::WatchPaymentsStream>, Status> {
        let client = principal(&request)?.client_id;
        let after = request.into_inner().after_lsn;
        Ok(Response::new(watch::run(client, after, self.coordinator.clone(), self.stop.clone())))
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let client = principal(&request)?.client_id;
        if request.get_ref().everywhere {
            self.sessions.close_all(client, &self.coordinator).await;
        } else if let Some(token) = token(&request) {
            self.sessions.close(&token, &self.coordinator).await;
        }
        Ok(Response::new(LogoutResponse {}))
    }
}
