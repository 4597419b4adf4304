//! What a payment is about: its parameters, its parts, and how it can end.

use super::id::{AccountNumber, BankName, Reference};
use super::money::{Amount, Currency};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// The payer's text: at most [`Memo::BYTES_MAX`] bytes, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Memo(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a memo is at most 140 bytes without control characters")]
pub struct MemoError;

impl Memo {
    pub const BYTES_MAX: usize = 140;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Memo {
    type Err = MemoError;
    fn from_str(text: &str) -> Result<Self, MemoError> {
        if text.len() > Self::BYTES_MAX || text.chars().any(char::is_control) {
            return Err(MemoError);
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Memo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The parameters that a transaction id stands for. Compared field by field on every retry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    pub payer: AccountNumber,
    pub payee: AccountNumber,
    pub amount: Amount,
    pub currency: Currency,
    pub memo: Memo,
}

impl Terms {
    /// The first field, by its name on the wire, in which `other` differs.
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.payer != other.payer {
            Some("payer_account_number")
        } else if self.payee != other.payee {
            Some("recipient_account_number")
        } else if self.amount != other.amount {
            Some("amount_minor")
        } else if self.currency != other.currency {
            Some("currency_code")
        } else if self.memo != other.memo {
            Some("memo")
        } else {
            None
        }
    }
}

/// The debit or the credit half of a payment.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Side {
    Debit,
    Credit,
}

/// A payment that was aborted, as the gateway tells a bank of it: enough to tell it again from that
/// bank's journal alone, with the reason that its payer was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Aborted {
    pub order: Order,
    pub reason: Reason,
}

/// A payment as every side that logs it knows it: enough to tell it again from any one log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    pub reference: Reference,
    pub terms: Terms,
    pub payer_bank: BankName,
    pub payee_bank: BankName,
}

impl Order {
    /// The banks that take part: one, when payer and payee share it.
    pub fn participants(&self) -> impl Iterator<Item = BankName> {
        let second = (self.payee_bank != self.payer_bank).then_some(self.payee_bank);
        std::iter::once(self.payer_bank).chain(second)
    }

    /// The account on one side.
    pub fn account(&self, side: Side) -> AccountNumber {
        match side {
            Side::Debit => self.terms.payer,
            Side::Credit => self.terms.payee,
        }
    }

    /// The sides that `bank` carries.
    pub fn sides_at(&self, bank: BankName) -> impl Iterator<Item = Side> {
        let debit = (self.payer_bank == bank).then_some(Side::Debit);
        let credit = (self.payee_bank == bank).then_some(Side::Credit);
        debit.into_iter().chain(credit)
    }
}

/// Why a payment was declined. The names are public.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Reason {
    InsufficientFunds,
    AccountNotFound,
    AccountClosed,
    CurrencyMismatch,
    /// The payee's balance would not fit.
    BalanceOverflow,
    /// Not every vote came in time.
    PrepareTimeout,
    /// The gateway stopped before it had decided.
    Interrupted,
    /// The prepare came after its abort, or after the bank was told to forget.
    TooLate,
    /// The bank's log disk is nearly full.
    LogFull,
    /// The bank votes no and gives no reason that is known here.
    Declined,
    /// Two operators ended it by hand while a bank could not be asked.
    Heuristic,
}

impl Reason {
    pub const ALL: [Self; 11] = [
        Self::InsufficientFunds,
        Self::AccountNotFound,
        Self::AccountClosed,
        Self::CurrencyMismatch,
        Self::BalanceOverflow,
        Self::PrepareTimeout,
        Self::Interrupted,
        Self::TooLate,
        Self::LogFull,
        Self::Declined,
        Self::Heuristic,
    ];

    /// As on the wire, in UPPER_SNAKE.
    pub fn name(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "INSUFFICIENT_FUNDS",
            Self::AccountNotFound => "ACCOUNT_NOT_FOUND",
            Self::AccountClosed => "ACCOUNT_CLOSED",
            Self::CurrencyMismatch => "CURRENCY_MISMATCH",
            Self::BalanceOverflow => "BALANCE_OVERFLOW",
            Self::PrepareTimeout => "PREPARE_TIMEOUT",
            Self::Interrupted => "INTERRUPTED",
            Self::TooLate => "TOO_LATE",
            Self::LogFull => "LOG_FULL",
            Self::Declined => "DECLINED",
            Self::Heuristic => "HEURISTIC",
        }
    }

    /// The reason of that name; a foreign bank's own words are [`Reason::Declined`].
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or(Self::Declined)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a payment ends. Never reconsidered.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Decision {
    Commit,
    Abort(Reason),
}

/// A participant's vote.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Vote {
    Ready,
    Refused(Reason),
}

/// Where a payment stands at one bank.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum HoldState {
    /// Never heard of.
    Unknown,
    /// Prepared; the outcome is not known here.
    Held,
    /// Committed here.
    Posted,
    /// Aborted here: a hold let go, or a tombstone for a prepare that never came.
    Released,
    /// Voted no here.
    Refused(Reason),
}
