//! `strife up`: everything, with one command.

use super::{Context, block_on};
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::supervise::{self, Plan, Prepared};
use clap::Args;
use std::ffi::OsString;

#[derive(Args, Debug)]
pub(super) struct UpArgs {
    /// Set an old home aside and begin with a new one
    #[arg(long)]
    fresh: bool,
    /// Shift all ports: the gateway listens on N, its banks on N+1 and so on
    #[arg(long, value_name = "N", conflicts_with = "random_ports")]
    base_port: Option<u16>,
    /// Use ports that are free now
    #[arg(long)]
    random_ports: bool,
    /// Serve no web page
    #[arg(long)]
    no_console: bool,
}

pub(super) fn run(args: &UpArgs, context: &Context) -> Result<(), Failure> {
    let configured = context.config()?;
    match supervise::prepare(&context.home, &configured, args.fresh)? {
        Prepared::Existing => {}
        Prepared::Made => say_made(context),
        Prepared::MadeAnew { aside } => {
            context.say(&format!("The old home is now {}.", aside.display()));
            say_made(context);
        }
    }
    let plan = plan(args, context, with_ports(args, configured)?)?;
    let program = called_as();
    block_on(async {
        let stop = supervise::stop_token()?;
        let ready = |ready: supervise::Ready| context.output.one(&ready, || ready.text(&program));
        supervise::run(&plan, stop, |text| context.say(text), ready).await
    })
}

fn say_made(context: &Context) {
    context.say(&format!("A new home was made in {}.", context.home.root().display()));
}

fn with_ports(args: &UpArgs, config: Config) -> Result<Config, Failure> {
    if args.random_ports {
        return config.with_free_ports().map_err(|e| Failure::unexpected("find free ports", &e));
    }
    let Some(base) = args.base_port else { return Ok(config) };
    config.with_base_port(base).ok_or_else(|| {
        let what = format!("--base-port {base} leaves no room for the other ports");
        Failure::plain(Exit::Usage, what).todo("Choose one between 1024 and 60000.")
    })
}

fn plan(args: &UpArgs, context: &Context, config: Config) -> Result<Plan, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::unexpected("find this program", &error))?;
    let mut environment = config.addresses_as_environment();
    environment.push(("STRIFE_GATEWAY__REFLECTION".to_owned(), "true".to_owned()));
    if args.no_console {
        environment.push(("STRIFE_CONSOLE__ENABLED".to_owned(), "false".to_owned()));
    }
    let mut flags: Vec<OsString> = vec!["--home".into(), context.home.root().into()];
    if let Some(file) = context.named_config_file() {
        flags.extend(["--config".into(), file.into()]);
    }
    // Seven services that all talk at once are read in logs/, but for their errors.
    flags.push(if context.verbose { "--verbose".into() } else { "--quiet".into() });
    flags.extend(["--color".into(), color(context).into()]);
    Ok(Plan { home: context.home.clone(), config, program, flags, environment })
}

/// Children write into a pipe of ours, so they are told what our own stderr is.
fn color(context: &Context) -> &'static str {
    if context.color.on_stderr() { "always" } else { "never" }
}

/// The name by which a person can call this program again.
fn called_as() -> String {
    let name = std::env::args().next().unwrap_or_default();
    if name.contains('/') { name } else { "strife".to_owned() }
}
