//! The line a call, written off the hot path.
//!
//! A call costs its caller one push into a bounded channel; a thread formats and writes. When that
//! thread cannot keep up, lines are dropped and counted, and the count is said: no payment waits
//! for a log.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The target of these lines.
pub(super) const TARGET: &str = "strife::calls";

/// Lines that wait for the thread.
const WAITING_MAX: usize = 8_192;

/// One call that was answered.
#[derive(Debug)]
pub struct Call {
    /// `/strife.v1.PaymentGateway/ProcessPayment`.
    pub method: Cow<'static, str>,
    /// Empty where nobody is signed in.
    pub client_id: String,
    /// The peer's role, by its certificate.
    pub caller: &'static str,
    pub code: &'static str,
    /// Empty where there is none.
    pub reason: &'static str,
    pub elapsed: Duration,
}

static SENDER: OnceLock<Mutex<Option<SyncSender<Call>>>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Has a call written down. Never waits.
pub fn call(call: Call) {
    let Some(slot) = SENDER.get() else { return };
    let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = slot.as_ref()
        && sender.try_send(call).is_err()
    {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread; dropping it writes what waits.
#[derive(Debug)]
pub(super) struct Worker(Option<JoinHandle<()>>);

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(slot) = SENDER.get() {
            slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

pub(super) fn start() -> Worker {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    if SENDER.set(Mutex::new(Some(sender))).is_err() {
        return Worker(None);
    }
    let thread = std::thread::Builder::new().name("calls".to_owned());
    Worker(thread.spawn(move || write(&receiver)).ok())
}

fn write(calls: &Receiver<Call>) {
    const REPORT_EVERY: Duration = Duration::from_secs(1);
    loop {
        match calls.recv_timeout(REPORT_EVERY) {
            Ok(call) => line(&call),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(target: TARGET, dropped, "lines of calls were not written");
        }
    }
}

fn line(call: &Call) {
    let Call { method, client_id, caller, code, reason, elapsed } = call;
    let method = method.as_ref();
    let elapsed_ms = elapsed.as_secs_f64() * 1e3;
    tracing::info!(
        target: TARGET, method, client_id, caller, code, reason, elapsed_ms, "call"
    );
}
