//! Certificates that are taken back, renewed and broken while a listener serves.

use crate::support::edge::{self, check, home};
use std::fs;
use std::time::{Duration, Instant};
use strife::accept;
use strife::certs;
use strife::config::{Address, Limits};
use strife::home::{Home, Party};
use strife::identity::{IdentityLayer, Role};
use strife::tls::{self, Keeper, Link, Server};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tower::Layer;

/// A look, another, and a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

struct Kept {
    address: Address,
    stop: CancellationToken,
    server: Server,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The public port, on certificates that are looked after.
async fn serve(home: &Home, limits: Limits) -> Kept {
    let mut keeper = Keeper::new(home);
    let server = keeper.server(Party::Server).expect("certificates");
    let listener = accept::bind(&Address::local(0)).await.expect("bound");
    let address = Address::from(listener.local_addr().expect("an address"));
    let stop = CancellationToken::new();
    tokio::spawn(keeper.run(stop.clone()));
    let routes = IdentityLayer::certificates_only().layer(edge::health().await);
    let (shown, until) = (server.clone(), stop.clone());
    tokio::spawn(async move { accept::serve(listener, shown, &limits, routes, until).await });
    Kept { address, stop, server }
}

fn dial(home: &Home, party: Party, address: &Address) -> Channel {
    tls::to_gateway(home, party, address).expect("a channel")
}

/// Waits until `so`, asking again and again.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !so().await {
        assert!(Instant::now() < end, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn der(home: &Home, party: Party) -> Vec<u8> {
    tls::certificate(home, party).expect("there")
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_by_both_ends() {
    let (_keep, home) = home();
    let served = serve(&home, Limits::default()).await;
    check(dial(&home, Party::Client, &served.address)).await.expect("answered");
    assert_eq!(
        certs::revoke(&home, &der(&home, Party::Server)).expect("revoked"),
        (Party::Authority, true)
    );
    // A caller that starts now does not talk to it any more.
    let told = check(dial(&home, Party::Client, &served.address)).await.expect_err("refused");
    assert!(edge::causes(&told).contains("Revoked"), "{}", edge::causes(&told));
    let (_, new) = certs::revoke(&home, &der(&home, Party::Server)).expect("revoked");
    assert!(!new, "it is said once");
}

#[tokio::test]
async fn a_revoked_caller_is_cut_off_within_seconds_and_the_others_go_on() {
    let (_keep, home) = home();
    let theirs = certs::issue(&home, "client1".parse().expect("an id")).expect("issued");
    let served = serve(&home, Limits::default()).await;
    let (lost, other) =
        (dial(&home, theirs, &served.address), dial(&home, Party::Client, &served.address));
    check(lost.clone()).await.expect("answered");
    certs::revoke(&home, &der(&home, theirs)).expect("revoked");
    until("its end", async || {
        check(other.clone()).await.expect("the others go on");
        check(lost.clone()).await.is_err()
    })
    .await;
    // Nor does it come in again.
    assert!(check(dial(&home, theirs, &served.address)).await.is_err());
    let renewed = certs::renew(&home, theirs).expect("renewed");
    assert!(renewed.exists(), "the old one is kept, to be revoked");
    check(dial(&home, theirs, &served.address)).await.expect("a new one is another");
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_a_good_one_is_taken_up() {
    let (_keep, home) = home();
    let served = serve(&home, Limits::default()).await;
    let before = served.server.config();
    let path = home.certificate(Party::Server);
    let good = fs::read(&path).expect("there");
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nhalf of it").expect("written");
    tokio::time::sleep(Duration::from_secs(3)).await;
    check(dial(&home, Party::Client, &served.address)).await.expect("still served");
    assert!(std::sync::Arc::ptr_eq(&before, &served.server.config()), "the old one is in use");
    // A list that is none would let the revoked in: it is not taken up either.
    fs::write(&path, &good).expect("written");
    fs::write(home.revocations(Party::Authority), "").expect("written");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(std::sync::Arc::ptr_eq(&before, &served.server.config()));
    certs::refresh_lists(&home).expect_err("a damaged list is no empty one");
    fs::remove_file(home.revocations(Party::Authority)).expect("removed");
    certs::refresh_lists(&home).expect("signed");
    certs::renew(&home, Party::Server).expect("renewed");
    until("the change", async || !std::sync::Arc::ptr_eq(&before, &served.server.config())).await;
    check(dial(&home, Party::Client, &served.address)).await.expect("served");
}

#[tokio::test]
async fn a_connection_ends_at_its_age_and_no_call_with_it() {
    let (_keep, home) = home();
    let limits = Limits { connection_age_s: 1, ..Limits::default() };
    let served = serve(&home, limits).await;
    // Its own view of the connection: closed by the other side, in good order.
    let config = tls::client_of(&home, Party::Client, Role::Gateway).expect("usable");
    let mut silent = tls::connect(&served.address, config.clone()).await.expect("connected");
    let channel = tls::channel(&served.address, config, Link::Calls).expect("a channel");
    let end = Instant::now() + Duration::from_secs(4);
    let mut calls = 0;
    while Instant::now() < end {
        check(channel.clone()).await.expect("no call is lost");
        calls += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(calls > 50, "{calls}");
    let mut heard = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut heard);
    let _ = tokio::time::timeout(SOON * 2, read).await.expect("it was ended");
}

#[test]
fn renewing_keeps_the_names_a_service_is_dialled_by_and_closes_the_new_key() {
    use std::os::unix::fs::PermissionsExt;
    let (_keep, home) = home();
    let before = fs::read(home.key(Party::Server)).expect("there");
    certs::renew(&home, Party::Server).expect("renewed");
    assert_ne!(fs::read(home.key(Party::Server)).expect("there"), before);
    let mode = fs::metadata(home.key(Party::Server)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = String::from_utf8_lossy(&der(&home, Party::Server)).into_owned();
    assert!(text.contains("localhost"));
    let refused = certs::renew(&home, Party::Authority).expect_err("an authority stays");
    assert_eq!(refused.exit.code(), 2);
}
