//! Results on stdout: a table for people, JSON for programs. Talk is not its business.

use crate::errors::{Exit, Failure};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One object
    Json,
    /// One object a line
    Jsonl,
}

/// Where results go.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(super) fn format(self) -> Format {
        self.format
    }

    /// Whether a person reads it.
    pub(crate) fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// One object a line, which may be written as soon as it is known.
    pub(crate) fn is_lines(self) -> bool {
        self.format == Format::Jsonl
    }

    /// One result. `text` is how a person reads it.
    pub(crate) fn one<T: Serialize>(
        self,
        item: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => Self::text(&text()),
            Format::Json => Self::text(&json(item, true)?),
            Format::Jsonl => Self::text(&json(item, false)?),
        }
    }

    /// One of results that come as long as somebody watches: an object a line, in either JSON.
    pub(super) fn line<T: Serialize>(item: &T) -> Result<(), Failure> {
        Self::text(&json(item, false)?)
    }

    /// Many results, called `name` in JSON. `row` is how a person reads one.
    pub(crate) fn list<T: Serialize>(
        self,
        name: &str,
        items: &[T],
        header: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(header);
                table.add_rows(items.iter().map(row));
                for column in table.column_iter_mut() {
                    column.set_padding((0, 2));
                }
                let lines: Vec<String> =
                    table.lines().map(|line| line.trim_end().to_owned()).collect();
                Self::text(&lines.join("\n"))
            }
            Format::Json => {
                let whole = std::collections::BTreeMap::from([(name, items)]);
                Self::text(&json(&whole, true)?)
            }
            Format::Jsonl => items.iter().try_for_each(|item| Self::text(&json(item, false)?)),
        }
    }

    /// Text as it is, ended by a newline.
    pub(crate) fn text(text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
        written.and_then(|()| out.flush()).map_err(|error| match error.kind() {
            // Whoever read has heard enough: end quietly.
            io::ErrorKind::BrokenPipe => Failure::plain(Exit::Done, String::new()),
            _ => Failure::unexpected("write to stdout", &error),
        })
    }
}

/// A line on stderr. If that is gone, there is nobody left to tell.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn json<T: Serialize>(item: &T, pretty: bool) -> Result<String, Failure> {
    let text =
        if pretty { serde_json::to_string_pretty(item) } else { serde_json::to_string(item) };
    text.map_err(|error| Failure::unexpected("write JSON", &error))
}
