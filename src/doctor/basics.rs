//! Whether an installation can run at all.

use super::Finding;
use crate::certs;
use crate::config::Config;
use crate::home::{Home, Service};
use crate::users;
use recovery::model::BankName;

/// Home, certificates, users, and a data directory for every service.
pub fn basics(home: &Home, config: &Config) -> Vec<Finding> {
    let banks: Vec<BankName> = config.banks.keys().copied().collect();
    let mut found = Vec::new();
    found.push(match home.open() {
        Ok(()) => Finding::good("home", format!("{} is a home", home.root().display())),
        Err(failure) => Finding::bad("home", failure.what, failure.todo),
    });
    let unreadable: Vec<_> = certs::list(home, &banks)
        .into_iter()
        .filter_map(|(_, read)| read.err())
        .map(|failure| Finding::bad("certificates", failure.what, failure.todo))
        .collect();
    if unreadable.is_empty() {
        found.push(Finding::good("certificates", "every one can be used"));
    }
    found.extend(unreadable);
    found.push(match users::load(&home.users_file()) {
        Ok(users) => Finding::good("users", format!("{} may sign in", users.clients.len())),
        Err(failure) => Finding::bad("users", failure.what, failure.todo),
    });
    let ours = config.banks.iter().filter(|(_, bank)| !bank.foreign);
    let services = std::iter::once(Service::Gateway).chain(ours.map(|(it, _)| Service::Bank(*it)));
    let missing: Vec<String> = services
        .filter(|service| !home.wal(*service).is_dir())
        .map(|service| home.wal(service).display().to_string())
        .collect();
    found.push(if missing.is_empty() {
        Finding::good("logs", "every service has its log; whether they are sound: strife audit")
    } else {
        let what = format!("missing: {}", missing.join(", "));
        Finding::bad("logs", what, "Make a lost one again with: strife rebuild")
    });
    found
}
