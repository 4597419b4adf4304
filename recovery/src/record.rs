//! Facts as bytes, and back. The only user of bincode.
//!
//! The kind and the version of a fact stand in the log's own record header, outside the codec, so
//! that another codec is a change of this file. Integers are fixed and little-endian; a payload
//! must be consumed to its last byte, because bincode alone would accept what trails behind.

use crate::fact::{BankFact, GatewayFact};
use serde::{Serialize, de::DeserializeOwned};

/// A payload never grows beyond this. Enforced on both ways.
pub const PAYLOAD_BYTES_MAX: usize = 4096;

/// The version of a fact's first shape.
pub const KIND_VERSION: u16 = 1;

const CODEC: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<PAYLOAD_BYTES_MAX>,
> = bincode::config::standard()
    .with_little_endian()
    .with_fixed_int_encoding()
    .with_limit::<PAYLOAD_BYTES_MAX>();

/// Why bytes are not a fact. The log's checksum held, so this is another version or a defect.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("record kind {kind} is not known to this version")]
    UnknownKind { kind: u16 },
    #[error("record kind {kind} has version {version}, which this program does not read")]
    UnknownVersion { kind: u16, version: u16 },
    #[error("record kind {kind} does not decode")]
    Malformed {
        kind: u16,
        #[source]
        source: bincode::error::DecodeError,
    },
    #[error("record kind {kind} has {extra} bytes behind its end")]
    Trailing { kind: u16, extra: usize },
}

/// What can be filed in a log.
pub trait Fact: Sized + Clone + PartialEq + std::fmt::Debug {
    fn kind(&self) -> u16;
    fn name(&self) -> &'static str;
    /// Is it what a log begins with, at whatever number that is?
    fn begins_a_log(&self) -> bool {
        matches!(self.name(), "Initialised" | "Founded")
    }
    fn kind_version(&self) -> u16;
    fn encode_payload(&self) -> Vec<u8>;
    fn decode_payload(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// The shapes that one fact has had: all are read, and what was read is written as it was.
pub(crate) trait Shape: Serialize + DeserializeOwned {
    fn version(&self) -> u16 {
        KIND_VERSION
    }

    fn write(&self) -> Vec<u8> {
        payload(self)
    }

    fn read(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
        first_shape(kind, version, bytes)
    }
}

/// A fact ready for the log: what [`wal::Entry`] wants, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    pub kind: u16,
    pub kind_version: u16,
    pub payload: Vec<u8>,
}

impl Encoded {
    /// The log's view of it, stamped with the wall clock's milliseconds since the Unix epoch.
    pub fn entry(&self, wall_ms: u64) -> wal::Entry<'_> {
        let Self { kind, kind_version, payload } = self;
        wal::Entry { kind: *kind, kind_version: *kind_version, wall_ms, payload }
    }
}

pub fn encode<F: Fact>(fact: &F) -> Encoded {
    let (kind, kind_version, payload) = (fact.kind(), fact.kind_version(), fact.encode_payload());
    Encoded { kind, kind_version, payload }
}

/// Reads one record of a log of `F`s.
pub fn decode<F: Fact>(record: &wal::Record<'_>) -> Result<F, DecodeError> {
    F::decode_payload(record.kind, record.kind_version, record.payload)
}

/// A fact of either kind of log, for tools that read both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AnyFact {
    Gateway(GatewayFact),
    Bank(BankFact),
}

impl From<GatewayFact> for AnyFact {
    fn from(fact: GatewayFact) -> Self {
        Self::Gateway(fact)
    }
}

impl From<BankFact> for AnyFact {
    fn from(fact: BankFact) -> Self {
        Self::Bank(fact)
    }
}

/// Reads a record without knowing whose log it is from: the numbers of kinds do not overlap.
pub fn decode_any(record: &wal::Record<'_>) -> Result<AnyFact, DecodeError> {
    if GatewayFact::KINDS.iter().any(|(kind, _)| *kind == record.kind) {
        decode(record).map(AnyFact::Gateway)
    } else {
        decode(record).map(AnyFact::Bank)
    }
}

pub(crate) fn payload<T: Serialize>(fact: &T) -> Vec<u8> {
    let bytes = bincode::serde::encode_to_vec(fact, CODEC).expect("facts are bounded and plain");
    assert!(bytes.len() <= PAYLOAD_BYTES_MAX, "a fact of {} bytes", bytes.len());
    bytes
}

/// A fact of the first version; any other is named and not guessed at.
pub(crate) fn first_shape<T: DeserializeOwned>(
    kind: u16,
    version: u16,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    match version {
        KIND_VERSION => parse(kind, bytes),
        version => Err(DecodeError::UnknownVersion { kind, version }),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(kind: u16, bytes: &[u8]) -> Result<T, DecodeError> {
    let (fact, used) = bincode::serde::decode_from_slice(bytes, CODEC)
        .map_err(|source| DecodeError::Malformed { kind, source })?;
    if used != bytes.len() {
        return Err(DecodeError::Trailing { kind, extra: bytes.len() - used });
    }
    Ok(fact)
}
