//! A bank's journal as tables: `bank_<BANK>.db`, for people, audits and repair.
//!
//! A projection: what is on each account, and one row for each payment that the bank voted on or
//! was told of. The last record that is in stands in the same transaction. No balance that is told
//! to anybody comes from here, and deleting it changes no answer.
//!
//! Rows of `holds` are keyed by the LSN of the first record of their payment, so inserts go to the
//! right edge of one tree; those still held are in memory and have the only, partial, index. An
//! account's row is read and written once a transaction, however many payments touch it.

pub use crate::sqlite::Batches;

use crate::sqlite::{
    self, Projection, fresh, nullable, parsed, signed, sorted, state_name, unsigned,
};
use crate::view::{Applied, Batch, Identity, OpenError, Opened, Peek, View, ViewError};
use recovery::fact::{self, BankFact};
use recovery::model::{AccountNumber, BankName, GlobalId, HoldState, Order, Reference, Side};
use rusqlite::{Connection, Row, Transaction, params};
use rusqlite_migration::M;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

static SCHEMA: &[M<'static>] = &[
    M::up(sqlite::SCHEMA),
    M::up(
        "
        CREATE TABLE balances (
            account INTEGER PRIMARY KEY,
            client_id TEXT NOT NULL,
            currency_code TEXT NOT NULL,
            opening_minor INTEGER NOT NULL,
            balance_minor INTEGER NOT NULL,
            held_minor INTEGER NOT NULL,
            incoming_minor INTEGER NOT NULL,
            opened_lsn INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE holds (
            lsn INTEGER PRIMARY KEY,
            payment TEXT NOT NULL,
            client_id TEXT,
            transaction_id TEXT,
            payer_account_number TEXT,
            recipient_account_number TEXT,
            amount_minor INTEGER,
            currency_code TEXT,
            memo TEXT,
            payer_bank TEXT,
            recipient_bank TEXT,
            state TEXT NOT NULL,
            held_unix_ms INTEGER NOT NULL,
            ended_lsn INTEGER,
            ended_unix_ms INTEGER
        ) STRICT;
        CREATE INDEX open_holds ON holds (lsn) WHERE ended_lsn IS NULL;
        CREATE TABLE forgotten (
            origin TEXT PRIMARY KEY,
            epoch INTEGER NOT NULL,
            number INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE VIEW accounts (account_number, client_id, balance_minor, held_minor) AS
            SELECT printf('%014d', account), client_id, balance_minor, held_minor FROM balances;
        ",
    ),
];

/// A payment at this bank, as its row has it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Hold {
    lsn: u64,
    id: GlobalId,
    /// Of a refusal, the client's id is all that was logged; of a tombstone, nothing.
    reference: Option<Reference>,
    order: Option<Order>,
    state: HoldState,
    held_ms: u64,
    ended_lsn: u64,
    ended_ms: u64,
}

impl Hold {
    /// A payment whose first record is its last.
    fn over(record: &Applied, id: GlobalId, state: HoldState) -> Self {
        Self {
            lsn: record.lsn,
            id,
            reference: None,
            order: None,
            state,
            held_ms: record.wall_ms,
            ended_lsn: record.lsn,
            ended_ms: record.wall_ms,
        }
    }

    fn write(&self, sql: &Transaction<'_>) -> rusqlite::Result<()> {
        let upsert = "
            INSERT INTO holds VALUES
                (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
            ON CONFLICT (lsn) DO UPDATE
                SET state = ?12, ended_lsn = ?14, ended_unix_ms = ?15";
        let terms = self.order.as_ref().map(|order| &order.terms);
        sql.prepare_cached(upsert)?.execute(params![
            signed(self.lsn),
            self.id.to_string(),
            self.reference.as_ref().map(|reference| reference.client.as_str()),
            self.reference.as_ref().map(|reference| reference.transaction.as_str()),
            terms.map(|terms| terms.payer.to_string()),
            terms.map(|terms| terms.payee.to_string()),
            terms.map(|terms| terms.amount.minor()),
            terms.map(|terms| terms.currency.to_string()),
            terms.map(|terms| terms.memo.as_str()),
            self.order.as_ref().map(|order| order.payer_bank.as_str()),
            self.order.as_ref().map(|order| order.payee_bank.as_str()),
            state_name(self.state),
            signed(self.held_ms),
            nullable(self.ended_lsn),
            nullable(self.ended_ms),
        ])?;
        Ok(())
    }

    /// Reads back a row of `holds` that is held.
    fn read(row: &Row<'_>) -> Result<Self, ViewError> {
        let text = |index| row.get::<_, String>(index).map_err(sorted);
        let number = |index| row.get::<_, i64>(index).map_err(sorted);
        let order = sqlite::order(row)?;
        Ok(Self {
            lsn: unsigned(number(0)?),
            id: parsed(&text(1)?)?,
            reference: Some(order.reference),
            order: Some(order),
            state: HoldState::Held,
            held_ms: unsigned(number(12)?),
            ended_lsn: 0,
            ended_ms: 0,
        })
    }
}

/// What is on an account, in minor units.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Balance {
    posted: i64,
    held: i64,
    incoming: i64,
}

/// A bank's view.
#[derive(Debug)]
pub struct Book {
    file: Projection,
    bank: BankName,
    /// Holds without an outcome.
    open: HashMap<GlobalId, Hold>,
}

/// Opens the book of the journal of `bank` and `identity`, whose last record is `log_last`.
/// Whatever is missing in it, up to everything, is then to be applied.
pub fn open(
    path: &Path,
    identity: Identity,
    bank: BankName,
    log_last: u64,
) -> Result<Opened<Book>, OpenError> {
    let (file, open, verdict) = Projection::open(path, identity, log_last, SCHEMA, load)?;
    let applied_lsn = file.applied_lsn();
    Ok(Opened { view: Book { file, bank, open }, applied_lsn, verdict })
}

fn load(sql: &Connection) -> Result<HashMap<GlobalId, Hold>, ViewError> {
    let mut open = HashMap::new();
    let without_outcome = "SELECT * FROM holds WHERE ended_lsn IS NULL";
    let mut without_outcome = sql.prepare(without_outcome).map_err(sorted)?;
    let mut rows = without_outcome.query([]).map_err(sorted)?;
    while let Some(row) = rows.next().map_err(sorted)? {
        let hold = Hold::read(row)?;
        open.insert(hold.id, hold);
    }
    Ok(open)
}

/// What the book at `path` says of itself. Read before the journal is scanned, it is a witness of
/// how far the journal of that identity had come.
pub fn peek(path: &Path) -> Option<Peek> {
    sqlite::peek(path)
}

/// The journal's second copy: every batch, byte for byte, in order.
pub fn batches(path: &Path) -> Result<Batches, ViewError> {
    sqlite::batches(path)
}

/// An account as the book has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRow {
    pub account_number: String,
    pub client_id: String,
    pub balance_minor: i64,
    pub held_minor: i64,
}

/// The rows of `accounts` at `path` as they stand now, by number, and the last record they show.
/// Works beside a writer, and changes nothing.
pub fn accounts(path: &Path) -> Result<(u64, Vec<AccountRow>), ViewError> {
    let connection = sqlite::reader(path)?;
    connection.execute_batch("BEGIN").map_err(sorted)?;
    let applied_lsn = sqlite::watermark(&connection)?.map_or(0, |peek| peek.applied_lsn);
    let sql = "SELECT account_number, client_id, balance_minor, held_minor FROM accounts
               ORDER BY account_number";
    let mut sql = connection.prepare(sql).map_err(sorted)?;
    let rows = sql.query_map([], |row| {
        Ok(AccountRow {
            account_number: row.get(0)?,
            client_id: row.get(1)?,
            balance_minor: row.get(2)?,
            held_minor: row.get(3)?,
        })
    });
    let rows = rows.and_then(Iterator::collect).map_err(sorted)?;
    Ok((applied_lsn, rows))
}

impl View for Book {
    fn applied_lsn(&self) -> u64 {
        self.file.applied_lsn()
    }

    fn apply(&mut self, batches: &[Batch]) -> Result<(), ViewError> {
        let Self { file, bank, open } = self;
        let moved = file.write(batches, |sql, applied_lsn| {
            let (moved, balances) = (HashMap::new(), BTreeMap::new());
            let mut fold = Fold { sql, bank: *bank, open, moved, balances };
            for record in fresh::<BankFact>(batches, applied_lsn) {
                let (record, fact) = record?;
                fold.fact(record, fact)?;
            }
            fold.flush().map_err(sorted)?;
            Ok(fold.moved)
        })?;
        for (id, hold) in moved {
            if hold.state == HoldState::Held {
                open.insert(id, hold);
            } else {
                open.remove(&id);
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
    bank: BankName,
    open: &'a HashMap<GlobalId, Hold>,
    /// Payments that moved.
    moved: HashMap<GlobalId, Hold>,
    /// Accounts that were touched.
    balances: BTreeMap<AccountNumber, Balance>,
}

impl Fold<'_> {
    fn fact(&mut self, record: &Applied, fact: BankFact) -> Result<(), ViewError> {
        match fact {
            BankFact::AccountOpened(fact) => self.open(record.lsn, &fact).map_err(sorted)?,
            BankFact::Held(fact) => self.hold(record, fact)?,
            BankFact::Refused(fact) => {
                let mut hold = Hold::over(record, fact.payment, HoldState::Refused(fact.reason));
                hold.reference = Some(fact.reference);
                self.moved.insert(fact.payment, hold);
            }
            BankFact::Posted(fact) => self.settle(record, fact.payment, HoldState::Posted)?,
            BankFact::Released(fact) => self.settle(record, fact.payment, HoldState::Released)?,
            BankFact::Tombstoned(fact) => {
                let hold = Hold::over(record, fact.payment, HoldState::Released);
                self.moved.insert(fact.payment, hold);
            }
            BankFact::Forgot(fact) => self.forget(fact.through).map_err(sorted)?,
            BankFact::Founded(_)
            | BankFact::BankStarted(_)
            | BankFact::BankStopped(_)
            | BankFact::JournalMended(_)
            | BankFact::HeuristicObeyed(_)
            | BankFact::Fenced(_)
            | BankFact::GatewayReplaced(_) => {}
        }
        Ok(())
    }

    fn open(&self, lsn: u64, fact: &fact::AccountOpened) -> rusqlite::Result<()> {
        let insert = "INSERT INTO balances VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, ?5)";
        self.sql.prepare_cached(insert)?.execute(params![
            signed(u64::from(fact.account)),
            fact.owner.as_str(),
            fact.currency.to_string(),
            fact.opening_minor,
            signed(lsn),
        ])?;
        Ok(())
    }

    fn hold(&mut self, record: &Applied, fact: fact::Held) -> Result<(), ViewError> {
        let amount = fact.order.terms.amount.minor();
        for side in fact.order.sides_at(self.bank) {
            let balance = self.balance(fact.order.account(side))?;
            match side {
                Side::Debit => balance.held += amount,
                Side::Credit => balance.incoming += amount,
            }
        }
        let hold = Hold {
            reference: Some(fact.order.reference),
            order: Some(fact.order),
            ended_lsn: 0,
            ended_ms: 0,
            ..Hold::over(record, fact.payment, HoldState::Held)
        };
        self.moved.insert(fact.payment, hold);
        Ok(())
    }

    /// Ends a hold, with the money or without.
    fn settle(
        &mut self,
        record: &Applied,
        id: GlobalId,
        state: HoldState,
    ) -> Result<(), ViewError> {
        let known = self.moved.get(&id).or_else(|| self.open.get(&id));
        let known = known.filter(|hold| hold.state == HoldState::Held);
        let Some((mut hold, order)) =
            known.and_then(|hold| Some((hold.clone(), hold.order.clone()?)))
        else {
            return Err(ViewError::Damaged(format!("{id} is not among the open holds")));
        };
        let amount = order.terms.amount.minor();
        let posted = if state == HoldState::Posted { amount } else { 0 };
        for side in order.sides_at(self.bank) {
            let balance = self.balance(order.account(side))?;
            match side {
                Side::Debit => {
                    balance.held -= amount;
                    balance.posted -= posted;
                }
                Side::Credit => {
                    balance.incoming -= amount;
                    balance.posted += posted;
                }
            }
        }
        hold.state = state;
        (hold.ended_lsn, hold.ended_ms) = (record.lsn, record.wall_ms);
        self.moved.insert(id, hold);
        Ok(())
    }

    fn balance(&mut self, account: AccountNumber) -> Result<&mut Balance, ViewError> {
        let balance = match self.balances.get(&account) {
            Some(balance) => *balance,
            None => self.stored(account).map_err(sorted)?,
        };
        Ok(self.balances.entry(account).or_insert(balance))
    }

    fn stored(&self, account: AccountNumber) -> rusqlite::Result<Balance> {
        let sql = "SELECT balance_minor, held_minor, incoming_minor FROM balances
                   WHERE account = ?1";
        self.sql.prepare_cached(sql)?.query_row([signed(account.into())], |row| {
            Ok(Balance { posted: row.get(0)?, held: row.get(1)?, incoming: row.get(2)? })
        })
    }

    fn forget(&self, through: GlobalId) -> rusqlite::Result<()> {
        let upsert = "
            INSERT INTO forgotten VALUES (?1, ?2, ?3)
            ON CONFLICT (origin) DO UPDATE SET epoch = ?2, number = ?3
                WHERE (?2, ?3) > (epoch, number)";
        let origin = format!("{:016x}", through.origin);
        let (epoch, number) = (signed(through.epoch), signed(through.number));
        self.sql.prepare_cached(upsert)?.execute((origin, epoch, number))?;
        Ok(())
    }

    /// Writes what has moved, in the order of the rows.
    fn flush(&self) -> rusqlite::Result<()> {
        let mut holds: Vec<_> = self.moved.values().collect();
        holds.sort_unstable_by_key(|hold| hold.lsn);
        for hold in holds {
            hold.write(self.sql)?;
        }
        let update = "UPDATE balances SET balance_minor = ?2, held_minor = ?3, incoming_minor = ?4
                      WHERE account = ?1";
        let mut update = self.sql.prepare_cached(update)?;
        for (account, Balance { posted, held, incoming }) in &self.balances {
            update.execute((signed(u64::from(*account)), posted, held, incoming))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
