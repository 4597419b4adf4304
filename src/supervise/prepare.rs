//! Before anything is started: is there a home, is it ours, is it whole?

use crate::config::Config;
use crate::errors::{Failure, Reason};
use crate::home::{Home, Service};
use crate::init;
use crate::users::{self, EMBEDDED};
use std::path::PathBuf;
use time::OffsetDateTime;
use time::macros::format_description;

/// What was found, or made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prepared {
    /// A home, whole.
    Existing,
    /// Nothing; a new one was made.
    Made,
    /// An old home, set aside under this name; a new one was made.
    MadeAnew { aside: PathBuf },
}

/// Makes sure of a home to start. With `fresh`, an old one is renamed, and never removed.
pub fn prepare(home: &Home, config: &Config, fresh: bool) -> Result<Prepared, Failure> {
    let aside = if fresh && !home.is_empty() { Some(set_aside(home, config)?) } else { None };
    if home.is_empty() || unused(home) {
        init::init(home, config, &users::parse(EMBEDDED, "the built-in users.json")?)?;
        return Ok(aside.map_or(Prepared::Made, |aside| Prepared::MadeAnew { aside }));
    }
    home.open()?;
    refuse_if_running(home, config)?;
    refuse_if_incomplete(home, config)?;
    Ok(Prepared::Existing)
}

/// Ours, and nothing but certificates in it.
fn unused(home: &Home) -> bool {
    home.is_ours() && !home.config_file().exists() && !home.all_data().exists()
}

fn set_aside(home: &Home, config: &Config) -> Result<PathBuf, Failure> {
    if !home.is_ours() {
        let what = format!("{} is not a home of Strife, so it stays", home.root().display());
        return Err(Failure::new(Reason::HomeForeign, what));
    }
    refuse_if_running(home, config)?;
    let format = format_description!("[year][month][day]-[hour][minute][second]");
    let now = OffsetDateTime::now_utc().format(format).unwrap_or_default();
    let mut name = home.root().file_name().unwrap_or_default().to_owned();
    name.push(format!(".old-{now}"));
    let aside = home.root().with_file_name(name);
    let renamed = std::fs::rename(home.root(), &aside);
    renamed.map_err(|error| {
        Failure::unexpected(&format!("rename {}", home.root().display()), &error)
    })?;
    Ok(aside)
}

fn refuse_if_running(home: &Home, config: &Config) -> Result<(), Failure> {
    let banks = config.banks.keys().map(|bank| Service::Bank(*bank));
    let running = std::iter::once(Service::Gateway).chain(banks).find_map(|service| {
        let running = home.running(service)?;
        Some((service, running.pid))
    });
    match running {
        Some((service, pid)) => {
            let what = format!("{service} of this home runs already, as process {pid}");
            let todo = "Use it as it is (see: strife status), or stop it first.";
            Err(Failure::new(Reason::HomeLocked, what).todo(todo))
        }
        None => Ok(()),
    }
}

fn refuse_if_incomplete(home: &Home, config: &Config) -> Result<(), Failure> {
    let gateway = home.data(Service::Gateway);
    if !gateway.is_dir() {
        let what = format!("{} is missing: the gateway's log is lost", gateway.display());
        let todo = "Rebuild it from the banks: strife rebuild gateway --from-banks";
        return Err(Failure::new(Reason::DataMissing, what).todo(todo));
    }
    for (bank, settings) in &config.banks {
        let data = home.data(Service::Bank(*bank));
        if !settings.foreign && !data.is_dir() {
            let what = format!("{} is missing: {bank}'s journal is lost", data.display());
            let todo =
                format!("Rebuild it from the gateway: strife rebuild bank {bank} --from-gateway");
            return Err(Failure::new(Reason::DataMissing, what).todo(todo));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Address;
    use crate::errors::Exit;
    use tempfile::TempDir;

    fn desk() -> (TempDir, Home, Config) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::new(directory.path().join("home"));
        (directory, home, Config::standard())
    }

    fn made() -> (TempDir, Home, Config) {
        let (keep, home, config) = desk();
        assert_eq!(prepare(&home, &config, false), Ok(Prepared::Made));
        (keep, home, config)
    }

    #[test]
    fn a_home_is_made_where_there_is_none_and_then_used() {
        let (_keep, home, config) = made();
        assert_eq!(prepare(&home, &config, false), Ok(Prepared::Existing));
    }

    #[test]
    fn a_home_with_only_certificates_is_not_begun_yet() {
        let (_keep, home, config) = desk();
        home.create().expect("made");
        crate::certs::init(&home, &config.banks.keys().copied().collect::<Vec<_>>()).expect("made");
        assert_eq!(prepare(&home, &config, false), Ok(Prepared::Made));
    }

    #[test]
    fn fresh_sets_the_old_home_aside_and_removes_nothing() {
        let (_keep, home, config) = made();
        std::fs::write(home.root().join("note"), "mine").expect("written");
        match prepare(&home, &config, true) {
            Ok(Prepared::MadeAnew { aside }) => {
                assert_eq!(std::fs::read_to_string(aside.join("note")).expect("kept"), "mine");
            }
            other => panic!("{other:?}"),
        }
        assert!(!home.root().join("note").exists());
    }

    #[test]
    fn fresh_leaves_what_is_not_ours_alone() {
        let (_keep, home, config) = desk();
        std::fs::create_dir(home.root()).expect("made");
        std::fs::write(home.root().join("thesis"), "mine").expect("written");
        let failure = prepare(&home, &config, true).expect_err("refused");
        assert_eq!(failure.reason, Some(Reason::HomeForeign));
        assert!(home.root().join("thesis").exists());
    }

    #[test]
    fn a_missing_part_is_a_loss_and_no_reason_to_begin_anew() {
        let (_keep, home, config) = made();
        let axis = "Axis".parse().expect("a name");
        std::fs::remove_dir_all(home.data(Service::Bank(axis))).expect("removed");
        let failure = prepare(&home, &config, false).expect_err("refused");
        assert_eq!(failure.exit, Exit::Damaged);
        assert!(failure.todo.contains("strife rebuild bank Axis --from-gateway"), "{failure}");
        std::fs::remove_dir_all(home.data(Service::Gateway)).expect("removed");
        let failure = prepare(&home, &config, false).expect_err("refused");
        assert!(failure.todo.contains("strife rebuild gateway --from-banks"), "{failure}");
    }

    #[test]
    fn a_home_in_use_is_neither_started_nor_set_aside() {
        let (_keep, home, config) = made();
        let _running = home.announce(Service::Gateway, &Address::local(1)).expect("announced");
        for fresh in [false, true] {
            let failure = prepare(&home, &config, fresh).expect_err("refused");
            assert_eq!(failure.reason, Some(Reason::HomeLocked));
        }
    }
}
