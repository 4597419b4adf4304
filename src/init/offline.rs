//! Adds facts to the log of a service that is stopped: a start like any other, that serves nobody.

use crate::config::Config;
use crate::errors::{Exit, Failure, chain};
use crate::home::{Home, Service};
use crate::journal::{self, StartPoints, fresh_start_id, wall_ms};
use recovery::bank;
use recovery::drill::point::Point;
use recovery::fact::{BankStarted, BankStopped, Started, Stopped};
use recovery::gateway;
use recovery::record::{self, Fact as _};
use recovery::replay::Fold;
use std::path::Path;
use wal::Log;

/// A state whose log can be started and stopped without serving.
pub(super) trait Offline: Fold {
    fn started(&self) -> (u64, Self::Fact);
    fn stopped() -> Self::Fact;
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

impl Offline for gateway::State {
    fn started(&self) -> (u64, Self::Fact) {
        let (epoch, start_id) = (self.epoch() + 1, fresh_start_id());
        (epoch, Started { epoch, start_id, version: version() }.into())
    }

    fn stopped() -> Self::Fact {
        Stopped {}.into()
    }
}

impl Offline for bank::State {
    fn started(&self) -> (u64, Self::Fact) {
        let (epoch, start_id) = (self.epoch() + 1, fresh_start_id());
        (epoch, BankStarted { epoch, start_id, version: version() }.into())
    }

    fn stopped() -> Self::Fact {
        BankStopped {}.into()
    }
}

/// Opens the log of `service`, which must be stopped, and appends what `facts` makes of its state.
/// Nothing is written when there is nothing to add. Gives back the state that results.
pub(super) fn append<S: Offline>(
    home: &Home,
    config: &Config,
    service: Service,
    facts: impl FnOnce(&S) -> Result<Vec<S::Fact>, Failure>,
) -> Result<S, Failure> {
    let options = wal::Options { segment_bytes: config.wal.segment_bytes };
    append_in(&home.data(service), &service.to_string(), options, facts)
}

/// The same, wherever the log lies.
pub(super) fn append_in<S: Offline>(
    directory: &Path,
    name: &str,
    options: wal::Options,
    facts: impl FnOnce(&S) -> Result<Vec<S::Fact>, Failure>,
) -> Result<S, Failure> {
    let points = StartPoints { replayed: Point::RecoveringBeforeFence, begun: None };
    let started = journal::open::<S>(directory, options, None, points, |_, _| {}, Offline::started)
        .map_err(|error| error.failure(name, directory.to_owned()))?;
    let (mut state, mut log) = (started.state, started.log);
    let mut new = facts(&state)?;
    new.push(S::stopped());
    let mut lsn = started.durable.lsn();
    for fact in &new {
        lsn = lsn.next();
        let wall_ms = wall_ms();
        state.evolve(fact, lsn, wall_ms).map_err(|illegal| {
            Failure::plain(
                Exit::Configuration,
                format!("{} is not possible: {illegal}", fact.name()),
            )
            .money("Nothing of it was recorded.")
        })?;
        log.append(record::encode(fact).entry(wall_ms)).map_err(|error| unwritten(&error))?;
    }
    finish(log)?;
    Ok(state)
}

fn finish(mut log: Log<wal::Disk>) -> Result<(), Failure> {
    log.sync().map_err(|error| unwritten(&error))?;
    log.mark().map_err(|error| unwritten(&error))?;
    Ok(())
}

fn unwritten(error: &wal::AppendError) -> Failure {
    Failure::plain(Exit::Unexpected, format!("the log could not be written: {}", chain(error)))
        .todo("Make room or mend the disk, and say the same command again: what is there is kept.")
}
