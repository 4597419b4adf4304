//! A gateway, its banks, its clients, their disks and the network between them, in one thread and
//! on one seed.
//!
//! ```text
//!  seed -> Config, faults        queue of (time, event) -> one event at a time
//!            clients --calls--> gateway --instructions--> banks     each on a CrashDisk
//!                                  |                        |
//!                                  '---- durable facts -----+--> Truth: judged as they become so
//! ```
//!
//! The machines are the real ones, the log is the real one. Safety is judged after every event.
//! Then all faults stop, everything is started, and liveness is judged. A run is its seed and its
//! [`Options`]: it refuses to know any other source of chance.

mod clients;
mod config;
mod fault;
mod finish;
mod host;
mod loss;
mod net;
mod node;
mod service;
mod setup;
mod trouble;
mod truth;
mod words;

pub use config::{Config, Options};
pub use fault::{Kind, KindError};
pub use service::{BankService, GatewayService, Service};
pub use setup::Template;

use self::clients::{Call, Client};
use self::net::Packet;
use self::node::Node;
use self::truth::Truth;
use crate::model::{BankName, GlobalId, Reference, StartId};
use std::collections::BTreeMap;
use wal::DiskImage;
use wal::splitmix::SplitMix64;

/// Why a run failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    pub what: String,
    /// What it did to the money, and how much more there is than there was, in minor units. `None`
    /// where a promise was broken before it came to that.
    pub harm: Option<(Harm, i64)>,
    /// The payment that it is about, where there is one.
    pub about: Option<Reference>,
}

/// What can be done to money.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Harm {
    /// It was taken and not given.
    Lost,
    /// It was given and not taken.
    Made,
    /// It went twice, or although its owner was told that it did not.
    Moved,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Safe at every event, and everything settled once the faults had stopped.
    Settled,
    /// Safe at every event. An operator's mistake was refused, and needs a person now.
    Refused,
    Violated(Violation),
}

/// Where something happens.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Gateway(usize),
    Bank(usize),
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Meddling {
    /// Put another in its place, or started it twice: refusals and halts are in order.
    Mistake,
    /// Made it again from the others, because it was gone.
    Rebuilt,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver(Box<Packet>),
    Sync(Place, u64),
    Tick(Place, u64),
    /// The shell looks after its lines to the banks.
    Lines(usize, u64),
    Restart(Place, u64),
    Wake(usize),
    Trouble(Kind),
    /// The second half of a trouble of two halves.
    Aftermath(Kind, Place),
}

struct World<'a, G: GatewayService, B: BankService> {
    options: &'a Options,
    config: Config,
    random: SplitMix64,
    now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    /// The second is there when somebody copied the first one's directory.
    gateways: Vec<Node<G>>,
    banks: Vec<Node<B>>,
    names: Vec<BankName>,
    /// The line of history that each gateway's log goes on with: a copy and an old backup have one
    /// of their own.
    line_of: Vec<usize>,
    line_of_start: BTreeMap<StartId, usize>,
    lines: usize,
    /// The line of the gateway that each bank has let in last.
    drivers: Vec<usize>,
    /// Until when a bank cannot reach the gateways.
    cut_until_ms: Vec<u64>,
    /// When the last message from and to each bank arrives.
    last_due_ms: Vec<[u64; 2]>,
    clients: Vec<Client>,
    calls: Vec<Call>,
    /// The Hello that is under way, by gateway and bank: its number and when it was sent.
    hellos: BTreeMap<(usize, usize), (u64, u64)>,
    hello_number: u64,
    backups: Vec<(Place, DiskImage)>,
    /// What an operator took away, and may put back.
    kept_aside: BTreeMap<Place, DiskImage>,
    /// Logs as they were before a bit of them flipped.
    pristine: BTreeMap<Place, DiskImage>,
    healing: bool,
    /// What an operator has done to a directory. What covers one such thing does not cover two.
    meddling: Option<Meddling>,
    refused: bool,
    truth: Truth,
    faults: BTreeMap<&'static str, u64>,
    events: u64,
    violation: Option<Violation>,
    trace: Vec<String>,
    /// What clients call the payments of the trace.
    called: BTreeMap<GlobalId, Reference>,
}

/// What became of one run.
pub(super) struct Outcome {
    pub(super) ending: Ending,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) committed: u64,
    pub(super) aborted: u64,
    pub(super) events: u64,
    pub(super) trace: Vec<String>,
}

/// Events after which a run is taken to never end. A quiet one takes a few thousand.
const EVENTS_MAX: u64 = 400_000;

/// One run of a protocol.
pub(super) fn run<G: GatewayService, B: BankService>(
    seed: u64,
    options: &Options,
    template: &Template,
) -> Outcome {
    #[cfg(feature = "mutants")]
    let _broken = crate::drill::mutant::broken(options.mutant);
    let mut world = World::<G, B>::new(seed, options, template);
    world.live();
    world.heal();
    let ending = match world.violation.take() {
        Some(violation) => Ending::Violated(violation),
        None if world.refused => Ending::Refused,
        None => Ending::Settled,
    };
    Outcome {
        ending,
        faults: world.faults,
        committed: world.truth.commits,
        aborted: world.truth.aborts,
        events: world.events,
        trace: world.trace,
    }
}

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    /// The time of trouble.
    fn live(&mut self) {
        while self.now_ms < self.config.trouble_ms && self.step() {}
    }

    /// One event. False when nothing is left to happen, or what happened must not.
    fn step(&mut self) -> bool {
        let Some(((at_ms, _), event)) = self.queue.pop_first() else { return false };
        self.now_ms = at_ms;
        self.events += 1;
        if self.events > EVENTS_MAX {
            self.violate("the run does not come to an end");
        }
        self.happen(event);
        self.violation.is_none()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(packet) => self.deliver(*packet),
            Event::Sync(Place::Gateway(g), incarnation) => {
                self.sync::<host::Gateways>(g, incarnation);
            }
            Event::Sync(Place::Bank(b), incarnation) => self.sync::<host::Banks>(b, incarnation),
            Event::Tick(Place::Gateway(g), incarnation) => {
                self.tick::<host::Gateways>(g, incarnation);
            }
            Event::Tick(Place::Bank(b), incarnation) => self.tick::<host::Banks>(b, incarnation),
            Event::Lines(g, incarnation) => self.keep_lines(g, incarnation),
            Event::Restart(place, incarnation) => self.restart(place, incarnation),
            Event::Wake(client) => self.wake_client(client),
            Event::Trouble(kind) => self.trouble(kind),
            Event::Aftermath(kind, place) => self.aftermath(kind, place),
        }
    }

    fn at(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + delay_ms, self.sequence), event);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.random.below(1000) < permille
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.options.trace {
            let line = format!("{:>6} ms  {}", self.now_ms, what());
            self.trace.push(line);
        }
    }

    fn count(&mut self, kind: Kind) {
        *self.faults.entry(kind.name()).or_default() += 1;
    }

    fn tally(&mut self, what: &'static str) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// The first violation counts; what follows it may be its consequence.
    fn violate(&mut self, what: impl Into<String>) {
        if self.violation.is_none() {
            let (at_ms, what) = (self.now_ms, what.into());
            self.note(|| format!("VIOLATION: {what}"));
            self.violation = Some(Violation { at_ms, what, harm: None, about: None });
        }
    }

    fn judge(&mut self, judged: Result<(), String>) {
        if let Err(what) = judged {
            self.violate(what);
        }
    }
}
