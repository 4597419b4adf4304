//! Who may sign in: `users.json`, and nothing about money but an account's opening.
//!
//! Identity is configuration and lies in this file; money is in the logs, and the balance here is
//! read once, when the account is opened. Passwords are argon2id hashes: a file with a plain
//! `password` is refused, with the command that converts it.

mod file;
mod password;
mod throttle;

pub use file::{import, load, parse, save};
pub use password::{Passwords, hash, matches};
pub use throttle::{Throttle, TooMany};

use recovery::model::{AccountNumber, BankName, ClientId, Currency};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The demo's users, as in the repository.
pub const EMBEDDED: &str = include_str!("../../users.json");

/// What a user may do.
#[derive(
    Copy,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Pays from its account and reads it.
    Client,
    /// Reads everything.
    Auditor,
    /// Operates the gateway.
    Admin,
}

impl UserRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The account that a user owns, as it is opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    pub bank: BankName,
    pub account: AccountNumber,
    pub balance_minor: i64,
    pub currency: Currency,
}

/// One user. A client has an account; the other roles have none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub client_id: ClientId,
    pub username: String,
    pub password_hash: String,
    pub role: UserRole,
    pub opening: Option<Opening>,
}

impl User {
    /// Changes whenever the password does: a session that remembers another one is over.
    pub fn credential_sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.client_id.as_str(), &self.username, &self.password_hash] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    pub fn account(&self) -> Option<AccountNumber> {
        self.opening.map(|opening| opening.account)
    }

    pub fn bank(&self) -> Option<BankName> {
        self.opening.map(|opening| opening.bank)
    }
}

/// All users, in the order of the file; no two with one client id or one account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Users {
    pub clients: Vec<User>,
}

impl Users {
    pub fn find(&self, client_id: ClientId) -> Option<&User> {
        self.clients.iter().find(|user| user.client_id == client_id)
    }

    pub fn find_mut(&mut self, client_id: ClientId) -> Option<&mut User> {
        self.clients.iter_mut().find(|user| user.client_id == client_id)
    }

    /// Every account with its owner: what `init` opens.
    pub fn openings(&self) -> impl Iterator<Item = (ClientId, Opening)> {
        self.clients.iter().filter_map(|user| Some((user.client_id, user.opening?)))
    }
}
