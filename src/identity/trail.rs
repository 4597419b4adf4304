//! The seam between what the gate sees and whoever keeps the audit trail.

use super::rules::{Kind, Rule, Session};
use super::{Caller, Fingerprint, Role};
use crate::errors::Reason;
use crate::users::UserRole;
use recovery::fact::AuditEvent;
use recovery::model::ClientId;
use tonic::Code;

/// Something worth remembering of one call.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Noted {
    pub what: AuditEvent,
    /// Whom the caller claimed to be.
    pub client: Option<ClientId>,
    pub certificate: Fingerprint,
    /// `unknown` where no row has it.
    pub method: &'static str,
    pub reason: &'static str,
}

/// Keeps the trail. Told on the call's own thread, so it must not wait.
pub trait Trail: Send + Sync + 'static {
    fn note(&self, noted: Noted);
}

/// What a call that ended is to the trail, if anything.
pub(super) fn noted(
    rule: Option<&'static Rule>,
    caller: Option<Caller>,
    client: Option<ClientId>,
    code: Code,
    reason: Option<Reason>,
) -> Option<Noted> {
    let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied)
        || reason == Some(Reason::TooManyGuesses);
    let what = match (rule, refused) {
        (Some(rule), true) if rule.method == "RegisterClient" => AuditEvent::SignInRefused,
        (_, true) => AuditEvent::CallRefused,
        (Some(rule), false) if operates(rule) && code == Code::Ok => AuditEvent::Operated,
        (_, false) => return None,
    };
    // A call without a certificate comes from nowhere: the handshake demands one.
    let certificate = caller.map_or(Fingerprint([0; 32]), |caller| caller.fingerprint);
    let method = rule.map_or("unknown", |rule| rule.path);
    Some(Noted { what, client, certificate, method, reason: reason.map_or("", Reason::name) })
}

/// Whether a call changes something for others: it is an operator's, and no auditor may make it.
fn operates(rule: &Rule) -> bool {
    rule.callers == [Kind::Admin]
        && matches!(rule.session, Session::Of(roles) if !roles.contains(&UserRole::Auditor))
}

/// Whose sign-in a named certificate allows: its own client's, and no other's.
pub fn speaks_for(role: Role, client: ClientId) -> bool {
    match role {
        Role::Client(Some(name)) => name == client,
        Role::Client(None) | Role::Admin | Role::Gateway | Role::Bank(_) | Role::Stranger => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::rule;

    #[test]
    fn a_refusal_and_an_operators_act_are_noted_and_a_payment_is_not() {
        let note = |path: &str, code, reason| {
            noted(rule(path), None, None, code, reason).map(|noted| (noted.what, noted.method))
        };
        let (pay, sign_in) = (
            "/strife.v1.PaymentGateway/ProcessPayment",
            "/strife.v1.PaymentGateway/RegisterClient",
        );
        let end = "/strife.v1.AdminService/EndSessions";
        assert_eq!(note(pay, Code::Ok, None), None);
        assert_eq!(note(pay, Code::Unavailable, Some(Reason::BankUnavailable)), None);
        assert_eq!(note("/strife.v1.AdminService/Status", Code::Ok, None), None);
        let refused = note(pay, Code::PermissionDenied, Some(Reason::RoleRequired));
        assert_eq!(refused, Some((AuditEvent::CallRefused, pay)));
        let wrong = note(sign_in, Code::Unauthenticated, Some(Reason::BadCredentials));
        assert_eq!(wrong, Some((AuditEvent::SignInRefused, sign_in)));
        let often = note(sign_in, Code::ResourceExhausted, Some(Reason::TooManyGuesses));
        assert_eq!(often, Some((AuditEvent::SignInRefused, sign_in)));
        assert_eq!(note(end, Code::Ok, None), Some((AuditEvent::Operated, end)));
        let nowhere = note("/x/y", Code::PermissionDenied, Some(Reason::IdentityMismatch));
        assert_eq!(nowhere, Some((AuditEvent::CallRefused, "unknown")));
    }
}
