//! A bank of the report: it checks, promises in memory, and writes balances when it is told to.

use super::state::Balances;
use super::{BankService, Service};
use crate::bank::{self, Action, Input, Ticket};
use crate::drill::world::Config;
use crate::fact::{self, BankFact};
use crate::message::{Instruction, Report};
use crate::model::{
    AccountNumber, Epoch, GlobalId, Heard, HoldState, Lineage, Order, Reason, Side, Start, StartId,
};
use crate::replay::Fold as _;
use crate::step::{Machine, Now, Turn};
use std::collections::BTreeMap;
use wal::Lsn;

/// Its balances, and what it has said yes to.
#[derive(Debug, Clone)]
pub struct Bank {
    state: Balances,
    start: Start,
    now: Now,
    /// Gone with the process.
    promised: BTreeMap<GlobalId, Order>,
}

type BankTurn = Turn<BankFact, Action>;

impl Machine for Bank {
    type Fact = BankFact;
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, input: Input, now: Now, turn: &mut BankTurn) {
        self.now = now;
        let Input::Instructed { ticket, sender, instructions, .. } = input else { return };
        let heard = Heard { gateway: sender.lineage, lsn: 0 };
        for instruction in instructions {
            self.obey(ticket, heard, instruction, turn);
        }
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn close(&mut self, _: Now, _: &mut BankTurn) {}

    fn wake_ms(&self) -> u64 {
        u64::MAX
    }

    fn set_room(&mut self, _: u64) {}

    fn last(&self) -> Lsn {
        self.state.last
    }
}

impl Bank {
    fn obey(&mut self, ticket: Ticket, heard: Heard, said: Instruction, turn: &mut BankTurn) {
        match said {
            Instruction::Prepare { payment, order } => {
                let state = match self.check(&order) {
                    Ok(()) => {
                        self.promised.insert(payment, *order);
                        HoldState::Held
                    }
                    Err(reason) => HoldState::Refused(reason),
                };
                turn.now.push(report(ticket, payment, state));
            }
            Instruction::Commit { payment, .. } => match self.promised.remove(&payment) {
                Some(order) => {
                    self.remember(fact::Held { payment, order, heard }.into(), turn);
                    self.remember(fact::Posted { payment, heard }.into(), turn);
                    turn.urgent = true;
                    turn.after(self.state.last, report(ticket, payment, HoldState::Posted));
                }
                None => turn.now.push(report(ticket, payment, HoldState::Unknown)),
            },
            Instruction::Abort { payment, .. } => {
                self.promised.remove(&payment);
                turn.now.push(report(ticket, payment, HoldState::Released));
            }
            // Nobody asks for it: the report knows no such thing.
            Instruction::Force { .. } | Instruction::Forget { .. } => {}
        }
    }

    fn remember(&mut self, fact: BankFact, turn: &mut BankTurn) {
        let folded = self.state.evolve(&fact, self.state.last.next(), self.now.wall_ms);
        folded.expect("balances take every fact");
        turn.facts.push(fact);
    }

    /// "Each bank server checks if it can process its part of the transaction."
    fn check(&self, order: &Order) -> Result<(), Reason> {
        let Some(bank) = self.state.bank else { return Err(Reason::AccountNotFound) };
        for side in order.sides_at(bank) {
            let number = order.account(side);
            let account = self.state.accounts.get(&number).ok_or(Reason::AccountNotFound)?;
            let promised: i64 = {
                let others = self.promised.values().filter(|other| {
                    other.terms.payer == number && other.reference != order.reference
                });
                others.map(|other| other.terms.amount.minor()).sum()
            };
            let available_minor = account.balance_minor - promised;
            if side == Side::Debit && available_minor < order.terms.amount.minor() {
                return Err(Reason::InsufficientFunds);
            }
        }
        Ok(())
    }
}

fn report(ticket: Ticket, payment: GlobalId, state: HoldState) -> Action {
    Action::Report { ticket, report: Report { payment, state, alarm: false } }
}

impl Service for Bank {
    type State = Balances;

    fn boot(state: Balances, _: &Config, now: Now) -> Self {
        let start = state.who.start().expect("a started journal");
        Self { state, start, now, promised: BTreeMap::new() }
    }

    fn state(&self) -> &Balances {
        &self.state
    }

    fn epoch(state: &Balances) -> Epoch {
        state.who.epoch()
    }

    fn started(epoch: Epoch, start_id: StartId) -> BankFact {
        <bank::Ledger as Service>::started(epoch, start_id)
    }

    fn start(&self) -> Start {
        self.start
    }

    /// It asks nobody about what it has promised: nothing is ever open.
    fn open(&self) -> Vec<GlobalId> {
        Vec::new()
    }
}

impl BankService for Bank {
    fn obeys(&self, _: Lineage) -> Option<StartId> {
        None
    }

    fn accounts(state: &Balances) -> Vec<(AccountNumber, [i64; 2])> {
        let accounts = state.accounts.iter();
        accounts.map(|(number, kept)| (*number, [kept.opening_minor, kept.balance_minor])).collect()
    }

    fn overdrawn(&self) -> Option<AccountNumber> {
        None
    }

    fn audited(_: &Balances) -> Option<&bank::State> {
        None
    }
}
