//! Many runs, and what they come to.

use super::world::{self, Ending, Options, Template, Violation};
use crate::bank::Ledger;
use crate::gateway::Coordinator;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Whose rules are run.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    #[default]
    Ours,
}

/// One run, over.
#[derive(Clone, Debug)]
pub struct Run {
    pub seed: u64,
    pub ending: Ending,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Decisions that became durable.
    pub committed: u64,
    pub aborted: u64,
    pub events: u64,
    /// Empty unless asked for.
    pub trace: Vec<String>,
}

impl Run {
    /// The line that repeats it.
    pub fn repro(&self) -> String {
        format!("strife drill simulate --seed {} --trace", self.seed)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, ending, committed, aborted, events, .. } = self;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        match ending {
            Ending::Violated(Violation { at_ms, what }) => {
                writeln!(f, "seed {seed} at {at_ms} ms: {what}")?;
                write!(f, "again: {}", self.repro())
            }
            Ending::Settled => {
                write!(f, "seed {seed}: {committed} committed, {aborted} aborted, {events} events")
            }
            Ending::Refused => write!(f, "seed {seed}: an operator's mistake was refused"),
        }
    }
}

/// A run that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
}

/// Runs that are made one by one, so that a caller can show how far they have come.
pub struct Simulation {
    template: Template,
    options: Options,
    report: Report,
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub runs: u64,
    pub violations: u64,
    /// Runs in which an operator's mistake ended all service, safely.
    pub refused: u64,
    pub committed: u64,
    pub aborted: u64,
    pub events: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    pub first_failing: Option<Failure>,
}

impl Report {
    /// Kinds that were allowed and never happened: nothing is shown about them.
    pub fn never_hit(&self, options: &Options) -> Vec<world::Kind> {
        let hit = |kind: &world::Kind| self.faults.contains_key(kind.name());
        options.faults.iter().copied().filter(|kind| !hit(kind)).collect()
    }
}

impl Simulation {
    pub fn new(options: Options) -> Self {
        Self { template: Template::new(), options, report: Report::default() }
    }

    /// One more run.
    pub fn run(&mut self, seed: u64) -> Run {
        let run = one(seed, &self.options, &self.template);
        let report = &mut self.report;
        report.runs += 1;
        report.committed += run.committed;
        report.aborted += run.aborted;
        report.events += run.events;
        for (kind, count) in &run.faults {
            *report.faults.entry(kind).or_default() += count;
        }
        match &run.ending {
            Ending::Settled => {}
            Ending::Refused => report.refused += 1,
            Ending::Violated(violation) => {
                report.violations += 1;
                let violation = violation.clone();
                report.first_failing.get_or_insert(Failure { seed, violation });
            }
        }
        run
    }

    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// Every seed of a range.
pub fn simulate(seeds: Range<u64>, options: &Options) -> Report {
    let mut simulation = Simulation::new(options.clone());
    for seed in seeds {
        simulation.run(seed);
    }
    simulation.report
}

/// One seed.
pub fn run(seed: u64, options: &Options) -> Run {
    one(seed, options, &Template::new())
}

fn one(seed: u64, options: &Options, template: &Template) -> Run {
    let outcome = world::run::<Coordinator, Ledger>(seed, options, template);
    let world::Outcome { ending, faults, committed, aborted, events, trace } = outcome;
    Run { seed, ending, faults, committed, aborted, events, trace }
}
