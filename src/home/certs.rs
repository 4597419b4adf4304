//! `certs/`: which file shows what to whom.
//!
//! ```text
//! ca           signs server, client, admin: the public port and its callers
//! internal-ca  signs banks/<BANK> and gateway: the gateway and its banks
//! *.crl        what each of the two has revoked
//! ```

use super::Home;
use recovery::model::{BankName, ClientId};
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
    /// Any client's program.
    Client,
    /// One client's program, which speaks for nobody else.
    ClientOf(ClientId),
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
            Self::ClientOf(client) => format!("clients/{client}"),
            Self::Admin => "admin".to_owned(),
            Self::Bank(bank) => format!("banks/{bank}"),
        }
    }

    /// Whose signature is on its certificate.
    #[must_use]
    pub fn signer(self) -> Self {
        match self {
            Self::Authority | Self::Server | Self::Client | Self::ClientOf(_) | Self::Admin => {
                Self::Authority
            }
            Self::InternalAuthority | Self::Gateway | Self::Bank(_) => Self::InternalAuthority,
        }
    }

    /// As metrics and messages call it: no name of anybody.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Authority => "ca",
            Self::InternalAuthority => "internal-ca",
            Self::Server => "server",
            Self::Gateway => "gateway",
            Self::Client | Self::ClientOf(_) => "client",
            Self::Admin => "admin",
            Self::Bank(_) => "bank",
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

    /// What an authority has revoked. Without the file nothing is.
    pub fn revocations(&self, authority: Party) -> PathBuf {
        self.certs().join(format!("{}.crl", authority.stem()))
    }

    /// Certificates that were renewed, kept so that they can still be revoked.
    pub fn retired_certificates(&self) -> PathBuf {
        self.certs().join("retired")
    }

    /// What a client's program shows: a certificate of its own, where it was issued one.
    pub fn client_party(&self, client: ClientId) -> Party {
        let own = Party::ClientOf(client);
        if self.certificate(own).exists() { own } else { Party::Client }
    }

    /// Clients with certificates of their own, by name.
    pub fn clients_with_certificates(&self) -> Vec<ClientId> {
        let entries = std::fs::read_dir(self.certs().join("clients"));
        let names = entries.into_iter().flatten().filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".crt")?.parse().ok()
        });
        let mut clients: Vec<ClientId> = names.collect();
        clients.sort_unstable();
        clients
    }
}
