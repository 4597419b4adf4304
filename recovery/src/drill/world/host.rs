//! The shells of both services: a turn, a sync, a death and a start, written once.

use super::node::{Down, Fed, NotStarted};
use super::{BankService, Event, GatewayService, Kind, Node, Place, Service, World};
use crate::drill::mutant::{self, Mutant};
use crate::drill::point::{self, Moment, Point};
use crate::fact::{BankFact, GatewayFact};
use crate::gateway::{Outcome, Reply};
use crate::message::Instruction;
use crate::model::{HoldState, StartId};
use crate::step::Machine;
use crate::{bank, gateway};
use wal::Storage as _;

/// One kind of node in a world.
pub(super) trait Host<W> {
    type Machine: Service;

    fn node(world: &mut W, index: usize) -> &mut Node<Self::Machine>;
    fn place(index: usize) -> Place;
    fn act(world: &mut W, index: usize, action: <Self::Machine as Machine>::Action);
    fn learn(world: &mut W, index: usize, fact: &<Self::Machine as Machine>::Fact);
    /// Another log was put in this one's place.
    fn believe(world: &mut W, index: usize);
    fn look(world: &mut W, index: usize);
    fn fact_points(moment: Moment, facts: &[<Self::Machine as Machine>::Fact]) -> Vec<Point>;
    fn action_point(action: &<Self::Machine as Machine>::Action) -> Option<Point>;
    fn recovering() -> (Point, Option<Point>);
    /// Does the broken rule let this go before it is safe?
    fn is_early(action: &<Self::Machine as Machine>::Action) -> bool;
}

pub(super) struct Gateways;
pub(super) struct Banks;

impl<G: GatewayService, B: BankService> Host<World<'_, G, B>> for Gateways {
    type Machine = G;

    fn node<'w>(world: &'w mut World<'_, G, B>, index: usize) -> &'w mut Node<G> {
        &mut world.gateways[index]
    }

    fn place(index: usize) -> Place {
        Place::Gateway(index)
    }

    fn act(world: &mut World<'_, G, B>, index: usize, action: gateway::Action) {
        world.act_as_gateway(index, action);
    }

    fn learn(world: &mut World<'_, G, B>, index: usize, fact: &GatewayFact) {
        if G::PROMISES {
            let line = world.line_of[index];
            let others = world.names.iter().zip(&world.drivers).filter(|(_, by)| **by != line);
            let lost: Vec<_> = others.map(|(name, _)| *name).collect();
            let judged = world.truth.gateway_fact(line, &lost, fact);
            world.judge(judged);
        }
    }

    fn believe(world: &mut World<'_, G, B>, index: usize) {
        world.truth.believe_gateway(world.line_of[index], &world.gateways[index].ghost);
    }

    fn look(_: &mut World<'_, G, B>, _: usize) {}

    fn fact_points(moment: Moment, facts: &[GatewayFact]) -> Vec<Point> {
        point::gateway_facts(moment, facts)
    }

    fn action_point(action: &gateway::Action) -> Option<Point> {
        point::gateway_action(action)
    }

    fn recovering() -> (Point, Option<Point>) {
        (Point::RecoveringBeforeFence, Some(Point::RecoveringBeforeHello))
    }

    fn is_early(action: &gateway::Action) -> bool {
        match action {
            gateway::Action::Tell { instruction: Instruction::Commit { .. }, .. } => {
                mutant::is(Mutant::CommitToldEarly)
            }
            gateway::Action::Reply { reply: Reply::Payment(answer), .. } => {
                let aborted = matches!(answer.outcome, Outcome::Aborted(_));
                aborted && mutant::is(Mutant::AbortAnsweredEarly)
            }
            _ => false,
        }
    }
}

impl<G: GatewayService, B: BankService> Host<World<'_, G, B>> for Banks {
    type Machine = B;

    fn node<'w>(world: &'w mut World<'_, G, B>, index: usize) -> &'w mut Node<B> {
        &mut world.banks[index]
    }

    fn place(index: usize) -> Place {
        Place::Bank(index)
    }

    fn act(world: &mut World<'_, G, B>, index: usize, action: bank::Action) {
        world.act_as_bank(index, action);
    }

    fn learn(world: &mut World<'_, G, B>, index: usize, fact: &BankFact) {
        if let BankFact::Fenced(fenced) = fact {
            let line = world.line_of_start.get(&fenced.start_id).copied();
            world.drivers[index] = line.unwrap_or_default();
            if !mutant::is(Mutant::NoFencing) {
                world.part_with_others(index);
            }
        }
        if G::PROMISES {
            let judged = world.truth.bank_fact(world.drivers[index], world.names[index], fact);
            world.judge(judged);
        }
    }

    fn believe(world: &mut World<'_, G, B>, index: usize) {
        world.truth.believe_bank(world.names[index], &world.banks[index].ghost);
    }

    /// What can be spent is never below zero.
    fn look(world: &mut World<'_, G, B>, index: usize) {
        let Some(process) = &world.banks[index].process else { return };
        if let Some(number) = process.machine.overdrawn() {
            world.violate(format!("account {number} is overdrawn"));
        }
    }

    fn fact_points(moment: Moment, facts: &[BankFact]) -> Vec<Point> {
        point::bank_facts(moment, facts)
    }

    fn action_point(action: &bank::Action) -> Option<Point> {
        point::bank_action(action)
    }

    fn recovering() -> (Point, Option<Point>) {
        (Point::BankRecovering, None)
    }

    fn is_early(action: &bank::Action) -> bool {
        match action {
            bank::Action::Report { report, .. } => {
                report.state == HoldState::Held && mutant::is(Mutant::VoteBeforeHold)
            }
            bank::Action::Greet { answer: Ok(_), .. } => mutant::is(Mutant::FenceNotSynced),
            _ => false,
        }
    }
}

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    /// One input to one machine, and all that follows from it at once.
    pub(super) fn feed<H: Host<Self>>(
        &mut self,
        index: usize,
        input: <H::Machine as Machine>::Input,
    ) {
        let (now_ms, roomy) = (self.now_ms, self.config.segment_bytes < (64 << 10));
        let Some(fed) = H::node(self, index).feed(input, now_ms, roomy) else { return };
        let Fed { facts, now, urgent } = fed;
        H::look(self, index);
        let points = H::fact_points(Moment::Appended, &facts);
        if self.trapped::<H>(index, points) || !self.act_all::<H>(index, now) {
            return;
        }
        // What waited for something durable already need not wait for a sync.
        let released = H::node(self, index).released(H::is_early);
        if self.act_all::<H>(index, released) {
            self.schedule::<H>(index, urgent);
        }
    }

    /// Takes actions one by one. False when the process died or the run failed in between.
    fn act_all<H: Host<Self>>(
        &mut self,
        index: usize,
        actions: Vec<<H::Machine as Machine>::Action>,
    ) -> bool {
        for action in actions {
            let point = H::action_point(&action);
            H::act(self, index, action);
            if H::node(self, index).process.is_none() || self.trapped::<H>(index, point) {
                return false;
            }
        }
        true
    }

    /// The next sync and the next tick of a process.
    fn schedule<H: Host<Self>>(&mut self, index: usize, urgent: bool) {
        let fast_ms = 1 + self.below(self.config.sync_ms_max);
        let lazy_ms = self.config.lazy_ms;
        let now_ms = self.now_ms;
        let node = H::node(self, index);
        let incarnation = node.incarnation;
        let slow_ms = if node.slow_until_ms > now_ms { 100 } else { 0 };
        let wake_ms = node.wake_ms();
        let Some(process) = &mut node.process else { return };
        let mut due = Vec::new();
        if process.log.pending() {
            let sync_ms = now_ms + if urgent { fast_ms + slow_ms } else { lazy_ms };
            if process.sync_ms.is_none_or(|planned| sync_ms < planned) {
                process.sync_ms = Some(sync_ms);
                due.push((sync_ms, Event::Sync(H::place(index), incarnation)));
            }
        }
        if let Some(wake_ms) = wake_ms.map(|wake_ms| wake_ms.max(now_ms + 1))
            && (process.tick_ms <= now_ms || wake_ms < process.tick_ms)
        {
            process.tick_ms = wake_ms;
            due.push((wake_ms, Event::Tick(H::place(index), incarnation)));
        }
        for (at_ms, event) in due {
            self.at(at_ms - now_ms, event);
        }
    }

    pub(super) fn tick<H: Host<Self>>(&mut self, index: usize, incarnation: u64) {
        let node = H::node(self, index);
        if node.process.is_some() && node.incarnation == incarnation {
            self.feed::<H>(index, H::Machine::tick());
        }
    }

    pub(super) fn sync<H: Host<Self>>(&mut self, index: usize, incarnation: u64) {
        let (mark, spare) = (self.chance(200), self.chance(500));
        let now_ms = self.now_ms;
        let node = H::node(self, index);
        let due = node.process.as_ref().and_then(|process| process.sync_ms);
        if node.incarnation != incarnation || due.is_none_or(|due| due > now_ms) {
            return;
        }
        let facts = match node.sync() {
            Ok(facts) => facts,
            Err(error) => {
                self.note_place(H::place(index), || format!("stops: {error}"));
                return self.fall(H::place(index), false);
            }
        };
        if let Some(process) = &mut node.process {
            if spare && let Some(task) = process.log.spare_wanted() {
                // A full disk shows here first, where it harms nothing.
                let _ = task.run();
            }
            let marked = !mark || process.log.mark().is_ok();
            if !marked || node.disk.list("wal").is_err() {
                return self.fall(H::place(index), false);
            }
        }
        self.become_durable::<H>(index, &facts);
        let points = H::fact_points(Moment::Durable, &facts);
        if self.trapped::<H>(index, points) {
            return;
        }
        let released = H::node(self, index).released(H::is_early);
        if self.act_all::<H>(index, released) {
            self.schedule::<H>(index, false);
        }
    }

    fn become_durable<H: Host<Self>>(
        &mut self,
        index: usize,
        facts: &[<H::Machine as Machine>::Fact],
    ) {
        for fact in facts {
            self.note_fact(H::place(index), fact);
            H::learn(self, index, fact);
        }
        H::node(self, index).ghost.extend(facts.iter().cloned());
    }

    fn trapped<H: Host<Self>>(
        &mut self,
        index: usize,
        points: impl IntoIterator<Item = Point>,
    ) -> bool {
        let Some(trap) = &mut H::node(self, index).trap else { return false };
        let mut points = points.into_iter();
        let Some(point) = points.find(|point| trap.springs(*point)) else { return false };
        H::node(self, index).trap = None;
        self.count(Kind::CrashPoint);
        self.tally(point.name());
        self.note_place(H::place(index), || format!("dies {point}"));
        let power = self.random.coin();
        self.fall(H::place(index), power);
        true
    }

    /// A process is gone, or its machine with it. It is started again after a while.
    pub(super) fn fall(&mut self, place: Place, power: bool) {
        let seed = self.random.bits();
        let delay_ms = 1 + self.below(60);
        let before = self.disk(place).counts();
        let how = if power { "loses its power" } else { "is gone" };
        self.note_place(place, || how.into());
        match place {
            Place::Gateway(g) => fall(&mut self.gateways[g], power, seed),
            Place::Bank(b) => {
                fall(&mut self.banks[b], power, seed);
                for g in 0..self.gateways.len() {
                    self.lose_line(g, b);
                }
            }
        }
        if let Place::Gateway(g) = place {
            self.hellos.retain(|(gateway, _), _| *gateway != g);
        }
        let after = self.disk(place).counts();
        if after.sectors_lost > before.sectors_lost {
            self.count(Kind::SectorsLost);
            if after.sectors_kept > before.sectors_kept {
                self.count(Kind::TornWrite);
            }
        }
        self.start_later(place, delay_ms);
    }

    pub(super) fn start_later(&mut self, place: Place, delay_ms: u64) {
        let incarnation = self.incarnation(place);
        self.at(delay_ms, Event::Restart(place, incarnation));
    }

    fn incarnation(&self, place: Place) -> u64 {
        match place {
            Place::Gateway(g) => self.gateways[g].incarnation,
            Place::Bank(b) => self.banks[b].incarnation,
        }
    }

    pub(super) fn restart(&mut self, place: Place, incarnation: u64) {
        if self.incarnation(place) != incarnation {
            return;
        }
        match place {
            Place::Gateway(g) => {
                if self.start::<Gateways>(g) {
                    let incarnation = self.gateways[g].incarnation;
                    self.at(1, Event::Lines(g, incarnation));
                }
            }
            Place::Bank(b) => {
                self.start::<Banks>(b);
            }
        }
    }

    fn start<H: Host<Self>>(&mut self, index: usize) -> bool {
        let place = H::place(index);
        let start_id = StartId(
            [self.random.bits(), self.random.bits()]
                .map(u64::to_le_bytes)
                .concat()
                .try_into()
                .expect("16 bytes"),
        );
        let (config, now_ms) = (self.config.clone(), self.now_ms);
        let node = H::node(self, index);
        if node.process.is_some() || node.down == Down::Refused {
            return false;
        }
        let (before, after) = H::recovering();
        match node.start(&config, start_id, now_ms) {
            Ok(facts) => {
                self.note_place(place, || "is started".into());
                self.pristine.remove(&place);
                if let Place::Gateway(g) = place {
                    self.line_of_start.insert(start_id, self.line_of[g]);
                }
                if std::mem::take(&mut H::node(self, index).swapped) {
                    H::believe(self, index);
                }
                self.become_durable::<H>(index, &facts);
                if self.trapped::<H>(index, [before].into_iter().chain(after)) {
                    return false;
                }
                self.schedule::<H>(index, true);
                true
            }
            Err(NotStarted::Died) => {
                self.note_place(place, || "dies while it starts".into());
                self.count(Kind::CrashInRecovery);
                let power = self.random.coin();
                self.fall(place, power);
                false
            }
            Err(NotStarted::Locked) => {
                self.violate(format!("{place:?} is locked, and nobody runs on it"));
                false
            }
            Err(NotStarted::Damaged(error)) => {
                self.damaged(place, &error);
                false
            }
            Err(NotStarted::Broken(what)) => {
                self.violate(format!("{place:?}: {what}"));
                false
            }
        }
    }
}

fn fall<M: Service>(node: &mut Node<M>, power: bool, seed: u64) {
    node.process = None;
    if power {
        node.disk.power_cut(seed);
    } else {
        node.disk.kill();
    }
    node.disk.clear_faults();
}
