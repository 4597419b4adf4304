//! Secrets are nowhere but where they belong: a run that says all it can, and every byte it left.

use crate::support::live::{Turn, ended, good, place, strife};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use strife::home::Home;
use strife::live::{Place, Scene};

const PASSWORD: &str = "canary-of-the-right-password";
const WRONG: &str = "canary-of-a-wrong-password";

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Which of `needles` are in `bytes`. One pass: the logs of such a run are long.
fn holds<'a>(bytes: &[u8], needles: &'a [Secret]) -> Vec<&'a Secret> {
    let head = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("eight"));
    let mut heads: Vec<(u64, usize)> =
        needles.iter().enumerate().map(|(at, (_, needle, _))| (head(needle), at)).collect();
    heads.sort_unstable();
    let mut found = BTreeSet::new();
    for (at, window) in bytes.windows(8).enumerate() {
        let head = u64::from_le_bytes(window.try_into().expect("eight"));
        let first = heads.partition_point(|(known, _)| *known < head);
        for (_, which) in heads[first..].iter().take_while(|(known, _)| *known == head) {
            if bytes[at..].starts_with(&needles[*which].1) {
                found.insert(*which);
            }
        }
    }
    found.into_iter().map(|which| &needles[which]).collect()
}

/// Its name, its bytes, and the one file that may hold it.
type Secret = (String, Vec<u8>, Option<PathBuf>);

/// What nobody may read elsewhere.
fn secrets(home: &Home) -> Vec<Secret> {
    let mut all = vec![
        ("the password".to_owned(), PASSWORD.into(), None),
        ("the wrong password".to_owned(), WRONG.into(), None),
    ];
    let session = home.session("client1".parse().expect("an id"));
    let text = fs::read_to_string(&session).expect("a session");
    let token = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let token = token.max_by_key(|word| word.len()).expect("a token");
    assert!(token.len() >= 40, "no token in {text}");
    all.push(("the token".to_owned(), token.into(), Some(session)));
    let keys = files(&home.certs()).into_iter();
    for path in keys.filter(|path| path.extension().is_some_and(|it| it == "key")) {
        use rustls_pki_types::pem::PemObject;
        let pem = fs::read_to_string(&path).expect("a key");
        let line = pem.lines().nth(2).expect("a line of it").to_owned();
        let der = rustls_pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
        // The private scalar of a P-256 key in PKCS #8 begins behind 36 bytes.
        let scalar = der.secret_der()[36..68].to_vec();
        let name = path.display().to_string();
        all.push((format!("{name}, as text"), line.into(), Some(path.clone())));
        all.push((format!("{name}, as bytes"), scalar, Some(path)));
    }
    all
}

#[test]
fn no_password_token_or_key_is_left_anywhere_by_a_run_that_says_all_it_can() {
    let _turn = Turn::take();
    let keep = tempfile::tempdir().expect("a directory");
    let program = keep.path().join("strife");
    let text = format!(
        "#!/bin/sh\nSTRIFE_LOG=trace\nexport STRIFE_LOG\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_strife")
    );
    fs::write(&program, text).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("changed");
    let mut scene = good(Scene::set(&Place { program, ..place(14) }));
    let home = scene.cluster.home().clone();
    let mut passwd = strife(&home, &["users", "passwd", "client1", "--password-stdin"]);
    let mut child = passwd.stdin(Stdio::piped()).spawn().expect("started");
    writeln!(child.stdin.take().expect("a pipe"), "{PASSWORD}").expect("written");
    assert!(child.wait().expect("ended").success());
    good(scene.begin());
    let client = |password: &str, arguments: &[&str]| {
        let mut command = strife(&home, arguments);
        command.env("STRIFE_CLIENT_ID", "client1").env("STRIFE_USERNAME", "user1");
        command.env("STRIFE_BANK", "HDFC").env("STRIFE_PASSWORD", password);
        let (code, data, talk) =
            ended(command.env("STRIFE_LOG", "trace").arg("-v").output().expect("ran"));
        for secret in [PASSWORD, WRONG] {
            assert!(!data.contains(secret) && !talk.contains(secret), "{data}{talk}");
        }
        code
    };
    assert_eq!(client(WRONG, &["view"]), 5);
    assert_eq!(client(PASSWORD, &["transfer", "250", "10000000000002"]), 0);
    assert_eq!(client(PASSWORD, &["history"]), 0);
    let secrets = secrets(&home);
    good(scene.cluster.stop_all());
    let (mut bytes_read, mut found_at_home, all) = (0, 0, files(home.root()));
    let log = fs::read_to_string(home.logs().join("server.log")).expect("a log");
    assert!(log.contains("\"TRACE\"") && log.contains("rustls"), "it did not say all it can");
    for path in &all {
        let bytes = fs::read(path).expect("readable");
        bytes_read += bytes.len();
        for (name, _, place) in holds(&bytes, &secrets) {
            assert!(place.as_ref() == Some(path), "{name} is in {}", path.display());
            found_at_home += 1;
        }
        let mode = fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
    }
    // Keys as text and the token: it would have seen the others, too.
    assert!(found_at_home > 10, "only {found_at_home} were seen where they belong");
    println!("{} secrets, {} files, {bytes_read} bytes", secrets.len(), all.len());
}
