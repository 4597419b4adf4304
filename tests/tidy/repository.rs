//! What is committed, by name and by content.

use std::path::Path;
use std::process::Command;

/// What stands at the top: what was asked for, documents, and the settings of tools.
const TOP: &[&str] =
    &["Cargo.toml", "Cargo.lock", "build.rs", "proto", "src", "wal", "recovery", "certs", "tests"];
const TOP_BESIDE: &[&str] = &["users.json", "justfile", "LICENSE-APACHE", "LICENSE-MIT"];

/// Endings of files that are made, and belong to whoever made them.
const NEVER: &[&str] = &[
    ".key",
    ".crt",
    ".pem",
    ".p12",
    ".db",
    ".db-wal",
    ".db-shm",
    ".log",
    ".seg.tmp",
    ".orig",
    ".rej",
    ".bak",
    ".snap.new",
    ".pending-snap",
    ".profraw",
    ".pyc",
];

/// Every committed file; none where this is not a clone.
pub(crate) fn files(root: &Path) -> Option<Vec<String>> {
    let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let listed = listed.ok().filter(|listed| listed.status.success());
    let Some(listed) = listed else {
        let required = std::env::var("STRIFE_REQUIRE").unwrap_or_default();
        let required = required.split([',', ' ']).any(|tool| tool == "git");
        assert!(!required, "git is required, and this is no clone");
        println!("SKIPPED git: this is no clone");
        return None;
    };
    let listed = String::from_utf8(listed.stdout).expect("names in UTF-8");
    Some(listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// What stands at the top level and was not asked for.
pub(crate) fn strangers(files: &[String]) -> Vec<String> {
    let top = files.iter().map(|file| file.split_once('/').map_or(file.as_str(), |(top, _)| top));
    let mut strangers: Vec<&str> = top.filter(|name| !belongs(name)).collect();
    strangers.sort_unstable();
    strangers.dedup();
    strangers.into_iter().map(|name| format!("{name} does not belong at the top level")).collect()
}

fn belongs(name: &str) -> bool {
    let document = Path::new(name).extension().is_some_and(|it| it == "md" || it == "toml");
    name.starts_with('.') || document || TOP.contains(&name) || TOP_BESIDE.contains(&name)
}

pub(crate) fn must_not_be_committed(files: &[String]) -> Vec<String> {
    let bad = files.iter().filter(|file| NEVER.iter().any(|ending| file.ends_with(ending)));
    bad.map(|file| format!("{file} must not be committed")).collect()
}

/// Committed files that hold a private key, whatever they are called.
pub(crate) fn private_keys(root: &Path, files: &[String]) -> Vec<String> {
    let holds = |file: &&String| {
        let content = std::fs::read(root.join(file.as_str())).unwrap_or_default();
        holds_private_key(&content)
    };
    files.iter().filter(holds).map(|file| format!("{file} holds a private key")).collect()
}

fn holds_private_key(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.lines().any(|line| line.starts_with("-----BEGIN") && line.ends_with("PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_does_not_belong_at_the_top_is_found() {
        let found = strangers(&files(&["utils/a.rs", "utils/b.rs", "run.sh", "src/lib.rs"]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(strangers(&files(&["README.md", "deny.toml", ".ci/run", "users.json"])).is_empty());
    }

    #[test]
    fn a_committed_secret_or_leftover_is_found_by_name_and_by_content() {
        let names = ["certs/ca.key", "data/bank_HDFC.db", "logs/server.log", "src/lib.rs"];
        assert_eq!(must_not_be_committed(&files(&names)).len(), 3);
        let key = format!("x\n-----BEGIN {} KEY-----\nMIG\n", "PRIVATE");
        assert!(holds_private_key(key.as_bytes()));
        assert!(!holds_private_key(b"-----BEGIN CERTIFICATE-----\n"));
    }
}
