//! One record as the page reads it: what became true, in fields and in words.
//!
//! The words and the names of the fields are those of `strife wal ls`. Accounts are masked.

use crate::inspect::line::name;
use crate::inspect::words::{Accounts, tell};
use recovery::record::decode_any;
use serde::Serialize;
use serde_json::{Map, Value};

/// A record's meaning.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Told {
    pub(super) lsn: u64,
    pub(super) wall_ms: u64,
    pub(super) kind: String,
    pub(super) words: String,
    /// The gateway's global id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payment: Option<String>,
    /// client_id/transaction_id, where the record itself says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reference: Option<String>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Told {
    /// Decodes `record`. What this version cannot read is told, too.
    pub(super) fn of(record: &wal::Record<'_>) -> Self {
        let mut told = Self {
            lsn: record.lsn.get(),
            wall_ms: record.wall_ms,
            kind: format!("#{}", record.kind),
            words: String::new(),
            payment: None,
            reference: None,
            fields: Map::new(),
        };
        match decode_any(record) {
            Ok(fact) => {
                let said = tell(&fact, Accounts::Masked);
                name(&fact).clone_into(&mut told.kind);
                told.words = said.words;
                told.payment = said.payment.map(|payment| payment.to_string());
                told.reference = said.reference.map(|reference| reference.to_string());
                told.fields = said.fields;
            }
            Err(error) => told.words = error.to_string(),
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_version_is_told_and_not_hidden() {
        let record = wal::Record {
            lsn: wal::Lsn::new(7),
            wall_ms: 1,
            kind: 999,
            kind_version: 1,
            payload: b"?",
        };
        let told = Told::of(&record);
        assert_eq!((told.lsn, told.kind.as_str()), (7, "#999"));
        assert!(!told.words.is_empty());
    }
}
