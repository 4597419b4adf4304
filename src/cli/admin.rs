//! `strife admin pause-recovery | step | resume`: recovery, one payment at a time.

use super::Context;
use super::operator::{Desk, Operator};
use crate::client::link::AdminStub;
use crate::errors::{Exit, Failure};
use crate::home::{Service, write_private};
use crate::wire::v1::{
    ListInDoubtRequest, ListInDoubtResponse, PauseRecoveryRequest, ResumeRecoveryRequest,
    StepRecoveryRequest,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::time::{Duration, Instant};

const AFTER_HELP: &str = "\
What earlier starts of the gateway left in doubt stands still while recovery is paused: banks keep
what they hold, and nothing new begins. See it with: strife tx in-doubt";

/// How long `step` waits for the payment to be over, before it says for whom it waits.
const STEP_WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand, Debug)]
enum AdminCommand {
    /// Let nothing that is in doubt go on, now and after the next start
    PauseRecovery {
        #[command(flatten)]
        operator: Operator,
    },
    /// Let the oldest payment in doubt go on, and see it settled
    Step {
        #[command(flatten)]
        operator: Operator,
    },
    /// Let everything go on
    Resume {
        #[command(flatten)]
        operator: Operator,
    },
}

#[derive(Serialize)]
struct Told {
    recovery: &'static str,
    /// The payment that was let go, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<String>,
    /// Is it over on all sides?
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<bool>,
    waiting_for: Vec<String>,
    /// Payments that stand still.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_up: Option<u64>,
}

impl Told {
    fn of(recovery: &'static str) -> Self {
        let waiting_for = Vec::new();
        let (payment, transaction, settled, held_up) = (None, None, None, None);
        Self { recovery, payment, transaction, settled, waiting_for, held_up }
    }
}

pub(super) fn run(args: &AdminArgs, context: &Context) -> Result<(), Failure> {
    context.home.open()?;
    match &args.command {
        AdminCommand::PauseRecovery { operator } => pause(operator, context),
        AdminCommand::Step { operator } => step(operator, context),
        AdminCommand::Resume { operator } => resume(operator, context),
    }
}

fn runs(context: &Context) -> bool {
    context.home.running(Service::Gateway).is_some()
}

/// Where no gateway runs, the next one starts paused: whoever may write here may say so.
fn pause(operator: &Operator, context: &Context) -> Result<(), Failure> {
    if !runs(context) {
        write_private(&context.home.pause_marker(), b"recovery is paused\n")?;
        let told = Told::of("paused at the next start");
        return context.output.one(&told, || "The gateway will start paused.".to_owned());
    }
    let send = |mut stub: AdminStub, request| async move { stub.pause_recovery(request).await };
    let answer = operator.desk(context)?.call(PauseRecoveryRequest {}, send)?;
    let told = Told { held_up: Some(answer.held_up), ..Told::of("paused") };
    context.output.one(&told, || {
        format!("Recovery is paused: {} payments in doubt stand still.", answer.held_up)
    })
}

fn resume(operator: &Operator, context: &Context) -> Result<(), Failure> {
    if !runs(context) {
        let removed = std::fs::remove_file(context.home.pause_marker());
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Failure::unexpected("resume recovery", &error));
        }
        let told = Told::of("runs at the next start");
        return context.output.one(&told, || "The gateway will recover as always.".to_owned());
    }
    let send = |mut stub: AdminStub, request| async move { stub.resume_recovery(request).await };
    operator.desk(context)?.call(ResumeRecoveryRequest {}, send)?;
    context.output.one(&Told::of("runs"), || "Recovery goes on.".to_owned())
}

fn step(operator: &Operator, context: &Context) -> Result<(), Failure> {
    if !runs(context) {
        let what = "no gateway runs here, so nothing is being recovered";
        return Err(Failure::plain(Exit::Unreachable, what)
            .todo("Start it paused: strife admin pause-recovery, then strife up"));
    }
    let desk = operator.desk(context)?;
    let before = in_doubt(&desk)?;
    let send = |mut stub: AdminStub, request| async move { stub.step_recovery(request).await };
    let let_go = desk.call(StepRecoveryRequest {}, send)?.global_id;
    if let_go.is_empty() {
        let told = Told { held_up: Some(0), ..Told::of("nothing stands still") };
        return context.output.one(&told, || "Nothing stands still.".to_owned());
    }
    let found = before.payments.iter().find(|payment| payment.global_id == let_go);
    let transaction = found.map(|payment| payment.reference.clone());
    let until = Instant::now() + STEP_WAIT;
    loop {
        let now = in_doubt(&desk)?;
        let open = now.payments.iter().find(|payment| payment.global_id == let_go);
        if open.is_some() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        let told = Told {
            payment: Some(let_go.clone()),
            transaction: transaction.clone(),
            settled: Some(open.is_none()),
            waiting_for: open.map(|open| open.waiting_for.clone()).unwrap_or_default(),
            held_up: Some(now.payments.iter().filter(|payment| payment.held_up).count() as u64),
            ..Told::of("paused")
        };
        return context.output.one(&told, || text(&told));
    }
}

fn in_doubt(desk: &Desk) -> Result<ListInDoubtResponse, Failure> {
    let send = |mut stub: AdminStub, request| async move { stub.list_in_doubt(request).await };
    desk.call(ListInDoubtRequest { limit: 1_000 }, send)
}

fn text(told: &Told) -> String {
    let name = |text: &Option<String>| text.clone().unwrap_or_default();
    let (payment, transaction) = (name(&told.payment), name(&told.transaction));
    let became = match told.settled {
        Some(true) => "is over on all sides".to_owned(),
        _ => format!("was let go, and waits for {}", told.waiting_for.join(" and ")),
    };
    format!(
        "{payment}  {transaction}  {became}\n{} more stand still. How it ended: strife tx explain \
         {payment}",
        told.held_up.unwrap_or(0)
    )
}
