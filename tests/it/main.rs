//! The integration tests, as one binary: a module a subject.

mod accept;
mod certs;
mod cli;
mod client_calls;
mod client_cli;
mod client_desk;
mod client_real;
mod identity;
mod openssl;
mod supervise;
mod support;
mod tls;
mod up;
