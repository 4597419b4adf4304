//! Handshakes under way: so many, and the oldest gives way to the newest.
//!
//! A queue would let whoever opens sockets and says nothing hold everyone behind him up, for as
//! long as a handshake may take. An honest handshake is over within a few round trips; to have one
//! displaced, somebody must begin as many as there are places in that time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Counts handshakes. Clones share their places.
#[derive(Clone, Debug)]
pub(super) struct Pending(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// By age: the first is the oldest.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// One handshake's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    pending: Pending,
    displaced: oneshot::Receiver<()>,
}

impl Pending {
    /// `max` is at least one.
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Shared { max: max.max(1), open: Mutex::default() }))
    }

    /// Takes a place, if need be from the oldest.
    pub(super) fn begin(&self) -> Turn {
        let (displace, displaced) = oneshot::channel();
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.waiting.len() >= self.0.max {
            open.waiting.pop_first();
        }
        let number = open.next;
        open.next += 1;
        open.waiting.insert(number, displace);
        drop(open);
        Turn { number, pending: self.clone(), displaced }
    }
}

impl Turn {
    /// Waits until somebody newer has the place.
    pub(super) async fn displaced(&mut self) {
        let _ = (&mut self.displaced).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut open = self.pending.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_oldest_handshake_gives_way_and_an_ended_one_leaves_its_place() {
        let pending = Pending::new(2);
        let mut first = pending.begin();
        let mut second = pending.begin();
        assert!(first.displaced().now_or_never().is_none(), "there is room for two");
        let third = pending.begin();
        assert!(first.displaced().now_or_never().is_some());
        assert!(second.displaced().now_or_never().is_none());
        drop(third);
        let _fourth = pending.begin();
        assert!(second.displaced().now_or_never().is_none(), "a place was free");
        drop(first);
        let _fifth = pending.begin();
        assert!(second.displaced().now_or_never().is_some());
        assert_eq!(pending.0.open.lock().expect("sound").waiting.len(), 2);
    }
}
