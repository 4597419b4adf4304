//! A log as it grows, for whoever watches: each batch once it is durable.
//!
//! While nobody watches, a batch costs one look at a counter. A watcher that is too slow is told
//! that it has missed some, and reads them from the files.

use crate::view::{Applied, Batch};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;
use wal::BatchImage;

/// Batches that a slow watcher may be behind before it has missed one.
const BATCHES_MAX: usize = 256;

/// Where to watch.
#[derive(Clone, Debug)]
pub struct Tail {
    sender: broadcast::Sender<Arc<BatchImage>>,
    durable_lsn: Arc<AtomicU64>,
}

/// What a watcher hears.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<Arc<BatchImage>>);

/// A watcher that cannot go on.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Broken {
    /// Batches have passed by: read them from the files.
    Missed,
    /// The log is closed.
    Closed,
}

impl Tail {
    pub(super) fn new() -> Self {
        let (sender, _) = broadcast::channel(BATCHES_MAX);
        Self { sender, durable_lsn: Arc::new(AtomicU64::new(0)) }
    }

    /// `durable_lsn` before its batches, so that whoever begins to watch misses none between.
    pub(super) fn advance(&self, durable_lsn: u64) {
        self.durable_lsn.store(durable_lsn, Ordering::Release);
    }

    pub(super) fn offer(&self, batch: &BatchImage) {
        if self.sender.receiver_count() > 0 {
            let _ = self.sender.send(Arc::new(batch.clone()));
        }
    }

    /// Begins to watch. All through the number is in the files; whatever comes after it is heard.
    pub fn watch(&self) -> (Watch, u64) {
        let watch = Watch(self.sender.subscribe());
        (watch, self.durable_lsn.load(Ordering::Acquire))
    }
}

impl Watch {
    /// The records of the next batch.
    pub async fn next(&mut self) -> Result<Vec<Applied>, Broken> {
        loop {
            let image = match self.0.recv().await {
                Ok(image) => image,
                Err(broadcast::error::RecvError::Lagged(_)) => return Err(Broken::Missed),
                Err(broadcast::error::RecvError::Closed) => return Err(Broken::Closed),
            };
            // The log wrote it a moment ago; what cannot be read back is read from the file.
            let batch = Batch::read(BatchImage::clone(&image)).map_err(|_| Broken::Missed)?;
            if !batch.records.is_empty() {
                return Ok(batch.records);
            }
        }
    }
}
