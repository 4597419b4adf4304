//! The live half of a bank: what each input leads to.
//!
//! Every answer waits for the whole journal up to its making to be durable: a duplicate's answer
//! rests on the same hold as the first one's, and a balance on every posting in it.

use super::state::State;
use super::{Action, Balance, Input, Settings, Ticket};
use crate::drill::mutant::{self, Mutant};
use crate::fact::{self, BankFact};
use crate::hold::{self, Event};
use crate::message::{Hello, Heuristic, Instruction, Report, Unwelcome, Welcome};
use crate::model::{
    Aborted, AccountNumber, BankName, Decision, GlobalId, Heard, HoldState, Order, Reason, Start,
};
use crate::replay::Fold;
use crate::step::{Machine, Now, Turn};
use std::collections::BTreeMap;
use wal::Lsn;

/// A hold may need this many bytes of journal after it was made: its outcome, with the padding of
/// the batch that it may come to lie in alone.
const RESERVE_BYTES_PER_HOLD: u64 = 2 * 4096;

type BankTurn = Turn<BankFact, Action>;

/// All holds and accounts of one bank.
#[derive(Debug, Clone)]
pub struct Ledger {
    state: State,
    settings: Settings,
    start: Start,
    bank: BankName,
    now: Now,
    /// When each open hold is asked about, in monotonic milliseconds.
    inquire_due: BTreeMap<GlobalId, u64>,
    tick_due_ms: u64,
    room_bytes: u64,
}

impl Machine for Ledger {
    type Fact = BankFact;
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, input: Input, now: Now, turn: &mut BankTurn) {
        self.now = now;
        match input {
            Input::Hello { ticket, hello } => {
                let answer = self.greet(&hello, turn);
                if let Err(lost @ Unwelcome::JournalLost { .. }) = &answer {
                    turn.after(self.state.last, Action::Halt(lost.clone()));
                }
                turn.after(self.state.last, Action::Greet { ticket, answer });
            }
            Input::Instructed { ticket, sender, lsn, instructions } => {
                if let Err(unwelcome) = self.recognise(&sender) {
                    return turn.now.push(Action::TurnAway { ticket, unwelcome });
                }
                let heard = Heard { gateway: sender.lineage, lsn };
                for instruction in instructions {
                    self.obey(ticket, heard, instruction, turn);
                }
            }
            Input::Balance { ticket, account } => {
                let balance = self.balance(account);
                turn.after(self.state.last, Action::Balance { ticket, balance });
            }
            Input::Tick => self.pass_time(turn),
        }
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn close(&mut self, now: Now, turn: &mut BankTurn) {
        self.now = now;
        self.remember(fact::BankStopped {}.into(), turn);
    }

    fn wake_ms(&self) -> u64 {
        self.tick_due_ms
    }

    fn set_room(&mut self, bytes: u64) {
        self.room_bytes = bytes;
    }

    fn last(&self) -> Lsn {
        self.state.last
    }
}

impl Ledger {
    /// Takes over what the journal says. The start's own record must have been folded.
    ///
    /// # Panics
    /// When `state` has never been founded and started.
    pub fn new(state: State, settings: Settings, now: Now) -> Self {
        let start = state.start().expect("a started journal");
        let bank = state.bank.expect("a founded journal");
        let inquire_due = state.open.iter().map(|payment| (*payment, now.mono_ms)).collect();
        let tick_due_ms = now.mono_ms;
        let room_bytes = u64::MAX;
        Self { state, settings, start, bank, now, inquire_due, tick_due_ms, room_bytes }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn start(&self) -> Start {
        self.start
    }

    fn remember(&mut self, fact: BankFact, turn: &mut BankTurn) -> Lsn {
        let lsn = self.state.last.next();
        let folded = self.state.evolve(&fact, lsn, self.now.wall_ms);
        folded.expect("evolve accepts what decide remembers");
        turn.facts.push(fact);
        lsn
    }

    /// Lets a start of a gateway in, or says why not. Nothing is written for one that is refused.
    fn greet(&mut self, hello: &Hello, turn: &mut BankTurn) -> Result<Welcome, Unwelcome> {
        let Start { cluster, lineage, epoch, start_id } = hello.gateway;
        if hello.bank != self.bank {
            return Err(Unwelcome::OtherBank { here: self.bank, asked: hello.bank });
        }
        if cluster != self.start.cluster {
            return Err(Unwelcome::OtherCluster);
        }
        let fence = *self.state.fences.get(&lineage).ok_or(Unwelcome::NotAdmitted)?;
        let overtaken = fence.is_some_and(|fence| {
            fence.epoch > epoch || (fence.epoch == epoch && fence.start_id != start_id)
        });
        if let Some(fence) = fence.filter(|_| overtaken && !mutant::is(Mutant::NoFencing)) {
            return Err(Unwelcome::Fenced { fenced: fence.epoch, offered: epoch });
        }
        if let Some(remembered) = hello.remembered
            && !self.state.holds_record(&remembered)
        {
            return Err(Unwelcome::JournalLost { remembered: remembered.lsn });
        }
        let remembered = self.state.remembered(lineage);
        if let Some(remembered) = remembered.filter(|_| hello.checked != remembered) {
            return Err(Unwelcome::Prove { remembered });
        }
        let known = fence.filter(|fence| fence.epoch == epoch);
        let gateway_lsn = hello.gateway_lsn.max(known.map_or(0, |fence| fence.lsn));
        let fenced = fact::Fenced { gateway: lineage, epoch, start_id, gateway_lsn };
        self.remember(fenced.into(), turn);
        turn.urgent = true;
        let states = hello.undecided.iter();
        Ok(Welcome {
            bank: self.start,
            bank_lsn: self.state.last.get(),
            states: states.map(|payment| (*payment, self.state.hold_state(*payment))).collect(),
            open_holds: self.open_holds(self.state.open.iter().copied()),
        })
    }

    /// Only the start that was fenced in last may command.
    fn recognise(&self, sender: &Start) -> Result<(), Unwelcome> {
        let fence = self.state.fences.get(&sender.lineage).ok_or(Unwelcome::NotAdmitted)?;
        let fenced = fence.map_or(0, |fence| fence.epoch);
        let current = fence
            .is_some_and(|fence| fence.epoch == sender.epoch && fence.start_id == sender.start_id);
        let obeyed = current || mutant::is(Mutant::NoFencing);
        if obeyed { Ok(()) } else { Err(Unwelcome::Fenced { fenced, offered: sender.epoch }) }
    }

    fn obey(
        &mut self,
        ticket: Ticket,
        heard: Heard,
        instruction: Instruction,
        turn: &mut BankTurn,
    ) {
        match instruction {
            Instruction::Prepare { payment, order } => {
                self.prepare(ticket, heard, payment, &order, turn);
            }
            Instruction::Commit { payment, lazily } => {
                self.settle(ticket, heard, payment, Event::Commit, None, turn);
                turn.urgent |= !lazily;
            }
            Instruction::Abort { payment, aborted } => {
                self.settle(ticket, heard, payment, Event::Abort, aborted, turn);
                turn.urgent = true;
            }
            Instruction::Force { payment, decision, by, aborted } => {
                let known = self.state.forced.contains_key(&payment);
                if !known && !self.state.is_forgotten(payment) {
                    let Heuristic { why, asked_by, approved_by } = *by;
                    let fact = fact::HeuristicObeyed {
                        payment,
                        decision,
                        why,
                        asked_by,
                        approved_by,
                        heard,
                    };
                    self.remember(fact.into(), turn);
                }
                self.settle(ticket, heard, payment, Event::Force(decision), aborted, turn);
                turn.urgent = true;
            }
            Instruction::Forget { through } => {
                let before = self.state.forgotten.get(&through.origin);
                if before.is_none_or(|before| *before < through) {
                    self.remember(fact::Forgot { through }.into(), turn);
                }
            }
        }
    }

    fn prepare(
        &mut self,
        ticket: Ticket,
        heard: Heard,
        payment: GlobalId,
        order: &Order,
        turn: &mut BankTurn,
    ) {
        turn.urgent = true;
        if self.state.is_forgotten(payment) {
            let state = HoldState::Refused(Reason::TooLate);
            let report = Report { payment, state, alarm: false };
            return turn.after(self.state.last, Action::Report { ticket, report });
        }
        let state = self.state.hold_state(payment);
        let check = self.vote(order);
        let mut step = hold::decide(state, Event::Prepare(check));
        for fact in std::mem::take(&mut step.facts) {
            let fact = match fact {
                hold::Fact::Held => {
                    self.inquire_due.insert(payment, self.now.mono_ms + self.settings.inquire_ms);
                    fact::Held { payment, order: order.clone(), heard }.into()
                }
                hold::Fact::Refused(reason) => {
                    let (reference, order) = (order.reference, Some(order.clone()));
                    fact::Refused { payment, reference, reason, heard, order }.into()
                }
                hold::Fact::Posted | hold::Fact::Released | hold::Fact::Tombstoned => {
                    unreachable!("a prepare settles nothing")
                }
            };
            self.remember(fact, turn);
        }
        turn.absorb(step, self.state.last, |action| translate(ticket, payment, action));
    }

    fn vote(&self, order: &Order) -> Result<(), Reason> {
        let held = self.state.open.len();
        let full = self.room_bytes < (held as u64 + 1) * RESERVE_BYTES_PER_HOLD;
        if full || held >= self.settings.holds_max {
            return Err(Reason::LogFull);
        }
        if order.sides_at(self.bank).next().is_none() {
            return Err(Reason::AccountNotFound);
        }
        self.state.check(order)
    }

    fn settle(
        &mut self,
        ticket: Ticket,
        heard: Heard,
        payment: GlobalId,
        event: Event,
        aborted: Option<Box<Aborted>>,
        turn: &mut BankTurn,
    ) {
        if self.state.is_forgotten(payment) {
            // Over on all sides: the instruction is a late copy, and is acknowledged as it stands.
            let commits = matches!(event, Event::Commit | Event::Force(Decision::Commit));
            let done = if commits { HoldState::Posted } else { HoldState::Released };
            let report = Report { payment, state: done, alarm: false };
            return turn.after(self.state.last, Action::Report { ticket, report });
        }
        let mut step = hold::decide(self.state.hold_state(payment), event);
        for fact in std::mem::take(&mut step.facts) {
            let fact = match fact {
                hold::Fact::Posted => fact::Posted { payment, heard }.into(),
                hold::Fact::Released => {
                    let reason = aborted.as_ref().map(|aborted| aborted.reason);
                    fact::Released { payment, heard, reason }.into()
                }
                hold::Fact::Tombstoned => {
                    let aborted = aborted.as_deref().cloned();
                    fact::Tombstoned { payment, heard, aborted }.into()
                }
                hold::Fact::Held | hold::Fact::Refused(_) => {
                    unreachable!("only a prepare is voted on")
                }
            };
            self.remember(fact, turn);
            self.inquire_due.remove(&payment);
        }
        turn.absorb(step, self.state.last, |action| translate(ticket, payment, action));
    }

    fn balance(&self, number: AccountNumber) -> Option<Balance> {
        let account = self.state.accounts.get(&number)?;
        Some(Balance {
            account: number,
            owner: account.owner,
            currency: account.currency,
            posted_minor: account.posted_minor,
            held_minor: account.held_minor,
            as_of_lsn: self.state.last.get(),
        })
    }

    fn open_holds(
        &self,
        payments: impl Iterator<Item = GlobalId>,
    ) -> Vec<(GlobalId, Vec<BankName>)> {
        let participants = |payment| {
            let order = self.state.holds.get(&payment).and_then(|hold| hold.order.as_ref());
            order.map(|order| order.participants().collect()).unwrap_or_default()
        };
        payments.map(|payment| (payment, participants(payment))).collect()
    }

    fn pass_time(&mut self, turn: &mut BankTurn) {
        if self.now.mono_ms < self.tick_due_ms {
            return;
        }
        self.tick_due_ms = self.now.mono_ms + self.settings.inquire_ms / 4 + 1;
        let next_due = self.now.mono_ms + self.settings.inquire_ms;
        let aged: Vec<_> = {
            let due = self.inquire_due.iter_mut().filter(|(_, due)| **due <= self.now.mono_ms);
            due.map(|(payment, due)| {
                *due = next_due;
                *payment
            })
            .collect()
        };
        if !aged.is_empty() {
            let open_holds = self.open_holds(aged.into_iter());
            turn.after(self.state.last, Action::Inquire { open_holds });
        }
    }
}

fn translate(ticket: Ticket, payment: GlobalId, action: hold::Action) -> (Lsn, Vec<Action>) {
    let report = match action {
        hold::Action::Report(state) => Report { payment, state, alarm: false },
        hold::Action::Alarm(state) => Report { payment, state, alarm: true },
    };
    (Lsn::ZERO, vec![Action::Report { ticket, report }])
}
