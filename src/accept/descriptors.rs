//! Descriptors are for the logs first: a listener takes no more of them than are left over.
//!
//! A log that cannot open its next segment stops its service. Connections from outside must not be
//! able to bring that about.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a service needs beside connections from outside: its log, its view, its lines to others.
const RESERVED: usize = 32;
/// A service has two listeners at most.
const LISTENERS: usize = 2;
/// With fewer places than these it would serve nobody.
const PLACES_MIN: usize = 8;

/// How many connections one listener may hold open.
pub(super) fn places() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, hard)| {
        // Whoever set the lower limit meant programs that cannot cope with many.
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        if raised { hard } else { soft }
    });
    shared(usize::try_from(limit.unwrap_or(0)).unwrap_or(usize::MAX))
}

fn shared(descriptors: usize) -> usize {
    (descriptors.saturating_sub(RESERVED) / LISTENERS).max(PLACES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_its_descriptors_whatever_the_limit() {
        for descriptors in [64, 256, 1_024, 1 << 20] {
            assert!(shared(descriptors) * LISTENERS + RESERVED <= descriptors, "{descriptors}");
        }
        assert_eq!(shared(64), 16);
        assert_eq!(shared(0), PLACES_MIN);
        assert!(places() >= PLACES_MIN);
    }
}
