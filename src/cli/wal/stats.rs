//! `strife wal stats` and `strife wal export`: what a log is made of, and all of it elsewhere.

use super::ls::Filter;
use crate::cli::Context;
use crate::errors::{Exit, Failure};
use crate::inspect::Source;
use crate::inspect::export::{Export, Shape};
use crate::inspect::listing::Listing;
use crate::inspect::moment::shown;
use crate::inspect::stats::{Stats, count};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// The longest bar of a histogram.
const BAR_COLUMNS: u64 = 40;

#[derive(Args, Debug)]
pub(super) struct StatsArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    /// Where to; .jsonl, .csv or .db says how, too
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// How, if the name does not say
    #[arg(long = "as", value_name = "SHAPE")]
    shape: Option<ShapeArg>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum ShapeArg {
    /// JSON Lines, as `wal ls -o jsonl` prints them
    Jsonl,
    /// Comma-separated, with a header
    Csv,
    /// A table `records` in an SQLite database
    Sqlite,
}

pub(super) fn stats(args: &StatsArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let stats = count(&source)?;
    context.output.one(&stats, || text(&stats))
}

fn text(stats: &Stats) -> String {
    let mut text = String::new();
    let span_ms = stats.last_ms.saturating_sub(stats.first_ms);
    let rows = [
        ("segments", format!("{}, {} bytes", stats.segments, stats.bytes)),
        ("records", format!("{}, {} to {}", stats.records, stats.first_lsn, stats.last_lsn)),
        ("time", format!("{} to {} (UTC)", shown(stats.first_ms), shown(stats.last_ms))),
        ("", format!("{}.{:03} s", span_ms / 1_000, span_ms % 1_000)),
        ("starts", stats.starts.to_string()),
        ("syncs", format!("{}, and {} marks", stats.syncs, stats.marks)),
        ("in batches", format!("{} bytes, {} of records", stats.batch_bytes, stats.record_bytes)),
        ("payments", format!("{}, {} in doubt", stats.payments, stats.in_doubt)),
        (
            "a payment",
            stats.bytes_a_payment().map_or("-".to_owned(), |bytes| format!("{bytes} bytes")),
        ),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<12}{value}");
    }
    let kinds = stats.by_kind.iter().map(|(kind, count)| (kind.clone(), *count));
    histogram("records by kind", kinds.collect(), &mut text);
    histogram("records a batch", from(&stats.records_a_batch), &mut text);
    histogram("bytes a batch", from(&stats.bytes_a_batch), &mut text);
    text
}

fn from(buckets: &BTreeMap<u64, u64>) -> Vec<(String, u64)> {
    buckets.iter().map(|(from, count)| (format!("{from} up"), *count)).collect()
}

fn histogram(title: &str, rows: Vec<(String, u64)>, text: &mut String) {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let _ = writeln!(text, "\n{title}");
    for (name, count) in rows {
        let bar = "#".repeat((count * BAR_COLUMNS).div_ceil(most) as usize);
        let _ = writeln!(text, "  {name:<16}{count:>10}  {bar}");
    }
}

pub(super) fn export(args: &ExportArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let shape = match args.shape {
        Some(ShapeArg::Jsonl) => Shape::JsonLines,
        Some(ShapeArg::Csv) => Shape::Csv,
        Some(ShapeArg::Sqlite) => Shape::Sqlite,
        None => Shape::of(&args.file).ok_or_else(|| {
            let what = format!("{} does not say how to write it", args.file.display());
            Failure::plain(Exit::Usage, what).todo("Add --as jsonl, csv or sqlite.")
        })?,
    };
    let (wanted, accounts) = (args.filter.wanted(), args.filter.accounts());
    let mut listing = Listing::new(&source, &wanted, accounts)?;
    let mut export = Export::begin(shape, &args.file)?;
    listing.advance(|line| export.line(&line))?;
    export.finish()?;
    let (count, to) = (listing.counts().count, args.file.display());
    context.say(&format!("{count} records are in {to}"));
    listing.finish()
}
