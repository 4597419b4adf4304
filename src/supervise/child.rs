//! One child: started, watched until it is ready, started again, stopped.

use super::policy::{Backoff, Verdict};
use super::{Plan, SUPERVISED};
use crate::errors::Exit;
use crate::home::{Home, Service, notify};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often the run file is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a child that was asked to stop may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// What happened to a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    Ready(Service),
    Restarting { service: Service, how: String, after: Duration },
    Down { service: Service, exit: Exit },
    Stopped(Service),
}

/// How a child is started.
pub(super) struct Spec {
    service: Service,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

impl Spec {
    pub(super) fn new(plan: &Plan, service: Service) -> Self {
        let role: Vec<OsString> = match service {
            Service::Gateway => vec!["gateway".into()],
            Service::Bank(bank) => vec!["bank".into(), bank.as_str().into()],
            Service::Console => vec!["console".into()],
        };
        let arguments = plan.flags.iter().cloned().chain(role).collect();
        let (program, environment) = (plan.program.clone(), plan.environment.clone());
        Self { service, program, arguments, environment }
    }

    fn start(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .env(SUPERVISED, "1")
            // A service manager of ours is told by us.
            .env_remove(notify::NOTIFY_SOCKET)
            // ^C at the terminal is for us; we tell them in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn()
    }
}

/// Keeps one child running until `stop`, or until it stays down.
pub(super) async fn mind(
    spec: Spec,
    home: Home,
    stop: CancellationToken,
    events: UnboundedSender<Event>,
) {
    let service = spec.service;
    let mut backoff = Backoff::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let ended = live(&spec, &home, &stop, &events).await;
        if stop.is_cancelled() {
            break;
        }
        let verdict = match ended {
            Ok(status) => backoff.judge(status, began.elapsed()),
            Err(error) => {
                tracing::error!(%service, %error, "cannot be started");
                Verdict::StayDown(Exit::Unexpected)
            }
        };
        match verdict {
            Verdict::Restart { after, how } => {
                let _ = events.send(Event::Restarting { service, how, after });
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(after) => {}
                }
            }
            Verdict::StayDown(exit) => {
                let _ = events.send(Event::Down { service, exit });
                return;
            }
        }
    }
    let _ = events.send(Event::Stopped(service));
}

/// One life.
async fn live(
    spec: &Spec,
    home: &Home,
    stop: &CancellationToken,
    events: &UnboundedSender<Event>,
) -> std::io::Result<ExitStatus> {
    let mut child = spec.start()?;
    let lifeline = child.stdin.take();
    let pid = child.id();
    let talk = child.stderr.take().map(|talk| tokio::spawn(repeat(spec.service, talk)));
    let ready = async {
        while home.running(spec.service).map(|running| running.pid) != pid {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _ = events.send(Event::Ready(spec.service));
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = stop.cancelled() => {
            drop(lifeline);
            end(&mut child).await
        }
        () = ready => child.wait().await,
    };
    // What it said last is why it ended.
    if let Some(talk) = talk {
        let _ = tokio::time::timeout(LOOK_EVERY * 10, talk).await;
    }
    ended
}

/// Asks, and after a while insists. Killing loses nothing: the logs are made for it.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(ended) = tokio::time::timeout(GRACE, child.wait()).await {
        return ended;
    }
    child.start_kill()?;
    child.wait().await
}

/// Passes on what a child says on stderr, with its name before each line.
async fn repeat(service: Service, talk: ChildStderr) {
    let mut lines = BufReader::new(talk).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        anstream::eprintln!("{service:>11} | {line}");
    }
}
