//! The gateway's side of each bank: greeting it, believing its reports, and saying again what it
//! has not answered.
//!
//! Nothing is said to a bank of ours before Hello has passed. Hello fences off earlier starts,
//! compares what each side remembers of the other's log, and brings to light the holds that a crash
//! left without a payment.

use super::coordinator::{Coordinator, GatewayTurn};
use super::state::BankIndex;
use super::{Action, Halt, Warning};
use crate::drill::mutant::{self, Mutant};
use crate::fact;
use crate::message::{Hello, Instruction, Report, Unwelcome, Welcome};
use crate::model::{BankName, GlobalId, HoldState, Reason, Start, Vote, Witness};
use crate::payment::{Event, Phase};
use std::collections::BTreeMap;

/// What only a running gateway knows of a bank.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Link {
    status: LinkStatus,
    /// It has passed Hello in this epoch, whatever became of it since.
    heard: bool,
    /// What it remembers of this log, which this log was found to hold.
    checked: Option<Witness>,
    /// Where it said at its last Hello that payments of earlier starts stand.
    pub(super) said: BTreeMap<GlobalId, HoldState>,
    /// Payments for which it owes an answer, and when it was last told (monotonic ms).
    pub(super) awaited: BTreeMap<GlobalId, u64>,
}

/// Can a bank be driven?
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkStatus {
    Away {
        why: String,
    },
    /// `start` of the bank that was greeted; `None` where foreign.
    Ready {
        start: Option<Start>,
    },
}

impl Link {
    pub(super) fn away(why: &str) -> Self {
        let status = LinkStatus::Away { why: why.to_owned() };
        let (said, awaited) = (BTreeMap::new(), BTreeMap::new());
        Self { status, heard: false, checked: None, said, awaited }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.status, LinkStatus::Ready { .. })
    }
}

impl Coordinator {
    /// The Hello for a bank of ours. `durable_lsn` is how far this gateway's log is durable: only
    /// durable numbers are ever said.
    pub fn hello(&self, bank: BankIndex, durable_lsn: u64) -> Hello {
        let remembered = self.state.bank(bank);
        let undecided = self.state.open.iter().copied();
        Hello {
            gateway: self.start,
            gateway_lsn: durable_lsn,
            bank: remembered.name,
            checked: self.links[usize::from(bank)].checked,
            remembered: remembered.witness,
            undecided: undecided.filter(|payment| self.interrupted(*payment)).collect(),
        }
    }

    /// When `bank` was last told of a payment for which it owes an answer, in monotonic
    /// milliseconds; 0 if never. `None`: it owes none.
    pub fn told_ms(&self, bank: BankIndex, payment: GlobalId) -> Option<u64> {
        self.links[usize::from(bank)].awaited.get(&payment).copied()
    }

    pub fn link(&self, bank: BankIndex) -> (&LinkStatus, usize) {
        let link = &self.links[usize::from(bank)];
        (&link.status, link.awaited.len())
    }

    /// Begun by an earlier start and not decided.
    pub(super) fn interrupted(&self, payment: GlobalId) -> bool {
        let undecided = self.state.payments[&payment].payment.decision().is_none();
        let current = self.is_own(payment) && payment.epoch == self.start.epoch;
        undecided && !current
    }

    /// Settled on all sides, and a crash took the record that says so.
    pub(super) fn lacks_its_end(&self, payment: GlobalId) -> bool {
        let payment = self.state.payments[&payment].payment;
        payment.decision().is_some() && payment.awaited().is_empty()
    }

    pub(super) fn welcomed(&mut self, bank: BankIndex, welcome: &Welcome, turn: &mut GatewayTurn) {
        let known = self.state.bank(bank).clone();
        if welcome.bank.cluster != self.start.cluster || Some(welcome.bank.lineage) != known.lineage
        {
            let why = "its data directory is not the one that joined".to_owned();
            self.links[usize::from(bank)].status = LinkStatus::Away { why: why.clone() };
            return turn.now.push(Action::Warn(Warning::NotLetIn { bank: known.name, why }));
        }
        for (payment, state) in &welcome.states {
            if *state == HoldState::Posted {
                let halt = Halt::DecisionLost { bank: known.name, payment: *payment };
                return turn.now.push(Action::Halt(halt));
            }
        }
        self.links[usize::from(bank)].said = welcome.states.iter().copied().collect();
        let Start { lineage, epoch, start_id, .. } = welcome.bank;
        let witness = Witness { lineage, start_id, lsn: welcome.bank_lsn };
        self.remember(fact::BankMet { bank: known.name, epoch, witness }.into(), turn);
        self.ready(bank, Some(welcome.bank), turn);
        self.adopt(bank, &welcome.open_holds, turn);
    }

    pub(super) fn reached(&mut self, bank: BankIndex, turn: &mut GatewayTurn) {
        if self.state.bank(bank).lineage.is_none() {
            self.ready(bank, None, turn);
        }
    }

    fn ready(&mut self, bank: BankIndex, start: Option<Start>, turn: &mut GatewayTurn) {
        let link = &mut self.links[usize::from(bank)];
        link.status = LinkStatus::Ready { start };
        link.heard = true;
        self.say_again(bank, turn);
        self.settle_heard(turn);
    }

    pub(super) fn lost(&mut self, bank: BankIndex, why: &str) {
        self.links[usize::from(bank)].status = LinkStatus::Away { why: why.to_owned() };
    }

    /// What a refused Hello means for this start.
    pub(super) fn turned_away(
        &mut self,
        bank: BankIndex,
        unwelcome: &Unwelcome,
        turn: &mut GatewayTurn,
    ) {
        let name = self.state.bank(bank).name;
        match unwelcome {
            Unwelcome::Prove { remembered } => {
                if self.state.holds(remembered) {
                    self.links[usize::from(bank)].checked = Some(*remembered);
                    return;
                }
                let (last, remembered) = (self.state.last.get(), remembered.lsn);
                turn.now.push(Action::Halt(Halt::LogLost { bank: name, last, remembered }));
            }
            Unwelcome::Fenced { fenced, offered } => {
                let (fenced, offered) = (*fenced, *offered);
                turn.now.push(Action::Halt(Halt::Fenced { bank: name, fenced, offered }));
            }
            Unwelcome::OtherBank { .. }
            | Unwelcome::OtherCluster
            | Unwelcome::NotAdmitted
            | Unwelcome::JournalLost { .. } => {
                let why = unwelcome.to_string();
                turn.now.push(Action::Warn(Warning::NotLetIn { bank: name, why }));
            }
        }
        self.lost(bank, &unwelcome.to_string());
    }

    /// Has every participant passed Hello in this epoch?
    pub(super) fn all_heard(&self, payment: GlobalId) -> bool {
        let entry = &self.state.payments[&payment];
        let heard = |party| self.links[usize::from(entry.bank(party))].heard;
        mutant::is(Mutant::AbortUnheard) || entry.payment.parties.iter().all(heard)
    }

    pub(super) fn reported(
        &mut self,
        bank: BankIndex,
        from: Option<Start>,
        bank_lsn: u64,
        reports: &[Report],
        turn: &mut GatewayTurn,
    ) {
        // A start of the bank that has not been greeted, or is over, is not listened to.
        if self.links[usize::from(bank)].status != (LinkStatus::Ready { start: from }) {
            return;
        }
        for report in reports {
            self.believe(bank, bank_lsn, *report, turn);
        }
    }

    fn believe(&mut self, bank: BankIndex, lsn: u64, report: Report, turn: &mut GatewayTurn) {
        let Report { payment, state, alarm } = report;
        let name = self.state.bank(bank).name;
        let Some(entry) = self.state.payments.get(&payment) else {
            return self.believe_of_unknown(bank, report, turn);
        };
        let Some(party) = entry.party(bank) else {
            return turn.now.push(Action::Warn(Warning::Stranger { bank: name, payment }));
        };
        let preparing = matches!(entry.payment.phase, Phase::Preparing { .. });
        let event = match state {
            _ if alarm => return turn.now.push(self.contradiction(bank, payment, state)),
            // The votes of an interrupted payment no longer count: it is aborted when all are
            // heard.
            HoldState::Held | HoldState::Refused(_) if self.interrupted(payment) => return,
            // A late copy of the prepare, answered by a bank that was told to forget the payment.
            HoldState::Refused(Reason::TooLate) if entry.is_over() => return,
            HoldState::Held if preparing => Event::Voted(party, Vote::Ready),
            HoldState::Held | HoldState::Unknown => return,
            HoldState::Refused(reason) if preparing => Event::Voted(party, Vote::Refused(reason)),
            HoldState::Posted | HoldState::Released | HoldState::Refused(_) => {
                Event::Settled(party, state)
            }
        };
        self.advance(payment, event, lsn, turn);
    }

    /// A report on a payment that this log does not know. Of an orphan it is what was asked for,
    /// and a late copy of that is nothing new. What was posted was committed by a log that held
    /// more.
    fn believe_of_unknown(&mut self, bank: BankIndex, report: Report, turn: &mut GatewayTurn) {
        let Report { payment, state, .. } = report;
        match state {
            HoldState::Posted if self.is_own(payment) => {
                turn.now.push(self.contradiction(bank, payment, state));
            }
            HoldState::Posted | HoldState::Held => {
                let name = self.state.bank(bank).name;
                turn.now.push(Action::Warn(Warning::Stranger { bank: name, payment }));
            }
            HoldState::Unknown | HoldState::Released | HoldState::Refused(_) => {
                self.orphans.remove(&(bank, payment));
            }
        }
    }

    /// A bank of ours that posted what was not committed proves that this log lost a decision. All
    /// else is for a person to look at: the payment stays in doubt and in sight.
    pub(super) fn contradiction(
        &self,
        bank: BankIndex,
        payment: GlobalId,
        state: HoldState,
    ) -> Action {
        let known = self.state.bank(bank);
        let bank = known.name;
        if state == HoldState::Posted && known.lineage.is_some() {
            return Action::Halt(Halt::DecisionLost { bank, payment });
        }
        Action::Warn(Warning::Contradiction { bank, payment, state })
    }

    pub(super) fn inquired(
        &mut self,
        bank: BankIndex,
        open_holds: Vec<(GlobalId, Vec<BankName>)>,
        turn: &mut GatewayTurn,
    ) {
        if !self.links[usize::from(bank)].is_ready() {
            return;
        }
        for (payment, _) in &open_holds {
            if self.state.payments.contains_key(payment) {
                self.remind(bank, *payment, turn);
            }
        }
        self.adopt(bank, &open_holds, turn);
    }

    /// Holds of earlier starts that this log knows nothing of: their `Began` was lost with the
    /// crash, so nobody was told a commit. They are aborted once every participant has been heard;
    /// if this log had lost more than that, one of them would have said so.
    fn adopt(
        &mut self,
        bank: BankIndex,
        open_holds: &[(GlobalId, Vec<BankName>)],
        turn: &mut GatewayTurn,
    ) {
        for (payment, participants) in open_holds {
            if self.state.payments.contains_key(payment) {
                continue;
            }
            if !self.is_own(*payment) || payment.epoch >= self.start.epoch {
                let name = self.state.bank(bank).name;
                turn.now.push(Action::Warn(Warning::Stranger { bank: name, payment: *payment }));
                continue;
            }
            self.orphans.insert((bank, *payment), participants.clone());
        }
        self.abort_orphans(turn);
    }

    pub(super) fn abort_orphans(&mut self, turn: &mut GatewayTurn) {
        let heard = |name: &BankName| {
            let index = self.state.bank_index(*name);
            index.is_some_and(|index| self.links[usize::from(index)].heard)
        };
        for ((bank, payment), participants) in &self.orphans {
            let ready = self.links[usize::from(*bank)].is_ready();
            let unheard = mutant::is(Mutant::AbortUnheard);
            let stands_still = self.is_held_up(*payment);
            if ready && !stands_still && (unheard || participants.iter().all(heard)) {
                let instruction = Instruction::Abort { payment: *payment, aborted: None };
                turn.now.push(Action::Tell { bank: *bank, instruction });
            }
        }
    }

    /// The instruction for a bank, if it can be driven; what is not said now is said when it can.
    pub(super) fn tell(
        &mut self,
        bank: BankIndex,
        payment: GlobalId,
        instruction: Instruction,
    ) -> Vec<Action> {
        let link = &mut self.links[usize::from(bank)];
        if !link.is_ready() {
            return Vec::new();
        }
        if let Some(told_ms) = link.awaited.get_mut(&payment) {
            *told_ms = self.now.mono_ms;
        }
        vec![Action::Tell { bank, instruction }]
    }

    /// Says again what a bank has not answered.
    pub(super) fn remind(&mut self, bank: BankIndex, payment: GlobalId, turn: &mut GatewayTurn) {
        // The banks of an interrupted payment are asked at Hello, not prepared again.
        if self.interrupted(payment) || self.is_held_up(payment) {
            return;
        }
        if let Some(party) = self.state.payments[&payment].party(bank) {
            self.advance(payment, Event::Silent(party), 0, turn);
        }
    }

    pub(super) fn retry(&mut self, turn: &mut GatewayTurn) {
        if self.now.mono_ms < self.retry_due_ms {
            return;
        }
        self.retry_due_ms = self.now.mono_ms + self.settings.retry_ms;
        let silent_since = self.now.mono_ms.saturating_sub(self.settings.retry_ms);
        let mut silent = Vec::new();
        for (bank, link) in (0..).zip(&self.links).filter(|(_, link)| link.is_ready()) {
            let unanswered = link.awaited.iter().filter(|(_, told_ms)| **told_ms <= silent_since);
            silent.extend(unanswered.map(|(payment, _)| (bank, *payment)));
        }
        for (bank, payment) in silent {
            self.remind(bank, payment, turn);
        }
        self.abort_orphans(turn);
    }

    /// Tells the banks through which payment everything is over on all sides. It waits until every
    /// `Ended` that it rests on is durable.
    pub(super) fn forget(&mut self, turn: &mut GatewayTurn) {
        if self.now.mono_ms < self.forget_due_ms {
            return;
        }
        self.forget_due_ms = self.now.mono_ms + self.settings.forget_ms;
        let first_open = self.state.open.iter().find(|payment| self.is_own(**payment));
        let mut over = match first_open {
            Some(open) => self.state.payments.range(..open),
            None => self.state.payments.range(..),
        };
        let through = over.rfind(|(payment, _)| self.is_own(**payment)).map(|(id, _)| *id);
        let Some(through) = through.filter(|id| self.forgotten < Some(*id)) else { return };
        self.forgotten = Some(through);
        for bank in 0..self.state.banks.len() {
            let bank = BankIndex::try_from(bank).expect("few banks");
            if self.links[usize::from(bank)].is_ready() && self.state.bank(bank).lineage.is_some() {
                let instruction = Instruction::Forget { through };
                turn.after(self.state.last, Action::Tell { bank, instruction });
            }
        }
    }
}
