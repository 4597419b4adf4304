//! What an operator may choose, with a default for everything.
//!
//! flags > `STRIFE_SECTION__KEY` > `strife.toml` > the defaults here. A key that is not known is an
//! error, with the nearest one that is. Banks are configuration, not code: a seventh is one table
//! `[banks.SBI]`. Nothing here knows what a value is used for, and nothing secret is kept here.

mod address;
mod load;
mod ports;
mod render;

pub use address::{Address, AddressError};
pub use load::Flags;

use recovery::model::BankName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything. Each field is documented where `strife.toml` documents it: in `render.rs`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub log: Log,
    pub gateway: Gateway,
    pub console: Console,
    pub wal: Wal,
    pub limits: Limits,
    pub client: Client,
    pub banks: Banks,
}

/// The participants, by name.
pub type Banks = BTreeMap<BankName, Bank>;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: Level,
}

/// How much is logged.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// When a client hears that its payment is committed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// When the decision and the postings are durable.
    Settled,
    /// When the decision is durable.
    Decided,
}

impl Ack {
    pub fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Decided => "decided",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    pub address: Address,
    pub internal_address: Address,
    pub ack: Ack,
    pub two_phase_timeout_ms: u64,
    pub settle_wait_ms: u64,
    pub max_in_flight: usize,
    pub max_in_flight_per_bank: usize,
    pub session_idle_s: u64,
    pub session_absolute_s: u64,
    pub audit_every_s: u64,
    pub reflection: bool,
}

impl Gateway {
    pub fn two_phase_timeout(&self) -> Duration {
        Duration::from_millis(self.two_phase_timeout_ms)
    }

    pub fn settle_wait(&self) -> Duration {
        Duration::from_millis(self.settle_wait_ms)
    }

    /// `None`: never.
    pub fn audit_every(&self) -> Option<Duration> {
        (self.audit_every_s > 0).then(|| Duration::from_secs(self.audit_every_s))
    }

    pub fn session_idle(&self) -> Duration {
        Duration::from_secs(self.session_idle_s)
    }

    pub fn session_absolute(&self) -> Duration {
        Duration::from_secs(self.session_absolute_s)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    pub enabled: bool,
    pub address: Address,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wal {
    pub segment_bytes: u64,
}

/// What one listener takes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_address: usize,
    pub handshakes: usize,
    pub handshake_timeout_ms: u64,
    pub connection_age_s: u64,
    pub streams_per_connection: u32,
    pub calls: usize,
    pub calls_per_client: usize,
    pub message_bytes: usize,
    pub batch_bytes: usize,
    pub drain_ms: u64,
}

impl Limits {
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// `None` is for ever.
    pub fn connection_age(&self) -> Option<Duration> {
        (self.connection_age_s > 0).then(|| Duration::from_secs(self.connection_age_s))
    }

    /// The same for a port whose one caller holds one stream open: ending it now and then would
    /// cost payments, and a certificate that is revoked or expires ends it anyway.
    #[must_use]
    pub fn ageless(&self) -> Self {
        Self { connection_age_s: 0, ..self.clone() }
    }

    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

/// How a client calls, and calls again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    pub timeout_ms: u64,
    pub retry_ms: u64,
    pub retry_max_ms: u64,
}

impl Client {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub fn retry(&self) -> Duration {
        Duration::from_millis(self.retry_ms)
    }

    pub fn retry_max(&self) -> Duration {
        Duration::from_millis(self.retry_max_ms)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "BankTable")]
pub struct Bank {
    pub address: Address,
    pub metrics_address: Address,
    pub foreign: bool,
}

/// As it is written: only the address must be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BankTable {
    address: Address,
    metrics_address: Option<Address>,
    #[serde(default)]
    foreign: bool,
}

impl From<BankTable> for Bank {
    fn from(table: BankTable) -> Self {
        let BankTable { address, metrics_address, foreign } = table;
        let metrics_address = metrics_address.unwrap_or_else(|| {
            let port = address.port();
            let above = port.checked_add(ports::METRICS_OFFSET);
            address.with_port(above.unwrap_or(port - ports::METRICS_OFFSET))
        });
        Self { address, metrics_address, foreign }
    }
}

/// The banks of a new home, in the order of their ports.
pub const DEFAULT_BANKS: [&str; 6] = ["HDFC", "ICICI", "Axis", "Canara", "Kotak", "BankOfIndia"];

/// The public port of a gateway; every other default is counted from it.
pub const BASE_PORT: u16 = 50050;

/// The banks that a file without a `[banks]` table has.
pub(crate) fn default_banks() -> Banks {
    let named = DEFAULT_BANKS.into_iter().zip(BASE_PORT + 1..);
    let bank = |(name, port): (&str, u16)| {
        let address = Address::local(port);
        let metrics_address = Address::local(port + ports::METRICS_OFFSET);
        let bank = Bank { address, metrics_address, foreign: false };
        Some((name.parse().ok()?, bank))
    };
    named.filter_map(bank).collect()
}

impl Config {
    /// A new home's: the defaults and the six banks.
    pub fn standard() -> Self {
        Self { banks: default_banks(), ..Self::default() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            address: Address::local(BASE_PORT),
            internal_address: Address::local(BASE_PORT - 1),
            ack: Ack::Settled,
            two_phase_timeout_ms: 5_000,
            settle_wait_ms: 1_000,
            max_in_flight: 2_048,
            max_in_flight_per_bank: 1_024,
            session_idle_s: 3_600,
            session_absolute_s: 43_200,
            audit_every_s: 60,
            reflection: false,
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self { enabled: true, address: Address::local(BASE_PORT + ports::METRICS_OFFSET) }
    }
}

impl Default for Wal {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 1_024,
            handshakes: 768,
            handshake_timeout_ms: 5_000,
            connection_age_s: 3_600,
            streams_per_connection: 1_024,
            calls: 16_384,
            calls_per_client: 1_024,
            message_bytes: 64 << 10,
            batch_bytes: 4 << 20,
            drain_ms: 2_000,
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self { timeout_ms: 10_000, retry_ms: 5_000, retry_max_ms: 60_000 }
    }
}
