//! Whether an installation is safe on an open port.

use super::Finding;
use crate::certs::{self, Certificate};
use crate::config::{Address, Config, Level};
use crate::errors::Failure;
use crate::home::{Home, Party};
use crate::identity::Role;
use crate::tls::ENDS_SOON;
use crate::users::{self, User};
use recovery::model::BankName;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Everything that was looked at, in an order that does not change.
pub fn security(home: &Home, config: &Config) -> Vec<Finding> {
    let banks: Vec<BankName> = config.banks.keys().copied().collect();
    let listed = certs::list(home, &banks);
    let mut found = vec![permissions(home)];
    found.extend(certificates(&listed));
    found.push(authorities(home));
    found.extend(lists(home));
    found.extend(passwords(home));
    found.extend(ports(config));
    found.extend(settings(config));
    found.push(user());
    found
}

/// Nothing of a home is anybody else's to read, and least of all to write.
fn permissions(home: &Home) -> Finding {
    let mut open: Vec<PathBuf> = below(home.root())
        .into_iter()
        .filter(|path| {
            fs::symlink_metadata(path)
                .is_ok_and(|meta| !meta.is_symlink() && meta.permissions().mode() & 0o077 != 0)
        })
        .collect();
    // A key is told before the directory that it lies in.
    open.sort_by_key(|path| path.extension().is_none_or(|ending| ending != "key"));
    let Some(first) = open.first() else {
        return Finding::good("permissions", "only its owner reads the home");
    };
    let what = format!("{} and {} more are open to others", first.display(), open.len() - 1);
    let todo = format!("chmod -R go= {}", home.root().display());
    Finding::bad("permissions", what, todo)
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut all = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all.extend(below(&path)),
            Ok(_) | Err(_) => all.push(path),
        }
    }
    all
}

fn certificates(listed: &[(Party, Result<Certificate, Failure>)]) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let of = |(party, read): &(Party, Result<Certificate, Failure>)| {
        let (stem, renew) = (party.stem(), format!("strife certs renew {}", party.stem()));
        let certificate = match read {
            Ok(certificate) => certificate,
            Err(failure) => {
                return Some(Finding::bad(CHECK, failure.what.clone(), failure.todo.clone()));
            }
        };
        let left = certificate.expires.duration_since(SystemTime::now()).unwrap_or_default();
        let found = certificate.role;
        if certificate.revoked {
            return Some(Finding::bad(CHECK, format!("{stem} is revoked and still in use"), renew));
        }
        if expected(*party).is_some_and(|role| role != found) {
            let what = format!("{stem} carries the role {found}, which is not its own");
            return Some(Finding::bad(CHECK, what, renew));
        }
        if left.is_zero() {
            return Some(Finding::bad(CHECK, format!("{stem} has expired"), renew));
        }
        let days = left.as_secs() / 86_400;
        (left < ENDS_SOON)
            .then(|| Finding::warning(CHECK, format!("{stem} ends in {days} days"), renew))
    };
    let found: Vec<Finding> = listed.iter().filter_map(of).collect();
    if found.is_empty() {
        let what = format!("all {} are valid, each with its own role", listed.len());
        return vec![Finding::good(CHECK, what)];
    }
    found
}

fn expected(party: Party) -> Option<Role> {
    match party {
        Party::Authority | Party::InternalAuthority => None,
        Party::Server | Party::Gateway => Some(Role::Gateway),
        Party::Client => Some(Role::Client(None)),
        Party::ClientOf(client) => Some(Role::Client(Some(client))),
        Party::Admin => Some(Role::Admin),
        Party::Bank(bank) => Some(Role::Bank(bank)),
    }
}

/// Whoever has an authority's key can make itself a gateway.
fn authorities(home: &Home) -> Finding {
    let here = [Party::Authority, Party::InternalAuthority].map(|party| home.key(party));
    let here: Vec<_> = here.iter().filter(|key| key.exists()).collect();
    match here.first() {
        None => Finding::good("authorities", "no authority's key is on this machine"),
        Some(key) => Finding::warning(
            "authorities",
            format!("{} can sign anybody in", key.display()),
            "Keep ca.key and internal-ca.key off the machines that serve; nothing here reads them.",
        ),
    }
}

fn lists(home: &Home) -> Vec<Finding> {
    const CHECK: &str = "revocation";
    let of = |(party, read): (Party, Result<certs::List, Failure>)| {
        let stem = party.stem();
        let list = match read {
            Ok(list) => list,
            Err(failure) => return Finding::bad(CHECK, failure.what, failure.todo),
        };
        let renew = "Sign the lists again with: strife certs renew --within 0";
        if !list.exists {
            let what = format!("{stem}.crl is missing: {stem} cannot take anything back");
            return Finding::bad(CHECK, what, renew);
        }
        match list.next_update {
            Some(next) if next < SystemTime::now() => {
                Finding::bad(CHECK, format!("{stem}.crl is out of date"), renew)
            }
            Some(_) | None => Finding::good(CHECK, format!("{stem} has revoked {}", list.revoked)),
        }
    };
    certs::lists(home).into_iter().map(of).collect()
}

fn passwords(home: &Home) -> Vec<Finding> {
    const CHECK: &str = "passwords";
    let users = match users::load(&home.users_file()) {
        Ok(users) => users,
        Err(failure) => return vec![Finding::bad(CHECK, failure.what, failure.todo)],
    };
    let weak: Vec<String> = users
        .clients
        .iter()
        .filter(|user| guesses(user).iter().any(|guess| users::matches(guess, &user.password_hash)))
        .map(|user| user.client_id.to_string())
        .collect();
    let Some(first) = weak.first() else {
        return vec![Finding::good(CHECK, "no demo password is in use")];
    };
    let what = format!("anybody can guess the passwords of: {}", weak.join(", "));
    vec![Finding::bad(CHECK, what, format!("Give each a new one: strife users passwd {first}"))]
}

/// The demo's, and what else is tried first.
fn guesses(user: &User) -> Vec<String> {
    let id = user.client_id.as_str();
    let digits: String = id.chars().skip_while(|it| !it.is_ascii_digit()).collect();
    let mut all = vec![
        format!("pass{digits}"),
        format!("{id}pass"),
        id.to_owned(),
        user.username.clone(),
        "password".to_owned(),
    ];
    all.sort_unstable();
    all.dedup();
    all
}

fn is_local(address: &Address) -> bool {
    let ip = address.host().trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    address.host() == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn ports(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "ports";
    let mut found = Vec::new();
    if config.console.enabled && !is_local(&config.console.address) {
        let what = format!("the console at {} has no login", config.console.address);
        found.push(Finding::bad(CHECK, what, "Set console.address to 127.0.0.1, or turn it off."));
    }
    let metrics = config.banks.iter().filter(|(_, bank)| !is_local(&bank.metrics_address));
    found.extend(metrics.map(|(name, bank)| {
        let what = format!("the metrics of {name} at {} have no login", bank.metrics_address);
        Finding::warning(CHECK, what, "Let nobody but who collects them reach that port.")
    }));
    let inside =
        std::iter::once(("the internal port".to_owned(), &config.gateway.internal_address))
            .chain(config.banks.iter().map(|(name, bank)| (format!("bank {name}"), &bank.address)));
    found.extend(inside.filter(|(_, address)| !is_local(address)).map(|(name, address)| {
        let what = format!("{name} listens at {address}, beyond this machine");
        Finding::warning(CHECK, what, "Let nobody but gateway and banks reach that port.")
    }));
    if found.is_empty() {
        let public = is_local(&config.gateway.address);
        let who = if public { "this machine" } else { "the outside, on the public port" };
        found.push(Finding::good(CHECK, format!("reachable from {who} only")));
    }
    found
}

fn settings(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "settings";
    const SESSION_MAX: Duration = Duration::from_hours(7 * 24);
    let mut found = Vec::new();
    let mut warn = |what: &str, todo: &str| found.push(Finding::warning(CHECK, what, todo));
    if matches!(config.log.level, Level::Debug | Level::Trace) {
        warn("the log tells every step of every payment", "Set log.level to \"info\".");
    }
    if config.gateway.reflection && !is_local(&config.gateway.address) {
        warn(
            "reflection shows every call to anybody with a certificate",
            "Set gateway.reflection to false.",
        );
    }
    if config.limits.connection_age().is_none() {
        warn("connections never end by themselves", "Set limits.connection_age_s to 3600.");
    }
    if config.gateway.session_absolute() > SESSION_MAX {
        warn("sessions last longer than a week", "Lower gateway.session_absolute_s.");
    }
    if found.is_empty() {
        found.push(Finding::good(CHECK, "limits, sessions and log are as they should be"));
    }
    found
}

fn user() -> Finding {
    let root = fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
    if root {
        let todo = "Run services as a user of their own, who owns the home and nothing else.";
        return Finding::warning("user", "this is root", todo);
    }
    Finding::good("user", "an ordinary user")
}
