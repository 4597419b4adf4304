//! What stands in each certificate.

use crate::home::Party;
use crate::identity::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, OffsetDateTime};

const AUTHORITY_DAYS: i64 = 3_650;
const LEAF_DAYS: i64 = 825;
/// Clocks differ a little between machines.
const BACKDATED: Duration = Duration::minutes(5);

/// A certificate and its key, as they are written.
pub(super) struct Issued {
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

/// An authority that can sign.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn issued(&self) -> Issued {
        Issued { certificate_pem: self.0.pem(), key_pem: self.0.key().serialize_pem() }
    }
}

impl std::ops::Deref for Authority {
    type Target = Issuer<'static, KeyPair>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// An authority that is there already.
pub(super) fn existing(
    certificate_pem: &str,
    key_pem: &str,
) -> Result<Issuer<'static, KeyPair>, Error> {
    Issuer::from_ca_cert_pem(certificate_pem, KeyPair::from_pem(key_pem)?)
}

/// A new authority. It signs leaves, and no further authority.
pub(super) fn authority(party: Party) -> Result<Authority, Error> {
    let mut params = params(party, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
}

/// A certificate for `party`, which is no authority.
pub(super) fn leaf(party: Party, signer: &Issuer<'_, KeyPair>) -> Result<Issued, Error> {
    let mut params = params(party, LEAF_DAYS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes(party);
    params.use_authority_key_identifier_extension = true;
    if let Some(role) = role(party) {
        params.subject_alt_names.push(SanType::URI(role.to_string().try_into()?));
    }
    if purposes(party).contains(&ExtendedKeyUsagePurpose::ServerAuth) {
        params.subject_alt_names.push(SanType::DnsName("localhost".try_into()?));
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, signer)?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn params(party: Party, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(days);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Strife");
    params.distinguished_name.push(DnType::CommonName, format!("strife {}", party.stem()));
    params
}

/// What the holder is; an authority is nothing but that.
fn role(party: Party) -> Option<Role> {
    match party {
        Party::Authority | Party::InternalAuthority => None,
        Party::Server | Party::Gateway => Some(Role::Gateway),
        Party::Client => Some(Role::Client(None)),
        Party::Admin => Some(Role::Admin),
        Party::Bank(bank) => Some(Role::Bank(bank)),
    }
}

/// Whether it answers, calls, or both. The public server never calls: its certificate opens no
/// door.
fn purposes(party: Party) -> Vec<ExtendedKeyUsagePurpose> {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    match party {
        Party::Authority | Party::InternalAuthority => Vec::new(),
        Party::Server => vec![ServerAuth],
        Party::Gateway | Party::Bank(_) => vec![ServerAuth, ClientAuth],
        Party::Client | Party::Admin => vec![ClientAuth],
    }
}
