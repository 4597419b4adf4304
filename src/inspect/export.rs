//! A log as a file of its own: JSON Lines, CSV, or an SQLite database to ask questions of.
//!
//! What was written is whole or not there: it is made beside its name and renamed. This is the one
//! door to SQLite that belongs to no view. An existing file is never written over.

use super::line::Line;
use crate::errors::{Exit, Failure};
use rusqlite::{Connection, params};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// How it is written.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    JsonLines,
    Csv,
    Sqlite,
}

/// The columns of CSV and SQLite; `fact` is the fact's own fields, as JSON.
pub const COLUMNS: [&str; 12] = [
    "lsn",
    "kind",
    "wall_ms",
    "payment",
    "client_id",
    "transaction_id",
    "epoch",
    "segment",
    "offset",
    "bytes",
    "crc",
    "fact",
];

const TABLE: &str = "
    CREATE TABLE records (
        lsn INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        wall_ms INTEGER NOT NULL,
        payment TEXT,
        client_id TEXT,
        transaction_id TEXT,
        epoch INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        crc TEXT NOT NULL,
        fact TEXT NOT NULL
    ) STRICT;
    BEGIN;
";
/// Made once all is in: random keys slow the filling down.
const INDEXES: &str = "
    COMMIT;
    CREATE INDEX by_payment ON records (payment) WHERE payment IS NOT NULL;
    CREATE INDEX by_transaction ON records (transaction_id) WHERE transaction_id IS NOT NULL;
    CREATE INDEX by_kind ON records (kind);
";

enum Out {
    Text(BufWriter<File>),
    Sqlite(Connection),
}

/// A file in the making.
pub struct Export {
    shape: Shape,
    out: Out,
    aside: PathBuf,
    to: PathBuf,
}

impl Shape {
    /// What a file's name says.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            "db" | "sqlite" | "sqlite3" => Some(Self::Sqlite),
            _ => None,
        }
    }
}

fn cannot(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::unexpected(&format!("write {}", path.display()), error)
}

impl Export {
    /// Begins `to`, which must not be there.
    pub fn begin(shape: Shape, to: &Path) -> Result<Self, Failure> {
        if to.exists() {
            let what = format!("{} is there already", to.display());
            return Err(Failure::plain(Exit::Usage, what).todo("Name a file that is not."));
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(to.file_name().unwrap_or_default());
        name.push(".part");
        let aside = to.with_file_name(name);
        // What an interrupted try left.
        let _ = fs::remove_file(&aside);
        let out = match shape {
            Shape::Sqlite => {
                let connection = Connection::open(&aside).map_err(|error| cannot(to, &error))?;
                connection.execute_batch(TABLE).map_err(|error| cannot(to, &error))?;
                Out::Sqlite(connection)
            }
            Shape::JsonLines | Shape::Csv => {
                let file = File::create_new(&aside).map_err(|error| cannot(to, &error))?;
                Out::Text(BufWriter::new(file))
            }
        };
        let mut export = Self { shape, out, aside, to: to.to_owned() };
        if shape == Shape::Csv {
            export.text(&(COLUMNS.join(",") + "\n"))?;
        }
        Ok(export)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.out {
            Out::Text(file) => {
                file.write_all(text.as_bytes()).map_err(|error| cannot(&self.to, &error))
            }
            Out::Sqlite(_) => Ok(()),
        }
    }

    /// One record more.
    pub fn line(&mut self, line: &Line) -> Result<(), Failure> {
        match self.shape {
            Shape::JsonLines => {
                let text = serde_json::to_string(line).map_err(|error| cannot(&self.to, &error))?;
                self.text(&(text + "\n"))
            }
            Shape::Csv => self.text(&csv(line)),
            Shape::Sqlite => self.insert(line).map_err(|error| cannot(&self.to, &error)),
        }
    }

    fn insert(&mut self, line: &Line) -> rusqlite::Result<()> {
        let Out::Sqlite(connection) = &self.out else { return Ok(()) };
        let insert =
            "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        connection.prepare_cached(insert)?.execute(params![
            line.lsn.cast_signed(),
            line.kind,
            line.wall_ms.cast_signed(),
            line.payment,
            line.client_id,
            line.transaction_id,
            line.epoch.cast_signed(),
            line.segment.cast_signed(),
            line.offset.cast_signed(),
            line.bytes.cast_signed(),
            line.crc,
            fact(line),
        ])?;
        Ok(())
    }

    /// Gives the file its name.
    pub fn finish(self) -> Result<(), Failure> {
        let Self { out, aside, to, .. } = self;
        match out {
            Out::Text(mut file) => {
                let synced = file.flush().and_then(|()| file.get_ref().sync_all());
                synced.map_err(|error| cannot(&to, &error))?;
            }
            Out::Sqlite(connection) => {
                connection.execute_batch(INDEXES).map_err(|error| cannot(&to, &error))?;
                connection.close().map_err(|(_, error)| cannot(&to, &error))?;
            }
        }
        fs::rename(&aside, &to).map_err(|error| cannot(&to, &error))
    }
}

fn fact(line: &Line) -> String {
    serde_json::Value::Object(line.fields.clone()).to_string()
}

/// A line by RFC 4180. A text that a spreadsheet would take for a formula cannot stand first in a
/// cell: ids begin with letters or digits, and a memo is inside `fact`.
fn csv(line: &Line) -> String {
    let maybe = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        line.lsn.to_string(),
        line.kind.clone(),
        line.wall_ms.to_string(),
        maybe(&line.payment),
        maybe(&line.client_id),
        maybe(&line.transaction_id),
        line.epoch.to_string(),
        line.segment.to_string(),
        line.offset.to_string(),
        line.bytes.to_string(),
        line.crc.clone(),
        fact(line),
    ];
    cells.map(|cell| quoted(&cell)).join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
