//! Certificates and keys from files, or an error that names the file and what to do.

use super::unusable;
use crate::errors::{Failure, Reason};
use crate::home::{Home, Party};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub struct Credentials {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub(super) origin: String,
}

impl Credentials {
    /// A party's own. A key that others may read is refused: it is no secret any more.
    pub fn load(home: &Home, party: Party) -> Result<Self, Failure> {
        let (certificate, key) = (home.certificate(party), home.key(party));
        let chain = certificates(&certificate)?;
        closed(&key)?;
        let bytes = fs::read(&key).map_err(|error| unreadable(&key, &error))?;
        let origin = certificate.display().to_string();
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|error| unusable(&key.display().to_string(), &error))?;
        if let Some(lifetime) = lifetime(&chain[0])
            && !lifetime.contains(&SystemTime::now())
        {
            let what = format!("{origin} is not valid at this time: it has expired, or the clock");
            let failure = Failure::new(Reason::CertificateInvalid, what + " is wrong");
            return Err(failure.todo("See its dates with: strife certs ls"));
        }
        Ok(Self { chain, key, origin })
    }

    pub(super) fn pair(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

/// An authority that is believed, but for what it has revoked.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    /// Empty where the authority keeps no list. Where it keeps one, nothing passes that no list
    /// speaks for.
    pub(super) revoked: Vec<CertificateRevocationListDer<'static>>,
    pub(super) origin: String,
}

impl Trust {
    pub fn load(home: &Home, authority: Party) -> Result<Self, Failure> {
        let path = home.certificate(authority);
        let origin = path.display().to_string();
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&path)? {
            roots.add(certificate).map_err(|error| unusable(&origin, &error))?;
        }
        let revoked = revocation_lists(&home.revocations(authority))?;
        Ok(Self { roots: Arc::new(roots), revoked, origin })
    }
}

/// A party's own certificate, in DER, whether or not its key is here.
pub fn certificate(home: &Home, party: Party) -> Result<Vec<u8>, Failure> {
    Ok(certificates(&home.certificate(party))?.swap_remove(0).to_vec())
}

/// From when until when a certificate is valid; `None` for bytes that are no certificate.
pub fn lifetime(der: &[u8]) -> Option<std::ops::Range<SystemTime>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let at = |seconds: i64| {
        let seconds = u64::try_from(seconds).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    let validity = certificate.validity();
    Some(at(validity.not_before.timestamp())?..at(validity.not_after.timestamp())?)
}

/// Shows when the certificates of these parties expire, as far as they can be read.
pub fn show_expiry(home: &Home, parties: &[Party]) {
    for party in parties {
        let der = certificate(home, *party).ok();
        let Some(lifetime) = der.as_deref().and_then(lifetime) else { continue };
        let end = lifetime.end.duration_since(UNIX_EPOCH).unwrap_or_default();
        let role = match party {
            Party::Bank(_) => "bank".to_owned(),
            fixed => fixed.stem(),
        };
        metrics::gauge!("strife_cert_expiry_timestamp_seconds", "role" => role)
            .set(end.as_secs_f64());
    }
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    parse_all(path, &bytes)
}

fn parse_all(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let shown = path.display().to_string();
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let all = all.map_err(|error| unusable(&shown, &error))?;
    if all.is_empty() {
        let what = format!("{shown} holds no certificate");
        return Err(Failure::new(Reason::CertificateInvalid, what));
    }
    Ok(all)
}

/// The first certificate in the text of a PEM file, in DER; `path` names it in errors.
pub fn parse_certificate(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(parse_all(path, bytes)?.swap_remove(0).to_vec())
}

/// None without the file. A file that holds no list is damage: it would let the revoked in.
fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Failure> {
    let shown = path.display().to_string();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let all: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| unusable(&shown, &error))?;
    if all.is_empty() {
        let what = format!("{shown} holds no list of revoked certificates");
        return Err(Failure::new(Reason::CertificateInvalid, what));
    }
    Ok(all)
}

fn closed(key: &Path) -> Result<(), Failure> {
    let mode = fs::metadata(key).map_err(|error| unreadable(key, &error))?.permissions().mode();
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    let shown = key.display();
    let what = format!("{shown} can be used by others than its owner (mode {:03o})", mode & 0o777);
    let todo = format!("Replace it if others had access, and close it with: chmod 600 {shown}");
    Err(Failure::new(Reason::KeyExposed, what).todo(todo))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Reason::CertificateMissing, format!("{shown} is missing"))
        }
        _ => Failure::new(Reason::CertificateInvalid, format!("cannot read {shown}: {error}")),
    }
}
