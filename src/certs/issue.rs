//! What stands in each certificate.

use crate::home::Party;
use crate::identity::Role;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const AUTHORITY_DAYS: i64 = 3_650;
const LEAF_DAYS: i64 = 825;
/// A list that is older is still obeyed, and `doctor` speaks of it.
const LIST_DAYS: i64 = 365;
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

/// A name or an address under which a service is dialled.
pub(super) type Host = SanType;

/// An authority as it signs.
pub(super) type Signer = Issuer<'static, KeyPair>;

/// The names in a certificate.
pub(super) fn hosts_of(der: &[u8]) -> Result<Vec<Host>, Error> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Ok(Vec::new()) };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Ok(Vec::new()) };
    let host = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).try_into().map(SanType::DnsName)),
        GeneralName::IPAddress(bytes) => address(bytes).map(|ip| Ok(SanType::IpAddress(ip))),
        _ => None,
    };
    names.value.general_names.iter().filter_map(host).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// An authority that is there already.
pub(super) fn existing(certificate_pem: &str, key_pem: &str) -> Result<Signer, Error> {
    Issuer::from_ca_cert_pem(certificate_pem, KeyPair::from_pem(key_pem)?)
}

/// A new authority. It signs leaves, and no further authority.
pub(super) fn authority(party: Party) -> Result<Authority, Error> {
    let mut params = params(party, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
}

/// The names under which a service is dialled, unless it is to have others.
pub(super) fn this_machine() -> Result<Vec<SanType>, Error> {
    Ok(vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ])
}

/// A certificate for `party`, which is no authority. `hosts` is where it is dialled, if it is.
pub(super) fn leaf(
    party: Party,
    hosts: Vec<SanType>,
    signer: &Issuer<'_, KeyPair>,
) -> Result<Issued, Error> {
    let mut params = params(party, LEAF_DAYS);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes(party);
    params.use_authority_key_identifier_extension = true;
    if let Some(role) = role(party) {
        params.subject_alt_names.push(SanType::URI(role.to_string().try_into()?));
    }
    if purposes(party).contains(&ExtendedKeyUsagePurpose::ServerAuth) {
        params.subject_alt_names.extend(hosts);
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
        Party::ClientOf(client) => Some(Role::Client(Some(client))),
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
        Party::Client | Party::ClientOf(_) | Party::Admin => vec![ClientAuth],
    }
}

/// A certificate that is not believed any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Revoked {
    /// As in the certificate.
    pub(super) serial: Vec<u8>,
    pub(super) at: OffsetDateTime,
}

/// What an authority has revoked, as PEM. `number` rises with each list.
pub(super) fn revocation_list(
    revoked: &[Revoked],
    number: u64,
    signer: &Issuer<'_, KeyPair>,
) -> Result<String, Error> {
    let now = OffsetDateTime::now_utc();
    let entry = |revoked: &Revoked| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&revoked.serial),
        revocation_time: revoked.at,
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: now - BACKDATED,
        next_update: now + Duration::days(LIST_DAYS),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(signer)?.pem()
}
