//! HTTP/1 without TLS, for this machine: metrics and the web page.
//!
//! Nothing that moves money is served here. A connection that says nothing is closed, and there are
//! only so many.

use super::caps::{Caps, Place};
use super::pause;
use crate::telemetry::meters::{self, UPKEEP_EVERY};
use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONNECTIONS_MAX: usize = 256;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 64;
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// How long an answer that is under way may take when the service stops.
const DRAIN: Duration = Duration::from_millis(300);

/// As Prometheus names its text format.
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics`. `refresh` brings figures up to date that are not kept so at every payment.
pub fn metrics<F, R>(refresh: F) -> Router
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    let answer = move || {
        let refreshed = refresh();
        async move {
            refreshed.await;
            ([(CONTENT_TYPE, METRICS_TEXT)], meters::install().render())
        }
    };
    Router::new().route("/metrics", get(answer))
}

/// Counts samples now and then, whether or not anybody reads them.
async fn keep_counted() {
    let mut due = tokio::time::interval(UPKEEP_EVERY);
    loop {
        due.tick().await;
        meters::install().upkeep();
    }
}

/// Serves `routes` until `stop`.
pub async fn serve_plain(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let caps = Caps::new(CONNECTIONS_MAX, CONNECTIONS_MAX);
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    let counting = tokio::spawn(keep_counted());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Some(place) = caps.admit(peer.ip()) else { continue };
        let (routes, stop, cut) = (routes.clone(), stop.clone(), cut.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = converse(tcp, place, routes, stop) => {}
            }
        });
    }
    counting.abort();
    tracker.close();
    if tokio::time::timeout(DRAIN, tracker.wait()).await.is_err() {
        cut.cancel();
        tracker.wait().await;
    }
}

async fn converse(tcp: TcpStream, _place: Place, routes: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    let service = TowerToHyperService::new(routes);
    let connection = http.serve_connection(TokioIo::new(tcp), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        let error = crate::errors::chain(&error);
        tracing::debug!(error, "a plain connection broke");
    }
}
