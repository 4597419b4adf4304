//! Lets connections in, and no more than it said.
//!
//! ```text
//! listener --> caps --> handshake (timed, bounded) --> meter --> HTTP/2 (limited) --> routes
//! ```
//!
//! tonic's own loop spins when descriptors run out, waits for ever for a handshake, and leaves
//! hyper's reset limits unset; hence this one. Each connection's certificate is read once, and each
//! of its requests carries the [`Caller`] and, where the caller gave one, its [`Deadline`]. A
//! connection ends in good order when it has reached its age, and soon after its certificate is
//! revoked or has expired.
//! Nothing here knows which calls there are, or who may make them.

mod caps;
mod deadline;
mod descriptors;
mod health;
mod meter;
mod pending;
mod plain;
mod refusals;

pub use deadline::Deadline;
pub use health::Health;
pub use plain::{metrics, serve_plain};

use crate::config::{Address, Limits};
use crate::errors::{Exit, Failure, Reason};
use crate::identity::{Caller, Unsigned};
use crate::tls::{self, Server};
use axum::body::Body;
use caps::{Caps, Place};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use meter::{Metered, Tab};
use pending::Pending;
use refusals::Refusals;
use rustls_pki_types::CertificateDer;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

/// Of a stream, and of a connection: batches must not stall.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const SEND_BUFFER_BYTES_MAX: usize = 1 << 20;
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
const FRAME_BYTES_MAX: u32 = 64 << 10;
/// A peer that opens and resets streams (CVE-2023-44487), or makes us reset them
/// (CVE-2025-8671), is cut off at these.
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 1_024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stream may go on over a connection that has reached its age.
const AGED_GRACE: Duration = Duration::from_secs(30);
/// How long the loop sleeps when the machine has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Binds the port of metrics, which the configuration calls `key`.
pub async fn bind_plain(key: &str, address: &Address) -> Result<TcpListener, Failure> {
    bind(address).await.map_err(|mut failure| {
        failure.what = format!("{} ({key}, for metrics)", failure.what);
        failure
    })
}

/// Binds, or says who must make room.
pub async fn bind(address: &Address) -> Result<TcpListener, Failure> {
    TcpListener::bind((address.host(), address.port())).await.map_err(|error| {
        let what = format!("cannot listen on {address}: {error}");
        match error.kind() {
            io::ErrorKind::AddrInUse => Failure::new(Reason::PortInUse, what),
            _ => Failure::plain(Exit::Configuration, what),
        }
    })
}

/// Serves `routes` until `stop`, then lets calls end for at most `limits.drain()`.
///
/// A stream that is open keeps its connection open: have streams watch `stop`, too.
pub async fn serve<S>(
    listener: TcpListener,
    tls: Server,
    limits: &Limits,
    routes: S,
    stop: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let places = limits.connections.min(descriptors::places());
    let caps = Caps::new(places, limits.connections_per_address);
    // Whoever says nothing takes no more than some of the places.
    let silent = places.min(limits.connections_per_address) * 3 / 4;
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    let door = Arc::new(Door {
        tls,
        handshakes: Pending::new(limits.handshakes.min(silent)),
        handshake_timeout: limits.handshake_timeout(),
        age: limits.connection_age(),
        farewell: limits.drain(),
        refusals: Refusals::default(),
        http: http(limits),
        stop: stop.clone(),
        cut: cut.clone(),
    });
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
        let Some(place) = caps.admit(peer.ip()) else {
            tracing::debug!(%peer, "too many connections: closed");
            continue;
        };
        let (door, routes) = (Arc::clone(&door), routes.clone());
        tracker.spawn(async move { door.receive(tcp, peer, place, routes).await });
    }
    drop(listener);
    tracker.close();
    if tokio::time::timeout(limits.drain(), tracker.wait()).await.is_err() {
        tracing::warn!(connections = tracker.len(), "calls did not end in time: cut off");
        cut.cancel();
        tracker.wait().await;
    }
}

/// A connection that broke before it was taken is no news; anything else will not pass by itself.
async fn pause(error: &io::Error) {
    let broken = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::Interrupted,
    ];
    if !broken.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

fn http(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http
}

/// What every connection passes through.
struct Door {
    tls: Server,
    handshakes: Pending,
    handshake_timeout: Duration,
    /// `None` for ever.
    age: Option<Duration>,
    /// How long the calls of a caller who is not believed any more may take to end.
    farewell: Duration,
    refusals: Refusals,
    http: http2::Builder<TokioExecutor>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Door {
    async fn receive<S>(&self, tcp: TcpStream, peer: SocketAddr, _place: Place, routes: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let handshake = tokio::time::timeout(self.handshake_timeout, self.handshake(tcp));
        let mut turn = self.handshakes.begin();
        let stream = tokio::select! {
            () = self.stop.cancelled() => return,
            () = turn.displaced() => return self.refusals.tell(peer, &"made room for newer ones"),
            stream = handshake => stream,
        };
        drop(turn);
        match stream {
            Ok(Ok(stream)) => self.converse(stream, peer, routes).await,
            Ok(Err(error)) => self.refusals.tell(peer, &error),
            Err(_) => self.refusals.tell(peer, &"took too long"),
        }
    }

    async fn handshake(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tcp.set_nodelay(true)?;
        TlsAcceptor::from(self.tls.config()).accept(tcp).await
    }

    async fn converse<S>(&self, stream: TlsStream<TcpStream>, peer: SocketAddr, routes: S)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let certificates = stream.get_ref().1.peer_certificates();
        // The handshake demands one; without it there is nobody to talk to.
        let Some(chain) = certificates.filter(|chain| !chain.is_empty()) else { return };
        let chain = chain.to_vec();
        let caller = Caller::of_certificate(&chain[0]);
        let stream = Metered::new(stream);
        let tab = stream.tab();
        let service =
            service_fn(move |request| answer(request, caller, tab.clone(), routes.clone()));
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            why = self.over(&chain) => {
                tracing::debug!(%peer, role = %caller.role, ?why, "connection is to end");
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.at_last(why, &chain) => return,
                }
            }
        };
        if let Err(error) = ended {
            let error = crate::errors::chain(&error);
            tracing::debug!(%peer, role = %caller.role, error, "connection broke");
        }
    }

    /// Waits until the connection must begin no further call.
    async fn over(&self, chain: &[CertificateDer<'static>]) -> Over {
        let expiry = tls::lifetime(&chain[0]).map(|lifetime| lifetime.end);
        let left = expiry.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        tokio::select! {
            () = self.stop.cancelled() => Over::Stopping,
            error = self.tls.disbelieves(chain) => {
                tracing::warn!(%error, "a caller is not believed any more: its connection ends");
                Over::Disbelieved
            }
            () = after(left) => Over::Disbelieved,
            () = after(self.age.map(jittered)) => Over::Aged,
        }
    }

    /// Waits until its calls have had their time to end.
    async fn at_last(&self, why: Over, chain: &[CertificateDer<'static>]) {
        match why {
            Over::Stopping => self.cut.cancelled().await,
            Over::Disbelieved => tokio::time::sleep(self.farewell).await,
            Over::Aged => tokio::select! {
                () = self.cut.cancelled() => {}
                () = tokio::time::sleep(AGED_GRACE) => {}
                _ = self.tls.disbelieves(chain) => tokio::time::sleep(self.farewell).await,
            },
        }
    }
}

/// Why a connection ends in good order.
#[derive(Copy, Clone, Debug)]
enum Over {
    Stopping,
    /// Revoked, expired, or of an authority that is not ours any more.
    Disbelieved,
    Aged,
}

/// A tenth more or less, so that connections made together do not end together.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(0.9..=1.1))
}

/// `None` is never.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn answer<S>(
    request: Request<Incoming>,
    caller: Caller,
    tab: Tab,
    routes: S,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(caller);
    let answer = match Deadline::of(request.headers()) {
        None => routes.oneshot(request).await,
        Some(deadline) => {
            request.extensions_mut().insert(deadline);
            deadline.bound(routes.oneshot(request)).await
        }
    };
    if answer.as_ref().is_ok_and(|answer| answer.extensions().get::<Unsigned>().is_some()) {
        tab.charge();
    }
    answer
}
