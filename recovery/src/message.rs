//! What the gateway and the banks say to each other, as values. The wire is the shell's business.

use crate::model::{
    Aborted, BankName, ClientId, Decision, GlobalId, HoldState, Memo, Order, Start, Witness,
};

/// The gateway introduces one of its starts to a bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    pub gateway: Start,
    /// How far the gateway's log is durable.
    pub gateway_lsn: u64,
    pub bank: BankName,
    /// What the bank was found to remember of this gateway's log, and the log was found to hold.
    pub checked: Option<Witness>,
    /// What the gateway remembers of the bank's journal.
    pub remembered: Option<Witness>,
    /// Payments of earlier starts without a decision: where does each stand?
    pub undecided: Vec<GlobalId>,
}

/// The bank lets that start in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    pub bank: Start,
    /// How far the bank's journal is durable.
    pub bank_lsn: u64,
    pub states: Vec<(GlobalId, HoldState)>,
    /// Held here, outcome unknown, with all who take part.
    pub open_holds: Vec<(GlobalId, Vec<BankName>)>,
}

/// The bank does not let that start in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unwelcome {
    #[error("this is bank {here}, not {asked}")]
    OtherBank { here: BankName, asked: BankName },
    #[error("this bank belongs to another installation")]
    OtherCluster,
    #[error("no record of this bank admits that gateway's data directory")]
    NotAdmitted,
    /// Not a refusal yet: look this up in your log and say Hello again. The fence replaces what is
    /// remembered here, so it must not fall before the gateway has found its own log whole.
    #[error("the bank remembers record {} of the gateway's log", remembered.lsn)]
    Prove { remembered: Witness },
    #[error("a gateway of epoch {fenced} drives this bank; yours is of epoch {offered}")]
    Fenced { fenced: u64, offered: u64 },
    #[error(
        "the gateway remembers record {remembered} of this bank's journal, which this journal \
         does not hold"
    )]
    JournalLost { remembered: u64 },
}

/// One instruction of the gateway to one bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Instruction {
    Prepare {
        payment: GlobalId,
        order: Box<Order>,
    },
    /// `lazily`: the gateway does not wait for the posting to be durable.
    Commit {
        payment: GlobalId,
        lazily: bool,
    },
    /// `aborted`: the payment whole, so that the bank's journal alone can tell it; `None` for one
    /// whose beginning the gateway has lost.
    Abort {
        payment: GlobalId,
        aborted: Option<Box<Aborted>>,
    },
    /// Decided by hand: do it if you can, and say in any case what you have done.
    Force {
        payment: GlobalId,
        decision: Decision,
        by: Box<Heuristic>,
        /// Of an abort, as with that.
        aborted: Option<Box<Aborted>>,
    },
    /// All payments of that origin through this one are over, durably, on all sides.
    Forget {
        through: GlobalId,
    },
}

/// Who decided a payment by hand, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heuristic {
    pub why: Memo,
    pub asked_by: ClientId,
    pub approved_by: ClientId,
}

/// One answer of a bank. Durable in its journal when it is sent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub payment: GlobalId,
    pub state: HoldState,
    /// The instruction contradicted what is recorded; `state` is what is recorded.
    pub alarm: bool,
}
