//! `strife audit`: the gateway's log against the banks' journals.

use super::{Context, block_on};
use crate::errors::{Exit, Failure};
use crate::inspect::audit::{self, ByHand, Findings};
use clap::Args;
use recovery::model::major;
use std::fmt::Write;

#[derive(Args, Debug)]
pub(super) struct AuditArgs {
    /// Ask the running banks for what they have, instead of reading their files
    #[arg(long)]
    online: bool,
}

pub(super) fn run(args: &AuditArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    let config = context.config()?;
    let findings = if args.online {
        block_on(audit::online(&context.home, &config))?
    } else {
        audit::audit(&context.home, &config)?
    };
    context.output.one(&findings, || text(&findings))?;
    if findings.ok {
        return Ok(());
    }
    let count = findings.disagreements.len();
    Err(Failure::plain(Exit::Damaged, format!("the logs disagree in {count} places"))
        .money("Which side is wrong is said with each; nothing was changed.")
        .todo("Stop all services, keep a copy of data/, and look at: strife wal verify"))
}

fn text(findings: &Findings) -> String {
    let money = |minor: i128| i64::try_from(minor).map_or_else(|_| minor.to_string(), major);
    let mut text = String::new();
    let verdict = if findings.ok { "All logs agree." } else { "The logs disagree." };
    let _ = writeln!(text, "{verdict}\n");
    let _ = writeln!(text, "payments   {}", findings.payments);
    let _ = writeln!(text, "in doubt   {}", findings.in_doubt);
    let _ = writeln!(text, "holds      {}", findings.holds);
    let _ = writeln!(text, "expected   {}", money(findings.money.expected_minor));
    let _ = writeln!(text, "found      {}", money(findings.money.found_minor));
    let mirror = findings.mirror_lsn.map_or("none".to_owned(), |lsn| format!("to record {lsn}"));
    let _ = writeln!(text, "mirror     {mirror}");
    for bank in &findings.not_seen {
        let _ = writeln!(text, "not seen   {bank}");
    }
    for other in &findings.not_compared {
        let bank = &other.bank;
        let _ = write!(text, "\n{bank}  not compared: its books are its own. By the gateway's log");
        for account in &other.accounts {
            let minor = money(account.expected_minor);
            let _ = write!(text, "\n  account {} holds {minor}", account.account_number);
        }
        if other.unacknowledged > 0 {
            let _ = write!(text, "\n  but for {} payments on their way", other.unacknowledged);
        }
    }
    for one in &findings.heuristic {
        let ByHand { payment, resolution, asked_by, approved_by, .. } = one;
        let _ = write!(
            text,
            "\nHEURISTIC  {payment}: {resolution} by hand, asked for by {asked_by}, approved by \
             {approved_by}; "
        );
        let _ = match (one.open, one.wrong_minor) {
            (true, 0) => write!(text, "a bank has not said what it did"),
            (false, 0) => write!(text, "every bank did it"),
            (_, wrong) => {
                let kind = if one.mixed { "MIXED" } else { "WRONG" };
                let (wrong, who) = (money(wrong.into()), one.differed.join(", "));
                write!(text, "{kind}, {wrong} moved wrongly or wrongly not moved: {who}")
            }
        };
    }
    for found in &findings.disagreements {
        let _ = write!(text, "\n{}  {} (wrong: {})", found.invariant, found.what, found.wrong);
    }
    text
}
