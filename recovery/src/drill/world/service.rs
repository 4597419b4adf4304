//! What the simulated world needs of a protocol: two machines that can be started from a log.
//!
//! Ours is [`Coordinator`] and [`Ledger`], as they serve. Another protocol that speaks the same
//! inputs and actions runs in the same world, and is judged by the same eyes.

use super::config::Config;
use crate::bank::{self, Ledger};
use crate::fact::{self, BankFact, GatewayFact};
use crate::gateway::{self, BankIndex, Coordinator, LinkStatus};
use crate::message::Hello;
use crate::model::{Epoch, Start, StartId};
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
    fn is_ready(&self, bank: BankIndex) -> bool;
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

    fn boot(state: gateway::State, config: &Config, now: Now) -> Self {
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

    fn is_ready(&self, bank: BankIndex) -> bool {
        matches!(self.link(bank).0, LinkStatus::Ready { .. })
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
