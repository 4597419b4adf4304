//! The connection to the gateway: dialled when needed, dialled anew when it broke.
//!
//! Promises that a failure to connect is [`CallError::NotSent`] for certain, because connecting is
//! a step of its own: a peer that accepts and then stalls in its handshake has received no request.
//! And that every call ends: with an answer, or when its time is over.
//!
//! The address is asked for on every dial, since a gateway may come back elsewhere.
//!
//! Refuses to know who is calling, and what.

use super::classify::CallError;
use crate::errors::chain;
use crate::wire::v1::payment_gateway_client::PaymentGatewayClient;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

/// The generated client.
pub type Stub = PaymentGatewayClient<Channel>;

/// Where the gateway is now; an error is told to a person.
pub type Dial = Arc<dyn Fn() -> Result<Endpoint, String> + Send + Sync>;

/// The deadline travels with the call and is kept by both sides; this much later it is kept here
/// alone, for a peer that is stopped.
const DEADLINE_SLACK: Duration = Duration::from_millis(500);

/// A connection, or the intention of one.
pub struct Link {
    dial: Dial,
    connect_timeout: Duration,
    timeout: Duration,
    stub: Mutex<Option<Stub>>,
}

impl Link {
    pub fn new(dial: Dial, connect_timeout: Duration, timeout: Duration) -> Self {
        Self { dial, connect_timeout, timeout, stub: Mutex::new(None) }
    }

    /// How long one call lasts at most, its connecting included.
    pub fn call_max(&self) -> Duration {
        self.connect_timeout + self.timeout + DEADLINE_SLACK
    }

    /// One call. `request` is stamped with its deadline.
    pub async fn call<Q, R, F>(
        &self,
        mut request: Request<Q>,
        send: impl FnOnce(Stub, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let stub = self.stub().await?;
        request.set_timeout(self.timeout);
        let limit = self.timeout + DEADLINE_SLACK;
        let error = match tokio::time::timeout(limit, send(stub, request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => CallError::of(&status),
            Err(_) => {
                let detail = format!("no answer within {} s", self.timeout.as_secs_f32());
                CallError::OutcomeUnknown { detail }
            }
        };
        if !matches!(error, CallError::Answered(_)) {
            *self.stub.lock().await = None;
        }
        Err(error)
    }

    async fn stub(&self) -> Result<Stub, CallError> {
        let mut stub = self.stub.lock().await;
        if let Some(stub) = &*stub {
            return Ok(stub.clone());
        }
        let endpoint = (self.dial)().map_err(|detail| CallError::NotSent { detail })?;
        let connected = tokio::time::timeout(self.connect_timeout, endpoint.connect()).await;
        let channel = match connected {
            Ok(connected) => connected.map_err(|error| chain(&error)),
            Err(_) => Err("the gateway accepts no connection in time".to_owned()),
        };
        let channel = channel.map_err(|detail| {
            let detail = format!("{} at {}", detail, endpoint.uri());
            CallError::NotSent { detail }
        })?;
        Ok(stub.insert(Stub::new(channel)).clone())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
