//! A development PKI: two authorities and a certificate for every party of one installation.
//!
//! It is made once and never written over. The authorities' keys lie beside what they sign, which
//! is right on a developer's machine and nowhere else. Nothing here knows what a role may do.

mod issue;
mod list;

pub use list::{Certificate, list};

use crate::errors::{Exit, Failure, Reason};
use crate::home::{Home, Party, create_private_dir, write_private};
use issue::Issued;
use recovery::model::BankName;

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
        } else {
            write(home, party, &issue::leaf(party, signer).map_err(cannot_issue)?)?;
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
    let signer = Party::InternalAuthority;
    let read = |path: std::path::PathBuf| {
        std::fs::read_to_string(&path).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            let todo = format!("Make certs/banks/{bank}.crt and .key with your own authority.");
            Failure::new(Reason::CertificateMissing, what).todo(todo)
        })
    };
    let (certificate, key) = (read(home.certificate(signer))?, read(home.key(signer))?);
    let authority = issue::existing(&certificate, &key).map_err(cannot_issue)?;
    write(home, party, &issue::leaf(party, &authority).map_err(cannot_issue)?)
}

/// The key first: a certificate without its key would look finished.
fn write(home: &Home, party: Party, issued: &Issued) -> Result<(), Failure> {
    write_private(&home.key(party), issued.key_pem.as_bytes())?;
    write_private(&home.certificate(party), issued.certificate_pem.as_bytes())
}

fn cannot_issue(error: rcgen::Error) -> Failure {
    Failure::plain(Exit::Unexpected, format!("cannot make a certificate: {error}"))
}
