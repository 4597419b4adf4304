//! The line a call, written off the hot path.
//!
//! A call costs its caller one push into a bounded channel; a thread formats and writes. When that
//! thread cannot keep up, lines are dropped and counted, and the count is said: no payment waits
//! for a log.

use super::TraceId;
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use tracing_appender::non_blocking::NonBlocking;

/// The target of these lines.
pub(super) const TARGET: &str = "strife::calls";

/// The target of the same lines on a terminal.
pub(super) const SHOWN: &str = "strife::calls::shown";

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
    /// When it was answered.
    pub at: SystemTime,
    /// Of what the caller did, if it said so.
    pub trace: Option<TraceId>,
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

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Lines {
    /// The log file, if it takes these lines: they are written to it as a whole, many at a time.
    pub(super) file: Option<NonBlocking>,
    /// Whether they are shown on a terminal, too, one by one.
    pub(super) shown: bool,
}

pub(super) fn start(lines: Lines) -> Worker {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    if SENDER.set(Mutex::new(Some(sender))).is_err() {
        return Worker(None);
    }
    let thread = std::thread::Builder::new().name("calls".to_owned());
    Worker(thread.spawn(move || write(&receiver, lines)).ok())
}

/// Lines that are written together.
const TOGETHER_MAX: usize = 256;

/// What came in meanwhile is written with it: a call by itself costs its thread a wake-up.
const LINGER: Duration = Duration::from_millis(20);

fn write(calls: &Receiver<Call>, mut lines: Lines) {
    const REPORT_EVERY: Duration = Duration::from_secs(1);
    loop {
        let ended = match calls.recv_timeout(REPORT_EVERY) {
            Ok(first) => {
                std::thread::sleep(LINGER);
                let mut text = Vec::new();
                let more = std::iter::from_fn(|| calls.try_recv().ok());
                for (count, call) in std::iter::once(first).chain(more).enumerate() {
                    lines.say(&call, &mut text);
                    if count % TOGETHER_MAX == TOGETHER_MAX - 1 {
                        lines.flush(&mut text);
                    }
                }
                lines.flush(&mut text);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(target: TARGET, dropped, "lines of calls were not written");
        }
        if ended {
            return;
        }
    }
}

/// A line as the log file's own formatter would write it, which costs ten times as much.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    method: &'a str,
    client_id: &'a str,
    caller: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    code: &'static str,
    reason: &'static str,
    elapsed_ms: f64,
    target: &'static str,
}

impl Lines {
    fn say(&mut self, call: &Call, text: &mut Vec<u8>) {
        let Call { method, client_id, caller, code, reason, elapsed, at, trace } = call;
        let (method, elapsed_ms) = (method.as_ref(), elapsed.as_secs_f64() * 1e3);
        let trace_id = trace.map(|trace| trace.to_string());
        if self.shown {
            tracing::debug!(
                target: SHOWN, method, client_id, caller, trace_id, code, reason, elapsed_ms, "call"
            );
        }
        if self.file.is_some() {
            let line = Line {
                timestamp: &stamp(*at),
                level: "INFO",
                message: "call",
                method,
                client_id,
                caller,
                trace_id,
                code,
                reason,
                elapsed_ms,
                target: TARGET,
            };
            if serde_json::to_writer(&mut *text, &line).is_ok() {
                text.push(b'\n');
            }
        }
    }

    fn flush(&mut self, text: &mut Vec<u8>) {
        if let Some(file) = &mut self.file {
            // Its writer is a thread; it fails only when that is gone, and with it the file.
            let _ = file.write_all(text);
        }
        text.clear();
    }
}

/// In UTC, with microseconds.
fn stamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}
