//! A lost log made again from the others says what the lost one said.

use recovery::bank;
use recovery::fact::{
    AccountOpened, BankFact, Founded, Held, Posted, Refused, Released, Tombstoned,
};
use recovery::gateway;
use recovery::model::{
    Aborted, Amount, BankName, Cluster, Currency, Decision, GlobalId, Heard, HoldState, Lineage,
    Memo, Order, Reason, Reference, Terms,
};
use recovery::rebuild::{Survivors, first_lsn, journal};
use recovery::replay::Fold;
use wal::Lsn;

const OLD: Lineage = Lineage([2; 16]);
const NEW: Lineage = Lineage([9; 16]);
const HEARD: Heard = Heard { gateway: OLD, lsn: 0 };

fn name(text: &str) -> BankName {
    text.parse().expect("a bank")
}

fn id(number: u64) -> GlobalId {
    GlobalId { origin: OLD.origin(), epoch: 1, number }
}

/// client1 at HDFC pays client2 at ICICI.
fn order(transaction: &str, minor: i64) -> Order {
    let account = |number: u64| number.try_into().expect("an account");
    Order {
        reference: Reference {
            client: "client1".parse().expect("a client"),
            transaction: transaction.parse().expect("an id"),
        },
        terms: Terms {
            payer: account(1),
            payee: account(2),
            amount: Amount::try_from(minor).expect("positive"),
            currency: Currency::INR,
            memo: Memo::default(),
        },
        payer_bank: name("HDFC"),
        payee_bank: name("ICICI"),
    }
}

fn founded(bank: &str, account: u64) -> Vec<BankFact> {
    let lineage = Lineage([account as u8; 16]);
    let owner = "client1".parse().expect("a client");
    let account = account.try_into().expect("an account");
    vec![
        Founded { cluster: Cluster([1; 16]), lineage, bank: name(bank), gateway: OLD }.into(),
        AccountOpened { account, owner, currency: Currency::INR, opening_minor: 1_000 }.into(),
    ]
}

fn held(number: u64, order: &Order) -> BankFact {
    Held { payment: id(number), order: order.clone(), heard: HEARD }.into()
}

fn posted(number: u64) -> BankFact {
    Posted { payment: id(number), heard: HEARD }.into()
}

fn tombstoned(number: u64) -> BankFact {
    Tombstoned { payment: id(number), heard: HEARD, aborted: None }.into()
}

fn fold<S: Fold>(facts: &[S::Fact]) -> S {
    let mut state = S::default();
    for (lsn, fact) in (1..).zip(facts) {
        state.evolve(fact, Lsn::new(lsn), 0).expect("a legal log");
    }
    state
}

fn survivors(journals: [(&str, Vec<BankFact>); 2]) -> Survivors {
    let mut survivors = Survivors::default();
    for (bank, facts) in journals {
        for fact in &facts {
            survivors.record(name(bank), fact);
        }
    }
    survivors
}

#[test]
fn the_banks_remember_every_outcome_that_anyone_was_told() {
    let (half, held_only, no) = (order("half", 100), order("held", 50), order("no", 9_000));
    let alone = Order { payee_bank: name("HDFC"), ..order("alone", 9_000) };
    let mut payer = founded("HDFC", 1);
    let refused = Reason::InsufficientFunds;
    payer.extend([held(1, &half), posted(1), held(2, &held_only)]);
    let (payment, reference) = (id(3), no.reference);
    let (reason, heard, order) = (refused, HEARD, None);
    payer.push(Refused { payment, reference, reason, heard, order }.into());
    let (payment, reference, order) = (id(4), alone.reference, Some(alone.clone()));
    payer.push(Refused { payment, reference, reason, heard, order }.into());
    let mut payee = founded("ICICI", 2);
    payee.extend([held(1, &half), held(2, &held_only), held(3, &no)]);

    let facts = survivors([("HDFC", payer), ("ICICI", payee)]).log(NEW).expect("journals");
    let gateway: gateway::State = fold(&facts);

    let decision = |number| gateway.payments[&id(number)].payment.decision();
    assert_eq!(decision(1), Some(Decision::Commit), "posted at one bank");
    assert_eq!(decision(2), Some(Decision::Abort(Reason::Interrupted)), "held and nothing else");
    assert_eq!(decision(3), Some(Decision::Abort(refused)), "refused at one bank");
    assert_eq!(decision(4), Some(Decision::Abort(refused)), "one bank alone, and it refused");
    assert_eq!(gateway.by_reference[&alone.reference], id(4), "declined stays declined");
    assert_eq!(gateway.by_reference[&half.reference], id(1), "the id answers as before");
    assert_eq!(gateway.open.len(), 3, "each still has a hold to settle");
    assert_eq!(gateway.accounts.len(), 2);
}

/// What no bank had heard of when it was aborted has an answer too, and so has what was let go
/// because the gateway's time was up.
#[test]
fn an_abort_is_told_again_with_its_reason_from_any_one_bank() {
    let (late, buried) = (order("late", 100), order("buried", 50));
    let reason = Reason::PrepareTimeout;
    let mut payer = founded("HDFC", 1);
    payer.push(held(1, &late));
    payer.push(Released { payment: id(1), heard: HEARD, reason: Some(reason) }.into());
    let mut payee = founded("ICICI", 2);
    let aborted = Some(Aborted { order: buried.clone(), reason });
    payee.push(Tombstoned { payment: id(2), heard: HEARD, aborted }.into());
    let facts = survivors([("HDFC", payer), ("ICICI", payee)]).log(NEW).expect("journals");
    let gateway: gateway::State = fold(&facts);
    for (number, order) in [(1, late), (2, buried)] {
        assert_eq!(gateway.by_reference[&order.reference], id(number));
        let entry = &gateway.payments[&id(number)];
        assert_eq!(entry.payment.decision(), Some(Decision::Abort(reason)));
        assert_eq!(gateway.order(entry), order);
    }
}

#[test]
fn a_committed_attempt_answers_for_its_id_and_not_a_later_aborted_one() {
    let order = order("twice", 100);
    let mut payer = founded("HDFC", 1);
    payer.extend([held(1, &order), posted(1), held(2, &order)]);
    let mut payee = founded("ICICI", 2);
    payee.extend([held(1, &order), posted(1), tombstoned(2)]);
    let facts = survivors([("HDFC", payer), ("ICICI", payee)]).log(NEW).expect("journals");
    let gateway: gateway::State = fold(&facts);
    assert_eq!(gateway.by_reference[&order.reference], id(1));
}

#[test]
fn the_log_made_again_begins_above_every_number_that_a_bank_heard_and_folds() {
    for (seen, first) in [(0, 1_000_000_001), (999_999_999, 1_000_000_001)] {
        assert_eq!(first_lsn(seen), Lsn::new(first));
    }
    assert_eq!(first_lsn(1_000_000_000), Lsn::new(2_000_000_001));
    let heard = |lsn| Heard { gateway: OLD, lsn };
    let mut payer = founded("HDFC", 1);
    payer.extend([held(1, &order("a", 100)), posted(1)]);
    payer.push(Posted { payment: id(2), heard: heard(1_400_000_000) }.into());
    let survivors = survivors([("HDFC", payer), ("ICICI", founded("ICICI", 2))]);
    let mut lsn = survivors.first_lsn();
    assert_eq!(lsn, Lsn::new(2_000_000_001));
    let mut state = gateway::State::default();
    for fact in survivors.log(NEW).expect("journals") {
        state.evolve(&fact, lsn, 0).expect("a log may begin at any number, and goes on from there");
        lsn = lsn.next();
    }
    let began = Lsn::new(lsn.get() + 1);
    let stopped = recovery::fact::Stopped {};
    state.evolve(&stopped.into(), began, 0).expect_err("a gap");
}

#[test]
fn a_bank_whose_journal_was_not_read_is_named() {
    let mut survivors = Survivors::default();
    let mut payer = founded("HDFC", 1);
    payer.push(held(1, &order("a", 1)));
    for fact in &payer {
        survivors.record(name("HDFC"), fact);
    }
    assert_eq!(survivors.missing(), [name("ICICI")]);
}

#[test]
fn a_journal_made_again_has_the_balances_of_the_lost_one() {
    let (yes, no) = (order("yes", 300), order("no", 9_000));
    let mut payer = founded("HDFC", 1);
    payer.extend([held(1, &yes), posted(1), tombstoned(2)]);
    let mut payee = founded("ICICI", 2);
    payee.extend([held(1, &yes), posted(1), held(2, &no)]);
    let lost: bank::State = fold(&payer);
    let facts = survivors([("HDFC", payer), ("ICICI", payee)]).log(NEW).expect("journals");
    let gateway: gateway::State = fold(&facts);

    let facts = journal(&gateway, name("HDFC"), Lineage([7; 16])).expect("it has joined");
    let made: bank::State = fold(&facts);

    assert_eq!(made.accounts, lost.accounts);
    assert_eq!(made.hold_state(id(1)), HoldState::Posted);
    assert_eq!(made.hold_state(id(2)), HoldState::Released, "a late prepare is refused");
}
