//! What belongs to somebody is shown to its owner, and to those who read for all; moved by its
//! owner alone.

use crate::support::caller::{Caller, block_on, facts, payment, user};
use crate::support::live::{Stage, good};
use recovery::fact::{AuditEvent, GatewayFact};
use std::time::Duration;
use strife::certs;
use strife::errors::{Reason, reason_of};
use strife::home::Party;
use strife::wire::v1::{
    BalanceRequest, EndSessionsRequest, GetPaymentRequest, ListPaymentsRequest, LogoutRequest,
    PaymentState, ProcessPaymentsRequest, StatusRequest, WatchPaymentsRequest,
};
use tonic::Status;

fn refused<T>(told: Result<T, Status>) -> Option<Reason> {
    told.err().and_then(|status| reason_of(&status))
}

fn asked(client: &str, id: &str) -> GetPaymentRequest {
    GetPaymentRequest { transaction_id: id.to_owned(), client_id: client.to_owned() }
}

fn listed(client: &str) -> ListPaymentsRequest {
    ListPaymentsRequest { client_id: client.to_owned(), ..ListPaymentsRequest::default() }
}

fn balance(account_number: &str) -> BalanceRequest {
    BalanceRequest { account_number: account_number.to_owned() }
}

#[test]
fn another_clients_payments_are_not_seen_repeated_or_taken_over() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    block_on(async {
        let sign_in = async |name: &str| {
            Caller::sign_in(&home, Party::Client, user(name)).await.expect("signed in")
        };
        let (mut mine, mut theirs) = (sign_in("client1").await, sign_in("client2").await);
        let paid = mine.gateway.process_payment(mine.says(payment("rent", 2, 25_000))).await;
        assert_eq!(paid.expect("paid").into_inner().state(), PaymentState::Committed);

        // Under the same id another client has another payment, or none.
        let told = theirs.gateway.get_payment(theirs.says(asked("", "rent"))).await;
        assert_eq!(refused(told), Some(Reason::PaymentNotFound));
        let told = theirs.gateway.get_payment(theirs.says(asked("client1", "rent"))).await;
        assert_eq!(refused(told), Some(Reason::IdentityMismatch));
        let told = theirs.gateway.list_payments(theirs.says(listed("client1"))).await;
        assert_eq!(refused(told), Some(Reason::IdentityMismatch));
        let own = theirs.gateway.list_payments(theirs.says(listed(""))).await.expect("a list");
        assert!(own.into_inner().payments.is_empty(), "who is paid has not paid");
        let told = theirs.gateway.view_balance(theirs.says(balance("10000000000001"))).await;
        assert_eq!(refused(told), Some(Reason::IdentityMismatch));

        // Sent again by another, it is not answered with mine, and takes from nobody but its payer.
        let again = theirs.gateway.process_payment(theirs.says(payment("rent", 1, 100))).await;
        let again = again.expect("paid").into_inner();
        assert!(!again.replayed && again.state() == PaymentState::Committed, "{again:?}");
        let batch = ProcessPaymentsRequest { payments: vec![payment("mine", 2, 25_000)] };
        let stream = theirs.says(tokio_stream::once(batch));
        let mut results =
            theirs.gateway.process_payments(stream).await.expect("a stream").into_inner();
        let result = results.message().await.expect("a message").expect("a result");
        assert_eq!(result.results[0].reason, "SAME_ACCOUNT", "the payer is client2: {result:?}");
        let view = mine.gateway.view_balance(mine.says(balance(""))).await.expect("told");
        assert_eq!(view.into_inner().balance_minor, 1_000_000 - 25_000 + 100);

        // What is watched is one's own.
        let watch = theirs.says(WatchPaymentsRequest::default());
        let mut finals = theirs.gateway.watch_payments(watch).await.expect("a stream").into_inner();
        let first = finals.message().await.expect("a message").expect("its own");
        let first = first.payment.expect("a payment");
        assert_eq!(first.payer_account_number, "10000000000002");
        let more = tokio::time::timeout(Duration::from_millis(300), finals.message()).await;
        assert!(more.is_err(), "there is no other: {more:?}");

        // A token serves the client and the certificate that it was given to.
        let posing = Caller { name: "client1".to_owned(), ..theirs.clone() };
        let told = theirs.gateway.view_balance(posing.says(balance(""))).await;
        assert_eq!(refused(told), Some(Reason::TokenInvalid));
        let own = certs::issue(&home, "client2".parse().expect("an id")).expect("issued");
        let channel = crate::support::caller::channel(&home, own);
        let mut elsewhere =
            strife::wire::v1::payment_gateway_client::PaymentGatewayClient::new(channel);
        let told = elsewhere.view_balance(theirs.says(balance(""))).await;
        assert_eq!(refused(told), Some(Reason::TokenInvalid));
        // And a certificate with a name signs nobody else in, whatever the password.
        let told = Caller::sign_in(&home, own, user("client1")).await.map(drop);
        assert_eq!(refused(told), Some(Reason::IdentityMismatch));
        Caller::sign_in(&home, own, user("client2")).await.expect("its own");
    });
    good(stage.scene.cluster.stop_all());
}

#[test]
fn an_auditor_reads_everything_and_moves_nothing() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    block_on(async {
        let sign_in = async |party, name: &str| {
            Caller::sign_in(&home, party, user(name)).await.expect("signed in")
        };
        let mut payer = sign_in(Party::Client, "client1").await;
        let paid = payer.gateway.process_payment(payer.says(payment("a", 2, 100))).await;
        paid.expect("paid");
        for party in [Party::Client, Party::Admin] {
            let mut auditor = sign_in(party, "auditor").await;
            let told = auditor.gateway.get_payment(auditor.says(asked("client1", "a"))).await;
            assert_eq!(told.expect("told").into_inner().state(), PaymentState::Committed);
            let told = auditor.gateway.list_payments(auditor.says(listed("client1"))).await;
            assert_eq!(told.expect("told").into_inner().payments.len(), 1);
            let told = auditor.gateway.view_balance(auditor.says(balance("10000000000002"))).await;
            assert_eq!(told.expect("told").into_inner().balance_minor, 1_000_100);
            let told = auditor.gateway.list_payments(auditor.says(listed(""))).await;
            assert_eq!(refused(told), Some(Reason::RequestMalformed));
            let told = auditor.gateway.view_balance(auditor.says(balance("99999999999999"))).await;
            assert_eq!(refused(told), Some(Reason::AccountNotFound));

            let told = auditor.gateway.process_payment(auditor.says(payment("x", 2, 1))).await;
            assert_eq!(refused(told), Some(Reason::RoleRequired));
            let batch = ProcessPaymentsRequest { payments: vec![payment("x", 2, 1)] };
            let told = auditor.gateway.process_payments(auditor.says(tokio_stream::once(batch)));
            assert_eq!(refused(told.await.map(drop)), Some(Reason::RoleRequired));
            let end = EndSessionsRequest { client_id: "client1".to_owned() };
            let told = auditor.admin.end_sessions(auditor.says(end)).await;
            let expected = match party {
                Party::Admin => Reason::RoleRequired,
                _ => Reason::IdentityMismatch,
            };
            assert_eq!(refused(told), Some(expected));
            let told = auditor.admin.status(auditor.says(StatusRequest {})).await;
            assert_eq!(told.is_ok(), party == Party::Admin);
        }
    });
    good(stage.scene.cluster.stop_all());
}

#[test]
fn sessions_end_one_by_one_all_at_once_and_with_the_password_and_the_log_tells() {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    block_on(async {
        let sign_in = async |party, name: &str| {
            Caller::sign_in(&home, party, user(name)).await.expect("signed in")
        };
        let works = async |caller: &Caller| {
            let told = caller.gateway.clone().view_balance(caller.says(balance(""))).await;
            refused(told)
        };
        let mut three = Vec::new();
        for _ in 0..3 {
            three.push(sign_in(Party::Client, "client1").await);
        }
        let (one, other) = (three[0].clone(), sign_in(Party::Client, "client2").await);
        let logout = |everywhere| LogoutRequest { everywhere };
        one.gateway.clone().logout(one.says(logout(false))).await.expect("signed out");
        assert_eq!(works(&one).await, Some(Reason::TokenInvalid));
        assert_eq!(works(&three[1]).await, None, "another session of the same client");
        let two = three[1].clone();
        two.gateway.clone().logout(two.says(logout(true))).await.expect("signed out");
        assert_eq!(works(&three[2]).await, Some(Reason::TokenInvalid), "everywhere");
        assert_eq!(works(&other).await, None, "another client");

        let mut admin = sign_in(Party::Admin, "admin").await;
        let end = EndSessionsRequest { client_id: "client2".to_owned() };
        let ended = admin.admin.end_sessions(admin.says(end)).await.expect("ended").into_inner();
        assert_eq!((ended.ended, works(&other).await), (1, Some(Reason::TokenInvalid)));

        // A new password ends what the old one opened.
        let third = sign_in(Party::Client, "client3").await;
        let path = home.users_file();
        let mut all = strife::users::load(&path).expect("users");
        let user = all.find_mut("client3".parse().expect("an id")).expect("there");
        user.password_hash = good(strife::users::hash("another"));
        good(strife::users::save(&path, &all));
        while works(&third).await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let old = Caller::sign_in(&home, Party::Client, crate::support::caller::user("client3"));
        assert_eq!(refused(old.await.map(drop)), Some(Reason::BadCredentials));
    });
    good(stage.scene.cluster.stop_all());
    let audit: Vec<GatewayFact> = facts(&home).into_iter().filter(GatewayFact::is_audit).collect();
    let events = audit.iter().filter_map(|fact| match fact {
        GatewayFact::Audited(audited) => {
            let client = audited.client.map(|client| client.to_string());
            Some((audited.what, client.unwrap_or_default()))
        }
        _ => None,
    });
    let events: Vec<_> = events.collect();
    assert!(events.contains(&(AuditEvent::Operated, "admin".to_owned())), "{events:?}");
    // Whom a sign-in claims stands in its message, which the gate does not read.
    assert!(events.contains(&(AuditEvent::SignInRefused, String::new())), "{events:?}");
    assert!(events.contains(&(AuditEvent::CallRefused, "client1".to_owned())), "{events:?}");
    let opened = audit.iter().filter(|fact| matches!(fact, GatewayFact::SessionOpened(_))).count();
    assert!(opened >= 6, "every sign-in is there: {opened}");
}
