//! A development PKI: two authorities and a certificate for every party of one installation.
//!
//! It is made once; after that a certificate is replaced by [`renew`] alone, and the one before is
//! kept so that it can be revoked. The authorities' keys lie beside what they sign, which is right
//! on a developer's machine and nowhere else. Nothing here knows what a role may do.

mod issue;
mod list;
mod revoke;

pub use list::{Certificate, List, list, lists};
pub use revoke::{refresh_lists, revoke};

use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party, create_private_dir, write_private};
use crate::identity::Caller;
use crate::tls;
use issue::Issued;
use recovery::model::{BankName, ClientId};
use std::path::{Path, PathBuf};

/// Makes all certificates and keys of an installation with these banks. Refuses to write over a
/// single file.
pub fn init(home: &Home, banks: &[BankName]) -> Result<(), Failure> {
    let parties = Party::all(banks.iter().copied());
    for party in &parties {
        for path in [home.certificate(*party), home.key(*party)] {
            if path.exists() {
                let what = format!("{} is there already", path.display());
                let todo = "Keep using it (see it with: strife certs ls), or move it away first.";
                return Err(Failure::new(Reason::HomeExists, what).todo(todo));
            }
        }
    }
    create_private_dir(&home.certs().join("banks"))?;
    let public = issue::authority(Party::Authority).map_err(cannot_issue)?;
    let internal = issue::authority(Party::InternalAuthority).map_err(cannot_issue)?;
    for party in parties {
        let signer = if party.signer() == Party::Authority { &public } else { &internal };
        if party == party.signer() {
            write(home, party, &signer.issued())?;
            let nothing = issue::revocation_list(&[], 1, signer).map_err(cannot_issue)?;
            write_private(&home.revocations(party), nothing.as_bytes())?;
        } else {
            let hosts = issue::this_machine().map_err(cannot_issue)?;
            write(home, party, &issue::leaf(party, hosts, signer).map_err(cannot_issue)?)?;
        }
    }
    Ok(())
}

/// A certificate for a bank that joins later, signed by the internal authority that is there. One
/// that is there already is kept.
pub fn add_bank(home: &Home, bank: BankName) -> Result<(), Failure> {
    let party = Party::Bank(bank);
    if home.certificate(party).exists() && home.key(party).exists() {
        return Ok(());
    }
    make(home, party, Vec::new())
}

/// A certificate for one client's program, which then speaks for that client alone. Refuses where
/// there is one: that is what [`renew`] is for.
pub fn issue(home: &Home, client: ClientId) -> Result<Party, Failure> {
    let party = Party::ClientOf(client);
    if home.certificate(party).exists() {
        let what = format!("{} is there already", home.certificate(party).display());
        let todo = format!("Make it anew with: strife certs renew {}", party.stem());
        return Err(Failure::new(Reason::HomeExists, what).todo(todo));
    }
    create_private_dir(&home.certs().join("clients"))?;
    make(home, party, Vec::new())?;
    Ok(party)
}

/// A new key and a new certificate for `party`, for the same names as before. Services that run
/// take it up within seconds. Gives the place where the old certificate is kept.
pub fn renew(home: &Home, party: Party) -> Result<PathBuf, Failure> {
    if party == party.signer() {
        let what =
            format!("{} is an authority: everything that it signed ends with it", party.stem());
        let todo = "Move certs/ away, make a new set with: strife certs init, and start again.";
        return Err(Failure::plain(Exit::Usage, what).todo(todo));
    }
    let der = tls::certificate(home, party)?;
    let retired = retire(home, party, &der)?;
    make(home, party, issue::hosts_of(&der).map_err(cannot_issue)?)?;
    Ok(retired)
}

/// Keeps the certificate, without its key.
fn retire(home: &Home, party: Party, der: &[u8]) -> Result<PathBuf, Failure> {
    let directory = home.retired_certificates();
    create_private_dir(&directory)?;
    let fingerprint = Caller::of_certificate(der).fingerprint.to_string();
    let name = format!("{}-{}.crt", party.stem().replace('/', "-"), &fingerprint[..16]);
    let pem = read_text(&home.certificate(party))?;
    write_private(&directory.join(&name), pem.as_bytes())?;
    Ok(directory.join(name))
}

/// Signed by the authority that is there. Without `hosts` a service is dialled on this machine.
fn make(home: &Home, party: Party, hosts: Vec<issue::Host>) -> Result<(), Failure> {
    let authority = authority(home, party.signer())?;
    let this_machine = issue::this_machine().map_err(cannot_issue)?;
    let hosts = if hosts.is_empty() { this_machine } else { hosts };
    write(home, party, &issue::leaf(party, hosts, &authority).map_err(cannot_issue)?)
}

fn authority(home: &Home, signer: Party) -> Result<issue::Signer, Failure> {
    let read = |path: PathBuf| {
        read_text(&path).map_err(|failure| {
            failure.todo(format!(
                "Bring {}.key here for as long as this takes, or sign with your own authority as \
                 certs/README.md shows.",
                signer.stem()
            ))
        })
    };
    let (certificate, key) = (read(home.certificate(signer))?, read(home.key(signer))?);
    issue::existing(&certificate, &key).map_err(cannot_issue)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let what = format!("cannot read {}: {error}", path.display());
        Failure::new(Reason::CertificateMissing, what)
    })
}

/// The key first: a certificate without its key would look finished.
fn write(home: &Home, party: Party, issued: &Issued) -> Result<(), Failure> {
    write_private(&home.key(party), issued.key_pem.as_bytes())?;
    write_private(&home.certificate(party), issued.certificate_pem.as_bytes())
}

fn cannot_issue(error: rcgen::Error) -> Failure {
    Failure::plain(Exit::Unexpected, format!("cannot make a certificate: {error}"))
}
