//! Passwords: argon2id, 19 MiB, two passes, one lane (OWASP's first recommendation).
//!
//! Verifying is slow on purpose, so it runs on threads of its own, two at a time, and takes as long
//! for a user that nobody has heard of.

use super::User;
use crate::errors::{Exit, Failure};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A longer password is refused unread.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Verifications at a time: each takes a core and 19 MiB.
const VERIFY_AT_A_TIME: usize = 2;

/// What is verified for a user that does not exist. Its password is random and was never kept.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c3RyaWZlLW5vYm9keS0x$\
                      8bG6qfGxkW0l1mUj3b0q6kQ2S0b0m3dQ1n9Gg3r1a5U";

fn argon2() -> Result<Argon2<'static>, Failure> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| Failure::plain(Exit::Unexpected, error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Hashes a new password with a salt of its own.
pub fn hash(password: &str) -> Result<String, Failure> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        let what = format!("a password is 1 to {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::plain(Exit::Usage, what));
    }
    let hashed = argon2()?.hash_password(password.as_bytes());
    let hashed: PasswordHash =
        hashed.map_err(|error| Failure::plain(Exit::Unexpected, error.to_string()))?;
    Ok(hashed.to_string())
}

/// Whether the text is a hash that can be verified here.
pub(super) fn check(hash: &str) -> Result<(), String> {
    let rule = "password_hash is an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$...";
    match PasswordHash::new(hash) {
        Ok(parsed) if parsed.algorithm.as_str() == "argon2id" && parsed.hash.is_some() => Ok(()),
        Ok(_) | Err(_) => Err(rule.to_owned()),
    }
}

/// Whether the password has this hash. Takes a core and 19 MiB for some tens of milliseconds.
pub fn matches(password: &str, hash: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

/// Verifies passwords, a few at a time.
#[derive(Clone, Debug)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(VERIFY_AT_A_TIME)) }
    }
}

impl Passwords {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `user` is there, is called `username`, and has this password. Takes the same time
    /// whatever is wrong.
    pub async fn verify(&self, user: Option<&User>, username: &str, password: &str) -> bool {
        let short = password.len() <= PASSWORD_BYTES_MAX;
        let Ok(permit) = self.permits.clone().acquire_owned().await else { return false };
        let named = user.is_some_and(|user| user.username == username);
        let hash = user.map_or(NOBODY, |user| &user.password_hash).to_owned();
        let password = if short { password.to_owned() } else { String::new() };
        let work = move || {
            let _permit = permit;
            matches(&password, &hash)
        };
        let matched = tokio::task::spawn_blocking(work).await.unwrap_or(false);
        matched && named && short && user.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{EMBEDDED, parse};

    #[test]
    fn nobodys_hash_can_be_verified_so_that_it_takes_its_time() {
        assert_eq!(check(NOBODY), Ok(()));
        assert!(check("pass1").is_err());
        assert!(check("").is_err());
    }

    #[tokio::test]
    async fn only_the_right_user_with_the_right_password_is_let_in() {
        let users = parse(EMBEDDED, "users.json").expect("valid");
        let find = |id: &str| users.find(id.parse().expect("a client id"));
        let passwords = Passwords::new();
        assert!(passwords.verify(find("client1"), "user1", "pass1").await);
        assert!(passwords.verify(find("client12"), "user12", "pass12").await);
        assert!(passwords.verify(find("admin"), "admin", "adminpass").await);
        assert!(passwords.verify(find("auditor"), "auditor", "auditorpass").await);
        assert!(!passwords.verify(find("client1"), "user1", "pass2").await);
        assert!(!passwords.verify(find("client1"), "user2", "pass1").await);
        assert!(!passwords.verify(None, "user1", "pass1").await);
        assert!(!passwords.verify(find("client1"), "user1", "").await);
        assert!(!passwords.verify(find("client1"), "user1", &"x".repeat(5_000)).await);
    }
}
