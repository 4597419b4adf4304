//! `strife wal repair`: what a second copy can put back, and with `--apply` that it is.

use crate::cli::Context;
use crate::errors::Failure;
use crate::inspect::Source;
use crate::inspect::repair::{Repair, repair};
use crate::inspect::source::quoted;
use clap::Args;
use std::fmt::Write;
use wal::Options;

#[derive(Args, Debug)]
pub(super) struct RepairArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    /// Do it; its service must be stopped
    #[arg(long)]
    apply: bool,
    /// Only say what would be done, as without --apply
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
}

pub(super) fn run(args: &RepairArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let options = match context.config() {
        Ok(config) if source.at_home => Options { segment_bytes: config.wal.segment_bytes },
        Ok(_) | Err(_) => Options::default(),
    };
    let done = repair(&source, args.apply, options)?;
    context.output.one(&done, || text(&done))
}

fn text(done: &Repair) -> String {
    if done.patches.is_empty() {
        return format!("The log of {} is whole: there is nothing to repair.\n", done.log);
    }
    let verb = if done.applied { "was" } else { "would be" };
    let mut text = String::new();
    for patch in &done.patches {
        let what = match patch.records {
            0 => "a mark without records".to_owned(),
            1 => format!("record {}", patch.first_lsn),
            count => {
                let last = patch.first_lsn + u64::from(count) - 1;
                format!("records {} to {last}", patch.first_lsn)
            }
        };
        let _ = writeln!(text, "{what} {verb} put back at byte {} of {}", patch.offset, patch.file);
        let _ = writeln!(text, "  {} bytes, {}", patch.bytes, source_of(&patch.from));
    }
    if done.applied {
        for kept in &done.kept {
            let _ = writeln!(text, "The damaged file is kept as {kept}");
        }
        text.push_str("What was done is written in the log, and the log is whole.\n");
    } else {
        let name = quoted(&done.log);
        let _ = writeln!(
            text,
            "Nothing was changed. Stop its service, then: \
             strife wal repair {name} --apply"
        );
    }
    text
}

fn source_of(from: &str) -> String {
    match from {
        "computed" => "computed from the batches around it".to_owned(),
        view => format!("byte for byte from the copy in {view}"),
    }
}
