//! `strife wal`: the logs, read from outside.
//!
//! Each works on a running service's log, on a stopped one's and on a copied directory, needs no
//! login and no configuration, and all but `repair` change nothing.

mod ls;
mod repair;
mod sheet;
mod state;
mod stats;
mod verify;

use super::Context;
use crate::errors::Failure;
use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub(super) struct WalArgs {
    #[command(subcommand)]
    command: WalCommand,
}

#[derive(Subcommand, Debug)]
enum WalCommand {
    /// List the records of a log, decoded
    Ls(ls::LsArgs),
    /// Check that logs are whole, and say what helps where they are not
    Verify(verify::VerifyArgs),
    /// Follow a log as it grows
    Tail(ls::TailArgs),
    /// Count what a log is made of
    Stats(stats::StatsArgs),
    /// Show the state that a log had at any record or time
    State(state::StateArgs),
    /// Compare two points of a log, or two logs
    Diff(state::DiffArgs),
    /// Say what a restart would do, had the log ended at a record
    WhatIf(state::WhatIfArgs),
    /// Put damaged batches back from the copy in the SQLite view
    Repair(repair::RepairArgs),
    /// Write a log's records to a file: JSON Lines, CSV or SQLite
    Export(stats::ExportArgs),
}

pub(super) fn run(args: WalArgs, context: &Context) -> Result<(), Failure> {
    match args.command {
        WalCommand::Ls(args) => ls::list(args, context),
        WalCommand::Verify(args) => verify::run(&args, context),
        WalCommand::Stats(args) => stats::stats(&args, context),
        WalCommand::State(args) => state::show(&args, context),
        WalCommand::Diff(args) => state::diff(&args, context),
        WalCommand::WhatIf(args) => state::what_if(&args, context),
        WalCommand::Repair(args) => repair::run(&args, context),
        WalCommand::Export(args) => stats::export(&args, context),
        WalCommand::Tail(args) => ls::tail(args, context),
    }
}
