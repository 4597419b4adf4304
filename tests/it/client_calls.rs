//! What a failed call means, against real sockets.

use crate::support::edge;
use crate::support::fake_gateway::{Act, FakeGateway};
use std::sync::Arc;
use std::time::Duration;
use strife::client::classify::CallError;
use strife::client::link::{Link, Stub};
use strife::config::Address;
use strife::errors::{Reason, status, status_retry, status_with};
use strife::home::{Home, Party};
use strife::identity::Role;
use strife::tls;
use strife::wire::v1;
use tonic::Request;
use tonic::transport::Endpoint;

fn link_to(endpoint: Endpoint) -> Link {
    let timeout = Duration::from_millis(700);
    Link::new(Arc::new(move || Ok(endpoint.connect_lazy())), timeout)
}

fn link(gateway: &FakeGateway) -> Link {
    gateway.shared.book().tokens.push("t".to_owned());
    link_to(gateway.endpoint())
}

async fn pay(link: &Link) -> Result<v1::PaymentResponse, CallError> {
    let mut request = Request::new(v1::PaymentRequest {
        transaction_id: "tx".to_owned(),
        amount_minor: 5,
        ..v1::PaymentRequest::default()
    });
    request.metadata_mut().insert("auth-token", "t".parse().expect("ascii"));
    link.call(request, |mut stub: Stub, r| async move { stub.process_payment(r).await }).await
}

fn is_unknown<T>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::OutcomeUnknown { .. }))
}

fn is_not_sent<T>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::NotSent { .. }))
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let mut gateway = FakeGateway::start();
    let link = link(&gateway);
    gateway.kill();
    let result = pay(&link).await;
    assert!(is_not_sent(&result), "{result:?}");
    assert!(format!("{result:?}").contains("refused"), "the cause is told: {result:?}");
}

#[tokio::test]
async fn a_stopped_gateway_whose_kernel_still_accepts_leaves_the_outcome_unknown() {
    // The kernel accepts for a stopped process.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let uri = format!("http://{address}");
    let link = link_to(Endpoint::from_shared(uri).expect("an address"));
    let result = pay(&link).await;
    // HTTP/2 without TLS has no handshake to wait for: the request may lie in the socket.
    assert!(is_unknown(&result), "{result:?}");
}

#[tokio::test]
async fn a_gateway_killed_during_a_call_leaves_the_outcome_unknown() {
    for (act, moved) in [(Act::Die, 0), (Act::PayAndDie, 1)] {
        let mut gateway = FakeGateway::start();
        let link = link(&gateway);
        gateway.shared.script([act]);
        let result = pay(&link).await;
        assert!(is_unknown(&result), "{result:?}");
        gateway.wait();
        assert_eq!(gateway.shared.book().moved.len(), moved, "the client cannot tell, and says so");
    }
}

#[tokio::test]
async fn a_gateway_killed_after_a_call_is_found_again_on_the_same_port() {
    let mut gateway = FakeGateway::start();
    let link = link(&gateway);
    assert!(pay(&link).await.is_ok());
    gateway.kill();
    assert!(pay(&link).await.is_err());
    gateway.restart();
    let again = pay(&link).await.expect("a new connection is made");
    assert!(again.replayed);
}

#[tokio::test]
async fn a_restart_between_two_calls_is_never_taken_for_a_request_that_stayed_here() {
    let mut gateway = FakeGateway::start();
    let link = link(&gateway);
    assert!(pay(&link).await.is_ok());
    gateway.restart();
    let result = pay(&link).await;
    assert!(result.is_ok() || is_unknown(&result), "{result:?}");
    assert!(pay(&link).await.is_ok());
}

#[tokio::test]
async fn a_deadline_leaves_the_outcome_unknown() {
    let gateway = FakeGateway::start();
    let link = link(&gateway);
    gateway.shared.script([Act::Hang, Act::PayAndHang]);
    for _ in 0..2 {
        let result = pay(&link).await;
        assert!(is_unknown(&result), "{result:?}");
    }
    assert!(pay(&link).await.expect("it had gone through").replayed);
}

#[tokio::test]
async fn a_panic_of_the_handler_leaves_the_outcome_unknown() {
    let gateway = FakeGateway::start();
    let link = link(&gateway);
    gateway.shared.script([Act::Panic]);
    let result = pay(&link).await;
    assert!(is_unknown(&result), "{result:?}");
    assert!(pay(&link).await.is_ok());
}

#[tokio::test]
async fn a_reason_of_the_gateway_is_an_answer() {
    let gateway = FakeGateway::start();
    let link = link(&gateway);
    let field = [("field", "amount_minor")];
    gateway.shared.script([
        Act::Refuse(status_with(Reason::TransactionIdReused, "differs", &field)),
        Act::Refuse(status_retry(Reason::Recovering, "reading", Duration::from_millis(40))),
        Act::Refuse(status(Reason::BankUnavailable, "HDFC is away")),
    ]);
    let mut heard = Vec::new();
    for _ in 0..3 {
        let Err(CallError::Answered(refusal)) = pay(&link).await else { panic!("no answer") };
        heard.push((refusal.reason, refusal.field, refusal.retry_after));
    }
    let name = |reason: Reason| reason.name().to_owned();
    assert_eq!(heard[0], (name(Reason::TransactionIdReused), Some("amount_minor".into()), None));
    assert_eq!(heard[1], (name(Reason::Recovering), None, Some(Duration::from_millis(40))));
    assert_eq!(heard[2], (name(Reason::BankUnavailable), None, None));
}

#[tokio::test]
async fn a_code_without_a_reason_of_ours_leaves_the_outcome_unknown() {
    let gateway = FakeGateway::start();
    let link = link(&gateway);
    gateway.shared.script([
        Act::Refuse(tonic::Status::cancelled("Timeout expired")),
        Act::Refuse(tonic::Status::unavailable("a proxy says so")),
        Act::Refuse(tonic::Status::internal("a layer says so")),
    ]);
    for _ in 0..3 {
        let result = pay(&link).await;
        assert!(is_unknown(&result), "{result:?}");
    }
}

/// Two homes: the gateway's, and one whose authority it has never heard of.
fn strangers() -> (tempfile::TempDir, tempfile::TempDir, FakeGateway, Home) {
    let (keep, home) = edge::home();
    let (other_keep, other) = edge::home();
    let gateway = FakeGateway::start_in(&home);
    (keep, other_keep, gateway, other)
}

fn link_as(home: &Home, gateway: &FakeGateway, trust: &Home) -> Link {
    gateway.shared.book().tokens.push("t".to_owned());
    let credentials = tls::Credentials::load(home, Party::Client).expect("credentials");
    let servers = tls::Trust::load(trust, Party::Client.signer()).expect("an authority");
    let config = tls::client(&credentials, &servers, Role::Gateway).expect("usable");
    let address = Address::local(gateway.address.port());
    let dial = move || tls::channel(&address, Arc::clone(&config), tls::Link::Calls);
    Link::new(Arc::new(dial), Duration::from_millis(700))
}

#[tokio::test]
async fn a_gateway_that_shows_a_strange_certificate_is_sent_nothing() {
    let (_keep, _other_keep, gateway, other) = strangers();
    let result = pay(&link_as(&other, &gateway, &other)).await;
    assert!(is_not_sent(&result), "{result:?}");
}

#[tokio::test]
async fn a_gateway_that_refuses_our_certificate_has_taken_nothing() {
    let (keep, _other_keep, gateway, other) = strangers();
    let home = Home::new(keep.path().join("home"));
    let result = pay(&link_as(&other, &gateway, &home)).await;
    assert!(is_not_sent(&result), "{result:?}");
    assert!(gateway.shared.book().arrived.is_empty());
}

#[tokio::test]
async fn a_stopped_gateway_behind_tls_was_sent_nothing() {
    let (keep, home) = edge::home();
    let mut gateway = FakeGateway::start_in(&home);
    let link = link_as(&home, &gateway, &home);
    gateway.kill();
    // The kernel accepts for a stopped process, and nobody shakes hands.
    let _listener = std::net::TcpListener::bind(gateway.address).expect("the port");
    let result = pay(&link).await;
    assert!(is_not_sent(&result), "{result:?}");
    drop(keep);
}
