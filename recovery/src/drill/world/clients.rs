//! Clients that want their payments done, and ask again under the same id until they know.

use super::host::Gateways;
use super::net::Packet;
use super::{BankService, Event, GatewayService, World};
use crate::gateway::{Input, Outcome, Rejection, Reply};
use crate::model::{AccountNumber, Amount, ClientId, Currency, Memo, Reference, Terms};

/// A person with an account.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) account: AccountNumber,
    /// Payments that it still wants to make.
    pub(super) to_make: u32,
    pub(super) made: u32,
    pub(super) wish: Option<Wish>,
}

/// A payment that its payer does not yet know the end of.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) reference: Reference,
    terms: Terms,
    /// Another program of the same client used the id first: the client only asks now.
    overtaken: bool,
}

/// A call under way.
#[derive(Clone, Debug)]
pub(super) struct Call {
    client: usize,
    pub(super) reference: Reference,
    /// `None`: it only asks.
    pub(super) terms: Option<Terms>,
}

impl<G: GatewayService, B: BankService> World<'_, G, B> {
    /// Nobody wants anything any more.
    pub(super) fn is_content(&self) -> bool {
        self.clients.iter().all(|client| client.wish.is_none() && client.to_make == 0)
    }

    pub(super) fn wake_client(&mut self, c: usize) {
        if self.clients[c].wish.is_none() {
            if self.clients[c].to_make == 0 {
                return;
            }
            self.wish(c);
        }
        let patience_ms = 20 + self.below(200);
        self.at(patience_ms, Event::Wake(c));
        let Some(wish) = self.clients[c].wish.clone() else { return };
        let asks = wish.overtaken || self.chance(250);
        let Wish { reference, terms, .. } = wish;
        self.call(c, reference, (!asks).then(|| terms.clone()));
        if !asks && self.chance(150) {
            self.tally("call-twice");
            self.call(c, reference, Some(terms.clone()));
        }
        if !asks && self.chance(60) {
            self.tally("id-reused");
            let amount = self.amount();
            self.call(c, reference, Some(Terms { amount, ..terms }));
        }
    }

    fn amount(&mut self) -> Amount {
        let minor = 1 + self.below(400) as i64;
        minor.try_into().expect("positive")
    }

    /// A new payment, to anybody but oneself.
    fn wish(&mut self, c: usize) {
        let amount = self.amount();
        let others = self.clients.len() as u64 - 1;
        let other = (c + 1 + self.below(others) as usize) % self.clients.len();
        let payee = self.clients[other].account;
        let client = &mut self.clients[c];
        client.to_make -= 1;
        client.made += 1;
        let transaction = format!("t{}", client.made).parse().expect("an id");
        let reference = Reference { client: client.id, transaction };
        let (currency, memo) = (Currency::INR, Memo::default());
        let terms = Terms { payer: client.account, payee, amount, currency, memo };
        client.wish = Some(Wish { reference, terms, overtaken: false });
    }

    fn call(&mut self, client: usize, reference: Reference, terms: Option<Terms>) {
        let running: Vec<_> =
            (0..self.gateways.len()).filter(|g| self.gateways[*g].process.is_some()).collect();
        let chosen = self.below(running.len() as u64) as usize;
        let Some(gateway) = running.get(chosen).copied() else { return };
        self.calls.push(Call { client, reference, terms });
        let call = self.calls.len() - 1;
        self.send(Packet::Call { call, gateway });
    }

    pub(super) fn deliver_call(&mut self, call: usize, gateway: usize) {
        let Call { reference, terms, .. } = self.calls[call].clone();
        let ticket = call as u64;
        let late_ms = if self.chance(100) { Some(self.below(30)) } else { None };
        let deadline_ms =
            late_ms.map(|late_ms| self.gateways[gateway].now(self.now_ms).mono_ms + late_ms);
        let input = match terms {
            Some(terms) => Input::Pay { ticket, reference, terms, deadline_ms },
            None => Input::Ask { ticket, reference },
        };
        self.feed::<Gateways>(gateway, input);
    }

    /// The client hears an answer to one of its calls.
    pub(super) fn hear(&mut self, call: usize, reply: &Reply) {
        let Call { client, reference, terms } = self.calls[call].clone();
        let Some(wish) = &mut self.clients[client].wish else { return };
        if wish.reference != reference {
            return;
        }
        match reply {
            Reply::Payment(answer) if answer.outcome != Outcome::Pending => {
                self.clients[client].wish = None;
                let think_ms = self.below(30);
                self.at(think_ms, Event::Wake(client));
            }
            Reply::Rejected(Rejection::IdReused(_)) if terms.as_ref() == Some(&wish.terms) => {
                wish.overtaken = true;
            }
            // Its beginning was lost with a crash: the id is free again.
            Reply::Rejected(Rejection::NeverSeen) => wish.overtaken = false,
            Reply::Payment(_)
            | Reply::Rejected(_)
            | Reply::Page(_)
            | Reply::Finals(_)
            | Reply::LetGo(_)
            | Reply::Done => {}
        }
    }
}
