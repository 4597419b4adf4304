//! `strife tx watch`: one's payments as they become final, until it is interrupted.

use super::who::Who;
use super::{Context, Output, block_on};
use crate::client::show::{self, RecordJson};
use crate::client::watch;
use crate::errors::{Exit, Failure};
use crate::wire::v1::PaymentRecord;
use clap::Args;
use serde::Serialize;

#[derive(Args, Debug)]
#[command(after_help = "\
Every payment comes once, in the order in which the gateway's log made it final, also over restarts
of the gateway. Its cursor is its place there: --after CURSOR goes on behind it. With -o jsonl it is
one object a line.")]
pub(super) struct WatchArgs {
    /// Only what became final behind this cursor; 0 is the beginning
    #[arg(long, value_name = "CURSOR", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    who: Who,
}

/// One payment and its place. The names are public.
#[derive(Serialize)]
struct Seen {
    cursor: u64,
    #[serde(flatten)]
    payment: RecordJson,
}

pub(super) fn run(args: &WatchArgs, context: &Context) -> Result<(), Failure> {
    let desk = args.who.desk(context)?;
    let output = context.output;
    let see = |payment: PaymentRecord, cursor: u64| {
        let seen = Seen { cursor, payment: RecordJson::from(payment) };
        if output.is_table() {
            return Output::text(&line(&seen));
        }
        Output::line(&seen)
    };
    let lost = |error: &_| {
        context.say(&format!("the gateway is away: {error}; going on when it is back"));
    };
    block_on(async {
        tokio::select! {
            ended = watch::follow(&desk.session, args.after, see, lost) => ended.map(|_| ()),
            _ = tokio::signal::ctrl_c() => {
                Err(Failure::plain(Exit::Interrupted, "stopped watching")
                    .money("Payments go on as before.")
                    .todo("Go on with: strife tx watch --after, and the last cursor."))
            }
        }
    })
}

fn line(seen: &Seen) -> String {
    let row = show::history_row(&seen.payment);
    let fields: Vec<&str> =
        row.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    format!("{}  {}", seen.cursor, fields.join("  "))
}
