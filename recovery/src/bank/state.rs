//! A bank's state: the fold of its journal.
//!
//! [`State::evolve`] is the only function that changes it, in a replay as in live traffic.

use crate::drill::mutant::{self, Mutant};
use crate::fact::{self, BankFact};
use crate::hold;
use crate::model::{
    AccountNumber, BankName, ClientId, Cluster, Currency, Decision, Epoch, GlobalId, Heard,
    HoldState, Lineage, Order, Reason, Side, Start, StartId, Witness,
};
use crate::record::Fact as _;
use crate::replay::{Fold, Illegal};
use crate::witness::{self, Written};
use std::collections::{BTreeMap, BTreeSet};
use wal::Lsn;

/// An account and what is set aside on it, in minor units.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub owner: ClientId,
    pub currency: Currency,
    pub opening_minor: i64,
    pub posted_minor: i64,
    /// Debits held, not posted.
    pub held_minor: i64,
    /// Credits held, not posted. Nobody may spend them.
    pub incoming_minor: i64,
}

impl Account {
    /// What can be spent.
    pub fn available_minor(&self) -> i64 {
        self.posted_minor - self.held_minor
    }
}

/// A payment at this bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    pub state: HoldState,
    /// The whole payment, while its outcome is unknown.
    pub order: Option<Box<Order>>,
    pub lsn: Lsn,
    pub held_ms: u64,
}

/// The one start of a gateway that may command here.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    pub epoch: Epoch,
    pub start_id: StartId,
    /// How far that start's log is known to be durable.
    pub lsn: u64,
}

/// What the log says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub cluster: Option<Cluster>,
    pub lineage: Option<Lineage>,
    pub bank: Option<BankName>,
    pub starts: Vec<Written>,
    pub accounts: BTreeMap<AccountNumber, Account>,
    pub holds: BTreeMap<GlobalId, Hold>,
    /// Held: the outcome is unknown here.
    pub open: BTreeSet<GlobalId>,
    /// Gateways that may command, by data directory; `None` before their first Hello.
    pub fences: BTreeMap<Lineage, Option<Fence>>,
    /// Decided by hand, and told here. Outlives what is forgotten.
    pub forced: BTreeMap<GlobalId, Decision>,
    /// Per origin: everything through this payment is over on all sides.
    pub forgotten: BTreeMap<u64, GlobalId>,
    pub last: Lsn,
    /// Did the last start stop cleanly?
    pub stopped: bool,
}

impl Fold for State {
    type Fact = BankFact;

    fn evolve(&mut self, fact: &BankFact, lsn: Lsn, wall_ms: u64) -> Result<(), Illegal> {
        let illegal = |why: String| Illegal { lsn, fact: fact.name(), why };
        // A log says itself at which number it begins; the others follow without a gap.
        let first = self.last == Lsn::ZERO && fact.begins_a_log();
        if lsn != self.last.next() && !first {
            return Err(illegal(format!("the record before it is {}", self.last)));
        }
        self.apply(fact, lsn, wall_ms).map_err(illegal)?;
        self.last = lsn;
        Ok(())
    }
}

impl State {
    fn apply(&mut self, fact: &BankFact, lsn: Lsn, wall_ms: u64) -> Result<(), String> {
        self.stopped = false;
        match fact {
            BankFact::Founded(fact) => {
                if self.lineage.is_some() {
                    return Err("the journal has an identity already".into());
                }
                self.cluster = Some(fact.cluster);
                self.lineage = Some(fact.lineage);
                self.bank = Some(fact.bank);
                self.fences.insert(fact.gateway, None);
            }
            BankFact::BankStarted(fact) => {
                let before = self.epoch();
                if fact.epoch <= before {
                    return Err(format!("epoch {} follows epoch {before}", fact.epoch));
                }
                let (start_id, epoch) = (fact.start_id, fact.epoch);
                self.starts.push(Written { start_id, epoch, first: lsn });
            }
            BankFact::BankStopped(_) => self.stopped = true,
            BankFact::AccountOpened(fact) => self.open_account(fact)?,
            BankFact::Fenced(fact) => self.fence(fact)?,
            BankFact::GatewayReplaced(fact) => {
                self.fences.remove(&fact.old).ok_or("a gateway that was not admitted")?;
                self.fences.entry(fact.new).or_insert(None);
            }
            // What it put back is in the journal, and was folded where it stands.
            BankFact::JournalMended(_) => {}
            BankFact::Held(fact) => {
                let order = &fact.order;
                self.step(fact.payment, hold::Fact::Held, fact.heard)?;
                self.set_aside(order)?;
                let held = Hold {
                    state: HoldState::Held,
                    order: Some(Box::new(order.clone())),
                    lsn,
                    held_ms: wall_ms,
                };
                self.holds.insert(fact.payment, held);
                self.open.insert(fact.payment);
            }
            BankFact::Refused(fact) => {
                let refused = hold::Fact::Refused(fact.reason);
                self.finish(fact.payment, refused, fact.heard, lsn)?;
            }
            BankFact::Posted(fact) => {
                let order = self.finish(fact.payment, hold::Fact::Posted, fact.heard, lsn)?;
                self.settle(order, true)?;
            }
            BankFact::Released(fact) => {
                let released = hold::Fact::Released;
                let order = self.finish(fact.payment, released, fact.heard, lsn)?;
                self.settle(order, false)?;
            }
            BankFact::Tombstoned(fact) => {
                self.finish(fact.payment, hold::Fact::Tombstoned, fact.heard, lsn)?;
            }
            BankFact::HeuristicObeyed(fact) => {
                if self.forced.insert(fact.payment, fact.decision).is_some() {
                    return Err(format!("{} was decided by hand already", fact.payment));
                }
                self.hear(fact.heard);
            }
            BankFact::Forgot(fact) => self.forget(fact.through),
        }
        Ok(())
    }

    fn open_account(&mut self, fact: &fact::AccountOpened) -> Result<(), String> {
        if fact.opening_minor < 0 {
            return Err("an opening balance below zero".into());
        }
        let account = Account {
            owner: fact.owner,
            currency: fact.currency,
            opening_minor: fact.opening_minor,
            posted_minor: fact.opening_minor,
            held_minor: 0,
            incoming_minor: 0,
        };
        match self.accounts.insert(fact.account, account) {
            None => Ok(()),
            Some(_) => Err(format!("account {} is open already", fact.account)),
        }
    }

    fn fence(&mut self, fact: &fact::Fenced) -> Result<(), String> {
        let fence = self.fences.get_mut(&fact.gateway).ok_or("a gateway that is not admitted")?;
        if fence.is_some_and(|fence| fence.epoch > fact.epoch) {
            return Err(format!("epoch {} was fenced off", fact.epoch));
        }
        let (epoch, start_id, lsn) = (fact.epoch, fact.start_id, fact.gateway_lsn);
        *fence = Some(Fence { epoch, start_id, lsn });
        Ok(())
    }

    /// Moves a payment on in its machine, and learns how far the gateway's log had come.
    fn step(
        &mut self,
        payment: GlobalId,
        fact: hold::Fact,
        heard: Heard,
    ) -> Result<HoldState, String> {
        let state = self.hold_state(payment);
        let next = hold::evolve(state, fact).map_err(|illegal| illegal.to_string())?;
        self.hear(heard);
        Ok(next)
    }

    /// The start that was fenced in last is the only one of its lineage that commands.
    fn hear(&mut self, heard: Heard) {
        if let Some(Some(fence)) = self.fences.get_mut(&heard.gateway) {
            fence.lsn = fence.lsn.max(heard.lsn);
        }
    }

    /// Ends a payment here; gives back what was held.
    fn finish(
        &mut self,
        payment: GlobalId,
        fact: hold::Fact,
        heard: Heard,
        lsn: Lsn,
    ) -> Result<Option<Box<Order>>, String> {
        let state = self.step(payment, fact, heard)?;
        self.open.remove(&payment);
        let held = self.holds.remove(&payment).and_then(|held| held.order);
        let order = held.clone().filter(|_| mutant::is(Mutant::CommitTwice));
        if !(mutant::is(Mutant::PostedForgotten) && state == HoldState::Posted) {
            self.holds.insert(payment, Hold { state, order, lsn, held_ms: 0 });
        }
        Ok(held)
    }

    fn forget(&mut self, through: GlobalId) {
        let before = self.forgotten.entry(through.origin).or_insert(through);
        *before = through.max(*before);
        let first = GlobalId { epoch: 0, number: 0, ..through };
        let over = self.holds.range(first..=through);
        let over = over.filter(|(_, hold)| hold.state != HoldState::Held).map(|(id, _)| *id);
        for payment in over.collect::<Vec<_>>() {
            self.holds.remove(&payment);
        }
    }

    /// Is everything about `payment` over on all sides, so that it was forgotten here?
    pub fn is_forgotten(&self, payment: GlobalId) -> bool {
        let over = self.forgotten.get(&payment.origin).is_some_and(|through| payment <= *through);
        over && !self.holds.contains_key(&payment)
    }

    pub fn hold_state(&self, payment: GlobalId) -> HoldState {
        self.holds.get(&payment).map_or(HoldState::Unknown, |hold| hold.state)
    }

    /// Could this bank's legs of `order` be held now? A yes makes a later commit certain.
    pub fn check(&self, order: &Order) -> Result<(), Reason> {
        for side in self.sides(order) {
            let account = self.accounts.get(&order.account(side)).ok_or(Reason::AccountNotFound)?;
            if account.currency != order.terms.currency {
                return Err(Reason::CurrencyMismatch);
            }
            let amount = order.terms.amount.minor();
            match side {
                Side::Debit if account.available_minor() < amount => {
                    return Err(Reason::InsufficientFunds);
                }
                Side::Debit => {}
                Side::Credit => {
                    let pending = account.posted_minor.checked_add(account.incoming_minor);
                    let full = pending.and_then(|sum| sum.checked_add(amount)).is_none();
                    if full {
                        return Err(Reason::BalanceOverflow);
                    }
                }
            }
        }
        Ok(())
    }

    fn sides(&self, order: &Order) -> Vec<Side> {
        self.bank.map(|bank| order.sides_at(bank).collect()).unwrap_or_default()
    }

    fn set_aside(&mut self, order: &Order) -> Result<(), String> {
        self.check(order).map_err(|reason| format!("a hold that fails its check: {reason}"))?;
        let amount = order.terms.amount.minor();
        for side in self.sides(order) {
            let account = self.account_mut(order.account(side))?;
            match side {
                Side::Debit => account.held_minor += amount,
                Side::Credit => account.incoming_minor += amount,
            }
        }
        Ok(())
    }

    fn settle(&mut self, order: Option<Box<Order>>, post: bool) -> Result<(), String> {
        let order = order.ok_or("an outcome without its hold")?;
        let amount = order.terms.amount.minor();
        for side in self.sides(&order) {
            let account = self.account_mut(order.account(side))?;
            match side {
                Side::Debit => account.held_minor -= amount,
                Side::Credit => account.incoming_minor -= amount,
            }
            match side {
                Side::Debit if post => account.posted_minor -= amount,
                Side::Credit if post => account.posted_minor += amount,
                Side::Debit | Side::Credit => {}
            }
        }
        Ok(())
    }

    fn account_mut(&mut self, number: AccountNumber) -> Result<&mut Account, String> {
        self.accounts.get_mut(&number).ok_or_else(|| format!("account {number} is not here"))
    }

    /// The highest epoch that has started; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.starts.last().map_or(0, |written| written.epoch)
    }

    /// This start, as it introduces itself. `None` before the first.
    pub fn start(&self) -> Option<Start> {
        let written = self.starts.last()?;
        Some(Start {
            cluster: self.cluster?,
            lineage: self.lineage?,
            epoch: written.epoch,
            start_id: written.start_id,
        })
    }

    /// What this bank remembers of the log of the gateway `lineage`.
    pub fn remembered(&self, lineage: Lineage) -> Option<Witness> {
        let fence = self.fences.get(&lineage).copied().flatten()?;
        Some(Witness { lineage, start_id: fence.start_id, lsn: fence.lsn })
    }

    /// Does this journal hold what `witness` remembers of it, written under that start?
    pub fn holds_record(&self, witness: &Witness) -> bool {
        witness::holds(self.lineage, &self.starts, self.last, witness)
    }
}
