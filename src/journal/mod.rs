//! A service's log in use: the thread that owns the files, and the loop that owns the state.
//!
//! ```text
//!   callers --mail--> owner loop --entries--> journal thread --batches--> view (SQLite)
//!      ^                 |  ^                      |
//!      '----- actions ---'  '------ Durable -------'
//! ```
//!
//! There is no group-commit timer: a batch is what arrived during the last sync. Records that
//! nobody waits for ride with the next batch, or are synced alone after [`LAZY_MS_MAX`].

mod attach;
mod opening;
mod owner;
mod recovered;
mod tail;
mod thread;
mod unsynced;

pub use attach::{Attached, attach};
pub use opening::{OpenFailure, Start, StartPoints, fresh_start_id, open};
pub use owner::{Mail, Mailbox, Owner, Shell};
pub use recovered::{Recovered, note_recovery, recoveries};
pub use tail::{Broken, Tail, Watch};
pub use thread::{Journal, JournalStopped};
pub use unsynced::{allow_unsynced, forgo_sync};

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// How long a record may wait for a sync when nobody waits for it.
pub const LAZY_MS_MAX: u64 = 10;

/// The clocks of this process.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub fn now(&self) -> recovery::step::Now {
        recovery::step::Now { mono_ms: self.mono_ms(), wall_ms: wall_ms() }
    }

    /// Milliseconds since this clock's start, plus one: zero is never a time.
    pub fn mono_ms(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64 + 1
    }
}

/// Milliseconds since the Unix epoch, by the machine's clock.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}
