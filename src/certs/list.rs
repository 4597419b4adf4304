//! What lies in `certs/`, as a table to look at.

use super::revoke::{self, serial_of};
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
    /// Nobody believes it any more.
    pub revoked: bool,
}

/// What an authority has revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    pub authority: Party,
    /// Without a list nothing is asked for.
    pub exists: bool,
    pub revoked: usize,
    /// By then it is to be signed again.
    pub next_update: Option<SystemTime>,
}

/// Every party's certificate, in the order in which they are made; an error where one is missing
/// or cannot be read.
pub fn list(home: &Home, banks: &[BankName]) -> Vec<(Party, Result<Certificate, Failure>)> {
    let clients = home.clients_with_certificates().into_iter().map(Party::ClientOf);
    let all = Party::all(banks.iter().copied()).into_iter().chain(clients);
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
    let (serial, list) = (serial_of(&der)?, revoke::read(home, party.signer())?);
    let revoked = list.revoked.iter().any(|revoked| revoked.serial == serial);
    Ok(Certificate { party, role, fingerprint, expires, revoked })
}

/// The two authorities' lists.
pub fn lists(home: &Home) -> Vec<(Party, Result<List, Failure>)> {
    let one = |authority: Party| {
        let exists = home.revocations(authority).exists();
        let kept = revoke::read(home, authority)?;
        let next_update = kept.next_update.map(SystemTime::from);
        Ok(List { authority, exists, revoked: kept.revoked.len(), next_update })
    };
    [Party::Authority, Party::InternalAuthority].map(|party| (party, one(party))).into()
}
