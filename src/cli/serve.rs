//! `strife gateway`, `strife bank NAME`, `strife console`: one role each, as an operator or
//! `strife up` runs it.

use super::{Context, block_on};
use crate::config::{Address, Config};
use crate::errors::{Exit, Failure};
use crate::home::Service;
use crate::journal::forgo_sync;
use crate::supervise::stop_token;
use crate::telemetry::{self, Telemetry};
use crate::{bank, console, crash, gateway};
use clap::Args;
use recovery::drill::point::{Point, Role};
use recovery::model::BankName;
use std::future::Future;
use tokio_util::sync::CancellationToken;

#[derive(Args, Copy, Clone, Debug)]
struct Unsynced {
    /// Only in a home that a benchmark made, to measure what syncing costs
    #[arg(long, hide = true)]
    without_sync: bool,
}

#[derive(Args, Debug)]
pub(super) struct GatewayArgs {
    /// Die by SIGKILL at this point, the NTH time it is reached: for drills
    #[arg(long, value_name = "POINT[:NTH]")]
    crash_at: Option<String>,
    #[command(flatten)]
    unsynced: Unsynced,
}

#[derive(Args, Debug)]
pub(super) struct BankArgs {
    /// Which bank, as strife.toml names it
    name: String,
    /// Die by SIGKILL at this point, the NTH time it is reached: for drills
    #[arg(long, value_name = "POINT[:NTH]")]
    crash_at: Option<String>,
    #[command(flatten)]
    unsynced: Unsynced,
}

#[derive(Args, Debug)]
pub(super) struct ConsoleArgs {
    /// An address of its own, for when no gateway runs; otherwise the page is where the gateway's
    /// metrics are, at console.address
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<Address>,
}

pub(super) fn gateway(args: &GatewayArgs, context: &Context) -> Result<(), Failure> {
    args.unsynced.arrange(context)?;
    serve(
        context,
        Service::Gateway,
        args.crash_at.as_deref().map(|spec| (Role::Gateway, spec)),
        |config, stop| async move { gateway::run(&context.home, &config, stop).await },
    )
}

impl Unsynced {
    fn arrange(self, context: &Context) -> Result<(), Failure> {
        if self.without_sync { forgo_sync(&context.home) } else { Ok(()) }
    }
}

pub(super) fn bank(args: &BankArgs, context: &Context) -> Result<(), Failure> {
    args.unsynced.arrange(context)?;
    let name: BankName =
        args.name.parse().map_err(|error| Failure::plain(Exit::Usage, format!("{error}")))?;
    serve(
        context,
        Service::Bank(name),
        args.crash_at.as_deref().map(|spec| (Role::Bank, spec)),
        |config, stop| async move { bank::run(&context.home, &config, name, stop).await },
    )
}

/// The web page. Nothing of it is drilled: no payment needs it.
pub(super) fn console(args: &ConsoleArgs, context: &Context) -> Result<(), Failure> {
    let listen = args.listen.clone();
    serve(context, Service::Console, None, |config, stop| async move {
        console::run(&context.home, &config, listen, stop).await
    })
}

/// What every role does around its work: the home, the log, the crash point, the signals.
fn serve<W>(
    context: &Context,
    service: Service,
    crash_at: Option<(Role, &str)>,
    work: impl FnOnce(Config, CancellationToken) -> W,
) -> Result<(), Failure>
where
    W: Future<Output = Result<(), Failure>>,
{
    context.home.open()?;
    let config = context.config()?;
    if let Some((role, spec)) = crash_at {
        let points = Point::ALL.iter().filter(|point| point.role() == role);
        let names: Vec<&'static str> = points.map(|point| point.name()).collect();
        crash::arm(spec, &names)?;
    }
    let file = context.home.log_file(service);
    let telemetry = Telemetry::service(config.log.level, context.color, file);
    let _telemetry = telemetry.quiet(context.quiet).start()?;
    block_on(async {
        let stop = stop_token()?;
        let done = work(config, stop).await;
        if let Err(failure) = &done {
            telemetry::ended_by(failure);
        }
        done
    })
}
