//! Balances, histories and queues: as tables for people, as JSON for scripts.
//!
//! The names in the JSON are public. Refuses to know where it is printed.

use super::outbox::Entry;
use super::words;
use crate::wire::v1;
use comfy_table::{Table, presets};
use recovery::model::major;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

#[derive(Debug, Clone, Serialize)]
pub struct BalanceJson {
    pub account_number: String,
    pub balance_minor: i64,
    pub available_minor: i64,
    pub held_minor: i64,
    pub currency_code: String,
    pub as_of_lsn: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct RecordJson {
    pub transaction_id: String,
    pub state: &'static str,
    pub reason: String,
    pub payer_account_number: String,
    pub recipient_account_number: String,
    pub amount_minor: i64,
    pub currency_code: String,
    pub memo: String,
    pub created_unix_ms: i64,
    pub decided_unix_ms: i64,
    pub lsn: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct EntryJson {
    pub transaction_id: String,
    /// new, sending, unknown or final.
    pub stage: &'static str,
    /// Of a final one: COMMITTED, ABORTED or REFUSED.
    pub state: Option<&'static str>,
    pub reason: String,
    pub recipient_account_number: String,
    pub amount_minor: i64,
    pub currency_code: String,
    pub memo: String,
    pub saved_unix_ms: u64,
    pub attempts: u32,
    pub note: String,
}

impl From<v1::BalanceResponse> for BalanceJson {
    fn from(balance: v1::BalanceResponse) -> Self {
        Self {
            account_number: balance.account_number,
            balance_minor: balance.balance_minor,
            available_minor: balance.available_minor,
            held_minor: balance.held_minor,
            currency_code: balance.currency_code,
            as_of_lsn: balance.as_of_lsn,
        }
    }
}

impl From<v1::PaymentRecord> for RecordJson {
    fn from(record: v1::PaymentRecord) -> Self {
        Self {
            state: state_name(record.state()),
            transaction_id: record.transaction_id,
            reason: record.reason,
            payer_account_number: record.payer_account_number,
            recipient_account_number: record.recipient_account_number,
            amount_minor: record.amount_minor,
            currency_code: record.currency_code,
            memo: record.memo,
            created_unix_ms: record.created_unix_ms,
            decided_unix_ms: record.decided_unix_ms,
            lsn: record.lsn,
        }
    }
}

impl From<&Entry> for EntryJson {
    fn from(entry: &Entry) -> Self {
        let outcome = entry.outcome.as_ref();
        Self {
            transaction_id: entry.draft.id.to_string(),
            stage: entry.stage().name(),
            state: outcome.map(|outcome| words::end_name(outcome.end)),
            reason: outcome.map(|outcome| outcome.reason.clone()).unwrap_or_default(),
            recipient_account_number: entry.draft.payee.to_string(),
            amount_minor: entry.draft.amount.minor(),
            currency_code: entry.draft.currency.to_string(),
            memo: entry.draft.memo.as_str().to_owned(),
            saved_unix_ms: entry.saved_unix_ms,
            attempts: entry.attempts,
            note: entry.note.clone(),
        }
    }
}

pub fn state_name(state: v1::PaymentState) -> &'static str {
    match state {
        v1::PaymentState::Committed => "COMMITTED",
        v1::PaymentState::Aborted => "ABORTED",
        v1::PaymentState::Pending => "PENDING",
        v1::PaymentState::Unspecified => "UNSPECIFIED",
    }
}

pub fn balance(balance: &BalanceJson) -> String {
    let money = |minor: i64| format!("{} {}", major(minor), balance.currency_code);
    let held = (balance.held_minor != 0).then(|| ("held", money(balance.held_minor)));
    let lines = [
        ("account", balance.account_number.clone()),
        ("balance", money(balance.balance_minor)),
        ("available", money(balance.available_minor)),
    ];
    let rows = lines.into_iter().chain(held);
    table(&[], rows.map(|(name, value)| vec![name.to_owned(), value]))
}

pub const HISTORY: [&str; 6] = ["WHEN (UTC)", "TRANSACTION", "TO", "AMOUNT", "STATE", "MEMO"];

pub fn history_row(record: &RecordJson) -> Vec<String> {
    let state = match record.reason.as_str() {
        "" => record.state.to_owned(),
        reason => format!("{} ({reason})", record.state),
    };
    vec![
        when(record.created_unix_ms),
        record.transaction_id.clone(),
        record.recipient_account_number.clone(),
        format!("{} {}", major(record.amount_minor), record.currency_code),
        state,
        record.memo.clone(),
    ]
}

pub const QUEUE: [&str; 6] = ["SAVED (UTC)", "TRANSACTION", "TO", "AMOUNT", "KNOWN", "BECAUSE"];

pub fn queue_row(entry: &EntryJson) -> Vec<String> {
    let known = match (entry.state, entry.stage) {
        (Some(state), _) if entry.reason.is_empty() => state.to_owned(),
        (Some(state), _) => format!("{state} ({})", entry.reason),
        (None, "new") => "not sent yet".to_owned(),
        (None, "sending") => "being sent".to_owned(),
        (None, _) => "sent, outcome unknown".to_owned(),
    };
    vec![
        when(i64::try_from(entry.saved_unix_ms).unwrap_or_default()),
        entry.transaction_id.clone(),
        entry.recipient_account_number.clone(),
        format!("{} {}", major(entry.amount_minor), entry.currency_code),
        known,
        entry.note.clone(),
    ]
}

/// Columns two spaces apart, nothing after the last.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// By whatever clock wrote it, to the second.
fn when(unix_ms: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let time = OffsetDateTime::from_unix_timestamp(unix_ms / 1_000).ok();
    time.and_then(|time| time.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_names_what_is_held_only_when_something_is() {
        let mut json = BalanceJson {
            account_number: "10000000000001".to_owned(),
            balance_minor: 975_000,
            available_minor: 975_000,
            held_minor: 0,
            currency_code: "INR".to_owned(),
            as_of_lsn: 3,
        };
        assert!(!balance(&json).contains("held"));
        json.held_minor = 25_000;
        insta::assert_snapshot!(balance(&json), @r"
        account    10000000000001
        balance    9750.00 INR
        available  9750.00 INR
        held       250.00 INR
        ");
    }

    #[test]
    fn a_history_is_a_line_a_payment() {
        let record = RecordJson {
            transaction_id: "rent-8".to_owned(),
            state: "ABORTED",
            reason: "TOO_LATE".to_owned(),
            payer_account_number: "10000000000001".to_owned(),
            recipient_account_number: "10000000000002".to_owned(),
            amount_minor: 25_000,
            currency_code: "INR".to_owned(),
            memo: "m".to_owned(),
            created_unix_ms: 1_786_000_000_000,
            decided_unix_ms: 0,
            lsn: 0,
        };
        insta::assert_snapshot!(table(&HISTORY, [history_row(&record)]), @r"
        WHEN (UTC)           TRANSACTION  TO              AMOUNT      STATE               MEMO
        2026-08-06 07:06:40  rent-8       10000000000002  250.00 INR  ABORTED (TOO_LATE)  m
        ");
    }
}
