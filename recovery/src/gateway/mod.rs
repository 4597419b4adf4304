//! The gateway without its sockets: all payments of one lineage, and what each input leads to.
//!
//! ```text
//!   Input --> Coordinator::handle --> Turn { facts, now, waiting }
//!                    |
//!                  State  <-- evolve -- facts, and the whole log at a start
//! ```

mod answer;
mod coordinator;
mod edge;
mod force;
mod links;
mod pause;
mod state;
mod watch;

pub use answer::{Answer, Outcome, Page, Rejection};
pub use coordinator::Coordinator;
pub use force::Unforced;
pub use links::LinkStatus;
pub use state::{Account, BANKS_MAX, Bank, BankIndex, Case, Entry, Session, State};

use crate::fact::{Audited, SessionOpened};
use crate::message::{Instruction, Report, Unwelcome, Welcome};
use crate::model::{BankName, ClientId, GlobalId, HoldState, Memo, Reference, Start, Terms};
use wal::Lsn;

/// Whom an answer is for. Made by the shell, handed back untouched.
pub type Ticket = u64;

/// When a payment's success is said.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ack {
    /// When the decision and the postings of both banks are durable.
    Settled,
    /// When the decision is durable.
    Decided,
}

/// Every limit and wait of a coordinator.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub ack: Ack,
    /// One deadline for all votes of a payment.
    pub two_phase_timeout_ms: u64,
    /// After this, one posting suffices to answer; with none the answer is PENDING.
    pub settle_wait_ms: u64,
    /// An instruction without an answer is said again after this.
    pub retry_ms: u64,
    /// The banks are told what they may forget this often.
    pub forget_ms: u64,
    /// Payments begun and not ended.
    pub in_flight_max: usize,
    /// Likewise, waiting for one bank: a slow one must not use up the room of all.
    pub in_flight_per_bank_max: usize,
    /// Callers that wait for one payment, and watches of one client.
    pub waiters_max: usize,
    /// What earlier starts left stands still until a person lets go of it.
    pub paused: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack: Ack::Settled,
            two_phase_timeout_ms: 5_000,
            settle_wait_ms: 1_000,
            retry_ms: 1_000,
            forget_ms: 5_000,
            in_flight_max: 2_048,
            in_flight_per_bank_max: 1_536,
            waiters_max: 256,
            paused: false,
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client pays. `deadline_ms` (monotonic) is the caller's own.
    Pay { ticket: Ticket, reference: Reference, terms: Terms, deadline_ms: Option<u64> },
    /// A client asks what became of a payment.
    Ask { ticket: Ticket, reference: Reference },
    /// A client asks for a page of its payments, newest first, starting at `skip` from the oldest
    /// end when given: the cursor of the page before.
    List { ticket: Ticket, client: ClientId, cursor: Option<u64>, limit: usize },
    /// A client asks what became final after a place in the log; answered once there is something.
    Watch { ticket: Ticket, client: ClientId, after: Lsn, limit: usize },
    /// A client signed in.
    OpenSession { ticket: Ticket, session: SessionOpened },
    /// A client signed out.
    CloseSession { ticket: Ticket, token_sha256: [u8; 32] },
    /// For the audit trail. Nobody waits.
    Note(Audited),
    /// An operator asks that a payment be decided by hand.
    AskForce { ticket: Ticket, payment: GlobalId, commit: bool, by: ClientId, why: Memo },
    /// Another one approves, and says what.
    ApproveForce { ticket: Ticket, payment: GlobalId, commit: bool, by: ClientId },
    /// What earlier starts left is to stand still.
    Pause { ticket: Ticket },
    /// The oldest of it may go on.
    Step { ticket: Ticket },
    /// All of it may.
    Resume { ticket: Ticket },
    /// A bank answered Hello.
    Welcomed { bank: BankIndex, welcome: Welcome },
    /// A bank refused Hello, or wants something proved first: then Hello is due again at once.
    TurnedAway { bank: BankIndex, unwelcome: Unwelcome },
    /// A foreign bank can be reached.
    Reached { bank: BankIndex },
    /// A bank cannot be reached.
    Lost { bank: BankIndex, why: String },
    /// A bank answered instructions. `from` is the start of it that speaks; `None` where foreign.
    Reported { bank: BankIndex, from: Option<Start>, bank_lsn: u64, reports: Vec<Report> },
    /// A bank asks about holds that have grown old.
    Inquired { bank: BankIndex, open_holds: Vec<(GlobalId, Vec<BankName>)> },
    /// Time has passed.
    Tick,
    /// A clean stop: nothing more is begun.
    Stop,
}

/// What must be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Say this to a bank, if it is connected. If not, it will be said when it is.
    Tell {
        bank: BankIndex,
        instruction: Instruction,
    },
    Reply {
        ticket: Ticket,
        reply: Reply,
    },
    /// Tell a person. Nothing changes.
    Warn(Warning),
    /// Stop this process: going on would break a promise.
    Halt(Halt),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Payment(Answer),
    Rejected(Rejection),
    Page(Page),
    /// Where each became final, in the order of the log.
    Finals(Vec<(Lsn, Answer)>),
    /// The payment that may go on; `None` when none stood still.
    LetGo(Option<GlobalId>),
    Done,
}

/// Something that a person should know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Warning {
    #[error("bank {bank} holds {payment} as {state:?}, which contradicts the instruction")]
    Contradiction { bank: BankName, payment: GlobalId, state: HoldState },
    #[error("bank {bank} reports on {payment}, which this gateway has not begun")]
    Stranger { bank: BankName, payment: GlobalId },
    #[error("bank {bank} is not let in: {why}")]
    NotLetIn { bank: BankName, why: String },
}

/// Why a gateway may not go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Halt {
    #[error(
        "this gateway's log ends at record {last}, but bank {bank} remembers record {remembered} \
         of it: the log has lost its end, is an old backup, or is a copy that was overtaken"
    )]
    LogLost { bank: BankName, last: u64, remembered: u64 },
    #[error(
        "bank {bank} has posted {payment}, which this log does not know as committed: the log has \
         lost its decision"
    )]
    DecisionLost { bank: BankName, payment: GlobalId },
    #[error("another gateway drives bank {bank}: epoch {fenced} is there, this is {offered}")]
    Fenced { bank: BankName, fenced: u64, offered: u64 },
}
