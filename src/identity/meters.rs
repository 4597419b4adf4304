//! The figures of calls: a handle for each method and code, taken when it is first needed.

use super::rules::{RULES, Rule};
use crate::errors::Reason;
use metrics::{Counter, Histogram};
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use tonic::Code;

/// gRPC's codes are 0 to 16.
const CODES: usize = 17;

/// Of one method.
struct Method {
    handled: [OnceLock<Counter>; CODES],
    seconds: OnceLock<Histogram>,
}

/// A row for each rule, and one for what is no method of ours.
static METHODS: LazyLock<Vec<Method>> = LazyLock::new(|| {
    let row = || Method { handled: [const { OnceLock::new() }; CODES], seconds: OnceLock::new() };
    (0..=RULES.len()).map(|_| row()).collect()
});

/// One call was answered.
pub(super) fn handled(rule: Option<&'static Rule>, code: Code, elapsed: Duration) {
    let place = rule.and_then(|rule| RULES.iter().position(|other| std::ptr::eq(other, rule)));
    let row = &METHODS[place.unwrap_or(RULES.len())];
    let (service, method) = rule.map_or(("unknown", "unknown"), |rule| (rule.service, rule.method));
    let counter = row.handled[code as usize].get_or_init(|| {
        metrics::counter!(
            "grpc_server_handled_total",
            "grpc_service" => service, "grpc_method" => method, "grpc_code" => code_name(code)
        )
    });
    counter.increment(1);
    let seconds = row.seconds.get_or_init(|| {
        metrics::histogram!(
            "grpc_server_handling_seconds", "grpc_service" => service, "grpc_method" => method
        )
    });
    seconds.record(elapsed);
}

/// Why calls are refused for who made them.
const REFUSALS: [Reason; 5] = [
    Reason::TokenMissing,
    Reason::TokenInvalid,
    Reason::BadCredentials,
    Reason::RoleRequired,
    Reason::IdentityMismatch,
];

/// A call was refused for who made it.
pub(super) fn refused(reason: Reason) {
    metrics::counter!("strife_auth_failures_total", "reason" => reason.name()).increment(1);
}

/// Begins to count, and shows the refusals from the start, at zero: a rate needs a beginning.
pub fn show() {
    crate::telemetry::meters::install();
    for reason in REFUSALS {
        metrics::counter!("strife_auth_failures_total", "reason" => reason.name()).absolute(0);
    }
}

/// As gRPC writes it.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
