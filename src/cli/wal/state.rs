//! `strife wal state`, `diff` and `what-if`: a log as it was at any record.

use crate::cli::{Context, Output};
use crate::errors::{Exit, Failure};
use crate::inspect::Source;
use crate::inspect::moment::{Moment, shown};
use crate::inspect::state::{Difference, Doubt, Snapshot, state};
use crate::inspect::words::{Accounts, money};
use clap::Args;
use serde::Serialize;
use std::fmt::Write;

#[derive(Args, Debug)]
pub(super) struct StateArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    /// After this record, or at this time (UTC); at the end if left out
    #[arg(long, value_name = "LSN|TIME")]
    at: Option<Moment>,
    /// Show account numbers whole
    #[arg(long)]
    unmask: bool,
    /// List every payment too, not only those in doubt; JSON always does
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// A record, a time (UTC), a log, or a log at one: 120, gateway, gateway@120, old/gateway@120
    a: String,
    /// Likewise
    b: String,
    /// The log that bare records and times are of; gateway if left out
    log: Option<String>,
    /// Show account numbers whole
    #[arg(long)]
    unmask: bool,
}

#[derive(Args, Debug)]
pub(super) struct WhatIfArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    /// The last record that the crash left
    #[arg(long, value_name = "LSN|TIME")]
    crash_at: Moment,
}

fn accounts(unmask: bool) -> Accounts {
    if unmask { Accounts::Whole } else { Accounts::Masked }
}

pub(super) fn show(args: &StateArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let snapshot = state(&source, args.at, accounts(args.unmask))?;
    context.output.one(&snapshot, || state_text(&snapshot, args.all))
}

fn state_text(snapshot: &Snapshot, all: bool) -> String {
    let mut text = format!("After {}, in epoch {}", snapshot.place(), snapshot.epoch);
    text.push_str(if snapshot.stopped { ", stopped in order\n" } else { "\n" });
    if !snapshot.accounts.is_empty() {
        text.push_str("\nbalances\n");
    }
    for account in &snapshot.accounts {
        let _ = writeln!(
            text,
            "  {}  {:<12}{:>18}  held {}, to come {}",
            account.account_number,
            account.client_id,
            money(account.balance_minor, &account.currency_code),
            money(account.held_minor, &account.currency_code),
            money(account.incoming_minor, &account.currency_code),
        );
    }
    let kind = if snapshot.role == "bank" { "holds without an outcome" } else { "in doubt" };
    let _ = writeln!(text, "\n{kind}: {}", snapshot.in_doubt.len());
    snapshot.in_doubt.iter().for_each(|doubt| doubt_text(doubt, &mut text));
    let _ = writeln!(text, "\npayments: {}", snapshot.payments.len());
    for payment in snapshot.payments.iter().filter(|_| all) {
        let amount = payment.amount_minor.map(|minor| money(minor, &payment.currency_code));
        let at = if payment.lsn == 0 { String::new() } else { format!(" at {}", payment.lsn) };
        let _ = writeln!(
            text,
            "  {}  {:<24}{:>16}  {} {}{at}",
            payment.payment,
            payment.reference,
            amount.unwrap_or_default(),
            payment.state,
            payment.reason,
        );
    }
    text
}

fn doubt_text(doubt: &Doubt, text: &mut String) {
    let _ = writeln!(
        text,
        "  {}  {}/{}  {}  since {}\n    {}",
        doubt.payment,
        doubt.client_id,
        doubt.transaction_id,
        money(doubt.amount_minor, &doubt.currency_code),
        shown(doubt.since_unix_ms),
        doubt.why,
    );
}

/// Which log at which point `text` names.
fn point(
    text: &str,
    log: Option<&str>,
    context: &Context,
) -> Result<(Source, Option<Moment>), Failure> {
    if let Ok(moment) = text.parse() {
        return Ok((Source::find(&context.home, log)?, Some(moment)));
    }
    match text.rsplit_once('@') {
        Some((name, moment)) => {
            let moment = moment.parse().map_err(|why: String| {
                Failure::plain(Exit::Usage, format!("{moment:?} is no point of a log")).todo(why)
            })?;
            Ok((Source::find(&context.home, Some(name))?, Some(moment)))
        }
        None => Ok((Source::find(&context.home, Some(text))?, None)),
    }
}

#[derive(Serialize)]
struct Diff {
    a: Place,
    b: Place,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Place {
    log: String,
    at_lsn: u64,
    at_unix_ms: u64,
}

impl Place {
    fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { log, at_lsn, at_unix_ms, .. } = snapshot;
        Self { log: log.clone(), at_lsn: *at_lsn, at_unix_ms: *at_unix_ms }
    }
}

pub(super) fn diff(args: &DiffArgs, context: &Context) -> Result<(), Failure> {
    let at = |text| -> Result<Snapshot, Failure> {
        let (source, moment) = point(text, args.log.as_deref(), context)?;
        state(&source, moment, accounts(args.unmask))
    };
    let (a, b) = (at(&args.a)?, at(&args.b)?);
    if a.role != b.role {
        let what = format!("{} and {} are logs of different services", a.log, b.log);
        return Err(Failure::plain(Exit::Usage, what).todo("Name two points of one, or a copy."));
    }
    let diff = Diff { differences: a.differences(&b), a: Place::of(&a), b: Place::of(&b) };
    context.output.one(&diff, || {
        let mut text = format!("--- {}\n+++ {}\n", a.place(), b.place());
        for Difference { what, before, after } in &diff.differences {
            let _ = match (before, after) {
                (Some(before), Some(after)) => writeln!(text, "~ {what}: {before} -> {after}"),
                (Some(before), None) => writeln!(text, "- {what}: {before}"),
                (None, Some(after)) => writeln!(text, "+ {what}: {after}"),
                (None, None) => Ok(()),
            };
        }
        let _ = writeln!(text, "{} differences", diff.differences.len());
        text
    })
}

#[derive(Serialize)]
struct WhatIf<'a> {
    log: &'a str,
    crash_at: u64,
    payments: &'a [Doubt],
    /// Over by then: nothing is done, and a retry hears what it heard.
    over: u64,
}

pub(super) fn what_if(args: &WhatIfArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let snapshot = state(&source, Some(args.crash_at), Accounts::Masked)?;
    let doubts = &snapshot.in_doubt;
    let over = snapshot.payments.len().saturating_sub(doubts.len()) as u64;
    let told = WhatIf { log: &snapshot.log, crash_at: snapshot.at_lsn, payments: doubts, over };
    if context.output.is_lines() {
        return context.output.list("payments", doubts, &[], |_| Vec::new());
    }
    if !context.output.is_table() {
        return context.output.one(&told, String::new);
    }
    let mut text = format!("A restart after {} would\n\n", snapshot.place());
    for doubt in doubts {
        let outcome = match doubt.outcome {
            "UNKNOWN" => "the gateway says",
            outcome => outcome,
        };
        let _ = writeln!(
            text,
            "  {}/{}  {}  -> {outcome}\n    {}",
            doubt.client_id,
            doubt.transaction_id,
            money(doubt.amount_minor, &doubt.currency_code),
            doubt.why,
        );
    }
    let _ = writeln!(text, "  do nothing to {over} payments that are over: retries hear the same");
    Output::text(&text)
}
