//! What one event led to: facts to remember, actions to take, and which of them must wait.
//!
//! ```text
//!  event --> decide --> Step { facts, now, waiting }
//!                         |      |       '-- leaves when the facts are durable, for a wal::Durable
//!                         |      '---------- may leave at once
//!                         '----------------- evolve, and append to the log
//! ```
//!
//! The waiting list is private. [`Waiting::release`] is the only way out of it and wants the proof
//! that only a sync of the log can give, so "answered before fsync" does not compile.

use std::collections::BTreeMap;
use wal::{Durable, Lsn};

/// The consequence of one event for one machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step<F, A> {
    pub facts: Vec<F>,
    pub now: Vec<A>,
    waiting: Vec<A>,
}

impl<F, A> Step<F, A> {
    /// Nothing happens.
    pub fn nothing() -> Self {
        Self { facts: Vec::new(), now: Vec::new(), waiting: Vec::new() }
    }

    pub fn remember(facts: impl Into<Vec<F>>) -> Self {
        Self { facts: facts.into(), ..Self::nothing() }
    }

    pub fn act(actions: impl Into<Vec<A>>) -> Self {
        Self { now: actions.into(), ..Self::nothing() }
    }

    #[must_use]
    pub fn and_now(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        self.now.extend(actions);
        self
    }

    /// These leave once the facts of this step, and all before them, are durable.
    #[must_use]
    pub fn and_when_durable(mut self, actions: impl IntoIterator<Item = A>) -> Self {
        self.waiting.extend(actions);
        self
    }

    /// Is anything kept back?
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Trades proof of durability for the waiting actions, or gives the step back. `at` is the
    /// place of its last fact.
    pub fn release(self, at: Lsn, durable: &Durable) -> Result<Vec<A>, Self> {
        if durable.covers(at) { Ok(self.waiting) } else { Err(self) }
    }
}

/// The consequences of one turn of a service: many steps, one batch of the log.
#[derive(Debug)]
pub struct Turn<F, A> {
    /// To be appended, in order. They have been folded into the state already.
    pub facts: Vec<F>,
    /// To be done at once.
    pub now: Vec<A>,
    /// Somebody waits for these facts: sync without delay.
    pub urgent: bool,
    waiting: Vec<(Lsn, A)>,
}

impl<F, A> Default for Turn<F, A> {
    fn default() -> Self {
        Self { facts: Vec::new(), now: Vec::new(), urgent: false, waiting: Vec::new() }
    }
}

impl<F, A> Turn<F, A> {
    /// `action` leaves once the log is durable through `lsn`.
    pub fn after(&mut self, lsn: Lsn, action: A) {
        self.waiting.push((lsn, action));
    }

    /// Takes over a step of a machine below, its actions put into this layer's words. What waited
    /// there waits here for `lsn`; `translate` may ask for more patience, never for less.
    pub fn absorb<G, B>(
        &mut self,
        step: Step<G, B>,
        lsn: Lsn,
        mut translate: impl FnMut(B) -> (Lsn, Vec<A>),
    ) {
        for action in step.now {
            let (rests_on, actions) = translate(action);
            if rests_on == Lsn::ZERO {
                self.now.extend(actions);
            } else {
                self.waiting.extend(actions.into_iter().map(|action| (rests_on, action)));
            }
        }
        for action in step.waiting {
            let (rests_on, actions) = translate(action);
            let rests_on = rests_on.max(lsn);
            self.waiting.extend(actions.into_iter().map(|action| (rests_on, action)));
        }
    }
}

/// The clocks, as a shell reads them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Now {
    /// Milliseconds that never go back.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch. Stamps records; decides nothing.
    pub wall_ms: u64,
}

/// A whole service as a machine: one owner feeds it inputs, appends its facts and takes its
/// actions. The real shell and the simulation drive the same two machines this way.
pub trait Machine {
    type Fact: crate::record::Fact;
    type Input;
    type Action;

    /// What `input` means. Facts are folded at once and must be appended in order.
    fn handle(&mut self, input: Self::Input, now: Now, turn: &mut Turn<Self::Fact, Self::Action>);

    /// The input that says that time has passed.
    fn tick() -> Self::Input;

    /// A clean stop: the last facts of this start. Nothing is handled after it.
    fn close(&mut self, now: Now, turn: &mut Turn<Self::Fact, Self::Action>);

    /// When a tick is due at the latest, in monotonic milliseconds.
    fn wake_ms(&self) -> u64;

    /// Zero-filled bytes of log that can be written without asking the file system for space.
    fn set_room(&mut self, bytes: u64);

    /// The last record that is folded in: what the log's last must be once all is appended.
    fn last(&self) -> Lsn;
}

/// Actions of a service that rest on facts not yet durable.
#[derive(Clone, Debug)]
pub struct Waiting<A> {
    by_lsn: BTreeMap<Lsn, Vec<A>>,
}

impl<A> Default for Waiting<A> {
    fn default() -> Self {
        Self { by_lsn: BTreeMap::new() }
    }
}

impl<A> Waiting<A> {
    /// Takes over what a turn keeps back.
    pub fn keep<F>(&mut self, turn: &mut Turn<F, A>) {
        for (lsn, action) in turn.waiting.drain(..) {
            self.by_lsn.entry(lsn).or_default().push(action);
        }
    }

    /// The actions whose facts are durable, in the order of the log.
    pub fn release(&mut self, durable: &Durable) -> Vec<A> {
        let kept = self.by_lsn.split_off(&durable.lsn().next());
        let released = std::mem::replace(&mut self.by_lsn, kept);
        released.into_values().flatten().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.by_lsn.is_empty()
    }
}
