//! What the page asks for, as JSON; and the page itself.

use super::desk::{Denied, Session, denied};
use super::{Shared, events, figures, logs, reports};
use crate::config::Address;
use crate::errors::{Exit, Failure};
use crate::inspect::words::Accounts;
use crate::inspect::{explain, in_doubt};
use crate::journal::wall_ms;
use crate::wire::v1::{ListInDoubtRequest, StatusRequest};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::PoisonError;

/// A user name and a password are small.
const BODY_BYTES_MAX: usize = 4 << 10;
const IN_DOUBT_MAX: u32 = 200;
const LINES_MAX: usize = 500;
/// Records that a page which has just been opened looks back.
const LOOK_BACK: u64 = 600;

/// The files of the page.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("/draw.js", "text/javascript; charset=utf-8", include_str!("page/draw.js")),
    ("/live.js", "text/javascript; charset=utf-8", include_str!("page/live.js")),
    ("/views.js", "text/javascript; charset=utf-8", include_str!("page/views.js")),
    ("/log.js", "text/javascript; charset=utf-8", include_str!("page/log.js")),
    ("/past.js", "text/javascript; charset=utf-8", include_str!("page/past.js")),
    ("/payment.js", "text/javascript; charset=utf-8", include_str!("page/payment.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

pub(super) fn routes(console: Shared) -> Router {
    let files = FILES.into_iter().fold(Router::new(), |routes, (path, kind, text)| {
        routes.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], text) }))
    });
    files
        .route("/api/sign-in", post(sign_in))
        .route("/api/sign-out", post(sign_out))
        .route("/api/me", get(me))
        .route("/api/overview", get(overview))
        .route("/api/events", get(follow))
        .route("/api/log", get(log))
        .route("/api/payment", get(payment))
        .route("/api/evidence", get(evidence))
        .route("/api/holds", get(holds))
        .route("/api/drills", get(drills))
        .route("/api/recoveries", get(recoveries))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(console)
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, what) = match self {
            Self::SignIn => (StatusCode::UNAUTHORIZED, "sign in first".to_owned()),
            Self::Refused(what) => (StatusCode::FORBIDDEN, what),
            Self::Away(what) => (StatusCode::SERVICE_UNAVAILABLE, what),
        };
        (status, Json(json!({ "error": what }))).into_response()
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn sign_in(
    State(console): State<Shared>,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Denied> {
    let cookie = console.desk.sign_in(&credentials.username, &credentials.password).await?;
    Ok(([(SET_COOKIE, cookie)], Json(json!({ "ok": true }))).into_response())
}

async fn sign_out(State(console): State<Shared>, headers: HeaderMap) -> Response {
    let cookie = console.desk.sign_out(&headers).await;
    ([(SET_COOKIE, cookie)], Json(json!({ "ok": true }))).into_response()
}

async fn me(State(console): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Denied> {
    // Nobody is no error here: the page asks whether anybody is signed in.
    let session = match console.desk.session(&headers).await {
        Err(Denied::SignIn) => return Ok(Json(Value::Null)),
        session => session?,
    };
    let home = std::path::absolute(console.home.root()).unwrap_or_default();
    Ok(Json(json!({
        "client_id": session.client_id,
        "role": session.role,
        "home": home,
        "version": env!("CARGO_PKG_VERSION"),
        "banks": console.config.banks.keys().map(ToString::to_string).collect::<Vec<_>>(),
        "settle_wait_ms": console.config.gateway.settle_wait_ms,
    })))
}

/// Everything at a glance. What does not answer is left out, and said.
async fn overview(
    State(console): State<Shared>,
    headers: HeaderMap,
) -> Result<Json<Value>, Denied> {
    let session = console.desk.session(&headers).await?;
    let banks = console.config.banks.iter().map(|(name, bank)| {
        let address: &Address = &bank.metrics_address;
        async move { (name.to_string(), figures::read(address).await) }
    });
    let (gateway, banks, live) = tokio::join!(
        figures::read(&console.config.console.address),
        futures_util::future::join_all(banks),
        live(&console, &session),
    );
    let (status, in_doubt, problem) = match live {
        Ok((status, in_doubt)) => (status, in_doubt, None),
        Err(Denied::Away(what)) => (Value::Null, Value::Null, Some(what)),
        Err(other) => return Err(other),
    };
    let banks: serde_json::Map<String, Value> =
        banks.into_iter().map(|(name, figures)| (name, json!(figures))).collect();
    Ok(Json(json!({
        "at_ms": wall_ms(),
        "status": status,
        "in_doubt": in_doubt,
        "gateway": gateway,
        "banks": banks,
        "problem": problem,
    })))
}

async fn live(console: &Shared, session: &Session) -> Result<(Value, Value), Denied> {
    let mut admin = console.desk.admin()?;
    let status = admin.status(session.call(StatusRequest {})).await.map_err(|s| denied(&s))?;
    let request = session.call(ListInDoubtRequest { limit: IN_DOUBT_MAX });
    let listed = admin.list_in_doubt(request).await.map_err(|s| denied(&s))?;
    let status = status.into_inner();
    let banks = status.banks.iter().map(|bank| {
        json!({
            "bank": bank.bank,
            "address": bank.address,
            "state": bank.state,
            "problem": bank.problem,
            "waiting": bank.waiting,
        })
    });
    let told = json!({
        "lineage": status.lineage,
        "epoch": status.epoch,
        "durable_lsn": status.durable_lsn,
        "mirror_lsn": status.mirror_lsn,
        "in_doubt": status.in_doubt,
        "in_doubt_amount_minor": status.in_doubt_amount_minor,
        "payments": status.payments,
        "ack": status.ack,
        "uptime_ms": status.uptime_ms,
        "version": status.version,
        "banks": banks.collect::<Vec<_>>(),
    });
    let open = listed.into_inner().payments.into_iter().map(|payment| {
        json!({
            "payment": payment.global_id,
            "reference": payment.reference,
            "amount_minor": payment.amount_minor,
            "currency": payment.currency_code,
            "phase": payment.phase,
            "waiting_for": payment.waiting_for,
            "age_ms": payment.age_ms,
        })
    });
    Ok((told, open.collect()))
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

async fn follow(
    State(console): State<Shared>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    let session = console.desk.session(&headers).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let after = if let Some(after) = last.or(after) {
        after
    } else {
        let mut admin = console.desk.admin()?;
        let status = admin.status(session.call(StatusRequest {})).await;
        let status = status.map_err(|status| denied(&status))?;
        status.into_inner().durable_lsn.saturating_sub(LOOK_BACK)
    };
    Ok(events::stream(console, session, after).await?.into_response())
}

/// Runs `read` where it may block, one at a time.
async fn reading<T: Send + 'static>(
    console: Shared,
    read: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Result<T, Denied> {
    let gone = |_| Denied::Away("the console is stopping".to_owned());
    let place = std::sync::Arc::clone(&console.reading).acquire_owned().await;
    let place = place.map_err(|error| Denied::Away(error.to_string()))?;
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        read(&console)
    });
    read.await.map_err(gone)
}

#[derive(Deserialize)]
struct LogQuery {
    log: String,
    before: Option<u64>,
    limit: Option<usize>,
    kind: Option<String>,
    text: Option<String>,
}

async fn log(
    State(console): State<Shared>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    console.desk.session(&headers).await?;
    let Some(service) = logs::service(&query.log) else {
        return Ok(not_found("there is no such log"));
    };
    let wanted = logs::Wanted {
        service,
        before: query.before.unwrap_or(u64::MAX),
        limit: query.limit.unwrap_or(100).clamp(1, LINES_MAX),
        kind: query.kind.unwrap_or_default(),
        text: query.text.unwrap_or_default(),
    };
    let page = reading(console, move |console| logs::page(&console.home, &wanted)).await?;
    Ok(Json(page).into_response())
}

#[derive(Deserialize)]
struct PaymentQuery {
    id: String,
}

async fn payment(
    State(console): State<Shared>,
    Query(PaymentQuery { id }): Query<PaymentQuery>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    console.desk.session(&headers).await?;
    let read = move |console: &Shared| explain::find(&console.home, &id, &[]);
    Ok(match reading(console, read).await? {
        Ok(found) => Json(explain::json(&found, Accounts::Masked)).into_response(),
        Err(failure) => failed(&failure),
    })
}

/// What every log says of a payment that is not over, and what is safe.
async fn evidence(
    State(console): State<Shared>,
    Query(PaymentQuery { id }): Query<PaymentQuery>,
    headers: HeaderMap,
) -> Result<Response, Denied> {
    console.desk.session(&headers).await?;
    let runtime = tokio::runtime::Handle::current();
    let read =
        move |console: &Shared| runtime.block_on(in_doubt::one(&console.home, &id, wall_ms()));
    Ok(match reading(console, read).await? {
        Ok((found, over)) => Json(json!({ "found": found, "over": over })).into_response(),
        Err(failure) => failed(&failure),
    })
}

fn failed(failure: &Failure) -> Response {
    let status = match failure.exit {
        Exit::Declined => StatusCode::NOT_FOUND,
        Exit::Usage => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let told = json!({ "error": failure.what, "todo": failure.todo });
    (status, Json(told)).into_response()
}

fn not_found(what: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": what }))).into_response()
}

async fn holds(State(console): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Denied> {
    console.desk.session(&headers).await?;
    let read = reading(console, |console| {
        let banks = console.config.banks.iter().filter(|(_, bank)| !bank.foreign);
        let mut holds = console.holds.lock().unwrap_or_else(PoisonError::into_inner);
        holds.now(&console.home, banks.map(|(name, _)| *name))
    });
    let (holds, problems) = read.await?;
    Ok(Json(json!({ "holds": holds, "problems": problems })))
}

async fn drills(State(console): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Denied> {
    console.desk.session(&headers).await?;
    let read = reading(console, |console| reports::drills(&console.home)).await?;
    Ok(Json(json!({ "reports": read })))
}

async fn recoveries(
    State(console): State<Shared>,
    headers: HeaderMap,
) -> Result<Json<Value>, Denied> {
    console.desk.session(&headers).await?;
    Ok(Json(reading(console, |console| reports::history(&console.home)).await?))
}
