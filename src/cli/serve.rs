//! `strife gateway` and `strife bank NAME`: one role each, as an operator or `strife up` runs it.

use super::{Context, block_on};
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::Service;
use crate::supervise::stop_token;
use crate::telemetry::{self, Telemetry};
use crate::{bank, crash, gateway};
use clap::Args;
use recovery::drill::point::{Point, Role};
use recovery::model::BankName;
use std::future::Future;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct GatewayArgs {
    /// Die by SIGKILL at this point, the NTH time it is reached: for drills
    #[arg(long, value_name = "POINT[:NTH]")]
    crash_at: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct BankArgs {
    /// Which bank, as strife.toml names it
    name: String,
    /// Die by SIGKILL at this point, the NTH time it is reached: for drills
    #[arg(long, value_name = "POINT[:NTH]")]
    crash_at: Option<String>,
}

pub(super) fn gateway(args: &GatewayArgs, context: &Context) -> Result<(), Failure> {
    serve(
        context,
        Service::Gateway,
        Role::Gateway,
        args.crash_at.as_deref(),
        |config, stop| async move { gateway::run(&context.home, &config, stop).await },
    )
}

pub(super) fn bank(args: &BankArgs, context: &Context) -> Result<(), Failure> {
    let name: BankName =
        args.name.parse().map_err(|error| Failure::plain(Exit::Usage, format!("{error}")))?;
    serve(
        context,
        Service::Bank(name),
        Role::Bank,
        args.crash_at.as_deref(),
        |config, stop| async move { bank::run(&context.home, &config, name, stop).await },
    )
}

/// What every role does around its work: the home, the log, the crash point, the signals.
fn serve<W>(
    context: &Context,
    service: Service,
    role: Role,
    crash_at: Option<&str>,
    work: impl FnOnce(Config, CancellationToken) -> W,
) -> Result<(), Failure>
where
    W: Future<Output = Result<(), Failure>>,
{
    context.home.open()?;
    let config = context.config()?;
    if let Some(spec) = crash_at {
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
