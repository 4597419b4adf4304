//! The live half of the gateway: what each input leads to.
//!
//! One owner, one input after another, no clock of its own. Everything here that a restart forgets
//! is kept in [`Live`] and [`super::links::Link`]; everything else is in [`State`].

use super::answer::{self, Outcome, Page, Rejection};
use super::links::Link;
use super::pause::Paused;
use super::state::{BankIndex, State};
use super::watch::Watcher;
use super::{Action, Input, Reply, Settings, Ticket};
use crate::fact::{self, GatewayFact};
use crate::message::Instruction;
use crate::model::{
    Aborted, BankName, ClientId, Decision, GlobalId, Order, Reference, Start, Terms,
};
use crate::payment::{self, Event, Phase};
use crate::replay::Fold;
use crate::step::{Machine, Now, Step, Turn};
use std::collections::{BTreeMap, BTreeSet};
use wal::Lsn;

/// A payment may need this many bytes of log after it began: its votes, decision and settlements,
/// with the padding of the batches that they may come to lie in.
pub(super) const RESERVE_BYTES_PER_PAYMENT: u64 = 4 * 4096;

/// A caller that waits for an outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Waiter {
    ticket: Ticket,
    replayed: bool,
}

/// What only a running gateway knows of an open payment.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Live {
    waiters: Vec<Waiter>,
    /// Preparing in this epoch: when the votes must be there. Otherwise: when waiting callers are
    /// told PENDING.
    due_ms: u64,
}

/// All payments of a gateway.
#[derive(Debug, Clone)]
pub struct Coordinator {
    pub(super) state: State,
    pub(super) settings: Settings,
    pub(super) start: Start,
    pub(super) links: Vec<Link>,
    /// Holds of earlier starts whose `Began` was lost with the crash, by the bank that has them.
    pub(super) orphans: BTreeMap<(BankIndex, GlobalId), Vec<BankName>>,
    pub(super) forgotten: Option<GlobalId>,
    pub(super) paused: Option<Paused>,
    pub(super) now: Now,
    pub(super) retry_due_ms: u64,
    pub(super) forget_due_ms: u64,
    live: BTreeMap<GlobalId, Live>,
    pub(super) watchers: BTreeMap<ClientId, Vec<Watcher>>,
    deadlines: BTreeSet<(u64, GlobalId)>,
    next_number: u64,
    pub(super) room_bytes: u64,
    stopping: bool,
}

pub(super) type GatewayTurn = Turn<GatewayFact, Action>;

impl Machine for Coordinator {
    type Fact = GatewayFact;
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, input: Input, now: Now, turn: &mut GatewayTurn) {
        self.now = now;
        match input {
            Input::Pay { ticket, reference, terms, deadline_ms } => {
                if let Err(rejection) = self.pay(ticket, reference, terms, deadline_ms, turn) {
                    turn.now.push(reject(ticket, rejection));
                }
            }
            Input::Ask { ticket, reference } => self.ask(ticket, reference, turn),
            Input::List { ticket, client, cursor, limit } => {
                let (page, rests_on) = self.page(client, cursor, limit);
                turn.after(rests_on, Action::Reply { ticket, reply: Reply::Page(page) });
            }
            Input::Watch { ticket, client, after, limit } => {
                self.watch(client, Watcher { ticket, after, limit }, turn);
            }
            Input::OpenSession { ticket, session } => {
                self.done_when_durable(session.into(), ticket, turn);
            }
            Input::CloseSession { ticket, token_sha256 } => {
                self.done_when_durable(fact::SessionClosed { token_sha256 }.into(), ticket, turn);
            }
            Input::Note(audited) => self.note(audited, turn),
            Input::AskForce { ticket, payment, commit, by, why } => {
                self.ask_force(ticket, (payment, commit), (by, why), turn);
            }
            Input::ApproveForce { ticket, payment, commit, by } => {
                self.approve_force(ticket, (payment, commit), by, turn);
            }
            Input::Pause { ticket } => self.pause(ticket, turn),
            Input::Step { ticket } => self.step(ticket, turn),
            Input::Resume { ticket } => self.resume(ticket, turn),
            Input::Welcomed { bank, welcome } => self.welcomed(bank, &welcome, turn),
            Input::TurnedAway { bank, unwelcome } => self.turned_away(bank, &unwelcome, turn),
            Input::Reached { bank } => self.reached(bank, turn),
            Input::Lost { bank, why } => self.lost(bank, &why),
            Input::Reported { bank, from, bank_lsn, reports } => {
                self.reported(bank, from, bank_lsn, &reports, turn);
            }
            Input::Inquired { bank, open_holds } => self.inquired(bank, open_holds, turn),
            Input::Tick => self.pass_time(turn),
            Input::Stop => self.stopping = true,
        }
    }

    fn tick() -> Input {
        Input::Tick
    }

    fn close(&mut self, now: Now, turn: &mut GatewayTurn) {
        self.now = now;
        self.remember(fact::Stopped {}.into(), turn);
    }

    fn wake_ms(&self) -> u64 {
        let deadline = self.deadlines.first().map_or(u64::MAX, |(due, _)| *due);
        deadline.min(self.retry_due_ms).min(self.forget_due_ms)
    }

    fn set_room(&mut self, bytes: u64) {
        self.room_bytes = bytes;
    }

    fn last(&self) -> Lsn {
        self.state.last
    }
}

impl Coordinator {
    /// Takes over what the log says. The start's own `Started` must have been folded.
    ///
    /// # Panics
    /// When `state` has never been initialised and started.
    pub fn new(state: State, settings: Settings, now: Now) -> Self {
        let start = state.start().expect("a started log");
        let links = state.banks.iter().map(|_| Link::away("not reached yet")).collect();
        let mut coordinator = Self {
            start,
            links,
            settings,
            orphans: BTreeMap::new(),
            forgotten: None,
            paused: settings.paused.then(Paused::default),
            now,
            retry_due_ms: now.mono_ms,
            forget_due_ms: now.mono_ms + settings.forget_ms,
            live: BTreeMap::new(),
            watchers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_number: 1,
            room_bytes: u64::MAX,
            stopping: false,
            state,
        };
        for payment in coordinator.state.open.clone() {
            coordinator.set_due(payment, now.mono_ms + settings.settle_wait_ms);
            coordinator.await_answers(payment);
        }
        coordinator
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn start(&self) -> Start {
        self.start
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every fact goes this way: folded into the state, and onto the turn.
    pub(super) fn remember(&mut self, fact: GatewayFact, turn: &mut GatewayTurn) -> Lsn {
        let lsn = self.state.last.next();
        let folded = self.state.evolve(&fact, lsn, self.now.wall_ms);
        folded.expect("evolve accepts what decide remembers");
        turn.facts.push(fact);
        lsn
    }

    fn pay(
        &mut self,
        ticket: Ticket,
        reference: Reference,
        terms: Terms,
        deadline_ms: Option<u64>,
        turn: &mut GatewayTurn,
    ) -> Result<(), Rejection> {
        if let Some(payment) = self.state.by_reference.get(&reference).copied() {
            if let Some(field) = self.state.payments[&payment].terms.difference(&terms) {
                return Err(Rejection::IdReused(field));
            }
            return self.join(payment, Waiter { ticket, replayed: true }, turn);
        }
        let (from, to) = self.admit(&terms)?;
        let order = Order {
            reference,
            terms,
            payer_bank: self.state.bank(from).name,
            payee_bank: self.state.bank(to).name,
        };
        let Start { lineage, epoch, .. } = self.start;
        let payment = GlobalId { origin: lineage.origin(), epoch, number: self.next_number };
        self.next_number += 1;
        self.remember(fact::Began { payment, order }.into(), turn);
        let timeout = self.now.mono_ms + self.settings.two_phase_timeout_ms;
        self.set_due(payment, deadline_ms.map_or(timeout, |deadline| deadline.min(timeout)));
        self.wait(payment, Waiter { ticket, replayed: false });
        self.await_answers(payment);
        let parties = self.state.payments[&payment].payment.parties;
        turn.urgent |= [from, to].into_iter().any(|bank| self.state.bank(bank).is_foreign());
        let first = payment::begin(parties);
        turn.absorb(first, Lsn::ZERO, |action| self.translate(payment, action));
        Ok(())
    }

    /// May a new payment on these terms begin? Before it has, there is no outcome: every refusal
    /// here leaves the id free.
    fn admit(&self, terms: &Terms) -> Result<(BankIndex, BankIndex), Rejection> {
        let account = |number| {
            let account = self.state.accounts.get(&number);
            account.ok_or(Rejection::AccountNotFound(number))
        };
        if terms.payer == terms.payee {
            return Err(Rejection::SameAccount);
        }
        let banks = (account(terms.payer)?.bank, account(terms.payee)?.bank);
        if self.stopping {
            return Err(Rejection::ShuttingDown);
        }
        if self.is_paused() {
            return Err(Rejection::Paused);
        }
        for bank in [banks.0, banks.1] {
            let link = &self.links[usize::from(bank)];
            if !link.is_ready() {
                return Err(Rejection::BankUnavailable(self.state.bank(bank).name));
            }
            if link.awaited.len() >= self.settings.in_flight_per_bank_max {
                return Err(Rejection::TooManyRequests);
            }
        }
        let in_flight = self.state.open.len();
        if in_flight >= self.settings.in_flight_max {
            return Err(Rejection::TooManyRequests);
        }
        if self.room_bytes < (in_flight as u64 + 1) * RESERVE_BYTES_PER_PAYMENT {
            return Err(Rejection::LogFull);
        }
        Ok(banks)
    }

    fn ask(&mut self, ticket: Ticket, reference: Reference, turn: &mut GatewayTurn) {
        let payment = self.state.by_reference.get(&reference).copied();
        let Some(payment) = payment else {
            turn.now.push(reject(ticket, Rejection::NeverSeen));
            return;
        };
        let entry = &self.state.payments[&payment];
        let waiter = Waiter { ticket, replayed: true };
        if matches!(entry.payment.phase, Phase::Preparing { .. }) {
            let reply = self.reply(payment, &waiter, Outcome::Pending);
            turn.now.push(reply);
        } else if let Err(rejection) = self.join(payment, waiter, turn) {
            turn.now.push(reject(ticket, rejection));
        }
    }

    /// Answers a caller by the rule, now or when there is something to say.
    fn join(
        &mut self,
        payment: GlobalId,
        waiter: Waiter,
        turn: &mut GatewayTurn,
    ) -> Result<(), Rejection> {
        let entry = &self.state.payments[&payment];
        let live = self.live.get(&payment);
        let late = live.is_none_or(|live| live.due_ms <= self.now.mono_ms);
        if let Some(outcome) = answer::standing(entry, &self.settings, late) {
            let rests_on = entry.decided_lsn;
            turn.after(rests_on, self.reply(payment, &waiter, outcome));
            return Ok(());
        }
        if live.is_some_and(|live| live.waiters.len() >= self.settings.waiters_max) {
            return Err(Rejection::TooManyRequests);
        }
        self.wait(payment, waiter);
        Ok(())
    }

    fn wait(&mut self, payment: GlobalId, waiter: Waiter) {
        let live = self.live.get_mut(&payment).expect("open payments are live");
        live.waiters.push(waiter);
    }

    fn reply(&self, payment: GlobalId, waiter: &Waiter, outcome: Outcome) -> Action {
        let entry = &self.state.payments[&payment];
        let answer = answer::answer(payment, entry, outcome, waiter.replayed);
        Action::Reply { ticket: waiter.ticket, reply: Reply::Payment(answer) }
    }

    fn page(&self, client: ClientId, cursor: Option<u64>, limit: usize) -> (Page, Lsn) {
        let all = self.state.by_client.get(&client).map_or(&[][..], Vec::as_slice);
        let end = cursor.and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or(usize::MAX);
        let end = end.min(all.len());
        let begin = end.saturating_sub(limit);
        let mut rests_on = Lsn::ZERO;
        let answers = all[begin..end].iter().rev().map(|payment| {
            let entry = &self.state.payments[payment];
            rests_on = rests_on.max(entry.decided_lsn);
            let outcome = answer::standing(entry, &self.settings, self.is_late(*payment));
            answer::answer(*payment, entry, outcome.unwrap_or(Outcome::Pending), true)
        });
        let answers = answers.collect();
        (Page { answers, cursor: (begin > 0).then_some(begin as u64) }, rests_on)
    }

    fn is_late(&self, payment: GlobalId) -> bool {
        self.live.get(&payment).is_none_or(|live| live.due_ms <= self.now.mono_ms)
    }

    /// One event for one payment: the machine's step, carried out. `bank_lsn` is how far the
    /// speaking bank's journal was durable; 0 when no bank speaks.
    pub(super) fn advance(
        &mut self,
        payment: GlobalId,
        event: Event,
        bank_lsn: u64,
        turn: &mut GatewayTurn,
    ) {
        let step = payment::decide(self.state.payments[&payment].payment, event);
        self.carry_out(payment, step, bank_lsn, turn);
    }

    pub(super) fn carry_out(
        &mut self,
        payment: GlobalId,
        mut step: Step<payment::Fact, payment::Action>,
        bank_lsn: u64,
        turn: &mut GatewayTurn,
    ) {
        for fact in std::mem::take(&mut step.facts) {
            self.record(payment, fact, bank_lsn, turn);
        }
        self.await_answers(payment);
        let rests_on = self.state.payments[&payment].decided_lsn;
        turn.absorb(step, rests_on, |action| self.translate(payment, action));
        self.wake_watchers(payment, turn);
        if self.state.payments[&payment].is_over() {
            self.set_due(payment, 0);
            self.live.remove(&payment);
        }
    }

    fn record(&mut self, payment: GlobalId, fact: payment::Fact, lsn: u64, turn: &mut GatewayTurn) {
        let bank = |party| self.state.bank(self.state.payments[&payment].bank(party)).name;
        let fact = match fact {
            payment::Fact::Voted(party, vote) => {
                fact::Voted { payment, bank: bank(party), vote, bank_lsn: lsn }.into()
            }
            payment::Fact::Decided(decision) => fact::Decided { payment, decision }.into(),
            payment::Fact::Settled(party, state) => {
                fact::Settled { payment, bank: bank(party), state, bank_lsn: lsn }.into()
            }
            payment::Fact::Differed(party, state) => {
                let bank = bank(party);
                fact::HeuristicDiffered { payment, bank, state, bank_lsn: lsn }.into()
            }
            payment::Fact::Ended => fact::Ended { payment }.into(),
            payment::Fact::Forced(_) => unreachable!("written with its case"),
        };
        let decided = matches!(fact, GatewayFact::Decided(_));
        self.remember(fact, turn);
        if decided {
            turn.urgent = true;
            self.set_due(payment, self.now.mono_ms + self.settings.settle_wait_ms);
        }
    }

    /// The machine's action in the gateway's words, and what it must wait for beyond the machine's
    /// own demand.
    fn translate(&mut self, payment: GlobalId, action: payment::Action) -> (Lsn, Vec<Action>) {
        let entry = &self.state.payments[&payment];
        match action {
            payment::Action::Prepare(party) => {
                let order = Box::new(self.state.order(entry));
                let bank = entry.bank(party);
                // A foreign bank has no Hello at which a lost beginning would come to light.
                let foreign = self.state.bank(bank).is_foreign();
                let rests_on = if foreign { entry.began_lsn } else { Lsn::ZERO };
                (rests_on, self.tell(bank, payment, Instruction::Prepare { payment, order }))
            }
            payment::Action::Tell(party, decision) => {
                let lazily = self.settings.ack == super::Ack::Decided;
                let instruction = match decision {
                    Decision::Commit => Instruction::Commit { payment, lazily },
                    Decision::Abort(reason) => {
                        let aborted = Aborted { order: self.state.order(entry), reason };
                        Instruction::Abort { payment, aborted: Some(Box::new(aborted)) }
                    }
                };
                (Lsn::ZERO, self.tell(entry.bank(party), payment, instruction))
            }
            payment::Action::Force(party, decision) => {
                let (bank, instruction) =
                    (entry.bank(party), self.force_instruction(payment, decision));
                (Lsn::ZERO, self.tell(bank, payment, instruction))
            }
            payment::Action::Answer => (Lsn::ZERO, self.answer_waiters(payment)),
            payment::Action::Contradiction(party, state) => {
                (Lsn::ZERO, vec![self.contradiction(entry.bank(party), payment, state)])
            }
        }
    }

    /// Whoever waits hears what the rule allows by now.
    fn answer_waiters(&mut self, payment: GlobalId) -> Vec<Action> {
        let late = self.is_late(payment);
        let entry = &self.state.payments[&payment];
        let Some(outcome) = answer::standing(entry, &self.settings, late) else {
            return Vec::new();
        };
        let live = self.live.get_mut(&payment);
        let waiters = live.map(|live| std::mem::take(&mut live.waiters)).unwrap_or_default();
        waiters.iter().map(|waiter| self.reply(payment, waiter, outcome)).collect()
    }

    /// Moves the payment's deadline; 0 takes it away.
    pub(super) fn set_due(&mut self, payment: GlobalId, due_ms: u64) {
        let live =
            self.live.entry(payment).or_insert_with(|| Live { waiters: Vec::new(), due_ms: 0 });
        self.deadlines.remove(&(live.due_ms, payment));
        live.due_ms = due_ms;
        if due_ms > 0 {
            self.deadlines.insert((due_ms, payment));
        }
    }

    fn pass_time(&mut self, turn: &mut GatewayTurn) {
        while let Some((due_ms, payment)) = self.deadlines.first().copied() {
            if due_ms > self.now.mono_ms {
                break;
            }
            self.deadlines.pop_first();
            let entry = &self.state.payments[&payment];
            let preparing = matches!(entry.payment.phase, Phase::Preparing { .. });
            if preparing && payment.epoch == self.start.epoch && self.is_own(payment) {
                self.advance(payment, Event::TimedOut, 0, turn);
            } else {
                let rests_on = entry.decided_lsn;
                for reply in self.answer_waiters(payment) {
                    turn.after(rests_on, reply);
                }
            }
        }
        self.retry(turn);
        self.forget(turn);
    }

    pub(super) fn is_own(&self, payment: GlobalId) -> bool {
        payment.origin == self.start.lineage.origin()
    }

    /// The participants that owe an answer, as their links know it.
    fn await_answers(&mut self, payment: GlobalId) {
        let entry = &self.state.payments[&payment];
        let awaited = entry.payment.awaited();
        for party in entry.payment.parties.iter() {
            let link = &mut self.links[usize::from(entry.bank(party))];
            if awaited.has(party) {
                link.awaited.entry(payment).or_insert(0);
            } else {
                link.awaited.remove(&payment);
            }
        }
    }
}

pub(super) fn reject(ticket: Ticket, rejection: Rejection) -> Action {
    Action::Reply { ticket, reply: Reply::Rejected(rejection) }
}
