//! How a failure is told: to a person on stderr, to a script as an exit code, to a caller as a
//! gRPC status.
//!
//! A person is told four things: what happened, what it means for the money, what to do, and the
//! reason. Every reason has one row in [`Reason`]'s catalogue, and everything else is read from it.
//! Nothing here knows how a failure came about.

mod reason;
mod status;
mod wrap;

pub use reason::{Entry, Reason};
pub use status::{DOMAIN, code_exit, declined, explain, metadata_of, reason_of, retry_of};
pub use status::{status, status_retry, status_with};
pub(crate) use wrap::wrap;

use std::fmt;

/// How the process ends. The numbers are public.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Exit {
    Done = 0,
    Unexpected = 1,
    Usage = 2,
    Declined = 3,
    Unreachable = 4,
    NotAllowed = 5,
    Damaged = 6,
    Unknown = 7,
    Configuration = 8,
    Queued = 75,
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [Self; 11] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Declined,
        Self::Unreachable,
        Self::NotAllowed,
        Self::Damaged,
        Self::Unknown,
        Self::Configuration,
        Self::Queued,
        Self::Interrupted,
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    /// The word that begins the first line of an error.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "error",
            Self::Usage => "usage",
            Self::Declined => "declined",
            Self::Unreachable => "unreachable",
            Self::NotAllowed => "not allowed",
            Self::Damaged => "damaged",
            Self::Unknown => "unknown",
            Self::Configuration => "configuration",
            Self::Queued => "queued",
            Self::Interrupted => "interrupted",
        }
    }

    /// What a script may conclude.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "unexpected: a defect, or the machine's fault",
            Self::Usage => "the command or the request was wrong; nothing was begun",
            Self::Declined => "declined, or not found: the money did not move",
            Self::Unreachable => "unreachable or overloaded; nothing was begun",
            Self::NotAllowed => "not authenticated, or not allowed",
            Self::Damaged => "damaged data or a broken invariant",
            Self::Unknown => "the outcome is unknown or pending: ask again, never pay again",
            Self::Configuration => {
                "configuration, certificates, a port in use, the home locked or of another version"
            }
            Self::Queued => "queued offline; it will be sent under the same id",
            Self::Interrupted => "interrupted",
        }
    }

    /// The exit of that number, for a parent that watched a child end.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }
}

/// Why a command ends without doing what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// What happened: one clause, lower case, no full stop.
    pub what: String,
    /// What it means for the money; empty where no money was in play.
    pub money: String,
    /// What to do now; empty only where nothing can be done.
    pub todo: String,
    /// The public name of the reason.
    pub reason: Option<Reason>,
}

impl Failure {
    /// A failure as its catalogue row tells it, with `what` in particular.
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        let entry = reason.entry();
        Self {
            exit: entry.exit,
            what: what.into(),
            money: entry.money.to_owned(),
            todo: entry.todo.to_owned(),
            reason: Some(reason),
        }
    }

    /// A failure that no reason names.
    pub fn plain(exit: Exit, what: impl Into<String>) -> Self {
        let (money, todo) = (String::new(), String::new());
        Self { exit, what: what.into(), money, todo, reason: None }
    }

    /// A defect, or the machine's fault, with its cause told to the end of the chain.
    pub fn unexpected(doing: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        Self::plain(Exit::Unexpected, format!("cannot {doing}: {}", chain(cause)))
    }

    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    #[must_use]
    pub fn money(mut self, money: impl Into<String>) -> Self {
        self.money = money.into();
        self
    }

    #[must_use]
    pub fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = todo.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.exit.word(), self.what)?;
        let told = [self.money.as_str(), self.todo.as_str()];
        let told: Vec<&str> = told.into_iter().filter(|text| !text.is_empty()).collect();
        for line in wrap::wrap(&told.join(" "), wrap::COLUMNS_MAX - 2) {
            write!(f, "\n  {line}")?;
        }
        match self.reason {
            Some(reason) => write!(f, "\n  reason: {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// An error and all its sources, outermost first, each told once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_what_it_means_what_to_do_and_why() {
        let failure = Failure::new(Reason::BankUnavailable, "HDFC does not answer")
            .todo("Try again: strife transfer 5 10000000000002");
        insta::assert_snapshot!(failure, @r"
        unreachable: HDFC does not answer
          Nothing was begun: no money moved. Try again: strife transfer 5 10000000000002
          reason: BANK_UNAVAILABLE
        ");
    }

    #[test]
    fn exit_codes_are_the_public_numbers() {
        let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 75, 130]);
        assert_eq!(Exit::from_code(75), Some(Exit::Queued));
        assert_eq!(Exit::from_code(9), None);
    }
}
