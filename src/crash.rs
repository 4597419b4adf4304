//! Crash points: named instants at which a drill kills this very process.
//!
//! `--crash-at POINT[:NTH]` arms one of them; the NTH time (1 when left out) that the process comes
//! by, it sends itself SIGKILL. Nothing is flushed, no destructor runs: what is lost then is lost
//! to a power switch too. Unarmed, a point costs one load.
//!
//! Refuses to know what happens at a point, and which points there are: a role names its own.

use crate::errors::{Exit, Failure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<Armed> = OnceLock::new();

#[derive(Debug)]
struct Armed {
    point: &'static str,
    /// Passes left before the one that kills.
    left: AtomicU64,
}

/// Arms `POINT[:NTH]`, one of `points`. A process is armed once.
pub fn arm(spec: &str, points: &[&'static str]) -> Result<(), Failure> {
    let armed = parse(spec, points).map_err(|what| {
        let todo = format!("Name one of: {}.", points.join(", "));
        Failure::plain(Exit::Usage, what).todo(todo)
    })?;
    let again = |_| Failure::plain(Exit::Usage, "a process has one crash point");
    ARMED.set(armed).map_err(again)
}

/// Is any point armed? What a point needs is gathered only then.
pub fn armed() -> bool {
    ARMED.get().is_some()
}

/// Is this the armed point? For callers that must arrange for the instant to exist.
pub fn is_armed(point: &str) -> bool {
    ARMED.get().is_some_and(|armed| armed.point == point)
}

/// The instant itself. Does not return when its time has come.
pub fn point(name: &str) {
    let Some(armed) = ARMED.get().filter(|armed| armed.point == name) else { return };
    if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
        let _ = kill(Pid::this(), Signal::SIGKILL);
        // Unreachable but for a kernel that is still delivering.
        std::process::abort();
    }
}

fn parse(spec: &str, points: &[&'static str]) -> Result<Armed, String> {
    let (name, nth) = spec.split_once(':').unwrap_or((spec, "1"));
    let point = points.iter().find(|point| **point == name);
    let point = point.ok_or_else(|| format!("there is no crash point {name:?} here"))?;
    let nth = nth.parse().ok().filter(|nth: &u64| *nth > 0);
    let nth = nth.ok_or_else(|| format!("{spec:?} does not count from 1"))?;
    Ok(Armed { point, left: AtomicU64::new(nth) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_and_counted_from_one() {
        let points = ["client-saved", "client-sent"];
        let left = |spec: &str| parse(spec, &points).map(|armed| armed.left.into_inner());
        assert_eq!(left("client-saved"), Ok(1));
        assert_eq!(left("client-sent:3"), Ok(3));
        assert!(left("client-sent:0").is_err());
        assert!(left("client-sent:x").is_err());
        assert!(left("bank-held").is_err());
    }

    #[test]
    fn an_unarmed_process_passes_every_point() {
        point("client-saved");
        assert!(!is_armed("client-saved"));
    }
}
