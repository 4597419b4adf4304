//! What every subcommand is given: the global flags, understood.

use super::{Global, Output};
use crate::config::{Config, Flags};
use crate::errors::{Exit, Failure};
use crate::home::Home;
use crate::telemetry::Color;
use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) output: Output,
    pub(crate) color: Color,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Of one call; each command has a default of its own.
    pub(crate) timeout: Option<Duration>,
    config_file: Option<PathBuf>,
    no_input: bool,
}

impl Context {
    pub(super) fn new(global: &Global) -> Self {
        Self {
            home: Home::new(&global.home),
            output: Output::new(global.output),
            color: global.color.into(),
            quiet: global.quiet,
            verbose: global.verbose,
            timeout: global.timeout,
            config_file: global.config.clone(),
            no_input: global.no_input,
        }
    }

    /// The file that is read: `--config`, or the home's own.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| self.home.config_file())
    }

    /// `--config`, where it was given.
    pub(crate) fn named_config_file(&self) -> Option<&Path> {
        self.config_file.as_deref()
    }

    /// The configuration in force. A file that was named must be there.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let file = self.config_file();
        if self.config_file.is_some() && !file.exists() {
            let what = format!("{} is not there", file.display());
            return Err(Failure::plain(Exit::Configuration, what)
                .todo("Correct --config, or leave it out to read the home's own."));
        }
        Config::load(&file, Flags::new())
    }

    /// Whether there is a person to ask.
    pub(crate) fn may_ask(&self) -> bool {
        !self.no_input && std::io::stdin().is_terminal()
    }

    /// Talk: on stderr, unless quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            super::output::complain(text);
        }
    }
}

/// Runs a command that waits for the network.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::unexpected("start the runtime", &error))?.block_on(work)
}
