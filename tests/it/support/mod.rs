//! What the integration tests share.

pub(crate) mod browser;
pub(crate) mod caller;
pub(crate) mod cluster;
pub(crate) mod edge;
pub(crate) mod fake_gateway;
pub(crate) mod forge;
pub(crate) mod frames;
pub(crate) mod live;
pub(crate) mod logs;
pub(crate) mod scrape;
pub(crate) mod web;
