//! All faults stop, all services start, and everything must come to an end.

use super::node::Down;
use super::{BankService, GatewayService, Harm, Place, Service, World};
use crate::audit::{self, Audit};
use crate::fact::BankFact;
use crate::gateway::Outcome;
use crate::model::{AccountNumber, Order, Reference, Side};
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

    fn gateway(&self) -> Option<&G> {
        let running = self.gateways.iter().filter_map(|node| node.process.as_ref());
        running.map(|process| &process.machine).last()
    }

    fn is_quiet(&self) -> bool {
        let mut running = self.gateways.iter().filter_map(|node| node.process.as_ref());
        let one = match (running.next(), running.next()) {
            (Some(process), None) => self.know_each_other(&process.machine),
            _ => false,
        };
        let open = self.gateway().is_none_or(|gateway| !gateway.open().is_empty());
        let banks = self.banks.iter().all(|node| {
            node.process.as_ref().is_some_and(|process| process.machine.open().is_empty())
        });
        one && !open && banks && self.is_content()
    }

    /// Every bank has let in this start of the gateway, and is the start that the gateway greeted.
    fn know_each_other(&self, gateway: &G) -> bool {
        if !G::PROMISES {
            return true;
        }
        let (lineage, start_id) = (gateway.start().lineage, gateway.start().start_id);
        (0..).zip(&self.banks).all(|(bank, node)| {
            node.process.as_ref().is_some_and(|process| {
                let driven = process.machine.obeys(lineage) == Some(start_id);
                driven && gateway.greeted(bank) == Some(process.machine.start())
            })
        })
    }

    fn unfinished(&self) -> String {
        let wishes = self.clients.iter().filter_map(|client| client.wish.as_ref());
        let wishes: Vec<_> = wishes.map(|wish| wish.reference.to_string()).collect();
        let open = self.gateway().map(Service::open);
        let holds: Vec<_> = self
            .banks
            .iter()
            .map(|node| node.process.as_ref().map(|process| process.machine.open()))
            .collect();
        format!("clients wait for {wishes:?}; open at the gateway {open:?}, held {holds:?}")
    }

    /// All is quiet: the logs agree, the money is there, and everybody was told the truth.
    fn last_look(&mut self) {
        // Nobody serves any more, safely: what is owed is for a person to see to.
        if self.gateway().is_none() {
            return;
        }
        if let Some(harm) = self.harm() {
            return self.accuse(harm);
        }
        let judged = self.audited();
        self.judge(judged);
        if self.violation.is_none() {
            self.replay_again();
        }
    }

    /// All logs against each other, for a protocol that has logs to compare.
    fn audited(&self) -> Result<(), String> {
        let Some(gateway) = self.gateway() else { return Ok(()) };
        let Some(gateway) = G::audited(gateway.state()) else { return Ok(()) };
        let banks = self.banks.iter().filter_map(|node| node.process.as_ref());
        let banks = banks.filter_map(|process| B::audited(process.machine.state()));
        verdict(&audit::audit(gateway, banks))
    }

    /// What is on the accounts against what the clients were told: the check that trusts no log.
    fn harm(&self) -> Option<Wrong> {
        let told = self.told();
        let banks = self.banks.iter().filter_map(|node| node.process.as_ref());
        let accounts = banks.flat_map(|process| B::accounts(process.machine.state()));
        let (mut first, mut delta_minor) = (None, 0);
        for (number, [opening_minor, posted_minor]) in accounts {
            delta_minor += posted_minor - opening_minor;
            let expected = opening_minor + told.get(&number).copied().unwrap_or_default();
            if posted_minor != expected {
                first.get_or_insert((number, posted_minor, expected));
            }
        }
        let (number, found, expected) = first?;
        let harm = match delta_minor {
            ..0 => Harm::Lost,
            0 => Harm::Moved,
            1.. => Harm::Made,
        };
        let what = format!(
            "account {number} has {found}, its owner was told of payments that leave {expected}"
        );
        Some(Wrong { harm, delta_minor, what })
    }

    /// Names the harm, and the payment that did it.
    fn accuse(&mut self, wrong: Wrong) {
        let Wrong { harm, delta_minor, what } = wrong;
        let (about, what) =
            self.misdone().map_or((None, what), |(about, what)| (Some(about), what));
        self.violate(what);
        if let Some(violation) = &mut self.violation {
            (violation.harm, violation.about) = (Some((harm, delta_minor)), about);
        }
    }

    /// The first payment that was not posted once on either side, or not as its payer was told.
    fn misdone(&self) -> Option<(Reference, String)> {
        let mut posted = BTreeMap::<Reference, (Order, [u32; 2])>::new();
        for (node, bank) in self.banks.iter().zip(&self.names) {
            let mut held = BTreeMap::new();
            for fact in &node.ghost {
                match fact {
                    BankFact::Held(fact) => drop(held.insert(fact.payment, &fact.order)),
                    BankFact::Posted(fact) => {
                        let Some(order) = held.get(&fact.payment) else { continue };
                        let entry = posted.entry(order.reference);
                        let (_, times) = entry.or_insert_with(|| ((*order).clone(), [0; 2]));
                        for side in order.sides_at(*bank) {
                            times[usize::from(side == Side::Credit)] += 1;
                        }
                    }
                    _ => {}
                }
            }
        }
        let told = |reference: &Reference| self.truth.told_committed(reference);
        let wrong = posted
            .into_iter()
            .find(|(reference, (_, times))| *times != [u32::from(told(reference)); 2]);
        let (reference, (order, [debits, credits])) = wrong?;
        let Order { terms, payer_bank, payee_bank, .. } = order;
        let said = if told(&reference) { "COMMITTED" } else { "ABORTED" };
        let what = format!(
            "{reference} of {}: taken {debits} times at {payer_bank}, given {credits} times at \
             {payee_bank}, and its payer was told {said}",
            terms.amount.minor()
        );
        Some((reference, what))
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

/// Something is wrong with the money, before it is known which payment did it.
struct Wrong {
    harm: Harm,
    delta_minor: i64,
    what: String,
}

fn verdict(audit: &Audit) -> Result<(), String> {
    if let Some(first) = audit.disagreements.first() {
        return Err(format!("the audit finds: {first}"));
    }
    if audit.money.delta_minor() != 0 {
        return Err(format!("the audit finds {:?}", audit.money));
    }
    if audit.is_quiet() { Ok(()) } else { Err(format!("the audit finds {audit:?} not quiet")) }
}
