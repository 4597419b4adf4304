//! What a run cost: CPU time by process, and syncs by log.

use crate::errors::{Failure, chain};
use crate::home::{Home, Service};
use std::time::Duration;
use wal::Disk;
use wal::read::{Cursor, follow};

/// The kernel counts CPU time in these (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has used, all of its threads together; zero once it is gone.
pub(super) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in parentheses, which may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

/// What one log wrote in a span of time.
#[derive(Copy, Clone, Default, Debug)]
pub(super) struct Written {
    pub(super) records: u64,
    /// Each is one sync.
    pub(super) batches: u64,
}

/// Counts records that were stamped within `spans`, in milliseconds since the Unix epoch.
pub(super) fn written(
    home: &Home,
    service: Service,
    spans: &[(u64, u64)],
) -> Result<Written, Failure> {
    let mut written = Written::default();
    let mut last = None;
    let read = follow(&Disk::new(home.data(service)), &mut Cursor::default(), |record, at| {
        let stamp = record.wall_ms;
        if spans.iter().any(|(from, to)| (*from..*to).contains(&stamp)) {
            written.records += 1;
            let batch = Some((at.segment, at.offset));
            written.batches += u64::from(last != batch);
            last = batch;
        }
        Ok::<_, std::convert::Infallible>(())
    });
    read.map_err(|error| {
        let what = format!("cannot read the log of {service}: {}", chain(&error));
        Failure::plain(crate::errors::Exit::Damaged, what)
    })?;
    Ok(written)
}
