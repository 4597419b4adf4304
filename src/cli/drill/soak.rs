//! `strife drill soak`: random kills and stops under clients that pay, and the proof afterwards.

use super::bar;
use crate::cli::Context;
use crate::errors::{Exit, Failure};
use crate::live::Place;
use crate::live::soak::{self, CLIENTS_MAX, Plan, Summary};
use clap::Args;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
pub(super) struct SoakArgs {
    /// For so long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::cli::duration)]
    duration: Duration,
    /// Under so many clients
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    clients: u32,
    /// Between two faults, on average
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = crate::cli::duration)]
    every: Duration,
    /// Draw faults and payments from this
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Make the temporary home here
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn run(args: &SoakArgs, context: &Context) -> Result<(), Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::unexpected("find this program", &error))?;
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    let place = Place { program, parent, seed: args.seed.unwrap_or_else(rand::random) };
    let plan = Plan { duration: args.duration, clients: args.clients, every: args.every };
    let bar = bar(plan.duration.as_secs(), "{bar:40} {pos}/{len} s, {msg}", context);
    let done = soak::soak(&place, &plan, &|progress| {
        bar.set_position(progress.elapsed.as_secs());
        bar.set_message(format!("{} faults, {} payments", progress.faults, progress.payments));
    });
    bar.finish_and_clear();
    let summary = done?;
    context.output.one(&summary, || text(&summary))?;
    if summary.ok {
        return Ok(());
    }
    let home = summary.home.map(|home| home.display().to_string()).unwrap_or_default();
    let exit = if summary.exit == Exit::Done { Exit::Damaged } else { summary.exit };
    Err(Failure::plain(exit, summary.problem)
        .money(format!("The home was left as it is, with all logs: {home}"))
        .todo(format!("The faults were drawn from --seed {}", summary.seed)))
}

fn text(summary: &Summary) -> String {
    let mut text = String::new();
    let Summary { payments, acked, aborted, unknown, resolved, history, .. } = summary;
    let verdict = if summary.ok { "Every rupee is where it belongs." } else { "NOT all is well." };
    let _ = writeln!(text, "{verdict}\n");
    let (seconds, clients, seed) = (summary.duration_ms / 1000, summary.clients, summary.seed);
    let _ = writeln!(text, "soak        {seconds} s, {clients} clients, --seed {seed}");
    for (kind, count) in &summary.faults {
        let _ = writeln!(text, "            {count:>6} {kind}");
    }
    let _ = writeln!(text, "payments    {payments}: {acked} committed, {aborted} aborted");
    let _ = writeln!(text, "unknown     {unknown} at first, {resolved} of them resolved");
    let _ = writeln!(text, "put off     {} calls, refused or not sent", summary.put_off);
    let _ = writeln!(text, "settled     the last after {} ms", summary.longest_settle_ms);
    let _ = writeln!(text, "healed      {} ms after the last fault", summary.healed_ms);
    let _ = writeln!(
        text,
        "history     {} answers and {} balances found in the logs, {} in order",
        history.answers, history.balances, history.in_order
    );
    text
}
