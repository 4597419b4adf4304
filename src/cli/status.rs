//! `strife status`: what runs, asked one by one.

use super::{Context, block_on, recoveries};
use crate::config::{Address, Config};
use crate::errors::{Exit, Failure, explain};
use crate::home::{Home, Party, Service};
use crate::tls;
use crate::wire::v1::Empty;
use crate::wire::v1::bank_service_client::BankServiceClient;
use clap::Args;
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const PING_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Show instead what each start found in its log and how it settled what was in doubt
    #[arg(long)]
    recoveries: bool,
    /// With --recoveries: the last N starts of each service
    #[arg(long, value_name = "N", default_value_t = 5, requires = "recoveries")]
    last: usize,
}

/// One service.
#[derive(Serialize)]
struct Row {
    service: String,
    /// `ready`, `not ready`, `down`, or `died` when it left its run file behind.
    state: &'static str,
    address: String,
    pid: Option<u32>,
    version: String,
    uptime_s: Option<u64>,
    detail: String,
}

pub(super) fn run(args: &StatusArgs, context: &Context) -> Result<(), Failure> {
    if args.recoveries {
        return recoveries::run(context, args.last);
    }
    let config = context.config()?;
    context.home.open()?;
    let timeout = context.timeout.unwrap_or(PING_TIMEOUT);
    let all = services(&config, &context.home).into_iter();
    let asked = all.map(|(service, address)| row(&context.home, service, address, timeout));
    let rows = block_on(async { Ok(futures_util::future::join_all(asked).await) })?;
    let header = ["SERVICE", "STATE", "ADDRESS", "PID", "UP", ""];
    context.output.list("services", &rows, &header, |row| {
        let pid = row.pid.map(|pid| pid.to_string()).unwrap_or_default();
        let up = row.uptime_s.map(uptime).unwrap_or_default();
        let (service, address) = (row.service.clone(), row.address.clone());
        vec![service, row.state.to_owned(), address, pid, up, row.detail.clone()]
    })?;
    let absent = rows.iter().filter(|row| row.state != "ready").count();
    if absent == 0 {
        return Ok(());
    }
    let what = format!("{absent} of {} services are not ready", rows.len());
    let todo = "Start everything with: strife up. Why one stopped is in logs/ of the home.";
    Err(Failure::plain(Exit::Unreachable, what).todo(todo))
}

/// The console only where it was started: it may be off.
fn services<'a>(config: &'a Config, home: &Home) -> Vec<(Service, &'a Address)> {
    let gateway = (Service::Gateway, &config.gateway.address);
    let banks = config.banks.iter().filter(|(_, bank)| !bank.foreign);
    let banks = banks.map(|(name, bank)| (Service::Bank(*name), &bank.address));
    let console = home.last_run(Service::Console).is_some();
    let console = console.then_some((Service::Console, &config.console.address));
    std::iter::once(gateway).chain(banks).chain(console).collect()
}

async fn row(home: &Home, service: Service, configured: &Address, timeout: Duration) -> Row {
    let Some(running) = home.running(service) else {
        let state = if home.last_run(service).is_some() { "died" } else { "down" };
        let (pid, uptime_s, version) = (None, None, String::new());
        let (service, address) = (service.to_string(), configured.to_string());
        return Row { service, state, address, pid, version, uptime_s, detail: String::new() };
    };
    let answer = tokio::time::timeout(timeout, ping(home, service, &running.address)).await;
    let answer = answer.unwrap_or_else(|_| Err("does not answer".to_owned()));
    let paused = service == Service::Gateway && home.pause_marker().exists();
    let (state, detail) = match answer {
        Ok(_) if paused => {
            ("ready", "recovery is paused: strife admin step, or strife admin resume".to_owned())
        }
        Ok(detail) => ("ready", detail),
        Err(problem) => ("not ready", problem),
    };
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let uptime_s = (now_ms as u64).saturating_sub(running.started_unix_ms) / 1_000;
    Row {
        service: service.to_string(),
        state,
        address: running.address.to_string(),
        pid: Some(running.pid),
        version: running.version,
        uptime_s: Some(uptime_s),
        detail,
    }
}

/// Asks a service itself. The gateway as a client does; a bank as its gateway does, since it
/// answers nobody else.
async fn ping(home: &Home, service: Service, address: &Address) -> Result<String, String> {
    let told = |status: tonic::Status| explain(&status).what;
    let unusable = |failure: Failure| failure.what;
    match service {
        Service::Gateway => {
            let channel = tls::to_gateway(home, Party::Client, address).map_err(unusable)?;
            let request = HealthCheckRequest { service: String::new() };
            let answer = match HealthClient::new(channel).check(request).await {
                Ok(answer) => answer,
                // It answers, and that is what its run file said already.
                Err(status) if status.code() == Code::Unimplemented => return Ok(String::new()),
                Err(status) => return Err(told(status)),
            };
            match answer.into_inner().status() {
                ServingStatus::Serving => Ok(String::new()),
                ServingStatus::NotServing
                | ServingStatus::Unknown
                | ServingStatus::ServiceUnknown => Err("is not serving yet".to_owned()),
            }
        }
        Service::Bank(bank) => {
            let channel = tls::to_bank(home, bank, address).map_err(unusable)?;
            let answer = BankServiceClient::new(channel).ping(Empty {}).await.map_err(told)?;
            let answer = answer.into_inner();
            Ok(format!("{} open holds, lsn {}", answer.open_holds, answer.lsn))
        }
        Service::Console => Ok(String::new()),
    }
}

fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        (_, _, _) => format!("{days}d{hours:02}h"),
    }
}
