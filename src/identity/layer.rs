//! The layer around all routes: certificate, then session, then the call, then one line about it.

use super::load::{Load, Place, Placed, Whose};
use super::meters;
use super::rules::{self, Rule, Session};
use super::session::{self, Authenticator, Principal};
use super::trail::{Trail, noted};
use super::{Caller, Role};
use crate::errors::{self, Reason};
use crate::telemetry::{self, TRACEPARENT, TraceId};
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};
use tonic::{Code, Status};
use tower::{Layer, Service};

/// Goes with an answer to a call that could have been signed in for, and was not.
#[derive(Copy, Clone, Debug)]
pub struct Unsigned;

/// Wraps a router in a [`Gate`].
#[derive(Clone, Default)]
pub struct IdentityLayer {
    authenticator: Option<Arc<dyn Authenticator>>,
    trail: Option<Arc<dyn Trail>>,
    load: Load,
}

impl IdentityLayer {
    /// For a service without sessions: a call whose rule asks for one is denied.
    pub fn certificates_only() -> Self {
        Self::default()
    }

    pub fn with_sessions(authenticator: Arc<dyn Authenticator>) -> Self {
        Self { authenticator: Some(authenticator), ..Self::default() }
    }

    /// Has refusals and operators' acts remembered.
    #[must_use]
    pub fn trail(self, trail: Arc<dyn Trail>) -> Self {
        Self { trail: Some(trail), ..self }
    }

    /// Has calls that are too many refused.
    #[must_use]
    pub fn load(self, load: Load) -> Self {
        Self { load, ..self }
    }
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Gate<S>;
    fn layer(&self, inner: S) -> Gate<S> {
        let Self { authenticator, trail, load } = self.clone();
        Gate { inner, authenticator, trail, load }
    }
}

/// Lets a call through when its caller may make it, and no other.
#[derive(Clone)]
pub struct Gate<S> {
    inner: S,
    authenticator: Option<Arc<dyn Authenticator>>,
    trail: Option<Arc<dyn Trail>>,
    load: Load,
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let began = Instant::now();
        let caller = request.extensions().get::<Caller>().copied();
        let rule = rules::rule(request.uri().path());
        let seen = Seen::of(&request, rule, caller, began);
        let admitted = admit(rule, caller, &request, self.authenticator.as_deref());
        let admitted = admitted.and_then(|principal| {
            let place = place(&self.load, caller, principal)?;
            Ok((principal, place))
        });
        let trail = self.trail.clone();
        let signs_in = self.authenticator.is_some();
        match admitted {
            Ok((principal, place)) => {
                if let Some(principal) = principal {
                    request.extensions_mut().insert(principal);
                }
                let unsigned = (signs_in && principal.is_none()).then_some(Unsigned);
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let mut response = answer.await?;
                    unsigned.map(|unsigned| response.extensions_mut().insert(unsigned));
                    seen.say(&response, trail.as_deref());
                    Ok(response.map(|body| Body::new(Placed { body, _place: place })))
                })
            }
            Err(status) => {
                let mut response = status.into_http();
                if signs_in {
                    response.extensions_mut().insert(Unsigned);
                }
                seen.say(&response, trail.as_deref());
                Box::pin(std::future::ready(Ok(response)))
            }
        }
    }
}

/// Whether the call may go on, and as whom.
fn admit(
    rule: Option<&Rule>,
    caller: Option<Caller>,
    request: &Request<Body>,
    authenticator: Option<&dyn Authenticator>,
) -> Result<Option<Principal>, Status> {
    let Some(caller) = caller.filter(|caller| caller.role != Role::Stranger) else {
        let what = "the certificate carries no role: it needs one SAN URI such as strife://client";
        return Err(errors::status(Reason::IdentityMismatch, what));
    };
    let Some(rule) = rule else {
        return Err(errors::status(Reason::MethodUnknown, "no such method here"));
    };
    if !rule.callers.contains(&caller.role.kind()) {
        let what = format!("{} may not call {}", caller.role, rule.path);
        return Err(errors::status(Reason::IdentityMismatch, what));
    }
    let Session::Of(roles) = rule.session else { return Ok(None) };
    let (client_id, token) = session::claimed(request.headers())?;
    if let Role::Client(Some(name)) = caller.role
        && name != client_id
    {
        let what = format!("the certificate speaks for {name}, not for {client_id}");
        return Err(errors::status(Reason::IdentityMismatch, what));
    }
    let Some(authenticator) = authenticator else {
        return Err(errors::status(Reason::RoleRequired, "no one can be signed in here"));
    };
    let principal = authenticator.authenticate(client_id, token, caller.fingerprint)?;
    if !roles.contains(&principal.role) {
        let what = format!("the role {} may not call {}", principal.role, rule.path);
        return Err(errors::status(Reason::RoleRequired, what));
    }
    Ok(Some(principal))
}

/// The place of a call among those under way.
fn place(
    load: &Load,
    caller: Option<Caller>,
    principal: Option<Principal>,
) -> Result<Place, Status> {
    let certificate = caller.map(|caller| Whose::Certificate(caller.fingerprint));
    let whose = principal.map(|principal| Whose::Client(principal.client_id)).or(certificate);
    whose.and_then(|whose| load.admit(whose)).ok_or_else(|| {
        let after = std::time::Duration::from_millis(200);
        errors::status_retry(Reason::TooManyRequests, "too many calls are under way", after)
    })
}

/// What is remembered of a call for the line about it.
struct Seen {
    rule: Option<&'static Rule>,
    from: Option<Caller>,
    claimed: Option<recovery::model::ClientId>,
    method: Cow<'static, str>,
    client_id: String,
    caller: &'static str,
    trace: Option<TraceId>,
    began: Instant,
}

impl Seen {
    fn of(
        request: &Request<Body>,
        rule: Option<&'static Rule>,
        caller: Option<Caller>,
        began: Instant,
    ) -> Self {
        const UNKNOWN_CHARACTERS_MAX: usize = 120;
        let method = rule.map_or_else(
            || Cow::Owned(request.uri().path().chars().take(UNKNOWN_CHARACTERS_MAX).collect()),
            |rule| Cow::Borrowed(rule.path),
        );
        // What a caller claims is written down only where it is a client id at all.
        let claimed = request.headers().get("client-id").and_then(|value| value.to_str().ok());
        let claimed = claimed.and_then(|text| text.parse::<recovery::model::ClientId>().ok());
        let client_id = claimed.map(|client| client.to_string()).unwrap_or_default();
        let from = caller;
        let caller = caller.map_or("stranger", |caller| caller.role.kind().name());
        let trace = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let trace = trace.and_then(TraceId::parse);
        Self { rule, from, claimed, method, client_id, caller, trace, began }
    }

    /// The code is that of the answer's head: of a stream, that it was begun.
    fn say(self, response: &Response<Body>, trail: Option<&dyn Trail>) {
        let status = Status::from_header_map(response.headers());
        let code = status.as_ref().map_or(Code::Ok, Status::code);
        let reason = status.as_ref().and_then(errors::reason_of);
        let elapsed = self.began.elapsed();
        meters::handled(self.rule, code, elapsed);
        if let Some(reason) = reason
            && matches!(code, Code::Unauthenticated | Code::PermissionDenied)
        {
            meters::refused(reason);
        }
        if let Some(trail) = trail
            && let Some(noted) = noted(self.rule, self.from, self.claimed, code, reason)
        {
            trail.note(noted);
        }
        telemetry::call(telemetry::Call {
            method: self.method,
            client_id: self.client_id,
            caller: self.caller,
            code: meters::code_name(code),
            reason: reason.map_or("", Reason::name),
            elapsed,
            at: SystemTime::now(),
            trace: self.trace,
        });
    }
}
