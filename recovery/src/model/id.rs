//! Who and what: names that are parsed once and cannot be wrong after.

use super::text::Text;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::str::FromStr;

/// Why a name was refused. The text is for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a transaction id is 1 to 64 of A-Z a-z 0-9 _ -, not {0:?}")]
    Transaction(String),
    #[error("a client id is 1 to 32 of A-Z a-z 0-9 _ - ., not {0:?}")]
    Client(String),
    #[error("a bank name is 1 to 32 letters and digits, not {0:?}")]
    Bank(String),
    #[error("an account number is exactly 14 digits, not {0:?}")]
    Account(String),
    #[error("a global id is <16 hex digits>-<epoch>-<number>, not {0:?}")]
    Global(String),
    #[error("an identity is 32 hexadecimal digits, not {0:?}")]
    Token128(String),
}

/// At most this much of a refused name is repeated in its error.
fn excerpt(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    text.chars().take(SHOWN_MAX).collect()
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $max:literal, $error:ident, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Text<$max>);

        impl $name {
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let allowed: fn(u8) -> bool = $allowed;
                let whole = !text.is_empty() && text.bytes().all(allowed);
                let name = if whole { Text::new(text) } else { None };
                name.map(Self).ok_or_else(|| IdError::$error(excerpt(text)))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Text::<$max>::deserialize(deserializer)?;
                text.as_str().parse().map_err(de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// The client's idempotency key, scoped to the client.
    TransactionId, 64, Transaction, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
);
name_type!(
    /// Who may sign in.
    ClientId, 32, Client, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
);
name_type!(
    /// A participant.
    BankName, 32, Bank, |b| b.is_ascii_alphanumeric()
);

/// A client's own name for a payment: what idempotency is keyed by. Written `client/transaction`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Reference {
    pub client: ClientId,
    pub transaction: TransactionId,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.client, self.transaction)
    }
}

/// An account: 14 digits, leading zeros kept in writing.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct AccountNumber(u64);

impl AccountNumber {
    const END: u64 = 100_000_000_000_000;

    /// All but the last four digits hidden, for logs.
    pub fn masked(self) -> String {
        format!("**********{:04}", self.0 % 10_000)
    }
}

impl TryFrom<u64> for AccountNumber {
    type Error = IdError;
    fn try_from(number: u64) -> Result<Self, IdError> {
        if number < Self::END {
            Ok(Self(number))
        } else {
            Err(IdError::Account(number.to_string()))
        }
    }
}

impl From<AccountNumber> for u64 {
    fn from(account: AccountNumber) -> u64 {
        account.0
    }
}

impl FromStr for AccountNumber {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() == 14 && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self(text.parse().expect("14 digits fit in u64")));
        }
        Err(IdError::Account(excerpt(text)))
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014}", self.0)
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! token_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
                let value = if hex { u128::from_str_radix(text, 16).ok() } else { None };
                let value = value.ok_or_else(|| IdError::Token128(excerpt(text)))?;
                Ok(Self(value.to_be_bytes()))
            }
        }
    };
}

token_type!(
    /// The identity of an installation: one gateway and its banks.
    Cluster
);
token_type!(
    /// The identity of a data directory, made at its init.
    Lineage
);
token_type!(
    /// The identity of one start of a service.
    StartId
);

/// One start of a data directory, counted from 1.
pub type Epoch = u64;

/// The gateway's name for one attempt at a payment; banks key their holds by it. Ordered as the
/// attempts were begun within an origin.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GlobalId {
    /// The first 8 bytes of the lineage that began it.
    pub origin: u64,
    pub epoch: Epoch,
    pub number: u64,
}

impl Lineage {
    /// What a global id keeps of it.
    pub fn origin(self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("16 bytes hold 8"))
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}-{}", self.origin, self.epoch, self.number)
    }
}

impl fmt::Debug for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GlobalId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let parse = || {
            let mut parts = text.split('-');
            let (origin, epoch, number) = (parts.next()?, parts.next()?, parts.next()?);
            let canonical = parts.next().is_none() && origin.len() == 16;
            let id = Self {
                origin: u64::from_str_radix(origin, 16).ok()?,
                epoch: epoch.parse().ok()?,
                number: number.parse().ok()?,
            };
            (canonical && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| IdError::Global(excerpt(text)))
    }
}
