//! A TCP proxy on loopback that can stop forwarding without closing anything: a cable that can be
//! cut. Refuses to know what it carries.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How often a quiet connection looks whether the cable is cut, or the proxy gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Shared {
    to: String,
    forwards: AtomicBool,
    gone: AtomicBool,
    carried: AtomicU64,
}

/// It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `to`.
    pub(super) fn start(to: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            forwards: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            carried: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { address, shared })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards from here on, or holds everything back.
    pub(super) fn forward(&self, forwards: bool) {
        self.shared.forwards.store(forwards, Ordering::Release);
    }

    /// Bytes that went through.
    pub(super) fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Release);
    }
}

impl Shared {
    fn gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn forwards(&self) -> bool {
        self.forwards.load(Ordering::Acquire)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.gone() {
        match listener.accept() {
            Ok((near, _)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || connect(near, &shared));
            }
            Err(_) => thread::sleep(LOOK_EVERY),
        }
    }
}

/// While the cable is cut a new connection gets no further than this end.
fn connect(near: TcpStream, shared: &Arc<Shared>) {
    while !shared.forwards() && !shared.gone() {
        thread::sleep(LOOK_EVERY);
    }
    let Ok(far) = TcpStream::connect(&shared.to) else { return };
    let ends = near.try_clone().and_then(|copy| Ok((copy, far.try_clone()?)));
    let Ok((near_too, far_too)) = ends else { return };
    let back = Arc::clone(shared);
    thread::spawn(move || carry(far_too, near_too, &back));
    carry(near, far, shared);
}

fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 16 << 10];
    let _ = (from.set_nonblocking(false), to.set_nonblocking(false));
    let _ = (from.set_read_timeout(Some(LOOK_EVERY)), to.set_nodelay(true));
    while !shared.gone() {
        if !shared.forwards() {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                // What was read a moment before the cut waits here for its end.
                while !shared.forwards() && !shared.gone() {
                    thread::sleep(LOOK_EVERY);
                }
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
                shared.carried.fetch_add(count as u64, Ordering::AcqRel);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
