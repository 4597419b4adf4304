//! A client in another language that was given no proto file: reflection, the call and the log.

use crate::support::edge::{has_grpcio, has_tool};
use crate::support::live::{Stage, ended, good};
use serde_json::Value;
use std::process::Command;
use strife::home::Service;

#[test]
fn a_client_that_knows_only_reflection_signs_in_pays_pays_again_and_lists() {
    if !has_tool("python3") || !has_grpcio() {
        return;
    }
    let mut stage = Stage::set_with(|config| config.gateway.reflection = true);
    good(stage.scene.begin());
    good(stage.scene.pay_for_sure());
    let address = stage.home().running(Service::Gateway).expect("it runs").address.to_string();
    let mut python = Command::new("python3");
    python
        .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/client.py")])
        .args(["--address", &address, "--client-id", "client3", "--username", "user3"])
        .args(["--password", "pass3", "--bank", "Axis", "--to", "10000000000004"])
        .args(["--amount-minor", "12345", "--transaction-id", "from-python"])
        .arg("--certs")
        .arg(stage.home().certs());
    let (code, data, talk) = ended(python.output().expect("ran"));
    assert_eq!(code, 0, "{talk}");
    let told: Value = serde_json::from_str(&data).expect("JSON");
    let services = told["services"].as_array().expect("a list");
    for name in ["strife.v1.PaymentGateway", "strife.v1.AdminService", "grpc.health.v1.Health"] {
        assert!(services.iter().any(|it| it == name), "{name} in {services:?}");
    }
    let other = services.iter().any(|it| it == "strife.v1.BankService");
    assert!(!other, "what is not served here is not said to be: {services:?}");
    assert_eq!(told["paid"]["success"], true, "{told}");
    assert_eq!(
        (&told["paid"]["replayed"], &told["again"]["replayed"]),
        (&false.into(), &true.into())
    );
    assert_eq!(told["paid"]["lsn"], told["again"]["lsn"], "one payment, one decision");
    assert_eq!(told["listed"][0], "from-python", "{told}");

    // What it said of its trace is in the gateway's lines, once it has written them.
    good(stage.scene.cluster.stop(Service::Gateway));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let of_trace = calls(&stage, |line| line["trace_id"] == trace);
    assert_eq!(of_trace, ["RegisterClient", "ProcessPayment", "ProcessPayment", "ListPayments"]);
    good(stage.scene.cluster.start(Service::Gateway, None));
    good(stage.scene.conclude());
}

/// The methods in the gateway's lines of calls that are wanted.
fn calls(stage: &Stage, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let text = std::fs::read_to_string(stage.home().log_file(Service::Gateway)).expect("a log");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let calls = lines.filter(|line| line["message"] == "call").filter(wanted);
    let method = |line: Value| line["method"].as_str().unwrap_or_default().to_owned();
    let methods = calls.map(method);
    methods.map(|method| method.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_payment_that_is_sent_again_by_another_process_is_one_trace_in_the_log() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    for id in ["rent-august", "rent-august", "rent-september"] {
        let paid = stage.client(3, &["transfer", "5", "10000000000004", id]).output();
        assert_eq!(ended(paid.expect("ran")).0, 0);
    }
    good(stage.scene.cluster.stop(Service::Gateway));
    let of = |id: &str| {
        let trace = strife::telemetry::TraceId::named(&format!("client3/{id}")).to_string();
        calls(&stage, |line| line["trace_id"] == trace.as_str() && line["client_id"] == "client3")
    };
    assert_eq!(of("rent-august"), ["ProcessPayment", "ProcessPayment"]);
    assert_eq!(of("rent-september"), ["ProcessPayment"]);
    good(stage.scene.cluster.start(Service::Gateway, None));
    good(stage.scene.conclude());
}
