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
use crate::model::{AccountNumber, Decision, Epoch, GlobalId, Lineage, Start, StartId};
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
    /// Payments that are not over here.
    fn open(&self) -> Vec<GlobalId>;
}

/// One side of a protocol.
pub trait GatewayService:
    Service<Fact = GatewayFact, Input = gateway::Input, Action = gateway::Action>
{
    /// Does this protocol promise anything that can be seen before all is quiet? One that does not
    /// is judged by the money alone, when all is quiet.
    const PROMISES: bool;

    fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello;
    /// The start of a bank that this gateway was let in by, while it can be driven.
    fn greeted(&self, bank: BankIndex) -> Option<Start>;
    /// What an audit compares, if there is something.
    fn audited(state: &Self::State) -> Option<&gateway::State>;
}

/// The other side.
pub trait BankService:
    Service<Fact = BankFact, Input = bank::Input, Action = bank::Action>
{
    /// The start that this bank obeys, of the gateway `lineage`.
    fn obeys(&self, lineage: Lineage) -> Option<StartId>;
    /// Each account with its opening and its posted balance.
    fn accounts(state: &Self::State) -> Vec<(AccountNumber, [i64; 2])>;
    /// The first account from which more is promised than is there.
    fn overdrawn(&self) -> Option<AccountNumber>;
    /// What an audit compares, if there is something.
    fn audited(state: &Self::State) -> Option<&bank::State>;
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

    fn open(&self) -> Vec<GlobalId> {
        self.state().open.iter().copied().collect()
    }
}

impl GatewayService for Coordinator {
    const PROMISES: bool = true;

    fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello {
        self.hello(bank, durable_lsn)
    }

    fn greeted(&self, bank: BankIndex) -> Option<Start> {
        match self.link(bank).0 {
            LinkStatus::Ready { start } => *start,
            LinkStatus::Away { .. } => None,
        }
    }

    fn audited(state: &gateway::State) -> Option<&gateway::State> {
        Some(state)
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

    fn open(&self) -> Vec<GlobalId> {
        self.state().open.iter().copied().collect()
    }
}

impl BankService for Ledger {
    fn obeys(&self, lineage: Lineage) -> Option<StartId> {
        self.state().remembered(lineage).map(|fence| fence.start_id)
    }

    fn accounts(state: &bank::State) -> Vec<(AccountNumber, [i64; 2])> {
        let accounts = state.accounts.iter();
        accounts.map(|(number, kept)| (*number, [kept.opening_minor, kept.posted_minor])).collect()
    }

    fn overdrawn(&self) -> Option<AccountNumber> {
        let mut accounts = self.state().accounts.iter();
        let overdrawn = accounts.find(|(_, account)| {
            account.available_minor() < 0 || account.held_minor < 0 || account.incoming_minor < 0
        });
        overdrawn.map(|(number, _)| *number)
    }

    fn audited(state: &bank::State) -> Option<&bank::State> {
        Some(state)
    }
}

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
