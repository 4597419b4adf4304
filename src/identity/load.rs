//! How many calls may be under way: in all, and for one client.
//!
//! A connection has its own limit of streams, and anyone may open many connections. What one client
//! can have under way at once, over whatever connections, is counted here, so that nobody takes the
//! places of all. A stream counts until it ends.

use super::Fingerprint;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use recovery::model::ClientId;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Whose call it is: whoever is signed in, or else the certificate.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Whose {
    Client(ClientId),
    Certificate(Fingerprint),
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_caller: HashMap<Whose, usize>,
}

/// Counts calls under way. Clones share their counts.
#[derive(Clone, Debug)]
pub struct Load {
    max: usize,
    per_caller_max: usize,
    open: Arc<Mutex<Open>>,
}

/// One call's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    load: Load,
    whose: Whose,
}

impl Default for Load {
    /// No limit but the connections' own.
    fn default() -> Self {
        Self::new(usize::MAX, usize::MAX)
    }
}

impl Load {
    pub fn new(max: usize, per_caller_max: usize) -> Self {
        Self { max, per_caller_max, open: Arc::default() }
    }

    pub(super) fn admit(&self, whose: Whose) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.max {
            return None;
        }
        let here = open.by_caller.entry(whose).or_default();
        if *here >= self.per_caller_max {
            return None;
        }
        *here += 1;
        open.all += 1;
        drop(open);
        Some(Place { load: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.load.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        match open.by_caller.get_mut(&self.whose) {
            Some(here) if *here > 1 => *here -= 1,
            Some(_) | None => {
                open.by_caller.remove(&self.whose);
            }
        }
    }
}

/// An answer that keeps its call's place until it is sent, or nobody wants it any more.
pub(super) struct Placed {
    pub(super) body: Body,
    pub(super) _place: Place,
}

impl http_body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_the_places_of_all() {
        let whose = |name: &str| Whose::Client(name.parse().expect("a client id"));
        let load = Load::new(3, 2);
        let first = load.admit(whose("a")).expect("room");
        let _second = load.admit(whose("a")).expect("room");
        assert!(load.admit(whose("a")).is_none(), "two are enough for one");
        let certificate = Whose::Certificate(Fingerprint([1; 32]));
        let _third = load.admit(certificate).expect("room for another");
        assert!(load.admit(whose("b")).is_none(), "three are all");
        drop(first);
        assert!(load.admit(whose("b")).is_some());
        assert_eq!(load.open.lock().expect("sound").by_caller.len(), 2, "nobody is remembered");
    }
}
