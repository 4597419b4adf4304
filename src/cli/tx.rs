//! `strife tx`: what became of one payment, as its payer may know it and as the logs saw it.

use super::explain::{self, ExplainArgs};
use super::in_doubt::{self, InDoubtArgs};
use super::resolve::{self, ResolveArgs};
use super::transfer::say;
use super::watch::{self, WatchArgs};
use super::who::Who;
use super::{Context, block_on};
use crate::client::prompt;
use crate::errors::Failure;
use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub(super) struct TxArgs {
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Subcommand, Debug)]
enum TxCommand {
    /// Show what became of one of your payments
    Show {
        /// Its transaction id
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Follow your payments as they become final
    Watch(WatchArgs),
    /// Draw one payment as all logs saw it: who wrote what, and when it was fixed
    Explain(ExplainArgs),
    /// List the payments that are not over, and what each waits for
    InDoubt(InDoubtArgs),
    /// Show the evidence on one payment and what is safe; decide it by hand, with two admins
    Resolve(ResolveArgs),
}

pub(super) fn run(args: &TxArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        TxCommand::Show { id, who } => show(id, who, context),
        TxCommand::Watch(args) => watch::run(args, context),
        TxCommand::Explain(args) => explain::run(args, context),
        TxCommand::InDoubt(args) => in_doubt::list(args, context),
        TxCommand::Resolve(args) => resolve::run(args, context),
    }
}

fn show(id: &str, who: &Who, context: &Context) -> Result<(), Failure> {
    let desk = who.desk(context)?;
    let words = block_on(prompt::status(&desk, id))?;
    say(&words.json, words.told, context.output)
}
