//! `users.json` to [`Users`] and back.

use super::{Opening, User, UserRole, Users, password};
use crate::errors::{Failure, Reason};
use crate::home::write_private;
use recovery::model::{AccountNumber, BankName, ClientId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUsers {
    clients: Vec<FileUser>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUser {
    client_id: ClientId,
    username: String,
    #[serde(default, skip_serializing)]
    password: Option<String>,
    #[serde(default)]
    password_hash: String,
    role: UserRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bank: Option<BankName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balance_minor: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency_code: Option<String>,
}

/// Reads a users file.
pub fn load(path: &Path) -> Result<Users, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("cannot read {shown}: {error}")))?;
    parse(&text, &shown)
}

/// The users in `text`; `origin` names it in errors.
pub fn parse(text: &str, origin: &str) -> Result<Users, Failure> {
    let file = read(text, origin)?;
    if let Some(user) = file.clients.iter().find(|user| user.password.is_some()) {
        let what = format!("{origin}: {} has a plain password", user.client_id);
        return Err(invalid(what).todo(format!(
            "Hash the passwords into a new file with: strife users import {origin} > users.json"
        )));
    }
    users(file, origin)
}

/// Reads a file whose passwords may be plain, and hashes those. Takes about 20 ms a password.
pub fn import(text: &str, origin: &str) -> Result<Users, Failure> {
    let mut file = read(text, origin)?;
    for user in &mut file.clients {
        if let Some(plain) = user.password.take() {
            user.password_hash = password::hash(&plain)?;
        }
    }
    users(file, origin)
}

/// Writes the users file of a home.
pub fn save(path: &Path, users: &Users) -> Result<(), Failure> {
    write_private(path, users.to_json()?.as_bytes())
}

impl Users {
    /// As in the file, one field a line.
    pub fn to_json(&self) -> Result<String, Failure> {
        let clients = self.clients.iter().map(written).collect();
        let text = serde_json::to_string_pretty(&FileUsers { clients });
        let text = text.map_err(|error| Failure::unexpected("write the users file", &error))?;
        Ok(text + "\n")
    }
}

fn read(text: &str, origin: &str) -> Result<FileUsers, Failure> {
    serde_json::from_str(text).map_err(|error| invalid(format!("{origin}: {error}")))
}

fn users(file: FileUsers, origin: &str) -> Result<Users, Failure> {
    let mut clients = Vec::with_capacity(file.clients.len());
    let (mut ids, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for entry in file.clients {
        let id = entry.client_id;
        let user = user(entry).map_err(|what| invalid(format!("{origin}: {id}: {what}")))?;
        if !ids.insert(id) {
            return Err(invalid(format!("{origin}: {id} is there twice")));
        }
        if let Some(account) = user.account()
            && !accounts.insert(account)
        {
            return Err(invalid(format!("{origin}: two users have the account {account}")));
        }
        clients.push(user);
    }
    if clients.is_empty() {
        return Err(invalid(format!("{origin}: nobody is in it")));
    }
    Ok(Users { clients })
}

/// One entry, or what is wrong with it.
fn user(entry: FileUser) -> Result<User, String> {
    const USERNAME_BYTES_MAX: usize = 64;
    let name = entry.username;
    if name.is_empty() || name.len() > USERNAME_BYTES_MAX || name.chars().any(char::is_control) {
        let rule = "a username is 1 to 64 bytes without control characters";
        return Err(rule.to_owned());
    }
    password::check(&entry.password_hash)?;
    let opening = match (entry.role, entry.bank, entry.account_number) {
        (UserRole::Client, Some(bank), Some(account)) => {
            let account: AccountNumber =
                account.parse().map_err(|error| format!("account_number: {error}"))?;
            let balance_minor = entry.balance_minor.unwrap_or(0);
            if balance_minor < 0 {
                return Err("balance_minor is negative".to_owned());
            }
            let currency = entry.currency_code.as_deref().unwrap_or("INR");
            let currency = currency.parse().map_err(|error| format!("currency_code: {error}"))?;
            Some(Opening { bank, account, balance_minor, currency })
        }
        (UserRole::Client, _, _) => {
            return Err("a client has a bank and an account_number".to_owned());
        }
        (UserRole::Auditor | UserRole::Admin, None, None) => None,
        (UserRole::Auditor | UserRole::Admin, _, _) => {
            return Err(format!("the role {} has no bank and no account", entry.role));
        }
    };
    Ok(User {
        client_id: entry.client_id,
        username: name,
        password_hash: entry.password_hash,
        role: entry.role,
        opening,
    })
}

fn written(user: &User) -> FileUser {
    FileUser {
        client_id: user.client_id,
        username: user.username.clone(),
        password: None,
        password_hash: user.password_hash.clone(),
        role: user.role,
        bank: user.bank(),
        account_number: user.account().map(|account| account.to_string()),
        balance_minor: user.opening.map(|opening| opening.balance_minor),
        currency_code: user.opening.map(|opening| opening.currency.to_string()),
    }
}

fn invalid(what: String) -> Failure {
    Failure::new(Reason::UsersInvalid, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::EMBEDDED;

    #[test]
    fn the_demo_has_twelve_clients_an_admin_and_an_auditor() {
        let users = parse(EMBEDDED, "users.json").expect("valid");
        assert_eq!(users.clients.len(), 14);
        assert_eq!(users.openings().count(), 12);
        for (number, (client, opening)) in (1..).zip(users.openings()) {
            assert_eq!(client.as_str(), format!("client{number}"));
            assert_eq!(opening.account.to_string(), format!("1000000000{number:04}"));
            assert_eq!(opening.bank.as_str(), crate::config::DEFAULT_BANKS[(number - 1) % 6]);
            assert_eq!(opening.balance_minor, 1_000_000);
        }
        assert_eq!(users.to_json().expect("written"), EMBEDDED);
    }

    #[test]
    fn a_plain_password_is_refused_with_the_command_that_hashes_it() {
        let text = EMBEDDED.replacen("\"password_hash\"", "\"password\"", 1);
        let failure = parse(&text, "mine.json").expect_err("refused");
        assert_eq!(failure.reason, Some(Reason::UsersInvalid));
        assert!(failure.todo.contains("strife users import mine.json"), "{failure}");
    }

    #[test]
    fn importing_hashes_what_is_plain() {
        let text = r#"{"clients": [{"client_id": "a", "username": "a", "password": "secret",
            "role": "admin"}]}"#;
        let users = import(text, "x").expect("valid");
        let written = users.to_json().expect("written");
        assert!(written.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{written}");
        assert!(!written.contains("secret"));
        assert_eq!(parse(&written, "x").expect("valid"), users);
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused_by_name() {
        let clash = EMBEDDED.replacen("10000000000002", "10000000000001", 1);
        let refused = |text: &str| parse(text, "x").expect_err("refused").what;
        assert!(refused(&clash).contains("10000000000001"));
        assert!(refused(&EMBEDDED.replacen("client2", "client1", 1)).contains("twice"));
        let debt = EMBEDDED.replacen("\"balance_minor\": 1000000", "\"balance_minor\": -1", 1);
        assert!(refused(&debt).contains("balance_minor is negative"));
        assert!(refused("{\"clients\": []}").contains("nobody"));
        assert!(refused("{\"clients\": [], \"x\": 1}").contains("unknown field"));
    }
}
