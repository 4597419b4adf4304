//! The seam between a call's metadata and whoever keeps the sessions.

use super::Fingerprint;
use crate::errors::{self, Reason};
use crate::users::UserRole;
use http::HeaderMap;
use recovery::model::{AccountNumber, BankName, ClientId};
use tonic::Status;

/// Who is signed in. In the extensions of each request whose rule asks for a session.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    pub client_id: ClientId,
    pub role: UserRole,
    /// A role other than client has no account.
    pub account: Option<AccountNumber>,
    pub bank: Option<BankName>,
}

/// Why a token was not believed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum AuthFailure {
    /// Wrong, expired, revoked, of another client, or issued to another certificate. Which of them
    /// is nobody's business.
    TokenInvalid,
    /// The sessions are not read yet.
    Recovering,
}

/// Knows the sessions. The gateway implements it; it is asked once a call, so it must not wait.
pub trait Authenticator: Send + Sync + 'static {
    fn authenticate(
        &self,
        client_id: ClientId,
        token: &str,
        certificate: Fingerprint,
    ) -> Result<Principal, AuthFailure>;
}

impl From<AuthFailure> for Status {
    fn from(failure: AuthFailure) -> Self {
        match failure {
            AuthFailure::TokenInvalid => {
                errors::status(Reason::TokenInvalid, "the token is not valid here any more")
            }
            AuthFailure::Recovering => {
                let after = std::time::Duration::from_millis(500);
                errors::status_retry(Reason::Recovering, "the gateway is reading its log", after)
            }
        }
    }
}

/// What a call's metadata claims: `client-id`, and `auth-token` or `authorization: Bearer`.
pub(super) fn claimed(headers: &HeaderMap) -> Result<(ClientId, &str), Status> {
    let missing = |what| errors::status(Reason::TokenMissing, what);
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let client = text("client-id").ok_or_else(|| missing("metadata client-id is missing"))?;
    let client = client.parse().map_err(|_| missing("metadata client-id is not a client id"))?;
    let bearer = || {
        let (scheme, token) = text("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    };
    let token = text("auth-token").or_else(bearer).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| missing("metadata auth-token is missing; sign in first"))?;
    Ok((client, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn a_token_comes_as_auth_token_or_as_bearer() {
        let both = [
            headers(&[("client-id", "client1"), ("auth-token", "t")]),
            headers(&[("client-id", "client1"), ("authorization", "Bearer t")]),
            headers(&[("client-id", "client1"), ("authorization", "bearer  t")]),
        ];
        for headers in both {
            let (client, token) = claimed(&headers).expect("complete");
            assert_eq!((client.as_str(), token), ("client1", "t"));
        }
    }

    #[test]
    fn half_a_claim_is_a_missing_token() {
        let incomplete = [
            headers(&[]),
            headers(&[("client-id", "client1")]),
            headers(&[("auth-token", "t")]),
            headers(&[("client-id", "client1"), ("auth-token", "")]),
            headers(&[("client-id", "client1"), ("authorization", "Basic t")]),
            headers(&[("client-id", "not a client"), ("auth-token", "t")]),
        ];
        for headers in incomplete {
            let status = claimed(&headers).expect_err("refused");
            assert_eq!(errors::reason_of(&status), Some(Reason::TokenMissing));
        }
    }
}
