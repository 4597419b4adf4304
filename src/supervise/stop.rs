//! When a service stops: a signal, or the end of whoever minds it.

use crate::errors::Failure;
use std::io::{IsTerminal, Read};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Set to 1 in the environment of a child of `up`: its stdin is a pipe that ends when `up` does.
pub const SUPERVISED: &str = "STRIFE_SUPERVISED";

/// A token that is cancelled on SIGINT or SIGTERM, when the terminal that it was started at hangs
/// up, and, under `up`, when `up` is gone. Call it once, inside the runtime.
///
/// Without a terminal SIGHUP is no end: a service reads its certificates again then.
pub fn stop_token() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    kinds.extend(std::io::stdin().is_terminal().then(SignalKind::hangup));
    for kind in kinds {
        let heard = signal(kind);
        let mut heard = heard.map_err(|error| Failure::unexpected("wait for signals", &error))?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while heard.recv().await.is_some() {
                stop.cancel();
            }
        });
    }
    if std::env::var_os(SUPERVISED).is_some_and(|value| value == "1") {
        let stop = stop.clone();
        // A thread of its own: reading stdin cannot be given up, and must not hold up an end.
        let thread = std::thread::Builder::new().name("lifeline".to_owned());
        let spawned = thread.spawn(move || {
            let mut ignored = [0; 64];
            while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
            stop.cancel();
        });
        spawned.map_err(|error| Failure::unexpected("start a thread", &error))?;
    }
    Ok(stop)
}
