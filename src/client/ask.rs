//! What a person typed, as a payment that cannot be malformed.
//!
//! Promises that text which is not exactly a payment is refused before anything is saved or sent,
//! in words that name the part at fault. Refuses to know where the text came from.

use super::outbox::Draft;
use crate::errors::{Failure, Reason};
use recovery::model::{AccountNumber, Amount, Currency, Memo, TransactionId};

/// The parts of one payment, as text.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    pub amount: &'a str,
    pub recipient: &'a str,
    /// None: one is made.
    pub id: Option<&'a str>,
    pub memo: &'a str,
}

impl Ask<'_> {
    /// `own` is the payer's account, where it is known already.
    pub fn parse(&self, own: Option<AccountNumber>) -> Result<Draft, Failure> {
        let amount: Amount = self
            .amount
            .parse()
            .map_err(|e| Failure::new(Reason::AmountNotPositive, format!("{e}")))?;
        let payee: AccountNumber = self
            .recipient
            .parse()
            .map_err(|e| Failure::new(Reason::AccountMalformed, format!("{e}")))?;
        if own == Some(payee) {
            let what = format!("{payee} is your own account");
            return Err(Failure::new(Reason::SameAccount, what));
        }
        let id = match self.id {
            Some(text) => transaction_id(text)?,
            None => new_id()?,
        };
        let memo: Memo =
            self.memo.parse().map_err(|e| Failure::new(Reason::MemoMalformed, format!("{e}")))?;
        Ok(Draft { id, payee, amount, currency: Currency::INR, memo })
    }
}

pub fn transaction_id(text: &str) -> Result<TransactionId, Failure> {
    text.parse().map_err(|error| Failure::new(Reason::TransactionIdMalformed, format!("{error}")))
}

/// A `UUIDv7`: unique, and ordered by the time of asking.
fn new_id() -> Result<TransactionId, Failure> {
    transaction_id(&uuid::Uuid::now_v7().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Exit;

    const OTHER: &str = "10000000000002";

    fn refused(ask: Ask<'_>) -> Reason {
        let own = "10000000000001".parse().ok();
        let failure = ask.parse(own).expect_err("refused");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.money.contains("no money moved"), "{failure}");
        failure.reason.expect("a named reason")
    }

    #[test]
    fn what_is_not_exactly_an_amount_is_refused() {
        let power = format!("1{}", "0".repeat(30));
        for amount in ["0", "-1", "1.234", "1e9", "NaN", &power, "", " 1", "1,5"] {
            let ask = Ask { amount, recipient: OTHER, ..Ask::default() };
            assert_eq!(refused(ask), Reason::AmountNotPositive, "{amount}");
        }
    }

    #[test]
    fn what_is_not_another_account_is_refused() {
        for recipient in ["1000000000002", "100000000000022", "1000000000000x", "", "ten"] {
            let ask = Ask { amount: "1", recipient, ..Ask::default() };
            assert_eq!(refused(ask), Reason::AccountMalformed, "{recipient}");
        }
        let ask = Ask { amount: "1", recipient: "10000000000001", ..Ask::default() };
        assert_eq!(refused(ask), Reason::SameAccount);
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        let long = "x".repeat(65);
        for id in ["", "my id", &long, "ü", "a/b"] {
            let ask = Ask { amount: "1", recipient: OTHER, id: Some(id), ..Ask::default() };
            assert_eq!(refused(ask), Reason::TransactionIdMalformed, "{id}");
        }
    }

    #[test]
    fn two_payments_without_an_id_are_two_payments() {
        let ask = Ask { amount: "1", recipient: OTHER, ..Ask::default() };
        let (one, other) = (ask.parse(None).expect("one"), ask.parse(None).expect("other"));
        assert!(one.id < other.id, "and the later id sorts later");
    }
}
