//! Every identity against every call of every service.
//!
//! Who may do what is written down here a second time, by hand, and the calls are those of the
//! descriptors: a new one without a line fails, and so does a line that the program does not keep.

use crate::support::edge::{self, bank, home};
use crate::support::forge::{self, Shown, Wish};
use http::{Request, Response};
use prost::Message;
use rcgen::ExtendedKeyUsagePurpose::ServerAuth;
use recovery::model::ClientId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use strife::certs;
use strife::config::Limits;
use strife::errors::{Reason, reason_of};
use strife::home::{Home, Party};
use strife::identity::{AuthFailure, Authenticator, Fingerprint, IdentityLayer, Principal};
use strife::tls::{self, Link};
use strife::users::UserRole;
use strife::wire::DESCRIPTORS;
use tonic::Status;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// The call, the certificates that may make it, and who must be signed in (`-`: nobody).
const WHO: &str = "
    strife.v1.PaymentGateway/RegisterClient          client,admin  -
    strife.v1.PaymentGateway/ProcessPayment          client,admin  client
    strife.v1.PaymentGateway/ProcessPayments         client,admin  client
    strife.v1.PaymentGateway/WatchPayments           client,admin  client
    strife.v1.PaymentGateway/ViewBalance             client,admin  client,auditor,admin
    strife.v1.PaymentGateway/GetPayment              client,admin  client,auditor,admin
    strife.v1.PaymentGateway/ListPayments            client,admin  client,auditor,admin
    strife.v1.PaymentGateway/Logout                  client,admin  client,auditor,admin
    strife.v1.AdminService/Status                    admin         auditor,admin
    strife.v1.AdminService/ListInDoubt               admin         auditor,admin
    strife.v1.AdminService/TailLog                   admin         auditor,admin
    strife.v1.AdminService/EndSessions               admin         admin
    strife.v1.AdminService/AskResolution             admin         admin
    strife.v1.AdminService/ApproveResolution         admin         admin
    strife.v1.AdminService/PauseRecovery             admin         admin
    strife.v1.AdminService/StepRecovery              admin         admin
    strife.v1.AdminService/ResumeRecovery            admin         admin
    strife.v1.CoordinatorService/Hello               bank          -
    strife.v1.CoordinatorService/Inquire             bank          -
    strife.v1.BankService/PrepareTransaction         gateway       -
    strife.v1.BankService/CommitTransaction          gateway       -
    strife.v1.BankService/AbortTransaction           gateway       -
    strife.v1.BankService/Ping                       gateway       -
    strife.v1.BankService/GetBalance                 gateway       -
    strife.v1.BankService/Hello                      gateway       -
    strife.v1.BankService/Participate                gateway       -
    strife.v1.BankService/Summary                    gateway       -
    grpc.health.v1.Health/Check                      gateway,bank,client,admin  -
    grpc.health.v1.Health/List                       gateway,bank,client,admin  -
    grpc.health.v1.Health/Watch                      gateway,bank,client,admin  -
    grpc.reflection.v1.ServerReflection/ServerReflectionInfo  client,admin  -
";

/// Whom a certificate proves its holder to be.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Who {
    /// The handshake refuses it.
    Nobody,
    /// Of our authority, and of no role.
    Stranger,
    Known(&'static str),
    /// A client's own: it speaks for that client alone.
    Only(&'static str),
}

struct Identity {
    name: String,
    /// None shows no certificate.
    shown: Option<Shown>,
    /// On the ports of the two authorities.
    public: Who,
    internal: Who,
}

fn identity(name: &str, shown: Option<Shown>, public: Who, internal: Who) -> Identity {
    Identity { name: name.to_owned(), shown, public, internal }
}

/// Certificates that are in order.
fn good(home: &Home) -> Vec<Identity> {
    use Who::{Known, Nobody, Only};
    let own = |party| Some(forge::own(home, party));
    let client_of = |name: &str| {
        let client: ClientId = name.parse().expect("a client id");
        own(certs::issue(home, client).expect("issued"))
    };
    let mut all = vec![
        identity("client", own(Party::Client), Known("client"), Nobody),
        identity("client1's own", client_of("client1"), Only("client1"), Nobody),
        identity("client2's own", client_of("client2"), Only("client2"), Nobody),
        identity("admin", own(Party::Admin), Known("admin"), Nobody),
        identity("gateway", own(Party::Gateway), Nobody, Known("gateway")),
    ];
    for name in strife::config::DEFAULT_BANKS {
        all.push(identity(name, own(Party::Bank(bank(name))), Nobody, Known("bank")));
    }
    all
}

/// Certificates that are not.
fn bad(home: &Home, elsewhere: &Home) -> Vec<Identity> {
    use Who::{Nobody, Stranger};
    let by = |home: &Home, wish: Wish<'_>| Some(forge::signed(home, Party::Authority, &wish));
    let nobody = |name: &str, shown| identity(name, shown, Nobody, Nobody);
    let stranger = |name: &str, shown| identity(name, shown, Stranger, Nobody);
    let revoked = forge::signed(home, Party::Authority, &Wish::default());
    certs::revoke(home, &revoked.0).expect("revoked");
    let two = &["strife://client", "strife://admin"];
    vec![
        nobody("none at all", None),
        nobody("self-signed", Some(forge::self_signed(&Wish::default()))),
        nobody("of another authority", by(elsewhere, Wish::default())),
        nobody("expired", by(home, Wish { valid: -2..-1, ..Wish::default() })),
        nobody("not yet valid", by(home, Wish { valid: 1..2, ..Wish::default() })),
        nobody("revoked", Some(revoked)),
        nobody(
            "for servers only",
            by(home, Wish { purposes: vec![ServerAuth], ..Wish::default() }),
        ),
        nobody("the public server's", Some(forge::own(home, Party::Server))),
        stranger("for no purpose", by(home, Wish { purposes: vec![], ..Wish::default() })),
        stranger("without a role", by(home, Wish { roles: &[], ..Wish::default() })),
        stranger("with two roles", by(home, Wish { roles: two, ..Wish::default() })),
        stranger(
            "of no known role",
            by(home, Wish { roles: &["strife://god"], ..Wish::default() }),
        ),
    ]
}

/// Everyone's token is their own client id.
struct Tokens;

fn role_of(user: &str) -> &'static str {
    match user {
        "admin" => "admin",
        "auditor" => "auditor",
        _ => "client",
    }
}

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
        let role = match role_of(token) {
            "admin" => UserRole::Admin,
            "auditor" => UserRole::Auditor,
            _ => UserRole::Client,
        };
        Ok(Principal { client_id, role, account: None, bank: None })
    }
}

/// Answers whatever the gate lets through, and counts it.
fn routes(reached: Arc<AtomicUsize>) -> axum::Router {
    axum::Router::new().fallback(move |_: Request<axum::body::Body>| {
        reached.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new(axum::body::Body::from(vec![0_u8; 5]));
        let kind = "application/grpc".parse().expect("a value");
        response.headers_mut().insert("content-type", kind);
        std::future::ready(response)
    })
}

/// What a call came to: `None` went through.
async fn call(channel: &Channel, path: &str, user: Option<&str>) -> Option<Status> {
    let mut request = tonic::Request::new(());
    if let Some(user) = user {
        request.metadata_mut().insert("client-id", user.parse().expect("a value"));
        request.metadata_mut().insert("auth-token", user.parse().expect("a value"));
    }
    let mut grpc = Grpc::new(channel.clone());
    if let Err(error) = grpc.ready().await {
        return Some(Status::from_error(error.into()));
    }
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = path.parse().expect("a path");
    grpc.server_streaming(request, path, codec).await.err()
}

/// The calls of our own services, as the descriptors have them, with their lines here.
fn table() -> BTreeMap<String, (&'static str, &'static str)> {
    let line = |line: &'static str| {
        let mut words = line.split_whitespace();
        let call = format!("/{}", words.next()?);
        Some((call, (words.next().expect("certificates"), words.next().expect("users"))))
    };
    let table: BTreeMap<_, _> = WHO.lines().filter_map(line).collect();
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).expect("descriptors").file;
    for file in files {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                assert!(table.contains_key(&path), "{path} has no line: who may call it?");
            }
        }
    }
    for rule in strife::identity::RULES {
        assert!(table.contains_key(rule.path), "{} has no line", rule.path);
    }
    table
}

/// What comes of a call.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Must {
    Pass,
    Refuse(Reason),
    /// The handshake refuses it, or whoever answered gave no reason.
    NotConnect,
}

/// What must come of it.
fn expected(who: Who, user: Option<&str>, may: (&str, &str)) -> Must {
    let (certificates, users) = may;
    let holds = |list: &str, name: &str| list.split(',').any(|item| item == name);
    let kind = match who {
        Who::Nobody => return Must::NotConnect,
        Who::Stranger => return Must::Refuse(Reason::IdentityMismatch),
        Who::Known(kind) => kind,
        Who::Only(_) => "client",
    };
    if !holds(certificates, kind) {
        return Must::Refuse(Reason::IdentityMismatch);
    }
    if users == "-" {
        return Must::Pass;
    }
    match (who, user) {
        (_, None) => Must::Refuse(Reason::TokenMissing),
        (Who::Only(client), Some(user)) if client != user => Must::Refuse(Reason::IdentityMismatch),
        (_, Some(user)) if holds(users, role_of(user)) => Must::Pass,
        (_, Some(_)) => Must::Refuse(Reason::RoleRequired),
    }
}

const USERS: [Option<&str>; 5] =
    [None, Some("client1"), Some("client2"), Some("auditor"), Some("admin")];

#[tokio::test]
async fn every_identity_makes_the_calls_that_are_its_own_and_no_other() {
    let (_keep, home) = home();
    let (_keep_too, elsewhere) = edge::home();
    let identities: Vec<Identity> = good(&home).into_iter().chain(bad(&home, &elsewhere)).collect();
    let (reached, mut due, mut made) = (Arc::new(AtomicUsize::new(0)), 0, 0);
    for (party, public) in
        [(Party::Server, true), (Party::Gateway, false), (Party::Bank(bank("HDFC")), false)]
    {
        let layer = IdentityLayer::with_sessions(Arc::new(Tokens));
        let routes = routes(Arc::clone(&reached));
        let served = edge::serve(&home, party, layer, Limits::default(), routes).await;
        for Identity { name, shown, public: outside, internal: inside } in &identities {
            let who = if public { *outside } else { *inside };
            let shown = shown.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
            let config = forge::caller(&home, party.signer(), shown);
            let channel = tls::channel(&served.address, config, Link::Calls).expect("a channel");
            for (path, may) in table() {
                // Who is signed in is nothing to a port that shuts before it hears of it.
                let users = if who == Who::Nobody { &USERS[..1] } else { &USERS[..] };
                for user in users {
                    let found = match call(&channel, &path, *user).await {
                        None => Must::Pass,
                        Some(told) => reason_of(&told).map_or(Must::NotConnect, Must::Refuse),
                    };
                    let expected = expected(who, *user, may);
                    assert_eq!(found, expected, "{name}, as {user:?}, at {party:?}: {path}");
                    due += usize::from(expected == Must::Pass);
                    made += 1;
                }
            }
        }
    }
    assert_eq!(reached.load(Ordering::Relaxed), due, "something went through unseen");
    println!("{made} calls, {due} of them allowed");
}
