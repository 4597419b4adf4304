//! The mirror against the state that the same log folds into, and against every kind of harm.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::view::script::{self, IDENTITY, Script};
use crate::view::{Cause, Verdict, ViewAhead, catch_up};
use recovery::fact::{
    AccountListed, BankJoined, Began, Decided, Ended, Initialised, SessionClosed, Settled, Started,
    Voted,
};
use recovery::gateway::State;
use recovery::model::{AccountNumber, Cluster, Currency, Lineage, StartId};
use recovery::payment::{Parties, Party, Phase};
use std::path::PathBuf;
use tempfile::TempDir;

const BANKS: [&str; 3] = ["HDFC", "ICICI", "Axis"];

fn bank(index: usize) -> BankName {
    BANKS[index].parse().unwrap()
}

fn account(index: usize) -> AccountNumber {
    AccountNumber::try_from(index as u64).unwrap()
}

/// Every kind of fact that a gateway logs, in an order that is legal and otherwise random.
fn random_log(seed: u64, facts: usize) -> Script<State> {
    let mut script = Script::<State>::new(seed);
    script.push(Initialised { cluster: IDENTITY.cluster, lineage: IDENTITY.lineage });
    script.push(Started { epoch: 1, start_id: StartId([1; 16]), version: "1".into() });
    for index in 0..BANKS.len() {
        script.push(BankJoined { bank: bank(index), lineage: None });
    }
    for index in 0..6 {
        let owner = format!("client{index}").parse().unwrap();
        let (currency, opening_minor) = (Currency::INR, 1_000);
        let (account, bank) = (account(index), bank(index % BANKS.len()));
        script.push(AccountListed { account, bank, owner, currency, opening_minor });
    }
    let mut payments = Vec::new();
    while script.records.len() < facts {
        random_fact(&mut script, &mut payments);
    }
    script
}

fn random_fact(script: &mut Script<State>, payments: &mut Vec<GlobalId>) {
    let number = script.records.len() as u64;
    if payments.is_empty() || script.below(5) == 0 {
        // One in four was begun by a gateway that is lost.
        let lost = script.below(4) == 0;
        let origin = if lost { 9 } else { IDENTITY.lineage.origin() };
        let payment = GlobalId { origin, epoch: 1, number };
        let order = random_order(script);
        if script.offer(Began { payment, order }) {
            payments.push(payment);
        }
        return;
    }
    // The newest move most, so that most payments end.
    let at = payments.len() - 1 - script.below(payments.len().min(8));
    let (payment, bank, bank_lsn) = (payments[at], bank(script.below(BANKS.len())), 1);
    let reasons = [Reason::InsufficientFunds, Reason::PrepareTimeout, Reason::TooLate];
    let reason = reasons[script.below(3)];
    let yes = script.below(4) > 0;
    match script.below(9) {
        0..=2 => {
            let vote = if yes { Vote::Ready } else { Vote::Refused(reason) };
            script.offer(Voted { payment, bank, vote, bank_lsn });
        }
        3 | 4 => {
            let decision = if yes { Decision::Commit } else { Decision::Abort(reason) };
            script.offer(Decided { payment, decision });
        }
        5 | 6 => {
            let aborted = [HoldState::Released, HoldState::Refused(reason)][script.below(2)];
            let state = if yes { HoldState::Posted } else { aborted };
            script.offer(Settled { payment, bank, state, bank_lsn });
        }
        7 => {
            script.offer(Ended { payment });
        }
        _ => {
            let token_sha256 = [script.below(256) as u8; 32];
            script.offer(SessionClosed { token_sha256 });
        }
    }
}

fn random_order(script: &mut Script<State>) -> Order {
    let client = format!("client{}", script.below(3)).parse().unwrap();
    let transaction = format!("tx-{}", script.below(60)).parse().unwrap();
    let sides = [script.below(6), script.below(6)];
    let terms = Terms {
        payer: account(sides[0]),
        payee: account(sides[1]),
        amount: (1 + script.below(500) as i64).try_into().unwrap(),
        currency: Currency::INR,
        memo: ["", "rent", "it's \"quoted\""][script.below(3)].parse().unwrap(),
    };
    let banks = sides.map(|side| bank(side % BANKS.len()));
    let reference = Reference { client, transaction };
    Order { reference, terms, payer_bank: banks[0], payee_bank: banks[1] }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway_state.db");
    (directory, path)
}

fn opened(path: &Path, log_last: u64) -> Mirror {
    open(path, IDENTITY, log_last).unwrap().view
}

/// The mirror of a log, all of it, closed.
fn mirrored(script: &mut Script<State>) -> (TempDir, PathBuf) {
    let (directory, path) = place();
    opened(&path, 0).apply(&script.batches(50)).unwrap();
    (directory, path)
}

/// Everything that the file says is what the state says, and nothing else is there.
fn assert_shows(path: &Path, state: &State) {
    let sql = sqlite::reader(path).unwrap();
    assert_eq!(sqlite::watermark(&sql).unwrap().unwrap().applied_lsn, state.last.get());
    let mut statement = sql.prepare("SELECT * FROM payments").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut payments = 0;
    while let Some(row) = rows.next().unwrap() {
        let payment = Payment::read(row).unwrap();
        assert_is(&payment, state);
        payments += 1;
    }
    assert_eq!(payments, state.payments.len());
    let count = "SELECT count(*), sum(opening_minor) FROM accounts";
    let count = sql.query_row(count, [], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)));
    let opening = state.accounts.values().map(|account| account.opening_minor).sum::<i64>();
    let accounts = state.accounts.len() as i64;
    assert_eq!(count.unwrap(), (accounts, (accounts > 0).then_some(opening)));
    assert_answers(path, state);
}

fn assert_is(payment: &Payment, state: &State) {
    let entry = &state.payments[&payment.id];
    assert_eq!(payment.order, state.order(entry));
    assert_eq!((payment.began_lsn, payment.began_ms), (entry.began_lsn.get(), entry.began_ms));
    assert_eq!(
        (payment.decided_lsn, payment.decided_ms),
        (entry.decided_lsn.get(), entry.decided_ms)
    );
    assert_eq!(payment.decision, entry.payment.decision());
    assert_eq!(payment.ended_lsn != 0, entry.is_over());
    let parties = |marked: [bool; 2]| {
        let parties = [Party::Payer, Party::Payee].into_iter().zip(marked);
        let marked = parties.filter(|(_, marked)| *marked);
        marked.fold(Parties::NONE, |parties, (party, _)| parties.with(party))
    };
    assert_eq!(parties(payment.settled.map(|state| state.is_some())), entry.payment.settled());
    if let Phase::Preparing { ready } = entry.payment.phase {
        assert_eq!(parties(payment.votes.map(|vote| vote == Some(Vote::Ready))), ready);
    }
}

/// One row for each client's id, of the attempt that answers for it.
fn assert_answers(path: &Path, state: &State) {
    let rows = rows(path).unwrap();
    assert_eq!(rows.applied_lsn(), state.last.get());
    let mut shown: Vec<_> = rows.map(Result::unwrap).collect();
    let expected = state.by_reference.iter().map(|(reference, id)| {
        let entry = &state.payments[id];
        let (status, reason) = match entry.payment.decision() {
            None => ("PENDING", None),
            Some(Decision::Commit) => ("COMMITTED", None),
            Some(Decision::Abort(reason)) => ("ABORTED", Some(reason.name().to_owned())),
        };
        Processed {
            client_id: reference.client.to_string(),
            transaction_id: reference.transaction.to_string(),
            status: status.to_owned(),
            reason,
            amount_minor: entry.terms.amount.minor(),
            lsn: Some(entry.decided_lsn.get()).filter(|lsn| *lsn > 0),
        }
    });
    let mut expected: Vec<_> = expected.collect();
    let key = |row: &Processed| (row.client_id.clone(), row.transaction_id.clone());
    shown.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(shown, expected);
}

#[test]
fn the_mirror_of_any_log_shows_the_state_that_it_folds_into() {
    for seed in 0..12 {
        let mut script = random_log(seed, 500);
        let (_directory, path) = place();
        let batches = script.batches(40);
        let mut view = opened(&path, 0);
        for some in batches.chunks(3) {
            view.apply(some).unwrap();
            assert_shows(&path, &script.state_at(view.applied_lsn()));
            if script.below(3) == 0 {
                drop(view);
                view = opened(&path, 500);
            }
        }
        assert_shows(&path, &script.state);
        assert!(script.state.payments.len() > 40);
    }
}

#[test]
fn a_kill_at_any_moment_leaves_the_rows_of_the_record_it_names() {
    let mut script = random_log(20, 400);
    let (directory, path) = place();
    let mut view = opened(&path, 0);
    let mut seen = std::collections::BTreeSet::new();
    for batch in script.batches(20) {
        view.apply(&[batch]).unwrap();
        let left = directory.path().join("left.db");
        // Whole, or cut anywhere: the last transactions were on their way.
        for cut in [u64::MAX, script.random.below(400_000)] {
            script::killed(&path, &left, cut);
            let Opened { view, applied_lsn, .. } = open(&left, IDENTITY, 400).unwrap();
            drop(view);
            seen.insert(applied_lsn);
            if applied_lsn > 0 {
                assert_shows(&left, &script.state_at(applied_lsn));
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn an_application_that_fails_changes_nothing() {
    let mut script = random_log(3, 300);
    let (_directory, path) = place();
    let mut batches = script.batches(100);
    let mut view = opened(&path, 0);
    let last = batches.pop().unwrap();
    view.apply(&batches).unwrap();
    let before = view.applied_lsn();
    let mut bad = last.clone();
    bad.records.last_mut().unwrap().kind = 999;
    assert!(matches!(view.apply(&[bad]), Err(ViewError::Record(_))));
    let mut gap = last.clone();
    gap.records.remove(0);
    let expected = before + 1;
    if !gap.records.is_empty() {
        let error = view.apply(&[gap]).unwrap_err();
        assert!(matches!(error, ViewError::Gap { expected: e, .. } if e == expected), "{error}");
    }
    assert_eq!(view.applied_lsn(), before);
    assert_shows(&path, &script.state_at(before));
    // What is in already is skipped.
    view.apply(&[batches.pop().unwrap(), last]).unwrap();
    assert_shows(&path, &script.state);
}

#[test]
fn deleting_the_mirror_loses_nothing_that_the_log_does_not_bring_back() {
    let mut script = random_log(4, 300);
    let (disk, ..) = script.log(2);
    let (_directory, path) = place();
    for (round, expected) in [Cause::Absent, Cause::Absent].into_iter().enumerate() {
        let Opened { mut view, applied_lsn, verdict } = open(&path, IDENTITY, 300).unwrap();
        assert_eq!((applied_lsn, verdict), (0, Verdict::Empty(expected)), "round {round}");
        catch_up(&disk, 300, &mut view).unwrap();
        assert_shows(&path, &script.state);
        drop(view);
        assert_eq!(open(&path, IDENTITY, 300).unwrap().verdict, Verdict::Current);
        assert_eq!(open(&path, IDENTITY, 304).unwrap().verdict, Verdict::Behind { missing: 4 });
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_damaged_file_is_kept_aside_and_another_is_built() {
    let mut script = random_log(5, 300);
    let (_directory, path) = mirrored(&mut script);
    let whole = std::fs::read(&path).unwrap();
    let zeroed = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0);
        bytes
    };
    let harms = [
        zeroed(0, 16),
        zeroed(0, 4096),
        zeroed(4096, 8192),
        b"not a database at all".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..1000].to_vec(),
    ];
    for (n, harm) in harms.iter().enumerate() {
        std::fs::write(&path, harm).unwrap();
        let Opened { mut view, applied_lsn, verdict } = open(&path, IDENTITY, 300).unwrap();
        let Verdict::Empty(Cause::Damaged { kept, .. }) = verdict else {
            panic!("harm {n}: {verdict}")
        };
        assert!(kept.ends_with(format!("gateway_state.db.damaged-{}", n + 1)), "{kept:?}");
        assert_eq!((std::fs::read(&kept).unwrap().len(), applied_lsn), (harm.len(), 0));
        view.apply(&script.batches(60)).unwrap();
        assert_shows(&path, &script.state);
    }
}

#[test]
fn no_flipped_bit_of_the_file_stops_a_start_or_accuses_the_log() {
    let mut script = random_log(6, 120);
    let (_directory, path) = mirrored(&mut script);
    let whole = std::fs::read(&path).unwrap();
    let mut set_aside = 0;
    for n in 0..300 {
        let mut bytes = whole.clone();
        // All of the header, then anywhere.
        let at = if n < 100 { n } else { script.below(bytes.len()) };
        bytes[at] ^= 1 << script.below(8);
        std::fs::write(&path, &bytes).unwrap();
        let Opened { mut view, verdict, .. } = open(&path, IDENTITY, 120).unwrap();
        // What a structural check cannot see is the audit's to find; it ends no process.
        let _ = view.apply(&script.batches(60));
        drop(view);
        if let Verdict::Empty(Cause::Damaged { kept, .. } | Cause::OtherSchema { kept, .. }) =
            verdict
        {
            assert_shows(&path, &script.state);
            set_aside += 1;
            std::fs::remove_file(kept).unwrap();
        }
    }
    assert!(set_aside > 20, "{set_aside}");
}

#[test]
fn damage_found_while_applying_sets_the_file_aside() {
    let mut script = random_log(7, 200);
    let payment = GlobalId { origin: IDENTITY.lineage.origin(), epoch: 2, number: 1 };
    let mut order = random_order(&mut script);
    order.reference.transaction = "never-seen".parse().unwrap();
    script.push(Began { payment, order });
    let (_directory, path) = mirrored(&mut script);
    let sql = Connection::open(&path).unwrap();
    sql.execute("DELETE FROM payments WHERE payment = ?1", [payment.to_string()]).unwrap();
    drop(sql);
    script.push(Decided { payment, decision: Decision::Abort(Reason::Interrupted) });
    let mut view = opened(&path, 202);
    let error = view.apply(&script.batches(60)).unwrap_err();
    assert!(matches!(error, ViewError::Damaged(_)), "{error}");
    view.abandon(&error);
    assert!(!path.exists() && path.with_extension("db.damaged-1").exists());
    assert_eq!(open(&path, IDENTITY, 202).unwrap().verdict, Verdict::Empty(Cause::Absent));
}

#[test]
fn a_mirror_ahead_of_its_log_is_refused_and_left_alone() {
    let mut script = random_log(8, 200);
    let (_directory, path) = mirrored(&mut script);
    let error = open(&path, IDENTITY, 199).unwrap_err();
    let OpenError::Ahead(ahead) = error else { panic!("{error}") };
    assert_eq!(ahead, ViewAhead { view_lsn: 200, log_last: 199 });
    assert_shows(&path, &script.state);
    assert_eq!(peek(&path), Some(Peek { identity: IDENTITY, applied_lsn: 200 }));
}

#[test]
fn a_mirror_of_another_cluster_lineage_or_schema_makes_room() {
    let mut script = random_log(9, 100);
    let others = [
        Identity { cluster: Cluster([4; 16]), ..IDENTITY },
        Identity { lineage: Lineage([8; 16]), ..IDENTITY },
    ];
    for other in others {
        let (_directory, path) = mirrored(&mut script);
        // Its watermark is beyond this log: that accuses nobody, it is another log's.
        let verdict = open(&path, other, 5).unwrap().verdict;
        assert!(matches!(&verdict, Verdict::Empty(Cause::Foreign { kept }) if kept.exists()));
        assert_eq!(peek(&path).unwrap(), Peek { identity: other, applied_lsn: 0 });
    }
    let (_directory, path) = mirrored(&mut script);
    for version in [1, 99] {
        Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
        let verdict = open(&path, IDENTITY, 100).unwrap().verdict;
        let Verdict::Empty(Cause::OtherSchema { found, kept }) = verdict else {
            panic!("{verdict}")
        };
        assert!(found == version && kept.exists());
    }
}

#[test]
fn a_watermark_with_a_flipped_bit_is_no_witness() {
    let mut script = random_log(10, 100);
    let (_directory, path) = mirrored(&mut script);
    for bit in 0..63 {
        let flip = "UPDATE meta SET applied_lsn = (applied_lsn | ?1) - (applied_lsn & ?1)";
        Connection::open(&path).unwrap().execute(flip, [1_i64 << bit]).unwrap();
        assert_eq!(peek(&path), None);
        Connection::open(&path).unwrap().execute(flip, [1_i64 << bit]).unwrap();
        assert_eq!(peek(&path).unwrap().applied_lsn, 100);
    }
    assert_eq!(peek(&path.with_extension("absent")), None);
}

#[test]
fn every_batch_of_the_log_comes_back_from_its_copy_byte_for_byte() {
    for starts in [1, 2, 5] {
        let mut script = random_log(11, 300);
        let (disk, fed, last) = script.log(starts);
        let (_directory, path) = place();
        let mut view = opened(&path, 0);
        // What making the log wrote comes from the disk; all else as the syncs handed it over.
        catch_up(&disk, 1, &mut view).unwrap();
        for image in fed {
            view.apply(&[Batch::read(image).unwrap()]).unwrap();
        }
        assert_eq!(view.applied_lsn(), last);
        let copied: Vec<_> = batches(&path).unwrap().map(Result::unwrap).collect();
        let on_disk = script::images(&disk);
        assert!(on_disk.len() > 20);
        for image in &on_disk {
            assert!(copied.contains(image), "segment {} at {}", image.segment, image.offset);
        }
        // A Mark that a rotation cut off may be left; records never are.
        let stray = copied.iter().filter(|image| !on_disk.contains(image));
        let stray = stray.map(|image| Batch::read((*image).clone()).unwrap().records.len());
        assert_eq!(stray.sum::<usize>(), 0);
        let stored = "SELECT sum(length(bytes)), sum(length) FROM batches";
        let sql = sqlite::reader(&path).unwrap();
        let (stored, whole) = sql
            .query_row(stored, [], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))
            .unwrap();
        assert!(stored < whole / 2, "the padding is not kept: {stored} of {whole}");
    }
}

#[test]
fn the_public_view_has_the_columns_of_the_contract() {
    let mut script = random_log(12, 100);
    let (_directory, path) = mirrored(&mut script);
    let sql = sqlite::reader(&path).unwrap();
    let names = |table| {
        let statement = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
        statement.column_names().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        names("processed_transactions"),
        ["client_id", "transaction_id", "status", "reason", "amount_minor", "lsn"]
    );
    let kind = "SELECT type FROM sqlite_schema WHERE name = 'processed_transactions'";
    assert_eq!(sql.query_row(kind, [], |row| row.get::<_, String>(0)).unwrap(), "view");
    let text = "SELECT group_concat(sql) FROM sqlite_schema";
    let text = sql.query_row(text, [], |row| row.get::<_, String>(0)).unwrap();
    assert!(!text.contains("session") && !text.contains("token"), "no secret has a place");
}

#[test]
fn a_reader_sees_one_record_of_the_log_while_it_is_written() {
    let mut script = random_log(13, 600);
    let (_directory, path) = place();
    let mut view = opened(&path, 0);
    let batches = script.batches(3);
    let reading = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.last() != Some(&600) {
                let reader = rows(&path).unwrap();
                let lsn = reader.applied_lsn();
                // Nothing in this reading is newer than the record it names.
                assert!(reader.map(Result::unwrap).all(|row| row.lsn.is_none_or(|at| at <= lsn)));
                seen.push(lsn);
            }
            seen
        })
    };
    for batch in batches {
        view.apply(&[batch]).unwrap();
    }
    let seen = reading.join().unwrap();
    assert!(seen.is_sorted());
    assert_shows(&path, &script.state);
}

#[test]
fn a_lock_held_by_a_person_is_busy_and_not_damage() {
    let mut script = random_log(14, 100);
    let (_directory, path) = place();
    let mut view = opened(&path, 0);
    let batches = script.batches(50);
    let person = Connection::open(&path).unwrap();
    person.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(view.apply(&batches), Err(ViewError::Busy(_))));
    person.execute_batch("ROLLBACK").unwrap();
    view.apply(&batches).unwrap();
    assert_shows(&path, &script.state);
}
