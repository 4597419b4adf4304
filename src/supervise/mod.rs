//! `strife up`: the gateway and every bank as processes of their own, minded by this one.
//!
//! ```text
//! up --+-- strife gateway      each in its own process group, with a pipe from us as its stdin:
//!      +-- strife bank HDFC    when we end, however we end, the pipe ends, and they stop
//!      +-- strife bank ...
//!      '-- strife console
//! ```
//!
//! A child that is killed, or ends with 1, is started again; one that ends with 2, 6 or 8 would
//! only end so again, and stays down, said. Nothing here knows what the children do, and no client
//! may notice whether they are minded.

mod child;
mod policy;
mod prepare;
mod ready;
mod stop;

pub use prepare::{Prepared, prepare};
pub use stop::{SUPERVISED, stop_token};

use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Service, notify};
use child::{Event, Spec, mind};
pub use ready::Ready;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A start that takes longer is spoken of: a log may be long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The gateway stops first, while its banks still answer; then they do. Together under 5 s.
const GATEWAY_GRACE: Duration = Duration::from_millis(2_500);

/// What `up` was told.
pub struct Plan {
    pub home: Home,
    pub config: Config,
    /// This program; in tests, another.
    pub program: PathBuf,
    /// Global flags for every child.
    pub flags: Vec<OsString>,
    /// Settings for every child, over the environment's.
    pub environment: Vec<(String, String)>,
}

impl Plan {
    /// Whether the web page is served.
    fn has_console(&self) -> bool {
        let off = |(name, value): &(String, String)| {
            name == "STRIFE_CONSOLE__ENABLED" && value == "false"
        };
        self.config.console.enabled && !self.environment.iter().any(off)
    }
}

/// Where a child stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Starting,
    /// After it ended and was not meant to.
    StartingAgain,
    Ready,
    Down(Exit),
}

impl State {
    fn is_starting(&self) -> bool {
        matches!(self, Self::Starting | Self::StartingAgain)
    }
}

/// Starts everything, tells `ready` once all stand, and minds them until `stop`. `say` is told
/// what a person should know meanwhile.
pub async fn run(
    plan: &Plan,
    stop: CancellationToken,
    say: impl Fn(&str),
    ready: impl FnOnce(Ready) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (events, mut heard) = mpsc::unbounded_channel();
    let (gateway, banks) = (CancellationToken::new(), CancellationToken::new());
    let mut children = JoinSet::new();
    let mut states = BTreeMap::new();
    for service in services(plan) {
        let token = if service == Service::Gateway { &gateway } else { &banks };
        let spec = Spec::new(plan, service);
        children.spawn(mind(spec, plan.home.clone(), token.clone(), events.clone()));
        states.insert(service, State::Starting);
    }
    drop(events);
    let mut ready = Some(ready);
    let done = loop {
        let patience = tokio::time::sleep(PATIENCE);
        let waiting = ready.is_some();
        let event = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            event = heard.recv() => event,
            () = patience, if waiting => {
                let waiting = starting(&states);
                say(&format!("Still waiting for {waiting}: a long log takes its time."));
                continue;
            }
        };
        let Some(event) = event else { break Err(nobody_left(&states)) };
        let first = ready.is_some();
        note(&event, &mut states, first, &say);
        if first && let Some(State::Down(exit)) = states.get(&Service::Gateway) {
            let what = "the gateway does not start; everything is stopped";
            let failure = Failure::plain(*exit, what);
            break Err(failure.todo("What it said is above, and in logs/server.log of the home."));
        }
        if is_over(&states) {
            break Err(nobody_left(&states));
        }
        if !payments(&states).any(State::is_starting)
            && let Some(ready) = ready.take()
        {
            notify::ready("everything is up");
            if let Err(failure) = ready(Ready::new(plan, &down(&states))) {
                break Err(failure);
            }
        }
    };
    notify::stopping();
    gateway.cancel();
    wait_for_gateway(&mut heard).await;
    banks.cancel();
    while children.join_next().await.is_some() {}
    done
}

/// The gateway first: it is what a person waits for. The console last: nothing needs it.
fn services(plan: &Plan) -> impl Iterator<Item = Service> {
    let banks = plan.config.banks.iter().filter(|(_, bank)| !bank.foreign);
    let banks = banks.map(|(name, _)| Service::Bank(*name));
    let console = plan.has_console().then_some(Service::Console);
    std::iter::once(Service::Gateway).chain(banks).chain(console)
}

fn note(event: &Event, states: &mut BTreeMap<Service, State>, first: bool, say: &impl Fn(&str)) {
    let (service, state) = match event {
        Event::Ready(service) => {
            if !first && states.get(service) == Some(&State::StartingAgain) {
                say(&format!("{service} is back."));
            }
            (service, State::Ready)
        }
        Event::Restarting { service, how, after } => {
            let after_ms = after.as_millis();
            say(&format!("{service} {how}: starting it again in {after_ms} ms."));
            (service, State::StartingAgain)
        }
        Event::Down { service, exit } => {
            let (code, word) = (exit.code(), exit.word());
            say(&format!("{service} ended with {code} ({word}) and stays down."));
            (service, State::Down(*exit))
        }
        Event::Stopped(_) => return,
    };
    states.insert(*service, state);
}

/// Where those stand that payments need.
fn payments(states: &BTreeMap<Service, State>) -> impl Iterator<Item = &State> {
    states.iter().filter(|(service, _)| **service != Service::Console).map(|(_, state)| state)
}

/// A console alone is of no use.
fn is_over(states: &BTreeMap<Service, State>) -> bool {
    payments(states).all(|state| matches!(state, State::Down(_)))
}

fn starting(states: &BTreeMap<Service, State>) -> String {
    let waiting = states.iter().filter(|(_, state)| state.is_starting());
    waiting.map(|(service, _)| service.to_string()).collect::<Vec<_>>().join(", ")
}

fn down(states: &BTreeMap<Service, State>) -> Vec<Service> {
    let down = states.iter().filter(|(_, state)| matches!(state, State::Down(_)));
    down.map(|(service, _)| *service).collect()
}

fn nobody_left(states: &BTreeMap<Service, State>) -> Failure {
    let exit = states.values().find_map(|state| match state {
        State::Down(exit) => Some(*exit),
        State::Starting | State::StartingAgain | State::Ready => None,
    });
    Failure::plain(exit.unwrap_or(Exit::Unexpected), "no service is left running")
        .todo("What each said is above, and in logs/ of the home.")
}

async fn wait_for_gateway(heard: &mut mpsc::UnboundedReceiver<Event>) {
    let stopped = async {
        while let Some(event) = heard.recv().await {
            let over = match event {
                Event::Stopped(service) | Event::Down { service, .. } => service,
                Event::Ready(_) | Event::Restarting { .. } => continue,
            };
            if over == Service::Gateway {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(GATEWAY_GRACE, stopped).await;
}
