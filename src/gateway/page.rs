//! The gateway's plain port: its figures.

use super::coordinator::CoordinatorBox;
use super::meters;
use crate::accept;
use crate::home::{Home, Party};
use crate::tls;
use axum::Router;
use metrics::gauge;
use std::sync::Arc;

/// Whose certificates the gateway shows, believes or hands out.
const PARTIES: [Party; 6] = [
    Party::Authority,
    Party::InternalAuthority,
    Party::Server,
    Party::Gateway,
    Party::Client,
    Party::Admin,
];

/// `/metrics`.
pub(super) fn routes(
    home: &Home,
    coordinator: &CoordinatorBox,
    mirror_lag: impl Fn() -> u64 + Send + Sync + 'static,
) -> Router {
    let (home, coordinator) = (Arc::new(home.clone()), coordinator.clone());
    let mirror_lag = Arc::new(mirror_lag);
    accept::metrics(move || {
        let (home, coordinator) = (Arc::clone(&home), coordinator.clone());
        let mirror_lag = Arc::clone(&mirror_lag);
        async move {
            meters::refresh(&coordinator).await;
            gauge!("strife_mirror_lag_records").set(mirror_lag() as f64);
            tls::show_expiry(&home, &PARTIES);
        }
    })
}
