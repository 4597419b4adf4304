//! `strife tx in-doubt` and `strife tx resolve`: what is not over, and what is safe to do about it.

use super::Context;
use crate::errors::{Exit, Failure};
use crate::inspect::in_doubt::{Evidence, InDoubt, all, one};
use crate::inspect::words::money;
use crate::journal::wall_ms;
use clap::Args;
use std::fmt::Write;

#[derive(Args, Debug)]
pub(super) struct InDoubtArgs {}

#[derive(Args, Debug)]
pub(super) struct ResolveArgs {
    /// Its transaction id, client_id/transaction_id, or global id
    id: String,
}

pub(super) fn list(_args: &InDoubtArgs, context: &Context) -> Result<(), Failure> {
    let open = all(&context.home, wall_ms())?;
    let header = ["PAYMENT", "TRANSACTION", "AGE", "AMOUNT", "DECIDED", "WAITS FOR", "HELD", ""];
    context.output.list("payments", &open, &header, |one| {
        let held = if one.held_minor == 0 {
            String::new()
        } else {
            money(one.held_minor, &one.currency_code)
        };
        vec![
            one.payment.clone(),
            format!("{}/{}", one.client_id, one.transaction_id),
            age(one.age_ms),
            money(one.amount_minor, &one.currency_code),
            one.decision.unwrap_or("-").to_owned(),
            one.waiting_for.join(", "),
            held,
            if one.mixed { "mixed".to_owned() } else { String::new() },
        ]
    })
}

fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}.{}s", ms / 100 % 10),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}

/// Ends with 7 while the payment is not over: there is nothing to do but what it prints.
pub(super) fn resolve(args: &ResolveArgs, context: &Context) -> Result<(), Failure> {
    let (found, over) = one(&context.home, &args.id, wall_ms())?;
    context.output.one(&found, || text(&found))?;
    if over {
        return Ok(());
    }
    let what = format!("{} is not over, and nothing was forced", found.payment);
    let command = found.next.iter().find(|command| !command.starts_with('#'));
    let todo = match command {
        Some(command) => format!("{}. The command: {command}", found.safe),
        None => found.safe.clone(),
    };
    Err(Failure::plain(Exit::Unknown, what).money("The money stays where it is.").todo(todo))
}

fn text(found: &InDoubt) -> String {
    let mut text = format!(
        "{}  {}/{}  {}  for {}\n\n",
        found.payment,
        found.client_id,
        found.transaction_id,
        money(found.amount_minor, &found.currency_code),
        age(found.age_ms),
    );
    let decided = match (found.decision, found.lsn) {
        (Some(decision), Some(lsn)) => format!("decided {decision} by record {lsn}"),
        _ => "no decision".to_owned(),
    };
    let _ = writeln!(text, "gateway     {decided}");
    for Evidence { bank, state, lsn, up, problem } in &found.evidence {
        let at = lsn.map(|lsn| format!(" by record {lsn}")).unwrap_or_default();
        let state = state.as_ref().map_or(problem.clone(), |state| format!("{state}{at}"));
        let _ = writeln!(text, "{bank:<12}{state}, {}", if *up { "up" } else { "down" });
    }
    let _ = writeln!(text, "\nmixed       {}", if found.mixed { "yes" } else { "no" });
    let _ = writeln!(text, "safe        {}", found.safe);
    let _ = writeln!(text, "at risk     {}", found.at_risk);
    for command in &found.next {
        let _ = writeln!(text, "            {command}");
    }
    text
}
