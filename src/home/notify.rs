//! Telling a service manager how this process is doing, by systemd's protocol: one datagram of
//! `KEY=value` lines to the socket that `NOTIFY_SOCKET` names.
//!
//! Without one nothing is said. Failing to say it fails nothing.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket, as the manager names it.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// Recovered, and accepting.
pub fn ready(status: &str) {
    say(&format!("READY=1\nSTATUS={status}"));
}

/// A stop was asked for, and is under way.
pub fn stopping() {
    say("STOPPING=1\nSTATUS=draining");
}

fn say(text: &str) {
    let Some(name) = std::env::var_os(NOTIFY_SOCKET).filter(|name| !name.is_empty()) else {
        return;
    };
    // A name that begins with @ is of the abstract kind, which has no file.
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(text.as_bytes(), &address)
    });
    if let Err(error) = sent {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
