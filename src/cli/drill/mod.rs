//! `strife drill`: the promises broken on purpose, simulated and with real processes.

mod report;
mod run;
mod simulate;
mod soak;

use super::Context;
use crate::errors::Failure;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

#[derive(Args, Debug)]
pub(super) struct DrillArgs {
    #[command(subcommand)]
    command: DrillCommand,
}

#[derive(Subcommand, Debug)]
enum DrillCommand {
    /// List every drill: its victim, its fault, what it shows
    List,
    /// Run drills, each in a cluster and a home of its own
    Run(run::RunArgs),
    /// Write the last run as HTML, JUnit XML and JSON
    Report(report::ReportArgs),
    /// Simulate whole clusters under every fault, thousands of times
    Simulate(simulate::SimulateArgs),
    /// Kill and stop services at random under clients that pay, then check everything
    Soak(soak::SoakArgs),
}

pub(super) fn run(args: &DrillArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        DrillCommand::List => run::list(context),
        DrillCommand::Run(args) => run::run(args, context),
        DrillCommand::Report(args) => report::run(args, context),
        DrillCommand::Simulate(args) => simulate::run(args, context),
        DrillCommand::Soak(args) => soak::run(args, context),
    }
}

/// Progress, drawn only for a person who watches.
fn bar(count: u64, template: &str, context: &Context) -> ProgressBar {
    if context.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
