//! `strife tx in-doubt`: what is not over, and for whom it waits.

use super::operator::Operator;
use super::{Context, block_on};
use crate::client::link::AdminStub;
use crate::errors::Failure;
use crate::home::Service;
use crate::inspect::in_doubt::{CaseTold, InDoubt, all};
use crate::inspect::words::money;
use crate::journal::wall_ms;
use crate::wire::v1::ListInDoubtRequest;
use clap::Args;

#[derive(Args, Debug)]
pub(super) struct InDoubtArgs {
    #[command(flatten)]
    operator: Operator,
}

const HEADER: [&str; 11] = [
    "PAYMENT",
    "TRANSACTION",
    "AGE",
    "AMOUNT",
    "DECIDED",
    "WAITS FOR",
    "LAST TRY",
    "NEXT TRY",
    "HELD",
    "",
    "CASE",
];

/// The logs and the banks are asked by anyone; when a bank was last tried only the gateway knows,
/// and tells only operators.
pub(super) fn list(args: &InDoubtArgs, context: &Context) -> Result<(), Failure> {
    let now = wall_ms();
    let mut open = block_on(all(&context.home, now))?;
    if context.home.running(Service::Gateway).is_some() && !open.is_empty() {
        if args.operator.is_at_hand(context) {
            tries(&args.operator, context, &mut open)?;
        } else if context.output.is_table() {
            context.say(
                "When each bank was last tried, the gateway tells operators: give --operator and \
                 STRIFE_OPERATOR_PASSWORD or --password-stdin.",
            );
        }
    }
    context.output.list("payments", &open, &HEADER, |one| row(one, now))
}

fn tries(operator: &Operator, context: &Context, open: &mut [InDoubt]) -> Result<(), Failure> {
    let send = |mut stub: AdminStub, request| async move { stub.list_in_doubt(request).await };
    let told = operator.desk(context)?.call(ListInDoubtRequest { limit: 1_000 }, send)?;
    for one in open {
        let told = told.payments.iter().find(|told| told.global_id == one.payment);
        let at = |ms: i64| u64::try_from(ms).ok().filter(|ms| *ms > 0);
        one.last_try_unix_ms = told.and_then(|told| at(told.last_try_unix_ms));
        one.next_try_unix_ms = told.and_then(|told| at(told.next_try_unix_ms));
        one.held_up = told.map(|told| told.held_up);
    }
    Ok(())
}

fn row(one: &InDoubt, now: u64) -> Vec<String> {
    let held = match one.held_minor {
        0 => String::new(),
        held => money(held, &one.currency_code),
    };
    let last = one.last_try_unix_ms.map(|at| format!("{} ago", age(now.saturating_sub(at))));
    let next = one.next_try_unix_ms.map(|at| format!("in {}", age(at.saturating_sub(now))));
    let next = if one.held_up == Some(true) { Some("paused".to_owned()) } else { next };
    vec![
        one.payment.clone(),
        format!("{}/{}", one.client_id, one.transaction_id),
        age(one.age_ms),
        money(one.amount_minor, &one.currency_code),
        one.decision.unwrap_or("-").to_owned(),
        one.waiting_for.join(", "),
        last.unwrap_or_else(|| "-".to_owned()),
        next.unwrap_or_else(|| "-".to_owned()),
        held,
        if one.mixed { "mixed".to_owned() } else { String::new() },
        one.case.as_ref().map(case_word).unwrap_or_default(),
    ]
}

fn case_word(case: &CaseTold) -> String {
    let what = if case.approved_by.is_some() { "HEURISTIC" } else { "asked for" };
    format!("{what} {}", case.resolution)
}

pub(super) fn age(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}.{}s", ms / 100 % 10),
        (0, 0, minutes) => format!("{minutes}m{:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h{minutes:02}m"),
        (days, hours, _) => format!("{days}d{hours:02}h"),
    }
}
