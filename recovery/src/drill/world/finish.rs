//! All faults stop, all services start, and everything must come to an end.

use super::node::Down;
use super::{BankService, GatewayService, Place, Service, World};
use crate::audit::{self, Audit};
use crate::gateway::{self, Outcome};
use crate::model::AccountNumber;
use std::collections::BTreeMap;
use wal::Storage as _;

/// Once nothing is broken any more, all must be settled within this.
const SETTLED_WITHIN_MS: u64 = 6_000;

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    pub(super) fn heal(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.note(|| "all faults stop".into());
        self.healing = true;
        self.cut_until_ms.fill(0);
        for place in self.everywhere() {
            let disk = self.disk(place);
            disk.clear_faults();
            disk.set_capacity(u64::MAX);
            if disk.list("wal").is_err() {
                // Its machine is off; nobody has noticed yet.
                self.fall(place, false);
            }
            self.mend(place);
        }
        let by_ms = self.now_ms + SETTLED_WITHIN_MS;
        while !self.is_quiet() && self.now_ms < by_ms && !self.stuck() {
            if !self.step() {
                break;
            }
        }
        if self.violation.is_none() && self.stuck() {
            self.refused = true;
        } else if self.violation.is_none() && !self.is_quiet() {
            let what = self.unfinished();
            self.violate(format!("not settled in {SETTLED_WITHIN_MS} ms: {what}"));
        }
        if self.violation.is_none() {
            self.last_look();
        }
    }

    fn mend(&mut self, place: Place) {
        match place {
            Place::Gateway(g) => self.gateways[g].trap = None,
            Place::Bank(b) => {
                self.banks[b].trap = None;
                self.banks[b].slow_until_ms = 0;
            }
        }
        self.start_later(place, 1);
    }

    /// Both gateways gave up, or the only one did: safe, and nothing more can happen by itself.
    fn stuck(&self) -> bool {
        self.gateway_left().is_none()
    }

    fn gateway_state(&self) -> Option<&gateway::State> {
        let running = self.gateways.iter().filter_map(|node| node.process.as_ref());
        running.map(|process| process.machine.state()).last()
    }

    fn is_quiet(&self) -> bool {
        let mut running = self.gateways.iter().filter_map(|node| node.process.as_ref());
        let one = match (running.next(), running.next()) {
            (Some(process), None) => self.know_each_other(&process.machine),
            _ => false,
        };
        let open = self.gateway_state().is_none_or(|state| !state.open.is_empty());
        let banks = self.banks.iter().all(|node| {
            node.process.as_ref().is_some_and(|process| process.machine.state().open.is_empty())
        });
        one && !open && banks && self.is_content()
    }

    /// Every bank has let in this start of the gateway, and is the start that the gateway greeted.
    fn know_each_other(&self, gateway: &G) -> bool {
        let (lineage, start_id) = (gateway.start().lineage, gateway.start().start_id);
        (0..).zip(&self.banks).all(|(bank, node)| {
            node.process.as_ref().is_some_and(|process| {
                let fence = process.machine.state().remembered(lineage);
                let driven = fence.is_some_and(|fence| fence.start_id == start_id);
                driven && gateway.greeted(bank) == Some(process.machine.start())
            })
        })
    }

    fn unfinished(&self) -> String {
        let wishes = self.clients.iter().filter_map(|client| client.wish.as_ref());
        let wishes: Vec<_> = wishes.map(|wish| wish.reference.to_string()).collect();
        let open = self.gateway_state().map(|state| state.open.clone());
        let holds: Vec<_> = self
            .banks
            .iter()
            .map(|node| node.process.as_ref().map(|process| &process.machine.state().open))
            .collect();
        format!("clients wait for {wishes:?}; open at the gateway {open:?}, held {holds:?}")
    }

    /// All is quiet: the logs agree, the money is there, and everybody was told the truth.
    fn last_look(&mut self) {
        let Some(gateway) = self.gateway_state() else { return };
        let banks = self.banks.iter().filter_map(|node| node.process.as_ref());
        let banks: Vec<_> = banks.map(|process| process.machine.state()).collect();
        let audit = audit::audit(gateway, banks.iter().copied());
        let mut wrong = verdict(&audit);
        let told = self.told();
        for (number, account) in banks.iter().flat_map(|bank| &bank.accounts) {
            let expected = account.opening_minor + told.get(number).copied().unwrap_or_default();
            if account.posted_minor != expected {
                wrong.get_or_insert(format!(
                    "account {number} has {}, its owner was told of payments that leave {expected}",
                    account.posted_minor
                ));
            }
        }
        if let Some(what) = wrong {
            return self.violate(what);
        }
        self.replay_again();
    }

    /// What the clients were told moved each account: the check that trusts no log.
    fn told(&self) -> BTreeMap<AccountNumber, i64> {
        let mut moved = BTreeMap::<AccountNumber, i64>::new();
        let committed = self.truth.answers().filter(|answer| answer.outcome == Outcome::Committed);
        for answer in committed {
            let amount = answer.terms.amount.minor();
            *moved.entry(answer.terms.payer).or_default() -= amount;
            *moved.entry(answer.terms.payee).or_default() += amount;
        }
        moved
    }

    /// A start would find what the running services have in memory.
    fn replay_again(&mut self) {
        for g in 0..self.gateways.len() {
            let node = &mut self.gateways[g];
            if node.down == Down::Refused {
                continue;
            }
            let judged = same_again(node, "the gateway");
            self.judge(judged);
        }
        for b in 0..self.banks.len() {
            let judged = same_again(&mut self.banks[b], "a bank");
            self.judge(judged);
        }
    }
}

fn same_again<M: Service>(node: &mut super::Node<M>, who: &str) -> Result<(), String> {
    if node.process.is_none() {
        return Ok(());
    }
    node.sync().map_err(|error| error.to_string())?;
    let live = node.process.as_ref().map(|process| process.machine.state().clone());
    let replayed = node.replayed()?;
    if live == Some(replayed) {
        Ok(())
    } else {
        Err(format!("{who} replays to another state than it lives in"))
    }
}

fn verdict(audit: &Audit) -> Option<String> {
    if let Some(first) = audit.disagreements.first() {
        return Some(format!("the audit finds: {first}"));
    }
    if audit.money.delta_minor() != 0 {
        return Some(format!("the audit finds {:?}", audit.money));
    }
    (!audit.is_quiet()).then(|| format!("the audit finds {audit:?} not quiet"))
}
