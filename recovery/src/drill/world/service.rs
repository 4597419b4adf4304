//! What the simulated world needs of a protocol: two machines that can be started from a log.
//!
//! Ours is [`Coordinator`] and [`Ledger`], as they serve. Another protocol that speaks the same
//! inputs and actions runs in the same world, and is judged by the same eyes.

use super::config::Config;
use crate::bank::{self, Ledger};
use crate::drill::mutant::{self, Mutant};
use crate::fact::{self, BankFact, GatewayFact};
use crate::gateway::{self, BankIndex, Coordinator, LinkStatus};
use crate::message::Hello;
use crate::model::{Decision, Epoch, GlobalId, Start, StartId};
use crate::replay::Fold;
use crate::step::{Machine, Now};

/// A machine that is started from the fold of its log.
pub trait Service: Machine {
    type State: Fold<Fact = Self::Fact> + Clone + PartialEq;

    fn boot(state: Self::State, config: &Config, now: Now) -> Self;
    fn state(&self) -> &Self::State;
    fn epoch(state: &Self::State) -> Epoch;
    fn started(epoch: Epoch, start_id: StartId) -> Self::Fact;
    fn start(&self) -> Start;
}

/// One side of a protocol.
pub trait GatewayService:
    Service<
        Fact = GatewayFact,
        Input = gateway::Input,
        Action = gateway::Action,
        State = gateway::State,
    >
{
    fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello;
    /// The start of a bank that this gateway was let in by, while it can be driven.
    fn greeted(&self, bank: BankIndex) -> Option<Start>;
}

/// The other side.
pub trait BankService:
    Service<Fact = BankFact, Input = bank::Input, Action = bank::Action, State = bank::State>
{
}

/// A version that started, as far as a simulated log is concerned.
const VERSION: &str = "simulated";

impl Service for Coordinator {
    type State = gateway::State;

    fn boot(mut state: gateway::State, config: &Config, now: Now) -> Self {
        if mutant::is(Mutant::CompactedCommit) {
            compact(&mut state);
        }
        Self::new(state, config.gateway, now)
    }

    fn state(&self) -> &gateway::State {
        self.state()
    }

    fn epoch(state: &gateway::State) -> Epoch {
        state.epoch()
    }

    fn started(epoch: Epoch, start_id: StartId) -> GatewayFact {
        fact::Started { epoch, start_id, version: VERSION.into() }.into()
    }

    fn start(&self) -> Start {
        self.start()
    }
}

impl GatewayService for Coordinator {
    fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello {
        self.hello(bank, durable_lsn)
    }

    fn greeted(&self, bank: BankIndex) -> Option<Start> {
        match self.link(bank).0 {
            LinkStatus::Ready { start } => *start,
            LinkStatus::Away { .. } => None,
        }
    }
}

impl Service for Ledger {
    type State = bank::State;

    fn boot(state: bank::State, config: &Config, now: Now) -> Self {
        Self::new(state, config.bank, now)
    }

    fn state(&self) -> &bank::State {
        self.state()
    }

    fn epoch(state: &bank::State) -> Epoch {
        state.epoch()
    }

    fn started(epoch: Epoch, start_id: StartId) -> BankFact {
        fact::BankStarted { epoch, start_id, version: VERSION.into() }.into()
    }

    fn start(&self) -> Start {
        self.start()
    }
}

impl BankService for Ledger {}

/// Forgets what is decided, as if that were all that matters.
fn compact(state: &mut gateway::State) {
    let decided =
        |payment: &GlobalId| state.payments[payment].payment.decision() == Some(Decision::Commit);
    let decided: Vec<_> = state.open.iter().copied().filter(decided).collect();
    for payment in decided {
        state.open.remove(&payment);
        state.payments.remove(&payment);
        state.by_reference.retain(|_, known| *known != payment);
    }
}
