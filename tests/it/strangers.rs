//! Who is let in by real services: at a bank nobody but the gateway, at an account only its owner.

use crate::support::live::{Stage, good};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::Arc;
use strife::config::Address;
use strife::errors::{Reason, chain, reason_of};
use strife::home::{Home, Party, Service};
use strife::identity::Role;
use strife::tls;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;
use strife::wire::v1::{BalanceRequest, ClientInfo};
use tokio::io::AsyncReadExt;

/// Believes the internal authority, and shows no certificate.
fn nobody(home: &Home, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let pem = std::fs::read(home.certificate(Party::InternalAuthority)).expect("there");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("an authority");
    let mut config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Why a caller was not let in. Hearing the server's first byte is being let in.
async fn refusal(address: &Address, config: Arc<ClientConfig>) -> Option<String> {
    let mut stream = match tls::connect(address, config).await {
        Ok(stream) => stream,
        Err(error) => return Some(chain(&*error)),
    };
    let mut heard = [0; 1];
    stream.read_exact(&mut heard).await.err().map(|error| chain(&error))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn a_banks_port_refuses_a_client_nobody_and_yesterdays_tls() {
    let stage = Stage::begin();
    let home = stage.home().clone();
    let name = "HDFC".parse().expect("a bank name");
    let address = &home.running(Service::Bank(name)).expect("running").address;
    let mine = good(tls::Credentials::load(&home, Party::Client));
    let banks = good(tls::Trust::load(&home, Party::InternalAuthority));
    let as_client = good(tls::client(&mine, &banks, Role::Bank(name)));
    block_on(async {
        let refused = refusal(address, as_client).await.expect("a client is refused");
        assert!(refused.contains("alert"), "{refused}");
        let none = nobody(&home, &rustls::version::TLS13);
        let refused = refusal(address, none).await.expect("nobody is refused");
        assert!(refused.contains("CertificateRequired"), "{refused}");
        let old = nobody(&home, &rustls::version::TLS12);
        let refused = refusal(address, old).await.expect("TLS 1.2 is refused");
        assert!(refused.contains("ProtocolVersion"), "{refused}");
    });
}

#[test]
fn an_account_is_shown_to_its_owner_only() {
    let stage = Stage::begin();
    let home = stage.home().clone();
    let address = &home.running(Service::Gateway).expect("running").address;
    block_on(async {
        let channel = good(tls::to_gateway(&home, Party::Client, address));
        let mut gateway = PaymentGatewayClient::new(channel);
        let who = ClientInfo {
            client_id: "client1".to_owned(),
            username: "user1".to_owned(),
            password: "pass1".to_owned(),
            bank: "HDFC".to_owned(),
        };
        let signed = gateway.register_client(who).await.expect("signed in").into_inner();
        let mut view = async |account: &str, client: &str| {
            let account_number = account.to_owned();
            let mut request = tonic::Request::new(BalanceRequest { account_number });
            let metadata = request.metadata_mut();
            metadata.insert("client-id", client.parse().expect("a value"));
            metadata.insert("auth-token", signed.auth_token.parse().expect("a value"));
            gateway.view_balance(request).await.map(tonic::Response::into_inner)
        };
        let own = view("", "client1").await.expect("its own");
        assert_eq!(own.account_number, "10000000000001");
        let other = view("10000000000002", "client1").await.expect_err("another's");
        assert_eq!(reason_of(&other), Some(Reason::IdentityMismatch));
        // A token serves the client that it was given to, and nobody else.
        let posing = view("10000000000002", "client2").await.expect_err("posing");
        assert_eq!(reason_of(&posing), Some(Reason::TokenInvalid));
    });
}
