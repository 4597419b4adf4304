//! What a port shows and what a caller shows, as of now: each connection asks anew.

use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use tokio::sync::watch;

/// One state of a listener: its own certificate, and how it judges callers.
#[derive(Clone, Debug)]
pub struct Listening {
    pub(super) config: Arc<ServerConfig>,
    pub(super) callers: Arc<dyn ClientCertVerifier>,
}

/// What a listener shows and whom it lets in, now and after each change.
#[derive(Clone, Debug)]
pub struct Server {
    now: watch::Receiver<Listening>,
}

impl Server {
    pub(super) fn following(now: watch::Receiver<Listening>) -> Self {
        Self { now }
    }

    /// For the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.borrow().config)
    }

    /// Waits until `chain`, which was believed once, is not believed any more: revoked, expired, or
    /// its authority replaced. Judged again at each change.
    pub async fn disbelieves(&self, chain: &[CertificateDer<'_>]) -> rustls::Error {
        let mut now = self.now.clone();
        loop {
            if let Err(error) = self.judge(chain) {
                return error;
            }
            if now.changed().await.is_err() {
                // Nobody reads the files again: it stays as it is.
                std::future::pending::<()>().await;
            }
        }
    }

    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let (end, between) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let callers = Arc::clone(&self.now.borrow().callers);
        callers.verify_client_cert(end, between, UnixTime::now()).map(drop)
    }
}

impl From<Listening> for Server {
    /// Never changes.
    fn from(listening: Listening) -> Self {
        Self { now: watch::channel(listening).1 }
    }
}

/// What a caller shows and whom it believes, now and after each change.
#[derive(Clone, Debug)]
pub struct Dialling {
    now: watch::Receiver<Arc<ClientConfig>>,
}

impl Dialling {
    pub(super) fn following(now: watch::Receiver<Arc<ClientConfig>>) -> Self {
        Self { now }
    }

    /// For the next handshake.
    pub fn now(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.borrow())
    }
}

impl From<Arc<ClientConfig>> for Dialling {
    /// Never changes.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { now: watch::channel(config).1 }
    }
}
