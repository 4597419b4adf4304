//! `strife status --recoveries`: each start of each service, read from files.

use super::{Context, Output};
use crate::errors::Failure;
use crate::inspect::Source;
use crate::inspect::moment::shown;
use crate::inspect::recoveries::{Recovery, of};
use crate::inspect::source::services;
use crate::inspect::words::money;
use std::fmt::Write;

pub(super) fn run(context: &Context, last: usize) -> Result<(), Failure> {
    // A home that is not there is said to be missing by the first of these.
    Source::find(&context.home, None)?;
    let (mut all, mut unread) = (Vec::new(), None);
    for service in services(&context.home) {
        match Source::of(&context.home, service).and_then(|source| of(&source)) {
            Ok(mut starts) => all.extend(starts.drain(starts.len().saturating_sub(last)..)),
            Err(failure) => unread = Some(failure),
        }
    }
    if context.output.is_table() {
        Output::text(&text(&all))?;
    } else {
        context.output.list("recoveries", &all, &[], |_| Vec::new())?;
    }
    unread.map_or(Ok(()), Err)
}

fn text(all: &[Recovery]) -> String {
    let mut text = String::new();
    for start in all {
        let before = if start.records == 0 || start.epoch == 1 {
            "the first"
        } else if start.after_a_clean_stop {
            "after a clean stop"
        } else {
            "after a crash"
        };
        let took = start.took_ms.map(|ms| format!(", {ms} ms")).unwrap_or_default();
        let torn = match start.torn_bytes {
            Some(1..) => format!(", {} torn bytes set aside", start.torn_bytes.unwrap_or_default()),
            Some(0) | None => String::new(),
        };
        let _ = writeln!(
            text,
            "{} epoch {}, {} (UTC), {before}: {} records{torn}{took}, {} in doubt",
            start.service,
            start.epoch,
            shown(start.at_unix_ms),
            start.records,
            start.in_doubt.len(),
        );
        for settled in &start.in_doubt {
            let outcome = settled.outcome.as_deref().unwrap_or("not known yet");
            let after = match settled.settled_ms {
                Some(ms) => format!("settled after {ms} ms"),
                None => "not settled yet".to_owned(),
            };
            let _ = writeln!(
                text,
                "  {}  {}/{}  {}  {outcome}, {after}\n    {}",
                settled.payment,
                settled.client_id,
                settled.transaction_id,
                money(settled.amount_minor, &settled.currency_code),
                settled.why,
            );
        }
    }
    text
}
