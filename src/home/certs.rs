//! `certs/`: which file shows what to whom.
//!
//! ```text
//! ca           signs server, client, admin: the public port and its callers
//! internal-ca  signs banks/<BANK> and gateway: the gateway and its banks
//! ```

use super::Home;
use recovery::model::BankName;
use std::path::PathBuf;

/// Whose certificate and key.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// Signs what the public port and its callers show each other.
    Authority,
    /// Signs what the gateway and the banks show each other.
    InternalAuthority,
    /// The gateway, to clients and operators.
    Server,
    /// The gateway, to banks.
    Gateway,
    Client,
    Admin,
    Bank(BankName),
}

impl Party {
    /// The path below `certs/`, without its ending.
    pub fn stem(self) -> String {
        match self {
            Self::Authority => "ca".to_owned(),
            Self::InternalAuthority => "internal-ca".to_owned(),
            Self::Server => "server".to_owned(),
            Self::Gateway => "gateway".to_owned(),
            Self::Client => "client".to_owned(),
            Self::Admin => "admin".to_owned(),
            Self::Bank(bank) => format!("banks/{bank}"),
        }
    }

    /// Whose signature is on its certificate.
    #[must_use]
    pub fn signer(self) -> Self {
        match self {
            Self::Authority | Self::Server | Self::Client | Self::Admin => Self::Authority,
            Self::InternalAuthority | Self::Gateway | Self::Bank(_) => Self::InternalAuthority,
        }
    }

    /// Everyone in an installation with these banks; signers before what they sign.
    pub fn all(banks: impl IntoIterator<Item = BankName>) -> Vec<Self> {
        let fixed = [
            Self::Authority,
            Self::InternalAuthority,
            Self::Server,
            Self::Gateway,
            Self::Client,
            Self::Admin,
        ];
        fixed.into_iter().chain(banks.into_iter().map(Self::Bank)).collect()
    }
}

impl Home {
    pub fn certificate(&self, party: Party) -> PathBuf {
        self.certs().join(format!("{}.crt", party.stem()))
    }

    pub fn key(&self, party: Party) -> PathBuf {
        self.certs().join(format!("{}.key", party.stem()))
    }
}
