//! Logs that agree are said to agree; every way of contradicting is found and named.

use recovery::audit::{Audit, Disagreement, Wrong, audit};
use recovery::fact::{self, BankFact, GatewayFact};
use recovery::model::*;
use recovery::replay::Fold;
use recovery::resolve::{self, Plan};
use recovery::{bank, gateway};

const GATEWAY: Lineage = Lineage([1; 16]);
const CLUSTER: Cluster = Cluster([9; 16]);
const START: StartId = StartId([5; 16]);

fn name(bank: usize) -> BankName {
    ["HDFC", "ICICI"][bank].parse().expect("a bank")
}

fn account(bank: usize) -> AccountNumber {
    AccountNumber::try_from(10 + bank as u64).expect("an account")
}

fn order() -> Order {
    Order {
        reference: Reference {
            client: "client1".parse().expect("a client"),
            transaction: "rent".parse().expect("an id"),
        },
        terms: Terms {
            payer: account(0),
            payee: account(1),
            amount: 250.try_into().expect("positive"),
            currency: Currency::INR,
            memo: Memo::default(),
        },
        payer_bank: name(0),
        payee_bank: name(1),
    }
}

fn payment(number: u64) -> GlobalId {
    GlobalId { origin: GATEWAY.origin(), epoch: 1, number }
}

/// A gateway and two banks, with 1000 on an account at each.
struct Scene {
    gateway: gateway::State,
    banks: [bank::State; 2],
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { gateway: gateway::State::default(), banks: Default::default() };
        let version = String::from("1");
        scene.log(fact::Initialised { cluster: CLUSTER, lineage: GATEWAY });
        for bank in 0..2 {
            let lineage = Lineage([20 + bank as u8; 16]);
            let (owner, currency) = (order().reference.client, Currency::INR);
            let (account, opening_minor) = (account(bank), 1000);
            scene.log(fact::BankJoined { bank: name(bank), lineage: Some(lineage) });
            scene.log(fact::AccountListed {
                account,
                bank: name(bank),
                owner,
                currency,
                opening_minor,
            });
            let (cluster, gateway) = (CLUSTER, GATEWAY);
            scene.keep(bank, fact::Founded { cluster, lineage, bank: name(bank), gateway });
            scene.keep(bank, fact::AccountOpened { account, owner, currency, opening_minor });
            let started = fact::BankStarted { epoch: 1, start_id: START, version: "1".into() };
            scene.keep(bank, started);
        }
        scene.log(fact::Started { epoch: 1, start_id: START, version });
        scene
    }

    fn log(&mut self, fact: impl Into<GatewayFact>) -> &mut Self {
        let lsn = self.gateway.last.next();
        self.gateway.evolve(&fact.into(), lsn, 0).expect("a legal fact");
        self
    }

    fn keep(&mut self, bank: usize, fact: impl Into<BankFact>) -> &mut Self {
        let lsn = self.banks[bank].last.next();
        self.banks[bank].evolve(&fact.into(), lsn, 0).expect("a legal fact");
        self
    }

    fn held(&mut self) -> &mut Self {
        self.log(fact::Began { payment: payment(1), order: order() });
        for bank in 0..2 {
            self.keep(bank, fact::Held { payment: payment(1), order: order(), heard: heard() });
        }
        self
    }

    fn decided(&mut self, decision: Decision) -> &mut Self {
        self.held();
        for bank in 0..2 {
            let (payment, bank, vote) = (payment(1), name(bank), Vote::Ready);
            self.log(fact::Voted { payment, bank, vote, bank_lsn: 1 });
        }
        self.log(fact::Decided { payment: payment(1), decision })
    }

    fn posted(&mut self, bank: usize) -> &mut Self {
        self.keep(bank, fact::Posted { payment: payment(1), heard: heard() })
    }

    fn released(&mut self, bank: usize) -> &mut Self {
        self.keep(bank, fact::Released { payment: payment(1), heard: heard(), reason: None })
    }

    fn settled(&mut self, bank: usize, state: HoldState) -> &mut Self {
        self.log(fact::Settled { payment: payment(1), bank: name(bank), state, bank_lsn: 1 })
    }

    fn audit(&self) -> Audit {
        audit(&self.gateway, &self.banks)
    }

    fn names(&self) -> Vec<Disagreement> {
        self.audit().disagreements
    }
}

fn heard() -> Heard {
    Heard { gateway: GATEWAY, lsn: 0 }
}

fn abort() -> Decision {
    Decision::Abort(Reason::PrepareTimeout)
}

#[test]
fn every_stage_of_a_payment_agrees() {
    let mut scene = Scene::new();
    assert!(scene.audit().ok && scene.audit().is_quiet());
    scene.decided(Decision::Commit);
    for bank in 0..2 {
        let found = scene.audit();
        assert!(found.ok, "{found:?}");
        assert_eq!(found.in_doubt, [payment(1)]);
        scene.posted(bank);
        assert!(scene.audit().ok, "posted on one side only is on its way");
        scene.settled(bank, HoldState::Posted);
    }
    scene.log(fact::Ended { payment: payment(1) });
    scene.keep(0, fact::Forgot { through: payment(1) });
    let found = scene.audit();
    assert!(found.ok && found.is_quiet(), "{found:?}");
    assert_eq!(found.money.expected_minor, 2000);
}

#[test]
fn a_hold_whose_beginning_was_lost_is_in_doubt_and_no_disagreement() {
    let mut scene = Scene::new();
    scene.keep(0, fact::Held { payment: payment(7), order: order(), heard: heard() });
    let found = scene.audit();
    assert!(found.ok);
    assert_eq!((found.in_doubt.as_slice(), found.holds), (&[payment(7)][..], 1));
    let later = GlobalId { epoch: 2, ..payment(8) };
    scene.keep(1, fact::Held { payment: later, order: order(), heard: heard() });
    assert_eq!(scene.names(), [Disagreement::Stranger { payment: later, bank: name(1) }]);
}

#[test]
fn a_posting_that_was_not_decided_is_found_and_so_is_the_money() {
    let mut scene = Scene::new();
    scene.held().posted(0);
    let (payment, bank) = (payment(1), name(0));
    assert_eq!(scene.names(), [Disagreement::PostedUndecided { payment, bank }]);
    assert!(!scene.audit().ok);
}

#[test]
fn a_payment_that_committed_here_and_aborted_there_is_found() {
    let mut scene = Scene::new();
    scene.decided(Decision::Commit).posted(0).released(1);
    let (payment, bank) = (payment(1), name(1));
    let found = scene.audit();
    assert_eq!(found.disagreements, [Disagreement::AbortedAgainstCommit { payment, bank }]);
    assert_eq!(found.disagreements[0].invariant(), "I9");
    let mut scene = Scene::new();
    scene.decided(abort()).posted(1);
    assert_eq!(scene.names(), [Disagreement::PostedAgainstAbort { payment, bank }]);
}

#[test]
fn a_bank_that_lost_an_outcome_it_had_reported_is_provably_wrong() {
    let mut scene = Scene::new();
    scene.decided(Decision::Commit).settled(0, HoldState::Posted);
    let found = scene.names();
    assert_eq!(found, [Disagreement::OutcomeLost { payment: payment(1), bank: name(0) }]);
    assert_eq!(found[0].wrong(), Wrong::Bank(name(0)));
}

#[test]
fn a_balance_that_no_payment_explains_is_found() {
    let mut scene = Scene::new();
    scene.decided(Decision::Commit).posted(0).posted(1);
    scene.banks[1].accounts.get_mut(&account(1)).expect("open").posted_minor += 1;
    let found = scene.audit();
    let [Disagreement::BalanceWrong { expected_minor: 1250, found_minor: 1251, .. }] =
        found.disagreements[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(found.money.delta_minor(), 1);
}

#[test]
fn money_set_aside_for_nothing_is_found() {
    let mut scene = Scene::new();
    scene.banks[0].accounts.get_mut(&account(0)).expect("open").held_minor = 2000;
    let found = scene.names();
    assert!(matches!(found[0], Disagreement::HeldWrong { expected_minor: 0, .. }), "{found:?}");
    assert!(matches!(found[1], Disagreement::Overdrawn { available_minor: -1000, .. }));
}

#[test]
fn a_log_shorter_than_its_witness_remembers_is_found() {
    let mut scene = Scene::new();
    let (gateway, epoch, start_id) = (GATEWAY, 1, START);
    scene.keep(0, fact::Fenced { gateway, epoch, start_id, gateway_lsn: 99 });
    let witness = Witness { lineage: Lineage([21; 16]), start_id: START, lsn: 77 };
    scene.log(fact::BankMet { bank: name(1), epoch: 1, witness });
    let found = scene.names();
    let log = Disagreement::LogLost { bank: name(0), remembered: 99 };
    let journal = Disagreement::JournalLost { bank: name(1), remembered: 77 };
    assert_eq!(found, [log, journal]);
}

#[test]
fn other_terms_at_a_bank_are_found() {
    let mut scene = Scene::new();
    let mut other = order();
    other.terms.amount = 251.try_into().expect("positive");
    scene.log(fact::Began { payment: payment(1), order: order() });
    scene.keep(0, fact::Held { payment: payment(1), order: other, heard: heard() });
    let (payment, bank, field) = (payment(1), name(0), "amount_minor");
    assert_eq!(scene.names(), [Disagreement::TermsDiffer { payment, bank, field }]);
}

#[test]
fn forgetting_what_is_not_over_is_found() {
    let mut scene = Scene::new();
    scene.decided(Decision::Commit).posted(0).keep(0, fact::Forgot { through: payment(1) });
    let (payment, bank) = (payment(1), name(0));
    assert_eq!(scene.names(), [Disagreement::ForgottenTooEarly { payment, bank }]);
}

#[test]
fn a_restart_is_told_in_words() {
    let mut scene = Scene::new();
    scene.held();
    let plan = |scene: &Scene| resolve::gateway(&scene.gateway)[0].plan.to_string();
    assert_eq!(
        plan(&scene),
        "abort once HDFC and ICICI are heard: no decision is in the log and no vote, so nobody \
         was told commit"
    );
    assert!(matches!(resolve::bank(&scene.banks[0])[0].plan, Plan::KeepHold { .. }));
    let mut scene = Scene::new();
    scene.decided(Decision::Commit).posted(0).settled(0, HoldState::Posted);
    assert_eq!(plan(&scene), "tell commit until ICICI answered: the decision is final");
    let mut scene = Scene::new();
    scene.decided(abort());
    assert_eq!(
        plan(&scene),
        "tell abort (PREPARE_TIMEOUT) until HDFC and ICICI answered: the decision is final"
    );
    scene.released(0).released(1).settled(0, HoldState::Released);
    scene.settled(1, HoldState::Released).log(fact::Ended { payment: payment(1) });
    assert!(resolve::gateway(&scene.gateway).is_empty());
}
