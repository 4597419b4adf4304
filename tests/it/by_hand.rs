//! A payment that nobody can settle: a decision by hand, and a recovery that goes step by step.
//! Real processes, and a bank that dies before it has voted.

use crate::support::live::{Stage, ended, good, strife};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use strife::home::Service;

const PATIENCE: Duration = Duration::from_secs(30);

fn icici() -> Service {
    Service::Bank("ICICI".parse().expect("a bank"))
}

/// The operator `who`, who signs in with a password that is the name twice.
fn operator(stage: &Stage, who: &str, arguments: &[&str]) -> Command {
    let mut command = strife(stage.home(), arguments);
    let password = if who == "admin" { "adminpass".to_owned() } else { who.repeat(4) };
    command.args(["--operator", who]).env("STRIFE_OPERATOR_PASSWORD", password);
    command
}

fn operate(stage: &Stage, who: &str, arguments: &[&str]) -> (i32, String, String) {
    ended(operator(stage, who, arguments).output().expect("ran"))
}

fn json(stage: &Stage, who: &str, arguments: &[&str]) -> (i32, Value) {
    let all: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
    let (code, data, talk) = operate(stage, who, &all);
    let value = serde_json::from_str(&data).unwrap_or_else(|_| panic!("{arguments:?}: {talk}"));
    (code, value)
}

fn add_admin(stage: &Stage, name: &str) {
    let add = ["users", "add", "--client-id", name, "--role", "admin", "--password-stdin"];
    let mut command = strife(stage.home(), &add);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started");
    let mut stdin = child.stdin.take().expect("piped");
    writeln!(stdin, "{}", name.repeat(4)).expect("written");
    drop(stdin);
    assert!(child.wait().expect("ended").success());
}

/// Looks until `seen` says what it wants.
fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let by = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < by, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Payments of client1 to client2 that have HDFC's vote and not that of ICICI, which stands still
/// and is then dead, as the gateway is.
fn in_doubt(ids: &[&str]) -> Stage {
    let mut stage = Stage::set_with(|config| config.gateway.two_phase_timeout_ms = 60_000);
    add_admin(&stage, "ann");
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    good(stage.scene.cluster.signal(icici(), Signal::SIGSTOP));
    for id in ids {
        let transfer = ["transfer", "7.00", "10000000000002", id];
        let mut client = stage.client(1, &transfer);
        let mut client: Child =
            client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client");
        until("a vote that is on disk", || {
            let kinds = ["wal", "ls", "--tx", id, "--kind", "Voted", "-o", "json"];
            let (_, data, _) = ended(strife(stage.home(), &kinds).output().expect("ran"));
            data.contains("Voted").then_some(())
        });
        client.kill().expect("killed");
        client.wait().expect("reaped");
    }
    good(stage.scene.cluster.kill(Service::Gateway));
    good(stage.scene.cluster.kill(icici()));
    stage
}

fn state_at<'a>(found: &'a Value, bank: &str) -> &'a Value {
    let evidence = found["evidence"].as_array().expect("evidence");
    evidence.iter().find(|it| it["bank"] == bank).expect("the bank")
}

fn kinds(stage: &Stage, log: &str, id: &str) -> String {
    let (_, data, talk) =
        ended(strife(stage.home(), &["wal", "ls", log, "--tx", id]).output().expect("ran"));
    assert!(talk.is_empty() || !talk.contains("error"), "{talk}");
    data
}

fn refused(stage: &Stage, who: &str, arguments: &[&str], word: &str) {
    let (code, _, talk) = operate(stage, who, arguments);
    assert_eq!(code, 3, "{arguments:?}: {talk}");
    assert!(talk.contains("NOT_FORCED") && talk.contains(word), "{talk}");
}

#[test]
fn two_admins_end_a_payment_whose_bank_is_gone_and_the_case_closes_when_it_comes_back() {
    let mut stage = in_doubt(&["lost-1"]);
    let data = stage.home().data(icici());
    let aside = data.with_extension("away");
    std::fs::rename(&data, &aside).expect("moved");
    good(stage.scene.cluster.spawn(Service::Gateway, None));
    good(stage.scene.cluster.wait_ready(Service::Gateway));

    // Evidence: HDFC was asked, ICICI cannot be seen. Whoever looks is told to wait.
    let found = until("HDFC asked", || {
        let (code, found) = json(&stage, "admin", &["tx", "resolve", "lost-1"]);
        assert_eq!(code, 7);
        (state_at(&found, "HDFC")["asked"] == true).then_some(found)
    });
    assert_eq!((&found["decision"], &found["held_minor"]), (&Value::Null, &700.into()), "{found}");
    assert_eq!(state_at(&found, "HDFC")["state"], "HELD");
    assert_eq!(state_at(&found, "ICICI")["state"], Value::Null);
    let risk: Vec<_> = found["choices"].as_array().expect("choices").iter().collect();
    let risk: Vec<_> = risk.iter().map(|it| (&it["choice"], &it["at_risk_minor"])).collect();
    let expected = [("wait", 0), ("abort", 700), ("commit", 700)];
    for (found, (choice, minor)) in risk.iter().zip(expected) {
        assert_eq!((found.0, found.1), (&choice.into(), &minor.into()));
    }

    // One admin is not enough, nor are two who want different things.
    let payment = found["payment"].as_str().expect("an id").to_owned();
    let ask = ["tx", "resolve", "lost-1", "--force", "abort", "--reason", "ICICI burned down"];
    let approve = |how| ["tx", "resolve", "lost-1", "--approve", how];
    let (code, ..) = operate(&stage, "admin", &ask[..5]);
    assert_eq!(code, 2, "without a reason");
    // HDFC must have been greeted before anything can be asked.
    refused(&stage, "ann", &approve("abort"), "asked");
    let (code, _, talk) = operate(&stage, "admin", &ask);
    assert_eq!(code, 0, "{talk}");
    refused(&stage, "admin", &approve("abort"), "admin");
    refused(&stage, "ann", &approve("commit"), "asked");
    assert_eq!(
        state_at(&json(&stage, "ann", &["tx", "resolve", &payment]).1, "HDFC")["state"],
        "HELD"
    );
    let (_, listed) = json(&stage, "ann", &["tx", "in-doubt"]);
    assert_eq!(listed["payments"][0]["case"]["approved_by"], Value::Null, "{listed}");

    let (code, decided) = json(&stage, "ann", &approve("abort"));
    assert_eq!((code, &decided["decision"]), (0, &"ABORT".into()), "{decided}");
    assert_eq!(state_at(&decided, "HDFC")["state"], "RELEASED", "its money is free again");
    assert_eq!(decided["case"]["approved_by"], "ann");
    assert_eq!(decided["case"]["open"], true);
    never_hidden(&stage);

    // It comes back. It had promised nothing, so all agree, and the case is closed.
    std::fs::rename(&aside, &data).expect("moved back");
    good(stage.scene.cluster.start(icici(), None));
    let closed = until("a closed case", || {
        let (_, found) = json(&stage, "admin", &["tx", "resolve", "lost-1"]);
        (found["case"]["open"] == false).then_some(found)
    });
    assert_eq!((&closed["case"]["wrong_minor"], &closed["mixed"]), (&0.into(), &false.into()));
    assert!(kinds(&stage, "ICICI", &payment).contains("HeuristicObeyed"));
    good(stage.scene.conclude());
}

/// Wherever somebody looks at it, it says what it is.
fn never_hidden(stage: &Stage) {
    let payment = json(stage, "ann", &["tx", "resolve", "lost-1"]).1["payment"].clone();
    let payment = payment.as_str().expect("an id");
    for (log, kind) in [("gateway", "HeuristicDecided"), ("HDFC", "HeuristicObeyed")] {
        let listed = kinds(stage, log, payment);
        assert!(listed.contains(kind) && listed.contains("ICICI burned down"), "{listed}");
    }
    let (_, listed) = json(stage, "ann", &["tx", "in-doubt"]);
    let one = &listed["payments"][0];
    assert_eq!(
        (&one["case"]["resolution"], &one["waiting_for"][0]),
        (&"ABORT".into(), &"ICICI".into())
    );
    assert!(one["last_try_unix_ms"].as_u64().is_some_and(|at| at > 0), "{one}");
    let (_, table, _) = operate(stage, "ann", &["tx", "in-doubt"]);
    assert!(table.contains("HEURISTIC ABORT") && table.contains(" ago"), "{table}");
    let (code, told, talk) = stage.json(1, &["tx", "show", "lost-1"]);
    assert_eq!(told["reason"], "HEURISTIC", "{code} {told} {talk}");
    let said = |arguments: &[&str]| {
        let (_, data, _) = ended(strife(stage.home(), arguments).output().expect("ran"));
        data
    };
    assert!(said(&["tx", "explain", "lost-1"]).contains("HEURISTIC"));
    let online: Value =
        serde_json::from_str(&said(&["audit", "--online", "-o", "json"])).expect("JSON");
    assert_eq!(online["heuristic"][0]["payment"], payment, "{online}");
}

#[test]
fn a_commit_by_hand_that_a_bank_never_promised_is_told_as_mixed_with_its_amount() {
    let mut stage = in_doubt(&["lost-2"]);
    good(stage.scene.cluster.spawn(Service::Gateway, None));
    good(stage.scene.cluster.wait_ready(Service::Gateway));
    let ask = ["tx", "resolve", "lost-2", "--force", "commit", "--reason", "the court says so"];
    until("HDFC greeted, so that its promise is known", || {
        let (code, ..) = operate(&stage, "ann", &ask);
        (code == 0).then_some(())
    });
    let (code, decided) =
        json(&stage, "admin", &["tx", "resolve", "lost-2", "--approve", "commit"]);
    assert_eq!((code, &state_at(&decided, "HDFC")["state"]), (0, &"POSTED".into()), "{decided}");

    good(stage.scene.cluster.start(icici(), None));
    let closed = until("a closed case", || {
        let (_, found) = json(&stage, "admin", &["tx", "resolve", "lost-2"]);
        (found["case"]["open"] == false).then_some(found)
    });
    let case = &closed["case"];
    assert_eq!((&closed["mixed"], &case["wrong_minor"]), (&true.into(), &700.into()), "{closed}");
    assert_eq!(case["differed"], serde_json::json!(["ICICI RELEASED"]));
    let (_, text, _) = operate(&stage, "admin", &["tx", "resolve", "lost-2"]);
    assert!(text.contains("closed, MIXED: 7.00 INR"), "{text}");
    good(stage.scene.cluster.stop_all());
    let (code, data, talk) = operate_less(&stage, &["audit", "-o", "json"]);
    let found: Value = serde_json::from_str(&data).unwrap_or_else(|_| panic!("{talk}"));
    let told = &found["heuristic"][0];
    assert_eq!(
        (code, &told["mixed"], &told["wrong_minor"]),
        (0, &true.into(), &700.into()),
        "{found}"
    );
    assert_eq!(
        found["money"]["expected_minor"], found["money"]["found_minor"],
        "all of it explained"
    );
}

#[test]
fn a_paused_recovery_settles_one_payment_a_step_and_all_when_it_is_resumed() {
    let mut stage = in_doubt(&["slow-1", "slow-2", "slow-3"]);
    let (code, ..) = operate(&stage, "admin", &["admin", "pause-recovery"]);
    assert_eq!(code, 0, "nothing runs: the next start is paused");
    good(stage.scene.cluster.start_all());
    let open = |stage: &Stage| {
        let (_, listed) = json(stage, "admin", &["tx", "in-doubt"]);
        let all = listed["payments"].as_array().expect("a list").clone();
        all.iter().map(|it| it["transaction_id"].as_str().expect("an id").to_owned()).collect()
    };
    let all: Vec<String> = open(&stage);
    assert_eq!(all, ["slow-1", "slow-2", "slow-3"]);
    let (_, table, _) = operate(&stage, "admin", &["tx", "in-doubt"]);
    assert_eq!(table.matches("paused").count(), 3, "{table}");
    let (_, status, _) = operate_less(&stage, &["status"]);
    assert!(status.contains("recovery is paused"), "{status}");
    // HDFC keeps what it holds, and nothing new begins.
    let (_, money, _) = stage.json(1, &["view"]);
    assert_eq!(money["held_minor"], 2_100, "{money}");
    let (code, _, talk) =
        ended(stage.client(3, &["transfer", "1", "10000000000004"]).output().expect("ran"));
    assert_eq!(code, 75, "{talk}");
    assert!(talk.contains("paused"), "{talk}");

    let (code, step) = json(&stage, "admin", &["admin", "step"]);
    assert_eq!((code, &step["settled"], &step["held_up"]), (0, &true.into(), &2.into()), "{step}");
    assert_eq!(step["transaction"], "client1/slow-1");
    std::thread::sleep(Duration::from_secs(2));
    let left: Vec<String> = open(&stage);
    assert_eq!(left, ["slow-2", "slow-3"], "exactly one, however long one waits");
    let (_, money, _) = stage.json(1, &["view"]);
    assert_eq!(money["held_minor"], 1_400, "{money}");

    // Another death changes nothing about it.
    good(stage.scene.cluster.kill(Service::Gateway));
    good(stage.scene.cluster.start(Service::Gateway, None));
    let left: Vec<String> = open(&stage);
    assert_eq!(left, ["slow-2", "slow-3"]);
    let (code, ..) = operate(&stage, "admin", &["admin", "resume"]);
    assert_eq!(code, 0);
    until("all settled", || open(&stage).is_empty().then_some(()));
    let (_, status, _) = operate_less(&stage, &["status"]);
    assert!(!status.contains("paused"), "{status}");
    good(stage.scene.conclude());
}

fn operate_less(stage: &Stage, arguments: &[&str]) -> (i32, String, String) {
    ended(strife(stage.home(), arguments).output().expect("ran"))
}
