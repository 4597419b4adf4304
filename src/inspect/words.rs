//! A fact in words and in fields: what a person reads, and what a script does.
//!
//! Fields have the names of the wire where the wire has them; amounts are minor units beside their
//! currency, identities are hexadecimal. The names are public. What is secret, or nearly, is not in
//! the log to begin with; accounts are masked unless told otherwise.

use recovery::fact::{
    AuditEvent, BankFact, GatewayFact, HeuristicAsked, HeuristicDecided, HeuristicDiffered,
    HeuristicObeyed,
};
use recovery::model::{
    Aborted, AccountNumber, Decision, GlobalId, HoldState, Order, Reference, Vote, major,
};
use recovery::record::AnyFact;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What a fact says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The payment it is about.
    pub payment: Option<GlobalId>,
    /// The client's name for that, where the fact carries it.
    pub reference: Option<Reference>,
    pub words: String,
    pub fields: Map<String, Value>,
}

/// How accounts are written.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Accounts {
    /// All but the last four digits hidden.
    Masked,
    Whole,
}

impl Accounts {
    pub fn show(self, account: AccountNumber) -> String {
        match self {
            Self::Masked => account.masked(),
            Self::Whole => account.to_string(),
        }
    }
}

/// A sum as money.
pub fn money(minor: i64, currency: impl std::fmt::Display) -> String {
    format!("{} {currency}", major(minor))
}

/// A vote, in the words of the mirror.
pub fn vote_word(vote: Vote) -> &'static str {
    match vote {
        Vote::Ready => "READY",
        Vote::Refused(reason) => reason.name(),
    }
}

/// Where a payment stands at a bank.
pub fn state_word(state: HoldState) -> String {
    match state {
        HoldState::Unknown => "UNKNOWN".to_owned(),
        HoldState::Held => "HELD".to_owned(),
        HoldState::Posted => "POSTED".to_owned(),
        HoldState::Released => "RELEASED".to_owned(),
        HoldState::Refused(reason) => format!("REFUSED ({reason})"),
    }
}

fn told(words: String, fields: Value) -> Told {
    let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
    Told { payment: None, reference: None, words, fields }
}

impl Told {
    fn about(mut self, payment: GlobalId) -> Self {
        self.payment = Some(payment);
        self
    }

    fn called(mut self, reference: Reference) -> Self {
        self.reference = Some(reference);
        self
    }
}

/// What `fact` says.
pub fn tell(fact: &AnyFact, accounts: Accounts) -> Told {
    match fact {
        AnyFact::Gateway(fact) => gateway(fact, accounts),
        AnyFact::Bank(fact) => bank(fact, accounts),
    }
}

fn order_words(order: &Order, accounts: Accounts) -> String {
    let terms = &order.terms;
    let memo = match terms.memo.as_str() {
        "" => String::new(),
        memo => format!(" {memo:?}"),
    };
    format!(
        "{} from {} ({}) to {} ({}){memo}",
        money(terms.amount.minor(), terms.currency),
        accounts.show(terms.payer),
        order.payer_bank,
        accounts.show(terms.payee),
        order.payee_bank,
    )
}

fn order_fields(order: &Order, accounts: Accounts) -> Value {
    let terms = &order.terms;
    json!({
        "amount_minor": terms.amount.minor(),
        "currency_code": terms.currency.to_string(),
        "payer_account_number": accounts.show(terms.payer),
        "recipient_account_number": accounts.show(terms.payee),
        "payer_bank": order.payer_bank.as_str(),
        "recipient_bank": order.payee_bank.as_str(),
        "memo": terms.memo.as_str(),
    })
}

fn opening(
    account: AccountNumber,
    owner: recovery::model::ClientId,
    opening_minor: i64,
    currency: recovery::model::Currency,
    bank: Option<&str>,
    accounts: Accounts,
) -> Told {
    let account = accounts.show(account);
    let mut fields = json!({
        "account_number": account,
        "client_id": owner.as_str(),
        "opening_minor": opening_minor,
        "currency_code": currency.to_string(),
    });
    let mut words = format!("{account} of {owner} with {}", money(opening_minor, currency));
    if let Some(bank) = bank {
        fields["bank"] = bank.into();
        words = format!("{words} at {bank}");
    }
    told(words, fields)
}

fn gateway(fact: &GatewayFact, accounts: Accounts) -> Told {
    match fact {
        GatewayFact::Initialised(fact) => told(
            format!("lineage {}", fact.lineage),
            json!({"cluster": fact.cluster.to_string(), "lineage": fact.lineage.to_string()}),
        ),
        GatewayFact::Started(fact) => started(fact.epoch, fact.start_id, &fact.version),
        GatewayFact::Stopped(_) => told("in order".to_owned(), json!({})),
        GatewayFact::BankJoined(fact) => {
            let lineage = fact.lineage.map(|lineage| lineage.to_string());
            let words = lineage.clone().map_or("foreign".to_owned(), |it| format!("lineage {it}"));
            told(
                format!("{}, {words}", fact.bank),
                json!({"bank": fact.bank.as_str(), "lineage": lineage}),
            )
        }
        GatewayFact::AccountListed(fact) => {
            let bank = Some(fact.bank.as_str());
            opening(fact.account, fact.owner, fact.opening_minor, fact.currency, bank, accounts)
        }
        GatewayFact::BankMet(fact) => told(
            format!("{} epoch {}, durable to {}", fact.bank, fact.epoch, fact.witness.lsn),
            json!({
                "bank": fact.bank.as_str(),
                "bank_epoch": fact.epoch,
                "bank_lsn": fact.witness.lsn,
                "start_id": fact.witness.start_id.to_string(),
            }),
        ),
        GatewayFact::BankReplaced(fact) => told(
            format!("{}: {} takes the place of {}", fact.bank, fact.new, fact.old),
            json!({"bank": fact.bank.as_str(), "old": fact.old.to_string(),
                   "new": fact.new.to_string()}),
        ),
        GatewayFact::LogMended(fact) => {
            mended(fact.segment, fact.offset, fact.first_lsn, fact.records, &fact.kept)
        }
        GatewayFact::Began(fact) => {
            let words = order_words(&fact.order, accounts);
            let told = told(words, order_fields(&fact.order, accounts));
            told.about(fact.payment).called(fact.order.reference)
        }
        GatewayFact::Voted(fact) => told(
            format!("{} {}", fact.bank, vote_word(fact.vote)),
            json!({"bank": fact.bank.as_str(), "vote": vote_word(fact.vote),
                   "bank_lsn": fact.bank_lsn}),
        )
        .about(fact.payment),
        GatewayFact::Decided(fact) => decided(fact.decision).about(fact.payment),
        GatewayFact::Settled(fact) => told(
            format!("{} {}", fact.bank, state_word(fact.state)),
            json!({"bank": fact.bank.as_str(), "state": state_word(fact.state),
                   "bank_lsn": fact.bank_lsn}),
        )
        .about(fact.payment),
        GatewayFact::HeuristicAsked(fact) => asked_by_hand(fact),
        GatewayFact::HeuristicDecided(fact) => decided_by_hand(fact),
        GatewayFact::HeuristicDiffered(fact) => differed(fact),
        GatewayFact::Ended(fact) => {
            told("all have settled".to_owned(), json!({})).about(fact.payment)
        }
        GatewayFact::SessionOpened(fact) => told(
            format!("{} until {}", fact.client, super::moment::shown(fact.expires_ms)),
            json!({"client_id": fact.client.as_str(), "expires_at_unix_ms": fact.expires_ms}),
        ),
        GatewayFact::SessionClosed(_) => told("signed out".to_owned(), json!({})),
        GatewayFact::Audited(fact) => audited(fact),
    }
}

fn audited(fact: &recovery::fact::Audited) -> Told {
    let what = match fact.what {
        AuditEvent::SignInRefused => "sign-in refused",
        AuditEvent::CallRefused => "call refused",
        AuditEvent::Operated => "operated",
    };
    let who = fact.client.map_or("nobody known".to_owned(), |client| client.to_string());
    let mut words = format!("{what}: {who}, {}", fact.method);
    if !fact.reason.is_empty() {
        words = format!("{words} ({})", fact.reason);
    }
    if fact.left_out > 0 {
        words = format!("{words}, after {} more", fact.left_out);
    }
    let certificate = fact.certificate_sha256.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    told(
        words,
        json!({"event": what, "client_id": fact.client.map(|client| client.to_string()),
               "certificate_sha256": certificate, "method": fact.method, "reason": fact.reason,
               "left_out": fact.left_out}),
    )
}

fn mended(segment: u64, offset: u64, first_lsn: u64, records: u32, kept: &str) -> Told {
    told(
        format!("{records} records from {first_lsn} on put back, the damaged file is {kept}"),
        json!({"mended_segment": segment, "mended_offset": offset, "first_lsn": first_lsn,
               "mended_records": records, "kept": kept}),
    )
}

fn asked_by_hand(fact: &HeuristicAsked) -> Told {
    let who = json!({"asked_by": fact.by.as_str()});
    by_hand("asked for", fact.decision, fact.why.as_str(), who).about(fact.payment)
}

fn decided_by_hand(fact: &HeuristicDecided) -> Told {
    let HeuristicDecided { asked_by, approved_by, .. } = fact;
    let who = json!({"asked_by": asked_by.as_str(), "approved_by": approved_by.as_str()});
    by_hand("decided", fact.decision, fact.why.as_str(), who).about(fact.payment)
}

fn obeyed(fact: &HeuristicObeyed) -> Told {
    let HeuristicObeyed { asked_by, approved_by, .. } = fact;
    let who = json!({"asked_by": asked_by.as_str(), "approved_by": approved_by.as_str(),
                     "gateway_lsn": fact.heard.lsn});
    by_hand("told", fact.decision, fact.why.as_str(), who).about(fact.payment)
}

fn differed(fact: &HeuristicDiffered) -> Told {
    told(
        format!("HEURISTIC, MIXED: {} did {}", fact.bank, state_word(fact.state)),
        json!({"heuristic": true, "mixed": true, "bank": fact.bank.as_str(),
               "state": state_word(fact.state), "bank_lsn": fact.bank_lsn}),
    )
    .about(fact.payment)
}

/// What operators did.
fn by_hand(what: &str, decision: Decision, why: &str, mut fields: Value) -> Told {
    let word = if decision == Decision::Commit { "COMMIT" } else { "ABORT" };
    let who = ["asked_by", "approved_by"].map(|field| fields[field].as_str());
    let who: Vec<&str> = who.into_iter().flatten().collect();
    let words = format!("HEURISTIC {word} {what} by {}: {why}", who.join(" and "));
    fields["heuristic"] = true.into();
    fields["decision"] = word.into();
    fields["why"] = why.into();
    told(words, fields)
}

fn decided(decision: Decision) -> Told {
    match decision {
        Decision::Commit => told("COMMIT".to_owned(), json!({"decision": "COMMIT"})),
        Decision::Abort(reason) => {
            told(format!("ABORT ({reason})"), json!({"decision": "ABORT", "reason": reason.name()}))
        }
    }
}

fn started(epoch: u64, start_id: recovery::model::StartId, version: &str) -> Told {
    told(
        format!("epoch {epoch}, version {version}"),
        json!({"start_epoch": epoch, "start_id": start_id.to_string(), "version": version}),
    )
}

fn bank(fact: &BankFact, accounts: Accounts) -> Told {
    let heard = |heard: recovery::model::Heard| json!({"gateway_lsn": heard.lsn});
    match fact {
        BankFact::Founded(fact) => told(
            format!("{}, lineage {}", fact.bank, fact.lineage),
            json!({"bank": fact.bank.as_str(), "cluster": fact.cluster.to_string(),
                   "lineage": fact.lineage.to_string(), "gateway": fact.gateway.to_string()}),
        ),
        BankFact::BankStarted(fact) => started(fact.epoch, fact.start_id, &fact.version),
        BankFact::BankStopped(_) => told("in order".to_owned(), json!({})),
        BankFact::AccountOpened(fact) => {
            opening(fact.account, fact.owner, fact.opening_minor, fact.currency, None, accounts)
        }
        BankFact::Fenced(fact) => told(
            format!("gateway epoch {}, durable to {}", fact.epoch, fact.gateway_lsn),
            json!({"gateway": fact.gateway.to_string(), "gateway_epoch": fact.epoch,
                   "start_id": fact.start_id.to_string(), "gateway_lsn": fact.gateway_lsn}),
        ),
        BankFact::GatewayReplaced(fact) => told(
            format!("{} takes the place of {}", fact.new, fact.old),
            json!({"old": fact.old.to_string(), "new": fact.new.to_string()}),
        ),
        BankFact::JournalMended(fact) => {
            mended(fact.segment, fact.offset, fact.first_lsn, fact.records, &fact.kept)
        }
        BankFact::Held(fact) => {
            let mut fields = order_fields(&fact.order, accounts);
            fields["gateway_lsn"] = fact.heard.lsn.into();
            let told = told(order_words(&fact.order, accounts), fields);
            told.about(fact.payment).called(fact.order.reference)
        }
        BankFact::Refused(fact) => {
            let mut fields = heard(fact.heard);
            fields["reason"] = fact.reason.name().into();
            let told = told(fact.reason.to_string(), fields);
            told.about(fact.payment).called(fact.reference)
        }
        BankFact::Posted(fact) => {
            told("balances changed".to_owned(), heard(fact.heard)).about(fact.payment)
        }
        BankFact::Released(fact) => {
            let mut fields = heard(fact.heard);
            let reason = fact.reason.map(|reason| {
                fields["reason"] = reason.name().into();
                format!(": {reason}")
            });
            let said = format!("the hold was let go{}", reason.unwrap_or_default());
            told(said, fields).about(fact.payment)
        }
        BankFact::Tombstoned(fact) => {
            let Some(Aborted { order, reason }) = &fact.aborted else {
                let said = "aborted before it was prepared".to_owned();
                return told(said, heard(fact.heard)).about(fact.payment);
            };
            let mut fields = order_fields(order, accounts);
            fields["gateway_lsn"] = fact.heard.lsn.into();
            fields["reason"] = reason.name().into();
            let said = format!("aborted before it was prepared: {reason}");
            told(said, fields).about(fact.payment).called(order.reference)
        }
        BankFact::HeuristicObeyed(fact) => obeyed(fact),
        BankFact::Forgot(fact) => {
            let through = fact.through.to_string();
            told(format!("all through {through}"), json!({"through": through}))
        }
    }
}
