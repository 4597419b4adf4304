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
}

pub(super) fn run(args: &InitArgs, context: &Context) -> Result<(), Failure> {
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
