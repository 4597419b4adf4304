//! Who is let in at a port, and whom a caller believes.

use crate::support::edge::{self as support, Served, bank, causes, check, home};
use rustls::ClientConfig;
use std::sync::Arc;
use strife::config::Limits;
use strife::home::{Home, Party};
use strife::identity::{IdentityLayer, Role};
use strife::tls::{self, Link};
use tokio::io::AsyncReadExt;
use tonic::Code;

async fn serve(home: &Home, party: Party) -> Served {
    let layer = IdentityLayer::certificates_only();
    support::serve(home, party, layer, Limits::default(), support::health().await).await
}

/// Believes the authority that signs `shown`, and otherwise is as asked.
fn custom(
    home: &Home,
    shown: Party,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    use rustls_pki_types::pem::PemObject;
    let pem = std::fs::read(home.certificate(shown.signer())).expect("there");
    let mut roots = rustls::RootCertStore::empty();
    let authority = rustls_pki_types::CertificateDer::from_pem_slice(&pem).expect("a certificate");
    roots.add(authority).expect("an authority");
    let mut config = ClientConfig::builder_with_protocol_versions(&[version])
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// With TLS 1.3 a caller learns only from the first read that its certificate was refused.
async fn refusal(served: &Served, config: Arc<ClientConfig>) -> Option<String> {
    let mut stream = match tls::connect(&served.address, config).await {
        Ok(stream) => stream,
        Err(error) => return Some(strife::errors::chain(&*error)),
    };
    // An HTTP/2 server speaks first: hearing its settings is being let in.
    let mut heard = [0; 1];
    stream.read_exact(&mut heard).await.err().map(|error| strife::errors::chain(&error))
}

#[tokio::test]
async fn each_party_reaches_its_own_port() {
    let (_keep, home) = home();
    let public = serve(&home, Party::Server).await;
    for caller in [Party::Client, Party::Admin] {
        let channel = tls::to_gateway(&home, caller, &public.address).expect("a channel");
        check(channel).await.expect("answered");
    }
    let hdfc = serve(&home, Party::Bank(bank("HDFC"))).await;
    check(tls::to_bank(&home, bank("HDFC"), &hdfc.address).expect("a channel"))
        .await
        .expect("answered");
    let internal = serve(&home, Party::Gateway).await;
    check(tls::to_coordinator(&home, bank("Axis"), &internal.address).expect("a channel"))
        .await
        .expect("answered");
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused() {
    let (_keep, home) = home();
    for party in [Party::Server, Party::Gateway, Party::Bank(bank("HDFC"))] {
        let served = serve(&home, party).await;
        let config = custom(&home, party, &rustls::version::TLS13);
        let refused = refusal(&served, config).await.expect("refused");
        assert!(refused.contains("CertificateRequired"), "{refused}");
    }
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let (_keep, home) = home();
    let served = serve(&home, Party::Server).await;
    let config = custom(&home, Party::Server, &rustls::version::TLS12);
    let refused = refusal(&served, config).await.expect("refused");
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}

#[tokio::test]
async fn a_clients_certificate_opens_no_banks_port() {
    let (_keep, home) = home();
    let served = serve(&home, Party::Bank(bank("HDFC"))).await;
    // It would believe the bank, and shows what a client has.
    let mine = tls::Credentials::load(&home, Party::Client).expect("there");
    let banks = tls::Trust::load(&home, Party::InternalAuthority).expect("there");
    let config = tls::client(&mine, &banks, Role::Bank(bank("HDFC"))).expect("usable");
    let refused = refusal(&served, config).await.expect("refused");
    assert!(refused.contains("alert"), "{refused}");
}

#[tokio::test]
async fn the_public_servers_certificate_opens_no_port_at_all() {
    let (_keep, home) = home();
    let served = serve(&home, Party::Server).await;
    let stolen = tls::Credentials::load(&home, Party::Server).expect("there");
    let trust = tls::Trust::load(&home, Party::Authority).expect("there");
    let config = tls::client(&stolen, &trust, Role::Gateway).expect("usable");
    assert!(refusal(&served, config).await.is_some());
}

#[tokio::test]
async fn a_gateway_refuses_a_bank_that_answers_at_anothers_address() {
    let (_keep, home) = home();
    let axis = serve(&home, Party::Bank(bank("Axis"))).await;
    let channel = tls::to_bank(&home, bank("HDFC"), &axis.address).expect("a channel");
    let status = check(channel).await.expect_err("refused");
    let text = causes(&status);
    assert_eq!(status.code(), Code::Unavailable, "{text}");
    assert!(text.contains("strife://bank/HDFC was dialled"), "{text}");
    assert!(text.contains("strife://bank/Axis answered"), "{text}");
}

#[tokio::test]
async fn a_client_refuses_a_server_of_another_installation() {
    let (_keep, mine) = home();
    let (_keep_too, other) = home();
    let served = serve(&other, Party::Server).await;
    let channel = tls::to_gateway(&mine, Party::Client, &served.address).expect("a channel");
    let status = check(channel).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable, "{}", causes(&status));
}

#[tokio::test]
async fn a_channel_connects_when_it_is_used_and_again_when_the_server_is_back() {
    let (_keep, home) = home();
    let served = serve(&home, Party::Server).await;
    let address = served.address.clone();
    let config = tls::client_of(&home, Party::Client, Role::Gateway).expect("usable");
    let channel = tls::channel(&address, config, Link::Calls).expect("a channel");
    check(channel.clone()).await.expect("answered");
    served.stop.cancel();
    drop(served);
    while check(channel.clone()).await.is_ok() {}
    let listener = loop {
        if let Ok(listener) = strife::accept::bind(&address).await {
            break listener;
        }
        tokio::task::yield_now().await;
    };
    let tls = tls::server_of(&home, Party::Server).expect("usable");
    let stop = tokio_util::sync::CancellationToken::new();
    let routes = tower::Layer::layer(&IdentityLayer::certificates_only(), support::health().await);
    let until = stop.clone();
    tokio::spawn(async move {
        strife::accept::serve(listener, tls, &Limits::default(), routes, until).await;
    });
    while check(channel.clone()).await.is_err() {}
    stop.cancel();
}
