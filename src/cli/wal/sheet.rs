//! Lines on stdout as they come, however many: columns for people, objects for programs.
//!
//! A reader of stdout that went away ends it quietly.

use crate::cli::output::Format;
use crate::errors::{Exit, Failure};
use crate::inspect::line::Line;
use crate::inspect::listing::Counts;
use crate::inspect::moment::shown;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Where lines go.
pub(super) struct Sheet {
    out: BufWriter<StdoutLock<'static>>,
    format: Format,
    lines: u64,
}

/// Whoever read has heard enough.
fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::plain(Exit::Done, String::new()),
        _ => Failure::unexpected("write to stdout", &error),
    }
}

impl Sheet {
    pub(super) fn new(format: Format) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()), format, lines: 0 }
    }

    fn put(&mut self, text: impl Display) -> Result<(), Failure> {
        self.out.write_fmt(format_args!("{text}")).map_err(unwritten)
    }

    /// One record.
    pub(super) fn line(&mut self, line: &Line) -> Result<(), Failure> {
        self.lines += 1;
        match self.format {
            Format::Table => {
                if self.lines == 1 {
                    self.row(&["LSN", "TIME (UTC)", "KIND", "TRANSACTION", "WHAT"])?;
                }
                let (lsn, time) = (line.lsn.to_string(), shown(line.wall_ms));
                let payment = match (&line.client_id, &line.transaction_id, &line.payment) {
                    (Some(client), Some(id), _) => format!("{client}/{id}"),
                    (_, _, Some(payment)) => payment.clone(),
                    (_, _, None) => String::new(),
                };
                self.row(&[&lsn, &time, &line.kind, &payment, &line.words])
            }
            Format::Json => {
                let begin = if self.lines == 1 { "{\"records\":[\n" } else { ",\n" };
                let line = json(line)?;
                self.put(format_args!("{begin}{line}"))
            }
            Format::Jsonl => {
                let line = json(line)?;
                self.put(format_args!("{line}\n"))
            }
        }
    }

    fn row(&mut self, [lsn, time, kind, payment, words]: &[&str; 5]) -> Result<(), Failure> {
        let row = format!("{lsn:>8}  {time:<23}  {kind:<15}  {payment:<24}  {words}");
        self.put(format_args!("{}\n", row.trim_end()))
    }

    /// What it came to. Lines of JSON have no place for it.
    pub(super) fn footer(&mut self, counts: &Counts) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                let kinds: Vec<String> =
                    counts.by_kind.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
                let Counts { count, records, .. } = counts;
                let kinds = kinds.join(", ");
                let kinds = if kinds.is_empty() { kinds } else { format!(": {kinds}") };
                self.put(format_args!("\n{count} of {records} records{kinds}\n"))?;
            }
            Format::Json => {
                let begin = if self.lines == 0 { "{\"records\":[" } else { "\n" };
                let Counts { count, records, unknown, .. } = counts;
                let by_kind = json(&counts.by_kind)?;
                self.put(format_args!(
                    "{begin}],\"count\":{count},\"records_in_log\":{records},\
                     \"unknown\":{unknown},\"by_kind\":{by_kind}}}\n"
                ))?;
            }
            Format::Jsonl => {}
        }
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(unwritten)
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::unexpected("write JSON", &error))
}
