//! Bytes from outside, until they are values or refused.

#[path = "../fuzz/harness.rs"]
mod harness;

use proptest::prelude::*;
use prost::Message;
use recovery::model::AccountNumber;
use strife::errors::{Reason, reason_of};
use strife::wire::v1::{Leg, PaymentRequest, ProcessPaymentsRequest, TransactionRequest};
use strife::wire::{terms_from, transaction_from};

fn payer() -> AccountNumber {
    AccountNumber::try_from(10_000_000_000_001).expect("an account")
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[0-9]{13,15}",
        "[A-Za-z0-9_/-]{1,70}",
        "[A-Z]{2,4}",
        "\\PC{0,160}",
        any::<String>(),
        "[\\x00-\\x7f]{0,20}",
    ]
}

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -2_i64..3, Just(i64::MAX), Just(i64::MIN)]
}

prop_compose! {
    fn requests()(
        transaction_id in texts(), payee in texts(), amount_minor in amounts(),
        currency_code in texts(), memo in texts(),
    ) -> PaymentRequest {
        let recipient_account_number = payee;
        PaymentRequest {
            transaction_id, recipient_account_number, amount_minor, currency_code, memo,
        }
    }
}

fn framed(kind: u8, message: &impl Message) -> Vec<u8> {
    [&[kind][..], &message.encode_to_vec()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_of_a_message_bring_a_port_down(data in prop::collection::vec(any::<u8>(), 0..400)) {
        harness::read(&data);
    }

    #[test]
    fn a_payment_is_let_in_within_its_limits_or_refused_by_the_field(request in requests()) {
        harness::read(&framed(0, &request));
        harness::read(&framed(1, &ProcessPaymentsRequest { payments: vec![request.clone(); 3] }));
        let told = transaction_from(&request.transaction_id).map(drop)
            .and_then(|()| terms_from(payer(), &request).map(drop));
        if let Err(status) = told {
            let reason = reason_of(&status).expect("a reason");
            prop_assert!(matches!(
                reason,
                Reason::TransactionIdMalformed | Reason::AccountMalformed
                    | Reason::AmountNotPositive | Reason::CurrencyMalformed | Reason::MemoMalformed
            ));
            // What is refused is repeated in part only, and never long.
            prop_assert!(status.message().len() < 600, "{}", status.message());
        }
    }

    #[test]
    fn a_good_message_with_a_flipped_byte_is_still_no_way_in(
        request in requests(), kind in 0_u8..8, at in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let leg = Leg {
            account_number: request.recipient_account_number.clone(),
            amount_minor: request.amount_minor,
            ..Leg::default()
        };
        let prepare = TransactionRequest {
            transaction_id: "0000000000000001-1-1".to_owned(),
            reference: format!("client1/{}", request.transaction_id),
            legs: vec![leg.clone(), leg],
            participants: vec!["HDFC".to_owned(), "Axis".to_owned()],
            ..TransactionRequest::default()
        };
        for mut data in [framed(kind, &request), framed(2, &prepare)] {
            let place = at.index(data.len());
            data[place] ^= 1_u8 << bit;
            harness::read(&data);
        }
    }
}

#[test]
fn what_the_fuzzer_kept_is_read_without_a_fall() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/request");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("the corpus") {
        harness::read(&std::fs::read(entry.expect("an entry").path()).expect("readable"));
        count += 1;
    }
    assert!(count >= 8, "{count} files: the corpus is not here");
}

/// The limits of what comes in, in one place. A change here is a change of the contract.
#[test]
fn every_limit_of_a_request_is_the_one_that_is_written_down() {
    let good = PaymentRequest {
        transaction_id: "a".to_owned(),
        recipient_account_number: "10000000000002".to_owned(),
        amount_minor: 1,
        ..PaymentRequest::default()
    };
    let with = |change: fn(&mut PaymentRequest)| {
        let mut request = good.clone();
        change(&mut request);
        let told = transaction_from(&request.transaction_id).map(drop);
        told.and_then(|()| terms_from(payer(), &request).map(drop)).is_ok()
    };
    assert!(with(|_| {}));
    assert!(with(|it| it.transaction_id = "x".repeat(64)));
    assert!(!with(|it| it.transaction_id = "x".repeat(65)));
    assert!(with(|it| it.memo = "x".repeat(140)));
    assert!(!with(|it| it.memo = "x".repeat(141)));
    assert!(!with(|it| it.memo = "a\nb".to_owned()));
    assert!(with(|it| it.amount_minor = i64::MAX));
    assert!(!with(|it| it.amount_minor = 0));
    assert!(!with(|it| it.recipient_account_number = "1".repeat(15)));
    assert!(!with(|it| it.currency_code = "INRX".to_owned()));
    let limits = strife::config::Limits::default();
    assert_eq!((limits.message_bytes, limits.batch_bytes), (64 << 10, 4 << 20));
}
