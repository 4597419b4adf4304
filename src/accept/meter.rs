//! Frames that say nothing, counted as they come in, and a turn for everyone.
//!
//! ```text
//! TLS --> meter (headers of frames: kind, length, flags) --> HTTP/2
//! ```
//!
//! An empty DATA, a PING, a SETTINGS or a CONTINUATION costs its sender nine bytes and us a pass
//! through HTTP/2, which has no limit of its own for most of them. Each has a price here, and a
//! connection that spends more than its budget is cut. Nor may one connection be read for as long
//! as it has something to say: after some bytes it is the others' turn. Nothing here knows what
//! frames mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;

/// Read in one turn.
const TURN_BYTES: usize = 64 << 10;

/// What a connection may spend at once, and then a second.
const BUDGET: f64 = 2_000.0;
const BUDGET_PER_SECOND: f64 = 500.0;

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

/// Finds the frames in a stream of bytes, however it is cut.
#[derive(Debug)]
struct Meter {
    /// Of the preface, or of a frame's payload.
    skip: usize,
    header: [u8; HEADER_BYTES],
    have: usize,
    left: f64,
    since: Instant,
}

impl Meter {
    fn new(now: Instant) -> Self {
        let header = [0; HEADER_BYTES];
        Self { skip: PREFACE_BYTES, header, have: 0, left: BUDGET, since: now }
    }

    /// `false` when the budget is spent.
    fn see(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + passed * BUDGET_PER_SECOND).min(BUDGET);
        self.since = now;
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
                self.left -= price(&self.header);
            }
        }
        self.left >= 0.0
    }
}

/// A connection with its meter.
#[derive(Debug)]
pub(super) struct Metered<T> {
    inner: T,
    meter: Meter,
    turn_bytes: usize,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T) -> Self {
        Self { inner, meter: Meter::new(Instant::now()), turn_bytes: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if polled.is_pending() {
            self.turn_bytes = 0;
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
    use std::time::Duration;

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
}
