//! `strife tx resolve`: the evidence on one payment, what is safe, and, for the day a bank never
//! comes back, a decision by hand: one admin asks for it, another approves.

use super::in_doubt::age;
use super::operator::Operator;
use super::{Context, block_on};
use crate::client::link::AdminStub;
use crate::errors::{Exit, Failure};
use crate::inspect::in_doubt::{CaseTold, Evidence, InDoubt, one};
use crate::inspect::words::money;
use crate::journal::wall_ms;
use crate::wire::v1::{ApproveResolutionRequest, AskResolutionRequest, Resolution};
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::time::{Duration, Instant};

const AFTER_HELP: &str = "\
The default is to wait, which risks nothing. An admin asks for the other two:
  strife tx resolve ID --force abort --reason \"ICICI burned down\" --operator ann
and another one, who has looked at the same evidence, approves:
  strife tx resolve ID --approve abort --operator bob
What is decided so is written as HEURISTIC into every log, and its case stays open until each bank
has said what it did.";

/// How long the banks that can be reached have to carry out what was approved.
const BANKS_WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum By {
    /// Post it at every bank that has promised
    Commit,
    /// Let go of what is set aside
    Abort,
}

impl By {
    fn wire(self) -> Resolution {
        match self {
            Self::Commit => Resolution::Commit,
            Self::Abort => Resolution::Abort,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abort => "abort",
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ResolveArgs {
    /// Its transaction id, client_id/transaction_id, or global id
    id: String,
    /// Ask that it be decided by hand; needs --reason and another admin's approval
    #[arg(long, value_name = "HOW", requires = "reason", conflicts_with = "approve")]
    force: Option<By>,
    /// Why, in 1 to 140 bytes; it is written into every log
    #[arg(long, value_name = "TEXT", requires = "force")]
    reason: Option<String>,
    /// Approve what another admin asked for
    #[arg(long, value_name = "HOW")]
    approve: Option<By>,
    #[command(flatten)]
    operator: Operator,
}

/// Ends with 7 while the payment is not over.
pub(super) fn run(args: &ResolveArgs, context: &Context) -> Result<(), Failure> {
    let (found, over) = look(&args.id, context)?;
    if let Some(by) = args.force {
        return ask(args, by, &found, context);
    }
    if let Some(by) = args.approve {
        return approve(args, by, &found, context);
    }
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

fn look(id: &str, context: &Context) -> Result<(InDoubt, bool), Failure> {
    block_on(one(&context.home, id, wall_ms()))
}

fn ask(args: &ResolveArgs, by: By, found: &InDoubt, context: &Context) -> Result<(), Failure> {
    let request = AskResolutionRequest {
        global_id: found.payment.clone(),
        resolution: by.wire().into(),
        reason: args.reason.clone().unwrap_or_default(),
    };
    let send = |mut stub: AdminStub, request| async move { stub.ask_resolution(request).await };
    args.operator.desk(context)?.call(request, send)?;
    let (found, _) = look(&found.payment, context)?;
    context.output.one(&found, || text(&found))?;
    context.say(&format!(
        "Nothing is decided yet. Another admin approves with:\n  strife tx resolve {} --approve {} \
         --operator ID",
        found.payment,
        by.word()
    ));
    Ok(())
}

fn approve(args: &ResolveArgs, by: By, found: &InDoubt, context: &Context) -> Result<(), Failure> {
    let global_id = found.payment.clone();
    let request = ApproveResolutionRequest { global_id, resolution: by.wire().into() };
    let send = |mut stub: AdminStub, request| async move { stub.approve_resolution(request).await };
    args.operator.desk(context)?.call(request, send)?;
    let until = Instant::now() + BANKS_WAIT;
    loop {
        let (found, _) = look(&found.payment, context)?;
        let holds = |it: &Evidence| it.asked && it.state.as_deref() == Some("HELD");
        if !found.evidence.iter().any(holds) || Instant::now() >= until {
            return context.output.one(&found, || text(&found));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn text(found: &InDoubt) -> String {
    let amount = |minor| money(minor, &found.currency_code);
    let mut text = format!(
        "{}  {}/{}  {}  for {}\n\n",
        found.payment,
        found.client_id,
        found.transaction_id,
        amount(found.amount_minor),
        age(found.age_ms),
    );
    let decided = match (found.decision, found.lsn) {
        (Some(decision), Some(lsn)) => format!("decided {decision} by record {lsn}"),
        _ => "no decision".to_owned(),
    };
    let _ = writeln!(text, "gateway     {decided}");
    for Evidence { bank, state, lsn, up, asked, problem } in &found.evidence {
        let at = lsn.map(|lsn| format!(" by record {lsn}")).unwrap_or_default();
        let state = state.as_ref().map_or(problem.clone(), |state| format!("{state}{at}"));
        let word = match (up, asked) {
            (true, true) => "asked just now",
            (true, false) => "up, and does not answer; by its journal",
            (false, _) => "down; by its journal",
        };
        let word = if problem.is_empty() { word } else { "down" };
        let _ = writeln!(text, "{bank:<12}{state}, {word}");
    }
    let _ = writeln!(text, "\nmixed       {}", if found.mixed { "yes" } else { "no" });
    let _ = writeln!(text, "safe        {}", found.safe);
    for command in &found.next {
        let _ = writeln!(text, "            {command}");
    }
    for (place, choice) in found.choices.iter().enumerate() {
        let head = if place == 0 { "choices" } else { "" };
        let risk = amount(choice.at_risk_minor);
        let _ = writeln!(text, "{head:<12}{:<8}{risk} at risk: {}", choice.choice, choice.why);
    }
    if let Some(case) = &found.case {
        case_text(&mut text, case, amount(case.wrong_minor));
    }
    text
}

fn case_text(text: &mut String, case: &CaseTold, wrong: String) {
    let CaseTold { resolution, why, asked_by, approved_by, open, differed, .. } = case;
    match approved_by {
        None => {
            let _ = writeln!(text, "case        {resolution} asked for by {asked_by}: {why}");
            let _ = writeln!(text, "            nothing is decided before another admin approves");
        }
        Some(approved_by) => {
            let who = format!("asked for by {asked_by}, approved by {approved_by}");
            let _ = writeln!(text, "case        HEURISTIC {resolution}, {who}: {why}");
            let state = match (open, &differed[..]) {
                (true, []) => "open: not every bank has said what it did".to_owned(),
                (false, []) => "closed: every bank did what was decided".to_owned(),
                (open, differed) => format!(
                    "{}, MIXED: {wrong} was moved wrongly, or wrongly not moved: {}",
                    if *open { "open" } else { "closed" },
                    differed.join(", ")
                ),
            };
            let _ = writeln!(text, "            {state}");
        }
    }
}
