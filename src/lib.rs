//! Strife: moves money between banks and never loses or doubles it, whatever crashes.

pub mod accept;
pub mod backup;
pub mod bank;
pub mod bench;
pub mod certs;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod crash;
pub mod doctor;
pub mod errors;
pub mod gateway;
pub mod home;
pub mod identity;
pub mod init;
pub mod inspect;
pub mod journal;
pub mod live;
pub mod ops;
mod sqlite;
pub mod supervise;
pub mod telemetry;
pub mod tls;
pub mod users;
pub mod view;
pub mod wire;
