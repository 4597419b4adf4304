//! One client, signed in: who it is, and the calls it may make.
//!
//! Promises that a token that died is replaced and the call made again, once, where a password is
//! at hand; that a failure to sign in is never mistaken for a failure of the call, which was then
//! not made; and that a gateway that says "in a moment" is asked again for a short while.
//!
//! Refuses to know the outbox, and what an answer means for a person.

use super::classify::{CallError, Refusal};
use super::link::{Link, Over, Stub};
use super::outbox::Draft;
use super::token::{Signed, TokenFile};
use crate::errors::{Failure, Reason};
use crate::telemetry::{TRACEPARENT, TraceId};
use crate::wire::v1;
use recovery::model::ClientId;
use secrecy::{ExposeSecret, SecretString};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Response, Status, Streaming};

/// How long a call waits for a gateway that is starting or asks for patience.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENCE_STEP: Duration = Duration::from_millis(200);

/// Once for a session that another process has begun and that is dead as well, once for a new one.
const RENEWALS_MAX: u32 = 2;

/// Who is calling. Without a password, a token that died stays dead.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub client: ClientId,
    pub username: Option<String>,
    pub password: Option<SecretString>,
    pub bank: Option<String>,
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Signing in failed; the call was not made.
    #[error("cannot sign in: {0}")]
    SignIn(CallError),
    /// There is no usable token, and nothing to get one with; the call was not made.
    #[error("no session, and no password to begin one")]
    NoPassword,
    /// The session cannot be kept on disk; the call was not made.
    #[error("{0}")]
    Store(Failure),
    #[error("{0}")]
    Call(CallError),
}

/// Results of a stream of payments.
pub type Results = Streaming<v1::ProcessPaymentsResponse>;

/// Payments as they become final.
pub type Finals = Streaming<v1::WatchPaymentsResponse>;

/// The sending end of a stream of payments. Dropping it says that there are no more.
#[derive(Debug)]
pub struct Payments(mpsc::UnboundedSender<v1::ProcessPaymentsRequest>);

impl Payments {
    /// Hands drafts over; false when the stream is broken.
    pub fn send(&self, drafts: &[Draft]) -> bool {
        let payments = drafts.iter().map(request).collect();
        self.0.send(v1::ProcessPaymentsRequest { payments }).is_ok()
    }
}

/// A client and its link to the gateway.
#[derive(Debug)]
pub struct Session {
    link: Link,
    who: Credentials,
    file: TokenFile,
    signed: Mutex<Option<Signed>>,
    renewing: Mutex<()>,
}

impl Session {
    /// Takes up the session that the file holds, if any. Sends nothing.
    pub fn new(link: Link, who: Credentials, file: TokenFile) -> Self {
        let signed = Mutex::new(file.load());
        Self { link, who, file, signed, renewing: Mutex::new(()) }
    }

    pub fn client(&self) -> ClientId {
        self.who.client
    }

    /// How long one call lasts at most, with signing in and patience.
    pub fn call_max(&self) -> Duration {
        self.link.call_max() * 3 + PATIENCE
    }

    /// The session at hand, whether or not the gateway still knows it.
    pub async fn signed(&self) -> Option<Signed> {
        self.signed.lock().await.clone()
    }

    /// Makes sure that there is a session.
    pub async fn ensure(&self) -> Result<Signed, SessionError> {
        match self.signed().await {
            Some(signed) => Ok(signed),
            None => self.renew(None).await,
        }
    }

    /// A session other than `dead`: one that was begun since, here or by another process, or a new
    /// one. However many calls find the token dead at once, one of them signs in.
    async fn renew(&self, dead: Option<&Signed>) -> Result<Signed, SessionError> {
        let _turn = self.renewing.lock().await;
        let begun = [self.signed().await, self.file.load()].into_iter().flatten();
        let is_dead = |signed: &Signed| {
            dead.is_some_and(|dead| dead.token.expose_secret() == signed.token.expose_secret())
        };
        match begun.into_iter().find(|signed| !is_dead(signed)) {
            Some(signed) => {
                *self.signed.lock().await = Some(signed.clone());
                Ok(signed)
            }
            None => self.sign_in().await,
        }
    }

    /// Begins a new session and keeps it on disk.
    pub async fn sign_in(&self) -> Result<Signed, SessionError> {
        let before = self.signed().await.or_else(|| self.file.load());
        let told = before.map(|signed| (signed.username, signed.bank));
        let (username, bank) = told.unwrap_or_default();
        let Some(password) = &self.who.password else { return Err(SessionError::NoPassword) };
        let info = v1::ClientInfo {
            client_id: self.who.client.to_string(),
            username: self.who.username.clone().unwrap_or(username),
            password: password.expose_secret().to_owned(),
            bank: self.who.bank.clone().unwrap_or(bank),
        };
        let call = || {
            let request = Request::new(info.clone());
            let call = |mut stub: Stub, r| async move { stub.register_client(r).await };
            async move { self.link.call(request, call).await.map_err(SessionError::SignIn) }
        };
        let response = patiently(call).await?;
        if !response.success {
            return Err(SessionError::SignIn(CallError::Answered(Refusal {
                code: Code::Unauthenticated,
                reason: Reason::BadCredentials.name().to_owned(),
                message: response.message,
                field: None,
                retry_after: None,
            })));
        }
        let signed = Signed {
            token: SecretString::from(response.auth_token),
            username: info.username,
            bank: info.bank,
            role: response.role,
            account: response.account_number.parse().ok(),
        };
        self.file.store(&signed).map_err(SessionError::Store)?;
        *self.signed.lock().await = Some(signed.clone());
        Ok(signed)
    }

    pub async fn pay(&self, draft: &Draft) -> Result<v1::PaymentResponse, SessionError> {
        // However often it is sent, and by whatever process: one payment, one trace.
        let trace = TraceId::named(&format!("{}/{}", self.who.client, draft.id));
        let send = |mut stub: Stub, r| async move { stub.process_payment(r).await };
        self.call_in(trace, request(draft), send).await
    }

    /// A stream that takes drafts as they are handed to the sender, and gives a result for each.
    pub async fn pay_many(&self) -> Result<(Payments, Results), SessionError> {
        let open = |signed: Signed| async move {
            let (payments, sent) = mpsc::unbounded_channel();
            let request = self.stamped(UnboundedReceiverStream::new(sent), &signed)?;
            let call = |mut stub: Stub, r| async move { stub.process_payments(r).await };
            let results = self.link.open(request, call).await.map_err(SessionError::Call)?;
            Ok((Payments(payments), results))
        };
        self.signed_call(open).await
    }

    /// The caller's payments as they become final, from behind `after_lsn` on.
    pub async fn watch(&self, after_lsn: u64) -> Result<Finals, SessionError> {
        let open = |signed: Signed| async move {
            let request = self.stamped(v1::WatchPaymentsRequest { after_lsn }, &signed)?;
            let call = |mut stub: Stub, r| async move { stub.watch_payments(r).await };
            self.link.open(request, call).await.map_err(SessionError::Call)
        };
        self.signed_call(open).await
    }

    /// The gateway has let the line go: the next call dials anew.
    pub async fn hang_up(&self) {
        self.link.broke().await;
    }

    /// What a broken stream means, after which the next call dials anew.
    pub async fn broken(&self, status: &Status) -> CallError {
        self.link.broke().await;
        CallError::of(status)
    }

    pub async fn balance(&self) -> Result<v1::BalanceResponse, SessionError> {
        let request = v1::BalanceRequest { account_number: String::new() };
        self.call(request, |mut stub: Stub, r| async move { stub.view_balance(r).await }).await
    }

    pub async fn payment(&self, id: &str) -> Result<v1::PaymentResponse, SessionError> {
        let request = v1::GetPaymentRequest { transaction_id: id.to_owned(), ..Default::default() };
        self.call(request, |mut stub: Stub, r| async move { stub.get_payment(r).await }).await
    }

    pub async fn payments(
        &self,
        page_size: i32,
        page_token: String,
    ) -> Result<v1::ListPaymentsResponse, SessionError> {
        let request = v1::ListPaymentsRequest { page_size, page_token, ..Default::default() };
        self.call(request, |mut stub: Stub, r| async move { stub.list_payments(r).await }).await
    }

    /// Ends the session here and at the gateway; here in any case.
    pub async fn logout(&self) -> Result<(), SessionError> {
        let Some(signed) = self.signed.lock().await.take() else { return Ok(()) };
        self.file.remove().map_err(SessionError::Store)?;
        let request = self.stamped(v1::LogoutRequest { everywhere: false }, &signed)?;
        let ended =
            self.link.call(request, |mut stub: Stub, r| async move { stub.logout(r).await });
        ended.await.map(|_| ()).map_err(SessionError::Call)
    }

    /// Any call that wants somebody signed in.
    pub async fn call<S, Q, R, F>(
        &self,
        message: Q,
        send: impl Fn(S, Request<Q>) -> F + Copy,
    ) -> Result<R, SessionError>
    where
        S: Over,
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        self.call_in(fresh_trace(), message, send).await
    }

    async fn call_in<S, Q, R, F>(
        &self,
        trace: TraceId,
        message: Q,
        send: impl Fn(S, Request<Q>) -> F + Copy,
    ) -> Result<R, SessionError>
    where
        S: Over,
        Q: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let message = &message;
        let call = |signed: Signed| async move {
            let mut request = self.stamped(message.clone(), &signed)?;
            traced(&mut request, trace);
            self.link.call(request, send).await.map_err(SessionError::Call)
        };
        self.signed_call(call).await
    }

    /// Makes a call with a token, and with a new one where the gateway does not know it any more.
    async fn signed_call<R, F>(&self, call: impl Fn(Signed) -> F) -> Result<R, SessionError>
    where
        F: Future<Output = Result<R, SessionError>>,
    {
        let mut signed = self.ensure().await?;
        let mut renewals = 0;
        loop {
            let result = patiently(|| call(signed.clone())).await;
            let signed_out = matches!(&result, Err(SessionError::Call(e)) if is_signed_out(e));
            if !signed_out || renewals == RENEWALS_MAX {
                return result;
            }
            renewals += 1;
            signed = self.renew(Some(&signed)).await?;
        }
    }

    fn stamped<Q>(&self, message: Q, signed: &Signed) -> Result<Request<Q>, SessionError> {
        let value = |text: &str| {
            // A token that cannot be written in a header is no token of the gateway's.
            AsciiMetadataValue::try_from(text).map_err(|_| SessionError::NoPassword)
        };
        let mut request = Request::new(message);
        request.metadata_mut().insert("client-id", value(self.who.client.as_str())?);
        let mut token = value(signed.token.expose_secret())?;
        token.set_sensitive(true);
        request.metadata_mut().insert("auth-token", token);
        traced(&mut request, fresh_trace());
        Ok(request)
    }
}

fn fresh_trace() -> TraceId {
    TraceId::named(&rand::random::<u128>().to_string())
}

/// Says in the gateway's lines of calls what this one belongs to.
fn traced<Q>(request: &mut Request<Q>, trace: TraceId) {
    if let Ok(value) = AsciiMetadataValue::try_from(trace.header(rand::random())) {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
}

/// One payment on the wire.
fn request(draft: &Draft) -> v1::PaymentRequest {
    v1::PaymentRequest {
        transaction_id: draft.id.to_string(),
        recipient_account_number: draft.payee.to_string(),
        amount_minor: draft.amount.minor(),
        currency_code: draft.currency.to_string(),
        memo: draft.memo.as_str().to_owned(),
    }
}

fn is_signed_out(error: &CallError) -> bool {
    matches!(error, CallError::Answered(refusal) if refusal.code == Code::Unauthenticated)
}

/// Calls again while the gateway answers that it is only a matter of a moment.
async fn patiently<R, F>(call: impl Fn() -> F) -> Result<R, SessionError>
where
    F: Future<Output = Result<R, SessionError>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        let result = call().await;
        let wait = match &result {
            Err(
                SessionError::Call(CallError::Answered(refusal))
                | SessionError::SignIn(CallError::Answered(refusal)),
            ) if is_momentary(refusal) => refusal.retry_after.unwrap_or(PATIENCE_STEP),
            _ => return result,
        };
        if Instant::now() + wait >= end {
            return result;
        }
        tokio::time::sleep(wait).await;
    }
}

pub(super) fn is_momentary(refusal: &Refusal) -> bool {
    let momentary = [Reason::Recovering, Reason::TooManyRequests];
    momentary.iter().any(|reason| reason.name() == refusal.reason)
}
