//! What the report's services keep in SQLite: a fold of the same facts that ours log.

use crate::fact::{BankFact, GatewayFact};
use crate::gateway::BankIndex;
use crate::model::{
    AccountNumber, BankName, Cluster, Decision, Epoch, GlobalId, Lineage, Order, Reference, Side,
    Start, StartId, Terms,
};
use crate::record::Fact as _;
use crate::replay::{Fold, Illegal};
use std::collections::BTreeMap;
use wal::Lsn;

/// Who a directory is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Who {
    cluster: Option<Cluster>,
    lineage: Option<Lineage>,
    started: Option<(Epoch, StartId)>,
}

impl Who {
    pub(super) fn epoch(&self) -> Epoch {
        self.started.map_or(0, |(epoch, _)| epoch)
    }

    pub(super) fn start(&self) -> Option<Start> {
        let (epoch, start_id) = self.started?;
        Some(Start { cluster: self.cluster?, lineage: self.lineage?, epoch, start_id })
    }
}

/// A row of `processed_transactions`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Processed {
    pub(super) payment: GlobalId,
    pub(super) terms: Terms,
    pub(super) decision: Decision,
    pub(super) lsn: Lsn,
    pub(super) at_ms: u64,
}

/// `gateway_state.db`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Statuses {
    pub(super) who: Who,
    pub(super) banks: Vec<BankName>,
    pub(super) accounts: BTreeMap<AccountNumber, BankIndex>,
    /// The first half of a row: it is written in one transaction with the second.
    writing: Option<Order>,
    pub(super) processed: BTreeMap<Reference, Processed>,
    pub(super) last: Lsn,
}

impl Fold for Statuses {
    type Fact = GatewayFact;

    fn evolve(&mut self, fact: &GatewayFact, lsn: Lsn, wall_ms: u64) -> Result<(), Illegal> {
        match fact {
            GatewayFact::Initialised(fact) => {
                self.who.cluster = Some(fact.cluster);
                self.who.lineage = Some(fact.lineage);
            }
            GatewayFact::Started(fact) => self.who.started = Some((fact.epoch, fact.start_id)),
            GatewayFact::BankJoined(fact) => self.banks.push(fact.bank),
            GatewayFact::AccountListed(fact) => {
                let bank = self.banks.iter().position(|bank| *bank == fact.bank);
                self.accounts.insert(fact.account, bank.unwrap_or_default() as BankIndex);
            }
            GatewayFact::Began(fact) => self.writing = Some(fact.order.clone()),
            GatewayFact::Decided(decided) => {
                let why = || "a status without its payment".to_owned();
                let illegal = || Illegal { lsn, fact: fact.name(), why: why() };
                let Order { reference, terms, .. } = self.writing.take().ok_or_else(illegal)?;
                let (payment, decision) = (decided.payment, decided.decision);
                let row = Processed { payment, terms, decision, lsn, at_ms: wall_ms };
                self.processed.insert(reference, row);
            }
            _ => {}
        }
        self.last = lsn;
        Ok(())
    }
}

/// A row of a bank's `accounts`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    pub(super) opening_minor: i64,
    pub(super) balance_minor: i64,
}

/// `bank_<BANK>.db`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Balances {
    pub(super) who: Who,
    pub(super) bank: Option<BankName>,
    pub(super) accounts: BTreeMap<AccountNumber, Account>,
    /// The payment whose balances are written in this transaction.
    writing: Option<Order>,
    pub(super) last: Lsn,
}

impl Fold for Balances {
    type Fact = BankFact;

    fn evolve(&mut self, fact: &BankFact, lsn: Lsn, _wall_ms: u64) -> Result<(), Illegal> {
        match fact {
            BankFact::Founded(fact) => {
                self.who.cluster = Some(fact.cluster);
                self.who.lineage = Some(fact.lineage);
                self.bank = Some(fact.bank);
            }
            BankFact::BankStarted(fact) => self.who.started = Some((fact.epoch, fact.start_id)),
            BankFact::AccountOpened(fact) => {
                let opening_minor = fact.opening_minor;
                let account = Account { opening_minor, balance_minor: opening_minor };
                self.accounts.insert(fact.account, account);
            }
            BankFact::Held(fact) => self.writing = Some(fact.order.clone()),
            BankFact::Posted(_) => self.apply(),
            _ => {}
        }
        self.last = lsn;
        Ok(())
    }
}

impl Balances {
    fn apply(&mut self) {
        let Some((order, bank)) = self.writing.take().zip(self.bank) else { return };
        let amount = order.terms.amount.minor();
        for side in order.sides_at(bank) {
            if let Some(account) = self.accounts.get_mut(&order.account(side)) {
                account.balance_minor += if side == Side::Debit { -amount } else { amount };
            }
        }
    }
}
