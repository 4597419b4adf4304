//! Many runs, and what they come to.

use super::report_protocol;
use super::world::{self, Ending, Harm, Options, Template, Violation};
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
    /// Those of the report that this service was built from.
    Report,
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
    pub fn violation(&self) -> Option<&Violation> {
        match &self.ending {
            Ending::Violated(violation) => Some(violation),
            Ending::Settled | Ending::Refused => None,
        }
    }
}

/// The line that repeats a run.
pub fn repro(seed: u64, protocol: Protocol, options: &Options) -> String {
    let (protocol, usual) = match protocol {
        Protocol::Ours => ("", Options::default()),
        Protocol::Report => (" --protocol report", Options::ordinary()),
    };
    format!("strife drill simulate --seed {seed}{protocol}{}", options.flags(&usual))
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, ending, committed, aborted, events, .. } = self;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        match ending {
            Ending::Violated(Violation { at_ms, what, .. }) => {
                write!(f, "seed {seed} at {at_ms} ms: {what}")
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
    protocol: Protocol,
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
    /// Runs after which money was lost, made, or had gone otherwise than its owner was told.
    pub harmed: BTreeMap<Harm, u64>,
    /// The lowest seed that failed.
    pub first_failing: Option<Failure>,
}

impl Report {
    /// Kinds that were allowed and never happened: nothing is shown about them.
    pub fn never_hit(&self, options: &Options) -> Vec<world::Kind> {
        let hit = |kind: &world::Kind| self.faults.contains_key(kind.name());
        options.faults.iter().copied().filter(|kind| !hit(kind)).collect()
    }

    /// Adds what other runs came to.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.violations += other.violations;
        self.refused += other.refused;
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.events += other.events;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (harm, count) in other.harmed {
            *self.harmed.entry(harm).or_default() += count;
        }
        let both = self.first_failing.take().into_iter().chain(other.first_failing);
        self.first_failing = both.min_by_key(|failure| failure.seed);
    }
}

impl Simulation {
    pub fn new(protocol: Protocol, options: Options) -> Self {
        Self { protocol, template: Template::new(), options, report: Report::default() }
    }

    /// One more run.
    pub fn run(&mut self, seed: u64) -> Run {
        let run = one(seed, self.protocol, &self.options, &self.template);
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
                if let Some((harm, _)) = violation.harm {
                    *report.harmed.entry(harm).or_default() += 1;
                }
                let failure = Failure { seed, violation: violation.clone() };
                let earlier = report.first_failing.take().filter(|first| first.seed < seed);
                report.first_failing = Some(earlier.unwrap_or(failure));
            }
        }
        run
    }

    pub fn report(&self) -> &Report {
        &self.report
    }

    pub fn into_report(self) -> Report {
        self.report
    }
}

/// Every seed of a range.
pub fn simulate(seeds: Range<u64>, options: &Options) -> Report {
    let mut simulation = Simulation::new(Protocol::Ours, options.clone());
    for seed in seeds {
        simulation.run(seed);
    }
    simulation.into_report()
}

/// One seed.
pub fn run(seed: u64, protocol: Protocol, options: &Options) -> Run {
    one(seed, protocol, options, &Template::new())
}

fn one(seed: u64, protocol: Protocol, options: &Options, template: &Template) -> Run {
    let outcome = match protocol {
        Protocol::Ours => world::run::<Coordinator, Ledger>(seed, options, template),
        Protocol::Report => {
            world::run::<report_protocol::Gateway, report_protocol::Bank>(seed, options, template)
        }
    };
    let world::Outcome { ending, faults, committed, aborted, events, trace } = outcome;
    Run { seed, ending, faults, committed, aborted, events, trace }
}
