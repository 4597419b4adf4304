//! Makes an installation: the one explicit beginning.
//!
//! Nothing else opens accounts or makes a data directory, so a directory that is missing later is
//! a loss to be told of and never a reason to begin anew. It refuses where anything is begun
//! already, and what it began and could not finish it leaves to be looked at.

mod extend;
mod logs;
mod mended;
mod offline;
mod rebuild;

pub use extend::{Added, extend};
pub use mended::record as record_mended;
pub use rebuild::{Rebuilt, bank as rebuild_bank, gateway as rebuild_gateway};

use crate::certs;
use crate::config::Config;
use crate::errors::{Failure, Reason};
use crate::home::{Home, write_private};
use crate::users::{self, Users};
use recovery::model::BankName;

/// A new home with this configuration, these users, and their accounts.
pub fn init(home: &Home, config: &Config, all: &Users) -> Result<(), Failure> {
    refuse_a_second(home)?;
    each_account_has_a_bank(config, all)?;
    if home.is_empty() {
        home.create()?;
    }
    home.open()?;
    if !home.certs().exists() {
        let banks: Vec<BankName> = config.banks.keys().copied().collect();
        certs::init(home, &banks)?;
    }
    users::save(&home.users_file(), all)?;
    logs::create_all(home, config, all)?;
    // Last: a home with it is whole.
    write_private(&home.config_file(), config.to_toml().as_bytes())
}

fn refuse_a_second(home: &Home) -> Result<(), Failure> {
    let begun = [home.config_file(), home.all_data()].into_iter().find(|path| path.exists());
    match begun {
        Some(path) => {
            let what = format!("{} is there already", path.display());
            Err(Failure::new(Reason::HomeExists, what))
        }
        None => Ok(()),
    }
}

fn each_account_has_a_bank(config: &Config, all: &Users) -> Result<(), Failure> {
    for (client, opening) in all.openings() {
        if !config.banks.contains_key(&opening.bank) {
            let what = format!("{client} is at {}, and no such bank is configured", opening.bank);
            let todo =
                format!("Add [banks.{}] to the configuration, or move the client.", opening.bank);
            return Err(Failure::new(Reason::UsersInvalid, what).todo(todo));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::EMBEDDED;

    fn demo() -> Users {
        users::parse(EMBEDDED, "users.json").expect("valid")
    }

    #[test]
    fn a_home_is_made_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        init(&home, &Config::standard(), &demo()).expect("made");
        let read = Config::load(&home.config_file(), Vec::new()).expect("valid");
        assert_eq!(read, Config::standard());
        assert_eq!(users::load(&home.users_file()).expect("valid"), demo());
        let failure = init(&home, &Config::standard(), &demo()).expect_err("refused");
        assert_eq!(failure.reason, Some(Reason::HomeExists));
    }

    #[test]
    fn certificates_that_were_brought_before_all_else_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        let banks: Vec<BankName> = Config::standard().banks.into_keys().collect();
        certs::init(&home, &banks).expect("made");
        let brought = std::fs::read(home.certs().join("ca.crt")).expect("there");
        init(&home, &Config::standard(), &demo()).expect("made");
        assert_eq!(std::fs::read(home.certs().join("ca.crt")).expect("there"), brought);
    }

    #[test]
    fn a_client_of_a_bank_that_is_not_configured_is_refused_before_anything_is_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        let mut config = Config::standard();
        config.banks.remove(&"Axis".parse().expect("a name"));
        let failure = init(&home, &config, &demo()).expect_err("refused");
        assert!(failure.what.contains("client3 is at Axis"), "{failure}");
        assert!(home.is_empty());
    }
}
