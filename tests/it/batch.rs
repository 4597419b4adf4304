//! Payments by the batch, at the real service: a result an item by the rules of a single payment,
//! within limits; and a file that can be killed anywhere and given again.

use crate::support::live::{Stage, ended, good};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use strife::errors::{Reason, reason_of};
use strife::home::{Home, Party, Service};
use strife::inspect::audit;
use strife::tls;
use strife::wire::v1::payment_gateway_client::PaymentGatewayClient;
use strife::wire::v1::{
    ClientInfo, PaymentRequest, PaymentResult, PaymentState, ProcessPaymentsRequest,
    ProcessPaymentsResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

const PAYEE: &str = "10000000000002";

/// client1 of the demo, signed in.
struct Caller {
    gateway: PaymentGatewayClient<Channel>,
    token: String,
}

/// One stream: what is sent and what comes.
struct Stream {
    payments: mpsc::UnboundedSender<ProcessPaymentsRequest>,
    results: Streaming<ProcessPaymentsResponse>,
}

impl Caller {
    async fn sign_in(home: &Home) -> Self {
        let address = &home.running(Service::Gateway).expect("running").address;
        let channel = good(tls::to_gateway(home, Party::Client, address));
        let mut gateway = PaymentGatewayClient::new(channel);
        let who = ClientInfo {
            client_id: "client1".to_owned(),
            username: "user1".to_owned(),
            password: "pass1".to_owned(),
            bank: "HDFC".to_owned(),
        };
        let signed = gateway.register_client(who).await.expect("signed in").into_inner();
        Self { gateway, token: signed.auth_token }
    }

    async fn open(&mut self) -> Result<Stream, Status> {
        let (payments, sent) = mpsc::unbounded_channel();
        let mut request = tonic::Request::new(UnboundedReceiverStream::new(sent));
        let metadata = request.metadata_mut();
        metadata.insert("client-id", "client1".parse().expect("a value"));
        metadata.insert("auth-token", self.token.parse().expect("a value"));
        let results = self.gateway.process_payments(request).await?.into_inner();
        Ok(Stream { payments, results })
    }
}

impl Stream {
    fn send(&self, payments: Vec<PaymentRequest>) {
        self.payments.send(ProcessPaymentsRequest { payments }).expect("open");
    }

    /// The next `count` results, in the order in which they come.
    async fn hear(&mut self, count: usize) -> Vec<PaymentResult> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(30), self.results.message());
            let message = next.await.expect("in time").expect("no error").expect("not the end");
            heard.extend(message.results);
        }
        assert_eq!(heard.len(), count, "a result an item, and no more");
        heard
    }
}

fn ask(id: &str, payee: &str, amount_minor: i64) -> PaymentRequest {
    PaymentRequest {
        transaction_id: id.to_owned(),
        recipient_account_number: payee.to_owned(),
        amount_minor,
        ..PaymentRequest::default()
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn every_item_of_a_stream_is_answered_by_the_rules_of_a_single_payment() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    block_on(async {
        let mut caller = Caller::sign_in(stage.home()).await;
        let mut stream = caller.open().await.expect("opened");
        stream.send(vec![
            ask("good", PAYEE, 1_00),
            ask("nothing", PAYEE, 0),
            ask("nobody", "99999999999999", 1_00),
            ask("myself", "10000000000001", 1_00),
            ask("not an id", PAYEE, 1_00),
            ask("too-much", PAYEE, 900_000_000),
        ]);
        let heard = stream.hear(6).await;
        let of = |id: &str| heard.iter().find(|one| one.transaction_id == id).expect("answered");
        for (id, reason) in [
            ("nothing", "AMOUNT_NOT_POSITIVE"),
            ("nobody", "ACCOUNT_NOT_FOUND"),
            ("myself", "SAME_ACCOUNT"),
            ("not an id", "TRANSACTION_ID_MALFORMED"),
        ] {
            let one = of(id);
            assert!(one.payment.is_none() && one.code != 0, "no outcome: {one:?}");
            assert_eq!(one.reason, reason);
        }
        let declined = of("too-much").payment.clone().expect("an outcome");
        assert_eq!((declined.state(), declined.success), (PaymentState::Aborted, false));
        assert_eq!(declined.reason, "INSUFFICIENT_FUNDS");
        let paid = of("good").payment.clone().expect("an outcome");
        assert!(paid.success && !paid.replayed, "{paid:?}");

        // The same again, joined or replayed; and another amount under the same id.
        stream.send(vec![ask("good", PAYEE, 1_00), ask("twin", PAYEE, 2_00)]);
        stream.send(vec![ask("twin", PAYEE, 2_00), ask("good", PAYEE, 1_01)]);
        let heard = stream.hear(4).await;
        let reused = heard.iter().find(|one| one.code != 0).expect("refused");
        assert_eq!(reused.code, i32::from(Code::AlreadyExists));
        assert_eq!(reused.reason, "TRANSACTION_ID_REUSED");
        let told = |id: &str| {
            let all = heard.iter().filter(move |one| one.transaction_id == id);
            all.filter_map(|one| one.payment.clone()).collect::<Vec<_>>()
        };
        assert!(told("good").iter().all(|again| again.replayed && again.lsn == paid.lsn));
        let twins = told("twin");
        assert_eq!(twins.iter().filter(|twin| !twin.replayed).count(), 1, "one began: {twins:?}");
        assert_eq!(twins[0].lsn, twins[1].lsn);
    });
}

#[test]
fn a_stream_takes_no_more_than_its_room_at_once_and_a_client_no_more_than_its_streams() {
    const MANY: usize = 1_200;
    // The log of a drill is too small for so many at once, and nothing must time out.
    let mut stage = Stage::set_with(|config| {
        config.wal.segment_bytes = 16 << 20;
        config.gateway.two_phase_timeout_ms = 60_000;
    });
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    let bank = Service::Bank("ICICI".parse().expect("a bank name"));
    let cluster = &mut stage.scene.cluster;
    block_on(async {
        let mut caller = Caller::sign_in(cluster.home()).await;
        let mut streams = Vec::new();
        let refused = loop {
            match caller.open().await {
                Ok(stream) => streams.push(stream),
                Err(status) => break status,
            }
        };
        assert_eq!(streams.len(), 4, "{refused:?}");
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert_eq!(reason_of(&refused), Some(Reason::TooManyRequests));
        // One message with more than the stream may have under way, the malformed among it, and a
        // bank that stands still: nothing ends, and nothing more begins.
        good(cluster.signal(bank, Signal::SIGSTOP));
        let mut first = streams.remove(0);
        first.send(
            (0..MANY).map(|n| ask(&format!("many-{n}"), PAYEE, i64::from(n % 2 == 0))).collect(),
        );
        tokio::time::sleep(Duration::from_millis(600)).await;
        let open = good(audit::audit(cluster.home(), cluster.config())).in_doubt;
        assert!((100..=256).contains(&open), "{open} are under way");
        good(cluster.signal(bank, Signal::SIGCONT));
        let heard = first.hear(MANY).await;
        let outcomes = heard.iter().filter(|one| one.payment.is_some());
        assert_eq!(outcomes.count(), MANY / 2, "each had its turn");
        // A stream that ends leaves its place to another.
        let Stream { payments, mut results } = first;
        drop(payments);
        assert!(results.message().await.expect("a clean end").is_none());
        let mut opened = caller.open().await;
        for _ in 0..50 {
            if opened.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            opened = caller.open().await;
        }
        assert!(opened.is_ok(), "{:?}", opened.err());
        // A gateway that stops does not wait for those who keep a stream open, and tells them.
        good(cluster.stop(Service::Gateway));
        let told = streams[0].results.message().await.expect_err("it stops");
        assert_eq!(reason_of(&told), Some(Reason::ShuttingDown), "{told:?}");
    });
}

fn file(home: &Home, name: &str, lines: impl Iterator<Item = String>) -> PathBuf {
    let path = home.root().join(name);
    fs::write(&path, lines.collect::<String>()).expect("written");
    path
}

fn balance(stage: &Stage, client: usize) -> i64 {
    let (code, view, talk) = stage.json(client, &["view"]);
    assert_eq!(code, 0, "{talk}");
    view["balance_minor"].as_i64().expect("a number")
}

fn count(tally: &Value, name: &str) -> u64 {
    tally[name].as_u64().unwrap_or_else(|| panic!("{name} of {tally}"))
}

#[test]
fn a_file_killed_at_any_point_is_given_again_and_no_line_is_paid_twice() {
    const LINES: u64 = 300;
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let home = stage.home().clone();
    let file =
        file(&home, "payments.csv", (0..LINES).map(|n| format!("{PAYEE},0.0{}\n", n % 9 + 1)));
    let file = file.to_str().expect("UTF-8");
    let before = (balance(&stage, 3), balance(&stage, 2));
    for point in ["client-saved:2", "client-sent:2", "client-answered:2", "client-answered:9"] {
        let mut dying = stage.client(3, &["transfer", "--file", file, "--crash-at", point]);
        let output = dying.output().expect("ran");
        let died = output.status.signal() == Some(Signal::SIGKILL as i32);
        // So many answers only where they come one by one.
        assert!(died || point.ends_with(":9"), "{point}: {output:?}");
    }
    let (code, tally, talk) = stage.json(3, &["transfer", "--file", file]);
    assert_eq!(code, 0, "{talk}");
    assert_eq!(count(&tally, "paid") + count(&tally, "paid_before"), LINES, "{tally}");
    assert!(count(&tally, "paid_before") > 0, "{tally}");
    assert!(!talk.contains('\r') && !talk.contains("left"), "no bar where nobody watches: {talk}");
    let (_, again, _) = stage.json(3, &["transfer", "--file", file]);
    assert_eq!(count(&again, "paid_before"), LINES, "{again}");
    let total: i64 = (0..LINES as i64).map(|n| n % 9 + 1).sum();
    assert_eq!((balance(&stage, 3), balance(&stage, 2)), (before.0 - total, before.1 + total));
    let (_, queue, _) = stage.json(3, &["queue", "ls"]);
    assert_eq!(queue["queue"].as_array().map(Vec::len), Some(0), "{queue}");
}

#[test]
fn a_file_whose_gateway_is_killed_and_started_again_goes_on_by_itself() {
    const LINES: u64 = 3_000;
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let home = stage.home().clone();
    let file = file(&home, "payments.csv", (0..LINES).map(|n| format!("{PAYEE},0.01,line-{n}\n")));
    let file = file.to_str().expect("UTF-8");
    let before = balance(&stage, 2);
    let mut paying = stage.client(4, &["transfer", "--file", file, "-o", "json"]);
    paying.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let paying = paying.spawn().expect("started");
    // Some have gone through.
    while balance(&stage, 2) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    good(stage.scene.cluster.kill(Service::Gateway));
    good(stage.scene.cluster.start(Service::Gateway, None));
    let (code, data, talk) = ended(paying.wait_with_output().expect("ended"));
    let tally: Value = serde_json::from_str(&data).expect("JSON");
    // What a restart aborted is declined, for good, and said so.
    let (paid, declined) =
        (count(&tally, "paid") + count(&tally, "paid_before"), count(&tally, "declined"));
    assert_eq!(paid + declined, LINES, "{code} {talk}");
    assert!([0, 3].contains(&code), "{code} {talk}");
    good(stage.scene.wait_quiet());
    assert_eq!(balance(&stage, 2), before + paid as i64);
}

#[test]
fn a_file_whose_gateway_stays_away_is_queued_and_flushed_once() {
    const LINES: u64 = 3_000;
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let home = stage.home().clone();
    let file = file(&home, "payments.csv", (0..LINES).map(|n| format!("{PAYEE},0.01,line-{n}\n")));
    let file = file.to_str().expect("UTF-8");
    let before = balance(&stage, 2);
    let mut paying = stage.client(5, &["transfer", "--file", file, "-o", "json"]);
    paying.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let paying = paying.spawn().expect("started");
    while balance(&stage, 2) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    good(stage.scene.cluster.kill(Service::Gateway));
    let (code, data, talk) = ended(paying.wait_with_output().expect("ended"));
    let tally: Value = serde_json::from_str(&data).expect("JSON");
    let waits = count(&tally, "unknown") + count(&tally, "queued");
    let all = waits + count(&tally, "paid") + count(&tally, "declined");
    assert_eq!((all, code), (LINES, 7), "{talk}");
    assert!(count(&tally, "unknown") > 0 && count(&tally, "queued") > 0, "{talk}");

    good(stage.scene.restart(Service::Gateway));
    good(stage.scene.pay_for_sure());
    let (code, flushed, talk) = stage.json(5, &["queue", "flush"]);
    let sent = flushed["payments"].as_array().expect("a list");
    assert_eq!(sent.len() as u64, waits, "{code} {talk}");
    // Some were aborted by the restart; given again, each line answers as it did.
    let (_, again, talk) = stage.json(5, &["transfer", "--file", file]);
    let (paid, declined) = (count(&again, "paid_before"), count(&again, "declined"));
    assert_eq!(paid + declined, LINES, "{talk}");
    good(stage.scene.wait_quiet());
    // The scene's own payment is among what client2 was paid.
    assert_eq!(balance(&stage, 2), before + 1_00 + paid as i64);
}
