//! Deciding by hand what cannot be decided otherwise: a payment that an earlier start began, with a
//! participant that has not been heard since.
//!
//! ```text
//!   one operator asks      HeuristicAsked      nothing follows
//!   another approves       HeuristicDecided    every bank that can be reached is told; the case is
//!                                              open until each participant has said what it did
//! ```
//!
//! The gateway's log stays the one place where a payment is decided. What is refused here is what
//! needs no hand: what is decided, what is about to be, and what a bank's own word contradicts.
//! An abort can only be wrong if this log has lost a decision, because a bank posts nothing before
//! one; a commit is wrong at every bank that never promised.

use super::coordinator::{Coordinator, GatewayTurn};
use super::{Action, Rejection, Reply, Ticket};
use crate::fact;
use crate::message::{Heuristic, Instruction};
use crate::model::{Aborted, BankName, ClientId, Decision, GlobalId, HoldState, Memo, Reason};
use crate::payment::{self, Event};

/// Why a payment is not decided by hand.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unforced {
    #[error("{0} is not in the gateway's log")]
    Unknown(GlobalId),
    #[error("it is decided, and a decision is final: it is told until every bank has done it")]
    Decided,
    #[error("it was begun by this start, which decides it by itself in a moment")]
    UnderWay,
    #[error("every bank that takes part has been heard: it is aborted without a hand")]
    AllHeard,
    #[error("bank {bank} has it as {state:?}: that decision would be wrong there")]
    Contradicted { bank: BankName, state: HoldState },
    #[error("no bank that was heard has promised: a commit needs the word of one")]
    NobodyPromised,
    #[error("nobody has asked for that: one operator asks, and another approves")]
    NotAsked,
    #[error("{0} asked for it: another operator must approve")]
    SamePerson(ClientId),
}

/// A decision by hand, in the gateway's words.
fn decision(commit: bool) -> Decision {
    if commit { Decision::Commit } else { Decision::Abort(Reason::Heuristic) }
}

impl Coordinator {
    pub(super) fn ask_force(
        &mut self,
        ticket: Ticket,
        (payment, commit): (GlobalId, bool),
        (by, why): (ClientId, Memo),
        turn: &mut GatewayTurn,
    ) {
        if let Err(unforced) = self.may_force(payment, commit) {
            return turn.now.push(refuse(ticket, unforced));
        }
        let decision = decision(commit);
        let asked = fact::HeuristicAsked { payment, decision, why, by };
        self.done_when_durable(asked.into(), ticket, turn);
    }

    pub(super) fn approve_force(
        &mut self,
        ticket: Ticket,
        (payment, commit): (GlobalId, bool),
        by: ClientId,
        turn: &mut GatewayTurn,
    ) {
        let asked = self.may_force(payment, commit).and_then(|()| {
            let case = self.state.cases.get(&payment).cloned();
            let case = case.filter(|case| case.decision == decision(commit));
            let case = case.ok_or(Unforced::NotAsked)?;
            if case.asked_by == by { Err(Unforced::SamePerson(by)) } else { Ok(case) }
        });
        let case = match asked {
            Ok(case) => case,
            Err(unforced) => return turn.now.push(refuse(ticket, unforced)),
        };
        let mut step =
            payment::decide(self.state.payments[&payment].payment, Event::Forced(case.decision));
        step.facts.clear();
        let decided = fact::HeuristicDecided {
            payment,
            decision: case.decision,
            why: case.why,
            asked_by: case.asked_by,
            approved_by: by,
        };
        self.done_when_durable(decided.into(), ticket, turn);
        self.set_due(payment, self.now.mono_ms + self.settings.settle_wait_ms);
        self.carry_out(payment, step, 0, turn);
    }

    /// May operators decide it by hand, and so?
    pub fn may_force(&self, payment: GlobalId, commit: bool) -> Result<(), Unforced> {
        let entry = self.state.payments.get(&payment).ok_or(Unforced::Unknown(payment))?;
        if entry.payment.decision().is_some() {
            return Err(Unforced::Decided);
        }
        if !self.interrupted(payment) {
            return Err(Unforced::UnderWay);
        }
        if self.all_heard(payment) {
            return Err(Unforced::AllHeard);
        }
        let mut promised = false;
        for party in entry.payment.parties.iter() {
            let bank = entry.bank(party);
            let said = self.links[usize::from(bank)].said.get(&payment).copied();
            let wrong = match said {
                Some(HoldState::Posted) => !commit,
                Some(HoldState::Unknown | HoldState::Released | HoldState::Refused(_)) => commit,
                Some(HoldState::Held) | None => false,
            };
            if let Some(state) = said.filter(|_| wrong) {
                let bank = self.state.bank(bank).name;
                return Err(Unforced::Contradicted { bank, state });
            }
            promised |= said.is_some();
        }
        if commit && !promised { Err(Unforced::NobodyPromised) } else { Ok(()) }
    }

    /// What a bank is told of a payment that was decided by hand.
    pub(super) fn force_instruction(&self, payment: GlobalId, decision: Decision) -> Instruction {
        let case = self.state.cases.get(&payment);
        let case = case.expect("what was decided by hand has its case");
        let (approved_by, _) = case.approved.expect("it was approved");
        let (why, asked_by) = (case.why.clone(), case.asked_by);
        let by = Box::new(Heuristic { why, asked_by, approved_by });
        let order = self.state.order(&self.state.payments[&payment]);
        let aborted = match decision {
            Decision::Abort(reason) => Some(Box::new(Aborted { order, reason })),
            Decision::Commit => None,
        };
        Instruction::Force { payment, decision, by, aborted }
    }
}

fn refuse(ticket: Ticket, unforced: Unforced) -> Action {
    Action::Reply { ticket, reply: Reply::Rejected(Rejection::Unforced(unforced)) }
}
