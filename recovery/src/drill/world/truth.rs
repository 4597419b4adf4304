//! What the world's eyes have seen: facts once they were durable, and answers once they were given.
//!
//! It trusts no machine's state. A fact is judged when it has become durable, because before that a
//! crash may take it back; an answer is judged when it leaves.

use crate::fact::{BankFact, GatewayFact};
use crate::gateway::{Ack, Answer, Outcome, Rejection};
use crate::model::{BankName, Decision, GlobalId, HoldState, Order, Reference, Terms};
use std::collections::{BTreeMap, BTreeSet};

/// A payment at a bank.
#[derive(Clone, Debug)]
struct Kept {
    reference: Option<Reference>,
    state: HoldState,
    postings: u32,
}

/// What one gateway's log has made of things. A copy of a directory goes on in a line of its own.
#[derive(Clone, Debug, Default)]
struct Line {
    begun: BTreeMap<GlobalId, Order>,
    decided: BTreeMap<GlobalId, Decision>,
    committed: BTreeMap<Reference, GlobalId>,
}

impl Line {
    fn believe(&mut self, facts: &[GatewayFact]) {
        for fact in facts {
            match fact {
                GatewayFact::Began(began) => {
                    self.begun.insert(began.payment, began.order.clone());
                }
                GatewayFact::Decided(decided) => {
                    self.decided.insert(decided.payment, decided.decision);
                    let order = self.begun.get(&decided.payment);
                    if let Some(order) = order.filter(|_| decided.decision == Decision::Commit) {
                        self.committed.insert(order.reference, decided.payment);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Everything that can no longer be taken back.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    lines: Vec<Line>,
    kept: BTreeMap<(BankName, GlobalId), Kept>,
    answered: BTreeMap<Reference, Answer>,
    /// Aborts that rest on refusals alone: no bank knows how far the gateway's log was then, so an
    /// old backup that lacks the decision may be let in.
    unwitnessed: BTreeSet<Reference>,
    /// Banks whose journal was swapped for an old one: what they had shown cannot be looked up.
    doubted: BTreeSet<BankName>,
    /// The gateway's log was made again: numbers and times in it are those of its making.
    remade: bool,
    pub(super) commits: u64,
    pub(super) aborts: u64,
}

type Judged = Result<(), String>;

impl Truth {
    fn line(&mut self, gateway: usize) -> &mut Line {
        if self.lines.len() <= gateway {
            self.lines.resize_with(gateway + 1, Line::default);
        }
        &mut self.lines[gateway]
    }

    /// Another log was put in the place of this gateway's: it is believed, and judged from here on.
    pub(super) fn believe_gateway(&mut self, gateway: usize, facts: &[GatewayFact]) {
        let line = self.line(gateway);
        *line = Line::default();
        line.believe(facts);
    }

    /// Another journal was put in the place of this bank's.
    pub(super) fn believe_bank(&mut self, bank: BankName, facts: &[BankFact]) {
        self.kept.retain(|(name, _), _| *name != bank);
        for fact in facts {
            let (payment, reference, state) = match fact {
                BankFact::Held(f) => (f.payment, Some(f.order.reference), HoldState::Held),
                BankFact::Posted(f) => (f.payment, None, HoldState::Posted),
                BankFact::Released(f) => (f.payment, None, HoldState::Released),
                BankFact::Tombstoned(f) => (f.payment, None, HoldState::Released),
                BankFact::Refused(f) => {
                    (f.payment, Some(f.reference), HoldState::Refused(f.reason))
                }
                _ => continue,
            };
            let before = self.kept.get(&(bank, payment));
            let reference = reference.or_else(|| before.and_then(|kept| kept.reference));
            let postings = u32::from(state == HoldState::Posted);
            self.kept.insert((bank, payment), Kept { reference, state, postings });
        }
    }

    /// The gateway's log was made again from the banks': it says all that was answered.
    pub(super) fn remade(&mut self, facts: &[GatewayFact]) -> Judged {
        self.unwitnessed.clear();
        self.remade = true;
        let mut said = Line::default();
        said.believe(facts);
        for (reference, answer) in &mut self.answered {
            let outcome = match said.decided.get(&answer.payment) {
                Some(Decision::Commit) => Some(Outcome::Committed),
                Some(Decision::Abort(reason)) => Some(Outcome::Aborted(*reason)),
                None => None,
            };
            let order = said.begun.get(&answer.payment);
            let order = order.filter(|order| order.reference == *reference);
            let refused = |bank| {
                let kept = self.kept.get(&(bank, answer.payment));
                kept.is_some_and(|kept| matches!(kept.state, HoldState::Refused(_)))
            };
            if let Some(said @ Outcome::Aborted(_)) = outcome
                && matches!(answer.outcome, Outcome::Aborted(_))
                && order.is_some_and(|order| order.participants().all(refused))
            {
                // Each bank had a reason of its own; which came first only the lost log knew.
                answer.outcome = said;
            }
            if order.is_none() || outcome != Some(answer.outcome) {
                let told = answer.outcome;
                return Err(format!(
                    "{reference} was told {told:?}; the log made again says {outcome:?}"
                ));
            }
        }
        Ok(())
    }

    /// An earlier answer as a log that was made again would give it.
    fn placed(&self, first: &Answer, now: &Answer) -> Answer {
        let Answer { lsn, began_ms, decided_ms, .. } = if self.remade { now } else { first };
        let (lsn, began_ms, decided_ms) = (*lsn, *began_ms, *decided_ms);
        Answer { lsn, began_ms, decided_ms, ..first.clone() }
    }

    pub(super) fn doubt(&mut self, bank: BankName, doubted: bool) {
        if doubted {
            self.doubted.insert(bank);
        } else {
            self.doubted.remove(&bank);
        }
    }

    /// `lost`: banks that obey another line by now. A decision that a crash had left in the page
    /// cache may come to light after a copy of the directory has undone what it is about; nobody
    /// was told of it, and these banks will not hear it.
    pub(super) fn gateway_fact(
        &mut self,
        gateway: usize,
        lost: &[BankName],
        fact: &GatewayFact,
    ) -> Judged {
        match fact {
            GatewayFact::Began(began) => {
                self.line(gateway).begun.insert(began.payment, began.order.clone());
                Ok(())
            }
            GatewayFact::Decided(decided) => {
                self.decided(gateway, lost, decided.payment, decided.decision)
            }
            _ => Ok(()),
        }
    }

    fn decided(
        &mut self,
        gateway: usize,
        lost: &[BankName],
        payment: GlobalId,
        decision: Decision,
    ) -> Judged {
        let order = self.line(gateway).begun.get(&payment).cloned();
        let order = order.ok_or_else(|| format!("{payment} was decided and never begun"))?;
        if self.line(gateway).decided.insert(payment, decision).is_some() {
            return Err(format!("{payment} is decided twice"));
        }
        if decision != Decision::Commit {
            self.aborts += 1;
            return Ok(());
        }
        self.commits += 1;
        for bank in order.participants() {
            let kept = self.kept.get(&(bank, payment));
            let held = kept.is_some_and(|kept| {
                kept.state == HoldState::Held && kept.reference == Some(order.reference)
            });
            if !held && !lost.contains(&bank) && !self.doubted.contains(&bank) {
                let state = kept.map_or(HoldState::Unknown, |kept| kept.state);
                return Err(format!("{payment} commits while {bank} has it {state:?}"));
            }
        }
        match self.line(gateway).committed.insert(order.reference, payment) {
            None => Ok(()),
            Some(first) => Err(format!("{} commits twice: {first}, {payment}", order.reference)),
        }
    }

    /// `by`: the gateway that drives this bank.
    pub(super) fn bank_fact(&mut self, by: usize, bank: BankName, fact: &BankFact) -> Judged {
        match fact {
            BankFact::Held(held) => {
                let (reference, state) = (Some(held.order.reference), HoldState::Held);
                let kept = Kept { reference, state, postings: 0 };
                match self.kept.insert((bank, held.payment), kept) {
                    None => Ok(()),
                    Some(kept) => {
                        Err(format!("{bank} holds {} after {:?}", held.payment, kept.state))
                    }
                }
            }
            BankFact::Posted(posted) => self.posted(by, bank, posted.payment),
            BankFact::Released(released) => {
                self.aborted(by, bank, released.payment, None, HoldState::Released)
            }
            BankFact::Tombstoned(tomb) => {
                self.aborted(by, bank, tomb.payment, None, HoldState::Released)
            }
            BankFact::Refused(refused) => {
                let state = HoldState::Refused(refused.reason);
                self.aborted(by, bank, refused.payment, Some(refused.reference), state)
            }
            _ => Ok(()),
        }
    }

    /// No bank undoes what another has done (I2).
    fn together(&self, payment: GlobalId, reference: Option<Reference>) -> Judged {
        let of = |kept: &&Kept| kept.reference.is_none() || kept.reference == reference;
        let states = self.kept.iter().filter(|((_, id), _)| *id == payment);
        let states: Vec<_> = states.map(|(_, kept)| kept).filter(of).collect();
        let posted = states.iter().any(|kept| kept.state == HoldState::Posted);
        let undone = states
            .iter()
            .any(|kept| matches!(kept.state, HoldState::Released | HoldState::Refused(_)));
        if posted && undone {
            return Err(format!("{payment} is posted at one bank and aborted at another"));
        }
        Ok(())
    }

    fn posted(&mut self, by: usize, bank: BankName, payment: GlobalId) -> Judged {
        let decision = self.line(by).decided.get(&payment).copied();
        if decision != Some(Decision::Commit) {
            return Err(format!("{bank} has posted {payment}, which was decided {decision:?}"));
        }
        let Some(kept) = self.kept.get_mut(&(bank, payment)) else {
            return Err(format!("{bank} has posted {payment} and never held it"));
        };
        kept.state = HoldState::Posted;
        kept.postings += 1;
        if kept.postings > 1 {
            return Err(format!("{bank} has posted {payment} {} times", kept.postings));
        }
        let reference = kept.reference;
        let mut others = self.kept.iter().filter(|((_, id), kept)| {
            *id != payment && kept.reference == reference && kept.state == HoldState::Posted
        });
        if let (Some(reference), Some(((_, first), _))) = (reference, others.next()) {
            return Err(format!("{reference} moves money twice: as {first} and as {payment}"));
        }
        self.together(payment, reference)
    }

    fn aborted(
        &mut self,
        by: usize,
        bank: BankName,
        payment: GlobalId,
        reference: Option<Reference>,
        state: HoldState,
    ) -> Judged {
        let line = self.line(by);
        let takes_part = line.begun.get(&payment).is_some_and(|order| {
            order.participants().any(|name| name == bank)
                && reference.is_none_or(|reference| reference == order.reference)
        });
        if takes_part && line.decided.get(&payment) == Some(&Decision::Commit) {
            return Err(format!("{bank} has {state:?} for {payment}, which was decided to commit"));
        }
        let kept = self.kept.get(&(bank, payment));
        let reference = reference.or_else(|| kept.and_then(|kept| kept.reference));
        let postings = kept.map_or(0, |kept| kept.postings);
        self.kept.insert((bank, payment), Kept { reference, state, postings });
        self.together(payment, reference)
    }

    /// An answer leaves. It must rest on what is durable, and all answers for one id be the same.
    pub(super) fn answered(
        &mut self,
        gateway: usize,
        answer: &Answer,
        asked: Option<&Terms>,
        ack: Ack,
    ) -> Judged {
        let (payment, reference) = (answer.payment, answer.reference);
        if asked.is_some_and(|asked| answer.terms != *asked) {
            return Err(format!("{reference} is answered with other terms than were asked"));
        }
        if answer.outcome == Outcome::Pending {
            return Ok(());
        }
        if let Some(first) = self.answered.get(&reference) {
            let same =
                Answer { replayed: answer.replayed, ..self.placed(first, answer) } == *answer;
            let lost = self.unwitnessed.contains(&reference) && first.payment != answer.payment;
            if lost && gateway > 0 {
                return Ok(());
            }
            let differs = || format!("{reference}: answered {first:?}, then {answer:?}");
            return if same { Ok(()) } else { Err(differs()) };
        }
        let line = self.line(gateway);
        let order = line.begun.get(&payment).filter(|order| order.reference == reference).cloned();
        let (Some(order), Some(decision)) = (order, line.decided.get(&payment).copied()) else {
            let outcome = answer.outcome;
            return Err(format!("{reference} is answered {outcome:?}, nothing durable says so"));
        };
        let evidence = |want: fn(HoldState) -> bool| {
            order
                .participants()
                .any(|bank| self.kept.get(&(bank, payment)).is_some_and(|kept| want(kept.state)))
        };
        let (said, shown) = match decision {
            Decision::Commit => (Outcome::Committed, evidence(|state| state == HoldState::Posted)),
            Decision::Abort(reason) => (
                Outcome::Aborted(reason),
                evidence(|state| matches!(state, HoldState::Released | HoldState::Refused(_))),
            ),
        };
        if answer.outcome != said {
            return Err(format!("{reference}: {decision:?} is answered as {:?}", answer.outcome));
        }
        let doubted = order.participants().any(|bank| self.doubted.contains(&bank));
        if ack == Ack::Settled && !shown && !doubted {
            return Err(format!("{reference} is answered {said:?}; no bank shows it durably"));
        }
        let refused = |state| matches!(state, HoldState::Refused(_));
        if evidence(refused) && !evidence(|state| state == HoldState::Released) {
            self.unwitnessed.insert(reference);
        }
        self.answered.insert(reference, answer.clone());
        Ok(())
    }

    /// A call produced no outcome. That must not contradict an outcome that was told.
    pub(super) fn rejected(
        &self,
        reference: &Reference,
        asked: Option<&Terms>,
        rejection: &Rejection,
    ) -> Judged {
        let Some(first) = self.answered.get(reference) else { return Ok(()) };
        let contradicts = match rejection {
            Rejection::NeverSeen => true,
            Rejection::IdReused(_) => asked == Some(&first.terms),
            _ => false,
        };
        let told = || format!("{reference} was {:?}, and now: {rejection}", first.outcome);
        if contradicts { Err(told()) } else { Ok(()) }
    }

    /// An answer of a protocol that may take it back: once it has said yes, that is what counts.
    pub(super) fn told(&mut self, answer: &Answer) {
        if answer.outcome == Outcome::Committed {
            self.answered.insert(answer.reference, answer.clone());
        } else if answer.outcome != Outcome::Pending {
            self.answered.entry(answer.reference).or_insert_with(|| answer.clone());
        }
    }

    pub(super) fn told_committed(&self, reference: &Reference) -> bool {
        let answer = self.answered.get(reference);
        answer.is_some_and(|answer| answer.outcome == Outcome::Committed)
    }

    /// Every final answer that was given.
    pub(super) fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.answered.values()
    }
}
