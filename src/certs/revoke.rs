//! Taking a certificate back: each authority keeps a list of those that are not believed any more.
//!
//! Services look at the lists every second, refuse whoever stands there on both ends of a
//! handshake, and end the connections that are open.

use super::issue::{self, Revoked};
use super::{authority, cannot_issue};
use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party, write_private};
use crate::tls;
use time::OffsetDateTime;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

/// A list as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) revoked: Vec<Revoked>,
    pub(super) number: u64,
    pub(super) next_update: Option<OffsetDateTime>,
}

/// Has the authority of the certificate (DER) not believe it any more. Tells which authority that
/// was; `false` when the certificate stood on its list already.
pub fn revoke(home: &Home, certificate: &[u8]) -> Result<(Party, bool), Failure> {
    let signer = signer_of(home, certificate)?;
    let serial = serial_of(certificate)?;
    let mut list = read(home, signer)?;
    if list.revoked.iter().any(|revoked| revoked.serial == serial) {
        return Ok((signer, false));
    }
    list.revoked.push(Revoked { serial, at: OffsetDateTime::now_utc() });
    write(home, signer, &list)?;
    Ok((signer, true))
}

/// Signs both lists again, so that they are current.
pub fn refresh_lists(home: &Home) -> Result<(), Failure> {
    for signer in [Party::Authority, Party::InternalAuthority] {
        write(home, signer, &read(home, signer)?)?;
    }
    Ok(())
}

fn write(home: &Home, signer: Party, list: &Kept) -> Result<(), Failure> {
    let authority = authority(home, signer)?;
    let text = issue::revocation_list(&list.revoked, list.number + 1, &authority);
    write_private(&home.revocations(signer), text.map_err(cannot_issue)?.as_bytes())
}

/// An empty list where there is none.
pub(super) fn read(home: &Home, signer: Party) -> Result<Kept, Failure> {
    let path = home.revocations(signer);
    let damaged = || {
        let what = format!("{} is no list of revoked certificates", path.display());
        Failure::new(Reason::CertificateInvalid, what)
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(_) => return Err(damaged()),
    };
    let pem = Pem::iter_from_buffer(&bytes).next().and_then(Result::ok).ok_or_else(damaged)?;
    let (_, list) = CertificateRevocationList::from_der(&pem.contents).map_err(|_| damaged())?;
    let entries = list.iter_revoked_certificates().map(|entry| Revoked {
        serial: entry.raw_serial().to_vec(),
        at: entry.revocation_date.to_datetime(),
    });
    let number = list.crl_number().map(ToString::to_string).and_then(|text| text.parse().ok());
    Ok(Kept {
        revoked: entries.collect(),
        number: number.unwrap_or(0),
        next_update: list.next_update().map(|at| at.to_datetime()),
    })
}

/// As it stands in the certificate.
pub(super) fn serial_of(der: &[u8]) -> Result<Vec<u8>, Failure> {
    let (_, certificate) = parsed(der)?;
    Ok(certificate.raw_serial().to_vec())
}

fn parsed(der: &[u8]) -> Result<(&[u8], X509Certificate<'_>), Failure> {
    X509Certificate::from_der(der)
        .map_err(|_| Failure::new(Reason::CertificateInvalid, "this is no certificate"))
}

/// By the name that it gives for whoever signed it.
fn signer_of(home: &Home, der: &[u8]) -> Result<Party, Failure> {
    let (_, certificate) = parsed(der)?;
    for signer in [Party::Authority, Party::InternalAuthority] {
        let authority = tls::certificate(home, signer)?;
        let (_, authority) = parsed(&authority)?;
        if authority.tbs_certificate.subject.as_raw()
            == certificate.tbs_certificate.subject.as_raw()
        {
            let what = "an authority cannot be revoked: whoever believes it would have to be told";
            return Err(Failure::plain(Exit::Usage, what)
                .todo("Take its .crt from every machine, and make a new set: strife certs init"));
        }
        if authority.tbs_certificate.subject.as_raw() == certificate.tbs_certificate.issuer.as_raw()
        {
            return Ok(signer);
        }
    }
    let what = "neither authority of this home signed this certificate";
    Err(Failure::new(Reason::CertificateInvalid, what))
}
