//! Bytes from outside, as every message that a port takes, and what must hold of whatever becomes
//! of them: no panic, and a value only within its limits. Used by the fuzzer, and by a test that
//! replays what the fuzzer kept.

use prost::Message;
use recovery::model::AccountNumber;
use strife::wire::{self, v1};

/// The first byte chooses the message.
pub(crate) fn read(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 8 {
        0 => payment(bytes),
        1 => batch(bytes),
        2 => prepare(bytes),
        3 => instructions(bytes),
        4 => reports(bytes),
        5 => hello(bytes),
        6 => holds(bytes),
        _ => {
            let _ = v1::ClientInfo::decode(bytes).map(|claim| {
                claim.client_id.parse::<recovery::model::ClientId>().map(|id| id.to_string())
            });
        }
    }
}

fn payment(bytes: &[u8]) {
    if let Ok(request) = v1::PaymentRequest::decode(bytes) {
        one(&request);
    }
}

fn batch(bytes: &[u8]) {
    if let Ok(batch) = v1::ProcessPaymentsRequest::decode(bytes) {
        batch.payments.iter().for_each(one);
    }
}

/// A request that is let in says again what it said, within every limit.
fn one(request: &v1::PaymentRequest) {
    let payer = AccountNumber::try_from(10_000_000_000_001).expect("an account");
    if let Ok(id) = wire::transaction_from(&request.transaction_id) {
        assert_eq!(id.as_str(), request.transaction_id);
        assert!((1..=64).contains(&id.as_str().len()));
    }
    let Ok(terms) = wire::terms_from(payer, request) else { return };
    assert_eq!(terms.payer, payer, "the payer is nothing that a request could say");
    assert_eq!(terms.payee.to_string(), request.recipient_account_number);
    assert_eq!(terms.payee.to_string().len(), 14);
    assert!(terms.amount.minor() > 0 && terms.amount.minor() == request.amount_minor);
    assert_eq!(terms.memo.as_str(), request.memo);
    assert!(request.memo.len() <= 140 && !request.memo.chars().any(char::is_control));
    assert_eq!(terms.currency.to_string().len(), 3);
}

fn prepare(bytes: &[u8]) {
    let Ok(request) = v1::TransactionRequest::decode(bytes) else { return };
    let Ok((payment, order)) = wire::prepare_from(&request) else { return };
    assert_eq!(payment.to_string(), request.transaction_id);
    assert!(order.terms.amount.minor() > 0);
    assert_eq!(order.reference.to_string(), request.reference);
}

fn instructions(bytes: &[u8]) {
    let Ok(request) = v1::ParticipateRequest::decode(bytes) else { return };
    let _ = wire::intro_from(request.gateway.as_ref());
    for instruction in &request.instructions {
        let _ = wire::instruction_from(instruction);
    }
}

/// What is understood is written as it was read.
fn reports(bytes: &[u8]) {
    let Ok(response) = v1::ParticipateResponse::decode(bytes) else { return };
    for report in &response.reports {
        if let Ok(read) = wire::report_from(report) {
            let again = wire::report_from(&wire::report_to(&read)).expect("its own words");
            assert_eq!(again, read);
        }
    }
}

fn hello(bytes: &[u8]) {
    let Ok(request) = v1::HelloRequest::decode(bytes) else { return };
    if let Ok(read) = wire::hello_from(&request) {
        let again = wire::hello_from(&wire::hello_to(&read)).expect("its own words");
        assert_eq!(again, read);
    }
}

fn holds(bytes: &[u8]) {
    let Ok(request) = v1::InquireRequest::decode(bytes) else { return };
    if let Ok(read) = wire::holds_from(&request.open_holds) {
        assert_eq!(wire::holds_from(&wire::holds_to(&read)).expect("its own words"), read);
    }
}
