//! HTTP/2 by hand: what no library would send.

use std::time::{Duration, Instant};
use strife::config::Address;
use strife::home::{Home, Party};
use strife::identity::Role;
use strife::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The headers of a call, without compression.
pub(crate) fn call(path: &str) -> Vec<u8> {
    // :method POST, :scheme https, then :path by its place in the static table.
    let mut block = vec![0x83, 0x87, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    for (name, value) in
        [(":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers")]
    {
        block.extend([0, name.len() as u8]);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    block
}

/// What a flood came to.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flooded {
    pub(crate) frames: u64,
    pub(crate) connections: u32,
    /// Connections that the other side ended.
    pub(crate) cut_off: u32,
}

/// Sends what `next` makes (for the stream with this odd number) until `end`, over a new connection
/// whenever one is cut off. With `deaf`, nothing that comes back is ever read.
pub(crate) async fn flood(
    home: Home,
    address: Address,
    end: Instant,
    deaf: bool,
    next: impl Fn(u32) -> Vec<u8>,
) -> Flooded {
    let mut told = Flooded::default();
    while Instant::now() < end {
        let config = tls::client_of(&home, Party::Client, Role::Gateway).expect("usable");
        let Ok(stream) = tls::connect(&address, config).await else { continue };
        told.connections += 1;
        let (mut read, mut write) = tokio::io::split(stream);
        let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let reader = tokio::spawn(async move {
            let mut heard = vec![0; 1 << 16];
            while !deaf && read.read(&mut heard).await.is_ok_and(|count| count > 0) {}
            // Kept open: to close it would be to give up.
            if deaf {
                std::future::pending::<()>().await;
            }
        });
        let mut sent = write.write_all(&opening).await;
        let mut stream_id = 1;
        while sent.is_ok() && Instant::now() < end && !reader.is_finished() {
            let mut bytes = Vec::new();
            for _ in 0..64 {
                bytes.extend(next(stream_id));
                stream_id += 2;
            }
            told.frames += 64;
            let left = end.saturating_duration_since(Instant::now());
            let written = tokio::time::timeout(left, write.write_all(&bytes)).await;
            sent = written.unwrap_or(Ok(()));
        }
        if sent.is_err() || reader.is_finished() {
            told.cut_off += 1;
        }
        reader.abort();
    }
    told
}

/// Sends `bytes` after the preface, and gives what comes back within `wait`.
pub(crate) async fn say(home: &Home, address: &Address, bytes: &[u8], wait: Duration) -> Vec<u8> {
    let config = tls::client_of(home, Party::Client, Role::Gateway).expect("usable");
    let mut stream = tls::connect(address, config).await.expect("connected");
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), bytes].concat();
    stream.write_all(&opening).await.expect("sent");
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(wait, async {
        let mut some = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut some).await {
            heard.extend(&some[..count]);
        }
    })
    .await;
    heard
}

/// The kinds of these frames.
pub(crate) fn kinds(mut heard: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let header = heard.get(..9)?;
        let size = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let kind = header[3];
        heard = heard.get(9 + size..).unwrap_or_default();
        Some(kind)
    })
}
