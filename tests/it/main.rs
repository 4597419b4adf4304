//! The integration tests, as one binary: a module a subject.

mod accept;
mod certs;
mod cli;
mod client_calls;
mod client_desk;
mod identity;
mod support;
mod tls;
