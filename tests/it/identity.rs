//! Who may call what, through the whole edge: certificate, table, session.

use crate::support::edge::{self as support, Served, bank, home};
use http::{Request, Response};
use recovery::model::ClientId;
use std::sync::Arc;
use strife::config::Limits;
use strife::errors::{Reason, metadata_of, reason_of};
use strife::home::{Home, Party};
use strife::identity::{
    AuthFailure, Authenticator, Caller, Fingerprint, IdentityLayer, Principal, RULES, Role, Session,
};
use strife::tls;
use strife::users::UserRole;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// Everyone's token is their own client id; `admin` and `auditor` have those roles.
struct Tokens;

impl Authenticator for Tokens {
    fn authenticate(
        &self,
        client_id: ClientId,
        token: &str,
        _certificate: Fingerprint,
    ) -> Result<Principal, AuthFailure> {
        if token != client_id.as_str() {
            return Err(AuthFailure::TokenInvalid);
        }
        let role = match token {
            "admin" => UserRole::Admin,
            "auditor" => UserRole::Auditor,
            _ => UserRole::Client,
        };
        Ok(Principal { client_id, role, account: None, bank: None })
    }
}

/// Answers every path that the gate lets through with an empty message, naming what it was told.
fn reached() -> axum::Router {
    axum::Router::new().fallback(async |request: Request<axum::body::Body>| {
        let caller = request.extensions().get::<Caller>().map(|caller| caller.role.to_string());
        let principal = request.extensions().get::<Principal>();
        let client = principal.map(|principal| principal.client_id.to_string());
        let mut response = Response::new(axum::body::Body::from(vec![0_u8; 5]));
        let headers = response.headers_mut();
        headers.insert("content-type", "application/grpc".parse().expect("a value"));
        headers.insert("x-caller", caller.unwrap_or_default().parse().expect("a value"));
        headers.insert("x-client", client.unwrap_or_default().parse().expect("a value"));
        response
    })
}

async fn serve(home: &Home, party: Party) -> Served {
    let layer = IdentityLayer::with_sessions(Arc::new(Tokens));
    support::serve(home, party, layer, Limits::default(), reached()).await
}

/// Calls `path` with `client_id` signed in, if any.
async fn call(
    channel: &Channel,
    path: &'static str,
    signed_in: Option<(&str, &str)>,
) -> Result<tonic::metadata::MetadataMap, Status> {
    let mut request = tonic::Request::new(());
    if let Some((client, token)) = signed_in {
        let metadata = request.metadata_mut();
        metadata.insert("client-id", client.parse().expect("a value"));
        metadata.insert("auth-token", token.parse().expect("a value"));
    }
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = http::uri::PathAndQuery::from_static(path);
    // The body is empty and has no trailers; that the head came is what counts.
    let answer = grpc.server_streaming(request, path, codec).await?;
    Ok(answer.metadata().clone())
}

#[tokio::test]
async fn every_identity_may_call_what_its_row_allows_and_nothing_else() {
    let (_keep, home) = home();
    let public = serve(&home, Party::Server).await;
    let internal = serve(&home, Party::Gateway).await;
    let hdfc = serve(&home, Party::Bank(bank("HDFC"))).await;
    let channels = [
        (Role::Client(None), tls::to_gateway(&home, Party::Client, &public.address)),
        (Role::Admin, tls::to_gateway(&home, Party::Admin, &public.address)),
        (Role::Bank(bank("Axis")), tls::to_coordinator(&home, bank("Axis"), &internal.address)),
        (Role::Gateway, tls::to_bank(&home, bank("HDFC"), &hdfc.address)),
    ];
    for (role, channel) in channels {
        let channel = channel.expect("a channel");
        for rule in RULES {
            for user in [None, Some("client1"), Some("auditor"), Some("admin")] {
                let answer = call(&channel, rule.path, user.map(|user| (user, user))).await;
                let by_session = match (rule.session, user) {
                    (Session::None, _) => None,
                    (Session::Of(_), None) => Some(Reason::TokenMissing),
                    (Session::Of(roles), Some(user)) => {
                        let held = Tokens.authenticate(
                            user.parse().expect("an id"),
                            user,
                            Fingerprint([0; 32]),
                        );
                        let held = held.expect("signed in").role;
                        (!roles.contains(&held)).then_some(Reason::RoleRequired)
                    }
                };
                let by_certificate =
                    (!rule.callers.contains(&role.kind())).then_some(Reason::IdentityMismatch);
                let expected = by_certificate.or(by_session);
                let found = answer.as_ref().err().map(|status| {
                    reason_of(status).unwrap_or_else(|| panic!("{}: {status}", rule.path))
                });
                assert_eq!(found, expected, "{role} as {user:?} calls {}", rule.path);
            }
        }
    }
}

#[tokio::test]
async fn a_call_knows_its_callers_role_and_its_principal() {
    let (_keep, home) = home();
    let public = serve(&home, Party::Server).await;
    let channel = tls::to_gateway(&home, Party::Client, &public.address).expect("a channel");
    let path = "/strife.v1.PaymentGateway/ProcessPayment";
    let heard = call(&channel, path, Some(("client1", "client1"))).await.expect("let through");
    let text = |name: &str| heard.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(text("x-caller"), Some("strife://client"));
    assert_eq!(text("x-client"), Some("client1"));
}

#[tokio::test]
async fn a_wrong_token_and_an_unknown_method_are_refused_with_their_reasons() {
    let (_keep, home) = home();
    let public = serve(&home, Party::Server).await;
    let channel = tls::to_gateway(&home, Party::Client, &public.address).expect("a channel");
    let path = "/strife.v1.PaymentGateway/ViewBalance";
    let status = call(&channel, path, Some(("client1", "client2"))).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(reason_of(&status), Some(Reason::TokenInvalid));
    let status =
        call(&channel, "/strife.v1.PaymentGateway/Steal", None).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(reason_of(&status), Some(Reason::MethodUnknown));
    assert_eq!(metadata_of(&status, "field"), None);
}

#[tokio::test]
async fn a_service_without_sessions_lets_no_session_call_through() {
    let (_keep, home) = home();
    let layer = IdentityLayer::certificates_only();
    let public = support::serve(&home, Party::Server, layer, Limits::default(), reached()).await;
    let channel = tls::to_gateway(&home, Party::Client, &public.address).expect("a channel");
    let path = "/strife.v1.PaymentGateway/ProcessPayment";
    let status = call(&channel, path, Some(("client1", "client1"))).await.expect_err("refused");
    assert_eq!(reason_of(&status), Some(Reason::RoleRequired));
}
