//! One record of a log, decoded: a line of a list, of a stream, of an export.
//!
//! A decision names its payment only by the gateway's global id. Whose payment that is was said
//! when it began, and [`Names`] remembers it for as long as the payment is not over: what is kept
//! grows with the payments in flight and not with the log.

use super::moment;
use super::words::{Accounts, tell};
use recovery::fact::{BankFact, GatewayFact};
use recovery::model::{BankName, ClientId, GlobalId, Order, Reference};
use recovery::record::{AnyFact, decode_any};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use wal::{Position, Record};

/// The bytes of a record that are not its payload.
pub(super) const RECORD_OVERHEAD_BYTES: u64 = 28;

/// One record.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    pub lsn: u64,
    /// Its name, or `#` and its number where this version does not know it.
    pub kind: String,
    pub wall_ms: u64,
    pub payment: Option<String>,
    pub transaction_id: Option<String>,
    pub client_id: Option<String>,
    pub epoch: u64,
    pub segment: u64,
    /// In the segment's file.
    pub offset: u64,
    pub bytes: u64,
    pub crc: String,
    /// The fact's own.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    #[serde(skip)]
    pub words: String,
    /// This version cannot read it.
    #[serde(skip)]
    pub is_unknown: bool,
    #[serde(skip)]
    global: Option<GlobalId>,
    #[serde(skip)]
    banks: Vec<BankName>,
}

/// Which records are wanted. What is empty wants all.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A transaction id, `client/transaction_id`, or a global id.
    pub payment: Option<String>,
    pub client: Option<ClientId>,
    pub bank: Option<BankName>,
    /// Names of facts, heedless of case.
    pub kinds: Vec<String>,
    pub from: Option<moment::Moment>,
    pub to: Option<moment::Moment>,
}

/// Payments that are not over, by their global ids.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<GlobalId, (Reference, [BankName; 2])>,
}

impl Line {
    /// Decodes `record`. One that this version cannot read is a line too.
    pub fn read(
        record: &Record<'_>,
        position: &Position,
        names: &mut Names,
        accounts: Accounts,
    ) -> Self {
        let mut line = Self {
            lsn: record.lsn.get(),
            kind: format!("#{}", record.kind),
            wall_ms: record.wall_ms,
            payment: None,
            transaction_id: None,
            client_id: None,
            epoch: position.epoch,
            segment: position.segment,
            offset: position.record_offset,
            bytes: record.payload.len() as u64 + RECORD_OVERHEAD_BYTES,
            crc: format!("{:08x}", position.crc),
            fields: Map::new(),
            words: String::new(),
            is_unknown: false,
            global: None,
            banks: Vec::new(),
        };
        match decode_any(record) {
            Ok(fact) => line.tell(&fact, names, accounts),
            Err(error) => {
                line.is_unknown = true;
                line.words = error.to_string();
                line.fields.insert("error".to_owned(), line.words.clone().into());
            }
        }
        line
    }

    fn tell(&mut self, fact: &AnyFact, names: &mut Names, accounts: Accounts) {
        let told = tell(fact, accounts);
        name(fact).clone_into(&mut self.kind);
        self.words = told.words;
        names.learn(fact);
        let known = told.payment.and_then(|payment| names.known.get(&payment));
        if let Some((_, banks)) = known {
            self.banks.extend(banks);
        }
        let reference = told.reference.or(known.map(|(reference, _)| *reference));
        self.global = told.payment;
        self.payment = told.payment.map(|payment| payment.to_string());
        self.transaction_id = reference.map(|reference| reference.transaction.to_string());
        self.client_id = reference.map(|reference| reference.client.to_string());
        self.fields = told.fields;
        if let Some(client) = self.fields.remove("client_id") {
            self.client_id = client.as_str().map(str::to_owned);
        }
        let bank = self.fields.get("bank").and_then(Value::as_str);
        self.banks.extend(bank.and_then(|bank| bank.parse::<BankName>().ok()));
        names.forget(fact);
    }

    /// Is it about this payment? `text` is an id of any kind.
    pub fn is_of(&self, text: &str) -> bool {
        if self.payment.as_deref() == Some(text) || self.transaction_id.as_deref() == Some(text) {
            return true;
        }
        let (client, transaction) = (self.client_id.as_deref(), self.transaction_id.as_deref());
        text.split_once('/').is_some_and(|(c, t)| (Some(c), Some(t)) == (client, transaction))
    }

    /// The payment that it is about.
    pub fn global(&self) -> Option<GlobalId> {
        self.global
    }
}

impl Wanted {
    /// Is this line wanted, as far as it alone can tell?
    pub fn takes(&self, line: &Line) -> bool {
        let Self { payment, client, bank, kinds, from, to } = self;
        payment.as_ref().is_none_or(|payment| line.is_of(payment))
            && client.is_none_or(|client| line.client_id.as_deref() == Some(client.as_str()))
            && bank.is_none_or(|bank| line.banks.contains(&bank))
            && (kinds.is_empty() || kinds.iter().any(|kind| means(kind, &line.kind)))
            && from.is_none_or(|from| from.is_passed_by(line.lsn, line.wall_ms))
            && to.is_none_or(|to| to.reaches(line.lsn, line.wall_ms))
    }

    /// A kind that is wanted and that no log of this version can hold.
    pub fn unknown_kind(&self) -> Option<&str> {
        let known = |kind: &str| kinds().any(|name| means(kind, name));
        self.kinds.iter().map(String::as_str).find(|kind| !known(kind) && !kind.starts_with('#'))
    }
}

/// The kinds of the audit trail: who came in, who did not, what operators did.
const AUDIT: [&str; 3] = ["SessionOpened", "SessionClosed", "Audited"];

/// Is `name` the kind that `wanted` says, or one of those that it stands for?
fn means(wanted: &str, name: &str) -> bool {
    wanted.eq_ignore_ascii_case(name)
        || (wanted.eq_ignore_ascii_case("audit") && AUDIT.contains(&name))
}

/// The names of all kinds of facts.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    GatewayFact::KINDS.iter().chain(BankFact::KINDS).map(|(_, name)| *name)
}

/// The name of a fact.
pub fn name(fact: &AnyFact) -> &'static str {
    use recovery::record::Fact;
    match fact {
        AnyFact::Gateway(fact) => fact.name(),
        AnyFact::Bank(fact) => fact.name(),
    }
}

impl Names {
    fn learn(&mut self, fact: &AnyFact) {
        let mut learn = |payment: GlobalId, order: &Order| {
            let banks = [order.payer_bank, order.payee_bank];
            self.known.insert(payment, (order.reference, banks));
        };
        match fact {
            AnyFact::Gateway(GatewayFact::Began(fact)) => learn(fact.payment, &fact.order),
            AnyFact::Bank(BankFact::Held(fact)) => learn(fact.payment, &fact.order),
            AnyFact::Gateway(_) | AnyFact::Bank(_) => {}
        }
    }

    fn forget(&mut self, fact: &AnyFact) {
        let over = match fact {
            AnyFact::Gateway(GatewayFact::Ended(fact)) => fact.payment,
            AnyFact::Bank(BankFact::Posted(fact)) => fact.payment,
            AnyFact::Bank(BankFact::Released(fact)) => fact.payment,
            AnyFact::Gateway(_) | AnyFact::Bank(_) => return,
        };
        self.known.remove(&over);
    }
}
