//! A cluster for a run, the callers signed in to it, and what is read off its processes.

use super::load::{Caller, Calls, Line, Load};
use super::report::{Cpu, Round, Settled};
use super::town::{PASSWORD, PAYERS_MAX, Town};
use super::trouble::Trouble;
use super::{Plan, counts};
use crate::client::classify::CallError;
use crate::client::flow::Flow;
use crate::client::link::Stub;
use crate::config::Config;
use crate::errors::{Exit, Failure};
use crate::home::{Home, Party, Service};
use crate::inspect::audit::audit;
use crate::journal::{allow_unsynced, wall_ms};
use crate::live::Cluster;
use crate::tls;
use crate::users::User;
use crate::wire::v1::ClientInfo;
use std::time::{Duration, Instant};
use tonic::metadata::AsciiMetadataValue;

/// By then everything that was begun is over.
const QUIET_MAX: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Stage {
    cluster: Cluster,
    town: Town,
    callers: Vec<Caller>,
    /// When was measured, in milliseconds since the Unix epoch.
    spans: Vec<(u64, u64)>,
}

/// Limits and waits as they are in use, not as drills have them.
fn as_in_use(config: &mut Config, plan: &Plan) {
    let standard = Config::standard();
    config.wal = standard.wal;
    config.limits = standard.limits;
    let addresses = config.gateway.clone();
    config.gateway = standard.gateway;
    config.gateway.address = addresses.address;
    config.gateway.internal_address = addresses.internal_address;
    config.gateway.ack = plan.ack;
}

pub(super) fn metadata(text: &str) -> Result<AsciiMetadataValue, Failure> {
    AsciiMetadataValue::try_from(text)
        .map_err(|error| Failure::unexpected("write metadata", &error))
}

impl Stage {
    /// Everything started.
    pub(super) fn set(plan: &Plan, syncs: bool) -> Result<Self, Failure> {
        let town = Town::found(plan.accounts)?;
        let adjust = |config: &mut Config| as_in_use(config, plan);
        let (program, parent) = (&plan.program, &plan.parent);
        let mut cluster = Cluster::make_for(&town.users, program, parent, adjust)?;
        if !syncs {
            allow_unsynced(cluster.home())?;
            cluster.with_flag("--without-sync");
        }
        cluster.start_all()?;
        Ok(Self { cluster, town, callers: Vec::new(), spans: Vec::new() })
    }

    pub(super) fn home(&self) -> &Home {
        self.cluster.home()
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Signs the payers in, over as many connections as were asked for.
    pub(super) async fn sign_in(&mut self, plan: &Plan) -> Result<(), Failure> {
        let address = self.cluster.config().gateway.address.clone();
        let dial = || tls::to_gateway(self.cluster.home(), Party::Client, &address).map(Stub::new);
        let stubs = (0..plan.connections).map(|_| dial()).collect::<Result<Vec<_>, _>>()?;
        let lines = if plan.streams > 0 { plan.streams } else { plan.clients };
        let lines = lines.max(plan.connections);
        let mut signed = Vec::new();
        for (index, user) in self.town.users.clients.iter().take(PAYERS_MAX.min(lines)).enumerate()
        {
            signed.push(register(&stubs[index % stubs.len()], user).await?);
        }
        for index in 0..lines {
            let payer = index % signed.len();
            let (stub, (client, token)) = (&stubs[index % stubs.len()], &signed[payer]);
            let (stub, client, token) = (stub.clone(), client.clone(), token.clone());
            let line = if plan.streams > 0 {
                let stamp = |request: &mut tonic::Request<_>| {
                    request.metadata_mut().insert("client-id", client);
                    request.metadata_mut().insert("auth-token", token);
                };
                Line::Flow(Flow::open(stub, stamp).await.map_err(|error| unready(&error))?)
            } else {
                Line::Calls(Box::new(Calls { stub, client, token }))
            };
            self.callers.push(Caller { payer, line });
        }
        self.until_all_banks_are_ready().await
    }

    /// The gateway accepts before it has greeted every bank: a payment to each shows that it has.
    async fn until_all_banks_are_ready(&self) -> Result<(), Failure> {
        let until = Instant::now() + QUIET_MAX;
        let greeted = self.cluster.banks().count();
        let (mut random, mut passed) = (0, 0);
        while passed < greeted * 4 {
            random += 1;
            let caller = &self.callers[random % self.callers.len()];
            let uniform = super::Workload::Uniform;
            let mut payments = super::town::Payments::new(
                uniform,
                caller.payer,
                self.town.users.clients.len(),
                rand::random(),
            );
            match caller.line.pay(payments.next()).await {
                Ok(_) => passed += 1,
                Err(error) if Instant::now() > until => return Err(unready(&error)),
                Err(_) => {
                    passed = 0;
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        Ok(())
    }

    fn cpu(&mut self) -> Cpu<Duration> {
        let services = self.cluster.services();
        let mut used = |service| self.cluster.pid(service).map_or(Duration::ZERO, counts::cpu);
        let gateway = used(Service::Gateway);
        let banks = services.into_iter().filter(|service| *service != Service::Gateway);
        let banks = banks.map(used).sum();
        Cpu { gateway, banks, generator: counts::cpu(std::process::id()) }
    }

    /// One round.
    pub(super) async fn measure(&mut self, load: &Load) -> Result<Round, Failure> {
        let window = load.window();
        let trouble = Trouble::of(load.workload, window);
        let accounts = self.town.users.clients.len();
        let callers = self.callers.clone();
        let running = {
            let load = load.clone();
            tokio::spawn(async move { load.run(&callers, accounts, window).await })
        };
        tokio::time::sleep_until(window.from.into()).await;
        let (before, from_ms) = (self.cpu(), wall_ms());
        trouble.make(&mut self.cluster).await?;
        tokio::time::sleep_until(window.to.into()).await;
        let (after, to_ms) = (self.cpu(), wall_ms());
        self.spans.push((from_ms, to_ms));
        let tally = running.await;
        let tally = tally.map_err(|error| Failure::unexpected("finish a round", &error))?;
        let used = Cpu {
            gateway: after.gateway.saturating_sub(before.gateway),
            banks: after.banks.saturating_sub(before.banks),
            generator: after.generator.saturating_sub(before.generator),
        };
        let duration = load.duration;
        let (echo_per_s, nosync_per_s, calm_p99_us) = (None, None, None);
        Ok(Round { tally, used, duration, echo_per_s, nosync_per_s, calm_p99_us })
    }

    /// Stops all, reads every log, and counts.
    pub(super) fn finish(mut self) -> Result<Settled, Failure> {
        self.callers.clear();
        let (home, config) = (self.cluster.home().clone(), self.cluster.config().clone());
        let until = Instant::now() + QUIET_MAX;
        let mut findings = audit(&home, &config)?;
        while !(findings.ok && findings.is_quiet()) && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
            findings = audit(&home, &config)?;
        }
        self.cluster.stop_all()?;
        let findings = audit(&home, &config)?;
        let mut gateway = counts::Written::default();
        let mut banks = counts::Written::default();
        for service in self.cluster.services() {
            let written = counts::written(&home, service, &self.spans)?;
            let sum = if service == Service::Gateway { &mut gateway } else { &mut banks };
            sum.records += written.records;
            sum.batches += written.batches;
        }
        let measured_ms: u64 = self.spans.iter().map(|(from, to)| to - from).sum();
        Ok(Settled { findings, gateway, banks, measured: Duration::from_millis(measured_ms) })
    }
}

fn unready(error: &CallError) -> Failure {
    Failure::plain(Exit::Unexpected, format!("the cluster does not take payments: {error}"))
}

async fn register(
    stub: &Stub,
    user: &User,
) -> Result<(AsciiMetadataValue, AsciiMetadataValue), Failure> {
    let claim = ClientInfo {
        client_id: user.client_id.to_string(),
        username: user.username.clone(),
        password: PASSWORD.to_owned(),
        bank: user.bank().map(|bank| bank.to_string()).unwrap_or_default(),
    };
    let response = stub.clone().register_client(claim).await;
    let response = response.map_err(|status| unready(&CallError::of(&status)))?.into_inner();
    Ok((metadata(user.client_id.as_str())?, metadata(&response.auth_token)?))
}
