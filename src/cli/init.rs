//! `strife init`: makes an installation.

use super::Context;
use crate::errors::Failure;
use crate::init;
use crate::users::{self, EMBEDDED};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Who may sign in, and with which accounts; the demo's users when left out
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Instead of making a home: let the banks that strife.toml has gained join this one, with
    /// certificates and journals, and open the accounts that the users file has gained
    #[arg(long)]
    extend: bool,
}

pub(super) fn run(args: &InitArgs, context: &Context) -> Result<(), Failure> {
    if args.extend {
        return extend(args, context);
    }
    let users = match &args.users {
        Some(file) => users::load(file)?,
        None => users::parse(EMBEDDED, "the embedded users.json")?,
    };
    init::init(&context.home, &context.config()?, &users)?;
    context.say(&format!(
        "{} is ready: {} users, {} accounts. Start it with: strife up",
        context.home.root().display(),
        users.clients.len(),
        users.openings().count(),
    ));
    Ok(())
}

fn extend(args: &InitArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    let mut all = users::load(&context.home.users_file())?;
    if let Some(file) = &args.users {
        for user in users::load(file)?.clients {
            if all.find(user.client_id).is_none() {
                all.clients.push(user);
            }
        }
    }
    let added = init::extend(&context.home, &context.config()?, &all)?;
    let banks: Vec<String> = added.banks.iter().map(ToString::to_string).collect();
    let banks = if banks.is_empty() { "none".to_owned() } else { banks.join(", ") };
    context.say(&format!("Banks that joined: {banks}. Accounts opened: {}.", added.accounts));
    Ok(())
}
