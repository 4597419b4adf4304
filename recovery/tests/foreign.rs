//! A foreign bank, which knows no Hello: what the gateway owes to itself before it asks one.

use recovery::fact::{self, GatewayFact};
use recovery::gateway::{Action, Coordinator, Input, Settings, State};
use recovery::message::{Instruction, Welcome};
use recovery::model::*;
use recovery::replay::Fold;
use recovery::step::{Machine, Now, Turn, Waiting};
use wal::{Durable, Lsn};

const NOW: Now = Now { mono_ms: 1, wall_ms: 1 };
const CLUSTER: Cluster = Cluster([9; 16]);
const OURS: Lineage = Lineage([2; 16]);

fn account(number: u64) -> AccountNumber {
    AccountNumber::try_from(number).expect("an account")
}

/// A gateway with a bank of ours (account 1) and a foreign one (account 2), both reached.
fn coordinator() -> Coordinator {
    let mut state = State::default();
    let mut log = |fact: GatewayFact| {
        let lsn = state.last.next();
        state.evolve(&fact, lsn, 0).expect("a legal fact");
    };
    log(fact::Initialised { cluster: CLUSTER, lineage: Lineage([1; 16]) }.into());
    for (name, lineage, number) in [("HDFC", Some(OURS), 1), ("PyBank", None, 2)] {
        let bank: BankName = name.parse().expect("a bank");
        log(fact::BankJoined { bank, lineage }.into());
        let (owner, currency) = ("client1".parse().expect("a client"), Currency::INR);
        let (account, opening_minor) = (account(number), 1_000);
        log(fact::AccountListed { account, bank, owner, currency, opening_minor }.into());
    }
    log(fact::Started { epoch: 1, start_id: StartId([5; 16]), version: "1".into() }.into());
    let mut coordinator = Coordinator::new(state, Settings::default(), NOW);
    let bank = Start { cluster: CLUSTER, lineage: OURS, epoch: 1, start_id: StartId([6; 16]) };
    let welcome = Welcome { bank, bank_lsn: 3, states: Vec::new(), open_holds: Vec::new() };
    let mut turn = Turn::default();
    coordinator.handle(Input::Welcomed { bank: 0, welcome }, NOW, &mut turn);
    coordinator.handle(Input::Reached { bank: 1 }, NOW, &mut turn);
    coordinator
}

fn pay(coordinator: &mut Coordinator, from: u64, to: u64) -> Turn<GatewayFact, Action> {
    let reference = Reference {
        client: "client1".parse().expect("a client"),
        transaction: format!("rent-{from}-{to}").parse().expect("an id"),
    };
    let terms = Terms {
        payer: account(from),
        payee: account(to),
        amount: 250.try_into().expect("positive"),
        currency: Currency::INR,
        memo: Memo::default(),
    };
    let mut turn = Turn::default();
    let pay = Input::Pay { ticket: 1, reference, terms, deadline_ms: None };
    coordinator.handle(pay, NOW, &mut turn);
    turn
}

/// The banks that are asked to prepare.
fn prepared(actions: &[Action]) -> Vec<u16> {
    let asked = actions.iter().filter_map(|action| match action {
        Action::Tell { bank, instruction: Instruction::Prepare { .. } } => Some(u16::from(*bank)),
        _ => None,
    });
    asked.collect()
}

#[test]
fn a_beginning_is_synced_before_a_foreign_bank_hears_of_it() {
    for (from, to) in [(1, 2), (2, 1)] {
        let mut coordinator = coordinator();
        let mut turn = pay(&mut coordinator, from, to);
        let began = coordinator.last();
        assert!(matches!(turn.facts[..], [GatewayFact::Began(_)]), "{:?}", turn.facts);
        assert_eq!(prepared(&turn.now), [0], "a bank of ours has Hello, and need not wait");
        assert!(turn.urgent, "the foreign bank waits for the sync");
        let mut waiting = Waiting::default();
        waiting.keep(&mut turn);
        let early = Durable::forged(Lsn::new(began.get() - 1));
        assert_eq!(prepared(&waiting.release(&early)), [0; 0], "before the beginning is durable");
        assert_eq!(prepared(&waiting.release(&Durable::forged(began))), [1]);
    }
}

#[test]
fn a_foreign_bank_that_is_asked_again_still_waits_for_the_beginning() {
    let mut coordinator = coordinator();
    let mut turn = pay(&mut coordinator, 1, 2);
    let began = coordinator.last();
    turn.now.clear();
    coordinator.handle(Input::Lost { bank: 1, why: "a broken line".into() }, NOW, &mut turn);
    coordinator.handle(Input::Reached { bank: 1 }, NOW, &mut turn);
    assert_eq!(prepared(&turn.now), [0; 0], "reached again, and the sync has not returned");
    let mut waiting = Waiting::default();
    waiting.keep(&mut turn);
    assert_eq!(prepared(&waiting.release(&Durable::forged(began))), [1, 1]);
}
