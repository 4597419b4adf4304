//! `strife backup` and `strife restore`.

use super::Context;
use crate::backup::{self, Manifest};
use crate::errors::Failure;
use crate::journal::wall_ms;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strife backup /mnt/backups/2026-11-22     beside the running services, without slowing them
  strife restore /mnt/backups/2026-11-22 --home /srv/strife     as it stood then

The backup holds the keys and the users of the home: keep it as secret as the home.")]
pub(super) struct BackupArgs {
    /// A directory that is not there yet
    directory: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = "Without a home, all of it is restored, as it stood when the backup was \
made. Into a home that has lost the data directory of a service, only that is restored, and only \
if nobody there remembers more than the backup holds: strife rebuild loses nothing and is then the \
better way.")]
pub(super) struct RestoreArgs {
    /// A directory that strife backup made
    directory: PathBuf,
    /// Restore a log that others know to be old; its service will refuse to start on it
    #[arg(long)]
    even_if_old: bool,
}

pub(super) fn backup(args: &BackupArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    let config = context.config()?;
    let made = backup::make(&context.home, &config, &args.directory, wall_ms())?;
    context.output.one(&made, || text(&made))?;
    for bank in &made.foreign_banks {
        context.say(&format!("{bank} keeps its own data: it is not in the backup."));
    }
    context.say(&format!("The backup is {}. It holds keys: keep it secret.", {
        args.directory.display()
    }));
    Ok(())
}

pub(super) fn restore(args: &RestoreArgs, context: &Context) -> Result<(), Failure> {
    let restored = backup::restore(&context.home, &args.directory, args.even_if_old)?;
    context.output.one(&restored.manifest, || text(&restored.manifest))?;
    context.say(&format!("Restored: {}.", restored.logs.join(", ")));
    match &restored.old {
        Some(what) => context.say(&format!(
            "It is old, and a start will refuse it: {what}. What loses nothing is strife rebuild."
        )),
        None => context.say("Start it with: strife up"),
    }
    Ok(())
}

fn text(manifest: &Manifest) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let _ = writeln!(text, "payments   {}", manifest.payments);
    let _ = writeln!(text, "in doubt   {} (settled at the first start)", manifest.in_doubt);
    let _ = writeln!(text, "files      {} of {} KiB, checked", manifest.files.len(), bytes / 1024);
    for log in &manifest.logs {
        let _ = writeln!(text, "log        {} to record {}", log.service, log.last_lsn);
    }
    text
}
