//! One process: a real machine, what it has written, and how much of that is durable.
//!
//! ```text
//!   durable (a fold) | pending: written, not synced | the machine: both, folded
//!   crash(keep)      '--- any first part of it is kept, the rest is lost
//! ```

use super::scenario::{BEGINNING_MS, now};
use recovery::bank::{self, Ledger};
use recovery::fact::{self, BankFact, GatewayFact};
use recovery::gateway::{self, Coordinator};
use recovery::model::{Epoch, StartId};
use recovery::record;
use recovery::replay::{Fold, Replay};
use recovery::step::{Machine, Turn, Waiting};
use std::fmt::Debug;
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wal::{Durable, Lsn};

/// A state that a machine begins from, and what its start writes.
pub(super) trait Journal: Fold + Clone + Debug {
    fn last(&self) -> Lsn;
    fn epoch(&self) -> Epoch;
    fn started(epoch: Epoch) -> Self::Fact;
}

impl Journal for gateway::State {
    fn last(&self) -> Lsn {
        self.last
    }
    fn epoch(&self) -> Epoch {
        self.epoch()
    }
    fn started(epoch: Epoch) -> GatewayFact {
        let start_id = StartId([epoch as u8; 16]);
        fact::Started { epoch, start_id, version: "1".into() }.into()
    }
}

impl Journal for bank::State {
    fn last(&self) -> Lsn {
        self.last
    }
    fn epoch(&self) -> Epoch {
        self.epoch()
    }
    fn started(epoch: Epoch) -> BankFact {
        let start_id = StartId([100 + epoch as u8; 16]);
        fact::BankStarted { epoch, start_id, version: "1".into() }.into()
    }
}

pub(super) struct Process<M: Machine, S> {
    pub(super) machine: M,
    pub(super) durable: S,
    durable_print: u128,
    pub(super) pending: Vec<M::Fact>,
    pub(super) clock_ms: u64,
    waiting: Waiting<M::Action>,
}

pub(super) type Gateway = Process<Coordinator, gateway::State>;
pub(super) type Bank = Process<Ledger, bank::State>;

impl<M: Machine + Clone, S: Clone> Clone for Process<M, S>
where
    M::Action: Clone,
{
    fn clone(&self) -> Self {
        Self {
            machine: self.machine.clone(),
            durable: self.durable.clone(),
            durable_print: self.durable_print,
            pending: self.pending.clone(),
            clock_ms: self.clock_ms,
            waiting: self.waiting.clone(),
        }
    }
}

/// Reads a fact back from the bytes that the log would hold, as a restart does.
fn replay<S: Journal>(state: &mut S, fact: &S::Fact) -> Result<(), String> {
    let bytes = record::encode(fact);
    let (kind, kind_version) = (bytes.kind, bytes.kind_version);
    let (lsn, payload) = (state.last().next(), &bytes.payload[..]);
    let mut replay = Replay { state: std::mem::take(state), ..Replay::default() };
    let record = wal::Record { lsn, wall_ms: 0, kind, kind_version, payload };
    replay.record(&record).map_err(|error| format!("the log cannot be folded: {error}"))?;
    *state = replay.state;
    Ok(())
}

/// The fold of a log that is whole.
pub(super) fn fold_all<S: Journal>(facts: &[S::Fact]) -> S {
    let mut state = S::default();
    for fact in facts {
        replay(&mut state, fact).expect("a log that was just made");
    }
    state
}

impl<M, S> Process<M, S>
where
    M: Machine + Clone + Debug,
    M::Action: Clone + Debug,
    S: Journal<Fact = M::Fact>,
{
    /// Starts on what is durable; the start itself is durable before anything else happens.
    pub(super) fn start(mut durable: S, boot: impl FnOnce(S) -> M) -> Self {
        let started = S::started(durable.epoch() + 1);
        replay(&mut durable, &started).expect("a start follows anything");
        let (machine, durable_print) = (boot(durable.clone()), print(&durable));
        let (pending, clock_ms, waiting) = (Vec::new(), BEGINNING_MS, Waiting::default());
        Self { machine, durable, durable_print, pending, clock_ms, waiting }
    }

    /// One input; the actions that may leave, or what the machine failed at. `is_early` lets go
    /// what a broken rule does not keep.
    pub(super) fn feed(
        &mut self,
        input: M::Input,
        is_early: impl Fn(&M::Action) -> bool,
    ) -> Result<Vec<M::Action>, String> {
        let mut turn = Turn::default();
        let (machine, now) = (&mut self.machine, now(self.clock_ms));
        let handled = AssertUnwindSafe(|| machine.handle(input, now, &mut turn));
        catch_unwind(handled).map_err(|_| "an assertion of the machine's own fails".to_owned())?;
        self.pending.append(&mut turn.facts);
        self.waiting.keep(&mut turn);
        let mut leaving = turn.now;
        leaving.extend(self.release());
        let early = self.waiting.clone().release(&Durable::forged(self.machine.last()));
        leaving.extend(early.into_iter().filter(is_early));
        Ok(leaving)
    }

    /// Would a sync let anything leave?
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Does an action of this name wait for a sync?
    pub(super) fn keeps_back(&self, name: &str) -> bool {
        self.waits() && format!("{:?}", self.waiting).contains(name)
    }

    fn release(&mut self) -> Vec<M::Action> {
        self.waiting.release(&Durable::forged(self.durable.last()))
    }

    pub(super) fn sync(&mut self) -> Result<Vec<M::Action>, String> {
        for fact in std::mem::take(&mut self.pending) {
            replay(&mut self.durable, &fact)?;
        }
        self.durable_print = print(&self.durable);
        assert_eq!(self.durable.last(), self.machine.last(), "the log and its fold agree");
        Ok(self.release())
    }

    /// The log that a crash leaves behind: what was durable, and the first `keep` of the rest.
    pub(super) fn left_behind(&self, keep: usize) -> Result<S, String> {
        let mut left = self.durable.clone();
        for fact in &self.pending[..keep] {
            replay(&mut left, fact)?;
        }
        Ok(left)
    }

    pub(super) fn durable_print(&self) -> u128 {
        self.durable_print
    }

    /// Two processes with one print behave alike for ever: it covers every field of everything.
    pub(super) fn print(&self) -> u128 {
        let Self { machine, durable_print, pending, clock_ms, waiting, .. } = self;
        print(&(durable_print, pending, machine, waiting, clock_ms))
    }
}

/// A hash of all that `Debug` shows, so that no type needs to be hashed in a way of its own.
pub(super) fn print(value: &impl Debug) -> u128 {
    use std::fmt::Write as _;
    const ROOM_BYTES: usize = 1 << 14;
    let mut text = String::with_capacity(ROOM_BYTES);
    write!(text, "{value:?}").expect("a string takes all");
    let mut print = Print::default();
    Hasher::write(&mut print, text.as_bytes());
    print.finish()
}

/// 128 bits from two multiplications a word. Collisions are a matter of chance: 10^-20 for a
/// billion states.
#[derive(Clone)]
pub(super) struct Print(u64, u64);

impl Default for Print {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Print {
    pub(super) fn word(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word, 0x9e37_79b9_7f4a_7c15);
        self.1 = fold(self.1 ^ word.rotate_left(32), 0xc2b2_ae3d_27d4_eb4f) ^ self.0;
    }

    pub(super) fn finish(&self) -> u128 {
        u128::from(fold(self.0, 0xff51_afd7_ed55_8ccd)) << 64 | u128::from(self.1)
    }
}

impl Hasher for Print {
    fn finish(&self) -> u64 {
        self.1
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        self.word(bytes.len() as u64);
    }
}
