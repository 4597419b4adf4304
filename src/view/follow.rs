//! The thread of a view: gathers what was fed, applies it, and says how far it has come.

use super::catch_up::unreadable;
use super::{Batch, View, ViewError};
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A transaction holds about this many records at most.
pub const RECORDS_PER_TRANSACTION: usize = 8_192;
/// What waits for a view may take up this much memory; a view that is further behind is given up.
pub const BACKLOG_BYTES_MAX: u64 = 256 << 20;
/// A transaction waits this long for company: without it, every sync of the log would cost one.
const LINGER: Duration = Duration::from_millis(5);
/// While the file is locked by somebody else, it is tried again after this, doubling to the next.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// A clean stop and catching up wait no longer than this for somebody else's lock.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// How a view is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    Following,
    /// It has stopped cleanly, with all that it was fed.
    Stopped,
    /// It will show nothing newer until the next start.
    Failed(String),
}

enum Message {
    Batch(Batch),
    Image(wal::BatchImage),
    Stop,
}

#[derive(Debug)]
struct Shared {
    fed_lsn: AtomicU64,
    applied_lsn: AtomicU64,
    backlog_bytes: AtomicU64,
    closed: AtomicBool,
    stopping: AtomicBool,
    health: Mutex<Health>,
    changed: Condvar,
}

impl Shared {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, applied_lsn: u64) {
        let health = self.health();
        self.applied_lsn.store(applied_lsn, Ordering::Release);
        drop(health);
        self.changed.notify_all();
    }

    /// The first failure is the one that is told.
    fn end(&self, ended: Health) {
        self.closed.store(true, Ordering::Release);
        let mut health = self.health();
        if *health == Health::Following {
            *health = ended;
        }
        drop(health);
        self.changed.notify_all();
    }
}

/// The journal's end. Feeding never waits and never fails.
#[derive(Clone, Debug)]
pub struct Feed {
    sender: Sender<Message>,
    shared: Arc<Shared>,
}

impl Feed {
    /// Hands over a durable batch.
    pub fn send(&self, batch: Batch) {
        let last = batch.records.last().map_or(0, |record| record.lsn);
        let weight = batch.weight();
        self.offer(Message::Batch(batch), weight, last);
    }

    /// Hands over a durable batch as the log wrote it. It is read on the view's thread.
    pub fn send_image(&self, image: wal::BatchImage) {
        let (weight, before) = (image_weight(&image), image.first_lsn.get().saturating_sub(1));
        self.offer(Message::Image(image), weight, before);
    }

    fn offer(&self, message: Message, weight: u64, last_lsn: u64) {
        if self.shared.closed.load(Ordering::Acquire) {
            return;
        }
        self.shared.fed_lsn.fetch_max(last_lsn, Ordering::Relaxed);
        let backlog = self.shared.backlog_bytes.fetch_add(weight, Ordering::Relaxed) + weight;
        if backlog > BACKLOG_BYTES_MAX {
            let why = format!("more than {BACKLOG_BYTES_MAX} bytes wait to be applied");
            tracing::error!(reason = why, "a view is given up until the next start");
            self.shared.end(Health::Failed(why));
            // What waits is still good: it is applied, and then the thread ends.
            let _ = self.sender.send(Message::Stop);
            return;
        }
        // An error means that the view has ended: then there is nobody to tell.
        let _ = self.sender.send(message);
    }
}

/// Whoever wants to know how far a view has come.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Shared>);

impl Progress {
    /// The last record that the view shows, committed.
    pub fn applied_lsn(&self) -> u64 {
        self.0.applied_lsn.load(Ordering::Acquire)
    }

    /// Records that were fed and are not shown yet, as far as is known without reading them.
    pub fn lag_records(&self) -> u64 {
        self.0.fed_lsn.load(Ordering::Relaxed).saturating_sub(self.applied_lsn())
    }

    pub fn health(&self) -> Health {
        self.0.health().clone()
    }

    /// Waits until the view shows `lsn`. False when that takes too long or will not happen.
    pub fn wait_for(&self, lsn: u64, timeout: Duration) -> bool {
        let following = |health: &mut Health| {
            *health == Health::Following && self.0.applied_lsn.load(Ordering::Acquire) < lsn
        };
        let waited = self.0.changed.wait_timeout_while(self.0.health(), timeout, following);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.applied_lsn() >= lsn
    }
}

/// A view's thread. Dropping it is stopping it.
#[derive(Debug)]
pub struct Running {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Gives `view` a thread named `name`.
pub fn spawn<V: View + Send + 'static>(name: &str, view: V) -> std::io::Result<(Feed, Running)> {
    spawn_after(name, view, |_| Ok(()))
}

/// Gives `view` a thread named `name`, which first calls `prepare`, usually to
/// [`catch_up`](super::catch_up). What is fed in the meantime waits; feeding what `prepare` applied
/// already does no harm.
pub fn spawn_after<V: View + Send + 'static>(
    name: &str,
    view: V,
    prepare: impl FnOnce(&mut V) -> Result<(), ViewError> + Send + 'static,
) -> std::io::Result<(Feed, Running)> {
    let (sender, receiver) = mpsc::channel();
    let applied_lsn = view.applied_lsn();
    let shared = Arc::new(Shared {
        fed_lsn: AtomicU64::new(applied_lsn),
        applied_lsn: AtomicU64::new(applied_lsn),
        backlog_bytes: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        health: Mutex::new(Health::Following),
        changed: Condvar::new(),
    });
    let follower = Follower { name: name.to_owned(), receiver, shared: Arc::clone(&shared) };
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || follower.run(view, prepare))?;
    let feed = Feed { sender: sender.clone(), shared: Arc::clone(&shared) };
    Ok((feed, Running { sender, shared, thread: Some(thread) }))
}

impl Running {
    pub fn progress(&self) -> Progress {
        Progress(Arc::clone(&self.shared))
    }

    /// Applies all that was fed before, and says how it ended.
    pub fn stop(mut self) -> Health {
        self.join();
        self.progress().health()
    }

    fn join(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = self.sender.send(Message::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            self.shared.end(Health::Failed("its thread panicked".to_owned()));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.join();
    }
}

struct Follower {
    name: String,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
}

/// What one transaction will hold.
#[derive(Default)]
struct Gathered {
    batches: Vec<Batch>,
    records: usize,
    weight: u64,
    last: bool,
}

impl Follower {
    fn run<V: View>(self, mut view: V, prepare: impl FnOnce(&mut V) -> Result<(), ViewError>) {
        let followed = prepare(&mut view).and_then(|()| self.follow(&mut view));
        let Err(error) = followed else { return self.shared.end(Health::Stopped) };
        let (view_name, lsn, reason) = (self.name.as_str(), view.applied_lsn(), told(&error));
        tracing::error!(view_name, lsn, reason, "a view is given up; payments go on");
        view.abandon(&error);
        self.shared.end(Health::Failed(reason));
    }

    fn follow<V: View>(&self, view: &mut V) -> Result<(), ViewError> {
        self.shared.publish(view.applied_lsn());
        loop {
            let gathered = self.gather()?;
            self.apply_patiently(view, &gathered.batches)?;
            self.shared.backlog_bytes.fetch_sub(gathered.weight, Ordering::Relaxed);
            self.shared.publish(view.applied_lsn());
            if gathered.last {
                return Ok(());
            }
        }
    }

    fn gather(&self) -> Result<Gathered, ViewError> {
        let mut gathered = Gathered::default();
        // With no sender left, nothing more can come: that is a stop.
        gathered.take(self.receiver.recv().unwrap_or(Message::Stop))?;
        let deadline = Instant::now() + LINGER;
        while !gathered.last && gathered.records < RECORDS_PER_TRANSACTION {
            let patience = deadline.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(patience) {
                Ok(message) => gathered.take(message)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => gathered.last = true,
            }
        }
        Ok(gathered)
    }

    fn apply_patiently<V: View>(&self, view: &mut V, batches: &[Batch]) -> Result<(), ViewError> {
        let stopping = || self.shared.stopping.load(Ordering::Acquire);
        patiently(|| view.apply(batches), stopping)
    }
}

/// Waits out a lock that somebody else holds. Only waiting while `hurried` is limited.
pub(super) fn patiently(
    mut apply: impl FnMut() -> Result<(), ViewError>,
    hurried: impl Fn() -> bool,
) -> Result<(), ViewError> {
    let (mut pause, mut waited) = (BUSY_PAUSE, Duration::ZERO);
    loop {
        match apply() {
            Err(ViewError::Busy(_)) if waited < BUSY_PATIENCE => {
                std::thread::sleep(pause);
                if hurried() {
                    waited += pause;
                }
                pause = (pause * 2).min(BUSY_PAUSE_MAX);
            }
            done => return done,
        }
    }
}

impl Gathered {
    fn take(&mut self, message: Message) -> Result<(), ViewError> {
        let batch = match message {
            Message::Stop => {
                self.last = true;
                return Ok(());
            }
            Message::Batch(batch) => {
                self.weight += batch.weight();
                batch
            }
            Message::Image(image) => {
                self.weight += image_weight(&image);
                Batch::read(image).map_err(unreadable)?
            }
        };
        self.records += batch.records.len();
        self.batches.push(batch);
        Ok(())
    }
}

fn image_weight(image: &wal::BatchImage) -> u64 {
    (size_of::<Batch>() + image.bytes.len()) as u64
}

/// An error and its causes on one line.
fn told(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
