//! Breadth first, nothing left out: every state once, and from each the way to rest.

use super::cast::Cast;
use super::happening::{Counts, Happening};
use super::judge;
use super::scenario::Scenario;
use super::story;
use super::world::{Step, World};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;

/// What a search that found nothing wrong has seen.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: u64,
    /// States in which all is quiet.
    pub(crate) at_rest: usize,
    /// States of the gateway alone, and of each bank.
    pub(crate) processes: [usize; 3],
    pub(crate) happened: Counts,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, steps, at_rest, processes: [gateway, first, second], happened } = self;
        write!(f, "{states} states, {at_rest} of them at rest, {steps} steps; ")?;
        writeln!(f, "of the gateway {gateway}, of the banks {first} and {second}")?;
        for happening in Happening::ALL {
            writeln!(f, "{:>10}  {}", happened.of(*happening), happening.told())?;
        }
        Ok(())
    }
}

/// Something wrong, and the shortest way to it, told.
pub(crate) struct Wrong {
    pub(crate) what: String,
    pub(crate) steps: usize,
    pub(crate) states: usize,
    pub(crate) story: String,
}

const NONE: u32 = u32::MAX;

/// States by their print: open addressing, a number a slot.
struct Seen {
    prints: Vec<u128>,
    slots: Vec<u32>,
}

impl Seen {
    fn new() -> Self {
        Self { prints: Vec::new(), slots: vec![NONE; 1 << 12] }
    }

    /// The number of a state, and whether it is new.
    fn number(&mut self, print: u128) -> (u32, bool) {
        if self.prints.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot(print);
        if self.slots[slot] != NONE {
            return (self.slots[slot], false);
        }
        let number = u32::try_from(self.prints.len()).expect("fewer states than numbers");
        self.slots[slot] = number;
        self.prints.push(print);
        (number, true)
    }

    fn slot(&self, print: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = print as usize & mask;
        while self.slots[slot] != NONE && self.prints[self.slots[slot] as usize] != print {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![NONE; self.slots.len() * 2];
        for number in 0..self.prints.len() {
            let slot = self.slot(self.prints[number]);
            self.slots[slot] = number as u32;
        }
    }
}

/// How each state was first reached, and what heals it.
#[derive(Default)]
struct Ways {
    from: Vec<u32>,
    by: Vec<u16>,
    healed: Vec<u32>,
}

struct Search {
    cast: Cast,
    seen: Seen,
    ways: Ways,
    next: VecDeque<World>,
    found: Found,
    /// Logs that were found to agree, by number.
    agreed: BTreeSet<[u32; 3]>,
}

/// Looks at every state that can be reached; an error is a promise broken.
pub(crate) fn explore(scenario: &Scenario) -> Result<Found, Box<Wrong>> {
    let mut cast = Cast::new(scenario);
    let first = World::new(&mut cast);
    let (seen, ways, found) = (Seen::new(), Ways::default(), Found::default());
    let mut search =
        Search { cast, seen, ways, next: VecDeque::new(), found, agreed: BTreeSet::new() };
    search.reach(first, NONE, 0);
    let mut steps = Vec::new();
    let mut number = 0;
    while let Some(world) = search.next.pop_front() {
        search.look(number, world, &mut steps, first)?;
        number += 1;
    }
    search.all_heal(first)?;
    let Search { cast, seen, mut found, .. } = search;
    found.states = seen.prints.len();
    let banks = cast.banks.each_ref().map(|bank| bank.list.len());
    found.processes = [cast.gateways.list.len(), banks[0], banks[1]];
    Ok(found)
}

impl Search {
    fn reach(&mut self, world: World, from: u32, by: u16) -> u32 {
        let (number, new) = self.seen.number(world.print());
        if new {
            let max = self.cast.scenario.states_max;
            assert!((number as usize) < max, "more than {max} states: nothing is shown");
            self.ways.from.push(from);
            self.ways.by.push(by);
            self.ways.healed.push(NONE);
            self.next.push_back(world);
        }
        number
    }

    /// Everything that can follow from one state.
    fn look(
        &mut self,
        number: u32,
        world: World,
        steps: &mut Vec<Step>,
        first: World,
    ) -> Result<(), Box<Wrong>> {
        world.possible(&self.cast, steps);
        let healing = world.healing(&self.cast);
        if healing.is_none() {
            self.found.at_rest += 1;
            self.judge_rest(&world).map_err(|wrong| self.wrong(first, number, None, wrong))?;
        }
        let mut healed = false;
        for (by, step) in (0..).zip(steps.iter().copied()) {
            self.found.steps += 1;
            let taken = world.take(&mut self.cast, step);
            let judged = taken.and_then(|taken| {
                self.judge(&world, &taken.world)?;
                Ok(taken)
            });
            let taken = judged.map_err(|wrong| self.wrong(first, number, Some(step), wrong))?;
            self.found.happened.count(taken.happened);
            let after = self.reach(taken.world, number, by);
            if Some(step) == healing && after != number {
                self.ways.healed[number as usize] = after;
                healed = true;
            }
        }
        if healing.is_some() && !healed {
            let wrong = "nothing more happens, and not all is at rest".to_owned();
            return Err(self.wrong(first, number, None, wrong));
        }
        Ok(())
    }

    /// Only what became durable, or was said, can have gone wrong since the state before.
    fn judge(&mut self, before: &World, after: &World) -> judge::Judged {
        let (old, new) = (self.durable(before), self.durable(after));
        if old == new && before.told == after.told {
            return Ok(());
        }
        let (gateway, banks) = self.logs(after);
        if !self.agreed.contains(&new) {
            judge::logs(gateway, banks)?;
            self.agreed.insert(new);
        }
        let (gateway, banks) = self.logs(after);
        judge::answers(&self.cast.scenario, after, gateway, banks)
    }

    fn judge_rest(&self, world: &World) -> judge::Judged {
        let (gateway, banks) = self.logs(world);
        judge::at_rest(&self.cast.scenario, world, gateway, banks)
    }

    fn durable(&self, world: &World) -> [u32; 3] {
        let bank = |bank: usize| self.cast.banks[bank].list[world.banks[bank] as usize].info;
        let gateway = self.cast.gateways.list[world.gateway as usize].info;
        [gateway.durable, bank(0).durable, bank(1).durable]
    }

    fn logs(&self, world: &World) -> (&recovery::gateway::State, [&recovery::bank::State; 2]) {
        let [gateway, first, second] = self.durable(world).map(|number| number as usize);
        let banks = &self.cast.banks;
        let banks = [&banks[0].durable[first], &banks[1].durable[second]];
        (&self.cast.gateways.durable[gateway], banks)
    }

    /// From every state, the steps that heal lead to rest: none of these ways goes in a circle.
    fn all_heal(&mut self, first: World) -> Result<(), Box<Wrong>> {
        const UNKNOWN: u32 = 0;
        let mut walk = vec![UNKNOWN; self.ways.healed.len()];
        let mut walks = UNKNOWN;
        for begin in 0..walk.len() {
            walks += 1;
            let mut at = begin;
            while walk[at] == UNKNOWN {
                walk[at] = walks;
                let next = self.ways.healed[at];
                if next == NONE {
                    break;
                }
                at = next as usize;
                if walk[at] == walks {
                    let wrong = "without faults, this goes in a circle for ever".to_owned();
                    return Err(self.wrong(first, at as u32, None, wrong));
                }
            }
        }
        Ok(())
    }

    /// The shortest way to what is wrong.
    #[expect(clippy::unnecessary_box_returns, reason = "as every caller returns it")]
    fn wrong(&mut self, first: World, at: u32, step: Option<Step>, what: String) -> Box<Wrong> {
        let mut way = Vec::new();
        let mut number = at;
        while self.ways.from[number as usize] != NONE {
            way.push(self.ways.by[number as usize]);
            number = self.ways.from[number as usize];
        }
        way.reverse();
        let steps = way.len() + usize::from(step.is_some());
        let states = self.seen.prints.len();
        let story = story::tell(&mut self.cast, first, &way, step, &what);
        Box::new(Wrong { what, steps, states, story })
    }
}
