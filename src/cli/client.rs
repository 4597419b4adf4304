//! `strife client`: the prompt.

use super::who::Who;
use super::{Context, block_on};
use crate::client::prompt;
use crate::client::retry::Pace;
use crate::errors::{Exit, Failure};
use crate::telemetry::Telemetry;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    who: Who,
}

pub(super) fn run(mut args: ClientArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    let client = args.who.client(&context.home)?;
    let config = context.config()?;
    let log = Telemetry {
        level: config.log.level,
        stderr: None,
        color: context.color,
        file: Some(context.home.client_log_file(client)),
    };
    let _log = log.start()?;
    args.who.ask_password(context)?;
    let desk = args.who.desk(context)?;
    let pace = Pace { first: config.client.retry(), max: config.client.retry_max() };
    let exit = block_on(async {
        prompt::sign_in(&desk, args.who.has_password()).await?;
        prompt::run(&desk, pace).await
    })?;
    match exit {
        Exit::Done => Ok(()),
        // Each failure was told where it happened.
        exit => Err(Failure::plain(exit, "not every command did what was asked")),
    }
}
