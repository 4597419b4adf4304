//! `strife transfer`: one payment, or a file of them.

use super::who::{Who, since_last_time};
use super::{Context, Output, block_on};
use crate::client::ask::Ask;
use crate::client::batch::{self, BadLine, Batch, Row, Tally};
use crate::client::pay::{Desk, Verdict};
use crate::client::words::{self, PaymentJson};
use crate::errors::{Exit, Failure, Reason};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// So many bad lines are told; the rest is counted.
const BAD_LINES_TOLD: usize = 20;

#[derive(Args, Debug)]
#[command(after_help = "\
A file has the columns recipient,amount[,transaction_id][,memo] and is checked whole before anything
is sent. It can be given again after any interruption: no line of a batch is paid twice.")]
pub(super) struct TransferArgs {
    /// How much, such as 250 or 99.50
    #[arg(required_unless_present = "file", allow_negative_numbers = true)]
    amount: Option<String>,
    /// The account that is paid: 14 digits
    #[arg(required_unless_present = "file", allow_negative_numbers = true)]
    recipient: Option<String>,
    /// The same id is the same payment, however often it is sent; one is made when left out
    transaction_id: Option<String>,
    /// A text for both sides
    #[arg(long, default_value = "", conflicts_with = "file")]
    memo: String,
    /// Pay every line of a CSV file
    #[arg(long, conflicts_with_all = ["amount", "recipient", "transaction_id"])]
    file: Option<PathBuf>,
    /// The name under which a file's lines are remembered, if not the file's own
    #[arg(long, requires = "file", value_name = "NAME")]
    batch: Option<String>,
    #[command(flatten)]
    who: Who,
}

pub(super) fn run(args: &TransferArgs, context: &Context) -> Result<(), Failure> {
    match &args.file {
        Some(file) => pay_file(args, file, context),
        None => pay_one(args, context),
    }
}

fn pay_one(args: &TransferArgs, context: &Context) -> Result<(), Failure> {
    let (amount, recipient) = (args.amount.as_deref(), args.recipient.as_deref());
    let ask = Ask {
        amount: amount.unwrap_or_default(),
        recipient: recipient.unwrap_or_default(),
        id: args.transaction_id.as_deref(),
        memo: &args.memo,
    };
    // Before anything is read or made: what is malformed is so for everyone.
    let draft = ask.parse(None)?;
    let desk = args.who.desk(context)?;
    block_on(async {
        let own = desk.session.signed().await.and_then(|signed| signed.account);
        if own == Some(draft.payee) {
            let what = format!("{} is your own account", draft.payee);
            return Err(Failure::new(Reason::SameAccount, what));
        }
        since_last_time(&desk, context).await?;
        let verdict = desk.pay(draft.clone()).await;
        let verdict = verdict.map_err(|error| words::of_outbox(&error))?;
        let words = words::of_verdict(&draft, &verdict);
        let told = say(&words.json, words.told, context.output);
        if let Verdict::Final(_) = verdict {
            let forgotten = desk.told(vec![draft.id]).await;
            forgotten.map_err(|error| words::of_outbox(&error))?;
        }
        told
    })
}

/// The JSON in any case, the line in a table; a failure is left to be told on stderr.
pub(super) fn say(
    json: &PaymentJson,
    told: Result<String, Failure>,
    output: Output,
) -> Result<(), Failure> {
    match told {
        Ok(line) => output.one(json, || line),
        Err(failure) => {
            if !output.is_table() {
                output.one(json, String::new)?;
            }
            Err(failure)
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    batch: &'a str,
    #[serde(flatten)]
    tally: &'a Tally,
}

fn pay_file(args: &TransferArgs, file: &Path, context: &Context) -> Result<(), Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::plain(Exit::Usage, format!("cannot read {shown}: {error}"))
            .money("Nothing was sent: no money moved.")
    })?;
    let own_name = file.file_name().and_then(|name| name.to_str()).unwrap_or("payments");
    let name = args.batch.as_deref().unwrap_or(own_name);
    let desk = args.who.desk(context)?;
    let client = desk.session.client();
    block_on(async {
        // Signed in, the own account is known, and a line that pays it is found now.
        let signed = desk.session.ensure().await.ok();
        let own = signed.and_then(|signed| signed.account);
        let rows = batch::parse(&text, Batch { client, own, name })
            .map_err(|bad| refused(&shown, &bad))?;
        since_last_time(&desk, context).await?;
        let (tally, interrupted) = pay_rows(&desk, &rows, context).await?;
        let report = Report { file: shown, batch: name, tally: &tally };
        context.output.one(&report, || tally.summary())?;
        let exit = if interrupted { Exit::Interrupted } else { tally.exit() };
        if exit == Exit::Done {
            return Ok(());
        }
        let not_paid = tally.lines - tally.paid - tally.paid_before;
        let what = format!("{not_paid} of {} lines are not paid", tally.lines);
        Err(Failure::plain(exit, what).todo("See the summary; the same file can be given again."))
    })
}

async fn pay_rows(desk: &Desk, rows: &[Row], context: &Context) -> Result<(Tally, bool), Failure> {
    let bar = progress(rows.len() as u64, context);
    let stop = AtomicBool::new(false);
    let paying = batch::run(desk, rows, &stop, |_| bar.inc(1));
    let until_interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
        stop.store(true, Ordering::Relaxed);
        bar.suspend(|| context.say("stopping after the payments on their way"));
        std::future::pending::<()>().await;
    };
    let tally = tokio::select! {
        tally = paying => tally?,
        () = until_interrupted => Tally::default(),
    };
    bar.finish_and_clear();
    Ok((tally, stop.load(Ordering::Relaxed)))
}

/// Drawn only for a person who watches.
fn progress(lines: u64, context: &Context) -> ProgressBar {
    if context.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} payments, {eta} left");
    let bar = ProgressBar::new(lines);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn refused(file: &str, bad: &[BadLine]) -> Failure {
    let mut what = format!("{} bad lines in {file}", bad.len());
    for BadLine { line, why } in bad.iter().take(BAD_LINES_TOLD) {
        let _ = write!(what, "\n  line {line}: {why}");
    }
    if bad.len() > BAD_LINES_TOLD {
        let _ = write!(what, "\n  and {} more", bad.len() - BAD_LINES_TOLD);
    }
    Failure::plain(Exit::Usage, what)
        .money("Nothing was sent: no money moved.")
        .todo("Correct the lines and give the file again.")
}
