//! A reason on the wire: a gRPC status that carries `google.rpc.ErrorInfo`, and back.

use super::{Exit, Failure, Reason};
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every `ErrorInfo` sent from here.
pub const DOMAIN: &str = "strife.dev";

/// A status of the reason's own code.
pub fn status(reason: Reason, message: impl Into<String>) -> Status {
    status_with(reason, message, &[])
}

/// The same, with metadata in its `ErrorInfo`, such as `("field", "amount_minor")`.
pub fn status_with(
    reason: Reason,
    message: impl Into<String>,
    metadata: &[(&str, &str)],
) -> Status {
    let details = details(reason, metadata);
    Status::with_error_details(reason.entry().code, message, details)
}

/// The same, with the time after which the same call may succeed (`RetryInfo`).
pub fn status_retry(reason: Reason, message: impl Into<String>, after: Duration) -> Status {
    let mut details = details(reason, &[]);
    details.set_retry_info(Some(after));
    Status::with_error_details(reason.entry().code, message, details)
}

fn details(reason: Reason, metadata: &[(&str, &str)]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ErrorDetails::with_error_info(reason.name(), DOMAIN, metadata)
}

/// The reason that a status of our domain carries.
pub fn reason_of(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    if info.domain == DOMAIN { Reason::from_name(&info.reason) } else { None }
}

/// One value of the metadata in a status's `ErrorInfo`.
pub fn metadata_of(status: &Status, key: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.get(key).cloned()
}

/// How long to wait before the same call, where the status says so.
pub fn retry_of(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// How a command ends for a code, where no reason is more exact.
pub fn code_exit(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Done,
        Code::InvalidArgument | Code::AlreadyExists | Code::OutOfRange => Exit::Usage,
        Code::NotFound | Code::FailedPrecondition => Exit::Declined,
        Code::Unavailable | Code::ResourceExhausted => Exit::Unreachable,
        Code::Unauthenticated | Code::PermissionDenied => Exit::NotAllowed,
        Code::DataLoss => Exit::Damaged,
        Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::Aborted => Exit::Unknown,
        Code::Internal | Code::Unimplemented => Exit::Unexpected,
    }
}

/// What a status that *the peer sent* means to a person. What a broken connection means is not
/// known here: that takes the error's sources, which only its caller has.
pub fn explain(status: &Status) -> Failure {
    let message = match status.message() {
        "" => "the other side gave no reason",
        message => message,
    };
    let Some(reason) = reason_of(status) else {
        let exit = code_exit(status.code());
        return Failure::plain(exit, format!("{message} ({:?})", status.code()));
    };
    Failure::new(reason, message)
}

/// A payment that was declined: an outcome, whatever code its reason has elsewhere.
pub fn declined(reason: &str, message: impl Into<String>) -> Failure {
    let failure = match Reason::from_name(reason) {
        Some(reason) => Failure::new(reason, message),
        None => Failure::plain(Exit::Declined, format!("{} ({reason})", message.into())),
    };
    failure.exit(Exit::Declined).money("The money did not move, and never will under this id.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_wire() {
        let sent = status_with(Reason::TransactionIdReused, "differs", &[("field", "memo")]);
        assert_eq!(sent.code(), Code::AlreadyExists);
        let headers = sent.into_http::<tonic::body::Body>().into_parts().0.headers;
        let heard = Status::from_header_map(&headers).expect("a status is in the headers");
        assert_eq!(reason_of(&heard), Some(Reason::TransactionIdReused));
        assert_eq!(metadata_of(&heard, "field").as_deref(), Some("memo"));
        assert_eq!(explain(&heard).exit, Exit::Usage);
    }

    #[test]
    fn a_retry_carries_its_delay() {
        let sent = status_retry(Reason::Recovering, "reading", Duration::from_millis(250));
        assert_eq!(retry_of(&sent), Some(Duration::from_millis(250)));
        assert_eq!(reason_of(&sent), Some(Reason::Recovering));
    }

    #[test]
    fn a_reason_of_another_domain_is_not_ours() {
        let details = ErrorDetails::with_error_info("RECOVERING", "example.com", HashMap::new());
        let foreign = Status::with_error_details(Code::Unavailable, "", details);
        assert_eq!(reason_of(&foreign), None);
        assert_eq!(explain(&foreign).exit, Exit::Unreachable);
    }

    #[test]
    fn a_declined_payment_ends_with_3_whatever_its_reason_means_elsewhere() {
        assert_eq!(declined("LOG_FULL", "no room").exit, Exit::Declined);
        assert_eq!(declined("A_FOREIGN_BANKS_WORD", "no").exit, Exit::Declined);
    }
}
