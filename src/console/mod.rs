//! The web page for operators: what happens, what is in doubt, what the logs say.
//!
//! ```text
//!  browser --> gateway's plain port --> this process --+--> AdminService, as whoever is signed in
//!                                                      |--> /metrics of the gateway and the banks
//!                                                      '--> log files, read beside their writers
//! ```
//!
//! It is a process of its own that only reads: whatever becomes of it touches no payment. Nobody
//! sees anything without signing in as an auditor or an admin, and it believes no request that does
//! not come from its own page. The page has no build step and loads nothing from elsewhere.

mod api;
mod desk;
mod events;
mod figures;
mod guard;
mod holds;
mod logs;
mod record;
mod reports;

use crate::accept;
use crate::config::{Address, Config};
use crate::errors::Failure;
use crate::home::{Home, Service, notify};
use axum::Router;
use desk::Desk;
use holds::Holds;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// What every answer is made from.
struct Console {
    home: Home,
    config: Config,
    desk: Desk,
    /// Reading logs is for one at a time: it may take a whole segment of memory.
    reading: Arc<tokio::sync::Semaphore>,
    holds: Mutex<Holds>,
    stop: CancellationToken,
}

type Shared = Arc<Console>;

/// Serves the page until `stop`. `listen` is an address of its own, for when no gateway runs that
/// would pass requests on to it; otherwise it takes a free port, which only the gateway needs to
/// know.
pub async fn run(
    home: &Home,
    config: &Config,
    listen: Option<Address>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let address = listen.unwrap_or_else(|| Address::local(0));
    let listener = accept::bind_plain("--listen", &address).await?;
    let bound = listener.local_addr().map_err(|e| Failure::unexpected("listen", &e))?;
    let address = address.with_port(bound.port());
    let console = Arc::new(Console {
        home: home.clone(),
        config: config.clone(),
        desk: Desk::new(home, config),
        reading: Arc::new(tokio::sync::Semaphore::new(1)),
        holds: Mutex::default(),
        stop: stop.clone(),
    });
    let hosts = guard::hosts([&config.console.address, &address]);
    let routes: Router = guard::around(api::routes(console), hosts);
    let announced = home.announce(Service::Console, &address)?;
    tracing::info!(%address, page = %config.console.address, "serving");
    let ended = async {
        stop.cancelled().await;
        notify::stopping();
    };
    tokio::join!(accept::serve_plain(listener, routes, stop.clone()), ended);
    drop(announced);
    Ok(())
}
