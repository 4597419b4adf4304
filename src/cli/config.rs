//! `strife config show | check`.

use super::Context;
use crate::config::{Config, Flags};
use crate::errors::{Exit, Failure};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print the configuration in force, every key explained
    Show,
    /// Say whether a file can be used, and if not, why
    Check {
        /// The file; the one in force when left out
        file: Option<PathBuf>,
    },
}

pub(super) fn run(args: ConfigArgs, context: &Context) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Show => {
            let config = context.config()?;
            context.output.one(&config, || config.to_toml())
        }
        ConfigCommand::Check { file } => {
            let named = file.is_some();
            let file = file.unwrap_or_else(|| context.config_file());
            if named && !file.exists() {
                let what = format!("{} is not there", file.display());
                return Err(Failure::plain(Exit::Configuration, what));
            }
            let config = Config::load(&file, Flags::new())?;
            let banks = config.banks.len();
            context.say(&format!("{} can be used: {banks} banks.", file.display()));
            Ok(())
        }
    }
}
