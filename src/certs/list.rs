//! What lies in `certs/`, as a table to look at.

use crate::errors::Failure;
use crate::home::{Home, Party};
use crate::identity::{Caller, Fingerprint, Role};
use crate::tls;
use recovery::model::BankName;
use std::time::SystemTime;

/// One certificate, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    pub party: Party,
    pub role: Role,
    pub fingerprint: Fingerprint,
    pub expires: SystemTime,
}

/// Every party's certificate, in the order in which they are made; an error where one is missing
/// or cannot be read.
pub fn list(home: &Home, banks: &[BankName]) -> Vec<(Party, Result<Certificate, Failure>)> {
    let all = Party::all(banks.iter().copied()).into_iter();
    all.map(|party| (party, read(home, party))).collect()
}

fn read(home: &Home, party: Party) -> Result<Certificate, Failure> {
    // An authority's key signs, and belongs elsewhere; anyone else's must be here and closed.
    if party != party.signer() {
        tls::Credentials::load(home, party)?;
    }
    let der = tls::certificate(home, party)?;
    let Caller { role, fingerprint } = Caller::of_certificate(&der);
    let expires = tls::lifetime(&der).map_or(SystemTime::UNIX_EPOCH, |lifetime| lifetime.end);
    Ok(Certificate { party, role, fingerprint, expires })
}
