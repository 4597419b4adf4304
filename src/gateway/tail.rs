//! The log as it grows, to an operator: every record once, in order, without a gap.
//!
//! ```text
//!  after_lsn --> files, through what is durable --> batches as they become durable
//!                  ^                                        |
//!                  '------- a reader that was too slow -----'
//! ```
//!
//! It reads beside the writer and holds nobody up.

use crate::errors::{Reason, status, status_retry};
use crate::journal::{Broken, Tail};
use crate::view::Applied;
use crate::wire::v1::{LogRecord, TailLogResponse};
use recovery::fact::GatewayFact;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use wal::read::{Cursor, FollowError, follow};
use wal::{Disk, Lsn};

pub(super) type Records =
    Pin<Box<dyn Stream<Item = Result<TailLogResponse, Status>> + Send + 'static>>;

/// Streams at a time.
const STREAMS_MAX: usize = 64;
/// Records in one message, and messages that wait for a slow reader.
const RECORDS_MAX: usize = 512;
const MESSAGES_MAX: usize = 8;

/// Where the log is, and how it grows.
#[derive(Clone)]
pub(super) struct Tailer {
    tail: Tail,
    directory: PathBuf,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

type Out = mpsc::Sender<Result<TailLogResponse, Status>>;

impl Tailer {
    pub(super) fn new(tail: Tail, directory: PathBuf, stop: CancellationToken) -> Self {
        Self { tail, directory, places: Arc::new(Semaphore::new(STREAMS_MAX)), stop }
    }

    /// Streams from `after` on, until the reader goes away or the gateway stops.
    pub(super) fn run(&self, after: u64) -> Result<Records, Status> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let what = format!("{STREAMS_MAX} streams of the log are open already");
            status_retry(Reason::TooManyRequests, what, Duration::from_secs(1))
        })?;
        let (out, records) = mpsc::channel(MESSAGES_MAX);
        tokio::spawn(self.clone().feed(after, out, place));
        Ok(Box::pin(ReceiverStream::new(records)))
    }

    async fn feed(self, mut after: u64, out: Out, _place: OwnedSemaphorePermit) {
        loop {
            let (mut watch, durable) = self.tail.watch();
            if after < durable {
                match self.read(after, durable, out.clone()).await {
                    Some(last) => after = last,
                    None => return,
                }
            }
            let broken = loop {
                let batch = tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = out.closed() => return,
                    batch = watch.next() => batch,
                };
                match batch {
                    Ok(mut records) => {
                        records.retain(|record| record.lsn > after);
                        let Some(last) = records.last() else { continue };
                        after = last.lsn;
                        if send(&records, &out).await.is_none() {
                            return;
                        }
                    }
                    Err(broken) => break broken,
                }
            };
            if broken == Broken::Closed {
                return;
            }
        }
    }

    /// Reads `after..=durable` from the files; says how far it came. `None` when nobody listens.
    async fn read(&self, after: u64, durable: u64, out: Out) -> Option<u64> {
        let directory = self.directory.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut cursor, mut last) = (Cursor::after(Lsn::new(after)), after);
            let mut gathered = Vec::new();
            let followed = follow(&Disk::new(directory), &mut cursor, |record, _| {
                if record.lsn.get() <= durable {
                    last = record.lsn.get();
                    gathered.push(Applied::from(record));
                }
                if gathered.len() < RECORDS_MAX {
                    return Ok(());
                }
                let full = std::mem::take(&mut gathered);
                out.blocking_send(Ok(message(&full))).map_err(drop)
            });
            match followed {
                Ok(()) if gathered.is_empty() => Some(last),
                Ok(()) => out.blocking_send(Ok(message(&gathered))).ok().map(|()| last),
                Err(FollowError::Visitor(())) => None,
                Err(FollowError::Read(error)) => unreadable(&error, &out),
                Err(FollowError::Damaged(error)) => unreadable(&error, &out),
            }
        });
        reading.await.ok().flatten()
    }
}

fn unreadable(error: &dyn std::error::Error, out: &Out) -> Option<u64> {
    let what = format!("the log cannot be read: {error}");
    let _ = out.blocking_send(Err(status(Reason::LogDamaged, what)));
    None
}

async fn send(records: &[Applied], out: &Out) -> Option<()> {
    for part in records.chunks(RECORDS_MAX) {
        out.send(Ok(message(part))).await.ok()?;
    }
    Some(())
}

fn message(records: &[Applied]) -> TailLogResponse {
    let named = |kind: u16| {
        let kinds = GatewayFact::KINDS.iter();
        kinds.filter(|(number, _)| *number == kind).map(|(_, name)| (*name).to_owned()).next()
    };
    let record = |record: &Applied| LogRecord {
        lsn: record.lsn,
        kind: u32::from(record.kind),
        kind_version: u32::from(record.kind_version),
        name: named(record.kind).unwrap_or_default(),
        wall_unix_ms: record.wall_ms,
        payload: record.payload.clone(),
    };
    TailLogResponse { records: records.iter().map(record).collect() }
}
