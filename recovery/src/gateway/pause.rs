//! Recovery, held up: what earlier starts left stands still until a person lets go of it, one
//! payment at a time or all together.
//!
//! Nothing is undecided by it, and nothing is lost: the banks keep what they hold, and the log what
//! it says. New payments are refused meanwhile, before anything begins; those that this start has
//! begun already go on.

use super::coordinator::{Coordinator, GatewayTurn};
use super::state::BankIndex;
use super::{Action, Reply, Ticket};
use crate::model::GlobalId;
use crate::payment::Event;
use std::collections::BTreeSet;
use wal::Lsn;

/// Payments that may go on though all others may not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Paused {
    let_go: BTreeSet<GlobalId>,
}

impl Coordinator {
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Must it stand still? Only what an earlier start left does.
    pub fn is_held_up(&self, payment: GlobalId) -> bool {
        let current = self.is_own(payment) && payment.epoch == self.start.epoch;
        self.paused.as_ref().is_some_and(|paused| !current && !paused.let_go.contains(&payment))
    }

    pub(super) fn pause(&mut self, ticket: Ticket, turn: &mut GatewayTurn) {
        self.paused.get_or_insert_default();
        turn.now.push(Action::Reply { ticket, reply: Reply::Done });
    }

    /// Lets go of the oldest payment that stands still, and says which it is.
    pub(super) fn step(&mut self, ticket: Ticket, turn: &mut GatewayTurn) {
        let open = self.state.open.iter().copied();
        let orphans = self.orphans.keys().map(|(_, payment)| *payment);
        let next = open.chain(orphans).find(|payment| self.is_held_up(*payment));
        if let (Some(payment), Some(paused)) = (next, &mut self.paused) {
            paused.let_go.insert(payment);
            self.go_on(turn);
        }
        turn.after(Lsn::ZERO, Action::Reply { ticket, reply: Reply::LetGo(next) });
    }

    pub(super) fn resume(&mut self, ticket: Ticket, turn: &mut GatewayTurn) {
        self.paused = None;
        self.go_on(turn);
        turn.now.push(Action::Reply { ticket, reply: Reply::Done });
    }

    /// Takes up what stood still at every bank that can be driven.
    fn go_on(&mut self, turn: &mut GatewayTurn) {
        for bank in 0..self.links.len() {
            let bank = BankIndex::try_from(bank).expect("few banks");
            if self.links[usize::from(bank)].is_ready() {
                self.say_again(bank, turn);
            }
        }
        self.settle_heard(turn);
    }

    /// Everything that this bank has not answered.
    pub(super) fn say_again(&mut self, bank: BankIndex, turn: &mut GatewayTurn) {
        let awaited: Vec<_> = self.links[usize::from(bank)].awaited.keys().copied().collect();
        for payment in awaited {
            self.remind(bank, payment, turn);
        }
    }

    /// What earlier starts left and every participant has now been heard of.
    pub(super) fn settle_heard(&mut self, turn: &mut GatewayTurn) {
        let interrupted: Vec<_> = {
            let open = self.state.open.iter().copied();
            let cut_short = |payment| self.interrupted(payment) || self.lacks_its_end(payment);
            let open = open.filter(|payment| !self.is_held_up(*payment));
            open.filter(|payment| cut_short(*payment) && self.all_heard(*payment)).collect()
        };
        for payment in interrupted {
            self.advance(payment, Event::Interrupted, 0, turn);
        }
        self.abort_orphans(turn);
    }
}
