//! The caller's own deadline, from `grpc-timeout`.

use crate::errors::{Reason, status};
use axum::body::Body;
use http::{HeaderMap, Response};
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// After this, the caller does not listen any more. In the extensions of each request that has one.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(pub Instant);

impl Deadline {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("grpc-timeout")?.to_str().ok()?;
        Instant::now().checked_add(parse(text)?).map(Self)
    }

    /// How long the caller still listens.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Waits for the head of an answer until then. What the call set in motion goes on.
    pub(super) async fn bound(
        self,
        answer: impl Future<Output = Result<Response<Body>, Infallible>>,
    ) -> Result<Response<Body>, Infallible> {
        match tokio::time::timeout_at(self.0, answer).await {
            Ok(answer) => answer,
            Err(_) => Ok(expired().into_http()),
        }
    }
}

fn expired() -> tonic::Status {
    let carried = status(Reason::OutcomeUnknown, "the caller's deadline has passed");
    let details = bytes::Bytes::copy_from_slice(carried.details());
    tonic::Status::with_details(tonic::Code::DeadlineExceeded, carried.message(), details)
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    const DIGITS_MAX: usize = 8;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = !digits.is_empty() && digits.len() <= DIGITS_MAX;
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    match unit {
        "H" => Some(Duration::from_hours(number)),
        "M" => Some(Duration::from_mins(number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_past_its_callers_deadline_is_given_up_as_unknown() {
        let deadline = Deadline(Instant::now());
        let answer = deadline.bound(std::future::pending()).await.expect("infallible");
        let heard = tonic::Status::from_header_map(answer.headers()).expect("a status");
        assert_eq!(heard.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(crate::errors::reason_of(&heard), Some(Reason::OutcomeUnknown));
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit_or_ignored() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999H"), Some(Duration::from_hours(99_999_999)));
        for bad in ["", "5", "S", "999999999S", "-1S", "5x", "5\u{e9}"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
