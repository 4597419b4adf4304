//! `strife wal ls` and `strife wal tail`: a line a record.

use super::sheet::Sheet;
use crate::cli::Context;
use crate::cli::output::Format;
use crate::errors::{Exit, Failure};
use crate::inspect::Source;
use crate::inspect::line::Wanted;
use crate::inspect::listing::Listing;
use crate::inspect::moment::Moment;
use crate::inspect::words::Accounts;
use clap::Args;
use recovery::model::{BankName, ClientId};
use std::time::Duration;

/// A log that grows is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Which records.
#[derive(Args, Clone, Debug)]
pub(super) struct Filter {
    /// Only this payment: its transaction id, `client_id/transaction_id`, or global id
    #[arg(long, value_name = "ID")]
    tx: Option<String>,
    /// Only this client's
    #[arg(long, value_name = "CLIENT_ID")]
    client: Option<ClientId>,
    /// Only what this bank takes part in
    #[arg(long, value_name = "NAME")]
    bank: Option<BankName>,
    /// Only this kind of record, such as Decided; can be given again
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// From this record or time (UTC) on, such as 120 or 2026-08-06T07:06:40Z
    #[arg(long, value_name = "LSN|TIME")]
    from: Option<Moment>,
    /// Up to and with this record or time
    #[arg(long, value_name = "LSN|TIME")]
    to: Option<Moment>,
    /// Show account numbers whole
    #[arg(long)]
    unmask: bool,
}

impl Filter {
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            payment: self.tx.clone(),
            client: self.client,
            bank: self.bank,
            kinds: self.kind.clone(),
            from: self.from,
            to: self.to,
        }
    }

    pub(super) fn accounts(&self) -> Accounts {
        if self.unmask { Accounts::Whole } else { Accounts::Masked }
    }
}

#[derive(Args, Debug)]
pub(super) struct LsArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Only the last N of those
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

#[derive(Args, Debug)]
pub(super) struct TailArgs {
    /// gateway, a bank, or a directory that holds wal/
    log: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Begin with this many
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
    /// Go on as the log grows, until ^C
    #[arg(short, long)]
    follow: bool,
}

pub(super) fn list(args: LsArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let (wanted, accounts) = (args.filter.wanted(), args.filter.accounts());
    let mut listing = Listing::new(&source, &wanted, accounts)?;
    let mut sheet = Sheet::new(context.output.format());
    let read = match args.last {
        Some(count) => listing.last(count, |line| sheet.line(&line)),
        None => listing.advance(|line| sheet.line(&line)),
    };
    stopped_by_reader(&read)?;
    sheet.footer(listing.counts())?;
    read.and_then(|()| listing.finish())
}

/// Nobody reads any more: there is nothing to add then.
fn stopped_by_reader(read: &Result<(), Failure>) -> Result<(), Failure> {
    match read {
        Err(failure) if failure.exit == Exit::Done => Err(failure.clone()),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn tail(args: TailArgs, context: &Context) -> Result<(), Failure> {
    let source = Source::find(&context.home, args.log.as_deref())?;
    let (wanted, accounts) = (args.filter.wanted(), args.filter.accounts());
    let mut listing = Listing::new(&source, &wanted, accounts)?;
    // A stream has no end, so it cannot be one object.
    let format = match context.output.format() {
        Format::Json => Format::Jsonl,
        format => format,
    };
    let mut sheet = Sheet::new(format);
    listing.last(args.last, |line| sheet.line(&line))?;
    sheet.flush()?;
    if !args.follow {
        return listing.finish();
    }
    loop {
        std::thread::sleep(LOOK_EVERY);
        listing.advance(|line| sheet.line(&line))?;
        sheet.flush()?;
    }
}
