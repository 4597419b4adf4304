//! Bad input of every kind, to real services: its named reason and exit code, and nothing moves.

use crate::support::live::{Stage, ended, good, strife};
use std::fs;
use std::net::TcpListener;
use strife::errors::{Reason, reason_of};
use strife::home::{Home, Party, Service};
use strife::tls;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;
use strife::wire::v1::{ClientInfo, ListPaymentsRequest, PaymentRequest};

const PAYEE: &str = "10000000000002";

fn request(id: &str, to: &str, amount_minor: i64) -> PaymentRequest {
    PaymentRequest {
        transaction_id: id.to_owned(),
        recipient_account_number: to.to_owned(),
        amount_minor,
        ..PaymentRequest::default()
    }
}

/// What no client of ours would send, and what it must be told.
fn table() -> Vec<(PaymentRequest, Reason)> {
    let long = "x".repeat(65);
    let mut table: Vec<_> = [0, -1, i64::MIN]
        .map(|amount| (request("a", PAYEE, amount), Reason::AmountNotPositive))
        .to_vec();
    let accounts = ["1000000000002", "1000000000000x", "100000000000022", "", "10000000000002\0"];
    table.extend(accounts.map(|to| (request("a", to, 1), Reason::AccountMalformed)));
    let ids = ["", "my id", &long, "a/b", "a\nb"];
    table.extend(ids.map(|id| (request(id, PAYEE, 1), Reason::TransactionIdMalformed)));
    table.push((request("a", "10000000000001", 1), Reason::SameAccount));
    table.push((request("a", "99999999999999", 1), Reason::AccountNotFound));
    let rupees = PaymentRequest { currency_code: "rupees".to_owned(), ..request("a", PAYEE, 1) };
    table.push((rupees, Reason::CurrencyMalformed));
    let memo = PaymentRequest { memo: "a\u{1b}[2J".to_owned(), ..request("a", PAYEE, 1) };
    table.push((memo, Reason::MemoMalformed));
    table
}

fn stamped<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("client-id", "client1".parse().expect("a value"));
    request.metadata_mut().insert("auth-token", token.parse().expect("a value"));
    request
}

#[test]
fn a_malformed_payment_is_refused_by_name_and_begins_nothing() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    let address = home.running(Service::Gateway).expect("running").address;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let channel = good(tls::to_gateway(&home, Party::Client, &address));
        let mut gateway = PaymentGatewayClient::new(channel);
        let who = ClientInfo {
            client_id: "client1".to_owned(),
            username: "user1".to_owned(),
            password: "pass1".to_owned(),
            bank: "HDFC".to_owned(),
        };
        let token = gateway.register_client(who).await.expect("signed in").into_inner().auth_token;
        for (bad, reason) in table() {
            let told = gateway.process_payment(stamped(bad.clone(), &token)).await;
            let status = told.expect_err("refused");
            assert_eq!(reason_of(&status), Some(reason), "{bad:?}: {status}");
        }
        let list = ListPaymentsRequest { page_size: 100, ..ListPaymentsRequest::default() };
        let list = gateway.list_payments(stamped(list, &token)).await.expect("a list");
        assert!(list.into_inner().payments.is_empty(), "something was begun");
    });
    good(stage.scene.conclude());
}

#[test]
fn a_malformed_command_ends_with_its_code_and_moves_nothing() {
    let mut stage = Stage::begin();
    let power = format!("1{}", "0".repeat(30));
    for amount in ["0", "-1", "1.234", "1e9", "NaN", &power] {
        let (code, _, talk) = stage.json(1, &["transfer", amount, PAYEE]);
        assert_eq!(code, 2, "{amount}: {talk}");
    }
    let unknown = stage.json(1, &["transfer", "1", "99999999999999"]);
    assert_eq!((unknown.0, unknown.2.contains("ACCOUNT_NOT_FOUND")), (3, true), "{}", unknown.2);
    let own = stage.json(1, &["transfer", "1", "10000000000001"]);
    assert_eq!((own.0, own.2.contains("SAME_ACCOUNT")), (2, true), "{}", own.2);
    let (_, view, _) = stage.json(1, &["view"]);
    assert_eq!((&view["balance_minor"], &view["held_minor"]), (&1_000_000.into(), &0.into()));
    good(stage.scene.conclude());
}

/// Runs a role to its end, which must come with this code and say this.
fn ends(home: &Home, role: &[&str], code: i32, saying: &str) {
    let (found, _, talk) = ended(strife(home, role).output().expect("ran"));
    assert_eq!(found, code, "{role:?}: {talk}");
    assert!(talk.contains(saying), "{role:?} does not say {saying:?}: {talk}");
}

/// Has `path` changed while `body` runs.
fn while_changed(path: &std::path::Path, change: impl FnOnce(&str) -> String, body: impl FnOnce()) {
    let before = fs::read_to_string(path).expect("there");
    fs::write(path, change(&before)).expect("written");
    body();
    fs::write(path, before).expect("written");
}

#[test]
fn a_service_that_cannot_start_says_why_and_ends_with_8_and_starts_once_it_can() {
    let mut stage = Stage::set();
    let home = stage.home().clone();
    while_changed(
        &home.config_file(),
        |text| text.replace("two_phase_timeout_ms", "two_phase_timout_ms"),
        || {
            ends(&home, &["gateway"], 8, "two_phase_timeout_ms");
            ends(&home, &["bank", "HDFC"], 8, "CONFIG_INVALID");
        },
    );
    let certificate = home.certificate(Party::Gateway);
    let aside = certificate.with_extension("aside");
    fs::rename(&certificate, &aside).expect("renamed");
    ends(&home, &["gateway"], 8, "CERTIFICATE_MISSING");
    fs::rename(&aside, &certificate).expect("renamed");
    while_changed(
        &home.version_file(),
        |_| "strife home 99\n".to_owned(),
        || {
            ends(&home, &["gateway"], 8, "HOME_FOREIGN");
            ends(&home, &["up"], 8, "HOME_FOREIGN");
        },
    );
    let address = stage.scene.cluster.config().gateway.address.clone();
    let taken = TcpListener::bind((address.host(), address.port())).expect("free");
    ends(&home, &["gateway"], 8, &address.to_string());
    let (_, _, talk) = ended(strife(&home, &["gateway"]).output().expect("ran"));
    assert_eq!(talk.matches("cannot listen").count(), 1, "told more than once: {talk}");
    let log = fs::read_to_string(home.log_file(Service::Gateway)).expect("a log");
    assert!(log.contains("cannot listen"), "the file does not say why it ended");
    drop(taken);
    ends(&home, &["bank", "Nobody"], 8, "Nobody");
    ends(&home, &["bank", "HDFC", "--crash-at", "after-lunch"], 2, "after-lunch");
    good(stage.scene.begin());
    ends(&home, &["bank", "HDFC"], 8, "locked");
    good(stage.scene.pay_for_sure());
    good(stage.scene.conclude());
}
