//! Health, a clean stop and the word to a service manager, of real processes.

use crate::support::live::{Stage, good};
use crate::support::scrape::until;
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use strife::home::{Home, Party, Service};
use strife::tls;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

fn channel(home: &Home) -> Channel {
    let address = home.running(Service::Gateway).expect("it runs").address;
    good(tls::to_gateway(home, Party::Client, &address))
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[test]
fn health_says_serving_by_service_and_not_serving_before_the_gateway_goes() {
    let mut stage = Stage::begin();
    // Every bank has been greeted.
    good(stage.scene.pay_for_sure());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(serving_and_then_not(&mut stage));
}

async fn serving_and_then_not(stage: &mut Stage) {
    let mut health = HealthClient::new(channel(stage.home()));
    for service in ["", "strife.v1.PaymentGateway", "strife.v1.AdminService"] {
        let answer = health.check(about(service)).await.expect("answered").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(about("strife.v1.Nothing")).await.expect_err("unknown");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    let mut watch = health.watch(about("")).await.expect("answered").into_inner();
    let first = watch.message().await.expect("read").expect("a word");
    assert_eq!(first.status(), ServingStatus::Serving);

    // A payment that a silent bank keeps open keeps the doors open for a while.
    let icici = Service::Bank("ICICI".parse().expect("a bank"));
    good(stage.scene.cluster.signal(icici, Signal::SIGSTOP));
    let (mut paying, began) =
        (stage.client(1, &["transfer", "3", "10000000000002"]), Instant::now());
    let mut paying = paying.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let metrics = stage.scene.cluster.config().console.address.clone();
    until(&metrics, |now| now.whole("strife_in_doubt") == 1);
    good(stage.scene.cluster.signal(Service::Gateway, Signal::SIGTERM));
    let last = watch.message().await.expect("read").expect("a word");
    assert_eq!(last.status(), ServingStatus::NotServing);
    // The watch ends by itself: it does not hold the stop up.
    assert!(watch.message().await.is_ok_and(|end| end.is_none()) || began.elapsed().as_secs() < 10);
    let gone = stage.scene.cluster.wait_ended(Service::Gateway, Duration::from_secs(5));
    assert_eq!(good(gone).code(), Some(0));
    let log = std::fs::read_to_string(stage.home().log_file(Service::Gateway)).expect("a log");
    let said = log.lines().find(|line| line.contains("stopping with payments in doubt"));
    assert!(said.is_some_and(|line| line.contains("ICICI")), "{log}");
    good(stage.scene.cluster.signal(icici, Signal::SIGCONT));
    paying.wait().expect("ended");
}

#[test]
fn a_service_manager_is_told_ready_once_it_accepts_and_stopping_at_a_clean_end() {
    let mut stage = Stage::begin();
    good(stage.scene.cluster.stop(Service::Gateway));
    let place = stage.home().root().join("notify");
    let manager = UnixDatagram::bind(&place).expect("bound");
    manager.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_strife"));
    gateway.arg("--home").arg(stage.home().root()).args(["--quiet", "gateway"]);
    gateway.env("NOTIFY_SOCKET", &place).stdin(Stdio::null()).stderr(Stdio::null());
    let mut gateway = gateway.spawn().expect("started");
    let heard = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).expect("told");
        String::from_utf8(bytes[..length].to_vec()).expect("UTF-8")
    };
    let ready = heard();
    assert!(ready.starts_with("READY=1\nSTATUS=gateway serves 127.0.0.1:"), "{ready}");
    assert!(stage.home().running(Service::Gateway).is_some());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(gateway.id()).expect("a pid"));
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("sent");
    assert!(heard().starts_with("STOPPING=1"));
    assert_eq!(gateway.wait().expect("ended").code(), Some(0));
}
