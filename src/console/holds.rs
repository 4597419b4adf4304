//! What the banks hold without an outcome, read from their journals.
//!
//! A journal is read on from where it was read last: what is kept grows with the holds that are
//! open, not with the journal.

use super::record::Told;
use crate::errors::chain;
use crate::home::{Home, Service};
use recovery::model::BankName;
use serde::Serialize;
use std::collections::BTreeMap;
use wal::Disk;
use wal::read::{Cursor, FollowError, follow};

/// Money that is set aside.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hold {
    bank: String,
    #[serde(flatten)]
    told: Told,
}

/// One journal, as far as it was read.
#[derive(Debug, Default)]
struct Reading {
    cursor: Cursor,
    open: BTreeMap<String, Told>,
}

impl Reading {
    fn take(&mut self, told: Told) {
        let Some(payment) = told.payment.clone() else { return };
        match told.kind.as_str() {
            "Held" => drop(self.open.insert(payment, told)),
            "Posted" | "Released" => drop(self.open.remove(&payment)),
            _ => {}
        }
    }
}

/// All journals of a home.
#[derive(Debug, Default)]
pub(super) struct Holds {
    banks: BTreeMap<BankName, Reading>,
}

impl Holds {
    /// Every hold that the journals of `banks` have left open, oldest first; and which could not be
    /// read, and why.
    pub(super) fn now(
        &mut self,
        home: &Home,
        banks: impl Iterator<Item = BankName>,
    ) -> (Vec<Hold>, Vec<String>) {
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for bank in banks {
            let reading = self.banks.entry(bank).or_default();
            let Reading { mut cursor, open } = std::mem::take(reading);
            reading.open = open;
            let disk = Disk::new(home.data(Service::Bank(bank)));
            let followed = follow(&disk, &mut cursor, |record, _| {
                reading.take(Told::of(&record));
                Ok::<_, ()>(())
            });
            reading.cursor = cursor;
            let why = match followed {
                Ok(()) | Err(FollowError::Visitor(())) => None,
                Err(FollowError::Read(error)) => Some(chain(&error)),
                Err(FollowError::Damaged(error)) => Some(chain(&error)),
            };
            if let Some(why) = why {
                problems.push(format!("{bank}: {why}"));
                // It may be another log by now: the next reading begins at its beginning.
                *reading = Reading::default();
            }
            let hold = |told: &Told| Hold { bank: bank.to_string(), told: told.clone() };
            all.extend(reading.open.values().map(hold));
        }
        all.sort_by_key(|hold: &Hold| hold.told.wall_ms);
        (all, problems)
    }
}
