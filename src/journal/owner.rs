//! The one owner of a service's state, as a loop.
//!
//! A turn: drain the queue, run the machine for each input, hand one batch to the journal, do what
//! may be done at once, and release what became durable. Group commit is this loop and nothing
//! more. There are no locks around the state, because nobody else has it.

use super::{Clock, Journal};
use crate::crash;
use recovery::drill::point::{Moment, Point};
use recovery::record::{self, Encoded};
use recovery::step::{Machine, Turn, Waiting};
use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;
use wal::{Durable, Lsn};

/// Inputs taken into one turn at most, so that answers do not wait for an endless queue.
const TURN_INPUTS_MAX: usize = 1_024;

/// How long a message may take to the wire before a crash point behind it strikes.
const SEND_GRACE: Duration = Duration::from_millis(30);

/// A machine without deadlines is looked at this often.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// What reaches the owner.
pub enum Mail<R> {
    /// From callers and links.
    Request(R),
    /// From the journal.
    Durable(Durable),
    /// Finish what is queued and end.
    Close,
}

/// Where to write to an owner.
pub struct Mailbox<R>(Sender<Mail<R>>);

impl<R> Clone for Mailbox<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Mailbox<R> {
    pub fn new() -> (Self, Receiver<Mail<R>>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// `false` when the owner is gone: the service is stopping.
    pub fn send(&self, request: R) -> bool {
        self.0.send(Mail::Request(request)).is_ok()
    }

    pub fn durable(&self, durable: Durable) {
        let _ = self.0.send(Mail::Durable(durable));
    }

    pub fn close(&self) {
        let _ = self.0.send(Mail::Close);
    }
}

/// The service around a machine: it turns requests into inputs and does what actions say.
pub trait Shell<M: Machine> {
    type Request;

    /// The machine's input for a request; `None` when the shell answered it alone.
    fn receive(&mut self, request: Self::Request, machine: &M) -> Option<M::Input>;

    /// The crash points that `facts` are at this moment.
    fn fact_points(moment: Moment, facts: &[M::Fact]) -> Vec<Point>;

    /// The crash point behind `action`.
    fn action_point(action: &M::Action) -> Option<Point>;

    /// A transition, for the log at `debug`.
    fn note(&self, _fact: &M::Fact, _lsn: Lsn) {}

    /// Facts that were just remembered, the first of them at `first`: for the figures.
    fn count(&mut self, _facts: &[M::Fact], _first: Lsn) {}

    fn act(&mut self, action: M::Action, machine: &M);

    /// The turn is over: what was gathered for one receiver may leave as one message.
    fn flush(&mut self, durable: Lsn, machine: &M);
}

/// A machine, its shell and its journal.
pub struct Owner<M: Machine, S> {
    machine: M,
    shell: S,
    journal: Journal,
    clock: Clock,
    waiting: Waiting<M::Action>,
    durable: Durable,
    /// Appended, not yet durable; gathered only while a crash point is armed.
    watched: VecDeque<(Lsn, M::Fact)>,
}

impl<M: Machine, S: Shell<M>> Owner<M, S> {
    pub fn new(machine: M, shell: S, journal: Journal, clock: Clock, durable: Durable) -> Self {
        Self {
            machine,
            shell,
            journal,
            clock,
            waiting: Waiting::default(),
            durable,
            watched: VecDeque::new(),
        }
    }

    /// Runs until the mailbox is closed. Gives the machine back when all is on disk.
    pub fn run(mut self, mail: &Receiver<Mail<S::Request>>) -> M {
        loop {
            let first = match mail.recv_timeout(self.patience()) {
                Ok(mail) => Some(mail),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut turn = Turn::default();
            let mut open = true;
            self.machine.set_room(self.journal.room_bytes());
            let more = mail.try_iter().take(TURN_INPUTS_MAX);
            for mail in first.into_iter().chain(more) {
                match mail {
                    Mail::Request(request) => self.take(request, &mut turn),
                    Mail::Durable(durable) => self.durable = durable,
                    Mail::Close => open = false,
                }
            }
            if open {
                self.pass_time(&mut turn);
            } else {
                self.machine.close(self.clock.now(), &mut turn);
            }
            self.finish(turn);
            if !open {
                break;
            }
        }
        let Self { machine, journal, .. } = self;
        drop(journal);
        machine
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.machine.wake_ms().saturating_sub(self.clock.mono_ms()))
            .min(PATIENCE_MAX)
    }

    fn take(&mut self, request: S::Request, turn: &mut Turn<M::Fact, M::Action>) {
        if let Some(input) = self.shell.receive(request, &self.machine) {
            self.machine.handle(input, self.clock.now(), turn);
        }
    }

    fn pass_time(&mut self, turn: &mut Turn<M::Fact, M::Action>) {
        let now = self.clock.now();
        if self.machine.wake_ms() <= now.mono_ms {
            self.machine.handle(M::tick(), now, turn);
        }
    }

    fn finish(&mut self, mut turn: Turn<M::Fact, M::Action>) {
        if !turn.facts.is_empty() {
            let first = Lsn::new(self.machine.last().get() + 1 - turn.facts.len() as u64);
            self.watch(first, &turn.facts);
            self.shell.count(&turn.facts, first);
            if tracing::enabled!(tracing::Level::DEBUG) {
                for (lsn, fact) in (first.get()..).map(Lsn::new).zip(&turn.facts) {
                    self.shell.note(fact, lsn);
                }
            }
            let records: Vec<Encoded> = turn.facts.iter().map(record::encode).collect();
            let wall_ms = super::wall_ms();
            let appended = self.journal.append(first, wall_ms, records, turn.urgent);
            appended.expect("the journal outlives its owner");
        }
        self.waiting.keep(&mut turn);
        for action in turn.now.drain(..) {
            self.act(action);
        }
        self.see_durable();
        for action in self.waiting.release(&self.durable) {
            self.act(action);
        }
        self.shell.flush(self.durable.lsn(), &self.machine);
    }

    fn act(&mut self, action: M::Action) {
        let point = if crash::armed() { S::action_point(&action) } else { None };
        self.shell.act(action, &self.machine);
        if let Some(point) = point.filter(|point| crash::is_armed(point.name())) {
            // The point is behind the action: it must be on the wire when the process dies.
            self.shell.flush(self.durable.lsn(), &self.machine);
            std::thread::sleep(SEND_GRACE);
            crash::point(point.name());
        }
    }

    /// Remembers appended facts for the crash points at their becoming durable.
    fn watch(&mut self, first: Lsn, facts: &[M::Fact]) {
        if !crash::armed() {
            return;
        }
        for point in S::fact_points(Moment::Appended, facts) {
            crash::point(point.name());
        }
        let placed = (first.get()..).map(Lsn::new).zip(facts.iter().cloned());
        self.watched.extend(placed);
    }

    fn see_durable(&mut self) {
        let durable = self.durable.lsn();
        let count = self.watched.iter().take_while(|(lsn, _)| *lsn <= durable).count();
        let facts: Vec<_> = self.watched.drain(..count).map(|(_, fact)| fact).collect();
        for point in S::fact_points(Moment::Durable, &facts) {
            crash::point(point.name());
        }
    }
}
