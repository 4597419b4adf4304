//! A bank without its sockets: its accounts, the holds on them, and who may command them.
//!
//! ```text
//!   Input --> Ledger::handle --> Turn { facts, waiting }
//!                  |
//!                State  <-- evolve -- facts, and the whole journal at a start
//! ```
//!
//! A bank never decides. A hold without an outcome stays a hold, for ever if it must.

mod ledger;
mod state;

pub use ledger::Ledger;
pub use state::{Account, Fence, Hold, State};

use crate::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use crate::model::{AccountNumber, BankName, ClientId, Currency, GlobalId, Start};

/// Whom an answer is for. Made by the shell, handed back untouched.
pub type Ticket = u64;

/// Every limit and wait of a ledger.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// A hold older than this is asked about, and again after as long.
    pub inquire_ms: u64,
    /// Holds without an outcome.
    pub holds_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { inquire_ms: 10_000, holds_max: 65_536 }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A start of a gateway introduces itself.
    Hello { ticket: Ticket, hello: Hello },
    /// A start of a gateway commands. `lsn` is how far its log was durable.
    Instructed { ticket: Ticket, sender: Start, lsn: u64, instructions: Vec<Instruction> },
    /// What is on an account?
    Balance { ticket: Ticket, account: AccountNumber },
    /// Time has passed.
    Tick,
}

/// What must be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    Greet {
        ticket: Ticket,
        answer: Result<Welcome, Unwelcome>,
    },
    Report {
        ticket: Ticket,
        report: Report,
    },
    /// The sender is not the start that was fenced in last: it must say Hello first, or is over.
    TurnAway {
        ticket: Ticket,
        unwelcome: Unwelcome,
    },
    Balance {
        ticket: Ticket,
        balance: Option<Balance>,
    },
    /// Ask the gateway about these.
    Inquire {
        open_holds: Vec<(GlobalId, Vec<BankName>)>,
    },
    /// Stop this process: its journal has lost what others remember.
    Halt(Unwelcome),
}

/// An account at one point of the journal.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Balance {
    pub account: AccountNumber,
    pub owner: ClientId,
    pub currency: Currency,
    pub posted_minor: i64,
    pub held_minor: i64,
    pub as_of_lsn: u64,
}
