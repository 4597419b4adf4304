//! The integration tests, as one binary: a module a subject.

mod client_calls;
mod client_desk;
mod support;
