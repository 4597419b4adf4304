//! The gateway of the report: one call after another, and an abort when one of them fails.
//!
//! ```text
//!   prepare sender, prepare recipient --not both ready, or late--> abort both, "aborted"
//!                 '--> commit sender, commit recipient --not both ready, or late--> abort both (!)
//!                                      '--> "committed"
//! ```

use super::state::{Processed, Statuses};
use super::{GatewayService, Service, name};
use crate::drill::world::Config;
use crate::fact::{self, GatewayFact};
use crate::gateway::{
    self, Action, Answer, BankIndex, Coordinator, Input, Outcome, Rejection, Reply, Ticket,
};
use crate::message::{Hello, Instruction, Report};
use crate::model::{
    Decision, Epoch, GlobalId, HoldState, Order, Reason, Reference, Start, StartId, Terms,
};
use crate::replay::Fold as _;
use crate::step::{Machine, Now, Turn};
use std::collections::BTreeMap;
use wal::Lsn;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Stage {
    Prepare,
    Commit,
}

/// One call of `ProcessPayment` under way, waiting for one bank.
#[derive(Clone, Debug)]
struct Flow {
    ticket: Ticket,
    payment: GlobalId,
    order: Order,
    banks: Vec<BankIndex>,
    stage: Stage,
    /// Which of `banks` is waited for.
    at: usize,
    /// Why not every bank was ready, if one was not.
    failed: Option<Reason>,
    due_ms: u64,
    began_ms: u64,
}

/// Its statuses, and the calls under way.
#[derive(Debug, Clone)]
pub struct Gateway {
    state: Statuses,
    start: Start,
    timeout_ms: u64,
    now: Now,
    flows: BTreeMap<u64, Flow>,
    next_flow: u64,
}

type GatewayTurn = Turn<GatewayFact, Action>;

impl Machine for Gateway {
    type Fact = GatewayFact;
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, input: Input, now: Now, turn: &mut GatewayTurn) {
        self.now = now;
        match input {
            Input::Pay { ticket, reference, terms, .. } => self.pay(ticket, reference, terms, turn),
            Input::Ask { ticket, reference } => {
                let answer = self.committed(&reference).map(Reply::Payment);
                let reply = answer.unwrap_or(Reply::Rejected(Rejection::NeverSeen));
                turn.now.push(Action::Reply { ticket, reply });
            }
            Input::Reported { bank, reports, .. } => {
                for report in reports {
                    self.heard(bank, report, turn);
                }
            }
            Input::Lost { bank, .. } => {
                self.give_up(|flow| flow.banks[flow.at] == bank, turn);
            }
            Input::Tick => {
                let now_ms = self.now.mono_ms;
                self.give_up(|flow| flow.due_ms <= now_ms, turn);
            }
            Input::List { .. }
            | Input::Watch { .. }
            | Input::OpenSession { .. }
            | Input::CloseSession { .. }
            | Input::Note(_)
            | Input::AskForce { .. }
            | Input::ApproveForce { .. }
            | Input::Pause { .. }
            | Input::Step { .. }
            | Input::Resume { .. }
            | Input::Welcomed { .. }
            | Input::TurnedAway { .. }
            | Input::Reached { .. }
            | Input::Inquired { .. }
            | Input::Stop => {}
        }
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn close(&mut self, _: Now, _: &mut GatewayTurn) {}

    fn wake_ms(&self) -> u64 {
        self.flows.values().map(|flow| flow.due_ms).min().unwrap_or(u64::MAX)
    }

    fn set_room(&mut self, _: u64) {}

    fn last(&self) -> Lsn {
        self.state.last
    }
}

impl Gateway {
    /// "if transaction_id in processed_transactions and ... == committed"
    fn committed(&self, reference: &Reference) -> Option<Answer> {
        let row = self.state.processed.get(reference)?;
        (row.decision == Decision::Commit).then(|| answer(*reference, row, true))
    }

    fn pay(&mut self, ticket: Ticket, reference: Reference, terms: Terms, turn: &mut GatewayTurn) {
        if let Some(answer) = self.committed(&reference) {
            let reply = Reply::Payment(answer);
            return turn.now.push(Action::Reply { ticket, reply });
        }
        let place = |account| self.state.accounts.get(&account).copied();
        let Some((payer, payee)) = place(terms.payer).zip(place(terms.payee)) else {
            let reply = Reply::Rejected(Rejection::AccountNotFound(terms.payee));
            return turn.now.push(Action::Reply { ticket, reply });
        };
        let bank = |index: BankIndex| self.state.banks[usize::from(index)];
        let order = Order { reference, terms, payer_bank: bank(payer), payee_bank: bank(payee) };
        let banks = if payer == payee { vec![payer] } else { vec![payer, payee] };
        let flow = Flow {
            ticket,
            payment: name(&reference),
            order,
            banks,
            stage: Stage::Prepare,
            at: 0,
            failed: None,
            due_ms: 0,
            began_ms: self.now.wall_ms,
        };
        self.next_flow += 1;
        self.call(self.next_flow, flow, turn);
    }

    /// Makes the call that the flow has come to, and waits for its answer.
    fn call(&mut self, number: u64, mut flow: Flow, turn: &mut GatewayTurn) {
        flow.due_ms = self.now.mono_ms + self.timeout_ms;
        let payment = flow.payment;
        let instruction = match flow.stage {
            Stage::Prepare => Instruction::Prepare { payment, order: Box::new(flow.order.clone()) },
            Stage::Commit => Instruction::Commit { payment, lazily: false },
        };
        turn.now.push(Action::Tell { bank: flow.banks[flow.at], instruction });
        self.flows.insert(number, flow);
    }

    fn heard(&mut self, bank: BankIndex, report: Report, turn: &mut GatewayTurn) {
        let stage = match report.state {
            HoldState::Held | HoldState::Refused(_) => Stage::Prepare,
            HoldState::Posted | HoldState::Unknown => Stage::Commit,
            // Nobody waits for what an abort came to.
            HoldState::Released => return,
        };
        let waits = |flow: &Flow| {
            flow.payment == report.payment && flow.stage == stage && flow.banks[flow.at] == bank
        };
        let number = self.flows.iter().find(|(_, flow)| waits(flow)).map(|(number, _)| *number);
        let Some((number, mut flow)) = number.and_then(|n| self.flows.remove_entry(&n)) else {
            return;
        };
        match report.state {
            HoldState::Refused(reason) => flow.failed = Some(reason),
            HoldState::Unknown => flow.failed = Some(Reason::PrepareTimeout),
            HoldState::Held | HoldState::Posted | HoldState::Released => {}
        }
        flow.at += 1;
        if flow.at < flow.banks.len() {
            return self.call(number, flow, turn);
        }
        match (flow.stage, flow.failed) {
            (_, Some(reason)) => self.abort(flow, reason, turn),
            (Stage::Prepare, None) => {
                self.call(number, Flow { stage: Stage::Commit, at: 0, ..flow }, turn);
            }
            (Stage::Commit, None) => self.write(flow, Decision::Commit, turn),
        }
    }

    /// A call that failed or is late raises an exception, and that aborts.
    fn give_up(&mut self, late: impl Fn(&Flow) -> bool, turn: &mut GatewayTurn) {
        let late: Vec<u64> =
            self.flows.iter().filter(|(_, flow)| late(flow)).map(|(number, _)| *number).collect();
        for number in late {
            if let Some(flow) = self.flows.remove(&number) {
                self.abort(flow, Reason::PrepareTimeout, turn);
            }
        }
    }

    /// "Abort the transaction if commit phase fails"
    fn abort(&mut self, flow: Flow, reason: Reason, turn: &mut GatewayTurn) {
        let payment = flow.payment;
        for bank in &flow.banks {
            let instruction = Instruction::Abort { payment, aborted: None };
            turn.now.push(Action::Tell { bank: *bank, instruction });
        }
        self.write(flow, Decision::Abort(reason), turn);
    }

    /// "update_transaction_in_db", and the answer behind it.
    fn write(&mut self, flow: Flow, decision: Decision, turn: &mut GatewayTurn) {
        let Flow { ticket, payment, order, began_ms, .. } = flow;
        let reference = order.reference;
        self.remember(fact::Began { payment, order }.into(), turn);
        self.remember(fact::Decided { payment, decision }.into(), turn);
        turn.urgent = true;
        let row = &self.state.processed[&reference];
        let reply = Reply::Payment(Answer { began_ms, ..answer(reference, row, false) });
        turn.after(self.state.last, Action::Reply { ticket, reply });
    }

    fn remember(&mut self, fact: GatewayFact, turn: &mut GatewayTurn) {
        let folded = self.state.evolve(&fact, self.state.last.next(), self.now.wall_ms);
        folded.expect("a row is written as a whole");
        turn.facts.push(fact);
    }
}

fn answer(reference: Reference, row: &Processed, replayed: bool) -> Answer {
    let outcome = match row.decision {
        Decision::Commit => Outcome::Committed,
        Decision::Abort(reason) => Outcome::Aborted(reason),
    };
    let (lsn, at_ms, terms) = (row.lsn.get(), row.at_ms, row.terms.clone());
    let payment = row.payment;
    Answer { payment, reference, terms, outcome, replayed, lsn, began_ms: at_ms, decided_ms: at_ms }
}

impl Service for Gateway {
    type State = Statuses;

    fn boot(state: Statuses, config: &Config, now: Now) -> Self {
        let start = state.who.start().expect("a started log");
        let timeout_ms = config.gateway.two_phase_timeout_ms;
        Self { state, start, timeout_ms, now, flows: BTreeMap::new(), next_flow: 0 }
    }

    fn state(&self) -> &Statuses {
        &self.state
    }

    fn epoch(state: &Statuses) -> Epoch {
        state.who.epoch()
    }

    fn started(epoch: Epoch, start_id: StartId) -> GatewayFact {
        <Coordinator as Service>::started(epoch, start_id)
    }

    fn start(&self) -> Start {
        self.start
    }

    fn open(&self) -> Vec<GlobalId> {
        self.flows.values().map(|flow| flow.payment).collect()
    }
}

impl GatewayService for Gateway {
    const PROMISES: bool = false;

    /// It introduces itself to nobody.
    fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello {
        let bank = self.state.banks[usize::from(bank)];
        let (checked, remembered, undecided) = (None, None, Vec::new());
        Hello {
            gateway: self.start,
            gateway_lsn: durable_lsn,
            bank,
            checked,
            remembered,
            undecided,
        }
    }

    /// Every bank obeys whoever calls.
    fn greeted(&self, _: BankIndex) -> Option<Start> {
        Some(self.start)
    }

    fn audited(_: &Statuses) -> Option<&gateway::State> {
        None
    }
}
