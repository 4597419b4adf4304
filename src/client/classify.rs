//! What a failed call means for the money.
//!
//! Promises one of three answers, and errs only towards "unknown":
//!
//! | seen | means |
//! |---|---|
//! | a `ConnectError` in the source chain | no byte of the request left: **not sent** |
//! | a status with a reason of ours, and no local source | the gateway **answered**: no outcome |
//! | anything else | the request may have arrived: **outcome unknown** |
//!
//! "Anything else" is wider than it looks. A peer killed in mid-call is `UNKNOWN "transport
//! error"`, a deadline that fires here is `CANCELLED` with a source, and a deadline that fires at
//! the peer is the same `CANCELLED` *without* one: a bare code proves nothing about the payment.
//! Only
//! `google.rpc.ErrorInfo` in our domain does, because only our own code attaches it.
//!
//! Refuses to know what a payment is, and what to do next: see `pay`.

use crate::errors::DOMAIN;
use std::error::Error;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The sources of one error are followed this far: a chain is data from a library.
const CHAIN_MAX: usize = 32;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The request never left this process.
    #[error("{detail}")]
    NotSent { detail: String },
    /// The request may have arrived, and may have been acted on.
    #[error("{detail}")]
    OutcomeUnknown { detail: String },
    /// The gateway says that this call produced no outcome, and why.
    #[error("{0}")]
    Answered(Refusal),
}

/// An answer of the gateway that is no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: Code,
    /// UPPER_SNAKE, such as `BANK_UNAVAILABLE`.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
    /// The field at fault, by its name on the wire.
    pub field: Option<String>,
    /// How long the gateway asks to wait.
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// Classifies what tonic returned.
    pub fn of(status: &Status) -> Self {
        let chain = || sources(status);
        if chain().any(<dyn Error>::is::<tonic::ConnectError>) {
            return Self::NotSent { detail: deepest(status) };
        }
        if status.source().is_none()
            && let Some(refusal) = Refusal::of(status)
        {
            return Self::Answered(refusal);
        }
        Self::OutcomeUnknown { detail: deepest(status) }
    }

    /// The gateway's reason, where it gave one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Answered(refusal) => Some(&refusal.reason),
            Self::NotSent { .. } | Self::OutcomeUnknown { .. } => None,
        }
    }
}

impl Refusal {
    fn of(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let message = status.message().to_owned();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        if let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) {
            return Some(Self {
                code: status.code(),
                reason: info.reason.clone(),
                message,
                field: info.metadata.get("field").cloned(),
                retry_after,
            });
        }
        // A router that lacks the method has run nothing. Every other bare code could come from a
        // layer around a handler that had already begun.
        (status.code() == Code::Unimplemented).then(|| Self {
            code: Code::Unimplemented,
            reason: "UNIMPLEMENTED".to_owned(),
            message,
            field: None,
            retry_after: None,
        })
    }
}

fn sources(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first = status.source();
    std::iter::successors(first, |error: &&(dyn Error + 'static)| (*error).source()).take(CHAIN_MAX)
}

/// The innermost cause, which is the one a person can act on ("connection refused").
fn deepest(status: &Status) -> String {
    let cause = sources(status).last().map(ToString::to_string);
    // rustls points developers to its manual.
    let cause = cause.map(|text| text.split(": https://").next().unwrap_or_default().to_owned());
    match cause.filter(|text| !text.is_empty()) {
        Some(cause) => cause,
        None if status.message().is_empty() => format!("{:?}", status.code()),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::Arc;
    use tonic_types::ErrorDetails;

    fn answered(code: Code, reason: &str, domain: &str) -> Status {
        let mut details = ErrorDetails::new();
        let fields = HashMap::from([("field".to_owned(), "amount_minor".to_owned())]);
        details.set_error_info(reason, domain, fields);
        details.set_retry_info(Some(Duration::from_millis(250)));
        Status::with_error_details(code, "words", details)
    }

    #[test]
    fn a_reason_of_ours_is_an_answer_with_its_field_and_delay() {
        let status = answered(Code::AlreadyExists, "TRANSACTION_ID_REUSED", DOMAIN);
        let CallError::Answered(refusal) = CallError::of(&status) else { panic!("not an answer") };
        assert_eq!(refusal.reason, "TRANSACTION_ID_REUSED");
        assert_eq!(refusal.field.as_deref(), Some("amount_minor"));
        assert_eq!(refusal.retry_after, Some(Duration::from_millis(250)));
    }

    #[test]
    fn a_reason_of_another_domain_proves_nothing() {
        let status = answered(Code::Unavailable, "OVERLOADED", "proxy.example");
        assert!(matches!(CallError::of(&status), CallError::OutcomeUnknown { .. }));
    }

    #[test]
    fn a_bare_code_leaves_the_outcome_unknown_whatever_it_is() {
        for code in (1..=16).map(Code::from).filter(|code| *code != Code::Unimplemented) {
            let failure = CallError::of(&Status::new(code, "Timeout expired"));
            assert!(matches!(failure, CallError::OutcomeUnknown { .. }), "{code:?}");
        }
    }

    #[test]
    fn a_local_source_outweighs_a_reason() {
        let mut status = answered(Code::Unavailable, "BANK_UNAVAILABLE", DOMAIN);
        status.set_source(Arc::new(std::io::Error::other("broken pipe")));
        let failure = CallError::of(&status);
        assert_eq!(failure, CallError::OutcomeUnknown { detail: "broken pipe".to_owned() });
    }

    #[test]
    fn a_failed_connect_was_never_sent_however_deep_it_lies() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(tonic::ConnectError(Box::new(refused))));
        let failure = CallError::of(&status);
        assert!(matches!(&failure, CallError::NotSent { detail } if detail.contains("refused")));
    }

    #[test]
    fn a_deadline_here_leaves_the_outcome_unknown() {
        let status = Status::from_error(Box::new(tonic::TimeoutExpired(())));
        assert!(matches!(CallError::of(&status), CallError::OutcomeUnknown { .. }));
    }
}
