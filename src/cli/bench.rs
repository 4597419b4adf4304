//! `strife bench`: how fast, how late, at what cost, against which ceiling.

use super::{Context, block_on};
use crate::bench::plot::{self, duration};
use crate::bench::{self, Plan, Report, Workload};
use crate::config::Ack;
use crate::errors::{Exit, Failure};
use crate::supervise::stop_token;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Payments that share a connection, unless it is said otherwise.
const CLIENTS_PER_CONNECTION: usize = 16;

#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    /// Payments on the way at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16_384))]
    clients: u32,
    /// Of one round, such as 5s; each has a little more to warm up
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = super::duration)]
    duration: Duration,
    /// Rounds; what is told is their median
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Accounts, over the six banks in turn
    #[arg(long, value_name = "N", default_value_t = 1_200)]
    #[arg(value_parser = clap::value_parser!(u32).range(24..=1_000_000))]
    accounts: u32,
    /// Payments a second, whether or not answers come: an open loop
    #[arg(long, value_name = "R")]
    rate: Option<u32>,
    /// When a payment is answered
    #[arg(long, value_enum, default_value = "settled")]
    ack: AckArg,
    /// What the payments are like
    #[arg(long, value_enum, default_value = "uniform")]
    workload: Workload,
    /// Streams of batches that the payments share, instead of single calls
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=64))]
    streams: u32,
    /// Connections that the payments share [default: one for 16]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: Option<u32>,
    /// Leave out the echo and the cluster that does not sync
    #[arg(long)]
    no_ceilings: bool,
    /// Draw the payments from this
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Also write the figures here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the latencies here
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Compare with the figures that an earlier run wrote
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Make the temporary homes here
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Be the echo that is measured against
    #[arg(long, hide = true)]
    serve_echo: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
enum AckArg {
    /// The decision and the postings are durable
    Settled,
    /// The decision is durable
    Decided,
}

impl BenchArgs {
    fn plan(&self) -> Result<Plan, Failure> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| Failure::unexpected("find this program", &error))?;
        let (clients, streams) = (self.clients as usize, self.streams as usize);
        let lines = if streams > 0 { streams } else { clients.div_ceil(CLIENTS_PER_CONNECTION) };
        Ok(Plan {
            program,
            parent: self.directory.clone().unwrap_or_else(std::env::temp_dir),
            clients,
            connections: self.connections.map_or(lines, |connections| connections as usize),
            streams,
            duration: self.duration,
            rounds: self.rounds as usize,
            accounts: self.accounts as usize,
            rate: self.rate.map(f64::from),
            ack: match self.ack {
                AckArg::Settled => Ack::Settled,
                AckArg::Decided => Ack::Decided,
            },
            workload: self.workload,
            seed: self.seed.unwrap_or_else(rand::random),
            ceilings: !self.no_ceilings,
        })
    }
}

pub(super) fn run(args: &BenchArgs, context: &Context) -> Result<(), Failure> {
    if args.serve_echo {
        let config = context.config()?;
        return block_on(async { bench::serve_echo(&context.home, &config, stop_token()?).await });
    }
    let earlier = args.against.as_deref().map(read).transpose()?;
    let report = bench::run(&args.plan()?, &|progress| context.say(progress))?;
    context.output.one(&report, || text(&report))?;
    let json = serde_json::to_string_pretty(&report);
    let json = json.map_err(|error| Failure::unexpected("write JSON", &error))?;
    args.json.as_deref().map_or(Ok(()), |file| write(file, &json))?;
    let picture = || plot::svg(&title(&report), &report.latencies);
    args.svg.as_deref().map_or(Ok(()), |file| write(file, &picture()))?;
    if let Some(earlier) = earlier {
        let compared = report.against(&earlier).map_err(|error| {
            Failure::plain(Exit::Usage, format!("--against is no file of this command: {error}"))
        })?;
        for line in compared {
            let (figure, before, now, change) =
                (line.figure, line.before, line.now, line.change * 100.0);
            context.say(&format!("{figure:<24} {before:>10.3} -> {now:>10.3}  {change:+.1} %"));
        }
    }
    if report.void.is_empty() {
        return Ok(());
    }
    let exit = if report.audit_ok { Exit::Unexpected } else { Exit::Damaged };
    Err(Failure::plain(exit, format!("the figures are void: {}", report.void.join("; "))))
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::plain(Exit::Usage, format!("{}: {error}", file.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::unexpected(&format!("write {}", file.display()), &error))
}

fn title(report: &Report) -> String {
    let figures = &report.figures;
    let how = match (report.offered_per_s, report.streams) {
        (Some(rate), _) => format!("{rate:.0} payments/s offered"),
        (None, 0) => format!("{} clients", figures.clients),
        (None, streams) => format!("{} in flight on {streams} streams", figures.clients),
    };
    format!("{how}, ack {}, {:.0} payments/s", figures.ack, figures.payments_per_s)
}

/// The banks that do not suffer, where one does.
fn others(report: &Report) -> String {
    let pair = report.others_p99_us.zip(report.others_p99_ratio);
    pair.map(|(p99_us, ratio)| {
        let p99 = duration(p99_us);
        format!("  {:<22} {p99}, {ratio:.2} of what it was without\n", "p99 between others")
    })
    .unwrap_or_default()
}

fn text(report: &Report) -> String {
    let figures = &report.figures;
    let cpu = report.cpu_us_per_payment;
    let ceiling = |name: &str, rate: Option<f64>, ratio: Option<f64>| {
        let pair = rate.zip(ratio);
        pair.map(|(rate, ratio)| format!("  {name:<22} {rate:>10.0}/s     {ratio:.3} of it\n"))
            .unwrap_or_default()
    };
    let fdatasyncs = report.p50_fdatasyncs;
    let [p50, p99, p999] = [figures.p50_us, figures.p99_us, figures.p999_us].map(duration);
    [
        format!("{}\n\n", title(report)),
        format!("  {:<22} {:>10.0}/s\n", "payments", figures.payments_per_s),
        ceiling("echo", figures.echo_rpc_per_s, report.echo_ratio),
        ceiling("without sync", figures.nosync_payments_per_s, report.nosync_ratio),
        format!("  {:<22} {p50} ({fdatasyncs:.1} fdatasyncs), {p99}, {p999}\n", "p50, p99, p99.9"),
        others(report),
        format!("  {:<22} {}\n", "one fdatasync", duration(report.fdatasync_us)),
        format!(
            "  {:<22} gateway {:.1}, banks {:.1}, generator {:.1} us\n",
            "CPU a payment", cpu.gateway, cpu.banks, cpu.generator
        ),
        format!(
            "  {:<22} {:.1} records a sync, {:.0} syncs/s\n",
            "gateway's log", report.gateway_records_per_sync, report.gateway_syncs_per_s
        ),
        format!(
            "  {:<22} {:.1} records a sync, {:.0} syncs/s in all\n",
            "banks' journals", report.banks_records_per_sync, report.banks_syncs_per_s
        ),
        format!(
            "  {:<22} {} committed, {} aborted, {} pending, {} unknown, {} refused (p99 {})\n",
            "answers",
            figures.committed,
            figures.aborted,
            report.pending,
            figures.unknown,
            report.refused,
            duration(report.refused_p99_us)
        ),
        format!(
            "  {:<22} {} cores, load {:.1}, {} rounds of {} s, generator late by {} (p99)\n",
            "measured on",
            report.cores,
            report.load_average,
            report.rounds,
            report.round_s,
            duration(report.generator_lag_p99_us)
        ),
        format!("  {:<22} {}\n\n", "audit", if report.audit_ok { "clean" } else { "NOT CLEAN" }),
        plot::terminal(&report.latencies),
    ]
    .concat()
}
