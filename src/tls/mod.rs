//! Every link is mutual TLS 1.3, and both ends are checked by authority *and* by role.
//!
//! A server refuses a caller without a certificate of its authority. A caller refuses a server
//! whose name, authority or role is not what it dialled: with two banks' addresses exchanged in the
//! configuration, not one byte of a payment leaves. Sessions are not resumed, so that every
//! connection shows its certificate again. What an authority has revoked is refused on both ends,
//! and [`Keeper`] reads all of it again when it changes.
//!
//! rustls is named here and in `accept`, and nowhere else. Nothing here knows what is said over a
//! connection.

mod channel;
mod files;
mod keeper;
mod role;
mod shown;

pub use channel::{Link, connect};
pub use files::{Credentials, Trust, certificate, lifetime, parse_certificate, show_expiry};
pub use keeper::{ENDS_SOON, Keeper};
pub use shown::{Dialling, Listening, Server};

use crate::config::Address;
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party};
use crate::identity::Role;
use recovery::model::BankName;
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use tonic::transport::Channel;

const ALPN_HTTP2: &[u8] = b"h2";

/// Chooses the one crypto provider. First thing in `main`: with none or two, rustls panics later.
pub fn install_provider() {
    // Fails only when it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What a listener shows, and whom it lets in.
pub fn server(credentials: &Credentials, callers: &Trust) -> Result<Listening, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::clone(&callers.roots);
    let callers = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .with_crls(callers.revoked.iter().cloned())
        .only_check_end_entity_revocation()
        .build()
        .map_err(|error| unusable(&callers.origin, &error))?;
    let (chain, key) = credentials.pair();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&credentials.origin, &error))?
        .with_client_cert_verifier(Arc::clone(&callers))
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&credentials.origin, &error))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Listening { config: Arc::new(config), callers })
}

/// What a caller shows, whom it believes, and which role it means to reach.
pub fn client(
    credentials: &Credentials,
    servers: &Trust,
    expected: Role,
) -> Result<Arc<ClientConfig>, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = role::RoleVerifier::new(servers, expected, &provider)?;
    let (chain, key) = credentials.pair();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&credentials.origin, &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(&credentials.origin, &error))?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// What `party` shows on its listener: [`Party::Server`] to clients and operators,
/// [`Party::Gateway`] and [`Party::Bank`] to each other.
pub fn server_of(home: &Home, party: Party) -> Result<Server, Failure> {
    listening_of(home, party).map(Server::from)
}

fn listening_of(home: &Home, party: Party) -> Result<Listening, Failure> {
    server(&Credentials::load(home, party)?, &Trust::load(home, party.signer())?)
}

/// How `caller` reaches a service that shows the role `expected`.
pub fn client_of(home: &Home, caller: Party, expected: Role) -> Result<Arc<ClientConfig>, Failure> {
    client(&Credentials::load(home, caller)?, &Trust::load(home, caller.signer())?, expected)
}

/// From a client (or, with [`Party::Admin`], an operator) to the gateway. Connects when it is used.
pub fn to_gateway(home: &Home, caller: Party, address: &Address) -> Result<Channel, Failure> {
    let config = client_of(home, caller, Role::Gateway)?;
    channel(address, config, Link::Calls)
}

/// From the gateway to a bank. Connects when it is used.
pub fn to_bank(home: &Home, bank: BankName, address: &Address) -> Result<Channel, Failure> {
    let config = client_of(home, Party::Gateway, Role::Bank(bank))?;
    channel(address, config, Link::Batches)
}

/// From a bank to the gateway's internal listener. Connects when it is used.
pub fn to_coordinator(home: &Home, bank: BankName, address: &Address) -> Result<Channel, Failure> {
    let config = client_of(home, Party::Bank(bank), Role::Gateway)?;
    channel(address, config, Link::Calls)
}

/// A lazy channel to `address`.
pub fn channel(
    address: &Address,
    tls: impl Into<Dialling>,
    link: Link,
) -> Result<Channel, Failure> {
    channel::lazy(address, tls.into(), link).map_err(|error| {
        let what = format!("{address} cannot be dialled: {}", crate::errors::chain(&*error));
        Failure::new(Reason::ConfigInvalid, what).exit(Exit::Configuration)
    })
}

fn unusable(origin: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    let what = format!("{origin} cannot be used: {}", crate::errors::chain(error));
    Failure::new(Reason::CertificateInvalid, what)
}
