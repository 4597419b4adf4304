//! `strife doctor --security`: what it finds, and that nothing is unsafe once that is done.

use crate::support::live::{ended, good, strife};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use strife::certs;
use strife::config::Config;
use strife::home::{Home, Party};
use strife::users::{self, EMBEDDED, Users};

/// A home whose users have passwords that nobody guesses.
fn home(password: &str) -> (tempfile::TempDir, Home) {
    let keep = tempfile::tempdir().expect("a directory");
    let home = Home::new(keep.path().join("home"));
    let mut users: Users = good(users::parse(EMBEDDED, "users.json"));
    users.clients.truncate(1);
    if !password.is_empty() {
        users.clients[0].password_hash = good(users::hash(password));
    }
    good(strife::init::init(&home, &Config::standard(), &users));
    (keep, home)
}

/// Its exit code, and the checks that are bad with what they say.
fn look(home: &Home) -> (i32, Vec<String>) {
    let output = strife(home, &["doctor", "--security", "-o", "json"]).output().expect("ran");
    let (code, data, talk) = ended(output);
    let data: serde_json::Value =
        serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}{talk}"));
    let checks = data["checks"].as_array().expect("checks").clone();
    let bad = checks.into_iter().filter(|check| check["verdict"] == "bad").map(|check| {
        assert!(!check["todo"].as_str().unwrap_or_default().is_empty(), "{check}: and now?");
        format!("{}: {}", check["check"].as_str().unwrap_or_default(), check["what"])
    });
    (code, bad.collect())
}

fn finds(home: &Home, check: &str, saying: &str) {
    let (code, bad) = look(home);
    assert_eq!(code, 8, "{check}: {bad:?}");
    assert_eq!(bad.len(), 1, "{check}: {bad:?}");
    assert!(bad[0].starts_with(check) && bad[0].contains(saying), "{bad:?}");
}

#[test]
fn a_home_that_is_safe_is_called_so_and_each_thing_that_is_not_is_found_by_its_name() {
    let (_keep, home) = home("a long one that nobody has");
    assert_eq!(look(&home), (0, Vec::new()));

    let open = home.users_file();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("changed");
    finds(&home, "permissions", "users.json");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o600)).expect("changed");

    let list = home.revocations(Party::Authority);
    let kept = fs::read(&list).expect("there");
    fs::remove_file(&list).expect("removed");
    finds(&home, "revocation", "ca.crl is missing");
    good(strife::home::write_private(&list, &kept));

    let der = good(strife::tls::certificate(&home, Party::Client));
    good(certs::revoke(&home, &der));
    finds(&home, "certificates", "client is revoked");
    good(certs::renew(&home, Party::Client));

    fs::copy(home.certificate(Party::Admin), home.certificate(Party::Client)).expect("copied");
    fs::copy(home.key(Party::Admin), home.key(Party::Client)).expect("copied");
    finds(&home, "certificates", "strife://admin");
    good(certs::renew(&home, Party::Client));

    let config = home.config_file();
    let text = fs::read_to_string(&config).expect("there");
    let exposed = text.replace("127.0.0.1:51050", "0.0.0.0:51050");
    assert_ne!(text, exposed);
    fs::write(&config, exposed).expect("written");
    finds(&home, "ports", "console");
    fs::write(&config, text).expect("written");
    assert_eq!(look(&home), (0, Vec::new()), "all is well again");
}

#[test]
fn a_demo_password_is_unsafe_under_whatever_salt() {
    for password in ["", "pass1", "client1"] {
        let (_keep, home) = home(password);
        finds(&home, "passwords", "client1");
    }
}

#[test]
fn an_installation_is_looked_over_and_what_is_missing_is_named() {
    let (_keep, home) = home("");
    let code = |home: &Home| ended(strife(home, &["doctor"]).output().expect("ran"));
    assert_eq!(code(&home).0, 0);
    let bank = home.data(strife::home::Service::Bank("HDFC".parse().expect("a name")));
    fs::rename(&bank, bank.with_extension("lost")).expect("renamed");
    let (code, data, _) = code(&home);
    assert!(code == 8 && data.contains("HDFC"), "{code}: {data}");
}
