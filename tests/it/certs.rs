//! The development PKI.

use crate::support::edge::{bank, home};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use strife::certs;
use strife::errors::Reason;
use strife::home::Party;
use strife::identity::Role;

#[test]
fn every_certificate_carries_its_role_and_every_key_is_closed() {
    let (_keep, home) = home();
    let banks = [bank("HDFC"), bank("BankOfIndia")];
    let listed = certs::list(&home, &banks);
    let roles: Vec<(Party, Role)> =
        listed.into_iter().map(|(party, read)| (party, read.expect("readable").role)).collect();
    assert_eq!(
        roles,
        [
            (Party::Authority, Role::Stranger),
            (Party::InternalAuthority, Role::Stranger),
            (Party::Server, Role::Gateway),
            (Party::Gateway, Role::Gateway),
            (Party::Client, Role::Client(None)),
            (Party::Admin, Role::Admin),
            (Party::Bank(bank("HDFC")), Role::Bank(bank("HDFC"))),
            (Party::Bank(bank("BankOfIndia")), Role::Bank(bank("BankOfIndia"))),
        ]
    );
    for party in Party::all(banks) {
        let mode = fs::metadata(home.key(party)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{party:?}");
    }
}

#[test]
fn an_authoritys_key_may_be_kept_elsewhere() {
    let (_keep, home) = home();
    fs::remove_file(home.key(Party::Authority)).expect("removed");
    fs::remove_file(home.key(Party::InternalAuthority)).expect("removed");
    assert!(certs::list(&home, &[bank("HDFC")]).iter().all(|(_, read)| read.is_ok()));
    strife::tls::server_of(&home, Party::Server).expect("usable");
}

#[test]
fn certificates_are_never_written_over() {
    let (_keep, home) = home();
    let before = fs::read(home.certificate(Party::Client)).expect("there");
    let failure = certs::init(&home, &[bank("HDFC")]).expect_err("refused");
    assert_eq!(failure.exit.code(), 8);
    assert_eq!(fs::read(home.certificate(Party::Client)).expect("there"), before);
}

#[test]
fn a_key_that_others_may_read_is_refused_by_name() {
    let (_keep, home) = home();
    let key = home.key(Party::Gateway);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("changed");
    let failure = strife::tls::Credentials::load(&home, Party::Gateway).expect_err("refused");
    assert_eq!(failure.reason, Some(Reason::KeyExposed));
    assert!(failure.to_string().contains(&format!("chmod 600 {}", key.display())));
}

#[test]
fn a_missing_certificate_is_refused_by_name() {
    let (_keep, home) = home();
    let path = home.certificate(Party::Server);
    fs::remove_file(&path).expect("removed");
    let failure = strife::tls::server_of(&home, Party::Server).expect_err("refused");
    assert_eq!((failure.reason, failure.exit.code()), (Some(Reason::CertificateMissing), 8));
    assert!(failure.what.contains(&path.display().to_string()));
}

#[test]
fn a_certificate_that_is_not_one_is_refused_by_name() {
    let (_keep, home) = home();
    fs::write(home.certificate(Party::Authority), "").expect("written");
    let failure = strife::tls::server_of(&home, Party::Server).expect_err("refused");
    assert_eq!(failure.reason, Some(Reason::CertificateInvalid));
    assert!(failure.what.contains("ca.crt"), "{failure}");
}

/// `certs/openssl.sh`, run by whoever has openssl.
#[tokio::test]
async fn a_set_made_with_openssl_works_like_our_own() {
    use crate::support::edge::{self, check};
    use strife::config::Limits;
    use strife::home::Home;
    use strife::identity::IdentityLayer;
    use strife::tls;

    if !edge::has_tool("openssl") {
        return;
    }
    tls::install_provider();
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/openssl.sh");
    let run = |command: &mut std::process::Command| command.output().expect("ran");
    let made = run(std::process::Command::new(script).arg(home.certs()));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = run(std::process::Command::new(script).arg(home.certs()));
    assert_eq!(again.status.code(), Some(8), "it never writes over a file");

    let layer = IdentityLayer::certificates_only;
    let routes = edge::health().await;
    let limits = Limits::default;
    let public = edge::serve(&home, Party::Server, layer(), limits(), routes.clone()).await;
    for caller in [Party::Client, Party::Admin] {
        let channel = tls::to_gateway(&home, caller, &public.address).expect("a channel");
        check(channel).await.expect("answered");
    }
    let kotak = bank("Kotak");
    let served = edge::serve(&home, Party::Bank(kotak), layer(), limits(), routes).await;
    let channel = tls::to_bank(&home, kotak, &served.address).expect("a channel");
    check(channel).await.expect("answered");
    let listed = certs::list(&home, &[kotak]);
    assert!(listed.iter().all(|(_, read)| read.is_ok()), "{listed:?}");
}
