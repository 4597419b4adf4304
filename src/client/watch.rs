//! One's own payments as they become final: each once, in the order of the gateway's log, over
//! every break of the line.
//!
//! Promises that nothing is missed and nothing seen twice: the place of what was seen last is where
//! the next stream begins. Refuses to know where it is shown.

use super::classify::CallError;
use super::pay::is_away;
use super::retry::Pace;
use super::session::{Finals, Session, SessionError};
use super::words;
use crate::errors::Failure;
use crate::wire::v1::PaymentRecord;
use std::time::Duration;

/// A broken stream is opened anew after the first of these, doubling to the second.
const PACE: Pace = Pace { first: Duration::from_millis(250), max: Duration::from_secs(5) };

/// Hands every payment that became final behind the place `after` to `see`, with its own place,
/// until `see` fails or the gateway will not have the caller. `lost` hears of each break, once.
pub async fn follow(
    session: &Session,
    mut after: u64,
    mut see: impl FnMut(PaymentRecord, u64) -> Result<(), Failure>,
    mut lost: impl FnMut(&CallError),
) -> Result<std::convert::Infallible, Failure> {
    let mut rounds_in_vain = 0;
    loop {
        let before = after;
        let error = match session.watch(after).await {
            Ok(mut finals) => listen(session, &mut finals, &mut after, &mut see).await?,
            Err(SessionError::Call(error) | SessionError::SignIn(error)) => error,
            Err(error) => return Err(words::of_session(&error)),
        };
        if !is_away(&error) {
            return Err(words::of_session(&SessionError::Call(error)));
        }
        if after > before {
            rounds_in_vain = 0;
        }
        if rounds_in_vain == 0 {
            lost(&error);
        }
        tokio::time::sleep(PACE.wait(rounds_in_vain, rand::random())).await;
        rounds_in_vain = rounds_in_vain.saturating_add(1);
    }
}

/// Until the stream ends, and why it did.
async fn listen(
    session: &Session,
    finals: &mut Finals,
    after: &mut u64,
    see: &mut impl FnMut(PaymentRecord, u64) -> Result<(), Failure>,
) -> Result<CallError, Failure> {
    loop {
        match finals.message().await {
            Ok(Some(message)) => {
                // A place is seen once, whatever is said of it.
                if let Some(payment) = message.payment.filter(|_| message.lsn > *after) {
                    see(payment, message.lsn)?;
                    *after = message.lsn;
                }
            }
            Ok(None) => {
                session.hang_up().await;
                let detail = "the gateway has ended the stream".to_owned();
                return Ok(CallError::OutcomeUnknown { detail });
            }
            Err(status) => return Ok(session.broken(&status).await),
        }
    }
}
