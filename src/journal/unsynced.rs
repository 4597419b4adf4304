//! A journal that does not sync, to measure what syncing costs.
//!
//! Only in a home that a benchmark has made for this and throws away: the flag alone is refused,
//! and so is a home that was copied or renamed. Nothing else may run without syncing.

use crate::errors::{Exit, Failure};
use crate::home::{Home, write_private};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wal::Disk;

static FORGONE: AtomicBool = AtomicBool::new(false);

fn marker(home: &Home) -> PathBuf {
    home.root().join("BENCHMARK-WITHOUT-SYNC")
}

/// Where a home is, as its marker names it.
fn place(home: &Home) -> Result<String, Failure> {
    let place = home.root().canonicalize();
    let place = place.map_err(|error| Failure::unexpected("find the home", &error))?;
    Ok(place.display().to_string())
}

/// Marks `home` as one that a benchmark throws away.
pub fn allow_unsynced(home: &Home) -> Result<(), Failure> {
    write_private(&marker(home), place(home)?.as_bytes())
}

/// From here on this process does not sync its log. Refuses in any home that is not marked.
pub fn forgo_sync(home: &Home) -> Result<(), Failure> {
    let marked = std::fs::read_to_string(marker(home)).ok();
    if marked.is_none_or(|marked| Ok(marked) != place(home)) {
        let what = "a service does not run without syncing its log";
        return Err(Failure::plain(Exit::Configuration, what)
            .money("Nothing was begun: what is not synced is lost with the power.")
            .todo("Leave --without-sync out. It is for homes that strife bench makes."));
    }
    FORGONE.store(true, Ordering::Relaxed);
    Ok(())
}

pub(super) fn disk(directory: &Path) -> Disk {
    if FORGONE.load(Ordering::Relaxed) {
        Disk::without_sync(directory)
    } else {
        Disk::new(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_home_runs_without_sync_but_one_that_a_benchmark_made_where_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        std::fs::create_dir(home.root()).expect("made");
        let refused = forgo_sync(&home).expect_err("not marked");
        assert_eq!(refused.exit, Exit::Configuration);
        allow_unsynced(&home).expect("marked");
        let moved = Home::new(directory.path().join("moved"));
        std::fs::rename(home.root(), moved.root()).expect("moved");
        forgo_sync(&moved).expect_err("the mark is of another place");
        assert!(!FORGONE.load(Ordering::Relaxed));
    }
}
