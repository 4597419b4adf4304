//! The book against the state that the same journal folds into.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::view::script::{self, IDENTITY, Script};
use crate::view::{Cause, Verdict, ViewAhead, catch_up};
use recovery::bank::State;
use recovery::fact::{
    AccountOpened, BankStarted, Forgot, Founded, Held, Posted, Refused, Released, Tombstoned,
};
use recovery::model::{Currency, Heard, Lineage, Reason, StartId, Terms};
use std::path::PathBuf;
use tempfile::TempDir;

const ACCOUNTS: usize = 5;

fn bank() -> BankName {
    "HDFC".parse().unwrap()
}

fn account(index: usize) -> AccountNumber {
    AccountNumber::try_from(index as u64).unwrap()
}

/// Every kind of fact that a bank logs, in an order that is legal and otherwise random.
fn random_journal(seed: u64, facts: usize) -> Script<State> {
    let mut script = Script::<State>::new(seed);
    let Identity { cluster, lineage } = IDENTITY;
    let (gateway, bank) = (Lineage([9; 16]), bank());
    script.push(Founded { cluster, lineage, bank, gateway });
    script.push(BankStarted { epoch: 1, start_id: StartId([1; 16]), version: "1".into() });
    for index in 0..ACCOUNTS {
        let owner = format!("client{index}").parse().unwrap();
        let (account, currency, opening_minor) = (account(index), Currency::INR, 5_000);
        script.push(AccountOpened { account, owner, currency, opening_minor });
    }
    let mut number = 0;
    while script.records.len() < facts {
        random_fact(&mut script, &mut number);
    }
    script
}

fn random_fact(script: &mut Script<State>, number: &mut u64) {
    let heard = Heard { gateway: Lineage([9; 16]), lsn: *number };
    let id = |number| GlobalId { origin: 5, epoch: 1, number };
    let earlier = id(number.saturating_sub(script.below(10) as u64));
    match script.below(10) {
        0..=3 => {
            *number += 1;
            let (payment, order) = (id(*number), random_order(script));
            script.offer(Held { payment, order, heard });
        }
        4 => {
            *number += 1;
            let (payment, reference) = (id(*number), random_order(script).reference);
            let (reason, order) = (Reason::AccountNotFound, None);
            script.offer(Refused { payment, reference, reason, heard, order });
        }
        5 => {
            *number += 1;
            script.offer(Tombstoned { payment: id(*number), heard, aborted: None });
        }
        6 | 7 => {
            script.offer(Posted { payment: earlier, heard });
        }
        8 => {
            script.offer(Released { payment: earlier, heard, reason: None });
        }
        _ => {
            let through = id(number.saturating_sub(15));
            script.offer(Forgot { through });
        }
    }
}

/// From here, to here, or within this bank.
fn random_order(script: &mut Script<State>) -> Order {
    let client = "client1".parse().unwrap();
    let transaction = format!("tx-{}", script.below(1_000)).parse().unwrap();
    let other: BankName = "Axis".parse().unwrap();
    let banks = [(bank(), other), (other, bank()), (bank(), bank())][script.below(3)];
    let terms = Terms {
        payer: account(script.below(ACCOUNTS)),
        payee: account(script.below(ACCOUNTS)),
        amount: (1 + script.below(900) as i64).try_into().unwrap(),
        currency: Currency::INR,
        memo: "rent".parse().unwrap(),
    };
    let reference = Reference { client, transaction };
    Order { reference, terms, payer_bank: banks.0, payee_bank: banks.1 }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bank_HDFC.db");
    (directory, path)
}

fn opened(path: &Path, log_last: u64) -> Opened<Book> {
    open(path, IDENTITY, bank(), log_last).unwrap()
}

/// Everything that the file says is what the state says, and nothing else is there.
fn assert_shows(path: &Path, state: &State) {
    let (applied_lsn, shown) = accounts(path).unwrap();
    assert_eq!(applied_lsn, state.last.get());
    let expected = state.accounts.iter().map(|(number, account)| AccountRow {
        account_number: number.to_string(),
        client_id: account.owner.to_string(),
        balance_minor: account.posted_minor,
        held_minor: account.held_minor,
    });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    let sql = sqlite::reader(path).unwrap();
    let sum = "SELECT coalesce(sum(incoming_minor), 0) FROM balances";
    let incoming = sql.query_row(sum, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(incoming, state.accounts.values().map(|a| a.incoming_minor).sum::<i64>());
    let held = load(&sql).unwrap();
    assert_eq!(held.len(), state.open.len());
    for (id, hold) in &held {
        let expected = &state.holds[id];
        assert_eq!(hold.order.as_ref(), expected.order.as_deref());
        assert_eq!((hold.lsn, hold.held_ms), (expected.lsn.get(), expected.held_ms));
    }
    let mut statement = sql.prepare("SELECT payment, state, ended_lsn FROM holds").unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?))
    });
    let rows = rows.unwrap().map(Result::unwrap).map(|(id, name, ended)| {
        (id.parse::<GlobalId>().unwrap(), (sqlite::named_state(&name), nullable_back(ended)))
    });
    let shown: BTreeMap<_, _> = rows.filter(|(id, _)| !state.is_forgotten(*id)).collect();
    let expected = state.holds.iter().map(|(id, hold)| {
        let ended = if hold.state == HoldState::Held { 0 } else { hold.lsn.get() };
        (*id, (hold.state, ended))
    });
    assert_eq!(shown, expected.collect::<BTreeMap<_, _>>());
}

fn nullable_back(number: Option<i64>) -> u64 {
    number.map_or(0, unsigned)
}

#[test]
fn the_book_of_any_journal_shows_the_state_that_it_folds_into() {
    for seed in 0..8 {
        let mut script = random_journal(seed, 400);
        let (_directory, path) = place();
        let batches = script.batches(40);
        let mut view = opened(&path, 0).view;
        for some in batches.chunks(3) {
            view.apply(some).unwrap();
            assert_shows(&path, &script.state_at(view.applied_lsn()));
            if script.below(3) == 0 {
                drop(view);
                view = opened(&path, 400).view;
            }
        }
        assert_shows(&path, &script.state);
        let posted = recovery::record::Fact::kind(&BankFact::from(Posted {
            payment: GlobalId { origin: 5, epoch: 1, number: 1 },
            heard: Heard { gateway: Lineage([9; 16]), lsn: 1 },
        }));
        assert!(script.records.iter().filter(|record| record.kind == posted).count() > 20);
    }
}

#[test]
fn deleting_or_damaging_the_book_loses_nothing_that_the_journal_does_not_bring_back() {
    let mut script = random_journal(30, 300);
    let (disk, _, last) = script.log(2);
    let (_directory, path) = place();
    for round in 0..2 {
        let Opened { mut view, applied_lsn, verdict } = opened(&path, last);
        assert_eq!(applied_lsn, 0);
        let damaged = matches!(verdict, Verdict::Empty(Cause::Damaged { .. }));
        assert_eq!(damaged, round == 1, "{verdict}");
        catch_up(&disk, last, &mut view).unwrap();
        assert_shows(&path, &script.state);
        drop(view);
        assert_eq!(opened(&path, last).verdict, Verdict::Current);
        let copied: Vec<_> = batches(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(copied, script::images(&disk), "the second copy is whole too");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096..8192].fill(0x55);
        std::fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_the_balances_of_the_record_it_names() {
    let mut script = random_journal(31, 300);
    let (directory, path) = place();
    let mut view = opened(&path, 0).view;
    for batch in script.batches(20) {
        view.apply(&[batch]).unwrap();
        let left = directory.path().join("left.db");
        script::killed(&path, &left, script.random.below(300_000));
        let applied_lsn = opened(&left, 300).applied_lsn;
        if applied_lsn > 0 {
            assert_shows(&left, &script.state_at(applied_lsn));
        }
    }
}

#[test]
fn a_book_ahead_of_its_journal_is_refused() {
    let mut script = random_journal(32, 200);
    let (_directory, path) = place();
    opened(&path, 0).view.apply(&script.batches(50)).unwrap();
    let error = open(&path, IDENTITY, bank(), 150).unwrap_err();
    let OpenError::Ahead(ahead) = error else { panic!("{error}") };
    assert_eq!(ahead, ViewAhead { view_lsn: 200, log_last: 150 });
    assert_eq!(peek(&path), Some(Peek { identity: IDENTITY, applied_lsn: 200 }));
}

#[test]
fn the_public_view_has_the_columns_of_the_contract() {
    let mut script = random_journal(33, 50);
    let (_directory, path) = place();
    opened(&path, 0).view.apply(&script.batches(50)).unwrap();
    let sql = sqlite::reader(&path).unwrap();
    let statement = sql.prepare("SELECT * FROM accounts").unwrap();
    assert_eq!(
        statement.column_names(),
        ["account_number", "client_id", "balance_minor", "held_minor"]
    );
    let first = "SELECT account_number FROM accounts ORDER BY account_number LIMIT 1";
    let first = sql.query_row(first, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(first, "00000000000000", "14 digits, leading zeros kept");
}
