//! `strife drill list | run`: real processes in temporary homes, killed at named instants.

use super::bar;
use crate::cli::Context;
use crate::errors::{Exit, Failure};
use crate::live::Place;
use crate::live::drill::{self, Drill, Report};
use crate::live::results::Results;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Drills under way at once; each is a cluster of seven processes.
const WORKERS_MAX: usize = 2;

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// Which, as `strife drill list` names them
    #[arg(required_unless_present = "all")]
    names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Draw amounts and counts from this, to repeat a run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Make the temporary homes, and keep the results, here
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    victim: String,
    fault: String,
    shows: String,
}

/// Where results are kept.
pub(super) fn directory(given: Option<&Path>, context: &Context) -> PathBuf {
    given.map_or_else(|| context.home.drills(), Path::to_owned)
}

pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let all: Vec<Listed> = drill::all()
        .into_iter()
        .map(|Drill { name, victim, fault, shows, .. }| Listed { name, victim, fault, shows })
        .collect();
    context.output.list("drills", &all, &["DRILL", "VICTIM", "FAULT", "SHOWS"], |drill| {
        let Listed { name, victim, fault, shows } = drill;
        vec![name.clone(), victim.clone(), fault.clone(), shows.clone()]
    })
}

fn chosen(args: &RunArgs) -> Result<Vec<Drill>, Failure> {
    let all = drill::all();
    if args.all {
        return Ok(all);
    }
    let find = |name: &String| {
        let found = all.iter().find(|drill| drill.name == *name).cloned();
        found.ok_or_else(|| {
            Failure::plain(Exit::Usage, format!("no drill is called {name:?}"))
                .todo("See what there is: strife drill list")
        })
    };
    args.names.iter().map(find).collect()
}

pub(super) fn run(args: &RunArgs, context: &Context) -> Result<(), Failure> {
    let drills = chosen(args)?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::unexpected("find this program", &error))?;
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let place = Place { program, parent, seed };
    let (began, now) = (Instant::now(), SystemTime::now());
    let began_unix_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    context.say(&format!("{} drills with --seed {seed}:", drills.len()));
    let bar = bar(drills.len() as u64, "{bar:40} {pos}/{len} drills, {elapsed}", context);
    let told = run_all(&drills, &place, |report| {
        bar.inc(1);
        bar.suspend(|| tell(report, context))
    });
    bar.finish_and_clear();
    let reports = told?;
    let exit = reports.iter().filter(|report| !report.ok).map(|report| report.exit).max();
    let results = Results {
        ok: exit.is_none(),
        seed,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began_unix_ms,
        took_ms: began.elapsed().as_millis() as u64,
        drills: reports,
    };
    if args.directory.is_none() {
        context.home.create()?;
    }
    results.save(&directory(args.directory.as_deref(), context))?;
    print(&results, context)?;
    let Some(exit) = exit else { return Ok(()) };
    let what = format!("{} of {} drills failed", results.counts().0, results.drills.len());
    let broken = results.drills.iter().any(|drill| drill.exit == Exit::Damaged);
    let exit = if broken { Exit::Damaged } else { exit };
    Err(Failure::plain(exit, what)
        .money("Each home was left where its drill says, with all logs.")
        .todo(format!("Repeat one with: strife drill run NAME --seed {seed}")))
}

/// Runs some at a time; the reports come in the order of `drills`.
fn run_all(
    drills: &[Drill],
    place: &Place,
    tell: impl Fn(&Report) -> Result<(), Failure> + Sync,
) -> Result<Vec<Report>, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(WORKERS_MAX).min(drills.len());
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<Report>>> = drills.iter().map(|_| Mutex::new(None)).collect();
    let unheard = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(drill) = drills.get(index)
                {
                    let report = drill.run(place);
                    if let (Err(failure), Ok(mut unheard)) = (tell(&report), unheard.lock()) {
                        *unheard = Some(failure);
                        next.store(drills.len(), Ordering::Relaxed);
                    }
                    if let Ok(mut slot) = done[index].lock() {
                        *slot = Some(report);
                    }
                }
            });
        }
    });
    match unheard.into_inner() {
        Ok(Some(failure)) => Err(failure),
        Ok(None) | Err(_) => {
            Ok(done.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect())
        }
    }
}

/// Progress: talk, and with jsonl the report itself.
fn tell(report: &Report, context: &Context) -> Result<(), Failure> {
    let Report { name, outcome, recovered_ms, settled_ms, problem, .. } = report;
    if let Some(tool) = &report.skipped {
        context.say(&format!("SKIPPED {tool}: {name}"));
    }
    let mark = if report.ok { "ok" } else { "FAILED" };
    context.say(&format!(
        "{mark:>6}  {name:<36} {outcome:<16} recovered {recovered_ms} ms, settled {settled_ms} ms"
    ));
    if !report.ok {
        let home = report.home.as_ref().map(|home| home.display().to_string());
        let home = home.unwrap_or_else(|| "none was made".to_owned());
        context.say(&format!("        {problem}\n        home: {home}"));
    }
    if context.output.is_lines() { context.output.one(report, String::new) } else { Ok(()) }
}

fn print(results: &Results, context: &Context) -> Result<(), Failure> {
    if context.output.is_lines() {
        return Ok(());
    }
    if !context.output.is_table() {
        return context.output.one(results, String::new);
    }
    let header = ["DRILL", "CRASH", "RESTART", "RECOVERED", "OUTCOME", "MONEY", "SETTLED", ""];
    context.output.list("drills", &results.drills, &header, |report| {
        let ms = |ms: u64| format!("{ms} ms");
        let at = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), ms);
        let (crashed, restarted) = (at(report.crashed_ms), at(report.restarted_ms));
        let money = match report.money {
            Some(money) if money.found_minor == money.expected_minor => "all there".to_owned(),
            Some(money) => format!("{} off", money.found_minor - money.expected_minor),
            None => "-".to_owned(),
        };
        let Report { name, outcome, .. } = report.clone();
        let mark = match (&report.skipped, report.ok) {
            (Some(tool), _) => format!("SKIPPED {tool}"),
            (None, true) => "ok".to_owned(),
            (None, false) => "FAILED".to_owned(),
        };
        let (recovered, settled) = (ms(report.recovered_ms), ms(report.settled_ms));
        vec![name, crashed, restarted, recovered, outcome, money, settled, mark]
    })
}
