//! `strife drill simulate`: one seed, one run of a whole cluster; thousands of them on all cores.

use super::bar;
use crate::cli::Context;
use crate::errors::{Exit, Failure};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use recovery::drill::{self, Harm, Kind, KindError, Options, Protocol, Report, Run, Simulation};
use serde::Serialize;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs, when nobody says how many: enough for every fault to happen.
const SEEDS: u64 = 2_000;
/// So many at least, before it is held against a run that a fault has never happened.
const SEEDS_FOR_EVERY_FAULT: u64 = 1_000;
/// Failing runs among which the shortest story is looked for.
const STORIES: usize = 40;
/// Lines of a trace that are printed; the whole of it with `--trace`.
const TRACE_LINES: usize = 60;

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// So many runs, beginning with --seed or 0
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Repeat this run and print its trace; with --seeds, begin with it
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Go on with fresh seeds for so long, such as 60s
    #[arg(long, value_name = "TIME", value_parser = crate::cli::duration)]
    #[arg(conflicts_with_all = ["seeds", "seed"])]
    duration: Option<Duration>,
    /// Whose rules
    #[arg(long, value_name = "WHOSE", default_value = "ours")]
    protocol: Whose,
    /// Only these faults, separated by commas
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
    faults: Option<Vec<Kind>>,
    /// At most so many banks
    #[arg(long, value_name = "N", default_value_t = 6)]
    #[arg(value_parser = clap::value_parser!(u8).range(2..=6))]
    banks: u8,
    /// With --seed: the whole trace
    #[arg(long, requires = "seed")]
    trace: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum Whose {
    /// Those of this service
    Ours,
    /// Those of the report that it was built from, with ours beside them
    Report,
}

fn kind(text: &str) -> Result<Kind, String> {
    let all = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|error: KindError| format!("{error}; there are {}", all()))
}

/// What many runs came to.
#[derive(Serialize, Debug)]
struct Summary {
    ok: bool,
    protocol: &'static str,
    seeds: u64,
    violations: u64,
    /// How often each happened.
    faults: BTreeMap<&'static str, u64>,
    runs_per_s: f64,
    runs_per_s_core: f64,
    first_failing_seed: Option<u64>,
    /// Faults that were allowed and did not happen.
    never_hit: Vec<&'static str>,
    committed: u64,
    aborted: u64,
    /// Runs that ended with a person being called, safely: two gateways, an old backup.
    refused: u64,
    /// Runs that lost money, made money, or moved it otherwise than its owner was told.
    money_lost: u64,
    money_made: u64,
    money_moved: u64,
    /// One of those runs, told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    story: Vec<String>,
    /// The same seeds by our own rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<Box<Summary>>,
}

pub(super) fn run(args: &SimulateArgs, context: &Context) -> Result<(), Failure> {
    let options = options(args);
    match (args.seed, args.seeds, args.protocol) {
        (Some(seed), None, whose) => repeat(seed, whose.into(), &options, args.trace, context),
        (_, _, Whose::Ours) => ours(args, &options, context),
        (_, _, Whose::Report) => beside(args, &options, context),
    }
}

impl From<Whose> for Protocol {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Ours => Self::Ours,
            Whose::Report => Self::Report,
        }
    }
}

fn options(args: &SimulateArgs) -> Options {
    let all = match args.protocol {
        Whose::Ours => Options::default(),
        Whose::Report => Options::ordinary(),
    };
    let faults = args.faults.clone().unwrap_or_else(|| all.faults.clone());
    Options { banks_max: args.banks.into(), faults, ..all }
}

/// One seed, with its trace.
fn repeat(
    seed: u64,
    protocol: Protocol,
    options: &Options,
    all: bool,
    context: &Context,
) -> Result<(), Failure> {
    let options = Options { trace: true, ..options.clone() };
    let run = guarded(protocol, &options, || drill::run(seed, protocol, &options));
    let told = if all { run.trace.clone() } else { drill::story(&run) };
    let ended = Run { trace: Vec::new(), ..run.clone() }.to_string();
    let one = One { seed, ok: run.violation().is_none(), ended, faults: run.faults, trace: told };
    context.output.one(&one, || format!("{}\n\n{}", one.trace.join("\n"), one.ended))?;
    if one.ok { Ok(()) } else { Err(broken(1, &one.ended, seed, protocol, &options)) }
}

#[derive(Serialize)]
struct One {
    seed: u64,
    ok: bool,
    ended: String,
    faults: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

fn ours(args: &SimulateArgs, options: &Options, context: &Context) -> Result<(), Failure> {
    let (report, summary) = all(args, Protocol::Ours, options, context);
    context.output.one(&summary, || text(&summary))?;
    if let Some(first) = report.first_failing {
        let traced = Options { trace: true, ..options.clone() };
        let run = drill::run(first.seed, Protocol::Ours, &traced);
        let from = run.trace.len().saturating_sub(TRACE_LINES);
        context.say(&run.trace[from..].join("\n"));
        let what = &first.violation.what;
        return Err(broken(report.violations, what, first.seed, Protocol::Ours, options));
    }
    if summary.never_hit.is_empty() || summary.seeds < SEEDS_FOR_EVERY_FAULT {
        return Ok(());
    }
    let names = summary.never_hit.join(", ");
    let what = format!("{names} never happened, so that nothing is shown about it");
    Err(Failure::plain(Exit::Unexpected, what).todo("Give more --seeds."))
}

/// The report's rules, and ours on the same seeds.
fn beside(args: &SimulateArgs, options: &Options, context: &Context) -> Result<(), Failure> {
    let (_, mut summary) = all(args, Protocol::Report, options, context);
    let (report, ours) = all(args, Protocol::Ours, options, context);
    summary.story = shortest(args.seed.unwrap_or_default(), options);
    summary.ok = ours.ok;
    summary.ours = Some(Box::new(ours));
    context.output.one(&summary, || compared(&summary))?;
    match report.first_failing {
        None => Ok(()),
        Some(first) => {
            let what = &first.violation.what;
            Err(broken(report.violations, what, first.seed, Protocol::Ours, options))
        }
    }
}

fn broken(count: u64, what: &str, seed: u64, protocol: Protocol, options: &Options) -> Failure {
    Failure::plain(Exit::Damaged, format!("{count} runs broke a promise; the first: {what}"))
        .money("Simulated money only.")
        .todo(format!("Repeat it with: {}", drill::repro(seed, protocol, options)))
}

thread_local! {
    /// The run that this thread is at.
    static AT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `work`. An assertion that fails in it is a finding: it is printed with its seed, and ends
/// the process with 6.
fn guarded<T>(protocol: Protocol, options: &Options, work: impl FnOnce() -> T) -> T {
    let options = options.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        if let Some(seed) = AT.get() {
            let again = drill::repro(seed, protocol, &options);
            crate::cli::output::complain(&format!(
                "seed {seed} broke an assertion; again: {again}"
            ));
            std::process::exit(Exit::Damaged.code().into());
        }
    }));
    let done = work();
    drop(std::panic::take_hook());
    done
}

/// All runs that were asked for, on all cores.
fn all(
    args: &SimulateArgs,
    protocol: Protocol,
    options: &Options,
    context: &Context,
) -> (Report, Summary) {
    let seeds = args.seeds.unwrap_or(SEEDS);
    let (first, count) = match args.duration {
        Some(_) => (rand::random::<u32>().into(), u64::MAX >> 1),
        None => (args.seed.unwrap_or_default(), seeds),
    };
    let until = args.duration.map(|duration| Instant::now() + duration);
    let template = "{bar:40} {pos}/{len} runs, {per_sec}, {eta} left";
    let drawn = if until.is_some() { "{spinner} {pos} runs, {per_sec}" } else { template };
    let bar = bar(count, drawn, context);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let report = guarded(protocol, options, || {
        std::thread::scope(|scope| {
            let worker = || work(protocol, options, first, count, until, &next, &bar);
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
            let mut report = Report::default();
            for worker in workers {
                report.merge(worker.join().expect("a panic has ended the process"));
            }
            report
        })
    });
    bar.finish_and_clear();
    let summary = summary(&report, protocol, options, began.elapsed(), cores);
    (report, summary)
}

fn work(
    protocol: Protocol,
    options: &Options,
    first: u64,
    count: u64,
    until: Option<Instant>,
    next: &AtomicU64,
    bar: &ProgressBar,
) -> Report {
    let mut simulation = Simulation::new(protocol, options.clone());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count || until.is_some_and(|until| Instant::now() >= until) {
            return simulation.into_report();
        }
        AT.set(Some(first + number));
        simulation.run(first + number);
        AT.set(None);
        bar.inc(1);
    }
}

fn summary(
    report: &Report,
    protocol: Protocol,
    options: &Options,
    took: Duration,
    cores: usize,
) -> Summary {
    let never_hit: Vec<_> = report.never_hit(options).iter().map(|kind| kind.name()).collect();
    let runs_per_s = report.runs as f64 / took.as_secs_f64().max(1e-9);
    let round = |rate: f64| (rate * 10.0).round() / 10.0;
    let harmed = |harm| report.harmed.get(&harm).copied().unwrap_or_default();
    let hit = never_hit.is_empty() || report.runs < SEEDS_FOR_EVERY_FAULT;
    Summary {
        ok: report.violations == 0 && hit,
        protocol: if protocol == Protocol::Ours { "ours" } else { "report" },
        seeds: report.runs,
        violations: report.violations,
        faults: report.faults.clone(),
        runs_per_s: round(runs_per_s),
        runs_per_s_core: round(runs_per_s / cores as f64),
        first_failing_seed: report.first_failing.as_ref().map(|first| first.seed),
        never_hit,
        committed: report.committed,
        aborted: report.aborted,
        refused: report.refused,
        money_lost: harmed(Harm::Lost),
        money_made: harmed(Harm::Made),
        money_moved: harmed(Harm::Moved),
        story: Vec::new(),
        ours: None,
    }
}

/// The shortest story among some runs that harmed somebody, and the line that repeats it.
fn shortest(first: u64, options: &Options) -> Vec<String> {
    let traced = Options { trace: true, ..options.clone() };
    let mut simulation = Simulation::new(Protocol::Report, traced);
    let mut shortest: Option<Vec<String>> = None;
    let runs = (first..).take(SEEDS as usize).map(|seed| simulation.run(seed));
    for run in runs.filter(|run| run.violation().is_some_and(|v| v.about.is_some())).take(STORIES) {
        let mut story = drill::story(&run);
        story.push(drill::repro(run.seed, Protocol::Report, &Options::ordinary()));
        if shortest.as_ref().is_none_or(|shortest| story.len() < shortest.len()) {
            shortest = Some(story);
        }
    }
    shortest.unwrap_or_default()
}

fn text(summary: &Summary) -> String {
    let mut text = String::new();
    let Summary { seeds, violations, committed, aborted, refused, .. } = summary;
    let _ = writeln!(text, "runs        {seeds}");
    let _ = writeln!(text, "violations  {violations}");
    let _ = writeln!(text, "payments    {committed} committed, {aborted} aborted");
    let _ =
        writeln!(text, "refused     {refused} runs ended with a mistake of an operator refused");
    let _ = writeln!(
        text,
        "speed       {} runs a second, {} a core",
        summary.runs_per_s, summary.runs_per_s_core
    );
    let _ = writeln!(text, "\nWHAT HAPPENED            TIMES");
    for (kind, count) in &summary.faults {
        let _ = writeln!(text, "{kind:<24} {count}");
    }
    for kind in &summary.never_hit {
        let _ = writeln!(text, "{kind:<24} never");
    }
    text
}

fn compared(summary: &Summary) -> String {
    let mut text = String::new();
    let Some(ours) = &summary.ours else { return text };
    let line = |name: &str, of: fn(&Summary) -> u64| {
        let (theirs, ours) = (of(summary), of(ours));
        format!("{name:<46} {theirs:>10} {ours:>10}\n")
    };
    let _ = writeln!(text, "{:<46} {:>10} {:>10}", "", "REPORT", "OURS");
    text += &line("runs, on the same seeds", |s| s.seeds);
    text += &line("that lost money", |s| s.money_lost);
    text += &line("that made money", |s| s.money_made);
    text += &line("that moved it otherwise than its owner was told", |s| s.money_moved);
    text += &line("that broke any promise", |s| s.violations);
    let _ = write!(text, "\nOne of those runs:\n\n{}", summary.story.join("\n"));
    text
}
