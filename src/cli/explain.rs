//! `strife tx explain`: one payment from all logs that saw it, as a diagram.

use super::{Context, Output};
use crate::errors::Failure;
use crate::inspect::explain::{find, json, text};
use crate::inspect::words::Accounts;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Its transaction id, client_id/transaction_id, or global id
    id: String,
    /// Read these logs and not the home's: gateway, banks, or directories that hold wal/
    #[arg(long = "log", value_name = "LOG")]
    logs: Vec<String>,
    /// Print a Mermaid sequence diagram
    #[arg(long)]
    mermaid: bool,
    /// Show account numbers whole
    #[arg(long)]
    unmask: bool,
}

pub(super) fn run(args: &ExplainArgs, context: &Context) -> Result<(), Failure> {
    let found = find(&context.home, &args.id, &args.logs)?;
    if args.mermaid {
        return Output::text(&recovery::explain::mermaid(&found.told));
    }
    let accounts = if args.unmask { Accounts::Whole } else { Accounts::Masked };
    context.output.one(&json(&found, accounts), || text(&found, accounts))
}
