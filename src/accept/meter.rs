//! Frames that say nothing, counted as they come in, and a turn for everyone.
//!
//! ```text
//! TLS --> meter (headers of frames: kind, length, flags) --> HTTP/2
//! ```
//!
//! An empty DATA, a PING, a SETTINGS or a CONTINUATION costs its sender nine bytes and us a pass
//! through HTTP/2, which has no limit of its own for most of them. Each has a price here, and a
//! connection that spends more than its budget is cut. A call that nobody signed in for has a price
//! too, told through the [`Tab`]; whoever makes too many of them is read more slowly. Nor may one
//! connection be read for as long as it has something to say: after some frames it is the others'
//! turn. Nothing here knows what frames and calls mean.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;

/// Read in one turn.
const TURN_BYTES: usize = 64 << 10;
const TURN_FRAMES: usize = 64;

/// What a connection may spend at once on frames that say nothing, and then a second.
const BUDGET: f64 = 2_000.0;
const BUDGET_PER_SECOND: f64 = 500.0;

/// Calls without a session, of one connection: at once, and then a second.
const CALLS: f64 = 32.0;
const CALLS_PER_SECOND: f64 = 50.0;
/// Nobody is read more slowly for longer than this at a time.
const PAUSE_MAX: Duration = Duration::from_secs(2);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;

/// What a frame costs: nothing, where it brings a call on or has a limit in HTTP/2.
fn price(header: &[u8; HEADER_BYTES]) -> f64 {
    let (empty, kind, flags) = (header[..3] == [0; 3], header[3], header[4]);
    match kind {
        DATA if empty && flags & END_STREAM == 0 => 1.0,
        DATA | HEADERS | RST_STREAM | GOAWAY => 0.0,
        // Whoever reads much sends many.
        WINDOW_UPDATE => 0.1,
        _ => 1.0,
    }
}

/// What may be spent: so much at once, and then so much a second.
#[derive(Debug)]
struct Budget {
    at_once: f64,
    per_second: f64,
    left: f64,
    since: Instant,
}

impl Budget {
    fn new(at_once: f64, per_second: f64, now: Instant) -> Self {
        Self { at_once, per_second, left: at_once, since: now }
    }

    fn grow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.at_once);
        self.since = now;
    }

    /// How long until nothing is owed.
    fn owed(&self) -> Option<Duration> {
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / self.per_second))
    }
}

/// Finds the frames in a stream of bytes, however it is cut.
#[derive(Debug)]
struct Meter {
    /// Of the preface, or of a frame's payload.
    skip: usize,
    header: [u8; HEADER_BYTES],
    have: usize,
    frames: usize,
    budget: Budget,
}

impl Meter {
    fn new(now: Instant) -> Self {
        let header = [0; HEADER_BYTES];
        let budget = Budget::new(BUDGET, BUDGET_PER_SECOND, now);
        Self { skip: PREFACE_BYTES, header, have: 0, frames: 0, budget }
    }

    /// `false` when the budget is spent.
    fn see(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        self.budget.grow(now);
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER_BYTES - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER_BYTES {
                let [high, middle, low, ..] = self.header;
                self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.have = 0;
                self.frames += 1;
                self.budget.left -= price(&self.header);
            }
        }
        self.budget.left >= 0.0
    }
}

/// What a connection's calls have cost and it has not been asked for yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tab(Arc<AtomicU32>);

impl Tab {
    /// One more call without a session.
    pub(super) fn charge(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection with its meter.
#[derive(Debug)]
pub(super) struct Metered<T> {
    inner: T,
    meter: Meter,
    turn_bytes: usize,
    tab: Tab,
    calls: Budget,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T) -> Self {
        let now = Instant::now();
        let calls = Budget::new(CALLS, CALLS_PER_SECOND, now);
        let (meter, tab) = (Meter::new(now), Tab::default());
        Self { inner, meter, turn_bytes: 0, tab, calls, pause: None }
    }

    pub(super) fn tab(&self) -> Tab {
        self.tab.clone()
    }

    /// Waits until the calls are paid for.
    fn poll_paid(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let charged = self.tab.0.swap(0, Ordering::Relaxed);
        if charged > 0 {
            self.calls.grow(Instant::now());
            self.calls.left -= f64::from(charged);
            if let Some(owed) = self.calls.owed() {
                let pause = self.pause.insert(Box::pin(sleep(owed.min(PAUSE_MAX))));
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
        }
        Poll::Ready(())
    }

    fn new_turn(&mut self) {
        self.turn_bytes = 0;
        self.meter.frames = 0;
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn_bytes >= TURN_BYTES || self.meter.frames >= TURN_FRAMES {
            self.new_turn();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_paid(context));
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if polled.is_pending() {
            self.new_turn();
        }
        ready!(polled)?;
        let new = &buffer.filled()[before..];
        self.turn_bytes += new.len();
        if self.meter.see(new, Instant::now()) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(io::Error::other("too many frames that say nothing")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = (payload as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags, 0, 0, 0, 1]);
        bytes.resize(bytes.len() + payload, 0xff);
        bytes
    }

    /// How many frames of a kind pass, fed in pieces of a size.
    fn pass(frame: &[u8], count: usize, piece: usize) -> usize {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        assert!(meter.see(&[0; PREFACE_BYTES], now));
        (0..count).take_while(|_| frame.chunks(piece).all(|piece| meter.see(piece, now))).count()
    }

    #[test]
    fn calls_cost_nothing_and_what_says_nothing_has_a_budget_however_it_is_cut() {
        for piece in [1, 7, 9, 64, 4096] {
            for useful in [frame(DATA, 0, 5), frame(DATA, END_STREAM, 0), frame(HEADERS, 4, 40)] {
                assert_eq!(pass(&useful, 10_000, piece), 10_000);
            }
            let (ping, settings, empty) = (frame(6, 0, 8), frame(4, 0, 0), frame(DATA, 0, 0));
            for idle in [ping, settings, empty, frame(9, 0, 16), frame(2, 0, 5), frame(200, 0, 0)] {
                assert_eq!(pass(&idle, 10_000, piece), BUDGET as usize, "{idle:?}");
            }
        }
    }

    #[test]
    fn a_budget_grows_again_and_not_beyond_itself() {
        let mut now = Instant::now();
        let mut meter = Meter::new(now);
        let ping = frame(6, 0, 8);
        assert!(meter.see(&[0; PREFACE_BYTES], now));
        for _ in 0..100 {
            assert!((0..400).all(|_| meter.see(&ping, now)), "four hundred a second may be");
            now += Duration::from_secs(1);
        }
        now += Duration::from_hours(1);
        assert!(!(0..=BUDGET as usize).all(|_| meter.see(&ping, now)));
    }

    #[tokio::test]
    async fn a_connection_of_many_calls_that_nobody_signed_in_for_is_read_more_slowly() {
        let of = |calls: f64| {
            let connection = Metered::new(&b"more"[..]);
            (0..calls as u32).for_each(|_| connection.tab().charge());
            connection
        };
        let began = Instant::now();
        assert!(of(CALLS).read_u8().now_or_never().is_some(), "some may come at once");
        let mut busy = of(CALLS + 0.2 * CALLS_PER_SECOND);
        assert!(busy.read_u8().now_or_never().is_none());
        busy.read_u8().await.expect("it is read on");
        assert!(began.elapsed() > Duration::from_millis(150));
    }

    #[tokio::test]
    async fn after_some_frames_it_is_the_others_turn() {
        let bytes = frame(DATA, 0, 5).repeat(TURN_FRAMES + 1);
        let bytes = [&[0; PREFACE_BYTES][..], &bytes].concat();
        let mut connection = Metered::new(&bytes[..]);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut read = |room: usize| {
            let mut room = vec![0; room];
            let mut buffer = ReadBuf::new(&mut room);
            Pin::new(&mut connection).poll_read(&mut context, &mut buffer).is_ready()
        };
        assert!(read(PREFACE_BYTES) && read(bytes.len() - PREFACE_BYTES - 16));
        assert!(!read(16), "it has had its turn");
        assert!(read(16));
    }
}
