//! What the program is made of.

use std::process::Command;

fn tree(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} {f}"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn there_is_one_cryptography_in_the_program_and_it_is_ring() {
    let all = tree(&["--edges", "normal,build,dev", "--workspace"]);
    let names = |name: &str| all.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(names("ring") && names("rustls"), "nothing was listed:\n{all}");
    let others = [
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "mbedtls",
        "rustls-openssl",
        "rustls-pemfile",
    ];
    for other in others {
        assert!(!names(other), "{other} is in the tree");
    }
    // Two versions of either would be two sets of keys and verdicts.
    for one in ["ring", "rustls", "rustls-webpki", "sha2", "argon2"] {
        let mut versions: Vec<&str> =
            all.lines().filter(|line| line.split(' ').next() == Some(one)).collect();
        versions.sort_unstable();
        versions.dedup_by_key(|line| line.split(' ').nth(1).map(str::to_owned));
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
}

#[test]
fn every_exception_that_was_made_for_a_dependency_has_its_reason() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    let deny: toml::Table = std::fs::read_to_string(path).expect("there").parse().expect("TOML");
    let list = |table: &str, key: &str| deny[table][key].as_array().expect("a list").clone();
    let excepted = list("advisories", "ignore").into_iter().chain(list("bans", "deny"));
    let mut count = 0;
    for entry in excepted {
        let reason = entry.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
        assert!(reason.len() > 5, "{entry} has no reason");
        count += 1;
    }
    assert!(count > 3);
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let cargo: toml::Table =
        std::fs::read_to_string(profile).expect("there").parse().expect("TOML");
    let release = &cargo["profile"]["release"];
    assert_eq!(release["overflow-checks"].as_bool(), Some(true));
    assert_eq!(release["panic"].as_str(), Some("abort"));
}

#[test]
fn every_dependency_comes_from_the_one_registry_under_a_licence_that_was_allowed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    let deny: toml::Table = std::fs::read_to_string(path).expect("there").parse().expect("TOML");
    let allowed = deny["licenses"]["allow"].as_array().expect("a list");
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = all["packages"].as_array().expect("packages");
    let mut foreign = 0;
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{name} is under {licence:?}");
        if let Some(source) = package["source"].as_str() {
            assert!(source.starts_with("registry+https://github.com/rust-lang/crates.io-index"));
            foreign += 1;
        }
    }
    assert!(foreign > 100, "{foreign} were listed");
}

/// Whether an SPDX expression can be satisfied: of each part between ANDs, one between ORs.
fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    let plain = licence.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|one| allowed.contains(&one.trim())))
}

#[test]
fn a_licence_that_nobody_allowed_is_found() {
    let allowed = ["MIT", "ISC"];
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND ISC"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "AGPL-3.0 OR GPL-3.0"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
