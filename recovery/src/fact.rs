//! What the logs remember: things that became true, in the past tense, never orders.
//!
//! A fact is written once and read for ever. Its fields may not change: a new shape is a new
//! version in [`crate::record`].

mod by_hand;

pub use by_hand::{HeuristicAsked, HeuristicDecided, HeuristicDiffered, HeuristicObeyed};

use crate::model::{
    Aborted, AccountNumber, BankName, ClientId, Cluster, Currency, Decision, Epoch, GlobalId,
    Heard, HoldState, Lineage, Order, Reason, Reference, StartId, Vote, Witness,
};
use crate::record::{self, DecodeError, KIND_VERSION, Shape};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! facts {
    ($(#[$doc:meta])* $union:ident { $($kind:literal $name:ident $($shaped:ident)?,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum $union {
            $($name($name),)*
        }

        impl $union {
            /// Every kind with its name.
            pub const KINDS: &'static [(u16, &'static str)] = &[$(($kind, stringify!($name)),)*];
        }

        impl crate::record::Fact for $union {
            fn kind(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            fn kind_version(&self) -> u16 {
                match self {
                    $(Self::$name(fact) => fact.version(),)*
                }
            }

            fn encode_payload(&self) -> Vec<u8> {
                match self {
                    $(Self::$name(fact) => fact.write(),)*
                }
            }

            fn decode_payload(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
                match kind {
                    $($kind => Shape::read(kind, version, bytes).map(Self::$name),)*
                    unknown => Err(DecodeError::UnknownKind { kind: unknown }),
                }
            }
        }

        $(facts!(@shape $name $($shaped)?);)*

        $(impl From<$name> for $union {
            fn from(fact: $name) -> Self {
                Self::$name(fact)
            }
        })*
    };
    // Has had one shape so far, or says itself which it has had.
    (@shape $name:ident) => { impl Shape for $name {} };
    (@shape $name:ident reshaped) => {};
}

facts! {
    /// A fact in the gateway's log.
    GatewayFact {
        1 Initialised,
        2 Started,
        3 Stopped,
        4 BankJoined,
        5 AccountListed,
        6 BankMet,
        7 BankReplaced,
        8 LogMended,
        10 Began,
        11 Voted,
        12 Decided,
        13 Settled,
        14 Ended,
        15 HeuristicAsked,
        16 HeuristicDecided,
        17 HeuristicDiffered,
        20 SessionOpened,
        21 SessionClosed,
        30 Audited,
    }
}

impl GatewayFact {
    /// Whether it belongs to the audit trail: who came in, who did not, what operators did.
    pub fn is_audit(&self) -> bool {
        matches!(self, Self::SessionOpened(_) | Self::SessionClosed(_) | Self::Audited(_))
    }
}

facts! {
    /// A fact in a bank's journal.
    BankFact {
        101 Founded,
        102 BankStarted,
        103 BankStopped,
        105 AccountOpened,
        106 Fenced,
        107 GatewayReplaced,
        108 JournalMended,
        110 Held,
        111 Refused reshaped,
        112 Posted,
        113 Released reshaped,
        114 Tombstoned reshaped,
        115 Forgot,
        116 HeuristicObeyed,
    }
}

/// The first record of a gateway: an empty directory is not special, it is made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Initialised {
    pub cluster: Cluster,
    pub lineage: Lineage,
}

/// A start of the gateway. Everything after it was written under this `start_id`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Started {
    pub epoch: Epoch,
    pub start_id: StartId,
    pub version: String,
}

/// A clean stop; nothing follows it but the next start.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stopped {}

/// A bank takes part from here on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BankJoined {
    pub bank: BankName,
    /// Its data directory; `None` for a foreign bank, whose log is not ours to know.
    pub lineage: Option<Lineage>,
}

/// An account as the gateway's directory has it: whose it is and where, not what is on it now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountListed {
    pub account: AccountNumber,
    pub bank: BankName,
    pub owner: ClientId,
    pub currency: Currency,
    pub opening_minor: i64,
}

/// A bank's start passed Hello: how far its log had come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BankMet {
    pub bank: BankName,
    pub epoch: Epoch,
    pub witness: Witness,
}

/// A bank's lost journal is made again from this log. Votes of the old one are void.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BankReplaced {
    pub bank: BankName,
    pub old: Lineage,
    pub new: Lineage,
}

/// A batch of the gateway's log was damaged, and was put back from its second copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogMended {
    /// Sequence number of the segment, and where in it the batch starts.
    pub segment: u64,
    pub offset: u64,
    pub first_lsn: u64,
    /// 0 for a Mark, which was computed.
    pub records: u32,
    /// The damaged file's name in `quarantine/`.
    pub kept: String,
}

/// A payment exists. Before this there is no outcome; after it there will be one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Began {
    pub payment: GlobalId,
    pub order: Order,
}

/// A participant's vote arrived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Voted {
    pub payment: GlobalId,
    pub bank: BankName,
    pub vote: Vote,
    /// How far the bank's journal was durable.
    pub bank_lsn: u64,
}

/// The commit point.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decided {
    pub payment: GlobalId,
    pub decision: Decision,
}

/// A participant has carried the decision out, durably.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settled {
    pub payment: GlobalId,
    pub bank: BankName,
    pub state: HoldState,
    /// How far the bank's journal was durable.
    pub bank_lsn: u64,
}

/// Every participant has. Nothing remains to be done, only to be remembered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    pub payment: GlobalId,
}

/// A client signed in. The token itself is never written, only its SHA-256.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionOpened {
    pub token_sha256: [u8; 32],
    pub client: ClientId,
    /// SHA-256 of the certificate it is bound to.
    pub certificate_sha256: [u8; 32],
    /// SHA-256 of the password hash that was in force: a new password ends the session.
    pub credential_sha256: [u8; 32],
    pub expires_ms: u64,
}

/// A session is over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionClosed {
    pub token_sha256: [u8; 32],
}

/// What happened at the edge.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AuditEvent {
    /// Somebody did not get in.
    SignInRefused,
    /// A call was not let through.
    CallRefused,
    /// An operator changed something.
    Operated,
}

/// Something at the edge, for whoever looks later. Moves nothing, and nothing rests on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Audited {
    pub what: AuditEvent,
    /// Who was meant to call, by the caller's own word where it was refused.
    pub client: Option<ClientId>,
    /// SHA-256 of the certificate that was shown.
    pub certificate_sha256: [u8; 32],
    /// The call, as the table of callers has it.
    pub method: String,
    /// Of a refusal.
    pub reason: String,
    /// Refusals that were not written since the one before: they came too fast.
    pub left_out: u64,
}

/// The first record of a bank.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Founded {
    pub cluster: Cluster,
    pub lineage: Lineage,
    pub bank: BankName,
    /// The gateway that may drive it.
    pub gateway: Lineage,
}

/// A start of the bank.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BankStarted {
    pub epoch: Epoch,
    pub start_id: StartId,
    pub version: String,
}

/// A clean stop of the bank.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BankStopped {}

/// An account exists and holds its opening balance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountOpened {
    pub account: AccountNumber,
    pub owner: ClientId,
    pub currency: Currency,
    pub opening_minor: i64,
}

/// From here on only this start of this gateway is obeyed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fenced {
    pub gateway: Lineage,
    pub epoch: Epoch,
    pub start_id: StartId,
    /// How far the gateway's log was durable.
    pub gateway_lsn: u64,
}

/// The gateway's lost log is made again from the banks: from here on `old` is never obeyed, and
/// `new` may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GatewayReplaced {
    pub old: Lineage,
    pub new: Lineage,
}

/// A batch of the bank's journal was damaged, and was put back from its second copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JournalMended {
    /// Sequence number of the segment, and where in it the batch starts.
    pub segment: u64,
    pub offset: u64,
    pub first_lsn: u64,
    /// 0 for a Mark, which was computed.
    pub records: u32,
    /// The damaged file's name in `quarantine/`.
    pub kept: String,
}

/// Money set aside; the vote was yes. Carries the whole payment, so that any one log can tell it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Held {
    pub payment: GlobalId,
    pub order: Order,
    pub heard: Heard,
}

/// The vote was no. Carries the whole payment, too: where no other bank took part, this is all that
/// is left of it when the gateway's log is lost.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub payment: GlobalId,
    pub reference: Reference,
    pub reason: Reason,
    pub heard: Heard,
    /// `None` in the first version, which did not keep it.
    #[serde(skip)]
    pub order: Option<Order>,
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Refused");
        fields.field("payment", &self.payment).field("reference", &self.reference);
        fields.field("reason", &self.reason).field("heard", &self.heard);
        if let Some(order) = &self.order {
            fields.field("order", order);
        }
        fields.finish()
    }
}

impl Shape for Refused {
    fn version(&self) -> u16 {
        if self.order.is_some() { 2 } else { KIND_VERSION }
    }

    fn write(&self) -> Vec<u8> {
        match &self.order {
            Some(order) => record::payload(&(self.payment, order, self.reason, self.heard)),
            None => record::payload(self),
        }
    }

    fn read(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
        if version != 2 {
            return record::first_shape(kind, version, bytes);
        }
        let (payment, order, reason, heard): (_, Order, _, _) = record::parse(kind, bytes)?;
        let reference = order.reference;
        Ok(Self { payment, reference, reason, heard, order: Some(order) })
    }
}

/// The hold was committed: balances changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Posted {
    pub payment: GlobalId,
    pub heard: Heard,
}

/// A fact whose second version has one field more, behind those of the first. `None` there is the
/// first version, which reads and writes as it always did.
macro_rules! outgrown {
    ($name:ident { $($field:ident),* } $more:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut fields = f.debug_struct(stringify!($name));
                $(fields.field(stringify!($field), &self.$field);)*
                if let Some(more) = &self.$more {
                    fields.field(stringify!($more), more);
                }
                fields.finish()
            }
        }

        impl Shape for $name {
            fn version(&self) -> u16 {
                if self.$more.is_some() { 2 } else { KIND_VERSION }
            }

            fn write(&self) -> Vec<u8> {
                match &self.$more {
                    Some(more) => record::payload(&($(self.$field,)* more)),
                    None => record::payload(self),
                }
            }

            fn read(kind: u16, version: u16, bytes: &[u8]) -> Result<Self, DecodeError> {
                if version != 2 {
                    return record::first_shape(kind, version, bytes);
                }
                let ($($field,)* more) = record::parse(kind, bytes)?;
                Ok(Self { $($field,)* $more: Some(more) })
            }
        }
    };
}

/// The hold was let go. Carries why: where no other bank says it, this is all that is left of the
/// reason that the payer was given when the gateway's log is lost.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    pub payment: GlobalId,
    pub heard: Heard,
    /// `None` in the first version, and where the gateway had lost the payment's beginning.
    #[serde(skip)]
    pub reason: Option<Reason>,
}

outgrown!(Released { payment, heard } reason);

/// An abort came for a payment never heard of: its prepare, should it still come, is refused.
/// Carries the whole payment: no prepare has told this journal, and none may have told any other.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstoned {
    pub payment: GlobalId,
    pub heard: Heard,
    /// `None` in the first version, and where the gateway had lost the payment's beginning.
    #[serde(skip)]
    pub aborted: Option<Aborted>,
}

outgrown!(Tombstoned { payment, heard } aborted);

/// Every payment of this origin up to and with `through` is over on all sides, durably. Its
/// outcome is dropped from memory; the journal keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forgot {
    pub through: GlobalId,
}
