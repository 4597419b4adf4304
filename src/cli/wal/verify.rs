//! `strife wal verify`: 0 for a log that is whole or torn as a crash tears, 6 for any other.

use crate::cli::Context;
use crate::cli::Output;
use crate::errors::{Exit, Failure};
use crate::inspect::verify::{Checked, Depth, Segment, verify};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write;

/// Below this nobody waits long enough to be shown how long.
const PROGRESS_BYTES_MIN: u64 = 256 << 20;

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// gateway, a bank, or a directory that holds wal/; all logs of the home if left out
    log: Option<String>,
    /// Look at the log's own bytes only: not at its view, nor at what others remember of it
    #[arg(long)]
    log_only: bool,
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Result<(), Failure> {
    let depth = if args.log_only { Depth::LogOnly } else { Depth::All };
    let bar = progress(args, context);
    let mut heard = |bytes| bar.inc(bytes);
    let checked = verify(&context.home, args.log.as_deref(), depth, &mut heard);
    bar.finish_and_clear();
    let checked = checked?;
    if context.output.is_table() {
        Output::text(&text(&checked))?;
    } else if context.output.is_lines() {
        context.output.list("logs", &checked, &[], |_| Vec::new())?;
    } else {
        let ok = checked.iter().all(|log| log.ok);
        context.output.one(&serde_json::json!({"ok": ok, "logs": checked}), String::new)?;
    }
    let bad: Vec<&Checked> = checked.iter().filter(|log| !log.ok).collect();
    let Some(first) = bad.first() else { return Ok(()) };
    let newer = bad.iter().all(|log| log.verdict == "newer");
    let exit = if newer { Exit::Configuration } else { Exit::Damaged };
    let names: Vec<&str> = bad.iter().map(|log| log.log.as_str()).collect();
    let what =
        format!("{} of {} logs cannot be believed: {}", bad.len(), checked.len(), names.join(", "));
    let todo = first.next.iter().find(|command| !command.starts_with('#'));
    let todo = todo.map_or_else(
        || "Keep all files as they are.".to_owned(),
        |command| format!("Keep a copy of the data first. What helps {}: {command}", first.log),
    );
    Err(Failure::plain(exit, what)
        .money("Nothing was changed, and no service starts on these.")
        .todo(todo))
}

fn progress(args: &VerifyArgs, context: &Context) -> ProgressBar {
    let total = crate::inspect::verify::bytes(&context.home, args.log.as_deref());
    if context.quiet || total < PROGRESS_BYTES_MIN {
        return ProgressBar::hidden();
    }
    let style = "{bytes:>10} of {total_bytes}  [{wide_bar}]  {bytes_per_sec}  {eta}";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    // It draws on stderr, and only if that is a terminal.
    ProgressBar::new(total).with_style(style)
}

fn text(checked: &[Checked]) -> String {
    let mut text = String::new();
    for log in checked {
        let _ = writeln!(
            text,
            "{}: {}, {} records in {} batches of {} segments, durable through {}",
            log.log,
            log.verdict,
            log.records,
            log.batches,
            log.segments.len(),
            log.durable_lsn.min(log.last_lsn),
        );
        log.segments.iter().for_each(|segment| segment_text(segment, log, &mut text));
        for problem in &log.problems {
            let _ = writeln!(text, "  {problem}");
        }
        for memory in &log.witnesses {
            let of = if memory.same_log { "" } else { " (of an earlier directory)" };
            let _ =
                writeln!(text, "  {} remembers it through record {}{of}", memory.who, memory.lsn);
        }
        if let Some(view) = &log.view {
            let applied = view.applied_lsn.map_or("cannot be read".to_owned(), |lsn| {
                format!("shows it through record {lsn}, with {} batches copied", view.batches)
            });
            let _ = writeln!(text, "  {} {applied}", view.file);
            for diverged in &view.diverged {
                let _ = writeln!(text, "  diverged: {diverged}");
            }
        }
        if !log.next.is_empty() {
            text.push_str("  what helps:\n");
        }
        for command in &log.next {
            let _ = writeln!(text, "    {command}");
        }
    }
    text
}

fn segment_text(segment: &Segment, log: &Checked, text: &mut String) {
    let Segment { file, used_bytes, records, last_lsn, verdict, why, .. } = segment;
    let _ = writeln!(
        text,
        "  {verdict:<8} {file}  {used_bytes} bytes used, {records} records to {last_lsn}"
    );
    if !why.is_empty() {
        let _ = writeln!(text, "           {why}");
    }
    if let Some(following) = segment.whole_batches_following {
        let _ = writeln!(text, "           {following} whole batches follow in this file");
    }
    if verdict == &"torn" {
        let _ = writeln!(
            text,
            "           safe: nothing through record {} is missing, and nobody was told of more; \
             a start sets it aside. Beside a running service it is a write under way.",
            log.last_lsn
        );
    }
}
