//! Payments from the keyboard to their outcome, with everything that goes wrong between.

use crate::support::fake_gateway::{Act, FakeGateway, Shared};
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strife::client::link::Link;
use strife::client::outbox::{Draft, End, Outbox, OutboxError, Stage};
use strife::client::pay::{Desk, Verdict};
use strife::client::retry;
use strife::client::session::{Credentials, Session, SessionError};
use strife::client::token::TokenFile;
use strife::errors::{Reason, status};
use strife::wire::v1::PaymentState;
use tonic::transport::Endpoint;

fn desk_at(home: &Path, endpoint: Endpoint, password: Option<&str>) -> Desk {
    let client = "client1".parse().expect("a client");
    let timeout = Duration::from_millis(500);
    let link = Link::new(Arc::new(move || Ok(endpoint.connect_lazy())), timeout);
    let who = Credentials {
        client,
        username: Some("user1".to_owned()),
        password: password.map(SecretString::from),
        bank: Some("HDFC".to_owned()),
    };
    let session = Session::new(link, who, TokenFile::new(home.join("session")));
    Desk::new(Arc::new(session), Outbox::open(home, client).expect("an outbox"))
}

struct Scene {
    home: tempfile::TempDir,
    gateway: FakeGateway,
}

impl Scene {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), gateway: FakeGateway::start() }
    }

    /// A client process that has just started.
    fn client(&self) -> Desk {
        desk_at(self.home.path(), self.gateway.endpoint(), Some("pass1"))
    }

    fn shared(&self) -> &Shared {
        &self.gateway.shared
    }
}

fn draft(id: &str) -> Draft {
    Draft {
        id: id.parse().expect("an id"),
        payee: "10000000000002".parse().expect("an account"),
        amount: "250".parse().expect("an amount"),
        currency: recovery::model::Currency::INR,
        memo: "rent".parse().expect("a memo"),
    }
}

async fn stages(desk: &Desk) -> Vec<(String, Stage)> {
    let entries = desk.entries().await.expect("readable");
    entries.iter().map(|entry| (entry.draft.id.to_string(), entry.stage())).collect()
}

async fn flush(desk: &Desk) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    retry::flush(desk, |sent| verdicts.push(sent.verdict.clone())).await.expect("recorded");
    verdicts
}

#[tokio::test]
async fn a_payment_goes_through_and_is_kept_until_it_was_told() {
    let scene = Scene::new();
    let desk = scene.client();
    let verdict = desk.pay(draft("a")).await.expect("recorded");
    let Verdict::Final(outcome) = verdict else { panic!("{verdict:?}") };
    assert_eq!((outcome.end, outcome.replayed), (End::Committed, false));
    assert_eq!(stages(&scene.client()).await, [("a".to_owned(), Stage::Final)]);
    desk.told(vec![draft("a").id]).await.expect("told");
    assert!(stages(&scene.client()).await.is_empty());
    assert_eq!(scene.shared().book().moved["a"], (1, 25_000));
}

#[tokio::test]
async fn a_payment_while_the_gateway_is_down_waits_and_is_paid_once_when_it_is_back() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    let verdict = scene.client().pay(draft("a")).await.expect("recorded");
    assert!(matches!(verdict, Verdict::Queued(_)), "{verdict:?}");
    assert_eq!(stages(&scene.client()).await, [("a".to_owned(), Stage::New)]);
    assert!(matches!(flush(&scene.client()).await[..], [Verdict::Queued(_)]));

    scene.gateway.restart();
    let later = scene.client();
    assert!(matches!(flush(&later).await[..], [Verdict::Final(_)]));
    assert!(flush(&later).await.is_empty(), "what is final is not sent again");
    assert_eq!(scene.shared().book().moved["a"], (1, 25_000));
}

#[tokio::test]
async fn a_gateway_killed_in_mid_call_is_asked_again_under_the_same_id_and_pays_once() {
    for act in [Act::Die, Act::PayAndDie, Act::PayAndHang, Act::Hang, Act::Panic] {
        let mut scene = Scene::new();
        scene.shared().script([act]);
        let verdict = scene.client().pay(draft("a")).await.expect("recorded");
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
        let later = scene.client();
        let dropped = later.drop_entry(draft("a").id).await;
        assert!(matches!(dropped, Err(OutboxError::MayHaveMoved { .. })), "{dropped:?}");

        scene.gateway.restart();
        assert!(matches!(flush(&later).await[..], [Verdict::Final(_)]));
        assert_eq!(scene.shared().book().moved["a"], (1, 25_000));
        let arrived = scene.shared().book().arrived.clone();
        assert!(arrived.iter().all(|request| *request == arrived[0]), "the same in every field");
    }
}

#[tokio::test]
async fn a_pending_payment_is_kept_and_asked_again() {
    let scene = Scene::new();
    scene.shared().script([Act::Answer(PaymentState::Pending, "")]);
    let desk = scene.client();
    let verdict = desk.pay(draft("a")).await.expect("recorded");
    assert_eq!(verdict, Verdict::Pending("as scripted".to_owned()));
    assert_eq!(stages(&desk).await, [("a".to_owned(), Stage::Unknown)]);
    assert!(matches!(flush(&desk).await[..], [Verdict::Final(_)]));
}

#[tokio::test]
async fn a_bank_that_is_away_means_not_sent_and_not_kept() {
    let scene = Scene::new();
    scene.shared().script([Act::Refuse(status(Reason::BankUnavailable, "ICICI is away"))]);
    let desk = scene.client();
    let verdict = desk.pay(draft("a")).await.expect("recorded");
    assert!(matches!(verdict, Verdict::NotTaken(_)), "{verdict:?}");
    assert!(stages(&desk).await.is_empty());
}

#[tokio::test]
async fn an_entry_that_cannot_go_blocks_no_other_and_keeps_its_place() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    let desk = scene.client();
    for id in ["a", "b", "c"] {
        desk.pay(draft(id)).await.expect("recorded");
    }
    scene.gateway.restart();
    scene.shared().script([Act::Refuse(status(Reason::BankUnavailable, "ICICI is away"))]);
    flush(&desk).await;
    let mut stages: Vec<_> = stages(&desk).await.into_iter().map(|(_, stage)| stage).collect();
    stages.sort_by_key(|stage| stage.name());
    assert_eq!(stages, [Stage::Final, Stage::Final, Stage::New]);
}

#[tokio::test]
async fn a_request_that_the_gateway_will_never_take_is_final_and_said_so() {
    let scene = Scene::new();
    scene.shared().script([Act::Refuse(status(Reason::AccountNotFound, "no such account"))]);
    let verdict = scene.client().pay(draft("a")).await.expect("recorded");
    let Verdict::Final(outcome) = verdict else { panic!("{verdict:?}") };
    assert_eq!((outcome.end, outcome.reason.as_str()), (End::Refused, "ACCOUNT_NOT_FOUND"));
}

#[tokio::test]
async fn a_declined_payment_is_an_outcome() {
    let scene = Scene::new();
    scene.shared().script([Act::Answer(PaymentState::Aborted, "INSUFFICIENT_FUNDS")]);
    let verdict = scene.client().pay(draft("a")).await.expect("recorded");
    let Verdict::Final(outcome) = verdict else { panic!("{verdict:?}") };
    assert_eq!((outcome.end, outcome.reason.as_str()), (End::Aborted, "INSUFFICIENT_FUNDS"));
}

#[tokio::test]
async fn a_token_that_died_is_replaced_and_the_payment_goes_through() {
    let scene = Scene::new();
    let desk = scene.client();
    desk.pay(draft("a")).await.expect("recorded");
    scene.shared().book().tokens.clear();
    let verdict = desk.pay(draft("b")).await.expect("recorded");
    assert!(matches!(verdict, Verdict::Final(_)), "{verdict:?}");
    assert_eq!(scene.shared().book().sign_ins, 2);
}

#[tokio::test]
async fn a_session_serves_later_commands_without_a_password() {
    let scene = Scene::new();
    scene.client().session.ensure().await.expect("signed in");
    let later = desk_at(scene.home.path(), scene.gateway.endpoint(), None);
    assert!(matches!(later.pay(draft("a")).await, Ok(Verdict::Final(_))));
    assert_eq!(scene.shared().book().sign_ins, 1);
}

#[tokio::test]
async fn a_wrong_password_sends_nothing_and_keeps_nothing() {
    let scene = Scene::new();
    let desk = desk_at(scene.home.path(), scene.gateway.endpoint(), Some("wrong"));
    let verdict = desk.pay(draft("a")).await.expect("recorded");
    assert!(matches!(verdict, Verdict::NotSignedIn(SessionError::SignIn(_))), "{verdict:?}");
    assert!(stages(&desk).await.is_empty());
    assert!(scene.shared().book().arrived.is_empty());
}

#[tokio::test]
async fn what_was_queued_is_kept_when_nobody_can_sign_in() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    scene.client().pay(draft("a")).await.expect("recorded");
    scene.gateway.restart();
    let later = desk_at(scene.home.path(), scene.gateway.endpoint(), None);
    assert!(matches!(flush(&later).await[..], [Verdict::NotSignedIn(_)]));
    assert_eq!(stages(&later).await, [("a".to_owned(), Stage::New)]);
}

#[tokio::test]
async fn another_amount_under_a_waiting_id_is_refused_before_it_is_sent() {
    let scene = Scene::new();
    scene.shared().script([Act::Hang]);
    let desk = scene.client();
    desk.pay(draft("a")).await.expect("recorded");
    let other = Draft { amount: "251".parse().expect("an amount"), ..draft("a") };
    let refused = desk.pay(other).await;
    assert!(matches!(refused, Err(OutboxError::Reused { field: "amount_minor", .. })));
    assert_eq!(scene.shared().book().arrived.len(), 1);
}

#[tokio::test]
async fn two_processes_that_flush_one_home_pay_each_entry_once() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    for number in 0..10 {
        scene.client().pay(draft(&format!("tx-{number}"))).await.expect("recorded");
    }
    scene.gateway.restart();
    let (one, other) = (scene.client(), scene.client());
    tokio::join!(flush(&one), flush(&other));
    let book = scene.shared().book();
    assert_eq!(book.moved.len(), 10);
    assert!(book.moved.values().all(|moved| *moved == (1, 25_000)));
}
