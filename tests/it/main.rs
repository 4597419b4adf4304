//! The integration tests, as one binary: a module a subject.

mod accept;
mod audit;
mod backup;
mod bad_input;
mod batch;
mod certs;
mod cli;
mod client_calls;
mod client_cli;
mod client_desk;
mod client_real;
mod faults;
mod foreign;
mod identity;
mod load;
mod once;
mod openssl;
mod restart;
mod strangers;
mod supervise;
mod support;
mod tls;
mod up;
mod watch;
