//! The network: every message may come late, out of order, twice or never.
//!
//! A line between two processes ends with either of them: what a bank says reaches only the start
//! of the gateway that it was said to. What a gateway said may reach a bank long after the gateway
//! is gone; fences are for that.

use super::clients::Call;
use super::host::{Banks, Gateways};
use super::{BankService, Event, GatewayService, Kind, Place, World};
use crate::gateway::{self, BankIndex, Reply, Warning};
use crate::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use crate::model::{BankName, GlobalId, Start};
use crate::{bank, gateway::Input as ToGateway};

/// A message under way.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Call { call: usize, gateway: usize },
    Reply { call: usize, reply: Reply },
    Hello { to: usize, ticket: u64, hello: Hello },
    Instructed { to: usize, ticket: u64, sender: Start, lsn: u64, instruction: Instruction },
    Greeted { from: usize, ticket: u64, answer: Result<Welcome, Unwelcome> },
    Reported { from: usize, ticket: u64, start: Start, bank_lsn: u64, report: Report },
    TurnedAway { from: usize, ticket: u64, unwelcome: Unwelcome },
    Inquired { from: usize, open_holds: Vec<(GlobalId, Vec<BankName>)> },
    Lost { bank: usize, ticket: u64 },
}

impl Packet {
    /// The bank at one end of its line.
    fn bank(&self) -> Option<usize> {
        match self {
            Self::Call { .. } | Self::Reply { .. } | Self::Lost { .. } => None,
            Self::Hello { to, .. } | Self::Instructed { to, .. } => Some(*to),
            Self::Greeted { from, .. }
            | Self::Reported { from, .. }
            | Self::TurnedAway { from, .. }
            | Self::Inquired { from, .. } => Some(*from),
        }
    }

    fn is_to_bank(&self) -> bool {
        matches!(self, Self::Hello { .. } | Self::Instructed { .. })
    }
}

/// A Hello without an answer is said again after this.
const HELLO_PATIENCE_MS: u64 = 40;

/// How often a gateway looks after its lines.
const LINES_MS: u64 = 12;

/// Whom a bank answers: a gateway, one of its starts, and which question.
#[derive(Copy, Clone)]
struct Return {
    gateway: usize,
    incarnation: u64,
    number: u64,
}

impl Return {
    fn ticket(self) -> u64 {
        (self.gateway as u64) << 56 | self.incarnation << 32 | (self.number & 0xffff_ffff)
    }

    fn of(ticket: u64) -> Self {
        let incarnation = ticket >> 32 & 0x00ff_ffff;
        Self { gateway: (ticket >> 56) as usize, incarnation, number: ticket & 0xffff_ffff }
    }
}

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    /// Puts a message on its way.
    pub(super) fn send(&mut self, packet: Packet) {
        let (lost, duplicated) = (self.config.lost, self.config.duplicated);
        if !self.healing && self.chance(lost) {
            return self.count(Kind::MessageLost);
        }
        if !self.healing && self.chance(duplicated) {
            self.count(Kind::MessageDuplicated);
            let delay_ms = self.delay_ms(&packet) + self.config.delay_ms_max;
            self.at(delay_ms, Event::Deliver(Box::new(packet.clone())));
        }
        let delay_ms = self.delay_ms(&packet);
        let delay_ms = self.in_order(&packet, delay_ms);
        self.at(delay_ms, Event::Deliver(Box::new(packet)));
    }

    /// The delay of a message that may overtake the one before it on its line, or must not.
    fn in_order(&mut self, packet: &Packet, delay_ms: u64) -> u64 {
        let Some(b) = packet.bank() else { return delay_ms };
        let due_ms = self.now_ms + delay_ms;
        let before = &mut self.last_due_ms[b][usize::from(packet.is_to_bank())];
        if due_ms >= *before {
            *before = due_ms;
            return delay_ms;
        }
        if !self.options.allows(Kind::MessageReordered) {
            return *before - self.now_ms;
        }
        self.count(Kind::MessageReordered);
        delay_ms
    }

    fn delay_ms(&mut self, packet: &Packet) -> u64 {
        let late = !self.healing && self.chance(20) && self.options.allows(Kind::MessageLate);
        let max = self.config.delay_ms_max;
        let slow = packet.bank().is_some_and(|b| self.banks[b].slow_until_ms > self.now_ms);
        let late_ms = if late { self.below(max * 20) } else { 0 };
        if late {
            self.count(Kind::MessageLate);
        }
        1 + self.below(max) + late_ms + if slow { 100 } else { 0 }
    }

    pub(super) fn deliver(&mut self, packet: Packet) {
        let cut = packet.bank().is_some_and(|b| self.cut_until_ms[b] > self.now_ms);
        if cut {
            return self.tally("message-cut-off");
        }
        match packet {
            Packet::Call { call, gateway } => self.deliver_call(call, gateway),
            Packet::Reply { call, reply } => self.hear(call, &reply),
            Packet::Hello { to, ticket, hello } => {
                self.feed::<Banks>(to, bank::Input::Hello { ticket, hello });
            }
            Packet::Instructed { to, ticket, sender, lsn, instruction } => {
                let instructions = vec![instruction];
                let input = bank::Input::Instructed { ticket, sender, lsn, instructions };
                self.feed::<Banks>(to, input);
            }
            Packet::Greeted { from, ticket, answer } => self.greeted(from, ticket, answer),
            Packet::Reported { from, ticket, start, bank_lsn, report } => {
                let (from_start, reports) = (Some(start), vec![report]);
                let bank = from as BankIndex;
                let input = ToGateway::Reported { bank, from: from_start, bank_lsn, reports };
                self.tell_gateway(ticket, input);
            }
            Packet::TurnedAway { from, ticket, unwelcome } => {
                let bank = from as BankIndex;
                self.tell_gateway(ticket, ToGateway::TurnedAway { bank, unwelcome });
            }
            Packet::Inquired { from, open_holds } => {
                for g in 0..self.gateways.len() {
                    let (bank, open_holds) = (from as BankIndex, open_holds.clone());
                    self.feed::<Gateways>(g, ToGateway::Inquired { bank, open_holds });
                }
            }
            Packet::Lost { bank, ticket } => {
                let why = "the line broke".to_owned();
                self.tell_gateway(ticket, ToGateway::Lost { bank: bank as BankIndex, why });
            }
        }
    }

    /// Only the start that asked hears the answer.
    fn tell_gateway(&mut self, ticket: u64, input: ToGateway) {
        let Return { gateway, incarnation, .. } = Return::of(ticket);
        if self.gateways[gateway].incarnation == incarnation {
            self.feed::<Gateways>(gateway, input);
        }
    }

    fn greeted(&mut self, from: usize, ticket: u64, answer: Result<Welcome, Unwelcome>) {
        let Return { gateway, number, .. } = Return::of(ticket);
        // An answer to an earlier Hello comes down a line that is not there any more.
        let awaited = self.hellos.get(&(gateway, from)).is_some_and(|(last, _)| *last == number);
        if !awaited {
            return;
        }
        self.hellos.remove(&(gateway, from));
        let bank = from as BankIndex;
        match answer {
            Ok(welcome) => {
                self.note(|| format!("gateway {gateway} is let in by bank {from}"));
                self.tell_gateway(ticket, ToGateway::Welcomed { bank, welcome });
            }
            Err(unwelcome) => {
                let proof = matches!(unwelcome, Unwelcome::Prove { .. });
                self.note(|| {
                    format!("gateway {gateway} is not let in by bank {from}: {unwelcome}")
                });
                self.tell_gateway(ticket, ToGateway::TurnedAway { bank, unwelcome });
                if proof {
                    self.say_hello(gateway, from);
                }
            }
        }
    }

    /// Hello is due to every bank that this gateway cannot drive.
    pub(super) fn keep_lines(&mut self, g: usize, incarnation: u64) {
        if self.gateways[g].incarnation != incarnation || self.gateways[g].process.is_none() {
            return;
        }
        for b in 0..self.banks.len() {
            let ready = self.gateways[g]
                .process
                .as_ref()
                .is_none_or(|process| process.machine.greeted(b as BankIndex).is_some());
            let waits = self
                .hellos
                .get(&(g, b))
                .is_some_and(|(_, sent_ms)| sent_ms + HELLO_PATIENCE_MS > self.now_ms);
            if !ready && !waits {
                self.say_hello(g, b);
            }
        }
        // A spare segment that could not be made is tried again.
        let spare =
            self.gateways[g].process.as_ref().and_then(|process| process.log.spare_wanted());
        if let Some(task) = spare {
            let _ = task.run();
        }
        self.at(LINES_MS, Event::Lines(g, incarnation));
    }

    fn say_hello(&mut self, g: usize, b: usize) {
        let node = &self.gateways[g];
        let Some(process) = &node.process else { return };
        let hello = process.machine.hello(b as BankIndex, process.durable.lsn().get());
        self.hello_number += 1;
        let (number, incarnation) = (self.hello_number, node.incarnation);
        self.hellos.insert((g, b), (number, self.now_ms));
        let ticket = Return { gateway: g, incarnation, number }.ticket();
        self.send(Packet::Hello { to: b, ticket, hello });
    }

    /// A gateway notices that a bank is gone.
    pub(super) fn lose_line(&mut self, g: usize, b: usize) {
        let (gateway, incarnation, number) = (g, self.gateways[g].incarnation, 0);
        self.hellos.remove(&(g, b));
        let delay_ms = 1 + self.below(10);
        let ticket = Return { gateway, incarnation, number }.ticket();
        self.at(delay_ms, Event::Deliver(Box::new(Packet::Lost { bank: b, ticket })));
    }

    pub(super) fn act_as_gateway(&mut self, g: usize, action: gateway::Action) {
        match action {
            gateway::Action::Tell { bank, instruction } => {
                let node = &self.gateways[g];
                let Some(process) = &node.process else { return };
                let (sender, lsn) = (process.machine.start(), process.durable.lsn().get());
                let (incarnation, number) = (node.incarnation, 0);
                let ticket = Return { gateway: g, incarnation, number }.ticket();
                let to = usize::from(bank);
                self.note_instruction(g, to, &instruction);
                self.send(Packet::Instructed { to, ticket, sender, lsn, instruction });
            }
            gateway::Action::Reply { ticket, reply } => self.reply(g, ticket as usize, reply),
            gateway::Action::Warn(warning) => self.warned(&warning),
            gateway::Action::Halt(halt) => {
                self.note(|| format!("gateway {g} halts: {halt}"));
                if self.mistaken() {
                    self.tally("halted");
                    self.gateway_refused(g);
                } else {
                    self.violate(format!("a sound gateway halts: {halt}"));
                }
            }
        }
    }

    fn warned(&mut self, warning: &Warning) {
        self.note(|| format!("warning: {warning}"));
        let alarming = match warning {
            Warning::Contradiction { .. } | Warning::Stranger { .. } => true,
            Warning::NotLetIn { .. } => !self.mistaken(),
        };
        if alarming && !self.mistaken() {
            self.violate(format!("a false alarm: {warning}"));
        }
    }

    fn reply(&mut self, gateway: usize, call: usize, reply: Reply) {
        let Call { reference, terms, .. } = &self.calls[call];
        let (reference, line) = (*reference, self.line_of[gateway]);
        let judged = match &reply {
            Reply::Payment(answer) if !G::PROMISES => {
                self.truth.told(answer);
                Ok(())
            }
            Reply::Rejected(_) if !G::PROMISES => Ok(()),
            Reply::Payment(answer) => {
                let ack = self.config.gateway.ack;
                self.truth.answered(line, answer, terms.as_ref(), ack)
            }
            // A gateway that must not serve may not know it yet; the client asks again.
            Reply::Rejected(_) if self.mistaken() => Ok(()),
            Reply::Rejected(rejection) => {
                self.truth.rejected(&reference, terms.as_ref(), rejection)
            }
            Reply::Page(_) | Reply::Finals(_) | Reply::LetGo(_) | Reply::Done => Ok(()),
        };
        self.note_answer(gateway, call, &reply);
        self.judge(judged);
        self.send(Packet::Reply { call, reply });
    }

    pub(super) fn act_as_bank(&mut self, b: usize, action: bank::Action) {
        let Some(process) = &self.banks[b].process else { return };
        let (start, bank_lsn) = (process.machine.start(), process.durable.lsn().get());
        match action {
            bank::Action::Greet { ticket, answer } => {
                self.send(Packet::Greeted { from: b, ticket, answer });
            }
            bank::Action::Report { ticket, report } => {
                self.note_report(b, &report);
                self.send(Packet::Reported { from: b, ticket, start, bank_lsn, report });
            }
            bank::Action::TurnAway { ticket, unwelcome } => {
                self.send(Packet::TurnedAway { from: b, ticket, unwelcome });
            }
            bank::Action::Inquire { open_holds } => {
                self.send(Packet::Inquired { from: b, open_holds });
            }
            bank::Action::Balance { .. } => {}
            bank::Action::Halt(unwelcome) => {
                self.note(|| format!("bank {b} halts: {unwelcome}"));
                if self.banks[b].ghost_aside.is_some() {
                    self.tally("halted");
                    self.put_back(Place::Bank(b));
                } else {
                    self.violate(format!("a sound bank halts: {unwelcome}"));
                }
            }
        }
    }

    /// A bank closes the lines of those that it no longer obeys. When they notice is chance.
    pub(super) fn part_with_others(&mut self, b: usize) {
        for g in (0..self.gateways.len())
            .filter(|g| self.line_of[*g] != self.drivers[b])
            .collect::<Vec<_>>()
        {
            self.lose_line(g, b);
        }
    }

    pub(super) fn cut_off(&mut self, b: usize) {
        let for_ms = 20 + self.below(200);
        self.cut_until_ms[b] = self.now_ms + for_ms;
        self.count(Kind::CutOff);
        for g in 0..self.gateways.len() {
            // Whether anybody notices is chance.
            if self.random.coin() {
                self.lose_line(g, b);
            }
        }
    }
}
