//! The gateway's log against the banks' journals: agreement, or every disagreement named.
//!
//! It compares what each side's log says, and believes neither. A payment on its way is no
//! disagreement: a hold without an outcome, an outcome that one bank has not heard of, a beginning
//! that a crash took. Pure; it refuses to know how the states were come by, but they must not be
//! older at the gateway than at a bank: read the banks first, or all of them while they stand
//! still.

mod accounts;
mod disagreement;
mod forced;

pub use accounts::Unread;
pub use disagreement::{Disagreement, Wrong};
pub use forced::Forced;

use crate::bank;
use crate::gateway::{self, Entry};
use crate::model::{BankName, Decision, GlobalId, HoldState, Reference, Side};
use crate::payment::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// No disagreement, and the money is there.
    pub ok: bool,
    /// Payments in the gateway's log.
    pub payments: u64,
    /// Not over on all sides, and nobody contradicts anybody.
    pub in_doubt: Vec<GlobalId>,
    /// Holds at all banks together. None is left once all is quiet.
    pub holds: u64,
    pub disagreements: Vec<Disagreement>,
    /// Decided by hand. Where a bank did otherwise, that is here and no disagreement: the logs
    /// agree on it.
    pub forced: Vec<Forced>,
    pub money: Money,
    /// The banks that were not compared, because their books were not given.
    pub unread: Vec<Unread>,
}

impl Audit {
    /// Is nothing on its way any more?
    pub fn is_quiet(&self) -> bool {
        self.in_doubt.is_empty() && self.holds == 0
    }
}

/// All posted balances, with what was posted on one side only put back, against all openings.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Money {
    pub expected_minor: i128,
    pub found_minor: i128,
}

impl Money {
    /// 0, or money was made or lost.
    pub fn delta_minor(&self) -> i128 {
        self.found_minor - self.expected_minor
    }
}

/// Where a payment stands at a bank, when the bank may have forgotten it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum At {
    Bank(HoldState),
    /// Told by the gateway that it is over on all sides.
    Forgotten,
    /// Its journal was not given.
    Absent,
}

struct Auditor<'a> {
    gateway: &'a gateway::State,
    banks: BTreeMap<BankName, &'a bank::State>,
    found: Vec<Disagreement>,
}

/// Compares a gateway with all banks whose journals are given.
pub fn audit<'a>(
    gateway: &'a gateway::State,
    banks: impl IntoIterator<Item = &'a bank::State>,
) -> Audit {
    let banks = banks.into_iter().filter_map(|state| Some((state.bank?, state))).collect();
    let mut auditor = Auditor { gateway, banks, found: Vec::new() };
    let mut in_doubt: BTreeSet<GlobalId> = gateway.open.clone();
    for (payment, entry) in &gateway.payments {
        auditor.payment(*payment, entry);
    }
    auditor.holds(&mut in_doubt);
    auditor.references();
    auditor.witnesses();
    auditor.accounts();
    auditor.told_by_nobody();
    let forced = auditor.forced();
    let money = auditor.money();
    let unread = auditor.unread();
    let Auditor { banks, found, .. } = auditor;
    Audit {
        ok: found.is_empty() && money.delta_minor() == 0,
        payments: gateway.payments.len() as u64,
        in_doubt: in_doubt.into_iter().collect(),
        holds: banks.values().map(|bank| bank.open.len() as u64).sum(),
        disagreements: found,
        forced,
        money,
        unread,
    }
}

impl Auditor<'_> {
    fn at(&self, bank: BankName, payment: GlobalId) -> At {
        match self.banks.get(&bank) {
            None => At::Absent,
            Some(state) if state.is_forgotten(payment) => At::Forgotten,
            Some(state) => At::Bank(state.hold_state(payment)),
        }
    }

    /// One payment of the gateway's log against each participant (I2, I5, I9).
    fn payment(&mut self, payment: GlobalId, entry: &Entry) {
        for party in entry.payment.parties.iter() {
            let bank = self.gateway.bank(entry.bank(party)).name;
            let said_settled = entry.payment.settled().has(party);
            let wrong = match (self.at(bank, payment), entry.payment.decision()) {
                (At::Absent, _) => None,
                (At::Forgotten, _) => {
                    (!entry.is_over()).then_some(Disagreement::ForgottenTooEarly { payment, bank })
                }
                (At::Bank(state), None) => (state == HoldState::Posted)
                    .then_some(Disagreement::PostedUndecided { payment, bank }),
                // What it has done is its answer; see [`Forced`].
                (At::Bank(_), Some(_)) if entry.payment.forced && !said_settled => None,
                (At::Bank(state), Some(_)) if entry.payment.against.has(party) => {
                    let kept = self.differed(payment, bank) == Some(state);
                    (!kept).then_some(Disagreement::OutcomeLost { payment, bank })
                }
                (At::Bank(state), Some(decision)) => {
                    against(payment, bank, state, decision, said_settled)
                }
            };
            self.found.extend(wrong);
            self.terms(payment, entry, bank);
        }
        let phase_is_over = matches!(entry.payment.phase, Phase::Ended { .. });
        if phase_is_over == self.gateway.open.contains(&payment) {
            self.found.push(Disagreement::OpenSetWrong { payment });
        }
    }

    /// The hold is for what the client ordered (I11, as far as the two logs show it).
    fn terms(&mut self, payment: GlobalId, entry: &Entry, bank: BankName) {
        let hold = self.banks.get(&bank).and_then(|state| state.holds.get(&payment));
        let Some(order) = hold.and_then(|hold| hold.order.as_deref()) else { return };
        let ordered = self.gateway.order(entry);
        if let Some(field) = ordered.terms.difference(&order.terms) {
            self.found.push(Disagreement::TermsDiffer { payment, bank, field });
        } else if ordered != *order {
            self.found.push(Disagreement::TermsDiffer { payment, bank, field: "participants" });
        }
    }

    /// What a bank has and the gateway does not: a hold whose beginning was lost is in doubt, a
    /// posting is money that nobody ordered.
    fn holds(&mut self, in_doubt: &mut BTreeSet<GlobalId>) {
        let origin = self.gateway.lineage.map(crate::model::Lineage::origin);
        for (bank, state) in &self.banks {
            for (payment, hold) in &state.holds {
                if self.gateway.payments.contains_key(payment) {
                    continue;
                }
                let ours = Some(payment.origin) == origin && payment.epoch <= self.gateway.epoch();
                let (payment, bank) = (*payment, *bank);
                match hold.state {
                    HoldState::Posted => {
                        self.found.push(Disagreement::PostedUnknown { payment, bank });
                    }
                    HoldState::Held if ours => {
                        in_doubt.insert(payment);
                    }
                    HoldState::Held => self.found.push(Disagreement::Stranger { payment, bank }),
                    HoldState::Unknown | HoldState::Released | HoldState::Refused(_) => {}
                }
            }
        }
    }

    /// A client's id moves money at most once (P3).
    fn references(&mut self) {
        let mut committed = BTreeMap::<Reference, GlobalId>::new();
        for (payment, entry) in &self.gateway.payments {
            if entry.payment.decision() != Some(Decision::Commit) {
                continue;
            }
            if let Some(first) = committed.insert(entry.reference, *payment) {
                let (reference, second) = (entry.reference, *payment);
                self.found.push(Disagreement::PaidTwice { reference, first, second });
            }
        }
    }

    /// Neither side remembers more of the other's log than that log holds (I12).
    fn witnesses(&mut self) {
        for known in &self.gateway.banks {
            let (bank, Some(state)) = (known.name, self.banks.get(&known.name)) else { continue };
            if known.lineage.is_some_and(|lineage| Some(lineage) != state.lineage) {
                self.found.push(Disagreement::OtherDirectory { bank });
                continue;
            }
            let ahead = known.witness.filter(|witness| !state.holds_record(witness));
            if let Some(witness) = ahead {
                let remembered = witness.lsn;
                self.found.push(Disagreement::JournalLost { bank, remembered });
            }
            let remembered = self.gateway.lineage.and_then(|lineage| state.remembered(lineage));
            if let Some(witness) = remembered.filter(|witness| !self.gateway.holds(witness)) {
                let remembered = witness.lsn;
                self.found.push(Disagreement::LogLost { bank, remembered });
            }
        }
    }

    /// Was `side` of a payment posted, as its bank's journal shows?
    fn posted(&self, payment: GlobalId, entry: &Entry, side: Side) -> bool {
        let bank = match side {
            Side::Debit => entry.payer_bank,
            Side::Credit => entry.payee_bank,
        };
        match self.at(self.gateway.bank(bank).name, payment) {
            At::Bank(state) => state == HoldState::Posted,
            At::Forgotten => {
                let party = entry.party(bank).expect("a bank of the payment");
                let against = entry.payment.against.has(party);
                (entry.payment.decision() == Some(Decision::Commit)) != against
            }
            At::Absent => false,
        }
    }
}

/// A bank's state against a decision.
fn against(
    payment: GlobalId,
    bank: BankName,
    state: HoldState,
    decision: Decision,
    said_settled: bool,
) -> Option<Disagreement> {
    match (state, decision) {
        (HoldState::Posted, Decision::Commit)
        | (HoldState::Released | HoldState::Refused(_), Decision::Abort(_)) => None,
        (HoldState::Released | HoldState::Refused(_), Decision::Commit) => {
            Some(Disagreement::AbortedAgainstCommit { payment, bank })
        }
        (HoldState::Posted, Decision::Abort(_)) => {
            Some(Disagreement::PostedAgainstAbort { payment, bank })
        }
        (HoldState::Unknown, Decision::Commit) => Some(Disagreement::HoldLost { payment, bank }),
        (HoldState::Held | HoldState::Unknown, _) => {
            said_settled.then_some(Disagreement::OutcomeLost { payment, bank })
        }
    }
}
