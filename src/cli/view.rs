//! `strife view` and `strife history`: what the account holds, and what left it.

use super::who::Who;
use super::{Context, block_on};
use crate::client::show::{self, BalanceJson, RecordJson};
use crate::client::words;
use crate::errors::Failure;
use clap::Args;

/// The most that one call returns.
const PAGE_MAX: usize = 100;

#[derive(Args, Debug)]
pub(super) struct ViewArgs {
    #[command(flatten)]
    who: Who,
}

pub(super) fn view(args: &ViewArgs, context: &Context) -> Result<(), Failure> {
    let desk = args.who.desk(context)?;
    let balance = block_on(async {
        desk.session.balance().await.map_err(|error| words::of_session(&error))
    })?;
    let json = BalanceJson::from(balance);
    context.output.one(&json, || show::balance(&json))
}

#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// How many payments, newest first
    #[arg(long, default_value_t = 20, value_name = "N", conflicts_with = "all")]
    limit: usize,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    who: Who,
}

pub(super) fn history(args: &HistoryArgs, context: &Context) -> Result<(), Failure> {
    let desk = args.who.desk(context)?;
    let limit = if args.all { usize::MAX } else { args.limit };
    let rows = block_on(async {
        let mut rows: Vec<RecordJson> = Vec::new();
        let mut token = String::new();
        while rows.len() < limit {
            let count = (limit - rows.len()).min(PAGE_MAX);
            let count = i32::try_from(count).unwrap_or_default();
            let page = desk.session.payments(count, token).await;
            let page = page.map_err(|error| words::of_session(&error))?;
            rows.extend(page.payments.into_iter().map(RecordJson::from));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        rows.truncate(limit);
        Ok(rows)
    })?;
    if rows.is_empty() && context.output.is_table() {
        context.say("no payments yet");
        return Ok(());
    }
    context.output.list("payments", &rows, &show::HISTORY, show::history_row)
}
