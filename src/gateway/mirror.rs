//! The gateway's log as tables: `gateway_state.db`, for people, audits and repair.
//!
//! A projection: a payment is one row, written when it began and again as it moved on, and the last
//! record that is in stands in the same transaction. Nothing on the payment path reads it, and
//! deleting it changes no answer. Sessions are not in it, because a copy of a secret's hash is one
//! more to lose.
//!
//! Rows are keyed by the LSN of their `Began`, so inserts go to the right edge of one tree. There
//! is no index by client or transaction id: random keys would make the view fall behind at some
//! million payments. Two partial indexes are empty but for few rows: payments that have not ended
//! (read once, at opening) and payments taken over from a lost lineage.
//!
//! Facts name a payment by its global id. Those that have not ended are in memory; within one
//! transaction, what a payment went through is folded there and written once.

mod sql;

pub use crate::sqlite::Batches;

use crate::sqlite::{
    self, PAGE_ROWS, Projection, fresh, nullable, parsed, signed, sorted, unsigned,
};
use crate::view::{Applied, Batch, Identity, OpenError, Opened, Peek, View, ViewError};
use recovery::fact::{self, GatewayFact};
use recovery::model::{
    BankName, Decision, GlobalId, HoldState, Order, Reason, Reference, Terms, Vote,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use rusqlite_migration::M;
use sql::{ANSWERING, SUPERSEDING, UPSERT};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;

static SCHEMA: &[M<'static>] = &[
    M::up(sqlite::SCHEMA),
    M::up(
        "
        CREATE TABLE accounts (
            account_number TEXT PRIMARY KEY,
            client_id TEXT NOT NULL,
            bank TEXT NOT NULL,
            currency_code TEXT NOT NULL,
            opening_minor INTEGER NOT NULL,
            listed_lsn INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE payments (
            began_lsn INTEGER PRIMARY KEY,
            payment TEXT NOT NULL,
            client_id TEXT NOT NULL,
            transaction_id TEXT NOT NULL,
            payer_account_number TEXT NOT NULL,
            recipient_account_number TEXT NOT NULL,
            amount_minor INTEGER NOT NULL,
            currency_code TEXT NOT NULL,
            memo TEXT NOT NULL,
            payer_bank TEXT NOT NULL,
            recipient_bank TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('PENDING', 'COMMITTED', 'ABORTED')),
            reason TEXT,
            payer_vote TEXT,
            recipient_vote TEXT,
            payer_settled TEXT,
            recipient_settled TEXT,
            created_unix_ms INTEGER NOT NULL,
            decided_lsn INTEGER,
            decided_unix_ms INTEGER,
            ended_lsn INTEGER,
            taken_over INTEGER NOT NULL,
            superseded_by INTEGER
        ) STRICT;
        CREATE INDEX open_payments ON payments (began_lsn) WHERE ended_lsn IS NULL;
        CREATE INDEX taken_over_payments ON payments (client_id, transaction_id)
            WHERE taken_over = 1;
        CREATE VIEW processed_transactions
            (client_id, transaction_id, status, reason, amount_minor, lsn) AS
            SELECT client_id, transaction_id, state, reason, amount_minor, decided_lsn
            FROM payments WHERE superseded_by IS NULL;
        ",
    ),
];

/// A payment as its row has it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Payment {
    began_lsn: u64,
    began_ms: u64,
    id: GlobalId,
    order: Order,
    decision: Option<Decision>,
    votes: [Option<Vote>; 2],
    settled: [Option<HoldState>; 2],
    decided_lsn: u64,
    decided_ms: u64,
    ended_lsn: u64,
}

impl Payment {
    /// 0 for the payer's bank, 1 for the payee's; one bank alone is the payer's.
    fn party(&self, bank: BankName) -> Result<usize, ViewError> {
        let banks = [self.order.payer_bank, self.order.payee_bank];
        let party = banks.iter().position(|name| *name == bank);
        party.ok_or_else(|| ViewError::Damaged(format!("bank {bank} has no part in {}", self.id)))
    }

    fn settle(&mut self, bank: BankName, state: HoldState) -> Result<(), ViewError> {
        let party = self.party(bank)?;
        self.settled[party] = Some(state);
        Ok(())
    }

    fn write(&self, sql: &Transaction<'_>, taken_over: bool) -> rusqlite::Result<()> {
        let Terms { payer, payee, amount, currency, memo } = &self.order.terms;
        let (state, reason) = match self.decision {
            None => ("PENDING", None),
            Some(Decision::Commit) => ("COMMITTED", None),
            Some(Decision::Abort(reason)) => ("ABORTED", Some(reason.name())),
        };
        let vote = |party: usize| self.votes[party].map(sqlite::vote_name);
        let settled = |party: usize| self.settled[party].map(sqlite::state_name);
        sql.prepare_cached(UPSERT)?.execute(params![
            signed(self.began_lsn),
            self.id.to_string(),
            self.order.reference.client.as_str(),
            self.order.reference.transaction.as_str(),
            payer.to_string(),
            payee.to_string(),
            amount.minor(),
            currency.to_string(),
            memo.as_str(),
            self.order.payer_bank.as_str(),
            self.order.payee_bank.as_str(),
            state,
            reason,
            vote(0),
            vote(1),
            settled(0),
            settled(1),
            signed(self.began_ms),
            nullable(self.decided_lsn),
            nullable(self.decided_ms),
            nullable(self.ended_lsn),
            taken_over,
        ])?;
        Ok(())
    }

    /// Reads back a row of `payments`.
    fn read(row: &Row<'_>) -> Result<Self, ViewError> {
        let text = |index| row.get::<_, String>(index).map_err(sorted);
        let maybe = |index| row.get::<_, Option<String>>(index).map_err(sorted);
        let number = |index| row.get::<_, Option<i64>>(index).map_err(sorted);
        let reason = maybe(12)?.map(|name| Reason::from_name(&name));
        let vote = |index| Ok::<_, ViewError>(maybe(index)?.map(|name| sqlite::named_vote(&name)));
        let settled =
            |index| Ok::<_, ViewError>(maybe(index)?.map(|name| sqlite::named_state(&name)));
        let lsn = |index| Ok::<_, ViewError>(unsigned(number(index)?.unwrap_or_default()));
        Ok(Self {
            began_lsn: lsn(0)?,
            began_ms: lsn(17)?,
            id: parsed(&text(1)?)?,
            order: sqlite::order(row)?,
            decision: match text(11)?.as_str() {
                "COMMITTED" => Some(Decision::Commit),
                "ABORTED" => Some(Decision::Abort(reason.unwrap_or(Reason::Declined))),
                _ => None,
            },
            votes: [vote(13)?, vote(14)?],
            settled: [settled(15)?, settled(16)?],
            decided_lsn: lsn(18)?,
            decided_ms: lsn(19)?,
            ended_lsn: lsn(20)?,
        })
    }
}

/// The gateway's view.
#[derive(Debug)]
pub struct Mirror {
    file: Projection,
    origin: u64,
    /// Payments that have not ended.
    open: HashMap<GlobalId, Payment>,
    /// Are there payments of another lineage, taken over by a rebuild?
    taken_over: bool,
}

/// Opens the mirror of the log of `identity`, whose last record is `log_last`. Whatever is missing
/// in it, up to everything, is then to be applied.
pub fn open(path: &Path, identity: Identity, log_last: u64) -> Result<Opened<Mirror>, OpenError> {
    let (file, (open, taken_over), verdict) =
        Projection::open(path, identity, log_last, SCHEMA, load)?;
    let applied_lsn = file.applied_lsn();
    let view = Mirror { file, origin: identity.lineage.origin(), open, taken_over };
    Ok(Opened { view, applied_lsn, verdict })
}

fn load(sql: &Connection) -> Result<(HashMap<GlobalId, Payment>, bool), ViewError> {
    let mut open = HashMap::new();
    let unended = "SELECT * FROM payments WHERE ended_lsn IS NULL";
    let mut unended = sql.prepare(unended).map_err(sorted)?;
    let mut rows = unended.query([]).map_err(sorted)?;
    while let Some(row) = rows.next().map_err(sorted)? {
        let payment = Payment::read(row)?;
        open.insert(payment.id, payment);
    }
    let any = "SELECT EXISTS (SELECT 1 FROM payments WHERE taken_over = 1)";
    let any = sql.query_row(any, [], |row| row.get(0)).map_err(sorted)?;
    Ok((open, any))
}

/// What the mirror at `path` says of itself. Read before the log is scanned, it is a witness of how
/// far the log of that identity had come.
pub fn peek(path: &Path) -> Option<Peek> {
    sqlite::peek(path)
}

/// The log's second copy: every batch, byte for byte, in order.
pub fn batches(path: &Path) -> Result<Batches, ViewError> {
    sqlite::batches(path)
}

/// What any view's second copy has of one segment of its log.
pub fn batches_of(path: &Path, segment: u64) -> Result<Vec<wal::BatchImage>, ViewError> {
    sqlite::batches_of(path, segment)
}

impl View for Mirror {
    fn applied_lsn(&self) -> u64 {
        self.file.applied_lsn()
    }

    fn apply(&mut self, batches: &[Batch]) -> Result<(), ViewError> {
        let Self { file, origin, open, taken_over } = self;
        let (moved, taken_over_now) = file.write(batches, |sql, applied_lsn| {
            let mut fold = Fold {
                sql,
                origin: *origin,
                open,
                taken_over: *taken_over,
                moved: BTreeMap::new(),
                ids: HashMap::new(),
                unwritten: BTreeSet::new(),
            };
            for record in fresh::<GatewayFact>(batches, applied_lsn) {
                let (record, fact) = record?;
                fold.fact(record, fact)?;
            }
            fold.flush()?;
            Ok((fold.moved, fold.taken_over))
        })?;
        *taken_over = taken_over_now;
        for (_, payment) in moved {
            if payment.ended_lsn == 0 {
                open.insert(payment.id, payment);
            } else {
                open.remove(&payment.id);
            }
        }
        Ok(())
    }

    fn abandon(self, why: &ViewError) {
        self.file.abandon(why);
    }
}

/// One transaction's worth of facts. What was in memory before is not touched until they are
/// committed.
struct Fold<'a> {
    sql: &'a Transaction<'a>,
    origin: u64,
    open: &'a HashMap<GlobalId, Payment>,
    taken_over: bool,
    /// Payments that moved, by the place of their rows.
    moved: BTreeMap<u64, Payment>,
    ids: HashMap<GlobalId, u64>,
    unwritten: BTreeSet<u64>,
}

impl Fold<'_> {
    fn fact(&mut self, record: &Applied, fact: GatewayFact) -> Result<(), ViewError> {
        match fact {
            GatewayFact::AccountListed(fact) => self.list(record.lsn, &fact).map_err(sorted)?,
            GatewayFact::Began(fact) => self.begin(record, fact)?,
            GatewayFact::Voted(fact) => {
                let payment = self.payment(fact.payment)?;
                let party = payment.party(fact.bank)?;
                payment.votes[party] = Some(fact.vote);
            }
            GatewayFact::Decided(fact::Decided { payment, decision })
            | GatewayFact::HeuristicDecided(fact::HeuristicDecided { payment, decision, .. }) => {
                self.decide(record, payment, decision)?;
            }
            GatewayFact::Settled(fact::Settled { payment, bank, state, .. })
            | GatewayFact::HeuristicDiffered(fact::HeuristicDiffered {
                payment,
                bank,
                state,
                ..
            }) => self.payment(payment)?.settle(bank, state)?,
            GatewayFact::Ended(fact) => self.payment(fact.payment)?.ended_lsn = record.lsn,
            GatewayFact::Initialised(_)
            | GatewayFact::Started(_)
            | GatewayFact::Stopped(_)
            | GatewayFact::BankJoined(_)
            | GatewayFact::BankMet(_)
            | GatewayFact::BankReplaced(_)
            | GatewayFact::LogMended(_)
            | GatewayFact::HeuristicAsked(_)
            | GatewayFact::SessionOpened(_)
            | GatewayFact::SessionClosed(_)
            | GatewayFact::Audited(_) => {}
        }
        Ok(())
    }

    fn decide(&mut self, at: &Applied, id: GlobalId, how: Decision) -> Result<(), ViewError> {
        let payment = self.payment(id)?;
        payment.decision = Some(how);
        (payment.decided_lsn, payment.decided_ms) = (at.lsn, at.wall_ms);
        let began_lsn = payment.began_lsn;
        if self.taken_over && how == Decision::Commit {
            return self.answer_with(began_lsn);
        }
        Ok(())
    }

    fn list(&self, lsn: u64, fact: &fact::AccountListed) -> rusqlite::Result<()> {
        let insert = "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.sql.prepare_cached(insert)?.execute(params![
            fact.account.to_string(),
            fact.owner.as_str(),
            fact.bank.as_str(),
            fact.currency.to_string(),
            fact.opening_minor,
            signed(lsn),
        ])?;
        Ok(())
    }

    fn begin(&mut self, record: &Applied, fact: fact::Began) -> Result<(), ViewError> {
        let reference = fact.order.reference;
        let payment = Payment {
            began_lsn: record.lsn,
            began_ms: record.wall_ms,
            id: fact.payment,
            order: fact.order,
            decision: None,
            votes: [None; 2],
            settled: [None; 2],
            decided_lsn: 0,
            decided_ms: 0,
            ended_lsn: 0,
        };
        self.ids.insert(payment.id, record.lsn);
        self.taken_over |= payment.id.origin != self.origin;
        self.moved.insert(record.lsn, payment);
        self.unwritten.insert(record.lsn);
        if self.taken_over { self.supersede(reference, record.lsn) } else { Ok(()) }
    }

    /// The payment, to be moved on. It has not ended, or the file is not what it should be.
    fn payment(&mut self, id: GlobalId) -> Result<&mut Payment, ViewError> {
        let missing = || ViewError::Damaged(format!("{id} is not among the open payments"));
        let began_lsn = match self.ids.get(&id) {
            Some(began_lsn) => *began_lsn,
            None => self.open.get(&id).ok_or_else(missing)?.began_lsn,
        };
        self.ids.insert(id, began_lsn);
        self.unwritten.insert(began_lsn);
        let open = self.open;
        let moved = self.moved.entry(began_lsn);
        Ok(moved.or_insert_with(|| open[&id].clone()))
    }

    /// Writes what has moved, in the order of the rows.
    fn flush(&mut self) -> Result<(), ViewError> {
        for began_lsn in std::mem::take(&mut self.unwritten) {
            let payment = &self.moved[&began_lsn];
            let taken_over = payment.id.origin != self.origin;
            payment.write(self.sql, taken_over).map_err(sorted)?;
        }
        Ok(())
    }

    /// A log that was rebuilt holds every attempt that the banks saw under a client's id. One that
    /// committed answers for it, else the newest.
    fn supersede(&mut self, reference: Reference, began_lsn: u64) -> Result<(), ViewError> {
        self.flush()?;
        let key = (reference.client.as_str(), reference.transaction.as_str(), signed(began_lsn));
        let mut answering = self.sql.prepare_cached(ANSWERING).map_err(sorted)?;
        let answering = answering.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)));
        match answering.optional().map_err(sorted)? {
            None => Ok(()),
            Some((before, true)) => self.replace(signed(began_lsn), Some(before)),
            Some((before, false)) => self.replace(before, Some(signed(began_lsn))),
        }
    }

    /// This attempt has committed: it answers, whichever did before.
    fn answer_with(&mut self, began_lsn: u64) -> Result<(), ViewError> {
        self.flush()?;
        let began_lsn = signed(began_lsn);
        let mut superseding = self.sql.prepare_cached(SUPERSEDING).map_err(sorted)?;
        let answering = superseding.query_row([began_lsn], |row| row.get::<_, i64>(0));
        let answering = answering.map_err(sorted)?;
        if answering == began_lsn {
            return Ok(());
        }
        self.replace(answering, Some(began_lsn))?;
        self.replace(began_lsn, None)
    }

    fn replace(&self, attempt: i64, by: Option<i64>) -> Result<(), ViewError> {
        let update = "UPDATE payments SET superseded_by = ?2 WHERE began_lsn = ?1";
        let update = self.sql.prepare_cached(update).and_then(|mut sql| sql.execute((attempt, by)));
        update.map(drop).map_err(sorted)
    }
}

/// What the mirror says of one client's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Processed {
    pub client_id: String,
    pub transaction_id: String,
    /// `PENDING`, `COMMITTED` or `ABORTED`.
    pub status: String,
    pub reason: Option<String>,
    pub amount_minor: i64,
    /// Of the decision.
    pub lsn: Option<u64>,
}

/// The rows of `processed_transactions`, in the order in which the payments began.
#[derive(Debug)]
pub struct Rows {
    connection: Connection,
    applied_lsn: u64,
    after: i64,
    page: VecDeque<Processed>,
}

/// Reads the mirror at `path` as it stands now. Works beside a writer, and changes nothing.
pub fn rows(path: &Path) -> Result<Rows, ViewError> {
    let connection = sqlite::reader(path)?;
    connection.execute_batch("BEGIN").map_err(sorted)?;
    let applied_lsn = sqlite::watermark(&connection)?.map_or(0, |peek| peek.applied_lsn);
    Ok(Rows { connection, applied_lsn, after: -1, page: VecDeque::new() })
}

impl Rows {
    /// The last record that these rows show.
    pub fn applied_lsn(&self) -> u64 {
        self.applied_lsn
    }

    fn fill(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT began_lsn, client_id, transaction_id, state, reason, amount_minor,
                       decided_lsn
                   FROM payments WHERE superseded_by IS NULL AND began_lsn > ?1
                   ORDER BY began_lsn LIMIT ?2";
        let mut sql = self.connection.prepare_cached(sql)?;
        let mut rows = sql.query([self.after, PAGE_ROWS])?;
        while let Some(row) = rows.next()? {
            self.after = row.get(0)?;
            self.page.push_back(Processed {
                client_id: row.get(1)?,
                transaction_id: row.get(2)?,
                status: row.get(3)?,
                reason: row.get(4)?,
                amount_minor: row.get(5)?,
                lsn: row.get::<_, Option<i64>>(6)?.map(unsigned),
            });
        }
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Processed, ViewError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && let Err(error) = self.fill()
        {
            self.after = i64::MAX;
            return Some(Err(sorted(error)));
        }
        self.page.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests;
