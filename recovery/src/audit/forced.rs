//! What was decided by hand, and what became of it.

use super::{At, Auditor, Disagreement};
use crate::model::{BankName, ClientId, Decision, GlobalId, HoldState};

/// A payment that two operators decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forced {
    pub payment: GlobalId,
    pub decision: Decision,
    pub asked_by: ClientId,
    pub approved_by: ClientId,
    /// A bank has not said what it did.
    pub open: bool,
    /// Banks that did otherwise.
    pub differed: Vec<(BankName, HoldState)>,
    /// Posted at one bank and not at the other.
    pub mixed: bool,
    /// What was moved against the decision, or not moved in spite of it, in minor units.
    pub wrong_minor: i64,
}

impl Auditor<'_> {
    /// What a bank was found to have done against a decision by hand.
    pub(super) fn differed(&self, payment: GlobalId, bank: BankName) -> Option<HoldState> {
        let case = self.gateway.cases.get(&payment)?;
        let differed = case.differed.iter().find(|(name, _)| *name == bank);
        differed.map(|(_, state)| *state)
    }

    /// Every decision by hand, with what the banks have by now.
    pub(super) fn forced(&self) -> Vec<Forced> {
        let approved = self.gateway.cases.iter().filter_map(|(payment, case)| {
            Some((*payment, case, case.approved?.0, self.gateway.payments.get(payment)?))
        });
        let told = approved.map(|(payment, case, approved_by, entry)| {
            let banks: Vec<BankName> = self.gateway.order(entry).participants().collect();
            let state = |bank| match self.at(bank, payment) {
                At::Bank(state) => Some(state),
                At::Forgotten | At::Absent => self.differed(payment, bank),
            };
            let differs = |bank: &BankName| {
                let state = state(*bank)?;
                let otherwise = match (state, case.decision) {
                    (HoldState::Posted, Decision::Abort(_))
                    | (HoldState::Released | HoldState::Refused(_), Decision::Commit) => true,
                    (HoldState::Posted, Decision::Commit)
                    | (HoldState::Released | HoldState::Refused(_), Decision::Abort(_))
                    | (HoldState::Held | HoldState::Unknown, _) => false,
                };
                otherwise.then_some((*bank, state))
            };
            let differed: Vec<_> = banks.iter().filter_map(differs).collect();
            let mixed = !differed.is_empty() && differed.len() < banks.len();
            let wrong = !differed.is_empty();
            Forced {
                payment,
                decision: case.decision,
                asked_by: case.asked_by,
                approved_by,
                open: case.closed_ms.is_none(),
                differed,
                mixed,
                wrong_minor: if wrong { entry.terms.amount.minor() } else { 0 },
            }
        });
        told.collect()
    }

    /// A bank was told a decision by hand that is not in the gateway's log.
    pub(super) fn told_by_nobody(&mut self) {
        for (bank, state) in &self.banks {
            for payment in state.forced.keys() {
                let known = self.gateway.payments.get(payment);
                if !known.is_some_and(|entry| entry.payment.forced) {
                    let (payment, bank) = (*payment, *bank);
                    self.found.push(Disagreement::ForcedUnknown { payment, bank });
                }
            }
        }
    }
}
