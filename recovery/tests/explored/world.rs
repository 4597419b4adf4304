//! One state of the whole: a number for each process, the messages under way, and what was said.

use super::cast::{Cast, Input};
use super::happening::{Happened, Happening};
use super::packets::PacketId;
use super::process::Print;
use super::scenario::{BANKS, Budget, Grain};
use recovery::drill::Mutant;
use recovery::gateway::Outcome;
use recovery::model::{Decision, Epoch};
use std::hash::{Hash, Hasher as _};

const PACKETS_MAX: usize = 24;
pub(super) const IDS_MAX: usize = 2;

/// Messages under way, sorted: which was sent first makes no difference to what may come.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Network {
    ids: [PacketId; PACKETS_MAX],
    count: u8,
}

impl Network {
    pub(super) fn all(&self) -> &[PacketId] {
        &self.ids[..usize::from(self.count)]
    }

    fn put(&mut self, id: PacketId) {
        let (at, end) = (self.all().partition_point(|other| *other < id), usize::from(self.count));
        assert!(end < PACKETS_MAX, "more messages than were thought of");
        self.ids.copy_within(at..end, at + 1);
        self.ids[at] = id;
        self.count += 1;
    }

    fn retain(&mut self, keep: impl Fn(PacketId) -> bool) {
        let before = *self;
        *self = Self::default();
        for id in before.all().iter().copied().filter(|id| keep(*id)) {
            self.put(id);
        }
    }
}

#[derive(Copy, Clone, Debug)]
pub(super) struct World {
    pub(super) gateway: u32,
    pub(super) banks: [u32; BANKS],
    pub(super) network: Network,
    /// Calls that were made, and those whose caller still waits; a bit each.
    pub(super) made: u8,
    pub(super) waiting: u8,
    /// What was said about each id.
    pub(super) told: [Option<Decision>; IDS_MAX],
    /// Banks that died, of which the gateway has not heard it; a bit each.
    pub(super) gone: u8,
    pub(super) left: Budget,
}

/// Something that can happen next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Gateway(Input),
    Bank(usize, Input),
    Deliver(PacketId),
    Copy(PacketId),
    Lose(PacketId),
    /// A bank dies and starts again, with so much of what it had not synced, and takes some of the
    /// messages to it with it: a bit each.
    Die {
        bank: usize,
        keep: u8,
        takes: u8,
    },
    /// The gateway finds out that a bank died.
    Notice(usize),
    Cut(usize),
    Retry,
}

/// What came of a step.
pub(super) struct Taken {
    pub(super) world: World,
    pub(super) happened: Happened,
}

impl World {
    /// Nothing has happened, but that both banks have let the gateway in where that is wanted.
    pub(super) fn new(cast: &mut Cast) -> Self {
        let mut world = Self {
            gateway: 0,
            banks: [0; BANKS],
            network: Network::default(),
            made: 0,
            waiting: 0,
            told: [None; IDS_MAX],
            gone: 0,
            // Without crashes every sync comes at once.
            left: Budget::NOTHING,
        };
        while let Some(step) = world.next_by_itself(cast).filter(|_| cast.scenario.greeted) {
            world =
                world.take(cast, step).unwrap_or_else(|wrong| panic!("at first: {wrong}")).world;
        }
        world.left = cast.scenario.budget;
        world
    }

    pub(super) fn print(&self) -> u128 {
        let mut print = Print::default();
        print.word(u64::from(self.gateway) << 32 | u64::from(self.banks[0]));
        print.word(u64::from(self.banks[1]) << 32 | u64::from(self.network.count));
        for four in self.network.all().chunks(4) {
            let words = four.iter().fold(0, |sum, id| sum << 16 | u64::from(*id));
            print.word(words);
        }
        let Budget { crashes, losses, copies, timeouts, retries, cuts, inquiries, forces } =
            self.left;
        let left = [crashes, losses, copies, timeouts, retries, cuts, inquiries, self.made];
        print.word(u64::from_le_bytes(left));
        print.write(&[self.waiting, self.gone, forces]);
        self.told.hash(&mut print);
        print.finish()
    }

    /// What happens by itself, without a fault, a call or impatience; `None` where all waits.
    fn next_by_itself(&self, cast: &Cast) -> Option<Step> {
        let gateway = cast.gateways.list[self.gateway as usize].info;
        let fine = cast.scenario.grain == Grain::Fine;
        if gateway.pending > 0 && (fine || gateway.waits) {
            return Some(Step::Gateway(Input::Sync));
        }
        let pending = |bank: usize| cast.banks[bank].list[self.banks[bank] as usize].info.pending;
        if let Some(bank) = (0..BANKS).find(|bank| pending(*bank) > 0) {
            return Some(Step::Bank(bank, Input::Sync));
        }
        if let Some(packet) = self.network.all().first() {
            return Some(Step::Deliver(*packet));
        }
        let gone = (0..BANKS).find(|bank| self.gone >> bank & 1 == 1);
        let away = || (0..BANKS).find(|bank| self.may_greet(cast, *bank));
        gone.map(Step::Notice)
            .or_else(|| away().map(|bank| Step::Gateway(Input::Greet(bank as u8))))
            .or((gateway.pending > 0).then_some(Step::Gateway(Input::Sync)))
    }

    /// What leads to rest when faults stop, one step of it; `None` at rest.
    pub(super) fn healing(&self, cast: &Cast) -> Option<Step> {
        let open = cast.gateways.list[self.gateway as usize].info.open
            || (0..BANKS).any(|bank| cast.banks[bank].list[self.banks[bank] as usize].info.open);
        self.next_by_itself(cast).or(open.then_some(Step::Gateway(Input::Tick)))
    }

    fn under_way_to<'a>(
        &'a self,
        cast: &'a Cast,
        bank: usize,
    ) -> impl Iterator<Item = PacketId> + 'a {
        let ids = self.network.all().iter().copied();
        ids.filter(move |id| {
            let packet = cast.packets.get(*id);
            packet.is_for_a_bank() && packet.bank() == bank
        })
    }

    fn may_greet(&self, cast: &Cast, bank: usize) -> bool {
        let gateway = cast.gateways.list[self.gateway as usize].info;
        let asking = |id: &PacketId| {
            let packet = cast.packets.get(*id);
            match packet {
                super::packets::Packet::Hello { bank: of, hello } => {
                    *of == bank && hello.gateway.epoch == gateway.epoch
                }
                super::packets::Packet::Greeting { bank: of, .. } => *of == bank,
                _ => false,
            }
        };
        let answering = cast.banks[bank].list[self.banks[bank] as usize].info.greets;
        let asked = answering || self.network.all().iter().any(asking);
        !gateway.ready[bank] && self.gone >> bank & 1 == 0 && !asked
    }

    /// Everything that can happen next. The search's bounds are here and in [`Budget`].
    pub(super) fn possible(&self, cast: &Cast, steps: &mut Vec<Step>) {
        steps.clear();
        let gateway = cast.gateways.list[self.gateway as usize].info;
        let banks = [0, 1].map(|bank| cast.banks[bank].list[self.banks[bank] as usize].info);
        let left = self.left;
        let coarse = cast.scenario.grain == Grain::Coarse;
        let by_itself = self.next_by_itself(cast);
        let syncs = gateway.waits || !coarse || by_itself == Some(Step::Gateway(Input::Sync));
        if gateway.pending > 0 && syncs {
            steps.push(Step::Gateway(Input::Sync));
        }
        for (bank, info) in banks.iter().enumerate() {
            if info.pending > 0 {
                steps.push(Step::Bank(bank, Input::Sync));
            }
            if self.gone >> bank & 1 == 1 {
                steps.push(Step::Notice(bank));
            }
            if self.may_greet(cast, bank) {
                steps.push(Step::Gateway(Input::Greet(bank as u8)));
            }
            if left.inquiries > 0 && info.inquires {
                steps.push(Step::Bank(bank, Input::Tick));
            }
            if left.cuts > 0 && gateway.ready[bank] {
                steps.push(Step::Cut(bank));
            }
        }
        for id in self.network.all().iter().copied() {
            steps.push(Step::Deliver(id));
            if left.copies > 0 && cast.packets.get(id).may_be_copied() {
                steps.push(Step::Copy(id));
            }
            if left.losses > 0 {
                steps.push(Step::Lose(id));
            }
        }
        let calls = 0..cast.scenario.calls.len() as u8;
        let unmade = calls.filter(|call| self.made >> call & 1 == 0);
        steps.extend(unmade.map(|call| Step::Gateway(Input::Call(call))));
        if by_itself.is_none() {
            steps.push(Step::Gateway(Input::Tick));
        } else if left.retries > 0 && gateway.open {
            steps.push(Step::Retry);
        }
        if left.forces > 0 {
            let ways = [false, true].into_iter().filter(|way| gateway.forcible[usize::from(*way)]);
            steps.extend(ways.map(|commit| Step::Gateway(Input::Force(commit))));
        }
        if left.timeouts > 0 && gateway.open {
            steps.push(Step::Gateway(Input::Late));
        }
        if left.crashes > 0 {
            let keeps = 0..=gateway.pending;
            steps.extend(keeps.map(|keep| Step::Gateway(Input::Crash(keep))));
            for (bank, info) in banks.iter().enumerate() {
                let under_way = self.under_way_to(cast, bank).count() as u32;
                let taken = if coarse { (1u16 << under_way) as u8 } else { 1 };
                for keep in 0..=info.pending {
                    steps.extend((0..taken).map(|takes| Step::Die { bank, keep, takes }));
                }
            }
        }
    }

    pub(super) fn take(mut self, cast: &mut Cast, step: Step) -> Result<Taken, String> {
        let mut happened = Happened::default();
        match step {
            Step::Gateway(input) => self.at_gateway(cast, input, &mut happened)?,
            Step::Bank(bank, input) => self.at_bank(cast, bank, input, &mut happened)?,
            Step::Deliver(id) => {
                self.network.retain(|other| other != id);
                self.deliver(cast, id, &mut happened)?;
            }
            Step::Copy(id) => {
                self.left.copies -= 1;
                self.deliver(cast, id, &mut happened)?;
            }
            Step::Lose(id) => {
                self.left.losses -= 1;
                self.network.retain(|other| other != id);
            }
            Step::Die { bank, keep, takes } => {
                let under_way: Vec<_> = self.under_way_to(cast, bank).collect();
                let taken = under_way.iter().enumerate().filter(|(bit, _)| takes >> bit & 1 == 1);
                for (_, id) in taken {
                    self.network.retain(|other| other != *id);
                }
                self.at_bank(cast, bank, Input::Crash(keep), &mut happened)?;
                if cast.scenario.grain == Grain::Coarse && self.gone >> bank & 1 == 1 {
                    self.lose_line(cast, bank, &mut happened)?;
                }
            }
            Step::Notice(bank) => self.lose_line(cast, bank, &mut happened)?,
            Step::Cut(bank) => {
                self.left.cuts -= 1;
                self.lose_line(cast, bank, &mut happened)?;
            }
            Step::Retry => {
                self.left.retries -= 1;
                self.at_gateway(cast, Input::Tick, &mut happened)?;
            }
        }
        self.drop_what_is_over(cast, &mut happened);
        Ok(Taken { world: self, happened })
    }

    /// What a start of the gateway said that is over, to a bank that has fenced it off durably, is
    /// turned away whenever it comes, and never does anything. It is asked of the bank, and not
    /// taken for granted: a bank that would do something is left to do it.
    fn drop_what_is_over(&mut self, cast: &mut Cast, happened: &mut Happened) {
        let network = self.network;
        for id in network.all().iter().copied() {
            let packet = cast.packets.get(id);
            let (bank, Some(sender)) = (packet.bank(), packet.is_of_start()) else { continue };
            let from = self.banks[bank];
            if cast.banks[bank].list[from as usize].info.fence <= sender {
                continue;
            }
            let (next, effects) = cast.bank(bank, from, Input::Packet(id));
            let effects = cast.effects(effects);
            let answers = |id: &PacketId| cast.packets.get(*id).is_for_start() == Some(sender);
            if next == from && effects.wrong.is_none() && effects.puts.iter().all(answers) {
                happened.join(effects.happened);
                self.network.retain(|other| other != id);
            }
        }
    }

    fn deliver(
        &mut self,
        cast: &mut Cast,
        id: PacketId,
        happened: &mut Happened,
    ) -> Result<(), String> {
        let packet = cast.packets.get(id);
        let (bank, greets) = (packet.bank(), packet.is_hello());
        if !packet.is_for_a_bank() {
            return self.at_gateway(cast, Input::Packet(id), happened);
        }
        self.at_bank(cast, bank, Input::Packet(id), happened)?;
        let wants_proof = |id: &PacketId| cast.packets.get(*id).wants_proof_of(bank);
        if greets && cast.scenario.grain == Grain::Coarse {
            let wanted = self.network.all().iter().copied().find(wants_proof);
            if let Some(wanted) = wanted {
                self.network.retain(|other| other != wanted);
                self.at_gateway(cast, Input::Packet(wanted), happened)?;
                self.at_gateway(cast, Input::Greet(bank as u8), happened)?;
            }
        }
        Ok(())
    }

    /// What that bank said and the gateway has not heard is gone with the line.
    fn lose_line(
        &mut self,
        cast: &mut Cast,
        bank: usize,
        happened: &mut Happened,
    ) -> Result<(), String> {
        self.gone &= !(1 << bank);
        self.network.retain(|id| {
            let packet = cast.packets.get(id);
            packet.bank() != bank || packet.is_for_start().is_none()
        });
        self.at_gateway(cast, Input::Lost(bank as u8), happened)
    }

    fn at_gateway(
        &mut self,
        cast: &mut Cast,
        input: Input,
        happened: &mut Happened,
    ) -> Result<(), String> {
        if let Input::Crash(_) = input {
            self.left.crashes -= 1;
            self.waiting = 0;
            self.gone = 0;
            self.network.retain(|id| cast.packets.get(id).is_for_start().is_none());
        }
        if let Input::Late = input {
            self.left.timeouts -= 1;
        }
        if let Input::Force(_) = input {
            self.left.forces -= 1;
        }
        if let Input::Call(call) = input {
            self.made |= 1 << call;
            self.waiting |= 1 << call;
            let id = cast.scenario.calls[usize::from(call)].id;
            let state = cast.gateways.list[self.gateway as usize].process.machine.state();
            let known = state.by_reference.get(&super::scenario::reference(id));
            let open = known.is_some_and(|payment| state.open.contains(payment));
            happened.add_if(open, Happening::Joined);
        }
        let (next, effects) = cast.gateway(self.gateway, input);
        self.gateway = next;
        self.suffer(cast, effects, happened)?;
        // Once nothing more will crash, when a log is synced shows only in when its answers leave;
        // and those may be as late as they like on their way.
        let info = cast.gateways.list[next as usize].info;
        if self.left.crashes == 0 && info.pending > 0 {
            self.at_gateway(cast, Input::Sync, happened)?;
        }
        Ok(())
    }

    fn at_bank(
        &mut self,
        cast: &mut Cast,
        bank: usize,
        input: Input,
        happened: &mut Happened,
    ) -> Result<(), String> {
        if let Input::Crash(_) = input {
            self.left.crashes -= 1;
            let ready = cast.gateways.list[self.gateway as usize].info.ready[bank];
            let said = |id: &PacketId| {
                let packet = cast.packets.get(*id);
                packet.bank() == bank && packet.is_for_start().is_some()
            };
            if ready || self.network.all().iter().any(said) {
                self.gone |= 1 << bank;
            }
        }
        if let Input::Tick = input {
            self.left.inquiries -= 1;
        }
        let (next, effects) = cast.bank(bank, self.banks[bank], input);
        self.banks[bank] = next;
        self.suffer(cast, effects, happened)?;
        let coarse = cast.scenario.grain == Grain::Coarse;
        let pending = cast.banks[bank].list[next as usize].info.pending;
        if pending > 0 && (coarse || self.left.crashes == 0) {
            self.at_bank(cast, bank, Input::Sync, happened)?;
        }
        Ok(())
    }

    fn suffer(&mut self, cast: &Cast, effects: u32, happened: &mut Happened) -> Result<(), String> {
        let effects = cast.effects(effects);
        happened.join(effects.happened);
        if let Some(wrong) = &effects.wrong {
            return Err(wrong.clone());
        }
        let epoch = cast.gateways.list[self.gateway as usize].info.epoch;
        if effects.turned_away == Some(epoch) && !cast.scenario.breaks(Mutant::FenceNotSynced) {
            return Err("a bank turns away the start that it has let in".to_owned());
        }
        for id in &effects.puts {
            self.put(cast, *id, epoch);
        }
        for call in &effects.rejected {
            self.made &= !(1 << call);
            self.waiting &= !(1 << call);
        }
        for (call, outcome) in &effects.answers {
            self.waiting &= !(1 << call);
            let said = match *outcome {
                Outcome::Pending => continue,
                Outcome::Committed => Decision::Commit,
                Outcome::Aborted(reason) => Decision::Abort(reason),
            };
            let id = cast.scenario.calls[usize::from(*call)].id;
            let told = &mut self.told[usize::from(id)];
            happened.add_if(told.is_some(), Happening::AnsweredAgain);
            if let Some(first) = told.filter(|first| *first != said) {
                return Err(format!("t{id} was told {first:?}, and now {said:?}"));
            }
            *told = Some(said);
        }
        Ok(())
    }

    fn put(&mut self, cast: &Cast, id: PacketId, epoch: Epoch) {
        let to = cast.packets.get(id).is_for_start();
        let leads_nowhere = to.is_some_and(|start| start != epoch);
        let alike = |other: &PacketId| cast.packets.are_alike(*other, id);
        if !leads_nowhere && !self.network.all().iter().any(alike) {
            self.network.put(id);
        }
    }
}
