//! What the integration tests share.

pub(crate) mod edge;
pub(crate) mod fake_gateway;
