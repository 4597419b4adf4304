//! The built client against a gateway that dies, hangs and comes back.

use crate::support::edge;
use crate::support::fake_gateway::{Act, FakeGateway};
use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use strife::errors::{Reason, status};
use strife::home::Home;
use strife::wire::v1::PaymentState;
use tempfile::TempDir;

const PAYEE: &str = "10000000000002";

struct Scene {
    _keep: TempDir,
    home: Home,
    gateway: FakeGateway,
}

impl Scene {
    fn new() -> Self {
        let (keep, home) = edge::home();
        let gateway = FakeGateway::start_in(&home);
        Self { _keep: keep, home, gateway }
    }

    fn strife(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("strife").expect("built");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("STRIFE_")) {
            command.env_remove(name);
        }
        let who = [("CLIENT_ID", "client1"), ("USERNAME", "user1"), ("PASSWORD", "pass1")];
        for (name, value) in who.into_iter().chain([("BANK", "HDFC"), ("TIMEOUT", "2s")]) {
            command.env(format!("STRIFE_{name}"), value);
        }
        // Not the configured port: something may listen there.
        command.env("STRIFE_GATEWAY", self.gateway.address.to_string());
        command.env("STRIFE_HOME", self.home.root()).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended(self.strife(arguments).output().expect("ran"))
    }

    fn piped(&self, lines: &str) -> Ended {
        let mut client = self.strife(&["client"]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().expect("started");
        let mut stdin = client.stdin.take().expect("a pipe");
        stdin.write_all(lines.as_bytes()).expect("written");
        drop(stdin);
        Ended(client.wait_with_output().expect("ended"))
    }

    fn moved(&self, id: &str) -> u32 {
        self.gateway.shared.book().moved.get(id).map_or(0, |moved| moved.0)
    }
}

struct Ended(Output);

impl Ended {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    fn data(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn talk(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|_| panic!("{}", self.talk()))
    }
}

#[test]
fn a_payment_is_answered_in_json_and_the_same_id_is_the_same_payment() {
    let scene = Scene::new();
    let first = scene.run(&["transfer", "250", PAYEE, "tx-1", "-o", "json"]);
    assert_eq!(first.code(), 0, "{}", first.talk());
    let json = first.json();
    assert_eq!(json["state"], "COMMITTED");
    assert_eq!((&json["success"], &json["replayed"]), (&true.into(), &false.into()));
    assert_eq!((&json["amount_minor"], &json["currency_code"]), (&25_000.into(), &"INR".into()));

    let again = scene.run(&["transfer", "250", PAYEE, "tx-1", "-o", "json"]);
    assert_eq!((again.code(), &again.json()["replayed"]), (0, &true.into()));
    let other = scene.run(&["transfer", "251", PAYEE, "tx-1"]);
    assert_eq!(other.code(), 2, "{}", other.talk());
    assert!(other.talk().contains("amount_minor"), "{}", other.talk());
    assert_eq!(scene.moved("tx-1"), 1);
    assert_eq!(scene.gateway.shared.book().sign_ins, 1, "one session serves all commands");
}

#[test]
fn what_is_malformed_is_refused_with_2_and_nothing_is_sent() {
    let scene = Scene::new();
    let power = format!("1{}", "0".repeat(30));
    let long = "x".repeat(65);
    let mut asks: Vec<Vec<&str>> = ["0", "-1", "1.234", "1e9", "NaN", power.as_str()]
        .map(|amount| vec!["transfer", amount, PAYEE])
        .to_vec();
    asks.extend(
        ["1000000000002", "1000000000000x", "100000000000022"].map(|to| vec!["transfer", "1", to]),
    );
    asks.extend(["", "my id", &long].map(|id| vec!["transfer", "1", PAYEE, id]));
    for ask in asks {
        let ended = scene.run(&ask);
        assert_eq!(ended.code(), 2, "{ask:?}: {}", ended.talk());
        assert!(ended.talk().contains("no money moved"), "{ask:?}: {}", ended.talk());
    }
    scene.run(&["view"]);
    let own = scene.run(&["transfer", "1", "10000000000001"]);
    assert_eq!((own.code(), own.talk().contains("SAME_ACCOUNT")), (2, true));
    assert!(scene.gateway.shared.book().arrived.is_empty());
}

#[test]
fn a_payment_while_the_gateway_is_down_is_queued_with_75_and_flushed_once() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    let queued = scene.run(&["transfer", "250", PAYEE, "tx-1", "-o", "json"]);
    assert_eq!((queued.code(), &queued.json()["state"]), (75, &"QUEUED".into()));
    let listed = scene.run(&["queue", "ls", "-o", "json"]).json();
    assert_eq!(listed["queue"][0]["stage"], "new");
    assert_eq!(scene.run(&["queue", "flush"]).code(), 75, "it is still down");

    scene.gateway.restart();
    let flushed = scene.run(&["queue", "flush", "-o", "json"]);
    assert_eq!(flushed.code(), 0, "{}", flushed.talk());
    assert_eq!(flushed.json()["payments"][0]["state"], "COMMITTED");
    assert_eq!(scene.moved("tx-1"), 1);
    assert_eq!(scene.run(&["queue", "ls", "-o", "json"]).json()["queue"], Value::Array(vec![]));
}

#[test]
fn what_was_never_sent_can_be_dropped_and_what_may_have_been_cannot() {
    let mut scene = Scene::new();
    scene.gateway.shared.script([Act::PayAndDie]);
    let unknown = scene.run(&["transfer", "250", PAYEE, "sent"]);
    assert_eq!(unknown.code(), 7, "{}", unknown.talk());
    assert!(unknown.talk().contains("strife tx show sent"), "{}", unknown.talk());
    scene.gateway.wait();
    assert_eq!(scene.run(&["transfer", "5", PAYEE, "kept"]).code(), 75);

    assert_eq!(scene.run(&["queue", "drop", "kept"]).code(), 0);
    let refused = scene.run(&["queue", "drop", "sent"]);
    assert_eq!(refused.code(), 7, "{}", refused.talk());
    assert_eq!(scene.run(&["queue", "drop", "other"]).code(), 3);

    scene.gateway.restart();
    let shown = scene.run(&["tx", "show", "sent", "-o", "json"]);
    assert_eq!((shown.code(), &shown.json()["state"]), (0, &"COMMITTED".into()));
    assert_eq!(scene.run(&["queue", "flush"]).code(), 0);
    let shown = scene.run(&["tx", "show", "sent", "-o", "json"]);
    assert_eq!(shown.json()["amount_minor"], 25_000, "also when the queue has forgotten it");
    assert_eq!((scene.moved("sent"), scene.moved("kept")), (1, 0));
}

#[test]
fn a_client_killed_at_any_point_of_a_payment_loses_nothing_and_pays_once() {
    for (point, before) in [("client-saved", 0), ("client-sent", 1), ("client-answered", 1)] {
        let scene = Scene::new();
        scene.run(&["view"]);
        let killed = scene.run(&["transfer", "250", PAYEE, "tx-1", "--crash-at", point]);
        assert_eq!(killed.0.status.signal(), Some(9), "{point}: {}", killed.talk());
        if point != "client-sent" {
            assert_eq!(scene.moved("tx-1"), before, "{point}");
        }
        let listed = scene.run(&["queue", "ls", "-o", "json"]).json();
        assert_eq!(listed["queue"][0]["stage"], "sending", "{point}: {listed}");
        assert_eq!(scene.run(&["queue", "drop", "tx-1"]).code(), 7, "{point}");
        let flushed = scene.run(&["queue", "flush"]);
        assert_eq!(flushed.code(), 0, "{point}: {}", flushed.talk());
        assert_eq!(scene.moved("tx-1"), 1, "{point}");
    }
}

#[test]
fn every_verdict_has_its_exit_code() {
    let scene = Scene::new();
    scene.gateway.shared.script([
        Act::Refuse(status(Reason::BankUnavailable, "ICICI is away")),
        Act::Answer(PaymentState::Aborted, "INSUFFICIENT_FUNDS"),
        Act::Refuse(status(Reason::AccountNotFound, "no such account")),
        Act::Refuse(status(Reason::LogFull, "no room")),
        Act::Answer(PaymentState::Pending, ""),
        Act::Hang,
    ]);
    for expected in [4, 3, 3, 4, 7, 7, 0] {
        let ended = scene.run(&["transfer", "1", PAYEE]);
        assert_eq!(ended.code(), expected, "{}", ended.talk());
    }
    let queue = scene.run(&["queue", "ls", "-o", "jsonl"]).data();
    assert_eq!(queue.lines().count(), 2, "only the pending and the unknown are kept: {queue}");
    let wrong = Ended(
        scene
            .strife(&["transfer", "1", PAYEE])
            .env("STRIFE_PASSWORD", "wrong")
            .output()
            .expect("ran"),
    );
    assert_eq!(wrong.code(), 0, "the session still serves");
    fs::remove_file(scene.home.session("client1".parse().expect("a client"))).expect("removed");
    let wrong = Ended(
        scene
            .strife(&["transfer", "1", PAYEE])
            .env("STRIFE_PASSWORD", "wrong")
            .output()
            .expect("ran"),
    );
    assert_eq!(wrong.code(), 5, "{}", wrong.talk());
}

#[test]
fn a_script_can_pipe_commands_into_the_prompt() {
    let scene = Scene::new();
    let ended = scene.piped("view\ntransfer 250 10000000000002 tx-1\nhistory\nstatus tx-1\nexit\n");
    assert_eq!(ended.code(), 0, "{}", ended.talk());
    for expected in ["10000.00 INR", "paid: 250.00 INR to 10000000000002", "COMMITTED"] {
        assert!(ended.data().contains(expected), "{expected}: {}", ended.data());
    }
    let failed = scene.piped("transfer 1.234 10000000000002\nbogus\nstatus unheard-of\nview\n");
    assert_eq!(failed.code(), 3, "the last that failed: {}", failed.talk());
    assert_eq!(failed.data().matches("balance").count(), 1, "and the rest was done");
}

#[test]
fn the_prompt_sends_in_the_background_what_could_not_go_and_says_so() {
    let mut scene = Scene::new();
    scene.gateway.kill();
    let mut client = scene.strife(&["client"]);
    client.env("STRIFE_CLIENT__RETRY_MS", "50").env("STRIFE_CLIENT__RETRY_MAX_MS", "200");
    client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("started");
    let mut stdin = client.stdin.take().expect("a pipe");
    let mut heard = BufReader::new(client.stderr.take().expect("a pipe")).lines();
    let mut wait_for = |text: &str| {
        heard.by_ref().map_while(Result::ok).find(|line| line.contains(text)).expect("said")
    };
    wait_for("payments wait in the");
    stdin.write_all(b"transfer 250 10000000000002 tx-1\n").expect("written");
    wait_for("queued: the gateway cannot be reached");
    scene.gateway.restart();
    wait_for("paid: 250.00 INR to 10000000000002  tx tx-1");
    drop(stdin);
    assert_eq!(client.wait().expect("ended").code(), Some(75));
    assert_eq!(scene.moved("tx-1"), 1);
    assert!(scene.run(&["queue", "ls"]).data().is_empty());
}

#[test]
fn an_outcome_that_nobody_was_told_is_told_once_next_time() {
    let scene = Scene::new();
    scene.run(&["view"]);
    // The answer was recorded, and the process died before it was printed.
    let mut outbox = strife::client::outbox::Outbox::open(
        &scene.home.client("client1".parse().expect("a client")),
        "client1".parse().expect("a client"),
    )
    .expect("an outbox");
    let draft =
        strife::client::ask::Ask { amount: "250", recipient: PAYEE, id: Some("tx-1"), memo: "" };
    let draft = draft.parse(None).expect("a draft");
    outbox.save(std::slice::from_ref(&draft), None, 1).expect("saved");
    let outcome = strife::client::outbox::Outcome {
        end: strife::client::outbox::End::Committed,
        reason: String::new(),
        message: String::new(),
        lsn: 4,
        replayed: false,
    };
    outbox.settle(draft.id, outcome).expect("settled");
    let told = scene.run(&["transfer", "1", PAYEE]).talk();
    assert!(told.contains("since last time:\npaid: 250.00 INR"), "{told}");
    assert!(!scene.run(&["transfer", "1", PAYEE]).talk().contains("since last time"));
}

#[test]
fn a_file_is_refused_whole_when_a_line_is_bad() {
    let scene = Scene::new();
    let file = scene.home.root().join("payments.csv");
    fs::write(&file, "10000000000002,1\n1000,1\n10000000000002,1.234\n").expect("written");
    let refused = scene.run(&["transfer", "--file", file.to_str().expect("UTF-8")]);
    assert_eq!(refused.code(), 2, "{}", refused.talk());
    for expected in ["line 2: ", "line 3: ", "Nothing was sent"] {
        assert!(refused.talk().contains(expected), "{expected}: {}", refused.talk());
    }
    assert!(scene.gateway.shared.book().arrived.is_empty());
}

#[test]
fn a_file_killed_in_the_middle_is_given_again_and_no_line_is_paid_twice() {
    let scene = Scene::new();
    let file = scene.home.root().join("payments.csv");
    let lines: Vec<_> = (1..=40).map(|n| format!("{PAYEE},{n}\n{PAYEE},7\n")).collect();
    fs::write(&file, lines.concat()).expect("written");
    let file = file.to_str().expect("UTF-8");
    for point in ["client-saved:9", "client-answered:20", "client-sent:30"] {
        let killed = scene.run(&["transfer", "--file", file, "--crash-at", point]);
        assert_eq!(killed.0.status.signal(), Some(9), "{point}: {}", killed.talk());
    }
    let ended = scene.run(&["transfer", "--file", file, "-o", "json"]);
    assert_eq!(ended.code(), 0, "{}", ended.talk());
    let json = ended.json();
    let count = |name: &str| json[name].as_u64().expect("a number");
    assert_eq!((count("lines"), count("paid") + count("paid_before")), (80, 80));
    assert!(count("paid_before") > 0);
    let book = scene.gateway.shared.book();
    assert_eq!(book.moved.len(), 80);
    let total: i64 = book.moved.values().map(|(times, amount)| i64::from(*times) * amount).sum();
    assert_eq!(total, 100 * (40 * 41 / 2 + 40 * 7));
}

#[test]
fn a_file_whose_gateway_goes_away_is_queued_and_flushed_once() {
    let mut scene = Scene::new();
    let file = scene.home.root().join("payments.csv");
    let lines: Vec<_> = (1..=50).map(|n| format!("{PAYEE},{n}\n")).collect();
    fs::write(&file, lines.concat()).expect("written");
    scene.gateway.shared.script((0..20).map(|_| Act::Pay).chain([Act::PayAndDie]));
    let away = scene.run(&["transfer", "--file", file.to_str().expect("UTF-8"), "-o", "json"]);
    assert_eq!(away.code(), 7, "{}", away.talk());
    scene.gateway.restart();
    let flushed = scene.run(&["queue", "flush"]);
    assert_eq!(flushed.code(), 0, "{}", flushed.talk());
    let book = scene.gateway.shared.book();
    assert_eq!(book.moved.len(), 50);
    assert!(book.moved.values().all(|(times, _)| *times == 1));
}

#[test]
fn no_password_and_no_token_is_written_where_it_does_not_belong() {
    let scene = Scene::new();
    scene.piped("transfer 250 10000000000002\nview\n");
    let session = scene.home.session("client1".parse().expect("a client"));
    let mut unseen = vec![scene.home.root().to_owned()];
    let mut files = 0;
    while let Some(directory) = unseen.pop() {
        for entry in fs::read_dir(directory).expect("readable").map(|e| e.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() {
                unseen.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).expect("readable");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("pass1"), "{}", path.display());
            assert!(path == session || !text.contains("token-1"), "{}", path.display());
        }
    }
    assert!(files > 10, "certificates, the outbox, the session, the log");
}
