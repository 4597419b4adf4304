//! What a listener takes on, and how it stops.

use crate::support::edge::{self as support, Served, check, home};
use std::time::Duration;
use strife::config::Limits;
use strife::home::{Home, Party};
use strife::identity::IdentityLayer;
use strife::tls;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

async fn serve(home: &Home, limits: Limits, routes: axum::Router) -> Served {
    let layer = IdentityLayer::certificates_only();
    support::serve(home, Party::Server, layer, limits, routes).await
}

/// A connection that says nothing, and what it hears in the end.
async fn silent(served: &Served) -> TcpStream {
    TcpStream::connect((served.address.host(), served.address.port())).await.expect("connected")
}

#[tokio::test]
async fn a_peer_that_never_shakes_hands_is_cut_off_and_holds_nobody_up() {
    let (_keep, home) = home();
    let limits = Limits { handshake_timeout_ms: 200, ..Limits::default() };
    let served = serve(&home, limits, support::health().await).await;
    let mut idle = silent(&served).await;
    let channel = tls::to_gateway(&home, Party::Client, &served.address).expect("a channel");
    check(channel).await.expect("answered");
    let mut heard = Vec::new();
    idle.read_to_end(&mut heard).await.expect("closed");
    assert!(heard.is_empty());
}

#[tokio::test]
async fn those_who_say_nothing_give_way_to_whoever_comes_however_many_they_are() {
    let (_keep, home) = home();
    let for_ever = 3_600_000;
    let limits = Limits { handshakes: 4, handshake_timeout_ms: for_ever, ..Limits::default() };
    let served = serve(&home, limits, support::health().await).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(silent(&served).await);
    }
    let channel = tls::to_gateway(&home, Party::Client, &served.address).expect("a channel");
    check(channel).await.expect("answered");
    // The oldest are gone, each by whoever came fourth after it.
    let all_end = async {
        for mut gone in idle.drain(..36) {
            let _ = gone.read_to_end(&mut Vec::new()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_end).await.expect("they end");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_and_its_place_is_free_again() {
    let (_keep, home) = home();
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let served = serve(&home, limits, support::health().await).await;
    let first = silent(&served).await;
    let mut second = silent(&served).await;
    let mut heard = Vec::new();
    // Closed or reset: both are the end of it.
    let _ = second.read_to_end(&mut heard).await;
    assert!(heard.is_empty());
    drop(first);
    let channel = tls::to_gateway(&home, Party::Client, &served.address).expect("a channel");
    while check(channel.clone()).await.is_err() {}
}

#[tokio::test]
async fn a_call_in_flight_ends_before_the_listener_does() {
    let (_keep, home) = home();
    let begun = std::sync::Arc::new(tokio::sync::Notify::new());
    let (told, go) = (begun.clone(), std::sync::Arc::new(tokio::sync::Notify::new()));
    let gone = go.clone();
    let health = support::health().await;
    let routes = health.layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            let (told, gone) = (told.clone(), gone.clone());
            async move {
                told.notify_one();
                gone.notified().await;
                next.run(request).await
            }
        },
    ));
    let mut served = serve(&home, Limits::default(), routes).await;
    let channel = tls::to_gateway(&home, Party::Client, &served.address).expect("a channel");
    let call = tokio::spawn(check(channel));
    begun.notified().await;
    served.stop.cancel();
    go.notify_one();
    call.await.expect("not aborted").expect("answered");
    (&mut served.task).await.expect("ended");
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut_off_after_the_drain() {
    let (_keep, home) = home();
    let begun = std::sync::Arc::new(tokio::sync::Notify::new());
    let told = begun.clone();
    let routes = axum::Router::new().fallback(move || {
        told.notify_one();
        std::future::pending::<()>()
    });
    let limits = Limits { drain_ms: 50, ..Limits::default() };
    let mut served = serve(&home, limits, routes).await;
    let channel = tls::to_gateway(&home, Party::Client, &served.address).expect("a channel");
    let call = tokio::spawn(check(channel));
    begun.notified().await;
    served.stop.cancel();
    (&mut served.task).await.expect("ended");
    assert!(call.await.expect("not aborted").is_err());
}
