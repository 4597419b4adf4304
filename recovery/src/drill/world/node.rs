//! One simulated process on its disk: the same turn that the real shell takes.
//!
//! ```text
//!   input -> machine -> facts -> log (memory) -> sync -> Durable -> waiting actions
//!                    '-> actions that may leave at once
//! ```
//!
//! Beside the process stands its ghost: all facts that were ever durable. A process that starts
//! without one of them has lost what it promised to keep.

use super::config::Config;
use super::service::Service;
use super::setup;
use crate::drill::point::Trap;
use crate::model::{Lineage, StartId};
use crate::record::{self, Fact as _};
use crate::replay::{Fold, Replay, ReplayError};
use crate::step::{Now, Turn, Waiting};
use wal::{AppendError, CrashDisk, DiskImage, Durable, Log, Lsn, OpenError, Options};

/// Facts of a rebuilt log's first batch. The rest follow in batches of their own.
const FIRST_FACTS_MAX: usize = 20;

/// A running service.
pub(super) struct Process<M: Service> {
    pub(super) machine: M,
    pub(super) log: Log<CrashDisk>,
    pub(super) waiting: Waiting<M::Action>,
    pub(super) durable: Durable,
    /// Appended and not durable.
    pub(super) appended: Vec<M::Fact>,
    /// When the next sync is due, in the world's time.
    pub(super) sync_ms: Option<u64>,
    pub(super) tick_ms: u64,
    /// The world's time at which this process' clock was 1.
    born_ms: u64,
}

/// Why a node is not running.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Down {
    /// It will be started.
    Waiting,
    /// It said that it must not run. A person has to see to it.
    Refused,
}

pub(super) struct Node<M: Service> {
    pub(super) disk: CrashDisk,
    pub(super) process: Option<Process<M>>,
    pub(super) down: Down,
    /// Counts starts; what was sent to an earlier one is not heard by a later one.
    pub(super) incarnation: u64,
    pub(super) trap: Option<Trap>,
    pub(super) slow_until_ms: u64,
    pub(super) wall_ms: u64,
    /// Every fact that was ever durable here.
    pub(super) ghost: Vec<M::Fact>,
    /// What is on the disk was put there by an operator, and is yet to be believed.
    pub(super) swapped: bool,
    /// What was durable before an operator put something else in its place.
    pub(super) ghost_aside: Option<Vec<M::Fact>>,
    /// All starts that ran here.
    pub(super) starts: Vec<StartId>,
}

/// Why a node did not start.
pub(super) enum NotStarted {
    /// The disk failed it; it may be tried again.
    Died,
    /// Its log is damaged, and it said so.
    Damaged(OpenError),
    /// Somebody else has the directory.
    Locked,
    /// It lost what was durable, or cannot read what it wrote.
    Broken(String),
}

/// What a turn led to.
pub(super) struct Fed<M: Service> {
    pub(super) facts: Vec<M::Fact>,
    pub(super) now: Vec<M::Action>,
    pub(super) urgent: bool,
}

impl<M: Service> Node<M> {
    pub(super) fn new(disk: CrashDisk, wall_ms: u64) -> Self {
        Self {
            disk,
            process: None,
            down: Down::Waiting,
            incarnation: 0,
            trap: None,
            slow_until_ms: 0,
            wall_ms,
            ghost: Vec::new(),
            swapped: false,
            ghost_aside: None,
            starts: Vec::new(),
        }
    }

    /// Reads the log, begins an epoch, and says which facts became durable by that.
    pub(super) fn start(
        &mut self,
        config: &Config,
        start_id: StartId,
        now_ms: u64,
    ) -> Result<Vec<M::Fact>, NotStarted> {
        let options = Options { segment_bytes: config.segment_bytes };
        let opened = wal::open(self.disk.clone(), options, None).map_err(refused)?;
        let mut replay = Replay::<M::State>::default();
        let mut facts = Vec::new();
        let visited = opened.replay(|record, _| {
            replay.record(&record)?;
            facts.push(record::decode::<M::Fact>(&record).expect("it was folded"));
            Ok::<_, ReplayError>(())
        });
        visited.map_err(|error| match error {
            wal::ReplayError::Log(error) => refused(error),
            wal::ReplayError::Visitor(error) => NotStarted::Broken(told(&error)),
        })?;
        if self.swapped {
            self.ghost.clone_from(&facts);
        }
        self.holds_ghost(&facts)?;
        let epoch = M::epoch(&replay.state) + 1;
        let started = M::started(epoch, start_id);
        let encoded = record::encode(&started);
        let wall_ms = self.wall_ms + now_ms;
        let (log, durable) = opened.begin(epoch, encoded.entry(wall_ms)).map_err(refused)?;
        let mut state = replay.state;
        let folded = state.evolve(&started, durable.lsn(), wall_ms);
        folded.map_err(|illegal| NotStarted::Broken(illegal.to_string()))?;
        facts.push(started);
        let born_ms = now_ms;
        let now = Now { mono_ms: 1, wall_ms };
        let machine = M::boot(state, config, now);
        self.incarnation += 1;
        self.starts.push(start_id);
        self.process = Some(Process {
            machine,
            log,
            waiting: Waiting::default(),
            durable,
            appended: Vec::new(),
            sync_ms: None,
            tick_ms: now_ms,
            born_ms,
        });
        Ok(facts.split_off(self.ghost.len()))
    }

    /// Is everything that was durable still there, as it was?
    fn holds_ghost(&self, facts: &[M::Fact]) -> Result<(), NotStarted> {
        let same = self.ghost.iter().zip(facts).take_while(|(was, is)| was == is).count();
        match self.ghost.get(same) {
            None => Ok(()),
            Some(fact) => Err(NotStarted::Broken(format!(
                "durable record {} ({}) is lost or changed",
                same + 1,
                fact.name()
            ))),
        }
    }

    pub(super) fn now(&self, now_ms: u64) -> Now {
        let born_ms = self.process.as_ref().map_or(now_ms, |process| process.born_ms);
        Now { mono_ms: now_ms - born_ms + 1, wall_ms: self.wall_ms + now_ms }
    }

    /// One input, one turn. Its facts lie in the log's memory when this returns.
    pub(super) fn feed(&mut self, input: M::Input, now_ms: u64, roomy: bool) -> Option<Fed<M>> {
        let now = self.now(now_ms);
        let process = self.process.as_mut()?;
        if !roomy {
            process.machine.set_room(process.log.room());
        }
        let mut turn = Turn::default();
        process.machine.handle(input, now, &mut turn);
        for fact in &turn.facts {
            let appended = process.log.append(record::encode(fact).entry(now.wall_ms));
            appended.expect("a fact fits a record");
        }
        assert_eq!(process.log.next_lsn(), process.machine.last().next(), "numbered alike");
        process.appended.extend(turn.facts.iter().cloned());
        process.waiting.keep(&mut turn);
        Some(Fed { facts: turn.facts, now: turn.now, urgent: turn.urgent })
    }

    /// Makes all durable: the facts that became so, in order.
    pub(super) fn sync(&mut self) -> Result<Vec<M::Fact>, AppendError> {
        let Some(process) = &mut self.process else { return Ok(Vec::new()) };
        process.sync_ms = None;
        process.durable = process.log.sync()?.durable;
        let covered = process.machine.last() == process.durable.lsn();
        assert!(covered, "a sync makes all durable");
        Ok(std::mem::take(&mut process.appended))
    }

    /// What waited for what is durable.
    pub(super) fn released(&mut self, is_early: fn(&M::Action) -> bool) -> Vec<M::Action> {
        let Some(process) = &mut self.process else { return Vec::new() };
        #[cfg(feature = "mutants")]
        let early = process.release_early(is_early);
        #[cfg(not(feature = "mutants"))]
        let (early, _) = (Vec::new(), is_early);
        let mut released = process.waiting.release(&process.durable);
        released.extend(early);
        released
    }

    /// When the machine wants to be told that time has passed, in the world's time.
    pub(super) fn wake_ms(&self) -> Option<u64> {
        let process = self.process.as_ref()?;
        let wake = process.machine.wake_ms();
        (wake < u64::MAX).then(|| process.born_ms + wake.saturating_sub(1))
    }

    /// A start that serves nobody, and what `facts` makes of the state that it finds.
    pub(super) fn append_offline(
        &mut self,
        config: &Config,
        start_id: StartId,
        facts: impl FnOnce(&M::State) -> Vec<M::Fact>,
    ) -> Result<M::State, String> {
        let told = |error: &dyn std::error::Error| told(error);
        let mut state = self.replayed()?;
        let options = Options { segment_bytes: config.segment_bytes };
        let opened = wal::open(self.disk.clone(), options, None).map_err(|error| told(&error))?;
        opened.replay(|_, _| Ok::<_, ReplayError>(())).map_err(|error| told(&error))?;
        let epoch = M::epoch(&state) + 1;
        let started = M::started(epoch, start_id);
        let begun = opened.begin(epoch, record::encode(&started).entry(self.wall_ms));
        let (mut log, durable) = begun.map_err(|error| told(&error))?;
        let mut lsn = durable.lsn();
        state.evolve(&started, lsn, self.wall_ms).map_err(|error| told(&error))?;
        for fact in facts(&state) {
            lsn = lsn.next();
            state.evolve(&fact, lsn, self.wall_ms).map_err(|error| told(&error))?;
            let entry = record::encode(&fact);
            log.append(entry.entry(self.wall_ms)).map_err(|error| told(&error))?;
        }
        log.sync().map_err(|error| told(&error))?;
        Ok(state)
    }

    /// Everything that the log says, while nobody runs on it.
    pub(super) fn read_offline(&self) -> Result<Vec<M::Fact>, String> {
        let mut facts = Vec::new();
        let mut cursor = wal::read::Cursor::default();
        let read = wal::read::follow(&self.disk, &mut cursor, |record, _| {
            facts.push(record::decode::<M::Fact>(&record)?);
            Ok::<_, record::DecodeError>(())
        });
        read.map_err(|error| told(&error))?;
        Ok(facts)
    }

    /// What is left is `empty`; a log is made there that says `facts` and nothing else.
    pub(super) fn make(
        &mut self,
        config: &Config,
        empty: &DiskImage,
        birth: (Lineage, u8),
        first: Lsn,
        start_id: StartId,
        mut facts: Vec<M::Fact>,
    ) -> Result<(), String> {
        let (lineage, node) = birth;
        self.disk.restore(empty);
        self.swapped = true;
        let rest = facts.split_off(facts.len().min(FIRST_FACTS_MAX));
        let made = setup::found(&self.disk, lineage, node, first, &facts);
        made.map_err(|error| told(&error))?;
        if !rest.is_empty() {
            self.append_offline(config, start_id, |_| rest)?;
        }
        Ok(())
    }

    /// The state that a start would find now, were the process stopped.
    pub(super) fn replayed(&mut self) -> Result<M::State, String> {
        self.process = None;
        let opened = wal::open(self.disk.clone(), Options::default(), None);
        let opened = opened.map_err(|error| told(&error))?;
        let mut replay = Replay::<M::State>::default();
        opened.replay(|record, _| replay.record(&record)).map_err(|error| told(&error))?;
        Ok(replay.state)
    }
}

#[cfg(feature = "mutants")]
impl<M: Service> Process<M> {
    /// What a broken rule lets go before its facts are durable.
    fn release_early(&mut self, is_early: fn(&M::Action) -> bool) -> Vec<M::Action> {
        let safe = self.waiting.release(&self.durable);
        let all = self.waiting.release(&Durable::forged(wal::Lsn::new(u64::MAX - 1)));
        let (early, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(is_early);
        let mut turn = Turn::<M::Fact, M::Action>::default();
        for action in kept {
            turn.after(self.machine.last(), action);
        }
        self.waiting.keep(&mut turn);
        safe.into_iter().chain(early).collect()
    }
}

fn refused(error: OpenError) -> NotStarted {
    match error {
        OpenError::Io(_) | OpenError::NoSpace { .. } => NotStarted::Died,
        OpenError::Locked { .. } => NotStarted::Locked,
        error => NotStarted::Damaged(error),
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}
