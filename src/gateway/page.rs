//! The gateway's plain port: its figures, and the way to the console.
//!
//! ```text
//!  browser, Prometheus --> /metrics          answered here
//!                     '--> anything else --> the console's own process, as it is
//! ```
//!
//! The console is a process of its own, so that whatever happens to it touches no payment. Nothing
//! that it says is read here.

use super::coordinator::CoordinatorBox;
use super::meters;
use crate::accept;
use crate::home::{Home, Party, Service};
use crate::tls;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use metrics::gauge;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Whose certificates the gateway shows, believes or hands out.
const PARTIES: [Party; 6] = [
    Party::Authority,
    Party::InternalAuthority,
    Party::Server,
    Party::Gateway,
    Party::Client,
    Party::Admin,
];

/// `/metrics`, and with `console` everything else, passed on.
pub(super) fn routes(
    home: &Home,
    coordinator: &CoordinatorBox,
    mirror_lag: impl Fn() -> u64 + Send + Sync + 'static,
    console: bool,
) -> Router {
    let (home, coordinator) = (Arc::new(home.clone()), coordinator.clone());
    let (read, mirror_lag) = (Arc::clone(&home), Arc::new(mirror_lag));
    let metrics = accept::metrics(move || {
        let (home, coordinator) = (Arc::clone(&read), coordinator.clone());
        let mirror_lag = Arc::clone(&mirror_lag);
        async move {
            meters::refresh(&coordinator).await;
            gauge!("strife_mirror_lag_records").set(mirror_lag() as f64);
            tls::show_expiry(&home, &PARTIES);
        }
    });
    if !console {
        return metrics;
    }
    metrics.fallback(move |request: Request<Body>| {
        let home = Arc::clone(&home);
        async move { pass_on(&home, request).await.unwrap_or_else(|what| absent(&what)) }
    })
}

/// To wherever the console says that it listens, over a connection of this request's own.
async fn pass_on(home: &Home, request: Request<Body>) -> Result<Response<Body>, String> {
    let running = home.running(Service::Console);
    let address = running.ok_or("the console is not running: strife console")?.address;
    let told = |error: &dyn std::fmt::Display| format!("the console does not answer: {error}");
    let tcp = TcpStream::connect((address.host(), address.port())).await.map_err(|e| told(&e))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await;
    let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| told(&error))?;
    Ok(answer.map(Body::new))
}

fn absent(what: &str) -> Response<Body> {
    let text = format!("{what}\n\nPayments are not touched by this. Metrics are at /metrics.\n");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
