//! The command line: flags in, one call, words or JSON out.
//!
//! A file a subcommand, each thin. Data goes to stdout and talk to stderr; a failure is printed by
//! [`run`] alone, and its number is the exit code. A subcommand that does not work yet is not
//! listed. Nothing here knows how anything is done.

mod admin;
mod audit;
mod backup;
mod bench;
mod certs;
mod client;
mod config;
mod context;
mod doctor;
mod drill;
mod errors;
mod explain;
mod in_doubt;
mod init;
mod operator;
mod ops;
mod output;
mod queue;
mod rebuild;
mod recoveries;
mod resolve;
mod secret;
mod serve;
mod shell;
mod status;
mod transfer;
mod tx;
mod up;
mod users;
mod view;
mod wal;
mod watch;
mod who;

pub(crate) use context::{Context, block_on};
use output::Format;
pub(crate) use output::Output;

use crate::errors::{Exit, Failure};
use crate::telemetry::{Color, Telemetry};
use anstyle::{AnsiColor, Style};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Start here: strife up

Exit codes: 0 done, 2 usage, 3 declined, 4 unreachable, 5 not allowed, 6 damage, 7 outcome unknown,
8 configuration, 75 queued offline. Every reason is explained by: strife errors ls";

/// Moves money between banks and never loses or doubles it, whatever crashes.
#[derive(Parser, Debug)]
#[command(name = "strife", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(arg_required_else_help = true, infer_long_args = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every subcommand takes, before or after its name.
#[derive(Args, Debug)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Where this installation keeps everything
    #[arg(
        long,
        global = true,
        env = "STRIFE_HOME",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".strife"
    )]
    home: PathBuf,
    /// The configuration, if not strife.toml in the home
    #[arg(
        short,
        long,
        global = true,
        env = "STRIFE_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// How results are printed
    #[arg(
        short,
        long,
        global = true,
        env = "STRIFE_OUTPUT",
        hide_env_values = true,
        value_name = "FORMAT"
    )]
    #[arg(default_value = "table")]
    output: Format,
    /// Whether to colour; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        env = "STRIFE_COLOR",
        hide_env_values = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: When,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, env = "STRIFE_QUIET", hide_env_values = true)]
    #[arg(action = ArgAction::SetTrue)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, env = "STRIFE_VERBOSE", hide_env_values = true)]
    #[arg(action = ArgAction::SetTrue)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    verbose: bool,
    /// How long one call may take, such as 500ms or 10s
    #[arg(
        long,
        global = true,
        env = "STRIFE_TIMEOUT",
        hide_env_values = true,
        value_name = "TIME"
    )]
    #[arg(value_parser = duration)]
    timeout: Option<Duration>,
    /// Never ask anything
    #[arg(long, global = true, env = "STRIFE_NO_INPUT", hide_env_values = true)]
    #[arg(action = ArgAction::SetTrue)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    no_input: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl From<When> for Color {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

/// One variant a subcommand, in the order of the help; each is handled in `Command::run`.
#[derive(Subcommand, Debug)]
enum Command {
    // Running it: up, init, gateway, bank, status.
    /// Start everything: a gateway and its banks, made on the first start
    Up(up::UpArgs),
    /// Make an installation: certificates, users, accounts, logs
    Init(init::InitArgs),
    /// Run the gateway
    Gateway(serve::GatewayArgs),
    /// Run one bank
    Bank(serve::BankArgs),
    /// Serve the web page, for auditors and admins
    Console(serve::ConsoleArgs),
    /// Show what runs
    Status(status::StatusArgs),

    // Paying: client, view, transfer, history, refund, queue.
    /// Pay at a prompt: view, transfer, history, status, queue
    Client(client::ClientArgs),
    /// Show your balance
    View(view::ViewArgs),
    /// Pay someone, or everyone in a file
    Transfer(transfer::TransferArgs),
    /// List your payments
    History(view::HistoryArgs),
    /// Show, send or drop what waits to be sent
    Queue(queue::QueueArgs),

    // Looking: tx, wal.
    /// Look at one payment
    Tx(tx::TxArgs),
    /// Read the logs: list, check, follow
    Wal(wal::WalArgs),
    /// Compare the gateway's log with the banks' journals
    Audit(audit::AuditArgs),

    // Proving.
    /// Kill real processes at named instants, and see every rupee survive
    Drill(drill::DrillArgs),
    /// Measure how fast it is, against what this machine could do at most
    Bench(bench::BenchArgs),

    // Keeping it: rebuild, doctor, backup, restore, admin.
    /// Make a lost data directory again from those that are left
    Rebuild(rebuild::RebuildArgs),
    /// Copy the whole home, while it runs
    Backup(backup::BackupArgs),
    /// Bring a backup back
    Restore(backup::RestoreArgs),
    /// Look the installation over, or only for what is unsafe
    Doctor(doctor::DoctorArgs),
    /// Hold recovery up, and settle what is in doubt one by one
    Admin(admin::AdminArgs),
    /// Show or check the configuration
    Config(config::ConfigArgs),
    /// Make, list, renew or revoke certificates
    Certs(certs::CertsArgs),
    /// List users, add one, or change a password
    Users(users::UsersArgs),
    /// Print units for systemd, rules for Prometheus, a board for Grafana
    Ops(ops::OpsArgs),
    /// Explain every reason and exit code
    Errors(errors::ErrorsArgs),
    /// Print completions for a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page
    Man(shell::ManArgs),
}

impl Command {
    fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Up(args) => up::run(&args, context),
            Self::Init(args) => init::run(&args, context),
            Self::Gateway(args) => serve::gateway(&args, context),
            Self::Bank(args) => serve::bank(&args, context),
            Self::Console(args) => serve::console(&args, context),
            Self::Status(args) => status::run(&args, context),
            Self::Client(args) => client::run(args, context),
            Self::View(args) => view::view(&args, context),
            Self::Transfer(args) => transfer::run(&args, context),
            Self::History(args) => view::history(&args, context),
            Self::Queue(args) => queue::run(&args, context),
            Self::Tx(args) => tx::run(&args, context),
            Self::Wal(args) => wal::run(args, context),
            Self::Rebuild(args) => rebuild::run(&args, context),
            Self::Backup(args) => backup::backup(&args, context),
            Self::Restore(args) => backup::restore(&args, context),
            Self::Audit(args) => audit::run(&args, context),
            Self::Drill(args) => drill::run(&args, context),
            Self::Bench(args) => bench::run(&args, context),
            Self::Doctor(args) => doctor::run(&args, context),
            Self::Admin(args) => admin::run(&args, context),
            Self::Config(args) => config::run(args, context),
            Self::Certs(args) => certs::run(&args, context),
            Self::Users(args) => users::run(args, context),
            Self::Ops(args) => ops::run(&args, context),
            Self::Errors(args) => errors::run(args, context),
            Self::Completions(args) => shell::completions(&args),
            Self::Man(args) => shell::man(&args),
        }
    }

    /// Whether it logs as a service, and so starts its own telemetry.
    fn is_service(&self) -> bool {
        match self {
            Self::Gateway(_) | Self::Bank(_) | Self::Console(_) | Self::Client(_) => true,
            Self::Up(_)
            | Self::Init(_)
            | Self::Status(_)
            | Self::View(_)
            | Self::Transfer(_)
            | Self::History(_)
            | Self::Queue(_)
            | Self::Tx(_)
            | Self::Wal(_)
            | Self::Rebuild(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Audit(_)
            | Self::Drill(_)
            | Self::Bench(_)
            | Self::Doctor(_)
            | Self::Admin(_)
            | Self::Config(_)
            | Self::Certs(_)
            | Self::Users(_)
            | Self::Ops(_)
            | Self::Errors(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }
}

/// Runs one command line to its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(with_dashes(arguments)) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let context = Context::new(&cli.global);
    let done = Telemetry::command(context.color, context.verbose)
        .quiet(context.quiet)
        .start_unless(cli.command.is_service());
    let done = done.and_then(|_guard| cli.command.run(&context));
    match done {
        Ok(()) => ExitCode::from(Exit::Done.code()),
        Err(failure) => fail(&failure, context.color),
    }
}

/// A reader of stdout that went away is no failure: nothing is said then.
fn fail(failure: &Failure, color: Color) -> ExitCode {
    if failure.exit != Exit::Done {
        let text = failure.to_string();
        let (word, rest) = text.split_once(':').unwrap_or((&text, ""));
        let on = color.on_stderr();
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let style = if on { style } else { Style::new() };
        output::complain(&format!("{style}{word}:{style:#}{rest}"));
    }
    ExitCode::from(failure.exit.code())
}

/// What clap has to say: help on stdout with 0, anything else on stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(Exit::Done.code()),
        _ => ExitCode::from(Exit::Usage.code()),
    }
}

/// `--client_id` is `--client-id`: long flags may be written with underscores.
fn with_dashes(arguments: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut flags = true;
    arguments.into_iter().map(move |argument| {
        let Some(text) = argument.to_str().filter(|text| flags && text.starts_with("--")) else {
            return argument;
        };
        flags = text != "--";
        let (name, value) = text.find('=').map_or((text, ""), |at| text.split_at(at));
        OsString::from(name.replace('_', "-") + value)
    })
}

/// `10s`, `500ms`, `2m`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let number: u64 = digits.parse().map_err(|_| "write it as 500ms, 10s or 2m".to_owned())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    match milliseconds {
        Some(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        Some(_) | None => Err("write it as 500ms, 10s or 2m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn underscores_in_a_flags_name_are_dashes_and_in_its_value_stay() {
        let given = ["strife", "--client_id=a_b", "x_y", "--", "--not_a_flag"];
        let heard: Vec<OsString> = with_dashes(given.map(OsString::from)).collect();
        let expected = ["strife", "--client-id=a_b", "x_y", "--", "--not_a_flag"];
        assert_eq!(heard, expected.map(OsString::from));
    }

    #[test]
    fn a_time_has_a_unit_or_is_seconds() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "0", "s", "1h", "-1s", "99999999999999999999"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
