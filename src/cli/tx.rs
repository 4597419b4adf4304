//! `strife tx show | watch`: what becomes of payments, as their payer may know it.

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
}

pub(super) fn run(args: &TxArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        TxCommand::Show { id, who } => show(id, who, context),
        TxCommand::Watch(args) => watch::run(args, context),
    }
}

fn show(id: &str, who: &Who, context: &Context) -> Result<(), Failure> {
    let desk = who.desk(context)?;
    let words = block_on(prompt::status(&desk, id))?;
    say(&words.json, words.told, context.output)
}
