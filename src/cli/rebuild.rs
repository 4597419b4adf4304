//! `strife rebuild`: a lost data directory made again from those that are left.

use super::Context;
use crate::errors::Failure;
use crate::init;
use clap::{Args, Subcommand};
use recovery::model::BankName;

#[derive(Args, Debug)]
pub(super) struct RebuildArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make the gateway's log again from the journals of all banks
    Gateway {
        /// Says that the banks are the truth now
        #[arg(long, required = true)]
        from_banks: bool,
    },
    /// Make a bank's journal again from the gateway's log
    Bank {
        /// Which bank, as strife.toml names it
        name: BankName,
        /// Says that the gateway's log is the truth now
        #[arg(long, required = true)]
        from_gateway: bool,
    },
}

pub(super) fn run(args: &RebuildArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    let config = context.config()?;
    let (what, rebuilt) = match &args.what {
        What::Gateway { .. } => {
            ("the gateway".to_owned(), init::rebuild_gateway(&context.home, &config)?)
        }
        What::Bank { name, .. } => {
            (name.to_string(), init::rebuild_bank(&context.home, &config, *name)?)
        }
    };
    context.say(&format!(
        "{what} was made again: {} payments in {} records. Start it with: strife up",
        rebuilt.payments, rebuilt.records
    ));
    if matches!(args.what, What::Gateway { .. }) {
        context.say(
            "Sessions and the audit trail are not in the banks' journals: everyone signs in again.",
        );
    }
    Ok(())
}
