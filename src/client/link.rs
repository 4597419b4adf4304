//! The connection to the gateway: dialled when needed, dialled anew when it broke.
//!
//! Promises that every call ends: with an answer, or when its time is over; and that a peer which
//! accepts and then stalls in its handshake is known to have received no request, because the
//! handshake has a limit of its own, below that of the call.
//!
//! The address is asked for on every dial, since a gateway may come back elsewhere.
//!
//! Refuses to know who is calling, and what.

use super::classify::CallError;
use crate::errors::Failure;
use crate::wire::v1::admin_service_client::AdminServiceClient;
use crate::wire::v1::payment_gateway_client::PaymentGatewayClient;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// The generated client.
pub type Stub = PaymentGatewayClient<Channel>;

/// The operators'.
pub type AdminStub = AdminServiceClient<Channel>;

/// A generated client of any service on the port.
pub trait Over {
    fn over(channel: Channel) -> Self;
}

impl Over for Stub {
    fn over(channel: Channel) -> Self {
        Self::new(channel)
    }
}

impl Over for AdminStub {
    fn over(channel: Channel) -> Self {
        Self::new(channel)
    }
}

/// A channel to where the gateway is now, which connects when it is used. What it cannot connect
/// to, it must give up within [`CONNECT_MAX`].
pub type Dial = Arc<dyn Fn() -> Result<Channel, Failure> + Send + Sync>;

/// How long connecting takes at most: a handshake, and the first word of the server.
pub const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The deadline travels with the call and is kept by both sides; this much later it is kept here
/// alone, for a peer that is stopped.
const DEADLINE_SLACK: Duration = Duration::from_millis(500);

/// A connection, or the intention of one.
pub struct Link {
    dial: Dial,
    timeout: Duration,
    channel: Mutex<Option<Channel>>,
}

impl Link {
    pub fn new(dial: Dial, timeout: Duration) -> Self {
        Self { dial, timeout, channel: Mutex::new(None) }
    }

    /// How long one call lasts at most, its connecting included.
    pub fn call_max(&self) -> Duration {
        CONNECT_MAX + self.timeout + DEADLINE_SLACK
    }

    /// One call. `request` is stamped with its deadline.
    pub async fn call<S: Over, Q, R, F>(
        &self,
        mut request: Request<Q>,
        send: impl FnOnce(S, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let stub = S::over(self.channel().await?);
        request.set_timeout(self.timeout);
        let error = match tokio::time::timeout(self.call_max(), send(stub, request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => CallError::of(&status),
            Err(_) => {
                let detail = format!("no answer within {} s", self.timeout.as_secs_f32());
                CallError::OutcomeUnknown { detail }
            }
        };
        if !matches!(error, CallError::Answered(_)) {
            self.broke().await;
        }
        Err(error)
    }

    /// Opens a stream. Only that has a deadline. When it breaks, say so: [`Self::broke`].
    pub async fn open<Q, R, F>(
        &self,
        request: Request<Q>,
        send: impl FnOnce(Stub, Request<Q>) -> F,
    ) -> Result<R, CallError>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let stub = Stub::new(self.channel().await?);
        let error = match tokio::time::timeout(self.call_max(), send(stub, request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => CallError::of(&status),
            Err(_) => {
                let detail = format!("no answer within {} s", self.call_max().as_secs_f32());
                CallError::OutcomeUnknown { detail }
            }
        };
        if !matches!(error, CallError::Answered(_)) {
            self.broke().await;
        }
        Err(error)
    }

    /// The connection is of no use any more: the next call dials anew.
    pub async fn broke(&self) {
        *self.channel.lock().await = None;
    }

    async fn channel(&self) -> Result<Channel, CallError> {
        let mut channel = self.channel.lock().await;
        if let Some(channel) = &*channel {
            return Ok(channel.clone());
        }
        let new = (self.dial)().map_err(|error| CallError::NotSent { detail: error.what })?;
        Ok(channel.insert(new).clone())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
