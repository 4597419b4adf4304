//! `host:port`, parsed once.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a service listens, and where others find it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: String,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address is host:port, such as 127.0.0.1:50050 or [::1]:50050, not {0:?}")]
pub struct AddressError(String);

impl Address {
    /// This machine only.
    pub fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port }
    }

    /// A name or an IP address, without brackets: what a certificate is checked against.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parse = || {
            let (host, port) = text.rsplit_once(':')?;
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let host = match bracketed {
                Some(host) => host.parse::<std::net::Ipv6Addr>().ok().map(|_| host)?,
                None => host,
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            let named = bracketed.is_some() || (!host.is_empty() && host.bytes().all(plain));
            let port = port.parse().ok()?;
            named.then(|| Self { host: host.to_owned(), port })
        };
        parse().ok_or_else(|| AddressError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_host_and_a_port_or_refused() {
        for good in ["127.0.0.1:1", "localhost:50050", "[::1]:50050", "bank-1.example:65535"] {
            let address: Address = good.parse().expect(good);
            assert_eq!(address.to_string(), good);
        }
        for bad in ["", ":1", "host", "host:", "host:65536", "host:x", "::1:50050", "a b:1"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }
}
