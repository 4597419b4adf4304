//! The thread that owns a log's files.
//!
//! It drains its queue, appends, syncs once, says what is durable, and looks again. An error from a
//! write or a sync ends the process at once: after a failed fsync the pages are marked clean, and a
//! retry would lie.

use super::{LAZY_MS_MAX, Tail};
use crate::view;
use metrics::{Gauge, Histogram};
use recovery::record::Encoded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wal::{Disk, Durable, Log, Lsn};

/// After this long without a record the log says that the last batch was durable.
const MARK_AFTER_IDLE: Duration = Duration::from_millis(50);

/// A spare that could not be made (a full disk) is tried again after this.
const SPARE_RETRY: Duration = Duration::from_secs(1);

enum Command {
    Append { first: Lsn, wall_ms: u64, records: Vec<Encoded>, urgent: bool },
    Stop,
}

/// The journal thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal has stopped")]
pub struct JournalStopped;

/// A log in use. Dropping it syncs what was appended and ends the thread.
pub struct Journal {
    commands: Sender<Command>,
    room_bytes: Arc<AtomicU64>,
    tail: Tail,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Hands `log` to a thread of its own. `on_durable` is called there after every sync; `view`
    /// gets every batch once it is durable.
    pub fn start(
        name: &str,
        log: Log<Disk>,
        view: Option<view::Feed>,
        on_durable: impl FnMut(Durable) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (commands, queue) = mpsc::channel();
        let room_bytes = Arc::new(AtomicU64::new(log.room()));
        let tail = Tail::new();
        let mut writer = Writer {
            log,
            view,
            on_durable: Box::new(on_durable),
            room_bytes: Arc::clone(&room_bytes),
            lazy_since: None,
            marked: false,
            spare_due: Instant::now(),
            meters: Meters::new(),
            tail: tail.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("{name}-log"))
            .spawn(move || writer.run(&queue))?;
        Ok(Self { commands, room_bytes, tail, thread: Some(thread) })
    }

    /// Where the log can be watched as it grows.
    pub fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// Queues records; `first` is the place of the first. `urgent`: somebody waits for them.
    pub fn append(
        &self,
        first: Lsn,
        wall_ms: u64,
        records: Vec<Encoded>,
        urgent: bool,
    ) -> Result<(), JournalStopped> {
        let command = Command::Append { first, wall_ms, records, urgent };
        self.commands.send(command).map_err(|_| JournalStopped)
    }

    /// Zero-filled bytes of log that can be written without asking the file system for space.
    pub fn room_bytes(&self) -> u64 {
        self.room_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writer {
    log: Log<Disk>,
    view: Option<view::Feed>,
    on_durable: Box<dyn FnMut(Durable) + Send>,
    room_bytes: Arc<AtomicU64>,
    /// Since when records that nobody waits for have been pending.
    lazy_since: Option<Instant>,
    marked: bool,
    spare_due: Instant,
    meters: Meters,
    tail: Tail,
}

/// Its figures, by handles taken once.
struct Meters {
    sync_seconds: Histogram,
    batch_records: Histogram,
    last_lsn: Gauge,
    durable: Lsn,
}

impl Meters {
    fn new() -> Self {
        Self {
            sync_seconds: metrics::histogram!("strife_wal_fsync_seconds"),
            batch_records: metrics::histogram!("strife_wal_batch_records"),
            last_lsn: metrics::gauge!("strife_wal_last_lsn"),
            durable: Lsn::ZERO,
        }
    }

    fn synced(&mut self, took: Duration, durable: Lsn) {
        let records = durable.get().saturating_sub(self.durable.get());
        // The first is what the opening had on disk already.
        if self.durable != Lsn::ZERO && records > 0 {
            self.sync_seconds.record(took);
            self.batch_records.record(records as f64);
        }
        self.durable = durable;
        self.last_lsn.set(durable.get() as f64);
    }
}

impl Writer {
    fn run(&mut self, queue: &Receiver<Command>) {
        // The opening's own batches reach the view before anything new.
        self.sync();
        loop {
            let first = match queue.recv_timeout(self.patience()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Command::Stop),
            };
            let (mut urgent, mut stop) = (false, false);
            for command in first.into_iter().chain(queue.try_iter()) {
                match command {
                    Command::Append { first, wall_ms, records, urgent: waits } => {
                        self.append(first, wall_ms, &records);
                        urgent |= waits;
                    }
                    Command::Stop => stop = true,
                }
            }
            let overdue = self.lazy_since.is_some_and(|since| since.elapsed() >= Self::lazy());
            if self.log.pending() && (urgent || stop || overdue) {
                self.sync();
            } else if !self.log.pending() && !self.marked {
                self.mark();
            }
            if stop {
                // The last batch gets its proof, too: nothing follows that could carry it.
                return self.mark();
            }
            self.ask_for_spare();
        }
    }

    fn lazy() -> Duration {
        Duration::from_millis(LAZY_MS_MAX)
    }

    /// How long to wait for the next command.
    fn patience(&self) -> Duration {
        match self.lazy_since {
            Some(since) => Self::lazy().saturating_sub(since.elapsed()),
            None if !self.marked => MARK_AFTER_IDLE,
            None => SPARE_RETRY,
        }
    }

    fn append(&mut self, first: Lsn, wall_ms: u64, records: &[Encoded]) {
        assert_eq!(self.log.next_lsn(), first, "the owner and the log number alike");
        for record in records {
            if let Err(error) = self.log.append(record.entry(wall_ms)) {
                die(&error);
            }
        }
        self.lazy_since.get_or_insert_with(Instant::now);
    }

    fn sync(&mut self) {
        let began = Instant::now();
        let synced = self.log.sync().unwrap_or_else(|error| die(&error));
        self.meters.synced(began.elapsed(), synced.durable.lsn());
        self.lazy_since = None;
        self.marked = false;
        (self.on_durable)(synced.durable);
        self.tail.advance(synced.durable.lsn().get());
        for batch in synced.batches {
            self.tail.offer(&batch);
            if let Some(view) = &self.view {
                view.send_image(batch);
            }
        }
        self.room_bytes.store(self.log.room(), Ordering::Relaxed);
    }

    fn mark(&mut self) {
        if let Err(error) = self.log.mark() {
            die(&error);
        }
        self.marked = true;
        self.room_bytes.store(self.log.room(), Ordering::Relaxed);
    }

    /// The next segment is made ahead of need, beside the writing.
    fn ask_for_spare(&mut self) {
        if Instant::now() < self.spare_due {
            return;
        }
        if let Some(task) = self.log.spare_wanted() {
            self.spare_due = Instant::now() + SPARE_RETRY;
            let filling = std::thread::Builder::new().name("log-spare".into());
            let spawned = filling.spawn(move || {
                if let Err(error) = task.run() {
                    tracing::warn!(code = "LOG_FULL", "cannot make the next segment: {error}");
                }
            });
            if let Err(error) = spawned {
                tracing::warn!("cannot start a thread for the next segment: {error}");
            }
        }
        self.room_bytes.store(self.log.room(), Ordering::Relaxed);
    }
}

/// The log can no longer be trusted, and the process ends before it can say anything more.
fn die(error: &wal::AppendError) -> ! {
    let cause = crate::errors::chain(error);
    eprintln!(
        "fatal: the log could not be written: {cause}; stopping at once, what was acknowledged is \
         on disk"
    );
    std::process::abort();
}
