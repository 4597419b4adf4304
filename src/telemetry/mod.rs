//! What a process says while it runs: for people on stderr, as JSON lines in a file.
//!
//! Writing is done by threads of its own, and no line is lost: [`Guard`] writes what is left. Field
//! names are public (`contract`): `method client_id transaction_id payment trace_id state lsn
//! amount_minor bank code reason attempt elapsed_ms`. Nothing here knows what is worth saying, and
//! no caller may hand it a password, a token or a key.

mod calls;

pub use calls::{Call, call};

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

    /// Begins, but for a service that begins its own.
    pub fn start_unless(self, service: bool) -> Result<Option<Guard>, Failure> {
        if service { Ok(None) } else { self.start().map(Some) }
    }

    /// Begins. Keep the guard to the end of `main`: dropping it writes what is left.
    pub fn start(self) -> Result<Guard, Failure> {
        let (stderr, stderr_guard) = writer(std::io::stderr());
        let human = tracing_subscriber::fmt::layer()
            .with_writer(stderr)
            .with_ansi(self.color.on_stderr())
            .with_target(false)
            .with_filter(human_filter(self.stderr));
        let mut guards = vec![stderr_guard];
        let json = match &self.file {
            Some(path) => {
                let (file, guard) = writer(open(path)?);
                guards.push(guard);
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
        Ok(Guard { _calls: calls::start(), _guards: guards })
    }
}

/// Ends the writing when it is dropped: the line a call first, then the files.
#[derive(Debug)]
pub struct Guard {
    _calls: calls::Worker,
    _guards: Vec<WorkerGuard>,
}

fn writer(to: impl std::io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(false).finish(to)
}

/// Libraries speak up from `warn` on; we, from `level`.
fn file_filter(level: Level) -> Result<EnvFilter, Failure> {
    let chosen = std::env::var("STRIFE_LOG").ok().filter(|text| !text.is_empty());
    let text = chosen.unwrap_or_else(|| format!("warn,strife={}", level.name()));
    EnvFilter::try_new(&text).map_err(|error| {
        let what = format!("STRIFE_LOG={text}: {error}");
        Failure::new(crate::errors::Reason::ConfigInvalid, what)
    })
}

/// The line a call is for the file: at a thousand calls a second nobody reads it.
fn human_filter(level: Option<Level>) -> Targets {
    let level = level.map_or(LevelFilter::ERROR, level_filter);
    let calls = if level >= LevelFilter::DEBUG { level } else { LevelFilter::WARN };
    let libraries = level.min(LevelFilter::WARN);
    Targets::new()
        .with_default(libraries)
        .with_target("strife", level)
        .with_target(calls::TARGET, calls)
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
