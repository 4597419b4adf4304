//! What the mirror and the book share: one SQLite file that follows one log.
//!
//! ```text
//!   meta      whose log, and the last record that is in: written in the transaction of its rows
//!   batches   the raw bytes of every batch: the log's second copy
//! ```
//!
//! The tables of either view are its own. With `gateway/mirror.rs` and `bank/book.rs` this is the
//! door to SQLite. A file here is never the truth: one that cannot be trusted is set aside, and
//! another is built from the log. Only a file that holds *more* than the log stops a start.

mod batches;

pub use batches::Batches;
pub(crate) use batches::{batches, batches_of};

use crate::view::{
    Applied, Batch, Cause, Identity, OpenError, Peek, Verdict, ViewAhead, ViewError,
};
use recovery::model::{Amount, HoldState, Order, Reason, Reference, Terms, Vote};
use recovery::record::Fact;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction};
use rusqlite_migration::{M, Migrations};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file up to this size is checked page by page when it is opened. A larger one is not, because a
/// start must not take longer the older the log is; `strife audit` compares its rows with the log.
const QUICK_CHECK_BYTES_MAX: u64 = 64 << 20;
/// SQLite's own patience with a lock, before it says that it is busy.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);
/// Pages in SQLite's write-ahead file before it is folded into the main file.
const CHECKPOINT_PAGES: i64 = 4_096;
/// Page cache, in KiB: ordered inserts need the right edge of a few trees.
const CACHE_KIB: i64 = 8_192;
/// A reader holds this many rows at a time.
pub(crate) const PAGE_ROWS: i64 = 1_024;

/// Keyed by place and not by record: a Mark holds no record and shares its number with the batch
/// behind it. `complement` is `~applied_lsn`: no single flipped bit can move the watermark unseen.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        cluster TEXT NOT NULL,
        lineage TEXT NOT NULL,
        applied_lsn INTEGER NOT NULL,
        complement INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE batches (
        segment INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        first_lsn INTEGER NOT NULL,
        records INTEGER NOT NULL,
        salt INTEGER NOT NULL,
        length INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (segment, offset)
    ) STRICT;
";

/// Sorts an SQLite error by what it means for the view.
pub(crate) fn sorted(error: rusqlite::Error) -> ViewError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ViewError::Busy(Box::new(error))
        }
        // The last two: a table is not as it was made, a row is there that cannot be.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::Unknown
            | ErrorCode::ConstraintViolation,
        ) => ViewError::Damaged(error.to_string()),
        // A column holds what this program never wrote there.
        None if is_about_contents(&error) => ViewError::Damaged(error.to_string()),
        _ => ViewError::Failed(Box::new(error)),
    }
}

fn is_about_contents(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..)
            | E::QueryReturnedNoRows
    )
}

/// A value that a column cannot hold unless the file is damaged.
pub(crate) fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, ViewError> {
    text.parse().map_err(|_| ViewError::Damaged(format!("{text:?} is in a row")))
}

/// LSNs, stamps and sizes stay far below 2^63.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(crate) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Zero means "not yet", which SQL calls NULL.
pub(crate) fn nullable(number: u64) -> Option<i64> {
    (number != 0).then_some(signed(number))
}

/// A vote, as a column has it; a refusal is its reason.
pub(crate) fn vote_name(vote: Vote) -> &'static str {
    match vote {
        Vote::Ready => "READY",
        Vote::Refused(reason) => reason.name(),
    }
}

pub(crate) fn named_vote(name: &str) -> Vote {
    if name == "READY" { Vote::Ready } else { Vote::Refused(Reason::from_name(name)) }
}

/// Where a payment stands at a bank, as a column has it; a refusal is its reason.
pub(crate) fn state_name(state: HoldState) -> &'static str {
    match state {
        HoldState::Unknown => "UNKNOWN",
        HoldState::Held => "HELD",
        HoldState::Posted => "POSTED",
        HoldState::Released => "RELEASED",
        HoldState::Refused(reason) => reason.name(),
    }
}

pub(crate) fn named_state(name: &str) -> HoldState {
    match name {
        "UNKNOWN" => HoldState::Unknown,
        "HELD" => HoldState::Held,
        "POSTED" => HoldState::Posted,
        "RELEASED" => HoldState::Released,
        reason => HoldState::Refused(Reason::from_name(reason)),
    }
}

/// Reads back what a payment is about. In both views it stands in columns 2 to 10.
pub(crate) fn order(row: &Row<'_>) -> Result<Order, ViewError> {
    let text = |index| row.get::<_, String>(index).map_err(sorted);
    let amount = Amount::try_from(row.get::<_, i64>(6).map_err(sorted)?);
    let terms = Terms {
        payer: parsed(&text(4)?)?,
        payee: parsed(&text(5)?)?,
        amount: amount.map_err(|error| ViewError::Damaged(error.to_string()))?,
        currency: parsed(&text(7)?)?,
        memo: parsed(&text(8)?)?,
    };
    let reference = Reference { client: parsed(&text(2)?)?, transaction: parsed(&text(3)?)? };
    Ok(Order { reference, terms, payer_bank: parsed(&text(9)?)?, payee_bank: parsed(&text(10)?)? })
}

/// The records of `batches` that come after `applied_lsn`, as facts. A gap is an error.
pub(crate) fn fresh<F: Fact>(
    batches: &[Batch],
    applied_lsn: u64,
) -> impl Iterator<Item = Result<(&Applied, F), ViewError>> {
    let records = batches.iter().flat_map(|batch| &batch.records);
    let mut last = applied_lsn;
    records.filter(move |record| record.lsn > applied_lsn).map(move |record| {
        let fact = recovery::record::decode::<F>(&record.record())
            .map_err(|error| ViewError::Record(Box::new(error)))?;
        let expected = last + 1;
        let first = last == 0 && fact.begins_a_log();
        if record.lsn != expected && !first {
            return Err(ViewError::Gap { expected, found: record.lsn });
        }
        last = record.lsn;
        Ok((record, fact))
    })
}

/// One view's file, open for writing.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) connection: Connection,
    path: PathBuf,
    applied_lsn: u64,
    /// Of the last batch that was copied.
    segment: u64,
}

/// What is at a path.
enum Found {
    Nothing,
    Sound { connection: Connection, peek: Peek },
    Damaged(String),
    OtherSchema(i64),
}

impl Projection {
    /// Opens the view of `identity`'s log, whose last record is `log_last`, or begins another. What
    /// `load` reads is needed at once: a file in which it cannot be read is damaged.
    pub(crate) fn open<T>(
        path: &Path,
        identity: Identity,
        log_last: u64,
        schema: &'static [M<'static>],
        load: impl Fn(&Connection) -> Result<T, ViewError>,
    ) -> Result<(Self, T, Verdict), OpenError> {
        let open_error = |source| OpenError::Open { path: path.to_owned(), source };
        let opened = |connection, applied_lsn| {
            let file = Self::opened(connection, path, applied_lsn)?;
            let loaded = load(&file.connection)?;
            Ok((file, loaded))
        };
        let damaged = |why| Ok(Cause::Damaged { why, kept: set_aside(path, "damaged")? });
        let cause = match look(path, schema).map_err(open_error)? {
            Found::Sound { connection, peek } if peek.identity == identity => {
                let view_lsn = peek.applied_lsn;
                if view_lsn > log_last {
                    return Err(ViewAhead { view_lsn, log_last }.into());
                }
                match opened(connection, view_lsn) {
                    Ok((file, loaded)) if view_lsn == log_last => {
                        return Ok((file, loaded, Verdict::Current));
                    }
                    Ok((file, loaded)) => {
                        let missing = log_last - view_lsn;
                        return Ok((file, loaded, Verdict::Behind { missing }));
                    }
                    Err(busy @ ViewError::Busy(_)) => return Err(open_error(busy)),
                    Err(error) => damaged(error.to_string()),
                }
            }
            Found::Sound { connection, .. } => {
                drop(connection);
                set_aside(path, "foreign").map(|kept| Cause::Foreign { kept })
            }
            Found::Nothing => Ok(Cause::Absent),
            Found::Damaged(why) => damaged(why),
            Found::OtherSchema(found) => {
                set_aside(path, "outdated").map(|kept| Cause::OtherSchema { found, kept })
            }
        }?;
        let connection = create(path, identity, schema).map_err(open_error)?;
        let (file, loaded) = opened(connection, 0).map_err(open_error)?;
        Ok((file, loaded, Verdict::Empty(cause)))
    }

    fn opened(connection: Connection, path: &Path, applied_lsn: u64) -> Result<Self, ViewError> {
        let last = connection.query_row("SELECT max(segment) FROM batches", [], |row| {
            Ok(row.get::<_, Option<i64>>(0)?.unwrap_or_default())
        });
        let segment = last.map(unsigned).map_err(sorted)?;
        Ok(Self { connection, path: path.to_owned(), applied_lsn, segment })
    }

    pub(crate) fn applied_lsn(&self) -> u64 {
        self.applied_lsn
    }

    /// Copies `batches`, lets `rows` write what their records say, and moves the watermark: all in
    /// one transaction or not at all.
    pub(crate) fn write<T>(
        &mut self,
        batches: &[Batch],
        rows: impl FnOnce(&Transaction<'_>, u64) -> Result<T, ViewError>,
    ) -> Result<T, ViewError> {
        let records = batches.iter().flat_map(|batch| &batch.records);
        let last = records.map(|record| record.lsn).fold(self.applied_lsn, u64::max);
        let behavior = rusqlite::TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior).map_err(sorted)?;
        let written = rows(&transaction, self.applied_lsn)?;
        let segment = batches::copy(&transaction, batches, self.segment).map_err(sorted)?;
        let moved = "UPDATE meta SET applied_lsn = ?1, complement = ~?1";
        let moved =
            transaction.prepare_cached(moved).and_then(|mut sql| sql.execute([signed(last)]));
        moved.map_err(sorted)?;
        transaction.commit().map_err(sorted)?;
        (self.applied_lsn, self.segment) = (last, segment);
        Ok(written)
    }

    /// Closes the file. A damaged one is set aside, so that the next start builds another.
    pub(crate) fn abandon(self, why: &ViewError) {
        let Self { connection, path, .. } = self;
        drop(connection);
        if matches!(why, ViewError::Damaged(_))
            && let Err(error) = set_aside(&path, "damaged")
        {
            tracing::error!(reason = %error, "a damaged view stays where it is: delete it");
        }
    }
}

fn look(path: &Path, schema: &'static [M<'static>]) -> Result<Found, ViewError> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(ViewError::Failed(Box::new(error))),
    };
    match look_inside(path, bytes, schema.len()) {
        Err(ViewError::Damaged(why)) => Ok(Found::Damaged(why)),
        // Some damage looks like a file that may not be written. If another cannot be made either,
        // that is said then.
        Err(ViewError::Failed(why)) => Ok(Found::Damaged(why.to_string())),
        found => found,
    }
}

fn look_inside(path: &Path, bytes: u64, version: usize) -> Result<Found, ViewError> {
    let connection = connect(path)?;
    if bytes <= QUICK_CHECK_BYTES_MAX {
        let check = "PRAGMA quick_check(1)";
        let verdict = connection.query_row(check, [], |row| row.get::<_, String>(0));
        let verdict = verdict.map_err(sorted)?;
        if verdict != "ok" {
            return Ok(Found::Damaged(verdict.lines().collect::<Vec<_>>().join(", ")));
        }
    }
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(sorted);
    let found = count("PRAGMA user_version")?;
    if found == 0 && count("SELECT count(*) FROM sqlite_schema")? == 0 {
        // Its making did not finish.
        return Ok(Found::Nothing);
    }
    if usize::try_from(found) != Ok(version) {
        return Ok(Found::OtherSchema(found));
    }
    match watermark(&connection)? {
        Some(peek) => Ok(Found::Sound { connection, peek }),
        None => Ok(Found::Nothing),
    }
}

fn connect(path: &Path) -> Result<Connection, ViewError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sorted)?;
    let tuned = connection
        .busy_timeout(BUSY_TIMEOUT)
        .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
        .and_then(|()| connection.pragma_update(None, "synchronous", "NORMAL"))
        .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES))
        .and_then(|()| connection.pragma_update(None, "cache_size", -CACHE_KIB))
        .and_then(|()| connection.pragma_update(None, "trusted_schema", false));
    tuned.map_err(sorted)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn create(
    path: &Path,
    identity: Identity,
    schema: &'static [M<'static>],
) -> Result<Connection, ViewError> {
    // SQLite gives its own files the mode of this one.
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map_err(|error| ViewError::Failed(Box::new(error)))?;
    let mut connection = connect(path)?;
    let migrated = Migrations::from_slice(schema).to_latest(&mut connection);
    migrated.map_err(|error| ViewError::Failed(Box::new(error)))?;
    let Identity { cluster, lineage } = identity;
    let first = "INSERT INTO meta VALUES (1, ?1, ?2, 0, -1)";
    let inserted = connection.execute(first, [cluster.to_string(), lineage.to_string()]);
    inserted.map_err(sorted)?;
    Ok(connection)
}

pub(crate) fn watermark(connection: &Connection) -> Result<Option<Peek>, ViewError> {
    let sql = "SELECT cluster, lineage, applied_lsn, complement FROM meta";
    let row = connection.query_row(sql, [], |row| {
        let (cluster, lineage) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        Ok((cluster, lineage, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?))
    });
    let Some((cluster, lineage, lsn, complement)) = row.optional().map_err(sorted)? else {
        return Ok(None);
    };
    if lsn != !complement || lsn < 0 {
        return Err(ViewError::Damaged(format!("{lsn} and {complement} are no watermark")));
    }
    let identity = Identity { cluster: parsed(&cluster)?, lineage: parsed(&lineage)? };
    Ok(Some(Peek { identity, applied_lsn: unsigned(lsn) }))
}

/// What a view says of itself, if it can be read. Changes nothing, and works beside a writer.
pub(crate) fn peek(path: &Path) -> Option<Peek> {
    watermark(&reader(path).ok()?).ok().flatten()
}

/// A connection that can only read.
pub(crate) fn reader(path: &Path) -> Result<Connection, ViewError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sorted)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sorted)?;
    Ok(connection)
}

/// Renames a view's files to `<path>.<label>-<n>`.
fn set_aside(path: &Path, label: &str) -> Result<PathBuf, OpenError> {
    let with = |base: &Path, suffix: &str| {
        let mut name = base.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let free = (1_u32..).map(|n| with(path, &format!(".{label}-{n}")));
    let kept = free.into_iter().find(|kept| !kept.exists()).unwrap_or_else(|| with(path, ".last"));
    for suffix in ["", "-wal", "-shm"] {
        match fs::rename(with(path, suffix), with(&kept, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::SetAside { path: path.to_owned(), source: error });
            }
            _ => {}
        }
    }
    Ok(kept)
}
