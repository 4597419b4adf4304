//! The audit of a running installation: each bank's summary over the wire, against the log.
//!
//! ```text
//!   summaries (1)  -->  the log, read on to its end  -->  summaries (2), if something differs
//! ```
//!
//! Against (1) the log is ahead, against (2) it is behind: a lag shows in one comparison only, and
//! what shows in both is a disagreement. The log is read as a file, on a thread that no payment
//! waits for. A bank that has no summary (a foreign one) or does not answer is named as not seen.
//! Refuses to change anything.

use crate::config::{Address, Config};
use crate::errors::{Failure, chain};
use crate::home::{Home, Party, Service};
use crate::identity::Role;
use crate::tls::{self, Keeper, Link};
use crate::wire::SummaryParts;
use crate::wire::v1::SummaryRequest;
use crate::wire::v1::bank_service_client::BankServiceClient;
use recovery::audit::{self, Audit, Wrong};
use recovery::bank;
use recovery::gateway::State;
use recovery::model::BankName;
use recovery::replay::Replay;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use wal::Disk;
use wal::read::{Cursor, follow};

/// A bank that has not told everything by then is not seen.
const SUMMARY_TIMEOUT: Duration = Duration::from_secs(20);
/// A page of a summary, at most.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// What one audit found.
#[derive(Clone, Debug)]
pub struct Look {
    pub audit: Audit,
    /// Banks that were not compared, each with the reason.
    pub unseen: Vec<(BankName, String)>,
}

/// The log as far as it was read, and the way to each bank.
#[derive(Debug)]
pub struct Auditor {
    banks: Vec<(BankName, Option<Channel>)>,
    log: Option<Box<Reader>>,
}

#[derive(Debug)]
struct Reader {
    directory: PathBuf,
    cursor: Cursor,
    replay: Replay<State>,
}

impl Reader {
    fn catch_up(&mut self) -> Result<(), String> {
        let Self { directory, cursor, replay } = self;
        let disk = Disk::new(directory.clone());
        follow(&disk, cursor, |record, _| replay.record(&record)).map_err(|error| chain(&error))
    }
}

impl Auditor {
    /// With the gateway's certificate, which alone may ask a bank for its summary, as `keeper` has
    /// it at the time.
    pub fn new(home: &Home, config: &Config, keeper: &mut Keeper) -> Result<Self, Failure> {
        let mut reach = |(name, bank): (&BankName, &crate::config::Bank)| {
            if bank.foreign {
                return Ok((*name, None));
            }
            let dialling = keeper.client(Party::Gateway, Role::Bank(*name))?;
            Ok((*name, Some(tls::channel(&bank.address, dialling, Link::Batches)?)))
        };
        let banks = config.banks.iter().map(&mut reach).collect::<Result<_, Failure>>()?;
        let directory = home.data(Service::Gateway);
        let (cursor, replay) = (Cursor::default(), Replay::default());
        Ok(Self { banks, log: Some(Box::new(Reader { directory, cursor, replay })) })
    }

    /// One audit. `Err`: the log cannot be read.
    pub async fn look(&mut self) -> Result<Look, String> {
        let first = self.summaries().await;
        let mut reader = self.log.take().ok_or("an audit was interrupted")?;
        let compared = tokio::task::spawn_blocking(move || {
            let read = reader.catch_up();
            let (seen, unseen) = apart(first);
            let audit = audit::audit(&reader.replay.state, seen.iter());
            (reader, read, audit, unseen)
        });
        let (reader, read, mut audit, unseen) = compared.await.map_err(|error| chain(&error))?;
        self.log = Some(reader);
        read?;
        if !audit.disagreements.is_empty() {
            let (later, _) = apart(self.summaries().await);
            if let Some(reader) = &self.log {
                let later = audit::audit(&reader.replay.state, later.iter());
                audit.disagreements.retain(|found| later.disagreements.contains(found));
            }
            audit.ok = audit.disagreements.is_empty() && audit.money.delta_minor() == 0;
        }
        Ok(Look { audit, unseen })
    }

    async fn summaries(&self) -> Vec<(BankName, Result<bank::State, String>)> {
        let asked = self.banks.iter().map(|(name, channel)| async move {
            let Some(channel) = channel else {
                return (*name, Err("a foreign bank has no summary".to_owned()));
            };
            let told = tokio::time::timeout(SUMMARY_TIMEOUT, summary(channel.clone())).await;
            (*name, told.unwrap_or_else(|_| Err("did not answer in time".to_owned())))
        });
        futures_util::future::join_all(asked).await
    }
}

type Unseen = Vec<(BankName, String)>;

fn apart(told: Vec<(BankName, Result<bank::State, String>)>) -> (Vec<bank::State>, Unseen) {
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for (name, told) in told {
        match told {
            Ok(state) => seen.push(state),
            Err(why) => unseen.push((name, why)),
        }
    }
    (seen, unseen)
}

/// What one bank has, by its own word: every hold and balance, as of one record of its journal.
pub async fn ask(home: &Home, name: BankName, address: &Address) -> Result<bank::State, String> {
    let channel = tls::to_bank(home, name, address).map_err(|failure| failure.what)?;
    let told = tokio::time::timeout(SUMMARY_TIMEOUT, summary(channel)).await;
    told.unwrap_or_else(|_| Err("did not answer in time".to_owned()))
}

async fn summary(channel: Channel) -> Result<bank::State, String> {
    let mut client = BankServiceClient::new(channel).max_decoding_message_size(PAGE_BYTES_MAX);
    let told =
        client.summary(SummaryRequest {}).await.map_err(|status| super::banks::told(&status));
    let (mut pages, mut parts) = (told?.into_inner(), SummaryParts::default());
    while let Some(page) = pages.message().await.map_err(|status| super::banks::told(&status))? {
        parts.add(&page).map_err(|error| error.to_string())?;
    }
    parts.state().map_err(|error| error.to_string())
}

/// The side that is provably wrong, or both that may be.
pub fn wrong(side: Wrong) -> String {
    match side {
        Wrong::Gateway => "gateway".to_owned(),
        Wrong::Bank(bank) => bank.to_string(),
        Wrong::Either(bank) => format!("gateway or {bank}"),
    }
}

/// The last audit, for operators.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest(Arc<Mutex<Option<Shown>>>);

/// What operators see of an audit.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) at_unix_ms: u64,
    pub(super) money_delta_minor: i64,
    pub(super) disagreements: Vec<String>,
    pub(super) unseen: Vec<String>,
}

impl Latest {
    pub(super) fn get(&self) -> Option<Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, shown: Shown) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

/// Audits every `every` until `stop`, and tells what it finds to the log, the metrics and
/// operators.
pub(super) async fn keep(
    mut auditor: Auditor,
    every: Duration,
    latest: Latest,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let look = tokio::select! {
            () = stop.cancelled() => return,
            look = auditor.look() => look,
        };
        match look {
            Ok(look) => latest.set(tell(&look)),
            Err(why) => tracing::error!("the audit cannot read this gateway's own log: {why}"),
        }
    }
}

fn tell(look: &Look) -> Shown {
    let delta = look.audit.money.delta_minor();
    let money_delta_minor = i64::try_from(delta).unwrap_or(i64::MAX);
    metrics::gauge!("strife_money_delta_minor").set(money_delta_minor as f64);
    let named = |found: &audit::Disagreement| {
        let wrong = wrong(found.wrong());
        tracing::error!(invariant = found.invariant(), wrong, "the audit finds: {found}");
        format!("{}: {found} (wrong: {wrong})", found.invariant())
    };
    let disagreements: Vec<_> = look.audit.disagreements.iter().map(named).collect();
    for forced in look.audit.forced.iter().filter(|forced| forced.wrong_minor > 0) {
        let (payment, wrong_minor, mixed) = (forced.payment, forced.wrong_minor, forced.mixed);
        tracing::error!(%payment, wrong_minor, mixed, "a decision by hand was wrong at a bank");
    }
    if delta != 0 {
        tracing::error!(money_delta_minor, "the audit finds money that was made or lost");
    }
    for (bank, why) in &look.unseen {
        tracing::debug!(%bank, "not seen by the audit: {why}");
    }
    Shown {
        at_unix_ms: crate::journal::wall_ms(),
        money_delta_minor,
        disagreements,
        unseen: look.unseen.iter().map(|(bank, why)| format!("{bank}: {why}")).collect(),
    }
}
