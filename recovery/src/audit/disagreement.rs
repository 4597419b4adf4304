//! The ways in which logs can contradict each other, each with the invariant that it breaks and the
//! side that is provably wrong, where there is one.

use crate::model::{AccountNumber, BankName, GlobalId, Reference};

/// Two logs say what cannot both be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Disagreement {
    #[error("bank {bank} has posted {payment}, which the gateway has not decided")]
    PostedUndecided { payment: GlobalId, bank: BankName },
    #[error("bank {bank} has posted {payment}, of which the gateway knows nothing")]
    PostedUnknown { payment: GlobalId, bank: BankName },
    #[error("bank {bank} has posted {payment}, which was decided to abort")]
    PostedAgainstAbort { payment: GlobalId, bank: BankName },
    #[error("bank {bank} has aborted {payment}, which was decided to commit")]
    AbortedAgainstCommit { payment: GlobalId, bank: BankName },
    #[error("bank {bank} was told a decision on {payment} by hand, which the gateway's log lacks")]
    ForcedUnknown { payment: GlobalId, bank: BankName },
    #[error("bank {bank} has no hold for {payment}, which was decided to commit on its vote")]
    HoldLost { payment: GlobalId, bank: BankName },
    #[error("bank {bank} has no outcome for {payment}, and had reported one")]
    OutcomeLost { payment: GlobalId, bank: BankName },
    #[error("bank {bank} was told to forget {payment}, which is not over")]
    ForgottenTooEarly { payment: GlobalId, bank: BankName },
    #[error("bank {bank} holds {payment}, which no start of this gateway can have begun")]
    Stranger { payment: GlobalId, bank: BankName },
    #[error("bank {bank} holds {payment} with another {field} than was ordered")]
    TermsDiffer { payment: GlobalId, bank: BankName, field: &'static str },
    #[error("{reference} moved money twice: as {first} and as {second}")]
    PaidTwice { reference: Reference, first: GlobalId, second: GlobalId },
    #[error("{payment} is counted as open and as over")]
    OpenSetWrong { payment: GlobalId },
    #[error("bank {bank} is not the data directory that joined")]
    OtherDirectory { bank: BankName },
    #[error("the gateway remembers record {remembered} of bank {bank}'s journal, which lacks it")]
    JournalLost { bank: BankName, remembered: u64 },
    #[error("bank {bank} remembers record {remembered} of the gateway's log, which lacks it")]
    LogLost { bank: BankName, remembered: u64 },
    #[error("account {} is known to the gateway and not to bank {bank}", account.masked())]
    AccountMissing { bank: BankName, account: AccountNumber },
    #[error("account {} of bank {bank} is not in the gateway's directory", account.masked())]
    AccountUnlisted { bank: BankName, account: AccountNumber },
    #[error("account {} of bank {bank} has another {field} in the gateway's log", account.masked())]
    AccountDiffers { bank: BankName, account: AccountNumber, field: &'static str },
    #[error(
        "account {} of bank {bank} has {found_minor} minor units posted; its opening and its \
         payments make {expected_minor}",
        account.masked()
    )]
    BalanceWrong { bank: BankName, account: AccountNumber, expected_minor: i128, found_minor: i64 },
    #[error(
        "account {} of bank {bank} has {found_minor} minor units set aside; its holds make \
         {expected_minor}",
        account.masked()
    )]
    HeldWrong { bank: BankName, account: AccountNumber, expected_minor: i128, found_minor: i64 },
    #[error("account {} of bank {bank} can spend {available_minor} minor units", account.masked())]
    Overdrawn { bank: BankName, account: AccountNumber, available_minor: i64 },
}

/// The side whose log is provably not what it was.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    Gateway,
    Bank(BankName),
    /// One of the two; the logs alone do not say which.
    Either(BankName),
}

impl Disagreement {
    /// The invariant that is broken, as the documents number it.
    pub fn invariant(&self) -> &'static str {
        match self {
            Self::PostedUndecided { .. } | Self::PostedUnknown { .. } => "I2",
            Self::PostedAgainstAbort { .. }
            | Self::AbortedAgainstCommit { .. }
            | Self::ForcedUnknown { .. } => "I9",
            Self::HoldLost { .. } | Self::OutcomeLost { .. } | Self::OpenSetWrong { .. } => "I8",
            Self::ForgottenTooEarly { .. } => "I5",
            Self::Stranger { .. } | Self::TermsDiffer { .. } => "I11",
            Self::PaidTwice { .. } => "I4",
            Self::OtherDirectory { .. } | Self::JournalLost { .. } | Self::LogLost { .. } => "I12",
            Self::AccountMissing { .. }
            | Self::AccountUnlisted { .. }
            | Self::AccountDiffers { .. }
            | Self::BalanceWrong { .. } => "I1",
            Self::HeldWrong { .. } | Self::Overdrawn { .. } => "I6",
        }
    }

    /// Who is wrong.
    pub fn wrong(&self) -> Wrong {
        match self {
            Self::PostedUndecided { bank, .. }
            | Self::PostedUnknown { bank, .. }
            | Self::PostedAgainstAbort { bank, .. }
            | Self::AbortedAgainstCommit { bank, .. }
            | Self::ForcedUnknown { bank, .. }
            | Self::Stranger { bank, .. }
            | Self::TermsDiffer { bank, .. }
            | Self::AccountUnlisted { bank, .. }
            | Self::AccountMissing { bank, .. }
            | Self::AccountDiffers { bank, .. } => Wrong::Either(*bank),
            Self::HoldLost { bank, .. }
            | Self::OutcomeLost { bank, .. }
            | Self::OtherDirectory { bank }
            | Self::JournalLost { bank, .. }
            | Self::BalanceWrong { bank, .. }
            | Self::HeldWrong { bank, .. }
            | Self::Overdrawn { bank, .. } => Wrong::Bank(*bank),
            Self::ForgottenTooEarly { .. }
            | Self::PaidTwice { .. }
            | Self::OpenSetWrong { .. }
            | Self::LogLost { .. } => Wrong::Gateway,
        }
    }
}
