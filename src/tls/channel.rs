//! Connections out, as tonic channels over our own TLS.

use super::role::WrongRole;
use super::shown::Dialling;
use crate::config::Address;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// TCP and the handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead peer is noticed after these two, also between calls.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;

/// What a channel carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// Single calls.
    Calls,
    /// A stream of batches: windows of megabytes, so that a full one does not stall it.
    Batches,
}

impl Link {
    fn stream_window_bytes(self) -> u32 {
        match self {
            Self::Calls => 1 << 20,
            Self::Batches => 4 << 20,
        }
    }

    fn connection_window_bytes(self) -> u32 {
        match self {
            Self::Calls => 4 << 20,
            Self::Batches => 8 << 20,
        }
    }
}

/// One connection, with its handshake done. What a channel makes; also for probes.
pub async fn connect(
    address: &Address,
    tls: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, BoxError> {
    let name = ServerName::try_from(address.host().to_owned())?;
    let attempt = async {
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        tcp.set_nodelay(true)?;
        let handshake = TlsConnector::from(tls).connect(name, tcp).await;
        handshake.map_err(|error| match WrongRole::behind(&error) {
            Some(wrong) => BoxError::from(wrong),
            None => error.into(),
        })
    };
    tokio::time::timeout(CONNECT_TIMEOUT, attempt).await?
}

/// Waits for the first word of the server, and leaves it to be read.
///
/// In TLS 1.3 a client has finished before the server has judged its certificate, so that a refusal
/// would arrive when a request is already written, and look like a call cut short. An HTTP/2 server
/// speaks first: once it has, it has let us in, and until then nothing was sent.
async fn accepted(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    if stream.fill_buf().await?.is_empty() {
        let kind = std::io::ErrorKind::UnexpectedEof;
        return Err(std::io::Error::new(kind, "the connection was closed before it began"));
    }
    Ok(())
}

pub(super) fn lazy(address: &Address, tls: Dialling, link: Link) -> Result<Channel, BoxError> {
    // The connector below speaks TLS itself: to tonic, the address is a plain one, and only what
    // stands in each request says https.
    let origin: http::Uri = format!("https://{address}").parse()?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .origin(origin)
        .initial_stream_window_size(link.stream_window_bytes())
        .initial_connection_window_size(link.connection_window_bytes())
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX);
    let address = address.clone();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (address, tls) = (address.clone(), tls.now());
        async move {
            let attempt = async {
                let mut stream = connect(&address, tls).await?;
                if link == Link::Calls {
                    accepted(&mut stream).await?;
                }
                Ok::<_, BoxError>(TokioIo::new(stream))
            };
            tokio::time::timeout(CONNECT_TIMEOUT, attempt).await?
        }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}
