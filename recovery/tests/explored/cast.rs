//! The three processes, each taken through each of its own steps once.
//!
//! What a process does is decided by what it is and by its input alone. So every state of one
//! process has a number, and so has everything that follows from an input to it: the search then
//! moves numbers about, and asks the machines only what it has not asked before.

use super::happening::Happened;
use super::judge::Judged;
use super::packets::{PacketId, Packets};
use super::process::{Bank, Gateway};
use super::scenario::{BANKS, Scenario};
use super::{banks, gateways};
use recovery::gateway::{self, Outcome};
use recovery::model::Epoch;
use recovery::{bank, fact};
use std::collections::BTreeMap;

/// What can happen to one process.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Input {
    Call(u8),
    Packet(PacketId),
    /// The gateway introduces itself to this bank.
    Greet(u8),
    /// The gateway finds out that the line to this bank is gone.
    Lost(u8),
    Tick,
    /// Every deadline passes.
    Late,
    /// Two operators decide the oldest payment by hand.
    Force(bool),
    Sync,
    /// It dies with this much of what it has not synced, and starts again.
    Crash(u8),
}

/// What follows from one input, outside the process.
#[derive(Clone, Default)]
pub(super) struct Effects {
    pub(super) puts: Vec<PacketId>,
    pub(super) answers: Vec<(u8, Outcome)>,
    /// Calls that were refused before anything began: they may be made again.
    pub(super) rejected: Vec<u8>,
    /// A bank turned away this start of the gateway.
    pub(super) turned_away: Option<Epoch>,
    pub(super) happened: Happened,
    pub(super) wrong: Option<String>,
}

impl Effects {
    /// The actions, or none where something is wrong.
    pub(super) fn or_wrong<A>(&mut self, actions: Result<Vec<A>, String>) -> Vec<A> {
        actions.unwrap_or_else(|wrong| {
            self.judge(Err(wrong));
            Vec::new()
        })
    }

    pub(super) fn judge(&mut self, judged: Judged) {
        if let Err(wrong) = judged {
            self.wrong.get_or_insert(wrong);
        }
    }
}

/// What the search must know of a process without asking it.
#[expect(clippy::struct_excessive_bools, reason = "answers to questions that are asked apart")]
#[derive(Copy, Clone, Default)]
pub(super) struct Info {
    /// Its durable state, by number.
    pub(super) durable: u32,
    pub(super) pending: u8,
    /// Something waits for a sync.
    pub(super) waits: bool,
    pub(super) epoch: Epoch,
    /// Banks that this gateway drives.
    pub(super) ready: [bool; BANKS],
    /// Payments or holds without an end.
    pub(super) open: bool,
    /// The oldest payment may be aborted, or committed, by hand.
    pub(super) forcible: [bool; 2],
    /// A bank that would ask about its holds.
    pub(super) inquires: bool,
    /// A bank that has heard Hello and will answer once it has synced.
    pub(super) greets: bool,
    /// The start of the gateway that a bank has fenced in durably; 0 before the first.
    pub(super) fence: Epoch,
}

pub(super) struct Node<P> {
    pub(super) process: P,
    pub(super) info: Info,
    steps: Vec<(Input, u32, u32)>,
}

/// Every state that one process was seen in.
pub(super) struct Nodes<P, S> {
    pub(super) list: Vec<Node<P>>,
    by_print: BTreeMap<u128, u32>,
    pub(super) durable: Vec<S>,
    durable_by_print: BTreeMap<u128, u32>,
}

impl<P, S: Clone> Nodes<P, S> {
    fn new() -> Self {
        let (by_print, durable_by_print) = (BTreeMap::new(), BTreeMap::new());
        Self { list: Vec::new(), by_print, durable: Vec::new(), durable_by_print }
    }

    fn file(&mut self, key: u128, process: P, durable: (u128, &S), info: Info) -> u32 {
        if let Some(id) = self.by_print.get(&key) {
            return *id;
        }
        let new = self.durable.len() as u32;
        let number = *self.durable_by_print.entry(durable.0).or_insert(new);
        if number == new {
            self.durable.push(durable.1.clone());
        }
        let id = self.list.len() as u32;
        let info = Info { durable: number, ..info };
        self.list.push(Node { process, info, steps: Vec::new() });
        self.by_print.insert(key, id);
        id
    }

    fn known(&self, from: u32, input: Input) -> Option<(u32, u32)> {
        let steps = &self.list[from as usize].steps;
        steps.iter().find(|(known, ..)| *known == input).map(|(_, next, effects)| (*next, *effects))
    }
}

pub(super) struct Cast {
    pub(super) scenario: Scenario,
    pub(super) packets: Packets,
    pub(super) gateways: Nodes<Gateway, gateway::State>,
    pub(super) banks: [Nodes<Bank, bank::State>; BANKS],
    effects: Vec<Effects>,
}

impl Cast {
    /// The three processes on the logs that `init` makes: their first states have number 0.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut cast = Self {
            scenario: scenario.clone(),
            packets: Packets::default(),
            gateways: Nodes::new(),
            banks: [Nodes::new(), Nodes::new()],
            effects: Vec::new(),
        };
        cast.file_gateway(gateways::first(scenario));
        for bank in 0..BANKS {
            cast.file_bank(bank, banks::first(bank));
        }
        cast
    }

    fn file_gateway(&mut self, process: Gateway) -> u32 {
        let (info, durable) = (gateways::info(&process), process.durable.clone());
        let durable = (process.durable_print(), &durable);
        self.gateways.file(process.print(), process, durable, info)
    }

    fn file_bank(&mut self, bank: usize, process: Bank) -> u32 {
        let (info, durable) = (banks::info(&process), process.durable.clone());
        let durable = (process.durable_print(), &durable);
        self.banks[bank].file(process.print(), process, durable, info)
    }

    fn keep(&mut self, effects: Effects) -> u32 {
        self.effects.push(effects);
        self.effects.len() as u32 - 1
    }

    /// One step of the gateway: what it becomes, and the number of what follows.
    pub(super) fn gateway(&mut self, from: u32, input: Input) -> (u32, u32) {
        if let Some(known) = self.gateways.known(from, input) {
            return known;
        }
        let mut process = self.gateways.list[from as usize].process.clone();
        let (scenario, packets) = (&self.scenario, &mut self.packets);
        let effects = gateways::step(scenario, packets, &mut process, input);
        let wrong = effects.wrong.is_some();
        let next = if wrong { from } else { self.file_gateway(process) };
        let effects = self.keep(effects);
        self.gateways.list[from as usize].steps.push((input, next, effects));
        (next, effects)
    }

    /// One step of a bank.
    pub(super) fn bank(&mut self, bank: usize, from: u32, input: Input) -> (u32, u32) {
        if let Some(known) = self.banks[bank].known(from, input) {
            return known;
        }
        let mut process = self.banks[bank].list[from as usize].process.clone();
        let (scenario, packets) = (&self.scenario, &mut self.packets);
        let effects = banks::step(scenario, packets, bank, &mut process, input);
        let wrong = effects.wrong.is_some();
        let next = if wrong { from } else { self.file_bank(bank, process) };
        let effects = self.keep(effects);
        self.banks[bank].list[from as usize].steps.push((input, next, effects));
        (next, effects)
    }

    pub(super) fn effects(&self, number: u32) -> &Effects {
        &self.effects[number as usize]
    }
}

/// The decision that a fact is.
pub(super) fn decided(fact: &fact::GatewayFact) -> Option<recovery::model::Decision> {
    match fact {
        fact::GatewayFact::Decided(decided) => Some(decided.decision),
        fact::GatewayFact::HeuristicDecided(decided) => Some(decided.decision),
        _ => None,
    }
}
