//! `strife queue ls | flush | drop | repair`: what was asked for and is not settled.

use super::who::{Who, since_last_time};
use super::{Context, block_on};
use crate::client::ask::transaction_id;
use crate::client::outbox::{Outbox, Stage};
use crate::client::pay::now_unix_ms;
use crate::client::retry;
use crate::client::show::{self, EntryJson};
use crate::client::words::{self, PaymentJson};
use crate::errors::{Exit, Failure};
use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub(super) struct QueueArgs {
    #[command(subcommand)]
    command: QueueCommand,
}

#[derive(Subcommand, Debug)]
enum QueueCommand {
    /// List what waits
    Ls {
        #[command(flatten)]
        who: Who,
    },
    /// Send what waits, now, each under its own id
    Flush {
        #[command(flatten)]
        who: Who,
    },
    /// Forget a payment that was never sent
    Drop {
        /// Its transaction id
        id: String,
        #[command(flatten)]
        who: Who,
    },
    /// Set a damaged queue file aside, and keep what still reads
    Repair {
        #[command(flatten)]
        who: Who,
    },
}

pub(super) fn run(args: &QueueArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        QueueCommand::Ls { who } => ls(who, context),
        QueueCommand::Flush { who } => flush(who, context),
        QueueCommand::Drop { id, who } => drop_one(id, who, context),
        QueueCommand::Repair { who } => repair(who, context),
    }
}

/// The outbox alone: no certificate, no gateway.
fn outbox(who: &Who, context: &Context) -> Result<Outbox, Failure> {
    context.home.open()?;
    let client = who.client(&context.home)?;
    let opened = Outbox::open(&context.home.client(client), client);
    opened.map_err(|error| words::of_outbox(&error))
}

fn ls(who: &Who, context: &Context) -> Result<(), Failure> {
    let entries = outbox(who, context)?.entries();
    let entries = entries.map_err(|error| words::of_outbox(&error))?;
    let rows: Vec<EntryJson> = entries.iter().map(EntryJson::from).collect();
    if rows.is_empty() && context.output.is_table() {
        context.say("nothing waits");
        return Ok(());
    }
    context.output.list("queue", &rows, &show::QUEUE, show::queue_row)
}

fn flush(who: &Who, context: &Context) -> Result<(), Failure> {
    let desk = who.desk(context)?;
    block_on(async {
        let of_outbox = |error| words::of_outbox(&error);
        since_last_time(&desk, context).await?;
        let mut sent: Vec<(PaymentJson, Option<Failure>)> = Vec::new();
        let ended = retry::flush(&desk, |one| {
            let json = one.words.json.clone();
            sent.push((json, one.words.told.clone().err()));
            match &one.words.told {
                Ok(line) => context.say(line),
                Err(failure) => context.say(&failure.to_string()),
            }
        });
        let ended = ended.await.map_err(of_outbox)?;
        let rows: Vec<PaymentJson> = sent.iter().map(|(json, _)| json.clone()).collect();
        if !context.output.is_table() {
            context.output.list("payments", &rows, &[], |_| Vec::new())?;
        } else if rows.is_empty() {
            context.say("nothing waits");
        }
        desk.told(ended).await.map_err(of_outbox)?;
        let entries = desk.entries().await.map_err(of_outbox)?;
        let left = entries.iter().filter(|entry| entry.stage() != Stage::Final).count();
        let worst = sent.iter().filter_map(|(_, failure)| failure.as_ref());
        match worst.max_by_key(|failure| urgency(failure.exit)) {
            Some(failure) if left == 0 => {
                let what = "not every payment that waited went through";
                Err(Failure::plain(failure.exit, what).todo("See each with: strife history"))
            }
            Some(failure) => {
                let what = format!("{left} payments still wait");
                Err(Failure::plain(failure.exit, what).todo("See them with: strife queue ls"))
            }
            None => Ok(()),
        }
    })
}

/// Which of several failures the exit code tells.
fn urgency(exit: Exit) -> u8 {
    match exit {
        Exit::Unknown => 4,
        Exit::Queued => 3,
        Exit::Unreachable | Exit::NotAllowed => 2,
        _ => 1,
    }
}

fn drop_one(id: &str, who: &Who, context: &Context) -> Result<(), Failure> {
    let id = transaction_id(id)?;
    let dropped = outbox(who, context)?.drop(id);
    let entry = dropped.map_err(|error| words::of_outbox(&error))?;
    let json = EntryJson::from(&entry);
    context.output.one(&json, || match entry.stage() {
        Stage::Final => format!("dropped: tx {id} had ended"),
        Stage::New | Stage::Sending | Stage::Unknown => {
            format!("dropped: tx {id} was never sent, and will not be")
        }
    })
}

fn repair(who: &Who, context: &Context) -> Result<(), Failure> {
    let repaired = outbox(who, context)?.repair(now_unix_ms());
    match repaired.map_err(|error| words::of_outbox(&error))? {
        None => context.say("the queue is whole: nothing was changed"),
        Some(repair) => context.say(&format!(
            "{} payments are kept. The damaged file is untouched at {}: a payment that is only \
             there may or may not have gone through, so look for it in strife history before you \
             pay again.",
            repair.kept,
            repair.copy.display()
        )),
    }
    Ok(())
}
