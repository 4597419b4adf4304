//! Who calls, and what they may call.
//!
//! A certificate says what its holder is: one SAN URI `strife://gateway`, `strife://bank/HDFC`,
//! `strife://client[/client1]` or `strife://admin`. A common name says nothing. One layer around
//! *all* routes holds each call against one table and denies what the table does not allow; where
//! the table asks for a session, an [`Authenticator`] says whose it is.
//!
//! Nothing here knows how tokens are made or kept.

mod layer;
mod load;
mod meters;
mod rules;
mod session;
mod trail;

pub use layer::{Gate, IdentityLayer, Unsigned};
pub use load::Load;
pub use meters::show as show_figures;
pub use rules::{Kind, RULES, Rule, Session, rule};
pub use session::{AuthFailure, Authenticator, Principal};
pub use trail::{Noted, Trail, speaks_for};

use recovery::model::{BankName, ClientId};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate's holder is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    Gateway,
    Bank(BankName),
    /// A client's program; named, it speaks for that client alone.
    Client(Option<ClientId>),
    Admin,
    /// Of our authority, without a role that is known here. May do nothing.
    Stranger,
}

const SCHEME: &str = "strife://";

/// Why a URI is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a role: {0:?}")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(uri: &str) -> Result<Self, RoleError> {
        let role = match uri.strip_prefix(SCHEME).map(|path| path.split_once('/').ok_or(path)) {
            Some(Err("gateway")) => Some(Self::Gateway),
            Some(Err("admin")) => Some(Self::Admin),
            Some(Err("client")) => Some(Self::Client(None)),
            Some(Ok(("client", name))) => name.parse().ok().map(|name| Self::Client(Some(name))),
            Some(Ok(("bank", name))) => name.parse().ok().map(Self::Bank),
            Some(_) | None => None,
        };
        role.ok_or_else(|| RoleError(uri.chars().take(80).collect()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("strife://gateway"),
            Self::Bank(name) => write!(f, "strife://bank/{name}"),
            Self::Client(None) => f.write_str("strife://client"),
            Self::Client(Some(name)) => write!(f, "strife://client/{name}"),
            Self::Admin => f.write_str("strife://admin"),
            Self::Stranger => f.write_str("no role"),
        }
    }
}

/// SHA-256 of a certificate, by which sessions are bound to it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The peer of a connection. In the extensions of each of its requests.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub role: Role,
    pub fingerprint: Fingerprint,
}

impl Caller {
    /// Of the certificate that the handshake verified.
    pub fn of_certificate(der: &[u8]) -> Self {
        let fingerprint = Fingerprint(Sha256::digest(der).into());
        Self { role: role_of(der), fingerprint }
    }
}

/// The one role that a certificate carries; [`Role::Stranger`] for none, or for more than one, and
/// for a certificate that does not say whether it calls or answers: the handshake refuses a wrong
/// purpose, and takes none at all for every one.
pub fn role_of(der: &[u8]) -> Role {
    let uris = uris(der).unwrap_or_default();
    let mut roles = uris.iter().filter(|uri| uri.starts_with(SCHEME)).map(|uri| uri.parse());
    match (roles.next(), roles.next()) {
        (Some(Ok(role)), None) => role,
        (None | Some(_), _) => Role::Stranger,
    }
}

fn uris(der: &[u8]) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    certificate.extended_key_usage().ok()??;
    let names = certificate.subject_alternative_name().ok()??.value;
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    Some(names.general_names.iter().filter_map(uri).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_written_as_it_is_read() {
        let uris = [
            "strife://gateway",
            "strife://bank/HDFC",
            "strife://client",
            "strife://client/client1",
            "strife://admin",
        ];
        for uri in uris {
            let role: Role = uri.parse().expect(uri);
            assert_eq!(role.to_string(), uri);
        }
    }

    #[test]
    fn what_is_nearly_a_role_is_none() {
        let uris = [
            "strife://",
            "strife://bank",
            "strife://bank/",
            "strife://bank/HDFC/x",
            "strife://gateway/",
            "strife://Admin",
            "https://gateway",
            "strife://client/",
            "no role",
        ];
        for uri in uris {
            assert!(uri.parse::<Role>().is_err(), "{uri}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_a_stranger() {
        assert_eq!(Caller::of_certificate(b"not DER").role, Role::Stranger);
    }
}
