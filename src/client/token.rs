//! The token of a session, kept over one-shot commands.
//!
//! Promises that the file is its owner's alone (0600), whole or absent, and that the token is in no
//! `Debug` output. Refuses to know whether the gateway still accepts it: asking is the only test.

use crate::errors::{Failure, chain};
use crate::home::{create_private_dir, write_private};
use recovery::model::AccountNumber;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What signing in gave.
#[derive(Debug, Clone)]
pub struct Signed {
    pub token: SecretString,
    pub username: String,
    pub bank: String,
    pub role: String,
    /// None for a role without an account.
    pub account: Option<AccountNumber>,
}

/// `data/clients/<client_id>/session`.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    token: String,
    username: String,
    bank: String,
    role: String,
    account_number: String,
}

impl TokenFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// None when there is no session, or none that can be read: signing in again makes another.
    pub fn load(&self) -> Option<Signed> {
        let stored: Stored = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        Some(Signed {
            token: SecretString::from(stored.token),
            username: stored.username,
            bank: stored.bank,
            role: stored.role,
            account: stored.account_number.parse().ok(),
        })
    }

    pub fn store(&self, signed: &Signed) -> Result<(), Failure> {
        let stored = Stored {
            token: signed.token.expose_secret().to_owned(),
            username: signed.username.clone(),
            bank: signed.bank.clone(),
            role: signed.role.clone(),
            account_number: signed.account.map(|a| a.to_string()).unwrap_or_default(),
        };
        let bytes = serde_json::to_vec(&stored)
            .map_err(|error| Failure::unexpected("write the session", &error))?;
        create_private_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        write_private(&self.path, &bytes)
    }

    /// Forgets the session; the next command signs in.
    pub fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let what = format!("cannot remove {}: {}", self.path.display(), chain(&error));
                Err(Failure::plain(crate::errors::Exit::Unexpected, what))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn signed() -> Signed {
        Signed {
            token: SecretString::from("canary-7f3a"),
            username: "user1".to_owned(),
            bank: "HDFC".to_owned(),
            role: "client".to_owned(),
            account: "10000000000001".parse().ok(),
        }
    }

    #[test]
    fn a_session_outlives_its_process_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("clients/client1/session");
        let file = TokenFile::new(path.clone());
        assert!(file.load().is_none());
        file.store(&signed()).expect("stored");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = TokenFile::new(path).load().expect("a session");
        assert_eq!(loaded.token.expose_secret(), "canary-7f3a");
        assert_eq!(loaded.account, signed().account);
        file.remove().expect("removed");
        file.remove().expect("removing nothing is fine");
        assert!(file.load().is_none());
    }

    #[test]
    fn a_session_file_cut_short_is_no_session() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("session");
        fs::write(&path, "{\"token\": \"abc").expect("written");
        assert!(TokenFile::new(path).load().is_none());
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{:?}", signed()).contains("canary"));
    }
}
