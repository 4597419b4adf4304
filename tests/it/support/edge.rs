//! What several subjects need: a home with certificates, and a service behind a real listener.

use axum::body::Body;
use http::{Request, Response};
use recovery::model::BankName;
use std::convert::Infallible;
use std::process::Command;
use strife::accept;
use strife::config::{Address, Config, Limits};
use strife::home::{Home, Party};
use strife::identity::IdentityLayer;
use strife::{certs, tls};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

pub(crate) fn bank(name: &str) -> BankName {
    name.parse().expect("a bank name")
}

/// A home with certificates for the six banks. The directory lives as long as the first part.
pub(crate) fn home() -> (TempDir, Home) {
    tls::install_provider();
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path().join("home"));
    home.create().expect("made");
    let banks: Vec<BankName> = Config::standard().banks.into_keys().collect();
    certs::init(&home, &banks).expect("issued");
    (directory, home)
}

/// A listener that serves until it is dropped.
pub(crate) struct Served {
    pub(crate) address: Address,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// `routes` behind the identity layer, shown as `party`.
pub(crate) async fn serve<S>(
    home: &Home,
    party: Party,
    layer: IdentityLayer,
    limits: Limits,
    routes: S,
) -> Served
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let listener = accept::bind(&Address::local(0)).await.expect("bound");
    let address = Address::from(listener.local_addr().expect("an address"));
    let tls = tls::server_of(home, party).expect("certificates");
    let stop = CancellationToken::new();
    let until = stop.clone();
    let routes = layer.layer(routes);
    let task =
        tokio::spawn(async move { accept::serve(listener, tls, &limits, routes, until).await });
    Served { address, stop, task }
}

/// The health service, which every role may ask.
pub(crate) async fn health() -> axum::Router {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    tonic::service::Routes::new(service).into_axum_router()
}

/// Asks the health service over `channel`.
pub(crate) async fn check(channel: tonic::transport::Channel) -> Result<(), tonic::Status> {
    use tonic_health::pb::health_client::HealthClient;
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.map(|_| ())
}

/// The status and everything beneath it, as text.
pub(crate) fn causes(status: &tonic::Status) -> String {
    strife::errors::chain(status)
}

/// Whether a tool is installed; says so when it is not. `STRIFE_REQUIRE` names tools that must be.
pub(crate) fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(name).is_file());
    found || is_not_required(name)
}

/// Whether `python3` has what a bank of its own needs.
pub(crate) fn has_grpcio() -> bool {
    let imported = Command::new("python3").args(["-c", "import grpc, grpc_tools"]).output();
    imported.is_ok_and(|output| output.status.success()) || is_not_required("grpcio")
}

/// False, and said so: the test is skipped. A tool that is required must be there.
fn is_not_required(name: &str) -> bool {
    let required = std::env::var("STRIFE_REQUIRE").unwrap_or_default();
    let required = required.split([',', ' ']).any(|tool| tool == name);
    assert!(!required, "{name} is required and not installed");
    println!("SKIPPED {name}");
    false
}

/// Says that a test was skipped for want of a tool.
pub(crate) fn skipped(name: &str) {
    is_not_required(name);
}
