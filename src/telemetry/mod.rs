//! What a process says while it runs: for people on stderr, as JSON lines in a file.
//!
//! Writing is done by threads of its own, and no line of the file is lost: [`Guard`] writes what is
//! left. A terminal that does not read loses lines instead of holding anybody up. Field names are
//! public: `method client_id transaction_id payment trace_id state lsn amount_minor bank code
//! reason attempt elapsed_ms`. Nothing here knows what is worth saying, and no caller may hand it a
//! password, a token or a key.

mod calls;
pub mod meters;
mod trace;

pub use calls::{Call, call};
pub use trace::{TRACEPARENT, TraceId};

use crate::config::Level;
use crate::errors::Failure;
use std::io::IsTerminal;
use std::path::PathBuf;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Whether to colour.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Color {
    /// Where it is a terminal, and `NO_COLOR` is not set.
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether to colour what goes to stderr.
    pub fn on_stderr(self) -> bool {
        self.on(std::io::stderr().is_terminal())
    }

    /// Whether to colour what goes to stdout.
    pub fn on_stdout(self) -> bool {
        self.on(std::io::stdout().is_terminal())
    }

    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// Of the line by which a service's file tells why it ended.
const ENDED: &str = "strife::ended";

/// Tells the file why this service ends. A person is told by `main`, on stderr, and once.
pub fn ended_by(failure: &Failure) {
    tracing::error!(target: ENDED, code = failure.exit.code(), "{failure}");
}

/// What to say, and where.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Of the file; `STRIFE_LOG` wins over it.
    pub level: Level,
    /// Of stderr; `None` is silent but for errors.
    pub stderr: Option<Level>,
    pub color: Color,
    pub file: Option<PathBuf>,
}

impl Telemetry {
    /// Of a command that a person runs: warnings (or, verbose, all) on stderr, no file.
    pub fn command(color: Color, verbose: bool) -> Self {
        let level = if verbose { Level::Debug } else { Level::Warn };
        Self { level, stderr: Some(level), color, file: None }
    }

    /// Of a service: the same on stderr as in its file, without the line a call.
    pub fn service(level: Level, color: Color, file: PathBuf) -> Self {
        Self { level, stderr: Some(level), color, file: Some(file) }
    }

    /// Says on stderr only what is an error.
    #[must_use]
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.stderr = self.stderr.filter(|_| !quiet);
        self
    }

    /// Begins, but for a service that begins its own.
    pub fn start_unless(self, service: bool) -> Result<Option<Guard>, Failure> {
        if service { Ok(None) } else { self.start().map(Some) }
    }

    /// Begins. Keep the guard to the end of `main`: dropping it writes what is left.
    pub fn start(self) -> Result<Guard, Failure> {
        let (stderr, stderr_guard) = writer(std::io::stderr(), true);
        let human = tracing_subscriber::fmt::layer()
            .with_writer(stderr)
            .with_ansi(self.color.on_stderr())
            .with_target(false)
            .with_filter(human_filter(self.stderr));
        let mut guards = vec![stderr_guard];
        let shown = matches!(self.stderr, Some(Level::Debug | Level::Trace));
        let mut lines = calls::Lines { file: None, shown };
        let json = match &self.file {
            Some(path) => {
                let (file, guard) = writer(open(path)?, false);
                guards.push(guard);
                lines.file = Some(file.clone());
                let layer = tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(file)
                    .with_filter(file_filter(self.level)?);
                Some(layer)
            }
            None => None,
        };
        // A second start in one process, as in tests, keeps the first.
        let _ = tracing_subscriber::registry().with(human).with(json).try_init();
        lines.file =
            lines.file.filter(|_| tracing::enabled!(target: calls::TARGET, tracing::Level::INFO));
        Ok(Guard { _calls: calls::start(lines), _guards: guards })
    }
}

/// Ends the writing when it is dropped: the line a call first, then the files.
#[derive(Debug)]
pub struct Guard {
    _calls: calls::Worker,
    _guards: Vec<WorkerGuard>,
}

fn writer(to: impl std::io::Write + Send + 'static, lossy: bool) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(lossy).finish(to)
}

/// Libraries speak up from `warn` on; we, from `level`.
fn file_filter(level: Level) -> Result<EnvFilter, Failure> {
    let chosen = std::env::var("STRIFE_LOG").ok().filter(|text| !text.is_empty());
    let text = chosen.unwrap_or_else(|| format!("warn,strife={}", level.name()));
    EnvFilter::try_new(format!("{text},{}=off", calls::SHOWN)).map_err(|error| {
        let what = format!("STRIFE_LOG={text}: {error}");
        Failure::new(crate::errors::Reason::ConfigInvalid, what)
    })
}

/// The line a call is for the file: at a thousand calls a second nobody reads it.
fn human_filter(level: Option<Level>) -> Targets {
    let level = level.map_or(LevelFilter::ERROR, level_filter);
    let calls = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let libraries = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target("strife", level)
        .with_target(calls::TARGET, LevelFilter::WARN)
        .with_target(calls::SHOWN, calls)
        .with_target(ENDED, LevelFilter::OFF)
}

fn level_filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

fn open(path: &std::path::Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        let made = std::fs::create_dir_all(parent);
        made.map_err(|e| Failure::unexpected(&format!("make {}", parent.display()), &e))?;
    }
    let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map_err(|e| Failure::unexpected(&format!("write {}", path.display()), &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The only test of this binary that starts telemetry: a process has one.
    #[test]
    fn what_was_said_is_in_the_file_as_json_once_the_guard_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("logs/server.log");
        let telemetry = Telemetry::service(Level::Info, Color::Never, path.clone()).quiet(true);
        let guard = telemetry.start().expect("started");
        tracing::info!(bank = "HDFC", lsn = 7, "posted");
        tracing::debug!("not at this level");
        call(Call {
            method: "/strife.v1.PaymentGateway/ProcessPayment".into(),
            client_id: "client1".to_owned(),
            caller: "client",
            code: "OK",
            reason: "",
            elapsed: Duration::from_millis(3),
            at: std::time::SystemTime::UNIX_EPOCH,
            trace: None,
        });
        drop(guard);
        let text = std::fs::read_to_string(path).expect("written");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let find = |message: &str| lines.iter().find(|line| line["message"] == message);
        let posted = find("posted").expect("written");
        assert_eq!((&posted["bank"], &posted["lsn"]), (&"HDFC".into(), &7.into()));
        assert_eq!(posted["level"], "INFO");
        assert!(posted["timestamp"].is_string());
        let call = find("call").expect("written");
        assert_eq!((&call["client_id"], &call["code"]), (&"client1".into(), &"OK".into()));
        assert_eq!(call["elapsed_ms"], 3.0);
        assert_eq!(call["timestamp"], "1970-01-01T00:00:00.000000Z");
        let keys = |line: &serde_json::Value| line.as_object().expect("an object").len();
        assert_eq!((&call["level"], &call["target"]), (&"INFO".into(), &"strife::calls".into()));
        assert_eq!(keys(call), 10, "timestamp, level, message, target and six fields");
        assert!(find("not at this level").is_none());
    }

    #[test]
    fn no_color_and_a_pipe_are_plain_and_a_wish_is_a_wish() {
        assert!(Color::Always.on(false));
        assert!(!Color::Never.on(true));
        assert!(!Color::Auto.on(false));
    }
}
