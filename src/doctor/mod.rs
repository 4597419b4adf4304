//! Looking an installation over, as a careful operator would. Changes nothing.

mod basics;
mod security;

pub use basics::basics;
pub use security::security;

use serde::Serialize;

/// What was found of one thing.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Good,
    /// To be thought about.
    Warning,
    /// To be changed.
    Bad,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The same word in every run.
    pub check: &'static str,
    pub verdict: Verdict,
    pub what: String,
    /// Empty where there is nothing to do.
    pub todo: String,
}

impl Finding {
    fn good(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, what: what.into(), todo: String::new() }
    }

    fn warning(check: &'static str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        let (what, todo) = (what.into(), todo.into());
        Self { check, verdict: Verdict::Warning, what, todo }
    }

    fn bad(check: &'static str, what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, ..Self::warning(check, what, todo) }
    }
}
