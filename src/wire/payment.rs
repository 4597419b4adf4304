//! What clients ask for: from bytes to values, or to the reason why not.
//!
//! The limits of every field stand with the values themselves, in `recovery::model`. The payer is
//! no field: it is whoever is signed in.

use super::v1::PaymentRequest;
use crate::errors::{self, Reason};
use recovery::model::{AccountNumber, Amount, Currency, IdError, Memo, Terms, TransactionId};
use tonic::Status;

/// The client's own name for a payment.
pub fn transaction_from(text: &str) -> Result<TransactionId, Status> {
    text.parse()
        .map_err(|error: IdError| errors::status(Reason::TransactionIdMalformed, error.to_string()))
}

/// The payment that a request asks for, by a payer who is not part of it.
pub fn terms_from(payer: AccountNumber, request: &PaymentRequest) -> Result<Terms, Status> {
    let account = &request.recipient_account_number;
    let payee: AccountNumber = account
        .parse()
        .map_err(|error: IdError| errors::status(Reason::AccountMalformed, error.to_string()))?;
    let amount = Amount::try_from(request.amount_minor)
        .map_err(|error| errors::status(Reason::AmountNotPositive, error.to_string()))?;
    let currency = match request.currency_code.as_str() {
        "" => Currency::INR,
        code => code.parse().map_err(|error: recovery::model::CurrencyError| {
            errors::status(Reason::CurrencyMalformed, error.to_string())
        })?,
    };
    let memo: Memo = request.memo.parse().map_err(|error: recovery::model::MemoError| {
        errors::status(Reason::MemoMalformed, error.to_string())
    })?;
    Ok(Terms { payer, payee, amount, currency, memo })
}
