//! The gateway's side of each bank: one task a bank, that keeps a line to it.
//!
//! A line is made in this order: Hello (what is remembered, then the fence), then the stream, then
//! the coordinator is told; from then on batches flow. When it breaks, the coordinator is told, and
//! it begins again. What was said and not answered is the coordinator's to say again.

mod foreign;
mod muster;
mod stream;

use super::coordinator::{CoordinatorBox, Request};
use crate::config::Config;
use crate::errors::Failure;
use crate::home::Party;
use crate::identity::Role;
use crate::journal::wall_ms;
use crate::tls::{self, Keeper};
use crate::wire::v1;
use muster::Muster;
use recovery::gateway::{BankIndex, State};
use recovery::model::{AccountNumber, BankName};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub(super) type Outbound = mpsc::UnboundedSender<v1::ParticipateRequest>;

/// After a broken line, the next attempt comes after this, doubling to the second.
const RETRY_MS_MIN: u64 = 50;
const RETRY_MS_MAX: u64 = 2_000;

/// A bank as the gateway reaches it.
#[derive(Clone)]
pub(super) struct Bank {
    pub(super) index: BankIndex,
    pub(super) name: BankName,
    pub(super) address: String,
    pub(super) foreign: bool,
    pub(super) channel: Channel,
    /// Rung when the bank says that it is up.
    pub(super) bell: Arc<Notify>,
    /// When a line to it was last begun, and when the next one will be, while there is none.
    pub(super) tries: Arc<Tries>,
    muster: Arc<Muster>,
}

impl Bank {
    /// What is on an account, by the bank's own word.
    pub(super) async fn balance(
        &self,
        account: AccountNumber,
        timeout: Duration,
    ) -> Result<tonic::Response<v1::BalanceResponse>, String> {
        let mut client = v1::bank_service_client::BankServiceClient::new(self.channel.clone());
        let account_number = account.to_string();
        let mut request = tonic::Request::new(v1::BalanceRequest { account_number });
        request.set_timeout(timeout);
        client.get_balance(request).await.map_err(|status| told(&status))
    }
}

/// Every bank that has joined, in the order of the log.
pub(super) fn all(
    keeper: &mut Keeper,
    config: &Config,
    state: &State,
) -> Result<Vec<Bank>, Failure> {
    use crate::errors::Exit;
    let muster = Arc::new(Muster::new(state.banks.len()));
    let reach = |(index, bank): (BankIndex, &recovery::gateway::Bank)| {
        let name = bank.name;
        let place = config.banks.get(&name).ok_or_else(|| {
            let what = format!("bank {name} has joined, and strife.toml does not say where it is");
            let todo = format!("Add a table [banks.{name}] with its address.");
            Failure::plain(Exit::Configuration, what).todo(todo)
        })?;
        let tls = keeper.client(Party::Gateway, Role::Bank(name))?;
        Ok(Bank {
            index,
            name,
            address: place.address.to_string(),
            foreign: bank.lineage.is_none(),
            channel: tls::channel(&place.address, tls, tls::Link::Batches)?,
            bell: Arc::new(Notify::new()),
            tries: Arc::default(),
            muster: Arc::clone(&muster),
        })
    };
    (0..).zip(&state.banks).map(reach).collect()
}

/// Keeps a line to `bank` until `stop`.
pub(super) async fn keep(bank: Bank, coordinator: CoordinatorBox, stop: CancellationToken) {
    let mut wait_ms = RETRY_MS_MIN;
    while !stop.is_cancelled() {
        bank.tries.begin();
        let line = async {
            if bank.foreign {
                foreign::run(&bank, &coordinator).await
            } else {
                stream::run(&bank, &coordinator).await
            }
        };
        let broken = tokio::select! {
            () = stop.cancelled() => return,
            broken = line => broken,
        };
        bank.muster.passed(bank.index);
        if broken.was_up {
            wait_ms = RETRY_MS_MIN;
        }
        if !coordinator.send(Request::Lost { bank: bank.index, why: broken.why }) {
            return;
        }
        bank.tries.plan(wait_ms);
        tokio::select! {
            () = stop.cancelled() => return,
            () = bank.bell.notified() => wait_ms = RETRY_MS_MIN,
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {
                wait_ms = (wait_ms * 2).min(RETRY_MS_MAX);
            }
        }
    }
}

/// Attempts at a line, in milliseconds since the Unix epoch; 0: none.
#[derive(Debug, Default)]
pub(super) struct Tries {
    last_ms: AtomicU64,
    next_ms: AtomicU64,
}

impl Tries {
    fn begin(&self) {
        self.last_ms.store(wall_ms(), Ordering::Relaxed);
        self.next_ms.store(0, Ordering::Relaxed);
    }

    fn plan(&self, wait_ms: u64) {
        self.next_ms.store(wall_ms() + wait_ms, Ordering::Relaxed);
    }

    /// The last and the next.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.last_ms.load(Ordering::Relaxed), self.next_ms.load(Ordering::Relaxed))
    }
}

/// Why a line ended.
pub(super) struct Broken {
    why: String,
    was_up: bool,
}

impl Broken {
    fn before(why: impl Into<String>) -> Self {
        Self { why: why.into(), was_up: false }
    }

    fn after(why: impl Into<String>) -> Self {
        Self { why: why.into(), was_up: true }
    }
}

/// A failed call, told to its innermost cause.
pub(super) fn told(status: &tonic::Status) -> String {
    use std::error::Error;
    match status.source() {
        Some(source) => crate::errors::chain(source),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}
