//! What `/metrics` shows of real processes: every name, moving as money moves, and nobody's name.

use crate::support::live::{Stage, ended, good, strife};
use crate::support::scrape::{Figures, get, until};
use nix::sys::signal::Signal;
use std::net::TcpListener;
use strife::config::Address;
use strife::home::Service;
use strife::telemetry::meters::NAMES;

fn gateway(stage: &Stage) -> Address {
    stage.scene.cluster.config().console.address.clone()
}

fn bank(stage: &Stage, name: &str) -> (Service, Address) {
    let name = name.parse().expect("a bank");
    let address = stage.scene.cluster.config().banks[&name].metrics_address.clone();
    (Service::Bank(name), address)
}

/// The labels that there are; none of them without an end.
const LABELS: [&str; 10] = [
    "outcome",
    "reason",
    "phase",
    "how",
    "bank",
    "role",
    "le",
    "grpc_service",
    "grpc_method",
    "grpc_code",
];

#[test]
fn every_name_of_the_contract_is_there_and_no_label_is_somebodys() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let (_, at_hdfc) = bank(&stage, "HDFC");
    let shown = Figures::read(&gateway(&stage));
    let missing: Vec<_> = NAMES.iter().filter(|name| !shown.has(name.name)).collect();
    assert!(missing.is_empty(), "{missing:?} in {shown:#?}");
    let of_bank = Figures::read(&at_hdfc);
    let banks = [
        "strife_wal_fsync_seconds",
        "strife_wal_batch_records",
        "strife_wal_last_lsn",
        "strife_mirror_lag_records",
        "strife_recovery_seconds",
        "strife_recovery_resolved_total",
        "strife_bank_holds",
        "strife_auth_failures_total",
        "strife_cert_expiry_timestamp_seconds",
    ];
    for name in banks {
        assert!(of_bank.has(name), "{name} in {of_bank:#?}");
    }
    for (label, value) in shown.labels().chain(of_bank.labels()) {
        assert!(LABELS.contains(&label), "{label}");
        let telling = ["client1", "client2", "1000000000", "drill-", "user1"];
        assert!(!telling.iter().any(|it| value.contains(it)), "{label}={value}");
    }
    assert_eq!(get(&gateway(&stage), "/").0, 404, "without a console there is no page");
    good(stage.scene.conclude());
}

#[test]
fn figures_move_as_payments_do_and_a_silent_bank_is_seen_in_doubt_and_then_resolved() {
    let mut stage = Stage::begin();
    good(stage.scene.pay_for_sure());
    let address = gateway(&stage);
    let committed = r#"strife_payments_total{outcome="committed"}"#;
    let timed_out = r#"strife_aborts_total{reason="PREPARE_TIMEOUT"}"#;
    let before = until(&address, |now| now.whole("strife_payments_inflight") == 0);
    assert!(stage.scene.pay_minor(1_00).is_committed());
    let after = until(&address, |now| now.whole("strife_payments_inflight") == 0);
    assert_eq!(after.whole(committed) - before.whole(committed), 1);
    assert!(after.of("strife_wal_last_lsn") >= before.of("strife_wal_last_lsn") + 5.0);
    for phase in ["prepare", "decide", "settle"] {
        let count = format!("strife_phase_seconds_count{{phase=\"{phase}\"}}");
        assert_eq!(after.whole(&count) - before.whole(&count), 1, "{phase}");
    }
    assert!(
        after.of("strife_wal_fsync_seconds_count") > before.of("strife_wal_fsync_seconds_count")
    );

    // ICICI stands still: its payment aborts, and stays open until the bank has heard so.
    let (icici, at_icici) = bank(&stage, "ICICI");
    good(stage.scene.cluster.signal(icici, Signal::SIGSTOP));
    let heard = stage.scene.pay_minor(2_00);
    assert!(!heard.is_committed(), "{heard:?}");
    let doubtful = until(&address, |now| now.whole("strife_in_doubt") == 1);
    assert_eq!(doubtful.whole("strife_in_doubt_amount_minor"), 200);
    assert!(doubtful.of("strife_in_doubt_oldest_seconds") > 0.3);
    assert_eq!(doubtful.whole(timed_out) - after.whole(timed_out), 1);
    good(stage.scene.cluster.kill(icici));
    until(&address, |now| now.whole(r#"strife_bank_up{bank="ICICI"}"#) == 0);

    // The gateway dies with it open, and the next start brings it to its end.
    good(stage.scene.cluster.kill(Service::Gateway));
    good(stage.scene.cluster.start(Service::Gateway, None));
    let inherited = until(&address, |now| now.whole("strife_in_doubt") == 1);
    let told = r#"strife_recovery_resolved_total{how="tell-abort"}"#;
    assert_eq!(inherited.whole(told), 0);
    assert!(inherited.of("strife_recovery_seconds") > 0.0);
    good(stage.scene.cluster.start(icici, None));
    let clear = until(&address, |now| now.whole("strife_in_doubt") == 0);
    assert_eq!(clear.whole(told), 1);
    assert_eq!(clear.whole("strife_in_doubt_amount_minor"), 0);
    until(&address, |now| now.whole(r#"strife_bank_up{bank="ICICI"}"#) == 1);
    assert_eq!(Figures::read(&at_icici).whole(r#"strife_bank_holds{bank="ICICI"}"#), 0);
    good(stage.scene.conclude());
}

#[test]
fn a_wrong_password_is_counted_by_its_reason() {
    let stage = Stage::begin();
    let refused = r#"strife_auth_failures_total{reason="BAD_CREDENTIALS"}"#;
    assert_eq!(Figures::read(&gateway(&stage)).whole(refused), 0);
    let mut command = stage.client(1, &["view"]);
    let (code, ..) = ended(command.env("STRIFE_PASSWORD", "wrong").output().expect("ran"));
    assert_eq!(code, 5);
    assert_eq!(Figures::read(&gateway(&stage)).whole(refused), 1);
}

#[test]
fn a_metrics_port_in_use_is_refused_by_its_key() {
    let stage = Stage::set();
    let taken = [gateway(&stage), bank(&stage, "Axis").1];
    let _held = taken.each_ref().map(|it| TcpListener::bind((it.host(), it.port())).expect("free"));
    let roles: [(&[&str], &str); 2] =
        [(&["gateway"], "console.address"), (&["bank", "Axis"], "banks.Axis.metrics_address")];
    for ((arguments, key), address) in roles.iter().zip(&taken) {
        let (code, _, talk) = ended(strife(stage.home(), arguments).output().expect("ran"));
        assert_eq!(code, 8, "{talk}");
        assert!(talk.contains(key) && talk.contains(&address.to_string()), "{talk}");
        assert!(talk.contains("PORT_IN_USE"), "{talk}");
    }
}
