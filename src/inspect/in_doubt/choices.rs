//! What could be done about a payment that is not decided, and what each would put at risk.
//!
//! Waiting risks nothing and keeps money set aside. An abort is wrong where a bank has posted, a
//! commit where one has promised nothing; where a bank cannot be asked and its journal cannot be
//! read, both may be.

use recovery::model::{BankName, HoldState};
use serde::Serialize;

/// One of `wait`, `abort`, `commit`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Choice {
    pub choice: &'static str,
    /// What would be wrong, at worst.
    pub at_risk_minor: i64,
    pub why: String,
}

fn list(banks: &[BankName]) -> String {
    let names: Vec<&str> = banks.iter().map(BankName::as_str).collect();
    names.join(" and ")
}

/// For an undecided payment over `amount`, by what is known of each of its banks.
pub(super) fn undecided(known: &[(BankName, Option<HoldState>)], amount: i64) -> Vec<Choice> {
    let those = |wanted: fn(&Option<HoldState>) -> bool| -> Vec<BankName> {
        known.iter().filter(|(_, state)| wanted(state)).map(|(bank, _)| *bank).collect()
    };
    let dark = those(Option::is_none);
    let posted = those(|state| *state == Some(HoldState::Posted));
    let held = those(|state| *state == Some(HoldState::Held));
    let free = those(|state| {
        matches!(state, Some(HoldState::Unknown | HoldState::Released | HoldState::Refused(_)))
    });
    let meanwhile = if held.is_empty() {
        "the default; nothing is set aside meanwhile".to_owned()
    } else {
        format!("the default; {} keeps the money set aside meanwhile", list(&held))
    };
    let wait = Choice { choice: "wait", at_risk_minor: 0, why: meanwhile };
    let weigh = |choice, certain: &[BankName], certainly: &str, perhaps: &str, fine: &str| {
        let (at_risk_minor, why) = match (certain, &dark[..]) {
            ([], []) => (0, fine.to_owned()),
            ([], dark) => (amount, format!("if {}, which cannot be seen, {perhaps}", list(dark))),
            (certain, _) => (amount, format!("{} {certainly}", list(certain))),
        };
        Choice { choice, at_risk_minor, why }
    };
    let abort = weigh("abort", &posted, "has posted it", "has posted it", "no bank has posted it");
    let promised = "every bank has promised";
    let nothing = "has promised nothing";
    vec![wait, abort, weigh("commit", &free, nothing, nothing, promised)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risks(known: &[(&str, Option<HoldState>)]) -> Vec<i64> {
        let known = known.iter().map(|(name, state)| (name.parse().expect("a bank"), *state));
        let known: Vec<_> = known.collect();
        undecided(&known, 700).into_iter().map(|choice| choice.at_risk_minor).collect()
    }

    #[test]
    fn what_cannot_be_seen_puts_both_choices_at_risk_and_waiting_none() {
        assert_eq!(risks(&[("HDFC", Some(HoldState::Held)), ("ICICI", None)]), [0, 700, 700]);
    }

    #[test]
    fn what_is_seen_leaves_only_the_choice_that_it_contradicts_at_risk() {
        let held = ("HDFC", Some(HoldState::Held));
        assert_eq!(risks(&[held, ("ICICI", Some(HoldState::Posted))]), [0, 700, 0]);
        assert_eq!(risks(&[held, ("ICICI", Some(HoldState::Unknown))]), [0, 0, 700]);
        assert_eq!(risks(&[held, ("ICICI", Some(HoldState::Held))]), [0, 0, 0]);
    }
}
