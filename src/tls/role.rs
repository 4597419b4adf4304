//! A server must be who it was dialled as: authority and name as webpki has it, and then its role.

use super::{Trust, unusable};
use crate::errors::Failure;
use crate::identity::{Role, role_of};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RoleVerifier {
    inner: Arc<WebPkiServerVerifier>,
    expected: Role,
}

/// Another service answers at the address.
#[derive(Copy, Clone, Debug, thiserror::Error)]
#[error("{expected} was dialled, and {found} answered: are two addresses exchanged?")]
pub(super) struct WrongRole {
    expected: Role,
    found: Role,
}

impl WrongRole {
    /// What a handshake failed for, if it was this: rustls would print it as a data structure.
    pub(super) fn behind(error: &io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                other.0.downcast_ref().copied()
            }
            _ => None,
        }
    }
}

impl RoleVerifier {
    pub(super) fn new(
        servers: &Trust,
        expected: Role,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Failure> {
        let roots = Arc::clone(&servers.roots);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
            .with_crls(servers.revoked.iter().cloned())
            .only_check_end_entity_revocation()
            .build()
            .map_err(|error| unusable(&servers.origin, &error))?;
        Ok(Self { inner, expected })
    }
}

impl ServerCertVerifier for RoleVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let (expected, found) = (self.expected, role_of(end_entity));
        if found == expected {
            return Ok(verified);
        }
        let wrong = OtherError(Arc::new(WrongRole { expected, found }));
        Err(Error::InvalidCertificate(CertificateError::Other(wrong)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
