//! The whole service on certificates that OpenSSL made.

use crate::support::cluster::{Cluster, strife};
use crate::support::edge::has_tool;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use strife::home::Home;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/openssl.sh");

/// Every file below `directory` and what is in it.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut contents(&path));
        } else {
            let bytes = fs::read(&path).expect("readable");
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn a_service_on_certificates_of_openssl_signs_a_client_in_and_pays() {
    if !has_tool("openssl") {
        return;
    }
    let keep = tempfile::tempdir().expect("a directory");
    let home = Home::new(keep.path().join("home"));
    let made = Command::new(SCRIPT).arg(home.certs()).output().expect("ran");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificates = contents(&home.certs());
    assert_eq!(certificates.len(), 24, "six parties and six banks, each with a key");
    for key in certificates.keys().filter(|path| path.extension().is_some_and(|it| it == "key")) {
        let mode = fs::metadata(key).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }

    let init = strife(&home).arg("init").output().expect("ran");
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    assert_eq!(contents(&home.certs()), certificates, "init keeps the certificates that are there");

    let cluster = Cluster::start_in(keep, home);
    let before = cluster.json(1, &["view", "-o", "json"]);
    assert_eq!(before["balance_minor"], 1_000_000);
    let paid = cluster.json(1, &["transfer", "250", "10000000000002", "-o", "json"]);
    assert_eq!(paid["state"], "COMMITTED", "{paid}");
    let payee = cluster.json(2, &["view", "-o", "json"]);
    assert_eq!(payee["balance_minor"], 1_025_000);
}

#[test]
fn the_script_writes_over_nothing() {
    if !has_tool("openssl") {
        return;
    }
    let keep = tempfile::tempdir().expect("a directory");
    fs::create_dir(keep.path().join("banks")).expect("made");
    fs::write(keep.path().join("banks/Kotak.key"), "precious").expect("written");
    let refused = Command::new(SCRIPT).arg(keep.path()).output().expect("ran");
    assert_eq!(refused.status.code(), Some(8));
    assert_eq!(contents(keep.path()).len(), 1, "nothing was begun");
}
