//! A log folded into the state that a start would find, up to any point of it.
//!
//! Whose log it is decides what it is folded into. A log may stop short, by damage or by records
//! that cannot be: what was folded until then stays.

use super::Source;
use super::moment::Moment;
use crate::errors::{Exit, Failure, chain};
use crate::home::Service;
use recovery::model::Witness;
use recovery::replay::Replay;
use recovery::{bank, gateway};
use wal::read::{Cursor, FollowError, follow};
use wal::{Lsn, Record};

/// The kinds from here on are a bank's.
const BANK_KINDS_FROM: u16 = 100;

/// A state of either kind.
#[derive(Clone, Debug)]
pub enum State {
    Gateway(Box<Replay<gateway::State>>),
    Bank(Box<Replay<bank::State>>),
}

/// A log, folded as far as was asked.
#[derive(Debug)]
pub struct Folded {
    pub state: State,
    cursor: Cursor,
}

/// Why a fold stopped before its end.
enum Stop {
    Reached,
    Illegal(String),
}

impl State {
    fn record(&mut self, record: &Record<'_>) -> Result<(), Stop> {
        let done = match self {
            Self::Gateway(replay) => replay.record(record),
            Self::Bank(replay) => replay.record(record),
        };
        done.map_err(|error| Stop::Illegal(chain(&error)))
    }

    pub fn last(&self) -> Lsn {
        match self {
            Self::Gateway(replay) => replay.state.last,
            Self::Bank(replay) => replay.state.last,
        }
    }

    /// The stamp of the last record; 0 before the first.
    pub fn last_ms(&self) -> u64 {
        match self {
            Self::Gateway(replay) => replay.last_ms,
            Self::Bank(replay) => replay.last_ms,
        }
    }

    /// Does this log hold what somebody remembers of it?
    pub fn holds(&self, witness: &Witness) -> bool {
        match self {
            Self::Gateway(replay) => replay.state.holds(witness),
            Self::Bank(replay) => replay.state.holds_record(witness),
        }
    }
}

impl Folded {
    /// Nothing is folded yet.
    pub fn new(source: &Source) -> Self {
        let is_bank = match source.service {
            Some(Service::Bank(_)) => true,
            Some(Service::Gateway | Service::Console) => false,
            None => first_kind(source).is_some_and(|kind| kind >= BANK_KINDS_FROM),
        };
        let state =
            if is_bank { State::Bank(Box::default()) } else { State::Gateway(Box::default()) };
        Self { state, cursor: Cursor::default() }
    }

    /// Folds on, through `to` or to the end.
    pub fn advance(&mut self, source: &Source, to: Option<Moment>) -> Result<(), Failure> {
        let Self { state, cursor } = self;
        let followed = follow(&source.disk(), cursor, |record, _| {
            // A stop in the middle of a batch leaves the cursor before it.
            if record.lsn <= state.last() {
                return Ok(());
            }
            let (lsn, wall_ms) = (record.lsn.get(), record.wall_ms);
            if to.is_some_and(|to| !to.reaches(lsn, wall_ms)) {
                return Err(Stop::Reached);
            }
            state.record(&record)
        });
        match followed {
            Ok(()) | Err(FollowError::Visitor(Stop::Reached)) => Ok(()),
            Err(FollowError::Visitor(Stop::Illegal(why))) => Err(source.unreadable(&why)),
            Err(FollowError::Read(error)) => Err(source.unreadable(&chain(&error))),
            Err(FollowError::Damaged(error)) => Err(source.unreadable(&chain(&error))),
        }
    }

    /// Folds one record more; the error says why it cannot be.
    pub fn record(&mut self, record: &Record<'_>) -> Result<(), String> {
        match self.state.record(record) {
            Err(Stop::Illegal(why)) => Err(why),
            Ok(()) | Err(Stop::Reached) => Ok(()),
        }
    }

    /// The log as it was at `at`, which must lie in it; without one, as it is.
    pub fn at(source: &Source, at: Option<Moment>) -> Result<Self, Failure> {
        let mut folded = Self::new(source);
        folded.advance(source, at)?;
        let last = folded.state.last();
        match at {
            None => drop(source.check(last)?),
            Some(Moment::Lsn(lsn)) if lsn > last.get() => {
                source.check(last)?;
                return Err(Failure::plain(
                    Exit::Usage,
                    format!("record {lsn} is not there: the log of {} ends at {last}", source.name),
                )
                .todo("See what is there: strife wal ls --last 20"));
            }
            Some(_) => {}
        }
        Ok(folded)
    }
}

fn first_kind(source: &Source) -> Option<u16> {
    let mut kind = None;
    let _ = follow(&source.disk(), &mut Cursor::default(), |record, _| {
        kind = Some(record.kind);
        Err::<(), ()>(())
    });
    kind
}
