//! One log made again from the others.
//!
//! A bank's journal follows from the gateway's log, because every decision is there. The gateway's
//! log follows from the banks' journals, because nothing was answered before it was durable at a
//! bank, with the order and with the reason of an abort. Numbers and times in a log made again are
//! those of its making. Nothing here reads or writes: journals come in as facts, and a log comes
//! out as facts.
//!
//! | a payment, in all journals | becomes | why |
//! |---|---|---|
//! | posted anywhere | commit | only a durable decision posts |
//! | released, refused or a tombstone anywhere | abort, as recorded | only an abort leads there |
//! | held and nothing else | abort | nobody was answered: the answer rests on a posting |

use crate::fact::{
    AccountListed, AccountOpened, BankFact, BankJoined, Began, Decided, Ended, Founded,
    GatewayFact, Held, HeuristicDecided, HeuristicDiffered, HeuristicObeyed, Initialised, Posted,
    Settled, Tombstoned, Voted,
};
use crate::gateway;
use crate::model::{
    Aborted, BankName, Cluster, Decision, GlobalId, Heard, HoldState, Lineage, Order, Reason, Vote,
};
use std::collections::BTreeMap;
use wal::Lsn;

/// A log made in the place of a lost one begins at the next multiple of this, and one.
const LSN_STEP: u64 = 1_000_000_000;

/// Where a log begins that replaces one of which `seen` is the highest number that is remembered.
/// The lost one may have been longer than anybody says, by the records that nobody was told of: the
/// numbers in between are left to those. So no number ever means two records, and whoever watched
/// the old log up to some number sees all of the new one.
pub fn first_lsn(seen: u64) -> Lsn {
    Lsn::new((seen / LSN_STEP + 1) * LSN_STEP + 1)
}

/// The journal of `bank`, as the gateway's log has it: openings, postings in the order of their
/// decisions, and a tombstone for every abort. Payments that are not decided are left out: the old
/// votes are void, and the gateway aborts them.
pub fn journal(
    gateway: &gateway::State,
    bank: BankName,
    lineage: Lineage,
) -> Option<Vec<BankFact>> {
    let (cluster, owner) = gateway.cluster.zip(gateway.lineage)?;
    let index = gateway.bank_index(bank)?;
    let mut facts: Vec<BankFact> = vec![Founded { cluster, lineage, bank, gateway: owner }.into()];
    let accounts = gateway.accounts.iter().filter(|(_, account)| account.bank == index);
    facts.extend(accounts.map(|(number, account)| {
        let (account, number) = (*account, *number);
        let (owner, currency, opening_minor) =
            (account.owner, account.currency, account.opening_minor);
        AccountOpened { account: number, owner, currency, opening_minor }.into()
    }));
    let mut decided: Vec<_> = {
        let here = gateway.payments.iter().filter(|(_, entry)| entry.party(index).is_some());
        here.filter(|(_, entry)| entry.payment.decision().is_some()).collect()
    };
    decided.sort_by_key(|(_, entry)| entry.decided_lsn);
    for (payment, entry) in decided {
        let (payment, heard) = (*payment, Heard { gateway: owner, lsn: 0 });
        let Some(decision) = entry.payment.decision() else { continue };
        let party = entry.party(index).expect("a payment of this bank");
        let (forced, commits) = (entry.payment.forced, decision == Decision::Commit);
        if forced && commits && !entry.payment.settled().has(party) {
            // It may have promised nothing. It is told, and says what it has: nothing.
            continue;
        }
        facts.extend(obeyed(gateway, payment, heard).map(BankFact::from));
        // What it had done against a decision by hand stays done.
        if commits == entry.payment.against.has(party) {
            let aborted = match decision {
                Decision::Abort(reason) => Some(Aborted { order: gateway.order(entry), reason }),
                Decision::Commit => None,
            };
            facts.push(Tombstoned { payment, heard, aborted }.into());
        } else {
            facts.push(Held { payment, order: gateway.order(entry), heard }.into());
            facts.push(Posted { payment, heard }.into());
        }
    }
    Some(facts)
}

fn obeyed(gateway: &gateway::State, payment: GlobalId, heard: Heard) -> Option<HeuristicObeyed> {
    let case = gateway.cases.get(&payment)?;
    let (approved_by, _) = case.approved?;
    let (decision, why, asked_by) = (case.decision, case.why.clone(), case.asked_by);
    Some(HeuristicObeyed { payment, decision, why, asked_by, approved_by, heard })
}

/// What all journals together know of one payment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Seen {
    /// From whichever bank held it.
    order: Option<Order>,
    /// Why it was aborted, as the gateway told a bank that undid it.
    reason: Option<Reason>,
    states: BTreeMap<BankName, HoldState>,
    /// Decided by hand.
    forced: Option<HeuristicObeyed>,
}

/// Everything that the banks' journals know, gathered record by record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survivors {
    cluster: Option<Cluster>,
    banks: BTreeMap<BankName, Lineage>,
    /// The gateway that each bank obeyed first.
    owners: BTreeMap<BankName, Lineage>,
    accounts: Vec<(BankName, AccountOpened)>,
    payments: BTreeMap<GlobalId, Seen>,
    /// The highest number of any gateway's log that a bank heard.
    gateway_lsn: u64,
}

impl Survivors {
    /// Reads one record of the journal of `bank`.
    pub fn record(&mut self, bank: BankName, fact: &BankFact) {
        match fact {
            BankFact::Founded(fact) => {
                self.cluster = Some(fact.cluster);
                self.banks.insert(bank, fact.lineage);
                self.owners.insert(bank, fact.gateway);
            }
            BankFact::AccountOpened(fact) => self.accounts.push((bank, fact.clone())),
            BankFact::Held(fact) => {
                self.heard(&fact.heard);
                let seen = self.payments.entry(fact.payment).or_default();
                seen.order = Some(fact.order.clone());
                seen.states.insert(bank, HoldState::Held);
            }
            BankFact::Refused(fact) => {
                self.heard(&fact.heard);
                if let Some(order) = &fact.order {
                    let seen = self.payments.entry(fact.payment).or_default();
                    seen.order.get_or_insert_with(|| order.clone());
                }
                self.state(fact.payment, bank, HoldState::Refused(fact.reason));
            }
            BankFact::Posted(fact) => {
                self.heard(&fact.heard);
                self.state(fact.payment, bank, HoldState::Posted);
            }
            BankFact::Released(fact) => {
                self.heard(&fact.heard);
                let seen = self.payments.entry(fact.payment).or_default();
                seen.reason = seen.reason.or(fact.reason);
                self.state(fact.payment, bank, HoldState::Released);
            }
            BankFact::Tombstoned(fact) => {
                self.heard(&fact.heard);
                if let Some(Aborted { order, reason }) = &fact.aborted {
                    let seen = self.payments.entry(fact.payment).or_default();
                    seen.order.get_or_insert_with(|| order.clone());
                    seen.reason = Some(*reason);
                }
                self.state(fact.payment, bank, HoldState::Released);
            }
            BankFact::HeuristicObeyed(fact) => {
                self.heard(&fact.heard);
                self.payments.entry(fact.payment).or_default().forced = Some(fact.clone());
            }
            BankFact::Fenced(fact) => self.gateway_lsn = self.gateway_lsn.max(fact.gateway_lsn),
            BankFact::BankStarted(_)
            | BankFact::BankStopped(_)
            | BankFact::GatewayReplaced(_)
            | BankFact::JournalMended(_)
            | BankFact::Forgot(_) => {}
        }
    }

    fn heard(&mut self, heard: &Heard) {
        self.gateway_lsn = self.gateway_lsn.max(heard.lsn);
    }

    fn state(&mut self, payment: GlobalId, bank: BankName, state: HoldState) {
        self.payments.entry(payment).or_default().states.insert(bank, state);
    }

    /// The banks that payments name and whose journals were not read: the log cannot be made
    /// without them.
    pub fn missing(&self) -> Vec<BankName> {
        let orders = self.payments.values().filter_map(|seen| seen.order.as_ref());
        let mut missing: Vec<_> = orders
            .flat_map(Order::participants)
            .filter(|bank| !self.banks.contains_key(bank))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    pub fn cluster(&self) -> Option<Cluster> {
        self.cluster
    }

    /// The gateway that was lost, as the banks know it.
    pub fn lost(&self) -> Option<Lineage> {
        self.owners.values().next().copied()
    }

    /// Where that log must begin: above every number of the lost one that anybody was told.
    pub fn first_lsn(&self) -> Lsn {
        first_lsn(self.gateway_lsn)
    }

    /// The log of a new gateway of `lineage`. `None` when no journal was read.
    pub fn log(&self, lineage: Lineage) -> Option<Vec<GatewayFact>> {
        let cluster = self.cluster?;
        let mut facts: Vec<GatewayFact> = vec![Initialised { cluster, lineage }.into()];
        facts.extend(
            self.banks
                .iter()
                .map(|(bank, lineage)| BankJoined { bank: *bank, lineage: Some(*lineage) }.into()),
        );
        facts.extend(self.accounts.iter().map(|(bank, opened)| {
            let AccountOpened { account, owner, currency, opening_minor } = *opened;
            AccountListed { account, bank: *bank, owner, currency, opening_minor }.into()
        }));
        for (payment, seen) in &self.payments {
            if let Some(order) = &seen.order {
                tell(&mut facts, *payment, order, seen);
            }
        }
        Some(facts)
    }
}

/// One payment as its gateway would have logged it.
fn tell(facts: &mut Vec<GatewayFact>, payment: GlobalId, order: &Order, seen: &Seen) {
    let Seen { states, forced, .. } = seen;
    let decision = forced.as_ref().map_or_else(|| decision(seen), |forced| forced.decision);
    facts.push(Began { payment, order: order.clone() }.into());
    if decision == Decision::Commit && forced.is_none() {
        facts.extend(
            order
                .participants()
                .map(|bank| Voted { payment, bank, vote: Vote::Ready, bank_lsn: 0 }.into()),
        );
    }
    facts.push(match forced.clone() {
        None => Decided { payment, decision }.into(),
        Some(HeuristicObeyed { decision, why, asked_by, approved_by, .. }) => {
            HeuristicDecided { payment, decision, why, asked_by, approved_by }.into()
        }
    });
    let done = |bank: &BankName| {
        let state = states.get(bank).copied().filter(|state| *state != HoldState::Held);
        state.map(|state| (*bank, state))
    };
    let banks: Vec<BankName> = order.participants().collect();
    let settled: Vec<_> = banks.iter().filter_map(done).collect();
    facts.extend(settled.iter().map(|(bank, state)| {
        let (bank, state, bank_lsn) = (*bank, *state, 0);
        let otherwise = (state == HoldState::Posted) != (decision == Decision::Commit);
        if otherwise && forced.is_some() {
            HeuristicDiffered { payment, bank, state, bank_lsn }.into()
        } else {
            Settled { payment, bank, state, bank_lsn }.into()
        }
    }));
    if settled.len() == banks.len() {
        facts.push(Ended { payment }.into());
    }
}

fn decision(seen: &Seen) -> Decision {
    let mut refused = None;
    for state in seen.states.values() {
        match state {
            HoldState::Posted => return Decision::Commit,
            HoldState::Refused(reason) => refused = refused.or(Some(*reason)),
            HoldState::Unknown | HoldState::Held | HoldState::Released => {}
        }
    }
    Decision::Abort(seen.reason.or(refused).unwrap_or(Reason::Interrupted))
}
