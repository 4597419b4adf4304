//! Certificates that no installation would issue, and callers who show them.

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use strife::home::{Home, Party};
use time::{Duration, OffsetDateTime};

/// What stands in a forged certificate; by default everything is in order.
pub(crate) struct Wish<'a> {
    pub(crate) roles: &'a [&'a str],
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
    /// Days from now.
    pub(crate) valid: std::ops::Range<i64>,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        let purposes = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self { roles: &["strife://client"], purposes, valid: -1..1 }
    }
}

/// A certificate and its key.
pub(crate) type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn params(wish: &Wish<'_>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now + Duration::days(wish.valid.start);
    params.not_after = now + Duration::days(wish.valid.end);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages.clone_from(&wish.purposes);
    let uri = |role: &&str| SanType::URI((*role).to_owned().try_into().expect("ASCII"));
    params.subject_alt_names = wish.roles.iter().map(uri).collect();
    params
}

fn key_of(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key")
}

/// Signed by an authority of `home`.
pub(crate) fn signed(home: &Home, authority: Party, wish: &Wish<'_>) -> Shown {
    let read = |path| std::fs::read_to_string(path).expect("there");
    let signing = KeyPair::from_pem(&read(home.key(authority))).expect("a key");
    let issuer = Issuer::from_ca_cert_pem(&read(home.certificate(authority)), signing);
    let key = KeyPair::generate().expect("a key");
    let certificate = params(wish).signed_by(&key, &issuer.expect("an authority"));
    (certificate.expect("signed").der().clone(), key_of(&key))
}

/// Signed by itself.
pub(crate) fn self_signed(wish: &Wish<'_>) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(wish).self_signed(&key).expect("signed");
    (certificate.der().clone(), key_of(&key))
}

/// What lies in a home.
pub(crate) fn own(home: &Home, party: Party) -> Shown {
    let certificate = CertificateDer::from_pem_file(home.certificate(party)).expect("there");
    (certificate, PrivateKeyDer::from_pem_file(home.key(party)).expect("there"))
}

/// A caller who believes whatever `authority` of `home` signed, and shows `shown`.
pub(crate) fn caller(home: &Home, authority: Party, shown: Option<Shown>) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own(home, authority).0).expect("an authority");
    let config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            config.with_client_auth_cert(vec![certificate], key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}
