//! A gateway's state: the fold of its log.
//!
//! [`State::evolve`] is the only function that changes it, in a replay as in live traffic. What is
//! not here (who waits for an answer, which bank is connected) is forgotten by a restart, and may
//! be.

use crate::fact::{self, GatewayFact};
use crate::model::{
    AccountNumber, BankName, ClientId, Cluster, Currency, Decision, Epoch, GlobalId, HoldState,
    Lineage, Memo, Order, Reference, Start, Terms, Vote, Witness,
};
use crate::payment::{self, Parties, Party, Payment};
use crate::record::Fact as _;
use crate::replay::{Fold, Illegal};
use crate::witness::{self, Written};
use std::collections::{BTreeMap, BTreeSet};
use wal::Lsn;

/// A bank by its place in [`State::banks`].
pub type BankIndex = u8;

/// Banks are few: the index of one fits a byte.
pub const BANKS_MAX: usize = 64;

/// What the gateway remembers of a bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bank {
    pub name: BankName,
    /// `None`: a foreign bank.
    pub lineage: Option<Lineage>,
    /// How far its journal had come, as far as this log heard.
    pub witness: Option<Witness>,
}

impl Bank {
    /// Is its log not ours to know?
    pub fn is_foreign(&self) -> bool {
        self.lineage.is_none()
    }
}

/// An account in the directory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub bank: BankIndex,
    pub owner: ClientId,
    pub currency: Currency,
    pub opening_minor: i64,
}

/// A payment and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub reference: Reference,
    pub terms: Terms,
    pub payer_bank: BankIndex,
    pub payee_bank: BankIndex,
    pub payment: Payment,
    /// A participant voted no, durably: evidence of an abort that survives this log.
    pub refused: bool,
    pub began_lsn: Lsn,
    pub began_ms: u64,
    /// [`Lsn::ZERO`] while undecided.
    pub decided_lsn: Lsn,
    pub decided_ms: u64,
    /// Is the outcome beyond the loss of any one log? Then it is listed in [`State::finals`].
    pub is_final: bool,
}

impl Entry {
    /// The bank of a participant.
    pub fn bank(&self, party: Party) -> BankIndex {
        match party {
            Party::Payer => self.payer_bank,
            Party::Payee => self.payee_bank,
        }
    }

    /// The participant that `bank` is.
    pub fn party(&self, bank: BankIndex) -> Option<Party> {
        if bank == self.payer_bank {
            Some(Party::Payer)
        } else {
            (bank == self.payee_bank).then_some(Party::Payee)
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.payment.phase, payment::Phase::Ended { .. })
    }
}

/// A signed-in client.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub client: ClientId,
    pub certificate_sha256: [u8; 32],
    pub credential_sha256: [u8; 32],
    pub expires_ms: u64,
}

/// A payment that operators decide by hand, from the asking on. While it is not decided, it is a
/// request and nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub decision: Decision,
    pub why: Memo,
    pub asked_by: ClientId,
    pub asked_ms: u64,
    /// Who approved, and where in the log that stands: from there on it is decided.
    pub approved: Option<(ClientId, Lsn)>,
    /// The banks that did otherwise.
    pub differed: Vec<(BankName, HoldState)>,
    /// When every bank had said what it did.
    pub closed_ms: Option<u64>,
}

/// What the log says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub cluster: Option<Cluster>,
    pub lineage: Option<Lineage>,
    pub starts: Vec<Written>,
    pub banks: Vec<Bank>,
    pub accounts: BTreeMap<AccountNumber, Account>,
    pub payments: BTreeMap<GlobalId, Entry>,
    /// The attempt that answers for a client's id.
    pub by_reference: BTreeMap<Reference, GlobalId>,
    /// A client's attempts, oldest first.
    pub by_client: BTreeMap<ClientId, Vec<GlobalId>>,
    /// A client's attempts as they became final: a commit when all have posted, an abort when the
    /// decision stands and one bank has it too.
    pub finals: BTreeMap<ClientId, Vec<(Lsn, GlobalId)>>,
    /// Not ended.
    pub open: BTreeSet<GlobalId>,
    /// Decided by hand, or asked to be.
    pub cases: BTreeMap<GlobalId, Case>,
    pub sessions: BTreeMap<[u8; 32], Session>,
    /// The last record folded.
    pub last: Lsn,
    /// Did the last start stop cleanly?
    pub stopped: bool,
}

impl Fold for State {
    type Fact = GatewayFact;

    fn evolve(&mut self, fact: &GatewayFact, lsn: Lsn, wall_ms: u64) -> Result<(), Illegal> {
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
    fn apply(&mut self, fact: &GatewayFact, lsn: Lsn, wall_ms: u64) -> Result<(), String> {
        self.stopped = false;
        match fact {
            GatewayFact::Initialised(fact) => self.initialise(fact)?,
            GatewayFact::Started(fact) => {
                let before = self.epoch();
                if fact.epoch <= before {
                    return Err(format!("epoch {} follows epoch {before}", fact.epoch));
                }
                let (start_id, epoch) = (fact.start_id, fact.epoch);
                self.starts.push(Written { start_id, epoch, first: lsn });
            }
            GatewayFact::Stopped(_) => self.stopped = true,
            GatewayFact::BankJoined(fact) => self.join(fact)?,
            GatewayFact::AccountListed(fact) => self.list(fact)?,
            GatewayFact::BankMet(fact) => {
                let bank = self.bank_mut(fact.bank)?;
                bank.witness = Some(fact.witness);
            }
            GatewayFact::BankReplaced(fact) => self.replace(fact)?,
            // What it put back is in the log, and was folded where it stands.
            GatewayFact::LogMended(_) | GatewayFact::Audited(_) => {}
            GatewayFact::Began(fact) => self.begin(fact, lsn, wall_ms)?,
            GatewayFact::Voted(fact) => {
                self.heard(fact.bank, fact.bank_lsn)?;
                let entry = self.step(fact.payment, fact.bank, |party| {
                    payment::Fact::Voted(party, fact.vote)
                })?;
                entry.refused |= matches!(fact.vote, Vote::Refused(_));
            }
            GatewayFact::Decided(fact) => {
                let decided = payment::Fact::Decided(fact.decision);
                self.decide(fact.payment, decided, fact.decision, (lsn, wall_ms))?;
                // Whoever asked that it be decided by hand has been overtaken.
                self.cases.remove(&fact.payment);
            }
            GatewayFact::HeuristicAsked(fact) => self.ask(fact, wall_ms)?,
            GatewayFact::HeuristicDecided(fact) => self.force(fact, lsn, wall_ms)?,
            GatewayFact::HeuristicDiffered(fact) => self.differ(fact, lsn)?,
            GatewayFact::Settled(fact) => {
                self.heard(fact.bank, fact.bank_lsn)?;
                self.step(fact.payment, fact.bank, |party| {
                    payment::Fact::Settled(party, fact.state)
                })?;
                self.see_final(fact.payment, lsn);
            }
            GatewayFact::Ended(fact) => {
                entry_mut(&mut self.payments, fact.payment)?.advance(payment::Fact::Ended)?;
                self.open.remove(&fact.payment);
                if let Some(case) = self.cases.get_mut(&fact.payment) {
                    case.closed_ms = Some(wall_ms);
                }
            }
            GatewayFact::SessionOpened(fact) => {
                let session = Session {
                    client: fact.client,
                    certificate_sha256: fact.certificate_sha256,
                    credential_sha256: fact.credential_sha256,
                    expires_ms: fact.expires_ms,
                };
                self.sessions.insert(fact.token_sha256, session);
            }
            GatewayFact::SessionClosed(fact) => {
                self.sessions.remove(&fact.token_sha256);
            }
        }
        Ok(())
    }

    fn initialise(&mut self, fact: &fact::Initialised) -> Result<(), String> {
        if self.lineage.is_some() {
            return Err("the log has an identity already".into());
        }
        self.cluster = Some(fact.cluster);
        self.lineage = Some(fact.lineage);
        Ok(())
    }

    fn decide(
        &mut self,
        payment: GlobalId,
        fact: payment::Fact,
        decision: Decision,
        (lsn, wall_ms): (Lsn, u64),
    ) -> Result<(), String> {
        let entry = entry_mut(&mut self.payments, payment)?;
        entry.advance(fact)?;
        (entry.decided_lsn, entry.decided_ms) = (lsn, wall_ms);
        if decision == Decision::Commit {
            let reference = entry.reference;
            self.by_reference.insert(reference, payment);
        }
        self.see_final(payment, lsn);
        Ok(())
    }

    fn differ(&mut self, fact: &fact::HeuristicDiffered, lsn: Lsn) -> Result<(), String> {
        self.heard(fact.bank, fact.bank_lsn)?;
        let differed = |party| payment::Fact::Differed(party, fact.state);
        self.step(fact.payment, fact.bank, differed)?;
        let case = self.cases.get_mut(&fact.payment).ok_or("it has no case")?;
        case.differed.push((fact.bank, fact.state));
        self.see_final(fact.payment, lsn);
        Ok(())
    }

    /// The last request stands.
    fn ask(&mut self, fact: &fact::HeuristicAsked, wall_ms: u64) -> Result<(), String> {
        let entry = entry_mut(&mut self.payments, fact.payment)?;
        if entry.payment.decision().is_some() {
            return Err(format!("{} is decided", fact.payment));
        }
        let case = Case {
            decision: fact.decision,
            why: fact.why.clone(),
            asked_by: fact.by,
            asked_ms: wall_ms,
            approved: None,
            differed: Vec::new(),
            closed_ms: None,
        };
        self.cases.insert(fact.payment, case);
        Ok(())
    }

    /// It says all of the request again: a log that was made again begins with this.
    fn force(
        &mut self,
        fact: &fact::HeuristicDecided,
        lsn: Lsn,
        wall_ms: u64,
    ) -> Result<(), String> {
        let fact::HeuristicDecided { payment, decision, why, asked_by, approved_by } = fact;
        if asked_by == approved_by {
            return Err(format!("{asked_by} alone decided {payment}"));
        }
        self.decide(*payment, payment::Fact::Forced(*decision), *decision, (lsn, wall_ms))?;
        let asked_ms = self.cases.get(payment).map_or(wall_ms, |case| case.asked_ms);
        let case = Case {
            decision: *decision,
            why: why.clone(),
            asked_by: *asked_by,
            asked_ms,
            approved: Some((*approved_by, lsn)),
            differed: Vec::new(),
            closed_ms: None,
        };
        self.cases.insert(*payment, case);
        Ok(())
    }

    /// What was remembered of the lost journal says nothing about the new one.
    fn replace(&mut self, fact: &fact::BankReplaced) -> Result<(), String> {
        let bank = self.bank_mut(fact.bank)?;
        if bank.lineage != Some(fact.old) {
            return Err(format!("bank {} is not of {}", fact.bank, fact.old));
        }
        bank.lineage = Some(fact.new);
        bank.witness = None;
        Ok(())
    }

    fn join(&mut self, fact: &fact::BankJoined) -> Result<(), String> {
        if self.bank_index(fact.bank).is_some() {
            return Err(format!("bank {} has joined already", fact.bank));
        }
        if self.banks.len() == BANKS_MAX {
            return Err(format!("more than {BANKS_MAX} banks"));
        }
        self.banks.push(Bank { name: fact.bank, lineage: fact.lineage, witness: None });
        Ok(())
    }

    fn list(&mut self, fact: &fact::AccountListed) -> Result<(), String> {
        let bank = self.bank_index(fact.bank).ok_or_else(|| unknown_bank(fact.bank))?;
        let account = Account {
            bank,
            owner: fact.owner,
            currency: fact.currency,
            opening_minor: fact.opening_minor,
        };
        match self.accounts.insert(fact.account, account) {
            None => Ok(()),
            Some(_) => Err(format!("account {} is listed already", fact.account)),
        }
    }

    fn begin(&mut self, fact: &fact::Began, lsn: Lsn, wall_ms: u64) -> Result<(), String> {
        let order = &fact.order;
        let index = |name| self.bank_index(name).ok_or_else(|| unknown_bank(name));
        let (from, to) = (index(order.payer_bank)?, index(order.payee_bank)?);
        let parties = if from == to { Parties::ONE } else { Parties::BOTH };
        let entry = Entry {
            reference: order.reference,
            terms: order.terms.clone(),
            payer_bank: from,
            payee_bank: to,
            payment: Payment::began(parties),
            refused: false,
            began_lsn: lsn,
            began_ms: wall_ms,
            decided_lsn: Lsn::ZERO,
            decided_ms: 0,
            is_final: false,
        };
        self.file(order.reference, fact.payment)?;
        if self
            .payments
            .last_key_value()
            .is_some_and(|(last, _)| last.origin == fact.payment.origin && *last >= fact.payment)
        {
            return Err(format!("{} does not follow the payment before it", fact.payment));
        }
        self.payments.insert(fact.payment, entry);
        self.open.insert(fact.payment);
        self.by_client.entry(order.reference.client).or_default().push(fact.payment);
        Ok(())
    }

    /// Files the payment with its client's finals once its outcome is final.
    fn see_final(&mut self, payment: GlobalId, lsn: Lsn) {
        let Some(entry) = self.payments.get_mut(&payment) else { return };
        let all = entry.payment.settled() == entry.payment.parties;
        let done = entry.payment.carried_out();
        let is_final = match entry.payment.decision() {
            None => false,
            Some(Decision::Commit) => all,
            Some(Decision::Abort(_)) => all || entry.refused || done != Parties::NONE,
        };
        if is_final && !entry.is_final {
            entry.is_final = true;
            self.finals.entry(entry.reference.client).or_default().push((lsn, payment));
        }
    }

    /// Which attempt answers for a client's id. Within one lineage there is only one. A rebuilt log
    /// holds every attempt that the banks saw: one that committed wins, else the newest.
    fn file(&mut self, reference: Reference, payment: GlobalId) -> Result<(), String> {
        if let Some(before) = self.by_reference.get(&reference) {
            let own = self.lineage.map(Lineage::origin);
            if Some(before.origin) == own {
                return Err(format!("{reference} has begun already"));
            }
            if self.payments[before].payment.decision() == Some(Decision::Commit) {
                return Ok(());
            }
        }
        self.by_reference.insert(reference, payment);
        Ok(())
    }

    fn step(
        &mut self,
        payment: GlobalId,
        bank: BankName,
        fact: impl Fn(Party) -> payment::Fact,
    ) -> Result<&mut Entry, String> {
        let bank = self.bank_index(bank).ok_or_else(|| unknown_bank(bank))?;
        let entry = entry_mut(&mut self.payments, payment)?;
        let party = entry.party(bank).ok_or_else(|| format!("no participant of {payment}"))?;
        entry.advance(fact(party))?;
        Ok(entry)
    }

    /// The bank's log is at least this long, under the start that was met last.
    fn heard(&mut self, bank: BankName, lsn: u64) -> Result<(), String> {
        if let Some(witness) = &mut self.bank_mut(bank)?.witness {
            witness.lsn = witness.lsn.max(lsn);
        }
        Ok(())
    }

    fn bank_mut(&mut self, name: BankName) -> Result<&mut Bank, String> {
        self.banks.iter_mut().find(|bank| bank.name == name).ok_or_else(|| unknown_bank(name))
    }

    pub fn bank_index(&self, name: BankName) -> Option<BankIndex> {
        let index = self.banks.iter().position(|bank| bank.name == name)?;
        Some(BankIndex::try_from(index).expect("at most BANKS_MAX banks"))
    }

    pub fn bank(&self, index: BankIndex) -> &Bank {
        &self.banks[usize::from(index)]
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

    /// Does this log hold what `witness` remembers of it, written under that start?
    pub fn holds(&self, witness: &Witness) -> bool {
        witness::holds(self.lineage, &self.starts, self.last, witness)
    }

    /// The payment as it is told to a bank.
    pub fn order(&self, entry: &Entry) -> Order {
        Order {
            reference: entry.reference,
            terms: entry.terms.clone(),
            payer_bank: self.bank(entry.payer_bank).name,
            payee_bank: self.bank(entry.payee_bank).name,
        }
    }
}

impl Entry {
    fn advance(&mut self, fact: payment::Fact) -> Result<(), String> {
        self.payment =
            payment::evolve(self.payment, fact).map_err(|illegal| illegal.to_string())?;
        Ok(())
    }
}

fn entry_mut(
    payments: &mut BTreeMap<GlobalId, Entry>,
    payment: GlobalId,
) -> Result<&mut Entry, String> {
    payments.get_mut(&payment).ok_or_else(|| format!("{payment} has not begun"))
}

fn unknown_bank(name: BankName) -> String {
    format!("bank {name} has not joined")
}
