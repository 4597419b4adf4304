//! A run in words, for the person who has to understand it. Nothing is put into words unless asked
//! for, and nothing here changes what happens.

use super::{BankService, GatewayService, Place, World};
use crate::gateway::{Outcome, Reply};
use crate::message::{Instruction, Report};
use crate::model::{GlobalId, HoldState};
use crate::record::Fact;

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    fn name_of(&self, place: Place) -> String {
        match place {
            Place::Gateway(0) => "the gateway".into(),
            Place::Gateway(_) => "the copied gateway".into(),
            Place::Bank(b) => self.names[b].to_string(),
        }
    }

    /// A payment by its client's name for it, with the attempt where a name can have several.
    fn payment(&self, payment: GlobalId) -> String {
        match self.called.get(&payment) {
            Some(reference) if G::PROMISES => format!("{reference} ({payment})"),
            Some(reference) => reference.to_string(),
            None => payment.to_string(),
        }
    }

    pub(super) fn note_place(&mut self, place: Place, what: impl FnOnce() -> String) {
        if self.options.trace {
            let line = format!("{} {}", self.name_of(place), what());
            self.note(|| line);
        }
    }

    pub(super) fn note_fact<F: Fact + std::fmt::Debug>(&mut self, place: Place, fact: &F) {
        if !self.options.trace {
            return;
        }
        let all = format!("{fact:?}");
        let about = self.called.iter().find(|(payment, _)| all.contains(&payment.to_string()));
        let about = about.map(|(_, reference)| format!(" {reference}")).unwrap_or_default();
        self.note_place(place, || format!("has on disk: {}{about}  {all}", fact.name()));
    }

    pub(super) fn note_instruction(&mut self, g: usize, b: usize, instruction: &Instruction) {
        if !self.options.trace {
            return;
        }
        if let Instruction::Prepare { payment, order } = instruction {
            self.called.insert(*payment, order.reference);
        }
        let what = match instruction {
            Instruction::Prepare { payment, order } => {
                let amount = order.terms.amount.minor();
                format!("asks for a vote on {}, {amount} minor units", self.payment(*payment))
            }
            Instruction::Commit { payment, .. } => {
                format!("says commit {}", self.payment(*payment))
            }
            Instruction::Abort { payment, .. } => format!("says abort {}", self.payment(*payment)),
            Instruction::Force { payment, decision, .. } => {
                format!("says {decision:?} by hand of {}", self.payment(*payment))
            }
            Instruction::Forget { through } => format!("says forget all through {through}"),
        };
        let bank = self.name_of(Place::Bank(b));
        self.note_place(Place::Gateway(g), || format!("to {bank}: {what}"));
    }

    pub(super) fn note_report(&mut self, b: usize, report: &Report) {
        if !self.options.trace {
            return;
        }
        let payment = self.payment(report.payment);
        let what = match report.state {
            HoldState::Unknown => format!("knows nothing of {payment}"),
            HoldState::Held => format!("votes yes on {payment}"),
            HoldState::Posted => format!("has posted {payment}"),
            HoldState::Released => format!("has let go of {payment}"),
            HoldState::Refused(reason) => format!("votes no on {payment}: {reason}"),
        };
        self.note_place(Place::Bank(b), || what);
    }

    pub(super) fn note_answer(&mut self, g: usize, call: usize, reply: &Reply) {
        if !self.options.trace {
            return;
        }
        let asked = self.calls[call].reference;
        let what = match reply {
            Reply::Payment(answer) => match answer.outcome {
                Outcome::Pending => "PENDING".into(),
                Outcome::Committed => "COMMITTED".into(),
                Outcome::Aborted(reason) => format!("ABORTED, {reason}"),
            },
            Reply::Rejected(rejection) => rejection.to_string(),
            Reply::Page(_) | Reply::Finals(_) | Reply::LetGo(_) | Reply::Done => "done".into(),
        };
        self.note_place(Place::Gateway(g), || format!("answers {asked}: {what}"));
    }
}
